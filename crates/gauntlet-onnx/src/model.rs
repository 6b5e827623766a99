//! The structure of a model. Tensor contents stay in the file as ranges.

use gauntlet_limits::{ReadAt, Window};
use gauntlet_protobuf::Span;

use crate::ElementType;

/// Index into [`Model::graphs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GraphId(pub usize);

/// `ModelProto`.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// `ir_version`.
    pub ir_version: Option<i64>,
    /// `producer_name`.
    pub producer: String,
    /// `producer_version`.
    pub producer_version: String,
    /// `domain` of the model, in reverse DNS.
    pub domain: String,
    /// `model_version`.
    pub model_version: i64,
    /// `opset_import`.
    pub opsets: Vec<OpsetImport>,
    /// All graphs: the main one first, then sub-graphs, function bodies and training graphs.
    pub graphs: Vec<Graph>,
    /// Local functions.
    pub functions: Vec<Function>,
    /// `metadata_props`.
    pub metadata: Vec<(String, String)>,
    /// How many `graph` fields the file has; protobuf merges them, other readers take the last.
    pub graph_fields: u64,
    /// Fields that this reader does not know.
    pub unknown_fields: u64,
}

/// `OperatorSetIdProto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpsetImport {
    /// Empty for ONNX itself.
    pub domain: String,
    /// Version.
    pub version: i64,
}

/// What a graph belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GraphOwner {
    /// The model.
    #[default]
    Model,
    /// `training_info`.
    Training,
    /// The body of a function, by its index in [`Model::functions`].
    Function(usize),
    /// An attribute of a node of another graph.
    Node {
        /// The graph of that node.
        graph: GraphId,
        /// The node's index.
        node: usize,
    },
}

/// `GraphProto`, or the body of a function.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Name.
    pub name: String,
    /// What it belongs to.
    pub owner: GraphOwner,
    /// Nodes in file order.
    pub nodes: Vec<Node>,
    /// Constants.
    pub initializers: Vec<Tensor>,
    /// Sparse constants.
    pub sparse_initializers: Vec<SparseTensor>,
    /// Inputs.
    pub inputs: Vec<ValueInfo>,
    /// Outputs.
    pub outputs: Vec<ValueInfo>,
}

/// `FunctionProto`, without its body.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Name; the operator type that calls it.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// `overload`.
    pub overload: String,
    /// Input names.
    pub inputs: Vec<String>,
    /// Output names.
    pub outputs: Vec<String>,
    /// Names of attributes without a default.
    pub attributes: Vec<String>,
    /// `opset_import`.
    pub opsets: Vec<OpsetImport>,
    /// Its body, in [`Model::graphs`].
    pub body: Option<GraphId>,
}

/// `NodeProto`.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Name; may be empty.
    pub name: String,
    /// Operator type.
    pub op_type: String,
    /// Operator domain; empty for ONNX itself.
    pub domain: String,
    /// Names of values; empty for an absent optional one.
    pub inputs: Vec<String>,
    /// Names of values.
    pub outputs: Vec<String>,
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// Where the node stands.
    pub offset: u64,
}

/// `AttributeProto`.
#[derive(Clone, Debug, Default)]
pub struct Attribute {
    /// Name.
    pub name: String,
    /// `ref_attr_name`: filled in by the caller of the function.
    pub reference: String,
    /// Everything the attribute holds; honest files hold one kind.
    pub values: Vec<AttributeValue>,
}

/// One value of an attribute; repeated fields give one entry with all of them.
#[derive(Clone, Debug)]
pub enum AttributeValue {
    /// `f`
    Float(f32),
    /// `i`
    Int(i64),
    /// `s`: bytes in the file.
    Bytes(Vec<u8>),
    /// `t`, `tensors`
    Tensor(Tensor),
    /// `sparse_tensor`, `sparse_tensors`
    Sparse(SparseTensor),
    /// `g`, `graphs`
    Graph(GraphId),
    /// `floats`
    Floats(Vec<f32>),
    /// `ints`
    Ints(Vec<i64>),
    /// `strings`
    Strings(Vec<Vec<u8>>),
}

/// `TensorProto`, its contents as ranges.
#[derive(Clone, Debug, Default)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// `data_type` as written.
    pub data_type: i32,
    /// Dimensions as written.
    pub dims: Vec<i64>,
    /// The last `raw_data` field.
    pub raw: Option<Span>,
    /// How many `raw_data` fields there are.
    pub raw_fields: u32,
    /// Elements in `float_data`, `int32_data`, `int64_data`, `double_data`, `uint64_data` and `string_data` together.
    pub typed_elements: u64,
    /// Bytes in `string_data`.
    pub string_bytes: u64,
    /// `data_location` is EXTERNAL.
    pub is_external: bool,
    /// `external_data`.
    pub external: Vec<(String, String)>,
    /// The whole message, for reading typed elements later.
    pub span: Span,
}

impl Tensor {
    /// The element type, if the specification knows it.
    #[must_use]
    pub fn element_type(&self) -> Option<ElementType> {
        ElementType::from_number(self.data_type)
    }

    /// Number of elements; `None` when a dimension is negative or the product exceeds 64 bits.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |product, dim| product.checked_mul(u64::try_from(*dim).ok()?))
    }

    /// `raw_data` (little endian, see `TensorProto`), left in the file.
    #[must_use]
    pub fn raw<'a>(&self, source: &'a dyn ReadAt) -> Option<Window<'a>> {
        self.raw.map(|span| Window::new(source, span.offset, span.len))
    }

    /// The last value that `external_data` gives for `key`.
    #[must_use]
    pub fn external_value(&self, key: &str) -> Option<&str> {
        self.external.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// `SparseTensorProto`.
#[derive(Clone, Debug, Default)]
pub struct SparseTensor {
    /// Non-zero values; carries the name.
    pub values: Tensor,
    /// Their places.
    pub indices: Tensor,
    /// Dimensions.
    pub dims: Vec<i64>,
}

/// `ValueInfoProto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueInfo {
    /// Name.
    pub name: String,
    /// Element type as written; 0 when it is no tensor.
    pub element_type: i32,
    /// A tensor's dimensions: numbers, names, or neither.
    pub dims: Option<Vec<Dimension>>,
}

/// One dimension of a [`ValueInfo`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Known.
    Value(i64),
    /// Named.
    Name(String),
    /// Neither.
    Unknown,
}
