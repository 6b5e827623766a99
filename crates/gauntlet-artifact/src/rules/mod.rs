//! The rule data of `artifact/pickle`: which globals a pickle may name, and what for. Keras has tables of its own.

pub(crate) mod huggingface;
mod keras;
pub(crate) mod named;
pub(crate) mod tensorflow;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use gauntlet_core::{ConfigError, yaml};
use serde::Deserialize;

pub(crate) use keras::{KerasRules, Named, keras, python};

/// The committed rule data.
pub(crate) const PICKLE: &str = include_str!("../../rules/pickle.yaml");

/// The committed rule data, parsed once.
pub(crate) fn pickle() -> &'static Result<PickleRules, RulesError> {
    static TABLES: LazyLock<Result<PickleRules, RulesError>> = LazyLock::new(|| PickleRules::parse(PICKLE));
    &TABLES
}

/// What an allowed global is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A class that may be made from data in any way.
    Constructor,
    /// A pure function or reconstructor that may be called.
    Function,
    /// May be called; the callables among its arguments are then called, too.
    Caller,
    /// May be named as a value, not called.
    Data,
}

/// How a global is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Known to be pure in this role.
    Allowed(Role),
    /// A class of a package whose classes hold state only; made without running its constructor.
    PackageClass,
    /// A function of such a package.
    PackageFunction,
    /// The standard library, without a use in models.
    Stdlib,
    /// Known to be dangerous, and why.
    Dangerous(String),
    /// The dotted name walks through this segment into something else.
    Walk(String),
    /// Not known.
    Unknown,
}

/// The tables, ready for questions.
#[derive(Debug)]
pub(crate) struct PickleRules {
    allow: HashMap<String, Role>,
    classes: HashSet<String>,
    compiled: HashSet<String>,
    reconstructors: Vec<String>,
    dangerous_globals: HashMap<String, usize>,
    dangerous_modules: HashMap<String, usize>,
    why: Vec<String>,
    stdlib: HashSet<String>,
    aliases: HashSet<String>,
}

