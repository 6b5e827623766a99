//! The trust policy: what an organisation demands of every project, and whom it believes. Lies outside projects.
//!
//! Here it is read and checked. [`TrustPolicy::permits`] answers who may sign what; [`PolicyBundle`] is the policy signed by
//! the keys of its predecessor; [`KnownVersions`] remembers the newest one that was seen.

mod bundle;
mod document;
mod floors;
mod memory;
mod people;
mod permission;
mod revoked;
mod rules;
mod vkey;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use gauntlet_core::project::Risk;
use gauntlet_core::yaml::{self, Located};
use gauntlet_core::{ConfigError, Digest, nearest};

use self::document::{AuthorityDocument, Document, EnvironmentDocument, RootDocument, WitnessesDocument};
use self::people::{Named, People};
use crate::keys::VerifyingKey;
use crate::x509::{Certificate, Roots};

pub use bundle::{BundleError, Missing, PAYLOAD_TYPE, PolicyBundle, VerifiedPolicy};
pub use floors::TestFloors;
pub use memory::{KnownVersions, MemoryError};
pub use people::{Identity, Person, PolicyKey};
pub use permission::{Act, Objection, Permission, Signatory, SignerStanding};
pub use revoked::{Revoked, RevokedThing};
pub use rules::{PredicatePattern, Rule, RuleSigner};
pub use vkey::{Vkey, VkeyKind};
pub use window::{Outside, Window};

/// A checked trust policy.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustPolicy {
    /// Name of the organisation.
    pub name: String,
    /// SHA-256 of the text's bytes, signed or not.
    pub digest: Digest,
    /// Number of this text among its successors, from 1.
    pub version_number: Option<u64>,
    /// SHA-256 of the text before this one.
    pub previous: Option<Digest>,
    /// Who may sign this text and its successor.
    pub root: Option<Root>,
    /// What each environment demands.
    pub environments: BTreeMap<String, TrustEnvironment>,
    /// Who may sign and approve, workloads included.
    pub people: Vec<Person>,
    /// Keys that rules and environments name and nobody holds.
    pub loose_keys: Vec<PolicyKey>,
    /// Who may sign what; `None`: everybody under `people` may sign anything.
    pub rules: Option<Vec<Rule>>,
    /// Certificate authorities for signers with certificates.
    pub authorities: Vec<Authority>,
    /// Authorities whose RFC 3161 time stamps count.
    pub time_stamp_authorities: Vec<Authority>,
    /// Keys of the logs whose entries count.
    pub logs: Vec<Vkey>,
    /// Who has to have cosigned the head of a log.
    pub witnesses: Option<Witnesses>,
    /// Seconds that the ledger's head may be old.
    pub freshness_seconds: Option<u64>,
    /// How hard models must be tested, in every environment.
    pub tests: TestFloors,
    /// What no longer counts.
    pub revoked: Vec<Revoked>,
}

/// What an organisation demands of an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustEnvironment {
    /// The risk class that every project is held to at least.
    pub minimum_risk: Option<Risk>,
    /// Packs that always apply.
    pub packs: Vec<String>,
    /// Roles that always have to approve.
    pub approvals: Vec<String>,
    /// Whether models meet people here, when said.
    pub production: Option<bool>,
    /// Whose evidence counts, when it names any.
    pub signers: Option<Signers>,
    /// How hard models must be tested for here, the floors of the whole file included.
    pub tests: TestFloors,
}

/// Whose evidence counts in an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    /// Ids of people and workloads, with all their keys and identities.
    pub people: Vec<String>,
    /// Ids of single keys.
    pub keys: Vec<String>,
}

/// Who may sign a trust policy and its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// How many different of them have to sign.
    pub threshold: NonZeroUsize,
    /// The keys, and for whom each counts: an id of a person, or the key's own id.
    pub keys: Vec<(String, VerifyingKey)>,
}

/// A certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Short name.
    pub name: String,
    /// Root certificates.
    pub certificates: Vec<Certificate>,
}

