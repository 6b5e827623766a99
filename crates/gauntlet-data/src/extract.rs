//! The extractor: one pass over the data files, whatever the number of questions.

mod files;
mod profile;

pub use profile::profile_facts;

use std::num::NonZero;
use std::sync::Arc;

use gauntlet_core::{Context, Extractor, Facts, Location, MaskKey, Masked, SkipCode, Target};
use gauntlet_sketch::SketchOptions;

use crate::checks::{CONTRACT, INGEST, MANIFEST, PERSONAL_DATA, PROTECTION};
use crate::config::{DatasetConfig, side_file};
use crate::contract::Contract;
use crate::facts::{
    ColumnFact, ConsentFact, ContractFact, DamageFact, FileFact, Format, ManifestFact, PersonalFact, RowSample,
    RuleFact, SideFile, TableFact,
};
use crate::manifest::Manifest;
use crate::personal::Kind;
use crate::scan::{self, Answers, FirstRows, Questions, searched};
use crate::table::{FileDigest, Problem, Source, Table, family, format_of, place};

/// Raised whenever facts change.
const VERSION: u32 = 2;
/// The checks that this extractor serves.
const CHECKS: [&str; 5] = [MANIFEST, CONTRACT, PERSONAL_DATA, INGEST, PROTECTION];
/// Threads of one scan at most.
const MAX_PARTITIONS: usize = 64;
/// Numbers up to this size identify nobody and are shown; everything else is masked.
const SHOWN_BELOW: f64 = 10_000.0;

/// Reads datasets.
#[derive(Debug)]
pub(crate) struct DataExtractor;

impl Extractor for DataExtractor {
    fn name(&self) -> &'static str {
        "data"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        extract(target, context, cores.min(MAX_PARTITIONS))
    }
}

/// As [`DataExtractor::extract`], in a given number of pieces; the answer does not depend on it.
pub(crate) fn extract(target: &Target<'_>, context: &Context<'_>, partitions: usize) -> Facts {
    let mut facts = Facts::new("data", VERSION);
    for check in CHECKS {
        facts.coverage_mut(check);
    }
    match DatasetConfig::of(target.config) {
        Ok(config) => Pass { target, context, config, facts: &mut facts }.run(partitions),
        Err(error) => {
            for check in CHECKS {
                facts.coverage_mut(check).skip("", None, SkipCode::Malformed, format!("configuration: {error}"));
            }
        }
    }
    facts.normalise();
    facts
}

struct Pass<'a> {
    target: &'a Target<'a>,
    context: &'a Context<'a>,
    config: DatasetConfig,
    facts: &'a mut Facts,
}

impl<'a> Pass<'a> {
    fn run(mut self, partitions: usize) {
        let manifest = self.manifest();
        let contract = self.contract();
        let files = self.sources();
        self.not_read(&files, contract.is_some());
        let (mut table, mut problems) = self.table(&files);
        if let Some(contract) = &contract {
            table.apply_types(contract);
        }
        let table = Arc::new(table);
        let consent =
            manifest.as_ref().and_then(|m| m.consent.column.as_deref().map(|c| (c, m.consent.allowed.as_slice())));
        let column = consent.and_then(|(name, allowed)| table.column(name).map(|i| (i, allowed)));
        let mut answers = Answers::default();
        let usual = SketchOptions::default();
        if !table.files.is_empty() {
            let questions = Questions {
                contract: contract.as_ref(),
                consent: column,
                sketch: Some(&usual),
                personal: true,
                partitions,
            };
            match scan::run(&table, &questions) {
                Ok(found) => answers = found,
                Err(error) => {
                    let what: String = error.to_string().chars().take(300).collect();
                    self.skip_all("", SkipCode::Limit, &format!("the scan stopped: {what}"));
                    answers.nulls.clear();
                }
            }
        }
        problems.append(&mut answers.problems);
        if let Some((name, _)) = consent {
            self.consent(name, column.is_some(), &answers, &table);
        }
        let hashes = self.files(&files, &table, &answers, &problems, manifest.is_some());
        if let Some(profile) = answers.profile.take() {
            self.profile(&profile, hashes.as_deref(), problems.is_empty());
        }
        self.hygiene(&files, &table, &answers, &problems);
        if !table.files.is_empty() || !problems.is_empty() {
            self.facts.push(
                CONTRACT,
                Location::default(),
                &TableFact { rows: answers.rows, complete: problems.is_empty() },
            );
            if answers.rows == 0 && problems.is_empty() {
                self.facts.coverage_mut(PERSONAL_DATA).skip("", None, SkipCode::Malformed, "the table has no rows");
            }
        }
        self.columns(&table, &answers);
        self.rules(&table, &answers);
        self.personal(&table, &answers);
        self.problems(problems, contract.is_some(), consent.is_some());
    }

