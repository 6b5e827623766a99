//! What containers of files have in common: kinds of entries, and what is remarkable about them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{NameProblem, name_problems};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A hard link to an earlier entry.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A character or block device.
    Device,
    /// A named pipe.
    Fifo,
    /// A sparse file: the stored bytes are not the file's bytes.
    Sparse,
    /// Any other type flag of tar.
    Other(u8),
}

/// Something about an entry that makes two readers disagree, or that reaches outside the target folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryProblem {
    /// See [`NameProblem`].
    Name(NameProblem),
    /// The link's target is absolute or climbs above the archive's root.
    LinkLeaves,
    /// The name passes through a symbolic link that this archive made.
    ThroughLink,
    /// An extended header replaced the name by another.
    NameOverridden,
    /// An extended header replaced the size by another.
    SizeOverridden,
    /// The same name as an earlier entry.
    Duplicate,
    /// Lies behind the end-of-archive blocks, where most readers stop.
    AfterEnd,
    /// A link, folder or device that states content: some readers pass over it, others take it for the next header.
    SizeOfNothing,
    /// Found only when sizes are read from the plain headers, as readers without pax do.
    OtherReading,
    /// Tells unpackers to delete a file (7z).
    AntiItem,
}

/// `a/./b//c` and `a/b/c` are one file.
pub(crate) fn normal(name: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

/// Whether a link of `kind` called `name` leads out of the folder that the archive is unpacked into.
#[must_use]
pub fn link_leaves(name: &[u8], link: &[u8], kind: EntryKind) -> bool {
    if name_problems(link).iter().any(|p| matches!(p, NameProblem::Absolute | NameProblem::Drive)) {
        return true;
    }
    // A symbolic link's target counts from its own folder, a hard link's from the root.
    let mut depth = match kind {
        EntryKind::SymbolicLink => normal(name).iter().filter(|b| **b == b'/').count(),
        _ => 0,
    };
    for part in link.split(|b| matches!(b, b'/' | b'\\')) {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// Whether a folder of `name`, which is in normal form, is one of `links`.
pub(crate) fn passes_link(links: &HashSet<Vec<u8>>, name: &[u8]) -> bool {
    !links.is_empty() && (0..name.len()).any(|i| name[i] == b'/' && links.contains(&name[..i]))
}
