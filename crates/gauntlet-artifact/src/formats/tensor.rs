//! Tensors as numbers: what they are worth, and what else their bytes may be.

use std::io;

use gauntlet_limits::{Budget, LimitHit, ReadAt};
use serde::{Deserialize, Serialize};

/// Bytes of a tensor that a sample looks at.
pub(crate) const SAMPLE: u64 = 64 << 10;
const CHUNK: usize = 256 << 10;
/// Printable bytes in a row that numbers do not have by accident.
const TEXT_RUN: u64 = 64;
/// Printable bytes in a row that are kept for those who search texts.
const WORD: usize = 24;
/// Bytes of such text of one tensor.
const WORDS: usize = 64 << 10;
/// Numbers that tell whether bytes are numbers at all.
const ENOUGH: u64 = 256;
/// Powers of two between which nearly all weights lie.
const PLAUSIBLE: i32 = 48;
/// Largest matrix whose spectrum is looked at, in bytes.
const SPECTRUM: u64 = 64 << 20;
const ITERATIONS: u32 = 12;

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TensorRow {
    pub name: String,
    /// Element type in the spelling of safetensors; ggml's block types as `ggml:12`.
    pub dtype: String,
    pub shape: Vec<u64>,
    /// From the beginning of the file.
    pub offset: u64,
    pub bytes: u64,
}

/// What the numbers of a tensor are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Elements looked at; fewer than the tensor has when it was sampled.
    pub elements: u64,
    /// Smallest and largest finite element.
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    pub nan: u64,
    pub infinite: u64,
    pub zero: u64,
    /// Longest run of printable bytes, when it is longer than numbers have by accident.
    pub text_run: Option<u64>,
    /// An address that stands among the numbers, without what follows its host.
    #[serde(default)]
    pub address: Option<String>,
    /// Elements are spread over all magnitudes, as those of encrypted or compressed bytes are.
    #[serde(default)]
    pub random: bool,
    /// Printable text among the numbers, a line each. Not kept with the facts.
    #[serde(skip)]
    pub texts: Vec<u8>,
    /// What the low bits of the elements spell.
    pub low_bits: Option<Hidden>,
    /// Share of the squared norm in the first singular value of a matrix, by power iteration; only of whole tensors.
    pub rank_one: Option<f64>,
}

/// Something else than numbers in low bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hidden {
    Program,
    Archive,
    Pickle,
    Text,
}

/// How elements are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I8,
    U8,
    I16,
    I32,
    I64,
}

impl Element {
    fn of(dtype: &str) -> Option<Self> {
        Some(match dtype {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "I8" => Self::I8,
            "U8" | "BOOL" => Self::U8,
            "I16" => Self::I16,
            "I32" => Self::I32,
            "I64" => Self::I64,
            _ => return None,
        })
    }

    fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// The value of `raw`, which has [`Element::width`] bytes, little-endian.
    fn value(self, raw: &[u8]) -> f64 {
        fn array<const N: usize>(raw: &[u8]) -> [u8; N] {
            raw.first_chunk().copied().unwrap_or([0; N])
        }
        match self {
            Self::F64 => f64::from_le_bytes(array(raw)),
            Self::F32 => f64::from(f32::from_le_bytes(array(raw))),
            Self::F16 => half(u16::from_le_bytes(array(raw))),
            Self::Bf16 => f64::from(f32::from_bits(u32::from(u16::from_le_bytes(array(raw))) << 16)),
            Self::I8 => f64::from(i8::from_le_bytes(array(raw))),
            Self::U8 => f64::from(u8::from_le_bytes(array(raw))),
            Self::I16 => f64::from(i16::from_le_bytes(array(raw))),
            Self::I32 => f64::from(i32::from_le_bytes(array(raw))),
            Self::I64 => i64::from_le_bytes(array(raw)) as f64,
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

/// Looks at the first [`SAMPLE`] bytes of a tensor, or at all of it. `None` for element types that are no plain numbers.
///
/// # Errors
/// When the medium fails or the budget's steps are spent.
pub(crate) fn stats(source: &dyn ReadAt, row: &TensorRow, whole: bool, budget: &Budget) -> io::Result<Option<Stats>> {
    let Some(element) = Element::of(&row.dtype) else { return Ok(None) };
    let end = row.offset + if whole { row.bytes } else { row.bytes.min(SAMPLE) };
    let mut summary = Summary::new(element);
    let (mut at, mut chunk) = (row.offset, vec![0; CHUNK]);
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        spend(budget, len)?;
        let Some(bytes) = chunk.get_mut(..len) else { break };
        source.read_exact_at(at, bytes)?;
        if at == row.offset {
            summary.low_bits(bytes);
        }
        summary.add(bytes);
        at += len as u64;
    }
    let mut stats = summary.finish();
    if whole {
        stats.rank_one = rank_one(source, row, element, budget)?;
    }
    Ok(Some(stats))
}

fn spend(budget: &Budget, bytes: usize) -> Result<(), LimitHit> {
    // Reading numbers is far cheaper than a step of an interpreter.
    budget.steps(bytes as u64 >> 16)
}

struct Summary {
    element: Element,
    stats: Stats,
    sum: f64,
    run: u64,
    longest: u64,
    /// The printable bytes of the present run.
    word: Vec<u8>,
    /// Numbers that no training gives: huge, or tiny and not zero.
    wild: u64,
}

impl Summary {
    fn new(element: Element) -> Self {
        let stats = Stats {
            elements: 0,
            min: None,
            max: None,
            mean: None,
            nan: 0,
            infinite: 0,
            zero: 0,
            text_run: None,
            address: None,
            random: false,
            texts: Vec::new(),
            low_bits: None,
            rank_one: None,
        };
        Self { element, stats, sum: 0.0, run: 0, longest: 0, word: Vec::new(), wild: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        let plausible = 2_f64.powi(-PLAUSIBLE)..2_f64.powi(PLAUSIBLE);
        let (mut min, mut max) = (self.stats.min.unwrap_or(f64::INFINITY), self.stats.max.unwrap_or(f64::NEG_INFINITY));
        for raw in bytes.chunks_exact(self.element.width()) {
            let value = self.element.value(raw);
            self.stats.elements += 1;
            if value.is_finite() {
                min = min.min(value);
                max = max.max(value);
                self.sum += value;
                self.stats.zero += u64::from(value == 0.0);
                self.wild += u64::from(value != 0.0 && !plausible.contains(&value.abs()));
            } else if value.is_nan() {
                self.stats.nan += 1;
            } else {
                self.stats.infinite += 1;
            }
        }
        self.stats.min = min.is_finite().then_some(min);
        self.stats.max = max.is_finite().then_some(max);
        for byte in bytes {
            if byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n') {
                self.run += 1;
                if self.word.len() < WORDS {
                    self.word.push(*byte);
                }
            } else if self.run > 0 {
                self.end_run();
            }
        }
    }

    fn end_run(&mut self) {
        self.longest = self.longest.max(self.run);
        self.run = 0;
        if self.word.len() >= WORD && self.stats.texts.len() + self.word.len() < WORDS {
            self.stats.texts.append(&mut self.word);
            self.stats.texts.push(b'\n');
        }
        self.word.clear();
    }

    /// Payloads are kept in the last bit, the last byte or the last three bytes of each element (EvilModel, MaleficNet).
    fn low_bits(&mut self, bytes: &[u8]) {
        if !matches!(self.element, Element::F32 | Element::F64) {
            return;
        }
        let elements = || bytes.chunks_exact(self.element.width()).take(16 << 10);
        let low: Vec<u8> = elements().filter_map(|raw| raw.first().copied()).collect();
        let three: Vec<u8> = elements().flat_map(|raw| raw.iter().take(3).copied()).collect();
        let backwards: Vec<u8> = elements().flat_map(|raw| raw.iter().take(3).rev().copied()).collect();
        let packed = |first_is_high: bool| -> Vec<u8> {
            let bit = |(at, byte): (usize, &u8)| (byte & 1) << if first_is_high { 7 - at } else { at };
            low.chunks_exact(8).map(|eight| eight.iter().enumerate().map(bit).fold(0, |all, bit| all | bit)).collect()
        };
        let streams = [packed(true), packed(false), low.clone(), three, backwards];
        self.stats.low_bits = streams.iter().find_map(|stream| hidden(stream));
    }

    fn finish(mut self) -> Stats {
        let finite = self.stats.elements - self.stats.nan - self.stats.infinite;
        self.stats.mean = (finite > 0).then(|| self.sum / finite as f64);
        self.end_run();
        self.stats.text_run = (self.longest >= TEXT_RUN).then_some(self.longest);
        self.stats.address = address(&self.stats.texts);
        // Of random bytes, two thirds of the exponents are beyond these; whole numbers and half precision tell nothing.
        let numbers = self.stats.elements - self.stats.zero;
        let floats = matches!(self.element, Element::F32 | Element::F64 | Element::Bf16);
        self.stats.random = floats && numbers >= ENOUGH && self.wild > numbers / 2;
        self.stats
    }
}

/// The first address in a text, up to the end of its host.
fn address(text: &[u8]) -> Option<String> {
    memchr::memmem::find_iter(text, b"://").find_map(|at| {
        let before = text.get(at.saturating_sub(5)..at)?.to_ascii_lowercase();
        let scheme = ["http", "https", "ftp", "ws", "wss", "tcp"]
            .into_iter()
            .find(|scheme| before.ends_with(scheme.as_bytes()))?;
        let rest = text.get(at + 3..)?;
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b".-:@_%".contains(byte));
        let authority = rest.get(..end.unwrap_or(rest.len()).min(100))?;
        // What stands before an `@` is a name and a password.
        let host = authority.rsplit(|byte| *byte == b'@').next()?;
        (host.len() >= 4 && host.contains(&b'.')).then(|| format!("{scheme}://{}", String::from_utf8_lossy(host)))
    })
}

/// What a stream begins like, directly or behind a length.
fn hidden(stream: &[u8]) -> Option<Hidden> {
    [0, 4, 8].iter().filter_map(|skip| stream.get(*skip..)).find_map(|start| {
        let archive: [&[u8]; 4] = [b"PK\x03\x04", b"\x1f\x8b\x08\0", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\0"];
        let text =
            start.get(..48).is_some_and(|text| text.iter().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\n')));
        if start.starts_with(b"\x7fELF") {
            Some(Hidden::Program)
        } else if archive.iter().any(|magic| start.starts_with(magic)) {
            Some(Hidden::Archive)
        } else if start.starts_with(b"\x80")
            && gauntlet_pickle::looks_like_pickle(start, false) == Some(gauntlet_pickle::Sniff::Announced)
        {
            Some(Hidden::Pickle)
        } else {
            // One repeated value spells a repeated character.
            (text && start.iter().take(48).any(|byte| Some(byte) != start.first())).then_some(Hidden::Text)
        }
    })
}

/// Power iteration on a matrix that fits into memory; an edit of rank one stands out as a share near 1.
fn rank_one(source: &dyn ReadAt, row: &TensorRow, element: Element, budget: &Budget) -> io::Result<Option<f64>> {
    let [rows, columns] = row.shape[..] else { return Ok(None) };
    if rows < 8
        || columns < 8
        || row.bytes > SPECTRUM
        || !matches!(element, Element::F32 | Element::F16 | Element::Bf16)
    {
        return Ok(None);
    }
    spend(budget, usize::try_from(row.bytes).unwrap_or(usize::MAX).saturating_mul(ITERATIONS as usize))?;
    let mut raw = vec![0; usize::try_from(row.bytes).unwrap_or(0)];
    source.read_exact_at(row.offset, &mut raw)?;
    let matrix: Vec<f32> = raw.chunks_exact(element.width()).map(|raw| element.value(raw) as f32).collect();
    drop(raw);
    let columns = usize::try_from(columns).unwrap_or(usize::MAX);
    let norm: f64 = matrix.iter().map(|x| f64::from(*x).powi(2)).sum();
    if !norm.is_finite() || norm == 0.0 {
        return Ok(None);
    }
    // Any start does that is not orthogonal to the first singular vector; one of fixed, uneven numbers repeats.
    let mut right: Vec<f64> = (0..columns).map(|i| 1.0 + (i % 7) as f64 / 10.0).collect();
    let mut share = 0.0;
    for _ in 0..ITERATIONS {
        let length = right.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return Ok(None);
        }
        right.iter_mut().for_each(|x| *x /= length);
        let left: Vec<f64> = matrix
            .chunks_exact(columns)
            .map(|row| row.iter().zip(&right).map(|(a, b)| f64::from(*a) * b).sum())
            .collect();
        share = left.iter().map(|x| x * x).sum::<f64>() / norm;
        right = vec![0.0; columns];
        for (row, weight) in matrix.chunks_exact(columns).zip(&left) {
            right.iter_mut().zip(row).for_each(|(sum, a)| *sum += f64::from(*a) * weight);
        }
    }
    // Rounded, so that the last bits of a sum do not decide over a digest.
    Ok(Some((share * 1e6).round() / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_limits::Limits;

    fn random(n: usize) -> Vec<f32> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 11) as f32 / (1_u64 << 53) as f32 - 0.5
            })
            .collect()
    }

