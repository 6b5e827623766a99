//! The extractor's part for `data/poisoning`, `data/duplicates` and `data/leakage`.

use std::path::Path;
use std::sync::Arc;

use gauntlet_core::{Context, Extractor, Facts, SkipCode, Target};
use gauntlet_poisoning::hash64;

use super::Pass;
use crate::checks::{DUPLICATES, LEAKAGE, POISONING};
use crate::config::DatasetConfig;
use crate::drift::{ReferenceConfig, reference_file};
use crate::facts::{Format, KEPT_ROWS};
use crate::manifest::Manifest;
use crate::poisoning::{self, Inquiry};
use crate::table::{Identities, Source, Table, format_of, open_all};

const CHECKS: [&str; 3] = [POISONING, DUPLICATES, LEAKAGE];

/// Looks at what rows say about each other, and at nothing else.
#[derive(Debug)]
pub(crate) struct PoisoningExtractor;

impl Extractor for PoisoningExtractor {
    fn name(&self) -> &'static str {
        "data-poisoning"
    }

    fn version(&self) -> u32 {
        1
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let mut facts = Facts::new(self.name(), self.version());
        match DatasetConfig::of(target.config) {
            Ok(config) => {
                let mut pass = Pass { target, context, config, facts: &mut facts };
                let files = pass.sources();
                let (table, problems) = pass.table(&files);
                for problem in problems {
                    pass.skip(&problem.path, problem.code, &problem.what);
                }
                for source in files.iter().filter(|source| format_of(source.name()) == Format::Other) {
                    pass.skip(&source.path, SkipCode::Unsupported, "no table that is read");
                }
                pass.examine(None, &Arc::new(table));
            }
            Err(error) => {
                for check in CHECKS {
                    facts.coverage_mut(check).skip("", None, SkipCode::Malformed, format!("configuration: {error}"));
                }
            }
        }
        facts.coverage.retain(|check, _| CHECKS.contains(&check.as_str()));
        facts.normalise();
        facts
    }
}

