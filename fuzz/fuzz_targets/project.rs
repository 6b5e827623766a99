//! Bytes as gauntlet.yaml: a project that is read, written as JSON and read again is the same project.
#![no_main]

use gauntlet_core::{Project, canonical};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match Project::parse("gauntlet.yaml", data) {
    Ok(project) => {
        let bytes = canonical::to_vec(&project).expect("a project is written");
        let again = Project::parse("gauntlet.yaml", &bytes).expect("what we write is read");
        assert_eq!(canonical::to_vec(&again).expect("a project is written"), bytes, "writing twice differs");
    }
    Err(errors) => {
        assert!(!errors.is_empty(), "refused without a reason");
        for error in errors {
            let _ = error.to_string();
        }
    }
});
