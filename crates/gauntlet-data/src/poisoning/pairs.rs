//! Rows that are equal, nearly equal, or tied together across splits.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::util::display::array_value_to_string;
use gauntlet_poisoning::{Signer, hash64};

use super::cells::numbers;
use super::config::{Roles, is_train};
use super::first::{Seen, is_text};
use super::sample::Sample;
use super::spill::{Record, Spill};
use super::suspects::Suspects;
use super::{Examined, Inquiry, room};
use crate::table::{Table, place};

/// Similarity from which two rows are near duplicates.
pub(super) const JACCARD: f64 = 0.8;
/// Pairs that are held against each other; each of their rows costs half a kilobyte.
const MAX_CANDIDATES: usize = 500_000;
/// Letters from which a text is compared by its shingles and not as a whole.
const SHINGLED: usize = 24;
const NO_LABEL: u64 = u32::MAX as u64;
const NO_SPLIT: u64 = u16::MAX as u64;

/// Turns rows into sets of hashed elements: a number to three digits, a short text as it is, a long one by its shingles.
#[derive(Debug)]
pub(super) struct Elements {
    columns: Vec<(usize, bool)>,
}

impl Elements {
    pub(super) fn new(table: &Table, roles: &Roles) -> Self {
        let usable = |i: &usize| !table.columns[*i].scanned.is_nested();
        Self { columns: roles.features.iter().copied().filter(usable).map(|i| (i, is_text(table, i))).collect() }
    }

    /// The set of each row of a batch. Nulls are no element: two rows do not look alike by what both lack.
    pub(super) fn of(&self, stored: &[ArrayRef], rows: usize) -> Vec<Vec<u64>> {
        let mut sets = vec![Vec::new(); rows];
        for &(column, text) in &self.columns {
            let Some(array) = stored.get(column) else { continue };
            let key = column as u64;
            if let Some(texts) = array.as_string_opt::<i32>().filter(|_| text) {
                for (set, value) in sets.iter_mut().zip(texts) {
                    let Some(value) = value else { continue };
                    match value.trim().parse::<f64>() {
                        Ok(number) => Signer::cell(&Signer::rounded(number), key, set),
                        Err(_) if value.len() >= SHINGLED => Signer::shingles(value, key, set),
                        Err(_) => Signer::cell(value.as_bytes(), key, set),
                    }
                }
            } else if let Some(values) = numbers(array) {
                for (row, (set, value)) in sets.iter_mut().zip(values).enumerate() {
                    if array.is_valid(row) {
                        Signer::cell(&Signer::rounded(value), key, set);
                    }
                }
            } else {
                for (row, set) in sets.iter_mut().enumerate() {
                    if let Some(value) = array.is_valid(row).then(|| array_value_to_string(array, row).ok()).flatten() {
                        Signer::cell(value.as_bytes(), key, set);
                    }
                }
            }
        }
        sets
    }
}

/// What groups of equal rows are judged with.
pub(super) struct Groups<'a> {
    pub(super) table: &'a Table,
    pub(super) roles: &'a Roles,
    pub(super) splits: &'a [String],
    pub(super) rows: u64,
}

