//! Configuration in languages of its own: spaCy's `config.cfg`, Triton's `config.pbtxt`, Ollama's `Modelfile`, Caffe's nets.

use gauntlet_core::{LimitHit, SkipCode};

use super::{Head, Reader};
use crate::checks::CONFIGURATION;
use crate::extract::{Content, Place, Walk};
use crate::facts::{ConfigurationFact, Setting, SettingKind};
use crate::formats::ini::{self, Entry};
use crate::formats::pbtxt::{self, Scalar};

/// Settings of one document that are kept.
const KEPT: usize = 10_000;
const TEXT: usize = 300;

/// `config.cfg` of a spaCy pipeline: sections whose `@` keys name registered functions, which loading calls.
pub(crate) struct Spacy;

impl Reader for Spacy {
    fn format(&self) -> &'static str {
        "spaCy configuration"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        // Asked of all content: the name first, which costs nothing.
        head.ending() == "cfg" && String::from_utf8_lossy(head.prefix).lines().any(|line| line.trim() == "[nlp]")
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        with_text(walk, content, place, |walk, text| match ini::parse(text, walk.budget.limits()) {
            Ok(entries) => {
                let settings = entries.iter().flat_map(spacy_setting);
                push(walk, place, settings.collect());
                None
            }
            Err(hit) => Some((SkipCode::Limit, hit.to_string())),
        });
    }
}

/// What loading or training does with an entry. References (`${paths.train}`) are judged where they lead.
fn spacy_setting(entry: &Entry) -> Option<Setting> {
    let text: String = serde_json::from_str(&entry.value).ok()?;
    let root = entry.section.split('.').next().unwrap_or_default();
    let kind = match entry.key.as_str() {
        key if key.starts_with('@') => SettingKind::Registered,
        "factory" if root == "components" => SettingKind::Registered,
        "path" | "vectors" | "train" | "dev" | "vocab_data" | "init_tok2vec" | "raw_text" | "lookups" | "source"
        | "labels" | "patterns" | "name"
            if !text.starts_with("${") && (entry.key != "name" || text.starts_with(['/', '~', '.'])) =>
        {
            // Only these sections are resolved when a pipeline is loaded.
            if matches!(root, "nlp" | "components") { SettingKind::Path } else { SettingKind::LaterPath }
        }
        _ => return None,
    };
    Some(Setting { place: cut(&format!("{}.{}", entry.section, entry.key)), kind, value: cut(&text) })
}

/// `config.pbtxt` of a model in a Triton repository.
pub(crate) struct Triton;

impl Reader for Triton {
    fn format(&self) -> &'static str {
        "Triton configuration"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let names = || pbtxt::outline(head.prefix).unwrap_or_default();
        let known =
            ["platform", "backend", "max_batch_size", "input", "output", "instance_group", "ensemble_scheduling"];
        head.base() == "config.pbtxt" && names().iter().any(|(outer, _)| known.contains(&outer.as_str()))
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        with_text(walk, content, place, |walk, text| {
            let (scalars, error) = pbtxt::scalars(text.as_bytes(), walk.budget.limits());
            push(walk, place, triton_settings(&scalars));
            error.map(open_question)
        });
    }
}

fn triton_settings(scalars: &[Scalar]) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut key = "";
    for Scalar { path, value } in scalars {
        let kind = match path.as_str() {
            // The library of a backend is found by its name; Python's imports `model.py`.
            "backend" | "name" => SettingKind::Path,
            "default_model_filename" | "cc_model_filenames.value" => SettingKind::Path,
            "model_operations.op_library_filename" => SettingKind::Library,
            "parameters.key" => {
                key = value;
                continue;
            }
            "parameters.value.string_value" if key == "TRITON_BATCH_STRATEGY_PATH" => SettingKind::Library,
            "parameters.value.string_value" if key == "EXECUTION_ENV_PATH" => {
                let own = value.strip_prefix("$$TRITON_MODEL_DIRECTORY/").unwrap_or(value);
                settings.push(setting(path, SettingKind::Path, own));
                continue;
            }
            path if path.starts_with("model_warmup.") && path.ends_with("input_data_file") => SettingKind::Path,
            _ => continue,
        };
        settings.push(setting(path, kind, value));
    }
    settings
}

/// `Modelfile` of Ollama: what a model is made from.
pub(crate) struct Modelfile;

/// Instructions of a `Modelfile`.
const INSTRUCTIONS: [&str; 8] =
    ["FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE", "REQUIRES"];

impl Reader for Modelfile {
    fn format(&self) -> &'static str {
        "Ollama Modelfile"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let base = head.base().to_ascii_lowercase();
        let named = base == "modelfile" || base.starts_with("modelfile.") || base.ends_with(".modelfile");
        if !named {
            return false;
        }
        let text = String::from_utf8_lossy(head.prefix);
        let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let word = first.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_ascii_uppercase();
        INSTRUCTIONS.contains(&word.as_str())
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        with_text(walk, content, place, |walk, text| {
            push(walk, place, modelfile_settings(text));
            None
        });
    }
}

