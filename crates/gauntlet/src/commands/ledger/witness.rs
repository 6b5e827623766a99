//! `gauntlet ledger witness` and `cosign`: both sides of a witness.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use gauntlet_core::Clock;
use gauntlet_core::project::LedgerConfig;
use gauntlet_ledger::Ledger;
use gauntlet_ledger::note::SignerKey;
use gauntlet_ledger::witness::{Listening, Witness, WitnessError, serve};

use crate::cli::Global;
use crate::commands::ledger::place::{self, LedgerArg};
use crate::commands::run::clock;
use crate::exit::{Exit, Refusal, UsageError};
use crate::state::UserConfig;
use crate::terminal;

/// How to be a witness.
#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    /// Address to listen at; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8466")]
    listen: String,
    /// PEM file of the witness's Ed25519 key, not encrypted (`gauntlet key generate --algorithm ed25519 --no-passphrase`).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Name of the witness, a URL without scheme such as `witness.example/w1`.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Key of a log to witness: `name+id+base64`; may be given several times.
    #[arg(long = "log", value_name = "VKEY", required_unless_present = "origins")]
    logs: Vec<String>,
    /// File with one log key a line; empty lines and lines that begin with `#` are passed over.
    #[arg(long, value_name = "FILE")]
    origins: Option<PathBuf>,
    /// Folder of what was cosigned last; it must survive as long as the key.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Path before `/add-checkpoint`.
    #[arg(long, value_name = "PATH", default_value = "", value_parser = parse_prefix)]
    prefix: String,
}

/// Whom to ask for a cosignature.
#[derive(Debug, Args)]
pub(crate) struct CosignArgs {
    /// Where the witness answers, without `/add-checkpoint` [default: `ledger.witnesses` of gauntlet.yaml].
    #[arg(long, value_name = "URL", requires = "witness_key")]
    witness: Option<String>,
    /// Key of the witness: `name+id+base64`.
    #[arg(long, value_name = "VKEY", requires = "witness")]
    witness_key: Option<String>,
    #[command(flatten)]
    ledger: LedgerArg,
}

pub(crate) fn witness(args: &WitnessArgs, global: &Global) -> anyhow::Result<Exit> {
    let mut texts = args.logs.clone();
    if let Some(file) = &args.origins {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        texts.extend(lines.map(str::to_owned));
    }
    let logs = place::keys(&texts)?;
    if logs.is_empty() {
        return Err(UsageError::new("a witness needs the key of at least one log").into());
    }
    // Read once as every key is, so that a key that others can read is noticed.
    let refuse = |problem: &str| UsageError::new(format!("{}: {problem}", args.key.display()));
    let known = crate::keys::signing_key(&args.key, None)?;
    if known.kind() != gauntlet_trust::keys::KeyKind::Ed25519 {
        return Err(refuse("a witness signs with an Ed25519 key").into());
    }
    let pem = gauntlet_trust::keys::Zeroizing::new(
        std::fs::read_to_string(&args.key).with_context(|| format!("cannot read {}", args.key.display()))?,
    );
    let key = SignerKey::from_pem(&args.name, &pem).map_err(|error| refuse(&error.to_string()))?;
    let witness = Witness::open(key, logs, &args.state)?;
    let listening = Listening::bind(&args.listen)?;
    let clock: Arc<dyn Clock> = Arc::from(clock(global)?);
    terminal::note(&format!("witness key: {}", witness.verifier()));
    terminal::note(&format!("listening on http://{}{}", listening.address(), args.prefix));
    let now = Arc::new(move || u64::try_from(clock.now().as_second()).unwrap_or(0));
    serve(Arc::new(witness), listening, &args.prefix, now)?;
    Ok(Exit::Allowed)
}

pub(crate) fn cosign(args: &CosignArgs, user: &UserConfig) -> anyhow::Result<Exit> {
    let found = args.ledger.find(user)?;
    let asked = match (&args.witness, &args.witness_key) {
        (Some(url), Some(key)) => vec![(url.clone(), key.clone())],
        _ => configured(&found.config),
    };
    if asked.is_empty() {
        let message = "no witness is named: give --witness and --witness-key, or `ledger.witnesses` in gauntlet.yaml";
        return Err(UsageError::new(message).into());
    }
    let ledger = found.write()?;
    let (failed, forked) = ask(&ledger, &asked)?;
    let count = asked.len() - failed;
    terminal::print(&format!("{count} of {} witnesses cosigned {} entries\n", asked.len(), ledger.checkpoint().size))?;
    match (forked, failed) {
        (true, _) => Ok(Exit::Refused),
        (false, 0) => Ok(Exit::Allowed),
        (false, _) => Ok(Exit::Inconclusive),
    }
}

/// After something was appended: asks the configured witnesses. Whether enough of them answered is the policy's question; that one
/// says the log is forked is a refusal.
pub(crate) fn after_run(ledger: &Ledger, config: &LedgerConfig) -> anyhow::Result<()> {
    let (_, forked) = ask(ledger, &configured(config))?;
    if forked { Err(Refusal::new("a witness has seen another history of this ledger").into()) } else { Ok(()) }
}

fn configured(config: &LedgerConfig) -> Vec<(String, String)> {
    config.witnesses.iter().map(|witness| (witness.url.value.clone(), witness.key.value.clone())).collect()
}

/// How many did not cosign, each of which is said, and whether any of them calls the log forked.
fn ask(ledger: &Ledger, witnesses: &[(String, String)]) -> anyhow::Result<(usize, bool)> {
    let (mut failed, mut forked) = (0, false);
    for (url, key) in witnesses {
        let key = place::key(key)?;
        match gauntlet_ledger::witness::cosign(ledger, url, &key) {
            Ok(_) => {}
            Err(WitnessError::Ledger(error)) => return Err(super::explain(error)),
            Err(error) => {
                forked |= error.is_verdict();
                failed += 1;
                terminal::note(&format!("warning: no cosignature: {error}"));
            }
        }
    }
    Ok((failed, forked))
}

fn parse_prefix(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.'));
    if text.is_empty() || (plain && text.starts_with('/') && !text.ends_with('/')) {
        Ok(text.to_owned())
    } else {
        Err("a prefix begins with a slash, ends without one, and is made of letters, digits, `-`, `_`, `.`".to_owned())
    }
}
