//! `gauntlet card`: a model card from what is known; what people wrote stays.

use clap::Args;
use gauntlet_trust::card;

use crate::cli::Global;
use crate::commands::run::clock;
use crate::exit::{Exit, UsageError};
use crate::gather::{GatherArgs, gather};
use crate::progress::Meter;
use crate::state::UserConfig;
use crate::terminal;

/// Arguments of `gauntlet card`.
#[derive(Debug, Args)]
pub(crate) struct CardArgs {
    #[command(flatten)]
    gather: GatherArgs,
    /// Write the card to its place instead of printing it; only marked parts of a card that is there are replaced.
    #[arg(long)]
    write: bool,
    /// Replace generated parts that were edited by hand, too.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &CardArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let now = clock(global)?.now();
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let gathered = gather(&args.gather, now, config, &meter)?;
    meter.finish();
    let existing = match std::fs::read_to_string(&gathered.card) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(UsageError::new(format!("cannot read {}: {error}", gathered.card.display())).into());
        }
    };
    let text = card::write(&gathered.facts, existing.as_deref(), gathered.card_inside, args.force)
        .map_err(|error| UsageError::new(format!("{}: {error}", gathered.card.display())))?;
    if !args.write {
        terminal::print(&text)?;
        return Ok(Exit::Allowed);
    }
    if existing.as_deref() == Some(text.as_str()) {
        terminal::print(&format!("{} is up to date\n", gathered.card.display()))?;
        return Ok(Exit::Allowed);
    }
    terminal::deliver(text.as_bytes(), Some(&gathered.card))?;
    if gathered.card_inside {
        terminal::note("note: the card lies in the model's folder, so writing it changes the model's digest");
    }
    terminal::print(&format!("wrote {}\n", gathered.card.display()))?;
    Ok(Exit::Allowed)
}
