//! Confined, recorded training runs: what went in, under which limits it ran, and what came out.
//!
//! [`sandbox`] runs a command, [`record`] says what is known about the run, [`anomaly`] watches its metrics, [`replay`]
//! compares a second run with the first, [`runner`] writes the same limits for others, [`checks`] turns all that into
//! reports. Nothing here signs, stores or decides: whether a run may start comes in, signed, from outside.

#![forbid(unsafe_code)]

pub mod anomaly;
pub mod checks;
pub mod record;
pub mod replay;
pub mod runner;
pub mod sandbox;
