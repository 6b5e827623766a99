//! One envelope: its signatures, its place in a log, what it says and about what.

use gauntlet_core::{Algorithm, DigestSet, SubjectKind};
use gauntlet_trust::dsse::{Envelope, IN_TOTO};
use gauntlet_trust::moment::Moment;
use gauntlet_trust::statement::{
    APPROVAL, Approval, DECISION_MEMBER, REVOCATION, Statement, TEST_RESULT, TestOutcome, TestResult,
    VERIFICATION_SUMMARY, VerificationResult, VerificationSummary, WAIVER, Waiver,
};
use gauntlet_trust::trust_policy::{Act, Permission, PredicatePattern, Revoked};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::head::{Heads, Place};
use super::reason::{self, Reason, Weight};
use super::signers::{JudgedSigner, Signed, Signers, envelope_digest};
use super::{Question, may_say_no};
use crate::bundle::Bundle;
use crate::tree::Hash;

/// What became of one envelope.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct JudgedItem {
    /// SHA-256 of its bytes.
    pub envelope: String,
    /// Predicate type of its statement; empty when it holds none.
    pub predicate_type: String,
    /// Name of its first subject.
    pub subject: Option<String>,
    /// What a decision is for.
    pub resource: Option<String>,
    /// Whether it counts.
    pub standing: Standing,
    /// Whether signatures and place in the log hold, so that what it says was really said.
    pub authentic: bool,
    /// Why it does not count, or is set aside.
    pub reasons: Vec<Reason>,
    /// Who signed.
    pub signers: Vec<JudgedSigner>,
    /// The rule of the trust policy that allows it.
    pub rule: Option<String>,
    /// When it was there.
    pub moment: JudgedMoment,
    /// Where it stands.
    pub entry: Option<JudgedEntry>,
}

/// Whether a piece of evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It counts.
    Accepted,
    /// It does not.
    Refused,
    /// Something that is needed to judge it is missing.
    Unjudged,
    /// It is about something else, or a later one takes its place.
    Aside,
}

/// A time and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JudgedMoment {
    /// RFC 3339.
    pub time: String,
    /// `clock`: nobody but the verifier. `time-stamp`, `witnesses`: proven.
    pub source: &'static str,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JudgedEntry {
    /// Name of the log.
    pub log: String,
    /// Index in it.
    pub index: u64,
}

pub(super) struct Judge<'j, 'b> {
    pub(super) question: &'j Question<'j>,
    pub(super) heads: &'j Heads<'b>,
}

/// An envelope with everything about it that does not depend on the others.
pub(super) struct Read {
    pub(super) digest: Hash,
    pub(super) statement: Option<Statement>,
    pub(super) permission: Option<Permission>,
    signed: Signed,
    entry: Option<JudgedEntry>,
    /// Why it cannot be what it must be: shape, signatures, permission, log.
    pub(super) reasons: Vec<Reason>,
    /// Those of them that are about the log.
    in_log: bool,
}

impl JudgedItem {
    /// The item in a message.
    pub(super) fn shown(&self) -> String {
        let digest: String = self.envelope.chars().take(19).collect();
        let kind = if self.predicate_type.is_empty() { "no statement" } else { self.predicate_type.as_str() };
        format!("{digest}… ({})", kind.escape_debug())
    }
}

