//! Runs the built program in a folder and configuration of its own.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "each test file uses a part of this")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// A project folder and a user's configuration folder, gone with the value.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    /// Empty folders.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        Self { dir }
    }

    /// A copy of one of the examples.
    pub fn example(name: &str) -> Self {
        let sandbox = Self::new();
        copy(&repository().join("examples").join(name), &sandbox.project());
        sandbox
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// The user's configuration folder.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program, with this configuration folder, in the project's folder.
    pub fn gauntlet<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"));
        command
            .env_clear()
            .env("GAUNTLET_CONFIG_DIR", self.config())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.project())
            .args(args);
        command
    }

    /// Runs with `--format json` and gives exit status and object.
    pub fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.gauntlet(args.iter().copied().chain(["--format", "json"])).output().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        });
        (output.status.code().unwrap(), value)
    }
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Rules of all findings of a result, sorted.
pub fn rules(result: &Value) -> Vec<String> {
    let mut rules: Vec<String> = result["reports"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|report| report["findings"].as_array().unwrap())
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect();
    rules.sort();
    rules.dedup();
    rules
}

/// `path: reason` of everything that was not looked at, sorted, each once.
pub fn gaps(result: &Value) -> Vec<String> {
    let mut gaps: Vec<String> = result["reports"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|report| report["coverage"]["skipped"].as_array().unwrap())
        .map(|s| format!("{}: {}", s["path"].as_str().unwrap(), s["reason"].as_str().unwrap()))
        .collect();
    gaps.sort();
    gaps.dedup();
    gaps
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name == ".gauntlet" {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
