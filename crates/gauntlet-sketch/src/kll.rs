//! A quantile sketch with bounded rank error: Karnin, Lang, Liberty, "Optimal quantile approximation in streams" (2016).
//! Its coins are a function of column, level and number of compactions, so the same values in the same order give the
//! same bytes. The bytes still depend on that order, hence they are not part of a signed fingerprint.

use crate::codec::{DecodeError, Reader, Writer};

const SMALLEST: usize = 8;
const MAX_LEVELS: usize = 61;
/// Largest accuracy parameter.
pub const MAX_KLL: u16 = 4_096;

/// Rank error and quantiles of the finite values of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Kll {
    k: u16,
    /// Coins are drawn from it.
    seed: u64,
    count: u64,
    /// Values of weight `2^level`.
    levels: Vec<Vec<f64>>,
    /// Compactions of each level so far.
    turns: Vec<u64>,
}

impl Kll {
    pub(crate) fn new(k: u16, seed: u64) -> Self {
        Self { k: k.clamp(8, MAX_KLL), seed, count: 0, levels: vec![Vec::new()], turns: vec![0] }
    }

    /// The accuracy parameter.
    #[must_use]
    pub fn k(&self) -> u16 {
        self.k
    }

    /// Values that went in.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Half of the width of the interval in which the rank of any one value lies with 99 % probability, as a share of the
    /// count: 0.0133 for k = 200, about 0.003 for k = 1024 (constants of Apache DataSketches' KLL for the same layout).
    #[must_use]
    pub fn rank_error(&self) -> f64 {
        2.296 / f64::from(self.k).powf(0.902_1)
    }

    /// Values with their weights, in order.
    #[must_use]
    pub fn weighted(&self) -> Vec<(f64, u64)> {
        let mut out: Vec<(f64, u64)> =
            (0..).zip(&self.levels).flat_map(|(level, values)| values.iter().map(move |&v| (v, 1 << level))).collect();
        out.sort_by(|a, b| a.0.total_cmp(&b.0));
        out
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1;
        if let Some(bottom) = self.levels.first_mut() {
            bottom.push(value);
        }
        if self.levels.first().is_some_and(|bottom| bottom.len() >= self.capacity(0)) {
            self.compact();
        }
    }

    /// Adds a value `count` times: once at the level of each bit of the count.
    pub(crate) fn add_times(&mut self, value: f64, count: u64) {
        self.count += count;
        for level in 0..MAX_LEVELS.min(64 - count.leading_zeros() as usize) {
            if count >> level & 1 == 1 {
                self.grow(level);
                if let Some(values) = self.levels.get_mut(level) {
                    values.push(value);
                }
            }
        }
        self.compact();
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (level, values) in other.levels.iter().enumerate() {
            self.grow(level);
            if let Some(mine) = self.levels.get_mut(level) {
                mine.extend_from_slice(values);
            }
        }
        for (mine, theirs) in self.turns.iter_mut().zip(&other.turns) {
            *mine = mine.wrapping_add(*theirs);
        }
        self.compact();
    }

    fn grow(&mut self, level: usize) {
        while self.levels.len() <= level {
            self.levels.push(Vec::new());
            self.turns.push(0);
        }
    }

    /// Lower levels are smaller by a third each.
    fn capacity(&self, level: usize) -> usize {
        let depth = self.levels.len() - 1 - level.min(self.levels.len() - 1);
        let mut capacity = usize::from(self.k);
        for _ in 0..depth.min(20) {
            capacity = capacity * 2 / 3;
        }
        capacity.max(SMALLEST)
    }

    fn compact(&mut self) {
        let mut level = 0;
        while level < self.levels.len() {
            if self.levels[level].len() >= self.capacity(level) && level + 1 < MAX_LEVELS {
                self.grow(level + 1);
                let mut values = std::mem::take(&mut self.levels[level]);
                values.sort_unstable_by(f64::total_cmp);
                let coin = coin(self.seed, level, self.turns[level]);
                self.turns[level] = self.turns[level].wrapping_add(1);
                // An odd one stays behind, so that weights add up.
                let odd = if values.len() % 2 == 1 { values.pop() } else { None };
                self.levels[level + 1].extend(values.iter().skip(coin).step_by(2));
                values.clear();
                values.extend(odd);
                self.levels[level] = values;
            }
            level += 1;
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.levels.iter().map(|level| level.capacity() * 8 + 32).sum()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.count(self.k.into());
        out.u64(self.seed);
        out.count(self.count);
        out.count(self.levels.len() as u64);
        for (values, turns) in self.levels.iter().zip(&self.turns) {
            out.count(*turns);
            out.count(values.len() as u64);
            for &value in values {
                out.f64(value);
            }
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let k = u16::try_from(input.count()?).ok().filter(|k| (8..=MAX_KLL).contains(k));
        let k = k.ok_or(DecodeError::Malformed("the accuracy of a quantile sketch is out of range"))?;
        let mut out = Self::new(k, input.u64()?);
        out.count = input.count()?;
        let levels = input.length("levels", MAX_LEVELS)?;
        (out.levels, out.turns) = (Vec::new(), Vec::new());
        let mut sum = 0u128;
        for level in 0..levels {
            out.turns.push(input.count()?);
            let n = input.length("values of a level", 4 * usize::from(k))?;
            let mut values = Vec::with_capacity(n);
            for _ in 0..n {
                values.push(input.f64()?);
            }
            if values.iter().any(|v| !v.is_finite()) {
                return Err(DecodeError::Malformed("a quantile sketch holds a number that is not finite"));
            }
            sum += (n as u128) << level;
            out.levels.push(values);
        }
        if sum != u128::from(out.count) || levels == 0 {
            return Err(DecodeError::Malformed("weights of a quantile sketch do not add up"));
        }
        Ok(out)
    }
}

/// 0 or 1.
fn coin(seed: u64, level: usize, turn: u64) -> usize {
    let mut x = seed ^ (level as u64).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 63) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(kll: &Kll, n: u64) -> f64 {
        let (mut below, mut worst) = (0u64, 0f64);
        for (value, weight) in kll.weighted() {
            // The values were 0..n, so a value is its rank.
            worst = worst.max((below as f64 - value).abs()).max(((below + weight) as f64 - value - 1.0).abs());
            below += weight;
        }
        worst / n as f64
    }

    #[test]
    fn ranks_are_within_the_error_after_merges() {
        let n = 100_000u64;
        for (k, bound) in [(200, 0.02), (1024, 0.0045)] {
            let mut parts: Vec<Kll> = (0..4).map(|_| Kll::new(k, 42)).collect();
            for i in 0..n {
                // Coprime to n: every value once.
                let value = i * 61_803 % n;
                parts[(i % 4) as usize].add(value as f64);
            }
            let mut all = parts.remove(0);
            parts.iter().for_each(|part| all.merge(part));
            assert_eq!(all.weighted().iter().map(|w| w.1).sum::<u64>(), n);
            assert!(worst(&all, n) < bound, "{k}: {}", worst(&all, n));
            let mut out = Writer::default();
            all.write(&mut out);
            assert_eq!(Kll::read(&mut Reader(&out.0)).unwrap(), all);
        }
    }

    #[test]
    fn weights_are_kept() {
        let mut kll = Kll::new(200, 1);
        kll.add_times(1.0, 1_000_003);
        kll.add_times(2.0, 5);
        assert_eq!(kll.weighted().iter().map(|w| w.1).sum::<u64>(), 1_000_008);
    }
}
