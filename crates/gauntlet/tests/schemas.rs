//! The committed JSON Schemas are those the types give. `UPDATE_SCHEMAS=1 cargo test -p gauntlet --test schemas` writes them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

use std::path::Path;

use assert_cmd::Command;

const DOCUMENTS: [&str; 7] = ["project", "output", "manifest", "contract", "trust-policy", "policy-input", "judgement"];

#[test]
fn committed_schemas_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for document in DOCUMENTS {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"))
            .args(["config", "schema", document])
            .output()
            .unwrap();
        assert!(output.status.success());
        let path = folder.join(format!("{document}.schema.json"));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &output.stdout).unwrap();
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(committed == output.stdout, "{} is stale: run `just update`", path.display());
    }
}
