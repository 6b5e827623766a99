//! Whether a PMML document would make its consumer fetch or run something.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{each, rule};
use crate::facts::PmmlFact;

/// `artifact/pmml`
pub(crate) struct Pmml;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::PMML,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the PMML document describe a model and nothing else?",
    rules: &[
        rule!(
            "artifact/pmml/xml-entities",
            High,
            "the document declares entities: text that readers fetch or expand",
            "Remove the document type; PMML needs none. Read XML with entities switched off.",
            ["CWE-611", "CWE-776", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/pmml/script",
            Medium,
            "an extension or attribute reads as code",
            "Remove the extension, or find out which program would run it.",
            ["CWE-94", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/pmml/java-function",
            Medium,
            "a transformation calls a Java class by name",
            "Replace the function by PMML's own, or review the class that it names.",
            ["CWE-470", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/pmml/outside-reference",
            Low,
            "an attribute points to another file or host",
            "Put what is needed into the document, or review where it points.",
            ["CWE-829", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-pmml.md"),
};

impl Check for Pmml {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<PmmlFact>(facts, &mut judgement, |location, fact, judgement| pmml(location, &fact, judgement));
        judgement
    }
}

fn pmml(location: &Location, PmmlFact(facts): &PmmlFact, judgement: &mut Judgement) {
    super::xml::entities(&INFO, location, &facts.xml, judgement);
    let mut push = |rule, severity, message: String| {
        let draft = super::draft(&INFO, rule, location, message.clone());
        judgement.findings.push(draft.severity(severity).snippet(message));
    };
    for code in &facts.code {
        let named = if code.name.is_empty() { String::new() } else { format!(" `{}`", code.name) };
        if code.marker.is_empty() {
            push("script", Severity::Low, format!("`{}`{named} is called like a script", code.element));
        } else {
            push("script", Severity::Medium, format!("`{}`{named} holds `{}`", code.element, code.marker));
        }
    }
    for function in &facts.functions {
        // Libraries of PMML consumers have functions of their own.
        let platform = ["java.", "javax.", "sun.", "jdk.", "com.sun.", "groovy.", "org.codehaus.groovy.", "javassist."];
        let severity = if platform.iter().any(|p| function.starts_with(p)) { Severity::High } else { Severity::Low };
        push("java-function", severity, format!("calls `{function}`"));
    }
    for (key, target) in &facts.references {
        let lower = target.trim_start().to_ascii_lowercase();
        let loads =
            ["jndi:", "ldap:", "ldaps:", "rmi:", "jar:", "file:"].iter().any(|scheme| lower.starts_with(scheme));
        let severity = if loads { Severity::Medium } else { Severity::Low };
        push("outside-reference", severity, format!("`{key}` points to `{target}`"));
    }
}
