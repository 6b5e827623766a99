//! From an address to an object store. Credentials come from the environment only, and no host is asked that nobody named.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::address::{Address, Scheme};
use crate::guard::Guard;
use crate::shown;

const RETRIES: usize = 2;

/// What a store, a connection or a configuration said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A name that no object has.
    #[error("an unsafe name: {0}")]
    UnsafeName(String),
    /// There is nothing of that name.
    #[error("there is nothing at {0}")]
    Nothing(String),
    /// The object is no longer what was listed.
    #[error("the object changed while it was read; run again when nothing writes to it")]
    Changed,
    /// Everything else: for a person.
    #[error("{0}")]
    Failed(String),
}

/// The store that an address leads to. A server that stays silent for `timeout` is given up.
///
/// Credentials, region and endpoint are those of the environment, as the clouds' own tools name them: `AWS_*` for
/// `s3://`, `GOOGLE_*` for `gs://`, `AZURE_*` for `az://`. Without credentials requests are not signed; the metadata
/// service of the machine is never asked. Plain HTTP is spoken when the address says so, or the environment
/// (`AWS_ALLOW_HTTP`, `GOOGLE_ALLOW_HTTP`, `AZURE_ALLOW_HTTP`, `AZURE_STORAGE_USE_EMULATOR`).
///
/// # Errors
/// When the configuration in the environment is wrong.
pub fn connect(address: &Address, timeout: Duration) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: timeout };
    let place = address.place.as_str();
    Ok(match address.scheme {
        Scheme::S3 => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(place)
                .with_retry(retry)
                .with_http_connector(Guard { allow_http: allowed("AWS_ALLOW_HTTP") });
            if !any_given(&[
                "AWS_ACCESS_KEY_ID",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ]) {
                builder = builder.with_skip_signature(true);
            }
            Arc::new(builder.build().map_err(StoreError::from)?)
        }
        Scheme::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(place)
                .with_retry(retry)
                .with_http_connector(Guard { allow_http: allowed("GOOGLE_ALLOW_HTTP") });
            if !any_given(&[
                "GOOGLE_SERVICE_ACCOUNT",
                "GOOGLE_SERVICE_ACCOUNT_PATH",
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                "GOOGLE_APPLICATION_CREDENTIALS",
            ]) {
                builder = builder.with_skip_signature(true);
            }
            Arc::new(builder.build().map_err(StoreError::from)?)
        }
        Scheme::Azure => {
            let emulator = allowed("AZURE_STORAGE_USE_EMULATOR");
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(place)
                .with_retry(retry)
                .with_http_connector(Guard { allow_http: emulator || allowed("AZURE_ALLOW_HTTP") });
            if !emulator
                && !any_given(&[
                    "AZURE_STORAGE_ACCOUNT_KEY",
                    "AZURE_STORAGE_ACCESS_KEY",
                    "AZURE_STORAGE_SAS_TOKEN",
                    "AZURE_STORAGE_SAS_KEY",
                    "AZURE_STORAGE_TOKEN",
                    "AZURE_CLIENT_SECRET",
                    "AZURE_FEDERATED_TOKEN_FILE",
                ])
            {
                builder = builder.with_skip_signature(true);
            }
            Arc::new(builder.build().map_err(StoreError::from)?)
        }
        Scheme::Http => {
            let allow_http = place.starts_with("http://");
            let builder =
                HttpBuilder::new().with_url(place).with_retry(retry).with_http_connector(Guard { allow_http });
            Arc::new(builder.build().map_err(StoreError::from)?)
        }
    })
}

fn any_given(names: &[&str]) -> bool {
    names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn allowed(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| matches!(value.as_str(), "1" | "true"))
}

impl From<object_store::Error> for StoreError {
    /// The cause that a person can act on lies at the bottom of the chain; the layers above repeat each other.
    fn from(error: object_store::Error) -> Self {
        match &error {
            object_store::Error::InvalidPath { source } => return Self::UnsafeName(shown(&source.to_string())),
            object_store::Error::NotFound { path, .. } => return Self::Nothing(shown(path)),
            object_store::Error::Precondition { .. } => return Self::Changed,
            _ => {}
        }
        let top: &dyn std::error::Error = &error;
        let mut texts: Vec<String> = Vec::new();
        let mut cause = Some(top);
        while let Some(error) = cause {
            let text = error.to_string();
            if !texts.iter().any(|before| before.contains(&text)) {
                texts.push(text);
            }
            cause = error.source();
        }
        // What a server sends back as an error is a stranger's text of any length.
        Self::Failed(texts.join(": ").chars().filter(|c| !c.is_control()).take(400).collect())
    }
}
