//! One scheduler and two workers as processes on this machine: what they answer is what one process answers, also when
//! one of them is killed; nodes that do not fit are refused.

#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gauntlet_cluster::{Node, WorkerOptions};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use support::Sandbox;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(240);

/// One node; killed with the value.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a node in `dir`; its log is `name` there.
    fn start(dir: &Path, name: &str, args: &[&str]) -> Self {
        let log = dir.join(name);
        let child = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"))
            .arg("worker")
            .args(args)
            .args(["--log", "info"])
            .env("GAUNTLET_CONFIG_DIR", dir)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has this text.
    fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        while !self.said().contains(text) {
            assert!(started.elapsed() < PATIENCE, "no `{text}` in {}", self.said());
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it listens, and says where.
    fn address(&mut self, what: &str) -> String {
        self.wait_for(&format!("{what} at "));
        let said = self.said();
        let line = said.lines().find_map(|line| line.split_once(&format!("{what} at "))).unwrap().1;
        line.split_whitespace().next().unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Nodes {
    scheduler: Process,
    workers: Vec<Process>,
    address: String,
    dir: tempfile::TempDir,
}

impl Nodes {
    fn start(workers: usize, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let args = [&["--scheduler", "--listen", "127.0.0.1:0"], more].concat();
        let mut scheduler = Process::start(dir.path(), "scheduler.log", &args);
        let address = scheduler.address("scheduler");
        let mut nodes = Self { scheduler, workers: Vec::new(), address, dir };
        for n in 0..workers {
            let work = nodes.dir.path().join(format!("work{n}"));
            fs::create_dir(&work).unwrap();
            let args = ["--scheduler-address", &nodes.address, "--slots", "1", "--work-dir", work.to_str().unwrap()];
            let args = [&args, more].concat();
            let mut worker = Process::start(nodes.dir.path(), &format!("worker{n}.log"), &args);
            worker.address("worker");
            nodes.workers.push(worker);
        }
        nodes
    }
}

/// A table in `files` files, and a contract that some of its rows break.
fn table(files: usize, rows: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for file in 0..files {
        let mut text = "id,age,colour,mail,notes\n".to_owned();
        for row in 0..rows {
            let id = file * rows + row;
            let notes = if id % 997 == 0 { "=1+1" } else { "fine" };
            let _ = writeln!(text, "{id},{},{},p{id}@example.org,{notes}", id % 91, ["red", "green"][id % 2]);
        }
        sandbox.write(&format!("d/part{file:02}.csv"), text);
    }
    sandbox.write(
        "c.yaml",
        "contract: 1\ncolumns:\n  id: {type: integer, unique: true, monotone: increasing}\n  age: {type: integer, range: [0, 89], \
         mean: [0, 100]}\n  colour: {type: string, allowed: [red, green], shares: {red: [0.4, 0.6]}}\n  \
         mail: {type: string, pattern: '[a-z0-9]+@example\\.org'}\n  notes: {type: string}\nrules:\n  - {name: young, expression: 'age <= id', mostly: 0.9}\n  - {column: id, quantiles: {0.5: [0, 10]}}\n",
    );
    sandbox
}

const CONTRACT: [&str; 6] = ["data", "contract", "d", "--contract", "c.yaml", "--format"];

/// The reports of a result, which do not tell how long it took.
fn reports(output: &std::process::Output) -> String {
    let result: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    result["reports"].to_string()
}

#[test]
fn two_workers_say_what_one_process_says() {
    let nodes = Nodes::start(2, &[]);
    let sandbox = table(12, 3_000);
    let contract = |more: &[&str]| {
        let args = CONTRACT.iter().copied().chain(["json", "--results", "r.json"]).chain(more.iter().copied());
        let output = sandbox.gauntlet(args).output().unwrap();
        (output.status.code(), reports(&output), fs::read(sandbox.project().join("r.json")).unwrap())
    };
    let local = contract(&[]);
    assert_eq!(local.0, Some(1), "{}", local.1);
    assert!(local.1.contains("`age`: 395 of 36,000 values fail"), "{}", local.1);
    assert_eq!(contract(&["--cluster", &nodes.address]), local);

    let profile = |more: &[&str]| {
        let args = ["data", "profile", "d", "--kll", "200", "--format", "canonical", "-o", "p"];
        let output = sandbox.gauntlet(args.iter().chain(more)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.stdout, fs::read(sandbox.project().join("p")).unwrap())
    };
    assert_eq!(profile(&["--cluster", &nodes.address]), profile(&[]));
    let fingerprint = |more: &[&str]| {
        let args = ["data", "fingerprint", "d", "--format", "json", "--contract", "c.yaml"];
        let output = sandbox.gauntlet(args.iter().chain(more)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert_eq!(fingerprint(&["--cluster", &nodes.address]), fingerprint(&[]));
    for worker in &nodes.workers {
        assert!(worker.said().contains("Finished task"), "a worker had nothing to do: {}", worker.said());
    }
}

#[test]
fn the_data_stage_of_a_run_says_the_same() {
    let nodes = Nodes::start(1, &[]);
    let run = |more: &[&str]| {
        let sandbox = Sandbox::example("churn");
        let output = sandbox.gauntlet(["run", "--format", "json"].iter().chain(more)).output().unwrap();
        (output.status.code(), reports(&output))
    };
    let local = run(&[]);
    assert!(local.1.contains("data/personal-data"), "{}", local.1);
    assert_eq!(run(&["--cluster", &nodes.address]), local);
    assert!(nodes.workers[0].said().contains("Finished task"), "{}", nodes.workers[0].said());
}

#[test]
fn a_worker_that_is_killed_changes_nothing() {
    let mut nodes = Nodes::start(2, &[]);
    let sandbox = table(16, 30_000);
    let program = || {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"));
        command.args(CONTRACT).arg("json").env("GAUNTLET_CONFIG_DIR", sandbox.config()).current_dir(sandbox.project());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let local = program().output().unwrap();
    let mut running = program().args(["--cluster", &nodes.address]).spawn().unwrap();
    let victim = &mut nodes.workers[0];
    victim.wait_for("Received task");
    // SIGKILL: it can tell nobody.
    victim.child.kill().unwrap();
    victim.child.wait().unwrap();
    assert!(!victim.said().contains("Finished task"), "the table is too small for this test");
    assert!(running.try_wait().unwrap().is_none(), "the table is too small for this test");
    let output = running.wait_with_output().unwrap();
    assert_eq!(reports(&output), reports(&local), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), local.status.code());
    assert!(nodes.scheduler.said().contains("heartbeat timed out"), "{}", nodes.scheduler.said());
}

#[test]
fn what_a_worker_does_not_see_is_named() {
    let nodes = Nodes::start(1, &[]);
    let sandbox = table(1, 10);
    // The folder that a process runs in is another one for each.
    let profile = |path: &str| {
        let mut command = sandbox.gauntlet(["data", "profile", path, "--cluster", &nodes.address]);
        command.assert().code(3)
    };
    let path = "/proc/self/cwd/d/part00.csv";
    let worker = nodes.workers[0].said();
    let worker = worker.split("worker at ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    profile(path)
        .stderr(contains(format!("the worker at {worker} does not see")).and(contains("d/part00.csv: cannot read")));
    fs::create_dir(nodes.dir.path().join("d")).unwrap();
    fs::write(nodes.dir.path().join("d/part00.csv"), "id\n1\n").unwrap();
    profile(path).stderr(contains("d/part00.csv: is another file here: 5 bytes"));

    let contract = ["data", "contract", path, "--contract", "c.yaml", "--cluster", &nodes.address];
    sandbox.gauntlet(contract).assert().code(3).stdout(contains("does not").and(contains("COULD NOT BE JUDGED")));
}

#[test]
fn nodes_that_do_not_fit_are_refused() {
    let nodes = Nodes::start(0, &[]);
    let (host, port) = nodes.address.split_once(':').unwrap();
    let options = WorkerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        scheduler: (host.to_owned(), port.parse().unwrap()),
        slots: 1,
        work_dir: Some(nodes.dir.path().to_owned()),
        log: None,
    };
    let other = Node::with_registry(None, "0123456789abcdef").unwrap();
    let error =
        gauntlet_cluster::run(gauntlet_cluster::work(&other, &options, |_| panic!("it was taken"))).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(&nodes.address) && error.contains("run the same gauntlet on all nodes"), "{error}");
    assert!(error.contains("registry/0123456789abcdef"), "{error}");

    let sandbox = table(1, 10);
    let everywhere = ["worker", "--scheduler-address", &nodes.address, "--listen", "0.0.0.0:0"];
    sandbox.gauntlet(everywhere).assert().code(2).stderr(contains("--advertise"));
    let profile = |address: &str| sandbox.gauntlet(["data", "profile", "d", "--cluster", address]).assert().code(3);
    profile(&nodes.address).stderr(contains("has no workers"));
    profile("127.0.0.1:1").stderr(contains("the scheduler at 127.0.0.1:1 does not answer"));
}

/// A key and a certificate for 127.0.0.1 of an authority made for it, as options of a node; `None` without OpenSSL.
fn keys(dir: &Path, name: &str) -> Option<[String; 6]> {
    let path = |kind: &str| dir.join(format!("{name}.{kind}")).to_str().unwrap().to_owned();
    let openssl = |args: &[&str]| {
        let made = Command::new("openssl").args(args).stderr(Stdio::null()).stdout(Stdio::null()).status();
        made.ok().map(|status| assert!(status.success(), "{args:?}"))
    };
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let (authority, ca, own, key) = (path("ca.key"), path("ca"), path("pem"), path("key"));
    let authority_is = ["req", "-x509", "-subj", "/CN=authority", "-keyout", &authority, "-out", &ca];
    openssl(&[&authority_is[..], &new].concat())?;
    let node_is =
        ["req", "-x509", "-subj", "/CN=node", "-CA", &ca, "-CAkey", &authority, "-keyout", &key, "-out", &own];
    let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(&[&node_is[..], &new, &names].concat())?;
    Some(["--tls-certificate".to_owned(), own, "--tls-key".to_owned(), key, "--tls-ca".to_owned(), ca])
}

#[test]
fn with_certificates_nobody_else_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(ours), Some(theirs)) = (keys(dir.path(), "ours"), keys(dir.path(), "theirs")) else {
        assert!(std::env::var_os("GAUNTLET_CI").is_none(), "there is no openssl to make certificates");
        return;
    };
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let nodes = Nodes::start(1, &ours);
    let sandbox = table(2, 100);
    let profile = |tls: &[&str]| {
        let args = ["data", "profile", "d", "--format", "canonical", "--cluster", &nodes.address];
        sandbox.gauntlet(args.iter().chain(tls)).output().unwrap()
    };
    let output = profile(&ours);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let local = sandbox.gauntlet(["data", "profile", "d", "--format", "canonical"]).output().unwrap();
    assert_eq!(output.stdout, local.stdout);
    let mixed = [ours[0], ours[1], ours[2], ours[3], theirs[4].as_str(), theirs[5].as_str()];
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    for refused in [profile(&[]), profile(&theirs), profile(&mixed)] {
        assert_eq!(refused.status.code(), Some(3));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(&format!("the scheduler at {}", nodes.address)), "{said}");
    }
}
