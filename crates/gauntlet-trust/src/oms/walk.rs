//! Which files a model has on disk, and what else lies there that is no plain file.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use gauntlet_limits::{Limit, LimitHit, Limits};

use super::UnsignedWhy;
use super::names::{Ignored, ancestry, has_below};

/// A model as it lies on disk.
#[derive(Default)]
pub(super) struct Walked {
    /// The model is one file, not a folder.
    pub(super) single: bool,
    /// Regular files, and links to regular files where links are allowed. In no order.
    pub(super) files: Vec<FoundFile>,
    /// Everything else that stands in the way of "only signed files are here".
    pub(super) oddities: Vec<Oddity>,
    /// What was left out.
    pub(super) left_out: Vec<(String, UnsignedWhy)>,
    /// What a person should know about the listing itself.
    pub(super) notes: Vec<String>,
}

pub(super) struct FoundFile {
    /// Relative to the model with `/`; the base name for a single file.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    /// A link that is followed.
    pub(super) linked: bool,
    /// The link leads out of the model.
    pub(super) leaves: bool,
    /// Inside something ignored; met only because a name inside it was asked for.
    pub(super) ignored: bool,
}

pub(super) struct Oddity {
    /// For display: bytes that are no UTF-8 are replaced.
    pub(super) path: String,
    pub(super) kind: OddityKind,
}

pub(super) enum OddityKind {
    /// A link while links are not allowed.
    Link,
    /// An allowed link, but to a folder: what is in it would be in the model unsigned.
    LinkToFolder,
    /// An allowed link that leads to nothing.
    DanglingLink,
    /// A pipe, socket or device, itself or behind a link.
    Special,
    /// A file whose name is not UTF-8, which no signature can hold.
    NameNotText,
    /// A server lists a name that leads out of the model.
    UnsafeName,
    /// A server lists a name twice.
    Doubled,
    /// Not readable; for a folder nothing below it is known.
    Unreadable(io::Error),
}

struct Folder {
    path: PathBuf,
    /// Relative, for display; ends in `/` unless empty.
    prefix: String,
    text: bool,
    ignored: bool,
}

/// Lists the model. Names in `wanted` are found even where they are ignored. Folders themselves leave no trace.
pub(super) fn walk(
    model: &Path,
    follow: bool,
    ignored: &Ignored,
    wanted: &BTreeSet<&str>,
    limits: &Limits,
) -> Result<Walked, WalkError> {
    let failed = |source| WalkError::Io { path: model.to_owned(), source };
    let metadata = std::fs::metadata(model).map_err(failed)?;
    // Base names and "does a link leave" need the real place; `gauntlet sign .` has no base name.
    let root = model.canonicalize().map_err(failed)?;
    if metadata.is_file() {
        return Ok(single_file(model, root, metadata.len()));
    }
    if !metadata.is_dir() {
        return Err(failed(io::Error::other("neither a file nor a folder")));
    }
    let mut walked = Walked::default();
    let mut entries = 0u64;
    let mut folders = vec![Folder { path: root.clone(), prefix: String::new(), text: true, ignored: false }];
    while let Some(folder) = folders.pop() {
        let listing = match std::fs::read_dir(&folder.path) {
            Ok(listing) => listing,
            Err(source) if folder.prefix.is_empty() => return Err(failed(source)),
            Err(source) => {
                walked.odd(folder.prefix.trim_end_matches('/'), OddityKind::Unreadable(source));
                continue;
            }
        };
        for entry in listing {
            entries += 1;
            limits.check(Limit::Entries, entries)?;
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) => {
                    let scene = Scene { root: &root, follow, ignored, wanted, folder: &folder };
                    folders.extend(scene.look(&entry, kind, &mut walked));
                }
                Err(source) => walked.odd(folder.prefix.trim_end_matches('/'), OddityKind::Unreadable(source)),
            }
        }
    }
    Ok(walked)
}

/// `model` may be a link, as in download caches: its own name counts, the bytes are read where they lie.
fn single_file(model: &Path, path: PathBuf, size: u64) -> Walked {
    let mut walked = Walked { single: true, ..Walked::default() };
    match model.file_name().and_then(OsStr::to_str) {
        Some(name) => {
            let name = name.to_owned();
            walked.files.push(FoundFile { name, path, size, linked: false, leaves: false, ignored: false });
        }
        None => walked.odd(&model.to_string_lossy(), OddityKind::NameNotText),
    }
    walked
}

