//! Markdown for a comment on a pull request. Every name is written so that it can neither leave its table cell nor mention,
//! link or embed anything.

use crate::error::RenderError;
use crate::run::RunReport;
use crate::text::{counted, visible};
use crate::view::{self, SubjectView};

/// GitHub takes 65,536 characters in a comment.
const MAX_CHARS: usize = 60_000;
const MAX_ROWS: usize = 30;

/// Writes the run as GitHub-flavoured Markdown.
///
/// # Errors
/// None today; the signature is that of all formats.
pub fn render(run: &RunReport) -> Result<String, RenderError> {
    let mut page = Page { out: String::new(), length: 0, cut: false };
    page.block(&format!("## Gauntlet: {}\n\n{}\n", escape(&view::headline(run).0), escape(&view::totals(run))));
    decisions(run, &mut page);
    for subject in view::subjects(run) {
        self::subject(&subject, &mut page);
    }
    if page.cut {
        page.out.push_str("\nThe rest does not fit here; `gauntlet run --format html` shows all.\n");
    }
    Ok(page.out)
}

struct Page {
    out: String,
    length: usize,
    cut: bool,
}

impl Page {
    /// Adds all of a block or nothing, so that a cut never falls into a table cell.
    fn block(&mut self, text: &str) {
        let length = text.chars().count();
        if self.cut || self.length + length > MAX_CHARS {
            self.cut = true;
            return;
        }
        self.length += length;
        self.out.push_str(text);
    }
}

fn decisions(run: &RunReport, page: &mut Page) {
    for decision in view::decisions(run) {
        let word = if decision.allow { "allowed" } else { "refused" };
        let how = if decision.enforced { "" } else { " (reported, not enforced)" };
        page.block(&format!("\n### {}: {word}{how}\n", escape(&decision.environment)));
        if decision.reasons.is_empty() {
            continue;
        }
        page.block("\n| reason | needs | rule |\n| --- | --- | --- |\n");
        for reason in decision.reasons.iter().take(MAX_ROWS) {
            let cells = [&reason.message, &reason.needs, &reason.rule].map(|cell| escape(cell));
            page.block(&format!("| {} |\n", cells.join(" | ")));
        }
        if decision.reasons.len() > MAX_ROWS {
            page.block(&format!("\nand {}\n", counted((decision.reasons.len() - MAX_ROWS) as u64, "more reason")));
        }
    }
}

fn subject(view: &SubjectView<'_>, page: &mut Page) {
    let kind = view.subject.kind.as_str();
    page.block(&format!("\n### {} ({kind}): {}\n", escape(&view.subject.name), view.verdict()));
    if !view.open.is_empty() {
        page.block("\n| severity | where | what | fix | rule |\n| --- | --- | --- | --- | --- |\n");
        for finding in view.open.iter().take(MAX_ROWS) {
            let place = view::place(&finding.location);
            let cells = [&place, &finding.message, &finding.fix, &finding.rule].map(|cell| escape(cell));
            page.block(&format!("| {} | {} |\n", finding.severity, cells.join(" | ")));
        }
        if view.open.len() > MAX_ROWS {
            page.block(&format!("\nand {}\n", counted((view.open.len() - MAX_ROWS) as u64, "more finding")));
        }
    }
    for (check, metric) in view.missed.iter().take(MAX_ROWS) {
        page.block(&format!("\nMissed by {}: {}\n", escape(check), escape(&view::metric(metric))));
    }
    if !view.gaps.is_empty() {
        page.block(&format!("\nNot looked at ({}):\n\n", counted(view.gaps.len() as u64, "thing")));
        for (check, skipped) in view.gaps.iter().take(MAX_ROWS) {
            page.block(&format!("- {}: {}\n", escape(check), escape(&view::gap(skipped))));
        }
        if view.gaps.len() > MAX_ROWS {
            page.block(&format!("- and {} more\n", view.gaps.len() - MAX_ROWS));
        }
    }
    if !view.suppressed.is_empty() {
        page.block(&format!("\nSuppressed: {}\n", counted(view.suppressed.len() as u64, "finding")));
    }
    let checked: Vec<String> =
        view.reports.iter().map(|report| format!("{} {}", escape(&report.check), view::answer(report))).collect();
    page.block(&format!("\nChecked: {}\n", checked.join(", ")));
}

/// Everything that Markdown or GitHub could read as more than text becomes a character reference: markup, HTML, cell
/// borders, mentions, issue numbers, and the colon and dots that make links of addresses.
fn escape(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let address = || text.get(at.saturating_sub(3)..at).is_some_and(|head| head.eq_ignore_ascii_case("www"));
        match c {
            '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '#' | '@' | '!' | '~' | '$' | '\\' | '^' => {
                out.push_str(&format!("&#{};", c as u32));
            }
            ':' if text[at..].starts_with("://") => out.push_str("&#58;"),
            '.' if address() => out.push_str("&#46;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_stay_text() {
        assert_eq!(
            escape("a|b\n@me #1 <img> [x](http://y) www.z.org"),
            "a&#124;b&#92;n&#64;me &#35;1 &#60;img&#62; &#91;x&#93;(http&#58;//y) www&#46;z.org"
        );
    }

    proptest! {
        #[test]
        fn no_cell_is_left(text in "(.|\n){0,60}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['|', '\n', '\r', '<', '>', '`', '@', '[', '*']), "{}", escaped);
        }
    }
}
