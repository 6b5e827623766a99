//! Reading a layout: every file of the folder accounted for, every manifest read only once its digest is right.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::descriptor::null_is_empty;
use super::{BlobDigest, DOCKER_LIST, DOCKER_MANIFEST, Descriptor, INDEX, MANIFEST, MAX_MANIFEST_BYTES};
use crate::base64;
use crate::oms::{Reason, ReasonCode};
use crate::shown;
use crate::strict_json::{self, Bounds};

/// Files in the blobs folder.
const MAX_BLOBS: usize = 200_000;
/// Indexes and manifests that are read.
const MAX_MANIFESTS: usize = 10_000;
/// References in all of them.
const MAX_REFERENCES: usize = 1_000_000;
/// Indexes inside each other.
const MAX_DEPTH: usize = 8;
/// Bytes of all indexes and manifests together.
const MAX_BYTES: u64 = 256 << 20;

/// For one index or manifest.
const BOUNDS: Bounds = Bounds { bytes: MAX_MANIFEST_BYTES, depth: 16, nodes: 500_000, members: 10_000 };

/// An OCI image layout as it lies in a folder. Its manifests are the ones that their digests name; whether other blobs
/// are is not known yet.
#[derive(Debug, Default)]
pub struct Layout {
    root: PathBuf,
    /// What index.json lists.
    pub entries: Vec<Descriptor>,
    /// Every index and manifest that is referred to, by digest.
    pub manifests: BTreeMap<BlobDigest, Manifest>,
    /// Every blob that is referred to, with its size.
    pub(super) references: BTreeMap<BlobDigest, u64>,
    /// Files in blobs/sha256 by digest, with their size.
    pub(super) blobs: BTreeMap<BlobDigest, u64>,
    /// What is wrong with the layout.
    pub(super) reasons: Vec<Reason>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// Which of the two kinds of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// Lists other manifests.
    Index,
    /// An image or artifact.
    Image,
}

/// An index or manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Which of the two.
    pub kind: ManifestKind,
    /// Media type as its own bytes state it.
    pub media_type: Option<String>,
    /// The type of an artifact; for older ones that of the config.
    pub artifact_type: Option<String>,
    /// The configuration of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, in order.
    pub layers: Vec<Descriptor>,
    /// What an index lists.
    pub manifests: Vec<Descriptor>,
    /// What this is about, if it is a referrer.
    pub subject: Option<Descriptor>,
    /// What else is said.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Everything it refers to, its subject too.
    fn references(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.manifests).chain(&self.subject)
    }
}

