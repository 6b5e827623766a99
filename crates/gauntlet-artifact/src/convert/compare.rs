//! Compares what a conversion yields with a safetensors file that is already there.

use std::collections::HashMap;

use gauntlet_limits::{Budget, ReadAt, Window};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::rebuild::cut;
use super::strided::View;
use super::{ConvertError, Report, write};
use crate::formats::safetensors;

/// A tensor that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Name of the tensor.
    pub name: String,
    /// What differs, in words.
    pub what: String,
}

/// Compares every tensor of `report` with `other`, a safetensors file: names, element types, shapes, digests. Metadata
/// and the order of tensors do not count. Sorted by name.
///
/// # Errors
/// [`ConvertError::Unsupported`] when `other` is no valid safetensors file; I/O errors and limits.
pub fn compare(report: &Report, other: &dyn ReadAt, budget: &Budget) -> Result<Vec<Difference>, ConvertError> {
    let table = safetensors::table(other, budget.limits()).map_err(|error| match error {
        safetensors::HeaderError::Io(error) => error.into(),
        safetensors::HeaderError::Limit(hit) => ConvertError::Limit(hit),
    })?;
    let Some((data, entries)) = table else {
        return Err(ConvertError::Unsupported("a comparison with a file that is no valid safetensors".to_owned()));
    };
    let mut left: HashMap<String, safetensors::Entry> = entries.into_iter().collect();
    let mut differences = Vec::new();
    let mut differs = |name: &str, what: String| differences.push(Difference { name: cut(name), what });
    for tensor in &report.tensors {
        let Some(entry) = left.remove(&tensor.name) else {
            differs(&tensor.name, "is missing in the other file".to_owned());
            continue;
        };
        let [begin, end] = entry.data_offsets;
        if entry.dtype != tensor.dtype {
            differs(&tensor.name, format!("is {} here and {} there", tensor.dtype, cut(&entry.dtype)));
        } else if entry.shape != tensor.shape {
            differs(&tensor.name, format!("has shape {:?} here and {:?} there", tensor.shape, entry.shape));
        } else {
            let bytes = Window::new(other, data.saturating_add(begin), end - begin);
            let view = View::new(0, vec![end - begin], vec![1], 1, end - begin);
            let view = view.map_err(|what| ConvertError::Unsupported(format!("a comparison: {what}")))?;
            let mut hash = Sha256::new();
            view.read(&bytes, 1, &mut |chunk| {
                hash.update(chunk);
                Ok(())
            })?;
            let there = write::digest(hash)?;
            if there != tensor.digest {
                differs(&tensor.name, format!("has other values: {} here and {there} there", tensor.digest));
            }
        }
    }
    for name in left.into_keys() {
        differs(&name, "is only in the other file".to_owned());
    }
    differences.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(differences)
}
