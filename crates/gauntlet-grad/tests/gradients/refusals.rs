//! What is refused, and what the message says; options; mutated files.
use std::collections::BTreeMap;

use crate::interpreter::Tensor;
use crate::support::build::Attribute::{Int, Ints, Text};
use crate::support::build::{Message, Sketch};
use crate::support::{backward, differentiate, file, finite_difference_error, forward, noise};
use gauntlet_grad::{Differentiable, Dim, Feed, GradError, Options};
use gauntlet_limits::{Budget, Limits};
use gauntlet_onnx::{ElementType, Model};

fn refusal(sketch: &Sketch) -> GradError {
    differentiate(&sketch.bytes(), &Options::default()).unwrap_err()
}

fn ok(sketch: &Sketch) -> Differentiable {
    differentiate(&sketch.bytes(), &Options::default()).unwrap()
}

#[test]
fn all_operators_without_a_gradient_are_named() {
    let sketch = Sketch::new(&[0, 4])
        .ints("k", &[2])
        .node("TopK", "x k", "t i", &[])
        .node("Tanh", "t", "u", &[])
        .node("Einsum", "u", "v", &[])
        .node("Softsign", "v", "y", &[]);
    let GradError::Unsupported(list) = refusal(&sketch) else { panic!("another refusal") };
    let names: Vec<&str> = list.iter().map(|unsupported| unsupported.operator.as_str()).collect();
    assert_eq!(names, ["TopK", "Einsum"]);
    assert_eq!(list[0].node, "t");
}

#[test]
fn operators_beside_the_way_to_the_logits_do_not_matter() {
    let sketch = Sketch::new(&[0, 4]).node("Tanh", "x", "y", &[]).node("ArgMax", "y", "label", &[]);
    assert_eq!(ok(&sketch).outputs().len(), 1);
}

#[test]
fn gradients_that_are_missing_later_are_named_together() {
    let sketch = Sketch::new(&[0, 2, 3])
        .ints("a", &[2])
        .node("ReduceProd", "x a", "p", &[Int("keepdims", 0)])
        .node("Tanh", "p", "t", &[])
        .node("ReduceProd", "t a1", "y", &[Int("keepdims", 0)])
        .ints("a1", &[1]);
    let GradError::Unsupported(list) = refusal(&sketch) else { panic!("another refusal") };
    assert_eq!(list.len(), 2);
}

#[test]
fn a_cycle_is_found_and_named() {
    let sketch =
        Sketch::new(&[0, 4]).node("Add", "x b", "a", &[]).node("Tanh", "a", "b", &[]).node("Exp", "b", "y", &[]);
    let text = refusal(&sketch).to_string();
    assert!(text.contains("needs its own result"), "{text}");
}

#[test]
fn nodes_may_stand_in_any_order() {
    let sketch = Sketch::new(&[0, 4]).node("Exp", "t", "y", &[]).node("Tanh", "x", "t", &[]);
    ok(&sketch);
}

#[test]
fn names_that_are_missing_or_given_twice_are_errors() {
    let text = refusal(&Sketch::new(&[0, 4]).node("Add", "x ghost", "y", &[])).to_string();
    assert!(text.contains("ghost"), "{text}");
    let twice = Sketch::new(&[0, 4]).node("Tanh", "x", "y", &[]).node("Exp", "x", "y", &[]);
    assert!(refusal(&twice).to_string().contains("two definitions"));
    let text = refusal(&Sketch::new(&[0, 4]).node("Tanh", "x", "z", &[])).to_string();
    assert!(text.contains("`y`"), "{text}");
}

#[test]
fn shapes_that_do_not_go_together_are_errors_with_the_shapes() {
    let sketch = Sketch::new(&[0, 4]).floats("w", &[3, 2], &noise(1, 6)).node("MatMul", "x w", "y", &[]);
    let text = refusal(&sketch).to_string();
    assert!(text.contains("[N, 4]") && text.contains("[3, 2]"), "{text}");
}

