//! Tells TensorFlow's messages from others by the structure of their first bytes: protobufs have no signature.
//!
//! A node with a known operation, or with attributes, makes a graph; a graph or the description of one makes the rest.

use super::Kind;
use crate::formats::pbtxt;
use crate::formats::protobuf::Fields;

/// What the message is whose first bytes these are; `known` says whether an operation has this name.
pub(crate) fn sniff(prefix: &[u8], known: &dyn Fn(&str) -> bool) -> Option<Kind> {
    let top = Fields::of(prefix)?;
    if top.messages(2).any(|part| is_meta_graph(part, known)) {
        Some(Kind::SavedModel)
    } else if is_meta_graph(prefix, known) {
        Some(Kind::MetaGraph)
    } else if is_graph(prefix, known) {
        Some(Kind::Graph)
    } else if is_keras_metadata(&top) {
        Some(Kind::KerasMetadata)
    } else if is_fingerprint(&top) {
        Some(Kind::Fingerprint)
    } else {
        None
    }
}

/// What the text is that begins so.
pub(crate) fn sniff_text(prefix: &[u8]) -> Option<Kind> {
    let names = pbtxt::outline(prefix)?;
    let has = |outer: &str, inner: &str| names.iter().any(|(a, b)| a == outer && b == inner);
    if has("meta_graphs", "") {
        Some(Kind::SavedModel)
    } else if has("graph_def", "") || (has("meta_info_def", "") && has("signature_def", "")) {
        Some(Kind::MetaGraph)
    } else if has("node", "op") || (has("library", "") && has("versions", "")) {
        Some(Kind::Graph)
    } else {
        None
    }
}

/// Whether the bytes begin like any protobuf message: well-formed fields up to where the prefix cuts.
pub(crate) fn is_message(prefix: &[u8]) -> bool {
    Fields::of(prefix).is_some_and(|fields| !fields.is_empty())
}

fn is_meta_graph(message: &[u8], known: &dyn Fn(&str) -> bool) -> bool {
    let Some(fields) = Fields::of(message) else { return false };
    fields.messages(2).any(|graph| is_graph(graph, known)) || fields.messages(1).any(|info| is_meta_info(info, known))
}

fn is_meta_info(message: &[u8], known: &dyn Fn(&str) -> bool) -> bool {
    let Some(fields) = Fields::of(message) else { return false };
    let declares = |list: &[u8]| {
        Fields::of(list)
            .is_some_and(|ops| ops.messages(1).any(|op| Fields::of(op).is_some_and(|op| op.texts(1).any(known))))
    };
    let version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('.');
    fields.messages(2).any(declares) || (fields.texts(4).next().is_some() && fields.texts(5).any(version))
}

fn is_graph(message: &[u8], known: &dyn Fn(&str) -> bool) -> bool {
    let Some(fields) = Fields::of(message) else { return false };
    let function = |function: &[u8]| {
        Fields::of(function).is_some_and(|fields| {
            let signature = fields.messages(1).any(|op| Fields::of(op).is_some_and(|op| op.texts(1).next().is_some()));
            signature && fields.messages(3).any(|node| is_node(node, known))
        })
    };
    let library = |library: &[u8]| Fields::of(library).is_some_and(|fields| fields.messages(1).any(function));
    fields.messages(1).any(|node| is_node(node, known)) || fields.messages(2).any(library)
}

/// A node has a name and an operation; other messages have two texts, too, so the operation must be known or the node
/// must have an attribute: a name and a message.
fn is_node(message: &[u8], known: &dyn Fn(&str) -> bool) -> bool {
    let Some(fields) = Fields::of(message) else { return false };
    let op = |op: &str| {
        op.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && op.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '>' | '.' | '/' | '-'))
    };
    let attribute = |entry: &[u8]| {
        Fields::of(entry).is_some_and(|entry| {
            let value = |value: &[u8]| Fields::of(value).is_some_and(|value| value.all_within(10));
            entry.texts(1).next().is_some() && entry.messages(2).any(value)
        })
    };
    fields.texts(1).next().is_some()
        && (fields.texts(2).any(known) || (fields.texts(2).any(op) && fields.messages(5).any(attribute)))
}

