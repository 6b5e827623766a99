//! `gauntlet hunt`: rules and SQL over the facts of everything that was ever admitted, without the files.

mod show;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use gauntlet_core::Gate;
use gauntlet_hunt::{Answers, Catalogue, HuntError, Project, QueryLimits, Question, Source};
use gauntlet_ledger::Ledger;
use gauntlet_trust::keys::{KeyStore, VerifyingKey};

use crate::cli::{Global, HuntArgs};
use crate::commands::{self, ledger};
use crate::exit::{Exit, UsageError};
use crate::gates::GATES;
use crate::progress::Meter;
use crate::state::{State, UserConfig};
use crate::{keys, terminal};

pub(crate) fn run(args: &HuntArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    if args.tables {
        terminal::deliver(show::tables(args.format)?.as_bytes(), args.output.as_deref())?;
        return Ok(Exit::Allowed);
    }
    let gates: Vec<&'static Gate> = GATES.iter().map(|(_, gate)| *gate).collect();
    let question = match (&args.sql, args.rules.is_empty()) {
        (Some(_), true) => None,
        (None, false) => {
            let hint = |error| UsageError::new(format!("{error}; `gauntlet rule list` lists them"));
            Some(Question::new(&args.rules, &gates).map_err(hint)?)
        }
        _ => {
            return Err(
                UsageError::new("name a rule or check, or give a query with --sql (`--tables` lists tables)").into()
            );
        }
    };
    let now = commands::run::clock(global)?.now();
    let meter = Meter::new(!global.quiet && !global.no_progress);
    meter.step("reading evidence and facts");

    let dirs = if args.dirs.is_empty() && args.facts.is_empty() { vec![PathBuf::from(".")] } else { args.dirs.clone() };
    let keys = known_keys(args, config)?;
    let ledgers: Vec<(PathBuf, Ledger)> =
        dirs.into_iter().map(|dir| ledger::open(&dir, config).map(|log| (dir, log))).collect::<anyhow::Result<_>>()?;
    let mut sources: Vec<Source<'_>> = ledgers
        .iter()
        .map(|(dir, ledger)| {
            let facts = State::folder(dir).join("facts");
            Source::Project(Project { name: dir.display().to_string(), facts, ledger, keys: &keys })
        })
        .collect();
    for folder in &args.facts {
        if !folder.is_dir() {
            let message = format!("{} is no folder; `gauntlet scan --facts DIR` makes one", folder.display());
            return Err(UsageError::new(message).into());
        }
        sources.push(Source::Folder(folder.clone()));
    }
    let catalogue = Arc::new(Catalogue::read(&sources, &gates, &meter).map_err(explain)?);

    let (text, exit) = match (&question, &args.sql) {
        (Some(question), _) => {
            meter.step("asking the rules");
            let answers = gauntlet_hunt::ask(question, &catalogue, &gates, now, &meter);
            (show::answers(question, &answers, &catalogue, args.format)?, exit(&answers, args))
        }
        (None, sql) => {
            meter.step("running the query");
            let sql = sql.as_deref().unwrap_or_default();
            let mut limits = QueryLimits { rows: args.rows, ..QueryLimits::default() };
            limits.memory = usize::try_from(args.memory).unwrap_or(usize::MAX).saturating_mul(1 << 20);
            if let Some(jobs) = global.jobs {
                limits.threads = jobs.get();
            }
            let rows = gauntlet_hunt::query(sql, &catalogue, &gates, &limits).map_err(explain)?;
            let open = rows.cut || !rows.unanswered.is_empty();
            (show::rows(sql, &rows, &catalogue, args.format)?, if open { Exit::Inconclusive } else { Exit::Allowed })
        }
    };
    meter.finish();
    terminal::deliver(text.as_bytes(), args.output.as_deref())?;
    Ok(exit)
}

/// A finding at or above `--fail-on` outweighs what is unanswered: it is certain.
fn exit(answers: &Answers, args: &HuntArgs) -> Exit {
    let findings = answers.subjects.iter().flat_map(|subject| &subject.findings);
    if findings.filter(|f| f.suppressed.is_none()).any(|finding| finding.severity >= args.fail_on) {
        Exit::Refused
    } else if answers.unanswered.is_empty() {
        Exit::Allowed
    } else {
        Exit::Inconclusive
    }
}

/// The user's own keys, and those that the user names.
fn known_keys(args: &HuntArgs, config: &UserConfig) -> anyhow::Result<Vec<VerifyingKey>> {
    let mut known = KeyStore::new(config.dir()).public_keys().context("cannot read your keys")?;
    for path in &args.keys {
        known.push(keys::verifying_key(path)?);
    }
    Ok(known)
}

fn explain(error: HuntError) -> anyhow::Error {
    match error {
        HuntError::Query(text) => {
            UsageError::new(format!("the query: {text}; `gauntlet hunt --tables` lists tables and columns")).into()
        }
        HuntError::Limit(text) => anyhow::anyhow!("the query takes more than it may, see --memory: {text}"),
        HuntError::Ledger(error) => ledger::explain(error),
        other => other.into(),
    }
}
