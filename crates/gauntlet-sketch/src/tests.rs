//! Whole sketches: what merges how, and that nothing depends on layout.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, StringArray, StringViewArray, TimestampMicrosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Float64Type, Int8Type};
use proptest::prelude::*;

use crate::*;

type Table = Vec<(&'static str, ArrayRef)>;

fn sketch(table: &Table, options: &SketchOptions) -> TableSketch {
    let spec = |(name, array): &(&str, ArrayRef)| {
        let data_type = array.data_type();
        (ColumnSpec { name: (*name).to_owned(), data_type: data_type.to_string() }, Kind::of(data_type))
    };
    TableSketch::new(table.iter().map(spec).collect(), options.clone())
}

fn feed(sketch: &mut TableSketch, part: u64, table: &Table, from: usize, to: usize) {
    let slices: Vec<ArrayRef> = table.iter().map(|(_, array)| array.slice(from, to - from)).collect();
    let cells: Vec<_> = slices.iter().map(|values| Cells { values, texts: None }).collect();
    sketch.update(part, &cells).unwrap();
}

fn profile(table: &Table) -> Profile {
    let mut whole = sketch(table, &SketchOptions::default());
    feed(&mut whole, 0, table, 0, table[0].1.len());
    whole.finish()
}

/// Numbers that are no sequence.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// A bit of everything, some columns with few values and some with many.
fn table(rows: usize, seed: u64) -> Table {
    let mut next = noise(seed);
    let mut of = |range: u64| -> Vec<Option<u64>> {
        (0..rows).map(|_| (!next().is_multiple_of(11)).then(|| next() % range)).collect()
    };
    let special = [f64::NAN, -0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, 5e-320, 1e300];
    let float = |v: u64| if v.is_multiple_of(50) { special[(v / 50 % 7) as usize] } else { (v as f64 - 3e5) / 7.0 };
    let word = |v: u64| match v % 5 {
        0 => format!("user{v}@example.org"),
        1 => "Grüße ".repeat((v % 20) as usize),
        _ => format!("word {}", v % 300),
    };
    vec![
        ("few", Arc::new(Int32Array::from_iter(of(20).into_iter().map(|v| v.map(|v| v as i32 - 3)))) as ArrayRef),
        ("many", Arc::new(Int64Array::from_iter(of(1 << 40).into_iter().map(|v| v.map(|v| v as i64 - (1 << 39)))))),
        ("huge", Arc::new(UInt64Array::from_iter(of(u64::MAX).into_iter()))),
        ("ratio", Arc::new(Float64Array::from_iter(of(600_000).into_iter().map(|v| v.map(float))))),
        ("single", Arc::new(Float32Array::from_iter(of(11).into_iter().map(|v| v.map(|v| v as f32 / 3.0))))),
        ("flag", Arc::new(BooleanArray::from_iter(of(2).into_iter().map(|v| v.map(|v| v == 1))))),
        ("day", Arc::new(Date32Array::from_iter(of(20_000).into_iter().map(|v| v.map(|v| v as i32 - 500))))),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from_iter(
                of(1 << 50).into_iter().map(|v| v.map(|v| v as i64 - (1 << 40))),
            )),
        ),
        (
            "plan",
            Arc::new(StringArray::from_iter(
                of(4).into_iter().map(|v| v.map(|v| ["a", "bb", "", "dddddddddd"][v as usize])),
            )),
        ),
        ("notes", Arc::new(StringArray::from_iter(of(u64::MAX).into_iter().map(|v| v.map(word))))),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter(of(5_000).into_iter().map(|v| v.map(i128::from)))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ),
    ]
}

fn options() -> SketchOptions {
    let watches = [
        ("ratio".to_owned(), Watch::edges(vec![-1e5, 0.0, 7.5])),
        ("few".to_owned(), Watch::edges(vec![3.0])),
        ("notes".to_owned(), Watch::values(vec![1, 2, 3])),
    ];
    SketchOptions { kll: Some(200), watches: watches.into() }
}

