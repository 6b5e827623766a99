//! Values and their canonical bytes: what is one value in one file format is the same value in every other.

use arrow::datatypes::{DataType, TimeUnit, i256};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::codec::{DecodeError, Reader, Writer};

/// Bytes of a text that are kept.
pub const KEPT_BYTES: usize = 64;
/// The second half of a value's 128-bit hash comes from XXH3 with this seed.
const SECOND: u64 = 0x9e37_79b9_7f4a_7c15;
/// Nanoseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000_000;

/// The family of a type: widths do not matter, so an `int32` and an `int64` column with equal values are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A column without values of any type.
    Null = 0,
    /// Whole numbers.
    Integer = 1,
    /// Floating-point numbers.
    Float = 2,
    /// Decimal numbers.
    Decimal = 3,
    /// Truth values.
    Boolean = 4,
    /// UTF-8 texts.
    Text = 5,
    /// Bytes.
    Binary = 6,
    /// Days.
    Date = 7,
    /// Points in time, nanoseconds since 1970 UTC.
    Timestamp = 8,
    /// Times of day, nanoseconds.
    Time = 9,
    /// Durations, nanoseconds.
    Duration = 10,
    /// Lists, structs and whatever else has no order: counted and hashed only.
    Nested = 11,
}

impl Kind {
    /// The family of an Arrow type.
    #[must_use]
    pub fn of(data_type: &DataType) -> Self {
        use DataType as T;
        match data_type {
            T::Null => Self::Null,
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Self::Integer,
            T::Float16 | T::Float32 | T::Float64 => Self::Float,
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Self::Decimal,
            T::Boolean => Self::Boolean,
            T::Utf8 | T::LargeUtf8 | T::Utf8View => Self::Text,
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => Self::Binary,
            T::Date32 | T::Date64 => Self::Date,
            T::Timestamp(..) => Self::Timestamp,
            T::Time32(_) | T::Time64(_) => Self::Time,
            T::Duration(_) => Self::Duration,
            T::Dictionary(_, value) => Self::of(value),
            T::RunEndEncoded(_, values) => Self::of(values.data_type()),
            _ => Self::Nested,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Text => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Nested => "nested",
        }
    }

    /// Whether values have a place on the number line (see [`Value::number`]).
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::Integer | Self::Float | Self::Decimal | Self::Date | Self::Timestamp | Self::Time | Self::Duration
        )
    }

    pub(crate) fn from_tag(tag: u8) -> Result<Self, DecodeError> {
        const ALL: [Kind; 12] = [
            Kind::Null,
            Kind::Integer,
            Kind::Float,
            Kind::Decimal,
            Kind::Boolean,
            Kind::Text,
            Kind::Binary,
            Kind::Date,
            Kind::Timestamp,
            Kind::Time,
            Kind::Duration,
            Kind::Nested,
        ];
        ALL.get(usize::from(tag)).copied().ok_or(DecodeError::Malformed("an unknown type family"))
    }
}

/// One value of a column. Texts and bytes are kept up to [`KEPT_BYTES`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Integers, days, nanoseconds.
    Int(i128),
    /// Floats: no negative zero, one NaN.
    Float(f64),
    /// A decimal number, unscaled, without zeros at its end.
    Decimal(i256, i8),
    /// Truth values.
    Bool(bool),
    /// The start of a text or of bytes, and whether more follows.
    Bytes(Box<[u8]>, bool),
    /// A value of which only the hash is known.
    Opaque,
}

impl Value {
    /// The value on the number line: integers and decimals rounded to `f64`, dates as days and times as nanoseconds since
    /// 1970 UTC.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "documented")]
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Decimal(unscaled, scale) => Some(decimal_number(*unscaled, *scale)),
            Self::Bool(_) | Self::Bytes(..) | Self::Opaque => None,
        }
    }

    /// The value as a category's name: `true`, the text (`…` where it was cut), the number.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Decimal(unscaled, scale) => decimal_text(*unscaled, *scale),
            Self::Bool(value) => value.to_string(),
            Self::Bytes(bytes, cut) => {
                let text = match std::str::from_utf8(bytes) {
                    Ok(text) => text.to_owned(),
                    // The cut went through a character.
                    Err(error) if *cut && error.error_len().is_none() => {
                        String::from_utf8_lossy(bytes).trim_end_matches('\u{fffd}').to_owned()
                    }
                    Err(_) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
                };
                if *cut { text + "…" } else { text }
            }
            Self::Opaque => "?".to_owned(),
        }
    }

    /// Order by value; texts by bytes.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Bytes(a, cut_a), Self::Bytes(b, cut_b)) => a.cmp(b).then(cut_a.cmp(cut_b)),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => std::cmp::Ordering::Equal,
            },
        }
    }

    /// A text or bytes, cut to what is kept.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(KEPT_BYTES)];
        Self::Bytes(kept.into(), kept.len() < bytes.len())
    }

    pub(crate) fn decimal(mut unscaled: i256, mut scale: i8) -> Self {
        let ten = i256::from_i128(10);
        if unscaled == i256::ZERO {
            return Self::Decimal(unscaled, 0);
        }
        while let (Some(rest), Some(shorter)) = (unscaled.checked_rem(ten), unscaled.checked_div(ten)) {
            let Some(less) = scale.checked_sub(1).filter(|_| rest == i256::ZERO) else { break };
            (unscaled, scale) = (shorter, less);
        }
        Self::Decimal(unscaled, scale)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Self::Int(value) => {
                out.u8(0);
                out.u128(value.cast_unsigned());
            }
            Self::Float(value) => {
                out.u8(1);
                out.f64(*value);
            }
            Self::Decimal(unscaled, scale) => {
                out.u8(2);
                out.0.extend_from_slice(&unscaled.to_le_bytes());
                out.u8(scale.cast_unsigned());
            }
            Self::Bool(value) => {
                out.u8(3);
                out.u8(u8::from(*value));
            }
            Self::Bytes(bytes, cut) => {
                out.u8(4 + u8::from(*cut));
                out.bytes(bytes);
            }
            Self::Opaque => out.u8(6),
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match input.u8()? {
            0 => Self::Int(input.u128()?.cast_signed()),
            1 => {
                let value = input.f64()?;
                if float_bits(value) != value.to_bits() {
                    return Err(DecodeError::Malformed("a float is not canonical"));
                }
                Self::Float(value)
            }
            2 => {
                let bytes = input.take(32)?.try_into().map_err(|_| DecodeError::Truncated)?;
                Self::Decimal(i256::from_le_bytes(bytes), input.u8()?.cast_signed())
            }
            3 => Self::Bool(input.flag()?),
            tag @ (4 | 5) => Self::Bytes(input.bytes("bytes of a value", KEPT_BYTES)?.into(), tag == 5),
            6 => Self::Opaque,
            _ => return Err(DecodeError::Malformed("an unknown value")),
        })
    }

    /// Whether a column of this family holds such values.
    pub(crate) fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Int(_) => {
                matches!(kind, Kind::Integer | Kind::Date | Kind::Timestamp | Kind::Time | Kind::Duration)
            }
            Self::Float(_) => kind == Kind::Float,
            Self::Decimal(..) => kind == Kind::Decimal,
            Self::Bool(_) => kind == Kind::Boolean,
            Self::Bytes(..) => matches!(kind, Kind::Text | Kind::Binary),
            Self::Opaque => kind == Kind::Nested,
        }
    }
}

