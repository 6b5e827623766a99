//! `gauntlet sign`: an OpenSSF model signature for a file or folder.

mod keyless;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gauntlet_trust::keys::Signer;
use gauntlet_trust::oms::{
    self, CertificateEndorser, Endorse, HashType, Hashing, KeyEndorser, Serialization, SignOptions, TimeStamped,
};
use gauntlet_trust::timestamp::{self, Authorities};
use gauntlet_trust::x509::{Certificate, read_certificates};
use jiff::Timestamp;

use crate::cli::{Global, HashAlgorithm, SignArgs};
use crate::commands::run::clock;
use crate::commands::sign_given;
use crate::exit::{Exit, UsageError};
use crate::hashing::SignatureHashing;
use crate::state::UserConfig;
use crate::{keys, terminal};

pub(crate) fn run(
    args: &SignArgs,
    global: &Global,
    config: &dyn Fn() -> anyhow::Result<UserConfig>,
) -> anyhow::Result<Exit> {
    let now = clock(global)?.now();
    if args.keyless.keyless {
        if args.given.digests.is_some() || args.given.oci.is_some() || args.given.trust_mtime {
            return Err(UsageError::new("--digests, --oci and --trust-mtime do not go with --keyless").into());
        }
        return keyless::run(args, clock(global)?.as_ref());
    }
    let certificates = certificates(args, now)?;
    let authorities = (!args.tsa.is_empty()).then(|| authorities(&args.tsa)).transpose()?;
    let key = signer(args)?;
    let signature = args.signature.clone().unwrap_or_else(|| oms::default_signature_path(&args.model));
    let mut options = options(args, &signature)?;
    let trusted = args.given.trust_mtime.then(config).transpose()?.map(|config| (config, now.as_second()));
    let hashing = SignatureHashing::new(global, "hashing", trusted)?;
    options.hashing = hashing.hashing.clone();

    let subject = certificates.first().map(Certificate::subject);
    let (bare, certified);
    let mut endorser: &dyn Endorse = if certificates.is_empty() {
        bare = KeyEndorser(key.as_ref());
        &bare
    } else {
        certified = CertificateEndorser::new(key.as_ref(), certificates).map_err(|e| UsageError::new(e.to_string()))?;
        &certified
    };
    let stamp = |signature: &[u8]| {
        let url = args.timestamp.as_deref().unwrap_or_default();
        let answer = timestamp::fetch(url, signature)?;
        if let Some(authorities) = &authorities {
            timestamp::verify(&answer, signature, authorities)?;
        }
        Ok(answer)
    };
    let stamped = TimeStamped { endorser, stamp: &stamp };
    if args.timestamp.is_some() {
        endorser = &stamped;
    }
    let signed = match sign_given::list(&args.given)? {
        Some(list) => oms::sign_digests(&sign_given::name(&args.model)?, &list, endorser, &options),
        None => oms::sign_as(&args.model, endorser, &options),
    };
    let signed = signed.with_context(|| format!("{} was not signed", args.model.display()))?;
    let believed = hashing.finish()?;

    gauntlet_core::write_durably(&signature, &signed.bundle, 0o644)
        .with_context(|| format!("cannot write the signature to {}", signature.display()))?;
    for warning in &signed.warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    let mut text = format!(
        "Signed     {} ({} file(s), {} bytes)\nSignature  {}\nRoot       {}\nKey id     {}\n",
        args.model.display(),
        signed.files,
        signed.bytes,
        signature.display(),
        signed.root_digest,
        key.key_id(),
    );
    text.extend(believed.map(|note| format!("Unread     {note}\n")));
    if signed.precomputed {
        text.push_str(&format!("Digests    precomputed, from {}: no file was read\n", sign_given::shown(&args.given)));
    }
    if let Some(subject) = subject {
        text.push_str(&format!("Signer     {subject}\n"));
    }
    if let Some(url) = &args.timestamp {
        text.push_str(&format!("Stamped by {url}\n"));
    }
    if !signed.unsigned.is_empty() {
        text.push_str(&format!("Left out   {}\n", signed.unsigned.join(", ")));
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

fn options(args: &SignArgs, signature: &Path) -> anyhow::Result<SignOptions> {
    Ok(SignOptions {
        hash: match args.hash {
            HashAlgorithm::Sha256 => HashType::Sha256,
            HashAlgorithm::Blake2b => HashType::Blake2b,
            HashAlgorithm::Blake3 => HashType::Blake3,
        },
        serialization: match args.shard_size {
            None => Serialization::Files,
            Some(size) => Serialization::Shards(
                NonZeroU64::new(size).ok_or_else(|| UsageError::new("--shard-size must be above 0"))?,
            ),
        },
        allow_symlinks: args.allow_symlinks,
        ignore: ignored(&args.ignore, &args.model)?,
        signature_path: Some(signature.to_owned()),
        dot_for_single_file: args.dot,
        hashing: Hashing::default(),
    })
}

fn signer(args: &SignArgs) -> anyhow::Result<Box<dyn Signer>> {
    match (&args.pkcs11, &args.key) {
        (Some(uri), _) => {
            let pin = keys::PinSource { env: args.pin_env.as_deref(), file: args.pin_file.as_deref() };
            Ok(Box::new(keys::token_key(uri, args.pkcs11_module.as_deref(), pin)?))
        }
        (None, Some(path)) => Ok(Box::new(keys::signing_key(path, args.passphrase_env.as_deref())?)),
        (None, None) => Err(UsageError::new("name a key with --key or --pkcs11").into()),
    }
}

/// The signer's certificate and its issuers. One that no verifier would take at `now` is refused here already.
fn certificates(args: &SignArgs, now: Timestamp) -> anyhow::Result<Vec<Certificate>> {
    let Some(path) = &args.certificate else { return Ok(Vec::new()) };
    let mut all = certificate_files(std::slice::from_ref(path))?;
    all.extend(certificate_files(&args.chain)?);
    let shown = path.display();
    match all.first() {
        Some(leaf) if now > leaf.not_after() => {
            Err(UsageError::new(format!("the certificate {shown} ended on {}", leaf.not_after())).into())
        }
        Some(leaf) if now < leaf.not_before() => {
            Err(UsageError::new(format!("the certificate {shown} begins only on {}", leaf.not_before())).into())
        }
        _ => Ok(all),
    }
}

/// All certificates of these files, in their order.
pub(crate) fn certificate_files(paths: &[PathBuf]) -> anyhow::Result<Vec<Certificate>> {
    let mut all = Vec::new();
    for path in paths {
        let some = read_certificates(path);
        all.extend(some.map_err(|error| UsageError::new(format!("cannot use the certificates: {error}")))?);
    }
    Ok(all)
}

/// The time stamping authorities of these files.
pub(crate) fn authorities(paths: &[PathBuf]) -> anyhow::Result<Authorities> {
    let refused = |error| UsageError::new(format!("cannot use the certificates of --tsa: {error}"));
    Ok(Authorities::new(certificate_files(paths)?).map_err(refused)?)
}

/// Paths to leave out as the format writes them: relative to the model, whether they were given so or from here.
pub(crate) fn ignored(paths: &[PathBuf], model: &Path) -> anyhow::Result<Vec<String>> {
    paths
        .iter()
        .map(|path| {
            let inside = path.strip_prefix(model).unwrap_or(path);
            let text = inside.to_str().ok_or_else(|| UsageError::new(format!("{} is not UTF-8", path.display())))?;
            Ok(text.trim_end_matches('/').to_owned())
        })
        .collect()
}
