//! `data/ingest`: is a file what its name says, and nothing more; what do its cells do elsewhere; what does the virus
//! scanner say?

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Location, RuleInfo, Severity, SkipCode, Stage,
};

use super::{INGEST, at_first, facts_of, first_rows, grouped, rule};
use crate::ingest::facts::{ContentFact, ContentKind, FormulaFact, ScannerFact};

/// The check.
#[derive(Debug)]
pub(crate) struct IngestCheck;

static RULES: [RuleInfo; 9] = [
    rule(
        "data/ingest/type-mismatch",
        Severity::High,
        "content that is not what the name says",
        "find out what the file is and where it comes from; give it the name of its content, or remove it",
        &["CWE-434", "CWE-646", "MITRE ATT&CK T1036.008"],
    ),
    rule(
        "data/ingest/executable-content",
        Severity::High,
        "program or script among the data",
        "remove the file from the dataset; code belongs into a repository that is reviewed",
        &["CWE-434", "MITRE ATLAS AML.T0011", "OWASP ML06:2023"],
    ),
    rule(
        "data/ingest/macro-content",
        Severity::High,
        "document with macros",
        "export the table as CSV or Parquet and remove the document",
        &["CWE-434", "MITRE ATT&CK T1137"],
    ),
    rule(
        "data/ingest/polyglot",
        Severity::High,
        "file that is two files in one",
        "write the file anew from its data alone; whoever made it wanted two programs to see two things",
        &["CWE-434", "CWE-436"],
    ),
    rule(
        "data/ingest/archive-bomb",
        Severity::High,
        "file that expands beyond the limits",
        "do not unpack it; if it is genuine, raise `limits.ratio` or `limits.expanded_bytes` in gauntlet.yaml",
        &["CWE-409"],
    ),
    rule(
        "data/ingest/formula-injection",
        Severity::High,
        "cells that make a spreadsheet open addresses or start programs",
        "put an apostrophe in front of such texts where they are written, and find out who wrote them",
        &["CWE-1236", "OWASP CSV Injection"],
    ),
    rule(
        "data/ingest/formula-cell",
        Severity::Medium,
        "cells that a spreadsheet computes",
        "put an apostrophe in front of such texts where they are written",
        &["CWE-1236", "OWASP CSV Injection"],
    ),
    rule(
        "data/ingest/malware",
        Severity::Critical,
        "file that the virus scanner knows",
        "isolate the file and follow the source that delivered it",
        &["CWE-506", "MITRE ATLAS AML.T0011"],
    ),
    rule(
        "data/ingest/scanner-unreachable",
        Severity::High,
        "required virus scanner that does not answer",
        "start clamd, or correct `ingest.clamd` in gauntlet.yaml; nothing was scanned",
        &["CWE-693"],
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: INGEST,
    version: 1,
    stage: Stage::Data,
    title: "types, hidden content, formulas and malware in data files",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-ingest.md"),
};

impl Check for IngestCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        for (place, fact) in facts_of::<ContentFact>(facts, &mut out) {
            let name = match fact.kind {
                ContentKind::TypeMismatch => "type-mismatch",
                ContentKind::Executable => "executable-content",
                ContentKind::Macro => "macro-content",
                ContentKind::Polyglot => "polyglot",
                ContentKind::Bomb => "archive-bomb",
            };
            add(&mut out, name, place, &fact.what, Confidence::High, fact.what.clone());
        }
        for (_, fact) in facts_of::<FormulaFact>(facts, &mut out) {
            let (name, does) = match fact.reaches {
                true => ("formula-injection", "would open addresses or start programs"),
                false => ("formula-cell", "would compute"),
            };
            let what = format!(
                "`{}` holds {} cells that a spreadsheet {does}{}",
                fact.column,
                grouped(fact.cells),
                first_rows(&fact.first)
            );
            add(&mut out, name, at_first(&fact.first, &fact.column), &fact.column, Confidence::Medium, what);
        }
        for (place, fact) in facts_of::<ScannerFact>(facts, &mut out) {
            match fact {
                ScannerFact::Ready { .. } => {}
                ScannerFact::Infected { signature } => {
                    let what = format!("the virus scanner knows it as {signature}");
                    add(&mut out, "malware", place, &signature, Confidence::High, what);
                }
                ScannerFact::Unreachable { what, required: true } => {
                    let what = format!("a virus scan is required and the scanner cannot be asked: {what}");
                    add(&mut out, "scanner-unreachable", place, "required", Confidence::High, what);
                }
                ScannerFact::Unreachable { what, required: false } => {
                    let what = format!("the virus scanner cannot be asked ({what}); a scan is not required");
                    out.coverage.skip("", None, SkipCode::Ignored, what);
                }
            }
        }
        out
    }
}

fn add(out: &mut Judgement, name: &str, place: Location, snippet: &str, confidence: Confidence, message: String) {
    if let Some(rule) = INFO.rule(name) {
        out.findings.push(Draft::new(rule, place, message).snippet(snippet).confidence(confidence));
    }
}