    fn manifest(&mut self) -> Option<Manifest> {
        let parse = |file: &str, bytes: &[u8]| Manifest::parse(file, bytes).map_err(|error| vec![error]);
        let side = self.config.manifest.as_ref();
        let (file, skipped) = side_file(self.target.root, side, self.context.limits, parse);
        if let (Some((code, what)), Some(side)) = (skipped, side) {
            self.facts.coverage_mut(MANIFEST).skip(&side.path, None, code, what);
        }
        let content = file.content().cloned();
        self.facts.push(MANIFEST, Location::default(), &ManifestFact(file));
        content
    }

    fn contract(&mut self) -> Option<Contract> {
        let side = self.config.contract.as_ref();
        let (file, skipped) = side_file(self.target.root, side, self.context.limits, Contract::parse);
        if let (Some((code, what)), Some(side)) = (skipped, side) {
            self.facts.coverage_mut(CONTRACT).skip(&side.path, None, code, what);
        }
        if let SideFile::Invalid { path, .. } = &file {
            self.facts.coverage_mut(CONTRACT).skip(path, None, SkipCode::Malformed, "the contract cannot be read");
        }
        let content = file.content().cloned();
        self.facts.push(CONTRACT, Location::default(), &ContractFact(file));
        content
    }

    /// Files of other formats answer no question about cells.
    fn not_read(&mut self, files: &[Source], asked: bool) {
        for source in files.iter().filter(|source| format_of(source.name()) == Format::Other) {
            let what = "no table format that is read";
            self.facts.coverage_mut(PERSONAL_DATA).skip(&source.path, None, SkipCode::Unsupported, what);
            if asked {
                self.facts.coverage_mut(CONTRACT).skip(&source.path, None, SkipCode::Unsupported, what);
            }
        }
    }

    /// One fact a file; hashed when a manifest says what the hash has to be. Gives the digests when all were made.
    fn files(
        &mut self,
        files: &[Source],
        table: &Table,
        answers: &Answers,
        problems: &[Problem],
        hash: bool,
    ) -> Option<Vec<FileDigest>> {
        let mut digests = Vec::new();
        for source in files {
            let path = source.path.clone();
            let damaged = problems.iter().any(|p| p.path == path && p.rows == 0);
            let index = table.files.iter().position(|f| f.path == path).filter(|_| !damaged);
            let rows = index.and_then(|i| answers.file_rows.get(i).copied());
            let sha256 = if hash { self.hash(source) } else { None };
            if rows.is_some() {
                self.facts.coverage_mut(PERSONAL_DATA).looked_at += 1;
                self.facts.coverage_mut(CONTRACT).looked_at += 1;
            }
            if let Some(sha256) = &sha256 {
                let (path, sha256) = (path.clone(), sha256.clone());
                digests.push(FileDigest { path, sha256, size: source.size(), version: source.version() });
            }
            let location = match source.tree_file() {
                Some(file) => Location::file(&file.path),
                None => Location { path: Some(path.clone()), ..Location::default() },
            };
            let format = format_of(source.name());
            let fact = FileFact { path, sha256, size: source.size(), rows, format };
            self.facts.push(MANIFEST, location, &fact);
            if let Some(file) = source.tree_file() {
                self.context.progress.file_done(file);
            }
        }
        // A table of a database is no file.
        for (data, rows) in table.files.iter().zip(&answers.file_rows).filter(|(data, _)| data.source.is_none()) {
            self.facts.coverage_mut(PERSONAL_DATA).looked_at += 1;
            self.facts.coverage_mut(CONTRACT).looked_at += 1;
            let location = Location { path: Some(data.path.clone()), ..Location::default() };
            let path = data.path.clone();
            let fact = FileFact { path, sha256: None, size: 0, rows: Some(*rows), format: Format::Sql };
            self.facts.push(MANIFEST, location, &fact);
        }
        digests.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        (hash && !files.is_empty() && digests.len() == files.len()).then_some(digests)
    }

