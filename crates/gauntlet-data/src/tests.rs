//! The whole gate over files on disk: what is said, and that nothing hostile is called clean.

mod people;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use gauntlet_core::{
    Context, DigestSet, Facts, Judging, Limits, MaskKey, NoProgress, Report, Subject, SubjectKind, Target, Tree,
    TreeFile, TreeOptions, Verdict, seal, sha256_hex,
};
use serde_json::{Value, json};

use crate::extract::extract;

/// A project folder with one dataset.
pub(crate) struct Project {
    dir: tempfile::TempDir,
    files: Vec<String>,
    manifest: bool,
    contract: bool,
    references: Vec<(String, String)>,
}

impl Project {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        Self { dir, files: Vec::new(), manifest: false, contract: false, references: Vec::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn file(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.root().join("data").join(name), bytes).unwrap();
        self.files.push(format!("data/{name}"));
        self
    }

    /// Another table that the contract refers to by its file name.
    pub(crate) fn other(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.root().join("data").join(name), bytes).unwrap();
        self.references.push((name.to_owned(), format!("data/{name}")));
        self
    }

    pub(crate) fn contract(mut self, text: &str) -> Self {
        std::fs::write(self.root().join("data/contract.yaml"), text).unwrap();
        self.contract = true;
        self
    }

    pub(crate) fn manifest(mut self, text: &str) -> Self {
        std::fs::write(self.root().join("data/manifest.yaml"), text).unwrap();
        self.manifest = true;
        self
    }

    /// A filled-in manifest over the files so far, with `more` under it.
    pub(crate) fn sound_manifest(self, more: &str) -> Self {
        let mut files = String::new();
        for file in &self.files {
            let bytes = std::fs::read(self.root().join(file)).unwrap();
            let name = file.strip_prefix("data/").unwrap();
            let _ = writeln!(files, "  - {{path: {name}, sha256: {}, size: {}}}", sha256_hex(&bytes), bytes.len());
        }
        self.manifest(&format!(
            "gauntlet_dataset: 1\nname: t\nfiles:\n{files}source: {{uri: 'urn:t', collected: [2026-01-01, 2026-02-01], method: made up}}\n\
             license: {{spdx: CC0-1.0}}\n{}{more}",
            if more.contains("consent:") { "" } else { "consent: {basis: synthetic, purposes: [train]}\n" }
        ))
    }

    fn side(&self, name: &str, there: bool) -> Value {
        if !there {
            return Value::Null;
        }
        let path = format!("data/{name}");
        let bytes = std::fs::read(self.root().join(&path)).unwrap();
        json!({"path": path, "sha256": sha256_hex(&bytes)})
    }

    fn references(&self) -> Vec<Value> {
        let file =
            |path: &str| json!({"path": path, "sha256": sha256_hex(&std::fs::read(self.root().join(path)).unwrap())});
        self.references.iter().map(|(table, path)| json!({"table": table, "files": [file(path)]})).collect()
    }

    /// Hands the dataset to `look` as the program does.
    pub(crate) fn target<T>(&self, look: impl FnOnce(&Target<'_>, &Context<'_>) -> T) -> (T, Value) {
        let config = json!({
            "name": "train", "label": null, "purpose": "train",
            "manifest": self.side("manifest.yaml", self.manifest), "contract": self.side("contract.yaml", self.contract),
            "references": self.references(),
        });
        let all = Tree::read(self.root(), &TreeOptions::default(), &Limits::default()).unwrap();
        let files: Vec<TreeFile> =
            all.files.iter().filter(|f| self.files.iter().any(|n| Path::new(n) == f.path)).cloned().collect();
        let tree = Tree { root: self.root().to_owned(), files, ..Tree::default() };
        let subject = Subject { name: "p/train".into(), kind: SubjectKind::Dataset, digest: DigestSet::default() };
        let target = Target { subject: &subject, root: self.root(), tree: &tree, config: &config };
        let (limits, mask) = (Limits::default(), MaskKey::for_project("p"));
        let context = Context { limits: &limits, mask: &mask, progress: &NoProgress };
        (look(&target, &context), config)
    }

    pub(crate) fn facts(&self, partitions: usize) -> (Facts, Value) {
        self.target(|target, context| extract(target, context, partitions))
    }

    /// Verdict and lines of one check.
    pub(crate) fn check(&self, id: &str) -> (Verdict, String) {
        let (facts, config) = self.facts(2);
        judge(&facts, &config, id)
    }
}

