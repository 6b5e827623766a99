//! The binary: arguments, wiring, progress. No judgement lives here.

fn main() {}
