//! From this gate's facts to the relations that people query: one arm a kind of fact. What a kind has no arm for is
//! still among the facts themselves.

mod documents;
mod native;
mod values;

use gauntlet_archive::EntryKind;
use gauntlet_core::{
    CallRow, ConflictRow, Fact, FactRow, FormatRow, ImportRow, LinkRow, OperatorRow, Relation, TensorRow,
};
use gauntlet_pickle::{Import, Resolved, Role, StreamFacts, Target, Use};
use serde::Serialize;

use crate::facts::{
    ArchiveFact, BoostingFact, CodeFact, ConfigurationFact, CoremlFact, FileFact, GgufFact, GraphFact, Hdf5Fact,
    HfFact, JavaFact, KerasFact, MsgpackFact, MxnetFact, NpyFact, OnnxFact, OpenvinoFact, PaddleFact, PickleFact,
    PmmlFact, RFact, SafetensorsFact, ScriptFact, SkopsFact, TemplateFact, TensorflowFact, TensorsFact, TfjsFact,
    TfliteFact, Torch7Fact, leaves_folder,
};

type Rows = Result<Vec<Relation>, serde_json::Error>;

/// The relations of one fact.
pub(crate) fn of(row: &FactRow) -> Rows {
    match row.kind.as_str() {
        FileFact::KIND => row.read().map(|fact| file(&fact)),
        PickleFact::KIND => row.read().map(|fact| pickle(&fact)),
        ArchiveFact::KIND => row.read().map(|fact| archive(&fact)),
        SafetensorsFact::KIND => row.read().map(|fact| safetensors(&fact)),
        OnnxFact::KIND => row.read().map(|fact| onnx(&fact)),
        NpyFact::KIND => row.read().map(|fact| npy(&fact)),
        GgufFact::KIND => row.read().map(|fact| native::gguf(&fact)),
        TfliteFact::KIND => row.read().map(|fact| native::tflite(&fact)),
        TensorflowFact::KIND => row.read().map(|fact| native::tensorflow(&fact)),
        PaddleFact::KIND => row.read().map(|fact| native::paddle(&fact)),
        GraphFact::KIND => row.read().map(|fact| native::torch_graph(&fact)),
        SkopsFact::KIND => row.read().map(|fact| native::skops(&fact)),
        TensorsFact::KIND => row.read().map(|fact| native::tensors(&fact)),
        ConfigurationFact::KIND => row.read().map(|fact| native::configuration(&fact)),
        CodeFact::KIND => row.read().map(|fact| native::code(&fact)),
        KerasFact::KIND => row.read().map(|fact| documents::keras(&fact)),
        TemplateFact::KIND => row.read().map(|fact| documents::template(&fact)),
        BoostingFact::KIND => row.read().map(|fact| documents::boosting(&fact)),
        MsgpackFact::KIND => row.read().map(|fact| documents::msgpack(&fact)),
        Hdf5Fact::KIND => row.read().map(|fact| documents::hdf5(&fact)),
        HfFact::KIND => row.read().map(|fact| documents::huggingface(&fact)),
        ScriptFact::KIND => row.read().map(|fact| documents::torchscript(&fact)),
        CoremlFact::KIND => row.read().map(|fact| documents::coreml(&fact)),
        MxnetFact::KIND => row.read().map(|fact| documents::mxnet(&fact)),
        TfjsFact::KIND => row.read().map(|fact| documents::tfjs(&fact)),
        RFact::KIND => row.read().map(|fact| documents::r(&fact)),
        Torch7Fact::KIND => row.read().map(|fact| documents::torch7(&fact)),
        JavaFact::KIND => row.read().map(|fact| documents::java(&fact)),
        PmmlFact::KIND => row.read().map(|fact| documents::pmml(&fact)),
        OpenvinoFact::KIND => row.read().map(|fact| documents::openvino(&fact)),
        _ => Ok(Vec::new()),
    }
}

fn file(fact: &FileFact) -> Vec<Relation> {
    let row = |format| Relation::Format(FormatRow { format, claim: Some(word(&fact.claim)), size: fact.size });
    if fact.formats.is_empty() {
        return vec![row(None)];
    }
    fact.formats.iter().map(|format| row(Some(format.name()))).collect()
}

fn pickle(fact: &PickleFact) -> Vec<Relation> {
    let mut rows = Vec::new();
    for (stream, number) in fact.pickle.streams.iter().zip(0u64..) {
        rows.extend(stream.imports.iter().map(|import| Relation::Import(imported(import, stream, number))));
        rows.extend(called(stream, number));
    }
    rows
}

fn imported(import: &Import, stream: &StreamFacts, number: u64) -> ImportRow {
    let (module, name) = import.modern.clone().unwrap_or_else(|| (import.module.clone(), import.name.clone()));
    let same = |target: &Target| match target {
        Target::Global { module: m, name: n } => {
            (*m == module && *n == name) || (*m == import.module && *n == import.name)
        }
        _ => false,
    };
    let call = stream.calls.iter().find(|call| same(&call.callee));
    ImportRow {
        language: "pickle",
        called: import.uses.iter().any(|u| matches!(u, Use::Called | Use::Constructed)),
        arguments: call.map(|call| values::arguments(&call.args, call.kwargs.as_ref())),
        resolved: Some(match import.resolved {
            Resolved::Literal => "literal",
            Resolved::Computed => "computed",
            Resolved::Unresolved => "unresolved",
        }),
        count: import.count,
        stream: Some(number),
        offset: Some(import.offset),
        module,
        name,
    }
}