fn judge(facts: &Facts, config: &Value, id: &str) -> (Verdict, String) {
    let check = crate::GATE.checks.iter().find(|check| check.info().id == id).unwrap();
    let judging = Judging { config, now: "2026-11-21T12:00:00Z".parse().unwrap() };
    let judgement = check.judge(facts, &judging);
    let mut coverage = facts.coverage.get(id).cloned().unwrap_or_default();
    coverage.merge(judgement.coverage);
    let findings = seal(judgement.findings);
    let verdict = Report::judge(&findings, &judgement.metrics, &coverage);
    let mut out = String::new();
    for f in &findings {
        let l = &f.location;
        let row = l.row.map_or(String::new(), |r| format!(" row {r}"));
        let line = l.line.map_or(String::new(), |n| format!(":{n}"));
        let name = f.rule.rsplit('/').next().unwrap();
        let _ = writeln!(out, "{} {name} {}{line}{row}: {}", f.severity, l.path.as_deref().unwrap_or("-"), f.message);
    }
    for s in &coverage.skipped {
        let _ = writeln!(out, "skipped {}: {}", s.path, s.reason);
    }
    let _ = write!(out, "looked at {}", coverage.looked_at);
    (verdict, out)
}

/// Three columns, `rows` rows in row groups of `group` rows.
pub(crate) fn parquet(rows: i64, group: usize) -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let ages: ArrayRef = Arc::new(Int32Array::from_iter((0..rows).map(|i| (i % 10 != 3).then_some((i % 80) as i32))));
    let plans: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|i| ["basic", "pro"][(i % 2) as usize])));
    let charge: ArrayRef =
        Arc::new(Float64Array::from_iter_values((0..rows).map(|i| if i == 7 { f64::NAN } else { i as f64 })));
    let batch = RecordBatch::try_from_iter([("id", ids), ("age", ages), ("plan", plans), ("charge", charge)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

const CHURN: &str = "id,age,plan,email,notes\n\
                     1,44,basic,ana@example.org,ok\n\
                     2,999,gold,ben@example.org,\n\
                     2,,pro,cem@example.org,\"a, b\"\n\
                     x,18,pro,dan@example.org,fine\n";

#[test]
fn a_contract_says_which_rows_fail() {
    let project = Project::new().file("train.csv", CHURN).contract(
        "contract: 1\nrows: {min: 10}\ncolumns:\n  id: {type: integer, unique: true}\n  age: {type: integer, nullable: false, range: [18, 120]}\n  \
         plan: {type: string, allowed: [basic, pro], severity: warn}\n  mail: {type: string}\n  notes: {type: string, length: [1, 4], pattern: '[a-z, ]+', mostly: 0.5}\n",
    );
    let (verdict, text) = project.check("data/contract");
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);
}

#[test]
fn a_sound_table_passes() {
    let contract = "contract: 1\ncolumns:\n  id: {type: integer, unique: true, exact_type: Int64, nullable: false}\n  age: {type: integer, range: [0, 79], max_null_share: 0.1}\n  \
                    plan: {type: string, allowed: [basic, pro], pattern: '[a-z]+', length: [3, 5]}\n  charge: {type: float, range: [-0.0, null], mostly: 0.99}\norder: [id, age]\n";
    let project = Project::new().file("a.parquet", parquet(1000, 100)).contract(contract).sound_manifest("");
    for check in ["data/contract", "data/manifest", "data/personal-data"] {
        assert_eq!(project.check(check), (Verdict::Pass, "looked at 1".to_owned()), "{check}");
    }
}

#[test]
fn nan_is_in_no_range_and_zero_has_one_sign() {
    let project = Project::new()
        .file("a.csv", "x\n-0.0\n0.0\nNaN\n1\n")
        .contract("contract: 1\ncolumns:\n  x: {type: float, range: [0, null]}\n");
    let (_, text) = project.check("data/contract");
    assert!(text.contains("`x`: 1 of 4 values fail") && text.contains("first in row 2 (NaN)"), "{text}");
    let project = Project::new()
        .file("a.csv", "x\n-0.0\n0.0\n1\n")
        .contract("contract: 1\ncolumns:\n  x: {type: float, allowed: [0, 1]}\n");
    assert_eq!(project.check("data/contract").0, Verdict::Pass);
}

#[test]
fn facts_do_not_depend_on_partitions() {
    let contract = "contract: 1\ncolumns:\n  id: {type: integer, range: [5, null]}\n  age: {type: integer, unique: true}\n  plan: {type: string, allowed: [pro]}\n  charge: {type: float, range: [0, 100]}\n";
    let project = Project::new()
        .file("a.parquet", parquet(5_000, 300))
        .file("b.parquet", parquet(2_000, 2_000))
        .contract(contract);
    let one = serde_json::to_string(&project.facts(1).0).unwrap();
    for partitions in [2, 7] {
        assert_eq!(serde_json::to_string(&project.facts(partitions).0).unwrap(), one, "{partitions}");
    }
    let (verdict, text) = project.check("data/contract");
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);
}

