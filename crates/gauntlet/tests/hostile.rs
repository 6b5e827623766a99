//! Files made to run code, hang, exhaust the machine or slip through, given to the built program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Sandbox, gaps, rules};

/// No artifact may need more.
const MEMORY_KB: u64 = 200_000;
/// Far above what any of these takes; a hang is what this finds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A protocol 0 pickle that calls `os.system` with a command that leaves a mark.
fn evil_pickle(mark: &Path) -> Vec<u8> {
    format!("cos\nsystem\n(S'touch {}'\ntR.", mark.display()).into_bytes()
}

/// Exit status, peak memory in kB and the JSON of a scan.
fn scan(sandbox: &Sandbox, path: &str) -> (i32, u64, Value) {
    let started = Instant::now();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"))
        .args(["scan", "--format", "json", "--no-progress", "--output", "../out.json", path])
        .env("GAUNTLET_CONFIG_DIR", sandbox.config())
        .current_dir(sandbox.project())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_memory(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{path}: no end after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = fs::read(sandbox.project().join("../out.json")).unwrap();
    (status.code().expect("ended by itself"), peak, serde_json::from_slice(&text).unwrap())
}

/// The high-water mark that the system keeps for a process.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// Scans `path` alone: it must end with `exit`, in bounded memory.
fn expect(sandbox: &Sandbox, path: &str, exit: i32) -> Value {
    let (got, peak, result) = scan(sandbox, path);
    assert_eq!(got, exit, "{path}: {result:#}");
    assert!(peak < MEMORY_KB, "{path}: {peak} kB");
    result
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let offset = body.len() as u32;
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut fields = Vec::new();
        for short in [20u16, 0, 8, 0, 0] {
            fields.extend(short.to_le_bytes());
        }
        for long in [crc.sum(), packed.len() as u32, content.len() as u32] {
            fields.extend(long.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend(0u16.to_le_bytes());
        body.extend(b"PK\x03\x04");
        body.extend(&fields);
        body.extend(name.as_bytes());
        body.extend(packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size, count) = (body.len() as u32, directory.len() as u32, members.len() as u16);
    body.extend(directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    body.extend(count.to_le_bytes());
    body.extend(count.to_le_bytes());
    body.extend(size.to_le_bytes());
    body.extend(start.to_le_bytes());
    body.extend([0, 0]);
    body
}

#[test]
fn nothing_scanned_is_executed() {
    let sandbox = Sandbox::new();
    let mark = sandbox.project().join("it-ran");
    let evil = evil_pickle(&mark);
    sandbox.write("model.pkl", &evil);
    sandbox.write("weights.bin", &evil);
    sandbox.write("model.pt", zip(&[("archive/data.pkl", &evil), ("archive/version", b"3\n")]));
    sandbox.write("setup.py", format!("import os\nos.system('touch {}')\n", mark.display()));
    for path in ["model.pkl", "weights.bin", "model.pt"] {
        let result = expect(&sandbox, path, 1);
        assert!(rules(&result).iter().any(|r| r.starts_with("artifact/pickle/")), "{path}: {:?}", rules(&result));
    }
    expect(&sandbox, ".", 1);
    assert!(!mark.exists());
}

#[test]
fn bombs_end_inconclusive_in_bounded_memory() {
    let sandbox = Sandbox::new();
    // 1 GiB of zeroes behind a promise of a pickle.
    let zeroes = vec![0u8; 256 << 20];
    let bomb = zip(&[("archive/data.pkl", &zeroes)]);
    sandbox.write("bomb.pt", zip(&[("a.zip", &bomb), ("b.zip", &bomb), ("c.zip", &bomb), ("d.zip", &bomb)]));
    drop(zeroes);
    let (exit, peak, result) = scan(&sandbox, "bomb.pt");
    assert!(exit == 1 || exit == 3, "{exit} {result:#}");
    assert!(peak < MEMORY_KB, "{peak} kB");

    let mut nested = zip(&[("x.pkl", b"\x80\x04N.")]);
    for _ in 0..40 {
        nested = zip(&[("inner.zip", &nested)]);
    }
    sandbox.write("nested.zip", &nested);
    expect(&sandbox, "nested.zip", 3);

    // A tuple of two of itself, 10,000 times: 2^10000 leaves if it were spelled out.
    let doubling: Vec<u8> = b"\x80\x04N".iter().copied().chain(b"2\x86".repeat(10_000)).chain(*b".").collect();
    sandbox.write("doubling.pkl", doubling);
    expect(&sandbox, "doubling.pkl", 0);
    sandbox.write("deep.pkl", [b"\x80\x04".as_slice(), &b"(".repeat(3_000_000), b"N."].concat());
    let (exit, peak, _) = scan(&sandbox, "deep.pkl");
    assert!(exit == 1 || exit == 3);
    assert!(peak < MEMORY_KB, "{peak} kB");
    let lists = format!("x = {}{}\n", "[".repeat(200_000), "]".repeat(200_000));
    sandbox.write("deep.py", lists);
    let (exit, peak, result) = scan(&sandbox, "deep.py");
    assert_eq!(exit, 3, "{result:#}");
    assert!(peak < MEMORY_KB, "{peak} kB");
}

#[test]
fn cut_empty_and_mislabelled_files_are_never_clean() {
    let sandbox = Sandbox::new();
    let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut safetensors = (header.len() as u64).to_le_bytes().to_vec();
    safetensors.extend(header);
    safetensors.extend([0; 8]);
    sandbox.write("ok.safetensors", &safetensors);
    expect(&sandbox, "ok.safetensors", 0);
    for cut in [1, 7, 8, 9, 20, safetensors.len() - 1] {
        sandbox.write("cut.safetensors", &safetensors[..cut]);
        let (exit, _, result) = scan(&sandbox, "cut.safetensors");
        assert!(exit == 1 || exit == 3, "cut at {cut}: {result:#}");
    }
    for name in ["empty.pkl", "empty.safetensors", "empty.onnx", "empty.pt", "empty.bin"] {
        sandbox.write(name, b"");
        let (exit, _, result) = scan(&sandbox, name);
        assert!(exit == 1 || exit == 3, "{name}: {result:#}");
    }
    sandbox.write("program.bin", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0");
    let (exit, _, result) = scan(&sandbox, "program.bin");
    assert!(exit == 1 || exit == 3, "{result:#}");
    let mut huge = u64::MAX.to_le_bytes().to_vec();
    huge.extend([b'{'; 64]);
    sandbox.write("huge.safetensors", huge);
    let (exit, peak, result) = scan(&sandbox, "huge.safetensors");
    assert!(exit == 1 || exit == 3, "{result:#}");
    assert!(peak < MEMORY_KB);
}

#[test]
fn special_files_links_and_sparse_giants_are_named() {
    let sandbox = Sandbox::new();
    let root = sandbox.project();
    sandbox.write("good.py", "x = 1\n");
    symlink("loop-b", root.join("loop-a")).unwrap();
    symlink("loop-a", root.join("loop-b")).unwrap();
    symlink("/etc/hostname", root.join("outside")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("pipe.pkl")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    File::create(root.join("giant.safetensors")).unwrap().set_len(100 << 30).unwrap();
    File::create(root.join(std::ffi::OsStr::from_bytes(b"bad\xff.py"))).unwrap().write_all(b"y = 1\n").unwrap();
    let result = expect(&sandbox, ".", 3);
    let gaps = gaps(&result).join("\n");
    for name in ["loop-a", "loop-b", "outside", "pipe.pkl", "socket", "giant.safetensors"] {
        assert!(gaps.contains(name), "{name} is not named in\n{gaps}");
    }
    let (exit, peak, result) = scan(&sandbox, "giant.safetensors");
    assert_eq!(exit, 3, "{result:#}");
    assert!(peak < MEMORY_KB);
    // A pipe named on the command line is refused without waiting for a writer.
    let output = sandbox.gauntlet(["scan", "pipe.pkl"]).timeout(PATIENCE).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn unreadable_files_are_inconclusive() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("secret.py", "x = 1\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let result = expect(&sandbox, ".", 3);
    assert!(gaps(&result).iter().any(|g| g.starts_with("secret.py: unreadable")), "{:?}", gaps(&result));
}

#[test]
fn an_empty_folder_is_not_approved() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.project().join("empty")).unwrap();
    expect(&sandbox, "empty", 3);
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let sandbox = Sandbox::new();
    let mark = sandbox.project().join("it-ran");
    sandbox.write("a\u{1b}[2Jb.pkl", evil_pickle(&mark));
    for format in ["human", "markdown", "html", "junit", "sarif"] {
        let output = sandbox.gauntlet(["scan", ".", "--format", format]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!output.stdout.contains(&0x1b), "{format}");
    }
}

#[test]
fn works_without_network() {
    let isolated = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--map-root-user"]).args(args);
        command
    };
    if !isolated(&["true"]).output().is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: this system lets nobody make a network namespace");
        return;
    }
    let sandbox = Sandbox::example("churn");
    let program = assert_cmd::cargo::cargo_bin!("gauntlet");
    for arguments in [["run", "."], ["scan", "train.py"]] {
        let output = isolated(&[program.to_str().unwrap()])
            .args(arguments)
            .env("GAUNTLET_CONFIG_DIR", sandbox.config())
            .current_dir(sandbox.project())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
