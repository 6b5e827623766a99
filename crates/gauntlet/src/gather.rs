//! Gathers what is known of a model for its bill of materials and its card: facts of the artifact gate, the project's
//! configuration, manifests, evidence of the ledger, signatures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::card::Card;
use gauntlet_core::project::FILE_NAME;
use gauntlet_core::{
    Digest, Limits, MaskKey, Metric, Project, Report, Severity, Stage, Subject, SubjectKind, Verdict, canonical,
};
use gauntlet_data::manifest::Manifest;
use gauntlet_trust::bom::{
    CardEntry, DatasetEntry, FileEntry, Measured, ModelFacts, ProvenanceEntry, ScanEntry, SignatureEntry, Source,
    VulnerabilityEntry, of_provenance, of_requirements,
};
use gauntlet_trust::import::IMPORT_MEMBER;
use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::oms::{self, Trust, VerifyOptions};
use gauntlet_trust::statement::{PROVENANCE, Provenance, TEST_RESULT, TestOutcome, TestResult, VULNS, Vulnerabilities};
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::attestation::{self, Found};
use crate::exit::UsageError;
use crate::gates::GATES;
use crate::judge::{self, Bench};
use crate::plan::{self, Task};
use crate::progress::Meter;
use crate::state::UserConfig;
use crate::terminal;

/// Names that cards have beside or inside a model.
const CARDS: [&str; 3] = ["README.md", "MODEL_CARD.md", "model_card.md"];
/// Bytes of a card or requirements file.
const BYTES: u64 = 4 << 20;

/// Where to look for what is known of a model.
#[derive(Debug, Args)]
pub(crate) struct GatherArgs {
    /// Model file or folder.
    pub(crate) model: PathBuf,
    /// The project's folder, with gauntlet.yaml and ledger [default: the nearest folder at or above MODEL that has one].
    #[arg(long, short = 'C', value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// The model's card [default: the one gauntlet.yaml names, else the README inside the model's folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) card: Option<PathBuf>,
    /// Requirements file of the training environment; what it pins is listed as declared.
    #[arg(long, value_name = "FILE")]
    pub(crate) requirements: Vec<PathBuf>,
    /// The model's signature [default: MODEL/model.sig or MODEL.sig, when it is there].
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// Public key whose signatures count, on the model and on evidence; your own keys count for evidence.
    #[arg(long = "verify-key", value_name = "PUB")]
    pub(crate) verify_keys: Vec<PathBuf>,
    /// Version of the model.
    #[arg(long, value_name = "VERSION")]
    pub(crate) model_version: Option<String>,
    /// Package URL of the model.
    #[arg(long, value_name = "PURL")]
    pub(crate) purl: Option<String>,
}

/// A model with everything that is known of it.
pub(crate) struct Gathered {
    /// What goes into documents.
    pub(crate) facts: ModelFacts,
    /// The project, when there is one.
    pub(crate) project: Option<PathBuf>,
    /// Where the card is, or would be.
    pub(crate) card: PathBuf,
    /// The card lies inside the model's own folder.
    pub(crate) card_inside: bool,
}

