//! `gauntlet verify`: checks a model against its OpenSSF signature.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use gauntlet_core::{Digest, DigestSet, Input, Report, Subject, SubjectKind, Verdict, canonical};
use gauntlet_trust::oms::{self, CertificateTrust, SigstoreTrust, Trust, Verification, VerifyOptions};
use gauntlet_trust::sigstore::{Identity, TrustedRoot};
use gauntlet_trust::x509::Roots;
use jiff::Timestamp;

use crate::cli::{Global, VerifyArgs};
use crate::commands::run::clock;
use crate::commands::sign::{authorities, certificate_files, ignored};
use crate::commands::verify_place;
use crate::exit::{Exit, UsageError};
use crate::hashing::SignatureHashing;
use crate::keys;
use crate::result::{self, RunResult};
use crate::state::UserConfig;

/// A verification that was asked for.
pub(crate) struct Scene<'a> {
    pub(crate) args: &'a VerifyArgs,
    pub(crate) global: &'a Global,
    pub(crate) trust: Vec<Trust>,
    pub(crate) now: Timestamp,
    pub(crate) started: Instant,
}

pub(crate) fn run(
    args: &VerifyArgs,
    global: &Global,
    config: &dyn Fn() -> anyhow::Result<UserConfig>,
) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let now = clock(global)?.now();
    let scene = Scene { args, global, trust: trust(args, now)?, now, started };
    let trusted = args.place.trust_mtime.then(config).transpose()?.map(|config| (config, now.as_second()));
    let hashing = SignatureHashing::new(global, "verifying", trusted)?;
    let mut options = VerifyOptions {
        refuse_symlinks: args.refuse_symlinks,
        ignore: ignored(&args.ignore, &args.model)?,
        ignore_unsigned: args.ignore_unsigned,
        signature_path: None,
        hashing: hashing.hashing.clone(),
    };
    if let Some(exit) = verify_place::run(&scene, &mut options, &hashing)? {
        return Ok(exit);
    }
    let signature = scene.signature();
    if !args.model.exists() {
        return Err(UsageError::new(format!("{} is not there", args.model.display())).into());
    }
    let bundle = read_signature(&signature)?;
    options.signature_path = Some(signature);
    // What cosign, witness, npm or GitHub say about one file is no model signature.
    let mut verification = if args.model.is_file() && oms::is_file_signature(&bundle) {
        oms::verify_file(&args.model, &bundle, &scene.trust)
    } else {
        oms::verify_any(&args.model, &bundle, &scene.trust, &options)
    };
    verification.warnings.extend(hashing.finish()?);
    let name = args.model.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
    let report = scene.report(&name.unwrap_or_default(), &bundle, &verification)?;
    scene.deliver(vec![report], verification.files, verification.bytes, &model_prefix(&args.model))
}

impl Scene<'_> {
    /// Where the signature of a local model lies.
    pub(crate) fn signature(&self) -> PathBuf {
        self.args.signature.clone().unwrap_or_else(|| oms::default_signature_path(&self.args.model))
    }

    /// Prints the reports; the worst verdict decides how the command ends.
    pub(crate) fn deliver(&self, reports: Vec<Report>, files: usize, bytes: u64, prefix: &str) -> anyhow::Result<Exit> {
        let mut outcome = RunResult::about(files as u64, bytes);
        outcome.time(&reports, self.started.elapsed());
        let exit = reports.iter().map(|report| exit(report.verdict)).max().unwrap_or(Exit::Inconclusive);
        outcome.reports.extend(reports.into_iter().map(|report| result::with_prefix(report, prefix)));
        result::deliver(outcome, self.started, &self.args.output, self.global)?;
        Ok(exit)
    }
}

/// How a verdict ends the command.
pub(crate) fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Fail => Exit::Refused,
        Verdict::Error => Exit::Inconclusive,
        Verdict::Pass | Verdict::Warn => Exit::Allowed,
    }
}

