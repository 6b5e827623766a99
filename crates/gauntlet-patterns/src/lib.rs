//! Secrets and personal data in text: keyword automaton, then a fixed shape, then proof (checksum, structure, context).
//!
//! Works on bytes, knows nothing about files, and never calls an issuer. Leaves out names and addresses of people,
//! which need a language model, and encoded forms (base64 of a secret).
//!
//! Work is linear in the text: a keyword hit costs at most the length of the token behind it, and a step budget that
//! depends on the text's length alone ends a scan that hostile text has made expensive (see [`Scan::exhausted`]).

mod alphabet;
mod assignment;
mod checks;
mod digits;
mod kinds;
mod personal;
mod providers;
mod scanner;
mod shape;
mod special;

pub use kinds::{Confidence, Dialect, Families, Family, Kind, Match, Proof, kinds};
pub use providers::{Provider, providers};
pub use scanner::{PatternError, Scan, Scanner};
