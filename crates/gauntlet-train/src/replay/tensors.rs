//! Reads the numbers of safetensors, NumPy, ONNX and JSON files. Pickled models are not read: comparing them would mean
//! running them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use gauntlet_limits::{Budget, Limits, ReadAt};
use gauntlet_onnx::{ElementType, Model, Tensor};
use serde_json::Value;

/// Largest file that is compared number by number.
const MAX_FILE: u64 = 1 << 30;
const MAX_HEADER: usize = 64 << 20;
/// Numbers of one file.
const MAX_NUMBERS: usize = 256 << 20;

/// The numbers of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Shape and values by name.
    pub tensors: BTreeMap<String, (Vec<u64>, Vec<f64>)>,
    /// What else there is, as text: it has to be equal.
    pub rest: String,
}

/// A file whose numbers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// The system says so.
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
    /// No reader for it.
    #[error("its numbers cannot be read: {0}")]
    Unsupported(String),
    /// It is not what it says.
    #[error("it is damaged: {0}")]
    Malformed(String),
}

/// The bytes of a file that may be compared.
///
/// # Errors
/// [`TensorError`] when it is too large or the system refuses.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, TensorError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TensorError::Unsupported(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// The numbers of a file, by its suffix.
///
/// # Errors
/// [`TensorError`] when there is no reader for it or it is damaged.
pub fn read_numbers(path: &Path, bytes: &[u8]) -> Result<Numbers, TensorError> {
    let suffix = path.extension().and_then(|s| s.to_str()).unwrap_or_default().to_ascii_lowercase();
    match suffix.as_str() {
        "safetensors" => safetensors(bytes),
        "npy" => npy(bytes),
        "onnx" => onnx(bytes),
        "json" => json(bytes),
        "" => Err(TensorError::Unsupported("the name has no suffix".to_owned())),
        other => Err(TensorError::Unsupported(format!("there is no reader for .{other}"))),
    }
}

fn malformed(text: impl Into<String>) -> TensorError {
    TensorError::Malformed(text.into())
}

/// <https://huggingface.co/docs/safetensors>: length of the header, header in JSON, data.
fn safetensors(bytes: &[u8]) -> Result<Numbers, TensorError> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| malformed("too short"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER {
        return Err(malformed("the header is too long"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| malformed("the header is cut"))?;
    let header: BTreeMap<String, Value> =
        serde_json::from_slice(header).map_err(|e| malformed(format!("the header is no JSON object: {e}")))?;
    let mut numbers = Numbers::default();
    for (name, entry) in header {
        if name == "__metadata__" {
            numbers.rest = entry.to_string();
            continue;
        }
        let dtype = entry.get("dtype").and_then(Value::as_str).unwrap_or_default();
        let shape: Vec<u64> = integers(entry.get("shape")).ok_or_else(|| malformed(format!("{name} has no shape")))?;
        let place = integers(entry.get("data_offsets")).unwrap_or_default();
        let [begin, end] = place[..] else { return Err(malformed(format!("{name} has no place"))) };
        let range = usize::try_from(begin).ok().zip(usize::try_from(end).ok());
        let part = range.and_then(|(b, e)| data.get(b..e)).ok_or_else(|| malformed(format!("{name} is cut")))?;
        let width = match dtype {
            "F64" => Width::F64,
            "F32" => Width::F32,
            "F16" => Width::F16,
            "BF16" => Width::Bf16,
            "I64" => Width::I64,
            "I32" => Width::I32,
            "I16" => Width::I16,
            "I8" => Width::I8,
            "U64" => Width::U64,
            "U32" => Width::U32,
            "U16" => Width::U16,
            "U8" | "BOOL" => Width::U8,
            other => return Err(TensorError::Unsupported(format!("{name} has the element type {other}"))),
        };
        numbers.insert(name, shape, width, part, false)?;
    }
    Ok(numbers)
}

fn integers(value: Option<&Value>) -> Option<Vec<u64>> {
    value?.as_array()?.iter().map(Value::as_u64).collect()
}

/// <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn npy(bytes: &[u8]) -> Result<Numbers, TensorError> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| malformed("no NumPy file"))?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| malformed("too short"))?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(|| malformed("too short"))?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("too short"))?;
        (usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX), rest)
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| malformed("the header is cut"))?;
    let header = std::str::from_utf8(header).map_err(|_| malformed("the header is no text"))?;
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start_matches([':', ' ']));
    let descr = after("'descr'").and_then(|text| text.strip_prefix('\'')?.split('\'').next());
    let descr = descr.ok_or_else(|| TensorError::Unsupported("the elements are no plain numbers".to_owned()))?;
    let shape = after("'shape'").and_then(|text| text.strip_prefix('(')?.split(')').next());
    let shape: Vec<u64> = shape
        .ok_or_else(|| malformed("there is no shape"))?
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().map_err(|_| malformed("the shape is no list of numbers")))
        .collect::<Result<_, _>>()?;
    let (order, kind) = descr.split_at_checked(1).ok_or_else(|| malformed("no element type"))?;
    let width = match kind {
        "f8" => Width::F64,
        "f4" => Width::F32,
        "f2" => Width::F16,
        "i8" => Width::I64,
        "i4" => Width::I32,
        "i2" => Width::I16,
        "i1" => Width::I8,
        "u8" => Width::U64,
        "u4" => Width::U32,
        "u2" => Width::U16,
        "u1" | "b1" => Width::U8,
        _ => return Err(TensorError::Unsupported(format!("the element type is {descr}"))),
    };
    let fortran = after("'fortran_order'").is_some_and(|text| text.starts_with("True"));
    let mut numbers = Numbers { rest: format!("fortran_order {fortran}"), ..Numbers::default() };
    numbers.insert("array".to_owned(), shape, width, data, order == ">")?;
    Ok(numbers)
}

