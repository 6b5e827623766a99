//! The sampled cells as numbers that models can look at.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use gauntlet_poisoning::{Matrix, Scale, ecod, hash64, isolation_forest, mahalanobis, principal, tail};

use super::cells::{numbers, texts};
use super::config::Roles;
use super::first::numeric_text;
use super::pairs::item;
use super::sample::Sample;
use super::suspects::Suspects;
use super::watch::Watch;
use super::{Examined, Inquiry, OutlierMap, room};
use crate::table::Table;

/// Values of a category that get a column of their own.
const CATEGORIES: usize = 30;
/// Different values from which a text is no category.
const MAX_CATEGORIES: usize = 64;
/// Mean words from which it is free text.
const WORDS: f64 = 2.5;
/// Columns that the words of one text share.
const BUCKETS: usize = 128;
/// Weight of one word, so that a text of many words does not outweigh everything else.
const WORD: f32 = 2.0;
/// Different numbers from which a numeric column's values are no items of a trigger search.
const MAX_NUMBERS: usize = 2_000;
/// Rows of each sort on the map of outliers.
const DOTS: usize = 400;
/// Rows and columns that joint outliers need.
const JOINT_ROWS: usize = 200;
const JOINT_COLUMNS: usize = 3;

/// What a column is to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Category,
    Text,
    /// Nothing: an id, a nested value.
    Other,
}

/// Columns of the sample for models.
#[derive(Debug)]
pub(super) struct Features {
    pub(super) kinds: BTreeMap<usize, Kind>,
    /// Values of the numeric columns.
    pub(super) numbers: BTreeMap<usize, Vec<f64>>,
    /// Scaled, for neighbours: numbers and categories, or embeddings.
    pub(super) near: Matrix,
    /// For the learner: the same and the words of texts.
    pub(super) wide: Matrix,
    /// Columns of `wide` for each column of the table.
    blocks: BTreeMap<usize, (usize, usize)>,
    /// Unscaled embeddings or pixels.
    pub(super) raw: Option<Matrix>,
}

/// Takes the row, the hash and the value of an item.
pub(super) type Look<'a> = dyn FnMut(usize, u64, &dyn Fn() -> String) + 'a;

impl Features {
    pub(super) fn of(roles: &Roles, sample: &Sample, inquiry: &Inquiry<'_>) -> Result<Self, String> {
        let failed = |error: gauntlet_poisoning::Error| error.to_string();
        let rows = sample.rows();
        let (mut kinds, mut values) = (BTreeMap::new(), BTreeMap::new());
        let tied = |i: &usize| roles.groups.contains(i) || roles.time == Some(*i);
        for &column in roles.features.iter().filter(|i| !tied(i)) {
            let Some(array) = sample.columns.get(column) else { continue };
            let named = roles.text.contains(&column);
            let (kind, parsed) = kind(array, named);
            kinds.insert(column, kind);
            values.extend(parsed.map(|parsed| (column, parsed)));
        }
        let mut parts: Vec<(usize, Matrix)> = Vec::new();
        let mut raw = None;
        if let Some(embedding) = &sample.embedding {
            raw = Some(embedding.clone());
        } else if let Some(width) = inquiry.config.image_width {
            if width == 0 || values.is_empty() || values.len() % width != 0 {
                return Err(format!("{} numeric columns are no image {width} pixels wide", values.len()));
            }
            raw = Some(matrix(values.values(), rows).map_err(failed)?);
        } else {
            for (&column, parsed) in &values {
                let one = matrix(std::iter::once(parsed), rows).map_err(failed)?;
                parts.push((column, one.scaled(Scale::Columns)));
            }
            for (&column, _) in kinds.iter().filter(|(_, kind)| **kind == Kind::Category) {
                parts.extend(sample.columns.get(column).and_then(categories).map(|m| (column, m)));
            }
        }
        let near = match &raw {
            Some(raw) => raw.scaled(Scale::Common),
            None => joined(parts.iter().map(|(_, m)| m), rows).map_err(failed)?,
        };
        let mut blocks = BTreeMap::new();
        let mut start = 0;
        for (column, part) in &parts {
            blocks.insert(*column, (start, part.columns()));
            start += part.columns();
        }
        let mut wide_parts = vec![near.clone()];
        if sample.embedding.is_none() {
            start = near.columns();
            for (&column, _) in kinds.iter().filter(|(_, kind)| **kind == Kind::Text) {
                let Some(words) = sample.columns.get(column).and_then(words) else { continue };
                blocks.insert(column, (start, BUCKETS));
                start += BUCKETS;
                wide_parts.push(words);
            }
        }
        let wide = joined(wide_parts.iter(), rows).map_err(failed)?;
        let near = if near.columns() == 0 { wide.clone() } else { near };
        Ok(Self { kinds, numbers: values, near, wide, blocks, raw })
    }

