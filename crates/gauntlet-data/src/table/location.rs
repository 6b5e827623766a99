//! How a dataset is written on a command line and in gauntlet.yaml, and opening what lies there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use gauntlet_core::{LimitHit, Limits, SkipCode, Tree, TreeError, TreeOptions, glob};
use gauntlet_remote::{Address, AddressError, StoreError};

use super::encrypted::{Identities, IdentityError};
use super::postgres::{self, Query, QueryError};
use super::source::Source;
use super::{Problem, Table, format_of, partition, remote};
use crate::facts::Format;

/// Where a dataset lies: a file, a folder, a glob (`data/year=*/*.parquet`), an address (`s3://BUCKET/KEY`, `gs://`,
/// `az://`, `https://`, each with `*` where the server can list), or a table of PostgreSQL
/// (`sql://VARIABLE/TABLE` or `sql://VARIABLE?SELECT …`, the connection string in the environment variable).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Files(PathBuf),
    Remote(Address),
    Sql(Query),
}

/// What is wrong with a location.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Nothing at all.
    #[error("an empty path")]
    Empty,
    /// An address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A table.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Another scheme.
    #[error("`{0}://` is not read; paths, s3://, gs://, az://, https:// and sql:// are")]
    Scheme(String),
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let kind = match text.split_once("://") {
            _ if text.is_empty() => return Err(LocationError::Empty),
            Some(("sql", _)) => Kind::Sql(text.parse()?),
            Some(_) if Address::is_meant(text) => Kind::Remote(text.parse()?),
            Some((scheme, _)) if gauntlet_core::project::is_address(text) => {
                return Err(LocationError::Scheme(scheme.chars().take(20).collect()));
            }
            _ => Kind::Files(PathBuf::from(text)),
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Location {
    /// The path, where it is one on this machine and no pattern.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Files(path) => Some(path.as_path()).filter(|_| !glob::is_pattern(&self.text)),
            _ => None,
        }
    }

    /// A short name for people: the last part without extensions.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.kind {
            Kind::Sql(query) => query.name(),
            _ => {
                let last = self.text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                last.split('.').find(|part| !part.is_empty()).unwrap_or("dataset").to_owned()
            }
        }
    }

    /// Whether its bytes travel unencrypted.
    #[must_use]
    pub fn in_the_clear(&self) -> bool {
        self.text.starts_with("http://")
    }
}

/// How to open a dataset.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// What reading may cost.
    pub limits: Limits,
    /// Keys for encrypted files; without any, those of the environment variable `GAUNTLET_IDENTITY` are tried.
    pub identities: Option<Arc<Identities>>,
    /// Whether text columns (CSV, JSON Lines, folders `k=v`) get the narrowest type that all their values have, by a
    /// first pass over the data. Without it they stay text until a contract types them.
    pub infer_types: bool,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Wrong location.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A path that cannot be walked.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A pattern without a match.
    #[error("{0}")]
    Pattern(String),
    /// A store.
    #[error("{location}: {source}")]
    Store {
        /// Where.
        location: String,
        /// What it said.
        source: StoreError,
    },
    /// A database.
    #[error("{location}: {what}")]
    Database {
        /// Where.
        location: String,
        /// What it said.
        what: String,
    },
    /// Keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file that cannot be read as a table, or does not fit the others. Nothing of a dataset is used when a part of it
    /// cannot be.
    #[error("{path}: {what}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// Only files of other formats.
    #[error("{0}: no file of a table format that is read")]
    NoTable(String),
    /// A limit.
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// Opens a dataset as one table. Every file of a known format has to be readable and to fit; others are left out.
///
/// Rows are checked while they are read: whoever scans the table asks [`super::Scan::finish`] for problems, and uses no
/// result when there are any ([`Table::complete`]).
///
/// # Errors
/// [`OpenError`], naming the file.
pub(crate) fn open(location: &Location, options: &OpenOptions) -> Result<Arc<Table>, OpenError> {
    let (table, problems) = open_lenient(location, options)?;
    match problems.into_iter().next() {
        Some(problem) => Err(OpenError::Unreadable { path: problem.path, what: problem.what }),
        None if table.files.is_empty() => Err(OpenError::NoTable(location.to_string())),
        None => Ok(table),
    }
}

