//! What was seen in a pickle, without any judgement. Every list is bounded; where one was cut, the facts say so.

use gauntlet_limits::LimitHit;
use serde::{Deserialize, Serialize};

/// Everything seen in one file or member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PickleFacts {
    /// The streams in the order in which they were interpreted; nested ones follow the file's own.
    pub streams: Vec<StreamFacts>,
    /// Streams that imported nothing and are not listed because there were too many.
    pub streams_unlisted: u64,
    /// The walk of the format that PyTorch wrote before 1.6, when the first pickle is its magic number.
    pub torch_legacy: Option<TorchLegacy>,
    /// Bytes that belong to no stream: between stacked pickles, after an error, behind the last one.
    pub gaps: Vec<Gap>,
    /// A list of this struct was cut; what is missing was not looked at by anyone.
    pub truncated: bool,
    /// The limit that ended the work early. Nothing may be concluded from what is absent.
    pub limit: Option<LimitHit>,
    /// Reading failed with this message.
    pub io_error: Option<String>,
    /// Bytes given to a function that unpickles, and that are no pickle: a zip, for one. Not kept with the facts.
    #[serde(skip)]
    pub foreign: Vec<ForeignBytes>,
    /// Python source that calls run. Not kept with the facts.
    #[serde(skip)]
    pub sources: Vec<SourceText>,
}

/// Python source that a call of a pickle compiles and runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Index into [`PickleFacts::streams`].
    pub stream: u32,
    /// Offset of the opcode that makes the call.
    pub offset: u64,
    /// All of it; none when a part was computed or not kept.
    pub text: Option<String>,
}

/// Bytes inside a pickle that a call of it loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignBytes {
    /// Where the literal lies in the input, when it is one of the file's own streams.
    pub literal_at: Option<u64>,
    /// Its full length.
    pub len: u64,
    /// What was kept of it.
    pub bytes: Vec<u8>,
}

/// Bytes outside any stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Where they start, counted like the offset of a stream.
    pub offset: u64,
    /// See [`StreamFacts::within`].
    pub within: Option<u32>,
    /// How many.
    pub len: u64,
    /// How many of them were searched for the start of another pickle.
    pub searched: u64,
    /// Every searched byte is zero.
    pub zero: bool,
}

/// One pickle stream, from its first opcode to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Offset of the first opcode: in the file, or in the bytes named by `within`.
    pub offset: u64,
    /// Index of the first stream of the nested bytes in which this one lies; none for the file's own bytes.
    pub within: Option<u32>,
    /// Bytes interpreted, inline arrays included.
    pub len: u64,
    /// How the stream was come by.
    pub origin: Origin,
    /// The highest protocol announced by PROTO; none for protocols 0 and 1.
    pub protocol: Option<u8>,
    /// Opcodes interpreted.
    pub opcodes: u64,
    /// How it ended. Whatever was seen before an error counts: a loader would have run it.
    pub end: StreamEnd,
    /// Globals that were reached, each once.
    pub imports: Vec<Import>,
    /// Calls in order of first appearance; equal calls are one entry with a count.
    pub calls: Vec<Call>,
    /// BUILD operations, grouped like calls.
    pub builds: Vec<Build>,
    /// Item operations on something that the stream did not itself create as a plain container.
    pub mutations: Vec<Mutation>,
    /// Persistent ids.
    pub persistent_ids: PersistentIds,
    /// Extension codes.
    pub extensions: Vec<Extension>,
    /// Out-of-band buffers asked for (NEXT_BUFFER).
    pub buffers: u64,
    /// Raw arrays that joblib keeps between opcodes.
    pub inline_arrays: InlineArrays,
    /// Oddities of the stream itself.
    pub anomalies: Vec<Anomaly>,
    /// Byte strings that would themselves read as a pickle but are plain data here.
    pub pickle_like_bytes: u64,
    /// Values of which only the kind was kept because a limit on kept values was reached.
    pub values_not_kept: u64,
    /// What STOP handed out.
    pub result: Option<Arg>,
    /// Names of the lists above that were cut.
    pub truncated: Vec<List>,
}

