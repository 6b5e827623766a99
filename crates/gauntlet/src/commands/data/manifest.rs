//! `gauntlet data manifest`: drafts, checks and converts the manifest of a dataset, and splits rows by it.

use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::{Args, ValueEnum};
use gauntlet_core::{Limits, Severity, TreeOptions, Verdict, display_path};
use gauntlet_data::{
    FILL_IN, FileState, ForeignFormat, Imported, Manifest, QuarantineOptions, Quarantined, export_manifest,
    import_manifest, render_manifest,
};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::{Global, OutputArgs};
use crate::commands::run::clock;
use crate::exit::{Exit, UsageError};
use crate::judge::{self, Bench};
use crate::progress::Meter;
use crate::result::{self, RunResult};
use crate::{plan, terminal};

/// Largest description that is read.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(crate) struct ManifestArgs {
    /// The data: a file, a folder or a glob. With --to also a manifest.
    #[arg(required_unless_present = "from")]
    path: Option<String>,
    /// Judge the data by this manifest instead of writing one.
    #[arg(long, value_name = "MANIFEST", conflicts_with = "from")]
    check: Option<PathBuf>,
    /// What the data is to be used for; consent and licence are held against it.
    #[arg(long, value_name = "PURPOSE", default_value = "train", requires = "check")]
    purpose: String,
    /// Definition of the columns elsewhere: a Feast repository, an MLflow `MLmodel`, a TFX schema.
    #[arg(long, value_name = "PATH", requires = "check")]
    schema: Option<PathBuf>,
    /// Make the manifest from another tool's description: Croissant (JSON), a dataset card (README.md), a .dvc file.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Write the manifest in another tool's format.
    #[arg(long, value_name = "FORMAT")]
    to: Option<Target>,
    /// Write the rows that the manifest permits, and the others with reasons, into this folder.
    #[arg(long, value_name = "DIR", requires = "check")]
    quarantine: Option<PathBuf>,
    /// Encrypt rejected rows to this age public key; again for more. Those of the manifest always count.
    #[arg(long, value_name = "KEY", requires = "quarantine")]
    recipient: Vec<String>,
    /// Lowest severity that makes the exit status 1, with --check.
    #[arg(long, value_name = "SEVERITY", default_value = "high", requires = "check", value_parser = crate::cli::parse_severity)]
    fail_on: Severity,
    #[command(flatten)]
    output: OutputArgs,
}

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// JSON-LD of MLCommons.
    Croissant,
    /// README.md of a dataset on the Hugging Face Hub.
    Hf,
    /// A .dvc file.
    Dvc,
}

impl Target {
    fn format(self) -> ForeignFormat {
        match self {
            Self::Croissant => ForeignFormat::Croissant,
            Self::Hf => ForeignFormat::HuggingFace,
            Self::Dvc => ForeignFormat::Dvc,
        }
    }
}

pub(crate) fn run(args: &ManifestArgs, global: &Global) -> anyhow::Result<Exit> {
    if let Some(from) = &args.from {
        return import(args, from);
    }
    let path = args.path.as_deref().unwrap_or_default();
    if let Some(to) = args.to {
        return export(args, path, to);
    }
    if let Some(manifest) = &args.check {
        return check(args, path, manifest, global);
    }
    let (_, text) = draft(path, args.output.output.as_deref())?;
    terminal::deliver(text.as_bytes(), args.output.output.as_deref())?;
    Ok(Exit::Allowed)
}

/// The manifest of data that has none, as text that names files relative to where it will lie, and that place.
fn draft(path: &str, output: Option<&Path>) -> anyhow::Result<(PathBuf, String)> {
    let (data, files) = data_files(path)?;
    let place = match output {
        Some(output) => absolute(output)?,
        None => data.join("manifest.yaml"),
    };
    let folder = place.parent().unwrap_or(Path::new("/"));
    let root = common(&data, folder);
    let below = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_owned();
    let files: Vec<PathBuf> = files.iter().map(|file| below(&data.join(file))).collect();
    let name = Path::new(path.trim_end_matches('/'))
        .file_stem()
        .map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let name = if name.contains(['*', '?']) { "dataset".to_owned() } else { name };
    let text = gauntlet_data::draft_manifest(&root, &files, &below(&place), &name, &Limits::default())
        .with_context(|| format!("cannot draft a manifest for {path}"))?;
    Ok((folder.to_owned(), text))
}