    fn consent(&mut self, column: &str, present: bool, answers: &Answers, table: &Table) {
        let (failing, first) = match &answers.consent {
            Some(rows) => (rows.count, self.samples(rows, table, false)),
            None => (0, Vec::new()),
        };
        let nulls = table.column(column).and_then(|i| answers.nulls.get(i)).copied().unwrap_or(0);
        let fact = ConsentFact { column: column.to_owned(), present, rows: answers.rows, nulls, failing, first };
        self.facts.push(MANIFEST, Location::default().in_field(column), &fact);
    }

    fn columns(&mut self, table: &Table, answers: &Answers) {
        for (i, column) in table.columns.iter().enumerate() {
            let family = family(&column.stored).map_or("other", |f| if column.text_file { "text" } else { f.as_str() });
            let nested = column.stored.is_nested();
            if nested {
                let what = format!("column `{}` is nested ({})", column.name, column.stored);
                let path = table.files.first().map_or(String::new(), |f| f.path.clone());
                self.facts.coverage_mut(PERSONAL_DATA).skip(path, None, SkipCode::Unsupported, what);
            }
            let fact = ColumnFact {
                name: column.name.clone(),
                position: i as u64,
                data_type: column.stored.to_string(),
                family: family.to_owned(),
                nulls: answers.nulls.get(i).copied().unwrap_or(0),
                searched: searched(&column.scanned),
            };
            self.facts.push(CONTRACT, Location::default().in_field(&column.name), &fact);
        }
    }

    fn rules(&mut self, table: &Table, answers: &Answers) {
        for (rule, evaluated, failing) in &answers.rules {
            let column = &table.columns[rule.column];
            let fact = RuleFact {
                column: column.name.clone(),
                rule: rule.name.to_owned(),
                expected: rule.expected.clone(),
                evaluated: *evaluated,
                nulls: answers.nulls[rule.column],
                failing: failing.count,
                accepted: rule.accepted,
                severity: rule.severity,
                first: self.samples(failing, table, column.rule_type().is_numeric()),
            };
            self.facts.push(CONTRACT, Location::default().in_field(&column.name), &fact);
        }
    }

    fn personal(&mut self, table: &Table, answers: &Answers) {
        for (i, seen) in &answers.personal {
            let name = &table.columns[*i].name;
            for kind in Kind::ALL {
                let hits = &seen.hits[kind.index()];
                if hits.count == 0 {
                    continue;
                }
                let fact = PersonalFact {
                    column: name.clone(),
                    kind,
                    values: answers.rows - answers.nulls[*i],
                    hits: hits.count,
                    whole: seen.whole[kind.index()],
                    digit_runs: seen.digit_runs,
                    first: self.samples(hits, table, false),
                };
                self.facts.push(PERSONAL_DATA, Location::default().in_field(name), &fact);
            }
        }
    }

    /// A file that was not read to the end answers no question that needs its rows.
    fn problems(&mut self, problems: Vec<Problem>, contract: bool, consent: bool) {
        for problem in problems {
            let asked = [(PERSONAL_DATA, true), (CONTRACT, contract), (MANIFEST, consent)];
            for (check, _) in asked.into_iter().filter(|(_, asked)| *asked) {
                self.facts.coverage_mut(check).skip(&problem.path, None, problem.code, &problem.what);
            }
            let location = Location { path: Some(problem.path), ..Location::default() };
            let fact = DamageFact { what: problem.what, rows: problem.rows, schema: problem.schema };
            self.facts.push(CONTRACT, location, &fact);
        }
    }

    fn samples(&self, rows: &FirstRows, table: &Table, numeric: bool) -> Vec<RowSample> {
        let sample = |(&position, value): (&u64, &String)| {
            let (file, row) = place(position);
            let path = table.files.get(file).map_or(String::new(), |f| f.path.clone());
            RowSample { path, row, sample: masked(value, numeric, self.context.mask) }
        };
        rows.first.iter().map(sample).collect()
    }

    fn skip_all(&mut self, path: &str, code: SkipCode, what: &str) {
        for check in CHECKS {
            self.facts.coverage_mut(check).skip(path, None, code, what);
        }
    }
}

/// Short numbers of numeric columns as they are, everything else masked.
fn masked(value: &str, numeric: bool, key: &MaskKey) -> String {
    let shown = value == "null"
        || numeric && value.len() <= 8 && value.parse::<f64>().is_ok_and(|n| n.abs() < SHOWN_BELOW || n.is_nan());
    if shown { value.to_owned() } else { Masked::new(value, 2, key).as_str().to_owned() }
}
