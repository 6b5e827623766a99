//! The rule data as it is written.

use serde::Deserialize;

/// `rules/pickle.yaml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) version: u32,
    pub(super) aliases: Vec<String>,
    pub(super) dangerous: Vec<Dangerous>,
    /// Modules of the standard library whose functions are all pure.
    pub(super) pure: Vec<String>,
    /// Beginnings of names of generated functions that rebuild a class.
    pub(super) reconstructors: Vec<String>,
    pub(super) allow: Vec<Allow>,
}

/// `rules/stdlib.yaml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stdlib {
    pub(super) version: u32,
    pub(super) modules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dangerous {
    pub(super) why: String,
    /// With their sub-modules.
    #[serde(default)]
    pub(super) modules: Vec<String>,
    #[serde(default)]
    pub(super) globals: Vec<String>,
    /// Last segments of dotted names: methods that do this on whatever class.
    #[serde(default)]
    pub(super) methods: Vec<String>,
    /// Names that do this in whatever module they are found, unless that is allowed.
    #[serde(default)]
    pub(super) names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    #[serde(rename = "framework")]
    _framework: String,
    #[serde(default)]
    pub(super) constructors: Vec<String>,
    #[serde(default)]
    pub(super) functions: Vec<String>,
    #[serde(default)]
    pub(super) callers: Vec<String>,
    #[serde(default)]
    pub(super) attributes: Vec<String>,
    #[serde(default)]
    pub(super) loaders: Vec<String>,
    #[serde(default)]
    pub(super) data: Vec<String>,
    /// Packages whose objects hold state: their classes may be made without running a constructor.
    #[serde(default)]
    pub(super) classes: Vec<String>,
    /// Modules of those packages whose compiled classes are rebuilt by calling them.
    #[serde(default)]
    pub(super) compiled: Vec<String>,
    /// What calls and states look like.
    #[serde(default)]
    pub(super) shapes: Vec<ShapeEntry>,
}

/// One shape of several globals.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShapeEntry {
    pub(super) of: Vec<String>,
    /// A pattern for each argument.
    #[serde(default)]
    pub(super) args: Option<Vec<String>>,
    /// A pattern for each item of the state, which then is a tuple.
    #[serde(default)]
    pub(super) state: Option<Vec<String>>,
}
