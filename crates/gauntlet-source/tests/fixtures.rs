//! Fixtures whose lines say what must be found on them; everything unmarked must stay silent.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gauntlet_core::{
    Context, DigestSet, Facts, Finding, Judging, Limits, MaskKey, NoProgress, Subject, SubjectKind, Target, Tree,
    TreeOptions, seal,
};

/// Where the fixtures lie.
fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/source")
}

/// Fills `{{class:n}}` with seeded values, so that no file of the repository holds a token.
fn fill(text: &str, state: &mut u64) -> String {
    const AN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut word = |set: &[u8], n: usize| -> String {
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            char::from(set[(*state % set.len() as u64) as usize])
        };
        (0..n).map(|_| next()).collect()
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (slot, tail) = after.split_once("}}").unwrap();
        let (class, n) = slot.split_once(':').unwrap();
        let n = n.parse().unwrap();
        out += before;
        out += &match class {
            "an" => word(AN, n),
            "l" => word(&AN[..52], n),
            "hex" => word(b"0123456789abcdef", n),
            "b32" => word(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", n),
            "crc" | "crcbad" => {
                let body = word(AN, n);
                let mut sum = crc32(body.as_bytes()) ^ (u32::from(class == "crcbad") * 0x5A5A);
                let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
                let mut tail = String::new();
                for _ in 0..6 {
                    tail.insert(0, char::from(digits[(sum % 62) as usize]));
                    sum /= 62;
                }
                body + &tail
            }
            other => panic!("unknown class {other}"),
        };
        rest = tail;
    }
    out + rest
}

/// CRC-32 bit by bit, apart from the code under test.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

/// Facts and findings of a folder.
fn scan(root: &Path) -> (Facts, Vec<Finding>) {
    let limits = Limits::default();
    let tree = Tree::read(root, &TreeOptions::default(), &limits).unwrap();
    let subject = Subject { name: "fixtures".to_owned(), kind: SubjectKind::Source, digest: DigestSet::default() };
    let config = serde_json::Value::Null;
    let mask = MaskKey::for_project("fixtures");
    let target = Target { subject: &subject, root: &tree.root, tree: &tree, config: &config };
    let gate = &gauntlet_source::GATE;
    let facts = gate.extractor.extract(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress });
    // Judging goes over stored facts, so what storage loses shows here.
    let stored: Facts = serde_json::from_slice(&serde_json::to_vec(&facts).unwrap()).unwrap();
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let drafts = gate.checks.iter().flat_map(|c| {
        let judgement = c.judge(&stored, &judging);
        assert!(judgement.coverage.complete(), "{:?}", judgement.coverage);
        judgement.findings
    });
    (facts, seal(drafts.collect()))
}

/// The fixtures with their slots filled, in a folder of their own.
fn filled() -> (tempfile::TempDir, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut texts = BTreeMap::new();
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut names: Vec<_> =
        std::fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names {
        let text = fill(&std::fs::read_to_string(fixtures().join(&name)).unwrap(), &mut state);
        std::fs::write(folder.path().join(&name), &text).unwrap();
        texts.insert(name, text);
    }
    (folder, texts)
}

#[test]
fn every_marked_line_is_found_and_no_other() {
    let (folder, texts) = filled();
    let (facts, findings) = scan(folder.path());
    assert!(facts.coverage.values().all(gauntlet_core::Coverage::complete), "{:?}", facts.coverage);
    let mut expected = BTreeSet::new();
    for (name, text) in &texts {
        for (number, line) in text.lines().enumerate() {
            // A line of JSON may hold several lines of a cell.
            for mark in line.split("# finds: ").skip(1) {
                let rules = mark.split(['\\', '"']).next().unwrap();
                for rule in rules.split(", ") {
                    expected.insert((name.clone(), number as u64 + 1, rule.trim().to_owned()));
                }
            }
        }
    }
    let found: BTreeSet<_> = findings
        .iter()
        .filter(|f| f.suppressed.is_none())
        .map(|f| {
            let (check, rule) = f.rule.rsplit_once('/').unwrap();
            let rule = if rule == "unused-suppression" {
                format!("{}/{rule}", check.trim_start_matches("source/"))
            } else {
                rule.to_owned()
            };
            (f.location.path.clone().unwrap(), f.location.line.unwrap(), rule)
        })
        .collect();
    let missed: Vec<_> = expected.difference(&found).collect();
    let wrong: Vec<_> = found.difference(&expected).collect();
    assert!(missed.is_empty() && wrong.is_empty(), "missed {missed:#?}\nwrong {wrong:#?}");
    assert!(expected.len() > 50, "the fixtures were read");
}

#[test]
fn the_whole_report_stays_as_it_was() {
    let (folder, texts) = filled();
    let (facts, findings) = scan(folder.path());
    let lines: Vec<String> = findings
        .iter()
        .map(|f| {
            let l = &f.location;
            let cell = l
                .cell
                .map(|c| format!(" cell {c}:{}", l.cell_line.map_or("output".into(), |n| n.to_string())))
                .unwrap_or_default();
            let quiet = f.suppressed.as_ref().map(|s| format!(" [suppressed: {s}]")).unwrap_or_default();
            format!(
                "{}:{}:{}{cell} {} {}/{} {}{quiet}",
                l.path.as_deref().unwrap(),
                l.line.unwrap(),
                l.column.unwrap_or(0),
                f.rule,
                f.severity,
                f.confidence,
                f.message
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    // No value leaves the extractor: each filled slot is looked for in everything that is stored.
    let stored = serde_json::to_string(&facts).unwrap() + &lines.join("\n");
    for name in ["settings.yaml", "notebook.ipynb", "poetry.lock"] {
        let template = std::fs::read_to_string(fixtures().join(name)).unwrap();
        for (line, template) in texts[name].lines().zip(template.lines()) {
            if let Some((before, after)) = template.split_once("{{") {
                let length: usize = after.split_once("}}").unwrap().0.split_once(':').unwrap().1.parse().unwrap();
                let value = &line[before.len()..before.len() + length];
                assert!(!stored.contains(value), "{name}: {value}");
            }
        }
    }
}

#[test]
fn order_of_threads_leaves_no_trace() {
    let (folder, _) = filled();
    let first = scan(folder.path());
    for _ in 0..3 {
        assert_eq!(scan(folder.path()), first);
    }
}

#[test]
fn a_folder_without_text_is_none_of_our_business() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("weights.bin"), b"\0\x01\x02").unwrap();
    let (facts, findings) = scan(folder.path());
    assert!(facts.coverage.is_empty() && findings.is_empty());
}
