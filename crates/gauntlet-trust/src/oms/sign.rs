//! Writing a model signature.

use std::collections::BTreeSet;
use std::path::Path;

use gauntlet_core::{Algorithm, Digest, Limits};

use super::digests::DigestList;
use super::hash::{HashType, Job, hash_all};
use super::manifest::{
    WrittenDigest, WrittenPredicate, WrittenResource, WrittenSerialization, WrittenStatement, WrittenSubject,
    root_digest,
};
use super::names::{Ignored, ancestry, is_safe};
use super::walk::{FoundFile, OddityKind, WalkError, Walked, walk};
use super::{Endorse, KeyEndorser, MAX_BUNDLE_BYTES, OmsError, PREDICATE_TYPE, Serialization, SignOptions, bundle};
use crate::keys::Signer;
use crate::statement::TYPE as STATEMENT_TYPE;

/// No resource takes fewer bytes in a bundle, so more of them cannot fit into [`MAX_BUNDLE_BYTES`].
const MAX_RESOURCES: u64 = MAX_BUNDLE_BYTES as u64 / 100;

/// A model signature and what it covers.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The signature file. Equal models, options and keys give equal bytes.
    pub bundle: Vec<u8>,
    /// The root digest that was signed.
    pub root_digest: Digest,
    /// Files that are covered.
    pub files: usize,
    /// Bytes that were hashed.
    pub bytes: u64,
    /// Paths in the model that are not covered: ignored ones, and empty files where shards are signed.
    pub unsigned: Vec<String>,
    /// What a person should know, such as links that leave the model.
    pub warnings: Vec<String>,
    /// The digests were given, and no file was read.
    pub precomputed: bool,
}

/// Hashes the model and signs it. Nothing is written; store [`Signed::bundle`] with [`gauntlet_core::write_durably`].
///
/// # Errors
/// [`OmsError`] when the model has what cannot be signed (links, pipes, names that are not UTF-8), cannot be read, or
/// is empty; or when the key is of a kind the format does not have.
pub fn sign(model: &Path, key: &dyn Signer, options: &SignOptions) -> Result<Signed, OmsError> {
    sign_as(model, &KeyEndorser(key), options)
}

/// As [`sign`], with a certificate, a time stamp, or whatever else stands behind the signature.
///
/// # Errors
/// As [`sign`], and what `endorser` says.
pub fn sign_as(model: &Path, endorser: &dyn Endorse, options: &SignOptions) -> Result<Signed, OmsError> {
    endorser.ready()?;
    if let Some(bad) = options.ignore.iter().find(|path| !is_safe(path)) {
        return Err(OmsError::IgnorePath(bad.clone()));
    }
    let mut ignored = Ignored::new(options.ignore.iter().map(String::as_str));
    ignored.signature(model, options.signature_path.as_deref());
    let mut walked = walk(model, options.allow_symlinks, &ignored, &BTreeSet::new(), &Limits::default())?;
    signable(&walked)?;
    if walked.single && options.dot_for_single_file {
        walked.files.iter_mut().for_each(|file| file.name = ".".to_owned());
    }
    let plan = Plan::new(&walked.files, options.serialization)?;
    let (resources, root) = plan.resources(options)?;
    let ignore_paths = if walked.single { Vec::new() } else { ignored.paths() };
    let predicate = WrittenPredicate {
        serialization: WrittenSerialization {
            method: if plan.sharded { "shards" } else { "files" },
            hash_type: options.hash.as_str(),
            shard_size: match options.serialization {
                Serialization::Files => None,
                Serialization::Shards(size) => Some(size.get()),
            },
            allow_symlinks: options.allow_symlinks,
            ignore_paths: &ignore_paths,
        },
        resources,
    };
    let (bundle, root_digest) = seal(&subject_name(model)?, &root, predicate, endorser)?;
    let mut unsigned: Vec<String> = walked.left_out.iter().map(|(path, _)| path.clone()).collect();
    unsigned.extend(plan.empty.iter().map(|file| file.name.clone()));
    unsigned.sort();
    Ok(Signed {
        bundle,
        root_digest,
        files: walked.files.len() - plan.empty.len(),
        bytes: walked.files.iter().map(|file| file.size).sum(),
        unsigned,
        warnings: leaving(&walked.files),
        precomputed: false,
    })
}

/// Signs digests that were computed elsewhere, as the model `name`.
pub(super) fn listed(
    name: &str,
    list: &DigestList,
    endorser: &dyn Endorse,
    options: &SignOptions,
) -> Result<Signed, OmsError> {
    endorser.ready()?;
    if let Some(bad) = options.ignore.iter().find(|path| !is_safe(path)) {
        return Err(OmsError::IgnorePath(bad.clone()));
    }
    let ignored = Ignored::new(options.ignore.iter().map(String::as_str));
    let is_ignored = |name: &str| ancestry(name).any(|above| ignored.entry(above).is_some());
    let (left_out, kept): (Vec<_>, Vec<_>) = list.iter().partition(|(name, _)| is_ignored(name));
    if kept.is_empty() {
        return Err(OmsError::Empty);
    }
    let root = root_digest(kept.iter().map(|(_, digest)| digest.as_slice()));
    let resource = |(name, digest): &(&str, &[u8; 32])| WrittenResource {
        name: (*name).to_owned(),
        algorithm: HashType::Sha256.as_str(),
        digest: hex::encode(digest),
    };
    let predicate = WrittenPredicate {
        serialization: WrittenSerialization {
            method: "files",
            hash_type: HashType::Sha256.as_str(),
            shard_size: None,
            allow_symlinks: false,
            ignore_paths: &ignored.paths(),
        },
        resources: kept.iter().map(resource).collect(),
    };
    let (bundle, root_digest) = seal(name, &root, predicate, endorser)?;
    Ok(Signed {
        bundle,
        root_digest,
        files: kept.len(),
        bytes: 0,
        unsigned: left_out.into_iter().map(|(name, _)| name.to_owned()).collect(),
        warnings: Vec::new(),
        precomputed: true,
    })
}

