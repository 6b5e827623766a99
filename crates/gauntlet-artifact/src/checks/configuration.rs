//! What configuration beside a model makes its reader import, call or open.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::{ConfigurationFact, Setting, SettingKind};
use crate::rules::{self, PickleRules, Tier};

/// `artifact/configuration`
pub(crate) struct Configuration;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::CONFIGURATION,
    version: 1,
    stage: Stage::Artifact,
    title: "What does the model's configuration make its reader import, call or open?",
    rules: &[
        rule!(
            "artifact/configuration/code-tag",
            Critical,
            "a YAML tag that makes the reader build objects or call functions",
            "Do not read the file; remove the tag, and read YAML with a safe loader only.",
            ["CWE-502", "CVE-2020-14343", "CVE-2021-37678", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/configuration/unsafe-target",
            Critical,
            "a target that the reader imports and calls runs commands or code",
            "Do not load the model; targets name classes of the model's framework.",
            ["CWE-470", "CVE-2025-23304", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/configuration/loader-module",
            Low,
            "loading imports a module of the model's own",
            "Read the module before loading the model.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/configuration/native-library",
            High,
            "the configuration makes the server load machine code",
            "Do not serve the model; find out who built the library and why the model needs it.",
            ["CWE-114", "CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/configuration/package-source",
            Low,
            "packages that the model asks for come from an unusual place",
            "Install the packages from an index that you trust, with their versions and hashes pinned.",
            ["CWE-829", "CWE-494", "OWASP ML06:2023", "AML.T0010.001"]
        ),
        rule!(
            "artifact/configuration/registered-function",
            Low,
            "loading calls a function that another package registers",
            "Find out which package registers the function, and whether you trust it.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/configuration/unsafe-path",
            High,
            "a path or digest that leads out of the model's folder",
            "Do not load or pull the model; write the path relative to its folder.",
            ["CWE-22", "CVE-2024-37032", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-configuration.md"),
};

impl Check for Configuration {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let Some(rules) = super::usable(rules::pickle(), &mut judgement) else { return judgement };
        each::<ConfigurationFact>(facts, &mut judgement, |location, fact, judgement| {
            for tag in fact.tags.iter().take(FINDINGS) {
                let place = location.clone().in_field(&tag.place);
                if let Some((severity, message)) = tag_seen(&tag.tag) {
                    let draft = super::draft(&INFO, "code-tag", &place, message).severity(severity);
                    judgement.findings.push(draft.snippet(&tag.tag));
                }
            }
            let found = fact.settings.iter().filter_map(|setting| setting_finding(location, setting, rules));
            judgement.findings.extend(found.take(FINDINGS));
            if fact.more > 0 {
                let path = location.path.clone().unwrap_or_default();
                let detail = format!("{} more settings", fact.more);
                judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
            }
        });
        judgement
    }
}

/// What a tag does; `None` for one that builds a plain value.
fn tag_seen(tag: &str) -> Option<(Severity, String)> {
    let name = tag.strip_prefix("tag:yaml.org,2002:").unwrap_or(tag);
    let python = name.strip_prefix("python/").or_else(|| name.strip_prefix("!python/"));
    if let Some(kind) = python {
        let kind = kind.split(':').next().unwrap_or(kind);
        let plain =
            ["none", "bool", "str", "unicode", "bytes", "int", "long", "float", "complex", "list", "tuple", "dict"];
        return (!plain.contains(&kind))
            .then(|| (Severity::Critical, format!("the tag `{name}` builds or calls it in Python")));
    }
    let foreign = ["ruby/", "!ruby/", "javax.", "java.", "org.", "com.", "php/"];
    foreign
        .iter()
        .any(|prefix| name.starts_with(prefix))
        .then(|| (Severity::High, format!("the tag `{name}` builds an object of another language")))
}

/// A module of the standard library that the dotted name walks into: readers look names up by attributes, and packages hold
/// what they import.
fn reexported<'v>(value: &'v str, rules: &PickleRules) -> Option<&'v str> {
    const MODULES: [&str; 12] = [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "builtins",
        "importlib",
        "shutil",
        "pty",
        "ctypes",
        "socket",
        "runpy",
    ];
    let inner = value.char_indices().filter(|(_, c)| *c == '.').filter_map(|(dot, _)| value.get(dot + 1..));
    let mut reached = inner.filter(|rest| {
        let first = rest.split('.').next().unwrap_or(rest);
        let dangerous = |(module, name)| matches!(rules.tier(module, name), Tier::Dangerous(_));
        MODULES.contains(&first) && rest.rsplit_once('.').is_some_and(dangerous)
    });
    reached.next()
}

/// Hosts from which the packages of common frameworks come.
const PACKAGES: [&str; 3] = [concat!("pypi", ".org"), concat!("files.python", "hosted.org"), "download.pytorch.org"];

/// Whether a path leads out of the model's folder.
fn leaves(value: &str) -> bool {
    value.starts_with(['/', '\\', '~'])
        || value.split(['/', '\\']).any(|part| part == "..")
        || value.contains("://")
        || value.as_bytes().get(1) == Some(&b':')
}

/// Whether spaCy, its plugins of the same makers, or Thinc register a function or component under this name.
fn is_known_function(name: &str) -> bool {
    const PACKAGES: [&str; 8] = [
        "spacy",
        "spacy-legacy",
        "spacy-transformers",
        "spacy-curated-transformers",
        "spacy-experimental",
        "spacy-lookups-data",
        "spacy-loggers",
        "srsly",
    ];
    const COMPONENTS: [&str; 27] = [
        "tok2vec",
        "tagger",
        "parser",
        "beam_parser",
        "ner",
        "beam_ner",
        "senter",
        "sentencizer",
        "attribute_ruler",
        "lemmatizer",
        "trainable_lemmatizer",
        "morphologizer",
        "entity_linker",
        "entity_ruler",
        "future_entity_ruler",
        "span_ruler",
        "spancat",
        "spancat_singlelabel",
        "span_finder",
        "textcat",
        "textcat_multilabel",
        "transformer",
        "curated_transformer",
        "merge_noun_chunks",
        "merge_entities",
        "token_splitter",
        "doc_cleaner",
    ];
    match name.split_once('.') {
        Some((package, _)) if PACKAGES.contains(&package) => true,
        // Thinc's own have a version and no package: `Adam.v1`.
        Some((function, version)) => {
            let digits =
                version.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            digits && function.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }
        None => COMPONENTS.contains(&name),
    }
}

fn setting_finding(location: &Location, setting: &Setting, rules: &PickleRules) -> Option<Draft> {
    let Setting { place, kind, value } = setting;
    let at = location.clone().in_field(place);
    let draft = |rule, message: String| super::draft(&INFO, rule, &at, message).snippet(value);
    match kind {
        SettingKind::Target => {
            // Jax and others write `module:name`.
            let (module, name) = value.rsplit_once([':', '.'])?;
            let why = match rules.alone(module, name) {
                Tier::Dangerous(why) => why,
                Tier::Walk(segment) => format!("it walks through `{segment}`"),
                Tier::Stdlib => {
                    let message = format!("`{place}` is `{value}` of the standard library, which the reader calls");
                    return Some(draft("unsafe-target", message).severity(Severity::High));
                }
                _ => format!("it reaches {}", reexported(value, rules)?),
            };
            Some(draft("unsafe-target", format!("`{place}` is `{value}`, which the reader calls: {why}")))
        }
        SettingKind::Module => {
            if value == "mlflow" || value.starts_with("mlflow.") {
                return None;
            }
            let stdlib = matches!(rules.tier(value, "_load_pyfunc"), Tier::Dangerous(_) | Tier::Stdlib | Tier::Walk(_));
            let message = format!("loading imports `{value}` and calls its `_load_pyfunc`");
            let severity = if stdlib { Severity::High } else { Severity::Low };
            Some(draft("loader-module", message).severity(severity))
        }
        SettingKind::Code => Some(draft("loader-module", format!("loading runs the file that `{value}` names"))),
        SettingKind::Path => {
            leaves(value).then(|| draft("unsafe-path", format!("`{place}` is `{value}`, outside of the model")))
        }
        SettingKind::LaterPath => leaves(value).then(|| {
            let message = format!("`{place}` is `{value}`, which making the model again opens");
            draft("unsafe-path", message).severity(Severity::Low)
        }),
        SettingKind::Source => {
            let host = value.rsplit_once("://").map_or(value.as_str(), |(_, rest)| rest);
            let host = host.split(['/', '?', '#']).next().unwrap_or(host).rsplit('@').next().unwrap_or(host);
            if PACKAGES.contains(&host) && value.contains("https://") {
                return None;
            }
            // Without TLS, or with its check turned off, whoever stands between gives the packages.
            let open = place.starts_with("--trusted-host") || value.contains("http://");
            let severity = if open { Severity::Medium } else { Severity::Low };
            let message = format!("`{place}`: packages are installed from `{host}`");
            Some(draft("package-source", message).severity(severity))
        }
        SettingKind::Library => Some(draft("native-library", format!("`{place}` loads `{value}`"))),
        SettingKind::Imported => {
            let stdlib = matches!(rules.module(value), Tier::Dangerous(_) | Tier::Stdlib | Tier::Walk(_));
            let severity = if stdlib { Severity::High } else { Severity::Medium };
            Some(draft("loader-module", format!("`{place}` imports `{value}`")).severity(severity))
        }
        SettingKind::Registered => {
            let (module, name) = value.rsplit_once('.').unwrap_or(("", value));
            if let Tier::Dangerous(why) = rules.alone(module, name) {
                let message = format!("`{place}` is `{value}`, which the reader calls: {why}");
                return Some(draft("unsafe-target", message));
            }
            (!is_known_function(value)).then(|| {
                draft("registered-function", format!("`{place}` is `{value}`, which neither spaCy nor Thinc has"))
            })
        }
        SettingKind::Digest => {
            let hex = value.strip_prefix("sha256:").or_else(|| value.strip_prefix("sha256-"));
            let valid = hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let other = value.strip_prefix("sha512:").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            let message = format!("`{place}` is `{value}`, which is no digest; readers build a path of it");
            (!valid && !other).then(|| draft("unsafe-path", message))
        }
    }
}
