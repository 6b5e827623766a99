//! Suites of Great Expectations: `expectation_type` (0.x) or `type` (1.x) with `kwargs`.

use serde_json::{Map, Value, json};

use super::{Draft, Terms, bound, constant, family, name};

/// Reads the expectations of a suite.
pub(super) fn read(document: &Map<String, Value>, expectations: &[Value], draft: &mut Draft) {
    let suite = document.get("name").or_else(|| document.get("expectation_suite_name")).and_then(Value::as_str);
    if let Some(suite) = suite {
        draft.top("table", json!(suite));
    }
    // Types first: the other expectations are read in their light.
    let (types, others): (Vec<&Value>, Vec<&Value>) =
        expectations.iter().partition(|e| kind(e).contains("_of_type") || kind(e).contains("_in_type"));
    for value in types.into_iter().chain(others) {
        let empty = Map::new();
        let kwargs = value.get("kwargs").and_then(Value::as_object).unwrap_or(&empty);
        let mut expectation = Expectation { kind: kind(value), kwargs, what: String::new() };
        expectation.what = expectation.describe();
        match expectation.terms(value) {
            Ok(terms) => expectation.translate(&terms, draft),
            Err(why) => draft.leave(&expectation.what, &why),
        }
    }
}

fn kind(value: &Value) -> &str {
    value
        .get("type")
        .or_else(|| value.get("expectation_type"))
        .and_then(Value::as_str)
        .unwrap_or("an expectation without type")
}

struct Expectation<'a> {
    kind: &'a str,
    kwargs: &'a Map<String, Value>,
    what: String,
}

