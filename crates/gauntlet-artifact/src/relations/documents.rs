//! Relations of formats that are documents: layers, templates, settings, and what they name.

use gauntlet_core::{
    CallRow, ConflictRow, ImportRow, LayerRow, LinkRow, OperatorRow, Relation, TemplateRow, TensorRow,
};
use gauntlet_hdf5::LinkTarget;

use super::native::conflict;
use super::word;
use crate::facts::{
    BoostingFact, CoremlFact, Hdf5Fact, HfFact, HfKind, JavaFact, KerasFact, MsgpackFact, MxnetFact, OpenvinoFact,
    PmmlFact, RFact, ScriptFact, TemplateFact, TfjsFact, Torch7Fact,
};
use crate::formats::location::outside;

pub(super) fn keras(KerasFact(fact): &KerasFact) -> Vec<Relation> {
    let layers = fact.objects.iter().map(|object| {
        Relation::Layer(LayerRow {
            framework: "keras",
            class: object.name.clone(),
            module: object.module.clone(),
            registered_name: object.registered.clone(),
            name: Some(object.place.clone()),
        })
    });
    let code = fact.code.iter().map(|code| {
        Relation::Call(CallRow {
            language: "keras",
            callee: code.class.clone(),
            role: Some("code"),
            arguments: Some(format!("{} bytes of {}: {}", code.bytes, word(&code.kind), code.names.join(", "))),
            count: 1,
            ..CallRow::default()
        })
    });
    let files = fact.files.iter().map(|file| link(&format!("{}.{}", file.class, file.field), &file.place, &file.value));
    let operators = fact.operators.iter().map(|operator| {
        Relation::Operator(OperatorRow {
            framework: "keras",
            op_type: operator.function.clone(),
            within: Some(operator.place.clone()),
            count: 1,
            ..OperatorRow::default()
        })
    });
    let tags = fact.tags.iter().map(|tag| {
        let (module, name) = tag.target.rsplit_once('.').unwrap_or(("", &tag.target));
        Relation::Import(ImportRow {
            language: "yaml",
            module: module.to_owned(),
            name: name.to_owned(),
            called: tag.action != "name" && tag.action != "module",
            resolved: Some("literal"),
            count: 1,
            ..ImportRow::default()
        })
    });
    layers.chain(code).chain(files).chain(operators).chain(tags).collect()
}

pub(super) fn template(fact: &TemplateFact) -> Vec<Relation> {
    let facts = &fact.facts;
    let row = |construct: &str, detail: Option<String>| {
        Relation::Template(TemplateRow { construct: construct.to_owned(), detail, offset: None })
    };
    let mut rows = Vec::new();
    for (construct, names) in [
        ("variable", &facts.variables),
        ("filter", &facts.filters),
        ("test", &facts.tests),
        ("function", &facts.functions),
        ("macro", &facts.macros),
    ] {
        rows.extend(names.iter().map(|name| row(construct, Some(name.clone()))));
    }
    rows.extend(facts.attributes.iter().map(|attribute| row("attribute", Some(attribute.name.clone()))));
    rows.extend(facts.computed.iter().map(|computed| row("computed-attribute", Some(word(&computed.how)))));
    rows.extend(facts.inner_names.iter().map(|named| row("inner-name", Some(named.name.clone()))));
    rows.extend(facts.loads.iter().map(|load| row(&word(&load.kind), load.target.clone())));
    rows.extend(facts.growth.iter().map(|growth| row(&word(&growth.kind), Some(growth.amount.to_string()))));
    rows.extend(facts.unknown_statements.iter().map(|named| row("unknown-statement", Some(named.name.clone()))));
    rows.extend(facts.problems.iter().map(|problem| row("unparsed", Some(problem.message.clone()))));
    rows
}

pub(super) fn boosting(BoostingFact(fact): &BoostingFact) -> Vec<Relation> {
    let model = Relation::Layer(LayerRow {
        framework: "boosting",
        class: fact.library.clone(),
        name: Some(format!("{} trees", fact.trees)),
        ..LayerRow::default()
    });
    let code = fact.code.iter().map(|place| setting("boosting", "code", Some(place), None));
    let problems = fact.problems.iter().map(|problem| conflict(&fact.library, problem));
    std::iter::once(model).chain(code).chain(problems).collect()
}

