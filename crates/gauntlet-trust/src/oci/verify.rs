//! Judging a layout: its bytes, the model in it, the signature of an image in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gauntlet_core::Verdict;
use serde::Serialize;

use super::cosign::{Candidate, signatures};
use super::files::{is_model, layer_files, named_layers};
use super::{BlobDigest, Layout, Manifest, SIGSTORE_BUNDLE};
use crate::keys::VerifyingKey;
use crate::oms::{
    DigestList, HashType, MAX_BUNDLE_BYTES, Reason, ReasonCode, Trust, Unsigned, UnsignedWhy, Verification,
    VerifyOptions, hash_whole, verify_layers,
};

/// An answer about a layout or an image in one.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// `pass`, `fail`, or `error` when something could not be judged and nothing was found wrong.
    pub verdict: Verdict,
    /// Everything that speaks against a pass, sorted by path.
    pub reasons: Vec<Reason>,
    /// What is there, counts for nothing, and was allowed by the caller.
    pub unsigned: Vec<Unsigned>,
    /// What a person should know although it changes no verdict.
    pub warnings: Vec<String>,
    /// Key ids of the trusted keys that signed, where a signature is the question.
    pub signers: Vec<String>,
    /// Blobs, or signatures, that were looked at.
    pub files: usize,
    /// Bytes that were hashed.
    pub bytes: u64,
}

/// What was found about a layout that should hold a model.
#[derive(Clone, Debug)]
pub struct ModelPackage {
    /// Whether every blob is the one that is referred to, and nothing else is there.
    pub package: Judged,
    /// The digest of the model's manifest.
    pub digest: Option<BlobDigest>,
    /// The title of the model.
    pub name: Option<String>,
    /// The bytes of the signature that was judged.
    pub signature: Option<Vec<u8>>,
    /// Whether the files in the layers are the signed ones.
    pub model: Option<Verification>,
}

/// What was found about an image in a layout.
#[derive(Clone, Debug)]
pub struct SignedImage {
    /// As for a model: a signature over a manifest is worth what the blobs under it are.
    pub package: Judged,
    /// Whether a trusted key signed the image.
    pub image: Judged,
    /// What the signed payload calls the image, such as `registry.example/train`. The one who signed chose it.
    pub reference: Option<String>,
}

/// Judges a layout and the model in it, under `signature` or else one that the layout holds.
#[must_use]
pub fn verify_model(root: &Path, signature: Option<&[u8]>, trust: &[Trust], options: &VerifyOptions) -> ModelPackage {
    let layout = Layout::open(root);
    let mut found = judged(&layout);
    let right = blobs(&layout, options, &mut found);
    let mut package = ModelPackage { package: found, digest: None, name: None, signature: None, model: None };
    match model_of(&layout) {
        Err(reason) => package.package.reasons.push(reason),
        Ok((digest, manifest)) => {
            package.digest = Some(digest.clone());
            package.name = manifest.annotations.get("org.opencontainers.image.title").cloned();
            match named_layers(manifest) {
                Err(reasons) => package.package.reasons.extend(reasons),
                Ok(layers) => {
                    let files = layer_files(&layout, &layers, &right);
                    let bundles = match signature {
                        Some(bytes) => vec![bytes.to_vec()],
                        None => bundles(&layout, digest, &mut package.package),
                    };
                    let judge = |bundle: Vec<u8>| {
                        let found = verify_layers(&files, &bundle, trust, options);
                        (bundle, found)
                    };
                    let mut all: Vec<(Vec<u8>, Verification)> = bundles.into_iter().map(judge).collect();
                    // One good signature is enough; without one, the first says why.
                    let best = all.iter().position(|(_, found)| found.verdict == Verdict::Pass).unwrap_or(0);
                    if best < all.len() {
                        let (bundle, found) = all.swap_remove(best);
                        (package.signature, package.model) = (Some(bundle), Some(found));
                    }
                }
            }
        }
    }
    package.package.conclude(options);
    package
}

/// Judges a layout and whether one of `keys` signed the image with this digest, in the way of cosign.
#[must_use]
pub fn verify_image(root: &Path, digest: &BlobDigest, keys: &[VerifyingKey], options: &VerifyOptions) -> SignedImage {
    let layout = Layout::open(root);
    let mut package = judged(&layout);
    blobs(&layout, options, &mut package);
    let mut image = Judged::nothing();
    let mut reference = None;
    if !layout.manifests.contains_key(digest) {
        image.reason(ReasonCode::MissingFile, None, format!("image {digest} is not in this layout"));
    } else {
        let mut bad = Vec::new();
        for candidate in signatures(&layout, digest, keys) {
            image.files += 1;
            match candidate {
                Candidate::Good { key_id, reference: named } => {
                    reference = reference.or(named);
                    if !image.signers.contains(&key_id) {
                        image.signers.push(key_id);
                    }
                }
                Candidate::Bad { path, why } => bad.push((path, why)),
            }
        }
        match (image.signers.is_empty(), bad.is_empty()) {
            (true, true) => {
                image.reason(ReasonCode::MissingFile, None, "the layout holds no signature of the image".to_owned());
            }
            (true, false) => {
                for (path, why) in bad {
                    image.reason(ReasonCode::BadSignature, Some(path), why);
                }
            }
            // Somebody else's signature beside a trusted one takes nothing away from it.
            (false, _) => image.warnings.extend(bad.into_iter().map(|(path, why)| format!("{path}: {why}"))),
        }
    }
    package.conclude(options);
    image.conclude(options);
    SignedImage { package, image, reference }
}

