//! Which facts are believed, and what is said of those that are not. The gate is one of the test's own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_core::{
    Check, CheckInfo, Context, Coverage, Digest, DigestSet, Draft, Extractor, Fact, FactRow, Facts, Gate, ImportRow,
    Judgement, Judging, Limits, Location, Relation, Report, RuleInfo, Severity, SkipCode, Skipped, Stage, Subject,
    SubjectKind, Target, canonical,
};
use gauntlet_hunt::{
    Answers, Catalogue, Form, HuntError, Project, QueryLimits, Question, Rows, Silent, Source, Stored, ask, encode,
    query,
};
use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Ledger, Options, Place};
use gauntlet_trust::keys::{KeyKind, SigningKey, VerifyingKey};
use gauntlet_trust::statement::{TEST_RESULT, test_result};
use jiff::Timestamp;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const VERSION: u32 = 2;

static RULE: RuleInfo = RuleInfo {
    id: "test/names/bad-name",
    severity: Severity::High,
    title: "a bad name",
    fix: "rename it",
    references: &[],
    since: "0.1.0",
    renamed_from: &["test/names/old-name"],
    retired: None,
};

static INFO: CheckInfo =
    CheckInfo { id: "test/names", version: 1, stage: Stage::Artifact, title: "names", rules: &[RULE], page: "" };

#[derive(Debug, Serialize, Deserialize)]
struct Name {
    name: String,
}

impl Fact for Name {
    const KIND: &'static str = "name";
}

struct Names;

impl Extractor for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn extract(&self, _target: &Target<'_>, _context: &Context<'_>) -> Facts {
        Facts::new("names", VERSION)
    }

    fn relations(&self, row: &FactRow) -> Result<Vec<Relation>, serde_json::Error> {
        let name: Name = row.read()?;
        Ok(vec![Relation::Import(ImportRow { name: name.name, count: 1, ..ImportRow::default() })])
    }
}

impl Check for Names {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let bad = judging.config.get("bad").and_then(Value::as_str).unwrap_or("bad");
        for fact in facts.of::<Name>() {
            match fact {
                Ok((location, fact)) if fact.name == bad => {
                    judgement.findings.push(Draft::new(&RULE, location.clone(), "a bad name"));
                }
                Ok(_) => {}
                Err(error) => judgement.coverage.skip("", None, SkipCode::Malformed, error.to_string()),
            }
        }
        judgement
    }
}

static GATE: Gate = Gate { extractor: &Names, checks: &[&Names] };
static GATES: &[&Gate] = &[&GATE];

struct Sandbox {
    dir: tempfile::TempDir,
    key: SigningKey,
}

impl Sandbox {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: SigningKey::generate(KeyKind::Ed25519).unwrap() }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn ledger(&self) -> Ledger {
        let place = Place { log: self.path("ledger"), evidence: self.path("evidence"), config: self.path("config") };
        Ledger::open_or_create(&place, &Options::default()).unwrap()
    }

    /// Puts facts into the folder and gives where they lie.
    fn store(&self, subject: &Subject, bytes: &[u8], ending: &str) -> (Digest, PathBuf) {
        let digest = Digest::sha256(bytes);
        let folder = self.path("facts").join(subject.digest.primary().unwrap().hex());
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}.{ending}", digest.hex()));
        std::fs::write(&path, bytes).unwrap();
        (digest, path)
    }

    /// Facts with their evidence, as a run stores them.
    fn admit(&self, subject: &Subject, facts: &Facts, config: &Value) -> PathBuf {
        let bytes = encode(&GATE, subject, config, &[], facts).unwrap();
        let (digest, path) = self.store(subject, &bytes, "parquet");
        self.sign(subject, facts, &digest, config, &self.key);
        path
    }

    fn sign(&self, subject: &Subject, facts: &Facts, digest: &Digest, config: &Value, key: &SigningKey) {
        let config_digest = canonical::digest(&json!({"config": config, "limits": Limits::default(),
            "extractor": facts.extractor, "extractor_version": facts.version}))
        .unwrap();
        let coverage = Coverage::default();
        let report = Report {
            check: INFO.id.to_owned(),
            check_version: 1,
            config_digest,
            subject: subject.clone(),
            inputs: Vec::new(),
            verdict: Report::judge(&[], &[], &coverage),
            findings: Vec::new(),
            metrics: Vec::new(),
            coverage,
            figures: Vec::new(),
        };
        let statement = test_result(&report, &Digest::sha256(b"report"), Some(digest), true).unwrap();
        let envelope = statement.sign(&[key]).unwrap().to_json();
        let record = Record {
            envelope: EnvelopeDigest(Hash::of(&envelope)),
            key: key.key_id(),
            kind: "report".to_owned(),
            predicate_type: TEST_RESULT.to_owned(),
            subject: subject.digest.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            time: "2026-01-02T03:04:05Z".to_owned(),
        };
        self.ledger().admit(&[(envelope.as_slice(), record)]).unwrap();
    }

    fn catalogue(&self) -> Catalogue {
        let keys: Vec<VerifyingKey> = vec![self.key.verifying_key().clone()];
        let ledger = self.ledger();
        let facts = self.path("facts");
        std::fs::create_dir_all(&facts).unwrap();
        let project = Project { name: "here".to_owned(), facts, ledger: &ledger, keys: &keys };
        Catalogue::read(&[Source::Project(project)], GATES, &Silent).unwrap()
    }

    fn ask(&self) -> Answers {
        answers(&self.catalogue())
    }

    fn sql(&self, sql: &str) -> Result<Rows, HuntError> {
        query(sql, &Arc::new(self.catalogue()), GATES, &QueryLimits { threads: 2, ..QueryLimits::default() })
    }
}

