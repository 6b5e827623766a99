//! Whether a model card says what its risk class asks for, and nothing that contradicts the model it lies beside.

use gauntlet_core::card::{CardFact, CardProblem, SectionKind};
use gauntlet_core::project::Risk;
use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Metric, Severity, Stage};

use super::{FINDINGS, each, rule};

/// `artifact/card`
pub(crate) struct Card;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::CARD,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the model card say what its risk class asks for?",
    rules: &[
        rule!(
            "artifact/card/section-missing",
            High,
            "the card lacks a section that its risk class asks for",
            "Write the section; `gauntlet card MODEL --write` adds its heading.",
            ["EU AI Act Art. 13", "NIST AI RMF MAP 2.2", "OWASP LLM03:2025"]
        ),
        rule!(
            "artifact/card/section-empty",
            High,
            "a section that the risk class asks for says nothing",
            "Write what the heading promises, or say that there is none and why.",
            ["EU AI Act Art. 13", "NIST AI RMF MAP 2.2"]
        ),
        rule!(
            "artifact/card/risk-score-incomplete",
            High,
            "the risk score cannot be checked by anybody else",
            "State value, formula, version of the formula and the digests of the evidence it was fed with under \
             `gauntlet.risk_score` in the front matter.",
            ["EU AI Act Art. 9", "NIST AI RMF MEASURE 2.6"]
        ),
        rule!(
            "artifact/card/other-model",
            High,
            "the card is about another model than the one it lies beside",
            "Generate the card again for this model: `gauntlet card MODEL --write`.",
            ["CWE-345", "NIST AI RMF GOVERN 1.4"]
        ),
        rule!(
            "artifact/card/risk-class-lower",
            High,
            "the card states a lower risk class than the project is held to",
            "State the class that gauntlet.yaml and the trust policy hold the project to.",
            ["EU AI Act Art. 6", "NIST AI RMF MAP 5.1"]
        ),
        rule!(
            "artifact/card/edited-region",
            Medium,
            "a generated part of the card was edited by hand",
            "Undo the edit, or generate the part again; write what a person has to say outside of it.",
            ["CWE-345"]
        ),
        rule!(
            "artifact/card/broken-front-matter",
            Medium,
            "the front matter of the card cannot be read",
            "Mend the YAML between the two lines of dashes: each key once, every quote closed.",
            ["CWE-20"]
        ),
        rule!(
            "artifact/card/unreadable-metric",
            Low,
            "a claimed result is no number",
            "Write each metric of `model-index` with a `type` and a finite number as `value`.",
            ["CWE-20"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-card.md"),
};

/// What a card must say, by risk class.
fn required(risk: Risk) -> &'static [SectionKind] {
    match risk {
        Risk::Minimal => &[],
        Risk::Limited => {
            &[SectionKind::IntendedUse, SectionKind::Limitations, SectionKind::Evaluation, SectionKind::Contact]
        }
        Risk::High => &[
            SectionKind::IntendedUse,
            SectionKind::ProhibitedUse,
            SectionKind::KnownVulnerabilities,
            SectionKind::Mitigations,
            SectionKind::RiskScore,
            SectionKind::EvaluationBySlice,
            SectionKind::Contact,
        ],
    }
}

impl Check for Card {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        // Without a project there is no risk class, and nothing is asked for.
        let class = judging.config.get("risk").and_then(|risk| serde_json::from_value(risk.clone()).ok());
        let mut judgement = Judgement::default();
        each::<CardFact>(facts, &mut judgement, |location, card, judgement| {
            if let Some(risk) = class {
                judgement.findings.extend(demanded(&card, risk, location));
            }
            judgement.findings.extend(card.problems.iter().take(FINDINGS).filter_map(|p| problem(p, location)));
            if card.problems.len() > FINDINGS {
                let message = format!("{} more problems", card.problems.len() - FINDINGS);
                judgement.findings.push(super::draft(&INFO, "broken-front-matter", location, message));
            }
            for what in card.problems.iter().filter_map(|p| match p {
                CardProblem::Limit { what } => Some(what),
                _ => None,
            }) {
                let path = location.path.clone().unwrap_or_default();
                judgement.coverage.skip(path, None, gauntlet_core::SkipCode::Limit, format!("more than {what}"));
            }
            if card.about_subject == Some(false) {
                let message = "the digest under `gauntlet_model` is not that of this model";
                let place = location.clone().in_field("gauntlet_model");
                judgement.findings.push(super::draft(&INFO, "other-model", &place, message));
            }
            judgement.metrics.extend(claims(&card));
        });
        judgement
    }
}

/// What the risk class asks for and the card does not give.
fn demanded(card: &CardFact, risk: Risk, location: &Location) -> Vec<Draft> {
    let severity = if risk == Risk::High { Severity::High } else { Severity::Medium };
    let mut drafts = Vec::new();
    for kind in required(risk) {
        let mut sections = card.sections.iter().filter(|section| section.kind == Some(*kind)).peekable();
        let heading = kind.heading();
        if *kind == SectionKind::Contact && card.has_contact {
            continue;
        }
        match sections.peek().map(|section| section.line) {
            None => {
                let message = format!("there is no section `{heading}`");
                drafts.push(
                    super::draft(&INFO, "section-missing", location, message).severity(severity).snippet(heading),
                );
            }
            Some(line) if !sections.any(|section| section.filled) => {
                let place = location.clone().at_line(line, None);
                let message = format!("the section `{heading}` says nothing");
                drafts.push(super::draft(&INFO, "section-empty", &place, message).severity(severity).snippet(heading));
            }
            Some(_) => {}
        }
    }
    if risk == Risk::High {
        let missing = card.risk_score.as_ref().map_or_else(|| vec!["any risk score"], |score| score.missing());
        if !missing.is_empty() {
            let place = location.clone().in_field("gauntlet.risk_score");
            let message = format!("the front matter lacks {}", missing.join(", "));
            drafts.push(super::draft(&INFO, "risk-score-incomplete", &place, message));
        }
    }
    let stated = card.risk_class.as_ref().map(|class| serde_json::from_value::<Risk>(class.as_str().into()));
    match stated {
        Some(Ok(stated)) if stated < risk => {
            let message = format!("the card says {}, the project is held to {}", word(stated), word(risk));
            let place = location.clone().in_field("gauntlet.risk_class");
            drafts.push(super::draft(&INFO, "risk-class-lower", &place, message).severity(severity));
        }
        Some(Err(_)) => {
            let place = location.clone().in_field("gauntlet.risk_class");
            let message = "the stated risk class is none of minimal, limited, high";
            drafts.push(super::draft(&INFO, "risk-class-lower", &place, message).severity(severity));
        }
        _ => {}
    }
    drafts
}

