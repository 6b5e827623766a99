//! Facts as the gates know them, to and from the bytes that are kept.

use gauntlet_core::{Coverage, FactRow, Facts, Gate, Location, Skipped, Subject, canonical};
use gauntlet_facts::{FactFile, FactsError, Header, Limits, Place, Row};
use serde_json::Value;

/// What one file of facts holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What was seen.
    pub facts: Facts,
    /// In what. Files of format 1's first releases (JSON) do not say.
    pub subject: Option<Subject>,
    /// The gate's configuration. JSON files do not say.
    pub config: Option<Value>,
    /// Checks that the facts were gathered for. JSON files do not say.
    pub checks: Option<Vec<String>>,
    /// What nobody could look at: files that could not be opened, folders that could not be entered.
    pub unread: Vec<Skipped>,
}

/// How facts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Parquet, see `gauntlet-facts`.
    Parquet,
    /// Canonical JSON of [`Facts`], which releases before Parquet wrote.
    Json,
}

/// Why facts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The table.
    #[error(transparent)]
    Table(#[from] FactsError),
    /// JSON in it or around it.
    #[error("not facts: {0}")]
    Json(#[from] serde_json::Error),
}

/// The bytes of a file of facts: equal for equal facts. `facts` should be normalised.
///
/// # Errors
/// When the facts cannot be expressed in JSON, or a text is too long for Parquet.
pub fn encode(
    gate: &Gate,
    subject: &Subject,
    config: &Value,
    unread: &[Skipped],
    facts: &Facts,
) -> Result<Vec<u8>, StoredError> {
    let checks: Vec<&str> = gate.checks.iter().map(|check| check.info().id).collect();
    let header = Header {
        extractor: facts.extractor.clone(),
        extractor_version: facts.version,
        subject: text(subject)?,
        config: text(config)?,
        checks: text(&checks)?,
    };
    let mut rows = Vec::with_capacity(facts.rows.len() + facts.coverage.len() + unread.len());
    let skipped = |check: Option<&String>, skipped: &Skipped| Row::Skipped {
        check: check.cloned(),
        path: skipped.path.clone(),
        member: skipped.member.clone(),
        reason: skipped.reason.to_string(),
    };
    for (check, coverage) in &facts.coverage {
        rows.push(Row::Covered { check: check.clone(), looked_at: coverage.looked_at });
        rows.extend(coverage.skipped.iter().map(|s| skipped(Some(check), s)));
    }
    rows.extend(unread.iter().map(|s| skipped(None, s)));
    for row in &facts.rows {
        let fact = serde_json::to_string(&row.fact)?;
        rows.push(Row::Fact { kind: row.kind.clone(), place: place(&row.location), fact });
    }
    Ok(gauntlet_facts::write(&FactFile { header, rows })?)
}

impl Stored {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When they are none of ours, or of a later release.
    pub fn read(bytes: Vec<u8>, form: Form) -> Result<Self, StoredError> {
        match form {
            Form::Parquet => Self::from_table(gauntlet_facts::read(bytes, &Limits::default())?),
            Form::Json => {
                let facts: Facts = serde_json::from_slice(&bytes)?;
                Ok(Self { facts, subject: None, config: None, checks: None, unread: Vec::new() })
            }
        }
    }

    /// Extractor, its version and the subject, without reading the facts where the form allows it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_header(bytes: Vec<u8>, form: Form) -> Result<(String, u32, Option<Subject>), StoredError> {
        match form {
            Form::Parquet => {
                let header = gauntlet_facts::read_header(bytes, &Limits::default())?;
                let subject = serde_json::from_str(&header.subject)?;
                Ok((header.extractor, header.extractor_version, Some(subject)))
            }
            Form::Json => Self::read(bytes, form).map(|stored| (stored.facts.extractor, stored.facts.version, None)),
        }
    }

    fn from_table(file: FactFile) -> Result<Self, StoredError> {
        let header = file.header;
        let mut facts = Facts::new(&header.extractor, header.extractor_version);
        let mut unread = Vec::new();
        for row in file.rows {
            match row {
                Row::Fact { kind, place, fact } => {
                    let fact = serde_json::from_str(&fact)?;
                    facts.rows.push(FactRow { kind, location: location(place), fact });
                }
                Row::Covered { check, looked_at } => covered(&mut facts, check).looked_at = looked_at,
                Row::Skipped { check, path, member, reason } => {
                    // An unknown reason reads as unreadable, so it never turns into an answer.
                    let Ok(reason) = reason.parse();
                    let skipped = Skipped { path, member, reason };
                    match check {
                        Some(check) => covered(&mut facts, check).skipped.push(skipped),
                        None => unread.push(skipped),
                    }
                }
            }
        }
        Ok(Self {
            facts,
            subject: Some(serde_json::from_str(&header.subject)?),
            config: Some(serde_json::from_str(&header.config)?),
            checks: Some(serde_json::from_str(&header.checks)?),
            unread,
        })
    }
}

fn covered(facts: &mut Facts, check: String) -> &mut Coverage {
    facts.coverage.entry(check).or_default()
}

fn text(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    // Canonical JSON is UTF-8 by construction.
    canonical::to_vec(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn place(location: &Location) -> Place {
    let l = location.clone();
    Place {
        path: l.path,
        path_bytes: l.path_bytes,
        member: l.member,
        line: l.line,
        column: l.column,
        offset: l.offset,
        cell: l.cell,
        cell_line: l.cell_line,
        field: l.field,
        row: l.row,
        case: l.case,
    }
}

fn location(place: Place) -> Location {
    Location {
        path: place.path,
        path_bytes: place.path_bytes,
        member: place.member,
        line: place.line,
        column: place.column,
        offset: place.offset,
        cell: place.cell,
        cell_line: place.cell_line,
        field: place.field,
        row: place.row,
        case: place.case,
    }
}
