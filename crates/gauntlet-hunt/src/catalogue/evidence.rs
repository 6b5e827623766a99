//! From a project's ledger to the facts that its signed reports name.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use gauntlet_core::{Digest, DigestSet, Gate};
use gauntlet_ledger::record::Record;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::statement::{REPORT_MEMBER, Statement, TEST_RESULT};
use rayon::prelude::*;
use serde_json::Value;

use super::{Catalogue, Held, Project, ReportEntry, Unanswered, folder};
use crate::HuntError;
use crate::stored::Form;

/// The kind of records that reports are logged under.
const REPORT: &str = "report";

/// Reads every signed report of the ledger, and which facts they rest on.
pub(super) fn read(project: &Project<'_>, gates: &[&'static Gate]) -> Result<Catalogue, HuntError> {
    let mut records = Vec::new();
    for entry in project.ledger.iter() {
        let (index, record) = entry?;
        if record.kind == REPORT && record.predicate_type == TEST_RESULT {
            records.push((index, record));
        }
    }
    let read: Vec<Result<ReportEntry, Box<Unanswered>>> =
        records.par_iter().map(|(index, record)| report(project, *index, record)).collect();
    let mut all = Catalogue::default();
    let mut held: BTreeMap<(String, String), Held> = BTreeMap::new();
    for one in read {
        match one {
            Err(why) => all.unanswered.push(*why),
            Ok(entry) => {
                let gate = gates.iter().position(|gate| gate.checks.iter().any(|check| check.info().id == entry.check));
                match &entry.facts {
                    Some(facts) => {
                        let known = held.entry((entry.subject.clone(), facts.clone()));
                        let known = known.or_insert_with(|| new(project, &entry, facts));
                        note(known, &entry, gate);
                    }
                    // A signature check and its like rest on no facts, and no rule over facts asks for them.
                    None if gate.is_none() => {}
                    None => all.unanswered.push(Unanswered {
                        project: entry.project.clone(),
                        name: entry.name.clone(),
                        subject: entry.subject.clone(),
                        facts: None,
                        ledger_index: Some(entry.index),
                        why: format!("nothing of it could be read: its report of {} rests on no facts", entry.check),
                        gate,
                    }),
                }
                all.reports.push(entry);
            }
        }
    }
    let named: BTreeSet<PathBuf> = held.values().map(|held| held.path.clone()).collect();
    let (files, _) = folder::files(&project.facts)?;
    all.not_admitted = files.into_iter().map(|file| file.path).filter(|path| !named.contains(path)).collect();
    all.held = held.into_values().collect();
    Ok(all)
}

fn new(project: &Project<'_>, entry: &ReportEntry, facts: &str) -> Held {
    let file = |ending: &str| project.facts.join(&entry.subject).join(format!("{facts}.{ending}"));
    let (parquet, json) = (file("parquet"), file("json"));
    let old = !exists(&parquet) && exists(&json);
    Held {
        project: project.name.clone(),
        subject: entry.subject.clone(),
        name: entry.name.clone(),
        kind: None,
        facts: facts.to_owned(),
        path: if old { json } else { parquet },
        form: if old { Form::Json } else { Form::Parquet },
        admitted: true,
        entries: None,
        extractor: (String::new(), 0),
        gate: None,
        configs: BTreeSet::new(),
    }
}

fn note(held: &mut Held, entry: &ReportEntry, gate: Option<usize>) {
    let this = (entry.index, entry.time.clone());
    held.entries = Some(match held.entries.take() {
        None => (this.clone(), this),
        Some((first, last)) => (first.min(this.clone()), last.max(this)),
    });
    held.gate = held.gate.or(gate);
    held.configs.extend(entry.config.clone());
    held.name.clone_from(&entry.name);
}

/// One report: its envelope is there, a known key signed it, and it speaks about the record's subject.
fn report(project: &Project<'_>, index: u64, record: &Record) -> Result<ReportEntry, Box<Unanswered>> {
    let digests: DigestSet = record.subject.clone().into_iter().collect();
    let subject = digests.primary().map(|digest| digest.hex().to_owned()).unwrap_or_default();
    let refuse = |why: String| {
        Box::new(Unanswered {
            project: project.name.clone(),
            name: String::new(),
            subject: subject.clone(),
            facts: None,
            ledger_index: Some(index),
            why,
            gate: None,
        })
    };
    let envelope = record.envelope.0;
    let bytes = project
        .ledger
        .evidence()
        .get(&envelope)
        .map_err(|error| refuse(error.to_string()))?
        .ok_or_else(|| refuse(format!("its envelope {envelope} is gone")))?;
    let parsed = Envelope::parse(&bytes).map_err(|error| refuse(format!("envelope {envelope}: {error}")))?;
    // The record says who signed; only that key is tried, and its signature decides.
    let keys: Vec<_> = project.keys.iter().filter(|key| key.key_id() == record.key).cloned().collect();
    if keys.is_empty() {
        let short = record.key.get(..12).unwrap_or(&record.key);
        return Err(refuse(format!(
            "its evidence is signed by key {short}…, which is not known here: name it with --key"
        )));
    }
    let verified =
        parsed.verify(&keys, NonZeroUsize::MIN).map_err(|error| refuse(format!("envelope {envelope}: {error}")))?;
    let statement =
        Statement::from_verified(&verified).map_err(|error| refuse(format!("envelope {envelope}: {error}")))?;
    let about = statement.subject.iter().find(|about| about.digest.matches(&digests));
    let about = about.ok_or_else(|| refuse(format!("envelope {envelope} speaks about another subject")))?;
    let member = statement.predicate.as_ref().and_then(|predicate| predicate.get(REPORT_MEMBER));
    let member = member.ok_or_else(|| refuse(format!("envelope {envelope} holds no report")))?;
    let text = |pointer: &str| member.pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned);
    let flag = |pointer: &str| member.pointer(pointer).and_then(Value::as_bool);
    let findings = member.get("findings").and_then(Value::as_object);
    Ok(ReportEntry {
        project: project.name.clone(),
        // What was signed, not what the record says.
        subject: about
            .digest
            .primary()
            .map(|digest| digest.hex().to_owned())
            .ok_or_else(|| refuse(format!("envelope {envelope} names its subject by no digest that is known here")))?,
        name: about.name.clone().unwrap_or_default(),
        check: text("/check").ok_or_else(|| refuse(format!("envelope {envelope} names no check")))?,
        check_version: member.get("check_version").and_then(Value::as_u64).unwrap_or(0),
        verdict: text("/verdict").unwrap_or_default(),
        complete: flag("/coverage/complete") == Some(true),
        findings: findings.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum()),
        index,
        time: record.time.clone(),
        key: record.key.clone(),
        local: flag("/local") != Some(false),
        envelope: envelope.to_string(),
        facts: text("/facts/sha256").filter(|hex| is_hex(hex)),
        config: text("/config_digest").and_then(|digest| digest.parse::<Digest>().ok()),
    })
}

/// A digest becomes part of a path, so it may hold nothing else.
fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
