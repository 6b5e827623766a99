//! Attestations as witness, cosign, GitHub and MLflow keep them.

use gauntlet_core::{Digest, DigestSet};
use gauntlet_trust::attestation::{
    AttestationError, Format, ReadError, SignedBy, SignerTrust, StatementVersion, read, read_tags,
};
use gauntlet_trust::dsse::{Envelope, IN_TOTO};
use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::sigstore::{Identity, Reason, TrustedRoot};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::common::{cases, encode, folder, json};

fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

/// What witness writes: a statement of version 0.1, and beside each signature a certificate and time stamps.
fn witness(key: &SigningKey) -> Value {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://witness.testifysec.com/attestation-collection/v0.1",
        "subject": [{ "name": "https://witness.dev/attestations/product/v0.1/file:model.bin", "digest": DigestSet::sha256_of(b"model") }],
        "predicate": { "name": "train", "attestations": [{ "type": "https://witness.dev/attestations/command-run/v0.1", "attestation": {} }] },
    });
    let envelope = Envelope::sign(IN_TOTO, statement.to_string().into_bytes(), &[key]).unwrap();
    let mut envelope: Value = serde_json::from_slice(&envelope.to_json()).unwrap();
    envelope["signatures"][0]["certificate"] = json!("");
    envelope["signatures"][0]["timestamps"] = json!([{ "type": "tsp", "data": "AAAA" }]);
    envelope
}

fn lines(all: &[Value]) -> Vec<u8> {
    all.iter().map(|one| format!("{one}\n")).collect::<String>().into_bytes()
}

fn keys(key: &SigningKey) -> SignerTrust {
    SignerTrust { keys: vec![key.verifying_key().clone()], sigstore: None }
}

/// One file of each kind: GitHub, witness, MLflow.
pub(crate) fn files() -> Vec<Vec<u8>> {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let tags = json!({ "digest": Digest::sha256(b"m").to_string(), "attestation": witness(&key).to_string() });
    vec![
        lines(&[json("bundles/provenance-v03.json"), json("bundles/slsa02-v01.json")]),
        lines(&[witness(&key), witness(&key)]),
        tags.to_string().into_bytes(),
    ]
}

#[test]
fn envelopes_of_witness_and_cosign_are_read_by_key() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let pretty = serde_json::to_vec_pretty(&witness(&key)).unwrap();
    for (file, count) in [(pretty, 1), (lines(&[witness(&key), witness(&key), witness(&key)]), 3)] {
        let found = read(&file).unwrap();
        assert_eq!(found.len(), count);
        for one in found {
            let held = one.verify(&keys(&key), now()).unwrap();
            assert_eq!((held.format, held.statement_version), (Format::Envelope, StatementVersion::V01));
            assert_eq!(held.signers, [SignedBy::Key { key_id: key.key_id() }]);
            assert!(held.statement.is_about(&DigestSet::sha256_of(b"model")));
            assert_eq!(held.statement.predicate.as_ref().unwrap()["name"], "train");
            let other = SigningKey::generate(KeyKind::P256).unwrap();
            assert!(matches!(one.verify(&keys(&other), now()), Err(AttestationError::Untrusted)));
        }
    }
}

#[test]
fn bundles_of_github_are_read_by_identity_one_a_line_or_as_its_interface_answers() {
    let case = cases().into_iter().find(|case| case.id == "provenance-v03").unwrap();
    let bundle = json("bundles/provenance-v03.json");
    let root = TrustedRoot::read(&folder().join("roots/public-good.json")).unwrap();
    let trust = |identity: &str| SignerTrust {
        keys: Vec::new(),
        sigstore: Some((root.clone(), vec![Identity::exact(identity, &case.issuer).unwrap()])),
    };
    let answer = json!({ "attestations": [{ "bundle": bundle, "repository_id": 1 }] }).to_string().into_bytes();
    for (file, count) in [(lines(&[bundle.clone(), bundle.clone()]), 2), (answer, 1)] {
        let found = read(&file).unwrap();
        assert_eq!(found.len(), count);
        let held = found[0].verify(&trust(&case.identity), now()).unwrap();
        assert_eq!((held.format, held.statement_version), (Format::SigstoreBundle, StatementVersion::V1));
        assert_eq!(held.statement.predicate_type, "https://slsa.dev/provenance/v1");
        let [SignedBy::Identity { identity, time: Some(_) }] = held.signers.as_slice() else {
            panic!("{:?}", held.signers)
        };
        assert_eq!(
            (identity.subject.as_str(), identity.issuer.as_str()),
            (case.identity.as_str(), case.issuer.as_str())
        );
        let refused = found[0].verify(&trust("somebody@example.org"), now());
        assert!(matches!(refused, Err(AttestationError::Sigstore(failures)) if failures.has(Reason::WrongIdentity)));
        assert!(matches!(found[0].verify(&SignerTrust::default(), now()), Err(AttestationError::NoIdentityTrusted)));
    }
}

