//! A slow, plain interpreter of the ONNX operators that the emitted graphs use, in 64-bit floats. It shares no code
//! with the crate: what both get wrong in the same way they would have to get wrong twice.

mod tensor;
mod window;

use std::collections::BTreeMap;

use gauntlet_limits::Budget;
use gauntlet_onnx::{AttributeValue, ElementType, Model, Node};

pub(crate) use tensor::{Kind, Tensor};

/// Runs the model in `bytes`: outputs in its order.
pub(crate) fn run(bytes: &[u8], inputs: &BTreeMap<String, Tensor>) -> Vec<Tensor> {
    let bytes = bytes.to_vec();
    let model = Model::read(&bytes, &Budget::default()).unwrap();
    assert_eq!(model.opsets[0].version, 18);
    let graph = &model.graphs[0];
    let mut values: BTreeMap<String, Tensor> = inputs.clone();
    assert_eq!(inputs.len(), graph.inputs.len(), "inputs of the graph");
    for input in &graph.inputs {
        let given = &values[&input.name];
        assert_eq!(given.kind, Kind::of(ElementType::from_number(input.element_type).unwrap()), "{}", input.name);
    }
    for initializer in &graph.initializers {
        values.insert(initializer.name.clone(), Tensor::read(initializer, &bytes));
    }
    for node in &graph.nodes {
        let arguments: Vec<Option<&Tensor>> =
            node.inputs.iter().map(|name| (!name.is_empty()).then(|| &values[name])).collect();
        let results = Call { node, bytes: &bytes, x: &arguments }.run();
        assert!(results.len() >= node.outputs.len(), "{}", node.op_type);
        for (name, result) in node.outputs.iter().zip(results) {
            assert!(values.insert(name.clone(), result).is_none(), "{name} twice");
        }
    }
    graph.outputs.iter().map(|output| values[&output.name].clone()).collect()
}

struct Call<'c> {
    node: &'c Node,
    bytes: &'c [u8],
    x: &'c [Option<&'c Tensor>],
}

