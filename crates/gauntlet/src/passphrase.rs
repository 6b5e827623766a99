//! Passphrases come from an environment variable named by the user or from the terminal, never from the command line.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::UsageError;
use crate::terminal;

/// A passphrase from the environment variable `name`.
pub(crate) fn from_env(name: &str) -> anyhow::Result<Zeroizing<String>> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Zeroizing::new(value)),
        _ => Err(UsageError::new(format!("environment variable {name} holds no passphrase")).into()),
    }
}

/// A PIN from the first line of a file.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let refused = |what: String| UsageError::new(format!("cannot read the PIN from {}: {what}", path.display()));
    // The type first: opening a pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(|e| refused(e.to_string()))?;
    if !metadata.is_file() {
        return Err(refused("not a regular file".to_owned()).into());
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        terminal::note(&format!("warning: {} can be read by others: run `chmod 600` on it", path.display()));
    }
    let mut line = Zeroizing::new(String::with_capacity(MAX_PIN_FILE));
    let file = std::fs::File::open(path).map_err(|e| refused(e.to_string()))?;
    BufReader::new(file.take(MAX_PIN_FILE as u64)).read_line(&mut line).map_err(|e| refused(e.to_string()))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(refused("its first line is empty".to_owned()).into()),
        pin => Ok(Zeroizing::new(pin.to_owned())),
    }
}

/// Bytes of a PIN file that are read.
const MAX_PIN_FILE: usize = 4096;

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
