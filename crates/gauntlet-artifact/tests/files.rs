//! What a person sees for each fixture, and that hostile files end in an answer which is never clean.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use gauntlet_artifact::{GATE, exercise, extract};
use gauntlet_core::{Facts, Finding, Judging, Limits, MaskKey, Severity, SkipCode, seal};
use gauntlet_limits::ReadAt;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/artifact/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/artifact"));
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|e| e.file_type().unwrap().is_file());
    let mut names: Vec<_> = files.map(|e| e.file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "README.md");
    names.sort();
    names.into_iter().map(|name| (name.clone(), fixture(&name))).collect()
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let config = serde_json::json!({});
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    seal(GATE.checks.iter().flat_map(|check| check.judge(facts, &judging).findings).collect())
}

/// Findings of one check and what was left open, a line each.
fn report(check: &str, names: &[&str]) -> String {
    let mut out = String::new();
    for name in names {
        let facts = exercise(name, &fixture(name), &Limits::default());
        writeln!(out, "{name}").unwrap();
        for finding in judge(&facts).iter().filter(|f| f.rule.starts_with(check)) {
            let place = &finding.location;
            let member = place.member.as_deref().map(|m| format!(" {m}")).unwrap_or_default();
            let offset = place.offset.map(|o| format!(" @{o}")).unwrap_or_default();
            let (severity, rule, message) = (finding.severity, &finding.rule, &finding.message);
            writeln!(out, "  {severity} {rule}{member}{offset}: {message}").unwrap();
        }
        for skipped in facts.coverage.get(check).into_iter().flat_map(|c| &c.skipped) {
            writeln!(out, "  not looked at: {}", skipped.reason).unwrap();
        }
    }
    out
}

#[test]
fn pickle_findings() {
    insta::assert_snapshot!(report(
        "artifact/pickle",
        &[
            "b016.pkl",
            "b037.pkl",
            "b049.pt",
            "b060.joblib",
            "p007.pkl",
            "p086.pkl",
            "p094.pkl",
            "p100.pkl",
            "p106.pkl",
            "p117.pkl",
            "p153.pkl",
            "c070.joblib",
            "c073.npy",
            "c007.pt",
            "c035.pth",
            "c042.zip",
            "c047.tar.bz2",
            "c133.safetensors",
        ],
    ));
}

#[test]
fn archive_findings() {
    insta::assert_snapshot!(report(
        "artifact/archive",
        &[
            "b049.pt",
            "b082.safetensors",
            "c007.pt",
            "c010.pt",
            "c014.pt",
            "c016.pt",
            "c051.zip",
            "c133.safetensors",
            "p138.safetensors",
        ],
    ));
}

#[test]
fn safetensors_findings() {
    let names = ["b082.safetensors", "c122.safetensors", "c126.safetensors", "c129.safetensors", "c133.safetensors"];
    insta::assert_snapshot!(report("artifact/safetensors", &names));
}

#[test]
fn onnx_findings() {
    let names = ["b077.onnx", "c105.onnx", "c110.onnx", "c111.onnx", "c115.onnx"];
    insta::assert_snapshot!(report("artifact/onnx", &names));
}

fn is_clean(facts: &Facts) -> bool {
    facts.coverage.values().all(gauntlet_core::Coverage::complete)
        && judge(facts).iter().all(|finding| finding.severity < Severity::Medium)
}

fn skip_codes(facts: &Facts) -> Vec<SkipCode> {
    facts.coverage.values().flat_map(|c| &c.skipped).map(|s| s.reason.code).collect()
}

#[test]
fn what_cannot_be_read_is_never_clean() {
    let endings = [
        "pkl",
        "joblib",
        "pt",
        "bin",
        "safetensors",
        "onnx",
        "npy",
        "npz",
        "zip",
        "tar.gz",
        "7z",
        "h5",
        "gguf",
        "keras",
        "pb",
    ];
    for ending in endings {
        for bytes in [&b""[..], b"\0", b"nothing of the kind", &[0xff; 300]] {
            let facts = exercise(&format!("model.{ending}"), bytes, &Limits::default());
            assert!(!is_clean(&facts), "{ending} {bytes:?}");
        }
    }
    // What claims nothing and is nothing is no concern of a model scanner.
    assert!(is_clean(&exercise("README.md", b"# nothing", &Limits::default())));
    assert!(is_clean(&exercise("iris.data", b"5.1,3.5,1.4,0.2,setosa\n", &Limits::default())));
    assert!(!is_clean(&exercise("iris.data", b"5.1\x00\x01", &Limits::default())));
}

