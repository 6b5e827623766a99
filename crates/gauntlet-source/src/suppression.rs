//! Suppression comments: reading them, and matching them with findings.

use gauntlet_core::{Draft, Location};

use crate::facts::{Dialect, SuppressionFact};

/// Longest line that is searched for a marker; longer ones hold data.
const LINE_MOST: usize = 4_096;

/// The suppression that `comment` (from its sign on) or any other line of text holds. `alone` says that nothing but the
/// comment stands on the line.
pub(crate) fn parse(comment: &str, alone: bool) -> Option<SuppressionFact> {
    if comment.len() > LINE_MOST {
        return None;
    }
    let fact = |dialect, rules, reason: &str, next_line| SuppressionFact {
        dialect,
        rules,
        reason: reason.trim().to_owned(),
        next_line,
    };
    if let Some((_, rest)) = comment.split_once("gauntlet: ignore[") {
        let (rules, reason) = rest.split_once(']')?;
        return Some(fact(Dialect::Gauntlet, names(rules), reason, alone));
    }
    if comment.contains("gitleaks:allow") {
        return Some(fact(Dialect::Gitleaks, Vec::new(), "", false));
    }
    if let Some((_, rest)) = comment.split_once("pragma: allowlist ") {
        let rest = rest.trim_start();
        let next_line = rest.starts_with("nextline secret");
        return (next_line || rest.starts_with("secret"))
            .then(|| fact(Dialect::DetectSecrets, Vec::new(), "", next_line));
    }
    if let Some((before, rest)) = comment.split_once("nosec")
        && before.trim_end().ends_with('#')
    {
        let rest = rest.trim_start_matches(':');
        let ids: Vec<String> = names(rest).into_iter().take_while(|n| is_code(n, 'B')).collect();
        return Some(fact(Dialect::Nosec, ids, "", false));
    }
    let (_, rest) = comment.split_once("noqa:")?;
    let ids: Vec<String> =
        names(rest).into_iter().take_while(|n| n.chars().next().is_some_and(|c| c.is_ascii_uppercase())).collect();
    (!ids.is_empty()).then(|| fact(Dialect::Noqa, ids, "", false))
}

/// Whether a line of text can hold a suppression at all; most do not.
pub(crate) fn is_marked(line: &str) -> bool {
    line.contains("gauntlet: ignore[") || line.contains("gitleaks:allow") || line.contains("pragma: allowlist ")
}

fn names(list: &str) -> Vec<String> {
    list.split([',', ' ']).map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

fn is_code(name: &str, letter: char) -> bool {
    name.strip_prefix(letter).is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// What a check tells of itself for matching.
pub(crate) struct Scope<'a> {
    /// `source/secrets`
    pub(crate) check: &'a str,
    /// Ids of bandit and of ruff's port of it that ask the same question.
    pub(crate) codes: &'a [&'a str],
    /// Whether dialects of secret scanners speak of this check.
    pub(crate) secrets: bool,
}

/// The suppressions of one subject, and which of them were of use.
pub(crate) struct Suppressions {
    all: Vec<(Location, SuppressionFact, bool)>,
}

impl Suppressions {
    pub(crate) fn new(all: impl IntoIterator<Item = (Location, SuppressionFact)>) -> Self {
        Self { all: all.into_iter().map(|(location, fact)| (location, fact, false)).collect() }
    }

    /// Marks `draft`, a finding of `rule` over `lines` lines from `at`, when a comment asks for it.
    pub(crate) fn apply(&mut self, scope: &Scope<'_>, rule: &str, at: &Location, lines: u32, draft: Draft) -> Draft {
        // Suppressions are sorted by location, so those of one file lie together.
        let first = self.all.partition_point(|(l, ..)| l.path < at.path);
        let mut why = None;
        for (location, fact, used) in self.all[first..].iter_mut().take_while(|(l, ..)| l.path == at.path) {
            if speaks_of(fact, scope, rule) && covers(location, fact.next_line, at, lines) {
                *used = true;
                why.get_or_insert_with(|| words(fact));
            }
        }
        match why {
            Some(why) => draft.suppressed(why),
            None => draft,
        }
    }

