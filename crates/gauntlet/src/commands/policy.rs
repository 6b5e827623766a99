//! `gauntlet policy`: tests policies, lists the shipped packs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use gauntlet_policy::{Isolation, Pack, TestRun, TestState, isolated, run_tests, shipped_names};

use crate::cli::PolicyCommand;
use crate::commands::policy_bundle;
use crate::exit::{Exit, UsageError};
use crate::state::UserConfig;
use crate::terminal;

/// The hidden command under which this program evaluates one foreign policy.
pub(crate) const CHILD: &str = "__policy-child";

pub(crate) fn run(
    command: &PolicyCommand,
    config: impl FnOnce() -> anyhow::Result<UserConfig>,
) -> anyhow::Result<Exit> {
    match command {
        PolicyCommand::Test { dir } => test(dir),
        PolicyCommand::List => list(),
        PolicyCommand::Bundle(args) => policy_bundle::run(args, &config()?),
    }
}

/// What the child does; it never returns to the rest of the program.
pub(crate) fn child() -> ExitCode {
    isolated::child_main()
}

fn test(dir: &Path) -> anyhow::Result<Exit> {
    let isolation = Isolation::of_this_program(CHILD).context("cannot start a process to test policies in")?;
    if !dir.is_dir() {
        return Err(UsageError::new(format!("{} is no folder", dir.display())).into());
    }
    let run = run_tests(dir, &isolation).map_err(|error| UsageError::new(error.to_string()))?;
    terminal::print(&shown(&run))?;
    Ok(if run.passed() { Exit::Allowed } else { Exit::Refused })
}

fn shown(run: &TestRun) -> String {
    let mut text = String::new();
    let (mut passed, mut failed) = (0, 0);
    for case in &run.cases {
        match case.state {
            TestState::Pass => {
                passed += 1;
                continue;
            }
            TestState::Fail => {
                let _ = writeln!(text, "FAIL   {} {}", case.path, case.name);
            }
            TestState::Error => {
                let _ = writeln!(text, "ERROR  {} {}: {}", case.path, case.name, case.message.as_deref().unwrap_or(""));
            }
        }
        failed += 1;
    }
    for failure in &run.failures {
        let _ = writeln!(text, "ERROR  {failure}");
    }
    for file in run.coverage.iter().filter(|f| !f.not_covered.is_empty()) {
        let lines: Vec<String> = file.not_covered.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "not reached in {}: line {}", file.path, lines.join(", "));
    }
    let _ = writeln!(text, "{passed} passed, {failed} failed, {:.0} % of lines reached", run.percent_covered());
    text
}

fn list() -> anyhow::Result<Exit> {
    let mut text = String::new();
    for pack in shipped_names().filter_map(Pack::shipped) {
        let summary = pack.modules.first().and_then(|m| m.text.lines().next()).unwrap_or("");
        let _ = writeln!(text, "{:12} {}", pack.name, summary.trim_start_matches("# "));
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}
