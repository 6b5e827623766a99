//! The vocabulary of Gauntlet: what every other crate means by digest, subject, finding, report and check.
//!
//! Here are types, their serde forms and the rules that hold for all gates. Nothing here looks into a subject,
//! signs, stores or decides.

#![forbid(unsafe_code)]

pub mod canonical;
pub mod card;
mod check;
mod clock;
mod config_error;
mod description;
mod digest;
mod facts;
mod finding;
mod fingerprint;
pub mod glob;
mod masked;
mod metric;
mod nearest;
mod path;
pub mod project;
mod relation;
mod report;
mod rule;
mod severity;
mod stage;
mod storage;
mod subject;
mod tree;
pub mod yaml;

pub use check::{Check, CheckInfo, Context, Extractor, Gate, Judgement, Judging, NoProgress, Progress, Target};
pub use clock::{Clock, FixedClock, SystemClock, TimeError, parse_time};
pub use config_error::ConfigError;
pub use description::{ModelDescription, Port, TensorCount, TensorShape};
pub use digest::{Algorithm, Digest, DigestError, DigestSet, MODEL_IGNORED, dir_hash, model_root, sha256_hex};
pub use facts::{Derived, Fact, FactRow, Facts};
pub use finding::{Draft, Finding, Location};
pub use fingerprint::seal;
pub use masked::{MaskKey, Masked};
pub use metric::{Comparison, Figure, Metric, Series};
pub use nearest::nearest;
pub use path::display_path;
pub use project::Project;
pub use relation::{
    CallRow, ConflictRow, FormatRow, ImportRow, LayerRow, LinkRow, OperatorRow, Relation, TemplateRow, TensorRow,
};
pub use report::{Coverage, Input, Report, SkipCode, SkipReason, Skipped, Summary};
pub use rule::{RuleInfo, valid_rule_id};
pub use severity::{Confidence, Severity, Verdict};
pub use stage::Stage;
pub use storage::write_durably;
pub use subject::{Subject, SubjectKind};
pub use tree::{Link, Stamp, Tree, TreeError, TreeFile, TreeOptions, open_regular};

pub use gauntlet_limits::{Limit, LimitHit, Limits};
