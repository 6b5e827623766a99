//! Trust, end to end: signed policies and their rotation, evidence judged by strangers, approvals and revocations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod support;

use std::path::PathBuf;

use gauntlet_core::{Digest, DigestSet};
use gauntlet_ledger::judge::gather;
use gauntlet_ledger::{Ledger, Options, Place};
use gauntlet_trust::keys::read_public;
use serde_json::Value;
use support::Sandbox;

/// A project with keys beside it.
struct World {
    sandbox: Sandbox,
}

impl World {
    fn new(keys: &[&str]) -> Self {
        let world = Self { sandbox: Sandbox::example("churn") };
        for name in keys {
            world.ok(&["key", "generate", name, "--no-passphrase", "--output", &world.private(name)]);
        }
        world
    }

    /// Files of the test outside the project, which must not change it.
    fn beside(&self, name: &str) -> PathBuf {
        let folder = self.sandbox.config().parent().unwrap().join("beside");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }

    fn path(&self, name: &str) -> String {
        self.beside(name).to_str().unwrap().to_owned()
    }

    fn private(&self, name: &str) -> String {
        self.path(&format!("{name}.pem"))
    }

    fn public(&self, name: &str) -> String {
        self.path(&format!("{name}.pub.pem"))
    }

    /// Exit status, stdout and stderr.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.sandbox.gauntlet(args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn ok(&self, args: &[&str]) -> String {
        let (exit, text) = self.run(args);
        assert_eq!(exit, 0, "{args:?}: {text}");
        text
    }

    fn fails(&self, exit: i32, expected: &str, args: &[&str]) {
        let (found, text) = self.run(args);
        // Text for people is wrapped.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            found == exit && text.contains(expected),
            "{args:?} ended with {found}, expected {exit} {expected:?}: {text}"
        );
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.beside(name), text).unwrap();
        self.path(name)
    }

    fn pem(&self, name: &str, indent: usize) -> String {
        let space = " ".repeat(indent);
        let text = std::fs::read_to_string(self.public(name)).unwrap();
        format!("|\n{space}{}", text.trim_end().replace('\n', &format!("\n{space}")))
    }

    fn key_id(&self, name: &str) -> String {
        read_public(&PathBuf::from(self.public(name))).unwrap().key_id()
    }

    /// A policy that believes `build`, with Bo for security, and more text at its end.
    fn policy(&self, more: &str) -> String {
        format!(
            "version: 1\nname: acme\nenvironments:\n  staging: {{approvals: [security]}}\n  production: {{}}\npeople:\n  \
             - id: build\n    name: Build\n    keys:\n      - {}\n  \
             - id: bo\n    name: Bo\n    roles: [security]\n    keys:\n      - {}\n{more}",
            self.pem("build", 8),
            self.pem("bo", 8)
        )
    }

    fn ledger(&self) -> Ledger {
        let place = Place::in_state(&self.sandbox.project().join(".gauntlet"), &self.sandbox.config());
        Ledger::open_read_only(&place, &Options::default()).unwrap()
    }

    /// The digest of the model of the example.
    fn model(&self) -> Digest {
        Digest::sha256(&std::fs::read(self.sandbox.project().join(MODEL)).unwrap())
    }

    /// Everything in the ledger about the model, as a bundle file.
    fn export(&self, name: &str) -> String {
        let bundle = gather(&self.ledger(), &DigestSet::default().with(&self.model())).unwrap();
        std::fs::write(self.beside(name), bundle.to_bytes().unwrap()).unwrap();
        self.path(name)
    }
}

const MODEL: &str = "models/churn.onnx";

/// A root of `threshold` of these keys, as text of a policy.
fn root(world: &World, threshold: usize, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("    - {}\n", world.pem(key, 6))).collect();
    format!("root:\n  threshold: {threshold}\n  keys:\n{}", keys.concat())
}

