//! Whether a safetensors header is true: every byte owned once, every range as long as its tensor.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::SafetensorsFact;
use crate::formats::safetensors::Problem;

/// `artifact/safetensors`
pub(crate) struct Safetensors;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::SAFETENSORS,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the safetensors header describe the file exactly?",
    rules: &[
        rule!(
            "artifact/safetensors/invalid-header",
            High,
            "the header is not what the specification describes",
            "Write the file again with the safetensors library; do not load it with a lenient reader.",
            ["CWE-20", "CWE-1286", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/safetensors/duplicate-key",
            High,
            "a name occurs twice in the header",
            "Write the file again; readers differ in which of the two tensors they take.",
            ["CWE-694", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/safetensors/range-mismatch",
            High,
            "a tensor's byte range contradicts its type and shape, or leaves the file",
            "Write the file again from the original weights.",
            ["CWE-125", "CWE-190", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/safetensors/overlap",
            High,
            "two tensors share bytes",
            "Write the file again; tie weights by name instead of by bytes.",
            ["CWE-1284", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/safetensors/unowned-bytes",
            High,
            "bytes that belong to no tensor",
            "Find out what the bytes are, then write the file again without them.",
            ["CWE-912", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/safetensors/metadata-template",
            Medium,
            "metadata holds a template that reaches into Python objects",
            "Remove the entry, or render it only in a sandbox.",
            ["CWE-1336", "CVE-2024-34359", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-safetensors.md"),
};

impl Check for Safetensors {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<SafetensorsFact>(facts, &mut judgement, |location, SafetensorsFact(facts), judgement| {
            for problem in facts.problems.iter().take(FINDINGS) {
                judgement.findings.push(finding(location, problem));
            }
            if facts.more_problems > 0 {
                let message = format!("{} more contradictions in the header", facts.more_problems);
                judgement.findings.push(super::draft(&INFO, "invalid-header", location, message));
            }
            for entry in facts.metadata.iter().filter(|entry| entry.template_dunder) {
                let message = format!("metadata `{}` is a template that names Python's inner attributes", entry.key);
                let place = location.clone().in_field(entry.key.clone());
                judgement.findings.push(super::draft(&INFO, "metadata-template", &place, message).snippet(&entry.key));
            }
        });
        judgement
    }
}

struct Seen {
    rule: &'static str,
    tensor: Option<String>,
    message: String,
    severity: Option<Severity>,
}

fn finding(location: &Location, problem: &Problem) -> gauntlet_core::Draft {
    let seen = describe(problem);
    let mut place = location.clone();
    let snippet = seen.tensor.clone().unwrap_or_default();
    if let Some(tensor) = seen.tensor {
        place = place.in_field(tensor);
    }
    let draft = super::draft(&INFO, seen.rule, &place, seen.message).snippet(snippet);
    match seen.severity {
        Some(severity) => draft.severity(severity),
        None => draft,
    }
}

fn describe(problem: &Problem) -> Seen {
    let header = |message: String| Seen { rule: "invalid-header", tensor: None, message, severity: None };
    let range = |tensor: &str, message: String| Seen {
        rule: "range-mismatch",
        tensor: Some(tensor.to_owned()),
        message,
        severity: None,
    };
    match problem {
        Problem::HeaderPastEnd { stated, available } => {
            header(format!("the header claims {stated} bytes, {available} are there"))
        }
        Problem::HeaderTooLarge { stated } => {
            header(format!("the header claims {stated} bytes; readers refuse more than 100 MB"))
        }
        Problem::BadHeader { message } => header(format!("the header is no JSON object as specified: {message}")),
        Problem::BadEntry { tensor, message } => Seen {
            tensor: Some(tensor.clone()),
            ..header(format!("the entry of tensor `{tensor}` is not as specified: {message}"))
        },
        Problem::BadMetadata { message } => header(format!("`__metadata__` is no map of strings: {message}")),
        Problem::UnknownType { tensor, dtype } => {
            let message = format!("tensor `{tensor}` has the unknown element type `{dtype}`");
            Seen { tensor: Some(tensor.clone()), severity: Some(Severity::Medium), ..header(message) }
        }
        Problem::DuplicateKey { key } => Seen {
            rule: "duplicate-key",
            tensor: Some(key.clone()),
            message: format!("`{key}` occurs twice in the header"),
            severity: None,
        },
        Problem::EndBeforeBegin { tensor } => range(tensor, format!("tensor `{tensor}` ends before it begins")),
        Problem::PastEnd { tensor, end, data_len } => {
            range(tensor, format!("tensor `{tensor}` ends at byte {end} of {data_len} data bytes"))
        }
        Problem::SizeMismatch { tensor, stated, expected } => {
            range(tensor, format!("tensor `{tensor}` has {stated} bytes; its type and shape ask for {expected}"))
        }
        Problem::Overflow { tensor } => range(tensor, format!("the shape of tensor `{tensor}` overflows 64 bits")),
        Problem::Overlap { first, second } => Seen {
            rule: "overlap",
            tensor: Some(second.clone()),
            message: format!("tensors `{first}` and `{second}` share bytes"),
            severity: None,
        },
        Problem::Hole { offset, len } => Seen {
            rule: "unowned-bytes",
            tensor: None,
            message: format!("{len} bytes from data offset {offset} belong to no tensor"),
            severity: None,
        },
        Problem::Tail { len } => Seen {
            rule: "unowned-bytes",
            tensor: None,
            message: format!("{len} bytes behind the last tensor belong to none"),
            severity: None,
        },
    }
}
