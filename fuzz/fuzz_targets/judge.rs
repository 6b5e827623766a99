//! Bytes as a bundle of evidence, judged by a policy that believes nobody in it: never a pass.
#![no_main]

use gauntlet_core::{Verdict, parse_time};
use gauntlet_ledger::bundle::Bundle;
use gauntlet_ledger::judge::{Question, judge};
use gauntlet_trust::trust_policy::TrustPolicy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(bundle) = Bundle::parse(data) else { return };
    let key = "a".repeat(64);
    let text = format!("version: 1\nname: a\nfreshness: 1h\npeople: [{{id: a, name: A, keys: ['{key}']}}]\n");
    let policy = TrustPolicy::parse("trust.yaml", text.as_bytes(), &[]).expect("a policy");
    let at = parse_time("2026-01-31").expect("a date");
    let question = Question {
        policy: &policy,
        at,
        environment: None,
        subject: None,
        require: &[],
        keys: &[],
        logs: &[],
        packs: None,
    };
    assert_ne!(judge(&bundle, &question).verdict, Verdict::Pass);
});
