//! `data/contract`: does the table look as its contract says?

use std::collections::BTreeMap;

use gauntlet_core::{
    Check, CheckInfo, Comparison, Draft, Facts, Judgement, Judging, Location, Metric, RuleInfo, Severity, SkipCode,
    Stage, nearest,
};

use super::{CONTRACT, at_first, facts_of, first_rows, grouped, percent, rule, share};
use crate::contract::{ColumnRules, Contract, Extra, Family, Level};
use crate::facts::{ColumnFact, ContractFact, DamageFact, FileFact, Format, RuleFact, SideFile, TableFact};

/// The check.
#[derive(Debug)]
pub(crate) struct ContractCheck;

const QUALITY: &[&str] = &["CWE-20", "EU AI Act Art. 10(3)"];
const POISONED: &[&str] = &["CWE-20", "OWASP ML02:2023", "MITRE ATLAS AML.T0020"];

static RULES: [RuleInfo; 17] = [
    rule(
        "data/contract/missing-contract",
        Severity::Medium,
        "dataset without contract",
        "run `gauntlet init` to draft a contract from the data, review it, and name it in gauntlet.yaml under `contract`",
        QUALITY,
    ),
    rule(
        "data/contract/invalid-contract",
        Severity::High,
        "contract does not follow its format",
        "correct the line; the reference chapter \"Data contract\" lists all rules",
        &[],
    ),
    rule(
        "data/contract/malformed-rows",
        Severity::High,
        "rows or files that form no table",
        "repair the file: one field for each column of the header, quotes closed, UTF-8",
        POISONED,
    ),
    rule(
        "data/contract/schema-differs",
        Severity::High,
        "files of one table have different columns",
        "write all files with one schema, or declare them as datasets of their own",
        POISONED,
    ),
    rule(
        "data/contract/empty-table",
        Severity::High,
        "table without rows",
        "deliver the data; an empty table satisfies every rule and answers none",
        QUALITY,
    ),
    rule(
        "data/contract/row-count",
        Severity::High,
        "number of rows outside the contract",
        "find out which rows are missing or too many",
        POISONED,
    ),
    rule(
        "data/contract/missing-column",
        Severity::High,
        "column of the contract is not there",
        "deliver the column, or change the contract",
        QUALITY,
    ),
    rule(
        "data/contract/extra-column",
        Severity::High,
        "column that the contract does not name",
        "remove the column, or add it to the contract after review",
        QUALITY,
    ),
    rule(
        "data/contract/column-order",
        Severity::High,
        "columns in another order",
        "write the columns in the order of the contract",
        QUALITY,
    ),
    rule(
        "data/contract/wrong-type",
        Severity::High,
        "values of another type",
        "correct the values, or the type in the contract",
        QUALITY,
    ),
    rule(
        "data/contract/null-value",
        Severity::High,
        "nulls where the contract allows none",
        "fill in or remove the rows",
        QUALITY,
    ),
    rule("data/contract/null-share", Severity::High, "too many nulls", "find out why values are missing", QUALITY),
    rule(
        "data/contract/out-of-range",
        Severity::High,
        "values outside their range",
        "correct or remove the rows; find out where they come from",
        POISONED,
    ),
    rule(
        "data/contract/not-allowed",
        Severity::High,
        "values outside the allowed set",
        "correct the values, or extend the set after review",
        POISONED,
    ),
    rule(
        "data/contract/pattern-mismatch",
        Severity::High,
        "values that do not match their pattern",
        "correct the values",
        QUALITY,
    ),
    rule("data/contract/wrong-length", Severity::High, "texts of a wrong length", "correct the values", QUALITY),
    rule(
        "data/contract/not-unique",
        Severity::High,
        "values that occur more than once",
        "remove the repeated rows; they weigh more in training and may leak between splits",
        POISONED,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: CONTRACT,
    version: 1,
    stage: Stage::Data,
    title: "columns, types, ranges, nulls and sets of a table",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-contract.md"),
};

/// Rule of this check for each key of the contract.
const KEYS: [(&str, &str); 8] = [
    ("type", "wrong-type"),
    ("nullable", "null-value"),
    ("max_null_share", "null-share"),
    ("range", "out-of-range"),
    ("allowed", "not-allowed"),
    ("pattern", "pattern-mismatch"),
    ("length", "wrong-length"),
    ("unique", "not-unique"),
];

impl Check for ContractCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let contract = facts_of::<ContractFact>(facts, &mut out).into_iter().next().map(|(_, fact)| fact.0);
        match contract {
            None | Some(SideFile::Unread) => {
                if facts.coverage.get(CONTRACT).is_none_or(gauntlet_core::Coverage::complete) {
                    out.coverage.skip("", None, SkipCode::Unreadable, "the contract was not read");
                }
            }
            Some(SideFile::Missing) => {
                let files = facts_of::<FileFact>(facts, &mut out);
                if let Some((place, _)) = files.iter().find(|(_, file)| file.format != Format::Other) {
                    add(
                        &mut out,
                        "missing-contract",
                        place.clone(),
                        "the dataset has no contract: nothing says what its table has to look like",
                        "",
                    );
                }
            }
            Some(SideFile::Invalid { path, problems }) => {
                for (line, message) in problems {
                    let place = Location { path: Some(path.clone()), line, ..Location::default() };
                    add(&mut out, "invalid-contract", place, message.clone(), &message);
                }
            }
            Some(SideFile::Read { path, content, .. }) => judge(&path, &content, facts, &mut out),
        }
        out
    }
}

