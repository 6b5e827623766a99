//! The append-only log in a folder: `format`, `origin`, `checkpoint`, `tile/`, `journal`, and a lock.
//!
//! An append is acknowledged when a journal frame with its entry and a signed checkpoint over it is synced to the device; the
//! tiles and the checkpoint file are then written from it. A killed process therefore leaves the old or the new state, and the
//! next opening ends what was begun. The log key signs only what follows from the last journal frame and from the head that is
//! remembered outside the project, both under locks, so the log never forks.

pub(crate) mod commit;
pub(crate) mod cosigned;
mod create;
mod erase;
#[cfg(test)]
mod failing;
mod group;
pub(crate) mod in_objects;
mod index;
pub(crate) mod remote;
pub(crate) mod state;
pub(crate) mod view;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub(crate) use create::origin_candidates;
pub use state::Repair;

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::evidence::EvidenceStore;
use crate::files::Durability;
use crate::home::Home;
use crate::lock::{LockError, LockFile};
use crate::log::group::{Group, Request};
use crate::log::index::Index;
use crate::log::remote::RemoteState;
use crate::log::state::State;
use crate::log::view::View;
use crate::note::{SignerKey, VerifierKey};
use crate::objects::{self, Objects};
use crate::proof::ProofFile;
use crate::record::Record;
use crate::tile::TILE_WIDTH;
use crate::tree::{self, Hash};

/// How long an append waits for another process by default.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Size at which the journal is closed by default, in bytes.
pub const JOURNAL_LIMIT: u64 = 8 << 20;

const MAX_JOURNAL_LIMIT: u64 = 32 << 20;

/// Threads that store envelopes; they wait for the device, not for a core.
const STORING_THREADS: usize = 8;

/// Where the parts of a ledger lie.
#[derive(Debug, Clone)]
pub struct Place {
    /// Folder of the log.
    pub log: PathBuf,
    /// Folder of the envelopes.
    pub evidence: PathBuf,
    /// The user's configuration folder, outside the project: log keys and remembered heads.
    pub config: PathBuf,
}

/// How a ledger is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of a new ledger, a URL without scheme; without one it is `gauntlet.local/` and 32 random digits.
    pub origin: Option<String>,
    /// How long to wait for another process.
    pub lock_timeout: Duration,
    /// Size at which the journal is closed and its tiles are made durable, in bytes; at most 32 MiB.
    pub journal_limit: u64,
    /// Whose tombstones are believed when a ledger is verified.
    pub erasers: Vec<gauntlet_trust::keys::VerifyingKey>,
}

/// What became of a record that was handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is durable at this index, covered by a signed checkpoint of at least `size` entries.
    New {
        /// Index of the entry, from 0.
        index: u64,
        /// Entries of the checkpoint that covers it.
        size: u64,
    },
    /// Its envelope was in the log already; nothing was appended.
    Present {
        /// Index of the first entry that names the envelope.
        index: u64,
    },
}

/// An open ledger. One handle serves any number of threads; appends of many threads are committed together.
pub struct Ledger {
    evidence: EvidenceStore,
    key: VerifierKey,
    group: Group,
    view: RwLock<Arc<View>>,
    index: Mutex<Index>,
    writer: Option<Mutex<Writer>>,
    repairs: Vec<Repair>,
}

struct Writer {
    backend: Backend,
    signer: SignerKey,
    home: Home,
    home_lock: LockFile,
    timeout: Duration,
    poisoned: bool,
}

/// What a writer writes to, and what keeps others from doing so at the same time.
enum Backend {
    Folder { state: State, lock: LockFile },
    Objects { state: RemoteState, objects: Objects },
}

impl Place {
    /// The places inside a project's state folder (`.gauntlet`): `ledger` and `evidence`.
    pub fn in_state(state: &Path, config: &Path) -> Self {
        Self { log: state.join("ledger"), evidence: state.join("evidence"), config: config.to_owned() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { origin: None, lock_timeout: LOCK_TIMEOUT, journal_limit: JOURNAL_LIMIT, erasers: Vec::new() }
    }
}

impl Appended {
    /// Index of the entry that holds the record's envelope.
    pub fn index(&self) -> u64 {
        match self {
            Self::New { index, .. } | Self::Present { index } => *index,
        }
    }
}

impl Ledger {
    /// Opens the ledger for appending, or makes a new one where none is. What an interrupted append left is ended first.
    ///
    /// # Errors
    /// When the ledger is damaged, rolled back, of an unknown format, locked for too long, or its key is not here.
    pub fn open_or_create(place: &Place, options: &Options) -> Result<Self, Error> {
        create::create(place, options)?;
        Self::open(place, options)
    }

