//! Descriptions lead to manifests and back, and files that differ are told from files that nobody vouches for.

use ::md5::{Digest as _, Md5};
use gauntlet_core::{Limits, sha256_hex};

use super::*;

const DATA: &str = "age,churn\n44,0\n18,1\n";

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    dir
}

fn import(format: ForeignFormat, dir: &tempfile::TempDir, text: &str) -> Imported {
    import_manifest(format, dir.path(), "x.dvc", text.as_bytes(), &Limits::default()).unwrap()
}

fn states(imported: &Imported) -> Vec<(&str, FileState)> {
    imported.files.iter().map(|f| (f.path.as_str(), f.state)).collect()
}

fn sound() -> Manifest {
    let text = format!(
        "gauntlet_dataset: 1\nname: churn\nversion: '2.0'\nfiles: [{{path: train.csv, sha256: {}, size: {}, rows: 2, split: train}}]\n\
         source: {{uri: 'https://e.org/churn', collected: [2026-01-01, 2026-02-01], method: export, upstream: [{{name: billing}}]}}\n\
         license: {{spdx: CC-BY-4.0}}\nconsent: {{basis: consent, record: 'urn:r', purposes: [train], expires: 2027-01-01}}\n\
         personal_data: {{columns: {{age: plain}}}}\nlabel: {{column: churn, classes: ['0', '1']}}\naccess: {{conditions: on request}}\n",
        sha256_hex(DATA.as_bytes()),
        DATA.len()
    );
    Manifest::parse("m", text.as_bytes()).unwrap()
}

