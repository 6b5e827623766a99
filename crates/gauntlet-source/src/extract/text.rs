//! The text pass: secrets and, outside Python, suppressions.

use gauntlet_core::{Facts, Location, Masked, SkipCode};
use gauntlet_patterns::{Dialect, Families, Match, Proof};

use super::kind::{FileKind, searchable};
use super::lines::LineStarts;
use super::{Tools, looked_at, name};
use crate::checks::SECRETS;
use crate::facts::SecretFact;
use crate::suppression;

/// Characters of a secret that may be shown.
const SHOWN: usize = 4;

/// Secrets of a whole file, and its suppressions when it is no Python (there comments are found by the parser).
pub(crate) fn file(location: &Location, bytes: &[u8], kind: FileKind, tools: Tools<'_>, facts: &mut Facts) {
    let bytes = searchable(bytes);
    let lines = LineStarts::new(&bytes);
    let place = |at: usize| location.clone().at_line(lines.line(at) as u64, Some(lines.column(&bytes, at) as u64));
    let lock = matches!(kind, FileKind::Text { lock: true, .. });
    let exhausted = secrets(&bytes, kind.dialect(), lock, tools, facts, &place);
    if kind != FileKind::Python {
        suppressions(&bytes, location, facts);
    }
    match exhausted {
        Some(at) => facts.coverage_mut(SECRETS).skip(name(location), None, SkipCode::Limit, spent(lines.line(at))),
        None => looked_at(facts.coverage_mut(SECRETS)),
    }
}

/// Why a text was not searched to its end.
pub(crate) fn spent(line: usize) -> String {
    format!("searching for secrets stopped at line {line}: the text asks for more steps than its length allows")
}

/// Adds the secrets in `text`; the offset where the search had to stop, if it had.
pub(crate) fn secrets(
    text: &[u8],
    dialect: Dialect,
    lock: bool,
    tools: Tools<'_>,
    facts: &mut Facts,
    place: &dyn Fn(usize) -> Location,
) -> Option<usize> {
    let scan = tools.scanner.scan(text, Families::SECRETS, dialect);
    for found in scan.matches.iter().filter(|m| !(lock && m.proof == Proof::Context && m.kind != "url-password")) {
        let fact = secret(text, found, tools);
        facts.push(SECRETS, place(found.range.start), &fact);
    }
    scan.exhausted
}

fn secret(text: &[u8], found: &Match, tools: Tools<'_>) -> SecretFact {
    let value = &text[found.range.clone()];
    let newlines = value.iter().filter(|&&b| b == b'\n').count();
    SecretFact {
        kind: found.kind.clone(),
        title: found.title.clone(),
        confidence: found.confidence,
        proof: found.proof,
        value: Masked::new(&String::from_utf8_lossy(value), SHOWN, tools.mask),
        lines: u32::try_from(newlines + 1).unwrap_or(u32::MAX),
    }
}

/// Suppression comments of any text file, by line.
pub(crate) fn suppressions(bytes: &[u8], location: &Location, facts: &mut Facts) {
    for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if !suppression::is_marked(line) {
            continue;
        }
        let alone = line.trim_start().starts_with(['#', '/', '<', ';', '-', '*']);
        if let Some(fact) = suppression::parse(line, alone) {
            facts.push(SECRETS, location.clone().at_line(number as u64 + 1, None), &fact);
        }
    }
}
