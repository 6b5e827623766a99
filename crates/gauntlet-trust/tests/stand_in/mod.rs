//! A small Sigstore instance on this machine: an identity provider, a certificate authority with its certificate log, and
//! a transparency log, spoken to over HTTP as the real ones are. For tests only: it gives a token to whoever asks.

mod authority;
mod http;
mod log;
mod provider;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub(crate) use http::Answer;

/// What the instance does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "the example uses only the first")]
pub(crate) enum Fault {
    None,
    /// Issues certificates for a key of its own.
    OtherKey,
    /// Issues certificates that its log has not seen.
    NoCertificateLog,
    /// Logs the entry and answers with another one.
    OtherEntry,
    /// Promises with another key than its own.
    OtherPromise,
    /// Sends the caller to another address.
    Redirect,
}

/// A running instance; it ends with the process.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    provider: provider::Provider,
    authority: authority::Authority,
    log: Mutex<log::Log>,
    fault: Fault,
}

impl StandIn {
    /// Starts one for the identity `subject`, on a free port.
    pub(crate) fn start(subject: &str, fault: Fault) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            provider: provider::Provider::new(subject, &format!("http://{address}")),
            authority: authority::Authority::new(fault),
            log: Mutex::new(log::Log::new(&address.to_string(), fault)),
            fault,
        });
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            http::serve(&listener, &move |method, path, bearer, body| serving.answer(method, path, bearer, body));
        });
        Self { address, inner }
    }

    /// Address of every service: they tell each other apart by path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A token of the identity provider.
    #[allow(dead_code, reason = "the example hands tokens out over HTTP")]
    pub(crate) fn token(&self) -> String {
        self.inner.provider.token()
    }

    /// What vouches for this instance.
    pub(crate) fn trusted_root(&self) -> Value {
        let log = self.inner.log.lock().unwrap();
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log.trusted()],
            "certificateAuthorities": [self.inner.authority.trusted()],
            "ctlogs": [self.inner.authority.trusted_log()],
            "timestampAuthorities": [],
        })
    }
}

impl Inner {
    fn answer(&self, method: &str, path: &str, bearer: Option<&str>, body: &[u8]) -> Answer {
        if self.fault == Fault::Redirect && method == "POST" {
            return Answer::redirect("http://127.0.0.1:9/");
        }
        match (method, path.split('?').next().unwrap()) {
            // As GitHub Actions does: the audience is a parameter, the caller shows a secret of its job.
            ("GET", "/token") if bearer == Some("job-secret") && path.contains("audience=sigstore") => {
                Answer::ok(200, json!({ "value": self.provider.token() }))
            }
            // Clients look here first, even when they bring a token along.
            ("GET", "/.well-known/openid-configuration") => Answer::ok(
                200,
                json!({
                    "issuer": self.provider.issuer,
                    "authorization_endpoint": format!("{}/auth", self.provider.issuer),
                    "token_endpoint": format!("{}/token", self.provider.issuer),
                }),
            ),
            ("POST", "/api/v2/signingCert") => self.certificate(bearer, body),
            ("POST", "/api/v1/log/entries") => self.log.lock().unwrap().add(body),
            _ => Answer::refused(404, "nothing is here"),
        }
    }

    /// Clients show their token in the body, as the interface has it, or as bearer.
    fn certificate(&self, bearer: Option<&str>, body: &[u8]) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = body["credentials"]["oidcIdentityToken"].as_str().or(bearer).unwrap_or_default();
        let Some(subject) = self.provider.verify(token) else { return Answer::refused(401, "the token is not ours") };
        let request = body["certificateSigningRequest"].as_str().unwrap_or_default();
        match self.authority.issue(request, &subject, &self.provider.issuer) {
            Some(chain) => {
                Answer::ok(201, json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": chain } } }))
            }
            None => Answer::refused(400, "the request is not signed by its key"),
        }
    }
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The validity of everything here: from a year ago, open.
fn valid_for() -> Value {
    json!({ "start": (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 365)).to_string() })
}
