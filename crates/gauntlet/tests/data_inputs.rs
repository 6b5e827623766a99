//! Data files that are damaged, hostile or elsewhere, given to the built program: a finding or exit 3 that names file and
//! place, in bounded memory, and never a part reported as the whole.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Sandbox, gaps, rules};

const MEMORY_KB: u64 = 700_000;
const PATIENCE: Duration = Duration::from_secs(240);

/// A project with one dataset at `path`, and a contract over the column `id`.
fn project(path: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "gauntlet.yaml",
        format!(
            "version: 1\nproject: p\nkind: tabular\nrisk: minimal\nsource: {{paths: [src]}}\n\
             datasets:\n  train: {{path: '{path}', contract: c.yaml}}\n{more}"
        ),
    );
    sandbox.write("c.yaml", "contract: 1\nextra_columns: allow\ncolumns:\n  id: {type: integer}\n");
    sandbox.write("src/a.py", "");
    sandbox
}

/// Exit status and JSON of a run of the data stage. Peak memory stays within bounds.
fn run(sandbox: &Sandbox, environment: &[(&str, &str)]) -> (i32, Value) {
    let started = Instant::now();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"))
        .args(["run", "--stage", "data", "--format", "json", "--no-progress", "--output", "../out.json"])
        .env("GAUNTLET_CONFIG_DIR", sandbox.config())
        .env_remove("GAUNTLET_IDENTITY")
        .envs(environment.iter().copied())
        .current_dir(sandbox.project())
        .stdout(Stdio::null())
        .stderr(fs::File::create(sandbox.project().join("../err.txt")).unwrap())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|l| l.split_whitespace().next()).and_then(|kb| kb.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("no end after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(peak < MEMORY_KB, "{peak} kB");
    let text = fs::read(sandbox.project().join("../out.json")).unwrap_or_else(|error| {
        panic!("{error}: {}", fs::read_to_string(sandbox.project().join("../err.txt")).unwrap_or_default())
    });
    (status.code().expect("ended by itself"), serde_json::from_slice(&text).unwrap())
}

fn messages(result: &Value) -> String {
    let reports = result["reports"].as_array().unwrap();
    let findings = reports.iter().flat_map(|report| report["findings"].as_array().unwrap());
    findings.map(|f| format!("{}\n", f["message"].as_str().unwrap())).collect()
}

/// One damaged file: refused, with a gap that says `says`, and no report passes.
fn refused(name: &str, content: &[u8], says: &str) {
    let sandbox = project(&format!("data/{name}"), "");
    sandbox.write(&format!("data/{name}"), content);
    let (exit, result) = run(&sandbox, &[]);
    let gaps = gaps(&result).join("\n");
    assert!(exit == 1 || exit == 3, "{name}: exit {exit}");
    assert!(gaps.contains(says) && gaps.contains(&format!("data/{name}")), "{name}: {gaps}");
    for report in result["reports"].as_array().unwrap() {
        let about_rows = matches!(report["check"].as_str().unwrap(), "data/contract" | "data/personal-data");
        assert!(!about_rows || matches!(report["verdict"].as_str().unwrap(), "error" | "fail"), "{name}: {report:#}");
    }
}

/// Three columns in one row group, with checksums on every page, by pyarrow; see testdata/README.md.
const CHECKED: &[u8] = include_bytes!("../../../testdata/data/formats/checked.parquet");

#[test]
fn damaged_tables_are_refused_with_their_place() {
    refused("a.parquet", &CHECKED[..CHECKED.len() - 1], "does not end as a Parquet file does");
    refused("a.parquet", &CHECKED[..CHECKED.len() / 2], "does not end as a Parquet file does");
    // A bit of the first data page: values would still decode.
    let mut flipped = CHECKED.to_vec();
    flipped[200] ^= 1;
    refused("a.parquet", &flipped, "row group 0, column `id`: page 0: its checksum is");
    refused(
        "a.csv",
        b"id,x\n1,2\n3\n4,5,6\n",
        "rows that do not fit the header and were not checked: 2 (row 1: 1 of 2 fields",
    );
    refused("a.csv", b"id,x\n1,caf\xe9\n2,caf\xc3\xa9\n", "row 0: not UTF-8");
    refused("a.csv", b"\xff\xfei\0d\0\n\x001\0\n\0", "UTF-16; store the file as UTF-8");
    refused("a.csv", b"id,x\n1,2\n3,a\0b\n", "line 3: a NUL byte");
    refused("a.csv", b"id,x\n1,\"2\n", "line 2: a quote that is never closed");
    refused("a.csv", b"", "line 1: no header line: the file is empty");
    refused("a.jsonl", b"{\"id\": 1}\n{\"id\": 2\n", "row 1: ");
    refused("a.jsonl", b"{\"id\": 1}\n{\"id\": 2, \"id\": 3}\n", "`id` occurs twice");
    refused("a.jsonl", b"", "no record");
    refused(
        "a.npy",
        b"\x93NUMPY\x01\0\x3a\0{'descr': '<f4', 'fortran_order': False, 'shape': (9, 2)} \n1234",
        "72 bytes of numbers are announced, 5 are there",
    );
    refused("a.avro", b"Obj\x01\x02", "ends early");
    refused("a.arrow", b"ARROW1\0\0", "does not end as an Arrow file does");
    refused("a.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "data/a.csv.gz");
    refused("a.parquet", b"", "0 bytes are too few");
}

#[test]
fn ten_thousand_columns_and_one_giant_cell_are_told_and_not_held() {
    let header: Vec<String> = (0..10_000).map(|i| format!("c{i}")).collect();
    let wide = format!("{}\n{}\n", header.join(","), vec!["1"; 10_000].join(","));
    refused("wide.csv", wide.as_bytes(), "10000 columns; at most 4096 are read");
    refused(
        "wide.jsonl",
        format!("{{{}}}\n", header.iter().map(|c| format!("\"{c}\": 1")).collect::<Vec<_>>().join(",")).as_bytes(),
        "",
    );

    let sandbox = project("data/giant.csv", "");
    let path = sandbox.write("data/giant.csv", "");
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path).unwrap());
    file.write_all(b"id,x\n1,2\n3,").unwrap();
    let block = vec![b'x'; 1 << 20];
    (0..1024).for_each(|_| file.write_all(&block).unwrap());
    file.write_all(b"\n4,5\n").unwrap();
    file.flush().unwrap();
    let (exit, result) = run(&sandbox, &[]);
    assert!(matches!(exit, 1 | 3), "{exit}");
    let gaps = gaps(&result).join("\n");
    assert!(gaps.contains("data/giant.csv") && gaps.contains("line 3: a record longer than 16777216 bytes"), "{gaps}");
}