impl Pass<'_> {
    /// Examines the table where the configuration or the manifest says what its columns are.
    pub(super) fn poisoning(&mut self, manifest: Option<&Manifest>, table: &Arc<Table>) {
        let labelled = self.config.label.is_some() || manifest.and_then(|m| m.label.as_ref()).is_some();
        if table.files.is_empty()
            || self.config.contract_only
            || !labelled && !self.config.poisoning.clone().with_manifest(manifest).asks()
        {
            return;
        }
        self.examine(manifest, table);
    }

    /// Looks for rows, ids and groups that this dataset shares with the one that is trained on.
    pub(super) fn held_out(&mut self, manifest: Option<&Manifest>, table: &Table) {
        let Some(train) = self.config.held_out_from.clone().filter(|_| !self.config.contract_only) else { return };
        self.facts.coverage_mut(LEAKAGE);
        match self.shared_with(&train, manifest, table) {
            Ok(()) => self.facts.coverage_mut(LEAKAGE).looked_at += table.files.len() as u64,
            Err((path, code, what)) => self.facts.coverage_mut(LEAKAGE).skip(&path, None, code, what),
        }
    }

    fn shared_with(
        &mut self,
        train: &ReferenceConfig,
        manifest: Option<&Manifest>,
        table: &Table,
    ) -> Result<(), (String, SkipCode, String)> {
        let unread = |path: &str, code, what: String| (path.to_owned(), code, format!("{}: {what}", train.name));
        let identities = Identities::given().map_err(|error| unread("", SkipCode::Unreadable, error.to_string()))?;
        let mut sources: Vec<Source> = table.files.iter().filter_map(|file| file.source.clone()).collect();
        if sources.is_empty() || sources.len() != table.files.len() {
            return Err(unread("", SkipCode::Unsupported, "there are no files here to compare it with".to_owned()));
        }
        let mut config = self.config.poisoning.clone().with_manifest(manifest);
        config.split = None;
        config.splits = sources.iter().map(|source| (source.path.clone(), "held out".to_owned())).collect();
        for side in &train.files {
            let file = reference_file(self.target.root, side, self.context)
                .map_err(|(code, what)| unread(&side.path, code, what))?;
            let source =
                Source::local(self.target.root, &file, self.context.limits).with_identities(identities.clone());
            if format_of(source.name()) != Format::Other {
                config.splits.insert(source.path.clone(), format!("train ({})", train.name));
                sources.push(source);
            }
        }
        let (both, problems) = Table::from_sources(sources);
        if let Some(problem) = problems.into_iter().next() {
            return Err((
                problem.path,
                problem.code,
                format!("cannot be compared with {}: {}", train.name, problem.what),
            ));
        }
        let label = self.config.label.clone().or_else(|| manifest.and_then(|m| m.label.as_ref()?.column.clone()));
        let inquiry = Inquiry {
            config: &config,
            label: label.as_deref(),
            keep: config.keep.or(config.row_findings).unwrap_or(KEPT_ROWS),
            seed: 0,
            mask: self.context.mask,
            embedding: None,
            predictions: None,
        };
        let both = Arc::new(both);
        let examined = poisoning::overlaps(&both, &inquiry).map_err(|what| unread("", SkipCode::Malformed, what))?;
        if let Some(problem) = examined.problems.into_iter().next() {
            return Err((problem.path, problem.code, problem.what));
        }
        for suspects in &examined.suspects {
            poisoning::push_suspects(self.facts, &both, suspects);
        }
        Ok(())
    }

    fn examine(&mut self, manifest: Option<&Manifest>, table: &Arc<Table>) {
        for check in CHECKS {
            self.facts.coverage_mut(check);
        }
        if table.files.is_empty() {
            return;
        }
        let config = self.config.poisoning.clone().with_manifest(manifest);
        let label = self.config.label.clone().or_else(|| manifest.and_then(|m| m.label.as_ref()?.column.clone()));
        let beside = |file: &Option<String>| -> Result<Option<Arc<Table>>, String> {
            let Some(file) = file else { return Ok(None) };
            let path = Path::new(file);
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(format!("{file} names no file"));
            };
            let folder = self.target.root.join(folder);
            open_all(&folder, &[name.into()], self.context.limits).map(Some).map_err(|e| e.to_string())
        };
        // Who writes the data shall not know which rows the sample holds before they are written.
        let digest = serde_json::to_string(&self.target.subject.digest).unwrap_or_default();
        let seed = hash64(digest.as_bytes(), 0);
        let answer = beside(&config.embedding_file).and_then(|embedding| {
            let predictions = beside(&config.predictions)?;
            let inquiry = Inquiry {
                config: &config,
                label: label.as_deref(),
                keep: config.keep.or(config.row_findings).unwrap_or(KEPT_ROWS),
                seed,
                mask: self.context.mask,
                embedding: embedding.as_ref(),
                predictions: predictions.as_ref(),
            };
            poisoning::examine(table, &inquiry)
        });
        match answer {
            Ok(examined) => {
                for problem in &examined.problems {
                    self.skip(&problem.path, problem.code, &problem.what);
                }
                if examined.rows == 0 && examined.problems.is_empty() {
                    self.skip("", SkipCode::Malformed, "the table has no rows");
                } else if examined.problems.is_empty() {
                    for check in CHECKS {
                        self.facts.coverage_mut(check).looked_at += table.files.len() as u64;
                    }
                    poisoning::push(self.facts, table, &examined);
                }
            }
            Err(what) => self.skip("", SkipCode::Malformed, &what),
        }
    }

    fn skip(&mut self, path: &str, code: SkipCode, what: &str) {
        for check in CHECKS {
            self.facts.coverage_mut(check).skip(path, None, code, what);
        }
    }
}