#[test]
fn the_manifest_is_held_against_the_files() {
    let project = Project::new().file("a.csv", "x,ok\n1,yes\n2,no\n3,\n").sound_manifest(
        "consent: {basis: consent, record: 'urn:r', column: ok, allowed: ['yes'], purposes: [billing], expires: 2026-11-20}\n",
    );
    let project = project.file("extra.csv", "x,ok\n4,yes\n");
    let (verdict, text) = project.check("data/manifest");
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);
    std::fs::write(project.root().join("data/a.csv"), "x,ok\n1,yes\n").unwrap();
    let (_, text) = project.check("data/manifest");
    assert!(text.contains("hash-mismatch"), "{text}");
}

#[test]
fn the_evaluation_date_is_an_input_only_where_it_matters() {
    let inputs = |project: &Project| {
        let (facts, config) = project.facts(1);
        let judging = Judging { config: &config, now: "2026-11-21T23:59:59Z".parse().unwrap() };
        crate::GATE.checks[0].inputs(&facts, &judging)
    };
    let undated = inputs(&Project::new().file("a.csv", "x\n1\n").sound_manifest(""));
    assert_eq!(undated.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["profile"]);
    let expiring = Project::new()
        .file("a.csv", "x\n1\n")
        .sound_manifest("consent: {basis: public, purposes: [train], expires: 2026-11-21}\n");
    let inputs = inputs(&expiring);
    assert_eq!(inputs[0].name, "evaluation-date");
    assert_eq!(inputs[0].digest.hex(), sha256_hex(b"2026-11-21"));
    assert_eq!(expiring.check("data/manifest").0, Verdict::Pass, "the last day counts");
}

#[test]
fn without_a_manifest_nothing_is_known() {
    let (verdict, text) = Project::new().file("a.csv", "x\n1\n").check("data/manifest");
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.contains("missing-manifest"), "{text}");
}

#[test]
fn a_draft_says_what_a_person_has_to_fill_in_and_its_contract_holds() {
    let project = Project::new().file("a.parquet", parquet(500, 100)).file("b.csv", CHURN);
    let limits = Limits::default();
    let parquet = [PathBuf::from("data/a.parquet")];
    let manifest =
        crate::draft_manifest(project.root(), &parquet, Path::new("data/manifest.yaml"), "t", &limits).unwrap();
    let contract = crate::draft_contract(project.root(), &parquet, "t", &limits).unwrap();
    let one = Project::new().file("a.parquet", self::parquet(500, 100)).manifest(&manifest).contract(&contract);
    assert_eq!(one.check("data/contract"), (Verdict::Pass, "looked at 1".to_owned()), "{contract}");
    let (verdict, text) = one.check("data/manifest");
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);

    let csv = [PathBuf::from("data/b.csv")];
    let contract = crate::draft_contract(project.root(), &csv, "t", &limits).unwrap();
    let two = Project::new().file("b.csv", CHURN).contract(&contract);
    assert_eq!(two.check("data/contract"), (Verdict::Pass, "looked at 1".to_owned()), "{contract}");
    insta::assert_snapshot!(contract);
    assert!(crate::draft_manifest(project.root(), &csv, Path::new("other/manifest.yaml"), "t", &limits).is_err());
}

#[test]
fn personal_columns_need_a_declaration() {
    let rows: String = (0..200)
        .map(|i| {
            let note = if i % 20 == 0 { "call +49 30 5551234" } else { "ok" };
            format!("u{i}@example.org,{note},{},01701234{i:03}\n", 4_000_000_000_000_000u64 + i * 7919)
        })
        .collect();
    let table = format!("email,notes,order_id,phone\n{rows}");
    let (verdict, text) = Project::new().file("a.csv", &table).check("data/personal-data");
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);
    assert!(!text.contains("u0@example"), "values are masked");
    let declared = Project::new()
        .file("a.csv", &table)
        .sound_manifest("personal_data: {columns: {email: hashed, notes: plain, phone: plain}}\n");
    let (verdict, text) = declared.check("data/personal-data");
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.contains("high untreated-column") && text.contains("info declared-column"), "{text}");
}