/// Who has to have cosigned the head of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnesses {
    /// How many different of them.
    pub quorum: NonZeroUsize,
    /// Their keys.
    pub keys: Vec<Vkey>,
}

impl TrustPolicy {
    /// Reads a trust policy. `known_packs` are the packs that can be asked for.
    ///
    /// # Errors
    /// Everything that is wrong with it, with places.
    pub fn parse(file: &str, bytes: &[u8], known_packs: &[&str]) -> Result<Self, Vec<ConfigError>> {
        Self::read(file, bytes, Some(known_packs))
    }

    /// As [`Self::parse`]; `None` takes any pack, for predecessors that knew packs which are gone.
    fn read(file: &str, bytes: &[u8], known_packs: Option<&[&str]>) -> Result<Self, Vec<ConfigError>> {
        let document: Document = yaml::parse(file, bytes).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        if document.version.value != 1 {
            let message = format!("version {} is not known; this program reads version 1", document.version.value);
            errors.push(document.version.error(file, message));
        }
        if document.name.value.trim().is_empty() {
            errors.push(document.name.error(file, "the name is empty"));
        }
        let (version_number, previous) = versions(file, &document, &mut errors);
        let mut people = People::read(file, &document, &mut errors);
        let tests = document.tests.check(file, &mut errors);
        let mut environments = BTreeMap::new();
        for (name, environment) in &document.environments {
            let demands = self::environment(file, environment, &mut people, known_packs, tests, &mut errors);
            environments.insert(name.clone(), demands);
        }
        let root = document.root.as_ref().and_then(|root| self::root(file, root, &mut people, &mut errors));
        let rules = rules(file, &document, &mut people, &mut errors);
        let freshness_seconds = document.freshness.as_ref().and_then(|text| {
            let seconds = seconds(&text.value);
            if seconds.is_none() {
                let message = format!("`{}` is no time span: write a whole number and s, m, h or d", text.value);
                errors.push(text.error(file, message));
            }
            seconds
        });
        let logs = vkeys(file, &document.logs, VkeyKind::Log, &mut errors);
        let witnesses = document.witnesses.as_ref().and_then(|list| self::witnesses(file, list, &mut errors));
        let authorities = self::authorities(file, &document.authorities, &mut errors);
        let time_stamp_authorities = self::authorities(file, &document.time_stamp_authorities, &mut errors);
        let revoked: Vec<Revoked> =
            document.revoked.iter().filter_map(|entry| Revoked::read(file, entry, &mut errors)).collect();
        if let (Some(document), Some(root)) = (&document.root, &root) {
            root_is_sound(file, document, root, &revoked, &mut errors);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            name: document.name.value,
            digest: Digest::sha256(bytes),
            version_number,
            previous,
            root,
            environments,
            people: people.list,
            loose_keys: people.loose,
            rules,
            authorities,
            time_stamp_authorities,
            logs,
            witnesses,
            freshness_seconds,
            tests,
            revoked,
        })
    }

    /// The ids of all keys whose evidence counts in an environment; `None` when it names no signers.
    #[must_use]
    pub fn signer_keys(&self, environment: &str) -> Option<Vec<String>> {
        let signers = self.environments.get(environment)?.signers.as_ref()?;
        let named = self.people.iter().filter(|person| signers.people.contains(&person.id));
        let held = named.flat_map(|person| person.keys.iter().map(|key| key.id.clone()));
        Some(held.chain(signers.keys.iter().cloned()).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// All keys that the policy holds whole, and not only by their digest.
    pub fn public_keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        let held = self.people.iter().flat_map(|person| &person.keys);
        let root = self.root.iter().flat_map(|root| root.keys.iter().map(|(_, key)| key));
        held.chain(&self.loose_keys).filter_map(|key| key.public.as_ref()).chain(root)
    }

    /// The JSON Schema of the file, for editors.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Document)
    }
}

