//! Every row lands in exactly one part, with its reasons, or nothing is written at all.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_core::Limits;

use super::{QuarantineError, QuarantineOptions, Quarantined, Rejected, write};
use crate::table::{Scan, Table, open_all};
use crate::tests::{Project, parquet};

const CSV: &str = "id,note\n1,plain\n2,\"a, \"\"b\"\"\"\n3,\n4,\"\"\n5,\"two\nlines\"\n";

fn table(project: &Project, files: &[&str]) -> Arc<Table> {
    let files: Vec<PathBuf> = files.iter().map(|file| Path::new("data").join(file)).collect();
    open_all(project.root(), &files, &Limits::default()).unwrap()
}

fn position(file: u64, row: u64) -> u64 {
    file << 40 | row
}

fn rejected(rows: &[(u64, u64, &str)]) -> Rejected {
    let mut out = Rejected::default();
    for (file, row, why) in rows {
        out.add(position(*file, *row), *why);
    }
    out
}

fn split(project: &Project, files: &[&str], mut rows: Rejected, folder: &Path) -> Result<Quarantined, QuarantineError> {
    write(&table(project, files), &mut rows, folder, &QuarantineOptions::default())
}

/// Every row of a file as text.
fn rows_of(root: &Path, file: &str) -> Vec<String> {
    let table = open_all(root, &[PathBuf::from(file)], &Limits::default()).unwrap();
    let pass = Scan::new(Arc::clone(&table), (0..table.columns.len()).collect());
    let mut out = Vec::new();
    pass.for_each(&mut |batch| {
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| {
                if column.is_null(row) {
                    "∅".to_owned()
                } else {
                    arrow::util::display::array_value_to_string(column, row).unwrap()
                }
            };
            out.push(batch.columns().iter().skip(1).map(cell).collect::<Vec<_>>().join("|"));
        }
    });
    assert_eq!(pass.finish().1, []);
    out
}

#[test]
fn csv_rows_keep_their_values_and_go_to_one_part_each() {
    let project = Project::new().file("a.csv", CSV);
    let folder = project.root().join("out/split");
    let why = [(0, 1, "no-consent"), (0, 3, "no-consent"), (0, 3, "too-young: 12")];
    let done = split(&project, &["a.csv"], rejected(&why), &folder).unwrap();
    assert_eq!((done.rows, done.clean, done.rejected), (5, 3, 2));
    assert_eq!(
        done.reasons.iter().map(|(k, n)| (k.as_str(), *n)).collect::<Vec<_>>(),
        [("no-consent", 2), ("too-young", 1)]
    );
    assert_eq!(rows_of(&folder, "clean/data/a.csv"), ["1|plain", "3|∅", "5|two\nlines"]);
    assert_eq!(rows_of(&folder, "rejected/data/a.csv"), ["2|a, \"b\"|1|no-consent", "4||3|no-consent; too-young: 12"]);
    let stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("quarantine.json")).unwrap()).unwrap();
    assert_eq!(stored, serde_json::to_value(&done).unwrap());
    let clean = std::fs::read(folder.join("clean/data/a.csv")).unwrap();
    assert_eq!(done.files[0].clean.sha256, gauntlet_core::sha256_hex(&clean));
    assert_eq!(done.files[0].clean.size, clean.len() as u64);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.join("rejected/data/a.csv")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "rejected rows are their owner's alone");
}

