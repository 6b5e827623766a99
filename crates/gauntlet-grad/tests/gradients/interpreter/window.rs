//! Convolutions and pools, by their definitions.

use super::Call;
use super::tensor::{Kind, Tensor, places};

struct Window {
    kernel: Vec<usize>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    pads: Vec<i64>,
}

impl Window {
    fn of(call: &Call<'_>) -> Self {
        let kernel: Vec<usize> = call.ints("kernel_shape").iter().map(|n| *n as usize).collect();
        let or = |list: Vec<i64>, n: i64, times| if list.is_empty() { vec![n; times] } else { list };
        let rank = kernel.len();
        Self {
            strides: or(call.ints("strides"), 1, rank),
            dilations: or(call.ints("dilations"), 1, rank),
            pads: or(call.ints("pads"), 0, 2 * rank),
            kernel,
        }
    }

    fn places(&self, axis: usize, size: usize) -> usize {
        let (rank, kernel) = (self.kernel.len(), self.kernel[axis] as i64);
        let padded = size as i64 + self.pads[axis] + self.pads[axis + rank];
        ((padded - self.dilations[axis] * (kernel - 1) - 1) / self.strides[axis] + 1) as usize
    }

    fn outer(&self, x: &Tensor, channels: usize) -> Vec<usize> {
        let spatial = (0..self.kernel.len()).map(|axis| self.places(axis, x.dims[axis + 2]));
        [x.dims[0], channels].into_iter().chain(spatial).collect()
    }

    /// Where in the input tap `tap` of the window at `place` lies.
    fn tap(&self, place: &[usize], tap: &[usize], sizes: &[usize]) -> Option<Vec<usize>> {
        (0..place.len())
            .map(|a| {
                let at = place[a] as i64 * self.strides[a] + tap[a] as i64 * self.dilations[a] - self.pads[a];
                (0..sizes[a] as i64).contains(&at).then_some(at as usize)
            })
            .collect()
    }
}

pub(super) fn conv(call: &Call<'_>) -> Tensor {
    let (x, w, window) = (call.t(0), call.t(1), Window::of(call));
    let group = call.int("group", 1) as usize;
    let (per_group, rows) = (w.dims[1], w.dims[0] / group);
    assert_eq!(x.dims[1], per_group * group);
    let taps: Vec<Vec<usize>> = places(&window.kernel).collect();
    let area: usize = x.dims[2..].iter().product();
    let bias = call.x.get(2).copied().flatten();
    let inner = Tensor { kind: Kind::Int, dims: x.dims[2..].to_vec(), data: vec![0.0; area] };
    let dims = window.outer(x, w.dims[0]);
    let mut data = Vec::with_capacity(dims.iter().product());
    let spots: Vec<Vec<usize>> = places(&dims[2..]).collect();
    // For each spot: the taps inside, as (tap, offset in a channel).
    let inside: Vec<Vec<(usize, usize)>> = spots
        .iter()
        .map(|spot| {
            let hit = |(n, tap): (usize, &Vec<usize>)| Some((n, inner.offset(&window.tap(spot, tap, &x.dims[2..])?)));
            taps.iter().enumerate().filter_map(hit).collect()
        })
        .collect();
    for batch in 0..x.dims[0] {
        for output in 0..w.dims[0] {
            let first = output / rows * per_group;
            for hits in &inside {
                let mut sum = bias.map_or(0.0, |b| b.data[output]);
                for channel in 0..per_group {
                    let pixels = &x.data[(batch * x.dims[1] + first + channel) * area..];
                    let weights = &w.data[(output * per_group + channel) * taps.len()..];
                    sum += hits.iter().map(|(tap, at)| weights[*tap] * pixels[*at]).sum::<f64>();
                }
                data.push(sum);
            }
        }
    }
    Tensor { kind: x.kind, dims, data }
}

