//! SLSA provenance v1: how a model was trained, converted or quantised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::predicate::{Members, Predicate, null_is_default};
use super::{ResourceDescriptor, StatementError};

/// How something was made.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The predicate of SLSA provenance v1 (slsa.dev/spec/v1.1/provenance). Extensions have names that are URIs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What was asked for, and from what.
    pub build_definition: BuildDefinition,
    /// Who made it, when, and what came out beside the subjects.
    pub run_details: RunDetails,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// What was asked for, and from what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// URI of the kind of build; it says what the parameters mean.
    pub build_type: String,
    /// What the requester chose: command, hyper-parameters, seed. Untrusted until a policy looks at each.
    pub external_parameters: Map<String, Value>,
    /// What the builder chose.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Map::is_empty")]
    pub internal_parameters: Map<String, Value>,
    /// What went in: base model, data sets, commit, container, packages.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub resolved_dependencies: Vec<ResourceDescriptor>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// Who made it, when, and what came out beside the subjects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetails {
    /// Who is trusted to have run it as described.
    pub builder: Builder,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BuildMetadata>,
    /// What came out beside the subjects: logs, metrics, reports.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<ResourceDescriptor>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// The builder, which a consumer expects a key for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Builder {
    /// URI of the builder and the trust that it needs.
    pub id: String,
    /// Component to version.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
    /// What the builder itself depends on.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub builder_dependencies: Vec<ResourceDescriptor>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

/// Which run it was, and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildMetadata {
    /// Tells runs of one builder apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    /// RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_on: Option<String>,
    /// RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_on: Option<String>,
    /// Members that this type does not name.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}

impl Predicate for Provenance {
    const TYPES: &'static [&'static str] = &[PROVENANCE];
    const NAME: &'static str = "provenance";

    fn check(&self) -> Result<(), StatementError> {
        let member = Members::of::<Self>();
        let (build, run) = (&self.build_definition, &self.run_details);
        member.uri("buildDefinition.buildType", &build.build_type)?;
        member.resources("buildDefinition.resolvedDependencies", &build.resolved_dependencies)?;
        member.uri("runDetails.builder.id", &run.builder.id)?;
        member.resources("runDetails.builder.builderDependencies", &run.builder.builder_dependencies)?;
        member.resources("runDetails.byproducts", &run.byproducts)?;
        if let Some(metadata) = &run.metadata {
            member.time("runDetails.metadata.startedOn", metadata.started_on.as_deref())?;
            member.time("runDetails.metadata.finishedOn", metadata.finished_on.as_deref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gauntlet_core::DigestSet;
    use serde_json::json;

    use super::super::Statement;
    use super::*;

    fn trained() -> Value {
        json!({
            "buildDefinition": {
                "buildType": "https://gauntlet.example/training/v1",
                "externalParameters": {"command": ["python3", "train.py"], "seed": 7},
                "resolvedDependencies": [{"name": "train", "digest": {"sha256": "00"}}],
            },
            "runDetails": {
                "builder": {"id": "https://gauntlet.example/train/v1", "version": {"gauntlet": "0.1.0"}},
                "metadata": {"invocationId": "1", "startedOn": "2026-01-01T00:00:00Z", "finishedOn": null},
                "byproducts": null,
            },
            "https://gauntlet.example/limits/v1": {"wall": "2h"},
        })
    }

    #[test]
    fn a_training_run_round_trips_with_its_extensions() {
        let typed: Provenance = super::super::predicate::read(trained()).unwrap();
        assert_eq!(typed.build_definition.external_parameters["seed"], 7);
        assert!(typed.extensions.contains_key("https://gauntlet.example/limits/v1"));
        let subject = ResourceDescriptor::named("m", DigestSet::sha256_of(b"m"));
        let written = Statement::about(vec![subject], typed.clone()).unwrap().to_bytes().unwrap();
        let back = Statement::parse(&written).unwrap();
        assert_eq!(back.predicate_as::<Provenance>().unwrap(), typed);
    }

    #[test]
    fn each_required_member_is_required() {
        for (pointer, why) in [
            ("/buildDefinition/buildType", "buildType"),
            ("/buildDefinition/externalParameters", "externalParameters"),
            ("/buildDefinition", "buildDefinition"),
            ("/runDetails/builder/id", "id"),
            ("/runDetails/builder", "builder"),
            ("/runDetails", "runDetails"),
        ] {
            let mut value = trained();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            let refusal = super::super::predicate::read::<Provenance>(value).unwrap_err().to_string();
            assert!(refusal.contains(why), "{pointer}: {refusal}");
        }
        for (pointer, wrong, why) in [
            ("/buildDefinition/buildType", json!("training"), "not a URI"),
            ("/runDetails/builder/id", json!(""), "missing or empty"),
            ("/runDetails/metadata/startedOn", json!("2026-01-01 00:00"), "RFC 3339"),
            ("/buildDefinition/resolvedDependencies/0", json!({"name": "x"}), "resolvedDependencies[0]"),
        ] {
            let mut value = trained();
            *value.pointer_mut(pointer).unwrap() = wrong;
            let refusal = super::super::predicate::read::<Provenance>(value).unwrap_err().to_string();
            assert!(refusal.contains(why), "{pointer}: {refusal}");
        }
    }
}
