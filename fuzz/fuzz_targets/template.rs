//! Bytes as a Jinja template: every place lies in the text, and facts survive storage.
#![no_main]

use gauntlet_fuzz::{assert_stored, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(facts) = gauntlet_template::exercise(data, &limits()) else { return };
    let lines = data.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let attributes = facts.attributes.iter().map(|attribute| attribute.place);
    let problems = facts.problems.iter().map(|problem| problem.place);
    for place in attributes.chain(problems) {
        assert!(place.line >= 1 && place.line <= lines && place.column >= 1, "a place outside of the text");
    }
    assert_stored(&facts);
});
