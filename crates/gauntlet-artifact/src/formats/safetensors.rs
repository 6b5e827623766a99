//! The safetensors header, read as strictly as its specification asks, and every contradiction in it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use gauntlet_core::{Limit, LimitHit, Limits};
use gauntlet_limits::ReadAt;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::tensor::TensorRow;

/// The reference implementation refuses longer headers.
const MAX_HEADER: u64 = 100_000_000;
/// Problems kept; further ones are counted.
const PROBLEMS: usize = 100;
/// Text taken from the file into facts.
const TEXT: usize = 200;

/// What a safetensors file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SafetensorsFacts {
    /// Length of the JSON header.
    pub header_len: u64,
    /// Bytes behind the header.
    pub data_len: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// Tensors by element type.
    pub dtypes: BTreeMap<String, u64>,
    /// `__metadata__`: keys and what their values look like, never the values.
    pub metadata: Vec<MetadataFact>,
    /// What contradicts the specification.
    pub problems: Vec<Problem>,
    /// Problems beyond those kept.
    pub more_problems: u64,
    /// The tensors whose range is inside the file, in the order of the header.
    #[serde(skip)]
    pub rows: Vec<TensorRow>,
    /// Where bytes start that no tensor owns, at the end of the file.
    pub tail: Option<u64>,
}

/// One entry of `__metadata__`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetadataFact {
    /// Key, cut.
    pub key: String,
    /// Bytes of the value.
    pub len: u64,
    /// It holds Jinja markers.
    pub template: bool,
    /// It holds Jinja markers and names of Python's inner attributes.
    pub template_dunder: bool,
    /// The value of a template, for those who read it; never stored.
    #[serde(skip)]
    pub text: Option<String>,
}

/// A contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub(crate) enum Problem {
    /// Fewer than 8 bytes, or the header reaches behind the end of the file.
    HeaderPastEnd { stated: u64, available: u64 },
    /// Longer than any reader accepts.
    HeaderTooLarge { stated: u64 },
    /// No JSON object, or not the one that the specification describes.
    BadHeader { message: String },
    /// A tensor's entry is not what the specification describes.
    BadEntry { tensor: String, message: String },
    /// A name occurs twice; readers differ in which one they take.
    DuplicateKey { key: String },
    /// `__metadata__` is no map of strings.
    BadMetadata { message: String },
    /// An element type that the specification does not have.
    UnknownType { tensor: String, dtype: String },
    /// End before begin.
    EndBeforeBegin { tensor: String },
    /// The range leaves the file.
    PastEnd { tensor: String, end: u64, data_len: u64 },
    /// The range has another length than type and shape ask for.
    SizeMismatch { tensor: String, stated: u64, expected: u64 },
    /// The product of the shape exceeds 64 bits.
    Overflow { tensor: String },
    /// Two tensors share bytes.
    Overlap { first: String, second: String },
    /// Bytes between tensors that belong to none.
    Hole { offset: u64, len: u64 },
    /// Bytes behind the last tensor.
    Tail { len: u64 },
}

/// Why the header was not judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Limit(#[from] LimitHit),
}

/// Whether the first bytes are those of a safetensors file of `size` bytes.
pub(crate) fn looks_like(prefix: &[u8], size: u64) -> bool {
    let Some((len, rest)) = prefix.split_first_chunk::<8>() else { return false };
    let len = u64::from_le_bytes(*len);
    let json =
        rest.first() == Some(&b'{') && rest.get(1).is_none_or(|b| matches!(b, b'"' | b'}' | b' ' | b'\n' | b'\t'));
    json && len >= 2 && len <= size.saturating_sub(8)
}

/// Reads and checks the header. Tensor data is not touched.
///
/// # Errors
/// I/O errors; a header above `limits.header_bytes`, or more tensors than `limits.nodes`.
pub(crate) fn read(source: &dyn ReadAt, limits: &Limits) -> Result<SafetensorsFacts, HeaderError> {
    read_entries(source, limits, &mut |_, _| {})
}

