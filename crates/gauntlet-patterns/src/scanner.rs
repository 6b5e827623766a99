//! The scanner: one automaton over all keywords, and a budget that hostile text cannot exceed.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::alphabet::URLSAFE;
use crate::assignment::{self, NAMES};
use crate::checks::{crc_base62_holds, entropy, find, is_placeholder};
use crate::kinds::{Confidence, Dialect, Families, Family, Match, Proof};
use crate::personal;
use crate::providers::{Extra, Provider, providers};
use crate::shape;
use crate::special::{self, SPECIALS};

/// The scanner could not be built.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The keyword automaton did not fit its own limits; a fault of the rule table.
    #[error("cannot build the keyword automaton")]
    Automaton(#[from] aho_corasick::BuildError),
}

/// What one scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Matches by position; no two of one family overlap.
    pub matches: Vec<Match>,
    /// Where scanning for secrets stopped because the text cost more steps than its length allows. Nothing may be
    /// concluded about the bytes from here on.
    pub exhausted: Option<usize>,
}

/// Finds secrets and personal data. Building it costs a millisecond or so; share one between threads.
#[derive(Debug)]
pub struct Scanner {
    keywords: AhoCorasick,
}

/// Steps that a text of `len` bytes may cost: one step is one byte looked at behind a keyword.
const fn allowance(len: usize) -> usize {
    len.saturating_mul(24).saturating_add(1 << 20)
}

/// What a scan has left to spend.
#[derive(Debug)]
pub(crate) struct Steps(usize);

impl Steps {
    /// Takes `n` steps; false when they are not there.
    pub(crate) fn take(&mut self, n: usize) -> bool {
        match self.0.checked_sub(n) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

impl Scanner {
    /// Builds the automaton.
    ///
    /// # Errors
    /// [`PatternError`] when the rule table is too large for an automaton.
    pub fn new() -> Result<Self, PatternError> {
        let prefixes = providers().iter().map(|p| p.prefix);
        let keywords = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .ascii_case_insensitive(true)
            .build(prefixes.chain(SPECIALS.iter().map(|s| s.keyword)).chain(NAMES.iter().copied()))?;
        Ok(Self { keywords })
    }

    /// Looks through `text`. `dialect` says whether unquoted values are literals.
    #[must_use]
    pub fn scan(&self, text: &[u8], families: Families, dialect: Dialect) -> Scan {
        let mut scan = Scan::default();
        if families.secrets {
            self.secrets(text, dialect, &mut scan);
        }
        if families.personal {
            personal::scan(text, &mut scan.matches);
        }
        scan.matches.sort_by_key(|m| (m.range.start, m.family));
        scan
    }

    fn secrets(&self, text: &[u8], dialect: Dialect, scan: &mut Scan) {
        let mut steps = Steps(allowance(text.len()));
        let (first_special, first_name) = (providers().len(), providers().len() + SPECIALS.len());
        let mut found = Vec::new();
        for hit in self.keywords.find_overlapping_iter(text) {
            let (start, end, pattern) = (hit.start(), hit.end(), hit.pattern().as_usize());
            let matched = if let Some(provider) = providers().get(pattern) {
                token(provider, text, start, &mut steps)
            } else if let Some(special) = pattern.checked_sub(first_special).and_then(|i| SPECIALS.get(i)) {
                special::examine(special, text, start, end, &mut steps)
            } else {
                pattern
                    .checked_sub(first_name)
                    .map_or(Ok(None), |i| assignment::examine(i, text, start..end, dialect, &mut steps))
            };
            match matched {
                Ok(Some(matched)) => found.push(matched),
                Ok(None) => {}
                Err(Exhausted) => {
                    scan.exhausted = Some(start);
                    break;
                }
            }
        }
        special::pair_aws(text, &mut found);
        keep_strongest(found, &mut scan.matches);
    }
}

/// The step budget is spent.
#[derive(Debug)]
pub(crate) struct Exhausted;

/// A secret match.
pub(crate) fn secret(
    kind: &str,
    title: &str,
    range: std::ops::Range<usize>,
    confidence: Confidence,
    proof: Proof,
) -> Match {
    Match { family: Family::Secret, kind: kind.to_owned(), title: title.to_owned(), range, confidence, proof }
}

/// The provider's token whose prefix starts at `start`, when shape, boundaries and proof agree.
fn token(provider: &Provider, text: &[u8], start: usize, steps: &mut Steps) -> Result<Option<Match>, Exhausted> {
    let rest = &text[start..];
    // The automaton folds case; issuers do not.
    if !rest.starts_with(provider.prefix.as_bytes()) || start.checked_sub(1).is_some_and(|i| continues(text, i)) {
        return Ok(None);
    }
    let body_start = start + provider.prefix.len();
    let body = &text[body_start..];
    let Some(length) = shape::length(provider.shape, body) else {
        return if steps.take(run_length(body)) { Ok(None) } else { Err(Exhausted) };
    };
    if !steps.take(length) {
        return Err(Exhausted);
    }
    let (body, after) = body.split_at(length);
    if after.first().is_some_and(|&b| URLSAFE.has(b)) || is_placeholder(&rest[..provider.prefix.len() + length]) {
        return Ok(None);
    }
    let proof = match provider.proof {
        Extra::Nothing => Proof::Shape,
        Extra::Crc if crc_base62_holds(body) => Proof::Checksum,
        Extra::Contains(inner) if find(body, inner.as_bytes()).is_some() => Proof::Structure,
        Extra::Entropy(tenths) if entropy(body) * 10.0 >= f64::from(tenths) => Proof::Shape,
        Extra::Crc | Extra::Contains(_) | Extra::Entropy(_) => return Ok(None),
    };
    Ok(Some(secret(provider.kind, provider.title, start..body_start + length, provider.confidence, proof)))
}

/// Whether the byte at `at`, which stands before a prefix, makes the prefix the middle of a longer word. A letter of
/// an escape sequence (`\n`) and the end of a percent escape do not.
fn continues(text: &[u8], at: usize) -> bool {
    let escape = at > 0 && text[at - 1] == b'\\' && matches!(text[at], b'n' | b't' | b'r');
    URLSAFE.has(text[at]) && !escape
}

/// What a failed shape cost: at most the run of token bytes behind the prefix.
fn run_length(body: &[u8]) -> usize {
    1 + URLSAFE.run(body, 256)
}

/// Of overlapping matches keeps the surest, then the longest. A kind by name gives way to a kind by issuer.
fn keep_strongest(mut found: Vec<Match>, out: &mut Vec<Match>) {
    let generic = |m: &Match| m.kind == "generic-secret";
    found.sort_by(|a, b| a.range.start.cmp(&b.range.start).then(b.range.end.cmp(&a.range.end)));
    let mut kept: Option<Match> = None;
    for next in found {
        match kept.take() {
            Some(best) if next.range.start < best.range.end => {
                let rank = |m: &Match| (!generic(m), m.confidence, m.range.len());
                kept = Some(if rank(&next) > rank(&best) { next } else { best });
            }
            Some(best) => {
                out.push(best);
                kept = Some(next);
            }
            None => kept = Some(next),
        }
    }
    out.extend(kept);
}
