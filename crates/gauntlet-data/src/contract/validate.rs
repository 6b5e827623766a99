//! What is wrong with a contract, told before any data is read.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::nearest;
use regex::RegexBuilder;

use super::expression::{Expression, Kind, Operand};
use super::keys::{Balance, Bounds, Counts, Ends, TableRule};
use super::{ColumnRules, Contract, Entry, Family, Scalar, Test};

/// Size that a compiled pattern may have.
const PATTERN_BYTES: usize = 1 << 20;
/// Most columns, as many as a table may have.
const MAX_COLUMNS: usize = 4_096;
/// Most rules of all columns together.
const MAX_RULES: usize = 10_000;
/// Most values of one set.
const MAX_ALLOWED: usize = 100_000;
/// Most columns of one key.
const MAX_KEY: usize = 32;
/// Most shares of one rule.
const MAX_SHARES: usize = 1_000;
const MINUTE: u64 = 60;

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
    if let Some((Some(low), Some(high))) = contract.column_count
        && low > high
    {
        out.push(("column_count".into(), format!("no number of columns is at least {low} and at most {high}")));
    }
    for name in contract.order.iter().flatten().filter(|name| !contract.columns.contains_key(*name)) {
        out.push(("order".into(), format!("`order` names `{name}`, which is no column{}", hint(contract, name))));
    }
    for (name, rules) in &contract.columns {
        column(&format!("columns.{name}"), rules, &mut out);
    }
    for (i, rule) in contract.rules.iter().enumerate() {
        table_rule(&format!("rules.{i}"), rule, &mut out);
    }
    let entries = contract.entries();
    if entries.len() > MAX_RULES {
        out.push(("columns".into(), format!("more than {MAX_RULES} rules")));
        return out;
    }
    for rule in &entries {
        entry(contract, rule, &mut out);
    }
    out
}

/// `, did you mean x?`
fn hint(contract: &Contract, name: &str) -> String {
    nearest(name, contract.columns.keys().map(String::as_str))
        .map(|known| format!(", did you mean `{known}`?"))
        .unwrap_or_default()
}

/// Keys of a column that are no rules of their own.
fn column(path: &str, rules: &ColumnRules, out: &mut Vec<(String, String)>) {
    let mut wrong = |key: &str, message: String| out.push((format!("{path}.{key}"), format!("`{key}`: {message}")));
    if let Some(message) = no_share(rules.mostly) {
        wrong("mostly", message);
    }
    if let Some(message) = no_probability(rules.quantiles.as_ref()) {
        wrong("quantiles", message);
    }
    if rules.nullable == Some(false) && rules.max_null_share.is_some_and(|share| share > 0.0) {
        wrong("max_null_share", "contradicts `nullable: false`".into());
    }
    if let Some(exact) = &rules.exact_type {
        let family = exact.parse::<arrow::datatypes::DataType>().ok().and_then(|t| crate::table::family(&t));
        match (family, rules.family) {
            (None, _) => wrong("exact_type", format!("`{exact}` is no Arrow type that a contract knows")),
            (Some(found), Some(wanted)) if found != wanted => {
                wrong("exact_type", format!("`{exact}` is no Arrow type of the family {}", wanted.as_str()));
            }
            _ => {}
        }
    }
}

