//! Whether an OpenVINO description names code to load, or weights that are not there.

use std::collections::BTreeMap;

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Stage};

use super::{each, rule};
use crate::facts::{FileFact, OpenvinoFact};

/// `artifact/openvino`
pub(crate) struct Openvino;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::OPENVINO,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the OpenVINO description stay within operations that come with OpenVINO?",
    rules: &[
        rule!(
            "artifact/openvino/xml-entities",
            High,
            "the document declares entities: text that readers fetch or expand",
            "Remove the document type; the format needs none.",
            ["CWE-611", "CWE-776", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/openvino/library-path",
            High,
            "a layer names a library to load",
            "Do not load the model; operations of its own would run that library.",
            ["CWE-114", "CWE-426", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/openvino/code",
            Medium,
            "an attribute reads as code",
            "Find out what would read it; the format has no code.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/openvino/custom-operation",
            Low,
            "a layer is of no operation set that comes with OpenVINO",
            "Review the extension that has to be loaded for it.",
            ["CWE-829", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/openvino/weights-range",
            Medium,
            "a constant lies outside of the weights",
            "Get both files again from one source; do not load them as they are.",
            ["CWE-125", "CWE-190", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-openvino.md"),
};

impl Check for Openvino {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        // Weights lie beside the description under the same name.
        let mut sizes = BTreeMap::new();
        each::<FileFact>(facts, &mut judgement, |location, fact, _| {
            if let (Some(path), None, Some(size)) = (&location.path, &location.member, fact.size) {
                sizes.insert(path.clone(), size);
            }
        });
        each::<OpenvinoFact>(facts, &mut judgement, |location, fact, judgement| {
            let weights = location.path.as_ref().and_then(|path| path.strip_suffix(".xml")).map(|s| format!("{s}.bin"));
            let size = weights.filter(|_| location.member.is_none()).and_then(|path| sizes.get(&path)).copied();
            openvino(location, &fact, size, judgement);
        });
        judgement
    }
}

fn openvino(location: &Location, OpenvinoFact(facts): &OpenvinoFact, size: Option<u64>, judgement: &mut Judgement) {
    super::xml::entities(&INFO, location, &facts.xml, judgement);
    let mut push = |rule, message: String| {
        let draft = super::draft(&INFO, rule, location, message.clone());
        judgement.findings.push(draft.snippet(message));
    };
    for (element, key, value) in &facts.libraries {
        push("library-path", format!("`{element}` names `{value}` as its `{key}`"));
    }
    for (element, marker) in &facts.code {
        push("code", format!("`{element}` holds `{marker}`"));
    }
    for (kind, version) in &facts.custom {
        push("custom-operation", format!("a layer of type `{kind}` from `{version}`"));
    }
    if facts.broken_ranges > 0 {
        let n = super::plural(facts.broken_ranges, "constant has", "constants have");
        push("weights-range", format!("{n} an offset or size that is no number"));
    }
    if let (Some(end), Some(size)) = (facts.weights_end, size)
        && end > size
    {
        push("weights-range", format!("a constant ends at byte {end} of weights that have {size} bytes"));
    }
}
