//! Jinja templates from strangers (the chat templates of language models): what rendering one would reach, by its syntax
//! tree and never by rendering it.
//!
//! The parser is our own. minijinja's accepts another language: no escapes such as `'\x5f'` and no adjacent strings,
//! which are what attacks are written with, no `{% generation %}`, and nothing is left of a template whose one tag is
//! strange. This one follows Jinja 3.1 (`jinja2/lexer.py`, `jinja2/parser.py`), goes on behind what it cannot parse, says
//! so, and reads the words of that part all the same. Trees live in an arena in evaluation order, so that no input makes
//! anything recurse; expressions nest as deep as a fixed limit.
//!
//! Names of attributes are *computed*: constants go through operators, filters, methods, variables, macros, loops and
//! captured text to where they are used (see `value.rs`). What cannot be computed is a fact of its own.

#![forbid(unsafe_code)]

mod call;
mod evaluate;
mod expression;
mod facts;
mod filter;
mod format;
mod growth;
mod lex;
mod lines;
mod statement;
mod string;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use gauntlet_limits::{Budget, Limit, LimitHit, Limits};

pub use facts::{Attribute, Computed, Growth, GrowthKind, How, Load, LoadKind, Named, Place, Problem, TemplateFacts};

/// What rendering `text` would reach.
///
/// # Errors
/// [`LimitHit`] when the text is longer than [`Limits::text_bytes`], has more tokens than [`Limits::steps`] leave, or
/// more syntax nodes than [`Limits::nodes`].
pub fn analyze(text: &str, budget: &Budget) -> Result<TemplateFacts, LimitHit> {
    budget.limits().check(Limit::TextBytes, text.len() as u64)?;
    let parts = lex::split(text, budget)?;
    let tree = statement::parse(text, parts, budget)?;
    evaluate::facts(text, tree, budget)
}

/// Whether a text holds anything that Jinja would evaluate.
#[must_use]
pub fn looks_like_template(text: &str) -> bool {
    [("{{", "}}"), ("{%", "%}")]
        .iter()
        .any(|(open, close)| text.split_once(open).is_some_and(|(_, rest)| rest.contains(close)))
}

/// [`analyze`] over any bytes; for fuzzing and tests. Panics never, whatever the bytes are.
#[must_use]
pub fn exercise(bytes: &[u8], limits: &Limits) -> Option<TemplateFacts> {
    let text = String::from_utf8_lossy(bytes);
    let _ = looks_like_template(&text);
    analyze(&text, &Budget::new(limits.clone())).ok()
}
