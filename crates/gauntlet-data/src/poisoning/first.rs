//! The first pass: row hashes, splits, ids, times and signatures of every row, and which rows the models will see.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::DataType;
use gauntlet_core::SkipCode;
use gauntlet_poisoning::{Signature, Signer, hash64, hash128, keys};

use super::cells::{Clock, RowHasher, numbers, texts};
use super::config::{Roles, SAMPLE_ROWS, is_train};
use super::pairs::{self, Elements};
use super::spill::{Order, Record, Spill};
use super::watch::Watch;
use super::{Examined, Inquiry, read, room};
use crate::checks::{DUPLICATES, LEAKAGE};
use crate::personal::Search;
use crate::table::{Table, place};

/// Different labels that are classes; more are a quantity.
const MAX_CLASSES: usize = 1_000;
/// Rows of each class that the sample holds at least.
const CLASS_ROWS: usize = 200;
/// Classes that a picture names.
const SHOWN_CLASSES: usize = 30;
/// Rows that share the name of a class, not of a person.
const SHARED: u64 = 20;
/// Bytes of data from which fewer bands are used for near duplicates: grouping takes half a kilobyte of disk a row.
const LARGE: u64 = 16 << 30;
const NO_LABEL: u32 = u32::MAX;
const NO_SPLIT: u16 = u16::MAX;

/// What the first pass leaves to the others.
#[derive(Debug)]
pub(super) struct Seen {
    /// Label of the classes by number, unless there are too many.
    pub(super) classes: Option<Vec<String>>,
    /// Places of the sample.
    pub(super) sample: BTreeSet<u64>,
    /// Candidate pairs of near duplicates: a later row and an earlier one.
    pub(super) candidates: BTreeSet<(u64, u64)>,
    /// Whether there were more candidates than are looked at.
    pub(super) crowded: bool,
    /// Turns rows into sets for comparison.
    pub(super) elements: Elements,
    /// Makes signatures of them.
    pub(super) signer: Signer,
    /// What every row has to be held against once more.
    pub(super) watched: Vec<Watch>,
}

struct Pass<'a> {
    roles: &'a Roles,
    seed: u64,
    numbers: BTreeMap<String, u32>,
    /// Rows of each split.
    in_split: BTreeMap<u16, u64>,
    /// Whether there are more splits than are told apart.
    too_many_splits: bool,
    /// Rows of each class.
    counts: Vec<u64>,
    too_many: bool,
    splits: Vec<String>,
    hasher: Option<RowHasher>,
    whole: Spill,
    entities: Spill,
    bands: Spill,
    elements: Elements,
    signer: Signer,
    all: BinaryHeap<(u64, u64)>,
    by_class: BTreeMap<u32, BinaryHeap<(u64, u64)>>,
    sample: usize,
    times: BTreeMap<u16, (i64, i64)>,
    clock: Clock,
    rows: u64,
}

