//! From Arrow arrays into the sketch: each column of a batch becomes a run of canonical 64-bit keys (or byte slices), and
//! every step below goes over the run at once.

use arrow::array::{
    Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryViewArray, FixedSizeBinaryArray,
    LargeBinaryArray, LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};

use crate::column::{Body, ColumnSketch, Ordered, pattern_hash};
use crate::content::RowSums;
use crate::exact::Entry;
use crate::frequent::Frequent;
use crate::kll::Kll;
use crate::nested;
use crate::scratch::{BUCKETS, Scratch};
use crate::text::{self, Shape};
use crate::value::{Hash, Kind, Value, float_bits, nanoseconds};

/// Why an array cannot be summarised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Another type than the sketch was made for.
    #[error("column {column} holds {found} values in place of {expected}")]
    Kind {
        /// Place of the column.
        column: usize,
        /// What the sketch is for.
        expected: &'static str,
        /// Arrow's name of the type.
        found: String,
    },
    /// Another number of columns or rows.
    #[error("the batch has another shape than the sketch: {0}")]
    Shape(&'static str),
    /// Lists and structs nest too deeply.
    #[error("values nest more than {0} levels deep")]
    Depth(usize),
    /// Arrow's word.
    #[error("{0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

const MILLIS_OF_DAY: i64 = 86_400_000;

/// What a run of keys stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repr {
    Whole,
    Float,
    Bool,
}

