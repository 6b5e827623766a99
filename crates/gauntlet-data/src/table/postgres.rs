//! Tables of PostgreSQL, streamed. All passes of one run see one snapshot of the database, in a transaction that can only
//! read; the connection string is in an environment variable, where no other user of the machine sees it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use futures::{StreamExt as _, pin_mut};
use gauntlet_core::SkipCode;
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Config, Row, RowStream};

use super::csv::{MAX_COLUMNS, shorten};
use super::format::{self, Reader, Stop, Wanted};
use super::provider::Sink;
use super::remote::wait;
use super::{Column, DataFile, Table};

const CONNECT: Duration = Duration::from_secs(30);
/// How long the server may take for the next rows.
const SILENCE: Duration = Duration::from_secs(300);
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 8 << 20;
/// From 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// What to read from which connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The environment variable with the connection string.
    variable: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// Name, with the schema in front or without.
    Table(Vec<String>),
    Query(String),
}

/// What is wrong with the location of a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}: {what}; write sql://VARIABLE/TABLE, sql://VARIABLE/SCHEMA.TABLE or sql://VARIABLE?SELECT …")]
pub struct QueryError {
    text: String,
    what: &'static str,
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        // A connection string where the variable's name belongs is a password on the command line: it is not shown.
        let wrong = |what| QueryError { text: "sql://…".to_owned(), what };
        let rest = text.strip_prefix("sql://").ok_or_else(|| wrong("not a table"))?;
        let (variable, what) = match rest.split_once(['/', '?']) {
            Some((variable, query)) if rest.as_bytes().get(variable.len()) == Some(&b'?') => {
                (variable, What::Query(query.trim().to_owned()))
            }
            Some((variable, table)) => (variable, What::Table(table.split('.').map(str::to_owned).collect())),
            None => return Err(wrong("no table is named")),
        };
        let named = !variable.is_empty()
            && !variable.starts_with(|c: char| c.is_ascii_digit())
            && variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !named {
            return Err(wrong("the first part is the name of an environment variable, with the connection string in it"));
        }
        let fits = match &what {
            What::Table(parts) => (1..=2).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty()),
            What::Query(query) => !query.is_empty(),
        };
        if fits { Ok(Self { variable: variable.to_owned(), what }) } else { Err(wrong("no table is named")) }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Table(parts) => write!(f, "sql://{}/{}", self.variable, parts.join(".")),
            What::Query(query) => write!(f, "sql://{}?{}", self.variable, shorten(query)),
        }
    }
}

impl Query {
    pub(super) fn name(&self) -> String {
        match &self.what {
            What::Table(parts) => parts.last().cloned().unwrap_or_default(),
            What::Query(_) => "query".to_owned(),
        }
    }

    fn inner(&self) -> String {
        match &self.what {
            What::Table(parts) => {
                format!("SELECT * FROM {}", parts.iter().map(|p| quoted(p)).collect::<Vec<_>>().join("."))
            }
            What::Query(query) => query.clone(),
        }
    }
}

/// An opened table. The first connection stays open: its snapshot is what all others read.
struct PostgresTable {
    query: Query,
    columns: Vec<Selected>,
    snapshot: String,
    _keeper: Client,
}

impl fmt::Debug for PostgresTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresTable({})", self.query)
    }
}

/// How a column is asked for and read.
#[derive(Clone, Debug)]
struct Selected {
    name: String,
    /// `"name"`, with a cast where its own form is not read.
    expression: String,
    stored: DataType,
}

/// Opens a table or query.
///
/// # Errors
/// What the server, the connection or the environment says.
pub(super) fn open(query: &Query) -> Result<Table, String> {
    let path = query.to_string();
    let (columns, keeper, snapshot) = wait(async {
        let client = connect(query).await?;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(|e| said(&e))?;
        let row = client.query_one("SELECT pg_export_snapshot()", &[]).await.map_err(|e| said(&e))?;
        let snapshot: String = row.try_get(0).map_err(|e| said(&e))?;
        // The line end keeps a comment at the end of a query from swallowing the bracket.
        let statement = format!("SELECT * FROM ({}\n) AS gauntlet_rows", query.inner());
        let statement = client.prepare(&statement).await.map_err(|e| said(&e))?;
        let columns: Vec<Selected> = statement.columns().iter().map(selected).collect();
        Ok::<_, String>((columns, client, snapshot))
    })
    .map_err(|e| e.to_string())??;
    if columns.len() > MAX_COLUMNS {
        return Err(format!("{} columns; at most {MAX_COLUMNS} are read", columns.len()));
    }
    let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two columns are called `{}`", shorten(pair[0])));
    }
    let column = |selected: &Selected| match &selected.stored {
        DataType::Utf8 if selected.expression.ends_with("::text") => format::text_column(&selected.name),
        stored => Column {
            name: selected.name.clone(),
            stored: stored.clone(),
            scanned: stored.clone(),
            typed: None,
            text_file: false,
        },
    };
    let all = columns.iter().map(column).collect();
    let reader = Arc::new(PostgresTable { query: query.clone(), columns, snapshot, _keeper: keeper });
    let file = DataFile { source: None, path, reader, partitions: Vec::new(), open_ended: false };
    Ok(Table { files: vec![file], columns: all, partitions: 0 })
}

