//! From report to signed evidence in the ledger, and back: an answer is reused only as the signed envelope says it.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use gauntlet_core::{Digest, Facts, Input, Report, Subject, canonical, sha256_hex, write_durably};
use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Appended, Ledger};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{Signer, VerifyingKey};
use gauntlet_trust::statement::{REPORT_MEMBER, Statement, TEST_RESULT, test_result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::Task;
use crate::state::State;

/// Signs, stores and finds evidence of one project.
pub(crate) struct Evidence<'a> {
    /// The project's state folder.
    pub(crate) state: &'a State,
    /// The log.
    pub(crate) ledger: &'a Ledger,
    /// Signs.
    pub(crate) key: &'a dyn Signer,
    /// Nobody vouches for the key.
    pub(crate) local: bool,
    /// When this run judges; the record's time.
    pub(crate) now: Timestamp,
    /// Authenticates cache entries.
    pub(crate) cache_key: [u8; 32],
}

/// Keeps a subject's facts as `<folder>/<subject>/<sha256>.parquet`, and gives their digest. Facts that hold nothing are
/// not kept.
pub(crate) fn store_facts(folder: &Path, task: &Task, facts: &Facts) -> anyhow::Result<Option<Digest>> {
    let Some((path, digest, bytes)) = facts_file(folder, task, facts)? else { return Ok(None) };
    put(&path, &bytes)?;
    Ok(Some(digest))
}

/// As [`store_facts`] for a sweep that nobody signs: without waiting for the device for each of many files. What a crash
/// leaves half written does not have the digest that it is named by.
pub(crate) fn sweep_facts(folder: &Path, task: &Task, facts: &Facts) -> anyhow::Result<()> {
    let Some((path, _, bytes)) = facts_file(folder, task, facts)? else { return Ok(()) };
    if std::fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(folder))?;
        file.write_all(&bytes)?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Where a subject's facts belong in a folder that is there then, their digest and their bytes.
fn facts_file(folder: &Path, task: &Task, facts: &Facts) -> anyhow::Result<Option<(PathBuf, Digest, Vec<u8>)>> {
    if facts.rows.is_empty() && facts.coverage.is_empty() {
        return Ok(None);
    }
    let Some(name) = task.subject.digest.primary() else { return Ok(None) };
    let bytes = gauntlet_hunt::encode(task.gate, &task.subject, &task.config, &task.tree.skipped, facts)
        .with_context(|| format!("cannot store the facts of {}", task.subject.name))?;
    let digest = Digest::sha256(&bytes);
    let folder = folder.join(name.hex());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(Some((folder.join(format!("{}.parquet", digest.hex())), digest, bytes)))
}

/// Files named by their own digest are written once.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    write_durably(path, bytes, 0o644).with_context(|| format!("cannot write {}", path.display()))
}

/// A report that is in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// The answer.
    pub(crate) report: Report,
    /// SHA-256 of the envelope.
    pub(crate) envelope: String,
    /// Where it stands in the ledger.
    pub(crate) index: u64,
}

/// What a task's question was answered with, kept under the question's digest.
#[derive(Serialize, Deserialize)]
struct Answer {
    reports: Vec<AnswerReport>,
}

#[derive(Serialize, Deserialize)]
struct AnswerReport {
    envelope: String,
    index: u64,
    inputs: Vec<Input>,
}

/// An answer and the proof that this user wrote it.
#[derive(Serialize, Deserialize)]
struct Sealed {
    answer: Answer,
    mac: String,
}

