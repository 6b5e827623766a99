//! The pickle machine: stack, marks and memo over abstract values. Nothing is imported and nothing is called.

use std::collections::HashMap;

use gauntlet_limits::{Budget, Limit, LimitHit};

use crate::facts::{AnomalyKind, ImportOp, Origin, Resolved, Role, StreamEnd, StreamFacts};
use crate::input::{Input, Short};
use crate::memo::{Memo, Stored};
use crate::opcode::*;
use crate::record::Recorder;
use crate::text::{self, Number};
use crate::value::{Heap, Kind, Node, Value};

/// Why the machine stopped.
#[derive(Debug)]
pub(crate) enum Halt {
    Short(Short),
    Malformed(&'static str),
    Limit(LimitHit),
}

impl From<Short> for Halt {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

impl From<LimitHit> for Halt {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}

/// What outlives one stream: a process that loads several pickles keeps its extension registry.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) extensions: HashMap<i64, (String, String)>,
    /// The memo of the stream before: one `Unpickler` keeps it over several loads.
    pub(crate) earlier: HashMap<u64, Earlier>,
}

/// What is known of a value of the stream before.
#[derive(Clone, Debug)]
pub(crate) enum Earlier {
    Global(String, String),
    Text(Vec<u8>),
    Other(Kind),
}

/// Bytes found in a call that are a pickle of their own.
pub(crate) struct NestedJob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) via: String,
    pub(crate) offset: u64,
    pub(crate) complete: bool,
    pub(crate) literal_at: Option<u64>,
    pub(crate) len: u64,
}

/// What a run leaves behind.
pub(crate) struct Outcome {
    pub(crate) facts: StreamFacts,
    pub(crate) nested: Vec<NestedJob>,
    pub(crate) sources: Vec<(u64, Option<String>)>,
    pub(crate) io_error: Option<String>,
    /// The value of STOP, for those who know what it should be.
    pub(crate) result: Option<Value>,
    pub(crate) heap: Heap,
    /// Module and name, as Python 3 looks them up, of each global by its index.
    pub(crate) globals: Vec<(String, String)>,
}

pub(crate) struct Machine<'r, 'i> {
    pub(crate) input: &'r mut Input<'i>,
    pub(crate) budget: &'r Budget,
    pub(crate) registry: &'r mut Registry,
    pub(crate) heap: Heap,
    pub(crate) record: Recorder,
    pub(crate) stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
    /// Outer unpicklers, while one for an array of objects runs.
    outer: Vec<(Vec<Value>, Vec<usize>, Memo)>,
    line: Vec<u8>,
    empty_tuple: Option<Value>,
    pub(crate) proto: u8,
    announced: Option<u8>,
    frame_end: u64,
    pub(crate) at: u64,
    opcodes: u64,
    /// Steps not yet taken from the budget.
    pub(crate) unpaid: u64,
    height: usize,
    stacked: bool,
}

/// How many steps are counted before the shared budget is asked.
const BATCH: u64 = 1024;
/// Unpicklers inside unpicklers.
const OUTER: usize = 16;
/// The recursion limit of CPython.
const DEEP: u32 = 1000;
/// Values that no machine has the memory for.
const EXPANSION: u64 = 1 << 36;

impl<'r, 'i> Machine<'r, 'i> {
    pub(crate) fn new(input: &'r mut Input<'i>, budget: &'r Budget, registry: &'r mut Registry) -> Self {
        let nodes = usize::try_from(budget.limits().nodes).unwrap_or(usize::MAX);
        Self {
            input,
            budget,
            registry,
            heap: Heap::new(budget.limits()),
            record: Recorder::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            outer: Vec::new(),
            line: Vec::new(),
            empty_tuple: None,
            proto: 0,
            announced: None,
            frame_end: 0,
            at: 0,
            opcodes: 0,
            unpaid: 0,
            height: nodes.saturating_mul(4),
            stacked: false,
        }
    }

    /// Keeps what a tree needs beyond the facts.
    pub(crate) fn keep_tree(mut self) -> Self {
        self.heap.extra = Some(crate::value::Extra::default());
        self
    }

