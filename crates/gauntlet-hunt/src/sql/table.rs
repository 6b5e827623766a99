//! Tables for the engine: facts are read file by file while the query runs, and never all at once.

use std::fmt;
use std::sync::{Arc, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use gauntlet_core::Gate;
use gauntlet_facts::{Batch, Cell, Table};

use super::Problems;
use crate::catalogue::{Catalogue, Held, Unanswered};
use crate::rows;

/// Rows, and bytes of text, of one batch.
const BATCH_ROWS: usize = 4_096;
const BATCH_BYTES: usize = 4 << 20;

/// The table that the engine asks for.
pub(super) fn provider(
    table: &'static Table,
    catalogue: &Arc<Catalogue>,
    gates: &[&'static Gate],
    problems: &Problems,
    partitions: usize,
) -> Result<Arc<dyn TableProvider>> {
    if matches!(table.name, "subjects" | "reports") {
        let mut batch = Batch::new(table);
        for cells in rows::of_evidence(table.name, catalogue) {
            batch.push(cells).map_err(external)?;
        }
        let batch = batch.finish().map_err(external)?;
        return Ok(Arc::new(MemTable::try_new(table.schema(), vec![vec![batch]])?));
    }
    let total = catalogue.held.len();
    let partitions = partitions.clamp(1, total.max(1));
    let parts = (0..partitions).map(|part| -> Arc<dyn PartitionStream> {
        // Neighbours are often alike in size, so they go to different parts.
        let held = (part..total).step_by(partitions).collect();
        Arc::new(Part {
            table,
            schema: table.schema(),
            catalogue: Arc::clone(catalogue),
            held,
            gates: gates.to_vec(),
            problems: Arc::clone(problems),
        })
    });
    Ok(Arc::new(StreamingTable::try_new(table.schema(), parts.collect())?))
}

struct Part {
    table: &'static Table,
    schema: SchemaRef,
    catalogue: Arc<Catalogue>,
    held: Vec<usize>,
    gates: Vec<&'static Gate>,
    problems: Problems,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("table", &self.table.name).field("files", &self.held.len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let sender = builder.tx();
        let (table, catalogue, gates) = (self.table, Arc::clone(&self.catalogue), self.gates.clone());
        let (files, problems) = (self.held.clone(), Arc::clone(&self.problems));
        builder.spawn_blocking(move || {
            let mut batch = Batch::new(table);
            let mut open = true;
            for held in files.iter().filter_map(|i| catalogue.held.get(*i)) {
                let mut push = |cells: Vec<Cell>| -> Result<()> {
                    batch.push(cells).map_err(external)?;
                    if batch.rows() >= BATCH_ROWS || batch.bytes() >= BATCH_BYTES {
                        open = sender.blocking_send(Ok(batch.finish().map_err(external)?)).is_ok();
                    }
                    // Nobody listens any more: the query has all the rows that it wants.
                    if open { Ok(()) } else { Err(DataFusionError::Execution(String::new())) }
                };
                match read(table, held, &gates, &problems, &mut push) {
                    Err(_) if !open => return Ok(()),
                    other => other?,
                }
            }
            if batch.rows() > 0 {
                let _ = sender.blocking_send(Ok(batch.finish().map_err(external)?));
            }
            Ok(())
        });
        builder.build()
    }
}

fn read(
    table: &Table,
    held: &Held,
    gates: &[&'static Gate],
    problems: &Problems,
    push: impl FnMut(Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let note = |why: Box<Unanswered>| {
        problems.lock().unwrap_or_else(PoisonError::into_inner).insert(*why);
    };
    match held.load() {
        Err(why) => note(why),
        Ok(stored) => {
            if let Some(wrong) = rows::of_facts(table.name, held, &stored, gates, push)? {
                note(held.unanswered(wrong));
            }
        }
    }
    Ok(())
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
