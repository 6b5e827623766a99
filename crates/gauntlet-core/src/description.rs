//! What a model file says of itself, in the words that bills of materials and model cards share. A gate makes it from
//! the facts that it stored; nothing here is judged, and nothing was run to find it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One model file, or one container member, as its headers describe it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// Path with `/` between parts, and member behind `!` when it is inside a container.
    pub path: String,
    /// Formats that the content can be read as.
    pub formats: Vec<String>,
    /// Family such as `bert` or `llama`, as configuration or header name it.
    pub family: Option<String>,
    /// Classes of the architecture, such as `BertForSequenceClassification`.
    pub architectures: Vec<String>,
    /// Program that wrote the file, with its version.
    pub producer: Option<String>,
    /// How numbers were reduced, such as `q4_0` or `int8`; absent when nothing says that they were.
    pub quantisation: Option<String>,
    /// Inputs of the main graph.
    pub inputs: Vec<Port>,
    /// Outputs of the main graph.
    pub outputs: Vec<Port>,
    /// Operator sets that the graph imports: domain and version.
    pub operator_sets: Vec<(String, i64)>,
    /// Nodes by operator.
    pub operators: BTreeMap<String, u64>,
    /// Tensors by element type.
    pub dtypes: BTreeMap<String, TensorCount>,
    /// Tensors with names and shapes, in the order of the file, at most [`Self::LISTED`].
    pub tensors: Vec<TensorShape>,
    /// Tensors in all, also those that are not listed.
    pub tensor_count: u64,
    /// Figures that configuration states, such as `hidden_size`.
    pub figures: BTreeMap<String, String>,
}

impl ModelDescription {
    /// Tensors that are listed one by one.
    pub const LISTED: usize = 256;

    /// Numbers in all tensors whose shape is known; absent when there is none or the sum does not fit.
    #[must_use]
    pub fn parameters(&self) -> Option<u64> {
        self.dtypes.values().map(|count| count.elements).try_fold(0u64, u64::checked_add).filter(|sum| *sum > 0)
    }
}

/// An input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Dimensions: a number, a name, or `?`. Absent when the shape is unknown.
    pub shape: Option<Vec<String>>,
}

/// Tensors of one element type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorCount {
    /// How many.
    pub tensors: u64,
    /// Numbers in them.
    pub elements: u64,
}

/// One tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorShape {
    /// Its name; empty where the file holds one unnamed tensor.
    pub name: String,
    /// Element type as written.
    pub dtype: String,
    /// Dimensions.
    pub shape: Vec<u64>,
}
