//! Constants: an element type, dimensions and little-endian bytes, as `TensorProto.raw_data` has them.

use std::sync::Arc;

use gauntlet_onnx::ElementType;

/// A constant tensor. Clones share their bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) kind: ElementType,
    pub(crate) dims: Vec<usize>,
    pub(crate) bytes: Arc<[u8]>,
}

/// Decoded elements: 64-bit floats hold every float exactly, 64-bit integers every integer and truth value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    Floats(Vec<f64>),
    Ints(Vec<i64>),
}

impl Array {
    pub(crate) fn from_numbers(kind: ElementType, dims: Vec<usize>, numbers: &Numbers) -> Self {
        let bytes = match numbers {
            Numbers::Floats(floats) => floats.iter().flat_map(|n| encode(kind, *n, *n as i64)).collect(),
            Numbers::Ints(ints) => ints.iter().flat_map(|n| encode(kind, *n as f64, *n)).collect(),
        };
        Self { kind, dims, bytes }
    }

    pub(crate) fn floats(kind: ElementType, dims: Vec<usize>, numbers: Vec<f64>) -> Self {
        Self::from_numbers(kind, dims, &Numbers::Floats(numbers))
    }

    pub(crate) fn ints(dims: Vec<usize>, numbers: Vec<i64>) -> Self {
        Self::from_numbers(ElementType::Int64, dims, &Numbers::Ints(numbers))
    }

    pub(crate) fn scalar(kind: ElementType, number: f64) -> Self {
        Self::floats(kind, Vec::new(), vec![number])
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / width(self.kind).max(1)
    }

    /// The elements; truth values are 0 and 1.
    pub(crate) fn numbers(&self) -> Numbers {
        let chunks = self.bytes.chunks_exact(width(self.kind).max(1));
        if is_float(self.kind) {
            Numbers::Floats(chunks.map(|raw| decode_float(self.kind, raw)).collect())
        } else {
            Numbers::Ints(chunks.map(|raw| decode_int(self.kind, raw)).collect())
        }
    }

    pub(crate) fn to_floats(&self) -> Vec<f64> {
        match self.numbers() {
            Numbers::Floats(floats) => floats,
            Numbers::Ints(ints) => ints.into_iter().map(|n| n as f64).collect(),
        }
    }

    /// The elements of an integer or truth-value tensor.
    pub(crate) fn to_ints(&self) -> Option<Vec<i64>> {
        match self.numbers() {
            Numbers::Floats(_) => None,
            Numbers::Ints(ints) => Some(ints),
        }
    }
}

/// Gradients flow through these.
pub(crate) fn is_float(kind: ElementType) -> bool {
    matches!(kind, ElementType::Float | ElementType::Double)
}

/// Bytes of one element; 0 for what this crate does not compute with.
pub(crate) fn width(kind: ElementType) -> usize {
    match kind {
        ElementType::Bool | ElementType::Int8 | ElementType::Uint8 => 1,
        ElementType::Int16 | ElementType::Uint16 => 2,
        ElementType::Float | ElementType::Int32 | ElementType::Uint32 => 4,
        ElementType::Double | ElementType::Int64 | ElementType::Uint64 => 8,
        _ => 0,
    }
}

/// Half-precision floats are computed with as `float`; everything else as it is.
pub(crate) fn widened(kind: ElementType) -> ElementType {
    match kind {
        ElementType::Float16 | ElementType::Bfloat16 => ElementType::Float,
        other => other,
    }
}

/// IEEE 754 binary16 to a 64-bit float.
pub(crate) fn half(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

fn encode(kind: ElementType, float: f64, int: i64) -> Vec<u8> {
    match kind {
        ElementType::Float => (float as f32).to_le_bytes().to_vec(),
        ElementType::Double => float.to_le_bytes().to_vec(),
        ElementType::Bool => vec![u8::from(int != 0)],
        // Casts between integers wrap, as they do in every engine.
        _ => int.to_le_bytes().into_iter().take(width(kind)).collect(),
    }
}

fn decode_float(kind: ElementType, raw: &[u8]) -> f64 {
    match (kind, raw.first_chunk::<4>(), raw.first_chunk::<8>()) {
        (ElementType::Float, Some(raw), _) => f64::from(f32::from_le_bytes(*raw)),
        (_, _, Some(raw)) => f64::from_le_bytes(*raw),
        _ => f64::NAN,
    }
}

fn decode_int(kind: ElementType, raw: &[u8]) -> i64 {
    let signed = matches!(kind, ElementType::Int8 | ElementType::Int16 | ElementType::Int32 | ElementType::Int64);
    let negative = signed && raw.last().is_some_and(|top| top & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    for (to, from) in wide.iter_mut().zip(raw) {
        *to = *from;
    }
    i64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_encoding() {
        for kind in [ElementType::Int8, ElementType::Int16, ElementType::Int32, ElementType::Int64] {
            let array = Array::from_numbers(kind, vec![3], &Numbers::Ints(vec![-5, 0, 100]));
            assert_eq!(array.to_ints(), Some(vec![-5, 0, 100]), "{kind:?}");
        }
        let bytes = Array::from_numbers(ElementType::Uint8, vec![1], &Numbers::Ints(vec![200]));
        assert_eq!(bytes.to_ints(), Some(vec![200]));
        assert_eq!(Array::scalar(ElementType::Float, 0.1).to_floats(), [f64::from(0.1f32)]);
        assert_eq!(Array::scalar(ElementType::Double, 0.1).to_floats(), [0.1]);
    }

    #[test]
    fn halves_are_read() {
        assert_eq!(
            [half(0x3c00), half(0xc000), half(0x0001), half(0x7c00)],
            [1.0, -2.0, 2f64.powi(-24), f64::INFINITY]
        );
        assert!(half(0x7e00).is_nan());
    }
}
