//! Python modules and notebooks: calls and comments, by `gauntlet-python`.

use gauntlet_core::{Facts, Location, SkipCode};
use gauntlet_patterns::Dialect;
use gauntlet_python::notebook::{self, Notebook, Origin, TextKind};
use gauntlet_python::{Module, Place, PythonError, analyze, analyze_cells};

use super::lines::LineStarts;
use super::{Tools, interest, looked_at, name, text};
use crate::checks::{DESERIALIZATION, SECRETS};
use crate::facts::CallFact;
use crate::suppression;

/// A Python module.
pub(crate) fn module(location: &Location, source: &str, tools: Tools<'_>, facts: &mut Facts) {
    match analyze(source, tools.limits) {
        Ok(module) => {
            describe(&module, source, tools, facts, &|place| {
                location.clone().at_line(u64::from(place.line), Some(u64::from(place.column)))
            });
            cover(&module, source, location, facts);
        }
        Err(error) => {
            // Without a parser comments are looked for by line, so that secrets can still be suppressed.
            text::suppressions(source.as_bytes(), location, facts);
            refuse(&error, location, facts);
        }
    }
}

/// A notebook: calls of its code cells, secrets of all its texts.
pub(crate) fn notebook(location: &Location, bytes: &[u8], tools: Tools<'_>, facts: &mut Facts) {
    let json = std::str::from_utf8(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    let read = match json {
        Ok(json) => notebook::read(json, tools.limits).map_err(|error| {
            let code =
                if matches!(error, notebook::NotebookError::Limit(_)) { SkipCode::Limit } else { SkipCode::Malformed };
            (code, chain(&error))
        }),
        Err(_) => Err((SkipCode::Malformed, "not UTF-8".to_owned())),
    };
    let notebook = match read {
        Ok(notebook) => notebook,
        Err((code, detail)) => {
            for check in [SECRETS, DESERIALIZATION] {
                facts.coverage_mut(check).skip(name(location), None, code, detail.clone());
            }
            return;
        }
    };
    let exhausted = texts(&notebook, location, tools, facts);
    match exhausted {
        Some(line) => facts.coverage_mut(SECRETS).skip(name(location), None, SkipCode::Limit, text::spent(line)),
        None => looked_at(facts.coverage_mut(SECRETS)),
    }
    let origin = |line: u32| notebook.lines.get(line.saturating_sub(1) as usize).copied();
    match analyze_cells(&notebook.source, &notebook.cells, tools.limits) {
        Ok(module) => {
            describe(&module, &notebook.source, tools, facts, &|place| match origin(place.line) {
                Some(origin) => Location { column: Some(u64::from(place.column)), ..at(location, origin) },
                None => location.clone(),
            });
            cover(&module, &notebook.source, location, facts);
        }
        Err(error) => refuse(&error, location, facts),
    }
}

/// Secrets of every text of a notebook; the line of the file where searching had to stop.
fn texts(notebook: &Notebook, location: &Location, tools: Tools<'_>, facts: &mut Facts) -> Option<usize> {
    let mut stopped = None;
    for part in &notebook.texts {
        let bytes = part.text.as_bytes();
        let lines = LineStarts::new(bytes);
        let origin = |offset: usize| part.lines.get(lines.line(offset) - 1).or(part.lines.last()).copied();
        let place = |offset: usize| match origin(offset) {
            Some(origin) => Location { column: Some(lines.column(bytes, offset) as u64), ..at(location, origin) },
            None => location.clone(),
        };
        let dialect = match part.kind {
            // `%env NAME=value` and `!tool --token value` are no Python.
            TextKind::Code if part.text.lines().any(|l| l.trim_start().starts_with(['%', '!'])) => Dialect::Prose,
            TextKind::Code | TextKind::Metadata => Dialect::Code,
            TextKind::Prose | TextKind::Output => Dialect::Prose,
        };
        if let Some(offset) = text::secrets(bytes, dialect, false, tools, facts, &place) {
            stopped = stopped.or(origin(offset).map(|o| o.json_line as usize)).or(Some(1));
        }
    }
    stopped
}

fn at(location: &Location, origin: Origin) -> Location {
    Location {
        line: Some(u64::from(origin.json_line)),
        cell: Some(u64::from(origin.cell)),
        cell_line: origin.cell_line.map(u64::from),
        ..location.clone()
    }
}

/// Adds calls and suppressions of a module.
fn describe(module: &Module, source: &str, tools: Tools<'_>, facts: &mut Facts, place: &dyn Fn(&Place) -> Location) {
    for call in &module.calls {
        if let Some(invocation) = interest::keep(call.invocation.clone(), tools.scanner) {
            let lines = call.place.end_line.saturating_sub(call.place.line) + 1;
            facts.push(DESERIALIZATION, place(&call.place), &CallFact { invocation, lines });
        }
    }
    for comment in &module.comments {
        let range = comment.place.start as usize..comment.place.end as usize;
        let Some(text) = source.get(range.clone()) else { continue };
        let before = &source[..range.start];
        let alone = before.rsplit('\n').next().unwrap_or_default().trim().is_empty();
        if let Some(fact) = suppression::parse(text, alone) {
            facts.push(DESERIALIZATION, place(&comment.place), &fact);
        }
    }
}

/// A module counts as looked at unless nothing of it could be read.
fn cover(module: &Module, source: &str, location: &Location, facts: &mut Facts) {
    let code_lines = source.lines().filter(|l| !l.trim().is_empty()).count();
    let broken: std::collections::BTreeSet<u32> = module.errors.iter().map(|e| e.line).collect();
    let coverage = facts.coverage_mut(DESERIALIZATION);
    if broken.is_empty() || broken.len() < code_lines {
        looked_at(coverage);
    } else {
        let why = module.errors.first().map(|e| format!("line {}: {}", e.line, e.message)).unwrap_or_default();
        coverage.skip(name(location), None, SkipCode::Malformed, why);
    }
}

fn refuse(error: &PythonError, location: &Location, facts: &mut Facts) {
    let code = match error {
        PythonError::TooDeep(_) | PythonError::Limit(_) => SkipCode::Limit,
        PythonError::Thread(_) => SkipCode::Unreadable,
        PythonError::Fault => SkipCode::Malformed,
    };
    facts.coverage_mut(DESERIALIZATION).skip(name(location), None, code, chain(error));
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
