//! What can be said about a model without judging it: operators, tensors, external files, inputs and outputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::location::{LocationProblem, location_problems};
use crate::model::{AttributeValue, Dimension, GraphOwner, Model, Tensor, ValueInfo};

/// Text of facts is cut here.
const TEXT: usize = 4096;
/// Constants that are listed by name; all are counted.
const CONSTANTS: usize = 256;
/// Entries of each list of facts; what is more is counted.
const ENTRIES: usize = 20_000;

/// Everything seen in one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OnnxFacts {
    /// `ir_version`.
    pub ir_version: Option<i64>,
    /// `producer_name`.
    pub producer: String,
    /// `producer_version`.
    pub producer_version: String,
    /// Imported operator sets: domain and version.
    pub opsets: Vec<(String, i64)>,
    /// Operators that nodes use, sorted by domain and type.
    pub operators: Vec<OperatorUse>,
    /// Local functions: domain and name.
    pub functions: Vec<(String, String)>,
    /// Constants of all graphs and attributes whose description contradicts their bytes, and their number.
    pub tensors: u64,
    /// Bytes of all constants in the file.
    pub tensor_bytes: u64,
    /// Constants by element type as written: how many, and the numbers in them.
    #[serde(default)]
    pub constant_types: BTreeMap<i32, (u64, u64)>,
    /// The first constants, at most 256.
    #[serde(default)]
    pub constants: Vec<ConstantFact>,
    /// Constants with something wrong.
    pub odd_tensors: Vec<InitializerFact>,
    /// Constants kept in other files.
    pub external: Vec<ExternalFact>,
    /// Inputs of the main graph.
    pub inputs: Vec<ValueFact>,
    /// Outputs of the main graph.
    pub outputs: Vec<ValueFact>,
    /// `metadata_props`, values cut.
    pub metadata: Vec<(String, String)>,
    /// Graphs of all kinds.
    pub graphs: u64,
    /// Nodes of all graphs.
    pub nodes: u64,
    /// `graph` fields of the model; more than one is read differently by different readers.
    pub graph_fields: u64,
    /// Fields that the specification does not know.
    pub unknown_fields: u64,
    /// Names of the lists above that were cut.
    pub truncated: Vec<String>,
}

/// An operator and how often it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorUse {
    /// Domain; empty for ONNX itself.
    pub domain: String,
    /// Type.
    pub op_type: String,
    /// Nodes.
    pub count: u64,
    /// Byte offset of the first.
    pub offset: u64,
    /// Where the first stands: `graph`, `sub-graph`, `function` or `training`.
    pub within: String,
    /// A local function of the file defines it.
    pub is_local_function: bool,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConstantFact {
    /// Name.
    pub name: String,
    /// `data_type` as written.
    pub data_type: i32,
    /// First dimensions.
    pub dims: Vec<i64>,
}

/// A constant whose description contradicts its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitializerFact {
    /// Name.
    pub name: String,
    /// `data_type` as written.
    pub data_type: i32,
    /// First dimensions.
    pub dims: Vec<i64>,
    /// Bytes in `raw_data`.
    pub raw_bytes: Option<u64>,
    /// What is wrong.
    pub problems: Vec<TensorProblem>,
    /// Where it stands in the file.
    pub offset: u64,
}

/// A contradiction in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TensorProblem {
    /// A dimension is negative.
    NegativeDimension,
    /// The number of elements, or of bytes, exceeds 64 bits.
    Overflow,
    /// `raw_data` has another length than type and dimensions ask for.
    RawLength,
    /// The typed fields hold another number of elements.
    ElementCount,
    /// The element type is undefined or unknown.
    UnknownType,
    /// `raw_data` occurs more than once, or beside typed fields or external data.
    SeveralContents,
    /// No content, though the dimensions ask for some.
    Empty,
    /// Offset, length or location of external data is not what the specification asks for.
    ExternalField,
}

/// A constant kept in another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalFact {
    /// Name of the tensor.
    pub tensor: String,
    /// Location as written.
    pub location: String,
    /// What its text gives away.
    pub problems: Vec<LocationProblem>,
    /// `offset`; `None` when absent.
    pub offset: Option<i128>,
    /// `length`; `None` when absent.
    pub length: Option<i128>,
    /// `offset` or `length` is not a number.
    pub unreadable_numbers: bool,
    /// `checksum` (SHA-1 by the specification), as written.
    pub checksum: Option<String>,
    /// Bytes that type and dimensions ask for.
    pub expected: Option<u64>,
    /// Where the tensor stands in the model file.
    pub at: u64,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueFact {
    /// Name.
    pub name: String,
    /// Element type as written; 0 when it is no tensor.
    pub element_type: i32,
    /// Dimensions as text: a number, a name, or `?`. Absent when the shape is unknown.
    pub dims: Option<Vec<String>>,
}

