//! Java's object serialization, searched for the descriptions of its classes (protocol version 5).

use serde::{Deserialize, Serialize};

/// Names that are kept.
const ENTRIES: usize = 500;
const LONGEST: usize = 300;

/// Stream magic and version.
pub(crate) const MAGIC: &[u8] = b"\xac\xed\x00\x05";

/// Class names in a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JavaFacts {
    /// Names as the stream gives them, each once, in order (the first 500).
    pub classes: Vec<String>,
    /// There are more.
    pub truncated: bool,
}

/// Finds `TC_CLASSDESC` (0x72) or `TC_PROXYCLASSDESC` (0x7d) records: a length, a name, and what has to follow it.
///
/// The stream's grammar depends on the classes themselves, so it is not followed: a search finds what a reader would
/// resolve, and perhaps a text that looks the same.
pub(crate) fn read(bytes: &[u8]) -> JavaFacts {
    let mut facts = JavaFacts::default();
    for at in memchr::memchr2_iter(0x72, 0x7d, bytes) {
        let proxy = bytes.get(at) == Some(&0x7d);
        // A proxy has a count of interfaces first.
        let names = if proxy { at + 5 } else { at + 1 };
        let Some(name) = name_at(bytes, names) else { continue };
        // Behind the name: serialVersionUID, then flags (0x02 serializable, 0x04 externalizable, 0x10 enum, ...).
        let flags = bytes.get(names + 2 + name.len() + 8);
        if !proxy && !flags.is_some_and(|flags| flags & 0xe0 == 0 && flags & 0x1e != 0) {
            continue;
        }
        if facts.classes.contains(&name) {
            continue;
        }
        if facts.classes.len() == ENTRIES {
            facts.truncated = true;
            break;
        }
        facts.classes.push(name);
    }
    facts
}

fn name_at(bytes: &[u8], at: usize) -> Option<String> {
    let len = bytes.get(at..at + 2)?.first_chunk::<2>().map(|raw| usize::from(u16::from_be_bytes(*raw)))?;
    let name = bytes.get(at + 2..(at + 2).checked_add(len)?)?;
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'[' | b';' | b'/');
    let fits = (2..=LONGEST).contains(&len) && name.iter().all(valid) && !name.starts_with(b".");
    fits.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Vec<u8> {
        [&[0x72, 0, name.len() as u8][..], name.as_bytes(), &[1; 8], &[2]].concat()
    }

    #[test]
    fn classes_and_proxies_are_named_once() {
        let proxy = [&[0x7d, 0, 0, 0, 1, 0, 8][..], b"a.Remote"].concat();
        let bytes = [MAGIC, b"sr", &class("java.util.HashMap"), &class("java.util.HashMap"), &proxy].concat();
        assert_eq!(read(&bytes).classes, ["java.util.HashMap", "a.Remote"]);
    }

    #[test]
    fn texts_and_ends_are_no_classes() {
        for bytes in [&b"r\0\x05hello"[..], b"r\xff\xff", b"r", b"r\0\x05he lo\0\0\0\0\0\0\0\0\x02"] {
            assert!(read(bytes).classes.is_empty(), "{bytes:?}");
        }
    }
}
