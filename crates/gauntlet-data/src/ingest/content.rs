//! One file against its name: what begins in it, what hides behind its end, what an archive in it holds.

use std::io::Read;
use std::path::Path;

use gauntlet_archive::{SNIFF_BYTES, Zip};
use gauntlet_core::Limits;
use gauntlet_limits::{Budget, ReadAt};
use memchr::memmem;

use super::facts::{ContentFact, ContentKind};
use super::magic::{self, Kind};
use crate::facts::Format;
use crate::table::{Refusal, Source, format_of, io_problem};

/// The end record of a zip lies in the last bytes: 22 and a comment of up to 64 KiB.
const TAIL: u64 = 22 + 65_535;
/// Bytes of an OLE file that are searched for macros.
const OLE_BYTES: u64 = 8 << 20;
/// Findings of one archive.
const MOST: usize = 20;

/// Names of members that are programs or scripts.
const RUNS: [&str; 22] = [
    "exe", "dll", "com", "scr", "msi", "bat", "cmd", "ps1", "vbs", "vbe", "js", "jse", "wsf", "hta", "lnk", "sh", "so",
    "dylib", "jar", "apk", "elf", "pif",
];

/// What of a file does not belong into a dataset.
///
/// # Errors
/// Why it could not be looked into.
pub(super) fn content(source: &Source) -> Result<Vec<ContentFact>, Refusal> {
    let handle = source.open_plain()?;
    let bytes = handle.bytes().as_ref();
    let mut out = Vec::new();
    let mut add = |kind, what: String| out.push(ContentFact { kind, what });
    let head = piece(bytes, 0, SNIFF_BYTES as u64)?;
    let named = format_of(source.name());
    let seen = match source.compressed {
        None => magic::kind(&head),
        Some(container) => {
            if gauntlet_archive::sniff(&head) != Some(container) && !head.is_empty() {
                add(ContentKind::TypeMismatch, format!("is called a {container} file and does not begin as one"));
                return Ok(out);
            }
            let inner = source.stream_head(|input| {
                let mut inner = Vec::new();
                input.take(SNIFF_BYTES as u64).read_to_end(&mut inner).map_err(|e| io_problem(&e))?;
                Ok(inner)
            })?;
            magic::kind(&inner)
        }
    };
    if let Some((kind, name)) = seen {
        mismatch(kind, name, named, source.name(), &mut add);
        match kind {
            Kind::Container if name == "zip" => archive(bytes, &source.limits, &mut add),
            Kind::Ole if has_ole_macros(bytes)? => add(ContentKind::Macro, "an OLE document with macros".to_owned()),
            _ => {}
        }
    } else if named == Format::Picture && bytes.size() > 0 {
        add(ContentKind::TypeMismatch, "is called a picture and does not begin as one".to_owned());
    }
    let is_zip = matches!(seen, Some((Kind::Container, _))) || source.compressed.is_some();
    if !is_zip {
        hidden(bytes, &head, seen, &mut add)?;
    }
    out.sort();
    out.dedup();
    Ok(out)
}

fn mismatch(kind: Kind, name: &str, named: Format, path: &Path, add: &mut impl FnMut(ContentKind, String)) {
    let extension = path.extension().map_or(String::new(), |e| format!(".{}", e.to_string_lossy()));
    match kind {
        Kind::Data(format) if format == named && (format != Format::Picture || picture_fits(name, &extension)) => {}
        Kind::Program | Kind::Script => add(ContentKind::Executable, format!("a {name}")),
        Kind::Pickle => add(ContentKind::Executable, format!("a {name}: loading it runs code")),
        // A container, document or table under a name that promises none of what is read promises nothing false.
        Kind::Data(_) if named == Format::Other => {
            add(ContentKind::TypeMismatch, format!("is {name} under the name `{extension}`, so it was not read"));
        }
        _ if named == Format::Other => {}
        _ => add(ContentKind::TypeMismatch, format!("is called `{extension}` and begins as {name} does")),
    }
}

fn picture_fits(name: &str, extension: &str) -> bool {
    let extension = extension.to_ascii_lowercase();
    match name {
        "JPEG" => matches!(extension.as_str(), ".jpg" | ".jpeg"),
        "TIFF" => matches!(extension.as_str(), ".tif" | ".tiff"),
        name => extension == format!(".{}", name.to_ascii_lowercase()),
    }
}

