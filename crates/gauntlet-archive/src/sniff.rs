//! Which container some bytes begin, by their magic numbers and checksums.

use serde::{Deserialize, Serialize};

/// How many first bytes [`sniff`] wants to see: one tar header.
pub const SNIFF_BYTES: usize = 512;

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
    /// RFC 8878; recognised only.
    Zstd,
    /// LZ4 frame.
    Lz4,
    /// 7z; recognised only.
    SevenZip,
    /// RAR; recognised only.
    Rar,
}

impl Container {
    /// True for a compressed stream that [`crate::decoder`] reads.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, 
            Self::Gzip | Self::Zlib | Self::Bzip2 | Self::Xz | Self::Lzma | Self::Lz4 | Self::Zstd
        )
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
    } else if starts(b"\x28\xb5\x2f\xfd") {
        Some(Container::Zstd)
    } else if starts(b"\x04\x22\x4d\x18") {
        Some(Container::Lz4)
    } else if starts(b"7z\xbc\xaf\x27\x1c") {
        Some(Container::SevenZip)
    } else if starts(b"Rar!\x1a\x07") {
        Some(Container::Rar)
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
    fn text_and_zeros_are_nothing() {
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(b"x\x9c"), None);
        assert_eq!(sniff(b"hello world"), None);
        assert_eq!(sniff(&[0; 512]), None);
        assert_eq!(sniff(b"BZh"), None);
    }
}