    /// Opens the ledger for appending.
    ///
    /// # Errors
    /// As [`Ledger::open_or_create`], and when there is no ledger.
    pub fn open(place: &Place, options: &Options) -> Result<Self, Error> {
        let origin = create::read_origin(&place.log)?;
        let home = Home::of(&place.config, &origin);
        let signer = home.signer()?;
        let key = signer.verifier();
        let (mut lock, mut home_lock) = (LockFile::open(&place.log.join("lock"))?, home.lock_file()?);
        let locked = (lock.lock(options.lock_timeout)?, home_lock.lock(options.lock_timeout)?);
        let mut state = State::load(&place.log, &key, true, options.journal_limit.min(MAX_JOURNAL_LIMIT))?;
        check_head(state.view(), &home, &key)?;
        let repairs = state.recover()?;
        home.sweep()?;
        let durability = if home.has_durable_head() { Durability::Process } else { Durability::Device };
        home.remember(&state.view().note, durability)?;
        drop(locked);
        let view = Arc::clone(state.view());
        let timeout = options.lock_timeout;
        let backend = Backend::Folder { state, lock };
        let writer = Writer { backend, signer, home, home_lock, timeout, poisoned: false };
        Ok(Self::with(EvidenceStore::new(&place.evidence), key, view, Some(writer), repairs))
    }

    /// Opens the ledger for reading only. Nothing is changed; the log is as it stands at this moment.
    ///
    /// # Errors
    /// When the ledger is damaged, rolled back, of an unknown format or locked for too long, or its public key is not here.
    pub fn open_read_only(place: &Place, options: &Options) -> Result<Self, Error> {
        let origin = create::read_origin(&place.log)?;
        let home = Home::of(&place.config, &origin);
        let key = home.verifier()?;
        let mut lock = match LockFile::open(&place.log.join("lock")) {
            // A copy that may not be written has no writer either.
            Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let locked = lock.as_mut().map(|lock| lock.lock(options.lock_timeout)).transpose()?;
        let state = State::load(&place.log, &key, false, 0)?;
        check_head(state.view(), &home, &key)?;
        drop(locked);
        Ok(Self::with(EvidenceStore::new(&place.evidence), key, Arc::clone(state.view()), None, Vec::new()))
    }

    fn with(
        evidence: EvidenceStore,
        key: VerifierKey,
        view: Arc<View>,
        writer: Option<Writer>,
        repairs: Vec<Repair>,
    ) -> Self {
        let (group, index) = (Group::default(), Mutex::default());
        Self { evidence, key, group, view: RwLock::new(view), index, writer: writer.map(Mutex::new), repairs }
    }

    /// Appends records and waits until they are durable and covered by a signed checkpoint. Entries of one call keep their
    /// order; entries of other callers may stand between them.
    ///
    /// # Errors
    /// When a record cannot be logged, its envelope is not in the evidence store, or the append fails; an entry is not
    /// acknowledged then, but may still be in the log.
    pub fn append(&self, records: &[Record]) -> Result<Vec<Appended>, Error> {
        self.submit(records, false)
    }

    /// As [`Ledger::append`], but leaves out a record whose envelope an entry of the log names already, whoever appended it.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_unless_present(&self, record: &Record) -> Result<Appended, Error> {
        let appended = self.submit(std::slice::from_ref(record), true)?;
        appended.into_iter().next().ok_or(Error::Poisoned)
    }

    /// Stores envelopes and appends their records, leaving out evidence that is in the log already: the usual way in. New envelopes
    /// are stored in parallel and appended together; evidence that is known costs no write.
    ///
    /// # Errors
    /// When a record names another digest than its envelope has, and as [`EvidenceStore::put`] and [`Ledger::append`].
    pub fn admit(&self, evidence: &[(&[u8], Record)]) -> Result<Vec<Appended>, Error> {
        let mut new = Vec::new();
        for (envelope, record) in evidence {
            let (digest, named) = (Hash::of(envelope), record.envelope.0);
            if digest != named {
                return Err(Error::WrongEnvelope { found: digest, named });
            }
            let (known, erased) = self
                .with_index(|index| (!index.by_envelope(&digest).is_empty(), index.tombstone_of(&digest).is_some()))?;
            if erased {
                return Err(Error::Erased(digest));
            }
            if !known || !self.evidence.contains(&digest)? {
                new.push(*envelope);
            }
        }
        let share = new.len().div_ceil(STORING_THREADS).max(1);
        std::thread::scope(|scope| {
            let put =
                |envelopes: &[&[u8]]| envelopes.iter().try_for_each(|envelope| self.evidence.put(envelope).map(drop));
            let workers: Vec<_> = new.chunks(share).map(|chunk| scope.spawn(move || put(chunk))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(Error::Poisoned)))
        })?;
        let records: Vec<Record> = evidence.iter().map(|(_, record)| record.clone()).collect();
        self.submit(&records, true)
    }

