//! Rules of the contract as conditions that a failing row meets.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::unicode::expr_fn::character_length;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

use super::{raw, ruled};
use crate::contract::{ColumnRules, Contract, Family, Level, Scalar, anchored};
use crate::table::{Table, family};

/// Words of an expectation are cut to this length.
const MAX_WORDS: usize = 120;

/// What a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Every row.
    Rows,
    /// Rows that are no null.
    Cells,
    /// Rows that hold a value of the column's type.
    Values,
}

/// One rule of one column.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) column: usize,
    /// The contract's key.
    pub(crate) name: &'static str,
    pub(crate) expected: String,
    /// What a failing row meets; `None` when the count of nulls answers, or another stage.
    pub(crate) failing: Option<Expr>,
    pub(crate) judged: Judged,
    /// Share of failing rows that is accepted.
    pub(crate) accepted: f64,
    pub(crate) severity: Level,
    /// Answered by the stage for uniqueness.
    pub(crate) unique: bool,
}

/// All rules about columns that the table has with a type that fits. Columns that it lacks, or has with another type, are
/// the check's business: it compares the columns without data.
pub(crate) fn rules(table: &Table, contract: &Contract) -> Result<Vec<Rule>> {
    let mut out = Vec::new();
    for (i, column) in table.columns.iter().enumerate() {
        if let Some(rules) = contract.columns.get(&column.name) {
            let fits = column.typed.is_some()
                || family(&column.scanned) == Some(rules.family)
                || (column.text_file && rules.family == Family::Binary);
            of_column(table, i, rules, fits, &mut out)?;
        }
    }
    Ok(out)
}

fn of_column(table: &Table, i: usize, rules: &ColumnRules, fits: bool, out: &mut Vec<Rule>) -> Result<()> {
    let accepted = accepted(rules.mostly);
    let mut add = |name, expected: String, failing, judged, accepted| {
        let expected = expected.chars().take(MAX_WORDS).collect();
        let unique = name == "unique";
        out.push(Rule { column: i, name, expected, failing, judged, accepted, severity: rules.severity, unique });
    };
    if !rules.nullable {
        add("nullable", "no nulls".into(), Some(raw(i).is_null()), Judged::Rows, 0.0);
    }
    if let Some(share) = rules.max_null_share {
        add("max_null_share", format!("at most {} % nulls", share * 100.0), None, Judged::Rows, share);
    }
    if !fits {
        return Ok(());
    }
    let value = ruled(table, i);
    if let Some(typed) = &table.columns[i].typed {
        let failing = raw(i).is_not_null().and(value.clone().is_null());
        let family = family(typed).map_or("", Family::as_str);
        add("type", format!("{family} values"), Some(failing), Judged::Cells, accepted);
    }
    let data_type = table.columns[i].rule_type();
    if let Some((low, high)) = &rules.range {
        let words = |bound: &Option<Scalar>| bound.as_ref().map_or("…".to_owned(), ToString::to_string);
        let expected = format!("values from {} to {}", words(low), words(high));
        let failing = outside(&value, low.as_ref(), high.as_ref(), rules.family, data_type)?;
        add("range", expected, Some(failing), Judged::Values, accepted);
    }
    if let Some(allowed) = &rules.allowed {
        let words: Vec<_> = allowed.iter().take(12).map(ToString::to_string).collect();
        let more = if allowed.len() > words.len() { ", …" } else { "" };
        let expected = format!("one of {}{more}", words.join(", "));
        let mut listed = Vec::new();
        for scalar in allowed {
            listed.extend(literals(scalar, data_type)?.into_iter().map(lit));
        }
        add("allowed", expected, Some(value.clone().in_list(listed, true)), Judged::Values, accepted);
    }
    if let Some(pattern) = &rules.pattern {
        let matching = Expr::BinaryExpr(BinaryExpr::new(
            Box::new(value.clone()),
            Operator::RegexNotMatch,
            Box::new(lit(anchored(pattern))),
        ));
        add("pattern", format!("values like `{pattern}`"), Some(matching), Judged::Values, accepted);
    }
    if let Some((low, high)) = rules.length {
        let characters = character_length(value.clone());
        let bound = |n: u64| lit(i64::try_from(n).unwrap_or(i64::MAX));
        let failing =
            [low.map(|low| characters.clone().lt(bound(low))), high.map(|high| characters.clone().gt(bound(high)))];
        let words = |n: Option<u64>| n.map_or("…".to_owned(), |n| n.to_string());
        if let Some(failing) = failing.into_iter().flatten().reduce(Expr::or) {
            let expected = format!("{} to {} characters", words(low), words(high));
            add("length", expected, Some(failing), Judged::Values, accepted);
        }
    }
    if rules.unique {
        add("unique", "no value twice".into(), None, Judged::Values, 0.0);
    }
    Ok(())
}