/// The signature file over a predicate, and the root digest in it.
fn seal(
    name: &str,
    root: &[u8; 32],
    predicate: WrittenPredicate<'_>,
    endorser: &dyn Endorse,
) -> Result<(Vec<u8>, Digest), OmsError> {
    let statement = WrittenStatement {
        kind: STATEMENT_TYPE,
        subject: [WrittenSubject { name, digest: WrittenDigest { sha256: hex::encode(root) } }],
        predicate_type: PREDICATE_TYPE,
        predicate,
    };
    let endorsed = endorser.endorse(serde_json::to_vec(&statement)?)?;
    let bundle = bundle::write(&endorsed.material, &endorsed.envelope)?;
    if bundle.len() > MAX_BUNDLE_BYTES {
        return Err(OmsError::TooLarge);
    }
    Ok((bundle, Digest::new(Algorithm::Sha256, root).map_err(|_| OmsError::Empty)?))
}

/// A line for each link that leaves the model: its bytes are signed, yet they do not travel with the model.
pub(super) fn leaving(files: &[FoundFile]) -> Vec<String> {
    let mut lines: Vec<String> = files
        .iter()
        .filter(|file| file.leaves)
        .map(|file| format!("{}: a link that leaves the model", file.name))
        .collect();
    lines.sort();
    lines
}

pub(super) fn signable(walked: &Walked) -> Result<(), OmsError> {
    // The first in the order of paths, so that the same model gives the same message.
    let Some(first) = walked.oddities.iter().min_by_key(|oddity| &oddity.path) else { return Ok(()) };
    let what = match &first.kind {
        OddityKind::Link => "a link; allow links or ignore it",
        OddityKind::LinkToFolder => "a link to a folder; put the folder itself here or ignore it",
        OddityKind::DanglingLink => "a link that leads to nothing",
        OddityKind::Special => "a pipe, socket or device",
        OddityKind::NameNotText => "its name is not UTF-8",
        OddityKind::UnsafeName | OddityKind::Doubled => "a name that no model has",
        OddityKind::Unreadable(source) => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            return Err(OmsError::Io { path: first.path.clone().into(), source });
        }
    };
    Err(OmsError::Unsignable { path: first.path.clone(), what })
}

/// The resources to be, in their final order.
struct Plan<'a> {
    sharded: bool,
    named: Vec<(String, Job<'a>)>,
    /// Files that a sharded signature does not cover.
    empty: Vec<&'a FoundFile>,
}

impl<'a> Plan<'a> {
    fn new(files: &'a [FoundFile], serialization: Serialization) -> Result<Self, OmsError> {
        let mut plan = Self { sharded: serialization != Serialization::Files, named: Vec::new(), empty: Vec::new() };
        for file in files {
            let job = |start, end| Job {
                name: &file.name,
                path: &file.path,
                follow: file.linked,
                size: file.size,
                start,
                end,
                signed: None,
            };
            match serialization {
                Serialization::Files => plan.named.push((file.name.clone(), job(0, file.size))),
                Serialization::Shards(_) if file.size == 0 => plan.empty.push(file),
                Serialization::Shards(size) => {
                    let count = file.size.div_ceil(size.get());
                    if count.saturating_add(plan.named.len() as u64) > MAX_RESOURCES {
                        return Err(OmsError::TooLarge);
                    }
                    for i in 0..count {
                        let start = i * size.get();
                        let end = start.saturating_add(size.get()).min(file.size);
                        plan.named.push((format!("{}:{start}:{end}", file.name), job(start, end)));
                    }
                }
            }
        }
        if plan.named.is_empty() {
            return Err(OmsError::Empty);
        }
        // UTF-8 sorts by bytes as it does by code points.
        plan.named.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(plan)
    }

    fn resources(&self, options: &SignOptions) -> Result<(Vec<WrittenResource>, [u8; 32]), OmsError> {
        let (names, jobs): (Vec<&String>, Vec<Job<'_>>) =
            self.named.iter().map(|(name, job)| (name, Job { ..*job })).unzip();
        let mut digests = Vec::with_capacity(jobs.len());
        for (job, result) in jobs.iter().zip(hash_all(options.hash, &jobs, &options.hashing)) {
            digests.push(result.map_err(|source| OmsError::Io { path: job.path.to_owned(), source })?);
        }
        let root = root_digest(digests.iter().map(Vec::as_slice));
        let resource = |(name, digest): (&&String, &Vec<u8>)| WrittenResource {
            name: (*name).clone(),
            algorithm: options.hash.as_str(),
            digest: hex::encode(digest),
        };
        Ok((names.iter().zip(&digests).map(resource).collect(), root))
    }
}

/// The base name of the model; `.` and `..` are resolved to the folder they mean.
fn subject_name(model: &Path) -> Result<String, OmsError> {
    let real;
    let name = match model.file_name() {
        Some(name) => Some(name),
        None => {
            real = model.canonicalize().map_err(|source| OmsError::Io { path: model.to_owned(), source })?;
            real.file_name()
        }
    };
    // Readers must not depend on it, so a root without a name gets an empty one.
    Ok(name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

impl From<WalkError> for OmsError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Io { path, source } => Self::Io { path, source },
            WalkError::Limit(hit) => Self::Limit(hit),
        }
    }
}
