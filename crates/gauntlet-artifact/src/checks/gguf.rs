//! Whether a GGUF header is true: counts that fit the file, tensors that lie where they should.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::GgufFact;
use crate::formats::gguf::Problem;

/// `artifact/gguf`
pub(crate) struct Gguf;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::GGUF,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the GGUF header describe the file exactly?",
    rules: &[
        rule!(
            "artifact/gguf/impossible-count",
            High,
            "a count or length that the file cannot hold",
            "Do not load the file: readers without a check of their own overflow. Get it again from its source.",
            [
                "CWE-190",
                "CWE-122",
                "CVE-2024-23605",
                "CVE-2024-21836",
                "CVE-2024-23496",
                "CVE-2024-21825",
                "OWASP ML06:2023",
                "AML.T0010.003"
            ]
        ),
        rule!(
            "artifact/gguf/tensor-range",
            High,
            "a tensor's shape, type or place contradicts the file",
            "Do not load the file; convert the model again from its original weights.",
            ["CWE-125", "CWE-190", "CVE-2025-53630", "CVE-2024-21802", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/gguf/invalid-header",
            Medium,
            "the header is not what the specification describes",
            "Write the file again with a current converter.",
            ["CWE-20", "CWE-1286", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/gguf/duplicate-key",
            Medium,
            "a key or tensor name occurs twice",
            "Write the file again; readers differ in which of the two they take.",
            ["CWE-694", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/gguf/unowned-bytes",
            Medium,
            "bytes that belong to no tensor",
            "Find out what the bytes are, then write the file again without them.",
            ["CWE-912", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-gguf.md"),
};

impl Check for Gguf {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<GgufFact>(facts, &mut judgement, |location, GgufFact(facts), judgement| {
            for problem in facts.problems.iter().take(FINDINGS) {
                judgement.findings.push(finding(location, problem));
            }
            let more = facts.more_problems + facts.problems.len().saturating_sub(FINDINGS) as u64;
            if more > 0 {
                let message = format!("{more} more contradictions in the header");
                judgement.findings.push(super::draft(&INFO, "invalid-header", location, message));
            }
        });
        judgement
    }
}

fn finding(location: &Location, problem: &Problem) -> Draft {
    let (rule, field, message) = describe(problem);
    let mut place = location.clone();
    if let Problem::Truncated { offset, .. } | Problem::StringLength { offset, .. } = problem {
        place = place.at_offset(*offset);
    }
    let snippet = field.clone().unwrap_or_default();
    if let Some(field) = field {
        place = place.in_field(field);
    }
    let draft = super::draft(&INFO, rule, &place, message).snippet(snippet);
    match problem {
        // Paddings larger than the alignment asks for are written by some converters.
        Problem::Hole { .. } | Problem::Tail { zeros: true, .. } => draft.severity(Severity::Low),
        _ => draft,
    }
}

/// Rule, the key or tensor it is about, and what was seen.
fn describe(problem: &Problem) -> (&'static str, Option<String>, String) {
    let count = |message: String| ("impossible-count", None, message);
    let header = |message: String| ("invalid-header", None, message);
    let range = |tensor: &String, message: String| ("tensor-range", Some(tensor.clone()), message);
    match problem {
        Problem::Version { version } => header(format!("version {version} of the format is unknown")),
        Problem::Truncated { offset, what } => header(format!("{what} ends at byte {offset}, before it should")),
        Problem::EntryCount { stated, possible } => {
            count(format!("the header promises {stated} entries, the file can hold {possible}"))
        }
        Problem::TensorCount { stated, possible } => {
            count(format!("the header promises {stated} tensors, the file can hold {possible}"))
        }
        Problem::StringLength { offset, stated, available } => {
            count(format!("a text at byte {offset} claims {stated} bytes, {available} are left"))
        }
        Problem::KeyLength { offset, stated } => {
            count(format!("a name at byte {offset} has {stated} bytes; the specification allows 65535"))
        }
        Problem::ArrayLength { key, stated, available } => (
            "impossible-count",
            Some(key.clone()),
            format!("the list `{key}` claims {stated} elements, {available} bytes are left"),
        ),
        Problem::NestedArray { key } => (
            "impossible-count",
            Some(key.clone()),
            format!("`{key}` is a list of lists, over which readers recurse; no converter writes it"),
        ),
        Problem::ValueType { key, kind } => {
            ("invalid-header", Some(key.clone()), format!("`{key}` has a value of the unknown type {kind}"))
        }
        Problem::Bool { key, value } => {
            ("invalid-header", Some(key.clone()), format!("`{key}` is a truth value of {value}"))
        }
        Problem::NotUtf8 { offset } => header(format!("a name at byte {offset} is not UTF-8")),
        Problem::Alignment { value } => header(format!("an alignment of {value} is no multiple of 8 and power of two")),
        Problem::DuplicateKey { key } => ("duplicate-key", Some(key.clone()), format!("the key `{key}` occurs twice")),
        Problem::DuplicateTensor { tensor } => {
            ("duplicate-key", Some(tensor.clone()), format!("the tensor `{tensor}` occurs twice"))
        }
        Problem::Dimensions { tensor, count } => {
            range(tensor, format!("tensor `{tensor}` has {count} dimensions; readers have room for 4"))
        }
        Problem::Overflow { tensor } => range(tensor, format!("the shape of tensor `{tensor}` overflows")),
        Problem::TensorType { tensor, kind } => {
            range(tensor, format!("tensor `{tensor}` has the unknown type {kind}; readers index a table with it"))
        }
        Problem::Blocks { tensor, row, block } => {
            range(tensor, format!("rows of tensor `{tensor}` have {row} elements, no multiple of its block of {block}"))
        }
        Problem::Misaligned { tensor, offset } => {
            range(tensor, format!("tensor `{tensor}` begins at {offset}, which is not aligned"))
        }
        Problem::PastEnd { tensor, end, available } => {
            range(tensor, format!("tensor `{tensor}` ends at data byte {end} of {available}"))
        }
        Problem::Overlap { first, second } => range(second, format!("tensors `{first}` and `{second}` share bytes")),
        Problem::Hole { offset, bytes } => {
            ("unowned-bytes", None, format!("{bytes} bytes from offset {offset} belong to no tensor"))
        }
        Problem::Tail { bytes, zeros: true } => {
            ("unowned-bytes", None, format!("{bytes} zero bytes stand behind the last tensor"))
        }
        Problem::Tail { bytes, zeros: false } => {
            ("unowned-bytes", None, format!("{bytes} bytes stand behind the last tensor"))
        }
    }
}
