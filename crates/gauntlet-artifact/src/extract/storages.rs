//! Tensor storages of PyTorch's zip files: `data/7` beside a `data.pkl`, which says what its numbers are.

use std::collections::HashMap;

use gauntlet_archive::Zip;
use gauntlet_pickle::Storage;

use crate::formats::tensor::TensorRow;

/// Storages of one zip.
pub(super) struct Storages {
    /// What stands before `data.pkl`.
    roots: Vec<String>,
    /// Name, offset and bytes of members that hold numbers.
    members: Vec<(String, u64, u64)>,
    /// Class and number of elements by member.
    known: HashMap<String, (String, i64)>,
}

impl Storages {
    pub(super) fn of(zip: &Zip) -> Self {
        let names = zip.members().iter().map(gauntlet_archive::Member::display_name);
        let roots = names.filter_map(|name| name.strip_suffix("data.pkl").map(str::to_owned)).collect();
        Self { roots, members: Vec::new(), known: HashMap::new() }
    }

    /// Notes the elements of a tensor. Numbers begin like anything, so such a member is not recognised by its content.
    pub(super) fn add(&mut self, name: &str, offset: u64, bytes: u64) -> bool {
        let digits = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        let key = self.roots.iter().find_map(|root| name.strip_prefix(root.as_str())?.strip_prefix("data/"));
        let is_storage = key.is_some_and(digits);
        if is_storage {
            self.members.push((name.to_owned(), offset, bytes));
        }
        is_storage
    }

    /// Notes what the pickle at `name` says of the storages beside it.
    pub(super) fn name(&mut self, name: &str, storages: &mut Vec<Storage>) {
        let Some(root) = name.strip_suffix("data.pkl") else { return };
        for storage in storages.drain(..) {
            self.known.insert(format!("{root}data/{}", storage.key), (storage.class, storage.elements));
        }
    }

    /// One row a storage, in the order of the zip.
    pub(super) fn rows(self) -> Vec<TensorRow> {
        let Self { members, known, .. } = self;
        let row = |(name, offset, bytes): (String, u64, u64)| {
            let (class, elements) = known.get(&name).map_or(("", 0), |(class, elements)| (class.as_str(), *elements));
            let shape = vec![u64::try_from(elements).unwrap_or(0)];
            TensorRow { name, dtype: dtype(class).to_owned(), shape, offset, bytes }
        };
        members.into_iter().map(row).collect()
    }
}

/// The element type of a storage class in the spelling of safetensors; empty when it has none.
fn dtype(class: &str) -> &'static str {
    match class {
        "DoubleStorage" => "F64",
        "FloatStorage" => "F32",
        "HalfStorage" => "F16",
        "BFloat16Storage" => "BF16",
        "LongStorage" => "I64",
        "IntStorage" => "I32",
        "ShortStorage" => "I16",
        "CharStorage" => "I8",
        "ByteStorage" => "U8",
        "BoolStorage" => "BOOL",
        _ => "",
    }
}
