//! Writing a model as an OCI image layout: one layer a file, what is known about the model as referrers.
//!
//! Equal inputs give equal bytes: files are sorted, JSON has a fixed order, and no clock is asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    BlobDigest, Descriptor, EMPTY, FILE_PATH, INDEX, MANIFEST, MAX_MANIFEST_BYTES, MODEL_ARTIFACT, MODEL_CONFIG,
    SIGSTORE_BUNDLE,
};
use crate::atomic::NewFolder;
use crate::oms::{
    Hashing, LayerFile, ModelFile, OmsError, Reason, SignOptions, claims, differences, model_files, read_model_file,
};

/// How to package.
#[derive(Clone, Debug, Default)]
pub struct PackageOptions {
    /// Name of the model; the base name of its path when empty.
    pub name: Option<String>,
    /// Version of the model.
    pub version: Option<String>,
    /// The tag under which index.json lists it.
    pub tag: Option<String>,
    /// When it was made, RFC 3339; left out when not given, as every clock would make another package.
    pub created: Option<String>,
    /// Where the signature lies and what it is; its ignore paths are left out of the package, too.
    pub signature: Option<(PathBuf, Vec<u8>)>,
    /// What is known about the model.
    pub attachments: Vec<Attachment>,
    /// What may help with hashing; only its progress is used.
    pub hashing: Hashing,
}

/// A document about the model, which becomes a referrer.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its base name.
    pub name: String,
    /// Its media type, and the artifact type of the referrer.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Packaged {
    /// Digest of the model's manifest: the identity of the package.
    pub digest: BlobDigest,
    /// Files of the model.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Artifact type and digest of each referrer.
    pub referrers: Vec<(String, BlobDigest)>,
    /// Paths of the model that are not in the package.
    pub left_out: Vec<String>,
}

/// Why nothing was packaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// Something is there already, and nothing is ever replaced.
    #[error("{} is already there", .0.display())]
    Exists(PathBuf),
    /// The model could not be read, or has what no package can hold.
    #[error(transparent)]
    Model(#[from] OmsError),
    /// The signature is not one of these files.
    #[error("the signature is not one of this model: {}", told(.0))]
    Signature(Vec<Reason>),
    /// More files than a manifest that registries take can list.
    #[error("the manifest would be larger than {MAX_MANIFEST_BYTES} bytes: the model has too many files")]
    TooLarge,
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A document could not be written, which would be our fault.
    #[error("writing a manifest: {0}")]
    Json(#[from] serde_json::Error),
}

/// Packages `model` into a new folder `target`, which appears whole or not at all. The model's files are copied, so
/// that changing one later changes no package.
///
/// # Errors
/// [`PackageError`]; nothing stays behind.
pub fn package(model: &Path, target: &Path, options: &PackageOptions) -> Result<Packaged, PackageError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => PackageError::Exists(target.to_owned()),
        _ => PackageError::Io { path: target.to_owned(), source },
    };
    let folder = NewFolder::beside(target).map_err(failed)?;
    let (files, left_out) = model_files(model, &sign_options(options)?)?;
    let writer = Writer { blobs: folder.path().join("blobs/sha256") };
    std::fs::create_dir_all(&writer.blobs).map_err(failed)?;
    let copied: Result<Vec<Descriptor>, PackageError> = files
        .par_iter()
        .map(|file| {
            let copied = writer.copy(file, &options.hashing);
            copied.map_err(|source| PackageError::Io { path: file.path.clone(), source })
        })
        .collect();
    let layers = copied?;
    if let Some((_, bundle)) = &options.signature {
        let reasons = differences(&writer.layer_files(&files, &layers), bundle);
        if !reasons.is_empty() {
            return Err(PackageError::Signature(reasons));
        }
    }
    let name = options.name.clone().unwrap_or_else(|| base_name(model));
    let bytes = files.iter().map(|file| file.size).sum();
    let model = writer.model(&name, layers, options)?;
    let tag = options.tag.as_deref().unwrap_or("latest");
    let mut entries = vec![model.clone().annotated("org.opencontainers.image.ref.name", tag)];
    let mut referrers = Vec::new();
    for attachment in attachments(options) {
        let referrer = writer.referrer(&model, &attachment)?;
        referrers.push((attachment.media_type, referrer.digest.clone()));
        entries.push(referrer);
    }
    let index = Index { schema_version: 2, media_type: INDEX, manifests: entries };
    write(&folder.path().join("index.json"), &serde_json::to_vec(&index)?).map_err(failed)?;
    write(&folder.path().join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(failed)?;
    folder.finish().map_err(failed)?;
    Ok(Packaged { digest: model.digest, files: files.len(), bytes, referrers, left_out })
}

