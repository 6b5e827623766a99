use std::io::{Read, Write};

use gauntlet_limits::Limits;
use proptest::prelude::*;

use super::*;

/// One member to write; fields of the two headers can be set apart.
#[derive(Clone)]
struct Part {
    central: Header,
    local: Header,
    body: Vec<u8>,
    descriptor: bool,
}

fn stored(name: &str, content: &[u8]) -> Part {
    part(name, 0, content, content.to_vec())
}

fn deflated(name: &str, content: &[u8]) -> Part {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    part(name, 8, content, encoder.finish().unwrap())
}

fn part(name: &str, method: u16, content: &[u8], body: Vec<u8>) -> Part {
    let header = Header {
        name: name.as_bytes().to_vec(),
        flags: 0,
        method,
        crc: crc32fast::hash(content),
        compressed: body.len() as u64,
        size: content.len() as u64,
    };
    Part { central: header.clone(), local: header, body, descriptor: false }
}

fn header_tail(header: &Header, zero_sizes: bool) -> Vec<u8> {
    let mut out = vec![0; 4];
    let sizes = if zero_sizes { [0; 3] } else { [header.crc, header.compressed as u32, header.size as u32] };
    out.extend(sizes.iter().flat_map(|n| n.to_le_bytes()));
    out.extend((header.name.len() as u16).to_le_bytes());
    out.extend([0; 2]);
    out
}

