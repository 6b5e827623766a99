//! What Python code inside a model does when it is imported, and what it could do when it is called.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::{CodeCall, CodeFact};
use crate::rules::named::{self, CodeRules};

/// `artifact/code`
pub(crate) struct Code;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::CODE,
    version: 1,
    stage: Stage::Artifact,
    title: "What does Python code inside the model do when it is loaded?",
    rules: &[
        rule!(
            "artifact/code/runs-on-import",
            High,
            "importing the module runs commands or code, or reaches files and machines",
            "Do not load the model with code enabled (`trust_remote_code`, custom handlers); ask its author what the call is for.",
            ["CWE-506", "CWE-94", "OWASP ML06:2023", "AML.T0011.000", "AML.T0018.002"]
        ),
        rule!(
            "artifact/code/decoded-code",
            Critical,
            "code is run that was decoded or downloaded just before",
            "Do not load the model: the code hides from readers.",
            ["CWE-506", "CWE-95", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/code/computed-callee",
            Medium,
            "what is called is put together while the module is imported",
            "Read what the name becomes before loading the model.",
            ["CWE-470", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/code/dangerous-call",
            Low,
            "a function of the model runs commands or code, or reaches other machines",
            "Read the function before loading the model with code enabled.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0018.002"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-code.md"),
};

impl Check for Code {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(rules) = super::usable(named::code(), &mut judgement) else { return judgement };
        each::<CodeFact>(facts, &mut judgement, |location, fact, judgement| {
            let mut found: Vec<_> = fact.calls.iter().filter_map(|call| finding(location, call, rules)).collect();
            found.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
            let more = found.len().saturating_sub(FINDINGS);
            judgement.findings.extend(found.into_iter().take(FINDINGS).map(|(_, draft)| draft));
            if fact.more > 0 || more > 0 {
                let path = location.path.clone().unwrap_or_default();
                let detail = format!("{} not judged", plural(fact.more + more as u64, "call", "calls"));
                judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
            }
        });
        judgement
    }
}

fn finding(location: &Location, call: &CodeCall, rules: &CodeRules) -> Option<(Severity, Draft)> {
    let place = location.clone().at_line(call.line, None);
    let make = |rule: &str, severity: Severity, name: &str, message: String| {
        (severity, super::draft(&INFO, rule, &place, message).severity(severity).snippet(name))
    };
    let when = if call.at_import { "importing the module calls" } else { "a function calls" };
    for name in &call.names {
        let Some((category, harm)) = rules.category(name) else { continue };
        let decoded = call.made_of.iter().find(|callee| rules.decodes(callee));
        if let Some(decoder) = decoded.filter(|_| category == "code") {
            let message = format!("{when} `{name}` with what `{decoder}` yields");
            return Some(make("decoded-code", Severity::Critical, name, message));
        }
        let given = call.arguments.join(", ");
        let message = format!("{when} `{name}`({given}), which {}", harm.what);
        let (rule, severity) = if call.at_import {
            let severity = match category {
                "command" => Severity::Critical,
                "code" | "network" => Severity::High,
                _ => Severity::Medium,
            };
            ("runs-on-import", severity)
        } else {
            let severity = if matches!(category, "command" | "code") { Severity::Medium } else { Severity::Low };
            ("dangerous-call", severity)
        };
        return Some(make(rule, severity, name, message));
    }
    let passed = call.passed.iter().find_map(|name| Some((name, rules.category(name)?.0)));
    if let Some((name, _)) = passed.filter(|(_, category)| matches!(*category, "command" | "code")) {
        let callee = call.names.first().map_or("?", String::as_str);
        let message = format!("{when} `{callee}` with `{name}`, which {}", rules.category(name)?.1.what);
        let (rule, severity) =
            if call.at_import { ("runs-on-import", Severity::High) } else { ("dangerous-call", Severity::Medium) };
        return Some(make(rule, severity, name, message));
    }
    if let Some(path) = call.opens.as_ref().filter(|_| call.at_import) {
        let message = format!("importing the module opens `{path}`, outside of the model");
        return Some(make("runs-on-import", Severity::Medium, path, message));
    }
    let shell = call.names.iter().find(|name| matches!(name.as_str(), "?.system" | "?.popen" | "?.check_output"));
    if let Some(name) = shell {
        let severity = if call.at_import { Severity::High } else { Severity::Medium };
        let rule = if call.at_import { "runs-on-import" } else { "dangerous-call" };
        return Some(make(rule, severity, name, format!("{when} a `{}` of something unknown", &name[2..])));
    }
    (call.looked_up && call.at_import).then(|| {
        let message = format!("{when} something that it looks up by a name that is data");
        make("computed-callee", Severity::Medium, "?", message)
    })
}