fn onnx(bytes: &[u8]) -> Result<Numbers, TensorError> {
    let budget = Budget::new(Limits::default());
    let source: &dyn ReadAt = &bytes.to_vec();
    let model = Model::read(source, &budget).map_err(|error| malformed(error.to_string()))?;
    let mut numbers = Numbers::default();
    for (index, graph) in model.graphs.iter().enumerate() {
        for tensor in &graph.initializers {
            let name = if index == 0 { tensor.name.clone() } else { format!("graph {index}: {}", tensor.name) };
            onnx_tensor(name, tensor, bytes, &mut numbers)?;
        }
        for node in &graph.nodes {
            numbers.rest.push_str(&format!("{} {} {:?} {:?}\n", node.domain, node.op_type, node.inputs, node.outputs));
        }
    }
    Ok(numbers)
}

fn onnx_tensor(name: String, tensor: &Tensor, bytes: &[u8], numbers: &mut Numbers) -> Result<(), TensorError> {
    let unsupported = |what: &str| Err(TensorError::Unsupported(format!("{name} {what}")));
    if tensor.is_external {
        return unsupported("lies in another file");
    }
    let Some(span) = tensor.raw else { return unsupported("is not kept as raw bytes") };
    let range = usize::try_from(span.offset).ok().zip(usize::try_from(span.len).ok());
    let part = range.and_then(|(at, len)| bytes.get(at..at.checked_add(len)?));
    let part = part.ok_or_else(|| malformed(format!("{name} is cut")))?;
    let shape: Option<Vec<u64>> = tensor.dims.iter().map(|dim| u64::try_from(*dim).ok()).collect();
    let shape = shape.ok_or_else(|| malformed(format!("{name} has a negative dimension")))?;
    let width = match tensor.element_type() {
        Some(ElementType::Double) => Width::F64,
        Some(ElementType::Float) => Width::F32,
        Some(ElementType::Float16) => Width::F16,
        Some(ElementType::Bfloat16) => Width::Bf16,
        Some(ElementType::Int64) => Width::I64,
        Some(ElementType::Int32) => Width::I32,
        Some(ElementType::Int16) => Width::I16,
        Some(ElementType::Int8) => Width::I8,
        Some(ElementType::Uint64) => Width::U64,
        Some(ElementType::Uint32) => Width::U32,
        Some(ElementType::Uint16) => Width::U16,
        Some(ElementType::Uint8 | ElementType::Bool) => Width::U8,
        _ => return unsupported("has an element type without a reader"),
    };
    numbers.insert(name, shape, width, part, false)
}

fn json(bytes: &[u8]) -> Result<Numbers, TensorError> {
    let document: Value = serde_json::from_slice(bytes).map_err(|e| malformed(e.to_string()))?;
    let mut numbers = Numbers::default();
    leaves("", &document, &mut numbers);
    Ok(numbers)
}

