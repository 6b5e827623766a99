//! The second pass: the cells of the sampled rows, and signatures of rows that may be near duplicates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{concat, filter};
use gauntlet_poisoning::{Matrix, Probabilities, Signature};

use super::cells::{lists, numbers, texts};
use super::config::Roles;
use super::first::Seen;
use super::{Inquiry, read};
use crate::table::{Table, place};

/// Cells of a sample at most, so that wide tables stay in memory.
const MAX_CELLS: usize = 200_000_000;

/// The sampled rows in order.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) places: Vec<u64>,
    pub(super) columns: Vec<ArrayRef>,
    /// Signatures of candidates for near duplicates.
    pub(super) signatures: BTreeMap<u64, Signature>,
    /// Files of the table.
    pub(super) paths: Vec<String>,
    /// Embeddings of the rows, from a column or a file.
    pub(super) embedding: Option<Matrix>,
    /// Somebody's predictions for the rows, as many columns as there are.
    pub(super) predictions: Option<(Vec<String>, Vec<Vec<f64>>)>,
    label: Option<usize>,
}

/// The sampled rows that have a label.
#[derive(Debug)]
pub(super) struct Labels {
    /// Indices into the sample.
    pub(super) rows: Vec<usize>,
    /// Class of each of these rows.
    pub(super) classes: Vec<u32>,
    /// Names of the classes.
    pub(super) names: Vec<String>,
}

