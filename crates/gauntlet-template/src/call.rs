//! What operators, items, slices and calls make of constants.

use crate::filter::{Given, apply, concatenate, join};
use crate::value::{Const, Value};

/// Numbers of a range that are kept as a list.
const RANGE: i64 = 64;
/// Bytes of a repeated text that is kept.
const REPEATED: usize = 4096;

/// Functions that environments bring: Jinja's own, those of chat templates, Flask's.
const FUNCTIONS: [&str; 10] = [
    "lipsum",
    "cycler",
    "joiner",
    "namespace",
    "dict",
    "range",
    "raise_exception",
    "strftime_now",
    "url_for",
    "get_flashed_messages",
];

/// Whether environments bring a function of this name.
pub(crate) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// A call of an environment's function, and the length of what it makes when that is known.
pub(crate) fn function(name: &str, given: &Given<'_>) -> (Value, Option<u64>) {
    match name {
        "dict" | "namespace" => {
            let mut entries = Vec::new();
            let mut open = given.more;
            for (key, value) in &given.named {
                entries.push(Value::text(*key));
                entries.push((*value).clone());
            }
            for value in &given.positional {
                open |= value.open;
                for list in value.lists() {
                    for pair in list.entries() {
                        entries.extend([pair.0.clone(), pair.1.clone()]);
                    }
                    for pair in list.keys().filter(|_| !list.object).flat_map(Value::lists) {
                        if let [key, value] = &*pair.items {
                            entries.extend([key.clone(), value.clone()]);
                        }
                    }
                }
            }
            let mut out = Value::object(entries);
            out.open |= open;
            (out, None)
        }
        "cycler" | "joiner" => (Value::list(given.positional.iter().map(|value| (*value).clone()).collect()), None),
        "range" => range(given),
        _ => (Value::open(), None),
    }
}

fn range(given: &Given<'_>) -> (Value, Option<u64>) {
    let bound = |index: usize| given.positional.get(index).and_then(|value| value.integers().max());
    let (start, stop) = match given.positional.len() {
        1 => (Some(0), bound(0)),
        _ => (given.positional.first().and_then(|value| value.integers().min()), bound(1)),
    };
    let step = if given.positional.len() > 2 { bound(2) } else { Some(1) };
    let Some((stop, start)) = stop.zip(Some(start.unwrap_or(0))) else { return (Value::open(), None) };
    let step = step.filter(|step| *step != 0).unwrap_or(1);
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    let length = span.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    if given.positional.iter().any(|value| value.open || value.known.len() != 1) || length > RANGE.unsigned_abs() {
        return (Value::open(), Some(length));
    }
    let numbers = (0..length).filter_map(|index| Some(start + i64::try_from(index).ok()?.checked_mul(step)?));
    (Value::list(numbers.map(Value::integer).collect()), Some(length))
}

/// `of.name(given)`.
pub(crate) fn method(name: &str, of: &Value, given: &Given<'_>) -> Value {
    match name {
        "join" => given.positional.first().map_or_else(Value::open, |parts| join(parts, Some(of))),
        "get" | "pop" | "setdefault" if of.lists().next().is_some() => {
            let mut out = given.positional.first().map_or_else(|| of.elements(), |key| item(of, key));
            if let Some(other) = given.positional.get(1) {
                out.join(other);
            }
            out
        }
        "format" => apply(".format", of, given),
        "format_map" => Value::doubtful(of.has_suspicious_part()),
        // Of a cycler and a joiner.
        "next" | "current" => of.elements(),
        "reverse" | "sort" | "select" | "reject" | "map" | "default" | "d" | "sum" => Value::open(),
        _ => apply(name, of, given),
    }
}

/// What appending `given` to a list, or updating an object with it, makes of it.
pub(crate) fn mutated(name: &str, of: &Value, given: &Given<'_>) -> Option<Value> {
    let added = match name {
        "append" | "add" | "appendleft" => given.positional.first()?,
        "insert" => given.positional.get(1)?,
        "extend" => &given.positional.first()?.elements(),
        "update" | "setdefault" | "__setitem__" => {
            let (object, _) = function("dict", given);
            return Some(Value::combine(&[of, &object], &mut |constants| match constants {
                [Const::List(old), Const::List(new)] if old.object => {
                    Some(Value::object(old.items.iter().chain(new.items.iter()).cloned().collect()))
                }
                _ => None,
            }));
        }
        _ => return None,
    };
    Some(Value::combine(&[of], &mut |constants| match constants {
        [Const::List(list)] if !list.object => {
            Some(Value::list(list.items.iter().cloned().chain([added.clone()]).collect()))
        }
        _ => None,
    }))
}

/// `of[key]`.
pub(crate) fn item(of: &Value, key: &Value) -> Value {
    let mut out = Value::combine(&[of, key], &mut |constants| match constants {
        [Const::List(list), Const::Text(key)] if list.object => Some(list.get(key)),
        [Const::List(list), Const::Integer(index)] if !list.object => {
            list.items.get(position(*index, list.items.len())?).cloned()
        }
        [Const::Text(text), Const::Integer(index)] => {
            let index = position(*index, text.chars().count())?;
            text.chars().nth(index).map(|c| Value::text(c.to_string()))
        }
        _ => None,
    });
    if key.open && !of.known.is_empty() {
        out.join(&of.elements());
        for list in of.lists() {
            for (_, value) in list.entries() {
                out.join(value);
            }
        }
        out.open = true;
        out.suspicious |= of.has_suspicious_part();
    }
    out
}

fn position(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let index = if index < 0 { index.checked_add(len)? } else { index };
    usize::try_from(index).ok()
}

