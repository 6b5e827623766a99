//! What all formats for people need: reports grouped by subject, findings worst first, places as text.

use gauntlet_core::{Comparison, Finding, Location, Metric, Report, Severity, Skipped, Subject, Verdict};

use crate::run::{DecisionView, RunReport};
use crate::text::visible;

/// One subject with all reports about it.
pub(crate) struct SubjectView<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) reports: Vec<&'a Report>,
    /// Worst first.
    pub(crate) open: Vec<&'a Finding>,
    pub(crate) suppressed: Vec<&'a Finding>,
    /// Check and what it did not look at, without what was left out on purpose.
    pub(crate) gaps: Vec<(&'a str, &'a Skipped)>,
    /// Check and metric.
    pub(crate) missed: Vec<(&'a str, &'a Metric)>,
}

impl SubjectView<'_> {
    pub(crate) fn verdict(&self) -> Verdict {
        self.reports.iter().map(|report| report.verdict).max().unwrap_or(Verdict::Pass)
    }

    fn worst(&self) -> Option<Severity> {
        self.open.first().map(|finding| finding.severity)
    }
}

/// Subjects, the one with the worst finding first.
pub(crate) fn subjects(run: &RunReport) -> Vec<SubjectView<'_>> {
    let mut views: Vec<SubjectView<'_>> = Vec::new();
    for report in &run.reports {
        let known = views.iter_mut().find(|view| view.subject == &report.subject);
        let view = match known {
            Some(view) => view,
            None => {
                views.push(SubjectView {
                    subject: &report.subject,
                    reports: Vec::new(),
                    open: Vec::new(),
                    suppressed: Vec::new(),
                    gaps: Vec::new(),
                    missed: Vec::new(),
                });
                let last = views.len() - 1;
                &mut views[last]
            }
        };
        view.reports.push(report);
        for finding in &report.findings {
            if finding.suppressed.is_some() { &mut view.suppressed } else { &mut view.open }.push(finding);
        }
        let unanswered = report.coverage.skipped.iter().filter(|skipped| !skipped.reason.code.answered());
        view.gaps.extend(unanswered.map(|skipped| (report.check.as_str(), skipped)));
        let missed = report.metrics.iter().filter(|metric| metric.missed());
        view.missed.extend(missed.map(|metric| (report.check.as_str(), metric)));
    }
    for view in &mut views {
        view.open.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.confidence)));
    }
    views.sort_by_key(|view| std::cmp::Reverse((view.worst(), view.verdict())));
    views
}

/// The decision that the exit status follows.
pub(crate) fn enforced(run: &RunReport) -> Option<&DecisionView> {
    run.decisions.iter().find(|decision| decision.enforced)
}

/// Decisions, the enforced one first.
pub(crate) fn decisions(run: &RunReport) -> Vec<&DecisionView> {
    let mut all: Vec<_> = run.decisions.iter().collect();
    all.sort_by_key(|decision| !decision.enforced);
    all
}

/// The answer in a few words, and whether it is good.
pub(crate) fn headline(run: &RunReport) -> (String, bool) {
    if let Some(decision) = enforced(run) {
        let environment = visible(&decision.environment);
        return if decision.allow {
            (format!("ALLOWED for {environment}"), true)
        } else {
            let reasons = crate::text::counted(decision.reasons.len() as u64, "reason");
            (format!("REFUSED for {environment}: {reasons}"), false)
        };
    }
    match run.verdict {
        Verdict::Pass if run.reports.is_empty() => ("NOTHING was checked".to_owned(), false),
        Verdict::Pass => ("PASS".to_owned(), true),
        Verdict::Warn => ("WARN: nothing of severity high or above".to_owned(), true),
        Verdict::Fail => ("FAIL".to_owned(), false),
        Verdict::Error => ("COULD NOT BE JUDGED: not everything was looked at".to_owned(), false),
    }
}