impl Reader for PostgresTable {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        let unreadable = |what: String| Stop::Problem(SkipCode::Unreadable, what);
        let columns: Vec<&Selected> = wanted.iter().filter_map(|w| self.columns.get(w.index)).collect();
        let list: Vec<&str> = columns.iter().map(|c| c.expression.as_str()).collect();
        // A pass that only counts asks for something, too.
        let list = if list.is_empty() { "1".to_owned() } else { list.join(", ") };
        let statement = format!("SELECT {list} FROM ({}\n) AS gauntlet_rows", self.query.inner());
        let (_client, rows) = wait(self.stream(&statement)).map_err(|e| unreadable(e.to_string()))?.map_err(unreadable)?;
        pin_mut!(rows);
        let mut row = 0u64;
        loop {
            let (batch, end) = wait(async {
                let (mut batch, mut bytes) = (Vec::with_capacity(BATCH_ROWS), 0);
                while batch.len() < BATCH_ROWS && bytes < BATCH_BYTES {
                    let silent = |_| format!("row {}: no answer for {} s", row + batch.len() as u64, SILENCE.as_secs());
                    match timeout(SILENCE, rows.next()).await.map_err(silent)? {
                        Some(Ok(next)) => {
                            bytes += next.raw_size_bytes();
                            batch.push(next);
                        }
                        Some(Err(error)) => return Err(format!("row {}: {}", row + batch.len() as u64, said(&error))),
                        None => return Ok((batch, true)),
                    }
                }
                Ok((batch, false))
            })
            .map_err(|e| unreadable(e.to_string()))?
            .map_err(unreadable)?;
            if !batch.is_empty() {
                let arrays = columns.iter().enumerate().map(|(i, column)| array(&batch, i, column, row));
                let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
                sink.rows(row..row + batch.len() as u64, arrays)?;
                row += batch.len() as u64;
            }
            if end {
                break;
            }
        }
        sink.count(row);
        Ok(())
    }
}

impl PostgresTable {
    async fn stream(&self, statement: &str) -> Result<(Client, RowStream), String> {
        let client = connect(&self.query).await?;
        let snapshot = self.snapshot.replace('\'', "");
        // Without these the order of rows, and so their numbers, would differ from run to run.
        let setup = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'; \
             SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0"
        );
        client.batch_execute(&setup).await.map_err(|e| said(&e))?;
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        let rows = client.query_raw(statement, none).await.map_err(|e| said(&e))?;
        Ok((client, rows))
    }
}

async fn connect(query: &Query) -> Result<Client, String> {
    let variable = &query.variable;
    let text = std::env::var(variable)
        .ok()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("the environment variable {variable} has no connection string"))?;
    // What the parser says would repeat parts of the string, and with them the password.
    let mut config: Config =
        text.parse().map_err(|_| format!("the environment variable {variable} holds no connection string"))?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    config.application_name("gauntlet");
    let (client, connection) = config.connect(tls()?).await.map_err(|e| said(&e))?;
    tokio::spawn(async move {
        // Its errors reach the client's requests.
        connection.await.ok();
    });
    Ok(client)
}

