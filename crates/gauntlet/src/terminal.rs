//! Printing results: to stdout or, atomically, to a file.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;

/// Prints text. A reader that went away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// Prints bytes, or writes them to `output`.
pub(crate) fn deliver(bytes: &[u8], output: Option<&Path>) -> anyhow::Result<()> {
    match output {
        Some(path) => gauntlet_core::write_durably(path, bytes, 0o644)
            .with_context(|| format!("cannot write the result to {}", path.display())),
        None => print_bytes(bytes),
    }
}

fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Whether results for people may have colour.
pub(crate) fn colour(output: Option<&Path>) -> bool {
    output.is_none() && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Says something on stderr that is not the result.
pub(crate) fn note(message: &str) {
    anstream::eprintln!("{message}");
}
