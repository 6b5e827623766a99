//! The extractor: one pass over the data files, whatever the number of questions.

pub(crate) mod people;

use std::num::NonZero;
use std::sync::Arc;

use gauntlet_core::{Context, Extractor, Facts, Location, MaskKey, Masked, SkipCode, Target, TreeFile, display_path};

use crate::checks::{CONTRACT, MANIFEST, PERSONAL_DATA, SECRETS};
use crate::config::{DatasetConfig, side_file};
use crate::contract::Contract;
use crate::declared::side_schema;
use crate::facts::{
    ColumnFact, ContractFact, DamageFact, FileFact, Format, ManifestFact, PersonalFact, RowSample, RuleFact,
    SchemaFact, SecretFact, SideFile, TableFact,
};
use crate::manifest::Manifest;
use crate::personal::Kind;
use crate::scan::{self, Answers, FirstRows, Questions, searched};
use crate::table::{Problem, Table, family, format_of, place};

/// Raised whenever facts change.
const VERSION: u32 = 2;
/// The checks that this extractor serves.
const CHECKS: [&str; 4] = [MANIFEST, CONTRACT, PERSONAL_DATA, SECRETS];
/// Those that look into cells.
const CELLS: [&str; 2] = [PERSONAL_DATA, SECRETS];
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
        self.schema();
        let files = self.data_files(contract.is_some());
        let read: Vec<_> = files.iter().filter(|(_, format)| *format != Format::Other).copied().collect();
        let (mut table, mut problems) = Table::open(self.target.root, &read, self.context.limits);
        if let Some(contract) = &contract {
            table.apply_types(contract);
        }
        let table = Arc::new(table);
        let mut answers = Answers::default();
        if !table.files.is_empty() {
            let asked = people::questions(manifest.as_ref(), &table);
            let questions = Questions { contract: contract.as_ref(), people: asked, partitions };
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
        self.people(manifest.as_ref(), &table, &answers);
        self.files(&files, &table, &answers, &problems, manifest.is_some());
        if !read.is_empty() {
            self.facts.push(
                CONTRACT,
                Location::default(),
                &TableFact { rows: answers.rows, complete: problems.is_empty() },
            );
            if answers.rows == 0 && problems.is_empty() {
                for check in CELLS {
                    self.facts.coverage_mut(check).skip("", None, SkipCode::Malformed, "the table has no rows");
                }
            }
        }
        self.columns(&table, &answers);
        self.rules(&table, &answers);
        self.personal(&table, &answers);
        self.problems(problems, contract.is_some(), people::asked(manifest.as_ref()));
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

    fn schema(&mut self) {
        let side = self.config.schema.as_ref();
        let (file, skipped) = side_schema(self.target.root, side, self.context.limits);
        if let (Some((code, what)), Some(side)) = (skipped, side) {
            self.facts.coverage_mut(MANIFEST).skip(&side.path, None, code, what);
        }
        self.facts.push(MANIFEST, Location::default(), &SchemaFact(file));
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

    /// The data files with their formats. The side files may lie in the same folder and are no data.
    fn data_files(&mut self, asked: bool) -> Vec<(&'a TreeFile, Format)> {
        let sides: Vec<String> = [&self.config.manifest, &self.config.contract, &self.config.schema]
            .into_iter()
            .flatten()
            .map(|s| s.path.clone())
            .collect();
        let mut out = Vec::new();
        for file in &self.target.tree.files {
            let path = display_path(&file.path).0;
            if sides.contains(&path) {
                self.skip_all(&path, SkipCode::Ignored, "the dataset's own description");
                continue;
            }
            let format = format_of(&file.path);
            if format == Format::Other {
                let what = "only CSV, TSV and Parquet are read as tables";
                for check in CELLS {
                    self.facts.coverage_mut(check).skip(&path, None, SkipCode::Unsupported, what);
                }
                if asked {
                    self.facts.coverage_mut(CONTRACT).skip(&path, None, SkipCode::Unsupported, what);
                }
            }
            out.push((file, format));
        }
        out
    }

    /// One fact a file; hashed when a manifest says what the hash has to be.
    fn files(
        &mut self,
        files: &[(&TreeFile, Format)],
        table: &Table,
        answers: &Answers,
        problems: &[Problem],
        hash: bool,
    ) {
        for (file, format) in files {
            let path = display_path(&file.path).0;
            let damaged = problems.iter().any(|p| p.path == path && p.rows == 0);
            let index = table.files.iter().position(|f| f.tree.path == file.path).filter(|_| !damaged);
            let rows = index.and_then(|i| answers.file_rows.get(i).copied());
            let sha256 = if hash { self.hash(file, &path) } else { None };
            if rows.is_some() {
                for check in [PERSONAL_DATA, SECRETS, CONTRACT] {
                    self.facts.coverage_mut(check).looked_at += 1;
                }
            }
            let fact = FileFact { path, sha256, size: file.size, rows, format: *format };
            self.facts.push(MANIFEST, Location::file(&file.path), &fact);
            self.context.progress.file_done(file);
        }
    }

    fn hash(&mut self, file: &TreeFile, path: &str) -> Option<String> {
        let coverage = self.facts.coverage_mut(MANIFEST);
        match file.sha256(self.target.root) {
            Ok(hash) => {
                coverage.looked_at += 1;
                Some(hex::encode(hash))
            }
            Err(error) => {
                coverage.skip(path, None, SkipCode::Unreadable, error.to_string());
                None
            }
        }
    }

    fn columns(&mut self, table: &Table, answers: &Answers) {
        for (i, column) in table.columns.iter().enumerate() {
            let family = family(&column.stored).map_or("other", |f| if column.text_file { "text" } else { f.as_str() });
            let nested = column.stored.is_nested();
            if nested {
                let what = format!("column `{}` is nested ({})", column.name, column.stored);
                let path = table.files.first().map_or(String::new(), |f| f.path.clone());
                for check in CELLS {
                    self.facts.coverage_mut(check).skip(&path, None, SkipCode::Unsupported, &what);
                }
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
            for (title, secret) in &seen.secrets {
                for (proven, hits) in [(true, &secret.proven), (false, &secret.likely)] {
                    if hits.count == 0 {
                        continue;
                    }
                    let fact = SecretFact {
                        column: name.clone(),
                        kind: secret.kind.clone(),
                        title: title.clone(),
                        proven,
                        values: answers.rows - answers.nulls[*i],
                        hits: hits.count,
                        first: self.samples(hits, table, false),
                    };
                    self.facts.push(SECRETS, Location::default().in_field(name), &fact);
                }
            }
        }
    }

    /// A file that was not read to the end answers no question that needs its rows.
    fn problems(&mut self, problems: Vec<Problem>, contract: bool, people: bool) {
        for problem in problems {
            let asked = [(PERSONAL_DATA, true), (SECRETS, true), (CONTRACT, contract), (MANIFEST, people)];
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
