//! Why a model has no gradient graph.

use std::fmt;
use std::io;

use gauntlet_limits::LimitHit;

/// Why a model has no gradient graph.
#[derive(Debug, thiserror::Error)]
pub enum GradError {
    /// The medium failed while constants were read.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// A budget ran out: nothing is known about the rest.
    #[error("{0}")]
    Limit(#[from] LimitHit),
    /// Operators between the input and the logits that have no gradient here, all of them. Attacks which need only
    /// scores or labels still work.
    #[error("no gradient: {}", list(.0))]
    Unsupported(Vec<Unsupported>),
    /// The model contradicts itself.
    #[error("{at}: {what}")]
    Malformed {
        /// The node or tensor.
        at: String,
        /// What is wrong with it.
        what: String,
    },
    /// A constant lies in another file which was not handed over.
    #[error("tensor `{tensor}` is kept in the file `{location}`, which is not there")]
    External {
        /// The tensor.
        tensor: String,
        /// Its location as written.
        location: String,
    },
    /// The options, or their absence, do not fit the model: what to do is in the text.
    #[error("{0}")]
    Options(String),
}

/// An operator without a gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Type, with its domain where that is not ONNX itself: `TopK`, `ai.onnx.ml.SVMClassifier`.
    pub operator: String,
    /// The node's name, or the name of its first output.
    pub node: String,
    /// What exactly is not supported.
    pub reason: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (node `{}`): {}", self.operator, self.node, self.reason)
    }
}

/// What stopped one node; its place is added by whoever knows it.
#[derive(Debug)]
pub(crate) enum Fault {
    Unsupported(String),
    Malformed(String),
    Limit(LimitHit),
    Io(io::Error),
    External { tensor: String, location: String },
}

impl From<LimitHit> for Fault {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        LimitHit::in_io(&error).map_or(Self::Io(error), Self::Limit)
    }
}

impl Fault {
    /// As an error of the whole, at `at`.
    pub(crate) fn at(self, at: &str, operator: &str) -> GradError {
        match self {
            Self::Unsupported(reason) => {
                GradError::Unsupported(vec![Unsupported { operator: operator.to_owned(), node: at.to_owned(), reason }])
            }
            Self::Malformed(what) => GradError::Malformed { at: at.to_owned(), what },
            Self::Limit(hit) => GradError::Limit(hit),
            Self::Io(error) => GradError::Io(error),
            Self::External { tensor, location } => GradError::External { tensor, location },
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// `Err(Fault::Unsupported(..))`.
pub(crate) fn unsupported<T>(reason: impl Into<String>) -> Result<T> {
    Err(Fault::Unsupported(reason.into()))
}

/// `Err(Fault::Malformed(..))`.
pub(crate) fn malformed<T>(what: impl Into<String>) -> Result<T> {
    Err(Fault::Malformed(what.into()))
}

fn list(operators: &[Unsupported]) -> String {
    const SHOWN: usize = 20;
    let mut text = operators.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if operators.len() > SHOWN {
        text.push_str(&format!("; and {} more", operators.len() - SHOWN));
    }
    text
}
