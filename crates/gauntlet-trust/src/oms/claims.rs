//! What a signature file says, believed by nobody yet.

use super::bundle::{Bundle, Material, Method};
use super::manifest::{Manifest, Root};
use super::{HashType, Reason};

/// The contents of a signature file, for showing. Nothing here is verified: to decide, call [`super::verify`].
#[derive(Clone, Debug)]
pub struct Claims {
    /// How it is signed.
    pub method: Method,
    /// Which key it says it is signed with: SHA-256 over the key's PEM text.
    pub key_fingerprint: Option<String>,
    /// Hash of files and shards.
    pub hash: HashType,
    /// Whether ranges of files are signed rather than whole files.
    pub sharded: bool,
    /// Whether links to files are followed.
    pub allow_symlinks: bool,
    /// Every signed file, sorted.
    pub files: Vec<String>,
    /// Every path that was left out.
    pub ignore_paths: Vec<String>,
    /// Lower-case hex root digest, when it is the one of the listed files.
    pub root_digest: Option<String>,
}

/// Reads a signature file without verifying anything.
///
/// # Errors
/// All reasons for which [`super::verify`] would refuse the file whoever signed it.
pub fn claims(bundle: &[u8]) -> Result<Claims, Vec<Reason>> {
    let bundle = Bundle::parse(bundle).map_err(|(code, message)| vec![Reason { path: None, code, message }])?;
    let manifest = Manifest::parse(bundle.envelope.unverified_payload())?;
    Ok(Claims {
        method: bundle.material.method(),
        key_fingerprint: match bundle.material {
            Material::Key(hint) => hint,
            Material::Certificates { .. } | Material::Sigstore => None,
        },
        hash: manifest.hash,
        sharded: manifest.sharded,
        allow_symlinks: manifest.allow_symlinks,
        files: manifest.files.into_keys().collect(),
        ignore_paths: manifest.ignore_paths,
        root_digest: match manifest.root {
            Root::Right(bytes) => Some(hex::encode(bytes)),
            Root::Wrong(_) => None,
        },
    })
}