/// The folder of the data and its files relative to it.
fn data_files(path: &str) -> anyhow::Result<(PathBuf, Vec<PathBuf>)> {
    let usage = |what: String| anyhow::Error::from(UsageError::new(what));
    let (folder, name) = match Path::new(path) {
        path if path.is_dir() => (path, None),
        path => (path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")), path.file_name()),
    };
    let root = absolute(folder)?;
    let Some(name) = name else {
        let tree = gauntlet_core::Tree::read(
            &root,
            &TreeOptions { respect_gitignore: true, ..TreeOptions::default() },
            &Limits::default(),
        )?;
        let data: Vec<PathBuf> =
            tree.files.into_iter().map(|f| f.path).filter(|p| gauntlet_data::is_table(p)).collect();
        return if data.is_empty() {
            Err(usage(format!("{path} holds no table that is read")))
        } else {
            Ok((root, data))
        };
    };
    let name = gauntlet_core::yaml::Located { value: name.to_string_lossy().into_owned(), line: 0, column: 0 };
    let found = gauntlet_core::project::expand_path(&root, &name).map_err(usage)?;
    Ok((root, found))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))?;
    Ok(path.components().filter(|c| *c != Component::CurDir).collect())
}

/// The deepest folder that both lie in.
fn common(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let wrong = |e: std::io::Error| UsageError::new(format!("cannot read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(wrong)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(UsageError::new(format!("{} is larger than {MAX_BYTES} bytes", path.display())).into());
    }
    Ok(bytes)
}

fn import(args: &ManifestArgs, from: &Path) -> anyhow::Result<Exit> {
    let Some(format) = ForeignFormat::of(from) else {
        let what = "is no Croissant file (.json), dataset card (.md) or DVC file (.dvc)";
        return Err(UsageError::new(format!("{} {what}", from.display())).into());
    };
    let folder = from.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let imported = import_manifest(format, folder, &from.to_string_lossy(), &read(from)?, &Limits::default())
        .map_err(|error| UsageError::new(error.to_string()))?;
    let broken = tell(&imported);
    if broken {
        terminal::note("no manifest was written: the files are not those that the description speaks of");
        return Ok(Exit::Refused);
    }
    let text = match args.to {
        Some(to) => {
            let columns = columns(folder, &imported.manifest);
            export_manifest(to.format(), &imported.manifest, &columns, folder)
                .map_err(|error| UsageError::new(error.to_string()))?
        }
        None => {
            let head = format!(
                "Made from {} ({}) by `gauntlet data manifest`: a person has to replace every {FILL_IN};\nuntil then the check data/manifest fails.",
                from.file_name().unwrap_or_default().to_string_lossy(),
                format.title()
            );
            render_manifest(&imported.manifest, &head)
        }
    };
    terminal::deliver(text.as_bytes(), args.output.output.as_deref())?;
    Ok(Exit::Allowed)
}

/// Says on stderr how far each file is the one that was described; true when one is not.
fn tell(imported: &Imported) -> bool {
    let mut broken = false;
    for file in &imported.files {
        let word = match file.state {
            FileState::Verified => continue,
            FileState::Weak => "weak",
            FileState::Unverifiable => "unverifiable",
            FileState::Mismatch => "DIFFERS",
            FileState::Missing => "MISSING",
        };
        broken |= matches!(file.state, FileState::Mismatch | FileState::Missing);
        terminal::note(&format!("{word}: {} {}", file.path, file.what));
    }
    for note in &imported.notes {
        terminal::note(&format!("note: {note}"));
    }
    broken
}

/// Columns of the files that can be read as tables; none otherwise.
fn columns(folder: &Path, manifest: &Manifest) -> Vec<(String, String)> {
    let files: Vec<PathBuf> = manifest.files.iter().map(|file| PathBuf::from(&file.path)).collect();
    gauntlet_data::table_columns(folder, &files, &Limits::default()).unwrap_or_default()
}

fn export(args: &ManifestArgs, path: &str, to: Target) -> anyhow::Result<Exit> {
    let named = Path::new(path);
    let is_manifest =
        named.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|w| e.eq_ignore_ascii_case(w)));
    let (folder, manifest) = match args.check.as_deref().or(is_manifest.then_some(named)) {
        Some(file) => {
            let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (folder.to_owned(), Manifest::parse(&file.to_string_lossy(), &read(file)?)?)
        }
        None => {
            let (folder, text) = draft(path, args.output.output.as_deref())?;
            (folder, Manifest::parse("draft", text.as_bytes())?)
        }
    };
    let manifest = manifest.without_markers();
    let text = export_manifest(to.format(), &manifest, &columns(&folder, &manifest), &folder)
        .map_err(|error| UsageError::new(error.to_string()))?;
    terminal::deliver(text.as_bytes(), args.output.output.as_deref())?;
    Ok(Exit::Allowed)
}

