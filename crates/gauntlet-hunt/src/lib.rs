//! Asks rules and SQL over the facts of everything that was ever admitted, without the files. What cannot be answered
//! (facts that are gone, changed, too old) is said, never taken for clean. Rules are handed in; nothing is written.

#![forbid(unsafe_code)]

mod catalogue;
mod error;
mod question;
mod rejudge;
mod rows;
mod sql;
mod stored;

pub use catalogue::{Catalogue, Held, Listen, Project, ReportEntry, Silent, Source, Unanswered};
pub use error::HuntError;
pub use gauntlet_facts::{RELATIONS, Table};
pub use question::{Question, UnknownRule};
pub use rejudge::{Answers, SubjectAnswer, ask};
pub use sql::{QueryLimits, Rows, query};
pub use stored::{Form, Stored, StoredError, encode};
