//! `gauntlet convert` through the built program: benign files come out, hostile twins are refused and never run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::fs;

use serde_json::Value;
use support::{Sandbox, repository};

fn fixture(sandbox: &Sandbox, name: &str) {
    sandbox.write(name, fs::read(repository().join("testdata/artifact/convert").join(name)).unwrap());
}

#[test]
fn a_state_dict_becomes_the_file_that_the_reference_library_writes() {
    let sandbox = Sandbox::new();
    fixture(&sandbox, "module.pt");
    fixture(&sandbox, "module.safetensors");
    let (code, result) =
        sandbox.json(&["convert", "module.pt", "-o", "out.safetensors", "--compare", "module.safetensors"]);
    assert_eq!((code, result["result"].as_str().unwrap()), (0, "converted"));
    let read = |name: &str| fs::read(sandbox.project().join(name)).unwrap();
    assert!(read("out.safetensors") == read("module.safetensors"));
    let expected: Value =
        serde_json::from_slice(&fs::read(repository().join("testdata/artifact/convert/expected.json")).unwrap())
            .unwrap();
    let tensors = result["report"]["tensors"].as_array().unwrap();
    for tensor in tensors {
        let there = &expected["files"]["module.pt"][tensor["name"].as_str().unwrap()];
        assert_eq!(tensor["digest"], format!("sha256:{}", there["sha256"].as_str().unwrap()));
    }
    assert_eq!(tensors.len(), 9);
    assert_eq!(result["differences"], Value::Array(Vec::new()));
    // What was written is what `scan` calls clean.
    let (code, _) = sandbox.json(&["scan", "out.safetensors"]);
    assert_eq!(code, 0);
    // Nothing but the output is left behind.
    assert_eq!(fs::read_dir(sandbox.project()).unwrap().count(), 3);
}

#[test]
fn people_see_names_digests_and_what_was_left_out() {
    let sandbox = Sandbox::new();
    fixture(&sandbox, "checkpoint.pt");
    let refused = sandbox.gauntlet(["convert", "checkpoint.pt", "-o", "out"]).assert().code(1);
    let text = String::from_utf8_lossy(&refused.get_output().stdout).into_owned();
    assert!(text.contains("epoch: an int (3)") && text.contains("Try --key state_dict"), "{text}");
    assert!(!sandbox.project().join("out").exists());
    let done = sandbox.gauntlet(["convert", "checkpoint.pt", "-o", "out", "--key", "state_dict"]).assert().code(0);
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(
        text.contains("0.weight") && text.contains("optimizer: a dict of 2") && text.contains("9 tensors"),
        "{text}"
    );
}

#[test]
fn an_output_is_replaced_only_with_force_and_written_nowhere_without() {
    let sandbox = Sandbox::new();
    fixture(&sandbox, "tied.pt");
    fixture(&sandbox, "module.safetensors");
    sandbox.write("out", "mine");
    sandbox.gauntlet(["convert", "tied.pt"]).assert().code(2);
    sandbox.gauntlet(["convert", "tied.pt", "-o", "out"]).assert().code(2);
    assert_eq!(fs::read(sandbox.project().join("out")).unwrap(), b"mine");
    sandbox.gauntlet(["convert", "tied.pt", "-o", "out", "--force"]).assert().code(0);
    let (code, result) = sandbox.json(&["convert", "tied.pt", "--compare", "module.safetensors"]);
    assert_eq!((code, result["result"].as_str().unwrap()), (1, "differs"));
    sandbox.gauntlet(["convert", "missing.pt", "-o", "x"]).assert().code(3);
    sandbox.gauntlet(["convert", ".", "-o", "x"]).assert().code(3);
}

#[test]
fn hostile_twins_are_refused_and_never_run() {
    let sandbox = Sandbox::new();
    let mark = sandbox.project().join("canary");
    // The same state dict with a call in front of it, in the layout before version 1.6, where pickles need no zip.
    let legacy = fs::read(repository().join("testdata/artifact/convert/legacy.pth")).unwrap();
    let object = legacy.windows(20).position(|w| w.starts_with(b"\x80\x02ccollections\nOrder")).unwrap();
    let command = format!("touch {}", mark.display());
    let payload = [
        b"\x80\x02cos\nsystem\nX".to_vec(),
        (command.len() as u32).to_le_bytes().to_vec(),
        command.into_bytes(),
        b"\x85R0".to_vec(),
    ]
    .concat();
    let twin = [&legacy[..object], &payload, &legacy[object + 2..]].concat();
    sandbox.write("twin.pth", twin);
    for more in [&[][..], &["--drop-other", "--flatten"]] {
        let args = ["convert", "twin.pth", "-o", "out", "--format", "json"];
        let refused = sandbox.gauntlet(args.iter().chain(more)).assert().code(1);
        let result: Value = serde_json::from_slice(&refused.get_output().stdout).unwrap();
        assert_eq!(result["result"], "refused");
        assert!(result["refusal"]["reasons"][0]["what"].as_str().unwrap().contains("os.system"), "{result:#}");
    }
    for name in ["c007.pt", "c010.pt", "c014.pt", "c016.pt", "c035.pth", "p007.pkl", "c070.joblib", "c073.npy"] {
        let from = repository().join("testdata/artifact").join(name);
        let done = sandbox.gauntlet(["convert", from.to_str().unwrap(), "-o", "out", "--drop-other"]).output().unwrap();
        assert!(matches!(done.status.code(), Some(1 | 3)), "{name}: {:?}", done.status);
    }
    assert!(!mark.exists() && !sandbox.project().join("out").exists());
    assert_eq!(fs::read_dir(sandbox.project()).unwrap().count(), 1);
}