/// The walk is the signature's, so that exactly the signed files are taken.
fn sign_options(options: &PackageOptions) -> Result<SignOptions, PackageError> {
    let Some((path, bundle)) = &options.signature else { return Ok(SignOptions::default()) };
    let said = claims(bundle).map_err(PackageError::Signature)?;
    Ok(SignOptions {
        ignore: said.ignore_paths,
        allow_symlinks: said.allow_symlinks,
        signature_path: Some(path.clone()),
        ..SignOptions::default()
    })
}

fn attachments(options: &PackageOptions) -> Vec<Attachment> {
    let signature = options.signature.iter().map(|(_, bytes)| Attachment {
        name: "model.sig".to_owned(),
        media_type: SIGSTORE_BUNDLE.to_owned(),
        bytes: bytes.clone(),
    });
    signature.chain(options.attachments.iter().cloned()).collect()
}

struct Writer {
    blobs: PathBuf,
}

impl Writer {
    /// Copies one file of the model, hashing what is written.
    fn copy(&self, file: &ModelFile, hashing: &Hashing) -> io::Result<Descriptor> {
        let mut out = tempfile::NamedTempFile::new_in(&self.blobs)?;
        let mut hash = Sha256::new();
        read_model_file(file, |bytes| {
            hash.update(bytes);
            hashing.done(bytes.len() as u64);
            out.write_all(bytes)
        })?;
        let digest = BlobDigest::from_bytes(&hash.finalize().into());
        out.as_file().sync_all()?;
        self.keep(out, &digest)?;
        let mut layer = Descriptor::new(media_type(&file.name), digest, file.size);
        for annotation in FILE_PATH {
            layer = layer.annotated(annotation, &file.name);
        }
        Ok(layer)
    }

    /// Gives a blob its name. Equal files are one blob.
    fn keep(&self, file: tempfile::NamedTempFile, digest: &BlobDigest) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(self.blobs.join(digest.hex())).map(drop).map_err(|error| error.error)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, PackageError> {
        let descriptor = Descriptor::of(media_type, bytes);
        let path = self.blobs.join(descriptor.digest.hex());
        write(&path, bytes).map_err(|source| PackageError::Io { path, source })?;
        Ok(descriptor)
    }

