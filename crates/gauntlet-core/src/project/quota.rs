//! Amounts that people write: bytes, times, cores and money, each exact and with one text form.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A text that should be an amount and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: write {example}")]
pub struct QuotaError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Bytes: `512MB` (decimal), `8GiB` (binary), or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct ByteSize(pub u64);

/// A time: `2h`, `30m`, `1h30m`, `45s`, `250ms`, or a bare number of seconds. Kept in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Span(pub u64);

/// Processor cores, to a thousandth: `4`, `1.5`. Kept in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "f64")]
pub struct Cores(pub u64);

/// Money: `40 EUR`, `0.05 USD`. Kept in millionths of the currency's unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Money {
    /// Millionths of one unit.
    pub micros: u64,
    /// ISO 4217 code, three capital letters.
    pub currency: String,
}

const BYTE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const TIME_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for ByteSize {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let wrong = || QuotaError { text: shown(text), what: "size", example: "8GiB, 512MB or a number of bytes" };
        let (number, unit) = split(text.trim());
        let (_, factor) =
            BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).ok_or_else(wrong)?;
        scaled(number, *factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = [BYTE_UNITS[8], BYTE_UNITS[7], BYTE_UNITS[6], BYTE_UNITS[5]];
        match exact.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Span {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let wrong = || QuotaError { text: shown(text), what: "time", example: "2h, 30m, 1h30m or 45s" };
        let mut rest = text.trim();
        if let Some(seconds) = scaled(rest, 1_000) {
            return Ok(Self(seconds));
        }
        let (mut total, mut last) = (0_u64, u64::MAX);
        while !rest.is_empty() {
            let (number, tail) = split(rest);
            let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, next) = tail.split_at(end);
            let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
            // Units come from large to small, each once: `30m2h` is more likely a slip than a time.
            if *factor >= last {
                return Err(wrong());
            }
            last = *factor;
            total = scaled(number, *factor).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
            rest = next;
        }
        if last == u64::MAX { Err(wrong()) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in TIME_UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

impl FromStr for Cores {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        scaled(text.trim(), 1_000).filter(|milli| *milli > 0).map(Self).ok_or_else(|| QuotaError {
            text: shown(text),
            what: "number of cores",
            example: "4 or 1.5",
        })
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0, 1_000, 3)
    }
}

impl FromStr for Money {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let wrong = || QuotaError { text: shown(text), what: "amount of money", example: "40 EUR" };
        let (number, currency) = split(text.trim());
        let currency = currency.trim();
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let micros = scaled(number, 1_000_000).ok_or_else(wrong)?;
        Ok(Self { micros, currency: currency.to_owned() })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.micros, 1_000_000, 6)?;
        write!(f, " {}", self.currency)
    }
}

/// The number at the front, and what follows.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// A decimal number times `factor`; `None` unless the product is a whole number that fits.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return Some(whole);
    }
    let divisor = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor);
    // A fraction of a byte or a millisecond is rounded down; nobody means it.
    whole.checked_add(u64::try_from(product / u128::from(divisor)).ok()?)
}

fn decimal(f: &mut fmt::Formatter<'_>, value: u64, factor: u64, places: usize) -> fmt::Result {
    write!(f, "{}", value / factor)?;
    match value % factor {
        0 => Ok(()),
        rest => {
            let digits = format!("{rest:0places$}");
            write!(f, ".{}", digits.trim_end_matches('0'))
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Reads text or a bare number through `FromStr`.
struct Scalar<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = QuotaError>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number with its unit")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! text_form {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar(std::marker::PhantomData))
            }
        }
    )*};
}

text_form!(ByteSize, Span, Cores, Money);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!("8GiB".parse(), Ok(ByteSize(8 << 30)));
        assert_eq!("1.5 GB".parse(), Ok(ByteSize(1_500_000_000)));
        assert_eq!("4096".parse(), Ok(ByteSize(4096)));
        assert_eq!("2h".parse(), Ok(Span(7_200_000)));
        assert_eq!("1h30m".parse(), Ok(Span(5_400_000)));
        assert_eq!("250ms".parse(), Ok(Span(250)));
        assert_eq!("90".parse(), Ok(Span(90_000)));
        assert_eq!("1.5".parse(), Ok(Cores(1_500)));
        assert_eq!("0.05 USD".parse(), Ok(Money { micros: 50_000, currency: "USD".into() }));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "GiB", "-1", "1 GiBi", "1..2GB", "99999999999GiB", "1.GB", "é"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["", "h", "30m2h", "2h2h", "1 fortnight", "-3s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("0".parse::<Cores>().is_err());
        for text in ["40", "40 euro", "EUR 40", "-1 EUR"] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_forms_round_trip(value in 0..1_u64 << 50) {
            prop_assert_eq!(ByteSize(value).to_string().parse::<ByteSize>().unwrap(), ByteSize(value));
            prop_assert_eq!(Span(value).to_string().parse::<Span>().unwrap(), Span(value));
            prop_assert_eq!(Cores(value + 1).to_string().parse::<Cores>().unwrap(), Cores(value + 1));
            let money = Money { micros: value, currency: "EUR".into() };
            prop_assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,30}") {
            let _ = (text.parse::<ByteSize>(), text.parse::<Span>(), text.parse::<Cores>(), text.parse::<Money>());
        }
    }
}
