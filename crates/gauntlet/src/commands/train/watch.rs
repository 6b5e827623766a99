//! Shows what a run prints, and looks at the numbers in it.

use gauntlet_train::anomaly::{Monitor, Pattern};
use gauntlet_train::sandbox::{Stream, Watch};

use crate::terminal;

/// Lines that are shown; a run that prints more is told apart from one that is stuck by its numbers alone.
const MAX_SHOWN: u64 = 100_000;

/// Listens to one run.
pub(super) struct Watcher {
    pub(super) monitor: Monitor,
    pattern: Pattern,
    quiet: bool,
    stop: bool,
    shown: u64,
}

impl Watcher {
    /// `stop`: an anomaly ends the run.
    pub(super) fn new(names: &[String], quiet: bool, stop: bool) -> Self {
        Self { monitor: Monitor::default(), pattern: Pattern::new(names), quiet, stop, shown: 0 }
    }
}

impl Watch for Watcher {
    fn line(&mut self, _stream: Stream, line: &str) -> Option<String> {
        if !self.quiet {
            self.shown += 1;
            match self.shown {
                // Control characters of a stranger's program would reach the terminal.
                n if n <= MAX_SHOWN => terminal::note(&line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")),
                n if n == MAX_SHOWN + 1 => terminal::note("(further output is not shown)"),
                _ => {}
            }
        }
        let anomaly = self.monitor.line(&self.pattern, line)?;
        self.stop.then(|| anomaly.message.clone())
    }
}
