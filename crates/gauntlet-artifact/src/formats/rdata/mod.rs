//! R's serialization (R Internals 1.8; `serialize.c`): what a loader would build, and what of it runs when touched.
//!
//! An explicit stack of tasks walks the stream, so nesting costs memory of the budget and never the machine's stack.

mod input;
mod names;

use std::collections::BTreeMap;
use std::io;

use gauntlet_limits::{Budget, Limit, LimitHit, Stream};
use serde::{Deserialize, Serialize};

use input::{Form, Input};
use names::kind_name;
pub(crate) use names::{reaches_out, runs_commands};

/// Entries of each list.
const ENTRIES: usize = 200;

/// Bindings of an environment that are computed when they are read (`ACTIVE_BINDING_MASK`).
const ACTIVE_BINDING: u32 = 1 << 15;

/// What an R file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RFacts {
    /// `xdr`, `ascii` or `native`.
    pub form: String,
    /// Written by `save()`: loading it sets variables.
    pub workspace: bool,
    /// Version of the format.
    pub version: u32,
    /// Names of variables at the top of a workspace, of attributes and list entries are not among them.
    pub variables: Vec<String>,
    /// How many values of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// Promises: code that runs when the value is touched (the first 200).
    pub promises: Vec<Promise>,
    /// Promises in all.
    pub promise_count: u64,
    /// Functions that commands and files are reached by, called from code in the file: name, and how often.
    pub calls: BTreeMap<String, u64>,
    /// Namespaces that are loaded with the file.
    pub namespaces: Vec<String>,
    /// Bindings that run a function when they are read.
    pub active_bindings: u64,
    /// Behind the last byte of the last value.
    pub end: u64,
}

/// Code that runs when its value is touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promise {
    /// Where it begins.
    pub offset: u64,
    /// It has no value yet, so that its code will run.
    pub pending: bool,
    /// It is an argument in the environment of a function, where R itself leaves promises.
    pub in_environment: bool,
    /// What it calls (the first 200 names).
    pub calls: Vec<String>,
}

/// Why a file was not read whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RError {
    /// The medium, a limit, or an end that comes early.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A limit.
    #[error("{0}")]
    Limit(#[from] LimitHit),
    /// The structure is broken.
    #[error("at byte {offset}: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        offset: u64,
    },
}

/// Whether `prefix` begins a file of `saveRDS`, `serialize` or `save`.
pub(crate) fn looks_like(prefix: &[u8]) -> bool {
    let behind = |magics: [&[u8]; 3]| magics.iter().find_map(|magic| prefix.strip_prefix(*magic));
    let body = behind([b"RDX2\n", b"RDA2\n", b"RDB2\n"]).or_else(|| behind([b"RDX3\n", b"RDA3\n", b"RDB3\n"]));
    let body = body.unwrap_or(prefix);
    matches!(
        body,
        [b'X', b'\n', 0, 0, 0, 1..=3, 0, _, _, _, ..]
            | [b'B', b'\n', 1..=3, 0, 0, 0, _, _, _, 0, ..]
            | [b'A', b'\n', b'1'..=b'3', b'\n', b'0'..=b'9', ..]
    )
}

/// Walks a stream to the end of its value; an error comes with everything that was seen before it.
pub(crate) fn read(stream: &mut dyn Stream, budget: &Budget) -> (RFacts, Result<(), RError>) {
    let mut walker = Walker {
        input: Input { stream, form: Form::Xdr, peeked: None },
        budget,
        facts: RFacts::default(),
        tasks: Vec::new(),
        references: Vec::new(),
    };
    let done = walker.run();
    walker.facts.end = walker.input.position();
    (walker.facts, done)
}

/// Where a value stands, which decides what its kind means.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Index of the promise whose code this is part of.
    promise: Option<usize>,
    /// Inside an environment.
    environment: bool,
    /// The first position of a call: its symbol is what is called.
    callee: bool,
    /// Part of what stands in that position, as in `base::system(...)`.
    qualified: bool,
    /// The tag of a binding at the top of a workspace.
    variable: bool,
    /// The list of a workspace's variables.
    workspace: bool,
    /// The place of a promise's value.
    value_of: Option<usize>,
}

impl Place {
    /// What parts of a value inherit.
    fn inner(self) -> Self {
        Self { promise: self.promise, environment: self.environment, ..Self::default() }
    }
}

