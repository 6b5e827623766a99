//! Whether an R file would run code when it is loaded or touched.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{each, plural, rule};
use crate::facts::RFact;
use crate::formats::rdata::{Promise, reaches_out, runs_commands};

/// `artifact/r`
pub(crate) struct R;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::R,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the R file hold data and fitted models, or code that runs when it is touched?",
    rules: &[
        rule!(
            "artifact/r/promise",
            High,
            "a value is a promise: code that runs when the value is touched",
            "Do not load the file; write the model again with its values computed, or as numbers only.",
            ["CWE-502", "CVE-2024-27322", "OWASP ML06:2023", "AML.T0010.003", "AML.T0018.002"]
        ),
        rule!(
            "artifact/r/command",
            Medium,
            "code in the file calls a function that runs commands, loads code or removes files",
            "Read the function before it is called; a fitted model has no reason to start programs.",
            ["CWE-506", "CWE-94", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/r/active-binding",
            Low,
            "reading a variable would call a function",
            "Review the function, or write the values instead.",
            ["CWE-502", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/r/external-pointer",
            Low,
            "the file holds pointers into memory of the process that wrote it",
            "Write the model with the function of its package; pointers mean nothing to another process.",
            ["CWE-822", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-r.md"),
};

impl Check for R {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<RFact>(facts, &mut judgement, |location, fact, judgement| r(location, &fact, judgement));
        judgement
    }
}

fn r(location: &Location, RFact(facts): &RFact, judgement: &mut Judgement) {
    let mut push = |location: &Location, rule, severity, message: String| {
        let draft = super::draft(&INFO, rule, location, message.clone());
        judgement.findings.push(draft.severity(severity).snippet(message));
    };
    for promise in &facts.promises {
        let place = Location { offset: Some(promise.offset), ..location.clone() };
        if let Some(severity) = weight(promise) {
            let calls = match promise.calls.as_slice() {
                [] => "calls nothing by name".to_owned(),
                [first] => format!("calls `{first}`"),
                [first, ..] => format!("calls `{first}` and others"),
            };
            push(&place, "promise", severity, format!("a promise {calls} when its value is touched"));
        }
    }
    let kept = facts.promises.len() as u64;
    if facts.promise_count > kept {
        let more = plural(facts.promise_count - kept, "more promise", "more promises");
        push(location, "promise", Severity::Medium, format!("{more} than are looked into"));
    }
    let in_promises = |name: &str| facts.promises.iter().any(|p| p.pending && p.calls.iter().any(|call| call == name));
    for (name, n) in facts.calls.iter().filter(|(name, _)| runs_commands(name) && !in_promises(name)) {
        let times = plural(*n, "call", "calls");
        push(location, "command", Severity::Medium, format!("{times} of `{name}` in functions of the file"));
    }
    if facts.active_bindings > 0 {
        let n = plural(facts.active_bindings, "variable is", "variables are");
        push(location, "active-binding", Severity::Low, format!("{n} computed when read"));
    }
    if let Some(n) = facts.kinds.get("external-pointer") {
        push(location, "external-pointer", Severity::Low, plural(*n, "pointer", "pointers"));
    }
}

/// R leaves promises behind in environments of functions: with their value, or as arguments that nothing asked for.
/// Data have none.
fn weight(promise: &Promise) -> Option<Severity> {
    let commands = promise.calls.iter().any(|name| runs_commands(name));
    let reaches = promise.calls.iter().any(|name| reaches_out(name));
    // What is called is a text that is code only when it runs.
    let text = ["parse", "str2lang", "str2expression", "source", "sys.source", "unserialize", "readRDS", "load"];
    let hides = promise.calls.iter().any(|name| text.contains(&name.as_str()));
    match (promise.pending, promise.in_environment) {
        (true, _) if commands => Some(Severity::Critical),
        (true, false) => Some(Severity::High),
        (true, true) if hides => Some(Severity::High),
        (true, true) if reaches => Some(Severity::Low),
        (false, false) => Some(if commands { Severity::High } else { Severity::Medium }),
        _ => None,
    }
}
