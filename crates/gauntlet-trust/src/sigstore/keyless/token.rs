//! The token that proves an identity (OpenID Connect). It comes from the environment, a file or the CI system, never from
//! the command line, is wiped from memory, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{KeylessError, Place};
use crate::strict_json::{self, Bounds};

/// Whom the token is for, as Fulcio asks.
const AUDIENCE: &str = "sigstore";
const MAX_TOKEN: usize = 64 << 10;
/// How a job in GitHub Actions with the permission `id-token: write` gets a token.
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const GITHUB_SECRET: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// A token that proves who somebody is, for some minutes.
pub struct IdentityToken(Zeroizing<String>);

impl IdentityToken {
    /// Takes it from an environment variable. `environment` looks one up.
    ///
    /// # Errors
    /// [`KeylessError::Token`] when it is not set or holds no token.
    pub fn from_environment(name: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, KeylessError> {
        let text = environment(name).map(Zeroizing::new);
        let text = text.ok_or_else(|| KeylessError::Token(format!("the environment variable {name} is not set")))?;
        Self::parse(&text).ok_or_else(|| KeylessError::Token(format!("the environment variable {name} holds no token")))
    }

    /// Takes it from a file.
    ///
    /// # Errors
    /// [`KeylessError::Token`] when it cannot be read or holds no token.
    pub fn from_file(path: &Path) -> Result<Self, KeylessError> {
        let failed = |what: String| KeylessError::Token(format!("{}: {what}", path.display()));
        let mut text = Zeroizing::new(String::new());
        let file = File::open(path).map_err(|e| failed(e.to_string()))?;
        file.take(MAX_TOKEN as u64 + 1).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
        Self::parse(&text).ok_or_else(|| failed("holds no token".to_owned()))
    }

    /// Asks the CI system, where it is GitHub Actions.
    ///
    /// # Errors
    /// [`KeylessError`] when this is no such job, or its provider does not answer.
    pub fn ambient(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, KeylessError> {
        let (Some(url), Some(secret)) = (environment(GITHUB_URL), environment(GITHUB_SECRET)) else {
            let message = format!(
                "no identity token: name its environment variable or file, or run in a GitHub Actions job with the \
                 permission `id-token: write` (which sets {GITHUB_URL} and {GITHUB_SECRET})"
            );
            return Err(KeylessError::Token(message));
        };
        let secret = Zeroizing::new(secret);
        let place = Place::parse(&url)?.with("audience", AUDIENCE);
        let answer = Zeroizing::new(place.get(&secret)?);
        let answer: Answer = strict_json::from_slice(&answer, &Bounds::RECORD).map_err(|e| place.odd(e.to_string()))?;
        let value = Zeroizing::new(answer.value);
        Self::parse(&value).ok_or_else(|| place.odd("no token"))
    }

    /// Three parts of URL-safe base64 (RFC 7515, section 3.1); whether it is good is for Fulcio to say.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let parts = text.split('.').count();
        let whole = text.len() <= MAX_TOKEN && parts == 3 && text.split('.').all(plain);
        whole.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_three_parts_and_are_never_shown() {
        let environment = |name: &str| match name {
            "GOOD" => Some(" aa.b-b.c_c\n".to_owned()),
            "BAD" => Some("aa.bb".to_owned()),
            _ => None,
        };
        let token = IdentityToken::from_environment("GOOD", &environment).unwrap();
        assert_eq!((token.secret(), format!("{token:?}").as_str()), ("aa.b-b.c_c", "IdentityToken(…)"));
        for name in ["BAD", "ABSENT"] {
            let error = IdentityToken::from_environment(name, &environment).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("aa.bb"), "{error}");
        }
        for odd in ["", "a.b.", "a.b.c.d", "a.b.c\r\nX: y", "a b.c.d"] {
            assert!(IdentityToken::parse(odd).is_none(), "{odd:?}");
        }
        assert!(IdentityToken::ambient(&environment).unwrap_err().to_string().contains("id-token: write"));
    }
}
