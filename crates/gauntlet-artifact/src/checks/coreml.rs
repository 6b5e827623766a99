//! What a Core ML model wants from the app that loads it, and where it looks for files.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::CoremlFact;
use crate::formats::coreml::CoremlFacts;

/// `artifact/coreml`
pub(crate) struct Coreml;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::COREML,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the Core ML model stay inside of its own package?",
    rules: &[
        rule!(
            "artifact/coreml/custom-class",
            Low,
            "the model runs a class of the app that loads it",
            "Find out which app or library brings the class, and whether you trust it.",
            ["CWE-470", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/coreml/outside-file",
            High,
            "the model takes weights or a further model from elsewhere",
            "Export the model again as one package.",
            ["CWE-22", "CWE-829", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-coreml.md"),
};

impl Check for Coreml {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<CoremlFact>(facts, &mut judgement, |location, CoremlFact(facts), judgement| {
            model(location, &facts, judgement);
        });
        judgement
    }
}

fn model(location: &Location, facts: &CoremlFacts, judgement: &mut Judgement) {
    let layers =
        facts.layers.iter().map(|(layer, class)| (class, format!("the layer `{layer}` is the class `{class}`")));
    let classes = facts.classes.iter().map(|class| (class, format!("the model is the class `{class}`")));
    for (class, message) in layers.chain(classes).take(FINDINGS) {
        judgement.findings.push(
            super::draft(&INFO, "custom-class", location, format!("{message} of the app that loads it")).snippet(class),
        );
    }
    let more = (facts.layers.len() + facts.classes.len()).saturating_sub(FINDINGS) as u64;
    if more > 0 {
        let message = format!("{} more", plural(more, "class", "classes"));
        judgement.findings.push(super::draft(&INFO, "custom-class", location, message));
    }
    for file in facts.files.iter().filter(|file| is_outside(file)).take(FINDINGS) {
        let message = format!("weights are taken from `{file}`, outside of the package");
        judgement.findings.push(super::draft(&INFO, "outside-file", location, message).snippet(file));
    }
    for link in facts.links.iter().take(FINDINGS) {
        let inside = !is_outside(link);
        let message = format!("a further model is looked for at `{link}`");
        let draft = super::draft(&INFO, "outside-file", location, message).snippet(link);
        judgement.findings.push(if inside { draft.severity(Severity::Low) } else { draft });
    }
}

/// `@model_path` is the package's own folder.
fn is_outside(path: &str) -> bool {
    let inner = path.strip_prefix("@model_path").unwrap_or(path);
    let absolute = inner.len() == path.len() && (path.starts_with(['/', '\\', '~']) || path.contains("://"));
    absolute || inner.split(['/', '\\', ':']).any(|part| part == "..")
}
