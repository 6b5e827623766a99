//! What the stages of a confined run tell each other: one JSON object a line over a Unix socket, file content in between.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest line that is read; lists are cut into lines of at most [`LIST`] entries.
const MAX_LINE: u64 = 16 << 20;
/// Entries of one line of opens.
pub(crate) const LIST: usize = 2_000;

/// One means of confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// Own user ids: no privilege over anything outside.
    UserNamespace,
    /// Own process ids: nothing outside can be seen or signalled, and everything ends with the first process.
    PidNamespace,
    /// Own mounts.
    MountNamespace,
    /// Own network, with a loopback device and nothing else.
    NetworkNamespace,
    /// Own System V and POSIX message queues and shared memory.
    IpcNamespace,
    /// Own host name.
    UtsNamespace,
    /// Own view of control groups.
    CgroupNamespace,
    /// Everything but scratch is mounted read-only.
    ReadOnlyRoot,
    /// Scratch of limited size that is gone with the run.
    ScratchTmpfs,
    /// Own `/proc`, with the parts that reach the kernel masked.
    OwnProc,
    /// No capabilities, and none to be had.
    NoCapabilities,
    /// `no_new_privs`: setuid programs gain nothing.
    NoNewPrivileges,
    /// System calls outside of what training needs are refused.
    Seccomp,
    /// Opened files are recorded.
    OpenTracing,
    /// Declared hosts are reached through a proxy, nothing else is.
    HostProxy,
}

impl Mechanism {
    /// What a run may not do without unless it was told so by name.
    pub const REQUIRED: [Self; 10] = [
        Self::PidNamespace,
        Self::MountNamespace,
        Self::NetworkNamespace,
        Self::IpcNamespace,
        Self::ReadOnlyRoot,
        Self::ScratchTmpfs,
        Self::OwnProc,
        Self::NoCapabilities,
        Self::NoNewPrivileges,
        Self::Seccomp,
    ];

    /// Every mechanism.
    pub const ALL: [Self; 15] = [
        Self::UserNamespace,
        Self::PidNamespace,
        Self::MountNamespace,
        Self::NetworkNamespace,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::CgroupNamespace,
        Self::ReadOnlyRoot,
        Self::ScratchTmpfs,
        Self::OwnProc,
        Self::NoCapabilities,
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::OpenTracing,
        Self::HostProxy,
    ];

    /// The word in records and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserNamespace => "user-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::MountNamespace => "mount-namespace",
            Self::NetworkNamespace => "network-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::UtsNamespace => "uts-namespace",
            Self::CgroupNamespace => "cgroup-namespace",
            Self::ReadOnlyRoot => "read-only-root",
            Self::ScratchTmpfs => "scratch-tmpfs",
            Self::OwnProc => "own-proc",
            Self::NoCapabilities => "no-capabilities",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Seccomp => "seccomp",
            Self::OpenTracing => "open-tracing",
            Self::HostProxy => "host-proxy",
        }
    }
}

/// A folder or file that the command sees read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// Where it is.
    pub(crate) host: PathBuf,
    /// Where the command sees it, absolute.
    pub(crate) inside: PathBuf,
}

/// What the stages need to know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// An empty folder to build the new root on.
    pub(crate) root: PathBuf,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Files to copy into the working folder: from, relative to.
    pub(crate) code: Vec<(PathBuf, PathBuf)>,
    /// Read-only mounts, outer before inner.
    pub(crate) binds: Vec<Bind>,
    /// Device nodes besides the harmless ones.
    pub(crate) devices: Vec<PathBuf>,
    /// What to hand back, relative to the working folder.
    pub(crate) outputs: Vec<PathBuf>,
    /// Bytes of scratch.
    pub(crate) disk: u64,
    /// Processes by rlimit.
    pub(crate) processes: Option<u64>,
    /// Address space of each process by rlimit.
    pub(crate) address_space: Option<u64>,
    /// CPU seconds of each process by rlimit.
    pub(crate) cpu_seconds: Option<u64>,
    /// Cores that it may run on.
    pub(crate) affinity: Option<Vec<usize>>,
    /// Whether a tracer listens for opens.
    pub(crate) trace: bool,
    /// The proxy's socket outside.
    pub(crate) proxy: Option<PathBuf>,
    /// Somebody else (bubblewrap) has built root and namespaces already.
    pub(crate) mounted: bool,
    /// For the stage that only waits to be put into its control groups: what to become then.
    pub(crate) become_this: Vec<String>,
}

/// A file that was opened, by what the kernel made of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Opened {
    /// The path inside, or as it was asked for when nothing was there.
    pub path: String,
    /// Whether it was opened for writing.
    pub write: bool,
    /// Whether the system refused.
    pub failed: bool,
}

/// One message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Message {
    /// Outside to stage: what to do.
    Spec(Box<Spec>),
    /// Outside to first process: start the command.
    Go,
    /// A mechanism is in force.
    Done(Mechanism),
    /// The system refused a mechanism.
    Refused(Mechanism, String),
    /// The first process has this id outside.
    Child(i32),
    /// Everything is set up, waiting for [`Message::Go`].
    Ready,
    /// The command ended: exit code or signal, and how many processes it left behind.
    Exit {
        /// Exit code.
        code: Option<i32>,
        /// Signal that ended it.
        signal: Option<i32>,
        /// Processes that were still there and were killed.
        survivors: u64,
        /// Whether scratch was full in the end.
        full: bool,
    },
    /// What was opened, in part.
    Opens(Vec<Opened>),
    /// What was executed, in part.
    Executed(Vec<String>),
    /// More was opened than is kept.
    OpensOverflow,
    /// A file of an output follows: its path relative to the working folder, size, and whether it is executable.
    File(PathBuf, u64, bool),
    /// Something of an output that is not handed back, and why.
    Skipped(PathBuf, String),
    /// All outputs were sent.
    End,
    /// This stage cannot go on.
    Error(String),
}

/// Writes one message.
pub(crate) fn send(out: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Reads one message; `None` at the end of the stream.
pub(crate) fn receive(input: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut line = Vec::new();
    input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is cut or too long"));
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_cut_ones_are_errors() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Message::Done(Mechanism::Seccomp)).unwrap();
        send(&mut bytes, &Message::File("a/b".into(), 3, false)).unwrap();
        let mut input = bytes.as_slice();
        assert!(matches!(receive(&mut input).unwrap(), Some(Message::Done(Mechanism::Seccomp))));
        assert!(matches!(receive(&mut input).unwrap(), Some(Message::File(_, 3, false))));
        assert!(receive(&mut input).unwrap().is_none());
        assert!(receive(&mut &bytes[..bytes.len() - 1][5..]).is_err());
    }

    #[test]
    fn words_are_those_of_the_serialised_form() {
        for mechanism in Mechanism::ALL {
            assert_eq!(serde_json::to_value(mechanism).unwrap(), mechanism.as_str());
        }
    }
}
