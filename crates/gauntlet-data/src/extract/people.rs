//! The manifest's questions about the people behind the rows: which columns answer them, and what the scan saw there.

use gauntlet_core::Location;

use super::Pass;
use crate::checks::MANIFEST;
use crate::facts::{AgeFact, ConsentFact, ExpiryFact, RowSample};
use crate::manifest::{FILL_IN, Manifest};
use crate::scan::{Answers, FirstRows, PeopleQuestions};
use crate::table::{Table, place};

/// A column name that a person filled in.
fn named(name: &Option<String>) -> Option<&str> {
    name.as_deref().filter(|name| !name.trim().is_empty() && !name.contains(FILL_IN))
}

/// Whether the manifest asks anything of single rows: then every row has to be read.
pub(super) fn asked(manifest: Option<&Manifest>) -> bool {
    manifest.is_some_and(|m| {
        named(&m.consent.column).is_some() || named(&m.consent.expires_column).is_some() || m.age_verification.is_some()
    })
}

/// The questions to the rows of a table; columns that it lacks are answered by [`Pass::people`].
pub(crate) fn questions<'m>(manifest: Option<&'m Manifest>, table: &Table) -> PeopleQuestions<'m> {
    let Some(manifest) = manifest else { return PeopleQuestions::default() };
    let column = |name: &Option<String>| named(name).and_then(|name| table.column(name));
    PeopleQuestions {
        consent: column(&manifest.consent.column).map(|i| (i, manifest.consent.allowed.as_slice())),
        age: manifest.age_verification.as_ref().and_then(|age| table.column(&age.column).map(|i| (i, age))),
        expires: column(&manifest.consent.expires_column),
    }
}

impl Pass<'_> {
    /// One fact for each question that the manifest asks.
    pub(super) fn people(&mut self, manifest: Option<&Manifest>, table: &Table, answers: &Answers) {
        let Some(manifest) = manifest else { return };
        let seen = &answers.people;
        if let Some(column) = named(&manifest.consent.column) {
            let fact = self.judged(column, table, answers, seen.consent.as_ref());
            self.facts.push(MANIFEST, Location::default().in_field(column), &fact);
        }
        if let Some(age) = &manifest.age_verification {
            let fact = AgeFact(self.judged(&age.column, table, answers, seen.age.as_ref()));
            self.facts.push(MANIFEST, Location::default().in_field(&age.column), &fact);
        }
        if let Some(column) = named(&manifest.consent.expires_column) {
            let rows = seen.expires.clone().unwrap_or_default();
            let file = |position: u64| {
                let (file, row) = place(position);
                (table.files.get(file).map_or(String::new(), |f| f.path.clone()), row, table.row_group(file, row))
            };
            let sample = |&(day, position): &(i32, u64)| {
                let (path, row, row_group) = file(position);
                (day, RowSample { path, row, row_group, sample: crate::checks::day(day) })
            };
            let fact = ExpiryFact {
                column: column.to_owned(),
                present: table.column(column).is_some(),
                rows: answers.rows,
                missing: rows.missing.count,
                first_missing: self.samples(&rows.missing, table, false),
                days: rows.days.iter().map(|(&day, &rows)| (day, rows)).collect(),
                earliest: rows.earliest.iter().map(sample).collect(),
            };
            self.facts.push(MANIFEST, Location::default().in_field(column), &fact);
        }
    }

    fn judged(&self, column: &str, table: &Table, answers: &Answers, rows: Option<&FirstRows>) -> ConsentFact {
        let index = table.column(column);
        ConsentFact {
            column: column.to_owned(),
            present: index.is_some(),
            rows: answers.rows,
            nulls: index.and_then(|i| answers.nulls.get(i)).copied().flatten().unwrap_or(0),
            failing: rows.map_or(0, |rows| rows.count),
            first: rows.map_or_else(Vec::new, |rows| self.samples(rows, table, false)),
        }
    }
}
