//! SARIF 2.1.0, as scanners write it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{BYTES, IMPORT_MEMBER, ImportError, Imported, Outcomes};
use crate::statement::{
    Database, ScanMetadata, Scanner, Severity, TestOutcome, TestResult, Vulnerabilities, Vulnerability,
};
use crate::strict_json::{self, Bounds};

/// Results of one file.
const RESULTS: usize = 500_000;

#[derive(Deserialize)]
struct Log {
    #[serde(default)]
    version: String,
    #[serde(default)]
    runs: Option<Vec<Run>>,
}

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    /// Absent means that the run gave no results at all: not "nothing found".
    #[serde(default)]
    results: Option<Vec<Found>>,
    #[serde(default)]
    invocations: Option<Vec<Invocation>>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Component,
    #[serde(default)]
    extensions: Option<Vec<Component>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    semantic_version: Option<String>,
    #[serde(default)]
    information_uri: Option<String>,
    #[serde(default)]
    rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    id: String,
    #[serde(default)]
    default_configuration: Option<Configuration>,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    level: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(default)]
    rule_id: Option<String>,
    #[serde(default)]
    rule: Option<RuleReference>,
    #[serde(default)]
    rule_index: Option<i64>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    suppressions: Option<Vec<Suppression>>,
}

#[derive(Deserialize)]
struct RuleReference {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    index: Option<i64>,
}

#[derive(Deserialize)]
struct Suppression {
    #[serde(default)]
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(default)]
    start_time_utc: Option<String>,
    #[serde(default)]
    end_time_utc: Option<String>,
}

/// The test result that a SARIF file amounts to: rules with an error failed, rules with a warning warned, rules of the
/// tool that gave neither passed. Suppressed results warn.
///
/// # Errors
/// [`ImportError`] when the file is no SARIF 2.1.0, has no run, or a run gave no list of results.
pub fn from_sarif(file: Imported<'_>) -> Result<TestResult, ImportError> {
    let runs = parse(file.bytes)?;
    let mut outcomes = Outcomes::default();
    for run in &runs {
        if run.invocations.iter().flatten().any(|invocation| !invocation.execution_successful) {
            let name = format!("{}: the tool did not run to its end", run.tool.driver.name);
            outcomes.add(TestOutcome::Failed, &name)?;
        }
        for rule in run.tool.rules().filter(|rule| !rule.id.is_empty()) {
            outcomes.add(TestOutcome::Passed, &rule.id)?;
        }
        for found in run.found() {
            let id = run.rule_id(found)?;
            match run.level(found, &id).as_str() {
                "error" => outcomes.add(TestOutcome::Failed, &id)?,
                "warning" | "suppressed" | "open" => outcomes.add(TestOutcome::Warned, &id)?,
                "note" => {
                    outcomes.noted.insert(id);
                }
                _ => {}
            }
        }
    }
    let producer = json!({"tools": runs.iter().map(|run| run.tool.identity()).collect::<Vec<_>>()});
    Ok(outcomes.into_result(file, "sarif", producer))
}

/// The vulnerability report that a SARIF file of a scanner amounts to. `database_updated` is when the scanner's database
/// was last brought up to date, which SARIF has no member for.
///
/// # Errors
/// As [`from_sarif`]; also with more than one run, or without the times of the scan.
pub fn vulnerabilities_from_sarif(file: &Imported<'_>, database_updated: &str) -> Result<Vulnerabilities, ImportError> {
    let runs = parse(file.bytes)?;
    let [run] = runs.as_slice() else {
        return Err(ImportError::Content("a vulnerability report is about one run; the file holds several".to_owned()));
    };
    let times = run.invocations.iter().flatten().find_map(|i| i.start_time_utc.clone().zip(i.end_time_utc.clone()));
    let Some((started, finished)) = times else {
        let message = "the file does not say when the scan started and ended (invocations[].startTimeUtc, endTimeUtc)";
        return Err(ImportError::Content(message.to_owned()));
    };
    if run.invocations.iter().flatten().any(|invocation| !invocation.execution_successful) {
        return Err(ImportError::Content("the scan did not run to its end".to_owned()));
    }
    let mut found: BTreeMap<String, Vulnerability> = BTreeMap::new();
    for result in run.found() {
        let id = run.rule_id(result)?;
        let level = run.level(result, &id);
        if level == "none" {
            continue;
        }
        let entry = found.entry(id.clone()).or_insert_with(|| Vulnerability {
            id: id.clone(),
            severity: Vec::new(),
            annotations: None,
        });
        let mut severities = vec![Severity { method: "sarif-level".to_owned(), score: level }];
        let scored = run
            .tool
            .rules()
            .find(|rule| rule.id == id)
            .and_then(|rule| rule.properties.as_ref()?.get("security-severity"));
        severities
            .extend(scored.and_then(scalar).map(|score| Severity { method: "security-severity".to_owned(), score }));
        for severity in severities {
            if !entry.severity.contains(&severity) {
                entry.severity.push(severity);
            }
        }
    }
    let driver = &run.tool.driver;
    let version = driver.version.clone().or_else(|| driver.semantic_version.clone());
    let name: String = driver.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let uri = driver.information_uri.clone().unwrap_or_else(|| format!("urn:tool:{name}"));
    let import = json!({
        "format": "sarif",
        "file": {"name": file.name, "digest": gauntlet_core::DigestSet::sha256_of(file.bytes)},
        "producer": {"tools": [run.tool.identity()]},
    });
    Ok(Vulnerabilities {
        scanner: Scanner {
            uri,
            version,
            db: Database { uri: None, version: None, last_update: database_updated.to_owned() },
            result: found.into_values().collect(),
        },
        metadata: ScanMetadata { scan_started_on: started, scan_finished_on: finished },
        extensions: Map::from_iter([(IMPORT_MEMBER.to_owned(), import)]),
    })
}

