//! The ledger from the command line: evidence that travels, tombstones, proofs, and two witnesses as processes of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::Sandbox;

const MINIMAL: &str = "version: 1\nproject: small\nkind: tabular\nrisk: minimal\nenvironments: {dev: {}}\n";

/// A project that was run once, so that it has a ledger.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("gauntlet.yaml", MINIMAL);
    sandbox.write("app.py", "print('hello')\n");
    run(&sandbox);
    sandbox
}

/// Runs the gates; what the decision is does not matter here.
fn run(sandbox: &Sandbox) -> String {
    let output = sandbox.gauntlet(["run", "--no-progress"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

fn ok(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.gauntlet(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

fn fails(sandbox: &Sandbox, code: i32, args: &[&str]) -> String {
    let output = sandbox.gauntlet(args).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    text
}

fn log_key(sandbox: &Sandbox) -> String {
    ok(sandbox, &["ledger", "key"]).trim().to_owned()
}

#[test]
fn evidence_travels_in_a_bundle_and_stays_foreign() {
    let (theirs, ours) = (project(), project());
    let bundle = theirs.project().join("all.gauntlet-bundle");
    let bundle = bundle.to_str().unwrap();
    let said = ok(&theirs, &["ledger", "export", "-o", bundle, "--reports"]);
    assert!(said.contains("complete: nothing can have been left out") && said.contains(&log_key(&theirs)), "{said}");
    let bytes = fs::read(bundle).unwrap();
    ok(&theirs, &["ledger", "export", "-o", bundle, "--reports"]);
    assert_eq!(fs::read(bundle).unwrap(), bytes, "the same content, the same bytes");

    let before = ok(&ours, &["ledger", "log", "--json"]);
    let (their_key, our_key) = (log_key(&theirs), log_key(&ours));
    let text = fails(&ours, 3, &["ledger", "import", bundle, "--log-key", &our_key]);
    assert!(text.contains("no key is known for the log"), "{text}");
    fails(&ours, 2, &["ledger", "import", bundle]);
    let policy = format!("version: 1\nname: acme\nlogs: ['{their_key}']\n");
    let policy = ours.write("../trust.yaml", policy);
    ok(&ours, &["ledger", "import", bundle, "--trust-policy", policy.to_str().unwrap()]);
    let said = ok(&ours, &["ledger", "import", bundle, "--log-key", &their_key]);
    assert!(said.contains("Kept as foreign evidence"), "{said}");
    assert_eq!(ok(&ours, &["ledger", "log", "--json"]), before, "nothing of it became ours");
    assert!(ok(&ours, &["ledger", "verify"]).contains("1 imported bundles"));
    fails(&theirs, 3, &["ledger", "import", bundle, "--log-key", &their_key]);

    // A bundle in which anything was changed.
    let text = String::from_utf8(bytes).unwrap();
    let forged = theirs.write(
        "forged.gauntlet-bundle",
        text.replacen("\\\"kind\\\":\\\"report\\\"", "\\\"kind\\\":\\\"waiver\\\"", 1),
    );
    let refused = fails(&ours, 1, &["ledger", "import", forged.to_str().unwrap(), "--log-key", &their_key]);
    assert!(refused.contains("entry 0"), "{refused}");
    // One that was changed after it came in.
    let kept = fs::read_dir(ours.project().join(".gauntlet/foreign")).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.into_iter().find(|path| path.extension().is_some_and(|end| end == "gauntlet-bundle")).unwrap();
    let mut bytes = fs::read(&kept).unwrap();
    bytes[500] ^= 1;
    fs::write(&kept, bytes).unwrap();
    fails(&ours, 1, &["ledger", "verify"]);
}

#[test]
fn selections_are_exported_and_wrong_ones_refused() {
    let sandbox = project();
    let out = sandbox.project().join("part.gauntlet-bundle");
    let out = out.to_str().unwrap();
    let said = ok(&sandbox, &["ledger", "export", "--entries", "0..1", "-o", out]);
    assert!(said.contains("1 of ") && !said.contains("complete:"), "{said}");
    fails(&sandbox, 2, &["ledger", "export", "--entries", "0..99", "-o", out]);
    fails(&sandbox, 2, &["ledger", "export", "--entries", "1-2", "-o", out]);
    fails(&sandbox, 2, &["ledger", "export", "--subject", "nonsense", "-o", out]);
    fails(&sandbox, 2, &["ledger", "export", "--subject", &"ab".repeat(32), "-o", out]);
    fails(&sandbox, 2, &["ledger", "export", "app.py", "--entries", "0..1", "-o", out]);
    let log = ok(&sandbox, &["ledger", "log", "--json"]);
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let digest = first["subject"]["dirHash1"].as_str().unwrap();
    ok(&sandbox, &["ledger", "export", "--subject", &format!("dirHash1:{digest}"), "-o", out]);
}

#[test]
fn proofs_and_consistency_are_for_strangers() {
    let sandbox = project();
    let old = sandbox.write("old", fs::read(sandbox.project().join(".gauntlet/ledger/checkpoint")).unwrap());
    sandbox.write("app.py", "print('changed')\n");
    run(&sandbox);
    ok(&sandbox, &["ledger", "prove", "0", "-o", "proof"]);
    let proof = gauntlet_ledger::proof::ProofFile::parse(&fs::read(sandbox.project().join("proof")).unwrap()).unwrap();
    let key = gauntlet_ledger::note::VerifierKey::parse(&log_key(&sandbox)).unwrap();
    let said = ok(&sandbox, &["ledger", "prove", "0", "-o", "proof"]);
    let entry = said.lines().find_map(|line| line.strip_prefix("The entry:")).unwrap().trim();
    proof.verify(entry.as_bytes(), &key, &[]).unwrap();
    assert!(ok(&sandbox, &["ledger", "consistency", old.to_str().unwrap()]).contains("begins with the one of"));
    ok(&sandbox, &["ledger", "consistency", "1", "2"]);
    fails(&sandbox, 2, &["ledger", "consistency", "2", "1"]);
    // A checkpoint of another ledger.
    let other = project();
    let foreign = fs::read(other.project().join(".gauntlet/ledger/checkpoint")).unwrap();
    let foreign = sandbox.write("foreign", foreign);
    fails(&sandbox, 1, &["ledger", "consistency", foreign.to_str().unwrap()]);
}

#[test]
fn an_erased_envelope_leaves_a_tombstone() {
    let sandbox = project();
    ok(&sandbox, &["key", "generate", "officer", "--no-passphrase", "-o", "officer.pem"]);
    let log = ok(&sandbox, &["ledger", "log", "--json"]);
    let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let envelope = first["envelope"].as_str().unwrap();
    let file = sandbox.project().join(".gauntlet/evidence").join(format!("{}.dsse.json", &envelope[7..]));
    assert!(file.exists());
    fails(&sandbox, 2, &["ledger", "erase", &"ab".repeat(32), "--reason", "x", "--key", "officer.pem"]);
    ok(&sandbox, &["ledger", "erase", envelope, "--reason", "request 7", "--key", "officer.pem"]);
    assert!(!file.exists());
    let text = fails(&sandbox, 1, &["ledger", "verify"]);
    assert!(text.contains("tombstone does not count"), "{text}");
    let said = ok(&sandbox, &["ledger", "verify", "--eraser", "officer.pub.pem"]);
    assert!(said.contains("1 envelopes were erased"), "{said}");
    assert!(ok(&sandbox, &["ledger", "show", "0"]).contains("erased_by"));
}

struct Witness {
    child: Child,
    url: String,
    key: String,
}

impl Witness {
    fn start(sandbox: &Sandbox, name: &str) -> Self {
        let key = sandbox.project().join(format!("{name}.pem"));
        if !key.exists() {
            let key = key.to_str().unwrap();
            ok(sandbox, &["key", "generate", name, "--algorithm", "ed25519", "--no-passphrase", "-o", key]);
        }
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("gauntlet"))
            .args(["ledger", "witness", "--listen", "127.0.0.1:0", "--name", &format!("{name}.example/w"), "--key"])
            .arg(key)
            .args(["--log", &log_key(sandbox), "--state"])
            .arg(sandbox.project().join(format!("{name}.state")))
            .env("GAUNTLET_CONFIG_DIR", sandbox.config())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut after = |what: &str| lines.next().unwrap().unwrap().split_once(what).unwrap().1.to_owned();
        let (key, url) = (after("witness key: "), after("listening on "));
        Self { child, url, key }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_witness_processes_cosign_after_a_run_and_refuse_a_fork() {
    let sandbox = project();
    let (one, two) = (Witness::start(&sandbox, "one"), Witness::start(&sandbox, "two"));
    let config = format!(
        "{MINIMAL}ledger:\n  witnesses:\n    - {{url: '{}', key: '{}'}}\n    - {{url: '{}', key: '{}'}}\n",
        one.url, one.key, two.url, two.key
    );
    sandbox.write("gauntlet.yaml", &config);
    assert_eq!(run(&sandbox), "");
    let cosigned = sandbox.project().join(".gauntlet/ledger/cosigned");
    let text = fs::read_to_string(&cosigned).unwrap();
    assert!(text.contains("one.example/w") && text.contains("two.example/w"), "{text}");
    ok(&sandbox, &["ledger", "verify"]);

    // A witness that is gone is a warning; killed without ceremony, it remembers what it cosigned.
    let key = two.key.clone();
    drop(two);
    sandbox.write("app.py", "print('more')\n");
    assert!(run(&sandbox).contains("warning: no cosignature"));
    fails(&sandbox, 3, &["ledger", "cosign"]);
    let two = Witness::start(&sandbox, "two");
    assert_eq!(two.key, key);
    let asked = ["ledger", "cosign", "--witness", &two.url, "--witness-key", &two.key];
    assert!(ok(&sandbox, &asked).contains("1 of 1 witnesses"));

    // The same log and key, continued elsewhere from an older state: no cosignature, and a refusal.
    let fork = Sandbox::new();
    for (from, to) in [(sandbox.project(), fork.project()), (sandbox.config(), fork.config())] {
        assert!(Command::new("cp").arg("-a").arg(from.join(".")).arg(&to).status().unwrap().success());
    }
    sandbox.write("app.py", "print('one way')\n");
    run(&sandbox);
    ok(&sandbox, &asked);
    fork.write("app.py", "print('the other way')\n");
    let output = fork.gauntlet(["run", "--no-progress"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another history"), "{text}");
}

#[test]
fn a_published_log_is_verified_from_its_url() {
    let sandbox = project();
    let key = log_key(&sandbox);
    let port = serve(sandbox.project().join(".gauntlet"));
    let (log, all) = (format!("http://127.0.0.1:{port}/ledger"), format!("http://127.0.0.1:{port}"));
    let said = ok(&sandbox, &["ledger", "verify", "--from-url", &log, "--log-key", &key]);
    assert!(said.contains("Envelopes were not looked at"), "{said}");
    let with = ["ledger", "verify", "--from-url", &log, "--log-key", &key, "--evidence-url", &all];
    assert!(ok(&sandbox, &with).contains("envelopes and the signed checkpoint"));
    let other = log_key(&project());
    fails(&sandbox, 1, &["ledger", "verify", "--from-url", &log, "--log-key", &other]);
    let entries = sandbox.project().join(".gauntlet/ledger/tile/entries/000.p");
    let tile = fs::read_dir(entries).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    fs::write(&tile, bytes).unwrap();
    fails(&sandbox, 1, &["ledger", "verify", "--from-url", &log, "--log-key", &key]);
}

/// A static web server for one folder, for the rest of the test process.
fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(request)) = lines.next() else { continue };
            for _ in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {}
            let path = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            let (status, body) =
                fs::read(folder.join(path)).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    port
}
