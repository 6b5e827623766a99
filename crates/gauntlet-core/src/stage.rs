//! The stations of a model's life at which gates stand.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in the life of a model a check belongs. Ordered as work flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The repository.
    Source,
    /// Datasets.
    Data,
    /// A training run.
    Train,
    /// Model files at rest.
    Artifact,
    /// Model behaviour.
    Model,
    /// The packaged release.
    Package,
    /// Promotion in a registry.
    Promote,
    /// Admission to a cluster.
    Deploy,
    /// Live traffic.
    Run,
}

impl Stage {
    /// The lower-case word used in every format and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Data => "data",
            Self::Train => "train",
            Self::Artifact => "artifact",
            Self::Model => "model",
            Self::Package => "package",
            Self::Promote => "promote",
            Self::Deploy => "deploy",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
