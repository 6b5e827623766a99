//! What holds for every input.
#![expect(clippy::unwrap_used, reason = "a test")]

use gauntlet_drift::stream::{
    Adwin, AdwinParameters, Ddm, DdmParameters, Detector, Eddm, HddmA, HddmParameters, HddmW, Kswin, KswinParameters,
    PageHinkley, PageHinkleyParameters, Signal,
};
use gauntlet_drift::{
    Bins, CategoryBins, chi_square, clean_sorted, clip, distances, kolmogorov_sf, ks_p_exact, ks_test, psi_limit,
    wasserstein, wasserstein_normed,
};
use proptest::prelude::*;

fn detectors() -> Vec<Detector> {
    let hddm = HddmParameters { two_sided: true, ..HddmParameters::default() };
    vec![
        Detector::Adwin(Adwin::new(AdwinParameters::default()).unwrap()),
        Detector::Adwin(Adwin::new(AdwinParameters { river: false, clock: 1, ..AdwinParameters::default() }).unwrap()),
        Detector::PageHinkley(
            PageHinkley::new(PageHinkleyParameters { threshold: 5.0, ..PageHinkleyParameters::default() }).unwrap(),
        ),
        Detector::Kswin(Kswin::new(KswinParameters { window: 60, recent: 20, alpha: 1e-3 }).unwrap()),
        Detector::Ddm(Ddm::new(DdmParameters::default()).unwrap()),
        Detector::Eddm(Eddm::new()),
        Detector::HddmA(HddmA::new(hddm).unwrap()),
        Detector::HddmW(HddmW::new(hddm).unwrap()),
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -3.0..3.0_f64,
        1 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::MAX), Just(f64::MIN), Just(-0.0)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn a_stored_state_goes_on_where_it_stopped(
        items in prop::collection::vec((0.0..1.0_f64, 0..2_u8), 1..400), cut in 0..400_usize, jump in 0..400_usize,
    ) {
        for whole in detectors() {
            let items: Vec<f64> = items
                .iter()
                .enumerate()
                .map(|(i, (x, bit))| {
                    let base = if whole.unit_interval() { f64::from(*bit) } else { *x };
                    if i > jump { if whole.unit_interval() { 1.0 } else { base + 2.0 } } else { base }
                })
                .collect();
            let (mut whole, mut pieces) = (whole.clone(), whole);
            let expected: Vec<Signal> = items.iter().map(|x| whole.update(*x)).collect();
            let cut = cut.min(items.len());
            let mut seen: Vec<Signal> = items[..cut].iter().map(|x| pieces.update(*x)).collect();
            let mut rest: Detector = serde_json::from_str(&serde_json::to_string(&pieces).unwrap()).unwrap();
            seen.extend(items[cut..].iter().map(|x| rest.update(*x)));
            prop_assert_eq!(&expected, &seen);
        }
    }

    #[test]
    fn any_numbers_give_numbers(a in prop::collection::vec(any_number(), 0..60), b in prop::collection::vec(any_number(), 0..60)) {
        let (a, b) = (clean_sorted(a), clean_sorted(b));
        for bins in [Bins::guarded(&a, &b), Bins::quantile(&a), Bins::width(&a)] {
            let (p, q) = bins.count_both(&a, &b);
            prop_assert_eq!(p.iter().sum::<u64>(), a.len() as u64);
            prop_assert_eq!(q.iter().sum::<u64>(), b.len() as u64);
            if let Some(d) = distances(&p, &q) {
                for x in [d.js, d.hellinger, d.tv, d.linf] {
                    prop_assert!((0.0..=1.0).contains(&x), "{d:?}");
                }
                prop_assert!(d.psi >= 0.0 && d.psi.is_finite() && d.kl >= 0.0 && d.kl.is_finite());
            }
            if let Some(test) = chi_square(&p, &q) {
                prop_assert!((0.0..=1.0).contains(&test.p) && (0.0..=1.0).contains(&test.cramers_v));
            }
        }
        if let Some(test) = ks_test(&a, &b) {
            prop_assert!((0.0..=1.0).contains(&test.statistic) && (0.0..=1.0).contains(&test.p));
        }
        if let Some(d) = wasserstein(&a, &b) {
            prop_assert!(d >= 0.0);
            prop_assert!(wasserstein_normed(&clip(&a, &a), &clip(&a, &b)).unwrap() >= 0.0);
        }
        let mut detectors = detectors();
        for x in a.iter().chain(&b) {
            for detector in &mut detectors {
                detector.update(*x);
            }
        }
    }

    #[test]
    fn distances_are_symmetric_where_they_should_be(p in prop::collection::vec(0..1_000_u64, 1..20), q in prop::collection::vec(0..1_000_u64, 1..20)) {
        if let (Some(a), Some(b)) = (distances(&p, &q), distances(&q, &p)) {
            for (x, y) in [(a.psi, b.psi), (a.js, b.js), (a.hellinger, b.hellinger), (a.tv, b.tv), (a.linf, b.linf)] {
                prop_assert!((x - y).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_sample_is_at_no_distance_from_itself(a in prop::collection::vec(-1e6..1e6_f64, 1..200)) {
        let a = clean_sorted(a);
        let (p, q) = Bins::guarded(&a, &a).count_both(&a, &a);
        prop_assert_eq!(p, q);
        prop_assert_eq!(wasserstein(&a, &a), Some(0.0));
        prop_assert_eq!(ks_test(&a, &a).unwrap().statistic, 0.0);
    }

    #[test]
    fn category_bins_keep_every_row(
        a in prop::collection::btree_map("[a-z]{1,2}", 0..50_u64, 0..400), b in prop::collection::btree_map("[a-z]{1,2}", 0..50_u64, 0..400),
    ) {
        let bins = CategoryBins::new(&a, &b);
        prop_assert_eq!(bins.reference.iter().sum::<u64>(), a.values().sum::<u64>());
        prop_assert_eq!(bins.current.iter().sum::<u64>(), b.values().sum::<u64>());
        prop_assert!(bins.categories.len() <= 600);
    }

    #[test]
    fn exact_and_asymptotic_laws_agree_roughly(n in 30..80_u64, m in 30..80_u64, step in 1..20_u64) {
        let d = step as f64 / 30.0;
        let (exact, asymptotic) = (ks_p_exact(d, n, m).unwrap(), gauntlet_drift::ks_p(d, n, m));
        prop_assert!((exact - asymptotic).abs() < 0.12, "{exact} {asymptotic}");
    }
}

#[test]
fn huge_samples_are_no_trouble() {
    for n in [1_u64 << 40, u64::MAX] {
        assert!(kolmogorov_sf(n, 1e-5) <= 1.0);
        assert!(psi_limit(12, n, n, 0.01) < 1e-9);
        assert!(gauntlet_drift::ks_p(0.5, n, n) == 0.0);
    }
    assert!(ks_p_exact(0.5, u64::MAX, 3).is_none());
}

#[test]
fn absurd_parameters_are_refused_with_their_name() {
    let adwin = |delta, clock| Adwin::new(AdwinParameters { delta, clock, ..AdwinParameters::default() });
    assert_eq!(adwin(0.0, 32).unwrap_err().name, "delta");
    assert_eq!(adwin(f64::NAN, 32).unwrap_err().name, "delta");
    assert_eq!(adwin(0.1, 0).unwrap_err().name, "clock");
    let kswin = |window, recent| Kswin::new(KswinParameters { window, recent, alpha: 1e-4 });
    assert_eq!(kswin(100, 100).unwrap_err().name, "recent");
    assert_eq!(kswin(1 << 40, 100).unwrap_err().name, "window");
    let page = PageHinkley::new(PageHinkleyParameters { threshold: f64::INFINITY, ..PageHinkleyParameters::default() });
    assert_eq!(page.unwrap_err().name, "threshold");
    assert_eq!(Ddm::new(DdmParameters { drift: 1.0, ..DdmParameters::default() }).unwrap_err().name, "drift");
    assert_eq!(HddmA::new(HddmParameters { warning: 1e-9, ..HddmParameters::default() }).unwrap_err().name, "warning");
}
