//! Making a new ledger, and the two small files that say what a folder is: `origin` and `format`.

use std::fs;
use std::path::Path;

use rand_core::{OsRng, RngCore};

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::files::{self, Durability};
use crate::home::Home;
use crate::journal::Journal;
use crate::lock::LockFile;
use crate::log::state::{CHECKPOINT, JOURNAL, SCRATCH};
use crate::log::{Options, Place};
use crate::note::{MAX_NOTE, is_key_name};
use crate::tree::empty_root;

pub(crate) const FORMAT: &str = "format";
pub(crate) const ORIGIN: &str = "origin";
const FORMAT_TEXT: &[u8] = b"gauntlet ledger 1\n";
const MAX_ORIGIN: u64 = 256;

/// Makes a ledger unless one is there. `format` is written last: without it a creation was interrupted and is done again.
pub(crate) fn create(place: &Place, options: &Options) -> Result<(), Error> {
    let folder = &place.log;
    let format = folder.join(FORMAT);
    if fs::symlink_metadata(&format).is_ok() {
        return Ok(());
    }
    let scratch = folder.join(SCRATCH);
    fs::create_dir_all(&scratch).map_err(Error::io(&scratch))?;
    let mut lock = LockFile::open(&folder.join("lock"))?;
    let _locked = lock.lock(options.lock_timeout)?;
    if fs::symlink_metadata(&format).is_ok() {
        return Ok(());
    }
    if fs::symlink_metadata(folder.join("tile")).is_ok() {
        return Err(Error::damaged(format, "missing, although the folder holds entries of a ledger"));
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        files::replace(&scratch, &path, bytes, 0o644, Durability::Device).map_err(Error::io(path))
    };
    let origin = match read_origin_file(folder)? {
        Some(origin) => origin,
        None => new_origin(options)?,
    };
    let home = Home::of(&place.config, &origin);
    let signer = home.create_key()?;
    if let Some(head) = home.head(&signer.verifier())?.filter(|head| head.checkpoint.size > 0) {
        return Err(Error::RolledBack { origin, remembered: head.checkpoint.size, found: 0 });
    }
    write(ORIGIN, format!("{origin}\n").as_bytes())?;
    let note = Checkpoint { origin, size: 0, root: empty_root() }.sign(&signer)?.to_string();
    Journal::create(&scratch, &folder.join(JOURNAL), &note)?;
    write(CHECKPOINT, note.as_bytes())?;
    write(FORMAT, FORMAT_TEXT)?;
    for parent in folder.ancestors().skip(1).take(2).filter(|parent| !parent.as_os_str().is_empty()) {
        files::sync_folder(parent).map_err(Error::io(parent))?;
    }
    Ok(())
}

/// The origin of the ledger in a folder whose format is known.
pub(crate) fn read_origin(folder: &Path) -> Result<String, Error> {
    let path = folder.join(FORMAT);
    match files::read_if_there(&path, MAX_ORIGIN).map_err(Error::io(&path))? {
        None => {
            let left = [ORIGIN, CHECKPOINT, JOURNAL, "tile"]
                .iter()
                .any(|name| fs::symlink_metadata(folder.join(name)).is_ok());
            let missing = || Error::damaged(&path, "missing, although the folder holds a ledger");
            return Err(if left { missing() } else { Error::NoLedger(folder.to_owned()) });
        }
        Some(text) if text == FORMAT_TEXT => {}
        Some(_) => return Err(Error::UnknownFormat(path)),
    }
    read_origin_file(folder)?.ok_or_else(|| Error::damaged(folder.join(ORIGIN), "missing"))
}

/// Names that the ledger in a folder may have: what `origin` says first, then what its checkpoint says of itself.
pub(crate) fn origin_candidates(folder: &Path) -> Result<Vec<String>, Error> {
    let mut candidates = match read_origin(folder) {
        Err(Error::Damaged { path, .. }) if path == folder.join(ORIGIN) => vec![String::new()],
        other => vec![other?],
    };
    let path = folder.join(CHECKPOINT);
    let note = files::read_if_there(&path, MAX_NOTE as u64).map_err(Error::io(&path))?;
    let first = note.as_deref().and_then(|bytes| bytes.split(|byte| *byte == b'\n').next());
    candidates.extend(first.and_then(|line| std::str::from_utf8(line).ok()).map(str::to_owned));
    Ok(candidates)
}

fn read_origin_file(folder: &Path) -> Result<Option<String>, Error> {
    let path = folder.join(ORIGIN);
    let Some(bytes) = files::read_if_there(&path, MAX_ORIGIN).map_err(Error::io(&path))? else { return Ok(None) };
    let text =
        std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n')).filter(|text| is_key_name(text));
    text.map(|text| Some(text.to_owned())).ok_or_else(|| Error::damaged(path, "not the name of a ledger"))
}

fn new_origin(options: &Options) -> Result<String, Error> {
    match &options.origin {
        Some(origin) if is_key_name(origin) && origin.len() < MAX_ORIGIN as usize => Ok(origin.clone()),
        Some(_) => Err(crate::note::NoteError::KeyName.into()),
        None => {
            let mut random = [0; 16];
            OsRng.fill_bytes(&mut random);
            Ok(format!("gauntlet.local/{}", hex::encode(random)))
        }
    }
}
