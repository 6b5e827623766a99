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
