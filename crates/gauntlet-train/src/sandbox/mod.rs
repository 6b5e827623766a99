//! A confined run: one command in namespaces of its own, over read-only inputs and scratch that is destroyed, under limits.
//!
//! Three processes make it. The caller holds the limits and collects what comes back ([`supervise`]); a first stage leaves
//! the caller's namespaces and follows what is opened ([`outer`]); a second is the first process of the new namespaces and
//! starts the command ([`init`]). Both stages are this program under a hidden command, because setting them up between fork
//! and exec would not be safe Rust.

mod bubblewrap;
mod cgroup;
mod init;
mod limits;
mod mounts;
mod outer;
mod outputs;
mod privileges;
mod proxy;
mod seccomp;
mod supervise;
mod trace;
mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gauntlet_core::Digest;
use gauntlet_core::project::{Prices, TrainingLimits};
use serde::{Deserialize, Serialize};

pub use limits::{LimitName, LimitState, affordable};
pub use proxy::Connection;
pub use supervise::run;
pub use wire::{Mechanism, Opened};

/// Where the working folder is inside.
pub const WORK: &str = "/work";
/// Where the proxy's socket is inside.
const PROXY_SOCKET: &str = "/run/gauntlet/proxy.sock";

/// What a hidden command of the program does; it never returns to the rest of the program. `arguments` are those behind the
/// hidden command: the stage and the control socket.
#[must_use]
pub fn stage_main(stage: &str, arguments: &[OsString]) -> ExitCode {
    let [which, socket] = arguments else { return ExitCode::FAILURE };
    let socket = Path::new(socket);
    let done = match which.to_str() {
        Some("outer") => outer::run(socket, stage),
        Some("init") => init::run(socket),
        Some("hold") => bubblewrap::hold(socket),
        _ => return ExitCode::FAILURE,
    };
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How to start the stages.
#[derive(Clone, Debug)]
pub struct Stages {
    /// The program, which calls [`stage_main`] when it sees the hidden command.
    pub program: PathBuf,
    /// The hidden command.
    pub command: String,
}

/// What to run, and in what confinement.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment variables besides those that every run has.
    pub environment: BTreeMap<String, String>,
    /// Files that are copied into the working folder: from, path inside the working folder.
    pub code: Vec<(PathBuf, PathBuf)>,
    /// Files and folders that are mounted read-only: from, absolute path inside.
    pub inputs: Vec<(PathBuf, PathBuf)>,
    /// Folders of the system besides the usual ones, such as an interpreter's: mounted read-only where they are.
    pub system: Vec<PathBuf>,
    /// Files and folders that are handed back, relative to the working folder.
    pub outputs: Vec<PathBuf>,
    /// Hosts that may be reached: `name` or `name:port`.
    pub hosts: Vec<String>,
    /// What it may use up, without gaps.
    pub limits: TrainingLimits,
    /// What that costs.
    pub prices: Prices,
    /// Whether opens are recorded.
    pub trace: bool,
    /// Mechanisms that the run may do without.
    pub without: Vec<Mechanism>,
    /// The bubblewrap program, to let it build mounts and namespaces.
    pub bubblewrap: Option<PathBuf>,
    /// Folder that outputs are written to.
    pub staging: PathBuf,
}

/// Listens to a run.
pub trait Watch {
    /// A line of output, without its end; a reason stops the run.
    fn line(&mut self, stream: Stream, line: &str) -> Option<String>;
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It was killed as a whole because it went over this limit.
    OverLimit(LimitName),
    /// It was killed because the watch said so.
    Stopped(String),
}

/// Whether a mechanism was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MechanismState {
    /// Which one.
    pub mechanism: Mechanism,
    /// Whether it was in force.
    pub enforced: bool,
    /// What the system said when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A file that came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Path relative to the working folder.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub digest: Digest,
    /// Whether it may be executed.
    pub executable: bool,
}

/// What was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Milliseconds on the wall clock.
    pub wall_ms: u64,
    /// Milliseconds of all cores together; null when nobody counted.
    pub cpu_ms: Option<u64>,
    /// The most memory at one time, in bytes; null when nobody counted.
    pub memory: Option<u64>,
    /// The most processes at one time; null when nobody counted.
    pub processes: Option<u64>,
}

/// What a run amounted to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Which mechanisms were in force.
    pub mechanisms: Vec<MechanismState>,
    /// How each limit was enforced.
    pub limits: Vec<LimitState>,
    /// What was opened; `None` when nobody looked.
    pub opened: Option<Vec<Opened>>,
    /// Whether more was opened than is kept.
    pub opened_more: bool,
    /// Programs that were executed, by their paths inside.
    pub executed: Vec<String>,
    /// Hosts that were asked for.
    pub connections: Vec<Connection>,
    /// What came back, in [`Job::staging`]. Nothing of a run that was killed.
    pub outputs: Vec<OutputFile>,
    /// What of the outputs did not come back, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// What was used up.
    pub usage: Usage,
    /// Processes that the command left behind and that were killed.
    pub survivors: u64,
    /// Environment inside.
    pub environment: BTreeMap<String, String>,
}

/// A run that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The system refused what a run may not do without.
    #[error("this system refuses to confine the run: {}", refused.join("; "))]
    Refused {
        /// Mechanism and reason.
        refused: Vec<String>,
    },
    /// More GPUs were asked for than there are.
    #[error("{wanted} GPUs were asked for and {there} are here")]
    Gpus {
        /// Asked for.
        wanted: u32,
        /// Device nodes that are here.
        there: u32,
    },
    /// A stage failed.
    #[error("the run could not be set up: {0}")]
    Stage(String),
    /// The system failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SandboxError {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}