/// A list of [`StreamFacts`] that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// [`StreamFacts::imports`]
    Imports,
    /// [`StreamFacts::calls`]
    Calls,
    /// [`StreamFacts::builds`]
    Builds,
    /// [`StreamFacts::mutations`]
    Mutations,
    /// [`StreamFacts::extensions`]
    Extensions,
    /// Nested pickles that were found but not interpreted.
    Nested,
}

/// How a stream was come by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Origin {
    /// The input starts with it.
    First,
    /// It follows the STOP of another at once.
    Stacked,
    /// It was found by a search behind bytes that are no pickle, or behind an error.
    Searched,
    /// It is the argument of a call.
    Nested {
        /// Index into [`PickleFacts::streams`] of the stream that holds it.
        parent: u32,
        /// The callee that was given the bytes.
        via: String,
        /// Offset in the parent of the opcode that made the call.
        offset: u64,
        /// The file's own streams have depth 0.
        depth: u32,
        /// All bytes of the argument were at hand. When not, only a prefix was interpreted.
        complete: bool,
        /// Where the bytes lie in the parent when they are a literal: read them there when `complete` is false.
        literal_at: Option<u64>,
        /// Their full length.
        len: u64,
    },
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StreamEnd {
    /// With STOP.
    Stop,
    /// The input ended first.
    Truncated,
    /// A loader stops here with an error.
    Malformed {
        /// What is wrong.
        what: String,
        /// Offset of the opcode.
        offset: u64,
    },
    /// A limit was reached.
    Limit {
        /// Which.
        hit: LimitHit,
    },
}

/// The opcode by which a global came to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOp {
    /// GLOBAL
    Global,
    /// STACK_GLOBAL
    StackGlobal,
    /// INST
    Inst,
    /// EXT1, EXT2 or EXT4 with a code that the stream registered.
    Extension,
    /// `getattr`, `attrgetter`, `methodcaller`, `import_module` or `__import__`, evaluated.
    Attribute,
}

/// How the name of a global was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolved {
    /// As literal text.
    Literal,
    /// Put together by calls that could be evaluated.
    Computed,
    /// Not known: an operand is the result of a call that could not be evaluated, or was not kept.
    Unresolved,
}

/// What a global is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Called by REDUCE.
    Called,
    /// Called, or made without a call to `__init__`, by INST, OBJ, NEWOBJ or NEWOBJ_EX.
    Constructed,
    /// Given to a call, directly or inside a container.
    Argument,
    /// Part of the state given to BUILD.
    State,
    /// Itself the target of BUILD or of an item operation.
    Mutated,
    /// Part of a persistent id.
    PersistentId,
}

/// A global and what it is used for. No use at all means that it was imported and at most kept as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The module as written; `?` in part or whole when unresolved.
    pub module: String,
    /// The name as written; it may have dots.
    pub name: String,
    /// The name under which Python 3 looks it up when the stream's protocol is below 3 and the name is from Python 2.
    pub modern: Option<(String, String)>,
    /// Offset of the first opcode that brought it.
    pub offset: u64,
    /// That opcode.
    pub op: ImportOp,
    /// How the name was written.
    pub resolved: Resolved,
    /// Protocol in force. From 4 on a dotted name is walked attribute by attribute.
    pub protocol: u8,
    /// How often it was brought.
    pub count: u64,
    /// What for, sorted, each once.
    pub uses: Vec<Use>,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// REDUCE: `callee(*args)`.
    Reduce,
    /// NEWOBJ: `callee.__new__(callee, *args)`.
    NewObj,
    /// NEWOBJ_EX: the same with keyword arguments.
    NewObjEx,
    /// INST: `callee(*args)`, or an empty instance.
    Inst,
    /// OBJ: likewise with the class from the stack.
    Obj,
    /// Not an opcode of its own: what `methodcaller` or `partial` calls when it is called.
    Indirect,
}

