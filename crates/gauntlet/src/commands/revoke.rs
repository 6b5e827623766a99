//! `gauntlet revoke` and `gauntlet approve`: a person's signed word about a subject, written to the project's ledger.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::{Algorithm, Digest, DigestSet, Limits, Subject, SubjectKind, Tree, TreeOptions, parse_time};
use gauntlet_trust::keys::{KeyStore, Signer};
use gauntlet_trust::statement::{Approval, ResourceDescriptor, Revocation, Statement};
use gauntlet_trust::trust_policy::{Revoked, RevokedThing};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Map;

use crate::cli::{Global, ProjectArg};
use crate::commands::run::clock;
use crate::exit::{Exit, UsageError};
use crate::hashing::hash_tree;
use crate::progress::Meter;
use crate::state::UserConfig;
use crate::{attestation, keys, terminal};

/// Revoke a subject, a piece of evidence or a key.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// A file or folder, or a digest such as `dirHash1:…` or `sha256:…`.
    #[arg(value_name = "SUBJECT", required_unless_present_any = ["envelope", "key_id"])]
    subject: Option<String>,
    /// Revoke a piece of evidence: `sha256:` and the digest of its envelope, as `gauntlet ledger log` shows it.
    #[arg(long, value_name = "DIGEST", conflicts_with = "subject")]
    envelope: Option<String>,
    /// Revoke a key: its id, as `gauntlet key show` prints it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["subject", "envelope"])]
    key_id: Option<String>,
    /// Why, for whoever is refused because of it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// From when on [default: ever]. What is proven to be signed before by a key that is revoked still counts.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    project: ProjectArg,
}

/// Approve a model or dataset for an environment.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// A file or folder, or a digest such as `dirHash1:…` or `sha256:…`.
    #[arg(value_name = "SUBJECT")]
    subject: String,
    /// What kind of thing it is.
    #[arg(long, value_name = "KIND", default_value = "model", value_parser = kind)]
    kind: SubjectKind,
    /// Approve as; the trust policy must give you this role.
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// For which environment.
    #[arg(long = "for", value_name = "ENV")]
    environment: String,
    /// When the approval ends [default: never].
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    project: ProjectArg,
}

/// Who says it.
#[derive(Debug, Args)]
struct SignerArgs {
    /// The key that signs [default: the local development key, which counts only on this machine].
    #[arg(long, value_name = "KEY")]
    key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    #[arg(long, value_name = "NAME", requires = "key")]
    passphrase_env: Option<String>,
}

pub(crate) fn run(args: &RevokeArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let now = clock(global)?.now();
    let from = args.from.as_deref().map(parse_time).transpose()?;
    if args.reason.trim().is_empty() {
        return Err(UsageError::new("say why with --reason").into());
    }
    let things: Vec<RevokedThing> = match (&args.envelope, &args.key_id, &args.subject) {
        (Some(envelope), ..) => {
            let digest = digest(envelope)?;
            if digest.algorithm() != Algorithm::Sha256 {
                return Err(UsageError::new("an envelope is named by its sha256").into());
            }
            vec![RevokedThing::Envelope(digest)]
        }
        (_, Some(id), _) => {
            let hex = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !hex {
                return Err(UsageError::new("a key id is 64 hex digits; `gauntlet key show` prints it").into());
            }
            vec![RevokedThing::Key(id.to_ascii_lowercase())]
        }
        (_, _, Some(subject)) => {
            let digests = digests(subject, global)?;
            // By the digest that binds file names, where there is one: the other would hit renamed copies, too.
            let primary = digests.primary().context("the subject has no digest")?;
            vec![RevokedThing::Subject(primary)]
        }
        _ => return Err(UsageError::new("name what to revoke").into()),
    };
    let signer = args.signer.open(config)?;
    for what in things {
        let revoked = Revoked { what, from, reason: args.reason.clone() };
        let (predicate, subject) = Revocation::new(&revoked, now);
        let statement = Statement::about(vec![subject], predicate)?;
        let index = append(&statement, "revocation", signer.as_ref(), &args.project.dir, config, now)?;
        let what = match &revoked.what {
            RevokedThing::Key(id) => format!("key {id}"),
            RevokedThing::Envelope(digest) => format!("envelope {digest}"),
            RevokedThing::Subject(digest) => format!("subject {digest}"),
        };
        terminal::print(&format!("Revoked {what} (entry {index}, signed by {})\n", signer.key_id()))?;
    }
    Ok(Exit::Allowed)
}

