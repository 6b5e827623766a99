//! Offsets in a text to lines and columns.

use crate::facts::Place;

/// Bytes of a line whose characters are counted.
const LINE: usize = 64 << 10;

/// Offsets to lines.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(crate) fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or("");
        // Counting characters of a line again and again must not cost more than reading the text.
        let column = if before.len() <= LINE { before.chars().count() } else { before.len() };
        Place { line: line as u64, column: column as u64 + 1 }
    }
}
