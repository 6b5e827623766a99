//! `trusted_root.json`: the authorities and logs of one Sigstore instance, with the time in which each counts.
//!
//! Format: `dev.sigstore.trustroot.v1.TrustedRoot` in the JSON of protobuf. It is the caller's word, so what cannot be
//! read in it is an error and never left out: a key that is dropped in silence would change what is trusted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::Window;
use super::json::Bytes;
use super::log_key::{LogKey, PublicKey};
use crate::shown;
use crate::strict_json::{self, Bounds, JsonError};
use crate::timestamp::Authorities;
use crate::x509::{Certificate, Roots};

/// Bytes of the largest trusted root; genuine ones have some 10 KB.
pub const MAX_TRUSTED_ROOT_BYTES: usize = 1 << 20;
/// Of each kind of log and authority.
const MAX_EACH: usize = 64;
/// From an authority to its root.
const MAX_CHAIN: usize = 8;

const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot+json;version=0.2",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// Who may vouch for a signer, a certificate, an entry and a moment.
#[derive(Clone, Debug)]
pub struct TrustedRoot {
    pub(super) authorities: Vec<CertificateAuthority>,
    pub(super) certificate_logs: Vec<LogKey>,
    pub(super) logs: Vec<LogKey>,
    pub(super) time_stamping: Vec<TimeStamping>,
}

/// An authority of certificates.
#[derive(Clone, Debug)]
pub(super) struct CertificateAuthority {
    pub(super) roots: Roots,
    pub(super) intermediates: Vec<Certificate>,
    pub(super) window: Window,
}

/// An authority of time stamps.
#[derive(Clone, Debug)]
pub(super) struct TimeStamping {
    pub(super) authorities: Authorities,
    /// Subject of the one certificate that stamps, where the chain names it; others of the same root do not count.
    pub(super) unit: Option<String>,
    pub(super) window: Window,
}

/// Why a trusted root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustedRootError {
    /// Not JSON of the expected shape, or too much of it.
    #[error("not a trusted root: {0}")]
    Json(#[from] JsonError),
    /// Another media type.
    #[error("media type {0} is none of a trusted root")]
    MediaType(String),
    /// One of its members.
    #[error("the trusted root's {place}: {what}")]
    Member {
        /// Which one.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl TrustedRoot {
    /// Reads a trusted root.
    ///
    /// # Errors
    /// [`TrustedRootError`] names the member that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustedRootError> {
        let bounds = Bounds { bytes: MAX_TRUSTED_ROOT_BYTES, ..Bounds::RECORD };
        let raw: RawRoot = strict_json::from_slice(bytes, &bounds)?;
        let media_type = raw.media_type.unwrap_or_default();
        if !MEDIA_TYPES.contains(&media_type.as_str()) {
            return Err(TrustedRootError::MediaType(shown(&media_type)));
        }
        let root = Self {
            authorities: each(raw.certificate_authorities, "certificateAuthorities", RawAuthority::certificates)?,
            certificate_logs: each(raw.ctlogs, "ctlogs", RawLog::read)?,
            logs: each(raw.tlogs, "tlogs", RawLog::read)?,
            time_stamping: each(raw.timestamp_authorities, "timestampAuthorities", RawAuthority::time_stamping)?,
        };
        if root.logs.is_empty() && root.time_stamping.is_empty() {
            let what = "neither `tlogs` nor `timestampAuthorities`: nothing could tell when a signature was made";
            return Err(TrustedRootError::Member { place: "logs".to_owned(), what: what.to_owned() });
        }
        Ok(root)
    }

    /// Reads a trusted root from a regular file.
    ///
    /// # Errors
    /// As [`Self::parse`], or what the system says.
    pub fn read(path: &Path) -> Result<Self, TrustedRootError> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file").into());
        }
        let mut bytes = Vec::new();
        // One byte more than may be, so that too much is noticed and not cut.
        File::open(path)?.take(MAX_TRUSTED_ROOT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    /// Whether it names a log of certificates; without one, certificates are not asked for their time stamp.
    #[must_use]
    pub fn names_certificate_logs(&self) -> bool {
        !self.certificate_logs.is_empty()
    }

    /// Whether it names a transparency log; without one, bundles are not asked for an entry.
    #[must_use]
    pub fn names_logs(&self) -> bool {
        !self.logs.is_empty()
    }
}

