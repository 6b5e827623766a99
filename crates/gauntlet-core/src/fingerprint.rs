//! Fingerprints survive moved lines and tell identical findings apart.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::finding::{Draft, Finding};

/// Gives every draft its fingerprint and sorts: worst first, then by location, so that equal inputs give equal reports.
#[must_use]
pub fn seal(mut drafts: Vec<Draft>) -> Vec<Finding> {
    drafts.sort_by(|a, b| (&a.location, a.rule, &a.message).cmp(&(&b.location, b.rule, &b.message)));
    let mut seen: HashMap<(String, Option<String>, String), u64> = HashMap::new();
    let mut findings: Vec<Finding> = drafts
        .into_iter()
        .map(|draft| {
            let snippet = draft.snippet.split_whitespace().collect::<Vec<_>>().join(" ");
            let ordinal =
                seen.entry((draft.rule.to_owned(), draft.location.path.clone(), snippet.clone())).or_default();
            let fingerprint = fingerprint(draft.rule, draft.location.path.as_deref().unwrap_or(""), &snippet, *ordinal);
            *ordinal += 1;
            Finding {
                rule: draft.rule.to_owned(),
                severity: draft.severity,
                confidence: draft.confidence,
                message: draft.message,
                fix: draft.fix,
                references: draft.references,
                fingerprint,
                suppressed: draft.suppressed,
                location: draft.location,
            }
        })
        .collect();
    // Stable, so findings of one severity keep the order of their locations.
    findings.sort_by(|a, b| (a.suppressed.is_some(), b.severity).cmp(&(b.suppressed.is_some(), a.severity)));
    findings
}

/// Parts are length-prefixed, so that no two different quadruples hash the same bytes.
fn fingerprint(rule: &str, path: &str, snippet: &str, ordinal: u64) -> String {
    let mut hash = Sha256::new();
    for part in [rule, path, snippet] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(ordinal.to_le_bytes());
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Location, RuleInfo, Severity};

    static RULE: RuleInfo = RuleInfo {
        id: "source/secrets/example",
        severity: Severity::High,
        title: "example",
        fix: "remove it",
        references: &[],
        since: "0.1.0",
        renamed_from: &[],
        retired: None,
    };

    fn draft(line: u64, snippet: &str) -> Draft {
        Draft::new(&RULE, Location::file("a.py".as_ref()).at_line(line, None), "seen").snippet(snippet)
    }

    #[test]
    fn moved_lines_keep_the_fingerprint_and_twins_differ() {
        let before = seal(vec![draft(3, "x =  1"), draft(9, "x = 1")]);
        let after = seal(vec![draft(30, "x = 1"), draft(90, "x   = 1")]);
        assert_ne!(before[0].fingerprint, before[1].fingerprint);
        assert_eq!(before[0].fingerprint, after[0].fingerprint);
        assert_eq!(before[1].fingerprint, after[1].fingerprint);
    }

    #[test]
    fn worst_first_and_suppressed_last() {
        let findings = seal(vec![
            draft(1, "a").severity(Severity::Low),
            draft(2, "b").suppressed("known"),
            draft(3, "c").severity(Severity::Critical),
        ]);
        let order: Vec<_> = findings.iter().map(|f| (f.severity, f.suppressed.is_some())).collect();
        assert_eq!(order, [(Severity::Critical, false), (Severity::Low, false), (Severity::High, true)]);
    }
}
