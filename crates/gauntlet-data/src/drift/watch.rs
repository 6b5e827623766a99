//! A stream of batches in tumbling windows, each compared with the reference. What is left of the last window is kept as
//! a sketch, so the next batch goes on where this one ended.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use gauntlet_core::{MaskKey, SkipCode};
use gauntlet_sketch::{Cells, ColumnSpec, Kind, Profile, SketchOptions, TableSketch};
use serde::{Deserialize, Serialize};

use super::cells::numbers;
use super::columns::Unread;
use super::compare::{Outcome, columns_of_profile, columns_of_table, pair};
use super::config::DriftConfig;
use super::sketched;
use crate::facts::{ColumnDriftFact, WatchFact};
use crate::table::{Scan, Table};

/// Windows of one batch.
const MAX_WINDOWS: u64 = 10_000;
/// Windows without rows that may lie between two rows.
const MAX_AHEAD: i64 = 10_000;
/// Longest kept state of a window.
const MAX_STATE: usize = 64 << 20;

/// How a stream is watched, and where watching stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchConfig {
    /// Rows of a window; or:
    pub window_rows: Option<u64>,
    /// the column with the time of each row
    pub time: Option<String>,
    /// and the seconds of a window.
    pub window_seconds: Option<u64>,
    /// Windows over their limit that raise the alarm,
    pub needed: usize,
    /// of so many last ones.
    pub of: usize,
    /// Results of the last windows, oldest first.
    pub history: Vec<bool>,
    /// Windows that are done.
    pub windows: u64,
    /// Late rows so far: their window was done, so they went into the next one.
    pub late: u64,
    /// The window that is not full.
    pub open: Option<OpenWindow>,
}

/// A window that is not full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenWindow {
    /// Its number on the time line, when windows are cut by time.
    pub slot: Option<i64>,
    /// Rows so far.
    pub rows: u64,
    /// Their sketch in hex.
    pub state: String,
}

/// Compares each full window; what is left goes into the state.
pub(super) fn watch(
    known: &Profile,
    here: &Arc<Table>,
    config: &WatchConfig,
    drift: &DriftConfig,
    name: &str,
    key: &MaskKey,
) -> Result<(WatchFact, Outcome, Vec<ColumnDriftFact>), Vec<Unread>> {
    let wrong = |code, what: String| vec![Unread { path: String::new(), code, what }];
    let malformed = |what: String| wrong(SkipCode::Malformed, what);
    let mut outcome = Outcome::new(name, (known.rows(), 0), false);
    let common = pair(&columns_of_profile(known), &columns_of_table(here), drift, &mut outcome);
    let mut columns: Vec<usize> = common.pairs.iter().map(|pair| pair.current).collect();
    let compared = columns.len();
    let time = match (&config.time, config.window_rows, config.window_seconds) {
        (None, Some(rows), None) if rows > 0 => None,
        (Some(time), None, Some(seconds)) if seconds > 0 => {
            let at = here.column(time).ok_or_else(|| malformed(format!("there is no column `{time}` for the time")))?;
            columns.push(at);
            Some(seconds as f64 * 1e9)
        }
        _ => return Err(malformed("a window has so many rows, or so many seconds of a time column".to_owned())),
    };
    let options = SketchOptions { watches: sketched::watches(known), ..SketchOptions::default() };
    let specs: Vec<(ColumnSpec, Kind)> = columns
        .iter()
        .take(compared)
        .filter_map(|&i| here.columns.get(i))
        .map(|column| {
            let spec = ColumnSpec { name: column.name.clone(), data_type: column.stored.to_string() };
            (spec, Kind::of(column.rule_type()))
        })
        .collect();
    let mut windows = Windows {
        fresh: &|| TableSketch::new(specs.clone(), options.clone()),
        compare: &|rows, sketch| {
            let mut one = Outcome::new(name, (known.rows(), rows), false);
            sketched::compare(known, &sketch.finish(), &common, drift, key, &mut one);
            one
        },
        open: None,
        done: Vec::new(),
        late: 0,
        limit: config.window_rows.unwrap_or(u64::MAX),
    };
    if let Some(open) = &config.open {
        let bytes = hex::decode(&open.state).map_err(|error| malformed(format!("the state's open window: {error}")))?;
        if bytes.len() > MAX_STATE {
            return Err(wrong(SkipCode::Limit, "the state's open window is too large".to_owned()));
        }
        let sketch = TableSketch::from_state(&bytes, &options)
            .map_err(|error| malformed(format!("the state's open window: {error}")))?;
        let mut joined = (windows.fresh)();
        joined
            .merge(sketch)
            .map_err(|error| malformed(format!("the state's open window has other columns: {error}")))?;
        windows.open = Some((open.slot, open.rows, joined));
    }
    let mut failed: Option<String> = None;
    let pass = Scan::new(Arc::clone(here), columns.clone());
    // Rows come in order, so one call is one part; the next call goes on with a window that has more rows.
    let part = config.open.as_ref().map_or(0, |open| open.rows);
    pass.for_each(&mut |batch: RecordBatch| {
        if failed.is_some() {
            return;
        }
        let mut arrays: Vec<(&ArrayRef, Option<&ArrayRef>)> = Vec::with_capacity(columns.len());
        let mut at = 1;
        for &i in &columns {
            let typed = here.columns.get(i).is_some_and(|column| column.typed.is_some());
            arrays.push(if typed { (batch.column(at + 1), Some(batch.column(at))) } else { (batch.column(at), None) });
            at += 1 + usize::from(typed);
        }
        let slots = match (time, arrays.get(compared)) {
            (Some(width), Some((times, _))) => slots(times, width),
            _ => Ok(None),
        };
        failed = slots
            .and_then(|slots| windows.take(arrays.get(..compared).unwrap_or_default(), slots, batch.num_rows(), part))
            .err();
    });
    let (_, problems) = pass.finish();
    let mut unread: Vec<Unread> =
        problems.into_iter().map(|p| Unread { path: p.path, code: p.code, what: p.what }).collect();
    unread.extend(failed.map(|what| Unread { path: String::new(), code: SkipCode::Malformed, what }));
    if !unread.is_empty() {
        return Err(unread);
    }
    let mut facts = Vec::new();
    let mut rows = Vec::new();
    let Windows { open, done, late, .. } = windows;
    for (i, one) in done.into_iter().enumerate() {
        let number = config.windows + i as u64;
        rows.push(one.comparison.current_rows);
        facts.extend(one.columns.into_iter().map(|fact| ColumnDriftFact { segment: Some(segment(number)), ..fact }));
        for gap in one.comparison.gaps {
            if gap.known { outcome.untold(gap.what) } else { outcome.gap(gap.what) }
        }
    }
    let open = match open {
        Some((slot, rows, mut sketch)) => {
            let state = sketch.to_state();
            if state.len() > MAX_STATE {
                let what = format!("the open window has a state of {} bytes: choose shorter windows", state.len());
                return Err(wrong(SkipCode::Limit, what));
            }
            Some(OpenWindow { slot, rows, state: hex::encode(state) })
        }
        None => None,
    };
    outcome.comparison.current_rows = rows.iter().sum::<u64>() + open.as_ref().map_or(0, |open| open.rows);
    let fact = WatchFact { first: config.windows, rows, late, open };
    Ok((fact, outcome, facts))
}

