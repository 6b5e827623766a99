//! Python packages that a run could import, from their `.dist-info` and `.egg-info`; nothing is imported.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use gauntlet_core::Digest;
use serde::{Deserialize, Serialize};

const MAX_PACKAGES: usize = 20_000;
const MAX_METADATA: u64 = 1 << 20;
const MAX_RECORD: u64 = 64 << 20;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name as the package writes it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, when it says one.
    pub licence: Option<String>,
    /// SHA-256 of its `RECORD`, which names each of its files by digest.
    pub record: Option<Digest>,
}

/// The packages below the prefixes of interpreters: `PREFIX/lib/python3*/site-packages` and the like.
#[must_use]
pub fn packages(prefixes: &[PathBuf]) -> Vec<Package> {
    let mut found = BTreeSet::new();
    for folder in prefixes.iter().flat_map(|prefix| site_folders(prefix)) {
        for entry in entries(&folder) {
            if found.len() >= MAX_PACKAGES {
                break;
            }
            found.extend(package(&entry));
        }
    }
    found.into_iter().collect()
}

/// Where interpreters below a prefix look for packages.
fn site_folders(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for lib in ["lib", "lib64"] {
        for entry in entries(&prefix.join(lib)) {
            if entry.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("python")) {
                folders.extend(["site-packages", "dist-packages"].map(|name| entry.join(name)));
            }
        }
    }
    // `lib64` is often a link to `lib`.
    let real: BTreeSet<PathBuf> = folders.iter().filter_map(|f| f.canonicalize().ok()).collect();
    real.into_iter().collect()
}

fn package(path: &Path) -> Option<Package> {
    let name = path.file_name()?.to_str()?;
    let metadata = if name.ends_with(".dist-info") {
        path.join("METADATA")
    } else if name.ends_with(".egg-info") {
        if path.is_dir() { path.join("PKG-INFO") } else { path.to_owned() }
    } else {
        return None;
    };
    let text = read(&metadata, MAX_METADATA)?;
    let text = String::from_utf8_lossy(&text);
    // Headers as in a mail; the description follows an empty line.
    let header = |wanted: &str| {
        text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.eq_ignore_ascii_case(wanted)).then(|| value.trim().chars().take(200).collect::<String>())
        })
    };
    let record = read(&path.join("RECORD"), MAX_RECORD).map(|bytes| Digest::sha256(&bytes));
    Some(Package {
        name: header("Name")?,
        version: header("Version")?,
        licence: header("License-Expression").or_else(|| header("License")).filter(|l| !l.is_empty()),
        record,
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|e| e.path()).take(MAX_PACKAGES * 4).collect()
}

fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_their_metadata() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("lib/python3.11/site-packages");
        let numpy = site.join("numpy-2.0.dist-info");
        fs::create_dir_all(&numpy).unwrap();
        fs::write(
            numpy.join("METADATA"),
            "Metadata-Version: 2.1\nName: numpy\nVersion: 2.0\nLicense: BSD\n\nName: no\n",
        )
        .unwrap();
        fs::write(numpy.join("RECORD"), "numpy/__init__.py,sha256=x,1\n").unwrap();
        fs::create_dir_all(site.join("broken-1.dist-info")).unwrap();
        fs::write(site.join("old.egg-info"), "Name: old\nVersion: 1\n").unwrap();
        std::os::unix::fs::symlink("lib", dir.path().join("lib64")).unwrap();
        let found = packages(&[dir.path().to_owned()]);
        let short: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.record.is_some())).collect();
        assert_eq!(short, [("numpy", "2.0", true), ("old", "1", false)]);
        assert_eq!(found[0].licence.as_deref(), Some("BSD"));
    }
}
