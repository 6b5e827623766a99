//! SPDX 3.0.1 in JSON-LD: the AI and Dataset profiles. Written only; a profile is claimed only when everything that it
//! requires is known.

use gauntlet_core::card::SectionKind;
use gauntlet_core::project::{Kind, Risk};
use gauntlet_core::{Algorithm, DigestSet, canonical};
use serde_json::{Map, Value, json};

use super::{DatasetEntry, ModelFacts, Writer, hub_purl, spdx_identifier, uuid_of};

const CONTEXT: &str = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
const CREATION: &str = "_:creationinfo";

/// The document. Element names follow the content, so equal facts have equal names whatever the clock says.
#[must_use]
pub fn write(facts: &ModelFacts, writer: Writer<'_>) -> Value {
    let content = canonical::to_vec(&Elements::default().graph(facts, "")).unwrap_or_default();
    let base = format!("https://gauntlet.example/spdx/{}#", uuid_of(&content));
    let mut graph = vec![json!({
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": "3.0.1",
        "created": writer.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "createdBy": [format!("{base}creator")],
        "createdUsing": [format!("{base}tool")],
    })];
    graph.push(element("Tool", &base, "tool", json!({"name": format!("gauntlet {}", writer.tool_version)})));
    graph.extend(Elements::default().graph(facts, &base));
    json!({"@context": CONTEXT, "@graph": graph})
}

fn element(kind: &str, base: &str, name: &str, members: Value) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!(kind));
    object.insert("spdxId".to_owned(), json!(format!("{base}{name}")));
    object.insert("creationInfo".to_owned(), json!(CREATION));
    let members = members.as_object().cloned().unwrap_or_default();
    object.extend(members.into_iter().filter(|(_, value)| !value.is_null() && *value != json!([])));
    Value::Object(object)
}

#[derive(Default)]
struct Elements {
    list: Vec<Value>,
    relations: usize,
}

impl Elements {
    fn graph(mut self, facts: &ModelFacts, base: &str) -> Vec<Value> {
        let owner = facts.owners.get("model");
        self.list.push(match owner {
            Some(owner) => element("Person", base, "creator", json!({"name": owner})),
            None => element("SoftwareAgent", base, "creator", json!({"name": "gauntlet"})),
        });
        self.list.push(model(facts, base));
        for (file, at) in facts.files.iter().zip(0usize..) {
            let members = json!({
                "name": file.path,
                "software_primaryPurpose": "model",
                "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": file.sha256}],
            });
            self.list.push(element("software_File", base, &format!("file-{at}"), members));
        }
        let files: Vec<String> = (0..facts.files.len()).map(|at| format!("file-{at}")).collect();
        self.relate(base, "model", "contains", &files);
        for (entry, at) in facts.datasets.iter().zip(0usize..) {
            let name = format!("dataset-{at}");
            self.list.push(dataset(entry, facts.kind, base, &name));
            let how = if entry.role == "test" { "testedOn" } else { "trainedOn" };
            self.relate(base, "model", how, std::slice::from_ref(&name));
            self.licence(base, &name, entry.licence.as_deref());
        }
        for (package, at) in facts.packages.iter().zip(0usize..) {
            let members = json!({
                "name": package.name,
                "software_packageVersion": package.version,
                "software_packageUrl": package.purl,
                "software_primaryPurpose": "library",
                "verifiedUsing": package.sha256().map(|hex| json!([{"type": "Hash", "algorithm": "sha256", "hashValue": hex}])),
            });
            self.list.push(element("software_Package", base, &format!("package-{at}"), members));
        }
        let packages: Vec<String> = (0..facts.packages.len()).map(|at| format!("package-{at}")).collect();
        self.relate(base, "model", "dependsOn", &packages);
        if let Some((bases, _)) = facts.declared(|card| Some(card.claims.base_models.clone())) {
            for (name, at) in bases.iter().zip(0usize..) {
                let id = format!("base-model-{at}");
                let members =
                    json!({"name": name, "software_packageUrl": hub_purl(name), "software_primaryPurpose": "model"});
                self.list.push(element("ai_AIPackage", base, &id, members));
                self.relate(base, &id, "ancestorOf", &["model".to_owned()]);
            }
        }
        let licence = facts.declared(|card| card.claims.licence.clone());
        self.licence(base, "model", licence.as_ref().map(|(word, _)| word.as_str()));
        let all: Vec<String> = self
            .list
            .iter()
            .filter_map(|element| element.get("spdxId").and_then(Value::as_str).map(str::to_owned))
            .collect();
        let members = json!({
            "name": format!("{} bill of materials", facts.subject.name),
            "profileConformance": profiles(facts),
            "rootElement": [format!("{base}model")],
            "element": all,
        });
        self.list.push(element("SpdxDocument", base, "document", members));
        self.list
    }

    fn relate(&mut self, base: &str, from: &str, how: &str, to: &[String]) {
        if to.is_empty() {
            return;
        }
        let to: Vec<String> = to.iter().map(|name| format!("{base}{name}")).collect();
        let members = json!({"from": format!("{base}{from}"), "relationshipType": how, "to": to});
        self.list.push(element("Relationship", base, &format!("relationship-{}", self.relations), members));
        self.relations = self.relations.saturating_add(1);
    }

    /// Only identifiers of SPDX and expressions: another word would be an expression that nobody can read.
    fn licence(&mut self, base: &str, of: &str, word: Option<&str>) {
        let Some(word) = word else { return };
        let expression = match spdx_identifier(word) {
            Some(id) => id.to_owned(),
            None if word.starts_with("LicenseRef-") || word.contains(" OR ") || word.contains(" AND ") => {
                word.to_owned()
            }
            None => return,
        };
        let name = format!("licence-of-{of}");
        let members = json!({"simplelicensing_licenseExpression": expression});
        self.list.push(element("simplelicensing_LicenseExpression", base, &name, members));
        self.relate(base, of, "hasDeclaredLicense", &[name]);
    }
}