/// Looks for a second file in the first.
fn hidden(
    bytes: &dyn ReadAt,
    head: &[u8],
    seen: Option<(Kind, &'static str)>,
    add: &mut impl FnMut(ContentKind, String),
) -> Result<(), Refusal> {
    let size = bytes.size();
    let from = size.saturating_sub(TAIL);
    let tail = piece(bytes, from, TAIL)?;
    for at in memmem::rfind_iter(&tail, b"PK\x05\x06") {
        let Some(record) = tail.get(at..) else { continue };
        let word = |at: usize| record.get(at..at + 2).map(|w| u16::from_le_bytes([w[0], w[1]]));
        let comment = word(20).map(usize::from);
        // The record ends with the file, and names at least one member.
        if comment.is_some_and(|n| n + 22 == record.len()) && word(10).is_some_and(|members| members > 0) {
            let what = format!("is also a zip archive, by its end record at offset {}", from + at as u64);
            add(ContentKind::Polyglot, what);
            break;
        }
    }
    let early = head.get(..1_024).unwrap_or(head);
    if memmem::find(early, b"%PDF-").is_some_and(|at| at > 0) {
        add(ContentKind::Polyglot, "is also a PDF document, which may begin within the first 1,024 bytes".to_owned());
    }
    if let Some((Kind::Data(Format::Picture), name)) = seen {
        if name == "PNG"
            && let Some(end) = png_end(bytes)
            && end < size
        {
            add(ContentKind::Polyglot, format!("{} bytes follow behind the end of the picture", size - end));
        }
        for (mark, what) in [(&b"<?php"[..], "PHP code"), (b"<script", "a script"), (b"MZ\x90\0\x03\0\0\0", "a Windows program"), (b"\x7fELF\x02\x01\x01\0", "an ELF program")] {
            for part in [head.get(1..).unwrap_or_default(), tail.as_slice()] {
                if memmem::find(part, mark).is_some() {
                    add(ContentKind::Polyglot, format!("a picture with {what} inside"));
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Where the last chunk of a PNG ends; `None` when its chunks cannot be followed.
fn png_end(bytes: &dyn ReadAt) -> Option<u64> {
    let mut at = 8u64;
    for _ in 0..1_000_000 {
        let mut head = [0; 8];
        bytes.read_exact_at(at, &mut head).ok()?;
        let length = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        at = at.checked_add(12 + length)?;
        if head.get(4..) == Some(b"IEND") {
            return Some(at);
        }
        if at > bytes.size() {
            return None;
        }
    }
    None
}

/// What a zip archive holds, by its directory; nothing is unpacked.
fn archive(bytes: &dyn ReadAt, limits: &Limits, add: &mut impl FnMut(ContentKind, String)) {
    let budget = Budget::new(limits.clone());
    let Ok(zip) = Zip::read(bytes, &budget) else {
        add(ContentKind::Polyglot, "a zip archive that cannot be read to its end".to_owned());
        return;
    };
    if !zip.conflicts().is_empty() {
        let what = format!("a zip archive whose two directories disagree in {} places", zip.conflicts().len());
        add(ContentKind::Polyglot, what);
    }
    let (mut told, mut sum, mut stored) = (0, 0u64, 0u64);
    for member in zip.members() {
        let name = member.display_name();
        let entry = member.central.as_ref().or(member.local.as_ref());
        if let Some(entry) = entry {
            sum = sum.saturating_add(entry.size);
            stored = stored.saturating_add(entry.compressed);
        }
        let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
        let kind = if name.to_ascii_lowercase().ends_with("vbaproject.bin") {
            Some(ContentKind::Macro)
        } else if RUNS.contains(&extension.as_str()) {
            Some(ContentKind::Executable)
        } else {
            None
        };
        if let Some(kind) = kind.filter(|_| told < MOST) {
            told += 1;
            let name: String = name.chars().take(100).collect();
            add(kind, format!("a zip archive that holds `{name}`"));
        }
    }
    let most = (1u64 << 20).saturating_add(stored.saturating_mul(limits.ratio));
    if zip.limit().is_some() || sum > limits.expanded_bytes || sum > most {
        let what = format!("a zip archive of {} bytes that expands to {sum} in {} members", bytes.size(), zip.members().len());
        add(ContentKind::Bomb, what);
    }
}

/// The name of the stream with the macros, as OLE writes names.
fn has_ole_macros(bytes: &dyn ReadAt) -> Result<bool, Refusal> {
    let name: Vec<u8> = "_VBA_PROJECT".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let start = piece(bytes, 0, OLE_BYTES)?;
    Ok(memmem::find(&start, &name).is_some())
}

fn piece(bytes: &dyn ReadAt, at: u64, most: u64) -> Result<Vec<u8>, Refusal> {
    let length = most.min(bytes.size().saturating_sub(at));
    let mut out = vec![0; usize::try_from(length).unwrap_or(0)];
    bytes.read_exact_at(at, &mut out).map_err(|e| io_problem(&e))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn seen(name: &str, bytes: &[u8]) -> Vec<String> {
        let found = content(&Source::memory(name, bytes.to_vec(), &Limits::default())).unwrap();
        found.into_iter().map(|fact| format!("{:?}: {}", fact.kind, fact.what)).collect()
    }

    /// A zip with stored members.
    fn zip(members: &[(&str, &[u8], u32)]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, content, claimed) in members {
            let at = out.len() as u32;
            let fields = |out: &mut Vec<u8>| {
                out.extend([0; 4]);
                out.extend([0; 4]);
                out.extend(crc32fast::hash(content).to_le_bytes());
                out.extend((content.len() as u32).to_le_bytes());
                out.extend(claimed.to_le_bytes());
                out.extend((name.len() as u16).to_le_bytes());
                out.extend([0; 2]);
            };
            out.extend(b"PK\x03\x04\x14\0");
            fields(&mut out);
            out.extend(name.as_bytes());
            out.extend(*content);
            directory.extend(b"PK\x01\x02\x14\0\x14\0");
            fields(&mut directory);
            directory.extend([0; 10]);
            directory.extend(at.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let (at, size, count) = (out.len() as u32, directory.len() as u32, members.len() as u16);
        out.extend(directory);
        out.extend(b"PK\x05\x06\0\0\0\0");
        out.extend(count.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend([0; 2]);
        out
    }

    fn png() -> Vec<u8> {
        let mut out = Vec::new();
        image::RgbImage::new(4, 4).write_to(&mut std::io::Cursor::new(&mut out), image::ImageFormat::Png).unwrap();
        out
    }

    #[test]
    fn a_name_promises_a_content() {
        assert_eq!(seen("a.csv", b"id\n1\n"), [""; 0]);
        assert_eq!(seen("a.csv", b"PAR1...."), ["TypeMismatch: is called `.csv` and begins as Parquet does"]);
        assert_eq!(seen("a.parquet", b"\x7fELF\x02"), ["Executable: a ELF program"]);
        assert_eq!(seen("a.csv.gz", b"id\n1\n"), ["TypeMismatch: is called a gzip file and does not begin as one"]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(b"#!/bin/sh\nrm -r /\n").unwrap();
        assert_eq!(seen("a.csv.gz", &packed.finish().unwrap()), ["Executable: a script"]);
        assert_eq!(seen("a.png", &png()), [""; 0]);
        assert_eq!(seen("a.jpg", &png()), ["TypeMismatch: is called `.jpg` and begins as PNG does"]);
        assert_eq!(seen("a.bin", b"PAR1...."), ["TypeMismatch: is Parquet under the name `.bin`, so it was not read"]);
    }

    #[test]
    fn archives_are_looked_into_and_not_unpacked() {
        let macros = zip(&[("xl/workbook.xml", b"<x/>", 4), ("xl/vbaProject.bin", b"..", 2)]);
        assert_eq!(seen("a.xlsm", &macros), ["Macro: a zip archive that holds `xl/vbaProject.bin`"]);
        let program = zip(&[("data.csv", b"id\n", 3), ("setup.exe", b"MZ", 2)]);
        assert_eq!(seen("a.zip", &program), ["Executable: a zip archive that holds `setup.exe`"]);
        let bomb = zip(&[("a.csv", b"x", u32::MAX - 1)]);
        assert!(seen("a.zip", &bomb).iter().any(|line| line.starts_with("Bomb: ")), "{:?}", seen("a.zip", &bomb));
        assert_eq!(seen("a.zip", &zip(&[("data.csv", b"id\n", 3)])), [""; 0]);
    }

    #[test]
    fn a_second_file_in_the_first_is_seen() {
        let twice = [b"id,x\n1,2\n".as_slice(), &zip(&[("evil.csv", b"id\n", 3)])].concat();
        assert!(seen("a.csv", &twice)[0].starts_with("Polyglot: is also a zip archive"));
        assert!(seen("a.csv", b"id,%PDF-1.4\n1,2\n")[0].starts_with("Polyglot: is also a PDF"));
        let longer = [png(), b"#!/bin/sh\n".to_vec()].concat();
        assert_eq!(seen("a.png", &longer), ["Polyglot: 10 bytes follow behind the end of the picture"]);
        let script = [png(), b"<?php system($_GET[0]); ?>".to_vec()].concat();
        assert_eq!(seen("a.png", &script).len(), 2);
        assert_eq!(seen("a.csv", b"id,note\n1,PK\x05\x06 is a record\n"), [""; 0]);
    }
}
