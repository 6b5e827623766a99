//! Boosted trees as XGBoost, LightGBM and CatBoost store them: no code, but counts and indices that loaders believe.

pub(crate) mod catboost;
pub(crate) mod lightgbm;
pub(crate) mod ubjson;
pub(crate) mod xgboost;

use serde::{Deserialize, Serialize};

/// Problems that are kept.
const PROBLEMS: usize = 200;

/// What a model says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoostingFacts {
    /// The library.
    pub library: String,
    pub trees: u64,
    /// Free attributes whose text reads as code.
    pub code: Vec<String>,
    pub problems: Vec<Problem>,
    pub more_problems: u64,
    /// First byte behind the model, when something is there.
    pub tail: Option<u64>,
}

/// A contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub(crate) enum Problem {
    /// A number that is negative, too large for its type, or no number.
    Number { field: String, value: String },
    /// A list that has another length than the tree's size asks for.
    Length { field: String, expected: u64, found: u64 },
    /// An index that points to nothing.
    Index { field: String, value: i64, bound: u64 },
    /// A length that leaves the file.
    PastEnd { offset: u64, stated: u64, available: u64 },
    /// The text or bytes break.
    Broken { offset: u64, what: String },
    /// A key that occurs twice.
    DuplicateKey { key: String },
    /// Bytes behind the model.
    Tail { bytes: u64 },
}

impl BoostingFacts {
    fn new(library: &str) -> Self {
        Self { library: library.to_owned(), ..Self::default() }
    }

    fn problem(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }

    /// A count that is stored as text or number; sizes above 31 bits overflow in the libraries.
    fn count(&mut self, field: &str, text: &str) -> Option<u64> {
        match text.trim().parse::<u64>() {
            Ok(count) if i32::try_from(count).is_ok() => Some(count),
            _ => {
                let value = text.chars().take(40).collect();
                self.problem(Problem::Number { field: field.to_owned(), value });
                None
            }
        }
    }
}
