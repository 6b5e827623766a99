//! MessagePack as Flax writes it (`flax.serialization`): a map of names to arrays, arrays as extension type 1.

use std::io::{self, Read};

use gauntlet_limits::{Budget, Cursor, Limit, LimitHit, ReadAt, Stream};
use serde::{Deserialize, Serialize};

/// Lists and maps inside each other; Flax's own reader is recursive.
const DEPTH: usize = 256;
const KEPT: usize = 10_000;
const NAME: usize = 200;
/// Texts shorter than this hold no file.
const SHORTEST: u64 = 8;
/// Bytes of the largest scalar with its type.
const SCALAR: u64 = 64;

/// What a document holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MsgpackFacts {
    /// Values of any kind.
    pub values: u64,
    pub arrays: Vec<Array>,
    /// Extension types other than Flax's: type code, offset and bytes of the content.
    pub extensions: Vec<(i8, u64, u64)>,
    pub problems: Vec<Problem>,
    pub more: u64,
    /// First byte behind the document, when something is there.
    pub tail: Option<u64>,
}

/// An array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Array {
    /// The names around it, joined with `/`.
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    pub offset: u64,
    pub bytes: u64,
}

/// A contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub(crate) enum Problem {
    /// A length that the file cannot hold.
    PastEnd { offset: u64, stated: u64, available: u64 },
    /// Nested more than [`DEPTH`] levels.
    Depth { offset: u64 },
    /// A byte that begins nothing.
    Marker { offset: u64, marker: u8 },
    /// The document ends inside a value.
    Truncated { offset: u64 },
    /// An array extension that does not hold what its type and shape say.
    Array { name: String, offset: u64 },
}

/// Bytes that may hold a file: name, offset and length.
pub(crate) type Blob = (String, u64, u64);

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MsgpackError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// Whether bytes begin like a map with a first name and a container or array in it; weak, since most bytes mean something
/// in this format.
pub(crate) fn looks_like(prefix: &[u8]) -> bool {
    let rest = match prefix {
        [0x81..=0x8f, rest @ ..] | [0xde, _, _, rest @ ..] => rest,
        _ => return false,
    };
    let (name, rest) = match rest {
        [len @ 0xa1..=0xbf, rest @ ..] => rest.split_at_checked(usize::from(len & 0x1f)).unwrap_or_default(),
        [0xd9, len, rest @ ..] => rest.split_at_checked(usize::from(*len)).unwrap_or_default(),
        _ => return false,
    };
    let printable = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    // Flax stores maps down to arrays, which are extension type 1.
    printable
        && match rest {
            [0x81..=0x8f | 0xde, next, ..] => matches!(next, 0xa1..=0xbf | 0xd9 | 0),
            [0xc7, _, 1, ..] | [0xc8, _, _, 1, ..] | [0xc9, _, _, _, _, 1, ..] => true,
            _ => false,
        }
}

/// Reads one document and says where byte strings and extensions lie. Contradictions end reading and are facts.
///
/// # Errors
/// When the medium fails or a limit is hit.
pub(crate) fn read(source: &dyn ReadAt, budget: &Budget) -> Result<(MsgpackFacts, Vec<Blob>), MsgpackError> {
    let mut reader = Reader {
        cursor: Cursor::new(source, 0),
        source,
        budget,
        facts: MsgpackFacts::default(),
        blobs: Vec::new(),
        open: Vec::new(),
    };
    match reader.document() {
        Ok(()) => {
            let end = reader.cursor.position();
            reader.facts.tail = (end < source.size()).then_some(end);
        }
        Err(Stop::Problem(problem)) => reader.facts.problems.push(problem),
        Err(Stop::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let offset = reader.cursor.position();
            reader.facts.problems.push(Problem::Truncated { offset });
        }
        Err(Stop::Io(error)) => return Err(error.into()),
        Err(Stop::Limit(hit)) => return Err(hit.into()),
    }
    Ok((reader.facts, reader.blobs))
}

