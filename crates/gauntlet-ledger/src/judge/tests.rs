use std::collections::BTreeMap;

use ed25519_dalek::SigningKey as LogSecret;
use gauntlet_core::{DigestSet, SubjectKind, parse_time};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{KeyKind, Signer, SigningKey};
use gauntlet_trust::statement::{
    APPROVAL, DECISION_MEMBER, KIND_ANNOTATION, ResourceDescriptor, Revocation, Statement, WAIVER,
};
use gauntlet_trust::trust_policy::{Revoked, RevokedThing};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bundle::{EntryPart, LogPart};
use crate::checkpoint::Checkpoint;
use crate::note::SignerKey;
use crate::record::{EnvelopeDigest, Record};
use crate::tree::{Hash, empty_root, leaf_hash, node_hash};

mod certificates;

const NOW: &str = "2026-01-31T12:00:00Z";

/// An organisation: a build, Ana and Bo of security, a log and two witnesses.
struct World {
    build: SigningKey,
    ana: SigningKey,
    bo: SigningKey,
    stranger: SigningKey,
    log: SignerKey,
    witnesses: [SignerKey; 2],
}

fn pem(key: &SigningKey, indent: usize) -> String {
    let space = " ".repeat(indent);
    format!("|\n{space}{}", key.verifying_key().to_pem().unwrap().trim_end().replace('\n', &format!("\n{space}")))
}

fn model() -> Subject {
    Subject { name: "churn/model".into(), kind: SubjectKind::Model, digest: DigestSet::sha256_of(b"the model") }
}

impl World {
    fn new() -> Self {
        let key = || SigningKey::generate(KeyKind::Ed25519).unwrap();
        let note = |name: &str, seed: u8| SignerKey::new(name, LogSecret::from_bytes(&[seed; 32])).unwrap();
        Self {
            build: key(),
            ana: key(),
            bo: key(),
            stranger: key(),
            log: note("acme.example/log", 1),
            witnesses: [note("w1.example", 2), note("w2.example", 3)],
        }
    }

    /// The policy with more text at its end.
    fn policy(&self, more: &str) -> TrustPolicy {
        let person = |id: &str, key: &SigningKey, roles: &str| {
            format!("  - id: {id}\n    name: {id}\n    roles: [{roles}]\n    keys:\n      - {}\n", pem(key, 8))
        };
        let mut text = format!(
            "version: 1\nname: acme\nenvironments: {{production: {{}}, staging: {{}}}}\npeople:\n{}{}{}",
            person("build", &self.build, ""),
            person("ana", &self.ana, "security"),
            person("bo", &self.bo, "security"),
        );
        if !more.contains("logs:") {
            text += &format!("logs: ['{}']\n", self.log.verifier());
        }
        TrustPolicy::parse("trust.yaml", format!("{text}{more}").as_bytes(), &["baseline"]).unwrap()
    }

    fn witnessed(&self, quorum: usize) -> String {
        let keys: Vec<String> = self.witnesses.iter().map(|key| format!("'{}'", key.cosignature_verifier())).collect();
        format!("witnesses: {{quorum: {quorum}, keys: [{}]}}\n", keys.join(", "))
    }

    /// All envelopes in one log, cosigned by witnesses at these times.
    fn bundle(&self, envelopes: &[Envelope], cosigned: &[(usize, &str)]) -> Bundle {
        let mut bundle = Bundle::default();
        let entries: Vec<Vec<u8>> = envelopes
            .iter()
            .map(|envelope| {
                let digest = bundle.add_envelope(envelope.to_json());
                entry(envelope, digest)
            })
            .collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let checkpoint =
            Checkpoint { origin: self.log.verifier().name().into(), size: leaves.len() as u64, root: root(&leaves) };
        let mut note = checkpoint.sign(&self.log).unwrap();
        for (witness, time) in cosigned {
            let seconds = u64::try_from(parse_time(time).unwrap().as_second()).unwrap();
            note.add(self.witnesses[*witness].cosign(&checkpoint.text(), seconds));
        }
        let part = LogPart {
            checkpoint: note.to_string(),
            entries: (0..)
                .zip(&entries)
                .map(|(index, entry)| (index as u64, EntryPart { entry: entry.clone(), proof: path(&leaves, index) }))
                .collect(),
        };
        bundle.logs.insert(checkpoint.origin, part);
        bundle
    }
}