/// Reads the rows.
pub(super) fn collect(table: &Arc<Table>, roles: &Roles, inquiry: &Inquiry<'_>, seen: &Seen) -> Result<Sample, String> {
    if seen.sample.len().saturating_mul(table.columns.len()) > MAX_CELLS {
        return Err(format!(
            "{} rows of {} columns are too many cells for a sample",
            seen.sample.len(),
            table.columns.len()
        ));
    }
    let wanted: BTreeSet<u64> = seen.candidates.iter().flat_map(|&(a, b)| [a, b]).collect();
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); table.columns.len()];
    let mut places = Vec::with_capacity(seen.sample.len());
    let mut signatures = BTreeMap::new();
    read(table, &mut |at, stored| {
        let mask: BooleanArray = at.iter().map(|p| Some(seen.sample.contains(p))).collect();
        if mask.true_count() > 0 {
            places.extend(at.iter().filter(|p| seen.sample.contains(p)));
            for (part, array) in parts.iter_mut().zip(stored) {
                part.push(filter(array, &mask).map_err(|e| e.to_string())?);
            }
        }
        let mask: BooleanArray = at.iter().map(|p| Some(wanted.contains(p))).collect();
        if mask.true_count() > 0 {
            let some: Vec<ArrayRef> =
                stored.iter().map(|a| filter(a, &mask)).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
            let chosen = at.iter().copied().filter(|p| wanted.contains(p));
            let signed = seen.signer.sign_all(&seen.elements.of(&some, mask.true_count()));
            signatures.extend(chosen.zip(signed).filter_map(|(p, s)| Some((p, s?))));
        }
        Ok(())
    })?;
    let columns = parts
        .iter()
        .zip(&table.columns)
        .map(|(part, column)| {
            let arrays: Vec<&dyn Array> = part.iter().map(AsRef::as_ref).collect();
            if arrays.is_empty() { Ok(arrow::array::new_empty_array(&column.scanned)) } else { concat(&arrays) }
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    let mut sample = Sample {
        places,
        columns,
        signatures,
        paths: table.files.iter().map(|f| f.path.clone()).collect(),
        embedding: None,
        predictions: None,
        label: roles.label,
    };
    sample.embedding = sample.embedded(table, roles, inquiry)?;
    sample.predictions = inquiry.predictions.map(|given| sample.aligned(table, given, "predictions")).transpose()?;
    Ok(sample)
}

impl Sample {
    pub(super) fn rows(&self) -> usize {
        self.places.len()
    }

    /// The rows that have a label; `None` when there are no classes to tell apart.
    pub(super) fn labels(&self, seen: &Seen) -> Option<Labels> {
        let names = seen.classes.as_ref().filter(|names| names.len() > 1)?;
        let values = self.label.and_then(|i| self.columns.get(i)).and_then(texts)?;
        // As good as one class for each row: a quantity.
        if names.len() * 2 > self.rows() {
            return None;
        }
        let number: BTreeMap<&str, u32> = names.iter().zip(0..).map(|(name, n)| (name.as_str(), n)).collect();
        let (mut rows, mut classes) = (Vec::new(), Vec::new());
        for row in (0..values.len()).filter(|&row| values.is_valid(row)) {
            if let Some(&class) = number.get(values.value(row)) {
                rows.push(row);
                classes.push(class);
            }
        }
        Some(Labels { rows, classes, names: names.clone() })
    }

    fn embedded(&self, table: &Arc<Table>, roles: &Roles, inquiry: &Inquiry<'_>) -> Result<Option<Matrix>, String> {
        let matrix = |width, data| Matrix::new(width, data).map(Some).map_err(|e| e.to_string());
        if let Some(column) = roles.embedding {
            let name = &table.columns[column].name;
            let (width, data) = self
                .columns
                .get(column)
                .and_then(lists)
                .ok_or_else(|| format!("column `{name}` holds no lists of numbers of one length"))?;
            return matrix(width, data);
        }
        let Some(given) = inquiry.embedding else { return Ok(None) };
        let (_, columns) = self.aligned(table, given, "embeddings")?;
        let width = columns.len();
        let data =
            (0..self.rows()).flat_map(|row| columns.iter().map(move |c| c.get(row).copied().unwrap_or(f64::NAN)));
        #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
        let data = data.map(|v| v as f32).collect();
        matrix(width, data)
    }

    /// Columns of another table for the rows of the sample; it has to have one row for each row of the one data file.
    fn aligned(
        &self,
        table: &Arc<Table>,
        given: &Arc<Table>,
        what: &str,
    ) -> Result<(Vec<String>, Vec<Vec<f64>>), String> {
        if table.files.len() != 1 {
            return Err(format!("{what} in a file of their own need a dataset of one file"));
        }
        let wanted: BTreeSet<u64> = self.places.iter().map(|&p| place(p).1).collect();
        let (mut names, mut columns): (Vec<String>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        let mut number = 0u64;
        let problems = read(given, &mut |at, stored| {
            let mut parts: Vec<(String, Vec<f64>)> = Vec::new();
            for (array, column) in stored.iter().zip(&given.columns) {
                if let Some((width, data)) = lists(array) {
                    for i in 0..width {
                        let values = data.iter().skip(i).step_by(width.max(1)).map(|&v| f64::from(v)).collect();
                        parts.push((format!("{}{i}", column.name), values));
                    }
                } else {
                    let values = numbers(array)
                        .ok_or_else(|| format!("column `{}` of the {what} holds no numbers", column.name))?;
                    parts.push((column.name.clone(), values));
                }
            }
            if columns.is_empty() {
                names = parts.iter().map(|(name, _)| name.clone()).collect();
                columns = vec![Vec::new(); parts.len()];
            }
            for row in 0..at.len() {
                if wanted.contains(&number) {
                    columns.iter_mut().zip(&parts).for_each(|(column, (_, part))| column.extend(part.get(row)));
                }
                number += 1;
            }
            Ok(())
        })?;
        if let Some(problem) = problems.first() {
            return Err(format!("{what}: {}: {}", problem.path, problem.what));
        }
        let rows = self.places.len();
        let last = wanted.last().copied().unwrap_or(0);
        if number <= last || columns.iter().any(|c| c.len() != rows) {
            return Err(format!("the {what} have {number} rows; the data have more"));
        }
        Ok((names, columns))
    }

    /// Predicted probabilities for these rows, in the order of the classes.
    pub(super) fn predicted(&self, labels: &Labels) -> Result<Option<Probabilities>, String> {
        let Some((names, columns)) = &self.predictions else { return Ok(None) };
        let by_name: Option<Vec<usize>> = labels
            .names
            .iter()
            .map(|class| names.iter().position(|n| n == class || *n == format!("p_{class}")))
            .collect();
        let order = match by_name {
            Some(order) => order,
            None if columns.len() == labels.names.len() => {
                // Without names, columns stand in the order of the sorted classes, as most libraries write them.
                let mut sorted: Vec<&String> = labels.names.iter().collect();
                let number = |name: &String| name.parse::<f64>().ok();
                sorted.sort_by(|a, b| match (number(a), number(b)) {
                    (Some(x), Some(y)) => x.total_cmp(&y),
                    _ => a.cmp(b),
                });
                labels.names.iter().filter_map(|n| sorted.iter().position(|s| *s == n)).collect()
            }
            None => {
                let (has, wants) = (columns.len(), labels.names.len());
                return Err(format!(
                    "the predictions have {has} columns for {wants} classes, and no names that tell which is which"
                ));
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "a probability")]
        let data = labels
            .rows
            .iter()
            .flat_map(|&row| {
                order.iter().map(move |&c| columns.get(c).and_then(|v| v.get(row)).map_or(f32::NAN, |p| *p as f32))
            })
            .collect();
        Probabilities::new(labels.names.len(), data).map(Some).map_err(|e| format!("predictions: {e}"))
    }
}