/// TLS against the roots of the system, or those in the file that `PGSSLROOTCERT` names.
fn tls() -> Result<tokio_postgres_rustls::MakeRustlsConnect, String> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    match std::env::var_os("PGSSLROOTCERT").filter(|path| !path.is_empty()) {
        Some(path) => {
            let wrong = |what: String| format!("PGSSLROOTCERT: {what}");
            for certificate in CertificateDer::pem_file_iter(&path).map_err(|e| wrong(e.to_string()))? {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(config))
}

/// The server's own words; the library's "db error" says nothing.
fn said(error: &tokio_postgres::Error) -> String {
    let text = match error.as_db_error() {
        Some(error) => error.message().to_owned(),
        None => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    };
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn selected(column: &tokio_postgres::Column) -> Selected {
    let name = quoted(column.name());
    let moment = |zone: Option<Arc<str>>| DataType::Timestamp(TimeUnit::Microsecond, zone);
    let plain = match *column.type_() {
        Type::BOOL => Some(DataType::Boolean),
        Type::INT2 => Some(DataType::Int16),
        Type::INT4 => Some(DataType::Int32),
        Type::INT8 => Some(DataType::Int64),
        Type::FLOAT4 => Some(DataType::Float32),
        Type::FLOAT8 => Some(DataType::Float64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Some(DataType::Utf8),
        Type::BYTEA => Some(DataType::Binary),
        Type::DATE => Some(DataType::Date32),
        Type::TIMESTAMP => Some(moment(None)),
        Type::TIMESTAMPTZ => Some(moment(Some("+00:00".into()))),
        _ => None,
    };
    match plain {
        Some(stored) => Selected { name: column.name().to_owned(), expression: name, stored },
        // Numbers of any precision, documents, arrays and the rest: as the server writes them, typed by the contract.
        None => Selected {
            name: column.name().to_owned(),
            expression: format!("{name}::text"),
            stored: DataType::Utf8,
        },
    }
}

/// The bytes of a value, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// One column of some rows; `first` is the number of the first of them.
fn array(rows: &[Row], index: usize, column: &Selected, first: u64) -> Result<ArrayRef, Stop> {
    let mut row = first;
    let malformed = |row: u64, what: &str| {
        Stop::Problem(SkipCode::Malformed, format!("row {row}, column `{}`: {what}", shorten(&column.name)))
    };
    macro_rules! fill {
        ($builder:expr, $read:expr) => {{
            let mut builder = $builder;
            for next in rows {
                let value: Option<Raw<'_>> = next.try_get(index).map_err(|e| malformed(row, &said(&e)))?;
                match value {
                    Some(Raw(bytes)) => builder.append_value($read(bytes).map_err(|what: &str| malformed(row, what))?),
                    None => builder.append_null(),
                }
                row += 1;
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
        bytes.try_into().map_err(|_| "a value of another length")
    }
    Ok(match &column.stored {
        DataType::Boolean => fill!(BooleanBuilder::new(), |b| fixed::<1>(b).map(|[byte]| byte != 0)),
        DataType::Int16 => fill!(Int16Builder::new(), |b| fixed(b).map(i16::from_be_bytes)),
        DataType::Int32 => fill!(Int32Builder::new(), |b| fixed(b).map(i32::from_be_bytes)),
        DataType::Int64 => fill!(Int64Builder::new(), |b| fixed(b).map(i64::from_be_bytes)),
        DataType::Float32 => fill!(Float32Builder::new(), |b| fixed(b).map(f32::from_be_bytes)),
        DataType::Float64 => fill!(Float64Builder::new(), |b| fixed(b).map(f64::from_be_bytes)),
        DataType::Binary => fill!(BinaryBuilder::new(), Ok),
        DataType::Date32 => fill!(Date32Builder::new(), |b| {
            let days = fixed(b).map(i32::from_be_bytes)?;
            days.checked_add(EPOCH_DAYS).filter(|_| days > i32::MIN).ok_or("infinity is no date")
        }),
        DataType::Timestamp(_, zone) => {
            fill!(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()), |b| {
                let moment = fixed(b).map(i64::from_be_bytes)?;
                moment.checked_add(EPOCH_MICROSECONDS).filter(|_| moment > i64::MIN).ok_or("infinity is no moment")
            })
        }
        _ => fill!(StringBuilder::new(), |b| std::str::from_utf8(b).map_err(|_| "not UTF-8")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_queries_are_told_apart() {
        let query = |text: &str| text.parse::<Query>().map(|q| (q.variable.clone(), q.inner(), q.name()));
        assert_eq!(
            query("sql://DB/public.my \"t\"").unwrap(),
            ("DB".into(), "SELECT * FROM \"public\".\"my \"\"t\"\"\"".into(), "my \"t\"".into())
        );
        assert_eq!(query("sql://DB?SELECT a/b FROM t").unwrap().1, "SELECT a/b FROM t");
        for text in ["sql://", "sql://DB", "sql://DB/", "sql://DB/a.b.c", "sql://DB?", "sql:///t", "sql://1X/t"] {
            assert!(query(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_connection_string_in_the_wrong_place_is_not_repeated() {
        let error = "sql://user:hunter2@host/t".parse::<Query>().unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("environment variable"), "{error}");
    }
}
