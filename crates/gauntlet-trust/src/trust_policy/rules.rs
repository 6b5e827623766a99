//! Who may sign what: a rule names signers and what they may sign; its threshold counts different signers, not signatures.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use gauntlet_core::yaml::Located;
use gauntlet_core::{ConfigError, SubjectKind};

use super::document::RuleDocument;
use super::people::{Named, People};
use super::window::Window;
use crate::statement;

/// Who may sign what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called in messages.
    pub name: String,
    /// Who may sign.
    pub signers: Vec<RuleSigner>,
    /// Kinds of subjects that it is about; `None` for all.
    pub subjects: Option<Vec<SubjectKind>>,
    /// Predicate types that it is about; `None` for all.
    pub predicates: Option<Vec<PredicatePattern>>,
    /// Environments that it is about; `None` for all and for what is for none.
    pub environments: Option<Vec<String>>,
    /// When it holds.
    pub window: Window,
    /// How many different signers are needed.
    pub threshold: NonZeroUsize,
}

/// Somebody whom a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSigner {
    /// A person or workload, by id, with any key and identity.
    Person(String),
    /// Everybody with this role.
    Role(String),
    /// One key, by id.
    Key(String),
}

/// Which predicate types a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PredicatePattern {
    /// This type exactly.
    Exact(String),
    /// All versions and spellings of a family that has a word, such as `bom`.
    Family(&'static str),
}

/// Words for families of predicate types, with the beginnings of their URIs.
const FAMILIES: &[(&str, &[&str])] = &[
    ("report", &[statement::TEST_RESULT]),
    ("decision", &[statement::VERIFICATION_SUMMARY]),
    ("approval", &[statement::APPROVAL]),
    ("waiver", &[statement::WAIVER]),
    ("revocation", &[statement::REVOCATION]),
    ("signature", &["https://model_signing/signature/", statement::IMAGE_SIGNATURE]),
    ("provenance", &[statement::PROVENANCE]),
    ("vulnerabilities", &["https://in-toto.io/attestation/vulns/"]),
    ("bom", &[statement::CYCLONEDX, "https://spdx.dev/Document"]),
];

impl PredicatePattern {
    /// Whether a predicate type falls under it.
    #[must_use]
    pub fn matches(&self, predicate_type: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == predicate_type,
            Self::Family(word) => FAMILIES
                .iter()
                .filter(|(name, _)| name == word)
                .flat_map(|(_, beginnings)| *beginnings)
                .any(|beginning| is_spelling_of(predicate_type, beginning)),
        }
    }

    /// Reads a URI or the word for a family.
    ///
    /// # Errors
    /// A message that lists the words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((word, _)) = FAMILIES.iter().find(|(word, _)| *word == text) {
            return Ok(Self::Family(word));
        }
        if text.contains(':') && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Ok(Self::Exact(text.to_owned()));
        }
        let words: Vec<&str> = FAMILIES.iter().map(|(word, _)| *word).collect();
        Err(format!("`{}` is neither a predicate type (a URI) nor one of {}", text.escape_debug(), words.join(", ")))
    }
}

/// The type itself, or one with a version behind: `…/bom` and `…/bom/v1.6`. A beginning that ends in `/` has its version there.
fn is_spelling_of(predicate_type: &str, beginning: &str) -> bool {
    predicate_type.strip_prefix(beginning).is_some_and(|rest| match beginning.strip_suffix('/') {
        Some(_) => rest.starts_with('v'),
        None => rest.is_empty() || rest.starts_with("/v"),
    })
}

impl Rule {
    /// Whether the rule speaks about such an act at all, its time aside.
    pub(super) fn covers(&self, subject: Option<SubjectKind>, predicate: &str, environment: Option<&str>) -> bool {
        let kind = self.subjects.as_ref().is_none_or(|kinds| subject.is_some_and(|kind| kinds.contains(&kind)));
        let type_ = self.predicates.as_ref().is_none_or(|list| list.iter().any(|one| one.matches(predicate)));
        let place = self
            .environments
            .as_ref()
            .is_none_or(|list| environment.is_some_and(|name| list.iter().any(|one| one == name)));
        kind && type_ && place
    }

