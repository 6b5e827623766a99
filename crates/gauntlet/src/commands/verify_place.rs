//! `gauntlet verify` of a part of a model, of one that is elsewhere or on its way, and of OCI layouts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use gauntlet_core::{Digest, DigestSet, Input, Subject, SubjectKind};
use gauntlet_trust::oci::{self, BlobDigest, Layout};
use gauntlet_trust::oms::{
    self, InstallError, Origin, Partial, PartialVerdict, Selection, Stream, Verification, VerifyOptions,
};
use gauntlet_trust::source::{Address, Remote, RemoteOptions};

use crate::cli::Format;
use crate::commands::verify::{Scene, exit, model_prefix, read_signature};
use crate::exit::{Exit, UsageError};
use crate::hashing::SignatureHashing;
use crate::{keys, terminal};

/// What to look at, and where the bytes go.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Look at this signed file alone, or at these bytes of it (PATH:START:END, as shards are signed); the verdict is then `partial`.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["install_to", "image_digest"])]
    pub(crate) only: Vec<String>,
    /// Take a file for unchanged when its inode, size and times are those of an earlier run, without reading it.
    #[arg(long)]
    pub(crate) trust_mtime: bool,
    /// Write the signed files to this new folder once all of them are right; `-` sends a single file to stdout.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["trust_mtime", "image_digest"])]
    pub(crate) install_to: Option<PathBuf>,
    /// How long a server may stay silent.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// In an OCI layout, judge the cosign signature of the image with this digest.
    #[arg(long, value_name = "DIGEST", requires = "keys")]
    pub(crate) image_digest: Option<BlobDigest>,
}

/// Answers what [`PlaceArgs`] and the place of the model ask for; `None` for a plain local model.
pub(crate) fn run(
    scene: &Scene<'_>,
    options: &mut VerifyOptions,
    hashing: &SignatureHashing,
) -> anyhow::Result<Option<Exit>> {
    let model = scene.args.model.as_path();
    let text = model.to_str().unwrap_or_default();
    if Address::is_meant(text) {
        let address: Address = text.parse().map_err(|error| UsageError::new(format!("{error}")))?;
        return remote(scene, &address, options, hashing).map(Some);
    }
    if text == "-" {
        return stdin(scene, options, hashing).map(Some);
    }
    if !model.exists() {
        return Err(UsageError::new(format!("{} is not there", model.display())).into());
    }
    if Layout::is_one(model) {
        return layout(scene, options, hashing).map(Some);
    }
    if scene.args.place.image_digest.is_some() {
        return Err(UsageError::new(format!("{} is no OCI image layout", model.display())).into());
    }
    let place = &scene.args.place;
    if place.only.is_empty() && place.install_to.is_none() {
        return Ok(None);
    }
    let signature = scene.signature();
    let bundle = read_signature(&signature)?;
    options.signature_path = Some(signature);
    if let Some(target) = &place.install_to {
        return install(scene, Origin::Local(model), &bundle, options, hashing, target, &base_name(model)).map(Some);
    }
    let found = oms::verify_only(model, &bundle, &scene.trust, options, &selections(scene));
    partial(scene, found, hashing).map(Some)
}

fn selections(scene: &Scene<'_>) -> Vec<Selection> {
    scene.args.place.only.iter().cloned().map(Selection).collect()
}

/// A model in a bucket or on a web server.
fn remote(
    scene: &Scene<'_>,
    address: &Address,
    options: &mut VerifyOptions,
    hashing: &SignatureHashing,
) -> anyhow::Result<Exit> {
    let place = &scene.args.place;
    if place.trust_mtime || place.image_digest.is_some() {
        return Err(UsageError::new("--trust-mtime and --image-digest are for what lies on this machine").into());
    }
    let talk = RemoteOptions { timeout: Duration::from_secs(place.timeout) };
    let source = Remote::open(address, &talk)?;
    let (bundle, inside) = remote_signature(scene, address, &source, &talk)?;
    if !place.only.is_empty() {
        let only = selections(scene);
        return partial(scene, oms::verify_source_only(&source, &bundle, &scene.trust, options, &only), hashing);
    }
    if let Some(target) = &place.install_to {
        if target == Path::new("-") {
            let from = Stream::Source(&source);
            return to_stdout(scene, from, &bundle, options, hashing, address.name());
        }
        let origin = Origin::Source { source: &source, signature: inside.as_deref() };
        return install(scene, origin, &bundle, options, hashing, target, address.name());
    }
    let found = oms::verify_source(&source, inside.as_deref(), &bundle, &scene.trust, options);
    conclude(scene, address.name(), &bundle, found, hashing, &scene.args.model.to_string_lossy())
}

