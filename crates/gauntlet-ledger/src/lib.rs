//! The append-only Merkle log and the evidence store: what is not in here did not happen.
//!
//! A ledger is a C2SP tlog-tiles folder that any static server can serve, with a write-ahead journal that makes appends durable;
//! envelopes lie beside it under their digests. Its key and the last head that was seen lie in the user's configuration folder,
//! so a ledger that was rolled back, rewritten or copied and continued is refused. What cannot be noticed: a state folder that was
//! deleted as a whole (the next run begins a new ledger with a new name and key), and a rollback of the state and the
//! configuration folder together; witnesses are the answer to both.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoint;
mod erasure;
mod error;
mod evidence;
mod export;
mod files;
mod foreign;
mod frontier;
mod home;
mod journal;
pub mod judge;
mod lock;
mod log;
mod objects;
pub mod proof;
pub mod record;
pub mod tile;
mod verify;
pub mod witness;

pub use erasure::{ERASURE, ERASURE_KIND, Erasure};
pub use error::Error;
pub use evidence::{EvidenceStore, Held, MAX_ENVELOPE};
pub use export::Selection;
pub use foreign::{Foreign, ForeignEnvelope, ForeignError, ForeignStore};
pub use gauntlet_trust::tlog::{note, tree};
pub use journal::read_all as read_journal;
pub use lock::{Lease, LockError};
pub use log::{Appended, JOURNAL_LIMIT, LOCK_TIMEOUT, Ledger, Options, Place, Repair};
pub use objects::Objects;
pub use verify::{Difference, Problem, Verification, verify, verify_in, verify_static};
