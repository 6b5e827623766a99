//! Logs of a bundle: whether a trusted log signed the checkpoint, who cosigned it, and how old it is.

use std::collections::{BTreeMap, HashMap};

use gauntlet_trust::moment::{Moment, MomentSource};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
use super::reason::Reason;
use crate::bundle::{Bundle, BundleError, LoggedEntry, VerifiedLog};
use crate::note::VerifierKey;
use crate::record::Record;
use crate::tree::Hash;

/// A checkpoint that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JudgedHead {
    /// Name of the log.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Root hash, base64.
    pub root: String,
    /// How old it is at most; null when nothing says so.
    pub time: Option<HeadTime>,
    /// Witnesses of the trust policy who cosigned it.
    pub witnesses: Vec<String>,
    /// Whether every entry up to it is in the bundle, so that no revocation can have been left out.
    pub complete: bool,
}

/// When a checkpoint was the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HeadTime {
    /// RFC 3339.
    pub time: String,
    /// `witnesses`, or `entry`: the newest entry in the bundle, which only the log vouches for.
    pub source: &'static str,
}

/// All logs of a bundle.
pub(super) struct Heads<'b> {
    logs: Vec<Head<'b>>,
    /// Where each envelope stands: which log, which of its entries.
    index: HashMap<Hash, Vec<(usize, usize)>>,
    refused: BTreeMap<String, Reason>,
    /// Envelopes that only refused logs name, and which log.
    named: HashMap<Hash, String>,
    freshness: Option<u64>,
    at: Timestamp,
}

struct Head<'b> {
    log: VerifiedLog<'b>,
    witnesses: Vec<String>,
    /// What a quorum proves about entries: they were there by then.
    moment: Option<Moment>,
    /// When the head was still the newest, and by whose word.
    time: Option<(Timestamp, &'static str)>,
    /// Why entries of this log do not count.
    quorum: Option<Reason>,
}

/// Where an envelope stands in a log.
pub(super) struct Place<'h> {
    pub(super) log: &'h str,
    pub(super) entry: &'h LoggedEntry<'h>,
    pub(super) moment: Option<&'h Moment>,
    pub(super) quorum: Option<&'h Reason>,
}

impl<'b> Heads<'b> {
    pub(super) fn read(bundle: &'b Bundle, question: &Question<'_>) -> Self {
        let policy = question.policy;
        let parse = |texts: &mut dyn Iterator<Item = &str>| -> Vec<VerifierKey> {
            texts.filter_map(|text| VerifierKey::parse(text).ok()).collect()
        };
        let mut logs = parse(&mut policy.logs.iter().map(|key| key.as_str()));
        logs.extend(question.logs.iter().cloned());
        let witnesses = parse(&mut policy.witnesses.iter().flat_map(|list| &list.keys).map(|key| key.as_str()));
        let (verified, refused) = bundle.verify_logs(&logs, &witnesses);
        let refused: BTreeMap<String, Reason> =
            refused.into_iter().map(|log| (log.origin, why_refused(&log.reason, logs.is_empty()))).collect();
        let logs: Vec<Head<'_>> = verified.into_iter().map(|log| Head::new(log, question)).collect();
        let mut index: HashMap<Hash, Vec<(usize, usize)>> = HashMap::new();
        for (log, head) in logs.iter().enumerate() {
            for (entry, logged) in head.log.entries.iter().enumerate() {
                index.entry(logged.record.envelope.0).or_default().push((log, entry));
            }
        }
        let mut named = HashMap::new();
        for (origin, part) in bundle.logs.iter().filter(|(origin, _)| refused.contains_key(*origin)) {
            let records = part.entries.values().filter_map(|entry| Record::parse(&entry.entry).ok());
            named.extend(records.map(|record| (record.envelope.0, origin.clone())));
        }
        Self { logs, index, refused, named, freshness: policy.freshness_seconds, at: question.at }
    }

