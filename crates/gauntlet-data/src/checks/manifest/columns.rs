//! The columns that a manifest names, and those that a feature store or schema declares, held against the table's.

use gauntlet_core::{Facts, Location, SkipCode};

use super::super::facts_of;
use super::{Manifested, add, add_at, at_path, given};
use crate::declared::{DeclaredColumn, DeclaredSchema};
use crate::facts::{ColumnFact, SchemaFact, SideFile};

/// Findings of one sort; more are counted.
const MOST: usize = 50;

impl Manifested<'_> {
    /// Columns that the manifest gives a class, a treatment or a role have to exist.
    pub(super) fn columns(&mut self, facts: &Facts) {
        let there: Vec<ColumnFact> = facts_of(facts, self.out).into_iter().map(|(_, fact)| fact).collect();
        if there.is_empty() {
            return;
        }
        let manifest = self.manifest;
        let mut named: Vec<(String, &str)> = Vec::new();
        for column in manifest.classification.columns.keys() {
            named.push((format!("classification.columns.{column}"), column));
        }
        for (field, columns) in [("ids", &manifest.ids), ("groups", &manifest.groups)] {
            named.extend(columns.iter().enumerate().map(|(i, column)| (format!("{field}.{i}"), column.as_str())));
        }
        let label = manifest.label.as_ref().and_then(|label| label.column.as_deref());
        named.extend(given(label).map(|column| ("label.column".to_owned(), column)));
        named.extend(given(manifest.time.as_deref()).map(|column| ("time".to_owned(), column)));
        for (field, column) in named {
            if !there.iter().any(|c| c.name == column) {
                let shown: String = column.chars().take(64).collect();
                let near = gauntlet_core::nearest(column, there.iter().map(|c| c.name.as_str()));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                self.add("unknown-column", &field, format!("the table has no column `{shown}`{hint}"));
            }
        }
    }

    /// What a feature store, an MLflow model or a TFX schema declares.
    pub(super) fn schema(&mut self, facts: &Facts) {
        let there: Vec<ColumnFact> = facts_of(facts, self.out).into_iter().map(|(_, fact)| fact).collect();
        for (_, fact) in facts_of::<SchemaFact>(facts, self.out) {
            match fact.0 {
                SideFile::Read { path, content, .. } if there.is_empty() => {
                    let what = format!("no column of the table could be held against {}", content.origin);
                    self.out.coverage.skip(path, None, SkipCode::Unreadable, what);
                }
                SideFile::Read { path, content, .. } => self.compare(&path, &content, &there),
                SideFile::Invalid { path, problems } => {
                    for (line, message) in problems {
                        add(self.out, "unreadable-schema", Location { line, ..at_path(&path) }, message);
                    }
                }
                SideFile::Missing | SideFile::Unread => {}
            }
        }
    }

    fn compare(&mut self, path: &str, declared: &DeclaredSchema, there: &[ColumnFact]) {
        let mut found: Vec<(&str, &DeclaredColumn, String)> = Vec::new();
        for column in &declared.columns {
            let name: String = column.name.chars().take(64).collect();
            let Some(here) = there.iter().find(|c| c.name == column.name) else {
                if column.required {
                    let what =
                        format!("{} declares the column `{name}`, which the table does not have", declared.origin);
                    found.push(("schema-mismatch", column, what));
                }
                continue;
            };
            // Cells of CSV are text whatever they mean; the contract says what they are.
            if let Some(family) = &column.family
                && here.family != "text"
                && *family != here.family
                && !(family == "float" && here.family == "integer")
            {
                let what = format!("{} declares `{name}` as {family}; the table has {}", declared.origin, here.family);
                found.push(("schema-mismatch", column, what));
            }
            if let Some(class) = column.class
                && let ours = self.manifest.class_of(&column.name)
                && ours.is_none_or(|ours| ours < class)
            {
                let ours = ours.map_or("not at all", crate::manifest::Class::as_str);
                let what = format!(
                    "{} classifies `{name}` as {}; the manifest classifies it {}{ours}",
                    declared.origin,
                    class.as_str(),
                    if ours == "not at all" { "" } else { "as " }
                );
                found.push(("weaker-class", column, what));
            }
        }
        let more = found.len().saturating_sub(MOST);
        for (rule, column, what) in found.into_iter().take(MOST) {
            let place = Location { line: column.line, ..at_path(path).in_field(&column.name) };
            add_at(self.out, rule, place, what, column.name.clone());
        }
        if more > 0 {
            add(
                self.out,
                "schema-mismatch",
                at_path(path),
                format!("{more} more columns differ from {}", declared.origin),
            );
        }
        let ours = self.manifest.label.as_ref().and_then(|label| given(label.column.as_deref()));
        if let (Some(theirs), Some(ours)) = (declared.label.as_deref(), ours)
            && theirs != ours
        {
            let what = format!("{} names the label `{theirs}`, the manifest `{ours}`", declared.origin);
            add(self.out, "schema-mismatch", at_path(path).in_field("label"), what);
        }
    }
}
