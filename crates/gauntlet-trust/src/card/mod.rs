//! Writing model cards: the generated parts from what is known, the rest left to people. On regeneration only marked
//! regions are replaced; what a person wrote stays byte for byte.

mod content;

use std::collections::BTreeSet;

use gauntlet_core::card::{Card, SectionKind, begin_marker, end_marker, regions, split};
use gauntlet_core::project::Risk;

use crate::bom::ModelFacts;

/// What stands where a person has to write.
const PLACEHOLDER: &str = "[More Information Needed]";

/// Why a card was not written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The front matter cannot be read, so nothing can be put beside it.
    #[error("the front matter of the card cannot be read: {0}")]
    FrontMatter(String),
    /// A generated part was edited by hand; replacing it would lose that.
    #[error(
        "the generated part `{name}` (line {line}) was edited by hand: move the edit out of it, or write it anew with --force"
    )]
    Edited {
        /// Its name.
        name: String,
        /// Line of its first marker.
        line: u64,
    },
    /// A generated part never ends or occurs twice.
    #[error("the generated part `{name}` (line {line}) never ends, or occurs twice")]
    Broken {
        /// Its name.
        name: String,
        /// Line of its first marker.
        line: u64,
    },
}

/// The card of a model: a new one, or `existing` with its generated parts replaced. `force` replaces parts that were
/// edited by hand, too. `inside` says that the card lies in the model's own folder, whose digest it then cannot state.
///
/// # Errors
/// [`CardError`] when the existing card could not be kept as it is.
pub fn write(facts: &ModelFacts, existing: Option<&str>, inside: bool, force: bool) -> Result<String, CardError> {
    let mut text = existing.map_or_else(|| format!("# {}\n", name(facts)), str::to_owned);
    check(&text, force)?;
    for part in content::parts(facts) {
        text = put(&text, &part);
    }
    for kind in wanted(facts.risk) {
        if !has_section(&text, kind) {
            append(&mut text, &format!("## {}\n\n{PLACEHOLDER}\n", kind.heading()));
        }
    }
    front_matter(&text, facts, inside)
}

/// A generated part of the body.
struct Part {
    name: &'static str,
    /// The section it stands in; below the title when absent.
    section: Option<&'static str>,
    kind: Option<SectionKind>,
    content: String,
}

fn name(facts: &ModelFacts) -> &str {
    facts.subject.name.rsplit('/').next().unwrap_or(&facts.subject.name)
}

/// Sections that people have to write, by risk class; everything that a class asks for, and what readers look for first.
fn wanted(risk: Option<Risk>) -> Vec<SectionKind> {
    let always = [SectionKind::IntendedUse, SectionKind::Limitations, SectionKind::Contact];
    let high = [
        SectionKind::IntendedUse,
        SectionKind::ProhibitedUse,
        SectionKind::Limitations,
        SectionKind::EvaluationBySlice,
        SectionKind::KnownVulnerabilities,
        SectionKind::Mitigations,
        SectionKind::RiskScore,
        SectionKind::Contact,
    ];
    if risk == Some(Risk::High) { high.to_vec() } else { always.to_vec() }
}

fn check(text: &str, force: bool) -> Result<(), CardError> {
    let mut seen = BTreeSet::new();
    for region in regions(text) {
        let (name, line) = (region.name.to_owned(), region.line);
        if !region.closed || !seen.insert(region.name) {
            return Err(CardError::Broken { name, line });
        }
        if !region.intact && !force {
            return Err(CardError::Edited { name, line });
        }
    }
    Ok(())
}

fn has_section(text: &str, kind: SectionKind) -> bool {
    Card::parse(text.as_bytes()).claims.sections.iter().any(|section| section.kind == Some(kind))
}

fn append(text: &mut String, section: &str) {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push('\n');
    text.push_str(section);
}

/// Replaces the part where it is, else puts it below its heading, else at the end under a heading of its own.
fn put(text: &str, part: &Part) -> String {
    let block = format!("{}\n{}{}\n", begin_marker(part.name, &part.content), part.content, end_marker(part.name));
    if let Some(region) = regions(text).into_iter().find(|region| region.name == part.name) {
        let (before, after) =
            (text.get(..region.start).unwrap_or_default(), text.get(region.end..).unwrap_or_default());
        return format!("{before}{block}{after}");
    }
    let sections = Card::parse(text.as_bytes()).claims.sections;
    let place = match (part.section, part.kind) {
        (None, _) => sections.first(),
        (Some(_), Some(kind)) => sections.iter().find(|section| section.kind == Some(kind)),
        (Some(heading), None) => sections.iter().find(|section| section.heading == heading),
    };
    match place {
        Some(section) => {
            let line = usize::try_from(section.line).unwrap_or(usize::MAX);
            let at: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
            let (before, after) = text.split_at(at.min(text.len()));
            let gap = if before.ends_with('\n') { "\n" } else { "\n\n" };
            format!("{before}{gap}{block}{after}")
        }
        None => {
            let mut whole = text.to_owned();
            match part.section {
                Some(heading) => append(&mut whole, &format!("## {heading}\n\n{block}")),
                None => append(&mut whole, &block),
            }
            whole
        }
    }
}