#[test]
fn old_statements_of_npm_are_mapped() {
    let root = TrustedRoot::read(&folder().join("roots/public-good.json")).unwrap();
    let identity = Identity::matching("brian@.*", "https://github.com/login/oauth").unwrap();
    let trust = SignerTrust { keys: Vec::new(), sigstore: Some((root, vec![identity])) };
    let mut bundle = json("bundles/slsa02-v01.json");
    // It brings its issuers and root along, for which it is refused; nothing signs that list.
    let chain = bundle.pointer_mut("/verificationMaterial/x509CertificateChain/certificates").unwrap();
    assert!(read(&lines(&[json("bundles/slsa02-v01.json")])).is_err());
    chain.as_array_mut().unwrap().truncate(1);
    let held = read(&lines(&[bundle])).unwrap()[0].verify(&trust, now()).unwrap();
    assert_eq!(held.statement_version, StatementVersion::V01);
    assert_eq!(held.statement.subject[0].name.as_deref(), Some("slsa-provenance-0.0.7.tgz"));
    assert_eq!(held.statement.predicate_type, "https://slsa.dev/provenance/v0.2");
}

#[test]
fn tags_hold_attestations_and_digests() {
    let key = SigningKey::generate(KeyKind::P384).unwrap();
    let (digest, text) = (Digest::sha256(b"model"), witness(&key).to_string());
    let map = json!({
        "mlflow.user": "me", "gauntlet.digest": digest.to_string(), "a": text, "b": encode(text.as_bytes()),
        "mlflow.log-model.history": "[{\"artifact_path\": \"model\"}]", "note": "{\"x\": 1}",
    });
    let list: Vec<Value> = map.as_object().unwrap().iter().map(|(k, v)| json!({ "key": k, "value": v })).collect();
    for file in [map.clone(), json!(list), json!({ "tags": list })] {
        let tags = read_tags(file.to_string().as_bytes()).unwrap();
        assert_eq!(tags.digests.len(), 1);
        assert_eq!((tags.digests[0].tag.as_str(), &tags.digests[0].digest), ("gauntlet.digest", &digest));
        let names: Vec<&str> = tags.attestations.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        for (_, found) in &tags.attestations {
            found.verify(&keys(&key), now()).unwrap();
        }
    }
    let broken = json!({ "a": text.replace("\"payload\"", "\"paylord\"") });
    assert!(matches!(read_tags(broken.to_string().as_bytes()), Err(ReadError::Tag { name, .. }) if name == "a"));
    let twice = json!([{ "key": "a", "value": "1" }, { "key": "a", "value": "2" }]);
    assert!(matches!(read_tags(twice.to_string().as_bytes()), Err(ReadError::Tag { .. })));
}

#[test]
fn one_broken_line_breaks_the_file() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let good = witness(&key).to_string();
    let refused =
        |text: String| read(text.as_bytes()).err().map(|error| error.to_string()).unwrap_or_else(|| panic!("{text}"));
    assert!(refused(format!("{good}\n{{}}\n")).starts_with("attestation 2:"));
    assert!(refused(format!("{good}\n{}\n", &good[..40])).starts_with("attestation 2:"));
    assert!(
        refused(format!("{good}\n{}\n", good.replace("DSSE", "x").replace("payload\"", "payload\\u0054ype\"")))
            .contains("attestation 2")
    );
    for nothing in ["", "\n\n", "{}", "[]", "{\"attestations\":[]}", "null"] {
        refused(nothing.to_owned());
    }
    let both = good.replacen('{', "{\"verificationMaterial\":{},", 1);
    assert!(refused(both).contains("at once"));
}

#[test]
fn what_is_signed_and_no_statement_is_no_evidence() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let envelope = Envelope::sign("text/plain", b"hello".to_vec(), &[&key]).unwrap();
    let found = read(&envelope.to_json()).unwrap();
    assert!(matches!(found[0].verify(&keys(&key), now()), Err(AttestationError::Statement(_))));
    let envelope =
        Envelope::sign(IN_TOTO, b"{\"_type\":\"https://in-toto.io/Statement/v1\"}".to_vec(), &[&key]).unwrap();
    let found = read(&envelope.to_json()).unwrap();
    assert!(matches!(found[0].verify(&keys(&key), now()), Err(AttestationError::Statement(_))));
}
