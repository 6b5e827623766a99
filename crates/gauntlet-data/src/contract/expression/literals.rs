//! Constants, and values in the form in which they are compared.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, cast, lit, when};
use datafusion::sql::sqlparser::ast::{self, Value};

use super::{Kind, Operand, Planned};

pub(super) fn constant(node: &ast::Expr) -> Option<String> {
    match node {
        ast::Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn literal(value: &Value) -> Planned {
    Ok(match value {
        Value::Number(text, _) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Operand { expr: lit(number), kind: Kind::Number },
            (_, Ok(number)) if number.is_finite() => Operand { expr: lit(number), kind: Kind::Number },
            _ => return Err(format!("`{text}` is no number")),
        },
        Value::SingleQuotedString(text) => Operand { expr: lit(text.clone()), kind: Kind::Text },
        Value::Boolean(value) => Operand { expr: lit(*value), kind: Kind::Bool },
        Value::Null => Operand { expr: lit(datafusion::common::ScalarValue::Null), kind: Kind::Unknown },
        Value::DoubleQuotedString(text) => return Err(format!("write the text `{text}` in single quotes")),
        other => return Err(format!("`{other}` is not allowed here")),
    })
}

/// `DATE '2026-01-31'` and `TIMESTAMP '2026-01-31 12:00:00'`.
pub(super) fn typed_literal(data_type: &ast::DataType, text: &str) -> Planned {
    let word = data_type.to_string().to_ascii_uppercase();
    match word.as_str() {
        "DATE" if text.parse::<jiff::civil::Date>().is_ok() => {
            Ok(Operand { expr: cast(lit(text.to_owned()), DataType::Date32), kind: Kind::Date })
        }
        "TIMESTAMP" if text.parse::<jiff::civil::DateTime>().is_ok() => {
            let to = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
            Ok(Operand { expr: cast(lit(text.to_owned()), to), kind: Kind::Timestamp })
        }
        _ => Err(format!("`{word} '{text}'` is no date or timestamp")),
    }
}

/// A text that is compared with a date is one.
pub(super) fn dated(operand: Operand, other: Kind, node: &ast::Expr) -> Planned {
    let (Kind::Text, Kind::Date | Kind::Timestamp) = (operand.kind, other) else { return Ok(operand) };
    let text = constant(node).ok_or_else(|| format!("`{node}` is a text; a date can be compared with a date only"))?;
    typed_literal(
        &if other == Kind::Date {
            ast::DataType::Date
        } else {
            ast::DataType::Timestamp(None, ast::TimezoneInfo::None)
        },
        &text,
    )
}

pub(super) fn signless(operand: &Operand) -> Result<Expr, String> {
    if operand.kind != Kind::Float {
        return Ok(operand.expr.clone());
    }
    let value = cast(operand.expr.clone(), DataType::Float64);
    when(value.clone().eq(lit(-0.0)), lit(0.0)).otherwise(value).map_err(|error| error.to_string())
}

/// False for NaN of either sign, which the engine orders beyond infinity.
pub(super) fn finite_or_infinite(value: Expr) -> Expr {
    let value = cast(value, DataType::Float64);
    value.clone().gt_eq(lit(f64::NEG_INFINITY)).and(value.lt_eq(lit(f64::INFINITY)))
}
