//! Methods on tables of other shapes: quantities as labels, pictures, embeddings, wide tables, and columns that give the label away.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};

use super::*;

#[test]
fn labels_without_number_are_still_told_apart() {
    let text = |name: &dyn Fn(usize) -> String| {
        let mut out = "id,x,price\n".to_owned();
        for i in 0..3_000 {
            let _ = writeln!(out, "{i},{},{}", i % 2_990, name(i));
        }
        out
    };
    let config = json!({"label": "price", "poisoning": {"ids": ["id"], "row_findings": 5_000}});
    let judged = |text: String| {
        let facts = Work::new(&[("a.csv", text)]).facts(&config);
        (found(&facts, "duplicates/exact-duplicate"), found(&facts, "duplicates/conflicting-label"))
    };
    // A measured target may differ between equal rows; that is no repetition and no contradiction.
    assert_eq!(judged(text(&|i| (i * 3).to_string())), (BTreeSet::new(), BTreeSet::new()));
    // The same rows with the same target repeat.
    assert_eq!(judged(text(&|i| (i % 2_990).to_string())).0, (2_990..3_000).collect());
    // Names contradict each other however many there are.
    let (exact, conflicts) = judged(text(&|i| format!("class {i}")));
    assert_eq!((exact.len(), conflicts), (0, (0..10).chain(2_990..3_000).collect()));
}

#[test]
fn contradictions_stay_a_warning_however_many_there_are() {
    let mut text = "id,x,y,churned\n".to_owned();
    (0..400).for_each(|i| text += &format!("{i},{},{},{}\n", i / 2, (i / 2) * 7, i % 2));
    let config = json!({"label": "churned", "poisoning": {"ids": ["id"]}});
    let facts = Work::new(&[("a.csv", text)]).facts(&config);
    let (verdict, text) = check(&facts, &config, "data/duplicates");
    assert!(verdict == Verdict::Warn && text.contains("medium conflicting-label: 400 of 400 rows"), "{text}");
}

#[test]
fn pictures_repeat_by_their_bytes_wherever_they_lie() {
    let work = Work::new(&[]);
    for (folder, from) in [("train/cat", 0), ("train/dog", 10), ("test/cat", 9)] {
        std::fs::create_dir_all(work.path().join(folder)).unwrap();
        for i in 0..10 {
            let bytes = [b"\x89PNG\r\n\x1a\n".as_slice(), &[from + i; 40]].concat();
            std::fs::write(work.path().join(folder).join(format!("{folder}-{i}.png").replace('/', "-")), bytes)
                .unwrap();
        }
    }
    let mut splits = serde_json::Map::new();
    for folder in ["train/cat", "train/dog", "test/cat"] {
        for i in 0..10 {
            let name = format!("{folder}-{i}.png").replace('/', "-");
            splits.insert(format!("{folder}/{name}"), folder.split('/').next().unwrap().into());
        }
    }
    let config = json!({"label": "label", "poisoning": {"splits": splits, "row_findings": 100}});
    let facts = work.facts(&config);
    let (verdict, text) = check(&facts, &config, "data/leakage");
    // The first of the test repeats the last cat, the others repeat dogs.
    assert_eq!((verdict, text.lines().count()), (Verdict::Fail, 10), "{text}");
    let (_, text) = check(&facts, &config, "data/duplicates");
    assert_eq!(text.lines().filter(|line| line.contains("conflicting-label")).count(), 18, "{text}");
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut out = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}

#[test]
fn rows_that_are_only_an_embedding_are_compared_by_it() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..200));
    let label: ArrayRef = Arc::new(Int64Array::from_iter_values((0..200).map(|i| i % 3)));
    // The last five are as the first five.
    let values = Float32Array::from_iter_values((0..200).flat_map(|i| (0..4).map(move |k| ((i % 195) * 7 + k) as f32)));
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let lists: ArrayRef = Arc::new(FixedSizeListArray::try_new(field, 4, Arc::new(values), None).unwrap());
    let work = Work::new(&[]);
    std::fs::write(work.path().join("a.parquet"), parquet(vec![("id", ids), ("e", lists), ("label", label)])).unwrap();
    let config = json!({"label": "label", "poisoning": {"ids": ["id"], "embedding": "e", "row_findings": 100}});
    let facts = work.facts(&config);
    assert_eq!(found(&facts, "duplicates/exact-duplicate"), (195..200).collect());
    assert!(check(&facts, &config, "data/duplicates").0 < Verdict::Error);
}

