//! Zip: every member under every reading, and what no member owns.

use std::cell::RefCell;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use gauntlet_archive::{
    ArchiveError, EntryKind, EntryProblem, Member, Method, Reading, Trust, Zip, link_leaves, lossy_name,
};
use gauntlet_core::SkipCode;
use gauntlet_limits::{LimitHit, ReadAt, Window};

use super::content::{Content, Opened};
use super::storages::Storages;
use super::{Place, Walk};
use crate::checks::ARCHIVE;
use crate::facts::{ArchiveFact, ENTRIES, EntryFact, NamedConflict};

/// Members up to this size are read whole to compare their checksum; tensors are usually larger.
const CHECKSUM_BYTES: u64 = 1 << 20;
/// From here on a high expansion ratio is worth a fact.
const EXPANDED: u64 = 10_000_000;
const RATIO: u64 = 100;
/// Bytes of a link's target that are read.
const LINK_BYTES: u64 = 4096;

/// Whether a zip stands behind bytes of another format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// It is the file.
    No,
    /// It does.
    Yes,
    /// It does, and tools of that format put it there.
    Attached,
}

impl Walk<'_> {
    pub(super) fn zip(&mut self, zip: &Zip, source: &dyn ReadAt, place: &Place, hidden: Hidden) {
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
            hidden: hidden != Hidden::No,
            attached: hidden == Hidden::Attached,
            conflicts: zip.conflicts().iter().map(named).collect(),
            more_conflicts: zip.more_conflicts(),
            ..ArchiveFact::default()
        };
        let mut storages = Storages::of(zip);
        let own = crate::readers::base(&place.name);
        for member in zip.members() {
            let name = member.display_name();
            let mut place = place.member(&name);
            // pandas gives a table the name of the zip that it packs it into.
            if let (1, Some(stem)) = (zip.members().len(), name.strip_suffix(".zip"))
                && crate::readers::base(&name) == own
            {
                place.name = stem.to_owned();
            }
            let readings = member.readings();
            if readings.is_empty() && !member.is_folder() {
                self.skip(ARCHIVE, &place, SkipCode::Malformed, "the directory points to no local header");
            }
            for reading in readings.iter().filter(|_| !member.is_folder()) {
                if member.is_link {
                    self.zip_link(member, reading, source, &mut fact);
                }
                let numbers = reading.method == Method::Stored && storages.add(&name, reading.data, reading.compressed);
                self.storages.clear();
                self.zip_member(reading, source, &place, &mut fact, numbers);
                storages.name(&name, &mut self.storages);
            }
        }
        let rows = storages.rows();
        if !rows.is_empty() {
            self.weights(source, &rows, place);
        }
        // What stands at the very beginning is this file itself, which is being examined.
        for (from, to) in zip.strays().iter().filter(|(from, _)| *from > 0) {
            let window = Window::new(source, *from, to - from);
            self.examine(&Content::Plain(&window), &place.part(*from));
        }
        self.facts.push(ARCHIVE, place.location.clone(), &fact);
    }

    /// The content of a link is where it leads.
    fn zip_link(&self, member: &Member, reading: &Reading, source: &dyn ReadAt, fact: &mut ArchiveFact) {
        let mut target = Vec::new();
        if let Ok(stream) = reading.open(source, self.budget, Trust::Lenient) {
            // A target that cannot be read is an open question of the member itself.
            stream.take(LINK_BYTES).read_to_end(&mut target).ok();
        }
        let leaves = link_leaves(member.name(), &target, EntryKind::SymbolicLink);
        fact.push_entry(EntryFact {
            name: member.display_name(),
            kind: EntryKind::SymbolicLink,
            link: Some(lossy_name(&target)),
            problems: if leaves { vec![EntryProblem::LinkLeaves] } else { Vec::new() },
        });
    }

    fn zip_member(
        &mut self,
        reading: &Reading,
        source: &dyn ReadAt,
        place: &Place,
        fact: &mut ArchiveFact,
        numbers: bool,
    ) {
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
        if numbers {
            return;
        }
        if let Some(window) = reading.stored(source) {
            return self.examine(&Content::Plain(&window), place);
        }
        let budget = self.budget;
        let ends: RefCell<Vec<Arc<OnceLock<u64>>>> = RefCell::default();
        let open = || -> Result<Opened<'_>, ArchiveError> {
            let stream = reading.open(source, budget, Trust::Lenient)?;
            ends.borrow_mut().push(stream.taken());
            Ok(Box::new(stream))
        };
        self.examine(&Content::Packed(&open), place);
        let ends = ends.borrow();
        let taken = ends.iter().find_map(|taken| taken.get().copied());
        if let Some(taken) = taken.filter(|taken| *taken < reading.compressed) {
            let slack = Window::new(source, reading.data.saturating_add(taken), reading.compressed - taken);
            if fact.slack.len() < ENTRIES {
                fact.slack.push((name.clone(), slack.size()));
            }
            self.examine(&Content::Plain(&slack), &place.part(taken));
        }
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
}
