//! From this gate's stored facts to what bills of materials and cards say of a model. No bytes are read.

use std::collections::BTreeMap;

use gauntlet_core::{Fact, FactRow, Facts, Location, ModelDescription, Port, Relation, TensorCount, TensorShape};
use gauntlet_onnx::{ElementType, OnnxFacts};

use crate::facts::{
    BoostingFact, FileFact, GgufFact, KerasFact, ModelConfigFact, OnnxFact, SafetensorsFact, TensorsFact, TfliteFact,
};

/// One description for each file or member that some format of this gate was recognised in, in the order of their paths.
/// Facts of another shape (an older extractor wrote them) describe nothing.
#[must_use]
pub fn describe(facts: &Facts) -> Vec<ModelDescription> {
    let mut found: BTreeMap<String, ModelDescription> = BTreeMap::new();
    for row in &facts.rows {
        let path = shown(&row.location);
        let description = found.entry(path.clone()).or_insert_with(|| ModelDescription { path, ..Default::default() });
        // Facts that cannot be read stay among the coverage of the check that judges them.
        if add(row, description).is_err() {
            continue;
        }
    }
    found.into_values().filter(|found| *found != bare(&found.path)).collect()
}

fn bare(path: &str) -> ModelDescription {
    ModelDescription { path: path.to_owned(), ..ModelDescription::default() }
}

fn shown(location: &Location) -> String {
    let path = location.path.as_deref().unwrap_or_default();
    location.member.as_ref().map_or_else(|| path.to_owned(), |member| format!("{path}!{member}"))
}

fn add(row: &FactRow, into: &mut ModelDescription) -> Result<(), serde_json::Error> {
    match row.kind.as_str() {
        FileFact::KIND => {
            let fact: FileFact = row.read()?;
            into.formats.extend(fact.formats.iter().map(crate::extract::Format::name));
            into.formats.sort();
            into.formats.dedup();
        }
        OnnxFact::KIND => {
            if let OnnxFact::Model { facts, .. } = row.read()? {
                onnx(&facts, into);
            }
        }
        SafetensorsFact::KIND => {
            let SafetensorsFact(fact) = row.read()?;
            into.tensor_count = into.tensor_count.max(fact.tensors);
        }
        GgufFact::KIND => {
            let GgufFact(fact) = row.read()?;
            into.family = fact.architecture;
            into.tensor_count = into.tensor_count.max(fact.tensor_count);
        }
        TensorsFact::KIND => tensors(&row.read()?, into),
        TfliteFact::KIND => {
            let TfliteFact(fact) = row.read()?;
            into.tensor_count = fact.tensors;
            operators(row, into)?;
        }
        BoostingFact::KIND => {
            let BoostingFact(fact) = row.read()?;
            into.family = Some("gradient-boosted trees".to_owned());
            into.producer = Some(fact.library);
            into.figures.insert("trees".to_owned(), fact.trees.to_string());
        }
        KerasFact::KIND => {
            let KerasFact(fact) = row.read()?;
            into.producer = fact.version.map(|version| format!("Keras {version}")).or(into.producer.take());
            let first = fact.objects.iter().find(|object| !object.function);
            into.architectures.extend(first.map(|object| object.name.clone()));
            for object in fact.objects.iter().filter(|object| !object.function) {
                let count = into.operators.entry(object.name.clone()).or_default();
                *count = count.saturating_add(object.count);
            }
        }
        ModelConfigFact::KIND => {
            let fact: ModelConfigFact = row.read()?;
            into.family = fact.family.or(into.family.take());
            into.architectures.extend(fact.architectures);
            into.producer = fact.producer.or(into.producer.take());
            into.quantisation = fact.quantisation.or(into.quantisation.take());
            into.figures.extend(fact.figures);
        }
        _ => operators(row, into)?,
    }
    Ok(())
}

/// Operators and unnamed arrays, by the relations that a fact amounts to.
fn operators(row: &FactRow, into: &mut ModelDescription) -> Result<(), serde_json::Error> {
    for relation in crate::relations::of(row)? {
        match relation {
            Relation::Operator(operator) => count_operator(into, &operator.domain, &operator.op_type, operator.count),
            Relation::Tensor(tensor) => {
                let shape = tensor.shape.as_deref().and_then(|shape| serde_json::from_str(shape).ok());
                push_tensor(into, tensor.name.unwrap_or_default(), tensor.dtype, shape);
                into.tensor_count = into.tensor_count.saturating_add(1);
            }
            _ => {}
        }
    }
    Ok(())
}

fn count_operator(into: &mut ModelDescription, domain: &str, op_type: &str, nodes: u64) {
    let name = if domain.is_empty() { op_type.to_owned() } else { format!("{domain}.{op_type}") };
    let count = into.operators.entry(name).or_default();
    *count = count.saturating_add(nodes);
}

