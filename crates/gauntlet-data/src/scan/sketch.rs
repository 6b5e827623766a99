//! `column_sketch(part, parameters, columns…)`: the summaries of all columns and the content hash in one aggregate, because
//! a row's hash needs its cells side by side. Parameters are an argument and the state is bytes with a version, so a plan
//! with it can be sent to another process as it is.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, UInt32Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Expr, Signature, Volatility, lit};
use gauntlet_sketch::{Cells, ColumnSpec, Kind, Profile, SketchOptions, TableSketch};
use serde::{Deserialize, Serialize};

use super::function::aggregate;
use super::rows::internal;
use super::{raw, reference};
use crate::table::{Column, PART, Table, typed_name};

/// What the function is told.
#[derive(Debug, Serialize, Deserialize)]
struct Parameters {
    columns: Vec<Parameter>,
    options: SketchOptions,
}

#[derive(Debug, Serialize, Deserialize)]
struct Parameter {
    #[serde(flatten)]
    spec: ColumnSpec,
    /// Two arguments: the texts, and what they were parsed as.
    typed: bool,
}

/// The function for the engine.
pub(crate) fn column_sketch() -> AggregateUDF {
    aggregate::<State>("column_sketch", Signature::variadic_any(Volatility::Immutable))
}

/// A call over all columns of the table.
pub(super) fn call(table: &Table, options: &SketchOptions) -> Result<Expr> {
    let (specs, mut arguments) = (specs(table), Vec::new());
    for (i, (_, _, typed)) in specs.iter().enumerate() {
        arguments.push(raw(i));
        if *typed {
            arguments.push(reference(typed_name(i)));
        }
    }
    let columns = specs.into_iter().map(|(spec, _, typed)| Parameter { spec, typed }).collect();
    let parameters = serde_json::to_string(&Parameters { columns, options: options.clone() })
        .map_err(|error| DataFusionError::External(error.into()))?;
    // As a dictionary: a plain text would be copied for every row.
    let parameters = ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(ScalarValue::Utf8(Some(parameters))));
    let mut all = vec![reference(PART.to_owned()), lit(parameters)];
    all.append(&mut arguments);
    Ok(column_sketch().call(all))
}

/// The profile from what the function answered. A table without rows has no answer.
pub(super) fn profile(table: &Table, options: &SketchOptions, state: Option<&[u8]>) -> Result<Profile> {
    let sketch = match state {
        Some(bytes) => decode(bytes)?,
        None => {
            let columns = specs(table).into_iter().map(|(spec, kind, _)| (spec, kind)).collect();
            TableSketch::new(columns, options.clone())
        }
    };
    Ok(sketch.finish())
}

/// Name and type of each column, its family, and whether a contract types its texts.
fn specs(table: &Table) -> Vec<(ColumnSpec, Kind, bool)> {
    let spec = |column: &Column| {
        let data_type = match &column.typed {
            Some(typed) => typed,
            None => &column.stored,
        };
        let name = column.name.clone();
        let spec = ColumnSpec { name, data_type: data_type.to_string() };
        (spec, Kind::of(column.rule_type()), column.typed.is_some())
    };
    table.columns.iter().map(spec).collect()
}

#[derive(Debug, Default)]
struct State {
    /// `None` before the first row.
    sketch: Option<TableSketch>,
    /// Whether each column has two arguments.
    typed: Vec<bool>,
}

impl State {
    fn begin(&mut self, parameters: &ArrayRef, arguments: &[ArrayRef]) -> Result<TableSketch> {
        let text = match parameters.as_any_dictionary_opt() {
            Some(dictionary) => dictionary.values(),
            None => parameters,
        };
        let text = text.as_string_opt::<i32>().filter(|t| t.len() > 0 && t.is_valid(0)).map(|t| t.value(0));
        let parameters: Parameters = text
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| internal("column_sketch has no parameters"))?;
        self.typed = parameters.columns.iter().map(|column| column.typed).collect();
        let cells = cells(&self.typed, arguments)?;
        let kinds = cells.iter().map(|cells| Kind::of(cells.values.data_type()));
        let columns = parameters.columns.into_iter().map(|column| column.spec).zip(kinds).collect();
        Ok(TableSketch::new(columns, parameters.options))
    }
}

/// Arguments as columns.
fn cells<'a>(typed: &[bool], arguments: &'a [ArrayRef]) -> Result<Vec<Cells<'a>>> {
    let mut arguments = arguments.iter();
    let mut next = || arguments.next().ok_or_else(|| internal("column_sketch lacks a column"));
    let mut out = Vec::with_capacity(typed.len());
    for &typed in typed {
        let first = next()?;
        let cells =
            if typed { Cells { values: next()?, texts: Some(first) } } else { Cells { values: first, texts: None } };
        out.push(cells);
    }
    Ok(out)
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [parts, parameters, columns @ ..] = values else {
            return Err(internal("column_sketch takes a part, parameters and columns"));
        };
        let parts = parts.as_primitive_opt::<UInt32Type>().ok_or_else(|| internal("no part"))?;
        if parts.is_empty() {
            return Ok(());
        }
        let mut sketch = match self.sketch.take() {
            Some(sketch) => sketch,
            None => self.begin(parameters, columns)?,
        };
        let mut start = 0;
        for run in parts.values().chunk_by(|a, b| a == b) {
            let part = run.first().copied().map_or(0, u64::from);
            if run.len() == parts.len() {
                sketch.update(part, &cells(&self.typed, columns)?).map_err(external)?;
            } else {
                let slices: Vec<ArrayRef> = columns.iter().map(|column| column.slice(start, run.len())).collect();
                sketch.update(part, &cells(&self.typed, &slices)?).map_err(external)?;
            }
            start += run.len();
        }
        self.sketch = Some(sketch);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(self.sketch.as_mut().map(TableSketch::to_state)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketch.as_ref().map_or(0, TableSketch::size)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states.first().and_then(|s| s.as_binary_opt::<i32>()).ok_or_else(|| internal("no state"))?;
        for state in states.iter().flatten() {
            let other = decode(state)?;
            match &mut self.sketch {
                Some(sketch) => sketch.merge(other).map_err(external)?,
                None => self.sketch = Some(other),
            }
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Result<TableSketch> {
    TableSketch::from_state(bytes, &SketchOptions::default()).map_err(external)
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
