//! Models: packaged the same every time, verified from the layout alone, and refused after any change.

use std::num::NonZeroU64;

use gauntlet_core::Verdict;
use gauntlet_trust::oci::{Attachment, PackageError, PackageOptions, digest_list, package, verify_model};
use gauntlet_trust::oms::{HashType, KeyEndorser, ReasonCode, Serialization, SignOptions, VerifyOptions, sign_digests};
use serde_json::Value;

use super::{Bench, bytes};

#[test]
fn equal_inputs_give_equal_bytes() {
    let bench = Bench::new();
    let one = bench.packaged("one");
    // Times, modes and links of the files do not matter.
    std::fs::File::options()
        .append(true)
        .open(bench.model().join("config.json"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let two = bench.packaged("two");
    assert_eq!(one.digest, two.digest);
    assert!(bytes(&bench.layout("one")) == bytes(&bench.layout("two")));
    std::fs::write(bench.model().join("config.json"), "{ }").unwrap();
    assert_ne!(bench.packaged("three").digest, one.digest);
}

#[test]
fn a_package_says_what_it_is_and_verifies_by_itself() {
    let bench = Bench::new();
    let signature = bench.signature(SignOptions::default());
    let attachments = vec![
        Attachment::bom("m.cdx.json", br#"{"bomFormat":"CycloneDX"}"#.to_vec()).unwrap(),
        Attachment::card("CARD.md", b"# card".to_vec()).unwrap(),
        Attachment::evidence("e.json", br#"{"payloadType":"x","payload":"","signatures":[]}"#.to_vec()).unwrap(),
    ];
    let options = PackageOptions {
        signature: Some(signature),
        attachments,
        created: Some("2026-01-01T00:00:00Z".to_owned()),
        tag: Some("v1".to_owned()),
        ..PackageOptions::default()
    };
    let root = bench.layout("l");
    let packaged = package(&bench.model(), &root, &options).unwrap();
    assert_eq!((packaged.files, packaged.referrers.len()), (4, 4));

    let read = |path: &str| -> Value { serde_json::from_slice(&std::fs::read(root.join(path)).unwrap()).unwrap() };
    let index = read("index.json");
    assert_eq!(index["manifests"][0]["digest"], packaged.digest.to_string());
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "v1");
    let manifest = read(&format!("blobs/sha256/{}", packaged.digest.hex()));
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2026-01-01T00:00:00Z");
    let layers = manifest["layers"].as_array().unwrap();
    let paths: Vec<&str> =
        layers.iter().map(|l| l["annotations"]["org.cncf.model.filepath"].as_str().unwrap()).collect();
    assert_eq!(paths, ["README.md", "config.json", "model.safetensors", "sub/merges.txt"]);
    assert_eq!(layers[2]["mediaType"], "application/vnd.cncf.model.weight.v1.raw");
    assert_eq!(layers[0]["mediaType"], "application/vnd.cncf.model.doc.v1.raw");
    for (kind, digest) in &packaged.referrers {
        let referrer = read(&format!("blobs/sha256/{}", digest.hex()));
        assert_eq!(referrer["subject"]["digest"], packaged.digest.to_string(), "{kind}");
        assert_eq!(referrer["artifactType"], *kind);
    }

    let found = verify_model(&root, None, &bench.trust(), &VerifyOptions::default());
    assert_eq!(found.package.verdict, Verdict::Pass, "{:?}", found.package.reasons);
    assert_eq!(found.digest, Some(packaged.digest));
    assert_eq!(found.name.as_deref(), Some("churn"));
    let model = found.model.unwrap();
    assert_eq!(model.verdict, Verdict::Pass, "{:?}", model.reasons);
    assert_eq!(model.files, 4);
}

#[test]
fn every_way_of_signing_verifies_from_the_layers() {
    let shards = Serialization::Shards(NonZeroU64::new(3).unwrap());
    for (hash, serialization) in
        [(HashType::Sha256, shards), (HashType::Blake3, Serialization::Files), (HashType::Blake2b, shards)]
    {
        let bench = Bench::new();
        let signature = bench.signature(SignOptions { hash, serialization, ..SignOptions::default() });
        let options = PackageOptions { signature: Some(signature), ..PackageOptions::default() };
        package(&bench.model(), &bench.layout("l"), &options).unwrap();
        let found = verify_model(&bench.layout("l"), None, &bench.trust(), &VerifyOptions::default());
        assert_eq!(found.model.unwrap().verdict, Verdict::Pass);
    }
}

#[test]
fn any_flipped_byte_of_any_file_is_found() {
    let bench = Bench::new();
    bench.packaged("l");
    let root = bench.layout("l");
    for (name, original) in bytes(&root) {
        let step = (original.len() / 40).max(1);
        for at in (0..original.len()).step_by(step) {
            let mut changed = original.clone();
            changed[at] ^= 1;
            std::fs::write(root.join(&name), &changed).unwrap();
            let found = verify_model(&root, None, &bench.trust(), &VerifyOptions::default());
            let passes =
                found.package.verdict == Verdict::Pass && found.model.is_some_and(|m| m.verdict == Verdict::Pass);
            // In index.json a flipped tag or artifact type means nothing; everything else has a digest.
            assert!(!passes || name == "index.json", "{name} at {at}");
        }
        std::fs::write(root.join(&name), original).unwrap();
    }
}

#[test]
fn a_package_without_a_signature_or_under_another_key_does_not_pass() {
    let bench = Bench::new();
    package(&bench.model(), &bench.layout("bare"), &PackageOptions::default()).unwrap();
    let found = verify_model(&bench.layout("bare"), None, &bench.trust(), &VerifyOptions::default());
    assert_eq!(found.package.verdict, Verdict::Fail);
    assert!(found.model.is_none());
    bench.packaged("l");
    let found = verify_model(&bench.layout("l"), None, &Bench::new().trust(), &VerifyOptions::default());
    assert_eq!(found.model.unwrap().verdict, Verdict::Fail);
    let (_, bundle) = bench.signature(SignOptions::default());
    let found = verify_model(&bench.layout("bare"), Some(&bundle), &bench.trust(), &VerifyOptions::default());
    assert_eq!(found.package.verdict, Verdict::Pass, "{:?}", found.package.reasons);
    assert_eq!(found.model.unwrap().verdict, Verdict::Pass);
}

#[test]
fn nothing_is_packaged_that_is_not_what_was_signed() {
    let bench = Bench::new();
    let signature = Some(bench.signature(SignOptions::default()));
    let run = |name: &str| {
        let options = PackageOptions { signature: signature.clone(), ..PackageOptions::default() };
        package(&bench.model(), &bench.layout(name), &options)
    };
    run("good").unwrap();
    assert!(matches!(run("good"), Err(PackageError::Exists(_))));
    std::fs::write(bench.model().join("extra.py"), "x").unwrap();
    let Err(PackageError::Signature(reasons)) = run("bad") else { panic!("packaged") };
    assert_eq!(reasons[0].code, ReasonCode::UnexpectedFile);
    std::fs::remove_file(bench.model().join("extra.py")).unwrap();
    std::fs::write(bench.model().join("config.json"), "[]").unwrap();
    let Err(PackageError::Signature(reasons)) = run("bad") else { panic!("packaged") };
    assert_eq!(reasons[0].code, ReasonCode::DigestMismatch);
    std::os::unix::fs::symlink("config.json", bench.model().join("link")).unwrap();
    assert!(matches!(run("bad"), Err(PackageError::Model(_))));
    assert!(!bench.layout("bad").exists());
    let left: Vec<_> = std::fs::read_dir(bench.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn layers_can_be_signed_by_their_digests() {
    let bench = Bench::new();
    package(&bench.model(), &bench.layout("l"), &PackageOptions::default()).unwrap();
    let list = digest_list(&bench.layout("l")).unwrap();
    let signed = sign_digests("churn", &list, &KeyEndorser(&bench.key), &SignOptions::default()).unwrap();
    assert!(signed.precomputed && signed.files == 4 && signed.bytes == 0);
    let found = verify_model(&bench.layout("l"), Some(&signed.bundle), &bench.trust(), &VerifyOptions::default());
    assert_eq!(found.model.unwrap().verdict, Verdict::Pass);
    let on_disk =
        gauntlet_trust::oms::verify_any(&bench.model(), &signed.bundle, &bench.trust(), &VerifyOptions::default());
    assert_eq!(on_disk.verdict, Verdict::Pass, "{:?}", on_disk.reasons);
    std::fs::write(bench.layout("l").join("index.json"), "{}").unwrap();
    assert!(digest_list(&bench.layout("l")).is_err());
}