/// What stands for a window where a segment would.
pub(crate) fn segment(window: u64) -> String {
    format!("window {window}")
}

struct Windows<'a> {
    fresh: &'a dyn Fn() -> TableSketch,
    compare: &'a dyn Fn(u64, TableSketch) -> Outcome,
    open: Option<(Option<i64>, u64, TableSketch)>,
    done: Vec<Outcome>,
    late: u64,
    /// Rows of a window.
    limit: u64,
}

impl Windows<'_> {
    /// Takes a batch; `slots` says for each row when it was.
    fn take(
        &mut self,
        arrays: &[(&ArrayRef, Option<&ArrayRef>)],
        slots: Option<Vec<Option<i64>>>,
        rows: usize,
        part: u64,
    ) -> Result<(), String> {
        let mut start = 0;
        while start < rows {
            let slot = slots.as_ref().and_then(|slots| slots.get(start).copied().flatten());
            let now = self.open.as_ref().and_then(|(slot, ..)| *slot);
            match (slots.is_some(), slot, now) {
                (true, None, None) => return Err("the first row has no time".to_owned()),
                (true, Some(slot), Some(now)) if follows(slot, now) => self.close()?,
                _ => {}
            }
            let (_, filled, _) = self.open.get_or_insert_with(|| (slot, 0, (self.fresh)()));
            let room = self.limit.saturating_sub(*filled);
            let now = self.open.as_ref().and_then(|(slot, ..)| *slot);
            // A row without time, or of a time that is over or far ahead, belongs to the window that is open.
            let stays = |row: &usize| match &slots {
                None => true,
                Some(slots) => {
                    slots.get(*row).copied().flatten().is_none_or(|slot| now.is_none_or(|now| !follows(slot, now)))
                }
            };
            let longest = usize::try_from(room).unwrap_or(usize::MAX).min(rows - start);
            let length = (start..start + longest).take_while(stays).count().max(1);
            if let (Some(slots), Some(now)) = (&slots, now) {
                let run = slots.get(start..start + length).unwrap_or_default();
                self.late += run.iter().filter(|slot| **slot != Some(now)).count() as u64;
            }
            let sliced: Vec<(ArrayRef, Option<ArrayRef>)> = arrays
                .iter()
                .map(|(values, texts)| (values.slice(start, length), texts.map(|texts| texts.slice(start, length))))
                .collect();
            let cells: Vec<Cells<'_>> =
                sliced.iter().map(|(values, texts)| Cells { values, texts: texts.as_ref() }).collect();
            if let Some((_, filled, sketch)) = &mut self.open {
                *filled += length as u64;
                sketch.update(part, &cells).map_err(|error| error.to_string())?;
                if *filled >= self.limit {
                    self.close()?;
                }
            }
            start += length;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        if let Some((_, rows, sketch)) = self.open.take() {
            if self.done.len() as u64 >= MAX_WINDOWS {
                return Err(format!("more than {MAX_WINDOWS} windows in one batch: choose longer ones"));
            }
            // Compared at once, so that one window is in memory and not all of them.
            self.done.push((self.compare)(rows, sketch));
        }
        Ok(())
    }
}

/// Whether a row of window `slot` ends window `now`. One far ahead is a wrong time, and would end all that comes before it.
fn follows(slot: i64, now: i64) -> bool {
    slot > now && slot.saturating_sub(now) <= MAX_AHEAD
}

/// Number of the window that each row's time falls into.
fn slots(times: &ArrayRef, width: f64) -> Result<Option<Vec<Option<i64>>>, String> {
    use arrow::datatypes::DataType;
    let unit = match times.data_type() {
        DataType::Timestamp(..) => 1.0,
        DataType::Date32 | DataType::Date64 => 86_400e9,
        other => return Err(format!("the time column is {other}; it has to hold dates or timestamps")),
    };
    let numbers = numbers(times).map_err(|error| error.to_string())?;
    Ok(Some(numbers.iter().map(|x| x.map(|x| (x * unit / width).floor() as i64)).collect()))
}
