//! What can be judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::DigestSet;

/// The kind of thing a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A tree of code and configuration.
    Source,
    /// One table or collection of files to train or evaluate on.
    Dataset,
    /// A model file or folder.
    Model,
    /// One execution of a training command.
    TrainingRun,
    /// A model in a place where it serves.
    Deployment,
    /// A container image.
    Image,
    /// A generated file.
    Media,
    /// Files given on the command line, of no declared kind.
    Files,
}

impl SubjectKind {
    /// The word used in every format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::TrainingRun => "training-run",
            Self::Deployment => "deployment",
            Self::Image => "image",
            Self::Media => "media",
            Self::Files => "files",
        }
    }
}

/// Anything that can be judged and named by digest. The name is for people; identity is the digest alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// `project/name`, or the path that was scanned.
    pub name: String,
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Its digests.
    pub digest: DigestSet,
}
