//! Label errors, outliers, backdoor triggers and duplicates in tables and embeddings.

#![forbid(unsafe_code)]
