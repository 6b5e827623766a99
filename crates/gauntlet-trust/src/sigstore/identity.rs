//! Who signed, by the certificate: the name an identity provider vouched for, and the provider.

use std::fmt;

use der::asn1::{ObjectIdentifier, Utf8StringRef};
use regex::Regex;
use serde::Serialize;
use x509_cert::der::Decode as _;

use super::{Failure, Reason};
use crate::shown;
use crate::x509::{AltName, Certificate};

/// Fulcio's issuer, as bare text (deprecated) and as a UTF-8 string in DER.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// Fulcio's `otherName` for user names that are neither mail address nor URI.
const USER_NAME: &str = "1.3.6.1.4.1.57264.1.7";
/// Memory of a compiled expression.
const MAX_EXPRESSION: usize = 1 << 20;

/// Who must have signed.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name in the certificate.
    pub subject: Subject,
    /// The identity provider, to the letter, such as `https://token.actions.githubusercontent.com`.
    pub issuer: String,
}

/// Which names are meant.
#[derive(Clone, Debug)]
pub enum Subject {
    /// This mail address, URI or user name, to the letter.
    Exact(String),
    /// Whatever this expression matches from its beginning to its end.
    Matching(Regex),
}

/// Why an identity cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not a regular expression, or one that is too large.
    #[error("not a usable regular expression: {0}")]
    Expression(#[from] regex::Error),
    /// An empty name or issuer, which no certificate may have.
    #[error("{0} is empty")]
    Empty(&'static str),
}

impl Identity {
    /// Asks for one name.
    ///
    /// # Errors
    /// [`IdentityError::Empty`].
    pub fn exact(subject: &str, issuer: &str) -> Result<Self, IdentityError> {
        if subject.is_empty() {
            return Err(IdentityError::Empty("the identity"));
        }
        Self::with(Subject::Exact(subject.to_owned()), issuer)
    }

    /// Asks for names that `expression` matches as a whole: it is anchored at both ends, so that an expression for
    /// `github.com/org` does not let in `evil.example/?github.com/org`.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn matching(expression: &str, issuer: &str) -> Result<Self, IdentityError> {
        if expression.is_empty() {
            return Err(IdentityError::Empty("the expression for identities"));
        }
        // Parsed alone first: a stray `)` could otherwise leave the anchors.
        regex::RegexBuilder::new(expression).size_limit(MAX_EXPRESSION).build()?;
        let anchored = format!(r"\A(?:{expression})\z");
        let regex = regex::RegexBuilder::new(&anchored).size_limit(MAX_EXPRESSION).build()?;
        Self::with(Subject::Matching(regex), issuer)
    }

    fn with(subject: Subject, issuer: &str) -> Result<Self, IdentityError> {
        match issuer {
            "" => Err(IdentityError::Empty("the issuer")),
            issuer => Ok(Self { subject, issuer: issuer.to_owned() }),
        }
    }

    /// What speaks against `signer` being the one that was asked for.
    pub(super) fn judge(&self, signer: &SignerIdentity) -> Vec<Failure> {
        let mut failures = Vec::new();
        let right = match &self.subject {
            Subject::Exact(name) => *name == signer.subject,
            Subject::Matching(expression) => expression.is_match(&signer.subject),
        };
        if !right {
            let message = format!("signed by {}, expected {}", shown(&signer.subject), self.subject.describe());
            failures.push(Failure::new(Reason::WrongIdentity, message));
        }
        if self.issuer != signer.issuer {
            let message = format!(
                "the signer's identity is vouched for by {}, expected {}",
                shown(&signer.issuer),
                shown(&self.issuer)
            );
            failures.push(Failure::new(Reason::WrongIssuer, message));
        }
        failures
    }
}

impl Subject {
    fn describe(&self) -> String {
        match self {
            Self::Exact(name) => shown(name),
            Self::Matching(expression) => format!("a name that matches {}", shown(expression.as_str())),
        }
    }
}

