//! Ways in which pickles hide what they call.

use gauntlet_limits::{Budget, Limits};
use gauntlet_pickle::{
    AnomalyKind, Origin, PickleFacts, Resolved, Role, StreamEnd, StreamFacts, Target, Use, interpret_bytes,
};

fn all(bytes: &[u8]) -> PickleFacts {
    interpret_bytes(bytes, &Budget::new(Limits::default()))
}

fn one(bytes: &[u8]) -> StreamFacts {
    all(bytes).streams.remove(0)
}

/// Short text of protocol 4.
fn s(text: &str) -> Vec<u8> {
    [&[0x8c, text.len() as u8][..], text.as_bytes()].concat()
}

fn g(module: &str, name: &str) -> Vec<u8> {
    [s(module), s(name), vec![0x93]].concat()
}

fn b(bytes: &[u8]) -> Vec<u8> {
    [&[b'C', bytes.len() as u8][..], bytes].concat()
}

fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn call1(callee: &[u8], arg: &[u8]) -> Vec<u8> {
    cat(&[callee, arg, b"\x85R"])
}

fn call2(callee: &[u8], first: &[u8], second: &[u8]) -> Vec<u8> {
    cat(&[callee, first, second, b"\x86R"])
}

fn called(facts: &StreamFacts) -> Vec<String> {
    let mut names = Vec::new();
    for call in &facts.calls {
        if let Target::Global { module, name } = &call.callee {
            names.push(format!("{module}.{name}"));
        }
    }
    names
}

fn has(facts: &StreamFacts, kind: AnomalyKind) -> bool {
    facts.anomalies.iter().any(|a| a.kind == kind)
}

#[test]
fn memo_is_followed_by_value_and_not_by_neighbouring_opcodes() {
    // PUT after POP stores what is on top, not what the opcode before pushed.
    let facts = one(&cat(&[&s("eval"), &s("x"), b"0q\x000", &s("builtins"), b"h\0\x93)R."]));
    assert_eq!(called(&facts), ["builtins.eval"]);
    let facts = one(b"X\x06\0\0\0systemr\x10\x27\0\0X\x02\0\0\0osp77\n00g77\nj\x10\x27\0\0\x93)R.");
    assert_eq!(called(&facts), ["os.system"]);
    // A slot that is written twice holds the second value.
    let facts = one(&cat(&[&s("os"), &s("print"), b"q\x000", &s("system"), b"q\x000h\0\x93)R."]));
    assert_eq!(called(&facts), ["os.system"]);
    assert!(has(&facts, AnomalyKind::MemoOverwritten));
    // MEMOIZE counts entries, whatever their indices are.
    let facts = one(&cat(&[b"Nq\x090", &s("os"), b"\x94", &s("system"), b"\x9400h\x01h\x02\x93)R."]));
    assert_eq!(called(&facts), ["os.system"]);
    let facts = one(&cat(&[&s("os"), &s("system"), b"(", &s("a"), &s("b"), b"1\x93)R."]));
    assert_eq!(called(&facts), ["os.system"]);
}

#[test]
fn computed_names_come_out() {
    let concat = call2(&g("operator", "concat"), &s("sys"), &s("tem"));
    let rot = call2(&g("_codecs", "encode"), &s("flfgrz"), &s("rot13"));
    let decoded = call2(&g("codecs", "decode"), &call1(&g("base64", "b64decode"), &s("c3lzdGVt")), &s("utf-8"));
    let hex = call2(&g("_codecs", "decode"), &call1(&g("builtins", "bytes.fromhex"), &s("73797374656d")), &s("ascii"));
    let joined =
        call1(&call2(&g("builtins", "getattr"), &s(""), &s("join")), &cat(&[b"](", &s("sys"), &s("tem"), b"e"]));
    let chars = call2(
        &g("builtins", "str.join"),
        &s(""),
        &cat(&[b"(", &call1(&g("builtins", "chr"), b"K\x73"), &s("ystem"), b"l"]),
    );
    let reversed =
        call2(&g("operator", "getitem"), &s("metsys"), &cat(&[&g("builtins", "slice"), b"NNJ\xff\xff\xff\xff\x87R"]));
    let replaced = cat(&[&g("builtins", "str.replace"), &s("sysxtem"), &s("x"), &s(""), b"\x87R"]);
    for name in [concat, rot, decoded, hex, joined, chars, reversed, replaced] {
        let facts = one(&cat(&[b"\x80\x04", &s("os"), &name, b"\x93", &s("id"), b"\x85R."]));
        assert_eq!(facts.end, StreamEnd::Stop);
        assert!(called(&facts).contains(&"os.system".to_owned()), "{:?}", called(&facts));
        let import = facts.imports.iter().find(|i| i.name == "system").expect("import");
        assert_eq!((import.resolved, import.uses.as_slice()), (Resolved::Computed, &[Use::Called][..]));
        assert!(has(&facts, AnomalyKind::ComputedGlobal));
    }
}