    /// Columns of `wide` that an item of a column touches: the buckets of its words, or all of the column.
    pub(super) fn touched(&self, column: usize, value: &str) -> Vec<usize> {
        let Some(&(start, width)) = self.blocks.get(&column) else { return Vec::new() };
        if self.kinds.get(&column) == Some(&Kind::Text) {
            value.split_whitespace().map(|word| start + bucket(word)).collect()
        } else {
            (start..start + width).collect()
        }
    }

    /// Calls `look` with each item of each row of a column: row, hash, and the value that it stands for.
    pub(super) fn items(kind: Kind, column: usize, array: &ArrayRef, look: &mut Look<'_>) {
        match kind {
            Kind::Other => {}
            Kind::Number => {
                for (row, value) in numbers(array).unwrap_or_default().into_iter().enumerate() {
                    if value.is_finite() {
                        look(row, item(column, &(value + 0.0).to_bits().to_le_bytes()), &|| value.to_string());
                    }
                }
            }
            Kind::Category => {
                let Some(texts) = texts(array) else { return };
                for (row, value) in texts.iter().enumerate() {
                    if let Some(value) = value {
                        look(row, item(column, value.as_bytes()), &|| value.to_owned());
                    }
                }
            }
            Kind::Text => {
                let Some(texts) = texts(array) else { return };
                for (row, value) in texts.iter().enumerate() {
                    let lower = value.unwrap_or_default().to_lowercase();
                    let words: Vec<&str> = lower.split_whitespace().collect();
                    for word in &words {
                        look(row, item(column, word.as_bytes()), &|| (*word).to_owned());
                    }
                    for pair in words.windows(2) {
                        let both = pair.join(" ");
                        look(row, item(column, both.as_bytes()), &|| both.clone());
                    }
                }
            }
        }
    }

    /// Whether the values of a column may be items of a trigger.
    pub(super) fn itemised(&self, column: usize) -> bool {
        match self.kinds.get(&column) {
            Some(Kind::Category | Kind::Text) => true,
            Some(Kind::Number) => self.numbers.get(&column).is_some_and(|values| {
                let mut bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
                bits.sort_unstable();
                bits.dedup();
                bits.len() <= MAX_NUMBERS && bits.len() * 4 <= values.len()
            }),
            _ => false,
        }
    }

    /// Where the outliers of each numeric column begin, and rows that are far out in several at once.
    pub(super) fn outliers(
        &self,
        table: &Table,
        places: &[u64],
        inquiry: &Inquiry<'_>,
        out: &mut Examined,
        watched: &mut Vec<Watch>,
    ) {
        if self.raw.is_some() {
            out.left_out.push(
                "columns of pixels and embeddings have no outliers of their own: outliers were not looked for"
                    .to_owned(),
            );
            return;
        }
        let mut alone = vec![false; self.near.rows()];
        for (&column, values) in &self.numbers {
            let found = tail(values);
            if found.low.is_some() || found.high.is_some() {
                alone.iter_mut().zip(values).for_each(|(alone, v)| *alone |= found.holds(*v));
                watched.push(Watch::tail(table, column, found, room(inquiry)));
            }
        }
        if self.numbers.len() < JOINT_COLUMNS || self.near.rows() < JOINT_ROWS {
            out.left_out.push(format!("fewer than {JOINT_ROWS} rows or {JOINT_COLUMNS} numeric columns: rows far out in several columns were not looked for"));
            return;
        }
        let Ok(matrix) = matrix(self.numbers.values(), self.near.rows()) else { return };
        let scaled = matrix.scaled(Scale::Columns);
        let mut voices = vec![("isolation forest", isolation_forest(&scaled, inquiry.seed)), ("ECOD", ecod(&scaled))];
        match mahalanobis(&scaled) {
            Ok(distances) => voices.push(("robust distance", distances.into_iter().map(f64::sqrt).collect())),
            Err(error) => out.left_out.push(format!("robust Mahalanobis distances: {error}")),
        }
        let limits: Vec<_> = voices.iter().map(|(_, scores)| tail(scores).high).collect();
        let (mut kept, mut joint) = (room(inquiry), vec![false; scaled.rows()]);
        for row in 0..scaled.rows() {
            let over: Vec<&str> = voices
                .iter()
                .zip(&limits)
                .filter(|((_, scores), limit)| limit.is_some_and(|limit| scores[row] >= limit))
                .map(|((name, _), _)| *name)
                .collect();
            if over.len() >= 2 && !alone[row] {
                joint[row] = true;
                let score = voices.first().map_or(0.0, |(_, scores)| scores[row]);
                kept.add(places.get(row).copied().unwrap_or_default(), score, || {
                    format!("far out by {}", over.join(" and "))
                });
            }
        }
        out.map = Some(map(&scaled, &alone, &joint, inquiry.seed));
        if kept.count > 0 {
            let what = "rows are far out in several columns at once";
            out.suspects.push(Suspects::new("poisoning/joint-outlier", what, kept, scaled.rows() as u64));
        }
    }
}

