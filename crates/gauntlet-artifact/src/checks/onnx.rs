//! What an ONNX graph may run and read: operator domains, external data, contradictory tensors.

use gauntlet_core::{Check, CheckInfo, Confidence, Facts, Judgement, Judging, Location, Severity, Stage};
use gauntlet_onnx::{ExternalFact, LocationProblem, OnnxFacts, OperatorUse, TensorProblem};

use super::{FINDINGS, each, plural, rule};
use crate::facts::{ExternalRangeFact, OnnxFact};

/// `artifact/onnx`
pub(crate) struct Onnx;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::ONNX,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the graph stay inside known operators and its own folder?",
    rules: &[
        rule!(
            "artifact/onnx/python-operator",
            Critical,
            "an operator runs Python code that the model brings or names",
            "Export the model with standard operators; do not register a runtime extension for this file.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/onnx/custom-domain",
            Medium,
            "an operator of an unknown domain needs a native library",
            "Ask where the operator's library comes from, or express it as a local function.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/onnx/indirect-operator",
            Low,
            "an operator runs what its attributes name: an operator of another library, a compiled blob",
            "Find out what the attributes name, or export the model without the operator.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/onnx/external-data-path",
            High,
            "external data lies outside the model's folder",
            "Save the model with its external data beside it, under a plain relative name.",
            ["CWE-22", "CVE-2022-25882", "CVE-2024-27318", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/onnx/external-data-range",
            Medium,
            "offset or length of external data is impossible",
            "Save the model again; check the external file's size.",
            ["CWE-125", "CWE-190", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/onnx/tensor-mismatch",
            Medium,
            "a constant's type and dimensions contradict its bytes",
            "Export the model again from its source.",
            ["CWE-125", "CWE-190", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/onnx/several-graphs",
            High,
            "the model has more than one main graph",
            "Export the model again; readers differ in which graph they run.",
            ["CWE-436", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/onnx/metadata-code",
            Medium,
            "metadata holds a template or statement that runs code when it is rendered",
            "Remove the entry.",
            ["CWE-1336", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/onnx/malformed-model",
            Medium,
            "the file does not parse as ONNX",
            "Get the file again from its source; bytes that were added or cut make it another file.",
            ["CWE-20", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-onnx.md"),
};

/// ONNX's own domains.
const STANDARD: [&str; 6] =
    ["", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"];
/// Domains that ONNX Runtime and the common exporters bring, with their sub-domains.
const KNOWN: [&str; 8] = [
    "com.microsoft",
    "com.ms.internal",
    "org.pytorch",
    "pkg.onnxscript",
    "pkg.torch",
    "pkg.transformers",
    "org.openvinotoolkit",
    "trt.plugins",
];
/// Operators that call back into Python, whatever their domain.
const PYTHON: [&str; 5] = ["PyOp", "PyCustomOp", "PythonOp", "PythonOpGrad", "PyFunc"];

/// Operators that run another library's operator by name, or a compiled blob beside the model.
const INDIRECT: [&str; 3] = ["ATen", "ATenOp", "EPContext"];
/// Operators of onnxruntime-extensions that only compute: tokenizers, and work on texts, sound and pictures.
const EXTENSIONS: &str = "ai.onnx.contrib";

impl Check for Onnx {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<OnnxFact>(facts, &mut judgement, |location, fact, judgement| match fact {
            OnnxFact::Model { facts, code_metadata } => {
                model(location, &facts, judgement);
                metadata(location, &code_metadata, judgement);
            }
            OnnxFact::Broken { message } => {
                let message = format!("no valid ONNX model: {message}");
                judgement.findings.push(super::draft(&INFO, "malformed-model", location, message));
            }
        });
        each::<ExternalRangeFact>(facts, &mut judgement, |location, fact, judgement| {
            let ExternalRangeFact { file, tensor, end, size, tensors } = fact;
            let many = plural(tensors, "tensor reaches", "tensors reach");
            let message = format!("{many} behind the end of `{file}`: `{tensor}` to byte {end} of {size}");
            let place = location.clone().in_field(tensor);
            judgement.findings.push(super::draft(&INFO, "external-data-range", &place, message).snippet(&file));
        });
        judgement
    }
}

fn model(location: &Location, facts: &OnnxFacts, judgement: &mut Judgement) {
    let missing = missing_imports(facts);
    if facts.ir_version.is_none() || !missing.is_empty() {
        let what = match (facts.ir_version, missing.first()) {
            (None, _) => "it has no IR version".to_owned(),
            (_, Some(domain)) => format!("it uses operators of `{domain}` and does not say of which version"),
            (_, None) => String::new(),
        };
        let message = format!("no complete ONNX model: {what}");
        judgement.findings.push(super::draft(&INFO, "malformed-model", location, message));
    }
    for operator in &facts.operators {
        if let Some((rule, message)) = judge_operator(operator) {
            let place = location.clone().at_offset(operator.offset);
            let snippet = format!("{}::{}", operator.domain, operator.op_type);
            let draft = super::draft(&INFO, rule, &place, message).snippet(snippet);
            // The library is a known one.
            let known = rule == "custom-domain" && operator.domain == EXTENSIONS;
            judgement.findings.push(if known { draft.severity(Severity::Low) } else { draft });
        }
    }
    for external in facts.external.iter().filter(|e| !e.problems.is_empty()).take(FINDINGS) {
        judgement.findings.push(external_path(location, external));
    }
    for tensor in facts.odd_tensors.iter().take(FINDINGS) {
        let place = location.clone().at_offset(tensor.offset).in_field(tensor.name.clone());
        let external = tensor.problems.contains(&TensorProblem::ExternalField);
        let rule = if external { "external-data-range" } else { "tensor-mismatch" };
        let words: Vec<_> = tensor.problems.iter().map(|p| problem_words(*p)).collect();
        let message = format!("tensor `{}` {:?}: {}", tensor.name, tensor.dims, words.join(", "));
        judgement.findings.push(super::draft(&INFO, rule, &place, message).snippet(&tensor.name));
    }
    let left_out = facts.odd_tensors.len().max(facts.external.len()).saturating_sub(FINDINGS);
    if left_out > 0 {
        let message = format!("up to {left_out} more tensors like these");
        judgement.findings.push(super::draft(&INFO, "tensor-mismatch", location, message));
    }
    if facts.graph_fields > 1 {
        let message = format!("{} main graphs; some readers merge them, others run the last", facts.graph_fields);
        judgement.findings.push(super::draft(&INFO, "several-graphs", location, message));
    }
}

fn metadata(location: &Location, keys: &[String], judgement: &mut Judgement) {
    for key in keys.iter().take(FINDINGS) {
        let message = format!("metadata `{key}` reads as code or as a template that reaches into Python");
        let draft = super::draft(&INFO, "metadata-code", &location.clone().in_field(key.clone()), message);
        judgement.findings.push(draft.snippet(key).confidence(Confidence::Medium));
    }
}

/// Domains that nodes use and `opset_import` does not name, which the specification forbids; functions import their own.
fn missing_imports(facts: &OnnxFacts) -> Vec<&str> {
    let name = |domain: &str| if domain.is_empty() { "ai.onnx".to_owned() } else { domain.to_owned() };
    let imported: Vec<_> = facts.opsets.iter().map(|(domain, _)| name(domain)).collect();
    let used = facts.operators.iter().filter(|o| o.within != "function" && !o.is_local_function);
    let missing = used.filter(|o| !imported.contains(&name(&o.domain)));
    missing.map(|o| if o.domain.is_empty() { "ai.onnx" } else { o.domain.as_str() }).collect()
}

fn judge_operator(operator: &OperatorUse) -> Option<(&'static str, String)> {
    let OperatorUse { domain, op_type, count, within, .. } = operator;
    let times = plural(*count, "node", "nodes");
    if operator.is_local_function {
        return None;
    }
    let standard = STANDARD.contains(&domain.as_str());
    if !standard && PYTHON.contains(&op_type.as_str()) {
        let message = format!("operator `{domain}::{op_type}` ({times}, first in a {within}) runs Python code");
        return Some(("python-operator", message));
    }
    if !standard && INDIRECT.contains(&op_type.as_str()) {
        let message =
            format!("operator `{domain}::{op_type}` ({times}, first in a {within}) runs what its attributes name");
        return Some(("indirect-operator", message));
    }
    let known =
        KNOWN.iter().any(|k| domain.strip_prefix(k).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
    (!standard && !known).then(|| {
        let message = format!("operator `{domain}::{op_type}` ({times}, first in a {within}) is of an unknown domain");
        ("custom-domain", message)
    })
}

fn external_path(location: &Location, external: &ExternalFact) -> gauntlet_core::Draft {
    let words: Vec<_> = external
        .problems
        .iter()
        .map(|problem| match problem {
            LocationProblem::Empty => "is empty",
            LocationProblem::Absolute => "is absolute",
            LocationProblem::Drive => "names a drive",
            LocationProblem::Parent => "climbs with `..`",
            LocationProblem::Backslash => "has backslashes",
            LocationProblem::Nul => "has a NUL byte",
            LocationProblem::Url => "is a URL",
            LocationProblem::Home => "begins with a home folder",
            LocationProblem::Encoded => "spells dots or separators in another way",
        })
        .collect();
    let message =
        format!("tensor `{}` is kept at `{}`, which {}", external.tensor, external.location, words.join(" and "));
    let place = location.clone().at_offset(external.at).in_field(external.tensor.clone());
    let harmless = external.problems.iter().all(|p| matches!(p, LocationProblem::Empty | LocationProblem::Encoded));
    let draft = super::draft(&INFO, "external-data-path", &place, message).snippet(&external.location);
    if harmless { draft.severity(Severity::Medium) } else { draft }
}

fn problem_words(problem: TensorProblem) -> &'static str {
    match problem {
        TensorProblem::NegativeDimension => "a dimension is negative",
        TensorProblem::Overflow => "the number of elements overflows",
        TensorProblem::RawLength => "the raw data has another length",
        TensorProblem::ElementCount => "another number of elements is there",
        TensorProblem::UnknownType => "the element type is unknown",
        TensorProblem::SeveralContents => "it has more than one content",
        TensorProblem::Empty => "it has no content",
        TensorProblem::ExternalField => "offset or length of its external data is impossible",
    }
}