#[test]
fn names_that_stay_unknown_say_so() {
    let facts = one(&cat(&[&s("os"), &call1(&g("m", "f"), &s("x")), b"\x93)R."]));
    let import = facts.imports.iter().find(|i| i.module == "os").expect("import");
    assert_eq!((import.name.as_str(), import.resolved), ("?", Resolved::Unresolved));
}

#[test]
fn attribute_access_gives_dotted_globals() {
    let os = call1(&g("builtins", "__import__"), &s("os"));
    let facts = one(&cat(&[&call1(&call2(&g("builtins", "getattr"), &os, &s("system")), &s("id")), b"."]));
    assert!(called(&facts).contains(&"os.system".to_owned()));
    let os = call1(&g("importlib", "import_module"), &s("os"));
    let getter = call1(&g("operator", "attrgetter"), &s("path.os.system"));
    let facts = one(&cat(&[&call1(&call1(&getter, &os), &s("id")), b"."]));
    assert!(called(&facts).contains(&"os.path.os.system".to_owned()));
    let caller = call2(&g("operator", "methodcaller"), &s("system"), &s("id"));
    let facts = one(&cat(&[&call1(&caller, &g("importlib", "os")), b"."]));
    assert!(called(&facts).contains(&"importlib.os.system".to_owned()));
    let partial = call2(&g("functools", "partial"), &g("os", "system"), &s("id"));
    let facts = one(&cat(&[&partial, b")R."]));
    let indirect = facts.calls.iter().find(|c| c.role == Role::Indirect).expect("indirect call");
    assert_eq!(indirect.callee, Target::Global { module: "os".to_owned(), name: "system".to_owned() });
    // The dotted name of STACK_GLOBAL is kept as written.
    assert_eq!(called(&one(&cat(&[&g("posixpath", "os.system"), b")R."]))), ["posixpath.os.system"]);
}

#[test]
fn extension_codes_registered_by_the_stream_are_resolved_also_in_the_next_stream() {
    let add = cat(&[&g("copyreg", "add_extension"), &s("os"), &s("system"), b"K\xf0\x87R0"]);
    let facts = all(&cat(&[&add, b"N.\x80\x02\x82\xf0)R."]));
    assert_eq!(called(&facts.streams[1]), ["os.system"]);
    let facts = one(b"\x83\x34\x12)R.");
    assert_eq!(facts.calls[0].callee, Target::Extension { code: 0x1234 });
    assert_eq!(facts.extensions[0].global, None);
}

#[test]
fn python_2_names_are_mapped_where_the_loader_maps_them() {
    assert_eq!(called(&one(b"c__builtin__\neval\n)R.")), ["builtins.eval"]);
    assert_eq!(called(&one(b"ccommands\ngetoutput\n)R.")), ["subprocess.getoutput"]);
    assert_eq!(called(&one(b"\x80\x03c__builtin__\neval\n)R.")), ["__builtin__.eval"]);
}

#[test]
fn state_shows_keys_and_active_values() {
    let module = cat(&[&g("torch.nn", "Module"), b")\x81}"]);
    let facts = one(&cat(&[&module, b"(", &s("forward"), &g("os", "system"), &s("n"), b"K\x01ub."]));
    assert_eq!(facts.builds.len(), 1);
    assert_eq!(facts.builds[0].class.as_deref(), Some("torch.nn.Module"));
    assert_eq!(
        (facts.builds[0].keys.as_slice(), facts.builds[0].active_keys.as_slice()),
        (&["forward".to_owned(), "n".to_owned()][..], &["forward".to_owned()][..])
    );
    assert!(facts.imports.iter().any(|i| i.name == "system" && i.uses == [Use::State]));
    // A first state plants __setstate__, the second calls it.
    let planted =
        cat(&[&g("types", "SimpleNamespace"), b")R}", &s("__setstate__"), &g("os", "system"), b"sb", &s("id"), b"b."]);
    let facts = one(&planted);
    assert_eq!(facts.builds.iter().map(|b| b.again).collect::<Vec<_>>(), [false, true]);
    assert_eq!(facts.builds[0].active_keys, ["__setstate__"]);
    // State given to a global changes a module's or class's attributes.
    let facts = one(&cat(&[&g("builtins", "print"), b"}", &s("x"), b"Nsb."]));
    assert!(facts.imports[0].uses.contains(&Use::Mutated));
    let facts = one(&cat(&[&g("sys", "modules"), &s("os"), b"Ns."]));
    assert_eq!(
        (facts.mutations[0].op.as_str(), facts.mutations[0].keys.as_slice()),
        ("SETITEM", &["os".to_owned()][..])
    );
}

