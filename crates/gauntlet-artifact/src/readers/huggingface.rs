//! Settings of Hugging Face folders: transformers, sentence-transformers, diffusers, adapters.

use gauntlet_core::{Masked, SkipCode};

use super::{DocumentReader, base};
use crate::checks::HUGGINGFACE;
use crate::extract::{Place, Walk};
use crate::facts::{HfFact, HfKind, HfSetting, ModelConfigFact};
use crate::formats::json::{Document, Json};
use crate::rules::huggingface::{HuggingfaceRules, huggingface};

/// Settings that are kept.
const SETTINGS: usize = 20_000;
/// Characters of one value that are kept.
const VALUE: usize = 300;
/// Names of classes in front of which diffusers writes the library: `"unet": ["diffusers", "UNet2DConditionModel"]`.
const PAIR: usize = 2;

/// Reads one document.
pub(crate) struct Huggingface;

/// Whether a document of this name is a vocabulary: long, and without anything that a loader would follow.
pub(crate) fn is_vocabulary(name: &str) -> bool {
    huggingface().as_ref().is_ok_and(|rules| rules.vocabularies.contains(base(name)))
}

impl DocumentReader for Huggingface {
    fn format(&self) -> &'static str {
        "Hugging Face settings"
    }

    fn check(&self) -> &'static str {
        HUGGINGFACE
    }

    /// A vocabulary is expected by nobody here: there is nothing in it that a loader would follow, however long it is.
    fn expects(&self, place: &Place) -> bool {
        let name = base(&place.name);
        huggingface().as_ref().is_ok_and(|rules| {
            // `config.json` alone is a name that anything has.
            (rules.documents.contains(name) && name != "config.json" && name != "params.json")
                || rules.endings.iter().any(|ending| name.ends_with(ending.as_str()))
        })
    }

    fn concerns(&self, name: &str, document: &Document) -> bool {
        let name = base(name);
        let Ok(rules) = huggingface() else { return true };
        if rules.vocabularies.contains(name) {
            return false;
        }
        rules.documents.contains(name)
            || rules.endings.iter().any(|ending| name.ends_with(ending.as_str()))
            || has_mark(&document.root, rules)
    }

    fn read(&self, walk: &mut Walk<'_>, document: &Document, place: &Place) {
        let rules = match huggingface() {
            Ok(rules) => rules,
            Err(error) => return walk.skip(HUGGINGFACE, place, SkipCode::Unreadable, format!("rule data: {error}")),
        };
        let name = base(&place.name).to_owned();
        let duplicates = document.duplicates.iter().take(100).map(|key| cut(key)).collect();
        let fact = HfFact { document: name, duplicates, ..HfFact::default() };
        let mut settings = Settings { rules, walk, place, fact };
        settings.document(&document.root);
        let fact = settings.fact;
        let described = describe(&document.root);
        walk.looked_at(HUGGINGFACE);
        walk.facts.push(HUGGINGFACE, place.location.clone(), &fact);
        if let Some(described) = described {
            walk.facts.push(HUGGINGFACE, place.location.clone(), &described);
        }
    }
}

fn has_mark(value: &Json, rules: &HuggingfaceRules) -> bool {
    // Depth is bounded by the parser.
    value.entries().iter().any(|(key, value)| rules.marks.contains(key) || has_mark(value, rules))
        || value.items().iter().any(|item| has_mark(item, rules))
}

/// Members of a configuration that describe how large a model is.
const FIGURES: [&str; 14] = [
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "num_local_experts",
    "vocab_size",
    "max_position_embeddings",
    "n_embd",
    "n_layer",
    "n_head",
    "image_size",
    "torch_dtype",
    "dtype",
];