/// The signature of a remote model: a file here, another address, or `model.sig` in it (`NAME.sig` beside a file). The
/// second part is its name inside the model.
fn remote_signature(
    scene: &Scene<'_>,
    address: &Address,
    source: &Remote,
    talk: &RemoteOptions,
) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    use gauntlet_trust::source::Source as _;
    let given = scene.args.signature.as_deref();
    if let Some(path) = given {
        let text = path.to_str().unwrap_or_default();
        if !Address::is_meant(text) {
            return Ok((read_signature(path)?, None));
        }
        let elsewhere: Address = text.parse().map_err(|error| UsageError::new(format!("{error}")))?;
        let (folder, name) =
            elsewhere.split().ok_or_else(|| UsageError::new("the address of the signature names no file"))?;
        let bytes = Remote::open(&folder, talk)?.small_file(&name, oms::MAX_BUNDLE_BYTES)?;
        let bytes = bytes.ok_or_else(|| UsageError::new(format!("there is no signature at {text}")))?;
        return Ok((bytes, None));
    }
    let name = match source.single() {
        Some(name) => format!("{name}.sig"),
        None => "model.sig".to_owned(),
    };
    let bytes = source.small_file(&name, oms::MAX_BUNDLE_BYTES)?.ok_or_else(|| {
        UsageError::new(format!("{} has no {name}: name the signature with --signature", address.name()))
    })?;
    Ok((bytes, source.single().is_none().then_some(name)))
}

fn stdin(scene: &Scene<'_>, options: &VerifyOptions, hashing: &SignatureHashing) -> anyhow::Result<Exit> {
    let place = &scene.args.place;
    let signature = scene.args.signature.as_deref();
    let signature = signature.ok_or_else(|| UsageError::new("a model on stdin needs --signature"))?;
    if !place.only.is_empty() || place.trust_mtime || place.image_digest.is_some() {
        return Err(UsageError::new("--only, --trust-mtime and --image-digest do not go with stdin").into());
    }
    let bundle = read_signature(signature)?;
    let mut input = io::stdin().lock();
    let from = Stream::Reader(&mut input);
    match place.install_to.as_deref() {
        Some(target) if target == Path::new("-") => to_stdout(scene, from, &bundle, options, hashing, "-"),
        Some(_) => Err(UsageError::new("from stdin, --install-to takes only `-`").into()),
        None => {
            let found = oms::verify_stream(from, &bundle, &scene.trust, options, &mut io::sink());
            conclude(scene, "-", &bundle, found, hashing, "")
        }
    }
}

/// Sends a single file to stdout; what was found goes to stderr, or to `--output`.
fn to_stdout(
    scene: &Scene<'_>,
    from: Stream<'_>,
    bundle: &[u8],
    options: &VerifyOptions,
    hashing: &SignatureHashing,
    name: &str,
) -> anyhow::Result<Exit> {
    let mut found = oms::verify_stream(from, bundle, &scene.trust, options, &mut io::stdout().lock());
    found.warnings.extend(hashing.finish()?);
    if scene.args.output.output.is_some() {
        let report = scene.report(name, bundle, &found)?;
        return scene.deliver(vec![report], found.files, found.bytes, "");
    }
    for reason in &found.reasons {
        terminal::note(&format!("{}: {}", reason.code.as_str(), reason.message));
    }
    terminal::note(&format!("{}: {} bytes of {name}", found.verdict, found.bytes));
    Ok(exit(found.verdict))
}

fn install(
    scene: &Scene<'_>,
    origin: Origin<'_>,
    bundle: &[u8],
    options: &VerifyOptions,
    hashing: &SignatureHashing,
    target: &Path,
    name: &str,
) -> anyhow::Result<Exit> {
    if target == Path::new("-") {
        let Origin::Local(path) = origin else {
            return Err(UsageError::new("a folder cannot be sent to stdout").into());
        };
        let mut file = File::open(path)?;
        return to_stdout(scene, Stream::Reader(&mut file), bundle, options, hashing, name);
    }
    let found = oms::install(origin, bundle, &scene.trust, options, target).map_err(|error| match error {
        InstallError::Exists(_) => anyhow::Error::new(UsageError::new(error.to_string())),
        error => error.into(),
    })?;
    let exit = conclude(scene, name, bundle, found, hashing, &scene.args.model.to_string_lossy())?;
    if exit == Exit::Allowed && !scene.global.quiet {
        terminal::note(&format!("Installed  {}", target.display()));
    }
    Ok(exit)
}

fn conclude(
    scene: &Scene<'_>,
    name: &str,
    bundle: &[u8],
    mut found: Verification,
    hashing: &SignatureHashing,
    prefix: &str,
) -> anyhow::Result<Exit> {
    found.warnings.extend(hashing.finish()?);
    let report = scene.report(name, bundle, &found)?;
    scene.deliver(vec![report], found.files, found.bytes, prefix)
}

