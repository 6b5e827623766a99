//! Files of the real writer, in the oldest and newest version of the format, and what damage does to them.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_hdf5::{Datatype, Hdf5Facts, LinkTarget, ProblemKind, Storage, exercise, looks_like};
use gauntlet_limits::{Limits, ReadAt};

const NAMES: [&str; 6] = ["plain", "chunks", "dense", "block", "outside", "deleted"];
const VERSIONS: [&str; 2] = ["earliest", "latest"];

fn fixture(name: &str, version: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../testdata/hdf5/{name}-{version}.h5", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn facts(name: &str, version: &str) -> Hdf5Facts {
    let bytes = fixture(name, version);
    assert!(looks_like(&bytes));
    let facts = exercise(&bytes, &Limits::default()).unwrap();
    assert_eq!((&facts.problems, facts.limit, facts.mapped), (&Vec::new(), None, true), "{name}-{version}");
    facts
}

#[test]
fn real_files_have_no_problems_and_every_byte_an_owner() {
    for version in VERSIONS {
        for name in NAMES {
            let facts = facts(name, version);
            assert_eq!(facts.tail, None);
            if !matches!(name, "deleted" | "plain") {
                assert_eq!(facts.gaps, [], "{name}-{version}");
            }
            let stored = serde_json::to_string(&facts).unwrap();
            let back: Hdf5Facts = serde_json::from_str(&stored).unwrap();
            assert_eq!(serde_json::to_string(&back).unwrap(), stored);
        }
    }
}