/// Whose signature counts, by method.
fn trust(args: &VerifyArgs, now: Timestamp) -> anyhow::Result<Vec<Trust>> {
    let mut trust = Vec::new();
    if !args.keys.is_empty() {
        let keys = args.keys.iter().map(|path| keys::verifying_key(path)).collect::<Result<Vec<_>, _>>()?;
        trust.push(Trust::Keys(keys));
    }
    if !args.ca.is_empty() {
        let roots = Roots::new(certificate_files(&args.ca)?)
            .map_err(|error| UsageError::new(format!("cannot use the certificates of --ca: {error}")))?;
        let time_stamping = (!args.tsa.is_empty()).then(|| authorities(&args.tsa)).transpose()?;
        trust.push(Trust::Certificates(CertificateTrust { roots, time_stamping, at: now, known_at: None }));
    }
    if let Some(path) = &args.trusted_root {
        let (root, identity) = (trusted_root(path)?, identity(args)?);
        trust.push(Trust::Sigstore(Box::new(SigstoreTrust { root, identity, at: now })));
    }
    Ok(trust)
}

/// The Sigstore instance that a file describes.
pub(crate) fn trusted_root(path: &Path) -> anyhow::Result<TrustedRoot> {
    let refused = |error| UsageError::new(format!("cannot use the trusted root {}: {error}", path.display()));
    Ok(TrustedRoot::read(path).map_err(refused)?)
}

fn identity(args: &VerifyArgs) -> anyhow::Result<Identity> {
    let issuer = args.issuer.as_deref().unwrap_or_default();
    let identity = match (&args.identity, &args.identity_regexp) {
        (Some(name), _) => Identity::exact(name, issuer),
        (None, expression) => Identity::matching(expression.as_deref().unwrap_or_default(), issuer),
    };
    Ok(identity.map_err(|error| UsageError::new(format!("cannot ask for this identity: {error}")))?)
}

impl Scene<'_> {
    /// The verification as the check `trust/signature`.
    pub(crate) fn report(&self, name: &str, bundle: &[u8], verification: &Verification) -> anyhow::Result<Report> {
        let digest = verification.root_digest.iter().fold(DigestSet::default(), DigestSet::with);
        let subject = Subject { name: name.to_owned(), kind: SubjectKind::Model, digest };
        let mut inputs = vec![Input { name: "signature".to_owned(), digest: Digest::sha256(bundle) }];
        inputs.extend(self.inputs()?);
        Ok(verification.report(subject, inputs, self.config_digest()?))
    }

    /// What the caller trusts, by digest.
    pub(crate) fn inputs(&self) -> anyhow::Result<Vec<Input>> {
        let args = self.args;
        let root: Vec<PathBuf> = args.trusted_root.iter().cloned().collect();
        let mut inputs = Vec::new();
        for (name, paths) in [("key", &args.keys), ("ca", &args.ca), ("tsa", &args.tsa), ("trusted-root", &root)] {
            for path in paths {
                let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                inputs.push(Input { name: name.to_owned(), digest: Digest::sha256(&bytes) });
            }
        }
        Ok(inputs)
    }

    /// The options that an answer depends on.
    pub(crate) fn config_digest(&self) -> anyhow::Result<Digest> {
        let args = self.args;
        let mut config = serde_json::json!({
            "refuse_symlinks": args.refuse_symlinks,
            "ignore_unsigned": args.ignore_unsigned,
            "ignore": args.ignore.iter().map(|p| p.to_string_lossy()).collect::<Vec<_>>(),
        });
        // Bare keys do not end, so the answer for them does not depend on the time.
        let timed = !args.ca.is_empty() || args.trusted_root.is_some();
        if let Some(config) = config.as_object_mut() {
            if timed {
                config.insert("at".to_owned(), serde_json::json!(self.now));
                let asked = [
                    ("identity", &args.identity),
                    ("identity_regexp", &args.identity_regexp),
                    ("issuer", &args.issuer),
                ];
                for (name, value) in asked {
                    if let Some(value) = value {
                        config.insert(name.to_owned(), serde_json::json!(value));
                    }
                }
            }
            if args.place.trust_mtime {
                config.insert("trust_mtime".to_owned(), true.into());
            }
        }
        Ok(canonical::digest(&config)?)
    }
}

/// A signature is a small file; a larger one is no signature.
pub(crate) fn read_signature(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path)
        .map_err(|error| UsageError::new(format!("cannot read the signature {}: {error}", path.display())))?;
    let mut bytes = Vec::new();
    file.take(oms::MAX_BUNDLE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the signature {}", path.display()))?;
    Ok(bytes)
}

/// Paths of a verification are relative to the model folder, or name the model file itself.
pub(crate) fn model_prefix(model: &Path) -> String {
    if model.is_dir() { gauntlet_core::display_path(model).0 } else { result::prefix(model) }
}
