//! Values of people and secrets, made safe to print.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keys the hash inside [`Masked`]. It belongs to the project, so that baselines agree between machines.
#[derive(Clone)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// The key of a project. The name is public, so the hash is cut to 32 bits: enough to recognise a value again,
    /// too little to single it out by trying all phone numbers.
    #[must_use]
    pub fn for_project(project: &str) -> Self {
        Self(blake3::derive_key("gauntlet masked value v1", project.as_bytes()))
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(..)")
    }
}

/// First characters and a keyed hash of a value that must not be shown, printed `ghp_…#1a2b3c4d`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// Masks `value`, showing at most `shown` characters and never more than a quarter of them.
    #[must_use]
    pub fn new(value: &str, shown: usize, key: &MaskKey) -> Self {
        let shown = shown.min(value.chars().count() / 4);
        let head: String = value.chars().take(shown).map(|c| if c.is_control() { '?' } else { c }).collect();
        let hash = blake3::keyed_hash(&key.0, value.as_bytes());
        Self(format!("{head}…#{}", hex::encode(&hash.as_bytes()[..4])))
    }

    /// The printable form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_quarter_at_most_and_repeats() {
        let key = MaskKey::for_project("p");
        let masked = Masked::new("hunter2x", 4, &key);
        assert!(masked.as_str().starts_with("hu…#"), "{masked}");
        assert_eq!(masked, Masked::new("hunter2x", 4, &key));
        assert_ne!(masked, Masked::new("hunter2x", 4, &MaskKey::for_project("q")));
        assert!(Masked::new("abc", 4, &key).as_str().starts_with('…'));
    }
}
