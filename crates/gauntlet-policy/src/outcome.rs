//! What a policy answered: violations, and refusals for every way in which it failed to answer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a policy objects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// Rule id `area/check/rule-name`.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What would be needed: a command, an artifact, a person with a role.
    pub needs: String,
}

/// Why a policy gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// There was no policy to ask.
    NoPolicy,
    /// A module does not follow Rego's grammar, or is too long.
    NotParsable,
    /// Brackets or expressions are nested deeper than we parse.
    TooDeep,
    /// A module calls a builtin that is not on the allow-list, or calls something unknown.
    ForbiddenCall,
    /// `not` over a builtin that can fail: Rego turns its failure into truth.
    NegatedFailure,
    /// A rule or function refers to itself.
    Recursion,
    /// A module stands in a package that is not its pack's.
    ForeignPackage,
    /// The pack defines no `violations`.
    MissingEntryPoint,
    /// `violations` is undefined.
    Undefined,
    /// `violations` is no set.
    NotASet,
    /// An element of `violations` is not `{rule, message, needs}`.
    MalformedViolation,
    /// More violations than anybody reads.
    TooManyViolations,
    /// Evaluation failed.
    EvaluationError,
    /// Evaluation took too long.
    TimeOut,
    /// The process that evaluated ended without an answer, for example for want of memory.
    Crashed,
    /// The input document could not be handed over.
    BadInput,
}

impl Why {
    /// The word in rule ids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicy => "no-policy",
            Self::NotParsable => "not-parsable",
            Self::TooDeep => "too-deep",
            Self::ForbiddenCall => "forbidden-call",
            Self::NegatedFailure => "negated-failure",
            Self::Recursion => "recursion",
            Self::ForeignPackage => "foreign-package",
            Self::MissingEntryPoint => "missing-entry-point",
            Self::Undefined => "undefined",
            Self::NotASet => "not-a-set",
            Self::MalformedViolation => "malformed-violation",
            Self::TooManyViolations => "too-many-violations",
            Self::EvaluationError => "evaluation-error",
            Self::TimeOut => "time-out",
            Self::Crashed => "crashed",
            Self::BadInput => "bad-input",
        }
    }

    fn needs(self) -> &'static str {
        match self {
            Self::NoPolicy => "name at least one pack for this environment",
            Self::TimeOut | Self::Crashed => {
                "make the policy cheaper; `gauntlet policy test` runs it under the same limits"
            }
            Self::BadInput => "report this: the program made a document that its own policy engine does not read",
            _ => "mend the policy; `gauntlet policy test` shows the same error",
        }
    }
}

/// A policy that gave no usable answer. Counts as a refusal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refusal {
    /// The pack; empty when it is not about one.
    pub pack: String,
    /// The class of failure.
    pub why: Why,
    /// What exactly, with file and line where known.
    pub detail: String,
}

impl Refusal {
    pub(crate) fn new(pack: &str, why: Why, detail: impl Into<String>) -> Self {
        Self { pack: pack.to_owned(), why, detail: detail.into() }
    }

    /// The rule id under which it stands among the reasons of a denial.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("policy/decision/{}", self.why.as_str())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pack.is_empty() {
            write!(f, "{}: {}", self.why.as_str(), self.detail)
        } else {
            write!(f, "pack `{}`: {}: {}", self.pack, self.why.as_str(), self.detail)
        }
    }
}

impl From<&Refusal> for Violation {
    fn from(refusal: &Refusal) -> Self {
        Self {
            rule: refusal.rule(),
            message: format!("the policy gave no usable answer: {refusal}"),
            needs: refusal.why.needs().to_owned(),
        }
    }
}

/// Everything that the packs of one environment answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the policies object to, sorted, each once.
    pub violations: Vec<Violation>,
    /// Packs that gave no usable answer.
    pub refusals: Vec<Refusal>,
}

impl Outcome {
    /// Nothing was objected to and every pack answered.
    #[must_use]
    pub fn allow(&self) -> bool {
        self.violations.is_empty() && self.refusals.is_empty()
    }

    /// Adds another pack's answer.
    pub(crate) fn add(&mut self, answer: Result<Vec<Violation>, Refusal>) {
        match answer {
            Ok(violations) => {
                self.violations.extend(violations);
                self.violations.sort();
                self.violations.dedup();
            }
            Err(refusal) => self.refusals.push(refusal),
        }
    }
}