fn answers(catalogue: &Catalogue) -> Answers {
    let question = Question::new(&["test/names/old-name".to_owned()], GATES).unwrap();
    ask(&question, catalogue, GATES, Timestamp::UNIX_EPOCH, &Silent)
}

fn subject(name: &str) -> Subject {
    Subject { name: name.to_owned(), kind: SubjectKind::Model, digest: DigestSet::sha256_of(name.as_bytes()) }
}

fn facts(version: u32, names: &[&str]) -> Facts {
    let mut facts = Facts::new("names", version);
    facts.coverage_mut(INFO.id).looked_at = 1;
    for name in names {
        facts.push(INFO.id, Location::file(Path::new("a.bin")), &Name { name: (*name).to_owned() });
    }
    facts
}

fn found(answers: &Answers) -> Vec<&str> {
    answers.subjects.iter().map(|s| s.name.as_str()).collect()
}

fn whys(answers: &Answers) -> Vec<&str> {
    answers.unanswered.iter().map(|one| one.why.as_str()).collect()
}

#[test]
fn a_rule_finds_what_is_stored_under_the_configuration_of_then() {
    let sandbox = Sandbox::new();
    sandbox.admit(&subject("m/one"), &facts(VERSION, &["good", "bad"]), &json!({}));
    sandbox.admit(&subject("m/two"), &facts(VERSION, &["good"]), &json!({}));
    sandbox.admit(&subject("m/three"), &facts(VERSION, &["good"]), &json!({"bad": "good"}));
    let answers = sandbox.ask();
    assert_eq!(found(&answers), ["m/one", "m/three"]);
    assert_eq!((whys(&answers), answers.judged), (vec![], 3));
    let one = &answers.subjects[0];
    assert_eq!((one.findings[0].rule.as_str(), one.admitted, one.ledger_index), (RULE.id, true, Some(0)));
    assert_eq!((one.kind, one.time.as_deref()), (Some("model"), Some("2026-01-02T03:04:05Z")));
}

#[test]
fn changed_and_missing_facts_are_unanswered_never_clean() {
    let sandbox = Sandbox::new();
    let one = sandbox.admit(&subject("m/one"), &facts(VERSION, &["bad"]), &json!({}));
    let two = sandbox.admit(&subject("m/two"), &facts(VERSION, &["bad"]), &json!({}));
    std::fs::write(&one, b"PAR1").unwrap();
    std::fs::remove_file(two).unwrap();
    let answers = sandbox.ask();
    assert_eq!(found(&answers), [""; 0]);
    let whys = whys(&answers);
    assert!(whys[0].contains("was changed") && whys[0].contains(&*one.to_string_lossy()), "{whys:?}");
    assert!(whys[1].contains("are gone"), "{whys:?}");
    let rows = sandbox.sql("select name from imports").unwrap();
    assert_eq!((rows.count(), rows.unanswered.len()), (0, 2));
}

#[test]
fn facts_of_another_subject_do_not_pass_under_a_signed_name() {
    let sandbox = Sandbox::new();
    let (one, two) = (subject("m/one"), subject("m/two"));
    let stored = facts(VERSION, &["good"]);
    let bytes = encode(&GATE, &one, &json!({}), &[], &stored).unwrap();
    let (digest, _) = sandbox.store(&two, &bytes, "parquet");
    sandbox.sign(&two, &stored, &digest, &json!({}), &sandbox.key);
    assert!(whys(&sandbox.ask())[0].contains("another subject"));
}

