//! What a scan can find, and how sure it is.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The two families of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Credentials: whoever reads them can act as somebody else.
    Secret,
    /// Data about a living person, or that leads to one.
    Personal,
}

/// Which families a scan looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// Look for secrets.
    pub secrets: bool,
    /// Look for personal data.
    pub personal: bool,
}

impl Families {
    /// Both families.
    pub const ALL: Self = Self { secrets: true, personal: true };
    /// Secrets only.
    pub const SECRETS: Self = Self { secrets: true, personal: false };
    /// Personal data only.
    pub const PERSONAL: Self = Self { secrets: false, personal: true };
}

/// How the text writes an assignment, which decides whether an unquoted value is a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Program code: only quoted literals are values.
    Code,
    /// Configuration, shell and environment files: `NAME=value` and `name: value` are literals too.
    Config,
    /// Anything else: unquoted values count after `=` without spaces, or after `:`.
    Prose,
}

/// How sure a match is to be what its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The value looks the part, and other explanations are common.
    Low,
    /// Shape and context agree.
    Medium,
    /// An issuer's prefix with exact length and alphabet, or a check digit that holds.
    High,
}

/// What the confidence rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Prefix, length and alphabet of the issuer.
    Shape,
    /// A checksum inside the value holds.
    Checksum,
    /// The value decodes to the structure that it claims.
    Structure,
    /// The name beside the value says what it is.
    Context,
    /// A second part of the same credential stands beside it.
    Pairing,
}

/// One secret or one piece of personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Secret or personal data.
    pub family: Family,
    /// Stable name of the rule in kebab case, one of [`kinds`].
    pub kind: String,
    /// What it is in words, with the issuer where one is known: `GitHub token`.
    pub title: String,
    /// Bytes of the value itself, without name, quotes or surroundings.
    pub range: Range<usize>,
    /// How sure.
    pub confidence: Confidence,
    /// Why so sure.
    pub proof: Proof,
}

/// A kind of match, for rule registries and documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Stable name in kebab case.
    pub id: &'static str,
    /// Secret or personal data.
    pub family: Family,
    /// One line for people.
    pub title: &'static str,
}

/// Every kind that a scan can report.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    KINDS
}

const fn secret(id: &'static str, title: &'static str) -> Kind {
    Kind { id, family: Family::Secret, title }
}

const fn personal(id: &'static str, title: &'static str) -> Kind {
    Kind { id, family: Family::Personal, title }
}

const KINDS: &[Kind] = &[
    secret("aws-key", "AWS access key id or secret access key"),
    secret("azure-key", "Azure storage or service bus key"),
    secret("google-key", "Google API key or OAuth secret"),
    secret("github-token", "GitHub token"),
    secret("gitlab-token", "GitLab token"),
    secret("slack-token", "Slack token or webhook"),
    secret("chat-token", "Bot token or webhook of a chat service"),
    secret("openai-key", "OpenAI or OpenAI-style API key"),
    secret("anthropic-key", "Anthropic API key"),
    secret("huggingface-token", "Hugging Face token"),
    secret("ml-platform-key", "Key of a machine-learning platform"),
    secret("package-token", "Upload token of a package index"),
    secret("payment-key", "Key of a payment service"),
    secret("service-token", "Token of a hosted service"),
    secret("private-key", "Private key"),
    secret("jwt", "Signed JSON Web Token"),
    secret("url-password", "Password inside an address"),
    secret("generic-secret", "Literal assigned to a name that means a secret"),
    personal("email", "E-mail address"),
    personal("phone", "Telephone number"),
    personal("card", "Payment card number"),
    personal("iban", "Bank account number (IBAN)"),
    personal("us-ssn", "US social security number"),
    personal("uk-nhs", "UK NHS number"),
    personal("passport", "Passport number"),
    personal("ip-address", "Public IP address"),
    personal("crypto-address", "Bitcoin address"),
];
