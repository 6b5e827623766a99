//! The scanner: one automaton over all keywords, and a budget that hostile text cannot exceed.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::alphabet::URLSAFE;
use crate::assignment::{self, NAMES};
use crate::checks::{classes, crc_base62_holds, entropy, find, is_placeholder};
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

/// Fewest bytes behind a prefix that make an unproven token.
const LEAST_UNPROVEN: usize = 24;
/// Most of them.
const MOST_UNPROVEN: usize = 300;
/// How far around a token words are read.
const SAMPLE_REACH: usize = 32;

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

    /// Calls `visit` with each place where a keyword of a secret begins, by where the keyword ends. Cheap: one pass of the
    /// automaton and no proof. Text around which nothing is visited holds no secret that [`Self::scan`] would find in it,
    /// so many short values that lie behind each other in one buffer are sifted in one call.
    pub fn secret_candidates(&self, text: &[u8], mut visit: impl FnMut(usize)) {
        for hit in self.keywords.find_overlapping_iter(text) {
            visit(hit.start());
        }
    }

    /// Tokens that begin as an issuer's do and are long and random, and of which shape or checksum are not the issuer's:
    /// of older or newer formats, cut, or mistyped. Text that says that it shows a sample is left alone. What
    /// [`Self::scan`] finds is not repeated; of low confidence.
    #[must_use]
    pub fn unproven(&self, text: &[u8]) -> Vec<Match> {
        let mut out: Vec<Match> = Vec::new();
        let mut steps = Steps(allowance(text.len()));
        for hit in self.keywords.find_overlapping_iter(text) {
            let Some(provider) = providers().get(hit.pattern().as_usize()) else { continue };
            let (start, rest) = (hit.start(), &text[hit.start()..]);
            let body = &rest[provider.prefix.len()..];
            let run = URLSAFE.run(body, MOST_UNPROVEN + 1);
            if !steps.take(run + SAMPLE_REACH) {
                break;
            }
            let (token, after) = rest.split_at(provider.prefix.len() + run);
            let random = (LEAST_UNPROVEN..=MOST_UNPROVEN).contains(&run)
                && classes(&body[..run]) >= 2
                && body[..run].iter().any(u8::is_ascii_digit)
                && entropy(&body[..run]) >= 3.5;
            let stands_alone = !start.checked_sub(1).is_some_and(|i| continues(text, i));
            if random
                && stands_alone
                && provider.prefix.len() >= 3
                && rest.starts_with(provider.prefix.as_bytes())
                && !is_placeholder(token)
                && !is_sample(&text[..start], after)
                && out.last().is_none_or(|last| last.range.end <= start)
            {
                let range = start..start + token.len();
                out.push(secret(provider.kind, provider.title, range, Confidence::Low, Proof::Context));
            }
        }
        out
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

/// Whether the words around a token say that it is nobody's.
fn is_sample(before: &[u8], after: &[u8]) -> bool {
    const WORDS: [&str; 7] = ["sample", "example", "dummy", "fake", "placeholder", "manual", "redacted"];
    let before = before[before.len().saturating_sub(SAMPLE_REACH)..].to_ascii_lowercase();
    let after = after[..after.len().min(SAMPLE_REACH)].to_ascii_lowercase();
    WORDS.iter().any(|word| find(&before, word.as_bytes()).is_some() || find(&after, word.as_bytes()).is_some())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner() -> Scanner {
        Scanner::new().unwrap()
    }

    #[test]
    fn sifting_never_passes_over_what_a_scan_finds() {
        let token = ["gl", "pat-", "Zk3v9QpLr8sTn2WxYb7H"].concat();
        let values = ["moved house", &format!("see {token} there"), "password = x", "nothing"];
        let text = values.concat();
        let mut seen = Vec::new();
        scanner().secret_candidates(text.as_bytes(), |at| seen.push(at));
        let found = scanner().scan(text.as_bytes(), Families::SECRETS, Dialect::Prose).matches;
        assert_eq!(found.len(), 1);
        assert!(seen.contains(&found[0].range.start), "{seen:?}");
        assert!(seen.iter().all(|&at| at < text.len() - "nothing".len()));
    }

    #[test]
    fn a_token_with_a_wrong_checksum_is_unproven_unless_called_a_sample() {
        let token = ["gh", "p_", "Zk3v9QpLr8sTn2WxYb7Hc5JdEf1Gm4Ka0q"].concat();
        let text = format!("pushed with {token} yesterday");
        assert_eq!(scanner().scan(text.as_bytes(), Families::SECRETS, Dialect::Prose).matches, []);
        let found = scanner().unproven(text.as_bytes());
        assert_eq!(&text[found[0].range.clone()], token);
        assert_eq!((found.len(), found[0].confidence), (1, Confidence::Low));
        for silent in [
            format!("sample token {token} from the manual"),
            format!("the token {token} is a dummy"),
            format!("x{token}"),
            ["gh", "p_", &"a".repeat(36)].concat(),
            ["gh", "p_", "short1"].concat(),
        ] {
            assert_eq!(scanner().unproven(silent.as_bytes()), [], "{silent}");
        }
    }

    #[test]
    fn hostile_runs_of_prefixes_stay_linear() {
        let text = ["gh", "p_"].concat().repeat(200_000);
        assert_eq!(scanner().unproven(text.as_bytes()), []);
    }
}
