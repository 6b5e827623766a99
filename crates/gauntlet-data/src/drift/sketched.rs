//! Comparing sketches: a stored profile with a batch, or two tables too large to hold. Bins are cut where the reference's
//! sketch knows exact counts, so histograms are exact; distances of distribution functions come with bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use gauntlet_core::{MaskKey, SkipCode};
use gauntlet_drift::{Bins, psi_limit};
use gauntlet_sketch::{Column, ColumnSketch, Kind, Profile, SketchOptions, Step, Watch, Watches, quantile_of};

use super::categories;
use super::columns::Unread;
use super::compare::{Common, Outcome, role};
use super::config::DriftConfig;
use super::interval::{self, Interval, Steps};
use super::numbers::{ALPHA, binned, measured, shown_bins};
use crate::facts::{ColumnDriftFact, ColumnKind, MetricFact, Role};
use crate::profiling::{ProfileError, ReadOptions, profile_of};
use crate::table::Table;

/// Distinct values up to which each has a bin.
const FEW_VALUES: usize = 20;
/// Categories that have a bin.
const MAX_CATEGORIES: usize = 200;

/// Summarises a table in one parallel pass.
pub(super) fn profile(table: &Arc<Table>, watches: Watches) -> Result<Profile, Vec<Unread>> {
    let options = SketchOptions { watches, ..SketchOptions::default() };
    profile_of(table, &ReadOptions::default(), &options).map_err(|error| {
        vec![match error {
            ProfileError::Unreadable { path, what } => Unread { path, code: SkipCode::Malformed, what },
            error => Unread { path: String::new(), code: SkipCode::Malformed, what: error.to_string() },
        }]
    })
}

/// What to count in a batch that is to be compared with this reference.
pub(super) fn watches(reference: &Profile) -> Watches {
    reference.columns.iter().filter_map(|column| Some((column.name.clone(), watch(&column.sketch)?))).collect()
}

fn watch(sketch: &ColumnSketch) -> Option<Watch> {
    if let Some(hashes) = categories_of(sketch) {
        return Some(Watch::values(hashes));
    }
    let (low, edges, high) = guarded(sketch)?;
    Some(Watch::edges(edges.into_iter().chain([low, high.next_up()]).collect()))
}

/// Hashes of the values that have a bin each, when the column is compared by value.
fn categories_of(sketch: &ColumnSketch) -> Option<Vec<u64>> {
    let mut counts = sketch.counts()?;
    if sketch.kind().is_numeric() {
        return (counts.len() <= FEW_VALUES).then(|| counts.iter().map(|c| c.hash).collect());
    }
    if !matches!(sketch.kind(), Kind::Boolean | Kind::Text) || is_text(sketch) {
        return None;
    }
    counts.sort_by(|a, b| b.low.cmp(&a.low).then_with(|| a.value.label().cmp(&b.value.label())));
    if counts.len() > MAX_CATEGORIES {
        counts.truncate(MAX_CATEGORIES - 1);
    }
    Some(counts.iter().map(|c| c.hash).collect())
}

/// Whether texts are too many, or too different, to be categories.
fn is_text(sketch: &ColumnSketch) -> bool {
    sketch.kind() == Kind::Text
        && sketch.counts().is_none_or(|all| all.len() > MAX_CATEGORIES && all.len() as u64 * 3 > sketch.values())
}

/// Range and inner edges of the guarded bins, each edge where the sketch knows exactly how many values lie below.
fn guarded(sketch: &ColumnSketch) -> Option<(f64, Vec<f64>, f64)> {
    let steps: Vec<Step> = sketch.steps().into_iter().filter(|s| s.low.is_finite() && s.high.is_finite()).collect();
    let (low, high) = (steps.first()?.low, steps.last()?.high);
    let exact = steps.iter().all(|step| step.low == step.high);
    let mut edges: Vec<f64> = (1..10)
        .filter_map(|i| {
            let edge = quantile_of(&steps, f64::from(i) / 10.0)?;
            if exact {
                return Some(edge);
            }
            steps.iter().find(|step| edge <= step.high).map(|step| step.low)
        })
        .collect();
    edges.dedup();
    Some((low, edges, high))
}