impl Judge<'_, '_> {
    /// Reads an envelope and checks all that it can be held to alone.
    pub(super) fn read(&self, digest: Hash, bytes: &[u8], bundle: &Bundle, signers: &mut Signers<'_>) -> Read {
        let mut reasons = Vec::new();
        let places: Vec<Place<'_>> = self.heads.places(&digest).collect();
        // The best place: one whose log has its quorum.
        let place = places.iter().find(|place| place.quorum.is_none()).or(places.first());
        let witnessed = place.and_then(|place| place.moment);
        let envelope = match Envelope::parse(bytes) {
            Ok(envelope) => envelope,
            Err(error) => {
                reasons.push(Reason::new("malformed", error.to_string()));
                let signed =
                    Signed { signatories: Vec::new(), moment: Moment::now(self.question.at), reasons: Vec::new() };
                return Read { digest, statement: None, permission: None, signed, entry: None, reasons, in_log: false };
            }
        };
        let mut signed = signers.of(&digest, &envelope, bundle, witnessed);
        reasons.append(&mut signed.reasons);
        let statement = statement(&envelope, &mut reasons);
        let predicate = statement.as_ref().map_or("", |statement| statement.predicate_type.as_str());
        let permission = (!signed.signatories.is_empty()).then(|| {
            let subject = statement.as_ref().and_then(|statement| self.kind(statement));
            let environment = self.environment(statement.as_ref());
            let act = Act { subject, predicate, environment: environment.as_deref(), moment: &signed.moment };
            self.question.policy.permits(&signed.signatories, &act, &[])
        });
        let in_log = self.check_place(place, statement.as_ref(), &digest, &mut reasons);
        let entry = place.map(|place| JudgedEntry { log: place.log.to_owned(), index: place.entry.index });
        Read { digest, statement, permission, signed, entry, reasons, in_log }
    }

    /// What becomes of it, given what was revoked.
    pub(super) fn item(&self, read: Read, revoked: &[Revoked]) -> JudgedItem {
        let Read { digest, statement, signed, entry, mut reasons, in_log, .. } = read;
        let permission = (!signed.signatories.is_empty()).then(|| {
            let subject = statement.as_ref().and_then(|statement| self.kind(statement));
            let predicate = statement.as_ref().map_or("", |statement| statement.predicate_type.as_str());
            let environment = self.environment(statement.as_ref());
            let act = Act { subject, predicate, environment: environment.as_deref(), moment: &signed.moment };
            self.question.policy.permits(&signed.signatories, &act, revoked)
        });
        if let Some(permission) = permission.as_ref().filter(|permission| !permission.is_allowed()) {
            let signers = permission.signers.iter().flat_map(|signer| &signer.objections);
            reasons.extend(signers.chain(&permission.objections).map(Reason::from));
        }
        let allowed = permission.as_ref().is_some_and(Permission::is_allowed);
        // What a stamp lacks, or a stranger's certificate, matters only where the signature does not count without it.
        if allowed {
            reasons.retain(|reason| !["certificate-refused", "time-stamp-refused"].contains(&reason.code));
        }
        let authentic = allowed && in_log && reasons.is_empty();
        if let Some(statement) = &statement {
            self.content(statement, permission.as_ref(), authentic, &mut reasons);
        }
        let policy = &self.question.policy;
        for one in policy.revoked.iter().chain(revoked) {
            let envelope =
                envelope_digest(&digest).is_some_and(|envelope| one.hits_envelope(&envelope, self.question.at));
            let subjects = statement.iter().filter(|s| s.predicate_type != REVOCATION).flat_map(|s| &s.subject);
            let subject = subjects.into_iter().any(|subject| one.hits_subject(&subject.digest, self.question.at));
            if envelope || subject {
                reasons.push(reason::envelope_revoked(one));
            }
        }
        reasons.sort();
        reasons.dedup();
        let standing = self.standing(statement.as_ref(), &mut reasons);
        let standings = permission.iter().flat_map(|permission| &permission.signers);
        JudgedItem {
            envelope: format!("sha256:{digest}"),
            predicate_type: statement.as_ref().map(|one| one.predicate_type.clone()).unwrap_or_default(),
            subject: statement.as_ref().and_then(|one| one.subject.first()).and_then(|one| one.name.clone()),
            resource: statement.as_ref().and_then(resource),
            standing,
            authentic,
            reasons,
            signers: signed.signatories.iter().zip(standings).map(|(who, how)| JudgedSigner::new(who, how)).collect(),
            rule: permission.and_then(|permission| permission.rule),
            moment: shown_moment(&signed.moment),
            entry,
        }
    }

    /// The kind of its subject: that of the thing on disk when it is about that, else what the signer says.
    fn kind(&self, statement: &Statement) -> Option<SubjectKind> {
        let asked = self.question.subject.filter(|subject| about(statement, &subject.digest));
        asked.map(|subject| subject.kind).or_else(|| statement.subject.first().and_then(|one| one.kind()))
    }

