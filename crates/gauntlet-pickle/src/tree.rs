//! The value of one stream as a graph: containers with their items, calls with their arguments, nothing executed.
//!
//! A view over what the machine leaves behind, so sharing is kept and nothing is copied: a value that a hostile
//! stream doubles a million times is one node, and a container may hold itself. Whoever walks must not recurse.

use gauntlet_limits::{Budget, Cursor, Stream};

use crate::facts::{List, Origin, StreamEnd, StreamFacts};
use crate::input::Input;
use crate::machine::{Machine, Outcome, Registry};
use crate::value::{Heap, Node, Value};

/// Interprets the one stream that starts at the stream's position.
///
/// Never fails: how it ended is in [`Tree::facts`], and only a stream that reached STOP has a [`Tree::root`]. Nodes and
/// steps are bounded by the budget's limits. Bytes read ahead are lost to the caller; the next stream, if any, starts
/// at `facts().offset + facts().len`.
#[must_use]
pub fn tree(stream: &mut dyn Stream, budget: &Budget) -> Tree {
    let mut registry = Registry::default();
    let mut input = Input::new(stream);
    let outcome = Machine::new(&mut input, budget, &mut registry).keep_tree().run(Origin::First);
    let Outcome { facts, nested, io_error, result, heap, globals, .. } = outcome;
    let root = result.filter(|_| facts.end == StreamEnd::Stop).map(Ref);
    Tree { heap, globals, root, nested: nested.len(), io_error, facts }
}

/// The final value of a stream and all that it holds.
#[derive(Debug)]
pub struct Tree {
    heap: Heap,
    globals: Vec<(String, String)>,
    root: Option<Ref>,
    nested: usize,
    io_error: Option<String>,
    facts: StreamFacts,
}

/// Names one value of a tree; equal references name the same value. Meaningless in another tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ref(Value);

/// What one value is.
#[derive(Clone, Debug)]
pub enum Item<'t> {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A larger integer: two's complement, little endian.
    BigInt(&'t [u8]),
    /// A float; its value is not kept.
    Float,
    /// Text as UTF-8 (protocol 0 to 2 may hold other bytes).
    Str(&'t [u8]),
    /// Bytes: their number, those kept in memory when that is all of them, and where they lie in the stream when they
    /// are a literal.
    Bytes {
        /// Number of bytes.
        len: u64,
        /// All of them, unless there are too many.
        kept: Option<&'t [u8]>,
        /// Position in the stream.
        offset: Option<u64>,
    },
    /// A global, named as Python 3 looks it up.
    Global {
        /// Module.
        module: &'t str,
        /// Name, with dots where it is an attribute of an attribute.
        name: &'t str,
    },
    /// A list, tuple, set or frozen set.
    Seq {
        /// `list`, `tuple`, `set` or `frozenset`.
        kind: &'static str,
        /// Its elements.
        items: Items<'t>,
    },
    /// A dict, in the order in which items were set; keys may repeat.
    Dict {
        /// Keys and values.
        pairs: Pairs<'t>,
    },
    /// What a call would return.
    Call(CallValue<'t>),
    /// What the loader's `persistent_load` would return for an id.
    Persistent {
        /// The id.
        id: Ref,
    },
    /// A value whose content was not kept, or that has no form of its own (a bound method, a module, an array that
    /// follows in the stream, an extension code).
    Unknown {
        /// What kind of value.
        kind: &'static str,
    },
}

/// Values of a container, in order.
#[derive(Clone, Copy, Debug)]
pub struct Items<'t>(&'t [Value]);

impl<'t> Items<'t> {
    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(self, at: usize) -> Option<Ref> {
        self.0.get(at).copied().map(Ref)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Ref> + 't {
        self.0.iter().copied().map(Ref)
    }
}

/// Keys and values, in the order in which they were set.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'t>(&'t [(Value, Value)]);

impl<'t> Pairs<'t> {
    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = (Ref, Ref)> + 't {
        self.0.iter().map(|(key, value)| (Ref(*key), Ref(*value)))
    }
}

