//! What changed between two lineages: manifests and contracts, key by key.

use std::collections::BTreeMap;

use gauntlet_core::Limits;
use serde_json::Value;

use crate::config::{SideRef, read};

/// Differences that are kept.
const MAX_DIFFERENCES: usize = 64;
const MAX_TEXT: usize = 120;
const MAX_DEPTH: usize = 16;

/// Differences of two side files of one kind: key, value there, value here. Lists of files are left out: other data has
/// other files.
pub(super) fn compare(
    kind: &str,
    root: &std::path::Path,
    reference: Option<&SideRef>,
    current: Option<&SideRef>,
    limits: &Limits,
) -> Result<Vec<(String, String, String)>, String> {
    let (Some(reference), Some(current)) = (reference, current) else {
        return Ok(match (reference, current) {
            (Some(side), None) => vec![(kind.to_owned(), side.path.clone(), "none".to_owned())],
            (None, Some(side)) => vec![(kind.to_owned(), "none".to_owned(), side.path.clone())],
            _ => Vec::new(),
        });
    };
    if reference.sha256 == current.sha256 {
        return Ok(Vec::new());
    }
    let (a, b) = (keys(root, reference, limits)?, keys(root, current, limits)?);
    let mut out = Vec::new();
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let value = |map: &BTreeMap<String, String>| map.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        if a.get(name) != b.get(name) && !name.starts_with("files") && out.len() < MAX_DIFFERENCES {
            out.push((format!("{kind} {name}"), value(&a), value(&b)));
        }
    }
    Ok(out)
}

fn keys(root: &std::path::Path, side: &SideRef, limits: &Limits) -> Result<BTreeMap<String, String>, String> {
    let bytes = read(root, side, limits).map_err(|(_, what)| format!("{}: {what}", side.path))?;
    let value: Value = gauntlet_core::yaml::parse(&side.path, &bytes).map_err(|error| error.to_string())?;
    let mut out = BTreeMap::new();
    flatten(&value, String::new(), 0, &mut out);
    Ok(out)
}

fn flatten(value: &Value, at: String, depth: usize, out: &mut BTreeMap<String, String>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Object(map) if depth < MAX_DEPTH => {
            for (key, value) in map {
                flatten(value, below(key), depth + 1, out);
            }
        }
        Value::Array(items) if depth < MAX_DEPTH && items.iter().any(|i| i.is_object() || i.is_array()) => {
            for (i, value) in items.iter().enumerate() {
                flatten(value, below(&i.to_string()), depth + 1, out);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            out.insert(at, text.chars().take(MAX_TEXT).collect());
        }
        other => {
            out.insert(at, other.to_string().chars().take(MAX_TEXT).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gauntlet_core::sha256_hex;

    #[test]
    fn changed_keys_are_named_and_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let side = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            SideRef { path: name.into(), sha256: sha256_hex(text.as_bytes()) }
        };
        let a = side("a.yaml", "source: {uri: s3://a, commit: abc}\nfiles: [{path: x}]\nversion: '1'\n");
        let b = side("b.yaml", "source: {uri: s3://b, commit: abc}\nfiles: [{path: y}]\n");
        let found = compare("manifest", folder.path(), Some(&a), Some(&b), &Limits::default()).unwrap();
        let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(found, [text("manifest source.uri", "s3://a", "s3://b"), text("manifest version", "1", "none")]);
        assert!(compare("manifest", folder.path(), Some(&a), Some(&a), &Limits::default()).unwrap().is_empty());
        let found = compare("contract", folder.path(), None, Some(&b), &Limits::default()).unwrap();
        assert_eq!(found, [text("contract", "none", "b.yaml")]);
        let gone = SideRef { path: "gone".into(), sha256: a.sha256.clone() };
        assert!(compare("manifest", folder.path(), Some(&gone), Some(&b), &Limits::default()).is_err());
    }
}
