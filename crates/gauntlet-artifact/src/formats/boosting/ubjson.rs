//! UBJSON (draft 12, big-endian, with XGBoost's typed lists) to the tree of [`crate::formats::json`].

use std::io::{self, Read};

use gauntlet_limits::{Budget, Cursor, LimitHit, ReadAt, Stream};

use super::Problem;
use crate::formats::json::{Document, Json};

/// Lists and objects inside each other.
const DEPTH: u32 = 100;
/// Bytes of a text that are kept.
const TEXT: u64 = 1 << 20;
/// Numbers of a list that are kept.
const NUMBERS: u64 = 64;

/// Why a document could not be read.
#[derive(Debug)]
pub(crate) enum UbjsonError {
    /// It contradicts itself.
    Problem(Problem),
    Io(io::Error),
    Limit(LimitHit),
}

impl From<io::Error> for UbjsonError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LimitHit> for UbjsonError {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}

/// Whether bytes begin like an object whose first key has a length that XGBoost writes.
pub(crate) fn looks_like(prefix: &[u8]) -> bool {
    let key = match prefix {
        [b'{', b'L', 0, 0, 0, 0, 0, 0, 0, len, key @ ..] | [b'{', b'i' | b'U', len, key @ ..] => {
            key.get(..usize::from(*len))
        }
        _ => None,
    };
    key.is_some_and(|key| key == b"learner" || key == b"version")
        // A length that no file has is a model all the same, and a broken one.
        || (prefix.starts_with(b"{L") && memchr::memmem::find(prefix, b"learner").is_some_and(|at| at < 64))
}

/// Reads a document; where it ends comes with it.
///
/// # Errors
/// When it contradicts itself, the medium fails, or a limit is hit.
pub(crate) fn read(source: &dyn ReadAt, budget: &Budget) -> Result<(Document, u64), UbjsonError> {
    let mut reader = Reader { cursor: Cursor::new(source, 0), size: source.size(), budget, nodes: 0 };
    let marker = reader.marker()?;
    let root = reader.value(marker, 0)?;
    Ok((Document { root, duplicates: Vec::new(), tags: Vec::new() }, reader.cursor.position()))
}

/// How a container begins.
struct Opening {
    /// The type of all elements.
    kind: Option<u8>,
    count: Option<u64>,
    /// The marker that was read when there is no count.
    marker: Option<u8>,
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    size: u64,
    budget: &'a Budget,
    nodes: u64,
}