#[test]
fn files_of_a_glob_need_one_schema_and_folders_are_columns() {
    let sandbox = project("data/year=*/*.csv", "");
    sandbox.write("data/year=2025/a.csv", "id,x\n1,2\n");
    sandbox.write("data/year=2026/a.csv", "id,x\n3,4\n");
    sandbox.write(
        "c.yaml",
        "contract: 1\ncolumns:\n  id: {type: integer}\n  x: {type: integer}\n  year: {type: integer, range: [2026, 2030]}\n",
    );
    let (exit, result) = run(&sandbox, &[]);
    assert_eq!(exit, 1);
    assert!(messages(&result).contains("`year`: 1 of 2 values fail"), "{}", messages(&result));
    sandbox.write("data/year=2026/b.csv", "id,y\n5,6\n");
    let (exit, result) = run(&sandbox, &[]);
    assert_eq!(exit, 1);
    assert!(messages(&result).contains("has `y` in place of column `x`"), "{}", messages(&result));
    assert!(rules(&result).contains(&"data/contract/schema-differs".to_owned()));
}

#[test]
fn a_file_that_grows_while_it_is_read_is_found_changed() {
    let sandbox = project("data/a.csv", "");
    let rows: String = (0..400_000).map(|i| format!("{i},{}\n", "x".repeat(40))).collect();
    let path = sandbox.write("data/a.csv", format!("id,x\n{rows}"));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let stop = std::sync::Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(b"7,y\n").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let (exit, result) = run(&sandbox, &[]);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(matches!(exit, 1 | 3), "{exit}");
    assert!(gaps(&result).join("\n").contains("changed while it was read"), "{:?}", gaps(&result));
}

#[test]
fn an_encrypted_dataset_is_read_with_its_key_and_refused_when_cut() {
    use age::secrecy::ExposeSecret as _;
    let key = age::x25519::Identity::generate();
    let recipient = key.to_public();
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
    let rows: String = (0..20_000).map(|i| format!("{i},{}\n", i % 3)).collect();
    writer.write_all(format!("id,x\n{rows}").as_bytes()).unwrap();
    writer.finish().unwrap();
    let sandbox = project("data/a.csv.age", "");
    sandbox.write("data/a.csv.age", &sealed);
    let identity = sandbox.write("key.txt", key.to_string().expose_secret());
    let identity = identity.to_str().unwrap();

    let (exit, result) = run(&sandbox, &[("GAUNTLET_IDENTITY", identity)]);
    let contract = result["reports"].as_array().unwrap().iter().find(|r| r["check"] == "data/contract").unwrap();
    assert_eq!((contract["verdict"].as_str(), exit), (Some("pass"), 1), "no manifest, and nothing else: {result:#}");

    // In a project of its own: what was answered once for these bytes is answered.
    let other = project("data/a.csv.age", "");
    other.write("data/a.csv.age", &sealed);
    let (_, result) = run(&other, &[]);
    assert!(gaps(&result).join("\n").contains("encrypted with age"), "{:?}", gaps(&result));

    // At the end of a chunk: everything that is there is sound.
    let header = sealed.len() - (rows.len() + 5 + (rows.len() + 5).div_ceil(65_536) * 16);
    sandbox.write("data/a.csv.age", &sealed[..header + 2 * (65_536 + 16)]);
    let (exit, result) = run(&sandbox, &[("GAUNTLET_IDENTITY", identity)]);
    assert!(matches!(exit, 1 | 3), "{exit}");
    assert!(gaps(&result).join("\n").contains("truncated"), "{:?}", gaps(&result));
    let rows = result["reports"].as_array().unwrap().iter().find(|r| r["check"] == "data/contract").unwrap();
    assert!(
        rows["metrics"].as_array().unwrap().iter().all(|metric| metric["value"] == 0.0 || metric["value"].is_null())
    );
}

