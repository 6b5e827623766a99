//! Jinja templates: files of their own, and those that stand in other formats.

use std::io::Read;

use gauntlet_core::SkipCode;
use gauntlet_limits::Limit;
use gauntlet_template::{analyze, looks_like_template};

use super::{Head, Reader, base};
use crate::checks::TEMPLATE;
use crate::extract::{Content, Place, Walk};
use crate::facts::TemplateFact;

/// Reads template files.
pub(crate) struct Template;

impl Reader for Template {
    fn format(&self) -> &'static str {
        "Jinja template"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    /// A template has no signature: text with such a name is one.
    fn recognises(&self, head: &Head<'_>) -> bool {
        matches!(head.ending().as_str(), "jinja" | "jinja2" | "j2") && !head.prefix.is_empty()
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        let limits = walk.budget.limits();
        let mut bytes = Vec::new();
        let read = match content.open() {
            Ok(stream) => stream.take(limits.text_bytes.saturating_add(1)).read_to_end(&mut bytes),
            Err(error) => return walk.failed(TEMPLATE, place, &error),
        };
        if let Err(error) = read {
            return walk.io_failed(TEMPLATE, place, &error);
        }
        if let Err(hit) = limits.check(Limit::TextBytes, bytes.len() as u64) {
            return walk.limit(TEMPLATE, place, hit);
        }
        let text = String::from_utf8_lossy(&bytes);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            walk.skip(TEMPLATE, place, SkipCode::Malformed, "the template is no UTF-8");
        }
        walk.template(&text, place, is_chat(&place.name));
    }
}

/// Whether loaders of language models render a template of this name. Keys of GGUF metadata are such names, too.
fn is_chat(name: &str) -> bool {
    if name.contains("chat_templates/") {
        return true;
    }
    let name = base(name).to_ascii_lowercase();
    name.contains("chat_template") || name.starts_with("tokenizer.") || name == "template.jinja"
}

impl Walk<'_> {
    /// Judges a text that is rendered as a template; `chat` when it is one of those that come with language models,
    /// which need nothing but their variables. Text without any template construct is left alone.
    pub(crate) fn template(&mut self, text: &str, place: &Place, chat: bool) {
        if !looks_like_template(text) && !["{{", "{%", "{#"].iter().any(|open| text.contains(open)) {
            self.looked_at(TEMPLATE);
            return;
        }
        match analyze(text, self.budget) {
            Ok(facts) => {
                self.looked_at(TEMPLATE);
                self.facts.push(TEMPLATE, place.location.clone(), &TemplateFact { chat, facts });
            }
            Err(hit) => self.limit(TEMPLATE, place, hit),
        }
    }
}