    /// Our own suppressions that no finding needed, with the names that belong to `check`. Others' dialects are made for
    /// other tools and may be needed there.
    pub(crate) fn unused<'a>(
        &'a self,
        belongs: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a Location, &'a SuppressionFact)> + 'a {
        self.all
            .iter()
            .filter(move |(_, fact, used)| {
                !used && fact.dialect == Dialect::Gauntlet && fact.rules.iter().any(|r| belongs(r))
            })
            .map(|(location, fact, _)| (location, fact))
    }
}

fn speaks_of(fact: &SuppressionFact, scope: &Scope<'_>, rule: &str) -> bool {
    match fact.dialect {
        Dialect::Gauntlet => {
            fact.rules.iter().any(|r| r == rule || r == scope.check || rule.rsplit('/').next() == Some(r))
        }
        Dialect::Nosec | Dialect::Noqa => {
            (fact.rules.is_empty() && fact.dialect == Dialect::Nosec)
                || fact.rules.iter().any(|r| scope.codes.contains(&r.as_str()))
        }
        Dialect::Gitleaks | Dialect::DetectSecrets => scope.secrets,
    }
}

/// Whether the comment stands on one of the finding's lines, or right above it. Lines of a cell where both have
/// them: a notebook may keep a whole cell on one line of JSON.
fn covers(comment: &Location, next_line: bool, finding: &Location, lines: u32) -> bool {
    let in_cells = comment.cell_line.is_some() && finding.cell_line.is_some();
    if in_cells && comment.cell != finding.cell {
        return false;
    }
    let line = |l: &Location| if in_cells { l.cell_line } else { l.line };
    let (Some(comment), Some(first)) = (line(comment), line(finding)) else { return false };
    let last = first + u64::from(lines.max(1)) - 1;
    (first..=last).contains(&comment) || (next_line && comment + 1 == first)
}

fn words(fact: &SuppressionFact) -> String {
    match fact.dialect {
        Dialect::Gauntlet if fact.reason.is_empty() => "comment, no reason given".to_owned(),
        Dialect::Gauntlet => format!("comment: {}", fact.reason),
        Dialect::Nosec => "`# nosec`".to_owned(),
        Dialect::Noqa => format!("`# noqa: {}`", fact.rules.join(", ")),
        Dialect::Gitleaks => "`gitleaks:allow`".to_owned(),
        Dialect::DetectSecrets => "`pragma: allowlist secret`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_read() {
        let parsed = |text: &str| parse(text, false).map(|f| (f.dialect, f.rules, f.reason));
        let rules = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            parsed("# gauntlet: ignore[unsafe-pickle, a/b/c] ours"),
            Some((Dialect::Gauntlet, rules(&["unsafe-pickle", "a/b/c"]), "ours".into()))
        );
        assert_eq!(parsed("# nosec B301, B403"), Some((Dialect::Nosec, rules(&["B301", "B403"]), String::new())));
        assert_eq!(parsed("# nosec: trusted file"), Some((Dialect::Nosec, Vec::new(), String::new())));
        assert_eq!(parsed("# noqa: S301,E501 note"), Some((Dialect::Noqa, rules(&["S301", "E501"]), String::new())));
        assert_eq!(parsed("// gitleaks:allow"), Some((Dialect::Gitleaks, Vec::new(), String::new())));
        assert_eq!(parsed("# pragma: allowlist secret"), Some((Dialect::DetectSecrets, Vec::new(), String::new())));
        for text in ["# noqa", "# pragma: no cover", "# see gauntlet: ignore", "# the nosecond"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn comments_cover_their_line_and_alone_the_next() {
        let at = |line: u64| Location::default().at_line(line, None);
        assert!(covers(&at(5), false, &at(3), 3));
        assert!(!covers(&at(2), false, &at(3), 3));
        assert!(covers(&at(2), true, &at(3), 3));
        let cell = |cell: u64, line: u64| Location { cell: Some(cell), cell_line: Some(line), ..at(1) };
        assert!(!covers(&cell(0, 1), false, &cell(1, 1), 1));
        assert!(!covers(&cell(1, 2), false, &cell(1, 1), 1));
        assert!(covers(&cell(1, 1), false, &cell(1, 1), 1));
    }
}
