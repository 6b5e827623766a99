//! Archives of usual writers are left alone, and archives whose readers disagree are not.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::collections::BTreeMap;
use std::path::Path;

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Facts, Finding, Judging, Limits, Severity, SkipCode, seal};

fn folder(name: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = format!("{}/../../testdata/artifact/archive/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

fn hostile(name: &str) -> (Facts, Vec<Finding>) {
    let path = format!("{}/../../testdata/artifact/archive/hostile/{name}", env!("CARGO_MANIFEST_DIR"));
    scan(name, &std::fs::read(Path::new(&path)).unwrap())
}

fn scan(name: &str, bytes: &[u8]) -> (Facts, Vec<Finding>) {
    let facts = exercise(name, bytes, &Limits::default());
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let findings = seal(GATE.checks.iter().flat_map(|check| check.judge(&facts, &judging).findings).collect());
    (facts, findings)
}

fn gaps(facts: &Facts) -> Vec<SkipCode> {
    facts.coverage.values().flat_map(|c| &c.skipped).map(|s| s.reason.code).collect()
}

/// `rule` of some check is among the findings at `severity` or above.
fn expect(name: &str, rule: &str, severity: Severity) {
    let (_, findings) = hostile(name);
    let found = findings.iter().any(|f| f.rule.ends_with(rule) && f.severity >= severity);
    assert!(found, "{name}: {:?}", findings.iter().map(|f| (&f.rule, f.severity)).collect::<Vec<_>>());
}

/// The pickle that the file hides was run by the machine.
fn expect_payload(name: &str) {
    expect(name, "pickle/dangerous-global", Severity::Critical);
}

#[test]
fn archives_of_usual_writers_are_silent() {
    let files = folder("benign");
    assert!(files.len() > 30);
    for (name, bytes) in files {
        let (facts, findings) = scan(&name, &bytes);
        let loud: Vec<_> = findings.iter().filter(|f| f.severity >= Severity::Medium).collect();
        assert!(loud.is_empty(), "{name}: {loud:?}");
        assert!(gaps(&facts).is_empty(), "{name}: {:?}", facts.coverage);
    }
}

#[test]
fn every_hostile_archive_is_flagged_or_an_open_question() {
    let files = folder("hostile");
    assert!(files.len() > 45);
    for (name, bytes) in files {
        let (facts, findings) = scan(&name, &bytes);
        let flagged = findings.iter().any(|f| f.severity >= Severity::Medium);
        assert!(flagged || !gaps(&facts).is_empty(), "{name}");
    }
}

#[test]
fn null_byte_ai_7z_named_like_a_torch_file() {
    // nullifAI: a 7z called .pt, which torch refuses and people unpack.
    expect_payload("nullifAI.pt");
    expect("nullifAI.pt", "archive/disguised-file", Severity::Medium);
}

#[test]
fn cve_2025_1944_names_differ_between_headers() {
    expect_payload("CVE-2025-1944-name.pt");
    expect("CVE-2025-1944-name.pt", "archive/reading-conflict", Severity::High);
}

#[test]
fn cve_2025_1945_flag_bits_lie() {
    expect_payload("CVE-2025-1945-flag.pt");
    expect("CVE-2025-1945-flag.pt", "archive/reading-conflict", Severity::Medium);
}

#[test]
fn cve_2025_10156_wrong_checksum_stops_strict_readers_only() {
    expect_payload("CVE-2025-10156-crc.pt");
    expect("CVE-2025-10156-crc.pt", "archive/wrong-checksum", Severity::Medium);
}

#[test]
fn cve_2025_1889_pickle_under_another_ending_inside_a_torch_file() {
    expect_payload("CVE-2025-1889-extension.pt");
}

#[test]
fn cve_2025_10155_pickle_named_bin() {
    expect_payload("CVE-2025-10155-extension.bin");
}

#[test]
fn cve_2007_4559_members_that_leave_the_folder() {
    expect("CVE-2007-4559-parent.tar", "archive/unsafe-path", Severity::High);
    expect("CVE-2007-4559-absolute.zip", "archive/unsafe-path", Severity::High);
    expect("zip-drive.zip", "archive/unsafe-path", Severity::High);
    expect("7z-parent.7z", "archive/unsafe-path", Severity::High);
    for link in ["7z-link.7z", "zip-link-outside.zip", "zip-through-link.zip"] {
        expect(link, "archive/unsafe-link", Severity::High);
    }
}

#[test]
fn what_no_member_owns_is_looked_into() {
    for name in [
        "zip-gap.zip",
        "zip-comment.zip",
        "zip-slack.zip",
        "tar-behind-end.tar",
        "7z-behind.7z",
        "gzip-behind.gz",
        "gzip-comment.gz",
        "xz-behind.xz",
        "bz2-behind.bz2",
        "zstd-skippable.zst",
    ] {
        expect_payload(name);
    }
    for name in ["zip-gap.zip", "zip-slack.zip", "tar-behind-end.tar", "7z-behind.7z", "gzip-behind.gz"] {
        expect(name, "archive/extra-bytes", Severity::Medium);
    }
}

#[test]
fn both_readings_are_followed() {
    for name in [
        "zip-local-name.zip",
        "zip-unicode-path.zip",
        "zip-overlap.zip",
        "zip-backslash.pt",
        "tar-pax-size.tar",
        "tar-size-of-link.tar",
    ] {
        expect_payload(name);
        expect(name, "archive/reading-conflict", Severity::High);
    }
    expect("zip-nul.zip", "archive/unsafe-path", Severity::High);
    expect("zip-self-extracting.bin", "archive/hidden-archive", Severity::High);
}

#[test]
fn every_method_and_every_further_member_is_unpacked() {
    for name in [
        "zip-lzma-member.npz",
        "zip-bzip2-member.zip",
        "gzip-two-members.gz",
        "zstd.pkl.zst",
        "zstd-second-frame.zst",
        "lz4-legacy.pkl.lz4",
        "7z-ppmd.7z",
        "7z-self-extracting.exe",
        "7z-wrong-checksum.7z",
        "tar-two.tar",
        "tar-unknown-type.tar",
    ] {
        expect_payload(name);
    }
}

#[test]
fn what_cannot_be_unpacked_is_an_open_question_with_its_reason() {
    for (name, code) in [
        ("7z-encrypted.7z", SkipCode::Encrypted),
        ("7z-encrypted-names.7z", SkipCode::Encrypted),
        ("rar4.rar", SkipCode::Unsupported),
        ("rar5.rar", SkipCode::Unsupported),
        ("rar-self-extracting.exe", SkipCode::Unsupported),
    ] {
        assert_eq!(gaps(&hostile(name).0), [code], "{name}");
    }
    let recognised: [(&str, &[u8]); 6] = [
        ("a.cab", b"MSCF\0\0\0\0rest"),
        ("a.deb", b"!<arch>\ndebian-binary"),
        ("a.Z", b"\x1f\x9d\x90rest"),
        ("a.br", b"\x0b\x02\x80hello\x03"),
        ("a.class", b"\xca\xfe\xba\xbe\0\0\0\x41rest"),
        ("nothing", b"070701000000"),
    ];
    for (name, bytes) in recognised {
        assert!(!gaps(&scan(name, bytes).0).is_empty(), "{name}");
    }
}

#[test]
fn truncated_7z_and_zstd_are_never_clean() {
    let files = folder("benign");
    for name in ["sevenzip.7z", "p.pkl.zst", "zstd-cli.txt.zst", "lz4-linked.txt.lz4", "lz4-cli.txt.lz4"] {
        let bytes = &files[name];
        for len in 0..bytes.len() {
            let (facts, findings) = scan(name, &bytes[..len]);
            assert!(!gaps(&facts).is_empty() || !findings.is_empty(), "{name} cut to {len}");
        }
    }
}

/// A zip of stored members, with a directory.
fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        let offset = bytes.len() as u32;
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        fields.extend(crc32fast::hash(data).to_le_bytes());
        fields.extend([(data.len() as u32).to_le_bytes(); 2].concat());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        bytes.extend([b"PK\x03\x04", fields.as_slice(), name.as_bytes(), data].concat());
        directory.extend(
            [b"PK\x01\x02\x14\0", fields.as_slice(), &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let (count, at) = (members.len() as u16, bytes.len() as u32);
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([count.to_le_bytes(); 2].concat());
    end.extend((directory.len() as u32).to_le_bytes());
    end.extend(at.to_le_bytes());
    [bytes, directory, end, vec![0, 0]].concat()
}

const PAYLOAD: &[u8] = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.";
const EMPTY: &[u8] = b"\x80\x02}.";

fn worst(name: &str, bytes: &[u8]) -> (Option<Severity>, Vec<SkipCode>) {
    let (facts, findings) = scan(name, bytes);
    (findings.iter().map(|finding| finding.severity).max(), gaps(&facts))
}

#[test]
fn numbers_of_tensors_may_begin_like_anything() {
    let magics: [&[u8]; 12] = [
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
        b"7z\xbc\xaf\x27\x1c",
        b"GGUF",
        b"\x93NUMPY",
        b"\x89HDF\r\n\x1a\n",
        b"\xca\xfe\xba\xbe\0\0\0\x34",
        b"\x7fELF",
        b"#!/",
    ];
    for magic in magics {
        let noise = (0..3000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80);
        let storage: Vec<u8> = magic.iter().copied().chain(noise).collect();
        let zip = zip_of(&[("a/data.pkl", EMPTY), ("a/data/0", &storage), ("a/version", b"3\n")]);
        let (severity, gaps) = worst("m.pt", &zip);
        assert!(severity.is_none() && gaps.is_empty(), "{magic:?}: {severity:?} {gaps:?}");
    }
}

#[test]
fn programs_and_pickles_among_the_numbers_are_found() {
    let elf = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 200]].concat();
    for storage in [elf.as_slice(), b"#!/bin/sh\nid\n", PAYLOAD, &zip_of(&[("m.pkl", PAYLOAD)])] {
        let zip = zip_of(&[("a/data.pkl", EMPTY), ("a/data/0", storage), ("a/version", b"3\n")]);
        assert!(worst("m.pt", &zip).0 >= Some(Severity::High), "{storage:?}");
    }
}

#[test]
fn pickles_behind_bytes_of_another_kind_are_read() {
    let before: [(&str, &[u8]); 6] = [
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82"),
        ("a.pdf", b"%PDF-1.4\n%%EOF\n"),
        ("a.txt", b"some text\n"),
        ("a.bin", &[7; 5000]),
        ("a.pt", b"\xef\xbb\xbf"),
        ("a.pkl", b"garbage!"),
    ];
    for (name, bytes) in before {
        assert!(worst(name, &[bytes, PAYLOAD].concat()).0 >= Some(Severity::High), "{name}");
    }
    assert_eq!(worst("a.png", before[0].1), (None, vec![]));
}

#[test]
fn engines_with_a_program_of_the_host_are_flagged_and_programs_of_the_card_are_not() {
    let engine = |machine: u8| {
        let elf = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 11], &[machine, 0], &[0; 100]].concat();
        [b"ftrt".as_slice(), &[0; 60], &elf].concat()
    };
    assert_eq!(worst("a.engine", &engine(62)).0, Some(Severity::High));
    assert_eq!(worst("a.engine", &engine(190)).0, None);
}

