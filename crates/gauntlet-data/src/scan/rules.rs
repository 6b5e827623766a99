//! Rules of the contract as questions for the engine. Every rule is planned before any row is read; one that does not fit
//! the table says why.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::unicode::expr_fn::character_length;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit, try_cast, when};
use datafusion::prelude::SessionContext;

use super::{classes, moments, monotone, raw, reference, rows, ruled, tally};
use crate::contract::{
    Contract, Counts, Ends, Entry, Expression, Family, Kind, Operand, Reference, Scalar, Test, anchored, fits_type,
};
use crate::table::{POSITION, Scan, Table, family};

/// One rule over the table.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// What the contract says.
    pub(crate) entry: Entry,
    /// The columns that it is about; for an expression those that it names.
    pub(crate) columns: Vec<usize>,
    /// How it is answered.
    pub(crate) asked: Asked,
}

/// How a rule is answered.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Row by row in the one scan: what a failing row meets (three-valued), and which rows are judged.
    Rows {
        failing: Expr,
        scope: Option<Expr>,
    },
    /// From one aggregate of the one scan over these values.
    Moments(Expr),
    Classes(Expr),
    Newest(Expr),
    Monotone(Expr),
    /// By a stage of its own.
    Unique {
        values: Vec<Expr>,
        scope: Option<Expr>,
    },
    Foreign {
        values: Vec<Expr>,
        scope: Option<Expr>,
        other: Arc<Table>,
        columns: Vec<usize>,
        others: Vec<Expr>,
    },
    Quantile {
        value: Expr,
        scope: Option<Expr>,
    },
    /// Not at all: why.
    Unfit(String),
}

impl Rule {
    /// The call in the one scan, when there is one.
    pub(super) fn aggregate(&self) -> Result<Option<Expr>> {
        let place = || reference(POSITION.to_owned());
        Ok(Some(match &self.asked {
            Asked::Rows { failing, scope } => {
                let sample = self.columns.first().map_or_else(|| lit(ScalarValue::Null), |&i| raw(i));
                let mut arguments = vec![place(), sample, failing.clone()];
                arguments.extend(scope.clone());
                tally::tally().call(arguments)
            }
            Asked::Moments(value) => moments::moments().call(vec![value.clone()]),
            Asked::Classes(value) => classes::classes().call(vec![value.clone()]),
            Asked::Newest(value) => max(value.clone()),
            Asked::Monotone(value) => match self.entry.test {
                Test::Monotone(order) => monotone::monotone(order).call(vec![place(), value.clone()]),
                _ => return Err(rows::internal("an order without a rule")),
            },
            Asked::Unique { .. } | Asked::Foreign { .. } | Asked::Quantile { .. } | Asked::Unfit(_) => return Ok(None),
        }))
    }

    /// Columns that have to be read for it.
    pub(super) fn reads(&self) -> &[usize] {
        &self.columns
    }
}

/// The other tables of foreign keys, by what the contract calls them.
pub(crate) type Others = BTreeMap<String, Arc<Table>>;

/// All rules about columns that the table has with a type that fits. Columns that it lacks, or has with another type than
/// the contract says, are the check's business: it compares the columns without data.
pub(crate) fn rules(table: &Table, contract: &Contract, others: &Others) -> Vec<Rule> {
    let planner = Planner { table, contract, others };
    let mut out = Vec::new();
    for (i, column) in table.columns.iter().enumerate() {
        out.extend(planner.of_type(i, &column.name));
    }
    out.extend(contract.entries().into_iter().filter_map(|entry| planner.rule(entry)));
    out
}

