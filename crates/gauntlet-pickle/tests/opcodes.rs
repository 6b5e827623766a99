//! Every opcode once, with the value that STOP hands out.

use std::collections::BTreeSet;

use gauntlet_limits::{Budget, Limits};
use gauntlet_pickle::opcode::{OPCODES, opcode};
use gauntlet_pickle::{AnomalyKind, Arg, ImportOp, Role, StreamEnd, StreamFacts, Target, interpret_bytes};

fn run(bytes: &[u8]) -> StreamFacts {
    interpret_bytes(bytes, &Budget::new(Limits::default())).streams.remove(0)
}

fn int(value: i64) -> Arg {
    Arg::Int { value: Some(value) }
}

fn text(text: &str) -> Arg {
    Arg::Str { text: Some(text.to_owned()), len: text.len() as u64 }
}

fn bytes(text: &str) -> Arg {
    Arg::Bytes { text: Some(text.to_owned()), len: text.len() as u64 }
}

fn seq(of: &str, items: Vec<Arg>) -> Arg {
    let len = items.len() as u64 / if of == "dict" { 2 } else { 1 };
    Arg::Container { of: of.to_owned(), len, items, more: false }
}

fn global(module: &str, name: &str) -> Arg {
    Arg::Global { module: module.to_owned(), name: name.to_owned() }
}

fn result(module: &str, name: &str) -> Arg {
    Arg::Result { call: Some(0), callee: Target::Global { module: module.to_owned(), name: name.to_owned() } }
}

