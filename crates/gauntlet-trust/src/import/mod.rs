//! Results of other people's tools as predicates: JUnit XML and SARIF. Nothing is believed more than it says: a skipped test
//! did not pass, a test that passed on a second try is a warning, and a file that contradicts itself is refused.

mod junit;
mod sarif;

use std::collections::BTreeSet;

use gauntlet_core::DigestSet;
use serde_json::{Map, Value, json};

use crate::statement::{ResourceDescriptor, TestOutcome, TestResult};
use crate::strict_json::JsonError;

pub use junit::from_junit;
pub use sarif::{from_sarif, vulnerabilities_from_sarif};

/// The member of a test result that says which file it was made from, and which tool wrote that.
pub const IMPORT_MEMBER: &str = "https://gauntlet.example/import/v1";

/// Bytes of an imported file.
const BYTES: usize = 64 << 20;
/// Names in one result; an envelope is not a database.
const NAMES: usize = 100_000;
/// Characters of one name.
const NAME: usize = 500;

/// Why a file cannot become evidence.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// More than is read.
    #[error("more than {allowed} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The bound.
        allowed: usize,
    },
    /// Not strict JSON, or of another shape.
    #[error("not a SARIF file: {0}")]
    Json(#[from] JsonError),
    /// Not well-formed XML, or with entities.
    #[error("not a JUnit file: {0}")]
    Xml(String),
    /// Well formed, but not what it should be.
    #[error("{0}")]
    Content(String),
}

/// The file that a result is made from.
#[derive(Clone, Debug)]
pub struct Imported<'a> {
    /// Its name, without folders.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What the run was configured with, each by digest; nothing in the file says so.
    pub configuration: Vec<ResourceDescriptor>,
}

/// Names by outcome while a file is read.
#[derive(Default)]
struct Outcomes {
    passed: BTreeSet<String>,
    warned: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// What was remarked on without being wrong: it neither passed nor failed.
    noted: BTreeSet<String>,
}

impl Outcomes {
    fn add(&mut self, outcome: TestOutcome, name: &str) -> Result<(), ImportError> {
        let name: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(NAME).collect();
        match outcome {
            TestOutcome::Passed => self.passed.insert(name),
            TestOutcome::Warned => self.warned.insert(name),
            TestOutcome::Failed => self.failed.insert(name),
        };
        if self.passed.len().saturating_add(self.warned.len()).saturating_add(self.failed.len()) > NAMES {
            return Err(ImportError::Limit { what: "names of tests", allowed: NAMES });
        }
        Ok(())
    }

    /// The predicate. Of several outcomes of one name the worst holds.
    fn into_result(mut self, file: Imported<'_>, format: &str, producer: Value) -> TestResult {
        self.warned.retain(|name| !self.failed.contains(name));
        self.passed.retain(|name| ![&self.failed, &self.warned, &self.noted].iter().any(|set| set.contains(name)));
        let result = match (self.failed.is_empty(), self.warned.is_empty()) {
            (false, _) => TestOutcome::Failed,
            (true, false) => TestOutcome::Warned,
            (true, true) => TestOutcome::Passed,
        };
        let counts = json!({"passed": self.passed.len(), "warned": self.warned.len(), "failed": self.failed.len()});
        TestResult {
            result,
            configuration: file.configuration,
            url: None,
            passed_tests: self.passed.into_iter().collect(),
            warned_tests: self.warned.into_iter().collect(),
            failed_tests: self.failed.into_iter().collect(),
            report: None,
            extensions: Map::from_iter([(
                IMPORT_MEMBER.to_owned(),
                json!({
                    "format": format,
                    "file": {"name": file.name, "digest": DigestSet::sha256_of(file.bytes)},
                    "producer": producer,
                    "counts": counts,
                }),
            )]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn file(bytes: &[u8]) -> Imported<'_> {
        Imported { name: "results", bytes, configuration: Vec::new() }
    }

    /// Truncated, flipped and spliced inputs give an answer.
    pub(super) fn mutate(seed: &[u8], read: impl Fn(&[u8])) {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        for _ in 0..1_500 {
            let mut bytes = seed.to_vec();
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << (next() % 8),
                _ => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&seed[next() % seed.len()..]);
                    bytes.extend(tail);
                }
            }
            read(&bytes);
        }
    }

    #[test]
    fn the_worst_of_several_outcomes_holds() {
        let mut outcomes = Outcomes::default();
        for (outcome, name) in [(TestOutcome::Passed, "a"), (TestOutcome::Failed, "a"), (TestOutcome::Passed, "b")] {
            outcomes.add(outcome, name).unwrap();
        }
        let result = outcomes.into_result(file(b"x"), "junit", Value::Null);
        assert_eq!(
            (result.result, result.passed_tests, result.failed_tests),
            (TestOutcome::Failed, vec!["b".to_owned()], vec!["a".to_owned()])
        );
    }
}
