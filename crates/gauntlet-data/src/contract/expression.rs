//! Conditions over the columns of one row, in a part of SQL that reads no file, no clock and no other row. What is not
//! listed here is refused when the contract is read.

use arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::{coalesce, greatest, least, nullif};
use datafusion::functions::datetime::expr_fn::date_part;
use datafusion::functions::string::expr_fn::{btrim, contains, ends_with, lower, starts_with, upper};
use datafusion::functions::unicode::expr_fn::character_length;
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit, when};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use gauntlet_core::nearest;

use super::Family;

/// Longest expression, so that nothing can be nested deeper than a thread's stack.
const MAX_BYTES: usize = 4_096;
/// Deepest nesting of brackets and calls.
const MAX_DEPTH: usize = 64;
/// Deepest tree; chains of `AND` and `OR` count as one level.
const MAX_TREE: usize = 64;
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

/// A parsed condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression(ast::Expr);

/// What an operand is, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    /// A number that cannot be NaN.
    Number,
    Float,
    Text,
    Date,
    Timestamp,
    /// A null, or a column whose type nobody said.
    Unknown,
}

impl Kind {
    /// The kind of a column of this family.
    pub(crate) fn of(family: Option<Family>) -> Self {
        match family {
            Some(Family::Integer) => Self::Number,
            Some(Family::Float) => Self::Float,
            Some(Family::Boolean) => Self::Bool,
            Some(Family::String) => Self::Text,
            Some(Family::Date) => Self::Date,
            Some(Family::Timestamp) => Self::Timestamp,
            Some(Family::Binary) | None => Self::Unknown,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Bool => "a truth value",
            Self::Number | Self::Float => "a number",
            Self::Text => "a text",
            Self::Date => "a date",
            Self::Timestamp => "a timestamp",
            Self::Unknown => "a value",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Float | Self::Unknown)
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Unknown)
    }

    fn compares(self, other: Self) -> bool {
        let class = |kind: Self| match kind {
            Self::Bool => 0,
            Self::Number | Self::Float => 1,
            Self::Text => 2,
            Self::Date | Self::Timestamp => 3,
            Self::Unknown => 4,
        };
        let (a, b) = (class(self), class(other));
        // A date is written as a text.
        a == b || a == 4 || b == 4 || (a.min(b), a.max(b)) == (2, 3)
    }
}

/// An operand of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) expr: Expr,
    pub(crate) kind: Kind,
}

/// Says what a column is, or why it is none.
pub(crate) type Resolve<'a> = &'a mut dyn FnMut(&str) -> Result<Operand, String>;

impl Expression {
    /// Reads an expression. Columns are not looked at.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("is {} bytes long; at most {MAX_BYTES} are read", text.len()));
        }
        let depth = text.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
        if depth > MAX_BYTES / 8 {
            return Err("has too many brackets".to_owned());
        }
        let plain = |error: &dyn std::fmt::Display| {
            let text = error.to_string();
            text.strip_prefix("sql parser error: ").unwrap_or(&text).to_owned()
        };
        let dialect = GenericDialect {};
        let mut parser =
            Parser::new(&dialect).with_recursion_limit(MAX_DEPTH).try_with_sql(text).map_err(|error| plain(&error))?;
        let parsed = parser.parse_expr().map_err(|error| plain(&error))?;
        let rest = parser.peek_token();
        if rest.token != Token::EOF {
            return Err(format!("does not end at `{}` (column {})", rest.token, rest.span.start.column));
        }
        let expression = Self(parsed);
        let mut any = |_: &str| Ok(Operand { expr: lit(true), kind: Kind::Unknown });
        expression.plan(&mut any)?;
        Ok(expression)
    }

    /// The columns that it names, each once.
    pub(crate) fn columns(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut note = |name: &str| {
            if !out.iter().any(|known| known == name) {
                out.push(name.to_owned());
            }
            Ok(Operand { expr: lit(true), kind: Kind::Unknown })
        };
        // Every expression here was planned once with columns of any kind.
        let _ = self.plan(&mut note);
        out
    }

    /// The condition for the engine.
    ///
    /// # Errors
    /// What does not fit together, in a sentence.
    pub(crate) fn plan(&self, resolve: Resolve<'_>) -> Result<Expr, String> {
        let operand = Planner { resolve }.operand(&self.0, 0)?;
        match operand.kind {
            Kind::Bool | Kind::Unknown => Ok(operand.expr),
            kind => Err(format!("is {}, not a condition", kind.word())),
        }
    }
}

struct Planner<'a> {
    resolve: Resolve<'a>,
}

type Planned = Result<Operand, String>;