impl ColumnSketch {
    /// Adds one batch. `raw` holds the texts that `array` was parsed from, where there are some: a text that is no value
    /// is null in `array` only.
    pub(crate) fn update(
        &mut self,
        array: &ArrayRef,
        raw: Option<&ArrayRef>,
        scratch: &mut Scratch,
        sums: &mut RowSums,
    ) -> Result<(), UpdateError> {
        self.rows += array.len() as u64;
        self.missing(array, raw, scratch, sums);
        macro_rules! whole {
            ($t:ty, $f:expr) => {{
                let wide = fill::<$t>(array, scratch, $f);
                self.whole(array, wide, scratch, sums, |i| i128::from(array.as_primitive::<$t>().value(i)));
            }};
            ($t:ty, times $unit:expr) => {{
                let factor = nanoseconds($unit);
                let wide = fill::<$t>(array, scratch, |v| i64::from(v).checked_mul(factor));
                self.whole(array, wide, scratch, sums, |i| {
                    i128::from(array.as_primitive::<$t>().value(i)) * i128::from(factor)
                });
            }};
        }
        macro_rules! float {
            ($t:ty, $f:expr) => {{
                let to_f64 = $f;
                fill_bits(array.as_primitive::<$t>(), scratch, |v| float_bits(to_f64(v)));
                self.keys(Repr::Float, scratch, sums);
            }};
        }
        macro_rules! decimal {
            ($t:ty, $scale:expr, $f:expr) => {{
                let widen = $f;
                self.decimals(array.as_primitive::<$t>(), *$scale, widen, scratch, sums);
            }};
        }
        use DataType as T;
        use TimeUnit as U;
        match array.data_type() {
            T::Null => {}
            T::Int8 => whole!(Int8Type, |v| Some(i64::from(v))),
            T::Int16 => whole!(Int16Type, |v| Some(i64::from(v))),
            T::Int32 => whole!(Int32Type, |v| Some(i64::from(v))),
            T::Int64 => whole!(Int64Type, Some),
            T::UInt8 => whole!(UInt8Type, |v| Some(i64::from(v))),
            T::UInt16 => whole!(UInt16Type, |v| Some(i64::from(v))),
            T::UInt32 => whole!(UInt32Type, |v| Some(i64::from(v))),
            T::UInt64 => whole!(UInt64Type, |v| i64::try_from(v).ok()),
            T::Float16 => float!(Float16Type, |v: <Float16Type as ArrowPrimitiveType>::Native| f64::from(v)),
            T::Float32 => float!(Float32Type, |v: f32| f64::from(v)),
            T::Float64 => float!(Float64Type, |v: f64| v),
            T::Decimal32(_, scale) => decimal!(Decimal32Type, scale, |v: i32| i256::from_i128(v.into())),
            T::Decimal64(_, scale) => decimal!(Decimal64Type, scale, |v: i64| i256::from_i128(v.into())),
            T::Decimal128(_, scale) => decimal!(Decimal128Type, scale, i256::from_i128),
            T::Decimal256(_, scale) => decimal!(Decimal256Type, scale, |v: i256| v),
            T::Boolean => {
                fill_bools(array, scratch);
                self.keys(Repr::Bool, scratch, sums);
            }
            T::Date32 => whole!(Date32Type, |v| Some(i64::from(v))),
            T::Date64 => {
                let wide = fill::<Date64Type>(array, scratch, |v| Some(v.div_euclid(MILLIS_OF_DAY)));
                self.whole(array, wide, scratch, sums, |_| 0);
            }
            T::Timestamp(U::Second, _) => whole!(TimestampSecondType, times U::Second),
            T::Timestamp(U::Millisecond, _) => whole!(TimestampMillisecondType, times U::Millisecond),
            T::Timestamp(U::Microsecond, _) => whole!(TimestampMicrosecondType, times U::Microsecond),
            T::Timestamp(U::Nanosecond, _) => whole!(TimestampNanosecondType, times U::Nanosecond),
            T::Time32(U::Second) => whole!(Time32SecondType, times U::Second),
            T::Time32(_) => whole!(Time32MillisecondType, times U::Millisecond),
            T::Time64(U::Microsecond) => whole!(Time64MicrosecondType, times U::Microsecond),
            T::Time64(_) => whole!(Time64NanosecondType, times U::Nanosecond),
            T::Duration(U::Second) => whole!(DurationSecondType, times U::Second),
            T::Duration(U::Millisecond) => whole!(DurationMillisecondType, times U::Millisecond),
            T::Duration(U::Microsecond) => whole!(DurationMicrosecondType, times U::Microsecond),
            T::Duration(U::Nanosecond) => whole!(DurationNanosecondType, times U::Nanosecond),
            T::Utf8 => self.texts(array.as_string::<i32>() as &StringArray, scratch, sums),
            T::LargeUtf8 => self.texts(array.as_string::<i64>() as &LargeStringArray, scratch, sums),
            T::Utf8View => self.texts(array.as_string_view() as &StringViewArray, scratch, sums),
            T::Binary => self.texts(array.as_binary::<i32>() as &BinaryArray, scratch, sums),
            T::LargeBinary => self.texts(array.as_binary::<i64>() as &LargeBinaryArray, scratch, sums),
            T::BinaryView => self.texts(array.as_binary_view() as &BinaryViewArray, scratch, sums),
            T::FixedSizeBinary(_) => {
                self.texts(array.as_fixed_size_binary() as &FixedSizeBinaryArray, scratch, sums);
            }
            _ => self.nested(array, scratch, sums)?,
        }
        Ok(())
    }

    /// Counts nulls and what is no value.
    fn missing(&mut self, array: &ArrayRef, raw: Option<&ArrayRef>, scratch: &mut Scratch, sums: &mut RowSums) {
        let logical = array.logical_nulls();
        let Some(nulls) = logical.filter(|nulls| nulls.null_count() > 0) else { return };
        let null = self.key.null();
        let texts = raw.and_then(|raw| raw.as_string_opt::<i32>()).filter(|texts| texts.len() == array.len());
        for row in 0..array.len() {
            if nulls.is_valid(row) {
                continue;
            }
            match texts.filter(|texts| texts.is_valid(row)) {
                Some(texts) => {
                    self.invalid += 1;
                    let hash = Hash::bytes(Kind::Text, texts.value(row).as_bytes(), &mut scratch.bytes);
                    sums.add(row, self.key.cell(hash));
                }
                None => {
                    self.nulls += 1;
                    sums.add(row, null);
                }
            }
        }
    }

