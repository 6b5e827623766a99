//! A place in an object store (S3 and what speaks like it, a static web server for reading, memory for tests): whole objects,
//! read under a limit, created once or replaced by compare-and-swap.

mod connect;
mod fence;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion};
use tokio::runtime::Runtime;

pub(crate) use fence::Lease;

use crate::error::Error;

/// Requests that are under way at the same time when many objects are written or read.
const PARALLEL: usize = 16;

/// Longest time one request may take, retries included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A prefix in an object store. Clones share the connection.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    runtime: Arc<Runtime>,
    prefix: Path,
    name: String,
}

/// What became of an object that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there now, with the given bytes.
    Here,
    /// Another one is there, and stays.
    Taken,
}

/// Version of an object, for compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(UpdateVersion);

impl Objects {
    /// A prefix in this store. The name stands in messages, such as `s3://bucket/prefix`.
    ///
    /// # Errors
    /// When the prefix is no path of an object store, or the threads for requests cannot be had.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, name: &str) -> Result<Self, Error> {
        let prefix = Path::parse(prefix).map_err(|error| Error::store(name)(error.into()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Arc::new(runtime.map_err(Error::io(name))?);
        Ok(Self { store, runtime, prefix, name: name.to_owned() })
    }

    /// The name of the place, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where an object is, for messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.name.trim_end_matches('/')))
    }

    /// The content of an object of at most `limit` bytes; `None` when it is not there.
    pub(crate) fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>, Error> {
        Ok(self.get_versioned(name, limit)?.map(|(bytes, _)| bytes))
    }

    /// As [`Objects::get`], with the version that a compare-and-swap needs.
    pub(crate) fn get_versioned(&self, name: &str, limit: u64) -> Result<Option<(Bytes, Version)>, Error> {
        let location = self.location(name)?;
        self.wait(name, async {
            let answer = match self.store.get(&location).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                other => other?,
            };
            let too_large = || object_store::Error::Generic {
                store: "limit",
                source: format!("the object has more than {limit} bytes").into(),
            };
            if answer.meta.size > limit {
                return Err(too_large());
            }
            let version = UpdateVersion { e_tag: answer.meta.e_tag.clone(), version: answer.meta.version.clone() };
            let mut stream = answer.into_stream();
            let mut bytes = Vec::new();
            while let Some(chunk) = stream.try_next().await? {
                // What the server announced is not what it must send.
                if bytes.len() as u64 + chunk.len() as u64 > limit {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some((Bytes::from(bytes), Version(version))))
        })
    }

    /// Creates an object that must not be there yet. An answer that was lost on the way is recognised by the bytes, so they must
    /// tell this writer from any other.
    pub(crate) fn create(&self, name: &str, bytes: Bytes) -> Result<Created, Error> {
        let location = self.location(name)?;
        let payload = PutPayload::from(bytes.clone());
        let outcome = self.wait(name, async {
            match self.store.put_opts(&location, payload, PutOptions::from(PutMode::Create)).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })?;
        if outcome {
            return Ok(Created::Here);
        }
        let there = self.get(name, bytes.len() as u64 + (1 << 22))?;
        Ok(if there.is_some_and(|there| there == bytes) { Created::Here } else { Created::Taken })
    }