impl Groups<'_> {
    /// Rows of equal features: duplicates, conflicting labels, and rows of a test split that are trained on.
    pub(super) fn whole(&self, spill: Spill, inquiry: &Inquiry<'_>, out: &mut Examined) -> std::io::Result<()> {
        let (mut exact, mut conflicts, mut leaks) = (room(inquiry), room(inquiry), room(inquiry));
        let mut groups = [0.0; 2];
        spill.groups(&mut |group| {
            let labels: BTreeSet<u64> = group.iter().map(|r| r.tag & 0xffff_ffff).filter(|l| *l != NO_LABEL).collect();
            if labels.len() > 1 {
                groups[1] += 1.0;
                for record in group {
                    let label = record.tag & 0xffff_ffff;
                    let other = group.iter().find(|r| r.tag & 0xffff_ffff != label).map_or(0, |r| r.place);
                    conflicts
                        .add(record.place, 1.0, || format!("same features as {} with another label", self.name(other)));
                }
            }
            let mut first: BTreeMap<u64, u64> = BTreeMap::new();
            for record in group {
                match first.get(&record.tag) {
                    // In one split and with one label.
                    Some(&earlier) => exact.add(record.place, 1.0, || format!("repeats {}", self.name(earlier))),
                    None => drop(first.insert(record.tag, record.place)),
                }
            }
            groups[0] += 1.0;
            let trained = group.iter().find(|r| self.trains(r));
            if let Some(trained) = trained {
                for record in group.iter().filter(|r| self.evaluates(r)) {
                    leaks.add(record.place, 1.0, || {
                        format!("of `{}`, has the features of {}", self.split(record), self.name(trained.place))
                    });
                }
            }
        })?;
        let found =
            |rule, what: &str, kept, groups: f64| Suspects::new(rule, what, kept, self.rows).figure("groups", groups);
        if exact.count > 0 {
            out.suspects.push(found(
                "duplicates/exact-duplicate",
                "rows repeat an earlier row in every column but ids",
                exact,
                groups[0],
            ));
        }
        if conflicts.count > 0 {
            out.suspects.push(found(
                "duplicates/conflicting-label",
                "rows have the features of another row and a different label",
                conflicts,
                groups[1],
            ));
        }
        if leaks.count > 0 {
            out.suspects.push(found(
                "leakage/row-overlap",
                "rows that are not trained on have the features of a row that is",
                leaks,
                groups[0],
            ));
        }
        Ok(())
    }

    /// Ids and groups that lie in a training split and in another one.
    pub(super) fn entities(&self, spill: Spill, inquiry: &Inquiry<'_>, out: &mut Examined) -> std::io::Result<()> {
        let mut kept: BTreeMap<u64, super::Kept> = BTreeMap::new();
        spill.groups(&mut |group| {
            let Some(trained) = group.iter().find(|r| self.trains(r)) else { return };
            for record in group.iter().filter(|r| self.evaluates(r)) {
                kept.entry(record.tag & 0xffff_ffff).or_insert_with(|| room(inquiry)).add(record.place, 1.0, || {
                    format!("of `{}`, has the value of {}", self.split(record), self.name(trained.place))
                });
            }
        })?;
        for (column, kept) in kept {
            let column = usize::try_from(column).unwrap_or(usize::MAX);
            let Some(name) = self.table.columns.get(column).map(|c| &c.name) else { continue };
            let entity = self.roles.ids.contains(&column);
            let rule = if entity { "leakage/entity-overlap" } else { "leakage/group-overlap" };
            let what = format!("values of `{name}` are in the training split and in another one");
            out.suspects.push(Suspects::new(rule, what, kept, self.rows).column(name));
        }
        Ok(())
    }

    fn trains(&self, record: &Record) -> bool {
        record.tag >> 32 != NO_SPLIT && is_train(self.split(record))
    }

    fn evaluates(&self, record: &Record) -> bool {
        record.tag >> 32 != NO_SPLIT && !is_train(self.split(record))
    }

    fn split(&self, record: &Record) -> &str {
        usize::try_from(record.tag >> 32).ok().and_then(|i| self.splits.get(i)).map_or("", String::as_str)
    }

    fn name(&self, at: u64) -> String {
        name(self.table, at)
    }
}

/// `row 17 of a.parquet`, the file only where there are several.
pub(super) fn name(table: &Table, at: u64) -> String {
    let (file, row) = place(at);
    match table.files.get(file).filter(|_| table.files.len() > 1) {
        Some(file) => format!("row {row} of {}", file.path),
        None => format!("row {row}"),
    }
}

/// Pairs of rows that share a band and are not equal, and whether there were too many. Each row is held against the first row
/// of its band and the one before it.
pub(super) fn candidates(spill: Spill) -> std::io::Result<(BTreeSet<(u64, u64)>, bool)> {
    let mut pairs = BTreeSet::new();
    let mut crowded = false;
    spill.groups(&mut |group| {
        for (i, record) in group.iter().enumerate().skip(1) {
            for earlier in [group.first(), group.get(i - 1)].into_iter().flatten() {
                if earlier.tag == record.tag || earlier.place == record.place {
                    continue;
                }
                pairs.insert((record.place, earlier.place));
                if pairs.len() > MAX_CANDIDATES {
                    // The first rows in any order of groups.
                    pairs.pop_last();
                    crowded = true;
                }
            }
        }
    })?;
    Ok((pairs, crowded))
}

/// Holds the candidates' signatures against each other.
pub(super) fn near_duplicates(
    seen: &Seen,
    sample: &Sample,
    inquiry: &Inquiry<'_>,
    out: &mut Examined,
) -> Result<(), String> {
    let mut kept = room(inquiry);
    let mut best: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
    for &(later, earlier) in &seen.candidates {
        let (Some(a), Some(b)) = (sample.signatures.get(&later), sample.signatures.get(&earlier)) else { continue };
        let similarity = a.similarity(b);
        if similarity >= JACCARD && best.get(&later).is_none_or(|(most, _)| similarity > *most) {
            best.insert(later, (similarity, earlier));
        }
    }
    let count = best.len() as u64;
    for (later, (similarity, earlier)) in best {
        kept.add(later, similarity, || {
            let path = sample.paths.get(place(earlier).0).filter(|_| sample.paths.len() > 1);
            let of = path.map(|p| format!(" of {p}")).unwrap_or_default();
            format!("nearly row {}{of} (similarity {similarity:.2})", place(earlier).1)
        });
    }
    if seen.crowded {
        out.left_out.push(format!(
            "more than {MAX_CANDIDATES} pairs of rows look alike: the near duplicates of the first rows were named"
        ));
    }
    if count > 0 {
        let what = "rows are nearly the same as an earlier row";
        out.suspects.push(Suspects::new("duplicates/near-duplicate", what, kept, out.rows));
    }
    Ok(())
}

/// A hash of a cell or a token for trigger search.
pub(super) fn item(column: usize, value: &[u8]) -> u64 {
    hash64(value, 0x7472_6967 ^ column as u64)
}