#[test]
fn parquet_keeps_its_types_and_files_without_rejected_rows_have_one_part() {
    let project = Project::new().file("a.parquet", parquet(20_000, 3_000)).file("b.parquet", parquet(50, 50));
    let folder = project.root().join("out");
    let every_third: Vec<_> = (0..20_000).filter(|row| row % 3 == 0).map(|row| (0, row, "bad")).collect();
    let done = split(&project, &["a.parquet", "b.parquet"], rejected(&every_third), &folder).unwrap();
    assert_eq!((done.rows, done.rejected), (20_050, 6_667));
    assert!(done.files[1].rejected.is_none());
    let before = open_all(project.root(), &[PathBuf::from("data/a.parquet")], &Limits::default()).unwrap();
    let after = open_all(&folder, &[PathBuf::from("clean/data/a.parquet")], &Limits::default()).unwrap();
    assert_eq!(before.columns, after.columns);
    let whole = rows_of(project.root(), "data/a.parquet");
    let clean: Vec<String> = whole.iter().enumerate().filter(|(i, _)| i % 3 != 0).map(|(_, row)| row.clone()).collect();
    assert_eq!(rows_of(&folder, "clean/data/a.parquet"), clean);
    let bad: Vec<String> =
        whole.iter().enumerate().filter(|(i, _)| i % 3 == 0).map(|(i, row)| format!("{row}|{i}|bad")).collect();
    assert_eq!(rows_of(&folder, "rejected/data/a.parquet"), bad);
    assert_eq!(rows_of(&folder, "clean/data/b.parquet").len(), 50);
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_leaves_nothing_behind() {
    let mut broken = parquet(5_000, 500);
    // The header of the first page: a damaged value inside of a page is a value to whoever checks no sums.
    broken[4..40].fill(0xFF);
    for (name, bytes) in [("a.csv", b"id,x\n1,2\n3\n".to_vec()), ("a.parquet", broken)] {
        let project = Project::new().file(name, bytes);
        let folder = project.root().join("out");
        let error = split(&project, &[name], rejected(&[(0, 0, "bad")]), &folder).unwrap_err();
        assert!(matches!(error, QuarantineError::Unreadable { .. } | QuarantineError::Write { .. }), "{error}");
        assert!(!folder.exists());
        assert_eq!(std::fs::read_dir(project.root()).unwrap().count(), 1, "no working folder is left");
    }
}

#[test]
fn folders_in_use_and_taken_columns_are_refused() {
    let project = Project::new().file("a.csv", CSV).file("b.csv", "gauntlet_row\n1\n");
    let error = split(&project, &["a.csv"], Rejected::default(), &project.root().join("data")).unwrap_err();
    assert!(matches!(error, QuarantineError::NotEmpty(_)), "{error}");
    let error = split(&project, &["b.csv"], Rejected::default(), &project.root().join("out")).unwrap_err();
    assert!(matches!(error, QuarantineError::Column(_)), "{error}");
}

#[test]
fn a_recipient_alone_can_read_the_rejected_part() {
    let project = Project::new().file("a.csv", CSV);
    let folder = project.root().join("out");
    let key = age::x25519::Identity::generate();
    let options = QuarantineOptions { recipients: vec![key.to_public().to_string()] };
    let done = write(&table(&project, &["a.csv"]), &mut rejected(&[(0, 0, "bad")]), &folder, &options).unwrap();
    let part = done.files[0].rejected.clone().unwrap();
    assert!(part.encrypted && part.path == "rejected/data/a.csv.age" && !done.files[0].clean.encrypted);
    let bytes = std::fs::read(folder.join(&part.path)).unwrap();
    assert!(!bytes.windows(5).any(|w| w == b"plain"));
    let open = |key: &age::x25519::Identity| {
        let mut text = String::new();
        let decryptor = age::Decryptor::new(bytes.as_slice()).unwrap();
        decryptor.decrypt(std::iter::once(key as &dyn age::Identity)).ok()?.read_to_string(&mut text).ok()?;
        Some(text)
    };
    assert_eq!(open(&key).unwrap(), "id,note,gauntlet_row,gauntlet_reasons\n1,plain,0,bad\n");
    assert!(open(&age::x25519::Identity::generate()).is_none());
    let options = QuarantineOptions { recipients: vec!["age1nonsense".to_owned()] };
    let error = write(&table(&project, &["a.csv"]), &mut Rejected::default(), &folder.join("x"), &options).unwrap_err();
    assert!(matches!(error, QuarantineError::Recipient(_)), "{error}");
}
