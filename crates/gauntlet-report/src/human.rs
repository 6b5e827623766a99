//! For a person: verdict first, worst first, each finding with its way out, then what was checked and what is missing where.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstream::adapter::strip_str;
use gauntlet_core::{Finding, Location, Report, Severity, SkipCode, Verdict};

use crate::escape::terminal;
use crate::run::{Decision, RunReport};

/// So many findings of one rule in one subject are shown; the rest is counted.
const PER_RULE: usize = 10;
/// So many files that were not looked at are listed for a subject.
const GAPS: usize = 8;

/// How to print for people.
#[derive(Clone, Copy, Debug)]
pub struct HumanOptions {
    /// Use colour.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for HumanOptions {
    fn default() -> Self {
        Self { colour: false, width: 100 }
    }
}

/// The result for a person.
#[must_use]
pub fn human(run: &RunReport, options: &HumanOptions) -> String {
    let mut page = Page { text: String::new(), width: options.width.max(40) };
    page.headline(run);
    for (subject, reports) in by_subject(run) {
        page.subject(subject, &reports);
    }
    page.checked(run);
    for decision in &run.decisions {
        page.decision(decision);
    }
    page.total(run);
    if options.colour { page.text } else { strip_str(&page.text).to_string() }
}

/// Reports of one subject belong together; subjects with the worst verdict come first.
fn by_subject(run: &RunReport) -> Vec<(&str, Vec<&Report>)> {
    let mut order: Vec<&str> = Vec::new();
    let mut groups: BTreeMap<&str, Vec<&Report>> = BTreeMap::new();
    for report in &run.reports {
        let name = report.subject.name.as_str();
        if !groups.contains_key(name) {
            order.push(name);
        }
        groups.entry(name).or_default().push(report);
    }
    order.sort_by_key(|name| std::cmp::Reverse(groups[name].iter().map(|r| r.verdict).max()));
    order.into_iter().filter_map(|name| groups.remove(name).map(|reports| (name, reports))).collect()
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn headline(&mut self, run: &RunReport) {
        if let Some(enforced) = run.decisions.iter().find(|d| d.enforced) {
            let environment = terminal(&enforced.environment);
            let line = if enforced.allow {
                format!("{} for {environment}", paint("ALLOWED", GREEN))
            } else {
                format!("{} for {environment}", paint("REFUSED", RED))
            };
            let _ = writeln!(self.text, "{line}\n");
            return;
        }
        let (word, colour) = match run.verdict {
            Verdict::Pass => ("PASS", GREEN),
            Verdict::Warn => ("WARN", YELLOW),
            Verdict::Fail => ("FAIL", RED),
            Verdict::Error => ("INCONCLUSIVE", YELLOW),
        };
        let _ = writeln!(self.text, "{}\n", paint(word, colour));
    }

    fn subject(&mut self, name: &str, reports: &[&Report]) {
        let mut findings: Vec<&Finding> = reports.iter().flat_map(|r| &r.findings).collect();
        findings.sort_by_key(|f| (f.suppressed.is_some(), std::cmp::Reverse(f.severity)));
        let gaps = gaps(reports);
        let missed: Vec<_> = reports.iter().flat_map(|r| &r.metrics).filter(|m| m.missed()).collect();
        if findings.is_empty() && gaps.is_empty() && missed.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "{}", paint(&terminal(name), BOLD));
        let mut shown: BTreeMap<(&str, bool), usize> = BTreeMap::new();
        for finding in findings {
            let count = shown.entry((&finding.rule, finding.suppressed.is_some())).or_default();
            *count += 1;
            if *count <= PER_RULE {
                self.finding(finding);
            }
        }
        for ((rule, _), count) in shown.into_iter().filter(|(_, count)| *count > PER_RULE) {
            let _ = writeln!(self.text, "  and {} more of {rule}", count - PER_RULE);
        }
        for metric in missed {
            let field = metric.field.as_deref().map(|f| format!(" of {}", terminal(f))).unwrap_or_default();
            let threshold = metric.threshold.unwrap_or(f64::NAN);
            let _ = writeln!(
                self.text,
                "  {} {}{field} is {}, allowed is {threshold}",
                paint("missed  ", RED),
                terminal(&metric.name),
                metric.value
            );
        }
        if !gaps.is_empty() {
            let _ = writeln!(self.text, "  {}", paint("not looked at:", YELLOW));
            for gap in gaps.iter().take(GAPS) {
                let _ = writeln!(self.text, "    {gap}");
            }
            if gaps.len() > GAPS {
                let _ = writeln!(self.text, "    and {} more", gaps.len() - GAPS);
            }
        }
        self.text.push('\n');
    }

    fn finding(&mut self, finding: &Finding) {
        let place = place(&finding.location);
        let label = match &finding.suppressed {
            Some(_) => paint("suppressed", DIM),
            None => paint(&format!("{:8}", finding.severity.as_str()), colour_of(finding.severity)),
        };
        let sure = match finding.confidence {
            gauntlet_core::Confidence::High => String::new(),
            other => format!(" ({other} confidence)"),
        };
        let _ = writeln!(self.text, "  {label} {place}{}", paint(&format!("  [{}]{sure}", finding.rule), DIM));
        self.wrapped("           ", &terminal(&finding.message));
        match &finding.suppressed {
            Some(why) => self.wrapped("           ", &format!("suppressed: {}", terminal(why))),
            None => self.wrapped("           ", &format!("fix: {}", terminal(&finding.fix))),
        }
    }

    /// What was looked at, in one line a subject.
    fn checked(&mut self, run: &RunReport) {
        if run.reports.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "{}", paint("Checked", BOLD));
        let width = run.reports.iter().map(|r| r.check.len()).max().unwrap_or(0);
        for report in &run.reports {
            let (mark, colour) = match report.verdict {
                Verdict::Pass => ("pass ", GREEN),
                Verdict::Warn => ("warn ", YELLOW),
                Verdict::Fail => ("fail ", RED),
                Verdict::Error => ("error", YELLOW),
            };
            let files = count(report.coverage.looked_at, "file");
            let open = report.open_findings().count() as u64;
            let found = if open == 0 { String::new() } else { format!(", {}", count(open, "finding")) };
            let _ = writeln!(
                self.text,
                "  {} {:width$}  {}: {files}{found}",
                paint(mark, colour),
                report.check,
                terminal(&report.subject.name)
            );
        }
        self.text.push('\n');
    }

    fn decision(&mut self, decision: &Decision) {
        let environment = terminal(&decision.environment);
        let enforced = if decision.enforced { "" } else { " (not enforced in this run)" };
        if decision.allow {
            let _ = writeln!(self.text, "{environment}: {}{}", paint("allowed", GREEN), paint(enforced, DIM));
        } else {
            let _ = writeln!(self.text, "{environment}: {}{}, because", paint("refused", RED), paint(enforced, DIM));
            for reason in &decision.reasons {
                self.wrapped(
                    "  - ",
                    &format!("{} {}", terminal(&reason.message), paint(&format!("[{}]", terminal(&reason.rule)), DIM)),
                );
                if !reason.needs.is_empty() {
                    self.wrapped("    ", &format!("needs: {}", terminal(&reason.needs)));
                }
            }
        }
        self.text.push('\n');
    }

    fn total(&mut self, run: &RunReport) {
        let summary = &run.summary;
        let findings: Vec<String> = [
            (summary.critical, "critical"),
            (summary.high, "high"),
            (summary.medium, "medium"),
            (summary.low, "low"),
            (summary.info, "info"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
        let findings = if findings.is_empty() { "no findings".to_owned() } else { findings.join(", ") };
        let _ = writeln!(
            self.text,
            "{}, {}: {findings}. {} ms",
            count(summary.files, "file"),
            bytes(summary.bytes),
            run.timing.total_ms
        );
    }

    /// Breaks a paragraph at spaces; the first line gets `lead`, the others as many blanks.
    fn wrapped(&mut self, lead: &str, paragraph: &str) {
        let room = self.width.saturating_sub(lead.len()).max(20);
        let blanks = " ".repeat(lead.len());
        let (mut line, mut used, mut first) = (String::new(), 0, true);
        for word in paragraph.split(' ') {
            let length = strip_str(word).to_string().chars().count();
            if used > 0 && used + 1 + length > room {
                let _ = writeln!(self.text, "{}{line}", if first { lead } else { &blanks });
                (line, used, first) = (String::new(), 0, false);
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        let _ = writeln!(self.text, "{}{line}", if first { lead } else { &blanks });
    }
}

/// What was not looked at, each thing once however many checks missed it.
fn gaps(reports: &[&Report]) -> Vec<String> {
    let mut gaps: Vec<String> = reports
        .iter()
        .flat_map(|r| &r.coverage.skipped)
        .filter(|s| !s.reason.code.answered() || s.reason.code == SkipCode::Excluded)
        .map(|s| {
            let member = s.member.as_deref().map(|m| format!("!{}", terminal(m))).unwrap_or_default();
            let path = if s.path.is_empty() { "(the whole subject)".to_owned() } else { terminal(&s.path) };
            format!("{path}{member}: {}", terminal(&s.reason.to_string()))
        })
        .collect();
    gaps.sort();
    gaps.dedup();
    gaps
}

/// `path!member:line:column`, with cell, column of a table and row where there are any.
fn place(location: &Location) -> String {
    let mut text = location.path.as_deref().map(terminal).unwrap_or_default();
    if let Some(member) = &location.member {
        let _ = write!(text, "!{}", terminal(member));
    }
    if let Some(line) = location.line {
        let _ = write!(text, ":{line}");
        if let Some(column) = location.column {
            let _ = write!(text, ":{column}");
        }
    }
    if let (Some(cell), line) = (location.cell, location.cell_line) {
        let _ = write!(text, " (cell {cell}{})", line.map(|l| format!(", line {l}")).unwrap_or_default());
    }
    if let Some(offset) = location.offset {
        let _ = write!(text, " at byte {offset}");
    }
    if let Some(field) = &location.field {
        let _ = write!(text, " {}", terminal(field));
    }
    if let Some(row) = location.row {
        let _ = write!(text, " row {row}");
    }
    text
}

fn count(n: u64, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let (mut value, mut unit) = (n as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";
const BOLD: &str = "1";
const DIM: &str = "2";

fn colour_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => RED,
        Severity::Medium | Severity::Low => YELLOW,
        Severity::Info => DIM,
    }
}

fn paint(text: &str, colour: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\u{1b}[{colour}m{text}\u{1b}[0m") }
}
