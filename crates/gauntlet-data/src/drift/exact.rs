//! Comparing values: both tables are read, some columns at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use gauntlet_core::MaskKey;
use gauntlet_drift::clean_sorted;

use super::cells::Nature;
use super::columns::{Body, Cells, Unread, Words, read};
use super::compare::{Common, Outcome, Pair, role};
use super::config::DriftConfig;
use super::numbers::measured;
use super::rows::{Sampled, chosen, kept_rows};
use super::{categories, numbers, rename, segments, shown, text, vectors};
use crate::facts::{ColumnDriftFact, ColumnKind, MetricFact, Role};
use crate::table::Table;

/// Bytes of cells that are in memory at once.
const MEMORY: u64 = 160 << 20;
/// Bytes of a cell, roughly, with what sorting needs.
const CELL: u64 = 16;
/// Bytes of all different words of a text column on one side at most, with their index; and of one of them, roughly.
const WORDS: u64 = 40 << 20;
const WORD: u64 = 100;
/// Categories beyond which a column of mostly different texts is free text.
const FEW_WORDS: usize = 200;
/// Columns that causes are looked for in.
const EXPLAINED: usize = 4;
/// Columns that may part the rows.
const PARTING: usize = 6;
/// Columns of either side that may have been renamed.
const RENAMED: usize = 16;

/// The tables and how many rows they have.
pub(super) struct Sides<'a> {
    pub(super) reference: &'a Arc<Table>,
    pub(super) current: &'a Arc<Table>,
    pub(super) rows: (u64, u64),
}

pub(super) fn compare(
    sides: &Sides<'_>,
    common: &Common,
    config: &DriftConfig,
    key: &MaskKey,
    out: &mut Outcome,
) -> Result<(), Vec<Unread>> {
    let kept = kept_rows(config);
    let rows = (chosen(sides.rows.0, kept, config.sample_first), chosen(sides.rows.1, kept, config.sample_first));
    let by = match &config.segment {
        Some(name) => parting(sides, name, out)?,
        None => None,
    };
    let mut sampled = Sampled::default();
    let mut candidates: Vec<(String, Words, Words)> = Vec::new();
    for pairs in groups(sides, common) {
        let there: Vec<usize> = pairs.iter().map(|pair| pair.reference).collect();
        let here: Vec<usize> = pairs.iter().map(|pair| pair.current).collect();
        let (there, here) = (read(sides.reference, &there)?, read(sides.current, &here)?);
        for (a, b) in there.iter().zip(&here) {
            let Some(fact) = column(a, b, config, key, out) else { continue };
            if fact.role == Role::Feature {
                sampled.keep(a, b, &rows);
            }
            if let (true, Body::Words(a_words), Body::Words(b_words)) = (config.explain, &a.body, &b.body)
                && candidates.len() < PARTING
                && (2..=segments::MAX_SEGMENTS).contains(&a_words.names.len())
            {
                candidates.push((a.name.clone(), a_words.clone(), b_words.clone()));
            }
            if let Some((by_name, by_a, by_b)) = &by
                && a.name != *by_name
            {
                if !matches!(
                    (&a.body, &b.body),
                    (Body::Numbers(_), Body::Numbers(_)) | (Body::Words(_), Body::Words(_))
                ) {
                    out.untold("free text and lists are not compared by segments");
                    out.columns.push(fact);
                    continue;
                }
                let (parts, left) = segments::common(by_a, by_b);
                if left > 0 {
                    let most = segments::MAX_SEGMENTS;
                    out.untold(format!(
                        "{left} values of `{by_name}` were not compared by themselves: at most {most} with {} rows a side are",
                        segments::MIN_ROWS
                    ));
                }
                for (name, there, here) in parts {
                    let (a, b) = (segments::part(a, by_a, there.0), segments::part(b, by_b, here.0));
                    if let Some(mut part) = column(&a, &b, config, key, out) {
                        let called = shown::namer(by_name, by_a.names.len(), key)(name, here.1);
                        part.segment = Some(format!("{by_name}={called}"));
                        part.metrics.retain(|metric| !metric.name.contains('@'));
                        out.columns.push(part);
                    }
                }
            }
            out.columns.push(fact);
        }
    }
    out.comparison.metrics.extend(sampled.metrics(config));
    if config.explain {
        explain(sides, common, &candidates, key, out)?;
    }
    renames(sides, common, out)
}

