//! A source in memory that can say and send anything.

use std::io;
use std::ops::Range;

use gauntlet_core::{Limits, Verdict};
use gauntlet_trust::oms::{
    InstallError, Origin, PartialVerdict, ReasonCode, Selection, Serialization, Stream, VerifyOptions, install,
    verify_source, verify_source_only, verify_stream,
};
use gauntlet_trust::source::{Entry, Source, SourceError, Take};

use super::{Model, codes, everything, model, shards};

struct Memory {
    listed: Option<Vec<Entry>>,
    /// What is sent for a name, whatever was announced.
    files: Vec<(String, Vec<u8>)>,
    single: Option<String>,
}

impl Memory {
    fn of(model: &Model) -> Self {
        let listed = model.files.iter().map(|(name, bytes)| entry(name, bytes.len())).collect();
        Self { listed: Some(listed), files: model.files.clone(), single: None }
    }

    fn bytes(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.files.iter_mut().find(|(n, _)| n == name).unwrap().1
    }

    fn list_also(&mut self, name: &str, size: usize) {
        self.listed.as_mut().unwrap().push(entry(name, size));
    }
}

fn entry(name: &str, size: usize) -> Entry {
    Entry { name: name.to_owned(), size: size as u64 }
}

impl Source for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn single(&self) -> Option<&str> {
        self.single.as_deref()
    }

    fn list(&self, _: &Limits) -> Result<Option<Vec<Entry>>, SourceError> {
        Ok(self.listed.clone())
    }

    fn size(&self, name: &str) -> Result<Option<u64>, SourceError> {
        Ok(self.files.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.len() as u64))
    }

    fn read(&self, name: &str, _: u64, range: Range<u64>, take: &mut Take<'_>) -> io::Result<()> {
        let (_, bytes) = self.files.iter().find(|(n, _)| n == name).ok_or(io::ErrorKind::NotFound)?;
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let bytes = bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.chunks(65_537).try_for_each(take)
    }
}

fn judge(model: &Model, source: &Memory) -> (Verdict, Vec<ReasonCode>) {
    let found = verify_source(source, None, &model.bundle, &model.trust, &VerifyOptions::default());
    (found.verdict, codes(&found))
}

#[test]
fn files_and_shards_pass_as_they_were_signed() {
    for serialization in [Serialization::Files, shards()] {
        let model = model(serialization);
        assert_eq!(judge(&model, &Memory::of(&model)), (Verdict::Pass, vec![]));
    }
}

#[test]
fn every_difference_is_found_and_all_are_told() {
    let model = model(Serialization::Files);
    let mut source = Memory::of(&model);
    source.bytes("weights.safetensors")[1_500_000] ^= 1;
    source.list_also("extra.py", 3);
    source.listed.as_mut().unwrap().retain(|entry| entry.name != "config.json");
    let (verdict, mut found) = judge(&model, &source);
    found.sort();
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(found, [ReasonCode::DigestMismatch, ReasonCode::MissingFile, ReasonCode::UnexpectedFile]);
}

#[test]
fn a_changed_byte_in_the_middle_of_a_shard_is_found() {
    let model = model(shards());
    let mut source = Memory::of(&model);
    source.bytes("weights.safetensors")[1_500_000] ^= 1;
    let found = verify_source(&source, None, &model.bundle, &model.trust, &VerifyOptions::default());
    assert_eq!(found.reasons.len(), 1);
    assert!(found.reasons[0].message.starts_with("bytes 1000000..2000000"), "{}", found.reasons[0].message);
}

#[test]
fn lies_about_length_and_truncation_never_pass() {
    for serialization in [Serialization::Files, shards()] {
        let model = model(serialization);
        let mut longer = Memory::of(&model);
        longer.listed.as_mut().unwrap()[2].size += 1;
        let mut shorter = Memory::of(&model);
        shorter.listed.as_mut().unwrap()[2].size -= 1;
        let mut cut = Memory::of(&model);
        cut.bytes("weights.safetensors").truncate(2_000_000);
        for source in [longer, shorter, cut] {
            assert_ne!(judge(&model, &source).0, Verdict::Pass);
        }
    }
}