fn add(out: &mut Judgement, name: &str, place: Location, message: impl Into<String>, snippet: &str) {
    add_level(out, name, place, message, snippet, Level::Error);
}

fn add_level(
    out: &mut Judgement,
    name: &str,
    place: Location,
    message: impl Into<String>,
    snippet: &str,
    level: Level,
) {
    if let Some(rule) = INFO.rule(name) {
        let draft = Draft::new(rule, place, message).snippet(snippet);
        out.findings.push(if level == Level::Warn { draft.severity(Severity::Medium) } else { draft });
    }
}

fn judge(path: &str, contract: &Contract, facts: &Facts, out: &mut Judgement) {
    for (place, damage) in facts_of::<DamageFact>(facts, out) {
        let name = if damage.schema { "schema-differs" } else { "malformed-rows" };
        add(out, name, place, damage.what, "");
    }
    let Some((_, table)) = facts_of::<TableFact>(facts, out).into_iter().next() else {
        if facts.coverage.get(CONTRACT).is_none_or(gauntlet_core::Coverage::complete) {
            out.coverage.skip("", None, SkipCode::Unsupported, "no file of the dataset is a table");
        }
        return;
    };
    let columns: Vec<ColumnFact> = facts_of(facts, out).into_iter().map(|(_, fact)| fact).collect();
    if columns.is_empty() {
        return;
    }
    rows(path, contract, &table, out);
    let file = facts_of::<FileFact>(facts, out)
        .into_iter()
        .find(|(_, f)| f.rows.is_some())
        .map(|(place, _)| place)
        .unwrap_or_default();
    schema(&file, contract, columns, out);
    for (_, rule) in facts_of::<RuleFact>(facts, out) {
        judge_rule(&rule, out);
    }
}

fn rows(path: &str, contract: &Contract, table: &TableFact, out: &mut Judgement) {
    let place = Location { path: Some(path.to_owned()), ..Location::default() }.in_field("rows");
    let count = count(table.rows);
    out.metrics.push(Metric::new("rows", count, "rows"));
    if table.rows == 0 {
        add(out, "empty-table", place, "the table has no rows", "");
    } else if contract.rows.min.is_some_and(|min| table.rows < min) {
        let min = contract.rows.min.unwrap_or(0);
        add(
            out,
            "row-count",
            place,
            format!("the table has {} rows; the contract asks for at least {}", grouped(table.rows), grouped(min)),
            "min",
        );
    } else if contract.rows.max.is_some_and(|max| table.rows > max) {
        let max = contract.rows.max.unwrap_or(0);
        add(
            out,
            "row-count",
            place,
            format!("the table has {} rows; the contract allows at most {}", grouped(table.rows), grouped(max)),
            "max",
        );
    }
}

