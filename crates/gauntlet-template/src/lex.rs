//! Text to parts: plain text, printed expressions, statements; and the tokens of the latter two.
//!
//! Follows `jinja2/lexer.py` with its default delimiters, which a template cannot change.

use std::ops::Range;
use std::sync::Arc;

use gauntlet_limits::{Budget, LimitHit};

use crate::string::unescape;

/// A stretch of the template.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Printed as it is.
    Text(Range<usize>),
    /// `{{ … }}`
    Expression(Piece),
    /// `{% … %}`
    Statement(Piece),
}

/// The inside of a pair of delimiters.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Where the delimiter opens.
    pub start: usize,
    /// Behind the delimiter that closes.
    pub end: usize,
    pub tokens: Vec<Token>,
    /// Why its tokens end before its end.
    pub broken: Option<&'static str>,
}

/// A token and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub at: usize,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Name(Arc<str>),
    /// The text, and whether escapes hide letters in it.
    Text(Arc<str>, bool),
    Integer(i64),
    /// A number whose value is of no concern: a fraction, or one beyond 64 bits.
    Number,
    Symbol(&'static str),
}

/// Bytes that are looked through for one step.
const SCAN: u64 = 64;

/// Longest first.
const SYMBOLS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// The parts of `text` in order.
pub(crate) fn split(text: &str, budget: &Budget) -> Result<Vec<Part>, LimitHit> {
    let mut parts = Vec::new();
    let mut at = 0;
    let bytes = text.as_bytes();
    let mut text_start = 0;
    while let Some(found) = next_delimiter(bytes, at) {
        let rest = text.get(found + 2..).unwrap_or("");
        if found > text_start {
            parts.push(Part::Text(text_start..found));
        }
        match bytes.get(found + 1) {
            Some(b'#') => match find(rest, "#}", budget)? {
                Some(end) => at = found + 2 + end + 2,
                None => {
                    parts.push(Part::Statement(Piece {
                        start: found,
                        end: found + 2,
                        tokens: Vec::new(),
                        broken: Some("a comment has no end"),
                    }));
                    // What an author hides behind a comment that never ends is looked at all the same.
                    at = found + 2;
                }
            },
            Some(b'%') => {
                if let Some((inside, after)) = raw(text, found, budget)? {
                    if !inside.is_empty() {
                        parts.push(Part::Text(inside));
                    }
                    at = after;
                } else {
                    let (mut piece, after) = tokens(text, found, "%}", budget)?;
                    piece.end = after;
                    parts.push(Part::Statement(piece));
                    at = after;
                }
            }
            _ => {
                let (mut piece, after) = tokens(text, found, "}}", budget)?;
                piece.end = after;
                parts.push(Part::Expression(piece));
                at = after;
            }
        }
        budget.steps(1)?;
        text_start = at;
    }
    if text_start < text.len() {
        parts.push(Part::Text(text_start..text.len()));
    }
    Ok(parts)
}

fn next_delimiter(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(2).position(|pair| matches!(pair, b"{{" | b"{%" | b"{#")).map(|found| from + found)
}

/// [`str::find`], paid for: what has no end is looked for again and again.
fn find(text: &str, wanted: &str, budget: &Budget) -> Result<Option<usize>, LimitHit> {
    let found = text.find(wanted);
    budget.steps(found.unwrap_or(text.len()) as u64 / SCAN)?;
    Ok(found)
}

/// The text of a raw block that begins at `start`, and where the block ends. A block without an end is none.
fn raw(text: &str, start: usize, budget: &Budget) -> Result<Option<(Range<usize>, usize)>, LimitHit> {
    let tag = text.get(start..).unwrap_or("");
    let Some(begin) = keyword(tag, "raw").map(|len| start + len) else { return Ok(None) };
    let mut from = begin;
    while let Some(found) = find(text.get(from..).unwrap_or(""), "{%", budget)? {
        let end = from + found;
        if let Some(len) = text.get(end..).and_then(|tag| keyword(tag, "endraw")) {
            return Ok(Some((begin..end, end + len)));
        }
        budget.steps(1)?;
        from = end + 2;
    }
    Ok(None)
}

/// The length of a statement that is one word only.
fn keyword(tag: &str, word: &str) -> Option<usize> {
    let inside = tag.strip_prefix("{%")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start().strip_prefix(word)?.trim_start();
    let rest = inside.strip_prefix(['-', '+']).unwrap_or(inside).strip_prefix("%}")?;
    Some(tag.len() - rest.len())
}

