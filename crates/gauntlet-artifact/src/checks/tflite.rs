//! What running a TFLite model would call besides built-in operators, and whether its offsets are true.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::TfliteFact;
use crate::formats::tflite::{Operator, Problem, TfliteFacts};
use crate::rules::tensorflow::{OperatorTier, tensorflow};

/// `artifact/tflite`
pub(crate) struct Tflite;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::TFLITE,
    version: 1,
    stage: Stage::Artifact,
    title: "What would running the TFLite model call?",
    rules: &[
        rule!(
            "artifact/tflite/dangerous-operator",
            High,
            "an operator of full TensorFlow that runs code or touches files",
            "Do not run the model with the Flex delegate; convert it again without the operator.",
            ["CWE-94", "CWE-73", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/tflite/custom-operator",
            Low,
            "an operator whose code comes from elsewhere",
            "Find out which library registers it, and whether you trust that library.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/tflite/broken-reference",
            Medium,
            "an offset or index that points to nothing",
            "Do not run the model: interpreters that skip verification read foreign memory. Convert it again.",
            ["CWE-125", "CWE-129", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-tflite.md"),
};

/// Custom operators that come with TensorFlow Lite or MediaPipe themselves.
const WELL_KNOWN: [&str; 16] = [
    "TFLite_Detection_PostProcess",
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "Convolution2DTransposeBias",
    "TransformTensorBilinear",
    "TransformLandmarks",
    "Landmarks2TransformMatrix",
    "RandomStandardNormal",
    "RandomUniform",
    "Multinomial",
    "AudioSpectrogram",
    "Mfcc",
    "Rfft2d",
    "NumericVerify",
    "edgetpu-custom-op",
    "RoundToNearestEven",
];

impl Check for Tflite {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<TfliteFact>(facts, &mut judgement, |location, TfliteFact(facts), judgement| {
            model(location, &facts, judgement);
        });
        judgement
    }
}

fn model(location: &Location, facts: &TfliteFacts, judgement: &mut Judgement) {
    for operator in facts.operators.iter().take(10 * FINDINGS) {
        judgement.findings.extend(operator_finding(location, operator));
    }
    if let Some(why) = &facts.broken {
        let message = format!("the model cannot be read to its end: {why}");
        judgement.findings.push(super::draft(&INFO, "broken-reference", location, message));
    }
    for problem in facts.problems.iter().take(FINDINGS) {
        let message = match problem {
            Problem::OperatorIndex { graph, index, operators } => {
                format!("graph {graph} uses operator {index} of {operators}")
            }
            Problem::BufferIndex { tensor, index, buffers } => {
                format!("tensor `{tensor}` uses buffer {index} of {buffers}")
            }
            Problem::BufferRange { buffer, offset, bytes } => {
                format!("buffer {buffer} has {bytes} bytes at {offset}, which leaves the file")
            }
        };
        judgement.findings.push(super::draft(&INFO, "broken-reference", location, message));
    }
    let more = facts.more + facts.problems.len().saturating_sub(FINDINGS) as u64;
    if more > 0 {
        let message = format!("{} more", plural(more, "broken reference", "broken references"));
        judgement.findings.push(super::draft(&INFO, "broken-reference", location, message));
    }
}

fn operator_finding(location: &Location, operator: &Operator) -> Option<gauntlet_core::Draft> {
    let name = operator.custom()?;
    let place = location.clone().in_field(name);
    let used = if operator.uses == 0 { "declared" } else { "used" };
    // The Flex delegate runs operators of full TensorFlow under this prefix.
    if let Some(tensorflow) = name.strip_prefix("Flex") {
        return flex(tensorflow).map(|(severity, why)| {
            let rule = if severity >= Severity::High { "dangerous-operator" } else { "custom-operator" };
            let message = format!("TensorFlow's `{tensorflow}` is {used}: {why}");
            super::draft(&INFO, rule, &place, message).severity(severity).snippet(name)
        });
    }
    if WELL_KNOWN.contains(&name) {
        return None;
    }
    let message = if name.is_empty() {
        format!("a custom operator without a name is {used}")
    } else {
        format!("the custom operator `{name}` is {used}; whoever registers this name runs")
    };
    Some(super::draft(&INFO, "custom-operator", &place, message).snippet(name))
}

/// How bad an operator of full TensorFlow is in a model for devices; `None` when it only computes. A device has no saver.
fn flex(operator: &str) -> Option<(Severity, &'static str)> {
    let rules = tensorflow().as_ref().ok()?;
    match rules.tier(operator) {
        Some(OperatorTier::Acts(_, severity, why)) => Some((*severity, why)),
        Some(OperatorTier::Saver) => Some((Severity::High, "reads or writes checkpoints")),
        Some(OperatorTier::Conditional) => Some((Severity::Low, "can reach files, as its attributes say")),
        Some(OperatorTier::Pure) => None,
        None => Some((Severity::Low, "no operation of TensorFlow; whoever registers the name runs")),
    }
}
