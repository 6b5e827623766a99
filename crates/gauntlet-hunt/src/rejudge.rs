//! A rule over stored facts: the same judgement as on the day of the scan, by the rules of today.

use std::collections::BTreeSet;

use gauntlet_core::{Coverage, Finding, Gate, Judging, Limits, Skipped, canonical, seal};
use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::catalogue::{Catalogue, Held, Listen, Unanswered};
use crate::question::Question;
use crate::stored::Stored;

/// What a rule says about everything that it could be asked about.
#[derive(Debug, Default)]
pub struct Answers {
    /// Subjects with findings, in the order of project and name.
    pub subjects: Vec<SubjectAnswer>,
    /// Subjects, or parts of them, about which nothing can be said.
    pub unanswered: Vec<Unanswered>,
    /// How many sets of facts were judged.
    pub judged: u64,
}

/// What was found in one subject.
#[derive(Clone, Debug, Serialize)]
pub struct SubjectAnswer {
    /// Folder of the project, or of the facts.
    pub project: String,
    /// Name of the subject.
    pub name: String,
    /// Its kind, when that is known.
    pub kind: Option<&'static str>,
    /// Its primary digest, in hex.
    pub subject: String,
    /// Signed evidence binds its facts.
    pub admitted: bool,
    /// SHA-256 of its facts.
    pub facts: String,
    /// Last entry of the ledger about it.
    pub ledger_index: Option<u64>,
    /// Time of that entry.
    pub time: Option<String>,
    /// What the rules say, worst first.
    pub findings: Vec<Finding>,
}

/// Asks the rules over all facts of their gates, as of `now`.
pub fn ask(
    question: &Question,
    catalogue: &Catalogue,
    gates: &[&'static Gate],
    now: Timestamp,
    listen: &dyn Listen,
) -> Answers {
    let concerned: Vec<&Held> =
        catalogue.held.iter().filter(|held| held.gate.is_none_or(|gate| question.asks(gate))).collect();
    let judged: Vec<(Option<SubjectAnswer>, Vec<Unanswered>)> =
        concerned.par_iter().map(|held| judge(question, held, gates, now, listen)).collect();
    let mut answers = Answers { judged: judged.len() as u64, ..Answers::default() };
    for (subject, mut unanswered) in judged {
        answers.subjects.extend(subject);
        answers.unanswered.append(&mut unanswered);
    }
    // What is known to belong to another gate does not leave this question open.
    let open = catalogue.unanswered.iter().filter(|one| one.gate.is_none_or(|gate| question.asks(gate)));
    answers.unanswered.extend(open.cloned());
    answers.unanswered.sort();
    answers.unanswered.dedup();
    answers
}

fn judge(
    question: &Question,
    held: &Held,
    gates: &[&'static Gate],
    now: Timestamp,
    listen: &dyn Listen,
) -> (Option<SubjectAnswer>, Vec<Unanswered>) {
    if let Some(why) = held.too_old(gates) {
        return (None, vec![*why]);
    }
    let stored = match held.load() {
        Ok(stored) => stored,
        Err(why) => return (None, vec![*why]),
    };
    listen.done(0);
    let Some(config) = config(held, &stored) else {
        let why = "an earlier release stored its facts without the configuration: run it again over the files";
        return (None, vec![*held.unanswered(why.to_owned())]);
    };
    let mut open = Vec::new();
    let mut findings = Vec::new();
    let judging = Judging { config: &config, now };
    for (gate, check) in &question.checks {
        if held.gate != Some(*gate) {
            continue;
        }
        let id = check.info().id;
        let coverage = stored.facts.coverage.get(id);
        let known = stored.checks.as_ref().is_some_and(|checks| checks.iter().any(|known| known == id));
        if coverage.is_none() && !known {
            open.push(
                *held.unanswered(format!("its facts were stored before there was {id}: run it again over the files")),
            );
            continue;
        }
        let judgement = check.judge(&stored.facts, &judging);
        let mut coverage: Coverage = coverage.cloned().unwrap_or_default();
        coverage.merge(judgement.coverage);
        coverage.skipped.extend(stored.unread.iter().cloned());
        if let Some(why) = gaps(&coverage) {
            open.push(*held.unanswered(format!("{id} could not look at {why}")));
        }
        findings.extend(seal(judgement.findings).into_iter().filter(|f| question.rules.contains(f.rule.as_str())));
    }
    findings.sort_by(|a, b| (a.suppressed.is_some(), b.severity).cmp(&(b.suppressed.is_some(), a.severity)));
    if findings.is_empty() {
        return (None, open);
    }
    let last = held.entries.as_ref().map(|(_, last)| last);
    let answer = SubjectAnswer {
        project: held.project.clone(),
        name: held.name.clone(),
        kind: held.kind.map(gauntlet_core::SubjectKind::as_str),
        subject: held.subject.clone(),
        admitted: held.admitted,
        facts: held.facts.clone(),
        ledger_index: last.map(|(index, _)| *index),
        time: last.map(|(_, time)| time.clone()),
        findings,
    };
    (Some(answer), open)
}

/// The configuration that the facts were judged under. Old facts do not say it; most had none, and then the signed
/// report's digest proves it.
fn config(held: &Held, stored: &Stored) -> Option<Value> {
    if let Some(config) = &stored.config {
        return Some(config.clone());
    }
    let none = json!({});
    let whole = json!({"config": none, "limits": Limits::default(), "extractor": stored.facts.extractor,
        "extractor_version": stored.facts.version});
    let digest = canonical::digest(&whole).ok()?;
    (held.configs == BTreeSet::from([digest])).then_some(none)
}

/// What was not looked at, in words.
fn gaps(coverage: &Coverage) -> Option<String> {
    let open: BTreeSet<&Skipped> = coverage.skipped.iter().filter(|s| !s.reason.code.answered()).collect();
    let first = open.first()?;
    let place = match (first.path.as_str(), &first.member) {
        ("", None) => "the subject".to_owned(),
        (path, None) => path.to_owned(),
        (path, Some(member)) => format!("{path}!{member}"),
    };
    let more = if open.len() > 1 { format!(", and {} more", open.len() - 1) } else { String::new() };
    Some(format!("{place} ({}){more}", first.reason))
}
