//! The sink table: which calls matter, under which conditions over their arguments.

use std::sync::OnceLock;

use gauntlet_core::Severity;
use gauntlet_python::{Argument, Invocation, Value};
use serde::Deserialize;

/// The rows of one table file.
#[derive(Debug)]
pub(crate) struct Sinks {
    rows: Vec<Row>,
}

/// One row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    call: Vec<String>,
    /// Last part of the rule's id.
    pub(crate) rule: String,
    /// Instead of the rule's own.
    #[serde(default)]
    pub(crate) severity: Option<Severity>,
    #[serde(default)]
    when: Vec<Condition>,
    #[serde(default)]
    unless: Vec<Condition>,
    /// What the call does, behind its name.
    pub(crate) says: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(default)]
    of: Of,
    argument: String,
    #[serde(default)]
    position: Option<usize>,
    is: Is,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Of {
    #[default]
    Call,
    Receiver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Is {
    True,
    False,
    NotTrue,
    OneOf,
    OtherThan,
    HoldsOneOf,
    ResultOf,
    NotListed,
}

/// A truth with a middle: the code does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    No,
    Unknown,
    Yes,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }

    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// A row that matched a call.
pub(crate) struct Hit<'a> {
    pub(crate) row: &'a Row,
    /// The name under which the call is in the table.
    pub(crate) name: String,
    /// Whether the conditions hold.
    pub(crate) truth: Truth,
    /// The callee is that name for sure.
    pub(crate) certain: bool,
    /// The function is not called here but handed on, to be called elsewhere.
    pub(crate) handed_on: bool,
}

/// The sinks of `source/deserialization`; none when the table cannot be read, which a test rules out.
pub(crate) fn deserialization() -> Option<&'static Sinks> {
    static TABLE: OnceLock<Option<Sinks>> = OnceLock::new();
    TABLE.get_or_init(|| Sinks::parse(include_str!("../rules/deserialization.yaml")).ok()).as_ref()
}

impl Sinks {
    fn parse(text: &str) -> Result<Self, serde_saphyr::Error> {
        Ok(Self { rows: serde_saphyr::from_str(text)? })
    }

    /// Every rule that a row names.
    #[cfg(test)]
    pub(crate) fn rules(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|r| r.rule.as_str())
    }

    /// Whether a method of this name is in the table whatever its owner is.
    pub(crate) fn has_method(&self, method: &str) -> bool {
        self.rows.iter().flat_map(|r| &r.call).any(|c| c.strip_prefix("*.").is_some_and(|m| m == method))
    }

    /// The first row that the call, or a function that it hands on, falls under.
    pub(crate) fn find(&self, call: &Invocation) -> Option<Hit<'_>> {
        for name in &call.names {
            let mut known = false;
            let mut perhaps = None;
            for row in self.rows.iter().filter(|r| r.names(name)) {
                known = true;
                let truth = row.truth(call);
                let hit = Hit { row, name: name.clone(), truth, certain: call.certain, handed_on: false };
                match truth {
                    Truth::Yes => return Some(hit),
                    // Later rows of a name are the milder ones.
                    Truth::Unknown => perhaps = Some(hit),
                    Truth::No => {}
                }
            }
            if perhaps.is_some() {
                return perhaps;
            }
            // A row whose conditions do not hold answers for the call.
            if known && call.certain {
                return None;
            }
        }
        // `map(pickle.loads, blobs)`: judged as if called without further arguments; `partial` brings its own.
        let arguments = call.arguments.iter().chain(call.keywords.iter().map(|(_, v)| v));
        arguments.filter_map(|v| if let Value::Name(name) = v { Some(name) } else { None }).find_map(|name| {
            let mut bare = Invocation { names: vec![name.clone()], certain: true, ..Invocation::default() };
            if call.names.iter().any(|n| n == "functools.partial") {
                bare.arguments = call.arguments.get(1..).unwrap_or_default().to_vec();
                bare.keywords = call.keywords.clone();
            }
            let row = self.rows.iter().filter(|r| r.names(name)).find(|r| r.truth(&bare) == Truth::Yes)?;
            Some(Hit { row, name: name.clone(), truth: Truth::Yes, certain: call.certain, handed_on: true })
        })
    }
}

