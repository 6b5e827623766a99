//! GGUF headers (ggml's `docs/gguf.md`, versions 1 to 3, both byte orders): every count and offset checked before use.

use std::collections::HashSet;
use std::io::{self, Read};

use gauntlet_limits::{Budget, Cursor, Limit, LimitHit, ReadAt, Stream};
use serde::{Deserialize, Serialize};

/// First bytes.
pub(crate) const MAGIC: &[u8] = b"GGUF";

/// Tensors, entries and problems of each kind that are kept.
const KEPT: usize = 20_000;
const PROBLEMS: usize = 200;
/// Characters of a name or key that are kept.
const NAME: usize = 300;
/// The specification's longest key.
const KEY_BYTES: u64 = 65_535;
/// What ggml allocates for; files with more dimensions overflow its arrays (CVE-2024-21802).
const DIMENSIONS: u32 = 4;
const ALIGNMENT: u64 = 32;
/// Keys under which loaders find templates.
const TEMPLATE_KEY: &str = "tokenizer.chat_template";
/// Texts up to here are looked at as templates; the longest real one is some 30 KB.
const TEMPLATE_BYTES: u64 = 1 << 20;
/// Padding is shorter than this.
const TAIL_BYTES: u64 = 1 << 20;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GgufFacts {
    pub version: u32,
    pub big_endian: bool,
    /// Entries that the header promises.
    pub entry_count: u64,
    /// Tensors that the header promises.
    pub tensor_count: u64,
    pub architecture: Option<String>,
    pub alignment: u64,
    pub entries: Vec<Entry>,
    pub tensors: Vec<Tensor>,
    /// Entries and tensors beyond those kept.
    pub more: u64,
    /// Where tensor data begins.
    pub data: u64,
    /// First byte behind the last tensor, when something is there.
    pub tail: Option<u64>,
    pub problems: Vec<Problem>,
    pub more_problems: u64,
}

/// A key of the metadata; values are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub key: String,
    /// Type code of the value, or of an array's elements.
    pub kind: u32,
    /// Elements of an array.
    pub array: Option<u64>,
}

/// One tensor's header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tensor {
    pub name: String,
    /// ggml's type code.
    pub kind: u32,
    pub shape: Vec<u64>,
    /// From the start of the tensor data.
    pub offset: u64,
    /// Bytes, when type and shape say so.
    pub bytes: Option<u64>,
}

/// A contradiction in a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub(crate) enum Problem {
    Version { version: u32 },
    Truncated { offset: u64, what: String },
    EntryCount { stated: u64, possible: u64 },
    TensorCount { stated: u64, possible: u64 },
    StringLength { offset: u64, stated: u64, available: u64 },
    KeyLength { offset: u64, stated: u64 },
    ArrayLength { key: String, stated: u64, available: u64 },
    NestedArray { key: String },
    ValueType { key: String, kind: u32 },
    Bool { key: String, value: u8 },
    DuplicateKey { key: String },
    NotUtf8 { offset: u64 },
    Alignment { value: u64 },
    Dimensions { tensor: String, count: u32 },
    Overflow { tensor: String },
    TensorType { tensor: String, kind: u32 },
    Blocks { tensor: String, row: u64, block: u64 },
    Misaligned { tensor: String, offset: u64 },
    PastEnd { tensor: String, end: u64, available: u64 },
    DuplicateTensor { tensor: String },
    Overlap { first: String, second: String },
    Hole { offset: u64, bytes: u64 },
    Tail { bytes: u64, zeros: bool },
}

/// A text of the metadata that may be a template.
#[derive(Debug)]
pub(crate) struct Text {
    pub key: String,
    pub bytes: Vec<u8>,
}

