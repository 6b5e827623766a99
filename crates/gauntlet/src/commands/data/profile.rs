//! `gauntlet data profile`: summarises the columns of a table, and stores the summary for later comparisons.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use gauntlet_core::MaskKey;
use gauntlet_data::facts::profile::{NumbersFact, ProfileFact};
use gauntlet_data::{Profile, SketchOptions};
use serde::Serialize;

use super::table;
use crate::cli::Global;
use crate::exit::{Exit, UsageError};
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Files, folders, patterns or addresses that form one table, or one stored profile.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    read: table::ReadArgs,
    /// Also keep a quantile sketch of bounded rank error for each numeric column: 200, or 1024 for Kolmogorov-Smirnov tests.
    #[arg(long, value_name = "K")]
    kll: Option<u16>,
    /// How to print the profile.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    format: ProfileFormat,
    /// Store the profile in a file that `gauntlet data drift` takes as a reference. It holds values: guard it as the data.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ProfileFormat {
    /// A table for people; values that may name somebody are masked.
    #[default]
    Human,
    /// JSON, masked likewise.
    Json,
    /// The canonical form whose SHA-256 is signed; unmasked.
    Canonical,
}

#[derive(Serialize)]
struct View<'a> {
    schema: u32,
    rows: u64,
    content_hash: String,
    sketch_sha256: String,
    columns: &'a [ProfileFact],
}

pub(crate) fn run(args: &ProfileArgs, global: &Global) -> anyhow::Result<Exit> {
    let profile = match args.paths.as_slice() {
        [path] if gauntlet_data::is_profile(Path::new(path)) => {
            if args.kll.is_some() || args.read.given() {
                return Err(UsageError::new(
                    "--kll, --contract and --infer-types are for data; this is a stored profile",
                )
                .into());
            }
            gauntlet_data::read_profile(Path::new(path))?
        }
        paths => {
            if args.kll.is_some_and(|k| !(8..=gauntlet_data::MAX_KLL).contains(&k)) {
                return Err(UsageError::new(format!("--kll is from 8 to {}", gauntlet_data::MAX_KLL)).into());
            }
            let sketch = SketchOptions { kll: args.kll, ..SketchOptions::default() };
            let locations = table::locations(paths)?;
            args.read.with(global, |read| gauntlet_data::profile(&locations, read, &sketch))?
        }
    };
    if let Some(path) = &args.output {
        gauntlet_data::write_profile(path, &profile)
            .with_context(|| format!("cannot store the profile in {}", path.display()))?;
    }
    let columns = gauntlet_data::profile_facts(&profile, &MaskKey::for_project(""));
    let text = match args.format {
        ProfileFormat::Human if global.quiet && args.output.is_some() => String::new(),
        ProfileFormat::Human => human(&profile, &columns),
        ProfileFormat::Json => {
            let view = View {
                schema: 1,
                rows: profile.rows(),
                content_hash: profile.content.to_string(),
                sketch_sha256: gauntlet_data::sketch_sha256(&profile),
                columns: &columns,
            };
            serde_json::to_string_pretty(&view)? + "\n"
        }
        ProfileFormat::Canonical => profile.canonical_json() + "\n",
    };
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

fn human(profile: &Profile, columns: &[ProfileFact]) -> String {
    let mut out = format!("{} rows, {} columns\ncontent  {}\n\n", profile.rows(), columns.len(), profile.content);
    let width = columns.iter().map(|column| column.column.chars().count()).max().unwrap_or(0).clamp(6, 32);
    let _ = writeln!(out, "{:width$}  {:9}  {:>7}  {:>11}  values", "column", "type", "nulls", "distinct");
    for column in columns {
        let name: String = column.column.chars().map(|c| if c.is_control() { '?' } else { c }).take(32).collect();
        let distinct = format!("{}{}", if column.exact { "" } else { "~" }, column.distinct);
        let _ = writeln!(
            out,
            "{name:width$}  {:9}  {:>7}  {distinct:>11}  {}",
            column.family,
            table::percent(column.nulls, column.rows),
            values(column)
        );
    }
    out
}

/// What the values are, in some words.
fn values(column: &ProfileFact) -> String {
    match &column.numbers {
        Some(numbers) if !(column.exact && column.distinct <= 5) => self::numbers(numbers, &column.family),
        _ => {
            let counted = column.rows - column.nulls - column.invalid;
            let top = column.top.iter().take(4).map(|top| {
                let about = if top.low == top.high { "" } else { "≥ " };
                format!("{} {about}{}", top.value.escape_debug(), table::percent(top.low, counted))
            });
            let mut out = top.collect::<Vec<_>>().join(", ");
            if let (false, Some(text)) = (column.exact, &column.text) {
                out = format!("{} to {} characters, {:.1} on average", text.shortest, text.longest, text.mean_length);
            }
            out
        }
    }
}

fn numbers(numbers: &NumbersFact, family: &str) -> String {
    let end = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let median = numbers.quantiles.iter().find(|(p, _)| (p - 0.5).abs() < 1e-9).map(|(_, x)| *x);
    let number = |value: Option<f64>| value.map_or("-".to_owned(), table::number);
    if family == "date" || family == "timestamp" {
        return format!("{} to {}", end(&numbers.min), end(&numbers.max));
    }
    let mut out = format!(
        "{} to {}, median {}, mean {} ± {}",
        end(&numbers.min),
        end(&numbers.max),
        number(median),
        number(numbers.mean),
        number(numbers.deviation)
    );
    for (count, what) in
        [(numbers.nan, "NaN"), (numbers.negative_infinity, "-infinity"), (numbers.positive_infinity, "infinity")]
    {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
    out
}
