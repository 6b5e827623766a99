use gauntlet_limits::Limits;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../testdata/archive/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A name with its content, or with the error in its place.
type Content = (String, Result<Vec<u8>, String>);

fn contents(bytes: &[u8], budget: &Budget) -> Result<Vec<Content>, ArchiveError> {
    let source = bytes.to_vec();
    let mut archive = SevenZip::read(&source, budget)?;
    let mut found = Vec::new();
    archive.visit(|entry, data| {
        let content = match data {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(data)) => {
                let mut out = Vec::new();
                data.read_to_end(&mut out).map(|_| out).map_err(|e| e.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        found.push((String::from_utf8(entry.name).unwrap(), content));
        true
    });
    Ok(found)
}

#[test]
fn members_of_every_common_method_come_back() {
    for name in ["lzma.7z", "lzma2-solid.7z", "ppmd.7z", "bzip2.7z", "deflate.7z", "copy.7z", "bcj2.7z"] {
        let found = contents(&fixture(name), &Budget::default()).unwrap();
        let text = |wanted: &str| found.iter().find(|(n, _)| n == wanted).unwrap().1.clone().unwrap();
        assert_eq!(text("one.txt"), b"one", "{name}");
        assert_eq!(text("sub/two.txt"), b"two two two two two two two two\n".repeat(20), "{name}");
        assert!(found.iter().any(|(n, content)| n == "sub" && content.as_deref() == Ok(b"")), "{name}");
    }
}

#[test]
fn encrypted_content_and_encrypted_headers_are_said_to_be() {
    let found = contents(&fixture("encrypted.7z"), &Budget::default()).unwrap();
    assert!(found[0].1.as_ref().unwrap_err().contains("encrypted"), "{found:?}");
    let headers = contents(&fixture("encrypted-names.7z"), &Budget::default());
    assert!(matches!(headers, Err(ArchiveError::Encrypted)), "{headers:?}");
}

#[test]
fn links_are_links() {
    let bytes = fixture("link.7z");
    let budget = Budget::default();
    let mut archive = SevenZip::read(&bytes, &budget).unwrap();
    let mut targets = Vec::new();
    archive.visit(|entry, data| {
        if entry.kind == EntryKind::SymbolicLink {
            targets.push(data.unwrap().unwrap().link_target().unwrap());
        }
        true
    });
    assert_eq!(targets, [b"../../outside".to_vec()]);
}

#[test]
fn a_wrong_checksum_withholds_at_most_the_last_byte() {
    let mut bytes = fixture("copy.7z");
    let at = memchr::memmem::find(&bytes, b"one").unwrap();
    bytes[at] ^= 0x20;
    let budget = Budget::default();
    let mut archive = SevenZip::read(&bytes, &budget).unwrap();
    let mut seen = Vec::new();
    archive.visit(|entry, data| {
        if let (b"one.txt", Ok(Some(data))) = (entry.name.as_slice(), data) {
            let mut out = Vec::new();
            let done = data.read_to_end(&mut out);
            seen = out;
            assert!(done.is_err() || data.crc_holds() == Some(false));
        }
        true
    });
    assert!(seen.starts_with(b"On") || seen.starts_with(b"O"), "{seen:?}");
}

#[test]
fn cut_and_flipped_archives_are_never_complete() {
    for name in ["lzma.7z", "lzma2-solid.7z", "copy.7z"] {
        let whole = fixture(name);
        for len in 0..whole.len() {
            let found = contents(&whole[..len], &Budget::default());
            assert!(found.is_err(), "{name} cut to {len}");
        }
    }
}

#[test]
fn limits_hold() {
    let bytes = fixture("lzma2-solid.7z");
    let few = Budget::new(Limits { members: 2, ..Limits::default() });
    assert!(matches!(contents(&bytes, &few), Err(ArchiveError::Limit(_))));
    let small = Budget::new(Limits { expanded_bytes: 100, ..Limits::default() });
    assert!(contents(&bytes, &small).unwrap().iter().any(|(_, content)| content.is_err()));
    let mut huge = bytes.clone();
    // A header of 2^40 bytes.
    huge[20..28].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert!(contents(&huge, &Budget::default()).is_err());
}
