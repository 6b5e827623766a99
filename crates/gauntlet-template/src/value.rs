//! What an expression may give: the constants that are known to be possible, and whether there are others.
//!
//! Values are joined over all assignments of a variable, whatever their order (a flow-insensitive analysis), so a name
//! that is put together in any order of statements is found. Everything is bounded: alternatives, lengths, nesting.

use std::sync::Arc;

use crate::tree::Text;

/// Constants that one value may be; more make it open.
const ALTERNATIVES: usize = 16;
/// Bytes of one text. Names are short; what is longer was not made to be one.
const TEXT: usize = 4096;
/// Items of one list, those of lists inside it included.
const ITEMS: usize = 512;
/// Lists inside each other.
const NESTING: u8 = 6;

/// What an expression may give.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Value {
    pub known: Vec<Const>,
    /// It may be something else, too.
    pub open: bool,
    /// Something else it may be has parts that Python's inner names are made of.
    pub suspicious: bool,
    /// A known text was put together or written with escapes.
    pub assembled: bool,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Const {
    Text(Text),
    Integer(i64),
    List(List),
    /// A macro, or a function that environments bring.
    Function(Text),
}

/// Items in order; keys and values of an object by turns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List {
    pub items: Arc<[Value]>,
    /// `items` are keys and values.
    pub object: bool,
    size: usize,
    depth: u8,
}

impl Value {
    /// Nothing is known.
    pub(crate) fn open() -> Self {
        Self { open: true, ..Self::default() }
    }

    pub(crate) fn doubtful(suspicious: bool) -> Self {
        Self { open: true, suspicious, ..Self::default() }
    }

    pub(crate) fn text(text: impl Into<Text>) -> Self {
        let text = text.into();
        if text.len() > TEXT {
            return Self::doubtful(is_suspicious(&text));
        }
        Self { known: vec![Const::Text(text)], ..Self::default() }
    }

    pub(crate) fn integer(value: i64) -> Self {
        Self { known: vec![Const::Integer(value)], ..Self::default() }
    }

    pub(crate) fn function(name: Text) -> Self {
        Self { known: vec![Const::Function(name)], ..Self::default() }
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::items(items, false)
    }

    pub(crate) fn object(items: Vec<Self>) -> Self {
        Self::items(items, true)
    }

    fn items(items: Vec<Self>, object: bool) -> Self {
        let inner = || items.iter().flat_map(|item| &item.known);
        let lists = || {
            inner().filter_map(|constant| match constant {
                Const::List(list) => Some(list),
                _ => None,
            })
        };
        let size = items.len() + inner().count() + lists().map(|list| list.size).sum::<usize>();
        let depth = lists().map(|list| list.depth).max().unwrap_or(0) + 1;
        if size > ITEMS || depth > NESTING {
            let suspicious = items.iter().any(Self::has_suspicious_part);
            return Self::doubtful(suspicious);
        }
        Self { known: vec![Const::List(List { items: items.into(), object, size, depth })], ..Self::default() }
    }

    /// Whether anything in it could be a part of an inner name.
    pub(crate) fn has_suspicious_part(&self) -> bool {
        // Depth is bounded by `NESTING`.
        self.suspicious
            || self.known.iter().any(|constant| match constant {
                Const::Text(text) => is_suspicious(text),
                Const::List(list) => list.items.iter().any(Self::has_suspicious_part),
                Const::Integer(_) => false,
                // What a function looks like as text has underscores and brackets in it.
                Const::Function(_) => true,
            })
    }

