//! Reference values made with SciPy and river.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use gauntlet_drift::stream::{
    Adwin, AdwinParameters, Ddm, DdmParameters, Detector, Eddm, HddmA, HddmParameters, HddmW, Kswin, KswinParameters,
    PageHinkley, PageHinkleyParameters, Signal,
};
use gauntlet_drift::{
    Bins, CategoryBins, Distances, Matrix, chi_square, chi_square_pooled, clean_sorted, distances, domain_auc,
    ks_p_exact, ks_test, mmd, std_population, wasserstein, wasserstein_normed,
};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/drift")
}

fn json(path: &str) -> Value {
    // NaN stands where a test is not defined.
    serde_json::from_str(&std::fs::read_to_string(folder().join(path)).unwrap().replace(": NaN", ": null")).unwrap()
}

/// Columns of a CSV file without quotes.
fn table(path: &str) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(folder().join(path)).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut columns = vec![Vec::new(); names.len()];
    for line in lines {
        for (column, cell) in columns.iter_mut().zip(line.split(',')) {
            column.push(cell.to_owned());
        }
    }
    names.into_iter().map(str::to_owned).zip(columns).collect()
}

fn numbers(cells: &[String]) -> Vec<f64> {
    clean_sorted(cells.iter().filter(|c| !c.is_empty()).map(|c| c.parse().unwrap()).collect())
}

fn close(what: &str, ours: f64, theirs: &Value, relative: f64) {
    let theirs = theirs.as_f64().unwrap();
    let allowed = (theirs.abs() * relative).max(relative * 1e-6);
    assert!((ours - theirs).abs() <= allowed, "{what}: {ours:e} instead of {theirs:e}");
}

fn same_distances(what: &str, ours: &Distances, theirs: &Value) {
    for (value, name) in [
        (ours.psi, "psi"),
        (ours.kl, "kl_cur_ref"),
        (ours.js, "js_distance_base2"),
        (ours.hellinger, "hellinger"),
        (ours.tv, "total_variation"),
        (ours.linf, "linf"),
    ] {
        close(&format!("{what} {name}"), value, &theirs[name], 1e-9);
    }
}

fn same_bins(what: &str, counts: &(Vec<u64>, Vec<u64>), theirs: &Value) {
    assert_eq!(serde_json::json!(counts.0), theirs["ref_counts"], "{what} reference");
    assert_eq!(serde_json::json!(counts.1), theirs["cur_counts"], "{what} current");
    same_distances(what, &distances(&counts.0, &counts.1).unwrap(), theirs);
}

#[test]
fn numeric_columns_have_the_reference_values() {
    let (reference, current) = (table("pair/reference.csv"), table("pair/current.csv"));
    let expected = json("pair/expected.json");
    let mut seen = 0;
    for (name, theirs) in expected["columns"].as_object().unwrap() {
        if theirs["kind"] != "numeric" {
            continue;
        }
        seen += 1;
        let (a, b) = (numbers(&reference[name]), numbers(&current[name]));
        let nulls = |cells: &[String]| cells.iter().filter(|c| c.is_empty()).count() as u64;
        for (bins, key) in [
            (Bins::quantile(&a), "quantile_bins"),
            (Bins::width(&a), "width_bins"),
            (Bins::guarded(&a, &b), "guarded_bins"),
        ] {
            let what = format!("{name} {key}");
            let mut counts = bins.count_both(&a, &b);
            same_bins(&what, &counts, &theirs[key]);
            if let (Bins::Edges(edges), Some(inner)) = (&bins, theirs[key]["inner_edges"].as_array()) {
                assert_eq!(edges.len(), inner.len(), "{what}");
                edges.iter().zip(inner).for_each(|(e, i)| close(&what, *e, i, 1e-12));
            }
            if key == "quantile_bins" {
                counts.0.push(nulls(&reference[name]));
                counts.1.push(nulls(&current[name]));
                same_bins(&format!("{what} with nulls"), &counts, &theirs["quantile_bins_with_null_bin"]);
            }
        }
        let ks = ks_test(&a, &b).unwrap();
        close(&format!("{name} ks"), ks.statistic, &theirs["ks"]["statistic"], 1e-12);
        let p = theirs["ks"]["p_asymp"].as_f64().unwrap();
        assert!((ks.p - p).abs() <= (p * 1e-9).max(1e-300), "{name}: {:e} instead of {p:e}", ks.p);
        if let Some(exact) = theirs["ks"].get("p_exact") {
            let ours = ks_p_exact(ks.statistic, a.len() as u64, b.len() as u64).unwrap();
            close(&format!("{name} exact"), ours, exact, 1e-9);
        }
        close(&format!("{name} w1"), wasserstein(&a, &b).unwrap(), &theirs["wasserstein"]["w1"], 1e-9);
        close(&format!("{name} std"), std_population(&a).unwrap(), &theirs["wasserstein"]["ref_std_ddof0"], 1e-9);
        close(
            &format!("{name} normed"),
            wasserstein_normed(&a, &b).unwrap(),
            &theirs["wasserstein"]["w1_over_std"],
            1e-9,
        );
    }
    assert_eq!(seen, 10);
}

