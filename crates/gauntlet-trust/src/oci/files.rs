//! The files of a model inside a layout: layers that hold one raw file each, under the path they name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use super::{Descriptor, FILE_PATH, Layout, MODEL_ARTIFACT, Manifest, ManifestKind};
use crate::oms::{HashType, ReasonCode, is_safe_name};

/// A file of a model and the layer that is it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// SHA-256 of the blob, which was compared with its bytes.
    pub(crate) sha256: Vec<u8>,
}

/// Where an image keeps a file's path, if it says so.
fn file_path(layer: &Descriptor) -> Option<&str> {
    FILE_PATH.iter().find_map(|name| layer.annotations.get(*name)).map(String::as_str)
}

/// Whether a manifest is a model: by its artifact type, or because each layer is a file with a path.
pub(super) fn is_model(manifest: &Manifest) -> bool {
    let image = manifest.kind == ManifestKind::Image && manifest.subject.is_none() && !manifest.layers.is_empty();
    let named = manifest.layers.iter().all(|layer| file_path(layer).is_some() && !is_archive(layer));
    image && (named || manifest.artifact_type.as_deref() == Some(MODEL_ARTIFACT))
}

/// Layers that are archives of files rather than files.
fn is_archive(layer: &Descriptor) -> bool {
    let kind = layer.media_type.as_str();
    [".tar", "+gzip", "+zstd", ".gzip", ".zstd"].iter().any(|end| kind.ends_with(end))
}

/// The files of a model, or everything that keeps its layers from being files.
pub(super) fn files(layout: &Layout, manifest: &Manifest) -> Result<Vec<LayerFile>, Vec<(ReasonCode, String, String)>> {
    let mut files: BTreeMap<&str, LayerFile> = BTreeMap::new();
    let mut wrong = Vec::new();
    for layer in &manifest.layers {
        let path = format!("blobs/sha256/{}", layer.digest.hex());
        let Some(name) = file_path(layer) else {
            wrong.push((ReasonCode::Unsupported, path, "a layer that names no file".to_owned()));
            continue;
        };
        if is_archive(layer) {
            let message = "a layer that is an archive: what is in it is not signed by file".to_owned();
            wrong.push((ReasonCode::Unsupported, path, message));
            continue;
        }
        if !is_safe_name(name) {
            wrong.push((ReasonCode::UnsafePath, name.to_owned(), "a layer whose path leads out of the model".to_owned()));
            continue;
        }
        let sha256 = hex::decode(layer.digest.hex()).unwrap_or_default();
        let file = LayerFile { name: name.to_owned(), path: layout.blob_path(&layer.digest), size: layer.size, sha256 };
        if files.insert(name, file).is_some() {
            wrong.push((ReasonCode::Duplicate, name.to_owned(), "two layers have this path".to_owned()));
        }
    }
    let names: BTreeSet<&str> = files.keys().copied().collect();
    for name in &names {
        let inside = name.match_indices('/').any(|(at, _)| names.contains(&name[..at]));
        if inside {
            wrong.push((ReasonCode::Malformed, (*name).to_owned(), "a file above it is a file itself".to_owned()));
        }
    }
    if wrong.is_empty() { Ok(files.into_values().collect()) } else { Err(wrong) }
}

impl LayerFile {
    /// The digest that is known without reading.
    pub(crate) fn known(&self, hash: HashType, start: u64, end: u64) -> Option<io::Result<Vec<u8>>> {
        let whole = hash == HashType::Sha256 && start == 0 && end == self.size;
        whole.then(|| Ok(self.sha256.clone()))
    }
}
