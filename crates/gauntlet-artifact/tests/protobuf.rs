//! TensorFlow, Core ML, Paddle, MXNet and TensorFlow.js: harmless files of the real writers, their hostile twins, and
//! ways to hide one as the other.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::path::{Path, PathBuf};

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Facts, Finding, Judging, Limits, Severity, SkipCode, seal};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(testdata("artifact").join(name)).unwrap()
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    seal(GATE.checks.iter().flat_map(|check| check.judge(facts, &judging).findings).collect())
}

fn findings(name: &str, bytes: &[u8]) -> Vec<(Severity, String)> {
    let found = judge(&exercise(name, bytes, &Limits::default()));
    found.into_iter().map(|finding| (finding.severity, finding.rule.to_string())).collect()
}

fn rules(name: &str, bytes: &[u8]) -> Vec<String> {
    findings(name, bytes).into_iter().map(|(_, rule)| rule).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[test]
fn files_of_the_real_writers_are_read_and_silent() {
    let checks = [
        ("savedmodel", "artifact/tensorflow", 4),
        ("tf-graph", "artifact/tensorflow", 4),
        ("tfjs", "artifact/tfjs", 1),
        ("coreml", "artifact/coreml", 3),
        ("paddle", "artifact/paddle", 4),
        ("mxnet", "artifact/mxnet", 3),
    ];
    for (folder, check, least) in checks {
        let mut looked = 0;
        for path in files(&testdata("real").join(folder)) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let facts = exercise(name, &std::fs::read(&path).unwrap(), &Limits::default());
            let worst = judge(&facts).into_iter().max_by_key(|finding| finding.severity);
            assert!(worst.as_ref().is_none_or(|f| f.severity < Severity::Low), "{}: {worst:?}", path.display());
            let coverage = &facts.coverage[check];
            assert!(coverage.skipped.is_empty(), "{}: {:?}", path.display(), coverage.skipped);
            looked += coverage.looked_at;
        }
        assert!(looked >= least, "{folder}: only {looked} files were read");
    }
}

#[test]
fn hostile_twins_are_found() {
    use Severity::{Critical, High, Low, Medium};
    let cases = [
        ("tensorflow/f1.pb", Critical, "tensorflow/file-operator"),
        ("tensorflow/f2.meta", Critical, "tensorflow/python-operator"),
        ("tensorflow/s00.pb", High, "tensorflow/file-operator"),
        ("tensorflow/s02.pb", Critical, "tensorflow/python-operator"),
        ("tensorflow/s04.pb", Critical, "tensorflow/file-operator"),
        ("tensorflow/s06.pb", High, "tensorflow/saver-operator"),
        ("tensorflow/s08.pb", Low, "tensorflow/file-operator"),
        ("tensorflow/s09.pb", Medium, "tensorflow/file-operator"),
        ("tensorflow/s10.pb", Low, "tensorflow/custom-operator"),
        ("tensorflow/s11.pb", Medium, "tensorflow/debug-operator"),
        ("tensorflow/s12.pb", High, "tensorflow/network-operator"),
        ("tensorflow/s13.pb", Low, "tensorflow/file-operator"),
        ("tensorflow/s92.pbtxt", Critical, "tensorflow/file-operator"),
        ("tensorflow/write_cond.pb", Critical, "tensorflow/file-operator"),
        ("tensorflow/print_file.pb", High, "tensorflow/file-operator"),
        ("tensorflow/map_py.pb", Critical, "tensorflow/python-operator"),
        ("tensorflow/save_arg.pb", High, "tensorflow/saver-operator"),
        ("tensorflow/sql.pb", High, "tensorflow/file-operator"),
        ("tensorflow/debug.pbtxt", High, "tensorflow/debug-operator"),
        ("tensorflow/keras_metadata.pb", High, "keras/code"),
        ("coreml/c161.mlmodel", Low, "coreml/custom-class"),
        ("coreml/c162.mlmodel", Low, "coreml/custom-class"),
        ("paddle/c166.pdmodel", High, "paddle/python-operator"),
        ("mxnet/c167.json", High, "mxnet/native-library"),
        ("tfjs/model.json", High, "tfjs/weights-path"),
        ("tfjs/model.json", Critical, "tensorflow/python-operator"),
        ("tfjs/model.json", Critical, "tensorflow/file-operator"),
    ];
    for (name, severity, rule) in cases {
        let found = findings(name, &fixture(name));
        assert!(found.contains(&(severity, format!("artifact/{rule}"))), "{name}: {found:?}");
    }
}

#[test]
fn what_a_model_needs_to_be_saved_and_restored_is_no_finding() {
    for name in ["tensorflow/b1.pb", "tensorflow/b2.pb", "tensorflow/vocabulary.pb"] {
        assert_eq!(findings(name, &fixture(name)), [], "{name}");
    }
    // Warm starts read the checkpoint that they were trained from.
    let warm = findings("warm.meta", &fixture("tensorflow/warm.meta"));
    assert_eq!(warm, [(Severity::Low, "artifact/tensorflow/saver-operator".to_owned())]);
}

