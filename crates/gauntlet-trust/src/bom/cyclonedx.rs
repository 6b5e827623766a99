//! CycloneDX JSON (ECMA-424) with the model card of the standard: 1.5, 1.6 and 1.7.
//!
//! Attributes that the standard has no place to weigh carry their confidence as properties: `gauntlet:confidence:<path>`
//! is `verified`, `derived` or `declared`, `gauntlet:evidence:<path>` the file or envelope that says so.

use std::collections::BTreeMap;
use std::str::FromStr;

use gauntlet_core::{Algorithm, DigestSet, canonical};
use serde_json::{Map, Value, json};

use super::{
    DatasetEntry, ModelFacts, Package, Source, VulnerabilityEntry, Writer, hub_purl, model_card, spdx_identifier,
    uuid_of,
};

/// Release of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.5, the first with model cards.
    V1_5,
    /// 1.6 (ECMA-424), what most tools read.
    V1_6,
    /// 1.7.
    V1_7,
}

impl Version {
    /// `1.6` and so on.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_5 => "1.5",
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::V1_5, Self::V1_6, Self::V1_7]
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| format!("CycloneDX {text} is not written; 1.5, 1.6 and 1.7 are"))
    }
}

/// The document. Equal facts give equal documents but for `metadata.timestamp`, which the serial number leaves out.
#[must_use]
pub fn write(facts: &ModelFacts, version: Version, writer: Writer<'_>) -> Value {
    let mut document = json!({
        "$schema": format!("http://cyclonedx.org/schema/bom-{}.schema.json", version.as_str()),
        "bomFormat": "CycloneDX",
        "specVersion": version.as_str(),
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": if facts.provenance.is_empty() { "discovery" } else { "post-build" }}],
            "tools": {"components": [{"type": "application", "name": "gauntlet", "version": writer.tool_version}]},
            "component": model(facts, version),
        },
        "components": components(facts),
        "dependencies": dependencies(facts),
    });
    let formulas: Vec<Value> =
        facts.provenance.iter().zip(0usize..).map(|(entry, at)| formula(facts, entry, at)).collect();
    if !formulas.is_empty() {
        insert(&mut document, "formulation", Value::Array(formulas));
    }
    if !facts.vulnerabilities.is_empty() {
        let list = facts.vulnerabilities.iter().zip(0usize..).map(|(entry, at)| vulnerability(entry, at));
        insert(&mut document, "vulnerabilities", Value::Array(list.collect()));
    }
    // A JSON value with text keys always serialises.
    let serial = uuid_of(&canonical::to_vec(&document).unwrap_or_default());
    insert(&mut document, "serialNumber", json!(format!("urn:uuid:{serial}")));
    if let Some(metadata) = document.get_mut("metadata") {
        insert(metadata, "timestamp", json!(writer.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
    }
    document
}

pub(super) fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Properties in the order in which they were noted, with the confidence of attributes.
#[derive(Default)]
pub(super) struct Properties(Vec<Value>);

impl Properties {
    pub(super) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(json!({"name": format!("gauntlet:{name}"), "value": value.into()}));
    }

    pub(super) fn weigh(&mut self, path: &str, source: &Source) {
        self.add(&format!("confidence:{path}"), source.confidence.as_str());
        self.add(&format!("evidence:{path}"), &source.evidence);
    }

    pub(super) fn into_value(self) -> Option<Value> {
        (!self.0.is_empty()).then_some(Value::Array(self.0))
    }
}

/// An object from the members that are there.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

const MODEL: &str = "model";
const ENVIRONMENT: &str = "training-environment";

