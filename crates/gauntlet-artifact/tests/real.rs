//! Files that the frameworks themselves wrote: none is flagged, whatever the format, but those that hold code on purpose.

use std::collections::BTreeSet;
use std::path::Path;

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{
    Context, Finding, Judging, Limits, MaskKey, NoProgress, Severity, Subject, SubjectKind, Target, Tree, TreeOptions,
    seal,
};

/// What holds code on purpose, and is to be flagged for it.
const FLAGGED: [&str; 1] = ["keras/lambda.keras"];

fn judge(facts: &gauntlet_core::Facts) -> Vec<Finding> {
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    seal(GATE.checks.iter().flat_map(|check| check.judge(facts, &judging).findings).collect())
}

fn worst(name: &str, bytes: &[u8]) -> Option<Severity> {
    judge(&exercise(name, bytes, &Limits::default())).iter().map(|finding| finding.severity).max()
}

#[test]
fn files_of_real_writers_are_below_medium() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/real");
    let limits = Limits::default();
    let tree = Tree::read(Path::new(folder), &TreeOptions::default(), &limits).unwrap();
    let subject = Subject { name: "real".into(), kind: SubjectKind::Model, digest: tree.digest(&[]) };
    let config = serde_json::json!({});
    let target = Target { subject: &subject, root: &tree.root, tree: &tree, config: &config };
    let mask = MaskKey::for_project("test");
    let facts = GATE.extractor.extract(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress });
    assert!(tree.files.len() > 150, "{} files", tree.files.len());
    let mut flagged = BTreeSet::new();
    for finding in judge(&facts).iter().filter(|finding| finding.severity >= Severity::Medium) {
        let path = finding.location.path.clone().unwrap_or_default();
        if !FLAGGED.contains(&path.as_str()) {
            eprintln!("{path}: {} {}", finding.rule, finding.message);
        }
        flagged.insert(path);
    }
    let expected = FLAGGED.map(str::to_owned).into();
    assert_eq!(flagged, expected);
}

#[test]
fn hostile_twins_of_texts_are_flagged() {
    let real = |path: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/real/");
        std::fs::read_to_string(format!("{folder}{path}")).unwrap()
    };
    let spacy = real("spacy/blank_en/config.cfg");
    let triton = real("triton/repository/dense/config.pbtxt");
    let ollama = real("../artifact/textual/Modelfile");
    assert_eq!(worst("requirements.txt", real("../artifact/textual/requirements.txt").as_bytes()), None);
    let http = "--index-url http://gauntlet-canary.invalid/simple\nnumpy\n";
    assert_eq!(worst("requirements.txt", http.as_bytes()), Some(Severity::Medium));
    for (name, harmless, hostile) in [
        ("config.cfg", &spacy, "[components.x.labels]\n@readers = \"srsly.read_json.v1\"\npath = \"/etc/passwd\"\n"),
        ("config.cfg", &spacy, "[components.x.call]\n@callbacks = \"os.system\"\n"),
        ("config.cfg", &spacy, "[components.x]\nsource = \"../../other\"\n"),
        ("config.pbtxt", &triton, "model_operations { op_library_filename: [ \"libx.so\" ] }\n"),
        ("config.pbtxt", &triton, "default_model_filename: \"../../etc/passwd\"\n"),
        ("config.pbtxt", &triton, "backend: \"../../tmp/x\"\n"),
        ("Modelfile", &ollama, "ADAPTER ../../../../etc/passwd\n"),
        ("Modelfile", &ollama, "from https://gauntlet-canary.invalid/x.gguf\n"),
    ] {
        assert_eq!(worst(name, harmless.as_bytes()), None, "{name}");
        let twin = format!("{harmless}\n{hostile}");
        assert!(worst(name, twin.as_bytes()) >= Some(Severity::High), "{hostile}");
    }
    // Registered by a package that is neither spaCy nor Thinc.
    let foreign = format!("{spacy}\n[components.x]\nfactory = \"acme_component\"\n");
    assert_eq!(worst("config.cfg", foreign.as_bytes()), Some(Severity::Low));
    let net = "layer { name: 'x' type: 'Python' python_param { module: 'evil' layer: 'L' } }\n";
    assert_eq!(worst("deploy.prototxt", net.as_bytes()), Some(Severity::Medium));
}
