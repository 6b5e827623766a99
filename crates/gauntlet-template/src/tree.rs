//! The syntax tree: an arena in which every node stands behind those it is made of, so that one walk from the front
//! evaluates it.

use std::sync::Arc;

/// Index of a node.
pub(crate) type Id = usize;
pub(crate) type Text = Arc<str>;

/// A template.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
    /// Offset of each node in the text.
    pub at: Vec<usize>,
    pub problems: Vec<(usize, String)>,
    pub unknown: Vec<(usize, Text)>,
    /// Words of parts that could not be parsed: names behind a dot, strings.
    pub words: Vec<(usize, Text)>,
}

/// A piece of syntax.
#[derive(Debug)]
pub(crate) enum Node {
    /// A literal, and whether escapes hide letters in it.
    Literal(Text, bool),
    Integer(i64),
    /// A value of no concern: a fraction, a truth value, the result of a comparison or test.
    Plain,
    Name(Text),
    Attribute {
        of: Id,
        name: Text,
    },
    Item {
        of: Id,
        key: Id,
    },
    Slice {
        of: Id,
        start: Option<Id>,
        stop: Option<Id>,
        step: Option<Id>,
    },
    Call {
        callee: Id,
        arguments: Arguments,
    },
    Filter {
        of: Id,
        name: Text,
        arguments: Arguments,
    },
    Test {
        name: Text,
    },
    Binary {
        operator: &'static str,
        left: Id,
        right: Id,
    },
    Negative(Id),
    /// One of these, whichever the run decides.
    Either(Vec<Id>),
    /// A literal list or tuple.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Plain text of the template.
    Text(Text),
    Print(Id),
    Set {
        target: Target,
        value: Id,
    },
    /// What is printed from here on becomes a value.
    Capture,
    /// The end of the innermost [`Node::Capture`]; the node's value is what was printed.
    Captured,
    For {
        target: Target,
        over: Id,
    },
    EndFor,
    /// What its parameters are when they are not given.
    Macro {
        name: Text,
        parameters: Vec<(Text, Option<Id>)>,
    },
    /// A macro's result: what was captured since.
    EndMacro {
        name: Text,
        value: Id,
    },
    Load {
        kind: crate::LoadKind,
        target: Id,
        names: Vec<Text>,
    },
}

/// What a value is assigned to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Name(Text),
    /// `ns.name`
    Member(Text, Text),
    Several(Vec<Target>),
}

/// Arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub positional: Vec<Id>,
    pub named: Vec<(Text, Id)>,
    /// `*x` and `**x`.
    pub spread: Vec<Id>,
}

impl Arguments {
    pub(crate) fn all(&self) -> impl Iterator<Item = Id> + '_ {
        self.positional.iter().copied().chain(self.named.iter().map(|(_, id)| *id)).chain(self.spread.iter().copied())
    }
}
