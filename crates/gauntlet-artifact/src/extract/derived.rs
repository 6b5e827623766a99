//! Scripts and configuration inside models: the source gate looks for secrets and unsafe calls in them.

use gauntlet_core::{Derived, LimitHit, SkipCode, Stage};

use super::{Content, Place, Walk};
use crate::checks::ARCHIVE;
use crate::formats::tensor::TensorRow;

/// Endings of files that the source gate reads for more than their words.
const ENDINGS: [&str; 13] =
    ["py", "ipynb", "sh", "bash", "env", "cfg", "conf", "ini", "toml", "yaml", "yml", "properties", "txt"];
/// Those of them that are programs.
const CODE: [&str; 4] = ["py", "ipynb", "sh", "bash"];
/// Bytes of one such file; larger ones are data.
const MOST: u64 = 1 << 20;
/// Bytes of all such files of one file.
const TOGETHER: usize = 16 << 20;

impl Walk<'_> {
    /// Hands a text to the source gate. TorchScript is no Python, and is judged here.
    pub(super) fn derive(&mut self, content: &Content<'_>, place: &Place, ending: &str) {
        let inside = place.location.member.is_some() || self.model_folder;
        if !inside || !ENDINGS.contains(&ending) || place.name.contains("code/__torch__") {
            return;
        }
        let text = match self.text(content) {
            Ok(text) => text,
            Err(error) if LimitHit::in_io(&error).is_some() => return self.not_handed_on(place, ending),
            Err(error) => return self.io_failed(ARCHIVE, place, &error),
        };
        if text.len() as u64 > MOST || self.derived_bytes() + text.len() > TOGETHER {
            return self.not_handed_on(place, ending);
        }
        self.facts.derived.push(Derived {
            stage: Stage::Source,
            location: place.location.clone(),
            name: crate::readers::base(&place.name).to_owned(),
            bytes: text.into_bytes(),
        });
    }

    /// Hands what can be read among the numbers of a tensor to the source gate. Whole numbers spell vocabularies.
    pub(super) fn derive_text(&mut self, texts: &[u8], row: &TensorRow, place: &Place) {
        if row.dtype.starts_with(['F', 'B']) && self.derived_bytes() + texts.len() <= TOGETHER {
            self.facts.derived.push(Derived {
                stage: Stage::Source,
                location: place.member(&format!("<text in tensor {}>", row.name)).location,
                name: "tensor.txt".to_owned(),
                bytes: texts.to_vec(),
            });
        }
    }

    fn derived_bytes(&self) -> usize {
        self.facts.derived.iter().map(|derived| derived.bytes.len()).sum()
    }

    /// Code that is too long to be handed on is an open question; a long list of words is data.
    fn not_handed_on(&mut self, place: &Place, ending: &str) {
        let code = if CODE.contains(&ending) { SkipCode::Limit } else { SkipCode::Ignored };
        self.skip(ARCHIVE, place, code, "too long to be searched for secrets and unsafe calls");
    }
}
