//! The gates that this program has: one line each.

use gauntlet_core::{CheckInfo, Gate, RuleInfo, Stage};

/// Every gate, in stage order.
pub(crate) static GATES: &[(Stage, &Gate)] = &[
    (Stage::Source, &gauntlet_source::GATE),
    (Stage::Data, &gauntlet_data::GATE),
    (Stage::Artifact, &gauntlet_artifact::GATE),
];

/// Checks that run outside a gate, by a command of their own.
static OTHERS: &[&CheckInfo] =
    &[&gauntlet_trust::oms::SIGNATURE, &gauntlet_trust::oci::PACKAGE, &gauntlet_trust::oci::IMAGE];

/// Every check's constant part.
pub(crate) fn checks() -> impl Iterator<Item = &'static CheckInfo> {
    GATES.iter().flat_map(|(_, gate)| gate.checks.iter().map(|check| check.info())).chain(OTHERS.iter().copied())
}

/// Every rule, with its check.
pub(crate) fn rules() -> impl Iterator<Item = (&'static CheckInfo, &'static RuleInfo)> {
    checks().flat_map(|check| check.rules.iter().map(move |rule| (check, rule)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::valid_rule_id;
    use std::collections::HashSet;

    #[test]
    fn rule_ids_are_well_formed_unique_and_never_reused() {
        let mut seen = HashSet::new();
        for (check, rule) in rules() {
            assert!(valid_rule_id(rule.id), "{}", rule.id);
            assert!(rule.id.starts_with(&format!("{}/", check.id)), "{} belongs to {}", rule.id, check.id);
            for id in rule.renamed_from.iter().chain([&rule.id]) {
                assert!(seen.insert(*id), "{id} names two rules");
            }
        }
        assert!(!seen.is_empty());
    }

    #[test]
    fn every_rule_has_a_section_on_its_check_page() {
        for (check, rule) in rules() {
            let name = rule.id.rsplit('/').next().unwrap();
            assert!(check.page.lines().any(|l| l.starts_with('#') && l.contains(name)), "no section for {}", rule.id);
        }
    }

    #[test]
    fn check_ids_are_unique_and_in_the_manual() {
        let summary = include_str!("../../../docs/src/SUMMARY.md");
        let mut seen = HashSet::new();
        for check in checks() {
            assert!(seen.insert(check.id), "{}", check.id);
            let page = format!("checks/{}.md", check.id.replace('/', "-"));
            assert!(summary.contains(&page), "{page} is not in docs/src/SUMMARY.md");
        }
    }
}
