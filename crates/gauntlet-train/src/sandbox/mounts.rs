//! The root that a confined run sees: the system and the inputs read-only, scratch of limited size, and nothing else.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, pivot_root};

use super::outer::note;
use super::wire::{Bind, Mechanism, Spec};
use super::{PROXY_SOCKET, WORK};

/// Folders of the system. Where one is a link (`/bin` to `usr/bin`), the link is made.
pub(super) const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs need of `/etc`; no passwords, keys or host configuration.
pub(super) const ETC: [&str; 19] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates.conf",
    "debian_version",
    "group",
    "host.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki",
    "protocols",
    "python3",
    "services",
    "ssl/certs",
];

/// Device nodes that every program may have.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Parts of `/proc` through which the kernel is configured: read-only.
const PROC_READ_ONLY: [&str; 7] = ["sys", "bus", "fs", "irq", "acpi", "scsi", "sysrq-trigger"];

/// Parts of `/proc` that tell about the machine's memory and keys: empty.
const PROC_EMPTY: [&str; 8] =
    ["kcore", "keys", "key-users", "kmsg", "kallsyms", "latency_stats", "timer_list", "sched_debug"];

const NOTHING: Option<&str> = None;

/// Builds the root and moves into it.
///
/// # Errors
/// When the command would see more than it should: what cannot be hidden ends the run.
pub(super) fn build(spec: &Spec, out: &mut UnixStream) -> io::Result<()> {
    let own = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING))
        .map_err(io::Error::from);
    let refused = own.as_ref().err().map(ToString::to_string);
    note(out, Mechanism::MountNamespace, own)?;
    if let Some(why) = refused {
        return Err(io::Error::other(format!("no own mounts: {why}")));
    }
    let root = spec.root.as_path();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("gauntlet-root"), root, Some("tmpfs"), flags, Some("size=16m,nr_inodes=65536,mode=755"))
        .map_err(|error| failed("mount a root", root, error))?;
    scratch(spec, root, out)?;
    for path in SYSTEM {
        system(root, Path::new(path))?;
    }
    for name in ETC {
        let path = Path::new("/etc").join(name);
        if path.exists() {
            bind(&path.canonicalize()?, &inside(root, &path))?;
        }
    }
    devices(spec, root)?;
    note(out, Mechanism::OwnProc, own_proc(root))?;
    loopback(root);
    // Before the inputs, which may lie inside of folders that code brings.
    fill(spec, &inside(root, Path::new(WORK)))?;
    for Bind { host, inside: at } in &spec.binds {
        let target = inside(root, at);
        // Below a folder that is mounted already, such as /usr, it is there.
        if same_file(host, &target) {
            continue;
        }
        bind(host, &target)?;
    }
    if let Some(socket) = &spec.proxy {
        bind(socket, &inside(root, Path::new(PROXY_SOCKET)))?;
    }
    enter(root).map_err(|error| failed("enter the root", root, error))?;
    let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    note(out, Mechanism::ReadOnlyRoot, mount(NOTHING, "/", NOTHING, flags, NOTHING).map_err(io::Error::from))
}

/// Copies the code into the working folder, and makes room for the outputs.
pub(super) fn fill(spec: &Spec, work: &Path) -> io::Result<()> {
    for (from, to) in &spec.code {
        let to = work.join(to);
        make_parent(&to)?;
        fs::copy(from, &to).map_err(|e| io::Error::new(e.kind(), format!("cannot copy {}: {e}", from.display())))?;
        let mode = fs::metadata(from)?.permissions().mode();
        fs::set_permissions(&to, fs::Permissions::from_mode(mode & 0o777 | 0o600))?;
    }
    for output in &spec.outputs {
        make_parent(&work.join(output))?;
    }
    Ok(())
}

/// One file system of limited size behind every place that can be written.
fn scratch(spec: &Spec, root: &Path, out: &mut UnixStream) -> io::Result<()> {
    let at = root.join(".scratch");
    fs::create_dir(&at)?;
    // An empty file takes no blocks but kernel memory, so their number has a limit, too.
    let inodes = (spec.disk / 4_096).clamp(1_024, 4 << 20);
    let options = format!("size={},nr_inodes={inodes},mode=755", spec.disk);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let mounted = mount(Some("gauntlet-scratch"), &at, Some("tmpfs"), flags, Some(options.as_str()));
    if let Err(error) = mounted {
        note(out, Mechanism::ScratchTmpfs, Err(error.into()))?;
        return Err(failed("mount scratch", &at, error));
    }
    for (name, place, mode) in
        [("work", WORK, 0o755), ("tmp", "/tmp", 0o1777), ("home", "/home", 0o700), ("shm", "/dev/shm", 0o1777)]
    {
        let folder = at.join(name);
        fs::DirBuilder::new().mode(mode).create(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
        let place = inside(root, Path::new(place));
        fs::create_dir_all(&place)?;
        mount(Some(&folder), &place, NOTHING, MsFlags::MS_BIND, NOTHING)
            .map_err(|error| failed("mount", &place, error))?;
    }
    umount2(&at, MntFlags::MNT_DETACH)?;
    fs::remove_dir(&at)?;
    note(out, Mechanism::ScratchTmpfs, Ok(()))
}

fn system(root: &Path, path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    let at = inside(root, path);
    if metadata.is_symlink() { symlink(fs::read_link(path)?, at) } else { bind(path, &at) }
}

fn devices(spec: &Spec, root: &Path) -> io::Result<()> {
    let extra = spec.devices.iter().map(PathBuf::as_path);
    for device in DEVICES.iter().map(Path::new).chain(extra) {
        let at = inside(root, device);
        make_parent(&at)?;
        File::create(&at)?;
        mount(Some(device), &at, NOTHING, MsFlags::MS_BIND, NOTHING).map_err(|error| failed("mount", device, error))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, root.join("dev").join(name))?;
    }
    Ok(())
}

