//! The first process of a confined run: builds its root, gives up every privilege, starts the command, buries the dead,
//! hands back the outputs, and takes everything with it when it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait};

use super::wire::{Mechanism, Message, Spec, receive, send};
use super::{WORK, mounts, privileges, proxy};

/// Files of one run's outputs.
const MAX_FILES: usize = 100_000;

/// Runs the stage; `socket` is the control socket.
pub(crate) fn run(socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let Some(Message::Spec(spec)) = receive(&mut input)? else {
        return Err(io::Error::other("no specification came"));
    };
    if let Err(error) = live(&spec, &mut input, &mut out) {
        send(&mut out, &Message::Error(error.to_string()))?;
    }
    Ok(())
}

fn live(spec: &Spec, input: &mut BufReader<UnixStream>, out: &mut UnixStream) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // No terminal of the caller's: nothing can be pushed into its input.
    let _ = nix::unistd::setsid();
    if spec.mounted {
        mounts::fill(spec, Path::new(WORK))?;
        for folder in [".tmp", ".home"] {
            fs::create_dir_all(Path::new(WORK).join(folder))?;
        }
    } else {
        mounts::build(spec, out)?;
        let _ = nix::unistd::sethostname("gauntlet");
    }
    privileges::give_up(spec, out)?;
    let proxied = spec.proxy.is_some().then(proxy::relay).transpose();
    match proxied {
        Ok(None) => {}
        Ok(Some(())) => send(out, &Message::Done(Mechanism::HostProxy))?,
        Err(error) => send(out, &Message::Refused(Mechanism::HostProxy, error.to_string()))?,
    }
    send(out, &Message::Ready)?;
    match receive(input)? {
        Some(Message::Go) => {}
        _ => return Ok(()),
    }
    let (code, signal) = command(spec)?;
    let survivors = end_all();
    let full = rustix::fs::statvfs(WORK).is_ok_and(|s| s.f_bavail == 0 || s.f_favail == 0);
    send(out, &Message::Exit { code, signal, survivors, full })?;
    let mut out = BufWriter::with_capacity(256 << 10, out);
    let mut files = 0;
    for output in &spec.outputs {
        hand_back(output, &mut files, &mut out)?;
    }
    send(&mut out, &Message::End)
}

/// Starts the command and buries whoever dies, until the command itself does.
fn command(spec: &Spec) -> io::Result<(Option<i32>, Option<i32>)> {
    let (program, arguments) = spec.command.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&spec.environment)
        .current_dir(WORK)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start `{program}`: {error}")))?;
    let main = i32::try_from(child.id()).map_err(io::Error::other)?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == main => {
                return Ok((status.exit_status(), status.terminating_signal()));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills what the command left behind, so that nobody writes any more; gives how many that were.
fn end_all() -> u64 {
    let mut survivors = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok()).filter(|pid| *pid != 1) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state follows the name, which may hold anything, in parentheses.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        survivors += u64::from(!matches!(state, None | Some('Z' | 'X')));
    }
    if nix::unistd::getpid() == Pid::from_raw(1) {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    }
    while let Ok(_) | Err(rustix::io::Errno::INTR) = wait(WaitOptions::empty()) {}
    survivors
}

/// Sends a file, or all files below a folder. Links and special files are named, never followed.
fn hand_back(path: &Path, files: &mut usize, out: &mut impl Write) -> io::Result<()> {
    let full = Path::new(WORK).join(path);
    let metadata = match fs::symlink_metadata(&full) {
        Ok(metadata) => metadata,
        Err(error) => return send(out, &Message::Skipped(path.to_owned(), error.to_string())),
    };
    if metadata.is_dir() {
        let mut names: Vec<PathBuf> = match fs::read_dir(&full) {
            Ok(entries) => entries.filter_map(Result::ok).map(|e| path.join(e.file_name())).take(MAX_FILES).collect(),
            Err(error) => return send(out, &Message::Skipped(path.to_owned(), error.to_string())),
        };
        names.sort();
        for name in names {
            // A chain of folders without end would end the stack: paths are shorter than this.
            if name.components().count() > 64 {
                send(out, &Message::Skipped(name, "folders are nested too deeply".to_owned()))?;
                continue;
            }
            hand_back(&name, files, out)?;
        }
        return Ok(());
    }
    *files += 1;
    if *files > MAX_FILES {
        return send(out, &Message::Skipped(path.to_owned(), format!("more than {MAX_FILES} files")));
    }
    if !metadata.is_file() {
        return send(out, &Message::Skipped(path.to_owned(), "a link or special file is not handed back".to_owned()));
    }
    let opened: io::Result<(File, u64)> = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&full)
        .and_then(|file| file.metadata().map(|m| (file, m.len())));
    let (file, size) = match opened {
        Ok(opened) => opened,
        Err(error) => return send(out, &Message::Skipped(path.to_owned(), error.to_string())),
    };
    send(out, &Message::File(path.to_owned(), size, metadata.permissions().mode() & 0o111 != 0))?;
    let copied = io::copy(&mut file.take(size), out)?;
    if copied == size { Ok(()) } else { Err(io::Error::other("an output became shorter while it was read")) }
}
