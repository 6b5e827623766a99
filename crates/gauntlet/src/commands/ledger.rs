//! `gauntlet ledger`: reads and checks the log; never writes.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use gauntlet_ledger::record::Record;
use gauntlet_ledger::tree::Hash;
use gauntlet_ledger::{Ledger, Options, Place};
use gauntlet_trust::dsse::Envelope;
use gauntlet_trust::statement::Statement;
use serde_json::json;

use crate::cli::LedgerCommand;
use crate::exit::{Exit, Refusal, UsageError};
use crate::state::{self, State, UserConfig};
use crate::terminal;

pub(crate) fn run(command: &LedgerCommand, config: &UserConfig) -> anyhow::Result<Exit> {
    match command {
        LedgerCommand::Log { project, last, json } => log(&open(&project.dir, config)?, *last, *json)?,
        LedgerCommand::Show { entry, project } => show(&open(&project.dir, config)?, entry)?,
        LedgerCommand::Verify { project } => return verify(&place(&project.dir, config)?),
    }
    Ok(Exit::Allowed)
}

fn place(project: &Path, config: &UserConfig) -> anyhow::Result<Place> {
    let folder = State::folder(project);
    if !folder.join("ledger").is_dir() {
        return Err(
            UsageError::new(format!("there is no ledger in {}; `gauntlet run` makes one", project.display())).into()
        );
    }
    state::check_format(&folder)?;
    Ok(Place::in_state(&folder, config.dir()))
}

/// The ledger of a project, for reading.
pub(crate) fn open(project: &Path, config: &UserConfig) -> anyhow::Result<Ledger> {
    let place = place(project, config)?;
    Ledger::open_read_only(&place, &Options::default()).map_err(explain)
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

fn show(ledger: &Ledger, entry: &str) -> anyhow::Result<()> {
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
    let record = ledger.show(index).map_err(explain)?;
    let bytes = ledger.evidence().get(&record.envelope.0)?.context("the envelope of this entry is gone")?;
    let envelope = Envelope::parse(&bytes)?;
    // Shown, not believed: whoever needs the signature checked has `ledger verify` and the key.
    let statement = Statement::parse(envelope.unverified_payload())?;
    let value =
        json!({"index": index, "record": record, "statement": statement, "checkpoint": ledger.signed_checkpoint()});
    terminal::print(&format!("{}\n", serde_json::to_string_pretty(&value)?))
}

fn verify(place: &Place) -> anyhow::Result<Exit> {
    let verified = gauntlet_ledger::verify(place, &Options::default()).map_err(explain)?;
    if verified.differences.is_empty() {
        terminal::print(&format!(
            "{} entries of {} agree with their tiles, {} envelopes and the signed checkpoint.\n",
            verified.entries,
            verified.checkpoint.as_ref().map_or("the log", |c| c.origin.as_str()),
            verified.envelopes
        ))?;
        return Ok(Exit::Allowed);
    }
    let all = verified.differences.len() as u64 + verified.more_differences;
    let mut text = format!("The ledger was changed or is damaged: {all} difference(s)\n");
    for difference in &verified.differences {
        let _ = writeln!(text, "  {}: {}", difference.path.display(), difference.problem);
    }
    terminal::print(&text)?;
    Ok(Exit::Refused)
}