    /// Adds what `other` may be. Returns whether that is new.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let before = (self.known.len(), self.open, self.suspicious, self.assembled);
        for constant in &other.known {
            self.insert(constant.clone());
        }
        self.open |= other.open;
        self.suspicious |= other.suspicious;
        self.assembled |= other.assembled;
        before != (self.known.len(), self.open, self.suspicious, self.assembled)
    }

    fn insert(&mut self, constant: Const) {
        if self.known.contains(&constant) {
            return;
        }
        if self.known.len() < ALTERNATIVES {
            self.known.push(constant);
            return;
        }
        // A name hidden behind many others keeps its mark.
        let dropped = Self { known: vec![constant], ..Self::default() };
        self.suspicious |= dropped.has_suspicious_part();
        self.open = true;
    }

    /// The texts it may be.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        self.known.iter().filter_map(|constant| match constant {
            Const::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The integers it may be.
    pub(crate) fn integers(&self) -> impl Iterator<Item = i64> + '_ {
        self.known.iter().filter_map(|constant| match constant {
            Const::Integer(value) => Some(*value),
            _ => None,
        })
    }

    /// The lists and objects it may be.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &List> {
        self.known.iter().filter_map(|constant| match constant {
            Const::List(list) => Some(list),
            _ => None,
        })
    }

    /// The functions it may be.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Text> {
        self.known.iter().filter_map(|constant| match constant {
            Const::Function(name) => Some(name),
            _ => None,
        })
    }

    /// The only text it can be.
    pub(crate) fn only_text(&self) -> Option<&Text> {
        match (self.known.as_slice(), self.open) {
            ([Const::Text(text)], false) => Some(text),
            _ => None,
        }
    }

    /// What an operation gives that takes one of each of `inputs`, as far as `operation` knows it.
    pub(crate) fn combine(inputs: &[&Self], operation: &mut dyn FnMut(&[&Const]) -> Option<Self>) -> Self {
        let mut out = Self { open: inputs.iter().any(|input| input.open), ..Self::default() };
        let parts = inputs.iter().any(|input| input.has_suspicious_part());
        let combinations = combinations(inputs);
        let mut chosen: Vec<&Const> = Vec::with_capacity(inputs.len());
        for number in 0..combinations.min(ALTERNATIVES * ALTERNATIVES) {
            chosen.clear();
            let mut rest = number;
            for input in inputs {
                let count = input.known.len().max(1);
                chosen.extend(input.known.get(rest % count));
                rest /= count;
            }
            match operation(&chosen) {
                Some(value) => {
                    out.join(&value);
                }
                None => out.open = true,
            }
        }
        out.open |= combinations > ALTERNATIVES * ALTERNATIVES;
        out.suspicious |= out.open && parts;
        out.assembled = true;
        out
    }

    /// What iterating over it gives.
    pub(crate) fn elements(&self) -> Self {
        let mut out =
            Self { open: self.open, suspicious: self.suspicious, assembled: self.assembled, known: Vec::new() };
        for constant in &self.known {
            match constant {
                Const::Text(text) => {
                    for c in text.chars().take(TEXT) {
                        out.insert(Const::Text(c.to_string().into()));
                    }
                    out.assembled = true;
                }
                Const::List(list) => {
                    for item in list.keys() {
                        out.join(item);
                    }
                }
                Const::Integer(_) | Const::Function(_) => out.open = true,
            }
        }
        out
    }
}

/// In how many ways one of each can be taken.
pub(crate) fn combinations(inputs: &[&Value]) -> usize {
    inputs.iter().fold(1usize, |product, input| product.saturating_mul(input.known.len()))
}

impl List {
    /// What iterating gives: the items, or the keys of an object.
    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &Value> {
        let step = if self.object { 2 } else { 1 };
        let count = self.items.len() / step;
        (0..count).filter_map(move |index| self.items.get(index * step))
    }

    /// Keys and values of an object.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.items.chunks(2).filter(|_| self.object).filter_map(|pair| match pair {
            [key, value] => Some((key, value)),
            _ => None,
        })
    }

    /// The values of a key; of no key that is known, all values whose key is not.
    pub(crate) fn get(&self, wanted: &str) -> Value {
        let mut out = Value::default();
        for (key, value) in self.entries() {
            if key.open || key.texts().any(|text| &**text == wanted) {
                out.join(value);
            }
        }
        out
    }
}

/// Whether a text is, or could become by joining, the marked part of an inner name.
pub(crate) fn is_suspicious(text: &str) -> bool {
    text.contains("__") || (!text.is_empty() && text.bytes().all(|b| b == b'_'))
}

/// Whether a text is the name of an inner attribute: `__class__`.
pub(crate) fn is_inner_name(text: &str) -> bool {
    let text = text.trim();
    text.len() > 4
        && text.starts_with("__")
        && text.ends_with("__")
        && text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        && text.chars().any(|c| c != '_')
}