impl Call<'_> {
    fn run(&self) -> Vec<Tensor> {
        let op = self.node.op_type.as_str();
        if op == "MaxPool" {
            return window::max_pool(self);
        }
        if op == "Split" {
            let axis = self.int("axis", 0) as usize;
            let mut start = 0;
            let part = |size: &i64| {
                let part = self.t(0).slice(axis, start, *size as usize, 1);
                start += *size;
                part
            };
            return self.t(1).ints().iter().map(part).collect();
        }
        vec![self.one(op)]
    }

    fn one(&self, op: &str) -> Tensor {
        if let Some(function) = unary(op) {
            return self.t(0).map(function);
        }
        if let Some(function) = binary(op) {
            return self.t(0).zip(self.t(1), function);
        }
        if let Some(function) = comparison(op) {
            let mut result = self.t(0).zip(self.t(1), |a, b| f64::from(u8::from(function(a, b))));
            result.kind = Kind::Bool;
            return result;
        }
        match op {
            "LeakyRelu" => {
                let alpha = self.float("alpha");
                self.t(0).map(|x| if x < 0.0 { alpha * x } else { x })
            }
            "Elu" => {
                let alpha = self.float("alpha");
                self.t(0).map(|x| if x < 0.0 { alpha * x.exp_m1() } else { x })
            }
            "HardSigmoid" => {
                let (alpha, beta) = (self.float("alpha"), self.float("beta"));
                self.t(0).map(|x| (alpha * x + beta).clamp(0.0, 1.0))
            }
            "Clip" => {
                let bound = |at: usize, open| self.x.get(at).copied().flatten().map_or(open, |t| t.data[0]);
                let (low, high) = (bound(1, f64::NEG_INFINITY), bound(2, f64::INFINITY));
                self.t(0).map(|x| x.max(low).min(high))
            }
            "Where" => {
                let (yes, no) = (self.t(1), self.t(2));
                let shape = self.t(0).broadcast(&yes.broadcast(&no.dims));
                let (c, a, b) = (self.t(0).expand(&shape), yes.expand(&shape), no.expand(&shape));
                let chosen = c.data.iter().zip(a.data.iter().zip(&b.data));
                let data = chosen.map(|(c, (a, b))| if *c != 0.0 { *a } else { *b }).collect();
                Tensor { kind: yes.kind, dims: shape, data }
            }
            "Cast" => {
                let kind = Kind::of(ElementType::from_number(self.int("to", 0) as i32).unwrap());
                self.t(0).cast(kind)
            }
            "MatMul" => self.t(0).matmul(self.t(1)),
            "Gemm" => self.gemm(),
            "Conv" => window::conv(self),
            "ConvTranspose" => window::conv_transpose(self),
            "AveragePool" => window::average_pool(self),
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" => self.reduce(op),
            "CumSum" => {
                let (x, axis) = (self.t(0), self.t(1).ints()[0] as usize);
                let (exclusive, reverse) = (self.int("exclusive", 0) == 1, self.int("reverse", 0) == 1);
                let counts = |to: usize, from: usize| {
                    let ahead = if reverse { from > to } else { from < to };
                    ahead || (from == to && !exclusive)
                };
                Tensor::generate(x.kind, &x.dims, |at| {
                    let from = (0..x.dims[axis]).filter(|from| counts(at[axis], *from));
                    from.map(|from| x.at(&[&at[..axis], &[from], &at[axis + 1..]].concat())).sum()
                })
            }
            "Softmax" | "LogSoftmax" => self.softmax(op == "LogSoftmax"),
            "Reshape" => {
                let dims = self.t(1).ints();
                let sizes = dims.iter().enumerate();
                let known: Vec<i64> =
                    sizes.map(|(at, n)| if *n == 0 { self.t(0).dims[at] as i64 } else { *n }).collect();
                let product: i64 = known.iter().filter(|n| **n > 0).product();
                let rest = self.t(0).data.len() as i64 / product;
                let dims: Vec<usize> = known.iter().map(|n| if *n == -1 { rest } else { *n } as usize).collect();
                assert_eq!(dims.iter().product::<usize>(), self.t(0).data.len(), "Reshape");
                Tensor { dims, ..self.t(0).clone() }
            }
            "Transpose" => self.t(0).transpose(&self.ints("perm").iter().map(|n| *n as usize).collect::<Vec<_>>()),
            "Concat" => {
                let parts: Vec<&Tensor> = self.x.iter().map(|t| t.unwrap()).collect();
                Tensor::concat(&parts, self.int("axis", 0) as usize)
            }
            "Slice" => self.slice(),
            "Pad" => {
                let (pads, x) = (self.t(1).ints(), self.t(0));
                let rank = x.dims.len();
                let dims: Vec<usize> =
                    (0..rank).map(|a| (x.dims[a] as i64 + pads[a] + pads[a + rank]) as usize).collect();
                Tensor::generate(x.kind, &dims, |at| {
                    let from: Vec<i64> = (0..rank).map(|a| at[a] as i64 - pads[a]).collect();
                    let inside = from.iter().zip(&x.dims).all(|(n, d)| (0..*d as i64).contains(n));
                    if inside { x.at(&from.iter().map(|n| *n as usize).collect::<Vec<_>>()) } else { self.t(2).data[0] }
                })
            }
            "Gather" => {
                let (x, indices, axis) = (self.t(0), self.t(1), self.int("axis", 0) as usize);
                let dims = [&x.dims[..axis], &indices.dims, &x.dims[axis + 1..]].concat();
                let width = indices.dims.len();
                Tensor::generate(x.kind, &dims, |at| {
                    let n = indices.at(&at[axis..axis + width]) as i64;
                    let n = if n < 0 { n + x.dims[axis] as i64 } else { n } as usize;
                    x.at(&[&at[..axis], &[n], &at[axis + width..]].concat())
                })
            }
            "Expand" => {
                let target: Vec<usize> = self.t(1).ints().iter().map(|n| *n as usize).collect();
                self.t(0).expand(&self.t(0).broadcast(&target))
            }
            "Shape" => {
                let dims = &self.t(0).dims[self.int("start", 0) as usize..self.int("end", 99) as usize];
                Tensor { kind: Kind::Int, dims: vec![dims.len()], data: dims.iter().map(|n| *n as f64).collect() }
            }
            "ConstantOfShape" => {
                let AttributeValue::Tensor(fill) = self.attribute("value").unwrap() else { panic!("no tensor") };
                let fill = Tensor::read(fill, self.bytes);
                let dims: Vec<usize> = self.t(0).ints().iter().map(|n| *n as usize).collect();
                Tensor { kind: fill.kind, data: vec![fill.data[0]; dims.iter().product()], dims }
            }
            "ScatterElements" => {
                let mut sum = self.t(0).clone();
                assert_eq!(sum.dims.len(), 1);
                for (at, n) in self.t(1).data.iter().zip(&self.t(2).data) {
                    sum.data[*at as usize] += n;
                }
                sum
            }
            other => panic!("operator {other}"),
        }
    }

    fn gemm(&self) -> Tensor {
        let side = |at: usize, flag: &str| {
            if self.int(flag, 0) == 1 { self.t(at).transpose(&[1, 0]) } else { self.t(at).clone() }
        };
        let (alpha, beta) = (self.float("alpha"), self.float("beta"));
        let product = side(0, "transA").matmul(&side(1, "transB")).map(|x| alpha * x);
        match self.x.get(2).copied().flatten() {
            Some(c) => product.zip(&c.map(|x| beta * x), |a, b| a + b),
            None => product,
        }
    }

    fn reduce(&self, op: &str) -> Tensor {
        let x = self.t(0);
        let axes: Vec<usize> = self.t(1).ints().iter().map(|n| *n as usize).collect();
        let (start, combine): (f64, fn(f64, f64) -> f64) = match op {
            "ReduceMax" => (f64::NEG_INFINITY, f64::max),
            "ReduceMin" => (f64::INFINITY, f64::min),
            "ReduceProd" => (1.0, |a, b| a * b),
            _ => (0.0, |a, b| a + b),
        };
        let kept: Vec<usize> = (0..x.dims.len()).map(|a| if axes.contains(&a) { 1 } else { x.dims[a] }).collect();
        let mut result = Tensor { kind: x.kind, data: vec![start; kept.iter().product()], dims: kept };
        for (place, n) in tensor::places(&x.dims).zip(&x.data) {
            let to: Vec<usize> = place.iter().zip(&result.dims).map(|(p, d)| if *d == 1 { 0 } else { *p }).collect();
            let to = result.offset(&to);
            result.data[to] = combine(result.data[to], *n);
        }
        if op == "ReduceMean" {
            let count = (x.data.len() / result.data.len()) as f64;
            result = result.map(|n| n / count);
        }
        if self.int("keepdims", 1) == 0 {
            let dims = result.dims.iter().enumerate().filter(|(a, _)| !axes.contains(a)).map(|(_, d)| *d).collect();
            result.dims = dims;
        }
        result
    }

    fn softmax(&self, log: bool) -> Tensor {
        let (x, axis) = (self.t(0), self.int("axis", -1) as usize);
        let mut order: Vec<usize> = (0..x.dims.len()).collect();
        order.swap(axis, x.dims.len() - 1);
        let mut moved = x.transpose(&order);
        for row in moved.data.chunks_mut(x.dims[axis]) {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|n| (n - largest).exp()).sum();
            for n in row {
                *n = if log { *n - largest - sum.ln() } else { (*n - largest).exp() / sum };
            }
        }
        moved.transpose(&order)
    }

    fn slice(&self) -> Tensor {
        let mut result = self.t(0).clone();
        let lists: Vec<Vec<i64>> = (1..5).map(|at| self.t(at).ints()).collect();
        for (n, start) in lists[0].iter().copied().enumerate() {
            let (end, axis, step) = (lists[1][n], lists[2][n] as usize, lists[3][n]);
            let size = result.dims[axis] as i64;
            let fix = |n: i64| if n < 0 { n.saturating_add(size) } else { n };
            let places: Vec<i64> = if step > 0 {
                (fix(start).max(0)..fix(end).min(size)).step_by(step as usize).collect()
            } else {
                let (first, last) = (fix(start).min(size - 1), fix(end).max(-1));
                (0..).map(|k| first + k * step).take_while(|at| *at > last).collect()
            };
            result = result.slice(axis, places[0], places.len(), step);
        }
        result
    }

    // === Arguments ===

    fn t(&self, at: usize) -> &Tensor {
        self.x[at].unwrap()
    }

    fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.node.attributes.iter().find(|a| a.name == name).and_then(|a| a.values.first())
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        match self.attribute(name) {
            Some(AttributeValue::Int(n)) => *n,
            _ => default,
        }
    }

    fn float(&self, name: &str) -> f64 {
        match self.attribute(name) {
            Some(AttributeValue::Float(n)) => f64::from(*n),
            _ => panic!("no attribute {name}"),
        }
    }

    fn ints(&self, name: &str) -> Vec<i64> {
        match self.attribute(name) {
            Some(AttributeValue::Ints(list)) => list.clone(),
            _ => Vec::new(),
        }
    }
}

