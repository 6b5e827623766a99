//! Truncated, mutated and oversized input: no panic, bounded work, nothing forgotten that was seen before.

use gauntlet_limits::{Budget, Cursor, Limit, Limits};
use gauntlet_pickle::{
    AnomalyKind, Arg, Options, PickleFacts, StreamEnd, Target, exercise_tree, interpret, interpret_bytes,
    looks_like_pickle,
};

const SEEDS: &[(&str, &[u8])] = &[
    ("c", include_bytes!("../../../testdata/pickle/array_c.joblib")),
    ("f_two", include_bytes!("../../../testdata/pickle/array_f_two.joblib")),
    ("objects", include_bytes!("../../../testdata/pickle/array_objects.joblib")),
    ("proto0", include_bytes!("../../../testdata/pickle/array_proto0.joblib")),
    ("proto2", include_bytes!("../../../testdata/pickle/array_proto2.joblib")),
    ("scalar", include_bytes!("../../../testdata/pickle/array_scalar_time_bool.joblib")),
    ("structured", include_bytes!("../../../testdata/pickle/array_structured_empty.joblib")),
];

fn all(bytes: &[u8]) -> PickleFacts {
    interpret_bytes(bytes, &Budget::new(Limits::default()))
}

fn called(facts: &PickleFacts, name: &str) -> bool {
    facts
        .streams
        .iter()
        .flat_map(|s| &s.calls)
        .any(|c| matches!(&c.callee, Target::Global { name: n, .. } if n == name))
}

fn legacy(count: i64, tail: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    file.extend(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQK\x00)tR.");
    file.extend(b"\x80\x02]U\x010a.");
    file.extend(count.to_le_bytes());
    // Four floats which, read as opcodes, would be a call.
    file.extend(b"cos\nsystem\n)R....");
    file.truncate(file.len() - 1);
    file.extend(tail);
    file
}

#[test]
fn real_joblib_files_are_read_to_their_end() {
    for (name, bytes) in SEEDS {
        let facts = all(bytes);
        assert_eq!(facts.streams.len(), 1, "{name}");
        assert_eq!((&facts.streams[0].end, facts.streams[0].len), (&StreamEnd::Stop, bytes.len() as u64), "{name}");
        assert!(facts.gaps.is_empty() && facts.streams[0].inline_arrays.unresolved == 0, "{name}");
        assert!(looks_like_pickle(bytes, true).is_some(), "{name}");
    }
    assert_eq!(all(SEEDS[2].1).streams[0].inline_arrays.objects, 1);
    assert_eq!(all(SEEDS[1].1).streams[0].inline_arrays.count, 2);
}

#[test]
fn a_call_behind_an_inline_array_is_found() {
    for (name, bytes) in SEEDS {
        let mut bytes = bytes.to_vec();
        bytes.pop();
        bytes.extend(b"cos\nsystem\n)R0.");
        let facts = all(&bytes);
        assert!(called(&facts, "system"), "{name}");
        assert_eq!(facts.streams.len(), 1, "{name}");
    }
}

