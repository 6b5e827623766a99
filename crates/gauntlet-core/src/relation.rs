//! Typed relations: what people ask about when they query facts. A gate projects its own kinds of facts onto them; kinds
//! that nobody projects are still among the facts themselves.

/// One row of one relation. Every relation also carries the subject and the location of the fact it comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// Relation `imports`.
    Import(ImportRow),
    /// Relation `calls`.
    Call(CallRow),
    /// Relation `operators`.
    Operator(OperatorRow),
    /// Relation `layers`.
    Layer(LayerRow),
    /// Relation `templates`.
    Template(TemplateRow),
    /// Relation `links`.
    Link(LinkRow),
    /// Relation `conflicts`.
    Conflict(ConflictRow),
    /// Relation `tensors`.
    Tensor(TensorRow),
    /// Relation `formats`.
    Format(FormatRow),
}

/// A global that a pickle reaches, or a name that code calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportRow {
    /// `pickle`, `python`, `configuration`, …
    pub language: &'static str,
    /// Module as the loader looks it up; `?` in part or whole when unknown.
    pub module: String,
    /// Name inside the module; it may have dots.
    pub name: String,
    /// Whether it is called or constructed, not only named.
    pub called: bool,
    /// Arguments of the first call, in short.
    pub arguments: Option<String>,
    /// `literal`, `computed` or `unresolved`: how the name was written.
    pub resolved: Option<&'static str>,
    /// How often it occurs.
    pub count: u64,
    /// Stream inside the file, from 0.
    pub stream: Option<u64>,
    /// Byte offset in the file, member or stream; the location's when absent.
    pub offset: Option<u64>,
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRow {
    /// `pickle`, `python`, `configuration`, …
    pub language: &'static str,
    /// Dotted name of what is called; `?` in part or whole when unknown.
    pub callee: String,
    /// How, such as `reduce`, `newobj`, `build` or `at-import`.
    pub role: Option<&'static str>,
    /// Arguments, in short.
    pub arguments: Option<String>,
    /// How often.
    pub count: u64,
    /// Stream inside the file, from 0.
    pub stream: Option<u64>,
    /// As for imports.
    pub offset: Option<u64>,
}

/// An operator of a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorRow {
    /// `onnx`, `tensorflow`, `tflite`, …
    pub framework: &'static str,
    /// Domain; empty for the framework's own.
    pub domain: String,
    /// Operator type.
    pub op_type: String,
    /// Name of the first node, where it is kept.
    pub node: Option<String>,
    /// Where the first stands, such as `graph` or `function`.
    pub within: Option<String>,
    /// How many nodes.
    pub count: u64,
    /// As for imports.
    pub offset: Option<u64>,
}

/// A layer, or another object that a configuration builds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerRow {
    /// `keras`, …
    pub framework: &'static str,
    /// Class name as written.
    pub class: String,
    /// Module that the file names for it.
    pub module: Option<String>,
    /// Name under which the class is registered.
    pub registered_name: Option<String>,
    /// Name of the layer.
    pub name: Option<String>,
}

/// A construct of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateRow {
    /// Which construct, such as `attribute`, `call`, `include` or `loop`.
    pub construct: String,
    /// The name that it uses.
    pub detail: Option<String>,
    /// As for imports.
    pub offset: Option<u64>,
}

/// Something that points elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkRow {
    /// `symbolic-link`, `hard-link`, `external-data`, `url`, …
    pub link: String,
    /// What holds it: an entry, a tensor, a key.
    pub name: Option<String>,
    /// Where it points to, as written; absent where it was not kept.
    pub target: Option<String>,
    /// Whether the target lies outside the folder; absent where that was not looked at.
    pub leaves: Option<bool>,
    /// As for imports.
    pub offset: Option<u64>,
}

/// Something that two readings of a file disagree about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictRow {
    /// `zip`, `tar`, `safetensors`, …
    pub container: String,
    /// Member, entry or tensor; absent for the file as a whole.
    pub name: Option<String>,
    /// What disagrees, in kebab-case.
    pub conflict: String,
    /// Figures, as JSON.
    pub detail: Option<String>,
}

/// A tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorRow {
    /// `npy`, `onnx`, … where the fact says it; the relation `formats` says it for every file.
    pub format: Option<&'static str>,
    /// Name; absent where the file holds one unnamed tensor.
    pub name: Option<String>,
    /// Element type as written.
    pub dtype: String,
    /// Shape as JSON, such as `[2,3]`; absent when unknown.
    pub shape: Option<String>,
    /// Where its bytes start in the file.
    pub offset: Option<u64>,
    /// How many.
    pub length: Option<u64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Elements that are not a number.
    pub nan: Option<u64>,
    /// Elements that are infinite.
    pub infinite: Option<u64>,
}

/// One format that a file can be read as; a row without a format for a file of which none is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatRow {
    /// Format by content.
    pub format: Option<String>,
    /// What the file's name claims.
    pub claim: Option<String>,
    /// Bytes, when known.
    pub size: Option<u64>,
}
