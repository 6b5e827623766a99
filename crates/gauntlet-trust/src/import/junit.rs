//! JUnit XML, as pytest, Surefire, Gradle, gtest and CI servers write it.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::json;

use super::{BYTES, ImportError, Imported, Outcomes};
use crate::statement::{TestOutcome, TestResult};

/// Elements inside each other.
const DEPTH: usize = 64;
/// Elements in all.
const ELEMENTS: usize = 2_000_000;

/// The test result that a JUnit file amounts to.
///
/// # Errors
/// [`ImportError`] when the file is no JUnit XML, defines entities, lists no test, or states more tests or failures than
/// it lists.
pub fn from_junit(file: Imported<'_>) -> Result<TestResult, ImportError> {
    if file.bytes.len() > BYTES {
        return Err(ImportError::Limit { what: "bytes", allowed: BYTES });
    }
    let text = std::str::from_utf8(file.bytes).map_err(|_| ImportError::Xml("it is not UTF-8".to_owned()))?;
    let mut document = Document::default();
    document.read(text)?;
    if document.cases == 0 {
        return Err(ImportError::Content("the file lists no test: nothing was tested".to_owned()));
    }
    let producer = json!({"suites": document.names});
    Ok(document.outcomes.into_result(file, "junit", producer))
}

#[derive(Default)]
struct Document {
    outcomes: Outcomes,
    /// Names of the outermost suites, which is all that JUnit says about who wrote it.
    names: Vec<String>,
    suites: Vec<Suite>,
    case: Option<Case>,
    cases: usize,
}

/// An open suite: what it states, and what was listed in it so far.
#[derive(Default)]
struct Suite {
    name: String,
    stated_tests: usize,
    stated_bad: usize,
    tests: usize,
    bad: usize,
}

struct Case {
    name: String,
    outcome: TestOutcome,
}

