//! `gauntlet verify`: checks a model against its OpenSSF signature.

use std::time::Instant;

use anyhow::Context;
use gauntlet_core::{Digest, DigestSet, Input, Report, Subject, SubjectKind, canonical};
use gauntlet_trust::oms::{self, Trust, Verification, VerifyOptions};

use crate::cli::{Global, VerifyArgs};
use crate::commands::sign::ignored;
use crate::exit::{Exit, UsageError};
use crate::keys;
use crate::result::{self, RunResult};

pub(crate) fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let trusted = args.keys.iter().map(|path| keys::verifying_key(path)).collect::<Result<Vec<_>, _>>()?;
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
    let verification = oms::verify(&args.model, &bundle, &Trust::Keys(trusted), &options);
    let report = report(args, &bundle, &verification)?;
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

/// The verification as the check `trust/signature`.
fn report(args: &VerifyArgs, bundle: &[u8], verification: &Verification) -> anyhow::Result<Report> {
    let name = args.model.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
    let digest = verification.root_digest.iter().fold(DigestSet::default(), DigestSet::with);
    let subject = Subject { name: name.unwrap_or_default(), kind: SubjectKind::Model, digest };
    let mut inputs = vec![Input { name: "signature".to_owned(), digest: Digest::sha256(bundle) }];
    for path in &args.keys {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        inputs.push(Input { name: "key".to_owned(), digest: Digest::sha256(&bytes) });
    }
    let config = canonical::digest(&serde_json::json!({
        "refuse_symlinks": args.refuse_symlinks,
        "ignore_unsigned": args.ignore_unsigned,
        "ignore": args.ignore.iter().map(|p| p.to_string_lossy()).collect::<Vec<_>>(),
    }))?;
    Ok(verification.report(subject, inputs, config))
}

/// A signature is a small file; a larger one is no signature.
fn read_signature(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
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
fn model_prefix(model: &std::path::Path) -> String {
    if model.is_dir() { gauntlet_core::display_path(model).0 } else { result::prefix(model) }
}
