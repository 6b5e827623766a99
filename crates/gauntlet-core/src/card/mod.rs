//! Model cards: Markdown with YAML front matter as on the Hugging Face hub. What a card claims is parsed into facts; that
//! it is true is for policy to judge.

mod front_matter;
mod parse;
mod region;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::{Digest, DigestSet};
use crate::facts::Fact;

pub use front_matter::split;
pub use region::{Region, begin_marker, end_marker, regions};

/// A card that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// What it claims, and how it is built.
    pub claims: CardFact,
    /// The front matter, as it stands.
    pub front_matter: Map<String, Value>,
    /// The text of each kind of section, without comments, cut to 4,096 characters. People's names and addresses may be in
    /// here: it is never stored as a fact.
    pub texts: BTreeMap<SectionKind, String>,
}

/// What a card claims, without its prose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CardFact {
    /// SHA-256 of the file.
    pub digest: Option<Digest>,
    /// Whether there is front matter that could be read.
    pub has_front_matter: bool,
    /// What is wrong with it.
    pub problems: Vec<CardProblem>,
    /// Its sections in order.
    pub sections: Vec<CardSection>,
    /// Licence, as on the hub: an identifier, or `other`.
    pub licence: Option<String>,
    /// Languages.
    pub languages: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Library that loads the model.
    pub library: Option<String>,
    /// Task, the hub's `pipeline_tag`.
    pub task: Option<String>,
    /// Models that it was made from.
    pub base_models: Vec<String>,
    /// Datasets that it was trained on.
    pub datasets: Vec<String>,
    /// Claimed results, from `model-index`.
    pub metrics: Vec<ClaimedMetric>,
    /// Risk class that the card states.
    pub risk_class: Option<String>,
    /// Risk score that the card states.
    pub risk_score: Option<RiskScore>,
    /// Whether somebody can be reached: a contact section or a `contact` member.
    pub has_contact: bool,
    /// The model that the card is about, by digest.
    pub model: DigestSet,
    /// Whether that is the subject that was judged; absent when the card names no digest.
    pub about_subject: Option<bool>,
}

impl Fact for CardFact {
    const KIND: &'static str = "model-card";
}

/// A section of the Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardSection {
    /// Its heading, cut to 200 characters.
    pub heading: String,
    /// What it is about, by its heading.
    pub kind: Option<SectionKind>,
    /// Line of the heading, from 1.
    pub line: u64,
    /// Whether it says anything: not empty, no comment alone, and no placeholder.
    pub filled: bool,
}

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum SectionKind {
    IntendedUse,
    ProhibitedUse,
    KnownVulnerabilities,
    Mitigations,
    RiskScore,
    Evaluation,
    EvaluationBySlice,
    Limitations,
    TrainingData,
    Training,
    Ethics,
    Environment,
    Contact,
}

impl SectionKind {
    /// Every kind, in the order in which a card is written.
    pub const ALL: &'static [Self] = &[
        Self::IntendedUse,
        Self::ProhibitedUse,
        Self::Limitations,
        Self::Ethics,
        Self::TrainingData,
        Self::Training,
        Self::Evaluation,
        Self::EvaluationBySlice,
        Self::KnownVulnerabilities,
        Self::Mitigations,
        Self::RiskScore,
        Self::Environment,
        Self::Contact,
    ];

    /// The heading that we write.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::IntendedUse => "Intended use",
            Self::ProhibitedUse => "Prohibited use",
            Self::KnownVulnerabilities => "Known vulnerabilities",
            Self::Mitigations => "Mitigations",
            Self::RiskScore => "Risk score",
            Self::Evaluation => "Evaluation",
            Self::EvaluationBySlice => "Evaluation by slice",
            Self::Limitations => "Limitations",
            Self::TrainingData => "Training data",
            Self::Training => "Training procedure",
            Self::Ethics => "Ethical considerations",
            Self::Environment => "Environmental impact",
            Self::Contact => "Contact",
        }
    }

    /// Headings that mean it, in lower case; the hub's template is among them.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::IntendedUse => &["intended use", "direct use", "use cases", "primary intended use", "uses"],
            Self::ProhibitedUse => &["prohibited use", "out-of-scope use", "out of scope", "misuse", "forbidden use"],
            Self::KnownVulnerabilities => &["known vulnerabilities", "vulnerabilities", "known weaknesses", "security"],
            Self::Mitigations => &["mitigation", "recommendations", "safeguards"],
            Self::RiskScore => &["risk score", "risk rating"],
            Self::Evaluation => &["evaluation", "results", "quantitative analys", "performance", "metrics"],
            Self::EvaluationBySlice => &[
                "evaluation by slice",
                "results by slice",
                "evaluation by group",
                "results by group",
                "disaggregated",
                "subgroup",
                "fairness",
                "slices",
            ],
            Self::Limitations => &["limitations", "caveats"],
            Self::TrainingData => &["training data", "training dataset"],
            Self::Training => &["training procedure", "training details", "training hyperparameters", "training"],
            Self::Ethics => &["ethical considerations", "ethics"],
            Self::Environment => &["environmental impact", "energy", "carbon"],
            Self::Contact => &["contact", "model card contact", "authors and contact"],
        }
    }

    /// What a heading is about: the kind whose words stand first in it, the longer words where two do.
    #[must_use]
    pub fn of_heading(heading: &str) -> Option<Self> {
        let heading = heading.to_lowercase();
        let found = Self::ALL.iter().flat_map(|kind| kind.words().iter().map(move |word| (*kind, *word)));
        found
            .filter_map(|(kind, word)| Some((heading.find(word)?, std::cmp::Reverse(word.len()), kind)))
            .min_by_key(|(at, len, _)| (*at, *len))
            .map(|(_, _, kind)| kind)
    }
}

/// A result that a card claims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClaimedMetric {
    /// Metric, such as `accuracy`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Lower bound of the interval, when stated.
    pub low: Option<f64>,
    /// Upper bound of the interval, when stated.
    pub high: Option<f64>,
    /// Dataset that it was measured on.
    pub dataset: Option<String>,
    /// Part of that dataset.
    pub slice: Option<String>,
}

/// A risk score, and what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RiskScore {
    /// The score.
    pub value: Option<f64>,
    /// Name of the formula.
    pub formula: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Digests of the evidence that the formula was fed with.
    pub evidence: Vec<String>,
}

impl RiskScore {
    /// What is missing for the score to be checked by somebody else.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let digest = |text: &String| text.parse::<Digest>().is_ok();
        [
            (self.value.is_none(), "a value"),
            (self.formula.is_none(), "the formula's name"),
            (self.version.is_none(), "the formula's version"),
            (self.evidence.is_empty() || !self.evidence.iter().all(digest), "digests of the evidence"),
        ]
        .into_iter()
        .filter_map(|(missing, what)| missing.then_some(what))
        .collect()
    }
}

/// Something wrong with a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub enum CardProblem {
    /// The front matter is no YAML, has a key twice, or never ends.
    FrontMatter {
        /// What the reader said.
        message: String,
        /// Line in the file, from 1.
        line: u64,
    },
    /// A claimed result cannot be read as a number.
    Metric {
        /// Where in the front matter.
        place: String,
    },
    /// A region that a program wrote was edited by hand.
    EditedRegion {
        /// Its name.
        name: String,
        /// Line of its first marker, from 1.
        line: u64,
    },
    /// A region never ends, or there are two of one name.
    BrokenRegion {
        /// Its name.
        name: String,
        /// Line of its first marker, from 1.
        line: u64,
    },
    /// More of something than is read.
    Limit {
        /// Of what.
        what: String,
    },
}
