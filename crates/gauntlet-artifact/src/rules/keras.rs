//! The rule data of `artifact/keras`: which names a configuration may hold, and what for.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use gauntlet_core::{Severity, yaml};
use serde::Deserialize;

use super::{RulesError, Tier};

/// The committed rule data.
const KERAS: &str = include_str!("../../rules/keras.yaml");

/// The committed rule data, parsed once.
pub(crate) fn keras() -> &'static Result<KerasRules, RulesError> {
    static TABLES: LazyLock<Result<KerasRules, RulesError>> = LazyLock::new(|| KerasRules::parse(KERAS));
    &TABLES
}

/// How an object that a configuration names is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Part of Keras that only computes, or data.
    Known,
    /// Known to be dangerous: how much, and why.
    Dangerous(Severity, String),
    /// A function of Keras that computes nothing.
    OtherKeras,
    /// Part of a package that extends Keras.
    Companion(String),
    /// A function or class outside of Keras whose package the tables of `rules/pickle.yaml` know.
    Library,
    /// Something else.
    Custom,
}

/// The tables, ready for questions.
#[derive(Debug)]
pub(crate) struct KerasRules {
    packages: Vec<String>,
    companions: HashSet<String>,
    function_modules: HashSet<String>,
    specials: HashSet<String>,
    names: HashMap<String, usize>,
    modules: HashMap<String, usize>,
    dangers: Vec<(Severity, String)>,
    operators: HashSet<String>,
    path_fields: HashSet<String>,
    vocabularies: HashSet<String>,
    classes: HashSet<String>,
    functions: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    packages: Vec<String>,
    companions: HashSet<String>,
    function_modules: HashSet<String>,
    specials: HashSet<String>,
    dangerous: Vec<Danger>,
    operators: HashSet<String>,
    path_fields: HashSet<String>,
    vocabularies: HashSet<String>,
    classes: HashSet<String>,
    functions: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Danger {
    why: String,
    severity: Severity,
    #[serde(default)]
    modules: Vec<String>,
    names: Vec<String>,
}

impl KerasRules {
    /// Reads rule data strictly.
    ///
    /// # Errors
    /// Unknown keys and versions; a name that is both known and dangerous.
    fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = yaml::parse("rules/keras.yaml", text.as_bytes())?;
        if file.version != 1 {
            return Err(RulesError::Version(file.version));
        }
        let (mut names, mut modules, mut dangers) = (HashMap::new(), HashMap::new(), Vec::new());
        for danger in file.dangerous {
            let index = dangers.len();
            dangers.push((danger.severity, danger.why));
            names.extend(danger.names.into_iter().map(|name| (name, index)));
            modules.extend(danger.modules.into_iter().map(|module| (module, index)));
        }
        if let Some(name) = file.classes.iter().chain(&file.functions).find(|name| names.contains_key(*name)) {
            return Err(RulesError::Contradiction(name.clone()));
        }
        Ok(Self {
            packages: file.packages,
            companions: file.companions,
            function_modules: file.function_modules,
            specials: file.specials,
            names,
            modules,
            dangers,
            operators: file.operators,
            path_fields: file.path_fields,
            vocabularies: file.vocabularies,
            classes: file.classes,
            functions: file.functions,
        })
    }