#[test]
fn names_that_lead_out_or_come_twice_are_refused() {
    let model = model(Serialization::Files);
    for name in ["../../etc/cron.d/x", "/etc/passwd", "a//b", "sub/../../x", "./x", "..", "x\0y"] {
        let mut source = Memory::of(&model);
        source.list_also(name, 1);
        assert_eq!(judge(&model, &source), (Verdict::Fail, vec![ReasonCode::UnsafePath]), "{name:?}");
    }
    let mut source = Memory::of(&model);
    source.list_also("config.json", 20);
    assert_eq!(judge(&model, &source), (Verdict::Fail, vec![ReasonCode::Duplicate]));
}

#[test]
fn folder_markers_and_ignored_objects_leave_no_trace() {
    let model = model(Serialization::Files);
    let mut source = Memory::of(&model);
    source.list_also("sub", 0);
    source.list_also(".git/config", 5);
    assert_eq!(judge(&model, &source), (Verdict::Pass, vec![]));
    source.list_also("empty", 0);
    assert_eq!(judge(&model, &source), (Verdict::Fail, vec![ReasonCode::UnexpectedFile]));
}

#[test]
fn a_source_that_cannot_list_is_judged_by_the_signed_names_and_says_so() {
    let model = model(Serialization::Files);
    let mut source = Memory { listed: None, ..Memory::of(&model) };
    let found = verify_source(&source, None, &model.bundle, &model.trust, &VerifyOptions::default());
    assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
    assert!(found.warnings.iter().any(|warning| warning.contains("cannot list")), "{:?}", found.warnings);
    source.files.retain(|(name, _)| name != "config.json");
    assert_eq!(judge(&model, &source), (Verdict::Fail, vec![ReasonCode::MissingFile]));
}

#[test]
fn a_selection_reads_nothing_else() {
    let model = model(shards());
    let mut source = Memory { listed: None, ..Memory::of(&model) };
    source.files.retain(|(name, _)| name == "weights.safetensors");
    source.bytes("weights.safetensors")[0] ^= 1;
    let only = |text: &str| {
        let selection = [Selection(text.to_owned())];
        verify_source_only(&source, &model.bundle, &model.trust, &VerifyOptions::default(), &selection).verdict
    };
    assert_eq!(only("weights.safetensors:1000000:2000000"), PartialVerdict::Partial);
    assert_eq!(only("weights.safetensors:0:1000000"), PartialVerdict::Fail);
    assert_eq!(only("config.json"), PartialVerdict::Fail);
}

#[test]
fn only_a_model_that_passes_is_installed_and_nothing_else_stays() {
    for serialization in [Serialization::Files, shards()] {
        let model = model(serialization);
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("model");
        let run = |source: &Memory| {
            let origin = Origin::Source { source, signature: None };
            install(origin, &model.bundle, &model.trust, &VerifyOptions::default(), &target)
        };
        let mut changed = Memory::of(&model);
        *changed.bytes("weights.safetensors").last_mut().unwrap() ^= 1;
        let mut cut = Memory::of(&model);
        cut.bytes("sub/a b.bin").truncate(5);
        let mut extra = Memory::of(&model);
        extra.list_also("../escape", 1);
        for source in [changed, cut, extra] {
            assert_ne!(run(&source).unwrap().verdict, Verdict::Pass);
            assert_eq!(everything(place.path()), Vec::<String>::new(), "nothing is left behind");
        }
        assert_eq!(run(&Memory::of(&model)).unwrap().verdict, Verdict::Pass);
        for (name, bytes) in &model.files {
            assert!(std::fs::read(target.join(name)).unwrap() == *bytes, "{name}");
        }
        let names = [
            "model",
            "model/config.json",
            "model/model.sig",
            "model/sub",
            "model/sub/a b.bin",
            "model/weights.safetensors",
        ];
        assert_eq!(everything(place.path()), names);
        assert!(matches!(run(&Memory::of(&model)), Err(InstallError::Exists(_))));
        let options = VerifyOptions { signature_path: Some(target.join("model.sig")), ..VerifyOptions::default() };
        let again = gauntlet_trust::oms::verify_any(&target, &model.bundle, &model.trust, &options);
        assert_eq!(again.verdict, Verdict::Pass, "{:?}", again.reasons);
    }
}