    /// Interprets one stream from where the input stands.
    pub(crate) fn run(mut self, origin: Origin) -> Outcome {
        self.stacked = origin == Origin::Stacked;
        let start = self.input.position();
        let mut io_error = None;
        let done = self.interpret();
        if matches!(done, Err(Halt::Short(_))) && self.at < self.frame_end && self.holds_frame() {
            self.anomaly(AnomalyKind::SplitFrame);
        }
        let (end, result) = match done {
            Ok(value) => (StreamEnd::Stop, Some(value)),
            Err(Halt::Short(Short::End)) => (StreamEnd::Truncated, None),
            Err(Halt::Short(Short::Failed(error))) => {
                io_error = Some(error.to_string());
                let end = LimitHit::in_io(&error).map_or(StreamEnd::Truncated, |hit| StreamEnd::Limit { hit });
                (end, None)
            }
            Err(Halt::Short(Short::LongLine)) => {
                let allowed = self.budget.limits().text_bytes;
                (StreamEnd::Limit { hit: LimitHit { limit: Limit::TextBytes, allowed } }, None)
            }
            Err(Halt::Malformed(what)) => (StreamEnd::Malformed { what: what.to_owned(), offset: self.at }, None),
            Err(Halt::Limit(hit)) => (StreamEnd::Limit { hit }, None),
        };
        let end = match (end, self.budget.steps(self.unpaid)) {
            (StreamEnd::Limit { hit }, _) => StreamEnd::Limit { hit },
            (_, Err(hit)) => StreamEnd::Limit { hit },
            (end, Ok(())) => end,
        };
        if self.heap.largest.depth >= DEEP {
            self.anomaly(AnomalyKind::DeepNesting);
        }
        if self.heap.largest.size >= EXPANSION {
            self.anomaly(AnomalyKind::Expansion);
        }
        self.registry.earlier = self.memo.known(|value| self.record.earlier(&self.heap, value));
        let rendered = result.map(|value| self.record.render(&self.heap, value));
        // Only a tree asks for names after the run.
        let globals = if self.heap.extra.is_some() { self.record.globals() } else { Vec::new() };
        let (nested, sources) = (std::mem::take(&mut self.record.nested), std::mem::take(&mut self.record.sources));
        let mut facts = self.record.finish();
        facts.offset = start;
        facts.len = self.input.position() - start;
        facts.origin = origin;
        facts.protocol = self.announced;
        facts.opcodes = self.opcodes;
        facts.end = end;
        facts.result = rendered;
        facts.values_not_kept = self.heap.lost;
        Outcome { facts, nested, sources, io_error, result, heap: self.heap, globals }
    }