pub(super) fn conv_transpose(call: &Call<'_>) -> Tensor {
    let (x, w, window) = (call.t(0), call.t(1), Window::of(call));
    let group = call.int("group", 1) as usize;
    let (per_group, columns) = (w.dims[1], w.dims[0] / group);
    let rank = window.kernel.len();
    let extra = call.ints("output_padding");
    let mut dims = vec![x.dims[0], per_group * group];
    for (a, extra) in extra.iter().copied().enumerate() {
        let reach = window.dilations[a] * (window.kernel[a] as i64 - 1) + 1;
        let full = window.strides[a] * (x.dims[a + 2] as i64 - 1) + reach + extra;
        assert!(extra < window.strides[a].max(window.dilations[a]) || extra == 0, "output padding");
        dims.push((full - window.pads[a] - window.pads[a + rank]) as usize);
    }
    let taps: Vec<Vec<usize>> = places(&window.kernel).collect();
    let spots: Vec<Vec<usize>> = places(&x.dims[2..]).collect();
    let area: usize = dims[2..].iter().product();
    let inner = Tensor { kind: Kind::Int, dims: dims[2..].to_vec(), data: vec![0.0; area] };
    let mut result = Tensor { kind: x.kind, data: vec![0.0; dims.iter().product()], dims };
    let hits: Vec<(usize, usize, usize)> = spots
        .iter()
        .enumerate()
        .flat_map(|(n, spot)| taps.iter().enumerate().map(move |(t, tap)| (n, spot, t, tap)))
        .filter_map(|(n, spot, t, tap)| Some((n, t, inner.offset(&window.tap(spot, tap, &inner.dims)?))))
        .collect();
    for batch in 0..x.dims[0] {
        for input in 0..x.dims[1] {
            let pixels = &x.data[(batch * x.dims[1] + input) * spots.len()..];
            for channel in 0..per_group {
                let output = input / columns * per_group + channel;
                let weights = &w.data[(input * per_group + channel) * taps.len()..];
                let start = (batch * result.dims[1] + output) * area;
                for (spot, tap, at) in &hits {
                    result.data[start + at] += pixels[*spot] * weights[*tap];
                }
            }
        }
    }
    if let Some(bias) = call.x.get(2).copied().flatten() {
        let dims = [&[bias.data.len()][..], &vec![1; rank]].concat();
        result = result.zip(&Tensor { dims, ..bias.clone() }, |a, b| a + b);
    }
    result
}

pub(super) fn max_pool(call: &Call<'_>) -> Vec<Tensor> {
    let (x, window) = (call.t(0), Window::of(call));
    let dims = window.outer(x, x.dims[1]);
    let (mut values, mut indices) = (Vec::new(), Vec::new());
    for place in places(&dims) {
        let (mut best, mut index) = (f64::NEG_INFINITY, 0);
        for tap in places(&window.kernel) {
            if let Some(from) = window.tap(&place[2..], &tap, &x.dims[2..]) {
                let at = x.offset(&[&place[..2], &from].concat());
                if x.data[at] > best {
                    (best, index) = (x.data[at], at);
                }
            }
        }
        values.push(best);
        indices.push(index as f64);
    }
    let indices = Tensor { kind: Kind::Int, dims: dims.clone(), data: indices };
    vec![Tensor { kind: x.kind, dims, data: values }, indices]
}

pub(super) fn average_pool(call: &Call<'_>) -> Tensor {
    let (x, window) = (call.t(0), Window::of(call));
    assert_eq!(call.int("count_include_pad", 0), 1);
    let area = window.kernel.iter().product::<usize>() as f64;
    Tensor::generate(x.kind, &window.outer(x, x.dims[1]), |place| {
        let taps = places(&window.kernel).filter_map(|tap| window.tap(&place[2..], &tap, &x.dims[2..]));
        taps.map(|from| x.at(&[&place[..2], &from].concat())).sum::<f64>() / area
    })
}
