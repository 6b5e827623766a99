use gauntlet_core::SubjectKind;
use insta::assert_snapshot;
use jiff::Timestamp;
use proptest::prelude::*;

use super::vkey::tests::vkey;
use super::*;
use crate::keys::{KeyKind, SigningKey};
use crate::moment::{Moment, MomentSource};
use crate::statement::{APPROVAL, REVOCATION, TEST_RESULT};

const KEY_A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn parse(text: &str) -> Result<TrustPolicy, Vec<String>> {
    TrustPolicy::parse("trust.yaml", text.as_bytes(), &["baseline", "high-risk"])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn policy(text: &str) -> TrustPolicy {
    parse(&format!("version: 1\nname: acme\n{text}")).unwrap()
}

fn time(text: &str) -> Timestamp {
    gauntlet_core::parse_time(text).unwrap()
}

fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn by_key(letter: char) -> Signatory {
    Signatory { key_id: id(letter), identities: Vec::new() }
}

fn by_identity(identity: &str, issuer: &str) -> Signatory {
    let identity = Identity { identity: identity.into(), issuer: issuer.into() };
    Signatory { key_id: id('9'), identities: vec![identity] }
}

/// Codes of everything that speaks against, those of single signers first.
fn codes(permission: &Permission) -> Vec<&'static str> {
    let signers = permission.signers.iter().flat_map(|signer| &signer.objections);
    signers.chain(&permission.objections).map(Objection::code).collect()
}

fn signed(policy: &TrustPolicy, signers: &[Signatory], moment: &Moment) -> Permission {
    let act =
        Act { subject: Some(SubjectKind::Model), predicate: TEST_RESULT, environment: Some("production"), moment };
    policy.permits(signers, &act, &[])
}

#[test]
fn a_whole_policy_is_read() {
    let key = SigningKey::generate(KeyKind::Ed25519).unwrap();
    let pem = key.verifying_key().to_pem().unwrap().trim_end().replace('\n', "\n      ");
    let text = format!(
        "version: 1\nname: acme\nfreshness: 24h\nenvironments:\n  production:\n    minimum_risk: high\n    \
         packs: [baseline]\n    approvals: [security]\n    signers: [ana, '{}']\n    tests: {{rows: 10, seeds: 3}}\n  \
         lab: {{production: false}}\npeople:\n  - id: ana\n    name: Ana\n    emails: [ana@acme.example]\n    \
         roles: [security]\n    keys:\n    - |\n      {pem}\n    - {{key: '{}', until: 2026-06-01}}\n\
         tests: {{rows: 500, eps: 0.1}}\nlogs: ['{}']\nwitnesses: {{quorum: 1, keys: ['{}']}}\n",
        KEY_A.to_uppercase(),
        id('b'),
        vkey("acme.example/log", 1, 1),
        vkey("witness.example", 4, 2),
    );
    let policy = parse(&text).unwrap();
    assert_eq!(policy.digest, Digest::sha256(text.as_bytes()));
    assert_eq!(policy.freshness_seconds, Some(86_400));
    assert_eq!(policy.holder(&key.key_id()).unwrap().id, "ana");
    assert_eq!(policy.public_keys().collect::<Vec<_>>(), [key.verifying_key()]);
    let mut signers = vec![KEY_A.to_owned(), key.key_id(), id('b')];
    signers.sort();
    assert_eq!(policy.signer_keys("production"), Some(signers));
    assert_eq!(policy.signer_keys("lab"), None);
    assert_eq!(policy.environments["lab"].production, Some(false));
    let floors = TestFloors { rows: Some(500), eps: Some(0.1), seeds: Some(3) };
    assert_eq!(policy.environments["production"].tests, floors);
    assert_eq!(policy.logs[0].name(), "acme.example/log");
}

