//! Base64 as the formats here want it: standard alphabet when written, also URL-safe when read, never loose.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Standard alphabet with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Takes either alphabet, not a mixture; refuses white space, missing padding and non-zero trailing bits, so that
/// one value has one spelling in each alphabet.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let url_safe = text.bytes().any(|b| b == b'-' || b == b'_');
    if url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_alphabets_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes.clone());
            prop_assert_eq!(decode(&URL_SAFE.encode(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn what_decodes_encodes_back_to_itself(text in "[A-Za-z0-9+/=_ -]{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert!(encode(&bytes) == text || URL_SAFE.encode(&bytes) == text);
            }
        }
    }

    #[test]
    fn oddities_are_refused() {
        for odd in ["A", "AA", "AA=", "AAA", "AA==\n", " AA==", "AB==", "A-+=", "AA==AA==", "A===", "é==="] {
            assert!(decode(odd).is_err(), "{odd:?}");
        }
        assert_eq!(decode("").unwrap(), b"");
        assert_eq!(decode("-_8=").unwrap(), decode("+/8=").unwrap());
    }
}
