//! A model whose bytes are streamed: over the network, or from a folder into another one.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gauntlet_core::Limits;

use super::hash::{HashType, Hasher, Job, each_piece, in_order, largest_first, open_regular, unchanged};
use super::install::Staging;
use super::names::{Ignored, ancestry, is_safe};
use super::partial::{Partial, Selection, only_at};
use super::place::Place;
use super::verify::verify_at;
use super::walk::{FoundFile, OddityKind, WalkError, Walked, pick, walk};
use super::{Trust, UnsignedWhy, Verification, VerifyOptions};
use crate::source::{Entry, Source, SourceError};

/// Streams that are read at once. Each holds one piece, so that memory does not grow with the model.
const STREAMS: usize = 8;
const PIECE: usize = 256 << 10;

/// Where a model is streamed from.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// A file or folder.
    Local(&'a Path),
    /// A bucket, a web server.
    Source {
        /// The model.
        source: &'a dyn Source,
        /// Name of the signature, when it lies in the model.
        signature: Option<&'a str>,
    },
}

/// Verifies a model while it is read from `source`, keeping nothing. `signature` names the signature file in it.
///
/// Where the server cannot list what it holds, the signed files are looked at, and a warning says that others may be
/// there.
#[must_use]
pub fn verify_source(
    source: &dyn Source,
    signature: Option<&str>,
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
) -> Verification {
    let place = Streamed::new(Origin::Source { source, signature }, options, None);
    verify_at(&place, bundle, trust, options)
}

/// [`super::verify_only`] of a model that is read from `source`.
#[must_use]
pub fn verify_source_only(
    source: &dyn Source,
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
    only: &[Selection],
) -> Partial {
    let place = Streamed { only: true, ..Streamed::new(Origin::Source { source, signature: None }, options, None) };
    only_at(&place, bundle, trust, options, only)
}

/// The place behind an [`Origin`]; what passes through it goes to `staging`, if there is one.
pub(super) struct Streamed<'a> {
    origin: Origin<'a>,
    options: &'a VerifyOptions,
    staging: Option<&'a Staging>,
    /// Look for the wanted names alone.
    only: bool,
    /// What is staged is of no use any more.
    stop: AtomicBool,
}

impl<'a> Streamed<'a> {
    pub(super) fn new(origin: Origin<'a>, options: &'a VerifyOptions, staging: Option<&'a Staging>) -> Self {
        Self { origin, options, staging, only: false, stop: AtomicBool::new(false) }
    }

    fn one(&self, hash: HashType, job: &Job<'_>) -> io::Result<Vec<u8>> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("not read, because something else is already not what was signed"));
        }
        let result = self.stream(hash, job);
        let right = result.as_ref().is_ok_and(|digest| job.signed == Some(digest.as_slice()));
        if self.staging.is_some() && !right {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }

    fn stream(&self, hash: HashType, job: &Job<'_>) -> io::Result<Vec<u8>> {
        let mut hasher = Hasher::new(hash);
        let out = self.staging.map(|staging| staging.file(job.name)).transpose()?;
        let mut at = job.start;
        let mut take = |bytes: &[u8]| {
            hasher.update(bytes);
            if let Some(out) = &out {
                std::os::unix::fs::FileExt::write_all_at(out, bytes, at)?;
            }
            at += bytes.len() as u64;
            self.options.hashing.done(bytes.len() as u64);
            Ok(())
        };
        match self.origin {
            Origin::Local(_) => {
                let (file, metadata) = open_regular(job.path, job.follow)?;
                unchanged(&metadata, job.size)?;
                each_piece(&file, job.start..job.end, &mut vec![0; PIECE], &mut take)?;
                unchanged(&file.metadata()?, job.size)?;
            }
            Origin::Source { source, .. } => source.read(job.name, job.size, job.start..job.end, &mut take)?,
        }
        if let Some(out) = out {
            out.sync_all()?;
        }
        Ok(hasher.finish())
    }
}