/// What a configuration says of the architecture, when it names one.
fn describe(root: &Json) -> Option<ModelConfigFact> {
    let text = |key: &str| root.get(key).and_then(Json::text).map(cut);
    let list = root.get("architectures").map_or(&[][..], Json::items);
    let architectures: Vec<String> = list.iter().filter_map(Json::text).map(cut).take(20).collect();
    let family = text("model_type").or_else(|| text("_class_name"));
    if family.is_none() && architectures.is_empty() {
        return None;
    }
    let version = |key: &str, name: &str| text(key).map(|version| format!("{name} {version}"));
    let producer =
        version("transformers_version", "transformers").or_else(|| version("_diffusers_version", "diffusers"));
    let quantisation = root.get("quantization_config").and_then(|config| {
        let method = config.get("quant_method").and_then(Json::text).map(cut);
        let bits = config.get("bits").and_then(scalar).map(|bits| format!("{bits} bits"));
        let known = [method, bits].into_iter().flatten().collect::<Vec<_>>().join(" ");
        (!known.is_empty()).then_some(known)
    });
    let figures = FIGURES.iter().filter_map(|key| Some(((*key).to_owned(), root.get(key).and_then(scalar)?))).collect();
    Some(ModelConfigFact { family, architectures, producer, quantisation, figures })
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Number(number) => Some(number.to_string()),
        Json::Text(text) => Some(cut(text)),
        _ => None,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(VALUE).collect()
}

/// Reading one document.
struct Settings<'a, 'b, 'c> {
    rules: &'static HuggingfaceRules,
    walk: &'a mut Walk<'b>,
    place: &'c Place,
    fact: HfFact,
}