fn schema(file: &Location, contract: &Contract, mut columns: Vec<ColumnFact>, out: &mut Judgement) {
    columns.sort_by_key(|column| column.position);
    let known: BTreeMap<&str, &ColumnFact> = columns.iter().map(|c| (c.name.as_str(), c)).collect();
    let free: Vec<&str> =
        columns.iter().map(|c| c.name.as_str()).filter(|n| !contract.columns.contains_key(*n)).collect();
    let place = |name: &str| file.clone().in_field(name);
    for (name, rules) in &contract.columns {
        match known.get(name.as_str()) {
            None => {
                let hint =
                    nearest(name, free.iter().copied()).map(|n| format!("; `{n}` looks like it")).unwrap_or_default();
                add(out, "missing-column", place(name), format!("there is no column `{name}`{hint}"), name);
            }
            Some(column) => {
                if let Some(message) = wrong_type(column, rules) {
                    add_level(out, "wrong-type", place(name), message, name, rules.severity);
                }
            }
        }
    }
    let level = match contract.extra_columns {
        Extra::Error => Some(Level::Error),
        Extra::Warn => Some(Level::Warn),
        Extra::Allow => None,
    };
    if let Some(level) = level {
        for name in &free {
            add_level(
                out,
                "extra-column",
                place(name),
                format!("the contract does not name the column `{name}`"),
                name,
                level,
            );
        }
    }
    if let Some(order) = &contract.order {
        let seen: Vec<&str> =
            columns.iter().map(|c| c.name.as_str()).filter(|n| order.iter().any(|o| o == n)).collect();
        let wanted: Vec<&str> = order.iter().map(String::as_str).filter(|n| known.contains_key(n)).collect();
        if let Some(i) = (0..wanted.len()).find(|&i| seen.get(i) != wanted.get(i)) {
            let message =
                format!("column `{}` stands where the contract expects `{}`", seen.get(i).unwrap_or(&""), wanted[i]);
            add(out, "column-order", place(wanted[i]), message, "");
        }
    }
}

/// A stored type that is not the contract's. CSV cells have no type; they are judged one by one.
fn wrong_type(column: &ColumnFact, rules: &ColumnRules) -> Option<String> {
    if column.family == "text" {
        return None;
    }
    let wrong_family = column.family != rules.family.as_str();
    let wrong_width = rules.exact_type.as_ref().is_some_and(|exact| *exact != column.data_type);
    (wrong_family || wrong_width).then(|| {
        let wanted = rules.exact_type.as_deref().filter(|_| !wrong_family).unwrap_or(Family::as_str(rules.family));
        format!("column `{}` is {}; the contract says {wanted}", column.name, column.data_type)
    })
}

fn judge_rule(fact: &RuleFact, out: &mut Judgement) {
    let Some((_, name)) = KEYS.iter().find(|(key, _)| *key == fact.rule) else {
        out.coverage.skip("", None, SkipCode::Unsupported, format!("rule `{}` is not known here", fact.rule));
        return;
    };
    let failing = share(fact.failing, fact.evaluated);
    let metric = Metric::new(format!("{name}-share"), failing, "share").field(&fact.column);
    out.metrics.push(if fact.severity == Level::Error {
        metric.must(Comparison::AtMost, fact.accepted)
    } else {
        metric
    });
    if failing > fact.accepted {
        let accepted =
            if fact.accepted > 0.0 { format!(", {} are accepted", percent(fact.accepted)) } else { String::new() };
        let message = format!(
            "`{}`: {} of {} values fail ({}{accepted}); expected {}{}",
            fact.column,
            grouped(fact.failing),
            grouped(fact.evaluated),
            percent(failing),
            fact.expected,
            first_rows(&fact.first)
        );
        add_level(out, name, at_first(&fact.first, &fact.column), message, &fact.column, fact.severity);
    }
    // A rule that judged nothing has answered nothing: an all-null column passes every value rule.
    let value_rule = !matches!(fact.rule.as_str(), "nullable" | "max_null_share");
    if value_rule && fact.evaluated == 0 && fact.nulls > 0 {
        let message = format!("`{}` holds nothing but nulls: `{}` judged no value", fact.column, fact.rule);
        add_level(out, "null-share", Location::default().in_field(&fact.column), message, &fact.column, fact.severity);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn count(n: u64) -> f64 {
    n as f64
}
