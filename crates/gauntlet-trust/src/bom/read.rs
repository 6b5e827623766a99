//! Reading a CycloneDX document that somebody else wrote: JSON of 1.2 to 1.7. What it says is reported, never believed.

use gauntlet_core::Digest;
use serde::Deserialize;
use serde_json::Value;

use crate::strict_json::{self, Bounds, JsonError};

/// Components of all levels that are read.
const COMPONENTS: usize = 200_000;
/// Components inside components.
const DEPTH: usize = 32;

/// What a document is about, in short.
#[derive(Clone, Debug, PartialEq)]
pub struct BomSummary {
    /// `1.6` and so on.
    pub spec_version: String,
    /// Serial number, when there is one.
    pub serial_number: Option<String>,
    /// What the document describes.
    pub subject: Option<BomComponent>,
    /// Everything in it, the subject's own parts too, in the order of the document.
    pub components: Vec<BomComponent>,
    /// Entries of `vulnerabilities`: identifier, or nothing where it has none.
    pub vulnerabilities: Vec<Option<String>>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BomComponent {
    /// `library`, `machine-learning-model` and so on.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Package URL.
    pub purl: Option<String>,
    /// SHA-256 digests, well-formed ones only.
    pub sha256: Vec<Digest>,
    /// Identifiers, names or expressions of its licences.
    pub licences: Vec<String>,
}

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum BomError {
    /// Not strict JSON.
    #[error("not a CycloneDX document: {0}")]
    Json(#[from] JsonError),
    /// Another format, or a release that is not read.
    #[error("not a CycloneDX document of release 1.2 to 1.7: bomFormat {format}, specVersion {version}")]
    Version {
        /// What it says it is.
        format: String,
        /// Which release.
        version: String,
    },
    /// A component without type or name, or with one of another kind than text.
    #[error("component {0} has no `type` and `name`")]
    Component(String),
    /// More than is read.
    #[error("more than {0}")]
    Limit(String),
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "bomFormat", default)]
    format: String,
    #[serde(rename = "specVersion", default)]
    version: String,
    #[serde(rename = "serialNumber", default)]
    serial: Option<String>,
    #[serde(default)]
    metadata: Option<Value>,
    #[serde(default)]
    components: Option<Vec<Value>>,
    #[serde(default)]
    vulnerabilities: Option<Vec<Value>>,
}

/// Reads a document, within [`Bounds::DOCUMENT`].
///
/// # Errors
/// [`BomError`] names what is wrong.
pub fn read(bytes: &[u8]) -> Result<BomSummary, BomError> {
    let document: Document = strict_json::from_slice(bytes, &Bounds::DOCUMENT)?;
    let known = ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"].contains(&document.version.as_str());
    if document.format != "CycloneDX" || !known {
        let (format, version) = (crate::shown(&document.format), crate::shown(&document.version));
        return Err(BomError::Version { format, version });
    }
    let mut components = Vec::new();
    let subject = document.metadata.as_ref().and_then(|metadata| metadata.get("component"));
    let subject = subject.map(|value| component(value, "metadata.component")).transpose()?;
    if let Some(parts) = document.metadata.as_ref().and_then(|m| m.pointer("/component/components")) {
        collect(parts, "metadata.component.components", DEPTH, &mut components)?;
    }
    if let Some(list) = document.components {
        collect(&Value::Array(list), "components", DEPTH, &mut components)?;
    }
    let vulnerabilities = document.vulnerabilities.unwrap_or_default();
    let id = |value: &Value| value.get("id").and_then(Value::as_str).map(str::to_owned);
    Ok(BomSummary {
        spec_version: document.version,
        serial_number: document.serial,
        subject,
        components,
        vulnerabilities: vulnerabilities.iter().map(id).collect(),
    })
}

fn collect(list: &Value, at: &str, depth: usize, into: &mut Vec<BomComponent>) -> Result<(), BomError> {
    let Some(left) = depth.checked_sub(1) else { return Err(BomError::Limit(format!("{DEPTH} levels of components"))) };
    for (value, index) in list.as_array().into_iter().flatten().zip(0usize..) {
        if into.len() >= COMPONENTS {
            return Err(BomError::Limit(format!("{COMPONENTS} components")));
        }
        let place = format!("{at}[{index}]");
        into.push(component(value, &place)?);
        if let Some(inner) = value.get("components") {
            collect(inner, &format!("{place}.components"), left, into)?;
        }
    }
    Ok(())
}

fn component(value: &Value, place: &str) -> Result<BomComponent, BomError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let (Some(kind), Some(name)) = (text("type"), text("name")) else {
        return Err(BomError::Component(place.to_owned()));
    };
    let hashes = value.get("hashes").and_then(Value::as_array).into_iter().flatten();
    let sha256 = hashes
        .filter(|hash| hash.get("alg").and_then(Value::as_str) == Some("SHA-256"))
        .filter_map(|hash| format!("sha256:{}", hash.get("content")?.as_str()?).parse().ok())
        .collect();
    let licences = value.get("licenses").and_then(Value::as_array).into_iter().flatten().filter_map(|entry| {
        let named = entry.get("license").and_then(|licence| licence.get("id").or_else(|| licence.get("name")));
        named.or_else(|| entry.get("expression")).and_then(Value::as_str).map(str::to_owned)
    });
    Ok(BomComponent { kind, name, version: text("version"), purl: text("purl"), sha256, licences: licences.collect() })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::cyclonedx::{Version, write};
    use super::super::tests::sample;
    use super::super::{Writer, read};

    fn written(version: Version) -> Vec<u8> {
        let writer = Writer { tool_version: "0.1.0", time: Timestamp::UNIX_EPOCH };
        serde_json::to_vec(&write(&sample(), version, writer)).unwrap()
    }

    #[test]
    fn what_we_write_we_read() {
        for version in [Version::V1_5, Version::V1_6, Version::V1_7] {
            let summary = read(&written(version)).unwrap();
            let subject = summary.subject.unwrap();
            assert_eq!((subject.kind.as_str(), subject.name.as_str()), ("machine-learning-model", "churn"));
            assert_eq!(subject.sha256, [gauntlet_core::Digest::sha256(b"model")]);
            assert!(summary.components.iter().any(|c| c.purl.as_deref() == Some("pkg:pypi/numpy@2.1.0")));
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for text in [
            "{}",
            r#"{"bomFormat":"CycloneDX","specVersion":"2.0"}"#,
            r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"x"}]}"#,
            r#"{"bomFormat":"CycloneDX","bomFormat":"CycloneDX","specVersion":"1.6"}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{}{}]}}"#,
            r#"{"type":"library","name":"x","components":["#.repeat(40),
            "]}".repeat(40)
        );
        assert!(read(deep.as_bytes()).is_err(), "deeper than the reader's bounds");
    }

    #[test]
    fn no_mutated_document_breaks_the_reader() {
        let seed = written(Version::V1_6);
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        for _ in 0..1_000 {
            let mut bytes = seed.clone();
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << (next() % 8),
                _ => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&seed[next() % seed.len()..]);
                    bytes.extend(tail);
                }
            }
            let _ = read(&bytes);
        }
    }
}
