//! Schemas of Pandera as its `to_yaml` and `to_json` write them: checks stand beside the other keys of a column (newer
//! versions) or under `checks` (older ones).

use serde_json::{Map, Value, json};

use super::{Draft, Terms, bound, constant, family, name};

/// Keys of a column that are no checks.
const COLUMN_KEYS: [&str; 14] = [
    "title",
    "description",
    "dtype",
    "nullable",
    "unique",
    "coerce",
    "required",
    "regex",
    "checks",
    "default",
    "metadata",
    "drop_invalid_rows",
    "parsers",
    "name",
];

/// Reads a schema.
pub(super) fn read(document: &Map<String, Value>, draft: &mut Draft) {
    if let Some(name) = document.get("name").and_then(Value::as_str) {
        draft.top("table", json!(name));
    }
    let empty = Map::new();
    let columns = document.get("columns").and_then(Value::as_object).unwrap_or(&empty);
    for (column, keys) in columns {
        of_column(column, keys.as_object().unwrap_or(&empty), draft);
    }
    match document.get("strict") {
        Some(Value::Bool(true)) => draft.close(),
        Some(Value::String(word)) if word == "filter" => {
            draft.leave("strict: filter", "columns are never dropped here; extra ones are allowed");
        }
        _ => {}
    }
    if document.get("ordered") == Some(&Value::Bool(true)) {
        // A mapping of this reader is sorted; the order of the file is not known any more.
        draft.leave("ordered", "list the columns under `order` in the order that they have to have");
    }
    match document.get("unique") {
        Some(Value::Array(names)) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            draft.across("unique", &names, "unique", json!(names), &Terms::new());
        }
        Some(Value::String(column)) => draft.across("unique", &[column], "unique", json!(column), &Terms::new()),
        _ => {}
    }
    for key in ["checks", "parsers"] {
        if document.get(key).is_some_and(|value| !value.is_null() && value.as_object().is_none_or(|m| !m.is_empty())) {
            draft.leave(&format!("`{key}` of the whole table"), "they are code; write them as `expression`");
        }
    }
    let index = document.get("index").and_then(Value::as_array).cloned().unwrap_or_default();
    let asks = |index: &Value| {
        index.as_object().is_some_and(|keys| {
            keys.keys().any(|key| {
                !matches!(key.as_str(), "dtype" | "nullable" | "name" | "title" | "description" | "coerce" | "required")
            })
        })
    };
    if index.iter().any(asks) {
        draft.leave("index", "files have no index; write its checks about a column");
    }
}

fn of_column(column: &str, keys: &Map<String, Value>, draft: &mut Draft) {
    let flag = |key: &str, default: bool| keys.get(key).and_then(Value::as_bool).unwrap_or(default);
    if flag("regex", false) {
        return draft.leave(&format!("column `{column}`"), "the name is a pattern for several columns");
    }
    let mut word = None;
    if let Some(dtype) = keys.get("dtype").and_then(Value::as_str) {
        match family(dtype) {
            Some((family, exact)) => {
                word = Some(family);
                let own = draft.column(column);
                own.insert("type".to_owned(), json!(family));
                // A type that values are converted to says nothing about how they are stored.
                if let Some(exact) = exact.filter(|_| !flag("coerce", false)) {
                    own.insert("exact_type".to_owned(), json!(exact));
                }
            }
            None => draft.leave(&format!("dtype `{dtype}` of `{column}`"), "the type is not known here"),
        }
    }
    let own = draft.column(column);
    if !flag("nullable", false) {
        own.insert("nullable".to_owned(), json!(false));
    }
    if flag("unique", false) {
        own.insert("unique".to_owned(), json!(true));
    }
    if !flag("required", true) {
        own.insert("optional".to_owned(), json!(true));
    }
    for key in ["parsers", "default"] {
        if keys.get(key).is_some_and(|value| !value.is_null()) {
            draft.leave(&format!("`{key}` of `{column}`"), "values are judged as they are, never changed");
        }
    }
    let beside = keys.iter().filter(|(key, _)| !COLUMN_KEYS.contains(&key.as_str()));
    let under = keys.get("checks");
    let under_map = under.and_then(Value::as_object).into_iter().flatten();
    for (check, value) in beside.chain(under_map) {
        of_check(column, word, check, value, draft);
    }
    for item in under.and_then(Value::as_array).into_iter().flatten() {
        let check = item.pointer("/options/check_name").or_else(|| item.get("name")).and_then(Value::as_str);
        match (check, item.get("value")) {
            (Some(check), Some(value)) => of_check(column, word, check, value, draft),
            (Some(check), None) => of_check(column, word, check, item, draft),
            (None, _) => draft.leave(&format!("a check of `{column}`"), "it has no name"),
        }
    }
}

