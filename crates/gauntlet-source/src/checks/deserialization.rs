//! `source/deserialization`: calls that turn bytes into objects and may run code on the way.

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, RuleInfo, Severity, SkipCode, Stage,
};

use super::{judged, report_unused, suppressions};
use crate::facts::CallFact;
use crate::sinks::{self, Hit, Truth};
use crate::suppression::Scope;

/// Id of the check.
pub(crate) const ID: &str = "source/deserialization";

/// Judges calls by the sink table.
pub(crate) struct Deserialization;

const SCOPE: Scope<'_> = Scope {
    check: ID,
    codes: &["B301", "B302", "B403", "B506", "B614", "S301", "S302", "S403", "S506", "S614"],
    secrets: false,
};

impl Check for Deserialization {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(table) = sinks::deserialization() else {
            judgement.coverage.skip("", None, SkipCode::Unsupported, "the rule table cannot be read");
            return judgement;
        };
        let mut used = suppressions(facts, &mut judgement);
        for row in facts.of::<CallFact>() {
            let (location, call) = match row {
                Ok(row) => row,
                Err(error) => {
                    judgement.coverage.skip(
                        "",
                        None,
                        SkipCode::Unsupported,
                        format!("stored fact of another shape: {error}"),
                    );
                    continue;
                }
            };
            let Some(hit) = table.find(&call.invocation) else { continue };
            let Some(rule) = INFO.rule(&hit.row.rule) else { continue };
            let draft = draft(rule, &hit, location.clone());
            judgement.findings.push(judged(&mut used, &SCOPE, rule, location, call.lines, draft));
        }
        let ours = |name: &str| {
            name.strip_prefix(ID).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || (name != UNUSED_NAME && INFO.rule(name).is_some())
        };
        report_unused(&used, &UNUSED, ours, &mut judgement);
        judgement
    }
}

fn draft(rule: &'static RuleInfo, hit: &Hit<'_>, location: gauntlet_core::Location) -> Draft {
    let Hit { name, row, .. } = hit;
    let name = name.trim_start_matches("?.");
    let message = match (hit.handed_on, hit.truth) {
        (true, _) => format!("`{name}` is handed on to be called: it {}", row.says),
        (false, Truth::Yes) => format!("`{name}` {}", row.says),
        (false, _) => format!("`{name}` {}, and the code does not show that the argument prevents it", row.says),
    };
    let severity = row.severity.unwrap_or(rule.severity);
    let (severity, confidence) = match (hit.truth, hit.certain && !hit.handed_on && !hit.name.starts_with('?')) {
        (Truth::Yes, true) => (severity, Confidence::High),
        (Truth::Yes, false) => (severity, Confidence::Medium),
        _ => (severity.min(Severity::Medium), Confidence::Low),
    };
    Draft::new(rule, location, message).severity(severity).confidence(confidence).snippet(name)
}

const FIX_PICKLE: &str =
    "store data in a format without code (JSON, Parquet, safetensors), or verify a signature before loading";
const REFERENCES: &[&str] = &["CWE-502", "OWASP ML06:2023", "MITRE ATLAS AML.T0011.000"];

const fn rule(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    references: &'static [&'static str],
) -> RuleInfo {
    RuleInfo { id, severity, title, fix, references, since: "0.1.0", renamed_from: &[], retired: None }
}

const UNUSED_NAME: &str = "unused-suppression";

static UNUSED: RuleInfo = RULES[RULES.len() - 1];

const RULES: &[RuleInfo] = &[
    rule(
        "source/deserialization/unsafe-pickle",
        Severity::High,
        "pickle, dill, cloudpickle or shelve loads data",
        FIX_PICKLE,
        REFERENCES,
    ),
    rule(
        "source/deserialization/unsafe-network-pickle",
        Severity::Critical,
        "objects are unpickled from a socket",
        "send JSON or MessagePack and check it against a schema",
        REFERENCES,
    ),
    rule(
        "source/deserialization/unsafe-joblib",
        Severity::High,
        "joblib loads a model or data",
        FIX_PICKLE,
        REFERENCES,
    ),
    rule(
        "source/deserialization/unsafe-pandas",
        Severity::High,
        "pandas reads a pickle",
        "store tables as Parquet or Arrow",
        REFERENCES,
    ),
    rule(
        "source/deserialization/unsafe-numpy",
        Severity::High,
        "numpy loads with pickle allowed",
        "leave `allow_pickle` off and store plain arrays",
        REFERENCES,
    ),
    rule(
        "source/deserialization/unsafe-torch",
        Severity::High,
        "torch loads a pickle without limits",
        "pass `weights_only=True`, pin torch to 2.6 or later, or store weights as safetensors",
        &["CWE-502", "OWASP ML06:2023", "MITRE ATLAS AML.T0011.000", "CVE-2025-32434"],
    ),
    rule(
        "source/deserialization/unsafe-yaml",
        Severity::High,
        "YAML is read with a loader that builds objects",
        "use `yaml.safe_load`",
        &["CWE-502", "CVE-2020-14343"],
    ),
    rule(
        "source/deserialization/unsafe-marshal",
        Severity::Medium,
        "marshal reads data",
        "store data as JSON; marshal is for the interpreter's own files",
        &["CWE-502"],
    ),
    rule(
        "source/deserialization/unsafe-jsonpickle",
        Severity::High,
        "jsonpickle builds objects",
        "use `json` and build objects yourself",
        &["CWE-502"],
    ),
    rule(
        "source/deserialization/unsafe-keras",
        Severity::High,
        "keras loads with its safe mode off",
        "keep `safe_mode=True` and register custom classes",
        &["CWE-502", "CVE-2024-3660", "MITRE ATLAS AML.T0011.000"],
    ),
    rule(
        "source/deserialization/unsafe-skops",
        Severity::High,
        "skops trusts every type of the file",
        "list the types that you have looked at in `trusted`",
        REFERENCES,
    ),
    rule(
        "source/deserialization/unsafe-langchain",
        Severity::High,
        "a vector store is unpickled",
        "rebuild the index from its documents, or verify a signature before loading",
        REFERENCES,
    ),
    rule(
        "source/deserialization/unused-suppression",
        Severity::Low,
        "a suppression comment suppresses nothing",
        "remove the comment",
        &[],
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: ID,
    version: 1,
    stage: Stage::Source,
    title: "Does the code turn bytes of others into objects that may run code?",
    rules: RULES,
    page: include_str!("../../../../docs/src/checks/source-deserialization.md"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_rules_know_each_other() {
        let table = sinks::deserialization().unwrap();
        for name in table.rules() {
            assert!(INFO.rule(name).is_some(), "{name}");
        }
        for rule in RULES {
            let name = rule.id.rsplit('/').next().unwrap();
            assert!(gauntlet_core::valid_rule_id(rule.id));
            assert!(name == UNUSED_NAME || table.rules().any(|r| r == name), "{name} is in no row");
            assert!(INFO.page.contains(&format!("\n## {name}\n")), "{name} has no section in the manual");
        }
        assert!(UNUSED.id.ends_with(UNUSED_NAME));
    }
}
