//! Element types: what PyTorch and NumPy call them and what safetensors does.

/// An element type of safetensors. The order is that of the reference implementation, which sorts tensors by it
/// (largest alignment first) and then by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dtype {
    Bool,
    U8,
    I8,
    F8E5M2,
    F8E4M3,
    F8E8M0,
    F8E4M3Fnuz,
    F8E5M2Fnuz,
    I16,
    U16,
    F16,
    Bf16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,
}

impl Dtype {
    /// The name in a safetensors header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::F8E5M2 => "F8_E5M2",
            Self::F8E4M3 => "F8_E4M3",
            Self::F8E8M0 => "F8_E8M0",
            Self::F8E4M3Fnuz => "F8_E4M3FNUZ",
            Self::F8E5M2Fnuz => "F8_E5M2FNUZ",
            Self::I16 => "I16",
            Self::U16 => "U16",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::F32 => "F32",
            Self::C64 => "C64",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::U64 => "U64",
        }
    }

    /// Bytes of one element.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::F8E5M2 | Self::F8E4M3 | Self::F8E8M0 | Self::F8E4M3Fnuz | Self::F8E5M2Fnuz => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::C64 | Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Bytes that change order together: a complex number is two numbers.
    pub(super) fn swapped(self) -> usize {
        match self {
            Self::C64 => 4,
            other => usize::try_from(other.size()).unwrap_or(1),
        }
    }

    /// The element type of a PyTorch storage class such as `FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "BoolStorage" => Self::Bool,
            "ByteStorage" => Self::U8,
            "CharStorage" => Self::I8,
            "ShortStorage" => Self::I16,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "IntStorage" => Self::I32,
            "FloatStorage" => Self::F32,
            "ComplexFloatStorage" => Self::C64,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            _ => return None,
        })
    }

    /// The element type of a name in the module `torch`, such as `float8_e4m3fn`.
    pub(super) fn of_torch(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "uint8" => Self::U8,
            "int8" => Self::I8,
            "float8_e5m2" => Self::F8E5M2,
            "float8_e4m3fn" => Self::F8E4M3,
            "float8_e8m0fnu" => Self::F8E8M0,
            "float8_e4m3fnuz" => Self::F8E4M3Fnuz,
            "float8_e5m2fnuz" => Self::F8E5M2Fnuz,
            "int16" | "short" => Self::I16,
            "uint16" => Self::U16,
            "float16" | "half" => Self::F16,
            "bfloat16" => Self::Bf16,
            "int32" | "int" => Self::I32,
            "uint32" => Self::U32,
            "float32" | "float" => Self::F32,
            "complex64" | "cfloat" => Self::C64,
            "float64" | "double" => Self::F64,
            "int64" | "long" => Self::I64,
            "uint64" => Self::U64,
            _ => return None,
        })
    }

    /// The element type of a quoted NumPy code such as `'<f4'`, and whether its bytes are big-endian.
    pub(super) fn of_numpy(descr: &str) -> Option<(Self, bool)> {
        let code = descr.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
        let (big, code) = match code.split_at_checked(1)? {
            (">", code) => (true, code),
            ("<" | "|" | "=", code) => (false, code),
            _ => (false, code),
        };
        let dtype = match code {
            "b1" | "?" => Self::Bool,
            "u1" => Self::U8,
            "i1" => Self::I8,
            "i2" => Self::I16,
            "u2" => Self::U16,
            "f2" => Self::F16,
            "i4" => Self::I32,
            "u4" => Self::U32,
            "f4" => Self::F32,
            "c8" => Self::C64,
            "f8" => Self::F64,
            "i8" => Self::I64,
            "u8" => Self::U64,
            _ => return None,
        };
        Some((dtype, big))
    }
}

/// Bytes of one element of any PyTorch storage class, convertible or not: what is needed to find the next storage.
pub(super) fn storage_item(class: &str) -> Option<u64> {
    Some(match class {
        "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" | "UntypedStorage" => 1,
        "QInt32Storage" => 4,
        "ComplexDoubleStorage" => 16,
        class => Dtype::of_storage(class)?.size(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numpy_codes_carry_their_byte_order() {
        assert_eq!(Dtype::of_numpy("'>f4'"), Some((Dtype::F32, true)));
        assert_eq!(Dtype::of_numpy("'|b1'"), Some((Dtype::Bool, false)));
        for other in ["'<U4'", "'|O'", "'<c16'", "'<M8[ns]'", "'<f16'", "[('a', '<f4')]", "''", "'", "'é4'"] {
            assert_eq!(Dtype::of_numpy(other), None, "{other}");
        }
    }

    #[test]
    fn types_that_safetensors_lacks_have_a_size_and_no_name() {
        for class in ["QInt8Storage", "ComplexDoubleStorage"] {
            assert!(storage_item(class).is_some() && Dtype::of_storage(class).is_none());
        }
        assert_eq!(storage_item("os.system"), None);
    }
}
