//! `modelCard` of CycloneDX: parameters, figures, considerations.

use gauntlet_core::card::SectionKind;
use gauntlet_core::{ModelDescription, Port};
use serde_json::{Value, json};

use super::cyclonedx::{Properties, Version, dataset_ref, object};
use super::{Confidence, ModelFacts, Source};

/// Operators and figures that are listed one by one.
const LISTED: usize = 200;

/// The model card, when anything is known that belongs into it.
pub(super) fn write(facts: &ModelFacts, version: Version) -> Option<Value> {
    let mut properties = Properties::default();
    let parameters = parameters(facts, &mut properties);
    let analysis = analysis(facts, &mut properties);
    let considerations = considerations(facts, version, &mut properties);
    details(facts, &mut properties);
    let members = [
        ("modelParameters", parameters),
        ("quantitativeAnalysis", analysis),
        ("considerations", considerations),
        ("properties", properties.into_value()),
    ];
    members.iter().any(|(_, value)| value.is_some()).then(|| object(members))
}

fn parameters(facts: &ModelFacts, properties: &mut Properties) -> Option<Value> {
    let mut take = |path: &str, found: Option<(Value, Source)>| {
        let (value, source) = found?;
        properties.weigh(&format!("modelParameters.{path}"), &source);
        Some(value)
    };
    let task = facts.declared(|card| card.claims.task.clone()).map(|(task, source)| (json!(task), source));
    let family = facts.derived(|d| d.family.clone()).map(|(family, source)| (json!(family), source));
    let architecture = facts.derived(|d| d.architectures.first().cloned()).map(|(name, source)| (json!(name), source));
    let ports = |of: fn(&ModelDescription) -> &Vec<Port>| {
        facts.derived(|d| (!of(d).is_empty()).then(|| Value::Array(of(d).iter().map(port).collect())))
    };
    let approach = facts.declared(|card| {
        let words = ["supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised"];
        let stated = card.front_matter.get("gauntlet")?.get("approach")?.as_str()?;
        words.contains(&stated).then(|| json!({"type": stated}))
    });
    let datasets = datasets(facts);
    let members = [
        ("approach", take("approach", approach)),
        ("task", take("task", task)),
        ("architectureFamily", take("architectureFamily", family)),
        ("modelArchitecture", take("modelArchitecture", architecture)),
        ("datasets", (!datasets.is_empty()).then_some(Value::Array(datasets))),
        ("inputs", take("inputs", ports(|d| &d.inputs))),
        ("outputs", take("outputs", ports(|d| &d.outputs))),
    ];
    members.iter().any(|(_, value)| value.is_some()).then(|| object(members))
}

/// `float [N, 15], "x"`: the standard has one free text for a format.
fn port(port: &Port) -> Value {
    let shape = port.shape.as_ref().map_or_else(String::new, |shape| format!(" [{}]", shape.join(", ")));
    json!({"format": format!("{} {}{shape}", port.name, port.dtype)})
}

/// Datasets of the project by reference; those that only the card names, by name.
fn datasets(facts: &ModelFacts) -> Vec<Value> {
    let ours = facts.datasets.iter().map(|dataset| json!({"ref": dataset_ref(dataset)}));
    let named = facts.card.iter().flat_map(|entry| &entry.card.claims.datasets);
    let unknown = named.filter(|name| !facts.datasets.iter().any(|d| d.name.rsplit('/').next() == Some(name.as_str())));
    ours.chain(unknown.map(|name| json!({"type": "dataset", "name": name}))).collect()
}

/// What was measured, then what the card claims beyond it.
fn analysis(facts: &ModelFacts, properties: &mut Properties) -> Option<Value> {
    let measured = facts.measured.iter().filter(|measured| measured.metric.value.is_finite()).map(|measured| {
        let metric = &measured.metric;
        ((&metric.name, metric.value, metric.low, metric.high, metric.field.clone()), measured.source.clone())
    });
    let claimed = facts.card.iter().flat_map(|entry| {
        let source = Source::declared(&entry.path);
        let slice = |claim: &gauntlet_core::card::ClaimedMetric| claim.slice.clone().or_else(|| claim.dataset.clone());
        entry
            .card
            .claims
            .metrics
            .iter()
            .map(move |claim| ((&claim.name, claim.value, claim.low, claim.high, slice(claim)), source.clone()))
    });
    let mut list = Vec::new();
    for ((name, value, low, high, slice), source) in measured.chain(claimed) {
        let bounds = [("lowerBound", low), ("upperBound", high)];
        let interval =
            object(bounds.map(|(name, bound)| (name, bound.filter(|b| b.is_finite()).map(|b| json!(b.to_string())))));
        let interval = interval.as_object().is_some_and(|o| !o.is_empty()).then_some(interval);
        properties.weigh(&format!("quantitativeAnalysis.performanceMetrics[{}]", list.len()), &source);
        list.push(object([
            ("type", Some(json!(name))),
            ("value", Some(json!(value.to_string()))),
            ("slice", slice.map(|slice| json!(slice))),
            ("confidenceInterval", interval),
        ]));
    }
    (!list.is_empty()).then(|| json!({"performanceMetrics": list}))
}

