//! in-toto's `ResourceDescriptor`: how subjects, inputs and documents are named.

use gauntlet_core::{DigestSet, Subject, SubjectKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::predicate::null_is_default;

/// The annotation that says what kind of subject a descriptor names; rules of a trust policy may ask for it.
pub const KIND_ANNOTATION: &str = "https://gauntlet.example/subject-kind/v1";

/// A thing named by digest, place or content. Unknown members are dropped when read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDescriptor {
    /// A name for people and for telling subjects of one statement apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is known under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "DigestSet::is_empty")]
    pub digest: DigestSet,
    /// Its bytes in base64, when they are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Where it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_location: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Map<String, Value>>,
}

impl ResourceDescriptor {
    /// A name with digests, which is how everything of ours is named.
    #[must_use]
    pub fn named(name: impl Into<String>, digest: DigestSet) -> Self {
        Self { name: Some(name.into()), digest, ..Self::default() }
    }

    /// A place with digests.
    #[must_use]
    pub fn at(uri: impl Into<String>, digest: DigestSet) -> Self {
        Self { uri: Some(uri.into()), digest, ..Self::default() }
    }

    /// Whether it names anything at all: the specification wants a `uri`, a `digest` or `content`.
    #[must_use]
    pub fn names_something(&self) -> bool {
        self.uri.as_ref().is_some_and(|uri| !uri.is_empty()) || !self.digest.is_empty() || self.content.is_some()
    }
}

impl ResourceDescriptor {
    /// The kind of subject that the signer says this is.
    #[must_use]
    pub fn kind(&self) -> Option<SubjectKind> {
        SubjectKind::deserialize(self.annotations.as_ref()?.get(KIND_ANNOTATION)?).ok()
    }
}

impl From<&Subject> for ResourceDescriptor {
    fn from(subject: &Subject) -> Self {
        let kind = (KIND_ANNOTATION.to_owned(), Value::from(subject.kind.as_str()));
        Self { annotations: Some([kind].into_iter().collect()), ..Self::named(&subject.name, subject.digest.clone()) }
    }
}
