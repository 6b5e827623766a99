//! Scripts and configuration inside models: the source gate looks for secrets and unsafe calls in them.

use gauntlet_core::{Derived, Stage};

use super::{Content, Place, Walk};

/// Endings of files that the source gate reads for more than their words.
const ENDINGS: [&str; 13] =
    ["py", "ipynb", "sh", "bash", "env", "cfg", "conf", "ini", "toml", "yaml", "yml", "properties", "txt"];
/// Bytes of one such file; larger ones are data.
const MOST: u64 = 1 << 20;
/// Bytes of all such files of one file.
const TOGETHER: usize = 16 << 20;

impl Walk<'_> {
    /// Hands a text to the source gate. TorchScript is no Python, and is judged here.
    pub(super) fn derive(&mut self, content: &Content<'_>, place: &Place, ending: &str) {
        let inside = place.location.member.is_some() || self.model_folder;
        let small = content.size().is_none_or(|size| size <= MOST);
        if !inside || !small || !ENDINGS.contains(&ending) || place.name.contains("code/__torch__") {
            return;
        }
        let held: usize = self.facts.derived.iter().map(|derived| derived.bytes.len()).sum();
        let Ok(text) = self.text(content) else { return };
        if text.len() as u64 <= MOST && held + text.len() <= TOGETHER {
            self.facts.derived.push(Derived {
                stage: Stage::Source,
                location: place.location.clone(),
                name: crate::readers::base(&place.name).to_owned(),
                bytes: text.into_bytes(),
            });
        }
    }
}
