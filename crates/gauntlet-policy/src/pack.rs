//! Packs: named sets of Rego modules. Those that ship are embedded, all others are read from a folder and run isolated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gauntlet_core::{Digest, canonical};
use serde::{Deserialize, Serialize};

/// Largest module and longest list of modules that are read from a folder.
const MAX_MODULE_BYTES: u64 = 1 << 20;
const MAX_MODULES: usize = 200;

/// Modules loaded with every pack: what packs share.
pub(crate) const LIBRARY: &[(&str, &str)] =
    &[("lib/evidence.rego", include_str!("../../../policies/lib/evidence.rego"))];
/// The package of [`LIBRARY`].
pub(crate) const LIBRARY_PACKAGE: &str = "gauntlet.lib";

/// One line a pack: name, modules.
const SHIPPED: &[(&str, &[(&str, &str)])] = &[
    ("baseline", &[("baseline/baseline.rego", include_str!("../../../policies/baseline/baseline.rego"))]),
    ("high-risk", &[("high-risk/high-risk.rego", include_str!("../../../policies/high-risk/high-risk.rego"))]),
    ("train", &[("train/train.rego", include_str!("../../../policies/train/train.rego"))]),
];

/// The names of the packs that ship with the program.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// One Rego file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its path, for messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Module {
    /// Whether it holds tests: `*_test.rego`.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.path.ends_with("_test.rego")
    }
}

/// A named set of modules. Its entry point is the set `violations` of the package `gauntlet.<name>`, with `_` for `-`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// The name in gauntlet.yaml and the trust policy.
    pub name: String,
    /// Its modules, without tests.
    pub modules: Vec<Module>,
    /// Whether it is one of ours, byte for byte: only then it may be evaluated inside this process.
    #[serde(skip)]
    shipped: bool,
}

impl Pack {
    /// A pack that ships with the program.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Self> {
        let (name, files) = SHIPPED.iter().find(|(known, _)| *known == name)?;
        Some(Self { name: (*name).to_owned(), modules: modules_of(files), shipped: true })
    }

    /// A pack of somebody else.
    #[must_use]
    pub fn foreign(name: &str, modules: Vec<Module>) -> Self {
        Self { name: name.to_owned(), modules, shipped: false }
    }

    /// Reads the `*.rego` files of a folder, without tests and without entering folders or following links.
    ///
    /// # Errors
    /// [`PackError`] when the folder or a file in it cannot be read, or is too large, or holds no module.
    pub fn load(name: &str, folder: &Path) -> Result<Self, PackError> {
        let modules: Vec<Module> = read_folder(folder)?.into_iter().filter(|module| !module.is_test()).collect();
        if modules.is_empty() {
            return Err(PackError::Empty(folder.to_owned()));
        }
        Ok(Self::foreign(name, modules))
    }

    /// Whether it is one of ours.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.shipped
    }

    /// The package that its modules stand in, without `data.`.
    pub(crate) fn package(&self) -> String {
        format!("gauntlet.{}", self.name.replace('-', "_"))
    }
}

/// The library's modules.
pub(crate) fn library() -> Vec<Module> {
    modules_of(LIBRARY)
}

