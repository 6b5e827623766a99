//! Buckets and web servers of strangers: what an address names, and an object store that asks nobody else. What is read
//! there, and whether it is believed, is the caller's.

#![forbid(unsafe_code)]

mod address;
mod guard;
mod store;

pub use address::{Address, AddressError, Scheme};
pub use store::{StoreError, connect};

/// A stranger's text for a message: quoted, with control characters escaped, at most 80 characters of it.
#[must_use]
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
