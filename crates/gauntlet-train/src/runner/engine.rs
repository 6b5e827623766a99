//! The command line of Podman or Docker for a run.
//!
//! Made, not started: the engine is not among what the tests have. Limits by count of time and money are the caller's to
//! hold; the line says what the engine itself enforces.

use std::path::Path;

use crate::sandbox::{Job, WORK};

/// A container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Podman.
    Podman,
    /// Docker.
    Docker,
}

/// The whole command line. `root` is the project's folder, mounted read-only; declared outputs are written to `staging`.
#[must_use]
pub fn engine_command(engine: Engine, image: &str, job: &Job, root: &Path, staging: &Path) -> Vec<String> {
    let program = match engine {
        Engine::Podman => "podman",
        Engine::Docker => "docker",
    };
    let mut line: Vec<String> = [program, "run", "--rm", "--init", "--interactive=false"].map(str::to_owned).into();
    let mut add = |words: &[&str]| line.extend(words.iter().map(|w| (*w).to_owned()));
    add(&["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]);
    // The image must be there by its digest already: pulling it would be network that nobody declared.
    add(&["--pull", "never"]);
    // Engines know networks, not hosts: with declared hosts the run has to be admitted to one whose rules hold them.
    add(&["--network", if job.hosts.is_empty() { "none" } else { "gauntlet-declared-hosts" }]);
    if let Some(memory) = job.limits.memory {
        add(&["--memory", &memory.0.to_string(), "--memory-swap", &memory.0.to_string()]);
    }
    if let Some(processes) = job.limits.processes {
        add(&["--pids-limit", &processes.to_string()]);
    }
    if let Some(cores) = job.limits.cpus {
        add(&["--cpus", &cores.to_string()]);
    }
    if let Some(time) = job.limits.cpu_time {
        let seconds = time.0.div_ceil(1_000).to_string();
        add(&["--ulimit", &format!("cpu={seconds}:{seconds}")]);
    }
    if let Some(disk) = job.limits.disk {
        add(&["--tmpfs", &format!("/tmp:rw,nosuid,nodev,size={}", disk.0)]);
    }
    let gpus = job.limits.gpus.unwrap_or(0);
    if gpus > 0 {
        let visible: Vec<String> = (0..gpus).map(|n| n.to_string()).collect();
        match engine {
            Engine::Docker => add(&["--gpus", &format!("\"device={}\"", visible.join(","))]),
            Engine::Podman => visible.iter().for_each(|n| add(&["--device", &format!("nvidia.com/gpu={n}")])),
        }
    }
    add(&["--volume", &format!("{}:{WORK}:ro", root.display())]);
    for (host, inside) in job.inputs.iter().filter(|(host, _)| !host.starts_with(root)) {
        add(&["--volume", &format!("{}:{}:ro", host.display(), inside.display())]);
    }
    add(&["--volume", &format!("{}:/outputs:rw", staging.display()), "--workdir", WORK]);
    for (name, value) in &job.environment {
        add(&["--env", &format!("{name}={value}")]);
    }
    add(&["--env", "GAUNTLET_OUTPUTS=/outputs", image]);
    line.extend(job.command.iter().cloned());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::kubernetes::tests::job;

    #[test]
    fn every_limit_stands_in_the_line() {
        let image = format!("python@sha256:{}", "a".repeat(64));
        let line = engine_command(Engine::Podman, &image, &job(), Path::new("/p"), Path::new("/s")).join(" ");
        for part in [
            "podman run --rm",
            "--network none",
            "--memory 268435456 --memory-swap 268435456",
            "--pids-limit 64",
            "--cpus 1.5",
            "--read-only --cap-drop ALL --security-opt no-new-privileges",
            "--tmpfs /tmp:rw,nosuid,nodev,size=33554432",
            "--device nvidia.com/gpu=1",
            "--volume /p:/work:ro",
            "python3 train.py",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(
            engine_command(Engine::Docker, &image, &job(), Path::new("/p"), Path::new("/s"))
                .contains(&"--gpus".to_owned())
        );
    }
}
