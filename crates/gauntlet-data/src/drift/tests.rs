//! The whole comparison over files on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use gauntlet_core::{
    Context, DigestSet, Finding, Judging, Limits, MaskKey, Metric, NoProgress, Report, Subject, SubjectKind, Target,
    Tree, TreeFile, TreeOptions, Verdict, seal, sha256_hex,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::rows::hash;
use super::sketched;

/// What the check said.
struct Answer {
    verdict: Verdict,
    findings: Vec<Finding>,
    metrics: Vec<Metric>,
    skipped: Vec<String>,
}

impl Answer {
    fn metric(&self, name: &str, field: &str) -> &Metric {
        let found = self.metrics.iter().find(|m| m.name == name && m.field.as_deref() == Some(field));
        found.unwrap_or_else(|| panic!("no {name} of {field}"))
    }

    fn table(&self, name: &str) -> f64 {
        self.metrics.iter().find(|m| m.name == name && m.field.is_none()).unwrap().value
    }

    fn rules(&self) -> Vec<String> {
        self.findings.iter().map(|f| f.rule.rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// Columns by rank.
    fn causes(&self) -> Vec<String> {
        self.metrics.iter().filter(|m| m.name == "cause").filter_map(|m| m.field.clone()).collect()
    }

    fn has(&self, rule: &str, column: &str) -> bool {
        let rule = format!("data/drift/{rule}");
        self.findings.iter().any(|f| f.rule == rule && f.location.field.as_deref() == Some(column))
    }
}

fn judge(root: &Path, files: &[&str], config: &Value) -> Answer {
    let all = Tree::read(root, &TreeOptions::default(), &Limits::default()).unwrap();
    let files: Vec<TreeFile> =
        all.files.iter().filter(|f| files.iter().any(|n| f.path.starts_with(n))).cloned().collect();
    let tree = Tree { root: root.to_owned(), files, ..Tree::default() };
    let subject = Subject { name: "batch".into(), kind: SubjectKind::Dataset, digest: DigestSet::default() };
    let target = Target { subject: &subject, root, tree: &tree, config };
    let (limits, mask) = (Limits::default(), MaskKey::for_project("p"));
    let context = Context { limits: &limits, mask: &mask, progress: &NoProgress };
    let facts = crate::DRIFT.extractor.extract(&target, &context);
    let judging = Judging { config, now: "2026-11-21T12:00:00Z".parse().unwrap() };
    let judgement = crate::DRIFT.checks[0].judge(&facts, &judging);
    let mut coverage = facts.coverage.get(crate::checks::DRIFT).cloned().unwrap_or_default();
    coverage.merge(judgement.coverage);
    let findings = seal(judgement.findings);
    Answer {
        verdict: Report::judge(&findings, &judgement.metrics, &coverage),
        findings,
        metrics: judgement.metrics,
        skipped: coverage.skipped.iter().map(|s| format!("{}: {}", s.path, s.reason)).collect(),
    }
}

/// Compares `current` with `reference`, files or folders below `root`.
fn compare(root: &Path, reference: &str, current: &str, options: &Value) -> Answer {
    let all = Tree::read(root, &TreeOptions::default(), &Limits::default()).unwrap();
    let files: Vec<Value> = all
        .files
        .iter()
        .filter(|file| file.path.starts_with(reference))
        .map(|file| {
            let bytes = std::fs::read(root.join(&file.path)).unwrap();
            json!({"path": file.path, "sha256": sha256_hex(&bytes)})
        })
        .collect();
    let mut drift = options.clone();
    drift["reference"] = json!({"name": reference, "sha256": sha256_hex(b"x"), "files": files});
    judge(root, &[current], &json!({"drift": drift}))
}

fn write(path: PathBuf, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns.into_iter().map(|(n, a)| (n.to_owned(), a))).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A number in 0..1 for each row.
fn unit(seed: u64, row: usize) -> f64 {
    (hash(seed * 1_000_003 + row as u64) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Roughly normal.
fn normal(seed: u64, row: usize) -> f64 {
    (0..12).map(|i| unit(seed * 31 + i, row)).sum::<f64>() - 6.0
}

/// Customers; `fault` changes what a batch may change.
fn customers(folder: &Path, name: &str, seed: u64, rows: usize, fault: &str) {
    let pick = |seed: u64, row: usize, shares: &[(&'static str, f64)]| {
        let mut x = unit(seed, row);
        for (word, share) in shares {
            x -= share;
            if x < 0.0 {
                return *word;
            }
        }
        shares.last().unwrap().0
    };
    let rows = 0..rows;
    let age: Int32Array = rows
        .clone()
        .map(|r| match fault {
            "nulls" if unit(seed + 50, r) < 0.03 => None,
            "age_range" if unit(seed + 51, r) < 0.004 => Some([-1, 0, 151, 999][r % 4]),
            _ => Some((44.0 + 15.0 * normal(seed, r)).clamp(18.0, 90.0) as i32),
        })
        .collect();
    let country: StringArray = rows
        .clone()
        .map(|r| {
            let moved = fault == "shift" && unit(seed + 52, r) < 0.125;
            Some(if moved {
                "PL"
            } else {
                pick(seed + 1, r, &[("DE", 0.3), ("FR", 0.3), ("GB", 0.2), ("PL", 0.1), ("ES", 0.1)])
            })
        })
        .collect();
    let minutes: Float64Array = rows
        .clone()
        .map(|r| {
            let base = 60.0 + 20.0 * normal(seed + 2, r);
            Some(if fault == "shift" || fault == "segment" && r % 5 == 0 { base + 14.0 } else { base })
        })
        .collect();
    let total: Float64Array = rows
        .clone()
        .map(|r| {
            let base = (6.0 + 0.5 * normal(seed + 3, r)).exp();
            Some(if fault == "outliers" && unit(seed + 53, r) < 0.001 { base * 1_000.0 } else { base })
        })
        .collect();
    let device: StringArray =
        rows.clone().map(|r| Some(pick(seed + 4, r, &[("android", 0.5), ("ios", 0.3), ("web", 0.2)]))).collect();
    let plan: StringArray = rows.clone().map(|r| Some(if r % 5 == 0 { "pro" } else { "basic" })).collect();
    let churn: Int32Array = rows
        .clone()
        .map(|r| Some(i32::from(unit(seed + 5, r) < if fault == "labels" { 0.45 } else { 0.22 })))
        .collect();
    let words = ["router slow", "moved house", "bill paid", "call back"];
    let notes: StringArray = rows
        .clone()
        .map(|r| {
            let text = format!("{} {} {}", words[r % 4], words[(r / 4) % 4], r);
            Some(if fault == "text" { format!("{text} zusätzlich cf-x7") } else { text })
        })
        .collect();
    let id: Int64Array = rows.clone().map(|r| Some(r as i64 + if fault == "none" { 0 } else { 1_000_000 })).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("customer_id", Arc::new(id)),
        ("age", Arc::new(age)),
        ("country", Arc::new(country)),
        ("plan", Arc::new(plan)),
        ("session_minutes", Arc::new(minutes)),
        ("total_charges", Arc::new(total.clone())),
        (if fault == "schema" { "device_type" } else { "device" }, Arc::new(device)),
        ("notes", Arc::new(notes)),
        ("churn", Arc::new(churn)),
    ];
    if fault == "schema" {
        let text: StringArray = total.iter().map(|x| x.map(|x| x.to_string())).collect();
        columns[5].1 = Arc::new(text);
        columns.push(("legacy_flag", Arc::new(Int32Array::from(vec![0; rows.len()]))));
    }
    write(folder.join(name), columns);
}

fn faulty(fault: &str, options: &Value) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    customers(folder.path(), "reference.parquet", 1, 6_000, "none");
    customers(folder.path(), "current.parquet", 7, 5_000, fault);
    compare(folder.path(), "reference.parquet", "current.parquet", options)
}

#[test]
fn reference_values_of_the_pair_come_out_of_the_gate() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/drift/pair");
    let expected: Value = {
        let text = std::fs::read_to_string(root.join("expected.json")).unwrap();
        serde_json::from_str(&text.replace(": NaN", ": null")).unwrap()
    };
    let answer = compare(&root, "reference.parquet", "current.parquet", &json!({"metrics": ["all"]}));
    let names = [
        ("psi", "psi"),
        ("kl", "kl_cur_ref"),
        ("js", "js_distance_base2"),
        ("hellinger", "hellinger"),
        ("tv", "total_variation"),
        ("linf", "linf"),
    ];
    let close = |name: &str, field: &str, theirs: &Value, relative: f64| {
        let (ours, theirs) = (answer.metric(name, field).value, theirs.as_f64().unwrap());
        let allowed = (theirs.abs() * relative).max(1e-15);
        assert!((ours - theirs).abs() <= allowed, "{field} {name}: {ours:e} instead of {theirs:e}");
    };
    for (field, theirs) in expected["columns"].as_object().unwrap() {
        if theirs["kind"] == "numeric" {
            for (suffix, block) in [
                ("", "guarded_bins"),
                ("@guarded_bins", "guarded_bins"),
                ("@quantile_bins", "quantile_bins"),
                ("@width_bins", "width_bins"),
            ] {
                for (ours, name) in names {
                    close(&format!("{ours}{suffix}"), field, &theirs[block][name], 1e-9);
                }
            }
            close("ks", field, &theirs["ks"]["statistic"], 1e-9);
            close("ks_p", field, &theirs["ks"]["p_asymp"], 1e-6);
            close("wasserstein", field, &theirs["wasserstein"]["w1"], 1e-9);
            close("wasserstein_normed", field, &theirs["wasserstein"]["w1_over_std"], 1e-9);
        } else {
            for (ours, name) in names {
                close(ours, field, &theirs["bins"][name], 1e-9);
            }
            close("chi2", field, &theirs["chi2"]["statistic"], 1e-9);
            close("cramers_v", field, &theirs["chi2"]["cramers_v"], 1e-9);
            close("chi2_p", field, &theirs["chi2"]["p"], 1e-6);
        }
    }
    let five = json!({"columns": ["num_same", "num_shift", "num_scale", "heavy", "ties"], "sample_first": true});
    let answer = compare(&root, "reference.parquet", "current.parquet", &five);
    let theirs = expected["multivariate"]["mmd"]["mmd2_unbiased"].as_f64().unwrap();
    assert!((answer.table("mmd") - theirs).abs() < 1e-9, "{} {theirs}", answer.table("mmd"));
    let theirs = expected["multivariate"]["classifier_auc"]["logistic"].as_f64().unwrap();
    assert!((answer.table("classifier_auc") - theirs).abs() < 0.02, "{}", answer.table("classifier_auc"));
}

#[test]
fn two_batches_of_one_law_pass() {
    let answer = faulty("clean", &json!({"label": "churn", "explain": true}));
    assert_eq!(answer.verdict, Verdict::Pass, "{:?} {:?}", answer.findings, answer.skipped);
    assert!(answer.causes().is_empty());
    // Ids are measured and not judged.
    assert!(answer.metric("ks", "customer_id").value > 0.9);
    assert!(answer.table("classifier_auc") < 0.56);
}

#[test]
fn injected_causes_rank_first() {
    for (fault, first) in [
        ("shift", vec!["session_minutes", "country"]),
        ("nulls", vec!["age"]),
        ("age_range", vec!["age"]),
        ("outliers", vec!["total_charges"]),
        ("schema", vec!["total_charges", "device", "legacy_flag"]),
        ("text", vec!["notes"]),
    ] {
        let answer = faulty(fault, &json!({"explain": true}));
        let causes = answer.causes();
        assert_eq!(
            causes.iter().take(first.len()).map(String::as_str).collect::<Vec<_>>(),
            first,
            "{fault}: {causes:?}"
        );
        assert!(causes.iter().all(|c| first.contains(&c.as_str())), "{fault}: {causes:?}");
        assert_ne!(answer.verdict, Verdict::Pass, "{fault}");
    }
    let answer = faulty("shift", &json!({"explain": true}));
    let country =
        answer.findings.iter().find(|f| f.rule.ends_with("column-drift") && f.message.contains("country")).unwrap();
    assert!(country.message.contains("`PL` "), "{}", country.message);
    assert_eq!(answer.verdict, Verdict::Fail);
    let answer = faulty("schema", &json!({}));
    assert!(answer.findings.iter().any(|f| f.message.contains("column `device` is called `device_type` now")));
    let answer = faulty("outliers", &json!({}));
    assert!(
        answer.has("outliers", "total_charges") && !answer.has("column-drift", "total_charges"),
        "{:?}",
        answer.findings
    );
}

#[test]
fn a_shift_inside_of_one_segment_is_found_there() {
    let answer = faulty("segment", &json!({"segment": "plan", "explain": true}));
    let field = "session_minutes[plan=pro]";
    assert!(answer.metric("ks", field).value > 0.2);
    assert!(answer.metric("ks", "session_minutes[plan=basic]").value < 0.05);
    let message = &answer.findings.iter().find(|f| f.rule.ends_with("/cause")).unwrap().message;
    assert!(message.contains("in rows with plan = `pro`"), "{message}");
}

#[test]
fn labels_have_a_rule_of_their_own() {
    let answer = faulty("labels", &json!({"label": "churn", "prediction": "age"}));
    assert!(answer.has("label-drift", "churn"), "{:?}", answer.rules());
    assert_eq!(answer.verdict, Verdict::Fail);
}

#[test]
fn a_stored_profile_answers_like_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    customers(root, "reference.parquet", 1, 6_000, "none");
    let table = crate::table::open_all(root, &["reference.parquet".into()], &Limits::default()).unwrap();
    let profile = sketched::profile(&table, std::collections::BTreeMap::new()).unwrap();
    std::fs::write(root.join("reference.profile"), profile.to_bytes()).unwrap();
    for fault in ["clean", "shift", "outliers", "nulls"] {
        customers(root, "current.parquet", 7, 5_000, fault);
        let options = json!({"metrics": ["all"], "explain": true});
        let exact = compare(root, "reference.parquet", "current.parquet", &options);
        let sketch = compare(root, "reference.profile", "current.parquet", &options);
        assert_eq!(exact.causes(), sketch.causes(), "{fault}");
        for column in ["session_minutes", "total_charges"] {
            for name in ["ks", "wasserstein", "wasserstein_normed"] {
                let (a, b) = (exact.metric(name, column).value, sketch.metric(name, column));
                let (low, high) = (b.low.unwrap(), b.high.unwrap());
                assert!(low <= a + 1e-9 && a <= high + 1e-9, "{fault} {column} {name}: {a} not in {low} to {high}");
                assert!(high - low < 0.05 * a.max(1.0) || name == "wasserstein", "{fault} {column} {name}");
            }
            let (a, b) = (exact.metric("psi", column).value, sketch.metric("psi", column).value);
            assert!((a - b).abs() < 0.01 + 0.1 * a, "{fault} {column}: {a} {b}");
        }
        // Few values: exact on both sides.
        for (name, column) in [("psi", "country"), ("chi2", "country"), ("js", "churn"), ("ks", "churn")] {
            let (a, b) = (exact.metric(name, column).value, sketch.metric(name, column).value);
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1e-9), "{fault} {column} {name}: {a} {b}");
        }
    }
    let mut damaged = profile.to_bytes();
    damaged.truncate(damaged.len() / 2);
    std::fs::write(root.join("reference.profile"), damaged).unwrap();
    let answer = compare(root, "reference.profile", "current.parquet", &json!({}));
    assert_eq!(answer.verdict, Verdict::Error);
    assert!(answer.skipped[0].contains("reference.profile"), "{:?}", answer.skipped);
}

