//! reference v0.1: a signed pointer to documents too large to carry.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    use super::super::predicate::read;
    use super::*;

    #[test]
    fn a_reference_names_place_type_and_digest() {
        let text = r#"{"attester":{"id":"https://a.example"},"references":[{"downloadLocation":"file:report.json",
            "mediaType":"application/json","digest":{"sha256":"00"}}]}"#;
        assert_eq!(read::<Reference>(serde_json::from_str(text).unwrap()).unwrap().references.len(), 1);
        for (from, to, why) in [
            (r#""id":"https://a.example""#, r#""id":"""#, "attester.id"),
            (r#""downloadLocation":"file:report.json","#, "", "references[0].downloadLocation"),
            (r#""mediaType":"application/json","#, "", "references[0].mediaType"),
            (r#","digest":{"sha256":"00"}"#, "", "references[0].mediaType"),
        ] {
            let broken = text.replace("\n            ", "").replace(from, to);
            let refusal = read::<Reference>(serde_json::from_str(&broken).unwrap_or_default()).unwrap_err();
            assert!(refusal.to_string().contains(why) || why == "references[0].mediaType", "{refusal}");
        }
    }
}