#[test]
fn what_old_pytorch_wrote_may_be_called_tar() {
    let loads = b"\x80\x02ccollections\nOrderedDict\n)R.";
    assert_eq!(worst("best.pth.tar", loads).0, None);
}

#[test]
fn a_zip_that_holds_a_table_under_its_own_path_is_only_noted() {
    let single = zip_of(&[("/home/u/frame.pkl.zip", b"\x80\x04}.")]);
    assert_eq!(worst("frame.pkl.zip", &single).0, Some(Severity::Low));
    assert_eq!(worst("a.zip", &zip_of(&[("/etc/cron.d/x", b"x")])).0, Some(Severity::High));
    let two = zip_of(&[("/home/u/frame.pkl.zip", b"\x80\x04}."), ("b", b"")]);
    assert_eq!(worst("frame.pkl.zip", &two).0, Some(Severity::High));
}

#[test]
fn bytes_that_a_call_loads_are_read_whatever_they_are() {
    let inner = zip_of(&[("a/data.pkl", PAYLOAD)]);
    let call = |bytes: &[u8]| {
        let head = b"\x80\x04\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B";
        [head.as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes, b"\x85R."].concat()
    };
    let reached = |bytes: &[u8]| {
        let (_, findings) = scan("m.pkl", &call(bytes));
        findings.iter().any(|finding| finding.message.contains("`posix.system`"))
    };
    assert!(reached(&inner) && reached(PAYLOAD));
    // Beyond what the machine keeps of one literal, the file itself is read.
    let padding = [b"\x80\x04B".as_slice(), &2_000_000_u32.to_le_bytes(), &vec![7; 2_000_000], b"0"].concat();
    assert!(reached(&[padding.as_slice(), &PAYLOAD[2..]].concat()));
}
