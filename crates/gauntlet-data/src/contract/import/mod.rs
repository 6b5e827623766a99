//! Contracts from what other tools have: suites of Great Expectations (0.x and 1.x) and schemas of Pandera. What has no
//! counterpart here is named; nothing is dropped in silence.

mod great_expectations;
mod pandera;

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{ConfigError, yaml};
use serde_json::{Map, Value, json};

use super::{Contract, Expression, flow, validate};

/// Most expectations or checks of one file.
const MAX_RULES: usize = 10_000;
/// Longest description of what was not translated.
const MAX_WORDS: usize = 300;

/// A translated contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What it was read as.
    pub from: &'static str,
    /// The contract.
    pub contract: Contract,
    /// What has no counterpart here, one sentence each.
    pub untranslated: Vec<String>,
}

impl Imported {
    /// The contract as YAML, headed by what was not translated.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut out = format!("# Translated from {}: review every line.\n", self.from);
        for what in &self.untranslated {
            out.push_str("# not translated: ");
            out.extend(what.chars().map(|c| if c.is_control() { ' ' } else { c }));
            out.push('\n');
        }
        out.push_str(&flow::render(&self.contract));
        out
    }
}

/// Why a file is no contract of another tool.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is neither YAML nor JSON.
    #[error(transparent)]
    Malformed(#[from] ConfigError),
    /// It is of no known shape.
    #[error(
        "{file}: is neither a Great Expectations suite (it has no `expectations`) nor a Pandera schema (it has no `schema_type` or `columns`)"
    )]
    Unknown {
        /// The file as the user named it.
        file: String,
    },
    /// It asks for more than one contract may.
    #[error("{file}: {what}")]
    Unusable {
        /// The file as the user named it.
        file: String,
        /// Why.
        what: String,
    },
}

/// Translates a suite or schema; `file` names it in errors.
///
/// # Errors
/// [`ImportError`].
pub fn import_contract(file: &str, bytes: &[u8]) -> Result<Imported, ImportError> {
    let document: Value = yaml::parse(file, bytes)?;
    let Value::Object(document) = &document else { return Err(ImportError::Unknown { file: file.to_owned() }) };
    let mut draft = Draft::default();
    let from = if let Some(Value::Array(expectations)) = document.get("expectations") {
        great_expectations::read(document, expectations, &mut draft);
        "a Great Expectations suite"
    } else if document.contains_key("schema_type") || document.get("columns").is_some_and(Value::is_object) {
        pandera::read(document, &mut draft);
        "a Pandera schema"
    } else {
        return Err(ImportError::Unknown { file: file.to_owned() });
    };
    draft.finish(file, from)
}

/// A contract in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    top: Map<String, Value>,
    columns: BTreeMap<String, Map<String, Value>>,
    rules: Vec<Value>,
    /// Names of columns, where all of them are known.
    closed: bool,
    untranslated: Vec<String>,
}

/// How a rule is judged: `mostly`, `when`, `severity`, `message`, `name`.
pub(super) type Terms = Map<String, Value>;

impl Draft {
    /// Names a column.
    pub(super) fn column(&mut self, name: &str) -> &mut Map<String, Value> {
        self.columns.entry(name.to_owned()).or_default()
    }

    /// A key of the whole table, such as `rows`.
    pub(super) fn top(&mut self, key: &str, value: Value) {
        self.top.insert(key.to_owned(), value);
    }

    /// No other columns may occur.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Says that something has no counterpart.
    pub(super) fn leave(&mut self, what: &str, why: &str) {
        self.untranslated.push(format!("{what}: {why}").chars().take(MAX_WORDS).collect());
    }

    /// A rule about one column: under the column where nothing else is said about how to judge it and its key is free, else
    /// an entry of its own.
    pub(super) fn about(&mut self, what: &str, column: &str, key: &str, value: Value, terms: &Terms) {
        self.column(column);
        let plain = terms.is_empty() && self.columns.get(column).is_some_and(|keys| !keys.contains_key(key));
        let mut rule = terms.clone();
        rule.insert("column".to_owned(), json!(column));
        rule.insert(key.to_owned(), value.clone());
        if !self.sound(what, &rule) {
            return;
        }
        if plain {
            self.column(column).insert(key.to_owned(), value);
        } else {
            self.rules.push(Value::Object(rule));
        }
    }

    /// A rule about several columns.
    pub(super) fn across(&mut self, what: &str, columns: &[&str], key: &str, value: Value, terms: &Terms) {
        for column in columns {
            self.column(column);
        }
        let mut rule = terms.clone();
        rule.insert(key.to_owned(), value);
        if self.sound(what, &rule) {
            self.rules.push(Value::Object(rule));
        }
    }

