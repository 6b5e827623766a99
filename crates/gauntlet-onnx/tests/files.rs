//! Real and hostile files: facts of both, and seeded mutations that must end in an answer.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_limits::{Budget, Limits};
use gauntlet_onnx::{LocationProblem, Model, OnnxError, OnnxFacts, TensorProblem};

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/onnx/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn facts(name: &str) -> OnnxFacts {
    OnnxFacts::of(&Model::read(&bytes(name), &Budget::default()).unwrap())
}

fn has_operator(facts: &OnnxFacts, domain: &str, op: &str, within: &str) -> bool {
    facts.operators.iter().any(|o| (o.domain.as_str(), o.op_type.as_str(), o.within.as_str()) == (domain, op, within))
}

#[test]
fn real_models_have_nothing_odd() {
    for name in ["cancer_logreg.onnx", "cancer_gbm.onnx", "digits_mlp.onnx"] {
        let facts = facts(name);
        assert!(facts.nodes > 0 && facts.ir_version.is_some(), "{name}");
        assert_eq!((facts.odd_tensors.len(), facts.external.len(), facts.unknown_fields), (0, 0, 0), "{name}");
        assert_eq!(facts.graph_fields, 1);
        assert!(!facts.inputs.is_empty() && !facts.outputs.is_empty());
    }
}

#[test]
fn operators_in_branches_and_functions_are_seen() {
    assert!(has_operator(&facts("c111.onnx"), "ai.onnx.contrib", "PyOp", "sub-graph"));
    assert!(has_operator(&facts("c112.onnx"), "ai.onnx.contrib", "PyOp", "function"));
}

#[test]
fn external_data_that_leaves_is_seen_everywhere() {
    for name in ["c102.onnx", "c113.onnx"] {
        assert!(facts(name).external[0].problems.contains(&LocationProblem::Parent), "{name}");
    }
    assert!(facts("c107.onnx").odd_tensors[0].problems.contains(&TensorProblem::ExternalField));
}

#[test]
fn overflowing_dimensions_are_seen() {
    assert!(facts("c116.onnx").odd_tensors[0].problems.contains(&TensorProblem::Overflow));
}

#[test]
fn appended_bytes_are_an_error_with_an_offset() {
    let error = Model::read(&bytes("c115.onnx"), &Budget::default()).unwrap_err();
    assert!(matches!(error, OnnxError::Malformed { .. } | OnnxError::Truncated { .. }), "{error}");
}

#[test]
fn facts_survive_storage() {
    let facts = facts("c107.onnx");
    let mut stored = Vec::new();
    // Any self-describing format does; the gate stores JSON.
    serde_json::to_writer(&mut stored, &facts).unwrap();
    assert_eq!(serde_json::from_slice::<OnnxFacts>(&stored).unwrap(), facts);
}

#[test]
fn mutated_models_end_in_an_answer() {
    let names = ["c102.onnx", "c107.onnx", "c111.onnx", "c112.onnx", "c113.onnx", "c115.onnx", "cancer_logreg.onnx"];
    let seeds: Vec<_> = names.iter().map(|name| bytes(name)).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    let limits = Limits { steps: 100_000, ..Limits::default() };
    for round in 0..20_000 {
        let mut model = seeds[round % seeds.len()].clone();
        for _ in 0..=random(4) {
            let at = random(model.len());
            match random(4) {
                0 => model.truncate(at.max(1)),
                1 => model[at] ^= 1 << random(8),
                2 => model[at] = [0, 0x7f, 0x80, 0xff][random(4)],
                _ => {
                    let other = &seeds[random(seeds.len())];
                    let from = random(other.len());
                    model.splice(at..at, other[from..(from + random(40)).min(other.len())].iter().copied());
                }
            }
        }
        if let Ok(model) = Model::read(&model, &Budget::new(limits.clone())) {
            assert!(OnnxFacts::of(&model).graphs > 0);
        }
    }
}