impl Place for Streamed<'_> {
    fn walk(&self, follow: bool, ignored: &mut Ignored, wanted: &BTreeSet<&str>) -> Result<Walked, WalkError> {
        match self.origin {
            Origin::Local(model) if self.only => pick(model, follow, wanted),
            Origin::Local(model) => {
                ignored.signature(model, self.options.signature_path.as_deref());
                walk(model, follow, ignored, wanted, &Limits::default())
            }
            Origin::Source { source, signature } => {
                if let Some(name) = signature {
                    ignored.signature_name(name);
                }
                self.list(source, ignored, wanted).map_err(|error| match error {
                    SourceError::Limit(hit) => WalkError::Limit(hit),
                    error => WalkError::Io { path: PathBuf::from(source.name()), source: error.into() },
                })
            }
        }
    }

    fn hash_all(&self, hash: HashType, jobs: &[Job<'_>]) -> Vec<io::Result<Vec<u8>>> {
        let workers = match self.origin {
            Origin::Local(_) => rayon::current_num_threads(),
            Origin::Source { .. } => STREAMS,
        };
        let order = largest_first(jobs);
        in_order(jobs.len(), each(workers, &order, |&i| (i, self.one(hash, &jobs[i]))))
    }

    fn all_or_nothing(&self) -> bool {
        self.staging.is_some()
    }
}

impl Streamed<'_> {
    fn list(&self, source: &dyn Source, ignored: &Ignored, wanted: &BTreeSet<&str>) -> Result<Walked, SourceError> {
        let mut walked = Walked::default();
        if let Some(name) = source.single() {
            let size = source.size(name)?.ok_or_else(|| SourceError::Nothing(name.to_owned()))?;
            walked.single = true;
            walked.file(name, size, false);
            return Ok(walked);
        }
        let listed = if self.only { None } else { source.list(&Limits::default())? };
        match listed {
            Some(entries) => listed_files(entries, ignored, wanted, &mut walked),
            None => {
                let names: Vec<&str> = wanted.iter().copied().filter(|name| is_safe(name)).collect();
                for (name, size) in each(STREAMS, &names, |name| (*name, source.size(name))).into_iter().flatten() {
                    match size {
                        Ok(Some(size)) => walked.file(name, size, false),
                        Ok(None) => {}
                        Err(error) => walked.odd(name, OddityKind::Unreadable(error.into())),
                    }
                }
                if !self.only {
                    let note = "the server cannot list what it holds: only the signed files were looked at";
                    walked.notes.push(note.to_owned());
                }
            }
        }
        Ok(walked)
    }
}

/// Sorts what a server lists into files, what is left out, and what no model may have.
fn listed_files(mut entries: Vec<Entry>, ignored: &Ignored, wanted: &BTreeSet<&str>, walked: &mut Walked) {
    entries.sort();
    let names: BTreeSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let is_folder = |name: &str| {
        let below = format!("{name}/");
        names.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below))
    };
    let mut left_out: BTreeSet<(String, UnsignedWhy)> = BTreeSet::new();
    let mut last: Option<&str> = None;
    for entry in &entries {
        let name = entry.name.as_str();
        let doubled = last == Some(name);
        last = Some(name);
        // Some tools mark a folder by an empty object; folders leave no trace.
        if entry.size == 0 && (is_folder(name) || name.ends_with('/')) {
            continue;
        }
        if !is_safe(name) {
            walked.odd(name, OddityKind::UnsafeName);
            continue;
        }
        if doubled {
            walked.odd(name, OddityKind::Doubled);
            continue;
        }
        let above = ancestry(name).find_map(|above| ignored.entry(above).map(|why| (above.to_owned(), why)));
        let is_ignored = above.is_some();
        left_out.extend(above);
        if !is_ignored || wanted.contains(name) {
            walked.file(name, entry.size, is_ignored);
        }
    }
    walked.left_out.extend(left_out);
}

impl Walked {
    fn file(&mut self, name: &str, size: u64, ignored: bool) {
        let (name, path) = (name.to_owned(), PathBuf::from(name));
        self.files.push(FoundFile { name, path, size, linked: false, leaves: false, ignored });
    }
}

/// Does `work` for every item on so many threads: waiting for a network must not keep the hashing pool from work.
fn each<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<Vec<R>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(work(item));
        }
        done
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let mut all = vec![worker()];
        // A worker that died leaves its items without a result, which fails them.
        all.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        all
    })
}
