//! Routes every file by its content to the reader of its format, and containers' members the same way.

mod containers;
mod content;
mod derived;
mod embedded;
mod entries;
mod external;
mod folders;
mod format;
mod mask;
mod readers;
mod search;
mod storages;
mod weights;
mod zip;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use gauntlet_archive::{ArchiveError, Container};
use gauntlet_core::{
    Context, Coverage, Extractor, FactRow, Facts, Limit, LimitHit, Limits, Location, MaskKey, Relation, SkipCode,
    Target, TreeFile, open_regular,
};
use gauntlet_limits::{Budget, ReadAt};
use rayon::prelude::*;

use crate::checks::{ARCHIVE, ONNX, PICKLE, SAFETENSORS};
use crate::facts::FileFact;
use crate::formats::json::{Document, JsonError};
use crate::formats::lenient;
use crate::formats::yaml::{self, YamlError};
use crate::readers::huggingface::is_vocabulary;
use crate::readers::{DOCUMENTS, Head, READERS};
pub(crate) use content::Content;
use content::{Prefix, Spool};
pub(crate) use format::{Claim, Format};
pub(crate) use weights::Depth;

/// Files by which loaders recognise a folder whose own files belong to a model.
const MODEL_FILES: [&str; 5] =
    ["config.json", "tokenizer_config.json", "adapter_config.json", "preprocessor_config.json", "meta.json"];
/// Files by which loaders recognise a folder that belongs to a model with everything below.
const MODEL_TREES: [&str; 5] = ["MLmodel", "model_index.json", "modules.json", "saved_model.pb", "config.pbtxt"];

/// Why weights of no format are an open question.
const NO_FORMAT: &str = "no known format";

/// Raised whenever the same bytes give other facts.
const VERSION: u32 = 3;

/// Reads model files.
pub(crate) struct Artifact;

impl Extractor for Artifact {
    fn name(&self) -> &'static str {
        "artifact"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn relations(&self, row: &FactRow) -> Result<Vec<Relation>, serde_json::Error> {
        crate::relations::of(row)
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let folders = folders_with(&target.tree.files, &MODEL_FILES);
        let trees = folders_with(&target.tree.files, &MODEL_TREES);
        let weights = Depth::of(target.config);
        let mut facts = target
            .tree
            .files
            .par_iter()
            .map(|entry| {
                let own = entry.path.parent().map(|folder| match folder.file_name() {
                    // transformers imports `custom_generate/generate.py`.
                    Some(name) if name == "custom_generate" => folder.parent().unwrap_or(folder),
                    _ => folder,
                });
                let model_folder = own.is_some_and(|folder| folders.contains(folder))
                    || entry.path.ancestors().skip(1).any(|folder| trees.contains(folder));
                let facts = tree_file(target.root, entry, context.limits, context.mask, model_folder, weights);
                context.progress.file_done(entry);
                facts
            })
            .reduce(empty, |mut all, one| {
                all.merge(one);
                all
            });
        facts.coverage_mut(ARCHIVE).skipped.extend(target.tree.skipped.iter().cloned());
        external::note(&mut facts, target.tree);
        let in_model = |folder: &Path| folders.contains(folder) || folder.ancestors().any(|f| trees.contains(f));
        crate::readers::card::read(&mut facts, target, &in_model);
        folders::note(&mut facts, target.tree);
        facts.normalise();
        facts
    }
}

/// Folders that hold a file with one of these names.
fn folders_with<'t>(files: &'t [TreeFile], names: &[&str]) -> BTreeSet<&'t Path> {
    let marks = |file: &&TreeFile| {
        file.path.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name))
    };
    files.iter().filter(marks).filter_map(|file| file.path.parent()).collect()
}

