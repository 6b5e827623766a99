//! `data/leakage`: does training see what testing asks, or a column give the label away?

use gauntlet_core::{Check, CheckInfo, Facts, Input, Judgement, Judging, Metric, RuleInfo, Severity, Stage};

use super::{LEAKAGE, rule, suspects};
use crate::config::DatasetConfig;

/// The check.
#[derive(Debug)]
pub(crate) struct LeakageCheck;

const LEAKED: &[&str] =
    &["EU AI Act Art. 10(3)", "EU AI Act Art. 15(1)", "Kapoor and Narayanan (2023), doi:10.1016/j.patter.2023.100804"];

static RULES: [RuleInfo; 6] = [
    rule(
        "data/leakage/row-overlap",
        Severity::High,
        "rows of a test split that are trained on",
        "take the rows out of one of the splits",
        LEAKED,
    ),
    rule(
        "data/leakage/entity-overlap",
        Severity::High,
        "ids in the training split and in another one",
        "split by id, so that what is known of one in training is not asked again",
        LEAKED,
    ),
    rule(
        "data/leakage/group-overlap",
        Severity::High,
        "groups in the training split and in another one",
        "split by group",
        LEAKED,
    ),
    rule(
        "data/leakage/time-overlap",
        Severity::Medium,
        "test rows older than training rows",
        "split by time, when the model is to foretell what comes; else name no time column",
        LEAKED,
    ),
    rule(
        "data/leakage/target-leak",
        Severity::High,
        "column that gives the label away",
        "take the column out, unless it is known before the label is",
        LEAKED,
    ),
    rule(
        "data/leakage/label-in-name",
        Severity::Medium,
        "column called like the label",
        "look how the column is made; take it out if it is made from the label",
        LEAKED,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: LEAKAGE,
    version: 1,
    stage: Stage::Data,
    title: "test rows that are trained on, columns that hold the label",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-leakage.md"),
};

impl Check for LeakageCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        if let Some(examined) = suspects::examined(facts, &mut out) {
            let splits = if examined.splits { 1.0 } else { 0.0 };
            out.metrics.push(Metric::new("splits-compared", splits, "yes"));
        }
        suspects::judge(&INFO, facts, judging, &mut out);
        out
    }

    /// The dataset that is trained on.
    fn inputs(&self, _facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let train = DatasetConfig::of(judging.config).ok().and_then(|config| config.held_out_from);
        let digest = train.and_then(|train| format!("sha256:{}", train.sha256).parse().ok());
        digest.map(|digest| Input { name: "trained on".to_owned(), digest }).into_iter().collect()
    }
}
