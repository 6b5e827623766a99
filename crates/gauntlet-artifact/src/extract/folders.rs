//! Which files stand beside each other: facts of a folder rather than of a file.

use std::collections::BTreeMap;

use gauntlet_core::{Facts, Location, Tree};

use crate::checks::HUGGINGFACE;
use crate::facts::{HfFact, HfFolderFact};

/// Files of one folder that are kept.
const FILES: usize = 5000;

/// Adds what stands in each folder that has settings of a model: weights and code, those of folders directly below included.
pub(super) fn note(facts: &mut Facts, tree: &Tree) {
    let mut folders: BTreeMap<String, HfFolderFact> = BTreeMap::new();
    for (location, _) in facts.of::<HfFact>().flatten() {
        if let (Some(path), None) = (&location.path, &location.member) {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            folders.entry(folder.to_owned()).or_default();
        }
    }
    if folders.is_empty() {
        return;
    }
    for file in &tree.files {
        let path = Location::file(&file.path).path.unwrap_or_default();
        let base = path.rsplit('/').next().unwrap_or(&path);
        let Some((_, "py" | "bin" | "safetensors" | "pt" | "pth" | "ckpt" | "h5" | "msgpack" | "onnx" | "gguf")) =
            base.rsplit_once('.')
        else {
            continue;
        };
        // The file's own folder, and the one above.
        let mut rest = path.as_str();
        for _ in 0..2 {
            let folder = rest.rsplit_once('/').map_or("", |(folder, _)| folder);
            if let Some(fact) = folders.get_mut(folder) {
                let name = path.strip_prefix(folder).unwrap_or(&path).trim_start_matches('/');
                if fact.files.len() < FILES {
                    fact.files.push(name.to_owned());
                } else {
                    fact.cut = true;
                }
            }
            if folder.is_empty() {
                break;
            }
            rest = folder;
        }
    }
    for (folder, mut fact) in folders {
        fact.files.sort_unstable();
        let path = (!folder.is_empty()).then_some(folder);
        facts.push(HUGGINGFACE, Location { path, ..Location::default() }, &fact);
    }
}