#[test]
fn attributes_have_their_values() {
    for version in VERSIONS {
        let facts = facts("plain", version);
        let get = |name: &str| facts.attributes.iter().find(|a| a.object == "/" && a.name == name).unwrap();
        assert_eq!(get("text").value.text(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(get("fixed").value.text(), Some(&b"xx"[..]));
        assert_eq!(get("names").value.pieces, [b"dense".to_vec(), b"lstm".to_vec()]);
        assert_eq!(get("variable").value.pieces, [b"a".to_vec(), b"bb".to_vec(), b"ccc".to_vec()]);
        assert_eq!(get("opaque").value.raw, b"\x80\x04N.");
        assert_eq!(get("numbers").value.raw.len(), 40);
        assert_eq!(get("empty").shape, None);
        let source = fixture("plain", version);
        let mut seen = [0; 4];
        source.read_exact_at(get("opaque").offset.unwrap(), &mut seen).unwrap();
        assert_eq!(&seen, b"\x80\x04N.");
    }
}

#[test]
fn datasets_have_type_shape_and_place() {
    for version in VERSIONS {
        let (source, facts) = (fixture("plain", version), facts("plain", version));
        let get = |path: &str| facts.datasets.iter().find(|d| d.path == path).unwrap();
        let mut payload = [0; 8];
        get("/bytes").window(&source).unwrap().read_exact_at(0, &mut payload).unwrap();
        assert_eq!(&payload, b"payload!");
        assert_eq!(get("/named").datatype, Some(Datatype::Float { size: 8 }), "a committed type");
        assert_eq!(get("/texts").value.pieces, [b"x".to_vec(), b"yy".to_vec()]);
        let Some(Datatype::Compound { members, size: 25 }) = &get("/record").datatype else { panic!("no record") };
        let members: Vec<_> = members.iter().map(|m| (m.name.as_str(), m.offset, m.datatype.size())).collect();
        assert_eq!(members, [("a", 0, 4), ("b", 4, 5), ("c", 9, 16)]);
        let Storage::Contiguous { range } = get("/bytes").storage else { panic!("not contiguous") };
        assert_eq!(range.len, 8);
    }
}

#[test]
fn loops_end_and_links_are_told_apart() {
    for version in VERSIONS {
        let facts = facts("plain", version);
        assert_eq!(facts.groups, 4);
        let soft = LinkTarget::Soft { path: "/x".into() };
        let external = LinkTarget::External { file: "other.h5".into(), path: "/y".into() };
        assert!(facts.links.iter().any(|link| link.target == soft && link.path.ends_with("/h/i/soft")));
        assert!(facts.links.iter().any(|link| link.target == external));
    }
}

#[test]
fn every_index_of_chunks_is_followed() {
    for version in VERSIONS {
        let facts = facts("chunks", version);
        let count = |path: &str| facts.datasets.iter().find(|d| d.path == path).map(|d| &d.storage);
        let chunks = |path: &str| match count(path) {
            Some(Storage::Chunked { chunks, .. }) => *chunks,
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!((chunks("/fixed"), chunks("/filtered"), chunks("/one")), (30, 20, 1));
        if version == "latest" {
            assert_eq!((chunks("/growing"), chunks("/growing_filtered"), chunks("/free")), (75, 15, 30));
            assert_eq!((chunks("/paged"), chunks("/sparse")), (1100, 2));
        }
        let texts = facts.datasets.iter().find(|d| d.path == "/texts").unwrap();
        assert_eq!(texts.value.pieces.len(), 20);
        let filters = &facts.datasets.iter().find(|d| d.path == "/filtered").unwrap().filters;
        assert_eq!(filters.iter().map(|f| f.id).collect::<Vec<_>>(), [2, 1, 3]);
    }
}

#[test]
fn objects_with_many_links_and_attributes_are_read_whole() {
    for (version, links) in [("earliest", 40), ("latest", 1010)] {
        let facts = facts("dense", version);
        assert_eq!((facts.links.len(), facts.groups), (links, 17));
        let of = |object: &str| facts.attributes.iter().filter(|a| a.object == object).count();
        assert_eq!((of("/attributes"), of("/ordered")), (12, 12));
        let text = facts.attributes.iter().find(|a| a.name == "text").unwrap();
        assert_eq!(text.value.text().unwrap().len(), 5000);
    }
    let facts = facts("dense", "latest");
    assert_eq!(facts.attributes.iter().find(|a| a.name == "big").unwrap().value.raw.len(), 65_600);
}

#[test]
fn what_lies_outside_of_the_file_is_named() {
    for version in VERSIONS {
        let facts = facts("outside", version);
        let external = &facts.datasets.iter().find(|d| d.path == "/external").unwrap().external;
        let names: Vec<_> = external.iter().map(|e| (e.file.as_str(), e.offset, e.len)).collect();
        assert_eq!(names, [("/etc/passwd", 0, 50), ("other.bin", 5, 50)]);
        let Storage::Virtual { sources } = &facts.datasets.iter().find(|d| d.path == "/virtual").unwrap().storage
        else {
            panic!("not virtual")
        };
        assert_eq!(
            sources.iter().map(|s| s.file.as_str()).collect::<Vec<_>>(),
            ["part0.h5", "part1.h5", "part2.h5", "part3.h5"]
        );
        assert_eq!(facts.datasets.iter().find(|d| d.path == "/plugin").unwrap().filters[0].id, 32_000);
    }
}

#[test]
fn bytes_of_nobody_are_found() {
    for version in VERSIONS {
        let source = fixture("deleted", version);
        let facts = facts("deleted", version);
        let found = facts.gaps.iter().any(|gap| source[gap.offset as usize..].starts_with(b"\x80\x04cos\nsystem"));
        assert!(found, "{version}: {:?}", facts.gaps);
        let mut longer = source.clone();
        longer.extend_from_slice(b"behind the end");
        let tail = exercise(&longer, &Limits::default()).unwrap().tail.unwrap();
        assert_eq!((tail.offset, tail.len), (source.len() as u64, 14));
    }
}

#[test]
fn a_user_block_moves_everything() {
    for version in VERSIONS {
        let facts = facts("block", version);
        assert_eq!(facts.superblock.unwrap().offset, 2048);
        // A block put in front later: the library takes the place of the signature as the base.
        let mut moved = vec![0; 4096];
        moved.extend(fixture("plain", version));
        let facts = exercise(&moved, &Limits::default()).unwrap();
        assert_eq!((facts.problems.len(), facts.groups, facts.tail), (0, 4, None));
    }
}

#[test]
fn unknown_messages_and_versions_are_said() {
    let mut bytes = fixture("plain", "latest");
    let at = bytes.windows(4).position(|window| window == b"OHDR").unwrap();
    bytes[at + 4] = 9;
    let facts = exercise(&bytes, &Limits::default()).unwrap();
    assert!(facts.problems.iter().any(|p| p.kind == ProblemKind::Unsupported && p.what.contains("version 9")));
    assert!(!facts.mapped);
    let mut bytes = fixture("plain", "latest");
    bytes[20] ^= 1;
    let kinds: Vec<_> = exercise(&bytes, &Limits::default()).unwrap().problems.into_iter().map(|p| p.kind).collect();
    assert!(kinds.contains(&ProblemKind::Checksum), "{kinds:?}");
}

#[test]
fn limits_are_said() {
    let limits = Limits { steps: 200, ..Limits::default() };
    let facts = exercise(&fixture("dense", "latest"), &limits).unwrap();
    assert!(facts.limit.is_some() && !facts.mapped);
    let limits = Limits { nodes: 10, ..Limits::default() };
    assert!(exercise(&fixture("dense", "latest"), &limits).unwrap().limit.is_some());
}

/// xorshift64*, so that a failure repeats.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }
}

#[test]
fn damaged_files_end_in_an_answer() {
    let limits = Limits { steps: 200_000, nodes: 5_000, ..Limits::default() };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for version in VERSIONS {
        for name in NAMES {
            let seed = fixture(name, version);
            for round in 0..300 {
                let mut bytes = seed.clone();
                match round % 4 {
                    0 => bytes.truncate(random.next(seed.len())),
                    1 => {
                        for _ in 0..=random.next(8) {
                            let at = random.next(bytes.len());
                            bytes[at] ^= 1 << random.next(8);
                        }
                    }
                    2 => {
                        // Metadata stands in the first kilobytes.
                        for _ in 0..=random.next(4) {
                            let at = random.next(bytes.len().min(4096));
                            bytes[at] = [0, 0xff, 0x7f, 0x80, 1][random.next(5)];
                        }
                    }
                    _ => {
                        let (from, to) = (random.next(bytes.len()), random.next(bytes.len()));
                        let len = random.next(64).min(bytes.len() - from.max(to));
                        bytes.copy_within(from..from + len, to);
                    }
                }
                read += usize::from(exercise(&bytes, &limits).is_some());
            }
        }
    }
    assert!(read > 3000, "{read}");
}
