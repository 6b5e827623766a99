//! A run as a Kubernetes Job with the same limits.
//!
//! A cluster has no limit for the number of processes of one pod, nor for money: the manifest says both in annotations, and
//! the time that the money buys shortens the deadline. Network is closed by a NetworkPolicy beside the Job.

use gauntlet_core::Digest;
use gauntlet_core::project::TrainingLimits;
use serde_json::{Map, Value, json};

use crate::sandbox::{Job, WORK};

/// A job that cannot be told to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// There is no image to run in.
    #[error("a Kubernetes Job needs an image: set `image: name@sha256:…` under `training`")]
    NoImage,
    /// A network policy knows addresses, not names.
    #[error("hosts cannot be declared to a cluster by name: {0}")]
    Hosts(String),
}

/// The manifests: a `Job` and a `NetworkPolicy` in a `List`. `claim` is the volume claim that holds project, inputs and
/// outputs; `seconds` is how long the run may take, money included.
///
/// # Errors
/// [`KubernetesError`] when something would be lost.
pub fn kubernetes_job(
    name: &str,
    image: Option<&str>,
    job: &Job,
    claim: &str,
    seconds: Option<u64>,
) -> Result<Value, KubernetesError> {
    let image = image.ok_or(KubernetesError::NoImage)?;
    if !job.hosts.is_empty() {
        return Err(KubernetesError::Hosts(job.hosts.join(", ")));
    }
    // What makes the job another one makes it another object; names are DNS labels.
    let digest = Digest::sha256(format!("{:?}{:?}{image}", job.command, job.limits).as_bytes());
    let label: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(40).collect();
    let label = format!("train-{}-{}", label.trim_matches('-'), &digest.hex()[..8]);
    let labels = json!({"app.kubernetes.io/managed-by": "gauntlet", "gauntlet.example/run": label});
    let environment: Vec<Value> =
        job.environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "train",
            "image": image,
            "command": job.command,
            "workingDir": WORK,
            "env": environment,
            "resources": resources(&job.limits),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "privileged": false,
                "readOnlyRootFilesystem": true,
            },
            "volumeMounts": [
                {"name": "project", "mountPath": WORK, "subPath": "project", "readOnly": true},
                {"name": "project", "mountPath": "/outputs", "subPath": "outputs"},
                {"name": "scratch", "mountPath": "/tmp"},
            ],
        }],
        "volumes": [
            {"name": "project", "persistentVolumeClaim": {"claimName": claim}},
            {"name": "scratch", "emptyDir": scratch(&job.limits)},
        ],
    });
    let mut spec = json!({
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    });
    let wall = job.limits.wall.map(|wall| wall.0.div_ceil(1_000));
    let deadline = [wall, seconds].into_iter().flatten().min().map(|s| i64::try_from(s).unwrap_or(i64::MAX));
    if let (Some(deadline), Some(members)) = (deadline, spec.as_object_mut()) {
        members.insert("activeDeadlineSeconds".to_owned(), deadline.into());
    }
    let mut annotations = Map::new();
    for (name, value) in [
        ("processes", job.limits.processes.map(|n| n.to_string())),
        ("cost", job.limits.cost.as_ref().map(ToString::to_string)),
        ("cpu-time", job.limits.cpu_time.map(|t| t.to_string())),
    ] {
        if let Some(value) = value {
            annotations.insert(format!("gauntlet.example/limit-{name}"), value.into());
        }
    }
    let mut metadata = json!({"name": label, "labels": labels});
    if let (false, Some(members)) = (annotations.is_empty(), metadata.as_object_mut()) {
        members.insert("annotations".to_owned(), annotations.into());
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec},
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": label, "labels": labels},
                "spec": {
                    "podSelector": {"matchLabels": {"gauntlet.example/run": label}},
                    "policyTypes": ["Ingress", "Egress"],
                },
            },
        ],
    }))
}

fn resources(limits: &TrainingLimits) -> Value {
    let mut most = Map::new();
    if let Some(memory) = limits.memory {
        most.insert("memory".to_owned(), memory.0.to_string().into());
    }
    if let Some(cores) = limits.cpus {
        most.insert("cpu".to_owned(), format!("{}m", cores.0).into());
    }
    if let Some(disk) = limits.disk {
        most.insert("ephemeral-storage".to_owned(), disk.0.to_string().into());
    }
    if let Some(gpus) = limits.gpus.filter(|n| *n > 0) {
        most.insert("nvidia.com/gpu".to_owned(), gpus.to_string().into());
    }
    // Equal to the limits: what is not reserved could be taken away in the middle of a run.
    json!({"limits": most, "requests": most})
}

fn scratch(limits: &TrainingLimits) -> Value {
    limits.disk.map_or_else(|| json!({}), |disk| json!({"sizeLimit": disk.0.to_string()}))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gauntlet_core::project::Prices;
    use k8s_openapi::api::batch::v1 as batch;
    use k8s_openapi::api::networking::v1 as networking;

    pub(crate) fn job() -> Job {
        let mut limits = TrainingLimits::default();
        for text in ["wall=2h", "memory=256MiB", "cpus=1.5", "processes=64", "disk=32MiB", "gpus=2", "cost=40 EUR"] {
            limits.set(text).unwrap();
        }
        Job {
            command: ["python3", "train.py"].map(str::to_owned).into(),
            environment: [("SEED".to_owned(), "7".to_owned())].into(),
            code: Vec::new(),
            inputs: Vec::new(),
            system: Vec::new(),
            outputs: vec!["models/churn.onnx".into()],
            hosts: Vec::new(),
            limits,
            prices: Prices::default(),
            trace: true,
            without: Vec::new(),
            bubblewrap: None,
            staging: "/s".into(),
        }
    }

    fn image() -> String {
        format!("registry.example/python@sha256:{}", "a".repeat(64))
    }

    /// Unknown members are dropped when a cluster's types read a manifest: what comes out again must be what went in.
    #[test]
    fn the_manifest_survives_the_clusters_own_types() {
        let list = kubernetes_job("churn", Some(&image()), &job(), "churn-data", Some(3_600)).unwrap();
        let items = list["items"].as_array().unwrap();
        let read: batch::Job = serde_json::from_value(items[0].clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), items[0]);
        let policy: networking::NetworkPolicy = serde_json::from_value(items[1].clone()).unwrap();
        assert_eq!(serde_json::to_value(&policy).unwrap(), items[1]);
        let spec = read.spec.unwrap();
        assert_eq!(spec.active_deadline_seconds, Some(3_600));
        let pod = spec.template.spec.unwrap();
        let limits = pod.containers[0].resources.clone().unwrap().limits.unwrap();
        let shown: Vec<String> = limits.iter().map(|(k, v)| format!("{k}={}", v.0)).collect();
        assert_eq!(shown, ["cpu=1500m", "ephemeral-storage=33554432", "memory=268435456", "nvidia.com/gpu=2"]);
    }

    #[test]
    fn what_a_cluster_cannot_hold_is_refused() {
        assert_eq!(kubernetes_job("c", None, &job(), "d", None), Err(KubernetesError::NoImage));
        let hosts = Job { hosts: vec!["data.example.org".into()], ..job() };
        assert!(matches!(kubernetes_job("c", Some(&image()), &hosts, "d", None), Err(KubernetesError::Hosts(_))));
    }
}
