//! Inputs on which fuzzing found a broken promise; what the fuzz target asserts is asserted here too.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_patterns::{Dialect, Families, Family, Scanner};

fn assert_sound(text: &[u8]) -> usize {
    let scan = Scanner::new().unwrap().scan(text, Families::ALL, Dialect::Code);
    assert!(scan.matches.iter().all(|m| m.range.start < m.range.end && m.range.end <= text.len()));
    for family in [Family::Secret, Family::Personal] {
        let matches: Vec<_> = scan.matches.iter().filter(|m| m.family == family).collect();
        assert!(matches.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{matches:?}");
    }
    scan.matches.len()
}

#[test]
fn seeds_keep_their_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/patterns/crashes");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        assert!(assert_sound(&std::fs::read(entry.unwrap().path()).unwrap()) > 0);
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {folder}");
}

#[test]
fn an_address_swallows_the_number_it_begins_with_and_chains_keep_the_first() {
    let found = |text: &str| {
        assert_sound(text.as_bytes());
        let scan = Scanner::new().unwrap().scan(text.as_bytes(), Families::PERSONAL, Dialect::Prose);
        scan.matches.into_iter().map(|m| (m.kind, text[m.range].to_owned())).collect::<Vec<_>>()
    };
    let email = |text: &str| ("email".to_owned(), text.to_owned());
    assert_eq!(found("ann@acme.io@b.me"), [email("ann@acme.io")]);
    assert_eq!(found("a@acme.io, b@acme.io"), [email("a@acme.io"), email("b@acme.io")]);
    // The number alone is a match, and the address that it belongs to takes its place.
    assert_eq!(found("call +4915112345678").len(), 1);
    assert_eq!(found("+4915112345678@acme.io"), [email("4915112345678@acme.io")]);
}
