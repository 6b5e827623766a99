//! Drafts a contract from data: one that a person would have written, that holds for the same data, and that tells no value
//! of a person.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_core::Limits;

use super::Family;
use crate::manifest::{DraftError, quoted};
use crate::personal::of_persons;
use crate::scan::{Profile, profile};
use crate::table::{Location, OpenOptions, Table, open, open_all};

/// Most values of a drafted set.
const MAX_SET: usize = 20;
/// Rows below which that no value occurs twice says nothing.
const MIN_ROWS: u64 = 100;
/// Longest text that is drafted as a key.
const MAX_KEY: u64 = 64;
/// The text of a contract that the tables in `files` (paths relative to `root`) fulfil together.
///
/// # Errors
/// [`DraftError`] when there is no table or it cannot be read to the end.
pub fn draft_contract(root: &Path, files: &[PathBuf], name: &str, limits: &Limits) -> Result<String, DraftError> {
    draft(&open_all(root, files, limits)?, name)
}

/// The text of a contract that the table at a location fulfils.
///
/// # Errors
/// [`DraftError`] when there is no table or it cannot be read to the end.
pub fn draft_contract_at(location: &Location, options: &OpenOptions) -> Result<String, DraftError> {
    let unreadable = |what: String| DraftError::Unreadable { path: location.to_string(), what };
    draft(&open(location, options).map_err(|error| unreadable(error.to_string()))?, &location.name())
}

fn draft(table: &Arc<Table>, name: &str) -> Result<String, DraftError> {
    let (rows, columns) = profile(table)?;
    let mut out = format!(
        "# What the table has to look like. Drafted from the data: review every line, then widen what may happen and\n\
         # narrow what must not. The chapter \"Data contract\" of the reference lists all rules.\n\
         contract: 1\ntable: {}\nrows: {{min: {}}}\ncolumns:\n",
        quoted(name),
        rows.min(1)
    );
    for column in &columns {
        let _ = write!(out, "  {}: {{type: {}", quoted(&column.name), column.family.as_str());
        rules(column, rows, &mut out);
        out.push_str("}\n");
    }
    // Nested columns have no place in a contract.
    let extra = if columns.len() == table.columns.len() { "error" } else { "allow" };
    let _ = writeln!(out, "extra_columns: {extra}");
    hints(&columns, rows, &mut out);
    Ok(out)
}

fn rules(column: &Profile, rows: u64, out: &mut String) {
    if column.nulls == 0 {
        out.push_str(", nullable: false");
    } else {
        let _ = write!(out, ", max_null_share: {}", null_share(column.nulls, rows));
    }
    let key = column.unique && column.nulls == 0 && rows >= MIN_ROWS;
    let short = column.length.is_none_or(|(_, most)| most <= MAX_KEY);
    if key && short {
        out.push_str(", unique: true");
    }
    match column.family {
        Family::String => {
            if let Some(set) = set(column, rows) {
                let words: Vec<_> = set.iter().map(|word| quoted(word)).collect();
                let _ = write!(out, ", allowed: [{}]", words.join(", "));
            } else if let Some((low, high)) = column.length {
                let _ = write!(out, ", length: [{low}, {}]", roomy(high));
            }
        }
        Family::Integer | Family::Float => {
            // The highest number of a key says nothing about the next delivery.
            if let Some((low, high)) = column.range.as_ref().filter(|_| !key) {
                let (low, high) = outward(low, high, of_persons(&column.name));
                let _ = write!(out, ", range: [{low}, {high}]");
            }
        }
        Family::Date => {
            if let Some((low, high)) = column.range.as_ref().filter(|_| !of_persons(&column.name)) {
                let _ = write!(out, ", range: [{}, {}]", quoted(low), quoted(high));
            }
        }
        Family::Boolean | Family::Timestamp | Family::Binary => {}
    }
}

/// A set is worth drafting when its values repeat; a handful of rows says nothing, and names of persons are no set.
fn set(column: &Profile, rows: u64) -> Option<&std::collections::BTreeSet<String>> {
    let set = column.distinct.as_ref()?;
    let few = !set.is_empty() && set.len() <= MAX_SET && (set.len() as u64) * 4 <= rows;
    (few && !of_persons(&column.name)).then_some(set)
}

