//! Facts: what extraction saw, before any rule judged it. Kept by subject digest and extractor version, so that a rule
//! written tomorrow can be asked over everything admitted until today.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::finding::Location;
use crate::report::{Coverage, SkipCode};
use crate::stage::Stage;

/// A type of fact: an import of a pickle, an operator of a graph, a column of a table, a call in code.
/// Holds what rules need and never a raw secret or personal value.
pub trait Fact: Serialize + DeserializeOwned {
    /// Stable name, such as `pickle-import`; the kind of a stored row.
    const KIND: &'static str;
}

/// One stored fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactRow {
    /// [`Fact::KIND`].
    pub kind: String,
    /// Where it was seen.
    pub location: Location,
    /// The fact itself.
    pub fact: serde_json::Value,
}

impl FactRow {
    /// The fact in its type. The caller has looked at the kind.
    ///
    /// # Errors
    /// When the fact does not have the type's shape.
    pub fn read<F: Fact>(&self) -> Result<F, serde_json::Error> {
        F::deserialize(&self.fact)
    }
}

/// Everything one extractor saw in one subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Extractor name.
    pub extractor: String,
    /// Extractor version.
    pub version: u32,
    /// What was looked at, by check id.
    pub coverage: BTreeMap<String, Coverage>,
    /// The facts.
    pub rows: Vec<FactRow>,
    /// What lies inside the subject and another gate judges. Handed on by the runner, never stored.
    #[serde(skip)]
    pub derived: Vec<Derived>,
}

/// Something that one gate found inside its subject and cannot judge: a script inside a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The gate that judges it.
    pub stage: Stage,
    /// Where it was found.
    pub location: Location,
    /// What it is called; only the last part counts, since it may be hostile.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Facts {
    /// An empty set for an extractor.
    #[must_use]
    pub fn new(extractor: &str, version: u32) -> Self {
        Self { extractor: extractor.to_owned(), version, ..Self::default() }
    }

    /// Adds one fact. A fact that cannot be expressed in JSON is noted as not looked at.
    pub fn push<F: Fact>(&mut self, check: &str, location: Location, fact: &F) {
        match serde_json::to_value(fact) {
            Ok(value) => self.rows.push(FactRow { kind: F::KIND.to_owned(), location, fact: value }),
            Err(error) => self.coverage_mut(check).skip(
                location.path.unwrap_or_default(),
                location.member,
                SkipCode::Malformed,
                format!("fact `{}` cannot be stored: {error}", F::KIND),
            ),
        }
    }

    /// The coverage of one check, made when it is not there.
    pub fn coverage_mut(&mut self, check: &str) -> &mut Coverage {
        self.coverage.entry(check.to_owned()).or_default()
    }

    /// All facts of one type. Rows that do not have its shape (an older extractor wrote them) come back as errors: they
    /// are unanswered, never clean.
    pub fn of<F: Fact>(&self) -> impl Iterator<Item = Result<(&Location, F), serde_json::Error>> {
        self.rows.iter().filter(|row| row.kind == F::KIND).map(|row| row.read().map(|fact| (&row.location, fact)))
    }

    /// Adds the facts of another file or thread.
    pub fn merge(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.derived.extend(other.derived);
        for (check, coverage) in other.coverage {
            self.coverage.entry(check).or_default().merge(coverage);
        }
    }

    /// Sorts rows and coverage, so that the order in which threads finished leaves no trace.
    pub fn normalise(&mut self) {
        self.rows.sort_by(|a, b| (&a.location, &a.kind).cmp(&(&b.location, &b.kind)));
        self.derived.sort_by(|a, b| (&a.location, &a.name).cmp(&(&b.location, &b.name)));
        for coverage in self.coverage.values_mut() {
            coverage.skipped.sort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Import {
        name: String,
    }

    impl Fact for Import {
        const KIND: &'static str = "import";
    }

    #[test]
    fn facts_survive_storage_and_old_shapes_are_errors() {
        let mut facts = Facts::new("test", 1);
        facts.push("a/b", Location::default(), &Import { name: "os.system".into() });
        facts.rows.push(FactRow {
            kind: "import".into(),
            location: Location::default(),
            fact: serde_json::json!({"old": 1}),
        });
        let stored = serde_json::to_vec(&facts).unwrap();
        let facts: Facts = serde_json::from_slice(&stored).unwrap();
        let read: Vec<_> = facts.of::<Import>().collect();
        assert_eq!(read[0].as_ref().unwrap().1, Import { name: "os.system".into() });
        assert!(read[1].is_err());
    }
}