fn modules_of(files: &[(&str, &str)]) -> Vec<Module> {
    files.iter().map(|(path, text)| Module { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
}

/// The packs that decide for one environment, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySet {
    packs: Vec<Pack>,
    bytes: Vec<u8>,
    digest: Digest,
}

impl PolicySet {
    /// Puts packs together; a name that comes twice counts once, the first wins.
    #[must_use]
    pub fn new(mut packs: Vec<Pack>) -> Self {
        packs.sort_by(|a, b| a.name.cmp(&b.name));
        packs.dedup_by(|b, a| a.name == b.name);
        let texts = |modules: &[Module]| -> BTreeMap<String, String> {
            modules.iter().map(|module| (module.path.clone(), module.text.clone())).collect()
        };
        let whole = serde_json::json!({
            "library": texts(&library()),
            "packs": packs.iter().map(|pack| (pack.name.clone(), texts(&pack.modules))).collect::<BTreeMap<_, _>>(),
        });
        // Text maps always serialise.
        let bytes = canonical::to_vec(&whole).unwrap_or_default();
        let digest = Digest::sha256(&bytes);
        Self { packs, bytes, digest }
    }

    /// The packs.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// The exact bytes of all that decides (canonical JSON of every module's text), to be kept beside the decision.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`Self::bytes`].
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// The `*.rego` files of one folder, sorted by name.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Module>, PackError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError::Unreadable { path, source }
    };
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable(&path))?;
        if path.extension().is_none_or(|extension| extension != "rego") || kind.is_dir() {
            continue;
        }
        if !kind.is_file() {
            return Err(PackError::NotAFile(path));
        }
        if modules.len() == MAX_MODULES {
            return Err(PackError::TooMany { path: folder.to_owned(), most: MAX_MODULES });
        }
        let text = read_text(&path)?;
        modules.push(Module { path: path.display().to_string(), text });
    }
    modules.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(modules)
}

fn read_text(path: &Path) -> Result<String, PackError> {
    use std::io::Read as _;
    let unreadable = |source| PackError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_MODULE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_MODULE_BYTES {
        return Err(PackError::TooLong { path: path.to_owned(), most: MAX_MODULE_BYTES });
    }
    String::from_utf8(bytes).map_err(|_| PackError::NotText(path.to_owned()))
}

/// A folder of modules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The system refused.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A link, socket or device is called `*.rego`.
    #[error("{}: is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// Not UTF-8.
    #[error("{}: is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// A module beyond the limit.
    #[error("{}: is longer than {most} bytes", path.display())]
    TooLong {
        /// The module.
        path: PathBuf,
        /// The limit in bytes.
        most: u64,
    },
    /// More modules than the limit.
    #[error("{}: holds more than {most} modules", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// No module at all.
    #[error("{}: holds no policy module (*.rego)", .0.display())]
    Empty(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_packs_are_there_and_have_a_stable_digest() {
        for name in shipped_names() {
            assert!(Pack::shipped(name).unwrap().is_shipped());
        }
        assert!(Pack::shipped("no-such-pack").is_none());
        let set = |names: &[&str]| PolicySet::new(names.iter().map(|name| Pack::shipped(name).unwrap()).collect());
        let both = set(&["high-risk", "baseline"]);
        assert_eq!(both.digest(), set(&["baseline", "high-risk", "baseline"]).digest());
        assert_ne!(both.digest(), set(&["baseline"]).digest());
        assert_eq!(&Digest::sha256(both.bytes()), both.digest());
    }

    #[test]
    fn a_pack_that_crossed_a_process_boundary_is_foreign() {
        let json = serde_json::to_string(&Pack::shipped("baseline").unwrap()).unwrap();
        assert!(!serde_json::from_str::<Pack>(&json).unwrap().is_shipped());
    }

    #[test]
    fn folders_are_read_without_links_and_within_limits() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Pack::load("own", dir.path()), Err(PackError::Empty(_))));
        std::fs::write(dir.path().join("a.rego"), "package gauntlet.own\n").unwrap();
        std::fs::write(dir.path().join("a_test.rego"), "package gauntlet.own_test\n").unwrap();
        std::fs::write(dir.path().join("notes.md"), "x").unwrap();
        assert_eq!(Pack::load("own", dir.path()).unwrap().modules.len(), 1);
        std::fs::write(dir.path().join("b.rego"), [0xff]).unwrap();
        assert!(matches!(Pack::load("own", dir.path()), Err(PackError::NotText(_))));
        std::fs::write(dir.path().join("b.rego"), vec![b' '; (MAX_MODULE_BYTES + 1) as usize]).unwrap();
        assert!(matches!(Pack::load("own", dir.path()), Err(PackError::TooLong { .. })));
        std::fs::remove_file(dir.path().join("b.rego")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("c.rego")).unwrap();
        assert!(matches!(Pack::load("own", dir.path()), Err(PackError::NotAFile(_))));
    }
}
