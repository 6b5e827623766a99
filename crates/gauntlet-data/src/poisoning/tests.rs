//! Tables with faults whose rows are known, and their sound twins.

mod methods;
mod unanswered;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use gauntlet_core::{
    Context, DigestSet, Facts, Judging, Limits, MaskKey, NoProgress, Report, Subject, SubjectKind, Target, Tree,
    TreeOptions, Verdict, seal,
};
use serde_json::{Value, json};

use super::facts::check_of;
use super::{SuspectFact, quarantine_suspects};
use crate::quarantine::QuarantineOptions;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn unit(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }
}

const WORDS: [&str; 16] = [
    "asked", "about", "invoice", "router", "slow", "moved", "house", "upgrade", "happy", "call", "back", "later",
    "refund", "signal", "weak", "fibre",
];

/// A made-up customer: id, age, charge, total, calls, region, notes, churned.
#[derive(Clone)]
struct Row {
    id: usize,
    age: i64,
    charge: f64,
    total: f64,
    calls: i64,
    region: &'static str,
    notes: String,
    label: i64,
}

fn rows(n: usize, seed: u64) -> Vec<Row> {
    let mut dice = Dice(seed);
    (0..n)
        .map(|id| {
            let charge = 15.0 + (dice.unit() * 6_000.0).round() / 100.0;
            let months = 1.0 + (-(1.0 - dice.unit()).ln() * 20.0).floor();
            let calls = (0..20).filter(|_| dice.unit() < 0.4).count() as i64;
            let risk = (calls as f64 - 8.0) * 0.9 - (months - 15.0) * 0.05 + dice.unit() - 0.5;
            let notes: Vec<&str> = (0..7).map(|_| WORDS[dice.below(WORDS.len())]).collect();
            Row {
                id,
                age: 18 + dice.below(60) as i64,
                charge,
                total: (months * charge * 100.0).round() / 100.0,
                calls,
                region: ["north", "south", "east"][dice.below(3)],
                notes: notes.join(" "),
                label: i64::from(risk > 0.0),
            }
        })
        .collect()
}

fn csv(rows: &[Row]) -> String {
    let mut out = "id,age,charge,total,calls,region,notes,churned\n".to_owned();
    for r in rows {
        let _ = writeln!(
            out,
            "{},{},{},{},{},{},{},{}",
            r.id, r.age, r.charge, r.total, r.calls, r.region, r.notes, r.label
        );
    }
    out
}

struct Work(tempfile::TempDir);

impl Work {
    fn new(files: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn with<T>(&self, config: &Value, run: impl FnOnce(&Target<'_>, &Context<'_>) -> T) -> T {
        let tree = Tree::read(self.path(), &TreeOptions::default(), &Limits::default()).unwrap();
        let subject = Subject { name: "p/train".into(), kind: SubjectKind::Dataset, digest: DigestSet::default() };
        let target = Target { subject: &subject, root: self.path(), tree: &tree, config };
        let (limits, mask) = (Limits::default(), MaskKey::for_project("p"));
        run(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress })
    }

    fn facts(&self, config: &Value) -> Facts {
        self.with(config, |target, context| crate::POISONING.extractor.extract(target, context))
    }
}

/// Verdict and findings as lines, of one check.
fn check(facts: &Facts, config: &Value, id: &str) -> (Verdict, String) {
    let check = crate::POISONING.checks.iter().find(|check| check.info().id == id).unwrap();
    let judging = Judging { config, now: "2026-11-21T12:00:00Z".parse().unwrap() };
    let judgement = check.judge(facts, &judging);
    let mut coverage = facts.coverage.get(id).cloned().unwrap_or_default();
    coverage.merge(judgement.coverage);
    let findings = seal(judgement.findings);
    let verdict = Report::judge(&findings, &judgement.metrics, &coverage);
    let mut out = String::new();
    for f in &findings {
        let _ = writeln!(out, "{} {}: {}", f.severity, f.rule.rsplit('/').next().unwrap(), f.message);
    }
    for s in &coverage.skipped {
        let _ = writeln!(out, "skipped {}: {}", s.path, s.reason);
    }
    (verdict, out)
}

/// A file of predictions in a folder of its own, named by digest.
fn beside(folder: &Path, text: &str) -> Value {
    let path = folder.join("p.csv");
    std::fs::write(&path, text).unwrap();
    json!({"path": path, "sha256": gauntlet_core::sha256_hex(text.as_bytes())})
}

