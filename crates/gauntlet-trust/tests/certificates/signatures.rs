//! Model signatures by certificate, with and without time stamps.

use std::fs;
use std::path::PathBuf;

use gauntlet_core::Verdict;
use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::oms::{
    self, CertificateEndorser, CertificateTrust, MomentBy, OmsError, ReasonCode, SignOptions, TimeStamped, Trust,
    Verification, VerifyOptions,
};
use gauntlet_trust::timestamp::{Authorities, TimeStampError};
use gauntlet_trust::x509::Certificate;
use jiff::Timestamp;
use rcgen::{CertificateParams, KeyUsagePurpose, date_time_ymd};
use serde_json::Value;

use crate::pki::{Authority, at, code_signing, roots};
use crate::tsa::{Tsa, Twist};

struct Model {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn model() -> Model {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("weights.bin"), [7; 5000]).unwrap();
    Model { _folder: folder, path }
}

fn trust(root: &Authority, time: Timestamp) -> CertificateTrust {
    CertificateTrust { roots: roots(&[root]), time_stamping: None, at: time, known_at: None }
}

fn verify(model: &Model, bundle: &[u8], trust: CertificateTrust) -> Verification {
    oms::verify(&model.path, bundle, &Trust::Certificates(trust), &VerifyOptions::default())
}

fn codes(found: &Verification) -> Vec<ReasonCode> {
    found.reasons.iter().map(|reason| reason.code).collect()
}

fn sign(model: &Model, key: &SigningKey, certificates: Vec<Certificate>) -> Vec<u8> {
    let endorser = CertificateEndorser::new(key, certificates).unwrap();
    oms::sign_as(&model.path, &endorser, &SignOptions::default()).unwrap().bundle
}

#[test]
fn what_is_signed_by_certificate_verifies_until_anything_changes() {
    let model = model();
    let root = Authority::root("root", |_| {});
    let between = root.below("between", |_| {});
    for kind in [KeyKind::P256, KeyKind::P384] {
        let key = SigningKey::generate(kind).unwrap();
        let leaf = between.certify_key("signer", &key, code_signing);
        let bundle = sign(&model, &key, vec![leaf.clone(), between.certificate.clone(), root.certificate.clone()]);
        assert_eq!(bundle, sign(&model, &key, vec![leaf.clone(), between.certificate.clone()]), "no root, same bytes");
        let written: Value = serde_json::from_slice(&bundle).unwrap();
        let chain = written["verificationMaterial"]["x509CertificateChain"]["certificates"].as_array().unwrap();
        assert_eq!(chain.len(), 2);
        let found = verify(&model, &bundle, trust(&root, at("2030-01-01")));
        assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
        assert_eq!(found.signer, Some(key.key_id()));
        let certificate = found.certificate.unwrap();
        assert_eq!((certificate.subject.as_str(), certificate.authority.as_str()), ("CN=signer", "CN=root"));
        let late = verify(&model, &bundle, trust(&root, at("2041-01-01")));
        assert_eq!((late.verdict, codes(&late)), (Verdict::Fail, vec![ReasonCode::Expired]));
        let early = verify(&model, &bundle, trust(&root, at("2019-01-01")));
        assert_eq!(codes(&early), [ReasonCode::NotYetValid]);
        let other = verify(&model, &bundle, trust(&Authority::root("root", |_| {}), at("2030-01-01")));
        assert_eq!(codes(&other), [ReasonCode::UntrustedChain]);
        assert!(other.certificate.is_none() && other.signer.is_none());
        // A bare key does not stand for a certificate, nor the other way round.
        let keys = Trust::Keys(vec![key.verifying_key().clone()]);
        let found = oms::verify(&model.path, &bundle, &keys, &VerifyOptions::default());
        assert_eq!(codes(&found), [ReasonCode::WrongMethod]);
        let both = [keys, Trust::Certificates(trust(&root, at("2030-01-01")))];
        let found = oms::verify_any(&model.path, &bundle, &both, &VerifyOptions::default());
        assert_eq!(found.verdict, Verdict::Pass);
        fs::write(model.path.join("weights.bin"), "changed").unwrap();
        let changed = verify(&model, &bundle, trust(&root, at("2030-01-01")));
        assert!(codes(&changed).contains(&ReasonCode::DigestMismatch));
        fs::write(model.path.join("weights.bin"), [7; 5000]).unwrap();
    }
}

