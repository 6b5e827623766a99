//! HyperLogLog with 4,096 one-byte registers (lg k = 12, standard error 1.6 %). Registers merge by maximum, so the
//! result does not depend on order. Estimator: Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (2017), algorithm 6, which needs no table and no correction ranges.

use crate::codec::{DecodeError, Reader, Writer};

const LG_K: u32 = 12;
const K: usize = 1 << LG_K;
/// Largest register: all bits that remain are zero.
const MAX: u8 = (64 - LG_K + 1) as u8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hll(Box<[u8; K]>);

impl Hll {
    pub(crate) fn new() -> Self {
        Self(Box::new([0; K]))
    }

    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        let slot = (hash >> (64 - LG_K)) as usize & (K - 1);
        // The set bit ends the run of zeros.
        let rank = ((hash << LG_K) | 1 << (LG_K - 1)).leading_zeros() as u8 + 1;
        if rank > self.0[slot] {
            self.0[slot] = rank;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *mine = (*mine).max(*theirs);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 4,096")]
    pub(crate) fn estimate(&self) -> f64 {
        let mut counts = [0u32; MAX as usize + 1];
        for &register in self.0.iter() {
            counts[usize::from(register.min(MAX))] += 1;
        }
        let m = K as f64;
        let mut z = m * tau(1.0 - f64::from(counts[usize::from(MAX)]) / m);
        for &count in counts[1..usize::from(MAX)].iter().rev() {
            z = 0.5 * (z + f64::from(count));
        }
        z += m * sigma(f64::from(counts[0]) / m);
        m * m / (2.0 * std::f64::consts::LN_2 * z)
    }

    pub(crate) fn registers(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.0.extend_from_slice(self.0.as_slice());
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut registers = Box::new([0; K]);
        registers.copy_from_slice(input.take(K)?);
        if registers.iter().any(|&r| r > MAX) {
            return Err(DecodeError::Malformed("a register of the distinct count is too large"));
        }
        Ok(Self(registers))
    }
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Hash, Kind};

    #[test]
    fn estimates_stay_within_four_standard_errors() {
        for n in [0u32, 1, 100, 5_000, 20_000, 300_000] {
            let mut hll = Hll::new();
            for i in 0..n {
                hll.add(Hash::int(Kind::Integer, i.into()).0);
            }
            let error = (hll.estimate() - f64::from(n)).abs();
            assert!(error <= 0.065 * f64::from(n), "{n}: {}", hll.estimate());
        }
    }

    #[test]
    fn errors_are_no_larger_than_those_of_another_implementation() {
        let n = 40_000u32;
        let (mut ours, mut theirs) = (0.0, 0.0);
        for trial in 0..24u32 {
            let mut hll = Hll::new();
            let mut other = datasketches::hll::HllSketch::new(12, datasketches::hll::HllType::Hll8).unwrap();
            for i in 0..n {
                hll.add(Hash::int(Kind::Integer, i128::from(trial) << 32 | i128::from(i)).0);
                other.update(u64::from(trial) << 32 | u64::from(i));
            }
            ours += (hll.estimate() / f64::from(n) - 1.0).powi(2);
            theirs += (other.composite_estimate() / f64::from(n) - 1.0).powi(2);
        }
        assert!(ours.sqrt() < 1.5 * theirs.sqrt(), "{} {}", ours.sqrt(), theirs.sqrt());
    }
}