/// `of[start:stop:step]`; a bound that is absent is `None`, one that is not known gives nothing.
pub(crate) fn slice(of: &Value, bounds: [Option<&Value>; 3]) -> Value {
    let mut inputs = vec![of];
    inputs.extend(bounds.iter().flatten().copied());
    Value::combine(&inputs, &mut |constants| {
        let (of, given) = constants.split_first()?;
        let mut given = given.iter();
        let mut next = |bound: Option<&Value>| -> Option<Option<i64>> {
            match bound {
                None => Some(None),
                Some(_) => match given.next()? {
                    Const::Integer(value) => Some(Some(*value)),
                    _ => None,
                },
            }
        };
        let (start, stop, step) = (next(bounds[0])?, next(bounds[1])?, next(bounds[2])?);
        match of {
            Const::Text(text) => {
                let chars: Vec<char> = text.chars().collect();
                Some(Value::text(cut(&chars, start, stop, step)?.into_iter().collect::<String>()))
            }
            Const::List(list) if !list.object => Some(Value::list(cut(&list.items, start, stop, step)?)),
            _ => None,
        }
    })
}

/// Python's slice.
fn cut<T: Clone>(items: &[T], start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Option<Vec<T>> {
    let len = i64::try_from(items.len()).ok()?;
    let step = step.unwrap_or(1);
    if step == 0 {
        return None;
    }
    let (lowest, highest) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let bound = |value: Option<i64>, absent: i64| match value {
        None => absent,
        Some(value) if value < 0 => value.saturating_add(len).clamp(lowest, highest),
        Some(value) => value.clamp(lowest, highest),
    };
    let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (mut index, stop) = (bound(start, first), bound(stop, last));
    let mut out = Vec::new();
    while if step > 0 { index < stop } else { index > stop } {
        out.push(items.get(usize::try_from(index).ok()?)?.clone());
        index = index.saturating_add(step);
    }
    Some(out)
}

/// An operator, and the length of what it makes when that is out of proportion.
pub(crate) fn binary(operator: &str, left: &Value, right: &Value) -> (Value, Option<u64>) {
    let mut length: Option<u64> = None;
    let mut grown = |amount: u64| length = length.max(Some(amount));
    let value = match operator {
        "~" => concatenate(&[left, right]),
        "%" if left.texts().next().is_some() => {
            grown(left.texts().map(|text| crate::format::width(text)).max().unwrap_or(0));
            Value::combine(&[left, right], &mut |constants| match constants {
                [Const::Integer(a), Const::Integer(b)] => a.checked_rem_euclid(*b).map(Value::integer),
                [Const::Text(text), Const::List(list)] if list.object => {
                    let given = Given { positional: Vec::new(), named: Vec::new(), more: false };
                    let entries: Vec<_> = list.entries().collect();
                    let texts: Vec<_> = entries.iter().filter_map(|(key, _)| key.only_text()).collect();
                    let named =
                        texts.iter().map(|text| &***text).zip(entries.iter().map(|(_, value)| *value)).collect();
                    Some(apply("format", &Value::text(text.clone()), &Given { named, ..given }))
                }
                [Const::Text(text), Const::List(list)] => {
                    let positional = list.items.iter().collect();
                    let given = Given { positional, named: Vec::new(), more: false };
                    Some(apply("format", &Value::text(text.clone()), &given))
                }
                [Const::Text(text), other] => crate::format::percent(text, &[other], &[]).map(Value::text),
                _ => None,
            })
        }
        _ => Value::combine(&[left, right], &mut |constants| {
            let [left, right] = constants else { return None };
            match (operator, left, right) {
                ("+", Const::Text(a), Const::Text(b)) => Some(Value::text(format!("{a}{b}"))),
                ("+", Const::List(a), Const::List(b)) if !a.object && !b.object => {
                    Some(Value::list(a.items.iter().chain(b.items.iter()).cloned().collect()))
                }
                ("*", Const::Text(text), Const::Integer(n)) | ("*", Const::Integer(n), Const::Text(text)) => {
                    let times = usize::try_from((*n).max(0)).ok()?;
                    let total = text.len().saturating_mul(times);
                    grown(total as u64);
                    if total > REPEATED {
                        Some(Value::doubtful(crate::value::is_suspicious(text)))
                    } else {
                        Some(Value::text(text.repeat(times)))
                    }
                }
                ("*", Const::List(list), Const::Integer(n)) | ("*", Const::Integer(n), Const::List(list)) => {
                    let times = usize::try_from((*n).max(0)).ok()?;
                    let total = list.items.len().saturating_mul(times);
                    grown(total as u64);
                    let items = (0..times.min(REPEATED)).flat_map(|_| list.items.iter().cloned()).take(REPEATED);
                    Some(Value::list(items.collect()))
                }
                ("+", Const::Integer(a), Const::Integer(b)) => a.checked_add(*b).map(Value::integer),
                ("-", Const::Integer(a), Const::Integer(b)) => a.checked_sub(*b).map(Value::integer),
                ("*", Const::Integer(a), Const::Integer(b)) => a.checked_mul(*b).map(Value::integer),
                ("//", Const::Integer(a), Const::Integer(b)) => a.checked_div_euclid(*b).map(Value::integer),
                ("%", Const::Integer(a), Const::Integer(b)) => a.checked_rem_euclid(*b).map(Value::integer),
                ("**", Const::Integer(a), Const::Integer(b)) => {
                    let power = u32::try_from(*b).ok().and_then(|b| a.checked_pow(b));
                    if power.is_none() && *b > 0 {
                        grown(b.unsigned_abs().saturating_mul(u64::from(64 - a.unsigned_abs().leading_zeros())));
                    }
                    power.map(Value::integer)
                }
                _ => None,
            }
        }),
    };
    (value, length)
}
