//! What is asked: rules and checks by their ids.

use std::collections::BTreeSet;

use gauntlet_core::{Check, Gate, nearest};

/// Rules to ask over stored facts.
pub struct Question {
    /// Ids as they stand today.
    pub(crate) rules: BTreeSet<&'static str>,
    /// Their checks, each with the index of its gate.
    pub(crate) checks: Vec<(usize, &'static dyn Check)>,
}

/// A name that is neither a rule nor a check of a gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no gate has a rule or check `{name}`{hint}")]
pub struct UnknownRule {
    /// What was asked.
    pub name: String,
    /// What may have been meant.
    pub hint: String,
}

impl Question {
    /// Finds rules (`artifact/pickle/unknown-import`, also by a former name) and checks (`artifact/pickle`, which stands for
    /// all its rules).
    ///
    /// # Errors
    /// For a name that is neither.
    pub fn new(names: &[String], gates: &[&'static Gate]) -> Result<Self, UnknownRule> {
        let mut question = Self { rules: BTreeSet::new(), checks: Vec::new() };
        for name in names {
            let mut found = false;
            for (index, check) in all(gates) {
                let info = check.info();
                let asked = info
                    .rules
                    .iter()
                    .filter(|rule| info.id == name || rule.id == name || rule.renamed_from.contains(&name.as_str()));
                let before = question.rules.len();
                let mut any = info.id == name;
                for rule in asked {
                    question.rules.insert(rule.id);
                    any = true;
                }
                found |= any;
                let new = question.rules.len() > before || info.id == name;
                if new && !question.checks.iter().any(|(_, known)| known.info().id == info.id) {
                    question.checks.push((index, check));
                }
            }
            if !found {
                let known: Vec<&str> = all(gates)
                    .flat_map(|(_, check)| {
                        let info = check.info();
                        info.rules.iter().map(|rule| rule.id).chain([info.id])
                    })
                    .collect();
                let hint = nearest(name, known).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
                return Err(UnknownRule { name: name.clone(), hint });
            }
        }
        Ok(question)
    }

    /// The rules, by their ids of today.
    pub fn rules(&self) -> impl Iterator<Item = &'static str> {
        self.rules.iter().copied()
    }

    /// Whether a check of this gate is asked.
    pub(crate) fn asks(&self, gate: usize) -> bool {
        self.checks.iter().any(|(index, _)| *index == gate)
    }
}

fn all<'a>(gates: &'a [&'static Gate]) -> impl Iterator<Item = (usize, &'static dyn Check)> + 'a {
    gates.iter().enumerate().flat_map(|(index, gate)| gate.checks.iter().map(move |check| (index, *check)))
}