#[test]
fn parts_may_be_read_by_anybody_in_any_order() {
    let (table, rows, parts) = (table(9_000, 5), 9_000, 9);
    let cut = |part: usize| (part * rows / parts, (part + 1) * rows / parts);
    // Batches of a part are the same for everybody, as a file's are.
    let feed_part = |sketch: &mut TableSketch, part: usize| {
        let (from, to) = cut(part);
        for start in (from..to).step_by(300) {
            feed(sketch, part as u64, &table, start, to.min(start + 300));
        }
    };
    let run = |readers: usize, reverse: bool| {
        let mut sketches: Vec<TableSketch> = (0..readers).map(|_| sketch(&table, &options())).collect();
        let order: Vec<usize> = if reverse { (0..parts).rev().collect() } else { (0..parts).collect() };
        for part in order {
            feed_part(&mut sketches[part % readers], part);
        }
        let states: Vec<Vec<u8>> = sketches.iter_mut().map(TableSketch::to_state).collect();
        let mut all = sketch(&table, &options());
        let merged: Vec<_> = if reverse { states.iter().rev().collect() } else { states.iter().collect() };
        for state in merged {
            all.merge(TableSketch::from_state(state, &options()).unwrap()).unwrap();
        }
        all.finish()
    };
    let one = run(1, false);
    assert!(one.column("ratio").unwrap().sketch.kll().is_some());
    for (readers, reverse) in [(1, true), (2, false), (2, true), (7, false), (7, true), (9, true)] {
        let other = run(readers, reverse);
        assert_eq!(other.to_bytes(), one.to_bytes(), "{readers} readers, reverse: {reverse}");
        assert_eq!(other.canonical_json(), one.canonical_json());
    }
}

#[test]
fn the_canonical_form_does_not_depend_on_layout_or_order_of_rows_and_columns() {
    let rows = 6_000;
    let mut there = table(rows, 77);
    let here = profile(&there).canonical_json();
    let mut next = noise(3);
    let mut order: Vec<u32> = (0..rows as u32).collect();
    order.sort_by_cached_key(|_| next());
    let order = arrow::array::UInt32Array::from(order);
    for (_, array) in &mut there {
        *array = arrow::compute::take(array, &order, None).unwrap();
    }
    there.reverse();
    let mut pieces = sketch(&there, &SketchOptions::default());
    for (part, start) in (0..rows).step_by(17).enumerate() {
        feed(&mut pieces, (part % 5) as u64, &there, start, rows.min(start + 17));
    }
    assert_eq!(pieces.finish().canonical_json(), here);
}

fn content(table: &Table) -> ContentHash {
    profile(table).content
}

fn one(array: impl arrow::array::Array + 'static) -> Table {
    vec![("x", Arc::new(array))]
}

#[test]
fn equal_values_hash_equally_whatever_the_type_is_called() {
    let base = content(&one(Int64Array::from(vec![Some(1), None, Some(-7)])));
    assert_eq!(base, content(&one(Int32Array::from(vec![Some(1), None, Some(-7)]))));
    assert_eq!(base, content(&one(Int64Array::from(vec![None, Some(-7), Some(1)]))));
    let text = content(&one(StringArray::from(vec![Some("a"), None, Some("a long text of many bytes")])));
    assert_eq!(text, content(&one(LargeStringArray::from(vec![Some("a"), None, Some("a long text of many bytes")]))));
    assert_eq!(text, content(&one(StringViewArray::from(vec![Some("a"), None, Some("a long text of many bytes")]))));
    let words = DictionaryArray::<Int8Type>::from_iter([Some("a"), None, Some("a long text of many bytes")]);
    assert_eq!(text, content(&one(words)));
    assert_eq!(
        content(&one(TimestampSecondArray::from(vec![5]))),
        content(&one(TimestampMicrosecondArray::from(vec![5_000_000]).with_timezone("UTC")))
    );
    assert_eq!(content(&one(Float64Array::from(vec![-0.0]))), content(&one(Float32Array::from(vec![0.0]))));
    let decimal = |v, scale| one(Decimal128Array::from(vec![v]).with_precision_and_scale(20, scale).unwrap());
    assert_eq!(content(&decimal(1_250, 3)), content(&decimal(125, 2)));
    assert_ne!(content(&decimal(125, 2)), content(&decimal(125, 1)));
}

