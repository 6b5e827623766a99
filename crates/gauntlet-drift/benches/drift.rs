//! Time of the expensive parts.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use gauntlet_drift::stream::{Adwin, AdwinParameters, Kswin, KswinParameters};
use gauntlet_drift::{Bins, Matrix, clean_sorted, distances, domain_auc, ks_test, mmd, wasserstein};

/// Numbers that look random: the fractional parts of multiples of the golden ratio.
fn numbers(n: u32, shift: f64) -> Vec<f64> {
    (1..=n).map(|i| (f64::from(i) * 0.618_033_988_749_895 + shift).fract()).collect()
}

fn columns(c: &mut Criterion) {
    let (a, b) = (clean_sorted(numbers(1_000_000, 0.0)), clean_sorted(numbers(1_000_000, 0.3)));
    c.bench_function("ks_1m", |bench| bench.iter(|| ks_test(&a, &b)));
    c.bench_function("wasserstein_1m", |bench| bench.iter(|| wasserstein(&a, &b)));
    c.bench_function("guarded_psi_1m", |bench| {
        bench.iter(|| {
            let (p, q) = Bins::guarded(&a, &b).count_both(&a, &b);
            distances(&p, &q)
        });
    });
}

fn tables(c: &mut Criterion) {
    let (a, b) = (Matrix::new(10, numbers(20_000, 0.0)).unwrap(), Matrix::new(10, numbers(20_000, 0.3)).unwrap());
    c.bench_function("mmd_400", |bench| bench.iter(|| mmd(&a.head(400), &b.head(400), 200)));
    c.bench_function("domain_auc_2000x10", |bench| bench.iter(|| domain_auc(&a, &b)));
}

fn streams(c: &mut Criterion) {
    let items = numbers(100_000, 0.0);
    c.bench_function("adwin_100k", |bench| {
        bench.iter(|| {
            let mut adwin = Adwin::new(AdwinParameters::default()).unwrap();
            items.iter().filter(|x| adwin.update(**x) == gauntlet_drift::stream::Signal::Drift).count()
        });
    });
    c.bench_function("kswin_10k", |bench| {
        bench.iter(|| {
            let mut kswin = Kswin::new(KswinParameters::default()).unwrap();
            items.iter().take(10_000).filter(|x| kswin.update(**x) == gauntlet_drift::stream::Signal::Drift).count()
        });
    });
}

criterion_group!(benches, columns, tables, streams);
criterion_main!(benches);
