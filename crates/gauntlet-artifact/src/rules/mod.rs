//! The rule data of `artifact/pickle`: which globals a pickle may name, and what for. Keras has tables of its own.

mod file;
pub(crate) mod huggingface;
mod keras;
pub(crate) mod named;
mod shape;
pub(crate) mod tensorflow;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use gauntlet_core::{ConfigError, yaml};

pub(crate) use keras::{KerasRules, Named, keras, python};
pub(crate) use shape::{Place, Shape, globals};

/// The committed rule data.
pub(crate) const PICKLE: &str = include_str!("../../rules/pickle.yaml");
/// The modules of the standard library.
const STDLIB: &str = include_str!("../../rules/stdlib.yaml");

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
    /// Looks up a name that stands in the stream; what is found is a global of its own.
    Attribute,
    /// Unpickles bytes that stand in the stream; they are a stream of their own.
    Loader,
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
    /// Not known, but its last name is one that runs or loads things wherever it comes from, and why.
    Suspect(String),
    /// The dotted name walks through this segment into something else.
    Walk(String),
    /// Not known.
    Unknown,
}

/// The tables, ready for questions.
#[derive(Debug)]
pub(crate) struct PickleRules {
    allow: HashMap<String, Role>,
    shapes: HashMap<String, Shape>,
    states: HashMap<String, Shape>,
    classes: HashSet<String>,
    pure: HashSet<String>,
    compiled: HashSet<String>,
    reconstructors: Vec<String>,
    dangerous_globals: HashMap<String, usize>,
    dangerous_modules: HashMap<String, usize>,
    dangerous_methods: HashMap<String, usize>,
    suspect: HashMap<String, usize>,
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
    #[error("the shape of `{0}` has a kind that is none, or is given twice")]
    Shape(String),
    #[error("`{0}` has a shape and is not allowed")]
    Stray(String),
}

impl PickleRules {
    /// Reads rule data strictly.
    ///
    /// # Errors
    /// Unknown keys and versions, names that are none, a global in two contradicting places.
    pub(crate) fn parse(text: &str) -> Result<Self, RulesError> {
        let file: file::Rules = yaml::parse("rules/pickle.yaml", text.as_bytes())?;
        let stdlib: file::Stdlib = yaml::parse("rules/stdlib.yaml", STDLIB.as_bytes())?;
        if file.version != 2 || stdlib.version != 1 {
            return Err(RulesError::Version(file.version));
        }
        let mut rules = Self {
            allow: HashMap::new(),
            shapes: HashMap::new(),
            states: HashMap::new(),
            classes: HashSet::new(),
            pure: file.pure.into_iter().collect(),
            compiled: HashSet::new(),
            reconstructors: file.reconstructors,
            dangerous_globals: HashMap::new(),
            dangerous_modules: HashMap::new(),
            dangerous_methods: HashMap::new(),
            suspect: HashMap::new(),
            why: Vec::new(),
            stdlib: stdlib.modules.into_iter().collect(),
            aliases: file.aliases.into_iter().collect(),
        };
        for entry in file.dangerous {
            let why = rules.why.len();
            rules.why.push(entry.why);
            rules.dangerous_modules.extend(entry.modules.into_iter().map(|module| (module, why)));
            rules.dangerous_globals.extend(entry.globals.into_iter().map(|global| (global, why)));
            rules.dangerous_methods.extend(entry.methods.into_iter().map(|method| (method, why)));
            rules.suspect.extend(entry.names.into_iter().map(|name| (name, why)));
        }
        for entry in file.allow {
            let roles = [
                (Role::Constructor, entry.constructors),
                (Role::Function, entry.functions),
                (Role::Caller, entry.callers),
                (Role::Attribute, entry.attributes),
                (Role::Loader, entry.loaders),
                (Role::Data, entry.data),
            ];
            for (role, names) in roles {
                for name in names {
                    rules.allow(name, role)?;
                }
            }
            rules.classes.extend(entry.classes);
            rules.compiled.extend(entry.compiled);
            for shape in entry.shapes {
                rules.shape(&shape)?;
            }
        }
        for name in rules.dangerous_globals.keys().chain(rules.allow.keys()) {
            let dotted = name.split('.').count() > 1 && name.split('.').all(|part| !part.is_empty());
            if !dotted {
                return Err(RulesError::Name(name.clone()));
            }
        }
        Ok(rules)
    }

    fn shape(&mut self, entry: &file::ShapeEntry) -> Result<(), RulesError> {
        for name in &entry.of {
            if !self.allow.contains_key(name) {
                return Err(RulesError::Stray(name.clone()));
            }
            for (patterns, table) in [(&entry.args, &mut self.shapes), (&entry.state, &mut self.states)] {
                let Some(patterns) = patterns else { continue };
                let shape = Shape::parse(patterns).ok_or_else(|| RulesError::Shape(name.clone()))?;
                if table.insert(name.clone(), shape).is_some() {
                    return Err(RulesError::Shape(name.clone()));
                }
            }
        }
        Ok(())
    }

    /// What the arguments of a call of an allowed global look like, when that is known.
    pub(crate) fn arguments(&self, full: &str) -> Option<&Shape> {
        self.shapes.get(full)
    }

