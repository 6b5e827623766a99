use gauntlet_limits::Limits;

use super::*;
use gauntlet_protobuf::Span;

/// Field with length-delimited content.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    [varint(u64::from(number << 3 | 2)), varint(content.len() as u64), content.to_vec()].concat()
}

fn int(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number << 3)), varint(value)].concat()
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 127 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn node(op: &str, attributes: &[u8]) -> Vec<u8> {
    field(1, &[field(1, b"x"), field(4, op.as_bytes()), attributes.to_vec()].concat())
}

fn model(graph: &[u8]) -> Vec<u8> {
    [int(1, 8), field(7, graph), field(8, &int(2, 17))].concat()
}

fn read(bytes: &[u8]) -> Result<Model> {
    Model::read(&bytes.to_vec(), &Budget::default())
}

#[test]
fn sub_graphs_know_their_owner() {
    let inner = field(5, &[field(1, b"then_branch"), field(6, &node("PyOp", b""))].concat());
    let model = read(&model(&node("If", &inner))).unwrap();
    assert_eq!(model.graphs.len(), 2);
    assert_eq!(model.graphs[1].owner, GraphOwner::Node { graph: GraphId(0), node: 0 });
    assert_eq!(model.graphs[1].nodes[0].op_type, "PyOp");
    assert_eq!(model.opsets, [OpsetImport { domain: String::new(), version: 17 }]);
}

#[test]
fn tensors_stay_in_the_file() {
    let tensor = [int(1, 2), int(1, 3), int(2, 1), field(8, b"w"), field(9, &[7; 24])].concat();
    let bytes = model(&field(5, &tensor));
    let model = read(&bytes).unwrap();
    let tensor = &model.graphs[0].initializers[0];
    assert_eq!((tensor.elements(), tensor.raw.map(|s| s.len)), (Some(6), Some(24)));
    let window = tensor.raw(&bytes).unwrap();
    let mut content = [0; 24];
    window.read_exact_at(0, &mut content).unwrap();
    assert_eq!(content, [7; 24]);
    assert_ne!(tensor.span, Span::default());
}

#[test]
fn packed_and_plain_dimensions_are_one() {
    let plain = [int(1, 2), int(1, 300)].concat();
    let packed = field(1, &[varint(2), varint(300)].concat());
    for dims in [plain, packed] {
        assert_eq!(read(&model(&field(5, &dims))).unwrap().graphs[0].initializers[0].dims, [2, 300]);
    }
}

#[test]
fn two_graph_fields_are_merged_and_counted() {
    let bytes = [model(&node("A", b"")), field(7, &node("B", b""))].concat();
    let model = read(&bytes).unwrap();
    assert_eq!((model.graph_fields, model.graphs[0].nodes.len()), (2, 2));
}

#[test]
fn other_messages_are_not_models() {
    assert!(matches!(read(b""), Err(OnnxError::NotModel)));
    assert!(matches!(read(&int(1, 8)), Err(OnnxError::NotModel)));
    assert!(matches!(read(b"hello world, hello"), Err(OnnxError::Malformed { .. } | OnnxError::Truncated { .. })));
}

#[test]
fn deep_nesting_and_floods_are_bounded() {
    let mut graph = node("X", b"");
    for _ in 0..2000 {
        graph = node("If", &field(5, &field(6, &graph)));
    }
    assert_eq!(read(&model(&graph)).unwrap().graphs.len(), 2001);

    let flood = model(&field(1, &field(1, b"").repeat(3_000_000)));
    assert!(matches!(read(&flood), Err(OnnxError::Limit(_))));
    let budget = Budget::new(Limits { steps: 100, ..Limits::default() });
    assert!(matches!(Model::read(&flood, &budget), Err(OnnxError::Limit(_))));
}
