//! `gauntlet ledger prove` and `consistency`: proofs for strangers.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use gauntlet_core::write_durably;
use gauntlet_ledger::Ledger;
use gauntlet_ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use gauntlet_ledger::note::MAX_NOTE;
use gauntlet_ledger::tree::{Hash, verify_consistency};

use crate::commands::ledger::place::LedgerArg;
use crate::exit::{Exit, Refusal, UsageError};
use crate::state::UserConfig;
use crate::terminal;

/// Which entry to prove.
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// Index of the entry, or SHA-256 of its envelope.
    entry: String,
    /// Where the proof goes (c2sp.org/tlog-proof@v1).
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    ledger: LedgerArg,
}

/// Which two states of the log to compare.
#[derive(Debug, Args)]
pub(crate) struct ConsistencyArgs {
    /// A number of entries, or a file with a signed checkpoint.
    old: String,
    /// A number of entries, or a file with a signed checkpoint [default: the log as it is].
    new: Option<String>,
    #[command(flatten)]
    ledger: LedgerArg,
}

pub(crate) fn prove(args: &ProveArgs, user: &UserConfig) -> anyhow::Result<Exit> {
    let ledger = args.ledger.find(user)?.read()?;
    let index = super::index_of(&ledger, &args.entry)?;
    let proof = ledger.prove_cosigned(index).map_err(super::explain)?;
    let entry = ledger.entry(index).map_err(super::explain)?;
    // Checked as a stranger would, before it is handed out.
    let signed = proof.verify(&entry, ledger.verifier_key(), &[]).map_err(|error| Refusal::new(error.to_string()))?;
    write_durably(&args.output, proof.to_string().as_bytes(), 0o644)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    terminal::print(&format!(
        "{}: entry {index} is in {} with {} entries\nThe entry:     {}\nThe log's key: {}\n",
        args.output.display(),
        signed.checkpoint.origin,
        signed.checkpoint.size,
        String::from_utf8_lossy(&entry),
        ledger.verifier_key(),
    ))?;
    Ok(Exit::Allowed)
}

pub(crate) fn consistency(args: &ConsistencyArgs, user: &UserConfig) -> anyhow::Result<Exit> {
    let ledger = args.ledger.find(user)?.read()?;
    let old = state(&ledger, &args.old)?;
    let new = match &args.new {
        Some(new) => state(&ledger, new)?,
        None => (ledger.checkpoint().size, ledger.checkpoint().root),
    };
    if old.0 > new.0 {
        return Err(UsageError::new(format!("{} entries cannot be the past of {}", old.0, new.0)).into());
    }
    let proof = ledger.prove_consistency_between(old.0, new.0).map_err(super::explain)?;
    verify_consistency(old.0, &old.1, new.0, &new.1, &proof).map_err(|error| Refusal::new(error.to_string()))?;
    let mut text =
        format!("The log of {} entries begins with the one of {}. The proof (RFC 6962, 2.1.2):\n", new.0, old.0);
    for hash in &proof {
        let _ = writeln!(text, "{}", hash.to_base64());
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

/// A state of the log by its size, or by a checkpoint that the log signed and that must be one of its states.
fn state(ledger: &Ledger, text: &str) -> anyhow::Result<(u64, Hash)> {
    if let Ok(size) = text.parse::<u64>() {
        let now = ledger.checkpoint().size;
        if size > now {
            return Err(UsageError::new(format!("the ledger has {now} entries, not {size}")).into());
        }
        return Ok((size, ledger.root_at(size).map_err(super::explain)?));
    }
    let bytes = std::fs::read(text).with_context(|| format!("cannot read {text}"))?;
    if bytes.len() > MAX_NOTE {
        anyhow::bail!("{text} is too large for a checkpoint");
    }
    let signed = SignedCheckpoint::open(&bytes, ledger.verifier_key(), &[])
        .map_err(|error| Refusal::new(format!("{text}: {error}")))?;
    let Checkpoint { size, root, .. } = signed.checkpoint;
    let now = ledger.checkpoint().size;
    if size > now {
        let message =
            format!("{text} is signed over {size} entries, the ledger has {now}: it was rolled back or forked");
        return Err(Refusal::new(message).into());
    }
    if ledger.root_at(size).map_err(super::explain)? != root {
        let message = format!("{text} is signed over other {size} entries than the ledger has: it was forked");
        return Err(Refusal::new(message).into());
    }
    Ok((size, root))
}
