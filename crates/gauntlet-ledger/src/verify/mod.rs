//! Verifying a ledger: the whole tree is derived again from the entries and every file is compared with it. Nothing is repaired.
//!
//! Not evidence, so not compared: the lock files and the scratch folder `tmp/`. What an interrupted append left is no difference;
//! it is counted in [`Verification::unfinished`]. A state folder that was deleted as a whole cannot be noticed here: no ledger is
//! left that could be compared with the remembered head.

mod erasures;
mod journal;
mod outcome;
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

pub use outcome::{Difference, Problem, Verification};

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::erasure::erased_by;
use crate::error::Error;
use crate::evidence::{EvidenceStore, Held};
use crate::files::Durability;
use crate::frontier::Frontier;
use crate::home::Home;
use crate::lock::{LockError, LockFile};
use crate::log::cosigned::{COSIGNED, WITNESSES, open_whole, parse_witnesses};
use crate::log::in_objects::read_origin;
use crate::log::state::CHECKPOINT;
use crate::log::view::{Tiles, tile_limit};
use crate::log::{Options, Place, origin_candidates};
use crate::note::{MAX_NOTE, VerifierKey};
use crate::objects::Objects;
use crate::record::Record;
use crate::tile::{TILE_WIDTH, Tile, TileKind, split_bundle};
use crate::tree::Hash;
use crate::verify::places::Listing;

/// Most differences that are listed; whoever fills a ledger with rubbish must not fill memory.
const MAX_DIFFERENCES: usize = 10_000;

/// Most objects below the prefix of a ledger in an object store.
const MAX_OBJECTS: usize = 20_000_000;

/// Derives the whole log again and compares every file. The remembered head moves on when there is no difference.
///
/// # Errors
/// When it could not be judged: no ledger, no key, an unknown format, or locked for too long. See [`Error::is_verdict`].
pub fn verify(place: &Place, options: &Options) -> Result<Verification, Error> {
    let candidates = origin_candidates(&place.log)?;
    let (home, key) = find_key(place, &candidates)?;
    let mut lock = match LockFile::open(&place.log.join("lock")) {
        // A copy that may not be written has no writer either.
        Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        other => Some(other?),
    };
    let _locked = lock.as_mut().map(|lock| lock.lock(options.lock_timeout)).transpose()?;
    let tiles = Tiles::Folder(place.log.clone());
    let mut verifier = Verifier::new(tiles, Some(EvidenceStore::new(&place.evidence)), key, options);
    if candidates.first().map(String::as_str) != Some(verifier.key.name()) {
        verifier.report(place.log.join("origin"), Problem::Origin);
    }
    verifier.run(Some(&home), &Listing::Folder)?;
    conclude(verifier, Some(&home))
}

/// As [`verify`] for a ledger in an object store: every object below the prefix is compared.
///
/// # Errors
/// As [`verify`], and when the store does not answer.
pub fn verify_in(objects: &Objects, config: &Path, options: &Options) -> Result<Verification, Error> {
    let home = Home::of(config, &read_origin(objects, options)?);
    let key = home.verifier()?;
    let evidence = EvidenceStore::in_objects(objects.clone());
    let mut verifier = Verifier::new(Tiles::Objects(objects.clone()), Some(evidence), key, options);
    let names = objects.list("", MAX_OBJECTS + 1)?;
    if names.len() > MAX_OBJECTS {
        return Err(Error::damaged(objects.name(), format!("more than {MAX_OBJECTS} objects")));
    }
    verifier.run(Some(&home), &Listing::Objects(names))?;
    conclude(verifier, Some(&home))
}

/// As [`verify`] for a log on a static server that cannot list: the tree is derived and every tile of the published checkpoint
/// compared. `key` is the log's; `evidence` is where the envelopes are, if they are to be compared as well (`<digest>.dsse.json`
/// below `evidence/`).
///
/// # Errors
/// As [`verify`], and when the server does not answer.
pub fn verify_static(
    log: &Objects,
    evidence: Option<&Objects>,
    key: &VerifierKey,
    options: &Options,
) -> Result<Verification, Error> {
    let evidence = evidence.map(|objects| EvidenceStore::in_objects(objects.clone()));
    let mut verifier = Verifier::new(Tiles::Objects(log.clone()), evidence, key.clone(), options);
    verifier.run(None, &Listing::Unknown)?;
    conclude(verifier, None)
}

