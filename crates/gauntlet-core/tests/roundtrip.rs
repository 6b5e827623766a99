//! The serde forms of the vocabulary: what is written reads back as what it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

use std::collections::BTreeMap;

use gauntlet_core::{
    Algorithm, Comparison, Confidence, Coverage, Digest, DigestSet, FactRow, Facts, Figure, Finding, Input, Location,
    Metric, Report, Series, Severity, SkipCode, SkipReason, Skipped, Stage, Subject, SubjectKind, Summary, Verdict,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    // The canonical form has to keep its bytes when it is read and written again: it is what gets signed.
    let canonical = gauntlet_core::canonical::to_vec(value).unwrap();
    let again: T = serde_json::from_slice(&canonical).unwrap();
    assert_eq!(gauntlet_core::canonical::to_vec(&again).unwrap(), canonical);
}

fn digest() -> impl Strategy<Value = Digest> {
    let sizes = prop_oneof![
        Just(Algorithm::Sha256),
        Just(Algorithm::DirHash1),
        Just(Algorithm::Blake3),
        Just(Algorithm::Blake2b)
    ];
    (sizes, any::<[u8; 32]>())
        .prop_map(|(algorithm, bytes)| Digest::new(algorithm, &bytes.repeat(algorithm.size() / 32)).unwrap())
}

fn subject() -> impl Strategy<Value = Subject> {
    let kinds = prop_oneof![
        Just(SubjectKind::Source),
        Just(SubjectKind::Model),
        Just(SubjectKind::TrainingRun),
        Just(SubjectKind::Files)
    ];
    (".{0,20}", kinds, vec(digest(), 0..3)).prop_map(|(name, kind, digests)| Subject {
        name,
        kind,
        digest: digests.iter().fold(DigestSet::default(), DigestSet::with),
    })
}

fn location() -> impl Strategy<Value = Location> {
    let place =
        (of(".{0,20}"), of("[0-9a-f]{0,8}"), of(".{0,20}"), of(any::<u64>()), of(any::<u64>()), of(any::<u64>()));
    let inside = (of(any::<u64>()), of(any::<u64>()), of(".{0,10}"), of(any::<u64>()), of(".{0,10}"));
    (place, inside).prop_map(
        |((path, path_bytes, member, line, column, offset), (cell, cell_line, field, row, case))| Location {
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

fn severity() -> impl Strategy<Value = Severity> {
    proptest::sample::select(Severity::ALL.to_vec())
}

fn finding() -> impl Strategy<Value = Finding> {
    let confidence = prop_oneof![Just(Confidence::Low), Just(Confidence::Medium), Just(Confidence::High)];
    (severity(), confidence, ".{0,30}", vec("[A-Z]{1,4}-[0-9]{1,4}", 0..3), of(".{0,10}"), location()).prop_map(
        |(severity, confidence, message, references, suppressed, location)| Finding {
            rule: "a/b/c".to_owned(),
            severity,
            confidence,
            message,
            fix: "mend it".to_owned(),
            references,
            fingerprint: "00".to_owned(),
            suppressed,
            location,
        },
    )
}

fn number() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |x| x.is_finite())
}

fn metric() -> impl Strategy<Value = Metric> {
    let op = prop_oneof![Just(Comparison::AtLeast), Just(Comparison::AtMost), Just(Comparison::Equal)];
    ("[a-z-]{1,10}", of(".{0,10}"), number(), of(number()), of(number()), of((op, number()))).prop_map(
        |(name, field, value, low, high, threshold)| Metric {
            name,
            field,
            value,
            low,
            high,
            unit: Some("share".to_owned()),
            threshold: threshold.map(|(_, t)| t),
            op: threshold.map(|(op, _)| op),
        },
    )
}

fn coverage() -> impl Strategy<Value = Coverage> {
    let code = prop_oneof![
        Just(SkipCode::Limit),
        Just(SkipCode::Excluded),
        Just(SkipCode::SpecialFile),
        Just(SkipCode::Malformed)
    ];
    let skipped = (".{0,10}", of(".{0,10}"), code, ".{0,20}").prop_map(|(path, member, code, detail)| Skipped {
        path,
        member,
        reason: SkipReason::new(code, detail),
    });
    (any::<u64>(), vec(skipped, 0..4)).prop_map(|(looked_at, skipped)| Coverage { looked_at, skipped })
}

proptest! {
    #[test]
    fn reports(subject in subject(), findings in vec(finding(), 0..3), metrics in vec(metric(), 0..3), coverage in coverage(),
               config in digest(), input in digest(), series in vec((number(), number()), 0..4)) {
        let (x, y) = series.into_iter().unzip();
        let figure = Figure { series: vec![Series { name: "s".into(), x, y }], ..Figure::new("f", "t", "x", "y") };
        round_trip(&Report {
            check: "a/b".into(),
            check_version: 1,
            config_digest: config,
            subject,
            inputs: vec![Input { name: "i".into(), digest: input }],
            verdict: Report::judge(&findings, &metrics, &coverage),
            findings,
            metrics,
            coverage,
            figures: vec![figure],
        });
    }

    #[test]
    fn facts(location in location(), coverage in coverage(), number in number(), text in ".{0,20}") {
        round_trip(&Facts {
            extractor: "e".into(),
            version: 3,
            coverage: BTreeMap::from([("a/b".to_owned(), coverage)]),
            rows: vec![FactRow { kind: "k".into(), location, fact: serde_json::json!({"n": number, "t": text}) }],
            derived: Vec::new(),
        });
    }
}

#[test]
fn words() {
    for severity in Severity::ALL {
        round_trip(&severity);
        assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
    }
    for verdict in [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Error] {
        round_trip(&verdict);
        assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
    }
    for stage in [
        Stage::Source,
        Stage::Data,
        Stage::Train,
        Stage::Artifact,
        Stage::Model,
        Stage::Package,
        Stage::Promote,
        Stage::Deploy,
        Stage::Run,
    ] {
        round_trip(&stage);
        assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
    }
    for kind in [
        SubjectKind::TrainingRun,
        SubjectKind::Dataset,
        SubjectKind::Deployment,
        SubjectKind::Image,
        SubjectKind::Media,
    ] {
        round_trip(&kind);
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    round_trip(&Summary { critical: 1, high: 2, medium: 3, low: 4, info: 5, files: 6, bytes: 7 });
}

/// Outside scripts read these names: they never change.
#[test]
fn absent_parts_of_a_location_are_null() {
    let value = serde_json::to_value(Location::default()).unwrap();
    let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["case", "cell", "cell_line", "column", "field", "line", "member", "offset", "path", "path_bytes", "row"]
    );
    assert!(value.as_object().unwrap().values().all(serde_json::Value::is_null));
}
