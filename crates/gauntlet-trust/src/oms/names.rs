//! Names inside a model: which are safe, and which are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

use gauntlet_core::MODEL_IGNORED;

use super::UnsignedWhy;

/// Whether `name` is a relative path with plain parts that stays inside the model on every system we run on.
pub(crate) fn is_safe(name: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    let foreign = cfg!(windows) && name.contains(['\\', ':']);
    !name.contains('\0') && !foreign && name.split('/').all(plain)
}

/// `a/b/c` gives `a`, `a/b` and `a/b/c`: what may be ignored so that the path is.
pub(super) fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end])
}

/// Paths that are left out, each with everything below it.
pub(super) struct Ignored(BTreeMap<String, UnsignedWhy>);

impl Ignored {
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let paths = paths.into_iter().chain(MODEL_IGNORED);
        Self(paths.map(|path| (path.to_owned(), UnsignedWhy::Ignored)).collect())
    }

    /// Leaves the signature out too, when it lies inside `model`.
    pub(super) fn signature(&mut self, model: &Path, signature: Option<&Path>) {
        if let Some(path) = signature.and_then(|signature| inside(model, signature)) {
            self.0.insert(path, UnsignedWhy::Signature);
        }
    }

    /// Leaves out the signature under this name inside the model.
    pub(super) fn signature_name(&mut self, name: &str) {
        self.0.insert(name.to_owned(), UnsignedWhy::Signature);
    }

    /// `path` is met on the way down, so whatever lies above it is known not to be ignored.
    pub(super) fn entry(&self, path: &str) -> Option<UnsignedWhy> {
        self.0.get(path).copied()
    }

    /// All paths, sorted.
    pub(super) fn paths(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// Whether a sorted set has `path` itself or something below it.
pub(super) fn has_below(names: &BTreeSet<&str>, path: &str) -> bool {
    if names.contains(path) {
        return true;
    }
    let below = format!("{path}/");
    let mut from = names.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
    from.next().is_some_and(|name| name.starts_with(&below))
}

/// The name of `file` relative to `model`. The folders on the way are resolved, the file itself is not: it may be
/// about to be written, and a link to elsewhere is an entry of its own.
fn inside(model: &Path, file: &Path) -> Option<String> {
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let place = parent.canonicalize().ok()?.join(file.file_name()?);
    // A folder is never a signature, and leaving one out would leave out everything in it.
    if place.is_dir() {
        return None;
    }
    let relative = place.strip_prefix(model.canonicalize().ok()?).ok()?.to_str()?;
    let name = if cfg!(windows) { relative.replace('\\', "/") } else { relative.to_owned() };
    is_safe(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_are_safe() {
        for name in ["a", "a/b.bin", ".env", "a b", "..a", "été", "a:b"] {
            assert!(is_safe(name) || cfg!(windows), "{name}");
        }
        for name in ["", ".", "..", "/a", "a/", "a//b", "a/../b", "./a", "a\0"] {
            assert!(!is_safe(name), "{name:?}");
        }
    }

    #[test]
    fn ancestry_ends_at_whole_parts() {
        assert_eq!(ancestry("a/bc/d").collect::<Vec<_>>(), ["a", "a/bc", "a/bc/d"]);
        assert_eq!(ancestry("a").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn below_means_below_and_not_beside() {
        let names = BTreeSet::from(["a.b", "a/b/c", "d"]);
        assert!(has_below(&names, "a") && has_below(&names, "a/b") && has_below(&names, "d"));
        assert!(!has_below(&names, "a/b/c/d") && !has_below(&names, "b") && !has_below(&names, "a."));
    }
}
