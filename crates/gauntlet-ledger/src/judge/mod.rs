//! Judging evidence by a trust policy, with nothing else: who signed, whether they may, whether it is in a trusted log, and
//! whether anything of it was revoked. All reasons are told; nothing that a bundle holds is a root of trust.

mod head;
mod item;
mod local;
mod reason;
mod revocations;
mod signers;

use std::collections::BTreeMap;

use gauntlet_core::{Digest, Subject, Verdict};
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::statement::{REVOCATION, TEST_RESULT, VERIFICATION_SUMMARY};
use gauntlet_trust::trust_policy::{PredicatePattern, TrustPolicy};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::bundle::Bundle;
use crate::note::VerifierKey;

use self::head::Heads;
use self::item::Judge;
use self::signers::Signers;

pub use head::{HeadTime, JudgedHead};
pub use item::{JudgedEntry, JudgedItem, JudgedMoment, Standing};
pub use local::gather;
pub use reason::{CODES, Reason};
pub use revocations::JudgedRevocation;
pub use signers::JudgedSigner;

/// What is asked about a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// By whose word anything counts.
    pub policy: &'a TrustPolicy,
    /// The moment of judging.
    pub at: Timestamp,
    /// What the subject is wanted for.
    pub environment: Option<&'a str>,
    /// What lies on disk; evidence about anything else is set aside.
    pub subject: Option<&'a Subject>,
    /// Predicate types of which there must be accepted evidence. Without any, all evidence must be accepted.
    pub require: &'a [PredicatePattern],
    /// Keys that the policy names only by their digest.
    pub keys: &'a [VerifyingKey],
    /// Log keys that count besides those of the policy.
    pub logs: &'a [VerifierKey],
    /// SHA-256 of the packs that a decision must have been made by, where it is known.
    pub packs: Option<&'a Digest>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Judgement {
    /// Version of this object: 1.
    pub schema: u32,
    /// `pass`, `fail`, or `error` when it could not be judged.
    pub verdict: Verdict,
    /// What speaks against all of it; empty with `pass`.
    pub reasons: Vec<Reason>,
    /// SHA-256 of the trust policy.
    pub policy_digest: String,
    /// The moment of judging, RFC 3339.
    pub time: String,
    /// The checkpoints against which revocation was judged.
    pub checkpoints: Vec<JudgedHead>,
    /// Revocations that counted, those of the trust policy aside.
    pub revocations: Vec<JudgedRevocation>,
    /// Each envelope of the bundle.
    pub items: Vec<JudgedItem>,
}

/// Judges everything in a bundle.
#[must_use]
pub fn judge(bundle: &Bundle, question: &Question<'_>) -> Judgement {
    let heads = Heads::read(bundle, question);
    let mut signers = Signers::new(bundle, question);
    let judge = Judge { question, heads: &heads };
    let read: Vec<item::Read> =
        bundle.envelopes.iter().map(|(digest, bytes)| judge.read(*digest, bytes, bundle, &mut signers)).collect();
    // Revocations first: they may take away what is judged after. None can take away another, else the newest would win.
    let (revoked, revocations) = judge.revocations(&read);
    let mut items: Vec<JudgedItem> = read.into_iter().map(|read| judge.item(read, &revoked)).collect();
    judge.superseded(&mut items);
    let mut reasons = heads.reasons();
    reasons.extend(overall(&items, question));
    if let Some(subject) = question.subject {
        let hit =
            question.policy.revoked.iter().chain(&revoked).filter(|one| one.hits_subject(&subject.digest, question.at));
        reasons.extend(hit.map(|one| reason::subject_revoked(&subject.name, one)));
    }
    reasons.sort();
    reasons.dedup();
    Judgement {
        schema: 1,
        verdict: reason::verdict(&reasons),
        reasons,
        policy_digest: question.policy.digest.to_string(),
        time: question.at.to_string(),
        checkpoints: heads.into_shown(),
        revocations,
        items,
    }
}

/// What the items together amount to.
fn overall(items: &[JudgedItem], question: &Question<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if items.is_empty() {
        reasons.push(Reason::new("no-evidence", "the bundle holds no evidence"));
    } else if items.iter().all(|item| item.standing == Standing::Aside) {
        reasons.push(Reason::new("nothing-applies", "nothing in the bundle is about this subject and environment"));
    }
    // A report that says no counts against its subject, whoever asks for what.
    let says_no = items.iter().flat_map(|item| item.reasons.iter().filter(|one| one.code == "says-failed"));
    reasons.extend(says_no.cloned());
    if question.require.is_empty() {
        for item in items {
            let worst = match item.standing {
                Standing::Refused => Reason::new("evidence-refused", format!("{} is refused", item.shown())),
                Standing::Unjudged => Reason::new("evidence-unjudged", format!("{} could not be judged", item.shown())),
                Standing::Accepted | Standing::Aside => continue,
            };
            reasons.push(worst);
        }
        let accepted =
            items.iter().any(|item| item.standing == Standing::Accepted && item.predicate_type != REVOCATION);
        if !accepted && !items.is_empty() {
            reasons.push(Reason::new("nothing-accepted", "no evidence in the bundle is accepted"));
        }
        return reasons;
    }
    for wanted in question.require {
        let of_type: Vec<&JudgedItem> = items.iter().filter(|item| wanted.matches(&item.predicate_type)).collect();
        let any = |standing| of_type.iter().any(|item| item.standing == standing);
        if any(Standing::Accepted) {
            continue;
        }
        let name = item::pattern_shown(wanted);
        reasons.push(if any(Standing::Unjudged) {
            Reason::new("required-unjudged", format!("evidence of type {name} is there and could not be judged"))
        } else {
            Reason::new("required-missing", format!("there is no accepted evidence of type {name}"))
        });
    }
    reasons
}

impl Judge<'_, '_> {
    /// Of several decisions for one place the last in its log counts; an earlier refusal is history.
    fn superseded(&self, items: &mut [JudgedItem]) {
        let mut newest: BTreeMap<(String, String), u64> = BTreeMap::new();
        let place = |item: &JudgedItem| {
            let entry = item.entry.as_ref()?;
            let decided = item.predicate_type == VERIFICATION_SUMMARY && item.standing != Standing::Aside;
            decided.then(|| ((entry.log.clone(), item.resource.clone().unwrap_or_default()), entry.index))
        };
        for (key, index) in items.iter().filter(|item| item.authentic).filter_map(place) {
            let kept = newest.entry(key).or_insert(index);
            *kept = index.max(*kept);
        }
        for item in items {
            if let Some((key, index)) = place(item)
                && newest.get(&key).is_some_and(|newest| index < *newest)
            {
                item.standing = Standing::Aside;
                item.reasons = vec![Reason::new("superseded", "a later decision for the same place is in the log")];
            }
        }
    }
}

/// Whether a predicate type can say no by itself.
fn may_say_no(predicate_type: &str) -> bool {
    predicate_type == TEST_RESULT || predicate_type == VERIFICATION_SUMMARY
}

#[cfg(test)]
mod tests;
