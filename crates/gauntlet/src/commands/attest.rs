//! `gauntlet attest`: wraps what somebody else found as signed evidence about a subject.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::{ArgGroup, Args, ValueEnum};
use gauntlet_core::{Digest, DigestSet, Limits, SubjectKind};
use gauntlet_trust::import::{Imported, from_junit, from_sarif, vulnerabilities_from_sarif};
use gauntlet_trust::statement::{CYCLONEDX, Link, OPENVEX, ResourceDescriptor, SPDX, Statement, TestResult, VULNS};
use gauntlet_trust::strict_json::{self, Bounds};
use gauntlet_trust::{bom, statement};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::attestation::{self, SignerArgs};
use crate::cli::Global;
use crate::commands::run::clock;
use crate::exit::{Exit, Refusal, UsageError};
use crate::progress::Meter;
use crate::state::UserConfig;
use crate::terminal;

/// Members and types that only this program's own commands write.
const OURS: &str = "https://gauntlet.example/";
/// Bytes of a file that is attested.
const BYTES: u64 = 64 << 20;

/// Arguments of `gauntlet attest`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args([
    "predicate", "junit", "sarif", "cyclonedx", "spdx", "vulns", "openvex", "step",
])))]
pub(crate) struct AttestArgs {
    /// The file or folder that it is about.
    #[arg(required_unless_present = "digest")]
    subject: Option<PathBuf>,
    /// The subject's digest, such as `sha256:…`, when it is not here; may be given once for each algorithm.
    #[arg(long, value_name = "DIGEST", conflicts_with = "subject")]
    digest: Vec<String>,
    /// The subject's name [default: the file's].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A predicate as JSON, of the type that `--type` names.
    #[arg(long, value_name = "FILE", requires = "kind")]
    predicate: Option<PathBuf>,
    /// Type of the predicate, a URI.
    #[arg(long = "type", id = "kind", value_name = "URI", requires = "predicate")]
    kind: Option<String>,
    /// Results of tests as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Results of a scanner as SARIF 2.1.0.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Make a vulnerability report of the SARIF file; its database was brought up to date at this time.
    #[arg(long, value_name = "TIME", requires = "sarif")]
    database_updated: Option<String>,
    /// A CycloneDX document.
    #[arg(long, value_name = "FILE")]
    cyclonedx: Option<PathBuf>,
    /// An SPDX document.
    #[arg(long, value_name = "FILE")]
    spdx: Option<PathBuf>,
    /// A vulnerability report (in-toto vulns v0.2).
    #[arg(long, value_name = "FILE")]
    vulns: Option<PathBuf>,
    /// An OpenVEX document.
    #[arg(long, value_name = "FILE")]
    openvex: Option<PathBuf>,
    /// Run COMMAND and record it as a step of this name.
    #[arg(long, value_name = "NAME", requires = "command")]
    step: Option<String>,
    /// The command of the step.
    #[arg(last = true, value_name = "COMMAND", requires = "step")]
    command: Vec<String>,
    /// What the step reads, by digest.
    #[arg(long, value_name = "PATH", requires = "step")]
    material: Vec<PathBuf>,
    /// What the tests or the scan were configured with, by digest: nothing in their results says so.
    #[arg(long, value_name = "PATH")]
    configuration: Vec<PathBuf>,
    /// The project whose ledger it is appended to.
    #[arg(long, short = 'C', value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// Write the envelope to a file instead; one that ends in `.jsonl` gets one more line.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    format: Shown,
    #[command(flatten)]
    signer: SignerArgs,
}

/// How to print the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// For a person.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

pub(crate) fn run(args: &AttestArgs, global: &Global, config: &UserConfig) -> anyhow::Result<Exit> {
    let now = clock(global)?.now();
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let subject = args.subject(&meter)?;
    let (statement, exit) = args.statement(subject, &meter)?;
    meter.finish();
    let key = args.signer.signing_key(config)?;
    let kept = match &args.output {
        Some(file) => attestation::write(&statement, &key, file)?,
        None => attestation::append(&statement, "attestation", &key, &args.project, config, now)?,
    };
    let first = statement.subject.first().cloned().unwrap_or_default();
    if args.format == Shown::Json {
        let object = json!({
            "schema": 1,
            "tool": {"name": "gauntlet", "version": env!("CARGO_PKG_VERSION")},
            "subject": {"name": first.name, "digest": first.digest},
            "predicate_type": statement.predicate_type,
            "result": statement.predicate.as_ref().and_then(|p| p.get("result")),
            "envelope": format!("sha256:{}", kept.envelope),
            "ledger_index": kept.index,
            "output": args.output.as_ref().map(|path| path.display().to_string()),
            "key_id": key.key_id(),
        });
        terminal::print(&format!("{object}\n"))?;
        return Ok(exit);
    }
    let place = match (&args.output, kept.index) {
        (Some(file), _) => file.display().to_string(),
        (None, Some(index)) => format!("entry {index} of the ledger in {}", args.project.display()),
        (None, None) => "nowhere".to_owned(),
    };
    let result = statement.predicate.as_ref().and_then(|p| p.get("result")).and_then(Value::as_str);
    let result = result.map_or_else(String::new, |result| format!("Result     {result}\n"));
    let digest = first.digest.primary().map_or_else(String::new, |digest| digest.to_string());
    terminal::print(&format!(
        "Attested   {}\nAbout      {} {digest}\n{result}Envelope   sha256:{}\nKept       {place}\nKey id     {}\n",
        statement.predicate_type,
        first.name.unwrap_or_default(),
        kept.envelope,
        key.key_id(),
    ))?;
    Ok(exit)
}

