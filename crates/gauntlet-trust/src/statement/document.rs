//! Predicates that are whole documents of other standards: CycloneDX, SPDX, OpenVEX. Only what tells them apart and
//! names them is typed; the rest is kept as it stands.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::StatementError;
use super::predicate::{Members, Predicate};

/// A CycloneDX bill of materials. Spellings with a version behind are read alike.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// An SPDX document.
pub const SPDX: &str = "https://spdx.dev/Document";
/// An OpenVEX document.
pub const OPENVEX: &str = "https://openvex.dev/ns/v0.2.0";

/// A CycloneDX document as a predicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BillOfMaterials {
    /// Always `CycloneDX`.
    pub bom_format: String,
    /// Release of the specification, such as `1.6`.
    pub spec_version: String,
    /// The rest of the document.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Predicate for BillOfMaterials {
    const TYPES: &'static [&'static str] = &[
        CYCLONEDX,
        "https://cyclonedx.org/bom/v1.4",
        "https://cyclonedx.org/bom/v1.5",
        "https://cyclonedx.org/bom/v1.6",
        "https://cyclonedx.org/bom/v1.7",
    ];
    const NAME: &'static str = "CycloneDX document";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        if self.bom_format != "CycloneDX" {
            return Err(member.wrong("bomFormat", "is not `CycloneDX`"));
        }
        let version = self.spec_version.strip_prefix("1.").is_some_and(|minor| {
            !minor.is_empty() && minor.len() <= 2 && minor.bytes().all(|byte| byte.is_ascii_digit())
        });
        if version { Ok(()) } else { Err(member.wrong("specVersion", "is no release of CycloneDX such as 1.6")) }
    }
}

/// An SPDX document as a predicate: 2.x has `spdxVersion`, 3.x is JSON-LD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpdxDocument {
    /// `SPDX-2.3` and so on, in 2.x.
    #[serde(rename = "spdxVersion", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which JSON-LD context, in 3.x.
    #[serde(rename = "@context", default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The elements, in 3.x.
    #[serde(rename = "@graph", default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Vec<Map<String, Value>>>,
    /// The rest of the document.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Predicate for SpdxDocument {
    const TYPES: &'static [&'static str] =
        &[SPDX, "https://spdx.dev/Document/v2.2", "https://spdx.dev/Document/v2.3", "https://spdx.dev/Document/v3"];
    const NAME: &'static str = "SPDX document";

    fn check(&self) -> Result<(), StatementError> {
        let second = self.version.as_deref().is_some_and(|version| version.starts_with("SPDX-2."));
        let third = self.graph.is_some()
            && self.context.as_deref().is_some_and(|context| context.starts_with("https://spdx.org/rdf/3."));
        if second || third {
            return Ok(());
        }
        Err(Members::of::<Self>()
            .wrong("spdxVersion", "is not SPDX-2.x, and there is no SPDX 3 `@context` with `@graph`"))
    }
}

/// An OpenVEX document as a predicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exploitability {
    /// `https://openvex.dev/ns/v0.2.0`.
    #[serde(rename = "@context")]
    pub context: String,
    /// Its IRI.
    #[serde(rename = "@id")]
    pub id: String,
    /// Who says so.
    pub author: String,
    /// When, RFC 3339.
    pub timestamp: String,
    /// Which vulnerability has which status in which product.
    pub statements: Vec<Map<String, Value>>,
    /// The rest of the document.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Predicate for Exploitability {
    const TYPES: &'static [&'static str] = &[OPENVEX, "https://openvex.dev/ns"];
    const NAME: &'static str = "OpenVEX document";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        if !self.context.starts_with("https://openvex.dev/ns") {
            return Err(member.wrong("@context", "is not that of OpenVEX"));
        }
        member.text("@id", &self.id)?;
        member.text("author", &self.author)?;
        // OpenVEX asks for RFC 3339 with any offset, unlike in-toto.
        if self.timestamp.parse::<jiff::Timestamp>().is_err() {
            return Err(member.wrong("timestamp", "is not a time of RFC 3339"));
        }
        for (index, statement) in self.statements.iter().enumerate() {
            let status = statement.get("status").and_then(Value::as_str).unwrap_or_default();
            if !matches!(status, "not_affected" | "affected" | "fixed" | "under_investigation") {
                return Err(member.wrong(format!("statements[{index}].status"), "is none of the four statuses"));
            }
            if !statement.contains_key("vulnerability") {
                return Err(member.wrong(format!("statements[{index}].vulnerability"), "is missing"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::predicate::read;
    use super::*;

    #[test]
    fn documents_say_what_they_are() {
        let bom = |value: Value| read::<BillOfMaterials>(value).is_ok();
        assert!(bom(json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []})));
        assert!(!bom(json!({"bomFormat": "cyclonedx", "specVersion": "1.6"})));
        assert!(!bom(json!({"bomFormat": "CycloneDX", "specVersion": "2"})));
        let spdx = |value: Value| read::<SpdxDocument>(value).is_ok();
        assert!(spdx(json!({"spdxVersion": "SPDX-2.3"})));
        assert!(spdx(json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []})));
        assert!(!spdx(json!({"spdxVersion": "3"})));
        assert!(!spdx(json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"})));
    }

    #[test]
    fn every_exploitability_statement_has_a_status() {
        let document = |status: &str| {
            read::<Exploitability>(json!({
                "@context": OPENVEX, "@id": "https://v.example/1", "author": "a", "timestamp": "2026-01-01T01:00:00+01:00",
                "version": 1, "statements": [{"vulnerability": {"name": "CVE-2026-0001"}, "status": status}],
            }))
        };
        assert!(document("not_affected").is_ok());
        assert!(document("harmless").unwrap_err().to_string().contains("statements[0].status"));
    }
}
