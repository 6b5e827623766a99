//! The extractor: one pass over the data files, whatever the number of questions.

mod files;
pub(crate) mod people;
mod poisoning;
mod profile;

pub use profile::profile_facts;

use std::num::NonZero;
use std::sync::Arc;

use gauntlet_core::{Context, Extractor, Facts, Limits, Location, MaskKey, Masked, SkipCode, Target, display_path};
use gauntlet_sketch::SketchOptions;

use crate::checks::{CONTRACT, DRIFT, INGEST, MANIFEST, PERSONAL_DATA, PROTECTION, SECRETS};
use crate::cluster::Cluster;
use crate::config::{DatasetConfig, side_file};
use crate::contract::{Contract, Test, seconds};
use crate::declared::side_schema;
use crate::facts::{
    ColumnFact, ContractFact, DamageFact, FileFact, Format, ManifestFact, Measured, OtherTableFact, PersonalFact,
    RowSample, RuleFact, SchemaFact, SecretFact, SideFile, TableFact,
};
use crate::manifest::Manifest;
use crate::personal::Kind;
use crate::scan::{self, Answers, Asked, FirstRows, MAX_CLASSES, Others, Questions, RuleAnswer, searched};
use crate::table::{FileDigest, Problem, Source, Table, family, format_of, place};
pub(crate) use poisoning::PoisoningExtractor;

/// Raised whenever facts change.
const VERSION: u32 = 4;
/// The checks that this extractor serves.
const CHECKS: [&str; 6] = [MANIFEST, CONTRACT, PERSONAL_DATA, SECRETS, INGEST, PROTECTION];
/// Those that look into cells.
const CELLS: [&str; 2] = [PERSONAL_DATA, SECRETS];
/// Threads of one scan at most.
const MAX_PARTITIONS: usize = 64;
/// Numbers up to this size identify nobody and are shown; everything else is masked.
const SHOWN_BELOW: f64 = 10_000.0;

/// Reads datasets.
#[derive(Debug)]
pub(crate) struct DataExtractor {
    /// Who reads tables instead of this process.
    pub(crate) cluster: Option<Arc<dyn Cluster>>,
}

impl Extractor for DataExtractor {
    fn name(&self) -> &'static str {
        "data"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        extract_on(target, context, cores.min(MAX_PARTITIONS), self.cluster.as_deref())
    }
}

/// As [`DataExtractor::extract`], in a given number of pieces; the answer does not depend on it.
#[cfg(test)]
pub(crate) fn extract(target: &Target<'_>, context: &Context<'_>, partitions: usize) -> Facts {
    extract_on(target, context, partitions, None)
}

