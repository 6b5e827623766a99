//! What the readings of one zip disagree about.

use serde::{Deserialize, Serialize};

use crate::NameProblem;

/// One disagreement, about the archive or about a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Index into [`super::Zip::members`]; absent when it concerns the archive as a whole.
    pub member: Option<usize>,
    /// What disagrees.
    #[serde(flatten)]
    pub kind: ConflictKind,
}

/// What two readings of a zip disagree about, or what a reader may trip over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "conflict")]
pub enum ConflictKind {
    /// The directory and the local header name the member differently.
    NameDiffers {
        /// The local name, printable.
        local: String,
    },
    /// An Info-ZIP Unicode Path field names the member differently.
    UnicodeNameDiffers {
        /// The name in that field, printable.
        unicode: String,
        /// The header's name is the same but for characters that its encoding lacks.
        escaped: bool,
    },
    /// Different compression methods.
    MethodDiffers {
        /// According to the directory.
        central: u16,
        /// According to the local header.
        local: u16,
    },
    /// Different flags, apart from the data-descriptor and UTF-8 bits that writers treat loosely.
    FlagsDiffer {
        /// According to the directory.
        central: u16,
        /// According to the local header.
        local: u16,
    },
    /// Flags that make strict readers refuse (encryption, patched data, masked headers) and lenient ones not.
    FlagsUnusual {
        /// Both headers' flags together.
        flags: u16,
    },
    /// Different uncompressed or compressed sizes.
    SizeDiffers {
        /// Compressed bytes according to the directory.
        central: u64,
        /// Compressed bytes according to the local header.
        local: u64,
    },
    /// Different checksums.
    CrcDiffers {
        /// According to the directory.
        central: u32,
        /// According to the local header.
        local: u32,
    },
    /// No data descriptor with the directory's values follows the content.
    DescriptorDiffers,
    /// Stored, yet compressed and uncompressed size differ.
    StoredSizeDiffers,
    /// The directory lists it, and there is no local header at its offset.
    OnlyCentral,
    /// There is a local header that the directory does not list.
    OnlyLocal,
    /// An earlier member has the same name.
    DuplicateName,
    /// An earlier member's name differs in case only.
    CaseDuplicate,
    /// An earlier member's name is another spelling of the same path (separators, NUL, dots, a trailing slash).
    AliasDuplicate,
    /// The member's bytes overlap another member's or the directory.
    Overlap,
    /// The content leaves the file.
    PastEnd,
    /// A folder by its trailing slash, and it has content.
    FolderWithContent,
    /// The name misleads readers or leaves the folder.
    Name {
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// The member is a symbolic link (Unix mode).
    SymbolicLink,
    /// The name passes through a symbolic link of this archive.
    ThroughLink,
    /// The member is a device (Unix mode).
    Device,
    /// An extra field that readers act on (zip64 sizes, Unicode path) occurs twice with different content.
    ExtraRepeated {
        /// Its header id.
        id: u16,
    },
    /// Bytes stand before the first record.
    Prepended {
        /// How many.
        bytes: u64,
    },
    /// Bytes stand behind the end record and its comment.
    Appended {
        /// How many.
        bytes: u64,
    },
    /// Bytes between records that belong to none.
    Unaccounted {
        /// Where they start.
        offset: u64,
        /// How many.
        bytes: u64,
        /// All of the first 64 KiB are zero.
        zeros: bool,
    },
    /// No end record: the directory is missing or cut off.
    NoEndRecord,
    /// Another end record that belongs to no member's content.
    SecondEndRecord {
        /// Where it stands.
        offset: u64,
    },
    /// The end record's number of entries is not the directory's.
    EntryCount {
        /// In the end record.
        stated: u64,
        /// In the directory.
        found: u64,
    },
    /// The end record's directory size is not the directory's.
    DirectorySize {
        /// In the end record.
        stated: u64,
        /// From the first to behind the last directory header.
        found: u64,
    },
    /// The directory is not where the end record says.
    DirectoryOffset {
        /// In the end record.
        stated: u64,
        /// By counting back from the end record.
        counted: u64,
    },
    /// No directory at either place.
    NoDirectory,
    /// The zip64 records contradict the plain ones.
    Zip64Disagrees,
    /// Disk numbers of a split archive.
    SplitArchive,
}
