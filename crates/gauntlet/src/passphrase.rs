//! Passphrases come from an environment variable named by the user or from the terminal, never from the command line.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::UsageError;

/// A passphrase from the environment variable `name`.
pub(crate) fn from_env(name: &str) -> anyhow::Result<Zeroizing<String>> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Zeroizing::new(value)),
        _ => Err(UsageError::new(format!("environment variable {name} holds no passphrase")).into()),
    }
}

/// Asks on the controlling terminal without showing what is typed; `None` when there is no terminal.
pub(crate) fn ask(question: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else { return Ok(None) };
    write!(terminal, "{question}: ")?;
    terminal.flush()?;
    let shown = tcgetattr(&terminal)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(&terminal).read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &shown)?;
    writeln!(terminal)?;
    read.context("cannot read the passphrase")?;
    Ok(Some(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())))
}
