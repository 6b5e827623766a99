//! Zip read twice: by the central directory, as most programs do, and by walking local headers, as streaming ones do.

mod conflict;
mod directory;
mod header;
mod member;
mod walk;

use std::collections::{HashMap, HashSet};
use std::io;

use gauntlet_limits::{Budget, Limit, LimitHit, ReadAt};

pub use conflict::{Conflict, ConflictKind};
pub use header::Header;
pub use member::{Entry, Member, MemberStream, Method, Reading, Trust};

use crate::entry::{normal, passes_link};
use crate::name::folded;
use crate::{ArchiveError, Container, lossy_name, name_problems};
use header::{Central, End, Local};

/// Conflicts kept; further ones are counted.
const CONFLICTS: usize = 1000;

/// A zip, both readings merged.
#[derive(Debug, Default)]
pub struct Zip {
    members: Vec<Member>,
    conflicts: Vec<Conflict>,
    more_conflicts: u64,
    limit: Option<LimitHit>,
    name_bytes: u64,
    strays: Vec<(u64, u64)>,
}

impl Zip {
    /// Reads both directories of `source`. Content is not touched.
    ///
    /// A limit that is hit on the way keeps what was read until then; see [`Zip::limit`].
    ///
    /// # Errors
    /// [`ArchiveError::Not`] when there is neither an end record nor a local header; I/O errors.
    pub fn read(source: &dyn ReadAt, budget: &Budget) -> Result<Self, ArchiveError> {
        let mut zip = Self::default();
        match zip.read_into(source, budget) {
            Ok(()) => {}
            Err(ArchiveError::Limit(hit)) => zip.limit = Some(hit),
            Err(other) => return Err(other),
        }
        zip.compare_names();
        Ok(zip)
    }

    /// Every member that either reading knows, in directory order, then those known by local headers only.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What the readings disagree about (at most 1000, see [`Zip::more_conflicts`]).
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// How many conflicts were counted but not kept.
    #[must_use]
    pub fn more_conflicts(&self) -> u64 {
        self.more_conflicts
    }

    /// Ranges (start, end) that no member owns and that have content: before, between and behind the records, the
    /// comments, and extra fields of unknown kinds. At most 1000.
    #[must_use]
    pub fn strays(&self) -> &[(u64, u64)] {
        &self.strays
    }

    /// The limit that ended reading early: members may be missing.
    #[must_use]
    pub fn limit(&self) -> Option<LimitHit> {
        self.limit
    }

    fn read_into(&mut self, source: &dyn ReadAt, budget: &Budget) -> Result<(), ArchiveError> {
        let ends = directory::end_records(source)?;
        // Strict readers want the comment to reach the end of the file; lenient ones take the last signature.
        let primary = ends.iter().find(|end| end.reaches_eof).or(ends.first());
        let mut regions = Vec::new();
        if let Some(end) = primary {
            self.read_directory(source, budget, end, &mut regions)?;
            for other in ends.iter().filter(|other| (other.offset, other.start) != (end.offset, end.start)) {
                // An archive stored inside this one brings its own end record.
                let inside = self.members.iter().any(|m| m.span().contains(&other.offset));
                if !inside {
                    let offset = if other.offset == end.offset { other.start } else { other.offset };
                    self.conflict(None, ConflictKind::SecondEndRecord { offset });
                    self.read_directory(source, budget, other, &mut regions)?;
                }
            }
        }
        let found = walk::walk(self, source, budget, regions, primary)?;
        if primary.is_none() {
            if !found.any_local {
                return Err(ArchiveError::Not(Container::Zip));
            }
            self.conflict(None, ConflictKind::NoEndRecord);
        }
        Ok(())
    }

    fn read_directory(
        &mut self,
        source: &dyn ReadAt,
        budget: &Budget,
        end: &End,
        regions: &mut Vec<walk::Region>,
    ) -> Result<(), ArchiveError> {
        regions.push(walk::Region::new(end.start, end.offset + header::END_LEN));
        if end.zip64_disagrees {
            self.conflict(None, ConflictKind::Zip64Disagrees);
        }
        if end.other_disk {
            self.conflict(None, ConflictKind::SplitArchive);
        }
        let mut listed: HashMap<u64, usize> =
            self.members.iter().enumerate().map(|(i, m)| (m.header_offset, i)).collect();
        for place in directory::places(self, source, end)? {
            let mut at = place.start;
            let mut found = 0;
            while at < end.start {
                let Some(central) = header::central(source, at)? else { break };
                budget.members(1)?;
                found += 1;
                at += central.len;
                self.add(source, budget, central, place.shift, &mut listed)?;
            }
            regions.push(walk::Region::new(place.start, at));
            if found != end.entries && (end.entries != found & 0xffff || found <= 0xffff) {
                self.conflict(None, ConflictKind::EntryCount { stated: end.entries, found });
            }
            if at - place.start != end.directory_size {
                let found = at - place.start;
                self.conflict(None, ConflictKind::DirectorySize { stated: end.directory_size, found });
            }
        }
        Ok(())
    }

