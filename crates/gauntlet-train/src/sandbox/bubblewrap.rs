//! Mounts and namespaces by bubblewrap; filter, limits and outputs stay ours.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::wire::{Bind, Message, Spec, receive};
use super::{PROXY_SOCKET, WORK};

/// Where our own program and the control socket are inside.
const PROGRAM: &str = "/run/gauntlet/program";
const CONTROL: &str = "/run/gauntlet/control.sock";

/// Waits to be put into its control groups, then becomes bubblewrap.
pub(super) fn hold(socket: &Path) -> io::Result<()> {
    let mut input = BufReader::new(UnixStream::connect(socket)?);
    let Some(Message::Spec(spec)) = receive(&mut input)? else {
        return Err(io::Error::other("no specification came"));
    };
    let (program, arguments) = spec.become_this.split_first().ok_or_else(|| io::Error::other("nothing to become"))?;
    Err(Command::new(program).args(arguments).env_clear().exec())
}

/// The command line of bubblewrap for a run, which starts our own first process.
pub(super) fn command_line(bubblewrap: &Path, program: &Path, control: &Path, stage: &str, spec: &Spec) -> Vec<String> {
    let mut line = vec![bubblewrap.display().to_string()];
    let mut add = |words: &[&str]| line.extend(words.iter().map(|w| (*w).to_owned()));
    add(&["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]);
    add(&["--as-pid-1", "--uid", "0", "--gid", "0", "--hostname", "gauntlet", "--proc", "/proc", "--dev", "/dev"]);
    for path in super::mounts::SYSTEM {
        match std::fs::read_link(path) {
            Ok(target) => add(&["--symlink", &target.display().to_string(), path]),
            Err(_) => add(&["--ro-bind-try", path, path]),
        }
    }
    for name in super::mounts::ETC {
        let path = format!("/etc/{name}");
        add(&["--ro-bind-try", &path, &path]);
    }
    for device in &spec.devices {
        let device = device.display().to_string();
        add(&["--dev-bind", &device, &device]);
    }
    add(&["--size", &spec.disk.to_string(), "--perms", "0755", "--tmpfs", WORK]);
    for Bind { host, inside } in &spec.binds {
        add(&["--ro-bind", &host.display().to_string(), &inside.display().to_string()]);
    }
    add(&["--ro-bind", &program.display().to_string(), PROGRAM]);
    add(&["--ro-bind", &control.display().to_string(), CONTROL]);
    if let Some(proxy) = &spec.proxy {
        add(&["--ro-bind", &proxy.display().to_string(), PROXY_SOCKET]);
    }
    for (from, to) in &spec.code {
        let to = Path::new(WORK).join(to);
        add(&["--ro-bind", &from.display().to_string(), &to.display().to_string()]);
    }
    // Both are file systems in memory that no size limits.
    add(&["--remount-ro", "/dev", "--remount-ro", "/", "--", PROGRAM, stage, "init", CONTROL]);
    line
}
