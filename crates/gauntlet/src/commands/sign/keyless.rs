//! `gauntlet sign --keyless`: an identity instead of a key.

use anyhow::Context;
use gauntlet_core::Clock;
use gauntlet_trust::oms::{self, Endorse, TimeStamped};
use gauntlet_trust::sigstore::keyless::{IdentityToken, Keyless, Place};
use gauntlet_trust::sigstore::{Bundle, Identity, Material, Who, verify};
use gauntlet_trust::timestamp;
use jiff::SignedDuration;

use super::options;
use crate::cli::{KeylessArgs, SignArgs};
use crate::commands::verify::trusted_root;
use crate::exit::{Exit, UsageError};
use crate::terminal;

/// How far the clock of a log may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn run(args: &SignArgs, clock: &dyn Clock) -> anyhow::Result<Exit> {
    let place = |url: &Option<String>| {
        Place::parse(url.as_deref().unwrap_or_default()).map_err(|error| UsageError::new(error.to_string()))
    };
    let (fulcio, rekor) = (place(&args.keyless.fulcio_url)?, place(&args.keyless.rekor_url)?);
    let root = args.keyless.trusted_root.as_deref().map(trusted_root).transpose()?;
    let token = token(&args.keyless)?;
    let signature = args.signature.clone().unwrap_or_else(|| oms::default_signature_path(&args.model));
    let options = options(args, &signature)?;

    let keyless = Keyless::new(fulcio, rekor, token);
    let stamp = |signature: &[u8]| timestamp::fetch(args.timestamp.as_deref().unwrap_or_default(), signature);
    let stamped = TimeStamped { endorser: &keyless, stamp: &stamp };
    let endorser: &dyn Endorse = if args.timestamp.is_some() { &stamped } else { &keyless };
    let signed = oms::sign_as(&args.model, endorser, &options)
        .with_context(|| format!("{} was not signed", args.model.display()))?;

    let bundle = Bundle::parse(&signed.bundle).map_err(|failure| anyhow::anyhow!(failure.message))?;
    let signer = bundle.signer().map_err(|failure| anyhow::anyhow!(failure.message))?;
    if let Some(root) = &root {
        let identity = Identity::exact(&signer.subject, &signer.issuer)?;
        // The log took the entry a moment ago, by its own clock.
        let soon = clock.now().saturating_add(SKEW)?;
        verify(&bundle, root, &Who::Identity(identity), Material::Envelope, soon)
            .context("certificate authority or log answered with what their own trusted root does not vouch for")?;
    }
    gauntlet_core::write_durably(&signature, &signed.bundle, 0o644)
        .with_context(|| format!("cannot write the signature to {}", signature.display()))?;
    for warning in &signed.warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    if root.is_none() {
        terminal::note("note: not checked against a trusted root; name one with --trusted-root");
    }
    let mut text = format!(
        "Signed     {} ({} file(s), {} bytes)\nSignature  {}\nRoot       {}\nSigner     {}\nIssuer     {}\n",
        args.model.display(),
        signed.files,
        signed.bytes,
        signature.display(),
        signed.root_digest,
        signer.subject,
        signer.issuer,
    );
    if let Some(index) = bundle.log_index() {
        text.push_str(&format!("Log entry  {index}\n"));
    }
    if !signed.unsigned.is_empty() {
        text.push_str(&format!("Left out   {}\n", signed.unsigned.join(", ")));
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

/// From where the caller says, else from the CI system.
fn token(args: &KeylessArgs) -> anyhow::Result<IdentityToken> {
    let environment = |name: &str| std::env::var(name).ok();
    let token = match (&args.identity_token_env, &args.identity_token_file) {
        (Some(name), _) => IdentityToken::from_environment(name, &environment),
        (None, Some(path)) => IdentityToken::from_file(path),
        (None, None) => IdentityToken::ambient(&environment),
    };
    Ok(token.map_err(|error| UsageError::new(error.to_string()))?)
}