/// Rules that the engine cannot plan become unfit, so that it is said before a row is read.
pub(super) fn verify(context: &SessionContext, scan: &Scan, rules: &mut [Rule]) -> Result<()> {
    let schema = DFSchema::try_from(scan.schema().as_ref().clone())?;
    for rule in rules {
        let exprs: Vec<&Expr> = match &rule.asked {
            Asked::Rows { failing, scope } => std::iter::once(failing).chain(scope).collect(),
            Asked::Moments(value) | Asked::Classes(value) | Asked::Newest(value) | Asked::Monotone(value) => {
                vec![value]
            }
            Asked::Unique { values, scope } | Asked::Foreign { values, scope, .. } => {
                values.iter().chain(scope).collect()
            }
            Asked::Quantile { value, scope } => std::iter::once(value).chain(scope).collect(),
            Asked::Unfit(_) => Vec::new(),
        };
        let wrong = exprs.into_iter().find_map(|expr| context.create_physical_expr(expr.clone(), &schema).err());
        if let Some(error) = wrong {
            let what: String = error.strip_backtrace().lines().next().unwrap_or_default().chars().take(200).collect();
            rule.asked = Asked::Unfit(what);
        }
    }
    Ok(())
}

struct Planner<'a> {
    table: &'a Table,
    contract: &'a Contract,
    others: &'a Others,
}