pub(crate) fn approve(args: &ApproveArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let now = clock(global)?.now();
    let expires = args.expires.as_deref().map(parse_time).transpose()?;
    if expires.is_some_and(|end| end <= now) {
        return Err(UsageError::new("the approval would have ended already").into());
    }
    let signer = args.signer.open(config)?;
    let digests = digests(&args.subject, global)?;
    let predicate = Approval {
        role: args.role.clone(),
        environment: args.environment.clone(),
        issued: written(now),
        expires: expires.map(written),
        reason: args.reason.clone(),
        extensions: Map::new(),
    };
    let subject = Subject { name: args.subject.clone(), kind: args.kind, digest: digests.clone() };
    let subject = ResourceDescriptor::from(&subject);
    let statement = Statement::about(vec![subject], predicate)?;
    let index = append(&statement, "approval", signer.as_ref(), &args.project.dir, config, now)?;
    let text =
        format!("Approved as {} for {} (entry {index}, signed by {})\n", args.role, args.environment, signer.key_id());
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

impl SignerArgs {
    fn open(&self, config: &UserConfig) -> anyhow::Result<Box<dyn Signer>> {
        match &self.key {
            Some(path) => keys::signer(path, self.passphrase_env.as_deref()),
            None => {
                let local = KeyStore::new(config.dir()).local_key().context("cannot make a local development key")?;
                Ok(Box::new(local.key))
            }
        }
    }
}

/// Signs a statement and appends it to the project's ledger; the number of its entry.
fn append<P: Serialize>(
    statement: &Statement<P>,
    kind: &str,
    signer: &dyn Signer,
    project: &Path,
    config: &UserConfig,
    now: Timestamp,
) -> anyhow::Result<u64> {
    let kept = attestation::append(statement, kind, signer, project, config, now)?;
    kept.index.context("the ledger did not say where the entry stands")
}

fn kind(text: &str) -> Result<SubjectKind, String> {
    let known = [SubjectKind::Model, SubjectKind::Dataset, SubjectKind::Source];
    known.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| "kinds are model, dataset and source".to_owned())
}

fn digest(text: &str) -> anyhow::Result<Digest> {
    text.parse::<Digest>().map_err(|error| UsageError::new(error.to_string()).into())
}

/// Digests of a subject that is given as such or lies on disk.
fn digests(text: &str, global: &Global) -> anyhow::Result<DigestSet> {
    let path = Path::new(text);
    if !path.exists() {
        if text.contains(':') {
            return Ok(DigestSet::default().with(&digest(text)?));
        }
        return Err(UsageError::new(format!("{text} is neither there nor a digest")).into());
    }
    let meter = Meter::new(!global.quiet && !global.no_progress);
    meter.step("hashing the subject");
    let subject = on_disk(path, &meter)?;
    meter.finish();
    Ok(subject.digest)
}

/// A model on disk, named by its digests. What cannot be read has no digest.
pub(crate) fn on_disk(path: &Path, meter: &Meter) -> anyhow::Result<Subject> {
    let tree = Tree::read(path, &TreeOptions::default(), &Limits::default())?;
    let mut hashes = Vec::new();
    for (file, hash) in tree.files.iter().zip(hash_tree(&tree, None, meter)) {
        let hash = hash.map_err(|why| anyhow::anyhow!("{} cannot be read: {why}", file.path.display()))?;
        hashes.push(Some(hash));
    }
    if let Some(skipped) = tree.skipped.first() {
        anyhow::bail!("{} cannot be hashed: {}", skipped.path, skipped.reason);
    }
    let name = path.canonicalize().ok().and_then(|p| p.file_name().map(|name| name.to_string_lossy().into_owned()));
    let name = name.unwrap_or_else(|| path.display().to_string());
    Ok(Subject { name, kind: SubjectKind::Model, digest: tree.model_digest(&hashes) })
}

fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
