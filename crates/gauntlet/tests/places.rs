//! Parts, digest lists, packages and streams through the built program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use support::Sandbox;

struct Signed {
    sandbox: Sandbox,
    private: PathBuf,
    public: PathBuf,
}

fn signed() -> Signed {
    let sandbox = Sandbox::new();
    sandbox.gauntlet(["key", "generate", "k", "--no-passphrase"]).assert().success();
    let (private, public) = (sandbox.config().join("keys/k.pem"), sandbox.config().join("keys/k.pub.pem"));
    sandbox.write("model/a.bin", "one");
    sandbox.write("model/sub/b.bin", "two");
    sandbox.gauntlet(["sign", "model", "--key"]).arg(&private).assert().success();
    Signed { sandbox, private, public }
}

impl Signed {
    fn verify(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = self.sandbox.gauntlet(["verify"].iter().chain(args));
        command.arg("--key").arg(&self.public);
        command
    }

    fn json(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let key = self.public.to_str().unwrap();
        self.sandbox.json(&[&["verify"], args, &["--key", key]].concat())
    }
}

#[test]
fn a_part_of_a_model_is_never_a_pass() {
    let signed = signed();
    signed.sandbox.write("model/sub/b.bin", "changed");
    let (code, document) = signed.json(&["model", "--only", "a.bin"]);
    assert_eq!((code, &document["verdict"]), (0, &"partial".into()));
    assert_eq!(document["partial"]["looked_at"][0]["path"], "a.bin");
    assert_eq!(document["partial"]["not_looked_at"], serde_json::json!(["sub/b.bin"]));
    assert!(document.get("reports").is_none() && !document.to_string().contains("\"pass\""));
    let (code, document) = signed.json(&["model", "--only", "a.bin", "sub/b.bin"]);
    assert_eq!((code, &document["verdict"]), (1, &"fail".into()));
    signed.verify(&["model", "--only", "none"]).assert().code(1).stdout(contains("not signed"));
    signed.verify(&["model", "--only", "a.bin", "--format", "sarif"]).assert().code(2);
    signed.verify(&["model", "--only", "a.bin"]).assert().success().stdout(contains("PARTIAL"));
}

#[test]
fn times_are_believed_only_when_asked_and_the_result_says_so() {
    let signed = signed();
    let path = signed.sandbox.project().join("model/a.bin");
    let before = fs::metadata(&path).unwrap();
    let later = "2036-01-01T00:00:00Z";
    signed.verify(&["model", "--trust-mtime", "--at", later]).assert().success().stdout(contains("not read").not());
    signed
        .verify(&["model", "--trust-mtime", "--at", later])
        .assert()
        .success()
        .stdout(contains("2 file(s) were not read"));
    signed.verify(&["model", "--at", later]).assert().success().stdout(contains("not read").not());
    // A change that leaves size and modification time alone still changes the inode's own time.
    fs::write(&path, "eno").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    signed.verify(&["model", "--trust-mtime", "--at", later]).assert().code(1);
    signed.verify(&["model"]).assert().code(1);
}

#[test]
fn digest_lists_are_signed_as_what_they_are() {
    let signed = signed();
    let list = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  a.bin\n\
                3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  sub/b.bin\n";
    signed.sandbox.write("SHA256SUMS", list);
    let sign = |args: &[&str]| {
        let mut command = signed.sandbox.gauntlet(["sign", "model", "--signature", "listed.sig"].iter().chain(args));
        command.arg("--key").arg(&signed.private);
        command
    };
    sign(&["--digests", "SHA256SUMS"]).assert().success().stdout(contains("precomputed, from SHA256SUMS"));
    fs::remove_file(signed.sandbox.project().join("model/model.sig")).unwrap();
    signed.verify(&["model", "--signature", "listed.sig"]).assert().success();
    signed.sandbox.write("model/a.bin", "changed");
    signed.verify(&["model", "--signature", "listed.sig"]).assert().code(1);
    signed.sandbox.write("m.dvc", "outs:\n- md5: c4ca4238a0b923820dcc509a6f75849b\n  path: a.bin\n");
    sign(&["--digests", "m.dvc"]).assert().code(2).stderr(contains("MD5 has collisions"));
    sign(&["--digests", "SHA256SUMS", "--hash", "blake3"]).assert().code(2);
}

