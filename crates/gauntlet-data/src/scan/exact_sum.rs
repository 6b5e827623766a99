//! Sums of floats that do not depend on the order of their terms: a fixed-point accumulator wide enough for every finite
//! f64 (Kulisch, "Computer Arithmetic and Validity", 2013, chapter 8), in digits of 32 bits.

use serde::{Deserialize, Serialize};

/// The lowest digit weighs 2^-1074, the smallest f64; 70 digits reach 2^1166, room for 2^90 terms.
const DIGITS: usize = 70;
const LOWEST: i32 = -1074;
/// Terms after which carries are settled: each adds less than 2^32 to a digit of 63 bits.
const SETTLE_AFTER: u32 = 1 << 28;

/// A sum of finite floats, exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExactSum {
    digits: Vec<i64>,
    #[serde(skip)]
    unsettled: u32,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self { digits: vec![0; DIGITS], unsettled: 0 }
    }
}

impl ExactSum {
    /// Adds a finite float; others have to be counted by the caller.
    pub(crate) fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7FF;
        if exponent == 0x7FF {
            return;
        }
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let wide = u128::from(mantissa) << (shift % 32);
        // The shift is below 2,046, so the digit is below 64 and three digits fit.
        let at = usize::try_from(shift / 32).unwrap_or(0);
        let negative = value.is_sign_negative();
        for (k, digit) in self.digits.iter_mut().skip(at).take(3).enumerate() {
            let part = ((wide >> (32 * k)) & 0xFFFF_FFFF) as i64;
            *digit += if negative { -part } else { part };
        }
        self.unsettled += 1;
        if self.unsettled >= SETTLE_AFTER {
            self.settle();
        }
    }

    /// Adds another sum.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.settle();
        other.settle();
        for (digit, more) in self.digits.iter_mut().zip(other.digits) {
            *digit += more;
        }
        self.settle();
    }

    /// Brings the digits into their one canonical form: all but the highest in 0 .. 2^32.
    pub(crate) fn settle(&mut self) {
        let mut carry = 0i64;
        let last = self.digits.len().saturating_sub(1);
        for (k, digit) in self.digits.iter_mut().enumerate() {
            *digit += carry;
            if k < last {
                carry = *digit >> 32;
                *digit &= 0xFFFF_FFFF;
            }
        }
        self.unsettled = 0;
    }

    /// The sum as a float and what it is off by. Infinite when it is beyond the range of floats.
    pub(crate) fn value(&self) -> (f64, f64) {
        let mut settled = self.clone();
        settled.settle();
        let negative = settled.digits.last().is_some_and(|&top| top < 0);
        if negative {
            settled.digits.iter_mut().for_each(|digit| *digit = -*digit);
            settled.settle();
        }
        let (mut high, mut low) = (0.0f64, 0.0f64);
        for (k, &digit) in settled.digits.iter().enumerate().rev() {
            if digit == 0 {
                continue;
            }
            let weight = i32::try_from(32 * k).unwrap_or(i32::MAX) + LOWEST;
            let term = scaled(digit, weight);
            // Terms fall, so that the two-sum of Dekker loses nothing of the higher one.
            let sum = high + term;
            if !sum.is_finite() {
                return (if negative { f64::NEG_INFINITY } else { f64::INFINITY }, 0.0);
            }
            low += term - (sum - high);
            high = sum;
        }
        let sum = high + low;
        let rest = if sum.is_finite() { low - (sum - high) } else { 0.0 };
        if negative { (-sum, -rest) } else { (sum, rest) }
    }
}

/// `digit * 2^weight` for a digit of 32 bits (the highest may be larger).
#[expect(clippy::cast_precision_loss, reason = "digits below the highest have 32 bits")]
fn scaled(digit: i64, weight: i32) -> f64 {
    let mut value = digit as f64;
    let mut rest = weight;
    while rest != 0 && value != 0.0 && value.is_finite() {
        let step = rest.clamp(-1000, 1000);
        // 2^step is a normal float for such steps.
        value *= f64::from_bits(u64::try_from(step + 1023).unwrap_or(0) << 52);
        rest -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        values.iter().for_each(|&value| sum.add(value));
        sum
    }

    #[test]
    fn nothing_is_lost() {
        assert_eq!(sum(&[1e308, 1.0, -1e308]).value().0.to_bits(), 1f64.to_bits());
        assert_eq!(sum(&[1e16, 1.0, -1e16, 1e-300]).value().0.to_bits(), 1f64.to_bits());
        assert_eq!(sum(&[0.1; 10]).value().0.to_bits(), 1f64.to_bits());
        assert_eq!(sum(&[-5e-324, -5e-324]).value().0.to_bits(), (-1e-323f64).to_bits());
        assert_eq!(sum(&[]).value().0.to_bits(), 0f64.to_bits());
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value().0, f64::INFINITY);
        assert_eq!(sum(&[-1.5, -2.25]).value().0.to_bits(), (-3.75f64).to_bits());
    }

    #[test]
    fn order_and_partition_leave_no_trace() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let values: Vec<f64> = (0..10_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                f64::from_bits(state)
            })
            .filter(|value| value.is_finite() && value.abs() < 1e250)
            .collect();
        let whole = sum(&values).value();
        let reversed: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(sum(&reversed).value(), whole);
        for parts in [2, 7, 100] {
            let mut merged = ExactSum::default();
            values.chunks(values.len() / parts).rev().for_each(|chunk| merged.merge(sum(chunk)));
            let bytes = serde_json::to_vec(&merged).unwrap();
            assert_eq!(serde_json::from_slice::<ExactSum>(&bytes).unwrap().value(), whole);
        }
    }
}