fn model(facts: &ModelFacts, base: &str) -> Value {
    let text = |kind: SectionKind| facts.card.as_ref().and_then(|entry| entry.card.texts.get(&kind).cloned());
    let entry = |key: String, value: String| json!({"type": "DictionaryEntry", "key": key, "value": value});
    let measured = facts.measured.iter().filter(|measured| measured.metric.value.is_finite()).map(|measured| {
        let slice = measured.metric.field.as_ref().map_or_else(String::new, |field| format!(" [{field}]"));
        let confidence = measured.source.confidence.as_str();
        entry(format!("{}{slice} ({confidence})", measured.metric.name), measured.metric.value.to_string())
    });
    let claimed = facts.card.iter().flat_map(|card| &card.card.claims.metrics).map(|claim| {
        let slice = claim.slice.as_ref().or(claim.dataset.as_ref()).map_or_else(String::new, |s| format!(" [{s}]"));
        entry(format!("{}{slice} (declared)", claim.name), claim.value.to_string())
    });
    let parameters = facts.provenance.iter().flat_map(|made| &made.provenance.build_definition.external_parameters);
    let parameters: Vec<Value> = parameters
        .map(|(name, value)| entry(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let mut kinds: Vec<String> = facts.derived(|d| d.family.clone()).map(|(family, _)| family).into_iter().collect();
    kinds.extend(facts.derived(|d| d.architectures.first().cloned()).map(|(name, _)| name));
    let task = facts.declared(|card| card.claims.task.clone()).map(|(task, _)| task);
    let personal = facts.datasets.iter().any(|dataset| !dataset.personal.is_empty());
    // That no manifest lists personal data does not say that there is none.
    let sensitive = if personal { "yes" } else { "noAssertion" };
    let risk = facts.risk.map(|risk| match risk {
        Risk::Minimal => "low",
        Risk::Limited => "medium",
        Risk::High => "high",
    });
    let name = facts.subject.name.rsplit('/').next().unwrap_or(&facts.subject.name);
    let members = json!({
        "name": name,
        "software_primaryPurpose": "model",
        "software_packageVersion": facts.version,
        "software_packageUrl": facts.purl,
        "suppliedBy": facts.owners.get("model").map(|_| format!("{base}creator")),
        "verifiedUsing": hashes(&facts.subject.digest),
        "comment": digest_comment(&facts.subject.digest),
        "ai_typeOfModel": kinds,
        "ai_domain": task.into_iter().collect::<Vec<_>>(),
        "ai_hyperparameter": parameters,
        "ai_metric": measured.chain(claimed).collect::<Vec<_>>(),
        "ai_limitation": text(SectionKind::Limitations),
        "ai_informationAboutTraining": text(SectionKind::Training),
        "ai_informationAboutApplication": text(SectionKind::IntendedUse),
        "ai_safetyRiskAssessment": risk,
        "ai_useSensitivePersonalInformation": sensitive,
    });
    element("ai_AIPackage", base, "model", members)
}

fn dataset(entry: &DatasetEntry, kind: Option<Kind>, base: &str, name: &str) -> Value {
    let kind = match kind {
        Some(Kind::Tabular) => "structured",
        Some(Kind::Text) => "text",
        Some(Kind::Vision) => "image",
        Some(Kind::Audio) => "audio",
        Some(Kind::Generative) | None => "noAssertion",
    };
    let members = json!({
        "name": entry.name,
        "software_primaryPurpose": "data",
        "software_packageVersion": entry.version,
        "verifiedUsing": hashes(&entry.digest),
        "comment": digest_comment(&entry.digest),
        "dataset_datasetType": [kind],
        "dataset_datasetSize": entry.rows,
        "dataset_dataCollectionProcess": entry.method,
        "dataset_intendedUse": (!entry.purposes.is_empty()).then(|| entry.purposes.join(", ")),
        "dataset_hasSensitivePersonalInformation": if entry.personal.is_empty() { "noAssertion" } else { "yes" },
    });
    element("dataset_DatasetPackage", base, name, members)
}

fn hashes(digest: &DigestSet) -> Option<Value> {
    let known = [(Algorithm::Sha256, "sha256"), (Algorithm::Blake3, "blake3"), (Algorithm::Blake2b, "blake2b512")];
    let list: Vec<Value> = known
        .into_iter()
        .filter_map(|(algorithm, name)| {
            Some(json!({"type": "Hash", "algorithm": name, "hashValue": digest.get(algorithm)?}))
        })
        .collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

/// SPDX knows no digest of a folder that binds names.
fn digest_comment(digest: &DigestSet) -> Option<String> {
    digest.get(Algorithm::DirHash1).map(|hex| format!("dirHash1 {hex}"))
}

/// The AI profile asks for version, supplier, place and release time of each package; the latter two are not known here,
/// so it is not claimed.
fn profiles(facts: &ModelFacts) -> Vec<&'static str> {
    let mut profiles = vec!["core", "software"];
    let licensed = facts.card.iter().any(|entry| entry.card.claims.licence.is_some());
    if licensed || facts.datasets.iter().any(|dataset| dataset.licence.is_some()) {
        profiles.push("simpleLicensing");
    }
    profiles
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::super::tests::sample;
    use super::*;

    fn written(second: i64) -> Value {
        write(&sample(), Writer { tool_version: "0.1.0", time: Timestamp::from_second(second).unwrap() })
    }

    #[test]
    fn every_name_that_is_used_is_an_element() {
        let document = written(0);
        let graph = document["@graph"].as_array().unwrap();
        let ids: BTreeSet<&str> = graph.iter().filter_map(|e| e["spdxId"].as_str()).collect();
        assert_eq!(ids.len() + 1, graph.len(), "one without name: the creation");
        for relation in graph.iter().filter(|e| e["type"] == "Relationship") {
            assert!(ids.contains(relation["from"].as_str().unwrap()));
            assert!(relation["to"].as_array().unwrap().iter().all(|to| ids.contains(to.as_str().unwrap())));
        }
        let kinds: Vec<&str> = graph.iter().filter_map(|e| e["type"].as_str()).collect();
        for kind in ["ai_AIPackage", "dataset_DatasetPackage", "software_Package", "SpdxDocument", "Tool"] {
            assert!(kinds.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn names_follow_the_content_and_not_the_clock() {
        let id = |document: &Value| document["@graph"][1]["spdxId"].clone();
        assert_eq!(id(&written(0)), id(&written(9)));
        assert_ne!(written(0), written(9));
    }

    #[test]
    fn figures_say_how_sure_they_are() {
        let document = written(0);
        let model =
            document["@graph"].as_array().unwrap().iter().find(|e| e["type"] == "ai_AIPackage").unwrap().clone();
        let keys: Vec<&str> = model["ai_metric"].as_array().unwrap().iter().filter_map(|m| m["key"].as_str()).collect();
        assert_eq!(keys, ["accuracy [age<30] (verified)", "accuracy [churn-test] (declared)"]);
        assert_eq!(model["ai_safetyRiskAssessment"], "high");
    }
}
