//! Verifying a ledger: the whole tree is derived again from the entries and every file is compared with it. Nothing is repaired.
//!
//! Not evidence, so not compared: the lock files and the scratch folder `tmp/`. What an interrupted append left is no difference;
//! it is counted in [`Verification::unfinished`]. A state folder that was deleted as a whole cannot be noticed here: no ledger is
//! left that could be compared with the remembered head.

mod outcome;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use outcome::{Difference, Problem, Verification};

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::error::Error;
use crate::evidence::{EvidenceStore, Held};
use crate::files::{self, Durability};
use crate::frontier::Frontier;
use crate::home::Home;
use crate::journal::{Journal, Tail};
use crate::lock::{LockError, LockFile};
use crate::log::state::{CHECKPOINT, JOURNAL, SCRATCH};
use crate::log::view::tile_limit;
use crate::log::{Options, Place, origin_candidates};
use crate::note::VerifierKey;
use crate::record::Record;
use crate::tile::{TILE_WIDTH, Tile, TileKind, split_bundle};
use crate::tree::Hash;

/// Deepest folder below `tile/` that a log can have, and some more to report what lies too deep.
const MAX_DEPTH: usize = 16;

/// Most differences that are listed; whoever fills a ledger with rubbish must not fill memory.
const MAX_DIFFERENCES: usize = 10_000;

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
    let mut verifier = Verifier::new(place, key);
    if candidates.first().map(String::as_str) != Some(verifier.key.name()) {
        verifier.report(place.log.join("origin"), Problem::Origin);
    }
    verifier.run(&home)?;
    let (result, newest) = verifier.finish();
    if let (true, Some(newest)) = (result.differences.is_empty(), newest) {
        home.remember(&newest, Durability::Device)?;
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
    folder: PathBuf,
    key: VerifierKey,
    evidence: EvidenceStore,
    differences: Vec<Difference>,
    more_differences: u64,
    frontier: Frontier,
    /// Roots that must be met on the way: size to the file that says so and the root.
    expected: BTreeMap<u64, Vec<(PathBuf, Hash)>>,
    /// Entries in the journal, by index.
    journal: BTreeMap<u64, Vec<u8>>,
    /// Newest signed checkpoint with its note.
    newest: Option<(Checkpoint, String)>,
    published: Option<u64>,
    base: u64,
    compared: BTreeSet<Tile>,
    envelopes: HashSet<Hash>,
    seen: HashSet<Hash>,
    unreferenced: u64,
}

impl Verifier {
    fn new(place: &Place, key: VerifierKey) -> Self {
        Self {
            folder: place.log.clone(),
            key,
            evidence: EvidenceStore::new(&place.evidence),
            differences: Vec::new(),
            more_differences: 0,
            frontier: Frontier::default(),
            expected: BTreeMap::new(),
            journal: BTreeMap::new(),
            newest: None,
            published: None,
            base: 0,
            compared: BTreeSet::new(),
            envelopes: HashSet::new(),
            seen: HashSet::new(),
            unreferenced: 0,
        }
    }