impl Layout {
    /// Whether a folder looks like a layout, so that it is judged as one.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.join("oci-layout").symlink_metadata().is_ok() && path.join("index.json").symlink_metadata().is_ok()
    }

    /// Reads the layout. What is wrong with it is kept and judged later, so that all of it is told.
    #[must_use]
    pub fn open(root: &Path) -> Self {
        let mut layout = Self { root: root.to_owned(), ..Self::default() };
        layout.read_folder();
        layout.read_version();
        layout.read_blobs();
        match read_file(&root.join("index.json"), MAX_MANIFEST_BYTES) {
            Ok(bytes) => layout.read_index(&bytes),
            Err(error) => layout.unreadable("index.json", &error),
        }
        layout.account();
        layout
    }

    /// Path of a blob.
    pub(super) fn blob_path(&self, digest: &BlobDigest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// A blob of at most `most` bytes whose digest is right.
    ///
    /// # Errors
    /// What reading says; `InvalidData` when the bytes are others.
    pub fn read_blob(&self, descriptor: &Descriptor, most: usize) -> io::Result<Vec<u8>> {
        if descriptor.size > most as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {most} bytes")));
        }
        let bytes = read_file(&self.blob_path(&descriptor.digest), most)?;
        if bytes.len() as u64 != descriptor.size || BlobDigest::of(&bytes) != descriptor.digest {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those of its digest"));
        }
        Ok(bytes)
    }

    /// Manifests whose subject is `digest`, in the order of their digests.
    pub fn referrers<'l>(&'l self, digest: &'l BlobDigest) -> impl Iterator<Item = (&'l BlobDigest, &'l Manifest)> {
        let about = move |manifest: &Manifest| manifest.subject.as_ref().is_some_and(|s| s.digest == *digest);
        self.manifests.iter().filter(move |(_, manifest)| about(manifest))
    }

    pub(super) fn reason(&mut self, code: ReasonCode, path: impl Into<String>, message: impl Into<String>) {
        self.reasons.push(Reason { path: Some(path.into()), code, message: message.into() });
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        let linked = rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP);
        let code = match error.kind() {
            _ if linked => ReasonCode::Symlink,
            io::ErrorKind::NotFound => ReasonCode::MissingFile,
            io::ErrorKind::FileTooLarge => ReasonCode::Limit,
            io::ErrorKind::InvalidData => ReasonCode::DigestMismatch,
            _ => ReasonCode::Unreadable,
        };
        self.reason(code, path, error.to_string());
    }

    /// Whatever else lies here would be in the folder unsigned and unseen.
    fn read_folder(&mut self) {
        let known = ["oci-layout", "index.json", "blobs"];
        self.each_entry("", |layout, name, _| {
            if !known.contains(&name) {
                layout.reason(ReasonCode::UnexpectedFile, name, "no part of an OCI image layout");
            }
        });
        self.each_entry("blobs", |layout, name, kind| {
            let path = format!("blobs/{name}");
            if kind.is_symlink() {
                layout.reason(ReasonCode::Symlink, path, "a link, which a layout does not have");
            } else if name != "sha256" {
                layout.reason(ReasonCode::Unsupported, path, "blobs of another algorithm than sha256 are not read");
            }
        });
    }

    fn read_version(&mut self) {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "imageLayoutVersion")]
            version: String,
        }
        match read_file(&self.root.join("oci-layout"), 4096) {
            Err(error) => self.unreadable("oci-layout", &error),
            Ok(bytes) => match strict_json::from_slice::<Version>(&bytes, &Bounds::RECORD) {
                Ok(file) if file.version == "1.0.0" => {}
                Ok(file) => {
                    let message = format!("layout version {} is not read", shown(&file.version));
                    self.reason(ReasonCode::Unsupported, "oci-layout", message);
                }
                Err(error) => self.reason(ReasonCode::Malformed, "oci-layout", error.to_string()),
            },
        }
    }

    fn read_blobs(&mut self) {
        self.each_entry("blobs/sha256", |layout, name, kind| {
            let path = format!("blobs/sha256/{name}");
            if kind.is_symlink() {
                return layout.reason(ReasonCode::Symlink, path, "a link, which a layout does not have");
            }
            let Ok(digest) = format!("sha256:{name}").parse::<BlobDigest>() else {
                return layout.reason(ReasonCode::UnexpectedFile, path, "not named by a digest");
            };
            match layout.blob_path(&digest).symlink_metadata() {
                Ok(metadata) if metadata.is_file() => {
                    layout.blobs.insert(digest, metadata.len());
                }
                Ok(_) => layout.reason(ReasonCode::UnexpectedFile, path, "not a regular file"),
                Err(error) => layout.unreadable(&path, &error),
            }
        });
    }

    /// Calls `look` for each entry of a folder, until there are too many.
    fn each_entry(&mut self, folder: &str, mut look: impl FnMut(&mut Self, &str, std::fs::FileType)) {
        let path = self.root.join(folder);
        // A folder that is a link would be read outside of the layout.
        let linked = !folder.is_empty() && path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        let listing = match std::fs::read_dir(&path) {
            _ if linked => return self.reason(ReasonCode::Symlink, folder, "a link, which a layout does not have"),
            Ok(listing) => listing,
            Err(error) => return self.unreadable(folder, &error),
        };
        for (count, entry) in listing.enumerate() {
            if count >= MAX_BLOBS {
                let message = format!("more than {MAX_BLOBS} entries");
                return self.reason(ReasonCode::Limit, folder, message);
            }
            match entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))) {
                Ok((name, kind)) => look(self, &name.to_string_lossy(), kind),
                Err(error) => self.unreadable(folder, &error),
            }
        }
    }

    /// Follows every reference from index.json on.
    fn read_index(&mut self, bytes: &[u8]) {
        let index = match parse(bytes) {
            Ok(index) if index.kind == ManifestKind::Index => index,
            Ok(_) => return self.reason(ReasonCode::Malformed, "index.json", "not an index"),
            Err((code, message)) => return self.reason(code, "index.json", message),
        };
        self.entries = index.manifests.clone();
        let mut queue = VecDeque::new();
        if !self.refer("index.json", &index, 0, &mut queue) {
            return;
        }
        let mut read = 0u64;
        while let Some((descriptor, depth)) = queue.pop_front() {
            if !is_manifest(&descriptor.media_type) || self.manifests.contains_key(&descriptor.digest) {
                continue;
            }
            let path = format!("blobs/sha256/{}", descriptor.digest.hex());
            read = read.saturating_add(descriptor.size);
            if self.manifests.len() >= MAX_MANIFESTS || read > MAX_BYTES || depth > MAX_DEPTH {
                let message = format!(
                    "more than {MAX_MANIFESTS} manifests, {MAX_BYTES} bytes of them or {MAX_DEPTH} indexes inside each other"
                );
                return self.reason(ReasonCode::Limit, path, message);
            }
            // Told below, with everything else that is missing.
            if !self.blobs.contains_key(&descriptor.digest) {
                continue;
            }
            let manifest = match self.read_blob(&descriptor, MAX_MANIFEST_BYTES) {
                Ok(bytes) => parse(&bytes),
                Err(error) => {
                    self.unreadable(&path, &error);
                    continue;
                }
            };
            let manifest = manifest.and_then(|manifest| agrees(manifest, &descriptor.media_type));
            match manifest {
                Ok(manifest) => {
                    let more = self.refer(&path, &manifest, depth, &mut queue);
                    self.manifests.insert(descriptor.digest, manifest);
                    if !more {
                        return;
                    }
                }
                Err((code, message)) => self.reason(code, path, message),
            }
        }
    }

    /// Notes what a manifest refers to; false when that is too much.
    fn refer(
        &mut self,
        path: &str,
        manifest: &Manifest,
        depth: usize,
        queue: &mut VecDeque<(Descriptor, usize)>,
    ) -> bool {
        for descriptor in manifest.references() {
            if self.references.len() >= MAX_REFERENCES || queue.len() >= MAX_REFERENCES {
                self.reason(ReasonCode::Limit, path, format!("more than {MAX_REFERENCES} references"));
                return false;
            }
            if let Some(data) = &descriptor.data {
                let right = base64::decode(data).is_ok_and(|bytes| BlobDigest::of(&bytes) == descriptor.digest);
                if !right {
                    let message = format!("the data inside the reference to {} is other data", descriptor.digest);
                    self.reason(ReasonCode::DigestMismatch, path, message);
                }
            }
            let is_subject = manifest.subject.as_ref() == Some(descriptor);
            // A referrer may be kept without what it is about.
            if is_subject && !self.blobs.contains_key(&descriptor.digest) {
                self.warnings.push(format!("{path} is about {}, which is not in this layout", descriptor.digest));
                continue;
            }
            if let Some(before) = self.references.insert(descriptor.digest.clone(), descriptor.size)
                && before != descriptor.size
            {
                let message =
                    format!("{} is referred to with {before} and with {} bytes", descriptor.digest, descriptor.size);
                self.reason(ReasonCode::Malformed, path, message);
            }
            let nested = manifest.kind == ManifestKind::Index && !is_subject;
            queue.push_back((descriptor.clone(), depth + usize::from(nested)));
        }
        true
    }

    /// Every reference has its blob, and every blob its reference.
    fn account(&mut self) {
        let mut reasons = Vec::new();
        let mut note = |digest: &BlobDigest, code, message: String| {
            let path = Some(format!("blobs/sha256/{}", digest.hex()));
            reasons.push(Reason { path, code, message });
        };
        for (digest, size) in &self.references {
            match self.blobs.get(digest) {
                None => note(digest, ReasonCode::MissingFile, "referred to, but not there".to_owned()),
                Some(actual) if actual != size => {
                    note(digest, ReasonCode::DigestMismatch, format!("{size} bytes are referred to, it has {actual}"));
                }
                Some(_) => {}
            }
        }
        for digest in self.blobs.keys().filter(|digest| !self.references.contains_key(digest)) {
            note(digest, ReasonCode::UnexpectedFile, "there, but nothing refers to it".to_owned());
        }
        self.reasons.append(&mut reasons);
    }
}

