//! Every change to the file system passes here, so that tests can make any of them fail: a full disk, a device error, a sync that
//! reports failure after the fact. Outside of tests nothing is added.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Runs one change.
#[cfg(not(test))]
pub(crate) fn change<T>(_path: &Path, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    operation()
}

#[cfg(not(test))]
fn allowed(_path: &Path, length: usize) -> (usize, Option<io::Error>) {
    (length, None)
}

/// Writes all bytes at the end of a new file.
pub(crate) fn write_all(mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (length, error) = allowed(path, bytes.len());
    file.write_all(bytes.get(..length).unwrap_or(bytes))?;
    error.map_or(Ok(()), Err)
}

/// Writes all bytes at a place of a file.
pub(crate) fn write_all_at(file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
    let (length, error) = allowed(path, bytes.len());
    file.write_all_at(bytes.get(..length).unwrap_or(bytes), at)?;
    error.map_or(Ok(()), Err)
}

#[cfg(test)]
pub(crate) use faults::{Mode, Plan, allowed, change};

#[cfg(test)]
mod faults {
    use std::path::PathBuf;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    static PLANS: Mutex<Vec<State>> = Mutex::new(Vec::new());

    /// How the change fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Mode {
        /// The disk is full from then on: half of what is written arrives, nothing new is made. Removing works.
        Full,
        /// It fails once, without effect.
        Once,
        /// It happens, but is reported as failed.
        Late,
    }

    struct State {
        root: PathBuf,
        left: u64,
        mode: Mode,
        fired: bool,
    }

    /// Lets the n-th change below a folder fail while this value lives.
    pub(crate) struct Plan(PathBuf);

    impl Plan {
        pub(crate) fn new(root: &Path, after: u64, mode: Mode) -> Self {
            let state = State { root: root.to_owned(), left: after, mode, fired: false };
            PLANS.lock().unwrap_or_else(PoisonError::into_inner).push(state);
            Self(root.to_owned())
        }

        /// Whether the change that was to fail was reached.
        pub(crate) fn fired(&self) -> bool {
            let plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
            plans.iter().any(|plan| plan.root == self.0 && plan.fired)
        }
    }

    impl Drop for Plan {
        fn drop(&mut self) {
            PLANS.lock().unwrap_or_else(PoisonError::into_inner).retain(|plan| plan.root != self.0);
        }
    }

    /// The fault that hits the next change at this path.
    fn next(path: &Path) -> Option<Mode> {
        let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.iter_mut().find(|plan| path.starts_with(&plan.root))?;
        if plan.fired {
            return (plan.mode == Mode::Full).then_some(Mode::Full);
        }
        plan.fired = plan.left == 0;
        plan.left = plan.left.saturating_sub(1);
        plan.fired.then_some(plan.mode)
    }

    fn error(mode: Mode) -> io::Error {
        match mode {
            Mode::Full => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
            Mode::Once | Mode::Late => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
        }
    }

    pub(crate) fn change<T>(path: &Path, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match next(path) {
            None => operation(),
            Some(Mode::Late) => {
                operation()?;
                Err(error(Mode::Late))
            }
            Some(mode) => Err(error(mode)),
        }
    }

    pub(crate) fn allowed(path: &Path, length: usize) -> (usize, Option<io::Error>) {
        match next(path) {
            None => (length, None),
            Some(Mode::Full) => (length / 2, Some(error(Mode::Full))),
            Some(Mode::Once) => (0, Some(error(Mode::Once))),
            Some(Mode::Late) => (length, Some(error(Mode::Late))),
        }
    }
}
