//! Genuine bundles of testdata/sigstore, and how they are judged.

use std::path::PathBuf;

use gauntlet_trust::keys::VerifyingKey;
use gauntlet_trust::sigstore::{
    ArtifactDigest, Bundle, Failures, Identity, Material, Reason, TrustedRoot, Who, verify,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One line of `cases.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) root: String,
    /// File under `bundles/`; without one, what the bundle itself names is taken.
    pub(crate) artifact: Option<String>,
    #[serde(default)]
    pub(crate) identity: String,
    #[serde(default)]
    pub(crate) issuer: String,
    pub(crate) key: Option<String>,
    /// Reasons for which it is refused; empty when it holds.
    #[serde(default)]
    pub(crate) reasons: Vec<String>,
    /// When it was signed.
    #[serde(default)]
    pub(crate) time: Option<Timestamp>,
}

/// Everything that a judgement depends on, to be mutated.
#[derive(Clone)]
pub(crate) struct Judged {
    pub(crate) bundle: Value,
    pub(crate) root: Value,
    pub(crate) artifact: Option<Vec<u8>>,
    pub(crate) identity: String,
    pub(crate) issuer: String,
    pub(crate) key: Option<VerifyingKey>,
    pub(crate) at: Timestamp,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sigstore")
}

pub(crate) fn cases() -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap()
}

pub(crate) fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(path)).unwrap()).unwrap()
}

impl Case {
    pub(crate) fn load(&self) -> Judged {
        let key = self.key.as_ref().map(|name| {
            let pem = std::fs::read_to_string(folder().join("bundles").join(name)).unwrap();
            VerifyingKey::from_pem(&pem).unwrap()
        });
        Judged {
            bundle: json(&format!("bundles/{}.json", self.id)),
            root: json(&format!("roots/{}.json", self.root)),
            artifact: self.artifact.as_ref().map(|name| std::fs::read(folder().join("bundles").join(name)).unwrap()),
            identity: self.identity.clone(),
            issuer: self.issuer.clone(),
            key,
            at: "2026-11-21T00:00:00Z".parse().unwrap(),
        }
    }
}

impl Judged {
    /// The moment of signing, or every reason against the bundle.
    pub(crate) fn verify(&self) -> Result<Option<Timestamp>, Vec<Reason>> {
        self.judge().map_err(|failures| {
            let mut reasons: Vec<Reason> = failures.all().iter().map(|one| one.reason).collect();
            reasons.sort();
            reasons.dedup();
            reasons
        })
    }

    pub(crate) fn judge(&self) -> Result<Option<Timestamp>, Failures> {
        let root = TrustedRoot::parse(self.root.to_string().as_bytes()).unwrap();
        let bundle = Bundle::parse(self.bundle.to_string().as_bytes())?;
        let who = match &self.key {
            Some(key) => Who::Key(Box::new(key.clone())),
            None => Who::Identity(Identity::exact(&self.identity, &self.issuer).unwrap()),
        };
        let artifact = match &self.artifact {
            Some(bytes) => Some(bundle.hash(bytes.as_slice(), self.key.as_ref()).unwrap()),
            // The artifact is elsewhere: its digest, as the bundle names it, stands for it.
            None => self
                .bundle
                .pointer("/messageSignature/messageDigest/digest")
                .map(|digest| ArtifactDigest::from_sha256(decode(digest.as_str().unwrap()).try_into().unwrap())),
        };
        let material = artifact.as_ref().map_or(Material::Envelope, Material::Artifact);
        verify(&bundle, &root, &who, material, self.at).map(|verified| verified.time)
    }
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