    /// Whole numbers; `wide` says that some do not fit 64 bits, then each is read by `value`.
    fn whole(
        &mut self,
        array: &ArrayRef,
        wide: bool,
        scratch: &mut Scratch,
        sums: &mut RowSums,
        value: impl Fn(usize) -> i128,
    ) {
        if !wide {
            self.keys(Repr::Whole, scratch, sums);
            return;
        }
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            let value = value(row);
            let hash = whole_hash(self.kind, value);
            self.put(row, Entry { hash, value: Value::Int(value), shape: Shape::default() }, sums);
        }
    }

    fn decimals<T: ArrowPrimitiveType>(
        &mut self,
        array: &PrimitiveArray<T>,
        scale: i8,
        widen: impl Fn(T::Native) -> i256,
        scratch: &mut Scratch,
        sums: &mut RowSums,
    ) {
        scratch.keys.clear();
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            let unscaled = widen(array.value(row));
            // The scale is the column's, so the unscaled number is a key where it fits.
            let key = unscaled.to_i128().and_then(|v| i64::try_from(v).ok()).map(i64::cast_unsigned);
            if let (Some(key), Body::Exact(exact)) = (key, &mut self.body)
                && let Some(cell) = exact.hit(key)
            {
                sums.add(row, cell);
                continue;
            }
            let value = Value::decimal(unscaled, scale);
            let Value::Decimal(unscaled, scale) = value else { continue };
            let hash = Hash::decimal(unscaled, scale);
            self.put_keyed(row, key, Entry { hash, value, shape: Shape::default() }, sums);
        }
    }

    fn put(&mut self, row: usize, entry: Entry, sums: &mut RowSums) {
        self.put_keyed(row, None, entry, sums);
    }

    /// One value, the slow way.
    fn put_keyed(&mut self, row: usize, key: Option<u64>, entry: Entry, sums: &mut RowSums) {
        sums.add(row, self.key.cell(entry.hash));
        if let Body::Exact(exact) = &mut self.body {
            if exact.learn(key, entry.clone(), 1, self.key).is_some() {
                return;
            }
            self.spill();
        }
        let Body::Full(full) = &mut self.body else { return };
        let kll = kll_of(&mut self.ordered, self.kll, self.key.seed());
        full.add(self.kind, &entry, 1, self.watch.as_ref(), kll);
        self.ordered.values.add(entry.hash.0, 1, || entry.value);
    }

    /// A run of keys in `scratch`.
    fn keys(&mut self, repr: Repr, scratch: &mut Scratch, sums: &mut RowSums) {
        let mut start = 0;
        if let Body::Exact(exact) = &mut self.body {
            while let Some(&key) = scratch.keys.get(start) {
                let cell = match exact.hit(key) {
                    Some(cell) => cell,
                    None => {
                        let value = value_of(repr, key);
                        let hash = hash_of(self.kind, repr, key);
                        let entry = Entry { hash, value, shape: Shape::default() };
                        let Some(cell) = exact.learn(Some(key), entry, 1, self.key) else { break };
                        cell
                    }
                };
                sums.add(scratch.row(start), cell);
                start += 1;
            }
            if start == scratch.keys.len() {
                return;
            }
            self.spill();
        }
        let Body::Full(full) = &mut self.body else { return };
        let keys = std::mem::take(&mut scratch.keys);
        let run = keys.get(start..).unwrap_or_default();
        scratch.first.clear();
        scratch.second.clear();
        let kind = self.kind;
        let push = |hashes: &mut Scratch, hash: Hash| {
            hashes.first.push(hash.0);
            hashes.second.push(hash.1);
        };
        // One loop a form, so that the length of what is hashed is known in it.
        match repr {
            Repr::Float => run.iter().for_each(|&key| push(scratch, Hash::short(kind, key))),
            Repr::Whole if kind == Kind::Date => run.iter().for_each(|&key| push(scratch, Hash::short(kind, key))),
            Repr::Whole => run.iter().for_each(|&key| push(scratch, Hash::int(kind, key.cast_signed().into()))),
            Repr::Bool => run.iter().for_each(|&key| push(scratch, hash_of(kind, repr, key))),
        }
        full.count += run.len() as u64;
        for &hash in &scratch.first {
            full.distinct.add(hash);
        }
        for i in 0..run.len() {
            if let (Some(&first), Some(&second)) = (scratch.first.get(i), scratch.second.get(i)) {
                sums.add(scratch.row(start + i), self.key.cell(Hash(first, second)));
            }
        }
        full.watch_hashes(&scratch.first, self.watch.as_ref());
        let value = |i: usize| run.get(i).map_or(Value::Opaque, |&key| value_of(repr, key));
        let hashes = std::mem::take(&mut scratch.first);
        frequent(&mut self.ordered.values, &hashes, scratch, value);
        scratch.first = hashes;
        let kll = kll_of(&mut self.ordered, self.kll, self.key.seed());
        match repr {
            Repr::Float => full.add_floats(run, self.watch.as_ref(), kll, scratch),
            Repr::Whole => full.add_whole(kind, run, self.watch.as_ref(), kll, &mut scratch.whole),
            Repr::Bool => {}
        }
        scratch.keys = keys;
    }

    fn texts<'a, A>(&mut self, array: &'a A, scratch: &mut Scratch, sums: &mut RowSums)
    where
        &'a A: ArrayAccessor,
        <&'a A as ArrayAccessor>::Item: AsRef<[u8]> + Copy + 'a,
    {
        scratch.rows.clear();
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => scratch.rows.extend(nulls.valid_indices().map(|i| i as u32)),
            None => scratch.rows.extend(0..array.len() as u32),
        }
        let utf8 = self.kind == Kind::Text;
        let mut start = 0;
        if let Body::Exact(exact) = &mut self.body {
            while let Some(&row) = scratch.rows.get(start) {
                let value = array.value(row as usize);
                let bytes = value.as_ref();
                let (key, hash) = match short_key(bytes) {
                    Some(key) => (key, None),
                    None => {
                        let hash = Hash::bytes(self.kind, bytes, &mut scratch.bytes);
                        (hash.0 | 1 << 63, Some(hash))
                    }
                };
                let cell = match exact.hit(key) {
                    Some(cell) => cell,
                    None => {
                        let hash = hash.unwrap_or_else(|| Hash::bytes(self.kind, bytes, &mut scratch.bytes));
                        let entry = Entry { hash, value: Value::bytes(bytes), shape: Shape::of(bytes, utf8) };
                        let Some(cell) = exact.learn(Some(key), entry, 1, self.key) else { break };
                        cell
                    }
                };
                sums.add(row as usize, cell);
                start += 1;
            }
            if start == scratch.rows.len() {
                return;
            }
            self.spill();
        }
        let rows = std::mem::take(&mut scratch.rows);
        let run = rows.get(start..).unwrap_or_default();
        self.full_texts(array, run, scratch, sums);
        scratch.rows = rows;
    }

    fn full_texts<'a, A>(&mut self, array: &'a A, run: &[u32], scratch: &mut Scratch, sums: &mut RowSums)
    where
        &'a A: ArrayAccessor,
        <&'a A as ArrayAccessor>::Item: AsRef<[u8]> + Copy + 'a,
    {
        let Body::Full(full) = &mut self.body else { return };
        let utf8 = self.kind == Kind::Text;
        scratch.first.clear();
        scratch.patterns.clear();
        full.count += run.len() as u64;
        let mut range: Option<(<&'a A as ArrayAccessor>::Item, <&'a A as ArrayAccessor>::Item)> = None;
        let text = |row: u32| array.value(row as usize);
        for &row in run {
            let value = text(row);
            let bytes = value.as_ref();
            let hash = Hash::bytes(self.kind, bytes, &mut scratch.bytes);
            full.distinct.add(hash.0);
            sums.add(row as usize, self.key.cell(hash));
            scratch.first.push(hash.0);
            full.text.add(Shape::of(bytes, utf8), 1);
            if utf8 {
                let mut buffer = text::buffer();
                let n = text::pattern(bytes.get(..crate::value::KEPT_BYTES).unwrap_or(bytes), &mut buffer);
                scratch.patterns.push(pattern_hash(buffer.get(..n).unwrap_or_default()));
            }
            range = Some(match range {
                None => (value, value),
                Some((low, high)) => {
                    (if bytes < low.as_ref() { value } else { low }, if bytes > high.as_ref() { value } else { high })
                }
            });
        }
        if let Some((low, high)) = range {
            full.widen_bytes(low.as_ref(), high.as_ref());
        }
        full.watch_hashes(&scratch.first, self.watch.as_ref());
        let of = |i: usize| run.get(i).map(|&row| text(row));
        let hashes = std::mem::take(&mut scratch.first);
        frequent(&mut self.ordered.values, &hashes, scratch, |i| {
            of(i).map_or(Value::Opaque, |value| Value::bytes(value.as_ref()))
        });
        scratch.first = hashes;
        let hashes = std::mem::take(&mut scratch.patterns);
        frequent(&mut self.ordered.patterns, &hashes, scratch, |i| {
            let mut buffer = text::buffer();
            let n = of(i).map_or(0, |value| {
                let bytes = value.as_ref();
                text::pattern(bytes.get(..crate::value::KEPT_BYTES).unwrap_or(bytes), &mut buffer)
            });
            Value::bytes(buffer.get(..n).unwrap_or_default())
        });
        scratch.patterns = hashes;
    }

    fn nested(&mut self, array: &ArrayRef, scratch: &mut Scratch, sums: &mut RowSums) -> Result<(), UpdateError> {
        match array.data_type() {
            DataType::Dictionary(_, values) => {
                let plain = cast(array, values)?;
                return self.values_only(&plain, scratch, sums);
            }
            DataType::RunEndEncoded(_, values) => {
                let plain = cast(array, values.data_type())?;
                return self.values_only(&plain, scratch, sums);
            }
            _ => {}
        }
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            scratch.bytes.clear();
            nested::canonical(array, row..row + 1, &mut scratch.bytes, 0)?;
            let hash = Hash::of(&scratch.bytes);
            self.put(row, Entry { hash, value: Value::Opaque, shape: Shape::default() }, sums);
        }
        Ok(())
    }

    /// Nulls and rows of this array are counted already.
    fn values_only(&mut self, array: &ArrayRef, scratch: &mut Scratch, sums: &mut RowSums) -> Result<(), UpdateError> {
        let counts = (self.rows, self.nulls, self.invalid);
        let before = RowSums { first: sums.first.clone(), second: sums.second.clone() };
        self.update(array, None, scratch, sums)?;
        (self.rows, self.nulls, self.invalid) = counts;
        // `update` put the cells of nulls in once more.
        for row in (0..array.len()).filter(|&row| array.is_null(row)) {
            sums.first[row] = before.first[row];
            sums.second[row] = before.second[row];
        }
        Ok(())
    }
}

