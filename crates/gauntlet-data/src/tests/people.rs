//! What a manifest asks about people, row by row; classes of columns; secrets; columns declared elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use gauntlet_core::{Judging, Verdict};

use super::*;
use crate::quarantine::quarantine_by_manifest;
use crate::{Manifest, QuarantineOptions};

const CONSENT: &str = "consent: {basis: consent, record: 'urn:r', purposes: [train], expires: 2030-01-01";

fn metric(project: &Project, check: &str, name: &str, field: Option<&str>) -> Option<f64> {
    let (facts, config) = project.facts(2);
    let judging = Judging { config: &config, now: "2026-11-21T12:00:00Z".parse().unwrap() };
    let check = crate::GATE.checks.iter().find(|c| c.info().id == check).unwrap();
    let metrics = check.judge(&facts, &judging).metrics;
    metrics.into_iter().find(|m| m.name == name && m.field.as_deref() == field).map(|m| m.value)
}

fn csv(rows: &str, more: &str) -> Project {
    Project::new().file("a.csv", rows).sound_manifest(more)
}

#[test]
fn every_row_needs_consent_that_lasts_and_proof_of_age() {
    let rows = "ok,until,age\ngranted,2027-01-01,18\ngranted,2026-11-21,150\n";
    let more = format!(
        "{CONSENT}, column: ok, allowed: [granted], expires_column: until}}\nage_verification: {{column: age, minimum: 18}}\n"
    );
    let sound = csv(rows, &more);
    assert_eq!(sound.check("data/manifest"), (Verdict::Pass, "looked at 1".to_owned()));
    assert_eq!(metric(&sound, "data/manifest", "consent-valid", None), Some(1.0));
    assert_eq!(metric(&sound, "data/manifest", "consent-expires", None), Some(21_915.0));
    assert_eq!(metric(&sound, "data/manifest", "first-consent-expires", Some("until")), Some(20_778.0));
    for (row, rule) in [
        ("withdrawn,2027-01-01,18", "row-without-consent"),
        (",2027-01-01,18", "row-without-consent"),
        ("Granted,2027-01-01,18", "row-without-consent"),
        ("granted,2026-11-20,18", "row-consent-expired"),
        ("granted,,18", "row-consent-expired"),
        ("granted,soon,18", "row-consent-expired"),
        ("granted,2027-01-01,17", "row-without-age-verification"),
        ("granted,2027-01-01,", "row-without-age-verification"),
        ("granted,2027-01-01,NaN", "row-without-age-verification"),
        ("granted,2027-01-01,999", "row-without-age-verification"),
        ("granted,2027-01-01,adult", "row-without-age-verification"),
    ] {
        let project = csv(&format!("{rows}{row}\n"), &more);
        let (verdict, text) = project.check("data/manifest");
        assert_eq!(verdict, Verdict::Fail, "{row}: {text}");
        assert!(
            text.starts_with(&format!("high {rule} data/a.csv row 2: ")) && text.lines().count() == 2,
            "{row}: {text}"
        );
        assert_eq!(metric(&project, "data/manifest", "consent-valid", None), Some(0.0));
    }
}

#[test]
fn the_split_rejects_exactly_the_rows_that_the_check_counts() {
    let values: Vec<String> = (0..3_000)
        .map(|i| {
            let ok = ["granted", "withdrawn", "", "granted"][i % 4];
            let until = ["2027-01-01", "2020-01-01", ""][i % 3];
            format!("{i},{ok},{until},{}", [17, 18, 40, 200, 90][i % 5])
        })
        .collect();
    let table = format!("id,ok,until,age\n{}\n", values.join("\n"));
    let more = format!(
        "{CONSENT}, column: ok, allowed: [granted], expires_column: until}}\nage_verification: {{column: age, minimum: 18}}\n"
    );
    let project = csv(&table, &more);
    let count = |name: &str, field: &str| metric(&project, "data/manifest", name, Some(field)).unwrap() as u64;
    let manifest = Manifest::parse("m", &std::fs::read(project.root().join("data/manifest.yaml")).unwrap()).unwrap();
    let folder = project.root().join("out");
    let split = |manifest: &Manifest, folder: &Path| {
        quarantine_by_manifest(
            project.root(),
            &[PathBuf::from("data/a.csv")],
            manifest,
            jiff::civil::date(2026, 11, 21),
            folder,
            &QuarantineOptions::default(),
        )
    };
    let done = split(&manifest, &folder).unwrap();
    assert_eq!(done.reasons["row-without-consent"], count("rows-without-consent", "ok"));
    assert_eq!(done.reasons["row-consent-expired"], count("rows-with-expired-consent", "until"));
    assert_eq!(done.reasons["row-without-age-verification"], count("rows-without-age-verification", "age"));
    let clean = |i: &usize| (i % 4).is_multiple_of(3) && i.is_multiple_of(3) && [1, 2, 4].contains(&(i % 5));
    assert_eq!(done.clean, (0..3_000).filter(clean).count() as u64);
    assert_eq!(done.clean + done.rejected, 3_000);
    // A manifest that asks nothing of rows, or of a column that is not there, rejects nobody by accident.
    let mut silent = manifest.clone();
    silent.consent.column = None;
    silent.consent.expires_column = None;
    silent.age_verification = None;
    assert!(split(&silent, &folder.join("x")).is_err());
    let mut misspelt = manifest;
    misspelt.consent.column = Some("okay".to_owned());
    assert!(split(&misspelt, &folder.join("x")).is_err());
}

