//! Nanoseconds a value, by kind of column: a million rows in batches as a Parquet reader gives them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gauntlet_sketch::{Cells, ColumnSpec, Kind, SketchOptions, TableSketch};

const ROWS: usize = 1 << 20;
const BATCH: usize = 8_192;

fn noise() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let mut next = noise();
    let mut values = |range: u64| -> Vec<u64> { (0..ROWS).map(|_| next() % range).collect() };
    let words = ["asked about", "invoice router", "slow moved house", "upgrade", "happy call back later"];
    let notes = |v: u64| format!("{} {} {}", words[(v % 5) as usize], words[(v / 5 % 5) as usize], v % 99_999);
    vec![
        ("ids", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|i| i * 3))) as ArrayRef),
        ("small integers", Arc::new(Int32Array::from_iter_values(values(120).iter().map(|v| *v as i32)))),
        ("doubles", Arc::new(Float64Array::from_iter_values(values(1 << 30).iter().map(|v| *v as f64 / 997.0)))),
        ("few floats", Arc::new(Float32Array::from_iter_values(values(11).iter().map(|v| *v as f32)))),
        ("flags", Arc::new(BooleanArray::from_iter(values(2).iter().map(|v| Some(*v == 1))))),
        (
            "categories",
            Arc::new(StringArray::from_iter_values(
                values(4).iter().map(|v| ["basic", "plus", "pro", "family"][*v as usize]),
            )),
        ),
        ("texts", Arc::new(StringArray::from_iter_values(values(u64::MAX).iter().map(|v| notes(*v))))),
    ]
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("columns");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    for (name, array) in columns() {
        let batches: Vec<ArrayRef> = (0..ROWS).step_by(BATCH).map(|from| array.slice(from, BATCH)).collect();
        let spec = ColumnSpec { name: name.to_owned(), data_type: array.data_type().to_string() };
        let kind = Kind::of(array.data_type());
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut sketch = TableSketch::new(vec![(spec.clone(), kind)], SketchOptions::default());
                for values in &batches {
                    let _same_type = sketch.update(0, &[Cells { values, texts: None }]);
                }
                sketch.finish().content
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
