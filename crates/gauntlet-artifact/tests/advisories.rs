//! Every published bypass of a pickle scanner, and gadgets that lists of names miss, each as the smallest stream that
//! does it. The bytes are assembled here; nothing is ever loaded.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

mod assemble;

use assemble::{Asm, V, b, call, g, i, list, new, s, tuple};
use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Finding, Judging, Limits, Severity, seal};

fn scan_with(name: &str, bytes: &[u8], strict: bool) -> Vec<Finding> {
    let config = serde_json::json!({ "strict": strict });
    let facts = exercise(name, bytes, &Limits::default());
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    seal(GATE.checks.iter().flat_map(|check| check.judge(&facts, &judging).findings).collect())
}

fn scan(bytes: &[u8]) -> Vec<Finding> {
    scan_with("model.pkl", bytes, false)
}

fn worst(bytes: &[u8]) -> Option<Severity> {
    scan(bytes).iter().map(|finding| finding.severity).max()
}

/// The stream has this finding at this severity or above.
#[track_caller]
fn finds(rule: &str, severity: Severity, bytes: &[u8]) {
    let found = scan(bytes);
    assert!(
        found.iter().any(|f| f.rule == format!("artifact/pickle/{rule}") && f.severity >= severity),
        "no {rule} at {severity}: {:#?}",
        found.iter().map(|f| format!("{} {} {}", f.severity, f.rule, f.message)).collect::<Vec<_>>()
    );
}

#[track_caller]
fn dangerous(bytes: &[u8]) {
    finds("dangerous-global", Severity::Critical, bytes);
}

/// `module.name(args...)` by REDUCE, protocol 4.
fn reduce(module: &str, name: &str, args: Vec<V>) -> Vec<u8> {
    Asm::new(4).value(&call(g(module, name), args)).stop()
}

// === advisories: a callable that a list of names did not have ===

#[test]
fn cve_2025_1716_pip_main() {
    dangerous(&reduce("pip", "main", vec![list(vec![s("install"), s("evil")])]));
    dangerous(&reduce("pip._internal.cli.main", "main", vec![list(vec![s("install"), s("evil")])]));
}

#[test]
fn cve_2025_10157_submodules_of_a_denied_module() {
    dangerous(&reduce("asyncio.unix_events", "_UnixSubprocessTransport._start", vec![]));
    dangerous(&reduce("logging.config", "_resolve", vec![s("os.system")]));
}

#[test]
fn ghsa_v7x6_rv5q_mhwc_timeit() {
    dangerous(&reduce("timeit", "timeit", vec![s("0"), s("print()")]));
}

#[test]
fn ghsa_xp4f_hrf8_rxw7_ensurepip() {
    dangerous(&reduce("ensurepip", "_run_pip", vec![list(vec![s("install")])]));
}

#[test]
fn ghsa_vvpj_8cmc_gx39_pkgutil_resolve_name() {
    let found = call(g("pkgutil", "resolve_name"), vec![s("os:system")]);
    dangerous(&Asm::new(4).value(&new(V::Call(Box::new(found), vec![s("id")]))).stop());
}

#[test]
fn ghsa_g38g_8gr9_h9xp_and_its_siblings() {
    for (module, name) in [
        ("numpy.f2py.crackfortran", "getlincoef"),
        ("numpy.f2py.crackfortran", "myeval"),
        ("numpy.f2py.crackfortran", "_eval_length"),
        ("numpy.f2py", "compile"),
        ("lib2to3.pgen2.pgen", "ParserGenerator.make_label"),
        ("lib2to3.pgen2.grammar", "Grammar.loads"),
        ("idlelib.autocomplete", "AutoComplete.get_entity"),
        ("idlelib.calltip", "get_entity"),
        ("idlelib.run", "Executive.runcode"),
        ("idlelib.debugobj", "ObjectTreeItem.SetText"),
        ("distutils.file_util", "write_file"),
        ("torch.utils.bottleneck.__main__", "run_autograd_prof"),
        ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
        ("torch._dynamo.guards", "GuardBuilder.get"),
        ("torch.utils.data.datapipes.utils.decoder", "basichandlers"),
        ("cProfile", "runctx"),
        ("profile", "Profile.runctx"),
        ("trace", "Trace.runctx"),
        ("doctest", "debug_script"),
        ("code", "InteractiveInterpreter.runcode"),
        ("pydoc", "pipepager"),
        ("asyncio.unix_events", "_UnixSubprocessTransport"),
        ("ctypes", "CDLL"),
        ("linecache", "getline"),
        ("unittest.mock", "_importer"),
    ] {
        let bytes = reduce(module, name, vec![s("x")]);
        assert!(worst(&bytes) >= Some(Severity::High), "{module}.{name}: {:?}", scan(&bytes));
    }
}