fn model(facts: &ModelFacts, version: Version) -> Value {
    let computed = Source { confidence: super::Confidence::Verified, evidence: "the bytes of the model".to_owned() };
    let mut properties = Properties::default();
    for (name, value) in facts.subject.digest.iter() {
        properties.add(&format!("digest:{name}"), value);
    }
    properties.weigh("digest", &computed);
    if let Some(risk) = facts.risk.and_then(|risk| serde_json::to_value(risk).ok()) {
        properties.add("risk-class", risk.as_str().unwrap_or_default());
        properties.weigh("risk-class", &Source::declared("gauntlet.yaml"));
    }
    if let Some((score, source)) = facts.declared(|card| card.claims.risk_score.clone()) {
        let formula = [score.formula, score.version].into_iter().flatten().collect::<Vec<_>>().join(" ");
        if let Some(value) = score.value {
            properties.add("risk-score", value.to_string());
            properties.add("risk-score:formula", formula);
            properties.weigh("risk-score", &source);
        }
    }
    tensors(facts, &mut properties);
    for scan in &facts.scans {
        properties.add(&format!("scan:{}", scan.check), scan.verdict.as_str());
        for (severity, count) in scan.findings.iter().filter(|(_, count)| *count > 0) {
            properties.add(&format!("scan:{}:{severity}", scan.check), count.to_string());
        }
        properties.weigh(&format!("scan:{}", scan.check), &scan.source);
    }
    for signature in &facts.signatures {
        let state = signature.verified_by.as_ref().map_or("not verified", |_| "verified");
        properties.add(&format!("signature:{}", signature.path), state);
        if let Some(key) = &signature.verified_by {
            properties.add(&format!("signature:{}:key", signature.path), key);
        }
    }
    let name = facts.subject.name.rsplit('/').next().unwrap_or(&facts.subject.name);
    let group = facts.subject.name.rsplit_once('/').map(|(group, _)| json!(group));
    let description = facts.declared(|card| card.texts.get(&gauntlet_core::card::SectionKind::IntendedUse).cloned());
    let files: Vec<Value> = facts.files.iter().map(file).collect();
    object([
        ("type", Some(json!("machine-learning-model"))),
        ("bom-ref", Some(json!(MODEL))),
        ("group", group),
        ("name", Some(json!(name))),
        ("version", facts.version.as_ref().map(|version| json!(version))),
        ("description", description.map(|(text, _)| json!(text))),
        ("hashes", hashes(&facts.subject.digest)),
        ("licenses", facts.declared(|card| card.claims.licence.clone()).map(|(word, _)| licence(&word))),
        ("purl", facts.purl.as_ref().map(|purl| json!(purl))),
        ("pedigree", pedigree(facts)),
        ("externalReferences", references(facts, version)),
        ("components", (!files.is_empty()).then_some(Value::Array(files))),
        ("modelCard", model_card::write(facts, version)),
        ("properties", properties.into_value()),
    ])
}

/// Tensors by element type, over all files.
fn tensors(facts: &ModelFacts, properties: &mut Properties) {
    let mut dtypes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut count = 0u64;
    for description in &facts.descriptions {
        count = count.saturating_add(description.tensor_count);
        for (dtype, tensors) in &description.dtypes {
            let sum = dtypes.entry(dtype).or_default();
            *sum = (sum.0.saturating_add(tensors.tensors), sum.1.saturating_add(tensors.elements));
        }
    }
    if count == 0 {
        return;
    }
    properties.add("tensors", count.to_string());
    for (dtype, (tensors, elements)) in dtypes {
        properties.add(&format!("tensors:{dtype}"), format!("{tensors} tensors, {elements} elements"));
    }
    let source =
        Source { confidence: super::Confidence::Verified, evidence: "the headers of the model's files".to_owned() };
    properties.weigh("tensors", &source);
    for description in &facts.descriptions {
        for tensor in &description.tensors {
            let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
            let name = format!("tensor:{}:{}", description.path, tensor.name);
            properties.add(&name, format!("{} [{}]", tensor.dtype, shape.join(", ")));
        }
        let left = description.tensor_count.saturating_sub(description.tensors.len() as u64);
        if left > 0 && !description.tensors.is_empty() {
            properties.add(&format!("tensors-not-listed:{}", description.path), left.to_string());
        }
    }
}

fn file(entry: &super::FileEntry) -> Value {
    let mut properties = Properties::default();
    properties.add("size", entry.size.to_string());
    object([
        ("type", Some(json!("file"))),
        ("bom-ref", Some(json!(format!("file:{}", entry.path)))),
        ("name", Some(json!(entry.path))),
        ("hashes", Some(json!([{"alg": "SHA-256", "content": entry.sha256}]))),
        ("properties", properties.into_value()),
    ])
}

