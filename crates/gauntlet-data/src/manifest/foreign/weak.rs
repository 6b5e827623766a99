//! MD5 as DVC uses it. For comparing with what others wrote; nothing of ours rests on it.

use std::io::{self, Read};
use std::path::Path;

use ::md5::{Digest as _, Md5};
use gauntlet_core::{Tree, TreeFile, open_regular};

/// DVC before version 3 decides for each block of this size whether it is text, by its first bytes.
const BLOCK: usize = 1 << 20;
const LOOKED_AT: usize = 512;

/// Hex MD5 of a file. `dos2unix`: as DVC before version 3 made it, with CRLF of texts read as LF.
pub(super) fn of_file(root: &Path, file: &TreeFile, dos2unix: bool) -> io::Result<String> {
    let mut handle = open_regular(root, file)?;
    let (mut hash, mut block) = (Md5::new(), vec![0; BLOCK]);
    loop {
        let mut filled = 0;
        while filled < BLOCK {
            match handle.read(block.get_mut(filled..).unwrap_or_default())? {
                0 => break,
                n => filled += n,
            }
        }
        let bytes = block.get(..filled).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        if dos2unix && is_text(bytes) {
            let mut rest = bytes;
            while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
                let (head, tail) = rest.split_at(at);
                hash.update(head);
                rest = tail.get(1..).unwrap_or_default();
            }
            hash.update(rest);
        } else {
            hash.update(bytes);
        }
    }
    file.unchanged(&handle)?;
    Ok(hex::encode(hash.finalize()))
}

/// Hash of a folder, without the `.dir` that DVC puts behind it: MD5 of the list of its files as Python's `json` writes it.
pub(super) fn of_folder(tree: &Tree, dos2unix: bool) -> io::Result<String> {
    let mut entries = Vec::new();
    for file in &tree.files {
        let path = file.path.to_str().ok_or_else(|| io::Error::other("the name of a file is not UTF-8"))?;
        entries.push((path.to_owned(), of_file(&tree.root, file, dos2unix)?));
    }
    Ok(of_list(entries))
}

/// As [`of_folder`], of paths and hashes.
pub(super) fn of_list(mut entries: Vec<(String, String)>) -> String {
    // Python compares texts by code point, which is the order of their UTF-8 bytes.
    entries.sort();
    let lines: Vec<String> = entries
        .iter()
        .map(|(path, md5)| format!("{{\"md5\": {}, \"relpath\": {}}}", escaped(md5), escaped(path)))
        .collect();
    hex::encode(Md5::digest(format!("[{}]", lines.join(", "))))
}

/// A JSON text with nothing but ASCII in it.
fn escaped(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

/// DVC's guess: no NUL and at most three tenths of unusual bytes at the start.
fn is_text(block: &[u8]) -> bool {
    let head = block.get(..LOOKED_AT.min(block.len())).unwrap_or_default();
    let usual = |b: u8| (32..127).contains(&b) || b"\n\r\t\x0c\x08".contains(&b);
    let odd = head.iter().filter(|&&b| !usual(b)).count();
    !head.contains(&0) && odd * 10 <= head.len() * 3
}

#[cfg(test)]
mod tests {
    use gauntlet_core::{Limits, TreeOptions};

    use super::*;

    #[test]
    fn line_ends_of_texts_count_only_in_new_hashes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x,y\r\n1,2\r\n").unwrap();
        std::fs::write(dir.path().join("b"), "x,y\n1,2\n").unwrap();
        std::fs::write(dir.path().join("c"), b"\0\r\n").unwrap();
        let tree = Tree::read(dir.path(), &TreeOptions::default(), &Limits::default()).unwrap();
        let hash = |i: usize, old| of_file(&tree.root, &tree.files[i], old).unwrap();
        assert_eq!(hash(0, true), hash(1, false));
        assert_ne!(hash(0, false), hash(1, false));
        assert_eq!(hash(2, true), hash(2, false));
        assert_eq!(hash(1, false), hex::encode(Md5::digest("x,y\n1,2\n")));
    }

    #[test]
    fn lists_are_written_as_python_writes_them() {
        assert_eq!(escaped("a\"b\\ü😀\n\u{7f}"), "\"a\\\"b\\\\\\u00fc\\ud83d\\ude00\\n\\u007f\"");
        assert_eq!(of_list(Vec::new()), hex::encode(Md5::digest("[]")));
    }
}
