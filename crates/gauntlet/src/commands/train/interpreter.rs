//! Where the program of a run lies, and what has to be seen of the system for it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::exit::UsageError;

/// Folders that every run sees.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// What a program needs.
pub(super) struct Found {
    /// Folders to mount read-only where they are.
    pub(super) system: Vec<PathBuf>,
    /// Folders to look for programs in.
    pub(super) search: Vec<PathBuf>,
}

/// Finds a program by name as a shell would. A virtual environment brings the interpreter that it was made with.
pub(super) fn find(program: &str, more: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found { system: Vec::new(), search: Vec::new() };
    for folder in more {
        let real = folder.canonicalize().map_err(|e| UsageError::new(format!("--system {}: {e}", folder.display())))?;
        if real.components().count() < 2 {
            return Err(UsageError::new("--system / would show the whole machine").into());
        }
        found.system.push(real);
    }
    let path = match program.contains('/') {
        // Relative to the working folder inside, where the source is.
        true if !Path::new(program).is_absolute() => return Ok(found),
        true => PathBuf::from(program),
        false => match on_path(program) {
            Some(path) => path,
            // It may come with a folder named by --system.
            None => return Ok(found),
        },
    };
    if !usual(&path)
        && let Some(folder) = path.parent()
    {
        found.search.push(folder.to_owned());
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    for place in [&path, &real] {
        if usual(place) {
            continue;
        }
        let Some(prefix) = prefix(place) else { continue };
        if let Some(base) = base_of_environment(&prefix) {
            found.system.push(base);
        }
        found.system.push(prefix);
    }
    found.system.retain(|folder| folder.components().count() >= 2);
    found.system.sort();
    found.system.dedup();
    Ok(found)
}

/// A program in the caller's PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
}

fn usual(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path.starts_with(folder))
}

/// `PREFIX/bin/python3`, `PREFIX/shims/python3`: the prefix holds libraries and packages.
fn prefix(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("bin" | "shims") => folder.parent().map(Path::to_owned),
        _ => Some(folder.to_owned()),
    }
}

/// The `home` of pyvenv.cfg, which is the folder of the interpreter that the environment was made with.
fn base_of_environment(prefix: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(prefix.join("pyvenv.cfg")).ok()?;
    let home = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == "home")?.1.trim();
    let base = Path::new(home).parent()?.to_owned();
    (base.is_absolute() && !usual(&base)).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_found_beside_programs() {
        assert_eq!(prefix(Path::new("/opt/py/bin/python3")), Some("/opt/py".into()));
        assert_eq!(prefix(Path::new("/opt/tool/run")), Some("/opt/tool".into()));
        assert!(find("sh", &[]).unwrap().system.is_empty());
        assert!(find("x", &["/".into()]).is_err());
    }

    #[test]
    fn an_environment_brings_its_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pyvenv.cfg"), "home = /opt/python/bin\nversion = 3\n").unwrap();
        assert_eq!(base_of_environment(dir.path()), Some("/opt/python".into()));
        std::fs::write(dir.path().join("pyvenv.cfg"), "home = /usr/bin\n").unwrap();
        assert_eq!(base_of_environment(dir.path()), None);
    }
}
