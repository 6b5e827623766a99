//! The question that the policy answers: do these signers together carry this act at this moment? All reasons are told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gauntlet_core::SubjectKind;
use jiff::Timestamp;

use super::TrustPolicy;
use super::people::{Identity, Person, PolicyKey};
use super::revoked::Revoked;
use super::rules::{Rule, RuleSigner};
use super::window::Outside;
use crate::moment::Moment;
use crate::statement::{APPROVAL, REVOCATION, WAIVER};

/// Somebody whose signature was verified: the key, and what a certificate that was verified says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatory {
    /// Hex SHA-256 of the key's SubjectPublicKeyInfo.
    pub key_id: String,
    /// Identities of the certificate, when the key came from one.
    pub identities: Vec<Identity>,
}

/// What was signed.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Kind of the subject, where it is known.
    pub subject: Option<SubjectKind>,
    /// Predicate type of the statement.
    pub predicate: &'a str,
    /// The environment in question.
    pub environment: Option<&'a str>,
    /// When the signatures were there.
    pub moment: &'a Moment,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// What became of each signer, in the order in which they were handed in.
    pub signers: Vec<SignerStanding>,
    /// The rule that is satisfied; empty when the policy has no rules.
    pub rule: Option<String>,
    /// Why it is not allowed; empty when it is.
    pub objections: Vec<Objection>,
}

/// What became of one signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerStanding {
    /// The key.
    pub key_id: String,
    /// The person or workload, by id.
    pub person: Option<String>,
    /// Their roles.
    pub roles: Vec<String>,
    /// Why the signature does not count; empty when it does.
    pub objections: Vec<Objection>,
}

/// Why a signature, or all of them together, do not carry an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The policy names neither the key nor an identity of its certificate.
    UnknownSigner(String),
    /// The key counts only later.
    NotYetValid(String, Timestamp, Moment),
    /// The key no longer counted.
    Expired(String, Timestamp, Moment),
    /// The key was revoked.
    KeyRevoked(String, Revoked),
    /// The environment names signers, and this is none of them.
    NotForEnvironment(String, String),
    /// No rule is about this.
    NoRule,
    /// A rule is about this, at another time.
    RuleTime(String, Outside),
    /// Too few different signers of a rule.
    Threshold {
        /// The rule.
        rule: String,
        /// Different signers whom it names and who signed.
        found: usize,
        /// How many must.
        needed: usize,
    },
}

impl Permission {
    /// Whether the act is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.objections.is_empty()
    }

    /// Whether somebody who signed, and counts, has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.counted().any(|signer| signer.roles.iter().any(|one| one == role))
    }

    /// Those whose signatures count.
    pub fn counted(&self) -> impl Iterator<Item = &SignerStanding> {
        self.signers.iter().filter(|signer| signer.objections.is_empty())
    }
}

impl Objection {
    /// The word for it in reason codes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownSigner(_) => "unknown-signer",
            Self::NotYetValid(..) => "key-not-yet-valid",
            Self::Expired(..) => "key-expired",
            Self::KeyRevoked(..) => "key-revoked",
            Self::NotForEnvironment(..) => "signer-not-for-environment",
            Self::NoRule => "no-rule",
            Self::RuleTime(..) => "rule-not-in-force",
            Self::Threshold { .. } => "threshold",
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSigner(key) => write!(f, "the trust policy does not name the key {key}"),
            Self::NotYetValid(key, from, moment) => write!(f, "the key {key} counts from {from} on, not at {moment}"),
            Self::Expired(key, until, moment) => write!(f, "the key {key} counts until {until}, not at {moment}"),
            Self::KeyRevoked(key, revoked) => {
                write!(f, "the key {key} is revoked{}: {}", since(revoked.from), revoked.reason)
            }
            Self::NotForEnvironment(key, environment) => {
                write!(f, "the key {key} is not among the signers for {environment}")
            }
            Self::NoRule => f.write_str("no rule of the trust policy allows anybody to sign this"),
            Self::RuleTime(rule, Outside::Before(from)) => write!(f, "the rule `{rule}` holds from {from} on"),
            Self::RuleTime(rule, Outside::After(until)) => write!(f, "the rule `{rule}` held until {until}"),
            Self::Threshold { rule, found, needed } if rule.is_empty() => {
                write!(f, "{found} signatures count, {needed} must")
            }
            Self::Threshold { rule, found, needed } => {
                write!(f, "{found} different signers of the rule `{rule}` signed, {needed} must")
            }
        }
    }
}

fn since(from: Option<Timestamp>) -> String {
    from.map(|from| format!(" since {from}")).unwrap_or_default()
}

