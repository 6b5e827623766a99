//! release v0.1: which bytes a name and version in a registry stand for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::StatementError;
use super::predicate::{Members, Predicate};

/// A registry release.
pub const RELEASE: &str = "https://in-toto.io/attestation/release/v0.1";

/// The predicate of release v0.1; v0.2 differs in the name of an optional member only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Package URL with a version.
    pub purl: String,
    /// Stays the same between releases of one package.
    #[serde(default, alias = "releaseId", skip_serializing_if = "Option::is_none")]
    pub package_id: Option<String>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for Release {
    const TYPES: &'static [&'static str] = &[RELEASE, "https://in-toto.io/attestation/release/v0.2"];
    const NAME: &'static str = "release";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.uri("purl", &self.purl)?;
        if purl_version(&self.purl).is_none() {
            return Err(member.wrong("purl", "is no package URL with a type, a name and a version"));
        }
        Ok(())
    }
}

/// The version of `pkg:type/namespace/name@version?qualifiers#subpath`, where there are type, name and version.
fn purl_version(purl: &str) -> Option<&str> {
    let rest = purl.strip_prefix("pkg:")?.trim_start_matches('/');
    let rest = rest.split(['?', '#']).next()?;
    let (kind, path) = rest.split_once('/')?;
    let last = path.rsplit('/').next()?;
    let (name, version) = last.rsplit_once('@')?;
    (!kind.is_empty() && !name.is_empty() && !version.is_empty()).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_version() {
        assert_eq!(purl_version("pkg:npm/@angular/http@7.2.16"), Some("7.2.16"));
        assert_eq!(purl_version("pkg:huggingface/org/model@4f1c?repository_url=x"), Some("4f1c"));
        for purl in ["pkg:npm/@angular/http", "pkg:npm", "npm/a@1", "pkg:npm/@1", "pkg:/a@1", "pkg:npm/a@"] {
            assert_eq!(purl_version(purl), None, "{purl}");
        }
        let read =
            |purl: &str| super::super::predicate::read::<Release>(serde_json::json!({"purl": purl, "packageId": null}));
        assert!(read("pkg:pypi/urllib3@2.1.0").is_ok());
        assert!(read("pkg:pypi/urllib3").unwrap_err().to_string().contains("version"));
    }
}
