//! Model cards: the one that the project declares, and the README of a model's folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use gauntlet_core::card::Card;
use gauntlet_core::{Facts, Location, SkipCode, SubjectKind, Target, TreeFile, open_regular};

use crate::checks::CARD;

/// Names that cards have.
const NAMES: [&str; 4] = ["README.md", "MODEL_CARD.md", "model_card.md", "modelcard.md"];
/// Bytes of a card that are read; the reader refuses more.
const BYTES: u64 = 4 << 20;

/// Pushes the facts of every card of the target. `is_model_folder` says which folders loaders take for a model.
pub(crate) fn read(facts: &mut Facts, target: &Target<'_>, is_model_folder: &dyn Fn(&Path) -> bool) {
    if let Some(path) = target.config.pointer("/card/path").and_then(serde_json::Value::as_str) {
        let full = target.root.join(path);
        return match std::fs::File::open(&full).and_then(bytes_of) {
            Ok(bytes) => push(facts, target, Location::file(Path::new(path)), &bytes, true),
            Err(error) => facts.coverage_mut(CARD).skip(path, None, SkipCode::Unreadable, error.to_string()),
        };
    }
    for file in target.tree.files.iter().filter(|file| is_card(file, target, is_model_folder)) {
        match open_regular(target.root, file).and_then(bytes_of) {
            Ok(bytes) => push(facts, target, Location::file(&file.path), &bytes, false),
            Err(error) => {
                let (path, _) = gauntlet_core::display_path(&file.path);
                facts.coverage_mut(CARD).skip(path, None, SkipCode::Unreadable, error.to_string());
            }
        }
    }
}

/// A text of that name in the top folder of a model, or in a folder that loaders take for one.
fn is_card(file: &TreeFile, target: &Target<'_>, is_model_folder: &dyn Fn(&Path) -> bool) -> bool {
    let named = file.path.file_name().and_then(|name| name.to_str()).is_some_and(|name| NAMES.contains(&name));
    let Some(folder) = file.path.parent().filter(|_| named) else { return false };
    is_model_folder(folder) || (target.subject.kind == SubjectKind::Model && folder == top(target).as_path())
}

/// The folder that all files of the target lie in.
fn top(target: &Target<'_>) -> PathBuf {
    let mut folders = target.tree.files.iter().filter_map(|file| file.path.parent());
    let Some(first) = folders.next() else { return PathBuf::new() };
    folders.fold(first.to_owned(), |common, folder| {
        common.components().zip(folder.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

fn bytes_of(file: std::fs::File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn push(facts: &mut Facts, target: &Target<'_>, location: Location, bytes: &[u8], declared: bool) {
    let mut claims = Card::parse(bytes).claims;
    // A README without front matter is a text that nobody called a card.
    let broken = !claims.problems.is_empty();
    if !declared && !claims.has_front_matter && !broken {
        return;
    }
    if claims.model != gauntlet_core::DigestSet::default() {
        claims.about_subject = Some(claims.model.matches(&target.subject.digest));
    }
    facts.coverage_mut(CARD).looked_at += 1;
    facts.push(CARD, location, &claims);
}
