//! The table as a whole: rows, and columns with their types.

use std::collections::BTreeMap;

use gauntlet_core::{Judgement, Location, Metric, nearest};

use super::super::grouped;
use super::{Source, add, add_level, count};
use crate::contract::{ColumnRules, Contract, Extra, Family, Level};
use crate::facts::{ColumnFact, TableFact};

pub(super) fn rows(path: &str, contract: &Contract, table: &TableFact, out: &mut Judgement) {
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

pub(super) fn schema(file: &Location, source: &Source<'_>, mut columns: Vec<ColumnFact>, out: &mut Judgement) {
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