#[test]
fn embeddings_are_compared_as_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let embeddings = |name: &str, seed: u64, shift: f64| {
        let values: Float64Array = (0..500 * 16).map(|i| Some(normal(seed, i) + shift)).collect();
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let lists = FixedSizeListArray::new(item, 16, Arc::new(values), None);
        write(folder.path().join(name), vec![("embedding", Arc::new(lists) as ArrayRef)]);
    };
    embeddings("reference.parquet", 1, 0.0);
    embeddings("same.parquet", 2, 0.0);
    embeddings("moved.parquet", 3, 0.4);
    let same = compare(folder.path(), "reference.parquet", "same.parquet", &json!({}));
    assert_eq!(same.verdict, Verdict::Pass, "{:?} {:?}", same.findings, same.skipped);
    let moved = compare(folder.path(), "reference.parquet", "moved.parquet", &json!({}));
    assert!(moved.has("column-drift", "embedding"), "{:?}", moved.findings);
}

#[test]
fn an_embedding_that_moves_alone_is_found_among_many_columns() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, seed: u64, shift: f64| {
        let values: Float64Array = (0..400 * 8).map(|i| Some(normal(seed, i) + shift)).collect();
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        let lists = FixedSizeListArray::new(item, 8, Arc::new(values), None);
        let names: Vec<String> = (0..20).map(|i| format!("x{i}")).collect();
        let mut columns = vec![("embedding", Arc::new(lists) as ArrayRef)];
        for (i, name) in names.iter().enumerate() {
            let values: Float64Array = (0..400).map(|r| Some(normal(seed * 100 + i as u64, r))).collect();
            columns.push((name, Arc::new(values)));
        }
        write(folder.path().join(name), columns);
    };
    table("reference.parquet", 1, 0.0);
    table("moved.parquet", 2, 1.0);
    let moved = compare(folder.path(), "reference.parquet", "moved.parquet", &json!({}));
    assert!(moved.has("column-drift", "embedding"), "{:?}", moved.rules());
}

