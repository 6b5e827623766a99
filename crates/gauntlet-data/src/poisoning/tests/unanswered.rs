//! What was asked and could not be answered is an error, and what can be compared is.

use super::*;

const CHECKS: [&str; 3] = ["data/poisoning", "data/duplicates", "data/leakage"];

fn gate(work: &Work, config: &Value) -> Facts {
    work.with(config, |target, context| crate::extract::extract(target, context, 2))
}

fn named(folder: &Path, name: &str, files: &[(&str, String)]) -> Value {
    let file = |(path, text): &(&str, String)| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        json!({"path": path, "sha256": gauntlet_core::sha256_hex(text.as_bytes())})
    };
    let files: Vec<Value> = files.iter().map(file).collect();
    json!({"name": name, "sha256": "00".repeat(32), "files": files})
}

#[test]
fn files_that_cannot_be_opened_leave_all_three_checks_of_the_gate_unanswered() {
    let table = csv(&rows(300, 3));
    let config = json!({"label": "churned"});
    let sound = gate(&Work::new(&[("a.csv", table.clone())]), &config);
    for (name, bytes, what) in [
        ("b.parquet", "PAR1 and then nothing".to_owned(), "skipped b.parquet"),
        ("b.xyz", "rows of another kind".to_owned(), "no table format that is read"),
        ("b.csv", format!("{table}1,2\n"), "skipped b.csv"),
    ] {
        let facts = gate(&Work::new(&[("a.csv", table.clone()), (name, bytes.clone())]), &config);
        let alone = gate(&Work::new(&[(name, bytes)]), &config);
        for id in CHECKS {
            assert!(check(&sound, &config, id).0 < Verdict::Error, "{id}");
            for facts in [&facts, &alone] {
                let (verdict, text) = check(facts, &config, id);
                assert!(verdict == Verdict::Error && text.contains(what), "{id} {name}: {text}");
                assert_eq!(text.matches("skipped b.").count(), 1, "{id} {name}: {text}");
            }
        }
    }
}

#[test]
fn a_folder_without_tables_is_no_pass() {
    let facts = Work::new(&[]).facts(&json!({}));
    for id in CHECKS {
        let (verdict, text) = check(&facts, &json!({}), id);
        assert!(verdict == Verdict::Error && text.contains("no file that is read as a table"), "{id}: {text}");
    }
}

#[test]
fn splits_that_nothing_is_trained_on_are_not_compared_and_short_names_are_understood() {
    let all = rows(800, 17);
    let mut test = all[600..].to_vec();
    test[0] = Row { id: 5_000, ..all[4].clone() };
    let work = Work::new(&[("a.csv", csv(&all[..600])), ("b.csv", csv(&test))]);
    for (trained, other, leaks) in
        [("tr", "te", Some(1)), ("learning", "eval", Some(1)), ("Train", "test", Some(1)), ("one", "two", None)]
    {
        let config = config(json!({"splits": {"a.csv": trained, "b.csv": other}}));
        let facts = work.facts(&config);
        let (verdict, text) = check(&facts, &config, "data/leakage");
        match leaks {
            Some(count) => assert_eq!((verdict, found(&facts, "leakage/row-overlap").len()), (Verdict::Fail, count)),
            None => assert!(verdict == Verdict::Error && text.contains("is trained on"), "{text}"),
        }
        assert!(check(&facts, &config, "data/duplicates").0 < Verdict::Error);
    }
    // A column that knows no training split is no better.
    let config = config(json!({"split": "region"}));
    let (verdict, text) = check(&work.facts(&config), &config, "data/leakage");
    assert!(verdict == Verdict::Error && text.contains("is trained on"), "{text}");
}

#[test]
fn the_longest_path_names_the_split() {
    let all = rows(600, 17);
    let dir = |name: &str| format!("{name}/part.csv");
    let work = Work::new(&[]);
    for (name, rows) in [("x/old", &all[..400]), ("x", &all[400..])] {
        std::fs::create_dir_all(work.path().join(name)).unwrap();
        std::fs::write(work.path().join(dir(name)), csv(rows)).unwrap();
    }
    let splits = json!({"part.csv": "test", "old/part.csv": "train"});
    let config = config(json!({"splits": splits}));
    let (verdict, text) = check(&work.facts(&config), &config, "data/leakage");
    assert_eq!((verdict, text.as_str()), (Verdict::Pass, ""));
}

