//! What is known about a rule, for manuals, SARIF and `gauntlet rule show`.

use crate::severity::Severity;

/// The constant part of a rule. Declared once beside the check; findings refer to it by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// `area/check/rule-name`, kebab-case. Stable: once released it is never reused for something else.
    pub id: &'static str,
    /// Severity unless the finding says otherwise.
    pub severity: Severity,
    /// What is found, in a few words.
    pub title: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// CWE, OWASP with edition, MITRE ATLAS, CVE ids.
    pub references: &'static [&'static str],
    /// Version that introduced it.
    pub since: &'static str,
    /// Ids it had before.
    pub renamed_from: &'static [&'static str],
    /// Version that retired it and why; kept so that the id is not reused.
    pub retired: Option<&'static str>,
}

/// Whether an id has the form `area/check/rule-name` in kebab-case.
#[must_use]
pub fn valid_rule_id(id: &str) -> bool {
    let parts: Vec<_> = id.split('/').collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_three_kebab_words() {
        assert!(valid_rule_id("artifact/pickle/dangerous-global"));
        for wrong in ["pickle", "a/b", "a/b/c/d", "a/B/c", "a//c", "a/b/-c", "a/b/c_d"] {
            assert!(!valid_rule_id(wrong), "{wrong}");
        }
    }
}
