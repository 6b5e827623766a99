//! The generated parts of a card.

use std::collections::BTreeMap;

use gauntlet_core::card::SectionKind;
use serde_json::{Map, Value, json};

use super::Part;
use crate::bom::{Measured, ModelFacts};

/// Rows of one table; the rest is counted.
const ROWS: usize = 200;

/// The parts of the body, in the order in which they are put into a new card.
pub(super) fn parts(facts: &ModelFacts) -> Vec<Part> {
    let part = |name, section, kind, content: Option<String>| Some(Part { name, section, kind, content: content? });
    let sections = |kind: SectionKind| (Some(kind.heading()), Some(kind));
    let (evaluation, by_slice) = (sections(SectionKind::Evaluation), sections(SectionKind::EvaluationBySlice));
    let (data, training) = (sections(SectionKind::TrainingData), sections(SectionKind::Training));
    let (whole, sliced): (Vec<&Measured>, Vec<&Measured>) =
        facts.measured.iter().filter(|m| m.metric.value.is_finite()).partition(|m| m.metric.field.is_none());
    [
        part("identity", None, None, Some(identity(facts))),
        part("files", Some("Files"), None, files(facts)),
        part("training-data", data.0, data.1, datasets(facts)),
        part("training", training.0, training.1, training_run(facts)),
        part("evaluation", evaluation.0, evaluation.1, measured(&whole)),
        part("evaluation-by-slice", by_slice.0, by_slice.1, measured(&sliced)),
        part("scans", Some("Scans"), None, scans(facts)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Lines of YAML for the keys that people did not write.
pub(super) fn front_matter(facts: &ModelFacts, human: &Map<String, Value>, inside: bool) -> Vec<String> {
    let mut keys: BTreeMap<&str, Value> = BTreeMap::new();
    if !inside {
        keys.insert("gauntlet_model", json!(facts.subject.digest));
    }
    if !facts.datasets.is_empty() {
        keys.insert("datasets", json!(facts.datasets.iter().map(|dataset| &dataset.name).collect::<Vec<_>>()));
    }
    let formats = facts.formats();
    let libraries = [("ONNX", "onnx"), ("Keras", "keras"), ("GGUF", "gguf"), ("TFLite", "tflite")];
    if let Some((_, library)) = libraries.iter().find(|(format, _)| formats.contains(format)) {
        keys.insert("library_name", json!(library));
    }
    let results = model_index(facts);
    if !results.is_empty() {
        let name = super::name(facts);
        keys.insert("model-index", json!([{"name": name, "results": results}]));
    }
    // JSON is YAML: no name of a file or metric can become another key.
    keys.iter().filter(|(key, _)| !human.contains_key(**key)).map(|(key, value)| format!("{key}: {value}\n")).collect()
}

fn model_index(facts: &ModelFacts) -> Vec<Value> {
    let mut by_check: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for measured in facts.measured.iter().filter(|m| m.metric.value.is_finite()) {
        let metric = &measured.metric;
        let mut args = Map::new();
        for (name, bound) in [("low", metric.low), ("high", metric.high)] {
            if let Some(bound) = bound.filter(|bound| bound.is_finite()) {
                args.insert(name.to_owned(), json!(bound));
            }
        }
        if let Some(slice) = &metric.field {
            args.insert("slice".to_owned(), json!(slice));
        }
        args.insert("evidence".to_owned(), json!(measured.source.evidence));
        let entry = json!({"type": metric.name, "value": metric.value, "args": args});
        by_check.entry(&measured.check).or_default().push(entry);
    }
    let task = facts.card.as_ref().and_then(|entry| entry.card.claims.task.clone());
    let task = task.unwrap_or_else(|| "other".to_owned());
    by_check
        .into_iter()
        .map(|(check, metrics)| json!({"task": {"type": task}, "source": {"name": check}, "metrics": metrics}))
        .collect()
}

/// Text for one cell or line: no line ends, no markup, no comment.
fn cell(text: &str) -> String {
    let plain = text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c });
    let mut out = String::new();
    for c in plain {
        match c {
            '|' => out.push_str("\\|"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' => out.push('\''),
            c => out.push(c),
        }
    }
    out
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(head.iter().map(|name| (*name).to_owned()).collect());
    out.push_str(&line(head.iter().map(|_| "---".to_owned()).collect()));
    let more = rows.len().saturating_sub(ROWS);
    for row in rows.into_iter().take(ROWS) {
        out.push_str(&line(row.iter().map(|text| cell(text)).collect()));
    }
    if more > 0 {
        out.push_str(&format!("\n{more} more.\n"));
    }
    Some(out)
}

fn identity(facts: &ModelFacts) -> String {
    let mut rows = Vec::new();
    for (name, value) in facts.subject.digest.iter() {
        rows.push(vec![name.to_owned(), value.to_owned()]);
    }
    let mut add = |name: &str, value: Option<String>| rows.extend(value.map(|value| vec![name.to_owned(), value]));
    add("version", facts.version.clone());
    add("formats", Some(facts.formats().join(", ")).filter(|formats| !formats.is_empty()));
    add("family", facts.derived(|d| d.family.clone()).map(|(family, _)| family));
    add("architecture", facts.derived(|d| d.architectures.first().cloned()).map(|(name, _)| name));
    add("quantisation", facts.derived(|d| d.quantisation.clone()).map(|(how, _)| how));
    let parameters = facts.descriptions.iter().filter_map(|d| d.parameters()).try_fold(0u64, u64::checked_add);
    add("numbers in tensors", parameters.filter(|sum| *sum > 0).map(|sum| sum.to_string()));
    let port = |p: &gauntlet_core::Port| {
        format!("{} {} [{}]", p.name, p.dtype, p.shape.as_ref().map_or_else(|| "?".to_owned(), |s| s.join(", ")))
    };
    let ports = |ports: &[gauntlet_core::Port]| {
        (!ports.is_empty()).then(|| ports.iter().map(port).collect::<Vec<_>>().join("; "))
    };
    add("inputs", facts.derived(|d| ports(&d.inputs)).map(|(text, _)| text));
    add("outputs", facts.derived(|d| ports(&d.outputs)).map(|(text, _)| text));
    for signature in &facts.signatures {
        let state = signature
            .verified_by
            .as_ref()
            .map_or_else(|| "not verified".to_owned(), |key| format!("verified, key {key}"));
        rows.push(vec![format!("signature {}", signature.path), state]);
    }
    // A model that is judged has a digest, so there is always a row.
    table(&["what", "value"], rows).unwrap_or_default()
}

fn files(facts: &ModelFacts) -> Option<String> {
    let formats = |path: &str| {
        let found = facts
            .descriptions
            .iter()
            .find(|description| description.path == path || description.path.ends_with(&format!("/{path}")));
        found.map_or_else(String::new, |description| description.formats.join(", "))
    };
    let rows = facts.files.iter();
    let rows =
        rows.map(|file| vec![file.path.clone(), formats(&file.path), file.size.to_string(), file.sha256.clone()]);
    table(&["file", "format", "bytes", "sha256"], rows.collect())
}

fn datasets(facts: &ModelFacts) -> Option<String> {
    let rows = facts.datasets.iter().map(|dataset| {
        let digest = dataset.digest.primary().map_or_else(String::new, |digest| digest.to_string());
        let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "not stated".to_owned());
        vec![dataset.name.clone(), dataset.role.clone(), or(&dataset.licence), or(&dataset.consent_basis), digest]
    });
    table(&["dataset", "for", "licence", "consent", "digest"], rows.collect())
}

