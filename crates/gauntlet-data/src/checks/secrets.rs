//! `data/secrets`: do the cells hold keys, tokens and passwords?

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Metric, RuleInfo, Severity, Stage,
};

use super::{SECRETS, at_first, facts_of, first_rows, grouped, percent, rule, share};
use crate::facts::{ManifestFact, SecretFact};
use crate::manifest::{Class, Manifest};

/// The check.
#[derive(Debug)]
pub(crate) struct SecretsCheck;

const REFERENCES: &[&str] = &["CWE-312", "CWE-798", "OWASP LLM02:2025", "MITRE ATLAS AML.T0055"];

static RULES: [RuleInfo; 3] = [
    rule(
        "data/secrets/secret-in-values",
        Severity::High,
        "credential inside values",
        "revoke the credential where it was issued, then remove or mask the value: a model repeats what it was trained on",
        REFERENCES,
    ),
    rule(
        "data/secrets/possible-secret",
        Severity::Medium,
        "value that looks like a credential",
        "look at the rows; revoke and remove what is a credential",
        REFERENCES,
    ),
    rule(
        "data/secrets/declared-column",
        Severity::Info,
        "column that is classified as secret",
        "nothing to do here; the policy for training refuses secret columns",
        REFERENCES,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: SECRETS,
    version: 1,
    stage: Stage::Data,
    title: "keys, tokens and passwords in columns",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-secrets.md"),
};

impl Check for SecretsCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let manifest: Option<Manifest> =
            facts_of::<ManifestFact>(facts, &mut out).into_iter().find_map(|(_, fact)| fact.0.content().cloned());
        let found: Vec<SecretFact> = facts_of(facts, &mut out).into_iter().map(|(_, fact)| fact).collect();
        let rows: u64 = found.iter().filter(|fact| fact.proven).map(|fact| fact.hits).sum();
        for fact in &found {
            let declared = manifest.as_ref().is_some_and(|m| m.class_of(&fact.column) == Some(Class::Secret));
            judge(fact, declared, &mut out);
        }
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
        out.metrics.push(Metric::new("secrets-found", rows as f64, "rows"));
        out
    }
}

fn judge(fact: &SecretFact, declared: bool, out: &mut Judgement) {
    let seen = format!(
        "`{}` holds {} in {} of {} values ({}){}",
        fact.column,
        match fact.proven {
            true => format!("a credential ({})", fact.title),
            false => format!("what looks like a credential ({})", fact.title),
        },
        grouped(fact.hits),
        grouped(fact.values),
        percent(share(fact.hits, fact.values)),
        first_rows(&fact.first)
    );
    let (name, confidence) = match (declared, fact.proven) {
        (true, _) => ("declared-column", Confidence::High),
        (false, true) => ("secret-in-values", Confidence::High),
        (false, false) => ("possible-secret", Confidence::Medium),
    };
    if let Some(rule) = INFO.rule(name) {
        let snippet = format!("{} {}", fact.column, fact.title);
        let place = at_first(&fact.first, &fact.column);
        out.findings.push(Draft::new(rule, place, seen).snippet(snippet).confidence(confidence));
    }
}