enum Stop {
    Problem(Problem),
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

/// A list or map that is being read.
struct Open {
    /// Values to come; a map counts keys and values.
    left: u64,
    map: bool,
    /// The last key.
    name: String,
}

/// What a value turned out to be.
enum Value {
    Text(String),
    Container { len: u64, map: bool },
    Other,
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    source: &'a dyn ReadAt,
    budget: &'a Budget,
    facts: MsgpackFacts,
    blobs: Vec<Blob>,
    open: Vec<Open>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), Stop> {
        loop {
            self.budget.steps(1)?;
            self.facts.values += 1;
            let value = self.value()?;
            if let Some(open) = self.open.last_mut() {
                open.left = open.left.saturating_sub(1);
                if let Value::Text(text) = &value
                    && open.map
                    && open.left % 2 == 1
                {
                    open.name.clone_from(text);
                }
            }
            if let Value::Container { len, map } = value {
                let offset = self.cursor.position();
                if self.open.len() >= DEPTH {
                    return Err(Stop::Problem(Problem::Depth { offset }));
                }
                self.hold(len)?;
                self.open.push(Open { left: if map { 2 * len } else { len }, map, name: String::new() });
            }
            while self.open.last().is_some_and(|open| open.left == 0) {
                self.open.pop();
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn value(&mut self) -> Result<Value, Stop> {
        let offset = self.cursor.position();
        let [marker] = self.bytes()?;
        Ok(match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Value::Other,
            0x80..=0x8f => Value::Container { len: u64::from(marker & 0xf), map: true },
            0x90..=0x9f => Value::Container { len: u64::from(marker & 0xf), map: false },
            0xa0..=0xbf => self.text(u64::from(marker & 0x1f))?,
            0xc4..=0xc6 => {
                let len = self.length(marker - 0xc4)?;
                self.blob(len)?
            }
            0xc7..=0xc9 => {
                let len = self.length(marker - 0xc7)?;
                self.extension(len)?
            }
            0xca | 0xce | 0xd2 => self.skip(4)?,
            0xcb | 0xcf | 0xd3 => self.skip(8)?,
            0xcc | 0xd0 => self.skip(1)?,
            0xcd | 0xd1 => self.skip(2)?,
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.length(marker - 0xd9)?;
                self.text(len)?
            }
            0xdc | 0xdd => Value::Container { len: self.length(marker - 0xdc + 1)?, map: false },
            0xde | 0xdf => Value::Container { len: self.length(marker - 0xde + 1)?, map: true },
            0xc1 => return Err(Stop::Problem(Problem::Marker { offset, marker })),
        })
    }

    /// A length of 1, 2 or 4 bytes for `width` 0, 1 and 2.
    fn length(&mut self, width: u8) -> Result<u64, Stop> {
        Ok(match width {
            0 => u64::from(u8::from_be_bytes(self.bytes()?)),
            1 => u64::from(u16::from_be_bytes(self.bytes()?)),
            _ => u64::from(u32::from_be_bytes(self.bytes()?)),
        })
    }

    fn text(&mut self, len: u64) -> Result<Value, Stop> {
        self.hold(len)?;
        let offset = self.cursor.position();
        let mut raw = vec![0; usize::try_from(len.min(1024)).unwrap_or(0)];
        self.cursor.read_exact(&mut raw)?;
        self.cursor.skip(len - raw.len() as u64)?;
        // Python's writers of old put bytes here. Names of layers hold no file.
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./ :,".contains(byte);
        if len >= SHORTEST && !raw.iter().all(plain) {
            let name = self.name();
            self.note_blob(name, offset, len)?;
        }
        Ok(Value::Text(String::from_utf8_lossy(&raw).chars().take(NAME).collect()))
    }

    fn blob(&mut self, len: u64) -> Result<Value, Stop> {
        self.hold(len)?;
        let name = self.name();
        self.note_blob(name, self.cursor.position(), len)?;
        self.cursor.skip(len)?;
        Ok(Value::Other)
    }

    fn extension(&mut self, len: u64) -> Result<Value, Stop> {
        let [code] = self.bytes()?;
        let code = i8::from_be_bytes([code]);
        self.hold(len)?;
        let offset = self.cursor.position();
        let name = self.name();
        match code {
            1 => match self.array(&name, offset, len)? {
                Some(array) => {
                    self.note_blob(name, array.offset, array.bytes)?;
                    if self.facts.arrays.len() < KEPT {
                        self.facts.arrays.push(array);
                    } else {
                        self.facts.more += 1;
                    }
                }
                None => {
                    self.note_blob(name.clone(), offset, len)?;
                    if self.facts.problems.len() < KEPT {
                        self.facts.problems.push(Problem::Array { name, offset });
                    }
                }
            },
            // Complex numbers and scalars of NumPy.
            2 | 3 if len <= SCALAR => {}
            _ => {
                self.note_blob(name, offset, len)?;
                if self.facts.extensions.len() < KEPT {
                    self.facts.extensions.push((code, offset, len));
                } else {
                    self.facts.more += 1;
                }
            }
        }
        // The cursor may have read ahead into the content.
        self.cursor = Cursor::new(self.source, offset + len);
        Ok(Value::Other)
    }

    /// `[shape, dtype, bytes]`, which must fill the extension exactly.
    fn array(&mut self, name: &str, offset: u64, len: u64) -> Result<Option<Array>, Stop> {
        if !matches!(self.value()?, Value::Container { len: 3, map: false }) {
            return Ok(None);
        }
        let Value::Container { len: dimensions, map: false } = self.value()? else { return Ok(None) };
        if dimensions > 64 {
            return Ok(None);
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let Some(dimension) = self.unsigned()? else { return Ok(None) };
            shape.push(dimension);
        }
        let Value::Text(dtype) = self.value()? else { return Ok(None) };
        let [marker @ 0xc4..=0xc6] = self.bytes()? else { return Ok(None) };
        let bytes = self.length(marker - 0xc4)?;
        let at = self.cursor.position();
        let fills = at.checked_add(bytes) == offset.checked_add(len);
        let expected = shape.iter().try_fold(width(&dtype).unwrap_or(0), |product, n| product.checked_mul(*n));
        if !fills || (width(&dtype).is_some() && expected != Some(bytes)) {
            return Ok(None);
        }
        Ok(Some(Array { name: name.to_owned(), dtype, shape, offset: at, bytes }))
    }

    fn unsigned(&mut self) -> Result<Option<u64>, Stop> {
        let [marker] = self.bytes()?;
        Ok(match marker {
            0x00..=0x7f => Some(u64::from(marker)),
            0xcc..=0xce => Some(self.length(marker - 0xcc)?),
            0xcf => Some(u64::from_be_bytes(self.bytes()?)),
            _ => None,
        })
    }

    fn note_blob(&mut self, name: String, offset: u64, len: u64) -> Result<(), Stop> {
        self.budget.limits().check(Limit::Nodes, self.blobs.len() as u64)?;
        self.blobs.push((name, offset, len));
        Ok(())
    }

    fn name(&self) -> String {
        let names: Vec<&str> =
            self.open.iter().map(|open| open.name.as_str()).filter(|name| !name.is_empty()).collect();
        names.join("/").chars().take(NAME).collect()
    }

    fn skip(&mut self, len: u64) -> Result<Value, Stop> {
        self.hold(len)?;
        self.cursor.skip(len)?;
        Ok(Value::Other)
    }

    fn hold(&self, stated: u64) -> Result<(), Stop> {
        let offset = self.cursor.position();
        let available = self.source.size().saturating_sub(offset);
        if stated > available {
            return Err(Stop::Problem(Problem::PastEnd { offset, stated, available }));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut raw = [0; N];
        self.cursor.read_exact(&mut raw)?;
        Ok(raw)
    }
}

/// Bytes of an element of a NumPy type by name.
fn width(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "bool" | "int8" | "uint8" | "float8_e4m3fn" | "float8_e5m2" => 1,
        "int16" | "uint16" | "float16" | "bfloat16" => 2,
        "int32" | "uint32" | "float32" => 4,
        "int64" | "uint64" | "float64" | "complex64" => 8,
        "complex128" => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_limits::Limits;

    fn read(bytes: &[u8]) -> MsgpackFacts {
        super::read(&bytes.to_vec(), &Budget::new(Limits::default())).unwrap().0
    }

    const ARRAY: &[u8] = b"\x81\xa1w\xc7\x11\x01\x93\x91\x01\xa7float32\xc4\x04\0\0\0\0";

    #[test]
    fn arrays_are_named_and_held_against_their_shape() {
        assert!(looks_like(ARRAY));
        let facts = read(ARRAY);
        assert_eq!((facts.arrays[0].name.as_str(), facts.arrays[0].bytes), ("w", 4));
        assert_eq!((facts.problems.len(), facts.tail), (0, None));
        let mut wrong = ARRAY.to_vec();
        wrong[8] = 9;
        assert!(matches!(read(&wrong).problems[..], [Problem::Array { .. }]));
    }

    #[test]
    fn impossible_lengths_and_depth_are_problems() {
        assert!(matches!(read(b"\xdd\xff\xff\xff\xff\x93").problems[..], [Problem::PastEnd { .. }]));
        assert!(matches!(read(&[0x91; 1000]).problems[..], [Problem::Depth { .. }]));
        assert!(matches!(read(b"\x81\xa1w\xc7").problems[..], [Problem::Truncated { .. }]));
        assert!(matches!(read(b"\xc1").problems[..], [Problem::Marker { .. }]));
    }
}
