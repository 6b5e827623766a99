//! JUnit XML, for CI systems that show tests: one suite a report, one case a finding, one suite for the decisions.

use std::fmt::Write as _;

use gauntlet_core::{Report, Severity};

use crate::escape::xml;
use crate::run::{Decision, RunReport};

/// The result as JUnit XML. Open findings of high or above are failures, what was not looked at is an error.
#[must_use]
pub fn junit(run: &RunReport) -> String {
    let mut suites: Vec<Suite> = run.reports.iter().map(suite).collect();
    if !run.decisions.is_empty() {
        suites.push(decisions(&run.decisions));
    }
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuites name=\"gauntlet\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        sum(|s| s.cases),
        sum(|s| s.failures),
        sum(|s| s.errors),
        sum(|s| s.skipped),
        std::time::Duration::from_millis(run.timing.total_ms).as_secs_f64(),
    );
    for suite in suites {
        suite.write(&mut text);
    }
    text.push_str("</testsuites>\n");
    text
}

#[derive(Default)]
struct Suite {
    name: String,
    cases: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    body: String,
}

impl Suite {
    fn case(&mut self, class: &str, name: &str, inner: &str) {
        self.cases += 1;
        let open = format!("    <testcase classname=\"{}\" name=\"{}\"", xml(class), xml(name));
        if inner.is_empty() {
            let _ = writeln!(self.body, "{open}/>");
        } else {
            let _ = writeln!(self.body, "{open}>{inner}</testcase>");
        }
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n{}  </testsuite>",
            xml(&self.name),
            self.cases,
            self.failures,
            self.errors,
            self.skipped,
            self.body
        );
    }
}

fn suite(report: &Report) -> Suite {
    let mut suite = Suite { name: format!("{} {}", report.check, report.subject.name), ..Suite::default() };
    for finding in &report.findings {
        let place = [finding.location.path.as_deref().unwrap_or(""), finding.location.member.as_deref().unwrap_or("")];
        let line = finding.location.line.map(|l| format!(":{l}")).unwrap_or_default();
        let name = format!(
            "{} {}{line} {}",
            finding.rule,
            place.join(" ").trim_end(),
            &finding.fingerprint.get(..12).unwrap_or("")
        );
        let text = format!("{}\nfix: {}", finding.message, finding.fix);
        let inner = match (&finding.suppressed, finding.severity) {
            (Some(why), _) => {
                suite.skipped += 1;
                format!("<skipped message=\"{}\"/>", xml(why))
            }
            (None, Severity::Critical | Severity::High) => {
                suite.failures += 1;
                format!(
                    "<failure type=\"{}\" message=\"{}\">{}</failure>",
                    finding.severity,
                    xml(&finding.message),
                    xml(&text)
                )
            }
            _ => format!("<system-out>{}</system-out>", xml(&text)),
        };
        suite.case(&report.check, &name, &inner);
    }
    for metric in report.metrics.iter().filter(|m| m.missed()) {
        suite.failures += 1;
        let field = metric.field.as_deref().unwrap_or("");
        let inner = format!("<failure type=\"threshold\" message=\"{} misses its threshold\"/>", metric.value);
        suite.case(&report.check, &format!("{} {field}", metric.name), &inner);
    }
    for skipped in report.coverage.skipped.iter().filter(|s| !s.reason.code.answered()) {
        suite.errors += 1;
        let inner = format!("<error type=\"not-looked-at\" message=\"{}\"/>", xml(&skipped.reason.to_string()));
        let member = skipped.member.as_deref().unwrap_or("");
        suite.case(&report.check, format!("coverage {} {member}", skipped.path).trim_end(), &inner);
    }
    if suite.cases == 0 {
        suite.case(&report.check, &format!("{} files", report.coverage.looked_at), "");
    }
    suite
}

fn decisions(decisions: &[Decision]) -> Suite {
    let mut suite = Suite { name: "policy/decision".to_owned(), ..Suite::default() };
    for decision in decisions {
        let reasons: Vec<String> =
            decision.reasons.iter().map(|r| format!("{} (needs: {})", r.message, r.needs)).collect();
        let reasons = xml(&reasons.join("; "));
        let inner = match (decision.allow, decision.enforced) {
            (true, _) => String::new(),
            (false, true) => {
                suite.failures += 1;
                format!("<failure type=\"refused\" message=\"{reasons}\"/>")
            }
            (false, false) => {
                suite.skipped += 1;
                format!("<skipped message=\"refused, not enforced: {reasons}\"/>")
            }
        };
        suite.case("policy/decision", &decision.environment, &inner);
    }
    suite
}