impl Planner<'_> {
    /// Cells of text files that cannot be read as their type.
    fn of_type(&self, i: usize, name: &str) -> Option<Rule> {
        let rules = self.contract.columns.get(name)?;
        let typed = self.table.columns.get(i)?.typed.as_ref()?;
        let word = family(typed).map_or("", Family::as_str);
        let cell = self.cell(i);
        let failing = when(cell.is_not_null(), ruled(self.table, i).is_null()).end().ok()?;
        let entry = Entry {
            path: format!("columns.{name}.type"),
            name: None,
            columns: vec![name.to_owned()],
            test: Test::Type(word),
            when: None,
            accepted: crate::contract::accepted(rules.mostly),
            severity: rules.severity,
            message: rules.message.clone(),
        };
        Some(Rule { entry, columns: vec![i], asked: Asked::Rows { failing, scope: None } })
    }

    fn rule(&self, entry: Entry) -> Option<Rule> {
        let mut names = entry.columns.clone();
        for text in condition(&entry.test).into_iter().chain(entry.when.as_deref()) {
            for name in Expression::parse(text).map(|e| e.columns()).unwrap_or_default() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let columns: Vec<usize> = names.iter().map(|name| self.table.column(name)).collect::<Option<_>>()?;
        let only_nulls = matches!(entry.test, Test::NotNull | Test::NullShare(_)) && entry.when.is_none();
        if !only_nulls && !columns.iter().all(|&i| self.fits(i)) {
            return None;
        }
        let asked = self.asked(&entry, &columns).unwrap_or_else(Asked::Unfit);
        Some(Rule { entry, columns, asked })
    }

    /// Whether the column has the type that the contract says.
    fn fits(&self, i: usize) -> bool {
        let Some(column) = self.table.columns.get(i) else { return false };
        let said = self.contract.columns.get(&column.name).and_then(|rules| rules.family);
        column.typed.is_some()
            || said.is_none_or(|said| {
                family(&column.scanned) == Some(said) || (column.text_file && said == Family::Binary)
            })
    }

    fn asked(&self, entry: &Entry, columns: &[usize]) -> std::result::Result<Asked, String> {
        let scope = entry.when.as_ref().map(|text| self.condition(text)).transpose()?;
        let scoped = |value: Expr| match &scope {
            Some(scope) => when(scope.clone(), value).end().map_err(plain),
            None => Ok(value),
        };
        let rows = |failing: Expr| Ok(Asked::Rows { failing, scope: scope.clone() });
        if let Test::Expression(text) | Test::ShareOf(text, _) = &entry.test {
            return rows(Expr::Not(Box::new(self.condition(text)?)));
        }
        let own = columns.get(..entry.columns.len()).unwrap_or_default();
        for &i in own {
            self.suits(i, &entry.test)?;
        }
        let Some(&i) = own.first() else { return Err("is about no column".to_owned()) };
        let values = || own.iter().map(|&i| self.value(i)).collect::<Vec<_>>();
        let value = self.value(i);
        let data_type = self.rule_type(i);
        match &entry.test {
            Test::NotNull | Test::NullShare(_) => rows(self.cell(i).is_null()),
            Test::Range(ends) => rows(outside(&value, ends, false, &data_type).map_err(plain)?),
            Test::ExclusiveRange(ends) => rows(outside(&value, ends, true, &data_type).map_err(plain)?),
            Test::Allowed(set) => rows(value.in_list(listed(set, &data_type).map_err(plain)?, true)),
            Test::Forbidden(set) => rows(value.in_list(listed(set, &data_type).map_err(plain)?, false)),
            Test::Pattern(pattern) => rows(matching(value, Operator::RegexNotMatch, anchored(pattern))),
            Test::Contains(pattern) => rows(matching(value, Operator::RegexNotMatch, pattern.clone())),
            Test::NotContains(pattern) => rows(matching(value, Operator::RegexMatch, pattern.clone())),
            Test::Length(counts) => rows(of_length(value, *counts)),
            Test::Unique => Ok(Asked::Unique { values: values(), scope }),
            Test::References(other) => self.foreign(own, other, scope),
            Test::Monotone(_) => Ok(Asked::Monotone(scoped(value)?)),
            Test::Freshness(_) => {
                let to = DataType::Timestamp(TimeUnit::Second, None);
                Ok(Asked::Newest(scoped(cast(value, to))?))
            }
            Test::Statistic(..) => Ok(Asked::Moments(scoped(cast(value, DataType::Float64))?)),
            Test::Quantile(..) => Ok(Asked::Quantile { value: cast(value, DataType::Float64), scope }),
            Test::Distinct(_) | Test::DistinctShare(_) => Ok(Asked::Unique { values: values(), scope }),
            Test::Shares(_) | Test::Balance(_) => Ok(Asked::Classes(scoped(cast(value, DataType::Utf8))?)),
            Test::Expression(_) | Test::ShareOf(..) | Test::Type(_) => Err("has no column".to_owned()),
        }
    }

    /// Whether the test can be asked of values of the column's type. The contract may have said nothing about it.
    fn suits(&self, i: usize, test: &Test) -> std::result::Result<(), String> {
        let Some(column) = self.table.columns.get(i) else { return Err("is about no column".to_owned()) };
        match family(column.rule_type()) {
            Some(family) => fits_type(test, Some(family)).map_err(|what| {
                format!("does not fit the column `{}` of type {}: {what}", column.name, column.rule_type())
            }),
            None if matches!(test, Test::NotNull | Test::NullShare(_)) => Ok(()),
            None => Err(format!("cannot be asked of the column `{}` of type {}", column.name, column.stored)),
        }
    }

    fn foreign(&self, own: &[usize], reference: &Reference, scope: Option<Expr>) -> std::result::Result<Asked, String> {
        let Some(other) = self.others.get(reference.table()) else {
            return Err(format!("the table {} could not be read", reference.table()));
        };
        let names = reference.column.names();
        if names.len() != own.len() {
            return Err(format!("{} columns refer to {}", own.len(), names.len()));
        }
        let (mut columns, mut others) = (Vec::new(), Vec::new());
        for (&i, name) in own.iter().zip(names) {
            let Some(j) = other.column(name) else {
                let hint = gauntlet_core::nearest(name, other.columns.iter().map(|c| c.name.as_str()))
                    .map(|n| format!(", did you mean `{n}`?"))
                    .unwrap_or_default();
                return Err(format!("{} has no column `{name}`{hint}", reference.table()));
            };
            let (here, there) = (self.rule_type(i), other.columns.get(j).map_or(DataType::Null, |c| c.scanned.clone()));
            let text_file = other.columns.get(j).is_some_and(|c| c.text_file);
            // Cells of a text file are what they are compared with.
            let value = if text_file { try_cast(raw(j), here.clone()) } else { raw(j) };
            if !text_file && family(&here) != family(&there) {
                return Err(format!("`{name}` of {} is {there}; here it is {here}", reference.table()));
            }
            columns.push(j);
            others.push(value);
        }
        let values = own.iter().map(|&i| self.value(i)).collect();
        Ok(Asked::Foreign { values, scope, other: Arc::clone(other), columns, others })
    }

    fn condition(&self, text: &str) -> std::result::Result<Expr, String> {
        let mut resolve = |name: &str| {
            let i = self.table.column(name).ok_or_else(|| format!("there is no column `{name}`"))?;
            let family = family(&self.rule_type(i));
            if family.is_none() {
                return Err(format!("the column `{name}` of type {} is in no expression", self.rule_type(i)));
            }
            Ok(Operand { expr: self.value(i), kind: Kind::of(family) })
        };
        Expression::parse(text)?.plan(&mut resolve)
    }

    fn rule_type(&self, i: usize) -> DataType {
        self.table.columns.get(i).map_or(DataType::Null, |column| column.rule_type().clone())
    }

    /// What stands in the file; an empty text is a null where the contract says so.
    fn cell(&self, i: usize) -> Expr {
        let Some(column) = self.table.columns.get(i) else { return raw(i) };
        if column.scanned == DataType::Utf8 && self.contract.empty_is_null(&column.name) {
            nullif(raw(i), lit(""))
        } else {
            raw(i)
        }
    }

    /// The value that rules are about.
    fn value(&self, i: usize) -> Expr {
        let typed = self.table.columns.get(i).is_some_and(|column| column.typed.is_some());
        if typed { ruled(self.table, i) } else { self.cell(i) }
    }
}

