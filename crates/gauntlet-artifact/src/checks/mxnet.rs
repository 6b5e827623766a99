//! What an MXNet symbol wants from the program that loads it.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::MxnetFact;
use crate::formats::mxnet::CustomNode;
use crate::readers::mxnet::is_library;

/// `artifact/mxnet`
pub(crate) struct Mxnet;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::MXNET,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the MXNet symbol stay with built-in operators?",
    rules: &[
        rule!(
            "artifact/mxnet/native-library",
            High,
            "an operator names a native library or an address in memory",
            "Do not load the symbol; export it again with built-in operators.",
            ["CWE-114", "CWE-829", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/mxnet/custom-operator",
            Medium,
            "an operator runs Python code that the program registers",
            "Find out which module registers it, and whether you trust that module.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-mxnet.md"),
};

impl Check for Mxnet {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<MxnetFact>(facts, &mut judgement, |location, MxnetFact(facts), judgement| {
            for CustomNode { op, name, attributes } in facts.custom.iter().take(FINDINGS) {
                let place = location.clone().in_field(name.clone());
                let library = attributes.iter().find(|(key, text)| is_library(key, text));
                // The old forms hold the address of a structure of the exporting process.
                let (rule, message) = match library {
                    Some((key, text)) => ("native-library", format!("`{op}` at `{name}` has {key} `{text}`")),
                    None if matches!(op.as_str(), "_Native" | "_NDArray" | "_CustomFunction" | "_CachedOp") => {
                        ("native-library", format!("`{op}` at `{name}` is called by its address in memory"))
                    }
                    None => {
                        let kind = attributes.iter().find(|(key, _)| key == "op_type").map_or("?", |(_, text)| text);
                        ("custom-operator", format!("`{op}` at `{name}` runs what is registered as `{kind}`"))
                    }
                };
                judgement.findings.push(super::draft(&INFO, rule, &place, message).snippet(op));
            }
            let more = facts.more + facts.custom.len().saturating_sub(FINDINGS) as u64;
            if more > 0 {
                let message = format!("{} more", plural(more, "operator", "operators"));
                judgement.findings.push(super::draft(&INFO, "custom-operator", location, message));
            }
        });
        judgement
    }
}