#[test]
fn nothing_is_fetched_when_the_signature_or_the_listing_is_wrong_already() {
    struct Silent(Memory);
    impl Source for Silent {
        fn name(&self) -> &str {
            "silent"
        }

        fn single(&self) -> Option<&str> {
            None
        }

        fn list(&self, limits: &Limits) -> Result<Option<Vec<Entry>>, SourceError> {
            self.0.list(limits)
        }

        fn size(&self, name: &str) -> Result<Option<u64>, SourceError> {
            self.0.size(name)
        }

        fn read(&self, _: &str, _: u64, _: Range<u64>, _: &mut Take<'_>) -> io::Result<()> {
            panic!("a byte was fetched")
        }
    }
    let model = model(Serialization::Files);
    let place = tempfile::tempdir().unwrap();
    let mut source = Memory::of(&model);
    source.list_also("extra", 3);
    let source = Silent(source);
    let origin = Origin::Source { source: &source, signature: None };
    let options = VerifyOptions::default();
    let found = install(origin, &model.bundle, &model.trust, &options, &place.path().join("t")).unwrap();
    assert_eq!(codes(&found), [ReasonCode::UnexpectedFile]);
    let other = super::model(Serialization::Files);
    let found = install(origin, &model.bundle, &other.trust, &options, &place.path().join("t")).unwrap();
    assert_eq!(found.verdict, Verdict::Fail);
    assert_eq!(everything(place.path()), Vec::<String>::new());
}

#[test]
fn a_folder_is_installed_as_it_is_read() {
    let model = model(Serialization::Files);
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("from");
    for (name, bytes) in &model.files {
        let path = from.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let run = |target: &str| {
        let origin = Origin::Local(&from);
        install(origin, &model.bundle, &model.trust, &VerifyOptions::default(), &place.path().join(target)).unwrap()
    };
    assert_eq!(run("good").verdict, Verdict::Pass);
    std::fs::write(from.join("config.json"), b"other").unwrap();
    assert_eq!(run("bad").verdict, Verdict::Fail);
    assert!(place.path().join("good/sub/a b.bin").exists() && !place.path().join("bad").exists());
}

#[test]
fn a_single_file_streams_from_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, vec![7; 3_000_000]).unwrap();
    let key = gauntlet_trust::keys::SigningKey::generate(gauntlet_trust::keys::KeyKind::P256).unwrap();
    let bundle = gauntlet_trust::oms::sign(&path, &key, &Default::default()).unwrap().bundle;
    let trust = [gauntlet_trust::oms::Trust::Keys(vec![key.verifying_key().clone()])];
    let mut source = Memory {
        listed: None,
        files: vec![("m.onnx".to_owned(), vec![7; 3_000_000])],
        single: Some("m.onnx".to_owned()),
    };
    let run = |source: &Memory| {
        let mut out = Vec::new();
        let found = verify_stream(Stream::Source(source), &bundle, &trust, &VerifyOptions::default(), &mut out);
        (found.verdict, out.len())
    };
    assert_eq!(run(&source), (Verdict::Pass, 3_000_000));
    let found = verify_source(&source, None, &bundle, &trust, &VerifyOptions::default());
    assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
    source.bytes("m.onnx")[2_999_999] = 8;
    let (verdict, handed) = run(&source);
    assert!(verdict == Verdict::Fail && handed <= 2_000_000, "{handed}");
}
