//! From the value of a PyTorch pickle to tensors: exactly the calls that a plain state dict needs, by their arguments.

use std::collections::HashSet;

use gauntlet_limits::{Budget, LimitHit};
use gauntlet_pickle::{CallValue, Item, Pairs, Ref, Tree};

use super::dtype::Dtype;
use super::names::{is_inert, is_tensor_part};
use super::{Key, Note, Options};

/// Dicts inside dicts that `--flatten` follows.
const DEPTH: usize = 64;
/// Reasons listed of one file.
pub(super) const REASONS: usize = 50;
/// Bytes of a tensor's name.
const NAME: usize = 4096;

/// A tensor as the pickle describes it; nothing is checked against its storage yet.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) storage: StorageId,
    pub(super) dtype: Dtype,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// What a persistent id says of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageId {
    pub(super) key: String,
    pub(super) class: String,
    pub(super) elements: u64,
}

/// What a pickle came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) tensors: Vec<Described>,
    pub(super) left_out: Vec<Note>,
    /// Why the file cannot be converted.
    pub(super) reasons: Vec<Note>,
    /// Reasons beyond those listed.
    pub(super) more: u64,
    /// The top-level keys, when the reason is what they hold.
    pub(super) keys: Vec<Key>,
}

impl Outcome {
    pub(super) fn refuse(&mut self, path: &str, what: impl Into<String>) {
        if self.reasons.len() < REASONS {
            self.reasons.push(Note { path: path.to_owned(), what: what.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Reads the tensors of `tree`, which is the value of `member`.
///
/// # Errors
/// The step budget.
pub(super) fn rebuild(tree: &Tree, member: &str, options: &Options, budget: &Budget) -> Result<Outcome, LimitHit> {
    let mut walk = Walk { tree, options, budget, out: Outcome::default() };
    walk.names(member);
    let Some(root) = tree.root() else {
        walk.out.refuse(member, format!("the pickle does not reach its end: {}", end_of(tree)));
        return Ok(walk.out);
    };
    if walk.out.reasons.is_empty() {
        walk.root(root)?;
    }
    Ok(walk.out)
}

struct Walk<'t> {
    tree: &'t Tree,
    options: &'t Options,
    budget: &'t Budget,
    out: Outcome,
}

impl<'t> Walk<'t> {
    /// Every import must be on the list, used or not: a file that names anything else is more than tensors.
    fn names(&mut self, member: &str) {
        match self.tree.globals() {
            None => self.out.refuse(member, "imports more globals than are kept"),
            Some(globals) => {
                for (module, name) in
                    globals.filter(|(module, name)| !is_tensor_part(module, name) && !is_inert(module, name))
                {
                    self.out.refuse(member, format!("imports `{}.{}`, which no tensor needs", cut(module), cut(name)));
                }
            }
        }
        if self.out.reasons.is_empty() && self.tree.root().is_some() && !self.tree.tells_all() {
            self.out.refuse(
                member,
                "does more than its value shows: results are called, dropped or computed, or too large to keep",
            );
        }
    }

    fn root(&mut self, root: Ref) -> Result<(), LimitHit> {
        if let Some(key) = &self.options.key {
            let Some((pairs, _)) = self.dict(root) else {
                self.out.refuse("", format!("--key needs a dict, and this is {}", self.describe(root)));
                return Ok(());
            };
            let mut found = None;
            for (name, value) in pairs.iter() {
                self.budget.steps(1)?;
                match self.text(name) {
                    Some(text) if text == *key && found.is_some() => self.out.refuse(key, "the key occurs twice"),
                    Some(text) if text == *key => found = Some(value),
                    _ => self.leave_out("", name, value),
                }
            }
            match found {
                Some(value) => self.top(value)?,
                None => {
                    self.out.refuse(key, "there is no such key");
                    self.out.keys = self.keys(pairs)?;
                }
            }
            return Ok(());
        }
        self.top(root)
    }

    fn top(&mut self, value: Ref) -> Result<(), LimitHit> {
        if self.dict(value).is_some() {
            self.dicts(value)?;
            if !self.out.reasons.is_empty()
                && self.options.key.is_none()
                && let Some((pairs, _)) = self.dict(value)
            {
                self.out.keys = self.keys(pairs)?;
            }
            return Ok(());
        }
        // A tensor saved by itself has no name.
        let name = self.options.key.clone().unwrap_or_else(|| "tensor".to_owned());
        match self.tensor(value) {
            Ok(found) => self.found(name, found),
            Err(why) => self.out.refuse("", why),
        }
        Ok(())
    }

    /// A dict and, under `--flatten`, the dicts in it. No recursion; a dict that holds itself ends at the depth limit.
    fn dicts(&mut self, root: Ref) -> Result<(), LimitHit> {
        let mut names = HashSet::new();
        let mut todo = vec![(String::new(), root, 0)];
        while let Some((prefix, dict, depth)) = todo.pop() {
            let Some((pairs, states)) = self.dict(dict) else { continue };
            self.states(&prefix, states);
            let mut inner = Vec::new();
            for (key, value) in pairs.iter() {
                self.budget.steps(1)?;
                let Some(text) = self.text(key) else {
                    let place = join(&prefix, &self.describe(key));
                    self.other(&place, &format!("a key that is {}, no text", self.describe(key)));
                    continue;
                };
                let name = join(&prefix, text);
                if name.len() > NAME || name == "__metadata__" {
                    self.out.refuse(&cut(&name), "safetensors cannot hold this name");
                } else if !names.insert(name.clone()) {
                    self.out.refuse(&cut(&name), "two values have this name");
                } else if self.options.flatten && self.dict(value).is_some() {
                    if depth + 1 >= DEPTH {
                        self.out.refuse(&cut(&name), "dicts are nested too deep");
                    } else {
                        inner.push((name, value, depth + 1));
                    }
                } else {
                    match self.tensor(value) {
                        Ok(found) => self.found(name, found),
                        Err(why) => self.other(&name, &why),
                    }
                }
            }
            inner.reverse();
            todo.extend(inner);
        }
        Ok(())
    }

    /// `_metadata`, versions of modules that `Module.state_dict` hangs on its result, has no place in safetensors.
    fn states(&mut self, prefix: &str, states: impl Iterator<Item = Ref>) {
        for state in states {
            match self.tree.item(state) {
                Item::Dict { pairs } => {
                    for (key, value) in pairs.iter() {
                        let what = self.describe(value);
                        match self.text(key) {
                            Some("_metadata") if matches!(self.tree.item(value), Item::Dict { .. } | Item::Call(_)) => {
                                let what = "versions of modules, an attribute of the dict";
                                self.note(&join(prefix, "_metadata"), what);
                            }
                            Some(name) => self.other(&join(prefix, name), &format!("{what}, an attribute of the dict")),
                            None => self.other(prefix, "an attribute of the dict without a name"),
                        }
                    }
                }
                _ => self.other(prefix, &format!("a state that is {}", self.describe(state))),
            }
        }
    }

    /// Something that is no tensor: left out when that was asked for.
    fn other(&mut self, path: &str, what: &str) {
        if self.options.drop_other {
            self.note(path, what);
        } else {
            self.out.refuse(&cut(path), what);
        }
    }

    fn leave_out(&mut self, prefix: &str, key: Ref, value: Ref) {
        let path = self.text(key).map_or_else(|| self.describe(key), str::to_owned);
        let what = self.describe(value);
        self.note(&join(prefix, &path), &what);
    }

    fn note(&mut self, path: &str, what: &str) {
        self.out.left_out.push(Note { path: cut(path), what: what.to_owned() });
    }

    fn found(&mut self, name: String, found: Found) {
        let Found { storage, dtype, offset, shape, strides, dropped } = found;
        if let Some(what) = dropped {
            self.note(&name, what);
        }
        self.out.tensors.push(Described { name, storage, dtype, offset, shape, strides });
    }

    fn keys(&self, pairs: Pairs<'_>) -> Result<Vec<Key>, LimitHit> {
        let mut keys = Vec::new();
        for (key, value) in pairs.iter().take(100) {
            let mut tensors = 0;
            if let Some((inner, _)) = self.dict(value) {
                for (_, value) in inner.iter() {
                    self.budget.steps(1)?;
                    tensors += u64::from(self.tensor(value).is_ok());
                }
            }
            let name = self.text(key).map_or_else(|| self.describe(key), cut);
            keys.push(Key { name, what: self.describe(value), tensors });
        }
        Ok(keys)
    }

    // === values ===

    fn text(&self, value: Ref) -> Option<&'t str> {
        match self.tree.item(value) {
            Item::Str(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn global(&self, value: Ref) -> Option<(&'t str, &'t str)> {
        match self.tree.item(value) {
            Item::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// A dict or an `OrderedDict` made empty and then filled, with the states that BUILD gave it.
    fn dict(&self, value: Ref) -> Option<(Pairs<'t>, impl Iterator<Item = Ref> + use<'t>)> {
        match self.tree.item(value) {
            Item::Dict { pairs } => Some((pairs, None.into_iter().flatten())),
            Item::Call(call) if self.is_empty_ordered_dict(&call) => {
                Some((call.pairs, Some(call.states.iter()).into_iter().flatten()))
            }
            _ => None,
        }
    }

    fn is_empty_ordered_dict(&self, call: &CallValue<'_>) -> bool {
        let plain = call.args.is_empty() && call.args_known && call.kwargs.is_none() && call.appended.is_empty();
        plain && self.global(call.callee) == Some(("collections", "OrderedDict"))
    }

    /// An `OrderedDict` that holds nothing: the hooks of an honest tensor.
    fn is_nothing(&self, value: Ref) -> bool {
        match self.tree.item(value) {
            Item::None => true,
            _ => self.dict(value).is_some_and(|(pairs, mut states)| pairs.is_empty() && states.next().is_none()),
        }
    }

    fn tensor(&self, value: Ref) -> Result<Found, String> {
        if self.dict(value).is_some() {
            return Err(self.describe(value));
        }
        let Item::Call(mut call) = self.tree.item(value) else { return Err(self.describe(value)) };
        let mut args: Vec<Ref> = Vec::new();
        // A parameter wraps a tensor; it wraps no parameter, so one step is enough.
        let made = |call: &CallValue<'_>| !call.args_known || call.kwargs.is_some();
        let changed =
            |call: &CallValue<'_>| !call.appended.is_empty() || !call.pairs.is_empty() || !call.states.is_empty();
        if made(&call) || changed(&call) {
            return Err(format!("{}, changed after it was made", self.describe(value)));
        }
        let mut function = self.global(call.callee);
        let mut dropped = None;
        match function {
            Some(("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")) => {
                let given: Vec<Ref> = call.args.iter().collect();
                let (Some(data), Some(hooks)) = (given.first(), given.get(2)) else {
                    return Err("a parameter with too few arguments".to_owned());
                };
                if !self.is_nothing(*hooks) {
                    return Err("a parameter with hooks, which are code".to_owned());
                }
                let Item::Call(inner) = self.tree.item(*data) else {
                    return Err(format!("a parameter around {}", self.describe(*data)));
                };
                if made(&inner) || changed(&inner) {
                    return Err("a parameter around a tensor that was changed after it was made".to_owned());
                }
                if function == Some(("torch._utils", "_rebuild_parameter_with_state")) {
                    dropped = Some("attributes of the parameter");
                }
                function = self.global(inner.callee);
                call = inner;
                args.extend(call.args.iter());
            }
            // A tensor with attributes of its own; those have no place in safetensors.
            Some(("torch._tensor", "_rebuild_from_type_v2")) => {
                let given: Vec<Ref> = call.args.iter().collect();
                let [inner, class, arguments, ..] = given.as_slice() else {
                    return Err("a typed tensor with too few arguments".to_owned());
                };
                let class = self.global(*class);
                if !matches!(class, Some(("torch", "Tensor") | ("torch.nn.parameter", "Parameter" | "Buffer"))) {
                    return Err("a tensor of a class of its own".to_owned());
                }
                let Item::Seq { kind: "tuple", items } = self.tree.item(*arguments) else {
                    return Err("a typed tensor whose arguments are no tuple".to_owned());
                };
                dropped = Some("class and attributes of the tensor");
                function = self.global(*inner);
                args.extend(items.iter());
            }
            _ => args.extend(call.args.iter()),
        }
        let found = match function {
            Some(("torch._utils", "_rebuild_tensor")) if args.len() == 4 => self.view(&args, None),
            Some(("torch._utils", "_rebuild_tensor_v2")) if (6..=7).contains(&args.len()) => {
                self.hooks_and_bits(&args, 6)?;
                self.view(&args, None)
            }
            Some(("torch._utils", "_rebuild_tensor_v3")) if (7..=8).contains(&args.len()) => {
                self.hooks_and_bits(&args, 7)?;
                self.view(&args, args.get(6).copied())
            }
            Some(("torch._utils", "_rebuild_qtensor")) => {
                Err("a quantized tensor, which safetensors cannot hold".to_owned())
            }
            Some(("torch._utils", "_rebuild_sparse_tensor")) => {
                Err("a sparse tensor, which safetensors cannot hold".to_owned())
            }
            Some(("torch._utils", "_rebuild_nested_tensor")) => {
                Err("a nested tensor, which safetensors cannot hold".to_owned())
            }
            Some(("torch._utils", "_rebuild_meta_tensor_no_storage")) => {
                Err("a meta tensor, which has no data".to_owned())
            }
            _ => Err(self.describe(value)),
        };
        found.map(|found| Found { dropped, ..found })
    }

    /// Hooks must be absent, and the bits that make PyTorch conjugate or negate on the fly unset.
    fn hooks_and_bits(&self, args: &[Ref], metadata: usize) -> Result<(), String> {
        if args.get(5).is_none_or(|hooks| !self.is_nothing(*hooks)) {
            return Err("a tensor with hooks, which are code".to_owned());
        }
        match args.get(metadata).map(|value| self.tree.item(*value)) {
            None | Some(Item::None) => Ok(()),
            Some(Item::Dict { pairs })
                if pairs.iter().all(|(_, value)| matches!(self.tree.item(value), Item::Bool(false))) =>
            {
                Ok(())
            }
            _ => Err("a tensor that is to be conjugated or negated when it is read".to_owned()),
        }
    }

    fn view(&self, args: &[Ref], dtype: Option<Ref>) -> Result<Found, String> {
        let [storage, offset, shape, strides, ..] = args else {
            return Err("a tensor with too few arguments".to_owned());
        };
        let storage = self.storage(*storage)?;
        let Item::Int(offset) = self.tree.item(*offset) else {
            return Err("a tensor whose offset is no number".to_owned());
        };
        let offset = u64::try_from(offset).map_err(|_| "a tensor with a negative offset".to_owned())?;
        let (shape, strides) = (self.numbers(*shape, "size")?, self.numbers(*strides, "stride")?);
        let dtype = match dtype.map(|value| (self.global(value), self.describe(value))) {
            Some((Some(("torch", name)), _)) => Dtype::of_torch(name)
                .ok_or_else(|| format!("a tensor of element type `{}`, which safetensors cannot hold", cut(name)))?,
            Some((_, what)) => return Err(format!("a tensor whose element type is {what}")),
            None => Dtype::of_storage(&storage.class)
                .ok_or_else(|| format!("a tensor of a `{}`, which safetensors cannot hold", cut(&storage.class)))?,
        };
        Ok(Found { storage, dtype, offset, shape, strides, dropped: None })
    }

    /// `("storage", class, key, location, elements)`; a view of a storage (the sixth member of old files) is refused.
    fn storage(&self, value: Ref) -> Result<StorageId, String> {
        let Item::Persistent { id } = self.tree.item(value) else {
            return Err(format!("a tensor whose storage is {}", self.describe(value)));
        };
        let Item::Seq { kind: "tuple", items } = self.tree.item(id) else {
            return Err("a tensor whose storage has an id of unknown form".to_owned());
        };
        let items: Vec<Ref> = items.iter().collect();
        let odd = || "a tensor whose storage has an id of unknown form".to_owned();
        let [tag, class, key, _, elements, view @ ..] = items.as_slice() else { return Err(odd()) };
        let whole = match view {
            [] => true,
            [view] => matches!(self.tree.item(*view), Item::None),
            _ => false,
        };
        if self.text(*tag) != Some("storage") || !whole {
            return Err(odd());
        }
        let Some(("torch" | "torch.cuda" | "torch.storage", class)) = self.global(*class) else { return Err(odd()) };
        let key = match self.tree.item(*key) {
            Item::Int(key) => key.to_string(),
            _ => self.text(*key).ok_or_else(odd)?.to_owned(),
        };
        let Item::Int(elements) = self.tree.item(*elements) else { return Err(odd()) };
        let elements = u64::try_from(elements).map_err(|_| odd())?;
        Ok(StorageId { key, class: class.to_owned(), elements })
    }

    /// A tuple of numbers, or `torch.Size` of one.
    fn numbers(&self, value: Ref, what: &str) -> Result<Vec<u64>, String> {
        let mut value = value;
        if let Item::Call(call) = self.tree.item(value)
            && self.global(call.callee) == Some(("torch", "Size"))
            && let (Some(inner), 1, true) = (call.args.get(0), call.args.len(), call.args_known)
        {
            value = inner;
        }
        let wrong = || format!("a tensor whose {what} is no tuple of numbers");
        let Item::Seq { kind: "tuple", items } = self.tree.item(value) else { return Err(wrong()) };
        let number = |value| match self.tree.item(value) {
            Item::Int(n) => u64::try_from(n).ok(),
            _ => None,
        };
        items.iter().map(number).collect::<Option<_>>().ok_or_else(wrong)
    }

    fn describe(&self, value: Ref) -> String {
        match self.tree.item(value) {
            Item::None => "None".to_owned(),
            Item::Bool(value) => format!("a bool ({})", if value { "True" } else { "False" }),
            Item::Int(value) => format!("an int ({value})"),
            Item::BigInt(_) => "an int".to_owned(),
            Item::Float => "a float".to_owned(),
            Item::Str(bytes) => format!("text of {} bytes", bytes.len()),
            Item::Bytes { len, .. } => format!("{len} bytes"),
            Item::Global { module, name } => format!("the global `{}.{}`", cut(module), cut(name)),
            Item::Seq { kind, items } => format!("a {kind} of {}", items.len()),
            Item::Dict { pairs } => format!("a dict of {}", pairs.len()),
            Item::Call(call) if self.is_empty_ordered_dict(&call) => format!("a dict of {}", call.pairs.len()),
            Item::Call(call) => match self.global(call.callee) {
                Some(("torch._utils", name)) if name.starts_with("_rebuild_") => "a tensor".to_owned(),
                Some((module, name)) => format!("what `{}.{}` returns", cut(module), cut(name)),
                None => "what a call returns".to_owned(),
            },
            Item::Persistent { .. } => "a storage without a tensor".to_owned(),
            Item::Unknown { kind } => format!("a {kind} too large or too odd to keep"),
        }
    }
}

/// A tensor without its name.
struct Found {
    storage: StorageId,
    dtype: Dtype,
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
    /// What of it has no place in safetensors.
    dropped: Option<&'static str>,
}

fn end_of(tree: &Tree) -> String {
    match (&tree.facts().end, tree.io_error()) {
        (_, Some(error)) => error.to_owned(),
        (gauntlet_pickle::StreamEnd::Malformed { what, offset }, _) => format!("{what} at offset {offset}"),
        (gauntlet_pickle::StreamEnd::Limit { hit }, _) => hit.to_string(),
        _ => "it is cut off".to_owned(),
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Text of the file in a message: printable and short.
pub(super) fn cut(text: &str) -> String {
    let shown: String = text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if shown.len() < text.len() && text.chars().nth(200).is_some() { format!("{shown}…") } else { shown }
}
