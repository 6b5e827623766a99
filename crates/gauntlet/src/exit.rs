//! Exit statuses, and the errors that decide them.

use std::fmt;

/// How a command ends. Ordered by what wins when several apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Allowed, or nothing at or above `--fail-on`.
    Allowed,
    /// Could not be judged.
    Inconclusive,
    /// Refused.
    Refused,
    /// Wrong usage or configuration.
    Usage,
}

impl Exit {
    /// The process's exit status.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Allowed => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
        }
    }
}

/// The user has to change the command line or the configuration.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Evidence or state was found to be false: a refusal, not a failure to judge.
#[derive(Debug)]
pub(crate) struct Refusal(String);

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// What an error means for the exit status: usage and configuration 2, a proven falsehood 1, everything else (a disk that
/// does not answer, say) means that nothing was judged.
pub(crate) fn of_error(error: &anyhow::Error) -> Exit {
    let is = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<UsageError>()
            || cause.is::<gauntlet_core::ConfigError>()
            || cause.is::<gauntlet_core::TimeError>()
        {
            Some(Exit::Usage)
        } else if cause.is::<Refusal>() {
            Some(Exit::Refused)
        } else {
            None
        }
    };
    error.chain().find_map(is).unwrap_or(Exit::Inconclusive)
}