fn condition(test: &Test) -> Option<&str> {
    match test {
        Test::Expression(text) | Test::ShareOf(text, _) => Some(text),
        _ => None,
    }
}

fn plain(error: datafusion::error::DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}

fn matching(value: Expr, operator: Operator, pattern: String) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(value), operator, Box::new(lit(pattern))))
}

fn of_length(value: Expr, (low, high): Counts) -> Expr {
    let characters = character_length(value);
    let bound = |n: u64| lit(i64::try_from(n).unwrap_or(i64::MAX));
    let failing =
        [low.map(|low| characters.clone().lt(bound(low))), high.map(|high| characters.clone().gt(bound(high)))];
    failing.into_iter().flatten().reduce(Expr::or).unwrap_or_else(|| lit(false))
}

fn listed(set: &[Scalar], data_type: &DataType) -> Result<Vec<Expr>> {
    let mut out = Vec::new();
    for scalar in set {
        out.extend(literals(scalar, data_type)?.into_iter().map(lit));
    }
    Ok(out)
}

/// Outside a range. The engine orders floats totally: NaN lies above infinity or below its negative, and -0.0 below 0.0.
fn outside(value: &Expr, (low, high): &Ends, exclusive: bool, data_type: &DataType) -> Result<Expr> {
    let float = data_type.is_floating();
    // Zero has two literals, the lower one first: the outer one for an end that is allowed, the inner one for one that
    // is not.
    let end = |scalar: &Option<Scalar>, lower: bool| -> Result<Option<ScalarValue>> {
        let Some(scalar) = scalar else { return Ok(None) };
        let mut values = literals(scalar, data_type)?;
        Ok(if lower == exclusive { values.pop() } else { values.drain(..).next() })
    };
    let mut failing: Vec<Expr> = Vec::new();
    match end(low, true)? {
        Some(low) if exclusive => failing.push(value.clone().lt_eq(lit(low))),
        Some(low) => failing.push(value.clone().lt(lit(low))),
        None if float => failing.push(value.clone().lt(lit(f64::NEG_INFINITY))),
        None => {}
    }
    match end(high, false)? {
        Some(high) if exclusive => failing.push(value.clone().gt_eq(lit(high))),
        Some(high) => failing.push(value.clone().gt(lit(high))),
        None if float => failing.push(value.clone().gt(lit(f64::INFINITY))),
        None => {}
    }
    Ok(failing.into_iter().reduce(Expr::or).unwrap_or_else(|| lit(false)))
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
