//! What two tables have in common, and which way they are compared: value by value, or by their sketches.

use gauntlet_sketch::Profile;

use super::columns::family_of;
use super::config::DriftConfig;
use crate::facts::{ColumnDriftFact, ComparisonFact, GapFact, Role, SegmentShareFact};
use crate::table::Table;

/// Rows of a side up to which values are compared.
pub(super) const MAX_EXACT_ROWS: u64 = 2_000_000;

/// What comparing found.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) comparison: ComparisonFact,
    pub(super) columns: Vec<ColumnDriftFact>,
    pub(super) shares: Vec<SegmentShareFact>,
}

impl Outcome {
    pub(super) fn new(reference: &str, rows: (u64, u64), exact: bool) -> Self {
        let comparison = ComparisonFact {
            reference: reference.to_owned(),
            reference_rows: rows.0,
            current_rows: rows.1,
            exact,
            metrics: Vec::new(),
            missing: Vec::new(),
            extra: Vec::new(),
            retyped: Vec::new(),
            renamed: Vec::new(),
            lineage: Vec::new(),
            gaps: Vec::new(),
        };
        Self { comparison, columns: Vec::new(), shares: Vec::new() }
    }

    /// Notes a question that was asked and has no answer.
    pub(super) fn gap(&mut self, what: impl Into<String>) {
        self.note(GapFact { what: what.into(), known: false });
    }

    /// Notes what this way of comparing never tells.
    pub(super) fn untold(&mut self, what: impl Into<String>) {
        self.note(GapFact { what: what.into(), known: true });
    }

    fn note(&mut self, gap: GapFact) {
        if !self.comparison.gaps.contains(&gap) {
            self.comparison.gaps.push(gap);
        }
    }
}

/// A column of both sides.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) reference: usize,
    pub(super) current: usize,
}

/// Columns of both sides by index.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) pairs: Vec<Pair>,
    pub(super) missing: Vec<usize>,
    pub(super) extra: Vec<usize>,
}

/// Name and type family of each column of a table.
pub(super) fn columns_of_table(table: &Table) -> Vec<(String, String)> {
    table.columns.iter().map(|column| (column.name.clone(), family_of(column))).collect()
}

/// Name and type family of each column of a profile.
pub(super) fn columns_of_profile(profile: &Profile) -> Vec<(String, String)> {
    let family = |word: &str| match word {
        "decimal" => "float".to_owned(),
        "nested" => "list".to_owned(),
        "time" | "duration" | "null" => "other".to_owned(),
        other => other.to_owned(),
    };
    profile.columns.iter().map(|column| (column.name.clone(), family(column.sketch.kind().as_str()))).collect()
}

/// Pairs columns by name, in the order of the reference, and notes what differs.
pub(super) fn pair(
    reference: &[(String, String)],
    current: &[(String, String)],
    config: &DriftConfig,
    outcome: &mut Outcome,
) -> Common {
    let mut out = Common::default();
    let wanted = |name: &str| {
        config.columns.is_empty()
            || config.columns.iter().any(|c| c == name)
            || [&config.label, &config.prediction].into_iter().flatten().any(|c| c == name)
    };
    for (i, (name, family)) in reference.iter().enumerate().filter(|(_, (name, _))| wanted(name)) {
        let Some(j) = current.iter().position(|(other, _)| other == name) else {
            out.missing.push(i);
            outcome.comparison.missing.push(name.clone());
            continue;
        };
        let other = current.get(j).map_or("", |(_, family)| family.as_str());
        if comparable(family, other) {
            out.pairs.push(Pair { name: name.clone(), reference: i, current: j });
        } else {
            outcome.comparison.retyped.push((name.clone(), family.clone(), other.to_owned()));
        }
    }
    for (j, (name, _)) in current.iter().enumerate().filter(|(_, (name, _))| wanted(name)) {
        if !reference.iter().any(|(other, _)| other == name) {
            out.extra.push(j);
            outcome.comparison.extra.push(name.clone());
        }
    }
    if out.pairs.is_empty() && outcome.comparison.retyped.is_empty() {
        outcome.gap("no column is in both tables, so nothing was compared");
    }
    for name in config.columns.iter().filter(|name| !reference.iter().chain(current).any(|(n, _)| n == *name)) {
        outcome.gap(format!("neither table has a column `{name}`"));
    }
    out
}

/// Whether values of two families can be compared. Whole and other numbers can: a null turns one into the other in many
/// programs. A column of nothing but nulls has no type of its own.
fn comparable(a: &str, b: &str) -> bool {
    let number = |family: &str| matches!(family, "integer" | "float");
    a == b || number(a) && number(b)
}

/// What a column is to the comparison.
pub(super) fn role(name: &str, config: &DriftConfig) -> Role {
    let is = |column: &Option<String>| column.as_deref() == Some(name);
    if config.ids.iter().any(|id| id == name) {
        Role::Identifier
    } else if is(&config.label) {
        Role::Label
    } else if is(&config.prediction) {
        Role::Prediction
    } else {
        Role::Feature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_paired_by_name_and_what_differs_is_noted() {
        let columns = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(n, f)| ((*n).to_owned(), (*f).to_owned())).collect()
        };
        let reference = columns(&[("a", "integer"), ("b", "float"), ("c", "string")]);
        let current = columns(&[("c", "string"), ("a", "float"), ("b", "string"), ("d", "date")]);
        let mut outcome = Outcome::new("r", (1, 1), true);
        let common = pair(&reference, &current, &DriftConfig::default(), &mut outcome);
        let names: Vec<_> = common.pairs.iter().map(|p| (p.name.as_str(), p.reference, p.current)).collect();
        assert_eq!(names, [("a", 0, 1), ("c", 2, 0)]);
        assert_eq!(outcome.comparison.retyped, [("b".into(), "float".into(), "string".into())]);
        assert_eq!(outcome.comparison.extra, ["d"]);
        let mut outcome = Outcome::new("r", (1, 1), true);
        let only = DriftConfig { columns: vec!["a".into(), "zz".into()], ..DriftConfig::default() };
        assert_eq!(pair(&reference, &current, &only, &mut outcome).pairs.len(), 1);
        assert_eq!(outcome.comparison.gaps.len(), 1);
    }
}
