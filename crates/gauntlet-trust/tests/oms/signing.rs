//! The signing direction: what we write, we and the format accept, and every change of the tree is seen.

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use gauntlet_core::Verdict;
use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::oms::{self, HashType, OmsError, ReasonCode, Serialization, SignOptions, Trust, VerifyOptions};
use serde_json::Value;

use crate::common::{apply, cases, copy_model, private_key};

fn trust(key: &SigningKey) -> Trust {
    Trust::Keys(vec![key.verifying_key().clone()])
}

fn options(hash: HashType, shard: Option<u64>) -> SignOptions {
    let shards = shard.and_then(NonZeroU64::new).map(Serialization::Shards);
    SignOptions { hash, serialization: shards.unwrap_or_default(), ..SignOptions::default() }
}

fn variants() -> Vec<SignOptions> {
    let hashes = [HashType::Sha256, HashType::Blake2b, HashType::Blake3];
    hashes.into_iter().flat_map(|hash| [options(hash, None), options(hash, Some(1000))]).collect()
}

fn payload(bundle: &[u8]) -> Value {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    let envelope = serde_json::to_vec(&bundle["dsseEnvelope"]).unwrap();
    serde_json::from_slice(gauntlet_trust::dsse::Envelope::parse(&envelope).unwrap().unverified_payload()).unwrap()
}

#[test]
fn every_key_hash_and_serialization_verifies_and_repeats() {
    for name in ["p256", "p384", "p521"] {
        let key = private_key(&format!("keys/{name}.key.pem"));
        for model in ["models/tiny-llm", "models/mini", "models/weights.gguf"] {
            let folder = tempfile::tempdir().unwrap();
            let model = copy_model(model, folder.path());
            for options in variants() {
                let signed = oms::sign(&model, &key, &options).unwrap();
                assert_eq!(signed.bundle, oms::sign(&model, &key, &options).unwrap().bundle, "the same bytes again");
                let found = oms::verify(&model, &signed.bundle, &trust(&key), &VerifyOptions::default());
                assert_eq!(found.verdict, Verdict::Pass, "{options:?}: {:?}", found.reasons);
                assert_eq!((found.root_digest, found.bytes), (Some(signed.root_digest), signed.bytes));
            }
        }
    }
}

#[test]
fn every_change_of_the_tree_that_the_vectors_know_is_seen() {
    let document = cases();
    let key = private_key("keys/p256.key.pem");
    let mut judged = 0;
    for case in document["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        if !id.starts_with("tree-") || id.contains("-empty-file-added") {
            continue;
        }
        for options in variants() {
            // Sharded signatures do not cover empty files, by their format.
            if options.serialization != Serialization::Files && id == "tree-added-empty-file" {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let mut model = copy_model(case["model"].as_str().unwrap(), folder.path());
            let signed = oms::sign(&model, &key, &options).unwrap();
            for op in case["tree_ops"].as_array().unwrap() {
                model = apply(op, model, &signed.bundle);
            }
            let found = oms::verify(&model, &signed.bundle, &trust(&key), &VerifyOptions::default());
            let expected = if id.starts_with("tree-ok-") { Verdict::Pass } else { Verdict::Fail };
            assert_eq!(found.verdict, expected, "{id} {options:?}: {:?}", found.reasons);
            judged += 1;
        }
    }
    assert!(judged > 200, "only {judged} combinations");
}

#[test]
fn the_payload_is_what_the_format_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/tiny-llm", folder.path());
    let signature = oms::default_signature_path(&model);
    assert_eq!(signature, model.join("model.sig"));
    let key = private_key("keys/p256.key.pem");
    let options = SignOptions {
        ignore: vec!["tokenizer".to_owned()],
        signature_path: Some(signature.clone()),
        ..SignOptions::default()
    };
    let signed = oms::sign(&model, &key, &options).unwrap();
    let payload = payload(&signed.bundle);
    assert_eq!(payload["subject"][0]["name"], "tiny-llm");
    let predicate = &payload["predicate"];
    let names: Vec<&str> =
        predicate["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    let expected = [
        "README.md",
        "config.json",
        "empty.bin",
        "model-extra/part-1.bin",
        "model.safetensors",
        "model/part-0.bin",
        "été.txt",
    ];
    assert_eq!(names, expected, "in code point order of the whole name");
    let ignored = [".git", ".gitattributes", ".github", ".gitignore", "model.sig", "tokenizer"];
    assert_eq!(predicate["serialization"]["ignore_paths"], serde_json::json!(ignored));
    // The signature is left out of its own check, wherever the caller says it is.
    gauntlet_core::write_durably(&signature, &signed.bundle, 0o644).unwrap();
    let read = fs::read(&signature).unwrap();
    let verify = VerifyOptions { signature_path: Some(signature), ..VerifyOptions::default() };
    assert_eq!(oms::verify(&model, &read, &trust(&key), &verify).verdict, Verdict::Pass);
    assert_eq!(oms::sign(&model, &key, &options).unwrap().bundle, read, "signing again gives the same bytes");
}

