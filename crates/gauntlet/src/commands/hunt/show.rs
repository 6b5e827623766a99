//! What a hunt found, for people, programs and spreadsheets.

use std::fmt::Write as _;

use gauntlet_core::{Finding, Location};
use gauntlet_hunt::{Answers, Catalogue, Question, RELATIONS, Rows, SubjectAnswer, Unanswered};
use gauntlet_report::visible;
use serde_json::{Value, json};

use crate::cli::HuntFormat;

/// Unanswered subjects that a person is shown one by one.
const SHOWN: usize = 20;
/// Widest cell that a person is shown, in characters.
const CELL: usize = 80;

/// Tables and their columns.
pub(super) fn tables(format: HuntFormat) -> anyhow::Result<String> {
    let all = || RELATIONS.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    match format {
        HuntFormat::Human => {
            let mut text = String::new();
            for table in RELATIONS {
                let _ = writeln!(text, "{}: {}", table.name, table.about);
                let width = table.columns.iter().map(|c| c.name.len()).max().unwrap_or(0);
                for column in table.columns {
                    let _ = writeln!(
                        text,
                        "    {:width$}  {:6}  {}",
                        column.name,
                        column.column_type.as_str(),
                        column.about
                    );
                }
            }
            Ok(text)
        }
        HuntFormat::Json => {
            let tables: Vec<Value> = RELATIONS
                .iter()
                .map(|table| {
                    let columns: Vec<Value> = table
                        .columns
                        .iter()
                        .map(|c| json!({"name": c.name, "type": c.column_type.as_str(), "about": c.about}))
                        .collect();
                    json!({"name": table.name, "about": table.about, "columns": columns})
                })
                .collect();
            pretty(&json!({"schema": 1, "tables": tables}))
        }
        HuntFormat::Csv => {
            let rows = all().map(|(table, column)| {
                [table.name, column.name, column.column_type.as_str(), column.about].map(str::to_owned).to_vec()
            });
            Ok(csv(&["table", "column", "type", "about"].map(str::to_owned), rows))
        }
    }
}

/// What the rules said.
pub(super) fn answers(
    question: &Question,
    answers: &Answers,
    catalogue: &Catalogue,
    format: HuntFormat,
) -> anyhow::Result<String> {
    match format {
        HuntFormat::Human => Ok(human_answers(question, answers, catalogue)),
        HuntFormat::Json => pretty(&json!({
            "schema": 1,
            "tool": tool(),
            "rules": question.rules().collect::<Vec<_>>(),
            "judged": answers.judged,
            "subjects": answers.subjects,
            "unanswered": answers.unanswered,
            "not_admitted": catalogue.not_admitted,
            "superseded": catalogue.superseded,
        })),
        HuntFormat::Csv => {
            let header = [
                "project",
                "name",
                "subject",
                "admitted",
                "ledger_index",
                "rule",
                "severity",
                "confidence",
                "path",
                "member",
                "line",
                "offset",
                "message",
                "suppressed",
                "fingerprint",
            ];
            let rows = answers.subjects.iter().flat_map(|s| s.findings.iter().map(move |f| finding_cells(s, f)));
            let open = answers.unanswered.iter().map(|one| {
                let mut cells = vec![String::new(); header.len()];
                let given = [(0, &one.project), (1, &one.name), (2, &one.subject), (12, &one.why)];
                for (at, text) in given {
                    if let Some(cell) = cells.get_mut(at) {
                        cell.clone_from(text);
                    }
                }
                if let Some(rule) = cells.get_mut(5) {
                    "unanswered".clone_into(rule);
                }
                cells
            });
            Ok(csv(&header.map(str::to_owned), rows.chain(open)))
        }
    }
}

/// The rows of a query.
pub(super) fn rows(sql: &str, rows: &Rows, catalogue: &Catalogue, format: HuntFormat) -> anyhow::Result<String> {
    let columns = rows.columns();
    let values = rows.values()?;
    match format {
        HuntFormat::Human => {
            let mut text = table(&columns, &values);
            let more = if rows.cut { ", and more: raise --rows" } else { "" };
            let _ = writeln!(text, "{}{more}", counted(values.len(), "row"));
            text.push_str(&open(&rows.unanswered, catalogue));
            Ok(text)
        }
        HuntFormat::Json => pretty(&json!({
            "schema": 1,
            "tool": tool(),
            "sql": sql,
            "columns": columns,
            "rows": values,
            "cut": rows.cut,
            "unanswered": rows.unanswered,
            "not_admitted": catalogue.not_admitted,
            "superseded": catalogue.superseded,
        })),
        HuntFormat::Csv => {
            let rows_text = csv(&columns, values.iter().map(|row| row.iter().map(plain).collect()));
            for one in &rows.unanswered {
                crate::terminal::note(&format!("unanswered: {}", line(one)));
            }
            if rows.cut {
                crate::terminal::note("there are more rows: raise --rows");
            }
            Ok(rows_text)
        }
    }
}