/// Runs the pass and judges what needs no sample: duplicates and leakage between splits.
pub(super) fn pass(
    table: &Arc<Table>,
    roles: &Roles,
    inquiry: &Inquiry<'_>,
    out: &mut Examined,
) -> Result<Seen, String> {
    let bytes: u64 = table.files.iter().filter_map(|file| Some(file.source.as_ref()?.size())).sum();
    out.bands = if bytes > LARGE { 6 } else { 16 };
    if bytes > LARGE {
        let what =
            format!("more than {LARGE} bytes of data: near duplicates were looked for by 6 bands in place of 16");
        out.unjudged.push((DUPLICATES, SkipCode::Limit, what));
    }
    let hasher = hasher(table, roles, inquiry, out);
    let mut splits: BTreeSet<String> = roles.file_splits.iter().flatten().cloned().collect();
    splits.insert(String::new());
    let mut pass = Pass {
        roles,
        seed: inquiry.seed,
        numbers: BTreeMap::new(),
        in_split: BTreeMap::new(),
        too_many_splits: false,
        counts: Vec::new(),
        too_many: false,
        splits: splits.into_iter().collect(),
        hasher,
        whole: Spill::new(Order::Tag),
        entities: Spill::new(Order::Tag),
        bands: Spill::new(Order::Place),
        elements: Elements::new(table, roles),
        signer: Signer::new(8 * out.bands, inquiry.seed),
        all: BinaryHeap::new(),
        by_class: BTreeMap::new(),
        sample: inquiry.config.sample.unwrap_or(SAMPLE_ROWS),
        times: BTreeMap::new(),
        clock: Clock::default(),
        rows: 0,
    };
    out.problems = read(table, &mut |places, stored| pass.batch(places, stored))?;
    out.rows = pass.rows;
    let io = |error: std::io::Error| format!("grouping rows: {error}");
    let names: Vec<String> = class_names(&pass.numbers);
    if !pass.too_many {
        out.balance = balance(&names, &pass.counts, inquiry);
    }
    // Beyond so many different numbers the label is measured, and equal rows may differ in it.
    let quantity = pass.too_many && names.iter().all(|name| name.parse::<f64>().is_ok());
    if quantity {
        let what = format!("the label has more than {MAX_CLASSES} different numbers: equal rows may differ in it");
        out.left_out.push(what);
    }
    pass.compared(out);
    let groups = pairs::Groups { table, roles, splits: &pass.splits, rows: pass.rows };
    groups.whole(pass.whole, quantity, inquiry, out).map_err(io)?;
    groups.entities(pass.entities, inquiry, out).map_err(io)?;
    let watched = time_leak(table, roles, &pass.splits, &pass.times, &pass.clock, inquiry, out);
    let (candidates, crowded) = pairs::candidates(pass.bands).map_err(io)?;
    let mut sample: BTreeSet<u64> = pass.all.into_iter().map(|(_, place)| place).collect();
    sample.extend(pass.by_class.into_values().flatten().map(|(_, place)| place));
    let classes = (!pass.too_many && !names.is_empty()).then_some(names);
    let watched = watched.into_iter().collect();
    Ok(Seen { classes, sample, candidates, crowded, elements: pass.elements, signer: pass.signer, watched })
}

/// Hashes the columns that make rows equal: the features, or the embedding where there is nothing else.
fn hasher(table: &Arc<Table>, roles: &Roles, inquiry: &Inquiry<'_>, out: &mut Examined) -> Option<RowHasher> {
    let able = |&i: &usize| RowHasher::new(table, &[i], 0).is_ok();
    let (mut hashed, others): (Vec<usize>, Vec<usize>) = roles.features.iter().copied().partition(able);
    for &i in &others {
        let name = &table.columns[i].name;
        out.left_out.push(format!(
            "column `{name}` is of a type whose values are not compared; duplicates are those of the other columns"
        ));
    }
    if hashed.is_empty() {
        hashed.extend(roles.embedding.filter(able));
    }
    if roles.pictures {
        out.left_out
            .push("pictures are equal when their bytes are: pictures that look alike were not looked for".to_owned());
    }
    let hasher = (!hashed.is_empty()).then(|| RowHasher::new(table, &hashed, inquiry.seed).ok()).flatten();
    if hasher.is_none() {
        let what = "no column is left that rows could be compared by, besides ids, label and split";
        for check in [DUPLICATES, LEAKAGE] {
            out.unjudged.push((check, SkipCode::Unsupported, what.to_owned()));
        }
    }
    hasher
}

fn class_names(numbers: &BTreeMap<String, u32>) -> Vec<String> {
    let mut named: Vec<(u32, String)> = numbers.iter().map(|(name, &n)| (n, name.clone())).collect();
    named.sort();
    named.into_iter().map(|(_, name)| name).collect()
}

/// Rows of each class, most first; the small ones together.
fn balance(names: &[String], counts: &[u64], inquiry: &Inquiry<'_>) -> Vec<(String, u64)> {
    let mut all: Vec<(&String, u64)> = names.iter().zip(counts.iter().copied()).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let rest: u64 = all.iter().skip(SHOWN_CLASSES).map(|(_, count)| count).sum();
    let shown = all.into_iter().take(SHOWN_CLASSES).map(|(name, count)| {
        // What many rows share is the name of a class; anything else may be a person's.
        let class = count >= SHARED && !Search::may_hold(name.as_bytes());
        (if class { name.clone() } else { inquiry.shown(name) }, count)
    });
    shown.chain((rest > 0).then(|| ("others".to_owned(), rest))).collect()
}

