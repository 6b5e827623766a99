//! What the text format needs to know of TensorFlow's messages: the fields that [`super::read`] reads.

use crate::formats::pbtxt::Kind::{Message as M, Number, Text};
use crate::formats::pbtxt::Message;

const N: crate::formats::pbtxt::Kind = Number(&[]);
/// `DataType`, as far as it matters: strings.
const TYPE: crate::formats::pbtxt::Kind = Number(&[("DT_STRING", 7)]);

/// Messages; see [`root`] for the outermost.
#[rustfmt::skip]
pub(crate) static SCHEMA: &[Message] = &[
    // 0: CheckpointState
    &[("model_checkpoint_path", 1, Text), ("all_model_checkpoint_paths", 2, Text)],
    // 1: SavedModel
    &[("saved_model_schema_version", 1, N), ("meta_graphs", 2, M(2))],
    // 2: MetaGraphDef
    &[("meta_info_def", 1, M(4)), ("graph_def", 2, M(3)), ("saver_def", 3, M(5)), ("collection_def", 4, M(6)),
      ("signature_def", 5, M(7)), ("asset_file_def", 6, M(8)), ("object_graph_def", 7, M(9))],
    // 3: GraphDef
    &[("node", 1, M(10)), ("library", 2, M(11)), ("versions", 4, M(29)), ("version", 3, N)],
    // 4: MetaInfoDef
    &[("meta_graph_version", 1, Text), ("stripped_op_list", 2, M(12)), ("tags", 4, Text), ("tensorflow_version", 5, Text),
      ("tensorflow_git_version", 6, Text)],
    // 5: SaverDef
    &[("filename_tensor_name", 1, Text), ("save_tensor_name", 2, Text), ("restore_op_name", 3, Text)],
    // 6: collection_def entry
    &[("key", 1, Text), ("value", 2, M(13))],
    // 7: signature_def entry
    &[("key", 1, Text), ("value", 2, M(14))],
    // 8: AssetFileDef
    &[("tensor_info", 1, M(15)), ("filename", 2, Text)],
    // 9: SavedObjectGraph
    &[("nodes", 1, M(16))],
    // 10: NodeDef
    &[("name", 1, Text), ("op", 2, Text), ("input", 3, Text), ("device", 4, Text), ("attr", 5, M(17))],
    // 11: FunctionDefLibrary
    &[("function", 1, M(18))],
    // 12: OpList
    &[("op", 1, M(19))],
    // 13: CollectionDef
    &[("node_list", 1, M(20)), ("bytes_list", 2, M(20)), ("any_list", 5, M(21))],
    // 14: SignatureDef
    &[("inputs", 1, M(22)), ("outputs", 2, M(22)), ("method_name", 3, Text)],
    // 15: TensorInfo
    &[("name", 1, Text)],
    // 16: SavedObject
    &[("user_object", 4, M(23)), ("registered_name", 13, Text), ("registered_saver", 16, Text)],
    // 17: attr entry
    &[("key", 1, Text), ("value", 2, M(24))],
    // 18: FunctionDef
    &[("signature", 1, M(19)), ("node_def", 3, M(10)), ("attr", 5, M(17))],
    // 19: OpDef
    &[("name", 1, Text), ("input_arg", 2, M(15))],
    // 20: NodeList, BytesList
    &[("value", 1, Text)],
    // 21: AnyList
    &[("value", 1, M(25))],
    // 22: inputs and outputs entry
    &[("key", 1, Text), ("value", 2, M(15))],
    // 23: SavedUserObject
    &[("identifier", 1, Text), ("metadata", 3, Text)],
    // 24: AttrValue
    &[("list", 1, M(26)), ("s", 2, Text), ("i", 3, N), ("b", 5, N), ("type", 6, TYPE), ("tensor", 8, M(27)), ("func", 10, M(28))],
    // 25: Any
    &[("type_url", 1, Text), ("value", 2, Text)],
    // 26: AttrValue.ListValue
    &[("s", 2, Text), ("tensor", 8, M(27)), ("func", 9, M(28))],
    // 27: TensorProto
    &[("dtype", 1, TYPE), ("tensor_content", 4, Text), ("string_val", 8, Text)],
    // 28: NameAttrList
    &[("name", 1, Text), ("attr", 2, M(17))],
    // 29: VersionDef
    &[("producer", 1, N)],
];

/// The message of a kind that is written as text.
pub(crate) fn root(kind: super::Kind) -> usize {
    match kind {
        super::Kind::MetaGraph => 2,
        super::Kind::Graph => 3,
        _ => 1,
    }
}