    fn run(&mut self, home: &Home) -> Result<(), Error> {
        self.read_checkpoint();
        self.read_journal();
        let size = self.newest.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size);
        if let Some(head) = home.head(&self.key)?.map(|head| head.checkpoint) {
            let path = self.folder.join(CHECKPOINT);
            if head.size > size {
                self.report(path, Problem::RolledBack { remembered: head.size, found: size });
            } else {
                self.expected.entry(head.size).or_default().push((path, head.root));
            }
        }
        self.derive(size);
        self.compare_right_edge();
        self.find_unexpected();
        self.check_unreferenced()
    }

    fn finish(self) -> (Verification, Option<String>) {
        let (checkpoint, note) = self.newest.unzip();
        let size = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let result = Verification {
            checkpoint,
            entries: self.frontier.size(),
            envelopes: self.envelopes.len() as u64,
            unreferenced: self.unreferenced,
            unfinished: size - self.published.unwrap_or(size).min(size),
            differences: self.differences,
            more_differences: self.more_differences,
        };
        (result, note)
    }

    fn read_checkpoint(&mut self) {
        let path = self.folder.join(CHECKPOINT);
        let Some(bytes) = self.read(&path, crate::note::MAX_NOTE as u64) else { return };
        match bytes.map(|bytes| SignedCheckpoint::open(&bytes, &self.key, &[])) {
            None => self.report(path, Problem::Missing),
            Some(Err(error)) => self.report(path, Problem::Checkpoint(error)),
            Some(Ok(signed)) => {
                self.published = Some(signed.checkpoint.size);
                self.meet(path, signed);
            }
        }
    }

    /// Reads all frames, checks each signature, and keeps the entries and the roots to be met.
    fn read_journal(&mut self) {
        let path = self.folder.join(JOURNAL);
        if let Err(error) = self.read_frames(&path) {
            let problem = match error {
                Error::Checkpoint { source, .. } => Problem::Checkpoint(source),
                Error::Damaged { problem, .. } => Problem::Journal(problem),
                other => Problem::Unreadable(other.to_string()),
            };
            self.report(path, problem);
        }
    }

    fn read_frames(&mut self, path: &Path) -> Result<(), Error> {
        let refuse = |source| Error::Checkpoint { path: path.to_owned(), source };
        let mut journal = Journal::open(path, false, 0)?;
        let base = SignedCheckpoint::open(journal.base.as_bytes(), &self.key, &[]).map_err(refuse)?;
        self.base = base.checkpoint.size;
        let mut next = self.base;
        self.meet(path.to_owned(), base);
        while let Some(frame) = journal.next()? {
            let signed = SignedCheckpoint::open(frame.checkpoint.as_bytes(), &self.key, &[]).map_err(refuse)?;
            let end = next + frame.entries.len() as u64;
            if frame.start != next || signed.checkpoint.size != end {
                return Err(Error::damaged(path, format!("the frame after entry {next} does not go on from there")));
            }
            self.journal.extend((next..).zip(frame.entries));
            self.meet(path.to_owned(), signed);
            next = end;
        }
        if let Some(published) = self.published.filter(|published| *published > next) {
            self.report(path.to_owned(), Problem::JournalShort { published, found: next });
        }
        if journal.tail()? == Tail::Noise {
            return Err(Error::damaged(path, "there are bytes behind the last frame that no append wrote"));
        }
        Ok(())
    }

    fn meet(&mut self, path: PathBuf, signed: SignedCheckpoint) {
        let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
        self.expected.entry(size).or_default().push((path, root));
        if self.newest.as_ref().is_none_or(|(newest, _)| newest.size <= size) {
            self.newest = Some((signed.checkpoint, signed.note.to_string()));
        }
    }

    /// Builds the tree from the entries, bundle by bundle, and compares what each bundle completes.
    fn derive(&mut self, size: u64) {
        self.check_roots();
        for bundle in 0..size.div_ceil(u64::from(TILE_WIDTH)) {
            let Some(entries) = self.bundle_entries(bundle, size) else {
                let path = self.folder.join(Tile { kind: TileKind::Entries, index: bundle, width: TILE_WIDTH }.path());
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
                self.compare(tile, &content, must);
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
            let path = self.folder.join(tile.path());
            // A file that is missing is reported where tiles are compared.
            let Some(Some(bytes)) = self.read(&path, tile_limit(tile.kind)) else { continue };
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
                    self.report(self.folder.join(tile.path()), Problem::Entry { index });
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
                let path = self.folder.join(Tile { kind: TileKind::Entries, index: bundle, width: TILE_WIDTH }.path());
                return self.report(path, Problem::Record { index, source });
            }
        };
        let digest = record.envelope.0;
        if !self.seen.insert(digest) {
            return;
        }
        self.check_envelope(&digest, Some(index));
    }

    fn check_envelope(&mut self, digest: &Hash, index: Option<u64>) {
        let path = self.evidence.path(digest);
        match (self.evidence.check(digest), index) {
            (Ok(Held::Intact), Some(_)) => drop(self.envelopes.insert(*digest)),
            (Ok(Held::Intact), None) => self.unreferenced += 1,
            (Ok(Held::Missing), Some(index)) => self.report(path, Problem::EnvelopeMissing { index }),
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

    /// Compares a tile and its stale partial forms, each of which is a beginning of it.
    fn compare(&mut self, tile: Tile, content: &[u8], must: bool) {
        let path = self.folder.join(tile.path());
        match self.read(&path, tile_limit(tile.kind)) {
            Some(Some(found)) if found == content => drop(self.compared.insert(tile)),
            Some(Some(_)) => {
                self.compared.insert(tile);
                self.report(path, Problem::Content);
            }
            Some(None) if must => self.report(path, Problem::Missing),
            Some(None) | None => {}
        }
        let folder = self.folder.join(tile.partial_folder());
        let Ok(entries) = fs::read_dir(&folder) else { return };
        for width in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u16>().ok()) {
            let partial = Tile { width, ..tile };
            let path = self.folder.join(partial.path());
            let Some(expected) = (width < tile.width).then(|| beginning(partial, content)).flatten() else { continue };
            let Some(Some(found)) = self.read(&path, tile_limit(tile.kind)) else { continue };
            self.compared.insert(partial);
            if found != expected {
                self.report(path, Problem::Content);
            }
        }
    }

    /// Compares the partial tiles, and asks for those that the published checkpoint and the journal stand on.
    fn compare_right_edge(&mut self) {
        let edge: Vec<(Tile, Vec<u8>)> =
            self.frontier.partials().map(|(tile, content)| (tile, content.to_vec())).collect();
        for (tile, content) in edge {
            self.compare(tile, &content, false);
        }
        let needed: BTreeSet<Tile> =
            [self.published.unwrap_or(self.base), self.base].into_iter().flat_map(Tile::partials).collect();
        for tile in needed {
            let path = self.folder.join(tile.path());
            if !self.compared.contains(&tile) && fs::symlink_metadata(&path).is_err() {
                self.report(path, Problem::Missing);
            }
        }
    }

    /// Looks for files that are neither tiles of this log nor among its few others.
    fn find_unexpected(&mut self) {
        let mut folders = vec![(self.folder.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.report(folder, Problem::Unreadable(error.to_string()));
                    continue;
                }
            };
            for entry in entries {
                let Ok(entry) = entry else {
                    self.report(folder.clone(), Problem::Unreadable("the folder cannot be listed".to_owned()));
                    break;
                };
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let name = path.strip_prefix(&self.folder).ok().and_then(Path::to_str).map(str::to_owned);
                let known = match name.as_deref() {
                    Some(SCRATCH) if is_folder => continue,
                    Some(name) if is_folder => name == "tile" || name.starts_with("tile/"),
                    Some("format" | "origin" | "lock" | "lock.next" | CHECKPOINT | JOURNAL) => true,
                    Some(name) => Tile::parse(name).is_some_and(|tile| self.compared.contains(&tile)),
                    None => false,
                };
                match (known, is_folder) {
                    (true, true) if depth < MAX_DEPTH => folders.push((path, depth + 1)),
                    (true, false) => {}
                    _ => self.report(path, Problem::Unexpected),
                }
            }
        }
    }

    /// Envelopes that no entry names still have to be what their names say.
    fn check_unreferenced(&mut self) -> Result<(), Error> {
        for digest in self.evidence.list()? {
            if !self.seen.contains(&digest) {
                self.check_envelope(&digest, None);
            }
        }
        Ok(())
    }

    /// The content of a file, or `Some(None)` when it is missing; `None` when it cannot be read, which is reported.
    fn read(&mut self, path: &Path, limit: u64) -> Option<Option<Vec<u8>>> {
        match files::read_if_there(path, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.report(path.to_owned(), Problem::Unreadable(error.to_string()));
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

/// What a partial form of a tile holds of its content.
fn beginning(tile: Tile, content: &[u8]) -> Option<&[u8]> {
    let length = match tile.kind {
        TileKind::Hashes(_) => usize::from(tile.width) * 32,
        TileKind::Entries => {
            let entries = split_bundle(content)?;
            entries.get(..usize::from(tile.width))?.iter().map(|entry| entry.len() + 2).sum()
        }
    };
    content.get(..length)
}