/// Reads the model through the artifact gate and gathers the rest.
pub(crate) fn gather(
    args: &GatherArgs,
    now: Timestamp,
    config: &UserConfig,
    meter: &Meter,
) -> anyhow::Result<Gathered> {
    if !args.model.exists() {
        return Err(UsageError::new(format!("{} is not there", args.model.display())).into());
    }
    let home = home(args);
    let project = home.as_deref().map(|dir| crate::commands::run::load(&dir.join(FILE_NAME), dir)).transpose()?;
    let limits = project.as_ref().map_or_else(Limits::default, |project| project.limits.clone());
    let declared = project.as_ref().zip(home.as_deref()).and_then(|(project, dir)| declared(project, dir, &args.model));

    meter.step("reading the model");
    let (mut subject, tree, hashes) = attestation::subject(&args.model, SubjectKind::Model, &limits, meter)?;
    if let (Some(project), Some(name)) = (&project, &declared) {
        subject.name = format!("{}/{name}", project.project.value);
    }
    let files = tree.files.iter().zip(&hashes).map(|(file, sha256)| {
        let (path, _) = gauntlet_core::display_path(&file.path);
        FileEntry { path, size: file.size, sha256: sha256.clone() }
    });
    let files: Vec<FileEntry> = files.collect();

    let (card, card_inside) = card_path(args, project.as_ref(), home.as_deref(), declared.as_deref());
    let mask = MaskKey::for_project(project.as_ref().map_or("", |project| &project.project.value));
    let bench = Bench { limits: &limits, mask: &mask, now, meter };
    let (descriptions, reports) = read(&subject, tree, &bench)?;
    let trusted = attestation::trusted_keys(&args.verify_keys, config)?;
    let found = match &home {
        Some(dir) => attestation::about(&subject.digest, dir, config, &trusted)?,
        None => Vec::new(),
    };
    let datasets = match (&project, &home) {
        (Some(project), Some(dir)) => datasets(project, dir, meter)?,
        _ => Vec::new(),
    };
    let mut facts = ModelFacts {
        subject,
        version: args.model_version.clone(),
        purl: args.purl.clone(),
        files,
        descriptions,
        card: read_card(&card)?,
        kind: project.as_ref().map(|project| project.kind),
        risk: project.as_ref().map(|project| project.risk),
        owners: project.as_ref().map(|project| project.owners.clone()).unwrap_or_default(),
        measured: Vec::new(),
        datasets,
        provenance: Vec::new(),
        packages: Vec::new(),
        signatures: signatures(args, &trusted)?,
        vulnerabilities: Vec::new(),
        scans: reports.iter().map(scan_of_report).collect::<anyhow::Result<_>>()?,
    };
    for evidence in &found {
        take(evidence, &mut facts);
    }
    if facts.packages.is_empty() {
        requirements(args, &mut facts)?;
    }
    Ok(Gathered { facts, project: home, card, card_inside })
}

/// `--project`, else the nearest folder at or above the model with a gauntlet.yaml.
fn home(args: &GatherArgs) -> Option<PathBuf> {
    if args.project.is_some() {
        return args.project.clone();
    }
    let full = args.model.canonicalize().ok()?;
    full.ancestors().find(|folder| folder.join(FILE_NAME).is_file()).map(Path::to_path_buf)
}

/// The name under which the project declares this path.
fn declared(project: &Project, dir: &Path, model: &Path) -> Option<String> {
    let full = model.canonicalize().ok()?;
    let same = |path: &str| dir.join(path).canonicalize().is_ok_and(|other| other == full);
    project.models.iter().find(|(_, config)| same(&config.path.value)).map(|(name, _)| name.clone())
}

/// Where the card is, and whether that is inside the model's folder.
fn card_path(
    args: &GatherArgs,
    project: Option<&Project>,
    home: Option<&Path>,
    declared: Option<&str>,
) -> (PathBuf, bool) {
    let inside = |path: &Path| {
        let full = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
        args.model.is_dir() && full(path).zip(args.model.canonicalize().ok()).is_some_and(|(a, b)| a.starts_with(b))
    };
    if let Some(path) = &args.card {
        return (path.clone(), inside(path));
    }
    let configured = declared.and_then(|name| project?.models.get(name)?.card.as_ref()).zip(home);
    if let Some((path, dir)) = configured {
        let path = dir.join(&path.value);
        let within = inside(&path);
        return (path, within);
    }
    if args.model.is_dir() {
        let found = CARDS.iter().map(|name| args.model.join(name)).find(|path| path.is_file());
        return (found.unwrap_or_else(|| args.model.join("README.md")), true);
    }
    (args.model.with_extension("md"), false)
}

fn read_card(path: &Path) -> anyhow::Result<Option<CardEntry>> {
    let bytes = match bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read the card {}", path.display())),
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Some(CardEntry { path: name, card: Card::parse(&bytes) }))
}

fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES {
        return Err(std::io::Error::other(format!("it is longer than {BYTES} bytes")));
    }
    Ok(bytes)
}

