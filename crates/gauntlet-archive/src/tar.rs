//! Tar by its own header walker (POSIX.1-2001 pax, GNU, v7), so that overrides and links stay visible.

use std::collections::HashSet;
use std::io::{self, Read};

use gauntlet_limits::{Budget, Limit, LimitHit, Stream};

use crate::entry::{normal, passes_link};
use crate::{ArchiveError, EntryKind, EntryProblem, link_leaves, name_problems};

const BLOCK: usize = 512;
/// Extended headers and long names above this are refused; real ones are a few hundred bytes.
const EXTENSION_BYTES: u64 = 1 << 20;

/// One entry's header, overrides applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TarEntry {
    /// The name as the last override gives it, in bytes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Target of a link.
    pub link: Option<Vec<u8>>,
    /// Bytes of content that are stored.
    pub size: u64,
    /// Where the content starts in the tar stream.
    pub offset: u64,
    /// What is remarkable about it.
    pub problems: Vec<EntryProblem>,
}

/// Walks a tar stream entry by entry.
pub struct Tar<'a, S> {
    stream: S,
    budget: &'a Budget,
    /// Content of the current entry that was not read yet.
    unread: u64,
    padding: u64,
    seen_end: bool,
    entries: u64,
    global: Overrides,
    links: HashSet<Vec<u8>>,
    names: HashSet<Vec<u8>>,
    name_bytes: u64,
    /// Sizes as the plain headers state them, for every kind of entry.
    plain_sizes: bool,
    rest: Option<u64>,
}

#[derive(Clone, Default)]
struct Overrides {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    /// Two extensions give different names.
    clash: bool,
    sparse: bool,
}

impl Overrides {
    fn rename(&mut self, name: &[u8]) {
        self.clash |= self.name.as_deref().is_some_and(|known| known != name);
        self.name = Some(name.to_vec());
    }
}

impl<'a, S: Stream> Tar<'a, S> {
    /// Starts at the stream's position, which has to be that of a header.
    pub fn new(stream: S, budget: &'a Budget) -> Self {
        Self {
            stream,
            budget,
            unread: 0,
            padding: 0,
            seen_end: false,
            entries: 0,
            global: Overrides::default(),
            links: HashSet::new(),
            names: HashSet::new(),
            name_bytes: 0,
            plain_sizes: false,
            rest: None,
        }
    }

    /// The other reading: sizes of pax headers are ignored, and links, folders and devices have the content that their
    /// header states. Worth a walk when an entry shows [`EntryProblem::SizeOverridden`] or
    /// [`EntryProblem::SizeOfNothing`].
    pub fn with_plain_sizes(stream: S, budget: &'a Budget) -> Self {
        Self { plain_sizes: true, ..Self::new(stream, budget) }
    }

    /// Where bytes begin that are no entry and no padding, once [`Tar::next_entry`] has given the last entry or an error.
    pub fn rest(&self) -> Option<u64> {
        self.rest
    }