/// An error when no pack of that name is known.
#[must_use]
pub fn unknown_pack(file: &str, pack: &Located<String>, known: &[&str]) -> Option<ConfigError> {
    if known.contains(&pack.value.as_str()) {
        return None;
    }
    let hint = match nearest(&pack.value, known.iter().copied()) {
        Some(name) => format!(", did you mean `{name}`?"),
        None => format!(", known are {}", known.join(", ")),
    };
    Some(pack.error(file, format!("unknown pack `{}`{hint}", pack.value)))
}

fn versions(file: &str, document: &Document, errors: &mut Vec<ConfigError>) -> (Option<u64>, Option<Digest>) {
    let number = document.version_number.as_ref();
    let previous = document.previous.as_ref().and_then(|text| match text.value.parse::<Digest>() {
        Ok(digest) if digest.algorithm() == gauntlet_core::Algorithm::Sha256 => Some(digest),
        _ => {
            errors.push(text.error(file, "`previous` is `sha256:` and the 64 hex digits of the text before this one"));
            None
        }
    });
    match (number.map(|number| number.value), &document.previous) {
        (Some(0), _) => errors.extend(number.map(|number| number.error(file, "version numbers begin with 1"))),
        (Some(1), Some(text)) => errors.push(text.error(file, "version number 1 has no predecessor")),
        (None, Some(text)) => errors.push(text.error(file, "a text with a predecessor needs a `version_number`")),
        (Some(2..), None) => {
            errors.extend(number.map(|number| number.error(file, "from version number 2 on name the `previous` text")));
        }
        _ => {}
    }
    (number.map(|number| number.value), previous)
}

fn environment(
    file: &str,
    document: &EnvironmentDocument,
    people: &mut People,
    known_packs: Option<&[&str]>,
    tests: TestFloors,
    errors: &mut Vec<ConfigError>,
) -> TrustEnvironment {
    if let Some(known) = known_packs {
        errors.extend(document.packs.iter().filter_map(|pack| unknown_pack(file, pack, known)));
    }
    for role in &document.approvals {
        let able = |person: &Person| !person.keys.is_empty() || !person.identities.is_empty();
        if !people.list.iter().any(|person| person.roles.contains(&role.value) && able(person)) {
            let message =
                format!("nobody under `people` has a key and the role `{}`, so nothing could pass", role.value);
            errors.push(role.error(file, message));
        }
    }
    let signers = document.signers.as_ref().map(|list| {
        let mut signers = Signers::default();
        for name in list {
            match people.named(file, name) {
                Ok(Named::Person(id)) => signers.people.push(id),
                Ok(Named::Key(id)) => signers.keys.push(id),
                Err(error) => errors.push(error),
            }
        }
        signers
    });
    let values = |list: &[Located<String>]| list.iter().map(|item| item.value.clone()).collect();
    TrustEnvironment {
        minimum_risk: document.minimum_risk,
        packs: values(&document.packs),
        approvals: values(&document.approvals),
        production: document.production,
        signers,
        tests: tests.tightened(document.tests.check(file, errors)),
    }
}