    /// What the tuple looks like that an object of an allowed class is given as its state, when that is known.
    pub(crate) fn state(&self, full: &str) -> Option<&Shape> {
        self.states.get(full)
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
        // Below protocol 4 a class with keyword arguments is made by `partial(cls.__new__, cls, ...)`.
        if let Some(class) = name.strip_suffix(".__new__").filter(|class| is_class_name(class)) {
            return match self.tier(module, class) {
                Tier::PackageClass => Tier::Allowed(Role::Function),
                other => other,
            };
        }
        let full = format!("{module}.{name}");
        if let Some(role) = self.allow.get(&full) {
            return Tier::Allowed(*role);
        }
        if let Some(why) = self.dangerous_globals.get(&full) {
            return Tier::Dangerous(self.why[*why].clone());
        }
        if let Some(segment) = self.walk(module, name) {
            return Tier::Walk(segment);
        }
        // Sub-modules count, and so does a module reached as an attribute of its package. Of a dangerous module and a
        // package of classes the longer name is the better known.
        let dangerous = prefixes(&full).find_map(|prefix| Some((prefix.len(), self.dangerous_modules.get(prefix)?)));
        let package = prefixes(module).find(|prefix| self.classes.contains(*prefix));
        if let Some((len, why)) = dangerous
            && package.is_none_or(|prefix| prefix.len() <= len)
        {
            return Tier::Dangerous(self.why[*why].clone());
        }
        let (last, dotted) = name.rsplit_once('.').map_or((name, false), |(_, last)| (last, true));
        if let Some(why) = self.dangerous_methods.get(last).filter(|_| dotted) {
            return Tier::Dangerous(self.why[*why].clone());
        }
        if self.pure.contains(module) && !dotted {
            return Tier::Allowed(Role::Function);
        }
        if let Some(why) = self.suspect.get(last) {
            return Tier::Suspect(self.why[*why].clone());
        }
        if package.is_some() {
            if self.reconstructors.iter().any(|beginning| name.starts_with(beginning)) {
                return Tier::Allowed(Role::Function);
            }
            let class = name.split('.').all(is_class_name);
            if class && prefixes(module).any(|prefix| self.compiled.contains(prefix)) {
                return Tier::Allowed(Role::Constructor);
            }
            return if class { Tier::PackageClass } else { Tier::PackageFunction };
        }
        if self.is_stdlib(module) {
            return Tier::Stdlib;
        }
        Tier::Unknown
    }

    /// Why a method of this name is not to be taken of any object: special methods lead to the interpreter.
    pub(crate) fn method(&self, name: &str) -> Option<String> {
        let special = name.split('.').any(|part| part.starts_with("__") && part.ends_with("__"));
        let (first, last) = (name.split('.').next().unwrap_or(name), name.rsplit('.').next().unwrap_or(name));
        let known = self.dangerous_methods.get(last).or_else(|| self.suspect.get(last));
        if first != last && (self.aliases.contains(first) || self.stdlib.contains(first)) {
            return Some(format!("walks through `{first}`"));
        }
        known.map(|why| self.why[*why].clone()).or_else(|| special.then(|| "leads out of the object".to_owned()))
    }

    /// Judges a module that is imported for itself, such as by `importlib.import_module`.
    pub(crate) fn module(&self, module: &str) -> Tier {
        if let Some(why) = prefixes(module).find_map(|prefix| self.dangerous_modules.get(prefix)) {
            return Tier::Dangerous(self.why[*why].clone());
        }
        let allowed = |name: &String| name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'));
        if self.packaged(module) || self.pure.contains(module) || self.allow.keys().any(allowed) {
            return Tier::PackageClass;
        }
        if self.is_stdlib(module) { Tier::Stdlib } else { Tier::Unknown }
    }

    fn packaged(&self, module: &str) -> bool {
        prefixes(module).any(|prefix| self.classes.contains(prefix))
    }

    /// Judges a global that a format names without the arguments of a call: what a pickle may do because its arguments are
    /// seen is dangerous here.
    pub(crate) fn alone(&self, module: &str, name: &str) -> Tier {
        match self.tier(module, name) {
            Tier::Allowed(Role::Attribute | Role::Loader) => {
                Tier::Dangerous("looks names up or unpickles what it is given".to_owned())
            }
            tier => tier,
        }
    }

    /// Whether a module is one of the standard library.
    pub(crate) fn is_stdlib(&self, module: &str) -> bool {
        self.stdlib.contains(module.split('.').next().unwrap_or(module))
    }

    /// The segment by which a dotted name leaves what it starts from. A class inside a class, and a method as the last
    /// segment, stay inside.
    fn walk(&self, module: &str, name: &str) -> Option<String> {
        let segments: Vec<_> = name.split('.').collect();
        if let Some(dunder) = segments.iter().find(|s| s.len() > 4 && s.starts_with("__") && s.ends_with("__")) {
            return Some((*dunder).to_owned());
        }
        let (last, inner) = segments.split_last()?;
        // Packages have classes with lower-case names; elsewhere such a segment is a module or a function.
        let packaged = self.packaged(module);
        let leaves = inner
            .iter()
            .find(|s| self.aliases.contains(**s) || self.stdlib.contains(**s) || (!packaged && !is_class_name(s)));
        // `a.os` ends in a module: whatever is done with it goes through `getattr`.
        // So does `a` + `os`, unless `a.os` is itself a module of the standard library or a name of an unknown package.
        let known = self.stdlib.contains(*last) && (self.is_stdlib(module) || packaged);
        let ends = (self.aliases.contains(*last) && (!inner.is_empty() || known)).then_some(last);
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
                "version: 2\naliases: []\ndangerous: [{{why: x, globals: [os.system]}}]\npure: []\nreconstructors: []\nallow: [{allow}]\n"
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
            PickleRules::parse(&with("").replace("version: 2", "version: 1")),
            Err(RulesError::Version(1))
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