/// Compares the common columns of two profiles. The batch's was made with [`watches`] of the reference.
pub(super) fn compare(
    reference: &Profile,
    current: &Profile,
    common: &Common,
    config: &DriftConfig,
    key: &MaskKey,
    out: &mut Outcome,
) {
    for pair in &common.pairs {
        let (Some(a), Some(b)) = (reference.column(&pair.name), current.column(&pair.name)) else { continue };
        match column(a, b, config, key) {
            Ok(fact) => out.columns.push(fact),
            Err(what) => out.gap(format!("column `{}`: {what}", pair.name)),
        }
    }
    const VALUES: &str = "need the values of both sides; here sketches were compared";
    if config.segment.is_some() {
        out.gap(format!("segments {VALUES}"));
    }
    out.untold(format!("tests of whole rows (mmd, classifier) {VALUES}"));
    if out.columns.iter().any(|column| column.kind == ColumnKind::Text) {
        out.untold(format!("the words of free text {VALUES}"));
    }
}

fn column(a: &Column, b: &Column, config: &DriftConfig, key: &MaskKey) -> Result<ColumnDriftFact, String> {
    let (x, y) = (&a.sketch, &b.sketch);
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let mut fact = ColumnDriftFact {
        column: a.name.clone(),
        segment: None,
        kind: ColumnKind::Number,
        role: role(&a.name, config),
        values: (x.values() - x.nans().min(x.values()), y.values() - y.nans().min(y.values())),
        rows: (x.rows(), y.rows()),
        metrics: vec![
            measured("null_share_reference", share(x.nulls() + x.invalid(), x.rows())),
            measured("null_share", share(y.nulls() + y.invalid(), y.rows())),
        ],
        bins: Vec::new(),
        new_rows: 0,
        new_values: Vec::new(),
    };
    if x.nans() + y.nans() > 0 {
        fact.metrics.push(measured("nan_share_reference", share(x.nans(), x.rows())));
        fact.metrics.push(measured("nan_share", share(y.nans(), y.rows())));
    }
    if x.kind().is_numeric() && y.kind().is_numeric() {
        numbers(x, y, &mut fact);
        let distinct = || x.distinct().number() as f64 >= x.rows() as f64 * 0.95;
        let family = if x.kind() == Kind::Integer { "integer" } else { "other" };
        if fact.role == Role::Feature && config.is_identifier(&a.name, family, distinct) {
            fact.role = Role::Identifier;
        }
    } else if matches!(x.kind(), Kind::Text) && is_text(x) {
        fact.kind = ColumnKind::Text;
        texts(x, y, &mut fact);
    } else if matches!(x.kind(), Kind::Boolean | Kind::Text) && x.kind() == y.kind() {
        fact.kind = ColumnKind::Category;
        words(x, y, key, &mut fact);
    } else {
        return Err(format!("columns of the kind {} are not compared by sketches", x.kind().as_str()));
    }
    Ok(fact)
}

fn steps(sketch: &ColumnSketch) -> Vec<Steps> {
    sketch.steps().into_iter().map(|s| Steps { low: s.low, high: s.high, count: s.count }).collect()
}

fn bounded(name: &str, interval: Interval) -> MetricFact {
    let known = interval.low == interval.high;
    MetricFact {
        name: name.to_owned(),
        value: Some(interval.value).filter(|x| x.is_finite()),
        interval: (!known && interval.low.is_finite() && interval.high.is_finite())
            .then_some((interval.low, interval.high)),
    }
}