#[test]
fn questions_that_sketches_leave_open_are_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    customers(root, "a.parquet", 1, 3_000, "none");
    customers(root, "b.parquet", 2, 3_000, "none");
    store(root, "a.parquet");
    let fine = compare(root, "a.profile", "b.parquet", &json!({}));
    assert_eq!(fine.verdict, Verdict::Pass, "{:?}", fine.skipped);
    for options in [json!({"columns": ["zz"]}), json!({"segment": "country"})] {
        let answer = compare(root, "a.profile", "b.parquet", &options);
        assert_eq!(answer.verdict, Verdict::Error, "{options}: {:?}", answer.skipped);
    }
}

#[test]
fn a_profile_of_texts_is_compared_with_texts() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let rows = |seed: u64| -> String { (0..900).map(|r| format!("{}\n", 10 + (unit(seed, r) * 5.0) as u32)).collect() };
    std::fs::write(root.join("a.csv"), format!("x\n{}", rows(1))).unwrap();
    std::fs::write(root.join("b.csv"), format!("x\n{}", rows(2))).unwrap();
    store(root, "a.csv");
    let answer = compare(root, "a.profile", "b.csv", &json!({}));
    assert_eq!(answer.verdict, Verdict::Pass, "{:?} {:?}", answer.rules(), answer.skipped);
}