impl Pass<'_> {
    fn batch(&mut self, places: &[u64], stored: &[ArrayRef]) -> Result<(), String> {
        let arrow = |error: arrow::error::ArrowError| error.to_string();
        let column = |i: Option<usize>| i.and_then(|i| stored.get(i));
        let labels = column(self.roles.label).and_then(texts);
        let split_texts = column(self.roles.split).and_then(texts);
        let moments = column(self.roles.time).map(|array| self.clock.read(array));
        let hashes = self.hasher.as_ref().map(|h| h.hashes(stored)).transpose().map_err(arrow)?;
        let ids: Vec<(usize, StringArray)> = self.linked().filter_map(|i| Some((i, texts(stored.get(i)?)?))).collect();
        let sets = self.elements.of(stored, places.len());
        let signatures = self.signer.sign_all(&sets);
        let io = |error: std::io::Error| format!("grouping rows: {error}");
        for (row, &at) in places.iter().enumerate() {
            let (label, name) = self.class(labels.as_ref(), row);
            if let Some(count) = usize::try_from(label).ok().and_then(|class| self.counts.get_mut(class)) {
                *count += 1;
            }
            let split = self.split(split_texts.as_ref(), row, at);
            let hash = hashes.as_ref().and_then(|h| h.get(row)).copied();
            if let Some(key) = hash {
                let tag = u64::from(split) << 32 | u64::from(name);
                self.whole.push(Record { key, place: at, tag }).map_err(io)?;
            }
            if split != NO_SPLIT {
                for (column, values) in &ids {
                    if values.is_valid(row) {
                        let key = hash128(values.value(row).as_bytes(), self.seed ^ *column as u64);
                        let tag = u64::from(split) << 32 | *column as u64;
                        self.entities.push(Record { key, place: at, tag }).map_err(io)?;
                    }
                }
            }
            if let Some(Some(signature)) = signatures.get(row) {
                self.band(signature, at, hash)?;
            }
            if let Some(moment) =
                moments.as_ref().and_then(|m| m.get(row).copied().flatten()).filter(|_| split != NO_SPLIT)
            {
                let range = self.times.entry(split).or_insert((moment, moment));
                *range = (range.0.min(moment), range.1.max(moment));
            }
            if split != NO_SPLIT {
                *self.in_split.entry(split).or_default() += 1;
            }
            self.draw(at, label);
            self.rows += 1;
        }
        Ok(())
    }

    /// Columns that tie rows together across splits.
    fn linked(&self) -> impl Iterator<Item = usize> + use<> {
        let all: BTreeSet<usize> = self.roles.ids.iter().chain(&self.roles.groups).copied().collect();
        all.into_iter()
    }

    /// The number of a row's class, as long as there are few, and a hash of its label, however many there are.
    fn class(&mut self, labels: Option<&StringArray>, row: usize) -> (u32, u32) {
        let Some(label) = labels.filter(|l| l.is_valid(row)).map(|l| l.value(row)).filter(|l| !l.is_empty()) else {
            return (NO_LABEL, NO_LABEL);
        };
        let name = u32::try_from(hash64(label.as_bytes(), self.seed) >> 32).unwrap_or(0).min(NO_LABEL - 1);
        if let Some(&known) = self.numbers.get(label) {
            return (known, name);
        }
        if self.numbers.len() >= MAX_CLASSES {
            self.too_many = true;
            return (NO_LABEL, name);
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(NO_LABEL);
        self.numbers.insert(label.to_owned(), number);
        self.counts.push(0);
        (number, name)
    }

    fn split(&mut self, texts: Option<&StringArray>, row: usize, at: u64) -> u16 {
        let name = match texts {
            Some(texts) if texts.is_valid(row) => texts.value(row),
            Some(_) => return NO_SPLIT,
            None => match self.roles.file_splits.get(place(at).0) {
                Some(Some(name)) => name,
                _ => return NO_SPLIT,
            },
        };
        let found = self.splits.iter().position(|s| s == name).or_else(|| {
            // A column with more splits than that names no splits.
            self.too_many_splits |= self.splits.len() >= MAX_CLASSES;
            (!self.too_many_splits).then(|| {
                self.splits.push(name.to_owned());
                self.splits.len() - 1
            })
        });
        found.and_then(|i| u16::try_from(i).ok()).unwrap_or(NO_SPLIT)
    }

    /// Whether rows of a split that is trained on were there, and rows of another one.
    fn compared(&self, out: &mut Examined) {
        if !self.roles.splits() {
            return;
        }
        let rows = |trained: bool| {
            let of = self.in_split.iter().filter(|(split, _)| {
                self.splits.get(usize::from(**split)).is_some_and(|name| is_train(name) == trained)
            });
            of.map(|(_, rows)| rows).sum::<u64>()
        };
        let (trained, others) = (rows(true), rows(false));
        out.splits = trained > 0 && others > 0;
        let why = if self.too_many_splits {
            Some(format!("the column that names splits has more than {MAX_CLASSES} values"))
        } else if trained == 0 {
            Some("no row is of a split that is trained on (called train, training, tr, fit or learn): splits cannot be compared".to_owned())
        } else if others == 0 && self.roles.split.is_none() {
            Some("there is no row of a split that is not trained on: splits cannot be compared".to_owned())
        } else {
            None
        };
        out.unjudged.extend(why.map(|why| (LEAKAGE, SkipCode::Unsupported, why)));
    }

    fn band(&mut self, signature: &Signature, at: u64, hash: Option<u128>) -> Result<(), String> {
        let tag = hash.map_or(0, |h| h as u64);
        for key in keys(signature) {
            // The high bits choose the part, so all of the key has to be spread.
            let record = Record { key: u128::from(key) << 64, place: at, tag };
            self.bands.push(record).map_err(|error| format!("grouping rows: {error}"))?;
        }
        Ok(())
    }

    /// The rows with the smallest hashes, of all and of each class: a sample that no order of rows and no thread changes.
    fn draw(&mut self, at: u64, label: u32) {
        let ticket = (ticket(at, self.seed), at);
        keep_smallest(&mut self.all, ticket, self.sample);
        if label != NO_LABEL {
            keep_smallest(self.by_class.entry(label).or_default(), ticket, CLASS_ROWS.min(self.sample));
        }
    }
}