/// The front matter: what people wrote, and behind it a region with the keys that they did not write.
fn front_matter(text: &str, facts: &ModelFacts, inside: bool) -> Result<String, CardError> {
    const NAME: &str = "front-matter";
    let (front, body, _) = split(text).map_err(|error| CardError::FrontMatter(error.to_owned()))?;
    let mut human = front.unwrap_or_default().to_owned();
    if let Some(region) = regions(&human).into_iter().find(|region| region.name == NAME) {
        let (start, end) = (region.start, region.end);
        human.replace_range(start..end, "");
    }
    let parsed = Card::parse(format!("---\n{human}---\n").as_bytes());
    if let Some(gauntlet_core::card::CardProblem::FrontMatter { message, line }) = parsed
        .claims
        .problems
        .iter()
        .find(|problem| matches!(problem, gauntlet_core::card::CardProblem::FrontMatter { .. }))
    {
        return Err(CardError::FrontMatter(format!("line {line}: {message}")));
    }
    let lines = content::front_matter(facts, &parsed.front_matter, inside);
    if lines.is_empty() {
        return Ok(if front.is_some() { format!("---\n{human}---\n{body}") } else { body.to_owned() });
    }
    let content = lines.concat();
    let (begin, end) = (begin_marker(NAME, &content), end_marker(NAME));
    Ok(format!("---\n{human}# {begin}\n{content}# {end}\n---\n{body}"))
}

#[cfg(test)]
mod tests {
    use super::super::bom::tests::sample;
    use super::*;

    fn bare() -> ModelFacts {
        ModelFacts { card: None, ..sample() }
    }

    #[test]
    fn a_new_card_states_what_is_known_and_asks_for_the_rest() {
        let text = write(&bare(), None, false, false).unwrap();
        let card = Card::parse(text.as_bytes());
        assert_eq!(card.claims.problems, []);
        assert!(card.claims.model.matches(&bare().subject.digest));
        let metric = &card.claims.metrics[0];
        assert_eq!(
            (metric.name.as_str(), metric.value, metric.low, metric.slice.as_deref()),
            ("accuracy", 0.85, Some(0.8), Some("age<30"))
        );
        let filled = |kind| card.claims.sections.iter().find(|s| s.kind == Some(kind)).map(|s| s.filled);
        assert_eq!(filled(SectionKind::ProhibitedUse), Some(false), "a person has to write it");
        assert_eq!(filled(SectionKind::EvaluationBySlice), Some(true));
        assert!(text.contains("| churn.onnx | ONNX |") && text.contains("numpy"), "{text}");
    }

    #[test]
    fn what_people_wrote_stays_byte_for_byte() {
        let first = write(&bare(), None, false, false).unwrap();
        let edited = first.replacen("[More Information Needed]", "Telling who may leave.", 1).replacen(
            "---\n",
            "---\nlicense: mit # chosen by legal\ngauntlet:\n  contact: a@example.com\n",
            1,
        );
        let mut facts = bare();
        facts.measured[0].metric.value = 0.87;
        let second = write(&facts, Some(&edited), false, false).unwrap();
        assert!(second.contains("Telling who may leave.") && second.contains("license: mit # chosen by legal\n"));
        assert!(second.contains("0.87") && !second.contains("0.85"));
        assert_eq!(write(&facts, Some(&second), false, false).unwrap(), second, "a second time changes nothing");
        assert_eq!(Card::parse(second.as_bytes()).claims.problems, []);
    }

    #[test]
    fn cards_of_others_get_the_parts_below_their_own_headings() {
        let foreign = "---\nlicense: mit\ndatasets:\n- imdb\n---\n# Model\n\nText.\n\n## Evaluation\n\nOur words.\n";
        let mut facts = bare();
        facts.measured[0].metric.field = None;
        let text = write(&facts, Some(foreign), false, false).unwrap();
        assert!(text.starts_with("---\nlicense: mit\ndatasets:\n- imdb\n# <!-- gauntlet:generated"));
        let evaluation = text.find("## Evaluation\n").unwrap();
        assert!(text.find("gauntlet:generated evaluation ").unwrap() > evaluation);
        assert!(text.contains("Our words.\n") && text.contains("\nText.\n"));
        assert_eq!(Card::parse(text.as_bytes()).claims.datasets, ["imdb"]);
    }

    #[test]
    fn an_edited_part_is_not_overwritten_unasked() {
        let text = write(&bare(), None, false, false).unwrap().replace("0.85", "0.99");
        assert!(matches!(write(&bare(), Some(&text), false, false), Err(CardError::Edited { .. })));
        assert!(!write(&bare(), Some(&text), false, true).unwrap().contains("0.99"));
        let broken = "---\na: 1\na: 2\n---\n# M\n";
        assert!(matches!(write(&bare(), Some(broken), false, false), Err(CardError::FrontMatter(_))));
    }

    #[test]
    fn a_card_inside_the_model_does_not_state_its_digest() {
        let text = write(&bare(), None, true, false).unwrap();
        assert!(Card::parse(text.as_bytes()).claims.model.is_empty());
    }

    #[test]
    fn hostile_names_break_no_table_and_no_marker() {
        let mut facts = bare();
        facts.files[0].path = "a|b\n<!-- gauntlet:end files -->.onnx".to_owned();
        facts.descriptions[0].path.clone_from(&facts.files[0].path);
        facts.descriptions[0].family = Some("x\n---\nlicense: mit".to_owned());
        let text = write(&facts, None, false, false).unwrap();
        assert_eq!(Card::parse(text.as_bytes()).claims.problems, []);
        assert_eq!(Card::parse(text.as_bytes()).claims.licence, None);
    }
}
