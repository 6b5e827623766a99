//! What a run opened, sorted into what it was meant to open and what not.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sandbox::{Job, Opened, WORK};

/// Reads that are listed; the number beyond is counted.
const MAX_LISTED: usize = 1_000;

/// Folders that hold no data of anybody's.
const SYSTEM: [&str; 11] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/dev", "/sys"];

/// Scratch.
const SCRATCH: [&str; 3] = ["/tmp", "/home", "/run"];

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Whether opens were followed to the end.
    pub complete: bool,
    /// Names of declared inputs that were read.
    pub inputs: Vec<String>,
    /// Source files that were read, relative to the project.
    pub code: Vec<String>,
    /// What was read, or asked for, without being declared.
    pub undeclared: Vec<Reading>,
    /// Undeclared readings beyond those listed.
    pub undeclared_more: u64,
    /// Programs that were executed, as paths inside.
    pub executed: Vec<String>,
}

/// An undeclared reading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reading {
    /// The path: relative to the project, or absolute.
    pub path: String,
    /// Whether the run was kept from it, because it does not exist inside.
    pub prevented: bool,
}

/// Sorts opens. `inputs` are names and paths inside, `root` is the project's folder outside.
#[must_use]
pub fn observe(
    job: &Job,
    inputs: &[(String, Vec<PathBuf>)],
    root: &Path,
    opened: &[Opened],
    complete: bool,
) -> Observed {
    let mut seen = Observed { complete, ..Observed::default() };
    for open in opened.iter().filter(|open| !open.write) {
        let path = normal(Path::new(&open.path));
        let within = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
        if within(&SYSTEM) || job.system.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let inner = path.strip_prefix(WORK).ok();
        if let Some((name, _)) = inputs.iter().find(|(_, paths)| paths.iter().any(|p| path.starts_with(p))) {
            if !open.failed {
                seen.inputs.push(name.clone());
            }
            continue;
        }
        if let Some(inner) = inner
            && job.code.iter().any(|(_, to)| to == inner)
        {
            seen.code.push(inner.display().to_string());
            continue;
        }
        // What exists inside and is neither input nor source was made by the run itself.
        if !open.failed || within(&SCRATCH) {
            continue;
        }
        let outside = inner.map_or_else(|| path.clone(), |inner| root.join(inner));
        if outside.is_file() {
            let shown = inner.unwrap_or(&path).display().to_string();
            seen.undeclared.push(Reading { path: shown, prevented: true });
        }
    }
    for list in [&mut seen.inputs, &mut seen.code] {
        list.sort();
        list.dedup();
    }
    seen.undeclared.sort();
    seen.undeclared.dedup();
    seen.undeclared_more = seen.undeclared.len().saturating_sub(MAX_LISTED) as u64;
    seen.undeclared.truncate(MAX_LISTED);
    seen
}

/// Without `.` and `..`; the path of a failed open is as the program wrote it.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::kubernetes_test_job as job;

    #[test]
    fn opens_are_sorted_into_what_was_declared_and_what_not() {
        let root = tempfile::tempdir().unwrap();
        for name in ["train.py", "in.csv", "secret.csv"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        let job = Job { code: vec![(root.path().join("train.py"), "train.py".into())], ..job() };
        let inputs = [("d".to_owned(), vec![PathBuf::from("/work/in.csv")])];
        let open = |path: &str, failed| Opened { path: path.to_owned(), write: false, failed };
        let outside = root.path().join("secret.csv").display().to_string();
        let seen = observe(
            &job,
            &inputs,
            root.path(),
            &[
                open("/work/train.py", false),
                open("/work/in.csv", false),
                open("/work/made-by-itself", false),
                open("/work/./sub/../secret.csv", true),
                open("/work/never-was", true),
                open("/usr/lib/x", false),
                open(&outside, true),
                Opened { path: "/work/secret.csv".into(), write: true, failed: true },
            ],
            true,
        );
        assert_eq!((seen.code, seen.inputs), (vec!["train.py".to_owned()], vec!["d".to_owned()]));
        let mut undeclared: Vec<String> = seen.undeclared.into_iter().map(|r| r.path).collect();
        undeclared.sort();
        // What lies in the machine's own scratch is not told apart from the run's.
        let expected = if outside.starts_with("/tmp") {
            vec!["secret.csv".to_owned()]
        } else {
            vec![outside, "secret.csv".to_owned()]
        };
        assert_eq!(undeclared, expected);
    }
}