#[test]
fn a_package_is_written_once_and_verified_by_itself() {
    let signed = signed();
    signed.sandbox.write("bom.json", r#"{"bomFormat":"CycloneDX"}"#);
    let package = |args: &[&str]| signed.sandbox.gauntlet(["package", "model"].iter().chain(args));
    package(&["-o", "l", "--bom", "bom.json"]).assert().success().stdout(contains("Digest     sha256:"));
    package(&["-o", "l"]).assert().code(2).stderr(contains("already there"));
    package(&["-o", "m", "--bom", "model/a.bin"]).assert().code(2).stderr(contains("neither CycloneDX nor SPDX"));
    let (code, document) = signed.json(&["l"]);
    assert_eq!((code, &document["verdict"]), (0, &"pass".into()), "{document}");
    let checks: Vec<_> = document["reports"].as_array().unwrap().iter().map(|r| r["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["trust/package", "trust/signature"]);
    package(&["-o", "dated"]).env("SOURCE_DATE_EPOCH", "0").assert().success();
    assert!(fs::read_to_string(signed.sandbox.project().join("dated/index.json")).unwrap().contains("latest"));
    package(&["-o", "x"]).env("SOURCE_DATE_EPOCH", "soon").assert().code(2);

    signed
        .sandbox
        .gauntlet(["sign", "model", "--oci", "l", "--signature", "l.sig", "--key"])
        .arg(&signed.private)
        .assert()
        .success();
    signed.verify(&["l", "--signature", "l.sig"]).assert().success();
    signed.verify(&["l", "--image-digest", "sha256:00"]).assert().code(2);
    let absent = format!("sha256:{}", "0".repeat(64));
    signed.verify(&["l", "--image-digest", &absent]).assert().code(1).stdout(contains("trust/image/unsigned"));

    signed.sandbox.write("model/a.bin", "changed");
    package(&["-o", "y"]).assert().code(1).stderr(contains("not one of this model"));
    assert!(!signed.sandbox.project().join("y").exists());
    signed.sandbox.write("l/extra", "x");
    signed.verify(&["l"]).assert().code(1).stdout(contains("trust/package/unexpected-file"));
}

#[test]
fn stdin_is_handed_over_only_when_right() {
    let signed = signed();
    signed.sandbox.write("m.bin", "weights");
    signed.sandbox.gauntlet(["sign", "m.bin", "--key"]).arg(&signed.private).assert().success();
    let pipe = ["-", "--signature", "m.bin.sig", "--install-to", "-"];
    signed.verify(&pipe).write_stdin("weights").assert().success().stdout("weights");
    signed.verify(&pipe).write_stdin("weightS").assert().code(1).stdout(is_empty()).stderr(contains("digest-mismatch"));
    signed.verify(&["m.bin", "--install-to", "-"]).assert().success().stdout("weights");
    signed.verify(&["-"]).assert().code(2).stderr(contains("--signature"));
    signed.verify(&["model", "--install-to", "placed"]).assert().success();
    signed.verify(&["placed"]).assert().success();
    signed.verify(&["model", "--install-to", "placed"]).assert().code(2).stderr(contains("already there"));
}

#[test]
fn addresses_with_secrets_or_oddities_are_refused() {
    let signed = signed();
    for address in ["https://u:p@h.example/x", "https://h.example/x?sig=1", "s3://", "https://h.example/%2e%2e/x"] {
        signed.verify(&[address, "--signature", "model/model.sig"]).assert().code(2);
    }
}

/// A bucket whose listing is whatever is said here.
fn bucket(keys: &'static [(&'static str, &'static str)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&log);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let line = request.lines().next().unwrap_or_default().to_owned();
                asked.lock().unwrap().push(line.clone());
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = if path.contains("list-type=2") {
                    let contents: String = keys
                        .iter()
                        .map(|(key, body)| {
                            format!(
                                "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"e\"</ETag></Contents>",
                                body.len()
                            )
                        })
                        .collect();
                    (200, format!("<?xml version=\"1.0\"?><ListBucketResult>{contents}</ListBucketResult>"))
                } else {
                    match keys.iter().find(|(key, _)| path == format!("/b/{key}")) {
                        Some((_, body)) => (200, (*body).to_owned()),
                        None => (404, String::new()),
                    }
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nETag: \"e\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                if !line.starts_with("HEAD") {
                    let _ = stream.write_all(body.as_bytes());
                }
            });
        }
    });
    (endpoint, log)
}

#[test]
fn a_bucket_is_listed_and_its_names_are_not_trusted() {
    let signed = signed();
    let run = |keys, args: &[&str]| {
        let (endpoint, log) = bucket(keys);
        let mut command = signed.verify(&[&["s3://b/m/", "--signature", "model/model.sig"], args].concat());
        command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "r");
        (command, log)
    };
    let good: &[(&str, &str)] = &[("m/a.bin", "one"), ("m/sub/b.bin", "two")];
    run(good, &[]).0.assert().success().stdout(contains("PASS"));
    run(good, &["--install-to", "fetched"]).0.assert().success();
    assert_eq!(fs::read_to_string(signed.sandbox.project().join("fetched/sub/b.bin")).unwrap(), "two");
    let cases: [(&'static [(&'static str, &'static str)], i32); 5] = [
        (&[("m/a.bin", "one"), ("m/sub/b.bin", "twO")], 1),
        (&[("m/a.bin", "one"), ("m/sub/b.bin", "two"), ("m/evil.py", "x")], 1),
        (&[("m/a.bin", "one")], 1),
        (&[("m/a.bin", "one"), ("m/sub/b.bin", "two"), ("m/../../escape", "x")], 3),
        (&[], 3),
    ];
    for (keys, code) in cases {
        let (mut command, _) = run(keys, &["--install-to", "bad"]);
        command.assert().code(code);
        assert!(!signed.sandbox.project().join("bad").exists(), "{keys:?}");
    }
    let left: Vec<_> = fs::read_dir(signed.sandbox.project()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".gauntlet-")), "{left:?}");
}
