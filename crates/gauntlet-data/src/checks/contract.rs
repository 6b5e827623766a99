//! `data/contract`: does the table look as its contract says?

use std::collections::BTreeMap;

use gauntlet_core::{
    Check, CheckInfo, Comparison, Digest, Draft, Facts, Figure, FigureKind, Input, Judgement, Judging, Location,
    Metric, RuleInfo, Severity, SkipCode, Stage, nearest,
};

use super::{CONTRACT, at_first, facts_of, first_rows, grouped, percent, rule, share};
use crate::contract::{ColumnRules, Contract, Extra, Family, Level};
use crate::facts::{
    ColumnFact, ContractFact, DamageFact, FileFact, Format, Lines, Measured, OtherTableFact, RuleFact, SideFile,
    TableFact,
};

/// The check.
#[derive(Debug)]
pub(crate) struct ContractCheck;

const QUALITY: &[&str] = &["CWE-20", "EU AI Act Art. 10(3)"];
const POISONED: &[&str] = &["CWE-20", "OWASP ML02:2023", "MITRE ATLAS AML.T0020"];

static RULES: [RuleInfo; 25] = [
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
        "data/contract/column-count",
        Severity::High,
        "number of columns outside the contract",
        "find out which columns are missing or too many",
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
    rule(
        "data/contract/forbidden-value",
        Severity::High,
        "values that must not occur",
        "correct or remove the rows; find out where they come from",
        POISONED,
    ),
    rule(
        "data/contract/dangling-reference",
        Severity::High,
        "values that another table does not hold",
        "deliver both tables from one state, or remove the rows",
        QUALITY,
    ),
    rule(
        "data/contract/rule-violated",
        Severity::High,
        "rows that break a rule across columns",
        "correct or remove the rows; find out where they come from",
        POISONED,
    ),
    rule(
        "data/contract/not-monotone",
        Severity::High,
        "values out of order",
        "sort the rows, or find out which are missing, repeated or late",
        QUALITY,
    ),
    rule(
        "data/contract/stale-data",
        Severity::High,
        "newest value is too old",
        "deliver current data, or find out why the feed stopped",
        QUALITY,
    ),
    rule(
        "data/contract/statistic-out-of-bounds",
        Severity::High,
        "number that sums up a column outside its bounds",
        "find out what moved it; widen the bounds only after review",
        POISONED,
    ),
    rule(
        "data/contract/class-imbalance",
        Severity::High,
        "shares of classes outside the contract",
        "collect or sample so that the classes have the shares that were agreed",
        POISONED,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: CONTRACT,
    version: 2,
    stage: Stage::Data,
    title: "columns, types, ranges, nulls and sets of a table",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-contract.md"),
};

/// Rule of this check for each key of the contract.
const KEYS: [(&str, &str); 27] = [
    ("type", "wrong-type"),
    ("nullable", "null-value"),
    ("max_null_share", "null-share"),
    ("range", "out-of-range"),
    ("exclusive_range", "out-of-range"),
    ("allowed", "not-allowed"),
    ("forbidden", "forbidden-value"),
    ("pattern", "pattern-mismatch"),
    ("contains", "pattern-mismatch"),
    ("not_contains", "pattern-mismatch"),
    ("length", "wrong-length"),
    ("unique", "not-unique"),
    ("references", "dangling-reference"),
    ("expression", "rule-violated"),
    ("monotone", "not-monotone"),
    ("freshness", "stale-data"),
    ("sum", STATISTIC),
    ("mean", STATISTIC),
    ("stdev", STATISTIC),
    ("min", STATISTIC),
    ("max", STATISTIC),
    ("quantiles", STATISTIC),
    ("distinct", STATISTIC),
    ("distinct_share", STATISTIC),
    ("share", STATISTIC),
    ("shares", "class-imbalance"),
    ("balance", "class-imbalance"),
];
/// Rules that a picture names.
const DRAWN: usize = 25;
const STATISTIC: &str = "statistic-out-of-bounds";

impl Check for ContractCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
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
            Some(SideFile::Read { path, content, lines, .. }) => {
                let source = Source { path: &path, lines: &lines, contract: &content };
                judge(&source, facts, judging, &mut out);
            }
        }
        out
    }

    /// The tables that foreign keys refer to; and where data has to be fresh, which of it is, because that changes with the
    /// day.
    fn inputs(&self, facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let others = facts.of::<OtherTableFact>().flatten().flat_map(|(_, fact)| {
            fact.files.into_iter().filter_map(move |(path, sha256)| {
                let digest = format!("sha256:{sha256}").parse().ok()?;
                Some(Input { name: format!("{} ({path})", fact.table), digest })
            })
        });
        let mut inputs: Vec<Input> = others.collect();
        let fresh: Vec<String> = facts
            .of::<RuleFact>()
            .flatten()
            .filter_map(|(_, fact)| {
                let measured = fact.measured.as_ref().filter(|_| fact.rule == "freshness")?;
                Some(format!("{} {}", fact.path, stale(measured, judging).is_none()))
            })
            .collect();
        if !fresh.is_empty() {
            inputs.push(Input { name: "freshness".to_owned(), digest: Digest::sha256(fresh.join("\n").as_bytes()) });
        }
        inputs
    }
}