/// Where tensor data starts, and every tensor with its place behind that; `None` when anything contradicts the
/// specification.
///
/// # Errors
/// As [`read`].
pub(crate) fn table(source: &dyn ReadAt, limits: &Limits) -> Result<Option<Table>, HeaderError> {
    let mut entries = Vec::new();
    let facts = read_entries(source, limits, &mut |name, entry| entries.push((name, entry)))?;
    let sound = facts.problems.is_empty() && facts.more_problems == 0;
    Ok(sound.then(|| (8 + facts.header_len, entries)))
}

/// What [`table`] gives.
pub(crate) type Table = (u64, Vec<(String, Entry)>);

fn read_entries(
    source: &dyn ReadAt,
    limits: &Limits,
    each: &mut dyn FnMut(String, Entry),
) -> Result<SafetensorsFacts, HeaderError> {
    let mut facts = SafetensorsFacts::default();
    let available = source.size().saturating_sub(8);
    let mut len = [0; 8];
    if source.size() < 8 {
        facts.problem(Problem::HeaderPastEnd { stated: 8, available: source.size() });
        return Ok(facts);
    }
    source.read_exact_at(0, &mut len)?;
    facts.header_len = u64::from_le_bytes(len);
    if facts.header_len > available {
        facts.problem(Problem::HeaderPastEnd { stated: facts.header_len, available });
        return Ok(facts);
    }
    facts.data_len = available - facts.header_len;
    if facts.header_len > MAX_HEADER {
        facts.problem(Problem::HeaderTooLarge { stated: facts.header_len });
        return Ok(facts);
    }
    limits.check(Limit::HeaderBytes, facts.header_len)?;
    let header = source.read_block(8, facts.header_len, limits)?;
    if header.first() != Some(&b'{') {
        facts.problem(Problem::BadHeader { message: "does not start with {".to_owned() });
        return Ok(facts);
    }
    let parsed = match serde_json::from_slice::<Header<'_>>(&header) {
        Ok(parsed) => parsed,
        Err(error) => {
            facts.problem(Problem::BadHeader { message: cut(&error.to_string()) });
            return Ok(facts);
        }
    };
    limits.check(Limit::Nodes, parsed.entries.len() as u64)?;
    facts.judge(parsed, each);
    Ok(facts)
}

impl SafetensorsFacts {
    fn judge(&mut self, header: Header<'_>, each: &mut dyn FnMut(String, Entry)) {
        for key in header.duplicates {
            self.problem(Problem::DuplicateKey { key });
        }
        let mut ranges = Vec::new();
        for (name, raw) in header.entries {
            if name == "__metadata__" {
                self.metadata(raw);
                continue;
            }
            self.tensors += 1;
            match serde_json::from_str::<Entry>(raw.get()) {
                Ok(entry) => {
                    self.tensor(&name, &entry, &mut ranges);
                    each(name, entry);
                }
                Err(error) => self.problem(Problem::BadEntry { tensor: cut(&name), message: cut(&error.to_string()) }),
            }
        }
        self.layout(ranges);
    }

