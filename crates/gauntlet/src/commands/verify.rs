//! `gauntlet verify`: checks a model against its OpenSSF signature.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use gauntlet_core::{Digest, DigestSet, Input, Report, Subject, SubjectKind, canonical};
use gauntlet_trust::oms::{self, CertificateTrust, SigstoreTrust, Trust, Verification, VerifyOptions};
use gauntlet_trust::sigstore::{Identity, TrustedRoot};
use gauntlet_trust::x509::Roots;
use jiff::Timestamp;

use crate::cli::{Global, VerifyArgs};
use crate::commands::run::clock;
use crate::commands::sign::{authorities, certificate_files, ignored};
use crate::exit::{Exit, UsageError};
use crate::keys;
use crate::result::{self, RunResult};

pub(crate) fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let now = clock(global)?.now();
    let trust = trust(args, now)?;
    let signature = args.signature.clone().unwrap_or_else(|| oms::default_signature_path(&args.model));
    if !args.model.exists() {
        return Err(UsageError::new(format!("{} is not there", args.model.display())).into());
    }
    let bundle = read_signature(&signature)?;
    let options = VerifyOptions {
        refuse_symlinks: args.refuse_symlinks,
        ignore: ignored(&args.ignore, &args.model)?,
        ignore_unsigned: args.ignore_unsigned,
        signature_path: Some(signature.clone()),
    };
    // What cosign, witness, npm or GitHub say about one file is no model signature.
    let verification = if args.model.is_file() && oms::is_file_signature(&bundle) {
        oms::verify_file(&args.model, &bundle, &trust)
    } else {
        oms::verify_any(&args.model, &bundle, &trust, &options)
    };
    let report = report(args, &bundle, &verification, now)?;
    let exit = match report.verdict {
        gauntlet_core::Verdict::Fail => Exit::Refused,
        gauntlet_core::Verdict::Error => Exit::Inconclusive,
        _ => Exit::Allowed,
    };
    let mut outcome = RunResult::about(verification.files as u64, verification.bytes);
    outcome.time(std::slice::from_ref(&report), started.elapsed());
    outcome.reports.push(result::with_prefix(report, &model_prefix(&args.model)));
    result::deliver(outcome, started, &args.output, global)?;
    Ok(exit)
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

/// The verification as the check `trust/signature`.
fn report(args: &VerifyArgs, bundle: &[u8], verification: &Verification, now: Timestamp) -> anyhow::Result<Report> {
    let name = args.model.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
    let digest = verification.root_digest.iter().fold(DigestSet::default(), DigestSet::with);
    let subject = Subject { name: name.unwrap_or_default(), kind: SubjectKind::Model, digest };
    let mut inputs = vec![Input { name: "signature".to_owned(), digest: Digest::sha256(bundle) }];
    let root: Vec<PathBuf> = args.trusted_root.iter().cloned().collect();
    for (name, paths) in [("key", &args.keys), ("ca", &args.ca), ("tsa", &args.tsa), ("trusted-root", &root)] {
        for path in paths {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            inputs.push(Input { name: name.to_owned(), digest: Digest::sha256(&bytes) });
        }
    }
    let mut config = serde_json::json!({
        "refuse_symlinks": args.refuse_symlinks,
        "ignore_unsigned": args.ignore_unsigned,
        "ignore": args.ignore.iter().map(|p| p.to_string_lossy()).collect::<Vec<_>>(),
    });
    // Bare keys do not end, so the answer for them does not depend on the time.
    let timed = !args.ca.is_empty() || args.trusted_root.is_some();
    if let Some(config) = config.as_object_mut().filter(|_| timed) {
        config.insert("at".to_owned(), serde_json::json!(now));
        for (name, value) in
            [("identity", &args.identity), ("identity_regexp", &args.identity_regexp), ("issuer", &args.issuer)]
        {
            if let Some(value) = value {
                config.insert(name.to_owned(), serde_json::json!(value));
            }
        }
    }
    Ok(verification.report(subject, inputs, canonical::digest(&config)?))
}

/// A signature is a small file; a larger one is no signature.
fn read_signature(path: &Path) -> anyhow::Result<Vec<u8>> {
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
fn model_prefix(model: &Path) -> String {
    if model.is_dir() { gauntlet_core::display_path(model).0 } else { result::prefix(model) }
}
