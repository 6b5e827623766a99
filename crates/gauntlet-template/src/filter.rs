//! What filters and methods make of constants.

use crate::format::{as_text, braces, percent};
use crate::tree::Text;
use crate::value::{Const, List, Value};

/// Arguments of one call.
pub(crate) struct Given<'a> {
    pub positional: Vec<&'a Value>,
    pub named: Vec<(&'a str, &'a Value)>,
    /// There are arguments that are not known (`*x`).
    pub more: bool,
}

impl Given<'_> {
    fn named(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// An argument by place or by name.
    pub(crate) fn argument(&self, index: usize, name: &str) -> Option<&Value> {
        self.positional.get(index).copied().or_else(|| self.named(name))
    }
}

/// `of|name(given)`. A method of a text with the same effect has the same name here.
pub(crate) fn apply(name: &str, of: &Value, given: &Given<'_>) -> Value {
    match name {
        "default" | "d" => {
            let mut out = of.clone();
            out.join(given.argument(0, "default_value").unwrap_or(&Value::text("")));
            out
        }
        "safe" | "string" | "str" if of.lists().next().is_none() && of.functions().next().is_none() => of.clone(),
        "list" | "unique" | "reverse" | "sort" | "select" | "reject" | "copy" | "tuple" => sequence(name, of, given),
        "first" | "last" | "random" | "min" | "max" | "next" | "pop" => ends(name, of),
        "join" => join(of, given.argument(0, "d")),
        "sum" => sum(of, given.argument(1, "start")),
        "map" => map(of, given),
        "items" | "dictsort" => pairs(of, name == "dictsort"),
        "keys" => of.elements_of_objects(|list| list.keys().cloned().collect()),
        "values" => of.elements_of_objects(|list| list.entries().map(|(_, value)| value.clone()).collect()),
        _ => {
            let mut inputs = vec![of];
            inputs.extend(given.positional.iter().copied());
            let positional = inputs.len();
            inputs.extend(given.named.iter().map(|(_, value)| *value));
            let mut out = Value::combine(&inputs, &mut |constants| {
                let (first, rest) = constants.split_first()?;
                let (positional, named) = rest.split_at_checked(positional - 1)?;
                let named: Vec<_> = given.named.iter().map(|(name, _)| *name).zip(named.iter().copied()).collect();
                operate(name, first, positional, &named)
            });
            if given.more {
                out.join(&Value::doubtful(inputs.iter().any(|input| input.has_suspicious_part())));
            }
            out
        }
    }
}

