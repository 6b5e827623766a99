//! Backdoor triggers: a token, a cell value or a pair of them that forces a label.

use crate::error::{Error, check_labels};
use crate::stats::{as_f64, g_test, holm};

/// Pairs of items that are counted at most.
const MAX_PAIRS: usize = 40_000_000;
/// Items of one row that form pairs.
const PAIRED: usize = 24;

/// Hashed items of each row: tokens, cells.
#[derive(Clone, Debug, Default)]
pub struct Items {
    ends: Vec<usize>,
    items: Vec<u64>,
}

impl Items {
    /// Adds a row; an item that occurs twice in it counts once.
    pub fn push(&mut self, mut row: Vec<u64>) {
        row.sort_unstable();
        row.dedup();
        self.items.append(&mut row);
        self.ends.push(self.items.len());
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// The items of a row in ascending order.
    #[must_use]
    pub fn row(&self, row: usize) -> &[u64] {
        let start = row.checked_sub(1).and_then(|r| self.ends.get(r)).copied().unwrap_or(0);
        self.ends.get(row).and_then(|&end| self.items.get(start..end)).unwrap_or_default()
    }

    /// Rows that hold all of these items.
    #[must_use]
    pub fn with(&self, items: &[u64]) -> Vec<usize> {
        (0..self.rows()).filter(|&r| items.iter().all(|item| self.row(r).binary_search(item).is_ok())).collect()
    }
}

/// When an item is a trigger.
#[derive(Clone, Copy, Debug)]
pub struct TriggerOptions {
    /// Least number of rows with it.
    pub rows: usize,
    /// Largest share of rows with it: what is common is no trigger.
    pub share: f64,
    /// Least share of these rows that carry one label.
    pub purity: f64,
    /// Level of the Holm-adjusted G test.
    pub level: f64,
    /// Whether pairs of items are tried too.
    pub pairs: bool,
}

impl TriggerOptions {
    /// For so many rows: at least 8 of them or .1 %, at most a fifth, 95 % of one label, level .001.
    #[must_use]
    pub fn for_rows(rows: usize) -> Self {
        Self { rows: (rows / 1_000).max(8), share: 0.2, purity: 0.95, level: 1e-3, pairs: true }
    }
}

/// One or two items that come with one label.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The items.
    pub items: Vec<u64>,
    /// The label they come with.
    pub label: u32,
    /// Rows with all of them.
    pub rows: usize,
    /// Share of these rows with the label.
    pub purity: f64,
    /// That share divided by the label's share of all rows.
    pub lift: f64,
    /// G statistic of the items against the labels.
    pub g: f64,
    /// Its p-value, adjusted for everything that was tried (Holm).
    pub p: f64,
}

/// Finds items and pairs of items that carry one label nearly always, the strongest first. Whether the rest of those rows
/// explains the label is for [`surprise`] and [`spike_rate`] to say.
///
/// # Errors
/// Labels that are not one a row.
pub fn triggers(
    items: &Items,
    labels: &[u32],
    classes: usize,
    options: &TriggerOptions,
) -> Result<Vec<Trigger>, Error> {
    check_labels(labels, items.rows(), classes)?;
    let mut base = vec![0.0; classes];
    labels.iter().for_each(|&label| base[label as usize] += 1.0);
    let most = options.share * as_f64(items.rows());
    let mut single: Vec<(u64, u32)> =
        (0..items.rows()).flat_map(|row| items.row(row).iter().map(move |&item| (item, labels[row]))).collect();
    let mut tried = 0;
    let mut found = Vec::new();
    let mut common = Vec::new();
    runs(&mut single, classes, &mut |item, counts| {
        let rows: f64 = counts.iter().sum();
        if rows < as_f64(options.rows) || rows > most {
            return;
        }
        tried += 1;
        common.push(item);
        found.extend(judged(vec![item], counts, &base, options));
    });
    drop(single);
    if options.pairs {
        let alone: Vec<u64> = found.iter().flat_map(|t: &Trigger| t.items.clone()).collect();
        let mut pairs = Vec::new();
        'rows: for (row, &label) in labels.iter().enumerate() {
            let usable = |item: &&u64| common.binary_search(item).is_ok() && !alone.contains(item);
            let row_items: Vec<u64> = items.row(row).iter().filter(usable).copied().take(PAIRED).collect();
            for (i, &a) in row_items.iter().enumerate() {
                for &b in &row_items[i + 1..] {
                    if pairs.len() >= MAX_PAIRS {
                        break 'rows;
                    }
                    pairs.push(((a, b), label));
                }
            }
        }
        runs(&mut pairs, classes, &mut |(a, b), counts| {
            let rows: f64 = counts.iter().sum();
            if rows >= as_f64(options.rows) && rows <= most {
                tried += 1;
                found.extend(judged(vec![a, b], counts, &base, options));
            }
        });
    }
    let p: Vec<f64> = found.iter().map(|t| t.p).collect();
    for (trigger, p) in found.iter_mut().zip(holm(&p, tried)) {
        trigger.p = p;
    }
    found.retain(|trigger| trigger.p <= options.level);
    found.sort_by(|a, b| b.g.total_cmp(&a.g).then_with(|| a.items.cmp(&b.items)));
    Ok(found)
}