/// Columns that fit into memory together.
fn groups<'a>(sides: &Sides<'_>, common: &'a Common) -> Vec<&'a [Pair]> {
    let rows = (sides.rows.0 + sides.rows.1).max(1);
    let weight = |pair: &Pair| {
        let column = sides.reference.columns.get(pair.reference);
        let words = column.is_some_and(|column| Nature::of(column.rule_type()) == Nature::Word);
        CELL * rows + if words { (2 * WORDS).min(WORD * rows) } else { 0 }
    };
    let (mut out, mut start, mut sum) = (Vec::new(), 0, 0);
    for (i, pair) in common.pairs.iter().enumerate() {
        let more = weight(pair);
        if i > start && sum + more > MEMORY {
            out.extend(common.pairs.get(start..i));
            (start, sum) = (i, 0);
        }
        sum += more;
    }
    out.extend(common.pairs.get(start..).filter(|rest| !rest.is_empty()));
    out
}

/// Columns of lists, of which a sample of rows is compared however many there are; and the other columns.
pub(super) fn vectors(
    sides: &Sides<'_>,
    common: &Common,
    config: &DriftConfig,
    key: &MaskKey,
    out: &mut Outcome,
) -> Result<(Vec<ColumnDriftFact>, Common), Vec<Unread>> {
    let list = |pair: &Pair| {
        let column = sides.reference.columns.get(pair.reference);
        column.is_some_and(|column| Nature::of(column.rule_type()) == Nature::Vector)
    };
    let mut facts = Vec::new();
    for pair in common.pairs.iter().filter(|pair| list(pair)) {
        let (a, b) = (read(sides.reference, &[pair.reference])?, read(sides.current, &[pair.current])?);
        if let (Some(a), Some(b)) = (a.first(), b.first()) {
            facts.extend(column(a, b, config, key, out));
        }
    }
    let pairs = common.pairs.iter().filter(|pair| !list(pair)).cloned().collect();
    Ok((facts, Common { pairs, ..common.clone() }))
}

/// The column that parts the rows.
fn parting(sides: &Sides<'_>, name: &str, out: &mut Outcome) -> Result<Option<(String, Words, Words)>, Vec<Unread>> {
    let (Some(there), Some(here)) = (sides.reference.column(name), sides.current.column(name)) else {
        out.gap(format!("column `{name}`, which is to part the rows, is not in both tables"));
        return Ok(None);
    };
    let (mut a, mut b) = (read(sides.reference, &[there])?, read(sides.current, &[here])?);
    match (a.pop().map(|c| c.body), b.pop().map(|c| c.body)) {
        (Some(Body::Words(a)), Some(Body::Words(b))) => Ok(Some((name.to_owned(), a, b))),
        (Some(Body::Numbers(a)), Some(Body::Numbers(b))) => {
            let words = |values: &[f64]| {
                let mut words = Words::default();
                values
                    .iter()
                    .for_each(|x| words.add(Some(*x).filter(|x| !x.is_nan()).map(|x| x.to_string()).as_deref()));
                words
            };
            Ok(Some((name.to_owned(), words(&a), words(&b))))
        }
        _ => {
            out.gap(format!("column `{name}` has too many values to part the rows"));
            Ok(None)
        }
    }
}

/// One column of both sides.
fn column(a: &Cells, b: &Cells, config: &DriftConfig, key: &MaskKey, out: &mut Outcome) -> Option<ColumnDriftFact> {
    let mut metrics = nulls(a, b);
    let mut fact = ColumnDriftFact {
        column: a.name.clone(),
        segment: None,
        kind: ColumnKind::Number,
        role: role(&a.name, config),
        values: (a.rows - a.nulls - a.nans, b.rows - b.nulls - b.nans),
        rows: (a.rows, b.rows),
        metrics: Vec::new(),
        bins: Vec::new(),
        new_rows: 0,
        new_values: Vec::new(),
    };
    match (&a.body, &b.body) {
        (Body::Numbers(x), Body::Numbers(y)) => {
            let (x, y) = (clean_sorted(x.clone()), clean_sorted(y.clone()));
            if fact.role == Role::Feature && config.is_identifier(&a.name, &a.family, || all_distinct(&x)) {
                fact.role = Role::Identifier;
            }
            let (more, bins) = numbers::compare(&x, &y, (a.nulls, b.nulls));
            metrics.extend(more);
            fact.bins = bins;
        }
        (Body::Words(x), Body::Words(y)) if !free_text(x) => {
            fact.kind = ColumnKind::Category;
            let (x, y) = (x.counted(), y.counted());
            let name = shown::namer(&a.name, x.len().max(y.len()), key);
            let found = categories::compare(&x, &y, (0, 0), (a.nulls, b.nulls), &name);
            metrics.extend(found.metrics);
            (fact.bins, fact.new_rows, fact.new_values) = (found.bins, found.new_rows, found.new_values);
        }
        (Body::Words(_) | Body::Text(_), Body::Words(_) | Body::Text(_)) => {
            fact.kind = ColumnKind::Text;
            let texts = |body: &Body| match body {
                Body::Words(words) => words.texts(),
                Body::Text(texts) => texts.clone(),
                _ => text::Texts::default(),
            };
            let found = text::compare(&texts(&a.body), &texts(&b.body));
            metrics.extend(found.metrics.iter().map(|(name, value)| measured(*name, *value)));
            fact.new_rows = found.new_words.iter().map(|(_, n)| n).sum();
            // A word of free text that few texts hold may be somebody's name.
            let name = shown::namer(&a.name, 0, key);
            fact.new_values = found.new_words.iter().map(|(word, n)| name(word, n / 5)).collect();
        }
        (Body::Vectors(x), Body::Vectors(y)) => {
            fact.kind = ColumnKind::Vector;
            fact.values = (x.used, y.used);
            match vectors::compare(x, y) {
                Ok(found) => metrics.extend(found.into_iter().map(|(name, value)| measured(name, value))),
                Err(what) => out.gap(format!("column `{}`: {what}", a.name)),
            }
            if y.unusable > 0 {
                metrics.push(measured("unusable_rows", y.unusable as f64));
            }
        }
        _ => {
            out.gap(format!("column `{}` ({}) is not compared", a.name, b.family));
            return None;
        }
    }
    fact.metrics = metrics;
    Some(fact)
}

