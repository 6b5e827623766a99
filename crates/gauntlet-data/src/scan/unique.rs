//! Values that occur more than once: a stage of its own, grouped by value, which may spill to disk.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, UInt64Type};
use arrow::util::display::array_value_to_string;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::logical_expr::lit;
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::rows::{FirstRows, internal};
use super::{reference, ruled};
use crate::table::{POSITION, Problem, Scan, Table};

/// Rows that repeat the value of an earlier row: how many, and for the first of the repeated values its last row.
/// Nulls repeat nothing.
pub(super) async fn repeated(
    context: &SessionContext,
    table: &Arc<Table>,
    column: usize,
    partitions: usize,
) -> Result<(FirstRows, Vec<Problem>)> {
    let pass = Scan::new(Arc::clone(table), vec![column]);
    let value = ruled(table, column);
    let frame = context
        .read_table(pass.provider(partitions)?)?
        .filter(value.clone().is_not_null())?
        .aggregate(
            vec![value.alias("v")],
            vec![count(lit(1)).alias("n"), max(reference(POSITION.to_owned())).alias("last")],
        )?
        .filter(reference("n".to_owned()).gt(lit(1)))?;
    let mut stream = frame.execute_stream().await?;
    let mut out = FirstRows::default();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let counts = batch.column_by_name("n").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let places = batch.column_by_name("last").and_then(|c| c.as_primitive_opt::<UInt64Type>());
        let (Some(counts), Some(places), Some(values)) = (counts, places, batch.column_by_name("v")) else {
            return Err(internal("the result of the uniqueness stage has another shape"));
        };
        for i in 0..batch.num_rows() {
            out.count += counts.value(i).saturating_sub(1).cast_unsigned();
            let text = array_value_to_string(values, i)?;
            out.keep(places.value(i), || text);
        }
    }
    Ok((out, pass.finish().1))
}
