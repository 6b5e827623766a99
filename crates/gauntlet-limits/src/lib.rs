//! Budgets and bounded reading for untrusted input.
//!
//! Whatever reads bytes that a stranger wrote takes its [`Limits`] and spends from one [`Budget`]. Budgets count
//! bytes, members and steps, never seconds, so that the same input always gives the same answer. Reading goes
//! through [`ReadAt`] (random access without mapping the file: a file that shrinks under us is an error, not a
//! signal) and [`Stream`] (forward only, with a cheap skip).

#![forbid(unsafe_code)]

mod budget;
mod read;

pub use budget::{Budget, Limit, LimitHit, Limits};
pub use read::{Cursor, ReadAt, Sequential, Stream, Window};
