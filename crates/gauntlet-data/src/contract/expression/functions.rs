//! Functions that an expression may call.

use arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::{coalesce, greatest, least, nullif};
use datafusion::functions::datetime::expr_fn::date_part;
use datafusion::functions::string::expr_fn::{btrim, contains, ends_with, lower, starts_with, upper};
use datafusion::functions::unicode::expr_fn::character_length;
use datafusion::logical_expr::{Expr, Operator, cast, lit, when};
use datafusion::sql::sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart};
use gauntlet_core::nearest;

use super::literals::{constant, finite_or_infinite};
use super::{Kind, Operand, Planned, Planner, joined};

/// Size that a compiled pattern may have.
const PATTERN_BYTES: usize = 1 << 20;

const FUNCTIONS: [&str; 21] = [
    "abs",
    "length",
    "lower",
    "upper",
    "trim",
    "starts_with",
    "ends_with",
    "contains",
    "matches",
    "coalesce",
    "nullif",
    "least",
    "greatest",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "weekday",
    "days_between",
    "is_nan",
];

impl Planner<'_> {
    pub(super) fn call(&mut self, function: &ast::Function, depth: usize) -> Planned {
        let full = function.name.to_string();
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
            return Err(format!("there is no function `{full}` here"));
        };
        let name = name.value.to_ascii_lowercase();
        if !FUNCTIONS.contains(&name.as_str()) {
            let hint = nearest(&name, FUNCTIONS)
                .map_or_else(|| format!("known are {}", FUNCTIONS.join(", ")), |n| format!("did you mean `{n}`?"));
            return Err(format!("there is no function `{name}` here, {hint}"));
        }
        let FunctionArguments::List(list) = &function.args else {
            return Err(format!("`{name}` needs its arguments in brackets"));
        };
        let plain = function.filter.is_none()
            && function.over.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && matches!(function.parameters, FunctionArguments::None)
            && list.duplicate_treatment.is_none()
            && list.clauses.is_empty();
        if !plain {
            return Err(format!("`{name}` takes plain arguments only"));
        }
        let mut nodes = Vec::new();
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(node)) => nodes.push(node),
                _ => return Err(format!("`{name}` takes plain arguments only")),
            }
        }
        self.function(&name, &nodes, depth)
    }

    fn function(&mut self, name: &str, nodes: &[&ast::Expr], depth: usize) -> Planned {
        let of = |expr, kind| Ok(Operand { expr, kind });
        match (name, nodes) {
            ("abs", [x]) => {
                let x = self.number(x, depth)?;
                let absolute = when(x.clone().lt(lit(0.0)), Expr::Negative(Box::new(x.clone()))).otherwise(x);
                of(absolute.map_err(|e| e.to_string())?, Kind::Float)
            }
            ("length", [x]) => of(character_length(self.text(x, depth)?), Kind::Number),
            ("lower", [x]) => of(lower(self.text(x, depth)?), Kind::Text),
            ("upper", [x]) => of(upper(self.text(x, depth)?), Kind::Text),
            ("trim", [x]) => of(btrim(vec![self.text(x, depth)?]), Kind::Text),
            ("starts_with", [x, y]) => of(starts_with(self.text(x, depth)?, self.text(y, depth)?), Kind::Bool),
            ("ends_with", [x, y]) => of(ends_with(self.text(x, depth)?, self.text(y, depth)?), Kind::Bool),
            ("contains", [x, y]) => of(contains(self.text(x, depth)?, self.text(y, depth)?), Kind::Bool),
            ("matches", [x, pattern]) => {
                let pattern = constant(pattern).ok_or("`matches` needs a pattern in single quotes")?;
                regex::RegexBuilder::new(&pattern)
                    .size_limit(PATTERN_BYTES)
                    .build()
                    .map_err(|error| error.to_string().lines().last().unwrap_or("malformed").trim().to_owned())?;
                of(joined(self.text(x, depth)?, Operator::RegexMatch, lit(pattern)), Kind::Bool)
            }
            ("year" | "month" | "day" | "hour" | "minute" | "weekday", [x]) => {
                let operand = self.operand(x, depth)?;
                if !matches!(operand.kind, Kind::Date | Kind::Timestamp | Kind::Unknown) {
                    return Err(format!("`{name}` needs a date or timestamp; `{x}` is {}", operand.kind.word()));
                }
                let part = if name == "weekday" { "isodow" } else { name };
                of(date_part(lit(part), operand.expr), Kind::Number)
            }
            ("days_between", [from, to]) => {
                let mut day = |node: &ast::Expr| -> Result<Expr, String> {
                    let operand = self.operand(node, depth)?;
                    if matches!(operand.kind, Kind::Number | Kind::Float | Kind::Bool) {
                        return Err(format!("`{node}` is {}, not a date", operand.kind.word()));
                    }
                    Ok(cast(cast(operand.expr, DataType::Date32), DataType::Int32))
                };
                let (from, to) = (day(from)?, day(to)?);
                let days = joined(cast(to, DataType::Float64), Operator::Minus, cast(from, DataType::Float64));
                of(days, Kind::Number)
            }
            ("is_nan", [x]) => {
                let x = self.number(x, depth)?;
                of(Expr::Not(Box::new(finite_or_infinite(x))), Kind::Bool)
            }
            ("nullif", [x, y]) => {
                let (x, y) = (self.operand(x, depth)?, self.operand(y, depth)?);
                of(nullif(x.expr, y.expr), x.kind)
            }
            ("coalesce" | "least" | "greatest", [_, _, ..]) => {
                let mut operands = Vec::new();
                let mut kind = Kind::Unknown;
                for node in nodes {
                    let operand = self.operand(node, depth)?;
                    if !kind.compares(operand.kind) {
                        return Err(format!("`{name}` mixes {} and {}", kind.word(), operand.kind.word()));
                    }
                    if kind == Kind::Unknown || operand.kind == Kind::Float {
                        kind = operand.kind;
                    }
                    operands.push(operand.expr);
                }
                of(
                    match name {
                        "coalesce" => coalesce(operands),
                        "least" => least(operands),
                        _ => greatest(operands),
                    },
                    kind,
                )
            }
            _ => Err(format!("`{name}` does not take {} arguments", nodes.len())),
        }
    }
}
