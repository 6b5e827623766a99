//! Bytes as a predicate of every known type: what is accepted is written and accepted again.
#![no_main]

use gauntlet_core::DigestSet;
use gauntlet_trust::statement::{KNOWN, ResourceDescriptor, Statement};
use gauntlet_trust::strict_json::{self, Bounds};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(value @ Value::Object(_)) = strict_json::from_slice::<Value>(data, &Bounds::RECORD) else { return };
    // The predicate of a whole statement, too.
    let inner = value.get("predicate").filter(|inner| inner.is_object()).cloned();
    for predicate in [Some(value), inner].into_iter().flatten() {
        for known in KNOWN {
            for kind in known.types {
                let subject = ResourceDescriptor::named("s", DigestSet::sha256_of(b"s"));
                let statement = Statement::new(vec![subject], kind, predicate.clone());
                if statement.check_known().is_ok() {
                    let bytes = statement.to_bytes().expect("what is accepted is written");
                    let again = Statement::parse(&bytes).expect("what we write is read");
                    assert!(again.check_known().is_ok_and(|found| found.is_some_and(|found| found.name == known.name)));
                }
            }
        }
    }
});
