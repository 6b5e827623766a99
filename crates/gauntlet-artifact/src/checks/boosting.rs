//! Whether a boosted-tree model is what its counts and indices say.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::BoostingFact;
use crate::formats::boosting::Problem;

/// `artifact/boosting`
pub(crate) struct Boosting;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::BOOSTING,
    version: 1,
    stage: Stage::Artifact,
    title: "Do the counts and indices of the boosted-tree model hold?",
    rules: &[
        rule!(
            "artifact/boosting/broken-tree",
            Medium,
            "a count, length or index contradicts the model",
            "Do not load the file: the libraries index memory with these numbers. Save the model again.",
            ["CWE-129", "CWE-190", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/boosting/code-in-attribute",
            Medium,
            "a free attribute reads as code",
            "Find out who evaluates the attribute, and remove it.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/boosting/unowned-bytes",
            Medium,
            "bytes behind the model",
            "Find out what the bytes are, then save the model again.",
            ["CWE-912", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-boosting.md"),
};

impl Check for Boosting {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<BoostingFact>(facts, &mut judgement, |location, BoostingFact(facts), judgement| {
            for attribute in facts.code.iter().take(FINDINGS) {
                let message = format!("the attribute `{attribute}` of this {} model reads as code", facts.library);
                let place = location.clone().in_field(attribute);
                judgement.findings.push(super::draft(&INFO, "code-in-attribute", &place, message).snippet(attribute));
            }
            judgement.findings.extend(facts.problems.iter().take(FINDINGS).map(|problem| finding(location, problem)));
            let more = facts.more_problems + facts.problems.len().saturating_sub(FINDINGS) as u64;
            if more > 0 {
                let message = format!("{more} more contradictions");
                judgement.findings.push(super::draft(&INFO, "broken-tree", location, message));
            }
        });
        judgement
    }
}

fn finding(location: &Location, problem: &Problem) -> Draft {
    let tree = |message: String| super::draft(&INFO, "broken-tree", location, message);
    let field = |field: &String, message: String| {
        super::draft(&INFO, "broken-tree", &location.clone().in_field(field), message).snippet(field)
    };
    match problem {
        Problem::Number { field: name, value } => field(name, format!("`{name}` is {value}, which is no usable count")),
        Problem::Length { field: name, expected, found } => {
            field(name, format!("`{name}` has {found} elements; the tree asks for {expected}"))
        }
        Problem::Index { field: name, value, bound } => {
            field(name, format!("`{name}` holds the index {value}; there are {bound}"))
        }
        Problem::PastEnd { offset, stated, available } => {
            tree(format!("a length of {stated} at byte {offset}, where {available} bytes are left"))
        }
        Problem::Broken { offset, what } => {
            tree(format!("the model breaks at byte {offset}: {what}")).severity(Severity::Low)
        }
        Problem::DuplicateKey { key } => tree(format!("the key `{key}` occurs twice")).severity(Severity::Low),
        Problem::Tail { bytes } => {
            super::draft(&INFO, "unowned-bytes", location, format!("{bytes} bytes stand behind the model"))
        }
    }
}