#[test]
fn mistakes_name_place_and_way_out() {
    let text = format!(
        "version: 2\nname: acme\nfreshness: soon\nenvironments:\n  p:\n    packs: [baselin]\n    approvals: [legal]\n    \
         signers: [anna]\npeople:\n  - {{id: ana, name: A, keys: [{KEY_A}]}}\n  - {{id: ana, name: B, keys: [{KEY_A}, xyz]}}\n"
    );
    assert_snapshot!(parse(&text).unwrap_err().join("\n"), @"
    trust.yaml:1:10: version 2 is not known; this program reads version 1
    trust.yaml:11:10: id `ana` is empty or used twice
    trust.yaml:11:31: key aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa already belongs to `ana`
    trust.yaml:11:97: a key is 64 hex digits (SHA-256 of its SubjectPublicKeyInfo) or a PEM block `PUBLIC KEY`
    trust.yaml:6:13: unknown pack `baselin`, did you mean `baseline`?
    trust.yaml:7:17: nobody under `people` has a key and the role `legal`, so nothing could pass
    trust.yaml:8:15: `anna` is neither a person nor a key, did you mean `ana`?
    trust.yaml:3:12: `soon` is no time span: write a whole number and s, m, h or d
    ");
    assert!(parse("version: 1\nname: a\nenviroments: {}\n").unwrap_err()[0].contains("did you mean `environments`?"));
}

/// Each mistake, and a part of what is said about it. Every one has a twin in the other tests that is taken.
#[test]
fn what_could_never_hold_is_refused() {
    let (a, b) = (id('a'), id('b'));
    let people =
        format!("people: [{{id: ana, name: A, keys: ['{a}']}}, {{id: bo, name: B, keys: ['{b}'], roles: [r]}}]\n");
    let witness = vkey("w", 4, 2);
    for (text, expected) in [
        ("previous: sha256:00\n".to_owned(), "64 hex digits"),
        ("version_number: 0\n".to_owned(), "begin with 1"),
        (format!("version_number: 1\nprevious: sha256:{a}\n"), "has no predecessor"),
        ("version_number: 2\n".to_owned(), "name the `previous`"),
        (format!("previous: sha256:{a}\n"), "needs a `version_number`"),
        (format!("{people}root: {{threshold: 1, keys: [ana]}}\n"), "given as PEM"),
        (format!("{people}rules: [{{name: r, signers: [ana], threshold: 2}}]\n"), "1 of the signers can sign"),
        (format!("{people}rules: [{{name: r, signers: [ana], threshold: 0}}]\n"), "at least 1"),
        (format!("{people}rules: [{{name: r, signers: [ana]}}, {{name: r, signers: [bo]}}]\n"), "used twice"),
        (format!("{people}rules: [{{name: r, signers: ['role:x']}}]\n"), "nobody has the role `x`"),
        (format!("{people}rules: [{{name: r, signers: [ana], predicates: [reports]}}]\n"), "neither a predicate type"),
        (format!("{people}rules: [{{name: r, signers: [ana], environments: [prod]}}]\n"), "no environment `prod`"),
        (format!("{people}rules: [{{name: r, signers: [ana], subjects: [modl]}}]\n"), "did you mean `model`?"),
        (format!("{people}rules: [{{name: r, signers: [ana], from: 2026-02-01, until: 2026-01-01}}]\n"), "ends before"),
        (format!("people: [{{id: ana, name: A, keys: [{{key: '{a}', until: soon}}]}}]\n"), "not a time"),
        (format!("people: [{{id: ana, name: A, keys: [{{ky: '{a}'}}]}}]\n"), "did you mean `key`?"),
        ("people: [{id: ana, name: A, emails: [ana]}]\n".to_owned(), "no e-mail address"),
        ("people: [{id: 'role:x', name: A}]\n".to_owned(), "reads like a role"),
        (format!("people: [{{id: {a}, name: A}}]\n"), "reads like a role or a key"),
        ("identities: [{id: ci, identity: 'https://x/*', issuer: y}]\n".to_owned(), "no pattern"),
        (
            "identities: [{id: ci, identity: x, issuer: y}, {id: cd, identity: x, issuer: y}]\n".to_owned(),
            "belongs to `ci`",
        ),
        ("logs: [x]\n".to_owned(), "name+hex id+base64"),
        (format!("logs: ['{witness}']\n"), "a log's"),
        (format!("witnesses: {{quorum: 2, keys: ['{witness}']}}\n"), "at most the number of witnesses, 1"),
        (format!("witnesses: {{quorum: 2, keys: ['{witness}', '{}']}}\n", vkey("v", 4, 2)), "named twice"),
        (format!("witnesses: {{quorum: 1, keys: ['{}']}}\n", vkey("w", 1, 2)), "a witness's"),
        ("tests: {rows: 0}\n".to_owned(), "asks for nothing"),
        ("tests: {eps: -1}\n".to_owned(), "positive number"),
        ("tests: {eps: .nan}\n".to_owned(), "positive number"),
        ("revoked: [{reason: x}]\n".to_owned(), "name one of"),
        (format!("revoked: [{{key: '{a}', subject: sha256:{a}, reason: x}}]\n"), "name one of"),
        (format!("revoked: [{{key: '{a}', reason: ' '}}]\n"), "say why"),
        (format!("revoked: [{{envelope: 'dirHash1:{a}', reason: x}}]\n"), "by its sha256"),
        ("revoked: [{subject: 'sha256:1', reason: x}]\n".to_owned(), "not a digest"),
        ("authorities: [{name: a, certificates: x}]\n".to_owned(), "certificate"),
    ] {
        let errors = parse(&format!("version: 1\nname: acme\n{text}")).expect_err(&text).join("\n");
        assert!(errors.contains(expected), "{text}: {errors}");
        assert!(errors.starts_with("trust.yaml:"), "no place: {errors}");
    }
}

#[test]
fn time_spans_are_whole_and_positive() {
    assert_eq!(seconds("7d"), Some(604_800));
    for wrong in ["", "d", "0h", "-1h", "1.5h", "3", "3w", "99999999999999999999d", "18446744073709551615d", "3é"] {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
}

#[test]
fn without_rules_every_listed_person_may_sign_and_nobody_else() {
    let now = Moment::now(time("2026-01-31"));
    let policy = policy(&format!(
        "environments: {{production: {{signers: [ana]}}, staging: {{}}}}\n\
         people: [{{id: ana, name: A, keys: ['{}']}}, {{id: bo, name: B, keys: ['{}']}}]\n",
        id('a'),
        id('b')
    ));
    assert!(signed(&policy, &[by_key('a')], &now).is_allowed());
    assert_eq!(codes(&signed(&policy, &[by_key('b')], &now)), ["signer-not-for-environment", "threshold"]);
    assert_eq!(
        codes(&signed(&policy, &[by_key('c')], &now)),
        ["unknown-signer", "signer-not-for-environment", "threshold"]
    );
    assert_eq!(codes(&signed(&policy, &[], &now)), ["threshold"]);
    // Approvals come from people who sign no evidence.
    let approval = Act { subject: None, predicate: APPROVAL, environment: Some("production"), moment: &now };
    assert!(policy.permits(&[by_key('b')], &approval, &[]).is_allowed());
    let staging = Act { environment: Some("staging"), ..approval };
    assert!(policy.permits(&[by_key('b')], &staging, &[]).is_allowed());
    assert!(!policy.permits(&[by_key('c')], &staging, &[]).is_allowed());
}

/// Ana (two keys), Bo and a pipeline; security approves by two, the pipeline reports on models.
fn ruled() -> TrustPolicy {
    policy(&format!(
        "environments: {{production: {{}}, staging: {{}}}}\npeople:\n  \
         - {{id: ana, name: A, roles: [security], keys: ['{}', '{}']}}\n  \
         - {{id: bo, name: B, roles: [security], keys: ['{}']}}\n\
         identities:\n  - {{id: ci, identity: 'https://ci.example/acme/churn', issuer: 'https://token.example'}}\n\
         rules:\n  - {{name: two-approve, signers: ['role:security'], predicates: [approval], threshold: 2}}\n  \
         - {{name: reports, signers: [ci, '{}'], predicates: [report], subjects: [model], environments: [production], \
         from: 2026-01-01, until: 2027-01-01}}\n",
        id('a'),
        id('b'),
        id('c'),
        id('d')
    ))
}

#[test]
fn a_rule_says_who_signs_what_for_where_and_when() {
    let policy = ruled();
    let moment = Moment::now(time("2026-06-01"));
    let ci = by_identity("https://ci.example/acme/churn", "https://token.example");
    let good = Act {
        subject: Some(SubjectKind::Model),
        predicate: TEST_RESULT,
        environment: Some("production"),
        moment: &moment,
    };
    let (early, late) = (Moment::now(time("2025-12-31")), Moment::now(time("2027-01-01")));
    let permission = policy.permits(std::slice::from_ref(&ci), &good, &[]);
    assert_eq!((permission.rule.as_deref(), permission.signers[0].person.as_deref()), (Some("reports"), Some("ci")));
    assert!(policy.permits(&[by_key('d')], &good, &[]).is_allowed());
    let elsewhere = by_identity("https://ci.example/acme/churn", "https://other.example");
    let another = by_identity("https://ci.example/acme/churn2", "https://token.example");
    for (signer, act, expected) in [
        (&ci, Act { subject: Some(SubjectKind::Dataset), ..good }, vec!["no-rule"]),
        (&ci, Act { subject: None, ..good }, vec!["no-rule"]),
        (&ci, Act { predicate: REVOCATION, ..good }, vec!["no-rule"]),
        (&ci, Act { environment: Some("staging"), ..good }, vec!["no-rule"]),
        (&ci, Act { environment: None, ..good }, vec!["no-rule"]),
        (&ci, Act { moment: &early, ..good }, vec!["rule-not-in-force"]),
        (&ci, Act { moment: &late, ..good }, vec!["rule-not-in-force"]),
        (&by_key('a'), good, vec!["threshold"]),
        (&elsewhere, good, vec!["unknown-signer", "threshold"]),
        (&another, good, vec!["unknown-signer", "threshold"]),
    ] {
        assert_eq!(codes(&policy.permits(std::slice::from_ref(signer), &act, &[])), expected, "{signer:?} {act:?}");
    }
}

#[test]
fn a_threshold_counts_people_and_not_keys() {
    let policy = ruled();
    let moment = Moment::now(time("2026-06-01"));
    let act =
        Act { subject: Some(SubjectKind::Model), predicate: APPROVAL, environment: Some("staging"), moment: &moment };
    assert_eq!(codes(&policy.permits(&[by_key('a'), by_key('b')], &act, &[])), ["threshold"], "both keys are Ana's");
    assert_eq!(codes(&policy.permits(&[by_key('a'), by_key('a')], &act, &[])), ["threshold"]);
    assert_eq!(codes(&policy.permits(&[by_key('a'), by_key('e')], &act, &[])), ["unknown-signer", "threshold"]);
    assert!(policy.permits(&[by_key('b'), by_key('c')], &act, &[]).is_allowed());
    assert!(
        policy.permits(&[by_key('e'), by_key('b'), by_key('c')], &act, &[]).is_allowed(),
        "a stranger takes nothing away"
    );
}

#[test]
fn a_key_counts_in_its_time_and_rotation_may_overlap() {
    let policy = policy(&format!(
        "people: [{{id: ana, name: A, keys: [{{key: '{}', until: 2026-07-01}}, {{key: '{}', from: 2026-06-01}}]}}]\n",
        id('a'),
        id('b')
    ));
    for (moment, old, new) in [("2026-05-31", true, false), ("2026-06-15", true, true), ("2026-07-01", false, true)] {
        let now = Moment::now(time(moment));
        let old_codes = codes(&signed(&policy, &[by_key('a')], &now));
        let new_codes = codes(&signed(&policy, &[by_key('b')], &now));
        assert_eq!((old_codes.is_empty(), new_codes.is_empty()), (old, new), "{moment}");
        assert!(old || old_codes[0] == "key-expired");
        assert!(new || new_codes[0] == "key-not-yet-valid");
    }
    // A proven moment, and nothing else, lets an old signature count later.
    let proven = Moment { time: time("2026-05-01"), source: MomentSource::Witnesses(vec!["w".into()]) };
    assert!(signed(&policy, &[by_key('a')], &proven).is_allowed());
}

#[test]
fn a_revoked_key_counts_only_for_what_is_proven_to_be_older() {
    let policy = policy(&format!(
        "people: [{{id: ana, name: A, keys: ['{0}']}}, {{id: bo, name: B, keys: ['{1}']}}]\n\
         revoked: [{{key: '{0}', from: 2026-03-01, reason: laptop stolen}}, {{key: '{1}', reason: never ours}}]\n",
        id('a'),
        id('b')
    ));
    let proven = |text: &str| Moment { time: time(text), source: MomentSource::TimeStamp("tsa".into()) };
    assert_eq!(codes(&signed(&policy, &[by_key('a')], &Moment::now(time("2026-03-01")))), ["key-revoked", "threshold"]);
    assert_eq!(codes(&signed(&policy, &[by_key('a')], &proven("2026-03-02"))), ["key-revoked", "threshold"]);
    assert!(signed(&policy, &[by_key('a')], &proven("2026-02-28")).is_allowed());
    assert_eq!(codes(&signed(&policy, &[by_key('b')], &proven("1999-01-01"))), ["key-revoked", "threshold"]);
    let message =
        signed(&policy, &[by_key('a')], &Moment::now(time("2026-04-01"))).signers[0].objections[0].to_string();
    assert!(message.contains("since 2026-03-01T00:00:00Z: laptop stolen"), "{message}");
}

#[test]
fn naming_one_key_of_a_person_does_not_name_the_others() {
    let policy = policy(&format!(
        "environments: {{production: {{signers: ['{0}']}}}}\npeople: [{{id: ana, name: A, keys: ['{0}', '{1}']}}]\n",
        id('a'),
        id('b')
    ));
    let now = Moment::now(time("2026-01-31"));
    assert!(signed(&policy, &[by_key('a')], &now).is_allowed());
    assert!(!signed(&policy, &[by_key('b')], &now).is_allowed());
    assert_eq!(policy.signer_keys("production"), Some(vec![id('a')]));
}

proptest! {
    /// Whatever keys of five people sign, a rule of k is satisfied exactly when k different people did; who signs twice, with
    /// another key or without being named changes nothing.
    #[test]
    fn k_of_n_means_k_different_people(
        signers in proptest::collection::vec((0_usize..7, 0_usize..2), 0..12),
        threshold in 1_usize..5,
    ) {
        let key = |person: usize, which: usize| format!("{:064x}", person * 2 + which + 1);
        let people: Vec<String> = (0..5)
            .map(|n| format!("  - {{id: p{n}, name: P, keys: ['{}', '{}']}}\n", key(n, 0), key(n, 1)))
            .collect();
        let policy = policy(&format!(
            "people:\n{}rules: [{{name: r, signers: [p0, p1, p2, p3, p4], threshold: {threshold}}}]\n",
            people.concat()
        ));
        let signatories: Vec<Signatory> = signers
            .iter()
            .map(|(person, which)| Signatory { key_id: key(*person, *which), identities: Vec::new() })
            .collect();
        let different: BTreeSet<usize> = signers.iter().map(|(person, _)| *person).filter(|person| *person < 5).collect();
        let allowed = signed(&policy, &signatories, &Moment::now(time("2026-01-31"))).is_allowed();
        prop_assert_eq!(allowed, different.len() >= threshold);
    }

    /// With windows that overlap there is no moment without a valid key; and at each moment exactly those keys count whose
    /// window it lies in.
    #[test]
    fn overlapping_windows_leave_no_gap(lengths in proptest::collection::vec((10_i64..100, 0_i64..10), 1..6), at in 0_i64..400) {
        let mut begin = 0;
        let mut windows = Vec::new();
        for (length, overlap) in &lengths {
            windows.push((begin, begin + length));
            begin += length - overlap;
        }
        let end = windows.last().unwrap().1;
        let day = |n: i64| Timestamp::from_second(n * 86_400).unwrap();
        let keys: Vec<String> = (1..)
            .zip(&windows)
            .map(|(n, (from, until))| format!("{{key: '{n:064x}', from: '{}', until: '{}'}}", day(*from), day(*until)))
            .collect();
        let policy = policy(&format!("people: [{{id: a, name: A, keys: [{}]}}]\n", keys.join(", ")));
        let moment = Moment::now(day(at));
        let mut any = false;
        for (n, (from, until)) in (1..).zip(&windows) {
            let signer = Signatory { key_id: format!("{n:064x}"), identities: Vec::new() };
            let allowed = signed(&policy, &[signer], &moment).is_allowed();
            prop_assert_eq!(allowed, (*from..*until).contains(&at));
            any |= allowed;
        }
        prop_assert_eq!(any, at < end);
    }
}

/// Any damage to the file is an error or a policy, never a panic.
#[test]
fn damaged_files_are_refused_or_read() {
    let seed = format!(
        "version: 1\nname: a\nversion_number: 1\nfreshness: 24h\nenvironments:\n  p: {{packs: [baseline], approvals: [r], \
         signers: [ana], tests: {{eps: 0.1}}}}\npeople:\n  - id: ana\n    name: A\n    roles: [r]\n    emails: [a@b]\n    \
         keys: ['{KEY_A}', {{key: '{}', from: 2026-01-01}}]\nrules: [{{name: r, signers: ['role:r'], predicates: [bom], \
         environments: [p], threshold: 1}}]\nlogs: ['{}']\nrevoked: [{{subject: 'dirHash1:{KEY_A}', reason: x}}]\n",
        id('b'),
        vkey("l", 1, 1),
    );
    parse(&seed).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..3_000 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = b"&*[{:-#'\n\xff"[next(10)],
                2 => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&seed.as_bytes()[next(seed.len())..]);
                    bytes.extend(tail);
                }
                _ => bytes[at] ^= 1 << next(8),
            }
        }
        if let Ok(policy) = TrustPolicy::parse("trust.yaml", &bytes, &["baseline"]) {
            let _ = signed(&policy, &[by_key('a'), by_key('b')], &Moment::now(time("2026-01-31")));
        }
    }
}

#[test]
fn the_example_that_says_everything_is_read() {
    let policy = TrustPolicy::parse(
        "org.yaml",
        include_bytes!("../../../../testdata/trust/org.yaml"),
        &["baseline", "high-risk"],
    );
    let policy = policy.unwrap();
    assert_eq!((policy.rules.unwrap().len(), policy.witnesses.unwrap().quorum.get(), policy.people.len()), (3, 1, 3));
    assert_eq!(policy.environments["production"].tests.rows, Some(1_000));
}