/// Whether an entry of `rules` says what it is about.
fn table_rule(path: &str, rule: &TableRule, out: &mut Vec<(String, String)>) {
    let mut wrong = |key: &str, message: String| out.push((format!("{path}.{key}"), message));
    if let Some(message) = no_share(rule.mostly) {
        wrong("mostly", format!("`mostly`: {message}"));
    }
    if let Some(message) = no_probability(rule.quantiles.as_ref()) {
        wrong("quantiles", format!("`quantiles`: {message}"));
    }
    if rule.column.is_some() && !rule.columns.is_empty() {
        wrong("columns", "`columns`: say either `column` or `columns`".into());
    }
    if rule.share.is_some() != rule.share_of.is_some() {
        wrong("share", "`share` and `share_of` belong together".into());
    }
    let own = usize::from(rule.expression.is_some())
        + usize::from(rule.unique.is_some())
        + usize::from(rule.share_of.is_some());
    let tests = super::entry::of_rule("", rule);
    if tests.is_empty() && rule.nullable.is_none() && rule.quantiles.is_none() {
        wrong("", "a rule needs something to judge, such as `expression`, `unique` or `range`".into());
    }
    let about_column = tests.len() > own;
    if about_column && rule.column.is_none() && rule.columns.is_empty() {
        let key = tests.iter().map(|t| t.test.key()).find(|k| !matches!(*k, "expression" | "unique" | "share"));
        let key = key.unwrap_or("range");
        wrong(key, format!("`{key}`: say which `column` it is about"));
    }
    if !about_column && own > 0 && (rule.column.is_some() || !rule.columns.is_empty()) && rule.expression.is_none() {
        wrong("column", "nothing in this rule is about `column`".into());
    }
}

/// What one rule of either form has wrong.
fn entry(contract: &Contract, entry: &Entry, out: &mut Vec<(String, String)>) {
    let key = entry.test.key();
    let mut wrong = |message: String| out.push((entry.path.clone(), format!("`{key}`: {message}")));
    for name in entry.columns.iter().filter(|name| !contract.columns.contains_key(*name)) {
        wrong(format!("there is no column `{name}` in `columns`{}", hint(contract, name)));
    }
    let several = matches!(entry.test, Test::Unique | Test::References(_) | Test::Expression(_) | Test::ShareOf(..));
    if entry.columns.len() > 1 && !several {
        wrong("is about one column".into());
    }
    if entry.columns.len() > MAX_KEY {
        wrong(format!("at most {MAX_KEY} columns form a key"));
    }
    if entry.columns.iter().collect::<BTreeSet<_>>().len() < entry.columns.len() {
        wrong("names a column twice".into());
    }
    let family = entry.columns.first().and_then(|name| contract.columns.get(name)).and_then(implied_family);
    if let Err(message) = fits_type(&entry.test, family) {
        wrong(message);
    }
    let conditions = match &entry.test {
        Test::Expression(text) | Test::ShareOf(text, _) => vec![(entry.path.clone(), key, text)],
        _ => Vec::new(),
    };
    let when = entry.when.as_ref().map(|text| {
        let above = entry.path.rsplit_once('.').map_or("", |(above, _)| above);
        (format!("{above}.when"), "when", text)
    });
    for (path, key, text) in conditions.into_iter().chain(when) {
        if let Err(message) = expression(contract, text) {
            let problem = (path, format!("`{key}`: {message}"));
            if !out.contains(&problem) {
                out.push(problem);
            }
        }
    }
}

fn expression(contract: &Contract, text: &str) -> Result<(), String> {
    let mut resolve = |name: &str| match contract.columns.get(name) {
        Some(rules) => Ok(Operand { expr: datafusion::logical_expr::lit(true), kind: Kind::of(implied_family(rules)) }),
        None => Err(format!("there is no column `{name}` in `columns`{}", hint(contract, name))),
    };
    let parsed = Expression::parse(text)?;
    if parsed.columns().is_empty() {
        return Err("names no column".to_owned());
    }
    parsed.plan(&mut resolve).map(|_| ())
}

/// The family that a column has or that its rules speak of; texts where nothing is said.
pub(crate) fn implied_family(rules: &ColumnRules) -> Option<Family> {
    if let Some(family) = rules.family {
        return Some(family);
    }
    if let Some(exact) = &rules.exact_type {
        return exact.parse::<arrow::datatypes::DataType>().ok().and_then(|t| crate::table::family(&t));
    }
    let ends = [&rules.range, &rules.exclusive_range];
    let end = ends.into_iter().flatten().flat_map(|(low, high)| [low, high]).flatten().next();
    match end {
        Some(Scalar::Int(_) | Scalar::Float(_)) => Some(Family::Float),
        Some(Scalar::Text(text)) if text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10 => Some(Family::Date),
        Some(Scalar::Text(_)) => Some(Family::Timestamp),
        Some(Scalar::Bool(_)) | None => {
            let number = rules.sum.is_some()
                || rules.mean.is_some()
                || rules.stdev.is_some()
                || rules.min.is_some()
                || rules.max.is_some()
                || rules.quantiles.is_some();
            number.then_some(Family::Float)
        }
    }
}

