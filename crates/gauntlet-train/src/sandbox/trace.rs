//! Follows a confined run with ptrace: which files it opened, by what the kernel made of their names, and what it executed.
//!
//! The seccomp filter stops the run only at calls that open; everything else runs at full speed. The name is taken from the
//! open descriptor after the call, so that a program cannot change it under the tracer's eyes.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSliceMut};
use std::os::unix::net::UnixStream;

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait, waitpid};

use super::wire::{LIST, Message, Opened, send};

/// Different files that are kept; a run that opens more says so.
const MAX_OPENS: usize = 200_000;
/// `__WALL`: threads are children, too.
const WALL: u32 = 0x4000_0000;
/// Longest name that is read out of a traced process.
const MAX_NAME: usize = 4_096;

/// An open that is under way.
struct Asked {
    name: Option<String>,
    write: bool,
}

#[derive(Default)]
struct Seen {
    opens: BTreeSet<Opened>,
    executed: BTreeSet<String>,
    overflow: bool,
}

/// Waits for the first process to end, following it when it is traced, then sends what was seen.
pub(crate) fn follow(init: Pid, traced: bool, out: &mut UnixStream) -> io::Result<()> {
    let seen = if traced {
        trace(init)?
    } else {
        let pid = rustix::process::Pid::from_raw(init.as_raw());
        while let Err(rustix::io::Errno::INTR) = waitpid(pid, WaitOptions::empty()) {}
        Seen::default()
    };
    let opens: Vec<Opened> = seen.opens.into_iter().collect();
    for part in opens.chunks(LIST) {
        send(out, &Message::Opens(part.to_vec()))?;
    }
    let executed: Vec<String> = seen.executed.into_iter().collect();
    for part in executed.chunks(LIST) {
        send(out, &Message::Executed(part.to_vec()))?;
    }
    if seen.overflow {
        send(out, &Message::OpensOverflow)?;
    }
    send(out, &Message::End)
}

fn trace(init: Pid) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let mut asked: HashMap<i32, Asked> = HashMap::new();
    loop {
        let (pid, status) = match wait(WaitOptions::from_bits_retain(WALL)) {
            Ok(Some(next)) => next,
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CHILD) => return Ok(seen),
            Err(error) => return Err(error.into()),
        };
        let pid = Pid::from_raw(pid.as_raw_pid());
        if !status.stopped() {
            asked.remove(&pid.as_raw());
            if pid == init {
                return Ok(seen);
            }
            continue;
        }
        let raw = status.as_raw();
        let (signal, event) = ((raw >> 8) & 0xff, raw >> 16);
        // A process that was killed meanwhile cannot be continued; its end comes with the next wait.
        let _ = match event {
            libc::PTRACE_EVENT_SECCOMP => {
                if let Some(call) = entering(pid) {
                    asked.insert(pid.as_raw(), call);
                }
                ptrace::syscall(pid, None)
            }
            libc::PTRACE_EVENT_EXEC => {
                if let Ok(path) = std::fs::read_link(format!("/proc/{pid}/exe")) {
                    seen.executed.insert(path.to_string_lossy().into_owned());
                }
                ptrace::cont(pid, None)
            }
            0 if signal == libc::SIGTRAP | 0x80 => {
                if let Some(call) = asked.remove(&pid.as_raw()) {
                    seen.returned(pid, call);
                }
                ptrace::cont(pid, None)
            }
            // Real-time signals have no name in the library and are not handed on.
            0 => ptrace::cont(pid, Signal::try_from(signal).ok()),
            _ => ptrace::cont(pid, None),
        };
    }
}

impl Seen {
    fn returned(&mut self, pid: Pid, call: Asked) {
        if self.opens.len() >= MAX_OPENS {
            self.overflow = true;
            return;
        }
        let Ok(result) = registers(pid).map(|r| r.result) else { return };
        let path = if result >= 0 {
            std::fs::read_link(format!("/proc/{pid}/fd/{result}")).ok().map(|p| p.to_string_lossy().into_owned())
        } else {
            call.name
        };
        if let Some(path) = path {
            self.opens.insert(Opened { path, write: call.write, failed: result < 0 });
        }
    }
}

/// What is asked for at the entry of a call that opens.
fn entering(pid: Pid) -> Option<Asked> {
    let registers = registers(pid).ok()?;
    let [first, second, third, ..] = registers.arguments;
    let (folder, name, flags) = match registers.number {
        libc::SYS_openat => (first, second, third),
        // struct open_how begins with the flags.
        libc::SYS_openat2 => (first, second, u64::from_ne_bytes(bytes(pid, third)?)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => (at_cwd(), first, second),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => (at_cwd(), first, libc::O_WRONLY as u64),
        _ => return None,
    };
    let name = text(pid, name).and_then(|name| {
        if name.starts_with('/') {
            return Some(name);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a descriptor is 32 bits of its register")]
        let base = match folder as i32 {
            libc::AT_FDCWD => format!("/proc/{pid}/cwd"),
            fd => format!("/proc/{pid}/fd/{fd}"),
        };
        let base = std::fs::read_link(base).ok()?;
        Some(base.join(name).to_string_lossy().into_owned())
    });
    let mode = i32::try_from(flags & libc::O_ACCMODE as u64).unwrap_or(libc::O_RDWR);
    Some(Asked { name, write: mode != libc::O_RDONLY })
}

#[cfg(target_arch = "x86_64")]
fn at_cwd() -> u64 {
    i64::from(libc::AT_FDCWD).cast_unsigned()
}

/// The registers of a system call.
struct Registers {
    number: i64,
    arguments: [u64; 4],
    result: i64,
}

#[cfg(target_arch = "x86_64")]
fn registers(pid: Pid) -> nix::Result<Registers> {
    let r = ptrace::getregs(pid)?;
    Ok(Registers {
        number: r.orig_rax.cast_signed(),
        arguments: [r.rdi, r.rsi, r.rdx, r.r10],
        result: r.rax.cast_signed(),
    })
}

#[cfg(target_arch = "aarch64")]
fn registers(pid: Pid) -> nix::Result<Registers> {
    let r = ptrace::getregs(pid)?;
    let [a, b, c, d, ..] = r.regs;
    Ok(Registers { number: r.regs[8].cast_signed(), arguments: [a, b, c, d], result: a.cast_signed() })
}

/// A text of a traced process, read page by page so that it may end before a hole.
fn text(pid: Pid, address: u64) -> Option<String> {
    let mut name = Vec::new();
    let mut at = usize::try_from(address).ok()?;
    while name.len() < MAX_NAME {
        let mut buffer = [0_u8; 256];
        let want = buffer.len() - at % buffer.len();
        let part = buffer.get_mut(..want)?;
        let read = process_vm_readv(pid, &mut [IoSliceMut::new(part)], &[RemoteIoVec { base: at, len: want }]).ok()?;
        let part = part.get(..read)?;
        match part.iter().position(|b| *b == 0) {
            Some(end) => {
                name.extend_from_slice(part.get(..end)?);
                return Some(String::from_utf8_lossy(&name).into_owned());
            }
            None if read == 0 => return None,
            None => name.extend_from_slice(part),
        }
        at = at.checked_add(read)?;
    }
    None
}

fn bytes(pid: Pid, address: u64) -> Option<[u8; 8]> {
    let mut buffer = [0; 8];
    let base = usize::try_from(address).ok()?;
    let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut buffer)], &[RemoteIoVec { base, len: 8 }]).ok()?;
    (read == 8).then_some(buffer)
}