pub(super) fn msgpack(MsgpackFact(fact): &MsgpackFact) -> Vec<Relation> {
    let arrays = fact.arrays.iter().map(|array| {
        Relation::Tensor(TensorRow {
            format: Some("msgpack"),
            name: Some(array.name.clone()),
            dtype: array.dtype.clone(),
            shape: serde_json::to_string(&array.shape).ok(),
            offset: Some(array.offset),
            length: Some(array.bytes),
            ..TensorRow::default()
        })
    });
    let extensions = fact.extensions.iter().map(|(code, offset, bytes)| {
        let detail = format!(r#"{{"offset":{offset},"bytes":{bytes}}}"#);
        setting("msgpack", "unknown-extension", Some(&code.to_string()), Some(detail))
    });
    let problems = fact.problems.iter().map(|problem| conflict("msgpack", problem));
    arrays.chain(extensions).chain(problems).collect()
}

pub(super) fn hdf5(fact: &Hdf5Fact) -> Vec<Relation> {
    let links = fact.hdf5.links.iter().map(|link| {
        let (kind, target, leaves) = match &link.target {
            LinkTarget::Soft { path } => ("soft-link", Some(path.clone()), false),
            LinkTarget::External { file, path } => ("external-link", Some(format!("{file}:{path}")), true),
            LinkTarget::UserDefined { class, .. } => ("user-defined-link", Some(format!("class {class}")), true),
        };
        let name = Some(link.path.clone());
        Relation::Link(LinkRow { link: kind.to_owned(), name, target, leaves: Some(leaves), offset: None })
    });
    let problems = fact.hdf5.problems.iter().map(|problem| conflict("hdf5", problem));
    links.chain(problems).collect()
}

pub(super) fn huggingface(fact: &HfFact) -> Vec<Relation> {
    let settings = fact.settings.iter().map(|setting| match setting.kind {
        HfKind::CustomCode | HfKind::ModuleType | HfKind::Class | HfKind::Import | HfKind::LibraryClass => {
            let (module, name) = setting.value.rsplit_once('.').unwrap_or(("", &setting.value));
            Relation::Import(ImportRow {
                language: "configuration",
                module: module.to_owned(),
                name: name.to_owned(),
                called: !matches!(setting.kind, HfKind::Import),
                resolved: Some("literal"),
                count: 1,
                ..ImportRow::default()
            })
        }
        _ => link(&word(&setting.kind), &format!("{}: {}", fact.document, setting.place), &setting.value),
    });
    settings.collect()
}

pub(super) fn torchscript(ScriptFact(fact): &ScriptFact) -> Vec<Relation> {
    let operators = fact.operators.keys().map(|operator| {
        let (domain, name) = operator.rsplit_once('.').unwrap_or(("", operator));
        Relation::Operator(OperatorRow {
            framework: "torchscript",
            domain: domain.to_owned(),
            op_type: name.to_owned(),
            count: 1,
            ..OperatorRow::default()
        })
    });
    let imports = fact.imports.iter().map(|(module, _)| {
        Relation::Import(ImportRow {
            language: "torchscript",
            module: module.clone(),
            resolved: Some("literal"),
            count: 1,
            ..ImportRow::default()
        })
    });
    operators.chain(imports).collect()
}

pub(super) fn coreml(CoremlFact(fact): &CoremlFact) -> Vec<Relation> {
    let layers = fact.layers.iter().map(|(class, name)| (class, Some(name.clone())));
    let classes = fact.classes.iter().map(|class| (class, None));
    let rows = layers.chain(classes).map(|(class, name)| {
        Relation::Layer(LayerRow { framework: "coreml", class: class.clone(), name, ..LayerRow::default() })
    });
    let operators = fact.operators.iter().map(|op| {
        Relation::Operator(OperatorRow { framework: "coreml", op_type: op.clone(), count: 1, ..OperatorRow::default() })
    });
    let files = fact.files.iter().map(|file| link("weights", "", file));
    rows.chain(operators).chain(files).collect()
}

pub(super) fn mxnet(MxnetFact(fact): &MxnetFact) -> Vec<Relation> {
    let nodes = fact.custom.iter().map(|node| {
        Relation::Operator(OperatorRow {
            framework: "mxnet",
            domain: "custom".to_owned(),
            op_type: node.op.clone(),
            node: Some(node.name.clone()),
            count: 1,
            ..OperatorRow::default()
        })
    });
    nodes.collect()
}

pub(super) fn tfjs(fact: &TfjsFact) -> Vec<Relation> {
    fact.paths.iter().map(|path| link("weights", &fact.format, path)).collect()
}

pub(super) fn r(RFact(fact): &RFact) -> Vec<Relation> {
    let calls = fact.calls.iter().map(|(name, count)| {
        Relation::Call(CallRow { language: "r", callee: name.clone(), count: *count, ..CallRow::default() })
    });
    let namespaces = fact.namespaces.iter().map(|name| {
        Relation::Import(ImportRow {
            language: "r",
            module: name.clone(),
            resolved: Some("literal"),
            count: 1,
            ..ImportRow::default()
        })
    });
    calls.chain(namespaces).collect()
}

pub(super) fn torch7(Torch7Fact(fact): &Torch7Fact) -> Vec<Relation> {
    let classes = fact.classes.keys().map(|class| layer("torch7", class));
    let functions = fact.functions.iter().map(|function| {
        Relation::Call(CallRow {
            language: "lua",
            callee: "?".to_owned(),
            role: Some("code"),
            arguments: Some(format!("{} bytes of {} code", function.size, function.code)),
            count: 1,
            offset: Some(function.offset),
            ..CallRow::default()
        })
    });
    classes.chain(functions).collect()
}

pub(super) fn java(JavaFact(fact): &JavaFact) -> Vec<Relation> {
    fact.classes.iter().map(|class| layer("java", class)).collect()
}

pub(super) fn pmml(PmmlFact(fact): &PmmlFact) -> Vec<Relation> {
    let functions = fact
        .functions
        .iter()
        .map(|name| Relation::Call(CallRow { language: "pmml", callee: name.clone(), count: 1, ..CallRow::default() }));
    functions.chain(fact.references.iter().map(|(attribute, value)| link("reference", attribute, value))).collect()
}

pub(super) fn openvino(OpenvinoFact(fact): &OpenvinoFact) -> Vec<Relation> {
    let operators = fact.custom.iter().map(|(op, version)| {
        Relation::Operator(OperatorRow {
            framework: "openvino",
            domain: version.clone(),
            op_type: op.clone(),
            count: 1,
            ..OperatorRow::default()
        })
    });
    let libraries = fact
        .libraries
        .iter()
        .map(|(element, attribute, value)| link("library", &format!("{element}.{attribute}"), value));
    operators.chain(libraries).collect()
}

fn layer(framework: &'static str, class: &str) -> Relation {
    Relation::Layer(LayerRow { framework, class: class.to_owned(), ..LayerRow::default() })
}

fn link(kind: &str, name: &str, target: &str) -> Relation {
    Relation::Link(LinkRow {
        link: kind.to_owned(),
        name: (!name.is_empty()).then(|| name.to_owned()),
        target: Some(target.to_owned()),
        leaves: Some(outside(target).is_some()),
        offset: None,
    })
}

fn setting(container: &str, conflict: &str, name: Option<&str>, detail: Option<String>) -> Relation {
    Relation::Conflict(ConflictRow {
        container: container.to_owned(),
        name: name.map(ToOwned::to_owned),
        conflict: conflict.to_owned(),
        detail,
    })
}

#[cfg(test)]
mod tests {
    use gauntlet_core::Limits;

    use super::*;

    fn relations(name: &str, bytes: &[u8]) -> Vec<Relation> {
        let facts = crate::exercise(name, bytes, &Limits::default());
        facts.rows.iter().flat_map(|row| super::super::of(row).unwrap()).collect()
    }

    #[test]
    fn layers_of_keras_are_layers() {
        let document =
            br#"{"class_name": "Functional", "module": "keras", "registered_name": null, "config": {"layers": [
            {"class_name": "Lambda", "module": "keras.layers", "registered_name": null, "config": {"name": "l"}}]}}"#;
        let rows = relations("config.json", document);
        let layer = |row: &Relation| matches!(row, Relation::Layer(layer) if layer.class == "Lambda" && layer.framework == "keras");
        assert!(rows.iter().any(layer), "{rows:?}");
    }

    #[test]
    fn what_a_template_reaches_is_told_by_construct() {
        let rows =
            relations("chat_template.jinja", b"{% for m in messages %}{{ m.__class__ }}{{ x|upper }}{% endfor %}");
        let has = |construct: &str, detail: &str| {
            rows.iter().any(|row| match row {
                Relation::Template(row) => row.construct == construct && row.detail.as_deref() == Some(detail),
                _ => false,
            })
        };
        assert!(has("attribute", "__class__") && has("filter", "upper") && has("variable", "messages"), "{rows:?}");
    }

    #[test]
    fn arrays_of_messagepack_are_tensors() {
        // {"w": ExtType(1, [[2], "float32", 8 bytes])}
        let array = [b"\x93\x91\x02\xa7float32\xc4\x08".as_slice(), &[0; 8]].concat();
        let document = [b"\x81\xa1w\xc7".as_slice(), &[array.len() as u8, 1], &array].concat();
        let rows = relations("a.msgpack", &document);
        let tensor = |row: &Relation| matches!(row, Relation::Tensor(t) if t.name.as_deref() == Some("w") && t.length == Some(8));
        assert!(rows.iter().any(tensor), "{rows:?}");
    }
}