fn is_keras_metadata(fields: &Fields<'_>) -> bool {
    fields.messages(1).any(|node| {
        Fields::of(node).is_some_and(|node| (2..=5).any(|n| node.texts(n).any(|text| text.starts_with("_tf_keras_"))))
    })
}

/// Four or five hashes, a version, and a text of digits.
fn is_fingerprint(fields: &Fields<'_>) -> bool {
    let hashes = fields.numbers().filter(|number| (1..=5).contains(number)).count();
    let others = fields.messages(6).count() + fields.messages(7).count();
    (3..=5).contains(&hashes) && others >= 1 && hashes + others == fields.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(op: &str) -> bool {
        matches!(op, "Placeholder" | "WriteFile")
    }

    /// A field with bytes.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    fn node(op: &str) -> Vec<u8> {
        field(1, &[field(1, b"n"), field(2, op.as_bytes())].concat())
    }

    #[test]
    fn the_four_messages_are_told_apart() {
        let graph = [node("Unheard"), node("Placeholder")].concat();
        assert_eq!(sniff(&graph, &known), Some(Kind::Graph));
        let meta = [field(1, &field(4, b"serve")), field(2, &graph)].concat();
        assert_eq!(sniff(&meta, &known), Some(Kind::MetaGraph));
        let saved = [b"\x08\x01".to_vec(), field(2, &meta)].concat();
        assert_eq!(sniff(&saved, &known), Some(Kind::SavedModel));
        let keras = field(1, &[b"\x10\x00".to_vec(), field(3, b"root"), field(4, b"_tf_keras_layer")].concat());
        assert_eq!(sniff(&keras, &known), Some(Kind::KerasMetadata));
        // A graph of operations that nobody knows shows itself by its attributes.
        let attribute = field(5, &[field(1, b"T"), field(2, b"\x30\x01")].concat());
        let strange = field(1, &[field(1, b"n"), field(2, b"Unheard"), attribute].concat());
        assert_eq!(sniff(&strange, &known), Some(Kind::Graph));
        // Cut anywhere behind the node, it is the same.
        assert_eq!(sniff(&saved[..saved.len() - 1], &known), None);
        let more = [saved.clone(), field(2, &meta)].concat();
        assert_eq!(sniff(&more[..more.len() - 3], &known), Some(Kind::SavedModel));
    }

    #[test]
    fn other_messages_are_none_of_them() {
        // A map from text to text, as many messages begin with one.
        let map = field(1, &[field(1, b"author"), field(2, b"somebody")].concat());
        // sentencepiece: piece and score. tf.train.Example: features, a map from text to messages.
        let piece = field(1, &[field(1, b"<unk>"), b"\x15\0\0\0\0\x18\x02".to_vec()].concat());
        let example = field(1, &field(1, &[field(1, b"x"), field(2, &field(2, b"\x0a\x04abcd"))].concat()));
        // TensorProto: dimensions, type, name, raw data.
        let tensor = [b"\x08\x01\x08\x04\x10\x01".to_vec(), field(8, b"x"), field(9, &[0; 16])].concat();
        for other in [map, piece, example, tensor, b"hello, world".to_vec(), vec![0; 64], vec![0xff; 64], Vec::new()] {
            assert_eq!(sniff(&other, &known), None, "{other:?}");
        }
        let mut state = 88_172_645_463_325_252_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state as u8
                })
                .collect();
            assert_eq!(sniff(&bytes, &known), None);
        }
    }

    #[test]
    fn texts_are_told_apart() {
        assert_eq!(sniff_text(b"saved_model_schema_version: 1 meta_graphs { graph_def {"), Some(Kind::SavedModel));
        assert_eq!(sniff_text(b"meta_info_def { } graph_def { node { op: 'A' } }"), Some(Kind::MetaGraph));
        assert_eq!(sniff_text(b"node {\n  name: 'x'\n  op: 'Const'"), Some(Kind::Graph));
        assert_eq!(sniff_text(b"name: 'net' layer { name: 'a' type: 'Python' }"), None);
        assert_eq!(sniff_text(b"platform: 'tensorflow' input [ { name: 'x' } ]"), None);
        assert_eq!(sniff_text(b"The node of a graph: op and name."), None);
    }
}