impl AttestArgs {
    fn subject(&self, meter: &Meter) -> anyhow::Result<ResourceDescriptor> {
        let mut found = match &self.subject {
            Some(path) => {
                let (subject, _, _) = attestation::subject(path, SubjectKind::Files, &Limits::default(), meter)?;
                ResourceDescriptor::from(&subject)
            }
            None => {
                let parse = |text: &String| -> anyhow::Result<Digest> {
                    Ok(text.parse().map_err(|error| UsageError::new(format!("--digest: {error}")))?)
                };
                let digests = self.digest.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
                let set = digests.iter().fold(DigestSet::default(), DigestSet::with);
                ResourceDescriptor { digest: set, ..ResourceDescriptor::default() }
            }
        };
        found.name = self.name.clone().or(found.name);
        Ok(found)
    }

    fn statement(&self, subject: ResourceDescriptor, meter: &Meter) -> anyhow::Result<(Statement, Exit)> {
        if let Some(step) = &self.step {
            let (link, exit) = self.step(step, meter)?;
            return Ok((typed(subject, statement::LINK, &link)?, exit));
        }
        if let Some(path) = &self.junit {
            let bytes = read(path)?;
            let result = from_junit(self.imported(path, &bytes, meter)?).map_err(|error| broken(path, &error))?;
            return Ok((typed(subject, statement::TEST_RESULT, &result)?, Exit::Allowed));
        }
        if let Some(path) = &self.sarif {
            let bytes = read(path)?;
            let file = self.imported(path, &bytes, meter)?;
            if let Some(updated) = &self.database_updated {
                let report = vulnerabilities_from_sarif(&file, updated).map_err(|error| broken(path, &error))?;
                return Ok((typed(subject, VULNS, &report)?, Exit::Allowed));
            }
            let result: TestResult = from_sarif(file).map_err(|error| broken(path, &error))?;
            return Ok((typed(subject, statement::TEST_RESULT, &result)?, Exit::Allowed));
        }
        if !self.configuration.is_empty() {
            return Err(UsageError::new("--configuration belongs to --junit and --sarif").into());
        }
        let documents = [
            (&self.cyclonedx, CYCLONEDX),
            (&self.spdx, SPDX),
            (&self.vulns, VULNS),
            (&self.openvex, OPENVEX),
            (&self.predicate, self.kind.as_deref().unwrap_or_default()),
        ];
        let (path, kind) = documents
            .into_iter()
            .find_map(|(path, kind)| Some((path.as_ref()?, kind)))
            .ok_or_else(|| UsageError::new("there is nothing to attest"))?;
        let bytes = read(path)?;
        if kind == CYCLONEDX {
            same_subject(path, &bytes, &subject)?;
        }
        let predicate: Value =
            strict_json::from_slice(&bytes, &Bounds::DOCUMENT).map_err(|error| broken(path, &error))?;
        Ok((wrapped(subject, kind, predicate).map_err(|error| broken(path, &error))?, Exit::Allowed))
    }

