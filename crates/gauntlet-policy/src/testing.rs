//! `gauntlet policy test`: runs the rules `test_*` of `*_test.rego` with the modules beside them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regorus::Value;
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::isolated::{self, Isolation};
use crate::pack::{LIBRARY_PACKAGE, Module, PackError, library, read_folder};

/// Time for one test.
const TEST_TIME: Duration = Duration::from_secs(5);
/// Folders below the one given, and how deep they may lie.
const MAX_FOLDERS: usize = 1_000;
const MAX_DEPTH: usize = 8;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestState {
    /// The rule is true.
    Pass,
    /// The rule is undefined or anything but true.
    Fail,
    /// It could not be evaluated.
    Error,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    /// Module that holds it.
    pub path: String,
    /// Package and rule, such as `gauntlet.baseline_test.test_allows_complete_evidence`.
    pub name: String,
    /// How it ended.
    pub state: TestState,
    /// Why, when it is an error.
    pub message: Option<String>,
}

/// How much of a module the tests reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCoverage {
    /// The module.
    pub path: String,
    /// Lines with code that ran.
    pub covered: u64,
    /// Lines with code that did not.
    pub not_covered: Vec<u32>,
}

/// All tests of a folder and of the folders in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    /// By path and name.
    pub cases: Vec<TestCase>,
    /// Of modules that are no tests.
    pub coverage: Vec<FileCoverage>,
    /// Folders whose modules could not be loaded, each with the reason.
    pub failures: Vec<String>,
}

impl TestRun {
    /// Whether there was a test, all passed, and everything loaded.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
            && !self.cases.is_empty()
            && self.cases.iter().all(|case| case.state == TestState::Pass)
    }

    /// Share of lines with code that the tests reached, in percent; 100 without any line.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "line counts are far below 2^52")]
    pub fn percent_covered(&self) -> f64 {
        let covered: u64 = self.coverage.iter().map(|file| file.covered).sum();
        let missed: u64 = self.coverage.iter().map(|file| file.not_covered.len() as u64).sum();
        if covered + missed == 0 { 100.0 } else { covered as f64 * 100.0 / (covered + missed) as f64 }
    }
}

/// Runs the tests of `folder` and of the folders in it. The modules of each folder are loaded together, with the shipped
/// library, in a child process.
///
/// # Errors
/// [`TestError`] when a folder cannot be read or holds no policy at all.
pub fn run_tests(folder: &Path, isolation: &Isolation) -> Result<TestRun, TestError> {
    let mut run = TestRun::default();
    for folder in folders(folder)? {
        let modules = read_folder(&folder)?;
        if modules.is_empty() {
            continue;
        }
        match isolated::test(isolation, modules, TEST_TIME) {
            Ok(Ok(part)) => {
                run.cases.extend(part.cases);
                run.coverage.extend(part.coverage);
            }
            Ok(Err(detail)) => run.failures.push(detail),
            Err((why, detail)) => run.failures.push(format!("{}: {}: {detail}", folder.display(), why.as_str())),
        }
    }
    if run.cases.is_empty() && run.coverage.is_empty() && run.failures.is_empty() {
        return Err(TestError::Read(PackError::Empty(folder.to_owned())));
    }
    Ok(run)
}

