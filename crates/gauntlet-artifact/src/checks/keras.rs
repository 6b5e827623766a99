//! What a Keras configuration would run, import or open when it is loaded.

use std::collections::HashSet;

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::facts::KerasFact;
use crate::formats::keras::tags::Tag;
use crate::formats::keras::{CodeFact, CodeKind, FileField, KerasFacts, ObjectFact, PathKind};
use crate::rules::{KerasRules, Named, keras, python};

/// `artifact/keras`
pub(crate) struct Keras;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::KERAS,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the Keras configuration only describe a model?",
    rules: &[
        rule!(
            "artifact/keras/code",
            High,
            "the configuration holds compiled Python code",
            "Replace the Lambda layer by a layer class in code that you review; never load with safe_mode=False.",
            ["CVE-2024-3660", "CVE-2025-9905", "CWE-94", "CWE-502", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/keras/dangerous-object",
            Critical,
            "the configuration names a function or class that is no part of a model",
            "Do not load the file. Get the model again from its author, as weights only.",
            [
                "CVE-2025-1550",
                "CVE-2025-8747",
                "CVE-2025-9906",
                "CWE-94",
                "CWE-502",
                "OWASP ML06:2023",
                "AML.T0011.000"
            ]
        ),
        rule!(
            "artifact/keras/opens-file",
            High,
            "the configuration makes the loader open a file or address",
            "Put the vocabulary into the model (save it with its assets) instead of the name of a file.",
            ["CVE-2025-12058", "CWE-22", "CWE-918", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/keras/operator",
            High,
            "a layer calls a TensorFlow function that reads or writes files or runs Python",
            "Do not load the file; rebuild the model without this layer.",
            ["CWE-94", "CWE-73", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/keras/yaml-tag",
            Critical,
            "a YAML document makes Python objects",
            "Do not load the file with anything but yaml.safe_load; write architectures as JSON.",
            ["CVE-2021-37678", "CWE-502", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/keras/duplicate-key",
            Medium,
            "a key occurs twice in one object",
            "Write the file again; readers differ in which of the two they take.",
            ["CWE-694", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/keras/dangerous-name",
            Medium,
            "a field holds the dotted name of a dangerous function",
            "Find out what the field is for before the file is loaded.",
            ["CWE-94", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/keras/custom-object",
            Low,
            "the model needs code that is not in the file",
            "Review that code as part of the model; register it by hand instead of importing it by name.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-keras.md"),
};

impl Check for Keras {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let rules = match keras() {
            Ok(rules) => rules,
            Err(error) => {
                judgement.coverage.skip("", None, SkipCode::Unreadable, error.to_string());
                return judgement;
            }
        };
        each::<KerasFact>(facts, &mut judgement, |location, KerasFact(facts), judgement| {
            let (drafts, notes) = document(rules, location, &facts);
            for (list, rule) in [(drafts, "dangerous-object"), (notes, "custom-object")] {
                let more = list.len().saturating_sub(FINDINGS);
                judgement.findings.extend(list.into_iter().take(FINDINGS));
                if more > 0 {
                    let message = format!("{more} more findings of this severity or below");
                    judgement.findings.push(super::draft(&INFO, rule, location, message));
                }
            }
        });
        judgement
    }
}

/// Findings, and notes about objects whose code is elsewhere.
fn document(rules: &KerasRules, location: &Location, facts: &KerasFacts) -> (Vec<Draft>, Vec<Draft>) {
    let (mut drafts, mut notes) = (Vec::new(), Vec::new());
    drafts.extend(facts.code.iter().filter_map(|code| self::code(location, code)));
    for object in &facts.objects {
        match rules.named(object.module.as_deref(), &object.name, object.registered.as_deref(), object.function) {
            Named::Known => {}
            named @ (Named::Custom | Named::Companion(_)) => notes.push(self::object(location, object, named)),
            named => drafts.push(self::object(location, object, named)),
        }
    }
    drafts.extend(facts.files.iter().filter_map(|file| self::file(rules, location, file)));
    drafts.extend(facts.tags.iter().filter_map(|tag| self::tag(location, tag)));
    for operator in &facts.operators {
        if let Some(segment) = rules.operator(&operator.function) {
            let message = format!("a {} layer calls `{}` ({segment})", operator.class, operator.function);
            let place = location.clone().in_field(&operator.place);
            drafts.push(super::draft(&INFO, "operator", &place, message).snippet(&operator.function));
        }
    }
    for (place, name) in &facts.dotted {
        if let Some((module, global)) = name.rsplit_once('.')
            && let Some(Named::Dangerous(Severity::Critical, why)) = python(module, global)
        {
            let message = format!("the field holds the name `{name}`, which {why}");
            drafts
                .push(super::draft(&INFO, "dangerous-name", &location.clone().in_field(place), message).snippet(name));
        }
    }
    let duplicates: HashSet<_> = facts.duplicates.iter().collect();
    if let Some(first) = facts.duplicates.first() {
        let others = duplicates.len() as u64 - 1;
        let message = match others {
            0 => format!("the key `{first}` occurs twice in one object"),
            _ => format!("the key `{first}` and {} occur twice", plural(others, "other", "others")),
        };
        drafts.push(super::draft(&INFO, "duplicate-key", &location.clone().in_field(first), message));
    }
    (drafts, notes)
}

fn code(location: &Location, code: &CodeFact) -> Option<Draft> {
    let class = if code.class.is_empty() { "an object" } else { &code.class };
    let names = code.names.iter().filter(|name| name.len() <= 40).take(8).cloned().collect::<Vec<_>>().join("`, `");
    let names = if names.is_empty() { String::new() } else { format!("; it names `{names}`") };
    let message = match code.kind {
        CodeKind::Marshal => format!("{} bytes of compiled Python code in {class}{names}", code.bytes),
        CodeKind::Pickle => format!("a pickle of {} bytes in {class}", code.bytes),
        CodeKind::Unknown => format!("{class} holds {} bytes where code is expected{names}", code.bytes),
    };
    let place = location.clone().in_field(&code.place);
    let draft = super::draft(&INFO, "code", &place, message);
    let reaches = code.names.iter().any(|name| {
        let dangerous = |named: Option<Named>| matches!(named, Some(Named::Dangerous(Severity::Critical, _)));
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        plain && (dangerous(python("builtins", name)) || dangerous(python(name, "anything")))
    });
    Some(if reaches { draft.severity(Severity::Critical) } else { draft })
}

fn object(location: &Location, object: &ObjectFact, named: Named) -> Draft {
    let ObjectFact { module, name, function, .. } = object;
    let called = match module {
        Some(module) => format!("`{module}.{name}`"),
        None => format!("`{name}`"),
    };
    let what = if *function { "function" } else { "class" };
    let place = location.clone().in_field(&object.place);
    let times = if object.count > 1 { format!(" ({} times)", object.count) } else { String::new() };
    let draft = |rule: &str, message: String| super::draft(&INFO, rule, &place, message + &times).snippet(name);
    match named {
        Named::Dangerous(severity, why) => {
            draft("dangerous-object", format!("the {what} {called} {why}")).severity(severity)
        }
        Named::OtherKeras => {
            let message = format!("the {what} {called} of Keras has no place in a model");
            draft("dangerous-object", message).severity(Severity::Medium)
        }
        Named::Library => {
            let message = format!("the {what} {called} of another library would be imported");
            draft("custom-object", message).severity(if *function { Severity::Medium } else { Severity::Low })
        }
        Named::Companion(package) => {
            let message =
                format!("the {what} {called} is of the package `{package}`, which is needed to load the model");
            draft("custom-object", message)
        }
        Named::Known | Named::Custom => {
            draft("custom-object", format!("the {what} {called} is not Keras's: its code is needed to load the model"))
        }
    }
}

fn file(rules: &KerasRules, location: &Location, file: &FileField) -> Option<Draft> {
    let FileField { class, field, value, kind, place } = file;
    let vocabulary = rules.takes_vocabulary(class) && field == "vocabulary";
    let opened = vocabulary || (rules.opens(class, field) && *kind != PathKind::Relative);
    if !opened {
        return None;
    }
    let message = format!("`{field}` of {class} is opened when the model is loaded: `{value}`");
    let draft = super::draft(&INFO, "opens-file", &location.clone().in_field(place), message).snippet(value);
    Some(match kind {
        // Hubs of models are called by address; loading it is noted with the class.
        PathKind::Url if !vocabulary && field == "handle" => draft.severity(Severity::Medium),
        _ => draft,
    })
}

fn tag(location: &Location, tag: &Tag) -> Option<Draft> {
    let (action, target) = (tag.action.as_str(), tag.target.as_str());
    let (module, name) = target.rsplit_once('.').unwrap_or(("builtins", target));
    let dangerous =
        match python(module, name).or_else(|| (action == "module").then(|| python(target, "anything")).flatten()) {
            Some(Named::Dangerous(severity, why)) => Some((severity, why)),
            _ => None,
        };
    let (severity, doing) = match action {
        "object/apply" | "object/new" => {
            let severity = dangerous.as_ref().map_or(Severity::High, |(severity, _)| (*severity).max(Severity::High));
            (severity, "calls")
        }
        "object" => (dangerous.as_ref().map_or(Severity::Medium, |(severity, _)| *severity), "makes an object of"),
        "name" | "module" => (dangerous.as_ref().map_or(Severity::Medium, |(severity, _)| *severity), "imports"),
        // Tuples, numbers, texts.
        _ => return None,
    };
    let why = dangerous.map_or(String::new(), |(_, why)| format!(", which {why}"));
    let message = format!("the tag `python/{action}` {doing} `{target}`{why}");
    let place = location.clone().in_field(&tag.place);
    Some(super::draft(&INFO, "yaml-tag", &place, message).severity(severity).snippet(target))
}