fn is_manifest(media_type: &str) -> bool {
    [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST].contains(&media_type)
}

type Refusal = (ReasonCode, String);

/// Reads an index or manifest. One that could be read as either is refused: two readers would see two images.
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, Refusal> {
    let malformed = |message: String| (ReasonCode::Malformed, message);
    let raw: RawManifest =
        strict_json::from_slice(bytes, &BOUNDS).map_err(|error| malformed(format!("no manifest: {error}")))?;
    if raw.schema_version != 2 {
        return Err((ReasonCode::Unsupported, format!("schema version {} is not read", raw.schema_version)));
    }
    let (kind, layers, manifests) = match (raw.layers, raw.manifests) {
        (Some(layers), None) if raw.config.is_some() => (ManifestKind::Image, layers, Vec::new()),
        (None, Some(manifests)) if raw.config.is_none() => (ManifestKind::Index, Vec::new(), manifests),
        _ => return Err(malformed("neither clearly an index nor clearly an image manifest".to_owned())),
    };
    let right = match kind {
        ManifestKind::Image => [MANIFEST, DOCKER_MANIFEST],
        ManifestKind::Index => [INDEX, DOCKER_LIST],
    };
    if let Some(stated) = raw.media_type.as_deref().filter(|stated| !right.contains(stated)) {
        return Err(malformed(format!("it says to be {}", shown(stated))));
    }
    let artifact_type = raw.artifact_type.or_else(|| raw.config.as_ref().map(|config| config.media_type.clone()));
    Ok(Manifest {
        kind,
        media_type: raw.media_type,
        artifact_type,
        config: raw.config,
        layers,
        manifests,
        subject: raw.subject,
        annotations: raw.annotations,
    })
}

/// What refers to a manifest and the manifest must mean the same kind.
fn agrees(manifest: Manifest, referred: &str) -> Result<Manifest, Refusal> {
    let kind = if [INDEX, DOCKER_LIST].contains(&referred) { ManifestKind::Index } else { ManifestKind::Image };
    let same_type = manifest.media_type.as_deref().is_none_or(|stated| stated == referred);
    if manifest.kind == kind && same_type {
        return Ok(manifest);
    }
    let stated = manifest.media_type.as_deref().unwrap_or("something else");
    Err((ReasonCode::Malformed, format!("referred to as {}, but it is {}", shown(referred), shown(stated))))
}

/// A regular file of at most `most` bytes, not through a link and without waiting on a pipe.
fn read_file(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {most} bytes")));
    }
    Ok(bytes)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
}