/// A filter or method with one constant of everything.
fn operate(name: &str, of: &Const, positional: &[&Const], named: &[(&str, &Const)]) -> Option<Value> {
    let Const::Text(text) = of else {
        return match of {
            Const::List(list) if matches!(name, "length" | "count") => Some(Value::integer(list.keys().count() as i64)),
            _ => None,
        };
    };
    let argument = |index: usize| match positional.get(index) {
        Some(Const::Text(text)) => Some(&**text),
        _ => None,
    };
    let strip = |left: bool, right: bool| {
        let drop = |c: char| {
            if positional.is_empty() { c.is_whitespace() } else { argument(0).is_some_and(|set| set.contains(c)) }
        };
        let text = if left { text.trim_start_matches(drop) } else { text };
        Value::text(if right { text.trim_end_matches(drop) } else { text })
    };
    let pieces = |pieces: Vec<&str>| Value::list(pieces.into_iter().take(600).map(Value::text).collect());
    Some(match name {
        "lower" | "casefold" => Value::text(text.to_lowercase()),
        "upper" => Value::text(text.to_uppercase()),
        "swapcase" => Value::text(text.chars().map(swap).collect::<String>()),
        "capitalize" => Value::text(cased(text, false)),
        "title" => Value::text(cased(text, true)),
        "trim" | "strip" => strip(true, true),
        "lstrip" => strip(true, false),
        "rstrip" => strip(false, true),
        "removeprefix" => Value::text(text.strip_prefix(argument(0)?).unwrap_or(text)),
        "removesuffix" => Value::text(text.strip_suffix(argument(0)?).unwrap_or(text)),
        "replace" => {
            let (from, to) = (argument(0)?, argument(1)?);
            // An empty pattern would multiply the text; a count is a way to change one of several.
            if from.is_empty() {
                return None;
            }
            match positional.get(2) {
                None => Value::text(text.replace(from, to)),
                Some(Const::Integer(count)) => Value::text(text.replacen(from, to, usize::try_from(*count).ok()?)),
                Some(_) => return None,
            }
        }
        "split" | "rsplit" => match (argument(0), positional.get(1)) {
            (None, _) => pieces(text.split_whitespace().collect()),
            (Some(separator), None) if !separator.is_empty() => pieces(text.split(separator).collect()),
            (Some(separator), Some(Const::Integer(count))) if !separator.is_empty() && *count >= 0 => {
                let count = usize::try_from(*count).ok()?.checked_add(1)?;
                if name == "split" {
                    pieces(text.splitn(count, separator).collect())
                } else {
                    let mut found: Vec<&str> = text.rsplitn(count, separator).collect();
                    found.reverse();
                    pieces(found)
                }
            }
            _ => return None,
        },
        "splitlines" => pieces(text.lines().collect()),
        "length" | "count" => Value::integer(i64::try_from(text.chars().count()).ok()?),
        "format" => Value::text(percent(text, positional, named)?),
        ".format" => Value::text(braces(text, positional, named)?),
        // No name has a character that these change.
        "e" | "escape" | "forceescape" | "urlencode" | "striptags" | "encode" | "decode" | "int" if is_plain(text) => {
            Value::text(text.clone())
        }
        _ => return None,
    })
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn swap(c: char) -> char {
    if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
}

/// First letter (of the text, or of each word) upper case, others lower.
fn cased(text: &str, words: bool) -> String {
    let mut start = true;
    let cased = text.chars().map(|c| {
        let out = if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        start = words && !c.is_alphanumeric();
        out
    });
    cased.collect()
}

impl Value {
    fn elements_of_objects(&self, items: impl Fn(&List) -> Vec<Value>) -> Value {
        let mut out = Value::doubtful(self.suspicious);
        out.open = self.open;
        for constant in &self.known {
            match constant {
                Const::List(list) => {
                    out.join(&Value::list(items(list)));
                }
                _ => out.open = true,
            }
        }
        out
    }
}

fn pairs(of: &Value, sorted: bool) -> Value {
    of.elements_of_objects(|list| {
        let mut pairs: Vec<_> = list.entries().map(|(key, value)| (key.clone(), value.clone())).collect();
        if sorted {
            pairs.sort_by_key(|(key, _)| key.only_text().cloned());
        }
        pairs.into_iter().map(|(key, value)| Value::list(vec![key, value])).collect()
    })
}

/// Items of a list, or characters of a text, in order.
fn items(constant: &Const) -> Option<Vec<Value>> {
    match constant {
        Const::Text(text) => Some(text.chars().take(600).map(|c| Value::text(c.to_string())).collect()),
        Const::List(list) => Some(list.keys().cloned().collect()),
        Const::Integer(_) | Const::Function(_) => None,
    }
}

fn sequence(name: &str, of: &Value, given: &Given<'_>) -> Value {
    let mut out = Value::combine(&[of], &mut |constants| {
        let constant = constants.first()?;
        if let (Const::Text(text), "reverse") = (constant, name) {
            return Some(Value::text(text.chars().rev().collect::<String>()));
        }
        let mut items = items(constant)?;
        match name {
            "reverse" => items.reverse(),
            "sort" => {
                items.sort_by_key(|item| item.only_text().cloned());
                let backwards = given.argument(0, "reverse").is_some();
                if backwards {
                    items.reverse();
                }
            }
            "unique" => {
                let mut seen: Vec<Value> = Vec::new();
                items.retain(|item| {
                    let new = !seen.contains(item);
                    if new {
                        seen.push(item.clone());
                    }
                    new
                });
            }
            _ => {}
        }
        Some(Value::list(items))
    });
    // Which are selected is not computed; all of them is one possibility.
    if matches!(name, "select" | "reject" | "sort" | "unique") {
        out.open = true;
        out.suspicious |= of.has_suspicious_part();
    }
    out
}

fn ends(name: &str, of: &Value) -> Value {
    if !matches!(name, "first" | "last") {
        return of.elements();
    }
    Value::combine(&[of], &mut |constants| {
        let items = items(constants.first()?)?;
        if name == "first" { items.first().cloned() } else { items.last().cloned() }
    })
}

/// `parts|join(separator)`, and `separator.join(parts)`.
pub(crate) fn join(parts: &Value, separator: Option<&Value>) -> Value {
    let nothing = Value::text("");
    let separator = separator.unwrap_or(&nothing);
    let mut out = Value { open: parts.open, suspicious: parts.suspicious, assembled: true, known: Vec::new() };
    out.suspicious |= parts.open && parts.has_suspicious_part();
    for constant in &parts.known {
        let Some(items) = items(constant) else {
            out.join(&Value::doubtful(true));
            continue;
        };
        let mut joined = Value::text("");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                joined = concatenate(&[&joined, separator, item]);
            } else {
                joined = concatenate(&[&joined, item]);
            }
        }
        out.join(&joined);
    }
    out
}

/// Texts and numbers behind each other.
pub(crate) fn concatenate(values: &[&Value]) -> Value {
    Value::combine(values, &mut |constants| {
        let mut text = String::new();
        for constant in constants {
            text.push_str(&as_text(constant)?);
        }
        Some(Value::text(text))
    })
}

fn sum(of: &Value, start: Option<&Value>) -> Value {
    match start {
        // `['__cl', 'ass__']|sum(start='')`
        Some(start) => concatenate(&[start, &join(of, None)]),
        None => Value::open(),
    }
}

/// `of|map('filter', arguments)`; attributes are read elsewhere.
fn map(of: &Value, given: &Given<'_>) -> Value {
    let filter: Option<Text> = given.positional.first().and_then(|name| name.only_text().cloned());
    let Some(filter) = filter.filter(|name| !matches!(&**name, "map" | "attr")) else {
        return Value::doubtful(of.has_suspicious_part());
    };
    let rest = Given {
        positional: given.positional.get(1..).unwrap_or(&[]).to_vec(),
        named: given.named.clone(),
        more: given.more,
    };
    Value::combine(&[of], &mut |constants| {
        let items = items(constants.first()?)?;
        Some(Value::list(items.iter().map(|item| apply(&filter, item, &rest)).collect()))
    })
}
