//! The caller's side of a confined run: starts the stages, holds the limits, collects what comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::{Groups, Wanted};
use super::limits::{self, Watched};
use super::proxy::{self, Proxy};
use super::wire::{Bind, Mechanism, Message, Spec, receive, send};
use super::{
    End, Job, LimitName, MechanismState, Opened, Outcome, OutputFile, SandboxError, Stages, Stream, Usage, WORK, Watch,
    bubblewrap, outputs,
};

const TICK: Duration = Duration::from_millis(50);
/// To set up, and to end after a kill.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest line that is handed to the watch; more is cut into lines.
const MAX_LINE: u64 = 64 << 10;
/// Events that wait; whoever writes faster than the watch reads is slowed down.
const QUEUE: usize = 256;

enum Event {
    Outer(Message),
    Init(Message),
    Output(io::Result<OutputFile>),
    InitEnd,
    OuterEnd,
    Line(Stream, String),
}

/// Runs a job.
///
/// # Errors
/// [`SandboxError`] when the run did not come about; what happened in it is the outcome's [`End`].
pub fn run(job: &Job, stages: &Stages, watch: &mut dyn Watch) -> Result<Outcome, SandboxError> {
    let folder = tempfile::Builder::new()
        .prefix("gauntlet-run-")
        .tempdir()
        .map_err(SandboxError::io("cannot make a folder for the run"))?;
    let root = folder.path().join("root");
    fs::create_dir(&root).map_err(SandboxError::io("cannot make a folder for the run"))?;
    let proxy_socket = folder.path().join("proxy.sock");
    let proxy = match job.hosts.as_slice() {
        [] => None,
        hosts => Some(Proxy::listen(&proxy_socket, hosts).map_err(SandboxError::io("cannot start the proxy"))?),
    };
    let mut spec = specification(job, &root, proxy.is_some().then_some(proxy_socket))?;
    let groups = Groups::make(&wanted(job));
    let as_root = nix::unistd::geteuid().is_root();
    let (states, watched) = limits::assign(&job.limits, &job.prices, &groups, &mut spec, as_root);

    let control = folder.path().join("control.sock");
    let listener = UnixListener::bind(&control).map_err(SandboxError::io("cannot make a control socket"))?;
    let first = if job.bubblewrap.is_some() { "hold" } else { "outer" };
    let mut child = Command::new(&stages.program)
        .args([stages.command.as_str(), first])
        .arg(&control)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(SandboxError::io("cannot start the first stage"))?;
    let (sender, events) = sync_channel(QUEUE);
    listen(child.stdout.take(), Stream::Out, &sender);
    listen(child.stderr.take(), Stream::Error, &sender);
    let mut run = Run {
        job,
        environment: spec.environment.clone(),
        child,
        groups,
        watched,
        init: None,
        events,
        mechanisms: BTreeMap::new(),
        opened: Vec::new(),
        opened_more: false,
        executed: Vec::new(),
        outputs: Vec::new(),
        skipped: Vec::new(),
        survivors: 0,
        backlog: Vec::new(),
    };
    let result = run.conduct(spec, &listener, &control, stages, sender, watch);
    run.finish(watch);
    let (end, wall) = result?;
    let usage = Usage {
        wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        cpu_ms: run.groups.cpu_time(),
        memory: run.groups.peak_memory(),
        processes: run.groups.peak_processes(),
    };
    let traced = run.mechanisms.get(&Mechanism::OpenTracing) == Some(&None);
    run.opened.sort();
    Ok(Outcome {
        outputs: if matches!(end, End::Exited(_) | End::Signalled(_)) {
            std::mem::take(&mut run.outputs)
        } else {
            Vec::new()
        },
        end,
        mechanisms: run.states(),
        limits: states,
        opened: traced.then(|| std::mem::take(&mut run.opened)),
        opened_more: run.opened_more,
        executed: std::mem::take(&mut run.executed),
        connections: proxy.map(|p| p.connections()).unwrap_or_default(),
        skipped: std::mem::take(&mut run.skipped),
        usage,
        survivors: run.survivors,
        environment: std::mem::take(&mut run.environment),
    })
}

