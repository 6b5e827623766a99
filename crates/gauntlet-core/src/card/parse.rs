//! Reading a card: front matter, sections, regions.

use std::collections::{BTreeMap, BTreeSet};

use super::{Card, CardFact, CardProblem, CardSection, SectionKind, front_matter, region};
use crate::digest::Digest;

/// Largest card that is read.
const MAX_BYTES: usize = 2 << 20;
/// Sections that are kept.
const SECTIONS: usize = 2_000;
/// Characters of the text of one kind of section that are kept.
const TEXT: usize = 4_096;
/// What stands where nobody has written yet.
const PLACEHOLDERS: [&str; 7] =
    ["more information needed", "todo", "tbd", "to be done", "fill-in", "n/a", "information needed"];

impl Card {
    /// Reads a card. Never fails: what is wrong with it is among its problems.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut claims = CardFact { digest: Some(Digest::sha256(bytes)), ..CardFact::default() };
        if bytes.len() > MAX_BYTES {
            claims.problems.push(CardProblem::Limit { what: format!("{MAX_BYTES} bytes") });
            return Self { claims, ..Self::default() };
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the card is not UTF-8 (byte {})", error.valid_up_to());
                claims.problems.push(CardProblem::FrontMatter { message, line: 1 });
                return Self { claims, ..Self::default() };
            }
        };
        let (front, body, first_line) = match front_matter::split(text) {
            Ok(parts) => parts,
            Err(message) => {
                claims.problems.push(CardProblem::FrontMatter { message: message.to_owned(), line: 1 });
                (None, text, 1)
            }
        };
        let front_matter = front.map(|front| front_matter::read(front, &mut claims)).unwrap_or_default();
        let mut names = BTreeSet::new();
        for found in region::regions(text) {
            let (name, line) = (found.name.chars().take(100).collect(), found.line);
            if !found.closed || !names.insert(found.name) {
                claims.problems.push(CardProblem::BrokenRegion { name, line });
            } else if !found.intact {
                claims.problems.push(CardProblem::EditedRegion { name, line });
            }
        }
        let texts = sections(body, first_line, &mut claims);
        claims.has_contact |= claims.sections.iter().any(|s| s.kind == Some(SectionKind::Contact) && s.filled);
        Self { claims, front_matter, texts }
    }
}

/// A heading and what stands below it, up to the next heading.
struct Part<'a> {
    heading: &'a str,
    level: usize,
    line: u64,
    body: String,
}

fn sections(body: &str, first_line: u64, claims: &mut CardFact) -> BTreeMap<SectionKind, String> {
    let parts = parts(body, first_line, claims);
    let mut texts: BTreeMap<SectionKind, String> = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        // What stands in the section's own sub-sections belongs to it.
        let inner = parts.iter().skip(index).enumerate().take_while(|(i, p)| *i == 0 || p.level > part.level);
        let filled = inner.map(|(_, p)| p).any(|p| says_something(&p.body));
        let kind = SectionKind::of_heading(part.heading);
        claims.sections.push(CardSection {
            heading: part.heading.chars().take(200).collect(),
            kind,
            line: part.line,
            filled,
        });
        if let Some(kind) = kind.filter(|_| says_something(&part.body)) {
            let text = texts.entry(kind).or_default();
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(part.body.trim());
            if let Some((end, _)) = text.char_indices().nth(TEXT) {
                text.truncate(end);
            }
        }
    }
    texts
}

fn parts<'a>(body: &'a str, first_line: u64, claims: &mut CardFact) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut comment = false;
    for (line, number) in body.lines().zip(first_line..) {
        let trimmed = line.trim();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        if let Some(mark) = mark.filter(|_| !comment) {
            fence = match fence {
                Some(open) if open == mark => None,
                Some(open) => Some(open),
                None => Some(mark),
            };
        } else if fence.is_none() {
            if !comment && let Some((level, heading)) = heading(trimmed) {
                if parts.len() >= SECTIONS {
                    claims.problems.push(CardProblem::Limit { what: format!("{SECTIONS} sections") });
                    break;
                }
                parts.push(Part { heading, level, line: number, body: String::new() });
                continue;
            }
            let visible = without_comments(line, &mut comment);
            if let Some(part) = parts.last_mut().filter(|_| !visible.trim().is_empty() || visible == line) {
                part.body.push_str(&visible);
                part.body.push('\n');
            }
            continue;
        }
        if let Some(part) = parts.last_mut() {
            part.body.push_str(line);
            part.body.push('\n');
        }
    }
    parts
}

/// An ATX heading: one to six number signs, a space, text.
fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len().checked_sub(text.len())?;
    ((1..=6).contains(&level) && (text.starts_with(' ') || text.starts_with('\t')))
        .then(|| (level, text.trim().trim_end_matches('#').trim_end()))
}

/// The line without HTML comments, which may span lines.
fn without_comments(line: &str, open: &mut bool) -> String {
    let mut rest = line;
    let mut visible = String::new();
    loop {
        if *open {
            let Some((_, after)) = rest.split_once("-->") else { return visible };
            *open = false;
            rest = after;
        } else {
            let Some((before, after)) = rest.split_once("<!--") else {
                visible.push_str(rest);
                return visible;
            };
            visible.push_str(before);
            *open = true;
            rest = after;
        }
    }
}

