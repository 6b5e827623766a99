//! Answers of rules: read from the row of the one scan, or found by a stage of their own.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampSecondType;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use super::classes::Classes;
use super::moments::Moments;
use super::monotone::Runs;
use super::quantile::quantiles;
use super::rules::Asked;
use super::stage::Stage;
use super::unique::uniqueness;
use super::{Answers, RuleAnswer, foreign, rows, state};
use crate::contract::Test;
use crate::table::{Problem, Table};

/// Reads the answer that the one scan gave.
pub(super) fn read(answer: &mut RuleAnswer, row: &RecordBatch, name: &str) -> Result<()> {
    match (&answer.rule.asked, &answer.rule.entry.test) {
        (Asked::Rows { .. }, test) => {
            answer.tally = state(row, name)?;
            if matches!(test, Test::ShareOf(..)) {
                let tally = &answer.tally;
                answer.value = ratio(tally.evaluated - tally.failing.count, tally.evaluated);
            }
        }
        (Asked::Monotone(_), Test::Monotone(order)) => answer.tally = state::<Runs>(row, name)?.finish(*order),
        (Asked::Moments(_), Test::Statistic(statistic, _)) => {
            let moments: Moments = state(row, name)?;
            answer.value = moments.statistic(*statistic);
            (answer.tally.evaluated, answer.tally.nulls) = (moments.count, moments.nulls);
        }
        (Asked::Classes(_), _) => {
            let classes: Classes = state(row, name)?;
            (answer.tally.evaluated, answer.tally.nulls) = (classes.values, classes.nulls);
            answer.classes = Some(classes);
        }
        (Asked::Newest(_), _) => {
            let column = row.column_by_name(name).and_then(|c| c.as_primitive_opt::<TimestampSecondType>());
            let column = column.filter(|c| c.len() == 1).ok_or_else(|| rows::internal("the newest time is missing"))?;
            answer.newest = column.is_valid(0).then(|| column.value(0));
            answer.tally.evaluated = u64::from(answer.newest.is_some());
        }
        _ => {}
    }
    Ok(())
}

/// Runs the stages of all rules that need one.
pub(super) async fn run(
    context: &SessionContext,
    table: &Arc<Table>,
    partitions: usize,
    answers: &mut Answers,
) -> Result<()> {
    let problems = Mutex::new(Vec::new());
    for answer in &mut answers.rules {
        one(context, table, partitions, answer, &problems, &mut |_| ()).await?;
    }
    answers.problems.extend(problems.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

/// Runs the stage of one rule; `failing` is called with the place of each failing row.
pub(super) async fn one(
    context: &SessionContext,
    table: &Arc<Table>,
    partitions: usize,
    answer: &mut RuleAnswer,
    problems: &Mutex<Vec<Problem>>,
    failing: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let rule = &answer.rule;
    let stage = |values: &[_], scope: &Option<_>| Stage {
        context,
        table,
        columns: rule.columns.clone(),
        values: values.to_vec(),
        when: scope.clone(),
        partitions,
        problems,
    };
    match &rule.asked {
        Asked::Unique { values, scope } => {
            let wanted = rule.entry.test == Test::Unique;
            let found = uniqueness(&stage(values, scope), wanted, failing).await?;
            answer.tally = found.tally;
            #[expect(clippy::cast_precision_loss, reason = "a count of values")]
            let distinct = found.distinct as f64;
            answer.value = match rule.entry.test {
                Test::Distinct(_) => Some(distinct),
                Test::DistinctShare(_) => ratio(found.distinct, answer.tally.evaluated),
                _ => None,
            };
        }
        Asked::Foreign { values, scope, other, columns, others } => {
            let there = Stage {
                context,
                table: other,
                columns: columns.clone(),
                values: others.clone(),
                when: None,
                partitions,
                problems,
            };
            answer.tally = foreign::missing(&stage(values, scope), &there, failing).await?;
        }
        Asked::Quantile { value, scope } => {
            if let Test::Quantile(p, _) = rule.entry.test {
                let (found, count, skipped) = quantiles(&stage(std::slice::from_ref(value), scope), &[p]).await?;
                answer.value = found.and_then(|values| values.first().copied());
                (answer.tally.evaluated, answer.tally.nulls) = (count, skipped);
            }
        }
        _ => {}
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a share of rows")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