fn training_run(facts: &ModelFacts) -> Option<String> {
    let mut rows = Vec::new();
    for entry in &facts.provenance {
        let (build, run) = (&entry.provenance.build_definition, &entry.provenance.run_details);
        rows.push(vec!["builder".to_owned(), run.builder.id.clone()]);
        rows.push(vec![
            "evidence".to_owned(),
            format!("{} ({})", entry.source.evidence, entry.source.confidence.as_str()),
        ]);
        for (name, value) in &build.external_parameters {
            rows.push(vec![name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)]);
        }
    }
    rows.extend(
        facts.packages.iter().map(|package| vec![format!("package {}", package.name), package.version.clone()]),
    );
    table(&["what", "value"], rows)
}

fn measured(list: &[&Measured]) -> Option<String> {
    let rows = list.iter().map(|measured| {
        let metric = &measured.metric;
        let interval = match (metric.low, metric.high) {
            (Some(low), Some(high)) => format!("{low} to {high}"),
            _ => String::new(),
        };
        let slice = metric.field.clone().unwrap_or_default();
        let source = format!("{} ({})", measured.source.evidence, measured.source.confidence.as_str());
        vec![metric.name.clone(), slice, metric.value.to_string(), interval, measured.check.clone(), source]
    });
    table(&["metric", "slice", "value", "interval", "check", "evidence"], rows.collect())
}

fn scans(facts: &ModelFacts) -> Option<String> {
    // Judging the card is not part of it: its digest would change with each writing.
    let rows = facts.scans.iter().filter(|scan| scan.check != "artifact/card").map(|scan| {
        let findings: Vec<String> =
            scan.findings.iter().filter(|(_, n)| *n > 0).map(|(severity, n)| format!("{n} {severity}")).collect();
        vec![scan.check.clone(), scan.verdict.as_str().to_owned(), findings.join(", "), scan.source.evidence.clone()]
    });
    table(&["check", "verdict", "findings", "evidence"], rows.collect())
}
