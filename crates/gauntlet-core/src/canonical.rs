//! Canonical JSON: sorted keys, no white space, UTF-8; equal values give equal bytes, which is what gets hashed and signed.

use serde::Serialize;

use crate::digest::Digest;

/// Serialises with sorted keys and no white space. `serde_json`'s map is sorted, so going through `Value` sorts.
///
/// # Errors
/// When the value cannot be expressed in JSON (a map with non-text keys).
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&serde_json::to_value(value)?)
}

/// SHA-256 of the canonical form.
///
/// # Errors
/// As [`to_vec`].
pub fn digest(value: &impl Serialize) -> Result<Digest, serde_json::Error> {
    Ok(Digest::sha256(&to_vec(value)?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn sorts_keys_at_every_level() {
        let value: serde_json::Value = serde_json::from_str(r#"{"b":{"d":1,"c":2},"a":[{"z":0,"y":0}]}"#).unwrap();
        assert_eq!(super::to_vec(&value).unwrap(), br#"{"a":[{"y":0,"z":0}],"b":{"c":2,"d":1}}"#);
    }
}
