//! Inputs on which fuzzing found a broken promise: facts have to come back from storage as they were.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_python::{Argument, Module, Value, analyze};

fn stored(source: &str) -> Module {
    let module = analyze(source, &gauntlet_limits::Limits::default()).unwrap();
    let bytes = serde_json::to_vec(&module).unwrap();
    assert_eq!(serde_json::from_slice::<Module>(&bytes).unwrap(), module);
    module
}

#[test]
fn seeds_keep_their_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/python/crashes");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!stored(&String::from_utf8_lossy(&source)).calls.is_empty());
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {folder}");
}

#[test]
fn deep_values_are_cut_to_what_can_be_stored_and_shallow_ones_are_kept() {
    for (open, close) in [("[", "]"), ("{'k': ", "}"), ("dict(k=", ")"), ("f(", ")")] {
        for depth in [4, 12, 40, 60] {
            let source = format!("r({}1{})\n", open.repeat(depth), close.repeat(depth));
            stored(&source);
        }
    }
    let module = stored("r([[[[1]]]])\n");
    let mut value = match module.calls[0].invocation.argument("x", Some(0)) {
        Argument::Given(value) => value,
        other => panic!("{other:?}"),
    };
    for _ in 0..4 {
        let Value::List(values) = value else { panic!("{value:?}") };
        value = &values[0];
    }
    assert_eq!(value, &Value::Int(1));
}