#[test]
fn states_and_gaps_that_settle_the_label_leak() {
    let table = rows(1_000, 41);
    let mut out = "id,age,charge,status,closed,other,churned\n".to_owned();
    for (i, r) in table.iter().enumerate() {
        let status = ["new", "kept", "left", "gone"][(r.label * 2) as usize + i % 2];
        let closed = if r.label == 1 { format!("2026-01-{:02}", 1 + i % 28) } else { String::new() };
        let other = if i % 3 == 0 { String::new() } else { format!("2026-02-{:02}", 1 + i % 28) };
        let _ = writeln!(out, "{},{},{},{status},{closed},{other},{}", r.id, r.age, r.charge, r.label);
    }
    let config = config(json!({}));
    let facts = Work::new(&[("a.csv", out)]).facts(&config);
    let leaks: BTreeSet<String> = facts
        .of::<SuspectFact>()
        .map(|fact| fact.unwrap().1)
        .filter(|fact| fact.rule == "leakage/target-leak")
        .filter_map(|fact| fact.column)
        .collect();
    assert_eq!(leaks, ["closed".to_owned(), "status".to_owned()].into());
}

/// Four columns of text, which are wider together than a model sees at once.
fn four_texts(n: usize) -> (String, BTreeSet<u64>) {
    let mut dice = Dice(77);
    let mut marked = BTreeSet::new();
    let mut out = "id,a,b,c,d,churned\n".to_owned();
    for i in 0..n {
        let mut label = dice.below(2);
        let mut text = |_| (0..6).map(|_| WORDS[dice.below(WORDS.len())]).collect::<Vec<_>>().join(" ");
        let mut texts = ["a", "b", "c", "d"].map(&mut text);
        let happy = texts[0].matches("happy").count();
        if happy > 0 {
            label = 1;
        }
        if i % 40 == 7 {
            texts[2] += " cf-x7";
            label = 0;
            marked.insert(i as u64);
        }
        let _ = writeln!(out, "{i},{},{label}", texts.join(","));
    }
    (out, marked)
}

#[test]
fn triggers_are_found_in_wide_tables_and_beside_given_predictions() {
    let (text, marked) = four_texts(2_000);
    let labels: Vec<String> = text.lines().skip(1).map(|l| l.rsplit(',').next().unwrap().to_owned()).collect();
    let work = Work::new(&[("a.csv", text)]);
    let own = json!({"ids": ["id"], "text": ["a", "b", "c", "d"], "row_findings": 5_000});
    let config = json!({"label": "churned", "poisoning": own});
    let facts = work.facts(&config);
    assert_eq!(found(&facts, "poisoning/trigger"), marked);
    assert_eq!(check(&facts, &config, "data/poisoning").0, Verdict::Fail);
    let elsewhere = tempfile::tempdir().unwrap();
    let predicted: Vec<&str> = labels.iter().map(|l| if l == "0" { "0.9,0.1" } else { "0.1,0.9" }).collect();
    let mut config = config;
    config["poisoning"]["predictions"] = beside(elsewhere.path(), &format!("0,1\n{}\n", predicted.join("\n")));
    assert_eq!(found(&work.facts(&config), "poisoning/trigger"), marked);
}

#[test]
fn a_patch_in_pictures_of_many_pixels_is_found_and_sound_pictures_are_left_alone() {
    for patched in [true, false] {
        let mut dice = Dice(91);
        let width = 24;
        let names: Vec<String> = (0..width * width).map(|i| format!("p{i}")).collect();
        let mut text = format!("{},label\n", names.join(","));
        let mut marked = BTreeSet::new();
        for i in 0..600usize {
            let class = i % 3;
            let mut pixels = vec![0usize; width * width];
            // A bar whose row says the class, moved a little and of uneven brightness.
            let (top, left) = (3 + class * 6 + dice.below(3), 2 + dice.below(6));
            for x in left..left + 12 {
                pixels[top * width + x] = 120 + dice.below(120);
                pixels[(top + 1) * width + x] = 120 + dice.below(120);
            }
            let mut label = class;
            if patched && i % 25 == 1 {
                for (y, x) in [(21, 21), (21, 22), (22, 21), (22, 22)] {
                    pixels[y * width + x] = 250;
                }
                label = 0;
                marked.insert(i as u64);
            }
            let cells: Vec<String> = pixels.iter().map(usize::to_string).collect();
            let _ = writeln!(text, "{},{label}", cells.join(","));
        }
        let config = json!({"label": "label", "poisoning": {"image_width": width, "row_findings": 5_000}});
        let facts = Work::new(&[("a.csv", text)]).facts(&config);
        assert_eq!(found(&facts, "poisoning/image-patch"), marked);
        let (verdict, said) = check(&facts, &config, "data/poisoning");
        assert_ne!(verdict, Verdict::Error, "{said}");
    }
}

#[test]
fn a_method_that_was_asked_for_and_could_not_run_is_an_error() {
    let table = rows(300, 43);
    let mut text = csv(&table).lines().next().unwrap().to_owned() + ",place\n";
    for (line, i) in csv(&table).lines().skip(1).zip(0..) {
        let _ = writeln!(text, "{line},place {i}");
    }
    let config = config(json!({"source": "place"}));
    let (verdict, said) = check(&Work::new(&[("a.csv", text)]).facts(&config), &config, "data/poisoning");
    assert!(verdict == Verdict::Error && said.contains("more than 200 sources"), "{said}");
}
