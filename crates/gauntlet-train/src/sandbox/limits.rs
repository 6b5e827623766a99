//! Which limit is held by what, and whether a run is over one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gauntlet_core::project::{Prices, TrainingLimits};
use serde::{Deserialize, Serialize};

use super::cgroup::{Controller, Groups};
use super::wire::Spec;

/// Bytes of a page as the process table counts them.
const PAGE: u64 = 4_096;

/// The limits there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum LimitName {
    Wall,
    CpuTime,
    Cpus,
    Memory,
    Processes,
    Disk,
    Gpus,
    Cost,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wall => "wall",
            Self::CpuTime => "cpu-time",
            Self::Cpus => "cpus",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Disk => "disk",
            Self::Gpus => "gpus",
            Self::Cost => "cost",
        })
    }
}

/// How a limit was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitState {
    /// Which one.
    pub limit: LimitName,
    /// Its value, as people write it.
    pub value: String,
    /// The mechanism, or `not-enforced`.
    pub enforced_by: String,
    /// Why it is weaker than it could be, or not there at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The word for a limit that nothing holds.
pub(super) const NOT_ENFORCED: &str = "not-enforced";

/// What the supervisor itself watches.
#[derive(Debug)]
pub(super) struct Watched {
    wall: Option<Duration>,
    cost: Option<Duration>,
    cpu_time: Option<u64>,
    /// Bytes of resident memory, when no group holds them.
    sampled_memory: Option<u64>,
}

/// Says what holds each limit, and writes into the specification what the stages have to do for it.
pub(super) fn assign(
    limits: &TrainingLimits,
    prices: &Prices,
    groups: &Groups,
    spec: &mut Spec,
    root: bool,
) -> (Vec<LimitState>, Watched) {
    let mut states = Vec::new();
    let mut say = |limit, value: String, enforced_by: &str, reason: Option<String>| {
        states.push(LimitState { limit, value, enforced_by: enforced_by.to_owned(), reason });
    };
    let mut watched = Watched { wall: None, cost: None, cpu_time: None, sampled_memory: None };
    if let Some(wall) = limits.wall {
        watched.wall = Some(Duration::from_millis(wall.0));
        say(LimitName::Wall, wall.to_string(), "timer, kill of the process id namespace", None);
    }
    if let Some(time) = limits.cpu_time {
        match groups.mechanism(Controller::CpuTime) {
            Ok(mechanism) => {
                watched.cpu_time = Some(time.0);
                say(LimitName::CpuTime, time.to_string(), &format!("{mechanism}, read every 50 ms"), None);
            }
            Err(why) => {
                spec.cpu_seconds = Some(time.0.div_ceil(1_000).max(1));
                say(LimitName::CpuTime, time.to_string(), "rlimit RLIMIT_CPU of each process", Some(why));
            }
        }
    }
    if let Some(cores) = limits.cpus {
        match groups.mechanism(Controller::Cores) {
            Ok(mechanism) => say(LimitName::Cpus, cores.to_string(), &mechanism, None),
            Err(why) => {
                spec.affinity = some_cores(cores.0.div_ceil(1_000));
                let by = if spec.affinity.is_some() { "processor affinity, whole cores" } else { NOT_ENFORCED };
                say(LimitName::Cpus, cores.to_string(), by, Some(why));
            }
        }
    }
    if let Some(memory) = limits.memory {
        match groups.mechanism(Controller::Memory) {
            Ok(mechanism) => say(LimitName::Memory, memory.to_string(), &mechanism, None),
            Err(why) => {
                spec.address_space = Some(memory.0);
                watched.sampled_memory = Some(memory.0);
                let by = "rlimit RLIMIT_AS of each process, and resident memory of all read every 50 ms";
                say(LimitName::Memory, memory.to_string(), by, Some(why));
            }
        }
    }
    if let Some(processes) = limits.processes {
        match groups.mechanism(Controller::Processes) {
            Ok(mechanism) => say(LimitName::Processes, processes.to_string(), &mechanism, None),
            // The limit of a user's processes does not bind root.
            Err(why) if root => say(LimitName::Processes, processes.to_string(), NOT_ENFORCED, Some(why)),
            Err(why) => {
                // The first process and the stage before it count, too.
                spec.processes = Some(processes.saturating_add(2));
                say(LimitName::Processes, processes.to_string(), "rlimit RLIMIT_NPROC", Some(why));
            }
        }
    }
    if let Some(disk) = limits.disk {
        spec.disk = disk.0;
        say(LimitName::Disk, disk.to_string(), "tmpfs size", None);
    }
    if let Some(gpus) = limits.gpus {
        say(LimitName::Gpus, gpus.to_string(), "device nodes in /dev", None);
    }
    if let Some(cost) = &limits.cost {
        watched.cost = affordable(limits, prices);
        let by = if watched.cost.is_some() { "timer at the given prices" } else { NOT_ENFORCED };
        let reason = watched.cost.is_none().then(|| "no price makes the run cost anything".to_owned());
        say(LimitName::Cost, cost.to_string(), by, reason);
    }
    (states, watched)
}

