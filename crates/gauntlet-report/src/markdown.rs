//! Markdown, for a comment on a pull request.

use std::fmt::Write as _;

use gauntlet_core::{Finding, Verdict};

use crate::escape::markdown as escape;
use crate::run::RunReport;

/// Comments have a size limit (65,536 characters on GitHub); the rest is counted.
const MAX_FINDINGS: usize = 50;
const MAX_GAPS: usize = 20;
const MAX_CELL: usize = 400;

/// The result as Markdown.
#[must_use]
pub fn markdown(run: &RunReport) -> String {
    let mut text = format!("## Gauntlet: {}\n\n", headline(run));
    let mut findings: Vec<&Finding> = run.reports.iter().flat_map(|r| &r.findings).collect();
    findings.sort_by_key(|f| (f.suppressed.is_some(), std::cmp::Reverse(f.severity)));
    if !findings.is_empty() {
        text.push_str("| severity | where | what | fix |\n| --- | --- | --- | --- |\n");
        for finding in findings.iter().take(MAX_FINDINGS) {
            let severity = match &finding.suppressed {
                Some(_) => format!("suppressed {}", finding.severity),
                None => finding.severity.to_string(),
            };
            let what = format!("{} ({})", cut(&finding.message), finding.rule);
            let _ = writeln!(
                text,
                "| {severity} | {} | {} | {} |",
                escape(&place(finding)),
                escape(&what),
                escape(&cut(&finding.fix))
            );
        }
        if findings.len() > MAX_FINDINGS {
            let _ = writeln!(text, "\nand {} more.", findings.len() - MAX_FINDINGS);
        }
        text.push('\n');
    }
    gaps(run, &mut text);
    text.push_str("| check | subject | verdict | looked at |\n| --- | --- | --- | --- |\n");
    for report in &run.reports {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            escape(&report.check),
            escape(&report.subject.name),
            report.verdict,
            report.coverage.looked_at
        );
    }
    for decision in &run.decisions {
        let word = if decision.allow { "allowed" } else { "refused" };
        let enforced = if decision.enforced { "" } else { " (not enforced)" };
        let _ = writeln!(text, "\n**{}**: {word}{enforced}\n", escape(&decision.environment));
        for reason in &decision.reasons {
            let _ = writeln!(text, "- {} (needs: {})", escape(&reason.message), escape(&reason.needs));
        }
    }
    text
}

fn headline(run: &RunReport) -> String {
    match run.decisions.iter().find(|d| d.enforced) {
        Some(decision) if decision.allow => format!("allowed for {}", escape(&decision.environment)),
        Some(decision) => format!("refused for {}", escape(&decision.environment)),
        None if run.verdict == Verdict::Error => "inconclusive".to_owned(),
        None => run.verdict.to_string(),
    }
}

fn gaps(run: &RunReport, text: &mut String) {
    let skipped = run.reports.iter().flat_map(|r| &r.coverage.skipped);
    let mut gaps: Vec<String> = skipped
        .filter(|s| !s.reason.code.answered())
        .map(|s| {
            format!(
                "- {}{}: {}",
                escape(&s.path),
                s.member.as_deref().map(|m| escape(&format!("!{m}"))).unwrap_or_default(),
                escape(&s.reason.to_string())
            )
        })
        .collect();
    gaps.sort();
    gaps.dedup();
    if gaps.is_empty() {
        return;
    }
    text.push_str("**Not looked at**\n\n");
    for gap in gaps.iter().take(MAX_GAPS) {
        let _ = writeln!(text, "{gap}");
    }
    if gaps.len() > MAX_GAPS {
        let _ = writeln!(text, "- and {} more", gaps.len() - MAX_GAPS);
    }
    text.push('\n');
}

fn place(finding: &Finding) -> String {
    let location = &finding.location;
    let mut text = location.path.clone().unwrap_or_default();
    if let Some(member) = &location.member {
        text.push_str(&format!("!{member}"));
    }
    if let Some(line) = location.line {
        text.push_str(&format!(":{line}"));
    }
    if let Some(field) = &location.field {
        text.push_str(&format!(" {field}"));
    }
    cut(&text)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CELL) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
