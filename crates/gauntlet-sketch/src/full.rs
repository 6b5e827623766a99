//! A column with many distinct values: bounded summaries.

use crate::codec::{DecodeError, Reader, Writer};
use crate::exact::Entry;
use crate::histogram::{Histogram, by_day, day_index, number_index};
use crate::hll::Hll;
use crate::kll::Kll;
use crate::moments::PowerSums;
use crate::scratch::Scratch;
use crate::text::TextStats;
use crate::value::{Kind, Value};
use crate::watch::Watch;

/// Largest number of watched bins or values.
pub(crate) const MAX_WATCHED: usize = 1 << 16;

/// Everything that adds exactly.
#[derive(Clone, Debug)]
pub(crate) struct Full {
    pub(crate) count: u64,
    pub(crate) distinct: Hll,
    pub(crate) histogram: Histogram,
    pub(crate) powers: PowerSums,
    pub(crate) nan: u64,
    pub(crate) infinite: [u64; 2],
    pub(crate) zero: u64,
    pub(crate) negative: u64,
    /// Smallest and largest value, infinities left out.
    pub(crate) range: Option<(Value, Value)>,
    pub(crate) text: TextStats,
    /// Counts of the watched bins.
    pub(crate) watched: Vec<u64>,
}

impl Full {
    pub(crate) fn new(watch: Option<&Watch>) -> Self {
        Self {
            count: 0,
            distinct: Hll::new(),
            histogram: Histogram::default(),
            powers: PowerSums::default(),
            nan: 0,
            infinite: [0; 2],
            zero: 0,
            negative: 0,
            range: None,
            text: TextStats::default(),
            watched: vec![0; watch.map_or(0, Watch::bins)],
        }
    }

    /// One value, `times` times.
    pub(crate) fn add(&mut self, kind: Kind, entry: &Entry, times: u64, watch: Option<&Watch>, kll: Option<&mut Kll>) {
        self.count += times;
        self.distinct.add(entry.hash.0);
        if let Some(bin) = watch.and_then(|watch| watch.bin(&entry.value, entry.hash.0)) {
            self.watch(bin, times);
        }
        match &entry.value {
            Value::Bytes(..) => {
                self.text.add(entry.shape, times);
                self.widen(&entry.value, &entry.value);
            }
            Value::Bool(_) | Value::Opaque => {}
            value => {
                let Some(number) = value.number() else { return };
                if number.is_nan() {
                    self.nan += times;
                    return;
                }
                self.negative += if number < 0.0 { times } else { 0 };
                if number.is_infinite() {
                    self.infinite[usize::from(number > 0.0)] += times;
                    return;
                }
                self.zero += if number == 0.0 { times } else { 0 };
                self.widen(value, value);
                self.histogram.add(index(kind, value, number), times);
                match value {
                    Value::Int(whole) if i64::try_from(*whole).is_ok() => {
                        self.powers.add_times_whole(*whole as i64, times);
                    }
                    _ => self.powers.add_times(number, times),
                }
                if let Some(kll) = kll {
                    kll.add_times(number, times);
                }
            }
        }
    }

    fn watch(&mut self, bin: usize, times: u64) {
        if let Some(count) = self.watched.get_mut(bin) {
            *count += times;
        }
    }

    fn widen(&mut self, low: &Value, high: &Value) {
        match &mut self.range {
            None => self.range = Some((low.clone(), high.clone())),
            Some((min, max)) => {
                if low.order(min).is_lt() {
                    *min = low.clone();
                }
                if high.order(max).is_gt() {
                    *max = high.clone();
                }
            }
        }
    }

    /// A run of bytes values' extremes.
    pub(crate) fn widen_bytes(&mut self, low: &[u8], high: &[u8]) {
        let outside = match &self.range {
            Some((Value::Bytes(min, _), Value::Bytes(max, _))) => {
                // Only a prefix is kept: what may tie with it is cut and compared again.
                low.get(..min.len()).unwrap_or(low) <= &**min || high.get(..max.len()).unwrap_or(high) >= &**max
            }
            _ => true,
        };
        if outside {
            self.widen(&Value::bytes(low), &Value::bytes(high));
        }
    }

    /// Whole numbers whose hashes are counted already.
    pub(crate) fn add_whole(
        &mut self,
        kind: Kind,
        values: &[u64],
        watch: Option<&Watch>,
        kll: Option<&mut Kll>,
        scratch: &mut Vec<i64>,
    ) {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        let (mut zero, mut negative) = (0u64, 0u64);
        scratch.clear();
        scratch.extend(values.iter().map(|v| v.cast_signed()));
        for &value in scratch.iter() {
            low = low.min(value);
            high = high.max(value);
            zero += u64::from(value == 0);
            negative += u64::from(value < 0);
        }
        if low > high {
            return;
        }
        self.zero += zero;
        self.negative += negative;
        self.widen(&Value::Int(low.into()), &Value::Int(high.into()));
        if by_day(kind) {
            for &value in scratch.iter() {
                self.histogram.add(day_index(kind, value), 1);
            }
        } else {
            for &value in scratch.iter() {
                self.histogram.add(number_index(value as f64), 1);
            }
        }
        self.powers.add_whole(scratch);
        self.numbers(scratch.iter().map(|&v| v as f64), watch, kll);
    }