/// How long the money lasts: cores and GPUs are paid for as long as the run holds them, used or not.
#[must_use]
pub fn affordable(limits: &TrainingLimits, prices: &Prices) -> Option<Duration> {
    let cost = limits.cost.as_ref()?;
    let price = |price: &Option<gauntlet_core::project::Money>| price.as_ref().map_or(0, |p| u128::from(p.micros));
    let cores = u128::from(limits.cpus.map_or(0, |c| c.0));
    let gpus = u128::from(limits.gpus.unwrap_or(0));
    // Micro-units an hour; cores are in thousandths.
    let rate = price(&prices.core_hour) * cores / 1_000 + price(&prices.gpu_hour) * gpus;
    let millis = (u128::from(cost.micros) * 3_600_000).checked_div(rate)?;
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

impl Watched {
    /// The limit that the run is over, if any. `init` is its first process.
    pub(super) fn over(&self, elapsed: Duration, groups: &Groups, init: Option<i32>) -> Option<LimitName> {
        if groups.memory_kills() > 0 {
            return Some(LimitName::Memory);
        }
        if groups.process_refusals() > 0 {
            return Some(LimitName::Processes);
        }
        if init.is_some_and(full) {
            return Some(LimitName::Disk);
        }
        if self.cpu_time.is_some_and(|limit| groups.cpu_time().is_some_and(|used| used > limit)) {
            return Some(LimitName::CpuTime);
        }
        if let (Some(limit), Some(init)) = (self.sampled_memory, init)
            && resident(init) > limit
        {
            return Some(LimitName::Memory);
        }
        if self.cost.is_some_and(|limit| elapsed > limit) {
            return Some(LimitName::Cost);
        }
        self.wall.is_some_and(|limit| elapsed > limit).then_some(LimitName::Wall)
    }
}

/// Whether scratch is full. The place cannot be replaced from inside: it is a mount in a root that is read-only.
fn full(init: i32) -> bool {
    rustix::fs::statvfs(format!("/proc/{init}/root{}", super::WORK)).is_ok_and(|s| s.f_bavail == 0 || s.f_favail == 0)
}

/// Resident memory of all processes in the namespace of the first one. Pages that several share count for each.
fn resident(init: i32) -> u64 {
    let namespace = |pid: &Path| std::fs::read_link(pid.join("ns/pid")).ok();
    let Some(ours) = namespace(&PathBuf::from(format!("/proc/{init}"))) else { return 0 };
    let mut total = 0_u64;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let numeric = entry.file_name().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if !numeric || namespace(&entry.path()).as_ref() != Some(&ours) {
            continue;
        }
        let pages = std::fs::read_to_string(entry.path().join("statm"))
            .ok()
            .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok())
            .unwrap_or(0);
        total = total.saturating_add(pages.saturating_mul(PAGE));
    }
    total
}

fn some_cores(wanted: u64) -> Option<Vec<usize>> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).ok()?;
    let cores: Vec<usize> =
        (0..nix::sched::CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect();
    Some(cores.into_iter().take(usize::try_from(wanted).ok()?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(texts: &[&str]) -> TrainingLimits {
        let mut limits = TrainingLimits::default();
        texts.iter().for_each(|text| limits.set(text).unwrap());
        limits
    }

    #[test]
    fn money_buys_time() {
        let prices = Prices { core_hour: "0.05 EUR".parse().ok(), gpu_hour: "2 EUR".parse().ok() };
        let hours = |texts: &[&str]| affordable(&limits(texts), &prices).map(|d| d.as_secs() / 3_600);
        assert_eq!(hours(&["cost=40 EUR", "cpus=4"]), Some(200));
        assert_eq!(hours(&["cost=40 EUR", "cpus=4", "gpus=2"]), Some(9));
        assert_eq!(affordable(&limits(&["cost=40 EUR", "cpus=4"]), &Prices::default()), None);
    }

    #[test]
    fn what_nothing_holds_says_so() {
        let mut spec = Spec::default();
        let wanted = limits(&["processes=64", "memory=1GiB", "disk=1MiB", "wall=1s"]);
        let (states, _) = assign(&wanted, &Prices::default(), &Groups::default(), &mut spec, true);
        let by = |name| states.iter().find(|s| s.limit == name).unwrap().enforced_by.clone();
        assert_eq!(by(LimitName::Processes), NOT_ENFORCED);
        assert!(by(LimitName::Memory).contains("RLIMIT_AS"));
        assert_eq!((spec.disk, spec.address_space, spec.processes), (1 << 20, Some(1 << 30), None));
        let (states, _) = assign(&wanted, &Prices::default(), &Groups::default(), &mut spec, false);
        assert!(states.iter().any(|s| s.enforced_by == "rlimit RLIMIT_NPROC"));
    }

    #[test]
    fn time_and_money_run_out() {
        let prices = Prices { core_hour: "1 EUR".parse().ok(), gpu_hour: None };
        let wanted = limits(&["wall=10s", "cpus=1", "cost=0.001 EUR"]);
        let (_, watched) = assign(&wanted, &prices, &Groups::default(), &mut Spec::default(), true);
        let over = |seconds| watched.over(Duration::from_secs(seconds), &Groups::default(), None);
        assert_eq!((over(3), over(4)), (None, Some(LimitName::Cost)));
        let (_, watched) = assign(&limits(&["wall=10s"]), &prices, &Groups::default(), &mut Spec::default(), true);
        assert_eq!(watched.over(Duration::from_secs(11), &Groups::default(), None), Some(LimitName::Wall));
    }
}
