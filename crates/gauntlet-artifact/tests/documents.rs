//! Models in XML, R data, Torch7 and Java streams: files of real writers are left alone, their hostile twins are not.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_artifact::{GATE, exercise};
use gauntlet_core::{Facts, Finding, Judging, Limits, Severity, SkipCode, seal};

fn fixtures(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = format!("{}/../../testdata/artifact/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let mut files: Vec<_> =
        files.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect();
    files.retain(|(name, _)| !name.ends_with(".md") && !name.ends_with(".java"));
    files.sort();
    files
}

fn fixture(folder: &str, name: &str) -> Vec<u8> {
    fixtures(folder).into_iter().find(|(known, _)| known == name).unwrap().1
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

fn found(name: &str, bytes: &[u8], rule: &str, severity: Severity) -> bool {
    scan(name, bytes).1.iter().any(|f| f.rule == rule && f.severity >= severity)
}

#[test]
fn files_of_real_writers_are_silent() {
    for folder in ["r", "pmml", "openvino"] {
        let mut seen = 0;
        for (name, bytes) in fixtures(folder) {
            // Weights alone are an open question; beside their description they are not, which the tree decides.
            if name.starts_with('c') && name[1..2].parse::<u8>().is_ok()
                || folder == "openvino" && name.ends_with(".bin")
            {
                continue;
            }
            let (facts, findings) = scan(&name, &bytes);
            let loud: Vec<_> = findings.iter().filter(|f| f.severity >= Severity::Medium).collect();
            assert!(loud.is_empty(), "{folder}/{name}: {loud:?}");
            assert!(gaps(&facts).is_empty(), "{folder}/{name}: {:?}", facts.coverage);
            seen += 1;
        }
        assert!(seen > 0, "{folder}");
    }
}

#[test]
fn cve_2024_27322_a_promise_in_r_data() {
    for name in ["c168.rds", "c169.rds"] {
        assert!(found(name, &fixture("r", name), "artifact/r/promise", Severity::Critical), "{name}");
    }
    // The same promise under a name that says nothing, and inside a compressed member.
    assert!(found("weights", &fixture("r", "c169.rds"), "artifact/r/promise", Severity::Critical));
}

#[test]
fn entities_scripts_and_libraries_are_findings() {
    for (folder, name, rule) in [
        ("pmml", "c156.pmml", "artifact/pmml/xml-entities"),
        ("pmml", "c157.pmml", "artifact/pmml/xml-entities"),
        ("openvino", "c159.xml", "artifact/openvino/library-path"),
        ("openvino", "c160.xml", "artifact/openvino/xml-entities"),
    ] {
        assert!(found(name, &fixture(folder, name), rule, Severity::High), "{name}");
    }
    assert!(found("c158.pmml", &fixture("pmml", "c158.pmml"), "artifact/pmml/script", Severity::Medium));
    let java = br#"<PMML version="4.4"><Apply function="java.lang.Runtime.exec"/></PMML>"#;
    assert!(found("m.xml", java, "artifact/pmml/java-function", Severity::High));
    let code = b"<PMML><Extension name='x'><![CDATA[ eval(\"1\") ]]></Extension></PMML>";
    assert!(found("m.pmml", code, "artifact/pmml/script", Severity::Medium));
}

#[test]
fn documents_in_other_encodings_are_read() {
    let text =
        "<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE PMML [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><PMML/>";
    for wide in [
        [&[0xff, 0xfe][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat(),
        [&[0xfe, 0xff][..], &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()].concat(),
    ] {
        assert!(found("m.pmml", &wide, "artifact/pmml/xml-entities", Severity::High));
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><PMML version='4.4'><Header description='\xe9'/></PMML>";
    let (facts, findings) = scan("m.pmml", latin);
    assert!(gaps(&facts).is_empty() && findings.is_empty(), "{:?} {findings:?}", facts.coverage);
}

#[test]
fn torch7_functions_and_java_streams_are_told() {
    assert!(found("m.t7", &fixture("torch7", "c174.t7"), "artifact/torch7/lua-function", Severity::High));
    assert!(found("m.bin", &fixture("torch7", "c174.t7"), "artifact/torch7/lua-function", Severity::High));
    assert!(found("m.ser", &fixture("java", "url.ser"), "artifact/java/gadget-class", Severity::High));
    assert!(found("m.ser", &fixture("java", "model.ser"), "artifact/java/object-stream", Severity::Medium));
    let (facts, findings) = scan("m.ser", &fixture("java", "plain.ser"));
    assert!(findings.iter().all(|f| f.severity < Severity::Medium));
    assert_eq!(gaps(&facts), [SkipCode::Unsupported]);
}

#[test]
fn cut_files_are_never_clean() {
    let cut: [(&str, &str); 6] = [
        ("r", "plain.rds"),
        ("r", "ascii.rds"),
        ("r", "closure.rds"),
        ("r", "compiled.rds"),
        ("pmml", "nyoka.pmml"),
        ("r", "workspace_v2.RData"),
    ];
    for (folder, name) in cut {
        let bytes = fixture(folder, name);
        for len in (0..bytes.len() - 1).step_by(7) {
            let (facts, findings) = scan(name, &bytes[..len]);
            assert!(!gaps(&facts).is_empty() || !findings.is_empty(), "{name} cut to {len} of {}", bytes.len());
        }
    }
}

#[test]
fn mutated_files_end_in_an_answer() {
    let folders = ["r", "pmml", "openvino", "torch7", "java", "archive/hostile", "archive/benign"];
    let seeds: Vec<_> = folders.iter().flat_map(|folder| fixtures(folder)).collect();
    let limits = Limits { steps: 50_000, expanded_bytes: 1 << 20, members: 300, nodes: 5_000, ..Limits::default() };
    let mut state = 0x0dd0_15ea_5e5e_ed01_u64;
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
            match random(5) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes[at] = [0, 0x7f, 0x80, 0xff][random(4)],
                3 => {
                    bytes.drain(at..(at + random(40)).min(bytes.len()));
                    bytes.push(0);
                }
                _ => {
                    let other = &seeds[random(seeds.len())].1;
                    let from = random(other.len());
                    bytes.splice(at..at, other[from..(from + random(60)).min(other.len())].iter().copied());
                }
            }
        }
        let facts = exercise(name, &bytes, &limits);
        let config = serde_json::json!({});
        let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
        for check in GATE.checks {
            check.judge(&facts, &judging);
        }
    }
}
