//! From calls in Python code to the relations that people query.

use gauntlet_core::{CallRow, Fact, FactRow, ImportRow, Relation};
use gauntlet_python::{Invocation, Value};

use crate::facts::CallFact;

/// Longest rendered list of arguments, in bytes.
const MAX: usize = 400;

/// The relations of one fact.
pub(crate) fn of(row: &FactRow) -> Result<Vec<Relation>, serde_json::Error> {
    match row.kind.as_str() {
        CallFact::KIND => row.read().map(|fact: CallFact| call(&fact.invocation)),
        _ => Ok(Vec::new()),
    }
}

fn call(invocation: &Invocation) -> Vec<Relation> {
    let arguments = arguments(invocation);
    let resolved = if invocation.certain { "literal" } else { "unresolved" };
    let mut rows = Vec::new();
    for callee in &invocation.names {
        // A method of some result is called, and imported by nobody.
        let path = callee.rsplit_once('.').filter(|(module, _)| !module.contains(['?', '(']));
        if let Some((module, name)) = path {
            rows.push(Relation::Import(ImportRow {
                language: "python",
                module: module.to_owned(),
                name: name.to_owned(),
                called: true,
                arguments: Some(arguments.clone()),
                resolved: Some(resolved),
                count: 1,
                stream: None,
                offset: None,
            }));
        }
        rows.push(Relation::Call(CallRow {
            language: "python",
            callee: callee.clone(),
            arguments: Some(arguments.clone()),
            count: 1,
            ..CallRow::default()
        }));
    }
    rows
}

fn arguments(invocation: &Invocation) -> String {
    let mut parts: Vec<String> = invocation.arguments.iter().map(value).collect();
    parts.extend(invocation.open_arguments.then(|| "*?".to_owned()));
    parts.extend(invocation.keywords.iter().map(|(name, v)| format!("{name}={}", value(v))));
    parts.extend(invocation.open_keywords.then(|| "**?".to_owned()));
    let mut text = parts.join(", ");
    if text.len() > MAX {
        let at = (0..=MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
        text.push('…');
    }
    text
}

/// Values inside values are only named: what is asked for is who is called with what, not a program.
fn value(value: &Value) -> String {
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Str(text) => format!("'{}'", text.chars().take(MAX).collect::<String>()),
        Value::List(items) => format!("list of {}", items.len()),
        Value::Dict(items) => format!("dict of {}", items.len()),
        Value::Name(name) => name.clone(),
        Value::Class(_) => "class".to_owned(),
        Value::Call(call) => format!("{}()", call.names.first().map_or("?", String::as_str)),
        Value::Unknown => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use gauntlet_core::Location;

    use super::*;

    #[test]
    fn a_method_of_a_result_is_no_import() {
        let invocation = Invocation { names: vec!["a.B().c".to_owned(), "?.d".to_owned()], ..Invocation::default() };
        assert!(call(&invocation).iter().all(|row| matches!(row, Relation::Call(_))));
    }

    #[test]
    fn a_call_is_an_import_and_a_call_with_its_arguments() {
        let invocation = Invocation {
            names: vec!["torch.load".to_owned()],
            certain: true,
            arguments: vec![Value::Str("a.pt".to_owned())],
            keywords: vec![("weights_only".to_owned(), Value::Bool(false))],
            ..Invocation::default()
        };
        let fact = serde_json::to_value(CallFact { invocation, lines: 1 }).unwrap();
        let rows = of(&FactRow { kind: CallFact::KIND.to_owned(), location: Location::default(), fact }).unwrap();
        let [Relation::Import(import), Relation::Call(call)] = rows.as_slice() else { unreachable!("{rows:?}") };
        assert_eq!((import.module.as_str(), import.name.as_str()), ("torch", "load"));
        assert_eq!(call.arguments.as_deref(), Some("'a.pt', weights_only=False"));
    }
}
