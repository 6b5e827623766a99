//! Gradients over drawn shapes and attributes, against finite differences.
use crate::interpreter::Tensor;
use crate::support::build::Attribute::{Int, Ints};
use crate::support::build::Sketch;
use crate::support::{differentiate, finite_difference_error, noise};
use gauntlet_grad::{ConvGradient, GradError, Options};
use proptest::prelude::*;

/// Checks the gradient at drawn numbers; `false` when the shapes do not go together.
fn right(sketch: &Sketch, x: &[usize], options: &Options<'_>) -> bool {
    let graphs = match differentiate(&sketch.bytes(), options) {
        Ok(graphs) => graphs,
        Err(GradError::Malformed { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    let x = Tensor::float(x, noise(3, x.iter().product()));
    let far = finite_difference_error(&graphs, &x);
    assert!(far < 1e-6, "off by {far:e}");
    true
}

fn signed(list: &[usize]) -> Vec<i64> {
    list.iter().map(|n| *n as i64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions(
        sizes in prop::array::uniform2(1usize..8), kernel in prop::array::uniform2(1usize..4),
        strides in prop::array::uniform2(1usize..4), dilations in prop::array::uniform2(1usize..3),
        pads in prop::array::uniform4(0usize..3), group in 1usize..3, channels in 1usize..3, outputs in 1usize..3,
        flipped: bool,
    ) {
        let weights = [outputs * group, channels, kernel[0], kernel[1]];
        let attributes = [
            Ints("strides", signed(&strides)), Ints("dilations", signed(&dilations)), Ints("pads", signed(&pads)),
            Int("group", group as i64),
        ];
        let sketch = Sketch::new(&[0, (channels * group) as i64, sizes[0] as i64, sizes[1] as i64])
            .floats("w", &weights, &noise(1, weights.iter().product()))
            .node("Conv", "x w", "y", &attributes);
        let conv_gradient = if flipped { ConvGradient::Flipped } else { ConvGradient::Transposed };
        let options = Options { conv_gradient, ..Options::default() };
        prop_assume!(right(&sketch, &[2, channels * group, sizes[0], sizes[1]], &options));
    }

    #[test]
    fn transposed_convolutions(
        sizes in prop::array::uniform2(1usize..5), kernel in prop::array::uniform2(1usize..4),
        strides in prop::array::uniform2(1usize..4), dilations in prop::array::uniform2(1usize..3),
        pads in prop::array::uniform4(0usize..2), extra in prop::array::uniform2(0usize..3), group in 1usize..3,
    ) {
        let extra = [extra[0] % strides[0], extra[1] % strides[1]];
        let weights = [2 * group, 2, kernel[0], kernel[1]];
        let attributes = [
            Ints("strides", signed(&strides)), Ints("dilations", signed(&dilations)), Ints("pads", signed(&pads)),
            Ints("output_padding", signed(&extra)), Int("group", group as i64),
        ];
        let sketch = Sketch::new(&[0, 2 * group as i64, sizes[0] as i64, sizes[1] as i64])
            .floats("w", &weights, &noise(2, weights.iter().product()))
            .node("ConvTranspose", "x w", "y", &attributes);
        prop_assume!(right(&sketch, &[2, 2 * group, sizes[0], sizes[1]], &Options::default()));
    }

    #[test]
    fn pools(
        sizes in prop::array::uniform2(1usize..9), kernel in prop::array::uniform2(1usize..4),
        strides in prop::array::uniform2(1usize..4), pads in prop::array::uniform4(0usize..3),
        ceil: bool, counted: bool, largest: bool,
    ) {
        let pads: Vec<i64> = (0..4).map(|n| pads[n].min(kernel[n % 2] - 1) as i64).collect();
        let mut attributes = vec![
            Ints("kernel_shape", signed(&kernel)), Ints("strides", signed(&strides)), Ints("pads", pads),
            Int("ceil_mode", i64::from(ceil)),
        ];
        if !largest {
            attributes.push(Int("count_include_pad", i64::from(counted)));
        }
        let sketch = Sketch::new(&[0, 2, sizes[0] as i64, sizes[1] as i64])
            .node(if largest { "MaxPool" } else { "AveragePool" }, "x", "y", &attributes);
        prop_assume!(right(&sketch, &[2, 2, sizes[0], sizes[1]], &Options::default()));
    }

    /// Either operand repeats along any of its axes, or lacks some.
    #[test]
    fn broadcasts(dims in prop::array::uniform3(1usize..4), ones in 0u8..64, cut in 0usize..4, op in 0usize..6) {
        let op = ["Add", "Sub", "Mul", "Div", "Max", "Min"][op];
        let side = |shift: u8| -> Vec<usize> {
            (0..3).map(|axis| if ones >> (axis + shift) & 1 == 1 { 1 } else { dims[axis as usize] }).collect()
        };
        let (left, right_side) = (side(0), &side(3)[cut.min(3)..]);
        let shape: Vec<i64> = [0].into_iter().chain(signed(&left)).collect();
        let constant: Vec<f64> = noise(4, right_side.iter().product()).iter().map(|n| n + n.signum()).collect();
        let sketch = Sketch::new(&shape).floats("c", right_side, &constant).node(op, "x c", "t", &[]).node("Sin", "t", "y", &[]);
        prop_assert!(right(&sketch, &[&[2], &left[..]].concat(), &Options::default()));
    }

    #[test]
    fn slices(size in 1usize..9, start in -10i64..10, end in -10i64..10, step in prop::sample::select(vec![-3i64, -2, -1, 1, 2, 3])) {
        let sketch = Sketch::new(&[0, 2, size as i64])
            .ints("s", &[start]).ints("e", &[end]).ints("a", &[-1]).ints("t", &[step])
            .node("Slice", "x s e a t", "c", &[]).node("Sin", "c", "y", &[]);
        match differentiate(&sketch.bytes(), &Options::default()) {
            Ok(_) => prop_assert!(right(&sketch, &[2, 2, size], &Options::default())),
            // Nothing is left.
            Err(GradError::Unsupported(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn permutations_and_reductions(dims in prop::array::uniform3(1i64..4), order in 0usize..6, axis in 1i64..4, kind in 0usize..4, keep: bool) {
        let orders = [[0, 1, 2, 3], [0, 1, 3, 2], [0, 2, 1, 3], [0, 2, 3, 1], [0, 3, 1, 2], [0, 3, 2, 1]];
        let op = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2"][kind];
        let sketch = Sketch::new(&[0, dims[0], dims[1], dims[2]])
            .ints("a", &[axis])
            .node("Transpose", "x", "t", &[Ints("perm", orders[order].to_vec())])
            .node(op, "t a", "r", &[Int("keepdims", i64::from(keep))])
            .node("Sin", "r", "y", &[]);
        let x: Vec<usize> = [2, dims[0], dims[1], dims[2]].iter().map(|n| *n as usize).collect();
        prop_assert!(right(&sketch, &x, &Options::default()));
    }
}
