//! Sums of first to fourth powers, kept exactly: a double is a 53-bit whole number times a power of two, so values of one
//! exponent add as whole numbers. The sums do not depend on the order of values or merges; moments are computed from
//! them at the end without cancellation.

use std::collections::BTreeMap;

use crate::big::{Big, Wide};
use crate::codec::{DecodeError, Reader, Writer};

/// The exponent of whole numbers: `m * 2^0`.
const WHOLE: u16 = 1_075;
const MANTISSA: u64 = (1 << 52) - 1;
const HALF: u64 = (1 << 53) - 1;
/// Values between two carries into the wide sums: products have 107 bits at most.
const RUN: usize = 1 << 16;

/// Mean and central moments of the finite values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Finite values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
    /// Sum of cubed deviations.
    pub m3: f64,
    /// Sum of fourth powers of deviations.
    pub m4: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
impl Moments {
    /// `m2 / (n - 1)`; `None` below two values.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.m2 / (self.count - 1) as f64)
    }

    /// Population standard deviation, `sqrt(m2 / n)`: what Wasserstein distances are scaled by.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.m2 / self.count as f64).sqrt() }
    }

    /// `sqrt(n) m3 / m2^1.5`; `None` for a constant.
    #[must_use]
    pub fn skewness(&self) -> Option<f64> {
        (self.m2 > 0.0).then(|| (self.count as f64).sqrt() * self.m3 / self.m2.powf(1.5))
    }

    /// `n m4 / m2^2 - 3`; `None` for a constant.
    #[must_use]
    pub fn kurtosis(&self) -> Option<f64> {
        (self.m2 > 0.0).then(|| self.count as f64 * self.m4 / (self.m2 * self.m2) - 3.0)
    }
}

/// First to fourth power sums by exponent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PowerSums {
    count: u64,
    by_exponent: BTreeMap<u16, [Wide; 4]>,
}

/// Sums of one run of values of one exponent. `s3` and `s4` are split so that every product fits.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    s1: i128,
    s2: u128,
    s3: [i128; 2],
    s4: [u128; 3],
}

/// Space for the runs of all exponents, used by one column after the other.
#[derive(Debug)]
pub(crate) struct Runs(Box<[Run; 2_048]>);

impl Default for Runs {
    fn default() -> Self {
        Self(Box::new([Run::default(); 2_048]))
    }
}

impl Run {
    #[inline(always)]
    fn add(&mut self, mantissa: u64, negative: bool) {
        let m = u128::from(mantissa);
        let square = m * m;
        let (a, b) = ((square >> 53) as u64, square as u64 & HALF);
        let (a, b) = (u128::from(a), u128::from(b));
        let (am, bm) = ((a * m).cast_signed(), (b * m).cast_signed());
        let m = m.cast_signed();
        let flip = |x: i128| if negative { -x } else { x };
        self.s1 += flip(m);
        self.s2 += square;
        self.s3[0] += flip(am);
        self.s3[1] += flip(bm);
        self.s4[0] += a * a;
        self.s4[1] += a * b;
        self.s4[2] += b * b;
    }
}

impl PowerSums {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds finite numbers.
    pub(crate) fn add_floats(&mut self, values: &[f64], runs: &mut Runs) {
        for values in values.chunks(RUN) {
            self.count += values.len() as u64;
            let mut touched = [0u64; 32];
            for value in values {
                let bits = value.to_bits();
                let biased = (bits >> 52) as usize & 0x7ff;
                let mantissa = (bits & MANTISSA) | u64::from(biased > 0) << 52;
                let exponent = biased.max(1);
                touched[exponent >> 6] |= 1 << (exponent & 63);
                runs.0[exponent & 0x7ff].add(mantissa, bits >> 63 == 1);
            }
            for (word, &set) in touched.iter().enumerate() {
                let mut set = set;
                while set != 0 {
                    let exponent = word << 6 | set.trailing_zeros() as usize;
                    set &= set - 1;
                    let run = std::mem::take(&mut runs.0[exponent & 0x7ff]);
                    self.carry(exponent as u16, &run);
                }
            }
        }
    }

