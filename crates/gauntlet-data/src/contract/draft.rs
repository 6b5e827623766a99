//! Drafts a contract from data: the narrowest one that a person would have written and that holds for the same data.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use gauntlet_core::Limits;

use super::Family;
use crate::manifest::{DraftError, quoted};
use crate::scan::{Profile, profile};
use crate::table::open_all;

/// Most values of a drafted set.
const MAX_SET: usize = 20;

/// The text of a contract that the tables in `files` (paths relative to `root`) fulfil together.
///
/// # Errors
/// [`DraftError`] when there is no table or it cannot be read to the end.
pub fn draft_contract(root: &Path, files: &[PathBuf], name: &str, limits: &Limits) -> Result<String, DraftError> {
    let table = open_all(root, files, limits)?;
    let (rows, columns) = profile(&table)?;
    let mut out = format!(
        "# What the table has to look like. Drafted from the data by `gauntlet init`: review every line, then widen what\n\
         # may happen and narrow what must not.\n\
         contract: 1\ntable: {}\nrows: {{min: {}}}\ncolumns:\n",
        quoted(name),
        rows.min(1)
    );
    for column in &columns {
        let _ = write!(
            out,
            "  {}: {{type: {}, nullable: {}",
            quoted(&column.name),
            column.family.as_str(),
            column.nulls > 0
        );
        rules(column, rows, &mut out);
        out.push_str("}\n");
    }
    // Nested columns have no place in a contract.
    let extra = if columns.len() == table.columns.len() { "error" } else { "allow" };
    let _ = writeln!(out, "extra_columns: {extra}");
    Ok(out)
}

fn rules(column: &Profile, rows: u64, out: &mut String) {
    // A set is worth drafting when its values repeat; a handful of rows says nothing.
    let set = column
        .distinct
        .as_ref()
        .filter(|set| !set.is_empty() && set.len() <= MAX_SET && (set.len() as u64) * 4 <= rows);
    match column.family {
        Family::String => {
            if let Some(set) = set {
                let words: Vec<_> = set.iter().map(|word| quoted(word)).collect();
                let _ = write!(out, ", allowed: [{}]", words.join(", "));
            }
        }
        Family::Integer | Family::Float => {
            if let Some((low, high)) = &column.range {
                let _ = write!(out, ", range: [{low}, {high}]");
            }
        }
        Family::Date => {
            if let Some((low, high)) = &column.range {
                let _ = write!(out, ", range: [{}, {}]", quoted(low), quoted(high));
            }
        }
        Family::Boolean | Family::Timestamp | Family::Binary => {}
    }
}
