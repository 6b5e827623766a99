//! Who may know whom: reads `cargo metadata` and fails when a crate knows one it may not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Crates that are explained without Gauntlet. They know only each other.
const LEAVES: &[&str] = &[
    "gauntlet-archive",
    "gauntlet-drift",
    "gauntlet-facts",
    "gauntlet-grad",
    "gauntlet-hdf5",
    "gauntlet-limits",
    "gauntlet-npy",
    "gauntlet-onnx",
    "gauntlet-patterns",
    "gauntlet-pickle",
    "gauntlet-poisoning",
    "gauntlet-protobuf",
    "gauntlet-python",
    "gauntlet-remote",
    "gauntlet-sketch",
    "gauntlet-template",
];

/// What each crate may know besides leaf crates. Gates never know each other; nobody but the binary knows a gate,
/// save the cluster, which runs the data gate's plans.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("gauntlet-core", &[]),
    ("gauntlet-source", &["gauntlet-core"]),
    ("gauntlet-data", &["gauntlet-core"]),
    ("gauntlet-cluster", &["gauntlet-data"]),
    ("gauntlet-artifact", &["gauntlet-core"]),
    ("gauntlet-train", &["gauntlet-core"]),
    ("gauntlet-trust", &["gauntlet-core"]),
    ("gauntlet-ledger", &["gauntlet-core", "gauntlet-trust"]),
    ("gauntlet-policy", &["gauntlet-core", "gauntlet-trust", "gauntlet-ledger"]),
    ("gauntlet-hunt", &["gauntlet-core", "gauntlet-trust", "gauntlet-ledger"]),
    ("gauntlet-report", &["gauntlet-core"]),
    (
        "gauntlet",
        &[
            "gauntlet-artifact",
            "gauntlet-cluster",
            "gauntlet-core",
            "gauntlet-data",
            "gauntlet-hunt",
            "gauntlet-ledger",
            "gauntlet-policy",
            "gauntlet-report",
            "gauntlet-source",
            "gauntlet-train",
            "gauntlet-trust",
        ],
    ),
];

/// Core is explained by its words alone: of the leaves it knows just the limits.
const CORE_LEAVES: &[&str] = &["gauntlet-limits"];

#[test]
fn no_crate_knows_one_it_may_not() {
    let known = workspace_dependencies();
    let rules: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in &known {
        for dependency in dependencies {
            let allowed = match rules.get(name.as_str()) {
                Some(_) if name == "gauntlet-core" => CORE_LEAVES.contains(&dependency.as_str()),
                Some(allowed) => allowed.contains(&dependency.as_str()) || LEAVES.contains(&dependency.as_str()),
                None => LEAVES.contains(&name.as_str()) && LEAVES.contains(&dependency.as_str()),
            };
            if !allowed {
                wrong.push(format!("{name} must not know {dependency}"));
            }
        }
        if !rules.contains_key(name.as_str()) && !LEAVES.contains(&name.as_str()) {
            wrong.push(format!("{name} has no place in the architecture: give it one here and in CONTRIBUTING.md"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(known.len(), MAY_KNOW.len() + LEAVES.len(), "a crate named here is gone");
}

/// Crate name to the workspace crates it depends on, tests and build scripts included.
fn workspace_dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies.filter(|d| d["path"].is_string()).map(name).collect();
            (name(package), ours)
        })
        .collect()
}
