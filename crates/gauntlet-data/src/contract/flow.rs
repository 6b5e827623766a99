//! Writes a contract as YAML that a person can read on: one column, one rule a line.

use std::fmt::Write;

use serde_json::Value;

use super::Contract;
use crate::manifest::quoted;

/// The text of a contract. Reading it gives the same contract.
pub(super) fn render(contract: &Contract) -> String {
    let mut out = String::new();
    let Ok(Value::Object(document)) = serde_json::to_value(contract) else { return out };
    // The order that the reference describes.
    for key in [
        "contract",
        "table",
        "rows",
        "column_count",
        "empty_is_null",
        "columns",
        "unique",
        "rules",
        "extra_columns",
        "order",
    ] {
        let Some(value) = document.get(key) else { continue };
        match value {
            Value::Bool(false) => {}
            Value::Object(columns) if key == "columns" => {
                out.push_str("columns:\n");
                for (name, rules) in columns {
                    let _ = writeln!(out, "  {}: {}", quoted(name), flow(rules));
                }
            }
            Value::Array(items) if matches!(key, "rules" | "unique") => {
                let _ = writeln!(out, "{key}:");
                for item in items {
                    let _ = writeln!(out, "  - {}", flow(item));
                }
            }
            value => {
                let _ = writeln!(out, "{key}: {}", under(key, value));
            }
        }
    }
    out
}

/// Words of the format itself need no quotes.
fn under(key: &str, value: &Value) -> String {
    match value {
        Value::String(word) if matches!(key, "type" | "exact_type" | "severity" | "monotone" | "extra_columns") => {
            word.clone()
        }
        value => flow(value),
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let word = |key: &str| {
                let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let reserved = matches!(key, "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n");
                if plain && !reserved { key.to_owned() } else { quoted(key) }
            };
            // What a rule is about comes first.
            let rank = |key: &str| !matches!(key, "name" | "type" | "column");
            let mut keys: Vec<(&String, &Value)> = map.iter().collect();
            keys.sort_by_key(|(key, _)| rank(key));
            let parts: Vec<String> =
                keys.into_iter().map(|(key, value)| format!("{}: {}", word(key), under(key, value))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}
