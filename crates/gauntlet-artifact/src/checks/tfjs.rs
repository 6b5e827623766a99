//! Whether a TensorFlow.js model takes its weights from beside itself.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::TfjsFact;

/// `artifact/tfjs`
pub(crate) struct Tfjs;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::TFJS,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the TensorFlow.js model take its weights from beside itself?",
    rules: &[
        rule!(
            "artifact/tfjs/weights-path",
            High,
            "weights are taken from elsewhere",
            "Convert the model again, with its weights in its own folder.",
            ["CWE-22", "CWE-829", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/tfjs/duplicate-key",
            Medium,
            "a key occurs twice",
            "Convert the model again; readers differ in which of the two they take.",
            ["CWE-436", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-tfjs.md"),
};

impl Check for Tfjs {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<TfjsFact>(facts, &mut judgement, |location, fact, judgement| {
            for path in fact.paths.iter().filter(|path| is_outside(path)).take(FINDINGS) {
                let address = path.contains("://") || path.starts_with("//");
                let message = format!("weights are taken from `{path}`, which is not beside the model");
                let draft = super::draft(&INFO, "weights-path", location, message).snippet(path);
                // Servers of models spread shards over hosts; nothing of this machine is read.
                judgement.findings.push(if address { draft.severity(Severity::Medium) } else { draft });
            }
            for key in fact.duplicates.iter().take(FINDINGS) {
                let message = format!("the key `{key}` occurs twice in one object");
                judgement.findings.push(super::draft(&INFO, "duplicate-key", location, message).snippet(key));
            }
        });
        judgement
    }
}

fn is_outside(path: &str) -> bool {
    let absolute = path.starts_with(['/', '\\', '~']) || path.get(1..2) == Some(":") || path.contains("://");
    absolute || path.split(['/', '\\']).any(|part| part == "..")
}