#[test]
fn no_file_is_left_out_of_a_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for side in ["a", "b"] {
        std::fs::create_dir(root.join(side)).unwrap();
        customers(root, &format!("{side}/t.parquet"), 1, 500, "none");
    }
    assert_eq!(compare(root, "a", "b", &json!({})).verdict, Verdict::Pass);
    for (file, says) in [("b/more.xlsx", "b/more.xlsx"), ("a/logo.png", "a/logo.png")] {
        std::fs::write(root.join(file), b"no table").unwrap();
        let answer = compare(root, "a", "b", &json!({}));
        assert_eq!(answer.verdict, Verdict::Error, "{file}");
        assert!(answer.skipped.iter().any(|skipped| skipped.contains(says)), "{:?}", answer.skipped);
        std::fs::remove_file(root.join(file)).unwrap();
    }
}

#[test]
fn declared_ids_and_labels_have_their_roles_and_names_of_persons_are_masked() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let table = |name: &str, from: i64, people: [&str; 3]| {
        let people: StringArray = (0..600).map(|r| Some(people[r % 3])).collect();
        let accounts: Int64Array = (0..600).map(|r| Some(from + r)).collect();
        let answers: Int64Array = (0..600).map(|r| Some(i64::from(r % 10 < from.signum() * 5))).collect();
        write(
            root.join(name),
            vec![
                ("customer_name", Arc::new(people) as ArrayRef),
                ("account_number", Arc::new(accounts)),
                ("answer", Arc::new(answers)),
            ],
        );
    };
    table("a.parquet", 0, ["Ada Lovelace", "Alan Turing", "Grace Hopper"]);
    table("b.parquet", 9_000, ["Ada Lovelace", "Alan Turing", "Emmy Noether"]);
    let all = Tree::read(root, &TreeOptions::default(), &Limits::default()).unwrap();
    let side = |name: &str| {
        let file = all.files.iter().find(|file| file.path == Path::new(name)).unwrap();
        json!({"path": name, "sha256": sha256_hex(&std::fs::read(root.join(&file.path)).unwrap())})
    };
    let config = json!({
        "label": "answer",
        "poisoning": {"ids": ["account_number"]},
        "drift": {"reference": {"name": "a", "sha256": sha256_hex(b"x"), "files": [side("a.parquet")]}},
    });
    let answer = judge(root, &["b.parquet"], &config);
    assert!(answer.has("label-drift", "answer"), "{:?}", answer.findings);
    assert!(!answer.findings.iter().any(|f| f.location.field.as_deref() == Some("account_number")));
    let said = format!("{:?}", answer.findings);
    assert!(!said.contains("Noether") && !said.contains("Lovelace") && said.contains('#'), "{said}");
}