#[test]
fn a_certificate_of_another_key_or_for_something_else_signs_nothing() {
    let root = Authority::root("root", |_| {});
    let (leaf, key) = root.leaf("signer", |_| {});
    let (other, _) = root.leaf("other", |_| {});
    assert!(matches!(CertificateEndorser::new(&key, vec![other.clone()]), Err(OmsError::OtherCertificate { .. })));
    assert!(matches!(CertificateEndorser::new(&key, Vec::new()), Err(OmsError::Certificate(_))));
    let encipher = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let unfit = root.certify_key("unfit", &key, encipher);
    assert!(matches!(CertificateEndorser::new(&key, vec![unfit]), Err(OmsError::Certificate(_))));
    // Put together by hand, both are seen.
    let model = model();
    let bundle = sign(&model, &key, vec![leaf.clone()]);
    let swapped = with_certificates(&bundle, &[&other]);
    let found = verify(&model, &swapped, trust(&root, at("2030-01-01")));
    assert_eq!((found.verdict, codes(&found)), (Verdict::Fail, vec![ReasonCode::BadSignature]));
    assert!(found.certificate.is_none() && found.signer.is_none(), "nobody is named who did not sign");
    let unfit = root.certify_key("unfit", &key, encipher);
    let found = verify(&model, &with_certificates(&bundle, &[&unfit]), trust(&root, at("2030-01-01")));
    assert_eq!(codes(&found), [ReasonCode::KeyUsage]);
    assert_eq!(
        codes(&verify(&model, &with_certificates(&bundle, &[]), trust(&root, at("2030-01-01")))),
        [ReasonCode::Malformed]
    );
    let crowd: Vec<&Certificate> = std::iter::once(&leaf).chain(std::iter::repeat_n(&root.certificate, 20)).collect();
    let found = verify(&model, &with_certificates(&bundle, &crowd), trust(&root, at("2030-01-01")));
    assert_eq!(codes(&found), [ReasonCode::Malformed]);
    let edwards = SigningKey::generate(KeyKind::Ed25519).unwrap();
    let certificate = root.certify_key("edwards", &edwards, |_| {});
    let endorser = CertificateEndorser::new(&edwards, vec![certificate]).unwrap();
    let error = oms::sign_as(&model.path, &endorser, &SignOptions::default()).unwrap_err();
    assert!(matches!(error, OmsError::KeyKind("ed25519")));
}

fn with_certificates(bundle: &[u8], certificates: &[&Certificate]) -> Vec<u8> {
    use base64::Engine as _;
    let mut bundle: Value = serde_json::from_slice(bundle).unwrap();
    let raw = |one: &&Certificate| serde_json::json!({"rawBytes": base64::engine::general_purpose::STANDARD.encode(one.der())});
    bundle["verificationMaterial"]["x509CertificateChain"]["certificates"] = certificates.iter().map(raw).collect();
    serde_json::to_vec(&bundle).unwrap()
}

/// A signer whose certificate holds for the year 2027 only.
fn short_lived(root: &Authority) -> (Certificate, SigningKey) {
    root.leaf("signer", |params| {
        params.not_before = date_time_ymd(2027, 1, 1);
        params.not_after = date_time_ymd(2028, 1, 1);
    })
}

fn stamped(model: &Model, key: &SigningKey, leaf: &Certificate, tsa: &Tsa, time: &str, twist: Twist) -> Vec<u8> {
    let endorser = CertificateEndorser::new(key, vec![leaf.clone()]).unwrap();
    let stamp = |signature: &[u8]| Ok(tsa.answer(signature, time, None, twist));
    let endorser = TimeStamped { endorser: &endorser, stamp: &stamp };
    oms::sign_as(&model.path, &endorser, &SignOptions::default()).unwrap().bundle
}