fn entry(envelope: &Envelope, digest: Hash) -> Vec<u8> {
    let statement = Statement::parse(envelope.unverified_payload()).ok();
    let subject = statement.as_ref().map(|s| s.subject[0].digest.clone()).unwrap_or(DigestSet::sha256_of(b""));
    Record {
        envelope: EnvelopeDigest(digest),
        key: "k".into(),
        kind: "report".into(),
        predicate_type: statement.map_or_else(|| "none".to_owned(), |s| s.predicate_type),
        subject: subject.iter().map(|(n, h)| (n.to_owned(), h.to_owned())).collect::<BTreeMap<_, _>>(),
        time: NOW.into(),
    }
    .to_bytes()
    .unwrap()
}

/// RFC 6962, section 2.1, by the book.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = match index.checked_sub(left.len()) {
        Some(index) => (path(right, index), root(left)),
        None => (path(left, index), root(right)),
    };
    path.push(sibling);
    path
}

fn signed(subject: &Subject, predicate_type: &str, predicate: Value, keys: &[&SigningKey]) -> Envelope {
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
    Statement::new(vec![ResourceDescriptor::from(subject)], predicate_type, predicate).sign(&keys).unwrap()
}

fn report(result: &str, keys: &[&SigningKey]) -> Envelope {
    signed(&model(), TEST_RESULT, json!({"result": result, "configuration": []}), keys)
}

fn decision(result: &str, environment: &str, policy: &TrustPolicy, key: &SigningKey) -> Envelope {
    let levels = if result == "PASSED" { json!([]) } else { json!(["FAILED"]) };
    let member = json!({"environment": environment, "trust_policy": policy.digest.to_string()});
    let predicate = json!({
        "verifier": {"id": "https://gauntlet.example/policy/v1"}, "resourceUri": format!("gauntlet:churn@{environment}"),
        "policy": {"uri": "x"}, "verificationResult": result, "verifiedLevels": levels, DECISION_MEMBER: member,
    });
    signed(&model(), VERIFICATION_SUMMARY, predicate, &[key])
}

fn approval(role: &str, environment: &str, expires: &str, keys: &[&SigningKey]) -> Envelope {
    let predicate = json!({"role": role, "environment": environment, "issued": NOW, "expires": expires});
    signed(&model(), APPROVAL, predicate, keys)
}

fn revocation(what: RevokedThing, from: Option<&str>, keys: &[&SigningKey]) -> Envelope {
    let revoked = Revoked { what, from: from.map(|from| parse_time(from).unwrap()), reason: "wrong".into() };
    let (predicate, subject) = Revocation::new(&revoked, parse_time(NOW).unwrap());
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
    Statement::about(vec![subject], predicate).unwrap().sign(&keys).unwrap()
}

fn asked<'a>(policy: &'a TrustPolicy, subject: Option<&'a Subject>) -> Question<'a> {
    let at = parse_time(NOW).unwrap();
    Question { policy, at, environment: Some("production"), subject, require: &[], keys: &[], logs: &[], packs: None }
}