/// Why a header could not be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GgufError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// Reads the header; tensor data is not touched. Contradictions are facts, and reading ends at the first one behind which
/// nothing can be trusted.
///
/// # Errors
/// When the medium fails or a limit is hit.
pub(crate) fn read(source: &dyn ReadAt, budget: &Budget) -> Result<(GgufFacts, Vec<Text>), GgufError> {
    let mut header = Header {
        source,
        cursor: Cursor::new(source, MAGIC.len() as u64),
        size: source.size(),
        budget,
        facts: GgufFacts { alignment: ALIGNMENT, ..GgufFacts::default() },
        texts: Vec::new(),
    };
    match header.read() {
        Ok(()) => {}
        Err(Stop::Told) => {}
        Err(Stop::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let offset = header.cursor.position();
            header.facts.problem(Problem::Truncated { offset, what: "the header".to_owned() });
        }
        Err(Stop::Io(error)) => return Err(error.into()),
        Err(Stop::Limit(hit)) => return Err(hit.into()),
    }
    Ok((header.facts, header.texts))
}

/// Why reading ends early.
enum Stop {
    /// A problem was noted; what follows cannot be located.
    Told,
    Io(io::Error),
    Limit(LimitHit),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LimitHit> for Stop {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}

struct Header<'a> {
    source: &'a dyn ReadAt,
    cursor: Cursor<'a>,
    size: u64,
    budget: &'a Budget,
    facts: GgufFacts,
    texts: Vec<Text>,
}

