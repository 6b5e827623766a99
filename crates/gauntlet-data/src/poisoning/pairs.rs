//! Rows that are equal, nearly equal, or tied together across splits.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::util::display::array_value_to_string;
use gauntlet_core::SkipCode;
use gauntlet_poisoning::{Signer, hash64};

use super::cells::numbers;
use super::config::{Roles, is_train};
use super::first::{Seen, is_text};
use super::sample::Sample;
use super::spill::{Record, Spill};
use super::suspects::Suspects;
use super::{Examined, Inquiry, room};
use crate::checks::DUPLICATES;
use crate::table::{Table, place};

/// Similarity from which two rows are near duplicates.
pub(super) const JACCARD: f64 = 0.8;
/// Pairs that are held against each other; each of their rows costs half a kilobyte.
const MAX_CANDIDATES: usize = 500_000;
/// Letters from which a text is compared by its shingles and not as a whole.
const SHINGLED: usize = 24;
/// The part of a tag that says what the label is.
const LABEL: u64 = u32::MAX as u64;
/// A tag's label of a row that has none.
const NO_LABEL: u64 = LABEL;
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

/// What is known of a group of rows with equal features.
#[derive(Debug, Default)]
struct Equal {
    /// The first row that has a label, and the first that has another one: label and place.
    labels: [Option<(u64, u64)>; 2],
    /// The first row that is trained on.
    trained: Option<u64>,
}

impl Equal {
    fn label(&mut self, record: &Record) {
        let own = (record.tag & LABEL, record.place);
        if own.0 == NO_LABEL {
            return;
        }
        let [first, second] = &mut self.labels;
        match first {
            Some(known) if known.0 == own.0 => known.1 = known.1.min(own.1),
            Some(known) if own.1 < known.1 => *second = first.replace(own),
            Some(_) => *second = Some(second.filter(|known| known.1 < own.1).unwrap_or(own)),
            None => *first = Some(own),
        }
    }

    /// The first row with another label than this one.
    fn other(&self, record: &Record) -> Option<u64> {
        let own = record.tag & LABEL;
        let other = self.labels.iter().flatten().find(|(label, _)| *label != own)?;
        (own != NO_LABEL).then_some(other.1)
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
    /// Rows of equal features: duplicates, conflicting labels unless the label is a quantity, and rows of a test split that are
    /// trained on. The records come by split and label, which their tags say.
    pub(super) fn whole(
        &self,
        spill: Spill,
        quantity: bool,
        inquiry: &Inquiry<'_>,
        out: &mut Examined,
    ) -> std::io::Result<()> {
        let (mut exact, mut conflicts, mut leaks) = (room(inquiry), room(inquiry), room(inquiry));
        let mut groups = [0.0; 2];
        let mut earlier: Option<Record> = None;
        spill.groups(
            &mut |equal: &mut Equal, record| {
                equal.label(record);
                if self.trains(record) {
                    equal.trained = Some(equal.trained.map_or(record.place, |place| place.min(record.place)));
                }
            },
            &mut |equal| {
                groups[0] += 1.0;
                groups[1] += if equal.labels[1].is_some() { 1.0 } else { 0.0 };
            },
            &mut |equal, record| {
                match earlier.filter(|first| (first.key, first.tag) == (record.key, record.tag)) {
                    // In one split and with one label.
                    Some(first) => exact.add(record.place, 1.0, || format!("repeats {}", self.name(first.place))),
                    None => earlier = Some(*record),
                }
                if let Some(other) = equal.other(record).filter(|_| !quantity) {
                    conflicts
                        .add(record.place, 1.0, || format!("same features as {} with another label", self.name(other)));
                }
                if let Some(trained) = equal.trained.filter(|_| self.evaluates(record)) {
                    leaks.add(record.place, 1.0, || {
                        format!("of `{}`, has the features of {}", self.split(record), self.name(trained))
                    });
                }
            },
        )?;
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
        spill.groups(
            &mut |trained: &mut Option<u64>, record| {
                if self.trains(record) {
                    *trained = Some(trained.map_or(record.place, |place| place.min(record.place)));
                }
            },
            &mut |_| {},
            &mut |trained, record| {
                let Some(trained) = trained.filter(|_| self.evaluates(record)) else { return };
                kept.entry(record.tag & LABEL).or_insert_with(|| room(inquiry)).add(record.place, 1.0, || {
                    format!("of `{}`, has the value of {}", self.split(record), self.name(trained))
                });
            },
        )?;
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
    let mut group: Option<(Record, Record)> = None;
    spill.each(&mut |record| {
        let Some((first, previous)) = group.filter(|(first, _)| first.key == record.key) else {
            group = Some((*record, *record));
            return;
        };
        for earlier in [first, previous] {
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
        group = Some((first, *record));
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
        let what = format!(
            "more than {MAX_CANDIDATES} pairs of rows look alike: only those of the first rows were held against each other"
        );
        out.unjudged.push((DUPLICATES, SkipCode::Limit, what));
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

#[cfg(test)]
mod tests {
    use super::super::spill::Order;
    use super::*;

    fn equal(rows: &[(u64, u64)]) -> Equal {
        let mut equal = Equal::default();
        rows.iter().for_each(|&(tag, place)| equal.label(&Record { key: 0, place, tag }));
        equal
    }

    #[test]
    fn the_first_row_with_another_label_is_known_in_any_order() {
        let rows = [(7, 40), (7, 10), (8, 30), (9, 20), (7 | 3 << 32, 5), (NO_LABEL, 1)];
        for shift in 0..rows.len() {
            let mut turned = rows;
            turned.rotate_left(shift);
            let equal = equal(&turned);
            assert_eq!(equal.labels, [Some((7, 5)), Some((9, 20))], "{turned:?}");
            let other = |tag| equal.other(&Record { key: 0, place: 0, tag });
            assert_eq!((other(7), other(8), other(9), other(NO_LABEL)), (Some(20), Some(5), Some(5), None));
        }
        assert_eq!(equal(&rows[..2]).other(&Record { key: 0, place: 40, tag: 7 }), None);
    }

    #[test]
    fn more_pairs_than_are_looked_at_are_noticed_and_the_first_rows_kept() {
        for (rows, crowded) in [(1_000, false), (MAX_CANDIDATES as u64, true)] {
            let mut spill = Spill::new(Order::Place);
            (0..rows).for_each(|place| spill.push(Record { key: 1, place, tag: place }).unwrap());
            let (pairs, noticed) = candidates(spill).unwrap();
            assert_eq!(noticed, crowded);
            // Each row with the one before it and with the first.
            assert_eq!(pairs.len(), if crowded { MAX_CANDIDATES } else { 2 * 1_000 - 3 });
            assert!(pairs.contains(&(999, 998)) && pairs.contains(&(999, 0)) && pairs.contains(&(1, 0)));
        }
    }
}