impl Planner<'_> {
    fn operand(&mut self, node: &ast::Expr, depth: usize) -> Planned {
        use ast::Expr as E;
        if depth > MAX_TREE {
            return Err(format!("is nested deeper than {MAX_TREE}"));
        }
        let deeper = depth + 1;
        let bool_ = |expr| Ok(Operand { expr, kind: Kind::Bool });
        match node {
            E::Identifier(name) => (self.resolve)(&name.value),
            E::Nested(inner) => self.operand(inner, deeper),
            E::Value(value) => literal(&value.value),
            E::TypedString(typed) => {
                let Value::SingleQuotedString(text) = &typed.value.value else {
                    return Err(format!("`{node}` is no text in single quotes"));
                };
                typed_literal(&typed.data_type, text)
            }
            E::IsNull(inner) => bool_(self.operand(inner, deeper)?.expr.is_null()),
            E::IsNotNull(inner) => bool_(self.operand(inner, deeper)?.expr.is_not_null()),
            E::IsTrue(inner) => bool_(self.condition(inner, deeper)?.is_true()),
            E::IsNotTrue(inner) => bool_(self.condition(inner, deeper)?.is_not_true()),
            E::IsFalse(inner) => bool_(self.condition(inner, deeper)?.is_false()),
            E::IsNotFalse(inner) => bool_(self.condition(inner, deeper)?.is_not_false()),
            E::UnaryOp { op: UnaryOperator::Not, expr } => bool_(Expr::Not(Box::new(self.condition(expr, deeper)?))),
            E::UnaryOp { op: UnaryOperator::Minus, expr } => {
                let inner = self.number(expr, deeper)?;
                Ok(Operand { expr: Expr::Negative(Box::new(inner)), kind: Kind::Float })
            }
            E::UnaryOp { op: UnaryOperator::Plus, expr } => self.operand(expr, deeper),
            E::BinaryOp { left, op, right } => self.binary(left, op, right, deeper),
            E::Between { expr, negated, low, high } => {
                let inside = self.compare(expr, Operator::GtEq, low, deeper)?.and(self.compare(
                    expr,
                    Operator::LtEq,
                    high,
                    deeper,
                )?);
                bool_(if *negated { Expr::Not(Box::new(inside)) } else { inside })
            }
            E::InList { expr, list, negated } => {
                let mut equal = Vec::new();
                for value in list {
                    equal.push(self.compare(expr, Operator::Eq, value, deeper)?);
                }
                let any = balanced(equal, Operator::Or).ok_or("`IN` needs at least one value")?;
                bool_(if *negated { Expr::Not(Box::new(any)) } else { any })
            }
            E::Like { negated, any: false, expr, pattern, escape_char: None } => {
                bool_(self.like(expr, pattern, *negated, false, deeper)?)
            }
            E::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                bool_(self.like(expr, pattern, *negated, true, deeper)?)
            }
            E::Case { operand: None, conditions, else_result, .. } => {
                self.case(conditions, else_result.as_deref(), deeper)
            }
            E::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
                Ok(Operand { expr: btrim(vec![self.text(expr, deeper)?]), kind: Kind::Text })
            }
            E::Function(function) => self.call(function, deeper),
            other => {
                let text: String = other.to_string().chars().take(60).collect();
                Err(format!("`{text}` is not allowed here: see the reference of expressions"))
            }
        }
    }

    fn condition(&mut self, node: &ast::Expr, depth: usize) -> Result<Expr, String> {
        let operand = self.operand(node, depth)?;
        match operand.kind {
            Kind::Bool | Kind::Unknown => Ok(operand.expr),
            kind => Err(format!("`{node}` is {}, not a condition", kind.word())),
        }
    }

    /// Numbers are computed as 64-bit floats: nothing wraps around, and 1 / 2 is a half.
    fn number(&mut self, node: &ast::Expr, depth: usize) -> Result<Expr, String> {
        let operand = self.operand(node, depth)?;
        if operand.kind.is_number() {
            Ok(cast(operand.expr, DataType::Float64))
        } else {
            Err(format!("`{node}` is {}, not a number", operand.kind.word()))
        }
    }

    fn text(&mut self, node: &ast::Expr, depth: usize) -> Result<Expr, String> {
        let operand = self.operand(node, depth)?;
        if operand.kind.is_text() {
            Ok(operand.expr)
        } else {
            Err(format!("`{node}` is {}, not a text", operand.kind.word()))
        }
    }

    fn binary(&mut self, left: &ast::Expr, op: &BinaryOperator, right: &ast::Expr, depth: usize) -> Planned {
        use BinaryOperator as B;
        let arithmetic = match op {
            B::Plus => Some(Operator::Plus),
            B::Minus => Some(Operator::Minus),
            B::Multiply => Some(Operator::Multiply),
            B::Divide => Some(Operator::Divide),
            B::Modulo => Some(Operator::Modulo),
            _ => None,
        };
        if let Some(op) = arithmetic {
            let (left, right) = (self.number(left, depth)?, self.number(right, depth)?);
            return Ok(Operand { expr: joined(left, op, right), kind: Kind::Float });
        }
        let expr = match op {
            B::And | B::Or => {
                // A chain leans to the left, as deep as it is long.
                let mut links = vec![right];
                let mut rest = left;
                while let ast::Expr::BinaryOp { left, op: same, right } = rest
                    && same == op
                {
                    links.push(right);
                    rest = left;
                }
                links.push(rest);
                let mut conditions = Vec::new();
                for link in links.into_iter().rev() {
                    conditions.push(self.condition(link, depth)?);
                }
                balanced(conditions, if *op == B::And { Operator::And } else { Operator::Or })
                    .ok_or("an empty condition")?
            }
            B::Eq => self.compare(left, Operator::Eq, right, depth)?,
            B::NotEq => self.compare(left, Operator::NotEq, right, depth)?,
            B::Lt => self.compare(left, Operator::Lt, right, depth)?,
            B::LtEq => self.compare(left, Operator::LtEq, right, depth)?,
            B::Gt => self.compare(left, Operator::Gt, right, depth)?,
            B::GtEq => self.compare(left, Operator::GtEq, right, depth)?,
            B::StringConcat => {
                let (left, right) = (self.text(left, depth)?, self.text(right, depth)?);
                return Ok(Operand { expr: joined(left, Operator::StringConcat, right), kind: Kind::Text });
            }
            other => return Err(format!("the operator `{other}` is not allowed here")),
        };
        Ok(Operand { expr, kind: Kind::Bool })
    }

    fn compare(&mut self, left: &ast::Expr, op: Operator, right: &ast::Expr, depth: usize) -> Result<Expr, String> {
        let (a, b) = (self.operand(left, depth)?, self.operand(right, depth)?);
        if !a.kind.compares(b.kind) {
            return Err(format!("`{left}` is {} and `{right}` is {}", a.kind.word(), b.kind.word()));
        }
        let (of_a, of_b) = (a.kind, b.kind);
        let (a, b) = (dated(a, of_b, left)?, dated(b, of_a, right)?);
        // The engine orders floats totally: -0.0 below 0.0, NaN above all. Here zero has one sign, and a comparison with
        // NaN is false.
        let float = a.kind == Kind::Float || b.kind == Kind::Float;
        if !float {
            return Ok(joined(a.expr, op, b.expr));
        }
        let mut out = joined(signless(&a)?, op, signless(&b)?);
        for operand in [a, b] {
            if operand.kind == Kind::Float {
                out = out.and(finite_or_infinite(operand.expr));
            }
        }
        Ok(out)
    }

    fn like(
        &mut self,
        expr: &ast::Expr,
        pattern: &ast::Expr,
        negated: bool,
        any_case: bool,
        depth: usize,
    ) -> Result<Expr, String> {
        let pattern = constant(pattern).ok_or("`LIKE` needs a pattern in single quotes")?;
        let text = self.text(expr, depth)?;
        Ok(Expr::Like(Like::new(negated, Box::new(text), Box::new(lit(pattern)), None, any_case)))
    }

    fn case(&mut self, conditions: &[ast::CaseWhen], otherwise: Option<&ast::Expr>, depth: usize) -> Planned {
        let mut branches = Vec::new();
        let mut kind = Kind::Unknown;
        let mut merge = |found: Kind| {
            kind = match (kind, found) {
                (Kind::Unknown, found) => found,
                (kind, Kind::Unknown) => kind,
                (Kind::Number, Kind::Float) => Kind::Float,
                (kind, _) => kind,
            };
        };
        for branch in conditions {
            let condition = self.condition(&branch.condition, depth)?;
            let result = self.operand(&branch.result, depth)?;
            merge(result.kind);
            branches.push((Box::new(condition), Box::new(result.expr)));
        }
        let otherwise = match otherwise {
            Some(node) => {
                let result = self.operand(node, depth)?;
                merge(result.kind);
                Some(Box::new(result.expr))
            }
            None => None,
        };
        let case = datafusion::logical_expr::Case { expr: None, when_then_expr: branches, else_expr: otherwise };
        Ok(Operand { expr: Expr::Case(case), kind })
    }

    fn call(&mut self, function: &ast::Function, depth: usize) -> Planned {
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

fn joined(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// A chain as a tree of the least depth.
fn balanced(mut links: Vec<Expr>, op: Operator) -> Option<Expr> {
    while links.len() > 1 {
        let mut halved = Vec::with_capacity(links.len().div_ceil(2));
        let mut rest = links.into_iter();
        while let Some(left) = rest.next() {
            halved.push(match rest.next() {
                Some(right) => joined(left, op, right),
                None => left,
            });
        }
        links = halved;
    }
    links.pop()
}

fn constant(node: &ast::Expr) -> Option<String> {
    match node {
        ast::Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn literal(value: &Value) -> Planned {
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
fn typed_literal(data_type: &ast::DataType, text: &str) -> Planned {
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
fn dated(operand: Operand, other: Kind, node: &ast::Expr) -> Planned {
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

fn signless(operand: &Operand) -> Result<Expr, String> {
    if operand.kind != Kind::Float {
        return Ok(operand.expr.clone());
    }
    let value = cast(operand.expr.clone(), DataType::Float64);
    when(value.clone().eq(lit(-0.0)), lit(0.0)).otherwise(value).map_err(|error| error.to_string())
}

/// False for NaN of either sign, which the engine orders beyond infinity.
fn finite_or_infinite(value: Expr) -> Expr {
    let value = cast(value, DataType::Float64);
    value.clone().gt_eq(lit(f64::NEG_INFINITY)).and(value.lt_eq(lit(f64::INFINITY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Expression::parse(text).unwrap_err()
    }

    fn typed(text: &str) -> Result<Expr, String> {
        let mut resolve = |name: &str| {
            let kind = match name {
                "n" => Kind::Number,
                "f" => Kind::Float,
                "t" => Kind::Text,
                "d" => Kind::Date,
                "b" => Kind::Bool,
                _ => return Err(format!("there is no column `{name}`")),
            };
            Ok(Operand { expr: datafusion::logical_expr::ident(name), kind })
        };
        Expression::parse(text)?.plan(&mut resolve)
    }

    #[test]
    fn conditions_over_columns_are_read() {
        for text in [
            "n > 1",
            "f >= n and not b",
            "t in ('a', 'b') or t is null",
            "d between '2020-01-01' and date '2021-01-01'",
            "length(trim(t)) <= 3",
            "case when n > 1 then f else 0 end < 5",
            "t like 'a%' and matches(t, '^[a-z]+$')",
            "abs(f - n) / greatest(n, 1) <= 0.01",
            "days_between(d, d) >= 0 and year(d) = 2026",
            "coalesce(b, false)",
            "\"n\" % 2 = 0",
        ] {
            assert!(typed(text).is_ok(), "{text}: {:?}", typed(text));
        }
        assert_eq!(Expression::parse("a > b and a < length(\"C d\")").unwrap().columns(), ["a", "b", "C d"]);
    }

    #[test]
    fn what_reads_more_than_the_row_is_refused() {
        for text in [
            "now() > d",
            "current_timestamp > d",
            "current_date > d",
            "random() < 0.5",
            "exists (select 1)",
            "n in (select 1)",
            "(select 1) = 1",
            "read_csv('x') = 1",
            "sum(n) > 1",
            "count(*) > 1",
            "row_number() over () > 1",
            "max(n) filter (where b) > 1",
            "a.b = 1",
            "n = 1; drop table x",
            "n = 1 -- x\n or n = 2 )",
            "n::text = '1'",
            "cast(n as text) = '1'",
            "n = $1",
            "n = ?",
            "interval '1' day > 1",
            "",
        ] {
            assert!(typed(text).is_err(), "{text}");
        }
        assert_eq!(error("lenght(t) > 1"), "there is no function `lenght` here, did you mean `length`?");
        assert!(error("n > ").contains("Expected"), "{}", error("n > "));
    }

    #[test]
    fn kinds_have_to_fit() {
        assert_eq!(typed("t > 1").unwrap_err(), "`t` is a text and `1` is a number");
        assert_eq!(typed("n + 1").unwrap_err(), "is a number, not a condition");
        assert_eq!(typed("d > 'soon'").unwrap_err(), "`DATE 'soon'` is no date or timestamp");
        assert_eq!(typed("x = 1").unwrap_err(), "there is no column `x`");
        assert!(typed("lower(n) = 'a'").is_err() && typed("t + 1 = 2").is_err() && typed("not n").is_err());
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(error(&"(".repeat(3_000)).len() < 200);
        assert!(error(&format!("{}1{} = 1", "(".repeat(400), ")".repeat(400))).len() < 200);
        assert!(error(&"x".repeat(5_000)).contains("at most 4096"));
        assert!(error(&vec!["1"; 1_200].join("+")).contains("deeper"));
        assert!(Expression::parse(&vec!["a = 1"; 300].join(" and ")).is_ok());
    }
}