/// A selection has a document of its own: no reader of reports can take it for an answer about the model.
fn partial(scene: &Scene<'_>, mut found: Partial, hashing: &SignatureHashing) -> anyhow::Result<Exit> {
    found.warnings.extend(hashing.finish()?);
    let exit = match found.verdict {
        PartialVerdict::Partial => Exit::Allowed,
        PartialVerdict::Fail => Exit::Refused,
        PartialVerdict::Error => Exit::Inconclusive,
    };
    let output = &scene.args.output;
    let text = match output.format {
        Format::Json => {
            let tool = serde_json::json!({"name": "gauntlet", "version": env!("CARGO_PKG_VERSION")});
            let document = serde_json::json!({"schema": 1, "tool": tool, "verdict": found.verdict, "partial": found});
            serde_json::to_string_pretty(&document)? + "\n"
        }
        Format::Human => human(&found, scene.global.quiet),
        _ => return Err(UsageError::new("--only is printed as human or json").into()),
    };
    terminal::deliver(text.as_bytes(), output.output.as_deref())?;
    Ok(exit)
}

fn human(found: &Partial, quiet: bool) -> String {
    let total = found.looked_at.len();
    let mut text = match found.verdict {
        PartialVerdict::Partial => {
            format!("PARTIAL    {total} part(s) are what was signed; the rest was not looked at\n")
        }
        PartialVerdict::Fail => "FAIL       what was asked for is not what was signed\n".to_owned(),
        PartialVerdict::Error => "ERROR      could not be judged\n".to_owned(),
    };
    if quiet {
        return text;
    }
    for reason in &found.reasons {
        let path = reason.path.as_deref().unwrap_or("signature");
        text.push_str(&format!("           {path}: {} (trust/signature/{})\n", reason.message, reason.code.as_str()));
    }
    for part in &found.looked_at {
        let range = part.end.map_or(String::new(), |end| format!(":{}:{end}", part.start));
        text.push_str(&format!("Looked at  {}{range}\n", part.path));
    }
    for path in found.not_looked_at.iter().take(10) {
        text.push_str(&format!("Not looked {path}\n"));
    }
    if found.not_looked_at.len() > 10 {
        text.push_str(&format!("           and {} more\n", found.not_looked_at.len() - 10));
    }
    for warning in &found.warnings {
        text.push_str(&format!("Note       {warning}\n"));
    }
    text
}

/// A folder with an `oci-layout` file.
fn layout(scene: &Scene<'_>, options: &VerifyOptions, hashing: &SignatureHashing) -> anyhow::Result<Exit> {
    let place = &scene.args.place;
    let root = scene.args.model.as_path();
    if !place.only.is_empty() || place.install_to.is_some() {
        return Err(UsageError::new("--only and --install-to do not go with OCI layouts").into());
    }
    let prefix = model_prefix(root);
    match &place.image_digest {
        Some(digest) => {
            let paths = scene.args.keys.iter();
            let keys = paths.map(|path| keys::verifying_key(path)).collect::<Result<Vec<_>, _>>()?;
            let mut found = oci::verify_image(root, digest, &keys, options);
            found.package.warnings.extend(hashing.finish()?);
            found.image.warnings.extend(found.reference.map(|named| format!("the signer calls the image {named:?}")));
            let subject = subject(&base_name(root), Some(digest), SubjectKind::Image);
            let reports = vec![
                found.package.report(&oci::PACKAGE, subject.clone(), Vec::new(), scene.config_digest()?),
                found.image.report(&oci::IMAGE, subject, scene.inputs()?, scene.config_digest()?),
            ];
            scene.deliver(reports, found.package.files, found.package.bytes, &prefix)
        }
        None => {
            let signature = scene.args.signature.as_deref().map(read_signature).transpose()?;
            let mut found = oci::verify_model(root, signature.as_deref(), &scene.trust, options);
            found.package.warnings.extend(hashing.finish()?);
            let name = found.name.clone().unwrap_or_else(|| base_name(root));
            let subject = subject(&name, found.digest.as_ref(), SubjectKind::Model);
            let inputs = found.signature.iter().map(|bytes| input("signature", bytes)).collect();
            let mut reports = vec![found.package.report(&oci::PACKAGE, subject, inputs, scene.config_digest()?)];
            if let (Some(model), Some(bundle)) = (&found.model, &found.signature) {
                reports.push(scene.report(&name, bundle, model)?);
            }
            scene.deliver(reports, found.package.files, found.package.bytes, &prefix)
        }
    }
}

fn input(name: &str, bytes: &[u8]) -> Input {
    Input { name: name.to_owned(), digest: Digest::sha256(bytes) }
}

/// A manifest's digest is the identity of a package or an image.
fn subject(name: &str, digest: Option<&BlobDigest>, kind: SubjectKind) -> Subject {
    let digest = digest.and_then(|digest| digest.to_string().parse::<Digest>().ok());
    Subject { name: name.to_owned(), kind, digest: digest.iter().fold(DigestSet::default(), DigestSet::with) }
}

fn base_name(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
