//! What the commands about tables have in common.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_data::contract::Contract;
use gauntlet_data::{Location, OpenError, OpenOptions, ProfileError, ReadOptions};

use crate::cli::Global;
use crate::commands::cluster::ClusterArgs;
use crate::exit::UsageError;
use crate::progress::Meter;

/// How tables are read.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Contract whose types the cells of text files (CSV, JSON Lines, folders k=v) have; without it they are texts.
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// Give text columns the narrowest type that all their values have.
    #[arg(long, conflicts_with = "contract")]
    infer_types: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ReadArgs {
    /// Hands the options to `work`.
    pub(crate) fn with<T>(
        &self,
        global: &Global,
        work: impl FnOnce(&ReadOptions<'_>) -> Result<T, ProfileError>,
    ) -> anyhow::Result<T> {
        let contract = self.contract.as_deref().map(contract).transpose()?;
        let open = OpenOptions { infer_types: self.infer_types, ..OpenOptions::default() };
        let partitions = global.jobs.map(std::num::NonZero::get);
        let cluster = self.cluster.open()?;
        let meter = Meter::new(!global.quiet && !global.no_progress);
        meter.step("reading the data");
        let answer = work(&ReadOptions { open, contract: contract.as_ref(), partitions, cluster });
        meter.finish();
        answer.map_err(error)
    }

    /// Whether any of them was given.
    pub(crate) fn given(&self) -> bool {
        self.contract.is_some() || self.infer_types
    }
}

/// Reads locations.
pub(crate) fn locations(texts: &[String]) -> anyhow::Result<Vec<Location>> {
    let parse = |text: &String| -> anyhow::Result<Location> {
        text.parse::<Location>().map_err(|error| UsageError::new(format!("{text}: {error}")).into())
    };
    texts.iter().map(parse).collect()
}

fn contract(path: &Path) -> anyhow::Result<Contract> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
    Contract::parse(&name, &bytes)
        .map_err(|errors| match errors.into_iter().next() {
            Some(error) => anyhow::Error::from(error),
            None => anyhow::anyhow!("it is none"),
        })
        .with_context(|| format!("cannot read the contract {name}"))
}

/// A question that the tables cannot answer is wrong usage; a file that cannot be read is not.
fn error(error: ProfileError) -> anyhow::Error {
    match error {
        ProfileError::Question(what) => UsageError::new(what).into(),
        ProfileError::Open(error @ (OpenError::NoTable(_) | OpenError::Location(_) | OpenError::Pattern(_))) => {
            UsageError::new(error.to_string()).into()
        }
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
