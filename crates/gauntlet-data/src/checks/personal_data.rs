//! `data/personal-data`: which columns hold addresses and numbers of people that the manifest does not declare?

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Location, Metric, RuleInfo, Severity, SkipCode,
    Stage,
};

use super::{PERSONAL_DATA, at_first, facts_of, first_rows, grouped, percent, rule, share};
use crate::facts::{ColumnFact, ManifestFact, PersonalFact, SecretFact};
use crate::manifest::{Class, Manifest};
use crate::personal::{Kind, kind_of_name};

/// The check.
#[derive(Debug)]
pub(crate) struct PersonalDataCheck;

/// Share of the values from which a column is said to hold personal data.
const SHARE: f64 = 0.01;
/// Rows from which it is said whatever the share.
const ROWS: u64 = 100;
/// A small table has few rows for a share to mean something: here so many hits do.
const SMALL_TABLE: u64 = 100;
const SMALL_HITS: u64 = 3;
/// Share of values that are wholly an address or number, from which the values alone are proof.
const OBVIOUS: f64 = 0.5;
/// Of random runs of digits one in ten passes the check digit; of cards all do.
const CARD_PASS: f64 = 0.5;

const REFERENCES: &[&str] = &["CWE-359", "OWASP LLM02:2025", "MITRE ATLAS AML.T0057", "GDPR Art. 5(1)(c)"];

static RULES: [RuleInfo; 6] = [
    rule(
        "data/personal-data/undeclared-column",
        Severity::High,
        "column of personal data that the manifest does not declare",
        "remove, hash or mask the column; if training needs it, declare it in the manifest under `personal_data.columns`",
        REFERENCES,
    ),
    rule(
        "data/personal-data/personal-values",
        Severity::Medium,
        "personal data inside values",
        "remove or mask the values, or declare the column in the manifest under `personal_data.columns`",
        REFERENCES,
    ),
    rule(
        "data/personal-data/untreated-column",
        Severity::High,
        "column that is declared treated and is not",
        "apply the treatment that the manifest declares, or declare `plain`",
        REFERENCES,
    ),
    rule(
        "data/personal-data/misclassified-column",
        Severity::High,
        "column of personal data that is classified lower",
        "classify the column as `personal` or `sensitive` in the manifest under `classification.columns`, or remove the values",
        REFERENCES,
    ),
    rule(
        "data/personal-data/suspicious-name",
        Severity::Info,
        "name of personal data over other values",
        "declare the column and its treatment in the manifest under `personal_data.columns`",
        REFERENCES,
    ),
    rule(
        "data/personal-data/declared-column",
        Severity::Info,
        "declared personal data",
        "nothing to do; the policy decides what declared columns may be used for",
        REFERENCES,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: PERSONAL_DATA,
    version: 2,
    stage: Stage::Data,
    title: "addresses and numbers of people in columns",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-personal-data.md"),
};

impl Check for PersonalDataCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let manifest: Option<Manifest> =
            facts_of::<ManifestFact>(facts, &mut out).into_iter().find_map(|(_, fact)| fact.0.content().cloned());
        let declared = manifest.as_ref().map(|m| m.personal_data.columns.clone()).unwrap_or_default();
        let columns: Vec<ColumnFact> = facts_of(facts, &mut out).into_iter().map(|(_, fact)| fact).collect();
        let mut spoken = BTreeSet::new();
        for (_, fact) in facts_of::<PersonalFact>(facts, &mut out) {
            if judge(&fact, declared.get(&fact.column).map(String::as_str), &mut out) {
                misclassified(&fact, manifest.as_ref(), &mut out);
                spoken.insert((fact.column.clone(), fact.kind));
            }
        }
        classes(&columns, manifest.as_ref(), &spoken, facts, &mut out);
        for column in &columns {
            names(column, &declared, &spoken, &mut out);
        }
        for name in declared.keys().filter(|name| !columns.is_empty() && !columns.iter().any(|c| c.name == **name)) {
            let what = format!("the manifest declares the column `{name}`, which the table does not have");
            out.coverage.skip("", None, SkipCode::Ignored, what);
        }
        out
    }
}

fn add(out: &mut Judgement, name: &str, place: Location, message: String, column: &str, confidence: Confidence) {
    if let Some(rule) = INFO.rule(name) {
        out.findings.push(Draft::new(rule, place, message).snippet(column).confidence(confidence));
    }
}