/// All codes of a judgement, those of items included.
fn codes(judgement: &Judgement) -> Vec<&'static str> {
    let items = judgement.items.iter().flat_map(|item| &item.reasons);
    let mut codes: Vec<_> = judgement.reasons.iter().chain(items).map(|reason| reason.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn expect(judgement: &Judgement, verdict: Verdict, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!((judgement.verdict, codes(judgement)), (verdict, expected), "{judgement:#?}");
}

#[test]
fn good_evidence_passes_and_everything_about_it_is_told() {
    let world = World::new();
    let policy = world.policy("freshness: 1h\n");
    let bundle = world.bundle(
        &[report("PASSED", &[&world.build]), approval("security", "production", "2027-01-01T00:00:00Z", &[&world.ana])],
        &[],
    );
    let read = Bundle::parse(&bundle.to_bytes().unwrap()).unwrap();
    let model = model();
    let judgement = judge(&read, &asked(&policy, Some(&model)));
    expect(&judgement, Verdict::Pass, &[]);
    let head = &judgement.checkpoints[0];
    assert_eq!((head.origin.as_str(), head.size, head.complete), ("acme.example/log", 2, true));
    assert_eq!(head.time.as_ref().unwrap().source, "entry");
    assert!(judgement.items.iter().all(|item| item.standing == Standing::Accepted && item.authentic));
    let people: Vec<_> =
        judgement.items.iter().flat_map(|item| &item.signers).filter_map(|s| s.person.clone()).collect();
    assert!(people.contains(&"build".to_owned()) && people.contains(&"ana".to_owned()));
    serde_json::to_value(&judgement).unwrap();
}

/// Everything that a stranger could do to one good report, with the code that it must get.
#[test]
fn each_fault_has_its_reason() {
    let world = World::new();
    let policy = world.policy("");
    let good = report("PASSED", &[&world.build]);
    expect(&judge(&world.bundle(std::slice::from_ref(&good), &[]), &asked(&policy, None)), Verdict::Pass, &[]);
    let only_log_is_wrong = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = world.bundle(&[good.clone(), report("WARNED", &[&world.build])], &[]);
        change(&mut bundle);
        judge(&bundle, &asked(&policy, None))
    };
    let part = |bundle: &mut Bundle, change: &dyn Fn(&mut LogPart)| bundle.logs.values_mut().for_each(change);
    // The log.
    let unlogged = only_log_is_wrong(&|bundle| part(bundle, &|part| drop(part.entries.remove(&0))));
    expect(&unlogged, Verdict::Fail, &["evidence-refused", "not-in-log"]);
    let nothing = only_log_is_wrong(&|bundle| bundle.logs.clear());
    expect(&nothing, Verdict::Fail, &["evidence-refused", "not-in-log", "nothing-accepted"]);
    let proof = only_log_is_wrong(&|bundle| {
        part(bundle, &|part| part.entries.get_mut(&0).unwrap().proof[0] = Hash::of(b"other"));
    });
    expect(&proof, Verdict::Fail, &["evidence-refused", "log-refused", "nothing-accepted"]);
    let forged = SignerKey::new("acme.example/log", LogSecret::from_bytes(&[9; 32])).unwrap();
    let other_key = only_log_is_wrong(&|bundle| {
        part(bundle, &|part| {
            part.checkpoint = part.unverified_checkpoint().unwrap().sign(&forged).unwrap().to_string();
        });
    });
    expect(&other_key, Verdict::Fail, &["evidence-refused", "log-refused", "nothing-accepted"]);
    // The signature.
    let mut moved = report("PASSED", &[&world.stranger]).to_json();
    expect(
        &judge(&world.bundle(&[Envelope::parse(&moved).unwrap()], &[]), &asked(&policy, None)),
        Verdict::Fail,
        &["evidence-refused", "nothing-accepted", "unknown-signer"],
    );
    let stranger = world.stranger.key_id();
    let at = moved.windows(64).position(|window| window == stranger.as_bytes()).unwrap();
    moved[at..at + 64].copy_from_slice(world.build.key_id().as_bytes());
    let lied = Envelope::parse(&moved).unwrap();
    expect(
        &judge(&world.bundle(&[lied], &[]), &asked(&policy, None)),
        Verdict::Fail,
        &["bad-signature", "evidence-refused", "nothing-accepted"],
    );
    // The content.
    let build: &dyn Signer = &world.build;
    let text = Envelope::sign("text/plain", b"hello".to_vec(), &[build]).unwrap();
    let odd = signed(&model(), TEST_RESULT, json!({"result": "GREAT"}), &[&world.build]);
    for envelope in [text, odd] {
        let judgement = judge(&world.bundle(&[envelope], &[]), &asked(&policy, None));
        expect(&judgement, Verdict::Fail, &["evidence-refused", "malformed", "nothing-accepted"]);
    }
    let failed = judge(&world.bundle(&[report("FAILED", &[&world.build])], &[]), &asked(&policy, None));
    expect(&failed, Verdict::Fail, &["evidence-refused", "nothing-accepted", "says-failed"]);
    // An entry that says something else than the statement that it names.
    let mut bundle = world.bundle(&[good.clone(), report("WARNED", &[&world.build])], &[]);
    let digest = bundle.add_envelope(good.to_json());
    let lie = Record { predicate_type: "other".into(), ..Record::parse(&entry(&good, digest)).unwrap() };
    let leaf = lie.to_bytes().unwrap();
    let checkpoint = Checkpoint { origin: "acme.example/log".into(), size: 1, root: leaf_hash(&leaf) };
    let entries = [(0, EntryPart { entry: leaf, proof: Vec::new() })].into();
    let part = LogPart { checkpoint: checkpoint.sign(&world.log).unwrap().to_string(), entries };
    bundle.envelopes.retain(|known, _| *known == digest);
    bundle.logs.insert(checkpoint.origin, part);
    let judgement = judge(&bundle, &asked(&policy, None));
    expect(&judgement, Verdict::Fail, &["evidence-refused", "nothing-accepted", "record-mismatch"]);
    expect(&judge(&Bundle::default(), &asked(&policy, None)), Verdict::Fail, &["no-evidence"]);
}

