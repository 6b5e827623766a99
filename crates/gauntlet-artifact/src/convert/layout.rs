//! Where the bytes of storages lie: PyTorch's zip, PyTorch's layout before version 1.6, NumPy's files.

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Seek as _};
use std::path::Path;

use gauntlet_archive::{Member, Method, Reading, Trust, Zip};
use gauntlet_core::Limit;
use gauntlet_limits::{Budget, Cursor, ReadAt, Window};
use gauntlet_pickle::{Item, Tree, tree};

use super::dtype::{Dtype, storage_item};
use super::rebuild::{Described, Outcome, StorageId, cut, rebuild};
use super::strided::View;
use super::{ConvertError, Note, Options, Plan, Planned, Storage};
use crate::formats::npy;

/// 0x1950a86a20f9469cfc6c, little endian.
const TORCH_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Version of the layout before 1.6.
const TORCH_PROTOCOL: i64 = 1001;

/// A storage that the file brings, before tensors ask for it.
struct Brought {
    at: Place,
    bytes: u64,
    /// What the file calls it.
    name: String,
}

/// Where stored bytes are.
enum Place {
    /// In the file as they are.
    Here(u64),
    /// In a member that has to be unpacked first.
    Packed(Reading),
}

/// Reads a zip: PyTorch's, or NumPy's.
pub(super) fn zip<'a>(
    source: &'a dyn ReadAt,
    budget: &'a Budget,
    options: &Options,
    scratch: &Path,
) -> Result<Plan<'a>, ConvertError> {
    let zip = Zip::read(source, budget)?;
    if let Some(hit) = zip.limit() {
        return Err(hit.into());
    }
    let mut plan = Plan::new(source, "zip");
    if let Some(conflict) = zip.conflicts().first() {
        let name = conflict.member.and_then(|i| zip.members().get(i)).map(Member::display_name);
        let kind = serde_json::to_value(&conflict.kind).ok();
        let kind = kind.as_ref().and_then(|v| v.get("conflict")).and_then(|v| v.as_str()).unwrap_or("conflict");
        let what = format!("readers of this zip may disagree about it ({kind}); `gauntlet scan` tells more");
        plan.outcome.refuse(&cut(&name.unwrap_or_default()), what);
        return plan.judged();
    }
    let members: Vec<&Member> = zip.members().iter().filter(|m| !m.is_folder()).collect();
    let names: HashMap<String, Reading> = members
        .iter()
        .filter_map(|m| Some((String::from_utf8(m.name().to_vec()).ok()?, *m.readings().first()?)))
        .collect();
    if names.len() != members.len() {
        return Err(ConvertError::Unsupported("a zip with unreadable members".to_owned()));
    }
    plan.stored(&names);
    let pickles: Vec<&str> = names.keys().filter_map(|n| n.strip_suffix("/data.pkl")).collect();
    match pickles.as_slice() {
        [] if !names.is_empty() && names.keys().all(|name| name.ends_with(".npy")) => {
            plan.format = "npz";
            let mut names: Vec<(&String, &Reading)> = names.iter().collect();
            names.sort_unstable_by_key(|(name, _)| *name);
            for (name, reading) in names {
                let bytes = plan.open(source, reading, budget, scratch, name)?;
                if let Some(bytes) = bytes {
                    plan.array(name.strip_suffix(".npy").unwrap_or(name), name, bytes)?;
                }
            }
            plan.judged()
        }
        [root] => torch_zip(plan, source, root, &names, budget, options, scratch),
        [] => Err(ConvertError::Unsupported("a zip that is neither PyTorch's nor NumPy's".to_owned())),
        _ => Err(ConvertError::Unsupported("a zip with several `data.pkl`".to_owned())),
    }
}

