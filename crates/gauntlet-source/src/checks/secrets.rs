//! `source/secrets`: credentials in files of a source tree.

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, RuleInfo, Severity, SkipCode, Stage,
};
use gauntlet_patterns::{Confidence as Sure, Proof};

use super::{AREA, judged, report_unused, suppressions};
use crate::facts::SecretFact;
use crate::suppression::Scope;

/// Id of the check.
pub(crate) const ID: &str = "source/secrets";

/// Judges secrets.
pub(crate) struct Secrets;

const SCOPE: Scope<'_> = Scope { check: ID, codes: &["B105", "B106", "B107", "S105", "S106", "S107"], secrets: true };

impl Check for Secrets {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let mut used = suppressions(facts, &mut judgement);
        for row in facts.of::<SecretFact>() {
            let unanswered = match row {
                Ok((location, secret)) => match INFO.rule(&secret.kind) {
                    Some(rule) => {
                        let draft = draft(rule, &secret, location.clone());
                        judgement.findings.push(judged(&mut used, &SCOPE, rule, location, secret.lines, draft));
                        continue;
                    }
                    None => format!("no rule for secrets of kind `{}`", secret.kind),
                },
                Err(error) => format!("stored fact of another shape: {error}"),
            };
            judgement.coverage.skip("", None, SkipCode::Unsupported, unanswered);
        }
        // Names of no check at all are reported here, because this check reads every text.
        let ours = |name: &str| match name.strip_prefix(ID) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => {
                !name.contains('/')
                    && !name.starts_with(AREA)
                    && super::deserialization::Deserialization
                        .info()
                        .rule(name)
                        .is_none_or(|r| r.id.ends_with("/unused-suppression"))
            }
        };
        report_unused(&used, &UNUSED, ours, &mut judgement);
        judgement
    }
}

fn draft(rule: &'static RuleInfo, secret: &SecretFact, location: gauntlet_core::Location) -> Draft {
    let proof = match secret.proof {
        Proof::Shape => "its shape is the issuer's",
        Proof::Checksum => "its checksum holds",
        Proof::Structure => "it decodes to what it claims to be",
        Proof::Context => "its name says so",
        Proof::Pairing => "the other half of the pair stands beside it",
    };
    let (severity, confidence) = match secret.confidence {
        Sure::High => (rule.severity, Confidence::High),
        Sure::Medium => (rule.severity, Confidence::Medium),
        Sure::Low => (rule.severity.min(Severity::Medium), Confidence::Low),
    };
    // The masked value holds a keyed hash, so the fingerprint stays when the line moves and shows nothing.
    Draft::new(rule, location, format!("{} {}: {proof}", secret.title, secret.value))
        .severity(severity)
        .confidence(confidence)
        .snippet(secret.value.as_str())
}

const FIX: &str =
    "revoke it at the issuer, remove it from the history, and read it from the environment or a secret store";
const REFERENCES: &[&str] = &["CWE-798", "MITRE ATLAS AML.T0055"];

const fn rule(id: &'static str, severity: Severity, title: &'static str) -> RuleInfo {
    RuleInfo { id, severity, title, fix: FIX, references: REFERENCES, since: "0.1.0", renamed_from: &[], retired: None }
}

static UNUSED: RuleInfo = RULES[RULES.len() - 1];

const RULES: &[RuleInfo] = &[
    rule("source/secrets/aws-key", Severity::Critical, "AWS access key"),
    rule("source/secrets/azure-key", Severity::Critical, "Azure key"),
    rule("source/secrets/google-key", Severity::High, "Google API key or OAuth secret"),
    rule("source/secrets/github-token", Severity::Critical, "GitHub token"),
    rule("source/secrets/gitlab-token", Severity::Critical, "GitLab token"),
    rule("source/secrets/slack-token", Severity::High, "Slack token or webhook"),
    rule("source/secrets/chat-token", Severity::High, "token or webhook of a chat service"),
    rule("source/secrets/openai-key", Severity::High, "OpenAI or OpenAI-style key"),
    rule("source/secrets/anthropic-key", Severity::High, "Anthropic key"),
    rule("source/secrets/huggingface-token", Severity::Critical, "Hugging Face token"),
    rule("source/secrets/ml-platform-key", Severity::High, "key of a machine-learning platform"),
    rule("source/secrets/package-token", Severity::Critical, "upload token of a package index"),
    rule("source/secrets/payment-key", Severity::Critical, "key of a payment service"),
    rule("source/secrets/service-token", Severity::High, "token of a hosted service"),
    rule("source/secrets/private-key", Severity::Critical, "private key"),
    rule("source/secrets/jwt", Severity::High, "signed JSON Web Token"),
    rule("source/secrets/url-password", Severity::High, "password inside an address"),
    rule("source/secrets/generic-secret", Severity::High, "literal assigned to a secret's name"),
    RuleInfo {
        fix: "remove the comment",
        references: &[],
        ..rule("source/secrets/unused-suppression", Severity::Low, "a suppression comment suppresses nothing")
    },
];

static INFO: CheckInfo = CheckInfo {
    id: ID,
    version: 1,
    stage: Stage::Source,
    title: "Do files of the source tree hold credentials?",
    rules: RULES,
    page: include_str!("../../../../docs/src/checks/source-secrets.md"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_secret_has_a_rule_and_every_rule_a_section() {
        for kind in gauntlet_patterns::kinds().iter().filter(|k| k.family == gauntlet_patterns::Family::Secret) {
            assert!(INFO.rule(kind.id).is_some(), "{}", kind.id);
        }
        for rule in RULES {
            let name = rule.id.rsplit('/').next().unwrap();
            assert!(gauntlet_core::valid_rule_id(rule.id));
            assert!(INFO.page.contains(&format!("\n## {name}\n")), "{name} has no section in the manual");
        }
        assert!(UNUSED.id.ends_with("unused-suppression"));
    }
}