impl OnnxFacts {
    /// Gathers the facts of `model`.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let mut facts = Self {
            ir_version: model.ir_version,
            producer: cut(&model.producer),
            producer_version: cut(&model.producer_version),
            opsets: model.opsets.iter().take(ENTRIES).map(|o| (cut(&o.domain), o.version)).collect(),
            functions: model.functions.iter().take(ENTRIES).map(|f| (cut(&f.domain), cut(&f.name))).collect(),
            metadata: model.metadata.iter().take(ENTRIES).map(|(k, v)| (cut(k), cut(v))).collect(),
            graphs: model.graphs.len() as u64,
            graph_fields: model.graph_fields,
            unknown_fields: model.unknown_fields,
            ..Self::default()
        };
        if let Some(main) = model.graphs.first() {
            facts.inputs = main.inputs.iter().take(ENTRIES).map(value_fact).collect();
            facts.outputs = main.outputs.iter().take(ENTRIES).map(value_fact).collect();
        }
        facts.operators(model);
        for graph in &model.graphs {
            for tensor in &graph.initializers {
                facts.tensor(tensor);
            }
            for sparse in &graph.sparse_initializers {
                facts.tensor(&sparse.values);
                facts.tensor(&sparse.indices);
            }
            for value in graph.nodes.iter().flat_map(|n| &n.attributes).flat_map(|a| &a.values) {
                match value {
                    AttributeValue::Tensor(tensor) => facts.tensor(tensor),
                    AttributeValue::Sparse(sparse) => {
                        facts.tensor(&sparse.values);
                        facts.tensor(&sparse.indices);
                    }
                    _ => {}
                }
            }
        }
        facts.note_cuts(model);
        facts
    }

    fn operators(&mut self, model: &Model) {
        let mut uses: BTreeMap<(&str, &str), OperatorUse> = BTreeMap::new();
        for graph in &model.graphs {
            let within = match graph.owner {
                GraphOwner::Model => "graph",
                GraphOwner::Training => "training",
                GraphOwner::Function(_) => "function",
                GraphOwner::Node { .. } => "sub-graph",
            };
            for node in graph.nodes.iter().filter(|node| !node.op_type.is_empty() || !node.domain.is_empty()) {
                self.nodes += 1;
                let entry = uses.entry((&node.domain, &node.op_type)).or_insert_with(|| OperatorUse {
                    domain: cut(&node.domain),
                    op_type: cut(&node.op_type),
                    count: 0,
                    offset: node.offset,
                    within: within.to_owned(),
                    is_local_function: false,
                });
                entry.count += 1;
            }
        }
        for function in &model.functions {
            if let Some(entry) = uses.get_mut(&(function.domain.as_str(), function.name.as_str())) {
                entry.is_local_function = true;
            }
        }
        self.operators = uses.into_values().take(ENTRIES).collect();
    }

    fn tensor(&mut self, tensor: &Tensor) {
        self.tensors += 1;
        let count = self.constant_types.entry(tensor.data_type).or_default();
        *count = (count.0.saturating_add(1), count.1.saturating_add(tensor.elements().unwrap_or(0)));
        if self.constants.len() < CONSTANTS {
            let dims = tensor.dims.iter().take(16).copied().collect();
            self.constants.push(ConstantFact { name: cut(&tensor.name), data_type: tensor.data_type, dims });
        }
        self.tensor_bytes += tensor.raw.map_or(0, |span| span.len);
        let expected = tensor.element_type().zip(tensor.elements()).and_then(|(kind, n)| kind.bytes(n));
        let external = tensor.is_external || !tensor.external.is_empty();
        let mut problems = problems(tensor, expected);
        if external {
            let fact = external_fact(tensor, expected);
            let length_differs = fact.length.zip(expected).is_some_and(|(length, bytes)| length != i128::from(bytes));
            let range = |n: Option<i128>| n.is_some_and(|n| !(0..=i128::from(i64::MAX)).contains(&n));
            if fact.unreadable_numbers || range(fact.offset) || range(fact.length) || length_differs {
                problems.push(TensorProblem::ExternalField);
            }
            if self.external.len() < ENTRIES {
                self.external.push(fact);
            } else {
                self.cut_list("external");
            }
        }
        if !problems.is_empty() {
            if self.odd_tensors.len() < ENTRIES {
                self.odd_tensors.push(InitializerFact {
                    name: cut(&tensor.name),
                    data_type: tensor.data_type,
                    dims: tensor.dims.iter().take(16).copied().collect(),
                    raw_bytes: tensor.raw.map(|span| span.len),
                    problems,
                    offset: tensor.span.offset,
                });
            } else {
                self.cut_list("odd_tensors");
            }
        }
    }

    fn note_cuts(&mut self, model: &Model) {
        let cuts = [
            ("opsets", model.opsets.len()),
            ("functions", model.functions.len()),
            ("metadata", model.metadata.len()),
            ("operators", self.operators.len() + 1),
        ];
        for (list, len) in cuts {
            if len > ENTRIES {
                self.cut_list(list);
            }
        }
    }

    fn cut_list(&mut self, list: &str) {
        if !self.truncated.iter().any(|known| known == list) {
            self.truncated.push(list.to_owned());
        }
    }
}