/// What is called, built or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Target {
    /// A global.
    Global {
        /// Module as written, or its Python 3 name where the loader maps it.
        module: String,
        /// Name, likewise.
        name: String,
    },
    /// The result of an earlier call.
    Result {
        /// Index into [`StreamFacts::calls`], unless that list was cut.
        call: Option<u32>,
        /// The global at the bottom of the chain of calls, as `module.name`.
        root: Option<String>,
    },
    /// A method of a value that the stream made.
    Method {
        /// Kind of the value.
        of: String,
        /// Name of the method.
        name: String,
    },
    /// An extension code that no one registered in the stream.
    Extension {
        /// The code.
        code: i64,
    },
    /// What the application's persistent_load hands out.
    PersistentId,
    /// Some other value, with its kind.
    Value {
        /// The kind.
        of: String,
    },
    /// Not known.
    Unknown,
}

/// A call. Equal calls are merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What is called.
    pub callee: Target,
    /// How.
    pub role: Role,
    /// Positional arguments.
    pub args: Vec<Arg>,
    /// The number of positional arguments, if known.
    pub arg_count: Option<u64>,
    /// Keyword arguments (NEWOBJ_EX), as a dict.
    pub kwargs: Option<Arg>,
    /// Literal values were left out of `args` because this callee had been called in too many different ways;
    /// numbers, strings and bytes show their kind only.
    pub literals_left_out: bool,
    /// The call is a pure function of constants and was evaluated; this is the value.
    pub value: Option<Arg>,
    /// Offset of the opcode of the first such call.
    pub offset: u64,
    /// How many such calls.
    pub count: u64,
}

/// State given to an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// The object.
    pub target: Target,
    /// The class of the object when it is known (`copyreg._reconstructor` and `__newobj__` seen through), as `module.name`.
    pub class: Option<String>,
    /// The shape of the state; strings and numbers show their kind only.
    pub state: Arg,
    /// Attribute names set by the state: keys of the dict, or of the two dicts of a (state, slots) pair. Sorted.
    pub keys: Vec<String>,
    /// Some keys are not listed or are not text.
    pub keys_incomplete: bool,
    /// Keys whose value is a global, the result of a call, or contains one.
    pub active_keys: Vec<String>,
    /// This object had been given a state before.
    pub again: bool,
    /// Offset of the opcode of the first such BUILD.
    pub offset: u64,
    /// How many.
    pub count: u64,
}

/// An item operation on something that is not a plain container of this stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// Name of the opcode: APPEND, APPENDS, SETITEM, SETITEMS or ADDITEMS.
    pub op: String,
    /// What is changed.
    pub target: Target,
    /// A global or the result of a call is among the items.
    pub active: bool,
    /// Text keys that are set, up to 32.
    pub keys: Vec<String>,
    /// Offset of the first such opcode.
    pub offset: u64,
    /// How many.
    pub count: u64,
}

/// Persistent ids: references to something outside the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PersistentIds {
    /// How many opcodes.
    pub count: u64,
    /// The first different ones.
    pub samples: Vec<Arg>,
    /// Those of PyTorch's form `("storage", type, key, location, numel)`, each key once, up to 65536.
    pub storages: Vec<Storage>,
    /// Storages were left out, or some could not be read.
    pub storages_incomplete: bool,
}

/// One tensor storage named by a persistent id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Key.
    pub key: String,
    /// Name of the storage class, such as `FloatStorage`.
    pub class: String,
    /// Number of elements.
    pub elements: i64,
}

/// An extension code on the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// The code.
    pub code: i64,
    /// Module and name when the stream registered them itself.
    pub global: Option<(String, String)>,
    /// Offset of the first opcode.
    pub offset: u64,
    /// How many.
    pub count: u64,
}

/// Raw arrays inside the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineArrays {
    /// How many.
    pub count: u64,
    /// Bytes skipped, padding included.
    pub bytes: u64,
    /// Arrays of Python objects, whose own pickle follows in the stream.
    pub objects: u64,
    /// Arrays whose length could not be told; the bytes were not skipped.
    pub unresolved: u64,
    /// Offsets of arrays whose bytes a plain `pickle.load` would run as opcodes up to an import. At most 16.
    pub as_code: Vec<u64>,
}

/// An oddity of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// Where first.
    pub offset: u64,
    /// How often.
    pub count: u64,
}