impl TrustPolicy {
    /// Whether verified signatures carry an act. Different keys of one person count once, as does a key that signed twice.
    /// `more` are revocations besides those of the policy.
    #[must_use]
    pub fn permits(&self, signatories: &[Signatory], act: &Act<'_>, more: &[Revoked]) -> Permission {
        let signers: Vec<SignerStanding> =
            signatories.iter().map(|signatory| self.standing(signatory, act, more)).collect();
        let counted: BTreeMap<&str, &SignerStanding> =
            signers.iter().filter(|signer| signer.objections.is_empty()).map(|s| (s.key_id.as_str(), s)).collect();
        let Some(rules) = &self.rules else {
            let objections = match counted.len() {
                0 => vec![Objection::Threshold { rule: String::new(), found: 0, needed: 1 }],
                _ => Vec::new(),
            };
            return Permission { signers, rule: None, objections };
        };
        let mut objections = Vec::new();
        for rule in rules.iter().filter(|rule| rule.covers(act.subject, act.predicate, act.environment)) {
            if let Err(outside) = rule.window.check(act.moment.time) {
                objections.push(Objection::RuleTime(rule.name.clone(), outside));
                continue;
            }
            let different: BTreeSet<&str> =
                counted.values().filter(|signer| names(rule, signer)).map(|signer| principal(signer)).collect();
            if different.len() >= rule.threshold.get() {
                return Permission { rule: Some(rule.name.clone()), objections: Vec::new(), signers };
            }
            let (found, needed) = (different.len(), rule.threshold.get());
            objections.push(Objection::Threshold { rule: rule.name.clone(), found, needed });
        }
        if objections.is_empty() {
            objections.push(Objection::NoRule);
        }
        Permission { signers, rule: None, objections }
    }

    /// Who holds a key.
    #[must_use]
    pub fn holder(&self, key_id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.keys.iter().any(|key| key.id.eq_ignore_ascii_case(key_id)))
    }

    /// A key that the policy names, whoever holds it.
    #[must_use]
    pub fn key(&self, key_id: &str) -> Option<&PolicyKey> {
        let held = self.people.iter().flat_map(|person| &person.keys);
        held.chain(&self.loose_keys).find(|key| key.id.eq_ignore_ascii_case(key_id))
    }

    /// Who has an identity.
    #[must_use]
    pub fn identified(&self, identity: &Identity) -> Option<&Person> {
        self.people.iter().find(|person| person.identities.contains(identity))
    }

    fn standing(&self, signatory: &Signatory, act: &Act<'_>, more: &[Revoked]) -> SignerStanding {
        let key_id = signatory.key_id.to_ascii_lowercase();
        let key = self.key(&key_id);
        // A certificate's own validity was judged when its chain was; a key that is listed has the policy's window.
        let person = match key {
            Some(_) => self.holder(&key_id),
            None => signatory.identities.iter().find_map(|identity| self.identified(identity)),
        };
        let mut objections = Vec::new();
        if key.is_none() && person.is_none() {
            objections.push(Objection::UnknownSigner(key_id.clone()));
        }
        match key.map(|key| key.window.check(act.moment.time)) {
            Some(Err(Outside::Before(from))) => {
                objections.push(Objection::NotYetValid(key_id.clone(), from, act.moment.clone()));
            }
            Some(Err(Outside::After(until))) => {
                objections.push(Objection::Expired(key_id.clone(), until, act.moment.clone()));
            }
            _ => {}
        }
        let revocations = self.revoked.iter().chain(more).filter(|revoked| revoked.hits_key(&key_id, act.moment));
        objections.extend(revocations.map(|revoked| Objection::KeyRevoked(key_id.clone(), revoked.clone())));
        // Who approves, waives or revokes speaks as a person; `signers` names whose evidence counts.
        let spoken = [APPROVAL, WAIVER, REVOCATION].contains(&act.predicate);
        let environment = act.environment.filter(|_| !spoken).and_then(|name| self.environments.get_key_value(name));
        if let Some((name, Some(signers))) = environment.map(|(name, demands)| (name, &demands.signers)) {
            let named =
                signers.keys.contains(&key_id) || person.is_some_and(|person| signers.people.contains(&person.id));
            if !named {
                objections.push(Objection::NotForEnvironment(key_id.clone(), name.clone()));
            }
        } else if key.is_some() && person.is_none() && self.rules.is_none() {
            // A key without a person counts only where it is named.
            objections.push(Objection::UnknownSigner(key_id.clone()));
        }
        SignerStanding {
            key_id,
            person: person.map(|person| person.id.clone()),
            roles: person.map(|person| person.roles.clone()).unwrap_or_default(),
            objections,
        }
    }
}

/// Whom a signer counts as.
fn principal(signer: &SignerStanding) -> &str {
    signer.person.as_deref().unwrap_or(&signer.key_id)
}

fn names(rule: &Rule, signer: &SignerStanding) -> bool {
    rule.signers.iter().any(|named| match named {
        RuleSigner::Person(id) => signer.person.as_ref() == Some(id),
        RuleSigner::Role(role) => signer.roles.contains(role),
        RuleSigner::Key(id) => *id == signer.key_id,
    })
}