fn conclude(verifier: Verifier, home: Option<&Home>) -> Result<Verification, Error> {
    let key = verifier.key.clone();
    let (result, newest) = verifier.finish();
    let size = result.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    if let (true, Some(newest), Some(home)) = (result.differences.is_empty(), newest, home) {
        // Commits that nobody published yet are covered by no checkpoint; the head never moves back to the one before.
        if home.head(&key)?.is_none_or(|head| head.checkpoint.size <= size) {
            home.remember(&newest, Durability::Device)?;
        }
    }
    Ok(result)
}

/// The first of the names whose public key is here.
fn find_key(place: &Place, candidates: &[String]) -> Result<(Home, VerifierKey), Error> {
    let mut refused = Error::NoLedger(place.log.clone());
    for (tried, origin) in candidates.iter().enumerate() {
        let home = Home::of(&place.config, origin);
        match home.verifier() {
            Ok(key) => return Ok((home, key)),
            Err(error) if tried == 0 => refused = error,
            Err(_) => {}
        }
    }
    Err(refused)
}

struct Verifier {
    tiles: Tiles,
    key: VerifierKey,
    /// Keys of witnesses that lie beside the log.
    witnesses: Vec<VerifierKey>,
    erasers: Vec<gauntlet_trust::keys::VerifyingKey>,
    evidence: Option<EvidenceStore>,
    differences: Vec<Difference>,
    more_differences: u64,
    frontier: Frontier,
    /// Roots that must be met on the way: size to the file that says so and the root.
    expected: BTreeMap<u64, Vec<(PathBuf, Hash)>>,
    /// Entries that the journal holds beyond what it can be read for again, by index.
    journal: BTreeMap<u64, Vec<u8>>,
    /// Newest signed checkpoint with its note.
    newest: Option<(Checkpoint, String)>,
    published: Option<u64>,
    base: u64,
    /// Entries that are durable; the newest checkpoint covers them, or will.
    durable: u64,
    compared: BTreeSet<Tile>,
    envelopes: HashSet<Hash>,
    seen: HashSet<Hash>,
    /// Envelopes that are not there, with the first entry that names each.
    missing: BTreeMap<Hash, u64>,
    /// Erased envelopes with the envelopes of their tombstones.
    tombstones: HashMap<Hash, Vec<Hash>>,
    erased: u64,
    unreferenced: u64,
}

impl Verifier {
    fn new(tiles: Tiles, evidence: Option<EvidenceStore>, key: VerifierKey, options: &Options) -> Self {
        Self {
            tiles,
            key,
            witnesses: Vec::new(),
            erasers: options.erasers.clone(),
            evidence,
            differences: Vec::new(),
            more_differences: 0,
            frontier: Frontier::default(),
            expected: BTreeMap::new(),
            journal: BTreeMap::new(),
            newest: None,
            published: None,
            base: 0,
            durable: 0,
            compared: BTreeSet::new(),
            envelopes: HashSet::new(),
            seen: HashSet::new(),
            missing: BTreeMap::new(),
            tombstones: HashMap::new(),
            erased: 0,
            unreferenced: 0,
        }
    }

