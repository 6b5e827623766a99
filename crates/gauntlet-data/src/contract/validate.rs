//! What is wrong with a contract, told before any data is read.

use gauntlet_core::nearest;
use regex::RegexBuilder;

use super::{ColumnRules, Contract, Family, Scalar};

/// Size that a compiled pattern may have.
const PATTERN_BYTES: usize = 1 << 20;
/// Most columns, as many as a table may have.
const MAX_COLUMNS: usize = 4_096;
/// Most values of one set.
const MAX_ALLOWED: usize = 100_000;

/// Pairs of the path of the key and what is wrong.
pub(super) fn problems(contract: &Contract) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if contract.contract != 1 {
        out.push(("contract".into(), format!("contract version {}; this program reads version 1", contract.contract)));
    }
    if contract.columns.is_empty() {
        out.push(("columns".into(), "a contract has to name at least one column".into()));
    }
    if contract.columns.len() > MAX_COLUMNS {
        out.push(("columns".into(), format!("more than {MAX_COLUMNS} columns")));
    }
    if let (Some(min), Some(max)) = (contract.rows.min, contract.rows.max)
        && min > max
    {
        out.push(("rows".into(), format!("no row count is at least {min} and at most {max}")));
    }
    for name in contract.order.iter().flatten().filter(|name| !contract.columns.contains_key(*name)) {
        let hint = nearest(name, contract.columns.keys().map(String::as_str))
            .map(|known| format!(", did you mean `{known}`?"))
            .unwrap_or_default();
        out.push(("order".into(), format!("`order` names `{name}`, which is no column{hint}")));
    }
    for (name, rules) in &contract.columns {
        column(&format!("columns.{name}"), rules, &mut out);
    }
    out
}

fn column(path: &str, rules: &ColumnRules, out: &mut Vec<(String, String)>) {
    let mut wrong = |key: &str, message: String| out.push((format!("{path}.{key}"), format!("`{key}`: {message}")));
    for (key, share) in [("mostly", rules.mostly), ("max_null_share", rules.max_null_share)] {
        if let Some(share) = share
            && !(0.0..=1.0).contains(&share)
        {
            wrong(key, format!("{share} is no share between 0 and 1"));
        }
    }
    if !rules.nullable && rules.max_null_share.is_some_and(|share| share > 0.0) {
        wrong("max_null_share", "contradicts `nullable: false`".into());
    }
    if let Some(exact) = &rules.exact_type
        && exact.parse::<arrow::datatypes::DataType>().map_or(true, |t| crate::table::family(&t) != Some(rules.family))
    {
        wrong("exact_type", format!("`{exact}` is no Arrow type of the family {}", rules.family.as_str()));
    }
    if let Some(pattern) = &rules.pattern {
        if rules.family != Family::String {
            wrong("pattern", "only string columns have patterns".into());
        }
        if let Err(error) = RegexBuilder::new(&anchored(pattern)).size_limit(PATTERN_BYTES).build() {
            let error = error.to_string();
            wrong("pattern", error.lines().last().unwrap_or("malformed").trim().to_owned());
        }
    }
    if let Some((low, high)) = rules.length {
        if rules.family != Family::String {
            wrong("length", "only string columns have a length".into());
        }
        if let (Some(low), Some(high)) = (low, high)
            && low > high
        {
            wrong("length", format!("no text has at least {low} and at most {high} characters"));
        }
    }
    if let Some((low, high)) = &rules.range {
        if matches!(rules.family, Family::Boolean | Family::Binary | Family::String) {
            wrong("range", format!("a {} column has no range", rules.family.as_str()));
        } else {
            for value in [low, high].into_iter().flatten() {
                if let Err(message) = fits(value, rules.family) {
                    wrong("range", message);
                }
            }
            if let (Some(low), Some(high)) = (low.as_ref().and_then(number), high.as_ref().and_then(number))
                && low > high
            {
                wrong("range", format!("no value lies between {low} and {high}"));
            }
        }
    }
    if let Some(allowed) = &rules.allowed {
        if allowed.is_empty() || allowed.len() > MAX_ALLOWED {
            wrong("allowed", format!("has to list between 1 and {MAX_ALLOWED} values"));
        }
        if let Some(message) = allowed.iter().find_map(|value| fits(value, rules.family).err()) {
            wrong("allowed", message);
        }
    }
}

/// The pattern as it is applied: to whole values.
pub(crate) fn anchored(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

fn fits(value: &Scalar, family: Family) -> Result<(), String> {
    let ok = match (family, value) {
        (Family::Integer, Scalar::Int(_)) | (Family::Boolean, Scalar::Bool(_)) | (Family::String, Scalar::Text(_)) => {
            true
        }
        (Family::Float, Scalar::Int(_)) => true,
        (Family::Float, Scalar::Float(value)) => !value.is_nan(),
        (Family::Date, Scalar::Text(text)) => text.parse::<jiff::civil::Date>().is_ok(),
        (Family::Timestamp, Scalar::Text(text)) => {
            text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
        }
        _ => false,
    };
    if ok {
        return Ok(());
    }
    let hint = if family == Family::String { "; write it in quotes" } else { "" };
    Err(format!("`{value}` is no {}{hint}", family.as_str()))
}

#[expect(clippy::cast_precision_loss, reason = "only compared, to find a range that is upside down")]
fn number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Int(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        Scalar::Bool(_) | Scalar::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::contract::Contract;

    fn errors(text: &str) -> Vec<String> {
        match Contract::parse("c.yaml", text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_sound_contract_has_no_problems() {
        let text = "contract: 1\ntable: churn\nrows: {min: 1, max: 10}\ncolumns:\n  age: {type: integer, range: [18, null], mostly: 0.9}\n  \
                    name: {type: string, pattern: '[a-z]+', length: [1, 9], allowed: [a, b]}\n  day: {type: date, range: ['2020-01-01', null]}\n  \
                    x: {type: float, range: [0, 1.5], exact_type: Float64}\nextra_columns: warn\norder: [age]\n";
        assert_eq!(errors(text), Vec::<String>::new());
    }

    #[test]
    fn problems_are_told_with_line_and_nearest_name() {
        let text = "contract: 1\ncolumns:\n  age:\n    type: integer\n    pattern: '('\n    range: [9, 1]\n    mostly: 2\n    \
                    exact_type: Utf8\n  name:\n    type: string\n    allowed: [1]\norder: [nam]\n";
        insta::assert_snapshot!(errors(text).join("\n"));
        assert_eq!(errors("contract: 1\ncolums: {}\n"), ["c.yaml:2:1: unknown key `colums`, did you mean `columns`?"]);
    }
}
