//! Windows of a stream: how many of the last ones drifted.

use std::collections::BTreeMap;

use gauntlet_core::{Coverage, Facts, Judgement, Location, Metric, Severity, SkipCode};
use gauntlet_drift::Monitor;

use super::causes::causes;
use super::rules::INFO;
use super::{draft, facts_of};
use crate::WatchConfig;
use crate::drift::segment;
use crate::facts::{ColumnDriftFact, ComparisonFact, WatchFact};

/// Share of rows that may come late.
const MAX_LATE: f64 = 0.1;

pub(super) fn judge(facts: &Facts, config: &WatchConfig, out: &mut Judgement) {
    let watched = facts_of::<WatchFact>(facts, out).into_iter().next();
    let comparison = facts_of::<ComparisonFact>(facts, out).into_iter().next();
    let columns: Vec<ColumnDriftFact> = facts_of(facts, out).into_iter().map(|(_, fact)| fact).collect();
    let (Some((_, watched)), Some((_, comparison))) = (watched, comparison) else {
        if facts.coverage.get(INFO.id).is_none_or(Coverage::complete) {
            out.coverage.skip("", None, SkipCode::Unsupported, "no window was watched");
        }
        return;
    };
    let mut monitor = match Monitor::new(config.needed, config.of) {
        Ok(monitor) => monitor,
        Err(error) => {
            out.coverage.skip("", None, SkipCode::Malformed, error.to_string());
            return;
        }
    };
    for over in &config.history {
        monitor.push(*over);
    }
    super::gaps(&comparison, &[], out);
    let all = watched.rows.iter().sum::<u64>() + watched.open.as_ref().map_or(0, |open| open.rows);
    if watched.late as f64 > MAX_LATE * all as f64 {
        let what = format!(
            "{} of {} rows have a time that is over, none, or far ahead: windows of time say nothing about them",
            super::super::grouped(watched.late),
            super::super::grouped(all)
        );
        out.coverage.skip("", None, SkipCode::Malformed, what);
    }
    let mut by_window: BTreeMap<String, Vec<ColumnDriftFact>> = BTreeMap::new();
    for column in columns {
        if let Some(window) = column.segment.clone() {
            by_window.entry(window).or_default().push(ColumnDriftFact { segment: None, ..column });
        }
    }
    for (i, rows) in watched.rows.iter().enumerate() {
        let name = segment(watched.first + i as u64);
        let own = by_window.remove(&name).unwrap_or_default();
        let found = causes(&comparison, &own, &[]);
        // A column whose values are gone, or far too many, has moved as surely as one with other values.
        let over = found.iter().any(|cause| cause.counts || cause.severity == Some(Severity::High));
        out.metrics.push(Metric::new("window_over", f64::from(u8::from(over)), "").field(&name));
        out.metrics.push(Metric::new("window_rows", *rows as f64, "rows").field(&name));
        for cause in found.iter().filter(|cause| over || !cause.counts) {
            let place = Location { case: Some(name.clone()), field: cause.column.clone(), ..Location::default() };
            let snippet = format!("{} {name}", cause.column.as_deref().unwrap_or(""));
            let draft = draft(cause.rule, place, format!("{name}: {}", cause.message), &snippet);
            // A single window over its limit is noise more often than not: the alarm is what counts.
            out.findings.extend(draft.map(|draft| draft.severity(Severity::Low)));
        }
        if monitor.push(over) && over {
            let message = format!(
                "{} of the last {} windows drifted; the newest is {name} of {} rows",
                monitor.bad(),
                config.of,
                super::super::grouped(*rows)
            );
            let place = Location { case: Some(name.clone()), ..Location::default() };
            out.findings.extend(draft("window-alarm", place, message, &name));
        }
    }
    out.metrics.push(Metric::new("late_rows", watched.late as f64, "rows"));
    out.metrics.push(Metric::new("open_rows", watched.open.as_ref().map_or(0.0, |open| open.rows as f64), "rows"));
}
