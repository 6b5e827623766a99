//! What a template would reach, as facts without judgement.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Facts of one kind that are kept; how many there were beyond is counted.
const KEPT: usize = 1000;

/// Where something is in the text of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1; in bytes where a line is longer than 64 KiB.
    pub column: u64,
}

/// Everything that rendering one template would use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFacts {
    /// Variables that are read.
    pub variables: BTreeSet<String>,
    /// Filters.
    pub filters: BTreeSet<String>,
    /// Tests (`x is defined`).
    pub tests: BTreeSet<String>,
    /// Names that are called as functions.
    pub functions: BTreeSet<String>,
    /// Macros that the template defines.
    pub macros: BTreeSet<String>,
    /// Attributes and keys whose names are known.
    pub attributes: Vec<Attribute>,
    /// Attributes and keys whose names are computed from what is not known.
    pub computed: Vec<Computed>,
    /// Texts, written or computed, that are the name of one of Python's inner attributes.
    pub inner_names: Vec<Named>,
    /// Other templates that it asks for.
    pub loads: Vec<Load>,
    /// What makes the output, or the time it takes, far larger than the template.
    pub growth: Vec<Growth>,
    /// Statements that neither Jinja nor the usual extensions know.
    pub unknown_statements: Vec<Named>,
    /// What could not be parsed; Jinja would refuse the template, an extension might not.
    pub problems: Vec<Problem>,
    /// Facts that were not kept, because there were too many.
    pub dropped: u64,
}

impl TemplateFacts {
    pub(crate) fn attribute(&mut self, attribute: Attribute) {
        let same = |other: &&mut Attribute| {
            (&other.name, other.how, &other.root) == (&attribute.name, attribute.how, &attribute.root)
        };
        // A second mention of the same attribute says nothing new, but for a call.
        if let Some(known) = self.attributes.iter_mut().find(same) {
            known.called |= attribute.called;
            return;
        }
        keep(&mut self.attributes, attribute, &mut self.dropped);
    }

    /// Whether another fact of one kind would be kept, so that its place is worth finding.
    pub(crate) fn has_room<T>(kept: &[T]) -> bool {
        kept.len() < KEPT
    }

    pub(crate) fn compute(&mut self, computed: Computed) {
        keep(&mut self.computed, computed, &mut self.dropped);
    }

    pub(crate) fn inner_name(&mut self, named: Named) {
        if !self.inner_names.iter().any(|known| known.name == named.name) {
            keep(&mut self.inner_names, named, &mut self.dropped);
        }
    }

    pub(crate) fn load(&mut self, load: Load) {
        keep(&mut self.loads, load, &mut self.dropped);
    }

    pub(crate) fn grow(&mut self, growth: Growth) {
        if !self.growth.contains(&growth) {
            keep(&mut self.growth, growth, &mut self.dropped);
        }
    }

    pub(crate) fn unknown_statement(&mut self, named: Named) {
        keep(&mut self.unknown_statements, named, &mut self.dropped);
    }

    pub(crate) fn problem(&mut self, problem: Problem) {
        keep(&mut self.problems, problem, &mut self.dropped);
    }
}

fn keep<T>(kept: &mut Vec<T>, fact: T, dropped: &mut u64) {
    if kept.len() < KEPT {
        kept.push(fact);
    } else {
        *dropped += 1;
    }
}

/// How an attribute is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// `x.name`
    Dot,
    /// `x['name']`: an item first, an attribute else
    Subscript,
    /// `x|attr('name')`
    AttrFilter,
    /// `xs|map(attribute='name')` and its like
    Argument,
    /// `'{0.name}'.format(x)`
    Format,
    /// Found among the words of a part that could not be parsed.
    Unparsed,
}

/// A named attribute or key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The name, computed where it was not written out.
    pub name: String,
    /// How it is reached.
    pub how: How,
    /// The variable or function at the beginning of the chain, when there is one.
    pub root: Option<String>,
    /// The root is a function of the environment (`cycler`, `lipsum`), whose attributes no template needs.
    pub of_function: bool,
    /// The name was put together from parts or written with escapes.
    pub assembled: bool,
    /// What it gives is called.
    pub called: bool,
    /// Where.
    pub place: Place,
}

/// An attribute or key whose name is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computed {
    /// How it is reached.
    pub how: How,
    /// Parts of it are known, and are those of Python's inner names: runs of underscores, characters picked by number.
    pub suspicious: bool,
    /// Where.
    pub place: Place,
}

/// A name and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// How another template is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadKind {
    /// `{% include %}`
    Include,
    /// `{% import %}`
    Import,
    /// `{% from … import %}`
    From,
    /// `{% extends %}`
    Extends,
}

/// A template asked for by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// How.
    pub kind: LoadKind,
    /// The name, when it is known.
    pub target: Option<String>,
    /// Where.
    pub place: Place,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrowthKind {
    /// Rounds of a loop, those of the loops around it multiplied in.
    Rounds,
    /// Length of a range, a repetition, a padding.
    Length,
    /// A variable is joined to itself again and again; the amount is how often it at least doubles, 0 for without end.
    Doubling,
    /// Loops inside each other; the amount is how many.
    Nesting,
}

/// Something that makes little text cost much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// What.
    pub kind: GrowthKind,
    /// How much.
    pub amount: u64,
    /// Where.
    pub place: Place,
}

/// A part that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
}
