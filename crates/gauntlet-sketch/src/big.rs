//! Whole numbers of any size: just enough arithmetic to turn exact power sums into moments.

use std::cmp::Ordering;

/// A two's complement number of 384 bits: no sum of fourth powers of 64-bit numbers over 2^64 values overflows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wide(pub(crate) [u64; LIMBS]);

const LIMBS: usize = 6;

impl Wide {
    /// Adds `value * 2^shift`.
    pub(crate) fn add_shifted(&mut self, value: i128, shift: u32) {
        let (words, bits) = ((shift / 64) as usize, shift % 64);
        let low = (value << bits).cast_unsigned();
        // What the shift moved out of 128 bits, with the sign.
        let high = if bits == 0 { value >> 127 } else { value >> (128 - bits) };
        let sign = (value >> 127) as u64;
        let parts = [low as u64, (low >> 64) as u64, high as u64];
        let mut carry = false;
        for (i, limb) in self.0.iter_mut().enumerate().skip(words) {
            let part = parts.get(i - words).copied().unwrap_or(sign);
            let (sum, a) = limb.overflowing_add(part);
            let (sum, b) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, a || b);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (limb, part) in self.0.iter_mut().zip(other.0) {
            let (sum, a) = limb.overflowing_add(part);
            let (sum, b) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, a || b);
        }
    }

    pub(crate) fn negated(mut self) -> Self {
        let mut carry = true;
        for limb in &mut self.0 {
            let (sum, over) = (!*limb).overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over);
        }
        self
    }

    /// Of a number that is not negative.
    pub(crate) fn times(mut self, factor: u64) -> Self {
        let mut carry = 0u128;
        for limb in &mut self.0 {
            let product = u128::from(*limb) * u128::from(factor) + carry;
            *limb = product as u64;
            carry = product >> 64;
        }
        self
    }

    pub(crate) fn from_u64(value: u64) -> Self {
        let mut out = Self::default();
        out.0[0] = value;
        out
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.0[LIMBS - 1] >> 63 == 1
    }
}

/// Sign and magnitude; the magnitude has no leading zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Big {
    negative: bool,
    limbs: Vec<u64>,
}

impl Big {
    pub(crate) fn of(wide: &Wide) -> Self {
        let negative = wide.is_negative();
        let magnitude = if negative { wide.negated() } else { *wide };
        Self { negative, limbs: magnitude.0.to_vec() }.trimmed()
    }

    pub(crate) fn from_u64(value: u64) -> Self {
        Self { negative: false, limbs: vec![value] }.trimmed()
    }

    fn trimmed(mut self) -> Self {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
        self.negative &= !self.limbs.is_empty();
        self
    }