fn says_something(text: &str) -> bool {
    let words: String = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '/' | '\n'))
        .collect::<String>()
        .to_lowercase();
    let lines = words.lines().map(|line| line.trim().trim_matches(['-', '/']).trim());
    // A line with a placeholder is one that nobody has written yet, whatever stands around it.
    lines
        .filter(|line| !line.is_empty())
        .any(|line| !PLACEHOLDERS.iter().any(|p| line == *p || line.contains("fill-in")))
}

#[cfg(test)]
mod tests {
    use super::super::{begin_marker, end_marker};
    use super::*;

    const CARD: &str = "---\nlicense: mit\nlanguage: [en, no]\ndatasets: imdb\ntags:\n- a\nbase_model: org/base\n\
        model-index:\n- name: m\n  results:\n  - task: {type: text-classification}\n    dataset: {name: IMDB, type: imdb}\n    \
        metrics:\n    - {type: accuracy, value: 0.92, args: {slice: long, low: 0.9, high: 0.94}}\n    \
        - {type: f1, value: '0.5'}\n    - {type: auc}\n\
        gauntlet:\n  risk_class: high\n  risk_score: {value: 3.5, formula: f, version: '1', evidence: ['sha256:00']}\n\
        ---\n# Card\n\n## Intended use\nReviews.\n### Out-of-Scope Use\n[More Information Needed]\n## Limitations\n\
        <!-- nothing\nhere -->\n```\n# no heading\n```\n## Contact\na@example.com\n";

    #[test]
    fn claims_are_read_from_front_matter_and_sections() {
        let card = Card::parse(CARD.as_bytes());
        let claims = &card.claims;
        assert_eq!(claims.licence.as_deref(), Some("mit"));
        assert_eq!(
            (claims.languages.as_slice(), claims.datasets.as_slice()),
            (&["en".to_owned(), "no".to_owned()][..], &["imdb".to_owned()][..])
        );
        let metric = &claims.metrics[0];
        assert_eq!(
            (metric.name.as_str(), metric.value, metric.low, metric.slice.as_deref()),
            ("accuracy", 0.92, Some(0.9), Some("long"))
        );
        assert_eq!(claims.metrics.len(), 2);
        assert!(
            claims.problems.contains(&CardProblem::Metric { place: "model-index results[0].metrics[2]".to_owned() })
        );
        assert_eq!(claims.risk_score.as_ref().unwrap().missing(), ["digests of the evidence"]);
        let section = |kind| claims.sections.iter().find(|s| s.kind == Some(kind)).map(|s| s.filled);
        assert_eq!(section(SectionKind::IntendedUse), Some(true));
        assert_eq!(section(SectionKind::ProhibitedUse), Some(false));
        assert_eq!(section(SectionKind::Limitations), Some(true), "a block of code is something");
        assert!(claims.has_contact && !claims.sections.iter().any(|s| s.heading == "no heading"));
    }

    #[test]
    fn headings_are_told_apart() {
        for (heading, kind) in [
            ("Out-of-Scope Use", Some(SectionKind::ProhibitedUse)),
            ("Bias, Risks, and Limitations", Some(SectionKind::Limitations)),
            ("Evaluation by slice", Some(SectionKind::EvaluationBySlice)),
            ("Evaluation results", Some(SectionKind::Evaluation)),
            ("Training Data", Some(SectionKind::TrainingData)),
            ("Model description", None),
        ] {
            assert_eq!(SectionKind::of_heading(heading), kind, "{heading}");
        }
        for kind in SectionKind::ALL {
            assert_eq!(SectionKind::of_heading(kind.heading()), Some(*kind));
        }
    }

    #[test]
    fn an_edited_region_shows() {
        let region = |content: &str| format!("# C\n{}\n{content}{}\n", begin_marker("x", "as made\n"), end_marker("x"));
        assert!(Card::parse(region("as made\n").as_bytes()).claims.problems.is_empty());
        let edited = Card::parse(region("as claimed\n").as_bytes()).claims.problems;
        assert_eq!(edited, [CardProblem::EditedRegion { name: "x".to_owned(), line: 2 }]);
        let open = format!("{}\nas made\n", begin_marker("x", "as made\n"));
        assert_eq!(
            Card::parse(open.as_bytes()).claims.problems,
            [CardProblem::BrokenRegion { name: "x".to_owned(), line: 1 }]
        );
    }

    #[test]
    fn broken_front_matter_is_a_problem_with_a_line() {
        for (text, line) in
            [("---\nlicense: mit\nlicense: apache\n---\n", 3), ("---\n- a\n---\n", 1), ("---\nlicense: mit\n", 1)]
        {
            let problems = Card::parse(text.as_bytes()).claims.problems;
            assert!(
                matches!(&problems[..], [CardProblem::FrontMatter { line: at, .. }] if *at == line),
                "{text}: {problems:?}"
            );
        }
        assert!(Card::parse(b"\xff\xfe").claims.problems.len() == 1);
        assert!(Card::parse(b"# only text\n").claims.problems.is_empty());
    }

    #[test]
    fn no_mutated_card_breaks_the_reader() {
        let seed = CARD.as_bytes();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap()
        };
        for _ in 0..1_500 {
            let mut bytes = seed.to_vec();
            let at = next() % bytes.len();
            match next() % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << (next() % 8),
                _ => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&seed[next() % seed.len()..]);
                    bytes.extend(tail);
                }
            }
            let card = Card::parse(&bytes);
            assert!(card.claims.metrics.iter().all(|metric| metric.value.is_finite()));
        }
    }
}
