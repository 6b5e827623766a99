//! Files of facts: nothing is lost, equal content has equal bytes, and broken bytes are errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use gauntlet_facts::{FactFile, FactsError, Header, Limits, Place, Row, exercise, read, write};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,12}", "[a-z/]{1,8}"]
}

fn place() -> impl Strategy<Value = Place> {
    let number = || proptest::option::of(any::<u64>());
    let word = || proptest::option::of(text());
    ((word(), word(), word(), number(), number(), number()), (number(), number(), word(), number(), word())).prop_map(
        |((path, path_bytes, member, line, column, offset), (cell, cell_line, field, row, case))| Place {
            path,
            path_bytes,
            member,
            line,
            column,
            offset,
            cell,
            cell_line,
            field,
            row,
            case,
        },
    )
}

fn row() -> impl Strategy<Value = Row> {
    prop_oneof![
        (text(), place(), text()).prop_map(|(kind, place, fact)| Row::Fact { kind, place, fact }),
        (text(), any::<u64>()).prop_map(|(check, looked_at)| Row::Covered { check, looked_at }),
        (proptest::option::of(text()), text(), proptest::option::of(text()), text())
            .prop_map(|(check, path, member, reason)| Row::Skipped { check, path, member, reason }),
    ]
}

fn file() -> impl Strategy<Value = FactFile> {
    let header = (text(), any::<u32>(), text(), text(), text()).prop_map(
        |(extractor, extractor_version, subject, config, checks)| Header {
            extractor,
            extractor_version,
            subject,
            config,
            checks,
        },
    );
    (header, proptest::collection::vec(row(), 0..40)).prop_map(|(header, rows)| FactFile { header, rows })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_again(file in file()) {
        let bytes = write(&file).unwrap();
        prop_assert_eq!(&write(&file.clone()).unwrap(), &bytes);
        prop_assert_eq!(read(bytes, &Limits::default()).unwrap(), file);
    }
}

fn sample(rows: usize) -> FactFile {
    let rows = (0..rows).map(|i| Row::Fact {
        kind: "pickle".into(),
        place: Place { path: Some(format!("m/{i}.pkl")), offset: Some(i as u64), ..Place::default() },
        fact: format!("{{\"n\":{i}}}"),
    });
    let header = Header {
        extractor: "artifact".into(),
        extractor_version: 3,
        subject: "{}".into(),
        config: "{}".into(),
        checks: "[]".into(),
    };
    FactFile { header, rows: rows.collect() }
}

#[test]
fn row_groups_keep_their_order() {
    let file = sample(40_000);
    let bytes = write(&file).unwrap();
    assert!(bytes.len() < 1 << 20, "{}", bytes.len());
    assert_eq!(read(bytes, &Limits::default()).unwrap(), file);
}

/// The digest of a file is signed, so its bytes may not drift with the build. A release of a dependency that changes them
/// makes this fail: then older files are still read, and the digest here is renewed knowingly.
#[test]
fn bytes_are_the_same_on_every_machine() {
    let bytes = write(&sample(100)).unwrap();
    let created_by = b"gauntlet-facts 1";
    assert!(bytes.windows(created_by.len()).any(|window| window == created_by));
    assert!(!bytes.windows(10).any(|window| window == b"parquet-rs"));
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "da842f469a176f0e893694279bd4be93461332e9b80d0680f5029225d24aca54");
}

#[test]
fn limits_and_versions_are_errors_that_say_so() {
    let bytes = write(&sample(100)).unwrap();
    let few = |limits| read(bytes.clone(), &limits).unwrap_err().to_string();
    assert!(few(Limits { rows: 99, ..Limits::default() }).contains("limit of 99 facts"));
    assert!(few(Limits { file_bytes: 10, ..Limits::default() }).contains("limit of 10 bytes"));
    assert!(few(Limits { table_bytes: 10, ..Limits::default() }).contains("limit of 10 bytes"));
    let at = bytes.windows(22).position(|window| window == b"gauntlet.facts.schema\x18").unwrap();
    let mut later = bytes.clone();
    assert_eq!(later[at + 23], b'1');
    later[at + 23] = b'9';
    assert!(matches!(read(later, &Limits::default()), Err(FactsError::Version { .. })));
}

#[test]
fn broken_files_are_errors_never_panics() {
    let seed = write(&sample(50)).unwrap();
    let limits = Limits { table_bytes: 16 << 20, ..Limits::default() };
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..3_000 {
        let mut bytes = seed.clone();
        match round % 3 {
            0 => bytes.truncate(random(seed.len())),
            1 => (0..=random(4)).for_each(|_| {
                let at = random(seed.len());
                bytes[at] ^= 1 << random(8);
            }),
            _ => {
                let (from, to, len) = (random(seed.len() - 8), random(seed.len() - 8), random(8));
                bytes.copy_within(from..from + len, to);
            }
        }
        exercise(&bytes, &limits);
    }
    assert!(exercise(b"PAR1", &limits).is_none());
    assert!(exercise(b"", &limits).is_none());
}

/// Stored facts outlive the program that wrote them.
#[test]
fn files_of_released_schemas_are_read() {
    let bytes = include_bytes!("../../../testdata/facts/schema-1.parquet");
    let file = read(bytes.to_vec(), &Limits::default()).unwrap();
    assert_eq!((file.header.extractor.as_str(), file.header.extractor_version), ("artifact", 1));
    assert!(file.rows.iter().any(|row| matches!(row, Row::Fact { kind, .. } if kind == "onnx")));
    assert!(file.rows.iter().any(|row| matches!(row, Row::Covered { check, .. } if check == "artifact/onnx")));
}