/// One run under way. Whatever happens, [`Run::finish`] ends its processes.
struct Run<'a> {
    job: &'a Job,
    environment: BTreeMap<String, String>,
    child: Child,
    groups: Groups,
    watched: Watched,
    /// The first process's id here.
    init: Option<i32>,
    events: Receiver<Event>,
    /// `None` for in force, else what the system said.
    mechanisms: BTreeMap<Mechanism, Option<String>>,
    opened: Vec<Opened>,
    opened_more: bool,
    executed: Vec<String>,
    outputs: Vec<OutputFile>,
    skipped: Vec<(PathBuf, String)>,
    survivors: u64,
    /// Lines of output that came while the run was set up.
    backlog: Vec<(Stream, String)>,
}

impl Run<'_> {
    fn conduct(
        &mut self,
        mut spec: Spec,
        listener: &UnixListener,
        control: &Path,
        stages: &Stages,
        sender: SyncSender<Event>,
        watch: &mut dyn Watch,
    ) -> Result<(End, Duration), SandboxError> {
        let mut first = self.accept(listener)?;
        let stage = self.child.id();
        let grouped = self.groups.enter(stage);
        grouped.map_err(SandboxError::io("cannot put the run into its control groups"))?;
        let mut inner = spec.clone();
        if let Some(program) = &self.job.bubblewrap {
            spec.become_this = bubblewrap::command_line(program, &stages.program, control, &stages.command, &spec);
            send(&mut first, &Message::Spec(Box::new(spec))).map_err(SandboxError::io("cannot reach the stage"))?;
            (inner.mounted, inner.trace) = (true, false);
            inner.code = Vec::new();
            for name in ["TMPDIR", "HOME"] {
                let place = format!("{WORK}/.{}", if name == "HOME" { "home" } else { "tmp" });
                inner.environment.insert(name.to_owned(), place);
            }
            self.environment.clone_from(&inner.environment);
            for mechanism in [
                Mechanism::UserNamespace,
                Mechanism::PidNamespace,
                Mechanism::MountNamespace,
                Mechanism::NetworkNamespace,
                Mechanism::IpcNamespace,
                Mechanism::UtsNamespace,
                Mechanism::CgroupNamespace,
                Mechanism::ReadOnlyRoot,
                Mechanism::ScratchTmpfs,
                Mechanism::OwnProc,
            ] {
                // Bubblewrap ends when it cannot do what it was asked for.
                self.mechanisms.insert(mechanism, None);
            }
            let why = "bubblewrap does not let itself be traced".to_owned();
            self.mechanisms.insert(Mechanism::OpenTracing, Some(why));
        } else {
            send(&mut first, &Message::Spec(Box::new(spec))).map_err(SandboxError::io("cannot reach the stage"))?;
            let outer = sender.clone();
            thread::spawn(move || {
                let mut input = BufReader::new(first);
                while let Ok(Some(message)) = receive(&mut input) {
                    let _ = outer.send(Event::Outer(message));
                }
                let _ = outer.send(Event::OuterEnd);
            });
            self.until(|run, message| match message {
                Message::Done(Mechanism::OpenTracing) => Some(true),
                Message::Refused(Mechanism::OpenTracing, _) => Some(false),
                _ => {
                    let _ = run;
                    None
                }
            })
            .map(|traced| inner.trace = traced)?;
            self.groups.leave(stage);
        }
        let mut second = self.accept(listener)?;
        send(&mut second, &Message::Spec(Box::new(inner)))
            .map_err(SandboxError::io("cannot reach the first process"))?;
        let reading = second.try_clone().map_err(SandboxError::io("cannot reach the first process"))?;
        let (staging, declared) = (self.job.staging.clone(), self.job.outputs.clone());
        let disk = self.job.limits.disk.map_or(0, |d| d.0);
        thread::spawn(move || read_init(reading, &staging, &declared, disk, &sender));
        self.until(|_, message| matches!(message, Message::Ready).then_some(true))?;
        self.judge_mechanisms()?;
        for (stream, line) in std::mem::take(&mut self.backlog) {
            watch.line(stream, &line);
        }
        let started = Instant::now();
        send(&mut second, &Message::Go).map_err(SandboxError::io("cannot start the command"))?;
        self.supervise(started, watch)
    }

    /// Waits for a stage to connect, as long as it lives.
    fn accept(&mut self, listener: &UnixListener) -> Result<UnixStream, SandboxError> {
        listener.set_nonblocking(true).map_err(SandboxError::io("cannot listen"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(SandboxError::io("cannot listen"))?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(SandboxError::io("cannot listen")(error)),
            }
            while let Ok(event) = self.events.try_recv() {
                self.take(event);
            }
            let gone = self.child.try_wait().ok().flatten();
            if gone.is_some() || Instant::now() > deadline {
                let said: Vec<String> = self.backlog.iter().map(|(_, line)| line.clone()).collect();
                let how = gone.map_or_else(|| "it did not answer".to_owned(), |status| status.to_string());
                return Err(SandboxError::Stage(format!("a stage ended early ({how}) {}", said.join(" | "))));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes events until one answers.
    fn until<T>(&mut self, answer: impl Fn(&Self, &Message) -> Option<T>) -> Result<T, SandboxError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).map_err(|_| SandboxError::Stage("it did not answer".into()))?;
            match &event {
                Event::Outer(Message::Error(why)) | Event::Init(Message::Error(why)) => {
                    return Err(SandboxError::Stage(why.clone()));
                }
                Event::OuterEnd | Event::InitEnd => {
                    let said: Vec<String> = self.backlog.iter().map(|(_, line)| line.clone()).collect();
                    return Err(SandboxError::Stage(format!("a stage ended early {}", said.join(" | "))));
                }
                Event::Outer(message) | Event::Init(message) => {
                    let found = answer(self, message);
                    self.take(event);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                _ => self.take(event),
            }
        }
    }

    /// Notes what an event says.
    fn take(&mut self, event: Event) {
        match event {
            Event::Outer(message) | Event::Init(message) => match message {
                Message::Done(mechanism) => {
                    self.mechanisms.insert(mechanism, None);
                }
                Message::Refused(mechanism, why) => {
                    self.mechanisms.insert(mechanism, Some(why));
                }
                Message::Child(pid) => self.init = Some(pid),
                Message::Opens(list) => self.opened.extend(list),
                Message::Executed(list) => self.executed.extend(list),
                Message::OpensOverflow => self.opened_more = true,
                Message::Skipped(path, why) => self.skipped.push((path, why)),
                _ => {}
            },
            Event::Output(Ok(file)) => self.outputs.push(file),
            Event::Line(stream, line) => self.backlog.push((stream, line)),
            Event::Output(Err(_)) | Event::InitEnd | Event::OuterEnd => {}
        }
    }

    fn judge_mechanisms(&self) -> Result<(), SandboxError> {
        let needed = Mechanism::REQUIRED.iter().copied();
        let proxy = (!self.job.hosts.is_empty()).then_some(Mechanism::HostProxy);
        let refused: Vec<String> = needed
            .chain(proxy)
            .filter(|mechanism| !self.job.without.contains(mechanism))
            .filter_map(|mechanism| match self.mechanisms.get(&mechanism) {
                Some(None) => None,
                Some(Some(why)) => Some(format!("{}: {why}", mechanism.as_str())),
                None => Some(format!("{}: it was not reached", mechanism.as_str())),
            })
            .collect();
        if refused.is_empty() { Ok(()) } else { Err(SandboxError::Refused { refused }) }
    }

    /// Holds the limits until the run ends by itself or is ended.
    fn supervise(&mut self, started: Instant, watch: &mut dyn Watch) -> Result<(End, Duration), SandboxError> {
        let mut end: Option<End> = None;
        // Time of the command, not of handing back what it made.
        let mut wall = None;
        let mut killed_at: Option<Instant> = None;
        loop {
            let event = self.events.recv_timeout(TICK);
            match event {
                Ok(Event::Line(stream, line)) => {
                    if let Some(why) = watch.line(stream, &line)
                        && end.is_none()
                    {
                        end = Some(End::Stopped(why));
                    }
                }
                Ok(Event::Init(Message::Exit { code, signal, survivors, full })) => {
                    wall = Some(started.elapsed());
                    self.survivors = survivors;
                    // The command may have ended between two looks at the counters.
                    let over = full
                        .then_some(LimitName::Disk)
                        .or_else(|| self.watched.over(started.elapsed(), &self.groups, None));
                    let own = match (code, signal) {
                        (Some(code), _) => End::Exited(code),
                        (None, signal) => End::Signalled(signal.unwrap_or(0)),
                    };
                    end.get_or_insert(over.map_or(own, End::OverLimit));
                }
                Ok(Event::Init(Message::Error(why))) => return Err(SandboxError::Stage(why)),
                Ok(Event::Output(Err(error))) => return Err(SandboxError::io("cannot take an output")(error)),
                Ok(Event::InitEnd) => {
                    let wall = wall.unwrap_or_else(|| started.elapsed());
                    // Killed from outside, or with its namespace by the system for want of memory.
                    let over = self.watched.over(wall, &self.groups, None).map(End::OverLimit);
                    let end = end.or(over).unwrap_or(End::Signalled(Signal::SIGKILL as i32));
                    return Ok((end, wall));
                }
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if wall.is_none()
                && end.is_none()
                && let Some(limit) = self.watched.over(started.elapsed(), &self.groups, self.init)
            {
                end = Some(End::OverLimit(limit));
            }
            if wall.is_none() && end.is_some() && killed_at.is_none() {
                self.kill();
                killed_at = Some(Instant::now());
            }
            if killed_at.is_some_and(|at| at.elapsed() > PATIENCE) {
                return Err(SandboxError::Stage("the run was killed and did not end".to_owned()));
            }
        }
    }

    /// Kills everything: with the first process the system ends all others of its namespace.
    fn kill(&mut self) {
        self.groups.kill();
        match self.init {
            Some(init) => {
                let _ = kill(Pid::from_raw(init), Signal::SIGKILL);
            }
            None => {
                let _ = self.child.kill();
            }
        }
    }

    /// Lets the first stage say what it saw, then ends whatever is left.
    fn finish(&mut self, watch: &mut dyn Watch) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut told = self.init.is_none();
        while !told && Instant::now() < deadline {
            match self.events.recv_timeout(TICK) {
                Ok(Event::OuterEnd) => told = true,
                Ok(Event::Line(stream, line)) => {
                    watch.line(stream, &line);
                }
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Disconnected) => break,
                // Nothing was started, or it did not end: then nobody is going to tell anything.
                Err(RecvTimeoutError::Timeout) => {
                    if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                        break;
                    }
                    self.kill();
                }
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        while let Ok(event) = self.events.recv_timeout(TICK) {
            match event {
                Event::Line(stream, line) => {
                    watch.line(stream, &line);
                }
                event => self.take(event),
            }
        }
    }

    fn states(&self) -> Vec<MechanismState> {
        Mechanism::ALL
            .iter()
            .filter(|m| **m != Mechanism::HostProxy || !self.job.hosts.is_empty())
            .map(|mechanism| match self.mechanisms.get(mechanism) {
                Some(None) => MechanismState { mechanism: *mechanism, enforced: true, reason: None },
                Some(Some(why)) => MechanismState { mechanism: *mechanism, enforced: false, reason: Some(why.clone()) },
                None => {
                    MechanismState { mechanism: *mechanism, enforced: false, reason: Some("not reached".to_owned()) }
                }
            })
            .collect()
    }
}