#[test]
fn old_facts_count_only_until_later_ones_are_there() {
    let sandbox = Sandbox::new();
    let one = subject("m/one");
    sandbox.admit(&one, &facts(VERSION - 1, &["bad"]), &json!({}));
    let answers = sandbox.ask();
    assert_eq!(found(&answers), [""; 0]);
    assert!(whys(&answers)[0].contains("extracted by `names` 1, this program has 2"), "{:?}", whys(&answers));
    let rows = sandbox.sql("select name from imports").unwrap();
    assert_eq!((rows.count(), rows.unanswered.len()), (1, 1), "rows of old facts are shown, and said to be old");

    sandbox.admit(&one, &facts(VERSION, &["bad"]), &json!({}));
    let catalogue = sandbox.catalogue();
    assert_eq!(catalogue.superseded, 1);
    let answers = self::answers(&catalogue);
    assert_eq!((found(&answers), whys(&answers)), (vec!["m/one"], vec![]));
    assert_eq!(sandbox.sql("select name from imports").unwrap().count(), 1);
}

#[test]
fn json_of_earlier_releases_is_read_where_its_configuration_is_proven() {
    let sandbox = Sandbox::new();
    let (one, two) = (subject("m/one"), subject("m/two"));
    let stored = facts(VERSION, &["bad"]);
    let bytes = canonical::to_vec(&stored).unwrap();
    for (subject, config) in [(&one, json!({})), (&two, json!({"bad": "worse"}))] {
        let (digest, _) = sandbox.store(subject, &bytes, "json");
        sandbox.sign(subject, &stored, &digest, &config, &sandbox.key);
    }
    let answers = sandbox.ask();
    assert_eq!(found(&answers), ["m/one"]);
    assert!(whys(&answers)[0].contains("without the configuration"), "{:?}", whys(&answers));
    assert_eq!(sandbox.sql("select name from imports where name = 'bad'").unwrap().count(), 2);
}

#[test]
fn what_no_known_key_signed_is_unanswered_and_what_nobody_signed_is_not_asked() {
    let sandbox = Sandbox::new();
    let stored = facts(VERSION, &["bad"]);
    let foreign = SigningKey::generate(KeyKind::Ed25519).unwrap();
    let bytes = encode(&GATE, &subject("m/one"), &json!({}), &[], &stored).unwrap();
    let (digest, first) = sandbox.store(&subject("m/one"), &bytes, "parquet");
    sandbox.sign(&subject("m/one"), &stored, &digest, &json!({}), &foreign);
    let bytes = encode(&GATE, &subject("m/two"), &json!({}), &[], &stored).unwrap();
    let (_, second) = sandbox.store(&subject("m/two"), &bytes, "parquet");

    let catalogue = sandbox.catalogue();
    let mut expected = vec![first, second];
    expected.sort();
    assert_eq!(catalogue.not_admitted, expected);
    let answers = answers(&catalogue);
    assert_eq!(found(&answers), [""; 0]);
    assert!(whys(&answers)[0].contains("not known here"), "{:?}", whys(&answers));

    // Named as a folder of facts, both are asked, and said to be admitted by nobody.
    let folder = Source::Folder(sandbox.path("facts"));
    let catalogue = Catalogue::read(&[folder], GATES, &Silent).unwrap();
    let answers = self::answers(&catalogue);
    assert_eq!(found(&answers), ["m/one", "m/two"]);
    assert!(answers.subjects.iter().all(|s| !s.admitted));
}

#[test]
fn gaps_of_then_are_gaps_of_now() {
    let sandbox = Sandbox::new();
    let one = subject("m/one");
    let mut stored = facts(VERSION, &["bad"]);
    stored.coverage_mut(INFO.id).skip("b.bin", None, SkipCode::Encrypted, "");
    let unread = [Skipped { path: "c.bin".into(), member: None, reason: "unreadable: denied".parse().unwrap() }];
    let bytes = encode(&GATE, &one, &json!({}), &unread, &stored).unwrap();
    let (digest, _) = sandbox.store(&one, &bytes, "parquet");
    sandbox.sign(&one, &stored, &digest, &json!({}), &sandbox.key);
    let answers = sandbox.ask();
    assert_eq!(found(&answers), ["m/one"]);
    assert_eq!(whys(&answers), ["test/names could not look at b.bin (encrypted), and 1 more"]);
    let rows = sandbox.sql("select path, reason from coverage where reason is not null order by path").unwrap();
    let values = rows.values().unwrap();
    assert_eq!(values, [[json!("b.bin"), json!("encrypted")], [json!("c.bin"), json!("unreadable: denied")]]);
}