#[test]
fn ghsa_7wx9_6375_f5wh_profile_run() {
    dangerous(&reduce("profile", "run", vec![s("1")]));
    dangerous(&reduce("cProfile", "run", vec![s("1")]));
}

#[test]
fn fickling_lists_missed_these_modules() {
    for (advisory, module, name) in [
        ("GHSA-pc6j-px3p-rrj4", "marshal", "loads"),
        ("GHSA-m6fh-58r7-x697", "runpy", "run_path"),
        ("GHSA-5hwf-rc88-82xm", "pty", "spawn"),
        ("GHSA-mhc9-48gj-9gp3", "ctypes", "CDLL"),
        ("GHSA-r48f-3986-4f9c", "cProfile", "run"),
        ("GHSA-5cxw-w2xg-2m8h", "pydoc", "locate"),
        ("GHSA-p523-jq9w-64x9", "importlib", "import_module"),
        ("GHSA-wccx-j62j-r448", "multiprocessing.util", "spawnv_passfds"),
    ] {
        let bytes = reduce(module, name, vec![s("x")]);
        assert!(worst(&bytes) == Some(Severity::Critical), "{advisory}: {:?}", scan(&bytes));
    }
}

// === advisories: what a file is called, and containers ===

#[test]
fn cve_2025_1889_and_10155_the_ending_does_not_matter() {
    let bytes = reduce("os", "system", vec![s("id")]);
    for ending in ["pkl", "bin", "pt", "pth", "ckpt", "config", "txt", "safetensors", "onnx", "png", "weights", "7z"] {
        let found = scan_with(&format!("model.{ending}"), &bytes, false);
        assert!(found.iter().any(|f| f.rule == "artifact/pickle/dangerous-global"), "{ending}: {found:?}");
    }
}

// === advisories: the stream ===

#[test]
fn nullifai_broken_after_the_payload() {
    let mut bytes = Asm::new(4).value(&call(g("os", "system"), vec![s("id")])).bytes();
    bytes.extend_from_slice(b"\xff\xff not a pickle");
    dangerous(&bytes);
    finds("broken-stream", Severity::Medium, &bytes);
    // A length that runs past the end, and no STOP at all.
    let payload = Asm::new(2).value(&call(g("os", "system"), vec![s("id")])).bytes();
    dangerous(&payload);
    dangerous(&[payload.as_slice(), b"X\xff\xff\xff\x7f"].concat());
}

#[test]
fn ghsa_9gvj_pp9x_gcfr_stacked_pickles() {
    let harmless = Asm::new(4).value(&list(vec![i(1)])).stop();
    let payload = reduce("os", "system", vec![s("id")]);
    dangerous(&[harmless.as_slice(), &harmless, &payload].concat());
}

#[test]
fn picklescan_14_and_22_memo_confusion() {
    // PUT stores the top of the stack, which after POP is not what the opcode before it pushed.
    let put_after_pop =
        b"\x80\x04\x8c\x02os\x8c\x05numpy0\x94\x8c\x06system\x8c\x05array0\x940h\x00h\x01\x93\x8c\x02id\x85R.";
    dangerous(put_after_pop);
    // GET of an entry that DUP and BINPUT stored far away.
    dangerous(b"\x80\x02X\x02\0\0\0os2q\xc80X\x06\0\0\0systemq\xc900h\xc8h\xc9\x93X\x02\0\0\0id\x85R.");
    // A decoy under a mark.
    dangerous(b"\x80\x04(\x8c\x04math\x8c\x04sqrt1\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.");
}

