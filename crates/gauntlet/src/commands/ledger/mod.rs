//! `gauntlet ledger`: reads, checks, exports and witnesses the log of all evidence.

pub(crate) mod bundle;
pub(crate) mod erase;
pub(crate) mod place;
pub(crate) mod prove;
pub(crate) mod verify;
pub(crate) mod witness;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use gauntlet_ledger::Ledger;
use gauntlet_ledger::record::Record;
use gauntlet_ledger::tree::Hash;
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::statement::Statement;
use serde_json::json;

use crate::cli::{Global, LedgerCommand};
use crate::commands::ledger::place::LedgerArg;
use crate::exit::{Exit, Refusal, UsageError};
use crate::state::UserConfig;
use crate::terminal;

pub(crate) fn run(command: &LedgerCommand, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    match command {
        LedgerCommand::Log { ledger, last, json } => log(&ledger.find(config)?.read()?, *last, *json)?,
        LedgerCommand::Show { entry, ledger } => show(&ledger.find(config)?.read()?, entry)?,
        LedgerCommand::Verify(args) => return verify::run(args, config),
        LedgerCommand::Export(args) => return bundle::export(args, config),
        LedgerCommand::Import(args) => return bundle::import(args, config),
        LedgerCommand::Prove(args) => return prove::prove(args, config),
        LedgerCommand::Consistency(args) => return prove::consistency(args, config),
        LedgerCommand::Erase(args) => return erase::run(args, global, config),
        LedgerCommand::Witness(args) => return witness::witness(args, global),
        LedgerCommand::Cosign(args) => return witness::cosign(args, config),
        LedgerCommand::Key { ledger } => {
            terminal::print(&format!("{}\n", ledger.find(config)?.read()?.verifier_key()))?;
        }
    }
    Ok(Exit::Allowed)
}

/// The ledger of a project, for reading.
pub(crate) fn open(project: &Path, config: &UserConfig) -> anyhow::Result<Ledger> {
    LedgerArg { dir: project.to_owned(), url: None }.find(config)?.read()
}

/// A ledger that contradicts itself or what we remember is a refusal; one that cannot be read is no answer.
pub(crate) fn explain(error: gauntlet_ledger::Error) -> anyhow::Error {
    if error.is_verdict() { Refusal::new(error.to_string()).into() } else { error.into() }
}

fn log(ledger: &Ledger, last: Option<u64>, as_json: bool) -> anyhow::Result<()> {
    let size = ledger.checkpoint().size;
    let from = last.map_or(0, |n| size.saturating_sub(n));
    let mut text = String::new();
    for entry in ledger.iter() {
        let (index, record) = entry.map_err(explain)?;
        if index < from {
            continue;
        }
        if as_json {
            let mut value = serde_json::to_value(&record)?;
            value["index"] = json!(index);
            let _ = writeln!(text, "{value}");
        } else {
            let _ = writeln!(text, "{}", line(index, &record));
        }
    }
    if !as_json {
        let checkpoint = ledger.checkpoint();
        let _ = writeln!(text, "{} entries in {}", checkpoint.size, checkpoint.origin);
    }
    terminal::print(&text)
}

fn line(index: u64, record: &Record) -> String {
    let subject =
        record.subject.get("dirHash1").or_else(|| record.subject.get("sha256")).map_or("", |s| &s[..s.len().min(12)]);
    format!(
        "{index:>6}  {}  {:9} subject {subject}  envelope {}",
        record.time,
        record.kind,
        hex::encode(&record.envelope.0.as_bytes()[..6])
    )
}

/// The index of an entry that is named by its index or its envelope.
fn index_of(ledger: &Ledger, entry: &str) -> anyhow::Result<u64> {
    let index = match (entry.parse::<u64>(), Hash::from_hex(entry.strip_prefix("sha256:").unwrap_or(entry))) {
        (Ok(index), _) if entry.len() < 20 => index,
        (_, Some(hash)) => *ledger
            .by_envelope(&hash)?
            .first()
            .ok_or_else(|| UsageError::new(format!("no entry names envelope {entry}")))?,
        _ => {
            return Err(UsageError::new(format!("`{entry}` is neither an index nor the SHA-256 of an envelope")).into());
        }
    };
    let size = ledger.checkpoint().size;
    if index >= size {
        return Err(UsageError::new(format!("there is no entry {index}; the ledger has {size}")).into());
    }
    Ok(index)
}

fn show(ledger: &Ledger, entry: &str) -> anyhow::Result<()> {
    let index = index_of(ledger, entry)?;
    let record = ledger.show(index).map_err(explain)?;
    let bytes = ledger.evidence().get(&record.envelope.0)?;
    if let (None, Some(tombstone)) = (&bytes, ledger.tombstone_of(&record.envelope.0)?) {
        let value = json!({"index": index, "record": record, "erased_by": format!("sha256:{tombstone}"),
            "checkpoint": ledger.signed_checkpoint()});
        return terminal::print(&format!("{}\n", serde_json::to_string_pretty(&value)?));
    }
    let bytes = bytes.context("the envelope of this entry is gone")?;
    let envelope = Envelope::parse(&bytes)?;
    // Shown, not believed: whoever needs the signature checked has `ledger verify` and the key.
    let statement = Statement::parse(envelope.unverified_payload())?;
    let value =
        json!({"index": index, "record": record, "statement": statement, "checkpoint": ledger.signed_checkpoint()});
    terminal::print(&format!("{}\n", serde_json::to_string_pretty(&value)?))
}