fn all_distinct(sorted: &[f64]) -> bool {
    sorted.windows(2).all(|pair| pair.first() != pair.last())
}

fn free_text(words: &Words) -> bool {
    let rows: u64 = words.counts.iter().sum();
    words.names.len() > FEW_WORDS && words.names.len() as u64 * 3 > rows
}

/// Shares of nulls and NaN on both sides.
fn nulls(a: &Cells, b: &Cells) -> Vec<MetricFact> {
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let mut out =
        vec![measured("null_share_reference", share(a.nulls, a.rows)), measured("null_share", share(b.nulls, b.rows))];
    if a.nans + b.nans > 0 {
        out.push(measured("nan_share_reference", share(a.nans, a.rows)));
        out.push(measured("nan_share", share(b.nans, b.rows)));
    }
    out
}

/// For the columns that drifted most: which rows it comes from.
fn explain(
    sides: &Sides<'_>,
    common: &Common,
    candidates: &[(String, Words, Words)],
    key: &MaskKey,
    out: &mut Outcome,
) -> Result<(), Vec<Unread>> {
    let mut order: Vec<(f64, &str)> = out
        .columns
        .iter()
        .filter(|fact| fact.segment.is_none() && fact.role != Role::Identifier)
        .map(|fact| (fact.number("tv").unwrap_or(0.0), fact.column.as_str()))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let wanted: Vec<String> = order.into_iter().take(EXPLAINED).map(|(_, name)| name.to_owned()).collect();
    for name in wanted {
        let Some(pair) = common.pairs.iter().find(|pair| pair.name == name) else { continue };
        let (a, b) = (read(sides.reference, &[pair.reference])?, read(sides.current, &[pair.current])?);
        let (Some(a), Some(b)) = (a.first(), b.first()) else { continue };
        for (by, there, here) in candidates.iter().filter(|(by, ..)| *by != name) {
            out.shares.extend(segments::shares((a, b), (by, there, here), key));
        }
    }
    Ok(())
}

/// Pairs of a missing and an extra column that look alike.
fn renames(sides: &Sides<'_>, common: &Common, out: &mut Outcome) -> Result<(), Vec<Unread>> {
    if common.missing.is_empty() || common.extra.is_empty() {
        return Ok(());
    }
    let take = |all: &[usize]| all.iter().copied().take(RENAMED).collect::<Vec<_>>();
    let there = read(sides.reference, &take(&common.missing))?;
    let here = read(sides.current, &take(&common.extra))?;
    let mut taken: BTreeMap<&str, ()> = BTreeMap::new();
    for a in &there {
        let found = here.iter().filter(|b| !taken.contains_key(b.name.as_str()));
        let best = found.filter_map(|b| rename::alike(a, b).map(|js| (js, b))).min_by(|x, y| x.0.total_cmp(&y.0));
        if let Some((js, b)) = best {
            taken.insert(&b.name, ());
            out.comparison.renamed.push((a.name.clone(), b.name.clone(), js));
        }
    }
    Ok(())
}

/// A column of numbers that were computed from what rows hold.
pub(super) fn computed(
    name: &str,
    values: (Vec<f64>, Vec<f64>),
    config: &DriftConfig,
    key: &MaskKey,
    out: &mut Outcome,
) {
    let (a, b) = (Cells::computed(name, values.0), Cells::computed(name, values.1));
    if let Some(fact) = column(&a, &b, config, key, out) {
        out.columns.push(fact);
    }
}
