//! Layouts made to confuse, to escape or to exhaust: each is refused with its reason, in bounded time.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use gauntlet_core::Verdict;
use gauntlet_trust::oci::{Layout, verify_model};
use gauntlet_trust::oms::{ReasonCode, VerifyOptions};
use serde_json::{Value, json};

use super::{Bench, INDEX, MANIFEST, blob, bytes, image, layout, typed};

fn codes(root: &Path) -> Vec<ReasonCode> {
    let found = verify_model(root, None, &Bench::new().trust(), &VerifyOptions::default());
    assert_ne!(found.package.verdict, Verdict::Pass);
    let mut codes: Vec<ReasonCode> = found.package.reasons.iter().map(|reason| reason.code).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// A model of these layers.
fn model(root: &Path, layers: &[Value]) -> Value {
    let config = typed(blob(root, b"{}"), "application/vnd.cncf.model.config.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.cncf.model.manifest.v1+json",
                          "config": config, "layers": layers});
    typed(blob(root, manifest.to_string().as_bytes()), MANIFEST)
}

fn file(root: &Path, path: &str, text: &str) -> Value {
    let mut layer = typed(blob(root, text.as_bytes()), "application/vnd.cncf.model.weight.v1.raw");
    layer["annotations"] = json!({"org.cncf.model.filepath": path});
    layer
}

#[test]
fn paths_of_layers_stay_inside_and_are_unique() {
    for (paths, code) in [
        (["../x", "b"], ReasonCode::UnsafePath),
        (["/etc/passwd", "b"], ReasonCode::UnsafePath),
        (["a/../../x", "b"], ReasonCode::UnsafePath),
        (["", "b"], ReasonCode::UnsafePath),
        (["b", "b"], ReasonCode::Duplicate),
        (["b", "b/c"], ReasonCode::Malformed),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let layers = [file(root, paths[0], "one"), file(root, paths[1], "two")];
        let model = model(root, &layers);
        layout(root, &[model]);
        assert!(codes(root).contains(&code), "{paths:?}");
    }
}

#[test]
fn archives_are_not_taken_for_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let layer = typed(file(root, "m.tar", "x"), "application/vnd.cncf.model.weight.v1.tar");
    let model = model(root, &[layer]);
    layout(root, &[model]);
    assert!(codes(root).contains(&ReasonCode::Unsupported));
}

#[test]
fn links_are_refused_wherever_they_stand() {
    let bench = Bench::new();
    let outside = bench.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    for target in ["oci-layout", "index.json", "blobs", "blobs/sha256"] {
        let name = format!("l-{}", target.replace('/', "-"));
        bench.packaged(&name);
        let root = bench.layout(&name);
        let away = outside.join(&name);
        std::fs::rename(root.join(target), &away).unwrap();
        symlink(&away, root.join(target)).unwrap();
        assert!(codes(&root).contains(&ReasonCode::Symlink), "{target}");
    }
    let packaged = bench.packaged("blob");
    let path = bench.layout("blob").join("blobs/sha256").join(packaged.digest.hex());
    std::fs::rename(&path, outside.join("b")).unwrap();
    symlink(outside.join("b"), &path).unwrap();
    assert!(codes(&bench.layout("blob")).contains(&ReasonCode::Symlink));
}

#[test]
fn strangers_among_the_files_are_named() {
    let bench = Bench::new();
    bench.packaged("l");
    let root = bench.layout("l");
    for name in ["model.py", "blobs/sha256/readme", "blobs/sha256/0000"] {
        std::fs::write(root.join(name), "x").unwrap();
        assert_eq!(codes(&root), [ReasonCode::UnexpectedFile], "{name}");
        std::fs::remove_file(root.join(name)).unwrap();
    }
    blob(&root, b"nobody refers to this");
    let found = verify_model(&root, None, &bench.trust(), &VerifyOptions::default());
    assert_eq!(found.package.reasons[0].code, ReasonCode::UnexpectedFile);
    let options = VerifyOptions { ignore_unsigned: true, ..VerifyOptions::default() };
    let found = verify_model(&root, None, &bench.trust(), &options);
    assert_eq!((found.package.verdict, found.package.unsigned.len()), (Verdict::Pass, 1));
    std::fs::create_dir(root.join("blobs/sha512")).unwrap();
    assert!(codes(&root).contains(&ReasonCode::Unsupported));
}

