//! vulns v0.2: what a scanner with an advisory database found.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::StatementError;
use super::predicate::{Members, Predicate};

/// Findings of a scan; v0.1 has the same members.
pub const VULNS: &str = "https://in-toto.io/attestation/vulns/v0.2";

/// The predicate of vulns v0.2. An empty list of results means that nothing was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vulnerabilities {
    /// Who looked, with which database, and what was found.
    pub scanner: Scanner,
    /// When.
    pub metadata: ScanMetadata,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// Who looked, with which database, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scanner {
    /// Which program.
    pub uri: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it compared with.
    pub db: Database,
    /// What it found.
    pub result: Vec<Vulnerability>,
}

/// An advisory database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it was last brought up to date, RFC 3339 in UTC.
    pub last_update: String,
}

/// One vulnerability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vulnerability {
    /// CVE, GHSA, PYSEC or another identifier.
    pub id: String,
    /// How bad, by each method that says so.
    pub severity: Vec<Severity>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
}

/// How bad, by one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Severity {
    /// `nvd`, `cvss_score` and so on.
    pub method: String,
    /// A number or word of that method.
    pub score: String,
}

/// When a scan ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanMetadata {
    /// RFC 3339 in UTC.
    pub scan_started_on: String,
    /// RFC 3339 in UTC.
    pub scan_finished_on: String,
}

impl Predicate for Vulnerabilities {
    const TYPES: &'static [&'static str] = &[VULNS, "https://in-toto.io/attestation/vulns/v0.1"];
    const NAME: &'static str = "vulnerability report";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        member.uri("scanner.uri", &self.scanner.uri)?;
        member.time("scanner.db.lastUpdate", Some(&self.scanner.db.last_update))?;
        member.time("metadata.scanStartedOn", Some(&self.metadata.scan_started_on))?;
        member.time("metadata.scanFinishedOn", Some(&self.metadata.scan_finished_on))?;
        for (index, found) in self.scanner.result.iter().enumerate() {
            member.text(&format!("scanner.result[{index}].id"), &found.id)?;
            for severity in &found.severity {
                member.text(&format!("scanner.result[{index}].severity[].method"), &severity.method)?;
                member.text(&format!("scanner.result[{index}].severity[].score"), &severity.score)?;
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

    fn scanned() -> Value {
        json!({
            "scanner": {
                "uri": "pkg:pypi/pip-audit@2.9.0",
                "db": {"lastUpdate": "2026-01-01T00:00:00Z"},
                "result": [{"id": "CVE-2026-0001", "severity": [{"method": "cvss_score", "score": "5.2"}]}],
            },
            "metadata": {"scanStartedOn": "2026-01-02T00:00:00Z", "scanFinishedOn": "2026-01-02T00:00:01Z"},
        })
    }

    #[test]
    fn nothing_found_is_an_empty_list_and_not_an_absent_one() {
        assert_eq!(read::<Vulnerabilities>(scanned()).unwrap().scanner.result.len(), 1);
        let mut value = scanned();
        value["scanner"]["result"] = json!([]);
        assert!(read::<Vulnerabilities>(value.clone()).is_ok());
        value["scanner"].as_object_mut().unwrap().remove("result");
        assert!(read::<Vulnerabilities>(value).unwrap_err().to_string().contains("result"));
    }

    #[test]
    fn a_scan_without_database_time_says_nothing() {
        for pointer in ["/scanner/uri", "/scanner/db/lastUpdate", "/metadata/scanFinishedOn", "/scanner/result/0/id"] {
            let mut value = scanned();
            *value.pointer_mut(pointer).unwrap() = json!("");
            assert!(read::<Vulnerabilities>(value).is_err(), "{pointer}");
        }
    }
}
