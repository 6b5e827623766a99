//! Counts over fixed buckets: the buckets never depend on the data, so two histograms add exactly.
//!
//! Numbers: a bucket is sign, exponent and the first nine bits of the mantissa of an IEEE double, so its index is a shift
//! of the bits and its middle is within 2^-10 (0.098 %) of every value in it; whole numbers below 1,024 have a
//! bucket each. Values below the smallest normal number fall into the bucket of zero. Dates and timestamps: a bucket is a day,
//! because 0.1 % of the time since 1970 is three weeks.

use crate::codec::{DecodeError, Reader, Writer};
use crate::value::{DAY, Kind};

const SHIFT: u32 = 52 - 9;
const PAGE: usize = 512;
/// Largest index of a finite number.
const LAST: i64 = (f64::MAX.to_bits() >> SHIFT) as i64;
/// Days that have a bucket of their own, on both sides of 1970; 2,870 years.
const LAST_DAY: i64 = 1 << 20;
const SMALLEST: i64 = (f64::MIN_POSITIVE.to_bits() >> SHIFT) as i64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Page of `pages[0]`.
    first: i64,
    pages: Vec<Option<Box<[u64; PAGE]>>>,
}

/// Index of a finite number.
#[inline]
pub(crate) fn number_index(value: f64) -> i64 {
    let index = (value.abs().to_bits() >> SHIFT).cast_signed();
    let index = if index < SMALLEST { 0 } else { index };
    if value < 0.0 { -index } else { index }
}

/// Index of a value of a column of days.
#[inline]
pub(crate) fn day_index(kind: Kind, value: i64) -> i64 {
    let day = if kind == Kind::Timestamp { value.div_euclid(DAY) } else { value };
    day.clamp(-LAST_DAY, LAST_DAY)
}

/// Whether a bucket is a day.
pub(crate) fn by_day(kind: Kind) -> bool {
    matches!(kind, Kind::Date | Kind::Timestamp)
}

/// Smallest and largest value of a bucket.
#[expect(clippy::cast_precision_loss, reason = "days are below 2^53; nanoseconds are rounded to f64 everywhere")]
pub(crate) fn bounds(kind: Kind, index: i64) -> (f64, f64) {
    match kind {
        Kind::Date => (index as f64, index as f64),
        Kind::Timestamp => (index as f64 * DAY as f64, (index + 1) as f64 * DAY as f64 - 1.0),
        _ => {
            let low = f64::from_bits(index.unsigned_abs() << SHIFT);
            let high = f64::from_bits(((index.unsigned_abs() + 1) << SHIFT) - 1);
            let (low, high) = if index == 0 { (0.0, 0.0) } else { (low, high) };
            let whole = !matches!(kind, Kind::Float | Kind::Decimal);
            let (low, high) = if whole { (low.ceil(), high.floor()) } else { (low, high) };
            if index < 0 { (-high, -low) } else { (low, high) }
        }
    }
}

impl Histogram {
    #[inline]
    pub(crate) fn add(&mut self, index: i64, count: u64) {
        let page = index >> 9;
        let slot = index as usize & (PAGE - 1);
        if let Some(Some(counts)) = self.pages.get_mut((page.wrapping_sub(self.first)).cast_unsigned() as usize) {
            counts[slot] += count;
        } else {
            self.page(page)[slot] += count;
        }
    }

    #[cold]
    fn page(&mut self, page: i64) -> &mut [u64; PAGE] {
        if self.pages.is_empty() {
            self.first = page;
        }
        if page < self.first {
            let missing = (self.first - page).cast_unsigned() as usize;
            self.pages.splice(0..0, std::iter::repeat_with(|| None).take(missing));
            self.first = page;
        }
        let at = (page - self.first).cast_unsigned() as usize;
        if at >= self.pages.len() {
            self.pages.resize_with(at + 1, || None);
        }
        self.pages[at].get_or_insert_with(|| Box::new([0; PAGE]))
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (index, count) in other.buckets() {
            self.add(index, count);
        }
    }

    /// Buckets that hold something, in order.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        let pages = (self.first..).zip(&self.pages).filter_map(|(page, counts)| Some((page, counts.as_deref()?)));
        pages.flat_map(|(page, counts)| ((page << 9)..).zip(counts.iter().copied()).filter(|&(_, count)| count > 0))
    }

    pub(crate) fn size(&self) -> usize {
        self.pages.capacity() * 8 + self.pages.iter().flatten().count() * PAGE * 8
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.count(self.buckets().count() as u64);
        let mut before = 0;
        for (index, count) in self.buckets() {
            out.signed(index - before);
            out.count(count);
            before = index;
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>, kind: Kind) -> Result<Self, DecodeError> {
        let last = if by_day(kind) { LAST_DAY } else { LAST };
        let n = input.length("buckets", 2 * LAST as usize + 1)?;
        let mut out = Self::default();
        let mut before = 0i64;
        for i in 0..n {
            let step = input.signed()?;
            let index = before.checked_add(step).filter(|i| (-last..=last).contains(i));
            let index = index.ok_or(DecodeError::Malformed("a bucket lies outside the histogram"))?;
            let count = input.count()?;
            if count == 0 || (i > 0 && step <= 0) {
                return Err(DecodeError::Malformed("buckets are out of order or empty"));
            }
            out.add(index, count);
            before = index;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_bucket_is_near_every_value_of_it() {
        let mut x = 1.7e-300;
        while x < 1e300 {
            for x in [x, -x] {
                let (low, high) = bounds(Kind::Float, number_index(x));
                assert!(low <= x && x <= high, "{low} {x} {high}");
                assert!(((low / 2.0 + high / 2.0) - x).abs() <= x.abs() / 1024.0, "{x}");
            }
            x *= 1.000_37;
        }
    }

    #[test]
    fn small_whole_numbers_have_buckets_of_their_own() {
        for n in -1023..=1023 {
            let n = f64::from(n);
            assert_eq!(bounds(Kind::Integer, number_index(n)), (n, n));
        }
    }

    #[test]
    fn days_before_1970_are_days() {
        assert_eq!(day_index(Kind::Timestamp, -1), -1);
        assert_eq!(bounds(Kind::Timestamp, -1).0, -(DAY as f64));
        assert_eq!(bounds(Kind::Date, -3), (-3.0, -3.0));
    }

    #[test]
    fn pages_grow_on_both_sides() {
        let mut h = Histogram::default();
        for i in [5_000, -5_000, 0, LAST, -LAST, 5_000] {
            h.add(i, 1);
        }
        let seen: Vec<_> = h.buckets().collect();
        assert_eq!(seen, [(-LAST, 1), (-5_000, 1), (0, 1), (5_000, 2), (LAST, 1)]);
    }
}