/// Files that are read into the model. A text in three quotes may hold lines that look like instructions.
fn modelfile_settings(text: &str) -> Vec<Setting> {
    let (mut settings, mut quoted) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.lines()) {
        let inside = quoted;
        quoted ^= line.matches("\"\"\"").count() % 2 == 1;
        let Some((word, rest)) = line.trim().split_once(char::is_whitespace).filter(|_| !inside) else { continue };
        if ["FROM", "ADAPTER"].iter().any(|known| word.eq_ignore_ascii_case(known)) {
            let value = rest.trim().trim_matches('"');
            settings.push(setting(&format!("{} (line {number})", word.to_ascii_uppercase()), SettingKind::Path, value));
        }
    }
    settings
}

/// A net of Caffe in protobuf's text format. Read for its Python layers and files; no net of its own writer was at hand.
pub(crate) struct Caffe;

impl Reader for Caffe {
    fn format(&self) -> &'static str {
        "Caffe net"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let names = || pbtxt::outline(head.prefix).unwrap_or_default();
        head.ending() == "prototxt"
            && names().iter().any(|(outer, _)| matches!(outer.as_str(), "layer" | "layers" | "net" | "train_net"))
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        with_text(walk, content, place, |walk, text| {
            let (scalars, error) = pbtxt::scalars(text.as_bytes(), walk.budget.limits());
            push(walk, place, caffe_settings(&scalars));
            let detail = "Caffe nets are searched for Python layers and files only".to_owned();
            Some(error.map_or((SkipCode::Unsupported, detail), open_question))
        });
    }
}

fn caffe_settings(scalars: &[Scalar]) -> Vec<Setting> {
    let kind = |path: &str| {
        let (layer, field) = path.rsplit_once('.').unwrap_or(("", path));
        match field {
            "module" if layer.ends_with("python_param") => Some(SettingKind::Imported),
            "source" | "root_folder" | "mean_file" | "file_name" | "label_map_file" | "name_size_file"
                if layer.ends_with("_param") =>
            {
                Some(SettingKind::Path)
            }
            "net" | "train_net" | "test_net" | "snapshot_prefix" if layer.is_empty() => Some(SettingKind::Path),
            _ => None,
        }
    };
    scalars.iter().filter_map(|scalar| Some(setting(&scalar.path, kind(&scalar.path)?, &scalar.value))).collect()
}

/// `requirements.txt` beside or inside a model: what its loader installs.
pub(crate) struct Requirements;

impl Reader for Requirements {
    fn format(&self) -> &'static str {
        "pip requirements"
    }

    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognises(&self, head: &Head<'_>) -> bool {
        let base = head.base().to_ascii_lowercase();
        base.starts_with("requirements") && base.ends_with(".txt") && !head.prefix.contains(&0)
    }

    fn read(&self, walk: &mut Walk<'_>, content: &Content<'_>, place: &Place) {
        with_text(walk, content, place, |walk, text| {
            push(walk, place, requirement_settings(text));
            None
        });
    }
}

/// Where packages come from that do not come from the index that the installer has.
fn requirement_settings(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(" #").next().unwrap_or(line).trim();
        let option = ["--index-url", "--extra-index-url", "--find-links", "--trusted-host", "-i", "-f"]
            .into_iter()
            .find_map(|name| Some((name, line.strip_prefix(name)?.strip_prefix([' ', '=', '\t'])?.trim())));
        let direct = || {
            let at = line.find("://").filter(|_| !line.starts_with('#'))?;
            let start = line.get(..at)?.rfind(|c: char| c.is_whitespace() || c == '@').map_or(0, |before| before + 1);
            Some(("package", line.get(start..)?.trim()))
        };
        if let Some((name, value)) = option.or_else(direct) {
            settings.push(setting(&format!("{name} (line {number})"), SettingKind::Source, value));
        }
    }
    settings
}

// === what they share ===

fn setting(place: &str, kind: SettingKind, value: &str) -> Setting {
    Setting { place: cut(place), kind, value: cut(value) }
}

fn push(walk: &mut Walk<'_>, place: &Place, mut settings: Vec<Setting>) {
    let more = settings.len().saturating_sub(KEPT) as u64;
    settings.truncate(KEPT);
    let fact = ConfigurationFact { settings, more, ..ConfigurationFact::default() };
    walk.facts.push(CONFIGURATION, place.location.clone(), &fact);
}

fn open_question(error: pbtxt::TextError) -> (SkipCode, String) {
    match error {
        pbtxt::TextError::Limit(hit) => (SkipCode::Limit, hit.to_string()),
        error @ pbtxt::TextError::Malformed { .. } => (SkipCode::Malformed, error.to_string()),
    }
}

