//! For every genuine bundle that holds: one twin for each part, broken, which has to fail for the right reason.

use gauntlet_trust::sigstore::Reason;
use serde_json::{Value, json};

use crate::common::{Case, Judged, cases, decode, encode};

/// The genuine bundles that hold and have what is at `pointer`.
fn with(pointer: &str) -> Vec<(Case, Judged)> {
    let all = cases().into_iter().filter(|case| case.reasons.is_empty()).map(|case| (case.clone(), case.load()));
    let some: Vec<_> = all.filter(|(_, judged)| judged.bundle.pointer(pointer).is_some()).collect();
    assert!(!some.is_empty(), "no genuine bundle has {pointer}");
    some
}

fn text<'v>(value: &'v mut Value, pointer: &str) -> &'v mut Value {
    value.pointer_mut(pointer).unwrap()
}

/// Flips one bit of the last byte but `back` of the base64 at `pointer`.
fn flip(value: &mut Value, pointer: &str, back: usize) {
    let place = text(value, pointer);
    let mut bytes = decode(place.as_str().unwrap());
    let at = bytes.len() - 1 - back;
    bytes[at] ^= 1;
    *place = json!(encode(&bytes));
}

fn expect(case: &Case, judged: &Judged, what: &str, reason: Reason) {
    match judged.verify() {
        Err(reasons) => assert!(reasons.contains(&reason), "{} {what}: {reasons:?}", case.id),
        Ok(_) => panic!("{} holds with a broken {what}", case.id),
    }
}

/// Nothing else may be wrong, so that the check in question is shown to bear its weight alone.
fn expect_only(case: &Case, judged: &Judged, what: &str, reason: Reason) {
    assert_eq!(judged.verify(), Err(vec![reason]), "{} {what}", case.id);
}

#[test]
fn signatures() {
    for pointer in ["/messageSignature/signature", "/dsseEnvelope/signatures/0/sig"] {
        for (case, mut judged) in with(pointer) {
            flip(&mut judged.bundle, pointer, 0);
            expect(&case, &judged, "signature", Reason::BadSignature);
        }
    }
}

#[test]
fn payloads() {
    for (case, mut judged) in with("/dsseEnvelope/payload") {
        let place = text(&mut judged.bundle, "/dsseEnvelope/payload");
        let payload = String::from_utf8(decode(place.as_str().unwrap())).unwrap();
        *place = json!(encode(payload.replacen("sha", "sHa", 1).as_bytes()));
        judged.artifact = None;
        expect(&case, &judged, "payload", Reason::BadSignature);
    }
}

#[test]
fn certificates() {
    for pointer in [
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/x509CertificateChain/certificates/0/rawBytes",
    ] {
        for (case, mut judged) in with(pointer) {
            // The end of a certificate is its issuer's signature.
            flip(&mut judged.bundle, pointer, 0);
            expect(&case, &judged, "certificate", Reason::UntrustedChain);
        }
    }
}

#[test]
fn certificates_of_somebody_else() {
    let all = with("/verificationMaterial/certificate/rawBytes");
    for (case, judged) in &all {
        for (other, from) in all.iter().filter(|(other, _)| other.root == case.root && other.identity != case.identity)
        {
            let mut judged = judged.clone();
            judged.bundle["verificationMaterial"]["certificate"] =
                from.bundle["verificationMaterial"]["certificate"].clone();
            (judged.identity, judged.issuer) = (from.identity.clone(), from.issuer.clone());
            expect(case, &judged, &format!("certificate of {}", other.id), Reason::BadSignature);
            expect(
                case,
                &judged,
                &format!("certificate of {}", other.id),
                match case.root.as_str() {
                    "github" => Reason::BadSignature,
                    _ => Reason::LogEntryMismatch,
                },
            );
        }
    }
}

#[test]
fn log_entries_of_somebody_else() {
    let pointer = "/verificationMaterial/tlogEntries/0";
    let all = with(pointer);
    for (case, judged) in &all {
        for (other, from) in all.iter().filter(|(other, _)| other.root == case.root && other.id != case.id) {
            let mut judged = judged.clone();
            *text(&mut judged.bundle, pointer) = from.bundle.pointer(pointer).unwrap().clone();
            let what = format!("entry of {}", other.id);
            match judged.verify() {
                // An entry of another kind cannot be about this content at all.
                Err(reasons) if reasons.contains(&Reason::Unsupported) => {}
                _ => expect(case, &judged, &what, Reason::LogEntryMismatch),
            }
        }
    }
}

