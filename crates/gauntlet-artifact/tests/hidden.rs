//! Programs, pickles and archives inside models, and what a model only seems to hide.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Facts, Finding, Judging, Limits, Severity, seal};

const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0";
const SCRIPT: &[u8] = b"#!/bin/sh\necho gauntlet-canary\n";
const PICKLE: &[u8] = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x14echo gauntlet-canary\x85R.";

/// A TensorFlow Lite model with one addition and no tensors.
const TFLITE: &[u8] =
    b"\x18\0\0\0TFL3\0\0\x0e\0\x18\0\x04\0\x08\0\x0c\0\x10\0\x14\0\x0e\0\0\0\x03\0\0\0\x10\0\0\0,\0\0\0p\
    \0\0\0|\0\0\0\x01\0\0\0\x10\0\0\0\x0c\0\x0c\0\x04\0\0\0\0\0\x08\0\x0c\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\
    \0\x14\0\0\0\0\0\x0e\0\x0c\0\0\0\0\0\0\0\x04\0\x08\0\x0e\0\0\0\x08\0\0\0\x1c\0\0\0\x01\0\0\0\x0c\0\0\
    \0\0\0\x06\0\x08\0\x04\0\x06\0\0\0\0\0\0\0\x04\0\0\0main\0\0\0\0\x08\0\0\0gauntlet\0\0\0\0\x01\0\0\0\
    \x0c\0\0\0\0\0\x06\0\x08\0\x04\0\x06\0\0\0\x04\0\0\0\0\0\0\0\0";

fn scan(name: &str, bytes: &[u8]) -> (Facts, Vec<Finding>) {
    let facts = exercise(name, bytes, &Limits::default());
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let findings = seal(GATE.checks.iter().flat_map(|check| check.judge(&facts, &judging).findings).collect());
    (facts, findings)
}

/// The worst severity of `rule`.
fn worst(name: &str, bytes: &[u8], rule: &str) -> Option<Severity> {
    scan(name, bytes).1.iter().filter(|finding| finding.rule.ends_with(rule)).map(|finding| finding.severity).max()
}

fn loudest(name: &str, bytes: &[u8]) -> Option<Severity> {
    scan(name, bytes).1.iter().map(|finding| finding.severity).max()
}

/// A zip of stored members.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let offset = u32::try_from(out.len()).unwrap();
        let mut fields = vec![0x14, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        fields.extend(crc32fast::hash(data).to_le_bytes());
        fields.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        fields.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        fields.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        fields.extend([0, 0]);
        out.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), data].concat());
        directory.extend([b"PK\x01\x02\x14\0", &fields[..], &[0; 10]].concat());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let (start, len) = (u32::try_from(out.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    out.extend(directory);
    out.extend(
        [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &len.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat(),
    );
    out
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), data].concat()
}

/// A module of a model, as loading would import it.
fn module(code: &str) -> Vec<u8> {
    zip(&[("handler.py", code.as_bytes())])
}

#[test]
fn programs_under_any_model_name_are_found() {
    for name in ["m.keras", "m.nemo", "m.npz", "m.mar", "m.skops", "m.pt", "m.plan"] {
        assert_eq!(worst(name, ELF, "/executable"), Some(Severity::High), "{name}");
        assert_eq!(worst(name, b"#! /bin/sh\nid\n", "/executable"), Some(Severity::High), "{name}");
    }
    assert_eq!(worst("tool", ELF, "/executable"), None);
}

#[test]
fn programs_inside_models_are_found_and_those_of_other_archives_left_alone() {
    let inside = |outer: &str, member: &str, data: &[u8]| worst(outer, &zip(&[(member, data)]), "/executable");
    assert_eq!(inside("m.pt", "m/extra/x", ELF), Some(Severity::High));
    assert_eq!(inside("m.keras", "assets/x.so", ELF), Some(Severity::High));
    assert_eq!(inside("m.mar", "setup.sh", SCRIPT), Some(Severity::Medium));
    assert_eq!(inside("m.pt2", "m/data/aotinductor/m.so", ELF), Some(Severity::Medium));
    assert_eq!(inside("m.zip", "lib/x.so", ELF), None);
    assert_eq!(inside("m.mar", "handler.py", b"#!/usr/bin/env python3\nimport torch\n"), None);
    let nested = zip(&[("m/model.pt", &zip(&[("m/x", ELF)]))]);
    assert_eq!(worst("all.zip", &nested, "/executable"), Some(Severity::High));
}