/// (opcode under test, stream, value at STOP)
fn table() -> Vec<(&'static str, &'static [u8], Arg)> {
    vec![
        ("MARK", b"(I1\nt.", seq("tuple", vec![int(1)])),
        ("STOP", b"N.", Arg::None),
        ("POP", b"I1\nI2\n0.", int(1)),
        ("DUP", b"I1\n2\x86.", seq("tuple", vec![int(1), int(1)])),
        ("FLOAT", b"F1.5\n.", Arg::Float),
        ("INT", b"I-7\n.", int(-7)),
        ("LONG", b"L12L\n.", int(12)),
        ("NONE", b"N.", Arg::None),
        ("PERSID", b"Pid\n.", Arg::PersistentId { tag: None }),
        ("REDUCE", b"cm\nf\n)R.", result("m", "f")),
        ("STRING", b"S'a\\x62'\n.", text("ab")),
        ("UNICODE", b"Va\\u0062\n.", text("ab")),
        ("APPEND", b"]K\x01a.", seq("list", vec![int(1)])),
        ("BUILD", b"cm\nf\n)R}b.", result("m", "f")),
        ("GLOBAL", b"cm\nf\n.", global("m", "f")),
        ("DICT", b"(K\x01Nd.", seq("dict", vec![int(1), Arg::None])),
        ("GET", b"K\x01p5\n0g5\n.", int(1)),
        ("INST", b"(im\nf\n.", result("m", "f")),
        ("LIST", b"(K\x01l.", seq("list", vec![int(1)])),
        ("PUT", b"K\x01p5\n0g5\n.", int(1)),
        ("SETITEM", b"}K\x01Ns.", seq("dict", vec![int(1), Arg::None])),
        ("TUPLE", b"(K\x01t.", seq("tuple", vec![int(1)])),
        ("POP_MARK", b"K\x01(K\x02K\x031.", int(1)),
        ("BININT", b"J\xff\xff\xff\xff.", int(-1)),
        ("BININT1", b"K\xff.", int(255)),
        ("BININT2", b"M\xff\xff.", int(65535)),
        ("BINPERSID", b"U\x01a\x85Q.", Arg::PersistentId { tag: Some("a".to_owned()) }),
        ("BINSTRING", b"T\x02\0\0\0ab.", text("ab")),
        ("SHORT_BINSTRING", b"U\x02ab.", text("ab")),
        ("BINUNICODE", b"X\x02\0\0\0ab.", text("ab")),
        ("APPENDS", b"](K\x01K\x02e.", seq("list", vec![int(1), int(2)])),
        ("BINGET", b"K\x01q\x050h\x05.", int(1)),
        ("LONG_BINGET", b"K\x01q\x050j\x05\0\0\0.", int(1)),
        ("OBJ", b"(cm\nf\nK\x01o.", result("m", "f")),
        ("BINPUT", b"K\x01q\x050h\x05.", int(1)),
        ("LONG_BINPUT", b"K\x01r\x05\0\0\x010j\x05\0\0\x01.", int(1)),
        ("SETITEMS", b"}(K\x01Nu.", seq("dict", vec![int(1), Arg::None])),
        ("EMPTY_TUPLE", b").", seq("tuple", vec![])),
        ("EMPTY_LIST", b"].", seq("list", vec![])),
        ("EMPTY_DICT", b"}.", seq("dict", vec![])),
        ("BINFLOAT", b"G\0\0\0\0\0\0\0\0.", Arg::Float),
        ("PROTO", b"\x80\x02N.", Arg::None),
        ("NEWOBJ", b"cm\nf\n)\x81.", result("m", "f")),
        ("EXT1", b"\x82\x07.", Arg::Extension { code: 7 }),
        ("EXT2", b"\x83\x07\x01.", Arg::Extension { code: 263 }),
        ("EXT4", b"\x84\x07\0\0\x01.", Arg::Extension { code: 0x0100_0007 }),
        ("TUPLE1", b"K\x01\x85.", seq("tuple", vec![int(1)])),
        ("TUPLE2", b"K\x01K\x02\x86.", seq("tuple", vec![int(1), int(2)])),
        ("TUPLE3", b"K\x01K\x02K\x03\x87.", seq("tuple", vec![int(1), int(2), int(3)])),
        ("NEWTRUE", b"\x88.", Arg::Bool { value: true }),
        ("NEWFALSE", b"\x89.", Arg::Bool { value: false }),
        ("LONG1", b"\x8a\x02\0\xff.", int(-256)),
        ("LONG4", b"\x8b\x09\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09.", Arg::Int { value: None }),
        ("BINBYTES", b"B\x02\0\0\0ab.", bytes("ab")),
        ("SHORT_BINBYTES", b"C\x02ab.", bytes("ab")),
        ("SHORT_BINUNICODE", b"\x8c\x02ab.", text("ab")),
        ("BINUNICODE8", b"\x8d\x02\0\0\0\0\0\0\0ab.", text("ab")),
        ("BINBYTES8", b"\x8e\x02\0\0\0\0\0\0\0ab.", bytes("ab")),
        ("EMPTY_SET", b"\x8f.", seq("set", vec![])),
        ("ADDITEMS", b"\x8f(K\x01\x90.", seq("set", vec![int(1)])),
        ("FROZENSET", b"(K\x01\x91.", seq("frozenset", vec![int(1)])),
        ("NEWOBJ_EX", b"cm\nf\n)}\x92.", result("m", "f")),
        ("STACK_GLOBAL", b"\x8c\x01m\x8c\x01f\x93.", global("m", "f")),
        ("MEMOIZE", b"K\x07\x94K\x08\x9400h\x01.", int(8)),
        ("FRAME", b"\x95\x02\0\0\0\0\0\0\0N.", Arg::None),
        ("BYTEARRAY8", b"\x96\x02\0\0\0\0\0\0\0ab.", bytes("ab")),
        ("NEXT_BUFFER", b"\x97.", Arg::Buffer),
        ("READONLY_BUFFER", b"\x97\x98.", Arg::Buffer),
    ]
}