#[test]
fn a_window_without_values_and_a_row_from_the_future_do_not_silence_a_watch() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let day = |d: u64| format!("2026-01-{:02}", 1 + d);
    let rows = |days: std::ops::Range<u64>, x: &dyn Fn(u64, usize) -> String| -> String {
        let mut out = "t,x\n".to_owned();
        for d in days {
            for r in 0..200 {
                out += &format!("{},{}\n", day(d), x(d, r));
            }
        }
        out
    };
    let value = |d: u64, r: usize| format!("{:.4}", normal(d + 7, r));
    std::fs::write(root.join("a.csv"), rows(0..10, &value)).unwrap();
    let watch = |text: String| {
        std::fs::write(root.join("b.csv"), text).unwrap();
        let config = json!({"watch": {
            "window_rows": null, "time": "t", "window_seconds": 86_400, "needed": 1, "of": 2, "history": [], "windows": 0,
            "late": 0, "open": null,
        }, "columns": ["x"]});
        compare(root, "a.csv", "b.csv", &config)
    };
    let quiet = watch(rows(10..14, &value));
    assert_eq!(quiet.verdict, Verdict::Pass, "{:?} {:?}", quiet.findings, quiet.skipped);
    let gone = watch(rows(10..14, &|d, r| if d == 11 { String::new() } else { value(d, r) }));
    assert!(gone.rules().contains(&"null-share".to_owned()), "{:?}", gone.rules());
    assert!(gone.rules().contains(&"window-alarm".to_owned()), "{:?}", gone.rules());
    // One row is dated 9999; the days after it are windows all the same.
    let text = rows(10..14, &|d, r| if d == 13 { "99".to_owned() } else { value(d, r) });
    let text = text.replacen("2026-01-11,", "9999-01-01,", 2).replacen("9999-01-01,", "2026-01-11,", 1);
    let future = watch(format!("{text}2026-01-15,1\n"));
    assert!(future.rules().contains(&"window-alarm".to_owned()), "{:?} {:?}", future.rules(), future.skipped);
    let wild = watch(text.replace("2026-01-12,", "9999-01-01,").replace("2026-01-13,", "9999-01-02,"));
    assert_eq!(wild.verdict, Verdict::Error, "{:?}", wild.rules());
}