    /// The environment of an act: its own, else the one in question.
    fn environment(&self, statement: Option<&Statement>) -> Option<String> {
        let own = statement.and_then(own_environment);
        own.or_else(|| self.question.environment.map(str::to_owned))
    }

    /// Checks entry against statement; gives whether it is in a log at all.
    fn check_place(
        &self,
        place: Option<&Place<'_>>,
        statement: Option<&Statement>,
        digest: &Hash,
        reasons: &mut Vec<Reason>,
    ) -> bool {
        let Some(place) = place else {
            reasons.push(self.heads.why_not(digest));
            return false;
        };
        if let Some(quorum) = place.quorum {
            reasons.push(quorum.clone());
        }
        let record = &place.entry.record;
        if let Some(statement) = statement {
            let same = record.predicate_type == statement.predicate_type
                && statement.subject.iter().any(|subject| {
                    record
                        .subject
                        .iter()
                        .any(|(name, hex)| subject.digest.iter().any(|(n, h)| n == name && h.eq_ignore_ascii_case(hex)))
                });
            if !same {
                let message =
                    format!("entry {} of {} says something else than the statement", place.entry.index, place.log);
                reasons.push(Reason::new("record-mismatch", message));
            }
        }
        true
    }

    /// What the statement itself says.
    fn content(
        &self,
        statement: &Statement,
        permission: Option<&Permission>,
        authentic: bool,
        reasons: &mut Vec<Reason>,
    ) {
        let about_asked = self.question.subject.is_none_or(|subject| about(statement, &subject.digest));
        if may_say_no(&statement.predicate_type) && authentic && about_asked && says_failed(statement) {
            reasons.push(Reason::new("says-failed", format!("{} says FAILED", named(statement))));
        }
        if statement.predicate_type == VERIFICATION_SUMMARY {
            let digest = decision_member(statement, "trust_policy");
            if digest.as_deref() != Some(self.question.policy.digest.to_string().as_str()) {
                let made = digest.unwrap_or_else(|| "none".to_owned());
                let message = format!("the decision was made under another trust policy ({})", made.escape_debug());
                reasons.push(Reason::new("other-policy", message));
            }
        }
        if let Some(packs) = self.question.packs.filter(|_| statement.predicate_type == VERIFICATION_SUMMARY) {
            let made = statement.predicate_as::<VerificationSummary>().ok().map(|summary| summary.policy.digest);
            if made.is_none_or(|made| made.get(packs.algorithm()) != Some(packs.hex())) {
                reasons.push(Reason::new(
                    "other-policy",
                    "the decision was made by other policy packs than those in force",
                ));
            }
        }
        let given = match statement.predicate_type.as_str() {
            APPROVAL => statement.predicate_as::<Approval>().ok().map(|one| (one.role, one.expires)),
            WAIVER => statement.predicate_as::<Waiver>().ok().map(|one| (one.role, Some(one.expires))),
            _ => None,
        };
        let Some((role, expires)) = given else { return };
        if !permission.is_some_and(|permission| permission.has_role(&role)) {
            reasons.push(Reason::new(
                "role-not-held",
                format!("nobody who signed it has the role `{}`", role.escape_debug()),
            ));
        }
        let expired = expires.filter(|text| text.parse::<Timestamp>().map_or(true, |end| self.question.at >= end));
        if let Some(end) = expired {
            reasons.push(Reason::new("approval-expired", format!("it ended at {end}")));
        }
    }

