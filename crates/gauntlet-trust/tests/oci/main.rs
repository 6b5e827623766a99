//! OCI layouts: what is written, what hostile ones are judged as, and signatures of images.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod hostile;
mod image;
mod model;

use std::path::{Path, PathBuf};

use gauntlet_trust::keys::{KeyKind, SigningKey};
use gauntlet_trust::oci::{BlobDigest, PackageOptions, Packaged, package};
use gauntlet_trust::oms::{SignOptions, Trust, sign};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A signed model and the place for layouts.
struct Bench {
    folder: TempDir,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), key: SigningKey::generate(KeyKind::P256).unwrap() };
        for (name, text) in
            [("README.md", "# m"), ("config.json", "{}"), ("model.safetensors", "weights"), ("sub/merges.txt", "a b")]
        {
            let path = bench.model().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        bench
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("churn")
    }

    fn layout(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trust(&self) -> Vec<Trust> {
        vec![Trust::Keys(vec![self.key.verifying_key().clone()])]
    }

    fn signature(&self, options: SignOptions) -> (PathBuf, Vec<u8>) {
        let path = self.model().join("model.sig");
        let options = SignOptions { signature_path: Some(path.clone()), ..options };
        let bundle = sign(&self.model(), &self.key, &options).unwrap().bundle;
        std::fs::write(&path, &bundle).unwrap();
        (path, bundle)
    }

    /// The model, signed and packaged.
    fn packaged(&self, name: &str) -> Packaged {
        let options =
            PackageOptions { signature: Some(self.signature(SignOptions::default())), ..PackageOptions::default() };
        package(&self.model(), &self.layout(name), &options).unwrap()
    }
}

fn blob(layout: &Path, bytes: &[u8]) -> Value {
    let digest = BlobDigest::of(bytes);
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    std::fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    json!({"mediaType": "application/octet-stream", "digest": digest.to_string(), "size": bytes.len()})
}

fn typed(mut descriptor: Value, media_type: &str) -> Value {
    descriptor["mediaType"] = media_type.into();
    descriptor
}

/// A small layout of other people's making, with these entries in its index.
fn layout(root: &Path, entries: &[Value]) {
    std::fs::create_dir_all(root.join("blobs/sha256")).unwrap();
    std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": entries});
    std::fs::write(root.join("index.json"), index.to_string()).unwrap();
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image of one layer; gives its descriptor.
fn image(root: &Path, layer: &[u8]) -> Value {
    let config = typed(blob(root, b"{\"architecture\":\"amd64\"}"), "application/vnd.oci.image.config.v1+json");
    let layer = typed(blob(root, layer), "application/vnd.oci.image.layer.v1.tar");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    typed(blob(root, manifest.to_string().as_bytes()), MANIFEST)
}

fn digest_of(descriptor: &Value) -> BlobDigest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// Every file of a layout with its bytes.
fn bytes(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((
                    path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
                    std::fs::read(&path).unwrap(),
                ));
            }
        }
    }
    files.sort();
    files
}