fn human_answers(question: &Question, answers: &Answers, catalogue: &Catalogue) -> String {
    let asked: Vec<&str> = question.rules().collect();
    let asked = match asked.as_slice() {
        [one] => (*one).to_owned(),
        more => counted(more.len(), "rule"),
    };
    let counting = answers.subjects.iter().flat_map(|s| &s.findings).filter(|f| f.suppressed.is_none()).count();
    let mut text = format!(
        "{asked}: {} in {}; asked over facts of {}, {} unanswered\n",
        counted(counting, "finding"),
        counted(answers.subjects.len(), "subject"),
        counted(usize::try_from(answers.judged).unwrap_or(usize::MAX), "reading"),
        answers.unanswered.len()
    );
    for subject in &answers.subjects {
        let digest = subject.subject.get(..12).unwrap_or(&subject.subject);
        let place = match (&subject.ledger_index, &subject.time) {
            (Some(index), Some(time)) => format!("entry {index}, {time}"),
            _ => "not admitted".to_owned(),
        };
        let _ = writeln!(text, "\n{} in {} ({digest}…, {place})", visible(&subject.name), visible(&subject.project));
        for finding in &subject.findings {
            let suppressed = finding.suppressed.as_ref().map(|why| format!(" (suppressed: {})", visible(why)));
            let _ = writeln!(
                text,
                "  {:8} {} {}{}\n           {}",
                finding.severity,
                finding.rule,
                visible(&place_of(&finding.location)),
                suppressed.unwrap_or_default(),
                visible(&finding.message)
            );
        }
    }
    text.push_str(&open(&answers.unanswered, catalogue));
    text
}

/// What is unanswered, and what was not asked.
fn open(unanswered: &[Unanswered], catalogue: &Catalogue) -> String {
    let mut text = String::new();
    if !unanswered.is_empty() {
        let _ = writeln!(text, "\nUnanswered, which is not clean:");
        for one in unanswered.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", line(one));
        }
        if unanswered.len() > SHOWN {
            let _ = writeln!(text, "  and {} more, see --format json", unanswered.len() - SHOWN);
        }
    }
    if !catalogue.not_admitted.is_empty() {
        let count = counted(catalogue.not_admitted.len(), "file");
        let _ = writeln!(text, "\nNot admitted, so not asked: {count} of facts without evidence");
        for path in catalogue.not_admitted.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", visible(&path.display().to_string()));
        }
    }
    text
}

fn line(one: &Unanswered) -> String {
    let short = one.subject.get(..12).unwrap_or(&one.subject);
    let name = match (one.name.as_str(), short) {
        ("", "") => "a file".to_owned(),
        ("", digest) => format!("subject {digest}…"),
        (name, _) => name.to_owned(),
    };
    visible(&format!("{name} in {}: {}", one.project, one.why))
}

fn place_of(location: &Location) -> String {
    let mut text = location.path.clone().unwrap_or_default();
    if let Some(member) = &location.member {
        let _ = write!(text, "!{member}");
    }
    if let Some(line) = location.line {
        let _ = write!(text, ":{line}");
    }
    if let Some(offset) = location.offset {
        let _ = write!(text, " at byte {offset}");
    }
    if let Some(field) = &location.field {
        let _ = write!(text, " {field}");
    }
    text
}

fn finding_cells(subject: &SubjectAnswer, finding: &Finding) -> Vec<String> {
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let location = &finding.location;
    vec![
        subject.project.clone(),
        subject.name.clone(),
        subject.subject.clone(),
        subject.admitted.to_string(),
        number(subject.ledger_index),
        finding.rule.clone(),
        finding.severity.to_string(),
        finding.confidence.to_string(),
        text(&location.path),
        text(&location.member),
        number(location.line),
        number(location.offset),
        finding.message.clone(),
        text(&finding.suppressed),
        finding.fingerprint.clone(),
    ]
}

/// Columns beside each other, wide cells cut.
fn table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let cell = |text: String| {
        let text = visible(&text);
        if text.chars().count() <= CELL { text } else { text.chars().take(CELL - 1).chain(['…']).collect() }
    };
    let header: Vec<String> = columns.iter().cloned().map(cell).collect();
    let body: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|v| cell(plain(v))).collect()).collect();
    let mut widths: Vec<usize> = header.iter().map(|h| h.chars().count()).collect();
    for row in &body {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let mut text = String::new();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    for row in [&header, &rule].into_iter().chain(&body) {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 4180. A text that a spreadsheet would take for a formula is marked as text.
fn csv(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = String::new();
    for row in std::iter::once(header.to_vec()).chain(rows) {
        let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
        let _ = write!(text, "{}\r\n", cells.join(","));
    }
    text
}

fn csv_cell(cell: &str) -> String {
    let formula =
        cell.starts_with(['=', '+', '@', '\t', '\r']) || (cell.starts_with('-') && cell.parse::<f64>().is_err());
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn tool() -> Value {
    json!({"name": "gauntlet", "version": env!("CARGO_PKG_VERSION")})
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_and_no_formulas() {
        assert_eq!(csv_cell("a,b"), "\"a,b\"");
        assert_eq!(csv_cell("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(csv_cell("=cmd()"), "'=cmd()");
        assert_eq!((csv_cell("-1.5"), csv_cell("-x")), ("-1.5".to_owned(), "'-x".to_owned()));
    }

    #[test]
    fn hostile_names_do_not_reach_the_terminal() {
        let text = table(&["a".to_owned()], &[vec![json!("\u{1b}[2J")], vec![Value::Null]]);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
