//! Rows that a manifest's own words reject: no consent, consent that has ended, no proof of age.

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Float64Type};
use gauntlet_core::{Limits, display_path};
use jiff::civil::{Date, date};

use super::{QuarantineError, QuarantineOptions, Quarantined, Reject, Rows, write};
use crate::checks::day;
use crate::extract::people::questions;
use crate::manifest::{DraftError, Manifest};
use crate::scan::{OLDEST, PeopleQuestions, days};
use crate::table::{is_table, open_all};

/// Splits the files of a dataset (paths relative to `root`) into the rows that `manifest` permits on the day `today` and
/// the rows that it does not. See [`write`].
///
/// # Errors
/// [`QuarantineError`]; also when the manifest asks nothing of single rows, names a column that the table lacks, or a file
/// cannot be read whole. Nothing is written then.
pub fn quarantine_by_manifest(
    root: &Path,
    files: &[PathBuf],
    manifest: &Manifest,
    today: Date,
    folder: &Path,
    options: &QuarantineOptions,
) -> Result<Quarantined, QuarantineError> {
    let table = open_all(root, files, &Limits::default()).map_err(|error| match error {
        DraftError::Unreadable { path, what } => QuarantineError::Unreadable { path, what },
        other => QuarantineError::Judge(other.to_string()),
    })?;
    // What is no table that is read would be in neither part.
    if let Some(left_out) = files.iter().find(|file| !is_table(file)) {
        let path = display_path(left_out).0;
        return Err(QuarantineError::Unreadable { path, what: "is no table that is read".to_owned() });
    }
    let asked = questions(Some(manifest), &table);
    complete(manifest, &asked)?;
    let number = date(1970, 1, 1).until(today).map_or(i32::MAX, |span| span.get_days());
    write(&table, &mut ByManifest { asked, today: number }, folder, options)
}

/// Every column that the manifest names has to be there: a question that is not asked rejects nobody.
fn complete(manifest: &Manifest, asked: &PeopleQuestions<'_>) -> Result<(), QuarantineError> {
    let mut any = false;
    let named = [
        (manifest.consent.column.as_deref(), asked.consent.is_some()),
        (manifest.age_verification.as_ref().map(|age| age.column.as_str()), asked.age.is_some()),
        (manifest.consent.expires_column.as_deref(), asked.expires.is_some()),
    ];
    for (name, found) in named {
        let Some(name) = name else { continue };
        any = true;
        if !found {
            let name: String = name.chars().take(64).collect();
            return Err(QuarantineError::Judge(format!("the table has no column `{name}`, which the manifest names")));
        }
    }
    if any {
        Ok(())
    } else {
        let what = "the manifest asks nothing of single rows: it names no `consent.column`, `consent.expires_column` or `age_verification`";
        Err(QuarantineError::Judge(what.to_owned()))
    }
}

struct ByManifest<'a> {
    asked: PeopleQuestions<'a>,
    /// Days since 1970.
    today: i32,
}

impl Reject for ByManifest<'_> {
    fn reject(&mut self, rows: &Rows<'_>) -> Result<Vec<(usize, String)>, String> {
        let column = |index: usize| rows.columns.get(index).ok_or_else(|| "a column is missing".to_owned());
        let mut out = Vec::new();
        if let Some((index, allowed)) = self.asked.consent {
            unlisted(column(index)?, allowed, "row-without-consent", &mut out)?;
        }
        if let Some(index) = self.asked.expires {
            self.expired(column(index)?, &mut out)?;
        }
        if let Some((index, rule)) = self.asked.age {
            match rule.minimum {
                Some(minimum) => too_young(column(index)?, f64::from(minimum), &mut out)?,
                None => unlisted(column(index)?, &rule.allowed, "row-without-age-verification", &mut out)?,
            }
        }
        Ok(out)
    }
}

impl ByManifest<'_> {
    fn expired(&self, values: &ArrayRef, out: &mut Vec<(usize, String)>) -> Result<(), String> {
        const CODE: &str = "row-consent-expired";
        let days = days(values).map_err(|e| e.to_string())?;
        let days = days.as_ref().and_then(|days| days.as_primitive_opt::<Date32Type>());
        for row in 0..values.len() {
            match days.filter(|days| days.is_valid(row)).map(|days| days.value(row)) {
                Some(last) if last >= self.today => {}
                Some(last) => out.push((row, format!("{CODE}: ended on {}", day(last)))),
                None => out.push((row, format!("{CODE}: no last day"))),
            }
        }
        Ok(())
    }
}

fn unlisted(values: &ArrayRef, allowed: &[String], code: &str, out: &mut Vec<(usize, String)>) -> Result<(), String> {
    let texts = cast(values, &DataType::Utf8).map_err(|e| e.to_string())?;
    let texts = texts.as_string_opt::<i32>().ok_or_else(|| "the column holds no words".to_owned())?;
    for (row, text) in texts.iter().enumerate() {
        match text {
            Some(text) if allowed.iter().any(|word| word == text) => {}
            Some(text) => {
                // A word of a vocabulary; a longer text is none and stays in its own column.
                let text: String = text.chars().take(32).map(|c| if c.is_control() { '?' } else { c }).collect();
                out.push((row, format!("{code}: `{text}`")));
            }
            None => out.push((row, format!("{code}: no value"))),
        }
    }
    Ok(())
}

fn too_young(values: &ArrayRef, minimum: f64, out: &mut Vec<(usize, String)>) -> Result<(), String> {
    const CODE: &str = "row-without-age-verification";
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let years = cast_with_options(values, &DataType::Float64, &options).map_err(|e| e.to_string())?;
    let years = years.as_primitive_opt::<Float64Type>().ok_or_else(|| "the column holds no ages".to_owned())?;
    for (row, age) in years.iter().enumerate() {
        match age {
            Some(age) if age >= minimum && age <= OLDEST => {}
            Some(_) => out.push((row, format!("{CODE}: age out of range"))),
            None => out.push((row, format!("{CODE}: no age"))),
        }
    }
    Ok(())
}
