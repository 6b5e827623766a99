//! Reading the structure of HDF5 files without libhdf5: groups, links, attributes, datasets and where their bytes are,
//! after the HDF5 File Format Specification, version 3.
//!
//! Meant for files of strangers: every structure is read once, no recursion follows the file, all arithmetic is
//! checked, and what is broken, unknown or too much is said ([`Hdf5Facts::problems`]) instead of skipped. Elements of
//! datasets stay in the file.

#![forbid(unsafe_code)]

mod btree1;
mod btree2;
mod bytes;
mod checksum;
mod chunks;
mod dataset;
mod datatype;
mod error;
mod facts;
mod fractal;
mod header;
mod heap;
mod medium;
mod superblock;
mod value;
mod walk;

use gauntlet_limits::{Budget, Limits, ReadAt, Window};

pub use datatype::{Datatype, Member};
pub use error::{Hdf5Error, Problem, ProblemKind};
pub use facts::{
    Attribute, CHUNKS, Dataset, ExternalFile, Filter, Hdf5Facts, Link, LinkTarget, Range, Storage, Superblock, Value,
    VirtualSource,
};
pub use superblock::{SIGNATURE, find, looks_like, places};
pub use walk::read;

impl Dataset {
    /// The bytes of a dataset of bytes, texts or opaque elements that lies in `source` in one run without filters.
    #[must_use]
    pub fn window<'a>(&self, source: &'a dyn ReadAt) -> Option<Window<'a>> {
        value::window(source, self)
    }
}

/// [`read`] over bytes in memory with every window opened; for fuzzing and tests.
#[must_use]
pub fn exercise(bytes: &[u8], limits: &Limits) -> Option<Hdf5Facts> {
    let source = bytes.to_vec();
    let _ = looks_like(bytes);
    let facts = read(&source, &Budget::new(limits.clone())).ok()?;
    for dataset in &facts.datasets {
        if let Some(window) = dataset.window(&source) {
            let mut first = [0; 64];
            let _ = window.read_at(0, &mut first);
        }
    }
    Some(facts)
}