/// Facts of one file of a tree. A file that changes while it is read has no facts.
fn tree_file(
    root: &Path,
    entry: &TreeFile,
    limits: &Limits,
    mask: &MaskKey,
    model_folder: bool,
    weights: Depth,
) -> Facts {
    let unreadable = |error: &io::Error| {
        let mut facts = empty();
        let path = Location::file(&entry.path).path.unwrap_or_default();
        facts.coverage_mut(ARCHIVE).skip(path, None, SkipCode::Unreadable, error.to_string());
        facts
    };
    match open_regular(root, entry) {
        Err(error) => unreadable(&error),
        Ok(handle) => {
            let facts = file(&entry.path, &handle, limits, mask, model_folder, weights);
            match entry.unchanged(&handle) {
                Ok(()) => facts,
                Err(error) => unreadable(&error),
            }
        }
    }
}

/// Facts of one file, whose bytes are `source`.
pub(crate) fn file(
    path: &Path,
    source: &dyn ReadAt,
    limits: &Limits,
    mask: &MaskKey,
    model_folder: bool,
    weights: Depth,
) -> Facts {
    let budget = Budget::new(limits.clone());
    let location = Location::file(path);
    let name = location.path.clone().unwrap_or_default();
    let mut walk = Walk { budget: &budget, mask, facts: empty(), model_folder, weights, storages: Vec::new() };
    walk.examine(&Content::Plain(source), &Place { location, name, depth: 0 });
    // A file of no concern (a text, a picture) was not looked at: nothing may be concluded about it.
    let concerned = !walk.facts.rows.is_empty() || walk.facts.coverage.values().any(|c| *c != Coverage::default());
    walk.facts.coverage_mut(ARCHIVE).looked_at += u64::from(concerned);
    walk.facts
}

/// How a document is written.
#[derive(Clone, Copy)]
enum Syntax {
    Json,
    Yaml,
}

impl Syntax {
    fn parse(self, bytes: &[u8], limits: &Limits) -> Result<Document, (SkipCode, String)> {
        match self {
            Self::Json => Document::parse(bytes, limits).map_err(|error| match error {
                JsonError::Limit(_) | JsonError::Depth => (SkipCode::Limit, error.to_string()),
                JsonError::Malformed(_) => (SkipCode::Malformed, format!("no JSON document: {error}")),
            }),
            Self::Yaml => yaml::parse(&String::from_utf8_lossy(bytes), limits).map_err(|error| match error {
                YamlError::Limit(_) | YamlError::Depth => (SkipCode::Limit, error.to_string()),
                YamlError::Malformed(_) => (SkipCode::Malformed, format!("no YAML document: {error}")),
            }),
        }
    }
}

/// What the ending promises, when the content is something else that is known, and no container of it.
fn unkept_promise(formats: &[Format], ending: &str) -> Option<String> {
    let known = |format: &Format| {
        matches!(format, Format::Read(_) | Format::Model(_) | Format::Safetensors | Format::Onnx | Format::Npy)
    };
    let promised: Vec<_> = format::promised_by(ending).collect();
    let kept = formats.iter().any(|format| !known(format) || promised.contains(&format.name().as_str()));
    (!promised.is_empty() && !formats.is_empty() && !kept).then(|| promised.join(" or "))
}

/// No reader accounts for the bytes: formats without one, and FlatBuffers, which end wherever their offsets lead.
fn is_opaque(formats: &[Format], claim: Claim) -> bool {
    let unread = |format: &Format| matches!(format, Format::Model(_)) || format.name() == "TFLite";
    if formats.is_empty() { matches!(claim, Claim::Model | Claim::Weights) } else { formats.iter().any(unread) }
}

fn empty() -> Facts {
    let mut facts = Facts::new("artifact", VERSION);
    // A check that found nothing of its format has looked all the same.
    for check in crate::CHECKS {
        facts.coverage_mut(check.info().id);
    }
    facts
}