impl Settings<'_, '_, '_> {
    fn document(&mut self, root: &Json) {
        if self.fact.document == "model_index.json" {
            self.pipeline(root);
        }
        if self.fact.document == "modules.json" {
            for (index, module) in root.items().iter().enumerate() {
                for (key, kind) in [("type", HfKind::ModuleType), ("path", HfKind::Part)] {
                    if let Some(value) = module.get(key).and_then(Json::text) {
                        self.add(&format!("[{index}].{key}"), kind, value);
                    }
                }
            }
        }
        for (tensor, file) in root.get("weight_map").map_or(&[][..], Json::entries) {
            match file.text() {
                Some(file) => self.shard(tensor, file),
                None => self.add(&format!("weight_map.{tensor}"), HfKind::NoText, ""),
            }
        }
        self.object("", root);
    }

    /// One setting for each shard, at the first tensor that it is named for.
    fn shard(&mut self, tensor: &str, file: &str) {
        let known = |setting: &HfSetting| setting.kind == HfKind::Part && setting.value == file;
        if !self.fact.settings.iter().rev().take(1000).any(known) {
            self.add(&format!("weight_map.{tensor}"), HfKind::Part, file);
        }
    }

    /// A pipeline's parts: library and class each.
    fn pipeline(&mut self, root: &Json) {
        for (key, value) in root.entries() {
            let texts: Vec<_> = value.items().iter().filter_map(Json::text).collect();
            match (key.as_str(), texts.as_slice()) {
                ("_class_name", [module, ..]) => self.add(key, HfKind::CustomCode, module),
                (_, [library, class]) if value.items().len() == PAIR => {
                    self.add(key, HfKind::Library, library);
                    self.add(key, HfKind::LibraryClass, &format!("{library}.{class}"));
                }
                _ => {}
            }
        }
    }

    fn object(&mut self, at: &str, value: &Json) {
        for (key, value) in value.entries() {
            let place = if at.is_empty() { cut(key) } else { format!("{at}.{key}") };
            // Long keys inside long keys must not multiply.
            let place = cut(&place);
            if key == "weight_map" {
                continue;
            }
            if key.contains("chat_template") {
                self.template(&place, value);
                continue;
            }
            self.setting(&place, key, value);
            if !self.rules.tokens.contains(key) {
                self.object(&place, value);
            }
        }
        for (index, item) in value.items().iter().enumerate() {
            let place = cut(&format!("{at}[{index}]"));
            if let Json::Text(text) = item {
                self.expression(&place, text);
            }
            self.object(&place, item);
        }
    }

    fn setting(&mut self, place: &str, key: &str, value: &Json) {
        let rules = self.rules;
        if key == "trust_remote_code" {
            let on = match value {
                Json::Bool(on) => *on,
                Json::Null => false,
                Json::Text(text) => !text.eq_ignore_ascii_case("false"),
                _ => true,
            };
            if on {
                self.add(place, HfKind::TrustRemoteCode, "");
            }
        }
        let kinds = [
            (&rules.custom_code, HfKind::CustomCode),
            (&rules.classes, HfKind::Class),
            (&rules.libraries, HfKind::Import),
            (&rules.sources, HfKind::Source),
            (&rules.files, HfKind::File),
        ];
        for (keys, kind) in kinds {
            if keys.contains(key) {
                self.texts(place, kind, value);
            }
        }
        if let Json::Text(text) = value
            && !rules.tokens.contains(key)
        {
            self.expression(place, text);
        }
    }

    /// All texts of a value, whatever it is made of.
    fn texts(&mut self, place: &str, kind: HfKind, value: &Json) {
        match value {
            Json::Text(text) => self.add(place, kind, text),
            Json::List { items, .. } => items.iter().for_each(|item| self.texts(place, kind, item)),
            Json::Object { entries, .. } => {
                for (key, value) in entries {
                    // The model classes of a custom pipeline are names in its library, not code.
                    if kind == HfKind::CustomCode && matches!(key.as_str(), "pt" | "tf" | "type" | "default") {
                        continue;
                    }
                    self.texts(&cut(&format!("{place}.{key}")), kind, value);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn template(&mut self, place: &str, value: &Json) {
        match value {
            Json::Text(text) => {
                let location = self.place.location.clone().in_field(place);
                let place = Place { location, ..self.place.clone() };
                self.walk.template(text, &place, true);
            }
            Json::List { items, .. } => {
                for (index, item) in items.iter().enumerate() {
                    let name = item.get("name").and_then(Json::text).map_or_else(|| index.to_string(), str::to_owned);
                    let place = cut(&format!("{place}[{name}]"));
                    self.template(&place, item.get("template").unwrap_or(item));
                }
            }
            Json::Object { entries, .. } => {
                for (key, value) in entries {
                    self.template(&cut(&format!("{place}.{key}")), value);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// A text that reads as Python. The text itself may hold a secret, so that only its beginning is kept.
    fn expression(&mut self, place: &str, text: &str) {
        let Some(prose) = reads_as_python(text) else { return };
        let kind = if prose { HfKind::Mention } else { HfKind::Expression };
        let masked = Masked::new(text, 16, self.walk.mask).as_str().to_owned();
        self.add(place, kind, &masked);
    }

    fn add(&mut self, place: &str, kind: HfKind, value: &str) {
        if self.fact.settings.len() < SETTINGS {
            self.fact.settings.push(HfSetting { place: cut(place), kind, value: cut(value) });
        } else {
            self.fact.more += 1;
        }
    }
}

/// Whether a text is Python that does something; then whether it stands in a sentence.
fn reads_as_python(text: &str) -> Option<bool> {
    let trimmed = text.trim_start();
    let starts =
        ["eval(", "exec(", "compile(", "getattr(", "setattr(", "lambda ", "lambda:", "__import__(", "!!python/"];
    let holds =
        ["__builtins__", "__globals__", "__subclasses__", "!!python/", "; import ", "builtins.eval", "builtins.exec"];
    let import = trimmed.strip_prefix("import ").or_else(|| trimmed.strip_prefix("from ")).is_some_and(|rest| {
        rest.contains(';') || (rest.contains('\n') && rest.contains('(')) || rest.split_whitespace().count() == 1
    });
    let python = crate::formats::text::reads_as_code(text)
        || starts.iter().any(|start| trimmed.starts_with(start))
        || holds.iter().any(|part| text.contains(part))
        || (import && !trimmed.starts_with("from "));
    if !python {
        return None;
    }
    // What is quoted are arguments; a sentence has words beside them.
    let mut words = 0;
    for (index, outside) in text.split(['\'', '"', '`']).enumerate() {
        if index % 2 == 0 {
            let is_word = |word: &&str| {
                let word = word.trim_end_matches([',', '.', ':', ';', '!', '?']);
                word.len() > 1 && word.chars().all(|c| c.is_ascii_alphabetic())
            };
            words += outside.split_whitespace().filter(is_word).count();
        }
    }
    Some(words >= 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_is_told_from_prose() {
        for text in [
            "__import__('os').system('echo this is only text for us')",
            "lambda x: x",
            "eval('1')",
            "import os; os.remove('x')",
        ] {
            assert_eq!(reads_as_python(text), Some(false), "{text}");
        }
        assert_eq!(reads_as_python("Never call os.system() or eval() in your answer, please"), Some(true));
        for text in
            ["gelu_new", "evaluate the model", "import the model first", "from the paper", "system", "exec", "a.b.c"]
        {
            assert_eq!(reads_as_python(text), None, "{text}");
        }
    }
}
