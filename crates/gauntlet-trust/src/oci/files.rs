//! The files of a model inside a layout: layers that hold one raw file each, under the path they name.

use std::collections::{BTreeMap, BTreeSet};

use super::{BlobDigest, Descriptor, FILE_PATH, Layout, MODEL_ARTIFACT, Manifest, ManifestKind};
use crate::oms::{LayerFile, Reason, ReasonCode, is_safe_name};

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

/// The layers of a model by the path of the file that each is, or everything that keeps them from being files.
pub(super) fn named_layers(manifest: &Manifest) -> Result<BTreeMap<&str, &Descriptor>, Vec<Reason>> {
    let mut layers = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut refuse = |code, path: &str, message: &str| {
        wrong.push(Reason { path: Some(path.to_owned()), code, message: message.to_owned() });
    };
    for layer in &manifest.layers {
        let blob = format!("blobs/sha256/{}", layer.digest.hex());
        let Some(name) = file_path(layer) else {
            refuse(ReasonCode::Unsupported, &blob, "a layer that names no file");
            continue;
        };
        if is_archive(layer) {
            refuse(ReasonCode::Unsupported, &blob, "a layer that is an archive: the files in it are not seen");
        } else if !is_safe_name(name) {
            refuse(ReasonCode::UnsafePath, name, "a layer whose path leads out of the model");
        } else if layers.insert(name, layer).is_some() {
            refuse(ReasonCode::Duplicate, name, "two layers have this path");
        }
    }
    let names: BTreeSet<&str> = layers.keys().copied().collect();
    for name in &names {
        if name.match_indices('/').any(|(at, _)| names.contains(&name[..at])) {
            refuse(ReasonCode::Malformed, name, "a file above it is a file itself");
        }
    }
    if wrong.is_empty() { Ok(layers) } else { Err(wrong) }
}

/// The files of a model as they lie in the layout. `right` are the blobs whose bytes were compared with their digest.
pub(super) fn layer_files(
    layout: &Layout,
    layers: &BTreeMap<&str, &Descriptor>,
    right: &BTreeSet<BlobDigest>,
) -> Vec<LayerFile> {
    let file = |(name, layer): (&&str, &&Descriptor)| {
        let size = *layout.blobs.get(&layer.digest)?;
        let sha256 = hex::decode(layer.digest.hex()).ok().filter(|_| right.contains(&layer.digest));
        Some(LayerFile { name: (*name).to_owned(), path: layout.blob_path(&layer.digest), size, sha256 })
    };
    layers.iter().filter_map(file).collect()
}