fn each<R, T>(
    all: Option<Vec<R>>,
    name: &str,
    read: impl Fn(R) -> Result<T, String>,
) -> Result<Vec<T>, TrustedRootError> {
    let all = all.unwrap_or_default();
    if all.len() > MAX_EACH {
        let what = format!("more than {MAX_EACH}");
        return Err(TrustedRootError::Member { place: name.to_owned(), what });
    }
    let one = |(i, raw)| read(raw).map_err(|what| TrustedRootError::Member { place: format!("{name}[{i}]"), what });
    all.into_iter().enumerate().map(one).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRoot {
    media_type: Option<String>,
    tlogs: Option<Vec<RawLog>>,
    certificate_authorities: Option<Vec<RawAuthority>>,
    ctlogs: Option<Vec<RawLog>>,
    timestamp_authorities: Option<Vec<RawAuthority>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    hash_algorithm: Option<String>,
    public_key: RawKey,
    log_id: RawLogId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLogId {
    key_id: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawKey {
    raw_bytes: Bytes,
    #[serde(default)]
    key_details: String,
    valid_for: Option<RawWindow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAuthority {
    cert_chain: RawChain,
    valid_for: Option<RawWindow>,
}

#[derive(Deserialize)]
struct RawChain {
    certificates: Vec<RawCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCertificate {
    raw_bytes: Bytes,
}

#[derive(Deserialize)]
struct RawWindow {
    start: Option<String>,
    end: Option<String>,
}

impl RawLog {
    fn read(self) -> Result<LogKey, String> {
        if self.hash_algorithm.as_deref().is_some_and(|name| name != "SHA2_256") {
            return Err(format!("hash algorithm {} is not handled", shown(&self.hash_algorithm.unwrap_or_default())));
        }
        if self.log_id.key_id.0.len() < 4 {
            return Err("`logId` is too short".to_owned());
        }
        let key = PublicKey::read(&self.public_key.raw_bytes.0, &self.public_key.key_details)?;
        Ok(LogKey { id: self.log_id.key_id.0, key, window: window(self.public_key.valid_for)? })
    }
}

impl RawAuthority {
    fn certificates(self) -> Result<CertificateAuthority, String> {
        let window = window(self.valid_for)?;
        let mut chain = self.cert_chain.read()?;
        let root = chain.pop().ok_or("no certificate")?;
        let roots = Roots::new(vec![root]).map_err(|e| e.to_string())?;
        Ok(CertificateAuthority { roots, intermediates: chain, window })
    }

    fn time_stamping(self) -> Result<TimeStamping, String> {
        let window = window(self.valid_for)?;
        let mut chain = self.cert_chain.read()?;
        let root = chain.pop().ok_or("no certificate")?;
        let roots = Roots::new(vec![root]).map_err(|e| e.to_string())?;
        let unit = match chain.first() {
            Some(first) if !first.uses().map_err(|e| e.to_string())?.authority => Some(first.subject()),
            _ => None,
        };
        Ok(TimeStamping { authorities: Authorities { roots, certificates: chain }, unit, window })
    }
}

impl RawChain {
    /// Leaf-most first, root last.
    fn read(self) -> Result<Vec<Certificate>, String> {
        if self.certificates.len() > MAX_CHAIN {
            return Err(format!("a chain of more than {MAX_CHAIN} certificates"));
        }
        let read = |raw: RawCertificate| Certificate::from_der(&raw.raw_bytes.0).map_err(|e| e.to_string());
        self.certificates.into_iter().map(read).collect()
    }
}

/// A missing start is an error: taking it for "always" would trust a key before anybody vouched for it.
fn window(raw: Option<RawWindow>) -> Result<Window, String> {
    let raw = raw.ok_or("`validFor` is missing")?;
    let time = |text: String| text.parse::<Timestamp>().map_err(|e| format!("`validFor`: {e}"));
    let start = time(raw.start.ok_or("`validFor` has no `start`")?)?;
    let end = raw.end.map(time).transpose()?;
    match end {
        Some(end) if end < start => Err("`validFor` ends before it starts".to_owned()),
        _ => Ok(Window { start, end }),
    }
}