    fn run(&mut self, home: Option<&Home>, listing: &Listing) -> Result<(), Error> {
        self.read_witnesses();
        self.read_checkpoint();
        match listing {
            Listing::Folder => self.read_journal(),
            Listing::Objects(names) => self.read_commits(names)?,
            Listing::Unknown => {}
        }
        let signed = self.newest.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size);
        let size = signed.max(self.durable);
        if let Some(head) = home.map(|home| home.head(&self.key)).transpose()?.flatten() {
            let (head, path) = (head.checkpoint, self.tiles.file_path(CHECKPOINT));
            if head.size > size {
                self.report(path, Problem::RolledBack { remembered: head.size, found: size });
            } else {
                self.expected.entry(head.size).or_default().push((path, head.root));
            }
        }
        self.read_cosigned(size);
        self.derive(size, listing);
        self.compare_right_edge(listing);
        self.settle_erasures();
        self.find_unexpected(listing);
        match listing {
            Listing::Unknown => Ok(()),
            Listing::Folder | Listing::Objects(_) => self.check_unreferenced(),
        }
    }

    fn finish(self) -> (Verification, Option<String>) {
        let (checkpoint, note) = self.newest.unzip();
        let size = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size).max(self.durable);
        let result = Verification {
            checkpoint,
            entries: self.frontier.size(),
            envelopes: self.envelopes.len() as u64,
            erased: self.erased,
            unreferenced: self.unreferenced,
            unfinished: size - self.published.unwrap_or(size).min(size),
            differences: self.differences,
            more_differences: self.more_differences,
        };
        (result, note)
    }

    fn read_witnesses(&mut self) {
        let Some(Some(bytes)) = self.read(WITNESSES, MAX_NOTE as u64) else { return };
        match parse_witnesses(&bytes) {
            Some(witnesses) => self.witnesses = witnesses,
            None => self.report(self.tiles.file_path(WITNESSES), Problem::Witnesses),
        }
    }

    fn read_checkpoint(&mut self) {
        let path = self.tiles.file_path(CHECKPOINT);
        let Some(bytes) = self.read(CHECKPOINT, MAX_NOTE as u64) else { return };
        match bytes.map(|bytes| open_whole(&bytes, &self.key, &self.witnesses)) {
            None => self.report(path, Problem::Missing),
            Some(Err(error)) => self.report(path, Problem::Checkpoint(error)),
            Some(Ok(signed)) => {
                self.published = Some(signed.checkpoint.size);
                self.meet(path, signed);
            }
        }
    }

    /// The cosigned checkpoint is one that the log had, and every line in it is by a key that is known.
    fn read_cosigned(&mut self, size: u64) {
        let path = self.tiles.file_path(COSIGNED);
        let Some(Some(bytes)) = self.read(COSIGNED, MAX_NOTE as u64) else { return };
        match open_whole(&bytes, &self.key, &self.witnesses) {
            Err(error) => self.report(path, Problem::Checkpoint(error)),
            Ok(signed) if signed.checkpoint.size > size => {
                self.report(path, Problem::RolledBack { remembered: signed.checkpoint.size, found: size });
            }
            Ok(signed) => {
                self.expected.entry(signed.checkpoint.size).or_default().push((path, signed.checkpoint.root));
            }
        }
    }

    fn meet(&mut self, path: PathBuf, signed: SignedCheckpoint) {
        let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
        self.expected.entry(size).or_default().push((path, root));
        if self.newest.as_ref().is_none_or(|(newest, _)| newest.size <= size) {
            self.newest = Some((signed.checkpoint, signed.note.to_string()));
        }
    }

    /// Builds the tree from the entries, bundle by bundle, and compares what each bundle completes.
    fn derive(&mut self, size: u64, listing: &Listing) {
        self.check_roots();
        for bundle in 0..size.div_ceil(u64::from(TILE_WIDTH)) {
            let Some(entries) = self.bundle_entries(bundle, size) else {
                let path = self.tiles.path(Tile { kind: TileKind::Entries, index: bundle, width: TILE_WIDTH });
                return self.report(path, Problem::Lost { index: bundle * u64::from(TILE_WIDTH) });
            };
            let mut finished = Vec::new();
            for entry in entries {
                self.check_entry(bundle, &entry);
                self.frontier.push(&entry, &mut finished);
                self.check_roots();
            }
            for (tile, content) in finished {
                let must = self.published.is_some_and(|published| {
                    Tile::of(tile.kind, tile.index, published).is_some_and(|tile| tile.is_full())
                });
                self.compare(tile, &content, must, listing);
            }
        }
    }

    /// The entries of a bundle, from the file and, where it is not written yet or was lost, from the journal.
    fn bundle_entries(&mut self, bundle: u64, size: u64) -> Option<Vec<Vec<u8>>> {
        let first = bundle * u64::from(TILE_WIDTH);
        let wanted = (size - first).min(u64::from(TILE_WIDTH));
        let mut entries = Vec::new();
        let sizes = std::iter::once(size).chain(self.published);
        let tiles: BTreeSet<Tile> = sizes.filter_map(|size| Tile::of(TileKind::Entries, bundle, size)).collect();
        for tile in tiles.into_iter().rev() {
            let path = self.tiles.path(tile);
            // A file that is missing is reported where tiles are compared.
            let Some(Some(bytes)) = self.read(&tile.path(), tile_limit(tile.kind)) else { continue };
            match split_bundle(&bytes).filter(|found| found.len() == usize::from(tile.width)) {
                Some(found) => {
                    entries = found.into_iter().map(<[u8]>::to_vec).collect();
                    break;
                }
                None => self.report(path, Problem::Bundle { expected: u64::from(tile.width) }),
            }
        }
        for index in first..first + wanted {
            let place = (index - first) as usize;
            let logged = self.journal.get(&index);
            match (entries.get(place), logged) {
                (Some(found), Some(logged)) if found != logged => {
                    let tile = Tile::of(TileKind::Entries, bundle, size)?;
                    self.report(self.tiles.path(tile), Problem::Entry { index });
                }
                (None, Some(logged)) => entries.push(logged.clone()),
                (None, None) => return None,
                (Some(_), _) => {}
            }
        }
        entries.truncate(wanted as usize);
        Some(entries)
    }

    fn check_entry(&mut self, bundle: u64, entry: &[u8]) {
        let index = self.frontier.size();
        let record = match Record::parse(entry) {
            Ok(record) => record,
            Err(source) => {
                let path = self.tiles.path(Tile { kind: TileKind::Entries, index: bundle, width: TILE_WIDTH });
                return self.report(path, Problem::Record { index, source });
            }
        };
        let digest = record.envelope.0;
        if let Some(erased) = erased_by(&record) {
            self.tombstones.entry(erased).or_default().push(digest);
        }
        if !self.seen.insert(digest) {
            return;
        }
        self.check_envelope(&digest, Some(index));
    }

    fn check_envelope(&mut self, digest: &Hash, index: Option<u64>) {
        let Some(evidence) = &self.evidence else { return };
        let path = evidence.path(digest);
        match (evidence.check(digest), index) {
            (Ok(Held::Intact), Some(_)) => drop(self.envelopes.insert(*digest)),
            (Ok(Held::Intact), None) => self.unreferenced += 1,
            (Ok(Held::Missing), Some(index)) => drop(self.missing.insert(*digest, index)),
            (Ok(Held::Missing), None) => {}
            (Ok(Held::Changed { found }), _) => self.report(path, Problem::EnvelopeChanged { found }),
            (Err(error), _) => self.report(path, Problem::Unreadable(error.to_string())),
        }
    }

    fn check_roots(&mut self) {
        let size = self.frontier.size();
        for (path, root) in self.expected.remove(&size).unwrap_or_default() {
            if root != self.frontier.root() {
                self.report(path, Problem::Root { size });
            }
        }
    }

    /// Envelopes that no entry names still have to be what their names say.
    fn check_unreferenced(&mut self) -> Result<(), Error> {
        let Some(evidence) = &self.evidence else { return Ok(()) };
        for digest in evidence.list()? {
            if !self.seen.contains(&digest) {
                self.check_envelope(&digest, None);
            }
        }
        Ok(())
    }

    /// The content of a file, or `Some(None)` when it is missing; `None` when it cannot be read, which is reported.
    fn read(&mut self, name: &str, limit: u64) -> Option<Option<Vec<u8>>> {
        match self.tiles.file(name, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let reason = match error {
                    Error::Io { source, .. } => source.to_string(),
                    other => other.to_string(),
                };
                self.report(self.tiles.file_path(name), Problem::Unreadable(reason));
                None
            }
        }
    }

    fn report(&mut self, path: PathBuf, problem: Problem) {
        let difference = Difference { path, problem };
        // The same file may be read twice in a row, for its entries and to be compared.
        if self.differences.iter().rev().take(8).any(|earlier| *earlier == difference) {
            return;
        }
        if self.differences.len() == MAX_DIFFERENCES {
            self.more_differences += 1;
        } else {
            self.differences.push(difference);
        }
    }
}