fn parse(bytes: &[u8]) -> Result<Vec<Run>, ImportError> {
    let log: Log = strict_json::from_slice(bytes, &Bounds { bytes: BYTES, ..Bounds::DOCUMENT })?;
    if log.version != "2.1.0" {
        return Err(ImportError::Content(format!("SARIF {} is not read; 2.1.0 is", crate::shown(&log.version))));
    }
    let runs = log.runs.unwrap_or_default();
    if runs.is_empty() {
        return Err(ImportError::Content("the file holds no run: nothing was looked at".to_owned()));
    }
    for run in &runs {
        let Some(results) = &run.results else {
            let name = crate::shown(&run.tool.driver.name);
            return Err(ImportError::Content(format!("the run of {name} has no `results`: it did not look for any")));
        };
        if results.len() > RESULTS {
            return Err(ImportError::Limit { what: "results", allowed: RESULTS });
        }
        if run.tool.driver.name.trim().is_empty() {
            return Err(ImportError::Content("a run does not say which tool it is of".to_owned()));
        }
    }
    Ok(runs)
}

impl Tool {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        let extensions = self.extensions.iter().flatten();
        std::iter::once(&self.driver).chain(extensions).flat_map(|component| component.rules.iter().flatten())
    }

    fn identity(&self) -> Value {
        json!({
            "name": self.driver.name,
            "version": self.driver.version.as_ref().or(self.driver.semantic_version.as_ref()),
            "uri": self.driver.information_uri,
        })
    }
}

impl Run {
    fn found(&self) -> impl Iterator<Item = &Found> {
        self.results.iter().flatten()
    }

    fn rule_id(&self, found: &Found) -> Result<String, ImportError> {
        let stated = found.rule_id.clone().or_else(|| found.rule.as_ref()?.id.clone());
        let index =
            found.rule_index.or_else(|| found.rule.as_ref()?.index).and_then(|index| usize::try_from(index).ok());
        let listed = || self.tool.driver.rules.as_ref()?.get(index?).map(|rule| rule.id.clone());
        stated.or_else(listed).filter(|id| !id.trim().is_empty()).ok_or_else(|| {
            ImportError::Content(format!("a result of {} names no rule", crate::shown(&self.tool.driver.name)))
        })
    }