#[test]
fn a_trust_policy_is_signed_rotated_and_never_rolled_back() {
    let world = World::new(&["build", "bo", "r1", "r2", "r3"]);
    let first = world.policy(&format!("version_number: 1\n{}", root(&world, 2, &["r1", "r2"])));
    let yaml = world.write("one.yaml", &first);
    let v1 = world.path("one.bundle");
    let (r1, r2, r3) = (world.private("r1"), world.private("r2"), world.private("r3"));
    // One signature is not enough; the second is added elsewhere.
    world.fails(3, "1 of 2 needed signers", &["policy", "bundle", &yaml, "--key", &r1, "-o", &v1]);
    let pin = world.public("r1");
    world.fails(1, "1 of 2 needed root signers", &["policy", "bundle", &v1, "--verify", "--trust-root", &pin]);
    world.ok(&["policy", "bundle", &v1, "--key", &r2, "-o", &v1]);
    world.fails(2, "cannot vouch for itself", &["policy", "bundle", &v1, "--verify"]);
    world.fails(1, "every trust-root key", &["policy", "bundle", &v1, "--verify", "--trust-root", &world.public("r3")]);
    world.fails(2, "is a root key neither", &["policy", "bundle", &yaml, "--key", &r3, "-o", &world.path("x")]);
    let said = world.ok(&["policy", "bundle", &v1, "--verify", "--trust-root", &pin, "--pin"]);
    assert!(said.contains("acme number 1") && said.contains(&world.key_id("r2")), "{said}");

    // Rotation: the new root is r3 alone, and the old one has to agree.
    let previous = Digest::sha256(first.as_bytes());
    let second = world.policy(&format!("version_number: 2\nprevious: {previous}\n{}", root(&world, 1, &["r3"])));
    let yaml = world.write("two.yaml", &second);
    let v2 = world.path("two.bundle");
    world.fails(3, "the predecessor's root", &["policy", "bundle", &yaml, "--previous", &v1, "--key", &r3, "-o", &v2]);
    world.fails(1, "of its predecessor", &["config", "show", "--trust-policy", &v2]);
    world.ok(&["policy", "bundle", &v2, "--key", &r1, "--key", &r2, "-o", &v2]);
    let shown = world.ok(&["config", "show", "--trust-policy", &v2]);
    assert!(
        shown.contains("number 2, by") && shown.contains(&Digest::sha256(second.as_bytes()).to_string()),
        "{shown}"
    );

    // From now on the old one is a rollback, and a plain file is not enough.
    world.fails(1, "rolled back", &["config", "show", "--trust-policy", &v1]);
    world.fails(1, "rolled back", &["run", "--trust-policy", &v1]);
    world.fails(2, "is not signed", &["config", "show", "--trust-policy", &yaml]);
    // Another second version by the old keys is a fork.
    let forked = world.write("fork.yaml", &second.replace("threshold: 1", "threshold:  1"));
    let fork = world.path("fork.bundle");
    world.ok(&["policy", "bundle", &forked, "--previous", &v1, "--key", &r1, "--key", &r2, "--key", &r3, "-o", &fork]);
    world.fails(1, "another text than the one that was seen", &["config", "show", "--trust-policy", &fork]);
    // A byte of the text changed.
    let mut bytes = std::fs::read(&v2).unwrap();
    let at = bytes.len() / 2;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(world.beside("broken.bundle"), bytes).unwrap();
    let (exit, text) = world.run(&["config", "show", "--trust-policy", &world.path("broken.bundle")]);
    assert!(exit == 1 || exit == 2, "{exit} {text}");
}

#[test]
fn a_plain_trust_policy_works_and_is_marked_unsigned() {
    let world = World::new(&["build", "bo"]);
    let policy = world.write("org.yaml", &world.policy("tests: {rows: 200}\nfreshness: 24h\n"));
    let shown = world.ok(&["config", "show", "--trust-policy", &policy]);
    assert!(shown.contains("nobody vouches for it") && shown.contains("rows 200  (trust policy)"), "{shown}");
    world.fails(2, "needs the --trust-policy", &["config", "show", "--trust-root", &world.public("bo")]);
    world.fails(
        2,
        "is not signed",
        &["config", "show", "--trust-policy", &policy, "--trust-root", &world.public("bo")],
    );
}