fn root(file: &str, document: &RootDocument, people: &mut People, errors: &mut Vec<ConfigError>) -> Option<Root> {
    let before = errors.len();
    let mut keys: Vec<(String, VerifyingKey)> = Vec::new();
    for name in &document.keys {
        let found: Vec<PolicyKey> = match people.named(file, name) {
            Ok(Named::Person(id)) => people.by_id(&id).map(|person| person.keys.clone()).unwrap_or_default(),
            Ok(Named::Key(id)) => people.key(&id).cloned().into_iter().collect(),
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for key in found {
            match key.public {
                Some(public) if keys.iter().all(|(_, known)| *known != public) => {
                    keys.push((people.principal(&key.id).to_owned(), public));
                }
                Some(_) => errors.push(name.error(file, format!("the key {} is named twice", key.id))),
                None => {
                    let message = "a root key is given as PEM: by its digest alone it could verify nothing";
                    errors.push(name.error(file, message));
                }
            }
        }
    }
    let different: BTreeSet<&str> = keys.iter().map(|(principal, _)| principal.as_str()).collect();
    let threshold = usize::try_from(document.threshold.value).ok().and_then(NonZeroUsize::new);
    match threshold {
        None => errors.push(document.threshold.error(file, "a threshold is at least 1")),
        Some(needed) if needed.get() > different.len() && errors.len() == before => {
            let message = format!("{} root signers never reach a threshold of {needed}", different.len());
            errors.push(document.threshold.error(file, message));
        }
        Some(_) => {}
    }
    let threshold = threshold?;
    (errors.len() == before).then_some(Root { threshold, keys })
}

/// A revoked key must not be able to name its successors.
fn root_is_sound(file: &str, document: &RootDocument, root: &Root, revoked: &[Revoked], errors: &mut Vec<ConfigError>) {
    for (_, key) in &root.keys {
        let id = key.key_id();
        if revoked.iter().any(|entry| entry.what == RevokedThing::Key(id.clone())) {
            errors.push(document.threshold.error(file, format!("the root key {id} is revoked further down")));
        }
    }
}

fn rules(file: &str, document: &Document, people: &mut People, errors: &mut Vec<ConfigError>) -> Option<Vec<Rule>> {
    let environments: BTreeSet<&str> = document.environments.keys().map(String::as_str).collect();
    let documents = document.rules.as_ref()?;
    let mut names = BTreeSet::new();
    for rule in documents {
        if rule.name.value.trim().is_empty() || !names.insert(rule.name.value.as_str()) {
            errors.push(rule.name.error(file, format!("rule name `{}` is empty or used twice", rule.name.value)));
        }
    }
    Some(documents.iter().filter_map(|rule| Rule::read(file, rule, people, &environments, errors)).collect())
}

fn vkeys(file: &str, texts: &[Located<String>], kind: VkeyKind, errors: &mut Vec<ConfigError>) -> Vec<Vkey> {
    let mut keys: Vec<Vkey> = Vec::new();
    for text in texts {
        match Vkey::parse(&text.value) {
            Ok(key) if key.kind() != kind => {
                let wanted = if kind == VkeyKind::Log { "a log's, type 0x01" } else { "a witness's, type 0x04" };
                errors.push(text.error(file, format!("this is no such key: {wanted}, is wanted")));
            }
            // One key under two names would count twice.
            Ok(key) if keys.iter().any(|known| known.public() == key.public()) => {
                errors.push(text.error(file, "this key is named twice"));
            }
            Ok(key) => keys.push(key),
            Err(message) => errors.push(text.error(file, message)),
        }
    }
    keys
}

fn witnesses(file: &str, document: &WitnessesDocument, errors: &mut Vec<ConfigError>) -> Option<Witnesses> {
    let before = errors.len();
    let keys = vkeys(file, &document.keys, VkeyKind::Witness, errors);
    let quorum = usize::try_from(document.quorum.value).ok().and_then(NonZeroUsize::new);
    if errors.len() == before && quorum.is_none_or(|quorum| quorum.get() > keys.len()) {
        let message = format!("a quorum is at least 1 and at most the number of witnesses, {}", keys.len());
        errors.push(document.quorum.error(file, message));
    }
    let quorum = quorum?;
    (errors.len() == before).then_some(Witnesses { quorum, keys })
}

fn authorities(file: &str, documents: &[AuthorityDocument], errors: &mut Vec<ConfigError>) -> Vec<Authority> {
    let mut names = BTreeSet::new();
    let mut list = Vec::new();
    for document in documents {
        if document.name.value.trim().is_empty() || !names.insert(document.name.value.as_str()) {
            errors.push(document.name.error(file, "the name is empty or used twice"));
        }
        let lines: Vec<&str> = document.certificates.value.lines().map(str::trim).collect();
        let read = Certificate::all_from_pem(format!("{}\n", lines.join("\n")).as_bytes())
            .and_then(|certificates| Roots::new(certificates.clone()).map(|_| certificates));
        match read {
            Ok(certificates) => list.push(Authority { name: document.name.value.clone(), certificates }),
            Err(error) => errors.push(document.certificates.error(file, error.to_string())),
        }
    }
    list
}

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests;