    fn interpret(&mut self) -> Result<Value, Halt> {
        let mut last = MARK;
        loop {
            // BUILD may be followed by a raw array, which lies behind the frame.
            if self.at < self.frame_end && self.input.position() > self.frame_end && last != BUILD {
                self.anomaly(AnomalyKind::SplitFrame);
            }
            self.unpaid += 1;
            if self.unpaid >= BATCH {
                self.pay()?;
            }
            self.at = self.input.position();
            let code = self.input.byte()?;
            last = code;
            self.opcodes += 1;
            match code {
                BININT1 => {
                    let n = self.input.byte()?;
                    self.push(Value::Int(i64::from(n)))?;
                }
                BININT2 => {
                    let n = u16::from_le_bytes(self.input.array()?);
                    self.push(Value::Int(i64::from(n)))?;
                }
                BININT => {
                    let n = i32::from_le_bytes(self.input.array()?);
                    self.push(Value::Int(i64::from(n)))?;
                }
                BINFLOAT => {
                    self.input.array::<8>()?;
                    self.push(Value::Float)?;
                }
                NONE => self.push(Value::None)?,
                NEWTRUE => self.push(Value::Bool(true))?,
                NEWFALSE => self.push(Value::Bool(false))?,
                INT | LONG => self.integer_line(code == LONG)?,
                FLOAT => {
                    self.read_line()?;
                    if !text::is_float(&self.line) {
                        self.anomaly(AnomalyKind::OddLiteral);
                    }
                    self.push(Value::Float)?;
                }
                LONG1 => {
                    let n = u64::from(self.input.byte()?);
                    self.long(n)?;
                }
                LONG4 => {
                    let n = i32::from_le_bytes(self.input.array()?);
                    let n = u64::try_from(n).map_err(|_| Halt::Malformed("negative length of an integer"))?;
                    self.long(n)?;
                }

                SHORT_BINUNICODE => {
                    let n = u64::from(self.input.byte()?);
                    self.counted(n, Kind::Str)?;
                }
                BINUNICODE => {
                    let n = u64::from(u32::from_le_bytes(self.input.array()?));
                    self.counted(n, Kind::Str)?;
                }
                BINUNICODE8 => {
                    let n = u64::from_le_bytes(self.input.array()?);
                    self.counted(n, Kind::Str)?;
                }
                SHORT_BINSTRING => {
                    let n = u64::from(self.input.byte()?);
                    self.counted(n, Kind::Str)?;
                }
                BINSTRING => {
                    let n = i32::from_le_bytes(self.input.array()?);
                    let n = u64::try_from(n).map_err(|_| Halt::Malformed("negative length of a string"))?;
                    self.counted(n, Kind::Str)?;
                }
                SHORT_BINBYTES => {
                    let n = u64::from(self.input.byte()?);
                    self.counted(n, Kind::Bytes)?;
                }
                BINBYTES => {
                    let n = u64::from(u32::from_le_bytes(self.input.array()?));
                    self.counted(n, Kind::Bytes)?;
                }
                BINBYTES8 | BYTEARRAY8 => {
                    let n = u64::from_le_bytes(self.input.array()?);
                    self.counted(n, Kind::Bytes)?;
                }
                STRING => self.string_line()?,
                UNICODE => {
                    self.read_line()?;
                    let bytes = text::raw_unicode(&self.line);
                    let value = self.heap.add_str(&bytes, self.at);
                    self.push(value)?;
                }

                MARK => {
                    if self.marks.len() >= self.height {
                        return Err(self.too_many_values());
                    }
                    self.marks.push(self.stack.len());
                }
                POP => {
                    if self.marks.last() == Some(&self.stack.len()) {
                        self.marks.pop();
                    } else {
                        let value = self.pop()?;
                        if self.record.is_call(&self.heap, value) {
                            self.anomaly(AnomalyKind::CallResultDropped);
                        }
                    }
                }
                POP_MARK => {
                    let from = self.mark()?;
                    self.stack.truncate(from);
                }
                DUP => {
                    let value = self.top()?;
                    self.push(value)?;
                }

                EMPTY_TUPLE => {
                    let value = match self.empty_tuple {
                        Some(value) => value,
                        None => *self.empty_tuple.insert(self.heap.seq(Kind::Tuple, &[])),
                    };
                    self.push(value)?;
                }
                TUPLE1 => self.small_tuple(1)?,
                TUPLE2 => self.small_tuple(2)?,
                TUPLE3 => self.small_tuple(3)?,
                TUPLE => self.collect(Kind::Tuple)?,
                LIST => self.collect(Kind::List)?,
                FROZENSET => self.collect(Kind::FrozenSet)?,
                EMPTY_LIST => {
                    let value = self.heap.seq(Kind::List, &[]);
                    self.push(value)?;
                }
                EMPTY_SET => {
                    let value = self.heap.seq(Kind::Set, &[]);
                    self.push(value)?;
                }
                EMPTY_DICT => {
                    let value = self.heap.add(Node::Dict { len: 0, pairs: Vec::new() });
                    self.push(value)?;
                }
                DICT => {
                    let from = self.mark()?;
                    if !(self.stack.len() - from).is_multiple_of(2) {
                        return Err(Halt::Malformed("odd number of items for a dict"));
                    }
                    let dict = self.heap.add(Node::Dict { len: 0, pairs: Vec::new() });
                    self.heap.set_items(dict, &self.stack[from..]);
                    self.stack.truncate(from);
                    self.push(dict)?;
                }
                APPEND => {
                    self.need(2)?;
                    let from = self.stack.len() - 1;
                    self.add_items("APPEND", from)?;
                }
                APPENDS => {
                    let from = self.mark()?;
                    self.add_items("APPENDS", from)?;
                }
                ADDITEMS => {
                    let from = self.mark()?;
                    self.add_items("ADDITEMS", from)?;
                }
                SETITEM => {
                    self.need(3)?;
                    let from = self.stack.len() - 2;
                    self.set_items("SETITEM", from)?;
                }
                SETITEMS => {
                    let from = self.mark()?;
                    let odd = !(self.stack.len() - from).is_multiple_of(2);
                    // The Python unpickler sets the pairs before it fails on the item without a partner.
                    self.set_items("SETITEMS", from)?;
                    if odd {
                        return Err(Halt::Malformed("odd number of items for SETITEMS"));
                    }
                }

                GET => {
                    self.read_line()?;
                    let index = text::index(&self.line).ok_or(Halt::Malformed("memo index is no number"))?;
                    self.get(index)?;
                }
                BINGET => {
                    let index = self.input.byte()?;
                    self.get(u64::from(index))?;
                }
                LONG_BINGET => {
                    let index = u32::from_le_bytes(self.input.array()?);
                    self.get(u64::from(index))?;
                }
                PUT => {
                    self.read_line()?;
                    let index = text::index(&self.line).ok_or(Halt::Malformed("memo index is no number"))?;
                    self.put(index)?;
                }
                BINPUT => {
                    let index = self.input.byte()?;
                    self.put(u64::from(index))?;
                }
                LONG_BINPUT => {
                    let index = u32::from_le_bytes(self.input.array()?);
                    self.put(u64::from(index))?;
                }
                MEMOIZE => self.put(self.memo.count() as u64)?,

                GLOBAL => {
                    let (module, name) = self.two_lines()?;
                    let value = self.import(module, name, ImportOp::Global, Resolved::Literal);
                    self.push(value)?;
                }
                STACK_GLOBAL => self.stack_global()?,
                EXT1 => {
                    let code = i64::from(self.input.byte()?);
                    self.extension(code)?;
                }
                EXT2 => {
                    let code = i64::from(u16::from_le_bytes(self.input.array()?));
                    self.extension(code)?;
                }
                EXT4 => {
                    let code = i64::from(i32::from_le_bytes(self.input.array()?));
                    self.extension(code)?;
                }
                REDUCE => {
                    let args = self.pop()?;
                    let callee = self.pop()?;
                    let value = self.apply(callee, args, None, Role::Reduce)?;
                    self.push(value)?;
                }
                NEWOBJ => {
                    let args = self.pop()?;
                    let class = self.pop()?;
                    let value = self.apply(class, args, None, Role::NewObj)?;
                    self.push(value)?;
                }
                NEWOBJ_EX => {
                    let kwargs = self.pop()?;
                    let args = self.pop()?;
                    let class = self.pop()?;
                    let value = self.apply(class, args, Some(kwargs), Role::NewObjEx)?;
                    self.push(value)?;
                }
                INST => {
                    let (module, name) = self.two_lines()?;
                    // The Python unpickler imports before it looks for the mark.
                    let class = self.import(module, name, ImportOp::Inst, Resolved::Literal);
                    let from = self.mark()?;
                    let args = self.stack.split_off(from);
                    let value = self.call(class, args, true, None, Role::Inst)?;
                    self.push(value)?;
                }
                OBJ => {
                    let from = self.mark()?;
                    if self.stack.len() == from {
                        return Err(Halt::Malformed("OBJ without a class"));
                    }
                    let mut args = self.stack.split_off(from);
                    let class = args.remove(0);
                    let value = self.call(class, args, true, None, Role::Obj)?;
                    self.push(value)?;
                }
                BUILD => self.build()?,
                PERSID => {
                    self.read_line()?;
                    let pid = self.heap.add_str(&self.line, self.at);
                    self.persistent(pid)?;
                }
                BINPERSID => {
                    let pid = self.pop()?;
                    self.persistent(pid)?;
                }
                NEXT_BUFFER => {
                    self.record.facts.buffers += 1;
                    self.push(Value::Buffer)?;
                }
                READONLY_BUFFER => {
                    self.top()?;
                }

                PROTO => self.protocol()?,
                FRAME => {
                    let len = u64::from_le_bytes(self.input.array()?);
                    let here = self.input.position();
                    let end = here.saturating_add(len);
                    if here < self.frame_end {
                        self.anomaly(AnomalyKind::NestedFrame);
                        if end > self.frame_end {
                            self.anomaly(AnomalyKind::SplitFrame);
                        }
                    }
                    // One frame inside another is read from what was read for the outer one.
                    self.frame_end = self.frame_end.max(end);
                }
                STOP => {
                    let value = self.pop()?;
                    if !self.stack.is_empty() || !self.marks.is_empty() {
                        self.anomaly(AnomalyKind::ValuesLeft);
                    }
                    let Some((stack, marks, memo)) = self.outer.pop() else { return Ok(value) };
                    (self.stack, self.marks, self.memo) = (stack, marks, memo);
                    self.push(value)?;
                }
                _ => return Err(Halt::Malformed("no such opcode")),
            }
        }
    }