/// Change this only together with a note that signatures made before differ in their bytes.
#[test]
fn bundles_are_the_same_bytes_on_every_machine() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let sign = |name: &str| oms::sign(&model, &private_key(name), &SignOptions::default()).unwrap().bundle;
    let digests = ["p256", "p384", "p521"].map(|k| gauntlet_core::sha256_hex(&sign(&format!("keys/{k}.key.pem"))));
    let expected = [
        "98fd13d58c138a05dbef65eab2f3d560e79ea9bb03ac6483713ef7c793f35770",
        "10a975702b7ab11afe445b53e2a2e2b960ed9e7cc39d69e03d98e5aa549c2096",
        "049ccbf4ed399e8709c9623872979fb1b26fbf73434d8416877d5166ae7e8b6c",
    ];
    assert_eq!(digests, expected);
}

#[test]
fn single_files_are_named_by_base_name_or_as_the_reference_does() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/weights.gguf", folder.path());
    assert_eq!(oms::default_signature_path(&model), folder.path().join("weights.gguf.sig"));
    let key = private_key("keys/p256.key.pem");
    for (dot, name) in [(false, "weights.gguf"), (true, ".")] {
        let options = SignOptions { dot_for_single_file: dot, ..SignOptions::default() };
        let signed = oms::sign(&model, &key, &options).unwrap();
        assert_eq!(payload(&signed.bundle)["predicate"]["resources"][0]["name"], name);
        let found = oms::verify(&model, &signed.bundle, &trust(&key), &VerifyOptions::default());
        assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
        // A folder is no single file: `.` must not stand for it.
        let found = oms::verify(folder.path(), &signed.bundle, &trust(&key), &VerifyOptions::default());
        assert_eq!(found.verdict == Verdict::Pass, !dot, "{:?}", found.reasons);
    }
    // Download caches keep models as links to blobs.
    let link = folder.path().join("link.gguf");
    std::os::unix::fs::symlink(&model, &link).unwrap();
    let signed = oms::sign(&link, &key, &SignOptions::default()).unwrap();
    assert_eq!(payload(&signed.bundle)["predicate"]["resources"][0]["name"], "link.gguf");
}

#[test]
fn what_cannot_be_signed_is_an_error_with_its_path() {
    let key = private_key("keys/p256.key.pem");
    let refused = |prepare: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        oms::sign(folder.path(), &key, &SignOptions::default()).unwrap_err().to_string()
    };
    assert!(refused(&|_| {}).contains("nothing to sign"));
    assert!(refused(&|f| std::os::unix::fs::symlink("x", f.join("ln")).unwrap()).starts_with("ln: a link"));
    let name = std::os::unix::ffi::OsStrExt::as_bytes(std::ffi::OsStr::new("x")).to_vec();
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&[name[0], 0xff]).to_owned();
    assert!(refused(&|f| fs::write(f.join(&odd), "").unwrap()).contains("not UTF-8"));
    assert!(refused(&|f| pipe(&f.join("p"))).starts_with("p: a pipe"));
    let folder = tempfile::tempdir().unwrap();
    let edwards = SigningKey::generate(KeyKind::Ed25519).unwrap();
    let error = oms::sign(folder.path(), &edwards, &SignOptions::default()).unwrap_err();
    assert!(matches!(error, OmsError::KeyKind("ed25519")));
    for path in ["", ".", "../x", "/x", "a/"] {
        let options = SignOptions { ignore: vec![path.to_owned()], ..SignOptions::default() };
        assert!(matches!(oms::sign(folder.path(), &key, &options), Err(OmsError::IgnorePath(_))), "{path:?}");
    }
}