fn numbers(x: &ColumnSketch, y: &ColumnSketch, fact: &mut ColumnDriftFact) {
    let (a, b) = (steps(x), steps(y));
    if let Some((bins, p, q)) = histograms(x, y) {
        binned(&p, &q, "", &mut fact.metrics);
        binned(&p, &q, "@guarded_bins", &mut fact.metrics);
        let used = p.iter().zip(&q).filter(|(p, q)| **p + **q > 0).count();
        fact.metrics.push(measured("psi_limit", psi_limit(used, p.iter().sum(), q.iter().sum(), ALPHA)));
        fact.bins = shown_bins(&bins, &p, &q);
        if let Bins::Guarded { .. } = bins {
            let (p, q) = (inner(&p), inner(&q));
            binned(&p, &q, "@quantile_bins", &mut fact.metrics);
            let outside = q_outside(&fact.bins);
            let n: u64 = q.iter().sum();
            fact.metrics.push(measured("outside_share", outside as f64 / n.max(1) as f64));
        }
    }
    fact.metrics.extend(interval::ks(&a, &b).map(|d| bounded("ks", d)));
    let std = x.moments().map_or(0.0, |m| m.deviation()).max(1e-3);
    let scaled = |d: Interval, std: f64| Interval { low: d.low / std, value: d.value / std, high: d.high / std };
    if let Some(d) = interval::wasserstein(&a, &b) {
        fact.metrics.push(bounded("wasserstein", d));
        fact.metrics.push(bounded("wasserstein_normed", scaled(d, std)));
    }
    if let (Some(low), Some(high)) = (x.quantile(0.001), x.quantile(0.999))
        && let (a, b) = (interval::clipped(&a, low, high), interval::clipped(&b, low, high))
        && let Some(d) = interval::wasserstein(&a, &b)
    {
        let n: f64 = a.iter().map(|s| s.count as f64).sum();
        let mean = a.iter().map(|s| interval::middle(s) * s.count as f64 / n).sum::<f64>();
        let variance = a.iter().map(|s| (interval::middle(s) - mean).powi(2) * s.count as f64 / n).sum::<f64>();
        fact.metrics.push(bounded("wasserstein_clipped", scaled(d, variance.sqrt().max(1e-3))));
    }
}

/// The guarded bins without those outside of the range: what lies there belongs to the outer quantile bins.
fn inner(counts: &[u64]) -> Vec<u64> {
    let mut out = counts.to_vec();
    if out.len() >= 3 {
        let first = out.remove(0);
        let last = out.pop().unwrap_or(0);
        if let Some(slot) = out.first_mut() {
            *slot += first;
        }
        if let Some(slot) = out.last_mut() {
            *slot += last;
        }
    }
    out
}

fn q_outside(bins: &[crate::facts::BinFact]) -> u64 {
    bins.first().map_or(0, |b| b.current) + bins.last().map_or(0, |b| b.current)
}

/// The default bins and the rows of both sides in them.
fn histograms(x: &ColumnSketch, y: &ColumnSketch) -> Option<(Bins, Vec<u64>, Vec<u64>)> {
    if let Some(values) = x.counts().filter(|counts| counts.len() <= FEW_VALUES) {
        let number = |c: &gauntlet_sketch::Counted| c.value.number().filter(|v| !v.is_nan());
        let mut map: BTreeMap<u64, (f64, u64, u64)> = BTreeMap::new();
        for counted in &values {
            if let Some(v) = number(counted) {
                map.insert(order(v), (v, counted.low, 0));
            }
        }
        let mut others = 0;
        match (y.counts(), y.watched()) {
            (Some(theirs), _) => {
                for counted in &theirs {
                    if let Some(v) = number(counted) {
                        map.entry(order(v)).or_insert((v, 0, 0)).2 += counted.low;
                    }
                }
            }
            (None, Some((Watch::Values(hashes), counts))) => {
                for counted in &values {
                    let at = hashes.binary_search(&counted.hash).ok().and_then(|i| counts.get(i)).copied();
                    if let Some(v) = number(counted) {
                        map.entry(order(v)).or_insert((v, 0, 0)).2 += at.unwrap_or(0);
                    }
                }
                others = counts.last().copied().unwrap_or(0).saturating_sub(y.nans());
            }
            _ => return None,
        }
        let bins = Bins::Values(map.values().map(|(v, ..)| *v).collect());
        let (mut p, mut q): (Vec<u64>, Vec<u64>) = map.values().map(|(_, p, q)| (*p, *q)).unzip();
        if others > 0 {
            p.push(0);
            q.push(others);
        }
        return Some((bins, p, q));
    }
    let (low, edges, high) = guarded(x)?;
    let bins = Bins::Guarded { low, high, edges: edges.clone() };
    let mut p = vec![0; bins.len()];
    for step in x.steps() {
        // Edges are at bounds of steps: all of a step falls into the bin of its low end.
        if let Some(slot) = bins.index(step.low).and_then(|i| p.get_mut(i)) {
            *slot += step.count;
        }
    }
    let Watch::Edges(sorted) = Watch::edges(edges.into_iter().chain([low, high.next_up()]).collect()) else {
        return None;
    };
    let counts = y.count_bins(&Watch::Edges(sorted.clone()))?;
    let mut q = vec![0; bins.len()];
    for (i, count) in counts.iter().enumerate() {
        // A value of this bin: its low edge, or anything below the first.
        let at = i.checked_sub(1).and_then(|i| sorted.get(i)).copied().unwrap_or(f64::NEG_INFINITY);
        if let Some(slot) = bins.index(at).and_then(|i| q.get_mut(i)) {
            *slot += count;
        }
    }
    Some((bins, p, q))
}

