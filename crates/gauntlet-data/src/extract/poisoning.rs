//! The extractor's part for `data/poisoning`, `data/duplicates` and `data/leakage`.

use std::sync::Arc;

use gauntlet_core::{Context, Coverage, Extractor, Facts, SkipCode, Target};
use gauntlet_poisoning::hash64;

use super::Pass;
use crate::checks::{DUPLICATES, LEAKAGE, POISONING};
use crate::config::{DatasetConfig, SideRef};
use crate::drift::{ReferenceConfig, reference_file};
use crate::facts::{Format, KEPT_ROWS};
use crate::manifest::Manifest;
use crate::poisoning::{self, Inquiry, PoisoningConfig};
use crate::table::{Identities, Problem, Source, Table, format_of, partition_keys};

const CHECKS: [&str; 3] = [POISONING, DUPLICATES, LEAKAGE];
const NO_TABLE: &str = "no table format that is read";

/// Looks at what rows say about each other, and at nothing else.
#[derive(Debug)]
pub(crate) struct PoisoningExtractor;

impl Extractor for PoisoningExtractor {
    fn name(&self) -> &'static str {
        "data-poisoning"
    }

    fn version(&self) -> u32 {
        2
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let mut facts = Facts::new(self.name(), self.version());
        match DatasetConfig::of(target.config) {
            Ok(config) => {
                let mut pass = Pass { target, context, config, facts: &mut facts };
                let files = pass.sources();
                let (table, problems) = pass.table(&files);
                pass.not_examined(&CHECKS, &files, &problems);
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
    pub(super) fn poisoning(
        &mut self,
        manifest: Option<&Manifest>,
        files: &[Source],
        table: &Arc<Table>,
        problems: &[Problem],
    ) {
        let labelled = self.config.label.is_some() || manifest.and_then(|m| m.label.as_ref()).is_some();
        if self.config.contract_only || !labelled && !self.config.poisoning.clone().with_manifest(manifest).asks() {
            return;
        }
        self.not_examined(&CHECKS, files, problems);
        self.examine(manifest, table);
    }

    /// Rows of files that are not read answer no question of these checks.
    fn not_examined(&mut self, checks: &[&'static str], files: &[Source], problems: &[Problem]) {
        let mut unread: Vec<(&str, SkipCode, &str)> =
            problems.iter().map(|problem| (problem.path.as_str(), problem.code, problem.what.as_str())).collect();
        let others = files.iter().filter(|source| format_of(source.name()) == Format::Other);
        unread.extend(others.map(|source| (source.path.as_str(), SkipCode::Unsupported, NO_TABLE)));
        for (path, code, what) in unread {
            checks.iter().for_each(|check| self.skip_once(check, path, code, what));
        }
    }

    /// Says once what several passes over the same files come upon.
    fn skip_once(&mut self, check: &'static str, path: &str, code: SkipCode, what: &str) {
        let coverage = self.facts.coverage_mut(check);
        let mut one = Coverage::default();
        one.skip(path, None, code, what);
        if !one.skipped.iter().all(|skipped| coverage.skipped.contains(skipped)) {
            coverage.merge(one);
        }
    }

    /// Looks for rows, ids and groups that this dataset shares with the one that is trained on.
    pub(super) fn held_out(
        &mut self,
        manifest: Option<&Manifest>,
        files: &[Source],
        table: &Table,
        problems: &[Problem],
    ) {
        let Some(train) = self.config.held_out_from.clone().filter(|_| !self.config.contract_only) else { return };
        self.not_examined(&[LEAKAGE], files, problems);
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
        let config = PoisoningConfig { split: None, ..self.config.poisoning.clone().with_manifest(manifest) };
        let mut splits = vec![Some("held out".to_owned()); sources.len()];
        let keys = sources.first().map_or(0, |source| source.partitions.len());
        let sides: Vec<&str> =
            [&train.manifest, &train.contract].into_iter().flatten().map(|side| side.path.as_str()).collect();
        for side in train.files.iter().filter(|side| !sides.contains(&side.path.as_str())) {
            let file = reference_file(self.target.root, side, self.context)
                .map_err(|(code, what)| unread(&side.path, code, what))?;
            if format_of(&file.path) == Format::Other {
                let (path, code, what) = unread(&side.path, SkipCode::Unsupported, NO_TABLE.to_owned());
                self.facts.coverage_mut(LEAKAGE).skip(path, None, code, what);
                continue;
            }
            // The folders above the dataset may be called k=v, too.
            let mut partitions = partition_keys(&file.path);
            partitions.drain(..partitions.len().saturating_sub(keys));
            let source = Source::local(self.target.root, &file, self.context.limits)
                .with_partitions(partitions)
                .with_identities(identities.clone());
            splits.push(Some(format!("train ({})", train.name)));
            sources.push(source);
        }
        if splits.len() == table.files.len() {
            return Err(unread("", SkipCode::Unsupported, "has no file that is read as a table".to_owned()));
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
        let examined =
            poisoning::overlaps(&both, splits, &inquiry).map_err(|what| unread("", SkipCode::Malformed, what))?;
        if let Some(problem) = examined.problems.into_iter().next() {
            return Err((problem.path, problem.code, problem.what));
        }
        for (check, code, what) in examined.unjudged {
            self.facts.coverage_mut(check).skip("", None, code, format!("held out from {}: {what}", train.name));
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
            self.skip("", SkipCode::Unsupported, "there is no file that is read as a table");
            return;
        }
        let config = self.config.poisoning.clone().with_manifest(manifest);
        let label = self.config.label.clone().or_else(|| manifest.and_then(|m| m.label.as_ref()?.column.clone()));
        let beside = |file: &Option<SideRef>| {
            file.as_ref().map(|side| crate::others::table(self.target.root, side, self.context.limits)).transpose()
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
                    for (check, code, what) in &examined.unjudged {
                        self.facts.coverage_mut(check).skip("", None, *code, what);
                    }
                    poisoning::push(self.facts, table, &examined);
                }
            }
            Err(what) => self.skip("", SkipCode::Malformed, &what),
        }
    }

    fn skip(&mut self, path: &str, code: SkipCode, what: &str) {
        for check in CHECKS {
            self.skip_once(check, path, code, what);
        }
    }
}
