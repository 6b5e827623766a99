//! Digests of a dataset that does not lie in a folder, so that it can be a subject like one that does.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::location::{Location, OpenError, OpenOptions, open, sources};
use super::{Scan, Table};

/// One file, or table of a database, by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its address.
    pub path: String,
    /// Hex SHA-256 of its bytes; of a table: of its rows as they are read.
    pub sha256: String,
    /// Bytes; of a table: of its rows as an Arrow stream.
    pub size: u64,
    /// The server's tag of the version that was read, where it gives one.
    pub version: Option<String>,
}

/// Reads everything at a location once and says what it is by digest.
///
/// # Errors
/// [`OpenError`], naming what could not be read.
pub fn digests(location: &Location, options: &OpenOptions) -> Result<Vec<FileDigest>, OpenError> {
    let files = sources(location, options)?;
    let mut out = Vec::with_capacity(files.len());
    for source in &files {
        let unreadable = |(_, what)| OpenError::Unreadable { path: source.path.clone(), what };
        let sha256 = hex::encode(source.sha256().map_err(unreadable)?);
        out.push(FileDigest { path: source.path.clone(), sha256, size: source.size(), version: source.version() });
    }
    if files.is_empty() {
        let table = open(location, options)?;
        out.push(rows(&table)?);
    }
    Ok(out)
}

/// The rows of a table in the order in which they are read.
pub(crate) fn rows(table: &Arc<Table>) -> Result<FileDigest, OpenError> {
    let path = table.files.first().map_or_else(String::new, |file| file.path.clone());
    let unreadable = |what: String| OpenError::Unreadable { path: path.clone(), what };
    let pass = Scan::new(Arc::clone(table), (0..table.columns.len()).collect());
    let mut hash = Hasher { hash: Sha256::new(), size: 0 };
    let mut failed = None;
    {
        let mut writer = StreamWriter::try_new(&mut hash, pass.schema()).map_err(|e| unreadable(e.to_string()))?;
        pass.for_each(&mut |batch| {
            if let Err(error) = writer.write(&batch) {
                failed.get_or_insert(error.to_string());
            }
        });
        writer.finish().map_err(|e| unreadable(e.to_string()))?;
    }
    let (_, problems) = pass.finish();
    if let Some(what) = failed.or_else(|| problems.into_iter().next().map(|problem| problem.what)) {
        return Err(unreadable(what));
    }
    Ok(FileDigest { path, sha256: hex::encode(hash.hash.finalize()), size: hash.size, version: None })
}

struct Hasher {
    hash: Sha256,
    size: u64,
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
