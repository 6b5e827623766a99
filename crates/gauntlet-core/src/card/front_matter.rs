//! The YAML in front of a card, and what of it is a claim.

use serde_json::{Map, Value};

use super::{CardFact, CardProblem, ClaimedMetric, RiskScore};
use crate::digest::DigestSet;
use crate::yaml;

/// Claimed results that are kept.
const METRICS: usize = 2_000;
/// Entries of each list that are kept.
const ENTRIES: usize = 500;
/// Characters of each text that are kept.
const TEXT: usize = 300;

/// Front matter (without its lines of dashes) and body, when the text begins with front matter; the number is the line on
/// which the body starts, from 1. `None` as front matter when there is none, an error when it never ends.
///
/// # Errors
/// When the first line opens front matter that no line closes.
pub fn split(text: &str) -> Result<(Option<&str>, &str, u64), &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let Some(first) = lines.next().filter(|line| line.trim_end() == "---") else { return Ok((None, text, 1)) };
    let start = first.len();
    let mut end = start;
    for (line, number) in lines.zip(2u64..) {
        let after = end.saturating_add(line.len());
        if matches!(line.trim_end(), "---" | "...") {
            let inner = text.get(start..end).unwrap_or_default();
            return Ok((Some(inner), text.get(after..).unwrap_or_default(), number.saturating_add(1)));
        }
        end = after;
    }
    Err("the front matter never ends: a line of three dashes is missing")
}

/// Reads front matter into `claims`; what cannot be read is a problem.
pub(super) fn read(text: &str, claims: &mut CardFact) -> Map<String, Value> {
    let map = match yaml::parse::<Value>("front matter", text.as_bytes()) {
        Ok(Value::Object(map)) => map,
        Ok(Value::Null) => Map::new(),
        Ok(_) => {
            claims.problems.push(CardProblem::FrontMatter { message: "is no mapping".to_owned(), line: 1 });
            return Map::new();
        }
        Err(error) => {
            // The first line of the front matter is the second of the file.
            let line = error.line.unwrap_or(0).saturating_add(1);
            claims.problems.push(CardProblem::FrontMatter { message: cut(&error.message), line });
            return Map::new();
        }
    };
    claims.has_front_matter = true;
    claims.licence = one(&map, "license_name").or_else(|| one(&map, "license"));
    claims.languages = many(&map, "language");
    claims.tags = many(&map, "tags");
    claims.library = one(&map, "library_name");
    claims.task = one(&map, "pipeline_tag");
    claims.base_models = many(&map, "base_model");
    claims.datasets = many(&map, "datasets");
    results(&map, claims);
    if let Some(Value::Object(ours)) = map.get("gauntlet") {
        claims.risk_class = one(ours, "risk_class");
        claims.has_contact = one(ours, "contact").is_some();
        claims.risk_score = ours.get("risk_score").and_then(Value::as_object).map(risk_score);
    }
    let digest = map.get("gauntlet_model").cloned().and_then(|value| serde_json::from_value::<DigestSet>(value).ok());
    claims.model = digest.unwrap_or_default();
    map
}

fn risk_score(map: &Map<String, Value>) -> RiskScore {
    RiskScore {
        value: map.get("value").and_then(Value::as_f64).filter(|value| value.is_finite()),
        formula: one(map, "formula"),
        version: one(map, "version"),
        evidence: many(map, "evidence"),
    }
}

/// `model-index`, as the hub documents it.
fn results(map: &Map<String, Value>, claims: &mut CardFact) {
    let results = list(map.get("model-index")).iter().flat_map(|entry| list(entry.get("results")));
    for (result, at) in results.zip(0usize..) {
        let dataset = result.get("dataset");
        let named = |key: &str| dataset.and_then(|d| d.get(key)).and_then(text);
        for (metric, index) in list(result.get("metrics")).iter().zip(0usize..) {
            if claims.metrics.len() >= METRICS {
                claims.problems.push(CardProblem::Limit { what: format!("{METRICS} results") });
                return;
            }
            let Some((name, value)) = metric.get("type").and_then(text).zip(metric.get("value").and_then(number))
            else {
                let place = format!("model-index results[{at}].metrics[{index}]");
                claims.problems.push(CardProblem::Metric { place });
                continue;
            };
            let argument = |key: &str| metric.get("args").and_then(|args| args.get(key));
            claims.metrics.push(ClaimedMetric {
                name,
                value,
                low: argument("low").and_then(number),
                high: argument("high").and_then(number),
                dataset: named("name").or_else(|| named("type")),
                slice: argument("slice").and_then(text),
            });
        }
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        // Cards write `"92.4"` as often as 92.4.
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    number.is_finite().then_some(number)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(cut(text)),
        // `no` is a language, and YAML's word for false.
        Value::Bool(false) => Some("no".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn one(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).and_then(|value| match value {
        Value::Array(items) => items.first().and_then(text),
        other => text(other),
    })
}

fn many(map: &Map<String, Value>, key: &str) -> Vec<String> {
    match map.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(text).take(ENTRIES).collect(),
        Some(other) => text(other).into_iter().collect(),
        None => Vec::new(),
    }
}

fn cut(text: &str) -> String {
    text.trim().chars().take(TEXT).collect()
}