#[test]
fn nested_pickles_are_interpreted_and_depth_is_bounded() {
    let inner = cat(&[b"\x80\x04", &g("os", "system"), &s("id"), b"\x85R."]);
    for loads in [g("pickle", "loads"), g("_pickle", "loads"), g("some.unknown", "gadget")] {
        let facts = all(&cat(&[b"\x80\x04", &call1(&loads, &b(&inner)), b"."]));
        assert_eq!(facts.streams.len(), 2);
        assert_eq!(called(&facts.streams[1]), ["os.system"]);
        assert!(matches!(&facts.streams[1].origin, Origin::Nested { parent: 0, depth: 1, complete: true, .. }));
    }
    let buffered = call1(&g("pandas", "read_pickle"), &call1(&g("io", "BytesIO"), &b(&inner)));
    assert!(all(&cat(&[&buffered, b"."])).streams.len() >= 2);
    let mut deep = inner;
    for _ in 0..20 {
        let len = (deep.len() as u32).to_le_bytes();
        deep = cat(&[b"\x80\x04", &call1(&g("pickle", "loads"), &cat(&[b"B", &len, &deep])), b"."]);
    }
    let facts = all(&deep);
    assert_eq!(facts.streams.len(), 7);
    assert!(!facts.streams[6].truncated.is_empty());
}

#[test]
fn what_follows_a_stop_or_an_error_is_found() {
    let bad = cat(&[b"\x80\x04", &g("os", "system"), &s("id"), b"\x85R."]);
    let facts = all(&cat(&[b"\x80\x02K\x01.", &bad]));
    assert_eq!(facts.streams[1].origin, Origin::Stacked);
    let facts = all(&cat(&[b"\x80\x02K\x01.", &[0; 70_000], &bad]));
    assert_eq!(
        (facts.streams[1].origin.clone(), called(&facts.streams[1])),
        (Origin::Searched, vec!["os.system".to_owned()])
    );
    assert_eq!((facts.gaps[0].len, facts.gaps[0].zero), (70_000, true));
    let facts = all(&cat(&[b"\x80\x02\xff\xfe\xfd", &bad, b"trailing"]));
    assert_eq!(called(&facts.streams[1]), ["os.system"]);
    assert_eq!(facts.gaps.last().map(|g| g.len), Some(8));
    let facts = all(b"\x80\x02N.\xffjunkcos\nsystem\n(S'id'\ntR.");
    assert_eq!(called(&facts.streams[1]), ["os.system"]);
    let facts = all(b"\x80\x02N.\xffjunk(S'id'\nios\nsystem\n.");
    assert_eq!(called(&facts.streams[1]), ["os.system"]);
    let facts = all(&cat(&[b"\x80\x04", &g("os", "system"), b")R\xff"]));
    assert_eq!(called(&facts.streams[0]), ["os.system"]);
    assert!(matches!(facts.streams[0].end, StreamEnd::Malformed { .. }));
}

#[test]
fn loaders_that_differ_are_read_in_the_way_that_runs_more() {
    // The Python unpickler takes an unterminated last line without its last character.
    let facts = one(b"(S'id'\nios\nsystemX");
    assert_eq!(called(&facts), ["os.system"]);
    assert!(has(&facts, AnomalyKind::UnterminatedLine));
    assert_eq!(one(b"cantigravityX").imports[0].module, "antigravity");
    // It also imports before it misses the mark.
    assert_eq!(one(b"iantigravity\nx\n.").imports[0].module, "antigravity");
}

#[test]
fn equal_calls_are_one_entry_and_many_different_ones_lose_their_literals() {
    let mut stream = cat(&[b"\x80\x04", &g("decimal", "Decimal"), b"\x940"]);
    for i in 0..2000 {
        stream.extend(cat(&[b"h\0", &s(&i.to_string()), b"\x85R0"]));
    }
    stream.extend(cat(&[b"h\0", &g("os", "system"), b"\x85RN."]));
    let facts = one(&stream);
    assert!(facts.truncated.is_empty());
    assert_eq!(facts.calls.len(), 258);
    assert_eq!(facts.calls.iter().map(|c| c.count).sum::<u64>(), 2001);
    let elided = facts.calls.iter().find(|c| c.literals_left_out).expect("elided");
    assert_eq!(elided.count, 1744);
    // A callable argument is never merged into a plain one.
    assert!(facts.calls.iter().any(|c| format!("{:?}", c.args).contains("system")));
}