#[test]
fn rows_of_a_batch_may_not_mix() {
    let sums = Sketch::new(&[0, 4]).ints("a", &[0]).node("ReduceSum", "x a", "y", &[]);
    assert!(refusal(&sums).to_string().contains("batch"));
    let softmax = Sketch::new(&[0, 4]).node("Softmax", "x", "y", &[Int("axis", 0)]);
    assert!(refusal(&softmax).to_string().contains("batch"));
    let sketch =
        Sketch::new(&[0, 4]).node("Transpose", "x", "t", &[Ints("perm", vec![1, 0])]).node("MatMul", "t x", "y", &[]);
    assert!(refusal(&sketch).to_string().contains("batch"));
}

#[test]
fn declared_sizes_are_refused_before_anything_is_allocated() {
    let huge = Message::default().int(1, 1 << 40).int(2, 1).text(8, "w").bytes(9, &[0; 4]);
    let sketch = Sketch::new(&[0, 4]).tensor(&huge).node("Add", "x w", "y", &[]);
    assert!(matches!(refusal(&sketch), GradError::Limit(_)));
    let short = Sketch::new(&[0, 4]).raw("w", 1, &[4], &[0; 12]).node("Add", "x w", "y", &[]);
    assert!(refusal(&short).to_string().contains("12 bytes"));
    let grown = Sketch::new(&[0, 4]).ints("s", &[1 << 20, 1 << 20, 1]).node("Expand", "x s", "y", &[]);
    assert!(refusal(&grown).to_string().contains("shape"));
    let input = Sketch::new(&[0, 1 << 40]).node("Tanh", "x", "y", &[]);
    assert!(refusal(&input).to_string().contains("shape"));
}

#[test]
fn constants_in_other_files_are_named_when_they_are_missing() {
    let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    let tensor =
        Message::default().int(1, 4).int(2, 1).text(8, "w").bytes(13, &entry("location", "weights.bin").0).int(14, 1);
    let sketch = Sketch::new(&[0, 4]).tensor(&tensor).node("Add", "x w", "y", &[]);
    let GradError::External { tensor, location } = refusal(&sketch) else { panic!("another refusal") };
    assert_eq!((tensor.as_str(), location.as_str()), ("w", "weights.bin"));

    struct Files;
    impl gauntlet_grad::ExternalData for Files {
        fn open(&self, location: &str) -> std::io::Result<Box<dyn gauntlet_limits::ReadAt>> {
            assert_eq!(location, "weights.bin");
            Ok(Box::new(vec![0u8; 16]))
        }
    }
    let options = Options { external: Some(&Files), ..Options::default() };
    differentiate(&sketch.bytes(), &options).unwrap();
}

#[test]
fn open_sizes_have_to_be_given_but_for_the_batch() {
    let sketch = Sketch::new(&[0, 0]).node("Tanh", "x", "y", &[]);
    let text = refusal(&sketch).to_string();
    assert!(text.contains("axis 1") && text.contains("`N`"), "{text}");
    let options = Options { sizes: BTreeMap::from([("x:1".to_owned(), 7)]), ..Options::default() };
    let graphs = differentiate(&sketch.bytes(), &options).unwrap();
    assert_eq!(graphs.inputs()[0].shape, [Dim::Rows(1), Dim::Fixed(7)]);
    let options = Options { sizes: BTreeMap::from([("N".to_owned(), 3)]), ..Options::default() };
    let graphs = differentiate(&sketch.bytes(), &options).unwrap();
    assert_eq!(graphs.gradient().shape, [Dim::Fixed(3), Dim::Fixed(3)]);
}

#[test]
fn opsets_that_are_not_known_are_refused() {
    for opset in [6, 99] {
        let sketch = Sketch { opset, ..Sketch::new(&[0, 4]).node("Tanh", "x", "y", &[]) };
        assert!(refusal(&sketch).to_string().contains(&opset.to_string()));
    }
}

#[test]
fn outputs_without_a_gradient_are_refused() {
    let rounded = Sketch::new(&[0, 4]).node("Floor", "x", "y", &[]);
    assert!(refusal(&rounded).to_string().contains("does not depend"));
    let constant = Sketch::new(&[0, 4]).floats("c", &[2], &[1.0, 2.0]).node("Exp", "c", "y", &[]);
    assert!(refusal(&constant).to_string().contains("no float input"));
    let kernel = Sketch::new(&[1, 1, 3, 3]).floats("i", &[1, 1, 5, 5], &noise(1, 25)).node("Conv", "i x", "y", &[]);
    assert!(refusal(&kernel).to_string().contains("kernel"));
}

