//! `gauntlet ledger export` and `import`: evidence that travels.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::{Limits, Tree, TreeOptions, write_durably};
use gauntlet_ledger::bundle::{Bundle, MAX_BUNDLE};
use gauntlet_ledger::{ForeignStore, Selection};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::statement::{REPORT_MEMBER, Statement};

use crate::commands::ledger::place::{self, LedgerArg};
use crate::exit::{Exit, Refusal, UsageError};
use crate::hashing::hash_tree;
use crate::progress::Meter;
use crate::state::{State, UserConfig};
use crate::terminal;
use crate::trust::TrustArgs;

/// What to export.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Only what is said about this model, dataset or other path, and what that rests on.
    #[arg(value_name = "PATH", conflicts_with_all = ["subject", "entries"])]
    path: Option<PathBuf>,
    /// Only what is said about a subject with this digest (`sha256:…`, `dirHash1:…` or the digits alone).
    #[arg(long, value_name = "DIGEST", conflicts_with = "entries")]
    subject: Option<String>,
    /// Only entries from A up to, not including, B.
    #[arg(long, value_name = "A..B")]
    entries: Option<String>,
    /// Add the full reports that the statements name.
    #[arg(long)]
    reports: bool,
    /// The bundle to write; its name should end in `.gauntlet-bundle`.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    ledger: LedgerArg,
}

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The bundle.
    bundle: PathBuf,
    /// Key of a log whose entries count, as its operator publishes it: `name+id+base64`; may be given several times, and counts
    /// besides those of the trust policy.
    #[arg(long = "log-key", value_name = "VKEY")]
    log_keys: Vec<String>,
    /// Key of a witness whose cosignatures are to be checked; may be given several times.
    #[arg(long = "witness-key", value_name = "VKEY")]
    witness_keys: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    ledger: LedgerArg,
}

pub(crate) fn export(args: &ExportArgs, user: &UserConfig) -> anyhow::Result<Exit> {
    let ledger = args.ledger.find(user)?.read()?;
    let selection = match (&args.path, &args.subject, &args.entries) {
        (Some(path), ..) => Selection::Subject(digest_of(path)?),
        (None, Some(digest), _) => Selection::Subject(digits(digest)?),
        (None, None, Some(range)) => {
            let (from, to) = parse_range(range)?;
            let size = ledger.checkpoint().size;
            if from >= to || to > size {
                return Err(UsageError::new(format!("the ledger has entries 0..{size}, not {range}")).into());
            }
            Selection::Range(from, to)
        }
        (None, None, None) => Selection::All,
    };
    let mut bundle = ledger.export(&selection).map_err(super::explain)?;
    let part = bundle.logs.values().next().context("the bundle names no log")?;
    let (entries, complete) = (part.entries.len(), part.is_complete());
    if entries == 0 {
        return Err(UsageError::new("no entry of the ledger is about this subject").into());
    }
    let reports = if args.reports { add_reports(&mut bundle, &args.ledger.dir)? } else { 0 };
    let bytes = bundle.to_bytes()?;
    write_durably(&args.output, &bytes, 0o644).with_context(|| format!("cannot write {}", args.output.display()))?;
    let checkpoint = ledger.checkpoint();
    terminal::print(&format!(
        "{}: {entries} of {} entries of {}{}, {} envelopes, {reports} reports\nWhoever judges needs the log's key: {}\n",
        args.output.display(),
        checkpoint.size,
        checkpoint.origin,
        if complete { " (complete: nothing can have been left out)" } else { "" },
        bundle.envelopes.len(),
        ledger.verifier_key(),
    ))?;
    Ok(Exit::Allowed)
}