fn torch_zip<'a>(
    mut plan: Plan<'a>,
    source: &'a dyn ReadAt,
    root: &str,
    names: &HashMap<String, Reading>,
    budget: &'a Budget,
    options: &Options,
    scratch: &Path,
) -> Result<Plan<'a>, ConvertError> {
    plan.format = "torch-zip";
    plan.metadata = true;
    let member = |name: &str| format!("{root}/{name}");
    let pickle = member("data.pkl");
    if ["constants.pkl", "code/__torch__.py"].iter().any(|name| names.contains_key(&member(name)))
        || names.keys().any(|name| name.strip_prefix(root).is_some_and(|rest| rest.starts_with("/code/")))
    {
        plan.outcome.refuse(&member("code"), "a TorchScript program, not a state dict");
        return plan.judged();
    }
    let big = match names.get(&member("byteorder")) {
        None => false,
        Some(reading) => match small(source, reading, budget)?.as_slice() {
            b"little" => false,
            b"big" => true,
            other => {
                plan.outcome.refuse(&member("byteorder"), format!("unknown byte order `{}`", other.escape_ascii()));
                return plan.judged();
            }
        },
    };
    let reading = names.get(&pickle).ok_or_else(|| ConvertError::Unsupported("no data.pkl".to_owned()))?;
    let bytes = small(source, reading, budget)?;
    let tree = tree(&mut Cursor::new(&bytes, 0), budget);
    limit_of(&tree)?;
    plan.outcome = rebuild(&tree, &pickle, options, budget)?;
    if tree.root().is_some() && tree.facts().len != bytes.len() as u64 {
        plan.other(options, &pickle, "bytes behind the end of the pickle");
    }
    let named: HashSet<&str> = tree.facts().persistent_ids.storages.iter().map(|s| s.key.as_str()).collect();
    let mut brought = HashMap::new();
    let mut sorted: Vec<(&String, &Reading)> = names.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    for (name, reading) in sorted {
        let short = name.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
        match short.strip_prefix("data/") {
            Some(key) if named.contains(key) => {
                let at = match reading.method {
                    Method::Stored => Place::Here(reading.data),
                    _ => Place::Packed(*reading),
                };
                brought.insert(key.to_owned(), Brought { at, bytes: reading.size, name: name.clone() });
            }
            Some(_) => plan.other(options, name, "a storage that no tensor names"),
            None if matches!(
                short,
                "data.pkl" | "version" | "byteorder" | ".format_version" | ".storage_alignment"
            ) => {}
            None if short == ".data/serialization_id" && reading.size <= 256 => {}
            None => plan.other(options, name, "a member that no state dict needs; nothing looked at it"),
        }
    }
    plan.place(source, &brought, big, budget, scratch)?;
    plan.judged()
}

/// Reads the layout that `torch.save` wrote before version 1.6: five pickles, then the storages, each an 8-byte count
/// and its elements, always little endian.
pub(super) fn torch_legacy<'a>(
    source: &'a dyn ReadAt,
    budget: &'a Budget,
    options: &Options,
    scratch: &Path,
) -> Result<Plan<'a>, ConvertError> {
    let mut plan = Plan::new(source, "torch-legacy");
    plan.metadata = true;
    let mut at = 0;
    let mut next = || {
        let tree = tree(&mut Cursor::new(source, at), budget);
        at = tree.facts().offset.saturating_add(tree.facts().len);
        limit_of(&tree).map(|()| (tree, at))
    };
    let (magic, _) = next()?;
    if !matches!(magic.root().map(|root| magic.item(root)), Some(Item::BigInt(bytes)) if bytes == TORCH_MAGIC) {
        return Err(ConvertError::Unsupported("a pickle by itself, which holds no tensor storages".to_owned()));
    }
    let (protocol, _) = next()?;
    if !matches!(protocol.root().map(|root| protocol.item(root)), Some(Item::Int(TORCH_PROTOCOL))) {
        return Err(ConvertError::Unsupported("PyTorch's old layout with an unknown protocol".to_owned()));
    }
    let (system, _) = next()?;
    if system.globals().is_none_or(|mut globals| globals.next().is_some()) || system.root().is_none() {
        plan.outcome.refuse("system information", "is more than plain values");
        return plan.judged();
    }
    let (object, _) = next()?;
    plan.outcome = rebuild(&object, "object", options, budget)?;
    if !plan.outcome.reasons.is_empty() {
        return plan.judged();
    }
    let (keys, mut at) = next()?;
    let ids = &object.facts().persistent_ids;
    let classes: HashMap<&str, &str> = ids.storages.iter().map(|s| (s.key.as_str(), s.class.as_str())).collect();
    let Some(Item::Seq { kind: "list", items }) = keys.root().map(|root| keys.item(root)) else {
        plan.outcome.refuse("storage keys", "are no list");
        return plan.judged();
    };
    let mut brought = HashMap::new();
    for key in items.iter() {
        let key = match keys.item(key) {
            Item::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Item::Int(key) => key.to_string(),
            _ => String::new(),
        };
        let Some(item) = classes.get(key.as_str()).and_then(|class| storage_item(class)) else {
            plan.outcome.refuse(&cut(&key), "a storage key that the object does not name, or of an unknown class");
            return plan.judged();
        };
        let mut count = [0; 8];
        if source.read_exact_at(at, &mut count).is_err() {
            plan.outcome.refuse(&cut(&key), "the file ends before this storage");
            return plan.judged();
        }
        let bytes = u64::from_le_bytes(count).checked_mul(item);
        let end = bytes.and_then(|bytes| at.checked_add(8)?.checked_add(bytes)).filter(|end| *end <= source.size());
        let (Some(bytes), Some(end)) = (bytes, end) else {
            plan.outcome.refuse(&cut(&key), "the storage reaches behind the end of the file");
            return plan.judged();
        };
        brought.insert(key.clone(), Brought { at: Place::Here(at + 8), bytes, name: key });
        at = end;
    }
    if at < source.size() {
        plan.other(options, "", &format!("{} bytes behind the storages", source.size() - at));
    }
    plan.place(source, &brought, false, budget, scratch)?;
    plan.judged()
}