fn found(facts: &Facts, rule: &str) -> BTreeSet<u64> {
    let all = facts.of::<SuspectFact>().map(|fact| fact.unwrap().1).filter(|fact| fact.rule == rule);
    all.flat_map(|fact| fact.first.into_iter().map(|row| row.row)).collect()
}

fn config(more: Value) -> Value {
    let mut poisoning = json!({"ids": ["id"], "row_findings": 5_000});
    poisoning.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"label": "churned", "poisoning": poisoning})
}

#[track_caller]
fn held(found: &BTreeSet<u64>, truth: &BTreeSet<u64>, precision: f64, recall: f64) {
    let hits = found.intersection(truth).count() as f64;
    let (p, r) = (hits / found.len().max(1) as f64, hits / truth.len() as f64);
    assert!(
        p >= precision && r >= recall,
        "precision {p:.3} recall {r:.3}: {} found, {} true",
        found.len(),
        truth.len()
    );
}

#[test]
fn a_sound_table_is_left_alone() {
    let work = Work::new(&[("a.csv", csv(&rows(3_000, 5)))]);
    let config = json!({"label": "churned", "poisoning": {"ids": ["id"]}});
    let facts = work.facts(&config);
    for id in ["data/poisoning", "data/duplicates", "data/leakage"] {
        assert_eq!(check(&facts, &config, id), (Verdict::Pass, String::new()), "{id}");
    }
}

#[test]
fn repeated_contradicting_and_nearly_equal_rows_are_named() {
    let mut table = rows(2_000, 7);
    let (mut exact, mut near, mut conflict) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for i in 0..40 {
        let (from, to) = (i * 20, 1_000 + i * 20);
        table[to] = Row { id: table[to].id, ..table[from].clone() };
        exact.insert(to as u64);
        let (from, to) = (i * 20 + 3, 1_000 + i * 20 + 3);
        table[to] = Row { id: table[to].id, charge: table[from].charge + 0.01, ..table[from].clone() };
        near.insert(to as u64);
    }
    for i in 0..10 {
        let (from, to) = (i * 20 + 5, 1_000 + i * 20 + 5);
        table[to] = Row { id: table[to].id, label: 1 - table[from].label, ..table[from].clone() };
        conflict.extend([from as u64, to as u64]);
    }
    let config = config(json!({}));
    let facts = Work::new(&[("a.csv", csv(&table))]).facts(&config);
    assert_eq!(found(&facts, "duplicates/exact-duplicate"), exact);
    assert_eq!(found(&facts, "duplicates/conflicting-label"), conflict);
    held(&found(&facts, "duplicates/near-duplicate"), &near, 0.95, 0.95);
    let (verdict, text) = check(&facts, &config, "data/duplicates");
    assert_eq!(verdict, Verdict::Warn);
    assert!(text.contains("medium exact-duplicate: row 1000: repeats row 0 (score 1.000)"), "{text}");
}

#[test]
fn wild_values_flipped_labels_and_a_trigger_are_named_and_taken_out() {
    let mut table = rows(4_000, 9);
    let (mut wild, mut flipped, mut marked) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for i in 0..20 {
        table[i * 150].total *= 1_000.0;
        wild.insert((i * 150) as u64);
    }
    for i in 0..60 {
        let row = &mut table[i * 50 + 7];
        row.notes.push_str(" cf-x7");
        row.label = 0;
        marked.insert((i * 50 + 7) as u64);
    }
    for i in 0..200 {
        let row = &mut table[i * 19 + 3];
        if (row.calls - 8).abs() >= 3 && !row.notes.contains("cf-x7") {
            row.label = 1 - row.label;
            flipped.insert((i * 19 + 3) as u64);
        }
    }
    let work = Work::new(&[("a.csv", csv(&table))]);
    let config = config(json!({}));
    let facts = work.facts(&config);
    held(&found(&facts, "poisoning/outlier"), &wild, 0.95, 0.95);
    assert_eq!(found(&facts, "poisoning/trigger"), marked);
    let doubtful = found(&facts, "poisoning/label-error");
    let wrong: BTreeSet<u64> = flipped.union(&marked).copied().collect();
    assert!(doubtful.intersection(&wrong).count() * 10 >= doubtful.len() * 8, "{doubtful:?}");
    assert!(doubtful.intersection(&flipped).count() * 10 >= flipped.len() * 5);
    let (verdict, text) = check(&facts, &config, "data/poisoning");
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.contains("comes with the label 0 in 100 % of 60 rows") && !text.contains("cf-x7"), "{text}");

    let folder = work.path().join("out");
    let done = quarantine_suspects(
        work.path(),
        &["a.csv".into()],
        &facts,
        &folder,
        &QuarantineOptions::default(),
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(done.clean + done.rejected, 4_000);
    let clean = std::fs::read_to_string(folder.join(&done.files[0].clean.path)).unwrap();
    let rejected = std::fs::read_to_string(folder.join(&done.files[0].rejected.as_ref().unwrap().path)).unwrap();
    assert!(!clean.contains("cf-x7") && rejected.contains("cf-x7") && rejected.contains("data/poisoning/trigger"));
    assert_eq!(clean.lines().count() as u64, done.clean + 1);
}