#[test]
fn constants_are_folded_and_shapes_with_them() {
    // The shape is computed from constants and the batch alone: none of it is left in the graph.
    let sketch = Sketch::new(&[0, 3, 4])
        .ints("zero", &[0])
        .ints("rest", &[-1])
        .floats("c", &[12], &noise(2, 12))
        .floats("d", &[12], &noise(3, 12))
        .node("Shape", "x", "s", &[])
        .node("Gather", "s zero", "n", &[])
        .node("Concat", "n rest", "t", &[Int("axis", 0)])
        .node("Reshape", "x t", "f", &[])
        .node("Mul", "c d", "cd", &[])
        .node("Exp", "cd", "e", &[])
        .node("Mul", "f e", "y", &[]);
    let graphs = ok(&sketch);
    let model = Model::read(&graphs.forward().to_vec(), &Budget::default()).unwrap();
    let left: Vec<&str> = model.graphs[0].nodes.iter().map(|node| node.op_type.as_str()).collect();
    assert_eq!(left, ["Reshape", "Mul"]);
    assert_eq!(graphs.logits().shape, [Dim::Rows(1), Dim::Fixed(12)]);
}

#[test]
fn residuals_are_few_and_name_their_source() {
    let graphs = differentiate(&file("mnist_cnn_std.onnx"), &Options::default()).unwrap();
    let names: Vec<&str> = graphs.outputs().iter().map(|port| port.name.as_str()).collect();
    // Three rectifiers and two pools.
    assert_eq!((names[0], names.len()), ("logits", 6));
    assert_eq!(graphs.inputs()[0].name, "x");
    assert_eq!(graphs.gradient().shape, graphs.inputs()[0].shape);
    assert_eq!(graphs.feeds().iter().filter(|(_, feed)| *feed == Feed::Seed).count(), 1);
    assert!(graphs.bytes_per_row() > 28 * 28 * 4);
}

#[test]
fn text_models_are_differentiated_at_their_embeddings() {
    let graphs = differentiate(&file("spam_bag.onnx"), &Options::default()).unwrap();
    assert_eq!(graphs.inputs()[0].element_type, ElementType::Int64);
    assert_eq!(graphs.target().shape, [Dim::Rows(1), Dim::Fixed(60), Dim::Fixed(16)]);
    let options = Options { with_respect_to: Some("ids".to_owned()), ..Options::default() };
    let text = differentiate(&file("spam_bag.onnx"), &options).unwrap_err().to_string();
    assert!(text.contains("no variable float"), "{text}");
}

#[test]
fn blocks_of_pixels_come_back_as_they_went() {
    for crd in [false, true] {
        let mut attributes = vec![Int("blocksize", 2)];
        if crd {
            attributes.push(Text("mode", "CRD"));
        }
        let sketch = Sketch::new(&[0, 8, 2, 3])
            .node("DepthToSpace", "x", "s", &attributes)
            .node("SpaceToDepth", "s", "d", &attributes)
            .node("Neg", "d", "y", &[]);
        let graphs = ok(&Sketch { opset: 28, ..sketch });
        let x = Tensor::float(&[1, 8, 2, 3], noise(4, 48));
        assert_eq!(forward(&graphs, &x)[0], x.map(|n| -n));
    }
}

#[test]
fn the_norm_of_zeros_has_the_gradient_zero() {
    let sketch = Sketch::new(&[0, 3]).ints("a", &[1]).node("ReduceL2", "x a", "y", &[]);
    let graphs = ok(&sketch);
    let x = Tensor::float(&[2, 3], vec![0.0, 0.0, 0.0, 3.0, 0.0, 4.0]);
    let outputs = forward(&graphs, &x);
    let gradient = backward(&graphs, &x, &outputs, &Tensor::float(&[2, 1], vec![1.0, 1.0]));
    assert_eq!(outputs[0].data, [0.0, 5.0]);
    assert_eq!(gradient.data.iter().map(|n| (n * 10.0).round()).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 6.0, 0.0, 8.0]);
}