fn onnx(facts: &OnnxFacts, into: &mut ModelDescription) {
    let producer = format!("{} {}", facts.producer, facts.producer_version);
    into.producer = Some(producer.trim().to_owned()).filter(|producer| !producer.is_empty());
    into.operator_sets.clone_from(&facts.opsets);
    into.tensor_count = facts.tensors;
    for (kind, (tensors, elements)) in &facts.constant_types {
        into.dtypes.insert(element_type(*kind), TensorCount { tensors: *tensors, elements: *elements });
    }
    for constant in facts.constants.iter().take(ModelDescription::LISTED) {
        // A dimension below zero is a finding, not a shape.
        let shape: Option<Vec<u64>> = constant.dims.iter().map(|n| u64::try_from(*n).ok()).collect();
        let (name, dtype) = (constant.name.clone(), element_type(constant.data_type));
        into.tensors.extend(shape.map(|shape| TensorShape { name, dtype, shape }));
    }
    let port = |value: &gauntlet_onnx::ValueFact| Port {
        name: value.name.clone(),
        dtype: element_type(value.element_type),
        shape: value.dims.clone(),
    };
    into.inputs = facts.inputs.iter().map(port).collect();
    into.outputs = facts.outputs.iter().map(port).collect();
    for operator in &facts.operators {
        count_operator(into, &operator.domain, &operator.op_type, operator.count);
    }
    let quantised =
        ["QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger", "MatMulNBits"];
    let used: Vec<_> = facts.operators.iter().filter(|o| quantised.contains(&o.op_type.as_str())).collect();
    if let Some(first) = used.first() {
        into.quantisation = Some(format!("operators of quantised arithmetic, such as {}", first.op_type));
    }
}

/// The specification's word for an element type.
fn element_type(number: i32) -> String {
    let known = ElementType::from_number(number).and_then(|kind| serde_json::to_value(kind).ok());
    known.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned()
}

fn tensors(fact: &TensorsFact, into: &mut ModelDescription) {
    for tensor in &fact.tensors {
        push_tensor(into, tensor.row.name.clone(), tensor.row.dtype.clone(), Some(tensor.row.shape.clone()));
    }
    let total = (fact.tensors.len() as u64).saturating_add(fact.more);
    into.tensor_count = into.tensor_count.max(total);
}

fn push_tensor(into: &mut ModelDescription, name: String, dtype: String, shape: Option<Vec<u64>>) {
    let elements = shape.as_ref().and_then(|shape| shape.iter().try_fold(1u64, |all, n| all.checked_mul(*n)));
    let count = into.dtypes.entry(dtype.clone()).or_default();
    count.tensors = count.tensors.saturating_add(1);
    count.elements = count.elements.saturating_add(elements.unwrap_or(0));
    if let Some(name) = ggml(&dtype) {
        into.quantisation = Some(name);
    }
    if let Some(shape) = shape.filter(|_| into.tensors.len() < ModelDescription::LISTED) {
        into.tensors.push(TensorShape { name, dtype, shape });
    }
}

/// The name of a block type of ggml, by the number that GGUF files state.
fn ggml(dtype: &str) -> Option<String> {
    let number: u32 = dtype.strip_prefix("ggml:")?.parse().ok()?;
    let names = [
        (2, "q4_0"),
        (3, "q4_1"),
        (6, "q5_0"),
        (7, "q5_1"),
        (8, "q8_0"),
        (9, "q8_1"),
        (10, "q2_k"),
        (11, "q3_k"),
        (12, "q4_k"),
        (13, "q5_k"),
        (14, "q6_k"),
        (15, "q8_k"),
    ];
    let name = names.iter().find(|(code, _)| *code == number).map(|(_, name)| (*name).to_owned());
    Some(name.unwrap_or_else(|| format!("ggml type {number}")))
}

#[cfg(test)]
mod tests {
    use gauntlet_core::Limits;

    use super::*;

    fn described(path: &str) -> ModelDescription {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path);
        let facts = crate::exercise(path, &std::fs::read(file).unwrap(), &Limits::default());
        let all = describe(&facts);
        all.into_iter().find(|d| d.path == path).unwrap()
    }

    #[test]
    fn an_onnx_model_has_ports_operators_and_sets() {
        let model = described("onnx/digits_mlp.onnx");
        assert_eq!(model.formats, ["ONNX"]);
        assert!(!model.inputs.is_empty() && !model.outputs.is_empty() && !model.operator_sets.is_empty());
        assert_eq!(model.inputs[0].dtype, "float");
        assert!(model.operators.values().sum::<u64>() > 0 && model.tensor_count > 0);
        assert_eq!(model.tensors.len() as u64, model.tensor_count);
        assert_eq!(model.dtypes["float"].tensors, model.tensor_count);
        assert!(model.parameters().unwrap() > 1_000);
    }

    #[test]
    fn tensors_are_counted_by_type_with_their_shapes() {
        let model = described("real/hf/bert/model.safetensors");
        assert_eq!(model.tensor_count, model.dtypes.values().map(|c| c.tensors).sum::<u64>());
        assert!(model.parameters().unwrap() > 0);
        assert_eq!(model.tensors.len() as u64, model.tensor_count.min(ModelDescription::LISTED as u64));
        let config = described("real/hf/bert/config.json");
        assert_eq!(config.family.as_deref(), Some("bert"));
        assert!(config.figures.contains_key("hidden_size"));
    }

    #[test]
    fn gguf_names_architecture_and_quantisation() {
        let model = described("real/gguf/q4_0.gguf");
        assert!(model.family.is_some());
        assert_eq!(model.quantisation.as_deref(), Some("q4_0"));
        assert_eq!(described("real/gguf/plain.gguf").quantisation, None);
    }
}