    fn model(&self, name: &str, layers: Vec<Descriptor>, options: &PackageOptions) -> Result<Descriptor, PackageError> {
        let config = ModelConfig {
            descriptor: ModelDescriptor {
                created_at: options.created.as_deref(),
                name,
                version: options.version.as_deref(),
            },
            config: BTreeMap::new(),
            modelfs: ModelFs { kind: "layers", diff_ids: layers.iter().map(|layer| &layer.digest).collect() },
        };
        let config = self.blob(MODEL_CONFIG, &serde_json::to_vec(&config)?)?;
        let mut annotations = BTreeMap::from([("org.opencontainers.image.title".to_owned(), name.to_owned())]);
        let known = [("created", &options.created), ("version", &options.version)];
        for (key, value) in known.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            annotations.insert(format!("org.opencontainers.image.{key}"), value.clone());
        }
        self.manifest(MODEL_ARTIFACT, config, layers, None, annotations)
    }

    fn referrer(&self, model: &Descriptor, attachment: &Attachment) -> Result<Descriptor, PackageError> {
        let layer = self.blob(&attachment.media_type, &attachment.bytes)?;
        let layer = layer.annotated("org.opencontainers.image.title", &attachment.name);
        let config = self.blob(EMPTY, b"{}")?;
        self.manifest(&attachment.media_type, config, vec![layer], Some(model.clone()), BTreeMap::new())
    }

    fn manifest(
        &self,
        artifact_type: &str,
        config: Descriptor,
        layers: Vec<Descriptor>,
        subject: Option<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Result<Descriptor, PackageError> {
        let manifest = WrittenManifest {
            schema_version: 2,
            media_type: MANIFEST,
            artifact_type,
            config,
            layers,
            subject,
            annotations,
        };
        let bytes = serde_json::to_vec(&manifest)?;
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(PackageError::TooLarge);
        }
        let mut descriptor = self.blob(MANIFEST, &bytes)?;
        descriptor.artifact_type = Some(artifact_type.to_owned());
        Ok(descriptor)
    }

    fn layer_files(&self, files: &[ModelFile], layers: &[Descriptor]) -> Vec<LayerFile> {
        let file = |(file, layer): (&ModelFile, &Descriptor)| LayerFile {
            name: file.name.clone(),
            path: self.blobs.join(layer.digest.hex()),
            size: layer.size,
            sha256: hex::decode(layer.digest.hex()).ok(),
        };
        files.iter().zip(layers).map(file).collect()
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The media type of a file, by what ModelPack tells apart: weights, documents, code, configuration.
fn media_type(name: &str) -> &'static str {
    let base = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let suffix = base.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let document = ["readme", "license", "licence", "notice", "model_card", "copying"];
    match suffix {
        "safetensors" | "bin" | "pt" | "pth" | "ckpt" | "onnx" | "onnx_data" | "gguf" | "ggml" | "h5" | "hdf5"
        | "keras" | "pkl" | "pickle" | "joblib" | "npy" | "npz" | "pb" | "tflite" | "mlmodel" | "pdiparams"
        | "pdmodel" | "ubj" | "cbm" | "msgpack" | "skops" | "data" | "weights" | "pmml" => {
            "application/vnd.cncf.model.weight.v1.raw"
        }
        "md" | "pdf" | "rst" | "html" => "application/vnd.cncf.model.doc.v1.raw",
        "py" | "ipynb" | "sh" | "c" | "cpp" | "cu" | "rs" | "js" => "application/vnd.cncf.model.code.v1.raw",
        _ if document.iter().any(|start| base.starts_with(start)) => "application/vnd.cncf.model.doc.v1.raw",
        _ => "application/vnd.cncf.model.weight.config.v1.raw",
    }
}

fn base_name(model: &Path) -> String {
    let real = model.canonicalize().unwrap_or_else(|_| model.to_owned());
    let name = model.file_name().or_else(|| real.file_name());
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn told(reasons: &[Reason]) -> String {
    let told: Vec<String> = reasons
        .iter()
        .take(5)
        .map(|reason| match &reason.path {
            Some(path) => format!("{path}: {}", reason.message),
            None => reason.message.clone(),
        })
        .collect();
    let more = reasons.len().saturating_sub(told.len());
    if more == 0 { told.join("; ") } else { format!("{}; and {more} more", told.join("; ")) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenManifest<'a> {
    schema_version: u8,
    media_type: &'static str,
    artifact_type: &'a str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// `application/vnd.cncf.model.config.v1+json`.
#[derive(Serialize)]
struct ModelConfig<'a> {
    descriptor: ModelDescriptor<'a>,
    /// Nothing is known about the inside of a model here.
    config: BTreeMap<String, String>,
    modelfs: ModelFs<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelDescriptor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
struct ModelFs<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "diffIds")]
    diff_ids: Vec<&'a BlobDigest>,
}
