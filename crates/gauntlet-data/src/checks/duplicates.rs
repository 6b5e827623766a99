//! `data/duplicates`: do rows repeat or contradict each other?

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Metric, RuleInfo, Severity, Stage};

use super::{DUPLICATES, rule, suspects};

/// The check.
#[derive(Debug)]
pub(crate) struct DuplicatesCheck;

const REPEATED: &[&str] = &["CWE-20", "EU AI Act Art. 10(3)", "MITRE ATLAS AML.T0020"];

static RULES: [RuleInfo; 3] = [
    rule(
        "data/duplicates/exact-duplicate",
        Severity::Medium,
        "rows that repeat an earlier row",
        "take the repeated rows out; they weigh more in training and are memorised",
        REPEATED,
    ),
    rule(
        "data/duplicates/conflicting-label",
        Severity::Medium,
        "equal rows with different labels",
        "find out which label is right; one of them teaches the model something wrong",
        REPEATED,
    ),
    rule(
        "data/duplicates/near-duplicate",
        Severity::Low,
        "rows that are nearly the same",
        "look whether they describe one thing; take the later ones out if so",
        REPEATED,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: DUPLICATES,
    version: 1,
    stage: Stage::Data,
    title: "rows that repeat, nearly repeat or contradict others",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-duplicates.md"),
};

impl Check for DuplicatesCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        if let Some(examined) = suspects::examined(facts, &mut out) {
            out.metrics.push(Metric::new("bands", suspects::number(examined.bands), "bands"));
        }
        suspects::judge(&INFO, facts, judging, &mut out);
        out
    }
}