    /// Adds whole numbers.
    pub(crate) fn add_whole(&mut self, values: &[i64]) {
        for values in values.chunks(RUN) {
            self.count += values.len() as u64;
            let mut run = Run::default();
            for &value in values {
                let magnitude = value.unsigned_abs();
                if magnitude <= HALF {
                    run.add(magnitude, value < 0);
                } else {
                    self.add_product(WHOLE, magnitude, value < 0, 1);
                }
            }
            self.carry(WHOLE, &run);
        }
    }

    /// Adds a whole number `count` times.
    pub(crate) fn add_times_whole(&mut self, value: i64, count: u64) {
        self.count += count;
        self.add_product(WHOLE, value.unsigned_abs(), value < 0, count);
    }

    /// Adds a finite number `count` times.
    pub(crate) fn add_times(&mut self, value: f64, count: u64) {
        self.count += count;
        let bits = value.to_bits();
        let biased = (bits >> 52) as u16 & 0x7ff;
        let mantissa = (bits & MANTISSA) | u64::from(biased > 0) << 52;
        self.add_product(biased.max(1), mantissa, bits >> 63 == 1, count);
    }

    fn add_product(&mut self, exponent: u16, magnitude: u64, negative: bool, count: u64) {
        if magnitude == 0 || count == 0 {
            return;
        }
        let sums = self.by_exponent.entry(exponent).or_default();
        let mut product = Wide::from_u64(count);
        for (power, sum) in sums.iter_mut().enumerate() {
            product = product.times(magnitude);
            sum.add(&if negative && power % 2 == 0 { product.negated() } else { product });
        }
    }

