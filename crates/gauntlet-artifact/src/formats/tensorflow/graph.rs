//! The structure of graphs. Tensor contents stay in the file as ranges.

use std::collections::BTreeMap;

use gauntlet_protobuf::Span;
use serde::{Deserialize, Serialize};

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// `SavedModel`.
    #[default]
    SavedModel,
    /// `MetaGraphDef`.
    MetaGraph,
    /// `GraphDef`.
    Graph,
    /// Keras's `SavedMetadata`.
    KerasMetadata,
    /// `FingerprintDef`: check sums of a SavedModel.
    Fingerprint,
}

/// Everything read from one file.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub kind: Kind,
    /// One for a graph that stands alone.
    pub graphs: Vec<MetaGraph>,
    /// Contents of constants and collections that are long enough to hold a file.
    pub blobs: Vec<Blob>,
    /// Blobs that were not kept.
    pub more_blobs: u64,
    /// JSON documents of Keras: what holds them, and where they are.
    pub documents: Vec<(String, Span)>,
    /// Fields that TensorFlow does not know.
    pub unknown_fields: u64,
}

/// Bytes inside of a graph.
#[derive(Debug)]
pub(crate) struct Blob {
    /// The node or collection.
    pub name: String,
    pub span: Span,
}

/// `MetaGraphDef`.
#[derive(Debug, Default)]
pub(crate) struct MetaGraph {
    pub tags: Vec<String>,
    pub version: String,
    /// Names in `stripped_op_list`.
    pub declared: Vec<String>,
    pub main: Scope,
    pub functions: Vec<Scope>,
    /// Tensors and operations that start saving and restoring.
    pub savers: Vec<String>,
    pub signatures: Vec<Signature>,
    pub assets: Vec<Asset>,
    /// Operations that run when the model is loaded.
    pub on_load: Vec<String>,
    /// Kinds of user objects, and how many.
    pub objects: BTreeMap<String, u64>,
    /// Registered classes and savers that loading looks up by name.
    pub registered: BTreeMap<String, u64>,
}

/// The nodes of a graph or function.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Empty for the main graph.
    pub name: String,
    pub arguments: Vec<String>,
    pub nodes: Vec<Node>,
}

/// `NodeDef`, without the attributes that only describe shapes and types.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub name: String,
    pub op: String,
    pub inputs: Vec<String>,
    /// Attributes with text.
    pub texts: Vec<(String, String)>,
    /// Functions that attributes name.
    pub functions: Vec<String>,
    /// The first strings of a constant.
    pub strings: Vec<String>,
    pub offset: u64,
}

/// `SignatureDef`.
#[derive(Debug, Default)]
pub(crate) struct Signature {
    pub key: String,
    pub outputs: Vec<String>,
}

/// `AssetFileDef`.
#[derive(Debug, Default)]
pub(crate) struct Asset {
    pub tensor: String,
    pub file: String,
}
