//! `gauntlet convert`: the tensors of a PyTorch or NumPy file as safetensors, with nothing executed on the way.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use gauntlet_artifact::convert::{self, ConvertError, Difference, FileReport, Note, Options, Plan, Refusal, Report};
use gauntlet_limits::Budget;
use serde::Serialize;

use crate::cli::{ConvertArgs, ConvertFormat};
use crate::exit::{Exit, UsageError};
use crate::{commands, terminal};

/// The JSON of the command.
#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    tool: Tool,
    /// `converted`, `compared`, `differs` or `refused`.
    result: &'static str,
    path: String,
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<&'a [Difference]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a Refusal>,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<Exit> {
    if args.output.is_none() && args.compare.is_none() {
        return Err(
            UsageError::new("say where to with --output FILE, or what to compare with by --compare FILE").into()
        );
    }
    if let Some(output) = &args.output
        && !args.force
        && output.symlink_metadata().is_ok()
    {
        return Err(UsageError::new(format!("{} is already there; --force replaces it", output.display())).into());
    }
    let unreadable = |path: &Path| format!("cannot read {}", path.display());
    let source = open(&args.model).with_context(|| unreadable(&args.model))?;
    let other = args.compare.as_deref().map(|path| open(path).with_context(|| unreadable(path))).transpose()?;
    let budget = Budget::new(commands::scan::limits(&args.limits)?);
    let options = Options { key: args.key.clone(), flatten: args.flatten, drop_other: args.drop_other };
    let folder = args.output.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let temporary = std::env::temp_dir();
    let scratch = if args.output.is_some() { folder.unwrap_or(Path::new(".")) } else { &temporary };
    let made = convert::plan(&source, &budget, &options, scratch).and_then(|plan| match &args.output {
        Some(output) => write(&plan, output, scratch, args.force),
        None => plan.write(&mut io::sink()),
    });
    match made {
        Ok(report) => {
            let differences = match &other {
                Some(other) => Some(convert::compare(&report, other, &budget)?),
                None => None,
            };
            let differs = differences.as_ref().is_some_and(|found| !found.is_empty());
            let result = match (&differences, differs, &args.output) {
                (_, true, _) => "differs",
                (Some(_), false, None) => "compared",
                _ => "converted",
            };
            print(args, result, Some(&report), differences.as_deref(), None)?;
            Ok(if differs { Exit::Refused } else { Exit::Allowed })
        }
        Err(ConvertError::Refused(refusal)) => {
            print(args, "refused", None, None, Some(&refusal))?;
            Ok(Exit::Refused)
        }
        Err(error) => Err(anyhow::Error::from(error).context(args.model.display().to_string())),
    }
}

/// A folder opens as a file does, but cannot be read.
fn open(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path)?;
    anyhow::ensure!(file.metadata()?.is_file(), "it is no file");
    Ok(file)
}

/// Writes to a temporary file beside `output` that takes its name only when all is written and synced.
fn write(plan: &Plan<'_>, output: &Path, folder: &Path, force: bool) -> Result<Report, ConvertError> {
    let mut file = tempfile::Builder::new()
        .prefix(".gauntlet-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    let report = plan.write(file.as_file_mut())?;
    file.as_file_mut().flush()?;
    file.as_file().sync_all()?;
    // Without --force, a file that has come into being since we looked stays as it is.
    if force { file.persist(output) } else { file.persist_noclobber(output) }.map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(report)
}

fn print(
    args: &ConvertArgs,
    result: &'static str,
    report: Option<&Report>,
    differences: Option<&[Difference]>,
    refusal: Option<&Refusal>,
) -> anyhow::Result<()> {
    let text = match args.format {
        ConvertFormat::Json => {
            let path = args.model.display().to_string();
            let output = report.and(args.output.as_ref()).map(|output| output.display().to_string());
            let tool = Tool { name: "gauntlet", version: env!("CARGO_PKG_VERSION") };
            let answer = Answer { schema: 1, tool, result, path, output, report, differences, refusal };
            format!("{}\n", serde_json::to_string_pretty(&answer)?)
        }
        ConvertFormat::Human => {
            let mut text = String::new();
            if let Some(refusal) = refusal {
                refused(&mut text, &args.model, refusal);
            }
            if let Some(report) = report {
                converted(&mut text, args, report);
            }
            if let (Some(differences), Some(other)) = (differences, &args.compare) {
                compared(&mut text, other, differences);
            }
            text
        }
    };
    terminal::print(&text)
}

fn refused(text: &mut String, model: &Path, refusal: &Refusal) {
    let _ = writeln!(
        text,
        "refused: {} ({}) holds more than plain tensors, or contradicts itself",
        model.display(),
        refusal.format
    );
    notes(text, &refusal.reasons);
    if refusal.more > 0 {
        let _ = writeln!(text, "  and {} more", refusal.more);
    }
    if refusal.keys.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nIts keys:");
    for key in &refusal.keys {
        let tensors = if key.tensors > 0 { format!(", {} tensors", key.tensors) } else { String::new() };
        let _ = writeln!(text, "  {}: {}{tensors}", visible(&key.name), key.what);
    }
    if let Some(key) = refusal.keys.iter().max_by_key(|key| key.tensors).filter(|key| key.tensors > 0) {
        let _ = writeln!(
            text,
            "\nTry --key {} for the tensors of one key, --flatten for those of all.",
            visible(&key.name)
        );
    } else {
        let _ = writeln!(text, "\nTry --drop-other to leave out what is no tensor; code is refused all the same.");
    }
}

fn converted(text: &mut String, args: &ConvertArgs, report: &Report) {
    let width = report.tensors.iter().map(|tensor| visible(&tensor.name).chars().count()).max().unwrap_or(0).min(60);
    for tensor in &report.tensors {
        let shape = format!("{:?}", tensor.shape);
        let _ = writeln!(
            text,
            "{:width$}  {:7} {shape:16} {:>12} bytes  {}  {}",
            visible(&tensor.name),
            tensor.dtype,
            tensor.bytes,
            tensor.digest,
            visible(&tensor.storage)
        );
    }
    if !report.tied.is_empty() {
        let _ = writeln!(text, "\nTied in the input, a copy each in the output:");
        for names in &report.tied {
            let names: Vec<_> = names.iter().map(|name| visible(name)).collect();
            let _ = writeln!(text, "  {}", names.join(", "));
        }
    }
    if !report.left_out.is_empty() {
        let _ = writeln!(text, "\nLeft out:");
        notes(text, &report.left_out);
    }
    let _ = writeln!(text, "\n{} tensors, {} bytes", report.tensors.len(), report.tensor_bytes);
    let mut line = |what: &str, path: &Path, file: &FileReport| {
        let _ = writeln!(text, "{what} {} ({} bytes) {}", path.display(), file.bytes, file.digest);
    };
    line("read   ", &args.model, &report.input);
    if let Some(output) = &args.output {
        line("written", output, &report.output);
    }
}

fn compared(text: &mut String, other: &Path, differences: &[Difference]) {
    if differences.is_empty() {
        let _ = writeln!(text, "equal to {}: every tensor has the same name, type, shape and values", other.display());
        return;
    }
    let _ = writeln!(text, "differs from {}:", other.display());
    for difference in differences {
        let _ = writeln!(text, "  {}: {}", visible(&difference.name), difference.what);
    }
}

fn notes(text: &mut String, notes: &[Note]) {
    for note in notes {
        let colon = if note.path.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "  {}{colon}{}", visible(&note.path), note.what);
    }
}

/// Names of a stranger's file, without what a terminal would obey.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
