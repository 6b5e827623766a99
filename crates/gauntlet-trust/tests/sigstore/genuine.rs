//! What the public instances and other people's tools have signed, with the trusted roots as they are shipped.

use crate::common::cases;

#[test]
fn genuine_bundles_are_judged_as_their_makers_say() {
    let mut held = 0;
    for case in cases() {
        let found = case.load().judge();
        match found {
            Ok(time) => {
                assert!(case.reasons.is_empty(), "{}: holds, expected {:?}", case.id, case.reasons);
                assert_eq!(time, case.time, "{}", case.id);
                held += 1;
            }
            Err(failures) => {
                let mut reasons: Vec<&str> = failures.all().iter().map(|one| one.reason.as_str()).collect();
                reasons.sort_unstable();
                reasons.dedup();
                assert_eq!(reasons, case.reasons, "{}: {failures}", case.id);
            }
        }
    }
    assert!(held >= 10, "{held} genuine bundles hold");
}

#[test]
fn a_bundle_of_one_instance_does_not_hold_at_another() {
    for case in cases().iter().filter(|case| case.reasons.is_empty()) {
        for other in ["public-good", "staging", "scaffolding", "github"].iter().filter(|other| **other != case.root) {
            let mut judged = case.load();
            judged.root = crate::common::json(&format!("roots/{other}.json"));
            assert!(judged.verify().is_err(), "{} at {other}", case.id);
        }
    }
}
