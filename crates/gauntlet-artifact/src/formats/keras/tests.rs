//! What is found in configurations.
use gauntlet_limits::Limits;

use super::*;

fn facts(text: &str) -> (KerasFacts, Vec<Part>) {
    read(&Document::parse(text.as_bytes(), &Limits::default()).unwrap())
}

fn names(text: &str) -> Vec<(Option<String>, String, bool)> {
    facts(text).0.objects.into_iter().map(|o| (o.module, o.name, o.function)).collect()
}

const CODE: &str = "4wEAAAAAAAAAAAAAAAMAAAADAAAA8wwAAACXAGQBagAAAHwAUwA=\\n";

#[test]
fn objects_are_found_at_any_depth_once() {
    let dense = r#"{"module":"keras.layers","class_name":"Dense","config":{"kernel_initializer":{"module":"keras.initializers","class_name":"Zeros","config":{}}}}"#;
    let text = format!(r#"{{"module":"keras","class_name":"Sequential","config":{{"layers":[{dense},{dense}]}}}}"#);
    let found = facts(&text).0.objects;
    assert_eq!(
        found.iter().map(|o| (o.name.as_str(), o.count)).collect::<Vec<_>>(),
        [("Sequential", 1), ("Dense", 2), ("Zeros", 2)]
    );
    assert_eq!(found[2].place, "config.layers[0].config.kernel_initializer");
}

#[test]
fn functions_have_both_of_their_names() {
    let text = r#"{"loss":{"module":"os","class_name":"function","config":"a","registered_name":"system"}}"#;
    assert_eq!(names(text), [(Some("os".into()), "a".into(), true), (Some("os".into()), "system".into(), true)]);
    let text = r#"{"class_name":"Lambda","config":{"function":"system","function_type":"function","module":"os"}}"#;
    assert_eq!(names(text)[1], (Some("os".into()), "system".into(), true));
}

#[test]
fn code_is_found_in_every_version() {
    for text in [
        r#"{"class_name":"Lambda","config":{"function":{"class_name":"__lambda__","config":{"code":"CODE"}}}}"#,
        r#"{"class_name":"Lambda","config":{"function":{"class_name":"__lambda__","config":{"value":"CODE"}}}}"#,
        r#"{"class_name":"Lambda","config":{"function":["CODE",null,null],"function_type":"lambda"}}"#,
        r#"{"class_name":"Lambda","config":{"function":{"items":["CODE"]}}}"#,
        r#"{"class_name":"Lambda","config":{"output_shape":"CODE","output_shape_type":"lambda"}}"#,
        r#"{"class_name":"Anything","config":{"deep":[{"er":"CODE"}]}}"#,
    ] {
        let (facts, _) = facts(&text.replace("CODE", CODE));
        assert_eq!(facts.code.iter().map(|c| c.kind).collect::<Vec<_>>(), [CodeKind::Marshal], "{text}");
    }
    let unknown = r#"{"class_name":"Lambda","config":{"function":["not code at all"]}}"#;
    assert_eq!(facts(unknown).0.code[0].kind, CodeKind::Unknown);
}

#[test]
fn pickles_come_out_whole() {
    let text = r#"{"class_name":"TorchModuleWrapper","config":{"module":"gANjb3MKc3lzdGVtCg=="}}"#;
    let (facts, parts) = facts(text);
    assert_eq!((facts.code[0].kind, parts[0].1.as_slice()), (CodeKind::Pickle, &b"\x80\x03cos\nsystem\n"[..]));
}

#[test]
fn names_of_code_are_listed() {
    let mut bytes = b"\xe3\x01\0\0\0\0\0\0\0".to_vec();
    bytes.extend(b"\xda\x06systemz\x02osa\x04\0\0\0echo\x73\x02\0\0\0xx");
    assert_eq!(code::names(&bytes), ["system", "os", "echo"]);
}

#[test]
fn files_are_told_from_words() {
    let text = r#"{"class_name":"StringLookup","config":{"vocabulary":"/etc/passwd","name":"a"}}"#;
    let file = &facts(text).0.files[0];
    assert_eq!(
        (file.class.as_str(), file.field.as_str(), file.kind),
        ("StringLookup", "vocabulary", PathKind::Absolute)
    );
    let text = r#"{"class_name":"StringLookup","config":{"vocabulary":["/etc/passwd","b"],"mode":"a/b"}}"#;
    assert_eq!(facts(text).0.files, []);
    let text = r#"{"class_name":"A","config":{"url":"https://user:secret@host/x"}}"#;
    assert_eq!(facts(text).0.files[0].value, "https://…@host/x");
    assert_eq!(PathKind::of("../x"), PathKind::Parent);
    assert_eq!(PathKind::of("s3://bucket/x"), PathKind::Url);
    assert_eq!(PathKind::of("C:\\x"), PathKind::Absolute);
}

#[test]
fn operators_are_named() {
    let text = r#"{"class_name":"TFOpLambda","config":{"name":"x","function":"io.write_file"}}"#;
    assert_eq!(facts(text).0.operators[0].function, "io.write_file");
    let text = r#"{"class_name":"TensorFlowOpLayer","config":{"node_def":"{\"name\": \"a\", \"op\": \"ReadFile\"}"}}"#;
    assert_eq!(facts(text).0.operators[0].function, "ReadFile");
}