/// Printable UTF-8, but for a character that the prefix cuts.
fn is_text(prefix: &[u8]) -> bool {
    let valid = match std::str::from_utf8(prefix) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&prefix[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

/// One file with everything in it, under one budget.
pub(crate) struct Walk<'b> {
    pub(crate) budget: &'b Budget,
    pub(crate) mask: &'b MaskKey,
    pub(crate) facts: Facts,
    /// The file lies beside what makes a folder a model, so that loading may import code from there.
    pub(crate) model_folder: bool,
    /// How closely weights are looked at.
    pub(crate) weights: Depth,
    /// Storages that the last pickle named.
    pub(crate) storages: Vec<gauntlet_pickle::Storage>,
}

/// Where some bytes are.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) location: Location,
    /// What the bytes are called, for what that claims.
    pub(crate) name: String,
    /// Containers around them.
    pub(crate) depth: u64,
}

impl Place {
    /// A member of the container at this place.
    pub(crate) fn member(&self, name: &str) -> Self {
        let member = match &self.location.member {
            Some(outer) => format!("{outer}!{name}"),
            None => name.to_owned(),
        };
        Self {
            location: Location { member: Some(member), offset: None, ..self.location.clone() },
            name: name.to_owned(),
            depth: self.depth + 1,
        }
    }

    /// The content of a compressed stream: called like the stream without its last ending.
    fn unpacked(&self, container: &str) -> Self {
        let stem = match self.name.rsplit_once('.') {
            Some((stem, "gz" | "bz2" | "xz" | "lzma" | "lz4" | "zst" | "zstd" | "z" | "Z")) => stem.to_owned(),
            Some((stem, "tgz" | "tbz" | "tbz2" | "txz" | "tzst")) => format!("{stem}.tar"),
            _ => self.name.clone(),
        };
        Self { name: stem, ..self.member(&format!("<{container}>")) }
    }

    /// Bytes of this file that no format owns.
    pub(crate) fn part(&self, offset: u64) -> Self {
        Self { name: String::new(), ..self.member(&format!("<bytes from {offset}>")) }
    }

    /// Found by a search in what a search found. Searching there again would cost the product of all hits.
    fn is_deep_part(&self) -> bool {
        self.location.member.as_deref().is_some_and(|member| member.matches("<bytes from ").count() > 1)
    }
}

