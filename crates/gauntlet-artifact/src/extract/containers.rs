//! Containers: which reader takes them, and compressed streams with whatever stands behind them.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use gauntlet_archive::{
    ArchiveError, ConflictKind, Container, Method, StreamInfo, Zip, decoder, lossy_name, name_problems,
};
use gauntlet_core::SkipCode;
use gauntlet_limits::{ReadAt, Window};

use super::content::{Content, Opened};
use super::zip::Hidden;
use super::{Claim, Format, Place, Walk};
use crate::checks::ARCHIVE;
use crate::facts::StreamFact;

/// A compressed stream up to this size is read to its end even when nothing inside asks for it.
const DRAINED_BYTES: u64 = 64 << 20;
/// Bytes at a program's beginning that are searched for an archive which it unpacks.
const PROGRAM_BYTES: u64 = 4 << 20;
/// Labels of gzip headers shorter than this hold nothing.
const LABEL_BYTES: usize = 8;

impl Walk<'_> {
    pub(super) fn container(&mut self, container: Container, content: &Content<'_>, place: &Place) {
        match container {
            Container::Zip => {
                self.with_random(content, place, ARCHIVE, |walk, source| match Zip::read(source, walk.budget) {
                    Ok(zip) if is_accident(&zip) => {
                        if Claim::of(&place.name) != Claim::Nothing {
                            walk.skip(ARCHIVE, place, SkipCode::Malformed, "begins like a zip, and is none");
                        }
                    }
                    Ok(zip) => walk.zip(&zip, source, place, Hidden::No),
                    Err(error) => walk.failed(ARCHIVE, place, &error),
                });
            }
            Container::Tar => self.with_random(content, place, ARCHIVE, |walk, source| walk.tar(source, place)),
            Container::SevenZip => {
                self.with_random(content, place, ARCHIVE, |walk, source| walk.sevenz(source, place));
            }
            packed if packed.is_stream() => self.compressed(packed, 0, content, place),
            other => {
                self.skip(ARCHIVE, place, SkipCode::Unsupported, ArchiveError::Unsupported(other).to_string());
            }
        }
    }

    /// `ZF`, the length as 19 characters, then zlib.
    pub(super) fn joblib_old(&mut self, content: &Content<'_>, place: &Place) {
        self.compressed(Container::Zlib, 21, content, place);
    }

    fn compressed(&mut self, container: Container, skip: u64, content: &Content<'_>, place: &Place) {
        let budget = self.budget;
        // Whichever reader comes to the end of the stream tells what is there.
        let seen: RefCell<Vec<Arc<Mutex<StreamInfo>>>> = RefCell::default();
        let open = || -> Result<Opened<'_>, ArchiveError> {
            let mut stream = content.open()?;
            stream.skip(skip)?;
            let decoder = decoder(container, stream, budget)?;
            seen.borrow_mut().push(decoder.info());
            Ok(Box::new(decoder))
        };
        // A few first bytes are a weak sign: what unpacks to nothing gives no one anything to load.
        let first = Content::Packed(&open).prefix(1);
        let nothing = !matches!(&first, Ok(prefix) if !prefix.bytes.is_empty());
        if nothing && Claim::of(&place.name) != Claim::Archive {
            if Claim::of(&place.name).is_model() {
                self.skip(ARCHIVE, place, SkipCode::Malformed, format!("looks like {container}, and does not unpack"));
            }
            return;
        }
        self.examine(&Content::Packed(&open), &place.unpacked(&container.to_string()));
        let ended = |seen: &RefCell<Vec<Arc<Mutex<StreamInfo>>>>| {
            let infos = seen.borrow();
            let infos = infos.iter().map(|info| info.lock().unwrap_or_else(PoisonError::into_inner).clone());
            infos.max_by_key(|info| (info.complete, info.members))
        };
        let mut info = ended(&seen);
        let small = content.size().is_none_or(|size| size <= DRAINED_BYTES);
        if small && info.as_ref().is_none_or(|info| !info.complete) {
            let drained = open().and_then(|mut stream| Ok(std::io::copy(&mut stream, &mut std::io::sink())?));
            if let Err(error) = drained {
                self.failed(ARCHIVE, place, &error);
            }
            info = ended(&seen);
        }
        if let Some(info) = info {
            self.stream_info(container, skip, &info, content, place);
        }
    }

    /// Looks into what stands around the members of a stream.
    fn stream_info(
        &mut self,
        container: Container,
        skip: u64,
        info: &StreamInfo,
        content: &Content<'_>,
        place: &Place,
    ) {
        let ranges = info.skipped.iter().copied().chain(info.trailing.map(|from| (from, u64::MAX)));
        for (from, len) in ranges {
            let from = from.saturating_add(skip);
            let here = place.part(from);
            match content {
                Content::Plain(source) => {
                    let window = Window::new(*source, from, len);
                    self.examine(&Content::Plain(&window), &here);
                }
                Content::Packed(_) => {
                    let open = || -> Result<Opened<'_>, ArchiveError> {
                        let mut stream = content.open()?;
                        stream.skip(from)?;
                        Ok(Box::new(gauntlet_limits::Sequential::new(std::io::Read::take(stream, len))))
                    };
                    self.examine(&Content::Packed(&open), &here);
                }
            }
        }
        for label in info.labels.iter().filter(|label| label.len() >= LABEL_BYTES) {
            self.examine(&Content::Plain(label), &Place { name: String::new(), ..place.member("<gzip header>") });
        }
        let names = info.names.iter().map(|name| (lossy_name(name), name_problems(name)));
        let fact = StreamFact {
            container,
            members: info.members,
            complete: info.complete,
            // Behind a stream that was found inside other bytes these go on.
            trailing: info.trailing.filter(|_| !place.name.is_empty()).map(|from| from.saturating_add(skip)),
            skipped: info.skipped.iter().map(|(_, len)| *len).collect(),
            names: names.collect(),
            label_bytes: info.labels.iter().map(|label| label.len() as u64).sum(),
        };
        self.facts.push(ARCHIVE, place.location.clone(), &fact);
    }

    /// A zip that starts elsewhere than at the beginning: loaders find it by its end.
    pub(super) fn zip_at_tail(&mut self, source: &dyn ReadAt, place: &Place, formats: &[Format]) -> Option<Format> {
        let start = source.size().saturating_sub(66_000);
        let mut tail = vec![0; usize::try_from(source.size() - start).ok()?];
        source.read_exact_at(start, &mut tail).ok()?;
        if tail.len().checked_sub(512).and_then(|at| tail.get(at..)).is_some_and(|end| end.starts_with(b"koly")) {
            self.container(Container::Dmg, &Content::Plain(source), place);
            return Some(Format::Container(Container::Dmg));
        }
        memchr::memmem::rfind(&tail, b"PK\x05\x06")?;
        match Zip::read(source, self.budget) {
            // Random bytes may hold the signature; a directory entry with its local header is no accident.
            Ok(zip) if zip.members().iter().any(|m| m.central.is_some() && m.local.is_some()) => {
                let host = formats.iter().any(|format| format.name() == "TFLite");
                let hidden = if host && holds_labels_only(&zip) { Hidden::Attached } else { Hidden::Yes };
                self.zip(&zip, source, place, hidden);
                Some(Format::Container(Container::Zip))
            }
            _ => None,
        }
    }

    /// A program that unpacks an archive which it carries: 7z is read, rar is an open question.
    pub(super) fn self_extracting(&mut self, source: &dyn ReadAt, place: &Place) {
        let mut start = vec![0; usize::try_from(source.size().min(PROGRAM_BYTES)).unwrap_or(0)];
        if let Err(error) = source.read_exact_at(0, &mut start) {
            return self.io_failed(ARCHIVE, place, &error);
        }
        for at in memchr::memmem::find_iter(&start, b"7z\xbc\xaf\x27\x1c") {
            // Programs that know the format hold its magic, too; only a header has its checksum behind it.
            let header = start.get(at + 8..at + 32).and_then(|raw| raw.split_first_chunk::<4>());
            if header.is_some_and(|(sum, fields)| crc32fast::hash(fields) == u32::from_le_bytes(*sum)) {
                let window = Window::new(source, at as u64, u64::MAX);
                self.examine(&Content::Plain(&window), &place.part(at as u64));
                return;
            }
        }
        let rar = [&b"Rar!\x1a\x07\x00"[..], b"Rar!\x1a\x07\x01\x00"];
        if let Some(at) = rar.iter().find_map(|magic| memchr::memmem::find(&start, magic)) {
            let detail = format!("a rar archive at {at} behind a program is not supported");
            self.skip(ARCHIVE, place, SkipCode::Unsupported, detail);
        }
    }
}

/// Four bytes that are a zip's by accident: no directory, and no member whose method is known and whose name is text.
fn is_accident(zip: &Zip) -> bool {
    let is_member = |member: &gauntlet_archive::Member| {
        member.central.is_some()
            || (!member.display_name().contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER)
                && member.readings().iter().any(|reading| !matches!(reading.method, Method::Other(_))))
    };
    !zip.members().iter().any(is_member)
}

/// Whether a zip is what the metadata tools of TensorFlow Lite append: texts and vocabularies, each once. Their content is
/// read all the same.
fn holds_labels_only(zip: &Zip) -> bool {
    let label = |name: &str| {
        matches!(
            crate::readers::ending(name).as_str(),
            "txt" | "json" | "csv" | "tsv" | "vocab" | "model" | "spm" | "binarypb"
        )
    };
    // Where its own offsets count from depends on how it was appended.
    let expected =
        |kind: &ConflictKind| matches!(kind, ConflictKind::Prepended { .. } | ConflictKind::DirectoryOffset { .. });
    zip.more_conflicts() == 0
        && zip.conflicts().iter().all(|conflict| expected(&conflict.kind))
        && zip.members().iter().all(|member| !member.is_link && (member.is_folder() || label(&member.display_name())))
}