pub(crate) fn import(args: &ImportArgs, user: &UserConfig) -> anyhow::Result<Exit> {
    let (mut logs, mut witnesses) = (args.log_keys.clone(), args.witness_keys.clone());
    if let Some(trust) = args.trust.load(user)? {
        logs.extend(trust.policy.logs.iter().map(|key| key.as_str().to_owned()));
        witnesses.extend(trust.policy.witnesses.iter().flat_map(|all| &all.keys).map(|key| key.as_str().to_owned()));
    }
    if logs.is_empty() {
        let message =
            "name the keys of the logs that count with --log-key, or a trust policy that has any under `logs`";
        return Err(UsageError::new(message).into());
    }
    let (logs, witnesses) = (place::keys(&logs)?, place::keys(&witnesses)?);
    let bytes = read(&args.bundle)?;
    let state = State::folder(&args.ledger.dir);
    // The own ledger need not be there yet; when it is, its own evidence must not come back as foreign.
    let own = args.ledger.find(user).and_then(|found| found.read()).ok();
    let own = own.map(|ledger| ledger.verifier_key().name().to_owned());
    let imported = ForeignStore::in_state(&state).import(&bytes, &logs, &witnesses, own.as_deref());
    let foreign = imported.map_err(|error| match error.is_verdict() {
        true => anyhow::Error::from(Refusal::new(format!("{}: {error}", args.bundle.display()))),
        false => anyhow::Error::from(error).context(format!("{} was not taken in", args.bundle.display())),
    })?;
    let mut text = format!("Kept as foreign evidence: {} envelopes\n", foreign.bundle.envelopes.len());
    for checkpoint in &foreign.checkpoints {
        let entries = foreign.bundle.logs.get(&checkpoint.origin).map_or(0, |part| part.entries.len());
        text.push_str(&format!(
            "  {entries} of {} entries of {}, proven under its key\n",
            checkpoint.size, checkpoint.origin
        ));
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_BUNDLE as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// Adds the full reports that the statements in a bundle name. A report that is not here is left out.
fn add_reports(bundle: &mut Bundle, dir: &Path) -> anyhow::Result<usize> {
    let folder = State::folder(dir).join("evidence/reports");
    let mut found = Vec::new();
    for bytes in bundle.envelopes.values() {
        let Ok(envelope) = Envelope::parse(bytes) else { continue };
        // Followed to collect, not believed.
        let Ok(statement) = Statement::parse(envelope.unverified_payload()) else { continue };
        let member = statement.predicate.as_ref().and_then(|predicate| predicate.get(REPORT_MEMBER));
        let digest = member.and_then(|member| member.pointer("/report/sha256")).and_then(|digest| digest.as_str());
        let Some(digest) = digest.filter(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()))
        else {
            continue;
        };
        match std::fs::read(folder.join(format!("{digest}.json"))) {
            Ok(bytes) if gauntlet_core::sha256_hex(&bytes) == digest => found.push(bytes),
            Ok(_) => return Err(Refusal::new(format!("report {digest} was changed")).into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("cannot read report {digest}")),
        }
    }
    let before = bundle.reports.len();
    for report in found {
        bundle.add_report(report);
    }
    Ok(bundle.reports.len() - before)
}

/// The digest under which evidence about a path is kept.
fn digest_of(path: &Path) -> anyhow::Result<String> {
    let tree = Tree::read(path, &TreeOptions::default(), &Limits::default())
        .with_context(|| format!("cannot read {}", path.display()))?;
    let hashes = hash_tree(&tree, None, &Meter::new(false));
    let hashes: Vec<Option<String>> = hashes.into_iter().map(Result::ok).collect();
    if hashes.iter().any(Option::is_none) || !tree.skipped.is_empty() {
        anyhow::bail!("not all of {} could be read", path.display());
    }
    let digest = tree.digest(&hashes).primary();
    Ok(digest.with_context(|| format!("{} has no digest", path.display()))?.hex().to_owned())
}

fn digits(digest: &str) -> anyhow::Result<String> {
    let digits = digest.rsplit_once(':').map_or(digest, |(_, digits)| digits);
    let fits = (32..=128).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(digits.to_owned()) } else { Err(UsageError::new(format!("`{digest}` is no digest")).into()) }
}

fn parse_range(text: &str) -> anyhow::Result<(u64, u64)> {
    let parsed = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parsed.ok_or_else(|| UsageError::new(format!("`{text}` is no range such as 0..10")).into())
}