/// Reads one `.npy` file, whose array has no name.
pub(super) fn npy<'a>(source: &'a dyn ReadAt) -> Result<Plan<'a>, ConvertError> {
    let mut plan = Plan::new(source, "npy");
    plan.array("array", "", Box::new(Window::new(source, 0, source.size())))?;
    plan.judged()
}

impl<'a> Plan<'a> {
    /// Notes the checksums of stored members, which the pass over the whole file compares.
    fn stored(&mut self, names: &HashMap<String, Reading>) {
        for (name, reading) in names.iter().filter(|(_, reading)| reading.method == Method::Stored) {
            self.checksums.push((reading.data, reading.compressed, reading.crc, name.clone()));
        }
        self.checksums.sort_unstable();
    }

    fn other(&mut self, options: &Options, path: &str, what: &str) {
        if options.drop_other {
            self.outcome.left_out.push(Note { path: cut(path), what: what.to_owned() });
        } else {
            self.outcome.refuse(&cut(path), what);
        }
    }

    /// Opens a member for random access; one that is compressed is unpacked to a nameless temporary file first.
    fn open(
        &mut self,
        source: &'a dyn ReadAt,
        reading: &Reading,
        budget: &Budget,
        scratch: &Path,
        name: &str,
    ) -> Result<Option<Box<dyn ReadAt + 'a>>, ConvertError> {
        if reading.method == Method::Stored {
            return Ok(Some(Box::new(Window::new(source, reading.data, reading.compressed))));
        }
        let mut stream = reading.open(source, budget, Trust::Strict)?;
        let mut file = tempfile::tempfile_in(scratch)?;
        std::io::copy(&mut stream, &mut file)?;
        if stream.crc_holds() != Some(true) || stream.size_holds() != Some(true) {
            self.outcome.refuse(&cut(name), "the member's size or checksum is not what the zip says");
            return Ok(None);
        }
        file.rewind()?;
        Ok(Some(Box::new(file)))
    }

    /// Finds the storage of each described tensor and checks that the tensor lies in it.
    fn place(
        &mut self,
        source: &'a dyn ReadAt,
        brought: &HashMap<String, Brought>,
        big: bool,
        budget: &Budget,
        scratch: &Path,
    ) -> Result<(), ConvertError> {
        if !self.outcome.reasons.is_empty() {
            return Ok(());
        }
        let mut opened: HashMap<String, (StorageId, usize)> = HashMap::new();
        for tensor in std::mem::take(&mut self.outcome.tensors) {
            let Described { name, storage: id, dtype, offset, shape, strides } = tensor;
            let path = cut(&name);
            let Some(found) = brought.get(&id.key) else {
                self.outcome.refuse(&path, format!("its storage `{}` is not in the file", cut(&id.key)));
                continue;
            };
            let index = match opened.get(&id.key) {
                Some((known, index)) if *known == id => *index,
                Some(_) => {
                    self.outcome.refuse(&path, format!("its storage `{}` is described in two ways", cut(&id.key)));
                    continue;
                }
                None => {
                    let stated = storage_item(&id.class).and_then(|item| item.checked_mul(id.elements));
                    if stated != Some(found.bytes) {
                        let what = format!("its storage `{}` is not as long as the pickle says", cut(&id.key));
                        self.outcome.refuse(&path, what);
                        continue;
                    }
                    let bytes = match &found.at {
                        Place::Here(at) => {
                            Some(Box::new(Window::new(source, *at, found.bytes)) as Box<dyn ReadAt + 'a>)
                        }
                        Place::Packed(reading) => self.open(source, reading, budget, scratch, &found.name)?,
                    };
                    let Some(bytes) = bytes else { continue };
                    self.storages.push(Storage { name: found.name.clone(), bytes });
                    opened.insert(id.key.clone(), (id.clone(), self.storages.len() - 1));
                    self.storages.len() - 1
                }
            };
            match View::new(offset, shape, strides, dtype.size(), found.bytes) {
                Ok(view) => self.tensors.push(Planned { name, dtype, view, storage: index, swap: swap(dtype, big) }),
                Err(why) => self.outcome.refuse(&path, why),
            }
        }
        Ok(())
    }

    /// One NumPy array under `name`.
    fn array(&mut self, name: &str, member: &str, bytes: Box<dyn ReadAt + 'a>) -> Result<(), ConvertError> {
        let (facts, fortran) = match npy::read_with_order(&*bytes) {
            Ok(read) => read,
            Err(npy::NpyError::Io(error)) => return Err(error.into()),
            Err(error) => {
                self.outcome.refuse(&cut(member), error.to_string());
                return Ok(());
            }
        };
        if facts.has_objects {
            self.outcome.refuse(&cut(member), "an array of Python objects, which is a pickle");
            return Ok(());
        }
        let Some((dtype, big)) = Dtype::of_numpy(&facts.descr) else {
            let what = format!("an array of element type {}, which safetensors cannot hold", cut(&facts.descr));
            self.outcome.refuse(&cut(member), what);
            return Ok(());
        };
        if name == "__metadata__" {
            self.outcome.refuse(name, "safetensors cannot hold this name");
            return Ok(());
        }
        if facts.expected != Some(facts.available) {
            self.outcome.refuse(&cut(member), "type and shape ask for another number of bytes than there are");
            return Ok(());
        }
        let mut strides = vec![1u64; facts.shape.len()];
        let dims: Vec<usize> = if fortran { (1..strides.len()).collect() } else { (1..strides.len()).rev().collect() };
        for dim in dims {
            let (to, from) = if fortran { (dim, dim - 1) } else { (dim - 1, dim) };
            if let (Some(stride), Some(size)) = (strides.get(from).copied(), facts.shape.get(from))
                && let Some(slot) = strides.get_mut(to)
            {
                *slot = stride.saturating_mul(*size);
            }
        }
        // The header is no multiple of every element, so the data is a window of its own.
        let storage = Storage { name: member.to_owned(), bytes: Box::new(From { inner: bytes, start: facts.data }) };
        match View::new(0, facts.shape, strides, dtype.size(), facts.available) {
            Ok(view) => {
                self.storages.push(storage);
                let (name, storage, swap) = (name.to_owned(), self.storages.len() - 1, swap(dtype, big));
                self.tensors.push(Planned { name, dtype, view, storage, swap });
            }
            Err(why) => self.outcome.refuse(&cut(member), why),
        }
        Ok(())
    }

    /// The plan, or why there is none.
    fn judged(mut self) -> Result<Self, ConvertError> {
        if self.outcome.reasons.is_empty() && self.tensors.is_empty() && self.outcome.left_out.iter().any(|_| true) {
            self.outcome.refuse("", "holds no tensors");
        }
        let Outcome { reasons, more, keys, .. } = &mut self.outcome;
        if reasons.is_empty() {
            return Ok(self);
        }
        let (reasons, keys) = (std::mem::take(reasons), std::mem::take(keys));
        Err(ConvertError::Refused(Box::new(super::Refusal { format: self.format, reasons, more: *more, keys })))
    }
}