fn hashes(digest: &DigestSet) -> Option<Value> {
    let known = [(Algorithm::Sha256, "SHA-256"), (Algorithm::Blake3, "BLAKE3"), (Algorithm::Blake2b, "BLAKE2b-512")];
    let list: Vec<Value> = known
        .into_iter()
        .filter_map(|(algorithm, name)| Some(json!({"alg": name, "content": digest.get(algorithm)?})))
        .collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

/// One licence: an SPDX identifier where we know it, else its name; expressions stay expressions.
fn licence(word: &str) -> Value {
    match spdx_identifier(word) {
        Some(id) => json!([{"license": {"id": id}}]),
        None if [" OR ", " AND ", " WITH "].iter().any(|operator| word.contains(operator)) => {
            json!([{"expression": word}])
        }
        None => json!([{"license": {"name": word}}]),
    }
}

fn pedigree(facts: &ModelFacts) -> Option<Value> {
    let (bases, source) = facts.declared(|card| Some(card.claims.base_models.clone()))?;
    let ancestors: Vec<Value> = bases
        .iter()
        .map(|base| {
            let mut properties = Properties::default();
            properties.weigh("name", &source);
            object([
                ("type", Some(json!("machine-learning-model"))),
                ("bom-ref", Some(json!(format!("base-model:{base}")))),
                ("name", Some(json!(base))),
                ("purl", hub_purl(base).map(|purl| json!(purl))),
                ("properties", properties.into_value()),
            ])
        })
        .collect();
    (!ancestors.is_empty()).then(|| json!({"ancestors": ancestors}))
}

/// Documents about the model, each by digest.
fn references(facts: &ModelFacts, version: Version) -> Option<Value> {
    let sha256 = |text: &str| text.strip_prefix("sha256:").map(str::to_owned);
    let mut list = Vec::new();
    let mut add = |kind: &str, digest: &str, comment: &str| {
        if let Some(hex) = sha256(digest) {
            let hashes = json!([{"alg": "SHA-256", "content": hex}]);
            list.push(json!({"type": kind, "url": format!("urn:sha256:{hex}"), "comment": comment, "hashes": hashes}));
        }
    };
    if let Some(entry) = &facts.card
        && let Some(digest) = &entry.card.claims.digest
    {
        add("model-card", &digest.to_string(), &entry.path);
    }
    for entry in &facts.provenance {
        add("attestation", &entry.source.evidence, "SLSA provenance");
    }
    for signature in &facts.signatures {
        // 1.5 has no type for signatures.
        let kind = if version >= Version::V1_6 { "digital-signature" } else { "other" };
        add(kind, &signature.digest.to_string(), &signature.path);
    }
    for scan in &facts.scans {
        add("static-analysis-report", &scan.source.evidence, &scan.check);
    }
    // One envelope may stand behind several figures.
    list.dedup();
    (!list.is_empty()).then_some(Value::Array(list))
}

/// Whatever belongs to the model without being part of it.
fn components(facts: &ModelFacts) -> Vec<Value> {
    let mut components: Vec<Value> = facts.datasets.iter().map(dataset).collect();
    if !facts.packages.is_empty() {
        components.push(json!({"type": "platform", "bom-ref": ENVIRONMENT, "name": "training environment"}));
        components.extend(facts.packages.iter().map(package));
    }
    components
}

fn package(package: &Package) -> Value {
    let mut properties = Properties::default();
    properties.weigh("version", &package.source);
    object([
        ("type", Some(json!("library"))),
        ("bom-ref", Some(json!(package.purl))),
        ("name", Some(json!(package.name))),
        ("version", Some(json!(package.version))),
        ("purl", Some(json!(package.purl))),
        ("hashes", package.sha256().map(|hex| json!([{"alg": "SHA-256", "content": hex}]))),
        ("properties", properties.into_value()),
    ])
}

pub(super) fn dataset_ref(dataset: &DatasetEntry) -> String {
    format!("dataset:{}", dataset.name)
}

fn dataset(entry: &DatasetEntry) -> Value {
    let declared = Source::declared(entry.manifest.clone().unwrap_or_else(|| "gauntlet.yaml".to_owned()));
    let mut properties = Properties::default();
    properties.add("role", &entry.role);
    for (name, value) in entry.digest.iter() {
        properties.add(&format!("digest:{name}"), value);
    }
    let computed = Source { confidence: super::Confidence::Verified, evidence: "the bytes of the dataset".to_owned() };
    properties.weigh("digest", &computed);
    let facts = [
        ("consent-basis", entry.consent_basis.clone()),
        ("purposes", (!entry.purposes.is_empty()).then(|| entry.purposes.join(", "))),
        ("collection-method", entry.method.clone()),
        ("rows", entry.rows.map(|rows| rows.to_string())),
        ("special-categories", entry.special_categories.map(|yes| yes.to_string())),
        ("licence", entry.licence.clone()),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            properties.add(name, value);
            properties.weigh(name, &declared);
        }
    }
    let sensitive: Vec<String> = entry.personal.iter().map(|(column, how)| format!("{column} ({how})")).collect();
    let data = object([
        ("type", Some(json!("dataset"))),
        ("name", Some(json!(entry.name))),
        ("contents", entry.origin.as_ref().map(|url| json!({"url": url}))),
        ("sensitiveData", (!sensitive.is_empty()).then(|| json!(sensitive))),
        ("description", entry.method.as_ref().map(|method| json!(method))),
    ]);
    object([
        ("type", Some(json!("data"))),
        ("bom-ref", Some(json!(dataset_ref(entry)))),
        ("name", Some(json!(entry.name))),
        ("version", entry.version.as_ref().map(|version| json!(version))),
        ("hashes", hashes(&entry.digest)),
        ("licenses", entry.licence.as_deref().map(licence)),
        ("data", Some(json!([data]))),
        ("properties", properties.into_value()),
    ])
}

