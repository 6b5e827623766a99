//! A constant patch in images: windows of four pixels that take the same values in rows of one label, which the rest of the
//! image does not explain.

use crate::error::{Error, check_labels};
use crate::matrix::Matrix;
use crate::stats::as_f64;
use crate::trigger::{Items, TriggerOptions, surprise, triggers};

const LEVELS: f32 = 16.0;
/// Pixels of all rows that are looked at.
const MAX_CELLS: usize = 20_000_000;
/// How much the rows of two windows have to agree (Jaccard).
const SAME_ROWS: f64 = 0.8;
/// Standard deviations by which the label has to be more frequent than the rest of the image explains.
const SURPRISE: f64 = 8.0;

/// A patch and who carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Its pixels as (column, row) of the image, sorted.
    pub cells: Vec<(usize, usize)>,
    /// The label it comes with.
    pub label: u32,
    /// Rows of the matrix that carry it.
    pub rows: Vec<usize>,
}

/// Finds patches in images of `width` times the rest of the columns, one channel, one image a row. `expected` is what a model
/// gives a label in a row when it does not see these cells: a stroke that belongs to its class surprises no model.
///
/// # Errors
/// Labels that are not one a row, or a width that does not divide the columns.
pub fn patches(
    images: &Matrix,
    width: usize,
    labels: &[u32],
    classes: usize,
    expected: &dyn Fn(usize, &[usize], u32) -> f64,
) -> Result<Vec<Patch>, Error> {
    check_labels(labels, images.rows(), classes)?;
    if width == 0 || !images.columns().is_multiple_of(width) {
        return Err(Error::Shape { what: "pixels of an image", expected: width, actual: images.columns() });
    }
    let height = images.columns() / width;
    let finite = images.iter().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low >= high || width < 2 || height < 2 {
        return Ok(Vec::new());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 15, NaN is 0")]
    let level = |value: f32| ((value - low) / (high - low) * (LEVELS - 1.0)).round() as u8;
    let step = (images.rows() * images.columns()).div_ceil(MAX_CELLS).max(1);
    let seen: Vec<usize> = (0..images.rows()).step_by(step).collect();
    let background = background(seen.iter().flat_map(|&row| images.row(row)).map(|&v| level(v)));
    let mut items = Items::default();
    for &row in &seen {
        let pixels = images.row(row);
        let window = |corner: usize| {
            let values = [corner, corner + 1, corner + width, corner + width + 1].map(|cell| level(pixels[cell]));
            let blank = values.contains(&background);
            (!blank).then(|| (corner as u64) << 32 | values.iter().fold(0, |all, v| all << 8 | u64::from(*v)))
        };
        let corners = (0..height - 1).flat_map(|y| (0..width - 1).map(move |x| y * width + x));
        items.push(corners.filter_map(window).collect());
    }
    let seen_labels: Vec<u32> = seen.iter().map(|&row| labels[row]).collect();
    let options = TriggerOptions { pairs: false, ..TriggerOptions::for_rows(seen.len()) };
    let windows: Vec<(usize, u32, Vec<usize>)> = triggers(&items, &seen_labels, classes, &options)?
        .into_iter()
        .filter_map(|t| t.items.first().map(|&i| (usize::try_from(i >> 32).unwrap_or(0), t.label, items.with(&[i]))))
        .collect();
    let mut out = Vec::new();
    for (group, label) in groups(&windows, width) {
        let mut cells: Vec<usize> =
            group.iter().map(|&i| windows[i].0).flat_map(|c| [c, c + 1, c + width, c + width + 1]).collect();
        cells.sort_unstable();
        cells.dedup();
        // A row carries the patch when it has most of its windows.
        let mut counts = vec![0usize; seen.len()];
        group.iter().flat_map(|&i| &windows[i].2).for_each(|&row| counts[row] += 1);
        let rows: Vec<usize> = (0..seen.len()).filter(|&r| 2 * counts[r] > group.len()).map(|r| seen[r]).collect();
        let probabilities: Vec<f64> = rows.iter().map(|&row| expected(row, &cells, label)).collect();
        let with_label = rows.iter().filter(|&&row| labels[row] == label).count();
        if surprise(with_label, &probabilities) >= SURPRISE {
            let mut pixels: Vec<_> = cells.into_iter().map(|cell| (cell % width, cell / width)).collect();
            pixels.sort_unstable();
            out.push(Patch { cells: pixels, label, rows });
        }
    }
    Ok(out)
}

/// The most frequent level.
fn background(levels: impl Iterator<Item = u8>) -> u8 {
    let mut counts = [0usize; 256];
    levels.for_each(|level| counts[usize::from(level)] += 1);
    let most = (0..=u8::MAX).max_by_key(|&level| (counts[usize::from(level)], u8::MAX - level));
    most.unwrap_or(0)
}

/// Windows that touch, come with one label and lie in the same rows.
fn groups(windows: &[(usize, u32, Vec<usize>)], width: usize) -> Vec<(Vec<usize>, u32)> {
    let mut used = vec![false; windows.len()];
    let mut out = Vec::new();
    for start in 0..windows.len() {
        let mut group = Vec::new();
        let mut open = vec![start];
        while let Some(i) = open.pop() {
            if std::mem::replace(&mut used[i], true) {
                continue;
            }
            group.push(i);
            let joined = |j: usize| {
                !used[j]
                    && windows[i].1 == windows[j].1
                    && touching(windows[i].0, windows[j].0, width)
                    && jaccard(&windows[i].2, &windows[j].2) >= SAME_ROWS
            };
            open.extend((0..windows.len()).filter(|&j| joined(j)));
        }
        if !group.is_empty() {
            out.push((group, windows[start].1));
        }
    }
    out
}

fn touching(a: usize, b: usize, width: usize) -> bool {
    a != b && (a % width).abs_diff(b % width) <= 1 && (a / width).abs_diff(b / width) <= 1
}

fn jaccard(a: &[usize], b: &[usize]) -> f64 {
    let common = a.iter().filter(|row| b.binary_search(row).is_ok()).count();
    as_f64(common) / as_f64((a.len() + b.len() - common).max(1))
}