/// Who signed, as the certificate has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignerIdentity {
    /// Mail address, URI or user name.
    pub subject: String,
    /// The identity provider that vouched for it.
    pub issuer: String,
}

impl fmt::Display for SignerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signed by {}, vouched for by {}", shown(&self.subject), shown(&self.issuer))
    }
}

impl SignerIdentity {
    /// Reads both from a certificate. Fulcio writes exactly one name; with several nobody could say who signed.
    pub(super) fn of(certificate: &Certificate) -> Result<Self, Failure> {
        let names =
            certificate.alt_names().map_err(|e| Failure::malformed(format!("the signer's certificate: {e}")))?;
        let [name] = names.as_slice() else {
            return Err(Failure::malformed(format!("the signer's certificate bears {} names, not one", names.len())));
        };
        let subject = match name {
            AltName::Email(name) | AltName::Uri(name) => name.clone(),
            AltName::Other { kind, value } if kind == USER_NAME => utf8(value)
                .ok_or_else(|| Failure::malformed("the user name in the signer's certificate is malformed"))?,
            AltName::Dns(_) | AltName::Other { .. } => {
                return Err(Failure::malformed(
                    "the name in the signer's certificate is of another kind than Fulcio writes",
                ));
            }
        };
        Ok(Self { subject, issuer: issuer(certificate)? })
    }
}

/// The provider; where both spellings are there, they must agree.
fn issuer(certificate: &Certificate) -> Result<String, Failure> {
    let malformed = || Failure::malformed("the issuer in the signer's certificate is malformed");
    let old = certificate.extension(ISSUER_V1).map(|(value, _)| std::str::from_utf8(value).map_err(|_| malformed()));
    let new = certificate.extension(ISSUER_V2).map(|(value, _)| utf8(value).ok_or_else(malformed));
    match (old.transpose()?, new.transpose()?) {
        (Some(old), Some(new)) if old != new => {
            Err(Failure::malformed("the signer's certificate names two issuers of the identity"))
        }
        (_, Some(new)) => Ok(new),
        (Some(old), None) => Ok(old.to_owned()),
        (None, None) => {
            Err(Failure::new(Reason::WrongIssuer, "the signer's certificate names no issuer of the identity"))
        }
    }
}

fn utf8(der: &[u8]) -> Option<String> {
    Utf8StringRef::from_der(der).ok().map(|text| text.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_the_whole_name() {
        let signer = |subject: &str| SignerIdentity { subject: subject.to_owned(), issuer: "https://i".to_owned() };
        let identity = Identity::matching("https://github.com/org/.*|a@b", "https://i").unwrap();
        assert!(identity.judge(&signer("https://github.com/org/x")).is_empty());
        assert!(identity.judge(&signer("a@b")).is_empty());
        for other in ["https://evil.example/https://github.com/org/x", "a@b.evil", "xa@b", "a@b\n", ""] {
            assert_eq!(identity.judge(&signer(other))[0].reason, Reason::WrongIdentity, "{other:?}");
        }
    }

    #[test]
    fn hostile_expressions_are_refused() {
        for odd in ["", "(", "a)|(b", "(?:a{1000}){1000}"] {
            assert!(Identity::matching(odd, "i").is_err(), "{odd}");
        }
        assert!(Identity::exact("", "i").is_err() && Identity::exact("a", "").is_err());
    }

    #[test]
    fn names_and_issuers_are_compared_to_the_letter() {
        let signer = SignerIdentity { subject: "A@b".to_owned(), issuer: "https://i/".to_owned() };
        let reasons = |subject: &str, issuer: &str| -> Vec<Reason> {
            Identity::exact(subject, issuer).unwrap().judge(&signer).iter().map(|one| one.reason).collect()
        };
        assert_eq!(reasons("A@b", "https://i/"), []);
        assert_eq!(reasons("a@b", "https://i/"), [Reason::WrongIdentity]);
        assert_eq!(reasons("A@b", "https://i"), [Reason::WrongIssuer]);
    }
}