#[test]
fn what_does_not_belong_into_a_dataset_is_found() {
    let sandbox = project("data", "");
    sandbox.write("data/a.csv", "id,note\n1,=HYPERLINK(\"http://x\")\n2,-5\n3,+49 30 1234\n4,=1+1\n");
    sandbox.write("data/setup.sh", "#!/bin/sh\necho\n");
    sandbox.write("data/b.parquet", b"\x7fELF\x02\x01\x01\0");
    let (exit, result) = run(&sandbox, &[]);
    assert_eq!(exit, 1);
    let rules = rules(&result);
    for rule in ["executable-content", "formula-injection", "formula-cell"] {
        assert!(rules.contains(&format!("data/ingest/{rule}")), "{rule}: {rules:?}");
    }
    let text = messages(&result);
    assert!(text.contains("`note` holds 1 cells that a spreadsheet would open addresses"), "{text}");
    assert!(!text.contains("HYPERLINK(\"http"), "values are masked: {text}");
    // The harmless twin.
    let sandbox = project("data", "");
    sandbox.write("data/a.csv", "id,note\n1,fine\n2,-5\n3,+49 30 1234\n4,- milk\n");
    let (_, result) = run(&sandbox, &[]);
    assert!(!support::rules(&result).iter().any(|rule| rule.starts_with("data/ingest")), "{result:#}");
}

#[test]
fn a_required_virus_scanner_that_is_not_there_is_a_finding() {
    let sandbox = project("data/a.csv", "ingest: {clamd: /nowhere/clamd.ctl, required: true}\n");
    sandbox.write("data/a.csv", "id\n1\n");
    let (exit, result) = run(&sandbox, &[]);
    assert_eq!(exit, 1);
    assert!(rules(&result).contains(&"data/ingest/scanner-unreachable".to_owned()), "{result:#}");
}

#[test]
fn confidential_columns_want_protection() {
    let manifest = "gauntlet_dataset: 1\nname: t\nfiles: [{path: a.csv}]\nsource: {uri: 'http://data.example/a.csv', collected: [2026-01-01, 2026-02-01], method: made up}\n\
                    license: {spdx: CC0-1.0}\nconsent: {basis: synthetic, purposes: [train]}\nclassification: {columns: {diagnosis: sensitive}}\n";
    let sandbox = Sandbox::new();
    sandbox.write("gauntlet.yaml", "version: 1\nproject: p\nkind: tabular\nrisk: minimal\nsource: {paths: [src]}\ndatasets:\n  train: {path: data/a.csv, manifest: data/m.yaml}\n");
    sandbox.write("src/a.py", "");
    sandbox.write("data/a.csv", "id,diagnosis\n1,x\n");
    sandbox.write("data/m.yaml", manifest);
    fs::set_permissions(sandbox.project().join("data/a.csv"), fs::Permissions::from_mode(0o640)).unwrap();
    let (_, result) = run(&sandbox, &[]);
    let found: Vec<String> = rules(&result).into_iter().filter(|r| r.starts_with("data/protection")).collect();
    assert_eq!(found, ["data/protection/plain-http-source", "data/protection/unencrypted"]);
    let sound = manifest.replace("http://", "https://") + "protection: {encryption: disk}\n";
    sandbox.write("data/m.yaml", sound);
    let (_, result) = run(&sandbox, &[]);
    assert!(!rules(&result).iter().any(|rule| rule.starts_with("data/protection")), "{result:#}");
}

#[test]
fn a_bucket_or_database_that_cannot_be_read_is_named() {
    let sandbox = project("s3://no-such-bucket/train.parquet", "");
    let output = sandbox
        .gauntlet(["run", "--stage", "data"])
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("s3://no-such-bucket/train.parquet"), "{text}");

    let sandbox = project("sql://NO_SUCH_VARIABLE/public.t", "");
    let output = sandbox.gauntlet(["run", "--stage", "data"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("the environment variable NO_SUCH_VARIABLE has no connection string"), "{text}");

    let sandbox = project("ftp://host/x.csv", "");
    let output = sandbox.gauntlet(["run", "--stage", "data"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
