//! Tensors of 64-bit floats that remember what they stand for.

use gauntlet_onnx::ElementType;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Float,
    Int,
    Bool,
}

impl Kind {
    pub(crate) fn of(kind: ElementType) -> Self {
        match kind {
            ElementType::Float | ElementType::Double => Self::Float,
            ElementType::Bool => Self::Bool,
            _ => Self::Int,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) kind: Kind,
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

/// All places of a tensor, in its order.
pub(crate) fn places(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let dims = dims.to_vec();
    (0..dims.iter().product::<usize>()).map(move |flat| {
        let mut rest = flat;
        let mut place = vec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            place[axis] = rest % dims[axis];
            rest /= dims[axis];
        }
        place
    })
}

impl Tensor {
    pub(crate) fn float(dims: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(dims.iter().product::<usize>(), data.len());
        Self { kind: Kind::Float, dims: dims.to_vec(), data }
    }

    /// The raw data of a constant; what the crate writes has no other.
    pub(crate) fn read(tensor: &gauntlet_onnx::Tensor, bytes: &[u8]) -> Self {
        let kind = tensor.element_type().unwrap();
        let span = tensor.raw.unwrap();
        let raw = &bytes[span.offset as usize..][..span.len as usize];
        let data: Vec<f64> = match kind {
            ElementType::Float => raw.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            ElementType::Double => raw.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            ElementType::Int64 => raw.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            ElementType::Int32 => raw.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            ElementType::Bool => raw.iter().map(|b| f64::from(*b)).collect(),
            other => panic!("{other:?}"),
        };
        let dims: Vec<usize> = tensor.dims.iter().map(|n| *n as usize).collect();
        assert_eq!(dims.iter().product::<usize>(), data.len(), "{}", tensor.name);
        Self { kind: Kind::of(kind), dims, data }
    }

    pub(crate) fn generate(kind: Kind, dims: &[usize], element: impl Fn(&[usize]) -> f64) -> Self {
        Self { kind, dims: dims.to_vec(), data: places(dims).map(|place| element(&place)).collect() }
    }

    pub(crate) fn offset(&self, place: &[usize]) -> usize {
        assert_eq!(place.len(), self.dims.len());
        place.iter().zip(&self.dims).fold(0, |sum, (at, dim)| {
            assert!(at < dim);
            sum * dim + at
        })
    }

    pub(crate) fn at(&self, place: &[usize]) -> f64 {
        self.data[self.offset(place)]
    }

    pub(crate) fn ints(&self) -> Vec<i64> {
        assert_eq!(self.kind, Kind::Int);
        self.data.iter().map(|n| *n as i64).collect()
    }

    pub(crate) fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { data: self.data.iter().map(|n| function(*n)).collect(), ..self.clone() }
    }

    pub(crate) fn cast(&self, kind: Kind) -> Self {
        let mut cast = match kind {
            Kind::Float => self.clone(),
            Kind::Int => self.map(f64::trunc),
            Kind::Bool => self.map(|n| f64::from(u8::from(n != 0.0))),
        };
        cast.kind = kind;
        cast
    }

    pub(crate) fn broadcast(&self, other: &[usize]) -> Vec<usize> {
        let rank = self.dims.len().max(other.len());
        let at = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |a| dims[a]);
        (0..rank)
            .map(|axis| match (at(&self.dims, axis), at(other, axis)) {
                (a, b) if a == b || b == 1 => a,
                (1, b) => b,
                _ => panic!("{:?} and {other:?}", self.dims),
            })
            .collect()
    }

    pub(crate) fn expand(&self, dims: &[usize]) -> Self {
        if self.dims == dims {
            return self.clone();
        }
        let extra = dims.len() - self.dims.len();
        Self::generate(self.kind, dims, |place| {
            let own = place[extra..].iter().zip(&self.dims).map(|(p, d)| if *d == 1 { 0 } else { *p });
            self.at(&own.collect::<Vec<_>>())
        })
    }

    pub(crate) fn zip(&self, other: &Self, function: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.kind, other.kind);
        let dims = self.broadcast(&other.dims);
        let (a, b) = (self.expand(&dims), other.expand(&dims));
        Self { kind: self.kind, data: a.data.iter().zip(&b.data).map(|(a, b)| function(*a, *b)).collect(), dims }
    }

    pub(crate) fn transpose(&self, order: &[usize]) -> Self {
        let dims: Vec<usize> = order.iter().map(|axis| self.dims[*axis]).collect();
        Self::generate(self.kind, &dims, |place| {
            let mut from = vec![0; place.len()];
            for (at, axis) in order.iter().enumerate() {
                from[*axis] = place[at];
            }
            self.at(&from)
        })
    }

    pub(crate) fn slice(&self, axis: usize, start: i64, count: usize, step: i64) -> Self {
        let mut dims = self.dims.clone();
        dims[axis] = count;
        Self::generate(self.kind, &dims, |place| {
            let mut from = place.to_vec();
            from[axis] = (start + place[axis] as i64 * step) as usize;
            self.at(&from)
        })
    }

    pub(crate) fn concat(parts: &[&Self], axis: usize) -> Self {
        let mut dims = parts[0].dims.clone();
        dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
        Self::generate(parts[0].kind, &dims, |place| {
            let mut from = place.to_vec();
            let mut rest = parts.iter();
            loop {
                let part = rest.next().unwrap();
                if from[axis] < part.dims[axis] {
                    return part.at(&from);
                }
                from[axis] -= part.dims[axis];
            }
        })
    }

    pub(crate) fn matmul(&self, other: &Self) -> Self {
        let (a, b) = (self.dims.len(), other.dims.len());
        let (rows, inner, columns) = (self.dims[a - 2], self.dims[a - 1], other.dims[b - 1]);
        assert_eq!(inner, other.dims[b - 2]);
        let front = Self { dims: self.dims[..a - 2].to_vec(), ..self.clone() }.broadcast(&other.dims[..b - 2]);
        let left = self.expand(&[&front[..], &[rows, inner]].concat());
        let right = other.expand(&[&front[..], &[inner, columns]].concat());
        let mut data = Vec::new();
        for block in 0..front.iter().product() {
            let x = &left.data[block * rows * inner..][..rows * inner];
            let y = &right.data[block * inner * columns..][..inner * columns];
            for row in 0..rows {
                for column in 0..columns {
                    data.push((0..inner).map(|k| x[row * inner + k] * y[k * columns + column]).sum());
                }
            }
        }
        Self { kind: self.kind, dims: [&front[..], &[rows, columns]].concat(), data }
    }
}
