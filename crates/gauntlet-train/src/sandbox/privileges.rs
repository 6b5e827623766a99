//! Gives up everything that the command will not need: capabilities, new privileges, system calls, resources.

use std::io;
use std::os::unix::net::UnixStream;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::Pid;
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits,
};

use super::outer::note;
use super::wire::{Mechanism, Spec};
use super::{seccomp, wire};

/// Open files of one process.
const FILES: u64 = 65_536;

/// In this order: what is needed for the next step goes last.
pub(super) fn give_up(spec: &Spec, out: &mut UnixStream) -> io::Result<()> {
    limits(spec)?;
    // Nobody else of this run may read this process's memory or take its descriptors.
    nix::sys::prctl::set_dumpable(false)?;
    note(out, Mechanism::NoCapabilities, capabilities())?;
    note(out, Mechanism::NoNewPrivileges, nix::sys::prctl::set_no_new_privs().map_err(io::Error::from))?;
    let filtered = seccomp::apply(spec.trace);
    wire::send(
        out,
        &match filtered {
            Ok(()) => wire::Message::Done(Mechanism::Seccomp),
            Err(why) => wire::Message::Refused(Mechanism::Seccomp, why),
        },
    )
}

fn limits(spec: &Spec) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, FILES.min(hard), FILES.min(hard))?;
    for (resource, value) in [
        (Resource::RLIMIT_NPROC, spec.processes),
        (Resource::RLIMIT_AS, spec.address_space),
        (Resource::RLIMIT_CPU, spec.cpu_seconds),
    ] {
        if let Some(value) = value {
            setrlimit(resource, value, value)?;
        }
    }
    if let Some(cores) = &spec.affinity {
        let mut set = CpuSet::new();
        for core in cores {
            set.set(*core)?;
        }
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    Ok(())
}

/// Empties every set, and takes from user id 0 the right to get them back by executing something.
fn capabilities() -> io::Result<()> {
    let have = rustix::thread::capabilities(None)?;
    if have.permitted.is_empty() && have.inheritable.is_empty() {
        // Another runner has taken them; `no_new_privs` keeps it so.
        return Ok(());
    }
    set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )?;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel does not know this one, nor any behind it.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}
