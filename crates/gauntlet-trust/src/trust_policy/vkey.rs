//! Public keys of logs and witnesses in their text form (C2SP signed-note vkey): `name+hex id+base64(type | key)`.
//!
//! Only the spelling, the id and the soundness of the key are checked here; signatures are the ledger's matter.

use sha2::{Digest as _, Sha256};

use crate::base64;

/// What the signatures of a key mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VkeyKind {
    /// Type 0x01: Ed25519 over the text of a note; what a log signs with.
    Log,
    /// Type 0x04: a witness's cosignature over a time and a checkpoint.
    Witness,
}

/// A checked vkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    text: String,
    name: String,
    kind: VkeyKind,
    public: [u8; 32],
}

impl Vkey {
    /// Reads a vkey. The message says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a verifier key is written `name+hex id+base64`, as `gauntlet ledger` prints it".into());
        };
        if name.is_empty() || name.len() > 255 || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("the name in the verifier key is empty, too long or holds white space".into());
        }
        let material = base64::decode(key).map_err(|_| "the key in the verifier key is not base64")?;
        let (kind, public) = match material.split_first() {
            Some((0x01, public)) => (VkeyKind::Log, public),
            Some((0x04, public)) => (VkeyKind::Witness, public),
            _ => return Err("the verifier key is of a type that is not used here (0x01 and 0x04 are)".into()),
        };
        let public: [u8; 32] = public.try_into().map_err(|_| "the verifier key does not hold 32 bytes")?;
        let sound = ed25519_dalek::VerifyingKey::from_bytes(&public).is_ok_and(|key| !key.is_weak());
        if !sound {
            return Err("the verifier key holds no sound Ed25519 key".into());
        }
        let hash = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&material).finalize();
        if hash.get(..4).map(hex::encode).as_deref() != Some(id) {
            return Err("the id in the verifier key is not that of its name and key".into());
        }
        Ok(Self { text: text.to_owned(), name: name.to_owned(), kind, public })
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its signatures mean.
    #[must_use]
    pub fn kind(&self) -> VkeyKind {
        self.kind
    }

    /// The public key itself: under two names it is still one witness.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The vkey of a key made from a seed byte.
    pub(crate) fn vkey(name: &str, kind: u8, seed: u8) -> String {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        let material = [&[kind][..], key.as_bytes()].concat();
        let hash = Sha256::digest([name.as_bytes(), b"\n", &material].concat());
        format!("{name}+{}+{}", hex::encode(&hash[..4]), base64::encode(&material))
    }

    #[test]
    fn reads_log_and_witness_keys_and_nothing_else() {
        let log = Vkey::parse(&vkey("example.org/log", 1, 7)).unwrap();
        assert_eq!((log.name(), log.kind()), ("example.org/log", VkeyKind::Log));
        assert_eq!(Vkey::parse(&vkey("w", 4, 8)).unwrap().kind(), VkeyKind::Witness);
        let good = vkey("w", 4, 8);
        for (broken, why) in [
            (vkey("w", 6, 8), "type"),
            (good.replacen('w', "v", 1), "id"),
            (good[..good.len() - 4].to_owned(), "32 bytes"),
            (format!("{good}!"), "base64"),
            (good.replacen('w', "", 1), "name"),
            ("w".to_owned(), "written"),
        ] {
            assert!(Vkey::parse(&broken).unwrap_err().contains(why), "{broken}: {:?}", Vkey::parse(&broken));
        }
    }
}
