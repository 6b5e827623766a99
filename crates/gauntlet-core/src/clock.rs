//! Time is an input: whoever needs it takes a [`Clock`], so that runs can be replayed.

use jiff::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The moment at which this run judges.
    fn now(&self) -> Timestamp;
}

/// The system's time, or `SOURCE_DATE_EPOCH` (Unix seconds, see reproducible-builds.org) when that is set.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    epoch: Option<Timestamp>,
}

impl SystemClock {
    /// Reads `SOURCE_DATE_EPOCH` once.
    ///
    /// # Errors
    /// [`TimeError`] when the variable is set but is no number of seconds: silently using the real time would
    /// make a run that was meant to be reproducible differ.
    pub fn from_env() -> Result<Self, TimeError> {
        let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(Self { epoch: None }) };
        let epoch = value
            .to_str()
            .and_then(|v| v.parse::<i64>().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| TimeError { text: format!("SOURCE_DATE_EPOCH={}", value.to_string_lossy()) })?;
        Ok(Self { epoch: Some(epoch) })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.epoch.unwrap_or_else(Timestamp::now)
    }
}

/// A fixed moment, for `--at TIME` and tests.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A text that should be a time and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time: write RFC 3339 such as 2026-01-31T12:00:00Z, or a date such as 2026-01-31")]
pub struct TimeError {
    /// What was given.
    pub text: String,
}

/// Reads RFC 3339 (`2026-01-31T12:00:00Z`) or a bare date, which means its midnight in UTC.
///
/// # Errors
/// [`TimeError`] for anything else.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let date: jiff::civil::Date = text.parse().map_err(|_| TimeError { text: text.to_owned() })?;
    date.to_zoned(jiff::tz::TimeZone::UTC).map(|z| z.timestamp()).map_err(|_| TimeError { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_and_dates() {
        assert_eq!(parse_time("2026-01-31").unwrap(), parse_time("2026-01-31T00:00:00Z").unwrap());
        assert!(parse_time("yesterday").is_err());
    }
}
