//! Columns that give the label away.

use arrow::array::{Array, ArrayRef};
use gauntlet_poisoning::{column_auc, hash64, told};

use super::Examined;
use super::cells::texts;
use super::config::Roles;
use super::features::{Features, Kind};
use super::sample::{Labels, Sample};
use super::suspects::{Kept, Suspects};
use crate::table::Table;

/// Area under the curve, or share of what there is to know of the label, above which a column is the label in disguise.
const LEAK: f64 = 0.98;
/// Letters from which a label's name inside another name means something.
const NAME: usize = 3;
/// Missing values, and others, from which their place may say something.
const MISSING: usize = 5;

/// Names the columns that leak.
pub(super) fn target(
    table: &Table,
    roles: &Roles,
    sample: &Sample,
    features: &Features,
    labels: &Labels,
    out: &mut Examined,
) {
    let classes = labels.names.len();
    let label = roles.label.and_then(|i| table.columns.get(i)).map_or("", |c| c.name.as_str());
    let seen = labels.rows.len() as u64;
    for (&column, kind) in &features.kinds {
        let Some(name) = table.columns.get(column).map(|c| c.name.as_str()) else { continue };
        let found = match (kind, features.numbers.get(&column)) {
            (Kind::Number, Some(values)) => {
                let own: Vec<f64> = labels.rows.iter().filter_map(|&row| values.get(row).copied()).collect();
                column_auc(&own, &labels.classes, classes)
                    .ok()
                    .flatten()
                    .map(|auc| ("auc", auc, "one column alone ranks the classes"))
            }
            (Kind::Category, _) => sample.columns.get(column).and_then(texts).and_then(|values| {
                let all: Vec<u64> = values.iter().map(|v| v.map_or(0, |v| hash64(v.as_bytes(), 1))).collect();
                let own: Vec<u64> = labels.rows.iter().map(|row| all.get(*row).copied().unwrap_or(0)).collect();
                let information = told(&own, &labels.classes, classes).ok()?;
                Some(("information", information, "one column alone tells the classes"))
            }),
            _ => None,
        };
        let found = found.filter(|(_, value, _)| *value > LEAK).or_else(|| {
            let auc = missing(sample.columns.get(column)?, features.numbers.get(&column), labels)?;
            Some(("auc", auc, "whether it has a value tells the classes"))
        });
        if let Some((figure, value, why)) = found.filter(|(_, value, _)| *value > LEAK) {
            let what = format!("`{name}` gives the label away: {why} ({value:.3})");
            let found = Suspects::new("leakage/target-leak", what, Kept::new(0), seen);
            out.suspects.push(found.column(name).figure(figure, value));
        }
        let plain =
            |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
        if plain(label).len() >= NAME && plain(name).contains(&plain(label)) {
            let what = format!("`{name}` is called like the label `{label}`");
            out.suspects.push(Suspects::new("leakage/label-in-name", what, Kept::new(0), seen).column(name));
        }
    }
}

/// How well it separates the classes whether the column has a value.
fn missing(array: &ArrayRef, numbers: Option<&Vec<f64>>, labels: &Labels) -> Option<f64> {
    let gap = |row: usize| match numbers {
        Some(numbers) => numbers.get(row).is_none_or(|value| value.is_nan()),
        None => row >= array.len() || array.is_null(row),
    };
    let gaps: Vec<f64> = labels.rows.iter().map(|&row| if gap(row) { 1.0 } else { 0.0 }).collect();
    let missing = gaps.iter().filter(|gap| **gap > 0.5).count();
    if missing < MISSING || gaps.len() - missing < MISSING {
        return None;
    }
    column_auc(&gaps, &labels.classes, labels.names.len()).ok().flatten()
}
