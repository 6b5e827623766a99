//! The second pass: the cells of the sampled rows, and signatures of rows that may be near duplicates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringBuilder};
use arrow::compute::{concat, filter};
use arrow::datatypes::DataType;
use gauntlet_poisoning::{Matrix, Probabilities, Signature};

use super::cells::{lists, numbers, texts};
use super::config::Roles;
use super::first::{Seen, ticket};
use super::{Examined, Inquiry, read};
use crate::table::{Table, place};

/// Bytes that the sampled cells, and what is made of them, take at most.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes in memory for each byte of a sampled text: the text itself and the hashes of its words and pairs of words.
const OF_TEXT: u64 = 8;
/// Bytes of a text that are sampled: of a longer one the beginning and the end.
const MAX_TEXT: usize = 4_096;

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

/// Reads the rows. What could not be read is among the problems of `out`.
pub(super) fn collect(
    table: &Arc<Table>,
    roles: &Roles,
    inquiry: &Inquiry<'_>,
    seen: &Seen,
    out: &mut Examined,
) -> Result<Sample, String> {
    let wanted: BTreeSet<u64> = seen.candidates.iter().flat_map(|&(a, b)| [a, b]).collect();
    let mut drawn = Drawn { seed: inquiry.seed, ..Drawn::new(table, &seen.sample) };
    let mut signatures = BTreeMap::new();
    let problems = read(table, &mut |at, stored| {
        drawn.add(at, stored)?;
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
    out.problems.extend(problems);
    drawn.told(out);
    let Drawn { parts, places, .. } = drawn;
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
    sample.embedding = sample.embedded(table, roles, inquiry, out.rows)?;
    sample.predictions =
        inquiry.predictions.map(|given| sample.aligned(table, given, out.rows, "predictions")).transpose()?;
    Ok(sample)
}

/// The sample while it is read. When its cells take too many bytes, the half of its rows with the smaller hashes stays: what is
/// left in the end depends on the rows alone, and not on the pieces that they are read in.
struct Drawn {
    seed: u64,
    sample: BTreeSet<u64>,
    asked: usize,
    places: Vec<u64>,
    /// Bytes of each of these rows, and texts of which only the beginning and the end were taken.
    sizes: Vec<(u64, u64)>,
    parts: Vec<Vec<ArrayRef>>,
    bytes: u64,
    most: u64,
}

impl Drawn {
    fn new(table: &Table, sample: &BTreeSet<u64>) -> Self {
        Self {
            seed: 0,
            sample: sample.clone(),
            asked: sample.len(),
            places: Vec::with_capacity(sample.len()),
            sizes: Vec::with_capacity(sample.len()),
            parts: vec![Vec::new(); table.columns.len()],
            bytes: 0,
            most: MAX_BYTES,
        }
    }

    fn add(&mut self, at: &[u64], stored: &[ArrayRef]) -> Result<(), String> {
        let mask: BooleanArray = at.iter().map(|p| Some(self.sample.contains(p))).collect();
        if mask.true_count() == 0 {
            return Ok(());
        }
        let mut sizes = vec![(0, 0); mask.true_count()];
        for (part, array) in self.parts.iter_mut().zip(stored) {
            let array = filter(array, &mask).map_err(|e| e.to_string())?;
            for (row, (_, cut)) in sizes.iter_mut().enumerate() {
                *cut += u64::from(is_long(&array, row));
            }
            let array = short(&array);
            sizes.iter_mut().enumerate().for_each(|(row, (bytes, _))| *bytes += cell_bytes(&array, row));
            part.push(array);
        }
        self.places.extend(at.iter().filter(|p| self.sample.contains(p)));
        self.bytes += sizes.iter().map(|(bytes, _)| bytes).sum::<u64>();
        self.sizes.append(&mut sizes);
        while self.bytes > self.most && self.sample.len() > 1 {
            self.halve()?;
        }
        Ok(())
    }

    fn halve(&mut self) -> Result<(), String> {
        let mut tickets: Vec<(u64, u64)> = self.sample.iter().map(|&at| (ticket(at, self.seed), at)).collect();
        tickets.sort_unstable();
        tickets.truncate(tickets.len() / 2);
        self.sample = tickets.into_iter().map(|(_, at)| at).collect();
        let mask: BooleanArray = self.places.iter().map(|p| Some(self.sample.contains(p))).collect();
        for part in self.parts.iter_mut().filter(|part| !part.is_empty()) {
            let arrays: Vec<&dyn Array> = part.iter().map(AsRef::as_ref).collect();
            let whole = concat(&arrays).map_err(|e| e.to_string())?;
            *part = vec![filter(&whole, &mask).map_err(|e| e.to_string())?];
        }
        let mut kept = mask.values().iter();
        self.sizes.retain(|_| kept.next().unwrap_or(false));
        self.places.retain(|p| self.sample.contains(p));
        self.bytes = self.sizes.iter().map(|(bytes, _)| bytes).sum();
        Ok(())
    }

    /// Says what the sample lacks.
    fn told(&self, out: &mut Examined) {
        if self.sample.len() < self.asked {
            let (kept, asked, most) = (self.sample.len(), self.asked, self.most);
            out.left_out
                .push(format!("{asked} rows take more than {most} bytes: {kept} were compared with each other"));
        }
        let cut: u64 = self.sizes.iter().map(|(_, cut)| cut).sum();
        if cut > 0 {
            out.left_out.push(format!(
                "{cut} texts of the sample are longer than {MAX_TEXT} bytes: only their beginnings and ends were looked at"
            ));
        }
    }
}

fn is_long(array: &ArrayRef, row: usize) -> bool {
    let texts = array.as_string_opt::<i32>().filter(|texts| texts.is_valid(row));
    texts.is_some_and(|texts| texts.value(row).len() > MAX_TEXT)
}

/// Texts of a column, long ones without their middle.
fn short(array: &ArrayRef) -> ArrayRef {
    let Some(texts) = array.as_string_opt::<i32>().filter(|t| t.iter().flatten().any(|t| t.len() > MAX_TEXT)) else {
        return Arc::clone(array);
    };
    let mut out = StringBuilder::new();
    for text in texts {
        match text.filter(|text| text.len() > MAX_TEXT) {
            Some(long) => {
                let start = long.floor_char_boundary(MAX_TEXT / 2);
                let end = long.ceil_char_boundary(long.len() - MAX_TEXT / 2);
                let (start, end) = (long.get(..start).unwrap_or(""), long.get(end..).unwrap_or(""));
                // The words that the cuts went through are no words of the text.
                let start = start.rsplit_once(char::is_whitespace).map_or(start, |(words, _)| words);
                let end = end.split_once(char::is_whitespace).map_or(end, |(_, words)| words);
                out.append_value(format!("{start} {end}"));
            }
            None => out.append_option(text),
        }
    }
    Arc::new(out.finish())
}

/// Bytes of a cell and what is made of it.
fn cell_bytes(array: &ArrayRef, row: usize) -> u64 {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return OF_TEXT * u64::try_from(texts.value_length(row)).unwrap_or(0) + 8;
    }
    let width = match array.data_type() {
        DataType::FixedSizeList(_, width) => u64::try_from(*width).unwrap_or(0),
        DataType::List(_) => {
            array.as_list_opt::<i32>().map_or(1, |lists| u64::try_from(lists.value_length(row)).unwrap_or(0))
        }
        _ => 1,
    };
    8 * width
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

    fn embedded(
        &self,
        table: &Arc<Table>,
        roles: &Roles,
        inquiry: &Inquiry<'_>,
        total: u64,
    ) -> Result<Option<Matrix>, String> {
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
        let (_, columns) = self.aligned(table, given, total, "embeddings")?;
        let width = columns.len();
        let data =
            (0..self.rows()).flat_map(|row| columns.iter().map(move |c| c.get(row).copied().unwrap_or(f64::NAN)));
        #[expect(clippy::cast_possible_truncation, reason = "the precision of the matrix")]
        let data = data.map(|v| v as f32).collect();
        matrix(width, data)
    }

    /// Columns of another table for the rows of the sample; it has to have one row for each of the `total` of the one data file.
    fn aligned(
        &self,
        table: &Arc<Table>,
        given: &Arc<Table>,
        total: u64,
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
        if number != total || columns.iter().any(|c| c.len() != rows) {
            return Err(format!("the {what} have {number} rows, the data {total}"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    fn drawn(pieces: usize) -> (Vec<u64>, u64) {
        let sample: BTreeSet<u64> = (0..400).collect();
        let table = Table::from_sources(Vec::new()).0;
        let mut drawn = Drawn { parts: vec![Vec::new()], most: 60_000, seed: 3, ..Drawn::new(&table, &sample) };
        let places: Vec<u64> = (0..400).collect();
        for at in places.chunks(400_usize.div_ceil(pieces)) {
            let texts: ArrayRef =
                Arc::new(StringArray::from_iter_values(at.iter().map(|i| "x".repeat(*i as usize % 90))));
            drawn.add(at, &[texts]).unwrap();
        }
        assert_eq!(drawn.parts[0].iter().map(|a| a.len()).sum::<usize>(), drawn.places.len());
        assert_eq!(drawn.sizes.iter().map(|(bytes, _)| bytes).sum::<u64>(), drawn.bytes);
        (drawn.places.clone(), drawn.bytes)
    }

    #[test]
    fn a_sample_of_too_many_bytes_shrinks_the_same_way_in_any_pieces() {
        let (places, bytes) = drawn(1);
        assert!(bytes <= 60_000 && places.len() == 100, "{bytes} {}", places.len());
        for pieces in [2, 7, 400] {
            assert_eq!(drawn(pieces).0, places, "{pieces}");
        }
    }

    #[test]
    fn long_texts_lose_their_middle_and_nothing_else() {
        let long = format!("first {} last", "wörter ".repeat(2_000));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(long.as_str()), None, Some("short")]));
        let count = (0..3).filter(|&row| is_long(&texts, row)).count();
        let cut = short(&texts);
        let cut = cut.as_string::<i32>();
        assert!(cut.value(0).starts_with("first wörter") && cut.value(0).ends_with("wörter  last"));
        assert!(cut.value(0).len() <= MAX_TEXT + 1 && cut.value(0).split_whitespace().all(|w| long.contains(w)));
        assert_eq!((cut.is_null(1), cut.value(2), count), (true, "short", 1));
    }
}