    /// Judges `name` of `module` (absent in Keras 2); `function` when the object is a function, not a class.
    pub(crate) fn named(&self, module: Option<&str>, name: &str, registered: Option<&str>, function: bool) -> Named {
        let module = module.filter(|module| !module.is_empty());
        let package = registered.and_then(|registered| registered.rsplit_once('>')).map(|(package, _)| package);
        // Keras 2 writes `Package>Name` as the class.
        let (package, name) = name.rsplit_once('>').map_or((package, name), |(package, name)| (Some(package), name));
        // TensorFlow's Keras writes `Custom>Adam` for its own optimisers.
        let package = package.filter(|package| *package != "Custom" || !self.is_known(name));
        let own =
            module.is_none_or(|module| self.is_keras(module)) && package.is_none_or(|package| self.is_keras(package));
        if own && let Some(danger) = self.names.get(name).and_then(|index| self.dangers.get(*index)) {
            return Named::Dangerous(danger.0, danger.1.clone());
        }
        match module {
            None if package.is_none() && self.is_known(name) => return Named::Known,
            None => {}
            // The functions of Keras stand in its files as if they were Python's own.
            Some("builtins") if function && self.functions.contains(name) => return Named::Known,
            Some(module) => {
                match self.library(module, name, function) {
                    // What a program registers under that name takes the place of Keras's own.
                    Some(Named::Known) if package.is_some_and(|package| !self.is_keras(package)) => {}
                    Some(tier) => return tier,
                    None => {}
                }
            }
        }
        if module.is_none()
            && package.is_none()
            && let Some(danger) = critical(python("builtins", name))
        {
            return danger;
        }
        let packages = package.into_iter().chain(module.and_then(|module| module.split('.').next()));
        match packages.into_iter().find(|package| self.companions.contains(*package)) {
            Some(companion) => Named::Companion(companion.to_owned()),
            None => Named::Custom,
        }
    }

    /// What the module says about a name in it.
    fn library(&self, module: &str, name: &str, function: bool) -> Option<Named> {
        if matches!(module, "builtins" | "__builtin__" | "__main__") {
            // Keras 3.6 and before wrote functions of users as if they were Python's own.
            return critical(python(module, name));
        }
        if !self.is_keras(module) {
            return python(module, name);
        }
        if let Some(Named::Dangerous(severity, why)) = python(module, name)
            && name.contains('.')
        {
            return Some(Named::Dangerous(severity, why));
        }
        let mut segments = module.split('.').chain(name.split('.'));
        let danger = segments.find_map(|segment| self.modules.get(segment)).and_then(|index| self.dangers.get(*index));
        let class = name.trim_start_matches('_').starts_with(|c: char| c.is_uppercase());
        if let Some((severity, why)) = danger
            && (function || !class)
        {
            return Some(Named::Dangerous(*severity, why.clone()));
        }
        // A module inside of Keras holds what it imported: `keras.src.utils.file_utils` has an `os`.
        let computes = module.split('.').any(|segment| self.function_modules.contains(segment));
        if !self.is_known(name)
            && let Some(danger) =
                critical(python(name, "anything")).or_else(|| critical(python("builtins", name)).filter(|_| !computes))
        {
            return Some(danger);
        }
        let known = class || self.functions.contains(name) || computes || self.specials.contains(name);
        Some(if known { Named::Known } else { Named::OtherKeras })
    }

    fn is_known(&self, name: &str) -> bool {
        self.classes.contains(name) || self.functions.contains(name) || self.specials.contains(name)
    }

