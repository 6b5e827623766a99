//! Runs a command confined and says how it ended and what held it: `confine [NAME=VALUE]... -- COMMAND...`.
//! Limits as on the command line of `gauntlet train`; `input=PATH`, `code=PATH` and `output=PATH` name files.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program to try things with")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use gauntlet_core::project::{Prices, TrainingLimits};
use gauntlet_train::sandbox::{Job, Stages, Stream, Watch, run, stage_main};

const STAGE: &str = "__stage";

struct Echo;

impl Watch for Echo {
    fn line(&mut self, stream: Stream, line: &str) -> Option<String> {
        println!("{stream:?}: {line}");
        None
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == STAGE
    {
        return stage_main(STAGE, rest);
    }
    let words: Vec<String> = arguments.into_iter().map(|a| a.into_string().unwrap()).collect();
    let at = words.iter().position(|w| w == "--").unwrap();
    let mut limits = TrainingLimits::default();
    let (mut inputs, mut code, mut outputs, mut hosts, mut bubblewrap) = (vec![], vec![], vec![], vec![], None);
    for word in &words[..at] {
        let (name, value) = word.split_once('=').unwrap();
        let path = PathBuf::from(value);
        match name {
            "input" => inputs.push((path.canonicalize().unwrap(), PathBuf::from("/work").join(path))),
            "code" => code.push((path.canonicalize().unwrap(), path)),
            "output" => outputs.push(path),
            "host" => hosts.push(value.to_owned()),
            "bubblewrap" => bubblewrap = Some(path),
            _ => limits.set(word).unwrap(),
        }
    }
    let staging = tempfile::tempdir().unwrap();
    let job = Job {
        command: words[at + 1..].to_vec(),
        environment: BTreeMap::new(),
        code,
        inputs,
        system: vec![],
        outputs,
        hosts,
        limits: limits.or_defaults(2),
        prices: Prices::default(),
        trace: true,
        without: vec![],
        bubblewrap,
        staging: staging.path().to_owned(),
    };
    let stages = Stages { program: std::env::current_exe().unwrap(), command: STAGE.to_owned() };
    match run(&job, &stages, &mut Echo) {
        Ok(outcome) => {
            for state in &outcome.mechanisms {
                println!("{} {} {}", state.mechanism.as_str(), state.enforced, state.reason.as_deref().unwrap_or(""));
            }
            for state in &outcome.limits {
                println!("{state:?}");
            }
            println!("outputs {:?} skipped {:?}", outcome.outputs, outcome.skipped);
            println!("opened {:?} executed {:?}", outcome.opened.map(|o| o.len()), outcome.executed);
            println!("connections {:?} survivors {}", outcome.connections, outcome.survivors);
            println!("usage {:?}", outcome.usage);
            println!("END {:?}", outcome.end);
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("ERROR {error}");
            ExitCode::FAILURE
        }
    }
}
