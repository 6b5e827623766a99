//! For a person at a terminal: verdict first, the worst finding first, each with its way out.

use gauntlet_core::Severity;

use crate::error::RenderError;
use crate::run::RunReport;
use crate::text::{counted, visible, wrap};
use crate::view::{self, SubjectView};

/// Findings and gaps shown for one subject; the rest is counted.
const MAX_FINDINGS: usize = 50;
const MAX_GAPS: usize = 20;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal; fewer than 40 count as 40.
    pub width: usize,
    /// Whether to write ANSI colours.
    pub colour: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 100, colour: false }
    }
}

/// Writes the run for a person.
///
/// # Errors
/// None today; the signature is that of all formats.
pub fn render(run: &RunReport, style: &Style) -> Result<String, RenderError> {
    let mut page = Page { out: String::new(), width: style.width.max(40), colour: style.colour };
    let (headline, good) = view::headline(run);
    page.line(0, &page.paint(if good { GREEN } else { RED }, &headline));
    for subject in view::subjects(run) {
        page.blank();
        page.subject(&subject);
    }
    if !run.decisions.is_empty() {
        page.blank();
        page.decisions(run);
    }
    page.blank();
    page.line(0, &view::totals(run));
    Ok(page.out)
}

const RED: &str = "1;31";
const YELLOW: &str = "33";
const GREEN: &str = "1;32";
const DIM: &str = "2";
const BOLD: &str = "1";

struct Page {
    out: String,
    width: usize,
    colour: bool,
}

impl Page {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn blank(&mut self) {
        self.out.push('\n');
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A label and a text that is wrapped beside it.
    fn beside(&mut self, indent: usize, label: &str, text: &str) {
        let margin = indent + label.chars().count();
        for (n, line) in wrap(text, self.width.saturating_sub(margin)).into_iter().enumerate() {
            if n == 0 {
                self.line(indent, &format!("{label}{line}"));
            } else {
                self.line(margin, &line);
            }
        }
    }

    fn subject(&mut self, view: &SubjectView<'_>) {
        let name = visible(&view.subject.name);
        let kind = view.subject.kind.as_str();
        let title = format!("{} ({kind}, {})", self.paint(BOLD, &name), view::short_digest(view.subject));
        self.line(0, &title);
        for finding in view.open.iter().take(MAX_FINDINGS) {
            let word = self.paint(severity_colour(finding.severity), finding.severity.as_str());
            let place = view::place(&finding.location);
            self.line(2, &format!("{word} {} {}", visible(&finding.rule), self.paint(DIM, &place)));
            self.beside(4, "", &visible(&finding.message));
            self.beside(4, "fix: ", &visible(&finding.fix));
        }
        if view.open.len() > MAX_FINDINGS {
            let more = view.open.len() - MAX_FINDINGS;
            self.line(2, &format!("and {} of at most the same severity", counted(more as u64, "more finding")));
        }
        for (check, metric) in &view.missed {
            let word = self.paint(RED, "missed");
            self.line(2, &format!("{word} {}: {}", visible(check), view::metric(metric)));
        }
        if !view.suppressed.is_empty() {
            let reasons = view.suppressed.iter().take(MAX_GAPS).map(|finding| {
                let why = finding.suppressed.as_deref().unwrap_or_default();
                format!("{} at {} ({})", visible(&finding.rule), view::place(&finding.location), visible(why))
            });
            let reasons: Vec<String> = reasons.collect();
            self.beside(2, &format!("suppressed {}: ", view.suppressed.len()), &reasons.join("; "));
        }
        self.gaps(view);
        let checked: Vec<String> =
            view.reports.iter().map(|report| format!("{} {}", visible(&report.check), view::answer(report))).collect();
        self.beside(2, "checked: ", &checked.join(", "));
    }

    fn gaps(&mut self, view: &SubjectView<'_>) {
        if view.gaps.is_empty() {
            return;
        }
        let word = self.paint(YELLOW, "not looked at");
        self.line(2, &format!("{word} ({}):", counted(view.gaps.len() as u64, "thing")));
        for (check, skipped) in view.gaps.iter().take(MAX_GAPS) {
            self.beside(4, &format!("{}: ", visible(check)), &view::gap(skipped));
        }
        if view.gaps.len() > MAX_GAPS {
            self.line(4, &format!("and {} more", view.gaps.len() - MAX_GAPS));
        }
    }

    fn decisions(&mut self, run: &RunReport) {
        for decision in view::decisions(run) {
            let (code, word) = if decision.allow { (GREEN, "allowed") } else { (RED, "refused") };
            let word = self.paint(code, word);
            let how = if decision.enforced { "" } else { " (reported, not enforced)" };
            self.line(0, &format!("{}: {word}{how}", visible(&decision.environment)));
            for reason in &decision.reasons {
                self.beside(2, "- ", &format!("{} [{}]", visible(&reason.message), visible(&reason.rule)));
                if !reason.needs.is_empty() {
                    self.beside(4, "needs: ", &visible(&reason.needs));
                }
            }
        }
    }
}

fn severity_colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => RED,
        Severity::Medium | Severity::Low => YELLOW,
        Severity::Info => DIM,
    }
}
