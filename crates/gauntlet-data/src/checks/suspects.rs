//! What the three checks on rows have in common: facts to findings.

use gauntlet_core::{CheckInfo, Comparison, Draft, Facts, Judgement, Judging, Location, Metric, Severity};

use super::{facts_of, grouped, percent, share};
use crate::config::DatasetConfig;
use crate::poisoning::{ExaminedFact, SuspectFact, SuspectRow};

/// Share of doubtful labels that sound data have too.
const USUAL_DOUBT: f64 = 0.02;
/// Share of repeated rows from which the columns are too coarse for a repetition to mean anything.
const COARSE: f64 = 0.5;

/// Judges the suspects of one check.
pub(super) fn judge(info: &'static CheckInfo, facts: &Facts, judging: &Judging<'_>, out: &mut Judgement) {
    let listed = DatasetConfig::of(judging.config).ok().and_then(|config| config.poisoning.row_findings);
    let area = info.id.rsplit('/').next().unwrap_or_default();
    for (_, suspects) in facts_of::<SuspectFact>(facts, out) {
        let Some((_, name)) = suspects.rule.split_once('/').filter(|(check, _)| *check == area) else { continue };
        let part = share(suspects.rows, suspects.of);
        if suspects.of > 0 {
            let metric = Metric::new(format!("{name}-share"), part, "share");
            out.metrics.push(match &suspects.column {
                Some(column) => metric.field(column),
                None => metric,
            });
        }
        let Some(rule) = info.rule(name) else { continue };
        let severity = severity(name, part, rule.severity);
        match listed {
            Some(most) if suspects.rows > 0 && name != "source-shift" => {
                for row in suspects.first.iter().take(most) {
                    let message = format!("row {}: {} (score {:.3})", row.row, row.reason, row.score);
                    let place = place(&suspects, Some(row));
                    let draft = Draft::new(rule, place, message).snippet(format!("{}:{}", row.path, row.row));
                    out.findings.push(draft.severity(severity.unwrap_or(Severity::Low)));
                }
                let more = suspects.rows.saturating_sub(most.min(suspects.first.len()) as u64);
                if more > 0 {
                    let message = format!("{}: {} more rows", suspects.what, grouped(more));
                    let draft = Draft::new(rule, place(&suspects, None), message).snippet("more");
                    out.findings.push(draft.severity(severity.unwrap_or(Severity::Low)));
                }
                if summed(name) {
                    let draft = Draft::new(rule, place(&suspects, None), suspects.what.clone()).snippet(&suspects.what);
                    out.findings.push(draft);
                }
            }
            _ => {
                if let Some(severity) = severity {
                    let draft = Draft::new(rule, place(&suspects, suspects.first.first()), message(&suspects, part));
                    out.findings.push(draft.snippet(&suspects.what).severity(severity));
                }
            }
        }
    }
}

/// What the table was examined with, as metrics; the sample is said where it is not all rows.
pub(super) fn examined(facts: &Facts, out: &mut Judgement) -> Option<ExaminedFact> {
    let fact = facts_of::<ExaminedFact>(facts, out).into_iter().next().map(|(_, fact)| fact)?;
    out.metrics.push(Metric::new("rows", number(fact.rows), "rows"));
    Some(fact)
}

pub(super) fn sampled(fact: &ExaminedFact, out: &mut Judgement) {
    out.metrics.push(Metric::new("rows-compared", number(fact.sampled), "rows").must(Comparison::AtLeast, 0.0));
    out.metrics.push(Metric::new("classes", number(fact.classes), "classes"));
}

/// A figure of a count.
#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
pub(super) fn number(n: u64) -> f64 {
    n as f64
}

/// Whether what was seen says more than its rows.
fn summed(name: &str) -> bool {
    matches!(name, "one-way-flow" | "split-class" | "image-patch" | "trigger" | "source-shift")
}

/// `None` when so many rows mean nothing.
fn severity(name: &str, part: f64, usual: Severity) -> Option<Severity> {
    match name {
        "label-error" => (part > USUAL_DOUBT).then_some(usual),
        "exact-duplicate" | "near-duplicate" if part > COARSE => Some(Severity::Info),
        _ => Some(usual),
    }
}

fn message(suspects: &SuspectFact, part: f64) -> String {
    if suspects.rows == 0 {
        return suspects.what.clone();
    }
    let first: Vec<String> = suspects.first.iter().take(5).map(|row| row.row.to_string()).collect();
    let why = suspects.first.first().map(|row| format!("; the first {}", row.reason)).unwrap_or_default();
    format!(
        "{} of {} rows ({}): {}; rows {}{why}",
        grouped(suspects.rows),
        grouped(suspects.of),
        percent(part),
        suspects.what,
        first.join(", ")
    )
}

fn place(suspects: &SuspectFact, row: Option<&SuspectRow>) -> Location {
    let mut place = Location::default();
    if let Some(column) = &suspects.column {
        place = place.in_field(column);
    }
    match row {
        Some(row) => Location { path: Some(row.path.clone()), ..place.at_row(row.row) },
        None => place,
    }
}