fn called(stream: &StreamFacts, number: u64) -> impl Iterator<Item = Relation> {
    let calls = stream.calls.iter().map(move |call| CallRow {
        language: "pickle",
        callee: values::target(&call.callee),
        role: Some(match call.role {
            Role::Reduce => "reduce",
            Role::NewObj => "newobj",
            Role::NewObjEx => "newobj-ex",
            Role::Inst => "inst",
            Role::Obj => "obj",
            Role::Indirect => "indirect",
        }),
        arguments: Some(values::arguments(&call.args, call.kwargs.as_ref())),
        count: call.count,
        stream: Some(number),
        offset: Some(call.offset),
    });
    let builds = stream.builds.iter().map(move |build| CallRow {
        language: "pickle",
        callee: build.class.clone().unwrap_or_else(|| values::target(&build.target)),
        role: Some("build"),
        arguments: Some(build.keys.join(", ")),
        count: build.count,
        stream: Some(number),
        offset: Some(build.offset),
    });
    calls.chain(builds).map(Relation::Call)
}

fn archive(fact: &ArchiveFact) -> Vec<Relation> {
    let mut rows = Vec::new();
    let conflict = |name: Option<String>, conflict: String, detail: Option<String>| {
        Relation::Conflict(ConflictRow { container: fact.container.clone(), name, conflict, detail })
    };
    for named in &fact.conflicts {
        let (what, detail) = tagged(&named.conflict.kind, "conflict");
        if what == "symbolic-link" {
            // The target is the member's content, which is judged as content and not kept.
            rows.push(Relation::Link(LinkRow { link: what.clone(), name: named.name.clone(), ..LinkRow::default() }));
        }
        rows.push(conflict(named.name.clone(), what, detail));
    }
    for entry in &fact.entries {
        if matches!(entry.kind, EntryKind::HardLink | EntryKind::SymbolicLink) {
            rows.push(Relation::Link(LinkRow {
                link: word(&entry.kind),
                name: Some(entry.name.clone()),
                target: entry.link.clone(),
                leaves: Some(entry.problems.contains(&gauntlet_archive::EntryProblem::LinkLeaves)),
                offset: None,
            }));
        }
        for problem in &entry.problems {
            let detail = leaves_folder(*problem).then(|| r#"{"leaves":true}"#.to_owned());
            rows.push(conflict(Some(entry.name.clone()), word(problem), detail));
        }
    }
    rows.extend(
        fact.wrong_checksums.iter().map(|name| conflict(Some(name.clone()), "wrong-checksum".to_owned(), None)),
    );
    rows.extend(fact.expanding.iter().map(|(name, from, to)| {
        let detail = format!(r#"{{"compressed":{from},"expanded":{to}}}"#);
        conflict(Some(name.clone()), "expands-much".to_owned(), Some(detail))
    }));
    rows
}

fn safetensors(fact: &SafetensorsFact) -> Vec<Relation> {
    fact.0.problems.iter().map(|problem| native::conflict("safetensors", problem)).collect()
}

fn onnx(fact: &OnnxFact) -> Vec<Relation> {
    let OnnxFact::Model { facts, .. } = fact else { return Vec::new() };
    let mut rows = Vec::new();
    rows.extend(facts.operators.iter().map(|operator| {
        Relation::Operator(OperatorRow {
            framework: "onnx",
            domain: operator.domain.clone(),
            op_type: operator.op_type.clone(),
            node: None,
            within: Some(operator.within.clone()),
            count: operator.count,
            offset: Some(operator.offset),
        })
    }));
    for external in &facts.external {
        rows.push(Relation::Link(LinkRow {
            link: "external-data".to_owned(),
            name: Some(external.tensor.clone()),
            target: Some(external.location.clone()),
            leaves: Some(!external.problems.is_empty()),
            offset: Some(external.at),
        }));
    }
    for tensor in &facts.odd_tensors {
        let shape = serde_json::to_string(&tensor.dims).ok();
        rows.push(Relation::Tensor(TensorRow {
            format: Some("onnx"),
            name: Some(tensor.name.clone()),
            dtype: tensor.data_type.to_string(),
            shape,
            offset: Some(tensor.offset),
            length: tensor.raw_bytes,
            ..TensorRow::default()
        }));
        rows.extend(tensor.problems.iter().map(|problem| {
            Relation::Conflict(ConflictRow {
                container: "onnx".to_owned(),
                name: Some(tensor.name.clone()),
                conflict: word(problem),
                detail: None,
            })
        }));
    }
    rows
}

fn npy(fact: &NpyFact) -> Vec<Relation> {
    // Numbers that are all there are in a fact of their own, with their figures.
    if fact.0.expected.is_some_and(|expected| expected <= fact.0.available) && !fact.0.has_objects {
        return Vec::new();
    }
    vec![Relation::Tensor(TensorRow {
        format: Some("npy"),
        dtype: fact.0.descr.clone(),
        shape: serde_json::to_string(&fact.0.shape).ok(),
        offset: Some(fact.0.data),
        length: Some(fact.0.available),
        ..TensorRow::default()
    })]
}

/// The word by which a value without figures is stored.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(object)) => {
            let tag = object.iter().next();
            tag.map_or_else(String::new, |(key, value)| format!("{key}: {}", value.as_str().unwrap_or_default()))
        }
        _ => String::new(),
    }
}

