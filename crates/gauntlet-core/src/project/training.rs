//! `training:` of gauntlet.yaml: what trains the project's models, on what, and what it may use up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quota::{ByteSize, Cores, Money, QuotaError, Span};
use crate::yaml::Located;

/// How the project trains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Program and arguments; started in the project's folder, without a shell.
    pub command: Vec<String>,
    /// Datasets by name, or paths: what the command may read besides the source.
    pub inputs: Vec<Located<String>>,
    /// Files and folders that the command makes and that are kept.
    pub outputs: Vec<Located<String>>,
    /// What the data is used for; every input's consent has to cover it.
    pub purpose: Option<String>,
    /// Host names that the command may reach through the proxy; none: no network at all.
    pub network: Vec<Located<String>>,
    /// Environment variables. They are recorded, so no secrets.
    pub environment: BTreeMap<String, String>,
    /// Seed, handed over as `GAUNTLET_SEED` and `PYTHONHASHSEED`.
    pub seed: Option<u64>,
    /// Files that hold hyper-parameters (YAML or JSON), such as `params.yaml`.
    pub parameters: Vec<Located<String>>,
    /// Where metrics appear while it trains.
    pub metrics: MetricsConfig,
    /// The image it runs in, by digest: `registry/name@sha256:…`.
    pub image: Option<Located<String>>,
    /// What confines it.
    pub runner: Runner,
    /// What it may use up.
    pub limits: TrainingLimits,
    /// What that costs.
    pub prices: Prices,
}

/// Where metrics appear while a command trains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// An MLflow file store below the project's folder that the command writes, such as `mlruns`.
    pub mlflow: Option<Located<String>>,
    /// Names to look for on its output as `name=1.5` or `name: 1.5` [default: names with `loss` in them].
    pub names: Vec<String>,
}

/// What confines a training run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// This program, with the namespaces, filters and control groups of Linux.
    #[default]
    Native,
    /// Mounts and namespaces by bubblewrap, the rest by this program.
    Bubblewrap,
    /// Podman; only the command line is made.
    Podman,
    /// Docker; only the command line is made.
    Docker,
    /// A Kubernetes Job; only the manifest is made.
    Kubernetes,
}

/// What a training run may use up. What is not set has the default of [`TrainingLimits::or_defaults`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingLimits {
    /// Time on the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<Span>,
    /// Time of all cores together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Span>,
    /// Cores at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cores>,
    /// Memory of all processes together, scratch included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Processes and threads at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Scratch, outputs included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// GPUs that it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Money, at the prices given: cores and GPUs are paid for as long as the run lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
}

/// What resources cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// One core for an hour.
    pub core_hour: Option<Money>,
    /// One GPU for an hour.
    pub gpu_hour: Option<Money>,
}

impl TrainingLimits {
    /// Sets one limit from `name=value`, as on the command line.
    ///
    /// # Errors
    /// A message that names the limits there are, or what an amount looks like.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form NAME=VALUE"))?;
        let says = |error: QuotaError| format!("limit {name}: {error}");
        let whole =
            |value: &str| value.parse::<u64>().map_err(|_| format!("limit {name}: `{value}` is no whole number"));
        match name {
            "wall" => self.wall = Some(value.parse().map_err(says)?),
            "cpu_time" => self.cpu_time = Some(value.parse().map_err(says)?),
            "cpus" => self.cpus = Some(value.parse().map_err(says)?),
            "memory" => self.memory = Some(value.parse().map_err(says)?),
            "processes" => self.processes = Some(whole(value)?),
            "disk" => self.disk = Some(value.parse().map_err(says)?),
            "gpus" => {
                self.gpus =
                    Some(u32::try_from(whole(value)?).map_err(|_| format!("limit {name}: {value} is too large"))?);
            }
            "cost" => self.cost = Some(value.parse().map_err(says)?),
            _ => {
                let known = "wall, cpu_time, cpus, memory, processes, disk, gpus, cost";
                return Err(format!("there is no limit `{name}`; limits are {known}"));
            }
        }
        Ok(())
    }

    /// The tighter of both, member by member: a flag can lower what the project allows, never raise it.
    ///
    /// # Errors
    /// When both name costs in different currencies.
    pub fn tightened(self, other: Self) -> Result<Self, String> {
        fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        }
        let cost = match (self.cost, other.cost) {
            (Some(a), Some(b)) if a.currency != b.currency => {
                return Err(format!("costs of {a} and {b} cannot be compared: write both in one currency"));
            }
            (Some(a), Some(b)) => Some(if a.micros <= b.micros { a } else { b }),
            (a, b) => a.or(b),
        };
        Ok(Self {
            wall: least(self.wall, other.wall),
            cpu_time: least(self.cpu_time, other.cpu_time),
            cpus: least(self.cpus, other.cpus),
            memory: least(self.memory, other.memory),
            processes: least(self.processes, other.processes),
            disk: least(self.disk, other.disk),
            gpus: least(self.gpus, other.gpus),
            cost,
        })
    }

    /// With a default wherever nothing is set: an hour, 4 GiB, 512 processes, 1 GiB of scratch, no GPU, `cores` cores.
    #[must_use]
    pub fn or_defaults(mut self, cores: u64) -> Self {
        self.wall.get_or_insert(Span(3_600_000));
        self.cpus.get_or_insert(Cores(cores.saturating_mul(1_000)));
        self.memory.get_or_insert(ByteSize(4 << 30));
        self.processes.get_or_insert(512);
        self.disk.get_or_insert(ByteSize(1 << 30));
        self.gpus.get_or_insert(0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_only_tighten() {
        let mut file = TrainingLimits::default();
        for text in ["wall=2h", "memory=1GiB", "cost=40 EUR"] {
            file.set(text).unwrap();
        }
        let mut flags = TrainingLimits::default();
        for text in ["wall=3h", "memory=256MiB", "processes=64", "cost=1 EUR"] {
            flags.set(text).unwrap();
        }
        let both = file.clone().tightened(flags.clone()).unwrap();
        assert_eq!(both.wall, Some(Span(7_200_000)));
        assert_eq!(both.memory, Some(ByteSize(256 << 20)));
        assert_eq!(both.processes, Some(64));
        assert_eq!(both.cost.as_ref().unwrap().to_string(), "1 EUR");
        flags.set("cost=1 USD").unwrap();
        assert!(file.tightened(flags).unwrap_err().contains("one currency"));
    }

    #[test]
    fn unknown_limits_are_named() {
        let mut limits = TrainingLimits::default();
        assert!(limits.set("ram=1GiB").unwrap_err().contains("limits are wall"));
        assert!(limits.set("memory=lots").unwrap_err().contains("8GiB"));
        assert!(limits.set("memory").unwrap_err().contains("NAME=VALUE"));
    }
}
