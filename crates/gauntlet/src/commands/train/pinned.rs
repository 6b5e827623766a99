//! Whether the project pins the packages that it trains with.

use std::path::Path;

/// Files that lock versions by themselves.
const LOCKS: [&str; 6] = ["poetry.lock", "uv.lock", "Pipfile.lock", "pdm.lock", "conda-lock.yml", "pixi.lock"];

/// `Some(true)` when a lock file is there or every requirement has one version; `None` when nothing is said at all.
pub(super) fn pinned(root: &Path) -> Option<bool> {
    if LOCKS.iter().any(|name| root.join(name).is_file()) {
        return Some(true);
    }
    let text = std::fs::read_to_string(root.join("requirements.txt")).ok()?;
    Some(text.lines().filter_map(requirement).all(one_version))
}

/// A line without comment; `None` for one that asks for nothing.
fn requirement(line: &str) -> Option<&str> {
    let line = line.split_once(" #").map_or(line, |(line, _)| line).trim().trim_end_matches('\\').trim();
    // `--hash` lines belong to the requirement before them.
    let nothing = line.is_empty() || line.starts_with('#') || line.starts_with("--hash");
    (!nothing).then_some(line)
}

fn one_version(line: &str) -> bool {
    let (name, rest) = line.split_once("==").unwrap_or((line, ""));
    let version = rest.split([';', ' ']).next().unwrap_or("");
    !name.trim().is_empty()
        && !name.contains(['<', '>', '~', '!'])
        && !version.is_empty()
        && !version.contains(['*', ','])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_versions_pin() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(pinned(dir.path()), None);
        let with = |text: &str| {
            std::fs::write(dir.path().join("requirements.txt"), text).unwrap();
            pinned(dir.path())
        };
        assert_eq!(with("# x\nnumpy==2.0\nonnx==1.1 ; python_version > '3'\n"), Some(true));
        for loose in ["numpy>=2", "numpy", "numpy==2.*", "numpy==2.0,<3", "-r other.txt", "git+https://x/y"] {
            assert_eq!(with(loose), Some(false), "{loose}");
        }
        std::fs::write(dir.path().join("uv.lock"), "").unwrap();
        assert_eq!(pinned(dir.path()), Some(true));
    }
}