/// Why rule data is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RulesError {
    #[error("{0}")]
    Yaml(#[from] ConfigError),
    #[error("rule data version {0} is not known")]
    Version(u32),
    #[error("`{0}` is allowed in two roles")]
    TwoRoles(String),
    #[error("`{0}` is both allowed and dangerous")]
    Contradiction(String),
    #[error("`{0}` is no dotted name")]
    Name(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    aliases: Vec<String>,
    dangerous: Vec<Dangerous>,
    stdlib: Vec<String>,
    /// Beginnings of names of generated functions that rebuild a class.
    reconstructors: Vec<String>,
    allow: Vec<Allow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dangerous {
    why: String,
    #[serde(default)]
    modules: Vec<String>,
    #[serde(default)]
    globals: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allow {
    #[serde(rename = "framework")]
    _framework: String,
    #[serde(default)]
    constructors: Vec<String>,
    #[serde(default)]
    functions: Vec<String>,
    #[serde(default)]
    callers: Vec<String>,
    #[serde(default)]
    data: Vec<String>,
    /// Packages whose objects hold state: their classes may be made without running a constructor.
    #[serde(default)]
    classes: Vec<String>,
    /// Modules of those packages whose compiled classes are rebuilt by calling them.
    #[serde(default)]
    compiled: Vec<String>,
}

impl PickleRules {
    /// Reads rule data strictly.
    ///
    /// # Errors
    /// Unknown keys and versions, names that are none, a global in two contradicting places.
    pub(crate) fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = yaml::parse("rules/pickle.yaml", text.as_bytes())?;
        if file.version != 1 {
            return Err(RulesError::Version(file.version));
        }
        let mut rules = Self {
            allow: HashMap::new(),
            classes: HashSet::new(),
            compiled: HashSet::new(),
            reconstructors: file.reconstructors,
            dangerous_globals: HashMap::new(),
            dangerous_modules: HashMap::new(),
            why: Vec::new(),
            stdlib: file.stdlib.into_iter().collect(),
            aliases: file.aliases.into_iter().collect(),
        };
        for entry in file.dangerous {
            let why = rules.why.len();
            rules.why.push(entry.why);
            rules.dangerous_modules.extend(entry.modules.into_iter().map(|module| (module, why)));
            rules.dangerous_globals.extend(entry.globals.into_iter().map(|global| (global, why)));
        }
        for entry in file.allow {
            let roles = [
                (Role::Constructor, entry.constructors),
                (Role::Function, entry.functions),
                (Role::Caller, entry.callers),
                (Role::Data, entry.data),
            ];
            for (role, names) in roles {
                for name in names {
                    rules.allow(name, role)?;
                }
            }
            rules.classes.extend(entry.classes);
            rules.compiled.extend(entry.compiled);
        }
        for name in rules.dangerous_globals.keys().chain(rules.allow.keys()) {
            let dotted = name.split('.').count() > 1 && name.split('.').all(|part| !part.is_empty());
            if !dotted {
                return Err(RulesError::Name(name.clone()));
            }
        }
        Ok(rules)
    }

    fn allow(&mut self, name: String, role: Role) -> Result<(), RulesError> {
        if self.dangerous_globals.contains_key(&name) {
            return Err(RulesError::Contradiction(name));
        }
        match self.allow.insert(name.clone(), role) {
            // A class with a reconstructing classmethod of its own may be listed as both.
            Some(before) if before != role && !matches!((before, role), (Role::Constructor, Role::Function)) => {
                Err(RulesError::TwoRoles(name))
            }
            _ => Ok(()),
        }
    }

    /// Judges the global `module.name`; the order is that of the rule data's first comment.
    pub(crate) fn tier(&self, module: &str, name: &str) -> Tier {
        let full = format!("{module}.{name}");
        if let Some(role) = self.allow.get(&full) {
            return Tier::Allowed(*role);
        }
        if let Some(why) = self.dangerous_globals.get(&full) {
            return Tier::Dangerous(self.why[*why].clone());
        }
        if let Some(segment) = self.walk(name) {
            return Tier::Walk(segment);
        }
        // Sub-modules count, and so does a module reached as an attribute of its package.
        if let Some(why) = prefixes(&full).find_map(|prefix| self.dangerous_modules.get(prefix)) {
            return Tier::Dangerous(self.why[*why].clone());
        }
        if prefixes(module).any(|prefix| self.classes.contains(prefix)) {
            if self.reconstructors.iter().any(|beginning| name.starts_with(beginning)) {
                return Tier::Allowed(Role::Function);
            }
            let class = name.split('.').all(is_class_name);
            if class && prefixes(module).any(|prefix| self.compiled.contains(prefix)) {
                return Tier::Allowed(Role::Constructor);
            }
            return if class { Tier::PackageClass } else { Tier::PackageFunction };
        }
        if self.stdlib.contains(module.split('.').next().unwrap_or(module)) {
            return Tier::Stdlib;
        }
        Tier::Unknown
    }

    /// The segment by which a dotted name leaves what it starts from. A class inside a class, and a method as the last
    /// segment, stay inside.
    fn walk(&self, name: &str) -> Option<String> {
        let segments: Vec<_> = name.split('.').collect();
        if let Some(dunder) = segments.iter().find(|s| s.len() > 4 && s.starts_with("__") && s.ends_with("__")) {
            return Some((*dunder).to_owned());
        }
        let (last, inner) = segments.split_last()?;
        let leaves = inner.iter().find(|s| self.aliases.contains(**s) || !is_class_name(s));
        // `a.os` ends in a module: whatever is done with it goes through `getattr`.
        let ends = (self.aliases.contains(*last) && !inner.is_empty()).then_some(last);
        leaves.or(ends).map(|segment| (*segment).to_owned())
    }
}

/// `a.b.c`, `a.b`, `a`.
fn prefixes(module: &str) -> impl Iterator<Item = &str> {
    let ends = module.match_indices('.').map(|(at, _)| at).collect::<Vec<_>>();
    std::iter::once(module.len()).chain(ends.into_iter().rev()).map(|end| &module[..end])
}

/// By the convention that all packages in the table follow: the first letter is upper case.
fn is_class_name(segment: &str) -> bool {
    segment.trim_start_matches('_').starts_with(|c: char| c.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(module: &str, name: &str) -> Tier {
        PickleRules::parse(PICKLE).unwrap().tier(module, name)
    }

    #[test]
    fn the_committed_data_is_valid() {
        let rules = PickleRules::parse(PICKLE).unwrap();
        assert!(rules.allow.len() > 300 && rules.dangerous_modules.len() > 100);
    }

    #[test]
    fn contradictions_and_slips_are_refused() {
        let with = |allow: &str| {
            format!(
                "version: 1\naliases: []\ndangerous: [{{why: x, globals: [os.system]}}]\nstdlib: []\nreconstructors: []\nallow: [{allow}]\n"
            )
        };
        assert!(PickleRules::parse(&with("{framework: f, functions: [a.b]}")).is_ok());
        assert!(matches!(
            PickleRules::parse(&with("{framework: f, functions: [os.system]}")),
            Err(RulesError::Contradiction(_))
        ));
        assert!(matches!(
            PickleRules::parse(&with("{framework: f, functions: [a.b], data: [a.b]}")),
            Err(RulesError::TwoRoles(_))
        ));
        assert!(matches!(PickleRules::parse(&with("{framework: f, functions: [ab]}")), Err(RulesError::Name(_))));
        assert!(matches!(PickleRules::parse(&with("{framework: f, function: []}")), Err(RulesError::Yaml(_))));
        assert!(matches!(
            PickleRules::parse(&with("").replace("version: 1", "version: 2")),
            Err(RulesError::Version(2))
        ));
    }

    #[test]
    fn tiers_follow_the_order() {
        assert_eq!(tier("collections", "OrderedDict"), Tier::Allowed(Role::Constructor));
        assert_eq!(tier("functools", "partial"), Tier::Allowed(Role::Caller));
        assert_eq!(tier("torch", "float32"), Tier::Allowed(Role::Data));
        assert!(matches!(tier("os", "system"), Tier::Dangerous(_)));
        assert!(matches!(tier("pathlib", "Path.write_text"), Tier::Dangerous(_)));
        assert!(matches!(tier("numpy.testing._private.utils", "runstring"), Tier::Dangerous(_)));
        assert!(matches!(tier("pip._internal.cli.main", "main"), Tier::Dangerous(_)));
        assert_eq!(tier("sklearn.svm._classes", "SVC"), Tier::PackageClass);
        assert_eq!(tier("sklearn.svm._base", "do_it"), Tier::PackageFunction);
        assert_eq!(tier("sklearn.new_part", "__pyx_unpickle_Thing"), Tier::Allowed(Role::Function));
        assert_eq!(tier("elsewhere", "__pyx_unpickle_Thing"), Tier::Unknown);
        assert_eq!(tier("secrets", "token_hex"), Tier::Stdlib);
        assert_eq!(tier("myproject.config", "TrainConfig"), Tier::Unknown);
    }

    #[test]
    fn walks_out_of_a_module_are_seen() {
        assert_eq!(tier("torch.serialization", "os.system"), Tier::Walk("os".into()));
        assert_eq!(tier("json", "codecs.sys.modules"), Tier::Walk("codecs".into()));
        assert_eq!(tier("collections", "OrderedDict.__reduce_ex__.__self__"), Tier::Walk("__reduce_ex__".into()));
        assert_eq!(tier("somewhere", "helpers.run"), Tier::Walk("helpers".into()));
        assert_eq!(tier("somewhere", "Outer.Inner"), Tier::Unknown);
        assert_eq!(tier("somewhere", "Outer.method"), Tier::Unknown);
    }
}
