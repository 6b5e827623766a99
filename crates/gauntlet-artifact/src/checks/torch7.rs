//! Whether a Torch7 file holds functions, which are code.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::Torch7Fact;

/// `artifact/torch7`
pub(crate) struct Torch7;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::TORCH7,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the Torch7 file hold tensors and layers, or functions as well?",
    rules: &[
        rule!(
            "artifact/torch7/lua-function",
            High,
            "the file holds Lua byte code",
            "Do not load the file; convert the tensors with a reader that refuses functions.",
            ["CWE-502", "CWE-94", "OWASP ML06:2023", "AML.T0010.003", "AML.T0018.002"]
        ),
        rule!(
            "artifact/torch7/unknown-class",
            Low,
            "an object of a class that is not part of Torch",
            "Review the package that brings the class: its `read` runs when the file is loaded.",
            ["CWE-502", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-torch7.md"),
};

impl Check for Torch7 {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<Torch7Fact>(facts, &mut judgement, |location, fact, judgement| torch7(location, &fact, judgement));
        judgement
    }
}

fn torch7(location: &Location, Torch7Fact(facts): &Torch7Fact, judgement: &mut Judgement) {
    for function in facts.functions.iter().take(FINDINGS) {
        let kind = if function.code.is_empty() { "function" } else { &function.code };
        let reaches = match function.reaches.as_slice() {
            [] => String::new(),
            names => format!(", which names `{}`", names.join("`, `")),
        };
        let place = Location { offset: Some(function.offset), ..location.clone() };
        let message = format!("a {kind} of {} bytes{reaches}", function.size);
        // `require` alone is what every module does.
        let strong = function.reaches.iter().any(|name| name != "require");
        let severity = if strong { Severity::Critical } else { Severity::High };
        let draft = super::draft(&INFO, "lua-function", &place, message.clone());
        judgement.findings.push(draft.severity(severity).snippet(message));
    }
    let known = ["torch.", "nn.", "cudnn.", "nngraph.", "cunn.", "optim.", "image."];
    let unknown = facts.classes.keys().filter(|class| !known.iter().any(|prefix| class.starts_with(prefix)));
    for class in unknown.take(FINDINGS) {
        let draft = super::draft(&INFO, "unknown-class", location, format!("an object of the class `{class}`"));
        judgement.findings.push(draft.snippet(class));
    }
}
