//! The few globals whose calls the machine understands: pure decoders, attribute access, loaders of pickles.

/// What a call of a global means to the machine. Everything else is only written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    None,
    /// A decoder of constants.
    Pure(Pure),
    /// A pure function over each of many constants.
    Fold(Fold),
    /// `operator.itemgetter(key)`; its result is called with the object.
    ItemGetter,
    /// `getattr(object, name)`
    GetAttr,
    /// `importlib.import_module(name)`
    ImportModule,
    /// `__import__(name)`: the first segment unless `fromlist` is given.
    Import,
    /// `operator.attrgetter(name, ...)`; its result is called with the object.
    AttrGetter,
    /// `operator.methodcaller(name, ...)`; likewise.
    MethodCaller,
    /// `functools.partial(f, ...)`; its result is called.
    Partial,
    /// `copyreg.add_extension(module, name, code)`
    AddExtension,
    /// `pickle.loads` and its like: the first argument is a pickle.
    Loads,
    /// `io.BytesIO(bytes)`: stands for its bytes.
    BytesIo,
    /// `dill._dill._import_module(name)`: the module, or the attribute that a dotted name ends in.
    DillImport,
    /// `dill._dill._load_type(name)`: a class of `builtins` or `types`.
    DillType,
    /// `torch.fx.graph_module.reduce_graph_module(body, imports)`: runs the imports and the text in the body.
    GraphModule,
    /// `copyreg._reconstructor` and `copyreg.__newobj__`: the first argument is the class.
    Reconstructor,
}

/// What applies a function to many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    Map,
    Reduce,
}

/// Pure functions of constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pure {
    Base64,
    Base64Url,
    Base32,
    Base16,
    Base85,
    Unhex,
    Hexlify,
    Zlib,
    Gzip,
    Decode,
    Encode,
    Add,
    StrJoin,
    Chr,
    Bytes,
    Str,
    FromHex,
    GetItem,
    Replace,
    Lower,
    Upper,
    Strip,
    Reversed,
    Ascii85,
    Uu,
    QuotedPrintable,
    Bz2,
    Lzma,
    Ord,
    Mul,
    Mod,
    Format,
    Translate,
    MakeTrans,
    Swapcase,
    Title,
    Split,
    List,
    Sub,
    Unquote,
    IntToBytes,
    IntFrom,
    Xor,
}

impl Pure {
    /// Whether the value may be much longer than the arguments.
    pub(crate) fn expands(self) -> bool {
        matches!(self, Self::Zlib | Self::Gzip | Self::Bz2 | Self::Lzma | Self::Decode | Self::Mul)
    }
}