fn check(args: &ManifestArgs, path: &str, manifest: &Path, global: &Global) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let (data, files) = data_files(path)?;
    let side = absolute(manifest)?;
    if !side.is_file() {
        return Err(UsageError::new(format!("cannot read {}: no such file", manifest.display())).into());
    }
    let mut root = common(&data, side.parent().unwrap_or(Path::new("/")));
    let schema = args.schema.as_deref().map(absolute).transpose()?;
    if let Some(schema) = &schema {
        root = common(&root, schema.parent().unwrap_or(Path::new("/")));
    }
    let below = |path: &Path| display_path(path.strip_prefix(&root).unwrap_or(path)).0;
    let files: Vec<PathBuf> = files.iter().map(|file| PathBuf::from(below(&data.join(file)))).collect();
    let config = json!({
        "name": "data", "label": null, "purpose": args.purpose,
        "manifest": plan::side_file(&root, &below(&side))?,
        "contract": null,
        "schema": schema.as_deref().map(|schema| plan::side_path(&root, &below(schema))).transpose()?,
    });
    let limits = Limits::default();
    let task = plan::of_dataset(&root, path, &files, config, &limits, &meter)?;
    let now = clock(global)?.now();
    let mask = gauntlet_core::MaskKey::for_project("");
    let bench = Bench { limits: &limits, mask: &mask, now, meter: &meter };
    let judged = judge::judge(&task, &bench);
    let prefix = prefix(&root);
    let mut outcome = RunResult::about(task.tree.files.len() as u64, task.tree.bytes());
    let reports: Vec<_> = judged.reports.into_iter().filter(|r| r.check == "data/manifest").collect();
    let found = reports.iter().flat_map(|r| r.open_findings()).any(|f| f.severity >= args.fail_on);
    let missed = reports.iter().flat_map(|r| &r.metrics).any(gauntlet_core::Metric::missed);
    let open = reports.iter().any(|r| r.verdict == Verdict::Error || !r.coverage.complete());
    outcome.time(&reports, started.elapsed());
    outcome.reports = reports.into_iter().map(|report| result::with_prefix(report, &prefix)).collect();
    let split = match &args.quarantine {
        Some(folder) => {
            meter.step("splitting rows");
            let text = read(manifest)?;
            let manifest = Manifest::parse(&manifest.to_string_lossy(), &text)?;
            let mut recipients = manifest.protection.recipients.clone();
            recipients.extend(args.recipient.iter().cloned());
            let options = QuarantineOptions { recipients };
            let today = now.to_zoned(TimeZone::UTC).date();
            Some(gauntlet_data::quarantine_by_manifest(&root, &files, &manifest, today, folder, &options)?)
        }
        None => None,
    };
    meter.finish();
    result::deliver(outcome, started, &args.output, global)?;
    if let (Some(folder), Some(split)) = (&args.quarantine, &split) {
        terminal::note(&told(folder, split));
    }
    Ok(if found || missed {
        Exit::Refused
    } else if open {
        Exit::Inconclusive
    } else {
        Exit::Allowed
    })
}

/// The folder as the user would write it.
fn prefix(root: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = root.strip_prefix(&here).unwrap_or(root);
    display_path(shown).0
}

/// What a split wrote, in two lines.
fn told(folder: &Path, split: &Quarantined) -> String {
    let reasons: Vec<String> = split.reasons.iter().map(|(why, rows)| format!("{why} {rows}")).collect();
    let sealed = split.files.iter().filter_map(|f| f.rejected.as_ref()).any(|part| part.encrypted);
    format!(
        "wrote {}: {} of {} rows are clean, {} rejected{}{}",
        folder.display(),
        split.clean,
        split.rows,
        split.rejected,
        if sealed { " (encrypted)" } else { "" },
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_is_found_by_parts() {
        let of = |a: &str, b: &str| common(Path::new(a), Path::new(b));
        assert_eq!(of("/a/bc/d", "/a/b"), Path::new("/a"));
        assert_eq!(of("/a/b", "/a/b/c"), Path::new("/a/b"));
        assert_eq!(of("/x", "/y"), Path::new("/"));
    }
}
