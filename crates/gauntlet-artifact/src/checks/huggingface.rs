//! What the settings of a Hugging Face folder make a loader import, run or open.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::{HfFact, HfFolderFact, HfKind, HfSetting};
use crate::formats::location::{Outside, outside};
use crate::rules::huggingface::{HuggingfaceRules, huggingface};
use crate::rules::{self, PickleRules, Tier};

/// `artifact/huggingface`
pub(crate) struct Huggingface;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::HUGGINGFACE,
    version: 1,
    stage: Stage::Artifact,
    title: "What do the settings of the folder make a loader import, run or open?",
    rules: &[
        rule!(
            "artifact/huggingface/dangerous-name",
            Critical,
            "a setting names what runs commands or code, to be imported or called",
            "Do not load the folder.",
            ["CWE-470", "CWE-502", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/huggingface/outside-path",
            High,
            "a setting names a file outside the folder",
            "Name files of the folder only; do not load it.",
            ["CWE-22", "CWE-73", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/huggingface/code-value",
            High,
            "a setting is a Python expression",
            "Find out which loader evaluates it; settings are data.",
            ["CWE-95", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/huggingface/remote-code",
            Medium,
            "loading runs code of another repository, or code is trusted without asking",
            "Pin the code: copy it into the folder at a revision that was read.",
            ["CWE-829", "CWE-494", "OWASP ML06:2023", "AML.T0010.001"]
        ),
        rule!(
            "artifact/huggingface/custom-code",
            Low,
            "loading runs code of the folder",
            "Read the code before you load the folder with `trust_remote_code`.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.001"]
        ),
        rule!(
            "artifact/huggingface/foreign-source",
            Low,
            "a setting names a place outside the folder to load from",
            "Name a repository, at a revision.",
            ["CWE-829", "CWE-918", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/huggingface/unknown-name",
            Low,
            "a setting names a class of an unknown package",
            "Check that the package is the one you expect.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.001"]
        ),
        rule!(
            "artifact/huggingface/ambiguous",
            Low,
            "a setting is given twice, or is no text where one is needed",
            "Write the document again; readers differ in what they take.",
            ["CWE-694", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/huggingface/incomplete",
            Info,
            "a file that the settings name is not in the folder",
            "Scan the folder with everything that belongs to it.",
            ["CWE-1357", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/huggingface/two-formats",
            Info,
            "the weights are there both as safetensors and as a pickle",
            "Remove the pickle, so that no loader takes it.",
            ["CWE-502", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-huggingface.md"),
};

/// What a document is judged with.
struct Context<'a> {
    tables: &'a HuggingfaceRules,
    globals: &'a PickleRules,
    /// Files of the document's folder, when it was scanned as one.
    folder: Option<&'a BTreeSet<String>>,
}

impl Check for Huggingface {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let (tables, globals) = match (huggingface(), rules::pickle()) {
            (Ok(tables), Ok(globals)) => (tables, globals),
            (Err(error), _) | (_, Err(error)) => {
                judgement.coverage.skip("", None, SkipCode::Unreadable, format!("rule data: {error}"));
                return judgement;
            }
        };
        let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        each::<HfFolderFact>(facts, &mut judgement, |location, fact, judgement| {
            judgement.findings.extend(two_formats(location, &fact));
            // A list that was cut says nothing about what is missing.
            if !fact.cut {
                folders.insert(location.path.clone().unwrap_or_default(), fact.files.into_iter().collect());
            }
        });
        each::<HfFact>(facts, &mut judgement, |location, fact, judgement| {
            let path = location.path.clone().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let folder = folders.get(folder).filter(|_| location.member.is_none());
            let context = Context { tables, globals, folder };
            let found = fact.settings.iter().filter_map(|setting| context.setting(location, setting));
            judgement.findings.extend(found.take(FINDINGS));
            for key in fact.duplicates.iter().take(FINDINGS) {
                let message = format!("`{key}` is given twice");
                judgement.findings.push(super::draft(&INFO, "ambiguous", location, message).snippet(key));
            }
            if fact.more > 0 {
                let detail = format!("{} more settings", fact.more);
                judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
            }
        });
        judgement
    }
}

fn two_formats(location: &Location, fact: &HfFolderFact) -> Option<Draft> {
    let ends = |name: &String, endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let safe = fact.files.iter().any(|name| ends(name, &[".safetensors"]));
    let pickle = fact.files.iter().find(|name| {
        name.starts_with("pytorch_model") && ends(name, &[".bin"])
            || name.starts_with("adapter_model") && ends(name, &[".bin"])
    })?;
    let folder = location.path.as_deref().map_or_else(String::new, |folder| format!("{folder}/"));
    let place = Location { path: Some(format!("{folder}{pickle}")), ..Location::default() };
    let message = format!("`{pickle}` stands beside safetensors");
    safe.then(|| super::draft(&INFO, "two-formats", &place, message).snippet(pickle))
}

impl Context<'_> {
    fn setting(&self, location: &Location, setting: &HfSetting) -> Option<Draft> {
        let place = location.clone().in_field(&setting.place);
        let HfSetting { place: key, kind, value } = setting;
        let draft = |rule, message: String| super::draft(&INFO, rule, &place, message).snippet(value);
        match kind {
            HfKind::TrustRemoteCode => Some(draft("remote-code", format!("`{key}` is switched on"))),
            HfKind::CustomCode => Some(self.custom_code(&draft, key, value)),
            HfKind::ModuleType => self.name(&draft, key, value, true),
            HfKind::Class if value.contains('.') => self.name(&draft, key, value, true),
            HfKind::Class => None,
            HfKind::Import => self.name(&draft, key, &format!("{value}.*"), true),
            // A strange library has its finding already.
            HfKind::LibraryClass if outside(value).is_some() || value.contains(['/', '\\']) => None,
            HfKind::LibraryClass => self.name(&draft, key, value, false),
            HfKind::Library => {
                let strange = outside(value).is_some() || value.contains(['/', '\\']);
                if strange {
                    return Some(draft("outside-path", format!("`{key}` takes its library from `{value}`")));
                }
                let local = self.folder.is_some_and(|files| {
                    files.contains(&format!("{value}.py")) || files.contains(&format!("{key}/{value}.py"))
                });
                local.then(|| draft("custom-code", format!("`{key}` loads the module `{value}` of the folder")))
            }
            HfKind::Part => match outside(value) {
                Some(how) => Some(draft("outside-path", format!("`{key}` names `{value}`, {}", describe(how)))),
                None => self.missing(&draft, key, value),
            },
            HfKind::File => match outside(value)? {
                Outside::Parent | Outside::Control => Some(
                    draft("outside-path", format!("`{key}` names a file out of the folder")).severity(Severity::Medium),
                ),
                Outside::Url => {
                    Some(draft("foreign-source", format!("`{key}` names an address")).severity(Severity::Medium))
                }
                // What the author's machine had where; no loader takes it.
                Outside::Absolute | Outside::Home => None,
            },
            HfKind::Source => match outside(value)? {
                Outside::Url => {
                    Some(draft("foreign-source", format!("`{key}` is an address")).severity(Severity::Medium))
                }
                how => Some(draft("foreign-source", format!("`{key}` is a path {}", describe(how)))),
            },
            HfKind::Expression => Some(draft("code-value", format!("`{key}` is a Python expression"))),
            HfKind::Mention => {
                Some(draft("code-value", format!("`{key}` mentions code that runs commands")).severity(Severity::Low))
            }
            HfKind::NoText => Some(draft("ambiguous", format!("`{key}` is no text"))),
        }
    }

    fn custom_code(&self, draft: &dyn Fn(&'static str, String) -> Draft, key: &str, value: &str) -> Draft {
        if let Some((repository, code)) = value.split_once("--") {
            return draft("remote-code", format!("`{key}` loads `{code}` from the repository `{repository}`"));
        }
        // diffusers takes a name with a slash for a repository.
        if let Some(how) = outside(value) {
            return draft("outside-path", format!("`{key}` loads code from `{value}`, {}", describe(how)));
        }
        if value.contains('/') {
            return draft("remote-code", format!("`{key}` loads code from `{value}`"));
        }
        let module = value.split('.').next().unwrap_or(value);
        if let Tier::Dangerous(why) = self.globals.tier(value.rsplit_once('.').map_or(value, |(module, _)| module), "*")
        {
            return draft("dangerous-name", format!("`{key}` loads `{value}`: {why}"));
        }
        let there = match self.folder {
            Some(files) if files.contains(&format!("{module}.py")) => "",
            Some(_) => ", which is not in the folder",
            None => "",
        };
        let found = draft("custom-code", format!("`{key}` runs the module `{module}`{there}"));
        // A pipeline's own class is loaded without being asked for by `trust_remote_code` in older releases.
        if key == "_class_name" { found.severity(Severity::Medium) } else { found }
    }

    fn name(&self, draft: &dyn Fn(&'static str, String) -> Draft, key: &str, value: &str, note: bool) -> Option<Draft> {
        if let Some((repository, code)) = value.split_once("--") {
            return Some(draft("remote-code", format!("`{key}` loads `{code}` from the repository `{repository}`")));
        }
        if let Some(how) = outside(value).filter(|how| *how != Outside::Control) {
            return Some(draft("outside-path", format!("`{key}` names `{value}`, {}", describe(how))));
        }
        let (module, name) = value.rsplit_once('.').unwrap_or(("builtins", value));
        match self.globals.alone(module, name) {
            Tier::Dangerous(why) => Some(draft("dangerous-name", format!("`{key}` names `{value}`: {why}"))),
            Tier::Walk(segment) => {
                Some(draft("dangerous-name", format!("`{key}` names `{value}`, which walks through `{segment}`")))
            }
            Tier::Stdlib if value.contains('.') => {
                let message = format!("`{key}` names `{value}` of the standard library");
                Some(draft("dangerous-name", message).severity(Severity::High))
            }
            _ if !note || self.tables.knows(value) || !value.contains('.') => None,
            Tier::Allowed(_) | Tier::PackageClass => None,
            _ => Some(draft("unknown-name", format!("`{key}` names `{value}` of an unknown package"))),
        }
    }

    fn missing(&self, draft: &dyn Fn(&'static str, String) -> Draft, key: &str, value: &str) -> Option<Draft> {
        // Parts in folders below are not looked up.
        let missing = self.folder.is_some_and(|files| {
            !value.is_empty() && !value.contains(['/', '\\']) && value.contains('.') && !files.contains(value)
        });
        missing.then(|| draft("incomplete", format!("`{key}` names `{value}`, which is not in the folder")))
    }
}

fn describe(how: Outside) -> &'static str {
    match how {
        Outside::Absolute => "from the root of a file system",
        Outside::Parent => "above the folder",
        Outside::Home => "in a home folder",
        Outside::Url => "an address",
        Outside::Control => "with control characters in it",
    }
}
