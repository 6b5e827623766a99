//! Says on stderr how far a run is, once it takes more than a second.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use gauntlet_core::{Progress, TreeFile};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const QUIET_FOR: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar on a terminal, a line every ten seconds elsewhere.
pub(crate) struct Meter {
    bar: ProgressBar,
    state: Mutex<State>,
    enabled: bool,
    terminal: bool,
}

struct State {
    started: Instant,
    shown: bool,
    last_line: Instant,
    what: String,
}

impl Meter {
    pub(crate) fn new(enabled: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let now = Instant::now();
        let state = State { started: now, shown: false, last_line: now, what: String::new() };
        Self { bar, state: Mutex::new(state), enabled, terminal }
    }

    /// Names the step that begins.
    pub(crate) fn step(&self, what: &str) {
        if let Ok(mut state) = self.state.lock() {
            what.clone_into(&mut state.what);
        }
        self.bar.set_message(what.to_owned());
        self.tick(0);
    }

    /// `bytes` more are done.
    pub(crate) fn tick(&self, bytes: u64) {
        if !self.enabled {
            return;
        }
        self.bar.inc(bytes);
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.started.elapsed() < QUIET_FOR {
            return;
        }
        if self.terminal {
            if !state.shown {
                state.shown = true;
                let style = ProgressStyle::with_template("{spinner} {msg} {bytes} {elapsed}");
                self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
                self.bar.enable_steady_tick(Duration::from_millis(120));
            }
        } else if !state.shown || state.last_line.elapsed() >= LINE_EVERY {
            state.shown = true;
            state.last_line = Instant::now();
            let done = indicatif::HumanBytes(self.bar.position());
            anstream::eprintln!("{}: {done} read, {} s", state.what, state.started.elapsed().as_secs());
        }
    }

    /// Clears the bar before the result is printed.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Meter {
    fn file_done(&self, file: &TreeFile) {
        self.tick(file.size);
    }
}

impl gauntlet_hunt::Listen for Meter {
    fn done(&self, bytes: u64) {
        self.tick(bytes);
    }
}