#[test]
fn files_inside_opaque_engines_are_found() {
    let engine = |hidden: &[u8]| [b"ftrt", &[7; 5000][..], hidden, &[9; 100_000][..]].concat();
    assert_eq!(worst("m.engine", &engine(ELF), "/executable"), Some(Severity::High));
    assert_eq!(worst("m.engine", &engine(PICKLE), "pickle/dangerous-global"), Some(Severity::Critical));
    let packed = engine(&zip(&[("a.pkl", PICKLE)]));
    assert_eq!(worst("m.engine", &packed, "pickle/dangerous-global"), Some(Severity::Critical));
    // Kernels for graphics cards are ELF, too.
    let mut cubin = ELF.to_vec();
    cubin[18] = 190;
    assert_eq!(loudest("m.engine", &engine(&cubin)), None);
    assert_eq!(loudest("m.engine", &engine(b"MZ, PE, ELF and os.system are words")), None);
}

#[test]
fn numpy_headers_that_ask_for_what_is_not_there_are_noted() {
    let rule = "pickle/broken-array";
    let array = |shape: &str, data: &[u8]| {
        npy(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n"), data)
    };
    assert_eq!(worst("a.npy", &array("99999999999999,", &[0; 16]), rule), Some(Severity::Low));
    assert_eq!(worst("a.npy", &array("4611686018427387904, 8", &[0; 16]), rule), Some(Severity::Low));
    assert_eq!(worst("a.npy", &array("-4,", &[0; 16]), rule), Some(Severity::Low));
    assert_eq!(worst("a.npy", &npy("__import__('os')", &[]), rule), Some(Severity::Low));
    assert_eq!(worst("a.npy", b"\x93NUMPY\x01\0\xff\xff{'descr': '<f4'", rule), Some(Severity::Low));
    assert_eq!(loudest("a.npy", &array("4,", &[0; 16])), None);
    assert_eq!(loudest("a.npy", &array("", &[0; 4])), None);
    assert_eq!(worst("a.npy", &array("4,", &[&[0; 16], ELF].concat()), "/executable"), Some(Severity::High));
}

#[test]
fn functions_that_are_handed_on_and_files_that_are_opened_on_import_are_found() {
    let rule = "code/runs-on-import";
    for code in [
        "import os, threading\nthreading.Thread(target=os.system, args=('id',)).start()\n",
        "import os, atexit\natexit.register(os.system, 'id')\n",
        "import os\nlist(map(os.system, ['id']))\n",
    ] {
        assert_eq!(worst("m.mar", &module(code), rule), Some(Severity::High), "{code}");
    }
    let opens = module("open('/etc/cron.d/x', 'w').write('x')\n");
    assert_eq!(worst("m.mar", &opens, rule), Some(Severity::Medium));
    for harmless in ["with open('VERSION') as f: v = f.read()\n", "def f(): return open('/proc/meminfo').read()\n"] {
        assert_eq!(worst("m.mar", &module(harmless), rule), None, "{harmless}");
    }
}

#[test]
fn torchscript_calls_of_python_are_found_and_methods_of_such_names_left_alone() {
    let script = |line: &str| {
        let code = format!(
            "class M(Module):\n  def open(self: __torch__.M, x: Tensor) -> Tensor:\n    {line}\n    return x\n"
        );
        zip(&[("m/code/__torch__.py", code.as_bytes()), ("m/version", b"3\n")])
    };
    for line in ["_0 = eval(\"1\")", "_0 = __import__(\"os\")", "exec (\"1\")"] {
        assert_eq!(worst("m.pt", &script(line), "torch/foreign-code"), Some(Severity::Critical), "{line}");
    }
    assert!(worst("m.pt", &script("_0 = ops.prim.PythonOp(x)"), "torch/dangerous-operator").is_some());
    assert_eq!(worst("m.pt", &script("_0 = (self).exec(x, )"), "torch/foreign-code"), None);
}

#[test]
fn targets_that_packages_reexport_are_judged_as_what_they_reach() {
    let rule = "configuration/unsafe-target";
    for yaml in [
        "m:\n  _target_: nemo.utils.os.system\n",
        "m:\n  _target_: hydra.utils.get_method\n  path: os.system\n",
        "m:\n  _target_: os.execv\n",
    ] {
        assert_eq!(worst("model_config.yaml", yaml.as_bytes(), rule), Some(Severity::Critical), "{yaml}");
    }
    let fine = "m:\n  _target_: hydra.utils.get_class\n  path: torch.nn.ReLU\n";
    assert_eq!(worst("model_config.yaml", fine.as_bytes(), rule), None);
}

#[test]
fn documents_within_documents_are_read() {
    let lambda = r#"{"class_name":"Sequential","config":{"layers":[{"class_name":"Lambda","config":{"function":["4wEAAAAA",null,null],"function_type":"lambda"}}]}}"#;
    let text = serde_json::to_string(lambda).unwrap();
    assert_eq!(worst("model.json", text.as_bytes(), "keras/code"), Some(Severity::High));
    let broken = zip(&[("config.json", b"{broken"), ("metadata.json", b"{}")]);
    let (facts, _) = scan("m.keras", &broken);
    assert!(facts.coverage.values().any(|coverage| !coverage.skipped.is_empty()), "a broken configuration is open");
}

#[test]
fn what_is_too_long_to_be_read_is_an_open_question() {
    let limits = Limits { header_bytes: 100_000, text_bytes: 100_000, ..Limits::default() };
    let open = |name: &str, bytes: &[u8]| !exercise(name, bytes, &limits).coverage["artifact/archive"].complete();
    let padded = |end: &str| format!("{{\"a\": 1{}{end}}}", " ".repeat(200_000));
    assert!(open("config.json", padded(r#", "auto_map": {"AutoModel": "x.Y"}"#).as_bytes()));
    assert!(!open("tokenizer.json", padded("").as_bytes()), "a vocabulary is long");
    let long = "x = 1\n".repeat(40_000);
    assert!(open("m.zip", &zip(&[("handler.py", long.as_bytes())])));
    assert!(!open("m.zip", &zip(&[("vocab.txt", long.as_bytes())])), "a list of words is long");
}

#[test]
fn a_safetensors_header_of_91_bytes_is_no_wide_text() {
    let mut header = br#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#.to_vec();
    header.resize(usize::from(b'['), b' ');
    let file = [&91_u64.to_le_bytes()[..], &header, &[1; 16]].concat();
    assert_eq!(loudest("m.safetensors", &file), None);
}

#[test]
fn labels_behind_a_tflite_model_are_its_own_and_other_archives_are_not() {
    let with = |members: &[(&str, &[u8])]| [TFLITE, &zip(members)].concat();
    let labels = with(&[("labelmap.txt", b"person\nos.system\n"), ("vocab.txt", b"[PAD]\n")]);
    assert!(loudest("m.tflite", &labels) < Some(Severity::Low), "{:?}", scan("m.tflite", &labels).1);
    let program = with(&[("labelmap.txt", b"person\n"), ("run", ELF)]);
    assert_eq!(worst("m.tflite", &program, "/hidden-archive"), Some(Severity::High));
    let pickle = with(&[("labelmap.txt", PICKLE)]);
    assert!(loudest("m.tflite", &pickle) >= Some(Severity::High));
    assert_eq!(worst("m.tflite", &[TFLITE, PICKLE].concat(), "pickle/dangerous-global"), Some(Severity::Critical));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, bytes).unwrap();
    packed.finish().unwrap()
}

/// A search in all that searches found would cost the product of their hits, so it ends; what it left is told.
#[test]
fn a_search_inside_of_what_was_found_ends_and_says_so() {
    // No text and no format: each byte is beyond ASCII and begins nothing.
    let noise: Vec<u8> = (0..400_u32).map(|i| 0xa0 | u8::try_from(i * 7 % 32).unwrap()).collect();
    let behind = |payload: &[u8]| [&noise[..], payload].concat();
    let once = behind(&gzip(&behind(ELF)));
    assert_eq!(worst("m.dat", &once, "/executable"), Some(Severity::High));
    let (facts, findings) = scan("m.dat", &behind(&gzip(&behind(&gzip(&behind(&gzip(&behind(ELF))))))));
    let told = facts.coverage.values().flat_map(|c| &c.skipped).any(|s| s.reason.to_string().contains("not searched"));
    assert!(told || findings.iter().any(|finding| finding.severity >= Severity::High), "{:?}", facts.coverage);
}

/// The pages of a Parquet file are streams of its own.
#[test]
fn whole_parquet_files_are_left_to_their_reader() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/churn/data/train.parquet");
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(loudest("train.parquet", &bytes), None);
    // More behind its end: its pages, too, are searched then, and when they are too many the question stays open.
    let (facts, findings) = scan("train.parquet", &[&bytes[..], ELF].concat());
    let told = facts.coverage.values().flat_map(|c| &c.skipped).any(|s| s.reason.to_string().contains("not searched"));
    assert!(told || findings.iter().any(|finding| finding.severity >= Severity::High), "{:?}", facts.coverage);
}