fn kll_of(ordered: &mut Ordered, k: Option<u16>, seed: u64) -> Option<&mut Kll> {
    k.map(|k| ordered.kll.get_or_insert_with(|| Kll::new(k, seed)))
}

fn whole_hash(kind: Kind, value: i128) -> Hash {
    match kind {
        Kind::Date => Hash::short(kind, value as i64 as u64),
        _ => Hash::int(kind, value),
    }
}

fn hash_of(kind: Kind, repr: Repr, key: u64) -> Hash {
    match repr {
        Repr::Whole => whole_hash(kind, key.cast_signed().into()),
        Repr::Float => Hash::short(kind, key),
        Repr::Bool => Hash::of(&[kind as u8, u8::from(key != 0)]),
    }
}

fn value_of(repr: Repr, key: u64) -> Value {
    match repr {
        Repr::Whole => Value::Int(key.cast_signed().into()),
        Repr::Float => Value::Float(f64::from_bits(key)),
        Repr::Bool => Value::Bool(key != 0),
    }
}

/// A text of up to seven bytes is its own key.
#[inline(always)]
fn short_key(bytes: &[u8]) -> Option<u64> {
    let word = |at: usize| -> Option<u64> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into()) };
    let length = bytes.len();
    let content = match length {
        0 => 0,
        1..=3 => {
            // First, middle and last byte: all of them.
            let byte = |at: usize| bytes.get(at).copied().map_or(0, u64::from);
            byte(0) | byte(length / 2) << 8 | byte(length - 1) << 16
        }
        // The second word overlaps the first; what is in both is shifted out.
        4..=7 => word(0)? | word(length - 4)? >> (8 * (8 - length)) << 32,
        _ => return None,
    };
    Some(content | (length as u64) << 56)
}