#[test]
fn every_change_of_content_changes_the_hash() {
    let of = |x: Vec<Option<i64>>, y: Vec<Option<i64>>| {
        content(&vec![("x", Arc::new(Int64Array::from(x)) as ArrayRef), ("y", Arc::new(Int64Array::from(y)))])
    };
    let base = of(vec![Some(1), Some(2)], vec![Some(3), Some(4)]);
    let twins = [
        ("a cell moved to another row", of(vec![Some(2), Some(1)], vec![Some(3), Some(4)])),
        ("cells moved to another column", of(vec![Some(3), Some(2)], vec![Some(1), Some(4)])),
        ("a value became null", of(vec![Some(1), None], vec![Some(3), Some(4)])),
        ("a row twice", of(vec![Some(1), Some(2), Some(2)], vec![Some(3), Some(4), Some(4)])),
        ("two equal rows more", of(vec![Some(1), Some(2), Some(9), Some(9)], vec![Some(3), Some(4), Some(9), Some(9)])),
    ];
    for (what, twin) in twins {
        assert_ne!(twin.sum, base.sum, "{what}");
    }
    let renamed =
        vec![("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef), ("z", Arc::new(Int64Array::from(vec![3])))];
    let named = of(vec![Some(1)], vec![Some(3)]);
    assert_ne!(content(&renamed).sum, named.sum);
    assert_ne!(content(&renamed).schema, named.schema);
    assert_ne!(content(&one(Float64Array::from(vec![1.0]))), content(&one(Int64Array::from(vec![1]))));
    assert_ne!(content(&one(StringArray::from(vec![""]))), content(&one(StringArray::from(vec![None::<&str>]))));
}

#[test]
fn a_cell_that_is_no_value_is_neither_null_nor_lost() {
    let typed: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1"), None, Some("x")]));
    let mut sketch = sketch(&vec![("x", Arc::clone(&typed))], &SketchOptions::default());
    sketch.update(0, &[Cells { values: &typed, texts: Some(&texts) }]).unwrap();
    let profile = sketch.finish();
    let x = &profile.column("x").unwrap().sketch;
    assert_eq!((x.values(), x.nulls(), x.invalid()), (1, 1, 1));
    assert_ne!(profile.content, content(&vec![("x", typed)]));
}

#[test]
fn lists_and_structs_are_hashed_by_their_values() {
    let list =
        |rows: Vec<Option<Vec<Option<f64>>>>| content(&one(ListArray::from_iter_primitive::<Float64Type, _, _>(rows)));
    let base = list(vec![Some(vec![Some(1.0), None]), None]);
    assert_eq!(base, list(vec![None, Some(vec![Some(1.0), None])]));
    assert_ne!(base, list(vec![Some(vec![Some(1.0)]), None]));
    assert_ne!(list(vec![Some(vec![])]), list(vec![None]));
}

/// What the sketch says of a column of whole numbers, against plain counting.
fn check_numbers(values: &[Option<i64>]) -> Result<(), TestCaseError> {
    let profile = profile(&one(Int64Array::from(values.to_vec())));
    let sketch = &profile.columns[0].sketch;
    let mut sorted: Vec<i64> = values.iter().flatten().copied().collect();
    sorted.sort_unstable();
    prop_assert_eq!(sketch.values(), sorted.len() as u64);
    prop_assert_eq!(sketch.zeros(), sorted.iter().filter(|v| **v == 0).count() as u64);
    prop_assert_eq!(sketch.negatives(), sorted.iter().filter(|v| **v < 0).count() as u64);
    prop_assert_eq!(
        sketch.range(),
        sorted.first().map(|&low| { (Value::Int(low.into()), Value::Int((*sorted.last().unwrap()).into())) })
    );
    let n = sorted.len();
    for p in [0.0, 0.01, 0.25, 0.5, 0.9, 1.0] {
        let Some(got) = sketch.quantile(p) else { continue };
        let h = (n - 1) as f64 * p;
        let (low, high) = (sorted[h.floor() as usize] as f64, sorted[h.ceil() as usize] as f64);
        let want = low + (high - low) * h.fract();
        let slack = (low.abs().max(high.abs())) / 1_024.0 + 1e-9;
        prop_assert!((got - want).abs() <= slack, "{} {} {}", p, got, want);
    }
    for x in [-1e6, -3.0, 0.0, 17.0, 1e5] {
        let truth = sorted.iter().filter(|v| **v as f64 <= x).count() as u64;
        let (low, high) = sketch.at_or_below(x);
        prop_assert!(low <= truth && truth <= high);
    }
    for top in sketch.top() {
        let truth = sorted.iter().filter(|v| Value::Int((**v).into()) == top.value).count() as u64;
        prop_assert!(top.low <= truth && truth <= top.high);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn numbers_are_summarised_right(values in prop::collection::vec(prop::option::weighted(0.9, -100_000i64..100_000), 0..3_000)) {
        check_numbers(&values)?;
    }

    #[test]
    fn merging_is_associative_and_commutative(seed in any::<u64>(), a in 0usize..2_000, b in 0usize..2_000) {
        let table = table(2_000, seed);
        let (a, b) = (a.min(b), a.max(b));
        let part = |n: u64, from, to| {
            let mut out = sketch(&table, &options());
            feed(&mut out, n, &table, from, to);
            out
        };
        let parts = || (part(0, 0, a), part(1, a, b), part(2, b, 2_000));
        let (mut x, mut y, z) = parts();
        y.merge(z).unwrap();
        x.merge(y).unwrap();
        let (x2, y2, mut z2) = parts();
        z2.merge(x2).unwrap();
        z2.merge(y2).unwrap();
        prop_assert_eq!(x.finish().to_bytes(), z2.finish().to_bytes());
    }

    #[test]
    fn watched_bins_are_exact(seed in any::<u64>(), rows in 1usize..4_000) {
        let table = table(rows, seed);
        let mut sketch = sketch(&table, &options());
        feed(&mut sketch, 0, &table, 0, rows);
        let profile = sketch.finish();
        let (watch, counts) = profile.column("ratio").unwrap().sketch.watched().unwrap();
        let Watch::Edges(edges) = watch else { panic!() };
        let mut truth = vec![0u64; 4];
        for value in arrow::array::AsArray::as_primitive::<Float64Type>(&table[3].1).iter().flatten().filter(|v| !v.is_nan()) {
            truth[edges.iter().filter(|e| **e <= value).count()] += 1;
        }
        prop_assert_eq!(counts, truth);
    }
}

#[test]
fn a_stored_profile_reads_back() {
    for rows in [0, 1, 700, 5_000] {
        let table = table(rows, 9);
        let mut sketch = sketch(&table, &options());
        feed(&mut sketch, 3, &table, 0, rows);
        let profile = sketch.finish();
        let bytes = profile.to_bytes();
        let read = Profile::from_bytes(&bytes).unwrap();
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!(read.content, profile.content);
        assert_eq!(read.canonical_json(), profile.canonical_json());
    }
}

#[test]
fn damaged_profiles_are_refused_without_a_panic() {
    let table = table(1_400, 4);
    let mut sketch = sketch(&table, &options());
    feed(&mut sketch, 0, &table, 0, 1_400);
    let state = sketch.to_state();
    let good = sketch.finish().to_bytes();
    assert_eq!(Profile::from_bytes(&good[..good.len() - 1]).unwrap_err(), DecodeError::Checksum);
    assert_eq!(Profile::from_bytes(b"{}").unwrap_err(), DecodeError::Magic);
    let mut next = noise(11);
    for round in 0..800 {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(next() as usize % bytes.len()),
            1 => {
                let at = next() as usize % bytes.len();
                bytes[at] ^= 1 << (next() % 8);
            }
            2 => {
                let (from, to) = (next() as usize % bytes.len(), next() as usize % bytes.len());
                let n = (next() as usize % 40).min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + n, to);
            }
            _ => {
                let at = next() as usize % bytes.len();
                bytes[at] = [0, 0x7f, 0x80, 0xff][next() as usize % 4];
            }
        }
        assert!(bytes == good || Profile::from_bytes(&bytes).is_err());
        // With a checksum that fits, the parts behind it are reached.
        if bytes.len() > 30 {
            let body = bytes.len() - 8;
            let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..body]);
            bytes[body..].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(profile) = Profile::from_bytes(&bytes) {
                // What is accepted can be asked everything.
                let _json = profile.canonical_json();
                for column in &profile.columns {
                    let _all =
                        (column.sketch.quantile(0.5), column.sketch.top(), column.sketch.range(), column.sketch.text());
                }
            }
        }
        let mut bytes = state.clone();
        let at = next() as usize % bytes.len();
        bytes[at] ^= 1 << (next() % 8);
        if let Ok(read) = TableSketch::from_state(&bytes, &options()) {
            let _profile = read.finish();
        }
    }
}