/// The sample from its two main directions: outliers first, and as many other rows as a picture shows.
fn map(scaled: &Matrix, alone: &[bool], joint: &[bool], seed: u64) -> OutlierMap {
    let directions = principal(scaled, 2, seed);
    let mut out = OutlierMap::default();
    for ((row, &alone), &joint) in scaled.iter().zip(alone).zip(joint) {
        let dots = match (alone, joint) {
            (true, _) => &mut out.single,
            (false, true) => &mut out.joint,
            (false, false) => &mut out.ordinary,
        };
        if let ([x, y, ..], true) = (directions.coordinates(row).as_slice(), dots.len() < DOTS) {
            dots.push((*x, *y));
        }
    }
    out
}

fn kind(array: &ArrayRef, named: bool) -> (Kind, Option<Vec<f64>>) {
    if array.data_type().is_nested() {
        return (Kind::Other, None);
    }
    let Some(values) = array.as_string_opt::<i32>() else {
        return numbers(array).map_or((Kind::Other, None), |v| (Kind::Number, Some(v)));
    };
    if named {
        return (Kind::Text, None);
    }
    if let Some(parsed) = numeric_text(array) {
        return (Kind::Number, Some(parsed));
    }
    let mut seen = std::collections::BTreeSet::new();
    let (mut words, mut filled) = (0usize, 0usize);
    for value in values.iter().flatten() {
        if seen.len() <= MAX_CATEGORIES {
            seen.insert(value);
        }
        words += value.split_whitespace().count();
        filled += 1;
    }
    let mean = gauntlet_poisoning::stats::as_f64(words) / gauntlet_poisoning::stats::as_f64(filled.max(1));
    if seen.len() <= MAX_CATEGORIES && seen.len() * 5 <= filled.max(5) {
        (Kind::Category, None)
    } else if mean >= WORDS {
        (Kind::Text, None)
    } else {
        (Kind::Other, None)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
fn matrix<'a>(columns: impl Iterator<Item = &'a Vec<f64>>, rows: usize) -> Result<Matrix, gauntlet_poisoning::Error> {
    let columns: Vec<&Vec<f64>> = columns.collect();
    let cells = (0..rows).flat_map(|row| columns.iter().map(move |c| c.get(row).map_or(f32::NAN, |v| *v as f32)));
    Matrix::new(columns.len(), cells.collect())
}

fn joined<'a>(parts: impl Iterator<Item = &'a Matrix>, rows: usize) -> Result<Matrix, gauntlet_poisoning::Error> {
    let parts: Vec<&Matrix> = parts.collect();
    let data = (0..rows).flat_map(|row| parts.iter().flat_map(move |part| part.row(row))).copied().collect();
    Matrix::new(parts.iter().map(|p| p.columns()).sum(), data)
}

/// One column for each of the most frequent values, centred.
#[expect(clippy::cast_precision_loss, reason = "shares of rows")]
fn categories(array: &ArrayRef) -> Option<Matrix> {
    let values = texts(array)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    values.iter().flatten().for_each(|v| *counts.entry(v).or_default() += 1);
    let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    order.truncate(CATEGORIES);
    let rows = values.len().max(1) as f32;
    let cell =
        |value: Option<&str>, (name, count): &(&str, usize)| f32::from(value == Some(*name)) - *count as f32 / rows;
    let data = values.iter().flat_map(|value| order.iter().map(move |o| cell(value, o))).collect();
    Matrix::new(order.len(), data).ok()
}

fn bucket(word: &str) -> usize {
    usize::try_from(hash64(word.as_bytes(), 0x776f_7264) % BUCKETS as u64).unwrap_or(0)
}

/// Hashed words, centred.
#[expect(clippy::cast_precision_loss, reason = "numbers of words")]
fn words(array: &ArrayRef) -> Option<Matrix> {
    let values = texts(array)?;
    let mut data = vec![0f32; values.len() * BUCKETS];
    for (cells, value) in data.chunks_exact_mut(BUCKETS).zip(&values) {
        let lower = value.unwrap_or_default().to_lowercase();
        let all: std::collections::BTreeSet<&str> = lower.split_whitespace().collect();
        let weight = WORD / (all.len().max(1) as f32).sqrt();
        all.into_iter().for_each(|word| cells[bucket(word)] += weight);
    }
    let rows = values.len().max(1) as f32;
    let mut means = vec![0f32; BUCKETS];
    data.chunks_exact(BUCKETS).for_each(|cells| means.iter_mut().zip(cells).for_each(|(m, c)| *m += c / rows));
    data.chunks_exact_mut(BUCKETS).for_each(|cells| cells.iter_mut().zip(&means).for_each(|(c, m)| *c -= m));
    Matrix::new(BUCKETS, data).ok()
}
