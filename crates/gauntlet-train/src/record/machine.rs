//! What a run ran on, as far as the system tells without being asked by a program.

use std::fs;

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Model of the first processor.
    pub processor: Option<String>,
    /// Processors that this program may use.
    pub cores: u64,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Kernel's name and release.
    pub kernel: Option<String>,
    /// Name of the distribution.
    pub system: Option<String>,
    /// Models of NVIDIA cards.
    pub gpus: Vec<String>,
}

/// This machine.
#[must_use]
pub fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).ok();
    let value = |text: String, name: &str, sign: char| {
        text.lines()
            .filter_map(|line| line.split_once(sign))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let memory = read("/proc/meminfo").and_then(|text| value(text, "MemTotal", ':'));
    let kilobytes = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let kernel = read("/proc/sys/kernel/ostype").zip(read("/proc/sys/kernel/osrelease"));
    let mut gpus: Vec<String> = fs::read_dir("/proc/driver/nvidia/gpus")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|card| value(fs::read_to_string(card.path().join("information")).ok()?, "Model", ':'))
        .collect();
    gpus.sort();
    Machine {
        architecture: std::env::consts::ARCH.to_owned(),
        processor: read("/proc/cpuinfo").and_then(|text| value(text, "model name", ':')),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        memory: kilobytes.and_then(|k| k.checked_mul(1_024)),
        kernel: kernel.map(|(name, release)| format!("{} {}", name.trim(), release.trim())),
        system: read("/etc/os-release").and_then(|text| value(text, "PRETTY_NAME", '=')),
        gpus,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        let machine = super::machine();
        assert!(machine.cores > 0 && machine.memory.unwrap() > 1 << 20);
        assert!(machine.kernel.unwrap().starts_with("Linux "));
    }
}