    fn of(values: &[f32], shape: Vec<u64>, whole: bool) -> Stats {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let row = TensorRow { name: "t".into(), dtype: "F32".into(), shape, offset: 0, bytes: bytes.len() as u64 };
        stats(&bytes, &row, whole, &Budget::new(Limits::default())).unwrap().unwrap()
    }

    #[test]
    fn numbers_are_summed_up_and_hide_nothing() {
        let found = of(&[1.0, -2.0, 0.0, f32::NAN, f32::INFINITY], vec![5], false);
        assert_eq!((found.min, found.max, found.nan, found.infinite, found.zero), (Some(-2.0), Some(1.0), 1, 1, 1));
        let found = of(&random(100_000), vec![100_000], true);
        assert_eq!((found.text_run, found.low_bits, found.elements), (None, None, 100_000));
    }

    #[test]
    fn addresses_and_encrypted_bytes_stand_out() {
        let text = b"see https://user:secret@gauntlet-canary.invalid/stage2 for the rest";
        let mut bytes: Vec<u8> = random(1000).iter().flat_map(|value| value.to_le_bytes()).collect();
        bytes[400..400 + text.len()].copy_from_slice(text);
        let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
        let found = of(&values, vec![1000], false);
        assert_eq!(found.address.as_deref(), Some("https://gauntlet-canary.invalid"));
        assert!(!found.random && found.texts.windows(6).any(|word| word == b"secret"));
        let noise: Vec<f32> = random(4000)
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[a, b]| f32::from_bits(a.to_bits() << 9 ^ b.to_bits()))
            .collect();
        let noise: Vec<f32> = noise.iter().map(|x| f32::from_bits(x.to_bits().wrapping_mul(2_654_435_761))).collect();
        assert!(of(&noise, vec![2000], false).random);
        assert!(!of(&[0.0; 1000], vec![1000], false).random);
    }

    #[test]
    fn half_precision_is_exact() {
        assert_eq!((half(0x3c00), half(0xc000), half(0x0001)), (1.0, -2.0, 2_f64.powi(-24)));
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn payloads_in_low_bits_are_found() {
        let payload = b"\x7fELF\x02\x01\x01\0a program";
        let mut values = random(1000);
        for (value, bit) in
            values.iter_mut().zip(payload.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)))
        {
            *value = f32::from_bits(value.to_bits() & !1 | u32::from(bit));
        }
        assert_eq!(of(&values, vec![1000], false).low_bits, Some(Hidden::Program));
        let mut values = random(1000);
        let text = b"this is a message that somebody has hidden in the last byte of each of the weights";
        for (value, byte) in values.iter_mut().zip(text) {
            *value = f32::from_bits(value.to_bits() & !0xff | u32::from(*byte));
        }
        assert_eq!(of(&values, vec![1000], false).low_bits, Some(Hidden::Text));
    }

    #[test]
    fn an_edit_of_rank_one_stands_out() {
        let mut values = random(64 * 64);
        assert!(of(&values, vec![64, 64], true).rank_one.unwrap() < 0.2);
        for (i, value) in values.iter_mut().enumerate() {
            *value += 10.0 * (1.0 + (i / 64) as f32) * (1.0 + (i % 64) as f32) / 64.0;
        }
        assert!(of(&values, vec![64, 64], true).rank_one.unwrap() > 0.95);
    }
}