/// By policy: what is asked in addition, and what becomes of a report by the build.
#[test]
fn the_policy_says_whose_word_counts() {
    let world = World::new();
    let build = world.build.key_id();
    let other_log = SignerKey::new("other.example/log", LogSecret::from_bytes(&[7; 32])).unwrap().verifier();
    let rule = |text: &str| format!("rules:\n  - {{name: r, {text}}}\n");
    let refused = |code: &'static str| vec!["evidence-refused", code, "nothing-accepted"];
    for (more, verdict, mut expected) in [
        (String::new(), Verdict::Pass, vec![]),
        (
            rule("signers: [build], subjects: [model], predicates: [report], environments: [production]"),
            Verdict::Pass,
            vec![],
        ),
        (rule("signers: [build], subjects: [dataset]"), Verdict::Fail, refused("no-rule")),
        (rule("signers: [build], predicates: [decision]"), Verdict::Fail, refused("no-rule")),
        (rule("signers: [build], environments: [staging]"), Verdict::Fail, refused("no-rule")),
        (rule("signers: [ana]"), Verdict::Fail, refused("threshold")),
        (rule("signers: [build, ana], threshold: 2"), Verdict::Fail, refused("threshold")),
        (rule("signers: [build], until: 2026-01-01"), Verdict::Fail, refused("rule-not-in-force")),
        (rule("signers: [build], from: 2027-01-01"), Verdict::Fail, refused("rule-not-in-force")),
        (format!("revoked: [{{key: '{build}', from: 2026-02-01, reason: x}}]\n"), Verdict::Pass, vec![]),
        (
            format!("revoked: [{{key: '{build}', reason: x}}]\n"),
            Verdict::Fail,
            vec!["evidence-refused", "key-revoked", "nothing-accepted", "threshold"],
        ),
        (
            format!("revoked: [{{subject: '{}', reason: x}}]\n", model().digest.primary().unwrap()),
            Verdict::Fail,
            vec!["evidence-refused", "nothing-accepted", "revoked", "subject-revoked"],
        ),
        (format!("logs: ['{other_log}']\n"), Verdict::Fail, refused("unknown-log")),
        ("logs: []\n".to_owned(), Verdict::Fail, vec!["evidence-unjudged", "no-log-key", "nothing-accepted"]),
        (world.witnessed(1), Verdict::Fail, refused("witness-quorum")),
        ("freshness: 1h\n".to_owned(), Verdict::Pass, vec![]),
    ] {
        let policy = world.policy(&more);
        let bundle = world.bundle(&[report("PASSED", &[&world.build])], &[]);
        let model = model();
        let judgement = judge(&bundle, &asked(&policy, Some(&model)));
        expected.sort_unstable();
        assert_eq!((judgement.verdict, codes(&judgement)), (verdict, expected), "{more}: {judgement:#?}");
    }
}