#[test]
fn ghsa_mxhj_88fx_4pcv_obj_and_inst() {
    dangerous(b"(cos\nsystem\nS'id'\no.");
    dangerous(b"(S'id'\nios\nsystem\n.");
    dangerous(b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85\x81.");
    dangerous(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85}\x92.");
}

#[test]
fn ghsa_5j3x_jp52_966f_dotted_stack_global() {
    finds("module-walk", Severity::Critical, &reduce("torch.serialization", "os.system", vec![s("id")]));
    finds("module-walk", Severity::Critical, &reduce("statistics", "sys", vec![]));
    finds("module-walk", Severity::Critical, &reduce("sklearn.utils", "joblib.os.system", vec![s("id")]));
    finds("module-walk", Severity::Critical, &reduce("numpy", "ndarray.__class__.__base__", vec![]));
}

#[test]
fn ghsa_cffv_grgg_g429_an_allowed_package_shadows_nothing() {
    assert!(
        worst(&reduce("numpy.testing._private.utils", "runstring", vec![s("1"), V::Dict(vec![])]))
            >= Some(Severity::High)
    );
    assert!(worst(&reduce("torch.hub", "load", vec![s("a/b")])) == Some(Severity::Critical));
    assert!(worst(&reduce("sklearn.utils.fixes", "some_function", vec![s("a")])) >= Some(Severity::Medium));
}

#[test]
fn extension_codes_that_the_stream_registers_itself() {
    let register = call(g("copyreg", "add_extension"), vec![s("os"), s("system"), i(7)]);
    let mut asm = Asm::new(4).value(&register).raw(b"0\x82\x07").value(&s("id"));
    asm = asm.raw(b"\x85R");
    dangerous(&asm.stop());
    finds("extension-code", Severity::High, b"\x80\x02\x82\x07X\x02\0\0\0id\x85R.");
    // The Python unpickler looks up codes below 1, too.
    finds("extension-code", Severity::High, b"\x80\x02\x84\xff\xff\xff\xffX\x02\0\0\0id\x85R.");
}

#[test]
fn cve_2025_32434_weights_only_names_are_judged_by_their_arguments() {
    // `weights_only` trusted its allowed functions with whatever they were given.
    let rebuild = g("torch._utils", "_rebuild_tensor_v2");
    let odd = call(
        rebuild.clone(),
        vec![V::Persistent, i(0), g("mypkg", "size"), tuple(vec![i(1)]), V::Bool(false), V::None],
    );
    finds("odd-arguments", Severity::Medium, &Asm::new(2).value(&odd).stop());
    let few = call(rebuild, vec![V::Persistent]);
    finds("odd-arguments", Severity::Medium, &Asm::new(2).value(&few).stop());
}

#[test]
fn a_line_over_the_end_of_a_frame_is_read_in_two_ways() {
    // From a file CPython imports `os.system`: what is left of the frame is forgotten.
    let frame = |len: u64, rest: &[u8]| [b"\x80\x04\x95".as_slice(), &len.to_le_bytes(), rest].concat();
    finds("split-frame", Severity::High, &frame(9, b"csklearn.os\nsystem\n(S'id'\ntR."));
    // The length of a text, and a frame in a frame.
    finds("split-frame", Severity::High, &frame(3, b"X\x02\0\0\0os."));
    finds("split-frame", Severity::High, &frame(3, b"X\x02\xff\xff\xffos."));
    finds(
        "split-frame",
        Severity::High,
        &frame(10, &[b"\x95".as_slice(), &9u64.to_le_bytes(), b"N0N0N0N0N0N."].concat()),
    );
    assert_eq!(worst(&frame(8, b"X\x02\0\0\0os.")), None);
}

// === hidden names ===

/// A call of what a global with a computed name finds is critical and shows the name.
#[track_caller]
fn unhides(module: V, name: V) {
    let bytes = Asm::new(4).value(&module).value(&name).raw(b"\x93").value(&s("id")).raw(b"\x85R").stop();
    let found = scan(&bytes);
    assert!(found.iter().any(|f| f.rule == "artifact/pickle/computed-global"), "{found:#?}");
    assert!(
        found.iter().any(|f| f.rule == "artifact/pickle/dangerous-global" && f.message.contains("os.system")),
        "not unhidden: {:#?}",
        found.iter().map(|f| &f.message).collect::<Vec<_>>()
    );
}

#[test]
fn names_hidden_by_decoders_come_out() {
    let decoded = |codec: &str, text: &[u8]| call(g("_codecs", "decode"), vec![b(text), s(codec)]);
    let text = |bytes: V| call(g("builtins", "str"), vec![bytes, s("utf-8")]);
    unhides(s("os"), text(call(g("base64", "b64decode"), vec![s("c3lzdGVt")])));
    unhides(s("os"), text(call(g("base64", "b32decode"), vec![b(b"ON4XG5DFNU======")])));
    unhides(s("os"), text(call(g("base64", "b16decode"), vec![b(b"73797374656D")])));
    unhides(s("os"), text(call(g("base64", "b85decode"), vec![b(b"b9r-gWo-")])));
    unhides(s("os"), text(call(g("base64", "decodebytes"), vec![b(b"c3lzdGVt\n")])));
    unhides(s("os"), text(call(g("binascii", "unhexlify"), vec![s("73797374656d")])));
    unhides(s("os"), text(call(g("binascii", "a2b_uu"), vec![b(b"&<WES=&5M\n")])));
    unhides(s("os"), text(call(g("binascii", "a2b_qp"), vec![b(b"s=79stem")])));
    unhides(s("os"), text(call(g("builtins", "bytes.fromhex"), vec![s("73 79 73 74 65 6d")])));
    unhides(
        s("os"),
        text(call(g("builtins", "bytes"), vec![list(b"system".iter().map(|c| i(i64::from(*c))).collect())])),
    );
    unhides(s("os"), decoded("utf-7", b"+AHM-ystem"));
    unhides(s("os"), decoded("utf-16-be", b"\0s\0y\0s\0t\0e\0m"));
    unhides(s("os"), decoded("unicode_escape", b"\\x73ystem"));
    unhides(s("os"), call(g("_codecs", "encode"), vec![s("flfgrz"), s("rot13")]));
    unhides(s("os"), call(g("codecs", "decode"), vec![s("flfgrz"), s("rot_13")]));
}

#[test]
fn names_put_together_come_out() {
    let letters = |text: &str| list(text.chars().map(|c| s(&c.to_string())).collect());
    unhides(s("os"), call(g("operator", "add"), vec![s("sys"), s("tem")]));
    unhides(s("os"), call(g("operator", "concat"), vec![s("sys"), s("tem")]));
    unhides(s("os"), call(g("builtins", "str.join"), vec![s(""), letters("system")]));
    unhides(s("os"), call(g("builtins", "str.format"), vec![s("{1}{0}"), s("tem"), s("sys")]));
    unhides(s("os"), call(g("operator", "mod"), vec![s("%s%s"), tuple(vec![s("sys"), s("tem")])]));
    unhides(s("os"), call(g("builtins", "str.replace"), vec![s("syXtem"), s("X"), s("s")]));
    unhides(s("os"), call(g("builtins", "str.lower"), vec![s("SYSTEM")]));
    unhides(s("os"), call(g("builtins", "str.swapcase"), vec![s("SYSTEM")]));
    unhides(s("os"), call(g("builtins", "str.translate"), vec![s("sXstem"), V::Dict(vec![(i(88), s("y"))])]));
    let codes = list(b"system".iter().map(|c| i(i64::from(*c))).collect());
    let chars = call(g("builtins", "map"), vec![g("builtins", "chr"), codes]);
    unhides(s("os"), call(g("builtins", "str.join"), vec![s(""), chars]));
    unhides(s("os"), call(g("functools", "reduce"), vec![g("operator", "add"), letters("system")]));
    let backwards = call(g("builtins", "slice"), vec![V::None, V::None, i(-1)]);
    unhides(s("os"), call(g("operator", "getitem"), vec![s("metsys"), backwards]));
    let parts = call(g("builtins", "str.split"), vec![s("os.system"), s(".")]);
    unhides(s("os"), call(g("operator", "getitem"), vec![parts, i(1)]));
    let split = call(g("builtins", "str.split"), vec![s("os.system"), s(".")]);
    unhides(call(g("operator", "getitem"), vec![split, i(0)]), s("system"));
    let number = call(g("builtins", "int.to_bytes"), vec![i(0x6d65_7473_7973), i(6), s("little")]);
    unhides(s("os"), call(g("builtins", "str"), vec![number, s("ascii")]));
}

#[test]
fn what_lookups_find_is_judged() {
    let getattr = |of: V, name: &str| call(g("builtins", "getattr"), vec![of, s(name)]);
    let run = |callee: V| Asm::new(4).value(&call(callee, vec![s("id")])).stop();
    dangerous(&run(getattr(call(g("importlib", "import_module"), vec![s("os")]), "system")));
    dangerous(&run(getattr(call(g("builtins", "__import__"), vec![s("os")]), "system")));
    dangerous(&run(call(
        call(g("operator", "attrgetter"), vec![s("system")]),
        vec![call(g("builtins", "__import__"), vec![s("os")])],
    )));
    dangerous(&run(call(g("pydoc", "locate"), vec![s("os.system")])));
    dangerous(&run(call(g("dill._dill", "_import_module"), vec![s("os.system")])));
    dangerous(&run(call(
        g("dill._dill", "_get_attr"),
        vec![call(g("dill._dill", "_import_module"), vec![s("os")]), s("system")],
    )));
    finds("module-walk", Severity::Critical, &run(getattr(g("collections", "OrderedDict"), "__subclasses__")));
    let escape = getattr(new(call(g("collections", "OrderedDict"), vec![])), "__class__");
    assert!(worst(&Asm::new(4).value(&escape).stop()) >= Some(Severity::High));
    finds(
        "computed-global",
        Severity::Critical,
        &run(call(g("builtins", "getattr"), vec![g("collections", "OrderedDict"), call(g("mypkg", "name"), vec![])])),
    );
    // Handed on, it is called with names that no one sees.
    dangerous(&Asm::new(4).value(&call(g("functools", "partial"), vec![g("builtins", "getattr")])).stop());
}

#[test]
fn functions_made_of_names_are_judged_by_the_names() {
    let getter = |names: Vec<V>| Asm::new(4).value(&call(g("operator", "attrgetter"), names)).stop();
    let caller = |names: Vec<V>| Asm::new(4).value(&call(g("operator", "methodcaller"), names)).stop();
    for bytes in [
        getter(vec![s("__class__.__init__")]),
        getter(vec![s("shape"), s("os.system")]),
        getter(vec![s("system")]),
        caller(vec![s("write_text"), s("x")]),
        caller(vec![s("eval"), s("@__import__('os')")]),
        caller(vec![s("__reduce_ex__"), i(4)]),
    ] {
        dangerous(&bytes);
    }
    finds("computed-global", Severity::Critical, &getter(vec![call(g("mypkg", "name"), vec![])]));
    finds("stdlib-call", Severity::High, &caller(vec![s("apply"), g("secrets", "token_hex")]));
    assert_eq!(worst(&getter(vec![s("shape"), s("dtype")])), None);
    assert_eq!(worst(&caller(vec![s("lower")])), None);
}

#[test]
fn a_class_is_not_made_by_three_arguments() {
    assert_eq!(worst(&reduce("builtins", "type", vec![V::None])), None);
    let body = V::Dict(vec![(s("__reduce__"), g("mypkg", "f"))]);
    let made = reduce("builtins", "type", vec![s("X"), tuple(vec![]), body]);
    finds("stdlib-call", Severity::High, &made);
}

#[test]
fn nested_pickles_are_judged() {
    let inner = reduce("os", "system", vec![s("id")]);
    for (module, name) in [
        ("pickle", "loads"),
        ("_pickle", "loads"),
        ("torch.storage", "_load_from_bytes"),
        ("dill", "loads"),
        ("cloudpickle", "loads"),
    ] {
        let found = scan(&reduce(module, name, vec![b(&inner)]));
        assert!(found.iter().any(|f| f.message.contains("os.system")), "{module}.{name}: {found:#?}");
    }
    // What a loader is given must be seen.
    finds(
        "odd-arguments",
        Severity::Medium,
        &reduce("torch.storage", "_load_from_bytes", vec![call(g("mypkg", "fetch"), vec![])]),
    );
    // A tensor written by plain pickle holds a harmless one.
    let harmless = Asm::new(2).value(&list(vec![i(1)])).stop();
    assert_eq!(worst(&reduce("torch.storage", "_load_from_bytes", vec![b(&harmless)])), None);
}

// === arguments that are called or made ===

#[test]
fn callables_given_to_callers_are_called() {
    let unknown = || g("mypkg.run", "boot");
    let stdlib = || g("secrets", "token_hex");
    for (module, name, rest) in [
        ("functools", "partial", vec![i(1)]),
        ("builtins", "map", vec![list(vec![s("id")])]),
        ("builtins", "filter", vec![list(vec![s("id")])]),
        ("builtins", "sorted", vec![list(vec![s("id")])]),
        ("collections", "defaultdict", vec![]),
        ("numpy", "vectorize", vec![]),
        ("types", "MethodType", vec![s("id")]),
        ("torch._tensor", "_rebuild_from_type_v2", vec![g("torch", "Tensor"), tuple(vec![]), V::Dict(vec![])]),
        ("itertools", "takewhile", vec![list(vec![])]),
        ("dill._dill", "_create_array", vec![tuple(vec![]), tuple(vec![]), V::None]),
    ] {
        let with = |callee: V| {
            let args = std::iter::once(callee).chain(rest.iter().cloned()).collect();
            Asm::new(4).value(&call(g(module, name), args)).stop()
        };
        finds("unknown-call", Severity::Medium, &with(unknown()));
        finds("stdlib-call", Severity::High, &with(stdlib()));
        dangerous(&with(g("os", "system")));
    }
}

#[test]
fn a_state_can_swap_the_function_of_a_partial() {
    let state = tuple(vec![g("secrets", "token_hex"), tuple(vec![]), V::Dict(vec![]), V::None]);
    let partial = call(g("functools", "partial"), vec![g("builtins", "len")]);
    finds("stdlib-call", Severity::High, &Asm::new(4).value(&partial).value(&state).raw(b"b").stop());
}

#[test]
fn classes_given_to_reconstructors_are_made() {
    let made = call(g("copyreg", "_reconstructor"), vec![g("queue", "Queue"), g("builtins", "object"), V::None]);
    assert!(worst(&Asm::new(2).value(&made).stop()) >= Some(Severity::High));
    let made = call(g("copyreg", "_reconstructor"), vec![g("selectors", "X"), g("builtins", "object"), V::None]);
    dangerous(&Asm::new(2).value(&made).stop());
    let estimator =
        call(g("copyreg", "_reconstructor"), vec![g("sklearn.svm._classes", "SVC"), g("builtins", "object"), V::None]);
    assert_eq!(worst(&Asm::new(2).value(&estimator).stop()), None);
}

#[test]
fn state_that_plants_a_method_is_found() {
    let namespace = call(g("types", "SimpleNamespace"), vec![]);
    let plant = |key: &str| V::Dict(vec![(s(key), g("mypkg", "run"))]);
    let twice = |key: &str| Asm::new(4).value(&namespace).value(&plant(key)).raw(b"b").value(&s("id"));
    finds("planted-method", Severity::High, &twice("__setstate__").raw(b"b").stop());
    finds("planted-method", Severity::High, &twice("__reduce_ex__").raw(b"b").stop());
    // APPEND and ADDITEMS call an attribute of the object.
    finds("planted-method", Severity::High, &twice("append").raw(b"a").stop());
    let add = Asm::new(4).value(&namespace).value(&plant("add")).raw(b"b(").value(&s("id")).raw(b"\x90").stop();
    finds("planted-method", Severity::High, &add);
    // The slots of a (state, slots) pair are set by `setattr`.
    let slots = tuple(vec![V::None, plant("__class__")]);
    finds("planted-method", Severity::High, &Asm::new(4).value(&namespace).value(&slots).raw(b"b").stop());
}

#[test]
fn modules_and_classes_are_not_changed() {
    let patch = V::Dict(vec![(s("loads"), i(1))]);
    finds(
        "changed-global",
        Severity::High,
        &Asm::new(4).value(&g("collections", "OrderedDict")).value(&patch).raw(b"b").stop(),
    );
    let module = call(g("dill._dill", "_import_module"), vec![s("numpy")]);
    finds("changed-global", Severity::High, &Asm::new(4).value(&module).value(&patch).raw(b"b").stop());
    finds("changed-global", Severity::High, &Asm::new(4).value(&g("sys", "meta_path")).value(&i(1)).raw(b"a").stop());
    finds(
        "changed-global",
        Severity::High,
        &Asm::new(4).value(&g("sys", "modules")).value(&s("os")).value(&i(1)).raw(b"s").stop(),
    );
    // The Python unpickler sets the first pair before it fails on the item without a partner.
    finds(
        "changed-global",
        Severity::High,
        &Asm::new(4)
            .value(&g("mypkg", "registry"))
            .raw(b"(")
            .value(&s("a"))
            .value(&i(1))
            .value(&s("b"))
            .raw(b"u")
            .stop(),
    );
}

#[test]
fn names_of_python_2_count_whatever_opcode_brings_them() {
    for bytes in [
        &b"c__builtin__\neval\n(S'1'\ntR."[..],
        b"ccommands\ngetoutput\n(S'id'\ntR.",
        b"curllib2\nurlopen\n(S'a'\ntR.",
        b"cpopen2\npopen3\n(S'a'\ntR.",
        b"ccPickle\nloads\n(S'a'\ntR.",
    ] {
        dangerous(bytes);
    }
    // STACK_GLOBAL without PROTO maps names, too.
    dangerous(b"\x8c\x0b__builtin__\x8c\x06reduce\x93\x8c\x02id\x85R.");
    dangerous(b"\x8c\x08commands\x8c\x09getoutput\x93\x8c\x02id\x85R.");
}

#[test]
fn arguments_that_are_no_tuple_are_unpacked() {
    // `func(*{"id": 1})` calls with the key.
    let inner = reduce("os", "system", vec![s("id")]);
    let found = scan(
        &Asm::new(4)
            .value(&g("torch.storage", "_load_from_bytes"))
            .value(&V::Dict(vec![(b(&inner), i(1))]))
            .raw(b"R")
            .stop(),
    );
    assert!(found.iter().any(|f| f.message.contains("os.system")), "{found:#?}");
}

// === strict ===

#[test]
fn strict_raises_what_is_unknown() {
    let import = Asm::new(4).value(&list(vec![g("mypkg.model", "Net")])).stop();
    let called = reduce("mypkg.model", "make", vec![i(1)]);
    assert_eq!(worst(&import), Some(Severity::Low));
    assert_eq!(worst(&called), Some(Severity::Medium));
    let strict = |bytes: &[u8]| scan_with("model.pkl", bytes, true).iter().map(|f| f.severity).max();
    assert_eq!(strict(&import), Some(Severity::High));
    assert_eq!(strict(&called), Some(Severity::High));
    let known = Asm::new(4).value(&call(g("collections", "OrderedDict"), vec![])).stop();
    assert_eq!(strict(&known), None);
}

// === gadgets ===

#[test]
fn gadgets_that_lists_miss_are_high_or_worse() {
    let mut missed = Vec::new();
    for line in include_str!("gadgets.txt").lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (module, name) = line.split_once(' ').unwrap();
        for protocol in [2, 4] {
            let value = call(g(module, name), vec![s("x"), i(1)]);
            let bytes = Asm::new(protocol).value(&value).stop();
            if worst(&bytes) < Some(Severity::High) {
                missed.push(format!("{module}.{name} protocol {protocol}: {:?}", worst(&bytes)));
            }
        }
    }
    assert!(missed.is_empty(), "{} missed: {missed:#?}", missed.len());
}