    fn carry(&mut self, exponent: u16, run: &Run) {
        if run.s2 == 0 {
            return;
        }
        let [s1, s2, s3, s4] = self.by_exponent.entry(exponent).or_default();
        s1.add_shifted(run.s1, 0);
        s2.add_shifted(run.s2.cast_signed(), 0);
        s3.add_shifted(run.s3[0], 53);
        s3.add_shifted(run.s3[1], 0);
        s4.add_shifted(run.s4[0].cast_signed(), 106);
        s4.add_shifted(run.s4[1].cast_signed(), 54);
        s4.add_shifted(run.s4[2].cast_signed(), 0);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (&exponent, theirs) in &other.by_exponent {
            let mine = self.by_exponent.entry(exponent).or_default();
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                mine.add(theirs);
            }
        }
    }

    /// The moments; `None` without values.
    #[expect(clippy::cast_precision_loss, reason = "a count as divisor")]
    pub(crate) fn moments(&self) -> Option<Moments> {
        if self.count == 0 {
            return None;
        }
        let lowest = self.by_exponent.keys().next().copied().unwrap_or(WHOLE);
        let mut sums: [Big; 4] = Default::default();
        for (&exponent, wide) in &self.by_exponent {
            let up = usize::from(exponent - lowest);
            for (power, (sum, wide)) in sums.iter_mut().zip(wide).enumerate() {
                *sum = sum.plus(&Big::of(wide).shifted(up * (power + 1)));
            }
        }
        let [s1, s2, s3, s4] = sums;
        let n = Big::from_u64(self.count);
        let scale = i64::from(lowest) - i64::from(WHOLE);
        let count = self.count as f64;
        let times = |factor: u64, x: &Big| Big::from_u64(factor).times(x);
        let n2 = n.times(&n);
        let s1_2 = s1.times(&s1);
        // n M2 = n S2 - S1^2
        let m2 = n.times(&s2).minus(&s1_2);
        // n^2 M3 = n^2 S3 - 3 n S1 S2 + 2 S1^3
        let m3 = n2.times(&s3).minus(&times(3, &n.times(&s1).times(&s2))).plus(&times(2, &s1_2.times(&s1)));
        // n^3 M4 = n^3 S4 - 4 n^2 S1 S3 + 6 n S1^2 S2 - 3 S1^4
        let m4 = n2
            .times(&n)
            .times(&s4)
            .minus(&times(4, &n2.times(&s1).times(&s3)))
            .plus(&times(6, &n.times(&s1_2).times(&s2)))
            .minus(&times(3, &s1_2.times(&s1_2)));
        Some(Moments {
            count: self.count,
            mean: s1.to_f64(scale) / count,
            m2: m2.to_f64(2 * scale) / count,
            m3: m3.to_f64(3 * scale) / count / count,
            m4: m4.to_f64(4 * scale) / count / count / count,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.by_exponent.len() * (4 * size_of::<Wide>() + 16)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.count(self.count);
        out.count(self.by_exponent.len() as u64);
        for (&exponent, sums) in &self.by_exponent {
            out.count(exponent.into());
            for limb in sums.iter().flat_map(|sum| sum.0) {
                out.count(limb);
            }
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut out = Self { count: input.count()?, by_exponent: BTreeMap::new() };
        for _ in 0..input.length("exponents", 2_047)? {
            let exponent = u16::try_from(input.count()?).ok().filter(|e| (1..2_047).contains(e));
            let exponent = exponent.ok_or(DecodeError::Malformed("an exponent is out of range"))?;
            let mut sums = [Wide::default(); 4];
            for limb in sums.iter_mut().flat_map(|sum| &mut sum.0) {
                *limb = input.count()?;
            }
            if sums[1].is_negative() || sums[3].is_negative() {
                return Err(DecodeError::Malformed("a sum of squares is negative"));
            }
            if out.by_exponent.last_key_value().is_some_and(|(&last, _)| last >= exponent) {
                return Err(DecodeError::Malformed("exponents are out of order"));
            }
            out.by_exponent.insert(exponent, sums);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> PowerSums {
        let mut sums = PowerSums::default();
        sums.add_floats(values, &mut Runs::default());
        sums
    }

    fn close(a: f64, b: f64, scale: f64) -> bool {
        (a - b).abs() <= 1e-9 * scale.max(b.abs())
    }

    proptest! {
        #[test]
        fn sums_do_not_depend_on_order_or_weights(values in prop::collection::vec(-1e12f64..1e12, 1..60), cut in 0usize..60) {
            let whole = of(&values);
            let cut = cut.min(values.len());
            let (mut b, a) = (of(&values[cut..]), of(&values[..cut]));
            b.merge(&a);
            prop_assert_eq!(&whole, &b);
            let mut weighted = PowerSums::default();
            let mut twice = whole.clone();
            twice.merge(&whole);
            for value in &values {
                weighted.add_times(*value, 2);
            }
            prop_assert_eq!(twice, weighted);
        }

        #[test]
        fn moments_are_those_of_two_passes(values in prop::collection::vec(-1e3f64..1e5, 2..200)) {
            let m = of(&values).moments().unwrap();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let power = |p| values.iter().map(|x| (x - mean).powi(p)).sum::<f64>();
            let scale = values.iter().map(|x| (x - mean).abs()).fold(0.0, f64::max);
            prop_assert!(close(m.mean, mean, scale));
            prop_assert!(close(m.m2, power(2), 1e-3 * scale.powi(2)));
            prop_assert!(close(m.m3, power(3), n * scale.powi(3)));
            prop_assert!(close(m.m4, power(4), 1e-3 * scale.powi(4)));
        }

        #[test]
        fn whole_numbers_are_floats(values in prop::collection::vec(-(1i64 << 50)..(1i64 << 50), 1..50)) {
            let mut whole = PowerSums::default();
            whole.add_whole(&values);
            let floats: Vec<f64> = values.iter().map(|&v| v as f64).collect();
            prop_assert_eq!(whole.moments(), of(&floats).moments());
        }
    }

    #[test]
    fn a_large_mean_does_not_drown_a_small_deviation() {
        // Nanoseconds of 2026 with deviations of a microsecond: squares of doubles would lose everything.
        let base = 1_795_000_000_000_000_000i64;
        let mut sums = PowerSums::default();
        sums.add_whole(&[base, base + 1_000, base + 2_000, base + 3_000]);
        let m = sums.moments().unwrap();
        assert_eq!((m.m2, m.m3, m.m4), (5_000_000.0, 0.0, 2.0 * (1_500f64.powi(4) + 500f64.powi(4))));
    }

    #[test]
    fn extremes_are_exact() {
        let m = of(&[f64::MAX, -f64::MAX, f64::from_bits(1)]).moments().unwrap();
        assert_eq!(m.mean, 0.0);
        assert_eq!(m.m2, f64::INFINITY);
        let sums = of(&[f64::MAX, 1.0, -3.5e-310]);
        let mut out = Writer::default();
        sums.write(&mut out);
        let mut input = Reader(&out.0);
        assert_eq!(PowerSums::read(&mut input).unwrap(), sums);
        input.finish().unwrap();
    }
}
