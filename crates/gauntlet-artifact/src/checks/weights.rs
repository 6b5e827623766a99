//! Whether weights are numbers and nothing else.

use gauntlet_core::{Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::{TensorFact, TensorsFact};
use crate::formats::tensor::Hidden;

/// `artifact/weights`
pub(crate) struct Weights;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::WEIGHTS,
    version: 1,
    stage: Stage::Artifact,
    title: "Are the weights numbers and nothing else?",
    rules: &[
        rule!(
            "artifact/weights/file-in-tensor",
            High,
            "a tensor's bytes begin like a program, an archive or a pickle",
            "Find out what the bytes are and who reads them; do not deploy the model until then.",
            ["CWE-506", "CWE-912", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/weights/hidden-bits",
            Low,
            "the low bits of a tensor spell something",
            "Round the weights (to half precision, say), which destroys what is hidden in them, or get them from their source.",
            ["CWE-506", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/weights/text-in-tensor",
            Low,
            "a tensor holds readable text",
            "Find out whether it is a vocabulary; text has no place among weights.",
            ["CWE-912", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/weights/address-in-tensor",
            Medium,
            "a tensor holds an address",
            "Find out who reads the address; do not deploy the model until then.",
            ["CWE-912", "CWE-506", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/weights/random-bytes",
            Low,
            "a tensor's bytes are spread like those of encrypted or compressed data",
            "Compare the tensor with the model that it was made from, and leave it out if nothing uses it.",
            ["CWE-506", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/weights/not-finite",
            Low,
            "a tensor holds values that are no finite numbers",
            "Train or export the model again: one such value spoils every answer that depends on it.",
            ["CWE-682", "OWASP ML10:2023"]
        ),
        rule!(
            "artifact/weights/rank-one-spike",
            Info,
            "nearly all of a matrix is of rank one",
            "Compare the matrix with the one it was made from: edits of single facts look like this.",
            ["OWASP ML10:2023", "AML.T0018.000"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-weights.md"),
};

/// Share of the squared norm in the first singular value from which on a matrix is worth a note.
const SPIKE: f64 = 0.98;

impl Check for Weights {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<TensorsFact>(facts, &mut judgement, |location, fact, judgement| {
            let found = fact.tensors.iter().flat_map(|tensor| findings(location, tensor));
            judgement.findings.extend(found.take(FINDINGS));
        });
        judgement
    }
}

fn findings(location: &Location, tensor: &TensorFact) -> Vec<Draft> {
    let name = &tensor.row.name;
    let place = location.clone().in_field(name).at_offset(tensor.row.offset);
    let mut drafts = Vec::new();
    let mut push = |rule, message: String| drafts.push(super::draft(&INFO, rule, &place, message).snippet(name));
    if tensor.file {
        push("file-in-tensor", format!("tensor `{name}` begins like a file"));
    }
    let Some(stats) = &tensor.stats else { return drafts };
    if stats.nan + stats.infinite > 0 {
        let message = format!("tensor `{name}`: {} NaN and {} infinite values", stats.nan, stats.infinite);
        push("not-finite", message);
    }
    // Vocabularies and configuration are kept as bytes by some programs.
    if let Some(run) = stats.text_run.filter(|_| tensor.row.dtype.starts_with(['F', 'B'])) {
        push("text-in-tensor", format!("tensor `{name}` holds {run} readable bytes in a row"));
    }
    if let Some(address) = stats.address.as_ref().filter(|_| tensor.row.dtype.starts_with(['F', 'B'])) {
        push("address-in-tensor", format!("tensor `{name}` holds the address {address}"));
    }
    if stats.random {
        push("random-bytes", format!("the numbers of tensor `{name}` are spread over all magnitudes"));
    }
    if let Some(share) = stats.rank_one.filter(|share| *share >= SPIKE) {
        push("rank-one-spike", format!("{:.1} % of matrix `{name}` is of rank one", 100.0 * share));
    }
    if let Some(hidden) = stats.low_bits {
        let (what, severity) = match hidden {
            Hidden::Program => ("a program", Severity::Medium),
            Hidden::Archive => ("an archive", Severity::Medium),
            Hidden::Pickle => ("a pickle", Severity::Medium),
            Hidden::Text => ("a text", Severity::Low),
        };
        let message = format!("the low bits of tensor `{name}` begin like {what}");
        let draft = super::draft(&INFO, "hidden-bits", &place, message).severity(severity);
        drafts.push(draft.confidence(Confidence::Medium).snippet(name));
    }
    drafts
}
