//! reference v0.1: a signed pointer to documents too large to carry.

use serde::{Deserialize, Serialize};

use super::predicate::{Members, Predicate};
use super::{ResourceDescriptor, StatementError};

/// A pointer to a large document.
pub const REFERENCE: &str = "https://in-toto.io/attestation/reference/v0.1";

/// The predicate that points to documents too large to carry (reference v0.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Who says so.
    pub attester: Attester,
    /// The documents: place, media type and digest of each.
    pub references: Vec<ResourceDescriptor>,
}

/// Who makes a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attester {
    /// URI.
    pub id: String,
}

impl Predicate for Reference {
    const TYPES: &'static [&'static str] = &[REFERENCE];
    const NAME: &'static str = "reference";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.text("attester.id", &self.attester.id)?;
        if self.references.is_empty() {
            return Err(member.wrong("references", "is empty"));
        }
        for (index, reference) in self.references.iter().enumerate() {
            member.text(
                &format!("references[{index}].downloadLocation"),
                reference.download_location.as_deref().unwrap_or_default(),
            )?;
            member
                .text(&format!("references[{index}].mediaType"), reference.media_type.as_deref().unwrap_or_default())?;
            if reference.digest.is_empty() {
                return Err(member.wrong(format!("references[{index}].digest"), "is missing"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn a_reference_names_place_type_and_digest() {
        let document = json!({
            "attester": {"id": "https://a.example"},
            "references": [{
                "downloadLocation": "file:report.json",
                "mediaType": "application/json",
                "digest": {"sha256": "00"},
            }],
        });
        assert_eq!(read::<Reference>(document.clone()).unwrap().references.len(), 1);
        for (pointer, wrong, why) in [
            ("/attester/id", json!(""), "attester.id"),
            ("/references/0/downloadLocation", Value::Null, "references[0].downloadLocation"),
            ("/references/0/mediaType", Value::Null, "references[0].mediaType"),
            ("/references/0/digest", Value::Null, "references[0].digest"),
            ("/references", json!([]), "references"),
        ] {
            let mut broken = document.clone();
            *broken.pointer_mut(pointer).unwrap() = wrong;
            let refusal = read::<Reference>(broken).unwrap_err().to_string();
            assert!(refusal.contains(why), "{pointer}: {refusal}");
        }
    }
}