    /// Replaces exactly this version of an object; `None` when another version is there.
    pub(crate) fn swap(&self, name: &str, bytes: Bytes, version: &Version) -> Result<Option<Version>, Error> {
        let location = self.location(name)?;
        let mode = PutMode::Update(version.0.clone());
        self.wait(name, async {
            match self.store.put_opts(&location, PutPayload::from(bytes), PutOptions::from(mode)).await {
                Ok(result) => Ok(Some(Version(result.into()))),
                Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Writes objects whose content follows from their names, so that all writers agree on it.
    pub(crate) fn put_all(&self, objects: Vec<(String, Bytes)>) -> Result<(), Error> {
        let mut requests = Vec::with_capacity(objects.len());
        for (name, bytes) in objects {
            requests.push((self.location(&name)?, bytes));
        }
        self.wait("tile", async {
            futures::stream::iter(requests)
                .map(|(location, bytes)| async move {
                    self.store.put(&location, PutPayload::from(bytes)).await.map(drop)
                })
                .buffer_unordered(PARALLEL)
                .try_collect::<()>()
                .await
        })
    }

    /// Whether an object is there, and its length.
    pub(crate) fn length(&self, name: &str) -> Result<Option<u64>, Error> {
        let location = self.location(name)?;
        self.wait(name, async {
            match self.store.head(&location).await {
                Ok(meta) => Ok(Some(meta.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Names of all objects below a folder (with its slash), or of all below the prefix for an empty one; at most `limit`.
    pub(crate) fn list(&self, folder: &str, limit: usize) -> Result<Vec<String>, Error> {
        let below = if folder.is_empty() { self.prefix.clone() } else { self.location(folder.trim_end_matches('/'))? };
        let below = (!below.as_ref().is_empty()).then_some(below);
        let found = self.wait(folder, async {
            self.store.list(below.as_ref()).take(limit).map_ok(|meta| meta.location).try_collect::<Vec<_>>().await
        })?;
        let prefix = self.prefix.as_ref();
        let strip = |path: &Path| {
            let name = path.as_ref().strip_prefix(prefix).unwrap_or(path.as_ref());
            name.trim_start_matches('/').to_owned()
        };
        let mut names: Vec<String> = found.iter().map(strip).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes an object; that it is not there is no error.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let location = self.location(name)?;
        self.wait(name, async {
            match self.store.delete(&location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn location(&self, name: &str) -> Result<Path, Error> {
        let whole = match self.prefix.as_ref() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        Path::parse(whole).map_err(|error| Error::store(self.path(name))(error.into()))
    }

    /// Waits for a request, from a thread that is none of the runtime's.
    fn wait<T>(&self, name: &str, request: impl Future<Output = object_store::Result<T>>) -> Result<T, Error> {
        let limited = async { tokio::time::timeout(REQUEST_TIMEOUT, request).await };
        match self.runtime.block_on(limited) {
            Ok(outcome) => outcome.map_err(Error::store(self.path(name))),
            Err(_) => {
                let timeout = std::io::Error::new(std::io::ErrorKind::TimedOut, "the store did not answer in time");
                Err(Error::io(self.path(name))(timeout))
            }
        }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Objects").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn objects(prefix: &str) -> Objects {
        Objects::new(Arc::new(InMemory::new()), prefix, "memory://test").unwrap()
    }

    #[test]
    fn creates_once_and_swaps_only_the_version_that_was_seen() {
        for prefix in ["", "a/b"] {
            let objects = objects(prefix);
            assert_eq!(objects.get("x/one", 10).unwrap(), None);
            assert_eq!(objects.create("x/one", Bytes::from_static(b"1")).unwrap(), Created::Here);
            // The same bytes once more: an answer that was lost.
            assert_eq!(objects.create("x/one", Bytes::from_static(b"1")).unwrap(), Created::Here);
            assert_eq!(objects.create("x/one", Bytes::from_static(b"2")).unwrap(), Created::Taken);
            let (bytes, old) = objects.get_versioned("x/one", 10).unwrap().unwrap();
            assert_eq!(bytes.as_ref(), b"1");
            let new = objects.swap("x/one", Bytes::from_static(b"3"), &old).unwrap().unwrap();
            assert_eq!(objects.swap("x/one", Bytes::from_static(b"4"), &old).unwrap(), None);
            assert!(objects.swap("x/one", Bytes::from_static(b"5"), &new).unwrap().is_some());
            assert!(objects.get("x/one", 0).is_err());
            objects.put_all(vec![("x/two".into(), Bytes::new()), ("three".into(), Bytes::new())]).unwrap();
            assert_eq!(objects.list("", 100).unwrap(), ["three", "x/one", "x/two"]);
            assert_eq!(objects.list("x/", 100).unwrap(), ["x/one", "x/two"]);
            objects.remove("x/one").unwrap();
            objects.remove("x/one").unwrap();
            assert_eq!(objects.length("x/one").unwrap(), None);
            assert_eq!(objects.length("x/two").unwrap(), Some(0));
        }
    }
}
