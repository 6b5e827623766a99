//! The files of a subject, walked without following links and opened without hanging on pipes.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use gauntlet_limits::{Limit, Limits};
use ignore::overrides::OverrideBuilder;
use ignore::{DirEntry, WalkBuilder};
use sha2::{Digest as _, Sha256};

use crate::digest::{Digest, DigestSet, dir_hash, model_root};
use crate::path::display_path;
use crate::report::{SkipCode, SkipReason, Skipped};

/// Folders that are never part of a subject: version control's own store and our own state.
const NEVER: [&str; 2] = [".git", ".gauntlet"];

/// Files above this size are refused when less than a sixteenth of them is stored: no model consists of holes, and
/// hashing a hundred gigabytes of nothing is how to stall a gate.
const SPARSE_SIZE: u64 = 1 << 30;

/// Stands for the content of a file that could not be read, in a folder's digest: no content has this hash.
const UNREADABLE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What identifies an unchanged file on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// What the system says about a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// All members as bytes, to key a table with.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 56] {
        let mut bytes = [0; 56];
        let parts = [
            self.device,
            self.inode,
            self.size,
            self.modified.0.cast_unsigned(),
            self.modified.1.cast_unsigned(),
            self.changed.0.cast_unsigned(),
            self.changed.1.cast_unsigned(),
        ];
        for (slot, part) in bytes.chunks_exact_mut(8).zip(parts) {
            slot.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// Seconds since 1970 of the last change to content or attributes.
    #[must_use]
    pub fn changed_second(&self) -> i64 {
        self.changed.0.max(self.modified.0)
    }
}

/// A regular file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Path relative to the tree's root.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// As it was when the tree was walked.
    pub stamp: Stamp,
}

/// A symbolic link of a tree; never followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Path relative to the tree's root.
    pub path: PathBuf,
    /// The text of the link.
    pub target: PathBuf,
}

/// The files of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The folder that paths are relative to.
    pub root: PathBuf,
    /// Whether the subject is one file rather than a folder.
    pub single_file: bool,
    /// Regular files, sorted by path.
    pub files: Vec<TreeFile>,
    /// Links, sorted by path.
    pub links: Vec<Link>,
    /// What could not be entered or is no regular file.
    pub skipped: Vec<Skipped>,
}

/// What a walk includes.
#[derive(Clone, Debug, Default)]
pub struct TreeOptions {
    /// Leave out what `.gitignore` files name.
    pub respect_gitignore: bool,
    /// Globs in gitignore syntax, relative to the root, to leave out.
    pub exclude: Vec<String>,
    /// Paths relative to the root (files or folders) to leave out.
    pub without: Vec<PathBuf>,
}

/// A tree that could not be walked at all.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The path is not there or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is a pipe, socket or device.
    #[error("{} is no regular file or folder", path.display())]
    Special {
        /// The path.
        path: PathBuf,
    },
    /// A glob of the configuration is none.
    #[error("exclude pattern `{pattern}`: {message}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        message: String,
    },
}

impl Tree {
    /// Walks a folder, or takes one file. A link given as `path` itself is followed: the user named it.
    ///
    /// # Errors
    /// [`TreeError`] when nothing can be read; what fails below the root is noted in [`Tree::skipped`].
    pub fn read(path: &Path, options: &TreeOptions, limits: &Limits) -> Result<Self, TreeError> {
        let unreadable = |source| TreeError::Unreadable { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Self::folder(path, options, limits);
        }
        if !metadata.is_file() {
            return Err(TreeError::Special { path: path.to_owned() });
        }
        let name = path.file_name().ok_or_else(|| TreeError::Special { path: path.to_owned() })?;
        let root = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut tree = Self { root, single_file: true, ..Self::default() };
        // The named path may be a link; the file is then read through it.
        tree.add_file(PathBuf::from(name), &metadata);
        Ok(tree)
    }

    fn folder(root: &Path, options: &TreeOptions, limits: &Limits) -> Result<Self, TreeError> {
        let mut overrides = OverrideBuilder::new(root);
        for pattern in &options.exclude {
            // In an override, `!pattern` leaves out.
            overrides
                .add(&format!("!{pattern}"))
                .map_err(|error| TreeError::Pattern { pattern: pattern.clone(), message: error.to_string() })?;
        }
        let overrides = overrides
            .build()
            .map_err(|error| TreeError::Pattern { pattern: options.exclude.join(" "), message: error.to_string() })?;
        let without: Vec<PathBuf> = options.without.iter().map(|p| root.join(p)).collect();
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .git_ignore(options.respect_gitignore)
            .require_git(false)
            .parents(false)
            .overrides(overrides)
            .follow_links(false)
            .filter_entry(move |entry| {
                let never = entry.depth() > 0 && NEVER.iter().any(|n| entry.file_name() == OsStr::new(n));
                !never && !without.iter().any(|path| entry.path() == path)
            })
            .build();
        let mut tree = Self { root: root.to_owned(), ..Self::default() };
        let mut entries = 0;
        for entry in walk {
            entries += 1;
            if let Err(hit) = limits.check(Limit::Entries, entries) {
                tree.skip(Path::new(""), SkipCode::Limit, hit.to_string());
                break;
            }
            match entry {
                Ok(entry) => tree.add(&entry),
                Err(error) => tree.add_error(&error),
            }
        }
        tree.files.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        tree.links.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        tree.note_links();
        tree.skipped.sort();
        Ok(tree)
    }

