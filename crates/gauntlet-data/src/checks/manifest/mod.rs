//! `data/manifest`: does the dataset say where it comes from, and may it be used for this?

mod columns;
mod consent;
mod fingerprint;
mod rows;
mod rules;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use gauntlet_core::{
    Check, CheckInfo, Digest, Draft, Facts, Input, Judgement, Judging, Location, SkipCode, Stage, display_path,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{MANIFEST, facts_of, grouped};
use crate::config::DatasetConfig;
use crate::facts::profile::FingerprintFact;
use crate::facts::{ContractFact, FileFact, Lines, ManifestFact, SideFile};
use crate::manifest::{FILL_IN, Manifest};

/// The check.
#[derive(Debug)]
pub(crate) struct ManifestCheck;

static INFO: CheckInfo = CheckInfo {
    id: MANIFEST,
    version: 2,
    stage: Stage::Data,
    title: "source, licence, consent and hashes of a dataset",
    rules: &rules::RULES,
    page: include_str!("../../../../../docs/src/checks/data-manifest.md"),
};

impl Check for ManifestCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let Ok(config) = DatasetConfig::of(judging.config) else {
            out.coverage.skip("", None, SkipCode::Malformed, "configuration of another version");
            return out;
        };
        let files: Vec<FileFact> = facts_of(facts, &mut out).into_iter().map(|(_, fact)| fact).collect();
        match facts_of::<ManifestFact>(facts, &mut out).into_iter().next().map(|(_, fact)| fact.0) {
            None | Some(SideFile::Unread) => {
                if out.coverage.skipped.is_empty()
                    && facts.coverage.get(MANIFEST).is_none_or(gauntlet_core::Coverage::complete)
                {
                    out.coverage.skip("", None, SkipCode::Unreadable, "the manifest was not read");
                }
            }
            Some(SideFile::Missing) => {
                let place = files.first().map_or_else(Location::default, |f| at_path(&f.path));
                add(
                    &mut out,
                    "missing-manifest",
                    place,
                    "the dataset has no manifest: source, licence and consent are unknown",
                );
            }
            Some(SideFile::Invalid { path, problems }) => {
                for (line, message) in problems {
                    let place = Location { line, ..at_path(&path) };
                    add(&mut out, "invalid-manifest", place, message);
                }
            }
            Some(SideFile::Read { path, content, lines, .. }) => {
                Manifested { path: &path, manifest: &content, lines: &lines, out: &mut out, said: Vec::new() }
                    .judge(&config, facts, &files, judging);
            }
        }
        out
    }

    fn inputs(&self, facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let dated = |m: &Manifest| {
            let day = given(m.consent.expires.as_deref()).is_some_and(|day| day.parse::<Date>().is_ok());
            day || given(m.consent.expires_column.as_deref()).is_some()
        };
        let mut inputs = Vec::new();
        if facts.of::<ManifestFact>().flatten().any(|(_, fact)| fact.0.content().is_some_and(dated)) {
            let digest = Digest::sha256(today(judging).to_string().as_bytes());
            inputs.push(Input { name: "evaluation-date".to_owned(), digest });
        }
        // The canonical profile is too long for evidence; what is signed is its digest.
        let whole = facts.of::<FingerprintFact>().flatten().find(|(_, fact)| fact.complete);
        if let Some(digest) = whole.and_then(|(_, fact)| format!("sha256:{}", fact.sketch_sha256).parse().ok()) {
            inputs.push(Input { name: "profile".to_owned(), digest });
        }
        inputs
    }
}

fn today(judging: &Judging<'_>) -> Date {
    judging.now.to_zoned(TimeZone::UTC).date()
}

fn at_path(path: &str) -> Location {
    Location { path: Some(path.to_owned()), ..Location::default() }
}

fn add(out: &mut Judgement, name: &str, place: Location, message: impl Into<String>) {
    add_at(out, name, place, message, String::new());
}

fn add_at(out: &mut Judgement, name: &str, place: Location, message: impl Into<String>, snippet: String) {
    if let Some(rule) = INFO.rule(name) {
        out.findings.push(Draft::new(rule, place, message).snippet(snippet));
    }
}

/// A field that a person filled in.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|v| !v.is_empty() && !v.contains(FILL_IN))
}

