//! What a person may write into a trust policy, version 1. Checking it is the matter of the modules beside.

use std::collections::BTreeMap;
use std::fmt;

use gauntlet_core::SubjectKind;
use gauntlet_core::project::Risk;
use gauntlet_core::yaml::Located;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::floors::FloorsDocument;

/// What a person may write: version 1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// Version of this format: 1.
    pub(super) version: Located<u64>,
    /// Name of the organisation.
    pub(super) name: Located<String>,
    /// Number of this text among its successors, from 1; needed in a signed bundle.
    #[serde(default)]
    pub(super) version_number: Option<Located<u64>>,
    /// SHA-256 of the text before this one (`sha256:…`); needed in a signed bundle from number 2 on.
    #[serde(default)]
    pub(super) previous: Option<Located<String>>,
    /// Who may sign this text and its successor.
    #[serde(default)]
    pub(super) root: Option<RootDocument>,
    /// What each environment demands.
    #[serde(default)]
    pub(super) environments: BTreeMap<String, EnvironmentDocument>,
    /// Who may sign and approve.
    #[serde(default)]
    pub(super) people: Vec<PersonDocument>,
    /// Workloads that sign with certificates, such as a release pipeline.
    #[serde(default)]
    pub(super) identities: Vec<WorkloadDocument>,
    /// Who may sign what. Absent: everybody under `people` may sign anything.
    #[serde(default)]
    pub(super) rules: Option<Vec<RuleDocument>>,
    /// Certificate authorities for signers with certificates.
    #[serde(default)]
    pub(super) authorities: Vec<AuthorityDocument>,
    /// Authorities whose RFC 3161 time stamps count.
    #[serde(default)]
    pub(super) time_stamp_authorities: Vec<AuthorityDocument>,
    /// Verifier keys (vkey) of the logs whose entries count.
    #[serde(default)]
    pub(super) logs: Vec<Located<String>>,
    /// Who has to have cosigned the head of a log.
    #[serde(default)]
    pub(super) witnesses: Option<WitnessesDocument>,
    /// How old the ledger's head may be, such as `30m`, `24h` or `7d`.
    #[serde(default)]
    pub(super) freshness: Option<Located<String>>,
    /// How hard models must be tested, in every environment.
    #[serde(default)]
    pub(super) tests: FloorsDocument,
    /// What no longer counts.
    #[serde(default)]
    pub(super) revoked: Vec<RevokedDocument>,
}