    /// Floats by their canonical bits, whose hashes are counted already.
    pub(crate) fn add_floats(
        &mut self,
        values: &[u64],
        watch: Option<&Watch>,
        kll: Option<&mut Kll>,
        scratch: &mut Scratch,
    ) {
        let finite = &mut scratch.floats;
        finite.clear();
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut zero, mut negative) = (0u64, 0u64);
        for &bits in values {
            let value = f64::from_bits(bits);
            negative += u64::from(value < 0.0);
            if value.is_finite() {
                low = low.min(value);
                high = high.max(value);
                zero += u64::from(bits == 0);
                finite.push(value);
            } else if value.is_nan() {
                self.nan += 1;
            } else {
                self.infinite[usize::from(value > 0.0)] += 1;
                if let Some(bin) = watch.and_then(|watch| watch.bin_of(value)) {
                    self.watch(bin, 1);
                }
            }
        }
        self.zero += zero;
        self.negative += negative;
        if low <= high {
            self.widen(&Value::Float(low), &Value::Float(high));
        }
        for &value in finite.iter() {
            self.histogram.add(number_index(value), 1);
        }
        self.powers.add_floats(finite, &mut scratch.runs);
        let finite = std::mem::take(&mut scratch.floats);
        self.numbers(finite.iter().copied(), watch, kll);
        scratch.floats = finite;
    }

    fn numbers(&mut self, values: impl Iterator<Item = f64> + Clone, watch: Option<&Watch>, kll: Option<&mut Kll>) {
        if let Some(watch) = watch.filter(|watch| watch.is_edges()) {
            for value in values.clone() {
                if let Some(bin) = watch.bin_of(value) {
                    self.watch(bin, 1);
                }
            }
        }
        if let Some(kll) = kll {
            values.for_each(|value| kll.add(value));
        }
    }

    /// Counts watched values by hash.
    pub(crate) fn watch_hashes(&mut self, hashes: &[u64], watch: Option<&Watch>) {
        let Some(watch) = watch.filter(|watch| !watch.is_edges()) else { return };
        for &hash in hashes {
            if let Some(bin) = watch.bin_of_hash(hash) {
                self.watch(bin, 1);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.distinct.merge(&other.distinct);
        self.histogram.merge(&other.histogram);
        self.powers.merge(&other.powers);
        self.nan += other.nan;
        self.infinite[0] += other.infinite[0];
        self.infinite[1] += other.infinite[1];
        self.zero += other.zero;
        self.negative += other.negative;
        if let Some((low, high)) = &other.range {
            self.widen(low, high);
        }
        self.text.merge(&other.text);
        for (mine, theirs) in self.watched.iter_mut().zip(&other.watched) {
            *mine += theirs;
        }
    }

    pub(crate) fn size(&self) -> usize {
        4_096 + self.histogram.size() + self.powers.size() + self.watched.len() * 8 + 512
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for n in [self.count, self.nan, self.infinite[0], self.infinite[1], self.zero, self.negative] {
            out.count(n);
        }
        self.distinct.write(out);
        self.histogram.write(out);
        self.powers.write(out);
        out.u8(u8::from(self.range.is_some()));
        if let Some((low, high)) = &self.range {
            low.write(out);
            high.write(out);
        }
        self.text.write(out);
        out.count(self.watched.len() as u64);
        for &count in &self.watched {
            out.count(count);
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>, kind: Kind, watch: Option<&Watch>) -> Result<Self, DecodeError> {
        let mut out = Self::new(watch);
        out.count = input.count()?;
        out.nan = input.count()?;
        out.infinite = [input.count()?, input.count()?];
        out.zero = input.count()?;
        out.negative = input.count()?;
        out.distinct = Hll::read(input)?;
        out.histogram = Histogram::read(input, kind)?;
        out.powers = PowerSums::read(input)?;
        if input.flag()? {
            let range = (Value::read(input)?, Value::read(input)?);
            if !range.0.fits(kind) || !range.1.fits(kind) || range.0.order(&range.1).is_gt() {
                return Err(DecodeError::Malformed("the range of a column is upside down or of another type"));
            }
            out.range = Some(range);
        }
        out.text = TextStats::read(input)?;
        if input.length("watched bins", MAX_WATCHED)? != out.watched.len() {
            return Err(DecodeError::Malformed("watched bins and their counts differ"));
        }
        for count in &mut out.watched {
            *count = input.count()?;
        }
        out.consistent(kind)?;
        Ok(out)
    }

    /// The parts were counted from the same values.
    fn consistent(&self, kind: Kind) -> Result<(), DecodeError> {
        let sum = |numbers: &[u64]| numbers.iter().try_fold(0u64, |sum, &n| sum.checked_add(n));
        let in_buckets = self.histogram.buckets().try_fold(0u64, |sum, (_, n)| sum.checked_add(n));
        let finite = self.powers.count();
        let all = sum(&[finite, self.nan, self.infinite[0], self.infinite[1]]);
        let numeric = in_buckets == Some(finite) && (!kind.is_numeric() || all == Some(self.count));
        let texts = !matches!(kind, Kind::Text | Kind::Binary) || self.text.count == self.count;
        let signs = self.zero <= finite && self.negative <= self.count;
        if numeric && texts && signs && sum(&self.watched).is_some() {
            Ok(())
        } else {
            Err(DecodeError::Malformed("counts of a column contradict each other"))
        }
    }
}

fn index(kind: Kind, value: &Value, number: f64) -> i64 {
    match value {
        Value::Int(whole) if by_day(kind) => {
            let bound = i128::from(i64::MAX);
            day_index(kind, (*whole).clamp(-bound, bound) as i64)
        }
        _ => number_index(number),
    }
}