impl Row {
    fn names(&self, name: &str) -> bool {
        self.call.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => pattern == name,
        })
    }

    fn truth(&self, call: &Invocation) -> Truth {
        let when = self.when.iter().map(|c| c.truth(call));
        let unless = self.unless.iter().map(|c| c.truth(call).not());
        when.chain(unless).min().unwrap_or(Truth::Yes)
    }
}

impl Condition {
    fn truth(&self, call: &Invocation) -> Truth {
        let call = match self.of {
            Of::Call => call,
            Of::Receiver => match call.receiver.as_deref() {
                Some(receiver) => receiver,
                None => return Truth::Unknown,
            },
        };
        let argument = call.argument(&self.argument, self.position);
        match self.is {
            Is::True => boolean(argument, Truth::No),
            Is::NotTrue => boolean(argument, Truth::No).not(),
            Is::False => match argument {
                Argument::Missing | Argument::Perhaps => Truth::No,
                // Unknown is left to a row that asks for `not-true`, or is worth a look.
                given => boolean(given, Truth::No).not(),
            },
            Is::OneOf => self.is_named(argument, Truth::No),
            Is::OtherThan => self.is_named(argument, Truth::No).not(),
            Is::HoldsOneOf => self.holds(argument),
            Is::ResultOf => match argument {
                Argument::Given(Value::Call(inner)) => {
                    Truth::of(inner.certain && inner.names.iter().all(|n| self.values.contains(n)))
                }
                _ => Truth::No,
            },
            Is::NotListed => match argument {
                Argument::Missing | Argument::Given(Value::List(_) | Value::None | Value::Bool(false)) => Truth::No,
                Argument::Given(Value::Bool(true) | Value::Call(_)) => Truth::Yes,
                Argument::Given(_) | Argument::Perhaps => Truth::Unknown,
            },
        }
    }

    fn is_named(&self, argument: Argument<'_>, missing: Truth) -> Truth {
        let listed = |name: &String| self.values.contains(name);
        match argument {
            Argument::Missing => missing,
            Argument::Given(Value::Name(name) | Value::Str(name)) => Truth::of(listed(name)),
            Argument::Given(Value::Class(bases)) => Truth::of(bases.iter().any(listed)),
            Argument::Given(Value::List(all)) => {
                Truth::of(all.iter().any(|v| matches!(v, Value::Str(s) | Value::Name(s) if listed(s))))
            }
            Argument::Given(Value::None) => missing,
            Argument::Given(_) | Argument::Perhaps => Truth::Unknown,
        }
    }

    fn holds(&self, argument: Argument<'_>) -> Truth {
        match argument {
            Argument::Given(Value::List(all)) => Truth::of(all.iter().any(|v| match v {
                Value::Name(name) => self.values.contains(name),
                // (function, "name in the file")
                Value::List(pair) => matches!(pair.first(), Some(Value::Name(name)) if self.values.contains(name)),
                _ => false,
            })),
            _ => Truth::No,
        }
    }
}

fn boolean(argument: Argument<'_>, missing: Truth) -> Truth {
    match argument {
        Argument::Missing => missing,
        Argument::Given(Value::Bool(b)) => Truth::of(*b),
        Argument::Given(Value::None) => Truth::No,
        Argument::Given(Value::Int(i)) => Truth::of(*i != 0),
        Argument::Given(Value::Str(s)) => Truth::of(!s.is_empty()),
        Argument::Given(Value::Class(_)) => Truth::Yes,
        Argument::Given(Value::List(all)) => Truth::of(!all.is_empty()),
        Argument::Given(_) | Argument::Perhaps => Truth::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        let sinks = Sinks::parse(include_str!("../rules/deserialization.yaml")).unwrap();
        assert!(sinks.rows.len() > 20);
        for row in &sinks.rows {
            assert!(!row.call.is_empty() && !row.says.is_empty());
            for condition in row.when.iter().chain(&row.unless) {
                let needs_values = matches!(condition.is, Is::OneOf | Is::OtherThan | Is::HoldsOneOf | Is::ResultOf);
                assert_eq!(needs_values, !condition.values.is_empty(), "{:?}", row.call);
            }
        }
    }
}