fn leaves(at: &str, value: &Value, numbers: &mut Numbers) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, v)| leaves(&format!("{at}/{key}"), v, numbers)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, v)| leaves(&format!("{at}/{n}"), v, numbers)),
        Value::Number(number) => {
            numbers.tensors.insert(at.to_owned(), (Vec::new(), vec![number.as_f64().unwrap_or(f64::NAN)]));
        }
        other => numbers.rest.push_str(&format!("{at} {other}\n")),
    }
}

#[derive(Clone, Copy)]
enum Width {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// One element, little endian in the low bytes. 64-bit integers beyond 2^53 are rounded: they are compared within
    /// bounds, not bit by bit.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "see above; the rest is exact")]
    fn value(self, raw: u64) -> f64 {
        match self {
            Self::F64 => f64::from_bits(raw),
            Self::F32 => f64::from(f32::from_bits(raw as u32)),
            Self::F16 => half(raw as u16),
            Self::Bf16 => f64::from(f32::from_bits((raw as u32) << 16)),
            Self::I64 => raw.cast_signed() as f64,
            Self::I32 => f64::from((raw as u32).cast_signed()),
            Self::I16 => f64::from((raw as u16).cast_signed()),
            Self::I8 => f64::from((raw as u8).cast_signed()),
            Self::U64 | Self::U32 | Self::U16 | Self::U8 => raw as f64,
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

impl Numbers {
    fn insert(
        &mut self,
        name: String,
        shape: Vec<u64>,
        width: Width,
        data: &[u8],
        big_endian: bool,
    ) -> Result<(), TensorError> {
        let count = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim)).and_then(|n| usize::try_from(n).ok());
        let count = count.filter(|n| n.checked_mul(width.bytes()) == Some(data.len()));
        let count = count.ok_or_else(|| malformed(format!("shape and bytes of {name} do not fit")))?;
        let sum: usize = self.tensors.values().map(|(_, v)| v.len()).sum();
        if sum.saturating_add(count) > MAX_NUMBERS {
            return Err(TensorError::Unsupported(format!("it holds more than {MAX_NUMBERS} numbers")));
        }
        let values = data.chunks_exact(width.bytes()).map(|chunk| {
            let fold = |raw: u64, byte: &u8| raw << 8 | u64::from(*byte);
            let raw = if big_endian { chunk.iter().fold(0, fold) } else { chunk.iter().rev().fold(0, fold) };
            width.value(raw)
        });
        let values = values.collect();
        if self.tensors.insert(name.clone(), (shape, values)).is_some() {
            return Err(malformed(format!("{name} comes twice")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors_file(values: &[f32]) -> Vec<u8> {
        let header =
            format!(r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}}"#, values.len(), values.len() * 4);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    }

    fn npy_file() -> Vec<u8> {
        let header = "{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([0x00, 0x01, 0xff, 0xff]);
        bytes
    }

    #[test]
    fn numbers_are_read() {
        let read = read_numbers(Path::new("m.safetensors"), &safetensors_file(&[1.5, -2.0])).unwrap();
        assert_eq!(read.tensors["w"], (vec![2], vec![1.5, -2.0]));
        assert_eq!(read_numbers(Path::new("a.npy"), &npy_file()).unwrap().tensors["array"].1, [1.0, -1.0]);
        assert_eq!([half(0x3c00), half(0xc000), half(0x0001)], [1.0, -2.0, 2f64.powi(-24)]);
        assert!(half(0x7e00).is_nan());
        assert!(read_numbers(Path::new("m.pkl"), b"").is_err());
    }

    #[test]
    fn initializers_of_a_real_model_are_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/churn/models/churn.onnx");
        let read = read_numbers(&path, &std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read.tensors["weight0"].0, [15, 32]);
        assert!(read.tensors["weight0"].1.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn damaged_files_end_in_an_error_or_numbers() {
        let model = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/churn/models/churn.onnx"))
            .unwrap();
        let seeds = [
            ("m.safetensors", safetensors_file(&[1.0; 8])),
            ("a.npy", npy_file()),
            ("m.onnx", model),
            ("m.json", b"{\"a\":[1,2]}".to_vec()),
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        for (name, seed) in &seeds {
            for _ in 0..2_000 {
                let mut bytes = seed.clone();
                for _ in 0..1 + next() % 4 {
                    let at = next() % bytes.len();
                    bytes[at] ^= 1 << (next() % 8);
                }
                if next() % 4 == 0 {
                    bytes.truncate(next() % bytes.len());
                }
                let _ = read_numbers(Path::new(name), &bytes);
            }
        }
    }
}
