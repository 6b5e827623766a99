//! What every transparency log shares: Merkle trees (RFC 6962) and signed notes (C2SP). Our own ledger and Sigstore's
//! logs are checked by the same code.

pub mod note;
pub mod tree;
