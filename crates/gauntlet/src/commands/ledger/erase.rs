//! `gauntlet ledger erase`: the bytes of an envelope go, a signed tombstone says why.

use std::path::PathBuf;

use clap::Args;
use gauntlet_ledger::tree::Hash;

use crate::cli::Global;
use crate::commands::ledger::place::LedgerArg;
use crate::commands::run::clock;
use crate::exit::{Exit, UsageError};
use crate::keys;
use crate::state::UserConfig;
use crate::terminal;

/// What to erase, and who says so.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// SHA-256 of the envelope.
    envelope: String,
    /// Why. It stays readable for ever, so do not repeat what is erased.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// PEM file of the private key that signs the tombstone.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Environment variable that holds the key's passphrase [default: ask on a terminal].
    #[arg(long, value_name = "NAME")]
    passphrase_env: Option<String>,
    #[command(flatten)]
    ledger: LedgerArg,
}

pub(crate) fn run(args: &EraseArgs, global: &Global, user: &UserConfig) -> anyhow::Result<Exit> {
    let digits = args.envelope.strip_prefix("sha256:").unwrap_or(&args.envelope);
    let digest = Hash::from_hex(digits)
        .ok_or_else(|| UsageError::new(format!("`{}` is not the SHA-256 of an envelope", args.envelope)))?;
    let key = keys::signing_key(&args.key, args.passphrase_env.as_deref())?;
    let time = clock(global)?.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ledger = args.ledger.find(user)?.write()?;
    let appended = ledger.erase(&digest, &args.reason, &key, &time).map_err(|error| match error {
        gauntlet_ledger::Error::CannotErase { .. } => UsageError::new(error.to_string()).into(),
        other => super::explain(other),
    })?;
    terminal::print(&format!(
        "The envelope sha256:{digest} is gone; entry {} is its tombstone.\nIts full report and the facts it rests on, if it names \
         any, lie beside it in the state folder and are not touched.\n",
        appended.index()
    ))?;
    Ok(Exit::Allowed)
}