/// `/proc` of the new process ids. The owner of the run may be root outside, whose files `/proc/sys` are: hence read-only.
fn own_proc(root: &Path) -> io::Result<()> {
    let proc = root.join("proc");
    fs::create_dir_all(&proc)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &proc, Some("proc"), flags, NOTHING)?;
    for name in PROC_READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            bind(&path, &path)?;
        }
    }
    for name in PROC_EMPTY {
        let path = proc.join(name);
        if path.exists() {
            mount(Some("/dev/null"), &path, NOTHING, MsFlags::MS_BIND, NOTHING)
                .map_err(|error| failed("mask", &path, error))?;
        }
    }
    Ok(())
}

/// Brings up the loopback device, through sysfs, because the calls for it are not safe ones. Without it programs that talk
/// to themselves over TCP fail; nothing else depends on it.
fn loopback(root: &Path) {
    let at = root.join(".sys");
    if fs::create_dir(&at).is_err() {
        return;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if mount(Some("sysfs"), &at, Some("sysfs"), flags, NOTHING).is_ok() {
        let _ = fs::write(at.join("class/net/lo/flags"), "0x9");
        let _ = umount2(&at, MntFlags::MNT_DETACH);
    }
    let _ = fs::remove_dir(&at);
}

/// Mounts a file or folder at a place inside, read-only with everything below it.
fn bind(host: &Path, at: &Path) -> io::Result<()> {
    if host != at {
        make_parent(at)?;
        if host.is_dir() {
            fs::create_dir_all(at)?;
        } else if !at.exists() {
            File::create(at)?;
        }
    }
    mount(Some(host), at, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)
        .map_err(|error| failed("mount", host, error))?;
    for (point, flags) in mounts_below(at)? {
        let flags = flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(NOTHING, &point, NOTHING, flags, NOTHING).map_err(|error| failed("make read-only", &point, error))?;
    }
    Ok(())
}

fn enter(root: &Path) -> nix::Result<()> {
    chdir(root)?;
    // The old root is stacked over the new one and taken off again: no folder for it is needed.
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")
}

/// The mounts at and below a path with the flags that must be kept: a mount of another user's may not lose them.
fn mounts_below(path: &Path) -> io::Result<Vec<(PathBuf, MsFlags)>> {
    let path = path.canonicalize()?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(mount_of).filter(|(point, _)| point.starts_with(&path)).collect())
}

/// Mount point and flags of one line of mountinfo (proc_pid_mountinfo(5)).
fn mount_of(line: &str) -> Option<(PathBuf, MsFlags)> {
    let mut fields = line.split(' ').skip(4);
    let point = unescape(fields.next()?);
    let mut flags = MsFlags::empty();
    for option in fields.next()?.split(',') {
        flags |= match option {
            "nosuid" => MsFlags::MS_NOSUID,
            "nodev" => MsFlags::MS_NODEV,
            "noexec" => MsFlags::MS_NOEXEC,
            "noatime" => MsFlags::MS_NOATIME,
            "nodiratime" => MsFlags::MS_NODIRATIME,
            "relatime" => MsFlags::MS_RELATIME,
            _ => MsFlags::empty(),
        };
    }
    Some((point, flags))
}

/// Blanks, tabs, line feeds and backslashes stand as three octal digits.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// An absolute path below the new root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn failed(what: &str, path: &Path, error: nix::Error) -> io::Error {
    io::Error::other(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_give_point_and_locked_flags() {
        let line = "36 35 98:0 /mnt1 /mnt/a\\040b rw,nosuid,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount_of(line), Some(("/mnt/a b".into(), MsFlags::MS_NOSUID | MsFlags::MS_NOATIME)));
        assert_eq!(mount_of("36 35"), None);
        assert_eq!(unescape("a\\04"), PathBuf::from("a\\04"));
    }
}
