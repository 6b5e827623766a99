//! Bytes as text with secrets and personal data; the first byte chooses the dialect. Matches lie in the text, in order.
#![no_main]

use std::sync::LazyLock;

use gauntlet_patterns::{Dialect, Families, Family, Scanner};
use libfuzzer_sys::fuzz_target;

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new().expect("the rule table fits"));

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let dialect = [Dialect::Code, Dialect::Config, Dialect::Prose][usize::from(choice % 3)];
    let scan = SCANNER.scan(text, Families::ALL, dialect);
    for found in &scan.matches {
        assert!(found.range.start < found.range.end && found.range.end <= text.len(), "a match outside of the text");
    }
    assert!(scan.matches.windows(2).all(|pair| pair[0].range.start <= pair[1].range.start), "matches out of order");
    for family in [Family::Secret, Family::Personal] {
        let matches: Vec<_> = scan.matches.iter().filter(|found| found.family == family).collect();
        assert!(matches.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "matches overlap");
    }
    assert!(scan.exhausted.is_none_or(|at| at < text.len()), "scanning stopped outside of the text");
});
