//! Why evidence does not count: a code that stays, a sentence for people, and whether it refuses or leaves open.

use gauntlet_core::Verdict;
use gauntlet_trust::trust_policy::{Objection, Revoked, RevokedThing};
use schemars::JsonSchema;
use serde::Serialize;

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Reason {
    /// The code, one of those in the manual.
    pub code: &'static str,
    /// What exactly.
    pub message: String,
}

/// What a reason means for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It speaks against the evidence.
    Refuses,
    /// Something that is needed to judge is missing.
    LeavesOpen,
    /// It only says why something is not looked at.
    SetsAside,
}

use Weight::{LeavesOpen, Refuses, SetsAside};

/// Every code with its weight; the manual explains each.
const TABLE: &[(&str, Weight)] = &[
    ("approval-expired", Refuses),
    ("bad-signature", Refuses),
    ("certificate-refused", Refuses),
    ("evidence-refused", Refuses),
    ("evidence-unjudged", LeavesOpen),
    ("head-age-unknown", LeavesOpen),
    ("key-expired", Refuses),
    ("key-not-yet-valid", Refuses),
    ("key-revoked", Refuses),
    ("key-unavailable", LeavesOpen),
    ("log-refused", Refuses),
    ("malformed", Refuses),
    ("no-evidence", Refuses),
    ("no-log-key", LeavesOpen),
    ("no-rule", Refuses),
    ("not-in-log", Refuses),
    ("nothing-accepted", Refuses),
    ("nothing-applies", Refuses),
    ("other-environment", SetsAside),
    ("other-policy", Refuses),
    ("other-subject", SetsAside),
    ("record-mismatch", Refuses),
    ("required-missing", Refuses),
    ("required-unjudged", LeavesOpen),
    ("revoked", Refuses),
    ("role-not-held", Refuses),
    ("rule-not-in-force", Refuses),
    ("says-failed", Refuses),
    ("signer-not-for-environment", Refuses),
    ("stale-head", LeavesOpen),
    ("subject-kind", Refuses),
    ("subject-revoked", Refuses),
    ("superseded", SetsAside),
    ("threshold", Refuses),
    ("time-stamp-refused", SetsAside),
    ("too-costly", LeavesOpen),
    ("unknown-log", Refuses),
    ("unknown-signer", Refuses),
    ("witness-quorum", Refuses),
];

/// All codes, sorted.
pub const CODES: &[&str] = &{
    let mut codes = [""; TABLE.len()];
    let mut index = 0;
    while index < TABLE.len() {
        codes[index] = TABLE[index].0;
        index += 1;
    }
    codes
};

impl Reason {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A code that is in no table would refuse: what nobody thought of is no pass.
    pub(super) fn weight(&self) -> Weight {
        TABLE.iter().find(|(code, _)| *code == self.code).map_or(Refuses, |(_, weight)| *weight)
    }
}

impl From<&Objection> for Reason {
    fn from(objection: &Objection) -> Self {
        Self::new(objection.code(), objection.to_string())
    }
}

/// The worst of all reasons.
pub(super) fn verdict(reasons: &[Reason]) -> Verdict {
    let any = |weight| reasons.iter().any(|reason| reason.weight() == weight);
    if any(Refuses) {
        Verdict::Fail
    } else if any(LeavesOpen) {
        Verdict::Error
    } else {
        Verdict::Pass
    }
}

pub(super) fn subject_revoked(name: &str, revoked: &Revoked) -> Reason {
    Reason::new("subject-revoked", format!("{name} is revoked{}", told(revoked)))
}

pub(super) fn envelope_revoked(revoked: &Revoked) -> Reason {
    let what = if matches!(revoked.what, RevokedThing::Envelope(_)) { "it" } else { "its subject" };
    Reason::new("revoked", format!("{what} is revoked{}", told(revoked)))
}

fn told(revoked: &Revoked) -> String {
    let since = revoked.from.map(|from| format!(" since {from}")).unwrap_or_default();
    format!("{since}: {}", revoked.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_each_stands_once() {
        assert!(CODES.windows(2).all(|pair| pair[0] < pair[1]), "{CODES:?}");
    }

    #[test]
    fn a_refusal_outweighs_an_open_question() {
        let reasons = |codes: &[&'static str]| codes.iter().map(|code| Reason::new(code, "")).collect::<Vec<_>>();
        for (codes, expected) in [
            (&[][..], Verdict::Pass),
            (&["superseded"], Verdict::Pass),
            (&["stale-head"], Verdict::Error),
            (&["stale-head", "revoked"], Verdict::Fail),
            (&["of a later version"], Verdict::Fail),
        ] {
            assert_eq!(verdict(&reasons(codes)), expected, "{codes:?}");
        }
    }

    /// The manual explains every code, and none that there is not.
    #[test]
    fn the_manual_has_every_code() {
        let page = include_str!("../../../../docs/src/guide/verifying-evidence.md");
        let rows: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(code, _)| code).collect();
        assert_eq!(rows, CODES);
    }
}
