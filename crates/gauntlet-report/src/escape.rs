//! Text from subjects made harmless for where it is printed.

/// Whether a character may move a cursor, reorder text or hide in it.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// For terminals: control, direction and invisible characters become `\u{..}`.
pub(crate) fn terminal(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_dangerous(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

/// For XML 1.0 text and attributes, which cannot hold most control characters at all.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in terminal(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// For Markdown: no markup, HTML, table cell or mention can begin in it.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in terminal(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A zero-width joiner would be lost in copies; an entity is not.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_move_the_cursor_or_begin_markup() {
        let hostile = "a\u{1b}[31m\n\u{202e}b|<x>@y";
        assert_eq!(terminal(hostile), "a\\u{1b}[31m\\u{a}\\u{202e}b|<x>@y");
        assert_eq!(xml("<a b=\"'&\u{0}"), "&lt;a b=&quot;&apos;&amp;\\u{0}");
        assert_eq!(markdown("|<x>@y`"), "\\|&lt;x&gt;&#64;y\\`");
    }
}