#[test]
fn a_time_stamp_lets_a_signature_outlive_its_certificate() {
    let model = model();
    let (root, stamps) = (Authority::root("root", |_| {}), Authority::root("stamps", |_| {}));
    let (leaf, key) = short_lived(&root);
    let tsa = Tsa::new(&stamps);
    let authorities = Authorities::new(vec![stamps.certificate.clone()]).unwrap();
    let judge = |bundle: &[u8], time: &str, known: bool| {
        let time_stamping = known.then(|| authorities.clone());
        verify(&model, bundle, CertificateTrust { time_stamping, ..trust(&root, at(time)) })
    };
    let good = stamped(&model, &key, &leaf, &tsa, "20270601000000Z", Twist::None);
    let found = judge(&good, "2030-01-01", true);
    assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
    let moment = found.moment.unwrap();
    assert_eq!((moment.time, moment.by), (at("2027-06-01"), MomentBy::TimeStamp("CN=stamper".to_owned())));
    // Not believed under nobody: expired, and the person is told what to do.
    let found = judge(&good, "2030-01-01", false);
    assert_eq!(codes(&found), [ReasonCode::Expired]);
    assert!(found.reasons[0].message.contains("no time stamping authority is trusted"), "{:?}", found.reasons);
    let expired = |bundle: &[u8]| {
        let found = judge(bundle, "2030-01-01", true);
        assert_eq!((found.verdict, codes(&found)), (Verdict::Fail, vec![ReasonCode::Expired]));
        found
    };
    expired(&stamped(&model, &key, &leaf, &tsa, "20280601000000Z", Twist::None));
    let found = expired(&stamped(&model, &key, &leaf, &tsa, "20270601000000Z", Twist::BadSignature));
    assert!(found.warnings[0].contains("does not count"), "{:?}", found.warnings);
    expired(&stamped(
        &model,
        &key,
        &leaf,
        &Tsa::new(&Authority::root("stamps", |_| {})),
        "20270601000000Z",
        Twist::None,
    ));
    // A stamp from after the judging moment cannot be there yet.
    let found = judge(&stamped(&model, &key, &leaf, &tsa, "20270601000000Z", Twist::None), "2026-01-01", true);
    assert_eq!(codes(&found), [ReasonCode::NotYetValid]);
    assert!(found.warnings[0].contains("future"), "{:?}", found.warnings);
    // A stamp that was taken over another signature.
    let elsewhere = self::model();
    fs::write(elsewhere.path.join("weights.bin"), "another model").unwrap();
    let other = stamped(&elsewhere, &key, &leaf, &tsa, "20270601000000Z", Twist::None);
    let plain = stamped(&model, &key, &leaf, &tsa, "20290601000000Z", Twist::None);
    let (mut one, two): (Value, Value) =
        (serde_json::from_slice(&plain).unwrap(), serde_json::from_slice(&other).unwrap());
    one["verificationMaterial"]["timestampVerificationData"] =
        two["verificationMaterial"]["timestampVerificationData"].clone();
    let found = expired(&serde_json::to_vec(&one).unwrap());
    assert!(found.warnings[0].contains("over something else"), "{:?}", found.warnings);
    // While the certificate is valid, a stamp is not needed, and a bad one is told.
    let found = judge(&stamped(&model, &key, &leaf, &tsa, "20270601000000Z", Twist::NoDigest), "2027-07-01", true);
    assert_eq!((found.verdict, found.warnings.len()), (Verdict::Pass, 1));
}

#[test]
fn a_witness_may_know_the_moment_too() {
    let model = model();
    let root = Authority::root("root", |_| {});
    let (leaf, key) = short_lived(&root);
    let bundle = sign(&model, &key, vec![leaf]);
    let judge = |known: &str, time: &str| {
        let known_at = Some(at(known));
        verify(&model, &bundle, CertificateTrust { known_at, ..trust(&root, at(time)) })
    };
    let found = judge("2027-06-01", "2030-01-01");
    assert_eq!((found.verdict, found.moment.unwrap().by), (Verdict::Pass, MomentBy::Witness));
    assert_eq!(codes(&judge("2029-06-01", "2030-01-01")), [ReasonCode::Expired]);
    assert_eq!(codes(&judge("2027-06-01", "2026-01-01")), [ReasonCode::NotYetValid]);
}

#[test]
fn without_a_time_stamp_nothing_is_signed_when_one_was_wanted() {
    let model = model();
    let root = Authority::root("root", |_| {});
    let (leaf, key) = root.leaf("signer", |_| {});
    let endorser = CertificateEndorser::new(&key, vec![leaf]).unwrap();
    let stamp = |_: &[u8]| Err(TimeStampError::Refused("closed".to_owned()));
    let endorser = TimeStamped { endorser: &endorser, stamp: &stamp };
    let error = oms::sign_as(&model.path, &endorser, &SignOptions::default()).unwrap_err();
    assert!(matches!(error, OmsError::TimeStamp(_)), "{error}");
}

#[test]
fn odd_time_stamp_members_are_malformed_not_ignored() {
    let model = model();
    let root = Authority::root("root", |_| {});
    let (leaf, key) = root.leaf("signer", |_| {});
    let bundle = sign(&model, &key, vec![leaf]);
    let with = |data: Value| {
        let mut bundle: Value = serde_json::from_slice(&bundle).unwrap();
        bundle["verificationMaterial"]["timestampVerificationData"] = data;
        codes(&verify(&model, &serde_json::to_vec(&bundle).unwrap(), trust(&root, at("2030-01-01"))))
    };
    use serde_json::json;
    assert_eq!(with(json!({})), []);
    assert_eq!(with(json!(null)), []);
    assert_eq!(with(json!({"rfc3161Timestamps": []})), []);
    assert_eq!(with(json!({"rfc3161Timestamps": [{"signedTimestamp": "?"}]})), [ReasonCode::Malformed]);
    assert_eq!(with(json!({"rfc3161Timestamps": [{}]})), [ReasonCode::Malformed]);
    let many: Vec<Value> = (0..9).map(|_| json!({"signedTimestamp": "AA=="})).collect();
    assert_eq!(with(json!({"rfc3161Timestamps": many})), [ReasonCode::Malformed]);
}