/// Numbers in order as unsigned integers in order.
fn order(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn words(x: &ColumnSketch, y: &ColumnSketch, key: &MaskKey, fact: &mut ColumnDriftFact) {
    let Some(theirs) = x.counts() else { return };
    let reference: BTreeMap<String, u64> = theirs.iter().map(|c| (name_of(c), c.low)).collect();
    let mut others = (0, 0);
    let current: BTreeMap<String, u64> = match (y.counts(), y.watched()) {
        (Some(ours), _) => ours.iter().map(|c| (name_of(c), c.low)).collect(),
        (None, Some((Watch::Values(hashes), counts))) => {
            others.1 = counts.last().copied().unwrap_or(0);
            let at = |hash: u64| hashes.binary_search(&hash).ok().and_then(|i| counts.get(i)).copied();
            theirs.iter().filter_map(|c| Some((name_of(c), at(c.hash)?))).filter(|(_, n)| *n > 0).collect()
        }
        _ => return,
    };
    let name = super::shown::namer(&fact.column, reference.len().max(current.len()), key);
    let found = categories::compare(&reference, &current, others, (x.nulls(), y.nulls()), &name);
    fact.metrics.extend(found.metrics);
    // Where each of the reference's values was watched, all others are new.
    let unknown = if theirs.len() <= MAX_CATEGORIES { others.1 } else { 0 };
    (fact.bins, fact.new_rows, fact.new_values) = (found.bins, found.new_rows + unknown, found.new_values);
}

/// A word that was cut is told from others with the same start by its hash.
fn name_of(counted: &gauntlet_sketch::Counted) -> String {
    let label = counted.value.label();
    if label.ends_with('…') { format!("{label}{:016x}", counted.hash) } else { label }
}

fn texts(x: &ColumnSketch, y: &ColumnSketch, fact: &mut ColumnDriftFact) {
    let (Some(a), Some(b)) = (x.text(), y.text()) else { return };
    if let (Some(a), Some(b)) = (a.mean_length(), b.mean_length()) {
        fact.metrics.push(measured("length_shift", (b - a).abs() / a.max(1.0)));
    }
    if let (Some(p), Some(q)) = (a.digit_share(), b.digit_share()) {
        fact.metrics.push(measured("digit_share_shift", (p - q).abs()));
    }
    if let (Some(p), Some(q)) = (a.ascii_share(), b.ascii_share()) {
        fact.metrics.push(measured("ascii_share_shift", (p - q).abs()));
    }
    let patterns = |sketch: &ColumnSketch| -> BTreeMap<u64, u64> {
        sketch.patterns().into_iter().map(|counted| (counted.hash, counted.low)).collect()
    };
    let (p, q) = (patterns(x), patterns(y));
    let keys: std::collections::BTreeSet<u64> = p.keys().chain(q.keys()).copied().collect();
    let rows = |map: &BTreeMap<u64, u64>| keys.iter().map(|k| map.get(k).copied().unwrap_or(0)).collect::<Vec<_>>();
    let (mut p, mut q) = (rows(&p), rows(&q));
    p.push(x.values().saturating_sub(p.iter().sum()));
    q.push(y.values().saturating_sub(q.iter().sum()));
    if let Some(d) = gauntlet_drift::distances(&p, &q) {
        fact.metrics.push(measured("pattern_js", d.js));
    }
}
