//! Bytes as a model card: claims are finite, and sections lie in the order of the text.
#![no_main]

use gauntlet_core::card::{Card, regions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let card = Card::parse(data);
    assert_eq!(Card::parse(data), card, "two readings differ");
    assert!(card.claims.metrics.iter().all(|metric| metric.value.is_finite()));
    assert!(card.claims.sections.is_sorted_by_key(|section| section.line));
    if let Ok(text) = std::str::from_utf8(data) {
        let mut end = 0;
        for region in regions(text) {
            assert!(region.start >= end && region.end >= region.start && region.end <= text.len());
            assert!(text.is_char_boundary(region.start) && text.is_char_boundary(region.end));
            end = region.end;
        }
    }
});