#[test]
fn a_key_that_is_named_by_digest_must_be_brought_and_is_then_the_right_one() {
    let world = World::new();
    let text = format!(
        "version: 1\nname: acme\npeople: [{{id: build, name: B, keys: ['{}']}}]\nlogs: ['{}']\n",
        world.build.key_id(),
        world.log.verifier()
    );
    let policy = TrustPolicy::parse("trust.yaml", text.as_bytes(), &[]).unwrap();
    let bundle = world.bundle(&[report("PASSED", &[&world.build])], &[]);
    let require = [PredicatePattern::parse("report").unwrap()];
    let question = Question { environment: None, require: &require, ..asked(&policy, None) };
    expect(&judge(&bundle, &question), Verdict::Error, &["key-unavailable", "required-unjudged"]);
    let right = [world.build.verifying_key().clone()];
    expect(&judge(&bundle, &Question { keys: &right, ..question }), Verdict::Pass, &[]);
    // A key that the policy does not name changes nothing, whoever brings it.
    let wrong = [world.stranger.verifying_key().clone()];
    let forged = world.bundle(&[report("PASSED", &[&world.stranger])], &[]);
    expect(
        &judge(&forged, &Question { keys: &wrong, ..question }),
        Verdict::Fail,
        &["required-missing", "unknown-signer"],
    );
}

#[test]
fn two_signers_are_two_people() {
    let world = World::new();
    let policy =
        world.policy("rules: [{name: two, signers: ['role:security'], predicates: [approval], threshold: 2}]\n");
    let judged = |keys: &[&SigningKey]| {
        let bundle = world.bundle(&[approval("security", "production", "2027-01-01T00:00:00Z", keys)], &[]);
        judge(&bundle, &asked(&policy, None))
    };
    expect(&judged(&[&world.ana, &world.bo]), Verdict::Pass, &[]);
    for keys in [
        vec![&world.ana],
        vec![&world.ana, &world.ana],
        vec![&world.ana, &world.build],
        vec![&world.bo, &world.stranger],
    ] {
        let judgement = judged(&keys);
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert!(codes(&judgement).contains(&"threshold"), "{:?}", codes(&judgement));
    }
}

