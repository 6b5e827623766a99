//! Data files in buckets and on web servers: listed once, then read by ranges. Every range is asked for under the entity
//! tag of the listing, so bytes of two versions are never mixed.

use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use gauntlet_core::{Limit, Limits, glob};
use gauntlet_remote::{Address, Scheme, StoreError, connect};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How long a server may stay silent.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one request, and the most when a file is read in order.
const BLOCK: u64 = 1 << 20;
const LARGEST_BLOCK: u64 = 8 << 20;
/// Blocks that one open file keeps.
const KEPT: usize = 24;
/// Announced ranges are fetched in one go up to here.
const EXPECTED: u64 = 64 << 20;
/// Announced ranges with less than this between them are fetched as one.
const GAP: u64 = 256 << 10;

/// Requests are made on threads of their own; one pool for all of them, which is never torn down.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("gauntlet-remote").enable_all().build()
});

pub(super) fn wait<T>(work: impl Future<Output = T>) -> io::Result<T> {
    match RUNTIME.as_ref() {
        Ok(runtime) => Ok(runtime.block_on(work)),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

/// One object, as it was listed.
pub(crate) struct Object {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
    /// Scheme and bucket.
    place: String,
    /// The path below the dataset, with `/`.
    below: String,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({}, {} bytes)", self.address(), self.meta.size)
    }
}

impl Object {
    /// For people.
    pub(crate) fn address(&self) -> String {
        format!("{}/{}", self.place, self.meta.location.as_ref())
    }

    /// The path below the dataset.
    pub(crate) fn below(&self) -> &str {
        &self.below
    }

    /// The whole key.
    pub(crate) fn name(&self) -> &str {
        self.meta.location.as_ref()
    }

    pub(crate) fn size(&self) -> u64 {
        self.meta.size
    }

    /// The server's tag of this version; where it gives none, the moment of its last change.
    pub(crate) fn version(&self) -> Option<String> {
        self.meta.e_tag.clone().or_else(|| Some(self.meta.last_modified.timestamp_micros().to_string()))
    }

    /// Whether its bytes travel unencrypted.
    pub(crate) fn in_the_clear(&self) -> bool {
        self.place.starts_with("http://")
    }

    pub(crate) fn reader(self: &Arc<Self>) -> Ranges {
        Ranges { object: Arc::clone(self), held: Mutex::new(Held::default()) }
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        // A weak tag says "much the same", which If-Match does not accept.
        let tag = self.meta.e_tag.as_deref().filter(|tag| !tag.starts_with("W/")).map(quoted);
        // Not every web server knows ranges, so a whole object is asked for without one.
        let whole = range.start == 0 && range.end == self.meta.size;
        let options = GetOptions {
            range: (!whole).then(|| GetRange::Bounded(range.clone())),
            if_match: tag,
            ..GetOptions::default()
        };
        let silent = || StoreError::Failed(format!("no answer for {} s", TIMEOUT.as_secs()));
        let answer = timeout(TIMEOUT, self.store.get_opts(&self.meta.location, options)).await;
        let answer = answer.map_err(|_| silent())??;
        let same_tag = match (&self.meta.e_tag, &answer.meta.e_tag) {
            (Some(then), Some(now)) => quoted(then) == quoted(now),
            _ => true,
        };
        let same = answer.meta.size == self.meta.size && same_tag;
        if !same {
            return Err(StoreError::Changed);
        }
        if answer.range != range {
            return Err(StoreError::Failed("the server sends another range than was asked for".to_owned()));
        }
        let wanted = usize::try_from(range.end - range.start).map_err(|_| silent())?;
        let mut bytes = Vec::with_capacity(wanted);
        let mut pieces = answer.into_stream();
        while let Some(piece) = timeout(TIMEOUT, pieces.next()).await.map_err(|_| silent())?.transpose()? {
            if bytes.len() + piece.len() > wanted {
                return Err(StoreError::Failed("the server sends more than it announced".to_owned()));
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() < wanted {
            let what = format!("the stream ended after {} of {wanted} bytes: truncated", bytes.len());
            return Err(StoreError::Failed(what));
        }
        Ok(bytes.into())
    }
}

/// An open object.
pub(crate) struct Ranges {
    object: Arc<Object>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Blocks by their offset, the last used at the end.
    blocks: Vec<(u64, Bytes)>,
    expected: Vec<(u64, Bytes)>,
    /// Where reading in order would go on, and how much was asked for last.
    next: u64,
    step: u64,
}

impl Ranges {
    pub(crate) fn size(&self) -> u64 {
        self.object.size()
    }

    /// Fetches what is about to be read, unless it is too much to hold.
    pub(crate) fn expect(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let mut ranges = ranges.to_vec();
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match joined.last_mut().filter(|last| range.start <= last.end.saturating_add(GAP)) {
                Some(last) => last.end = last.end.max(range.end),
                None => joined.push(range),
            }
        }
        let mut fetched = Vec::new();
        let fits = joined.iter().map(|r| r.end.saturating_sub(r.start)).fold(0u64, u64::saturating_add) <= EXPECTED;
        if fits {
            for range in joined.into_iter().filter(|r| r.start < r.end && r.end <= self.size()) {
                fetched.push((range.start, wait(self.object.fetch(range))?.map_err(failed)?));
            }
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).expected = fetched;
        Ok(())
    }

    pub(crate) fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size() || buf.is_empty() {
            return Ok(0);
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = held.copy(offset, buf) {
            return Ok(n);
        }
        held.step = if held.next == offset && offset > 0 { (held.step * 2).min(LARGEST_BLOCK) } else { BLOCK };
        let end = offset.saturating_add(held.step).min(self.size());
        let bytes = wait(self.object.fetch(offset..end))?.map_err(failed)?;
        held.next = end;
        // Read in order, large blocks follow each other and none is needed again.
        if held.step > BLOCK {
            held.blocks.clear();
        } else if held.blocks.len() >= KEPT {
            held.blocks.remove(0);
        }
        held.blocks.push((offset, bytes));
        Ok(held.copy(offset, buf).unwrap_or(0))
    }
}

impl Held {
    fn copy(&mut self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        let piece = |(start, bytes): &(u64, Bytes)| {
            let at = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(at..).filter(|rest| !rest.is_empty()).map(|_| at)
        };
        let (block, at) = match self.expected.iter().find_map(|block| piece(block).map(|at| (block.1.clone(), at))) {
            Some(found) => found,
            None => {
                let n = self.blocks.iter().rposition(|block| piece(block).is_some())?;
                let block = self.blocks.remove(n);
                let at = piece(&block)?;
                let bytes = block.1.clone();
                self.blocks.push(block);
                (bytes, at)
            }
        };
        let rest = block.get(at..)?;
        let n = rest.len().min(buf.len());
        buf.get_mut(..n)?.copy_from_slice(rest.get(..n)?);
        Some(n)
    }
}

/// What lies at an address: an object, the objects of a folder, or those that match its `*` and `**`, in order of their
/// names.
///
/// # Errors
/// When nothing is there, or the server cannot be asked.
pub(crate) fn list(address: &Address, limits: &Limits) -> Result<Vec<Arc<Object>>, StoreError> {
    let store = connect(address, TIMEOUT)?;
    let place = match address.scheme {
        Scheme::Http => address.place.clone(),
        _ => Address { path: Vec::new(), folder: false, ..address.clone() }.shown().trim_end_matches('/').to_owned(),
    };
    let listing = async {
        let pattern = address.path.iter().position(|part| part.contains('*'));
        let path = |parts: &[String]| {
            let text = parts.join("/");
            Path::parse(&text).map_err(|_| StoreError::UnsafeName(gauntlet_remote::shown(&text)))
        };
        let object = |meta: ObjectMeta, base: &Path| {
            let name = meta.location.as_ref();
            let below = name.strip_prefix(base.as_ref()).unwrap_or(name).trim_start_matches('/').to_owned();
            Arc::new(Object { store: Arc::clone(&store), meta, place: place.clone(), below })
        };
        let whole = path(&address.path)?;
        if pattern.is_none() && !address.folder {
            let head = timeout(TIMEOUT, store.get_opts(&whole, GetOptions { head: true, ..GetOptions::default() }));
            match head.await.map_err(|_| StoreError::Failed(format!("no answer for {} s", TIMEOUT.as_secs())))? {
                Ok(answer) => {
                    let above = address.path.get(..address.path.len().saturating_sub(1)).unwrap_or_default();
                    return Ok(vec![object(answer.meta, &path(above)?)]);
                }
                Err(object_store::Error::NotFound { .. }) if address.scheme != Scheme::Http => {}
                Err(error) => return Err(error.into()),
            }
        }
        if address.scheme == Scheme::Http {
            let what = "a web server cannot say which files it has; name one file";
            return Err(StoreError::Failed(what.to_owned()));
        }
        let base = path(address.path.get(..pattern.unwrap_or(address.path.len())).unwrap_or_default())?;
        let (mut found, mut seen) = (Vec::new(), 0u64);
        let mut objects = store.list(Some(&base));
        loop {
            let next = timeout(TIMEOUT, objects.next()).await;
            let next = next.map_err(|_| StoreError::Failed(format!("no answer for {} s", TIMEOUT.as_secs())))?;
            let Some(meta) = next.transpose()? else { break };
            seen += 1;
            limits.check(Limit::Entries, seen).map_err(|hit| StoreError::Failed(format!("{hit}: objects listed")))?;
            let parts: Vec<&str> = meta.location.as_ref().split('/').collect();
            // Some tools mark a folder by an empty object of its name.
            let marker = meta.size == 0 && meta.location == base;
            if !marker && (pattern.is_none() || glob::matches(&address.path, &parts)) {
                found.push(object(meta, &base));
            }
        }
        found.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(found)
    };
    let found = wait(listing).map_err(|error| StoreError::Failed(error.to_string()))??;
    if found.is_empty() {
        return Err(StoreError::Nothing(gauntlet_remote::shown(&address.shown())));
    }
    Ok(found)
}

fn failed(error: StoreError) -> io::Error {
    let kind = match error {
        StoreError::Nothing(_) => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
/// A tag in the quotes of HTTP: lists of Azure leave them out.
fn quoted(tag: &str) -> String {
    if tag.starts_with('"') || tag.starts_with("W/") { tag.to_owned() } else { format!("\"{tag}\"") }
}
