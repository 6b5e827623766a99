//! Asking an authority for a time stamp.

use std::io::Read as _;
use std::time::Duration;

use der::asn1::{Int, OctetString};
use der::{Any, Encode as _};
use rand_core::{OsRng, RngCore as _};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};
use x509_cert::spki::AlgorithmIdentifier;
use x509_tsp::{MessageImprint, TimeStampReq, TspVersion};

use super::cms::SignedData;
use super::tst::TstInfo;
use super::{MAX_TOKEN_BYTES, TimeStampError};

/// How long an authority may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request for a time stamp over one message (RFC 3161, section 2.4.1): SHA-256, a fresh nonce, and the wish that the
/// authority send its certificates along.
#[derive(Clone, Debug)]
pub struct Request {
    der: Vec<u8>,
    nonce: Vec<u8>,
}

impl Request {
    /// A request over `message`.
    ///
    /// # Errors
    /// [`TimeStampError::Malformed`] when it cannot be encoded, which would be a fault of a library.
    pub fn new(message: &[u8]) -> Result<Self, TimeStampError> {
        let mut nonce = [0; 16];
        OsRng.fill_bytes(&mut nonce);
        if let Some(first) = nonce.first_mut() {
            // Positive, and no shorter encoding of the same number.
            *first = (*first & 0x7f) | 0x40;
        }
        let request = TimeStampReq {
            version: TspVersion::V1,
            message_imprint: MessageImprint {
                hash_algorithm: AlgorithmIdentifier { oid: SHA_256, parameters: Some(Any::null()) },
                hashed_message: OctetString::new(Sha256::digest(message).as_slice())?,
            },
            req_policy: None,
            nonce: Some(Int::new(&nonce)?),
            cert_req: true,
            extensions: None,
        };
        Ok(Self { der: request.to_der()?, nonce: nonce.to_vec() })
    }

    /// The bytes to send.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether `answer` grants a time stamp for this very request over `message`. Whether it can be believed is for
    /// [`super::verify`] to say.
    ///
    /// # Errors
    /// [`TimeStampError`] when the authority refused or answered something else.
    pub fn answered_by(&self, answer: &[u8], message: &[u8]) -> Result<(), TimeStampError> {
        let signed = SignedData::parse(answer)?;
        let info = TstInfo::parse(signed.content)?;
        info.covers(message)?;
        match info.nonce == Some(self.nonce.as_slice()) {
            true => Ok(()),
            false => Err(TimeStampError::OtherRequest),
        }
    }
}

/// Asks the authority at `url` for a time stamp over `message` and gives back its answer, which belongs into the bundle
/// as it is.
///
/// # Errors
/// [`TimeStampError::Network`] when nobody answers within 30 seconds or what comes is no time stamp; otherwise as
/// [`Request::answered_by`].
pub fn fetch(url: &str, message: &[u8]) -> Result<Vec<u8>, TimeStampError> {
    let network = |what: String| TimeStampError::Network(format!("{url}: {what}"));
    let failed = |error: reqwest::Error| network(error.without_url().to_string());
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(network("not an http or https address".to_owned()));
    }
    let request = Request::new(message)?;
    let client = reqwest::blocking::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::limited(3))
        .build()
        .map_err(failed)?;
    let response = client
        .post(url)
        .header(CONTENT_TYPE, "application/timestamp-query")
        .header(ACCEPT, "application/timestamp-reply")
        .body(request.der().to_vec())
        .send()
        .map_err(failed)?;
    if !response.status().is_success() {
        return Err(network(format!("answered with status {}", response.status())));
    }
    let mut answer = Vec::new();
    let limit = MAX_TOKEN_BYTES as u64 + 1;
    response.take(limit).read_to_end(&mut answer).map_err(|e| network(e.to_string()))?;
    request.answered_by(&answer, message)?;
    Ok(answer)
}

const SHA_256: der::asn1::ObjectIdentifier = der::asn1::ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