/// Folders that cannot be tested.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A module or folder cannot be read.
    #[error(transparent)]
    Read(#[from] PackError),
    /// More folders than are entered.
    #[error("{}: holds more than {most} folders, or some deeper than {MAX_DEPTH}", path.display())]
    TooManyFolders {
        /// Where the walk began.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
}

/// The answer for one folder, or why its modules could not be loaded.
pub(crate) type FolderRun = Result<TestRun, String>;

/// Loads modules and runs their tests in this process.
pub(crate) fn run_modules(modules: &[Module], time: Duration) -> FolderRun {
    let library = library();
    let brings_library = modules.iter().any(declares_library);
    let all: Vec<&Module> =
        if brings_library { modules.iter().collect() } else { library.iter().chain(modules).collect() };
    let (mut engine, linted) = engine::parse(&all).map_err(|(why, detail)| format!("{}: {detail}", why.as_str()))?;
    engine.set_enable_coverage(true);
    engine::set_time(&mut engine, time);
    engine.set_input(Value::new_object());
    let cases = linted
        .tests
        .iter()
        .map(|(path, name)| {
            let (state, message) = match engine.eval_rule(format!("data.{name}")) {
                Ok(Value::Bool(true)) => (TestState::Pass, None),
                Ok(_) => (TestState::Fail, None),
                Err(error) => (TestState::Error, Some(engine::first_lines(&error.to_string()))),
            };
            TestCase { path: path.clone(), name: name.clone(), state, message }
        })
        .collect();
    let report = engine.get_coverage_report().map_err(|error| format!("no coverage: {error}"))?;
    let shown: BTreeSet<&str> =
        modules.iter().filter(|module| !module.is_test()).map(|module| module.path.as_str()).collect();
    let coverage = report
        .files
        .into_iter()
        .filter(|file| shown.contains(file.path.as_str()))
        .map(|file| FileCoverage {
            covered: file.covered.len() as u64,
            not_covered: file.not_covered.into_iter().collect(),
            path: file.path,
        })
        .collect();
    Ok(TestRun { cases, coverage, failures: Vec::new() })
}

fn declares_library(module: &Module) -> bool {
    module.text.lines().any(|line| {
        line.trim().strip_prefix("package").is_some_and(|rest| {
            rest.starts_with(char::is_whitespace)
                && rest.split('#').next().is_some_and(|name| name.trim() == LIBRARY_PACKAGE)
        })
    })
}

/// The folder and all below it, links left out.
fn folders(root: &Path) -> Result<Vec<PathBuf>, TestError> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        if found.len() + open.len() > MAX_FOLDERS || depth > MAX_DEPTH {
            return Err(TestError::TooManyFolders { path: root.to_owned(), most: MAX_FOLDERS });
        }
        let unreadable = |source| PackError::Unreadable { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.file_type().map_err(unreadable)?.is_dir() {
                open.push((entry.path(), depth + 1));
            }
        }
        found.push(folder);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> FolderRun {
        let rules = Module { path: "p.rego".into(), text: "package p\nx if input.n == 1\ny if input.n == 2\n".into() };
        let tests = Module { path: "p_test.rego".into(), text: text.into() };
        run_modules(&[rules, tests], TEST_TIME)
    }

    #[test]
    fn passes_failures_and_errors_are_told_apart() {
        let run = run("package p_test\n\
             test_pass if data.p.x with input as {\"n\": 1}\n\
             test_undefined if data.p.x with input as {\"n\": 2}\n\
             test_false := false\n\
             test_error if to_number(\"x\") == 1\n\
             helper := 1\n")
        .unwrap();
        let states: Vec<_> = run.cases.iter().map(|case| (case.name.as_str(), case.state)).collect();
        assert_eq!(
            states,
            [
                ("p_test.test_error", TestState::Error),
                ("p_test.test_false", TestState::Fail),
                ("p_test.test_pass", TestState::Pass),
                ("p_test.test_undefined", TestState::Fail),
            ]
        );
        assert!(!run.passed());
        assert!(run.percent_covered() > 0.0);
        assert_eq!(run.coverage.len(), 1, "only the module that is no test");
    }

    #[test]
    fn no_test_is_no_pass_and_a_broken_module_is_a_failure() {
        assert!(!run("package p_test\n").unwrap().passed());
        assert!(run("package p_test\ntest_x if {").unwrap_err().starts_with("not-parsable: p_test.rego"));
    }

    #[test]
    fn shipped_packs_pass_their_tests() {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let mut tested = 0;
        for folder in folders(&policies).unwrap() {
            let modules = read_folder(&folder).unwrap();
            if modules.is_empty() {
                continue;
            }
            let run = run_modules(&modules, TEST_TIME).unwrap();
            let bad: Vec<_> = run.cases.iter().filter(|case| case.state != TestState::Pass).collect();
            assert!(run.passed(), "{}: {bad:#?}", folder.display());
            assert!(run.percent_covered() >= 95.0, "{}: {:?}", folder.display(), run.coverage);
            tested += 1;
        }
        assert_eq!(tested, 1 + crate::shipped_names().count());
    }
}