#[test]
fn truncated_files_are_never_clean() {
    for name in ["b016.pkl", "b049.pt", "b060.joblib", "b082.safetensors", "b077.onnx"] {
        let bytes = fixture(name);
        assert!(is_clean(&exercise(name, &bytes, &Limits::default())), "{name}");
        for len in 0..bytes.len() {
            let facts = exercise(name, &bytes[..len], &Limits::default());
            assert!(!is_clean(&facts), "{name} cut to {len} of {}", bytes.len());
        }
    }
}

#[test]
fn bombs_and_nesting_end_at_limits() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(b"\x80\x02B\0\0\0\x04").unwrap();
    for _ in 0..64 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let limits = Limits { expanded_bytes: 8 << 20, ..Limits::default() };
    let facts = exercise("bomb.pkl.gz", &bomb.finish().unwrap(), &limits);
    assert!(skip_codes(&facts).contains(&SkipCode::Limit), "{:?}", facts.coverage);

    let mut nested = b"\x80\x02N.".to_vec();
    for _ in 0..40 {
        let mut outer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        outer.write_all(&nested).unwrap();
        nested = outer.finish().unwrap();
    }
    assert!(skip_codes(&exercise("deep.gz", &nested, &Limits::default())).contains(&SkipCode::Limit));

    let limits = Limits { steps: 50, ..Limits::default() };
    assert!(skip_codes(&exercise("b016.pkl", &fixture("b016.pkl"), &limits)).contains(&SkipCode::Limit));
}

/// A terabyte of zeros behind some first bytes.
struct Huge(&'static [u8]);

impl ReadAt for Huge {
    fn size(&self) -> u64 {
        1 << 40
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        buf.fill(0);
        let n = buf.len().min(self.0.len() - start);
        buf[..n].copy_from_slice(&self.0[start..start + n]);
        Ok(buf.len())
    }
}

#[test]
fn a_terabyte_of_holes_costs_little_and_is_never_clean() {
    // A zip without a directory is searched byte by byte, so a terabyte of it is not among these.
    let starts: [(&str, &'static [u8]); 7] = [
        ("a.bin", b""),
        ("a.pkl", b""),
        ("a.pkl", b"\x80\x02N."),
        ("a.safetensors", b""),
        ("a.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
        ("a.onnx", b"\x08\x08\x12"),
        ("a.npy", b"\x93NUMPY\x01\0\x10\0"),
    ];
    for (name, start) in starts {
        let facts = extract(Path::new(name), &Huge(start), &Limits::default(), &MaskKey::for_project("test"));
        assert!(!is_clean(&facts), "{name} {start:?}");
    }
}

#[test]
fn mutated_files_end_in_an_answer() {
    let seeds = fixtures();
    let limits = Limits { steps: 50_000, expanded_bytes: 1 << 20, members: 500, nodes: 5_000, ..Limits::default() };
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n.max(1) as u64).unwrap()
    };
    for round in 0..4000 {
        let (name, seed) = &seeds[round % seeds.len()];
        let mut bytes = seed.clone();
        for _ in 0..=random(5) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes[at] = [0, 0x7f, 0x80, 0xff][random(4)],
                _ => {
                    let other = &seeds[random(seeds.len())].1;
                    let from = random(other.len());
                    bytes.splice(at..at, other[from..(from + random(60)).min(other.len())].iter().copied());
                }
            }
        }
        judge(&exercise(name, &bytes, &limits));
    }
}

#[test]
fn encrypted_members_are_an_open_question_and_a_mere_flag_is_not() {
    // The flag alone: the bytes are plain and were looked at.
    let flagged = exercise("c010.pt", &fixture("c010.pt"), &Limits::default());
    assert!(!skip_codes(&flagged).contains(&SkipCode::Encrypted));
    // The flag, and bytes that are not what the checksum was made of.
    let mut bytes = fixture("c010.pt");
    let content = memchr::memmem::find(&bytes, b"gauntlet-canary").unwrap();
    bytes[content] ^= 0x55;
    assert!(skip_codes(&exercise("c010.pt", &bytes, &Limits::default())).contains(&SkipCode::Encrypted));
}