    fn add(&mut self, entry: &DirEntry) {
        let path = self.relative(entry.path());
        let Some(kind) = entry.file_type() else { return };
        if kind.is_dir() {
            return;
        }
        if kind.is_symlink() {
            match std::fs::read_link(entry.path()) {
                Ok(target) => self.links.push(Link { path, target }),
                Err(error) => self.skip(&path, SkipCode::Unreadable, error.to_string()),
            }
            return;
        }
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => self.add_file(path, &metadata),
            Ok(metadata) => self.skip(&path, SkipCode::SpecialFile, special(&metadata)),
            Err(error) => self.skip(&path, SkipCode::Unreadable, io_part(&error)),
        }
    }

    fn add_file(&mut self, path: PathBuf, metadata: &Metadata) {
        let (size, stored) = (metadata.len(), metadata.blocks().saturating_mul(512));
        if size > SPARSE_SIZE && stored < size / 16 {
            self.skip(
                &path,
                SkipCode::Limit,
                format!("sparse file: {stored} of {size} bytes are stored, the rest are holes"),
            );
            return;
        }
        self.files.push(TreeFile { path, size, stamp: Stamp::of(metadata) });
    }

    fn add_error(&mut self, error: &ignore::Error) {
        let path = error_path(error).map(|p| self.relative(p)).unwrap_or_default();
        self.skip(&path, SkipCode::Unreadable, io_part(error));
    }

    /// A link to something inside the tree is looked at under its own name; every other link leads to bytes that are
    /// not part of the subject, and what they are is then an open question.
    fn note_links(&mut self) {
        let root = self.root.canonicalize();
        for link in std::mem::take(&mut self.links) {
            let full = self.root.join(&link.path);
            let inside = match (&root, full.canonicalize()) {
                (Ok(root), Ok(target)) => target.strip_prefix(root).ok().map(Path::to_owned),
                _ => None,
            };
            let looked_at = inside.is_some_and(|target| {
                self.root.join(&target).is_dir() && !has_never_part(&target)
                    || self.files.binary_search_by(|f| f.path.as_os_str().cmp(target.as_os_str())).is_ok()
            });
            let target = link.target.display().to_string();
            if looked_at {
                self.skip(&link.path, SkipCode::Ignored, format!("link to {target}, which is looked at itself"));
            } else {
                self.skip(&link.path, SkipCode::Link, format!("link to {target} is not followed"));
            }
            self.links.push(link);
        }
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    fn skip(&mut self, path: &Path, code: SkipCode, detail: impl Into<String>) {
        self.skipped.push(Skipped { path: display_path(path).0, member: None, reason: SkipReason::new(code, detail) });
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// The subject's digests from the SHA-256 of each file in the order of [`Tree::files`]; `None` stands for a file
    /// that could not be read.
    #[must_use]
    pub fn digest(&self, hashes: &[Option<String>]) -> DigestSet {
        if self.single_file {
            let hex = hashes.first().and_then(Option::as_deref).unwrap_or(UNREADABLE);
            return format!("sha256:{hex}")
                .parse::<Digest>()
                .map(|d| DigestSet::default().with(&d))
                .unwrap_or_default();
        }
        let links: Vec<(Vec<u8>, String)> = self
            .links
            .iter()
            .map(|link| {
                let text = hex::encode(Sha256::digest(link.target.as_os_str().as_bytes()));
                (link.path.as_os_str().as_bytes().to_owned(), text)
            })
            .collect();
        let files = self
            .files
            .iter()
            .zip(hashes)
            .map(|(file, hash)| (file.path.as_os_str().as_bytes(), hash.as_deref().unwrap_or(UNREADABLE)));
        DigestSet::default().with(&dir_hash(files.chain(links.iter().map(|(p, h)| (p.as_slice(), h.as_str())))))
    }

    /// [`Tree::digest`] of a model. A folder has as `sha256` the root digest of its OpenSSF signature as well, so that evidence
    /// and signature are found by each other; not where a link, an unreadable file or a name forbids such a signature.
    #[must_use]
    pub fn model_digest(&self, hashes: &[Option<String>]) -> DigestSet {
        let digest = self.digest(hashes);
        if self.single_file || !self.links.is_empty() {
            return digest;
        }
        let named: Option<Vec<_>> =
            self.files.iter().zip(hashes).map(|(file, hash)| Some((file.path.to_str()?, hash.as_deref()?))).collect();
        match named.and_then(model_root) {
            Some(root) => digest.with(&root),
            None => digest,
        }
    }
}

impl TreeFile {
    /// SHA-256 of the content, streamed; fails when the file is not the one that was walked, or changes meanwhile.
    ///
    /// # Errors
    /// What reading says, or [`changed`].
    pub fn sha256(&self, root: &Path) -> io::Result<[u8; 32]> {
        let mut file = open_regular(root, self)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
        self.unchanged(&file)?;
        Ok(hash.finalize().into())
    }

    /// Whether the open file is still what the walk saw. Called after reading, it makes sure that what was read is
    /// what was hashed.
    ///
    /// # Errors
    /// [`changed`], or what the system says.
    pub fn unchanged(&self, file: &File) -> io::Result<()> {
        if Stamp::of(&file.metadata()?) == self.stamp { Ok(()) } else { Err(changed()) }
    }
}

/// The file changed between walking and reading.
fn changed() -> io::Error {
    io::Error::other("the file changed while it was read; run again when nothing writes to it")
}

/// Opens a file of a tree for reading: without blocking on a pipe that took its place, and only when it still is the
/// file that was walked.
///
/// # Errors
/// What the system says, or that the file changed.
pub fn open_regular(root: &Path, file: &TreeFile) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let handle = File::from(rustix::fs::open(root.join(&file.path), flags, Mode::empty())?);
    file.unchanged(&handle)?;
    Ok(handle)
}

