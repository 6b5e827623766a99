//! `.dvc` files: which files DVC follows, by MD5, and where they were imported from.

use std::path::Path;

use gauntlet_core::{Limits, display_path, yaml};
use serde::Deserialize;

use super::{Described, ForeignError, Weak, inside, malformed, shown, single, weak};
use crate::manifest::{Manifest, ManifestFile, Upstream, quoted};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stage {
    outs: Vec<Out>,
    deps: Vec<Dependency>,
    frozen: bool,
    desc: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Out {
    path: String,
    md5: Option<String>,
    size: Option<u64>,
    hash: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Dependency {
    path: Option<String>,
    md5: Option<String>,
    etag: Option<String>,
    repo: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    url: Option<String>,
    rev_lock: Option<String>,
}

pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Described, ForeignError> {
    let stage: Stage = yaml::parse(file, bytes).map_err(|error| {
        let line = error.line.map_or_else(String::new, |line| format!("line {line}: "));
        malformed(file, format!("{line}{}", error.message))
    })?;
    if stage.outs.is_empty() {
        return Err(malformed(file, "has no `outs`"));
    }
    let mut out = Described::new();
    out.manifest.name = file.rsplit('/').next().and_then(|name| name.strip_suffix(".dvc")).map(str::to_owned);
    out.manifest.source.method.clone_from(&stage.desc);
    for dependency in &stage.deps {
        let path = dependency.path.clone().unwrap_or_default();
        let (name, digest) = match &dependency.repo {
            Some(repo) => {
                let url = repo.url.clone().unwrap_or_default();
                (format!("{url}#{path}"), repo.rev_lock.as_ref().map(|rev| format!("gitCommit:{rev}")))
            }
            None => {
                let hash = dependency.md5.as_ref().map(|md5| format!("md5:{md5}"));
                (path, hash.or_else(|| dependency.etag.as_ref().map(|etag| format!("etag:{etag}"))))
            }
        };
        // An import is frozen: what it was imported from is where the data comes from.
        if stage.frozen && out.manifest.source.uri.is_none() && name.contains("://") {
            out.manifest.source.uri = Some(name.clone());
        }
        out.manifest.source.upstream.push(Upstream { name, digest });
    }
    for entry in stage.outs {
        if entry.path.is_empty() {
            return Err(malformed(file, "an entry of `outs` has no `path`"));
        }
        let Some(hash) = entry.md5 else {
            return Err(malformed(
                file,
                format!("`{}` has no `md5`: only data that DVC itself keeps is read", shown(&entry.path)),
            ));
        };
        let (hex, folder) = match hash.strip_suffix(".dir") {
            Some(hex) => (hex.to_owned(), true),
            None => (hash, false),
        };
        if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed(file, format!("the `md5` of `{}` is no MD5", shown(&entry.path))));
        }
        let dos2unix = match entry.hash.as_deref() {
            Some("md5") => false,
            None => true,
            Some(other) => return Err(malformed(file, format!("`hash: {}` is not known", shown(other)))),
        };
        let path = entry.path.strip_prefix("./").unwrap_or(&entry.path).trim_end_matches('/').to_owned();
        if out.weak.insert(path.clone(), Weak { hex: hex.to_ascii_lowercase(), dos2unix, folder }).is_some() {
            return Err(malformed(file, format!("lists `{}` twice", shown(&path))));
        }
        // The size of a folder is that of all its files.
        let size = if folder { None } else { entry.size };
        out.manifest.files.push(ManifestFile { path, sha256: None, size, rows: None, split: None });
    }
    out.notes.push("DVC says nothing of licence and consent: both are left for a person".to_owned());
    Ok(out)
}

/// One entry a file. Hashes are made from the files as they lie in `folder`.
pub(super) fn write(manifest: &Manifest, folder: &Path) -> Result<String, ForeignError> {
    let mut text = String::from("outs:\n");
    for file in &manifest.files {
        let Some(path) = inside(&file.path) else {
            let what = format!("`{}` leads out of its folder", shown(&file.path));
            return Err(ForeignError::Inexpressible { format: "DVC", what });
        };
        let unreadable = |what: String| ForeignError::Unreadable { path: display_path(&path).0, what };
        let Some((tree, found)) = single(folder, &path, &Limits::default())? else {
            return Err(unreadable("is not there".to_owned()));
        };
        // What does not have the manifest's SHA-256 is not what the manifest describes.
        if let Some(listed) = &file.sha256 {
            let hash = found.sha256(&tree.root).map_err(|e| unreadable(e.to_string()))?;
            if !hex::encode(hash).eq_ignore_ascii_case(listed.trim()) {
                return Err(unreadable("has another SHA-256 than its manifest says".to_owned()));
            }
        }
        let hash = weak::of_file(&tree.root, &found, false).map_err(|e| unreadable(e.to_string()))?;
        text.push_str(&format!(
            "- md5: {hash}\n  size: {}\n  hash: md5\n  path: {}\n",
            found.size,
            quoted(&display_path(&path).0)
        ));
    }
    if manifest.files.is_empty() {
        return Err(ForeignError::Inexpressible { format: "DVC", what: "there are no files".to_owned() });
    }
    Ok(text)
}