    fn tensor(&mut self, name: &str, entry: &Entry, ranges: &mut Vec<(u64, u64, String)>) {
        let tensor = cut(name);
        let [begin, end] = entry.data_offsets;
        *self.dtypes.entry(cut(&entry.dtype)).or_default() += 1;
        if end < begin {
            self.problem(Problem::EndBeforeBegin { tensor });
            return;
        }
        if end > self.data_len {
            self.problem(Problem::PastEnd { tensor: tensor.clone(), end, data_len: self.data_len });
        }
        match bits(&entry.dtype) {
            None => self.problem(Problem::UnknownType { tensor: tensor.clone(), dtype: cut(&entry.dtype) }),
            Some(bits) => {
                let size = entry.shape.iter().try_fold(bits, |product, dim| product.checked_mul(*dim));
                match size {
                    None => self.problem(Problem::Overflow { tensor: tensor.clone() }),
                    Some(bits) if !bits.is_multiple_of(8) || bits / 8 != end - begin => {
                        let expected = bits.div_ceil(8);
                        self.problem(Problem::SizeMismatch { tensor: tensor.clone(), stated: end - begin, expected });
                    }
                    Some(_) => {}
                }
            }
        }
        if end <= self.data_len {
            let (dtype, offset) = (cut(&entry.dtype), 8 + self.header_len + begin);
            let shape = entry.shape.clone();
            self.rows.push(TensorRow { name: tensor.clone(), dtype, shape, offset, bytes: end - begin });
        }
        ranges.push((begin, end, tensor));
    }

    /// The specification asks for ranges that cover the data exactly once.
    fn layout(&mut self, mut ranges: Vec<(u64, u64, String)>) {
        ranges.sort();
        let mut covered = 0;
        let mut owner = String::new();
        for (begin, end, tensor) in ranges {
            if begin > covered {
                self.problem(Problem::Hole { offset: covered, len: begin - covered });
            } else if begin < covered && end > begin {
                self.problem(Problem::Overlap { first: owner.clone(), second: tensor.clone() });
            }
            if end > covered {
                covered = end;
                owner = tensor;
            }
        }
        if covered < self.data_len {
            self.tail = Some(8 + self.header_len + covered);
            self.problem(Problem::Tail { len: self.data_len - covered });
        }
    }

    fn metadata(&mut self, raw: &RawValue) {
        match serde_json::from_str::<Map<String>>(raw.get()) {
            Ok(map) => {
                for key in map.duplicates {
                    self.problem(Problem::DuplicateKey { key: format!("__metadata__.{key}") });
                }
                self.metadata = map.entries.iter().take(1000).map(|(key, value)| metadata_fact(key, value)).collect();
            }
            Err(error) => self.problem(Problem::BadMetadata { message: cut(&error.to_string()) }),
        }
    }

    fn problem(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }
}

fn metadata_fact(key: &str, value: &str) -> MetadataFact {
    let template = value.contains("{{") || value.contains("{%");
    let inner = ["__class__", "__globals__", "__mro__", "__subclasses__", "__builtins__", "__import__", "__init__"];
    MetadataFact {
        key: cut(key),
        len: value.len() as u64,
        template,
        text: template.then(|| value.to_owned()),
        template_dunder: template && (inner.iter().any(|name| value.contains(name)) || value.contains("\\x5f")),
    }
}

/// Bits of an element, safetensors 0.8.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// One tensor as the header describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Element type.
    pub(crate) dtype: String,
    /// Shape.
    pub(crate) shape: Vec<u64>,
    /// First byte and the one behind the last, counted from where tensor data starts.
    pub(crate) data_offsets: [u64; 2],
}

/// An object whose keys are kept in order, repeated ones noted instead of silently replaced.
struct Map<V> {
    entries: Vec<(String, V)>,
    duplicates: Vec<String>,
}

