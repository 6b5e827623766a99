//! Buckets and web servers, through `object_store`.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use gauntlet_core::{Limit, Limits};
use gauntlet_remote::Scheme;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Address, Entry, Source, SourceError, Take};
use crate::shown;

/// A stream that is slower than this (bytes a second, after the first timeout) is given up: a server that hands out a
/// byte now and then is not waited for.
const SLOWEST: u64 = 16 << 10;

/// How to talk to a server.
#[derive(Clone, Copy, Debug)]
pub struct RemoteOptions {
    /// How long a server may stay silent.
    pub timeout: Duration,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30) }
    }
}

/// A model in a bucket or on a web server.
///
/// Buckets are read with the credentials, region and endpoint of the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, web identity and container
/// credentials); without any, unsigned. The metadata service of the machine is never asked.
pub struct Remote {
    runtime: Runtime,
    store: Arc<dyn ObjectStore>,
    /// In front of every name.
    folder: Path,
    name: String,
    single: Option<String>,
    /// Web servers cannot say what they hold.
    lists: bool,
    timeout: Duration,
    shown: String,
}

impl Remote {
    /// Connects to what is at `address`. A bucket is asked whether that is an object or a folder.
    ///
    /// # Errors
    /// [`SourceError`] when the server cannot be asked, or the configuration in the environment is wrong.
    pub fn open(address: &Address, options: &RemoteOptions) -> Result<Self, SourceError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| SourceError::Failed(error.to_string()))?;
        let lists = match address.scheme {
            Scheme::S3 => true,
            Scheme::Http => false,
            Scheme::Google | Scheme::Azure => {
                let what = "models are read from s3:// and https://; gs:// and az:// hold datasets".to_owned();
                return Err(SourceError::Failed(what));
            }
        };
        let store = gauntlet_remote::connect(address, options.timeout)?;
        let mut remote = Self {
            runtime,
            store,
            folder: Path::default(),
            name: address.name().to_owned(),
            single: None,
            lists,
            timeout: options.timeout,
            shown: format!("{}/{}", address.place, address.path.join("/")),
        };
        let whole = path(&address.path)?;
        match address.split() {
            Some((above, name)) if !address.folder => {
                remote.folder = path(&above.path)?;
                // A web server is believed when it says "file" by the missing slash; a bucket has no such convention.
                if !lists || remote.size(&name)?.is_some() {
                    remote.single = Some(name);
                } else {
                    remote.folder = whole;
                }
            }
            _ => remote.folder = whole,
        }
        Ok(remote)
    }

    /// A small file beside or in the model, such as its signature; `None` when it is not there.
    ///
    /// # Errors
    /// `FileTooLarge` above `most` bytes, else what reading says.
    pub fn small_file(&self, name: &str, most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(size) = self.size(name)? else { return Ok(None) };
        if size > most as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{name} has {size} bytes")));
        }
        let mut bytes = Vec::new();
        self.read(name, size, 0..size, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    fn location(&self, name: &str) -> Result<Path, SourceError> {
        let text = format!("{}/{name}", self.folder.as_ref());
        Path::parse(text.trim_start_matches('/')).map_err(|_| SourceError::UnsafeName(shown(name)))
    }

    fn silent(&self) -> SourceError {
        SourceError::Silent(self.timeout.as_secs())
    }

    async fn stream(&self, location: &Path, size: u64, range: Range<u64>, take: &mut Take<'_>) -> io::Result<()> {
        let wanted = range.end - range.start;
        // Not every web server knows ranges, so a whole object is asked for without one.
        let whole = range.start == 0 && range.end == size;
        let options = GetOptions { range: (!whole).then(|| GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = timeout(self.timeout, self.store.get_opts(location, options)).await;
        let answer = answer.map_err(|_| self.silent())?.map_err(failed)?;
        if answer.meta.size != size || answer.range != range {
            let message = format!("the server announced {size} bytes and now says {}", answer.meta.size);
            return Err(io::Error::other(message));
        }
        let mut pieces = answer.into_stream();
        let last = Instant::now() + self.timeout + Duration::from_secs(wanted / SLOWEST);
        let mut left = wanted;
        loop {
            let deadline = last.min(Instant::now() + self.timeout);
            let piece = timeout_at(deadline, pieces.next()).await.map_err(|_| self.silent())?;
            let Some(piece) = piece.transpose().map_err(failed)? else { break };
            left = left.checked_sub(piece.len() as u64).ok_or_else(|| {
                io::Error::other(format!("the server sends more than the {wanted} bytes that it announced"))
            })?;
            take(&piece)?;
        }
        if left > 0 {
            let message = format!("the stream ended after {} of {wanted} bytes", wanted - left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(())
    }

    async fn listing(&self, limits: &Limits) -> Result<Vec<Entry>, SourceError> {
        let mut entries = Vec::new();
        let mut objects = self.store.list(Some(&self.folder));
        loop {
            let object = timeout(self.timeout, objects.next()).await.map_err(|_| self.silent())?;
            let Some(object) = object.transpose().map_err(failed)? else { break };
            let name = object.location.as_ref().strip_prefix(self.folder.as_ref()).unwrap_or_default();
            let name = name.strip_prefix('/').unwrap_or(name);
            if !name.is_empty() {
                entries.push(Entry { name: name.to_owned(), size: object.size });
            }
            limits.check(Limit::Entries, entries.len() as u64)?;
        }
        if entries.is_empty() {
            return Err(SourceError::Nothing(shown(&self.shown)));
        }
        Ok(entries)
    }
}

impl Source for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn single(&self) -> Option<&str> {
        self.single.as_deref()
    }

    fn list(&self, limits: &Limits) -> Result<Option<Vec<Entry>>, SourceError> {
        if !self.lists {
            return Ok(None);
        }
        self.runtime.block_on(self.listing(limits)).map(Some)
    }

    fn size(&self, name: &str) -> Result<Option<u64>, SourceError> {
        let location = self.location(name)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let head =
            self.runtime.block_on(async { timeout(self.timeout, self.store.get_opts(&location, options)).await });
        match head.map_err(|_| self.silent())? {
            Ok(answer) => Ok(Some(answer.meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn read(&self, name: &str, size: u64, range: Range<u64>, take: &mut Take<'_>) -> io::Result<()> {
        if range.start > range.end || range.end > size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if range.is_empty() {
            return Ok(());
        }
        let location = self.location(name)?;
        self.runtime.block_on(self.stream(&location, size, range, take))
    }
}

fn path(parts: &[String]) -> Result<Path, SourceError> {
    let text = parts.join("/");
    Path::parse(&text).map_err(|_| SourceError::UnsafeName(shown(&text)))
}

fn failed(error: object_store::Error) -> SourceError {
    gauntlet_remote::StoreError::from(error).into()
}
