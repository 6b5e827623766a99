//! The checks: facts to findings, without files.

pub(crate) mod contract;
pub(crate) mod drift;
pub(crate) mod duplicates;
pub(crate) mod ingest;
pub(crate) mod leakage;
pub(crate) mod manifest;
pub(crate) mod personal_data;
pub(crate) mod poisoning;
pub(crate) mod protection;
pub(crate) mod secrets;
mod suspects;

use gauntlet_core::{Fact, Facts, Judgement, Location, RuleInfo, Severity, SkipCode};

use crate::facts::RowSample;

/// `data/manifest`
pub(crate) const MANIFEST: &str = "data/manifest";
/// `data/contract`
pub(crate) const CONTRACT: &str = "data/contract";
/// `data/drift`
pub(crate) const DRIFT: &str = "data/drift";
/// `data/duplicates`
pub(crate) const DUPLICATES: &str = "data/duplicates";
/// `data/leakage`
pub(crate) const LEAKAGE: &str = "data/leakage";
/// `data/poisoning`
pub(crate) const POISONING: &str = "data/poisoning";
/// `data/personal-data`
pub(crate) const PERSONAL_DATA: &str = "data/personal-data";
/// `data/secrets`
pub(crate) const SECRETS: &str = "data/secrets";
/// `data/ingest`
pub(crate) const INGEST: &str = "data/ingest";
/// `data/protection`
pub(crate) const PROTECTION: &str = "data/protection";

/// A rule of the first version.
const fn rule(
    id: &'static str,
    severity: Severity,
    title: &'static str,
    fix: &'static str,
    references: &'static [&'static str],
) -> RuleInfo {
    RuleInfo { id, severity, title, fix, references, since: "0.1.0", renamed_from: &[], retired: None }
}

/// All facts of one type with their places; a fact of another shape is an unanswered question.
fn facts_of<F: Fact>(facts: &Facts, judgement: &mut Judgement) -> Vec<(Location, F)> {
    let mut out = Vec::new();
    for row in facts.of::<F>() {
        match row {
            Ok((location, fact)) => out.push((location.clone(), fact)),
            Err(error) => {
                let what = format!("stored fact `{}` has another shape: {error}", F::KIND);
                judgement.coverage.skip("", None, SkipCode::Malformed, what);
            }
        }
    }
    out
}

/// `1234567` as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A day, counted from 1970-01-01, as it is written.
pub(crate) fn day(days: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    jiff::Span::new()
        .try_days(days)
        .and_then(|span| epoch.checked_add(span))
        .map_or_else(|_| days.to_string(), |d| d.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "a share of rows")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A share for people.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// `, first in row 3 of a.csv (…), row 7`.
fn first_rows(first: &[RowSample]) -> String {
    let Some(head) = first.first() else { return String::new() };
    let rest: Vec<_> = first.iter().skip(1).take(4).map(|r| r.row.to_string()).collect();
    let more = if rest.is_empty() { String::new() } else { format!(", then {}", rest.join(", ")) };
    let group = head.row_group.map_or(String::new(), |group| format!(" of row group {group}"));
    format!("; first in row {}{group} ({}){more}", head.row, head.sample)
}

/// The place of the first failing row, or of the column when no row is known.
fn at_first(first: &[RowSample], column: &str) -> Location {
    let location = Location::default().in_field(column);
    match first.first() {
        Some(head) => Location { path: Some(head.path.clone()), ..location.at_row(head.row) },
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(percent(0.0004), "< 0.1 %");
        assert_eq!(percent(0.25), "25.0 %");
    }

    #[test]
    fn every_rule_is_well_named_and_documented() {
        for check in crate::GATE.checks {
            let info = check.info();
            for rule in info.rules {
                assert!(gauntlet_core::valid_rule_id(rule.id) && rule.id.starts_with(info.id), "{}", rule.id);
                let name = rule.id.rsplit('/').next().unwrap();
                assert!(info.page.contains(&format!("## {name}\n")), "{} has no section", rule.id);
                assert!(!rule.fix.is_empty() && !rule.title.is_empty());
            }
        }
    }
}
