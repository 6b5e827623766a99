//! Bytes as a trust policy and as a signed one: refused or read, and whatever is read can be asked.
#![no_main]

use gauntlet_core::{SubjectKind, parse_time};
use gauntlet_trust::moment::Moment;
use gauntlet_trust::trust_policy::{Act, PolicyBundle, Signatory, TrustPolicy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(policy) = TrustPolicy::parse("trust.yaml", data, &["baseline", "high-risk"]) {
        let moment = Moment::now(parse_time("2026-01-31").expect("a date"));
        let keys = policy.people.iter().flat_map(|person| &person.keys);
        let signed: Vec<Signatory> =
            keys.map(|key| Signatory { key_id: key.id.clone(), identities: Vec::new() }).collect();
        for environment in policy.environments.keys() {
            let act = Act {
                subject: Some(SubjectKind::Model),
                predicate: "https://in-toto.io/attestation/test-result/v0.1",
                environment: Some(environment),
                moment: &moment,
            };
            assert!(!policy.permits(&[], &act, &[]).is_allowed(), "nobody signed");
            let _ = policy.permits(&signed, &act, &[]);
        }
    }
    if let Ok(bundle) = PolicyBundle::parse(data) {
        assert_eq!(PolicyBundle::parse(&bundle.to_bytes()).expect("what we write is read"), bundle);
        assert!(bundle.verify("trust.bundle", &[], &[]).is_err(), "a bundle cannot vouch for itself");
        let _ = bundle.missing();
    }
});