/// The contract and where it stands.
struct Source<'a> {
    path: &'a str,
    lines: &'a Lines,
    contract: &'a Contract,
}

impl Source<'_> {
    /// The line of a key, or of the nearest one above it.
    fn at(&self, path: &str) -> Location {
        let mut path = path;
        let line = loop {
            match (self.lines.get(path), path.rsplit_once('.')) {
                (Some(&line), _) => break Some(line),
                (None, Some((above, _))) => path = above,
                (None, None) => break None,
            }
        };
        Location { path: Some(self.path.to_owned()), line, ..Location::default() }
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

fn judge(source: &Source<'_>, facts: &Facts, judging: &Judging<'_>, out: &mut Judgement) {
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
    rows(source.path, source.contract, &table, out);
    let file = facts_of::<FileFact>(facts, out)
        .into_iter()
        .find(|(_, f)| f.rows.is_some())
        .map(|(place, _)| place)
        .unwrap_or_default();
    schema(&file, source, columns, out);
    let rules = facts_of::<RuleFact>(facts, out);
    for (_, rule) in &rules {
        judge_rule(rule, source, judging, out);
    }
    figure(rules.iter().map(|(_, rule)| rule), out);
}

/// The rules that values fail, the worst first.
fn figure<'a>(rules: impl Iterator<Item = &'a RuleFact>, out: &mut Judgement) {
    let failing = |rule: &RuleFact| share(rule.failing, rule.evaluated);
    let mut worst: Vec<&RuleFact> = rules.filter(|rule| rule.measured.is_none() && rule.failing > 0).collect();
    worst.sort_by(|a, b| failing(b).total_cmp(&failing(a)).then_with(|| a.path.cmp(&b.path)));
    worst.truncate(DRAWN);
    if !worst.is_empty() {
        let figure =
            Figure::new("failing-rules", "Rules that values fail, the worst first", "rule", "share that fails");
        let labels = worst.iter().map(|rule| rule.label.clone());
        let shares = worst.iter().map(|rule| failing(rule));
        out.figures.push(figure.drawn_as(FigureKind::Ranking).labelled(labels).with("failing", shares));
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

fn schema(file: &Location, source: &Source<'_>, mut columns: Vec<ColumnFact>, out: &mut Judgement) {
    let contract = source.contract;
    columns.sort_by_key(|column| column.position);
    let known: BTreeMap<&str, &ColumnFact> = columns.iter().map(|c| (c.name.as_str(), c)).collect();
    let free: Vec<&str> =
        columns.iter().map(|c| c.name.as_str()).filter(|n| !contract.columns.contains_key(*n)).collect();
    let place = |name: &str| file.clone().in_field(name);
    for (name, rules) in &contract.columns {
        match known.get(name.as_str()) {
            None if rules.optional => {}
            None => {
                let hint = renamed(name, rules, &free, &known).map(|n| format!("; `{n}` looks like it"));
                let message = format!("there is no column `{name}`{}", hint.unwrap_or_default());
                let place = source.at(&format!("columns.{name}")).in_field(name);
                add_level(out, "missing-column", place, message, name, rules.severity);
            }
            Some(column) => {
                if let Some(message) = wrong_type(column, rules) {
                    add_level(out, "wrong-type", place(name), message, name, rules.severity);
                }
            }
        }
    }
    if let Some((low, high)) = contract.column_count {
        let count = columns.len() as u64;
        if low.is_some_and(|low| count < low) || high.is_some_and(|high| count > high) {
            let bound = |n: Option<u64>| n.map_or("…".to_owned(), |n| n.to_string());
            let message =
                format!("the table has {count} columns; the contract asks for {} to {}", bound(low), bound(high));
            add(out, "column-count", source.at("column_count"), message, "");
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

/// The column that a missing one was probably renamed to: of the same type, and with the nearest name.
fn renamed<'a>(
    name: &str,
    rules: &ColumnRules,
    free: &[&'a str],
    known: &BTreeMap<&str, &ColumnFact>,
) -> Option<&'a str> {
    let same_type = |column: &&ColumnFact| {
        column.family == "text" || rules.family.is_none_or(|family| family.as_str() == column.family)
    };
    let fitting = free.iter().copied().filter(|name| known.get(name).is_some_and(same_type));
    nearest(name, fitting)
}

/// A stored type that is not the contract's. CSV cells have no type; they are judged one by one.
fn wrong_type(column: &ColumnFact, rules: &ColumnRules) -> Option<String> {
    if column.family == "text" {
        return None;
    }
    let wrong_family = rules.family.is_some_and(|family| column.family != family.as_str());
    let wrong_width = rules.exact_type.as_ref().is_some_and(|exact| *exact != column.data_type);
    (wrong_family || wrong_width).then(|| {
        let family = rules.family.map_or("", Family::as_str);
        let wanted = rules.exact_type.as_deref().filter(|_| !wrong_family).unwrap_or(family);
        format!("column `{}` is {}; the contract says {wanted}", column.name, column.data_type)
    })
}

fn judge_rule(fact: &RuleFact, source: &Source<'_>, judging: &Judging<'_>, out: &mut Judgement) {
    let Some((_, name)) = KEYS.iter().find(|(key, _)| *key == fact.rule) else {
        out.coverage.skip("", None, SkipCode::Unsupported, format!("rule `{}` is not known here", fact.rule));
        return;
    };
    if let Some(what) = &fact.unfit {
        let message = format!("the rule `{}`: {what}", fact.label);
        add_level(out, "invalid-contract", source.at(&fact.path), message, &fact.label, fact.severity);
        return;
    }
    match &fact.measured {
        Some(measured) => judge_measured(fact, name, measured, judging, out),
        None => judge_rows(fact, name, out),
    }
    // A rule that judged nothing has answered nothing: an all-null column passes every value rule.
    let value_rule = !matches!(fact.rule.as_str(), "nullable" | "max_null_share");
    if value_rule && fact.evaluated == 0 && fact.nulls > 0 {
        let message = format!("`{}` holds nothing but nulls: `{}` judged no value", field(fact), fact.rule);
        add_level(out, "null-share", place(fact), message, &fact.label, fact.severity);
    }
}

/// What a rule is about, for people: its own name, or its columns.
fn field(fact: &RuleFact) -> &str {
    let own = fact.label != format!("{}.{}", fact.column.replace(", ", "+"), fact.rule);
    if own || fact.column.is_empty() { &fact.label } else { &fact.column }
}

fn place(fact: &RuleFact) -> Location {
    if fact.column.is_empty() { Location::default() } else { Location::default().in_field(&fact.column) }
}

/// `, where x; what it means`
fn remarks(fact: &RuleFact) -> String {
    let when = fact.when.as_ref().map(|when| format!(" where {when}")).unwrap_or_default();
    let message = fact.message.as_ref().map(|message| format!(" — {message}")).unwrap_or_default();
    format!("{when}{message}")
}

fn judge_rows(fact: &RuleFact, name: &str, out: &mut Judgement) {
    let failing = share(fact.failing, fact.evaluated);
    let metric = Metric::new(format!("{name}-share"), failing, "share").field(field(fact));
    out.metrics.push(if fact.severity == Level::Error {
        metric.must(Comparison::AtMost, fact.accepted)
    } else {
        metric
    });
    if failing > fact.accepted {
        let accepted =
            if fact.accepted > 0.0 { format!(", {} are accepted", percent(fact.accepted)) } else { String::new() };
        let message = format!(
            "`{}`: {} of {} values fail ({}{accepted}); expected {}{}{}",
            field(fact),
            grouped(fact.failing),
            grouped(fact.evaluated),
            percent(failing),
            fact.expected,
            remarks(fact),
            first_rows(&fact.first)
        );
        let place = match fact.first.first() {
            Some(_) => at_first(&fact.first, &fact.column),
            None => place(fact),
        };
        add_level(out, name, place, message, &fact.label, fact.severity);
    }
}

fn judge_measured(fact: &RuleFact, name: &str, measured: &Measured, judging: &Judging<'_>, out: &mut Judgement) {
    let mut wrong = measured.wrong.clone();
    if fact.rule == "freshness" {
        wrong.extend(stale(measured, judging));
    } else if let Some(value) = measured.value {
        let metric = Metric::new(fact.rule.clone(), value, "").field(field(fact));
        let below = measured.low.filter(|low| value < *low);
        let above = measured.high.filter(|high| value > *high);
        let bound = match (below, above, measured.low, measured.high) {
            (Some(low), ..) => Some((Comparison::AtLeast, low)),
            (_, Some(high), ..) => Some((Comparison::AtMost, high)),
            (_, _, Some(low), None) => Some((Comparison::AtLeast, low)),
            (_, _, _, Some(high)) => Some((Comparison::AtMost, high)),
            _ => None,
        };
        out.metrics.push(match bound.filter(|_| fact.severity == Level::Error) {
            Some((op, bound)) => metric.must(op, bound),
            None => metric,
        });
        if below.is_some() || above.is_some() {
            wrong.push(format!("it is {value}"));
        }
    } else if !matches!(fact.rule.as_str(), "shares") {
        wrong.push("there is no such number: too few values, or too large ones".to_owned());
    }
    if !wrong.is_empty() {
        let message = format!("`{}`: expected {}{}; {}", field(fact), fact.expected, remarks(fact), wrong.join("; "));
        add_level(out, name, place(fact), message, &fact.label, fact.severity);
    }
}

/// Seconds that clocks and time zones may be apart before a time counts as lying in the future.
const SLACK: i64 = 24 * 60 * 60;

/// What is wrong with the newest time of a column at the date of the evaluation.
fn stale(measured: &Measured, judging: &Judging<'_>) -> Option<String> {
    let Some(newest) = measured.newest else { return Some("there is no value".to_owned()) };
    let age = judging.now.as_second().saturating_sub(newest);
    let day =
        |seconds: i64| jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string());
    let most = i64::try_from(measured.max_age.unwrap_or(0)).unwrap_or(i64::MAX);
    if age < -SLACK {
        Some(format!("the newest is {}, which lies in the future", day(newest)))
    } else if age > most {
        Some(format!("the newest is {}, {} hours old", day(newest), age / 3_600))
    } else {
        None
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn count(n: u64) -> f64 {
    n as f64
}
