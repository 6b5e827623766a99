//! The trust policy: what an organisation demands of every project, and whom it believes. Lies outside projects.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gauntlet_core::project::Risk;
use gauntlet_core::yaml::{self, Located};
use gauntlet_core::{ConfigError, Digest, nearest};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a person may write: version 1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Version of this format: 1.
    version: Located<u64>,
    /// Name of the organisation.
    name: String,
    /// What each environment demands.
    #[serde(default)]
    environments: BTreeMap<String, EnvironmentDocument>,
    /// Who may sign and approve.
    #[serde(default)]
    people: Vec<PersonDocument>,
    /// How old the ledger's head may be, such as `30m`, `24h` or `7d`.
    #[serde(default)]
    freshness: Option<Located<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct EnvironmentDocument {
    /// The risk class that every project is held to at least.
    minimum_risk: Option<Risk>,
    /// Policy packs that always apply.
    packs: Vec<Located<String>>,
    /// Roles that always have to approve.
    approvals: Vec<Located<String>>,
    /// Whether models meet people here; by default only in environments named `production`, `prod`, or beginning so.
    production: Option<bool>,
    /// Whose evidence counts: ids of people, or keys. Absent: everybody under `people`.
    signers: Option<Vec<Located<String>>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PersonDocument {
    /// Short name, such as an account.
    id: Located<String>,
    /// Full name.
    name: String,
    /// Public keys: PEM, or the hex SHA-256 of the SubjectPublicKeyInfo.
    keys: Vec<Located<String>>,
    /// What the person may approve as.
    #[serde(default)]
    roles: Vec<String>,
}

/// A checked trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Name of the organisation.
    pub name: String,
    /// SHA-256 of the file's bytes.
    pub digest: Digest,
    /// What each environment demands.
    pub environments: BTreeMap<String, TrustEnvironment>,
    /// Who may sign and approve.
    pub people: Vec<Person>,
    /// Seconds that the ledger's head may be old.
    pub freshness_seconds: Option<u64>,
}

/// What an organisation demands of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustEnvironment {
    /// The risk class that every project is held to at least.
    pub minimum_risk: Option<Risk>,
    /// Packs that always apply.
    pub packs: Vec<String>,
    /// Roles that always have to approve.
    pub approvals: Vec<String>,
    /// Whether models meet people here, when said.
    pub production: Option<bool>,
    /// Key ids whose evidence counts, when it names any.
    pub signers: Option<Vec<String>>,
}

/// Somebody who may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Short name.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Key ids: hex SHA-256 of the SubjectPublicKeyInfo.
    pub keys: Vec<String>,
    /// What the person may approve as.
    pub roles: Vec<String>,
}

impl TrustPolicy {
    /// Reads a trust policy. `known_packs` are the packs that can be asked for.
    ///
    /// # Errors
    /// Everything that is wrong with it, with places.
    pub fn parse(file: &str, bytes: &[u8], known_packs: &[&str]) -> Result<Self, Vec<ConfigError>> {
        let document: Document = yaml::parse(file, bytes).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        if document.version.value != 1 {
            let message = format!("version {} is not known; this program reads version 1", document.version.value);
            errors.push(document.version.error(file, message));
        }
        let people = people(file, &document.people, &mut errors);
        let environments = document
            .environments
            .iter()
            .map(|(name, environment)| {
                (name.clone(), self::environment(file, environment, &people, known_packs, &mut errors))
            })
            .collect();
        let freshness_seconds = document.freshness.as_ref().and_then(|text| {
            let seconds = seconds(&text.value);
            if seconds.is_none() {
                let message = format!("`{}` is no time span: write a whole number and s, m, h or d", text.value);
                errors.push(text.error(file, message));
            }
            seconds
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { name: document.name, digest: Digest::sha256(bytes), environments, people, freshness_seconds })
    }

    /// Who holds a key.
    #[must_use]
    pub fn holder(&self, key_id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.keys.iter().any(|key| key.eq_ignore_ascii_case(key_id)))
    }

