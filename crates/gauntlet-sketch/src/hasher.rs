//! Hashes of single cells and rows, for comparing tables row by row.

use crate::column::ColumnSketch;
use crate::content::RowSums;
use crate::scratch::Scratch;
use crate::table::Cells;
use crate::update::UpdateError;
use crate::value::Kind;

/// Hashes cells and rows as the content hash does: equal values of equally named columns have equal hashes, whatever
/// table and file format they come from.
#[derive(Debug)]
pub struct RowHasher {
    columns: Vec<ColumnSketch>,
    scratch: Box<Scratch>,
    sums: RowSums,
}

impl RowHasher {
    /// For these columns, by name and family.
    #[must_use]
    pub fn new<'a>(columns: impl Iterator<Item = (&'a str, Kind)>) -> Self {
        Self {
            columns: columns.map(|(name, kind)| ColumnSketch::new(name, kind, None, None)).collect(),
            scratch: Box::default(),
            sums: RowSums::default(),
        }
    }

    /// The 128-bit hash of each cell of column `i`, in two halves.
    ///
    /// # Errors
    /// When the array is no array of that column's family.
    pub fn cells(&mut self, i: usize, cells: &Cells<'_>) -> Result<(&[u64], &[u64]), UpdateError> {
        self.sums.reset(cells.values.len());
        self.add(i, cells)?;
        Ok((&self.sums.first, &self.sums.second))
    }

    /// The 128-bit hash of each row over some columns: what the content hash is the sum of, when they are all.
    ///
    /// # Errors
    /// When the batch does not fit the columns.
    pub fn rows(&mut self, batch: &[(usize, Cells<'_>)]) -> Result<Vec<u128>, UpdateError> {
        let rows = batch.first().map_or(0, |(_, cells)| cells.values.len());
        self.sums.reset(rows);
        for (i, cells) in batch {
            if cells.values.len() != rows {
                return Err(UpdateError::Shape("columns of different lengths"));
            }
            self.add(*i, cells)?;
        }
        Ok(self.sums.rows().collect())
    }

    fn add(&mut self, i: usize, cells: &Cells<'_>) -> Result<(), UpdateError> {
        let column = self.columns.get_mut(i).ok_or(UpdateError::Shape("no such column"))?;
        if Kind::of(cells.values.data_type()) != column.kind {
            let found = cells.values.data_type().to_string();
            return Err(UpdateError::Kind { column: i, expected: column.kind.as_str(), found });
        }
        column.update(cells.values, cells.texts, &mut self.scratch, &mut self.sums)
    }
}