impl Walked {
    pub(super) fn odd(&mut self, path: &str, kind: OddityKind) {
        self.oddities.push(Oddity { path: path.to_owned(), kind });
    }
}

/// Everything one entry is judged by.
struct Scene<'a> {
    root: &'a Path,
    follow: bool,
    ignored: &'a Ignored,
    wanted: &'a BTreeSet<&'a str>,
    folder: &'a Folder,
}

impl Scene<'_> {
    /// Files one entry; answers with the folder to go into, if it is one.
    fn look(&self, entry: &std::fs::DirEntry, kind: std::fs::FileType, walked: &mut Walked) -> Option<Folder> {
        let os_name = entry.file_name();
        let name = format!("{}{}", self.folder.prefix, os_name.to_string_lossy());
        let text = self.folder.text && os_name.to_str().is_some();
        let why = if text { self.ignored.entry(&name) } else { None };
        if let Some(why) = why {
            walked.left_out.push((name.clone(), why));
        }
        let ignored = self.folder.ignored || why.is_some();
        if ignored && !has_below(self.wanted, &name) {
            return None;
        }
        let path = entry.path();
        if kind.is_dir() {
            return Some(Folder { path, prefix: name + "/", text, ignored });
        }
        if !text {
            walked.odd(&name, OddityKind::NameNotText);
        } else if kind.is_symlink() {
            link(self.root, self.follow, name, path, ignored, walked);
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(m) => {
                    walked.files.push(FoundFile { name, path, size: m.len(), linked: false, leaves: false, ignored });
                }
                Err(source) => walked.odd(&name, OddityKind::Unreadable(source)),
            }
        } else {
            walked.odd(&name, OddityKind::Special);
        }
        None
    }
}

/// Files a link: as the file it leads to where links are followed, else as an oddity.
fn link(root: &Path, follow: bool, name: String, path: PathBuf, ignored: bool, walked: &mut Walked) {
    if !follow {
        return walked.odd(&name, OddityKind::Link);
    }
    match std::fs::metadata(&path) {
        Ok(m) if m.is_file() => {
            let leaves = path.canonicalize().map_or(true, |target| !target.starts_with(root));
            walked.files.push(FoundFile { name, path, size: m.len(), linked: true, leaves, ignored });
        }
        Ok(m) if m.is_dir() => walked.odd(&name, OddityKind::LinkToFolder),
        Ok(_) => walked.odd(&name, OddityKind::Special),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => walked.odd(&name, OddityKind::Unreadable(e)),
        // Nothing there, or a cycle of links.
        Err(_) => walked.odd(&name, OddityKind::DanglingLink),
    }
}

/// Looks for the `wanted` names alone, without listing a folder: what else is there stays unknown.
pub(super) fn pick(model: &Path, follow: bool, wanted: &BTreeSet<&str>) -> Result<Walked, WalkError> {
    let failed = |source| WalkError::Io { path: model.to_owned(), source };
    let metadata = std::fs::metadata(model).map_err(failed)?;
    let root = model.canonicalize().map_err(failed)?;
    if metadata.is_file() {
        return Ok(single_file(model, root, metadata.len()));
    }
    let mut walked = Walked::default();
    for name in wanted {
        pick_one(&root, follow, name, &mut walked);
    }
    Ok(walked)
}

/// Steps down to one name; a folder on the way that is a link is an oddity, as it is when the folder is walked.
fn pick_one(root: &Path, follow: bool, name: &str, walked: &mut Walked) {
    for step in ancestry(name) {
        let path = root.join(step);
        let last = step.len() == name.len();
        match std::fs::symlink_metadata(&path) {
            Ok(m) if m.is_dir() && !last => {}
            Ok(m) if m.is_symlink() => return link(root, follow, step.to_owned(), path, false, walked),
            Ok(m) if m.is_file() && last => {
                let size = m.len();
                let name = name.to_owned();
                return walked.files.push(FoundFile { name, path, size, linked: false, leaves: false, ignored: false });
            }
            // A folder where a file is signed, or a file where a folder should be: the name is not there.
            Ok(m) if m.is_dir() || m.is_file() => return,
            Ok(_) => return walked.odd(step, OddityKind::Special),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return walked.odd(step, OddityKind::Unreadable(e)),
        }
    }
}

/// The model as a whole could not be listed.
#[derive(Debug)]
pub(super) enum WalkError {
    Io { path: PathBuf, source: io::Error },
    Limit(LimitHit),
}

impl From<LimitHit> for WalkError {
    fn from(hit: LimitHit) -> Self {
        Self::Limit(hit)
    }
}