/// Who may sign this text and its successor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RootDocument {
    /// How many of them have to sign.
    pub(super) threshold: Located<u64>,
    /// Ids of people, or keys in PEM. Keys that only a digest names verify nothing.
    pub(super) keys: Vec<Located<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EnvironmentDocument {
    /// The risk class that every project is held to at least.
    pub(super) minimum_risk: Option<Risk>,
    /// Policy packs that always apply.
    pub(super) packs: Vec<Located<String>>,
    /// Roles that always have to approve.
    pub(super) approvals: Vec<Located<String>>,
    /// Whether models meet people here; by default only in environments named `production`, `prod`, or beginning so.
    pub(super) production: Option<bool>,
    /// Whose evidence counts: ids of people, or keys. Absent: everybody under `people`.
    pub(super) signers: Option<Vec<Located<String>>>,
    /// How hard models must be tested for here; joined with the floors of the whole file to the stricter.
    pub(super) tests: FloorsDocument,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonDocument {
    /// Short name, such as an account.
    pub(super) id: Located<String>,
    /// Full name.
    pub(super) name: String,
    /// Public keys: PEM, or the hex SHA-256 of the SubjectPublicKeyInfo; with or without a time in which they count.
    #[serde(default)]
    pub(super) keys: Vec<Located<KeyEntry>>,
    /// E-mail addresses.
    #[serde(default)]
    pub(super) emails: Vec<Located<String>>,
    /// Certificate identities of the person.
    #[serde(default)]
    pub(super) identities: Vec<IdentityDocument>,
    /// What the person may approve as.
    #[serde(default)]
    pub(super) roles: Vec<String>,
}

/// A workload that signs with certificates.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadDocument {
    /// Short name, by which `signers` names it.
    pub(super) id: Located<String>,
    /// The identity in the certificate: a URI, e-mail address or DNS name, exactly.
    pub(super) identity: Located<String>,
    /// Who vouches for it: the OIDC issuer in a Sigstore certificate, else the name of an authority.
    pub(super) issuer: Located<String>,
    /// What it may sign as.
    #[serde(default)]
    pub(super) roles: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityDocument {
    /// The identity in the certificate: a URI, e-mail address or DNS name, exactly.
    pub(super) identity: Located<String>,
    /// Who vouches for it: the OIDC issuer in a Sigstore certificate, else the name of an authority.
    pub(super) issuer: Located<String>,
}

/// A certificate authority.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthorityDocument {
    /// Short name.
    pub(super) name: Located<String>,
    /// Root certificates in PEM, one block after the other.
    pub(super) certificates: Located<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleDocument {
    /// What the rule is called in messages.
    pub(super) name: Located<String>,
    /// Ids of people and workloads, keys, or `role:NAME` for everybody with a role.
    pub(super) signers: Vec<Located<String>>,
    /// Kinds of subjects that it is about. Absent: all.
    #[serde(default)]
    pub(super) subjects: Option<Vec<SubjectKind>>,
    /// Predicate types that it is about: URIs, or words such as `report`, `decision`, `approval`. Absent: all.
    #[serde(default)]
    pub(super) predicates: Option<Vec<Located<String>>>,
    /// Environments that it is about. Absent: all, and what is for none.
    #[serde(default)]
    pub(super) environments: Option<Vec<Located<String>>>,
    /// First moment at which it holds: RFC 3339 or a date.
    #[serde(default)]
    pub(super) from: Option<Located<String>>,
    /// First moment at which it no longer holds: RFC 3339 or a date.
    #[serde(default)]
    pub(super) until: Option<Located<String>>,
    /// How many different signers are needed [default: 1].
    #[serde(default)]
    pub(super) threshold: Option<Located<u64>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WitnessesDocument {
    /// How many of them have to have cosigned.
    pub(super) quorum: Located<u64>,
    /// Their verifier keys (vkey of type 0x04).
    pub(super) keys: Vec<Located<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokedDocument {
    /// A key: PEM or the hex SHA-256 of its SubjectPublicKeyInfo.
    #[serde(default)]
    pub(super) key: Option<Located<String>>,
    /// A piece of evidence: `sha256:` and the digest of its envelope.
    #[serde(default)]
    pub(super) envelope: Option<Located<String>>,
    /// A subject: one of its digests, such as `dirHash1:…` or `sha256:…`.
    #[serde(default)]
    pub(super) subject: Option<Located<String>>,
    /// From when on: RFC 3339 or a date. Absent: ever.
    #[serde(default)]
    pub(super) from: Option<Located<String>>,
    /// Why, for people.
    pub(super) reason: Located<String>,
}

/// A key, plain or with the time in which it counts.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum KeyEntry {
    /// PEM, or the hex SHA-256 of the SubjectPublicKeyInfo.
    Plain(String),
    /// With a time, so that an old key and its successor may overlap.
    Dated(DatedKey),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DatedKey {
    /// PEM, or the hex SHA-256 of the SubjectPublicKeyInfo.
    pub(super) key: Located<String>,
    /// First moment at which it counts: RFC 3339 or a date.
    #[serde(default)]
    pub(super) from: Option<Located<String>>,
    /// First moment at which it no longer counts: RFC 3339 or a date.
    #[serde(default)]
    pub(super) until: Option<Located<String>>,
}

/// Untagged reading would lose the places of what is inside.
impl<'de> Deserialize<'de> for KeyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;

        impl<'de> Visitor<'de> for Entry {
            type Value = KeyEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key, or `key` with `from` and `until`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<KeyEntry, E> {
                Ok(KeyEntry::Plain(text.to_owned()))
            }

            // A digest that begins with digits only may be taken for a number by YAML; then it is no longer the digest.
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyEntry, A::Error> {
                DatedKey::deserialize(MapAccessDeserializer::new(map)).map(KeyEntry::Dated)
            }
        }

        deserializer.deserialize_any(Entry)
    }
}
