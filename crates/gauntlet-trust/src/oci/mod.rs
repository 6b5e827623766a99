//! Models as OCI image layouts (image-spec 1.1): writing one, judging one, and whose signature an image in one carries.
//!
//! Media types of models are those of the CNCF ModelPack specification. A layout is read from a folder of this machine;
//! pushing and pulling is the business of registry tools.

mod attachment;
mod cosign;
mod descriptor;
mod files;
mod layout;
mod package;
mod report;
mod verify;

pub use attachment::AttachmentError;
pub use descriptor::{BlobDigest, BlobDigestError, Descriptor};
pub use layout::{Layout, Manifest, ManifestKind};
pub use package::{Attachment, PackageError, PackageOptions, Packaged, package};
pub use report::{IMAGE, PACKAGE};
pub use verify::{Judged, ModelPackage, SignedImage, digest_list, verify_image, verify_model};

/// Media type of an image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The same two as Docker spells them.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The empty JSON object that stands where a manifest must have a config.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Artifact type of a model.
pub const MODEL_ARTIFACT: &str = "application/vnd.cncf.model.manifest.v1+json";
/// Media type of a model's configuration.
const MODEL_CONFIG: &str = "application/vnd.cncf.model.config.v1+json";
/// Media and artifact type of a Sigstore bundle, which OpenSSF model signatures and newer cosign signatures are.
const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The path of a layer's file inside the model: as ModelPack names it, and as ORAS does.
const FILE_PATH: [&str; 2] = ["org.cncf.model.filepath", "org.opencontainers.image.title"];

/// Bytes of the largest index or manifest; registries take no larger ones.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// Reads an image index without a layout around it: for tools that look at one.
///
/// # Errors
/// What is wrong with it.
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    layout::parse(bytes).map_err(|(_, message)| message)
}
