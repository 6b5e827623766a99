//! Limits by control groups: version 2 where it holds the controllers, else the hierarchies of version 1.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders of ours begin with this, followed by the process id of their maker.
const PREFIX: &str = "gauntlet-";
/// Microseconds of a scheduling period.
const PERIOD: u64 = 100_000;

/// What shall be limited; bytes, thousandths of cores, numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) memory: u64,
    pub(super) processes: u64,
    pub(super) milli_cores: u64,
}

/// What a group is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controller {
    Memory,
    Processes,
    Cores,
    CpuTime,
}

impl Controller {
    const ALL: [Self; 4] = [Self::Memory, Self::Processes, Self::Cores, Self::CpuTime];

    fn v1(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "pids",
            Self::Cores => "cpu",
            Self::CpuTime => "cpuacct",
        }
    }

    fn v2(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Processes => Some("pids"),
            Self::Cores => Some("cpu"),
            // Every group counts time, without any controller.
            Self::CpuTime => None,
        }
    }
}

/// The control groups of one run. Removed when dropped.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Folder and version of each controller that is in force.
    groups: BTreeMap<Controller, (PathBuf, u8)>,
    /// Why others are not.
    refused: BTreeMap<Controller, String>,
    /// Where a process was before.
    homes: BTreeMap<Controller, PathBuf>,
}

/// A mounted hierarchy: its controllers (none for version 2), where it is mounted, and which of its groups is the top there.
#[derive(Debug)]
struct Hierarchy {
    controllers: Vec<String>,
    point: PathBuf,
    top: String,
    version: u8,
}