#[test]
fn a_test_set_is_held_against_training_files_that_are_read() {
    let all = rows(600, 21);
    let elsewhere = tempfile::tempdir().unwrap();
    let held = |train: Value| json!({"label": "churned", "held_out_from": train, "poisoning": {"ids": ["id"]}});
    let work = Work::new(&[("test.csv", csv(&all[400..]))]);
    let train = |name: &str, rows: &[Row]| (format!("{name}.csv"), csv(rows));
    let (name, text) = train("train", &all[..400]);
    let config = held(named(elsewhere.path(), "sound", &[(&name, text.clone())]));
    assert_eq!(check(&gate(&work, &config), &config, "data/leakage"), (Verdict::Pass, String::new()));
    // No file, or only some of them, is a table that is read.
    let config = held(named(elsewhere.path(), "unread", &[("train.xyz", text.clone())]));
    let (verdict, said) = check(&gate(&work, &config), &config, "data/leakage");
    assert!(verdict == Verdict::Error && said.contains("train.xyz: unsupported: unread: no table"), "{said}");
    let config = held(named(elsewhere.path(), "some", &[(&name, text), ("train.xyz", "x".to_owned())]));
    assert_eq!(check(&gate(&work, &config), &config, "data/leakage").0, Verdict::Error);
    let config = held(named(elsewhere.path(), "none", &[("none.csv", csv(&[]))]));
    let (verdict, said) = check(&gate(&work, &config), &config, "data/leakage");
    assert!(verdict == Verdict::Error && said.contains("is trained on"), "{said}");
    // What is asked of is itself trained on.
    let file = work.path().join("test.csv");
    let sha256 = gauntlet_core::sha256_hex(&std::fs::read(&file).unwrap());
    let files = json!([{"path": "test.csv", "sha256": sha256}]);
    let config = held(json!({"name": "same", "sha256": "00".repeat(32), "files": files}));
    let (verdict, said) = check(&gate(&work, &config), &config, "data/leakage");
    assert!(verdict == Verdict::Fail && said.contains("200 of 400 rows"), "{said}");
}

#[test]
fn columns_in_the_names_of_folders_are_those_of_the_training_files_too() {
    let all = rows(500, 22);
    let elsewhere = tempfile::tempdir().unwrap();
    let work = Work::new(&[]);
    let folder = work.path().join("year=2026");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("test.csv"), csv(&all[350..])).unwrap();
    for (year, leaks) in [("2026", true), ("2025", false)] {
        let train = named(elsewhere.path(), "train", &[(&format!("k=v/year={year}/a.csv"), csv(&all[..400]))]);
        let config = json!({"label": "churned", "held_out_from": train});
        let (verdict, text) = check(&gate(&work, &config), &config, "data/leakage");
        // The same rows of another year are other rows.
        assert_eq!(verdict, if leaks { Verdict::Fail } else { Verdict::Pass }, "{year}: {text}");
    }
}

#[test]
fn times_in_numbers_are_compared_and_times_that_are_not_read_are_an_error() {
    let text = |from: usize, rows: usize, moment: &dyn Fn(usize) -> String| {
        let mut out = "id,x,at\n".to_owned();
        for i in from..from + rows {
            let _ = writeln!(out, "{i},{}.5,{}", i * 7, moment(i));
        }
        out
    };
    let config = json!({"poisoning": {"ids": ["id"], "splits": {"a.csv": "train", "b.csv": "test"}, "time": "at"}});
    let judged = |a: String, b: String| {
        let facts = Work::new(&[("a.csv", a), ("b.csv", b)]).facts(&config);
        check(&facts, &config, "data/leakage")
    };
    let epoch = |i: usize| (1_700_000_000 + i).to_string();
    let (verdict, said) = judged(text(0, 100, &epoch), text(100, 9_000, &epoch));
    assert_eq!((verdict, said.as_str()), (Verdict::Pass, ""));
    // All rows are counted, however many there are.
    let (_, said) = judged(text(9_000, 100, &epoch), text(0, 9_000, &epoch));
    assert!(said.contains("9,000 of 9,100 rows"), "{said}");
    for (odd, what) in [("31.01.2026", "9,000 values"), ("2026-01-31", "no common order")] {
        let (verdict, said) = judged(text(0, 100, &epoch), text(100, 9_000, &|_| odd.to_owned()));
        assert!(verdict == Verdict::Error && said.replace("9000", "9,000").contains(what), "{said}");
    }
    let (verdict, said) = judged(text(0, 100, &|_| String::new()), text(100, 50, &epoch));
    assert!(verdict == Verdict::Error && said.contains("no row that is trained on has a time"), "{said}");
}

#[test]
fn rows_without_columns_to_compare_are_not_called_unrepeated() {
    let mut text = "id,churned\n".to_owned();
    (0..100).for_each(|i| text += &format!("{i},{}\n", i % 2));
    let config = json!({"label": "churned", "poisoning": {"ids": ["id"]}});
    let facts = Work::new(&[("a.csv", text)]).facts(&config);
    for id in ["data/duplicates", "data/leakage"] {
        let (verdict, text) = check(&facts, &config, id);
        assert!(verdict == Verdict::Error && text.contains("no column is left"), "{id}: {text}");
    }
}
