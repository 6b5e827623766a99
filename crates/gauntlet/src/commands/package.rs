//! `gauntlet package`: a model as an OCI image layout.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::Context;
use clap::{Args, ValueEnum};
use gauntlet_trust::oci::{self, Attachment, AttachmentError, PackageError, PackageOptions};
use gauntlet_trust::oms;
use jiff::Timestamp;

use crate::cli::Global;
use crate::commands::verify::read_signature;
use crate::exit::{Exit, Refusal, UsageError};
use crate::hashing::SignatureHashing;
use crate::terminal;

/// What to package, and with what.
#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// Model file or folder.
    pub(crate) model: PathBuf,
    /// The folder to make; it must not be there yet.
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// The signature to put in [default: MODEL/model.sig or MODEL.sig, when it is there].
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// A bill of materials (CycloneDX or SPDX in JSON) to put in.
    #[arg(long, value_name = "FILE")]
    pub(crate) bom: Vec<PathBuf>,
    /// A model card to put in beside the one that may be in the model.
    #[arg(long, value_name = "FILE")]
    pub(crate) card: Vec<PathBuf>,
    /// Evidence (an envelope, `.jsonl`, `.gauntlet-bundle`) to put in.
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Vec<PathBuf>,
    /// Name of the model [default: its base name].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Version of the model.
    #[arg(long = "model-version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// The tag under which the layout lists the model.
    #[arg(long, value_name = "TAG", default_value = "latest")]
    pub(crate) tag: String,
    /// How to print what was written.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: PackageFormat,
}

/// How to print what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PackageFormat {
    /// For a person.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

pub(crate) fn run(args: &PackageArgs, global: &Global) -> anyhow::Result<Exit> {
    if !args.model.exists() {
        return Err(UsageError::new(format!("{} is not there", args.model.display())).into());
    }
    let hashing = SignatureHashing::new(global, "packaging", None)?;
    let options = PackageOptions {
        name: args.name.clone(),
        version: args.version.clone(),
        tag: Some(args.tag.clone()),
        created: created()?,
        signature: signature(args)?,
        attachments: attachments(args)?,
        hashing: hashing.hashing.clone(),
    };
    let packaged = oci::package(&args.model, &args.output, &options).map_err(|error| match error {
        PackageError::Exists(_) | PackageError::TooLarge => anyhow::Error::new(UsageError::new(error.to_string())),
        PackageError::Signature(_) => anyhow::Error::new(Refusal::new(error.to_string())),
        error => error.into(),
    });
    hashing.finish()?;
    let packaged = packaged.with_context(|| format!("{} was not packaged", args.model.display()))?;
    if args.format == PackageFormat::Json {
        let document = serde_json::json!({"schema": 1, "layout": args.output, "package": packaged});
        terminal::print(&(serde_json::to_string_pretty(&document)? + "\n"))?;
        return Ok(Exit::Allowed);
    }
    let mut text = format!(
        "Packaged   {} ({} file(s), {} bytes)\nLayout     {}\nDigest     {}\n",
        args.model.display(),
        packaged.files,
        packaged.bytes,
        args.output.display(),
        packaged.digest,
    );
    for (kind, digest) in &packaged.referrers {
        text.push_str(&format!("With       {kind} ({digest})\n"));
    }
    if options.signature.is_none() {
        text.push_str("Unsigned   nobody vouches for this package: sign the model first\n");
    }
    if !packaged.left_out.is_empty() {
        text.push_str(&format!("Left out   {}\n", packaged.left_out.join(", ")));
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

/// The clock would make another package of the same model; only who sets it gets a date.
fn created() -> anyhow::Result<Option<String>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else { return Ok(None) };
    let second = text.to_str().and_then(|text| i64::from_str(text).ok());
    let time = second.and_then(|second| Timestamp::from_second(second).ok());
    let time = time.ok_or_else(|| UsageError::new("SOURCE_DATE_EPOCH is not a number of seconds since 1970"))?;
    Ok(Some(time.to_string()))
}

fn signature(args: &PackageArgs) -> anyhow::Result<Option<(PathBuf, Vec<u8>)>> {
    let path = match &args.signature {
        Some(path) => path.clone(),
        None => {
            let usual = oms::default_signature_path(&args.model);
            if !usual.exists() {
                return Ok(None);
            }
            usual
        }
    };
    let bytes = read_signature(&path)?;
    Ok(Some((path, bytes)))
}

fn attachments(args: &PackageArgs) -> anyhow::Result<Vec<Attachment>> {
    type Make = fn(&str, Vec<u8>) -> Result<Attachment, AttachmentError>;
    let kinds: [(&Vec<PathBuf>, Make); 3] =
        [(&args.bom, Attachment::bom), (&args.card, Attachment::card), (&args.evidence, Attachment::evidence)];
    let mut all = Vec::new();
    for (paths, make) in kinds {
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            all.push(make(&name, read(path)?).map_err(|error| UsageError::new(error.to_string()))?);
        }
    }
    Ok(all)
}

/// A document about a model is no larger than a signature may be.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    oms::read_bundle(path).map_err(|error| UsageError::new(format!("cannot read {}: {error}", path.display())).into())
}
