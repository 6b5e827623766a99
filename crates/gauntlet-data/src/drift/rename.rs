//! Columns that have another name now: a missing and an extra one whose values look alike.

use std::collections::BTreeMap;

use gauntlet_drift::{Bins, CategoryBins, clean_sorted, distances};

use super::columns::{Body, Cells};

/// Jensen-Shannon distance below which two columns look alike.
const ALIKE: f64 = 0.05;

/// Distance of two columns of one family; `None` when they cannot be one.
pub(super) fn alike(missing: &Cells, extra: &Cells) -> Option<f64> {
    if missing.family != extra.family {
        return None;
    }
    let (p, q) = match (&missing.body, &extra.body) {
        (Body::Numbers(a), Body::Numbers(b)) => {
            let (a, b) = (clean_sorted(a.clone()), clean_sorted(b.clone()));
            Bins::guarded(&a, &b).count_both(&a, &b)
        }
        (Body::Words(a), Body::Words(b)) => words(&a.counted(), &b.counted()),
        _ => return None,
    };
    distances(&p, &q).map(|d| d.js).filter(|js| *js < ALIKE)
}

fn words(a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>) -> (Vec<u64>, Vec<u64>) {
    let bins = CategoryBins::new(a, b);
    (bins.reference, bins.current)
}
