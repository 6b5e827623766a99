//! Which rows a drift comes from: the same column, segment by segment.

use std::collections::BTreeMap;

use gauntlet_core::MaskKey;
use gauntlet_drift::{Bins, clean_sorted, distances};

use super::columns::{Body, Cells, NONE, Words};
use super::shown;
use crate::facts::SegmentShareFact;

/// Segments that are looked at, largest first.
pub(super) const MAX_SEGMENTS: usize = 20;
/// Code and rows of a word.
pub(super) type Coded = (u32, u64);

/// Rows of a segment on either side, below which it says nothing.
pub(super) const MIN_ROWS: u64 = 100;

/// Segments of both sides by name: codes there and here, with their rows, largest of the batch first; and how many more
/// there are.
pub(super) fn common<'a>(reference: &'a Words, current: &'a Words) -> (Vec<(&'a str, Coded, Coded)>, usize) {
    let there: BTreeMap<&str, Coded> = coded(reference).collect();
    let mut out: Vec<_> =
        coded(current).filter_map(|(name, here)| there.get(name).map(|there| (name, *there, here))).collect();
    let all = out.len();
    out.retain(|(_, there, here)| there.1 >= MIN_ROWS && here.1 >= MIN_ROWS);
    out.sort_by(|a, b| b.2.1.cmp(&a.2.1).then_with(|| a.0.cmp(b.0)));
    out.truncate(MAX_SEGMENTS);
    let left = all - out.len();
    (out, left)
}

fn coded(words: &Words) -> impl Iterator<Item = (&str, Coded)> {
    words.names.iter().zip(&words.counts).enumerate().map(|(code, (name, rows))| (name.as_str(), (code as u32, *rows)))
}

/// The part of a column in the rows of one segment.
pub(super) fn part(cells: &Cells, by: &Words, code: u32) -> Cells {
    let inside = by.codes.iter().map(|c| *c == code);
    let mut out = cells.clone_head();
    match &cells.body {
        Body::Numbers(values) => {
            let values: Vec<f64> = values.iter().zip(inside).filter(|(_, inside)| *inside).map(|(x, _)| *x).collect();
            out.rows = values.len() as u64;
            out.nulls = values.iter().filter(|x| x.is_nan()).count() as u64;
            out.body = Body::Numbers(values);
        }
        Body::Words(words) => {
            let mut counts = vec![0; words.names.len()];
            for (code, _) in words.codes.iter().zip(inside).filter(|(_, inside)| *inside) {
                out.rows += 1;
                match counts.get_mut(*code as usize) {
                    Some(count) if *code != NONE => *count += 1,
                    _ => out.nulls += 1,
                }
            }
            out.body = Body::Words(words.recounted(counts));
        }
        _ => {}
    }
    out
}

/// How the drift of a column spreads over the segments of another: each segment's rows times its distance, as a share of
/// the sum.
pub(super) fn shares(column: (&Cells, &Cells), by: (&str, &Words, &Words), key: &MaskKey) -> Vec<SegmentShareFact> {
    let (segments, _) = common(by.1, by.2);
    let mut found: Vec<(&str, u64, f64)> = Vec::new();
    for (name, there, here) in segments {
        let (a, b) = (part(column.0, by.1, there.0), part(column.1, by.2, here.0));
        let Some(distance) = distance(&a, &b) else { continue };
        found.push((name, here.1, distance));
    }
    let rows: u64 = found.iter().map(|(_, rows, _)| rows).sum();
    let drift: f64 = found.iter().map(|(_, rows, distance)| *rows as f64 * distance).sum();
    if found.len() < 2 || drift <= 0.0 {
        return Vec::new();
    }
    let mut out: Vec<SegmentShareFact> = found
        .into_iter()
        .map(|(name, n, distance)| SegmentShareFact {
            column: column.0.name.clone(),
            by: by.0.to_owned(),
            value: shown::namer(by.0, by.1.names.len(), key)(name, n),
            rows: n as f64 / rows as f64,
            drift: n as f64 * distance / drift,
        })
        .collect();
    out.sort_by(|a, b| b.drift.total_cmp(&a.drift).then_with(|| a.value.cmp(&b.value)));
    out
}

/// Total variation over the default bins, less what sampling alone gives.
fn distance(a: &Cells, b: &Cells) -> Option<f64> {
    let (p, q) = match (&a.body, &b.body) {
        (Body::Numbers(a), Body::Numbers(b)) => {
            let (a, b) = (clean_sorted(a.clone()), clean_sorted(b.clone()));
            Bins::guarded(&a, &b).count_both(&a, &b)
        }
        (Body::Words(a), Body::Words(b)) => {
            let bins = gauntlet_drift::CategoryBins::new(&a.counted(), &b.counted());
            (bins.reference, bins.current)
        }
        _ => return None,
    };
    let (n, m) = (p.iter().sum::<u64>() as f64, q.iter().sum::<u64>() as f64);
    let noise = 0.5 * (2.0 / std::f64::consts::PI * p.len() as f64 * (1.0 / n + 1.0 / m)).sqrt();
    Some((distances(&p, &q)?.tv - noise).max(0.0))
}