fn wanted(job: &Job) -> Wanted {
    // The first process, the stage before it, and the relay's threads are not the command's.
    let ours = if job.hosts.is_empty() { 2 } else { 200 };
    Wanted {
        memory: job.limits.memory.map_or(u64::MAX / 2, |m| m.0),
        processes: job.limits.processes.unwrap_or(u64::from(u32::MAX)).saturating_add(ours),
        milli_cores: job.limits.cpus.map_or(1_000_000, |c| c.0),
    }
}

fn specification(job: &Job, root: &Path, proxy: Option<PathBuf>) -> Result<Spec, SandboxError> {
    let mut binds: Vec<Bind> = job
        .system
        .iter()
        .map(|path| Bind { host: path.clone(), inside: path.clone() })
        .chain(job.inputs.iter().map(|(host, inside)| Bind { host: host.clone(), inside: inside.clone() }))
        .collect();
    binds.sort_by(|a, b| a.inside.cmp(&b.inside));
    let gpus = job.limits.gpus.unwrap_or(0);
    Ok(Spec {
        root: root.to_owned(),
        command: job.command.clone(),
        environment: environment(job, gpus, proxy.is_some()),
        code: job.code.clone(),
        binds,
        devices: devices(gpus)?,
        outputs: job.outputs.clone(),
        trace: job.trace,
        proxy,
        ..Spec::default()
    })
}

