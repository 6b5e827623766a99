//! Bytes as an envelope, as a statement and as a model signature: what is read is written back unchanged.
#![no_main]

use gauntlet_trust::{dsse::Envelope, oms, statement::Statement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::parse(data) {
        assert_eq!(Envelope::parse(&envelope.to_json()).expect("what we write is read"), envelope);
        statement(envelope.unverified_payload());
    }
    statement(data);
    let _ = oms::claims(data);
});

fn statement(payload: &[u8]) {
    if let Ok(statement) = Statement::parse(payload)
        && let Ok(bytes) = statement.to_bytes()
    {
        let again = Statement::parse(&bytes).expect("what we write is read");
        assert_eq!(again.to_bytes().expect("what we read is written"), bytes, "writing twice differs");
    }
}