fn has_never_part(path: &Path) -> bool {
    path.components().any(|c| NEVER.iter().any(|n| c.as_os_str() == OsStr::new(n)))
}

fn special(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => error_path(err),
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::Partial(errors) => errors.first().and_then(error_path),
        _ => None,
    }
}

fn io_part(error: &ignore::Error) -> String {
    match error {
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => io_part(err),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn read(dir: &Path) -> Tree {
        Tree::read(dir, &TreeOptions::default(), &Limits::default()).unwrap()
    }

    fn reasons(tree: &Tree) -> Vec<String> {
        tree.skipped.iter().map(|s| format!("{} {}", s.path, s.reason.code.as_str())).collect()
    }

    #[test]
    fn hostile_folders_are_walked_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::write(root.join("a"), "x").unwrap();
        std::fs::create_dir(root.join(".git")).unwrap();
        std::fs::write(root.join(".git/config"), "x").unwrap();
        symlink(".", root.join("loop")).unwrap();
        symlink("a", root.join("inside")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        symlink("/etc/hostname", root.join("outside")).unwrap();
        symlink(".git/config", root.join("into-git")).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::fs::write(root.join(OsStr::from_bytes(b"bad\xff")), "y").unwrap();
        let huge = File::create(root.join("huge")).unwrap();
        huge.set_len(100 << 30).unwrap();
        let tree = read(root);
        assert_eq!(
            tree.files.iter().map(|f| display_path(&f.path)).collect::<Vec<_>>(),
            [("a".to_owned(), None), ("bad\u{fffd}".to_owned(), Some("626164ff".to_owned())),]
        );
        assert_eq!(
            reasons(&tree),
            [
                "dangling link",
                "huge limit",
                "inside ignored",
                "into-git link",
                "loop ignored",
                "outside link",
                "pipe special-file",
                "socket special-file",
            ]
        );
    }

    #[test]
    fn excludes_and_gitignore_apply_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["keep.py", "data.csv", "drop.log", "sub/deep.log", "sub/x.py"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(dir.path().join(".gitignore"), "*.log\n").unwrap();
        let options =
            TreeOptions { respect_gitignore: true, exclude: vec!["*.csv".into()], without: vec!["sub/x.py".into()] };
        let tree = Tree::read(dir.path(), &options, &Limits::default()).unwrap();
        let names: Vec<_> = tree.files.iter().map(|f| f.path.to_str().unwrap()).collect();
        assert_eq!(names, [".gitignore", "keep.py"]);
        assert_eq!(read(dir.path()).files.len(), 6);
    }

    #[test]
    fn a_changed_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let tree = read(&path);
        assert!(tree.single_file);
        assert_eq!(hex::encode(tree.files[0].sha256(&tree.root).unwrap()), crate::sha256_hex(b"one"));
        std::fs::write(&path, "other").unwrap();
        assert!(tree.files[0].sha256(&tree.root).unwrap_err().to_string().contains("changed"));
    }

    #[test]
    fn entry_limit_is_said() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..10 {
            std::fs::write(dir.path().join(format!("{i}")), "").unwrap();
        }
        let tree =
            Tree::read(dir.path(), &TreeOptions::default(), &Limits { entries: 5, ..Limits::default() }).unwrap();
        assert_eq!(reasons(&tree), [" limit"]);
    }
}