/// A bit more than what was seen, in whole hundredths.
#[expect(clippy::cast_precision_loss, reason = "a share of rows")]
fn null_share(nulls: u64, rows: u64) -> f64 {
    let share = nulls as f64 / rows.max(1) as f64;
    ((share * 120.0).ceil() / 100.0).min(1.0)
}

/// The next multiple of ten, where there is room for it.
fn roomy(most: u64) -> u64 {
    if most > 10 { most.div_ceil(10) * 10 } else { most }
}

/// Both ends as they are while they are small; longer numbers are rounded outward to three digits (one for a column of
/// persons), so that no end is the value of one row.
fn outward(low: &str, high: &str, personal: bool) -> (String, String) {
    let digits = if personal { 1 } else { 3 };
    let plain = |text: &str| text.bytes().filter(u8::is_ascii_digit).count() <= digits;
    let round = |text: &str, up: bool| -> String {
        if plain(text) {
            return text.to_owned();
        }
        let Ok(value) = text.parse::<f64>() else { return text.to_owned() };
        if value == 0.0 || !value.is_finite() {
            return text.to_owned();
        }
        let scale = 10f64.powi(i32::try_from(digits).unwrap_or(3) - 1 - magnitude(value));
        let scaled = value * scale;
        let rounded = (if up { scaled.ceil() } else { scaled.floor() }) / scale;
        // What rounding of floats took away would let the data fail its own contract.
        let holds = if up { rounded >= value } else { rounded <= value };
        if !holds || !rounded.is_finite() {
            return text.to_owned();
        }
        if text.contains(['.', 'e', 'E']) {
            format!("{rounded:?}")
        } else if rounded.abs() < 9e18 {
            format!("{rounded:.0}")
        } else {
            text.to_owned()
        }
    };
    (round(low, false), round(high, true))
}

#[expect(clippy::cast_possible_truncation, reason = "the logarithm of a float is small")]
fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// What data cannot tell, with the names of its columns.
fn hints(columns: &[Profile], rows: u64, out: &mut String) {
    let mut lines = Vec::new();
    if let Some(column) = columns.iter().find(|c| matches!(c.family, Family::Date | Family::Timestamp)) {
        lines.push(format!("{{column: {}, freshness: 7d}}", quoted(&column.name)));
    }
    let numbers: Vec<&Profile> =
        columns.iter().filter(|c| matches!(c.family, Family::Integer | Family::Float) && !c.unique).collect();
    if let [a, b, ..] = numbers.as_slice() {
        let name = |c: &Profile| format!("\\\"{}\\\"", c.name.replace('"', "\\\"\\\""));
        let plain = [a, b].iter().all(|c| !c.name.contains(['"', '\\']) && !c.name.chars().any(char::is_control));
        if plain {
            lines.push(format!("{{name: why, expression: \"{} >= {}\", mostly: 0.99}}", name(a), name(b)));
        }
    }
    let label = columns.iter().rev().find(|c| c.family == Family::Boolean || set(c, rows).is_some());
    if let Some(label) = label {
        lines.push(format!("{{column: {}, balance: {{smallest: 0.05}}}}", quoted(&label.name)));
    }
    if lines.is_empty() {
        return;
    }
    out.push_str("# What data cannot tell; rules that may be worth having:\n# rules:\n");
    for line in lines {
        let _ = writeln!(out, "#   - {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ends_are_rounded_outward() {
        let both = |low: &str, high: &str, personal| outward(low, high, personal);
        assert_eq!(both("18", "999", false), ("18".into(), "999".into()));
        assert_eq!(both("12345", "987654", false), ("12300".into(), "988000".into()));
        assert_eq!(both("-12345", "-1001", false), ("-12400".into(), "-1000".into()));
        assert_eq!(both("0.012345", "29.998", false), ("0.0123".into(), "30.0".into()));
        assert_eq!(both("21345", "98765", true), ("20000".into(), "100000".into()));
        assert_eq!(both("9223372036854775806", "9223372036854775807", false).1, "9223372036854775807");
    }

    #[test]
    fn names_say_whose_values_they_are() {
        for name in ["name", "first_name", "LastName", "birthDate", "e-mail", "home_phone", "DOB"] {
            assert!(of_persons(name), "{name}");
        }
        for name in ["plan", "username_length", "capacity", "filename2", "age"] {
            assert!(!of_persons(name), "{name}");
        }
    }
}
