//! Models whose files are blobs under other names, as in an OCI layout.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use gauntlet_core::{Limits, Verdict};

use super::bundle::Bundle;
use super::hash::{HashType, Job, each_piece, hash_all, open_regular, unchanged};
use super::manifest::Manifest;
use super::names::{Ignored, ancestry};
use super::place::Place;
use super::sign::signable;
use super::verify::{Judge, verify_at};
use super::walk::{FoundFile, WalkError, Walked, walk};
use super::{OmsError, Reason, SignOptions, Trust, Verification, VerifyOptions};
use crate::dsse::Envelope;

/// A file of a model and where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerFile {
    /// Inside the model; known to be safe.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// SHA-256, if the bytes were already compared with it.
    pub(crate) sha256: Option<Vec<u8>>,
}

/// A regular file of a model on disk.
#[derive(Clone, Debug)]
pub(crate) struct ModelFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// A link that is followed.
    pub(crate) linked: bool,
}

/// The files of a model as signing would take them, sorted by name, and what is left out.
pub(crate) fn model_files(model: &Path, options: &SignOptions) -> Result<(Vec<ModelFile>, Vec<String>), OmsError> {
    let mut ignored = Ignored::new(options.ignore.iter().map(String::as_str));
    ignored.signature(model, options.signature_path.as_deref());
    let walked = walk(model, options.allow_symlinks, &ignored, &BTreeSet::new(), &Limits::default())?;
    signable(&walked)?;
    let mut files: Vec<ModelFile> = walked
        .files
        .into_iter()
        .map(|FoundFile { name, path, size, linked, .. }| ModelFile { name, path, size, linked })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let mut left_out: Vec<String> = walked.left_out.into_iter().map(|(path, _)| path).collect();
    left_out.sort();
    if files.is_empty() { Err(OmsError::Empty) } else { Ok((files, left_out)) }
}

/// Hands the bytes of a file to `take`; an error when the file is not the one that was listed or changes meanwhile.
pub(crate) fn read_model_file(file: &ModelFile, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let (handle, metadata) = open_regular(&file.path, file.linked)?;
    unchanged(&metadata, file.size)?;
    each_piece(&handle, 0..file.size, &mut vec![0; 256 << 10], &mut take)?;
    unchanged(&handle.metadata()?, file.size)
}

/// Verifies a model that consists of exactly these files.
pub(crate) fn verify_layers(
    files: &[LayerFile],
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
) -> Verification {
    verify_at(&Layers { files, options }, bundle, trust, options)
}

/// How the files differ from what a signature file says, whoever signed it. Empty when they are the same.
pub(crate) fn differences(files: &[LayerFile], bundle: &[u8]) -> Vec<Reason> {
    let options = VerifyOptions::default();
    let mut judge = Judge::new(&options);
    let manifest = Bundle::parse(bundle)
        .map_err(|(code, message)| vec![Reason { path: None, code, message }])
        .and_then(|bundle| Manifest::parse(bundle.envelope.unverified_payload()));
    match manifest {
        Ok(manifest) => judge.model(&Layers { files, options: &options }, &manifest),
        Err(reasons) => judge.found.reasons.extend(reasons),
    }
    let found = judge.conclude();
    if found.verdict == Verdict::Pass { Vec::new() } else { found.reasons }
}

/// The envelope in a signature file, unverified.
pub(crate) fn bundle_envelope(bytes: &[u8]) -> Result<Envelope, String> {
    Bundle::parse(bytes).map(|bundle| bundle.envelope).map_err(|(_, message)| message)
}

struct Layers<'a> {
    files: &'a [LayerFile],
    options: &'a VerifyOptions,
}

impl Place for Layers<'_> {
    fn walk(&self, _: bool, ignored: &mut Ignored, wanted: &BTreeSet<&str>) -> Result<Walked, WalkError> {
        // A single file may be signed as `.`.
        let mut walked = Walked { single: self.files.len() == 1, ..Walked::default() };
        for file in self.files {
            let above = ancestry(&file.name).find_map(|above| ignored.entry(above).map(|why| (above.to_owned(), why)));
            let is_ignored = above.is_some();
            walked.left_out.extend(above);
            if !is_ignored || wanted.contains(file.name.as_str()) {
                let (name, path) = (file.name.clone(), file.path.clone());
                let size = file.size;
                walked.files.push(FoundFile { name, path, size, linked: false, leaves: false, ignored: is_ignored });
            }
        }
        Ok(walked)
    }

    fn hash_all(&self, hash: HashType, jobs: &[Job<'_>]) -> Vec<io::Result<Vec<u8>>> {
        let by_name: BTreeMap<&str, &LayerFile> = self.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let known = |job: &Job<'_>| {
            let whole = hash == HashType::Sha256 && job.start == 0 && job.end == job.size;
            by_name.get(job.name).filter(|_| whole)?.sha256.clone()
        };
        let known: Vec<Option<Vec<u8>>> = jobs.iter().map(known).collect();
        let unknown: Vec<Job<'_>> =
            jobs.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(job, _)| Job { ..*job }).collect();
        let mut hashed = hash_all(hash, &unknown, &self.options.hashing).into_iter();
        let next = |known: Option<Vec<u8>>| match known {
            Some(digest) => Ok(digest),
            None => hashed.next().unwrap_or_else(|| Err(io::ErrorKind::Other.into())),
        };
        known.into_iter().map(next).collect()
    }
}
