//! One self-contained HTML page: no script, no network, light and dark, printable.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use gauntlet_core::Finding;

use crate::drawing::Drawing;
use crate::error::RenderError;
use crate::run::RunReport;
use crate::text::visible;
use crate::view::{self, SubjectView};

/// Findings and gaps of one subject that a page holds.
const MAX_ROWS: usize = 2_000;
/// Findings of one rule that are seen without asking for more.
const OPEN: usize = 7;

/// Writes the run as HTML.
///
/// # Errors
/// [`RenderError::Template`], which is a mistake in the program.
pub fn render(run: &RunReport) -> Result<String, RenderError> {
    let mut environment = Environment::new();
    // Every value is escaped, whatever the template is called.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("visible", |text: String| visible(&text));
    environment.add_template("report", include_str!("report.html"))?;
    let (headline, good) = view::headline(run);
    let subjects: Vec<SubjectPart> = view::subjects(run).iter().map(SubjectPart::new).collect();
    let page = environment.get_template("report")?.render(context! {
        headline,
        good,
        tool => Value::from(Serde(&run.tool)),
        totals => view::totals(run),
        duration => view::duration(run.timing.total_ms),
        decisions => Value::from(Serde(view::decisions(run))),
        subjects => Value::from(Serde(&subjects)),
    })?;
    Ok(page)
}

#[derive(Serialize)]
struct SubjectPart {
    name: String,
    kind: &'static str,
    verdict: &'static str,
    digests: Vec<(String, String)>,
    findings: Vec<RulePart>,
    findings_left_out: usize,
    suppressed: Vec<FindingPart>,
    missed: Vec<(String, String)>,
    gaps: Vec<(String, String)>,
    gaps_left_out: usize,
    checks: Vec<CheckPart>,
    drawings: Vec<Drawing>,
}

/// Findings of one rule and severity: one card, however many there are.
#[derive(Serialize)]
struct RulePart {
    severity: &'static str,
    rule: String,
    fix: String,
    references: String,
    first: Vec<FindingPart>,
    more: Vec<FindingPart>,
}

#[derive(Serialize)]
struct FindingPart {
    confidence: String,
    rule: String,
    place: String,
    message: String,
    suppressed: String,
}

#[derive(Serialize)]
struct CheckPart {
    check: String,
    version: u32,
    verdict: &'static str,
    looked_at: u64,
    skipped: usize,
    inputs: Vec<(String, String)>,
    metrics: Vec<String>,
}

impl SubjectPart {
    fn new(view: &SubjectView<'_>) -> Self {
        let digests = view.subject.digest.iter().map(|(name, value)| (visible(name), visible(value)));
        let missed = view.missed.iter().map(|(check, metric)| (visible(check), view::metric(metric)));
        let gaps = view.gaps.iter().take(MAX_ROWS).map(|(check, skipped)| (visible(check), view::gap(skipped)));
        let checks = view.reports.iter().map(|report| CheckPart {
            check: visible(&report.check),
            version: report.check_version,
            verdict: view::answer(report),
            looked_at: report.coverage.looked_at,
            skipped: report.coverage.skipped.len(),
            inputs: report.inputs.iter().map(|input| (visible(&input.name), input.digest.to_string())).collect(),
            metrics: report.metrics.iter().take(MAX_ROWS).map(view::metric).collect(),
        });
        let figures = view.reports.iter().flat_map(|report| &report.figures);
        Self {
            name: visible(&view.subject.name),
            kind: view.subject.kind.as_str(),
            verdict: view.verdict().as_str(),
            digests: digests.collect(),
            findings: by_rule(&view.open),
            findings_left_out: view.open.len().saturating_sub(MAX_ROWS),
            suppressed: view.suppressed.iter().take(MAX_ROWS).map(|finding| FindingPart::new(finding)).collect(),
            missed: missed.collect(),
            gaps: gaps.collect(),
            gaps_left_out: view.gaps.len().saturating_sub(MAX_ROWS),
            checks: checks.collect(),
            drawings: figures.map(Drawing::new).collect(),
        }
    }
}

/// Cards in the order of their worst findings, numbered cases in theirs.
fn by_rule(open: &[&Finding]) -> Vec<RulePart> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for &finding in open.iter().take(MAX_ROWS) {
        let same = |group: &&mut Vec<&Finding>| {
            group.first().is_some_and(|first| {
                (first.severity, &first.rule, &first.fix) == (finding.severity, &finding.rule, &finding.fix)
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups.iter_mut().for_each(|group| group.sort_by_key(|finding| number(finding.location.case.as_deref())));
    groups.iter().filter_map(|group| RulePart::new(group)).collect()
}

/// The number at the end of `cause 12`; nothing for everything else, so that it stays where it is.
fn number(case: Option<&str>) -> Option<u64> {
    case?.rsplit_once(' ')?.1.parse().ok()
}

impl RulePart {
    fn new(findings: &[&Finding]) -> Option<Self> {
        let worst = findings.first()?;
        let mut parts: Vec<FindingPart> = findings.iter().map(|finding| FindingPart::new(finding)).collect();
        let more = parts.split_off(parts.len().min(OPEN));
        Some(Self {
            severity: worst.severity.as_str(),
            rule: visible(&worst.rule),
            fix: visible(&worst.fix),
            references: visible(&worst.references.join(", ")),
            first: parts,
            more,
        })
    }
}

impl FindingPart {
    fn new(finding: &Finding) -> Self {
        Self {
            confidence: finding.confidence.to_string(),
            rule: visible(&finding.rule),
            place: view::place(&finding.location),
            message: visible(&finding.message),
            suppressed: visible(finding.suppressed.as_deref().unwrap_or_default()),
        }
    }
}