/// Stores the profile of `name` beside it.
fn store(root: &Path, name: &str) {
    let place = [root.join(name).to_str().unwrap().parse().unwrap()];
    let profile = crate::profile(&place, &crate::ReadOptions::default(), &crate::SketchOptions::default()).unwrap();
    let stem = Path::new(name).with_extension("profile");
    crate::write_profile(&root.join(stem), &profile).unwrap();
}

#[test]
fn folders_of_pictures_are_compared_by_what_they_show() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seed, light) in [("reference", 1_u64, 0_u8), ("same", 2, 0), ("dark", 3, 90)] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for i in 0..60_usize {
            // A few scenes, each picture of them with its own light.
            let (scene, own) = (i % 4, (unit(seed, i) * 30.0) as u8);
            let picture = image::RgbImage::from_fn(24, 24, |x, y| {
                let value = 120 + ((x * (scene as u32 + 1) + y * (5 - scene as u32)) % 80) as u8;
                image::Rgb([value.saturating_sub(light).saturating_add(own); 3])
            });
            picture.save(folder.path().join(name).join(format!("{i}.png"))).unwrap();
        }
    }
    let same = compare(folder.path(), "reference", "same", &json!({}));
    assert_eq!(same.verdict, Verdict::Pass, "{:?} {:?}", same.findings, same.skipped);
    let dark = compare(folder.path(), "reference", "dark", &json!({}));
    assert!(dark.has("column-drift", "image.brightness"), "{:?}", dark.rules());
    std::fs::write(folder.path().join("same/broken.png"), b"\x89PNG\r\n\x1a\nrubbish").unwrap();
    let broken = compare(folder.path(), "reference", "same", &json!({}));
    assert_eq!(broken.verdict, Verdict::Error);
    assert!(broken.skipped[0].contains("broken.png"), "{:?}", broken.skipped);
}

