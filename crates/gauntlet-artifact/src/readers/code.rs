//! Python inside models: modules that loading imports, and TorchScript.

use gauntlet_core::SkipCode;
use gauntlet_python::{PythonError, Value};

use crate::checks::{CODE, TORCH};
use crate::extract::{Content, Place, Walk};
use crate::facts::{CodeCall, CodeFact, ScriptFact};
use crate::formats::{location, torchscript};
use crate::rules;

/// Calls of one module that are kept.
const CALLS: usize = 20_000;
/// Calls whose first argument is a file.
const OPENERS: [&str; 4] = ["builtins.open", "io.open", "codecs.open", "os.open"];
/// Characters of an argument that is evidence.
const EVIDENCE: usize = 120;

impl Walk<'_> {
    /// Reads a Python file that loading a model may import.
    pub(crate) fn python(&mut self, content: &Content<'_>, place: &Place) {
        let script = is_torchscript(place);
        let check = if script { TORCH } else { CODE };
        let text = match self.text(content) {
            Ok(text) => text,
            Err(error) => return self.io_failed(check, place, &error),
        };
        if script {
            self.looked_at(TORCH);
            self.facts.push(TORCH, place.location.clone(), &ScriptFact(torchscript::read(&text)));
            return;
        }
        match gauntlet_python::analyze(&text, self.budget.limits()) {
            Ok(module) => {
                match module.errors.first() {
                    Some(error) => {
                        let detail = format!("line {}: {}", error.line, error.message);
                        self.skip(CODE, place, SkipCode::Malformed, detail);
                    }
                    None => self.looked_at(CODE),
                }
                let more = module.calls.len().saturating_sub(CALLS) as u64;
                let fact = CodeFact {
                    imports: module.imports.iter().map(|import| import.name.clone()).take(CALLS).collect(),
                    calls: module.calls.into_iter().take(CALLS).map(describe).collect(),
                    more,
                };
                self.facts.push(CODE, place.location.clone(), &fact);
            }
            Err(PythonError::Limit(hit)) => self.limit(CODE, place, hit),
            Err(error) => self.skip(CODE, place, SkipCode::Limit, error.to_string()),
        }
    }
}

fn is_torchscript(place: &Place) -> bool {
    let member = place.location.member.as_deref().unwrap_or("");
    member.contains("code/__torch__") && place.name.contains("code/__torch__")
}

fn describe(call: gauntlet_python::Call) -> CodeCall {
    let invocation = call.invocation;
    // Texts are kept only where they are what a dangerous call was given: they may name people and secrets.
    let rules = rules::named::code().as_ref().ok();
    let evidence = rules.is_some_and(|rules| invocation.names.iter().any(|name| rules.category(name).is_some()));
    let arguments = invocation.arguments.iter().map(|value| argument(value, evidence)).collect();
    let given = || invocation.arguments.iter().chain(invocation.keywords.iter().map(|(_, value)| value));
    let named = given().flat_map(names);
    let passed = named.filter(|name| rules.is_some_and(|rules| rules.category(name).is_some()));
    let passed = passed.take(8).collect();
    let opens = OPENERS.iter().any(|opener| invocation.names.iter().any(|name| name == opener));
    let opens = match invocation.arguments.first() {
        Some(Value::Str(path)) if opens && location::outside(path).is_some() => {
            Some(path.chars().take(EVIDENCE).collect())
        }
        _ => None,
    };
    let made_of = given().flat_map(callees).collect();
    CodeCall {
        passed,
        opens,
        names: invocation.names,
        line: u64::from(call.place.line),
        at_import: call.at_import,
        looked_up: call.looked_up,
        made_of,
        arguments,
    }
}

/// Names that an argument is or holds.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Name(name) => vec![name.clone()],
        Value::List(values) => values.iter().flat_map(names).collect(),
        Value::Dict(items) => items.iter().flat_map(|(_, value)| names(value)).collect(),
        _ => Vec::new(),
    }
}

/// Names of the calls that an argument is made of.
fn callees(value: &Value) -> Vec<String> {
    match value {
        Value::Call(call) => {
            let inner = call.arguments.iter().flat_map(callees);
            call.names.iter().cloned().chain(inner).collect()
        }
        Value::List(values) => values.iter().flat_map(callees).collect(),
        _ => Vec::new(),
    }
}

fn argument(value: &Value, evidence: bool) -> String {
    match value {
        Value::Str(text) if evidence => format!("'{}'", text.chars().take(EVIDENCE).collect::<String>()),
        Value::Str(_) => "a text".to_owned(),
        Value::List(values) if evidence => {
            let items: Vec<_> = values.iter().take(8).map(|value| argument(value, evidence)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::List(_) => "a list".to_owned(),
        Value::Name(name) => name.clone(),
        Value::Call(call) => format!("{}(…)", call.names.first().map_or("?", String::as_str)),
        Value::None | Value::Bool(_) | Value::Int(_) => "a constant".to_owned(),
        _ => "a value".to_owned(),
    }
}