/// Judges what was seen in one column; true when it amounts to a column of that kind.
fn judge(fact: &PersonalFact, treatment: Option<&str>, out: &mut Judgement) -> bool {
    let hit_share = share(fact.hits, fact.values);
    out.metrics.push(Metric::new(fact.kind.metric(), hit_share, "share").field(&fact.column));
    let small = fact.values < SMALL_TABLE && fact.hits >= SMALL_HITS;
    let many = fact.hits >= ROWS || (fact.values >= SMALL_TABLE && hit_share >= SHARE) || small;
    let named = kind_of_name(&fact.column) == Some(fact.kind);
    if !(many || named && hit_share >= SHARE) || is_id(fact) {
        return false;
    }
    let whole = share(fact.whole, fact.values);
    let conclusive = named || (whole >= OBVIOUS && fact.kind.proves_itself());
    let place = at_first(&fact.first, &fact.column);
    let seen = format!(
        "`{}` holds {} in {} of {} values ({}){}",
        fact.column,
        fact.kind.plural(),
        grouped(fact.hits),
        grouped(fact.values),
        percent(hit_share),
        first_rows(&fact.first)
    );
    match treatment {
        Some("plain") => add(
            out,
            "declared-column",
            place,
            format!("{seen}; the manifest declares it"),
            &fact.column,
            Confidence::High,
        ),
        Some(treatment) => {
            let message =
                format!("{seen}; the manifest declares it `{}`", treatment.chars().take(40).collect::<String>());
            add(out, "untreated-column", place, message, &fact.column, Confidence::High);
        }
        None if conclusive => add(out, "undeclared-column", place, seen, &fact.column, Confidence::High),
        None => add(out, "personal-values", place, seen, &fact.column, Confidence::Medium),
    }
    true
}

/// A column of long digit runs of which few pass as cards is a column of ids.
fn is_id(fact: &PersonalFact) -> bool {
    fact.kind == Kind::Card
        && share(fact.digit_runs, fact.values) >= 0.9
        && share(fact.hits, fact.digit_runs) < CARD_PASS
}

/// A class that the values contradict.
fn misclassified(fact: &PersonalFact, manifest: Option<&Manifest>, out: &mut Judgement) {
    let Some(class) = manifest.and_then(|m| m.classification.columns.get(&fact.column)) else { return };
    if *class < Class::Personal {
        let message = format!(
            "`{}` holds {} and the manifest classifies it as {}",
            fact.column,
            fact.kind.plural(),
            class.as_str()
        );
        add(out, "misclassified-column", at_first(&fact.first, &fact.column), message, &fact.column, Confidence::High);
    }
}

/// The class of each column as a number that policies compare: what the manifest says, or more where the values say more.
fn classes(
    columns: &[ColumnFact],
    manifest: Option<&Manifest>,
    spoken: &BTreeSet<(String, Kind)>,
    facts: &Facts,
    out: &mut Judgement,
) {
    let secret: BTreeSet<String> =
        facts_of::<SecretFact>(facts, out).into_iter().filter(|(_, f)| f.proven).map(|(_, f)| f.column).collect();
    for column in columns {
        let stated = manifest.and_then(|m| m.class_of(&column.name));
        let personal = spoken.iter().any(|(name, _)| *name == column.name).then_some(Class::Personal);
        let secret = secret.contains(&column.name).then_some(Class::Secret);
        if let Some(class) = stated.max(personal).max(secret) {
            let metric = Metric::new("column-class", f64::from(class.rank()), "class");
            out.metrics.push(metric.field(&column.name));
        }
    }
}

fn names(
    column: &ColumnFact,
    declared: &BTreeMap<String, String>,
    spoken: &BTreeSet<(String, Kind)>,
    out: &mut Judgement,
) {
    let place = Location::default().in_field(&column.name);
    if let Some(treatment) = declared.get(&column.name) {
        if !spoken.iter().any(|(name, _)| *name == column.name) {
            let treatment: String = treatment.chars().take(40).collect();
            let message = format!("the manifest declares `{}` as personal data ({treatment})", column.name);
            add(out, "declared-column", place, message, &column.name, Confidence::High);
        }
        return;
    }
    let Some(kind) = kind_of_name(&column.name) else { return };
    if column.searched && !spoken.contains(&(column.name.clone(), kind)) {
        let message =
            format!("`{}` is called like a column of {}; its values do not look like any", column.name, kind.plural());
        add(out, "suspicious-name", place, message, &column.name, Confidence::Low);
    }
}
