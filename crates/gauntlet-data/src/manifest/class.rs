//! How confidential a column is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How confidential something is. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Anybody may read it.
    Public,
    /// For the organisation.
    Internal,
    /// About people.
    Personal,
    /// Special categories of personal data (GDPR article 9), and what harms like them.
    Sensitive,
    /// Credentials: whoever reads it can act as somebody else.
    Secret,
}

impl Class {
    /// All classes, from public to secret; the place in the list is what policies compare.
    pub const ALL: [Self; 5] = [Self::Public, Self::Internal, Self::Personal, Self::Sensitive, Self::Secret];

    /// The word as it is written in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
            Self::Secret => "secret",
        }
    }

    /// Place among [`Class::ALL`], from 0.
    #[must_use]
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// The class that `word` names.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str().eq_ignore_ascii_case(word.trim()))
    }
}
