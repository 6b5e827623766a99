//! in-toto statements of either version. Version 0.1 differs from 1 in its type alone, so one type serves for both.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::statement::{ResourceDescriptor, Statement, StatementError};
use crate::strict_json::{self, Bounds};

/// The statement type of version 0.1.
const OLD_TYPE: &str = "https://in-toto.io/Statement/v0.1";

/// How a statement was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StatementVersion {
    /// `https://in-toto.io/Statement/v0.1`: what witness, cosign and SLSA 0.2 write.
    #[serde(rename = "v0.1")]
    V01,
    /// `https://in-toto.io/Statement/v1`.
    #[serde(rename = "v1")]
    V1,
}

/// Reads a statement of version 0.1 or 1 and says which it was. An old one is mapped to the new type.
///
/// # Errors
/// [`StatementError`] as for [`Statement::parse`].
pub fn read_statement(payload: &[u8]) -> Result<(Statement, StatementVersion), StatementError> {
    let refusal = match Statement::parse(payload) {
        Ok(statement) => return Ok((statement, StatementVersion::V1)),
        Err(refusal) => refusal,
    };
    match &refusal {
        StatementError::Type { found, .. } if found == OLD_TYPE => {}
        _ => return Err(refusal),
    }
    let old: Old = strict_json::from_slice(payload, &Bounds::DOCUMENT)?;
    let subject = old
        .subject
        .into_iter()
        .map(|one| ResourceDescriptor { name: one.name, digest: one.digest, ..ResourceDescriptor::default() })
        .collect();
    let mut statement = Statement::new(subject, &old.predicate_type, Value::Null);
    statement.predicate = old.predicate;
    // The same rules as for new ones: written and read again, it has subjects with digests and an object as predicate.
    let statement = Statement::parse(&statement.to_bytes()?)?;
    Ok((statement, StatementVersion::V01))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Old {
    #[serde(default)]
    subject: Vec<OldSubject>,
    predicate_type: String,
    predicate: Option<Value>,
}

#[derive(Deserialize)]
struct OldSubject {
    name: Option<String>,
    #[serde(default)]
    digest: gauntlet_core::DigestSet,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::TYPE;

    fn text(kind: &str, subject: &str, predicate: &str) -> String {
        format!(r#"{{"_type":"{kind}","subject":{subject},"predicateType":"t","predicate":{predicate}}}"#)
    }

    #[test]
    fn old_statements_say_the_same_as_new_ones() {
        let subject = r#"[{"name":"a","digest":{"sha1":"00","sha512":"ab"}}]"#;
        let (old, version) = read_statement(text(OLD_TYPE, subject, r#"{"x":1}"#).as_bytes()).unwrap();
        let (new, other) = read_statement(text(TYPE, subject, r#"{"x":1}"#).as_bytes()).unwrap();
        assert_eq!((version, other), (StatementVersion::V01, StatementVersion::V1));
        assert_eq!(old, new);
    }

    #[test]
    fn old_statements_are_held_to_the_same_rules() {
        let kind = OLD_TYPE;
        for (subject, predicate) in
            [("[]", "{}"), (r#"[{"name":"a"}]"#, "{}"), (r#"[{"digest":{"sha256":"00"}}]"#, "3")]
        {
            assert!(read_statement(text(kind, subject, predicate).as_bytes()).is_err(), "{subject} {predicate}");
        }
        let other = text("https://in-toto.io/Statement/v2", r#"[{"digest":{"sha256":"00"}}]"#, "{}");
        assert!(matches!(read_statement(other.as_bytes()), Err(StatementError::Type { .. })));
    }
}