#[test]
fn approvals_revocations_and_decisions_from_run_to_a_stranger() {
    let world = World::new(&["build", "bo", "eve"]);
    let policy = world.write("org.yaml", &world.policy(""));
    let (build, bo, eve) = (world.private("build"), world.private("bo"), world.private("eve"));
    let run = ["run", "--for", "staging", "--trust-policy", &policy, "--key", &build];
    world.fails(1, "approval by security is missing", &run);
    // Whoever does not hold the role approves nothing.
    for key in [&build, &eve] {
        world.ok(&["approve", MODEL, "--role", "security", "--for", "staging", "--key", key]);
        world.fails(1, "approval by security is missing", &run);
    }
    world.ok(&["approve", MODEL, "--role", "security", "--for", "production", "--key", &bo]);
    world.fails(1, "approval by security is missing", &run);
    world.ok(&["approve", MODEL, "--role", "security", "--for", "staging", "--key", &bo]);
    world.ok(&run);

    // The decision stands for this model, this environment and this trust policy.
    let verify = ["verify", MODEL, "--for", "staging", "--trust-policy", &policy];
    let said = world.ok(&verify);
    assert!(said.starts_with("PASS") && said.contains("revocation was judged against it"), "{said}");
    let other = world.write("other.yaml", &world.policy("freshness: 7d\n"));
    world.fails(1, "other-policy", &["verify", MODEL, "--for", "staging", "--trust-policy", &other]);
    world.fails(1, "required-missing", &["verify", MODEL, "--for", "production", "--trust-policy", &policy]);
    world.fails(1, "no-evidence", &["verify", "gauntlet.yaml", "--for", "staging", "--trust-policy", &policy]);

    // A stranger has the bundle, the trust policy and the log's key.
    let bundle = world.export("model.gauntlet-bundle");
    let vkey = world.ledger().verifier_key().to_string();
    let stranger = Sandbox::new();
    let require = ["--require", "decision", "--require", "report", "--require", "approval"];
    let model = world.sandbox.project().join(MODEL);
    let judge = |bundle: &str, more: &[&str]| {
        let args =
            ["verify", model.to_str().unwrap(), "--evidence", bundle, "--trust-policy", &policy, "--for", "staging"];
        stranger.json(&[&args[..], more].concat())
    };
    let known = ["--log-key", &vkey];
    let (exit, judged) = judge(&bundle, &[&require[..], &known].concat());
    assert_eq!((exit, &judged["verdict"]), (0, &Value::from("pass")), "{judged:#}");
    assert_eq!(judged["checkpoints"][0]["origin"], vkey.split('+').next().unwrap());
    let schema = std::fs::read(support::repository().join("docs/schemas/judgement.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&judged).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let (exit, judged) = judge(&bundle, &require);
    assert_eq!(exit, 3, "no log key: {judged:#}");
    let (exit, judged) = judge(&bundle, &[&["--require", "bom"][..], &known].concat());
    assert_eq!(exit, 1, "{judged:#}");
    // Eve's approval is in there too; who asks for everything is told so.
    let (exit, judged) = judge(&bundle, &known);
    assert_eq!(exit, 1);
    assert!(judged["items"].to_string().contains("unknown-signer"), "{judged:#}");
    // A bundle that was cut is no answer; one whose signed content was changed is a refusal.
    let bytes = std::fs::read(&bundle).unwrap();
    std::fs::write(world.beside("cut"), &bytes[..bytes.len() / 2]).unwrap();
    let cut =
        stranger.gauntlet(["verify", "--evidence", &world.path("cut"), "--trust-policy", &policy]).output().unwrap();
    assert_eq!(cut.status.code(), Some(3));

    // Evidence that is revoked no longer speaks for the model, anywhere; who may not revoke takes back nothing.
    let digest = world.model().to_string();
    world.ok(&["revoke", &digest, "--reason", "I want to", "--key", &eve]);
    world.ok(&run);
    world.ok(&verify);
    world.ok(&["revoke", &digest, "--reason", "trained on stolen data", "--key", &bo]);
    world.fails(1, "trained on stolen data", &run);
    world.fails(1, "subject-revoked", &verify);
    let bundle = world.export("later.gauntlet-bundle");
    let (exit, judged) = judge(&bundle, &[&require[..], &known].concat());
    assert_eq!(exit, 1);
    assert!(judged["reasons"].to_string().contains("trained on stolen data"), "{judged:#}");
    world.ok(&["ledger", "verify"]);
}

#[test]
fn a_revoked_or_expired_key_no_longer_counts_in_a_run() {
    let world = World::new(&["build", "bo"]);
    let id = world.key_id("build");
    let plain = |more: &str| world.policy(more).replace("approvals: [security]", "");
    let run = |policy: &str, exit: i32, expected: &str| {
        let policy = world.write("org.yaml", policy);
        let build = world.private("build");
        world.fails(exit, expected, &["run", "--for", "staging", "--trust-policy", &policy, "--key", &build]);
    };
    run(&plain(""), 0, "");
    run(&plain(&format!("revoked: [{{key: '{id}', reason: laptop stolen}}]\n")), 1, "laptop stolen");
    run(&plain(&format!("revoked: [{{key: '{id}', from: 2999-01-01, reason: retired}}]\n")), 0, "");
    let ending = |until: &str| {
        let pem = world.pem("build", 10);
        format!(
            "version: 1\nname: acme\nenvironments: {{staging: {{}}}}\npeople:\n  - id: build\n    name: B\n    keys:\n      \
             - key: {pem}\n        until: {until}\n"
        )
    };
    run(&ending("2020-01-01"), 1, "counts until 2020-01-01");
    run(&ending("2999-01-01"), 0, "");
    let rules = |kinds: &str| plain(&format!("rules: [{{name: r, signers: [build], subjects: [{kinds}]}}]\n"));
    run(&rules("source, dataset, model"), 0, "");
    run(&rules("source, dataset"), 1, "no rule of the trust policy allows");
    // The holder of a key gives it up, whatever the rules say.
    let build = world.private("build");
    world.ok(&["revoke", "--key-id", &id, "--reason", "given up", "--key", &build]);
    run(&plain(""), 1, "given up");
}

#[test]
fn witnesses_that_have_not_cosigned_leave_the_decision_open() {
    let world = World::new(&["build", "bo"]);
    let vectors = std::fs::read(support::repository().join("testdata/vectors/tlog/vectors.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    let vkey = vectors["witness_vkey"].as_str().unwrap();
    let policy = world.policy(&format!("freshness: 1h\nwitnesses: {{quorum: 1, keys: ['{vkey}']}}\n"));
    let policy = world.write("org.yaml", &policy.replace("approvals: [security]", ""));
    let build = world.private("build");
    let run = ["run", "--for", "staging", "--trust-policy", &policy, "--key", &build];
    world.fails(3, "0 of 1 needed witnesses cosigned", &run);
}

#[test]
fn the_three_kinds_of_verify_do_not_mix() {
    let world = World::new(&["build", "bo"]);
    let policy = world.write("org.yaml", &world.policy(""));
    world.fails(2, "--key", &["verify", MODEL]);
    world.fails(2, "MODEL", &["verify"]);
    world.fails(
        2,
        "needs --evidence or --for",
        &["verify", MODEL, "--key", &world.public("bo"), "--trust-policy", &policy],
    );
    world.fails(2, "--evidence", &["verify", MODEL, "--key", &world.public("bo"), "--require", "bom"]);
    world.fails(
        2,
        "cannot be used with",
        &["verify", "--evidence", "x", "--trust-policy", &policy, "--ignore-unsigned"],
    );
    world.fails(2, "name the trust policy", &["verify", MODEL, "--for", "staging"]);
    world.fails(2, "cannot read the evidence", &["verify", "--evidence", "nowhere", "--trust-policy", &policy]);
    world.fails(
        2,
        "neither a predicate type",
        &["verify", "--evidence", "x", "--require", "reports", "--trust-policy", &policy],
    );
    // The variable alone does not turn a signature into evidence.
    world.ok(&["sign", MODEL, "--key", &world.private("build")]);
    let output = world
        .sandbox
        .gauntlet(["verify", MODEL, "--key", &world.public("build")])
        .env("GAUNTLET_TRUST_POLICY", &policy)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
