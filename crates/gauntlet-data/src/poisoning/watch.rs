//! The third pass: what was learnt from the sample, held against every row.

use std::sync::Arc;

use arrow::array::ArrayRef;
use gauntlet_poisoning::Tail;

use super::cells::{numbers, texts};
use super::features::{Features, Kind};
use super::suspects::{Kept, Suspects};
use super::{Examined, read};
use crate::table::Table;

/// Something to look for in every row.
#[derive(Debug)]
pub(super) enum Watch {
    /// Values beyond a bound.
    Tail { column: usize, name: String, tail: Tail, kept: Kept },
    /// Rows with all of these items and one label.
    Trigger { items: Vec<(usize, Kind, u64)>, label: (usize, String), found: Suspects },
}

impl Watch {
    pub(super) fn tail(table: &Table, column: usize, tail: Tail, kept: Kept) -> Self {
        Self::Tail { column, name: table.columns.get(column).map_or_else(String::new, |c| c.name.clone()), tail, kept }
    }

    fn batch(&mut self, places: &[u64], stored: &[ArrayRef]) {
        match self {
            Self::Tail { column, tail, kept, .. } => {
                let values = stored.get(*column).and_then(numbers).unwrap_or_default();
                for (&place, value) in places.iter().zip(values) {
                    if tail.holds(value) {
                        let high = tail.high.is_some_and(|high| value >= high);
                        kept.add(place, tail.excess(value), || {
                            let side = if high { "above" } else { "below" };
                            format!("lies far {side} what the tail of the column explains")
                        });
                    }
                }
            }
            Self::Trigger { items, label, found } => {
                let mut hits = vec![0usize; places.len()];
                for (column, kind, wanted) in &*items {
                    let Some(array) = stored.get(*column) else { return };
                    let mut here = vec![false; places.len()];
                    Features::items(*kind, *column, array, &mut |row, item, _| {
                        if item == *wanted {
                            here[row] = true;
                        }
                    });
                    hits.iter_mut().zip(here).for_each(|(hits, here)| *hits += usize::from(here));
                }
                if !hits.contains(&items.len()) {
                    return;
                }
                let Some(labels) = stored.get(label.0).and_then(texts) else { return };
                for ((row, &place), own) in places.iter().enumerate().zip(&labels) {
                    if hits[row] == items.len() && own == Some(label.1.as_str()) {
                        let lift = found.figures.get("lift").copied().unwrap_or(1.0);
                        found.rows.add(place, lift, || "carries the trigger and its label".to_owned());
                    }
                }
            }
        }
    }

    fn finish(self, rows: u64) -> Option<Suspects> {
        match self {
            Self::Tail { name, tail, kept, .. } => {
                let mut found = Suspects::new(
                    "poisoning/outlier",
                    format!("values of `{name}` lie far outside of what the rest of the column explains"),
                    kept,
                    rows,
                )
                .column(&name);
                for (figure, bound) in [("below", tail.low), ("above", tail.high)] {
                    found.figures.extend(bound.map(|bound| (figure, bound)));
                }
                (found.rows.count > 0).then_some(found)
            }
            Self::Trigger { mut found, .. } => {
                found.of = rows;
                (found.rows.count > 0).then_some(found)
            }
        }
    }
}

/// Reads every row once more, when there is something to look for.
pub(super) fn pass(table: &Arc<Table>, mut watched: Vec<Watch>, out: &mut Examined) -> Result<(), String> {
    if watched.is_empty() {
        return Ok(());
    }
    read(table, &mut |places, stored| {
        watched.iter_mut().for_each(|watch| watch.batch(places, stored));
        Ok(())
    })?;
    out.suspects.extend(watched.into_iter().filter_map(|watch| watch.finish(out.rows)));
    Ok(())
}