impl Walk<'_> {
    /// Recognises `content` and hands it to every reader that it concerns. Depth is bounded by `limits.depth`.
    pub(crate) fn examine(&mut self, content: &Content<'_>, place: &Place) {
        if let Err(hit) = self.budget.limits().check(Limit::Depth, place.depth) {
            return self.limit(ARCHIVE, place, hit);
        }
        let prefix = match content.prefix(format::PREFIX) {
            Ok(prefix) => prefix,
            Err(error) => return self.failed(ARCHIVE, place, &error),
        };
        if let Some(error) = &prefix.error {
            self.io_failed(ARCHIVE, place, error);
        }
        let claim = Claim::of(&place.name);
        let size = content.size();
        let head = Head { prefix: &prefix.bytes, complete: prefix.complete, size, name: &place.name };
        let (mut formats, sniffed) = format::detect(&head, claim);
        if formats.is_empty() && claim == Claim::Pickle && !prefix.bytes.is_empty() {
            formats.push(Format::Pickle);
        }
        // The first bytes of an ONNX model are those of other protobuf messages, too.
        if claim != Claim::Onnx && formats.contains(&Format::Onnx) && !self.is_onnx(content) {
            formats.retain(|format| *format != Format::Onnx);
        }
        if let Content::Plain(source) = content
            && self.is_far_hdf5(*source, &formats)
        {
            formats.push(Format::Read("HDF5".to_owned()));
        }
        let promised = unkept_promise(&formats, &head.ending());
        for format in &formats {
            let announced =
                sniffed == Some(gauntlet_pickle::Sniff::Announced) || matches!(claim, Claim::Pickle | Claim::Torch);
            self.read(format, content, place, announced);
        }
        // Python reads JSON in UTF-16 and UTF-32, too.
        // What begins like a format may do so by accident.
        if formats.is_empty()
            && lenient::from_wide(&prefix.bytes).is_some()
            && let Ok(bytes) = self.whole(content, &prefix)
            && let Some(text) = lenient::from_wide(&bytes)
        {
            let place = Place { depth: place.depth + 1, ..place.clone() };
            self.examine(&Content::Plain(&text.into_bytes()), &place);
        }
        if is_text(&prefix.bytes) {
            let ending = head.ending();
            // A document in a document: what `json.dump(model.to_json(), file)` writes.
            if ending == "json"
                && prefix.bytes.trim_ascii_start().starts_with(b"\"{")
                && let Ok(bytes) = self.whole(content, &prefix)
                && let Ok(outer) = Document::parse(&bytes, self.budget.limits())
                && let Some(inner) = outer.root.text()
            {
                let inner = inner.as_bytes().to_vec();
                let place = Place { depth: place.depth + 1, ..place.clone() };
                self.examine(&Content::Plain(&inner), &place);
            }
            let promised = || ending == "json" && DOCUMENTS.iter().any(|reader| reader.expects(place));
            if format::begins_like_json(&prefix.bytes) || promised() {
                formats.extend(self.document(content, &prefix, place, Syntax::Json));
            } else if matches!(ending.as_str(), "yaml" | "yml") || head.base() == "MLmodel" {
                formats.extend(self.document(content, &prefix, place, Syntax::Yaml));
            } else if ending == "py" && (place.location.member.is_some() || self.model_folder) {
                self.python(content, place);
            }
            self.derive(content, place, &ending);
        }
        // A zip stored last in a tar ends near the tar's end; it was read as a member.
        let is_archive = |f: &Format| matches!(f, Format::Container(Container::Zip | Container::Tar));
        if let Content::Plain(source) = content
            && !formats.iter().any(is_archive)
            && let Some(zip) = self.zip_at_tail(*source, place, &formats)
        {
            formats.push(zip);
        }
        if let Content::Plain(source) = content
            && is_opaque(&formats, claim)
        {
            let archive = formats.contains(&Format::Container(Container::Zip));
            self.search(*source, place, archive);
        }
        if let Content::Plain(source) = content
            && formats.iter().any(|format| matches!(format, Format::Executable(_)))
        {
            self.self_extracting(*source, place);
        }
        let mut hidden = None;
        let text = prefix.complete && is_text(&prefix.bytes);
        if !text
            && !prefix.bytes.is_empty()
            && !is_opaque(&formats, claim)
            && search::is_open_ended(&formats, claim, sniffed.is_some())
            && !search::is_whole_parquet(&formats, content)
        {
            hidden = match content {
                _ if place.is_deep_part() => {
                    let detail = "found inside of what was found: what it may hide was not searched for";
                    self.skip(ARCHIVE, place, SkipCode::Limit, detail.to_owned());
                    None
                }
                Content::Plain(source) => self.search_ends(*source, place, false),
                Content::Packed(_) if prefix.complete => self.search_ends(&prefix.bytes, place, false),
                Content::Packed(_) => None,
            };
            // In bytes of no known format it may be where it belongs.
            hidden = hidden.filter(|_| !formats.is_empty());
        }
        self.note_unread(&formats, claim, &prefix, place);
        if hidden.is_some() || claim.is_model() || !formats.is_empty() {
            let weak_pickle = sniffed.is_some_and(|s| s != gauntlet_pickle::Sniff::Announced);
            let fact = FileFact { formats, claim, size, weak_pickle, promised, hidden };
            self.facts.push(ARCHIVE, place.location.clone(), &fact);
        }
    }

    fn read(&mut self, format: &Format, content: &Content<'_>, place: &Place, announced: bool) {
        match format {
            Format::Pickle => self.pickle(content, place, announced, false),
            Format::Safetensors => self.with_random(content, place, SAFETENSORS, |walk, source| {
                walk.safetensors(source, place);
            }),
            Format::Onnx => self.with_random(content, place, ONNX, |walk, source| walk.onnx(source, place)),
            Format::Npy => self.with_random(content, place, PICKLE, |walk, source| walk.npy(source, place)),
            Format::Container(container) => self.container(*container, content, place),
            Format::JoblibOld => self.joblib_old(content, place),
            Format::Read(name) => {
                for reader in READERS.iter().filter(|reader| reader.format() == name) {
                    reader.read(self, content, place);
                }
            }
            Format::Model(name) => {
                let detail = format!("there is no reader for {name} yet");
                self.skip(ARCHIVE, place, SkipCode::Unsupported, detail);
            }
            Format::Executable(kind) if kind == format::JAVA_CLASS => {
                self.skip(ARCHIVE, place, SkipCode::Unsupported, "Java bytecode is not read");
            }
            Format::Executable(_) | Format::Other(_) => {}
        }
    }

    /// Whether an HDF5 file begins behind the prefix: its user block may have any length.
    fn is_far_hdf5(&self, source: &dyn ReadAt, formats: &[Format]) -> bool {
        let stored = |f: &Format| matches!(f, Format::Container(Container::Zip | Container::Tar));
        source.size() > format::PREFIX as u64
            && !formats.iter().any(|f| stored(f) || f.name() == "HDF5")
            && matches!(gauntlet_hdf5::find(source), Ok(Some(_)))
    }

    /// Hands a JSON or YAML document to the families that it concerns, whose names come back.
    fn document(&mut self, content: &Content<'_>, prefix: &Prefix, place: &Place, syntax: Syntax) -> Vec<Format> {
        if DOCUMENTS.is_empty() {
            return Vec::new();
        }
        let expecting = DOCUMENTS.iter().filter(|reader| reader.expects(place));
        let parsed = match self.whole(content, prefix) {
            Ok(bytes) => syntax.parse(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes), self.budget.limits()),
            Err(error) => match LimitHit::in_io(&error) {
                Some(hit) => Err((SkipCode::Limit, hit.to_string())),
                None => {
                    self.io_failed(ARCHIVE, place, &error);
                    return Vec::new();
                }
            },
        };
        match parsed {
            Ok(document) => {
                let concerned = DOCUMENTS.iter().filter(|reader| reader.concerns(&place.name, &document));
                let read = concerned.map(|reader| {
                    reader.read(self, &document, place);
                    Format::Read(reader.format().to_owned())
                });
                read.collect()
            }
            Err((code, detail)) => {
                // What is beyond the limits may be any family's, where a model is.
                let model = self.model_folder || place.location.member.is_some();
                if code == SkipCode::Limit && model && !is_vocabulary(&place.name) {
                    self.skip(ARCHIVE, place, code, detail.clone());
                }
                expecting.for_each(|reader| self.skip(reader.check(), place, code, detail.clone()));
                Vec::new()
            }
        }
    }

    /// All of a text file; at most `text_bytes`, bytes that are no UTF-8 replaced.
    pub(crate) fn text(&self, content: &Content<'_>) -> io::Result<String> {
        let limits = self.budget.limits();
        let mut bytes = Vec::new();
        let stream = content.open().map_err(io::Error::other)?;
        stream.take(limits.text_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        limits.check(Limit::TextBytes, bytes.len() as u64)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All of a content that is a document; at most `header_bytes`.
    fn whole(&self, content: &Content<'_>, prefix: &Prefix) -> io::Result<Vec<u8>> {
        if prefix.complete {
            return Ok(prefix.bytes.clone());
        }
        let limits = self.budget.limits();
        if let Some(size) = content.size() {
            limits.check(Limit::HeaderBytes, size)?;
        }
        let mut bytes = Vec::new();
        let stream = content.open().map_err(io::Error::other)?;
        stream.take(limits.header_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        limits.check(Limit::HeaderBytes, bytes.len() as u64)?;
        Ok(bytes)
    }

    /// Reads a part of the file that has a name of its own (an attribute, a buffer, a field) as if it were a member.
    pub(crate) fn part(&mut self, content: &Content<'_>, place: &Place, name: &str) {
        self.examine(content, &place.member(name));
    }

    /// A file that claims to be a model and was not recognised is an open question, never clean.
    fn note_unread(&mut self, formats: &[Format], claim: Claim, prefix: &Prefix, place: &Place) {
        if !formats.is_empty() || prefix.error.is_some() {
            return;
        }
        let (check, what) = match claim {
            Claim::Foreign | Claim::Nothing => return,
            // Tables and texts are called so, too; no loader of models reads them.
            Claim::Data if is_text(&prefix.bytes) => return,
            Claim::Pickle => (PICKLE, "a pickle"),
            Claim::Torch => (PICKLE, "a PyTorch file"),
            Claim::Npy => (PICKLE, "a NumPy array"),
            Claim::Safetensors => (SAFETENSORS, "safetensors"),
            Claim::Onnx => (ONNX, "ONNX"),
            Claim::Zip | Claim::Archive => (ARCHIVE, "an archive"),
            Claim::Model | Claim::Weights | Claim::Data => {
                let detail = if prefix.bytes.is_empty() { "empty file" } else { NO_FORMAT };
                return self.skip(ARCHIVE, place, SkipCode::Unsupported, detail);
            }
        };
        let is = if prefix.bytes.is_empty() { "is empty" } else { "has no format that is known" };
        self.skip(check, place, SkipCode::Malformed, format!("named like {what}, and {is}"));
    }

    /// Gives `read` random access to `content`, unpacking it to a bounded spool when need be.
    pub(crate) fn with_random(
        &mut self,
        content: &Content<'_>,
        place: &Place,
        check: &'static str,
        read: impl FnOnce(&mut Self, &dyn ReadAt),
    ) {
        match content {
            Content::Plain(source) => read(self, *source),
            Content::Packed(_) => match Spool::fill(content) {
                Ok((spool, error)) => {
                    if let Some(error) = error {
                        self.io_failed(check, place, &error);
                    }
                    read(self, &spool);
                }
                Err(error) => self.failed(check, place, &error),
            },
        }
    }

    pub(crate) fn looked_at(&mut self, check: &str) {
        self.facts.coverage_mut(check).looked_at += 1;
    }

    pub(crate) fn skip(&mut self, check: &str, place: &Place, code: SkipCode, detail: impl Into<String>) {
        let path = place.location.path.clone().unwrap_or_default();
        self.facts.coverage_mut(check).skip(path, place.location.member.clone(), code, detail);
    }

    pub(crate) fn limit(&mut self, check: &str, place: &Place, hit: LimitHit) {
        self.skip(check, place, SkipCode::Limit, hit.to_string());
    }

    pub(crate) fn failed(&mut self, check: &str, place: &Place, error: &ArchiveError) {
        let code = match error {
            ArchiveError::Io(error) => return self.io_failed(check, place, error),
            ArchiveError::Limit(hit) => return self.limit(check, place, *hit),
            ArchiveError::Not(_) | ArchiveError::Malformed { .. } => SkipCode::Malformed,
            ArchiveError::Encrypted => SkipCode::Encrypted,
            ArchiveError::UnknownMethod(_) | ArchiveError::Unsupported(_) => SkipCode::Unsupported,
        };
        self.skip(check, place, code, error.to_string());
    }

    pub(crate) fn io_failed(&mut self, check: &str, place: &Place, error: &io::Error) {
        if let Some(hit) = LimitHit::in_io(error) {
            return self.limit(check, place, hit);
        }
        let code = match error.kind() {
            io::ErrorKind::UnexpectedEof => SkipCode::Truncated,
            io::ErrorKind::Unsupported => SkipCode::Unsupported,
            // What decompressors say of damaged input.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::OutOfMemory => {
                SkipCode::Malformed
            }
            _ => SkipCode::Unreadable,
        };
        self.skip(check, place, code, error.to_string());
    }
}
