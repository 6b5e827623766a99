//! JSON as protobuf writes it: bytes in base64, 64-bit integers as text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use crate::base64;

/// A `bytes` field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        base64::decode(&text).map(Self).map_err(|_| D::Error::custom("a value that is not base64"))
    }
}

/// An `int64` field that counts something: text or a number, never below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl Visitor<'_> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 to 2^63-1, as a number or as text")
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Count, E> {
                match i64::try_from(value) {
                    Ok(_) => Ok(Count(value)),
                    Err(_) => Err(E::custom("an integer above 2^63-1")),
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Count, E> {
                let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let plain = plain && (text == "0" || !text.starts_with('0'));
                match text.parse() {
                    Ok(value) if plain => self.visit_u64(value),
                    _ => Err(E::custom("an integer that is not written plainly")),
                }
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_as_text_or_number_and_are_never_below_zero() {
        let read = |text: &str| serde_json::from_str::<Count>(text).ok().map(|count| count.0);
        assert_eq!((read("7"), read("\"7\""), read("\"0\"")), (Some(7), Some(7), Some(0)));
        for odd in [
            "-1",
            "\"-1\"",
            "\"+1\"",
            "\"07\"",
            "\"\"",
            "1.0",
            "\"9223372036854775808\"",
            "9223372036854775808",
            "null",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
