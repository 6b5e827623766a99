//! The checks of the gate.

mod deserialization;
mod secrets;

use gauntlet_core::{Draft, Facts, Judgement, Location, RuleInfo, SkipCode};

use crate::facts::SuppressionFact;
use crate::suppression::{Scope, Suppressions};

pub(crate) use deserialization::{Deserialization, ID as DESERIALIZATION};
pub(crate) use secrets::{ID as SECRETS, Secrets};

/// All checks of the area that exist or are planned: a suppression that names another one is not ours to judge.
const AREA: &str = "source/";

/// The suppressions among the facts. Rows of an older shape are unanswered.
fn suppressions(facts: &Facts, judgement: &mut Judgement) -> Suppressions {
    let mut all = Vec::new();
    for row in facts.of::<SuppressionFact>() {
        match row {
            Ok((location, fact)) => all.push((location.clone(), fact)),
            Err(error) => judgement.coverage.skip(
                "",
                None,
                SkipCode::Unsupported,
                format!("stored fact of another shape: {error}"),
            ),
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Suppressions::new(all)
}

/// Adds a finding for each of our suppressions that nothing needed.
fn report_unused(
    used: &Suppressions,
    rule: &'static RuleInfo,
    belongs: impl Fn(&str) -> bool,
    judgement: &mut Judgement,
) {
    for (location, fact) in used.unused(&belongs) {
        let names = fact.rules.join(", ");
        let draft = Draft::new(rule, location.clone(), format!("`gauntlet: ignore[{names}]` suppresses nothing"))
            .snippet(names);
        judgement.findings.push(draft);
    }
}

/// A finding with whatever suppresses it.
fn judged(
    used: &mut Suppressions,
    scope: &Scope<'_>,
    rule: &RuleInfo,
    at: &Location,
    lines: u32,
    draft: Draft,
) -> Draft {
    used.apply(scope, rule.id, at, lines, draft)
}