#[test]
fn categorical_columns_have_the_reference_values() {
    let (reference, current) = (table("pair/reference.csv"), table("pair/current.csv"));
    let expected = json("pair/expected.json");
    let count = |cells: &[String]| {
        let mut map = BTreeMap::new();
        for cell in cells.iter().filter(|c| !c.is_empty()) {
            let cell = match cell.as_str() {
                "True" => "true",
                "False" => "false",
                other => other,
            };
            *map.entry(cell.to_owned()).or_insert(0_u64) += 1;
        }
        map
    };
    let mut seen = 0;
    for (name, theirs) in expected["columns"].as_object().unwrap() {
        if theirs["kind"] != "categorical" {
            continue;
        }
        seen += 1;
        let bins = CategoryBins::new(&count(&reference[name]), &count(&current[name]));
        assert_eq!(serde_json::json!(bins.categories), theirs["categories"], "{name}");
        assert_eq!(serde_json::json!(bins.new), theirs["new_categories"], "{name}");
        assert_eq!(serde_json::json!(bins.missing), theirs["missing_categories"], "{name}");
        same_bins(name, &(bins.reference.clone(), bins.current.clone()), &theirs["bins"]);
        let test = chi_square(&bins.reference, &bins.current).unwrap();
        close(&format!("{name} chi2"), test.statistic, &theirs["chi2"]["statistic"], 1e-9);
        close(&format!("{name} V"), test.cramers_v, &theirs["chi2"]["cramers_v"], 1e-9);
        close(&format!("{name} p"), test.p, &theirs["chi2"]["p"], 1e-6);
        assert_eq!(test.degrees, theirs["chi2"]["dof"], "{name}");
        if let Some(pooled) = theirs.get("chi2_pooled_expected_lt_5") {
            let test = chi_square_pooled(&bins.reference, &bins.current).unwrap();
            close(&format!("{name} pooled"), test.statistic, &pooled["statistic"], 1e-9);
            close(&format!("{name} pooled p"), test.p, &pooled["p"], 1e-6);
            assert_eq!(test.degrees, pooled["dof"], "{name}");
        }
    }
    assert_eq!(seen, 5);
}

fn matrix(table: &BTreeMap<String, Vec<String>>) -> Matrix {
    let columns = ["num_same", "num_shift", "num_scale", "heavy", "ties"].map(|name| &table[name]);
    let cells = (0..columns[0].len()).flat_map(|row| columns.map(|c| c[row].parse::<f64>().unwrap()));
    Matrix::new(5, cells.collect()).unwrap()
}