impl Reader<'_> {
    /// Recursion is bounded by [`DEPTH`].
    fn value(&mut self, marker: u8, depth: u32) -> Result<Json, UbjsonError> {
        self.budget.steps(1)?;
        Ok(match marker {
            b'Z' => Json::Null,
            b'T' => Json::Bool(true),
            b'F' => Json::Bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => Json::Number(self.integer(marker)?.into()),
            b'd' => float(f64::from(f32::from_be_bytes(self.bytes()?))),
            b'D' => float(f64::from_be_bytes(self.bytes()?)),
            b'C' => Json::Text(char::from(self.bytes::<1>()?[0]).to_string()),
            b'S' | b'H' => {
                let length = self.length()?;
                Json::Text(self.text(length)?)
            }
            b'[' if depth < DEPTH => self.list(depth)?,
            b'{' if depth < DEPTH => self.object(depth)?,
            b'[' | b'{' => return Err(self.broken("lists and objects nested too deeply")),
            other => return Err(self.broken(&format!("unknown marker {other:#04x}"))),
        })
    }

    fn list(&mut self, depth: u32) -> Result<Json, UbjsonError> {
        let Opening { kind, count, mut marker } = self.container()?;
        let (mut items, mut more) = (Vec::new(), 0);
        if let (Some(kind), Some(count)) = (kind, count)
            && let Some(width) = width(kind)
        {
            // Typed numbers: the first ones are enough, the rest is skipped.
            self.hold(count, width)?;
            for _ in 0..count.min(NUMBERS) {
                items.push(self.value(kind, depth)?);
            }
            more = count - items.len() as u64;
            self.cursor.skip(more * width)?;
            return Ok(Json::List { items, more });
        }
        let mut left = count;
        loop {
            match left.as_mut() {
                Some(0) => break,
                Some(left) => *left -= 1,
                None if marker == Some(b']') => break,
                None => {}
            }
            let element = match (kind, marker.take()) {
                (Some(kind), _) => kind,
                (None, Some(marker)) => marker,
                (None, None) => self.marker()?,
            };
            let item = self.value(element, depth + 1)?;
            if matches!(item, Json::Number(_)) && items.len() as u64 >= NUMBERS {
                more += 1;
            } else {
                self.keep()?;
                items.push(item);
            }
            if left.is_none() {
                marker = Some(self.marker()?);
            }
        }
        Ok(Json::List { items, more })
    }

    fn object(&mut self, depth: u32) -> Result<Json, UbjsonError> {
        let Opening { kind, count, mut marker } = self.container()?;
        let mut entries = Vec::new();
        let mut left = count;
        loop {
            match left.as_mut() {
                Some(0) => break,
                Some(left) => *left -= 1,
                None if marker == Some(b'}') => break,
                None => {}
            }
            let first = match marker.take() {
                Some(marker) => marker,
                None => self.marker()?,
            };
            let length = self.length_after(first)?;
            let key = self.text(length)?;
            let element = match kind {
                Some(kind) => kind,
                None => self.marker()?,
            };
            self.keep()?;
            entries.push((key, self.value(element, depth + 1)?));
            if left.is_none() {
                marker = Some(self.marker()?);
            }
        }
        Ok(Json::Object { entries, more: 0 })
    }

    /// `$type` and `#count` of a container, and the marker behind them when there is no count.
    fn container(&mut self) -> Result<Opening, UbjsonError> {
        let mut marker = self.marker()?;
        let mut kind = None;
        if marker == b'$' {
            kind = Some(self.marker()?);
            marker = self.marker()?;
            if marker != b'#' {
                return Err(self.broken("a typed container without a count"));
            }
        }
        if marker == b'#' {
            let count = self.length()?;
            // Every element that is not of a fixed type has at least its marker.
            self.hold(count, u64::from(kind.is_none()))?;
            self.budget.limits().check(
                gauntlet_limits::Limit::Steps,
                if kind.is_some_and(|k| width(k).is_none()) { count } else { 0 },
            )?;
            return Ok(Opening { kind, count: Some(count), marker: None });
        }
        Ok(Opening { kind: None, count: None, marker: Some(marker) })
    }

    fn marker(&mut self) -> Result<u8, UbjsonError> {
        loop {
            self.budget.steps(1)?;
            let [marker] = self.bytes()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn length(&mut self) -> Result<u64, UbjsonError> {
        let marker = self.marker()?;
        self.length_after(marker)
    }

    fn length_after(&mut self, marker: u8) -> Result<u64, UbjsonError> {
        if !matches!(marker, b'i' | b'U' | b'I' | b'l' | b'L') {
            return Err(self.broken("a length that is no integer"));
        }
        let length = self.integer(marker)?;
        let offset = self.cursor.position();
        let (stated, available) = (length.cast_unsigned(), self.size.saturating_sub(offset));
        u64::try_from(length).map_err(|_| UbjsonError::Problem(Problem::PastEnd { offset, stated, available }))
    }

    fn integer(&mut self, marker: u8) -> Result<i64, UbjsonError> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.bytes()?)),
            b'U' => i64::from(u8::from_be_bytes(self.bytes()?)),
            b'I' => i64::from(i16::from_be_bytes(self.bytes()?)),
            b'l' => i64::from(i32::from_be_bytes(self.bytes()?)),
            _ => i64::from_be_bytes(self.bytes()?),
        })
    }

    fn text(&mut self, length: u64) -> Result<String, UbjsonError> {
        self.hold(length, 1)?;
        let mut raw = vec![0; usize::try_from(length.min(TEXT)).unwrap_or(0)];
        self.cursor.read_exact(&mut raw)?;
        self.cursor.skip(length - raw.len() as u64)?;
        Ok(String::from_utf8_lossy(&raw).into_owned())
    }

    /// Refuses `count` elements of `width` bytes that the file cannot hold.
    fn hold(&self, count: u64, width: u64) -> Result<(), UbjsonError> {
        let offset = self.cursor.position();
        let available = self.size.saturating_sub(offset);
        match count.checked_mul(width) {
            Some(bytes) if bytes <= available => Ok(()),
            _ => Err(UbjsonError::Problem(Problem::PastEnd { offset, stated: count, available })),
        }
    }

    fn keep(&mut self) -> Result<(), UbjsonError> {
        self.nodes += 1;
        Ok(self.budget.limits().check(gauntlet_limits::Limit::Nodes, self.nodes)?)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], UbjsonError> {
        let mut raw = [0; N];
        match self.cursor.read_exact(&mut raw) {
            Ok(()) => Ok(raw),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.broken("the document ends early")),
            Err(error) => Err(error.into()),
        }
    }

    fn broken(&self, what: &str) -> UbjsonError {
        UbjsonError::Problem(Problem::Broken { offset: self.cursor.position(), what: what.to_owned() })
    }
}

fn width(kind: u8) -> Option<u64> {
    match kind {
        b'i' | b'U' | b'C' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}

fn float(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number)
}
