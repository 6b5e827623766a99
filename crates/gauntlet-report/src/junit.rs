//! JUnit XML for test dashboards: one suite a report, a failure for each finding of high or above.

use gauntlet_core::{Report, Severity, Verdict};

use crate::error::RenderError;
use crate::run::RunReport;
use crate::text::{counted, visible};
use crate::view;

/// Test cases of one suite; the rest is counted in one more.
const MAX_CASES: usize = 10_000;

/// Writes the run as JUnit XML.
///
/// # Errors
/// None today; the signature is that of all formats.
pub fn render(run: &RunReport) -> Result<String, RenderError> {
    let mut suites: Vec<Suite> = run.reports.iter().map(|report| of_report(run, report)).collect();
    if !run.decisions.is_empty() {
        suites.push(of_decisions(run));
    }
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!(
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
        attribute(&run.tool.name),
        sum(Suite::tests),
        sum(|suite| suite.count(Kind::Failure)),
        sum(|suite| suite.count(Kind::Error)),
        sum(|suite| suite.count(Kind::Skipped)),
        run.timing.total_ms / 1_000.0,
    ));
    for suite in &suites {
        suite.write(&mut out);
    }
    out.push_str("</testsuites>\n");
    Ok(out)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Passed,
    Failure,
    Error,
    Skipped,
}

struct Case {
    name: String,
    kind: Kind,
    message: String,
    text: String,
}

struct Suite {
    name: String,
    class: String,
    seconds: f64,
    cases: Vec<Case>,
}

impl Suite {
    fn tests(&self) -> usize {
        self.cases.len()
    }

    fn count(&self, kind: Kind) -> usize {
        self.cases.iter().filter(|case| case.kind == kind).count()
    }

    fn write(&self, out: &mut String) {
        out.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            attribute(&self.name),
            self.tests(),
            self.count(Kind::Failure),
            self.count(Kind::Error),
            self.count(Kind::Skipped),
            self.seconds,
        ));
        for case in &self.cases {
            let head = format!("classname=\"{}\" name=\"{}\"", attribute(&self.class), attribute(&case.name));
            let element = match case.kind {
                Kind::Passed if case.text.is_empty() => {
                    out.push_str(&format!("    <testcase {head}/>\n"));
                    continue;
                }
                Kind::Passed => format!("<system-out>{}</system-out>", attribute(&case.text)),
                Kind::Failure => inner("failure", case),
                Kind::Error => inner("error", case),
                Kind::Skipped => format!("<skipped message=\"{}\"/>", attribute(&case.message)),
            };
            out.push_str(&format!("    <testcase {head}>{element}</testcase>\n"));
        }
        out.push_str("  </testsuite>\n");
    }
}

fn inner(element: &str, case: &Case) -> String {
    format!("<{element} message=\"{}\">{}</{element}>", attribute(&case.message), attribute(&case.text))
}

fn of_report(run: &RunReport, report: &Report) -> Suite {
    let mut cases = Vec::new();
    for finding in report.findings.iter().take(MAX_CASES) {
        let place = view::place(&finding.location);
        let text = format!("{place} {}", visible(&finding.fix));
        let kind = match (&finding.suppressed, finding.severity) {
            (Some(_), _) => Kind::Skipped,
            (None, Severity::Critical | Severity::High) => Kind::Failure,
            (None, _) => Kind::Passed,
        };
        let message = match &finding.suppressed {
            Some(why) => format!("suppressed: {}", visible(why)),
            None => format!("{}: {}", finding.severity, visible(&finding.message)),
        };
        let text = if kind == Kind::Passed { format!("{message} {text}") } else { text };
        cases.push(Case { name: format!("{} {place}", visible(&finding.rule)), kind, message, text });
    }
    if report.findings.len() > MAX_CASES {
        let message = format!("{} findings are left out", report.findings.len() - MAX_CASES);
        cases.push(Case { name: "more findings".into(), kind: Kind::Error, message, text: String::new() });
    }
    for metric in report.metrics.iter().filter(|metric| metric.missed()) {
        let name = format!("threshold of {}", visible(&metric.name));
        cases.push(Case { name, kind: Kind::Failure, message: view::metric(metric), text: String::new() });
    }
    let gaps: Vec<_> = report.coverage.skipped.iter().filter(|skipped| !skipped.reason.code.answered()).collect();
    for skipped in gaps.iter().take(MAX_CASES) {
        let message = format!("not looked at: {}", view::gap(skipped));
        cases.push(Case {
            name: format!("coverage of {}", visible(&skipped.path)),
            kind: Kind::Error,
            message,
            text: String::new(),
        });
    }
    if gaps.len() > MAX_CASES {
        let message = format!("{} more things were not looked at", gaps.len() - MAX_CASES);
        cases.push(Case { name: "more gaps".into(), kind: Kind::Error, message, text: String::new() });
    }
    // What a verdict says must not hang on what was listed above.
    let reported = cases.iter().any(|case| matches!(case.kind, Kind::Failure | Kind::Error));
    let kind = match report.verdict {
        Verdict::Error if !reported => Kind::Error,
        Verdict::Fail if !reported => Kind::Failure,
        Verdict::Pass if view::answer(report) != Verdict::Pass.as_str() => Kind::Skipped,
        _ => Kind::Passed,
    };
    if kind != Kind::Passed || cases.is_empty() {
        let message = view::answer(report).to_owned();
        cases.push(Case { name: "verdict".into(), kind, message, text: String::new() });
    }
    Suite {
        name: format!("{} {}", visible(&report.check), visible(&report.subject.name)),
        class: visible(&report.check),
        seconds: run.timing.by_check.get(&report.check).copied().unwrap_or(0.0) / 1_000.0,
        cases,
    }
}

fn of_decisions(run: &RunReport) -> Suite {
    let cases = view::decisions(run)
        .into_iter()
        .map(|decision| {
            let kind = match (decision.allow, decision.enforced) {
                (true, _) => Kind::Passed,
                (false, true) => Kind::Failure,
                (false, false) => Kind::Skipped,
            };
            let reasons: Vec<String> = decision
                .reasons
                .iter()
                .map(|reason| format!("{} (needs: {})", visible(&reason.message), visible(&reason.needs)))
                .collect();
            let count = counted(decision.reasons.len() as u64, "reason");
            let text = reasons.join("; ");
            // A skipped case has no text beside its message.
            let message =
                if decision.enforced { format!("refused: {count}") } else { format!("refused, not enforced: {text}") };
            Case { name: visible(&decision.environment), kind, message, text }
        })
        .collect();
    Suite { name: "decisions".into(), class: "policy/decision".into(), seconds: 0.0, cases }
}

/// Text for an attribute or element. XML 1.0 cannot hold most control characters at all; `visible` has spelled them out.
fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push_str(&visible(&c.to_string())),
            c => out.push(c),
        }
    }
    out
}
