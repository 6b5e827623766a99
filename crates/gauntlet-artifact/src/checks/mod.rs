//! The checks of this gate: one file each, facts to findings, no bytes.

pub(crate) mod archive;
pub(crate) mod boosting;
pub(crate) mod card;
pub(crate) mod code;
pub(crate) mod configuration;
pub(crate) mod coreml;
pub(crate) mod gguf;
pub(crate) mod hdf5;
pub(crate) mod huggingface;
pub(crate) mod java;
pub(crate) mod keras;
pub(crate) mod msgpack;
pub(crate) mod mxnet;
pub(crate) mod onnx;
pub(crate) mod openvino;
pub(crate) mod paddle;
pub(crate) mod pickle;
pub(crate) mod pmml;
pub(crate) mod r;
pub(crate) mod safetensors;
pub(crate) mod skops;
pub(crate) mod template;
pub(crate) mod tensorflow;
pub(crate) mod tfjs;
pub(crate) mod tflite;
pub(crate) mod torch;
pub(crate) mod torch7;
pub(crate) mod weights;
mod xml;

use gauntlet_core::{CheckInfo, Draft, Fact, Facts, Judgement, Location, SkipCode};

pub(crate) const ARCHIVE: &str = "artifact/archive";
pub(crate) const BOOSTING: &str = "artifact/boosting";
pub(crate) const CARD: &str = "artifact/card";
pub(crate) const CODE: &str = "artifact/code";
pub(crate) const CONFIGURATION: &str = "artifact/configuration";
pub(crate) const GGUF: &str = "artifact/gguf";
pub(crate) const HUGGINGFACE: &str = "artifact/huggingface";
pub(crate) const HDF5: &str = "artifact/hdf5";
pub(crate) const KERAS: &str = "artifact/keras";
pub(crate) const JAVA: &str = "artifact/java";
pub(crate) const MSGPACK: &str = "artifact/msgpack";
pub(crate) const ONNX: &str = "artifact/onnx";
pub(crate) const OPENVINO: &str = "artifact/openvino";
pub(crate) const PICKLE: &str = "artifact/pickle";
pub(crate) const PMML: &str = "artifact/pmml";
pub(crate) const R: &str = "artifact/r";
pub(crate) const SAFETENSORS: &str = "artifact/safetensors";
pub(crate) const SKOPS: &str = "artifact/skops";
pub(crate) const COREML: &str = "artifact/coreml";
pub(crate) const MXNET: &str = "artifact/mxnet";
pub(crate) const PADDLE: &str = "artifact/paddle";
pub(crate) const TENSORFLOW: &str = "artifact/tensorflow";
pub(crate) const TFJS: &str = "artifact/tfjs";
pub(crate) const TEMPLATE: &str = "artifact/template";
pub(crate) const TFLITE: &str = "artifact/tflite";
pub(crate) const TORCH: &str = "artifact/torch";
pub(crate) const TORCH7: &str = "artifact/torch7";
pub(crate) const WEIGHTS: &str = "artifact/weights";

/// Findings of one rule about one place; the rest becomes one line.
const FINDINGS: usize = 100;

/// A row of a rule table. All rules of this gate came with 0.1.0.
macro_rules! rule {
    ($id:literal, $severity:ident, $title:literal, $fix:literal, [$($reference:literal),*]) => {
        gauntlet_core::RuleInfo {
            id: $id,
            severity: gauntlet_core::Severity::$severity,
            title: $title,
            fix: $fix,
            references: &[$($reference),*],
            since: "0.1.0",
            renamed_from: &[],
            retired: None,
        }
    };
}
pub(crate) use rule;

/// Gives every fact of one type to `judge`. A row of another shape is a question without an answer.
fn each<F: Fact>(facts: &Facts, judgement: &mut Judgement, mut judge: impl FnMut(&Location, F, &mut Judgement)) {
    for row in facts.of::<F>() {
        match row {
            Ok((location, fact)) => judge(location, fact, judgement),
            Err(error) => {
                let detail = format!("stored fact `{}` has another shape: {error}", F::KIND);
                judgement.coverage.skip("", None, SkipCode::Unreadable, detail);
            }
        }
    }
}

