//! `gauntlet ledger verify`: derives everything again and compares.

use std::fmt::Write as _;

use clap::Args;
use gauntlet_ledger::{ForeignStore, Objects, Options, Verification};
use gauntlet_trust::keys::KeyStore;

use crate::commands::ledger::place::{self, LedgerArg};
use crate::exit::{Exit, UsageError};
use crate::keys;
use crate::state::{State, UserConfig};
use crate::terminal;

/// What to verify, and whose tombstones count.
#[derive(Debug, Args)]
pub(crate) struct VerifyLedgerArgs {
    /// Verify the log that a static web server publishes here, instead of a ledger of your own.
    #[arg(long, value_name = "URL", requires = "log_key", conflicts_with_all = ["url", "dir"])]
    from_url: Option<String>,
    /// Key of that log: `name+id+base64`.
    #[arg(long, value_name = "VKEY", requires = "from_url")]
    log_key: Option<String>,
    /// Where that log's envelopes are, in a folder `evidence` below this URL [default: they are not compared].
    #[arg(long, value_name = "URL", requires = "from_url")]
    evidence_url: Option<String>,
    /// Public key whose tombstones are believed, besides your own keys; may be given several times.
    #[arg(long = "eraser", value_name = "PUB")]
    erasers: Vec<std::path::PathBuf>,
    #[command(flatten)]
    ledger: LedgerArg,
}

pub(crate) fn run(args: &VerifyLedgerArgs, user: &UserConfig) -> anyhow::Result<Exit> {
    let mut erasers = KeyStore::new(user.dir()).public_keys()?;
    for path in &args.erasers {
        erasers.push(keys::verifying_key(path)?);
    }
    if let (Some(url), Some(key)) = (&args.from_url, &args.log_key) {
        let connect = |url: &str| Objects::connect(url).map_err(|error| UsageError::new(error.to_string()));
        let evidence = args.evidence_url.as_deref().map(connect).transpose()?;
        let options = Options { erasers, ..Options::default() };
        let verified = gauntlet_ledger::verify_static(&connect(url)?, evidence.as_ref(), &place::key(key)?, &options);
        return report(&verified.map_err(super::explain)?, evidence.is_some(), 0);
    }
    let mut found = args.ledger.find(user)?;
    found.options.erasers = erasers;
    let verified = found.verify()?;
    let foreign = ForeignStore::in_state(&State::folder(&args.ledger.dir)).list().map_err(super::explain)?;
    report(&verified, true, foreign.len())
}

fn report(verified: &Verification, envelopes: bool, foreign: usize) -> anyhow::Result<Exit> {
    let mut text = String::new();
    if verified.differences.is_empty() {
        let origin = verified.checkpoint.as_ref().map_or("the log", |checkpoint| checkpoint.origin.as_str());
        let _ = write!(text, "{} entries of {origin} agree with their tiles", verified.entries);
        if envelopes {
            let _ = write!(text, ", {} envelopes", verified.envelopes);
        }
        let _ = writeln!(text, " and the signed checkpoint.");
        if !envelopes {
            let _ = writeln!(text, "Envelopes were not looked at: name their place with --evidence-url.");
        }
        if verified.erased > 0 {
            let _ = writeln!(text, "{} envelopes were erased, each with a valid tombstone.", verified.erased);
        }
        if verified.unfinished > 0 {
            let _ = writeln!(text, "{} entries are durable but not published yet.", verified.unfinished);
        }
        if foreign > 0 {
            let _ = writeln!(text, "{foreign} imported bundles still agree with the keys they came under.");
        }
        terminal::print(&text)?;
        return Ok(Exit::Allowed);
    }
    let all = verified.differences.len() as u64 + verified.more_differences;
    let _ = writeln!(text, "The ledger was changed or is damaged: {all} difference(s)");
    for difference in &verified.differences {
        let _ = writeln!(text, "  {}: {}", difference.path.display(), difference.problem);
    }
    terminal::print(&text)?;
    Ok(Exit::Refused)
}