    /// `error`, `warning`, `note`, `none`, or what came before a level counted: `suppressed`, `open`.
    fn level(&self, found: &Found, id: &str) -> String {
        let kind = found.kind.as_deref().unwrap_or("fail");
        if matches!(kind, "pass" | "notApplicable" | "informational") {
            return "none".to_owned();
        }
        let hidden =
            |suppression: &Suppression| suppression.status.as_deref().is_none_or(|status| status == "accepted");
        if found.suppressions.as_ref().is_some_and(|list| !list.is_empty() && list.iter().all(hidden)) {
            return "suppressed".to_owned();
        }
        if matches!(kind, "open" | "review") {
            return "open".to_owned();
        }
        // A rule of an extension is named `rule` or `rule/sub-rule`.
        let rule = self
            .tool
            .rules()
            .find(|rule| rule.id == id || id.strip_prefix(&rule.id).is_some_and(|rest| rest.starts_with('/')));
        let default = || rule.and_then(|rule| rule.default_configuration.as_ref()?.level.clone());
        match found.level.clone().or_else(default).as_deref() {
            Some("error") => "error".to_owned(),
            Some("note") => "note".to_owned(),
            Some("none") => "none".to_owned(),
            // The default of the standard; an unknown word is at least that.
            _ => "warning".to_owned(),
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, mutate};
    use super::*;

    const SCAN: &str = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"bandit","version":"1.8","informationUri":
        "https://bandit.example","rules":[{"id":"B301","defaultConfiguration":{"level":"error"},"properties":
        {"security-severity":"7.5"}},{"id":"B404"},{"id":"B105"}]}},"invocations":[{"executionSuccessful":true,
        "startTimeUtc":"2026-01-01T00:00:00Z","endTimeUtc":"2026-01-01T00:00:01Z"}],"results":[{"ruleId":"B301","message":
        {"text":"pickle"}},{"ruleId":"B404","level":"warning"},{"ruleIndex":2,"level":"error","suppressions":[{"kind":
        "inSource"}]}]}]}"#;

    #[test]
    fn rules_become_tests_and_the_tool_keeps_its_name() {
        let result = from_sarif(file(SCAN.as_bytes())).unwrap();
        assert_eq!(result.result, TestOutcome::Failed);
        assert_eq!(
            (result.failed_tests.as_slice(), result.warned_tests.as_slice()),
            (&["B301".to_owned()][..], &["B105".to_owned(), "B404".to_owned()][..])
        );
        assert!(result.passed_tests.is_empty());
        let tool = &result.extensions[IMPORT_MEMBER]["producer"]["tools"][0];
        assert_eq!((tool["name"].as_str(), tool["version"].as_str()), (Some("bandit"), Some("1.8")));
        let clean = SCAN.replace(
            r#""results":[{"ruleId":"B301","message":
        {"text":"pickle"}},"#,
            r#""results":["#,
        );
        assert_eq!(from_sarif(file(clean.as_bytes())).unwrap().passed_tests, ["B301"]);
    }

    #[test]
    fn vulnerabilities_need_the_times_that_the_file_states() {
        let report = vulnerabilities_from_sarif(&file(SCAN.as_bytes()), "2025-12-31T00:00:00Z").unwrap();
        use crate::statement::Predicate as _;
        report.check().unwrap();
        let first = report.scanner.result.iter().find(|v| v.id == "B301").unwrap();
        let scores: Vec<_> = first.severity.iter().map(|s| (s.method.as_str(), s.score.as_str())).collect();
        assert_eq!(scores, [("sarif-level", "error"), ("security-severity", "7.5")]);
        let timeless = SCAN.replace("startTimeUtc", "x");
        assert!(vulnerabilities_from_sarif(&file(timeless.as_bytes()), "2025-12-31T00:00:00Z").is_err());
    }

    #[test]
    fn a_run_that_did_not_look_is_no_pass() {
        for (from, to, why) in [
            (r#""version":"2.1.0""#, r#""version":"2.0.0""#, "2.1.0 is"),
            (r#""name":"bandit""#, r#""name":" ""#, "which tool"),
            (r#""results":["#, r#""other":["#, "did not look"),
            (r#""ruleId":"B404""#, r#""ruleId":"""#, "names no rule"),
        ] {
            assert!(SCAN.contains(from));
            let error = from_sarif(file(SCAN.replace(from, to).as_bytes())).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(from_sarif(file(br#"{"version":"2.1.0","runs":[]}"#)).unwrap_err().to_string().contains("no run"));
        let died = SCAN.replace(r#""executionSuccessful":true"#, r#""executionSuccessful":false"#);
        let failed = from_sarif(file(died.as_bytes())).unwrap().failed_tests;
        assert!(failed.contains(&"bandit: the tool did not run to its end".to_owned()));
        assert!(vulnerabilities_from_sarif(&file(died.as_bytes()), "2025-12-31T00:00:00Z").is_err());
    }

    #[test]
    fn files_of_real_scanners_are_read() {
        let bandit = include_bytes!("../../../../testdata/import/bandit.sarif");
        let result = from_sarif(file(bandit)).unwrap();
        assert_eq!(
            (result.failed_tests.as_slice(), result.warned_tests.as_slice()),
            (&["B602".to_owned()][..], &["B301".to_owned()][..])
        );
        assert!(result.passed_tests.is_empty(), "notes are no passes: {:?}", result.passed_tests);
        let ruff = include_bytes!("../../../../testdata/import/ruff.sarif");
        assert_eq!(from_sarif(file(ruff)).unwrap().failed_tests, ["S101", "S301", "S602"]);
        // Neither says when the scan started.
        assert!(vulnerabilities_from_sarif(&file(bandit), "2025-12-31T00:00:00Z").is_err());
    }

    #[test]
    fn a_rejected_suppression_suppresses_nothing() {
        let rejected = SCAN.replace(
            r#"{"kind":
        "inSource"}"#,
            r#"{"kind":"external","status":"rejected"}"#,
        );
        assert!(from_sarif(file(rejected.as_bytes())).unwrap().failed_tests.contains(&"B105".to_owned()));
    }

    #[test]
    fn no_mutated_file_breaks_the_reader() {
        mutate(SCAN.as_bytes(), |bytes| {
            let _ = from_sarif(file(bytes));
            let _ = vulnerabilities_from_sarif(&file(bytes), "2025-12-31T00:00:00Z");
        });
    }
}
