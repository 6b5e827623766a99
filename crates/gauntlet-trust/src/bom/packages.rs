//! What the training environment held: packages that provenance recorded, or that a requirements file pins.

use gauntlet_core::{Algorithm, DigestSet};

use super::Source;
use crate::statement::Provenance;

/// Packages of one file that are read.
const PACKAGES: usize = 20_000;
/// Bytes of a requirements file.
const BYTES: usize = 4 << 20;

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Package URL.
    pub purl: String,
    /// Digests of its files, where they were recorded.
    pub digests: Vec<DigestSet>,
    /// Who says so.
    pub source: Source,
}

/// Why a requirements file was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    /// Not text, or too long.
    #[error("is not UTF-8, or longer than {BYTES} bytes")]
    Text,
    /// More packages than are read.
    #[error("names more than {PACKAGES} packages")]
    Limit,
}

/// The packages among the resolved dependencies of a build: those that are named by a package URL with a version.
#[must_use]
pub fn of_provenance(provenance: &Provenance, source: &Source) -> Vec<Package> {
    let dependencies = provenance.build_definition.resolved_dependencies.iter();
    let mut packages: Vec<Package> = dependencies
        .filter_map(|dependency| {
            let purl = dependency.uri.as_deref().filter(|uri| uri.starts_with("pkg:"))?;
            let path = purl.split(['?', '#']).next().unwrap_or(purl);
            let (rest, version) = path.rsplit_once('@')?;
            let name = rest.rsplit('/').next()?;
            let digests = if dependency.digest.is_empty() { Vec::new() } else { vec![dependency.digest.clone()] };
            Some(Package {
                name: name.to_owned(),
                version: version.to_owned(),
                purl: purl.to_owned(),
                digests,
                source: source.clone(),
            })
        })
        .take(PACKAGES)
        .collect();
    packages.sort_by(|a, b| a.purl.cmp(&b.purl));
    packages.dedup_by(|a, b| a.purl == b.purl);
    packages
}

/// The packages that a requirements file pins with `==`, and the names of those that it does not pin: a range says what
/// may be installed, not what was.
///
/// # Errors
/// [`RequirementError`] when the file is not text or names too many.
pub fn of_requirements(bytes: &[u8], source: &Source) -> Result<(Vec<Package>, Vec<String>), RequirementError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= BYTES).ok_or(RequirementError::Text)?;
    let (mut pinned, mut open) = (Vec::new(), Vec::new());
    // A backslash joins lines, and hashes usually stand on lines of their own.
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with(['#', '-']) {
            continue;
        }
        if pinned.len().max(open.len()) >= PACKAGES {
            return Err(RequirementError::Limit);
        }
        let mut words = line.split_whitespace();
        let requirement = line.split(';').next().unwrap_or_default();
        let requirement: String =
            requirement.split(" --").next().unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect();
        let (name, version) = match requirement.split_once("==") {
            Some((name, version)) => (name, Some(version.trim_start_matches('='))),
            None => (requirement.split(['<', '>', '~', '!', '=', '@']).next().unwrap_or_default(), None),
        };
        let name = normalised(name.split('[').next().unwrap_or_default());
        let exact =
            version.filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_alphanumeric() || b".+!-_".contains(&b)));
        match exact {
            Some(version) if !name.is_empty() => {
                let hashes = words.by_ref().filter_map(|word| word.strip_prefix("--hash=sha256:"));
                let digests = hashes.filter_map(|hex| format!("sha256:{hex}").parse().ok());
                let digests = digests.map(|digest| DigestSet::default().with(&digest)).collect();
                pinned.push(Package {
                    purl: format!("pkg:pypi/{name}@{version}"),
                    name,
                    version: version.to_owned(),
                    digests,
                    source: source.clone(),
                });
            }
            _ => open.push(name),
        }
    }
    pinned.sort_by(|a, b| a.purl.cmp(&b.purl));
    pinned.dedup_by(|a, b| a.purl == b.purl);
    Ok((pinned, open))
}

/// PEP 503: lower case, runs of `-`, `_` and `.` become one `-`.
fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c if c.is_ascii_alphanumeric() => normal.push(c.to_ascii_lowercase()),
            _ => return String::new(),
        }
    }
    normal
}

impl Package {
    /// The one SHA-256 of the package; several (a wheel for each platform) say nothing about which was installed.
    pub(super) fn sha256(&self) -> Option<&str> {
        match self.digests.as_slice() {
            [one] => one.get(Algorithm::Sha256),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pins_are_packages() {
        let hash = "ab".repeat(32);
        let text = format!(
            "# c\nNumPy==2.1.0 \\\n    --hash=sha256:{hash}\nscikit_learn[all]>=1.5\ntorch==2.5.* ; python_version > '3'\n\
             -r other.txt\nonnx == 1.17.0 ; sys_platform == 'linux' # why\n"
        );
        let (pinned, open) = of_requirements(text.as_bytes(), &Source::declared("requirements.txt")).unwrap();
        let purls: Vec<_> = pinned.iter().map(|p| p.purl.as_str()).collect();
        assert_eq!(purls, ["pkg:pypi/numpy@2.1.0", "pkg:pypi/onnx@1.17.0"]);
        assert_eq!(pinned[0].sha256(), Some(hash.as_str()));
        assert_eq!(open, ["scikit-learn", "torch"]);
        assert_eq!(of_requirements(b"\xff", &Source::declared("r")), Err(RequirementError::Text));
    }
}
