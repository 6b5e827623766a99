//! A table on its way to other processes: where its files lie, what their columns and pieces are. Over there a file is
//! opened when its first piece is read, and only as the file that it is here.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use gauntlet_core::{Limits, SkipCode, Tree, TreeOptions};
use gauntlet_limits::ReadAt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::format::{self, Reader, Stop, Wanted};
use super::provider::Sink;
use super::source::{Origin, Refusal, Source, io_problem};
use super::{Column, DataFile, Identities, Table, difference, remote};

/// Raised whenever its form changes.
const VERSION: u32 = 1;
/// Bytes at either end of a file by which it is recognised on another machine.
const ENDS: usize = 64 << 10;
/// Most pieces of one file.
const MAX_PIECES: usize = 1 << 24;

/// A table as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DistantTable {
    version: u32,
    /// Names and types: an Arrow IPC stream without batches, in hexadecimal, three fields a column.
    schema: String,
    /// Whether each column comes from text without types.
    text: Vec<bool>,
    /// How many columns come from folders.
    partitions: usize,
    files: Vec<DistantFile>,
    limits: Limits,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DistantFile {
    /// For people.
    path: String,
    place: Place,
    /// Bytes.
    size: u64,
    /// The server's tag, or SHA-256 of both ends of the file.
    mark: String,
    /// Its values in the columns that come from folders.
    folders: Vec<(String, Option<String>)>,
    pieces: usize,
    open_ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Place {
    /// Absolute path.
    File(String),
    /// Address of an object.
    Object(String),
}

/// Why a table cannot be read elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DistantError {
    #[error("{0} is a table of a database, which no worker reads")]
    Database(String),
    #[error("{0} lies in the memory of the command")]
    Memory(String),
    #[error("the name of {0} is no Unicode text")]
    Name(String),
    #[error("{path}: {what}")]
    Unreadable { path: String, what: String },
    #[error("what travels between the nodes cannot be read: {0}")]
    Form(String),
}

impl DistantTable {
    /// The table as other processes can open it.
    pub(crate) fn of(table: &Table) -> Result<Self, DistantError> {
        let files = table.files.iter().map(file).collect::<Result<Vec<_>, _>>()?;
        let limits = table.files.iter().find_map(|file| file.source.as_ref()).map(|source| source.limits.clone());
        Ok(Self {
            version: VERSION,
            schema: schema_text(&table.columns)?,
            text: table.columns.iter().map(|column| column.text_file).collect(),
            partitions: table.partitions,
            files,
            limits: limits.unwrap_or_default(),
        })
    }

    /// The table with files that are opened when they are read.
    pub(crate) fn open(&self) -> Result<Table, DistantError> {
        let form = |what: &str| DistantError::Form(what.to_owned());
        if self.version != VERSION {
            return Err(form("another version"));
        }
        let columns = columns(&self.schema, &self.text)?;
        if self.partitions > columns.len() {
            return Err(form("more folders than columns"));
        }
        let own: Arc<[Column]> = columns.get(..columns.len() - self.partitions).unwrap_or_default().into();
        let mut files = Vec::with_capacity(self.files.len());
        for file in &self.files {
            if file.pieces > MAX_PIECES || file.folders.len() != self.partitions {
                return Err(form("a file that does not fit its table"));
            }
            let reader = Lazy {
                file: file.clone(),
                limits: self.limits.clone(),
                columns: Arc::clone(&own),
                opened: OnceLock::new(),
            };
            files.push(DataFile {
                source: None,
                path: file.path.clone(),
                reader: Arc::new(reader),
                partitions: file.folders.iter().map(|(_, value)| value.clone()).collect(),
                open_ended: file.open_ended,
            });
        }
        Ok(Table { files, columns, partitions: self.partitions })
    }

    /// Files that are not here as they are there, with what is wrong with each.
    pub(crate) fn missing(&self) -> Vec<(String, String)> {
        let wrong = |file: &DistantFile| file.find(&self.limits).err().map(|(_, what)| (file.path.clone(), what));
        self.files.iter().filter_map(wrong).collect()
    }
}

fn file(data: &DataFile) -> Result<DistantFile, DistantError> {
    let path = data.path.clone();
    let source = data.source.as_ref().ok_or_else(|| DistantError::Database(path.clone()))?;
    let unreadable = |what: String| DistantError::Unreadable { path: path.clone(), what };
    let text = |p: &Path| p.to_str().map(str::to_owned).ok_or_else(|| DistantError::Name(path.clone()));
    let (place, mark) = match &source.origin {
        Origin::Local { root, file } => {
            let whole = std::path::absolute(root.join(&file.path)).map_err(|error| unreadable(error.to_string()))?;
            (Place::File(text(&whole)?), ends(source).map_err(|(_, what)| unreadable(what))?)
        }
        Origin::Object(object) => (Place::Object(object.address()), object.version().unwrap_or_default()),
        Origin::Memory(_) => return Err(DistantError::Memory(path)),
    };
    Ok(DistantFile {
        place,
        size: source.size(),
        mark,
        folders: source.partitions.clone(),
        pieces: data.reader.pieces(),
        open_ended: data.open_ended,
        path,
    })
}

