//! Whether a Flax checkpoint holds arrays and nothing else.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::MsgpackFact;
use crate::formats::msgpack::Problem;

/// `artifact/msgpack`
pub(crate) struct Msgpack;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::MSGPACK,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the Flax checkpoint hold arrays and nothing else?",
    rules: &[
        rule!(
            "artifact/msgpack/unknown-extension",
            Medium,
            "a value of an extension type that Flax does not have",
            "Find out which program reads the type; some decode it with pickle. Save the arrays again.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/msgpack/broken-document",
            Medium,
            "a length, depth or array contradicts the file",
            "Do not load the file; save it again with Flax, or as safetensors.",
            ["CWE-400", "CWE-674", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/msgpack/unowned-bytes",
            Medium,
            "bytes behind the document",
            "Find out what the bytes are, then save the checkpoint again.",
            ["CWE-912", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-msgpack.md"),
};

impl Check for Msgpack {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<MsgpackFact>(facts, &mut judgement, |location, MsgpackFact(facts), judgement| {
            for (code, offset, bytes) in facts.extensions.iter().take(FINDINGS) {
                let message = format!("{bytes} bytes of the extension type {code}");
                let place = location.clone().at_offset(*offset);
                judgement.findings.push(super::draft(&INFO, "unknown-extension", &place, message));
            }
            judgement.findings.extend(facts.problems.iter().take(FINDINGS).map(|problem| finding(location, problem)));
            if let Some(offset) = facts.tail {
                let message = format!("the document ends at byte {offset}, and the file does not");
                judgement.findings.push(super::draft(&INFO, "unowned-bytes", location, message));
            }
        });
        judgement
    }
}

fn finding(location: &Location, problem: &Problem) -> Draft {
    let (offset, message) = match problem {
        Problem::PastEnd { offset, stated, available } => {
            (offset, format!("a length of {stated}, where {available} bytes are left"))
        }
        Problem::Depth { offset } => (offset, "lists are nested so deeply that a recursive reader fails".to_owned()),
        Problem::Marker { offset, marker } => (offset, format!("the byte {marker:#04x} begins no value")),
        Problem::Truncated { offset } => (offset, "the document ends inside a value".to_owned()),
        Problem::Array { name, offset } => (offset, format!("array `{name}` is not as long as its type and shape say")),
    };
    let draft = super::draft(&INFO, "broken-document", &location.clone().at_offset(*offset), message);
    match problem {
        // A download that broke off misses some of its bytes; a length beyond all measure is an attempt.
        Problem::PastEnd { stated, available, .. } if stated / 16 <= (*available).max(64) => {
            draft.severity(Severity::Low)
        }
        Problem::Truncated { .. } => draft.severity(Severity::Low),
        _ => draft,
    }
}