fn dependencies(facts: &ModelFacts) -> Vec<Value> {
    let mut needed: Vec<String> = facts.datasets.iter().map(dataset_ref).collect();
    let mut list = Vec::new();
    if !facts.packages.is_empty() {
        needed.push(ENVIRONMENT.to_owned());
        let purls: Vec<&str> = facts.packages.iter().map(|package| package.purl.as_str()).collect();
        list.push(json!({"ref": ENVIRONMENT, "dependsOn": purls}));
    }
    list.insert(0, json!({"ref": MODEL, "dependsOn": needed}));
    list
}

/// What a scanner named. A score that is neither a number nor a word of the standard stays the scanner's word.
fn vulnerability(entry: &VulnerabilityEntry, at: usize) -> Value {
    let words = ["critical", "high", "medium", "low", "info", "none", "unknown"];
    let mut properties = Properties::default();
    properties.weigh("vulnerability", &entry.source);
    let mut ratings = Vec::new();
    for (method, score) in &entry.ratings {
        let word = score.to_lowercase();
        match score.parse::<f64>() {
            Ok(number) if number.is_finite() => ratings.push(json!({"source": {"name": method}, "score": number})),
            _ if words.contains(&word.as_str()) => ratings.push(json!({"source": {"name": method}, "severity": word})),
            _ => properties.add(&format!("rating:{method}"), score),
        }
    }
    object([
        ("bom-ref", Some(json!(format!("vulnerability:{at}")))),
        ("id", Some(json!(entry.id))),
        ("source", Some(json!({"name": entry.scanner}))),
        ("ratings", (!ratings.is_empty()).then_some(Value::Array(ratings))),
        ("affects", Some(json!([{"ref": MODEL}]))),
        ("properties", properties.into_value()),
    ])
}