fn columns() -> Vec<(String, String)> {
    [("age", "integer"), ("churn", "integer")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
}

#[test]
fn croissant_carries_all_but_consent() {
    let dir = folder(&[("train.csv", DATA.as_bytes())]);
    let text = export_manifest(ForeignFormat::Croissant, &sound(), &columns(), dir.path()).unwrap();
    let imported = import(ForeignFormat::Croissant, &dir, &text);
    assert_eq!(states(&imported), [("train.csv", FileState::Verified)]);
    let mut expected = sound();
    expected.consent = crate::manifest::Consent {
        purposes: vec!["train".to_owned()],
        expires: Some("2027-01-01".to_owned()),
        ..Default::default()
    };
    expected.files[0].rows = None;
    expected.files[0].split = None;
    expected.label.as_mut().unwrap().classes.clear();
    assert_eq!(imported.manifest, expected);
}

#[test]
fn a_file_that_differs_is_told_from_one_that_nobody_vouches_for() {
    let dir = folder(&[("train.csv", DATA.as_bytes())]);
    let text = export_manifest(ForeignFormat::Croissant, &sound(), &[], dir.path()).unwrap();
    std::fs::write(dir.path().join("train.csv"), DATA.replace("44", "45")).unwrap();
    assert_eq!(states(&import(ForeignFormat::Croissant, &dir, &text)), [("train.csv", FileState::Mismatch)]);
    let bare = text.lines().filter(|l| !l.contains("\"sha256\"") && !l.contains("contentSize")).collect::<String>();
    let bare = bare.replace("\"name\": \"train.csv\",    }", "\"name\": \"train.csv\"    }");
    let imported = import(ForeignFormat::Croissant, &dir, &bare);
    assert_eq!(states(&imported), [("train.csv", FileState::Unverifiable)]);
    assert_eq!(imported.manifest.files[0].sha256, None, "nobody vouches for it, so no hash is written");
    std::fs::remove_file(dir.path().join("train.csv")).unwrap();
    assert_eq!(states(&import(ForeignFormat::Croissant, &dir, &text)), [("train.csv", FileState::Missing)]);
}

#[test]
fn other_versions_and_hostile_paths_of_croissant_are_refused() {
    let dir = folder(&[("train.csv", DATA.as_bytes())]);
    let text = export_manifest(ForeignFormat::Croissant, &sound(), &[], dir.path()).unwrap();
    let read =
        |text: &str| import_manifest(ForeignFormat::Croissant, dir.path(), "c", text.as_bytes(), &Limits::default());
    read(&text.replace("croissant/1.0", "croissant/1.1")).unwrap();
    for broken in [
        text.replace("croissant/1.0", "croissant/2.0"),
        text.replace("\"conformsTo\": \"http", "\"x\": \"http"),
        text.replace("cr:FileObject\"", "cr:Other\""),
        text.replace(&sha256_hex(DATA.as_bytes()), "12"),
        "[]".to_owned(),
        "[".repeat(10_000),
    ] {
        assert!(read(&broken).is_err(), "{broken}");
    }
    let hostile = text.replace("\"contentUrl\": \"train.csv\"", "\"contentUrl\": \"../../etc/passwd\"");
    assert_eq!(read(&hostile).unwrap().files[0].state, FileState::Missing);
}

#[test]
fn cards_carry_files_by_split_and_no_hashes() {
    let dir = folder(&[("train.csv", DATA.as_bytes())]);
    let text = export_manifest(ForeignFormat::HuggingFace, &sound(), &columns(), dir.path()).unwrap();
    assert!(text.starts_with("---\npretty_name: \"churn\"\nlicense: cc-by-4.0\n"), "{text}");
    let imported = import(ForeignFormat::HuggingFace, &dir, &text);
    assert_eq!(states(&imported), [("train.csv", FileState::Unverifiable)]);
    let m = &imported.manifest;
    assert_eq!((m.name.as_deref(), m.license.spdx.as_deref()), (Some("churn"), Some("CC-BY-4.0")));
    assert_eq!((m.files[0].rows, m.files[0].split.as_deref()), (Some(2), Some("train")));
    assert_eq!(m.label, sound().label);
    let mut own = sound();
    own.license.spdx = Some("LicenseRef-own".to_owned());
    let text = export_manifest(ForeignFormat::HuggingFace, &own, &[], dir.path()).unwrap();
    assert!(text.contains("license: other\nlicense_name: \"licenseref-own\"\nlicense_link: "), "{text}");
}

#[test]
fn cards_list_globs_and_maps_of_splits() {
    let dir =
        folder(&[("data/a-1.csv", DATA.as_bytes()), ("data/a-2.csv", DATA.as_bytes()), ("t.csv", DATA.as_bytes())]);
    let text = "---\nlicense: [mit]\nconfigs:\n- config_name: d\n  data_files:\n    train: data/a-*.csv\n    test: [t.csv]\n---\n";
    let paths: Vec<_> = import(ForeignFormat::HuggingFace, &dir, text)
        .manifest
        .files
        .into_iter()
        .map(|f| (f.path, f.split.unwrap()))
        .collect();
    let expected = [("t.csv", "test"), ("data/a-1.csv", "train"), ("data/a-2.csv", "train")];
    let mut sorted = paths.clone();
    sorted.sort();
    let mut wanted: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    wanted.sort();
    assert_eq!(sorted, wanted);
    for broken in ["license: mit\n", "---\nlicense: mit\n", "---\n: [\n---\n", "---\nconfigs: 3\n---\n"] {
        let read = import_manifest(ForeignFormat::HuggingFace, dir.path(), "R", broken.as_bytes(), &Limits::default());
        assert!(read.is_err(), "{broken}");
    }
}

#[test]
fn dvc_files_and_folders_are_held_against_their_md5() {
    let crlf = b"a,b\r\n1,2\r\n";
    let dir = folder(&[("one.csv", crlf), ("d/x.csv", crlf), ("d/sub-1", b"q"), ("d/sub/\u{fc}.txt", b"z")]);
    // Hashes as DVC 3 wrote them for these very files.
    let text = "outs:\n- md5: 2768ed580322a79f237029d1950fd811.dir\n  size: 12\n  nfiles: 3\n  hash: md5\n  path: d\n\
                - md5: b202f333fba4fd38d4b8e5e693077aab\n  size: 10\n  hash: md5\n  path: one.csv\n";
    let imported = import(ForeignFormat::Dvc, &dir, text);
    assert_eq!(states(&imported), [("d", FileState::Weak), ("one.csv", FileState::Weak)]);
    assert_eq!(imported.manifest.files.len(), 4);
    assert!(imported.manifest.files.iter().all(|f| f.sha256.is_some()));
    assert!(imported.notes.iter().any(|note| note.contains("MD5 is weak")));
    // Before version 3 the line ends of texts did not count.
    let old = format!("outs:\n- md5: {}\n  size: 10\n  path: one.csv\n", hex::encode(Md5::digest("a,b\n1,2\n")));
    assert_eq!(states(&import(ForeignFormat::Dvc, &dir, &old)), [("one.csv", FileState::Weak)]);
    let new = old.replace("  path", "  hash: md5\n  path");
    assert_eq!(states(&import(ForeignFormat::Dvc, &dir, &new)), [("one.csv", FileState::Mismatch)]);
    std::fs::write(dir.path().join("d/more"), "1").unwrap();
    assert_eq!(states(&import(ForeignFormat::Dvc, &dir, text))[0], ("d", FileState::Mismatch));
}

#[test]
fn what_is_written_for_dvc_reads_back_and_needs_the_described_file() {
    let dir = folder(&[("train.csv", DATA.as_bytes())]);
    let text = export_manifest(ForeignFormat::Dvc, &sound(), &[], dir.path()).unwrap();
    let imported = import(ForeignFormat::Dvc, &dir, &text);
    assert_eq!(states(&imported), [("train.csv", FileState::Weak)]);
    assert_eq!(imported.manifest.files[0].sha256, sound().files[0].sha256);
    std::fs::write(dir.path().join("train.csv"), DATA.replace("44", "45")).unwrap();
    assert!(export_manifest(ForeignFormat::Dvc, &sound(), &[], dir.path()).is_err());
    let frozen = "frozen: true\ndeps:\n- path: https://e.org/x.csv\n  etag: '1'\nouts:\n- md5: b202f333fba4fd38d4b8e5e693077aab\n  hash: md5\n  path: x.csv\n";
    let imported = import(ForeignFormat::Dvc, &dir, frozen);
    assert_eq!(imported.manifest.source.uri.as_deref(), Some("https://e.org/x.csv"));
    for broken in [
        "outs: []\n",
        "outs:\n- path: x\n",
        "outs:\n- {path: x, md5: zz}\n",
        "outs:\n- {path: x, md5: b202f333fba4fd38d4b8e5e693077aab, hash: sha1}\n",
    ] {
        assert!(import_manifest(ForeignFormat::Dvc, dir.path(), "x", broken.as_bytes(), &Limits::default()).is_err());
    }
}

#[test]
fn mutated_descriptions_neither_panic_nor_hang() {
    let dir = folder(&[("train.csv", DATA.as_bytes())]);
    let seeds: Vec<(ForeignFormat, Vec<u8>)> =
        [ForeignFormat::Croissant, ForeignFormat::HuggingFace, ForeignFormat::Dvc]
            .into_iter()
            .map(|format| (format, export_manifest(format, &sound(), &columns(), dir.path()).unwrap().into_bytes()))
            .collect();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    for round in 0..900 {
        let (format, seed) = &seeds[round % seeds.len()];
        let mut bytes = seed.clone();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes.truncate(at),
                1 => drop(bytes.splice(at..at, b"[{\"-: ".iter().copied().cycle().take(1 + next(60)))),
                2 if !bytes.is_empty() => bytes[at] ^= 1 << next(8),
                _ => bytes.extend_from_slice(seed),
            }
        }
        let _ = foreign_is_readable(*format, &bytes);
    }
}