    /// The next entry, skipping what is left of the current one; `None` at the end of the stream.
    ///
    /// Entries behind the end-of-archive blocks are returned too, marked [`EntryProblem::AfterEnd`].
    ///
    /// # Errors
    /// [`ArchiveError::Not`] when the first block is no header; malformed, truncated or over-limit headers.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, ArchiveError> {
        self.finish_current()?;
        let mut overrides = self.global.clone();
        let mut zero_blocks = 0u32;
        loop {
            let offset = self.stream.position();
            let Some(header) = self.block()? else {
                return if self.entries == 0 && zero_blocks == 0 && self.rest.is_none() {
                    Err(ArchiveError::Not(crate::Container::Tar))
                } else {
                    Ok(None)
                };
            };
            if header.iter().all(|b| *b == 0) {
                zero_blocks += 1;
                self.seen_end |= zero_blocks == 2;
                continue;
            }
            if !sum_holds(&header) {
                if self.entries == 0 {
                    return Err(ArchiveError::Not(crate::Container::Tar));
                }
                self.rest = Some(offset);
                if self.seen_end {
                    return Ok(None);
                }
                return Err(ArchiveError::Malformed { what: "tar header checksum", offset });
            }
            self.budget.members(1)?;
            self.entries += 1;
            let size = number(&header[124..136]).ok_or(ArchiveError::Malformed { what: "tar size field", offset })?;
            match header[156] {
                b'L' => overrides.rename(c_string(&self.extension(size)?)),
                b'K' => overrides.link = Some(c_string(&self.extension(size)?).to_vec()),
                b'x' | b'X' => pax(&self.extension(size)?, &mut overrides, offset)?,
                b'g' => {
                    let body = self.extension(size)?;
                    pax(&body, &mut self.global, offset)?;
                    pax(&body, &mut overrides, offset)?;
                }
                flag => return self.entry(&header, flag, size, overrides).map(Some),
            }
        }
    }

    /// Content of the current entry, to be read once.
    pub fn data(&mut self) -> TarData<'_, S> {
        TarData { stream: &mut self.stream, unread: &mut self.unread, position: 0 }
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        flag: u8,
        header_size: u64,
        overrides: Overrides,
    ) -> Result<TarEntry, ArchiveError> {
        let header_name = header_name(header);
        let kind = match kind(flag, &header_name) {
            EntryKind::File if overrides.sparse => EntryKind::Sparse,
            kind => kind,
        };
        if flag == b'S' && header[482] != 0 {
            self.skip_sparse_maps()?;
        }
        // Links and devices carry no content, whatever their size field says (POSIX: "size shall be ignored").
        let nothing = matches!(
            kind,
            EntryKind::HardLink | EntryKind::SymbolicLink | EntryKind::Device | EntryKind::Fifo | EntryKind::Folder
        );
        let stored = match overrides.size {
            _ if self.plain_sizes => header_size,
            _ if nothing => 0,
            size => size.unwrap_or(header_size),
        };
        let header_link = c_string(&header[157..257]).to_vec();
        let link = overrides.link.unwrap_or(header_link);
        let name = overrides.name.clone().unwrap_or_else(|| header_name.clone());

        let mut problems: Vec<_> = name_problems(&name).into_iter().map(EntryProblem::Name).collect();
        // Long names are cut in the header; only a header name that is not a beginning of the real one misleads.
        let misleads = overrides.name.is_some() && !header_name.is_empty() && !is_shortened(&header_name, &name);
        if misleads || overrides.clash {
            problems.push(EntryProblem::NameOverridden);
        }
        // Sizes above 8 GiB are written as 0 (or saturated) in the header by pax writers.
        if overrides.size.is_some_and(|size| size != header_size && size < 1 << 33) {
            problems.push(EntryProblem::SizeOverridden);
        }
        // A folder's size is how much may be put into it.
        if nothing && kind != EntryKind::Folder && overrides.size.unwrap_or(header_size) > 0 {
            problems.push(EntryProblem::SizeOfNothing);
        }
        if self.seen_end {
            problems.push(EntryProblem::AfterEnd);
        }
        let is_link = matches!(kind, EntryKind::HardLink | EntryKind::SymbolicLink);
        if is_link && link_leaves(&name, &link, kind) {
            problems.push(EntryProblem::LinkLeaves);
        }
        let clean = normal(&name);
        if passes_link(&self.links, &clean) || (is_link && self.climbs_from_link(&clean, &link, kind)) {
            problems.push(EntryProblem::ThroughLink);
        }
        self.name_bytes += 2 * clean.len() as u64 + 64;
        self.budget.limits().check(Limit::HeaderBytes, self.name_bytes)?;
        if kind == EntryKind::SymbolicLink {
            self.links.insert(clean.clone());
        }
        if !self.names.insert(clean) && kind != EntryKind::Folder {
            problems.push(EntryProblem::Duplicate);
        }
        self.unread = stored;
        self.padding = (BLOCK as u64 - stored % BLOCK as u64) % BLOCK as u64;
        let offset = self.stream.position();
        Ok(TarEntry { name, kind, link: is_link.then_some(link), size: stored, offset, problems })
    }

    /// A hard link to what lies behind a symbolic link, or a symbolic link that climbs from where one leads.
    fn climbs_from_link(&self, name: &[u8], target: &[u8], kind: EntryKind) -> bool {
        if self.links.is_empty() {
            return false;
        }
        if kind == EntryKind::HardLink {
            let target = normal(target);
            return self.links.contains(&target) || passes_link(&self.links, &target);
        }
        let folder = name.iter().rposition(|b| *b == b'/').map_or(&[][..], |slash| &name[..slash]);
        let path = normal(&[folder, b"/", target].concat());
        let climb = memchr::memmem::find(&path, b"/..");
        climb.is_some_and(|at| self.links.contains(&path[..at]) || passes_link(&self.links, &path[..at]))
    }

    fn finish_current(&mut self) -> Result<(), ArchiveError> {
        let left = std::mem::take(&mut self.unread);
        if left > 0 && self.stream.skip(left)? < left {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        // A missing padding of the last entry harms nobody.
        self.stream.skip(std::mem::take(&mut self.padding))?;
        Ok(())
    }

    /// The next block; `None` at a clean end, an error in the middle of a block.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.stream.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) if self.seen_end && block[..filled].iter().all(|b| *b == 0) => return Ok(None),
                Ok(0) if self.entries == 0 => return Err(ArchiveError::Not(crate::Container::Tar)),
                Ok(0) if self.seen_end => {
                    self.rest = Some(self.stream.position() - filled as u64);
                    return Ok(None);
                }
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION_BYTES {
            return Err(LimitHit { limit: Limit::HeaderBytes, allowed: EXTENSION_BYTES }.into());
        }
        let mut body = Vec::new();
        self.stream.by_ref().take(size).read_to_end(&mut body)?;
        if (body.len() as u64) < size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.stream.skip((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64)?;
        Ok(body)
    }

    /// Old GNU sparse headers continue in blocks whose byte 504 says whether another follows.
    fn skip_sparse_maps(&mut self) -> Result<(), ArchiveError> {
        loop {
            self.budget.steps(1)?;
            match self.block()? {
                Some(map) if map[504] != 0 => {}
                Some(_) => return Ok(()),
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            }
        }
    }
}