/// As [`DataExtractor::extract`], in a given number of pieces and a cluster; the answer depends on neither.
pub(crate) fn extract_on(
    target: &Target<'_>,
    context: &Context<'_>,
    partitions: usize,
    cluster: Option<&dyn Cluster>,
) -> Facts {
    let mut facts = Facts::new("data", VERSION);
    for check in CHECKS {
        facts.coverage_mut(check);
    }
    match DatasetConfig::of(target.config) {
        Ok(config) => {
            if config.drift().reference.is_some() {
                facts.coverage_mut(DRIFT);
                crate::drift::compare_into(target, context, &config, &mut facts);
            }
            Pass { target, context, config, facts: &mut facts }.run(partitions, cluster);
        }
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
    fn run(mut self, partitions: usize, cluster: Option<&dyn Cluster>) {
        let manifest = self.manifest();
        let contract = self.contract();
        self.schema();
        let files = self.sources();
        self.not_read(&files, contract.is_some());
        let (mut table, mut problems) = self.table(&files);
        if let Some(contract) = &contract {
            table.apply_types(contract);
        }
        let table = Arc::new(table);
        let (others, unopened) = crate::others::open(self.target.root, &self.config.references, self.context.limits);
        let (mut answers, mut stopped) = (Answers::default(), false);
        let usual = SketchOptions::default();
        if !table.files.is_empty() {
            let questions = Questions {
                contract: contract.as_ref(),
                others: &others,
                personal: !self.config.contract_only,
                people: people::questions(manifest.as_ref(), &table),
                sketch: (!self.config.contract_only).then_some(&usual),
                partitions,
                cluster,
            };
            match scan::run(&table, &questions) {
                Ok(found) => answers = found,
                Err(error) => {
                    stopped = true;
                    let (code, what) = scan::words(&error);
                    self.skip_all("", code, &format!("the scan stopped: {what}"));
                    answers.nulls.clear();
                }
            }
        }
        problems.append(&mut answers.problems);
        for problem in unopened {
            self.facts.coverage_mut(CONTRACT).skip(&problem.path, None, problem.code, &problem.what);
        }
        self.others();
        self.people(manifest.as_ref(), &table, &answers);
        let hashes = self.files(&files, &table, &answers, &problems, manifest.is_some());
        if let Some(profile) = answers.profile.take() {
            self.profile(&profile, hashes.as_deref(), problems.is_empty());
        }
        self.hygiene(&files, &table, &answers, &problems);
        // Nothing is known about the rows of a scan that gave no answer.
        if !stopped && (!table.files.is_empty() || !problems.is_empty()) {
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
        self.poisoning(manifest.as_ref(), &files, &table, &problems);
        self.held_out(manifest.as_ref(), &files, &table, &problems);
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

    /// Files of other formats answer no question about cells.
    fn not_read(&mut self, files: &[Source], asked: bool) {
        for source in files.iter().filter(|source| format_of(source.name()) == Format::Other) {
            let what = "no table format that is read";
            for check in CELLS {
                self.facts.coverage_mut(check).skip(&source.path, None, SkipCode::Unsupported, what);
            }
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
                for check in [PERSONAL_DATA, SECRETS, CONTRACT] {
                    self.facts.coverage_mut(check).looked_at += 1;
                }
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
            for check in [PERSONAL_DATA, SECRETS, CONTRACT] {
                self.facts.coverage_mut(check).looked_at += 1;
            }
            let location = Location { path: Some(data.path.clone()), ..Location::default() };
            let path = data.path.clone();
            let fact = FileFact { path, sha256: None, size: 0, rows: Some(*rows), format: Format::Sql };
            self.facts.push(MANIFEST, location, &fact);
        }
        digests.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        (hash && !files.is_empty() && digests.len() == files.len()).then_some(digests)
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
                nulls: answers.nulls.get(i).copied().flatten(),
                searched: searched(&column.scanned),
            };
            self.facts.push(CONTRACT, Location::default().in_field(&column.name), &fact);
        }
    }

    fn rules(&mut self, table: &Table, answers: &Answers) {
        for answer in &answers.rules {
            let entry = &answer.rule.entry;
            let column = entry.columns.join(", ");
            let only = match answer.rule.columns.as_slice() {
                [only] => table.columns.get(*only),
                _ => None,
            };
            let numeric = only.is_some_and(|column| column.rule_type().is_numeric());
            let by_row = entry.test.by_row();
            let first = if by_row { self.samples(&answer.tally.failing, table, numeric) } else { Vec::new() };
            let fact = RuleFact {
                column: column.clone(),
                rule: entry.test.key().to_owned(),
                label: entry.label(),
                path: entry.path.clone(),
                expected: entry.test.expected(),
                when: entry.when.clone(),
                message: entry.message.clone(),
                evaluated: answer.tally.evaluated,
                nulls: answer.tally.nulls,
                failing: answer.tally.failing.count,
                accepted: entry.accepted,
                severity: entry.severity,
                first,
                measured: measured(answer),
                unfit: match &answer.rule.asked {
                    Asked::Unfit(what) => Some(what.clone()),
                    _ => None,
                },
            };
            let location = Location::default();
            let location = if column.is_empty() { location } else { location.in_field(&column) };
            self.facts.push(CONTRACT, location, &fact);
        }
    }

    /// The tables that rules refer to are inputs of the report.
    fn others(&mut self) {
        for other in &self.config.references {
            let files = other.files.iter().map(|file| (file.path.clone(), file.sha256.to_ascii_lowercase())).collect();
            let fact = OtherTableFact { table: other.table.clone(), files };
            self.facts.push(CONTRACT, Location::default(), &fact);
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
                    values: answers.rows - answers.nulls.get(*i).copied().flatten().unwrap_or(0),
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
                        values: answers.rows - answers.nulls.get(*i).copied().flatten().unwrap_or(0),
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
            let row_group = table.row_group(file, row);
            RowSample { path, row, row_group, sample: masked(value, numeric, self.context.mask) }
        };
        rows.first.iter().map(sample).collect()
    }

    fn skip_all(&mut self, path: &str, code: SkipCode, what: &str) {
        for check in CHECKS {
            self.facts.coverage_mut(check).skip(path, None, code, what);
        }
    }
}

/// What a rule about a whole column measured, and what it should be.
fn measured(answer: &RuleAnswer) -> Option<Measured> {
    let value = answer.value;
    Some(match &answer.rule.entry.test {
        Test::Statistic(_, (low, high))
        | Test::Quantile(_, (low, high))
        | Test::DistinctShare((low, high))
        | Test::ShareOf(_, (low, high)) => Measured { value, low: *low, high: *high, ..Measured::default() },
        #[expect(clippy::cast_precision_loss, reason = "a count of values")]
        Test::Distinct((low, high)) => {
            Measured { value, low: low.map(|n| n as f64), high: high.map(|n| n as f64), ..Measured::default() }
        }
        Test::Freshness(age) => Measured { newest: answer.newest, max_age: seconds(age).ok(), ..Measured::default() },
        Test::Balance(balance) => {
            let classes = answer.classes.as_ref()?;
            Measured { value: Some(classes.evenness()), wrong: classes.unbalanced(balance), ..Measured::default() }
        }
        Test::Shares(shares) => {
            let classes = answer.classes.as_ref()?;
            let wrong = |(class, (low, high)): (&String, &(Option<f64>, Option<f64>))| {
                let share = classes.share(class);
                let outside = low.is_some_and(|low| share < low) || high.is_some_and(|high| share > high);
                outside.then(|| format!("`{class}` has a share of {share:.4}"))
            };
            let mut wrong: Vec<String> = shares.iter().filter_map(wrong).collect();
            if classes.too_many {
                wrong = vec![format!("more than {MAX_CLASSES} classes")];
            }
            Measured { wrong, ..Measured::default() }
        }
        _ => return None,
    })
}

/// What a question about a dataset's contract needs.
pub(crate) struct Opened {
    pub(crate) table: Arc<Table>,
    pub(crate) contract: Contract,
    pub(crate) others: Others,
    /// What could not be opened.
    pub(crate) problems: Vec<Problem>,
}

/// Opens table, contract and the tables that it refers to.
///
/// # Errors
/// What is missing, in a sentence.
pub(crate) fn open_for_contract(target: &Target<'_>, limits: &Limits) -> Result<Opened, String> {
    let config = DatasetConfig::of(target.config).map_err(|error| format!("configuration: {error}"))?;
    let contract = match side_file(target.root, config.contract.as_ref(), limits, Contract::parse) {
        (SideFile::Read { content, .. }, _) => *content,
        (SideFile::Invalid { path, .. }, _) => return Err(format!("the contract {path} does not follow its format")),
        (_, Some((_, what))) => return Err(format!("the contract cannot be read: {what}")),
        _ => return Err("the dataset has no contract".to_owned()),
    };
    let sides: Vec<&str> =
        [&config.manifest, &config.contract, &config.schema].into_iter().flatten().map(|s| s.path.as_str()).collect();
    let files = target
        .tree
        .files
        .iter()
        .filter(|file| !sides.contains(&display_path(&file.path).0.as_str()))
        .filter(|file| format_of(&file.path) != Format::Other)
        .map(|file| Source::local(target.root, file, limits))
        .collect();
    let (mut table, mut problems) = Table::from_sources(files);
    table.apply_types(&contract);
    let (others, unopened) = crate::others::open(target.root, &config.references, limits);
    problems.extend(unopened);
    if table.files.is_empty() && problems.is_empty() {
        return Err("no file of the dataset is a table".to_owned());
    }
    Ok(Opened { table: Arc::new(table), contract, others, problems })
}

/// Short numbers of numeric columns as they are, everything else masked.
fn masked(value: &str, numeric: bool, key: &MaskKey) -> String {
    let shown = value == "null"
        || numeric && value.len() <= 8 && value.parse::<f64>().is_ok_and(|n| n.abs() < SHOWN_BELOW || n.is_nan());
    if shown { value.to_owned() } else { Masked::new(value, 2, key).as_str().to_owned() }
}