    /// The JSON Schema of the file, for editors.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Document)
    }
}

fn people(file: &str, documents: &[PersonDocument], errors: &mut Vec<ConfigError>) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    for document in documents {
        let id = &document.id.value;
        if id.is_empty() || !ids.insert(id.clone()) {
            errors.push(document.id.error(file, format!("id `{id}` is empty or used twice")));
        }
        let mut keys = Vec::new();
        for key in &document.keys {
            match key_id(&key.value) {
                // A key of two people would let one approve as both.
                Ok(key_id) => match holders.insert(key_id.clone(), id.clone()) {
                    Some(other) => errors.push(key.error(file, format!("key {key_id} already belongs to `{other}`"))),
                    None => keys.push(key_id),
                },
                Err(message) => errors.push(key.error(file, message)),
            }
        }
        people.push(Person { id: id.clone(), name: document.name.clone(), keys, roles: document.roles.clone() });
    }
    people
}

fn environment(
    file: &str,
    document: &EnvironmentDocument,
    people: &[Person],
    known_packs: &[&str],
    errors: &mut Vec<ConfigError>,
) -> TrustEnvironment {
    for pack in &document.packs {
        if let Some(error) = unknown_pack(file, pack, known_packs) {
            errors.push(error);
        }
    }
    for role in &document.approvals {
        if !people.iter().any(|person| person.roles.contains(&role.value) && !person.keys.is_empty()) {
            let message =
                format!("nobody under `people` has a key and the role `{}`, so nothing could pass", role.value);
            errors.push(role.error(file, message));
        }
    }
    let signers = document.signers.as_ref().map(|signers| {
        let mut keys = Vec::new();
        for signer in signers {
            match people.iter().find(|person| person.id == signer.value) {
                Some(person) => keys.extend(person.keys.iter().cloned()),
                None => match key_id(&signer.value) {
                    Ok(key) => keys.push(key),
                    Err(_) => {
                        let ids = people.iter().map(|person| person.id.as_str());
                        let hint = nearest(&signer.value, ids).map(|id| format!(", did you mean `{id}`?"));
                        let message = format!("`{}` is neither a person nor a key", signer.value);
                        errors.push(signer.error(file, message + &hint.unwrap_or_default()));
                    }
                },
            }
        }
        keys.sort();
        keys.dedup();
        keys
    });
    let values = |list: &[Located<String>]| list.iter().map(|item| item.value.clone()).collect();
    TrustEnvironment {
        minimum_risk: document.minimum_risk,
        packs: values(&document.packs),
        approvals: values(&document.approvals),
        production: document.production,
        signers,
    }
}

/// An error when no pack of that name is known.
pub(crate) fn unknown_pack(file: &str, pack: &Located<String>, known: &[&str]) -> Option<ConfigError> {
    if known.contains(&pack.value.as_str()) {
        return None;
    }
    let hint = match nearest(&pack.value, known.iter().copied()) {
        Some(name) => format!(", did you mean `{name}`?"),
        None => format!(", known are {}", known.join(", ")),
    };
    Some(pack.error(file, format!("unknown pack `{}`{hint}", pack.value)))
}

/// The id of a key: hex SHA-256 of its SubjectPublicKeyInfo, given as such or as PEM.
fn key_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let body = text
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
        .ok_or("a key is 64 hex digits (SHA-256 of its SubjectPublicKeyInfo) or a PEM block `PUBLIC KEY`")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| "the PEM block is no base64")?;
    // SubjectPublicKeyInfo is a DER SEQUENCE; whether the key is sound is seen when a signature is checked with it.
    if der.first() != Some(&0x30) || der.len() < 32 {
        return Err("the PEM block holds no SubjectPublicKeyInfo".into());
    }
    Ok(gauntlet_core::sha256_hex(&der))
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
mod tests {
    use super::*;