    /// Pairs one directory entry with the local header it points to.
    fn add(
        &mut self,
        source: &dyn ReadAt,
        budget: &Budget,
        central: Central,
        shift: i128,
        listed: &mut HashMap<u64, usize>,
    ) -> Result<(), ArchiveError> {
        let stated = central.offset;
        let shifted = u64::try_from(i128::from(stated) + shift).unwrap_or(u64::MAX);
        let mut offset = shifted;
        let mut local = header::local(source, shifted)?;
        if local.is_none() && shifted != stated {
            local = header::local(source, stated)?;
            offset = if local.is_some() { stated } else { shifted };
        }
        // Two directories of one archive may list the same member.
        if let Some(known) = listed.get(&offset)
            && self.members[*known].central.as_ref() == Some(&central.header)
            && shift == 0
        {
            return Ok(());
        }
        let index = self.members.len();
        listed.insert(offset, index);
        let Central { header, unicode_name, mode, repeated, strays, .. } = central;
        let name = header.name.clone();
        let is_link = mode == 0o120_000;
        strays
            .into_iter()
            .chain(local.iter().flat_map(|local| local.strays.clone()))
            .for_each(|range| self.stray(range));
        let member = Member::new(offset, Some(header), local.as_ref(), is_link);
        self.push(member, budget)?;
        match &local {
            None => self.conflict(Some(index), ConflictKind::OnlyCentral),
            Some(local) => self.compare(source, index, local)?,
        }
        if let Some(unicode) = unicode_name.filter(|unicode| *unicode != name) {
            let escaped = is_escaped(&name, &unicode);
            self.conflict(Some(index), ConflictKind::UnicodeNameDiffers { unicode: lossy_name(&unicode), escaped });
        }
        if let Some(id) = repeated {
            self.conflict(Some(index), ConflictKind::ExtraRepeated { id });
        }
        if matches!(mode, 0o020_000 | 0o060_000) {
            self.conflict(Some(index), ConflictKind::Device);
        }
        if is_link {
            self.conflict(Some(index), ConflictKind::SymbolicLink);
        }
        Ok(())
    }

    fn add_local(&mut self, budget: &Budget, offset: u64, local: &Local, compressed: u64) -> Result<(), LimitHit> {
        let index = self.members.len();
        local.strays.iter().for_each(|range| self.stray(*range));
        let mut member = Member::new(offset, None, Some(local), false);
        if let Some(entry) = &mut member.local {
            entry.compressed = compressed;
        }
        member.end = member.data.unwrap_or(offset).saturating_add(compressed);
        self.push(member, budget)?;
        self.conflict(Some(index), ConflictKind::OnlyLocal);
        Ok(())
    }

    /// Names are what a small file can make large, by pointing many entries to one long name.
    fn push(&mut self, member: Member, budget: &Budget) -> Result<(), LimitHit> {
        let names: usize = member.central.iter().chain(&member.local).map(|header| header.name.len()).sum();
        self.name_bytes += names as u64 + 200;
        budget.limits().check(Limit::HeaderBytes, self.name_bytes)?;
        self.members.push(member);
        Ok(())
    }

    fn compare(&mut self, source: &dyn ReadAt, index: usize, local: &Local) -> io::Result<()> {
        let Some(central) = self.members[index].central.clone() else { return Ok(()) };
        let here = &local.header;
        let mut found = Vec::new();
        if here.name != central.name {
            found.push(ConflictKind::NameDiffers { local: lossy_name(&here.name) });
        }
        if here.method != central.method {
            found.push(ConflictKind::MethodDiffers { central: central.method, local: here.method });
        }
        // Bit 3 (descriptor), bits 1-2 (how hard deflate tried) and bit 11 (UTF-8) differ between honest headers.
        const LOOSE: u16 = 0b1000_0000_1110;
        if (here.flags ^ central.flags) & !LOOSE != 0 {
            found.push(ConflictKind::FlagsDiffer { central: central.flags, local: here.flags });
        }
        let data_end = local.data.saturating_add(central.compressed);
        let mut end = data_end;
        if local.is_deferred() {
            match header::descriptor(source, data_end, central.crc, central.compressed, central.size)? {
                Some(len) => end += len,
                // An empty member needs none: its zeros in the local header are true.
                None if central.compressed == 0 && central.size == 0 => {}
                None => found.push(ConflictKind::DescriptorDiffers),
            }
        } else {
            if here.compressed != central.compressed || here.size != central.size {
                found.push(ConflictKind::SizeDiffers { central: central.compressed, local: here.compressed });
            }
            if here.crc != central.crc && !(here.flags & 8 != 0 && here.crc == 0) {
                found.push(ConflictKind::CrcDiffers { central: central.crc, local: here.crc });
            }
            if here.flags & 8 != 0 {
                let len = header::descriptor(source, data_end, central.crc, central.compressed, central.size)?;
                end += len.unwrap_or(0);
            }
        }
        if data_end > source.size() {
            found.push(ConflictKind::PastEnd);
        }
        self.members[index].end = end;
        for kind in found {
            self.conflict(Some(index), kind);
        }
        Ok(())
    }