#[test]
fn approvals_need_the_role_and_end() {
    let world = World::new();
    let policy = world.policy("");
    let judged = |envelope: Envelope| judge(&world.bundle(&[envelope], &[]), &asked(&policy, None));
    let (late, early) = ("2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    expect(&judged(approval("security", "production", late, &[&world.ana])), Verdict::Pass, &[]);
    for (envelope, expected) in [
        (approval("legal", "production", late, &[&world.ana]), "role-not-held"),
        (approval("security", "production", late, &[&world.build]), "role-not-held"),
        (approval("security", "production", early, &[&world.ana]), "approval-expired"),
    ] {
        expect(&judged(envelope), Verdict::Fail, &["evidence-refused", "nothing-accepted", expected]);
    }
    let elsewhere = judged(approval("security", "staging", late, &[&world.ana]));
    expect(&elsewhere, Verdict::Fail, &["nothing-accepted", "nothing-applies", "other-environment"]);
    let waiver = json!({
        "rule": "artifact/pickle/unknown-import", "environment": "production", "role": "security", "reason": "known",
        "issued": NOW, "expires": early,
    });
    let expired = judged(signed(&model(), WAIVER, waiver, &[&world.ana]));
    expect(&expired, Verdict::Fail, &["approval-expired", "evidence-refused", "nothing-accepted"]);
}

#[test]
fn evidence_is_matched_with_the_model_by_digest_alone() {
    let world = World::new();
    let policy = world.policy("");
    let bundle = world.bundle(&[report("PASSED", &[&world.build])], &[]);
    let other = Subject { digest: DigestSet::sha256_of(b"another model"), ..model() };
    expect(
        &judge(&bundle, &asked(&policy, Some(&other))),
        Verdict::Fail,
        &["nothing-accepted", "nothing-applies", "other-subject"],
    );
    let renamed = Subject { name: "elsewhere".into(), ..model() };
    expect(&judge(&bundle, &asked(&policy, Some(&renamed))), Verdict::Pass, &[]);
    // Where the model's digest binds file names, evidence that does not is about something else.
    let digest = format!("dirHash1:{}", "a".repeat(64)).parse().unwrap();
    let folder = Subject { digest: model().digest.with(&digest), ..model() };
    expect(
        &judge(&bundle, &asked(&policy, Some(&folder))),
        Verdict::Fail,
        &["nothing-accepted", "nothing-applies", "other-subject"],
    );
    // A signer for datasets cannot smuggle in a report about a model by calling it a dataset.
    let mut statement = Statement::parse(report("PASSED", &[&world.build]).unverified_payload()).unwrap();
    statement.subject[0].annotations = Some([(KIND_ANNOTATION.to_owned(), json!("dataset"))].into_iter().collect());
    let build: &dyn Signer = &world.build;
    let smuggled = world.bundle(&[statement.sign(&[build]).unwrap()], &[]);
    let model = model();
    expect(
        &judge(&smuggled, &asked(&policy, Some(&model))),
        Verdict::Fail,
        &["evidence-refused", "nothing-accepted", "subject-kind"],
    );
    let datasets = world.policy("rules: [{name: d, signers: [build], subjects: [dataset]}]\n");
    let judgement = judge(&smuggled, &asked(&datasets, Some(&model)));
    assert!(codes(&judgement).contains(&"no-rule"), "{:?}", codes(&judgement));
    expect(&judge(&smuggled, &asked(&datasets, None)), Verdict::Pass, &[]);
}

/// Each revocation in the bundle, who signed it, and whether it takes away the report.
#[test]
fn revocations_count_when_they_may_and_only_then() {
    let world = World::new();
    let good = report("PASSED", &[&world.build]);
    let envelope = RevokedThing::Envelope(format!("sha256:{}", Hash::of(&good.to_json())).parse().unwrap());
    let subject = RevokedThing::Subject(model().digest.primary().unwrap());
    let key = RevokedThing::Key(world.build.key_id());
    let only_ana = "rules:\n  - {name: all, signers: [build], predicates: [report]}\n  - {name: rev, signers: [ana], predicates: [revocation]}\n";
    for (rules, what, from, signer, refused) in [
        ("", &envelope, None, &world.ana, true),
        ("", &subject, None, &world.ana, true),
        ("", &key, None, &world.ana, true),
        ("", &envelope, Some("2026-02-01"), &world.ana, false),
        ("", &envelope, None, &world.stranger, false),
        (only_ana, &envelope, None, &world.ana, true),
        (only_ana, &envelope, None, &world.bo, false),
        // The holder of a key may always give it up, and nothing else.
        (only_ana, &key, None, &world.build, true),
        (only_ana, &envelope, None, &world.build, false),
        ("", &RevokedThing::Key(world.bo.key_id()), None, &world.ana, false),
    ] {
        let policy = world.policy(rules);
        let bundle = world.bundle(&[good.clone(), revocation(what.clone(), from, &[signer])], &[]);
        let judgement = judge(&bundle, &asked(&policy, None));
        let report = judgement.items.iter().find(|item| item.predicate_type == TEST_RESULT).unwrap();
        assert_eq!(report.standing == Standing::Refused, refused, "{rules} {what:?} {judgement:#?}");
        // Hiding its entry from the log must not pay.
        let mut hidden = bundle.clone();
        hidden.logs.values_mut().for_each(|part| drop(part.entries.remove(&1)));
        let judgement = judge(&hidden, &asked(&policy, None));
        let report = judgement.items.iter().find(|item| item.predicate_type == TEST_RESULT).unwrap();
        assert_eq!(report.standing == Standing::Refused, refused);
    }
}

#[test]
fn an_expired_key_counts_only_with_proof_of_the_time() {
    let world = World::new();
    let text = |until: &str, more: &str| {
        let text = format!(
            "version: 1\nname: acme\nenvironments: {{production: {{}}}}\npeople:\n  - id: build\n    name: B\n    keys:\n      \
             - key: {}\n        until: {until}\nlogs: ['{}']\n{more}",
            pem(&world.build, 10),
            world.log.verifier()
        );
        TrustPolicy::parse("trust.yaml", text.as_bytes(), &[]).unwrap()
    };
    let judged = |policy: &TrustPolicy, cosigned: &[(usize, &str)]| {
        judge(&world.bundle(&[report("PASSED", &[&world.build])], cosigned), &asked(policy, None))
    };
    expect(&judged(&text("2026-02-01", ""), &[]), Verdict::Pass, &[]);
    let expired = ["evidence-refused", "key-expired", "nothing-accepted", "threshold"];
    expect(&judged(&text("2026-01-01", ""), &[]), Verdict::Fail, &expired);
    let witnessed = text("2026-01-01", &world.witnessed(2));
    let judgement = judged(&witnessed, &[(0, "2025-12-01"), (1, "2025-12-20")]);
    expect(&judgement, Verdict::Pass, &[]);
    assert_eq!(
        (judgement.items[0].moment.source, judgement.items[0].moment.time.as_str()),
        ("witnesses", "2025-12-20T00:00:00Z")
    );
    // The later of the two needed decides: one witness with a slow clock proves nothing.
    expect(&judged(&witnessed, &[(0, "2025-12-01"), (1, "2026-01-15")]), Verdict::Fail, &expired);
    // Without a quorum there is no proof of the time, and no log either.
    let one = judged(&witnessed, &[(0, "2025-12-01")]);
    assert!(codes(&one).contains(&"key-expired") && codes(&one).contains(&"witness-quorum"), "{:?}", codes(&one));
}

#[test]
fn an_old_head_leaves_open_what_was_revoked_since() {
    let world = World::new();
    let judged = |more: &str, cosigned: &[(usize, &str)], at: &str| {
        let policy = world.policy(more);
        let bundle = world.bundle(&[report("PASSED", &[&world.build])], cosigned);
        judge(&bundle, &Question { at: parse_time(at).unwrap(), ..asked(&policy, None) })
    };
    expect(&judged("freshness: 24h\n", &[], "2026-02-01T12:00:00Z"), Verdict::Pass, &[]);
    expect(&judged("freshness: 24h\n", &[], "2026-02-01T12:00:01Z"), Verdict::Error, &["stale-head"]);
    let two = format!("freshness: 24h\n{}", world.witnessed(2));
    let times = [(0, "2026-02-01T00:00:00Z"), (1, "2026-02-03T00:00:00Z")];
    expect(&judged(&two, &times, "2026-02-02T00:00:00Z"), Verdict::Pass, &[]);
    // Two of two saw it a day ago; that one saw it later is not enough.
    expect(&judged(&two, &times, "2026-02-03T00:00:00Z"), Verdict::Error, &["stale-head"]);
    let one = format!("freshness: 24h\n{}", world.witnessed(1));
    expect(&judged(&one, &times, "2026-02-03T00:00:00Z"), Verdict::Pass, &[]);
}

#[test]
fn the_last_decision_for_a_place_holds() {
    let world = World::new();
    let policy = world.policy("");
    let decided = |results: &[(&str, &str)]| {
        let envelopes: Vec<Envelope> =
            results.iter().map(|(result, place)| decision(result, place, &policy, &world.build)).collect();
        let require = [PredicatePattern::parse("decision").unwrap()];
        let model = model();
        judge(&world.bundle(&envelopes, &[]), &Question { require: &require, ..asked(&policy, Some(&model)) })
    };
    expect(&decided(&[("PASSED", "production")]), Verdict::Pass, &[]);
    expect(&decided(&[("FAILED", "production"), ("PASSED", "production")]), Verdict::Pass, &["superseded"]);
    let withdrawn = decided(&[("PASSED", "production"), ("FAILED", "production")]);
    expect(&withdrawn, Verdict::Fail, &["required-missing", "says-failed", "superseded"]);
    expect(
        &decided(&[("PASSED", "staging")]),
        Verdict::Fail,
        &["nothing-applies", "other-environment", "required-missing"],
    );
    // Made under another policy.
    let other = world.policy("freshness: 1h\n");
    let bundle = world.bundle(&[decision("PASSED", "production", &other, &world.build)], &[]);
    let judgement = judge(&bundle, &asked(&policy, None));
    expect(&judgement, Verdict::Fail, &["evidence-refused", "nothing-accepted", "other-policy"]);
    let packs = Digest::sha256(b"other packs");
    let bundle = world.bundle(&[decision("PASSED", "production", &policy, &world.build)], &[]);
    let judgement = judge(&bundle, &Question { packs: Some(&packs), ..asked(&policy, None) });
    expect(&judgement, Verdict::Fail, &["evidence-refused", "nothing-accepted", "other-policy"]);
}

#[test]
fn a_required_type_must_be_there_and_others_are_only_shown() {
    let world = World::new();
    let policy = world.policy("");
    let require = [PredicatePattern::parse("report").unwrap()];
    let judged = |envelopes: &[Envelope]| {
        judge(&world.bundle(envelopes, &[]), &Question { require: &require, ..asked(&policy, None) })
    };
    let good = report("PASSED", &[&world.build]);
    let junk = signed(&model(), "https://other.example/v1", json!({}), &[&world.stranger]);
    let judgement = judged(&[good.clone(), junk.clone()]);
    expect(&judgement, Verdict::Pass, &["unknown-signer"]);
    expect(&judged(&[junk]), Verdict::Fail, &["required-missing", "unknown-signer"]);
    // But a report that says no counts, whatever else is there.
    expect(&judged(&[good, report("FAILED", &[&world.build])]), Verdict::Fail, &["says-failed"]);
}

/// Whatever is done to the bytes of a bundle: no panic, and never a pass with content that nobody signed.
#[test]
fn no_damaged_bundle_passes() {
    let world = World::new();
    let policy = world.policy("");
    let bundle = world.bundle(&[report("PASSED", &[&world.build]), report("WARNED", &[&world.build])], &[]);
    let seed = bundle.to_bytes().unwrap();
    let genuine: Vec<&Vec<u8>> = bundle.envelopes.values().collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..1_500 {
        let mut bytes = seed.clone();
        let at = next() % bytes.len();
        match next() % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << (next() % 8),
            _ => {
                let tail = bytes.split_off(at);
                bytes.extend_from_slice(&seed[next() % seed.len()..]);
                bytes.extend(tail);
            }
        }
        let Ok(read) = Bundle::parse(&bytes) else { continue };
        if judge(&read, &asked(&policy, None)).verdict == Verdict::Pass {
            assert!(read.envelopes.values().all(|envelope| genuine.contains(&envelope)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A quorum of k is reached exactly by k different witnesses, in whatever order and however often they signed.
    #[test]
    fn a_quorum_counts_different_witnesses(signed in proptest::collection::vec(0_usize..2, 0..5), quorum in 1_usize..3) {
        let world = World::new();
        let policy = world.policy(&world.witnessed(quorum));
        let cosigned: Vec<(usize, &str)> = signed.iter().map(|witness| (*witness, "2026-01-30")).collect();
        let judgement = judge(&world.bundle(&[report("PASSED", &[&world.build])], &cosigned), &asked(&policy, None));
        let different = signed.iter().collect::<std::collections::BTreeSet<_>>().len();
        prop_assert_eq!(judgement.verdict == Verdict::Pass, different >= quorum);
    }
}