#[test]
fn a_pipe_in_place_of_a_file_neither_hangs_nor_passes() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let key = private_key("keys/p256.key.pem");
    let signed = oms::sign(&model, &key, &SignOptions::default()).unwrap();
    fs::remove_file(model.join("config.json")).unwrap();
    pipe(&model.join("config.json"));
    pipe(&model.join("other"));
    let found = oms::verify(&model, &signed.bundle, &trust(&key), &VerifyOptions::default());
    let codes: Vec<_> = found.reasons.iter().map(|r| (r.path.as_deref().unwrap(), r.code)).collect();
    assert_eq!(codes, [("config.json", ReasonCode::MissingFile), ("other", ReasonCode::UnexpectedFile)]);
}

#[test]
fn allowed_links_are_followed_but_never_into_folders_or_circles() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    fs::write(folder.path().join("outside"), "o").unwrap();
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, model.join(name)).unwrap();
    link("../outside", "out");
    link("config.json", "in");
    let key = private_key("keys/p256.key.pem");
    let options = SignOptions { allow_symlinks: true, ..SignOptions::default() };
    let signed = oms::sign(&model, &key, &options).unwrap();
    assert_eq!(signed.warnings, ["out: a link that leaves the model"]);
    let verify = |options: &VerifyOptions| oms::verify(&model, &signed.bundle, &trust(&key), options);
    assert_eq!(verify(&VerifyOptions::default()).verdict, Verdict::Pass);
    let strict = VerifyOptions { refuse_symlinks: true, ..VerifyOptions::default() };
    let codes: Vec<_> = verify(&strict).reasons.into_iter().map(|r| r.code).collect();
    assert_eq!(codes, [ReasonCode::Symlink; 2], "and not also missing");
    link("loop", "loop");
    link(".", "here");
    let codes: Vec<_> = verify(&VerifyOptions::default()).reasons.into_iter().map(|r| r.code).collect();
    assert_eq!(codes, [ReasonCode::Symlink; 2]);
    assert!(oms::sign(&model, &key, &options).is_err());
}

#[test]
fn what_is_signed_is_checked_even_where_the_caller_ignores_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let key = private_key("keys/p256.key.pem");
    let signed = oms::sign(&model, &key, &SignOptions::default()).unwrap();
    fs::write(model.join("config.json"), "changed").unwrap();
    fs::create_dir(model.join("logs")).unwrap();
    fs::write(model.join("logs/x"), "").unwrap();
    let options = VerifyOptions { ignore: vec!["config.json".into(), "logs".into()], ..VerifyOptions::default() };
    let found = oms::verify(&model, &signed.bundle, &trust(&key), &options);
    let codes: Vec<_> = found.reasons.iter().map(|r| r.code).collect();
    assert_eq!(codes, [ReasonCode::DigestMismatch]);
    let bad = VerifyOptions { ignore: vec!["..".into()], ..VerifyOptions::default() };
    assert_eq!(oms::verify(&model, &signed.bundle, &trust(&key), &bad).verdict, Verdict::Fail);
}

#[test]
fn signature_files_are_read_within_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    assert_eq!(oms::read_bundle(&path).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    pipe(&path);
    assert_eq!(oms::read_bundle(&path).unwrap_err().to_string(), "not a regular file");
    let large = folder.path().join("large");
    fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    assert!(oms::read_bundle(&large).unwrap_err().to_string().starts_with("more than"));
}

#[test]
fn what_cannot_be_read_is_no_verdict_unless_something_else_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let model = copy_model("models/mini", folder.path());
    let key = private_key("keys/p256.key.pem");
    let signed = oms::sign(&model, &key, &SignOptions::default()).unwrap();
    let found = oms::verify(&folder.path().join("nowhere"), &signed.bundle, &trust(&key), &VerifyOptions::default());
    assert_eq!(found.verdict, Verdict::Error);
    assert_eq!(found.reasons[0].code, ReasonCode::Unreadable);
    // Signed while it was a file of this length, a sparse file of another one is judged without reading it.
    let file = fs::File::create(model.join("model.safetensors")).unwrap();
    file.set_len(1 << 40).unwrap();
    let sharded = oms::sign(&model, &key, &options(HashType::Sha256, Some(1000)));
    assert!(matches!(sharded, Err(OmsError::TooLarge)), "a terabyte in shards of 1000 bytes fits no bundle");
}

fn pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
}