/// The tokens behind the delimiter at `start`, and where the piece ends.
fn tokens(text: &str, start: usize, close: &str, budget: &Budget) -> Result<(Piece, usize), LimitHit> {
    let mut piece = Piece { start, end: start, tokens: Vec::new(), broken: None };
    let mut at = start + 2;
    if matches!(text.as_bytes().get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    // Closing delimiters end nothing inside brackets: `{{ {'a': {}} }}`.
    let mut open = Vec::new();
    loop {
        budget.steps(1)?;
        let rest = text.get(at..).unwrap_or("");
        let Some(first) = rest.chars().next() else {
            piece.broken = Some("a pair of delimiters is not closed");
            return Ok((piece, text.len()));
        };
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if open.is_empty()
            && let Some(length) = closes(rest, close)
        {
            return Ok((piece, at + length));
        }
        let (kind, length) = match token(rest, first) {
            Ok(token) => {
                budget.steps(token.1 as u64 / SCAN)?;
                token
            }
            Err(message) => {
                // A string without an end was read to the end.
                budget.steps(rest.len() as u64 / SCAN)?;
                piece.broken = Some(message);
                return Ok((piece, resume(text, at, close)));
            }
        };
        if let Kind::Symbol(symbol) = kind {
            match symbol {
                "(" => open.push(")"),
                "[" => open.push("]"),
                "{" => open.push("}"),
                ")" | "]" | "}" if open.pop() != Some(symbol) => {
                    piece.broken = Some("brackets do not match");
                    return Ok((piece, resume(text, at, close)));
                }
                _ => {}
            }
        }
        piece.tokens.push(Token { at, kind });
        at += length;
    }
}

fn closes(rest: &str, close: &str) -> Option<usize> {
    if rest.starts_with(close) {
        return Some(close.len());
    }
    let trimmed = rest.strip_prefix('-').or_else(|| rest.strip_prefix('+').filter(|_| close == "%}"))?;
    trimmed.starts_with(close).then(|| close.len() + 1)
}

/// Where to go on behind what is no token: behind the next closing delimiter, if there is one.
fn resume(text: &str, at: usize, close: &str) -> usize {
    let rest = text.get(at..).unwrap_or("");
    rest.find(close).map_or(text.len(), |found| at + found + close.len())
}

fn token(rest: &str, first: char) -> Result<(Kind, usize), &'static str> {
    if matches!(first, '\'' | '"') {
        let body = rest.get(1..).unwrap_or("");
        let end = literal_end(body, first).ok_or("a string has no end")?;
        let (text, hidden) = body.get(..end).and_then(unescape).ok_or("a string has an escape that is none")?;
        return Ok((Kind::Text(text.into(), hidden), end + 2));
    }
    if first.is_ascii_digit() {
        return Ok(number(rest));
    }
    if first == '_' || first.is_alphanumeric() {
        let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
        return Ok((Kind::Name(rest.get(..end).unwrap_or("").into()), end));
    }
    let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
    symbol.map(|symbol| (Kind::Symbol(symbol), symbol.len())).ok_or("a character that begins nothing")
}

fn literal_end(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in body.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return Some(index);
        }
    }
    None
}

fn number(rest: &str) -> (Kind, usize) {
    let digits = |from: usize, radix: u32| {
        let tail = rest.get(from..).unwrap_or("");
        from + tail.find(|c: char| c != '_' && !c.is_digit(radix)).unwrap_or(tail.len())
    };
    let radix = match rest.get(..2) {
        Some("0x" | "0X") => Some(16),
        Some("0o" | "0O") => Some(8),
        Some("0b" | "0B") => Some(2),
        _ => None,
    };
    let value = |from: usize, end: usize, radix: u32| {
        let text: String = rest.get(from..end).unwrap_or("").chars().filter(|c| *c != '_').collect();
        i64::from_str_radix(&text, radix).map_or(Kind::Number, Kind::Integer)
    };
    if let Some(radix) = radix {
        let end = digits(2, radix);
        if end > 2 {
            return (value(2, end, radix), end);
        }
    }
    let whole = digits(0, 10);
    let byte = |at: usize| rest.as_bytes().get(at).copied().unwrap_or(0);
    let mut end = whole;
    if byte(end) == b'.' && byte(end + 1).is_ascii_digit() {
        end = digits(end + 1, 10);
    }
    if matches!(byte(end), b'e' | b'E') {
        let sign = usize::from(matches!(byte(end + 1), b'+' | b'-'));
        if byte(end + 1 + sign).is_ascii_digit() {
            end = digits(end + 1 + sign, 10);
        }
    }
    if end == whole { (value(0, whole, 10), whole) } else { (Kind::Number, end) }
}