/// A training run as a workflow: who ran it, when, with which parameters, from what.
fn formula(facts: &ModelFacts, entry: &super::ProvenanceEntry, at: usize) -> Value {
    let (build, run) = (&entry.provenance.build_definition, &entry.provenance.run_details);
    let metadata = run.metadata.clone().unwrap_or_default();
    let mut properties = Properties::default();
    properties.add("builder", &run.builder.id);
    properties.add("build-type", &build.build_type);
    properties.weigh("workflow", &entry.source);
    for dependency in &build.resolved_dependencies {
        let name = dependency.name.as_deref().or(dependency.uri.as_deref()).unwrap_or("unnamed");
        if dependency.uri.as_deref().is_some_and(|uri| uri.starts_with("pkg:")) {
            continue;
        }
        for (algorithm, value) in dependency.digest.iter() {
            properties.add(&format!("input:{name}:{algorithm}"), value);
        }
    }
    let parameters: Vec<Value> = build
        .external_parameters
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            json!({"name": name, "value": value, "dataType": "string"})
        })
        .collect();
    let mut inputs: Vec<Value> = facts.datasets.iter().map(|d| json!({"resource": {"ref": dataset_ref(d)}})).collect();
    if !parameters.is_empty() {
        inputs.push(json!({"parameters": parameters}));
    }
    let workflow = object([
        ("bom-ref", Some(json!(format!("workflow:{at}")))),
        ("uid", Some(json!(metadata.invocation_id.clone().unwrap_or_else(|| entry.source.evidence.clone())))),
        ("name", Some(json!("training"))),
        ("taskTypes", Some(json!(["build"]))),
        ("timeStart", metadata.started_on.as_ref().map(|time| json!(time))),
        ("timeEnd", metadata.finished_on.as_ref().map(|time| json!(time))),
        ("inputs", (!inputs.is_empty()).then_some(Value::Array(inputs))),
        ("outputs", Some(json!([{"type": "artifact", "resource": {"ref": MODEL}}]))),
        ("properties", properties.into_value()),
    ]);
    json!({"bom-ref": format!("formula:{at}"), "workflows": [workflow]})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::super::tests::sample;
    use super::*;

    fn writer(second: i64) -> Writer<'static> {
        Writer { tool_version: "0.1.0", time: Timestamp::from_second(second).unwrap() }
    }

    #[test]
    fn a_document_has_the_shape_that_the_standard_asks_for() {
        for version in [Version::V1_5, Version::V1_6, Version::V1_7] {
            let document = write(&sample(), version, writer(0));
            assert_eq!(document["specVersion"], version.as_str());
            let model = &document["metadata"]["component"];
            assert_eq!(model["type"], "machine-learning-model");
            assert_eq!(model["licenses"][0]["license"]["id"], "CC0-1.0");
            assert_eq!(model["modelCard"]["modelParameters"]["task"], "tabular-classification");
            let metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"].as_array().unwrap();
            assert_eq!(
                metrics[0],
                json!({"type": "accuracy", "value": "0.85", "slice": "age<30",
                "confidenceInterval": {"lowerBound": "0.8", "upperBound": "0.9"}})
            );
            assert_eq!(document["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
            assert_eq!(document["formulation"][0]["workflows"][0]["uid"], "run-1");
        }
    }

    #[test]
    fn every_reference_names_something_once() {
        let document = write(&sample(), Version::V1_6, writer(0));
        let mut refs = Vec::new();
        fn collect(value: &Value, refs: &mut Vec<String>) {
            if let Some(object) = value.as_object() {
                refs.extend(object.get("bom-ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| collect(value, refs));
            }
            value.as_array().into_iter().flatten().for_each(|value| collect(value, refs));
        }
        collect(&document, &mut refs);
        let unique: BTreeSet<_> = refs.iter().cloned().collect();
        assert_eq!(unique.len(), refs.len());
        for dependency in document["dependencies"].as_array().unwrap() {
            assert!(unique.contains(dependency["ref"].as_str().unwrap()));
            for on in dependency["dependsOn"].as_array().unwrap() {
                assert!(unique.contains(on.as_str().unwrap()), "{on}");
            }
        }
    }

    #[test]
    fn the_serial_number_follows_the_content_and_not_the_clock() {
        let (a, b) = (write(&sample(), Version::V1_6, writer(0)), write(&sample(), Version::V1_6, writer(9)));
        assert_eq!(a["serialNumber"], b["serialNumber"]);
        assert_ne!(a, b);
        let mut other = sample();
        other.subject.digest = DigestSet::sha256_of(b"another");
        assert_ne!(write(&other, Version::V1_6, writer(0))["serialNumber"], a["serialNumber"]);
    }

    #[test]
    fn what_is_measured_is_told_from_what_is_claimed() {
        let document = write(&sample(), Version::V1_6, writer(0));
        let card = &document["metadata"]["component"]["modelCard"];
        let property = |name: &str| {
            let list = card["properties"].as_array().unwrap();
            list.iter().find(|p| p["name"] == name).map(|p| p["value"].as_str().unwrap().to_owned())
        };
        let path = "gauntlet:confidence:quantitativeAnalysis.performanceMetrics";
        assert_eq!(property(&format!("{path}[0]")).as_deref(), Some("verified"));
        assert_eq!(property(&format!("{path}[1]")).as_deref(), Some("declared"));
        assert_eq!(property("gauntlet:confidence:modelParameters.task").as_deref(), Some("declared"));
        assert_eq!(property("gauntlet:confidence:modelParameters.inputs").as_deref(), Some("derived"));
    }

    #[test]
    fn nothing_known_is_nothing_written() {
        let mut facts = sample();
        facts.card = None;
        facts.descriptions.clear();
        facts.measured.clear();
        facts.datasets.clear();
        facts.packages.clear();
        facts.provenance.clear();
        facts.kind = None;
        let document = write(&facts, Version::V1_7, writer(0));
        assert!(document["metadata"]["component"].get("modelCard").is_none());
        assert!(document.get("formulation").is_none());
    }

    #[test]
    fn scores_keep_their_meaning() {
        let document = write(&sample(), Version::V1_6, writer(0));
        let found = &document["vulnerabilities"][0];
        assert_eq!(found["ratings"][0]["score"], 5.2);
        assert_eq!(found["ratings"][1]["severity"], "high");
        assert!(
            found["properties"].as_array().unwrap().contains(&json!({"name": "gauntlet:rating:m", "value": "likely"}))
        );
    }

    #[test]
    fn unknown_licences_are_names() {
        assert_eq!(licence("llama3"), json!([{"license": {"name": "llama3"}}]));
        assert_eq!(licence("MIT OR Apache-2.0"), json!([{"expression": "MIT OR Apache-2.0"}]));
    }
}
