//! Bytes as Python source and as a notebook: every place lies in the text, and facts survive storage.
#![no_main]

use gauntlet_fuzz::{assert_stored, limits};
use gauntlet_python::{Module, Place, analyze, analyze_cells, notebook};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(module) = analyze(&text, &limits()) {
        examine(&text, &module);
    }
    if let Ok(notebook) = notebook::read(&text, &limits()) {
        // Cells are laid out by our own reader, so a refusal can only be about their depth.
        if let Ok(module) = analyze_cells(&notebook.source, &notebook.cells, &limits()) {
            examine(&notebook.source, &module);
        }
    }
});

fn examine(text: &str, module: &Module) {
    let calls = module.calls.iter().map(|call| call.place);
    let comments = module.comments.iter().map(|comment| comment.place);
    for Place { line, column, end_line, start, end } in calls.chain(comments) {
        assert!(line >= 1 && column >= 1 && line <= end_line, "a place without lines");
        assert!(text.get(start as usize..end as usize).is_some(), "a place outside of the text");
    }
    assert_stored(module);
}
