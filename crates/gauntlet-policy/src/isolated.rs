//! Runs policies that do not ship with the program in a process of their own, with a memory limit and a kill.
//!
//! A hostile module can overflow the engine's stack or make one builtin allocate without bound; neither can be caught
//! inside a process. The caller hands over how to start the child, usually its own executable with a hidden argument.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::outcome::{Refusal, Violation, Why};
use crate::pack::{Module, Pack};
use crate::testing::{self, FolderRun};

/// Longest request and answer in bytes.
const MAX_MESSAGE: u64 = 64 << 20;

/// How to start the child, and what it may use.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// The program, which calls [`child_main`] when it sees the arguments.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Address space of the child in bytes.
    pub memory: u64,
    /// Time after which it is killed, on the wall clock.
    pub wall: Duration,
}

impl Isolation {
    /// This program with one argument, 1 GiB of address space and 20 seconds.
    ///
    /// # Errors
    /// When the system does not say where this program lies.
    pub fn of_this_program(argument: &str) -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: vec![argument.into()],
            memory: 1 << 30,
            wall: Duration::from_secs(20),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Message {
    memory: u64,
    seconds: u64,
    time_ms: u64,
    job: Job,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Job {
    Evaluate { pack: Pack, input: serde_json::Value },
    Test { modules: Vec<Module> },
}

/// Asks a pack in a child process. `time` bounds evaluation, `isolation.wall` everything.
///
/// # Errors
/// A [`Refusal`] for whatever goes wrong, in the policy or around it.
pub fn evaluate(
    isolation: &Isolation,
    pack: &Pack,
    input: &serde_json::Value,
    time: Duration,
) -> Result<Vec<Violation>, Refusal> {
    let job = Job::Evaluate { pack: pack.clone(), input: input.clone() };
    ask::<Result<Vec<Violation>, Refusal>>(isolation, job, time)
        .unwrap_or_else(|(why, detail)| Err(Refusal::new(&pack.name, why, detail)))
}

/// Runs the tests among `modules` in a child process.
pub(crate) fn test(isolation: &Isolation, modules: Vec<Module>, time: Duration) -> Result<FolderRun, (Why, String)> {
    ask(isolation, Job::Test { modules }, time)
}

/// What the child does: reads a request from stdin, limits itself, writes the answer to stdout.
///
/// For the program that [`Isolation`] names; nothing else may use the process before or after.
#[must_use]
pub fn child_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let mut request = Vec::new();
    io::stdin().lock().take(MAX_MESSAGE).read_to_end(&mut request)?;
    let message: Message = serde_json::from_slice(&request)?;
    limit(Resource::As, message.memory)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // Should the parent die before it kills us.
    limit(Resource::Cpu, message.seconds)?;
    let time = Duration::from_millis(message.time_ms);
    let answer = match message.job {
        Job::Evaluate { pack, input } => serde_json::to_vec(&engine::evaluate_here(&pack, &input, time))?,
        Job::Test { modules } => serde_json::to_vec(&testing::run_modules(&modules, time))?,
    };
    let mut out = io::stdout().lock();
    out.write_all(&answer)?;
    out.flush()
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

fn ask<T: DeserializeOwned + Send>(isolation: &Isolation, job: Job, time: Duration) -> Result<T, (Why, String)> {
    let message = Message {
        memory: isolation.memory,
        seconds: isolation.wall.as_secs() + 1,
        time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        job,
    };
    let request = serde_json::to_vec(&message).map_err(|error| (Why::BadInput, error.to_string()))?;
    if request.len() as u64 >= MAX_MESSAGE {
        return Err((Why::BadInput, format!("policy and input together are longer than {MAX_MESSAGE} bytes")));
    }
    let mut child = Command::new(&isolation.program)
        .args(&isolation.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| (Why::Crashed, format!("the process that evaluates cannot be started: {error}")))?;
    let answer = converse(&mut child, &request, isolation.wall);
    // Whatever happened, it must not outlive this call.
    let _ = child.kill();
    let status = child.wait().map_err(|error| (Why::Crashed, error.to_string()))?;
    let answer = answer?;
    serde_json::from_slice(&answer).map_err(|_| {
        (Why::Crashed, format!("the process that evaluates gave no answer ({status}), for want of memory or stack"))
    })
}

fn converse(child: &mut Child, request: &[u8], wall: Duration) -> Result<Vec<u8>, (Why, String)> {
    let gone = || (Why::Crashed, "the process that evaluates has no pipes".to_owned());
    let mut stdin = child.stdin.take().ok_or_else(gone)?;
    let stdout = child.stdout.take().ok_or_else(gone)?;
    let (sender, receiver) = mpsc::channel();
    // Detached: it ends when the child's end of the pipe closes, at the latest when the child is killed.
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.take(MAX_MESSAGE).read_to_end(&mut answer);
        let _ = sender.send(read.map(|_| answer));
    });
    // The child reads all of stdin before anything else, so this blocks no longer than it takes to start; should it die,
    // writing fails and the answer is empty.
    let _ = stdin.write_all(request);
    drop(stdin);
    match receiver.recv_timeout(wall) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err((Why::Crashed, error.to_string())),
        Err(_) => Err((Why::TimeOut, format!("killed after {} ms", wall.as_millis()))),
    }
}
