//! Containers: every member under every reading, by its content.

use std::io::Read;

use gauntlet_archive::{
    ArchiveError, Container, Member, Method, Reading, Tar, TarKind, TarProblem, Trust, Zip, decoder, lossy_name,
};
use gauntlet_core::SkipCode;
use gauntlet_limits::{Cursor, LimitHit, ReadAt, Window};

use super::content::{Content, Opened};
use super::{Format, Place, Walk};
use crate::checks::ARCHIVE;
use crate::facts::{ArchiveFact, NamedConflict, TarFact};

/// Members up to this size are read whole to compare their checksum; tensors are usually larger.
const CHECKSUM_BYTES: u64 = 1 << 20;
/// From here on a high expansion ratio is worth a fact.
const EXPANDED: u64 = 10_000_000;
const RATIO: u64 = 100;
/// Entries of each list of an [`ArchiveFact`].
const ENTRIES: usize = 1000;

impl Walk<'_> {
    pub(super) fn container(&mut self, container: Container, content: &Content<'_>, place: &Place) {
        match container {
            Container::Zip => {
                self.with_random(content, place, ARCHIVE, |walk, source| match Zip::read(source, walk.budget) {
                    Ok(zip) => walk.zip(&zip, source, place, false),
                    Err(error) => walk.failed(ARCHIVE, place, &error),
                });
            }
            Container::Tar => self.with_random(content, place, ARCHIVE, |walk, source| walk.tar(source, place)),
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
        let open = || -> Result<Opened<'_>, ArchiveError> {
            let mut stream = content.open()?;
            stream.skip(skip)?;
            Ok(Box::new(decoder(container, stream, budget)?))
        };
        // Two bytes of zlib or thirteen of lzma are a weak sign: what unpacks to nothing never was compressed.
        let first = Content::Packed(&open).prefix(1);
        let nothing = !matches!(&first, Ok(prefix) if !prefix.bytes.is_empty());
        if nothing
            && matches!(container, Container::Zlib | Container::Lzma)
            && super::Claim::of(&place.name) != super::Claim::Archive
        {
            if super::Claim::of(&place.name).is_model() {
                self.skip(ARCHIVE, place, SkipCode::Malformed, format!("looks like {container}, and does not unpack"));
            }
            return;
        }
        self.examine(&Content::Packed(&open), &place.unpacked(&container.to_string()));
    }

    /// A zip that starts elsewhere than at the beginning: loaders find it by its end.
    pub(super) fn zip_at_tail(&mut self, source: &dyn ReadAt, place: &Place) -> Option<Format> {
        let start = source.size().saturating_sub(66_000);
        let mut tail = vec![0; usize::try_from(source.size() - start).ok()?];
        source.read_exact_at(start, &mut tail).ok()?;
        memchr::memmem::rfind(&tail, b"PK\x05\x06")?;
        match Zip::read(source, self.budget) {
            // Random bytes may hold the signature; a directory entry with its local header is no accident.
            Ok(zip) if zip.members().iter().any(|m| m.central.is_some() && m.local.is_some()) => {
                self.zip(&zip, source, place, true);
                Some(Format::Container(Container::Zip))
            }
            _ => None,
        }
    }

    fn zip(&mut self, zip: &Zip, source: &dyn ReadAt, place: &Place, hidden: bool) {
        if let Some(hit) = zip.limit() {
            self.limit(ARCHIVE, place, hit);
        }
        let named = |conflict: &gauntlet_archive::Conflict| NamedConflict {
            name: conflict.member.and_then(|i| zip.members().get(i)).map(Member::display_name),
            conflict: conflict.clone(),
        };
        let mut fact = ArchiveFact {
            container: "zip".to_owned(),
            members: zip.members().len() as u64,
            hidden,
            conflicts: zip.conflicts().iter().map(named).collect(),
            more_conflicts: zip.more_conflicts(),
            ..ArchiveFact::default()
        };
        for member in zip.members() {
            let name = member.display_name();
            let place = place.member(&name);
            let readings = member.readings();
            if readings.is_empty() && !member.is_folder() {
                self.skip(ARCHIVE, &place, SkipCode::Malformed, "the directory points to no local header");
            }
            for reading in readings.iter().filter(|_| !member.is_folder()) {
                self.zip_member(reading, source, &place, &mut fact);
            }
        }
        self.facts.push(ARCHIVE, place.location.clone(), &fact);
    }

    fn zip_member(&mut self, reading: &Reading, source: &dyn ReadAt, place: &Place, fact: &mut ArchiveFact) {
        if let Method::Other(method) = reading.method {
            let error = ArchiveError::UnknownMethod(method);
            let code = if reading.encrypted { SkipCode::Encrypted } else { SkipCode::Unsupported };
            return self.skip(ARCHIVE, place, code, error.to_string());
        }
        let name = &place.name;
        if reading.compressed.saturating_mul(RATIO) < reading.size
            && reading.size >= EXPANDED
            && fact.expanding.len() < ENTRIES
        {
            fact.expanding.push((name.clone(), reading.compressed, reading.size));
        }
        let holds = self.checksum_holds(reading, source);
        // Lenient readers ignore the flag; only a checksum that holds shows that the bytes are plain all the same.
        if reading.encrypted && holds != Some(true) {
            self.skip(ARCHIVE, place, SkipCode::Encrypted, ArchiveError::Encrypted.to_string());
        }
        if holds == Some(false) && fact.wrong_checksums.len() < ENTRIES {
            fact.wrong_checksums.push(name.clone());
        }
        if let Some(window) = reading.stored(source) {
            return self.examine(&Content::Plain(&window), place);
        }
        let budget = self.budget;
        let open =
            || -> Result<Opened<'_>, ArchiveError> { Ok(Box::new(reading.open(source, budget, Trust::Lenient)?)) };
        self.examine(&Content::Packed(&open), place);
    }

    /// Whether a small member's content has the checksum that its header states; `None` when it was not compared.
    fn checksum_holds(&self, reading: &Reading, source: &dyn ReadAt) -> Option<bool> {
        if reading.size > CHECKSUM_BYTES || reading.compressed > CHECKSUM_BYTES {
            return None;
        }
        let mut stream = reading.open(source, self.budget, Trust::Lenient).ok()?;
        match std::io::copy(&mut stream.by_ref().take(CHECKSUM_BYTES + 1), &mut std::io::sink()) {
            Ok(_) => stream.crc_holds(),
            Err(error) if LimitHit::in_io(&error).is_some() => None,
            Err(_) => Some(false),
        }
    }

    fn tar(&mut self, source: &dyn ReadAt, place: &Place) {
        let budget = self.budget;
        let mut tar = Tar::new(Cursor::new(source, 0), budget);
        let mut fact = ArchiveFact { container: "tar".to_owned(), ..ArchiveFact::default() };
        loop {
            let entry = match tar.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => {
                    self.failed(ARCHIVE, place, &error);
                    break;
                }
            };
            fact.members += 1;
            let name = lossy_name(&entry.name);
            let here = place.member(&name);
            match entry.kind {
                TarKind::Sparse | TarKind::Other(_) => {
                    self.skip(ARCHIVE, &here, SkipCode::Unsupported, "sparse or unknown tar entry");
                }
                TarKind::File => {
                    let window = Window::new(source, entry.offset, entry.size);
                    self.examine(&Content::Plain(&window), &here);
                }
                _ => {}
            }
            let remarkable = !entry.problems.is_empty() || entry.kind == TarKind::Device;
            if remarkable && fact.entries.len() < ENTRIES {
                let link = entry.link.as_deref().map(lossy_name);
                let problems: Vec<TarProblem> = entry.problems;
                fact.entries.push(TarFact { name, kind: entry.kind, link, problems });
            } else if remarkable {
                fact.more_conflicts += 1;
            }
        }
        self.facts.push(ARCHIVE, place.location.clone(), &fact);
    }
}