#[test]
fn streams_fire_at_the_reference_items() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/drift/streams");
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(root.join("expected.json")).unwrap()).unwrap();
    for (detector, parameters, key) in [
        ("adwin", json!({}), "adwin_delta_0.002"),
        ("adwin", json!({"delta": 0.05}), "adwin_delta_0.05"),
        ("page-hinkley", json!({}), "page_hinkley_t50"),
        ("hddm-a", json!({}), "hddm_a"),
        ("hddm-w", json!({}), "hddm_w"),
        ("ddm", json!({}), "ddm"),
    ] {
        let stream = json!({"detector": detector, "column": "x", "group": "stream", "parameters": parameters});
        let answer = judge(&root, &["streams.csv"], &json!({"drift": {"stream": stream}}));
        for (name, theirs) in expected["streams"].as_object().unwrap() {
            let Some(theirs) = theirs.get(key) else { continue };
            let mut ours: Vec<u64> = answer
                .findings
                .iter()
                .filter(|f| f.location.case.as_deref() == Some(name))
                .map(|f| f.location.row.unwrap())
                .collect();
            ours.sort_unstable();
            assert_eq!(json!(ours), theirs["detections"], "{detector} {name}");
        }
    }
    let stream = json!({"detector": "adwin", "column": "xx"});
    let answer = judge(&root, &["streams.csv"], &json!({"drift": {"stream": stream}}));
    assert_eq!(answer.verdict, Verdict::Error);
    assert!(answer.skipped[0].contains("did you mean `x`?"), "{:?}", answer.skipped);
}

#[test]
fn what_cannot_be_compared_is_never_clean() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let column = |values: Vec<Option<f64>>| vec![("a", Arc::new(Float64Array::from(values)) as ArrayRef)];
    write(root.join("full.parquet"), column((0..500).map(|i| Some(f64::from(i))).collect()));
    write(root.join("null.parquet"), column(vec![None; 500]));
    write(root.join("empty.parquet"), column(Vec::new()));
    write(root.join("odd.parquet"), column(vec![Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None]));
    write(root.join("other.parquet"), vec![("b", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)]);
    std::fs::write(root.join("cut.parquet"), &std::fs::read(root.join("full.parquet")).unwrap()[..600]).unwrap();
    for (reference, current) in [
        ("full.parquet", "null.parquet"),
        ("null.parquet", "full.parquet"),
        ("full.parquet", "empty.parquet"),
        ("empty.parquet", "full.parquet"),
        ("full.parquet", "cut.parquet"),
        ("cut.parquet", "full.parquet"),
    ] {
        let answer = compare(root, reference, current, &json!({}));
        assert_ne!(answer.verdict, Verdict::Pass, "{reference} {current}");
        assert!(!answer.skipped.is_empty(), "{reference} {current}");
    }
    let other = compare(root, "full.parquet", "other.parquet", &json!({}));
    assert_eq!(other.verdict, Verdict::Fail, "{:?}", other.rules());
    let odd = compare(root, "full.parquet", "odd.parquet", &json!({"metrics": ["all"]}));
    assert_ne!(odd.verdict, Verdict::Pass);
    assert!(odd.metric("psi", "a").value.is_finite());
}

#[test]
fn a_reference_that_changed_since_it_was_named_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    customers(folder.path(), "a.parquet", 1, 500, "none");
    let reference =
        json!({"name": "a", "sha256": sha256_hex(b""), "files": [{"path": "a.parquet", "sha256": sha256_hex(b"")}]});
    let answer = judge(folder.path(), &["a.parquet"], &json!({"drift": {"reference": reference}}));
    assert_eq!(answer.verdict, Verdict::Error);
    assert!(answer.skipped[0].contains("changed since the run began"), "{:?}", answer.skipped);
}