    pub(crate) fn shifted(&self, shift: usize) -> Self {
        let mut limbs = vec![0; shift / 64];
        let bits = shift % 64;
        let mut carry = 0;
        for &limb in &self.limbs {
            limbs.push(limb << bits | carry);
            carry = if bits == 0 { 0 } else { limb >> (64 - bits) };
        }
        limbs.push(carry);
        Self { negative: self.negative, limbs }.trimmed()
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        if self.negative == other.negative {
            let (long, short) = if self.limbs.len() >= other.limbs.len() { (self, other) } else { (other, self) };
            let mut limbs = Vec::with_capacity(long.limbs.len() + 1);
            let mut carry = false;
            for (i, &limb) in long.limbs.iter().enumerate() {
                let (sum, a) = limb.overflowing_add(short.limbs.get(i).copied().unwrap_or(0));
                let (sum, b) = sum.overflowing_add(u64::from(carry));
                limbs.push(sum);
                carry = a || b;
            }
            limbs.push(u64::from(carry));
            return Self { negative: self.negative, limbs }.trimmed();
        }
        let (large, small) = if self.magnitude(other) == Ordering::Less { (other, self) } else { (self, other) };
        let mut limbs = Vec::with_capacity(large.limbs.len());
        let mut borrow = false;
        for (i, &limb) in large.limbs.iter().enumerate() {
            let (rest, a) = limb.overflowing_sub(small.limbs.get(i).copied().unwrap_or(0));
            let (rest, b) = rest.overflowing_sub(u64::from(borrow));
            limbs.push(rest);
            borrow = a || b;
        }
        Self { negative: large.negative, limbs }.trimmed()
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        let mut negated = other.clone();
        negated.negative = !other.negative;
        self.plus(&negated.trimmed())
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut limbs = vec![0u64; self.limbs.len() + other.limbs.len() + 1];
        for (i, &a) in self.limbs.iter().enumerate() {
            let mut carry = 0u128;
            for (limb, &b) in limbs.iter_mut().skip(i).zip(other.limbs.iter().chain(std::iter::repeat(&0))) {
                let sum = u128::from(a) * u128::from(b) + u128::from(*limb) + carry;
                *limb = sum as u64;
                carry = sum >> 64;
            }
        }
        Self { negative: self.negative != other.negative, limbs }.trimmed()
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        let length = self.limbs.len().cmp(&other.limbs.len());
        length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    /// `self * 2^exponent` as a float; infinite where it is too large.
    #[expect(clippy::cast_precision_loss, reason = "this is the rounding")]
    pub(crate) fn to_f64(&self, exponent: i64) -> f64 {
        let Some(&top) = self.limbs.last() else { return 0.0 };
        let zeros = u64::from(top.leading_zeros());
        let bits = self.limbs.len() as u64 * 64 - zeros;
        let below = bits.saturating_sub(64);
        let (words, shift) = ((below / 64) as usize, below % 64);
        let word = |i: usize| self.limbs.get(i).copied().unwrap_or(0);
        let mut head = if shift == 0 { word(words) } else { word(words) >> shift | word(words + 1) << (64 - shift) };
        // Whatever is cut off only matters as "a little more than half".
        let cut = self.limbs.iter().take(words).any(|&w| w != 0) || word(words) & ((1 << shift) - 1) != 0;
        head |= u64::from(cut);
        let value = scaled(head as f64, below.cast_signed() + exponent);
        if self.negative { -value } else { value }
    }
}

/// `value * 2^exponent`, in steps that do not overflow on the way.
fn scaled(mut value: f64, mut exponent: i64) -> f64 {
    while exponent > 0 && value.is_finite() {
        let step = exponent.min(1_000);
        value *= power(step);
        exponent -= step;
    }
    while exponent < 0 && value != 0.0 {
        let step = exponent.max(-1_000);
        value *= power(step);
        exponent -= step;
    }
    value
}

fn power(exponent: i64) -> f64 {
    f64::from_bits((exponent + 1_023).cast_unsigned() << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(value: i128) -> Big {
        let mut wide = Wide::default();
        wide.add_shifted(value, 0);
        Big::of(&wide)
    }

    proptest! {
        #[test]
        fn arithmetic_agrees_with_machine_numbers(a in any::<i64>(), b in any::<i64>(), shift in 0u32..60) {
            let (x, y) = (i128::from(a), i128::from(b));
            prop_assert_eq!(big(x).plus(&big(y)).to_f64(0), (x + y) as f64);
            prop_assert_eq!(big(x).minus(&big(y)).to_f64(0), (x - y) as f64);
            prop_assert_eq!(big(x).times(&big(y)).to_f64(0), (x * y) as f64);
            prop_assert_eq!(big(x).shifted(shift as usize).to_f64(0), (x << shift) as f64);
            let mut wide = Wide::default();
            wide.add_shifted(x << 60, 40);
            wide.add_shifted(y, 100);
            prop_assert_eq!(Big::of(&wide).to_f64(-100), (x + y) as f64);
        }
    }

    #[test]
    fn scales_reach_both_ends() {
        assert_eq!(big(1).to_f64(-1_074), f64::from_bits(1));
        assert_eq!(big(1).to_f64(5_000), f64::INFINITY);
        assert_eq!(big(3).to_f64(-5_000), 0.0);
    }
}
