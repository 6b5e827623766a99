//! Offsets to lines and columns in bytes that need not be UTF-8.

/// Starts of lines.
pub(crate) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(crate) fn new(text: &[u8]) -> Self {
        let newlines = text.iter().enumerate().filter(|&(_, &b)| b == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(newlines).collect())
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|&start| start <= at)
    }

    /// The column in characters, from 1. Bytes that are no UTF-8 count one each.
    pub(crate) fn column(&self, text: &[u8], at: usize) -> usize {
        let start = self.0[self.line(at) - 1];
        let before = &text[start..at];
        // On very long lines bytes stand for characters, so that many matches on one line stay cheap.
        if before.len() > 4096 { before.len() + 1 } else { String::from_utf8_lossy(before).chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = "ab\n\u{e9}c\n".as_bytes();
        let lines = LineStarts::new(text);
        assert_eq!((lines.line(0), lines.line(2), lines.line(3)), (1, 1, 2));
        assert_eq!(lines.column(text, 5), 2);
    }
}
