//! The first stage of a confined run: leaves the namespaces of the caller, starts the first process of the new ones,
//! and follows what it opens.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::trace;
use super::wire::{Mechanism, Message, Spec, receive, send};

/// Runs the stage; `socket` is the control socket, `stage` the hidden command that starts the next one.
pub(crate) fn run(socket: &Path, stage: &str) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let Some(Message::Spec(spec)) = receive(&mut input)? else {
        return Err(io::Error::other("no specification came"));
    };
    match confine(&spec, socket, stage, &mut out) {
        Ok(()) => Ok(()),
        Err(error) => send(&mut out, &Message::Error(error.to_string())),
    }
}

fn confine(spec: &Spec, socket: &Path, stage: &str, out: &mut UnixStream) -> io::Result<()> {
    let program = std::env::current_exe()?;
    user_namespace(out)?;
    for (flag, mechanism) in [
        (CloneFlags::CLONE_NEWPID, Mechanism::PidNamespace),
        (CloneFlags::CLONE_NEWNET, Mechanism::NetworkNamespace),
        (CloneFlags::CLONE_NEWIPC, Mechanism::IpcNamespace),
        (CloneFlags::CLONE_NEWUTS, Mechanism::UtsNamespace),
        (CloneFlags::CLONE_NEWCGROUP, Mechanism::CgroupNamespace),
    ] {
        note(out, mechanism, unshare(flag).map_err(io::Error::from))?;
    }
    // Whoever kills the program kills the run, too. After the namespaces: a change of credentials clears it.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let child = Command::new(&program)
        .arg0("gauntlet-train")
        .args([stage, "init"])
        .arg(socket)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    send(out, &Message::Child(pid.as_raw()))?;
    // The first process waits for its specification meanwhile, which comes only after this was answered.
    let options = Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    let traced = if spec.trace { ptrace::seize(pid, options).map_err(io::Error::from) } else { Ok(()) };
    let tracing = spec.trace && traced.is_ok();
    if spec.trace {
        note(out, Mechanism::OpenTracing, traced)?;
    } else {
        send(out, &Message::Refused(Mechanism::OpenTracing, "not asked for".to_owned()))?;
    }
    trace::follow(pid, tracing, out)
}

/// Maps the caller to the root of a namespace of its own: a program that it starts keeps what it needs to set up, and has
/// no power over anything that belongs to somebody else.
fn user_namespace(out: &mut UnixStream) -> io::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let map = || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1\n"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1\n"))
    };
    note(out, Mechanism::UserNamespace, map())
}

/// Says how a mechanism went.
pub(crate) fn note(out: &mut UnixStream, mechanism: Mechanism, result: io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => send(out, &Message::Done(mechanism)),
        Err(error) => send(out, &Message::Refused(mechanism, error.to_string())),
    }
}
