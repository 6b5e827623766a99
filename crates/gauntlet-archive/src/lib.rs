//! Containers that strangers made: zip read by its directory *and* by its local headers, tar, 7z, compressed streams.
//!
//! Nothing is unpacked to disk and nothing is judged: whatever two readings disagree about is a typed
//! [`Conflict`], and the caller may read the bytes under every reading. rar and some others are recognised only.

#![forbid(unsafe_code)]

mod decode;
mod entry;
mod error;
mod input;
mod lz4;
mod name;
mod sevenz;
mod sniff;
mod tar;
mod zip;
mod zstd;

pub use decode::{Decoder, StreamInfo, decoder};
pub use entry::{EntryKind, EntryProblem, link_leaves};
pub use error::ArchiveError;
pub use name::{NameProblem, lossy_name, name_problems};
pub use sevenz::{SevenZip, SevenZipData, SevenZipEntry};
pub use sniff::{Container, SNIFF_BYTES, sniff};
pub use tar::{Tar, TarData, TarEntry};
pub use zip::{Conflict, ConflictKind, Entry, Header, Member, MemberStream, Method, Reading, Trust, Zip};

use gauntlet_limits::{Budget, Cursor};

/// Reads `bytes` as every supported container and drains what comes out; for fuzzing and mutation tests.
///
/// # Errors
/// The first error of the container that the bytes look like.
pub fn exercise(bytes: &[u8], budget: &Budget) -> Result<(), ArchiveError> {
    let source = bytes.to_vec();
    let zip = Zip::read(&source, budget);
    if let Ok(zip) = &zip {
        for member in zip.members() {
            for reading in member.readings() {
                if let Ok(mut stream) = reading.open(&source, budget, Trust::Lenient) {
                    // A broken member must not keep the others from being read.
                    std::io::copy(&mut stream, &mut std::io::sink()).ok();
                }
            }
        }
    }
    let mut tar = Tar::new(Cursor::new(&source, 0), budget);
    while let Ok(Some(_)) = tar.next_entry() {
        if std::io::copy(&mut tar.data(), &mut std::io::sink()).is_err() {
            break;
        }
    }
    if let Ok(mut archive) = SevenZip::read(&source, budget) {
        archive.visit(|_, data| match data {
            Ok(Some(data)) => std::io::copy(data, &mut std::io::sink()).is_ok(),
            _ => true,
        });
    }
    if let Some(container) = sniff(bytes)
        && container.is_stream()
    {
        std::io::copy(&mut decoder(container, Cursor::new(&source, 0), budget)?, &mut std::io::sink())?;
    }
    zip.map(|_| ())
}