impl DistantFile {
    /// The file as this process sees it.
    fn find(&self, limits: &Limits) -> Result<Source, Refusal> {
        let source = match &self.place {
            Place::File(path) => {
                let tree = Tree::read(Path::new(path), &TreeOptions::default(), limits)
                    .map_err(|error| (SkipCode::Unreadable, error.to_string()))?;
                let walked = tree.files.first().filter(|_| tree.single_file);
                let walked = walked.ok_or_else(|| (SkipCode::Unreadable, "is no file that is read".to_owned()))?;
                Source::local(&tree.root, walked, limits)
            }
            Place::Object(text) => {
                let refused = |what: String| (SkipCode::Unreadable, what);
                let address =
                    text.parse().map_err(|error: gauntlet_remote::AddressError| refused(error.to_string()))?;
                let found = remote::list(&address, limits).map_err(|error| refused(error.to_string()))?;
                let object = found.into_iter().find(|object| object.address() == *text);
                Source::object(object.ok_or_else(|| refused("is not there".to_owned()))?, limits)
            }
        };
        let changed = |what: String| (SkipCode::Changed, what);
        if source.size() != self.size {
            return Err(changed(format!("is another file here: {} bytes, not {}", source.size(), self.size)));
        }
        let mark = match &self.place {
            Place::File(_) => ends(&source)?,
            Place::Object(_) => source.version().unwrap_or_default(),
        };
        if mark != self.mark {
            return Err(changed("is another file here, of the same size".to_owned()));
        }
        let identities = Identities::given().map_err(|error| (SkipCode::Encrypted, error.to_string()))?;
        let source = source.with_identities(identities).with_partitions(self.folders.clone());
        Ok(source.shown_as(self.path.clone()))
    }
}

/// SHA-256 of both ends of the stored bytes, in hexadecimal.
fn ends(source: &Source) -> Result<String, Refusal> {
    let stored = source.open_stored()?;
    let mut hash = Sha256::new();
    let last = source.size().saturating_sub(ENDS as u64);
    for start in [0, last] {
        let (mut buffer, mut filled) = (vec![0; ENDS], 0);
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match stored.read_at(start.saturating_add(filled as u64), rest).map_err(|error| io_problem(&error))? {
                0 => break,
                n => filled += n,
            }
        }
        hash.update(buffer.get(..filled).unwrap_or_default());
    }
    Ok(hex::encode(hash.finalize()))
}

/// Opens its file at the first piece.
#[derive(Debug)]
struct Lazy {
    file: DistantFile,
    limits: Limits,
    columns: Arc<[Column]>,
    opened: OnceLock<Result<Arc<dyn Reader>, Refusal>>,
}

impl Lazy {
    fn open(&self) -> Result<Arc<dyn Reader>, Refusal> {
        let source = self.file.find(&self.limits)?;
        let opened = format::open(&source)?;
        if opened.reader.pieces() != self.file.pieces {
            return Err((SkipCode::Changed, "is another file here: it has other row groups".to_owned()));
        }
        match difference(&self.columns, &opened.columns).filter(|_| !self.file.open_ended) {
            Some(what) => Err((SkipCode::Changed, format!("is another file here: it {what} than there"))),
            None => Ok(opened.reader),
        }
    }
}

impl Reader for Lazy {
    fn pieces(&self) -> usize {
        self.file.pieces
    }

    fn read(&self, piece: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        match self.opened.get_or_init(|| self.open()) {
            Ok(reader) => reader.read(piece, wanted, sink),
            Err(refusal) => Err(refusal.clone().into()),
        }
    }
}

/// Stored, scanned and typed form of each column as one schema.
fn schema_text(columns: &[Column]) -> Result<String, DistantError> {
    let mut fields = Vec::with_capacity(columns.len() * 3);
    for column in columns {
        // A column that the contract does not type has the type of the scan a second time, and is no nullable one.
        let typed = column.typed.as_ref().unwrap_or(&column.scanned).clone();
        fields.push(Field::new(&column.name, column.stored.clone(), true));
        fields.push(Field::new("", column.scanned.clone(), true));
        fields.push(Field::new("", typed, column.typed.is_some()));
    }
    let mut bytes = Vec::new();
    let form = |error: arrow::error::ArrowError| DistantError::Form(error.to_string());
    StreamWriter::try_new(&mut bytes, &Schema::new(fields)).and_then(|mut out| out.finish()).map_err(form)?;
    Ok(hex::encode(bytes))
}

fn columns(text: &str, text_file: &[bool]) -> Result<Vec<Column>, DistantError> {
    let form = |what: String| DistantError::Form(what);
    let bytes = hex::decode(text).map_err(|error| form(error.to_string()))?;
    // Panics of a parser are its way to say that bytes are damaged.
    let schema = std::panic::catch_unwind(|| StreamReader::try_new(bytes.as_slice(), None).map(|r| r.schema()))
        .map_err(|panic| form(format::panic_text(panic.as_ref())))?
        .map_err(|error| form(error.to_string()))?;
    let fields = schema.fields();
    if fields.len() != text_file.len().saturating_mul(3) {
        return Err(form("columns are missing".to_owned()));
    }
    let column = |(three, text_file): (&[Arc<Field>], &bool)| match three {
        [stored, scanned, typed] => Some(Column {
            name: stored.name().clone(),
            stored: stored.data_type().clone(),
            scanned: scanned.data_type().clone(),
            typed: typed.is_nullable().then(|| typed.data_type().clone()),
            text_file: *text_file,
        }),
        _ => None,
    };
    let all: Option<Vec<Column>> = fields.chunks(3).zip(text_file).map(column).collect();
    all.ok_or_else(|| form("columns are missing".to_owned()))
}