#[test]
fn log_entries_with_another_body() {
    let pointer = "/verificationMaterial/tlogEntries/0/canonicalizedBody";
    for (case, mut judged) in with(pointer) {
        let place = text(&mut judged.bundle, pointer);
        let body = String::from_utf8(decode(place.as_str().unwrap())).unwrap();
        // A member that no reader looks at: what is logged stays the same, the bytes that are in the tree do not.
        *place = json!(encode(body.replacen('{', r#"{"x":1,"#, 1).as_bytes()));
        let proven = judged.bundle.pointer("/verificationMaterial/tlogEntries/0/inclusionProof").is_some();
        expect(&case, &judged, "body", if proven { Reason::BadInclusionProof } else { Reason::BadPromise });
    }
}

#[test]
fn missing_log_entries() {
    for (case, mut judged) in with("/verificationMaterial/tlogEntries/0") {
        judged.bundle["verificationMaterial"]["tlogEntries"] = json!([]);
        expect(&case, &judged, "log", Reason::NoLogEntry);
    }
}

#[test]
fn promises() {
    let pointer = "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp";
    for (case, judged) in with(pointer) {
        let mut broken = judged.clone();
        flip(&mut broken.bundle, pointer, 0);
        expect(&case, &broken, "promise", Reason::BadPromise);
        let mut earlier = judged.clone();
        let time = text(&mut earlier.bundle, "/verificationMaterial/tlogEntries/0/integratedTime");
        let seconds: i64 = time.as_str().unwrap().parse().unwrap();
        *time = json!((seconds - 1).to_string());
        expect(&case, &earlier, "promised time", Reason::BadPromise);
        let mut absent = judged;
        absent.bundle["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"] = Value::Null;
        match &case.key {
            None if absent.bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
                .is_null() =>
            {
                expect(&case, &absent, "absent promise", Reason::NoTime);
            }
            // The proof and a time stamp, or a key that does not end, carry the rest.
            _ => {}
        }
    }
}

#[test]
fn proofs() {
    let pointer = "/verificationMaterial/tlogEntries/0/inclusionProof";
    for (case, judged) in with(&format!("{pointer}/hashes/0")) {
        let mut hash = judged.clone();
        flip(&mut hash.bundle, &format!("{pointer}/hashes/0"), 3);
        expect_only(&case, &hash, "proof hash", Reason::BadInclusionProof);
        let mut shorter = judged.clone();
        text(&mut shorter.bundle, &format!("{pointer}/hashes")).as_array_mut().unwrap().pop();
        expect_only(&case, &shorter, "proof length", Reason::BadInclusionProof);
        let mut root = judged.clone();
        flip(&mut root.bundle, &format!("{pointer}/rootHash"), 0);
        expect(&case, &root, "root", Reason::BadCheckpoint);
        let mut absent = judged;
        *text(&mut absent.bundle, pointer) = Value::Null;
        match absent.bundle["mediaType"].as_str().unwrap().ends_with("version=0.1") {
            // The first version does with a promise.
            true => assert!(absent.verify().is_ok(), "{}", case.id),
            false => expect_only(&case, &absent, "absent proof", Reason::BadInclusionProof),
        }
    }
}

#[test]
fn checkpoints() {
    let pointer = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
    for (case, judged) in with(pointer) {
        let note = judged.bundle.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let (body, lines) = note.split_once("\n\n").unwrap();
        let broken_lines: String = lines
            .lines()
            .map(|line| {
                let (name, signature) = line.rsplit_once(' ').unwrap();
                let mut bytes = decode(signature);
                let at = bytes.len() - 1;
                bytes[at] ^= 1;
                format!("{name} {}\n", encode(&bytes))
            })
            .collect();
        for (what, broken) in [
            ("checkpoint signature", format!("{body}\n\n{broken_lines}")),
            ("checkpoint text", format!("{body}\nmore\n\n{lines}")),
            ("checkpoint origin", format!("x{note}")),
        ] {
            let mut judged = judged.clone();
            *text(&mut judged.bundle, pointer) = json!(broken);
            expect_only(&case, &judged, what, Reason::BadCheckpoint);
        }
        let mut absent = judged;
        *text(&mut absent.bundle, pointer) = json!("");
        expect_only(&case, &absent, "absent checkpoint", Reason::BadCheckpoint);
    }
}

#[test]
fn time_stamps() {
    let pointer = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    for (case, mut judged) in with(pointer) {
        let other_clock = judged.bundle.pointer("/verificationMaterial/tlogEntries/0/inclusionPromise").is_some();
        flip(&mut judged.bundle, pointer, 0);
        match other_clock || case.key.is_some() {
            true => assert!(judged.verify().is_ok(), "{}: the log's time is enough", case.id),
            false => expect_only(&case, &judged, "time stamp", Reason::NoTime),
        }
    }
}

#[test]
fn certificate_logs() {
    for (case, judged) in
        with("/verificationMaterial").iter().filter(|(case, _)| case.key.is_none() && case.root != "github")
    {
        let logs = judged.root["ctlogs"].as_array().unwrap().len();
        let (mut key, mut id, mut window) = (judged.clone(), judged.clone(), judged.clone());
        for i in 0..logs {
            // A log that bears the name of the genuine one, with a key that is another log's.
            key.root["ctlogs"][i]["publicKey"] = json!({
                "rawBytes": judged.root["tlogs"][0]["publicKey"]["rawBytes"],
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": judged.root["ctlogs"][i]["publicKey"]["validFor"],
            });
            flip(&mut id.root, &format!("/ctlogs/{i}/logId/keyId"), 0);
            window.root["ctlogs"][i]["publicKey"]["validFor"] =
                json!({ "start": "2001-01-01T00:00:00Z", "end": "2001-01-02T00:00:00Z" });
        }
        expect_only(case, &key, "key of the certificate log", Reason::BadSct);
        expect_only(case, &id, "name of the certificate log", Reason::BadSct);
        expect_only(case, &window, "time of the certificate log", Reason::BadSct);
    }
}

#[test]
fn times_of_logs_and_authorities() {
    let past = json!({ "start": "2001-01-01T00:00:00Z", "end": "2001-01-02T00:00:00Z" });
    for (case, judged) in with("/verificationMaterial/tlogEntries/0") {
        let mut logs = judged.clone();
        for i in 0..judged.root["tlogs"].as_array().unwrap().len() {
            logs.root["tlogs"][i]["publicKey"]["validFor"] = past.clone();
        }
        expect(&case, &logs, "time of the log", Reason::UnknownLog);
        if case.key.is_some() {
            continue;
        }
        let mut authorities = judged.clone();
        for i in 0..judged.root["certificateAuthorities"].as_array().unwrap().len() {
            authorities.root["certificateAuthorities"][i]["validFor"] = past.clone();
        }
        expect_only(&case, &authorities, "time of the authority", Reason::UntrustedChain);
        let mut early = judged;
        early.at = "2020-01-01T00:00:00Z".parse().unwrap();
        expect_only(&case, &early, "clock", Reason::NoTime);
    }
}

#[test]
fn identities_and_issuers() {
    for (case, judged) in with("/verificationMaterial").iter().filter(|(case, _)| case.key.is_none()) {
        let mut identity = judged.clone();
        identity.identity.push('x');
        expect_only(case, &identity, "identity", Reason::WrongIdentity);
        let mut issuer = judged.clone();
        issuer.issuer.push('/');
        expect_only(case, &issuer, "issuer", Reason::WrongIssuer);
    }
}

#[test]
fn artifacts() {
    for (case, mut judged) in with("/verificationMaterial") {
        let Some(artifact) = &mut judged.artifact else { continue };
        artifact.push(b'\n');
        expect(&case, &judged, "artifact", Reason::WrongArtifact);
    }
}

#[test]
fn another_key() {
    for (case, mut judged) in with("/verificationMaterial/publicKey") {
        let other = gauntlet_trust::keys::SigningKey::generate(gauntlet_trust::keys::KeyKind::P256).unwrap();
        judged.key = Some(other.verifying_key().clone());
        expect(&case, &judged, "key", Reason::BadSignature);
        expect(&case, &judged, "key", Reason::LogEntryMismatch);
    }
}

#[test]
fn a_trusted_root_that_cannot_be_read_is_no_trusted_root() {
    use gauntlet_trust::sigstore::TrustedRoot;
    let good = crate::common::json("roots/public-good.json");
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut root = good.clone();
        change(&mut root);
        TrustedRoot::parse(root.to_string().as_bytes()).unwrap_err().to_string()
    };
    assert!(refused(&|r| r["mediaType"] = json!("text/plain")).contains("media type"));
    assert!(
        refused(&|r| r["tlogs"][0]["publicKey"]["validFor"] = json!({ "end": "2030-01-01T00:00:00Z" }))
            .contains("no `start`")
    );
    assert!(refused(&|r| r["tlogs"][1]["publicKey"]["validFor"] = Value::Null).contains("tlogs[1]"));
    assert!(refused(&|r| r["tlogs"][0]["hashAlgorithm"] = json!("SHA2_512")).contains("SHA2_512"));
    assert!(
        refused(&|r| flip(r, "/certificateAuthorities/0/certChain/certificates/0/rawBytes", 500))
            .contains("certificateAuthorities[0]")
    );
    assert!(refused(&|r| r["ctlogs"][0]["publicKey"]["rawBytes"] = json!("AAAA")).contains("ctlogs[0]"));
    assert!(
        refused(&|r| r["ctlogs"][0]["publicKey"]["validFor"] =
            json!({ "start": "2030-01-01T00:00:00Z", "end": "2001-01-01T00:00:00Z" }))
        .contains("ends before")
    );
    assert!(
        refused(&|r| {
            r["tlogs"] = json!([]);
            r["timestampAuthorities"] = json!([]);
        })
        .contains("when a signature was made")
    );
}
