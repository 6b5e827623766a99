//! Names and messages that a stranger chose, made safe to show.

use std::fmt::Write as _;

/// Longest text shown in one place, in characters.
const MAX_CHARS: usize = 1_000;

/// Makes everything that moves the cursor, hides, or turns the direction of writing visible: control characters, bidi
/// controls, zero-width and format characters, line separators. Long texts are cut.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_CHARS));
    for (count, c) in text.chars().enumerate() {
        if count == MAX_CHARS {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if hidden(c) => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// Breaks text into lines of at most `width` characters, at spaces where there are any.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let mut word: &str = word;
        let mut count = word.chars().count();
        if length > 0 && length + 1 + count > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        while count > width {
            let at = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
            lines.push(word[..at].to_owned());
            word = &word[at..];
            count -= width;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += count;
    }
    lines.push(line);
    lines
}

/// Bytes for people: `12.3 MB`, in powers of 1,000.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1_000;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A number with its noun: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_hides_or_moves_the_cursor() {
        assert_eq!(
            visible("a\u{1b}[2Jb\u{202e}c\nd\u{200b}\u{9b}é漢"),
            "a\\u{1b}[2Jb\\u{202e}c\\nd\\u{200b}\\u{9b}é漢"
        );
        assert_eq!(visible(&"x".repeat(5_000)).chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567, 999_999_999].map(bytes),
            ["0 B", "999 B", "1.0 kB", "1.2 MB", "999.9 MB"]
        );
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
        assert_eq!(counted(1, "file"), "1 file");
    }

    proptest! {
        #[test]
        fn lines_fit_and_lose_nothing(text in "[a-zé漢 ]{0,120}", width in 1..40_usize) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
            let squeeze = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }

        #[test]
        fn shown_text_holds_no_control_characters(text in "\\PC*|(.|\n){0,50}") {
            prop_assert!(!visible(&text).chars().any(hidden));
        }
    }
}
