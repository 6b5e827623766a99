//! What the poisoning, duplicates and leakage checks are told about a table, and which columns that are.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::nearest;
use serde::{Deserialize, Serialize};

use crate::config::SideRef;
use crate::facts::Format;
use crate::manifest::Manifest;
use crate::table::{Table, format_of};

/// Rows that model-based methods look at by default; every pair of them is compared.
pub const SAMPLE_ROWS: usize = 50_000;

/// Settings of the checks `data/poisoning`, `data/duplicates` and `data/leakage`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoisoningConfig {
    /// Columns that identify a row or an entity; no features.
    pub ids: Vec<String>,
    /// Columns that keep rows together when data is split.
    pub groups: Vec<String>,
    /// The column with the time of a row.
    pub time: Option<String>,
    /// The column that names the split of a row.
    pub split: Option<String>,
    /// Split by file, when no column names it: path to name.
    pub splits: BTreeMap<String, String>,
    /// Columns of free text; found by their look when none is named.
    pub text: Vec<String>,
    /// The column of embeddings, lists of one length.
    pub embedding: Option<String>,
    /// A file of embeddings, one a row of the table.
    pub embedding_file: Option<SideRef>,
    /// A file of predicted probabilities, one row a row and one column a class.
    pub predictions: Option<SideRef>,
    /// The column that says where a row comes from.
    pub source: Option<String>,
    /// Width in pixels, when the numeric columns are an image.
    pub image_width: Option<usize>,
    /// Findings of single rows, so many for each rule; without it one finding sums the rows up.
    pub row_findings: Option<usize>,
    /// Rows of each rule that facts keep; as many as findings when not given.
    pub keep: Option<usize>,
    /// Rows that model-based methods look at; 50,000 when not given.
    pub sample: Option<usize>,
}

/// Columns by what they are for.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub(super) label: Option<usize>,
    pub(super) ids: Vec<usize>,
    pub(super) groups: Vec<usize>,
    pub(super) time: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) text: Vec<usize>,
    pub(super) embedding: Option<usize>,
    pub(super) source: Option<usize>,
    /// Whether every row is a picture.
    pub(super) pictures: bool,
    /// Split of each file of the table.
    pub(super) file_splits: Vec<Option<String>>,
    /// Everything else, in order.
    pub(super) features: Vec<usize>,
}

impl PoisoningConfig {
    /// Adds what the manifest says and nothing here contradicts.
    pub(crate) fn with_manifest(mut self, manifest: Option<&Manifest>) -> Self {
        let Some(manifest) = manifest else { return self };
        if self.ids.is_empty() {
            self.ids.clone_from(&manifest.ids);
        }
        if self.groups.is_empty() {
            self.groups.clone_from(&manifest.groups);
        }
        if self.time.is_none() {
            self.time.clone_from(&manifest.time);
        }
        if self.splits.is_empty() && self.split.is_none() {
            let named = manifest.files.iter().filter_map(|f| Some((f.path.clone(), f.split.clone()?)));
            self.splits = named.collect();
        }
        self
    }

    /// Whether anything says what to look for.
    pub(crate) fn asks(&self) -> bool {
        *self != Self::default()
    }

    /// The columns of the table.
    ///
    /// # Errors
    /// A column that the table does not have, with the nearest that it has.
    pub(super) fn roles(&self, table: &Table, label: Option<&str>) -> Result<Roles, String> {
        let find = |name: &str| {
            table.column(name).ok_or_else(|| {
                let hint = nearest(name, table.columns.iter().map(|c| c.name.as_str()));
                let hint = hint.map(|n| format!("; `{n}` looks like it")).unwrap_or_default();
                format!("there is no column `{name}`{hint}")
            })
        };
        let one = |name: &Option<String>| name.as_deref().map(find).transpose();
        let all = |names: &[String]| names.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>();
        let mut roles = Roles {
            label: label.map(find).transpose()?,
            ids: all(&self.ids)?,
            groups: all(&self.groups)?,
            time: one(&self.time)?,
            split: one(&self.split)?,
            text: all(&self.text)?,
            embedding: one(&self.embedding)?,
            source: one(&self.source)?,
            ..Roles::default()
        };
        // A manifest's paths are relative to its folder, which lies at or below the root.
        let split_of = |path: &str| {
            let exact = self.splits.get(path);
            let named = || self.splits.iter().filter(|(p, _)| path.ends_with(&format!("/{p}")));
            let below = || named().max_by_key(|(p, _)| p.len()).map(|(_, s)| s);
            exact.or_else(below).cloned()
        };
        roles.file_splits = table.files.iter().map(|file| split_of(&file.path)).collect();
        roles.pictures = table
            .files
            .iter()
            .all(|file| file.source.as_ref().is_some_and(|source| format_of(source.name()) == Format::Picture));
        // Where a picture lies says nothing of what it shows.
        let place = |name: &&str| roles.pictures && *name != "size" && *name != "sha256";
        let places = table.columns.iter().map(|c| c.name.as_str()).enumerate().filter(|(_, name)| place(name));
        let taken: BTreeSet<usize> = roles
            .ids
            .iter()
            .copied()
            .chain([roles.label, roles.split, roles.source, roles.embedding].into_iter().flatten())
            .chain(places.map(|(i, _)| i))
            .collect();
        roles.features = (0..table.columns.len()).filter(|i| !taken.contains(i)).collect();
        Ok(roles)
    }
}

impl Roles {
    /// Whether rows belong to splits that can be compared.
    pub(super) fn splits(&self) -> bool {
        let names: BTreeSet<&String> = self.file_splits.iter().flatten().collect();
        self.split.is_some() || names.len() > 1
    }
}

/// Whether the rows of a split are learnt from.
pub(super) fn is_train(split: &str) -> bool {
    let lower = split.to_ascii_lowercase();
    let lower = lower.trim();
    ["train", "learn"].iter().any(|start| lower.starts_with(start)) || ["tr", "fit"].contains(&lower)
}