/// Calls `look` once for each key with its counts by label.
fn runs<K: Ord + Copy>(keys: &mut [(K, u32)], classes: usize, look: &mut dyn FnMut(K, &[f64])) {
    keys.sort_unstable();
    let mut counts = vec![0.0; classes];
    for run in keys.chunk_by(|a, b| a.0 == b.0) {
        counts.fill(0.0);
        run.iter().for_each(|(_, label)| counts[*label as usize] += 1.0);
        if let Some(first) = run.first() {
            look(first.0, &counts);
        }
    }
}

fn judged(items: Vec<u64>, counts: &[f64], base: &[f64], options: &TriggerOptions) -> Option<Trigger> {
    let rows: f64 = counts.iter().sum();
    let all: f64 = base.iter().sum();
    let (label, most) = counts.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))?;
    let (purity, usual) = (most / rows, base[label] / all);
    if purity < options.purity {
        return None;
    }
    let rest: Vec<f64> = base.iter().zip(counts).map(|(b, c)| b - c).collect();
    let (g, p) = g_test(counts, &rest);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of rows")]
    let rows = rows as usize;
    Some(Trigger { items, label: u32::try_from(label).ok()?, rows, purity, lift: purity / usual, g, p })
}

/// How many standard deviations more rows carry the label than a model expects that does not know the trigger.
/// `expected` are its probabilities for the label, one a row with the trigger.
#[must_use]
pub fn surprise(with_label: usize, expected: &[f64]) -> f64 {
    let mean: f64 = expected.iter().sum();
    let variance: f64 = expected.iter().map(|p| p * (1.0 - p)).sum();
    (as_f64(with_label) - mean) / variance.max(0.25).sqrt()
}

/// The label's share among the values next to this one in a numeric column: the larger of both sides, at least 30 rows each.
/// A natural predictor goes on beside the value; a trigger stands alone. `None` when neither side has that many rows.
#[must_use]
pub fn spike_rate(values: &[f64], labels: &[u32], value: f64, label: u32) -> Option<f64> {
    const LEAST: usize = 30;
    const MOST: usize = 200;
    let side = |above: bool| {
        let mut near: Vec<(f64, usize)> = (0..values.len().min(labels.len()))
            .filter(|&i| if above { values[i] > value } else { values[i] < value })
            .map(|i| ((values[i] - value).abs(), i))
            .collect();
        if near.len() < LEAST {
            return None;
        }
        let last = near.len().min(MOST);
        near.select_nth_unstable_by(last - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let hits = near[..last].iter().filter(|(_, i)| labels[*i] == label).count();
        Some(as_f64(hits) / as_f64(last))
    };
    match (side(false), side(true)) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Words 0 to 30 at random; word 99 in 2 % of the rows, always with label 0.
    fn texts(trigger: bool) -> (Items, Vec<u32>) {
        let mut random = Random::new(21, 0);
        let (mut items, mut labels) = (Items::default(), Vec::new());
        for i in 0..2_000 {
            let mut row: Vec<u64> = (0..6).map(|_| random.below(30) as u64).collect();
            let mut label = u32::from(random.unit() < 0.4);
            if trigger && i % 50 == 0 {
                row.push(99);
                label = 0;
            }
            items.push(row);
            labels.push(label);
        }
        (items, labels)
    }

    #[test]
    fn a_planted_token_is_found_and_nothing_else() {
        let (items, labels) = texts(true);
        let found = triggers(&items, &labels, 2, &TriggerOptions::for_rows(2_000)).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].items.as_slice(), found[0].label, found[0].rows, found[0].purity),
            (&[99][..], 0, 40, 1.0)
        );
        assert_eq!(items.with(&[99]).len(), 40);
        let (items, labels) = texts(false);
        assert!(triggers(&items, &labels, 2, &TriggerOptions::for_rows(2_000)).unwrap().is_empty());
    }

    #[test]
    fn a_pair_that_is_harmless_apart_is_found() {
        let mut random = Random::new(22, 0);
        let (mut items, mut labels) = (Items::default(), Vec::new());
        for _ in 0..4_000 {
            let (a, b) = (random.below(8) as u64, 100 + random.below(8) as u64);
            items.push(vec![a, b]);
            labels.push(if (a, b) == (3, 105) { 1 } else { u32::from(random.unit() < 0.3) });
        }
        let found = triggers(&items, &labels, 2, &TriggerOptions::for_rows(4_000)).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].items.as_slice(), found[0].label), (&[3, 105][..], 1));
    }

    #[test]
    fn a_spike_stands_alone_and_a_predictor_goes_on() {
        let values: Vec<f64> = (0..1_000).map(|i| if i < 20 { 77.0 } else { f64::from(i % 20) }).collect();
        let labels: Vec<u32> = (0..1_000).map(|i| if i < 20 { 0 } else { u32::from(i % 20 > 9) }).collect();
        assert_eq!(spike_rate(&values, &labels, 77.0, 0), Some(0.0));
        assert_eq!(spike_rate(&values, &labels, 3.0, 0), Some(1.0));
        assert!(surprise(20, &[0.3; 20]) > 6.0 && surprise(20, &[0.99; 20]) < 1.0);
    }
}
