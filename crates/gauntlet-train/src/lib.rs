//! Confined, recorded training runs: what went in, under which limits it ran, and what came out.

#![forbid(unsafe_code)]