/// The tag of a value that is stored as an object, and the rest of it as JSON, when there is any.
fn tagged(value: &impl Serialize, tag: &str) -> (String, Option<String>) {
    let Ok(serde_json::Value::Object(mut object)) = serde_json::to_value(value) else { return (String::new(), None) };
    let word = object.remove(tag).and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default();
    let rest = (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string());
    (word, rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gauntlet_core::{Limits, Location};

    use super::*;

    fn relations(name: &str, bytes: &[u8]) -> Vec<Relation> {
        let facts = crate::exercise(name, bytes, &Limits::default());
        facts.rows.iter().flat_map(|row| of(row).unwrap()).collect()
    }

    #[test]
    fn a_pickle_gives_its_imports_with_arguments_and_offsets() {
        let rows = relations("a.pkl", b"cposix\nsystem\n(S'echo hi'\ntR.");
        let import = rows.iter().find_map(|r| match r {
            Relation::Import(import) => Some(import),
            _ => None,
        });
        let import = import.unwrap();
        assert_eq!((import.module.as_str(), import.name.as_str(), import.called), ("posix", "system", true));
        assert_eq!(import.arguments.as_deref(), Some("'echo hi'"));
        assert_eq!((import.offset, import.stream), (Some(0), Some(0)));
        assert!(rows.iter().any(|r| matches!(r, Relation::Call(call) if call.callee == "posix.system")));
        assert!(rows.iter().any(|r| matches!(r, Relation::Format(f) if f.format.as_deref() == Some("pickle"))));
    }

    #[test]
    fn npy_headers_are_tensors() {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([0; 24]);
        let rows = relations("a.npy", &bytes);
        let tensor = rows.iter().find_map(|r| match r {
            Relation::Tensor(tensor) => Some(tensor),
            _ => None,
        });
        let tensor = tensor.unwrap();
        assert_eq!((tensor.shape.as_deref(), tensor.length), (Some("[2,3]"), Some(24)));
        assert_eq!((tensor.dtype.as_str(), tensor.min), ("F32", Some(0.0)));
    }

    #[test]
    fn contradictions_of_a_safetensors_header_are_conflicts() {
        let header = br#"{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([0; 4]);
        let rows = relations("a.safetensors", &bytes);
        let found: BTreeSet<_> = rows
            .iter()
            .filter_map(|r| match r {
                Relation::Conflict(row) => Some((row.name.as_deref(), row.conflict.as_str())),
                _ => None,
            })
            .collect();
        assert!(found.contains(&(Some("w"), "size-mismatch")), "{found:?}");
    }

    #[test]
    fn tensors_of_a_safetensors_file_come_with_their_figures() {
        let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        let rows = relations("a.safetensors", &bytes);
        let tensor = rows.iter().find_map(|r| match r {
            Relation::Tensor(tensor) => Some(tensor),
            _ => None,
        });
        let tensor = tensor.unwrap();
        assert_eq!((tensor.name.as_deref(), tensor.shape.as_deref(), tensor.length), (Some("w"), Some("[2]"), Some(8)));
        assert_eq!((tensor.min, tensor.max, tensor.nan), (Some(-2.0), Some(1.5), Some(0)));
    }

    #[test]
    fn code_inside_a_model_gives_imports_and_calls() {
        let fact = serde_json::json!({"imports": ["os.system"], "more": 0, "calls": [{"names": ["os.system"], "line": 2,
            "at_import": true, "looked_up": false, "arguments": ["'id'"], "made_of": []}]});
        let rows = of(&FactRow { kind: CodeFact::KIND.to_owned(), location: Location::default(), fact }).unwrap();
        let [Relation::Import(import), Relation::Call(call)] = rows.as_slice() else { unreachable!("{rows:?}") };
        assert_eq!((import.module.as_str(), import.name.as_str(), import.called), ("os", "system", true));
        assert_eq!((call.callee.as_str(), call.role), ("os.system", Some("at-import")));
    }

    #[test]
    fn unknown_kinds_have_no_rows_and_other_shapes_are_errors() {
        let row = |kind: &str| FactRow {
            kind: kind.to_owned(),
            location: Location::default(),
            fact: serde_json::json!({"later": true}),
        };
        assert_eq!(of(&row("of-tomorrow")).unwrap(), []);
        assert!(of(&row(PickleFact::KIND)).is_err());
    }
}