impl Special {
    pub(crate) fn of(module: &str, name: &str) -> Self {
        let pure = |p| Self::Pure(p);
        match (module, name) {
            ("base64", "b64decode" | "standard_b64decode" | "decodebytes" | "decodestring") => pure(Pure::Base64),
            ("base64", "a85decode") => pure(Pure::Ascii85),
            ("binascii", "a2b_uu") => pure(Pure::Uu),
            ("binascii", "a2b_qp") | ("quopri", "decodestring") => pure(Pure::QuotedPrintable),
            ("bz2" | "_compression", "decompress") => pure(Pure::Bz2),
            ("lzma", "decompress") => pure(Pure::Lzma),
            ("builtins", "ord") => pure(Pure::Ord),
            ("operator" | "_operator", "mul" | "__mul__" | "imul" | "repeat") => pure(Pure::Mul),
            ("builtins", "str.__mul__" | "bytes.__mul__" | "str.__rmul__") => pure(Pure::Mul),
            ("operator" | "_operator", "mod" | "__mod__" | "imod") | ("builtins", "str.__mod__") => pure(Pure::Mod),
            ("builtins", "str.format") => pure(Pure::Format),
            ("builtins", "str.translate" | "bytes.translate") => pure(Pure::Translate),
            ("builtins", "str.maketrans") => pure(Pure::MakeTrans),
            ("builtins", "str.swapcase" | "bytes.swapcase") => pure(Pure::Swapcase),
            ("builtins", "str.title" | "str.capitalize") => pure(Pure::Title),
            ("builtins", "str.split" | "bytes.split" | "str.rsplit") => pure(Pure::Split),
            ("builtins", "list" | "tuple") => pure(Pure::List),
            ("operator" | "_operator", "sub" | "__sub__") => pure(Pure::Sub),
            ("builtins", "map") => Self::Fold(Fold::Map),
            ("functools" | "_functools", "reduce") => Self::Fold(Fold::Reduce),
            ("operator" | "_operator", "itemgetter") => Self::ItemGetter,
            ("urllib.parse", "unquote" | "unquote_plus" | "unquote_to_bytes") | ("urllib", "unquote") => {
                pure(Pure::Unquote)
            }
            ("builtins", "int.to_bytes") => pure(Pure::IntToBytes),
            ("builtins", "int") => pure(Pure::IntFrom),
            ("operator" | "_operator", "xor" | "__xor__" | "ixor") => pure(Pure::Xor),
            ("binascii", "a2b_base64") => pure(Pure::Base64),
            ("base64", "urlsafe_b64decode") => pure(Pure::Base64Url),
            ("base64", "b32decode") => pure(Pure::Base32),
            ("base64", "b16decode") => pure(Pure::Base16),
            ("base64", "b85decode") => pure(Pure::Base85),
            ("binascii", "unhexlify" | "a2b_hex") => pure(Pure::Unhex),
            ("binascii", "hexlify" | "b2a_hex") => pure(Pure::Hexlify),
            ("zlib", "decompress") => pure(Pure::Zlib),
            ("gzip", "decompress") => pure(Pure::Gzip),
            ("codecs" | "_codecs", "decode") => pure(Pure::Decode),
            ("codecs" | "_codecs", "encode") => pure(Pure::Encode),
            ("builtins", "bytes.decode" | "bytearray.decode") => pure(Pure::Decode),
            ("builtins", "str.encode") => pure(Pure::Encode),
            ("operator" | "_operator", "add" | "concat" | "iadd" | "iconcat" | "__add__" | "__concat__") => {
                pure(Pure::Add)
            }
            ("builtins", "str.__add__" | "bytes.__add__") => pure(Pure::Add),
            ("builtins", "str.join" | "bytes.join" | "bytearray.join") => pure(Pure::StrJoin),
            ("builtins", "chr") => pure(Pure::Chr),
            ("builtins", "bytes" | "bytearray") => pure(Pure::Bytes),
            ("builtins", "str") => pure(Pure::Str),
            ("builtins", "bytes.fromhex" | "bytearray.fromhex") => pure(Pure::FromHex),
            ("operator" | "_operator", "getitem" | "__getitem__") => pure(Pure::GetItem),
            ("builtins", "str.__getitem__" | "bytes.__getitem__") => pure(Pure::GetItem),
            ("builtins", "str.replace" | "bytes.replace") => pure(Pure::Replace),
            ("builtins", "str.lower" | "bytes.lower" | "str.casefold") => pure(Pure::Lower),
            ("builtins", "str.upper" | "bytes.upper") => pure(Pure::Upper),
            ("builtins", "str.strip" | "bytes.strip") => pure(Pure::Strip),
            ("builtins", "reversed") => pure(Pure::Reversed),
            ("builtins", "getattr") | ("dill._dill", "_get_attr" | "_getattr") => Self::GetAttr,
            ("dill._dill", "_import_module") => Self::DillImport,
            ("dill._dill", "_load_type") => Self::DillType,
            ("importlib" | "importlib._bootstrap", "import_module" | "_gcd_import") => Self::ImportModule,
            ("builtins" | "importlib", "__import__") => Self::Import,
            ("operator" | "_operator", "attrgetter") => Self::AttrGetter,
            ("operator" | "_operator", "methodcaller") => Self::MethodCaller,
            ("functools" | "_functools", "partial") => Self::Partial,
            ("copyreg", "add_extension") => Self::AddExtension,
            (
                "pickle" | "_pickle" | "dill" | "dill._dill" | "cloudpickle" | "cloudpickle.cloudpickle",
                "loads" | "_loads",
            ) => Self::Loads,
            (
                "pickle" | "_pickle" | "dill" | "dill._dill" | "cloudpickle" | "joblib" | "joblib.numpy_pickle",
                "load" | "_load",
            ) => Self::Loads,
            ("torch.storage", "_load_from_bytes") => Self::Loads,
            ("marshal" | "cPickle" | "pickle5" | "joblib.externals.cloudpickle" | "ray.cloudpickle", "loads") => {
                Self::Loads
            }
            ("io" | "_io", "BytesIO") => Self::BytesIo,
            ("torch.fx.graph_module", "reduce_graph_module") => Self::GraphModule,
            ("copyreg", "_reconstructor" | "__newobj__" | "__newobj_ex__") => Self::Reconstructor,
            _ => Self::None,
        }
    }

    /// The pure method `name` of a text or bytes constant.
    pub(crate) fn method(text: bool, name: &str) -> Self {
        Self::of("builtins", &format!("{}.{name}", if text { "str" } else { "bytes" }))
    }
}
