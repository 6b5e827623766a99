//! Patterns over paths, part by part: `*` and `?` within a part, `**` for any number of folders.

use std::path::{Component, Path, PathBuf};

/// Folders and files that one pattern may look at.
const MOST: usize = 1_000_000;
/// Folders that one below another are looked at.
const DEEPEST: usize = 64;

/// Whether a part of a path is a pattern.
#[must_use]
pub fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?'])
}

/// What lies under `root` and matches `pattern`, relative to it and sorted. Links to folders are not entered.
///
/// # Errors
/// When nothing matches, or more lies there than is looked at.
pub fn expand(root: &Path, pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let parts: Vec<&str> = pattern
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(|part| part.as_os_str().to_str().ok_or_else(|| "a pattern that is no text".to_owned()))
        .collect::<Result<_, _>>()?;
    let fixed = parts.iter().take_while(|part| !is_pattern(part)).count();
    let base: PathBuf = parts.iter().take(fixed).collect();
    let rest = parts.get(fixed..).unwrap_or_default();
    let deepest = if rest.contains(&"**") { DEEPEST } else { rest.len() };
    let (mut found, mut looked, mut open) = (Vec::new(), 0, vec![(base, Vec::<String>::new())]);
    while let Some((folder, below)) = open.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.filter_map(Result::ok) {
            looked += 1;
            if looked > MOST {
                return Err(format!("`{}` looks at more than {MOST} files", pattern.display()));
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = folder.join(&name);
            let below: Vec<String> = below.iter().cloned().chain([name]).collect();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            // What `**` at the end means are files; a folder would count them twice.
            if matches(rest, &below) && !(is_folder && rest.last() == Some(&"**")) {
                found.push(path.clone());
            }
            if is_folder && below.len() < deepest {
                open.push((path, below));
            }
        }
    }
    found.sort();
    if found.is_empty() { Err(format!("no file matches `{}`", pattern.display())) } else { Ok(found) }
}

/// Whether the parts of a path match those of a pattern.
#[must_use]
pub fn matches<P: AsRef<str>, N: AsRef<str>>(pattern: &[P], parts: &[N]) -> bool {
    // Backtracking to the last `**` only, as for `*` within a part: linear space, no exponential patterns.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < parts.len() {
        match pattern.get(p).map(AsRef::as_ref) {
            Some("**") => {
                star = Some((p, n));
                p += 1;
            }
            Some(part) if parts.get(n).is_some_and(|name| part_matches(part.as_bytes(), name.as_ref().as_bytes())) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|part| part.as_ref() == "**"))
}

fn part_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b) if *b == b'?' || Some(b) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(pattern: &str, path: &str) -> bool {
        let parts = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        matches(&parts(pattern), &parts(path))
    }

    #[test]
    fn parts_and_depths() {
        assert!(is("data/*.parquet", "data/a.parquet") && !is("data/*.parquet", "data/x/a.parquet"));
        assert!(is("data/year=*/part-?.csv", "data/year=2026/part-1.csv") && !is("data/year=*/a", "data/month=1/a"));
        assert!(is("data/**/*.csv", "data/a.csv") && is("data/**/*.csv", "data/x/y/a.csv"));
        assert!(is("**", "a/b/c") && !is("a/**/b", "a/b/c") && is("a/**/b/**/c", "a/x/b/b/y/c"));
        assert!(!is("data", "data/a.csv") && !is("data/*", "data"));
    }

    #[test]
    fn folders_are_walked_as_far_as_the_pattern_says() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["d/year=1/a.csv", "d/year=1/b.txt", "d/year=2/x/a.csv", "d/a.csv"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let found = expand(dir.path(), Path::new(pattern)).unwrap_or_default();
            found.iter().map(|p| p.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("d/*.csv"), "d/a.csv");
        assert_eq!(found("d/year=*/*.csv"), "d/year=1/a.csv");
        assert_eq!(found("d/**/*.csv"), "d/a.csv d/year=1/a.csv d/year=2/x/a.csv");
        assert_eq!(found("d/**"), "d/a.csv d/year=1/a.csv d/year=1/b.txt d/year=2/x/a.csv");
        assert_eq!(found("d/*.parquet"), "");
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = vec!["**"; 200];
        let parts = vec!["a"; 2_000];
        assert!(matches(&pattern, &parts));
        assert!(!is(&format!("{}b", "*a".repeat(500)), &"a".repeat(5_000)));
    }

    proptest! {
        #[test]
        fn glob_agrees_with_a_naive_one(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            fn naive(p: &[u8], n: &[u8]) -> bool {
                match (p.first(), n.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => naive(&p[1..], n) || (!n.is_empty() && naive(p, &n[1..])),
                    (Some(&c), Some(&d)) => (c == b'?' || c == d) && naive(&p[1..], &n[1..]),
                    _ => false,
                }
            }
            prop_assert_eq!(part_matches(pattern.as_bytes(), name.as_bytes()), naive(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