fn problems(tensor: &Tensor, expected: Option<u64>) -> Vec<TensorProblem> {
    let mut problems = Vec::new();
    let external = tensor.is_external || !tensor.external.is_empty();
    // An absent tensor (the values of a sparse one, say) has nothing to contradict.
    let absent = tensor.data_type == 0 && tensor.dims.is_empty() && tensor.raw.is_none() && tensor.typed_elements == 0;
    if absent && !external {
        return problems;
    }
    if tensor.dims.iter().any(|dim| *dim < 0) {
        problems.push(TensorProblem::NegativeDimension);
    } else if tensor.elements().is_none()
        || (expected.is_none() && tensor.element_type().is_some_and(|t| t.bits().is_some()))
    {
        problems.push(TensorProblem::Overflow);
    }
    if tensor.element_type().is_none() {
        problems.push(TensorProblem::UnknownType);
    }
    let contents = [tensor.raw.is_some(), tensor.typed_elements > 0, external];
    if tensor.raw_fields > 1 || contents.iter().filter(|present| **present).count() > 1 {
        problems.push(TensorProblem::SeveralContents);
    }
    if let (Some(raw), Some(expected)) = (tensor.raw, expected)
        && raw.len != expected
    {
        problems.push(TensorProblem::RawLength);
    }
    if let (Some(elements), None, false) = (tensor.elements(), tensor.raw, external) {
        // Complex numbers take two entries, and sub-byte types share one.
        let entries = match tensor.element_type().and_then(crate::ElementType::bits) {
            Some(bits @ (2 | 4)) => elements.div_ceil(8 / bits),
            _ if matches!(tensor.data_type, 14 | 15) => elements.saturating_mul(2),
            _ => elements,
        };
        // Writers disagree on whether two 4-bit values share an `int32_data` entry.
        if tensor.typed_elements == 0 && elements > 0 {
            problems.push(TensorProblem::Empty);
        } else if tensor.typed_elements != entries && tensor.typed_elements != elements {
            problems.push(TensorProblem::ElementCount);
        }
    }
    problems
}

fn external_fact(tensor: &Tensor, expected: Option<u64>) -> ExternalFact {
    let number = |key| tensor.external_value(key).map(|text| text.trim().parse::<i128>().ok());
    let (offset, length) = (number("offset"), number("length"));
    let location = tensor.external_value("location").unwrap_or_default();
    ExternalFact {
        tensor: cut(&tensor.name),
        problems: location_problems(location),
        location: cut(location),
        unreadable_numbers: offset == Some(None) || length == Some(None),
        offset: offset.flatten(),
        length: length.flatten(),
        checksum: tensor.external_value("checksum").map(cut),
        expected,
        at: tensor.span.offset,
    }
}

fn value_fact(info: &ValueInfo) -> ValueFact {
    let text = |dim: &Dimension| match dim {
        Dimension::Value(n) => n.to_string(),
        Dimension::Name(name) => cut(name),
        Dimension::Unknown => "?".to_owned(),
    };
    ValueFact {
        name: cut(&info.name),
        element_type: info.element_type,
        dims: info.dims.as_ref().map(|dims| dims.iter().take(64).map(text).collect()),
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