    /// Whether the input reaches the end of the frame, so that an operand which ran out of input began inside it.
    fn holds_frame(&mut self) -> bool {
        let here = self.input.position();
        let ahead = self.input.peek(crate::input::WINDOW).map_or(0, <[u8]>::len);
        ahead == crate::input::WINDOW || here + ahead as u64 >= self.frame_end
    }

    /// Takes the steps counted so far from the budget.
    #[cold]
    fn pay(&mut self) -> Result<(), Halt> {
        let steps = std::mem::take(&mut self.unpaid);
        Ok(self.budget.steps(steps)?)
    }

    /// Counts what writing facts down has cost, so that the step budget bounds time.
    fn charge(&mut self) {
        self.unpaid += 4 + std::mem::take(&mut self.record.cost);
    }

    /// Starts an unpickler of its own for an array of objects; its STOP brings the present one back.
    pub(crate) fn enter(&mut self) -> Result<(), Halt> {
        if self.outer.len() >= OUTER {
            return Err(Halt::Limit(LimitHit { limit: Limit::Depth, allowed: OUTER as u64 }));
        }
        self.outer.push((
            std::mem::take(&mut self.stack),
            std::mem::take(&mut self.marks),
            std::mem::take(&mut self.memo),
        ));
        Ok(())
    }

