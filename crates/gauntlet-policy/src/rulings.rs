//! What people said about subjects: approvals and revocations in the ledger, as far as those who said it may.

use std::num::NonZeroUsize;

use gauntlet_core::Digest;
use gauntlet_ledger::Ledger;
use gauntlet_ledger::record::Record;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::moment::Moment;
use gauntlet_trust::statement::{APPROVAL, Approval as ApprovalStatement, REVOCATION, Revocation, Statement};
use gauntlet_trust::trust_policy::{Act, Permission, Revoked, RevokedThing, Signatory, TrustPolicy};
use jiff::Timestamp;

use crate::input::Approval;

/// Approvals and revocations that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rulings {
    /// Approvals by people who hold the role.
    pub approvals: Vec<Approval>,
    /// Revocations, those of the trust policy aside.
    pub revoked: Vec<Revoked>,
}

/// Why the ledger's approvals and revocations could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RulingsError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] gauntlet_ledger::Error),
    /// A revocation that the log names is gone, so nobody can tell what it took back.
    #[error("the revocation at entry {index} of the ledger cannot be read: {problem}")]
    Revocation {
        /// Index of the entry.
        index: u64,
        /// Why.
        problem: String,
    },
}

/// Reads all approvals and revocations of a ledger. `own` are this user's keys: they are tried where the trust policy names a
/// key only by its digest, and without a trust policy their revocations count.
///
/// # Errors
/// [`RulingsError`]: what was revoked must not be unknown.
pub fn read_rulings(
    ledger: &Ledger,
    trust: Option<&TrustPolicy>,
    own: &[VerifyingKey],
    at: Timestamp,
) -> Result<Rulings, RulingsError> {
    let keys: Vec<VerifyingKey> = trust.iter().flat_map(|trust| trust.public_keys()).chain(own).cloned().collect();
    let reader = Reader { trust, keys, moment: Moment::now(at) };
    let mut rulings = Rulings::default();
    for entry in ledger.iter() {
        let (index, record) = entry?;
        match record.predicate_type.as_str() {
            APPROVAL => rulings.approvals.extend(reader.approval(ledger, index, &record)?),
            REVOCATION => rulings.revoked.extend(reader.revocation(ledger, index, &record)?),
            _ => {}
        }
    }
    Ok(rulings)
}

struct Reader<'a> {
    trust: Option<&'a TrustPolicy>,
    keys: Vec<VerifyingKey>,
    moment: Moment,
}

impl Reader<'_> {
    /// An approval that counts. One that cannot be read approves nothing.
    fn approval(&self, ledger: &Ledger, index: u64, record: &Record) -> Result<Option<Approval>, RulingsError> {
        let Some(bytes) = ledger.evidence().get(&record.envelope.0)? else { return Ok(None) };
        let Some((signatories, statement)) = self.signed(&bytes) else { return Ok(None) };
        let Ok(said) = statement.predicate_as::<ApprovalStatement>() else { return Ok(None) };
        let Some(permission) = self.permission(&signatories, &statement, Some(&said.environment)) else {
            return Ok(None);
        };
        let approver = permission.counted().find(|signer| signer.roles.contains(&said.role));
        let person = approver.and_then(|signer| signer.person.clone());
        let (true, Some(person)) = (permission.is_allowed(), person) else { return Ok(None) };
        let expires = said.expires.map(|text| text.parse::<Timestamp>());
        let Ok(expires) = expires.transpose() else { return Ok(None) };
        let Some(subject) = statement.subject.into_iter().next() else { return Ok(None) };
        Ok(Some(Approval {
            role: said.role,
            person,
            environment: said.environment,
            subject: subject.digest,
            expires,
            envelope: Digest::sha256(&bytes),
            ledger_index: index,
        }))
    }

    /// What a revocation takes back. One by somebody who may not takes back nothing.
    fn revocation(&self, ledger: &Ledger, index: u64, record: &Record) -> Result<Vec<Revoked>, RulingsError> {
        let unreadable = |problem: &str| RulingsError::Revocation { index, problem: problem.to_owned() };
        let bytes = ledger.evidence().get(&record.envelope.0)?.ok_or_else(|| unreadable("its envelope is gone"))?;
        let Some((signatories, statement)) = self.signed(&bytes) else { return Ok(Vec::new()) };
        let revoked = Revocation::of(&statement).map_err(|error| unreadable(&error.to_string()))?;
        let allowed = match self.permission(&signatories, &statement, None) {
            Some(permission) => permission.is_allowed(),
            // Without a trust policy nobody but this user is known.
            None => true,
        };
        // Whoever holds a key may say that it no longer counts.
        let own = |one: &Revoked| match &one.what {
            RevokedThing::Key(key) => signatories.iter().any(|signatory| signatory.key_id == *key),
            RevokedThing::Envelope(_) | RevokedThing::Subject(_) => false,
        };
        Ok(revoked.into_iter().filter(|one| allowed || own(one)).collect())
    }

    /// The statement of an envelope that at least one known key signed.
    fn signed(&self, bytes: &[u8]) -> Option<(Vec<Signatory>, Statement)> {
        let envelope = Envelope::parse(bytes).ok()?;
        let verified = envelope.verify(&self.keys, NonZeroUsize::MIN).ok()?;
        let signatory = |key: &&VerifyingKey| Signatory { key_id: key.key_id(), identities: Vec::new() };
        let signatories = verified.signers.iter().map(signatory).collect();
        Some((signatories, Statement::from_verified(&verified).ok()?))
    }

    fn permission(
        &self,
        signatories: &[Signatory],
        statement: &Statement,
        environment: Option<&str>,
    ) -> Option<Permission> {
        let act = Act {
            subject: statement.subject.first().and_then(|subject| subject.kind()),
            predicate: &statement.predicate_type,
            environment,
            moment: &self.moment,
        };
        Some(self.trust?.permits(signatories, &act, &[]))
    }
}
