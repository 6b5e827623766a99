//! What loading a skops file would import and call, judged with the tables of `artifact/pickle`.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::{SkopsFact, SkopsNode};
use crate::rules::{self, PickleRules, Tier};

/// `artifact/skops`
pub(crate) struct Skops;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::SKOPS,
    version: 1,
    stage: Stage::Artifact,
    title: "What would loading the skops file import and call?",
    rules: &[
        rule!(
            "artifact/skops/dangerous-type",
            Critical,
            "the schema names a type or function that runs commands or code",
            "Do not load the file, whatever list of trusted types it comes with.",
            ["CWE-502", "CVE-2025-54412", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/skops/method-by-name",
            High,
            "the schema takes an attribute by name from something else than its declared type",
            "Do not load the file: the types that are shown for review are not those that are used.",
            ["CWE-351", "CVE-2025-54412", "CVE-2025-54413", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/skops/unknown-type",
            Low,
            "the schema names a type of an unknown package",
            "Check that the package is the one you expect before you trust the type.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-skops.md"),
};

/// Loaders of skops 0.1 to 0.14.
const LOADERS: [&str; 29] = [
    "BytearrayNode",
    "BytesNode",
    "CachedNode",
    "ConstructorFromReduceNode",
    "DTypeNode",
    "DefaultDictNode",
    "DictNode",
    "FunctionNode",
    "JsonNode",
    "ListNode",
    "LossNode",
    "MaskedArrayNode",
    "MethodNode",
    "NdArrayNode",
    "ObjectNode",
    "OperatorFuncNode",
    "PartialNode",
    "QuantileForestNode",
    "RandomGeneratorNode",
    "RandomStateNode",
    "ReduceNode",
    "SGDNode",
    "SetNode",
    "SliceNode",
    "SparseMatrixNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
    "UfuncNode",
];

impl Check for Skops {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(rules) = super::usable(rules::pickle(), &mut judgement) else { return judgement };
        each::<SkopsFact>(facts, &mut judgement, |location, fact, judgement| {
            let found = fact.nodes.iter().filter_map(|node| finding(location, node, rules));
            judgement.findings.extend(found.take(FINDINGS));
            if fact.more > 0 {
                let path = location.path.clone().unwrap_or_default();
                let detail = format!("{} more nodes of the schema", fact.more);
                judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
            }
        });
        judgement
    }
}

fn finding(location: &Location, node: &SkopsNode, rules: &PickleRules) -> Option<gauntlet_core::Draft> {
    let place = location.clone().in_field(&node.place);
    let SkopsNode { loader, module, class, .. } = node;
    let full = format!("{module}.{class}");
    let draft = |rule, message: String| super::draft(&INFO, rule, &place, message).snippet(&full);
    if !loader.is_empty() && !LOADERS.contains(&loader.as_str()) {
        return Some(draft("unknown-type", format!("`{loader}` is no loader of skops")));
    }
    if let Some(message) = by_name(node) {
        return Some(draft("method-by-name", message));
    }
    let mut names = vec![(module.as_str(), class.as_str())];
    if let (Some(module), Some(function)) = (&node.module_path, &node.function) {
        names.push((module, function));
    }
    for (module, name) in names.into_iter().filter(|(module, name)| !module.is_empty() && !name.is_empty()) {
        match rules.alone(module, name) {
            Tier::Dangerous(why) | Tier::Suspect(why) => {
                return Some(draft("dangerous-type", format!("`{loader}` names `{module}.{name}`: {why}")));
            }
            Tier::Walk(segment) => {
                let message = format!("`{module}.{name}` walks through `{segment}` into another module");
                return Some(draft("dangerous-type", message));
            }
            Tier::Stdlib => {
                let message = format!("`{loader}` names `{module}.{name}` of the standard library; no model needs it");
                return Some(draft("dangerous-type", message).severity(Severity::High));
            }
            Tier::Unknown => {
                let message = format!("`{loader}` names `{module}.{name}` of an unknown package");
                return Some(draft("unknown-type", message));
            }
            Tier::Allowed(_) | Tier::PackageClass | Tier::PackageFunction => {}
        }
    }
    None
}

/// Nodes that take attributes by name: what they act on must be what they declare.
fn by_name(node: &SkopsNode) -> Option<String> {
    let SkopsNode { loader, module, class, function, owner, .. } = node;
    match loader.as_str() {
        "OperatorFuncNode" if module != "operator" => Some(format!("an operator node names `{module}.{class}`")),
        "OperatorFuncNode" if class != "itemgetter" => {
            Some(format!("`operator.{class}` takes attributes or calls methods by name"))
        }
        "MethodNode" => {
            let function = function.as_deref().unwrap_or("");
            let same = owner.as_ref().is_some_and(|(owner, name)| owner == module && name == class);
            if !same {
                let owner = owner.as_ref().map_or_else(|| "nothing".to_owned(), |(m, c)| format!("`{m}.{c}`"));
                Some(format!("declares a method of `{module}.{class}` and takes `{function}` from {owner}"))
            } else if function.starts_with("__") || function.contains('.') {
                Some(format!("takes the attribute `{function}` of a `{module}.{class}`"))
            } else {
                None
            }
        }
        _ => None,
    }
}