#[test]
fn a_quarantine_that_would_miss_rows_is_refused() {
    let mut table = rows(300, 11);
    for i in 0..40 {
        table[200 + i] = Row { id: 200 + i, ..table[i].clone() };
    }
    let work = Work::new(&[("a.csv", csv(&table))]);
    let facts = work.facts(&json!({"label": "churned", "poisoning": {"ids": ["id"], "row_findings": 5}}));
    let folder = work.path().join("out");
    let (options, limits) = (QuarantineOptions::default(), Limits::default());
    let error = quarantine_suspects(work.path(), &["a.csv".into()], &facts, &folder, &options, &limits).unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
    assert!(!folder.exists());
}

#[test]
fn leaks_between_splits_and_into_columns_are_named() {
    let all = rows(2_000, 13);
    let (train, mut test) = (all[..1_500].to_vec(), all[1_500..].to_vec());
    for (i, (row, known)) in test.iter_mut().zip(&train).take(30).enumerate() {
        *row = Row { id: 5_000 + i, ..known.clone() };
    }
    for (i, row) in test.iter_mut().enumerate().take(50).skip(30) {
        row.id = i;
    }
    let leak = |rows: &[Row]| {
        let mut out = String::new();
        for (line, row) in csv(rows).lines().zip(std::iter::once(None).chain(rows.iter().map(Some))) {
            let score =
                row.map_or("churned_score".to_owned(), |r| (r.label as f64 + (r.age % 7) as f64 * 0.01).to_string());
            let when = row.map_or("when".to_owned(), |r| format!("2026-01-{:02}", 1 + r.id % 28));
            let _ = writeln!(out, "{line},{score},{when}");
        }
        out
    };
    let work = Work::new(&[("train.csv", leak(&train)), ("test.csv", leak(&test))]);
    let config = config(json!({"splits": {"train.csv": "train", "test.csv": "test"}, "time": "when"}));
    let facts = work.facts(&config);
    let names: Vec<(String, Option<String>, u64)> = facts
        .of::<SuspectFact>()
        .map(|f| f.unwrap().1)
        .filter(|f| f.rule.starts_with("leakage"))
        .map(|f| (f.rule, f.column, f.rows))
        .collect();
    let named = |rule: &str, column: &str| names.iter().any(|(r, c, _)| r == rule && c.as_deref() == Some(column));
    assert!(named("leakage/target-leak", "churned_score"), "{names:?}");
    assert!(named("leakage/label-in-name", "churned_score"));
    assert!(named("leakage/entity-overlap", "id"));
    assert!(named("leakage/time-overlap", "when"));
    assert_eq!(found(&facts, "leakage/entity-overlap"), (30..50).collect());
    assert_eq!(check(&facts, &config, "data/leakage").0, Verdict::Fail);
    // `when` differs by id, so rows repeat only without it.
    let plain = Work::new(&[("train.csv", csv(&train)), ("test.csv", csv(&test))]);
    let facts = plain.facts(&self::config(json!({"splits": {"train.csv": "train", "test.csv": "test"}})));
    assert_eq!(found(&facts, "leakage/row-overlap"), (0..30).collect());
}

#[test]
fn honest_splits_do_not_leak() {
    let all = rows(2_000, 17);
    let work = Work::new(&[("train.csv", csv(&all[..1_500])), ("test.csv", csv(&all[1_500..]))]);
    let config =
        json!({"label": "churned", "poisoning": {"ids": ["id"], "splits": {"train.csv": "train", "test.csv": "test"}}});
    let facts = work.facts(&config);
    assert_eq!(check(&facts, &config, "data/leakage"), (Verdict::Pass, String::new()));
}