enum Task {
    Item(Place),
    /// So many items.
    Items(u64, Place),
    /// Byte code: an item, then constants.
    Code(Place),
    Constants(Place),
    /// So many constants of byte code.
    Constant(u64, Place),
    /// A call or list inside byte code, whose kind comes first.
    Call(Place),
}

struct Walker<'a, 'b> {
    input: Input<'a>,
    budget: &'b Budget,
    facts: RFacts,
    tasks: Vec<Task>,
    /// Symbols by their place in the reference table; other entries have no name.
    references: Vec<Option<String>>,
}

impl Walker<'_, '_> {
    fn run(&mut self) -> Result<(), RError> {
        self.header()?;
        let place = Place { workspace: self.facts.workspace, ..Place::default() };
        self.tasks.push(Task::Item(place));
        while let Some(task) = self.tasks.pop() {
            self.budget.steps(1)?;
            match task {
                Task::Item(place) => self.item(place)?,
                Task::Items(0, _) | Task::Constant(0, _) => {}
                Task::Items(n, place) => {
                    self.push(Task::Items(n - 1, place))?;
                    self.push(Task::Item(place))?;
                }
                Task::Code(place) => {
                    self.push(Task::Constants(place))?;
                    self.push(Task::Item(place))?;
                }
                Task::Constants(place) => {
                    let n = self.input.count()?;
                    self.push(Task::Constant(n, place))?;
                }
                Task::Constant(n, place) => {
                    self.push(Task::Constant(n - 1, place))?;
                    match self.input.kind()? {
                        21 => self.push(Task::Code(place))?,
                        kind @ (2 | 6 | 239 | 240 | 243 | 244) => self.call(kind, place)?,
                        _ => self.push(Task::Item(place))?,
                    }
                }
                Task::Call(place) => {
                    let kind = self.input.kind()?;
                    self.call(kind, place)?;
                }
            }
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), RError> {
        let mut start = [0; 2];
        self.input.stream.read_exact(&mut start)?;
        if &start == b"RD" {
            let mut rest = [0; 3];
            self.input.stream.read_exact(&mut rest)?;
            self.facts.workspace = true;
            self.input.stream.read_exact(&mut start)?;
        }
        (self.input.form, self.facts.form) = match &start {
            b"X\n" => (Form::Xdr, "xdr".to_owned()),
            b"A\n" => (Form::Ascii, "ascii".to_owned()),
            b"B\n" => (Form::Native, "native".to_owned()),
            _ => return Err(self.malformed("no form of R's serialization")),
        };
        self.facts.version = self.input.word()?;
        let (_writer, _reader) = (self.input.word()?, self.input.word()?);
        match self.facts.version {
            2 => Ok(()),
            3 => {
                let len = self.input.count()?;
                self.input.bytes(len)?;
                Ok(())
            }
            _ => Err(self.malformed("unknown version of the format")),
        }
    }

    fn push(&mut self, task: Task) -> Result<(), RError> {
        self.budget.limits().check(Limit::Nodes, self.tasks.len() as u64 + 1)?;
        self.tasks.push(task);
        Ok(())
    }

    fn reference(&mut self, name: Option<String>) -> Result<(), RError> {
        self.budget.limits().check(Limit::Nodes, self.references.len() as u64 + 1)?;
        self.references.push(name);
        Ok(())
    }

    fn item(&mut self, place: Place) -> Result<(), RError> {
        let offset = self.input.position();
        let flags = self.input.word()?;
        let kind = flags & 0xff;
        let has = |bit: u32| flags & bit != 0;
        let (attributes, tag) = (has(0x200), has(0x400));
        let inner = place.inner();
        *self.facts.kinds.entry(kind_name(kind).to_owned()).or_default() += 1;
        if let Some(promise) = place.value_of.and_then(|at| self.facts.promises.get_mut(at)) {
            promise.pending = kind == UNBOUND;
        }
        match kind {
            // nil, global, unbound, missing, base namespace, empty and base environments
            254 | 253 | UNBOUND | 251 | 250 | 242 | 241 => {}
            255 => {
                let index = match flags >> 8 {
                    0 => self.input.word()?,
                    index => index,
                };
                let known = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
                let Some(name) = known.and_then(|at| self.references.get(at)).cloned() else {
                    return Err(self.malformed("reference to nothing"));
                };
                self.named(name.as_deref(), place);
            }
            // A symbol is its name, which is a value of its own.
            1 => {
                let header = self.input.word()?;
                if header & 0xff != 9 {
                    return Err(self.malformed("symbol without a name"));
                }
                let len = self.input.count()?;
                let name = self.input.name(len)?;
                self.named(Some(&name), place);
                self.reference(Some(name))?;
            }
            // package, namespace, persistent
            247..=249 => {
                self.input.word()?;
                let n = self.input.count()?;
                for part in 0..n {
                    self.budget.steps(1)?;
                    let header = self.input.word()?;
                    if header & 0xff != 9 {
                        return Err(self.malformed("name that is no text"));
                    }
                    let len = self.input.count()?;
                    let name = self.input.name(len)?;
                    if part == 0 && kind == 249 && self.facts.namespaces.len() < ENTRIES {
                        self.facts.namespaces.push(name);
                    }
                }
                self.reference(None)?;
            }
            // environment: locked, then enclosure, frame, table, attributes
            4 => {
                self.input.word()?;
                self.reference(None)?;
                let frame = Place { environment: true, ..Place::default() };
                self.push(Task::Items(4, frame))?;
            }
            // pairs: attributes, tag, head, tail
            2 | 3 | 5 | 6 | 17 => self.pair(flags, offset, attributes, tag, place)?,
            // special and builtin functions
            7 | 8 => {
                let len = self.input.count()?;
                let name = self.input.name(len)?;
                self.called(&name, inner);
            }
            // external pointer: its own values, then attributes; weak reference: attributes only
            22 => {
                self.reference(None)?;
                self.push(Task::Items(2 + u64::from(attributes), inner))?;
            }
            23 => {
                self.reference(None)?;
                self.push(Task::Items(u64::from(attributes), inner))?;
            }
            9 => {
                let len = self.input.length()?;
                if let Some(len) = len {
                    self.input.text(len)?;
                }
                self.push(Task::Items(u64::from(attributes), inner))?;
            }
            10 | 13 | 14 | 15 | 24 => {
                let len = self.input.long()?;
                match kind {
                    10 | 13 => self.input.numbers(len, 4, 1, self.budget)?,
                    14 => self.input.numbers(len, 8, 1, self.budget)?,
                    15 => self.input.numbers(len, 16, 2, self.budget)?,
                    _ => self.input.raw(len, self.budget)?,
                }
                self.push(Task::Items(u64::from(attributes), inner))?;
            }
            // texts, lists, expressions
            16 | 19 | 20 => {
                let len = self.input.long()?;
                self.push(Task::Items(u64::from(attributes), inner))?;
                self.push(Task::Items(len, inner))?;
            }
            25 => self.push(Task::Items(u64::from(attributes), inner))?,
            // byte code: the number of shared parts, then code
            21 => {
                self.input.word()?;
                self.push(Task::Items(u64::from(attributes), inner))?;
                self.push(Task::Code(inner))?;
            }
            // compact vectors: class, state, attributes
            238 => self.push(Task::Items(3, inner))?,
            _ => return Err(self.malformed("unknown kind of value")),
        }
        Ok(())
    }

    fn pair(&mut self, flags: u32, offset: u64, attributes: bool, tag: bool, place: Place) -> Result<(), RError> {
        let kind = flags & 0xff;
        let inner = place.inner();
        let mut head = inner;
        let mut tail = inner;
        let mut name = inner;
        match kind {
            5 => {
                self.facts.promise_count += 1;
                let at = self.facts.promises.len();
                if at < ENTRIES {
                    let in_environment = place.environment;
                    self.facts.promises.push(Promise { offset, in_environment, ..Promise::default() });
                    head.value_of = Some(at);
                    tail.promise = Some(at);
                }
            }
            6 => {
                head.callee = true;
                tail.qualified = place.callee || place.qualified;
            }
            2 if place.qualified => (head.qualified, tail.qualified) = (true, true),
            2 if place.workspace => {
                name.variable = true;
                tail.workspace = true;
            }
            2 if place.environment && (flags >> 12) & ACTIVE_BINDING != 0 => self.facts.active_bindings += 1,
            _ => {}
        }
        // The stack hands them out in reverse.
        self.push(Task::Item(tail))?;
        self.push(Task::Item(head))?;
        if tag {
            self.push(Task::Item(name))?;
        }
        if attributes {
            self.push(Task::Item(inner))?;
        }
        Ok(())
    }

    /// A call or list inside byte code (`ReadBCLang`), whose kind was read.
    fn call(&mut self, mut kind: u32, place: Place) -> Result<(), RError> {
        if kind == 243 {
            self.input.word()?;
            return Ok(());
        }
        if kind == 244 {
            self.input.word()?;
            kind = self.input.kind()?;
        }
        if !matches!(kind, 2 | 6 | 239 | 240) {
            return self.push(Task::Item(place));
        }
        let head = Place { callee: matches!(kind, 6 | 240), ..place };
        self.push(Task::Call(Place { callee: false, ..place }))?;
        self.push(Task::Call(head))?;
        // The tag, behind the attributes of the kinds that have some.
        self.push(Task::Items(1 + u64::from(kind >= 239), Place { callee: false, ..place }))
    }

    fn named(&mut self, name: Option<&str>, place: Place) {
        let Some(name) = name else { return };
        // In a promise every mention of such a function counts, however it is called.
        if place.callee || place.qualified || (place.promise.is_some() && runs_commands(name)) {
            self.called(name, place);
        }
        if place.variable && self.facts.variables.len() < ENTRIES {
            self.facts.variables.push(name.to_owned());
        }
    }

    fn called(&mut self, name: &str, place: Place) {
        if let Some(promise) = place.promise.and_then(|at| self.facts.promises.get_mut(at))
            && promise.calls.len() < ENTRIES
        {
            promise.calls.push(name.to_owned());
        }
        if reaches_out(name) {
            *self.facts.calls.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn malformed(&self, what: &'static str) -> RError {
        RError::Malformed { what, offset: self.input.position() }
    }
}

const UNBOUND: u32 = 252;

#[cfg(test)]
mod tests {
    use gauntlet_limits::{Cursor, Limits};

    use super::*;

    fn scan(bytes: &[u8]) -> (RFacts, Result<(), RError>) {
        let source = bytes.to_vec();
        read(&mut Cursor::new(&source, 0), &Budget::default())
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn symbol(name: &str) -> Vec<u8> {
        [words(&[1, 0x0004_0009, name.len() as u32]), name.as_bytes().to_vec()].concat()
    }

    fn header() -> Vec<u8> {
        [b"X\n".to_vec(), words(&[2, 0x0004_0300, 0x0002_0300])].concat()
    }

    #[test]
    fn a_qualified_call_is_a_call() {
        // base::system(NULL), as a promise without a value
        let inner =
            [words(&[6]), symbol("::"), words(&[2]), symbol("base"), words(&[2]), symbol("system"), words(&[254])];
        let call = [words(&[6]), inner.concat(), words(&[254])].concat();
        let (facts, done) = scan(&[header(), words(&[0x405, 253, UNBOUND]), call.clone()].concat());
        done.unwrap();
        assert_eq!(facts.promises.len(), 1);
        assert!(facts.promises[0].pending && facts.promises[0].calls.iter().any(|name| name == "system"));
        // The same call in a function: formals are nothing, the environment is the global one.
        let (facts, done) = scan(&[header(), words(&[0x403, 253, 254]), call].concat());
        done.unwrap();
        assert_eq!(facts.calls.get("system"), Some(&1));
        assert!(facts.promises.is_empty());
    }

    #[test]
    fn hostile_structures_are_errors_within_limits() {
        for bytes in [
            [header(), words(&[0xff00_00ff])].concat(),
            [header(), words(&[14, 0x7fff_ffff])].concat(),
            [header(), words(&[14, u32::MAX, u32::MAX, 0])].concat(),
            [header(), words(&[77])].concat(),
            [b"X\n".to_vec(), words(&[9, 0, 0])].concat(),
            header(),
        ] {
            assert!(scan(&bytes).1.is_err(), "{bytes:?}");
        }
        // Lists in lists: a stack of its own, and a limit on it.
        let deep = [header(), words(&[19, 1]).repeat(100_000)].concat();
        assert!(scan(&deep).1.is_err());
        let source = [header(), words(&[6]).repeat(5000)].concat();
        let budget = Budget::new(Limits { nodes: 1000, ..Limits::default() });
        assert!(matches!(read(&mut Cursor::new(&source, 0), &budget).1, Err(RError::Limit(_))));
    }

    #[test]
    fn forms_are_recognised() {
        for start in
            [&b"X\n\0\0\0\x03\0\x04\x03\0"[..], b"RDX3\nX\n\0\0\0\x03\0\x04\x03\0", b"A\n3\n262", b"RDA2\nA\n2\n1"]
        {
            assert!(looks_like(start), "{start:?}");
        }
        for start in [&b""[..], b"X\n", b"X\nthe text", b"A\nB\n", b"RDX3\n"] {
            assert!(!looks_like(start), "{start:?}");
        }
    }
}