fn considerations(facts: &ModelFacts, version: Version, properties: &mut Properties) -> Option<Value> {
    let entry = facts.card.as_ref()?;
    let text = |kind: SectionKind| entry.card.texts.get(&kind).map(String::as_str);
    let one = |kind: SectionKind| text(kind).map(|text| json!([text]));
    let mitigation = text(SectionKind::Mitigations);
    let risk = |name: &str, kind: SectionKind| {
        text(kind).map(|said| {
            object([
                ("name", Some(json!(format!("{name}: {said}")))),
                ("mitigationStrategy", mitigation.map(|text| json!(text))),
            ])
        })
    };
    let ethical: Vec<Value> = [
        risk("Ethical considerations", SectionKind::Ethics),
        risk("Prohibited use", SectionKind::ProhibitedUse),
        risk("Known vulnerabilities", SectionKind::KnownVulnerabilities),
    ]
    .into_iter()
    .flatten()
    .collect();
    let fairness: Vec<Value> = fairness(facts, mitigation);
    let considerations = object([
        ("useCases", one(SectionKind::IntendedUse)),
        ("technicalLimitations", one(SectionKind::Limitations)),
        ("ethicalConsiderations", (!ethical.is_empty()).then_some(Value::Array(ethical))),
        ("fairnessAssessments", (!fairness.is_empty()).then_some(Value::Array(fairness))),
        ("environmentalConsiderations", energy(facts).filter(|_| version >= Version::V1_6)),
    ]);
    if considerations.as_object().is_none_or(serde_json::Map::is_empty) {
        return None;
    }
    properties.weigh("considerations", &Source::declared(&entry.path));
    Some(considerations)
}

/// Groups for which fairness was measured, worst figure of each.
fn fairness(facts: &ModelFacts, mitigation: Option<&str>) -> Vec<Value> {
    let measured = facts.measured.iter().filter(|m| m.check == "model/fairness" && m.metric.value.is_finite());
    measured
        .filter_map(|measured| {
            let group = measured.metric.field.as_ref()?;
            let harm = format!("{} is {} ({})", measured.metric.name, measured.metric.value, measured.source.evidence);
            Some(object([
                ("groupAtRisk", Some(json!(group))),
                ("harms", Some(json!(harm))),
                ("mitigationStrategy", mitigation.map(|text| json!(text))),
            ]))
        })
        .collect()
}

/// Energy that the front matter states in kWh under `gauntlet.energy`, and where it came from.
fn energy(facts: &ModelFacts) -> Option<Value> {
    let stated = facts.card.as_ref()?.card.front_matter.get("gauntlet")?.get("energy")?;
    let kwh = stated.get("kwh")?.as_f64().filter(|kwh| kwh.is_finite() && *kwh >= 0.0)?;
    let activity = stated.get("activity").and_then(Value::as_str).unwrap_or("training");
    let known = [
        "design",
        "data-collection",
        "data-preparation",
        "training",
        "fine-tuning",
        "validation",
        "deployment",
        "inference",
    ];
    let activity = if known.contains(&activity) { activity } else { "other" };
    let cost = json!({"value": kwh, "unit": "kWh"});
    // Who made the energy is required by the standard and not known here.
    let provider = json!({"organization": {}, "energySource": "unknown", "energyProvided": cost});
    Some(
        json!({"energyConsumptions": [{"activity": activity, "energyProviders": [provider], "activityEnergyCost": cost}]}),
    )
}

/// What the standard has no member for.
fn details(facts: &ModelFacts, properties: &mut Properties) {
    for description in &facts.descriptions {
        let path = &description.path;
        let source = Source::derived(path);
        let mut note = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                properties.add(&format!("{name}:{path}"), value);
                properties.weigh(&format!("{name}:{path}"), &source);
            }
        };
        note("formats", Some(description.formats.join(", ")));
        note("producer", description.producer.clone());
        note("quantisation", description.quantisation.clone());
        let sets: Vec<String> = description
            .operator_sets
            .iter()
            .map(|(domain, version)| format!("{} {version}", if domain.is_empty() { "ai.onnx" } else { domain }))
            .collect();
        note("operator-sets", Some(sets.join(", ")));
        let operators = description.operators.iter().take(LISTED);
        let operators: Vec<String> = operators.map(|(name, count)| format!("{name} {count}")).collect();
        note("operators", Some(operators.join(", ")));
        for (name, value) in description.figures.iter().take(LISTED) {
            note(name, Some(value.clone()));
        }
    }
    if let Some(kind) = facts.kind.and_then(|kind| serde_json::to_value(kind).ok()) {
        properties.add("kind", kind.as_str().unwrap_or_default());
        properties.weigh("kind", &Source { confidence: Confidence::Declared, evidence: "gauntlet.yaml".to_owned() });
    }
}
