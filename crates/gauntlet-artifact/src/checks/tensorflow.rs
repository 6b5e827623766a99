//! What running or loading a TensorFlow graph would do besides computing.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::TensorflowFact;
use crate::formats::tensorflow::{Kind, OperatorUse, TensorflowFacts};
use crate::rules::tensorflow::{OperatorTier, TensorflowRules, tensorflow};

/// `artifact/tensorflow`
pub(crate) struct Tensorflow;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::TENSORFLOW,
    version: 1,
    stage: Stage::Artifact,
    title: "What would the TensorFlow graph do besides computing?",
    rules: &[
        rule!(
            "artifact/tensorflow/python-operator",
            Critical,
            "an operation runs Python code",
            "Export the model without `py_function` and `numpy_function`.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/tensorflow/file-operator",
            High,
            "an operation reads or writes files",
            "Export the model without it; read and write files outside of the graph.",
            ["CWE-73", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/tensorflow/data-operator",
            Medium,
            "the graph reads files of records by itself",
            "Export the model without its input pipeline.",
            ["CWE-73", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/tensorflow/saver-operator",
            High,
            "variables are saved or restored outside of the model's saver",
            "Export the model again; a signature should neither save nor restore.",
            ["CWE-73", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/tensorflow/network-operator",
            High,
            "an operation calls another machine",
            "Export the model without it.",
            ["CWE-918", "OWASP ML06:2023", "AML.T0024"]
        ),
        rule!(
            "artifact/tensorflow/debug-operator",
            Medium,
            "the graph hands tensors to a debugger",
            "Export the model from a session without a debugger.",
            ["CWE-489", "CWE-200", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/tensorflow/process-operator",
            Medium,
            "an operation acts on the process that runs it",
            "Export the model without it.",
            ["CWE-250", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/tensorflow/asset-path",
            High,
            "an asset lies outside of the model's folder",
            "Save the model again with its assets.",
            ["CWE-22", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/tensorflow/custom-operator",
            Low,
            "an operation that TensorFlow does not have",
            "Find out which library registers it, and whether you trust that library.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/tensorflow/registered-class",
            Low,
            "loading looks a class up by a name of its own",
            "Find out which library registers the class.",
            ["CWE-470", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-tensorflow.md"),
};

impl Check for Tensorflow {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(rules) = super::usable(tensorflow(), &mut judgement) else { return judgement };
        each::<TensorflowFact>(facts, &mut judgement, |location, TensorflowFact(facts), judgement| {
            model(location, &facts, rules, judgement);
        });
        judgement
    }
}

fn model(location: &Location, facts: &TensorflowFacts, rules: &TensorflowRules, judgement: &mut Judgement) {
    let mut more = 0;
    let mut found: Vec<_> = facts.operators.iter().filter_map(|used| operator(facts, used, rules)).collect();
    // The worst ones first, so that notes do not push them out.
    found.sort_by_key(|found| std::cmp::Reverse(found.severity));
    for Found { rule, severity, why, used } in found {
        if judgement.findings.len() >= 10 * FINDINGS {
            more += 1;
            continue;
        }
        let scope = used.function.as_ref().map_or("the main graph".to_owned(), |name| format!("function `{name}`"));
        let times = plural(used.count, "use", "uses");
        let load = if used.on_load { "; loading the model runs it" } else { "" };
        let path = used.constants.iter().find(|text| text.contains(['/', '\\', ':']));
        let given = path.or(used.constants.iter().find(|text| !text.is_empty())).filter(|_| severity > Severity::Low);
        let given = given.map_or_else(String::new, |text| format!(", with `{}`", shown(text)));
        let message = format!("`{}` {why} ({times}, first at `{}` in {scope}){given}{load}", used.op, used.node);
        let place = if facts.text { location.clone() } else { location.clone().at_offset(used.offset) };
        judgement.findings.push(
            super::draft(&INFO, rule, &place.in_field(used.node.clone()), message).severity(severity).snippet(&used.op),
        );
    }
    judgement.findings.extend(facts.assets.iter().filter_map(|asset| asset_path(location, asset)).take(FINDINGS));
    for (name, count) in facts.registered.iter().filter(|(name, _)| !is_known_class(name)).take(FINDINGS) {
        let objects = plural(*count, "object", "objects");
        let message = format!("{objects} of the registered class `{}`", shown(name));
        judgement.findings.push(super::draft(&INFO, "registered-class", location, message).snippet(name));
    }
    if more > 0 {
        let message = format!("{} more", plural(more, "operation", "operations"));
        judgement.findings.push(super::draft(&INFO, "custom-operator", location, message));
    }
}

/// An operation that is worth a word.
struct Found<'f> {
    rule: &'static str,
    severity: Severity,
    why: String,
    used: &'f OperatorUse,
}

fn operator<'f>(facts: &TensorflowFacts, used: &'f OperatorUse, rules: &TensorflowRules) -> Option<Found<'f>> {
    let found = |rule: &str, severity, why: &str| {
        let id = format!("{}/{rule}", super::TENSORFLOW);
        // Rules that rule data names are checked by a test.
        let rule = INFO.rules.iter().find(|known| known.id == id).unwrap_or(&INFO.rules[0]);
        let name = rule.id.rsplit('/').next().unwrap_or_default();
        Some(Found { rule: name, severity, why: why.to_owned(), used })
    };
    match rules.tier(&used.op) {
        Some(OperatorTier::Pure) => None,
        Some(OperatorTier::Acts(rule, severity, why)) => {
            let severity = match rule.as_str() {
                // The graph of a training run has its input pipeline in it.
                "data-operator" if secret(facts, used) => Severity::High,
                "data-operator" if facts.kind != Kind::SavedModel => Severity::Low,
                "debug-operator" if remote(used) => Severity::High,
                _ => *severity,
            };
            found(rule, severity, why)
        }
        Some(OperatorTier::Saver) => {
            let (severity, why) = saver(facts, used)?;
            found("saver-operator", severity, why)
        }
        Some(OperatorTier::Conditional) => {
            let (rule, severity, why) = conditional(facts, used)?;
            found(rule, severity, &why)
        }
        None if used.is_function => None,
        None => {
            found("custom-operator", Severity::Low, "is no operation of TensorFlow; whoever registers the name runs")
        }
    }
}

/// Saving and restoring is normal where the model's saver does it, and where the caller gives the path.
fn saver(facts: &TensorflowFacts, used: &OperatorUse) -> Option<(Severity, &'static str)> {
    let by_saver = used.in_saver && !used.in_use;
    if facts.savers == 0 && used.function.is_some() && used.like_saver && used.in_use && used.origin.caller {
        // A graph without its saver's description: whether a saver calls the function cannot be told.
        return Some((Severity::Low, "saves or restores by a path that its caller gives"));
    }
    let by_caller = used.like_saver && !used.in_use && (used.origin.caller || !used.origin.constant);
    // Without a declared saver the whole of one may stand in the graph; in a function, only one that asks for the path.
    let declared = facts.savers > 0 && used.function.is_some() && !used.origin.caller;
    if by_saver || (by_caller && !declared) {
        return None;
    }
    Some(match used.op.as_str() {
        "MergeV2Checkpoints" => (Severity::High, "merges files and deletes them, outside of a saver"),
        "Restore" | "RestoreSlice" | "RestoreV2" if used.assigned => {
            (Severity::Low, "sets variables from a checkpoint of the graph's choice")
        }
        "Restore" | "RestoreSlice" | "RestoreV2" => (Severity::Medium, "reads a checkpoint outside of a saver"),
        _ => (Severity::High, "writes a checkpoint outside of a saver"),
    })
}

fn conditional(facts: &TensorflowFacts, used: &OperatorUse) -> Option<(&'static str, Severity, String)> {
    let attribute = |name: &str| used.attributes.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
    match used.op.as_str() {
        "PrintV2" => match attribute("output_stream") {
            Some("stderr" | "stdout" | "log(info)" | "log(warning)" | "log(error)") => None,
            Some(stream) => Some(("file-operator", Severity::High, format!("writes to `{}`", shown(stream)))),
            None => Some(("file-operator", Severity::Low, "prints without saying where to".to_owned())),
        },
        "InitializeTableFromTextFile" | "InitializeTableFromTextFileV2" => {
            let outside = used.constants.iter().find(|text| !used.origin.asset && is_outside(text));
            if used.origin.asset || (!facts.assets.is_empty() && outside.is_none()) {
                return None;
            }
            Some(match outside {
                Some(text) => {
                    ("file-operator", Severity::Medium, format!("reads `{}`, no asset of the model", shown(text)))
                }
                None => ("file-operator", Severity::Low, "reads a file that is no asset of the model".to_owned()),
            })
        }
        "DecodeProtoV2" | "EncodeProto" => {
            let source = attribute("descriptor_source").filter(|s| !s.starts_with("bytes://") && *s != "local://")?;
            Some(("file-operator", Severity::Medium, format!("reads descriptors from `{}`", shown(source))))
        }
        "FixedUnigramCandidateSampler" => {
            let file = attribute("vocab_file")?;
            Some(("file-operator", Severity::Low, format!("reads `{}`", shown(file))))
        }
        _ => {
            // A cache in memory has an empty name.
            let file = used.constants.iter().find(|text| !text.is_empty())?;
            Some(("file-operator", Severity::Medium, format!("caches records in `{}`", shown(file))))
        }
    }
}

/// Reads what a model has no business with.
fn secret(facts: &TensorflowFacts, used: &OperatorUse) -> bool {
    const PLACES: [&str; 9] = ["/etc/", "/proc/", "/root/", "/.ssh", "/.aws", "/.config", "/var/run/", "/dev/", "..\\"];
    // The name often comes from the caller of a function, so all constants of the file count.
    facts.links.iter().any(|text| PLACES.iter().any(|place| text.contains(place)))
        || used
            .constants
            .iter()
            .any(|text| text.contains("../") || text.starts_with("http://") || text.starts_with("https://"))
}

/// A debugger elsewhere, or one that writes files.
fn remote(used: &OperatorUse) -> bool {
    used.attributes.iter().any(|(_, text)| ["grpc://", "file://", "http"].iter().any(|scheme| text.starts_with(scheme)))
}

fn is_outside(path: &str) -> bool {
    let absolute = path.starts_with(['/', '\\', '~']) || path.get(1..2) == Some(":") || path.contains("://");
    absolute || path.split(['/', '\\']).any(|part| part == "..")
}

fn asset_path(location: &Location, asset: &str) -> Option<Draft> {
    is_outside(asset).then(|| {
        let message = format!("the asset `{}` leaves the model's folder", shown(asset));
        super::draft(&INFO, "asset-path", location, message).snippet(asset)
    })
}

/// Classes that TensorFlow and Keras register themselves.
fn is_known_class(name: &str) -> bool {
    ["tf.", "keras.", "tensorflow.", "Custom.StaticHashTable"].iter().any(|known| name.starts_with(known))
}

fn shown(text: &str) -> String {
    text.chars().take(120).collect::<String>().escape_debug().to_string()
}