impl Evidence<'_> {
    /// Signs reports, stores them with their facts, and appends them to the ledger. Evidence that is there already is
    /// not appended again.
    pub(crate) fn record(&self, task: &Task, reports: Vec<Report>, facts: &Facts) -> anyhow::Result<Vec<Recorded>> {
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let facts_digest = store_facts(&self.state.facts(), task, facts)?;
        let mut signed = Vec::new();
        for report in &reports {
            let bytes = canonical::to_vec(report)?;
            let digest = Digest::sha256(&bytes);
            put(&self.state.report(digest.hex()), &bytes)?;
            let statement = test_result(report, &digest, facts_digest.as_ref(), self.local)?;
            let envelope = statement.sign(&[self.key])?.to_json();
            let record = self.entry("report", TEST_RESULT, &report.subject, Hash::of(&envelope));
            signed.push((envelope, record));
        }
        let batch: Vec<(&[u8], Record)> =
            signed.iter().map(|(bytes, record)| (bytes.as_slice(), record.clone())).collect();
        let places = self.ledger.admit(&batch).context("cannot append to the ledger")?;
        let recorded = reports.into_iter().zip(&signed).zip(places).map(|((report, (envelope, _)), place)| Recorded {
            report,
            envelope: sha256_hex(envelope),
            index: place.index(),
        });
        Ok(recorded.collect())
    }

    /// Signs a decision's statement and appends it.
    pub(crate) fn record_decision<P: Serialize>(
        &self,
        statement: &Statement<P>,
        subject: &Subject,
    ) -> anyhow::Result<u64> {
        let envelope = statement.sign(&[self.key])?.to_json();
        let record = self.entry("decision", &statement.predicate_type, subject, Hash::of(&envelope));
        let places = self.ledger.admit(&[(envelope.as_slice(), record)]).context("cannot append to the ledger")?;
        places.first().map(Appended::index).context("the ledger did not say where the decision stands")
    }

    /// The verified statement behind an envelope of ours.
    pub(crate) fn statement(&self, envelope: &str) -> anyhow::Result<Statement> {
        let hash = Hash::from_hex(envelope).context("an envelope digest is 64 hex digits")?;
        let bytes = self.ledger.evidence().get(&hash)?.with_context(|| format!("envelope {envelope} is gone"))?;
        let envelope = Envelope::parse(&bytes)?;
        let trusted: [VerifyingKey; 1] = [self.key.verifying_key().clone()];
        let verified = envelope.verify(&trusted, NonZeroUsize::MIN)?;
        Ok(Statement::from_verified(&verified)?)
    }

    /// The answer to a question, when it is there, was written by this user, and the signed envelopes bear it out.
    pub(crate) fn cached(&self, question: &Digest, current: impl Fn(&Input) -> bool) -> Option<Vec<Recorded>> {
        let bytes = std::fs::read(self.state.cached(question.hex())).ok()?;
        let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
        if sealed.mac != self.mac(question, &sealed.answer)? {
            return None;
        }
        if !sealed.answer.reports.iter().flat_map(|r| &r.inputs).all(current) {
            return None;
        }
        sealed.answer.reports.into_iter().map(|answer| self.reuse(answer).ok()).collect()
    }

    /// Keeps the answer to a question. Inconclusive answers are never kept: what was not looked at must be looked at again.
    pub(crate) fn keep(&self, question: &Digest, recorded: &[Recorded]) -> anyhow::Result<()> {
        if recorded.iter().any(|r| !r.report.coverage.complete()) {
            return Ok(());
        }
        let reports = recorded
            .iter()
            .map(|r| AnswerReport { envelope: r.envelope.clone(), index: r.index, inputs: r.report.inputs.clone() })
            .collect();
        let answer = Answer { reports };
        let mac = self.mac(question, &answer).context("an answer always serialises")?;
        let bytes = serde_json::to_vec(&Sealed { answer, mac })?;
        write_durably(&self.state.cached(question.hex()), &bytes, 0o644).context("cannot write to the cache")
    }

    fn reuse(&self, answer: AnswerReport) -> anyhow::Result<Recorded> {
        let statement = self.statement(&answer.envelope)?;
        let member = statement.predicate.as_ref().and_then(|p| p.get(REPORT_MEMBER));
        let Some(digest) = member.and_then(|m| m.pointer("/report/sha256")).and_then(|d| d.as_str()) else {
            bail!("envelope {} names no report", answer.envelope);
        };
        let bytes = std::fs::read(self.state.report(digest))?;
        if sha256_hex(&bytes) != digest {
            bail!("report {digest} was changed");
        }
        let report: Report = serde_json::from_slice(&bytes)?;
        if !statement.is_about(&report.subject.digest) {
            bail!("report {digest} is about another subject than its statement");
        }
        Ok(Recorded { report, envelope: answer.envelope, index: answer.index })
    }

    fn entry(&self, kind: &str, predicate_type: &str, subject: &Subject, envelope: Hash) -> Record {
        Record {
            envelope: EnvelopeDigest(envelope),
            key: self.key.key_id(),
            kind: kind.to_owned(),
            predicate_type: predicate_type.to_owned(),
            subject: subject.digest.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            time: self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }

    fn mac(&self, question: &Digest, answer: &Answer) -> Option<String> {
        let bytes = canonical::to_vec(&(question, answer)).ok()?;
        Some(blake3::keyed_hash(&self.cache_key, &bytes).to_hex().to_string())
    }
}