#[test]
fn array_bytes_that_a_plain_loader_would_run_are_reported() {
    let wrapper = |shape: &[u8], align: &[u8]| {
        [
            &b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(U\x05shape"[..],
            shape,
            b"U\x05dtypecnumpy\ndtype\nU\x02u1\x85R",
            align,
            b"ub",
        ]
        .concat()
    };
    let payload = b"cos\nsystem\n)R.";
    let mut file = wrapper(b"K\x0e\x85", b"");
    file.extend(payload);
    file.extend(b".");
    let facts = all(&file);
    assert_eq!((facts.streams[0].inline_arrays.bytes, facts.streams[0].inline_arrays.as_code.len()), (14, 1));
    assert_eq!(facts.streams[0].end, StreamEnd::Stop);
    // Sizes that overflow or are negative are not believed; the bytes are then read as opcodes.
    for shape in [
        &b"\x8a\x08\0\0\0\0\0\0\0\x7f\x8a\x08\0\0\0\0\0\0\0\x7f\x86"[..],
        b"J\xff\xff\xff\xff\x85",
        b"N\x85",
        b"U\x01x",
    ] {
        let mut file = wrapper(shape, b"");
        file.extend(payload);
        let facts = all(&file);
        assert!(called(&facts, "system"));
        assert!(facts.streams[0].anomalies.iter().any(|a| a.kind == AnomalyKind::InlineArrayUnresolved));
    }
    // An array longer than the file.
    let facts = all(&wrapper(b"\x8a\x08\0\0\0\0\0\0\0\x7f\x85", b"U\x1bnumpy_array_alignment_bytesK\x10"));
    assert_eq!(facts.streams[0].end, StreamEnd::Truncated);
}

#[test]
fn storages_of_old_torch_files_are_skipped_exactly() {
    let facts = all(&legacy(4, b""));
    let torch = facts.torch_legacy.clone().expect("layout");
    assert!(torch.complete, "{torch:?}");
    assert_eq!((torch.storages, torch.storage_bytes, torch.streams.len()), (1, 24, 5));
    assert!(!called(&facts, "system") && facts.gaps.is_empty());
    let facts = all(&legacy(4, b"\x80\x02cposix\nspawn\n)R."));
    assert!(called(&facts, "spawn"));
    for count in [-1, i64::MAX, 1 << 40] {
        let facts = all(&legacy(count, b""));
        assert!(!facts.torch_legacy.expect("layout").complete);
    }
}

#[test]
fn truncation_at_every_byte_keeps_what_came_before() {
    let call = b"\x80\x04\x8c\x02os\x8c\x06system\x93)R(".to_vec();
    let mut seeds: Vec<Vec<u8>> = SEEDS.iter().map(|(_, b)| [call.as_slice(), b].concat()).collect();
    seeds.push([call.as_slice(), &legacy(4, b"")].concat());
    for seed in seeds {
        for len in call.len()..seed.len() {
            let facts = all(&seed[..len]);
            assert!(called(&facts, "system"), "{len}");
            if len < seed.len() - 1 {
                let text = serde_json::to_string(&facts).expect("json");
                assert_eq!(serde_json::from_str::<PickleFacts>(&text).expect("facts"), facts);
            }
        }
    }
}

#[test]
fn mutated_input_neither_panics_nor_leaves_its_budget() {
    let mut seeds: Vec<Vec<u8>> = SEEDS.iter().map(|(_, b)| b.to_vec()).collect();
    seeds.push(legacy(4, b"\x80\x04\x8c\x02os."));
    seeds.push(b"(dp0\nS'a'\np1\nI1\nsV\\u0062\np2\nL7L\ns(ios\nsystem\np3\nF1.5\ns.".to_vec());
    seeds.push(b"\x80\x05\x95\x10\0\0\0\0\0\0\0\x96\x02\0\0\0\0\0\0\0ab\x97\x98\x8f(K\x01\x90\x91\x82\x07\x94h\0\x93cbuiltins\ngetattr\n\x8c\x01a\x8c\x04join\x86R](e\x85R.".to_vec());
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % n.max(1)
    };
    for round in 0..6000 {
        let mut bytes = seeds[next(seeds.len())].clone();
        for _ in 0..=next(6) {
            let at = next(bytes.len());
            match next(5) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes[at] ^= 1 << next(8),
                2 => bytes.truncate(at.max(1)),
                3 => {
                    let other = &seeds[next(seeds.len())];
                    let from = next(other.len());
                    bytes.splice(at..at, other[from..].iter().copied().take(40));
                }
                _ => bytes[at] = gauntlet_pickle::opcode::OPCODES[next(68)].code,
            }
        }
        let budget = Budget::new(Limits { steps: 200_000, nodes: 2_000, ..Limits::default() });
        // The tree of the first stream: as bounded, with every value looked at.
        let seen = exercise_tree(&bytes, &Budget::new(budget.limits().clone()));
        assert!(seen <= 60_000, "{seen}");
        let facts = interpret_bytes(&bytes, &budget);
        let streams = facts.streams.iter().filter(|s| s.within.is_none()).map(|s| s.len).sum::<u64>();
        let gaps = facts.gaps.iter().filter(|g| g.within.is_none()).map(|g| g.len).sum::<u64>();
        let covered = streams + gaps + facts.torch_legacy.as_ref().map_or(0, |t| t.storage_bytes);
        assert!(
            facts.limit.is_some() || facts.streams_unlisted > 0 || covered == bytes.len() as u64,
            "round {round}: {covered} of {}",
            bytes.len()
        );
        let _ = looks_like_pickle(&bytes, round % 2 == 0);
    }
}