/// Whether a test can be asked of values of a family; of any, where the family is not known.
///
/// # Errors
/// Why not, in a sentence.
pub(crate) fn fits_type(test: &Test, family: Option<Family>) -> Result<(), String> {
    let is = |families: &[Family]| family.is_none_or(|family| families.contains(&family));
    let words = family.map_or("such", Family::as_str);
    let numeric = || {
        if is(&[Family::Integer, Family::Float]) { Ok(()) } else { Err("only numbers have that".to_owned()) }
    };
    match test {
        Test::Type(_) | Test::NotNull | Test::Unique | Test::Expression(_) => Ok(()),
        Test::NullShare(share) => no_share(Some(*share)).map_or(Ok(()), Err),
        Test::Range(ends) | Test::ExclusiveRange(ends) => {
            if !is(&[Family::Integer, Family::Float, Family::Date, Family::Timestamp]) {
                return Err(format!("a {words} column has no range"));
            }
            range(ends, family)
        }
        Test::Allowed(values) | Test::Forbidden(values) => {
            if values.is_empty() || values.len() > MAX_ALLOWED {
                return Err(format!("has to list between 1 and {MAX_ALLOWED} values"));
            }
            values.iter().try_for_each(|value| fits(value, family))
        }
        Test::Pattern(pattern) => compiles(&anchored(pattern)).and_then(|()| text_only(family, "patterns")),
        Test::Contains(pattern) | Test::NotContains(pattern) => {
            compiles(pattern).and_then(|()| text_only(family, "patterns"))
        }
        Test::Length(counts) => text_only(family, "a length").and_then(|()| order(counts)),
        Test::References(reference) => {
            if reference.path.is_some() == reference.dataset.is_some() {
                return Err("say either `path` or `dataset`".to_owned());
            }
            if reference.column.names().is_empty() {
                return Err("name the `column` of the other table".to_owned());
            }
            Ok(())
        }
        Test::Monotone(_) => {
            if is(&[Family::Integer, Family::Float, Family::Date, Family::Timestamp]) {
                Ok(())
            } else {
                Err("only numbers, dates and timestamps have an order here".to_owned())
            }
        }
        Test::Freshness(age) => {
            if !is(&[Family::Date, Family::Timestamp]) {
                return Err("only dates and timestamps have an age".to_owned());
            }
            seconds(age).map(|_| ())
        }
        Test::Statistic(_, bounds) => numeric().and_then(|()| bounded(bounds)),
        Test::Quantile(_, bounds) => numeric().and_then(|()| bounded(bounds)),
        Test::Distinct(counts) => order(counts),
        Test::DistinctShare(bounds) | Test::ShareOf(_, bounds) => share_bounds(bounds),
        Test::Shares(shares) => {
            if shares.is_empty() || shares.len() > MAX_SHARES {
                return Err(format!("has to list between 1 and {MAX_SHARES} values"));
            }
            shares.values().try_for_each(share_bounds)
        }
        Test::Balance(balance) => {
            for share in [balance.smallest, balance.largest, balance.evenness] {
                if let Some(message) = no_share(share) {
                    return Err(message);
                }
            }
            if *balance == Balance::default() {
                return Err("says nothing: name `classes`, `smallest`, `largest` or `evenness`".to_owned());
            }
            balance.classes.as_ref().map_or(Ok(()), order)
        }
    }
}

fn text_only(family: Option<Family>, what: &str) -> Result<(), String> {
    if family.is_none_or(|family| family == Family::String) {
        Ok(())
    } else {
        Err(format!("only string columns have {what}"))
    }
}

fn compiles(pattern: &str) -> Result<(), String> {
    match RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().lines().last().unwrap_or("malformed").trim().to_owned()),
    }
}