fn of_check(column: &str, word: Option<&str>, check: &str, statistics: &Value, draft: &mut Draft) {
    let what = format!("{check} of `{column}`");
    let mut terms = Terms::new();
    let options = statistics.get("options").unwrap_or(statistics);
    if options.get("raise_warning").and_then(Value::as_bool).unwrap_or(false) {
        terms.insert("severity".to_owned(), json!("warn"));
    }
    if options.get("ignore_na").and_then(Value::as_bool) == Some(false) {
        return draft.leave(&what, "nulls are never judged by a rule about values (`ignore_na: false`)");
    }
    // The value alone, or beside options.
    let value = match statistics {
        Value::Object(map) => map.get("value").unwrap_or(statistics),
        other => other,
    };
    let list = |key: &str| {
        let values = if value.is_array() { Some(value) } else { statistics.get(key) };
        let values = values.and_then(Value::as_array).cloned().unwrap_or_default();
        json!(values.iter().map(|value| bound(value, word)).collect::<Vec<_>>())
    };
    let single = |keys: &[&str]| {
        let inner = keys.iter().find_map(|key| statistics.get(*key)).unwrap_or(value);
        bound(inner, word)
    };
    let text = |key: &str| statistics.get(key).unwrap_or(value).as_str().map(str::to_owned);
    let mut about = |key: &str, value: Value| draft.about(&what, column, key, value, &terms);
    match check {
        "greater_than" | "gt" => about("exclusive_range", json!([single(&["min_value"]), Value::Null])),
        "greater_than_or_equal_to" | "ge" => about("range", json!([single(&["min_value"]), Value::Null])),
        "less_than" | "lt" => about("exclusive_range", json!([Value::Null, single(&["max_value"])])),
        "less_than_or_equal_to" | "le" => about("range", json!([Value::Null, single(&["max_value"])])),
        "in_range" | "between" => {
            let include = |key: &str| statistics.get(key).and_then(Value::as_bool).unwrap_or(true);
            let (low, high) = (single(&["min_value"]), single(&["max_value"]));
            match (include("include_min"), include("include_max")) {
                (true, true) => about("range", json!([low, high])),
                (false, false) => about("exclusive_range", json!([low, high])),
                (a, b) => match (constant(&low), constant(&high)) {
                    (Some(low), Some(high)) => {
                        let column_name = name(column);
                        let (a, b) = (if a { ">=" } else { ">" }, if b { "<=" } else { "<" });
                        let text = format!("{column_name} {a} {low} AND {column_name} {b} {high}");
                        draft.across(&what, &[column], "expression", json!(text), &terms);
                    }
                    _ => draft.leave(&what, "an end is no plain value"),
                },
            }
        }
        "equal_to" | "eq" => about("allowed", json!([single(&["value"])])),
        "not_equal_to" | "ne" => about("forbidden", json!([single(&["value"])])),
        "isin" => about("allowed", list("allowed_values")),
        "notin" => about("forbidden", list("forbidden_values")),
        "str_contains" => about("contains", json!(text("pattern"))),
        // Python's `match` holds on to the start of the text alone.
        "str_matches" => match text("pattern") {
            Some(pattern) => about("contains", json!(format!(r"\A(?:{pattern})"))),
            None => draft.leave(&what, "the pattern is missing"),
        },
        "str_startswith" | "str_endswith" => {
            let function = if check == "str_startswith" { "starts_with" } else { "ends_with" };
            match text("string").map(|text| json!(text)).as_ref().and_then(constant) {
                Some(text) => {
                    let text = format!("{function}({}, {text})", name(column));
                    draft.across(&what, &[column], "expression", json!(text), &terms);
                }
                None => draft.leave(&what, "the text is missing"),
            }
        }
        "str_length" => {
            let exact =
                statistics.get("exact_value").filter(|v| !v.is_null()).or(Some(value).filter(|v| v.is_number()));
            let get = |key: &str| statistics.get(key).filter(|v| !v.is_null());
            let count = |key: &str| exact.or_else(|| get(key)).map(|value| bound(value, None));
            about("length", json!([count("min_value"), count("max_value")]));
        }
        "unique_values_eq" => {
            draft.leave(
                &what,
                "that every value of a set occurs cannot be asked for; `allowed` asks that no other does",
            );
        }
        _ => draft.leave(&what, "it is code, or there is no such rule here; write it as `expression`"),
    }
}
