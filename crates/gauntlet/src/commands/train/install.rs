//! Puts what a run made into the project, each output as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Moves each output that came back from `staging` to its place below `root`. What was there before is replaced; a file or
/// folder is the old one or the new one, never a mixture.
pub(super) fn install(staging: &Path, root: &Path, outputs: &[PathBuf]) -> anyhow::Result<()> {
    for (number, output) in outputs.iter().enumerate() {
        let (from, to) = (staging.join(output), root.join(output));
        if !from.exists() {
            continue;
        }
        let place = |what: &str| format!("cannot {what} {}", to.display());
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| place("make the folder of"))?;
        }
        // A folder cannot be renamed over a full one.
        if to.is_dir() || from.is_dir() && to.exists() {
            fs::rename(&to, staging.join(format!(".replaced-{number}"))).with_context(|| place("replace"))?;
        }
        fs::rename(&from, &to).with_context(|| place("write"))?;
        if let Some(parent) = to.parent() {
            fs::File::open(parent).and_then(|folder| folder.sync_all()).with_context(|| place("write"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_replace_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (staging, root) = (dir.path().join("s"), dir.path().join("p"));
        fs::create_dir_all(staging.join("models/new")).unwrap();
        fs::write(staging.join("models/new/a"), "new").unwrap();
        fs::write(staging.join("m.onnx"), "new").unwrap();
        fs::create_dir_all(root.join("models/new")).unwrap();
        fs::write(root.join("models/new/old"), "old").unwrap();
        fs::write(root.join("m.onnx"), "old").unwrap();
        install(&staging, &root, &["models/new".into(), "m.onnx".into(), "absent".into()]).unwrap();
        assert_eq!(fs::read(root.join("m.onnx")).unwrap(), b"new");
        assert!(root.join("models/new/a").exists() && !root.join("models/new/old").exists());
    }
}
