//! Evidence outside of a run: signing a statement, keeping it in a project's ledger or in a file, and finding what the
//! ledger holds about a subject.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use gauntlet_core::{Digest, DigestSet, Limits, Subject, SubjectKind, Tree, TreeOptions, sha256_hex, write_durably};
use gauntlet_ledger::record::{EnvelopeDigest, Record};
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Appended, Ledger};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::keys::{KeyStore, Signer, SigningKey, VerifyingKey};
use gauntlet_trust::statement::Statement;
use jiff::Timestamp;
use serde::Serialize;

use crate::commands::ledger::{explain, place};
use crate::exit::UsageError;
use crate::hashing::hash_tree;
use crate::progress::Meter;
use crate::state::{State, UserConfig};
use crate::{keys, terminal};

/// Who signs.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// The key that signs [default: a local development key].
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    #[arg(long, value_name = "NAME", requires = "key")]
    pub(crate) passphrase_env: Option<String>,
}

impl SignerArgs {
    /// The key, made on first use when none was named.
    pub(crate) fn signing_key(&self, config: &UserConfig) -> anyhow::Result<SigningKey> {
        if let Some(path) = &self.key {
            return keys::signing_key(path, self.passphrase_env.as_deref());
        }
        let local = KeyStore::new(config.dir()).local_key().context("cannot make a local development key")?;
        if local.created {
            terminal::note(&format!("made a local development key, {}", local.path.display()));
        }
        Ok(local.key)
    }
}

/// Where a signed statement went.
pub(crate) struct Kept {
    /// SHA-256 of the envelope.
    pub(crate) envelope: String,
    /// The entry of the ledger, when it went there.
    pub(crate) index: Option<u64>,
}

/// Signs `statement` and appends it to the ledger of `project`, which is made when it is not there. Evidence that is
/// there already is not appended again.
pub(crate) fn append<P: Serialize>(
    statement: &Statement<P>,
    kind: &str,
    signer: &dyn Signer,
    project: &Path,
    config: &UserConfig,
    now: Timestamp,
) -> anyhow::Result<Kept> {
    if !project.is_dir() {
        return Err(UsageError::new(format!("{} is no folder", project.display())).into());
    }
    let envelope = statement.sign(&[signer])?.to_json();
    let first = statement.subject.first().context("a statement has a subject")?;
    // Held until the entry is written, as every writer of the state folder does.
    let _state = State::open(project, terminal::note)?;
    let ledger = place::of_project(project, config)?.write_or_create()?;
    let record = Record {
        envelope: EnvelopeDigest(Hash::of(&envelope)),
        key: signer.key_id(),
        kind: kind.to_owned(),
        predicate_type: statement.predicate_type.clone(),
        subject: first.digest.iter().map(|(name, value)| (name.to_owned(), value.to_ascii_lowercase())).collect(),
        time: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    };
    let places = ledger.admit(&[(envelope.as_slice(), record)]).context("cannot append to the ledger")?;
    Ok(Kept { envelope: sha256_hex(&envelope), index: places.first().map(Appended::index) })
}

