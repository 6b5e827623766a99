//! HTTP for object stores with what they leave open: no redirect to another host, no plain HTTP unless asked for, and
//! bounds on every answer that is read into memory.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::redirect::{Attempt, Policy};

/// Redirects within one host that are followed.
const REDIRECTS: usize = 5;
/// Bytes of an answer that is not an object itself: a page of a listing, credentials, an error.
const ANSWER_BYTES: usize = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);

/// Makes the guarded client.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) allow_http: bool,
}

impl HttpConnector for Guard {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("gauntlet/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(redirect))
            .connect_timeout(CONNECT)
            .https_only(!self.allow_http)
            .build()
            .map_err(|source| object_store::Error::Generic { store: "HTTP", source: Box::new(source) })?;
        Ok(HttpClient::new(Guarded { client }))
    }
}

/// Another host, port or scheme is another server: what was asked for was to trust this one with the request.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let first = attempt.previous().first().map(reqwest::Url::origin);
    if first.as_ref() != Some(&attempt.url().origin()) {
        let host = attempt.url().host_str().unwrap_or_default().to_owned();
        return attempt.error(format!("redirected to another server ({host}), which is not followed"));
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("redirected too often");
    }
    attempt.follow()
}

#[derive(Debug)]
struct Guarded {
    client: reqwest::Client,
}

type Answer<'f> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>;

impl HttpService for Guarded {
    // What `#[async_trait]` makes of `async fn call`.
    fn call<'s, 'f>(&'s self, request: HttpRequest) -> Answer<'f>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            // An object is streamed, and counted by its reader.
            let object = request.method() == "GET" && request.uri().query().is_none();
            let response = self.client.call(request).await?;
            if object && response.status().is_success() {
                return Ok(response);
            }
            let (parts, body) = response.into_parts();
            let mut bytes = Vec::new();
            let mut pieces = body.bytes_stream();
            while let Some(piece) = pieces.try_next().await? {
                if bytes.len().saturating_add(piece.len()) > ANSWER_BYTES {
                    return Err(HttpError::new(HttpErrorKind::Decode, TooLong));
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(bytes)))
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the server's answer has more than {ANSWER_BYTES} bytes")]
struct TooLong;