#[test]
fn what_picklers_write_stays_silent() {
    let method = call(g("builtins", "getattr"), vec![g("builtins", "str"), s("split")]);
    let bytes = call(g("_codecs", "encode"), vec![s("abc"), s("latin1")]);
    let array =
        call(g("numpy.core.multiarray", "_reconstruct"), vec![g("numpy", "ndarray"), tuple(vec![i(0)]), bytes.clone()]);
    let factory = call(g("functools", "partial"), vec![g("collections", "defaultdict"), g("builtins", "int")]);
    let kernel = call(g("scipy.interpolate._interpolate", "interp1d._call_linear_np"), vec![]);
    let values = [
        method,
        bytes,
        array,
        call(g("collections", "defaultdict"), vec![factory]),
        call(g("collections", "OrderedDict"), vec![]),
        call(g("torch", "device"), vec![s("cuda"), i(0)]),
        call(g("builtins", "map"), vec![g("math", "sqrt"), list(vec![i(4)])]),
        call(
            g("dill._dill", "_get_attr"),
            vec![call(g("dill._dill", "_import_module"), vec![s("numpy.core.multiarray")]), s("scalar")],
        ),
        list(vec![g("numpy", "log1p"), g("torch", "float32"), g("math", "hypot")]),
    ];
    for value in values {
        let bytes = Asm::new(2).value(&value).stop();
        assert_eq!(worst(&bytes), None, "{:#?}", scan(&bytes));
    }
    // A function of a package that is called is no class that is given a state.
    assert_eq!(worst(&Asm::new(2).value(&kernel).stop()), Some(Severity::Medium));
}