#[test]
fn sharing_keeps_doubling_small() {
    // Each tuple holds the one before twice: 2^64 leaves when expanded.
    let mut stream = b"\x80\x04)\x94".to_vec();
    stream.extend((0..64).flat_map(|_| *b"2\x86\x94"));
    stream.extend(b"cos\nsystem\n\x8c\x01x\x85R0.");
    let facts = all(&stream);
    assert_eq!(facts.streams[0].end, StreamEnd::Stop);
    assert!(called(&facts, "system"));
    // As an argument it is shown in part only.
    let mut stream = b"cm\nf\n)\x94".to_vec();
    stream.extend((0..64).flat_map(|_| *b"2\x86"));
    stream.extend(b"\x85R.");
    let facts = all(&stream);
    assert!(serde_json::to_string(&facts).expect("json").len() < 20_000);
    // Text that doubles stops being evaluated.
    let mut stream = b"\x80\x04\x8c\x08aaaaaaaa\x94".to_vec();
    for i in 0..40u8 {
        stream.extend(b"coperator\nadd\nh");
        stream.extend([i, b'h', i]);
        stream.extend(b"\x86R\x94");
    }
    stream.extend(b".");
    let facts = all(&stream);
    assert!(facts.streams[0].anomalies.iter().any(|a| a.kind == AnomalyKind::DecodedTooLarge));
}

#[test]
fn a_list_that_holds_itself_is_shown_and_ends() {
    let facts = all(b"cm\nf\n]\x94h\0a\x85R}\x94h\x01h\x01sb.");
    assert_eq!(facts.streams[0].calls.len(), 1);
}

#[test]
fn great_heights_are_reached_without_recursion_and_end_at_the_limit() {
    let deep = [vec![b'('; 1_000_000], b"cos\nsystem\n)R".to_vec(), vec![b't'; 1_000_000], b".".to_vec()].concat();
    let facts = all(&deep);
    assert!(called(&facts, "system"));
    let high = [&b"cos\nsystem\n)R"[..], &vec![b'2'; 1_000_000], b"."].concat();
    let facts = all(&high);
    assert_eq!(facts.streams[0].end, StreamEnd::Stop);
    let high = [&b"N"[..], &vec![b'2'; 3_000_000], b"."].concat();
    assert!(matches!(all(&high).limit.expect("limit").limit, Limit::Nodes));
    let budget = Budget::new(Limits { steps: 1000, ..Limits::default() });
    let facts = interpret_bytes(&b"N0".repeat(5000), &budget);
    assert_eq!(facts.limit.expect("limit").limit, Limit::Steps);
}

#[test]
fn values_above_the_node_limit_keep_their_kind_and_calls_are_still_seen() {
    let budget = Budget::new(Limits { nodes: 10, ..Limits::default() });
    let stream = [&b"]0".repeat(50)[..], b"cos\nsystem\n)R]\x85Rcm\ng\n]\x85R."].concat();
    let facts = interpret_bytes(&stream, &budget);
    assert!(facts.streams[0].values_not_kept > 40);
    assert!(called(&facts, "system"));
    let last = facts.streams[0].calls.last().expect("call");
    assert_eq!((last.args.as_slice(), last.arg_count), (&[Arg::NotKept { of: "tuple".to_owned() }][..], None));
}