    fn is_keras(&self, module: &str) -> bool {
        self.packages.iter().any(|package| {
            module.strip_prefix(package.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The segment of a dotted TensorFlow function that a layer may not name.
    pub(crate) fn operator<'n>(&self, function: &'n str) -> Option<&'n str> {
        function.split(['.', '/']).find(|segment| self.operators.contains(*segment))
    }

    /// Whether Keras opens the text in this field of this class.
    pub(crate) fn opens(&self, class: &str, field: &str) -> bool {
        self.path_fields.contains(field) || (self.vocabularies.contains(class) && field == "vocabulary")
    }

    /// Whether the class takes a vocabulary, which may be the name of a file.
    pub(crate) fn takes_vocabulary(&self, class: &str) -> bool {
        self.vocabularies.contains(class.rsplit('>').next().unwrap_or(class))
    }
}

fn critical(named: Option<Named>) -> Option<Named> {
    named.filter(|named| matches!(named, Named::Dangerous(Severity::Critical, _)))
}

/// What the pickle rules say about a global of Python; `None` when they do not know it.
pub(crate) fn python(module: &str, name: &str) -> Option<Named> {
    let Ok(rules) = super::pickle() else { return None };
    match rules.alone(module, name) {
        Tier::Dangerous(why) | Tier::Suspect(why) => Some(Named::Dangerous(Severity::Critical, why)),
        Tier::Walk(segment) => {
            Some(Named::Dangerous(Severity::Critical, format!("reaches `{segment}` through another module")))
        }
        Tier::Stdlib => Some(Named::Dangerous(Severity::High, "is part of Python, which no layer is".to_owned())),
        Tier::Allowed(_) | Tier::PackageClass | Tier::PackageFunction => Some(Named::Library),
        Tier::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(module: Option<&str>, name: &str, function: bool) -> Named {
        KerasRules::parse(KERAS).unwrap().named(module, name, None, function)
    }

    fn worst(module: Option<&str>, name: &str, function: bool) -> Option<Severity> {
        match named(module, name, function) {
            Named::Dangerous(severity, _) => Some(severity),
            _ => None,
        }
    }

    #[test]
    fn the_committed_data_is_valid() {
        let rules = KerasRules::parse(KERAS).unwrap();
        assert!(rules.classes.len() > 500 && rules.functions.len() > 80);
    }

    #[test]
    fn what_keras_writes_is_known() {
        for (module, name, function) in [
            (Some("keras.layers"), "Dense", false),
            (Some("keras.src.models.functional"), "Functional", false),
            (Some("keras.src.ops.numpy"), "Add", false),
            (Some("keras"), "DTypePolicy", false),
            (Some("builtins"), "relu", true),
            (Some("keras.activations"), "silu", true),
            (Some("keras.src.ops.nn"), "relu6", true),
            (Some("tf_keras.src.engine.functional"), "Functional", false),
            (None, "Dense", false),
            (None, "__tensor__", false),
            (None, "TFOpLambda", false),
            (None, "Custom>Adam", false),
        ] {
            assert_eq!(named(module, name, function), Named::Known, "{module:?} {name}");
        }
    }

    #[test]
    fn what_runs_code_or_opens_files_is_dangerous() {
        let critical = Some(Severity::Critical);
        assert_eq!(worst(Some("builtins"), "eval", true), critical);
        assert_eq!(worst(Some("builtins"), "exec", false), critical);
        assert_eq!(worst(None, "eval", true), critical);
        assert_eq!(worst(Some("os"), "system", true), critical);
        assert_eq!(worst(Some("subprocess"), "Popen", false), critical);
        assert_eq!(worst(Some("keras.config"), "enable_unsafe_deserialization", true), critical);
        assert_eq!(worst(Some("keras.utils"), "get_file", true), Some(Severity::High));
        assert_eq!(worst(Some("keras.src.utils.file_utils"), "makedirs", true), Some(Severity::High));
        assert_eq!(worst(Some("keras.src.utils.python_utils"), "anything", true), critical);
        assert_eq!(worst(Some("keras.src.backend.common"), "os.system", true), critical);
        assert_eq!(worst(Some("keras.src.models.model"), "subprocess", true), critical);
        assert_eq!(worst(Some("keras.models"), "load_model", true), Some(Severity::High));
    }

    #[test]
    fn the_rest_is_custom() {
        assert_eq!(named(Some("mypackage"), "Layer", false), Named::Custom);
        assert_eq!(named(None, "Custom>Evil", false), Named::Custom);
        assert_eq!(named(None, "MyLayer", false), Named::Custom);
        assert_eq!(named(Some("keras_hub.src.layers"), "Thing", false), Named::Companion("keras_hub".into()));
        assert_eq!(named(None, "Addons>AdamW", false), Named::Companion("Addons".into()));
        assert_eq!(named(Some("keras.visualization"), "draw_something", true), Named::OtherKeras);
        assert_eq!(named(Some("numpy"), "add", true), Named::Library);
    }
}