    pub(crate) const KEY_A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn parse(text: &str) -> Result<TrustPolicy, Vec<String>> {
        TrustPolicy::parse("trust.yaml", text.as_bytes(), &["baseline", "high-risk"])
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_whole_policy_is_read() {
        let der = [&[0x30_u8, 89][..], &[7; 89]].concat();
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n      {}\n      -----END PUBLIC KEY-----", STANDARD.encode(&der));
        let text = format!(
            "version: 1\nname: acme\nfreshness: 24h\nenvironments:\n  production:\n    minimum_risk: high\n    \
             packs: [baseline]\n    approvals: [security]\n    signers: [ana, '{}']\n  lab: {{production: false}}\n\
             people:\n  - id: ana\n    name: Ana\n    roles: [security]\n    keys:\n    - |\n      {pem}\n",
            KEY_A.to_uppercase()
        );
        let policy = parse(&text).unwrap();
        let key = gauntlet_core::sha256_hex(&der);
        assert_eq!(policy.digest, Digest::sha256(text.as_bytes()));
        assert_eq!(policy.freshness_seconds, Some(86_400));
        assert_eq!(policy.holder(&key).unwrap().id, "ana");
        let mut signers = vec![KEY_A.to_owned(), key];
        signers.sort();
        assert_eq!(policy.environments["production"].signers, Some(signers));
        assert_eq!(policy.environments["lab"].production, Some(false));
    }

    #[test]
    fn mistakes_name_place_and_way_out() {
        let text = format!(
            "version: 2\nname: acme\nfreshness: soon\nenvironments:\n  p:\n    packs: [baselin]\n    approvals: [legal]\n    \
             signers: [anna]\npeople:\n  - {{id: ana, name: A, keys: [{KEY_A}]}}\n  - {{id: ana, name: B, keys: [{KEY_A}, xyz]}}\n"
        );
        insta::assert_snapshot!(parse(&text).unwrap_err().join("\n"), @"
        trust.yaml:1:10: version 2 is not known; this program reads version 1
        trust.yaml:11:10: id `ana` is empty or used twice
        trust.yaml:11:31: key aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa already belongs to `ana`
        trust.yaml:11:97: a key is 64 hex digits (SHA-256 of its SubjectPublicKeyInfo) or a PEM block `PUBLIC KEY`
        trust.yaml:6:13: unknown pack `baselin`, did you mean `baseline`?
        trust.yaml:7:17: nobody under `people` has a key and the role `legal`, so nothing could pass
        trust.yaml:8:15: `anna` is neither a person nor a key, did you mean `ana`?
        trust.yaml:3:12: `soon` is no time span: write a whole number and s, m, h or d
        ");
        assert!(
            parse("version: 1\nname: a\nenviroments: {}\n").unwrap_err()[0].contains("did you mean `environments`?")
        );
    }

    #[test]
    fn time_spans_are_whole_and_positive() {
        assert_eq!(seconds("7d"), Some(604_800));
        for wrong in ["", "d", "0h", "-1h", "1.5h", "3", "3w", "99999999999999999999d", "18446744073709551615d", "3é"]
        {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    /// Any damage to the file is an error or a policy, never a panic.
    #[test]
    fn damaged_files_are_refused_or_read() {
        let seed = format!(
            "version: 1\nname: a\nfreshness: 24h\nenvironments:\n  p: {{packs: [baseline], approvals: [r], signers: [ana]}}\n\
             people:\n  - id: ana\n    name: A\n    roles: [r]\n    keys: ['{KEY_A}']\n"
        );
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..2_000 {
            let mut bytes = seed.clone().into_bytes();
            for _ in 0..=next(3) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = b"&*[{:-#'\n\xff"[next(10)],
                    _ => bytes[at] ^= 1 << next(8),
                }
            }
            let _ = TrustPolicy::parse("trust.yaml", &bytes, &["baseline"]);
        }
    }
}
