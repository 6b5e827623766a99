//! Rules on values: by row, or by a number that sums up a column.

use gauntlet_core::{Comparison, Judgement, Judging, Location, Metric, SkipCode};

use super::super::{at_first, first_rows, grouped, percent, share};
use super::rules::KEYS;
use super::{Source, add_level};
use crate::contract::Level;
use crate::facts::{Measured, RuleFact};

pub(super) fn judge_rule(fact: &RuleFact, source: &Source<'_>, judging: &Judging<'_>, out: &mut Judgement) {
    let Some((_, name)) = KEYS.iter().find(|(key, _)| *key == fact.rule) else {
        out.coverage.skip("", None, SkipCode::Unsupported, format!("rule `{}` is not known here", fact.rule));
        return;
    };
    if let Some(what) = &fact.unfit {
        let message = format!("the rule `{}`: {what}", fact.label);
        add_level(out, "invalid-contract", source.at(&fact.path), message, &fact.label, fact.severity);
        return;
    }
    match &fact.measured {
        Some(measured) => judge_measured(fact, name, measured, judging, out),
        None => judge_rows(fact, name, out),
    }
    // A rule that judged nothing has answered nothing: an all-null column passes every value rule.
    let value_rule = !matches!(fact.rule.as_str(), "nullable" | "max_null_share");
    if value_rule && fact.evaluated == 0 && fact.nulls > 0 {
        let message = format!("`{}` holds nothing but nulls: `{}` judged no value", field(fact), fact.rule);
        add_level(out, "null-share", place(fact), message, &fact.label, fact.severity);
    }
}

/// What a rule is about, for people: its own name, or its columns.
fn field(fact: &RuleFact) -> &str {
    let own = fact.label != format!("{}.{}", fact.column.replace(", ", "+"), fact.rule);
    if own || fact.column.is_empty() { &fact.label } else { &fact.column }
}

fn place(fact: &RuleFact) -> Location {
    if fact.column.is_empty() { Location::default() } else { Location::default().in_field(&fact.column) }
}

/// `, where x; what it means`
fn remarks(fact: &RuleFact) -> String {
    let when = fact.when.as_ref().map(|when| format!(" where {when}")).unwrap_or_default();
    let message = fact.message.as_ref().map(|message| format!(" — {message}")).unwrap_or_default();
    format!("{when}{message}")
}

fn judge_rows(fact: &RuleFact, name: &str, out: &mut Judgement) {
    let failing = share(fact.failing, fact.evaluated);
    let metric = Metric::new(format!("{name}-share"), failing, "share").field(field(fact));
    out.metrics.push(if fact.severity == Level::Error {
        metric.must(Comparison::AtMost, fact.accepted)
    } else {
        metric
    });
    if failing > fact.accepted {
        let accepted =
            if fact.accepted > 0.0 { format!(", {} are accepted", percent(fact.accepted)) } else { String::new() };
        let message = format!(
            "`{}`: {} of {} values fail ({}{accepted}); expected {}{}{}",
            field(fact),
            grouped(fact.failing),
            grouped(fact.evaluated),
            percent(failing),
            fact.expected,
            remarks(fact),
            first_rows(&fact.first)
        );
        let place = match fact.first.first() {
            Some(_) => at_first(&fact.first, &fact.column),
            None => place(fact),
        };
        add_level(out, name, place, message, &fact.label, fact.severity);
    }
}

fn judge_measured(fact: &RuleFact, name: &str, measured: &Measured, judging: &Judging<'_>, out: &mut Judgement) {
    let mut wrong = measured.wrong.clone();
    if fact.rule == "freshness" {
        wrong.extend(stale(measured, judging));
    } else if let Some(value) = measured.value {
        let metric = Metric::new(fact.rule.clone(), value, "").field(field(fact));
        let below = measured.low.filter(|low| value < *low);
        let above = measured.high.filter(|high| value > *high);
        let bound = match (below, above, measured.low, measured.high) {
            (Some(low), ..) => Some((Comparison::AtLeast, low)),
            (_, Some(high), ..) => Some((Comparison::AtMost, high)),
            (_, _, Some(low), None) => Some((Comparison::AtLeast, low)),
            (_, _, _, Some(high)) => Some((Comparison::AtMost, high)),
            _ => None,
        };
        out.metrics.push(match bound.filter(|_| fact.severity == Level::Error) {
            Some((op, bound)) => metric.must(op, bound),
            None => metric,
        });
        if below.is_some() || above.is_some() {
            wrong.push(format!("it is {value}"));
        }
    } else if !matches!(fact.rule.as_str(), "shares") {
        wrong.push("there is no such number: too few values, or too large ones".to_owned());
    }
    if !wrong.is_empty() {
        let message = format!("`{}`: expected {}{}; {}", field(fact), fact.expected, remarks(fact), wrong.join("; "));
        add_level(out, name, place(fact), message, &fact.label, fact.severity);
    }
}

/// Seconds that clocks and time zones may be apart before a time counts as lying in the future.
const SLACK: i64 = 24 * 60 * 60;

/// What is wrong with the newest time of a column at the date of the evaluation.
pub(super) fn stale(measured: &Measured, judging: &Judging<'_>) -> Option<String> {
    let Some(newest) = measured.newest else { return Some("there is no value".to_owned()) };
    let age = judging.now.as_second().saturating_sub(newest);
    let day =
        |seconds: i64| jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string());
    let most = i64::try_from(measured.max_age.unwrap_or(0)).unwrap_or(i64::MAX);
    if age < -SLACK {
        Some(format!("the newest is {}, which lies in the future", day(newest)))
    } else if age > most {
        Some(format!("the newest is {}, {} hours old", day(newest), age / 3_600))
    } else {
        None
    }
}
