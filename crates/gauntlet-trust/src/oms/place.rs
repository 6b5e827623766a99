//! Where the bytes of a model lie: what is there, and how it is hashed. Judging is the same everywhere.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use gauntlet_core::Limits;

use super::VerifyOptions;
use super::hash::{HashType, Job, hash_all};
use super::names::Ignored;
use super::walk::{WalkError, Walked, walk};

/// A place that holds a model.
pub(super) trait Place {
    /// What is there. Names in `wanted` are found even where they are ignored. A place that holds the signature beside
    /// the model adds it to `ignored`.
    fn walk(&self, follow: bool, ignored: &mut Ignored, wanted: &BTreeSet<&str>) -> Result<Walked, WalkError>;

    /// The digest of every job, in the order given.
    fn hash_all(&self, hash: HashType, jobs: &[Job<'_>]) -> Vec<io::Result<Vec<u8>>>;

    /// Whether hashing is of no use once something is known to be wrong: bytes are then fetched for nothing.
    fn all_or_nothing(&self) -> bool {
        false
    }
}

/// A file or folder.
pub(super) struct Local<'a> {
    pub(super) model: &'a Path,
    pub(super) options: &'a VerifyOptions,
}

impl Place for Local<'_> {
    fn walk(&self, follow: bool, ignored: &mut Ignored, wanted: &BTreeSet<&str>) -> Result<Walked, WalkError> {
        ignored.signature(self.model, self.options.signature_path.as_deref());
        walk(self.model, follow, ignored, wanted, &Limits::default())
    }

    fn hash_all(&self, hash: HashType, jobs: &[Job<'_>]) -> Vec<io::Result<Vec<u8>>> {
        hash_all(hash, jobs, &self.options.hashing)
    }
}