/// What draws a row into the sample: the smallest are in it.
pub(super) fn ticket(at: u64, seed: u64) -> u64 {
    hash64(&at.to_le_bytes(), seed)
}

fn keep_smallest(heap: &mut BinaryHeap<(u64, u64)>, ticket: (u64, u64), most: usize) {
    if heap.len() < most {
        heap.push(ticket);
    } else if heap.peek().is_some_and(|largest| ticket < *largest) {
        heap.pop();
        heap.push(ticket);
    }
}

/// What finds the rows of other splits that are older than the youngest row trained on, when there are any.
fn time_leak(
    table: &Table,
    roles: &Roles,
    splits: &[String],
    times: &BTreeMap<u16, (i64, i64)>,
    clock: &Clock,
    inquiry: &Inquiry<'_>,
    out: &mut Examined,
) -> Option<Watch> {
    let column = roles.time?;
    let name = table.columns.get(column).map(|c| c.name.as_str())?;
    if !roles.splits() {
        return None;
    }
    let trained = |split: &u16| splits.get(usize::from(*split)).is_some_and(|name| is_train(name));
    let last = times.iter().filter(|(split, _)| trained(split)).map(|(_, range)| range.1).max();
    let why = if clock.unread > 0 {
        Some(format!(
            "{} values of `{name}` are no time that is read; write them as 2026-01-31T12:00:00Z",
            clock.unread
        ))
    } else if clock.numbers > 0 && clock.written > 0 {
        Some(format!("`{name}` holds numbers and written times, which have no common order"))
    } else if out.splits && last.is_none() {
        Some(format!("no row that is trained on has a time in `{name}`"))
    } else {
        None
    };
    if let Some(why) = why {
        out.unjudged.push((LEAKAGE, SkipCode::Malformed, why));
        return None;
    }
    let last = last?;
    let early = times.iter().any(|(split, (first, _))| !trained(split) && *first < last);
    early.then(|| Watch::Early {
        column,
        name: name.to_owned(),
        last,
        split: roles.split,
        file_splits: roles.file_splits.clone(),
        kept: room(inquiry),
    })
}

/// Whether a column is text by its type.
pub(super) fn is_text(table: &Table, column: usize) -> bool {
    table.columns.get(column).is_some_and(|c| c.scanned == DataType::Utf8)
}

/// Numbers of a text column that holds nothing else.
pub(super) fn numeric_text(array: &ArrayRef) -> Option<Vec<f64>> {
    let values = numbers(array)?;
    let parsed = values.iter().filter(|v| !v.is_nan()).count();
    (parsed > 0 && parsed * 100 >= 99 * (array.len() - array.null_count())).then_some(values)
}