#[test]
fn each_of_the_sixty_eight_opcodes_does_what_python_does() {
    let mut seen = BTreeSet::new();
    for (name, stream, expected) in table() {
        let op = OPCODES.iter().find(|o| o.name == name).expect(name);
        assert!(stream.contains(&op.code), "{name} is not in its own stream");
        let facts = run(stream);
        assert_eq!(facts.end, StreamEnd::Stop, "{name}");
        assert_eq!(facts.len, stream.len() as u64, "{name}");
        assert_eq!(facts.result, Some(expected), "{name}");
        seen.insert(op.code);
    }
    assert_eq!(seen.len(), 68);
    assert_eq!(seen.len(), OPCODES.len());
}

#[test]
fn every_other_byte_is_refused() {
    for byte in (0..=255u8).filter(|b| opcode(*b).is_none()) {
        let facts = run(&[b'N', byte]);
        assert!(matches!(facts.end, StreamEnd::Malformed { offset: 1, .. }), "{byte:#x}");
    }
}

#[test]
fn too_few_values_end_the_stream_as_they_do_in_python() {
    for op in OPCODES {
        let facts = run(&[op.code]);
        assert_ne!(facts.end, StreamEnd::Stop, "{}", op.name);
        // Nothing may be taken from below a mark.
        let mut below = b"NNNN(".to_vec();
        below.push(op.code);
        let facts = run(&below);
        assert_ne!(facts.end, StreamEnd::Stop, "{}", op.name);
    }
    for stream in [
        &b"N(.N"[..],
        b"]N(a.",
        b"cm\nf\n()R.",
        b"g1\n.",
        b"h\x01.",
        b"(Nd.",
        b"}(Nu.",
        b"\x80\x06N.",
        b"K\x01K\x02\x93.",
    ] {
        assert!(matches!(run(stream).end, StreamEnd::Malformed { .. }), "{stream:?}");
    }
}

#[test]
fn a_code_below_one_is_looked_up_as_the_python_unpickler_does() {
    let facts = run(b"\x82\0.");
    assert_eq!(facts.end, StreamEnd::Stop);
    assert_eq!(facts.extensions[0].code, 0);
}

#[test]
fn a_stacked_stream_may_use_the_memo_of_the_one_before() {
    let bytes = b"\x80\x02cm\nf\nq\x00.\x80\x02h\x00)R.".to_vec();
    let facts = gauntlet_pickle::interpret_bytes(&bytes, &Budget::default());
    assert_eq!(facts.streams.len(), 2);
    assert_eq!(facts.streams[1].end, StreamEnd::Stop);
    assert_eq!(facts.streams[1].imports[0].name, "f");
    assert!(facts.streams[1].anomalies.iter().any(|a| a.kind == AnomalyKind::EarlierMemo));
}

#[test]
fn roles_and_arguments_are_kept() {
    let facts = run(b"\x80\x04cm\nf\n\x8c\x01k\x8c\x01g\x93\x85}\x8c\x01aNs\x92.");
    assert_eq!(facts.calls.len(), 1);
    let call = &facts.calls[0];
    assert_eq!((call.role, call.arg_count, call.offset), (Role::NewObjEx, Some(1), 21));
    assert_eq!(call.args, [global("k", "g")]);
    assert_eq!(call.kwargs, Some(seq("dict", vec![text("a"), Arg::None])));
    let ops: Vec<ImportOp> = facts.imports.iter().map(|i| i.op).collect();
    assert_eq!(ops, [ImportOp::Global, ImportOp::StackGlobal]);
}

#[test]
fn lengths_past_the_end_are_truncation_and_cost_no_memory() {
    for stream in [
        &b"cos\nsystem\n)R\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc"[..],
        b"cos\nsystem\n)RB\xff\xff\xff\xffabc",
        b"cos\nsystem\n)R\x8b\xff\xff\xff\x7fabc",
        b"cos\nsystem\n)R\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc",
    ] {
        let facts = run(stream);
        assert_eq!(facts.end, StreamEnd::Truncated);
        assert_eq!(facts.calls.len(), 1);
    }
}