impl Header<'_> {
    fn read(&mut self) -> Result<(), Stop> {
        let raw = self.bytes::<4>()?;
        let (little, big) = (u32::from_le_bytes(raw), u32::from_be_bytes(raw));
        self.facts.big_endian = little > 0xffff && big <= 0xffff;
        self.facts.version = if self.facts.big_endian { big } else { little };
        if !(1..=3).contains(&self.facts.version) {
            return self.stop(Problem::Version { version: self.facts.version });
        }
        self.facts.tensor_count = self.count()?;
        self.facts.entry_count = self.count()?;
        // The smallest entry is an empty key, a type and a byte; the smallest tensor a name, dimensions, type and offset.
        let (length, left) = (self.length_bytes(), self.left());
        let (entry, tensor) = (length + 5, length + 16);
        if self.facts.entry_count > left / entry {
            return self.stop(Problem::EntryCount { stated: self.facts.entry_count, possible: left / entry });
        }
        if self.facts.tensor_count > left / tensor {
            return self.stop(Problem::TensorCount { stated: self.facts.tensor_count, possible: left / tensor });
        }
        self.entries()?;
        self.tensors()
    }

    fn entries(&mut self) -> Result<(), Stop> {
        let mut seen = HashSet::new();
        for _ in 0..self.facts.entry_count {
            self.budget.steps(1)?;
            let offset = self.cursor.position();
            let length = self.string_length()?;
            if length > KEY_BYTES {
                return self.stop(Problem::KeyLength { offset, stated: length });
            }
            let key = self.text(offset, length)?;
            if !seen.insert(key.clone()) {
                self.facts.problem(Problem::DuplicateKey { key: key.clone() });
            }
            self.budget.limits().check(Limit::Nodes, seen.len() as u64)?;
            let kind = self.u32()?;
            let array = self.value(&key, kind)?;
            let kind = array.map_or(kind, |(kind, _)| kind);
            if self.facts.entries.len() < KEPT {
                self.facts.entries.push(Entry { key, kind, array: array.map(|(_, n)| n) });
            } else {
                self.facts.more += 1;
            }
        }
        Ok(())
    }

    /// Consumes a value; element type and length when it is an array.
    fn value(&mut self, key: &str, kind: u32) -> Result<Option<(u32, u64)>, Stop> {
        if key == "general.alignment" && kind != UINT32 {
            self.facts.problem(Problem::ValueType { key: key.to_owned(), kind });
        }
        match kind {
            STRING => {
                self.string_value(key)?;
                Ok(None)
            }
            ARRAY => self.array(key).map(Some),
            BOOL => {
                let [value] = self.bytes::<1>()?;
                if value > 1 {
                    self.facts.problem(Problem::Bool { key: key.to_owned(), value });
                }
                Ok(None)
            }
            UINT32 if key == "general.alignment" => {
                let value = u64::from(self.u32()?);
                self.alignment(value);
                Ok(None)
            }
            _ => match width(kind) {
                Some(bytes) => {
                    self.skip(bytes, key)?;
                    Ok(None)
                }
                None => self.stop(Problem::ValueType { key: key.to_owned(), kind }),
            },
        }
    }

    fn alignment(&mut self, value: u64) {
        if value.is_power_of_two() && value.is_multiple_of(8) {
            self.facts.alignment = value;
        } else {
            self.facts.problem(Problem::Alignment { value });
        }
    }

    fn string_value(&mut self, key: &str) -> Result<(), Stop> {
        let offset = self.cursor.position();
        let length = self.string_length()?;
        if key == "general.architecture" {
            self.facts.architecture = Some(self.text(offset, length)?);
        } else if length <= TEMPLATE_BYTES || key.starts_with(TEMPLATE_KEY) {
            self.budget.limits().check(Limit::HeaderBytes, length)?;
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            self.cursor.read_exact(&mut bytes)?;
            if key.starts_with(TEMPLATE_KEY) || contains_template(&bytes) {
                self.texts.push(Text { key: key.to_owned(), bytes });
            }
        } else {
            self.skip(length, key)?;
        }
        Ok(())
    }

    fn array(&mut self, key: &str) -> Result<(u32, u64), Stop> {
        let kind = self.u32()?;
        let length = self.count()?;
        let least = match kind {
            STRING => self.length_bytes(),
            ARRAY => return self.stop(Problem::NestedArray { key: key.to_owned() }),
            _ => match width(kind) {
                Some(bytes) => bytes,
                None => return self.stop(Problem::ValueType { key: key.to_owned(), kind }),
            },
        };
        let available = self.left();
        if length > available / least {
            return self.stop(Problem::ArrayLength { key: key.to_owned(), stated: length, available });
        }
        if kind == STRING {
            for _ in 0..length {
                self.budget.steps(1)?;
                if key.starts_with(TEMPLATE_KEY) {
                    self.string_value(key)?;
                    continue;
                }
                let length = self.string_length()?;
                self.skip(length, key)?;
            }
        } else {
            self.skip(length * least, key)?;
        }
        Ok((kind, length))
    }

    fn tensors(&mut self) -> Result<(), Stop> {
        let mut ranges = Vec::new();
        let mut seen = HashSet::new();
        for _ in 0..self.facts.tensor_count {
            self.budget.steps(1)?;
            let offset = self.cursor.position();
            let length = self.string_length()?;
            if length > KEY_BYTES {
                return self.stop(Problem::KeyLength { offset, stated: length });
            }
            let name = self.text(offset, length)?;
            if !seen.insert(name.clone()) {
                self.facts.problem(Problem::DuplicateTensor { tensor: name.clone() });
            }
            self.budget.limits().check(Limit::Nodes, seen.len() as u64)?;
            let dimensions = self.u32()?;
            if dimensions > DIMENSIONS {
                return self.stop(Problem::Dimensions { tensor: name, count: dimensions });
            }
            let mut shape = Vec::new();
            for _ in 0..dimensions {
                shape.push(self.count()?);
            }
            let kind = self.u32()?;
            let offset = self.u64()?;
            let tensor = Tensor { bytes: self.facts.size_of(&name, kind, &shape), name, kind, shape, offset };
            if !tensor.offset.is_multiple_of(self.facts.alignment) {
                self.facts.problem(Problem::Misaligned { tensor: tensor.name.clone(), offset });
            }
            if let Some(bytes) = tensor.bytes {
                ranges.push((tensor.offset, bytes, tensor.name.clone()));
            }
            if self.facts.tensors.len() < KEPT {
                self.facts.tensors.push(tensor);
            } else {
                self.facts.more += 1;
            }
        }
        self.facts.data = self.cursor.position().next_multiple_of(self.facts.alignment);
        let complete = ranges.len() as u64 == self.facts.tensor_count;
        self.facts.layout(ranges, self.size, complete);
        self.tail()?;
        Ok(())
    }

    /// What stands behind the last tensor; zeros are padding.
    fn tail(&mut self) -> Result<(), Stop> {
        let Some(offset) = self.facts.tail else { return Ok(()) };
        let bytes = self.size - offset;
        let mut tail = Cursor::new(self.source, offset).take(TAIL_BYTES);
        let mut zeros = bytes <= TAIL_BYTES;
        let mut block = [0; 4096];
        while zeros {
            match tail.read(&mut block)? {
                0 => break,
                n => zeros = block.iter().take(n).all(|byte| *byte == 0),
            }
        }
        if zeros {
            self.facts.tail = None;
        }
        self.facts.problem(Problem::Tail { bytes, zeros });
        Ok(())
    }

    fn stop<T>(&mut self, problem: Problem) -> Result<T, Stop> {
        self.facts.problem(problem);
        Err(Stop::Told)
    }

    fn left(&self) -> u64 {
        self.size.saturating_sub(self.cursor.position())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut raw = [0; N];
        self.cursor.read_exact(&mut raw)?;
        Ok(raw)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        let raw = self.bytes()?;
        Ok(if self.facts.big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        let raw = self.bytes()?;
        Ok(if self.facts.big_endian { u64::from_be_bytes(raw) } else { u64::from_le_bytes(raw) })
    }

    /// Counts and lengths had 32 bits in the first version.
    fn count(&mut self) -> Result<u64, Stop> {
        if self.facts.version == 1 { self.u32().map(u64::from) } else { self.u64() }
    }

    fn length_bytes(&self) -> u64 {
        if self.facts.version == 1 { 4 } else { 8 }
    }

    fn string_length(&mut self) -> Result<u64, Stop> {
        let offset = self.cursor.position();
        let stated = self.count()?;
        let available = self.left();
        if stated > available {
            return self.stop(Problem::StringLength { offset, stated, available });
        }
        Ok(stated)
    }

    /// A name of `length` bytes, which are there.
    fn text(&mut self, offset: u64, length: u64) -> Result<String, Stop> {
        self.budget.limits().check(Limit::HeaderBytes, length)?;
        let mut raw = vec![0; usize::try_from(length).unwrap_or(0)];
        self.cursor.read_exact(&mut raw)?;
        if std::str::from_utf8(&raw).is_err() {
            self.facts.problem(Problem::NotUtf8 { offset });
        }
        Ok(String::from_utf8_lossy(&raw).chars().take(NAME).collect())
    }

    fn skip(&mut self, bytes: u64, what: &str) -> Result<(), Stop> {
        if self.cursor.skip(bytes)? < bytes {
            let offset = self.cursor.position();
            return self.stop(Problem::Truncated { offset, what: format!("the value of `{what}`") });
        }
        Ok(())
    }
}

