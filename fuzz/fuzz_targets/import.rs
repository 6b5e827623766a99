//! Bytes as JUnit XML or SARIF, by the first byte: no name in two lists, and the result passes its own check.
#![no_main]

use std::collections::BTreeSet;

use gauntlet_trust::import::{Imported, from_junit, from_sarif, vulnerabilities_from_sarif};
use gauntlet_trust::statement::{Predicate, TestResult};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let file = || Imported { name: "results", bytes, configuration: Vec::new() };
    if which % 2 == 0 {
        check(from_junit(file()).ok());
    } else {
        check(from_sarif(file()).ok());
        let _ = vulnerabilities_from_sarif(&file(), "2026-01-01T00:00:00Z");
    }
});

fn check(result: Option<TestResult>) {
    let Some(result) = result else { return };
    result.check().expect("a result that is made is one that is read");
    let lists = [&result.passed_tests, &result.warned_tests, &result.failed_tests];
    let all: Vec<_> = lists.into_iter().flatten().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}