    pub(crate) fn anomaly(&mut self, kind: AnomalyKind) {
        self.record.anomaly(kind, self.at);
    }

    // === stack ===

    #[inline]
    pub(crate) fn push(&mut self, value: Value) -> Result<(), Halt> {
        if self.stack.len() >= self.height {
            return Err(self.too_many_values());
        }
        self.stack.push(value);
        Ok(())
    }

    #[cold]
    fn too_many_values(&self) -> Halt {
        Halt::Limit(LimitHit { limit: Limit::Nodes, allowed: self.budget.limits().nodes })
    }

    /// Values may not be taken from below the last mark.
    #[inline]
    fn need(&self, count: usize) -> Result<(), Halt> {
        let fence = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() < fence + count { Err(Halt::Malformed("too few values on the stack")) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Result<Value, Halt> {
        self.need(1)?;
        self.stack.pop().ok_or(Halt::Malformed("too few values on the stack"))
    }

    #[inline]
    pub(crate) fn top(&self) -> Result<Value, Halt> {
        self.need(1)?;
        self.stack.last().copied().ok_or(Halt::Malformed("too few values on the stack"))
    }

    #[inline]
    fn mark(&mut self) -> Result<usize, Halt> {
        self.marks.pop().ok_or(Halt::Malformed("no mark on the stack"))
    }

    fn small_tuple(&mut self, count: usize) -> Result<(), Halt> {
        self.need(count)?;
        let from = self.stack.len() - count;
        let value = self.heap.seq(Kind::Tuple, &self.stack[from..]);
        self.stack.truncate(from);
        self.push(value)
    }

    fn collect(&mut self, kind: Kind) -> Result<(), Halt> {
        let from = self.mark()?;
        let value = self.heap.seq(kind, &self.stack[from..]);
        self.stack.truncate(from);
        self.push(value)
    }

    fn add_items(&mut self, op: &'static str, from: usize) -> Result<(), Halt> {
        let target = self.below(from)?;
        if !self.heap.extend(target, &self.stack[from..]) {
            self.record.mutation(&self.heap, op, target, &self.stack[from..], false, self.at);
            self.heap.note_items(target, &self.stack[from..], false);
            self.charge();
        }
        self.stack.truncate(from);
        Ok(())
    }

    fn set_items(&mut self, op: &'static str, from: usize) -> Result<(), Halt> {
        let target = self.below(from)?;
        if !self.heap.set_items(target, &self.stack[from..]) {
            self.record.mutation(&self.heap, op, target, &self.stack[from..], true, self.at);
            self.heap.note_items(target, &self.stack[from..], true);
            self.charge();
        }
        self.stack.truncate(from);
        Ok(())
    }

    /// The value under `from`, which must lie above the next mark.
    fn below(&self, from: usize) -> Result<Value, Halt> {
        let fence = self.marks.last().copied().unwrap_or(0);
        if from <= fence {
            return Err(Halt::Malformed("too few values on the stack"));
        }
        self.stack.get(from - 1).copied().ok_or(Halt::Malformed("too few values on the stack"))
    }

    // === memo ===

    #[inline]
    fn get(&mut self, index: u64) -> Result<(), Halt> {
        let value = match self.memo.get(index) {
            Some(value) => value,
            None => self.earlier(index).ok_or(Halt::Malformed("memo entry was never stored"))?,
        };
        self.push(value)
    }

    /// A memo entry that the stream before left behind.
    #[cold]
    fn earlier(&mut self, index: u64) -> Option<Value> {
        let earlier = self.registry.earlier.get(&index).filter(|_| self.stacked)?.clone();
        self.anomaly(AnomalyKind::EarlierMemo);
        Some(match earlier {
            Earlier::Global(module, name) => self.import(module, name, ImportOp::Global, Resolved::Literal),
            Earlier::Text(text) => self.heap.add_str(&text, self.at),
            Earlier::Other(kind) => Value::Lost(kind),
        })
    }

    #[inline]
    fn put(&mut self, index: u64) -> Result<(), Halt> {
        let value = self.top()?;
        if self.memo.count() >= self.height {
            return Err(self.too_many_values());
        }
        match self.memo.put(index, value) {
            Stored::New => {}
            Stored::Sparse => self.anomaly(AnomalyKind::SparseMemo),
            Stored::Overwritten => self.anomaly(AnomalyKind::MemoOverwritten),
        }
        Ok(())
    }

    // === operands ===

    pub(crate) fn read_line(&mut self) -> Result<(), Halt> {
        self.line.clear();
        let limit = usize::try_from(self.budget.limits().text_bytes).unwrap_or(usize::MAX);
        match self.input.line(&mut self.line, limit) {
            // The Python unpickler (joblib uses it) takes a line without its end and drops the last character.
            Err(Short::End) if !self.line.is_empty() => {
                self.line.pop();
                self.anomaly(AnomalyKind::UnterminatedLine);
                Ok(())
            }
            done => Ok(done?),
        }
    }

    fn two_lines(&mut self) -> Result<(String, String), Halt> {
        self.read_line()?;
        let module = self.name_of_line();
        match self.read_line() {
            // Likewise: the module is imported, with an empty name to follow.
            Err(Halt::Short(Short::End)) => self.anomaly(AnomalyKind::UnterminatedLine),
            done => done?,
        }
        Ok((module, self.name_of_line()))
    }

    fn name_of_line(&mut self) -> String {
        match std::str::from_utf8(&self.line) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.anomaly(AnomalyKind::InvalidUtf8);
                String::from_utf8_lossy(&self.line).into_owned()
            }
        }
    }

