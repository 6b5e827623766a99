//! Bytes as what others write about datasets: Croissant, dataset cards, DVC files, Feast, MLflow, TFX; and as a manifest,
//! which reads back as it was written.
#![no_main]

use gauntlet_core::Limits;
use gauntlet_data::{ForeignFormat, foreign_is_readable, manifest::Manifest, read_declared, render_manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for format in [ForeignFormat::Croissant, ForeignFormat::HuggingFace, ForeignFormat::Dvc] {
        foreign_is_readable(format, data);
    }
    for name in ["schema.pbtxt", "MLmodel", "signature.json", "views.py"] {
        if let Err(problems) = read_declared(name, data, &Limits::default()) {
            assert!(!problems.is_empty(), "refused without a reason");
        }
    }
    if let Ok(manifest) = Manifest::parse("m", data) {
        Manifest::parse("m", render_manifest(&manifest, "").as_bytes()).expect("what we write is read");
    }
});