    pub(super) fn read(
        file: &str,
        document: &RuleDocument,
        people: &mut People,
        environments: &BTreeSet<&str>,
        errors: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let before = errors.len();
        let signers: Vec<RuleSigner> = document
            .signers
            .iter()
            .filter_map(|signer| read_signer(file, signer, people).map_err(|error| errors.push(error)).ok())
            .collect();
        let predicates = document.predicates.as_ref().map(|list| {
            let read = |text: &Located<String>| PredicatePattern::parse(&text.value).map_err(|m| text.error(file, m));
            list.iter().filter_map(|text| read(text).map_err(|error| errors.push(error)).ok()).collect()
        });
        for name in document.environments.iter().flatten() {
            if !environments.contains(name.value.as_str()) {
                let hint = gauntlet_core::nearest(&name.value, environments.iter().copied());
                let hint = hint.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
                errors.push(name.error(file, format!("no environment `{}` in this file{hint}", name.value)));
            }
        }
        let threshold = document.threshold.as_ref().map_or(1, |threshold| threshold.value);
        let threshold = usize::try_from(threshold).ok().and_then(NonZeroUsize::new);
        let able = able(&signers, people).len();
        match (threshold, &document.threshold) {
            (Some(needed), place) if needed.get() > able && errors.len() == before => {
                let message = format!("{able} of the signers can sign, so a threshold of {needed} is never reached");
                errors.push(place.as_ref().map_or_else(
                    || document.name.error(file, message.clone()),
                    |place| place.error(file, message.clone()),
                ));
            }
            (None, Some(place)) => errors.push(place.error(file, "a threshold is at least 1")),
            _ => {}
        }
        let rule = Self {
            name: document.name.value.clone(),
            signers,
            subjects: document.subjects.clone(),
            predicates,
            environments: document
                .environments
                .as_ref()
                .map(|list| list.iter().map(|name| name.value.clone()).collect()),
            window: Window::read(file, document.from.as_ref(), document.until.as_ref(), errors),
            threshold: threshold?,
        };
        (errors.len() == before).then_some(rule)
    }
}

fn read_signer(file: &str, text: &Located<String>, people: &mut People) -> Result<RuleSigner, ConfigError> {
    if let Some(role) = text.value.strip_prefix("role:") {
        if people.list.iter().any(|person| person.roles.iter().any(|one| one == role)) {
            return Ok(RuleSigner::Role(role.to_owned()));
        }
        return Err(text.error(file, format!("nobody has the role `{role}`")));
    }
    Ok(match people.named(file, text)? {
        Named::Person(id) => RuleSigner::Person(id),
        Named::Key(id) => RuleSigner::Key(id),
    })
}

/// The different people and keys among the signers that have anything to sign with.
fn able<'a>(signers: &'a [RuleSigner], people: &'a People) -> BTreeSet<&'a str> {
    let mut able = BTreeSet::new();
    for signer in signers {
        match signer {
            RuleSigner::Key(id) => {
                able.insert(people.principal(id));
            }
            RuleSigner::Person(_) | RuleSigner::Role(_) => {
                let named = people.list.iter().filter(|person| match signer {
                    RuleSigner::Person(id) => person.id == *id,
                    RuleSigner::Role(role) => person.roles.contains(role),
                    RuleSigner::Key(_) => false,
                });
                let signs = named.filter(|person| !person.keys.is_empty() || !person.identities.is_empty());
                able.extend(signs.map(|person| person.id.as_str()));
            }
        }
    }
    able
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_hold_every_version_and_nothing_else() {
        let family = |word: &str| PredicatePattern::parse(word).unwrap();
        for (word, inside, outside) in [
            ("bom", "https://cyclonedx.org/bom/v1.6", "https://cyclonedx.org/bomb"),
            ("bom", "https://spdx.dev/Document/v3", "https://spdx.dev/Documents"),
            ("signature", "https://model_signing/signature/v1.0", "https://model_signing/signature"),
            ("report", statement::TEST_RESULT, statement::VERIFICATION_SUMMARY),
            ("revocation", statement::REVOCATION, statement::WAIVER),
        ] {
            assert!(family(word).matches(inside), "{word} {inside}");
            assert!(!family(word).matches(outside), "{word} {outside}");
        }
        assert!(PredicatePattern::parse("https://a.example/v1").unwrap().matches("https://a.example/v1"));
        assert!(PredicatePattern::parse("reports").unwrap_err().contains("approval"));
    }
}
