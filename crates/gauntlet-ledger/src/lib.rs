//! The append-only Merkle log and the evidence store.
