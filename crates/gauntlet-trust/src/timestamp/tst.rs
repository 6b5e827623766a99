//! What is stamped, and when: TSTInfo (RFC 3161, section 2.4.2).

use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode as _, Tag, Tagged as _};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::TimeStampError;
use super::cms::{algorithm, is_context, sequence};
use crate::x509::Hash;

/// The members that count.
pub(super) struct TstInfo<'a> {
    pub(super) policy: String,
    /// Lower-case hex.
    pub(super) serial: String,
    pub(super) time: Timestamp,
    pub(super) nonce: Option<&'a [u8]>,
    hash: Hash,
    imprint: &'a [u8],
}

impl<'a> TstInfo<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, TimeStampError> {
        let members = sequence(AnyRef::from_der(bytes)?)?;
        let [version, policy, imprint, serial, time, rest @ ..] = members.as_slice() else {
            return Err(malformed("it is cut short"));
        };
        if version.decode_as::<u8>()? != 1 {
            return Err(TimeStampError::Unsupported("a time stamp of another version than 1".to_owned()));
        }
        let policy = policy.decode_as::<ObjectIdentifier>()?.to_string();
        let imprint = sequence(*imprint)?;
        let [hash, imprint] = imprint.as_slice() else { return Err(malformed("its imprint is malformed")) };
        let named = algorithm(*hash)?;
        let hash = Hash::from_oid(named).ok_or_else(|| TimeStampError::Unsupported(format!("imprint hash {named}")))?;
        let imprint = imprint.decode_as::<OctetStringRef<'_>>()?.as_bytes();
        if serial.tag() != Tag::Integer || time.tag() != Tag::GeneralizedTime {
            return Err(malformed("its number or its time is malformed"));
        }
        let mut nonce = None;
        for member in rest {
            match member.tag() {
                Tag::Integer => nonce = Some(member.value()),
                // Accuracy, ordering, the authority's name.
                Tag::Sequence | Tag::Boolean => {}
                tag if is_context(tag, 0) => {}
                tag if is_context(tag, 1) => no_critical(member.value())?,
                _ => return Err(malformed("it has a member that does not belong there")),
            }
        }
        let time = generalized_time(time.value()).ok_or_else(|| malformed("its time cannot be read"))?;
        Ok(Self { policy, serial: hex::encode(serial.value()), time, nonce, hash, imprint })
    }

    /// Whether it is over these bytes.
    pub(super) fn covers(&self, message: &[u8]) -> Result<(), TimeStampError> {
        match self.hash.of(message) == self.imprint {
            true => Ok(()),
            false => Err(TimeStampError::OtherMessage),
        }
    }
}

/// A critical extension may change what a stamp means, and none is known here.
fn no_critical(extensions: &[u8]) -> Result<(), TimeStampError> {
    // IMPLICIT: the value is that of the SEQUENCE OF.
    for extension in sequence(AnyRef::new(Tag::Sequence, extensions)?)? {
        let critical = sequence(extension)?.iter().any(|member| member.decode_as::<bool>().unwrap_or(false));
        if critical {
            return Err(TimeStampError::Unsupported("a critical extension of a time stamp".to_owned()));
        }
    }
    Ok(())
}

/// `YYYYMMDDhhmmss[.s…]Z`; the fraction is kept to the nanosecond. Time stamps may have one, certificates not.
fn generalized_time(bytes: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = match text.split_once('.') {
        // DER: no zero at the end, so not empty either.
        Some((whole, fraction)) if fraction.ends_with(|c: char| ('1'..='9').contains(&c)) => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    let two = |at: usize| whole.get(at..at + 2)?.parse::<i8>().ok();
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse::<i32>().ok()?;
    let year = whole.get(..4)?.parse::<i16>().ok()?;
    let time = DateTime::new(year, two(4)?, two(6)?, two(8)?, two(10)?, two(12)?, nanoseconds).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

fn malformed(what: &str) -> TimeStampError {
    TimeStampError::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_have_fractions_and_nothing_else() {
        let read = |text: &str| generalized_time(text.as_bytes()).map(|time| time.to_string());
        assert_eq!(read("20260131235959Z").as_deref(), Some("2026-01-31T23:59:59Z"));
        assert_eq!(read("20260131235959.25Z").as_deref(), Some("2026-01-31T23:59:59.25Z"));
        assert_eq!(read("20260131235959.1234567891Z").as_deref(), Some("2026-01-31T23:59:59.123456789Z"));
        for odd in [
            "",
            "Z",
            "20260131235959",
            "202601312359Z",
            "20260131235959.Z",
            "20260131235959.10Z",
            "20261331235959Z",
            "20260131246000Z",
            "2026013123595éZ",
            "20260131235959+0100",
            "+0260131235959Z",
            "20260131235959.1.2Z",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
