//! One certificate, read and believed by nobody yet.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use jiff::Timestamp;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use sha2::{Digest as _, Sha256};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use crate::base64;
use crate::keys::{KeyError, VerifyingKey};
use crate::shown;

/// No certificate is larger. Names are sorted while they are read, which costs the square of their parts.
const MAX_BYTES: usize = 16 << 10;
/// Bytes of the largest file of certificates: more than the whole list of a browser has.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// Certificates in one file.
const MAX_IN_FILE: usize = 2_000;

/// A certificate (RFC 5280). Its statements are only as good as the [chain](super::Roots::verify) above it.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    spki: Vec<u8>,
    parsed: x509_cert::Certificate,
}

/// A name of the subject besides its distinguished name (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// `rfc822Name`.
    Email(String),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// `dNSName`.
    Dns(String),
    /// `otherName`: its type and the DER of its value.
    Other {
        /// The type, in dots.
        kind: String,
        /// DER of the value.
        value: Vec<u8>,
    },
}

/// What a certificate's key may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUses {
    /// The key usage extension, if there is one: may it sign what is no certificate (`digitalSignature`)?
    pub digital_signature: Option<bool>,
    /// The key usage extension, if there is one: may it sign certificates (`keyCertSign`)?
    pub certificates: Option<bool>,
    /// The purposes of the extended key usage extension, in dots; empty when there is none.
    pub purposes: Vec<String>,
    /// Whether the extended key usage is marked critical.
    pub purposes_critical: bool,
    /// Basic constraints: is it an authority (`cA`)?
    pub authority: bool,
    /// Basic constraints: authorities that may stand between it and a leaf.
    pub path_length: Option<u8>,
}

impl KeyUses {
    /// Whether the extended key usage names this purpose (in dots).
    #[must_use]
    pub fn has(&self, purpose: &str) -> bool {
        self.purposes.iter().any(|one| one == purpose)
    }
}