    /// Whether our own contract would take the rule; names it otherwise.
    fn sound(&mut self, what: &str, rule: &Map<String, Value>) -> bool {
        if let Some(Value::String(when)) = rule.get("when") {
            for column in Expression::parse(when).map(|e| e.columns()).unwrap_or_default() {
                self.column(&column);
            }
        }
        if self.rules.len() >= MAX_RULES {
            self.leave(what, "there are more rules than a contract may have");
            return false;
        }
        let document = json!({"contract": 1, "columns": self.columns, "rules": [rule]});
        let problem = match serde_json::from_value::<Contract>(document) {
            Ok(contract) => {
                let of_rule = |(path, message): (String, String)| path.starts_with("rules.").then_some(message);
                validate::problems(&contract).into_iter().find_map(of_rule)
            }
            Err(error) => Some(error.to_string()),
        };
        match problem {
            Some(problem) => {
                self.leave(what, &problem);
                false
            }
            None => true,
        }
    }

    fn finish(mut self, file: &str, from: &'static str) -> Result<Imported, ImportError> {
        let unusable = |what: String| ImportError::Unusable { file: file.to_owned(), what };
        if self.columns.is_empty() {
            return Err(unusable("it names no column".to_owned()));
        }
        self.top("contract", json!(1));
        self.top("columns", json!(self.columns));
        let rules = std::mem::take(&mut self.rules);
        self.top("rules", Value::Array(rules));
        self.top("extra_columns", json!(if self.closed { "error" } else { "allow" }));
        let contract: Contract =
            serde_json::from_value(Value::Object(self.top)).map_err(|error| unusable(error.to_string()))?;
        if let Some((path, message)) = validate::problems(&contract).into_iter().next() {
            return Err(unusable(format!("{path}: {message}")));
        }
        let mut seen = BTreeSet::new();
        self.untranslated.retain(|what| seen.insert(what.clone()));
        Ok(Imported { from, contract, untranslated: self.untranslated })
    }
}

/// A column's name as it is written in an expression.
pub(super) fn name(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

/// A value as it is written in an expression.
pub(super) fn constant(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::String(text) => Some(format!("'{}'", text.replace('\'', "''"))),
        _ => None,
    }
}

/// A bound as a contract takes it: numbers as they are, whole floats as integers where the column has integers, times
/// without their midnight.
pub(super) fn bound(value: &Value, family: Option<&str>) -> Value {
    match value {
        Value::Number(number) => whole(number, family),
        Value::String(text) => {
            let text = text.strip_suffix("+00:00").unwrap_or(text);
            let date = text.strip_suffix(" 00:00:00").or_else(|| text.strip_suffix("T00:00:00")).unwrap_or(text);
            if family == Some("timestamp") { json!(format!("{}", text.replace(' ', "T"))) } else { json!(date) }
        }
        other => other.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
fn whole(number: &serde_json::Number, family: Option<&str>) -> Value {
    let float = number.as_f64().unwrap_or(f64::NAN);
    let integer = float as i64;
    #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "exactly the same number or not")]
    let same = integer as f64 == float;
    if number.is_f64() && same && float.abs() < 9e15 && family != Some("float") {
        json!(integer)
    } else {
        Value::Number(number.clone())
    }
}

/// The family of a type of pandas, NumPy, Polars, Arrow or SQL, and its exact Arrow type where the name gives a width.
pub(super) fn family(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    let lower = name.trim().to_ascii_lowercase();
    let plain = lower.split(['[', '(']).next().unwrap_or_default().trim();
    Some(match plain {
        "int8" => ("integer", Some("Int8")),
        "int16" => ("integer", Some("Int16")),
        "int32" => ("integer", Some("Int32")),
        "int64" => ("integer", Some("Int64")),
        "uint8" => ("integer", Some("UInt8")),
        "uint16" => ("integer", Some("UInt16")),
        "uint32" => ("integer", Some("UInt32")),
        "uint64" => ("integer", Some("UInt64")),
        "int" | "integer" | "bigint" | "smallint" | "tinyint" | "integertype" | "longtype" => ("integer", None),
        "float32" => ("float", Some("Float32")),
        "float64" => ("float", Some("Float64")),
        "float" | "double" | "double_precision" | "real" | "numeric" | "decimal" | "floattype" | "doubletype" => {
            ("float", None)
        }
        "bool" | "boolean" | "booleantype" => ("boolean", None),
        "str" | "string" | "object" | "text" | "varchar" | "char" | "utf8" | "stringtype" | "category" => {
            ("string", None)
        }
        "date" | "date32" | "datetype" => ("date", None),
        "datetime" | "datetime64" | "timestamp" | "timestamptype" | "timestamptz" => ("timestamp", None),
        "binary" | "bytes" => ("binary", None),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