#[test]
fn another_table_is_not_merged() {
    let mut a = sketch(&one(Int64Array::from(vec![1])), &SketchOptions::default());
    let b = sketch(&one(StringArray::from(vec!["1"])), &SketchOptions::default());
    assert!(a.merge(b).is_err());
    let c = sketch(&one(Int64Array::from(vec![1])), &SketchOptions { kll: Some(200), ..SketchOptions::default() });
    assert!(a.merge(c).is_err());
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    assert!(a.update(0, &[Cells { values: &text, texts: None }]).is_err());
}

#[test]
fn a_frequent_value_of_many_is_found_with_its_bounds() {
    let mut next = noise(8);
    let values: Vec<i64> = (0..100_000).map(|i| if i % 25 == 0 { 7 } else { (next() >> 20) as i64 }).collect();
    let profile = profile(&one(Int64Array::from(values)));
    let top = profile.columns[0].sketch.top();
    assert_eq!(top[0].value, Value::Int(7));
    assert!(top[0].low <= 4_000 && 4_000 <= top[0].high);
    assert!(top[0].high - top[0].low < 100_000 / 64);
}

#[test]
fn texts_have_lengths_and_patterns() {
    let mails: Vec<String> = (0..3_000).map(|i| format!("Ana.B{i}@example.org")).collect();
    let profile = profile(&one(StringArray::from(mails)));
    let sketch = &profile.columns[0].sketch;
    assert_eq!(sketch.patterns()[0].value.label(), "Aa.A9@a.a");
    assert_eq!(sketch.patterns()[0].low, 3_000);
    let text = sketch.text().unwrap();
    assert_eq!((text.shortest, text.longest, text.ascii), (18, 21, 3_000));
}
