//! A ledger in an object store: opening, making a new one, and committing under lease and fence.

use std::time::Duration;

use bytes::Bytes;
use rand_core::{OsRng, RngCore as _};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::evidence::EvidenceStore;
use crate::files::Durability;
use crate::home::Home;
use crate::log::group::Request;
use crate::log::remote::{FORMAT, FORMAT_TEXT, ORIGIN, RemoteState};
use crate::log::state::CHECKPOINT;
use crate::log::{Appended, Backend, Ledger, Options, Writer, check_head};
use crate::note::{SignerKey, is_key_name};
use crate::objects::{Created, Lease, Objects};
use crate::tree::empty_root;

/// For how long a writer may be silent before others take over.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;

/// How often a commit is planned anew when writers without a lease were faster.
const ROUNDS: usize = 16;

const MAX_ORIGIN: u64 = 256;

impl Ledger {
    /// Opens the ledger at a prefix of an object store for appending, or makes a new one where none is. `config` is the user's
    /// configuration folder, which holds the log's key and the remembered head.
    ///
    /// # Errors
    /// As [`Ledger::open_or_create`], when the store does not answer, or holds another ledger than `options.origin`.
    pub fn open_or_create_in(objects: &Objects, config: &std::path::Path, options: &Options) -> Result<Self, Error> {
        create(objects, config, options)?;
        Self::open_in(objects, config, options)
    }

    /// Opens the ledger at a prefix of an object store for appending.
    ///
    /// # Errors
    /// As [`Ledger::open_or_create_in`], and when there is no ledger.
    pub fn open_in(objects: &Objects, config: &std::path::Path, options: &Options) -> Result<Self, Error> {
        let home = Home::of(config, &read_origin(objects, options)?);
        let signer = home.signer()?;
        let key = signer.verifier();
        let mut home_lock = home.lock_file()?;
        let locked = home_lock.lock(options.lock_timeout)?;
        let state = RemoteState::load(objects, &key)?;
        check_head(state.view(), &home, &key)?;
        home.sweep()?;
        drop(locked);
        let (view, timeout) = (std::sync::Arc::clone(state.view()), options.lock_timeout);
        let backend = Backend::Objects { state, objects: objects.clone() };
        let writer = Writer { backend, signer, home, home_lock, timeout, poisoned: false };
        let ledger = Self::with(EvidenceStore::in_objects(objects.clone()), key, view, Some(writer), Vec::new());
        if ledger.checkpoint().size != ledger.view().size() {
            // A writer ended before it published.
            ledger.refresh()?;
        }
        Ok(ledger)
    }

    /// Opens the ledger at a prefix of an object store, or on a static server, for reading only.
    ///
    /// # Errors
    /// When there is no ledger, it is damaged or rolled back, or its public key is not here.
    pub fn open_read_only_in(objects: &Objects, config: &std::path::Path, options: &Options) -> Result<Self, Error> {
        let home = Home::of(config, &read_origin(objects, options)?);
        let key = home.verifier()?;
        let view = RemoteState::load(objects, &key)?.published_view()?;
        check_head(&view, &home, &key)?;
        Ok(Self::with(EvidenceStore::in_objects(objects.clone()), key, view, None, Vec::new()))
    }

    /// Commits a group under the lease. Whoever's commit is first stands; the others plan anew behind it.
    pub(super) fn commit_to_objects(
        &self,
        requests: &[&Request],
        state: &mut RemoteState,
        lease: &mut Lease,
        signer: &SignerKey,
        home: &Home,
    ) -> Result<Vec<Appended>, Error> {
        for _ in 0..ROUNDS {
            state.catch_up(signer)?;
            if home.head_text()?.as_deref() != Some(&state.view().note) {
                check_head(state.view(), home, &self.key)?;
            }
            let (entries, appended) = self.plan(requests, state.view())?;
            if !lease.keep()? {
                // Slept through it. Whoever has it now may have committed.
                lease.renew(LEASE)?;
                continue;
            }
            if !entries.is_empty() {
                if !state.append(entries, signer, (lease.fence(), lease.holder()))? {
                    continue;
                }
                state.publish(signer).map_err(|error| Error::Unpublished(Box::new(error)))?;
            }
            home.remember(&state.view().note, Durability::Device)?;
            return Ok(appended);
        }
        Err(Error::Contended { origin: self.key.name().to_owned() })
    }
}

/// Makes a ledger unless one is there. `format` is written last: without it a creation was interrupted and is done again.
fn create(objects: &Objects, config: &std::path::Path, options: &Options) -> Result<(), Error> {
    if objects.length(FORMAT)?.is_some() {
        return Ok(());
    }
    let wanted = match &options.origin {
        Some(origin) if is_key_name(origin) && origin.len() < MAX_ORIGIN as usize => origin.clone(),
        Some(_) => return Err(crate::note::NoteError::KeyName.into()),
        None => {
            let mut random = [0; 16];
            OsRng.fill_bytes(&mut random);
            format!("gauntlet.local/{}", hex::encode(random))
        }
    };
    let name = Bytes::from(format!("{wanted}\n"));
    let origin = match objects.create(ORIGIN, name)? {
        Created::Here => wanted,
        Created::Taken => origin_of(objects)?,
    };
    let home = Home::of(config, &origin);
    let signer = home.create_key()?;
    if let Some(head) = home.head(&signer.verifier())?.filter(|head| head.checkpoint.size > 0) {
        return Err(Error::RolledBack { origin, remembered: head.checkpoint.size, found: 0 });
    }
    let note = Checkpoint { origin, size: 0, root: empty_root() }.sign(&signer)?.to_string();
    // Signed alike by everybody who has the key; with another key, opening refuses it.
    let _: Created = objects.create(CHECKPOINT, Bytes::from(note))?;
    let _: Created = objects.create(FORMAT, Bytes::from_static(FORMAT_TEXT))?;
    Ok(())
}

/// The origin of the ledger, whose format must be known and whose name that of the options.
pub(crate) fn read_origin(objects: &Objects, options: &Options) -> Result<String, Error> {
    match objects.get(FORMAT, MAX_ORIGIN)? {
        None if objects.length(CHECKPOINT)?.is_some() => {
            return Err(Error::damaged(objects.path(FORMAT), "missing, although there is a ledger"));
        }
        None => return Err(Error::NoLedger(objects.name().into())),
        Some(text) if text == FORMAT_TEXT => {}
        Some(_) => return Err(Error::UnknownFormat(objects.path(FORMAT))),
    }
    let found = origin_of(objects)?;
    match &options.origin {
        Some(expected) if *expected != found => {
            Err(Error::OtherLedger { place: objects.name().to_owned(), found, expected: expected.clone() })
        }
        _ => Ok(found),
    }
}

fn origin_of(objects: &Objects) -> Result<String, Error> {
    let bytes = objects.get(ORIGIN, MAX_ORIGIN)?.ok_or_else(|| Error::damaged(objects.path(ORIGIN), "missing"))?;
    let text =
        std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n')).filter(|text| is_key_name(text));
    text.map(str::to_owned).ok_or_else(|| Error::damaged(objects.path(ORIGIN), "not the name of a ledger"))
}
