//! The way out: tensors of a PyTorch or NumPy file written anew as safetensors, with nothing executed on the way.
//!
//! [`plan`] says what would be written or why not; [`Plan::write`] writes it and reports a digest for each tensor. A
//! file that holds more than tensors is refused.

mod compare;
mod dtype;
mod layout;
mod names;
mod rebuild;
mod strided;
mod write;

use std::io;
use std::path::Path;

use gauntlet_archive::{ArchiveError, Container, sniff};
use gauntlet_core::{Digest, LimitHit, Limits};
use gauntlet_limits::{Budget, ReadAt};
use serde::Serialize;

pub use compare::{Difference, compare};

use dtype::Dtype;
use strided::View;

/// What to convert and what to leave behind.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take the dict under this top-level key instead of the whole value.
    pub key: Option<String>,
    /// Take dicts inside dicts, too, with names joined by dots.
    pub flatten: bool,
    /// Leave out what is no tensor instead of refusing the file. Code is refused all the same.
    pub drop_other: bool,
}

/// Something in the file and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Name of the value, or of the member of the file; empty for the whole.
    pub path: String,
    /// What it is, in words.
    pub what: String,
}

/// A top-level key of a file that was refused for what stands beside its tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The key.
    pub name: String,
    /// What it holds, in words.
    pub what: String,
    /// How many tensors are in it, when it is a dict.
    pub tensors: u64,
}

/// Why a file was not converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The format it was read as.
    pub format: &'static str,
    /// The reasons, in the order of the file; at most 50.
    pub reasons: Vec<Note>,
    /// Reasons beyond those.
    pub more: u64,
    /// Its top-level keys (at most 100), when choosing one may help.
    pub keys: Vec<Key>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The file holds more than tensors, or contradicts itself.
    #[error("the file holds more than plain tensors")]
    Refused(Box<Refusal>),
    /// Not a file that can be read.
    #[error("cannot convert {0}")]
    Unsupported(String),
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// A budget ran out.
    #[error("{0}")]
    Limit(#[from] LimitHit),
}

impl From<io::Error> for ConvertError {
    fn from(error: io::Error) -> Self {
        LimitHit::in_io(&error).map_or(Self::Io(error), Self::Limit)
    }
}

impl From<ArchiveError> for ConvertError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Io(error) => error.into(),
            ArchiveError::Limit(hit) => hit.into(),
            other => Self::Unsupported(format!("this zip: {other}")),
        }
    }
}

/// What was read and what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The format of the input: `torch-zip`, `torch-legacy`, `npz` or `npy`.
    pub format: &'static str,
    /// The input.
    pub input: FileReport,
    /// The output; also when it went nowhere.
    pub output: FileReport,
    /// Every tensor, in the order of the output.
    pub tensors: Vec<TensorReport>,
    /// Bytes of all tensors.
    pub tensor_bytes: u64,
    /// Names that share one tensor in the input; the output holds a copy for each.
    pub tied: Vec<Vec<String>>,
    /// What the output lacks.
    pub left_out: Vec<Note>,
}

/// Length and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256.
    pub digest: Digest,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorReport {
    /// Name.
    pub name: String,
    /// Element type as safetensors names it.
    pub dtype: &'static str,
    /// Shape.
    pub shape: Vec<u64>,
    /// Bytes.
    pub bytes: u64,
    /// Where its bytes lie in the input: a member of the zip, or the storage's key.
    pub storage: String,
    /// SHA-256 of its elements, row-major and little-endian.
    pub digest: Digest,
}

/// What would be written. Tensor bytes have not been read yet.
pub struct Plan<'a> {
    source: &'a dyn ReadAt,
    format: &'static str,
    /// Whether the output says that it came from PyTorch, as its own library does.
    metadata: bool,
    tensors: Vec<Planned>,
    storages: Vec<Storage<'a>>,
    /// Start, length, CRC-32 and name of members that lie in the file as they are.
    checksums: Vec<(u64, u64, u32, String)>,
    outcome: rebuild::Outcome,
}

/// A tensor whose place is known.
struct Planned {
    name: String,
    dtype: Dtype,
    view: View,
    storage: usize,
    /// Bytes to reverse together; 1 for none.
    swap: usize,
}

struct Storage<'a> {
    name: String,
    bytes: Box<dyn ReadAt + 'a>,
}

impl<'a> Plan<'a> {
    fn new(source: &'a dyn ReadAt, format: &'static str) -> Self {
        Self {
            source,
            format,
            metadata: false,
            tensors: Vec::new(),
            storages: Vec::new(),
            checksums: Vec::new(),
            outcome: rebuild::Outcome::default(),
        }
    }
}

/// Reads what `source` holds. Members that are compressed are unpacked into nameless files in the folder `scratch`.
///
/// # Errors
/// [`ConvertError`]; nothing is written.
pub fn plan<'a>(
    source: &'a dyn ReadAt,
    budget: &'a Budget,
    options: &Options,
    scratch: &Path,
) -> Result<Plan<'a>, ConvertError> {
    let mut head = [0; gauntlet_archive::SNIFF_BYTES];
    let have = usize::try_from(source.size()).unwrap_or(usize::MAX).min(head.len());
    let head = head.get_mut(..have).unwrap_or_default();
    source.read_exact_at(0, head)?;
    let mut plan = match sniff(head) {
        Some(Container::Zip) => layout::zip(source, budget, options, scratch)?,
        Some(other) => return Err(ConvertError::Unsupported(format!("a {other} container"))),
        None if head.starts_with(crate::formats::npy::MAGIC) => layout::npy(source)?,
        None if head.first() == Some(&0x80) => layout::torch_legacy(source, budget, options, scratch)?,
        None if crate::formats::safetensors::looks_like(head, source.size()) => {
            return Err(ConvertError::Unsupported("what is already safetensors".to_owned()));
        }
        None => return Err(ConvertError::Unsupported("a file of this format".to_owned())),
    };
    plan.order(budget)?;
    Ok(plan)
}

/// Plans and writes `bytes` to nowhere: the entry for fuzzing and mutation tests.
///
/// # Errors
/// As [`plan`] and [`Plan::write`].
pub fn exercise(bytes: &[u8], limits: &Limits, options: &Options) -> Result<Report, ConvertError> {
    let budget = Budget::new(limits.clone());
    let bytes = bytes.to_vec();
    plan(&bytes, &budget, options, &std::env::temp_dir())?.write(&mut io::sink())
}