/// What the artifact gate sees in the model, and what it says to it.
fn read(
    subject: &Subject,
    tree: gauntlet_core::Tree,
    bench: &Bench<'_>,
) -> anyhow::Result<(Vec<gauntlet_core::ModelDescription>, Vec<Report>)> {
    let (stage, gate) = GATES
        .iter()
        .find(|(stage, _)| *stage == Stage::Artifact)
        .map(|(stage, gate)| (*stage, *gate))
        .context("this program has no artifact gate")?;
    let task = Task { stage, gate, subject: subject.clone(), tree, config: json!({}), declared: true };
    let judged = judge::judge(&task, bench);
    Ok((gauntlet_artifact::describe(&judged.facts), judged.reports))
}

fn scan_of_report(report: &Report) -> anyhow::Result<ScanEntry> {
    let digest = Digest::sha256(&canonical::to_vec(report)?);
    let count = |severity: Severity| report.open_findings().filter(|finding| finding.severity == severity).count();
    let levels = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];
    Ok(ScanEntry {
        check: report.check.clone(),
        verdict: report.verdict,
        findings: levels.into_iter().map(|s| (s.as_str().to_owned(), count(s) as u64)).collect(),
        // Judged just now, from the bytes.
        source: Source::envelope(&digest, true),
    })
}

/// Adds what one statement says. A later statement of the same check replaces an earlier one.
fn take(evidence: &Found, facts: &mut ModelFacts) {
    let source = Source::envelope(&evidence.envelope, evidence.verified);
    match evidence.statement.predicate_type.as_str() {
        PROVENANCE => match evidence.statement.predicate_as::<Provenance>() {
            Ok(provenance) => {
                facts.packages.extend(of_provenance(&provenance, &source));
                facts.provenance.push(ProvenanceEntry { provenance, source });
            }
            Err(error) => left_out(evidence, &error),
        },
        TEST_RESULT => match evidence.statement.predicate_as::<TestResult>() {
            Ok(result) => tested(&result, source, facts),
            Err(error) => left_out(evidence, &error),
        },
        VULNS => match evidence.statement.predicate_as::<Vulnerabilities>() {
            Ok(report) => scanned(report, &source, facts),
            Err(error) => left_out(evidence, &error),
        },
        _ => {}
    }
}

fn left_out(evidence: &Found, error: &dyn std::fmt::Display) {
    terminal::note(&format!("warning: ledger entry {} is left out: {error}", evidence.index));
}

/// A later report of the same scanner replaces an earlier one.
fn scanned(report: Vulnerabilities, source: &Source, facts: &mut ModelFacts) {
    let scanner = report.scanner.uri;
    facts.vulnerabilities.retain(|entry| entry.scanner != scanner);
    facts.vulnerabilities.extend(report.scanner.result.into_iter().map(|found| VulnerabilityEntry {
        id: found.id,
        ratings: found.severity.into_iter().map(|severity| (severity.method, severity.score)).collect(),
        scanner: scanner.clone(),
        source: source.clone(),
    }));
}

fn tested(result: &TestResult, source: Source, facts: &mut ModelFacts) {
    let import = result.extensions.get(IMPORT_MEMBER);
    let producer = import.map(|member| {
        let names = member.pointer("/producer/tools/0/name").or_else(|| member.pointer("/producer/suites/0"));
        names.and_then(Value::as_str).unwrap_or("unnamed producer").to_owned()
    });
    let ours = result.report.as_ref();
    let check = ours.and_then(|member| member.get("check")).and_then(Value::as_str).map(str::to_owned);
    let Some(check) = check.or(producer) else { return };
    let verdict = ours.and_then(|member| Verdict::deserialize(member.get("verdict")?).ok());
    let verdict = verdict.unwrap_or(match result.result {
        TestOutcome::Passed => Verdict::Pass,
        TestOutcome::Warned => Verdict::Warn,
        TestOutcome::Failed => Verdict::Fail,
    });
    let metrics = ours.and_then(|member| Vec::<Metric>::deserialize(member.get("metrics")?).ok()).unwrap_or_default();
    // What a card claims is no measurement.
    if check.starts_with("model/") {
        facts.measured.retain(|measured| measured.check != check);
        facts.measured.extend(metrics.into_iter().map(|metric| Measured {
            check: check.clone(),
            metric,
            source: source.clone(),
        }));
    }
    let counts = ours.and_then(|member| BTreeMap::<String, u64>::deserialize(member.get("findings")?).ok());
    let mut findings: Vec<(String, u64)> = counts.unwrap_or_default().into_iter().collect();
    let rank = |name: &str| ["critical", "high", "medium", "low", "info"].iter().position(|known| *known == name);
    findings.sort_by_key(|(name, _)| rank(name));
    facts.scans.retain(|scan| scan.check != check);
    facts.scans.push(ScanEntry { check, verdict, findings, source });
}

