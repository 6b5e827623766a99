//! Relations of formats that have a header or a graph of their own.

use gauntlet_core::{CallRow, ConflictRow, ImportRow, LayerRow, LinkRow, OperatorRow, Relation, TensorRow};

use super::tagged;
use crate::facts::{
    CodeFact, ConfigurationFact, GgufFact, GraphFact, PaddleFact, SettingKind, SkopsFact, TensorflowFact, TensorsFact,
    TfliteFact,
};

pub(super) fn gguf(fact: &GgufFact) -> Vec<Relation> {
    // Tensors whose size is known are in a fact of their own, with their figures.
    let tensors = fact.0.tensors.iter().filter(|tensor| tensor.bytes.is_none()).map(|tensor| {
        Relation::Tensor(TensorRow {
            format: Some("gguf"),
            name: Some(tensor.name.clone()),
            dtype: format!("type {}", tensor.kind),
            shape: serde_json::to_string(&tensor.shape).ok(),
            offset: fact.0.data.checked_add(tensor.offset),
            ..TensorRow::default()
        })
    });
    tensors.chain(fact.0.problems.iter().map(|problem| conflict("gguf", problem))).collect()
}

pub(super) fn tensorflow(fact: &TensorflowFact) -> Vec<Relation> {
    let operators = fact.0.operators.iter().map(|used| {
        Relation::Operator(OperatorRow {
            framework: "tensorflow",
            domain: String::new(),
            op_type: used.op.clone(),
            node: Some(used.node.clone()),
            within: Some(used.function.as_ref().map_or("graph".to_owned(), |name| format!("function {name}"))),
            count: used.count,
            offset: (!fact.0.text).then_some(used.offset),
        })
    });
    let links = fact.0.links.iter().chain(&fact.0.assets).map(|target| {
        Relation::Link(LinkRow { link: "text".to_owned(), target: Some(target.clone()), ..LinkRow::default() })
    });
    let counted = |kind: &'static str| move |(name, _): (&String, &u64)| (kind, name.clone());
    let registered = fact.0.registered.iter().map(counted("registered"));
    let objects = fact.0.objects.iter().map(counted("object")).chain(registered).map(|(kind, class)| {
        let name = Some(kind.to_owned());
        Relation::Layer(LayerRow { framework: "tensorflow", class, name, ..LayerRow::default() })
    });
    let signatures = fact.0.signatures.iter().map(|signature| {
        Relation::Layer(LayerRow {
            framework: "tensorflow",
            class: "signature".to_owned(),
            name: Some(signature.clone()),
            ..LayerRow::default()
        })
    });
    operators.chain(links).chain(objects).chain(signatures).collect()
}

pub(super) fn paddle(fact: &PaddleFact) -> Vec<Relation> {
    let operators = fact.0.operators.iter().map(|(op_type, count)| {
        Relation::Operator(OperatorRow {
            framework: "paddle",
            domain: String::new(),
            op_type: op_type.clone(),
            node: None,
            within: None,
            count: *count,
            offset: None,
        })
    });
    operators.collect()
}

pub(super) fn tensors(fact: &TensorsFact) -> Vec<Relation> {
    let rows = fact.tensors.iter().map(|tensor| {
        let stats = tensor.stats.as_ref();
        Relation::Tensor(TensorRow {
            format: None,
            name: Some(tensor.row.name.clone()),
            dtype: tensor.row.dtype.clone(),
            shape: serde_json::to_string(&tensor.row.shape).ok(),
            offset: Some(tensor.row.offset),
            length: Some(tensor.row.bytes),
            min: stats.and_then(|s| s.min),
            max: stats.and_then(|s| s.max),
            nan: stats.map(|s| s.nan),
            infinite: stats.map(|s| s.infinite),
        })
    });
    rows.collect()
}

