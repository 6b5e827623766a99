//! Arithmetic on shapes: integers that are known up to the number of rows pass through the operators which exporters
//! compute shapes with.

use gauntlet_onnx::ElementType;

use crate::dim::Dim;
use crate::graph::{Binary, Cut, Op, Reduction, Term, Unary, Value};
use crate::infer::compares;

/// Shapes are short.
const LONGEST: usize = 64;

/// The elements of the only output, when they follow from sizes alone.
pub(crate) fn content(op: &Op, inputs: &[&Value]) -> Option<Vec<Term>> {
    let first = inputs.first()?;
    if let Op::Shape { start, end } = op {
        return first.shape.get(*start..*end)?.iter().map(term).collect();
    }
    if inputs.iter().any(|value| value.shape.len() > 1) && !matches!(op, Op::Reshape(_)) {
        return None;
    }
    let known = |at: usize| inputs.get(at).and_then(|value| value.content.clone());
    let terms = match op {
        Op::Unary(Unary::Identity) | Op::Reshape(_) => known(0)?,
        Op::Cast(ElementType::Int32 | ElementType::Int64) => known(0)?,
        Op::Unary(Unary::Not) => {
            let not = |term| matches!(term, Term::Number(0));
            known(0)?.into_iter().map(|term| Term::Number(i64::from(not(term)))).collect()
        }
        Op::Slice(cuts) => match cuts[..] {
            [Cut { start, count, step, .. }] => {
                let terms = known(0)?;
                let at = |n: usize| i64::try_from(start).ok()?.checked_add(i64::try_from(n).ok()?.checked_mul(step)?);
                (0..count).map(|n| terms.get(usize::try_from(at(n)?).ok()?).copied()).collect::<Option<_>>()?
            }
            _ => return None,
        },
        Op::Gather(0) => {
            let terms = known(0)?;
            let length = i64::try_from(terms.len()).ok()?;
            let chosen = inputs.get(1)?.constant.as_ref()?.to_ints()?;
            let place = |n: i64| usize::try_from(if n < 0 { n.checked_add(length)? } else { n }).ok();
            chosen.into_iter().map(|n| terms.get(place(n)?).copied()).collect::<Option<_>>()?
        }
        Op::Concat(0) => {
            let parts: Option<Vec<_>> = inputs.iter().map(|value| value.content.clone()).collect();
            parts?.concat()
        }
        Op::Binary(binary) => pairwise(&known(0)?, &known(1)?, |a, b| combine(*binary, a, b))?,
        Op::Where => {
            let (condition, a, b) = (known(0)?, known(1)?, known(2)?);
            let length = condition.len().max(a.len()).max(b.len());
            let at = |terms: &[Term], i: usize| terms.get(if terms.len() == 1 { 0 } else { i }).copied();
            let choose = |i| match at(&condition, i)? {
                Term::Number(0) => at(&b, i),
                Term::Number(_) => at(&a, i),
                Term::Rows(_) => None,
            };
            (0..length).map(choose).collect::<Option<_>>()?
        }
        Op::Reduce { reduction: Reduction::Prod, .. } => {
            let product = known(0)?.into_iter().try_fold(Term::Number(1), |a, b| combine(Binary::Mul, a, b))?;
            vec![product]
        }
        Op::ConstantOfShape(kind, fill) if !crate::array::is_float(*kind) => match known(0)?[..] {
            [Term::Number(n)] => vec![Term::Number(*fill as i64); usize::try_from(n).ok().filter(|n| *n <= LONGEST)?],
            _ => return None,
        },
        Op::Expand => match (&known(0)?[..], &known(1)?[..]) {
            ([term], [Term::Number(n)]) => vec![*term; usize::try_from(*n).ok().filter(|n| *n <= LONGEST)?],
            _ => return None,
        },
        _ => return None,
    };
    (terms.len() <= LONGEST).then_some(terms)
}

fn term(dim: &Dim) -> Option<Term> {
    match dim {
        Dim::Fixed(n) => i64::try_from(*n).ok().map(Term::Number),
        Dim::Rows(k) => Some(Term::Rows(*k)),
    }
}

fn pairwise(a: &[Term], b: &[Term], combine: impl Fn(Term, Term) -> Option<Term>) -> Option<Vec<Term>> {
    match (a, b) {
        ([a], b) => b.iter().map(|b| combine(*a, *b)).collect(),
        (a, [b]) => a.iter().map(|a| combine(*a, *b)).collect(),
        (a, b) if a.len() == b.len() => a.iter().zip(b).map(|(a, b)| combine(*a, *b)).collect(),
        _ => None,
    }
}

fn combine(binary: Binary, a: Term, b: Term) -> Option<Term> {
    match (binary, a, b) {
        (Binary::Div, Term::Number(_), Term::Number(0)) => None,
        (_, Term::Number(a), Term::Number(b)) => Some(Term::Number(super::int_of(binary, a, b))),
        (Binary::Mul, Term::Rows(k), Term::Number(n)) | (Binary::Mul, Term::Number(n), Term::Rows(k)) => {
            Some(Term::Rows(k.checked_mul(usize::try_from(n).ok()?)?))
        }
        (Binary::Div, Term::Rows(k), Term::Number(n)) => {
            let n = usize::try_from(n).ok()?;
            (n > 0 && k.is_multiple_of(n)).then(|| Term::Rows(k / n))
        }
        (Binary::Div, Term::Rows(a), Term::Rows(b)) => {
            (b > 0 && a.is_multiple_of(b)).then(|| i64::try_from(a / b).ok().map(Term::Number))?
        }
        (Binary::Add | Binary::Sub, Term::Rows(k), Term::Number(0)) | (Binary::Add, Term::Number(0), Term::Rows(k)) => {
            Some(Term::Rows(k))
        }
        // A number of rows is at least one: exporters ask whether a size is -1 or 0.
        (_, Term::Rows(_), Term::Number(n)) | (_, Term::Number(n), Term::Rows(_)) if compares(binary) && n < 1 => {
            let (a, b) = if matches!(a, Term::Rows(_)) { (1, n) } else { (n, 1) };
            Some(Term::Number(super::int_of(binary, a, b)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Term::{Number, Rows};
    use super::*;

    #[test]
    fn sizes_pass_through_the_arithmetic_of_exporters() {
        assert_eq!(combine(Binary::Mul, Rows(1), Number(12)), Some(Rows(12)));
        assert_eq!(combine(Binary::Div, Rows(12), Number(4)), Some(Rows(3)));
        assert_eq!(combine(Binary::Div, Rows(12), Rows(4)), Some(Number(3)));
        assert_eq!(combine(Binary::Equal, Rows(1), Number(-1)), Some(Number(0)));
        assert_eq!(combine(Binary::Greater, Rows(1), Number(0)), Some(Number(1)));
        assert_eq!(combine(Binary::Less, Number(0), Rows(2)), Some(Number(1)));
    }

    #[test]
    fn what_depends_on_the_number_of_rows_is_not_guessed() {
        assert_eq!(combine(Binary::Equal, Rows(1), Number(8)), None);
        assert_eq!(combine(Binary::Div, Rows(3), Number(2)), None);
        assert_eq!(combine(Binary::Add, Rows(1), Number(1)), None);
        assert_eq!(combine(Binary::Div, Number(3), Number(0)), None);
        assert_eq!(combine(Binary::Mul, Rows(1), Number(-1)), None);
    }
}