fn problem(problem: &CardProblem, location: &Location) -> Option<Draft> {
    let at = |line: &u64| location.clone().at_line(*line, None);
    Some(match problem {
        CardProblem::FrontMatter { message, line } => {
            super::draft(&INFO, "broken-front-matter", &at(line), format!("front matter: {message}"))
        }
        CardProblem::Metric { place } => {
            let message = format!("{place} has no `type` with a finite number as `value`");
            super::draft(&INFO, "unreadable-metric", &location.clone().in_field(place), message).snippet(place)
        }
        CardProblem::EditedRegion { name, line } => {
            let message = format!("the generated part `{name}` is not what was generated");
            super::draft(&INFO, "edited-region", &at(line), message).snippet(name)
        }
        CardProblem::BrokenRegion { name, line } => {
            let message = format!("the generated part `{name}` never ends, or occurs twice");
            super::draft(&INFO, "edited-region", &at(line), message).snippet(name)
        }
        CardProblem::Limit { .. } => return None,
    })
}

/// The card's claims as figures of the report, so that policy can hold them against what was measured.
fn claims(card: &CardFact) -> Vec<Metric> {
    let results = card.metrics.iter().map(|claim| {
        let field = match (&claim.dataset, &claim.slice) {
            (_, Some(slice)) => Some(slice.clone()),
            (Some(dataset), None) => Some(dataset.clone()),
            (None, None) => None,
        };
        let mut metric = Metric::new(&claim.name, claim.value, "claimed");
        (metric.field, metric.low, metric.high) = (field, claim.low, claim.high);
        metric
    });
    let score = card.risk_score.as_ref().and_then(|score| score.value);
    results.chain(score.map(|value| Metric::new("risk-score", value, "claimed"))).collect()
}

fn word(risk: Risk) -> &'static str {
    match risk {
        Risk::Minimal => "minimal",
        Risk::Limited => "limited",
        Risk::High => "high",
    }
}

#[cfg(test)]
mod tests {
    use gauntlet_core::card::Card as Read;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn rules(text: &str, config: Value) -> Vec<String> {
        let mut facts = Facts::new("artifact", 1);
        facts.push(
            super::super::CARD,
            Location::file(std::path::Path::new("CARD.md")),
            &Read::parse(text.as_bytes()).claims,
        );
        let judgement = Card.judge(&facts, &Judging { config: &config, now: Timestamp::UNIX_EPOCH });
        let sealed = gauntlet_core::seal(judgement.findings);
        sealed.into_iter().map(|f| format!("{} {}", f.rule.rsplit('/').next().unwrap_or_default(), f.message)).collect()
    }

    const FULL: &str = include_str!("../../../../testdata/artifact/card/high.md");

    #[test]
    fn a_complete_card_of_high_risk_passes() {
        assert_eq!(rules(FULL, json!({"risk": "high"})), Vec::<String>::new());
    }

    #[test]
    fn each_missing_or_empty_section_is_named() {
        for kind in required(Risk::High) {
            let heading = format!("## {}\n", kind.heading());
            assert!(FULL.contains(&heading), "{heading}");
            let text = FULL.replace(&heading, "## Other\n").replace("  contact: ", "  other: ");
            let found = rules(&text, json!({"risk": "high"}));
            assert_eq!(found, [format!("section-missing there is no section `{}`", kind.heading())]);
        }
        let empty = FULL.replace("Deciding alone about a contract.", "[More Information Needed]");
        assert_eq!(rules(&empty, json!({"risk": "high"})), ["section-empty the section `Prohibited use` says nothing"]);
    }

    #[test]
    fn a_risk_score_without_version_or_evidence_counts_for_nothing() {
        let without = FULL.replace("    version: \"1\"\n", "");
        assert_eq!(
            rules(&without, json!({"risk": "high"})),
            ["risk-score-incomplete the front matter lacks the formula's version"]
        );
        let bad = FULL.replace("sha256:", "sha1:");
        assert!(rules(&bad, json!({"risk": "high"})).iter().any(|r| r.contains("digests of the evidence")));
        let lower = FULL.replace("risk_class: high", "risk_class: minimal");
        assert_eq!(
            rules(&lower, json!({"risk": "high"})),
            ["risk-class-lower the card says minimal, the project is held to high"]
        );
    }

    #[test]
    fn without_a_risk_class_nothing_is_asked_for() {
        assert_eq!(rules("# Only a text\n", json!({})), Vec::<String>::new());
        assert_eq!(rules("# Only a text\n", json!({"risk": "minimal"})), Vec::<String>::new());
        assert_eq!(rules("# Only a text\n", json!({"risk": "limited"})).len(), 4);
    }
}