    /// The record at an index, proven to be under the signed checkpoint.
    ///
    /// # Errors
    /// When the index is outside the log, or the files do not lead to the checkpoint.
    pub fn show(&self, index: u64) -> Result<Record, Error> {
        let view = self.view();
        let entry = view.entry(index)?;
        let proof = tree::inclusion_proof(index, view.size(), &*view)??;
        tree::verify_inclusion(&tree::leaf_hash(&entry), index, view.size(), &proof, &view.checkpoint.root)
            .map_err(|error| Error::damaged(view.tiles.place(), format!("entry {index}: {error}")))?;
        Record::parse(&entry).map_err(|error| index::not_a_record(&view, index, &error))
    }

    /// All records in their order, each compared with its leaf hash.
    pub fn iter(&self) -> impl Iterator<Item = Result<(u64, Record), Error>> + use<> {
        let view = self.view();
        let bundles = view.size().div_ceil(u64::from(TILE_WIDTH));
        (0..bundles).flat_map(move |bundle| match view.entries(bundle) {
            Err(error) => vec![Err(error)],
            Ok(entries) => (bundle * u64::from(TILE_WIDTH)..)
                .zip(entries)
                .map(|(index, entry)| {
                    let record = Record::parse(&entry).map_err(|error| index::not_a_record(&view, index, &error))?;
                    Ok((index, record))
                })
                .collect(),
        })
    }