    fn integer_line(&mut self, long: bool) -> Result<(), Halt> {
        self.read_line()?;
        let value = match text::number(&self.line, long) {
            Number::Bool(value) => Value::Bool(value),
            Number::Int(value) => Value::Int(value),
            Number::Other => Value::Lost(Kind::Int),
            Number::Invalid => {
                self.anomaly(AnomalyKind::OddLiteral);
                Value::Lost(Kind::Int)
            }
        };
        self.push(value)
    }

    fn string_line(&mut self) -> Result<(), Halt> {
        self.read_line()?;
        let bytes = text::quoted(&self.line);
        if bytes.is_none() {
            self.anomaly(AnomalyKind::OddLiteral);
        }
        let value = self.heap.add_str(bytes.as_deref().unwrap_or(&self.line), self.at);
        self.push(value)
    }

    fn long(&mut self, len: u64) -> Result<(), Halt> {
        if len > 64 {
            self.input.skip(len)?;
            return self.push(Value::Lost(Kind::Int));
        }
        self.line.clear();
        self.input.take(len as usize, &mut self.line)?;
        let value = if len <= 8 {
            let fill = if self.line.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
            let mut bytes = [fill; 8];
            bytes[..len as usize].copy_from_slice(&self.line);
            Value::Int(i64::from_le_bytes(bytes))
        } else {
            self.heap.add_bytes(&self.line, self.at).map_or(Value::Lost(Kind::Int), Value::Big)
        };
        self.push(value)
    }

