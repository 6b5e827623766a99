//! Who may sign: people and workloads, their keys with the time in which each counts, and certificate identities.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::yaml::Located;
use gauntlet_core::{ConfigError, nearest};

use super::document::{Document, IdentityDocument, KeyEntry, PersonDocument, WorkloadDocument};
use super::window::Window;
use crate::keys::VerifyingKey;

/// Somebody who may sign: a person, or a workload that has certificates only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Short name.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Keys, each with the time in which it counts.
    pub keys: Vec<PolicyKey>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Certificate identities.
    pub identities: Vec<Identity>,
    /// What the person may approve as.
    pub roles: Vec<String>,
}

/// A key that the policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyKey {
    /// Hex SHA-256 of the SubjectPublicKeyInfo.
    pub id: String,
    /// The key itself, when the policy holds it and not only its digest.
    pub public: Option<VerifyingKey>,
    /// When it counts.
    pub window: Window,
}

/// What a certificate says of its holder, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// URI, e-mail address or DNS name, exactly.
    pub identity: String,
    /// OIDC issuer, or name of an authority.
    pub issuer: String,
}

/// All who may sign, while the document is read.
#[derive(Default)]
pub(super) struct People {
    pub(super) list: Vec<Person>,
    /// Keys that rules and environments name and nobody holds.
    pub(super) loose: Vec<PolicyKey>,
    ids: BTreeSet<String>,
    holders: BTreeMap<String, String>,
    identities: BTreeMap<Identity, String>,
}

/// What a name under `signers` means.
pub(super) enum Named {
    Person(String),
    Key(String),
}

