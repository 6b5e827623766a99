//! Mergeable column summaries and content hashes of tables.

#![forbid(unsafe_code)]
