//! Every issuer's examples, made by a generator that knows nothing of the shapes, and hostile text.
#![allow(clippy::panic, clippy::unwrap_used)]

use gauntlet_patterns::{Dialect, Families, Scanner, kinds, providers};
use proptest::prelude::*;

/// A seeded xorshift: the same values on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn word(&mut self, set: &[u8], n: usize) -> String {
        (0..n).map(|_| char::from(set[self.below(set.len())])).collect()
    }

    /// Fills a template such as `{an:20}_{hex:8}`.
    fn fill(&mut self, template: &str) -> String {
        const AN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (slot, tail) = after.split_once('}').unwrap();
            let (class, n) = slot.split_once(':').unwrap();
            let n = n.parse().unwrap();
            out.push_str(before);
            out.push_str(&match class {
                "an" => self.word(AN, n),
                "l" => self.word(&AN[..52], n),
                "ld" => self.word(b"abcdefghijklmnopqrstuvwxyz0123456789", n),
                "d" => self.word(b"0123456789", n),
                "hex" => self.word(b"0123456789abcdef", n),
                "b32" => self.word(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", n),
                // Ends in a letter, so that no sentence sign touches the token.
                "u" => self.word(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", n - 1) + "q",
                "crc" | "crcbad" => {
                    let body = self.word(AN, n);
                    let mut sum = crc32fast::hash(body.as_bytes()) ^ (u32::from(class == "crcbad") * 0x5A5A);
                    let mut tail = String::new();
                    for _ in 0..6 {
                        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
                        tail.insert(0, char::from(digits[(sum % 62) as usize]));
                        sum /= 62;
                    }
                    body + &tail
                }
                other => panic!("unknown class {other}"),
            });
            rest = tail;
        }
        out + rest
    }
}

fn scanner() -> Scanner {
    Scanner::new().unwrap()
}

#[test]
fn every_issuer_finds_its_examples_and_leaves_the_others() {
    let scanner = scanner();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for provider in providers() {
        assert!(!provider.positive.is_empty(), "{} has no example", provider.title);
        assert!(kinds().iter().any(|k| k.id == provider.kind), "{} has an unknown kind", provider.title);
        for template in provider.positive {
            for _ in 0..20 {
                let token = format!("{}{}", provider.prefix, random.fill(template));
                for (before, after) in [("", ""), ("x = \"", "\"\n"), ("\\n", "\\n"), ("(", ")"), ("at ", ", then")] {
                    let text = format!("{before}{token}{after}");
                    let scan = scanner.scan(text.as_bytes(), Families::SECRETS, Dialect::Code);
                    let hit = scan.matches.iter().any(|m| text[m.range.clone()] == token && m.kind == provider.kind);
                    assert!(hit, "{} missed in {text:?}: {:?}", provider.title, scan.matches);
                }
                // Inside a longer word it is none.
                let text = format!("a{token}");
                assert!(
                    scanner
                        .scan(text.as_bytes(), Families::SECRETS, Dialect::Code)
                        .matches
                        .iter()
                        .all(|m| m.title != provider.title),
                    "{text:?}"
                );
            }
        }
        for template in provider.negative {
            let text = format!("x({}{})", provider.prefix, random.fill(template));
            let scan = scanner.scan(text.as_bytes(), Families::SECRETS, Dialect::Code);
            assert!(
                scan.matches.iter().all(|m| m.title != provider.title),
                "{} wrongly found in {text:?}",
                provider.title
            );
        }
    }
}

#[test]
fn lock_files_and_hashes_hold_no_secret() {
    let mut random = Random(7);
    for template in [
        "files = [{file = \"jinja2-3.1.2.tar.gz\", hash = \"sha256:",
        "SHA = \"",
        "revision: ",
        "checksum = \"",
        "index_token_hash = \"",
    ] {
        for n in [32, 40, 64] {
            let text = format!("{template}{}\"", random.fill(&format!("{{hex:{n}}}")));
            let scan = scanner().scan(text.as_bytes(), Families::SECRETS, Dialect::Config);
            assert!(scan.matches.is_empty(), "{text}: {:?}", scan.matches);
        }
    }
}

#[test]
fn floods_of_keywords_cost_bounded_work() {
    let scanner = scanner();
    for unit in [
        "sk-",
        "=sk-",
        " eyJ",
        "://",
        ":AA",
        "password",
        "password=",
        "token: ",
        "wandb ",
        "username\"key\"",
        "@",
        "1 ",
        "+1",
        "a:b@",
        "-----BEGIN PRIVATE ",
        "KEY",
        "b",
        "GB82",
    ] {
        let text = unit.repeat((1 << 18) / unit.len());
        let scan = scanner.scan(text.as_bytes(), Families::ALL, Dialect::Config);
        // Without the budget these take hours; with it they end, or say from where on nothing may be concluded.
        assert!(scan.exhausted.is_none_or(|at| at <= text.len()), "{unit:?}");
    }
}

#[test]
fn a_spent_budget_is_said() {
    // Each value reaches over the following names, far above the allowance of its four bytes.
    let text = "pwd=".repeat(100_000);
    let scan = scanner().scan(text.as_bytes(), Families::SECRETS, Dialect::Config);
    assert!(scan.exhausted.is_some_and(|at| at > 0 && at < text.len()), "{:?}", scan.exhausted);
    assert_eq!(scanner().scan(&text.as_bytes()[..400], Families::SECRETS, Dialect::Config).exhausted, None);
}

#[test]
fn damaged_text_never_panics() {
    let scanner = scanner();
    let mut random = Random(42);
    let mut seeds: Vec<Vec<u8>> = providers()
        .iter()
        .flat_map(|p| p.positive.iter().map(|t| (p.prefix, *t)))
        .map(|(p, t)| format!("k = \"{p}{}\"", random.fill(t)).into_bytes())
        .collect();
    seeds.push(format!("-----BEGIN {}-----\\n{}", ["PRIVATE", "KEY"].join(" "), random.fill("{an:90}")).into_bytes());
    seeds.push(b"postgres://a:bZk3v9QpLr8@h.x/y +44 7911 123456 4539 1488 0343 6467 GB82 WEST 1234 5698 7654 32 ana@acme.dev 2a02:1::1:2".to_vec());
    for _ in 0..6_000 {
        let mut text = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len().max(1));
            match random.below(4) {
                0 => text.truncate(at),
                1 if !text.is_empty() => text[at] = random.below(256) as u8,
                2 => {
                    let other = seeds[random.below(seeds.len())].clone();
                    let cut = random.below(other.len());
                    text.splice(at.min(text.len()).., other[cut..].iter().copied());
                }
                _ => text.extend_from_within(..at.min(text.len())),
            }
        }
        let scan = scanner.scan(&text, Families::ALL, Dialect::Prose);
        assert!(scan.matches.iter().all(|m| m.range.start < m.range.end && m.range.end <= text.len()));
    }
}

proptest! {
    #[test]
    fn ranges_lie_inside_any_text(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        let scan = scanner().scan(&text, Families::ALL, Dialect::Config);
        for m in scan.matches {
            prop_assert!(m.range.start < m.range.end && m.range.end <= text.len());
        }
    }
}