/// Bytes from `start` on, owning what they are read from.
struct From<'a> {
    inner: Box<dyn ReadAt + 'a>,
    start: u64,
}

impl ReadAt for From<'_> {
    fn size(&self) -> u64 {
        self.inner.size().saturating_sub(self.start)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read_at(offset.saturating_add(self.start), buf)
    }
}

fn swap(dtype: Dtype, big: bool) -> usize {
    if big { dtype.swapped() } else { 1 }
}

/// A pickle that a limit ended was not judged.
fn limit_of(tree: &Tree) -> Result<(), ConvertError> {
    match tree.facts().end {
        gauntlet_pickle::StreamEnd::Limit { hit } => Err(hit.into()),
        _ => Ok(()),
    }
}

/// A member that is read whole; its checksum and length must hold.
fn small(source: &dyn ReadAt, reading: &Reading, budget: &Budget) -> Result<Vec<u8>, ConvertError> {
    let limits = budget.limits();
    limits.check(Limit::HeaderBytes, reading.size)?;
    let mut stream = reading.open(source, budget, Trust::Strict)?;
    let mut bytes = Vec::new();
    (&mut stream).take(limits.header_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    limits.check(Limit::HeaderBytes, bytes.len() as u64)?;
    if stream.crc_holds() != Some(true) || stream.size_holds() != Some(true) {
        return Err(ConvertError::Unsupported(
            "a zip whose member has another size or checksum than it says".to_owned(),
        ));
    }
    Ok(bytes)
}
