//! Evidence by a key whose time is over: a time stamp of a trusted authority, over the very signature, says when it was there.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

// The authority of the trust crate's tests, which stamps as it is told.
#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../../gauntlet-trust/tests/certificates/pki.rs"]
mod pki;
#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../../gauntlet-trust/tests/certificates/tsa.rs"]
mod tsa;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey as LogSecret;
use gauntlet_core::{DigestSet, Subject, SubjectKind, Verdict, parse_time};
use gauntlet_ledger::bundle::{Bundle, EntryPart, LogPart, TimestampOf};
use gauntlet_ledger::checkpoint::Checkpoint;
use gauntlet_ledger::judge::{Judgement, Question, judge};
use gauntlet_ledger::note::SignerKey;
use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::leaf_hash;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::statement::{ResourceDescriptor, Statement, TEST_RESULT};
use gauntlet_trust::trust_policy::TrustPolicy;

use pki::Authority;
use tsa::{Tsa, Twist};

struct World {
    key: SigningKey,
    log: SignerKey,
    envelope: Envelope,
}

impl World {
    fn new() -> Self {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let subject = Subject { name: "m".into(), kind: SubjectKind::Model, digest: DigestSet::sha256_of(b"model") };
        let predicate = serde_json::json!({"result": "PASSED", "configuration": []});
        let statement = Statement::new(vec![ResourceDescriptor::from(&subject)], TEST_RESULT, predicate);
        let envelope = statement.sign(&[&key]).unwrap();
        Self { key, log: SignerKey::new("log", LogSecret::from_bytes(&[1; 32])).unwrap(), envelope }
    }

    /// The key counts until 2026; `stampers` are believed.
    fn policy(&self, stampers: Option<&Authority>) -> TrustPolicy {
        let indented = |pem: &str| pem.trim_end().replace('\n', "\n          ");
        let stampers = stampers.map_or_else(String::new, |root| {
            let pem = indented(&root.certificate.to_pem());
            format!("time_stamp_authorities:\n  - name: tsa\n    certificates: |\n          {pem}\n")
        });
        let text = format!(
            "version: 1\nname: a\npeople:\n  - id: build\n    name: B\n    keys:\n      - until: 2026-01-01\n        key: |\n          \
             {}\nlogs: ['{}']\n{stampers}",
            indented(&self.key.verifying_key().to_pem().unwrap()),
            self.log.verifier()
        );
        TrustPolicy::parse("trust.yaml", text.as_bytes(), &[]).unwrap()
    }

    fn judged(&self, policy: &TrustPolicy, token: Option<Vec<u8>>) -> Judgement {
        let mut bundle = Bundle::default();
        let envelope = bundle.add_envelope(self.envelope.to_json());
        let record = Record {
            envelope: EnvelopeDigest(envelope),
            key: self.key.key_id(),
            kind: "report".into(),
            predicate_type: TEST_RESULT.into(),
            subject: BTreeMap::from([("sha256".to_owned(), gauntlet_core::sha256_hex(b"model"))]),
            time: "2026-06-01T00:00:00Z".into(),
        };
        let entry = record.to_bytes().unwrap();
        let checkpoint = Checkpoint { origin: "log".into(), size: 1, root: leaf_hash(&entry) };
        let entries = [(0, EntryPart { entry, proof: Vec::new() })].into();
        let part = LogPart { checkpoint: checkpoint.sign(&self.log).unwrap().to_string(), entries };
        bundle.logs.insert("log".into(), part);
        bundle.timestamps.extend(token.map(|token| (TimestampOf { envelope, signature: 0, number: 0 }, token)));
        let at = parse_time("2026-06-01T00:00:00Z").unwrap();
        judge(
            &bundle,
            &Question { policy, at, environment: None, subject: None, require: &[], keys: &[], logs: &[], packs: None },
        )
    }
}

fn has(judgement: &Judgement, code: &str) -> bool {
    judgement.items.iter().flat_map(|item| &item.reasons).any(|reason| reason.code == code)
}

#[test]
fn a_trusted_time_stamp_over_the_signature_fixes_the_moment() {
    let world = World::new();
    let root = Authority::root("tsa", |_| ());
    let stamper = Tsa::new(&root);
    let policy = world.policy(Some(&root));
    let signature = world.envelope.signatures()[0].bytes.clone();
    let stamp = |message: &[u8], time: &str, twist| Some(stamper.token(message, time, None, twist));

    let judgement = world.judged(&policy, stamp(&signature, "20251201000000Z", Twist::None));
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    assert_eq!(judgement.items[0].moment.source, "time-stamp");
    assert_eq!(judgement.items[0].moment.time, "2025-12-01T00:00:00Z");

    for (token, refused) in [
        (None, false),
        // Stamped after the key's end, or after the moment of judging.
        (stamp(&signature, "20260201000000Z", Twist::None), false),
        (stamp(&signature, "20261201000000Z", Twist::None), true),
        // Over something else, forged, or cut.
        (stamp(b"another signature", "20251201000000Z", Twist::None), true),
        (stamp(&signature, "20251201000000Z", Twist::BadSignature), true),
        (stamp(&signature, "20251201000000Z", Twist::OtherDigest), true),
        (stamp(&signature, "20251201000000Z", Twist::None).map(|token| token[..100].to_vec()), true),
    ] {
        let judgement = world.judged(&policy, token);
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert!(has(&judgement, "key-expired"), "{judgement:#?}");
        assert_eq!(has(&judgement, "time-stamp-refused"), refused, "{judgement:#?}");
    }
    // By an authority that the policy does not name, or when it names none.
    let other = Authority::root("tsa", |_| ());
    for policy in [world.policy(Some(&other)), world.policy(None)] {
        let judgement = world.judged(&policy, stamp(&signature, "20251201000000Z", Twist::None));
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert!(has(&judgement, "key-expired") && has(&judgement, "time-stamp-refused"), "{judgement:#?}");
    }
}