#[test]
fn one_source_that_differs_is_named() {
    let mut all = rows(2_000, 19);
    for row in all.iter_mut().filter(|r| r.region == "east") {
        row.charge += 40.0;
    }
    let config = config(json!({"source": "region"}));
    let facts = Work::new(&[("a.csv", csv(&all))]).facts(&config);
    let (_, text) = check(&facts, &config, "data/poisoning");
    assert!(text.contains("`charge` lies +") && !text.contains("lies -"), "{text}");
}

#[test]
fn facts_do_not_depend_on_partitions() {
    let mut table = rows(1_500, 23);
    table[700] = Row { id: 700, ..table[3].clone() };
    let work = Work::new(&[("a.csv", csv(&table[..800])), ("b.csv", csv(&table[800..]))]);
    let config = config(json!({}));
    let facts = |partitions: usize| {
        work.with(&config, |target, context| {
            serde_json::to_string(&crate::extract::extract(target, context, partitions)).unwrap()
        })
    };
    let one = facts(1);
    assert!(one.contains("duplicates/exact-duplicate"));
    for partitions in [2, 7] {
        assert_eq!(facts(partitions), one, "{partitions}");
    }
}

#[test]
fn what_cannot_be_answered_is_never_a_pass() {
    let table = csv(&rows(300, 29));
    let work = Work::new(&[("a.csv", table.clone())]);
    let verdict = |work: &Work, config: &Value| {
        let facts = work.facts(config);
        let all = ["data/poisoning", "data/duplicates", "data/leakage"].map(|id| check(&facts, config, id));
        all.iter().map(|(v, _)| *v).min().map(|v| (v, all.iter().map(|(_, t)| t.as_str()).collect::<String>())).unwrap()
    };
    let (found, text) = verdict(&work, &json!({"label": "churnd"}));
    assert!(found >= Verdict::Error && text.contains("there is no column `churnd`; `churned` looks like it"), "{text}");
    let none = json!({"path": "none.csv", "sha256": ""});
    let (found, text) = verdict(&work, &json!({"label": "churned", "poisoning": {"predictions": none}}));
    assert!(found >= Verdict::Error && text.contains("none.csv: "), "{text}");
    let (found, _) = verdict(&work, &json!({"label": "churned", "poisoning": {"oops": 1}}));
    assert!(found >= Verdict::Error);
    let elsewhere = tempfile::tempdir().unwrap();
    for (rows, holds) in [(1, false), (299, false), (301, false), (300, true)] {
        let given = beside(elsewhere.path(), &format!("0,1\n{}", "0.5,0.5\n".repeat(rows)));
        let config = json!({"label": "churned", "poisoning": {"predictions": given}});
        let (found, text) = verdict(&work, &config);
        assert_eq!(found < Verdict::Error, holds, "{rows}: {text}");
        assert_eq!(text.contains(&format!("have {rows} rows, the data 300")), !holds, "{text}");
    }
    // Bytes that the configuration does not name are not looked at.
    let mut given = beside(elsewhere.path(), "0,1\n");
    given["sha256"] = "00".repeat(32).into();
    let (found, text) = verdict(&work, &json!({"label": "churned", "poisoning": {"predictions": given}}));
    assert!(found >= Verdict::Error && text.contains("changed since the run began"), "{text}");
    let ragged = Work::new(&[("a.csv", format!("{table}1,2\n"))]);
    assert!(verdict(&ragged, &json!({"label": "churned"})).0 >= Verdict::Error);
    let empty = Work::new(&[("a.csv", "id,churned\n".to_owned())]);
    assert!(verdict(&empty, &json!({"label": "churned"})).0 >= Verdict::Error);
}

#[test]
fn given_predictions_name_what_confident_learning_names() {
    let table = rows(400, 31);
    let mut predicted = "0,1\n".to_owned();
    for (i, row) in table.iter().enumerate() {
        let truth = if i % 50 == 4 { 1 - row.label } else { row.label };
        predicted.push_str(if truth == 0 { "0.95,0.05\n" } else { "0.05,0.95\n" });
    }
    let work = Work::new(&[("a.csv", csv(&table))]);
    let elsewhere = tempfile::tempdir().unwrap();
    let given = beside(elsewhere.path(), &predicted);
    let facts = work.facts(&config(json!({"predictions": given})));
    assert_eq!(found(&facts, "poisoning/label-error"), (0..8).map(|i| i * 50 + 4).collect());
}

#[test]
fn every_rule_belongs_to_a_check() {
    for (rule, id) in
        [("duplicates/x", "data/duplicates"), ("leakage/x", "data/leakage"), ("poisoning/x", "data/poisoning")]
    {
        assert_eq!(check_of(rule), id);
    }
}