/// Signs `statement` into a file: one envelope, or one more line of a bundle when its name ends in `.jsonl`.
pub(crate) fn write<P: Serialize>(statement: &Statement<P>, key: &SigningKey, file: &Path) -> anyhow::Result<Kept> {
    let envelope = statement.sign(&[key])?.to_json();
    let kept = Kept { envelope: sha256_hex(&envelope), index: None };
    if file.extension().is_none_or(|ending| ending != "jsonl") {
        write_durably(file, &envelope, 0o644).with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(kept);
    }
    let mut bundle = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let lines = || bundle.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for (line, number) in lines().zip(1u64..) {
        Envelope::parse(line)
            .map_err(|error| UsageError::new(format!("{}, line {number}: {error}", file.display())))?;
    }
    if !lines().any(|line| line == envelope) {
        if !bundle.is_empty() && !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        bundle.extend_from_slice(&envelope);
        bundle.push(b'\n');
        write_durably(file, &bundle, 0o644).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(kept)
}

/// A statement of the ledger about a subject.
pub(crate) struct Found {
    /// SHA-256 of its envelope.
    pub(crate) envelope: Digest,
    /// What it says.
    pub(crate) statement: Statement,
    /// A key that the caller trusts signed it.
    pub(crate) verified: bool,
    /// Where it stands.
    pub(crate) index: u64,
}

/// What the ledger of `project` holds about a subject, in the order of the log. Envelopes that cannot be read are named on
/// stderr: they are no evidence. No ledger is an empty one.
pub(crate) fn about(
    subject: &DigestSet,
    project: &Path,
    config: &UserConfig,
    trusted: &[VerifyingKey],
) -> anyhow::Result<Vec<Found>> {
    if !State::folder(project).join("ledger").is_dir() {
        return Ok(Vec::new());
    }
    let ledger = crate::commands::ledger::open(project, config)?;
    let mut indices: Vec<u64> = Vec::new();
    for (algorithm, value) in subject.iter() {
        indices.extend(ledger.by_subject(algorithm, value).map_err(explain)?);
    }
    indices.sort_unstable();
    indices.dedup();
    let mut found = Vec::new();
    for index in indices {
        let record = ledger.show(index).map_err(explain)?;
        match read(&ledger, &record.envelope.0, trusted) {
            Ok((envelope, statement, verified)) if statement.is_about(subject) => {
                found.push(Found { envelope, statement, verified, index });
            }
            Ok(_) => {}
            Err(error) => terminal::note(&format!("warning: ledger entry {index} is left out: {error:#}")),
        }
    }
    Ok(found)
}

fn read(ledger: &Ledger, hash: &Hash, trusted: &[VerifyingKey]) -> anyhow::Result<(Digest, Statement, bool)> {
    let Some(bytes) = ledger.evidence().get(hash).map_err(explain)? else { bail!("its envelope is gone") };
    let envelope = Envelope::parse(&bytes)?;
    let verified = envelope.verify(trusted, NonZeroUsize::MIN).is_ok();
    let statement = Statement::parse(envelope.unverified_payload())?;
    Ok((Digest::sha256(&bytes), statement, verified))
}

/// The keys whose evidence counts as verified on this machine: those named, and the user's own.
pub(crate) fn trusted_keys(named: &[PathBuf], config: &UserConfig) -> anyhow::Result<Vec<VerifyingKey>> {
    let mut trusted = named.iter().map(|path| keys::verifying_key(path)).collect::<Result<Vec<_>, _>>()?;
    trusted.extend(KeyStore::new(config.dir()).public_keys().context("cannot read your keys")?);
    Ok(trusted)
}

/// A file or folder as a subject: its name and digests, with the tree that was hashed and the hashes of its files.
pub(crate) fn subject(
    path: &Path,
    kind: SubjectKind,
    limits: &Limits,
    meter: &Meter,
) -> anyhow::Result<(Subject, Tree, Vec<String>)> {
    if !path.exists() {
        return Err(UsageError::new(format!("{} is not there", path.display())).into());
    }
    let tree = Tree::read(path, &TreeOptions::default(), limits)?;
    if let Some(skipped) = tree.skipped.iter().find(|skipped| !skipped.reason.code.answered()) {
        bail!("{} cannot be named by digest: {}: {}", path.display(), skipped.path, skipped.reason.detail);
    }
    let hashes = hash_tree(&tree, None, meter);
    let hashes = hashes
        .into_iter()
        .zip(&tree.files)
        .map(|(hash, file)| hash.map_err(|why| anyhow::anyhow!("cannot read {}: {why}", file.path.display())))
        .collect::<anyhow::Result<Vec<String>>>()?;
    let readable: Vec<_> = hashes.iter().cloned().map(Some).collect();
    let digest = if kind == SubjectKind::Model { tree.model_digest(&readable) } else { tree.digest(&readable) };
    let name =
        path.canonicalize().ok().and_then(|full| full.file_name().map(|name| name.to_string_lossy().into_owned()));
    Ok((Subject { name: name.unwrap_or_default(), kind, digest }, tree, hashes))
}
