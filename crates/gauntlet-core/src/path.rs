//! Paths for people: `/` between parts, and nothing lost when a name is no UTF-8.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// A path for people (`/` between parts, lossy) and, when that lost something, its raw bytes in hex.
#[must_use]
pub fn display_path(path: &Path) -> (String, Option<String>) {
    let text = path
        .components()
        .filter(|c| !matches!(c, Component::CurDir))
        .map(|c| c.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
        .replace("//", "/");
    let raw = path.to_str().is_none().then(|| hex::encode(path.as_os_str().as_bytes()));
    (text, raw)
}