impl GgufFacts {
    /// Bytes of a tensor, noting why when they cannot be told.
    fn size_of(&mut self, tensor: &str, kind: u32, shape: &[u64]) -> Option<u64> {
        let tensor = tensor.to_owned();
        let Some((block, bytes)) = block(kind) else {
            self.problem(Problem::TensorType { tensor, kind });
            return None;
        };
        // ggml keeps counts as signed numbers.
        let elements = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim)).filter(|n| i64::try_from(*n).is_ok());
        let Some(elements) = elements else {
            self.problem(Problem::Overflow { tensor });
            return None;
        };
        let row = shape.first().copied().unwrap_or(1);
        if !row.is_multiple_of(block) {
            self.problem(Problem::Blocks { tensor, row, block });
            return None;
        }
        let size = (elements / block).checked_mul(bytes);
        if size.is_none() {
            self.problem(Problem::Overflow { tensor });
        }
        size
    }

    /// Tensors stand one behind the other, each padded to the alignment. Holes and tails mean something only when the
    /// size of every tensor is known.
    fn layout(&mut self, mut ranges: Vec<(u64, u64, String)>, size: u64, complete: bool) {
        let available = size.saturating_sub(self.data);
        ranges.sort();
        let (mut covered, mut owner) = (0_u64, String::new());
        for (offset, bytes, name) in ranges {
            let end = offset.saturating_add(bytes);
            if end > available {
                self.problem(Problem::PastEnd { tensor: name.clone(), end, available });
            }
            if offset < covered && bytes > 0 {
                self.problem(Problem::Overlap { first: owner.clone(), second: name.clone() });
            } else if complete && offset > covered.next_multiple_of(self.alignment) {
                self.problem(Problem::Hole { offset: self.data + covered, bytes: offset - covered });
            }
            if end > covered {
                covered = end.min(available.max(covered));
                owner = name;
            }
        }
        let padded = covered.next_multiple_of(self.alignment);
        if complete && padded < available {
            self.tail = Some(self.data + padded);
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

fn contains_template(bytes: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
    has(b"{{") || has(b"{%")
}

const UINT32: u32 = 4;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a scalar value.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        UINT32 | 5 | 6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Elements and bytes of a block of ggml's tensor types (ggml.h as of 2026); retired types have none.
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        2 | 20 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 40),
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        24 => (1, 1),
        27 | 28 => (1, 8),
        29 => (256, 56),
        34 => (256, 54),
        39 => (32, 17),
        40 => (64, 36),
        41 => (128, 18),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_limits::Limits;

    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// A file with one text entry, one array of texts and one tensor of `values` F32 values.
    fn sample(values: u64) -> Vec<u8> {
        let mut file = [MAGIC, &3_u32.to_le_bytes(), &1_u64.to_le_bytes(), &2_u64.to_le_bytes()].concat();
        file.extend(
            [string("tokenizer.chat_template"), STRING.to_le_bytes().into(), string("{{ messages }}")].concat(),
        );
        let tokens = [string("tokenizer.ggml.tokens"), ARRAY.to_le_bytes().into(), STRING.to_le_bytes().into()];
        file.extend([tokens.concat(), 2_u64.to_le_bytes().into(), string("a"), string("b")].concat());
        file.extend([string("t"), 1_u32.to_le_bytes().into(), values.to_le_bytes().into()].concat());
        file.extend([&0_u32.to_le_bytes()[..], &0_u64.to_le_bytes()].concat());
        file.resize(file.len().next_multiple_of(32) + 16, 0);
        file
    }

    fn read(file: &[u8]) -> (GgufFacts, Vec<Text>) {
        super::read(&file.to_vec(), &Budget::new(Limits::default())).unwrap()
    }

    #[test]
    fn well_formed_files_have_no_problems() {
        let (facts, texts) = read(&sample(4));
        assert_eq!(facts.problems, []);
        assert_eq!((facts.entries.len(), facts.tensors.len()), (2, 1));
        assert_eq!(texts[0].bytes, b"{{ messages }}");
    }

    #[test]
    fn every_count_is_held_against_the_file() {
        let mut tensors = sample(4);
        tensors[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(read(&tensors).0.problems[..], [Problem::TensorCount { .. }]));
        let mut entries = sample(4);
        entries[16..24].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        assert!(matches!(read(&entries).0.problems[..], [Problem::EntryCount { .. }]));
        assert!(matches!(read(&sample(u64::MAX)).0.problems[..], [Problem::Overflow { .. }]));
        assert!(matches!(read(&sample(400)).0.problems[..], [Problem::PastEnd { .. }]));
        assert!(matches!(read(&sample(2)).0.problems[..], []), "padding up to the alignment is no tail");
        let mut tail = sample(4);
        tail.resize(tail.len() + 100, b'x');
        assert!(matches!(read(&tail).0.problems[..], [Problem::Tail { bytes: 84, zeros: false }]));
    }

    #[test]
    fn mutations_neither_panic_nor_hang() {
        let seed = sample(4);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound.max(1) as u64).unwrap()
        };
        for _ in 0..20_000 {
            let mut file = seed.clone();
            for _ in 0..=next(3) {
                let at = next(file.len());
                file[at] = [0, 1, 0x7f, 0xff, next(256) as u8][next(5)];
            }
            file.truncate(next(4 * seed.len()).max(4));
            if file.starts_with(MAGIC) {
                let _ = read(&file);
            }
        }
    }
}