#[test]
fn cards_are_told_from_ids() {
    let luhn = |n: u64| {
        (0..10)
            .map(|c| n * 10 + c)
            .find(|n| {
                let sum: u64 = n
                    .to_string()
                    .bytes()
                    .rev()
                    .enumerate()
                    .map(|(i, b)| {
                        let d = u64::from(b - b'0') * if i % 2 == 1 { 2 } else { 1 };
                        if d > 9 { d - 9 } else { d }
                    })
                    .sum();
                sum.is_multiple_of(10)
            })
            .unwrap()
    };
    let cards: ArrayRef =
        Arc::new(Int64Array::from_iter_values((0..300).map(|i| luhn(400_000_000_000_000 + i * 7_919) as i64)));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..300).map(|i| 4_000_000_000_000_000 + i * 7_919)));
    let batch = RecordBatch::try_from_iter([("value", cards), ("reference", ids)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let (verdict, text) = Project::new().file("a.parquet", writer.into_inner().unwrap()).check("data/personal-data");
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        text.contains("undeclared-column") && text.contains("`value` holds payment card numbers in 300 of 300"),
        "{text}"
    );
    assert!(!text.contains("`reference`"), "{text}");
}

/// Never a pass, whatever the bytes.
fn refused(name: &str, bytes: &[u8]) -> String {
    let contract = "contract: 1\ncolumns:\n  id: {type: integer}\nextra_columns: allow\n";
    let project = Project::new().file(name, bytes).contract(contract);
    let mut all = String::new();
    for check in ["data/contract", "data/personal-data"] {
        let (verdict, text) = project.check(check);
        assert!(verdict >= Verdict::Error, "{check} {verdict}: {text}");
        all.push_str(&text);
        all.push('\n');
    }
    all
}

#[test]
fn hostile_csv_is_never_clean() {
    insta::assert_snapshot!(
        [
            refused("a.csv", b""),
            refused("a.csv", b"id,x\n1,2\n3\n"),
            refused("a.csv", b"id,x\n1,\"2\n"),
            refused("a.csv", b"id\n\x001\n"),
            refused("a.csv", b"id\n\xff\n"),
            refused("a.csv", b"id\n"),
            refused("a.csv", b"PAR1\0\0\0\0PAR1"),
            refused("a.parquet", b"id\n1\n"),
            refused("a.parquet", b"PAR1\0\0\0\0\0\0\0\0PARE"),
            refused("a.parquet", b"PAR1\xff\xff\xff\x7fPAR1"),
            refused("a.npy", b"\x93NUMPY"),
            refused("a.csv", format!("id\n{}", "x".repeat(17 << 20)).as_bytes()),
        ]
        .concat()
    );
}

#[test]
fn truncated_and_mutated_parquet_neither_passes_unread_nor_panics() {
    let sound = parquet(2_000, 500);
    for cut in (0..sound.len()).step_by(sound.len() / 25) {
        refused("a.parquet", &sound[..cut]);
    }
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    for round in 0..80 {
        let mut bytes = sound.clone();
        for _ in 0..=round % 4 {
            // Every other round hits the footer, where lengths and offsets live.
            let at = if round % 2 == 0 { bytes.len() - 1 - next(900) } else { next(bytes.len()) };
            bytes[at] ^= 1 << next(8);
        }
        // A flipped value is a value; the only demand is an answer.
        Project::new()
            .file("a.parquet", &bytes)
            .contract("contract: 1\ncolumns:\n  id: {type: integer}\n")
            .check("data/contract");
    }
}

#[test]
fn files_of_one_table_need_one_schema() {
    let project = Project::new()
        .file("a.csv", "id,x\n1,2\n")
        .file("b.csv", "id,y\n1,2\n")
        .contract("contract: 1\ncolumns:\n  id: {type: integer}\n  x: {type: integer}\n");
    let (verdict, text) = project.check("data/contract");
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text);
}

#[test]
fn a_side_file_that_changed_is_not_used() {
    let project = Project::new().file("a.csv", "id\n1\n").contract("contract: 1\ncolumns:\n  id: {type: integer}\n");
    let (_, mut config) = project.facts(1);
    config["contract"]["sha256"] = json!("00".repeat(32));
    let tree = Tree { root: project.root().to_owned(), ..Tree::default() };
    let subject = Subject { name: "p/train".into(), kind: SubjectKind::Dataset, digest: DigestSet::default() };
    let target = Target { subject: &subject, root: project.root(), tree: &tree, config: &config };
    let (limits, mask) = (Limits::default(), MaskKey::for_project("p"));
    let facts = extract(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress }, 1);
    let (verdict, text) = judge(&facts, &config, "data/contract");
    assert_eq!(verdict, Verdict::Error);
    assert!(text.contains("changed"), "{text}");
}
