//! From a URL to an object store. Credentials come from the environment only, and no host is asked that nobody named.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::error::Error;
use crate::objects::Objects;

/// Environment variables, one of which has to be there: without any of them the S3 client would look for the metadata service of
/// a cloud machine, a host that nobody named.
const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];

impl Objects {
    /// The place that a URL names: `s3://bucket/prefix` (`AWS_*` in the environment say region, endpoint and credentials), or
    /// `http://` and `https://` for a static server, which can only be read.
    ///
    /// # Errors
    /// When the URL is of another kind, holds credentials, or the environment has none.
    pub fn connect(url: &str) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::Url { url: without_credentials(url), problem: problem.to_owned() };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refuse("is no URL"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err(refuse("holds credentials; they belong into the environment"));
        }
        if host.is_empty() || path.contains(['?', '#']) {
            return Err(refuse("needs a host or bucket and a plain path"));
        }
        let retry = RetryConfig { retry_timeout: Duration::from_secs(30), max_retries: 5, ..RetryConfig::default() };
        let store: Arc<dyn ObjectStore> = match scheme {
            "s3" => {
                if !CREDENTIALS.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
                    return Err(refuse("needs credentials in the environment, such as AWS_ACCESS_KEY_ID"));
                }
                // The environment decides about plain http, by AWS_ALLOW_HTTP.
                let builder = AmazonS3Builder::from_env().with_bucket_name(host).with_retry(retry);
                Arc::new(builder.build().map_err(Error::store(url))?)
            }
            "http" | "https" => {
                let options =
                    ClientOptions::new().with_allow_http(scheme == "http").with_timeout(Duration::from_secs(30));
                let base = format!("{scheme}://{host}");
                let builder = HttpBuilder::new().with_url(base).with_client_options(options).with_retry(retry);
                Arc::new(builder.build().map_err(Error::store(url))?)
            }
            _ => return Err(refuse("has a scheme that is none of s3, http and https")),
        };
        Self::new(store, path.trim_matches('/'), url.trim_end_matches('/'))
    }
}

/// A URL for a message, without what stands before an `@`.
fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_urls_that_say_too_much_or_too_little() {
        for url in ["bucket/prefix", "ftp://host/x", "s3:///x", "https://host/x?token=1", "https://user:secret@host/x"]
        {
            let refused = Objects::connect(url).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
        assert_eq!(Objects::connect("https://logs.example/a/b/").unwrap().name(), "https://logs.example/a/b");
    }
}
