//! The binary: arguments, wiring, progress. No judgement lives here.

#![forbid(unsafe_code)]

mod attestation;
mod cli;
mod commands;
mod decide;
mod evidence;
mod exit;
mod gates;
mod gather;
mod hashing;
mod images;
mod judge;
mod keys;
mod passphrase;
mod plan;
mod progress;
mod result;
mod state;
mod terminal;
mod trust;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::state::UserConfig;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap ends with 0 for --help and --version and 2 for wrong usage, as we do.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * Exit::Usage.code());
        }
    };
    if matches!(cli.command, Command::PolicyChild) {
        return commands::policy::child();
    }
    if let Command::TrainStage { arguments } = &cli.command {
        return gauntlet_train::sandbox::stage_main(commands::train::STAGE, arguments);
    }
    let exit = run(&cli).unwrap_or_else(|error| {
        terminal::note(&format!("error: {}", describe(&error)));
        exit::of_error(&error)
    });
    ExitCode::from(exit.code())
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    if let Some(jobs) = cli.global.jobs {
        rayon::ThreadPoolBuilder::new().num_threads(jobs.get()).build_global()?;
    }
    let config = || UserConfig::open(cli.global.config_dir.as_deref());
    match &cli.command {
        Command::Init(args) => commands::init::run(args),
        Command::Run(args) => commands::run::run(args, &cli.global, &config()?),
        Command::Scan(args) => commands::scan::run(args, &cli.global),
        Command::Hunt(args) => commands::hunt::run(args, &cli.global, &config()?),
        Command::Convert(args) => commands::convert::run(args),
        Command::Data(command) => commands::data::run(command, &cli.global),
        Command::Worker(args) => commands::cluster::run(args),
        Command::Key(command) => commands::key::run(command, &config()?),
        Command::Ledger(command) => commands::ledger::run(command, &cli.global, &config()?),
        Command::Sign(args) => commands::sign::run(args, &cli.global, &config),
        Command::Package(args) => commands::package::run(args, &cli.global),
        Command::Attest(args) => commands::attest::run(args, &cli.global, &config()?),
        Command::Bom(args) => commands::bom::run(args, &cli.global, &config()?),
        Command::Card(args) => commands::card::run(args, &cli.global, &config()?),
        Command::Verify(args) => commands::verify_evidence::run(args, &cli.global, config),
        Command::Approve(args) => commands::revoke::approve(args, &cli.global, &config()?),
        Command::Revoke(args) => commands::revoke::run(args, &cli.global, &config()?),
        Command::Policy(command) => commands::policy::run(command, config),
        Command::Rule(command) => commands::rule::run(command),
        Command::Config(command) => commands::config::run(command, config),
        Command::Train(args) => commands::train::run(args, &cli.global, &config()?),
        Command::PolicyChild | Command::TrainStage { .. } => Ok(Exit::Usage),
    }
}

/// The error and its causes on one line, without saying the same twice.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