/// A field with bytes.
fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let varint = |mut value: u64| {
        let mut out = Vec::new();
        while value > 127 {
            out.push((value & 127) as u8 | 128);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn node(op: &str, more: &[u8]) -> Vec<u8> {
    field(1, &[field(1, b"n"), field(2, op.as_bytes()), more.to_vec()].concat())
}

/// A constant with one string.
fn constant(text: &[u8]) -> Vec<u8> {
    let tensor = [b"\x08\x07".to_vec(), field(8, text)].concat();
    node("Const", &field(5, &[field(1, b"value"), field(2, &field(8, &tensor))].concat()))
}

fn saved(meta: &[u8]) -> Vec<u8> {
    [b"\x08\x01".to_vec(), field(2, meta)].concat()
}

#[test]
fn hiding_a_graph_does_not_help() {
    let graph = [node("Placeholder", b""), node("WriteFile", b"")].concat();
    let rule = "artifact/tensorflow/file-operator".to_owned();
    let found =
        |name: &str, bytes: &[u8]| assert!(rules(name, bytes).contains(&rule), "{name}: {:?}", rules(name, bytes));
    // By content, whatever the name.
    found("weights.bin", &graph);
    found("notes.txt", &graph);
    found("model", &saved(&field(2, &graph)));
    // Behind fields that nobody knows and no prefix shows the end of.
    let behind = [field(1000, &vec![0; 200_000]), graph.clone()].concat();
    found("graph.pb", &behind);
    found("model.ckpt.meta", &[field(1000, &vec![0; 200_000]), field(2, &graph)].concat());
    found("saved_model.pb", &[field(1000, &vec![0; 200_000]), saved(&field(2, &graph))].concat());
    // In a function, in a second graph, in a string of another graph.
    let inner = field(3, &[field(1, b"n"), field(2, b"WriteFile")].concat());
    let library = field(2, &field(1, &[field(1, &field(1, b"f")), inner].concat()));
    found("graph.pb", &[library, node("Add", b"")].concat());
    found("saved_model.pb", &[saved(&field(2, &node("Add", b""))), field(2, &field(2, &graph))].concat());
    let padded = [graph.clone(), node("NoOp", b""), node("NoOp", b"")].concat();
    found("graph.pb", &[node("DatasetFromGraph", b""), constant(&padded)].concat());
    // As text in any of its forms.
    found("graph.pbtxt", b"# a graph\nnode <name: 'x' op: 'Write' 'File'>; versions { producer: 1 }");
    found("x.pb", b"graph_def: { node: [ { name: 'x' op: \"\\127rite\\x46ile\" } ] }");
}

#[test]
fn files_inside_of_constants_are_read() {
    let pickle = b"\x80\x02cos\nsystem\nX\x14\x00\x00\x00echo gauntlet-canary\x85R.";
    let found = rules("graph.pb", &[node("Add", b""), constant(pickle)].concat());
    assert!(found.contains(&"artifact/pickle/dangerous-global".to_owned()), "{found:?}");
}

#[test]
fn assets_and_signatures_that_leave_their_bounds_are_found() {
    let asset = field(6, &[field(1, &field(1, b"a:0")), field(2, b"../../../etc/passwd")].concat());
    let found = rules("saved_model.pb", &saved(&[field(2, &node("Add", b"")), asset].concat()));
    assert_eq!(found, ["artifact/tensorflow/asset-path"]);
    // A signature that is served by the saver's own operation.
    let saver =
        [node("SaveV2", &field(3, b"p")), field(1, &[field(1, b"r"), field(2, b"RestoreV2")].concat())].concat();
    let path = field(1, &[field(1, b"p"), field(2, b"Placeholder")].concat());
    let graph = field(2, &[saver, path].concat());
    let declared = field(3, &[field(2, b"n:0"), field(3, b"r")].concat());
    assert_eq!(rules("saved_model.pb", &saved(&[graph.clone(), declared.clone()].concat())), [""; 0]);
    let output = field(2, &[field(1, b"y"), field(2, &field(1, b"n:0"))].concat());
    let signature = field(5, &[field(1, b"serve"), field(2, &output)].concat());
    let found = rules("saved_model.pb", &saved(&[graph, declared, signature].concat()));
    assert_eq!(found, ["artifact/tensorflow/saver-operator"]);
}

#[test]
fn other_protobufs_are_left_alone_and_broken_ones_never_clean() {
    let tensor = [b"\x08\x01\x10\x01".to_vec(), field(8, b"x"), field(9, &[0; 16])].concat();
    for (name, bytes) in [("input_0.bin", tensor), ("rows.tfrecord", b"\x05\0\0\0\0\0\0\0abcd".to_vec())] {
        let facts = exercise(name, &bytes, &Limits::default());
        assert!(facts.rows.iter().all(|row| row.kind != "tensorflow"), "{name}");
        assert_eq!(judge(&facts), [], "{name}");
    }
    let whole = std::fs::read(testdata("real/savedmodel/plain/saved_model.pb")).unwrap();
    for end in [whole.len() / 2, whole.len() - 1] {
        let facts = exercise("saved_model.pb", &whole[..end], &Limits::default());
        let codes: Vec<_> = facts.coverage["artifact/tensorflow"].skipped.iter().map(|s| s.reason.code).collect();
        assert!(codes.iter().any(|code| matches!(code, SkipCode::Truncated | SkipCode::Malformed)), "{end}: {codes:?}");
    }
    let limits = Limits { steps: 100, ..Limits::default() };
    let facts = exercise("saved_model.pb", &whole, &limits);
    assert!(facts.coverage["artifact/tensorflow"].skipped.iter().any(|s| s.reason.code == SkipCode::Limit));
    let broken = exercise("net-symbol.json", b"{\"nodes\": [", &Limits::default());
    assert!(!broken.coverage["artifact/mxnet"].skipped.is_empty());
}