/// The 128-bit hash of a value: XXH3-64 of the family's tag and the canonical bytes, without and with a seed. The first
/// half feeds HyperLogLog; both go into row hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hash(pub(crate) u64, pub(crate) u64);

impl Hash {
    #[inline]
    pub(crate) fn of(tagged: &[u8]) -> Self {
        Self(xxh3_64(tagged), xxh3_64_with_seed(tagged, SECOND))
    }

    #[inline]
    pub(crate) fn int(kind: Kind, value: i128) -> Self {
        let mut tagged = [0; 17];
        tagged[0] = kind as u8;
        tagged[1..].copy_from_slice(&value.to_le_bytes());
        Self::of(&tagged)
    }

    /// For floats (their bits) and days.
    #[inline]
    pub(crate) fn short(kind: Kind, value: u64) -> Self {
        let mut tagged = [0; 9];
        tagged[0] = kind as u8;
        tagged[1..].copy_from_slice(&value.to_le_bytes());
        Self::of(&tagged)
    }

    /// `buffer` is scratch space.
    #[inline]
    pub(crate) fn bytes(kind: Kind, value: &[u8], buffer: &mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.push(kind as u8);
        buffer.extend_from_slice(value);
        Self::of(buffer)
    }

    pub(crate) fn decimal(unscaled: i256, scale: i8) -> Self {
        let mut tagged = [0; 34];
        tagged[0] = Kind::Decimal as u8;
        tagged[1..33].copy_from_slice(&unscaled.to_le_bytes());
        tagged[33] = scale.to_le_bytes()[0];
        Self::of(&tagged)
    }
}

/// Bits of a float after canonicalising: -0.0 is 0.0, every NaN is one.
#[inline]
pub(crate) fn float_bits(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// Nanoseconds of a unit.
pub(crate) fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn decimal_number(unscaled: i256, scale: i8) -> f64 {
    // Through text: correctly rounded whatever the scale.
    format!("{unscaled}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

fn decimal_text(unscaled: i256, scale: i8) -> String {
    if scale <= 0 {
        return format!("{unscaled}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    }
    let text = unscaled.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let width = usize::from(scale.unsigned_abs()) + 1;
    let padded = format!("{digits:0>width$}");
    let (whole, part) = padded.split_at(padded.len() + 1 - width);
    format!("{sign}{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_form() {
        let d = |u: i128, s| Value::decimal(i256::from_i128(u), s);
        assert_eq!(d(1200, 2), d(12, 0));
        assert_eq!(d(0, 5), d(0, 0));
        assert_ne!(d(12, 1), d(12, 0));
        assert_eq!(d(-1205, 3).label(), "-1.205");
        assert_eq!(d(5, 3).label(), "0.005");
        assert_eq!(d(1200, 0).label(), "1200");
        assert_eq!(d(125, 2).number(), Some(1.25));
        assert_eq!(float_bits(-0.0), float_bits(0.0));
        assert_eq!(float_bits(f64::from_bits(0xfff8_0000_0000_0001)), f64::NAN.to_bits());
    }

    #[test]
    fn long_texts_are_cut() {
        let value = Value::bytes(format!("a{}", "ä".repeat(40)).as_bytes());
        assert!(matches!(&value, Value::Bytes(kept, true) if kept.len() == KEPT_BYTES));
        assert_eq!(value.label(), format!("a{}…", "ä".repeat(31)));
        assert_eq!(Value::bytes(&[0xff, 0x01]).label(), "ff01");
    }
}