    fn counted(&mut self, len: u64, kind: Kind) -> Result<(), Halt> {
        let offset = self.input.position();
        let Some(keep) = self.heap.keeps(len) else {
            self.heap.lost += 1;
            self.input.skip(len)?;
            return self.push(Value::Lost(kind));
        };
        let start = self.heap.pool().len();
        let taken = self.input.take(keep, self.heap.pool()).and_then(|()| self.input.skip(len - keep as u64));
        if let Err(short) = taken {
            self.heap.unwrite(start);
            return Err(short.into());
        }
        if len > keep as u64 {
            self.heap.lost += 1;
        }
        let id = self.heap.seal(start, len, offset);
        if kind == Kind::Bytes {
            let bytes = self.heap.bytes(id);
            if len > 4 && bytes.len() as u64 == len && matches!(bytes, [0x80, 2..=5, .., STOP]) {
                self.record.facts.pickle_like_bytes += 1;
            }
        }
        self.push(if kind == Kind::Bytes { Value::Bytes(id) } else { Value::Str(id) })
    }

    fn protocol(&mut self) -> Result<(), Halt> {
        let proto = self.input.byte()?;
        if proto > 5 {
            return Err(Halt::Malformed("protocol above 5"));
        }
        if self.announced.is_some() && self.outer.is_empty() {
            self.anomaly(AnomalyKind::RepeatedProto);
        }
        self.proto = proto;
        self.announced = Some(self.announced.map_or(proto, |before| before.max(proto)));
        Ok(())
    }

    // === globals ===

    pub(crate) fn import(&mut self, module: String, name: String, op: ImportOp, resolved: Resolved) -> Value {
        self.record.import(module, name, op, resolved, self.proto, self.at)
    }

    fn stack_global(&mut self) -> Result<(), Halt> {
        let name = self.pop()?;
        let module = self.pop()?;
        let mut resolved = Resolved::Literal;
        let module = self.operand(module, &mut resolved)?;
        let name = self.operand(name, &mut resolved)?;
        if resolved != Resolved::Literal {
            self.anomaly(AnomalyKind::ComputedGlobal);
        }
        let value = self.import(module, name, ImportOp::StackGlobal, resolved);
        self.push(value)
    }

    fn operand(&mut self, value: Value, resolved: &mut Resolved) -> Result<String, Halt> {
        match value {
            Value::Str(id) if self.heap.blob(id).complete() => {
                if self.heap.blob(id).offset == crate::value::COMPUTED {
                    *resolved = (*resolved).max(Resolved::Computed);
                }
                if std::str::from_utf8(self.heap.bytes(id)).is_err() {
                    self.anomaly(AnomalyKind::InvalidUtf8);
                }
                Ok(self.heap.text(id))
            }
            Value::Str(_) | Value::Ext(_) | Value::Global(_) => {
                *resolved = Resolved::Unresolved;
                Ok("?".to_owned())
            }
            Value::Lost(Kind::Str | Kind::Result | Kind::PersistentId | Kind::Global | Kind::Method) => {
                *resolved = Resolved::Unresolved;
                Ok("?".to_owned())
            }
            Value::Node(id)
                if matches!(self.heap.node(id), Node::Call { .. } | Node::Pers { .. } | Node::Method { .. }) =>
            {
                *resolved = Resolved::Unresolved;
                Ok("?".to_owned())
            }
            _ => Err(Halt::Malformed("STACK_GLOBAL on values that are no text")),
        }
    }

    fn extension(&mut self, code: i64) -> Result<(), Halt> {
        // The Python unpickler looks a code below 1 up before it refuses it, and a stream can change the registry.
        let global = self.registry.extensions.get(&code).cloned();
        self.record.extension(code, global.clone(), self.at);
        let value = match global {
            Some((module, name)) => self.import(module, name, ImportOp::Extension, Resolved::Computed),
            None => Value::Ext(code),
        };
        self.push(value)
    }

    fn persistent(&mut self, pid: Value) -> Result<(), Halt> {
        self.record.persistent(&self.heap, pid);
        self.charge();
        // PyTorch's `("module", class, file, source)` stands for the class.
        let class = match self.heap.items(pid) {
            Some([Value::Str(tag), class @ Value::Global(_), ..]) if self.heap.bytes(*tag) == b"module" => Some(*class),
            _ => None,
        };
        let value = class.unwrap_or_else(|| self.heap.add(Node::Pers { pid }));
        self.push(value)
    }
}
