//! `data/poisoning`: do some rows try to teach a model something that is not so?

use gauntlet_core::{
    Check, CheckInfo, Draft, Facts, Figure, FigureKind, Input, Judgement, Judging, Location, RuleInfo, Severity, Stage,
};

use super::{POISONING, rule, suspects};
use crate::config::{DatasetConfig, SideRef};
use crate::poisoning::ExaminedFact;

/// The check.
#[derive(Debug)]
pub(crate) struct PoisoningCheck;

const POISONED: &[&str] = &["OWASP ML02:2023", "OWASP LLM04:2025", "MITRE ATLAS AML.T0020", "NIST AI 100-2 (2025) 2.3"];
const BACKDOOR: &[&str] = &["OWASP ML02:2023", "MITRE ATLAS AML.T0018", "MITRE ATLAS AML.T0020", "CWE-506"];

static RULES: [RuleInfo; 9] = [
    rule(
        "data/poisoning/label-error",
        Severity::Medium,
        "rows whose label is doubtful",
        "look at the rows and correct their labels, or take them out with `gauntlet data poisoning --quarantine DIR`",
        POISONED,
    ),
    rule(
        "data/poisoning/one-way-flow",
        Severity::High,
        "one class relabelled as another",
        "find out who labelled these rows; honest mistakes go both ways",
        POISONED,
    ),
    rule(
        "data/poisoning/split-class",
        Severity::High,
        "part of a class that lies apart",
        "look at the rows of the smaller part; if they share a mark, take them out and find their source",
        BACKDOOR,
    ),
    rule(
        "data/poisoning/image-patch",
        Severity::High,
        "constant patch that comes with a label",
        "look at the images; take those with the patch out and find their source",
        BACKDOOR,
    ),
    rule(
        "data/poisoning/trigger",
        Severity::High,
        "word or value that forces a label",
        "look at the rows; take them out, or remove the word or value from all rows",
        BACKDOOR,
    ),
    rule(
        "data/poisoning/outlier",
        Severity::Medium,
        "values far outside of their column",
        "correct the values or take the rows out; a range in the contract keeps them out for good",
        POISONED,
    ),
    rule(
        "data/poisoning/joint-outlier",
        Severity::Low,
        "rows far outside in several columns",
        "look at the rows: measured wrongly, of another kind, or made up",
        POISONED,
    ),
    rule(
        "data/poisoning/source-shift",
        Severity::Medium,
        "one source differs from all others",
        "find out what happened at this source before its rows are trained on",
        POISONED,
    ),
    rule(
        "data/poisoning/left-out",
        Severity::Info,
        "methods that were not applied",
        "name the label, ids and texts of the dataset, so that every method that fits it can be applied",
        &[],
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: POISONING,
    version: 1,
    stage: Stage::Data,
    title: "label errors, backdoor triggers and outliers",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-poisoning.md"),
};

impl Check for PoisoningCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        if let Some(examined) = suspects::examined(facts, &mut out) {
            suspects::sampled(&examined, &mut out);
            figures(&examined, &mut out);
            let rule = INFO.rule("left-out");
            for (what, rule) in examined.left_out.iter().zip(std::iter::repeat(rule)) {
                out.findings.extend(rule.map(|rule| Draft::new(rule, Location::default(), what.clone()).snippet(what)));
            }
        }
        suspects::judge(&INFO, facts, judging, &mut out);
        out
    }

    /// Embeddings and predictions in files of their own.
    fn inputs(&self, _facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let Ok(config) = DatasetConfig::of(judging.config) else { return Vec::new() };
        let sides = [("embeddings", config.poisoning.embedding_file), ("predictions", config.poisoning.predictions)];
        let input = |(name, side): (&str, Option<SideRef>)| {
            let digest = format!("sha256:{}", side?.sha256).parse().ok()?;
            Some(Input { name: name.to_owned(), digest })
        };
        sides.into_iter().filter_map(input).collect()
    }
}

/// The balance of the label, and the map of outliers.
fn figures(examined: &ExaminedFact, out: &mut Judgement) {
    if examined.balance.len() > 1 {
        let figure = Figure::new("label-balance", "Rows of each class of the label", "class", "rows");
        let (names, rows) = (examined.balance.iter().map(|(n, _)| n.clone()), examined.balance.iter().map(|(_, n)| *n));
        out.figures.push(figure.drawn_as(FigureKind::Ranking).labelled(names).with("rows", rows.map(suspects::number)));
    }
    if let Some(map) = &examined.map {
        let title = "Rows of the sample from their two main directions";
        let figure = Figure::new("outlier-map", title, "first principal direction", "second principal direction");
        let mut figure = figure.drawn_as(FigureKind::Points);
        for (name, dots) in [
            ("rows", &map.ordinary),
            ("far out in one column", &map.single),
            ("far out in several columns", &map.joint),
        ] {
            if !dots.is_empty() {
                figure = figure.with_points(name, dots.iter().copied());
            }
        }
        out.figures.push(figure);
    }
}
