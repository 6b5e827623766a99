//! Element types of tensors (`TensorProto.DataType`) and how many bytes they take.

use serde::{Deserialize, Serialize};

/// `TensorProto.DataType`, onnx 1.19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum ElementType {
    Float,
    Uint8,
    Int8,
    Uint16,
    Int16,
    Int32,
    Int64,
    String,
    Bool,
    Float16,
    Double,
    Uint32,
    Uint64,
    Complex64,
    Complex128,
    Bfloat16,
    Float8e4m3fn,
    Float8e4m3fnuz,
    Float8e5m2,
    Float8e5m2fnuz,
    Uint4,
    Int4,
    Float4e2m1,
    Float8e8m0,
    Uint2,
    Int2,
}

impl ElementType {
    /// The type with this number; `None` for 0 (undefined) and numbers that the specification does not know.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        const ORDER: [ElementType; 26] = {
            use ElementType::{
                Bfloat16, Bool, Complex64, Complex128, Double, Float, Float4e2m1, Float8e4m3fn, Float8e4m3fnuz,
                Float8e5m2, Float8e5m2fnuz, Float8e8m0, Float16, Int2, Int4, Int8, Int16, Int32, Int64, String, Uint2,
                Uint4, Uint8, Uint16, Uint32, Uint64,
            };
            [
                Float,
                Uint8,
                Int8,
                Uint16,
                Int16,
                Int32,
                Int64,
                String,
                Bool,
                Float16,
                Double,
                Uint32,
                Uint64,
                Complex64,
                Complex128,
                Bfloat16,
                Float8e4m3fn,
                Float8e4m3fnuz,
                Float8e5m2,
                Float8e5m2fnuz,
                Uint4,
                Int4,
                Float4e2m1,
                Float8e8m0,
                Uint2,
                Int2,
            ]
        };
        ORDER.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }

    /// Bits of one element; `None` for strings.
    #[must_use]
    pub fn bits(self) -> Option<u64> {
        Some(match self {
            Self::String => return None,
            Self::Uint2 | Self::Int2 => 2,
            Self::Uint4 | Self::Int4 | Self::Float4e2m1 => 4,
            Self::Uint8 | Self::Int8 | Self::Bool => 8,
            Self::Float8e4m3fn | Self::Float8e4m3fnuz | Self::Float8e5m2 | Self::Float8e5m2fnuz | Self::Float8e8m0 => 8,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 16,
            Self::Float | Self::Int32 | Self::Uint32 => 32,
            Self::Int64 | Self::Uint64 | Self::Double | Self::Complex64 => 64,
            Self::Complex128 => 128,
        })
    }

    /// Bytes that `elements` take in `raw_data`, sub-byte types packed.
    #[must_use]
    pub fn bytes(self, elements: u64) -> Option<u64> {
        Some(elements.checked_mul(self.bits()?)?.div_ceil(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_specification() {
        assert_eq!(ElementType::from_number(1), Some(ElementType::Float));
        assert_eq!(ElementType::from_number(8), Some(ElementType::String));
        assert_eq!(ElementType::from_number(16), Some(ElementType::Bfloat16));
        assert_eq!(ElementType::from_number(22), Some(ElementType::Int4));
        for unknown in [i32::MIN, -1, 0, 27, 1000] {
            assert_eq!(ElementType::from_number(unknown), None);
        }
    }

    #[test]
    fn half_bytes_are_rounded_up() {
        assert_eq!(ElementType::Int4.bytes(3), Some(2));
        assert_eq!(ElementType::Double.bytes(u64::MAX), None);
    }
}
