//! What TorchScript code and exported graphs of PyTorch do besides computing.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};

use super::{each, rule};
use crate::facts::{GraphFact, ScriptFact};
use crate::rules::named::{self, TorchRules};
use crate::rules::{self, PickleRules, Tier};

/// `artifact/torch`
pub(crate) struct Torch;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::TORCH,
    version: 1,
    stage: Stage::Artifact,
    title: "What do TorchScript code and exported graphs do besides computing?",
    rules: &[
        rule!(
            "artifact/torch/dangerous-operator",
            High,
            "an operator that reads or writes files, or runs code elsewhere",
            "Do not run the model; export it again without the operator.",
            ["CWE-73", "OWASP ML06:2023", "AML.T0018.002", "CVE-2025-32434"]
        ),
        rule!(
            "artifact/torch/foreign-code",
            Critical,
            "code or a graph names something that is no operator",
            "Do not load the file: no exporter writes it.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/torch/custom-operator",
            Low,
            "an operator whose code comes from elsewhere",
            "Find out which library registers it, and whether you trust that library.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-torch.md"),
};

impl Check for Torch {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(torch) = super::usable(named::torch(), &mut judgement) else { return judgement };
        let Some(pickle) = super::usable(rules::pickle(), &mut judgement) else { return judgement };
        each::<ScriptFact>(facts, &mut judgement, |location, ScriptFact(script), judgement| {
            for (operator, line) in &script.operators {
                let place = location.clone().at_line(*line, None);
                judgement.findings.extend(operator_finding(&place, operator, torch));
            }
            for (module, line) in script.imports.iter().filter(|(module, _)| !module.starts_with("__torch__")) {
                let place = location.clone().at_line(*line, None);
                let message = format!("TorchScript code imports `{module}`, which the language does not have");
                judgement.findings.push(super::draft(&INFO, "foreign-code", &place, message).snippet(module));
            }
            for (name, line) in &script.calls {
                let place = location.clone().at_line(*line, None);
                let message = format!("TorchScript code calls Python's `{name}`, which the language does not have");
                judgement.findings.push(super::draft(&INFO, "foreign-code", &place, message).snippet(name));
            }
            if script.more > 0 {
                let path = location.path.clone().unwrap_or_default();
                let detail = format!("{} more operators", script.more);
                judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
            }
        });
        each::<GraphFact>(facts, &mut judgement, |location, fact, judgement| {
            let found = fact.targets.keys().filter_map(|target| target_finding(location, target, torch, pickle));
            judgement.findings.extend(found);
        });
        judgement
    }
}

fn operator_finding(place: &Location, operator: &str, rules: &TorchRules) -> Option<Draft> {
    if let Some(why) = rules.dangerous(operator) {
        let message = format!("the operator `{operator}` is used, which {why}");
        return Some(super::draft(&INFO, "dangerous-operator", place, message).snippet(operator));
    }
    let namespace = operator.split('.').next().unwrap_or(operator);
    (!rules.is_known(namespace)).then(|| {
        let message = format!("the operator `{operator}` comes with neither PyTorch nor its libraries");
        super::draft(&INFO, "custom-operator", place, message).snippet(operator)
    })
}

/// The loader walks attributes from the modules `torch`, `operator` and `math`.
fn target_finding(location: &Location, target: &str, torch: &TorchRules, pickle: &PickleRules) -> Option<Draft> {
    let place = location.clone().in_field(target);
    let parts: Vec<&str> = target.split('.').collect();
    match parts.as_slice() {
        ["torch", "ops", namespace, name, ..] | ["ops", namespace, name, ..] => {
            operator_finding(&place, &format!("{namespace}.{name}"), torch)
        }
        // Symbolic sizes and arithmetic on them.
        ["torch", name] if name.starts_with("sym_") => None,
        ["_operator" | "operator" | "math", name] if !matches!(*name, "methodcaller" | "attrgetter") => None,
        [module @ .., name] if !module.is_empty() => {
            let module = module.join(".");
            let severity = match pickle.alone(&module, name) {
                Tier::Dangerous(_) | Tier::Walk(_) | Tier::Suspect(_) => Severity::Critical,
                Tier::Stdlib => Severity::High,
                Tier::Allowed(_) | Tier::PackageClass => return None,
                Tier::PackageFunction | Tier::Unknown => Severity::Low,
            };
            let message = format!("a node of the graph names `{target}`, which is no operator");
            Some(super::draft(&INFO, "foreign-code", &place, message).severity(severity).snippet(target))
        }
        _ => None,
    }
}
