//! An OpenID Connect provider: tokens signed with ES256 (RFC 7515, RFC 7519), checked again when they come back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde_json::{Value, json};

pub(crate) struct Provider {
    key: SigningKey,
    subject: String,
    pub(crate) issuer: String,
}

impl Provider {
    pub(crate) fn new(subject: &str, issuer: &str) -> Self {
        let key = SigningKey::random(&mut rand_core::OsRng);
        Self { key, subject: subject.to_owned(), issuer: issuer.to_owned() }
    }

    pub(crate) fn token(&self) -> String {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": self.issuer, "aud": "sigstore", "sub": self.subject, "email": self.subject, "email_verified": true,
            "iat": now, "nbf": now, "exp": now + 300,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "typ": "JWT" })), part(&claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// The subject, when the token is ours, for Sigstore, and still good.
    pub(crate) fn verify(&self, token: &str) -> Option<String> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        VerifyingKey::from(&self.key).verify(signed.as_bytes(), &signature).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let good = claims["aud"] == "sigstore" && claims["exp"].as_i64()? > jiff::Timestamp::now().as_second();
        good.then(|| claims["sub"].as_str().map(str::to_owned)).flatten()
    }
}