/// Kinds of oddities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// A second PROTO.
    RepeatedProto,
    /// An opcode of a later protocol than the one announced.
    OpcodeAboveProtocol,
    /// An operand, a line or a frame crosses the end of the frame in which it starts. The C unpickler then forgets what
    /// is left of the frame when it reads from a file, so that it reads other names than the one on bytes.
    SplitFrame,
    /// Containers are nested deeper than an interpreter's recursion goes.
    DeepNesting,
    /// Shared containers make a value of which a copy, a comparison or a print would never end.
    Expansion,
    /// A stacked stream takes a value from the memo of the one before.
    EarlierMemo,
    /// A memo slot was overwritten.
    MemoOverwritten,
    /// A memo index far above the number of entries.
    SparseMemo,
    /// A number or string operand that Python would not read, or reads in an uncommon way.
    OddLiteral,
    /// The input ends within a line of text; some loaders take the line, others refuse it.
    UnterminatedLine,
    /// A text string that is not UTF-8.
    InvalidUtf8,
    /// A frame inside a frame.
    NestedFrame,
    /// A STACK_GLOBAL operand that is not a literal string of this stream.
    ComputedGlobal,
    /// Values were left on the stack at STOP.
    ValuesLeft,
    /// A value was dropped from the stack after a call made it.
    CallResultDropped,
    /// A decoder's output was larger than what is kept.
    DecodedTooLarge,
    /// The length of an array inside the stream could not be told.
    InlineArrayUnresolved,
}

/// A value, rendered up to a bounded depth and size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Arg {
    /// None.
    None,
    /// A truth value.
    Bool {
        /// The value.
        value: bool,
    },
    /// An integer; the value when it fits 64 bits and was not left out.
    Int {
        /// The value.
        value: Option<i64>,
    },
    /// A float.
    Float,
    /// Text.
    Str {
        /// The first characters, unless left out.
        text: Option<String>,
        /// Length in bytes of UTF-8.
        len: u64,
    },
    /// Bytes or bytearray.
    Bytes {
        /// The first bytes as text with escapes, unless left out.
        text: Option<String>,
        /// Length.
        len: u64,
    },
    /// A global.
    Global {
        /// Module.
        module: String,
        /// Name.
        name: String,
    },
    /// The result of a call.
    Result {
        /// Index into [`StreamFacts::calls`], unless that list was cut.
        call: Option<u32>,
        /// The callee.
        callee: Target,
    },
    /// A list, tuple, set, frozenset or dict.
    Container {
        /// `list`, `tuple`, `set`, `frozenset` or `dict`.
        of: String,
        /// Number of items (pairs for a dict).
        len: u64,
        /// The first items; keys and values in turn for a dict.
        items: Vec<Arg>,
        /// Not all items are shown.
        more: bool,
    },
    /// A module object.
    Module {
        /// Its name.
        name: String,
    },
    /// A method bound to a value of the stream, or an attribute of it.
    Method {
        /// Kind of the value.
        of: String,
        /// Name.
        name: String,
    },
    /// A persistent id.
    PersistentId {
        /// First item, when the id is a tuple that starts with text.
        tag: Option<String>,
    },
    /// An unregistered extension code.
    Extension {
        /// The code.
        code: i64,
    },
    /// An out-of-band buffer.
    Buffer,
    /// A raw array of joblib.
    Array,
    /// A value of which only the kind is known, or that was too deep to show.
    NotKept {
        /// The kind.
        of: String,
    },
}

/// The five pickles and the storages of PyTorch's format before 1.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorchLegacy {
    /// Indices into [`PickleFacts::streams`] of the pickles that belong to the layout, up to five.
    pub streams: Vec<u32>,
    /// Storages skipped.
    pub storages: u64,
    /// Their bytes, the 8-byte length fields included.
    pub storage_bytes: u64,
    /// Storages whose count in the file is not the one that the object gives.
    pub size_mismatches: u64,
    /// All storages named by the fifth pickle were there.
    pub complete: bool,
    /// Why not.
    pub problem: Option<String>,
}