    fn imported<'a>(&self, path: &'a Path, bytes: &'a [u8], meter: &Meter) -> anyhow::Result<Imported<'a>> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("results");
        Ok(Imported { name, bytes, configuration: described(&self.configuration, meter)? })
    }

    /// Runs the step's command; what it prints is shown, and named by digest.
    fn step(&self, name: &str, meter: &Meter) -> anyhow::Result<(Link, Exit)> {
        let materials = described(&self.material, meter)?;
        let (program, arguments) =
            self.command.split_first().ok_or_else(|| UsageError::new("--step needs a command behind `--`"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| UsageError::new(format!("cannot run {program}: {error}")))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let errors = std::thread::spawn(move || copied(err, &mut std::io::stderr()));
        // The command's output goes where our own progress goes: stdout is for the result.
        let (out_bytes, out_digest) = copied(out, &mut std::io::stderr())?;
        let (err_bytes, err_digest) =
            errors.join().map_err(|_| anyhow::anyhow!("the reader of the command's errors died"))??;
        let status = child.wait().context("cannot wait for the command")?;
        let byproducts = json!({
            "return-value": status.code(),
            "stdout": {"bytes": out_bytes, "sha256": out_digest},
            "stderr": {"bytes": err_bytes, "sha256": err_digest},
        });
        let link = Link {
            name: name.to_owned(),
            command: self.command.clone(),
            materials,
            byproducts: byproducts.as_object().cloned().unwrap_or_default(),
            environment: Map::new(),
            extensions: Map::new(),
        };
        Ok((link, if status.success() { Exit::Allowed } else { Exit::Refused }))
    }
}

/// Passes a stream on, and gives its length and SHA-256.
fn copied(stream: Option<impl std::io::Read>, to: &mut impl std::io::Write) -> anyhow::Result<(u64, String)> {
    let (mut hasher, mut total) = (Sha256::new(), 0u64);
    let mut buffer = [0; 8192];
    if let Some(mut stream) = stream {
        loop {
            let n = stream.read(&mut buffer).context("cannot read what the command prints")?;
            let Some(piece) = buffer.get(..n).filter(|piece| !piece.is_empty()) else { break };
            hasher.update(piece);
            total = total.saturating_add(n as u64);
            to.write_all(piece).ok();
        }
    }
    Ok((total, hex::encode(hasher.finalize())))
}

/// The statement of a typed predicate, checked by the reader that will read it.
fn typed<P: statement::Predicate>(subject: ResourceDescriptor, kind: &str, predicate: &P) -> anyhow::Result<Statement> {
    predicate.check()?;
    Ok(Statement::new(vec![subject], kind, serde_json::to_value(predicate)?))
}

/// The statement of a predicate that came as JSON: checked where its type is known, and never one that only this
/// program's own commands make.
fn wrapped(subject: ResourceDescriptor, kind: &str, predicate: Value) -> anyhow::Result<Statement> {
    if !kind.contains(':') || kind.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UsageError::new(format!("--type {kind}: a predicate type is a URI")).into());
    }
    let own = predicate.as_object().and_then(|members| members.keys().find(|name| name.starts_with(OURS)));
    if let Some(name) = own.map(String::as_str).or_else(|| kind.starts_with(OURS).then_some(kind)) {
        return Err(UsageError::new(format!("{name} is written by gauntlet's own commands, never attested")).into());
    }
    let statement = Statement::new(vec![subject], kind, predicate);
    if !matches!(statement.predicate, Some(Value::Object(_))) {
        return Err(UsageError::new("the predicate is not a JSON object").into());
    }
    statement.check_known().map_err(|error| UsageError::new(error.to_string()))?;
    Ok(statement)
}

/// A document that names another subject by digest is no evidence about this one.
fn same_subject(path: &Path, bytes: &[u8], subject: &ResourceDescriptor) -> anyhow::Result<()> {
    let summary = bom::read(bytes).map_err(|error| broken(path, &error))?;
    let Some(about) = summary.subject else { return Ok(()) };
    let sets: Vec<DigestSet> = about.sha256.iter().map(|digest| DigestSet::default().with(digest)).collect();
    let comparable = subject.digest.get(gauntlet_core::Algorithm::Sha256).is_some() && !sets.is_empty();
    if comparable && !sets.iter().any(|set| set.matches(&subject.digest)) {
        let message = format!("{} is about `{}` with another SHA-256 than this subject", path.display(), about.name);
        return Err(Refusal::new(message).into());
    }
    Ok(())
}

/// Files and folders as descriptors, by digest.
fn described(paths: &[PathBuf], meter: &Meter) -> anyhow::Result<Vec<ResourceDescriptor>> {
    paths
        .iter()
        .map(|path| {
            let (subject, _, _) = attestation::subject(path, SubjectKind::Files, &Limits::default(), meter)?;
            Ok(ResourceDescriptor::named(path.to_string_lossy(), subject.digest))
        })
        .collect()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::File::open(path)
        .map_err(|error| UsageError::new(format!("cannot read {}: {error}", path.display())))?;
    let mut bytes = Vec::new();
    file.take(BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES {
        return Err(UsageError::new(format!("{} is longer than {BYTES} bytes", path.display())).into());
    }
    Ok(bytes)
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> UsageError {
    UsageError::new(format!("{} cannot become evidence: {error}", path.display()))
}