/// The project's datasets: digests from their bytes, the rest from their manifests.
fn datasets(project: &Project, dir: &Path, meter: &Meter) -> anyhow::Result<Vec<DatasetEntry>> {
    let plan = plan::of_project(project, project.risk, dir, &[Stage::Data], None, meter)?;
    let mut entries = Vec::new();
    for task in plan.tasks {
        let role = if task.subject.name.ends_with("/test") { "test" } else { "train" };
        let mut entry = DatasetEntry {
            name: task.subject.name.clone(),
            role: role.to_owned(),
            digest: task.subject.digest.clone(),
            ..DatasetEntry::default()
        };
        if let Some(path) = task.config.pointer("/manifest/path").and_then(Value::as_str) {
            let bytes = bounded(&dir.join(path)).with_context(|| format!("cannot read {path}"))?;
            let manifest = Manifest::parse(path, &bytes)?;
            let rows = manifest.files.iter().map(|file| file.rows).try_fold(0u64, |sum, rows| sum.checked_add(rows?));
            entry.manifest = Some(path.to_owned());
            entry.version = manifest.version;
            entry.licence = manifest.license.spdx;
            entry.origin = manifest.source.uri;
            entry.method = manifest.source.method;
            entry.consent_basis = manifest.consent.basis;
            entry.purposes = manifest.consent.purposes;
            entry.personal = manifest.personal_data.columns;
            entry.special_categories = manifest.personal_data.special_categories;
            entry.rows = rows.filter(|rows| *rows > 0);
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn requirements(args: &GatherArgs, facts: &mut ModelFacts) -> anyhow::Result<()> {
    for path in &args.requirements {
        let wrong = |error: &dyn std::fmt::Display| UsageError::new(format!("{}: {error}", path.display()));
        let bytes = bounded(path).map_err(|error| wrong(&error))?;
        let source = Source::declared(path.to_string_lossy());
        let (pinned, open) = of_requirements(&bytes, &source).map_err(|error| wrong(&error))?;
        if !open.is_empty() {
            let names = open.join(", ");
            terminal::note(&format!("warning: {} does not pin {names}: left out", path.display()));
        }
        facts.packages.extend(pinned);
    }
    facts.packages.sort_by(|a, b| a.purl.cmp(&b.purl));
    facts.packages.dedup_by(|a, b| a.purl == b.purl);
    Ok(())
}

/// The model's signature: verified with the keys that were named, otherwise only named by digest.
fn signatures(args: &GatherArgs, trusted: &[VerifyingKey]) -> anyhow::Result<Vec<SignatureEntry>> {
    let path = args.signature.clone().unwrap_or_else(|| oms::default_signature_path(&args.model));
    let bundle = match oms::read_bundle(&path) {
        Ok(bundle) => bundle,
        Err(error) if args.signature.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(UsageError::new(format!("cannot read {}: {error}", path.display())).into()),
    };
    let options = VerifyOptions { signature_path: Some(path.clone()), ..VerifyOptions::default() };
    let verification = oms::verify(&args.model, &bundle, &Trust::Keys(trusted.to_vec()), &options);
    if verification.verdict != Verdict::Pass {
        let why = verification.reasons.first().map_or("", |reason| reason.message.as_str());
        terminal::note(&format!("warning: the signature {} is not verified: {why}", path.display()));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let verified_by = verification.signer.filter(|_| verification.verdict == Verdict::Pass);
    Ok(vec![SignatureEntry { path: name, digest: Digest::sha256(&bundle), verified_by }])
}
