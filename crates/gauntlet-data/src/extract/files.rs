//! Which files a dataset has, wherever they lie, and what they are besides tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gauntlet_core::{Location, SkipCode, display_path, glob};

use super::{Pass, masked};
use crate::checks::{INGEST, MANIFEST, PROTECTION};
use crate::facts::{Format, RowSample};
use crate::ingest::facts::{ContentFact, ContentKind, FormulaFact, ScannerFact};
use crate::ingest::{Look, look};
use crate::scan::{Answers, FirstRows};
use crate::table::{
    Identities, OpenError, OpenOptions, Problem, Source, Table, digest_of_rows, format_of, open_lenient,
    partition_keys, place, sources,
};

const CHANGED: &str = "changed since the run began; run again when nothing writes to it";

impl Pass<'_> {
    /// Every file of the dataset but those that describe it.
    pub(super) fn sources(&mut self) -> Vec<Source> {
        let context = self.context;
        if let Some(location) = self.elsewhere() {
            let options = OpenOptions { limits: context.limits.clone(), ..OpenOptions::default() };
            return match location.parse().map_err(OpenError::from).and_then(|place| sources(&place, &options)) {
                Ok(found) => {
                    if !location.starts_with("sql://") {
                        self.same_versions(&location, &found);
                    }
                    found
                }
                Err(error) => {
                    self.skip_all(&location, SkipCode::Unreadable, &error.to_string());
                    Vec::new()
                }
            };
        }
        let identities = match Identities::given() {
            Ok(identities) => identities,
            Err(error) => {
                self.skip_all("", SkipCode::Unreadable, &error.to_string());
                None
            }
        };
        let base = base(self.config.path.as_deref().unwrap_or_default());
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
            let below = file.path.strip_prefix(&base).unwrap_or(&file.path);
            let source = Source::local(self.target.root, file, context.limits)
                .with_partitions(partition_keys(below))
                .with_identities(identities.clone());
            out.push(source);
        }
        out
    }

    /// The dataset's table.
    pub(super) fn table(&mut self, files: &[Source]) -> (Table, Vec<Problem>) {
        let sql = self.elsewhere().filter(|location| location.starts_with("sql://"));
        let Some(location) = sql else {
            let read = files.iter().filter(|source| format_of(source.name()) != Format::Other);
            return Table::from_sources(read.cloned().collect());
        };
        let options = OpenOptions { limits: self.context.limits.clone(), ..OpenOptions::default() };
        let opened = location.parse().map_err(OpenError::from).and_then(|place| open_lenient(&place, &options));
        match opened.map(|(table, problems)| (Arc::try_unwrap(table), problems)) {
            Ok((Ok(table), mut problems)) => {
                let table = Arc::new(table);
                let changed = match digest_of_rows(&table) {
                    Ok(now) => (self.config.digests.first().map(|then| &then.sha256) != Some(&now.sha256))
                        .then(|| (SkipCode::Changed, CHANGED.to_owned())),
                    Err(error) => Some((SkipCode::Unreadable, error.to_string())),
                };
                problems.extend(changed.map(|(code, what)| Problem {
                    path: location,
                    code,
                    what,
                    rows: 0,
                    schema: false,
                }));
                (Arc::into_inner(table).unwrap_or_else(|| Table::from_sources(Vec::new()).0), problems)
            }
            Ok((Err(_), _)) => Table::from_sources(Vec::new()),
            Err(error) => {
                let problem = Problem {
                    path: location,
                    code: SkipCode::Unreadable,
                    what: error.to_string(),
                    rows: 0,
                    schema: false,
                };
                (Table::from_sources(Vec::new()).0, vec![problem])
            }
        }
    }

    /// The subject's digest was made of certain versions: those have to be the ones that are read.
    fn same_versions(&mut self, location: &str, found: &[Source]) {
        let then: Vec<_> = self.config.digests.iter().map(|file| (&file.path, &file.version)).collect();
        let now: Vec<_> = found.iter().map(|source| (source.path.clone(), source.version())).collect();
        if then != now.iter().map(|(path, version)| (path, version)).collect::<Vec<_>>() {
            self.skip_all(location, SkipCode::Changed, CHANGED);
        }
    }

    /// The address of a dataset that does not lie in the project.
    fn elsewhere(&self) -> Option<String> {
        self.config.path.clone().filter(|path| gauntlet_core::project::is_address(path))
    }

    /// What files are besides tables, and what the scan saw of formulas.
    pub(super) fn hygiene(&mut self, files: &[Source], table: &Table, answers: &Answers, problems: &[Problem]) {
        let mut scanner = None;
        if let Some(asked) = self.config.antivirus.clone() {
            match asked.version() {
                Ok(version) => scanner = Some((asked, version)),
                Err(error) => {
                    let fact = ScannerFact::Unreachable { what: error.to_string(), required: asked.required };
                    self.facts.push(INGEST, Location::default(), &fact);
                    if asked.required {
                        let what = format!("no file was scanned for viruses: {error}");
                        self.facts.coverage_mut(INGEST).skip("", None, SkipCode::Unreadable, what);
                    }
                }
            }
        }
        let mut scanned = 0;
        for source in files {
            let Look { path, mut content, infected, protection, skipped } =
                look(source, scanner.as_ref().map(|(scanner, _)| scanner));
            let location = || match source.tree_file() {
                Some(file) => Location::file(&file.path),
                None => Location { path: Some(path.clone()), ..Location::default() },
            };
            if source.compressed.is_some()
                && let Some(problem) = problems.iter().find(|p| p.path == path && p.code == SkipCode::Limit)
            {
                content.push(ContentFact { kind: ContentKind::Bomb, what: problem.what.clone() });
            }
            for fact in &content {
                self.facts.push(INGEST, location(), fact);
            }
            self.facts.push(PROTECTION, location(), &protection);
            self.facts.coverage_mut(PROTECTION).looked_at += 1;
            let refused = skipped.is_empty();
            for (code, what) in skipped {
                self.facts.coverage_mut(INGEST).skip(&path, None, code, what);
            }
            if refused {
                self.facts.coverage_mut(INGEST).looked_at += 1;
                scanned += u64::from(scanner.is_some());
            }
            if let Some(fact) = infected {
                self.facts.push(INGEST, location(), &fact);
            }
        }
        if let Some((_, version)) = scanner {
            self.facts.push(INGEST, Location::default(), &ScannerFact::Ready { version, files: scanned });
        }
        for ((column, danger), cells) in &answers.formulas {
            let Some(column) = table.columns.get(*column) else { continue };
            let first = self.first(cells, table);
            let fact = FormulaFact::new(&column.name, *danger, cells.count, first);
            self.facts.push(INGEST, Location::default().in_field(&column.name), &fact);
        }
    }

    fn first(&self, rows: &FirstRows, table: &Table) -> Vec<RowSample> {
        let sample = |(&position, value): (&u64, &String)| {
            let (file, row) = place(position);
            let path = table.files.get(file).map_or(String::new(), |f| f.path.clone());
            RowSample {
                path,
                row,
                row_group: table.row_group(file, row),
                sample: masked(value, false, self.context.mask),
            }
        };
        rows.first.iter().map(sample).collect()
    }

    /// SHA-256 of a file for the manifest.
    pub(super) fn hash(&mut self, source: &Source) -> Option<String> {
        // What lies elsewhere was hashed for the subject's digest, and is the same version still.
        let known =
            self.config.digests.iter().find(|file| file.path == source.path && file.version == source.version());
        let hash = match known.and_then(|file| hex::decode(&file.sha256).ok()?.try_into().ok()) {
            Some(known) => Ok(known),
            None => source.sha256(),
        };
        let coverage = self.facts.coverage_mut(MANIFEST);
        match hash {
            Ok(hash) => {
                let hash: [u8; 32] = hash;
                coverage.looked_at += 1;
                Some(hex::encode(hash))
            }
            Err((code, what)) => {
                coverage.skip(&source.path, None, code, what);
                None
            }
        }
    }
}

/// The folder of a dataset: the part of its path in front of the first pattern.
fn base(path: &str) -> PathBuf {
    let parts = Path::new(path).components().filter(|c| !matches!(c, std::path::Component::CurDir));
    parts.take_while(|part| part.as_os_str().to_str().is_none_or(|part| !glob::is_pattern(part))).collect()
}