fn range((low, high): &Ends, family: Option<Family>) -> Result<(), String> {
    if low.is_none() && high.is_none() {
        return Err("has two open ends".to_owned());
    }
    for value in [low, high].into_iter().flatten() {
        fits(value, family)?;
    }
    match (low.as_ref(), high.as_ref()) {
        (Some(Scalar::Text(low)), Some(Scalar::Text(high))) if low > high => {
            Err(format!("no value lies between {low} and {high}"))
        }
        (Some(low), Some(high)) => match (number(low), number(high)) {
            (Some(low), Some(high)) if low > high => Err(format!("no value lies between {low} and {high}")),
            (Some(_), None) | (None, Some(_)) => Err("mixes numbers and texts".to_owned()),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn order((low, high): &Counts) -> Result<(), String> {
    match (low, high) {
        (None, None) => Err("has two open ends".to_owned()),
        (Some(low), Some(high)) if low > high => Err(format!("nothing is at least {low} and at most {high}")),
        _ => Ok(()),
    }
}

fn bounded((low, high): &Bounds) -> Result<(), String> {
    match (low, high) {
        (None, None) => Err("has two open ends".to_owned()),
        (Some(end), _) | (_, Some(end)) if end.is_nan() => Err("NaN bounds nothing".to_owned()),
        (Some(low), Some(high))
            if !matches!(low.partial_cmp(high), Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)) =>
        {
            Err(format!("nothing is at least {low} and at most {high}"))
        }
        _ => Ok(()),
    }
}

fn share_bounds(bounds: &Bounds) -> Result<(), String> {
    bounded(bounds)?;
    [bounds.0, bounds.1].into_iter().find_map(no_share).map_or(Ok(()), Err)
}

fn no_share(share: Option<f64>) -> Option<String> {
    let share = share?;
    (!(0.0..=1.0).contains(&share)).then(|| format!("{share} is no share between 0 and 1"))
}

fn no_probability(quantiles: Option<&BTreeMap<String, Bounds>>) -> Option<String> {
    let no_share = |key: &&String| !key.parse::<f64>().is_ok_and(|p| (0.0..=1.0).contains(&p));
    quantiles?.keys().find(no_share).map(|key| format!("`{key}` is no probability between 0 and 1"))
}

/// Seconds of an age such as `90m`, `36h`, `2d`, `1w`.
pub(crate) fn seconds(age: &str) -> Result<u64, String> {
    let wrong = || format!("`{age}` is no age: write `90m`, `36h`, `2d` or `1w`");
    let (number, unit) = age.split_at(age.floor_char_boundary(age.len().saturating_sub(1)));
    let unit = match unit {
        "m" => MINUTE,
        "h" => 60 * MINUTE,
        "d" => 24 * 60 * MINUTE,
        "w" => 7 * 24 * 60 * MINUTE,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|seconds| i64::try_from(*seconds).is_ok()).ok_or_else(wrong)
}

/// The pattern as it is applied: to whole values.
pub(crate) fn anchored(pattern: &str) -> String {
    format!(r"\A(?:{pattern})\z")
}

fn fits(value: &Scalar, family: Option<Family>) -> Result<(), String> {
    let Some(family) = family else { return Ok(()) };
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
                    x: {type: float, range: [0, 1.5], exact_type: Float64, sum: [0, null], quantiles: {0.5: [0, 1]}}\n  y: {}\n\
                    unique: [[age, name]]\nrules:\n  - {name: r, expression: 'x < age', when: \"name = 'a'\", mostly: 0.9}\n  - {column: day, freshness: 2d}\n  \
                    - {share_of: x > 1, share: [0.1, 0.2]}\n  - {columns: [age, name], references: {path: o.csv, column: [a, b]}}\nextra_columns: warn\norder: [age]\n";
        assert_eq!(errors(text), Vec::<String>::new());
    }

    #[test]
    fn problems_are_told_with_line_and_nearest_name() {
        let text = "contract: 1\ncolumns:\n  age:\n    type: integer\n    pattern: '('\n    range: [9, 1]\n    mostly: 2\n    \
                    exact_type: Utf8\n  name:\n    type: string\n    allowed: [1]\norder: [nam]\n";
        insta::assert_snapshot!(errors(text).join("\n"));
        assert_eq!(errors("contract: 1\ncolums: {}\n"), ["c.yaml:2:1: unknown key `colums`, did you mean `columns`?"]);
    }

    #[test]
    fn a_rule_names_its_columns_or_the_nearest() {
        let rule = |rule: &str| {
            errors(&format!(
                "contract: 1\ncolumns:\n  age: {{type: integer}}\n  plan: {{type: string}}\nrules:\n  - {{{rule}}}\n"
            ))
            .join("\n")
        };
        assert_eq!(
            rule("column: agee, range: [1, 2]"),
            "c.yaml:6: `range`: there is no column `agee` in `columns`, did you mean `age`?"
        );
        assert_eq!(
            rule("expression: plna = 'x'"),
            "c.yaml:6: `expression`: there is no column `plna` in `columns`, did you mean `plan`?"
        );
        assert_eq!(rule("expression: age > 1, when: 'age >'"), "c.yaml:6: `when`: Expected: an expression, found: EOF");
        assert_eq!(rule("expression: 1 = 1"), "c.yaml:6: `expression`: names no column");
        assert_eq!(rule("expression: plan > 1"), "c.yaml:6: `expression`: `plan` is a text and `1` is a number");
        assert_eq!(rule("range: [1, 2]"), "c.yaml:6: `range`: say which `column` it is about");
        assert_eq!(
            rule("column: age"),
            "c.yaml:6: a rule needs something to judge, such as `expression`, `unique` or `range`"
        );
        assert_eq!(rule("column: age, rangee: [1, 2]"), "c.yaml:6:19: unknown key `rangee`, did you mean `range`?");
        assert_eq!(
            rule("column: age, quantiles: {2: [1, 2]}"),
            "c.yaml:6: `quantiles`: `2` is no probability between 0 and 1"
        );
        assert_eq!(rule("column: age, freshness: 1d"), "c.yaml:6: `freshness`: only dates and timestamps have an age");
        assert_eq!(
            rule("column: age, references: {column: a}"),
            "c.yaml:6: `references`: say either `path` or `dataset`"
        );
        assert_eq!(
            rule("column: plan, contains: '(?=a)'"),
            "c.yaml:6: `contains`: error: look-around, including look-ahead and look-behind, is not supported"
        );
        assert_eq!(rule("unique: [age, age]"), "c.yaml:6: `unique`: names a column twice");
        assert!(rule("share_of: age > 1").starts_with("c.yaml:6: `share` and `share_of` belong together"));
    }

    #[test]
    fn damaged_contracts_neither_panic_nor_pass_unsound() {
        let sound = "contract: 1\nunique: [[a, b]]\ncolumns:\n  a: {type: integer, range: [1, null], mostly: 0.9}\n  b: {type: string, pattern: '[a-z]+', freshness: 1d}\n\
                     rules:\n  - {expression: 'a > 1 and (length(b) < 3 or b in (''x''))', when: \"b = 'x'\"}\n  - {column: a, quantiles: {0.5: [1, 2]}}\n";
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = move |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        for round in 0..800 {
            let mut bytes = sound.as_bytes().to_vec();
            match round % 3 {
                0 => bytes.truncate(next(bytes.len())),
                1 => (0..=round % 5).for_each(|_| {
                    let at = next(bytes.len());
                    bytes[at] ^= 1 << next(8);
                }),
                _ => {
                    let (from, to) = (next(bytes.len()), next(bytes.len()));
                    let piece = bytes[from.min(to)..from.max(to)].to_vec();
                    let at = next(bytes.len());
                    bytes.splice(at..at, piece);
                }
            }
            match Contract::parse("c", &bytes) {
                Ok(contract) => assert!(super::problems(&contract).is_empty()),
                Err(errors) => assert!(!errors.is_empty()),
            }
        }
    }
}