type Header<'a> = Map<&'a RawValue>;

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Map<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Map<V>, A::Error> {
                let mut keys = HashSet::new();
                let mut entries = Vec::new();
                let mut duplicates = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, V>()? {
                    if !keys.insert(key.clone()) {
                        if duplicates.len() > PROBLEMS {
                            return Err(A::Error::custom("too many duplicate keys"));
                        }
                        duplicates.push(cut(&key));
                    }
                    entries.push((key, value));
                }
                Ok(Map { entries, duplicates })
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(header: &str, data: usize) -> SafetensorsFacts {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat();
        read(&bytes, &Limits::default()).unwrap()
    }

    fn tensor(name: &str, len: u64, begin: u64, end: u64) -> String {
        format!(r#""{name}":{{"dtype":"F32","shape":[{len}],"data_offsets":[{begin},{end}]}}"#)
    }

    #[test]
    fn honest_files_have_no_problems() {
        let header = format!(
            r#"{{"__metadata__":{{"format":"pt"}},{},{},"e":{{"dtype":"F32","shape":[0],"data_offsets":[16,16]}}}}   "#,
            tensor("b", 4, 16, 32),
            tensor("a", 4, 0, 16)
        );
        let facts = facts(&header, 32);
        assert_eq!(facts.problems, []);
        assert_eq!((facts.tensors, facts.dtypes["F32"], facts.metadata.len()), (3, 3, 1));
        assert_eq!(
            super::read(&[8u64.to_le_bytes().as_slice(), b"{}      "].concat(), &Limits::default()).unwrap().problems,
            []
        );
    }

    #[test]
    fn each_contradiction_is_named() {
        let one = |entry: String, data| facts(&format!("{{{entry}}}"), data).problems;
        assert!(matches!(one(tensor("a", 4, 0, 16) + "," + &tensor("b", 4, 8, 24), 24)[..], [Problem::Overlap { .. }]));
        assert!(matches!(
            one(tensor("a", 4, 0, 16) + "," + &tensor("b", 4, 64, 80), 80)[..],
            [Problem::Hole { offset: 16, len: 48 }]
        ));
        assert!(matches!(one(tensor("a", 4, 0, 16), 20)[..], [Problem::Tail { len: 4 }]));
        assert!(matches!(one(tensor("a", 9, 0, 16), 16)[..], [Problem::SizeMismatch { expected: 36, .. }]));
        assert!(matches!(one(tensor("a", 4, 16, 0), 0)[..], [Problem::EndBeforeBegin { .. }]));
        assert!(matches!(one(tensor("a", 4, 0, 16), 4)[..], [Problem::PastEnd { .. }]));
        assert!(matches!(one(tensor("a", 1 << 63, 0, 0), 0)[..], [Problem::Overflow { .. }]));
        let twice = tensor("a", 4, 0, 16) + "," + &tensor("a", 4, 0, 16);
        assert!(one(twice, 16).contains(&Problem::DuplicateKey { key: "a".into() }));
        assert!(matches!(
            one(r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}"#.into(), 4)[0],
            Problem::BadEntry { .. }
        ));
        assert!(matches!(one(r#""__metadata__":{"a":1}"#.into(), 0)[..], [Problem::BadMetadata { .. }]));
        assert!(matches!(facts(&"[".repeat(100_000), 0).problems[..], [Problem::BadHeader { .. }]));
        assert!(matches!(facts(&("{\"a\":".repeat(5000)), 0).problems[..], [Problem::BadHeader { .. }]));
    }

    #[test]
    fn lengths_that_lie_are_problems_or_limits() {
        let read = |bytes: Vec<u8>| super::read(&bytes, &Limits::default());
        assert!(matches!(read(vec![1, 2]).unwrap().problems[..], [Problem::HeaderPastEnd { .. }]));
        assert!(matches!(read(vec![0xff; 20]).unwrap().problems[..], [Problem::HeaderPastEnd { .. }]));
        let limits = Limits { header_bytes: 4, ..Limits::default() };
        let bytes = [&8u64.to_le_bytes()[..], b"{}      "].concat();
        assert!(matches!(super::read(&bytes, &limits), Err(HeaderError::Limit(_))));
    }

    #[test]
    fn templates_in_metadata_are_told_from_text() {
        let facts = facts(r#"{"__metadata__":{"a":"import os; eval(...)","t":"{{ x.__class__ }}","u":"{{ x }}"}}"#, 0);
        let flags: Vec<_> = facts.metadata.iter().map(|m| (m.template, m.template_dunder)).collect();
        assert_eq!(flags, [(false, false), (true, true), (true, false)]);
    }
}
