//! Keras and HDF5: published holes as small twins, files of the real writers, and damage.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers may fail the test")]

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Facts, Finding, Judging, Limits, Severity, seal};

fn judge(facts: &Facts) -> Vec<Finding> {
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    seal(GATE.checks.iter().flat_map(|check| check.judge(facts, &judging).findings).collect())
}

fn findings(name: &str, bytes: &[u8]) -> Vec<Finding> {
    judge(&exercise(name, bytes, &Limits::default()))
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../testdata/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Rules and severities of a document, worst first.
fn rules(name: &str, text: &str) -> Vec<(String, Severity)> {
    let mut found: Vec<_> =
        findings(name, text.as_bytes()).into_iter().map(|f| (f.rule.to_string(), f.severity)).collect();
    found.sort_by_key(|(_, severity)| std::cmp::Reverse(*severity));
    found
}

fn worst(name: &str, text: &str) -> (String, Severity) {
    rules(name, text).into_iter().next().unwrap_or_else(|| panic!("nothing was found in {text}"))
}

/// A Sequential model of one layer.
fn model(layer: &str) -> String {
    format!(
        r#"{{"module":"keras","class_name":"Sequential","config":{{"name":"s","layers":[{layer}]}},"registered_name":null}}"#
    )
}

const CODE: &str = r#"{"module":"keras.layers","class_name":"Lambda","config":{"function":{"class_name":"__lambda__","config":{"code":"4wEAAAAAAAAAAAAAAAMAAAADAAAA8wwAAACXAGQBagAAAHwAUwA=\n","defaults":null,"closure":null}}}}"#;

#[test]
fn cve_2024_3660_lambda_layers_hold_code() {
    let wrapped = format!(r#"{{"module":"keras.layers","class_name":"TimeDistributed","config":{{"layer":{CODE}}}}}"#);
    for layer in [CODE, wrapped.as_str()] {
        assert_eq!(worst("config.json", &model(layer)), ("artifact/keras/code".into(), Severity::High));
    }
}

#[test]
fn cve_2025_1550_modules_are_imported_by_name() {
    for layer in [
        r#"{"module":"builtins","class_name":"exec","config":{"0":"x"},"registered_name":"function"}"#,
        r#"{"module":"subprocess","class_name":"Popen","config":{"args":["echo"]},"registered_name":null}"#,
        r#"{"module":"keras.layers","class_name":"Dense","config":{"activation":{"module":"os","class_name":"function","config":"system","registered_name":"system"}}}"#,
        r#"{"module":"importlib","class_name":"import_module","config":{}}"#,
        r#"{"module":"keras.src.utils.file_utils","class_name":"function","config":"os.system"}"#,
    ] {
        assert_eq!(worst("config.json", &model(layer)), ("artifact/keras/dangerous-object".into(), Severity::Critical));
    }
}

#[test]
fn cve_2025_8747_functions_of_keras_that_open_files() {
    for function in ["get_file", "load_img"] {
        let layer = format!(
            r#"{{"module":"keras.utils","class_name":"function","config":"{function}","registered_name":"function"}}"#
        );
        assert_eq!(worst("config.json", &model(&layer)), ("artifact/keras/dangerous-object".into(), Severity::High));
    }
}

#[test]
fn cve_2025_9905_training_configurations_name_functions() {
    let text = r#"{"optimizer_config":{"class_name":"Adam","config":{}},"loss":{"class_name":"function","module":"builtins","config":"eval"}}"#;
    assert_eq!(worst("training.json", text), ("artifact/keras/dangerous-object".into(), Severity::Critical));
}

#[test]
fn cve_2025_9906_configurations_switch_protection_off() {
    let layer = r#"{"module":"keras.config","class_name":"function","config":"enable_unsafe_deserialization"}"#;
    assert_eq!(worst("config.json", &model(layer)), ("artifact/keras/dangerous-object".into(), Severity::Critical));
}

#[test]
fn cve_2025_12058_vocabularies_name_files() {
    for (class, vocabulary) in
        [("StringLookup", "/etc/passwd"), ("IntegerLookup", "http://host/x"), ("TextVectorization", "a.txt")]
    {
        let layer =
            format!(r#"{{"module":"keras.layers","class_name":"{class}","config":{{"vocabulary":"{vocabulary}"}}}}"#);
        assert_eq!(worst("config.json", &model(&layer)), ("artifact/keras/opens-file".into(), Severity::High));
    }
    let inline =
        r#"{"module":"keras.layers","class_name":"StringLookup","config":{"vocabulary":["/etc/passwd","os.system"]}}"#;
    assert_eq!(rules("config.json", &model(inline)), []);
}

#[test]
fn cve_2021_37678_yaml_makes_objects() {
    let text = "backend: tensorflow\nclass_name: Sequential\nconfig: !!python/object/apply:os.system ['echo canary']\n";
    assert_eq!(worst("model.yaml", text), ("artifact/keras/yaml-tag".into(), Severity::Critical));
    let unknown = "class_name: Sequential\nconfig: !!python/object/new:mypackage.Thing {}\n";
    assert_eq!(worst("model.yml", unknown), ("artifact/keras/yaml-tag".into(), Severity::High));
    let data = "class_name: Sequential\nconfig: {shape: !!python/tuple [1, 2]}\n# !!python/object/apply:os.system\n";
    assert_eq!(rules("model.yml", data), []);
    let lambda = "class_name: Sequential\nconfig:\n  layers:\n  - class_name: Lambda\n    config:\n      function: [4wEAAAAAAAAAAAAAAAMAAAADAAAA8wwAAACXAGQBagAAAHwAUwA=]\n";
    assert_eq!(worst("model.yaml", lambda), ("artifact/keras/code".into(), Severity::High));
}

#[test]
fn torch_modules_are_read_as_pickles() {
    let layer =
        r#"{"module":"keras.layers","class_name":"TorchModuleWrapper","config":{"module":"gANjb3MKc3lzdGVtCg=="}}"#;
    let found = rules("config.json", &model(layer));
    assert!(found.contains(&("artifact/pickle/dangerous-global".into(), Severity::Critical)), "{found:?}");
    assert!(found.contains(&("artifact/keras/dangerous-object".into(), Severity::High)), "{found:?}");
}

#[test]
fn tensorflow_functions_that_open_files_are_found() {
    let layer = r#"{"class_name":"TFOpLambda","config":{"name":"x","function":"io.write_file"}}"#;
    assert_eq!(worst("config.json", &model(layer)), ("artifact/keras/operator".into(), Severity::High));
    let layer = r#"{"class_name":"TFOpLambda","config":{"name":"x","function":"math.add"}}"#;
    assert_eq!(rules("config.json", &model(layer)), []);
}

#[test]
fn custom_objects_are_notes() {
    for layer in [
        r#"{"module":"mypackage","class_name":"Layer","config":{},"registered_name":"my>Layer"}"#,
        r#"{"class_name":"Custom>Scaled","config":{}}"#,
        r#"{"module":"keras_hub.src.layers","class_name":"RMSNorm2","config":{},"registered_name":"keras_hub>RMSNorm2"}"#,
    ] {
        assert_eq!(rules("config.json", &model(layer)), [("artifact/keras/custom-object".to_owned(), Severity::Low)]);
    }
}

#[test]
fn what_only_python_reads_as_json_is_read() {
    let text = model(r#"{"module":"os","class_name":"system","config":{"a":NaN,"b":1e999,"c":"\ud800"}}"#);
    let expected = ("artifact/keras/dangerous-object".to_owned(), Severity::Critical);
    assert_eq!(worst("config.json", &text), expected);
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let found = findings("config.json", &wide);
    assert!(found.iter().any(|f| f.rule == expected.0.as_str()), "{found:?}");
    // Nested deeper than we read: an open question.
    let deep = format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200));
    let facts = exercise("config.json", deep.as_bytes(), &Limits::default());
    assert!(!facts.coverage["artifact/archive"].complete());
}

#[test]
fn names_that_a_program_registers_are_noted() {
    let layer = r#"{"module":"keras.layers","class_name":"Dense","config":{},"registered_name":"evil>Dense"}"#;
    assert_eq!(rules("config.json", &model(layer)), [("artifact/keras/custom-object".to_owned(), Severity::Low)]);
}

#[test]
fn keys_that_occur_twice_are_found() {
    let text = r#"{"module":"keras","class_name":"Sequential","config":{"layers":[]},"config":{"layers":[]}}"#;
    assert_eq!(worst("config.json", text), ("artifact/keras/duplicate-key".into(), Severity::Medium));
}

#[test]
fn files_of_the_real_writers_are_left_alone() {
    for name in
        ["keras/layers.keras", "keras/layers.h5", "keras/layers.json", "keras/old-layers.h5", "keras/old-operators.h5"]
    {
        let facts = exercise(name, &fixture(name), &Limits::default());
        assert_eq!(judge(&facts), [], "{name}");
        assert!(facts.coverage.values().all(gauntlet_core::Coverage::complete), "{name}");
        assert!(facts.coverage["artifact/keras"].looked_at > 0, "{name}");
    }
    for name in ["hdf5/chunks", "hdf5/dense", "hdf5/block"] {
        for version in ["earliest", "latest"] {
            let name = format!("{name}-{version}.h5");
            let facts = exercise(&name, &fixture(&name), &Limits::default());
            assert!(judge(&facts).iter().all(|f| f.severity < Severity::Medium), "{name}");
            assert!(facts.coverage["artifact/hdf5"].looked_at > 0);
        }
    }
}

#[test]
fn code_of_the_real_writers_is_found_whatever_the_name() {
    for (name, called) in [
        ("keras/lambda.keras", "x.keras"),
        ("keras/old-lambda.h5", "x.h5"),
        ("keras/old-lambda.h5", "x.keras"),
        ("keras/old-lambda.h5", "weights"),
    ] {
        let found = findings(called, &fixture(name));
        let code =
            found.iter().find(|f| f.rule == "artifact/keras/code").unwrap_or_else(|| panic!("{name}: {found:?}"));
        assert!(code.message.contains("compiled Python code"), "{}", code.message);
    }
}

#[test]
fn what_an_hdf5_file_reaches_for_is_found() {
    for version in ["earliest", "latest"] {
        let found = findings("x.h5", &fixture(&format!("hdf5/outside-{version}.h5")));
        let severity = |rule: &str| found.iter().find(|f| f.rule == rule).map(|f| f.severity);
        // CVE-2026-1669 and CVE-2026-0897.
        assert_eq!(severity("artifact/hdf5/external-storage"), Some(Severity::High));
        assert_eq!(severity("artifact/hdf5/claimed-size"), Some(Severity::High));
        assert_eq!(severity("artifact/hdf5/virtual-source"), Some(Severity::Medium));
        let found = findings("x.h5", &fixture(&format!("hdf5/plain-{version}.h5")));
        assert_eq!(found[0].rule, "artifact/hdf5/external-link");
        // A pickle in a dataset that was deleted.
        let found = findings("x.h5", &fixture(&format!("hdf5/deleted-{version}.h5")));
        assert_eq!(
            (found[0].rule.as_ref(), found[0].severity),
            ("artifact/pickle/dangerous-global", Severity::Critical)
        );
        // The same behind the end, and in a user block.
        let pickle = b"\x80\x04cos\nsystem\n(S'echo canary'\ntR.";
        let mut longer = fixture(&format!("hdf5/chunks-{version}.h5"));
        longer.extend_from_slice(pickle);
        let found = findings("x.h5", &longer);
        assert!(found.iter().any(|f| f.rule == "artifact/pickle/dangerous-global"), "{found:?}");
        assert!(found.iter().any(|f| f.rule == "artifact/hdf5/unowned-bytes"), "{found:?}");
        let mut block = fixture(&format!("hdf5/block-{version}.h5"));
        block[..pickle.len()].copy_from_slice(pickle);
        let found = findings("x.h5", &block);
        assert!(found.iter().any(|f| f.rule == "artifact/pickle/dangerous-global"), "{found:?}");
    }
}

#[test]
fn a_file_behind_a_long_user_block_is_read() {
    let mut far = vec![b'#'; 1 << 17];
    far.extend(fixture("keras/old-lambda.h5"));
    for name in ["notes", "x.h5", "x.txt"] {
        assert!(findings(name, &far).iter().any(|f| f.rule == "artifact/keras/code"), "{name}");
    }
}

#[test]
fn damaged_files_are_never_clean() {
    let whole = fixture("keras/layers.h5");
    for len in [0, 7, 8, 50, 96, 400, 2000, whole.len() - 1] {
        let facts = exercise("x.h5", &whole[..len], &Limits::default());
        assert!(!facts.coverage.values().all(gauntlet_core::Coverage::complete), "{len}");
    }
    let limits = Limits { steps: 100, ..Limits::default() };
    let facts = exercise("x.h5", &whole, &limits);
    assert!(!facts.coverage["artifact/hdf5"].complete());
}
