//! `gauntlet data diff`: what changed between two tables.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gauntlet_data::{ColumnChange, Diff, DiffOptions, RowChange, RowPlace};

use super::table;
use crate::cli::Global;
use crate::exit::Exit;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// File, folder, pattern or address of the table before.
    from: String,
    /// The table after.
    to: String,
    /// Columns whose values together identify a row: tells changed rows from those that are new or gone.
    #[arg(long, value_name = "COLUMN", num_args = 1.., value_delimiter = ',')]
    key: Vec<String>,
    #[command(flatten)]
    read: table::ReadArgs,
    /// End with 1 when the content differs, as `git diff --exit-code` does.
    #[arg(long)]
    exit_code: bool,
    /// How to print the difference.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write the difference to a file instead of stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Human,
    Json,
}

pub(crate) fn run(args: &DiffArgs, global: &Global) -> anyhow::Result<Exit> {
    let options = DiffOptions { key: args.key.clone() };
    let (from, to) = (std::slice::from_ref(&args.from), std::slice::from_ref(&args.to));
    let (from, to) = (table::locations(from)?, table::locations(to)?);
    let diff = args.read.with(global, |read| gauntlet_data::diff(&from, &to, read, &options))?;
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&diff)? + "\n",
        Format::Human if global.quiet => String::new(),
        Format::Human => human(&diff),
    };
    terminal::deliver(text.as_bytes(), args.output.as_deref())?;
    Ok(if args.exit_code && !diff.same { Exit::Refused } else { Exit::Allowed })
}

fn human(diff: &Diff) -> String {
    if diff.same {
        return format!("the same content: {} rows, {}\n", diff.from.rows, diff.from.content_hash);
    }
    let mut out = format!("different content: {} rows before, {} after\n", diff.from.rows, diff.to.rows);
    if let Some(rows) = &diff.rows {
        out.push_str(&self::rows(rows));
    }
    if diff.reordered {
        out.push_str("\ncolumns stand in another order\n");
    }
    if !diff.columns.is_empty() {
        out.push_str("\ncolumns\n");
    }
    for column in &diff.columns {
        let name: String = column.column.chars().map(|c| if c.is_control() { '?' } else { c }).take(64).collect();
        let _ = writeln!(out, "  {name}: {}", self::column(column).join(", "));
    }
    out
}

fn rows(rows: &RowChange) -> String {
    let mut out = String::new();
    if rows.key.is_empty() {
        let _ = writeln!(out, "rows: {} the same, {} gone, {} new", rows.same, rows.removed, rows.added);
        out.push_str("a row that changed counts as gone and new; --key COLUMN tells them apart\n");
    } else {
        let _ = writeln!(
            out,
            "rows by {}: {} the same, {} changed, {} gone, {} new",
            rows.key.join(", "),
            rows.same,
            rows.changed,
            rows.removed,
            rows.added
        );
        if rows.repeated_keys > 0 {
            let _ =
                writeln!(out, "{} keys stand in more than one row: these were compared as groups", rows.repeated_keys);
        }
    }
    for (what, places) in [("changed", &rows.first_changed), ("new", &rows.first_added), ("gone", &rows.first_removed)]
    {
        if !places.is_empty() {
            let _ = writeln!(out, "  first {what}: {}", self::places(places));
        }
    }
    out
}

fn places(places: &[RowPlace]) -> String {
    let shown: Vec<String> = places.iter().take(5).map(|place| format!("{} row {}", place.path, place.row)).collect();
    shown.join(", ") + if places.len() > shown.len() { ", …" } else { "" }
}

fn column(change: &ColumnChange) -> Vec<String> {
    let mut out = Vec::new();
    match (&change.from_type, &change.to_type) {
        (Some(from), None) => return vec![format!("gone (was {from})")],
        (None, Some(to)) => return vec![format!("new ({to})")],
        (Some(from), Some(to)) => out.push(format!("{from} became {to}")),
        (None, None) => {}
    }
    if let Some(cells) = change.changed_cells.filter(|cells| *cells > 0) {
        out.push(format!("{cells} cells changed"));
    }
    if let Some(moved) = change.moved {
        out.push(format!("at least {:.2} % of values moved", moved * 100.0));
    }
    if let Some((from, to)) = change.null_share {
        out.push(format!("nulls {:.2} % → {:.2} %", from * 100.0, to * 100.0));
    }
    if let Some((from, to)) = change.distinct {
        out.push(format!("distinct {from} → {to}"));
    }
    if let Some((from, to)) = change.mean {
        out.push(format!("mean {} → {}", table::number(from), table::number(to)));
    }
    if let Some((from, to)) = change.deviation {
        out.push(format!("deviation {} → {}", table::number(from), table::number(to)));
    }
    out
}