fn unary(op: &str) -> Option<fn(f64) -> f64> {
    Some(match op {
        "Abs" => f64::abs,
        "Ceil" => f64::ceil,
        "Cos" => f64::cos,
        "Erf" => erf,
        "Exp" => f64::exp,
        "Floor" => f64::floor,
        "Identity" => |x| x,
        "Log" => f64::ln,
        "Neg" => |x| -x,
        "Not" => |x| f64::from(u8::from(x == 0.0)),
        "Reciprocal" => |x| 1.0 / x,
        "Relu" => |x| if x > 0.0 { x } else { 0.0 },
        "Round" => f64::round_ties_even,
        "Sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
        "Sign" => |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        },
        "Sin" => f64::sin,
        "Softplus" => |x| x.exp().ln_1p(),
        "Sqrt" => f64::sqrt,
        "Tanh" => f64::tanh,
        _ => return None,
    })
}

fn binary(op: &str) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f64::powf,
        "Max" => f64::max,
        "Min" => f64::min,
        _ => return None,
    })
}

fn comparison(op: &str) -> Option<fn(f64, f64) -> bool> {
    Some(match op {
        "Equal" => |a, b| a == b,
        "Greater" => |a, b| a > b,
        "GreaterOrEqual" => |a, b| a >= b,
        "Less" => |a, b| a < b,
        "LessOrEqual" => |a, b| a <= b,
        "And" => |a, b| a != 0.0 && b != 0.0,
        "Or" => |a, b| a != 0.0 || b != 0.0,
        "Xor" => |a, b| (a != 0.0) != (b != 0.0),
        _ => return None,
    })
}

/// The Maclaurin series: exact to 1e-15 for the arguments of tests, which are small.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut sum, mut term) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
