//! What is known of a call and of its arguments.

use serde::{Deserialize, Serialize};

/// What is known of a value before the program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// An integer that fits
    Int(i64),
    /// Text
    Str(String),
    /// A list, tuple or set; an [`Value::Unknown`] at the end also stands for what was left out
    List(Vec<Value>),
    /// A dictionary with text keys only
    Dict(Vec<(String, Value)>),
    /// Something imported or built in, by qualified name
    Name(String),
    /// A class of this module, by the qualified names of its bases
    Class(Vec<String>),
    /// The result of a call
    Call(Box<Invocation>),
    /// Anything else
    Unknown,
}

/// Who is called with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Qualified names that the callee may stand for, at least one. A dotted path of an import (`torch.load`), of a
    /// builtin (`builtins.eval`), of a method of a call's result (`ruamel.yaml.YAML().load`), of an attribute of
    /// something unknown (`?.load`), or `?`.
    pub names: Vec<String>,
    /// Whether the callee is the only one of `names` for sure.
    pub certain: bool,
    /// Positional arguments in order.
    pub arguments: Vec<Value>,
    /// Keyword arguments in order, those of known dictionaries behind `**` included.
    pub keywords: Vec<(String, Value)>,
    /// More positional arguments may come from a `*` of something unknown.
    pub open_arguments: bool,
    /// More keywords may come from a `**` of something unknown.
    pub open_keywords: bool,
    /// The call whose result the callee is an attribute of.
    pub receiver: Option<Box<Invocation>>,
}

/// A call and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who is called with what.
    #[serde(flatten)]
    pub invocation: Invocation,
    /// Where.
    pub place: crate::Place,
    /// Importing the module runs it: it stands outside of functions, or in one that such a place calls by name.
    #[serde(default)]
    pub at_import: bool,
    /// The callee is looked up by a name that is data: in `globals()`, `vars()`, `__dict__`, or by `getattr` with a name
    /// that is put together.
    #[serde(default)]
    pub looked_up: bool,
}

/// What is known of one argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// It is not given, so its default counts.
    Missing,
    /// It is given; the value may still be [`Value::Unknown`].
    Given(&'a Value),
    /// It may come from a `*` or `**` of something unknown.
    Perhaps,
}

impl Value {
    /// Makes what lies deeper than `levels` unknown.
    fn cut(&mut self, levels: u32) {
        match (self, levels.checked_sub(1)) {
            (Self::List(values), Some(inner)) => values.iter_mut().for_each(|value| value.cut(inner)),
            (Self::Dict(items), Some(inner)) => items.iter_mut().for_each(|(_, value)| value.cut(inner)),
            (Self::Call(call), Some(inner)) => call.cut(inner),
            (deep @ (Self::List(_) | Self::Dict(_) | Self::Call(_)), None) => *deep = Self::Unknown,
            _ => {}
        }
    }
}

impl Invocation {
    /// Makes what lies deeper than `levels` inside the arguments unknown.
    pub(crate) fn cut(&mut self, levels: u32) {
        self.arguments.iter_mut().for_each(|value| value.cut(levels));
        self.keywords.iter_mut().for_each(|(_, value)| value.cut(levels));
        if let Some(receiver) = &mut self.receiver {
            receiver.cut(levels);
        }
    }

    /// The argument with this keyword, or at this position.
    #[must_use]
    pub fn argument(&self, keyword: &str, position: Option<usize>) -> Argument<'_> {
        // The last one wins: `**` of a dictionary may repeat a name, and partial arguments are overridden.
        if let Some((_, value)) = self.keywords.iter().rev().find(|(name, _)| name == keyword) {
            return Argument::Given(value);
        }
        if let Some(value) = position.and_then(|at| self.arguments.get(at)) {
            return Argument::Given(value);
        }
        if self.open_keywords || (position.is_some() && self.open_arguments) {
            Argument::Perhaps
        } else {
            Argument::Missing
        }
    }
}
