//! The system call filter of a confined run.
//!
//! Three filters, because one has a single answer: the first knows all calls that this program was written for and says
//! "no such call" to others (also to the second table of x86-64, which shares its architecture), the second stops opens for
//! the tracer, the last refuses what training never needs. Of several refusals the kernel takes the newest filter's.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The highest call that was looked at: `file_setattr` of Linux 6.17. Later ones do not exist inside.
const LAST_KNOWN: i64 = 469;

/// Calls that reach the kernel's insides, other processes, or mounts: refused with "not permitted".
#[rustfmt::skip]
const REFUSED: &[i64] = &[
    // other processes
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_kcmp, libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise, libc::SYS_migrate_pages, libc::SYS_move_pages,
    // namespaces and mounts
    libc::SYS_unshare, libc::SYS_setns, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot,
    libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick,
    libc::SYS_mount_setattr, libc::SYS_quotactl, libc::SYS_swapon, libc::SYS_swapoff,
    libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at,
    // the kernel
    libc::SYS_kexec_load, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_reboot,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_syslog, libc::SYS_acct,
    libc::SYS_lookup_dcookie, libc::SYS_nfsservctl, libc::SYS_vhangup, libc::SYS_fanotify_init, libc::SYS_fanotify_mark,
    // clocks and host names
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_clock_adjtime, libc::SYS_adjtimex,
    libc::SYS_sethostname, libc::SYS_setdomainname,
    // keys, which no namespace separates
    libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    // calls by shared memory: neither this filter nor the tracer would see them
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    // a filter with a listener would be asked before the tracer
    libc::SYS_seccomp,
    libc::SYS_personality,
];

/// As [`REFUSED`], on this architecture only.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS_ustat,
    libc::SYS_sysfs, libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// Calls that open files.
#[cfg(target_arch = "x86_64")]
const OPENS: &[i64] = &[libc::SYS_openat, libc::SYS_openat2, libc::SYS_open, libc::SYS_creat];
#[cfg(not(target_arch = "x86_64"))]
const OPENS: &[i64] = &[libc::SYS_openat, libc::SYS_openat2];

/// Flags of `clone` that make namespaces: all of `CLONE_NEW*` but the thread ones.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// Socket families that are separated by the network namespace: Unix, IPv4, IPv6, netlink. Virtual machine sockets
/// (40) are not.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];
/// Puts bytes into the input of a terminal.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

/// Puts the filters in force for this process and its children. Needs `no_new_privs`, which it sets.
///
/// # Errors
/// What the kernel refuses.
pub(super) fn apply(trace: bool) -> Result<(), String> {
    let mut filters = vec![known().map_err(|e| e.to_string())?];
    if trace {
        let rules: Rules = OPENS.iter().map(|call| (*call, Vec::new())).collect();
        filters.push(filter(rules, SeccompAction::Allow, SeccompAction::Trace(1)).map_err(|e| e.to_string())?);
    }
    // Last: it refuses further filters.
    filters.push(refused().map_err(|e| e.to_string())?);
    for filter in filters {
        let program: seccompiler::BpfProgram =
            filter.try_into().map_err(|e: seccompiler::BackendError| e.to_string())?;
        apply_filter(&program).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// `clone3` hides its flags in memory; libraries fall back to `clone` when it does not exist.
fn known() -> Result<SeccompFilter, seccompiler::BackendError> {
    let rules: Rules =
        (0..=LAST_KNOWN).filter(|call| *call != libc::SYS_clone3).map(|call| (call, Vec::new())).collect();
    filter(rules, SeccompAction::Errno(errno(libc::ENOSYS)), SeccompAction::Allow)
}

fn refused() -> Result<SeccompFilter, seccompiler::BackendError> {
    let mut rules: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
    let masked = |bit: u64| {
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bit), bit)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let bits = (0..u64::BITS).map(|n| 1_u64 << n).filter(|bit| NEW_NAMESPACES & bit != 0);
    rules.insert(libc::SYS_clone, bits.map(masked).collect::<Result<_, _>>()?);
    let other_family = FAMILIES
        .iter()
        .map(|family| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *family))
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(other_family)?]);
    let request = |number| {
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    rules.insert(libc::SYS_ioctl, vec![request(TIOCSTI)?, request(TIOCLINUX)?]);
    filter(rules, SeccompAction::Allow, SeccompAction::Errno(errno(libc::EPERM)))
}

fn filter(
    rules: Rules,
    otherwise: SeccompAction,
    action: SeccompAction,
) -> Result<SeccompFilter, seccompiler::BackendError> {
    SeccompFilter::new(rules, otherwise, action, architecture()?)
}

fn architecture() -> Result<TargetArch, seccompiler::BackendError> {
    std::env::consts::ARCH.try_into()
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_and_fit_into_the_kernel() {
        for filter in [known().unwrap(), refused().unwrap()] {
            let program: seccompiler::BpfProgram = filter.try_into().unwrap();
            assert!(program.len() <= 4_096, "{}", program.len());
        }
    }

    #[test]
    fn no_call_is_refused_twice_and_opens_are_not() {
        let mut all: Vec<i64> = REFUSED.iter().chain(REFUSED_HERE).copied().collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(OPENS.iter().all(|call| !all.contains(call)));
        assert!(all.iter().all(|call| *call <= LAST_KNOWN));
    }
}
