//! Which container some bytes begin, by their magic numbers and checksums.

use serde::{Deserialize, Serialize};

use crate::{lz4, zstd};

/// How many first bytes [`sniff`] wants to see: up to the first volume descriptor of an ISO image.
pub const SNIFF_BYTES: usize = ISO_AT + 6;
/// Sixteen sectors, then a byte that says which kind of descriptor it is.
const ISO_AT: usize = 16 * 2048 + 1;

/// A container or compressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// PKWARE zip, also as PyTorch, npz and Keras use it.
    Zip,
    /// POSIX, GNU or old tar.
    Tar,
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// bzip2.
    Bzip2,
    /// The xz container of LZMA2.
    Xz,
    /// The older `.lzma` ("alone") form.
    Lzma,
    /// RFC 8878.
    Zstd,
    /// LZ4 frame.
    Lz4,
    /// 7z.
    SevenZip,
    /// RAR 1.5 to 5; recognised only, as everything below.
    Rar,
    /// Microsoft cabinet.
    Cab,
    /// Unix `ar`, as in static libraries and Debian packages.
    Ar,
    /// cpio, text or binary.
    Cpio,
    /// ISO 9660 image.
    Iso,
    /// Apple disk image.
    Dmg,
    /// ARJ.
    Arj,
    /// LHA.
    Lzh,
    /// Unix `compress`.
    Compress,
    /// SquashFS image.
    Squashfs,
    /// RPM package.
    Rpm,
    /// Apple xar, as in installer packages.
    Xar,
    /// Windows imaging format.
    Wim,
}

impl Container {
    /// True for a compressed stream that [`crate::decoder`] reads.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Gzip | Self::Zlib | Self::Bzip2 | Self::Xz | Self::Lzma | Self::Lz4 | Self::Zstd)
    }
}

impl std::fmt::Display for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::SevenZip => "7z",
            Self::Rar => "rar",
            Self::Cab => "cab",
            Self::Ar => "ar",
            Self::Cpio => "cpio",
            Self::Iso => "ISO image",
            Self::Dmg => "Apple disk image",
            Self::Arj => "arj",
            Self::Lzh => "lha",
            Self::Compress => "compress",
            Self::Squashfs => "squashfs",
            Self::Rpm => "rpm",
            Self::Xar => "xar",
            Self::Wim => "wim",
        })
    }
}

/// Names the container that `prefix` (up to [`SNIFF_BYTES`] first bytes) begins.
///
/// A zip may also hide behind other bytes; only [`crate::Zip::read`] finds that.
#[must_use]
pub fn sniff(prefix: &[u8]) -> Option<Container> {
    let starts = |magic: &[u8]| prefix.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        Some(Container::Zip)
    } else if starts(b"\x1f\x8b\x08") {
        Some(Container::Gzip)
    } else if starts(b"BZh") && prefix.get(3).is_some_and(|level| (b'1'..=b'9').contains(level)) {
        Some(Container::Bzip2)
    } else if starts(b"\xfd7zXZ\0") {
        Some(Container::Xz)
    } else if starts(&zstd::MAGIC) {
        Some(Container::Zstd)
    } else if starts(&lz4::MAGIC) || starts(&lz4::LEGACY_MAGIC) {
        Some(Container::Lz4)
    } else if lz4::is_skippable(prefix) {
        Some(behind_skippable(prefix))
    } else if starts(b"7z\xbc\xaf\x27\x1c") {
        Some(Container::SevenZip)
    } else if let Some(recognised) = recognised(prefix) {
        Some(recognised)
    } else if is_tar(prefix) {
        Some(Container::Tar)
    } else if is_lzma_alone(prefix) {
        Some(Container::Lzma)
    } else if is_zlib(prefix) {
        Some(Container::Zlib)
    } else {
        None
    }
}

/// Containers without a reader.
fn recognised(prefix: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| prefix.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let magic: [(usize, &[u8], Container); 15] = [
        (0, b"Rar!\x1a\x07", Container::Rar),
        (0, b"RE~^", Container::Rar),
        (0, b"MSCF\0\0\0\0", Container::Cab),
        (0, b"!<arch>\n", Container::Ar),
        (0, b"!<thin>\n", Container::Ar),
        (0, b"070701", Container::Cpio),
        (0, b"070702", Container::Cpio),
        (0, b"070707", Container::Cpio),
        (0, b"hsqs", Container::Squashfs),
        (0, b"sqsh", Container::Squashfs),
        (0, b"\xed\xab\xee\xdb", Container::Rpm),
        (0, b"xar!", Container::Xar),
        (0, b"MSWIM\0\0\0", Container::Wim),
        (ISO_AT, b"CD001", Container::Iso),
        (ISO_AT, b"BEA01", Container::Iso),
    ];
    if let Some((.., container)) = magic.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return Some(*container);
    }
    match prefix {
        // Flags: between 9 and 16 bits, and two that are reserved.
        [0x1f, 0x9d, flags, ..] if flags & 0x60 == 0 && (9..=16).contains(&(flags & 0x1f)) => Some(Container::Compress),
        [_, _, b'-', b'l', b'h' | b'z', method, b'-', ..] if method.is_ascii_alphanumeric() => Some(Container::Lzh),
        // The header is between 30 and 2600 bytes long.
        [0x60, 0xea, low, high, ..] if (30..=2600).contains(&u16::from_le_bytes([*low, *high])) => Some(Container::Arj),
        _ => is_binary_cpio(prefix).then_some(Container::Cpio),
    }
}

