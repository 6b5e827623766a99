//! One look at every file of a dataset, tables and others: content, virus scanner, protection.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use gauntlet_core::SkipCode;

use super::clamd::{Answer, Scanner};
use super::content::content;
use super::facts::{ContentFact, ProtectionFact, ScannerFact};
use crate::table::{Origin, Refusal, Source};

/// What was seen of one file.
#[derive(Debug)]
pub(crate) struct Look {
    /// Path for people.
    pub(crate) path: String,
    pub(crate) content: Vec<ContentFact>,
    pub(crate) infected: Option<ScannerFact>,
    pub(crate) protection: ProtectionFact,
    /// What could not be answered.
    pub(crate) skipped: Vec<Refusal>,
}

/// Looks at a file. `scanner` is one that answered before.
pub(crate) fn look(source: &Source, scanner: Option<&Scanner>) -> Look {
    let mut skipped = Vec::new();
    let content = match content(source) {
        Ok(content) => content,
        Err(refusal) => {
            skipped.push(refusal);
            Vec::new()
        }
    };
    let infected = scanner.and_then(|scanner| match scan(source, scanner) {
        Ok(found) => found,
        Err((code, what)) => {
            skipped.push((code, format!("virus scanner: {what}")));
            None
        }
    });
    let in_the_clear = matches!(&source.origin, Origin::Object(object) if object.in_the_clear());
    let world_readable = match &source.origin {
        Origin::Local { root, file } => world_readable(&root.join(&file.path)),
        _ => false,
    };
    let encrypted = source.encrypted || content.is_empty() && has_encrypted_footer(source);
    let protection = ProtectionFact { encrypted, world_readable, in_the_clear };
    Look { path: source.path.clone(), content, infected, protection, skipped }
}

/// The stored bytes go to the scanner, and the plain ones where they are encrypted: a signature matches neither in the other.
fn scan(source: &Source, scanner: &Scanner) -> Result<Option<ScannerFact>, Refusal> {
    let failed = |error: std::io::Error| (SkipCode::Unreadable, error.to_string());
    let handle = source.open_plain()?;
    let answer = scanner.scan(&mut handle.reader()).map_err(failed)?;
    handle.unchanged()?;
    match answer {
        Answer::Clean => Ok(None),
        Answer::Infected(signature) => Ok(Some(ScannerFact::Infected { signature })),
        Answer::Refused(what) => Err((SkipCode::Limit, what)),
    }
}

/// Whether any user can open the file: its own mode, and that of every folder on the way to it.
fn world_readable(path: &Path) -> bool {
    const READ: u32 = 0o004;
    const ENTER: u32 = 0o001;
    let Ok(path) = path.canonicalize() else { return false };
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.mode());
    mode(&path) & READ != 0 && path.ancestors().skip(1).all(|folder| mode(folder) & ENTER != 0)
}

/// Parquet's own encryption ends the file with another magic number.
fn has_encrypted_footer(source: &Source) -> bool {
    use gauntlet_limits::ReadAt as _;
    let Ok(stored) = source.open_stored() else { return false };
    let (size, mut tail) = (stored.size(), [0; 4]);
    size >= 12 && stored.read_exact_at(size - 4, &mut tail).is_ok() && &tail == b"PARE"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_closed_folder_protects_what_lies_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.csv");
        std::fs::write(&file, "id\n").unwrap();
        let chmod = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        chmod(&file, 0o644);
        chmod(dir.path(), 0o700);
        assert!(!world_readable(&file));
        chmod(dir.path(), 0o755);
        assert!(world_readable(&file));
        chmod(&file, 0o640);
        assert!(!world_readable(&file));
    }
}
