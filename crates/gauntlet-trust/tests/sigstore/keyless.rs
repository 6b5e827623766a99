//! Signing with an identity, against an instance of our own over HTTP.

use std::path::Path;

use gauntlet_core::Verdict;
use gauntlet_trust::oms::{self, OmsError, ReasonCode, SignOptions, SigstoreTrust, Trust, VerifyOptions};
use gauntlet_trust::sigstore::keyless::{IdentityToken, Keyless, Place};
use gauntlet_trust::sigstore::{Identity, TrustedRoot};

use crate::stand_in::{Fault, StandIn};

const ME: &str = "trainer@example.org";

fn token(text: String) -> IdentityToken {
    IdentityToken::from_environment("T", &move |_| Some(text.clone())).unwrap()
}

fn sign(instance: &StandIn, model: &Path, token: IdentityToken) -> Result<Vec<u8>, OmsError> {
    let place = || Place::parse(&instance.url()).unwrap();
    let keyless = Keyless::new(place(), place(), token);
    oms::sign_as(model, &keyless, &SignOptions::default()).map(|signed| signed.bundle)
}

fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("weights.bin"), b"weights").unwrap();
    std::fs::write(folder.path().join("config.json"), b"{}").unwrap();
    folder
}

fn verify(instance: &StandIn, model: &Path, bundle: &[u8], identity: &str, issuer: &str) -> oms::Verification {
    let root = TrustedRoot::parse(instance.trusted_root().to_string().as_bytes()).unwrap();
    let trust =
        SigstoreTrust { root, identity: Identity::exact(identity, issuer).unwrap(), at: jiff::Timestamp::now() };
    oms::verify(model, bundle, &Trust::Sigstore(Box::new(trust)), &VerifyOptions::default())
}

fn codes(found: &oms::Verification) -> Vec<ReasonCode> {
    let mut codes: Vec<ReasonCode> = found.reasons.iter().map(|reason| reason.code).collect();
    codes.sort();
    codes.dedup();
    codes
}

#[test]
fn what_an_identity_signed_verifies_as_that_identity_and_no_other() {
    for subject in [ME, "https://ci.example.org/pipelines/7"] {
        let instance = StandIn::start(subject, Fault::None);
        let model = model();
        let bundle = sign(&instance, model.path(), token(instance.token())).unwrap();
        let found = verify(&instance, model.path(), &bundle, subject, &instance.url());
        assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
        assert_eq!(found.identity.as_ref().map(|one| one.subject.as_str()), Some(subject));
        assert!(found.moment.is_some() && found.root_digest.is_some() && found.warnings.is_empty());

        let other = verify(&instance, model.path(), &bundle, "other@example.org", &instance.url());
        assert_eq!((other.verdict, codes(&other)), (Verdict::Fail, vec![ReasonCode::WrongIdentity]));
        let other = verify(&instance, model.path(), &bundle, subject, "https://accounts.example.org");
        assert_eq!((other.verdict, codes(&other)), (Verdict::Fail, vec![ReasonCode::WrongIssuer]));
        let another = StandIn::start(subject, Fault::None);
        let found = verify(&another, model.path(), &bundle, subject, &instance.url());
        assert_eq!(found.verdict, Verdict::Fail);

        std::fs::write(model.path().join("weights.bin"), b"weighty").unwrap();
        let changed = verify(&instance, model.path(), &bundle, subject, &instance.url());
        assert_eq!(codes(&changed), [ReasonCode::DigestMismatch]);
    }
}

#[test]
fn the_token_comes_from_a_ci_job_or_a_file_as_well() {
    let instance = StandIn::start(ME, Fault::None);
    let url = format!("{}/token?api-version=2.0", instance.url());
    let environment = move |name: &str| match name {
        "ACTIONS_ID_TOKEN_REQUEST_URL" => Some(url.clone()),
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN" => Some("job-secret".to_owned()),
        _ => None,
    };
    let model = model();
    sign(&instance, model.path(), IdentityToken::ambient(&environment).unwrap()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), instance.token() + "\n").unwrap();
    sign(&instance, model.path(), IdentityToken::from_file(file.path()).unwrap()).unwrap();
    let wrong = |name: &str| match name {
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN" => Some("guessed".to_owned()),
        name => environment(name),
    };
    let error = IdentityToken::ambient(&wrong).unwrap_err().to_string();
    assert!(error.contains("404") && !error.contains("guessed"), "{error}");
}

#[test]
fn a_token_that_is_not_accepted_signs_nothing_and_is_not_shown() {
    let instance = StandIn::start(ME, Fault::None);
    let foreign = StandIn::start(ME, Fault::None).token();
    let secret = foreign.rsplit('.').next().unwrap().to_owned();
    let error = sign(&instance, model().path(), token(foreign)).unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("not ours") && !error.contains(&secret), "{error}");
}

#[test]
fn answers_that_do_not_fit_are_refused_before_anything_is_written() {
    for (fault, expected) in [
        (Fault::OtherKey, "certificate for another key"),
        (Fault::OtherEntry, "another payload"),
        (Fault::Redirect, "307"),
    ] {
        let instance = StandIn::start(ME, fault);
        let error = sign(&instance, model().path(), token(instance.token())).unwrap_err().to_string();
        assert!(error.contains(expected), "{fault:?}: {error}");
    }
}

#[test]
fn an_instance_that_does_not_keep_its_word_is_found_by_its_trusted_root() {
    for (fault, expected) in [
        (Fault::NoCertificateLog, vec![ReasonCode::BadSct]),
        (Fault::OtherPromise, vec![ReasonCode::BadPromise, ReasonCode::NoTime]),
    ] {
        let instance = StandIn::start(ME, fault);
        let model = model();
        let bundle = sign(&instance, model.path(), token(instance.token())).unwrap();
        let found = verify(&instance, model.path(), &bundle, ME, &instance.url());
        assert_eq!((found.verdict, codes(&found)), (Verdict::Fail, expected), "{fault:?}");
    }
}

#[test]
fn nobody_there_is_an_error_with_the_address() {
    let place = || Place::parse("http://127.0.0.1:9").unwrap();
    let keyless = Keyless::new(place(), place(), token("a.b.c".to_owned()));
    let error = oms::sign_as(model().path(), &keyless, &SignOptions::default()).unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:9/api/v2/signingCert"), "{error}");
}