/// A call and what was done to its result.
#[derive(Clone, Copy, Debug)]
pub struct CallValue<'t> {
    /// What is called.
    pub callee: Ref,
    /// Positional arguments as they were when the call was made; containers among them may have been changed since.
    pub args: Items<'t>,
    /// Whether `args` is all that is passed by position; else it is one value that stands for them.
    pub args_known: bool,
    /// The dict of keyword arguments.
    pub kwargs: Option<Ref>,
    /// Elements appended to the result.
    pub appended: Items<'t>,
    /// Items set on the result, as on a dict.
    pub pairs: Pairs<'t>,
    /// Every state given by BUILD, in order.
    pub states: Items<'t>,
}

impl Tree {
    /// The value that the stream hands out, when it reached STOP.
    #[must_use]
    pub fn root(&self) -> Option<Ref> {
        self.root
    }

    /// What is known of the stream as a whole: its end, its imports, its anomalies.
    #[must_use]
    pub fn facts(&self) -> &StreamFacts {
        &self.facts
    }

    /// Why reading failed, when it did.
    #[must_use]
    pub fn io_error(&self) -> Option<&str> {
        self.io_error.as_deref()
    }

    /// Every global that the stream imports, whether or not the final value holds it; `None` when there were too many
    /// to keep.
    #[must_use]
    pub fn globals(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        let all = !self.facts.truncated.contains(&List::Imports);
        all.then(|| self.globals.iter().map(|(module, name)| (module.as_str(), name.as_str())))
    }

    /// Whether the final value tells all that the stream does: nothing but globals was called, no call was evaluated
    /// away, no call's result was dropped or is a pickle of its own, and nothing was changed but containers and results.
    #[must_use]
    pub fn tells_all(&self) -> bool {
        let untold = self.heap.extra.as_ref().is_none_or(|extra| extra.untold);
        let dropped = self.facts.anomalies.iter().any(|a| {
            matches!(a.kind, crate::facts::AnomalyKind::CallResultDropped | crate::facts::AnomalyKind::ValuesLeft)
        });
        !untold && !dropped && self.nested == 0 && self.heap.lost == 0 && self.facts.extensions.is_empty()
    }

    /// What `value` is.
    #[must_use]
    pub fn item(&self, value: Ref) -> Item<'_> {
        match value.0 {
            Value::None => Item::None,
            Value::Bool(value) => Item::Bool(value),
            Value::Int(value) => Item::Int(value),
            Value::Float => Item::Float,
            Value::Big(id) => self.heap.whole(id).map_or(Item::Unknown { kind: "int" }, Item::BigInt),
            Value::Str(id) => self.heap.whole(id).map_or(Item::Unknown { kind: "str" }, Item::Str),
            Value::Bytes(id) => {
                let blob = self.heap.blob(id);
                let offset = (blob.offset != crate::value::COMPUTED).then_some(blob.offset);
                Item::Bytes { len: blob.len, kept: self.heap.whole(id), offset }
            }
            Value::Global(id) => match self.globals.get(id as usize) {
                Some((module, name)) => Item::Global { module, name },
                None => Item::Unknown { kind: "global" },
            },
            Value::Node(id) => self.node(id, value.0),
            Value::Ext(_) | Value::Buffer | Value::Array | Value::Lost(_) => {
                Item::Unknown { kind: self.heap.kind(value.0) }
            }
        }
    }

    fn node(&self, id: u32, value: Value) -> Item<'_> {
        let kind = self.heap.kind(value);
        match self.heap.node(id) {
            Node::Seq { len, items, .. } if *len == items.len() as u64 => Item::Seq { kind, items: Items(items) },
            Node::Dict { len, pairs } if *len == pairs.len() as u64 => Item::Dict { pairs: Pairs(pairs) },
            Node::Call { callee, args, args_known, .. } => {
                let extra = self.heap.extra.as_ref().and_then(|extra| extra.calls.get(&id));
                Item::Call(CallValue {
                    callee: Ref(*callee),
                    args: Items(args),
                    args_known: *args_known,
                    kwargs: extra.and_then(|e| e.kwargs).map(Ref),
                    appended: Items(extra.map_or(&[], |e| &e.appended)),
                    pairs: Pairs(extra.map_or(&[], |e| &e.pairs)),
                    states: Items(extra.map_or(&[], |e| &e.states)),
                })
            }
            Node::Pers { pid } => Item::Persistent { id: Ref(*pid) },
            Node::Seq { .. } | Node::Dict { .. } | Node::Module { .. } | Node::Method { .. } => Item::Unknown { kind },
        }
    }
}

