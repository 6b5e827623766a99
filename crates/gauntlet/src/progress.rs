//! Says on stderr how far a run is, once it takes more than a second.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use gauntlet_core::{Progress, TreeFile};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const QUIET_FOR: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How often a long step without news is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A bar on a terminal, a line every ten seconds elsewhere.
pub(crate) struct Meter(Arc<Inner>);

struct Inner {
    bar: ProgressBar,
    state: Mutex<State>,
    enabled: bool,
    terminal: bool,
}

struct State {
    started: Instant,
    shown: bool,
    finished: bool,
    last_line: Instant,
    what: String,
}

impl Meter {
    pub(crate) fn new(enabled: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let now = Instant::now();
        let state = State { started: now, shown: false, finished: false, last_line: now, what: String::new() };
        let meter = Self(Arc::new(Inner { bar, state: Mutex::new(state), enabled, terminal }));
        if enabled {
            meter.watch();
        }
        meter
    }

    /// Shows steps that say nothing themselves, such as one long scan.
    fn watch(&self) {
        let meter = Arc::downgrade(&self.0);
        let look = move || loop {
            std::thread::sleep(LOOK_EVERY);
            match Weak::upgrade(&meter) {
                Some(inner) if !inner.state.lock().is_ok_and(|state| state.finished) => inner.tick(0),
                _ => return,
            }
        };
        // Without the thread there is less to see, and nothing is wrong.
        let _ = std::thread::Builder::new().name("progress".to_owned()).spawn(look);
    }

    /// Names the step that begins.
    pub(crate) fn step(&self, what: &str) {
        if let Ok(mut state) = self.0.state.lock() {
            what.clone_into(&mut state.what);
        }
        self.0.bar.set_message(what.to_owned());
        self.tick(0);
    }

    /// `bytes` more are done.
    pub(crate) fn tick(&self, bytes: u64) {
        self.0.tick(bytes);
    }

    /// Clears the bar before the result is printed.
    pub(crate) fn finish(&self) {
        if let Ok(mut state) = self.0.state.lock() {
            state.finished = true;
        }
        self.0.bar.finish_and_clear();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Inner {
    fn tick(&self, bytes: u64) {
        if !self.enabled {
            return;
        }
        self.bar.inc(bytes);
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.finished || state.what.is_empty() || state.started.elapsed() < QUIET_FOR {
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
            let seconds = state.started.elapsed().as_secs();
            match self.bar.position() {
                0 => anstream::eprintln!("{}: {seconds} s", state.what),
                bytes => anstream::eprintln!("{}: {} read, {seconds} s", state.what, indicatif::HumanBytes(bytes)),
            }
        }
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