#[test]
fn giant_text_and_bytes_are_skipped_not_loaded() {
    struct Zeros(u64);
    impl gauntlet_limits::ReadAt for Zeros {
        fn size(&self) -> u64 {
            self.0
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
            let head = b"\x80\x04\x8e\0\0\0\0\x10\0\0\0";
            let n = buf.len().min((self.0 - offset.min(self.0)) as usize);
            for (i, byte) in buf[..n].iter_mut().enumerate() {
                let at = offset + i as u64;
                *byte = head.get(at as usize).copied().unwrap_or(if at == self.0 - 1 { b'.' } else { 0 });
            }
            Ok(n)
        }
    }
    let source = Zeros(11 + (64 << 30) + 1);
    let facts = interpret(&mut Cursor::new(&source, 0), &Budget::new(Limits::default()), &Options::default());
    assert_eq!(facts.streams[0].end, StreamEnd::Stop);
    assert_eq!(facts.streams[0].len, source.0);
}

#[test]
fn random_tails_hold_no_pickles_and_hide_none() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut bytes = b"\x80\x02N.".to_vec();
    while bytes.len() < 4_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    let facts = all(&bytes);
    assert_eq!((facts.streams.len(), facts.gaps.len()), (1, 1));
    bytes.extend(b"\x80\x04\x8c\x02os\x8c\x06system\x93)R.");
    let facts = all(&bytes);
    assert!(called(&facts, "system"));
}

#[test]
fn a_search_that_is_too_long_says_what_it_left_out() {
    let options = Options { search_bytes: 100_000, ..Options::default() };
    let bytes = [&b"\x80\x02N."[..], &[0; 500_000]].concat();
    let facts = interpret(&mut Cursor::new(&bytes, 0), &Budget::new(Limits::default()), &options);
    assert_eq!(facts.gaps[0].len, 500_000);
    assert!((100_000..200_000).contains(&facts.gaps[0].searched));
    let _ = all(b"");
    assert!(all(b"").streams.is_empty());
}

/// What a fuzzer found: bytes that a call loads and that are no pickle are told apart from the facts that are stored.
#[test]
fn seeds_keep_their_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/pickle/crashes");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let mut facts = all(&std::fs::read(entry.unwrap().path()).unwrap());
        assert_eq!(facts.foreign.len(), 1);
        facts.foreign.clear();
        let stored = serde_json::to_vec(&facts).unwrap();
        assert_eq!(serde_json::from_slice::<PickleFacts>(&stored).unwrap(), facts);
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {folder}");
}

#[test]
fn code_of_a_graph_module_is_told_and_only_when_all_of_it_is_known() {
    let text = |text: &str| [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let graph = |body: &[u8], imports: &[u8]| {
        [b"\x80\x02ctorch.fx.graph_module\nreduce_graph_module\n(}(", body, b"u", imports, b"tR."].concat()
    };
    let code = [text("_code"), text("def forward(self): pass\n")].concat();
    let sources = |bytes: &[u8]| all(bytes).sources.into_iter().map(|source| source.text).collect::<Vec<_>>();
    let known = sources(&graph(&code, &text("import torch\n")));
    assert_eq!(known, [Some("import torch\ndef forward(self): pass\n".to_owned())]);
    // The last one counts, as in Python.
    let twice = [code.as_slice(), &text("_code"), &text("import os\n")].concat();
    assert_eq!(sources(&graph(&twice, &text(""))), [Some("import os\n".to_owned())]);
    assert_eq!(sources(&graph(&[text("_code"), b"K\x01".to_vec()].concat(), &text(""))), [None]);
    assert_eq!(sources(&graph(&code, b"K\x01")), [None]);
}