/// Content of one tar entry.
pub struct TarData<'t, S> {
    stream: &'t mut S,
    unread: &'t mut u64,
    position: u64,
}

impl<S: Stream> Read for TarData<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(*self.unread).unwrap_or(usize::MAX).min(out.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.stream.read(&mut out[..wanted])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *self.unread -= n as u64;
        self.position += n as u64;
        Ok(n)
    }
}

impl<S: Stream> Stream for TarData<'_, S> {
    fn position(&self) -> u64 {
        self.position
    }

    fn skip(&mut self, n: u64) -> io::Result<u64> {
        let skipped = self.stream.skip(n.min(*self.unread))?;
        *self.unread -= skipped;
        self.position += skipped;
        Ok(skipped)
    }
}

/// Sum of all header bytes, the checksum field counted as spaces; old writers summed signed bytes.
pub(crate) fn checksum_holds(header: &[u8; BLOCK]) -> bool {
    // Zeros with a matching checksum are what an empty name gives, which begins no archive.
    header[0] != 0 && sum_holds(header)
}

fn sum_holds(header: &[u8; BLOCK]) -> bool {
    let Some(stated) = number(&header[148..156]) else { return false };
    let (mut unsigned, mut signed) = (0u64, 0i64);
    for (i, byte) in header.iter().enumerate() {
        let byte = if (148..156).contains(&i) { b' ' } else { *byte };
        unsigned += u64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    stated == unsigned || i64::try_from(stated) == Ok(signed)
}

/// Octal digits between spaces and NULs, or GNU base-256 when the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // A set second bit is a negative number.
        let start = u64::from(first & 0x7f);
        return rest.iter().try_fold(start, |sum, b| sum.checked_mul(256)?.checked_add(u64::from(*b)));
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|b| matches!(b, b' ' | 0)).unwrap_or(text.len());
    text[..end].iter().try_fold(0u64, |sum, b| match b {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

fn c_string(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

fn header_name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = c_string(&header[..100]);
    let prefix = c_string(&header[345..500]);
    // The prefix field exists only in POSIX headers; GNU keeps times there.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

fn kind(flag: u8, name: &[u8]) -> EntryKind {
    match flag {
        // v7 marks folders by the trailing slash only.
        0 if name.ends_with(b"/") => EntryKind::Folder,
        0 | b'0' | b'7' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::SymbolicLink,
        b'3' | b'4' => EntryKind::Device,
        b'5' => EntryKind::Folder,
        b'6' => EntryKind::Fifo,
        b'S' => EntryKind::Sparse,
        other => EntryKind::Other(other),
    }
}

/// Records `"<length> <key>=<value>\n"`, POSIX.1-2001 section 4.
fn pax(mut body: &[u8], overrides: &mut Overrides, offset: u64) -> Result<(), ArchiveError> {
    let malformed = || ArchiveError::Malformed { what: "pax header", offset };
    while body.first().is_some_and(|b| *b != 0) {
        let space = memchr::memchr(b' ', body).ok_or_else(malformed)?;
        let length = decimal(&body[..space]).ok_or_else(malformed)?;
        let length = usize::try_from(length).ok().filter(|n| *n > space + 1 && *n <= body.len());
        let (record, rest) = body.split_at(length.ok_or_else(malformed)?);
        let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = memchr::memchr(b'=', record).ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => overrides.rename(value),
            b"GNU.sparse.name" => overrides.name = Some(value.to_vec()),
            b"linkpath" => overrides.link = Some(value.to_vec()),
            b"size" => overrides.size = Some(decimal(value).ok_or_else(malformed)?),
            key => overrides.sparse |= key.starts_with(b"GNU.sparse."),
        }
        body = rest;
    }
    Ok(())
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Writers put a cut or transliterated form of a long name into the header.
fn is_shortened(header: &[u8], name: &[u8]) -> bool {
    name == header || name.len() > 100 || !name.is_ascii()
}

#[cfg(test)]
mod tests;
