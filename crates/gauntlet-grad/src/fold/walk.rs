//! Visits the elements of a tensor in the order of another's.

/// Flat places, the last axis first to move.
pub(super) struct Walk {
    dims: Vec<usize>,
    strides: Vec<isize>,
    index: Vec<usize>,
    at: isize,
    left: usize,
}

impl Walk {
    /// Over `dims`, `strides` apart, beginning at `start`.
    pub(super) fn new(dims: Vec<usize>, strides: Vec<isize>, start: usize) -> Self {
        let left = dims.iter().product();
        Self { index: vec![0; dims.len()], at: isize::try_from(start).unwrap_or(0), dims, strides, left }
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let place = usize::try_from(self.at).ok()?;
        for ((index, dim), stride) in self.index.iter_mut().zip(&self.dims).zip(&self.strides).rev() {
            *index += 1;
            self.at += stride;
            if *index < *dim {
                break;
            }
            self.at -= stride * isize::try_from(*dim).unwrap_or(0);
            *index = 0;
        }
        Some(place)
    }
}

/// Distances between neighbours along each axis, row by row.
pub(super) fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; dims.len()];
    let mut step = 1isize;
    for (stride, dim) in strides.iter_mut().zip(dims).rev() {
        *stride = step;
        step = step.saturating_mul(isize::try_from(*dim).unwrap_or(isize::MAX));
    }
    strides
}

/// As [`strides`], seen from a shape of `rank` axes that `dims` is broadcast to: repeated axes have distance 0.
pub(super) fn broadcast_strides(dims: &[usize], rank: usize) -> Vec<isize> {
    let own = strides(dims).into_iter().zip(dims).map(|(stride, dim)| if *dim == 1 { 0 } else { stride });
    let missing = rank.saturating_sub(dims.len());
    std::iter::repeat_n(0, missing).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_transposed_broadcast_and_backwards() {
        let transposed = Walk::new(vec![3, 2], vec![1, 3], 0).collect::<Vec<_>>();
        assert_eq!(transposed, [0, 3, 1, 4, 2, 5]);
        let repeated = Walk::new(vec![2, 2], broadcast_strides(&[1, 2], 2), 0).collect::<Vec<_>>();
        assert_eq!(repeated, [0, 1, 0, 1]);
        assert_eq!(Walk::new(vec![3], vec![-1], 2).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(Walk::new(vec![], vec![], 0).collect::<Vec<_>>(), [0]);
        assert_eq!(Walk::new(vec![0, 2], vec![2, 1], 0).count(), 0);
    }
}
