//! Tar and 7z: entry by entry, and tar by its second reading of sizes.

use std::collections::BTreeSet;

use gauntlet_archive::{ArchiveError, EntryKind, EntryProblem, SevenZip, Tar, TarEntry, link_leaves, lossy_name};
use gauntlet_core::SkipCode;
use gauntlet_limits::{Cursor, ReadAt, Window};

use super::content::{Content, Spool};
use super::{Claim, Place, Walk};
use crate::checks::ARCHIVE;
use crate::facts::{ArchiveFact, ENTRIES, EntryFact};

impl Walk<'_> {
    pub(super) fn tar(&mut self, source: &dyn ReadAt, place: &Place) {
        let budget = self.budget;
        let mut tar = Tar::new(Cursor::new(source, 0), budget);
        let mut fact = ArchiveFact { container: "tar".to_owned(), ..ArchiveFact::default() };
        // Content by place and size: what the other reading is compared with.
        let mut seen = BTreeSet::new();
        let mut ambiguous = false;
        loop {
            match tar.next_entry() {
                Ok(Some(entry)) => {
                    let two = [EntryProblem::SizeOverridden, EntryProblem::SizeOfNothing];
                    ambiguous |= entry.problems.iter().any(|problem| two.contains(problem));
                    seen.insert((entry.offset, entry.size));
                    self.tar_entry(entry, source, place, &mut fact);
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed(ARCHIVE, place, &error);
                    break;
                }
            }
        }
        fact.rest = tar.rest();
        if let Some(from) = fact.rest {
            let window = Window::new(source, from, u64::MAX);
            self.examine(&Content::Plain(&window), &place.part(from));
        }
        if ambiguous {
            let mut other = Tar::with_plain_sizes(Cursor::new(source, 0), budget);
            // This reading often ends in an error, which is the other reading's content.
            while let Ok(Some(mut entry)) = other.next_entry() {
                if seen.insert((entry.offset, entry.size)) && entry.size > 0 {
                    entry.problems = vec![EntryProblem::OtherReading];
                    self.tar_entry(entry, source, place, &mut fact);
                }
            }
        }
        self.facts.push(ARCHIVE, place.location.clone(), &fact);
    }

    fn tar_entry(&mut self, entry: TarEntry, source: &dyn ReadAt, place: &Place, fact: &mut ArchiveFact) {
        fact.members += 1;
        let name = lossy_name(&entry.name);
        let here = place.member(&name);
        if entry.kind == EntryKind::Sparse {
            self.skip(ARCHIVE, &here, SkipCode::Unsupported, "the holes of a sparse file are not filled");
        }
        // A type that a reader does not know is a file (POSIX), and so is whatever has content.
        let has_content = matches!(entry.kind, EntryKind::File | EntryKind::Sparse | EntryKind::Other(_));
        if has_content || entry.size > 0 {
            let window = Window::new(source, entry.offset, entry.size);
            self.examine(&Content::Plain(&window), &here);
        }
        if !entry.problems.is_empty() || matches!(entry.kind, EntryKind::Device | EntryKind::Other(_)) {
            let link = entry.link.as_deref().map(lossy_name);
            fact.push_entry(EntryFact { name, kind: entry.kind, link, problems: entry.problems });
        }
    }

    pub(super) fn sevenz(&mut self, source: &dyn ReadAt, place: &Place) {
        let mut archive = match SevenZip::read(source, self.budget) {
            Ok(archive) => archive,
            // Six bytes of other data; readers of 7z refuse what has no header, too.
            Err(ArchiveError::Io(_) | ArchiveError::Not(_) | ArchiveError::Malformed { .. })
                if Claim::of(&place.name) == Claim::Nothing =>
            {
                return;
            }
            Err(error) => return self.failed(ARCHIVE, place, &error),
        };
        let mut fact =
            ArchiveFact { container: "7z".to_owned(), members: archive.len() as u64, ..ArchiveFact::default() };
        archive.visit(|entry, data| {
            let name = lossy_name(&entry.name);
            let here = place.member(&name);
            let mut problems = entry.problems.clone();
            let mut link = None;
            match data {
                Err(error) => self.failed(ARCHIVE, &here, &error),
                Ok(None) if entry.kind == EntryKind::File => self.examine(&Content::Plain(&Vec::new()), &here),
                Ok(None) => {}
                Ok(Some(data)) if entry.kind == EntryKind::SymbolicLink => match data.link_target() {
                    Ok(target) => {
                        if link_leaves(&entry.name, &target, EntryKind::SymbolicLink) {
                            problems.push(EntryProblem::LinkLeaves);
                        }
                        link = Some(lossy_name(&target));
                    }
                    Err(error) => self.io_failed(ARCHIVE, &here, &error),
                },
                Ok(Some(data)) => match Spool::from_stream(data) {
                    Ok((spool, error)) => {
                        if data.crc_holds() == Some(false) && fact.wrong_checksums.len() < ENTRIES {
                            fact.wrong_checksums.push(name.clone());
                        }
                        self.examine(&Content::Plain(&spool), &here);
                        if let Some(error) = error {
                            self.io_failed(ARCHIVE, &here, &error);
                        }
                    }
                    Err(error) => self.failed(ARCHIVE, &here, &ArchiveError::Io(error)),
                },
            }
            if !problems.is_empty() || matches!(entry.kind, EntryKind::Device | EntryKind::SymbolicLink) {
                fact.push_entry(EntryFact { name, kind: entry.kind, link, problems });
            }
            true
        });
        let end = archive.end();
        if end < source.size() {
            fact.rest = Some(end);
            let window = Window::new(source, end, u64::MAX);
            self.examine(&Content::Plain(&window), &place.part(end));
        }
        self.facts.push(ARCHIVE, place.location.clone(), &fact);
    }
}
