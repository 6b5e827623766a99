//! The operator that reads parts of a table where it runs. Which parts those are is the data of the operator below it, so
//! that an engine that cuts a plan into tasks need not know about ours.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, UInt32Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::log::ScanLog;
use crate::scan::internal;
use crate::table::{DistantTable, PART, Scan};

/// Name of the column with the log.
pub(super) const LOG: &str = "log";

/// A pass over some columns of a table, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DistantScan {
    table: DistantTable,
    columns: Vec<usize>,
    /// Whether text cells are looked at for formulas of spreadsheets.
    watching: bool,
}

impl DistantScan {
    pub(super) fn new(table: DistantTable, columns: Vec<usize>, watching: bool) -> Result<Self> {
        let scan = Self { table, columns, watching };
        scan.open()?;
        Ok(scan)
    }

    /// The pass in this process. No file is opened yet.
    fn open(&self) -> Result<Arc<Scan>> {
        let table = self.table.open()?;
        if self.columns.iter().any(|&i| i >= table.columns.len()) {
            return Err(internal("a scan asks for a column that its table does not have"));
        }
        let (table, columns) = (Arc::new(table), self.columns.clone());
        Ok(if self.watching { Scan::watching(table, columns) } else { Scan::new(table, columns) })
    }

    /// The columns of the pass, the number of the part, and the log. The row with the log has nothing else.
    fn schema(&self) -> Result<SchemaRef> {
        let scan = self.open()?;
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let mut fields: Vec<Field> = scan.schema().fields().iter().map(nullable).collect();
        fields.push(Field::new(PART, DataType::UInt32, true));
        fields.push(Field::new(LOG, DataType::Binary, true));
        Ok(Arc::new(Schema::new(fields)))
    }

    /// The table for an engine, in at most `partitions` pieces.
    pub(super) fn provider(self, partitions: usize) -> Result<DistantProvider> {
        let schema = self.schema()?;
        Ok(DistantProvider { scan: Arc::new(self), schema, partitions: partitions.max(1) })
    }

    /// Reads the parts with these numbers; the log comes last.
    fn read(&self, numbers: BTreeSet<u32>, schema: SchemaRef) -> Result<SendableRecordBatchStream> {
        let scan = self.open()?;
        let (rows, end) = (Arc::clone(&schema), Arc::clone(&schema));
        let map = move |number, batch: RecordBatch| {
            let count = batch.num_rows();
            let mut columns = batch.columns().to_vec();
            columns.push(Arc::new(UInt32Array::from_value(number, count)));
            columns.push(new_null_array(&DataType::Binary, count));
            Ok(RecordBatch::try_new(Arc::clone(&rows), columns)?)
        };
        let parts = numbers.clone();
        let last = move |scan: &Scan| {
            let log = ScanLog::of(scan, parts.iter().copied()).to_bytes()?;
            let nulls = |field: &Arc<Field>| new_null_array(field.data_type(), 1);
            let mut columns: Vec<ArrayRef> = end.fields().iter().map(nulls).collect();
            columns.pop();
            columns.push(Arc::new(BinaryArray::from_vec(vec![log.as_slice()])));
            Ok(RecordBatch::try_new(Arc::clone(&end), columns)?)
        };
        Ok(scan.read_parts(&numbers, schema, Arc::new(map), Arc::new(last)))
    }
}

/// The table as an engine sees it while it plans.
#[derive(Debug)]
pub(super) struct DistantProvider {
    scan: Arc<DistantScan>,
    schema: SchemaRef,
    partitions: usize,
}

#[async_trait]
impl TableProvider for DistantProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let parts = u32::try_from(self.scan.open()?.part_count()).map_err(|_| internal("too many parts"))?;
        let schema = Arc::new(Schema::new(vec![Field::new(PART, DataType::UInt32, false)]));
        let piece = |n: usize| {
            let numbers = UInt32Array::from_iter_values((0..parts).skip(n).step_by(self.partitions));
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)])?])
        };
        let pieces = (0..self.partitions).map(piece).collect::<Result<Vec<_>>>()?;
        let parts = MemorySourceConfig::try_new_exec(&pieces, Arc::clone(&schema), None)?;
        Ok(Arc::new(ScanExec::new(Arc::clone(&self.scan), projection.cloned(), parts)?))
    }
}

/// Reads the parts whose numbers the operator below gives.
#[derive(Debug)]
struct ScanExec {
    scan: Arc<DistantScan>,
    projection: Option<Vec<usize>>,
    /// Before the projection.
    whole: SchemaRef,
    parts: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    fn new(scan: Arc<DistantScan>, projection: Option<Vec<usize>>, parts: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let whole = scan.schema()?;
        let schema = match &projection {
            Some(indices) => Arc::new(whole.project(indices)?),
            None => Arc::clone(&whole),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(parts.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self { scan, projection, whole, parts, properties: Arc::new(properties) })
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec: {} columns", self.scan.columns.len())
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.parts]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [parts] = <[_; 1]>::try_from(children).map_err(|_| internal("a scan reads one list of parts"))?;
        Ok(Arc::new(Self::new(Arc::clone(&self.scan), self.projection.clone(), parts)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut parts = self.parts.execute(partition, context)?;
        let (scan, whole, projection) = (Arc::clone(&self.scan), Arc::clone(&self.whole), self.projection.clone());
        let rows = async move {
            let mut numbers = BTreeSet::new();
            while let Some(batch) = parts.next().await {
                let batch = batch?;
                let column = batch.columns().first().and_then(|c| c.as_primitive_opt::<UInt32Type>());
                let column = column.filter(|c| c.null_count() == 0).ok_or_else(|| internal("no numbers of parts"))?;
                for &number in column.values() {
                    if !numbers.insert(number) {
                        return Err(internal("a part would be read twice"));
                    }
                }
            }
            scan.read(numbers, whole)
        };
        let rows = futures::stream::once(rows).try_flatten();
        let projected = rows.map(move |batch| match &projection {
            Some(indices) => Ok(batch?.project(indices)?),
            None => batch,
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.properties.eq_properties.schema()), projected)))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    scan: DistantScan,
    projection: Option<Vec<usize>>,
}

/// An operator of ours as bytes; `None` for every other one.
#[must_use]
pub fn encode_scan(plan: &(dyn ExecutionPlan + 'static)) -> Option<Vec<u8>> {
    let scan = plan.downcast_ref::<ScanExec>()?;
    let wire = Wire { scan: scan.scan.as_ref().clone(), projection: scan.projection.clone() };
    serde_json::to_vec(&wire).ok()
}

/// The operator that [`encode_scan`] wrote, over the numbers of the parts that it is to read.
///
/// # Errors
/// When the bytes are no such operator.
pub fn decode_scan(bytes: &[u8], inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(|error| DataFusionError::External(error.into()))?;
    let [parts] = inputs else { return Err(internal("a scan reads one list of parts")) };
    Ok(Arc::new(ScanExec::new(Arc::new(wire.scan), wire.projection, Arc::clone(parts))?))
}