#[test]
fn documents_that_two_readers_read_in_two_ways_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let plain = image(root, b"layer");
    let descriptor = plain.to_string();
    let bad = [
        "not json".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"schemaVersion":1,"manifests":[]}"#.to_owned(),
        r#"{"schemaVersion":2}"#.to_owned(),
        r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#.to_owned(),
        format!(r#"{{"schemaVersion":2,"manifests":[],"layers":[],"config":{descriptor}}}"#),
        format!(r#"{{"schemaVersion":2,"manifests":[{descriptor}],"config":{descriptor}}}"#),
        r#"{"schemaVersion":2,"layers":[]}"#.to_owned(),
        format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","manifests":[]}}"#),
        r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:zz","size":1}]}"#.to_owned(),
        r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}]}"#.to_owned(),
        format!(r#"{{"schemaVersion":2,"manifests":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000)),
    ];
    for index in bad {
        std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        std::fs::write(root.join("index.json"), &index).unwrap();
        let reasons = codes(root);
        assert!(
            reasons.contains(&ReasonCode::Malformed) || reasons.contains(&ReasonCode::Unsupported),
            "{index:.60}: {reasons:?}"
        );
    }
    // An index that is referred to as a manifest.
    let index = typed(blob(root, br#"{"schemaVersion":2,"manifests":[]}"#), MANIFEST);
    layout(root, &[plain.clone(), index]);
    assert!(codes(root).contains(&ReasonCode::Malformed));
    // One blob, two sizes.
    let mut larger = plain.clone();
    larger["size"] = json!(plain["size"].as_u64().unwrap() + 1);
    layout(root, &[plain, larger]);
    assert!(codes(root).contains(&ReasonCode::Malformed));
}

#[test]
fn embedded_data_must_be_the_blob() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut plain = image(root, b"layer");
    plain["data"] = json!("ZXZpbA==");
    layout(root, &[plain]);
    assert!(codes(root).contains(&ReasonCode::DigestMismatch));
}

#[test]
fn sizes_and_depths_are_bounded() {
    let started = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // An index in an index in an index.
    let mut inner = image(root, b"layer");
    for _ in 0..40 {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]});
        inner = typed(blob(root, index.to_string().as_bytes()), INDEX);
    }
    layout(root, &[inner]);
    assert!(codes(root).contains(&ReasonCode::Limit));

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let plain = image(root, b"layer");
    layout(root, &[]);
    std::fs::write(root.join("index.json"), format!("{{\"pad\":\"{}\"}}", "x".repeat(5 << 20))).unwrap();
    assert!(codes(root).contains(&ReasonCode::Limit));
    // A million references within one index do not fit into it; what fits is refused by its count of values.
    let many = vec![
        r#"{"mediaType":"m","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;
        30_000
    ];
    std::fs::write(root.join("index.json"), format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, many.join(",")))
        .unwrap();
    assert_ne!(codes(root), Vec::<ReasonCode>::new());
    // A blob that says to be small and is not.
    let mut liar = plain;
    liar["size"] = json!(3);
    layout(root, &[liar]);
    assert!(codes(root).contains(&ReasonCode::DigestMismatch));
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn damaged_layouts_give_an_answer() {
    let bench = Bench::new();
    bench.packaged("l");
    let root = bench.layout("l");
    let index = std::fs::read(root.join("index.json")).unwrap();
    let manifests: Vec<Vec<u8>> =
        bytes(&root).into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.starts_with(b"{\"schema")).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..400 {
        let mut changed = index.clone();
        match random(3) {
            0 => changed.truncate(random(changed.len())),
            1 => {
                let at = random(changed.len());
                changed[at] ^= 1 << random(8);
            }
            _ => {
                let donor = &manifests[random(manifests.len())];
                let (from, to) = (random(donor.len()), random(donor.len()));
                let at = random(changed.len());
                changed.splice(at..at, donor[from.min(to)..from.max(to)].iter().copied());
            }
        }
        std::fs::write(root.join("index.json"), &changed).unwrap();
        let layout = Layout::open(&root);
        assert!(layout.manifests.len() <= 4, "round {round}");
        let _ = gauntlet_trust::oci::parse_manifest(&changed);
    }
}
