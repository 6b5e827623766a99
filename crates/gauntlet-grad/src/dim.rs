//! Sizes along an axis, some of them a multiple of the number of rows, which is known only when the graph runs.

use std::fmt;

use crate::error::{Result, malformed, unsupported};

/// The size along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Known.
    Fixed(usize),
    /// So many times the number of rows in the batch.
    Rows(usize),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Rows(1) => f.write_str("N"),
            Self::Rows(k) => write!(f, "{k}*N"),
        }
    }
}

impl Dim {
    /// The size, where it does not depend on the batch.
    #[must_use]
    pub fn fixed(self) -> Option<usize> {
        match self {
            Self::Fixed(n) => Some(n),
            Self::Rows(_) => None,
        }
    }

    pub(crate) fn times(self, other: Self) -> Result<Self> {
        let product = match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => a.checked_mul(b).map(Self::Fixed),
            (Self::Rows(a), Self::Fixed(b)) | (Self::Fixed(b), Self::Rows(a)) => a.checked_mul(b).map(Self::Rows),
            (Self::Rows(_), Self::Rows(_)) => return unsupported("a size that grows with the square of the batch"),
        };
        product.map_or_else(|| malformed("sizes overflow"), Ok)
    }

    /// The quotient, when there is one without a remainder.
    pub(crate) fn over(self, other: Self) -> Option<Self> {
        let exact = |a: usize, b: usize| (b > 0 && a.is_multiple_of(b)).then(|| a / b);
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) | (Self::Rows(a), Self::Rows(b)) => exact(a, b).map(Self::Fixed),
            (Self::Rows(a), Self::Fixed(b)) => exact(a, b).map(Self::Rows),
            (Self::Fixed(_), Self::Rows(_)) => None,
        }
    }
}

/// Text of a shape, for messages.
pub(crate) fn text(shape: &[Dim]) -> String {
    format!("[{}]", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// All sizes multiplied.
pub(crate) fn product(shape: &[Dim]) -> Result<Dim> {
    shape.iter().try_fold(Dim::Fixed(1), |product, dim| product.times(*dim))
}

/// The sizes, if none depends on the batch.
pub(crate) fn all_fixed(shape: &[Dim]) -> Option<Vec<usize>> {
    shape.iter().map(|dim| dim.fixed()).collect()
}

/// Numpy's broadcasting.
pub(crate) fn broadcast(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], axis: usize| {
        (axis + shape.len()).checked_sub(rank).and_then(|i| shape.get(i).copied()).unwrap_or(Dim::Fixed(1))
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Ok(x),
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Ok(other),
            _ => malformed(format!("shapes {} and {} do not go together", text(a), text(b))),
        })
        .collect()
}

/// `axis` counted from the front; negative numbers count from the back.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let rank_signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let counted = if axis < 0 { axis.checked_add(rank_signed) } else { Some(axis) };
    match counted.and_then(|a| usize::try_from(a).ok()) {
        Some(a) if a < rank => Ok(a),
        _ => malformed(format!("axis {axis} of a tensor with {rank} axes")),
    }
}

#[cfg(test)]
mod tests {
    use super::Dim::{Fixed, Rows};
    use super::*;

    #[test]
    fn sizes_multiply_and_divide_with_the_batch_as_a_factor() {
        assert_eq!(Rows(1).times(Fixed(12)).unwrap(), Rows(12));
        assert_eq!(Rows(12).over(Fixed(4)), Some(Rows(3)));
        assert_eq!(Rows(12).over(Rows(4)), Some(Fixed(3)));
        assert_eq!(Fixed(12).over(Rows(1)), None);
        assert_eq!(Fixed(12).over(Fixed(5)), None);
        assert!(Rows(1).times(Rows(1)).is_err());
        assert!(Fixed(usize::MAX).times(Fixed(2)).is_err());
    }

    #[test]
    fn broadcasting_is_numpys() {
        assert_eq!(broadcast(&[Rows(1), Fixed(3)], &[Fixed(1)]).unwrap(), [Rows(1), Fixed(3)]);
        assert_eq!(broadcast(&[Fixed(2), Fixed(1)], &[Fixed(5)]).unwrap(), [Fixed(2), Fixed(5)]);
        assert!(broadcast(&[Fixed(2)], &[Fixed(3)]).is_err());
        assert!(broadcast(&[Rows(1)], &[Fixed(3)]).is_err());
    }
}
