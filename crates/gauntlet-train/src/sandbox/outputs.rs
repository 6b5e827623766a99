//! Takes outputs out of the stream that comes from inside; nothing about it is believed.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use gauntlet_core::{Algorithm, Digest};
use sha2::{Digest as _, Sha256};

use super::OutputFile;

/// Writes one file of an output below `staging`; `left` are the bytes that all files together may still have.
pub(super) fn take(
    input: &mut impl BufRead,
    staging: &Path,
    declared: &[PathBuf],
    (path, size, executable): (PathBuf, u64, bool),
    left: &mut u64,
) -> io::Result<OutputFile> {
    let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    if !plain || !declared.iter().any(|output| path.starts_with(output)) {
        return Err(wrong(format!("{} is no declared output", path.display())));
    }
    *left = left.checked_sub(size).ok_or_else(|| wrong("outputs are larger than scratch".to_owned()))?;
    let to = staging.join(&path);
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = if executable { 0o755 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&to)?;
    let mut hash = Sha256::new();
    let mut rest = size;
    while rest > 0 {
        let buffer = input.fill_buf()?;
        let take = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get(..take).filter(|part| !part.is_empty()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        file.write_all(part)?;
        hash.update(part);
        rest -= take as u64;
        input.consume(take);
    }
    file.sync_all()?;
    let digest = Digest::new(Algorithm::Sha256, &hash.finalize()).map_err(io::Error::other)?;
    Ok(OutputFile { path, size, digest, executable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_files_within_bounds_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let declared = [PathBuf::from("models")];
        let take_one = |path: &str, size, left: &mut u64, bytes: &[u8]| {
            take(&mut &*bytes, dir.path(), &declared, (path.into(), size, false), left)
        };
        let file = take_one("models/m", 3, &mut 10, b"abcrest").unwrap();
        assert_eq!(file.digest, Digest::sha256(b"abc"));
        assert_eq!(fs::read(dir.path().join("models/m")).unwrap(), b"abc");
        for path in ["../m", "/etc/passwd", "models/../../m", "other", "modelsx"] {
            assert!(take_one(path, 3, &mut 10, b"abc").is_err(), "{path}");
        }
        assert!(take_one("models/large", 11, &mut 10, &[0; 20]).is_err());
        assert!(take_one("models/cut", 5, &mut 10, b"abc").is_err());
        // A name that comes twice does not replace what was hashed.
        assert!(take_one("models/m", 3, &mut 10, b"xyz").is_err());
    }
}