#[test]
fn facts_of_another_shape_are_unanswered() {
    let sandbox = Sandbox::new();
    let mut stored = facts(VERSION, &["bad"]);
    let row = FactRow { kind: "name".into(), location: Location::default(), fact: json!({"of": "tomorrow"}) };
    stored.rows.push(row);
    sandbox.admit(&subject("m/one"), &stored, &json!({}));
    assert_eq!(whys(&sandbox.ask()).len(), 1);
    let rows = sandbox.sql("select name from imports").unwrap();
    assert_eq!((rows.count(), rows.unanswered.len()), (1, 1));
    assert_eq!(sandbox.sql("select fact from facts").unwrap().unanswered.len(), 0);
}

#[test]
fn queries_only_read_and_end_at_their_limits() {
    let sandbox = Sandbox::new();
    for i in 0..30 {
        sandbox.admit(&subject(&format!("m/{i}")), &facts(VERSION, &["a", "b", "c"]), &json!({}));
    }
    let count = sandbox.sql("select count(*) as n, count(distinct subject) as s from imports").unwrap();
    assert_eq!(count.values().unwrap(), [[json!(90), json!(30)]]);
    let joined = "select s.subject_name, i.name from imports i join subjects s on s.subject = i.subject \
                  where i.name = 'b' order by 1 limit 2";
    let values = sandbox.sql(joined).unwrap().values().unwrap();
    assert_eq!(values, [[json!("m/0"), json!("b")], [json!("m/1"), json!("b")]]);
    assert_eq!(sandbox.sql("select fact_at(fact, '/name') as n from facts limit 1").unwrap().columns(), ["n"]);
    for refused in [
        "create table t as select 1",
        "insert into subjects select * from subjects",
        "copy (select 1) to 'out.csv'",
        "set datafusion.execution.batch_size = 1",
        "create external table t stored as csv location '/etc/passwd'",
        "select * from 'data.csv'",
        "select 1; select 2",
        "select nothing from imports",
        "not sql",
    ] {
        assert!(matches!(sandbox.sql(refused), Err(HuntError::Query(_))), "{refused}");
    }
    let catalogue = Arc::new(sandbox.catalogue());
    let few = QueryLimits { rows: 10, threads: 2, ..QueryLimits::default() };
    let rows = query("select name from imports", &catalogue, GATES, &few).unwrap();
    assert_eq!((rows.count(), rows.cut), (10, true));
    let little = QueryLimits { memory: 1 << 20, disk: 1 << 20, threads: 2, ..QueryLimits::default() };
    let greedy = "select a.value, count(*) from generate_series(1, 3000000) a group by a.value order by 2 limit 1";
    assert!(matches!(query(greedy, &catalogue, GATES, &little), Err(HuntError::Limit(_))));
}

#[test]
fn unknown_rules_are_refused_with_a_hint() {
    let error = Question::new(&["test/names/bad-nam".to_owned()], GATES).err().unwrap();
    assert!(error.to_string().contains("did you mean `test/names/bad-name`"), "{error}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn facts_survive_their_file(
        rows in proptest::collection::vec(("\\PC{1,8}", proptest::option::of("\\PC{0,8}"), proptest::option::of(any::<u64>()), value()), 0..12),
        skipped in proptest::collection::vec(("\\PC{0,8}", proptest::option::of("\\PC{0,8}"), "\\PC{0,12}"), 0..4),
        looked_at in any::<u64>(),
        version in any::<u32>(),
    ) {
        let mut facts = Facts::new("names", version);
        facts.coverage_mut("test/names").looked_at = looked_at;
        facts.coverage_mut("test/other");
        for (kind, member, offset, fact) in rows {
            let location = Location { member, offset, ..Location::default() };
            facts.rows.push(FactRow { kind, location, fact });
        }
        let skipped: Vec<Skipped> = skipped
            .into_iter()
            .map(|(path, member, reason)| Skipped { path, member, reason: reason.parse().unwrap() })
            .collect();
        facts.coverage_mut("test/names").skipped.clone_from(&skipped);
        let subject = subject("m/one");
        let config = json!({"a": 1.5});
        let bytes = encode(&GATE, &subject, &config, &skipped, &facts).unwrap();
        prop_assert_eq!(&encode(&GATE, &subject, &config, &skipped, &facts).unwrap(), &bytes);
        let stored = Stored::read(bytes, Form::Parquet).unwrap();
        let checks = Some(vec![INFO.id.to_owned()]);
        prop_assert_eq!(stored, Stored { facts, subject: Some(subject), config: Some(config), checks, unread: skipped });
    }
}
