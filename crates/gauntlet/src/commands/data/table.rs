//! What the commands about tables have in common.

use std::path::Path;

use anyhow::Context;
use gauntlet_data::ProfileError;
use gauntlet_data::contract::Contract;

use crate::exit::UsageError;

/// Reads the contract that types text files.
pub(crate) fn contract(path: Option<&Path>) -> anyhow::Result<Option<Contract>> {
    let Some(path) = path else { return Ok(None) };
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
    match Contract::parse(&name, &bytes) {
        Ok(contract) => Ok(Some(contract)),
        Err(errors) => Err(errors.into_iter().next().map_or_else(|| anyhow::anyhow!("{name} is no contract"), Into::into))
            .with_context(|| format!("cannot read the contract {name}")),
    }
}

/// A question that the tables cannot answer is wrong usage; a file that cannot be read is not.
pub(crate) fn error(error: ProfileError) -> anyhow::Error {
    match error {
        ProfileError::Question(what) => UsageError::new(what).into(),
        ProfileError::NoTable => UsageError::new(ProfileError::NoTable.to_string()).into(),
        other => other.into(),
    }
}

/// A share for people.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match part {
        0 => "0 %".to_owned(),
        part if part == whole => "100 %".to_owned(),
        part => {
            let share = part as f64 / whole.max(1) as f64 * 100.0;
            if share < 0.1 { "< 0.1 %".to_owned() } else { format!("{share:.1} %") }
        }
    }
}

/// A number for people: about five digits.
pub(crate) fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || (size < 1e15 && x.fract() == 0.0) {
        format!("{x}")
    } else if !(1e-4..1e9).contains(&size) {
        format!("{x:.4e}")
    } else if size >= 1_000.0 {
        format!("{x:.1}")
    } else if size >= 1.0 {
        format!("{x:.3}")
    } else {
        format!("{x:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
        assert_eq!(number(12.0), "12");
        assert_eq!(number(1.0 / 3.0), "0.333333");
        assert_eq!(number(1.234_567e18), "1.2346e18");
    }
}