/// Puts the valid values' keys into `scratch`; true when one has none.
fn fill<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    scratch: &mut Scratch,
    key: impl Fn(T::Native) -> Option<i64>,
) -> bool {
    let mut wide = false;
    fill_bits(array.as_primitive::<T>(), scratch, |value| match key(value) {
        Some(key) => key.cast_unsigned(),
        None => {
            wide = true;
            0
        }
    });
    wide
}

fn fill_bits<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    scratch: &mut Scratch,
    mut key: impl FnMut(T::Native) -> u64,
) {
    scratch.keys.clear();
    scratch.rows.clear();
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => scratch.keys.extend(array.values().iter().map(|&value| key(value))),
        Some(nulls) => {
            for i in nulls.valid_indices() {
                scratch.keys.push(key(array.value(i)));
                scratch.rows.push(i as u32);
            }
        }
    }
}

fn fill_bools(array: &ArrayRef, scratch: &mut Scratch) {
    let array = array.as_boolean();
    scratch.keys.clear();
    scratch.rows.clear();
    for i in (0..array.len()).filter(|&i| array.is_valid(i)) {
        scratch.keys.push(u64::from(array.value(i)));
        scratch.rows.push(i as u32);
    }
}

/// Counts what is frequent in a run. Values are first counted by twelve bits of their hash; only those in a bucket that is
/// full enough are looked at one by one, and what the others may have missed is added to the error.
fn frequent(out: &mut Frequent, hashes: &[u64], scratch: &mut Scratch, value: impl Fn(usize) -> Value) {
    let enough = u16::try_from((hashes.len() / 256).clamp(1, 32)).unwrap_or(32);
    let buckets = &mut scratch.buckets;
    buckets.fill(0);
    for &hash in hashes {
        let bucket = &mut buckets[hash as usize & (BUCKETS - 1)];
        *bucket = bucket.saturating_add(1);
    }
    let (mut light, mut any) = (0, false);
    for &count in buckets.iter() {
        if count >= enough {
            any = true;
        } else {
            light = light.max(count);
        }
    }
    out.miss(light.into());
    if !any {
        return;
    }
    scratch.heavy.clear();
    for (i, &hash) in hashes.iter().enumerate() {
        if buckets[hash as usize & (BUCKETS - 1)] >= enough {
            scratch.heavy.push((hash, i as u32));
        }
    }
    scratch.heavy.sort_unstable();
    for run in scratch.heavy.chunk_by(|a, b| a.0 == b.0) {
        if let Some(&(hash, first)) = run.first() {
            out.add(hash, run.len() as u64, || value(first as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_have_keys_of_their_own() {
        let mut keys = std::collections::BTreeSet::new();
        let mut texts = std::collections::BTreeSet::new();
        for length in 0..=7 {
            for at in 0..length {
                for byte in [0u8, 1, b'a', 0xff] {
                    let mut text = vec![b'b'; length];
                    text[at] = byte;
                    keys.insert(short_key(&text).unwrap());
                    texts.insert(text);
                }
            }
            keys.insert(short_key(&vec![0; length]).unwrap());
            texts.insert(vec![0; length]);
        }
        assert_eq!(keys.len(), texts.len());
        assert_eq!(short_key(b"12345678"), None);
    }
}
