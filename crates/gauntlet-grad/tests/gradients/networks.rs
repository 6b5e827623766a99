//! Whole networks: gradients of PyTorch, and attacks that need no random numbers.
use crate::interpreter::Tensor;
use crate::support::{backward, differentiate, distance, file, forward, json, tensor};
use gauntlet_grad::{ConvGradient, Differentiable, Options};

#[test]
fn gradients_are_those_of_pytorch() {
    let networks = json("networks.json");
    for (name, network) in networks.as_object().unwrap() {
        for conv_gradient in [ConvGradient::Transposed, ConvGradient::Flipped] {
            let options = Options { conv_gradient, ..Options::default() };
            let graphs = differentiate(&file(&format!("{name}.onnx")), &options).unwrap();
            let x = tensor(&network["x"]);
            let outputs = forward(&graphs, &x);
            let far = distance(&outputs[0], &tensor(&network["logits"]));
            assert!(far < 1e-5, "{name}: logits are off by {far:e}");
            let gradient = backward(&graphs, &x, &outputs, &tensor(&network["seed"]));
            let expected = tensor(&network["gradient"]);
            let scale = expected.data.iter().fold(0.0, |m: f64, n| m.max(n.abs()));
            let off = gradient.data.iter().zip(&expected.data).map(|(a, b)| (a - b).abs() / scale);
            let far = off.fold(0.0, f64::max);
            assert!(far < 1e-4, "{name}: gradients are off by {far:e}");
            println!("{name}: {far:e}, {} nodes", graphs.outputs().len());
        }
    }
}

/// Rows of a `.npy` file of format 1.0.
fn rows(name: &str, element: fn(&[u8]) -> f64, width: usize) -> Vec<f64> {
    let bytes = file(name);
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]])) + 10;
    bytes[header..].chunks_exact(width).map(element).collect()
}

/// The share of `labels` that the fast gradient sign method at `eps` leaves alone.
fn fgsm(graphs: &Differentiable, x: &Tensor, labels: &[usize], eps: f64) -> f64 {
    let right = |logits: &Tensor| -> Vec<bool> {
        let best = |row: &[f64]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        logits.data.chunks(10).zip(labels).map(|(row, label)| best(row) == *label).collect()
    };
    let outputs = forward(graphs, x);
    let mut seed = outputs[0].clone();
    for (row, label) in seed.data.chunks_mut(10).zip(labels) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
        row.iter_mut().for_each(|z| *z = (*z - largest).exp() / sum);
        row[*label] -= 1.0;
    }
    let gradient = backward(graphs, x, &outputs, &seed);
    let sign = |g: f64| if g == 0.0 { 0.0 } else { g.signum() };
    let data = x.data.iter().zip(&gradient.data).map(|(x, g)| (x + eps * sign(*g)).clamp(0.0, 1.0)).collect();
    let attacked = forward(graphs, &Tensor::float(&x.dims, data));
    let survivors = right(&outputs[0]).into_iter().zip(right(&attacked[0])).filter(|(a, b)| *a && *b).count();
    survivors as f64 / labels.len() as f64
}

#[test]
fn fgsm_breaks_as_many_rows_as_the_reference_attack() {
    let digits = rows("digits_test_x_head.npy", |raw| f64::from(f32::from_le_bytes(raw.try_into().unwrap())), 4);
    let digit_labels: Vec<usize> =
        rows("digits_test_y_head.npy", |raw| i64::from_le_bytes(raw.try_into().unwrap()) as f64, 8)
            .iter()
            .map(|n| *n as usize)
            .collect();
    let images = rows("mnist_test_x_head.npy", |raw| f64::from(f32::from(raw[0]) / 255.0), 1);
    let image_labels: Vec<usize> =
        rows("mnist_test_y_head.npy", |raw| f64::from(raw[0]), 1).iter().map(|n| *n as usize).collect();
    let cases = [
        ("digits_mlp", Tensor::float(&[200, 64], digits[..200 * 64].to_vec()), &digit_labels, 0.1, 0.475),
        ("mnist_cnn_adv", Tensor::float(&[128, 1, 28, 28], images.clone()), &image_labels, 0.2, 0.8672),
        ("mnist_cnn_std", Tensor::float(&[100, 1, 28, 28], images[..100 * 784].to_vec()), &image_labels, 0.1, 0.71),
    ];
    for (name, x, labels, eps, reference) in cases {
        let graphs = differentiate(&file(&format!("{name}.onnx")), &Options::default()).unwrap();
        let count = x.dims[0];
        let robust = fgsm(&graphs, &x, &labels[..count], eps);
        println!("{name}: {robust}, reference {reference}");
        assert!((robust - reference).abs() <= 1.01 / count as f64, "{name}: {robust} where {reference} is right");
    }
}
