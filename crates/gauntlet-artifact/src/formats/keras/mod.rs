//! Keras configurations: which objects, code, files and operators a document names. JSON of Keras 1 to 3, training
//! configurations, metadata of TensorFlow's SavedModel, YAML.

pub(crate) mod code;
pub(crate) mod tags;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::json::{Document, Json};
use code::Decoded;

/// Kinds of objects, files and other entries of one document that are kept.
const ENTRIES: usize = 2000;
/// Texts that are tried as base64.
const DECODED: usize = 2000;
/// Characters of names that are kept.
const SHOWN: usize = 200;

/// What a configuration names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KerasFacts {
    /// Version of Keras that the document states.
    pub version: Option<String>,
    /// Serialised objects, each kind once.
    pub objects: Vec<ObjectFact>,
    /// Compiled Python code and pickles.
    pub code: Vec<CodeFact>,
    /// Texts that name a file or address.
    pub files: Vec<FileField>,
    /// TensorFlow functions that layers name.
    pub operators: Vec<OperatorFact>,
    /// Texts that read as a dotted name of Python: place and text.
    pub dotted: Vec<(String, String)>,
    /// Keys that occur twice in one object.
    pub duplicates: Vec<String>,
    /// Tags of a YAML document that make Python objects.
    pub tags: Vec<tags::Tag>,
    /// Entries beyond those kept.
    pub more: u64,
}

/// A serialised object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ObjectFact {
    /// Where the first one is.
    pub place: String,
    /// Module that it is of.
    pub module: Option<String>,
    /// Name of the class or function.
    pub name: String,
    /// Name under which a program registers it.
    pub registered: Option<String>,
    /// A function, not a class.
    pub function: bool,
    /// How many there are.
    pub count: u64,
}

/// Code or a pickle as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeFact {
    /// Where it is.
    pub place: String,
    /// Class of the object that holds it.
    pub class: String,
    /// Bytes when decoded.
    pub bytes: u64,
    /// What the bytes are.
    pub kind: CodeKind,
    /// Texts and names within.
    pub names: Vec<String>,
}

/// What decoded bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CodeKind {
    /// A code object as `marshal` writes it.
    Marshal,
    /// A pickle; it is read as one.
    Pickle,
    /// Where code is expected, and not recognised.
    Unknown,
}

/// A field that names a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileField {
    /// Where it is.
    pub place: String,
    /// Class of the object whose field it is.
    pub class: String,
    /// The field.
    pub field: String,
    /// What it holds; without user names and passwords.
    pub value: String,
    /// How it reads.
    pub kind: PathKind,
}

/// How a text reads as a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PathKind {
    /// With a scheme.
    Url,
    /// From the root, a drive, a share or the home folder.
    Absolute,
    /// Through a parent folder.
    Parent,
    /// Below the working folder, or a plain word.
    Relative,
}

impl PathKind {
    pub(crate) fn of(value: &str) -> Self {
        let drive = matches!(value.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
        if value.contains("://") || value.starts_with("file:") || value.starts_with("data:") {
            Self::Url
        } else if drive || value.starts_with(['/', '\\', '~']) || value.starts_with("$") || value.starts_with('%') {
            Self::Absolute
        } else if value.split(['/', '\\']).any(|part| part == "..") {
            Self::Parent
        } else {
            Self::Relative
        }
    }
}

/// A TensorFlow function or operator by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperatorFact {
    /// Where it is.
    pub place: String,
    /// Class of the layer.
    pub class: String,
    /// The function.
    pub function: String,
}

/// An embedded file: what to call it, and its bytes.
pub(crate) type Part = (String, Vec<u8>);

/// Whether a document is Keras's: a serialised object or a training configuration.
pub(crate) fn is_keras(document: &Document) -> bool {
    let root = &document.root;
    let model = |json: &Json| {
        let config = match json.get("config") {
            Some(config @ (Json::Object { .. } | Json::List { .. })) => config,
            _ => return false,
        };
        let marked = ["module", "registered_name", "keras_version", "backend", "build_config", "compile_config"];
        json.get("class_name").and_then(Json::text).is_some()
            && (marked.iter().any(|key| json.get(key).is_some()) || names_a_class(config))
    };
    let training = || root.get("optimizer_config").is_some_and(names_a_class) && root.get("loss").is_some();
    model(root)
        || root.get("model_config").is_some_and(model)
        || root.path(&["modelTopology", "model_config"]).is_some_and(model)
        || root.get("modelTopology").is_some_and(model)
        || (root.get("class_name").is_some() && document.tags.iter().any(|tag| tags::Tag::of(tag).is_some()))
        || training()
}