    /// Indices of the entries that name an envelope. The first call reads the whole log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn by_envelope(&self, envelope: &Hash) -> Result<Vec<u64>, Error> {
        self.with_index(|index| index.by_envelope(envelope).to_vec())
    }

    /// Indices of the entries about a subject with this digest, such as (`dirHash1`, 64 hexadecimal digits).
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn by_subject(&self, algorithm: &str, digest: &str) -> Result<Vec<u64>, Error> {
        self.with_index(|index| index.by_subject(algorithm, digest).to_vec())
    }

    /// A proof that the entry at an index is in the log, for somebody who has only the log's verifier key.
    ///
    /// # Errors
    /// When the index is outside the log or a tile cannot be read.
    pub fn prove(&self, index: u64) -> Result<ProofFile, Error> {
        let view = self.view();
        let path = tree::inclusion_proof(index, view.size(), &*view)??;
        Ok(ProofFile { extra: None, index, path, checkpoint: view.note.clone() })
    }

    /// A proof that the log of now begins with the log of `old` entries.
    ///
    /// # Errors
    /// When the log is smaller, or a tile cannot be read.
    pub fn prove_consistency(&self, old: u64) -> Result<Vec<Hash>, Error> {
        let view = self.view();
        Ok(tree::consistency_proof(old, view.size(), &*view)??)
    }

    /// The canonical bytes of the entry at an index, which a proof is about.
    ///
    /// # Errors
    /// As [`Ledger::show`], without the proof.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        self.view().entry(index)
    }

    /// Takes in what other processes appended since this handle last looked.
    ///
    /// # Errors
    /// When the handle is for reading only, or the ledger is locked for too long, damaged or rolled back.
    pub fn refresh(&self) -> Result<(), Error> {
        self.commit(&[]).map(drop)
    }

    /// What the log says about itself: origin, size and root.
    pub fn checkpoint(&self) -> Checkpoint {
        self.view().checkpoint.clone()
    }

    /// The signed checkpoint.
    pub fn signed_checkpoint(&self) -> String {
        self.view().note.clone()
    }

    /// The log's public key; its text is what others verify with.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// The envelopes beside the log.
    pub fn evidence(&self) -> &EvidenceStore {
        &self.evidence
    }

    /// Files that had been published and were written again from the journal when this handle was opened.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// The log as it stands now: what is read from it fits together.
    pub(crate) fn snapshot(&self) -> Arc<View> {
        self.view()
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_index<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<T, Error> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.catch_up(&self.view())?;
        Ok(look(&index))
    }

    fn submit(&self, records: &[Record], unless_present: bool) -> Result<Vec<Appended>, Error> {
        if self.writer.is_none() {
            return Err(Error::ReadOnly);
        }
        let mut requests = Vec::with_capacity(records.len());
        for record in records {
            let envelope = record.envelope.0;
            if !self.evidence.contains(&envelope)? {
                return Err(Error::NoEnvelope(envelope));
            }
            requests.push(Request { entry: record.to_bytes()?, unless_present: unless_present.then_some(envelope) });
        }
        self.group.submit(requests, |requests| self.commit(requests))
    }

    /// Commits a group under both locks.
    fn commit(&self, requests: &[&Request]) -> Result<Vec<Appended>, Error> {
        let Some(writer) = &self.writer else { return Err(Error::ReadOnly) };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Writer { backend, signer, home, home_lock, timeout, poisoned } = &mut *writer;
        if *poisoned {
            return Err(Error::Poisoned);
        }
        let (appended, view) = match backend {
            Backend::Folder { state, lock } => {
                let _locked = (lock.lock(*timeout)?, home_lock.lock(*timeout)?);
                // Until everything is done: an error half-way leaves memory and disk apart.
                *poisoned = true;
                let appended = self.commit_to_folder(requests, state, signer, home)?;
                (appended, Arc::clone(state.view()))
            }
            Backend::Objects { state, objects } => {
                let _locked = home_lock.lock(*timeout)?;
                let mut lease = objects::Lease::acquire(objects, state.fence(), in_objects::LEASE, *timeout)?;
                *poisoned = true;
                let outcome = self.commit_to_objects(requests, state, &mut lease, signer, home);
                // Nothing depends on it: a lease that is not given back runs out.
                let _ = lease.release();
                (outcome?, Arc::clone(state.view()))
            }
        };
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        *poisoned = false;
        Ok(appended)
    }

    fn commit_to_folder(
        &self,
        requests: &[&Request],
        state: &mut State,
        signer: &SignerKey,
        home: &Home,
    ) -> Result<Vec<Appended>, Error> {
        state.catch_up()?;
        if home.head_text()?.as_deref() != Some(&state.view().note) {
            check_head(state.view(), home, &self.key)?;
        }
        let (entries, appended) = self.plan(requests, state.view())?;
        if !entries.is_empty() {
            let base = state.base();
            state.append(entries, signer)?;
            let outcome = state.publish();
            // A journal that was closed is a good moment for what costs a sync.
            let durability = if state.base() == base { Durability::Process } else { Durability::Device };
            home.remember(&state.view().note, durability)?;
            outcome.map_err(|error| Error::Unpublished(Box::new(error)))?;
        }
        Ok(appended)
    }

    /// Which entries to append, and what to answer to each request.
    fn plan(&self, requests: &[&Request], view: &View) -> Result<(Vec<Vec<u8>>, Vec<Appended>), Error> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.iter().any(|request| request.unless_present.is_some()) {
            index.catch_up(view)?;
        }
        let mut entries = Vec::new();
        let mut appended = Vec::with_capacity(requests.len());
        let mut new = std::collections::HashMap::new();
        for request in requests {
            let next = view.size() + entries.len() as u64;
            let known = request.unless_present.and_then(|envelope| {
                index.by_envelope(&envelope).first().copied().or_else(|| new.get(&envelope).copied())
            });
            match known {
                Some(index) => appended.push(Appended::Present { index }),
                None => {
                    new.extend(request.unless_present.map(|envelope| (envelope, next)));
                    entries.push(request.entry.clone());
                    appended.push(Appended::New { index: next, size: 0 });
                }
            }
        }
        let covered = view.size() + entries.len() as u64;
        for answer in &mut appended {
            if let Appended::New { size, .. } = answer {
                *size = covered;
            }
        }
        Ok((entries, appended))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checkpoint = self.checkpoint();
        formatter
            .debug_struct("Ledger")
            .field("place", &self.view().tiles.place())
            .field("checkpoint", &checkpoint)
            .finish_non_exhaustive()
    }
}

/// Compares the log with the head that was seen last.
pub(crate) fn check_head(view: &View, home: &Home, key: &VerifierKey) -> Result<(), Error> {
    let Some(head) = home.head(key)? else { return Ok(()) };
    let (remembered, origin) = (head.checkpoint.size, head.checkpoint.origin);
    if view.size() < remembered {
        return Err(Error::RolledBack { origin, remembered, found: view.size() });
    }
    if tree::root(remembered, view)? == head.checkpoint.root {
        Ok(())
    } else {
        Err(Error::Rewritten { origin, remembered })
    }
}