/// `12 findings: 1 critical, 3 high …; 4 files, 12.3 kB in 0.12 s`.
pub(crate) fn totals(run: &RunReport) -> String {
    let sum = &run.summary;
    let by_severity: Vec<String> =
        [(sum.critical, "critical"), (sum.high, "high"), (sum.medium, "medium"), (sum.low, "low"), (sum.info, "info")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
    let colon = if by_severity.is_empty() { "" } else { ": " };
    format!(
        "{}{colon}{}; {} over {} and {}, {} in {}",
        crate::text::counted(sum.findings(), "finding"),
        by_severity.join(", "),
        crate::text::counted(run.reports.len() as u64, "report"),
        crate::text::counted(subjects(run).len() as u64, "subject"),
        crate::text::counted(sum.files, "file"),
        crate::text::bytes(sum.bytes),
        duration(run.timing.total_ms),
    )
}

pub(crate) fn duration(ms: f64) -> String {
    if ms < 1_000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1_000.0) }
}

/// Where something is, in one line: `a/b.zip!inner.pkl:3:7`, `n.ipynb cell 2 line 4`, `t.csv column "x" row 3`.
pub(crate) fn place(location: &Location) -> String {
    let mut text = visible(location.path.as_deref().unwrap_or(""));
    if let Some(member) = &location.member {
        text.push('!');
        text.push_str(&visible(member));
    }
    match (location.cell, location.line, location.column) {
        (Some(cell), _, _) => {
            text.push_str(&format!(" cell {cell}"));
            if let Some(line) = location.cell_line {
                text.push_str(&format!(" line {line}"));
            }
        }
        (None, Some(line), Some(column)) => text.push_str(&format!(":{line}:{column}")),
        (None, Some(line), None) => text.push_str(&format!(":{line}")),
        (None, None, _) => {}
    }
    let rest = [
        location.offset.map(|offset| format!("byte {offset}")),
        location.field.as_ref().map(|field| format!("field `{}`", visible(field))),
        location.row.map(|row| format!("row {row}")),
        location.case.as_ref().map(|case| format!("case `{}`", visible(case))),
    ];
    for part in rest.into_iter().flatten() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&part);
    }
    text
}

/// What was not looked at, and why.
pub(crate) fn gap(skipped: &Skipped) -> String {
    let mut text = if skipped.path.is_empty() { "all of it".to_owned() } else { visible(&skipped.path) };
    if let Some(member) = &skipped.member {
        text.push('!');
        text.push_str(&visible(member));
    }
    format!("{text} ({})", visible(&skipped.reason.to_string()))
}

/// A metric that missed its threshold: `null-share of age is 0.3, must be <= 0.1`.
pub(crate) fn metric(metric: &Metric) -> String {
    let field = metric.field.as_ref().map(|field| format!(" of {}", visible(field))).unwrap_or_default();
    let bound = match (metric.op, metric.threshold) {
        (Some(op), Some(threshold)) => {
            let op = match op {
                Comparison::AtLeast => ">=",
                Comparison::AtMost => "<=",
                Comparison::Equal => "==",
            };
            format!(", must be {op} {threshold}")
        }
        _ => String::new(),
    };
    let value = if metric.value.is_finite() { metric.value.to_string() } else { "no number".to_owned() };
    format!("{}{field} is {value}{bound}", visible(&metric.name))
}

/// A report's answer in one word; a pass over nothing is not shown as a pass.
pub(crate) fn answer(report: &Report) -> &'static str {
    if report.verdict == Verdict::Pass && report.coverage.looked_at == 0 && report.findings.is_empty() {
        "nothing to look at"
    } else {
        report.verdict.as_str()
    }
}

/// The digest by which a subject is known, shortened for people.
pub(crate) fn short_digest(subject: &Subject) -> String {
    subject.digest.primary().map_or_else(
        || "no digest".to_owned(),
        |digest| format!("{}:{}", digest.algorithm().as_str(), &digest.hex()[..12]),
    )
}
