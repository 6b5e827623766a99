use gauntlet_limits::{Cursor, Limits};

use super::*;

/// A POSIX header with content, padded.
fn member(name: &str, flag: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0; BLOCK];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = flag;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}

fn entries(bytes: &[u8]) -> Result<Vec<(TarEntry, Vec<u8>)>, ArchiveError> {
    let (source, budget) = (bytes.to_vec(), Budget::default());
    let mut tar = Tar::new(Cursor::new(&source, 0), &budget);
    let mut found = Vec::new();
    while let Some(entry) = tar.next_entry()? {
        let mut content = Vec::new();
        tar.data().read_to_end(&mut content)?;
        found.push((entry, content));
    }
    Ok(found)
}

#[test]
fn reads_names_and_content() {
    let bytes = [member("a", b'0', "", b"one"), member("b/c", b'0', "", b""), vec![0; 1024]].concat();
    let found = entries(&bytes).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].0.name.as_slice(), found[0].1.as_slice()), (b"a".as_slice(), b"one".as_slice()));
    assert!(found.iter().all(|(e, _)| e.problems.is_empty()));
}

#[test]
fn pax_and_gnu_overrides_win_and_are_noted() {
    let pax = [pax_record("path", "evil.pkl"), pax_record("size", "2")].concat();
    let bytes = [member("x", b'x', "", &pax), member("readme", b'0', "", b"abc"), vec![0; 1024]].concat();
    let found = entries(&bytes).unwrap();
    assert_eq!((found[0].0.name.as_slice(), found[0].0.size), (b"evil.pkl".as_slice(), 2));
    assert_eq!(found[0].0.problems, [EntryProblem::NameOverridden, EntryProblem::SizeOverridden]);

    let long = "d/".repeat(80) + "file";
    let bytes = [member("././@LongLink", b'L', "", long.as_bytes()), member(&long[..99], b'0', "", b"")].concat();
    let found = entries(&bytes).unwrap();
    assert_eq!(found[0].0.name, long.as_bytes());
    assert!(found[0].0.problems.is_empty());
}

#[test]
fn links_that_leave_and_writes_through_links_are_noted() {
    let bytes = [
        member("ln", b'2', "/etc", b""),
        member("ln/passwd", b'0', "", b"x"),
        member("h", b'1', "../../etc/hostname", b""),
        member("d/up", b'2', "../inside", b""),
    ]
    .concat();
    let found = entries(&bytes).unwrap();
    assert_eq!(found[0].0.problems, [EntryProblem::LinkLeaves]);
    assert_eq!(found[1].0.problems, [EntryProblem::ThroughLink]);
    assert_eq!(found[2].0.problems, [EntryProblem::LinkLeaves]);
    assert!(found[3].0.problems.is_empty());
}

#[test]
fn entries_behind_the_end_are_still_read() {
    let bytes = [member("a", b'0', "", b""), vec![0; 1024], member("b", b'0', "", b"x"), vec![0; 1024]].concat();
    let found = entries(&bytes).unwrap();
    assert_eq!(found[1].0.problems, [EntryProblem::AfterEnd]);
    assert_eq!(found[1].1, b"x");
}

#[test]
fn sizes_have_two_readings() {
    let inner = member("hidden.pkl", b'0', "", b"payload");
    let pax = [member("x", b'x', "", &pax_record("size", "1024")), member("readme", b'0', "", b"")].concat();
    let bytes = [pax, inner.clone(), vec![0; 1024]].concat();
    let found = entries(&bytes).unwrap();
    assert_eq!((found.len(), found[0].0.problems.as_slice()), (1, &[EntryProblem::SizeOverridden][..]));
    let budget = Budget::default();
    let mut other = Tar::with_plain_sizes(Cursor::new(&bytes, 0), &budget);
    let names = std::iter::from_fn(|| other.next_entry().unwrap()).map(|entry| entry.name);
    assert_eq!(names.collect::<Vec<_>>(), [b"readme".to_vec(), b"hidden.pkl".to_vec()]);

    let mut link = member("ln", b'2', "target", b"");
    link[124..135].copy_from_slice(b"00000002000");
    link[148..156].fill(b' ');
    let sum: u32 = link.iter().map(|b| u32::from(*b)).sum();
    link[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let found = entries(&[link, inner].concat()).unwrap();
    assert_eq!(found[0].0.problems, [EntryProblem::SizeOfNothing]);
    assert_eq!(found[1].0.name, b"hidden.pkl");
}

#[test]
fn bytes_behind_the_end_are_named() {
    let bytes = [member("a", b'0', "", b""), vec![0; 1024], b"cos\nsystem\n".to_vec()].concat();
    let budget = Budget::default();
    let mut tar = Tar::new(Cursor::new(&bytes, 0), &budget);
    while tar.next_entry().unwrap().is_some() {}
    assert_eq!(tar.rest(), Some(1536));
    let whole = [member("a", b'0', "", b""), vec![0; 1024], vec![7; 512]].concat();
    let mut tar = Tar::new(Cursor::new(&whole, 0), &budget);
    while tar.next_entry().unwrap().is_some() {}
    assert_eq!(tar.rest(), Some(1536));
}

#[test]
fn links_to_links_and_two_names_are_noted() {
    let bytes = [
        member("d", b'2', "sub", b""),
        member("up", b'2', "d/..", b""),
        member("h", b'1', "d", b""),
        member("fine", b'2', "sub/file", b""),
    ]
    .concat();
    let found = entries(&bytes).unwrap();
    assert_eq!(found[1].0.problems, [EntryProblem::ThroughLink]);
    assert_eq!(found[2].0.problems, [EntryProblem::ThroughLink]);
    assert!(found[3].0.problems.is_empty());
    let both = [
        member("././@LongLink", b'L', "", b"one.pkl\0"),
        member("x", b'x', "", &pax_record("path", "two.pkl")),
        member("one.pkl", b'0', "", b""),
    ];
    assert!(entries(&both.concat()).unwrap()[0].0.problems.contains(&EntryProblem::NameOverridden));
}

#[test]
fn base_256_numbers_old_headers_and_sparse_files_are_read() {
    let mut wide = member("a", b'0', "", b"abc");
    wide[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    wide[156] = 0;
    wide[257..265].fill(0);
    wide[148..156].fill(b' ');
    let sum: u32 = wide[..512].iter().map(|b| u32::from(*b)).sum();
    wide[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(entries(&wide).unwrap()[0].1, b"abc");
    let sparse = [member("x", b'x', "", &pax_record("GNU.sparse.major", "1")), member("a", b'0', "", b"abc")].concat();
    assert_eq!(entries(&sparse).unwrap()[0].0.kind, EntryKind::Sparse);
}

#[test]
fn broken_input_is_an_error() {
    assert!(matches!(entries(b""), Err(ArchiveError::Not(_))));
    assert!(matches!(entries(&[1; 700]), Err(ArchiveError::Not(_))));
    let whole = member("a", b'0', "", &[1; 600]);
    assert!(matches!(entries(&whole[..700]), Err(ArchiveError::Io(_))));
    let broken = [member("a", b'0', "", b""), vec![7; 512]].concat();
    assert!(matches!(entries(&broken), Err(ArchiveError::Malformed { .. })));
    let budget = Budget::new(Limits { members: 2, ..Limits::default() });
    let many = member("a", b'0', "", b"").repeat(3);
    let mut tar = Tar::new(Cursor::new(&many, 0), &budget);
    assert!(tar.next_entry().is_ok() && tar.next_entry().is_ok());
    assert!(matches!(tar.next_entry(), Err(ArchiveError::Limit(_))));
}