    fn standing(&self, statement: Option<&Statement>, reasons: &mut Vec<Reason>) -> Standing {
        if let Some(statement) = statement {
            let revocation = statement.predicate_type == REVOCATION;
            if let Some(subject) = self.question.subject.filter(|_| !revocation) {
                match statement.subject.iter().find(|one| same(&one.digest, &subject.digest)) {
                    None => {
                        *reasons = vec![Reason::new("other-subject", format!("it is not about {}", subject.name))];
                        return Standing::Aside;
                    }
                    Some(one) if one.kind().is_some_and(|kind| kind != subject.kind) => {
                        let message = format!("it calls a {} something else", subject.kind.as_str());
                        reasons.push(Reason::new("subject-kind", message));
                    }
                    Some(_) => {}
                }
            }
            if let (Some(asked), Some(own)) = (self.question.environment, own_environment(statement))
                && asked != own
            {
                *reasons = vec![Reason::new("other-environment", format!("it is for {}", own.escape_debug()))];
                return Standing::Aside;
            }
        }
        if reasons.iter().any(|reason| reason.weight() == Weight::Refuses) {
            Standing::Refused
        } else if reasons.iter().any(|reason| reason.weight() == Weight::LeavesOpen) {
            Standing::Unjudged
        } else {
            Standing::Accepted
        }
    }
}

/// The statement, for showing as long as nobody has vouched for it.
fn statement(envelope: &Envelope, reasons: &mut Vec<Reason>) -> Option<Statement> {
    if envelope.unverified_payload_type() != IN_TOTO {
        reasons.push(Reason::new("malformed", "the envelope holds no in-toto statement"));
        return None;
    }
    match Statement::parse(envelope.unverified_payload()) {
        Ok(statement) => {
            if let Err(error) = statement.check_known() {
                reasons.push(Reason::new("malformed", error.to_string()));
            }
            Some(statement)
        }
        Err(error) => {
            reasons.push(Reason::new("malformed", error.to_string()));
            None
        }
    }
}

fn about(statement: &Statement, digest: &DigestSet) -> bool {
    statement.subject.iter().any(|subject| same(&subject.digest, digest))
}

/// in-toto's rule; and where one of both binds file names, both must: the OpenSSF root alone does not.
fn same(a: &DigestSet, b: &DigestSet) -> bool {
    let names = |set: &DigestSet| set.get(Algorithm::DirHash1).is_some();
    a.matches(b) && names(a) == names(b)
}

fn says_failed(statement: &Statement) -> bool {
    match statement.predicate_type.as_str() {
        TEST_RESULT => statement.predicate_as::<TestResult>().map_or(true, |one| one.result == TestOutcome::Failed),
        VERIFICATION_SUMMARY => statement
            .predicate_as::<VerificationSummary>()
            .map_or(true, |one| one.verification_result == VerificationResult::Failed),
        _ => false,
    }
}

/// The environment that a statement names by itself.
fn own_environment(statement: &Statement) -> Option<String> {
    match statement.predicate_type.as_str() {
        APPROVAL => statement.predicate_as::<Approval>().ok().map(|one| one.environment),
        WAIVER => statement.predicate_as::<Waiver>().ok().map(|one| one.environment),
        VERIFICATION_SUMMARY => decision_member(statement, "environment"),
        _ => None,
    }
}

fn decision_member(statement: &Statement, name: &str) -> Option<String> {
    let member = statement.predicate.as_ref()?.get(DECISION_MEMBER)?;
    member.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn resource(statement: &Statement) -> Option<String> {
    let summary = statement.predicate.as_ref().filter(|_| statement.predicate_type == VERIFICATION_SUMMARY)?;
    summary.get("resourceUri").and_then(Value::as_str).map(str::to_owned)
}

fn named(statement: &Statement) -> String {
    let check =
        statement.predicate.as_ref().and_then(|one| one.pointer("/https:~1~1gauntlet.example~1report~1v1/check"));
    check
        .and_then(Value::as_str)
        .map_or_else(|| statement.predicate_type.escape_debug().to_string(), |check| check.escape_debug().to_string())
}

fn shown_moment(moment: &Moment) -> JudgedMoment {
    use gauntlet_trust::moment::MomentSource::{Clock, TimeStamp, Witnesses};
    let source = match moment.source {
        Clock => "clock",
        TimeStamp(_) => "time-stamp",
        Witnesses(_) => "witnesses",
    };
    JudgedMoment { time: moment.time.to_string(), source }
}

/// A pattern as the user wrote it.
pub(super) fn pattern_shown(pattern: &PredicatePattern) -> &str {
    match pattern {
        PredicatePattern::Exact(uri) => uri,
        PredicatePattern::Family(word) => word,
    }
}