impl People {
    pub(super) fn read(file: &str, document: &Document, errors: &mut Vec<ConfigError>) -> Self {
        let mut people = Self::default();
        for person in &document.people {
            people.person(file, person, errors);
        }
        for workload in &document.identities {
            people.workload(file, workload, errors);
        }
        people
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Person> {
        self.list.iter().find(|person| person.id == id)
    }

    /// A key that is held by somebody or named.
    pub(super) fn key(&self, id: &str) -> Option<&PolicyKey> {
        self.list.iter().flat_map(|person| &person.keys).chain(&self.loose).find(|key| key.id == id)
    }

    /// Who a key counts for: its holder, else itself.
    pub(super) fn principal<'a>(&'a self, key_id: &'a str) -> &'a str {
        self.holders.get(key_id).map_or(key_id, String::as_str)
    }

    /// A person's or workload's id, or a key. A key that nobody holds is remembered.
    pub(super) fn named(&mut self, file: &str, name: &Located<String>) -> Result<Named, ConfigError> {
        if self.by_id(&name.value).is_some() {
            return Ok(Named::Person(name.value.clone()));
        }
        match read_key(&name.value) {
            Ok((id, public)) => {
                // Naming one key of a person does not name the others.
                if let Some(held) = self.list.iter_mut().flat_map(|person| &mut person.keys).find(|key| key.id == id) {
                    held.public = held.public.take().or(public);
                } else if let Some(known) = self.loose.iter_mut().find(|key| key.id == id) {
                    known.public = known.public.take().or(public);
                } else {
                    self.loose.push(PolicyKey { id: id.clone(), public, window: Window::default() });
                }
                Ok(Named::Key(id))
            }
            Err(_) => {
                let hint = nearest(&name.value, self.list.iter().map(|person| person.id.as_str()));
                let hint = hint.map(|id| format!(", did you mean `{id}`?")).unwrap_or_default();
                let shown: String = name.value.chars().take(80).collect();
                Err(name.error(file, format!("`{shown}` is neither a person nor a key{hint}")))
            }
        }
    }

    fn person(&mut self, file: &str, document: &PersonDocument, errors: &mut Vec<ConfigError>) {
        self.claim(file, &document.id, errors);
        let id = &document.id.value;
        let mut keys: Vec<PolicyKey> = Vec::new();
        for entry in &document.keys {
            let key = match &entry.value {
                KeyEntry::Plain(text) => read_key(text).map(|(id, public)| (id, public, Window::default())),
                KeyEntry::Dated(dated) => {
                    let window = Window::read(file, dated.from.as_ref(), dated.until.as_ref(), errors);
                    read_key(&dated.key.value).map(|(id, public)| (id, public, window))
                }
            };
            match key {
                // A key of two people would let one approve as both.
                Ok((key_id, public, window)) => match self.holders.insert(key_id.clone(), id.clone()) {
                    Some(other) => errors.push(entry.error(file, format!("key {key_id} already belongs to `{other}`"))),
                    None => keys.push(PolicyKey { id: key_id, public, window }),
                },
                Err(message) => errors.push(entry.error(file, message)),
            }
        }
        for email in document.emails.iter().filter(|email| !is_address(&email.value)) {
            errors.push(email.error(file, format!("`{}` is no e-mail address", email.value.escape_debug())));
        }
        let identities = document.identities.iter().filter_map(|one| self.identity(file, id, one, errors)).collect();
        self.list.push(Person {
            id: id.clone(),
            name: document.name.clone(),
            keys,
            emails: document.emails.iter().map(|email| email.value.clone()).collect(),
            identities,
            roles: document.roles.clone(),
        });
    }

    fn workload(&mut self, file: &str, document: &WorkloadDocument, errors: &mut Vec<ConfigError>) {
        self.claim(file, &document.id, errors);
        let id = &document.id.value;
        let identity = IdentityDocument { identity: document.identity.clone(), issuer: document.issuer.clone() };
        let identities = self.identity(file, id, &identity, errors).into_iter().collect();
        let (keys, emails) = (Vec::new(), Vec::new());
        let roles = document.roles.clone();
        self.list.push(Person { id: id.clone(), name: id.clone(), keys, emails, identities, roles });
    }

    fn claim(&mut self, file: &str, id: &Located<String>, errors: &mut Vec<ConfigError>) {
        let text = &id.value;
        if text.is_empty() || !self.ids.insert(text.clone()) {
            errors.push(id.error(file, format!("id `{text}` is empty or used twice")));
        } else if text.starts_with("role:") || read_key(text).is_ok() {
            errors.push(id.error(file, format!("id `{text}` reads like a role or a key; choose another")));
        }
    }

    fn identity(
        &mut self,
        file: &str,
        holder: &str,
        document: &IdentityDocument,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Identity> {
        for text in [&document.identity, &document.issuer] {
            if text.value.trim().is_empty() || text.value.contains('*') {
                errors.push(text.error(file, "an identity and its issuer are compared exactly: no pattern, not empty"));
                return None;
            }
        }
        let identity = Identity { identity: document.identity.value.clone(), issuer: document.issuer.value.clone() };
        if let Some(other) = self.identities.insert(identity.clone(), holder.to_owned()) {
            errors.push(document.identity.error(file, format!("this identity already belongs to `{other}`")));
            return None;
        }
        Some(identity)
    }
}

/// The id of a key, hex SHA-256 of its SubjectPublicKeyInfo, and the key itself when it is given as PEM.
pub(super) fn read_key(text: &str) -> Result<(String, Option<VerifyingKey>), String> {
    let text = text.trim();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok((text.to_ascii_lowercase(), None));
    }
    if !text.starts_with("-----BEGIN ") {
        let message = "a key is 64 hex digits (SHA-256 of its SubjectPublicKeyInfo) or a PEM block `PUBLIC KEY`";
        return Err(message.into());
    }
    // A list inside YAML may have indented the lines, which PEM does not allow.
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let key = VerifyingKey::from_pem(&format!("{}\n", lines.join("\n"))).map_err(|error| error.to_string())?;
    Ok((key.key_id(), Some(key)))
}

/// Enough to find a typing mistake: one `@` with something on both sides, and no white space.
fn is_address(text: &str) -> bool {
    let sides = text.split_once('@');
    sides.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
