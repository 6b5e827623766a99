//! `gauntlet policy bundle`: signs a trust policy by its root keys, adds signatures, verifies and pins.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use gauntlet_core::write_durably;
use gauntlet_trust::keys::Signer;
use gauntlet_trust::trust_policy::{BundleError, PolicyBundle};

use crate::exit::{Exit, UsageError};
use crate::state::UserConfig;
use crate::{keys, terminal, trust};

/// Sign a trust policy, or verify one that is signed.
#[derive(Debug, Args)]
pub(crate) struct PolicyBundleArgs {
    /// The trust policy in YAML; or a bundle, to add signatures or to verify it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// PEM file of a private root key; may be given several times.
    #[arg(long = "key", value_name = "KEY", required_unless_present = "verify")]
    keys: Vec<PathBuf>,
    /// Environment variable that holds the passphrase of the keys [default: ask on a terminal].
    #[arg(long, value_name = "NAME")]
    passphrase_env: Option<String>,
    /// The bundle of the version before, which this one succeeds.
    #[arg(long, value_name = "BUNDLE", conflicts_with = "verify")]
    previous: Option<PathBuf>,
    /// Where the bundle goes.
    #[arg(long, short, value_name = "BUNDLE", required_unless_present = "verify")]
    output: Option<PathBuf>,
    /// Verify the bundle under the trust roots instead.
    #[arg(long, conflicts_with_all = ["keys", "output"])]
    verify: bool,
    /// PEM file of a public key that must have signed it or a predecessor; may be given several times [default: the pinned ones].
    #[arg(long = "trust-root", value_name = "PUB", requires = "verify")]
    trust_roots: Vec<PathBuf>,
    /// Pin these keys as your trust roots when it verifies: from then on only what they lead to is taken.
    #[arg(long, requires = "verify")]
    pin: bool,
}

pub(crate) fn run(args: &PolicyBundleArgs, config: &UserConfig) -> anyhow::Result<Exit> {
    if args.verify { verify(args, config) } else { sign(args) }
}

fn verify(args: &PolicyBundleArgs, config: &UserConfig) -> anyhow::Result<Exit> {
    let shown = args.file.display().to_string();
    let bytes = trust::read(&args.file)?;
    if !PolicyBundle::is_meant(&bytes) {
        return Err(UsageError::new(format!(
            "{shown} is a plain file that nobody signed; only a bundle can be verified"
        ))
        .into());
    }
    let roots = trust::roots(&args.trust_roots, config)?;
    let verified = trust::verify(&shown, &bytes, &roots)?;
    trust::admit(&verified, config)?;
    let mut text = format!(
        "Trust policy  {} number {}\nDigest        {}\n",
        verified.policy.name, verified.version_number, verified.policy.digest
    );
    for signer in &verified.signers {
        let holder = verified.policy.holder(signer).map(|person| format!(" ({})", person.id)).unwrap_or_default();
        let _ = writeln!(text, "Signed by     {signer}{holder}");
    }
    if args.pin {
        let folder = trust::pin(&roots, config)?;
        let _ = writeln!(text, "Pinned        {} key(s) in {}", roots.len(), folder.display());
    }
    terminal::print(&text)?;
    Ok(Exit::Allowed)
}

fn sign(args: &PolicyBundleArgs) -> anyhow::Result<Exit> {
    let Some(output) = &args.output else { return Err(UsageError::new("name the bundle to write with -o").into()) };
    let signers = args
        .keys
        .iter()
        .map(|path| keys::signer(path, args.passphrase_env.as_deref()))
        .collect::<Result<Vec<Box<dyn Signer>>, _>>()?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let bytes = trust::read(&args.file)?;
    let bundle = if PolicyBundle::is_meant(&bytes) {
        if args.previous.is_some() {
            return Err(UsageError::new("a bundle holds its predecessors already: leave out --previous").into());
        }
        let mut bundle = PolicyBundle::parse(&bytes).map_err(usage)?;
        bundle.sign_also(&signers).map_err(usage)?;
        bundle
    } else {
        let previous = args
            .previous
            .as_ref()
            .map(|path| PolicyBundle::parse(&trust::read(path)?).map_err(|error| anyhow::Error::from(usage(error))))
            .transpose()?;
        PolicyBundle::sign(&bytes, previous, &signers).map_err(usage)?
    };
    let missing = bundle.missing().map_err(usage)?;
    write_durably(output, &bundle.to_bytes(), 0o644).with_context(|| format!("cannot write {}", output.display()))?;
    let mut text = format!("Wrote {}\n", output.display());
    for lack in &missing {
        let whose = if lack.of_previous { "the predecessor's root" } else { "its own root" };
        let _ = writeln!(text, "Not valid yet: {} of {} needed signers of {whose} signed", lack.found, lack.needed);
    }
    if !missing.is_empty() {
        let _ = writeln!(text, "Add signatures: gauntlet policy bundle {0} --key KEY -o {0}", output.display());
    }
    terminal::print(&text)?;
    Ok(if missing.is_empty() { Exit::Allowed } else { Exit::Inconclusive })
}

fn usage(error: BundleError) -> UsageError {
    UsageError::new(error.to_string())
}