/// Share of failing rows that `mostly` accepts, without the dust of `1.0 - 0.9`.
fn accepted(mostly: Option<f64>) -> f64 {
    mostly.map_or(0.0, |mostly| ((1.0 - mostly) * 1e12).round() / 1e12)
}

/// Outside a range. The engine orders floats totally: NaN lies above infinity or below its negative, and -0.0 below 0.0.
fn outside(
    value: &Expr,
    low: Option<&Scalar>,
    high: Option<&Scalar>,
    family: Family,
    data_type: &DataType,
) -> Result<Expr> {
    let float = family == Family::Float && !data_type.is_decimal();
    let bound = |scalar: Option<&Scalar>, end: f64| -> Result<Option<ScalarValue>> {
        match scalar {
            Some(scalar) => {
                let mut values = literals(scalar, data_type)?;
                // Zero has two literals, the lower one first.
                Ok(if end < 0.0 { values.drain(..).next() } else { values.pop() })
            }
            None if float => Ok(Some(ScalarValue::Float64(Some(end)))),
            None => Ok(None),
        }
    };
    let below = bound(low, f64::NEG_INFINITY)?.map(|low| value.clone().lt(lit(low)));
    let above = bound(high, f64::INFINITY)?.map(|high| value.clone().gt(lit(high)));
    Ok([below, above].into_iter().flatten().reduce(Expr::or).unwrap_or_else(|| lit(false)))
}

/// A scalar of the contract as values of the column: one, or for a float zero both.
#[expect(clippy::cast_precision_loss, reason = "a whole number as bound of a float column")]
fn literals(scalar: &Scalar, data_type: &DataType) -> Result<Vec<ScalarValue>> {
    let float = |value: f64| {
        if value == 0.0 {
            vec![ScalarValue::Float64(Some(-0.0)), ScalarValue::Float64(Some(0.0))]
        } else {
            vec![single(value, data_type)]
        }
    };
    Ok(match scalar {
        Scalar::Bool(value) => vec![ScalarValue::Boolean(Some(*value))],
        Scalar::Int(value) if data_type.is_floating() => float(*value as f64),
        Scalar::Int(value) => vec![ScalarValue::Int64(Some(*value))],
        Scalar::Float(value) => float(*value),
        Scalar::Text(value) if *data_type == DataType::Utf8 => vec![ScalarValue::Utf8(Some(value.clone()))],
        Scalar::Text(value) => vec![ScalarValue::try_from_string(value.clone(), data_type)?],
    })
}

/// In a 32-bit column, 0.1 means the 32-bit number nearest to it.
#[expect(clippy::cast_possible_truncation, reason = "that is the point")]
fn single(value: f64, data_type: &DataType) -> ScalarValue {
    if *data_type == DataType::Float32 && value.is_finite() {
        ScalarValue::Float64(Some(f64::from(value as f32)))
    } else {
        ScalarValue::Float64(Some(value))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn mostly_leaves_no_dust() {
        for (mostly, accepted) in [(0.9, 0.1), (0.99, 0.01), (1.0, 0.0), (0.95, 0.05)] {
            assert_eq!(super::accepted(Some(mostly)).to_bits(), f64::to_bits(accepted));
        }
        assert_eq!(super::accepted(None).to_bits(), 0f64.to_bits());
    }
}
