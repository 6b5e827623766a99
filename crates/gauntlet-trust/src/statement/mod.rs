//! in-toto Statements v1: what is said about which subject, as bytes that a DSSE envelope carries.
//!
//! Statements are written in canonical JSON without a clock, so that equal evidence has equal bytes. Each predicate type
//! has a file of its own; [`Predicate`] says what all of them keep.

mod approval;
mod descriptor;
mod document;
mod link;
mod predicate;
mod provenance;
mod reference;
mod release;
mod revocation;
mod runtime_trace;
mod scai;
mod svr;
mod test_result;
mod verification_summary;
mod vulns;
mod waiver;

use gauntlet_core::{DigestSet, canonical};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dsse::{DsseError, Envelope, IN_TOTO, Verified};
use crate::keys::Signer;
use crate::shown;
use crate::strict_json::{self, Bounds, JsonError};

pub use approval::{APPROVAL, Approval};
pub use descriptor::{KIND_ANNOTATION, ResourceDescriptor};
pub use document::{BillOfMaterials, CYCLONEDX, Exploitability, OPENVEX, SPDX, SpdxDocument};
pub use link::{LINK, Link};
pub use predicate::{KNOWN, KnownType, Predicate, known_type};
pub use provenance::{BuildDefinition, BuildMetadata, Builder, PROVENANCE, Provenance, RunDetails};
pub use reference::{Attester, REFERENCE, Reference};
pub use release::{RELEASE, Release};
pub use revocation::{REVOCATION, Revocation, RevokedKind};
pub use runtime_trace::{Monitor, MonitorLog, MonitoredProcess, RUNTIME_TRACE, RuntimeTrace};
pub use scai::{AttributeAssertion, AttributeReport, SCAI};
pub use svr::{SVR, SimpleVerificationResult, SvrVerifier};
pub use test_result::{REPORT_MEMBER, TEST_RESULT, TestOutcome, TestResult, test_result};
pub use verification_summary::{
    DECISION_MEMBER, VERIFICATION_SUMMARY, VerificationResult, VerificationSummary, Verifier,
};
pub use vulns::{Database, ScanMetadata, Scanner, Severity, VULNS, Vulnerabilities, Vulnerability};
pub use waiver::{WAIVER, Waiver};

/// The predicate type of a container image's signature, as cosign has written it since its version 3.
pub const IMAGE_SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The statement type.
pub const TYPE: &str = "https://in-toto.io/Statement/v1";

/// A statement: subjects, and one claim about them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement<P = Value> {
    #[serde(rename = "_type")]
    kind: String,
    /// What the claim is about. Matched by digest; names are for people.
    pub subject: Vec<ResourceDescriptor>,
    /// Which kind of claim.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The claim. Some predicate types have none.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub predicate: Option<P>,
}

fn none<P>() -> Option<P> {
    None
}

impl<P: Serialize> Statement<P> {
    /// A statement about `subject`.
    #[must_use]
    pub fn new(subject: Vec<ResourceDescriptor>, predicate_type: &str, predicate: P) -> Self {
        Self { kind: TYPE.to_owned(), subject, predicate_type: predicate_type.to_owned(), predicate: Some(predicate) }
    }

    /// The canonical bytes: sorted members, no white space, UTF-8.
    ///
    /// # Errors
    /// [`StatementError`] when there is no subject, a subject has no digest, or the predicate is no JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        check_subjects(&self.subject)?;
        canonical::to_vec(self).map_err(StatementError::Write)
    }

    /// Signs the canonical bytes as an in-toto DSSE envelope.
    ///
    /// # Errors
    /// [`StatementError`] as for [`Self::to_bytes`], or when a key refuses.
    pub fn sign(&self, keys: &[&dyn Signer]) -> Result<Envelope, StatementError> {
        Ok(Envelope::sign(IN_TOTO, self.to_bytes()?, keys)?)
    }
}

impl<P: Predicate> Statement<P> {
    /// A statement about `subject` of the newest type of `predicate`.
    ///
    /// # Errors
    /// What is wrong with the predicate: nothing that our own reader would refuse is written.
    pub fn about(subject: Vec<ResourceDescriptor>, predicate: P) -> Result<Self, StatementError> {
        predicate.check()?;
        Ok(Self::new(subject, P::TYPES.first().copied().unwrap_or_default(), predicate))
    }
}

impl Statement {
    /// Reads the payload of a verified envelope.
    ///
    /// # Errors
    /// [`StatementError`] when the payload is of another type or no statement with at least one subject by digest.
    pub fn from_verified(verified: &Verified<'_, '_>) -> Result<Self, StatementError> {
        if verified.payload_type != IN_TOTO {
            return Err(StatementError::Type { what: "payload", found: verified.payload_type.to_owned() });
        }
        Self::parse(verified.payload)
    }