impl Certificate {
    /// Reads one certificate.
    ///
    /// # Errors
    /// [`CertificateError`] when the bytes are none, or more than one.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_BYTES {
            return Err(CertificateError::Malformed(format!("more than {MAX_BYTES} bytes")));
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let spki = parsed.tbs_certificate.subject_public_key_info.to_der().map_err(malformed)?;
        let this = Self { der: der.to_vec(), spki, parsed };
        this.extensions_once()?;
        this.uses()?;
        Ok(this)
    }

    /// Reads every certificate of a PEM text, in its order. Text around them and blocks of other kinds are passed over.
    ///
    /// # Errors
    /// [`CertificateError`] when there is none, one is malformed or there are too many.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let mut all = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = section.map_err(|e| CertificateError::Malformed(format!("not PEM: {e}")))?;
            if kind != SectionKind::Certificate {
                continue;
            }
            if all.len() == MAX_IN_FILE {
                return Err(CertificateError::Malformed(format!("more than {MAX_IN_FILE} certificates")));
            }
            all.push(Self::from_der(&der)?);
        }
        if all.is_empty() { Err(CertificateError::None) } else { Ok(all) }
    }

    /// The bytes that were read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PEM: 64 columns, LF, a final LF.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let text = base64::encode(&self.der);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for (i, c) in text.chars().enumerate() {
            if i > 0 && i % 64 == 0 {
                pem.push('\n');
            }
            pem.push(c);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
        pem
    }

    /// The subject's distinguished name as RFC 4514 text, for people.
    #[must_use]
    pub fn subject(&self) -> String {
        one_line(&self.parsed.tbs_certificate.subject.to_string())
    }

    /// The issuer's distinguished name as RFC 4514 text, for people.
    #[must_use]
    pub fn issuer(&self) -> String {
        one_line(&self.parsed.tbs_certificate.issuer.to_string())
    }

    /// Whether subject and issuer bear the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.parsed.tbs_certificate.subject == self.parsed.tbs_certificate.issuer
    }

    /// Lower-case hex SHA-256 over the DER.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }

    /// First second of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        moment(self.parsed.tbs_certificate.validity.not_before)
    }

    /// Last second of its validity; years past what can be shown count as the last that can.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        moment(self.parsed.tbs_certificate.validity.not_after)
    }

    /// DER of the SubjectPublicKeyInfo as it stands in the certificate.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The subject's key, if it is of a kind that our formats sign with.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for RSA and other kinds.
    pub fn public_key(&self) -> Result<VerifyingKey, KeyError> {
        VerifyingKey::from_spki_der(&self.spki)
    }

    /// What the key may be used for.
    ///
    /// # Errors
    /// [`CertificateError`] when one of the extensions is malformed.
    pub fn uses(&self) -> Result<KeyUses, CertificateError> {
        let tbs = &self.parsed.tbs_certificate;
        let mut uses = KeyUses::default();
        if let Some((_, usage)) = tbs.get::<KeyUsage>().map_err(malformed)? {
            uses.digital_signature = Some(usage.digital_signature());
            uses.certificates = Some(usage.key_cert_sign());
        }
        if let Some((critical, extended)) = tbs.get::<ExtendedKeyUsage>().map_err(malformed)? {
            uses.purposes = extended.0.iter().map(ToString::to_string).collect();
            uses.purposes_critical = critical;
        }
        if let Some((_, basic)) = tbs.get::<BasicConstraints>().map_err(malformed)? {
            uses.authority = basic.ca;
            uses.path_length = basic.path_len_constraint;
        }
        Ok(uses)
    }

    /// The subject's alternative names; none when the extension is not there.
    ///
    /// # Errors
    /// [`CertificateError`] when the extension is malformed.
    pub fn alt_names(&self) -> Result<Vec<AltName>, CertificateError> {
        let Some((_, names)) = self.parsed.tbs_certificate.get::<SubjectAltName>().map_err(malformed)? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for name in names.0 {
            match name {
                GeneralName::Rfc822Name(text) => all.push(AltName::Email(text.to_string())),
                GeneralName::UniformResourceIdentifier(text) => all.push(AltName::Uri(text.to_string())),
                GeneralName::DnsName(text) => all.push(AltName::Dns(text.to_string())),
                GeneralName::OtherName(other) => {
                    let value = other.value.to_der().map_err(malformed)?;
                    all.push(AltName::Other { kind: other.type_id.to_string(), value });
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// The bytes inside the extension `oid` (its `extnValue`), and whether it is critical.
    #[must_use]
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<(&[u8], bool)> {
        let all = self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default();
        all.iter().find(|one| one.extn_id == oid).map(|one| (one.extn_value.as_bytes(), one.critical))
    }

    /// Everything else, for readers inside this crate.
    pub(crate) fn parsed(&self) -> &x509_cert::Certificate {
        &self.parsed
    }

    /// RFC 5280, section 4.2: no extension twice. Two readers could otherwise take one each.
    fn extensions_once(&self) -> Result<(), CertificateError> {
        let all = self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        match all.iter().find(|one| !seen.insert(one.extn_id)) {
            Some(twice) => Err(CertificateError::Malformed(format!("extension {} appears twice", twice.extn_id))),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({} {})", shown(&self.subject()), self.fingerprint())
    }
}

/// Reads a file of certificates: PEM with any number of them, or one in DER.
///
/// # Errors
/// [`CertificateError::InFile`] names the file and what is wrong with it.
pub fn read_certificates(path: &Path) -> Result<Vec<Certificate>, CertificateError> {
    let in_file =
        |source: CertificateError| CertificateError::InFile { path: path.to_owned(), source: Box::new(source) };
    let bytes = read(path).map_err(|e| in_file(e.into()))?;
    if bytes.first() == Some(&DER_SEQUENCE) {
        return Ok(vec![Certificate::from_der(&bytes).map_err(in_file)?]);
    }
    Certificate::all_from_pem(&bytes).map_err(in_file)
}

/// With what every DER certificate begins, and no PEM text.
const DER_SEQUENCE: u8 = 0x30;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // The type first: opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Why bytes are no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not the encoding of a certificate, or one that contradicts itself.
    #[error("not a certificate: {0}")]
    Malformed(String),
    /// A text without any.
    #[error("no certificate in it (a line `-----BEGIN CERTIFICATE-----` is wanted)")]
    None,
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another error, with the file it happened on.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<CertificateError>,
    },
}

/// A name as people may be shown it: whoever chose it could have put line ends and terminal codes in.
fn one_line(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

fn malformed(error: impl std::fmt::Display) -> CertificateError {
    CertificateError::Malformed(error.to_string())
}

fn moment(time: x509_cert::time::Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