#[test]
fn people_facts_do_not_depend_on_partitions() {
    let texts = |f: &dyn Fn(i64) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..4_000).map(f))) };
    let batch = RecordBatch::try_from_iter([
        ("ok", texts(&|i| ["granted", "no"][usize::from(i % 97 == 0)].to_owned())),
        ("until", texts(&|i| format!("20{}-01-01", 20 + i % 20))),
        (
            "notes",
            texts(&|i| {
                if i % 50 == 0 {
                    format!("key {}{}", ["AK", "IA"].concat(), "QYLPMN5HFIQ7ZKRT")
                } else {
                    "from 203.0.113.9".to_owned()
                }
            }),
        ),
    ])
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(300)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let more = format!("{CONSENT}, column: ok, allowed: [granted], expires_column: until}}\n");
    let project = Project::new().file("a.parquet", writer.into_inner().unwrap()).sound_manifest(&more);
    let one = serde_json::to_string(&project.facts(1).0).unwrap();
    for partitions in [2, 7] {
        assert_eq!(serde_json::to_string(&project.facts(partitions).0).unwrap(), one, "{partitions}");
    }
    let (verdict, text) = project.check("data/secrets");
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.starts_with("high secret-in-values data/a.parquet row 0: `notes` holds a credential (AWS access key id) in 80 of 4,000 values (2.0 %)"), "{text}");
    assert!(!text.contains("QYLPMN5HFIQ7ZKRT"), "values are masked: {text}");
}

#[test]
fn what_consent_and_licence_need_is_asked_for() {
    let rows = "x\n1\n";
    for (more, rule) in [
        ("consent: {basis: consent, record: 'urn:r', purposes: [train]}\n", "incomplete"),
        ("consent: {basis: consent, record: 'urn:r', purposes: [train], expires: never}\n", "incomplete"),
        ("consent: {basis: contract, purposes: [train], expires: never}\n", "missing-consent"),
        ("consent: {basis: contract, record: 'urn:r', purposes: [train], expires: 2026-13-01}\n", "incomplete"),
        ("consent: {basis: synthetic, purposes: [train], column: ok}\n", "row-without-consent"),
        ("age_verification: {column: x}\n", "incomplete"),
        ("age_verification: {column: age, minimum: 18}\n", "row-without-age-verification"),
        ("classification: {columns: {y: personal}}\n", "unknown-column"),
        ("ids: [x, z]\n", "unknown-column"),
    ] {
        let (verdict, text) = csv(rows, more).check("data/manifest");
        assert!(verdict == Verdict::Fail && text.contains(&format!("high {rule} ")), "{more}: {text}");
    }
    for more in [
        "consent: {basis: contract, record: 'urn:r', purposes: [train], expires: never}\n",
        "consent: {basis: public, purposes: [train]}\n",
        "classification: {default: internal, columns: {x: secret}}\nids: [x]\n",
    ] {
        let (verdict, text) = csv(rows, more).check("data/manifest");
        assert_eq!(verdict, Verdict::Pass, "{more}: {text}");
    }
    let licensed = |licence: &str| {
        let project = csv(rows, "");
        let path = project.root().join("data/manifest.yaml");
        let text = std::fs::read_to_string(&path).unwrap().replace("{spdx: CC0-1.0}", licence);
        std::fs::write(path, text).unwrap();
        project.check("data/manifest").1
    };
    assert!(licensed("{spdx: LicenseRef-own, purposes: [evaluate]}").contains("license-forbids-purpose"));
    assert!(!licensed("{spdx: LicenseRef-own, purposes: [evaluate, train]}").contains("license-forbids-purpose"));
}

#[test]
fn classes_are_evidence_and_contradictions_are_findings() {
    let rows: String = (0..200).map(|i| format!("u{i}@example.org,{i}\n")).collect();
    let table = format!("email,n\n{rows}");
    let class =
        |more: &str, column: &str| metric(&csv(&table, more), "data/personal-data", "column-class", Some(column));
    assert_eq!(class("", "email"), Some(2.0), "found");
    assert_eq!(class("classification: {columns: {n: secret}}\n", "n"), Some(4.0), "declared");
    assert_eq!(class("classification: {default: public, columns: {email: sensitive}}\n", "email"), Some(3.0));
    assert_eq!(class("classification: {default: public}\n", "n"), Some(0.0));
    assert_eq!(class("", "n"), None);
    let (verdict, text) =
        csv(&table, "classification: {columns: {email: internal}}\npersonal_data: {columns: {email: plain}}\n")
            .check("data/personal-data");
    assert!(verdict == Verdict::Fail && text.contains("high misclassified-column"), "{text}");
}

#[test]
fn one_row_with_a_secret_is_enough_and_samples_are_not() {
    let token = ["gh", "p_", "Zk3v9QpLr8sTn2WxYb7Hc5JdEf1Gm4Ka0q"].concat();
    let key = ["AK", "IA", "QYLPMN5HFIQ7ZKRT"].concat();
    let table = |note: &str| format!("id,notes\n{}7,{note}\n", "1,nothing here\n".repeat(500));
    let check = |note: &str, more: &str| csv(&table(note), more).check("data/secrets");
    assert_eq!(check("moved house", ""), (Verdict::Pass, "looked at 1".to_owned()));
    assert_eq!(check(&format!("sample token {token}"), ""), (Verdict::Pass, "looked at 1".to_owned()));
    let (verdict, text) = check(&format!("key {key}"), "");
    assert!(verdict == Verdict::Fail && text.contains("secret-in-values data/a.csv row 500"), "{text}");
    let (verdict, text) = check(&format!("token {token}"), "");
    assert!(verdict == Verdict::Warn && text.contains("medium possible-secret"), "{text}");
    let (verdict, text) = check(&key, "classification: {columns: {notes: secret}}\n");
    assert!(verdict == Verdict::Pass && text.contains("info declared-column"), "{text}");
    assert_eq!(metric(&csv(&table(&key), ""), "data/personal-data", "column-class", Some("notes")), Some(4.0));
}