fn zip(parts: &[Part], comment: &[u8]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let offset = out.len() as u32;
        let flags = part.local.flags | if part.descriptor { 8 } else { 0 };
        out.extend(b"PK\x03\x04\x14\0");
        out.extend([flags.to_le_bytes(), part.local.method.to_le_bytes()].concat());
        out.extend(header_tail(&part.local, part.descriptor));
        out.extend(&part.local.name);
        out.extend(&part.body);
        if part.descriptor {
            out.extend(b"PK\x07\x08");
            let c = &part.central;
            out.extend([c.crc, c.compressed as u32, c.size as u32].iter().flat_map(|n| n.to_le_bytes()));
        }
        directory.extend(b"PK\x01\x02\x14\0\x14\0");
        directory.extend([part.central.flags.to_le_bytes(), part.central.method.to_le_bytes()].concat());
        directory.extend(header_tail(&part.central, false));
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(&part.central.name);
    }
    let (start, count) = (out.len() as u32, (parts.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend((comment.len() as u16).to_le_bytes());
    out.extend(comment);
    out
}

fn read(bytes: &[u8]) -> Zip {
    Zip::read(&bytes.to_vec(), &Budget::default()).unwrap()
}

fn kinds(zip: &Zip) -> Vec<ConflictKind> {
    zip.conflicts().iter().map(|c| c.kind.clone()).collect()
}

fn content(bytes: &[u8], reading: &Reading) -> Vec<u8> {
    let (source, budget) = (bytes.to_vec(), Budget::default());
    let mut out = Vec::new();
    reading.open(&source, &budget, Trust::Lenient).unwrap().read_to_end(&mut out).unwrap();
    out
}

#[test]
fn honest_archives_have_no_conflicts() {
    let mut deferred = stored("archive/data.pkl", b"pickle");
    deferred.descriptor = true;
    let parts = [deferred, deflated("b/c.txt", &[7; 500]), stored("b/", b"")];
    for comment in [b"".as_slice(), b"made by hand"] {
        let bytes = zip(&parts, comment);
        let zip = read(&bytes);
        assert_eq!(kinds(&zip), []);
        assert_eq!(zip.members().len(), 3);
        assert_eq!(content(&bytes, &zip.members()[0].readings()[0]), b"pickle");
        assert_eq!(content(&bytes, &zip.members()[1].readings()[0]), [7; 500]);
        assert!(zip.members()[2].is_folder());
    }
    assert_eq!(kinds(&read(&zip(&[], b""))), []);
}

#[test]
fn a_stored_zip_inside_is_no_second_end_record() {
    let inner = zip(&[stored("m.pkl", b"x")], b"");
    let outer = read(&zip(&[stored("inner.zip", &inner)], b""));
    assert_eq!(kinds(&outer), []);
    assert_eq!(outer.members().len(), 1);
}

#[test]
fn headers_that_differ_are_conflicts_and_both_readings_open() {
    let mut lying = deflated("a", b"hello hello hello");
    lying.central.name = b"b".to_vec();
    lying.central.method = 0;
    lying.central.crc ^= 1;
    lying.local.flags = 1;
    let bytes = zip(&[lying], b"");
    let zip = read(&bytes);
    let found = kinds(&zip);
    assert!(found.contains(&ConflictKind::NameDiffers { local: "a".into() }));
    assert!(found.contains(&ConflictKind::MethodDiffers { central: 0, local: 8 }));
    assert!(found.contains(&ConflictKind::FlagsDiffer { central: 0, local: 1 }));
    assert!(found.contains(&ConflictKind::FlagsUnusual { flags: 1 }));
    assert!(found.iter().any(|k| matches!(k, ConflictKind::CrcDiffers { .. })));
    let readings = zip.members()[0].readings();
    assert_eq!(readings.len(), 2);
    assert_eq!(content(&bytes, &readings[1]), b"hello hello hello");
    assert!(matches!(readings[1].open(&bytes, &Budget::default(), Trust::Strict), Err(ArchiveError::Encrypted)));
}

#[test]
fn wrong_checksums_are_told_and_bytes_delivered() {
    let mut wrong = stored("a", b"abc");
    (wrong.central.crc, wrong.local.crc) = (1, 1);
    let bytes = zip(&[wrong], b"");
    let budget = Budget::default();
    let mut stream = read(&bytes).members()[0].readings()[0].open(&bytes, &budget, Trust::Strict).unwrap();
    let mut out = Vec::new();
    stream.read_to_end(&mut out).unwrap();
    assert_eq!((out.as_slice(), stream.crc_holds(), stream.size_holds()), (b"abc".as_slice(), Some(false), Some(true)));
}

#[test]
fn names_that_mislead_are_conflicts() {
    let names = ["../up", "a\\b", "DIR/x", "dir/x", "same", "same", "nul\0.txt", "f/"];
    let parts: Vec<_> = names.iter().map(|name| stored(name, b"x")).collect();
    let found = kinds(&read(&zip(&parts, b"")));
    use crate::NameProblem::{Backslash, Nul, Parent};
    for problem in [Parent, Backslash, Nul] {
        assert!(found.contains(&ConflictKind::Name { problem }), "{problem:?}");
    }
    for kind in [ConflictKind::CaseDuplicate, ConflictKind::DuplicateName, ConflictKind::FolderWithContent] {
        assert_eq!(found.iter().filter(|k| **k == kind).count(), 1, "{kind:?}");
    }
}

#[test]
fn bytes_around_the_archive_are_conflicts() {
    let plain = zip(&[stored("a", b"x")], b"");
    let prepended = read(&[b"MZ".repeat(50), plain.clone()].concat());
    assert!(kinds(&prepended).contains(&ConflictKind::Prepended { bytes: 100 }));
    assert_eq!(content(&[b"MZ".repeat(50), plain.clone()].concat(), &prepended.members()[0].readings()[0]), b"x");
    let appended = read(&[plain.clone(), vec![0; 9]].concat());
    assert_eq!(kinds(&appended), [ConflictKind::Appended { bytes: 9 }]);
}

#[test]
fn two_archives_in_a_row_and_one_in_a_comment_are_both_read() {
    let (first, second) = (zip(&[stored("a", b"1")], b""), zip(&[stored("b", b"2")], b""));
    for bytes in [[first.clone(), second.clone()].concat(), zip(&[stored("a", b"1")], &second)] {
        let zip = read(&bytes);
        let mut names: Vec<_> = zip.members().iter().map(Member::display_name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names, ["a", "b"]);
        assert!(kinds(&zip).iter().any(|k| matches!(k, ConflictKind::SecondEndRecord { .. })), "{:?}", kinds(&zip));
    }
}

#[test]
fn a_missing_or_lying_directory_hides_nothing() {
    let bytes = zip(&[stored("a", b"1"), deflated("b", b"2")], b"");
    let directory = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
    let cut = read(&bytes[..directory]);
    assert_eq!(cut.members().len(), 2);
    assert!(kinds(&cut).contains(&ConflictKind::NoEndRecord));
    assert_eq!(content(&bytes[..directory], &cut.members()[1].readings()[0]), b"2");

    let mut none = bytes.clone();
    let end = none.len() - 22;
    none[end + 8..end + 12].fill(0);
    let none = read(&none);
    assert_eq!(none.members().len(), 2);
    assert!(kinds(&none).contains(&ConflictKind::EntryCount { stated: 0, found: 2 }));
}

#[test]
fn members_that_share_bytes_overlap() {
    let mut bytes = zip(&[stored("a", &[b'x'; 100]), stored("b", b"2")], b"");
    // The second directory entry now points to the first local header.
    let second = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
    bytes[second + 42..second + 46].fill(0);
    let found = kinds(&read(&bytes));
    assert!(found.contains(&ConflictKind::Overlap) || found.contains(&ConflictKind::OnlyLocal), "{found:?}");
}

#[test]
fn bombs_and_floods_hit_limits() {
    let mut part = deflated("zeros", &vec![0; 4 << 20]);
    part.local.flags = 0;
    let bytes = zip(&[part], b"");
    let budget = Budget::new(Limits { ratio: 100, ..Limits::default() });
    let archive = Zip::read(&bytes, &budget).unwrap();
    let mut stream = archive.members()[0].readings()[0].open(&bytes, &budget, Trust::Lenient).unwrap();
    let error = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_err();
    assert_eq!(LimitHit::in_io(&error).unwrap().limit, Limit::Ratio);

    let many: Vec<_> = (0..50).map(|i| stored(&format!("m{i}"), b"")).collect();
    let bytes = zip(&many, b"");
    let few = Zip::read(&bytes, &Budget::new(Limits { members: 10, ..Limits::default() })).unwrap();
    assert_eq!(few.limit().unwrap().limit, Limit::Members);
    assert_eq!(few.members().len(), 10);
}

#[test]
fn spellings_of_one_path_are_aliases() {
    for (other, alias) in
        [("a\\data.pkl", true), ("./a/data.pkl", true), ("a/data.pkl\0x", true), ("A/data.pkl", false)]
    {
        let found = kinds(&read(&zip(&[stored("a/data.pkl", b"x"), stored(other, b"y")], b"")));
        let wanted = if alias { ConflictKind::AliasDuplicate } else { ConflictKind::CaseDuplicate };
        assert!(found.contains(&wanted), "{other}: {found:?}");
    }
}

#[test]
fn ranges_that_no_member_owns_are_given() {
    let (first, second) = (stored("a", b"1"), stored("b", b"2"));
    let plain = zip(&[first, second], b"the comment");
    let second_at = memchr::memmem::rfind(&plain, b"PK\x03\x04").unwrap();
    let mut bytes = [&plain[..second_at], b"cos\nsystem\n", &plain[second_at..]].concat();
    let read = read(&bytes);
    let strays: Vec<_> = read.strays().iter().map(|(from, to)| bytes[*from as usize..*to as usize].to_vec()).collect();
    assert!(strays.contains(&b"cos\nsystem\n".to_vec()) && strays.contains(&b"the comment".to_vec()), "{strays:?}");
    bytes.truncate(second_at);
}

#[test]
fn the_two_zip64_records_may_differ_and_are_both_followed() {
    let hidden = zip(&[stored("evil.pkl", b"x")], b"");
    let shown = zip(&[stored("fine.txt", b"y")], b"");
    // Two archives in a row without end records, then a zip64 record for each and one locator.
    let directory = |bytes: &[u8]| memchr::memmem::find(bytes, b"PK\x01\x02").unwrap();
    let (a, b) = (&hidden[..hidden.len() - 22], &shown[..shown.len() - 22]);
    let mut second = b.to_vec();
    let at = directory(&second) + 42;
    second[at..at + 4].copy_from_slice(&(a.len() as u32).to_le_bytes());
    let record = |start: usize, len: usize| {
        let mut out = b"PK\x06\x06".to_vec();
        out.extend(44u64.to_le_bytes());
        out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend([1u64, 1, len as u64, start as u64].iter().flat_map(|n| n.to_le_bytes()));
        out
    };
    let mut bytes = [a, &second].concat();
    let stated = bytes.len() as u64;
    bytes.extend(record(directory(a), a.len() - directory(a)));
    bytes.extend(record(a.len() + directory(&second), second.len() - directory(&second)));
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(stated.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    let both = read(&bytes);
    let names: Vec<_> = both.members().iter().map(Member::display_name).collect();
    assert!(names.contains(&"evil.pkl".to_owned()) && names.contains(&"fine.txt".to_owned()), "{names:?}");
    assert!(kinds(&both).iter().any(|k| matches!(k, ConflictKind::SecondEndRecord { .. })), "{:?}", kinds(&both));
}

#[test]
fn content_that_ends_before_its_member_is_told() {
    let mut part = deflated("a", b"hello");
    part.body.extend(b"cos\nsystem\n");
    part.central.compressed += 11;
    part.local.compressed += 11;
    let bytes = zip(&[part], b"");
    let budget = Budget::default();
    let archive = read(&bytes);
    let reading = archive.members()[0].readings()[0];
    let mut stream = reading.open(&bytes, &budget, Trust::Lenient).unwrap();
    let taken = stream.taken();
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    assert_eq!(taken.get(), Some(&(reading.compressed - 11)));
}

#[test]
fn escaped_names_are_told_from_other_names() {
    assert!(is_escaped(b"m#U00fcll.txt", "müll.txt".as_bytes()));
    assert!(is_escaped(b"m\x81ll.txt", "müll.txt".as_bytes()));
    assert!(!is_escaped(b"readme.txt", b"data.pkl"));
    assert!(!is_escaped(b"readme.txt", "dätä.pkl".as_bytes()));
}

#[test]
fn every_method_that_python_reads_is_read() {
    for (name, method) in [("one.zst", 93), ("one.xz", 95)] {
        let path = format!("{}/../../testdata/archive/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes = zip(&[part("a", method, b"one", std::fs::read(path).unwrap())], b"");
        assert_eq!(content(&bytes, &read(&bytes).members()[0].readings()[0]), b"one");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/archive/python-methods.zip");
    let bytes = std::fs::read(path).unwrap();
    let archive = read(&bytes);
    assert_eq!(kinds(&archive), []);
    for member in archive.members() {
        assert_eq!(content(&bytes, &member.readings()[0]), b"one two three ".repeat(20), "{}", member.display_name());
    }
    assert_eq!(archive.members().len(), 4);
}

#[test]
fn what_is_no_zip_is_said_to_be_none() {
    for bytes in [b"".as_slice(), b"PK", b"hello world", &[0; 70_000]] {
        assert!(matches!(Zip::read(&bytes.to_vec(), &Budget::default()), Err(ArchiveError::Not(Container::Zip))));
    }
}

proptest! {
    #[test]
    fn every_member_comes_back(parts in proptest::collection::vec(("[a-z]{1,8}", any::<bool>(), any::<bool>(),
                                  proptest::collection::vec(any::<u8>(), 0..200)), 0..8)) {
        let written: Vec<_> = parts.iter().enumerate().map(|(i, (name, deflate, descriptor, body))| {
            let name = format!("{i}{name}");
            let mut part = if *deflate { deflated(&name, body) } else { stored(&name, body) };
            part.descriptor = *descriptor && !part.body.is_empty();
            part
        }).collect();
        let bytes = zip(&written, b"");
        let zip = read(&bytes);
        prop_assert_eq!(kinds(&zip), []);
        prop_assert_eq!(zip.members().len(), parts.len());
        for (member, (_, _, _, body)) in zip.members().iter().zip(&parts) {
            prop_assert_eq!(&content(&bytes, &member.readings()[0]), body);
        }
    }
}