impl Expectation<'_> {
    fn describe(&self) -> String {
        match self.text("column") {
            Some(column) => format!("{} of `{column}`", self.kind),
            None => self.kind.to_owned(),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.kwargs.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn pair(&self, low: &str, high: &str) -> Value {
        json!([self.get(low), self.get(high)])
    }

    /// As [`Self::pair`], for counts: suites write them as floats, too.
    fn counts(&self, low: &str, high: &str) -> Value {
        let count = |key: &str| self.get(key).map(|value| bound(value, None));
        json!([count(low), count(high)])
    }

    fn list(&self, key: &str) -> Vec<Value> {
        self.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    fn names(&self, key: &str) -> Vec<String> {
        self.list(key).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// How the expectation is judged; an error for what would change its meaning.
    fn terms(&self, value: &Value) -> Result<Terms, String> {
        let mut terms = Terms::new();
        if let Some(mostly) = self.get("mostly").and_then(Value::as_f64)
            && mostly < 1.0
        {
            terms.insert("mostly".to_owned(), json!(mostly));
        }
        if let Some(severity) = value.get("severity").and_then(Value::as_str)
            && severity != "critical"
        {
            terms.insert("severity".to_owned(), json!("warn"));
        }
        if let Some(condition) = self.get("row_condition") {
            terms.insert("when".to_owned(), json!(when(condition)?));
        }
        for key in ["evaluation_parameters", "$PARAMETER"] {
            if self.kwargs.contains_key(key) {
                return Err(format!("`{key}` is filled in only when the suite runs"));
            }
        }
        if let Some((key, _)) = self.kwargs.iter().find(|(_, v)| v.get("$PARAMETER").is_some()) {
            return Err(format!("`{key}` is a parameter that is filled in only when the suite runs"));
        }
        Ok(terms)
    }

    fn translate(&self, terms: &Terms, draft: &mut Draft) {
        let what = self.what.as_str();
        if let Some(column) = self.text("column") {
            draft.column(column);
            self.of_column(column, terms, draft);
            return;
        }
        // How a whole table or a set of columns looks.
        match self.kind {
            "expect_table_row_count_to_be_between" => {
                let counts = self.counts("min_value", "max_value");
                draft.top("rows", json!({"min": counts[0], "max": counts[1]}));
            }
            "expect_table_row_count_to_equal" => {
                let counts = self.counts("value", "value");
                draft.top("rows", json!({"min": counts[0], "max": counts[1]}));
            }
            "expect_table_column_count_to_be_between" => {
                draft.top("column_count", self.counts("min_value", "max_value"));
            }
            "expect_table_column_count_to_equal" => draft.top("column_count", self.counts("value", "value")),
            "expect_table_columns_to_match_ordered_list" => {
                let names = self.names("column_list");
                names.iter().for_each(|name| {
                    draft.column(name);
                });
                draft.top("order", json!(names));
                draft.close();
            }
            "expect_table_columns_to_match_set" => {
                self.names("column_set").iter().for_each(|name| {
                    draft.column(name);
                });
                if self.get("exact_match").and_then(Value::as_bool).unwrap_or(true) {
                    draft.close();
                }
            }
            "expect_compound_columns_to_be_unique" => {
                let names = self.names("column_list");
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                draft.across(what, &names, "unique", json!(names), terms);
            }
            "expect_select_column_values_to_be_unique_within_record" => {
                let names = self.names("column_list");
                let mut parts = Vec::new();
                for (i, a) in names.iter().enumerate() {
                    parts.extend(names.iter().skip(i + 1).map(|b| format!("{} <> {}", name(a), name(b))));
                }
                self.expression(&names, &parts.join(" AND "), terms, draft);
            }
            "expect_multicolumn_sum_to_equal" => {
                let names = self.names("column_list");
                let sum = names.iter().map(|n| name(n)).collect::<Vec<_>>().join(" + ");
                match self.get("sum_total").and_then(constant) {
                    Some(total) => self.expression(&names, &format!("{sum} = {total}"), terms, draft),
                    None => draft.leave(what, "`sum_total` is missing"),
                }
            }
            "expect_column_pair_values_a_to_be_greater_than_b" => {
                let op = if self.flag("or_equal") { ">=" } else { ">" };
                self.of_pair(op, terms, draft);
            }
            "expect_column_pair_values_to_be_equal" => self.of_pair("=", terms, draft),
            "expect_column_pair_values_to_be_in_set" => {
                let (Some(a), Some(b)) = (self.text("column_A"), self.text("column_B")) else {
                    return draft.leave(what, "`column_A` or `column_B` is missing");
                };
                let pairs = self.list("value_pairs_set");
                let mut parts = Vec::new();
                for pair in &pairs {
                    let (Some(x), Some(y)) = (pair.get(0).and_then(constant), pair.get(1).and_then(constant)) else {
                        return draft.leave(what, "a pair holds something else than two plain values");
                    };
                    parts.push(format!("{} = {x} AND {} = {y}", name(a), name(b)));
                }
                let names = [a.to_owned(), b.to_owned()];
                self.expression(&names, &parts.join(" OR "), terms, draft);
            }
            _ => draft.leave(what, "there is no such rule here"),
        }
    }

    fn of_column(&self, column: &str, terms: &Terms, draft: &mut Draft) {
        let what = self.what.as_str();
        let known = draft.column(column).get("type").and_then(Value::as_str).map(str::to_owned);
        let mut about = |key: &str, value: Value| draft.about(what, column, key, value, terms);
        let end = |key: &str| self.get(key).map(|value| bound(value, known.as_deref()));
        let whole = Terms::new();
        match self.kind {
            "expect_column_to_exist" => {
                if self.get("column_index").is_some() {
                    draft.leave(what, "the place of a single column cannot be asked for; use `order`");
                }
            }
            "expect_column_values_to_not_be_null" => about("nullable", json!(false)),
            "expect_column_values_to_be_null" => {
                draft.across(what, &[column], "expression", json!(format!("{} IS NULL", name(column))), terms);
            }
            "expect_column_values_to_be_of_type" => match self.text("type_").and_then(family) {
                Some((word, exact)) => type_of(draft, column, word, exact),
                None => draft.leave(what, "the type is not known here"),
            },
            "expect_column_values_to_be_in_type_list" => {
                let names = self.names("type_list");
                let mut families: Vec<&str> = names.iter().filter_map(|n| family(n)).map(|(word, _)| word).collect();
                families.dedup();
                match families.as_slice() {
                    [word] => type_of(draft, column, word, None),
                    _ => draft.leave(what, "the types are of several families, or of none that is known here"),
                }
            }
            "expect_column_values_to_be_between" => {
                let (low, high) = (end("min_value"), end("max_value"));
                let (over, under) = (self.flag("strict_min"), self.flag("strict_max"));
                let inclusive = json!([low.as_ref().filter(|_| !over), high.as_ref().filter(|_| !under)]);
                let exclusive = json!([low.as_ref().filter(|_| over), high.as_ref().filter(|_| under)]);
                match (over && low.is_some(), under && high.is_some()) {
                    (false, false) => about("range", inclusive),
                    (over, under) if (over || low.is_none()) && (under || high.is_none()) => {
                        about("exclusive_range", exclusive);
                    }
                    // One end in, one out: one rule, so that a row counts once.
                    _ => match (low.as_ref().and_then(constant), high.as_ref().and_then(constant)) {
                        (Some(low), Some(high)) => {
                            let (a, b) = (if over { ">" } else { ">=" }, if under { "<" } else { "<=" });
                            let column_name = name(column);
                            let text = format!("{column_name} {a} {low} AND {column_name} {b} {high}");
                            draft.across(what, &[column], "expression", json!(text), terms);
                        }
                        _ => draft.leave(what, "an end is no plain value"),
                    },
                }
            }
            "expect_column_values_to_be_in_set" => about("allowed", self.set("value_set", known.as_deref())),
            "expect_column_distinct_values_to_be_in_set" => {
                let set = self.set("value_set", known.as_deref());
                draft.about(what, column, "allowed", set, &whole);
            }
            "expect_column_values_to_not_be_in_set" => about("forbidden", self.set("value_set", known.as_deref())),
            "expect_column_values_to_match_regex" => about("contains", json!(self.text("regex"))),
            "expect_column_values_to_not_match_regex" => about("not_contains", json!(self.text("regex"))),
            "expect_column_values_to_match_regex_list" => {
                let list = self.names("regex_list");
                if self.text("match_on") == Some("all") {
                    draft.leave(what, "all patterns at once; write one rule for each");
                } else {
                    let any: Vec<String> = list.iter().map(|p| format!("(?:{p})")).collect();
                    about("contains", json!(any.join("|")));
                }
            }
            "expect_column_values_to_not_match_regex_list" => {
                let any: Vec<String> = self.names("regex_list").iter().map(|p| format!("(?:{p})")).collect();
                about("not_contains", json!(any.join("|")));
            }
            "expect_column_values_to_match_like_pattern" => match self.get("like_pattern").and_then(constant) {
                Some(pattern) => {
                    let text = format!("{} LIKE {pattern}", name(column));
                    draft.across(what, &[column], "expression", json!(text), terms);
                }
                None => draft.leave(what, "the pattern is missing"),
            },
            "expect_column_value_lengths_to_be_between" => about("length", self.counts("min_value", "max_value")),
            "expect_column_value_lengths_to_equal" => about("length", self.counts("value", "value")),
            "expect_column_values_to_be_unique" if terms.is_empty() => {
                draft.column(column).insert("unique".to_owned(), json!(true));
            }
            "expect_column_values_to_be_unique" => {
                draft.across(what, &[column], "unique", json!(column), terms);
            }
            "expect_column_values_to_be_increasing" => {
                about("monotone", json!(if self.flag("strictly") { "strictly-increasing" } else { "increasing" }));
            }
            "expect_column_values_to_be_decreasing" => {
                about("monotone", json!(if self.flag("strictly") { "strictly-decreasing" } else { "decreasing" }));
            }
            "expect_column_min_to_be_between" => self.statistic("min", column, terms, draft),
            "expect_column_max_to_be_between" => self.statistic("max", column, terms, draft),
            "expect_column_sum_to_be_between" => self.statistic("sum", column, terms, draft),
            "expect_column_mean_to_be_between" => self.statistic("mean", column, terms, draft),
            "expect_column_stdev_to_be_between" => self.statistic("stdev", column, terms, draft),
            "expect_column_proportion_of_unique_values_to_be_between" => {
                self.statistic("distinct_share", column, terms, draft);
            }
            "expect_column_unique_value_count_to_be_between" => self.statistic("distinct", column, terms, draft),
            "expect_column_median_to_be_between" if !self.strict() => {
                about("quantiles", json!({"0.5": self.pair("min_value", "max_value")}));
            }
            "expect_column_quantile_values_to_be_between" => {
                let ranges = self.get("quantile_ranges").cloned().unwrap_or_default();
                let at = |key: &str| ranges.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                let quantiles: Map<String, Value> =
                    at("quantiles").iter().map(ToString::to_string).zip(at("value_ranges")).collect();
                about("quantiles", Value::Object(quantiles));
            }
            _ => draft.leave(what, "there is no such rule here"),
        }
    }

    fn strict(&self) -> bool {
        self.flag("strict_min") || self.flag("strict_max")
    }

    fn statistic(&self, key: &str, column: &str, terms: &Terms, draft: &mut Draft) {
        if self.strict() {
            return draft.leave(&self.what, "bounds of a statistic include their ends here");
        }
        let ends = if key == "distinct" { Self::counts } else { Self::pair };
        let value = ends(self, "min_value", "max_value");
        draft.about(&self.what, column, key, value, terms);
    }

    fn set(&self, key: &str, known: Option<&str>) -> Value {
        json!(self.list(key).iter().map(|value| bound(value, known)).collect::<Vec<_>>())
    }

    /// By default a row is judged when one of its values is there, and a missing one then fails it.
    fn expression(&self, names: &[String], text: &str, terms: &Terms, draft: &mut Draft) {
        let columns: Vec<&str> = names.iter().map(String::as_str).collect();
        let nulls: Vec<String> = names.iter().map(|n| format!("{} IS NULL", name(n))).collect();
        let text = match self.text("ignore_row_if") {
            Some("either_value_is_missing" | "any_value_is_missing") => text.to_owned(),
            None | Some("both_values_are_missing" | "all_values_are_missing") => {
                format!("CASE WHEN {} THEN NULL ELSE coalesce({text}, false) END", nulls.join(" AND "))
            }
            Some("neither" | "never") => format!("coalesce({text}, false)"),
            Some(other) => return draft.leave(&self.what, &format!("`ignore_row_if: {other}` is not known here")),
        };
        draft.across(&self.what, &columns, "expression", json!(text), terms);
    }

    fn of_pair(&self, op: &str, terms: &Terms, draft: &mut Draft) {
        let (Some(a), Some(b)) = (self.text("column_A"), self.text("column_B")) else {
            return draft.leave(&self.what, "`column_A` or `column_B` is missing");
        };
        self.expression(&[a.to_owned(), b.to_owned()], &format!("{} {op} {}", name(a), name(b)), terms, draft);
    }
}

fn type_of(draft: &mut Draft, column: &str, word: &str, exact: Option<&str>) {
    let keys = draft.column(column);
    keys.insert("type".to_owned(), json!(word));
    if let Some(exact) = exact {
        keys.insert("exact_type".to_owned(), json!(exact));
    }
}

/// A row condition as an expression: the pandas form, `col("a")` of the other parser, or the structured form of 1.x.
fn when(condition: &Value) -> Result<String, String> {
    let text = match condition {
        Value::String(text) => text.clone(),
        Value::Object(parts) => match (parts.get("type").and_then(Value::as_str), parts.get("pass_through_filter")) {
            (Some("pass_through"), Some(Value::String(text))) => text.clone(),
            (Some("comparison"), _) => return comparison(parts),
            (Some("nullity"), _) => {
                let column = column_of(parts)?;
                let null = parts.get("is_null").and_then(Value::as_bool).unwrap_or(true);
                return Ok(format!("{} IS {}NULL", name(&column), if null { "" } else { "NOT " }));
            }
            (Some(joint @ ("and" | "or")), _) => {
                let parts = parts.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
                let parts: Vec<String> = parts.iter().map(when).collect::<Result<_, _>>()?;
                return Ok(format!("({})", parts.join(if joint == "and" { ") AND (" } else { ") OR (" })));
            }
            _ => return Err("the form of `row_condition` is not known here".to_owned()),
        },
        _ => return Err("the form of `row_condition` is not known here".to_owned()),
    };
    let text = pandas(&text)?;
    super::super::Expression::parse(&text).map_err(|why| format!("`row_condition` {why}"))?;
    Ok(text)
}

fn column_of(parts: &Map<String, Value>) -> Result<String, String> {
    let column = parts.get("column").and_then(|c| c.get("name").unwrap_or(c).as_str());
    column.map(str::to_owned).ok_or_else(|| "`row_condition` names no column".to_owned())
}

fn comparison(parts: &Map<String, Value>) -> Result<String, String> {
    let column = name(&column_of(parts)?);
    let op = parts.get("operator").and_then(Value::as_str).unwrap_or_default();
    let parameter = parts.get("parameter").cloned().unwrap_or_default();
    let list = |word: &str| {
        let values: Option<Vec<String>> = parameter.as_array()?.iter().map(constant).collect();
        Some(format!("{column} {word} ({})", values?.join(", ")))
    };
    let op = match op {
        "==" => "=",
        "!=" => "<>",
        "<" | "<=" | ">" | ">=" => op,
        "IN" => return list("IN").ok_or_else(|| "`row_condition` compares with no list".to_owned()),
        "NOT_IN" => return list("NOT IN").ok_or_else(|| "`row_condition` compares with no list".to_owned()),
        _ => return Err(format!("the operator `{op}` of `row_condition` is not known here")),
    };
    let value = constant(&parameter).ok_or("`row_condition` compares with no plain value")?;
    Ok(format!("{column} {op} {value}"))
}

/// The plain part of pandas' query language as SQL: `==`, `&`, `|`, texts in double quotes, `col("a")`.
fn pandas(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' => {
                let mut inner = String::new();
                loop {
                    match chars.next() {
                        Some(end) if end == c => break,
                        Some('\\') | None => {
                            return Err("a text of `row_condition` is not closed, or has escapes".to_owned());
                        }
                        Some(other) => inner.push(other),
                    }
                }
                // `col("a")` names a column, everything else in quotes is a text.
                if out.ends_with("col(") {
                    out.truncate(out.len() - "col(".len());
                    out.push_str(&name(&inner));
                    if chars.next() != Some(')') {
                        return Err("`col(` of `row_condition` is not closed".to_owned());
                    }
                } else {
                    out.push_str(&format!("'{}'", inner.replace('\'', "''")));
                }
            }
            '`' => {
                let inner: String = chars.by_ref().take_while(|&c| c != '`').collect();
                out.push_str(&name(&inner));
            }
            '=' if chars.peek() == Some(&'=') => {
                chars.next();
                out.push('=');
            }
            '&' => out.push_str(" AND "),
            '|' => out.push_str(" OR "),
            '~' => out.push_str(" NOT "),
            other => out.push(other),
        }
    }
    let calls = [
        (".notNull()", " IS NOT NULL"),
        (".notnull()", " IS NOT NULL"),
        (".isnull()", " IS NULL"),
        (".isNull()", " IS NULL"),
    ];
    for (from, to) in calls {
        out = out.replace(from, to);
    }
    Ok(out)
}
