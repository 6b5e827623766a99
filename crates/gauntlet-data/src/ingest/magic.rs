//! What bytes say they are, whatever the name.

use crate::facts::Format;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table or picture of a format that is read.
    Data(Format),
    /// Zip, 7z, gzip and the like.
    Container,
    /// A program for a processor or virtual machine.
    Program,
    /// Text that an interpreter or browser runs.
    Script,
    /// Office's old container, which holds documents with or without macros.
    Ole,
    /// A document.
    Document,
    /// Python objects: loading one runs code.
    Pickle,
}

/// Kind and name of what begins like `head`; `None` for text and what nobody knows.
pub(super) fn kind(head: &[u8]) -> Option<(Kind, &'static str)> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    let data = |format, name| Some((Kind::Data(format), name));
    if starts(b"PAR1") {
        return data(Format::Parquet, "Parquet");
    }
    if starts(b"ARROW1") {
        return data(Format::Arrow, "Arrow IPC");
    }
    if starts(b"Obj\x01") {
        return data(Format::Avro, "Avro");
    }
    if starts(b"\x93NUMPY") {
        return data(Format::Npy, "NumPy");
    }
    for (magic, name) in PICTURES {
        if starts(magic) {
            return data(Format::Picture, name);
        }
    }
    if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return data(Format::Picture, "WebP");
    }
    if is_windows_program(head) {
        return Some((Kind::Program, "Windows program"));
    }
    for (magic, name) in PROGRAMS {
        if starts(magic) {
            return Some((Kind::Program, name));
        }
    }
    if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Some((Kind::Ole, "OLE document"));
    }
    for (magic, name) in [(&b"%PDF-"[..], "PDF"), (b"{\\rtf", "RTF")] {
        if starts(magic) {
            return Some((Kind::Document, name));
        }
    }
    if is_pickle(head) {
        return Some((Kind::Pickle, "Python pickle"));
    }
    if let Some(container) = gauntlet_archive::sniff(head) {
        let name = CONTAINERS.iter().find(|name| **name == container.to_string()).copied().unwrap_or("archive");
        return Some((Kind::Container, name));
    }
    script(head).map(|name| (Kind::Script, name))
}

const PICTURES: [(&[u8], &str); 7] = [
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"BM\0\0\0\0\0\0\0\0", "BMP"),
];

const PROGRAMS: [(&[u8], &str); 9] = [
    (b"\x7fELF", "ELF program"),
    (b"\xfe\xed\xfa\xce", "Mach-O program"),
    (b"\xfe\xed\xfa\xcf", "Mach-O program"),
    (b"\xce\xfa\xed\xfe", "Mach-O program"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (b"\xca\xfe\xba\xbe", "Java class or Mach-O program"),
    (b"\0asm", "WebAssembly module"),
    (b"dex\n", "Android program"),
    (b"L\0\0\0\x01\x14\x02\0", "Windows shortcut"),
];

const CONTAINERS: [&str; 12] =
    ["zip", "tar", "gzip", "bzip2", "xz", "zstd", "lz4", "7z", "rar", "cab", "rpm", "ISO image"];

/// `MZ` may begin a line of text: the header that it points to has to be there.
fn is_windows_program(head: &[u8]) -> bool {
    let Some([a, b, c, d]) = head.get(0x3c..0x40) else { return false };
    let at = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
    let header = at.checked_add(4).and_then(|end| head.get(at..end));
    head.starts_with(b"MZ") && header.is_some_and(|header| header == b"PE\0\0" || header.starts_with(b"NE") || header.starts_with(b"LE"))
}

/// Protocol 2 to 5, then an opcode that such streams begin with.
fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, opcode, ..] if matches!(opcode, 0x95 | b'c' | b'}' | b']' | b'(' | b'X' | b'q' | b'K' | b')' | b'G' | 0x8c))
}

/// Texts that an interpreter or browser runs.
fn script(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    if let Some(rest) = head.strip_prefix(b"#!") {
        let path = rest.iter().position(|b| !matches!(b, b' ' | b'\t'));
        return (path.and_then(|at| rest.get(at)) == Some(&b'/')).then_some("script");
    }
    let text: Vec<u8> = head.iter().copied().skip_while(u8::is_ascii_whitespace).take(64).collect();
    let text = text.to_ascii_lowercase();
    let starts = [
        (&b"<?php"[..], "PHP script"),
        (b"<script", "HTML with a script"),
        (b"<!doctype html", "HTML"),
        (b"<html", "HTML"),
        (b"@echo off", "Windows batch file"),
        (b"<hta:", "HTML application"),
    ];
    starts.into_iter().find(|(magic, _)| text.starts_with(magic)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_told_by_its_first_bytes() {
        let name = |head: &[u8]| kind(head).map(|(_, name)| name);
        assert_eq!(name(b"\x7fELF\x02\x01"), Some("ELF program"));
        assert_eq!(name(b"#!/bin/sh\n"), Some("script"));
        assert_eq!(name(b"PK\x03\x04...."), Some("zip"));
        assert_eq!(name(b"\x80\x04\x95\x10"), Some("Python pickle"));
        assert_eq!(name(b"  <ScRiPt>alert(1)"), Some("HTML with a script"));
        let mut program = vec![0; 0x100];
        program[..2].copy_from_slice(b"MZ");
        program[0x3c] = 0x80;
        program[0x80..0x84].copy_from_slice(b"PE\0\0");
        assert_eq!(name(&program), Some("Windows program"));
    }

    #[test]
    fn text_is_text() {
        for head in [&b"id,name\n1,MZ\n"[..], b"MZ,country\n", b"#!comment\n", b"# a,b\n", b"{\"a\": 1}\n", b"", b"BMI,age\n", b"L,x\n", b"II,x\n"] {
            assert_eq!(kind(head), None, "{head:?}");
        }
    }
}
