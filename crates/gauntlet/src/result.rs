//! Collects what a command found and hands it to the format that was asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use gauntlet_core::{Report, RuleInfo, Summary};
use gauntlet_report::{DecisionView, RunReport, Timing, Tool};

use crate::cli::{Format, Global, OutputArgs};
use crate::{gates, terminal};

/// What a command found so far.
#[derive(Default)]
pub(crate) struct RunResult {
    pub(crate) reports: Vec<Report>,
    pub(crate) decisions: Vec<DecisionView>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    by_check: BTreeMap<String, f64>,
}

impl RunResult {
    /// Nothing yet, about so many files and bytes.
    pub(crate) fn about(files: u64, bytes: u64) -> Self {
        Self { files, bytes, ..Self::default() }
    }

    /// Notes how long the gate behind these reports took. Checks of one gate share its reading, so each shows all of it.
    pub(crate) fn time(&mut self, reports: &[Report], took: Duration) {
        for report in reports {
            *self.by_check.entry(report.check.clone()).or_default() += millis(took);
        }
    }
}

/// Prints the result, or writes it to `--output`. `--quiet` leaves a person's report at its first line.
pub(crate) fn deliver(result: RunResult, started: Instant, output: &OutputArgs, global: &Global) -> anyhow::Result<()> {
    let timing = Timing { total_ms: millis(started.elapsed()), by_check: result.by_check };
    let tool = Tool { name: "gauntlet".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let summary = Summary::of(&result.reports, result.files, result.bytes);
    let run = RunReport::new(tool, result.reports, result.decisions, summary, timing);
    let text = match output.format {
        Format::Human => {
            let style =
                gauntlet_report::human::Style { colour: terminal::colour(output.output.as_deref()), width: width() };
            let text = gauntlet_report::human::render(&run, &style)?;
            if global.quiet { text.lines().next().map(|line| format!("{line}\n")).unwrap_or_default() } else { text }
        }
        Format::Json => gauntlet_report::json::render(&run)?,
        Format::Sarif => {
            let rules: Vec<&RuleInfo> = gates::rules().map(|(_, rule)| rule).collect();
            gauntlet_report::sarif::render(&run, &rules)?
        }
        Format::Junit => gauntlet_report::junit::render(&run)?,
        Format::Markdown => gauntlet_report::markdown::render(&run)?,
        Format::Html => gauntlet_report::html::render(&run)?,
    };
    terminal::deliver(text.as_bytes(), output.output.as_deref())
}

/// What stands before the paths of a subject's findings, so that they read as the user gave them.
pub(crate) fn prefix(path: &Path) -> String {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let (text, _) = folder.map(gauntlet_core::display_path).unwrap_or_default();
    text
}

/// The report with every path below `prefix`. Reports are signed without it: evidence does not depend on where one stands.
pub(crate) fn with_prefix(mut report: Report, prefix: &str) -> Report {
    if prefix.is_empty() {
        return report;
    }
    let join = |path: &str| match path {
        "" => prefix.to_owned(),
        path => format!("{}/{path}", prefix.trim_end_matches('/')),
    };
    for finding in &mut report.findings {
        if let Some(path) = &finding.location.path {
            finding.location.path = Some(join(path));
        }
    }
    for skipped in &mut report.coverage.skipped {
        skipped.path = join(&skipped.path);
    }
    report
}

/// Columns of the terminal; a fixed width elsewhere, so that logs do not depend on who reads them.
fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|w| *w >= 40)
        .unwrap_or(100)
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