/// The digests of the files of the model in a layout, as its manifest states them. No layer is read.
///
/// # Errors
/// Everything that is wrong with the layout or keeps its layers from being files.
pub fn digest_list(root: &Path) -> Result<DigestList, Vec<Reason>> {
    let layout = Layout::open(root);
    if !layout.reasons.is_empty() {
        return Err(layout.reasons);
    }
    let (_, manifest) = model_of(&layout).map_err(|reason| vec![reason])?;
    let layers = named_layers(manifest)?;
    let mut files = Vec::new();
    for (name, layer) in layers {
        let mut digest = [0; 32];
        if hex::decode_to_slice(layer.digest.hex(), &mut digest).is_ok() {
            files.push((name.to_owned(), digest));
        }
    }
    DigestList::new(files)
        .map_err(|error| vec![Reason { path: None, code: ReasonCode::Malformed, message: error.to_string() }])
}

impl Judged {
    /// Lets somebody object to signatures that are right as such: then the image is as good as signed by a stranger.
    pub fn object(&mut self, why: impl IntoIterator<Item = String>) {
        for why in why {
            self.reason(ReasonCode::BadSignature, None, why);
        }
        self.conclude(&VerifyOptions::default());
    }

    fn nothing() -> Self {
        Self {
            verdict: Verdict::Error,
            reasons: Vec::new(),
            unsigned: Vec::new(),
            warnings: Vec::new(),
            signers: Vec::new(),
            files: 0,
            bytes: 0,
        }
    }

    fn reason(&mut self, code: ReasonCode, path: Option<String>, message: String) {
        self.reasons.push(Reason { path, code, message });
    }

    fn conclude(&mut self, options: &VerifyOptions) {
        if options.ignore_unsigned {
            let (allowed, rest): (Vec<Reason>, Vec<Reason>) =
                self.reasons.drain(..).partition(|reason| reason.code == ReasonCode::UnexpectedFile);
            self.reasons = rest;
            let paths = allowed.into_iter().filter_map(|reason| reason.path);
            self.unsigned.extend(paths.map(|path| Unsigned { path, why: UnsignedWhy::Allowed }));
        }
        self.reasons.sort();
        self.reasons.dedup();
        self.verdict = match self.reasons.as_slice() {
            [] => Verdict::Pass,
            reasons if reasons.iter().all(|reason| is_open(reason.code)) => Verdict::Error,
            _ => Verdict::Fail,
        };
    }
}

/// Reasons that leave the question open rather than answering it with no.
pub(super) fn is_open(code: ReasonCode) -> bool {
    matches!(code, ReasonCode::Unreadable | ReasonCode::Limit | ReasonCode::Unsupported)
}

fn judged(layout: &Layout) -> Judged {
    let (reasons, warnings) = (layout.reasons.clone(), layout.warnings.clone());
    Judged { reasons, warnings, files: layout.blobs.len(), ..Judged::nothing() }
}

/// Hashes every blob that was not read yet; gives those that are what their name says.
fn blobs(layout: &Layout, options: &VerifyOptions, found: &mut Judged) -> BTreeSet<BlobDigest> {
    let mut right: BTreeSet<BlobDigest> = layout.manifests.keys().cloned().collect();
    let open: Vec<(&BlobDigest, u64)> =
        layout.blobs.iter().filter(|(digest, _)| !right.contains(*digest)).map(|(d, size)| (d, *size)).collect();
    let files: Vec<(PathBuf, u64)> = open.iter().map(|(digest, size)| (layout.blob_path(digest), *size)).collect();
    for ((digest, size), result) in open.iter().zip(hash_whole(HashType::Sha256, &files, &options.hashing)) {
        let path = Some(format!("blobs/sha256/{}", digest.hex()));
        match result {
            Ok(bytes) if hex::encode(&bytes) == digest.hex() => {
                found.bytes = found.bytes.saturating_add(*size);
                right.insert((*digest).clone());
            }
            Ok(bytes) => {
                found.bytes = found.bytes.saturating_add(*size);
                let message = format!("its bytes are sha256:{}", hex::encode(bytes));
                found.reason(ReasonCode::DigestMismatch, path, message);
            }
            Err(error) => found.reason(ReasonCode::Unreadable, path, error.to_string()),
        }
    }
    right
}

/// The one model of a layout.
fn model_of(layout: &Layout) -> Result<(&BlobDigest, &Manifest), Reason> {
    let mut models = layout.manifests.iter().filter(|(_, manifest)| is_model(manifest));
    let refuse = |code, message: &str| Err(Reason { path: None, code, message: message.to_owned() });
    match (models.next(), models.next()) {
        (Some(model), None) => Ok(model),
        (None, _) => refuse(ReasonCode::MissingFile, "no model in this layout whose layers are files with a path"),
        (Some(_), Some(_)) => refuse(ReasonCode::Unsupported, "several models in one layout: keep one in each"),
    }
}

/// The signature files about a manifest.
fn bundles(layout: &Layout, digest: &BlobDigest, found: &mut Judged) -> Vec<Vec<u8>> {
    let mut bundles = Vec::new();
    for (referrer, manifest) in layout.referrers(digest) {
        for layer in manifest.layers.iter().filter(|layer| layer.media_type == SIGSTORE_BUNDLE) {
            match layout.read_blob(layer, MAX_BUNDLE_BYTES) {
                Ok(bytes) => bundles.push(bytes),
                Err(error) => {
                    let path = Some(format!("blobs/sha256/{}", referrer.hex()));
                    found.reason(ReasonCode::Unreadable, path, format!("its signature: {error}"));
                }
            }
        }
    }
    if bundles.is_empty() {
        found.reason(ReasonCode::MissingFile, None, "the package holds no signature of its model".to_owned());
    }
    bundles
}
