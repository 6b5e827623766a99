//! Finding and reading the trust policy: a plain file, or a bundle that the trust roots of this user signed.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use gauntlet_core::write_durably;
use gauntlet_policy::shipped_names;
use gauntlet_trust::keys::{VerifyingKey, read_public};
use gauntlet_trust::trust_policy::{BundleError, KnownVersions, PolicyBundle, TrustPolicy, VerifiedPolicy};

use crate::decide::all;
use crate::exit::{Refusal, UsageError};
use crate::keys;
use crate::state::UserConfig;

/// Largest trust policy, signed or not, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Which trust policy, and by whose word it is the right one.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TrustArgs {
    /// The organisation's trust policy: a YAML file, or the bundle that `gauntlet policy bundle` made of it.
    #[arg(long, value_name = "FILE", env = "GAUNTLET_TRUST_POLICY", hide_env_values = true)]
    pub(crate) trust_policy: Option<PathBuf>,
    /// PEM file of a public key that must have signed the trust policy or one that it follows from; may be given several
    /// times, then all must have [default: those pinned with `gauntlet policy bundle --verify --pin`].
    #[arg(long = "trust-root", value_name = "PUB")]
    pub(crate) trust_roots: Vec<PathBuf>,
}

/// A trust policy and how much is known of where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct LoadedTrust {
    /// The policy.
    pub(crate) policy: TrustPolicy,
    /// Ids of the root keys that signed it; `None` for a plain file.
    pub(crate) signers: Option<Vec<String>>,
}

impl TrustArgs {
    /// Reads the trust policy that was named, if any.
    pub(crate) fn load(&self, config: &UserConfig) -> anyhow::Result<Option<LoadedTrust>> {
        let Some(path) = &self.trust_policy else {
            if !self.trust_roots.is_empty() {
                return Err(UsageError::new("--trust-root needs the --trust-policy that it vouches for").into());
            }
            return Ok(None);
        };
        load(path, &self.trust_roots, config).map(Some)
    }

    /// As [`Self::load`], where there must be one.
    pub(crate) fn required(&self, config: &UserConfig) -> anyhow::Result<LoadedTrust> {
        let missing = "name the trust policy with --trust-policy FILE, or in GAUNTLET_TRUST_POLICY";
        self.load(config)?.ok_or_else(|| UsageError::new(missing).into())
    }
}

/// Reads a trust policy: a bundle is verified, compared with the newest that was seen, and remembered.
fn load(path: &Path, given: &[PathBuf], config: &UserConfig) -> anyhow::Result<LoadedTrust> {
    let bytes = read(path)?;
    let roots = roots(given, config)?;
    let shown = path.display().to_string();
    let packs: Vec<&str> = shipped_names().collect();
    if !PolicyBundle::is_meant(&bytes) {
        // Whoever trusts keys must not be handed a text that nobody signed.
        if !roots.is_empty() {
            let text =
                format!("{shown} is not signed, and you trust only what your trust roots signed: use its bundle");
            return Err(UsageError::new(text).into());
        }
        let policy = TrustPolicy::parse(&shown, &bytes, &packs).map_err(|errors| all(&errors))?;
        return Ok(LoadedTrust { policy, signers: None });
    }
    let verified = verify(&shown, &bytes, &roots)?;
    admit(&verified, config)?;
    Ok(LoadedTrust { signers: Some(verified.signers), policy: verified.policy })
}

/// Verifies a bundle under trust roots.
pub(crate) fn verify(shown: &str, bytes: &[u8], roots: &[VerifyingKey]) -> anyhow::Result<VerifiedPolicy> {
    let packs: Vec<&str> = shipped_names().collect();
    let bundle = PolicyBundle::parse(bytes).map_err(|error| UsageError::new(format!("{shown}: {error}")))?;
    bundle.verify(shown, roots, &packs).map_err(|error| match error {
        BundleError::NoTrustRoot => {
            let text = "give the public key of a trust root with --trust-root: a bundle cannot vouch for itself";
            UsageError::new(format!("{shown}: {text}")).into()
        }
        false_one => Refusal::new(format!("{shown}: {false_one}")).into(),
    })
}

/// Refuses what is older than, or beside, the newest that this user saw; else remembers it.
pub(crate) fn admit(verified: &VerifiedPolicy, config: &UserConfig) -> anyhow::Result<()> {
    KnownVersions::new(config.dir()).admit(verified).map_err(|error| {
        if error.is_refusal() { Refusal::new(error.to_string()).into() } else { anyhow::Error::from(error) }
    })
}

/// The trust roots that were given, else those that are pinned.
pub(crate) fn roots(given: &[PathBuf], config: &UserConfig) -> anyhow::Result<Vec<VerifyingKey>> {
    if !given.is_empty() {
        return given.iter().map(|path| keys::verifying_key(path)).collect();
    }
    let folder = pinned(config);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(|| format!("cannot read {}", folder.display()))?.path());
    }
    paths.sort();
    let pem = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "pem"));
    // A pinned key that cannot be read must not be as good as none.
    pem.map(|path| read_public(path).with_context(|| format!("cannot read a pinned trust root, {}", path.display())))
        .collect()
}

/// Pins keys as the trust roots of this user.
pub(crate) fn pin(roots: &[VerifyingKey], config: &UserConfig) -> anyhow::Result<PathBuf> {
    let folder = pinned(config);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for key in roots {
        let path = folder.join(format!("{}.pub.pem", key.key_id()));
        write_durably(&path, key.to_pem()?.as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(folder)
}

/// The whole file, or a usage error that names it.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable =
        |error: io::Error| UsageError::new(format!("cannot read the trust policy {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(UsageError::new(format!("{} is longer than {MAX_BYTES} bytes", path.display())).into());
    }
    Ok(bytes)
}

fn pinned(config: &UserConfig) -> PathBuf {
    config.dir().join("trust-roots")
}