fn names_a_class(json: &Json) -> bool {
    let mut found = false;
    json.visit(&mut |_, value| found |= value.get("class_name").is_some());
    found
}

/// What `document` names, and the files embedded in it.
pub(crate) fn read(document: &Document) -> (KerasFacts, Vec<Part>) {
    let mut reader = Extraction::default();
    reader.facts.duplicates.clone_from(&document.duplicates);
    reader.facts.tags = document.tags.iter().filter_map(tags::Tag::of).collect();
    reader.facts.version = document.root.get("keras_version").and_then(Json::text).map(shown);
    reader.value(&document.root, "", &Around::default());
    (reader.facts, reader.parts)
}

/// What is around a value.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    /// Class of the innermost object.
    class: &'a str,
    /// The key that leads here.
    field: &'a str,
    /// Code is expected here.
    code: bool,
}

#[derive(Default)]
struct Extraction {
    facts: KerasFacts,
    parts: Vec<Part>,
    /// Index of each kind of object.
    known: HashMap<(Option<String>, String, Option<String>, bool), usize>,
    decoded: usize,
}

impl Extraction {
    /// Recursion is bounded by the JSON parser's depth.
    fn value(&mut self, json: &Json, place: &str, around: &Around<'_>) {
        match json {
            Json::Object { entries, .. } => {
                let mut around = *around;
                if let Some(class) = json.get("class_name").and_then(Json::text) {
                    self.object(json, class, place);
                    around = Around { class, field: "", code: false };
                }
                for (key, value) in entries {
                    let inner = join(place, key);
                    // `config` and `items` are the object itself.
                    let field = if matches!(key.as_str(), "config" | "items" | "value") { around.field } else { key };
                    let lambda = key == "config" && around.class == "__lambda__";
                    let code = around.code || lambda || holds_code(json, around.class, key);
                    self.value(value, &inner, &Around { class: around.class, field, code });
                }
            }
            Json::List { items, .. } => {
                for (index, value) in items.iter().enumerate() {
                    // Of code only the first is it; defaults and closure follow.
                    let code = around.code && index == 0;
                    let around = Around { code, field: if code { around.field } else { "" }, ..*around };
                    self.value(value, &format!("{place}[{index}]"), &around);
                }
            }
            Json::Text(text) => self.text(text, place, around),
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn object(&mut self, json: &Json, class: &str, place: &str) {
        let of = |key: &str| json.get(key).and_then(Json::text).filter(|text| !text.is_empty());
        let (module, registered) = (of("module"), of("registered_name"));
        match class {
            "__lambda__" => {}
            "function" => {
                self.named(place, module, of("config").unwrap_or_default(), registered, true);
                // Loaders look the function up by either name.
                let other = registered.map(|name| name.rsplit('>').next().unwrap_or(name));
                if let Some(other) = other.filter(|other| *other != "function" && Some(*other) != of("config")) {
                    self.named(place, module, other, registered, true);
                }
            }
            "__typespec__" => self.named(place, module, of("spec_name").unwrap_or_default(), registered, false),
            class => self.named(place, module, class, registered, registered == Some("function")),
        }
        let Some(config) = json.get("config") else { return };
        if is_lambda(class) {
            self.lambda(config, place);
        }
        for key in ["function", "method_name", "symbol"] {
            if matches!(class, "TFOpLambda" | "SlicingOpLambda" | "ClassMethod" | "InstanceMethod")
                && let Some(function) = config.get(key).and_then(Json::text)
            {
                self.operator(place, class, function);
            }
        }
        if let Some(definition) = config.get("node_def").and_then(Json::text) {
            let mut words =
                definition.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty());
            while let Some(word) = words.next() {
                if word == "op"
                    && let Some(operator) = words.next()
                {
                    self.operator(place, class, operator);
                }
            }
        }
    }

    /// A Lambda layer of Keras 2 that names its function instead of holding it.
    fn lambda(&mut self, config: &Json, place: &str) {
        for key in ["function", "output_shape", "mask"] {
            let of = |suffix: &str| config.get(&format!("{key}{suffix}")).and_then(Json::text);
            let kind = of("_type");
            if let (Some(name), true) = (of(""), kind != Some("lambda") && kind != Some("raw")) {
                let module = of("_module").or_else(|| config.get("module").and_then(Json::text));
                self.named(&join(place, key), module, name, None, true);
            }
        }
    }

    fn operator(&mut self, place: &str, class: &str, function: &str) {
        if self.facts.operators.len() < ENTRIES {
            let (place, class, function) = (place.to_owned(), shown(class), shown(function));
            self.facts.operators.push(OperatorFact { place, class, function });
        } else {
            self.facts.more += 1;
        }
    }

    fn named(&mut self, place: &str, module: Option<&str>, name: &str, registered: Option<&str>, function: bool) {
        let key = (module.map(shown), shown(name), registered.map(shown), function);
        if let Some(object) = self.known.get(&key).and_then(|index| self.facts.objects.get_mut(*index)) {
            object.count += 1;
            return;
        }
        if self.facts.objects.len() >= ENTRIES {
            self.facts.more += 1;
            return;
        }
        self.known.insert(key.clone(), self.facts.objects.len());
        let (module, name, registered, function) = key;
        self.facts.objects.push(ObjectFact { place: place.to_owned(), module, name, registered, function, count: 1 });
    }

    fn text(&mut self, text: &str, place: &str, around: &Around<'_>) {
        if text.len() < 3 {
            return;
        }
        if (around.code || code::may_be_base64(text)) && self.decoded < DECODED {
            self.decoded += 1;
            match code::decode(text) {
                Decoded::Pickle(bytes) => {
                    self.code(place, around.class, CodeKind::Pickle, bytes.len(), Vec::new());
                    self.parts.push((place.to_owned(), bytes));
                    return;
                }
                Decoded::Code { bytes, names } => {
                    return self.code(place, around.class, CodeKind::Marshal, bytes, names);
                }
                Decoded::Other(bytes) if around.class == "TorchModuleWrapper" && !bytes.is_empty() => {
                    self.code(place, around.class, CodeKind::Unknown, bytes.len(), Vec::new());
                    self.parts.push((place.to_owned(), bytes));
                    return;
                }
                Decoded::Other(bytes) if around.code => {
                    return self.code(place, around.class, CodeKind::Unknown, bytes.len(), code::names(&bytes));
                }
                Decoded::Other(_) => {}
            }
        } else if around.code || code::may_be_base64(text) {
            self.facts.more += 1;
        }
        let kind = PathKind::of(text);
        let field = around.field;
        let names_file = ["vocab", "file", "path", "url", "handle"].iter().any(|part| field.contains(part));
        let reads_as_place = kind != PathKind::Relative && text.len() < 4096 && !text.contains(['\n', ' ']);
        if !field.is_empty() && (names_file || reads_as_place) {
            if self.facts.files.len() < ENTRIES {
                let (place, class, field, value) =
                    (place.to_owned(), shown(around.class), shown(field), without_login(text));
                self.facts.files.push(FileField { place, class, field, value, kind });
            } else {
                self.facts.more += 1;
            }
        }
        if is_dotted(text)
            && !field.is_empty()
            && !matches!(field, "module" | "class_name" | "registered_name" | "name")
        {
            if self.facts.dotted.len() < ENTRIES {
                self.facts.dotted.push((place.to_owned(), shown(text)));
            } else {
                self.facts.more += 1;
            }
        }
    }

    fn code(&mut self, place: &str, class: &str, kind: CodeKind, bytes: usize, names: Vec<String>) {
        if self.facts.code.len() < ENTRIES {
            let (place, class) = (place.to_owned(), shown(class));
            self.facts.code.push(CodeFact { place, class, bytes: bytes as u64, kind, names });
        } else {
            self.facts.more += 1;
        }
    }
}

/// `TFOpLambda` and its kin name a function of TensorFlow.
fn is_lambda(class: &str) -> bool {
    class.rsplit(['>', '.']).next() == Some("Lambda")
}

/// Whether the value of `key` is code: of a Lambda layer, or marked as such.
fn holds_code(object: &Json, class: &str, key: &str) -> bool {
    let marked = object.get(&format!("{key}_type")).and_then(Json::text);
    let lambda = is_lambda(class) && matches!(key, "function" | "output_shape" | "mask");
    match object.get(key) {
        // A plain text is the name of a function, unless it says otherwise.
        Some(Json::Text(_)) => marked == Some("lambda") || marked == Some("raw"),
        Some(Json::List { items, .. }) => lambda && matches!(items.first(), Some(Json::Text(_))),
        Some(value @ Json::Object { .. }) => lambda && value.get("class_name").is_none(),
        _ => false,
    }
}

/// `a.b.c`, each part a name.
fn is_dotted(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.len() <= SHOWN && text.contains('.') && text.split('.').all(part)
}

fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return shown(text) };
    let host = rest.split('/').next().unwrap_or(rest);
    match host.rsplit_once('@') {
        Some((login, _)) => shown(&format!("{scheme}://…{}", rest.get(login.len()..).unwrap_or_default())),
        None => shown(text),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn join(place: &str, key: &str) -> String {
    let key = shown(key);
    if place.is_empty() { key } else { format!("{place}.{key}") }
}

#[cfg(test)]
mod tests;
