//! Conditions over the columns of one row, in a part of SQL that reads no file, no clock and no other row. What is not
//! listed here is refused when the contract is read.

mod functions;
mod literals;

use arrow::datatypes::DataType;
use datafusion::functions::string::expr_fn::btrim;
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit};
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::Family;
use literals::{constant, dated, finite_or_infinite, literal, signless, typed_literal};

/// Longest expression, so that nothing can be nested deeper than a thread's stack.
const MAX_BYTES: usize = 4_096;
/// Deepest nesting of brackets and calls.
const MAX_DEPTH: usize = 64;
/// Deepest tree; chains of `AND` and `OR` count as one level.
const MAX_TREE: usize = 64;
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