    /// Every place at which a trusted log names an envelope.
    pub(super) fn places(&self, envelope: &Hash) -> impl Iterator<Item = Place<'_>> {
        self.index.get(envelope).into_iter().flatten().filter_map(|(log, entry)| {
            let head = self.logs.get(*log)?;
            let entry = head.log.entries.get(*entry)?;
            let log = head.log.checkpoint.checkpoint.origin.as_str();
            Some(Place { log, entry, moment: head.moment.as_ref(), quorum: head.quorum.as_ref() })
        })
    }

    /// Why an envelope stands in no trusted log: the log that names it was refused, or none names it.
    pub(super) fn why_not(&self, envelope: &Hash) -> Reason {
        let refused = self.named.get(envelope).and_then(|origin| self.refused.get(origin));
        refused.cloned().unwrap_or_else(|| {
            Reason::new("not-in-log", "no entry of a trusted log in the bundle names it, so it did not happen")
        })
    }

    /// What speaks against the logs themselves. A log that was tampered with refuses, whatever was asked for.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.refused.values().filter(|one| one.code == "log-refused").cloned().collect();
        let Some(freshness) = self.freshness else { return reasons };
        for head in &self.logs {
            let origin = &head.log.checkpoint.checkpoint.origin;
            let Some((time, _)) = head.time else {
                let message = format!(
                    "nothing says how old the checkpoint of {origin} is, and the trust policy sets a freshness"
                );
                reasons.push(Reason::new("head-age-unknown", message));
                continue;
            };
            let age = self.at.as_second().saturating_sub(time.as_second());
            if u64::try_from(age).unwrap_or(0) > freshness {
                let message = format!(
                    "the checkpoint of {origin} is of {time}, {age} s before {}; the trust policy allows {freshness} s: \
                     ask for a newer bundle",
                    self.at
                );
                reasons.push(Reason::new("stale-head", message));
            }
        }
        reasons
    }

    pub(super) fn into_shown(self) -> Vec<JudgedHead> {
        let shown = |head: Head<'_>| {
            let checkpoint = &head.log.checkpoint.checkpoint;
            JudgedHead {
                origin: checkpoint.origin.clone(),
                size: checkpoint.size,
                root: checkpoint.root.to_base64(),
                time: head.time.map(|(time, source)| HeadTime { time: time.to_string(), source }),
                witnesses: head.witnesses,
                complete: head.log.complete,
            }
        };
        self.logs.into_iter().map(shown).collect()
    }
}

fn why_refused(error: &BundleError, no_key_at_all: bool) -> Reason {
    match error {
        BundleError::UnknownLog { origin } if no_key_at_all => {
            let way_out = format!("give the key of {origin} with --log-key, or under `logs`");
            Reason::new("no-log-key", format!("the trust policy names no log: {way_out}"))
        }
        BundleError::UnknownLog { origin } => {
            Reason::new("unknown-log", format!("the trust policy does not name the log {origin}"))
        }
        other => Reason::new("log-refused", other.to_string()),
    }
}

impl<'b> Head<'b> {
    fn new(log: VerifiedLog<'b>, question: &Question<'_>) -> Self {
        let signatures = &log.checkpoint.signatures;
        let mut times: Vec<(Timestamp, String)> = signatures
            .iter()
            .filter_map(|signature| {
                let seconds = i64::try_from(signature.time?).ok()?;
                Some((Timestamp::from_second(seconds).ok()?, signature.key.name().to_owned()))
            })
            .collect();
        times.sort();
        let names: Vec<String> = times.iter().map(|(_, name)| name.clone()).collect();
        let Some(witnesses) = &question.policy.witnesses else {
            let time = newest_entry(&log).map(|time| (time, "entry"));
            return Self { log, witnesses: names, moment: None, time, quorum: None };
        };
        let quorum = witnesses.quorum.get();
        if times.len() < quorum {
            let origin = &log.checkpoint.checkpoint.origin;
            let message =
                format!("{} trusted witnesses cosigned the checkpoint of {origin}, {quorum} must", times.len());
            let reason = Some(Reason::new("witness-quorum", message));
            return Self { log, witnesses: names, moment: None, time: None, quorum: reason };
        }
        // With k of them at or before a time, the entries were there by then; with k of them at or after a time, the head was
        // still the newest then. One witness with a wrong clock moves neither.
        let existed = times.get(quorum - 1).map(|(time, _)| *time);
        let newest = times.get(times.len() - quorum).map(|(time, _)| (*time, "witnesses"));
        // What lies behind the moment of judging proves nothing for it.
        let moment = existed
            .filter(|time| *time <= question.at)
            .map(|time| Moment { time, source: MomentSource::Witnesses(names.clone()) });
        Self { log, witnesses: names, moment, time: newest, quorum: None }
    }
}

/// The time of the newest entry, by the word of whoever appended it.
fn newest_entry(log: &VerifiedLog<'_>) -> Option<Timestamp> {
    log.entries.iter().filter_map(|entry| entry.record.time.parse::<Timestamp>().ok()).max()
}