/// A magic of two bytes is a weak sign, so type bits of the mode and the name's length have to fit.
fn is_binary_cpio(prefix: &[u8]) -> bool {
    let Some(header) = prefix.first_chunk::<26>() else { return false };
    let little = header.starts_with(b"\xc7\x71");
    if !little && !header.starts_with(b"\x71\xc7") {
        return false;
    }
    let half = |at: usize| {
        let raw = [header[at], header[at + 1]];
        if little { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) }
    };
    matches!(half(6) >> 12, 1 | 2 | 4 | 6 | 8 | 10 | 12) && (2..=4096).contains(&half(20))
}

/// lz4 and zstd share their skippable frames: what follows the first ones tells.
fn behind_skippable(prefix: &[u8]) -> Container {
    let mut rest = prefix;
    while lz4::is_skippable(rest) {
        let Some(len) = rest.get(4..8).and_then(|raw| raw.first_chunk::<4>()) else { break };
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let Some(behind) = rest.get(8..).and_then(|rest| rest.get(len..)) else { break };
        rest = behind;
    }
    if rest.starts_with(&lz4::MAGIC) || rest.starts_with(&lz4::LEGACY_MAGIC) { Container::Lz4 } else { Container::Zstd }
}

fn is_tar(prefix: &[u8]) -> bool {
    prefix.first_chunk::<512>().is_some_and(crate::tar::checksum_holds)
}

/// 32 KiB window (what every common writer uses), no preset dictionary, header checksum.
fn is_zlib(prefix: &[u8]) -> bool {
    matches!(prefix, [0x78, flags, _, ..] if flags & 0x20 == 0 && (0x7800 + u16::from(*flags)).is_multiple_of(31))
}

/// Default properties, a dictionary of 2^n or 3·2^n bytes, and a plausible or absent length, as `file` demands.
fn is_lzma_alone(prefix: &[u8]) -> bool {
    let Some(header) = prefix.first_chunk::<13>() else { return false };
    let dictionary = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    let mut size = [0; 8];
    size.copy_from_slice(&header[5..]);
    let size = u64::from_le_bytes(size);
    header[0] == 0x5d
        && (dictionary.is_power_of_two() || (dictionary.is_multiple_of(3) && (dictionary / 3).is_power_of_two()))
        && dictionary >= 4096
        && (size == u64::MAX || size < 1 << 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_numbers_are_known() {
        assert_eq!(sniff(b"PK\x03\x04rest"), Some(Container::Zip));
        assert_eq!(sniff(b"\x78\x9c\x00"), Some(Container::Zlib));
        assert_eq!(sniff(b"BZh9"), Some(Container::Bzip2));
        assert_eq!(sniff(b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff"), Some(Container::Lzma));
        assert_eq!(sniff(b"Rar!\x1a\x07\0"), Some(Container::Rar));
    }

    #[test]
    fn containers_without_a_reader_are_recognised() {
        let mut iso = vec![0; SNIFF_BYTES];
        iso[ISO_AT..ISO_AT + 5].copy_from_slice(b"CD001");
        let cases: [(&[u8], Container); 10] = [
            (b"Rar!\x1a\x07\x01\0", Container::Rar),
            (b"MSCF\0\0\0\0", Container::Cab),
            (b"!<arch>\ndebian-binary", Container::Ar),
            (b"070701004A", Container::Cpio),
            (b"\x1f\x9d\x90", Container::Compress),
            (b"\x22\x10-lh5-", Container::Lzh),
            (b"\x60\xea\x29\0\x1e", Container::Arj),
            (b"hsqs", Container::Squashfs),
            (b"\x50\x2a\x4d\x18\x01\0\0\0x\x04\x22\x4d\x18", Container::Lz4),
            (&iso, Container::Iso),
        ];
        for (bytes, container) in cases {
            assert_eq!(sniff(bytes), Some(container), "{container}");
        }
    }

    #[test]
    fn text_and_zeros_are_nothing() {
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(b"x\x9c"), None);
        assert_eq!(sniff(b"hello world"), None);
        assert_eq!(sniff(&[0; 512]), None);
        assert_eq!(sniff(b"BZh"), None);
        assert_eq!(sniff(b"\x60\xea\0\0"), None);
        assert_eq!(sniff(b"\x1f\x9d\xff"), None);
        assert_eq!(sniff(&[b"\xc7\x71".as_slice(), &[0; 30]].concat()), None);
    }
}
