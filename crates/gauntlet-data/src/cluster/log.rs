//! `scan_log(log)`: what was read and what could not be, on its way back from where the files were read. It travels with
//! the rows, so that a piece that is read twice because a machine failed is counted once.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Signature, Volatility};
use gauntlet_core::SkipReason;
use serde::{Deserialize, Serialize};

use crate::ingest::formula::Danger;
use crate::scan::functions::aggregate;
use crate::scan::{FirstRows, decode_all, encode, internal};
use crate::table::{Problem, Scan};

/// What `scan_log` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScanLog {
    /// Numbers of the parts that were read.
    parts: Vec<u32>,
    /// Rows of each file.
    rows: Vec<u64>,
    problems: Vec<LoggedProblem>,
    formulas: Vec<(usize, bool, FirstRows)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LoggedProblem {
    path: String,
    reason: SkipReason,
    rows: u64,
    schema: bool,
}

/// Rows of each file, problems, and cells that a spreadsheet would run.
pub(crate) type Logged = (Vec<u64>, Vec<Problem>, BTreeMap<(usize, Danger), FirstRows>);

impl ScanLog {
    /// What a pass over some parts has noted.
    pub(super) fn of(scan: &Scan, parts: impl IntoIterator<Item = u32>) -> Self {
        let (rows, problems) = scan.finish();
        let logged = |p: Problem| {
            let reason = SkipReason::new(p.code, p.what);
            LoggedProblem { path: p.path, reason, rows: p.rows, schema: p.schema }
        };
        let formulas = scan.formulas().into_iter();
        Self {
            parts: parts.into_iter().collect(),
            rows,
            problems: problems.into_iter().map(logged).collect(),
            formulas: formulas.map(|((i, danger), rows)| (i, danger == Danger::Reaches, rows)).collect(),
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| datafusion::error::DataFusionError::External(error.into()))
    }

    fn merge(&mut self, other: Self) {
        self.parts.extend(other.parts);
        if self.rows.len() < other.rows.len() {
            self.rows.resize(other.rows.len(), 0);
        }
        for (sum, more) in self.rows.iter_mut().zip(other.rows) {
            *sum = sum.saturating_add(more);
        }
        self.problems.extend(other.problems);
        self.formulas.extend(other.formulas);
    }

    /// What all parts together noted.
    ///
    /// # Errors
    /// When a part was not read, or more than once: the result is then that of another table.
    pub(crate) fn finish(mut self, parts: usize, files: usize) -> Result<Logged> {
        self.parts.sort_unstable();
        let whole = self.parts.iter().map(|&part| part as usize).eq(0..parts);
        if !whole || self.rows.len() > files {
            return Err(internal("the workers did not read each part of the table once"));
        }
        self.rows.resize(files, 0);
        let problem = |p: LoggedProblem| Problem {
            path: p.path,
            code: p.reason.code,
            what: p.reason.detail,
            rows: p.rows,
            schema: p.schema,
        };
        let mut formulas: BTreeMap<(usize, Danger), FirstRows> = BTreeMap::new();
        for (column, reaches, rows) in self.formulas {
            let danger = if reaches { Danger::Reaches } else { Danger::Computes };
            formulas.entry((column, danger)).or_default().merge(rows);
        }
        let mut problems: Vec<Problem> = self.problems.into_iter().map(problem).collect();
        problems.sort();
        Ok((self.rows, problems, formulas))
    }
}

/// The function for the engine.
pub(crate) fn scan_log() -> AggregateUDF {
    aggregate::<State>("scan_log", Signature::any(1, Volatility::Immutable))
}

#[derive(Debug, Default)]
struct State(ScanLog);

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.merge_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        encode(&self.0)
    }

    fn size(&self) -> usize {
        let formulas: usize = self.0.formulas.iter().map(|(_, _, rows)| rows.size()).sum();
        size_of::<Self>() + self.0.problems.len() * 256 + self.0.rows.len() * 8 + formulas
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![encode(&self.0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let empty = states.first().and_then(|s| s.as_binary_opt::<i32>()).is_some_and(|s| s.null_count() == s.len());
        if !empty {
            for state in decode_all::<ScanLog>(states)? {
                self.0.merge(state);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gauntlet_core::SkipCode;

    use super::*;

    fn log(parts: &[u32]) -> ScanLog {
        let reason = SkipReason::new(SkipCode::Truncated, "it ends: early");
        let problem = LoggedProblem { path: "a".to_owned(), reason, rows: 3, schema: true };
        ScanLog { parts: parts.to_vec(), rows: vec![1, 2], problems: vec![problem], formulas: Vec::new() }
    }

    #[test]
    fn every_part_has_to_come_back_once() {
        let merged = |parts: &[&[u32]]| {
            let mut all = ScanLog::default();
            parts.iter().for_each(|part| all.merge(log(part)));
            all
        };
        let (rows, problems, _) = merged(&[&[2], &[0, 1]]).finish(3, 2).unwrap();
        assert_eq!(rows, [2, 4]);
        assert_eq!((problems[0].code, problems[0].what.as_str()), (SkipCode::Truncated, "it ends: early"));
        assert!(merged(&[&[2], &[0]]).finish(3, 2).is_err());
        assert!(merged(&[&[2], &[0, 1], &[1]]).finish(3, 2).is_err());
        assert!(merged(&[&[0]]).finish(1, 1).is_err());
        let bytes = log(&[7]).to_bytes().unwrap();
        assert_eq!(serde_json::from_slice::<ScanLog>(&bytes).unwrap(), log(&[7]));
    }
}