impl Groups {
    /// Makes groups below those of this process, as many as the system grants.
    pub(super) fn make(wanted: &Wanted) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let hierarchies: Vec<Hierarchy> = mounts.lines().filter_map(hierarchy).collect();
        let name = format!("{PREFIX}{}-{}", std::process::id(), unique());
        let mut groups = Self::default();
        if let Some(unified) = hierarchies.iter().find(|h| h.version == 2)
            && let Some(home) = home_of(unified, &own)
        {
            groups.unified(&home, &unified.point, &name, wanted);
        }
        for controller in Controller::ALL {
            if groups.groups.contains_key(&controller) {
                continue;
            }
            let found = hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == controller.v1()));
            let Some(home) = found.and_then(|h| home_of(h, &own)) else {
                groups.refused.entry(controller).or_insert_with(|| {
                    format!("no control group hierarchy with the controller {} is mounted", controller.v1())
                });
                continue;
            };
            clean(&home);
            let folder = home.join(&name);
            match fs::create_dir(&folder).or_else(already).and_then(|()| limit_v1(&folder, controller, wanted)) {
                Ok(()) => {
                    groups.homes.insert(controller, home);
                    groups.groups.insert(controller, (folder, 1));
                    groups.refused.remove(&controller);
                }
                Err(error) => {
                    let _ = fs::remove_dir(&folder);
                    groups.refused.insert(controller, format!("{}: {error}", folder.display()));
                }
            }
        }
        groups
    }

    /// Version 2: below the own group, or beside it, because a group that holds processes cannot hand out controllers.
    fn unified(&mut self, home: &Path, point: &Path, name: &str, wanted: &Wanted) {
        let beside = home.parent().filter(|p| p.starts_with(point)).map(Path::to_owned);
        let mut why = String::new();
        for parent in [Some(home.to_owned()), beside].into_iter().flatten() {
            clean(&parent);
            let needed: Vec<&str> = Controller::ALL.iter().filter_map(|c| c.v2()).collect();
            let there = |file: &str| fs::read_to_string(parent.join(file)).unwrap_or_default();
            if needed.iter().any(|c| !there("cgroup.controllers").split_whitespace().any(|have| have == *c)) {
                why = format!("{} has not the controllers {}", parent.display(), needed.join(", "));
                continue;
            }
            for controller in &needed {
                if !there("cgroup.subtree_control").split_whitespace().any(|have| have == *controller) {
                    // When this fails the limits below cannot be written, which says it.
                    let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
                }
            }
            let folder = parent.join(name);
            match fs::create_dir(&folder).and_then(|()| limit_v2(&folder, wanted)) {
                Ok(()) => {
                    for controller in Controller::ALL {
                        self.groups.insert(controller, (folder.clone(), 2));
                        self.homes.insert(controller, home.to_owned());
                    }
                    return;
                }
                Err(error) => {
                    why = format!("{}: {error}", folder.display());
                    let _ = fs::remove_dir(&folder);
                }
            }
        }
        for controller in Controller::ALL {
            self.refused.insert(controller, why.clone());
        }
    }

    /// Puts a process into all groups; what it starts stays in them.
    pub(super) fn enter(&self, pid: u32) -> io::Result<()> {
        self.groups.values().try_for_each(|(folder, _)| fs::write(folder.join("cgroup.procs"), pid.to_string()))
    }

    /// Takes a process out again, without what it has started.
    pub(super) fn leave(&self, pid: u32) {
        for home in self.homes.values() {
            let _ = fs::write(home.join("cgroup.procs"), pid.to_string());
        }
    }

    /// The mechanism that limits, or why there is none.
    pub(super) fn mechanism(&self, controller: Controller) -> Result<String, String> {
        let file = |v2, v1| match self.groups.get(&controller) {
            Some((_, 2)) => Ok(format!("cgroup-v2 {v2}")),
            Some(_) => Ok(format!("cgroup-v1 {v1}")),
            None => Err(self.refused.get(&controller).cloned().unwrap_or_default()),
        };
        match controller {
            Controller::Memory => file("memory.max", "memory.limit_in_bytes"),
            Controller::Processes => file("pids.max", "pids.max"),
            Controller::Cores => file("cpu.max", "cpu.cfs_quota_us"),
            Controller::CpuTime => file("cpu.stat usage_usec", "cpuacct.usage"),
        }
    }

    /// How often the system killed for want of memory.
    pub(super) fn memory_kills(&self) -> u64 {
        match self.groups.get(&Controller::Memory) {
            Some((folder, 2)) => member(folder, "memory.events", "oom_kill"),
            Some((folder, _)) => member(folder, "memory.oom_control", "oom_kill"),
            None => 0,
        }
    }

    /// How often a process was refused.
    pub(super) fn process_refusals(&self) -> u64 {
        self.groups.get(&Controller::Processes).map_or(0, |(folder, _)| member(folder, "pids.events", "max"))
    }

    /// Milliseconds of all cores together.
    pub(super) fn cpu_time(&self) -> Option<u64> {
        match self.groups.get(&Controller::CpuTime)? {
            (folder, 2) => Some(member(folder, "cpu.stat", "usage_usec") / 1_000),
            (folder, _) => Some(number(folder, "cpuacct.usage")? / 1_000_000),
        }
    }

    /// The most memory that was in use, in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        match self.groups.get(&Controller::Memory)? {
            (folder, 2) => number(folder, "memory.peak"),
            (folder, _) => number(folder, "memory.max_usage_in_bytes"),
        }
    }

    /// The most processes at one time.
    pub(super) fn peak_processes(&self) -> Option<u64> {
        number(&self.groups.get(&Controller::Processes)?.0, "pids.peak")
    }

    /// Kills everything in the groups, where version 2 can.
    pub(super) fn kill(&self) {
        for (folder, version) in self.groups.values() {
            if *version == 2 {
                let _ = fs::write(folder.join("cgroup.kill"), "1");
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for (folder, _) in self.groups.values() {
            // A process that was killed may take a moment to be gone.
            for _ in 0..50 {
                match fs::remove_dir(folder) {
                    Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn limit_v1(folder: &Path, controller: Controller, wanted: &Wanted) -> io::Result<()> {
    match controller {
        Controller::Memory => {
            let bytes = wanted.memory.to_string();
            fs::write(folder.join("memory.limit_in_bytes"), &bytes)?;
            // Swap is an extension of memory that nobody asked for.
            let _ = fs::write(folder.join("memory.swappiness"), "0");
            let swap = folder.join("memory.memsw.limit_in_bytes");
            if swap.exists() { fs::write(swap, bytes) } else { Ok(()) }
        }
        Controller::Processes => fs::write(folder.join("pids.max"), wanted.processes.to_string()),
        Controller::Cores => {
            fs::write(folder.join("cpu.cfs_period_us"), PERIOD.to_string())?;
            fs::write(folder.join("cpu.cfs_quota_us"), quota(wanted).to_string())
        }
        Controller::CpuTime => Ok(()),
    }
}

fn limit_v2(folder: &Path, wanted: &Wanted) -> io::Result<()> {
    fs::write(folder.join("memory.max"), wanted.memory.to_string())?;
    for (file, value) in [("memory.swap.max", "0"), ("memory.oom.group", "1")] {
        let file = folder.join(file);
        if file.exists() {
            fs::write(file, value)?;
        }
    }
    fs::write(folder.join("pids.max"), wanted.processes.to_string())?;
    fs::write(folder.join("cpu.max"), format!("{} {PERIOD}", quota(wanted)))
}

/// The kernel takes no quota below a millisecond.
fn quota(wanted: &Wanted) -> u64 {
    (wanted.milli_cores.saturating_mul(PERIOD) / 1_000).max(1_000)
}

/// Controllers that share a hierarchy share the folder.
fn already(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// Removes groups of runs whose program is gone; a group that holds processes stays, the system sees to that.
fn clean(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|n| n.strip_prefix(PREFIX)).and_then(|n| n.split('-').next());
        let Some(pid) = maker.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (top, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1)?);
    let version = match name {
        "cgroup" => 1,
        "cgroup2" => 2,
        _ => return None,
    };
    let controllers = if version == 1 { options.split(',').map(str::to_owned).collect() } else { Vec::new() };
    Some(Hierarchy { controllers, point: point.into(), top: top.to_owned(), version })
}

/// The folder of this process's own group in a hierarchy.
fn home_of(hierarchy: &Hierarchy, own: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let ours = match hierarchy.version {
            2 => controllers.is_empty(),
            _ => controllers.split(',').any(|c| !c.is_empty() && hierarchy.controllers.iter().any(|h| h == c)),
        };
        ours.then_some(path)
    })?;
    let below = Path::new(path).strip_prefix(&hierarchy.top).unwrap_or(Path::new(""));
    if below.components().any(|c| matches!(c, std::path::Component::ParentDir)) {
        return None;
    }
    Some(hierarchy.point.join(below))
}

fn number(folder: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

fn member(folder: &Path, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Several runs of one program at one time have different groups.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_groups_are_found_in_both_versions() {
        let own = "4:memory:/a/b\n1:cpu,cpuacct:/\n9:name=systemd:/\n0::/user/x\n";
        let line = |kind: &str| format!("30 20 0:26 / /sys/fs/cgroup/m rw,relatime shared:9 - {kind}");
        let memory = hierarchy(&line("cgroup cgroup rw,memory")).unwrap();
        assert_eq!(home_of(&memory, own), Some("/sys/fs/cgroup/m/a/b".into()));
        let unified = hierarchy(&line("cgroup2 cgroup2 rw")).unwrap();
        assert_eq!(home_of(&unified, own), Some("/sys/fs/cgroup/m/user/x".into()));
        let pids = hierarchy(&line("cgroup cgroup rw,pids")).unwrap();
        assert_eq!(home_of(&pids, own), None);
        assert!(hierarchy("22 1 0:5 / /proc rw - proc proc rw").is_none());
    }

    /// The files of version 2 in an ordinary folder: what is written, and that the missing right to hand out controllers
    /// is said.
    #[test]
    fn version_two_writes_its_limits() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("user");
        fs::create_dir(&home).unwrap();
        let wanted = Wanted { memory: 1 << 28, processes: 64, milli_cores: 1_500 };
        let mut groups = Groups::default();
        groups.unified(&home, dir.path(), "gauntlet-1-0", &wanted);
        assert!(groups.mechanism(Controller::Memory).unwrap_err().contains("has not the controllers"));
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        fs::write(dir.path().join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        groups.unified(&home, dir.path(), "gauntlet-1-0", &wanted);
        let folder = dir.path().join("gauntlet-1-0");
        assert_eq!(groups.mechanism(Controller::Memory).unwrap(), "cgroup-v2 memory.max");
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(
            (read("memory.max"), read("pids.max"), read("cpu.max")),
            ("268435456".to_owned(), "64".to_owned(), "150000 100000".to_owned())
        );
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 2\n").unwrap();
        fs::write(folder.join("cpu.stat"), "usage_usec 5000\nuser_usec 1\n").unwrap();
        assert_eq!((groups.memory_kills(), groups.cpu_time()), (2, Some(5)));
        groups.kill();
        assert_eq!(read("cgroup.kill"), "1");
    }
}
