//! Documents about a model by their media type, told from what is in them.

use serde::Deserialize;

use super::{Attachment, SIGSTORE_BUNDLE};
use crate::strict_json::{self, Bounds};

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {what}")]
pub struct AttachmentError {
    name: String,
    what: &'static str,
}

impl Attachment {
    /// A bill of materials: CycloneDX or SPDX, in JSON.
    ///
    /// # Errors
    /// [`AttachmentError`] for anything else.
    pub fn bom(name: &str, bytes: Vec<u8>) -> Result<Self, AttachmentError> {
        let media_type = match Members::of(&bytes) {
            Some(Members { bom_format: Some(format), .. }) if format == "CycloneDX" => "application/vnd.cyclonedx+json",
            Some(Members { spdx_version: Some(_), .. } | Members { context: Some(_), .. }) => "application/spdx+json",
            _ => return Err(AttachmentError { name: name.to_owned(), what: "neither CycloneDX nor SPDX in JSON" }),
        };
        Ok(Self::new(name, media_type, bytes))
    }

    /// A model card in Markdown.
    ///
    /// # Errors
    /// [`AttachmentError`] when it is no text.
    pub fn card(name: &str, bytes: Vec<u8>) -> Result<Self, AttachmentError> {
        if std::str::from_utf8(&bytes).is_err() {
            return Err(AttachmentError { name: name.to_owned(), what: "not UTF-8, so no model card" });
        }
        Ok(Self::new(name, "text/markdown", bytes))
    }

    /// Evidence: an envelope, a bundle of Sigstore, lines of envelopes, or an evidence bundle of ours.
    ///
    /// # Errors
    /// [`AttachmentError`] for anything else.
    pub fn evidence(name: &str, bytes: Vec<u8>) -> Result<Self, AttachmentError> {
        let ours = name.ends_with(".gauntlet-bundle");
        let media_type = match Members::of(&bytes) {
            _ if ours => "application/vnd.gauntlet.bundle",
            Some(Members { payload_type: Some(_), .. }) => "application/vnd.dsse.envelope.v1+json",
            Some(Members { media_type: Some(stated), .. }) if stated == SIGSTORE_BUNDLE => SIGSTORE_BUNDLE,
            None if name.ends_with(".jsonl") => "application/vnd.in-toto.bundle",
            _ => {
                let what = "no evidence: a DSSE envelope, a Sigstore bundle, `.jsonl` or `.gauntlet-bundle`";
                return Err(AttachmentError { name: name.to_owned(), what });
            }
        };
        Ok(Self::new(name, media_type, bytes))
    }

    fn new(name: &str, media_type: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), media_type: media_type.to_owned(), bytes }
    }
}

/// What tells the documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    bom_format: Option<String>,
    spdx_version: Option<String>,
    #[serde(rename = "@context")]
    context: Option<serde::de::IgnoredAny>,
    payload_type: Option<String>,
    media_type: Option<String>,
}

impl Members {
    fn of(bytes: &[u8]) -> Option<Self> {
        strict_json::from_slice(bytes, &Bounds::DOCUMENT).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_others_refused() {
        let bom = |text: &str| Attachment::bom("b", text.as_bytes().to_vec()).map(|a| a.media_type);
        assert_eq!(bom(r#"{"bomFormat":"CycloneDX"}"#).unwrap(), "application/vnd.cyclonedx+json");
        assert_eq!(bom(r#"{"spdxVersion":"SPDX-2.3"}"#).unwrap(), "application/spdx+json");
        assert_eq!(
            bom(r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}"#).unwrap(),
            "application/spdx+json"
        );
        for text in ["{}", "[]", "bomFormat", r#"{"bomFormat":"CycloneDX","bomFormat":"CycloneDX"}"#] {
            assert!(bom(text).is_err(), "{text}");
        }
        let evidence =
            |name: &str, text: &str| Attachment::evidence(name, text.as_bytes().to_vec()).map(|a| a.media_type);
        assert_eq!(evidence("e", r#"{"payloadType":"x"}"#).unwrap(), "application/vnd.dsse.envelope.v1+json");
        assert_eq!(evidence("e.jsonl", "{}\n{}\n").unwrap(), "application/vnd.in-toto.bundle");
        assert!(evidence("e.txt", "hello").is_err());
        assert!(Attachment::card("c", vec![0xff]).is_err());
    }
}
