//! The only place that knows how ruff's parser is called.

use std::ops::Range;

use ruff_python_ast::token::Tokens;
use ruff_python_ast::{ModModule, PySourceType, Stmt};
use ruff_python_parser::{Mode, ParseError, ParseOptions};
use ruff_text_size::{TextRange, TextSize};

use crate::guard;
use crate::module::PythonError;

/// Address space for the thread that parses; pages are taken only when touched. Trees within the limits of
/// [`guard`] need a tenth of it in unoptimised builds.
const STACK: usize = 256 << 20;

/// A parsed text.
pub(crate) struct Parsed(ruff_python_parser::Parsed<ModModule>);

impl Parsed {
    pub(crate) fn body(&self) -> &[Stmt] {
        &self.0.syntax().body
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        self.0.tokens()
    }

    pub(crate) fn errors(&self) -> &[ParseError] {
        self.0.errors()
    }
}

/// Parses a module and hands it to `work`, on the large stack.
pub(crate) fn module<R: Send>(source: &str, work: impl FnOnce(Parsed) -> R + Send) -> Result<R, PythonError> {
    on_large_stack(|| {
        guard::check(source, Mode::Module).map_err(|e| PythonError::TooDeep(e.to_string()))?;
        Ok(work(Parsed(ruff_python_parser::parse_unchecked_source(source, PySourceType::Python))))
    })
}

/// Parses cells one by one into one module and hands it to `work`, on the large stack.
pub(crate) fn cells<R: Send>(
    source: &str,
    cells: &[Range<usize>],
    work: impl FnOnce(Parsed) -> R + Send,
) -> Result<R, PythonError> {
    let mut ranges = Vec::with_capacity(cells.len());
    let mut next = 0;
    for cell in cells {
        let touching = next == 0 || cell.start == next;
        if !touching || source.get(cell.clone()).is_none() || cell.end < cell.start {
            return Err(PythonError::Fault);
        }
        next = cell.end + 1;
        let size = |n: usize| TextSize::try_from(n).map_err(|_| PythonError::Fault);
        ranges.push(TextRange::new(size(cell.start)?, size(cell.end)?));
    }
    if ranges.len() > 1 && ranges.windows(2).any(|w| source.as_bytes().get(w[0].end().to_usize()) != Some(&b'\n')) {
        return Err(PythonError::Fault);
    }
    on_large_stack(|| {
        for cell in cells {
            guard::check(&source[cell.clone()], Mode::Ipython).map_err(|e| PythonError::TooDeep(e.to_string()))?;
        }
        let options = ParseOptions::from(PySourceType::Ipynb);
        Ok(work(Parsed(ruff_python_parser::parse_cells_unchecked(source, ranges, &options))))
    })
}

/// Runs `work` on a thread of its own, where the tree is also dropped. A panic of the parser becomes an error.
fn on_large_stack<R: Send>(work: impl FnOnce() -> Result<R, PythonError> + Send) -> Result<R, PythonError> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).map_err(PythonError::Thread)?;
        thread.join().unwrap_or(Err(PythonError::Fault))
    })
}