/// Gives all of a text to `read`, which says what stays open.
fn with_text(
    walk: &mut Walk<'_>,
    content: &Content<'_>,
    place: &Place,
    read: impl FnOnce(&mut Walk<'_>, &str) -> Option<(SkipCode, String)>,
) {
    match walk.text(content) {
        Ok(text) => match read(walk, &text) {
            Some((code, detail)) => walk.skip(CONFIGURATION, place, code, detail),
            None => walk.looked_at(CONFIGURATION),
        },
        Err(error) => match LimitHit::in_io(&error) {
            Some(hit) => walk.limit(CONFIGURATION, place, hit),
            None => walk.io_failed(CONFIGURATION, place, &error),
        },
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use gauntlet_limits::Limits;

    use super::*;

    #[test]
    fn spacy_functions_and_paths_are_told_apart() {
        let text = "[paths]\ntrain = \"/home/u/train.spacy\"\n[nlp]\nlang = \"en\"\n[components.ner]\nfactory = \"ner\"\n\
                    [components.ner.model]\n@architectures = \"spacy.TransitionBasedParser.v2\"\n[components.x.labels]\n\
                    @readers = \"srsly.read_json.v1\"\npath = \"/etc/passwd\"\n[training]\nmax_steps = 5\n";
        let entries = ini::parse(text, &Limits::default()).unwrap();
        let found: Vec<_> = entries.iter().flat_map(spacy_setting).map(|s| (s.kind, s.value)).collect();
        assert_eq!(
            found,
            [
                (SettingKind::LaterPath, "/home/u/train.spacy".to_owned()),
                (SettingKind::Registered, "ner".to_owned()),
                (SettingKind::Registered, "spacy.TransitionBasedParser.v2".to_owned()),
                (SettingKind::Registered, "srsly.read_json.v1".to_owned()),
                (SettingKind::Path, "/etc/passwd".to_owned()),
            ]
        );
    }

    #[test]
    fn names_and_values_of_lists_are_told_apart() {
        let text =
            b"input [ { name: 'x' data_type: TYPE_FP32 dims: [ 4, -1 ] }, { name: 'y' } ] k { v: { w: 1 } } z: 'a' 'b'";
        let (scalars, error) = pbtxt::scalars(text, &Limits::default());
        assert!(error.is_none());
        let found: Vec<_> = scalars.iter().map(|s| (s.path.as_str(), s.value.as_str())).collect();
        let expected = [
            ("input.name", "x"),
            ("input.data_type", "TYPE_FP32"),
            ("input.dims", "4"),
            ("input.dims", "1"),
            ("input.name", "y"),
            ("k.v.w", "1"),
            ("z", "ab"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn libraries_and_files_of_triton_are_found() {
        let text = b"name: \"m\" backend: \"python\" parameters: { key: \"TRITON_BATCH_STRATEGY_PATH\" \
                     value: { string_value: \"/tmp/x.so\" } } model_operations { op_library_filename: [\"a.so\", \"b.so\"] } \
                     default_model_filename: \"../x\" parameters { key: \"other\" value { string_value: \"/etc\" } }";
        let (scalars, error) = pbtxt::scalars(text, &Limits::default());
        assert!(error.is_none());
        let found: Vec<_> = triton_settings(&scalars).into_iter().map(|s| (s.kind, s.value)).collect();
        let expected = [
            (SettingKind::Path, "m"),
            (SettingKind::Path, "python"),
            (SettingKind::Library, "/tmp/x.so"),
            (SettingKind::Library, "a.so"),
            (SettingKind::Library, "b.so"),
            (SettingKind::Path, "../x"),
        ];
        assert_eq!(found, expected.map(|(kind, value)| (kind, value.to_owned())));
    }

    #[test]
    fn sources_of_packages_are_told() {
        let text = "# see https://example.org\nnumpy==1.0\n--extra-index-url https://download.pytorch.org/whl/cu118\n\
                    -i http://x.invalid/simple\npkg @ git+https://x.invalid/p.git\n--trusted-host=x.invalid\n";
        let found: Vec<_> = requirement_settings(text).into_iter().map(|s| s.value).collect();
        let expected = [
            "https://download.pytorch.org/whl/cu118",
            "http://x.invalid/simple",
            "git+https://x.invalid/p.git",
            "x.invalid",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_in_a_modelfile_is_no_instruction() {
        let text = "FROM ./a.gguf\nSYSTEM \"\"\"\nFROM /etc/passwd\n\"\"\"\nadapter ../x\n";
        let found: Vec<_> = modelfile_settings(text).into_iter().map(|s| s.value).collect();
        assert_eq!(found, ["./a.gguf", "../x"]);
    }

    #[test]
    fn python_layers_of_caffe_are_found() {
        let text = b"layer { name: 'x' type: 'Python' python_param { module: 'evil' layer: 'L' } } \
                     layer { type: 'Data' data_param { source: '/etc/passwd' } }";
        let (scalars, _) = pbtxt::scalars(text, &Limits::default());
        let found: Vec<_> = caffe_settings(&scalars).into_iter().map(|s| (s.kind, s.value)).collect();
        assert_eq!(found, [(SettingKind::Imported, "evil".to_owned()), (SettingKind::Path, "/etc/passwd".to_owned())]);
    }
}