pub(super) fn configuration(fact: &ConfigurationFact) -> Vec<Relation> {
    let settings = fact.settings.iter().map(|setting| {
        let name = Some(setting.place.clone());
        match setting.kind {
            SettingKind::Target | SettingKind::Module | SettingKind::Registered | SettingKind::Imported => {
                let called = matches!(setting.kind, SettingKind::Target | SettingKind::Registered);
                let split = setting.value.rsplit_once('.').filter(|_| called);
                let (module, name) = split.unwrap_or((&setting.value, ""));
                Relation::Import(ImportRow {
                    language: "configuration",
                    module: module.to_owned(),
                    name: name.to_owned(),
                    called,
                    resolved: Some("literal"),
                    count: 1,
                    ..ImportRow::default()
                })
            }
            SettingKind::Path
            | SettingKind::LaterPath
            | SettingKind::Library
            | SettingKind::Source
            | SettingKind::Digest
            | SettingKind::Code => Relation::Link(LinkRow {
                link: if setting.kind == SettingKind::Library { "library" } else { "setting" }.to_owned(),
                name,
                target: Some(setting.value.clone()),
                ..LinkRow::default()
            }),
        }
    });
    let tags = fact.tags.iter().map(|tag| {
        Relation::Layer(LayerRow {
            framework: "yaml",
            class: tag.tag.clone(),
            name: Some(tag.place.clone()),
            ..LayerRow::default()
        })
    });
    settings.chain(tags).collect()
}

pub(super) fn tflite(fact: &TfliteFact) -> Vec<Relation> {
    let operators = fact.0.operators.iter().map(|operator| {
        Relation::Operator(OperatorRow {
            framework: "tflite",
            domain: if operator.custom.is_some() { "custom".to_owned() } else { String::new() },
            op_type: operator.custom.clone().unwrap_or_else(|| format!("builtin {}", operator.builtin)),
            count: operator.uses,
            ..OperatorRow::default()
        })
    });
    operators.chain(fact.0.problems.iter().map(|problem| conflict("tflite", problem))).collect()
}

pub(super) fn torch_graph(fact: &GraphFact) -> Vec<Relation> {
    let operators = fact.targets.iter().map(|(target, count)| {
        Relation::Operator(OperatorRow {
            framework: "torch",
            op_type: target.clone(),
            count: *count,
            ..OperatorRow::default()
        })
    });
    operators.collect()
}

pub(super) fn skops(fact: &SkopsFact) -> Vec<Relation> {
    let layers = fact.nodes.iter().map(|node| {
        Relation::Layer(LayerRow {
            framework: "skops",
            class: node.class.clone(),
            module: Some(node.module.clone()),
            registered_name: Some(node.loader.clone()),
            name: Some(node.place.clone()),
        })
    });
    layers.collect()
}

pub(super) fn code(fact: &CodeFact) -> Vec<Relation> {
    let mut rows = Vec::new();
    for path in &fact.imports {
        let called = fact.calls.iter().find(|call| call.names.contains(path));
        let (module, name) = path.rsplit_once('.').unwrap_or((path, ""));
        rows.push(Relation::Import(ImportRow {
            language: "python",
            module: module.to_owned(),
            name: name.to_owned(),
            called: called.is_some(),
            arguments: called.map(|call| call.arguments.join(", ")),
            resolved: Some("literal"),
            count: 1,
            ..ImportRow::default()
        }));
    }
    for call in &fact.calls {
        rows.extend(call.names.iter().map(|name| {
            Relation::Call(CallRow {
                language: "python",
                callee: name.clone(),
                role: call.at_import.then_some("at-import"),
                arguments: Some(call.arguments.join(", ")),
                count: 1,
                ..CallRow::default()
            })
        }));
    }
    rows
}

/// A problem that names what it is about by `tensor` or `key`.
pub(super) fn conflict(container: &str, problem: &impl serde::Serialize) -> Relation {
    let (conflict, detail) = tagged(problem, "problem");
    let value: Option<serde_json::Value> = detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let name = value.and_then(|v| Some(v.get("tensor").or_else(|| v.get("key"))?.as_str()?.to_owned()));
    Relation::Conflict(ConflictRow { container: container.to_owned(), name, conflict, detail })
}
