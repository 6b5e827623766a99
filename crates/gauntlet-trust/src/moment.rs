//! When something demonstrably existed: the time at which a key or certificate has to have been valid.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

/// A time, and who says so. A signer's own word is no source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// The time.
    #[serde(serialize_with = "whole")]
    pub time: Timestamp,
    /// Who says so.
    pub source: MomentSource,
}

/// Who says when something was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentSource {
    /// The clock of the verifier: nobody proved an earlier time, so what is judged must be valid now.
    Clock,
    /// A time stamp (RFC 3161) by this authority.
    TimeStamp(String),
    /// A quorum of trusted witnesses who cosigned a checkpoint that covers it.
    Witnesses(Vec<String>),
}

impl Moment {
    /// The verifier's clock.
    #[must_use]
    pub fn now(time: Timestamp) -> Self {
        Self { time, source: MomentSource::Clock }
    }

    /// Whether somebody other than the verifier's clock vouches for the time.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.source != MomentSource::Clock
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            MomentSource::Clock => write!(f, "{}", self.time),
            MomentSource::TimeStamp(authority) => write!(f, "{} (time stamp by {authority})", self.time),
            MomentSource::Witnesses(names) => write!(f, "{} (witnessed by {})", self.time, names.join(", ")),
        }
    }
}

fn whole<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