#[test]
fn of_several_inputs_the_named_one_is_differentiated() {
    let sketch = Sketch::new(&[0, 3]).input("m", 1, &[0, 3]).node("Mul", "x m", "p", &[]).node("Sin", "p", "y", &[]);
    let options = Options { with_respect_to: Some("m".to_owned()), ..Options::default() };
    let graphs = differentiate(&sketch.bytes(), &options).unwrap();
    assert_eq!(graphs.target().name, "m");
    let feeds: Vec<Feed> = graphs.feeds().iter().map(|(_, feed)| *feed).collect();
    assert_eq!(feeds, [Feed::Seed, Feed::Input(0), Feed::Output(1)]);
}

#[test]
fn linear_classifiers_have_gradients_and_trees_have_none() {
    let options = Options { output: Some("probabilities".to_owned()), ..Options::default() };
    let read =
        |name: &str| std::fs::read(format!("{}/../../testdata/onnx/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let graphs = differentiate(&read("cancer_logreg.onnx"), &options).unwrap();
    let x = Tensor::float(&[2, 30], noise(9, 60).iter().map(|n| 10.0 + n).collect());
    assert!(finite_difference_error(&graphs, &x) < 1e-6);
    let text = differentiate(&read("cancer_gbm.onnx"), &options).unwrap_err().to_string();
    assert!(text.contains("ai.onnx.ml.TreeEnsembleClassifier"), "{text}");
}

#[test]
fn half_precision_is_computed_in_single_and_said() {
    let halves: Vec<u8> = [0x3c00u16, 0x4000].iter().flat_map(|n| n.to_le_bytes()).collect();
    let mut sketch = Sketch::new(&[]).raw("w", 10, &[2], &halves);
    sketch = sketch.input("h", 10, &[0, 2]).node("Mul", "h w", "p", &[]).node("Tanh", "p", "y", &[]);
    let graphs = ok(&sketch);
    assert!(graphs.is_widened());
    assert_eq!(graphs.inputs()[0].element_type, ElementType::Float);
}

#[test]
fn budgets_hold() {
    let bytes = file("tiny_vit.onnx");
    let model = Model::read(&bytes, &Budget::default()).unwrap();
    for limits in [
        Limits { nodes: 50, ..Limits::default() },
        Limits { steps: 50, ..Limits::default() },
        Limits { expanded_bytes: 5_000, ..Limits::default() },
    ] {
        let result = Differentiable::new(&model, &bytes, &Options::default(), &Budget::new(limits));
        assert!(matches!(result, Err(GradError::Limit(_))));
    }
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let bytes = file("tiny_mobilenet.onnx");
    let (a, b) =
        (differentiate(&bytes, &Options::default()).unwrap(), differentiate(&bytes, &Options::default()).unwrap());
    assert!(a.forward() == b.forward() && a.backward() == b.backward());
}

/// Truncated, flipped and spliced files end in graphs or in an error, within the budget, and never in a panic.
#[test]
fn mutated_models_end_in_an_answer() {
    let limits =
        Limits { header_bytes: 1 << 20, expanded_bytes: 8 << 20, steps: 1 << 20, nodes: 20_000, ..Limits::default() };
    let mut seeds: Vec<Vec<u8>> =
        ["tiny_hourglass.onnx", "tiny_mobilenet.onnx", "tiny_resnet.onnx", "tiny_bert.onnx"].map(file).to_vec();
    for case in crate::support::json("operators.json").as_array().unwrap() {
        let text = case["model"].as_str().unwrap();
        seeds.push((0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect());
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let (mut graphs, mut errors) = (0, 0);
    for round in 0..30_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(8) {
                0 => bytes.truncate(at + 1),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
                2 => {
                    let other = &seeds[next(seeds.len())];
                    let from = next(other.len());
                    let until = (from + next(40)).min(other.len());
                    bytes.splice(at..at, other[from..until].iter().copied());
                }
                _ => bytes[at] ^= 1 << next(8),
            }
        }
        let budget = Budget::new(limits.clone());
        let Ok(model) = Model::read(&bytes, &budget) else { continue };
        match Differentiable::new(&model, &bytes, &Options::default(), &budget) {
            Ok(made) => {
                graphs += 1;
                // What is written can be read.
                for emitted in [made.forward(), made.backward()] {
                    Model::read(&emitted.to_vec(), &Budget::default()).unwrap();
                }
            }
            Err(_) => errors += 1,
        }
    }
    println!("{graphs} graphs, {errors} errors");
    assert!(graphs > 1000 && errors > 1000, "{graphs} graphs, {errors} errors");
}