/// What every run has in its environment; the job's own variables win.
fn environment(job: &Job, gpus: u32, proxied: bool) -> BTreeMap<String, String> {
    let visible: Vec<String> = (0..gpus).map(|n| n.to_string()).collect();
    let mut path: Vec<String> = job.system.iter().map(|p| format!("{}/bin", p.display())).collect();
    path.extend(["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(str::to_owned));
    let mut all = BTreeMap::from(
        [
            ("PATH", path.join(":")),
            ("HOME", "/home".to_owned()),
            ("TMPDIR", "/tmp".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            // Lines have to come while it trains, not when a buffer is full.
            ("PYTHONUNBUFFERED", "1".to_owned()),
            ("CUDA_VISIBLE_DEVICES", visible.join(",")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if proxied {
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            all.insert(name.to_owned(), format!("http://127.0.0.1:{}", proxy::PORT));
        }
    }
    all.extend(job.environment.clone());
    all
}

/// Device nodes of the first `gpus` NVIDIA cards and of their driver.
fn devices(gpus: u32) -> Result<Vec<PathBuf>, SandboxError> {
    if gpus == 0 {
        return Ok(Vec::new());
    }
    let cards: Vec<PathBuf> =
        (0..gpus).map(|n| PathBuf::from(format!("/dev/nvidia{n}"))).take_while(|card| card.exists()).collect();
    let there = u32::try_from(cards.len()).unwrap_or(u32::MAX);
    if there < gpus {
        return Err(SandboxError::Gpus { wanted: gpus, there });
    }
    let driver = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"].map(|n| Path::new("/dev").join(n));
    Ok(cards.into_iter().chain(driver.into_iter().filter(|node| node.exists())).collect())
}

/// Hands over lines; a line without end is cut, so that it cannot fill memory.
fn listen(pipe: Option<impl Read + Send + 'static>, stream: Stream, sender: &SyncSender<Event>) {
    let Some(pipe) = pipe else { return };
    let sender = sender.clone();
    thread::spawn(move || {
        let mut input = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            if sender.send(Event::Line(stream, text)).is_err() {
                return;
            }
        }
    });
}

fn read_init(stream: UnixStream, staging: &Path, declared: &[PathBuf], disk: u64, sender: &SyncSender<Event>) {
    let mut input = BufReader::with_capacity(256 << 10, stream);
    let mut left = disk;
    while let Ok(Some(message)) = receive(&mut input) {
        let event = match message {
            Message::File(path, size, executable) => {
                Event::Output(outputs::take(&mut input, staging, declared, (path, size, executable), &mut left))
            }
            message => Event::Init(message),
        };
        let broken = matches!(event, Event::Output(Err(_)));
        if sender.send(event).is_err() || broken {
            return;
        }
    }
    let _ = sender.send(Event::InitEnd);
}
