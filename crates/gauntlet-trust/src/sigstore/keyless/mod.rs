//! Signing with an identity: a key that lives for one signature, a certificate for it from Fulcio, an entry in Rekor.
//!
//! Interfaces: Fulcio v2 (`/api/v2/signingCert`) and Rekor v1 (`/api/v1/log/entries`, kind `dsse`). The network is spoken to
//! at the addresses that the caller names and nowhere else.

mod fulcio;
mod http;
mod rekor;
mod token;

use std::fmt;

use serde_json::json;

use crate::base64;
use crate::dsse::{Envelope, IN_TOTO};
use crate::keys::{KeyError, KeyKind, SigningKey};
use crate::oms::{Endorse, Endorsed, OmsError};

pub use http::Place;
pub use token::IdentityToken;

/// Signs once for each call, each time with a key of its own.
pub struct Keyless {
    fulcio: Place,
    rekor: Place,
    token: IdentityToken,
}

impl Keyless {
    /// Signs as whoever `token` proves to be, with a certificate of `fulcio` and an entry in `rekor`.
    #[must_use]
    pub fn new(fulcio: Place, rekor: Place, token: IdentityToken) -> Self {
        Self { fulcio, rekor, token }
    }

    fn sign(&self, payload: Vec<u8>) -> Result<Endorsed, KeylessError> {
        let key = SigningKey::generate(KeyKind::P256)?;
        let certificate = fulcio::certificate(&self.fulcio, &key, &self.token)?;
        let envelope = Envelope::sign(IN_TOTO, payload, &[&key]).map_err(|e| KeylessError::Sign(e.to_string()))?;
        let entry = rekor::log(&self.rekor, &envelope, &certificate)?;
        let material = json!({
            "certificate": { "rawBytes": base64::encode(certificate.der()) },
            "tlogEntries": [entry],
        });
        Ok(Endorsed { envelope, material })
    }
}

impl fmt::Debug for Keyless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyless").field("fulcio", &self.fulcio).field("rekor", &self.rekor).finish_non_exhaustive()
    }
}

impl Endorse for Keyless {
    fn ready(&self) -> Result<(), OmsError> {
        Ok(())
    }

    fn endorse(&self, payload: Vec<u8>) -> Result<Endorsed, OmsError> {
        self.sign(payload).map_err(|error| OmsError::Endorsement(error.to_string()))
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeylessError {
    /// An address that is not spoken to.
    #[error("{url}: {what}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no token, or what is there is none.
    #[error("{0}")]
    Token(String),
    /// Nobody answered, or with a refusal.
    #[error("{url}: {what}")]
    Network {
        /// Who was asked.
        url: String,
        /// What happened.
        what: String,
    },
    /// The answer is not what the interface promises.
    #[error("{url} answered with what cannot be used: {what}")]
    Answer {
        /// Who answered.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The key could not be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The statement could not be signed.
    #[error("{0}")]
    Sign(String),
}