/// [`tree`] over bytes in memory, with every value that the root reaches looked at once: the entry for fuzzing.
/// Returns how many values there are.
#[must_use]
pub fn exercise_tree(bytes: &[u8], budget: &Budget) -> usize {
    let bytes = bytes.to_vec();
    let tree = tree(&mut Cursor::new(&bytes, 0), budget);
    let mut seen = std::collections::HashSet::new();
    let mut todo: Vec<Ref> = tree.root().into_iter().collect();
    while let Some(value) = todo.pop() {
        if !seen.insert(value) {
            continue;
        }
        match tree.item(value) {
            Item::Seq { items, .. } => todo.extend(items.iter()),
            Item::Dict { pairs } => todo.extend(pairs.iter().flat_map(|(key, value)| [key, value])),
            Item::Persistent { id } => todo.push(id),
            Item::Call(call) => {
                todo.push(call.callee);
                todo.extend(call.args.iter().chain(call.kwargs).chain(call.appended.iter()).chain(call.states.iter()));
                todo.extend(call.pairs.iter().flat_map(|(key, value)| [key, value]));
            }
            _ => {}
        }
    }
    seen.len()
}

#[cfg(test)]
mod tests {
    use gauntlet_limits::Limits;

    use super::*;

    fn read(bytes: &[u8]) -> Tree {
        tree(&mut Cursor::new(&bytes.to_vec(), 0), &Budget::new(Limits::default()))
    }

    #[test]
    fn items_set_on_a_call_and_its_states_are_kept_in_order() {
        let tree = read(b"\x80\x02ccollections\nOrderedDict\n)RU\x01aK\x01sU\x01bK\x02s}U\x01mNsb.");
        assert!(tree.tells_all());
        assert_eq!(tree.globals().unwrap().collect::<Vec<_>>(), [("collections", "OrderedDict")]);
        let Item::Call(call) = tree.item(tree.root().unwrap()) else { panic!("no call") };
        assert!(matches!(tree.item(call.callee), Item::Global { module: "collections", name: "OrderedDict" }));
        let keys: Vec<_> = call.pairs.iter().map(|(key, _)| format!("{:?}", tree.item(key))).collect();
        assert_eq!(keys, ["Str([97])", "Str([98])"]);
        assert_eq!((call.states.len(), call.args.len(), call.appended.len()), (1, 0, 0));
    }

    #[test]
    fn sharing_is_kept_and_a_list_may_hold_itself() {
        let tree = read(b"]q\x00h\x00a.");
        let root = tree.root().unwrap();
        let Item::Seq { items, kind: "list" } = tree.item(root) else { panic!("no list") };
        assert_eq!(items.get(0), Some(root));
    }

    #[test]
    fn a_doubling_stream_stays_small() {
        let mut bytes = b"]q\x00".to_vec();
        for _ in 0..10_000 {
            bytes.extend(b"h\x00h\x00\x86q\x00");
        }
        bytes.push(b'.');
        assert_eq!(exercise_tree(&bytes, &Budget::new(Limits::default())), 10_001);
    }

    #[test]
    fn streams_without_stop_have_no_root() {
        for bytes in [&b"]q\x00"[..], b"", b"\xff", b"(lp0\n"] {
            assert!(read(bytes).root().is_none());
        }
    }

    #[test]
    fn what_the_value_does_not_show_is_said() {
        for bytes in [
            &b"cos\nsystem\n)R0N."[..],             // result dropped
            b"cm\nf\n)R)R.",                        // a result is called
            b"cbase64\nb64decode\nU\x04YWJj\x85R.", // evaluated away
            b"cm\nx\nU\x01aK\x01s.",                // an item set on a global
            b"\x82\x01.",                           // an extension code
        ] {
            assert!(!read(bytes).tells_all(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn values_over_the_limits_are_unknown_and_said() {
        let bytes = [b"(".to_vec(), b"K\x01".repeat(5000), b"l.".to_vec()].concat();
        let tree = read(&bytes);
        assert!(matches!(tree.item(tree.root().unwrap()), Item::Unknown { kind: "list" }));
    }
}