impl Document {
    fn read(&mut self, text: &str) -> Result<(), ImportError> {
        let mut reader = Reader::from_reader(text.as_bytes());
        let mut buffer = Vec::new();
        let mut open: Vec<String> = Vec::new();
        let mut elements = 0usize;
        let mut rooted = false;
        loop {
            buffer.clear();
            let event = reader.read_event_into(&mut buffer).map_err(|error| ImportError::Xml(error.to_string()))?;
            match event {
                Event::Start(tag) | Event::Empty(tag) if elements >= ELEMENTS => {
                    drop(tag);
                    return Err(ImportError::Limit { what: "elements", allowed: ELEMENTS });
                }
                Event::Start(tag) => {
                    elements = elements.saturating_add(1);
                    let name = local(&tag);
                    root(&name, &open, &mut rooted)?;
                    if open.len() >= DEPTH {
                        return Err(ImportError::Limit { what: "elements inside each other", allowed: DEPTH });
                    }
                    self.open(&name, &tag)?;
                    open.push(name);
                }
                Event::Empty(tag) => {
                    elements = elements.saturating_add(1);
                    let name = local(&tag);
                    root(&name, &open, &mut rooted)?;
                    self.open(&name, &tag)?;
                    self.close(&name)?;
                }
                Event::End(_) => {
                    if let Some(name) = open.pop() {
                        self.close(&name)?;
                    }
                }
                Event::DocType(_) => {
                    return Err(ImportError::Xml("it has a document type, which may define entities".to_owned()));
                }
                Event::GeneralRef(name) => {
                    let known = matches!(&*name, "lt" | "gt" | "amp" | "quot" | "apos") || name.starts_with('#');
                    if !known {
                        return Err(ImportError::Xml("it refers to an entity".to_owned()));
                    }
                }
                Event::Eof if !rooted => return Err(ImportError::Xml("it has no element".to_owned())),
                Event::Eof if !open.is_empty() => return Err(ImportError::Xml("it ends inside an element".to_owned())),
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
    }

    fn open(&mut self, name: &str, tag: &BytesStart<'_>) -> Result<(), ImportError> {
        match name {
            "testsuites" | "testsuite" => {
                let suite = Suite {
                    name: attribute(tag, "name")?.unwrap_or_default(),
                    stated_tests: count(tag, "tests")?,
                    stated_bad: count(tag, "failures")?.saturating_add(count(tag, "errors")?),
                    ..Suite::default()
                };
                if !suite.name.is_empty() && self.names.len() < 100 && self.suites.len() < 2 {
                    self.names.push(suite.name.chars().take(200).collect());
                }
                self.suites.push(suite);
            }
            "testcase" => {
                if self.case.is_some() {
                    return Err(ImportError::Content("a test case stands inside another".to_owned()));
                }
                let name = attribute(tag, "name")?.unwrap_or_default();
                let class = attribute(tag, "classname")?.unwrap_or_default();
                let name = if class.is_empty() { name } else { format!("{class}::{name}") };
                if name.trim_matches(':').trim().is_empty() {
                    return Err(ImportError::Content("a test case has no name".to_owned()));
                }
                // gtest writes `status="notrun"`, others `disabled` or `skipped`.
                let status = attribute(tag, "status")?.unwrap_or_default();
                let ran = !matches!(status.as_str(), "notrun" | "disabled" | "skipped");
                self.case = Some(Case { name, outcome: if ran { TestOutcome::Passed } else { TestOutcome::Warned } });
                self.cases = self.cases.saturating_add(1);
                for suite in &mut self.suites {
                    suite.tests = suite.tests.saturating_add(1);
                }
            }
            "failure" | "error" => {
                for suite in &mut self.suites {
                    suite.bad = suite.bad.saturating_add(1);
                }
                match (&mut self.case, self.suites.last()) {
                    (Some(case), _) => case.outcome = TestOutcome::Failed,
                    // A suite whose set-up failed.
                    (None, Some(suite)) => {
                        let name = format!("{} (suite)", suite.name);
                        self.outcomes.add(TestOutcome::Failed, &name)?;
                    }
                    (None, None) => return Err(ImportError::Content(format!("`{name}` stands outside of a suite"))),
                }
            }
            // A second try that passed does not undo the first.
            "skipped" | "flakyFailure" | "flakyError" | "rerunFailure" | "rerunError" => {
                if let Some(case) = self.case.as_mut().filter(|case| case.outcome == TestOutcome::Passed) {
                    case.outcome = TestOutcome::Warned;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), ImportError> {
        match name {
            "testcase" => {
                if let Some(case) = self.case.take() {
                    self.outcomes.add(case.outcome, &case.name)?;
                }
            }
            "testsuites" | "testsuite" => {
                let Some(suite) = self.suites.pop() else { return Ok(()) };
                if suite.stated_bad > suite.bad || suite.stated_tests > suite.tests {
                    let message = format!(
                        "suite {} states {} tests and {} failures and errors, but lists {} and {}",
                        crate::shown(&suite.name),
                        suite.stated_tests,
                        suite.stated_bad,
                        suite.tests,
                        suite.bad
                    );
                    return Err(ImportError::Content(message));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn root(name: &str, open: &[String], rooted: &mut bool) -> Result<(), ImportError> {
    if !open.is_empty() {
        return Ok(());
    }
    if *rooted || !matches!(name, "testsuites" | "testsuite") {
        return Err(ImportError::Xml(format!("the outermost element is {}, not one `testsuites`", crate::shown(name))));
    }
    *rooted = true;
    Ok(())
}

fn local(tag: &BytesStart<'_>) -> String {
    let name: &str = tag.local_name().into_inner();
    name.chars().take(100).collect()
}

/// The value of an attribute; one that occurs twice, or refers to an entity, is an error.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, ImportError> {
    let mut found = None;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| ImportError::Xml(error.to_string()))?;
        if attribute.key.as_ref() == name {
            let value = quick_xml::escape::unescape(&attribute.value);
            found = Some(value.map_err(|error| ImportError::Xml(error.to_string()))?.into_owned());
        }
    }
    Ok(found)
}

fn count(tag: &BytesStart<'_>, name: &str) -> Result<usize, ImportError> {
    match attribute(tag, name)? {
        None => Ok(0),
        Some(text) if text.trim().is_empty() => Ok(0),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| ImportError::Content(format!("`{name}` of a suite is {}, not a number", crate::shown(&text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, mutate};
    use super::*;

    const PYTEST: &str = r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest"
        errors="0" failures="1" skipped="1" tests="4" time="0.1"><testcase classname="t.A" name="good &lt;1&gt;" time="0"/>
        <testcase classname="t.A" name="bad"><failure message="no">assert &amp; so on</failure></testcase>
        <testcase name="left"><skipped type="pytest.skip" message="x"/></testcase>
        <testcase name="twice"><flakyFailure message="once"/></testcase></testsuite></testsuites>"#;

    fn refused(text: &str) -> String {
        from_junit(file(text.as_bytes())).unwrap_err().to_string()
    }

    #[test]
    fn each_outcome_is_what_the_file_says() {
        let result = from_junit(file(PYTEST.as_bytes())).unwrap();
        assert_eq!(result.result, TestOutcome::Failed);
        assert_eq!(result.passed_tests, ["t.A::good <1>"]);
        assert_eq!(result.warned_tests, ["left", "twice"]);
        assert_eq!(result.failed_tests, ["t.A::bad"]);
        let import = &result.extensions[super::super::IMPORT_MEMBER];
        assert_eq!(import["producer"]["suites"], json!(["pytest tests", "pytest"]));
        assert_eq!(import["file"]["digest"]["sha256"], gauntlet_core::sha256_hex(PYTEST.as_bytes()));
    }

    #[test]
    fn a_file_of_pytest_is_read() {
        let result = from_junit(file(include_bytes!("../../../../testdata/import/pytest.xml"))).unwrap();
        let names = |list: &[&str]| list.iter().map(|name| format!("test_model::{name}")).collect::<Vec<_>>();
        assert_eq!(result.passed_tests, names(&["test_age[17]", "test_age[30]", "test_shape"]));
        assert_eq!(result.failed_tests, names(&["test_age[99]", "test_server"]));
        assert_eq!(result.warned_tests, names(&["test_gpu"]));
    }

    #[test]
    fn a_skipped_test_did_not_pass() {
        let text = "<testsuite name='s'><testcase name='a'/><testcase name='b' status='notrun'/></testsuite>";
        let result = from_junit(file(text.as_bytes())).unwrap();
        assert_eq!((result.result, result.warned_tests), (TestOutcome::Warned, vec!["b".to_owned()]));
    }

    #[test]
    fn a_failed_set_up_fails_the_suite() {
        let text = "<testsuite name='s'><testcase name='a'/><error message='set-up'/></testsuite>";
        assert_eq!(from_junit(file(text.as_bytes())).unwrap().failed_tests, ["s (suite)"]);
    }

    #[test]
    fn files_that_contradict_themselves_are_refused() {
        assert!(refused(&PYTEST.replace("failures=\"1\"", "failures=\"2\"")).contains("states 4 tests and 2 failures"));
        assert!(refused(&PYTEST.replace("tests=\"4\"", "tests=\"5\"")).contains("lists 4 and 1"));
        assert!(refused(&PYTEST.replace("tests=\"4\"", "tests=\"many\"")).contains("not a number"));
        assert!(refused("<testsuite name='s' tests='0'/>").contains("no test"));
    }

    #[test]
    fn what_is_no_junit_is_refused() {
        for (text, why) in [
            ("", "no element"),
            ("<html/>", "outermost"),
            ("<testsuite><testcase name='a'/>", "ends inside"),
            ("<testsuite/><testsuite/>", "outermost"),
            ("<testsuite><testcase/></testsuite>", "no name"),
            ("<testsuite><testcase name='a'><testcase name='b'/></testcase></testsuite>", "inside another"),
            ("<testsuite><testcase name='a' name='b'/></testsuite>", "not a JUnit"),
            ("<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite><testcase name='a'/></testsuite>", "document type"),
            ("<testsuite><testcase name='&x;'/></testsuite>", "not a JUnit"),
            ("<testsuite><testcase name='a'>&x;</testcase></testsuite>", "entity"),
        ] {
            assert!(refused(text).contains(why), "{text}: {}", refused(text));
        }
        let deep = format!("<testsuite>{}", "<x>".repeat(100));
        assert!(refused(&deep).contains("inside each other"));
    }

    #[test]
    fn no_mutated_file_breaks_the_reader() {
        mutate(PYTEST.as_bytes(), |bytes| {
            let _ = from_junit(file(bytes));
        });
    }
}
