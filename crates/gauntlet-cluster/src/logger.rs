//! What the engine logs, on stderr: a node has no other way to say what it does.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            // Whoever closed stderr wants to know nothing.
            let _ = writeln!(std::io::stderr().lock(), "{level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Says from now on what `level` (`off`, `error`, `warn`, `info`, `debug`, `trace`) lets through; warnings for any other word.
pub(crate) fn start(level: Option<&str>) {
    log::set_max_level(level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Warn));
    // Another one is already there in tests.
    let _ = log::set_logger(&Stderr);
}