/// As [`open`]; what cannot be opened is left out and listed.
///
/// # Errors
/// [`OpenError`] when nothing can be listed at all.
pub(crate) fn open_lenient(
    location: &Location,
    options: &OpenOptions,
) -> Result<(Arc<Table>, Vec<Problem>), OpenError> {
    let (mut table, mut problems) = match &location.kind {
        Kind::Sql(query) => postgres::open(query)
            .map(|table| (table, Vec::new()))
            .map_err(|what| OpenError::Database { location: location.to_string(), what })?,
        _ => {
            let sources = sources(location, options)?;
            Table::from_sources(sources.into_iter().filter(|s| format_of(s.name()) != Format::Other).collect())
        }
    };
    if options.infer_types && problems.is_empty() {
        problems.extend(table.infer_types());
    }
    Ok((Arc::new(table), problems))
}

/// Every file at a location, of whatever format; none for a database.
///
/// # Errors
/// [`OpenError`] when they cannot be listed.
pub(crate) fn sources(location: &Location, options: &OpenOptions) -> Result<Vec<Source>, OpenError> {
    let identities = match &options.identities {
        Some(identities) => Some(Arc::clone(identities)),
        None => Identities::given()?,
    };
    let limits = &options.limits;
    let found: Vec<Source> = match &location.kind {
        Kind::Sql(_) => Vec::new(),
        Kind::Remote(address) => {
            let objects = remote::list(address, limits)
                .map_err(|source| OpenError::Store { location: location.to_string(), source })?;
            let source = |object: Arc<remote::Object>| {
                let keys = partition::keys(Path::new(object.below()));
                Source::object(object, limits).with_partitions(keys)
            };
            objects.into_iter().map(source).collect()
        }
        Kind::Files(path) if glob::is_pattern(&location.text) => {
            let paths = glob::expand(Path::new(""), path).map_err(OpenError::Pattern)?;
            let fixed = path.components().take_while(|p| p.as_os_str().to_str().is_none_or(|p| !glob::is_pattern(p)));
            let base: PathBuf = fixed.collect();
            let mut found = Vec::new();
            for path in paths {
                found.extend(walked(&path, &base, limits)?);
            }
            found
        }
        Kind::Files(path) => walked(path, path, limits)?,
    };
    Ok(found.into_iter().map(|source| source.with_identities(identities.clone())).collect())
}

/// The files at `path`, with the folders `k=v` below `base`.
fn walked(path: &Path, base: &Path, limits: &Limits) -> Result<Vec<Source>, OpenError> {
    let tree = Tree::read(path, &TreeOptions::default(), limits)?;
    if let Some(skipped) = tree.skipped.iter().find(|s| s.reason.code != SkipCode::Ignored) {
        let path = shown(&tree.root.join(&skipped.path));
        return Err(OpenError::Unreadable { path, what: skipped.reason.to_string() });
    }
    let source = |file| {
        let source = Source::local(&tree.root, file, limits);
        let whole = tree.root.join(&file.path);
        let keys = whole.strip_prefix(base).map(partition::keys).unwrap_or_default();
        // People see the path as they gave it.
        source.shown_as(shown(&whole)).with_partitions(keys)
    };
    Ok(tree.files.iter().map(source).collect())
}

/// A path as people wrote it: without the `./` of the folder they are in.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> String {
        match text.parse::<Location>() {
            Ok(Location { kind: Kind::Files(_), .. }) => "files".into(),
            Ok(Location { kind: Kind::Remote(_), .. }) => "remote".into(),
            Ok(Location { kind: Kind::Sql(_), .. }) => "sql".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn kinds_are_told_by_their_scheme() {
        assert_eq!(kind("data/a b.csv"), "files");
        assert_eq!(kind("data/**/*.parquet"), "files");
        assert_eq!(kind("s3://b/x/*.parquet"), "remote");
        assert_eq!(kind("sql://WAREHOUSE/public.t"), "sql");
        assert_eq!(kind("ftp://h/x"), "`ftp://` is not read; paths, s3://, gs://, az://, https:// and sql:// are");
        assert!(kind("https://user:secret@h/x").contains("credentials do not belong"));
        assert_eq!(kind(""), "an empty path");
    }

    #[test]
    fn names_are_short() {
        let name = |text: &str| text.parse::<Location>().unwrap().name();
        assert_eq!(name("data/train.csv.gz"), "train");
        assert_eq!(name("s3://b/x/part/"), "part");
        assert_eq!(name("sql://W/public.customers"), "customers");
    }
}