struct Manifested<'a> {
    path: &'a str,
    manifest: &'a Manifest,
    lines: &'a Lines,
    out: &'a mut Judgement,
    /// Rules and fields that were found wanting.
    said: Vec<(String, String)>,
}

impl Manifested<'_> {
    fn judge(mut self, config: &DatasetConfig, facts: &Facts, files: &[FileFact], judging: &Judging<'_>) {
        self.origin();
        self.licence(&config.purpose);
        self.consent(&config.purpose);
        self.expiry(judging);
        self.files(files);
        self.rows(facts, judging);
        self.columns(facts);
        self.contract(facts);
        self.schema(facts);
        self.fingerprint(facts);
        self.summary(facts);
    }

    fn add(&mut self, rule: &str, field: &str, message: impl Into<String>) {
        let mut line = self.lines.get(field);
        let mut parent = field;
        while let (None, Some((shorter, _))) = (line, parent.rsplit_once('.')) {
            parent = shorter;
            line = self.lines.get(parent);
        }
        let place = Location { line: line.copied(), ..at_path(self.path).in_field(field) };
        self.said.push((rule.to_owned(), field.to_owned()));
        add_at(self.out, rule, place, message, field.to_owned());
    }

    /// A finding about rows of the table.
    fn add_rows(&mut self, rule: &str, place: Location, message: String, column: &str) {
        self.said.push((rule.to_owned(), column.to_owned()));
        add_at(self.out, rule, place, message, column.to_owned());
    }

    /// Asks for a field; says what a person has to write when it is not there.
    fn require(&mut self, rule: &str, field: &str, value: Option<&str>, what: &str) -> bool {
        let missing = given(value).is_none();
        if missing {
            self.add(rule, field, format!("`{field}` is not filled in: a person has to write {what}"));
        }
        !missing
    }

    fn origin(&mut self) {
        let source = &self.manifest.source;
        self.require("incomplete", "name", self.manifest.name.as_deref(), "the name of the dataset");
        if self.require(
            "incomplete",
            "source.uri",
            source.uri.as_deref(),
            "a URI that leads to where the data comes from",
        ) {
            let uri = source.uri.as_deref().unwrap_or_default().trim();
            if !uri.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty()) {
                self.add(
                    "incomplete",
                    "source.uri",
                    "`source.uri` is no URI (it has no scheme such as `https:` or `urn:`)",
                );
            }
        }
        self.require("incomplete", "source.method", source.method.as_deref(), "how the data was collected");
        let days: Vec<Option<Date>> =
            source.collected.iter().flatten().map(|day| given(Some(day)).and_then(|d| d.parse().ok())).collect();
        match days.as_slice() {
            [Some(from), Some(to)] if from <= to => {}
            [Some(from), Some(to)] => {
                self.add(
                    "incomplete",
                    "source.collected",
                    format!("collection ends on {to}, before it begins on {from}"),
                );
            }
            _ => {
                let what = "`source.collected` is not filled in: a person has to write the first and the last day of collection, [YYYY-MM-DD, YYYY-MM-DD]";
                self.add("incomplete", "source.collected", what);
            }
        }
    }

    fn files(&mut self, files: &[FileFact]) {
        let folder = Path::new(self.path).parent().unwrap_or(Path::new(""));
        let mut declared: BTreeMap<String, usize> = BTreeMap::new();
        if self.manifest.files.is_empty() {
            self.add(
                "incomplete",
                "files",
                "`files` lists nothing: each data file has to be listed with path and SHA-256",
            );
        }
        for (i, file) in self.manifest.files.iter().enumerate() {
            match inside(folder, &file.path) {
                None => {
                    let shown: String = file.path.chars().take(120).collect();
                    self.add(
                        "unsafe-path",
                        &format!("files.{i}.path"),
                        format!("`{shown}` is absolute or leaves the manifest's folder"),
                    );
                }
                Some(path) => {
                    if declared.insert(path.clone(), i).is_some() {
                        self.add("invalid-manifest", &format!("files.{i}.path"), format!("`{path}` is listed twice"));
                    }
                }
            }
        }
        for file in files {
            let Some(i) = declared.remove(&file.path) else {
                add_at(
                    self.out,
                    "undeclared-file",
                    at_path(&file.path),
                    "the manifest does not list this file",
                    String::new(),
                );
                continue;
            };
            self.file(i, file);
        }
        for (path, i) in declared {
            self.add(
                "missing-file",
                &format!("files.{i}.path"),
                format!("`{path}` is listed and no file of the dataset"),
            );
        }
    }

    fn file(&mut self, i: usize, found: &FileFact) {
        let listed = &self.manifest.files[i];
        let what = "the SHA-256 of the file (`gauntlet data manifest` writes it); without it the file is unverifiable";
        if self.require("incomplete", &format!("files.{i}.sha256"), listed.sha256.as_deref(), what)
            && let (Some(listed), Some(found_hash)) = (&listed.sha256, &found.sha256)
        {
            let listed = listed.trim().to_ascii_lowercase();
            let listed = listed.strip_prefix("sha256:").unwrap_or(&listed);
            if listed != found_hash {
                let (listed, seen): (String, String) =
                    (listed.chars().take(16).collect(), found_hash.chars().take(16).collect());
                self.out_file(
                    "hash-mismatch",
                    i,
                    found,
                    format!("the content has SHA-256 {seen}…, the manifest says {listed}…"),
                );
            }
        }
        if let Some(size) = listed.size.filter(|&size| size != found.size) {
            self.out_file(
                "hash-mismatch",
                i,
                found,
                format!("the file has {} bytes, the manifest says {}", grouped(found.size), grouped(size)),
            );
        }
        match (listed.rows, found.rows) {
            (Some(listed), Some(rows)) if listed != rows => {
                self.out_file(
                    "row-count",
                    i,
                    found,
                    format!("the file has {} rows, the manifest says {}", grouped(rows), grouped(listed)),
                );
            }
            (Some(_), None) => {
                self.out.coverage.skip(
                    &found.path,
                    None,
                    SkipCode::Malformed,
                    "the manifest gives a row count and the rows could not be counted",
                );
            }
            _ => {}
        }
    }

    fn out_file(&mut self, rule: &str, i: usize, found: &FileFact, message: String) {
        let place = at_path(&found.path).in_field(format!("files.{i}"));
        add_at(self.out, rule, place, message, String::new());
    }

    fn contract(&mut self, facts: &Facts) {
        let Some(listed) = self.manifest.contract.as_ref().and_then(|c| given(c.sha256.as_deref())) else { return };
        let listed = listed.to_ascii_lowercase();
        for (_, fact) in facts_of::<ContractFact>(facts, self.out) {
            match fact.0 {
                SideFile::Read { path, sha256, .. } if sha256 != listed => {
                    self.add(
                        "contract-mismatch",
                        "contract.sha256",
                        format!("`{path}` has SHA-256 {}…, the manifest names {}…", short(&sha256), short(&listed)),
                    );
                }
                SideFile::Missing => {
                    self.add(
                        "contract-mismatch",
                        "contract.sha256",
                        "the manifest names a contract and gauntlet.yaml names none",
                    );
                }
                _ => {}
            }
        }
    }
}

fn short(hash: &str) -> String {
    hash.chars().take(16).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn count(n: u64) -> f64 {
    n as f64
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// `path` inside `folder`, both relative; `None` when it leads out of it.
fn inside(folder: &Path, path: &str) -> Option<String> {
    let path = Path::new(path);
    let mut joined = PathBuf::from(folder);
    for part in path.components() {
        match part {
            Component::Normal(part) => joined.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(display_path(&joined).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_folder_of_the_manifest() {
        let inside = |path| inside(Path::new("data"), path);
        assert_eq!(inside("a/b.csv").as_deref(), Some("data/a/b.csv"));
        assert_eq!(inside("./a.csv").as_deref(), Some("data/a.csv"));
        for path in ["../a.csv", "a/../../b", "/etc/passwd"] {
            assert_eq!(inside(path), None, "{path}");
        }
    }

    #[test]
    fn markers_and_blanks_are_not_filled_in() {
        for value in [None, Some(""), Some("  "), Some("FILL-IN"), Some("FILL-IN: the licence")] {
            assert_eq!(given(value), None);
        }
        assert_eq!(given(Some(" MIT ")), Some("MIT"));
    }
}
