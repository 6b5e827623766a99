//! The façade: text in, facts out.

use std::ops::Range;

use gauntlet_limits::{Limit, LimitHit, Limits};
use ruff_python_ast::token::TokenKind;
use ruff_source_file::LineIndex;
use ruff_text_size::{Ranged, TextSize};
use serde::{Deserialize, Serialize};

use crate::bind::bind;
use crate::calls;
use crate::parse::{self, Parsed};
use crate::value::Call;

/// A place in a source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The last line.
    pub end_line: u32,
    /// First byte.
    pub start: u32,
    /// First byte behind.
    pub end: u32,
}

/// A comment, without its line's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Where it stands, the hash sign included.
    pub place: Place,
}

/// An imported module or member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Qualified name; dots lead for relative imports, `.*` ends a star import.
    pub name: String,
    /// Line, from 1.
    pub line: u32,
}

/// A place that the parser could not read. What follows was read all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// What the parser says.
    pub message: String,
}

/// What a source text says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Every call, in the order of the text.
    pub calls: Vec<Call>,
    /// Every import.
    pub imports: Vec<Import>,
    /// Every comment.
    pub comments: Vec<Comment>,
    /// What the parser could not read.
    pub errors: Vec<SyntaxError>,
}

/// The text was not analysed.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The code is deeper than any tree that is safe to build.
    #[error("code is too deep: {0}")]
    TooDeep(String),
    /// The text is longer than the limits allow.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// No thread with a large stack could be made.
    #[error("cannot start a thread for the parser")]
    Thread(#[source] std::io::Error),
    /// The parser failed on this text; a fault of the parser.
    #[error("the parser failed on this text")]
    Fault,
}

/// Analyses a module.
///
/// # Errors
/// [`PythonError`] when the text is too long or too deep, or the parser fails. Syntax errors are no error: they are
/// listed, and the rest is analysed.
pub fn analyze(source: &str, limits: &Limits) -> Result<Module, PythonError> {
    limits.check(Limit::TextBytes, source.len() as u64)?;
    parse::module(source, |parsed| describe(source, &parsed))
}

/// Analyses the cells of a notebook: each is parsed alone, names are shared. Cells must be in order and one newline
/// apart, as [`crate::notebook`] lays them out. IPython's escape commands are allowed.
///
/// # Errors
/// As [`analyze`].
pub fn analyze_cells(source: &str, cells: &[Range<usize>], limits: &Limits) -> Result<Module, PythonError> {
    limits.check(Limit::TextBytes, source.len() as u64)?;
    parse::cells(source, cells, |parsed| describe(source, &parsed))
}

fn describe(source: &str, parsed: &Parsed) -> Module {
    let lines = Lines::new(source);
    let bound = bind(parsed.body());
    let comments = parsed
        .tokens()
        .iter()
        .filter(|t| t.kind() == TokenKind::Comment)
        .map(|t| Comment { place: lines.place(t.range()) });
    Module {
        calls: calls::describe(&bound, &lines),
        imports: bound.imports.iter().map(|(name, at)| Import { name: name.clone(), line: lines.line(*at) }).collect(),
        comments: comments.collect(),
        errors: parsed
            .errors()
            .iter()
            .map(|e| SyntaxError { line: lines.line(e.location.start()), message: e.error.to_string() })
            .collect(),
    }
}

/// Turns offsets into places.
pub(crate) struct Lines<'a> {
    index: LineIndex,
    source: &'a str,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { index: LineIndex::from_source_text(source), source }
    }

    pub(crate) fn line(&self, at: TextSize) -> u32 {
        u32::try_from(self.index.line_index(at).get()).unwrap_or(u32::MAX)
    }

    pub(crate) fn place(&self, range: ruff_text_size::TextRange) -> Place {
        let line = self.line(range.start());
        let start = self.index.line_start(self.index.line_index(range.start()), self.source);
        // Long lines: counting characters up to the column would make many calls on one line quadratic.
        let before = &self.source[start.to_usize()..range.start().to_usize()];
        let column = if before.len() <= 4096 { before.chars().count() } else { before.len() };
        Place {
            line,
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
            end_line: self.line(range.end()),
            start: range.start().to_u32(),
            end: range.end().to_u32(),
        }
    }
}
