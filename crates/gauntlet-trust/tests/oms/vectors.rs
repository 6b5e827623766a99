//! Every case of the interoperability vectors: verdict and reason code.

use gauntlet_core::Verdict;
use gauntlet_trust::oms::{self, CertificateTrust, HashType, Method, ReasonCode, Trust, Verification, VerifyOptions};
use gauntlet_trust::x509::{Certificate, Roots};
use serde_json::Value;

use crate::common::{apply, cases, copy_model, public_key, read};

fn judge(case: &Value, document: &Value) -> Verification {
    let (default_trust, clock) = (&document["default_trust"], &document["test_clock"]);
    let folder = tempfile::tempdir().unwrap();
    let bundle = read(case["bundle"].as_str().unwrap());
    let mut model = copy_model(case["model"].as_str().unwrap(), folder.path());
    for op in case["tree_ops"].as_array().into_iter().flatten() {
        model = apply(op, model, &bundle);
    }
    let trust = match case.get("trust").unwrap_or(default_trust) {
        keys if keys.get("public_key").is_some() => Trust::Keys(vec![public_key(keys["public_key"].as_str().unwrap())]),
        roots if roots.get("ca").is_some() => Trust::Certificates(certificates(roots, &case["options"], clock)),
        other => panic!("unknown trust {other}"),
    };
    let mut options = VerifyOptions::default();
    for (name, value) in case["options"].as_object().into_iter().flatten() {
        match name.as_str() {
            "signature_path" => options.signature_path = Some(model.join(value.as_str().unwrap())),
            "ignore_unsigned_files" => options.ignore_unsigned = value.as_bool().unwrap(),
            // Links follow what the signer allowed; the clock is read with the certificates, to which alone it matters.
            "allow_symlinks" | "now" => {}
            other => panic!("unknown option {other}"),
        }
    }
    oms::verify(&model, &bundle, &trust, &options)
}

/// The authorities of a case, at its moment or at that of the whole set.
fn certificates(trust: &Value, options: &Value, clock: &Value) -> CertificateTrust {
    let read = |name: &Value| Certificate::all_from_pem(&read(name.as_str().unwrap())).unwrap();
    let all: Vec<Certificate> = trust["ca"].as_array().unwrap().iter().flat_map(read).collect();
    let time = options.get("now").unwrap_or(clock).as_str().unwrap();
    CertificateTrust { roots: Roots::new(all).unwrap(), time_stamping: None, at: time.parse().unwrap(), known_at: None }
}

#[test]
fn every_case_has_the_expected_verdict_and_reason() {
    let document = cases();
    let (mut passed, mut wrong) = (0, Vec::new());
    for case in document["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let found = judge(case, &document);
        let codes: Vec<&str> = found.reasons.iter().map(|r| r.code.as_str()).collect();
        assert_eq!(found.verdict == Verdict::Pass, codes.is_empty(), "{id}: reasons exactly when it is no pass");
        let expected = case["expect"].as_str().unwrap();
        let also = case["also_acceptable"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let verdict_fits = also.chain([expected]).any(|verdict| verdict == found.verdict.as_str());
        let wanted = case["reason_any_of"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let reason_fits = found.verdict == Verdict::Pass || wanted.into_iter().any(|code| codes.contains(&code));
        if verdict_fits && reason_fits {
            passed += 1;
        } else {
            wrong.push(format!("{id}: expected {expected}, got {} {:?}", found.verdict, found.reasons));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(passed, 120);
}

#[test]
fn every_difference_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/tiny-llm", folder.path());
    std::fs::write(model.join("config.json"), "changed").unwrap();
    std::fs::remove_file(model.join("README.md")).unwrap();
    std::fs::write(model.join("a.py"), "x").unwrap();
    std::os::unix::fs::symlink("a.py", model.join("link")).unwrap();
    let trust = Trust::Keys(vec![public_key("keys/p256.pub.pem")]);
    let found = oms::verify(&model, &read("bundles/ref-key-p256.sig"), &trust, &VerifyOptions::default());
    let told: Vec<_> = found.reasons.iter().map(|r| (r.path.as_deref().unwrap(), r.code)).collect();
    assert_eq!(
        told,
        [
            ("README.md", ReasonCode::MissingFile),
            ("a.py", ReasonCode::UnexpectedFile),
            ("config.json", ReasonCode::DigestMismatch),
            ("link", ReasonCode::Symlink),
        ]
    );
    assert_eq!(found.signer, Some(public_key("keys/p256.pub.pem").key_id()));
}

#[test]
fn unsigned_things_are_listed() {
    let document = cases();
    let unsigned = |id: &str| {
        let all = document["cases"].as_array().unwrap();
        let case = all.iter().find(|case| case["id"] == id).unwrap();
        let found = judge(case, &document);
        found.unsigned.into_iter().map(|u| format!("{} {:?}", u.path, u.why)).collect::<Vec<_>>()
    };
    assert_eq!(unsigned("ignored-path-may-change"), ["README.md Ignored"]);
    assert_eq!(unsigned("ignore-unsigned-extra"), ["extra.py Allowed"]);
    assert_eq!(unsigned("sig-inside-model"), ["model.sig Signature"]);
    assert_eq!(unsigned("tree-shards-empty-file-added"), ["__init__.py Empty", "empty.bin Empty"]);
    let git = [".git Ignored", ".gitattributes Ignored", ".github Ignored", ".gitignore Ignored"];
    assert_eq!(unsigned("tree-ok-top-git-dir"), git);
}

#[test]
fn claims_are_read_from_bundles_of_any_method() {
    let key = oms::claims(&read("bundles/spec-shards-blake3.sig")).unwrap();
    assert_eq!((key.method, key.hash, key.sharded), (Method::Key, HashType::Blake3, true));
    assert!(key.files.contains(&"model.safetensors".to_owned()));
    let certificate = oms::claims(&read("bundles/ref-cert-chain.sig")).unwrap();
    assert_eq!((certificate.method, certificate.files.len()), (Method::Certificate, 8));
    let reasons = oms::claims(&read("bundles/bad-duplicate-resource.sig")).unwrap_err();
    assert_eq!(reasons[0].code, ReasonCode::Duplicate);
}