/// The rule data of a check. A test keeps the committed data valid; without it nothing can be judged, and that is said.
fn usable<T, E: std::fmt::Display>(rules: &'static Result<T, E>, judgement: &mut Judgement) -> Option<&'static T> {
    match rules {
        Ok(rules) => Some(rules),
        Err(error) => {
            judgement.coverage.skip("", None, SkipCode::Unreadable, format!("rule data: {error}"));
            None
        }
    }
}

/// A finding of the rule called `name`. A check that names a rule it does not have is a slip that a test finds; it must
/// not silence the finding, so the check's first rule stands in.
fn draft(info: &'static CheckInfo, name: &str, location: &Location, message: impl Into<String>) -> Draft {
    let rule = info.rule(name).unwrap_or(&info.rules[0]);
    Draft::new(rule, location.clone(), message)
}

/// A conjunction for messages.
fn plural(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

#[cfg(test)]
mod tests {
    use gauntlet_core::valid_rule_id;

    #[test]
    fn rules_belong_to_their_check_and_have_a_section_in_its_page() {
        for check in crate::GATE.checks {
            let info = check.info();
            for rule in info.rules {
                assert!(valid_rule_id(rule.id), "{}", rule.id);
                let name = rule.id.strip_prefix(info.id).and_then(|rest| rest.strip_prefix('/'));
                let name = name.unwrap_or_else(|| panic!("{} is not of {}", rule.id, info.id));
                assert!(info.page.contains(&format!("## {name}")), "no section for {} in the page", rule.id);
                assert!(!rule.fix.is_empty() && !rule.references.is_empty() && !rule.title.is_empty());
            }
        }
    }

    #[test]
    fn every_rule_that_code_names_exists() {
        let sources = [
            (include_str!("archive.rs"), &super::archive::INFO),
            (include_str!("boosting.rs"), &super::boosting::INFO),
            (include_str!("card.rs"), &super::card::INFO),
            (include_str!("code.rs"), &super::code::INFO),
            (include_str!("configuration.rs"), &super::configuration::INFO),
            (include_str!("gguf.rs"), &super::gguf::INFO),
            (include_str!("huggingface.rs"), &super::huggingface::INFO),
            (include_str!("hdf5.rs"), &super::hdf5::INFO),
            (include_str!("keras.rs"), &super::keras::INFO),
            (include_str!("java.rs"), &super::java::INFO),
            (include_str!("msgpack.rs"), &super::msgpack::INFO),
            (include_str!("onnx.rs"), &super::onnx::INFO),
            (include_str!("openvino.rs"), &super::openvino::INFO),
            (include_str!("pickle/mod.rs"), &super::pickle::INFO),
            (include_str!("pickle/stream.rs"), &super::pickle::INFO),
            (include_str!("pmml.rs"), &super::pmml::INFO),
            (include_str!("r.rs"), &super::r::INFO),
            (include_str!("safetensors.rs"), &super::safetensors::INFO),
            (include_str!("skops.rs"), &super::skops::INFO),
            (include_str!("coreml.rs"), &super::coreml::INFO),
            (include_str!("mxnet.rs"), &super::mxnet::INFO),
            (include_str!("paddle.rs"), &super::paddle::INFO),
            (include_str!("tensorflow.rs"), &super::tensorflow::INFO),
            (include_str!("tfjs.rs"), &super::tfjs::INFO),
            (include_str!("template.rs"), &super::template::INFO),
            (include_str!("tflite.rs"), &super::tflite::INFO),
            (include_str!("torch.rs"), &super::torch::INFO),
            (include_str!("torch7.rs"), &super::torch7::INFO),
            (include_str!("weights.rs"), &super::weights::INFO),
        ];
        for (source, info) in sources {
            for before in ["rule: \"", "draft(&INFO, \""] {
                for part in source.split(before).skip(1) {
                    let name = part.split('"').next().unwrap();
                    assert!(info.rule(name).is_some(), "{} has no rule {name}", info.id);
                }
            }
        }
    }

    #[test]
    fn every_rule_that_is_pushed_by_name_exists() {
        let sources = [
            (include_str!("archive.rs"), &super::archive::INFO),
            (include_str!("pickle/stream.rs"), &super::pickle::INFO),
            (include_str!("openvino.rs"), &super::openvino::INFO),
            (include_str!("pmml.rs"), &super::pmml::INFO),
            (include_str!("r.rs"), &super::r::INFO),
        ];
        for (source, info) in sources {
            for before in [" push(\"", "push(location, \"", "push(&place, \"", "push(&mut drafts, \"", "self.draft(\""]
            {
                for part in source.split(before).skip(1) {
                    let name = part.split('"').next().unwrap();
                    assert!(info.rule(name).is_some(), "{} has no rule {name}", info.id);
                }
            }
        }
    }
}
