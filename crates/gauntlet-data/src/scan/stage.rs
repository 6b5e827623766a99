//! A pass over some columns of a table for a question that one aggregate cannot answer: uniqueness, foreign keys, quantiles.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::ArrayRef;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::unique::places;
use super::{reference, rows};
use crate::table::{POSITION, Problem, Scan, Table};

/// What is read: some columns of a table, as expressions over them, under a condition.
pub(super) struct Stage<'a> {
    pub(super) context: &'a SessionContext,
    pub(super) table: &'a Arc<Table>,
    /// Columns that the expressions name.
    pub(super) columns: Vec<usize>,
    pub(super) values: Vec<Expr>,
    pub(super) when: Option<Expr>,
    pub(super) partitions: usize,
    /// What could not be read in any of the passes.
    pub(super) problems: &'a Mutex<Vec<Problem>>,
}

/// Takes the places and the values of one batch.
pub(super) type Look<'a> = &'a mut (dyn FnMut(&[u64], &[ArrayRef]) -> Result<()> + Send);

impl Stage<'_> {
    /// Reads the columns once and shows them batch by batch, in no order.
    pub(super) async fn each(&self, look: Look<'_>) -> Result<()> {
        let pass = Scan::new(Arc::clone(self.table), self.columns.clone());
        let mut frame = self.context.read_table(pass.provider(self.partitions)?)?;
        if let Some(when) = &self.when {
            frame = frame.filter(when.clone())?;
        }
        let mut values = vec![reference(POSITION.to_owned())];
        values.extend(self.values.iter().enumerate().map(|(i, value)| value.clone().alias(format!("v{i}"))));
        let streams = frame.select(values)?.execute_stream_partitioned().await?;
        let mut merged = futures::stream::select_all(streams);
        while let Some(batch) = merged.next().await {
            let batch = batch?;
            let (place, values) =
                batch.columns().split_first().ok_or_else(|| rows::internal("a stage without columns"))?;
            look(places(place)?, values)?;
        }
        let (_, problems) = pass.finish();
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).extend(problems);
        Ok(())
    }
}