    /// Reads a statement from bytes that may come from anybody: for showing and indexing. To decide, take
    /// [`Self::from_verified`].
    ///
    /// # Errors
    /// As [`Self::from_verified`].
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = strict_json::from_slice(payload, &Bounds::DOCUMENT)?;
        if statement.kind != TYPE {
            return Err(StatementError::Type { what: "statement", found: statement.kind });
        }
        if !matches!(statement.predicate, None | Some(Value::Object(_))) {
            return Err(StatementError::PredicateShape);
        }
        check_subjects(&statement.subject)?;
        Ok(statement)
    }

    /// Whether the statement speaks about `digest`, by in-toto's matching rule.
    #[must_use]
    pub fn is_about(&self, digest: &DigestSet) -> bool {
        self.subject.iter().any(|subject| subject.digest.matches(digest))
    }

    /// The predicate, read as `P` and checked: the type must be one of [`Predicate::TYPES`], required members must be
    /// there, members that `P` does not name are kept or ignored as its type says.
    ///
    /// # Errors
    /// [`StatementError::Predicate`] for another predicate type or none; otherwise what is wrong with the predicate.
    pub fn predicate_as<P: Predicate>(&self) -> Result<P, StatementError> {
        if !P::TYPES.contains(&self.predicate_type.as_str()) {
            return Err(StatementError::Predicate { found: self.predicate_type.clone(), expected: P::NAME });
        }
        let value = self.predicate.clone().ok_or(StatementError::PredicateShape)?;
        predicate::read(value)
    }

    /// Checks the predicate by the rules of its type, where the type is one that we know; returns which one it is.
    ///
    /// # Errors
    /// What is wrong with the predicate.
    pub fn check_known(&self) -> Result<Option<&'static KnownType>, StatementError> {
        let Some(known) = known_type(&self.predicate_type) else { return Ok(None) };
        (known.check)(self.predicate.clone().ok_or(StatementError::PredicateShape)?)?;
        Ok(Some(known))
    }

    /// Whether the predicate is a CycloneDX document, also under a versioned type such as `…/bom/v1.6`.
    #[must_use]
    pub fn is_bom(&self) -> bool {
        self.predicate_type.strip_prefix(CYCLONEDX).is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
    }
}

fn check_subjects(subjects: &[ResourceDescriptor]) -> Result<(), StatementError> {
    if subjects.is_empty() || subjects.iter().any(|subject| subject.digest.is_empty()) {
        return Err(StatementError::Subject);
    }
    Ok(())
}

/// Why a statement could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// A payload or statement of another type.
    #[error("{what} type {} is not an in-toto statement v1", shown(found))]
    Type {
        /// Which type.
        what: &'static str,
        /// What it was.
        found: String,
    },
    /// No subject, or one without digest.
    #[error("a statement needs at least one subject, and each needs a digest")]
    Subject,
    /// The predicate is not an object.
    #[error("the predicate is not an object")]
    PredicateShape,
    /// Another predicate than was asked for.
    #[error("predicate type {} is no {expected}", shown(found))]
    Predicate {
        /// What it was.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// A required member is missing or empty, or a member has a form that its type forbids.
    #[error("member `{member}` of the {predicate} {problem}")]
    Member {
        /// The kind of predicate.
        predicate: &'static str,
        /// Path of the member inside the predicate.
        member: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The predicate is of another shape than its type says.
    #[error("not a {predicate}: {source}")]
    Shape {
        /// The kind of predicate.
        predicate: &'static str,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// Levels that contradict the result.
    #[error("verified levels contradict the result, or name a SLSA track twice")]
    Levels,
    /// Not strict JSON, or of another shape.
    #[error("not a statement: {0}")]
    Json(#[from] JsonError),
    /// Cannot be expressed in JSON.
    #[error("writing the statement: {0}")]
    Write(#[source] serde_json::Error),
    /// The envelope could not be made.
    #[error(transparent)]
    Envelope(#[from] DsseError),
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use serde_json::json;

    use super::*;
    use crate::keys::{KeyKind, SigningKey};

    #[test]
    fn signed_statements_are_read_back_after_verification_only() {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let subject = ResourceDescriptor::named("m", DigestSet::sha256_of(b"model"));
        let statement = Statement::new(vec![subject], "t", json!({"b": 1, "a": 2}));
        let envelope = statement.sign(&[&key]).unwrap();
        assert_eq!(envelope, statement.sign(&[&key]).unwrap(), "no clock, no chance");
        let trusted = [key.verifying_key().clone()];
        let verified = envelope.verify(&trusted, NonZeroUsize::MIN).unwrap();
        let back = Statement::from_verified(&verified).unwrap();
        assert!(back.is_about(&DigestSet::sha256_of(b"model")));
        assert!(!back.is_about(&DigestSet::sha256_of(b"other")));
    }

    #[test]
    fn broken_statements_are_refused() {
        let refused = |text: &str| Statement::parse(text.as_bytes()).unwrap_err().to_string();
        let subject = r#""subject":[{"digest":{"sha256":"00"}}],"predicateType":"t""#;
        assert!(Statement::parse(format!(r#"{{"_type":"{TYPE}",{subject}}}"#).as_bytes()).is_ok());
        assert!(refused(&format!(r#"{{"_type":"https://in-toto.io/Statement/v0.1",{subject}}}"#)).contains("v0.1"));
        assert!(refused(&format!(r#"{{"_type":"{TYPE}",{subject},"predicate":3}}"#)).contains("not an object"));
        assert!(refused(&format!(r#"{{"_type":"{TYPE}",{subject},"subject":[]}}"#)).contains("twice"));
        assert!(refused(&format!(r#"{{"_type":"{TYPE}","subject":[],"predicateType":"t"}}"#)).contains("subject"));
        let undigested = format!(r#"{{"_type":"{TYPE}","subject":[{{"name":"x"}}],"predicateType":"t"}}"#);
        assert!(refused(&undigested).contains("digest"));
    }

    #[test]
    fn versioned_bom_types_are_boms() {
        let is = |kind: &str| Statement::new(vec![], kind, json!({})).is_bom();
        assert!(is(CYCLONEDX) && is("https://cyclonedx.org/bom/v1.6"));
        assert!(!is("https://cyclonedx.org/bomb") && !is(TEST_RESULT));
    }
}
