//! Speaking to Fulcio, Rekor and the provider of tokens: bounded in time and size, and never led elsewhere.

use std::fmt;
use std::io::Read as _;
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{ACCEPT, CONTENT_TYPE};

use super::KeylessError;
use crate::shown;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the largest answer; genuine ones have some 20 KB.
const MAX_ANSWER: u64 = 8 << 20;

/// The address of a service.
#[derive(Clone)]
pub struct Place(Url);

impl Place {
    /// Takes an `https` address; `http` only on this very machine, because tokens are sent there.
    ///
    /// # Errors
    /// [`KeylessError::Address`].
    pub fn parse(url: &str) -> Result<Self, KeylessError> {
        let refused = |what| KeylessError::Address { url: shown(url), what };
        let parsed = Url::parse(url).map_err(|_| refused("not an address"))?;
        let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match parsed.scheme() {
            "https" => {}
            "http" if local => {}
            "http" => return Err(refused("a token is only sent over https")),
            _ => return Err(refused("not an https address")),
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refused("holds a name or password, which does not belong on a command line"));
        }
        Ok(Self(parsed))
    }

    /// The address of something below it.
    pub(super) fn join(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        let below = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        Self(url)
    }

    /// The same with a parameter more.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(name, value);
        Self(url)
    }

    /// Posts JSON and gives back the answer.
    pub(super) fn post(&self, body: Vec<u8>) -> Result<Vec<u8>, KeylessError> {
        self.send(|client| client.post(self.0.clone()).header(CONTENT_TYPE, "application/json").body(body))
    }

    /// Gets JSON as the bearer of a secret.
    pub(super) fn get(&self, bearer: &str) -> Result<Vec<u8>, KeylessError> {
        self.send(|client| client.get(self.0.clone()).bearer_auth(bearer))
    }

    fn send(&self, request: impl FnOnce(&Client) -> RequestBuilder) -> Result<Vec<u8>, KeylessError> {
        let failed = |error: reqwest::Error| {
            // The library's own words for the cause are two levels down.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let what = error.without_url().to_string();
            self.failed(cause.map_or(what.clone(), |cause| format!("{what}: {cause}")))
        };
        // Followed elsewhere, the token would be given to somebody whom the caller did not name.
        let client =
            Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().map_err(failed)?;
        let answer = request(&client).header(ACCEPT, "application/json").send().map_err(failed)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        answer.take(MAX_ANSWER + 1).read_to_end(&mut bytes).map_err(|e| self.failed(e.to_string()))?;
        if bytes.len() as u64 > MAX_ANSWER {
            return Err(self.failed(format!("answered with more than {MAX_ANSWER} bytes")));
        }
        if !status.is_success() {
            let said = String::from_utf8_lossy(&bytes);
            return Err(self.failed(format!("refused with status {status}: {}", shown(said.trim()))));
        }
        Ok(bytes)
    }

    fn failed(&self, what: String) -> KeylessError {
        KeylessError::Network { url: self.to_string(), what }
    }

    pub(super) fn odd(&self, what: impl Into<String>) -> KeylessError {
        KeylessError::Answer { url: self.to_string(), what: what.into() }
    }
}

/// Without the query, which may hold what is not for logs.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_only_go_where_nobody_listens() {
        for good in ["https://fulcio.example", "http://127.0.0.1:5000/x", "http://localhost", "http://[::1]:1"] {
            assert!(Place::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "fulcio.example", "http://fulcio.example", "http://127.0.0.1.evil.example", "ftp://x", "https://a:b@x"]
        {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_joined_and_queries_not_shown() {
        let place = Place::parse("https://x.example/base/?secret=1").unwrap();
        assert_eq!(place.join("api/v2").to_string(), "https://x.example/base/api/v2");
        assert_eq!(place.with("audience", "a b").to_string(), "https://x.example/base/");
    }
}
