//! The append-only Merkle log and the evidence store.

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod note;
pub mod proof;
pub mod record;
pub mod tile;
pub mod tree;