#[test]
fn tests_of_many_columns_have_the_reference_values() {
    let (reference, current) = (matrix(&table("pair/reference.csv")), matrix(&table("pair/current.csv")));
    let expected = &json("pair/expected.json")["multivariate"];
    let moments = reference.moments();
    let sample = |matrix: &Matrix| matrix.head(400).standardised(&moments);
    let test = mmd(&sample(&reference), &sample(&current), 200).unwrap();
    close("mmd", test.unbiased, &expected["mmd"]["mmd2_unbiased"], 1e-9);
    close("mmd biased", test.biased, &expected["mmd"]["mmd2_biased"], 1e-9);
    close("mmd bandwidth", test.bandwidth, &expected["mmd"]["bandwidth_median_sqdist"], 1e-9);
    close("mmd p", test.p.unwrap(), &expected["mmd"]["perm_p_200"], 1e-9);
    let auc = domain_auc(&reference, &current).unwrap();
    let theirs = expected["classifier_auc"]["logistic"].as_f64().unwrap();
    assert!((auc.logistic.unwrap() - theirs).abs() < 0.02, "{auc:?}");
    assert!(auc.trees > expected["classifier_auc"]["hist_gradient_boosting"].as_f64().unwrap() - 0.02, "{auc:?}");
}

fn detector(name: &str) -> Option<Detector> {
    let adwin = |delta| Detector::Adwin(Adwin::new(AdwinParameters { delta, ..AdwinParameters::default() }).unwrap());
    let page = |threshold| {
        let parameters = PageHinkleyParameters { threshold, ..PageHinkleyParameters::default() };
        Detector::PageHinkley(PageHinkley::new(parameters).unwrap())
    };
    let kswin = |window, recent| Detector::Kswin(Kswin::new(KswinParameters { window, recent, alpha: 1e-4 }).unwrap());
    Some(match name {
        "adwin_delta_0.002" => adwin(0.002),
        "adwin_delta_0.05" => adwin(0.05),
        "page_hinkley_t20" => page(20.0),
        "page_hinkley_t50" => page(50.0),
        "kswin_deterministic_w100_s30_a0.0001" => kswin(100, 30),
        "kswin_deterministic_w300_s100_a0.0001" => kswin(300, 100),
        "ddm" => Detector::Ddm(Ddm::new(DdmParameters::default()).unwrap()),
        "eddm" => Detector::Eddm(Eddm::new()),
        "hddm_a" => Detector::HddmA(HddmA::new(HddmParameters::default()).unwrap()),
        "hddm_w" => Detector::HddmW(HddmW::new(HddmParameters::default()).unwrap()),
        _ => return None,
    })
}

#[test]
fn detectors_fire_at_the_reference_items() {
    let table = table("streams/streams.csv");
    let expected = json("streams/expected.json");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (stream, theirs) in expected["streams"].as_object().unwrap() {
        let items: Vec<f64> = table["stream"]
            .iter()
            .zip(&table["x"])
            .filter(|(s, _)| *s == stream)
            .map(|(_, x)| x.parse().unwrap())
            .collect();
        for (name, theirs) in theirs.as_object().unwrap() {
            let Some(mut detector) = detector(name) else { continue };
            seen += 1;
            let signals: Vec<Signal> = items.iter().map(|x| detector.update(*x)).collect();
            let at = |signal| (0..items.len()).filter(|i| signals[*i] == signal).collect::<Vec<_>>();
            if serde_json::json!(at(Signal::Drift)) != theirs["detections"] {
                wrong.push(format!("{stream} {name}: {:?} instead of {}", at(Signal::Drift), theirs["detections"]));
            }
            if let Some(warnings) = theirs.get("warnings") {
                // Where river's EDDM says both at once, ours says drift.
                let warnings: Vec<usize> = serde_json::from_value(warnings.clone()).unwrap();
                let warnings: Vec<usize> = warnings.into_iter().filter(|i| signals[*i] != Signal::Drift).collect();
                if at(Signal::Warning) != warnings {
                    wrong.push(format!("{stream} {name} warnings"));
                }
            }
            if let (Detector::Adwin(adwin), Some(width)) = (&detector, theirs["final_width"].as_u64()) {
                if adwin.width() != width {
                    wrong.push(format!("{stream} {name}: width {} instead of {width}", adwin.width()));
                } else {
                    close(&format!("{stream} {name}"), adwin.mean(), &theirs["final_estimation"], 1e-9);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 80, "{seen}");
}
