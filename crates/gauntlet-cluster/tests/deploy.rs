//! The manifest for Kubernetes says nothing that Kubernetes does not know.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A field that the type does not have is gone after a round trip.
fn known<T: DeserializeOwned + serde::Serialize>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
}

#[test]
fn every_field_of_the_manifest_is_one_of_kubernetes() {
    let text = include_str!("../../../deploy/cluster/kubernetes.yaml");
    let mut kinds = Vec::new();
    for document in text.split("\n---\n") {
        let value: Value = serde_saphyr::from_str(document).unwrap();
        let kind = value["kind"].as_str().unwrap().to_owned();
        let back = match kind.as_str() {
            "Service" => known::<Service>(&value),
            "Deployment" => known::<Deployment>(&value),
            "StatefulSet" => known::<StatefulSet>(&value),
            "NetworkPolicy" => known::<NetworkPolicy>(&value),
            other => panic!("{other}"),
        };
        assert_eq!(back, value);
        kinds.push(kind);
    }
    assert_eq!(kinds, ["Service", "Service", "Deployment", "StatefulSet", "NetworkPolicy"]);
}

#[test]
fn nodes_of_the_manifest_are_confined_and_know_each_other_by_certificates() {
    let text = include_str!("../../../deploy/cluster/kubernetes.yaml");
    for document in text.split("\n---\n") {
        let value: Value = serde_saphyr::from_str(document).unwrap();
        let Some(container) = value.pointer("/spec/template/spec/containers/0") else { continue };
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        assert!(args.contains(&"--tls-ca=/tls/ca.crt") && args[0] == "worker", "{args:?}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(value.pointer("/spec/template/spec/securityContext/runAsNonRoot"), Some(&Value::Bool(true)));
    }
}