    /// What can be said of names, flags and sizes once all members are known.
    fn compare_names(&mut self) {
        let mut exact: HashSet<&[u8]> = HashSet::with_capacity(self.members.len());
        let mut paths: HashMap<String, &[u8]> = HashMap::with_capacity(self.members.len());
        let mut found = Vec::new();
        let links = self.members.iter().filter(|member| member.is_link);
        let links: HashSet<Vec<u8>> = links.map(|member| normal(member.name())).collect();
        for (index, member) in self.members.iter().enumerate() {
            let name = member.name();
            if passes_link(&links, &normal(name)) {
                found.push((index, ConflictKind::ThroughLink));
            }
            let mut note = |kind| found.push((index, kind));
            let earlier = *paths.entry(folded(name)).or_insert(name);
            if !exact.insert(name) {
                note(ConflictKind::DuplicateName);
            } else if earlier != name && !name.is_empty() {
                let case_only = earlier.eq_ignore_ascii_case(name)
                    || String::from_utf8_lossy(earlier).to_lowercase() == String::from_utf8_lossy(name).to_lowercase();
                note(if case_only { ConflictKind::CaseDuplicate } else { ConflictKind::AliasDuplicate });
            }
            let mut problems = name_problems(name);
            if let (Some(central), Some(local)) = (&member.central, &member.local)
                && central.name != local.name
            {
                problems.extend(name_problems(&local.name));
                problems.sort_unstable();
                problems.dedup();
            }
            for problem in problems {
                note(ConflictKind::Name { problem });
            }
            let headers = || member.central.iter().chain(&member.local);
            let flags = headers().fold(0, |flags, h| flags | h.flags);
            if flags & 0b10_0000_0110_0001 != 0 {
                note(ConflictKind::FlagsUnusual { flags });
            }
            // Nothing, deflated, is two bytes.
            if name.ends_with(b"/") && headers().any(|h| h.size > 0 || h.compressed > 2) {
                note(ConflictKind::FolderWithContent);
            }
            let deferred = |h: &Header| h.flags & 8 != 0 && h.size == 0;
            if headers().any(|h| h.method == 0 && h.compressed != h.size && !deferred(h) && h.flags & 1 == 0) {
                note(ConflictKind::StoredSizeDiffers);
            }
        }
        for (index, kind) in found {
            self.conflict(Some(index), kind);
        }
    }

    fn stray(&mut self, (start, end): (u64, u64)) {
        if start >= end {
            return;
        }
        if self.strays.len() < CONFLICTS {
            self.strays.push((start, end));
        } else {
            self.more_conflicts += 1;
        }
    }

    fn conflict(&mut self, member: Option<usize>, kind: ConflictKind) {
        if self.conflicts.len() < CONFLICTS {
            self.conflicts.push(Conflict { member, kind });
        } else {
            self.more_conflicts += 1;
        }
    }
}

/// Whether `name` is `unicode` in an encoding that lacks some of its characters: Info-ZIP writes those as `#U1234`, as
/// `?`, or in a code page. Then only characters outside ASCII differ.
fn is_escaped(name: &[u8], unicode: &[u8]) -> bool {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        let digits = match (first, behind.first()) {
            (b'#', Some(b'U')) => 4,
            (b'#', Some(b'L')) => 6,
            _ => 0,
        };
        let escape = behind.get(1..1 + digits).filter(|run| digits > 0 && run.iter().all(u8::is_ascii_hexdigit));
        if escape.is_some() {
            rest = &behind[1 + digits..];
            continue;
        }
        if first.is_ascii() && *first != b'?' {
            plain.push(*first);
        }
        rest = behind;
    }
    let ascii: Vec<u8> = unicode.iter().copied().filter(|b| b.is_ascii() && *b != b'?').collect();
    plain == ascii && !unicode.is_ascii()
}

#[cfg(test)]
mod tests;
