//! `data/manifest`: does the dataset say where it comes from, and may it be used for this?

mod fingerprint;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use gauntlet_core::{
    Check, CheckInfo, Digest, Draft, Facts, Input, Judgement, Judging, Location, Metric, RuleInfo, Severity, SkipCode,
    Stage, display_path,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{MANIFEST, at_first, facts_of, first_rows, grouped, percent, rule, share};
use crate::config::DatasetConfig;
use crate::facts::{ConsentFact, ContractFact, FileFact, Lines, ManifestFact, SideFile};
use crate::manifest::{FILL_IN, Manifest};

/// The check.
#[derive(Debug)]
pub(crate) struct ManifestCheck;

const POISONED: &[&str] = &["CWE-345", "OWASP ML02:2023", "MITRE ATLAS AML.T0020"];
const SUPPLY: &[&str] = &["CWE-353", "OWASP ML06:2023", "MITRE ATLAS AML.T0010.002"];
const PRIVACY: &[&str] = &["CWE-359", "GDPR Art. 5(1)(b), 6"];
const LICENCE: &[&str] = &["EU AI Act Art. 10(2)(b)"];

static RULES: [RuleInfo; 15] = [
    rule(
        "data/manifest/missing-manifest",
        Severity::High,
        "dataset without manifest",
        "run `gauntlet init` to draft a manifest, fill in what it marks, and name it in gauntlet.yaml under `manifest`",
        LICENCE,
    ),
    rule(
        "data/manifest/invalid-manifest",
        Severity::High,
        "manifest does not follow its format",
        "correct the line; the reference chapter \"Dataset manifest\" lists all keys",
        &[],
    ),
    rule(
        "data/manifest/incomplete",
        Severity::High,
        "required field is not filled in",
        "a person who knows the data has to fill in the field",
        LICENCE,
    ),
    rule(
        "data/manifest/invalid-license",
        Severity::High,
        "licence is no SPDX expression",
        "write an SPDX expression such as `CC-BY-4.0`, or `LicenseRef-<name>` with its text under `url`",
        LICENCE,
    ),
    rule(
        "data/manifest/missing-consent",
        Severity::High,
        "no basis for using the data",
        "state `consent.basis` and the record that proves it, or do not use the data",
        PRIVACY,
    ),
    rule(
        "data/manifest/purpose-not-covered",
        Severity::High,
        "consent does not cover this use",
        "obtain consent for this purpose and add it to `consent.purposes`, or use other data",
        PRIVACY,
    ),
    rule(
        "data/manifest/consent-expired",
        Severity::High,
        "consent has expired",
        "renew the consent and its record, or remove the data",
        PRIVACY,
    ),
    rule(
        "data/manifest/row-without-consent",
        Severity::High,
        "rows without consent",
        "remove the rows whose consent is missing or withdrawn",
        PRIVACY,
    ),
    rule(
        "data/manifest/hash-mismatch",
        Severity::High,
        "file is not the one the manifest describes",
        "find out who changed the file; restore it, or review the change and write the new hash into the manifest",
        POISONED,
    ),
    rule(
        "data/manifest/missing-file",
        Severity::High,
        "file of the manifest is not there",
        "restore the file, or remove it from the manifest and from gauntlet.yaml's path",
        SUPPLY,
    ),
    rule(
        "data/manifest/undeclared-file",
        Severity::High,
        "file that the manifest does not list",
        "list the file with its SHA-256 after reviewing where it comes from, or remove it",
        POISONED,
    ),
    rule(
        "data/manifest/row-count",
        Severity::High,
        "file has another number of rows than the manifest says",
        "correct `rows` in the manifest, or restore the file",
        POISONED,
    ),
    rule(
        "data/manifest/unsafe-path",
        Severity::High,
        "path of the manifest leaves its folder",
        "write paths relative to the manifest's folder, without `..`",
        &["CWE-22"],
    ),
    rule(
        "data/manifest/fingerprint-mismatch",
        Severity::High,
        "content is not the one the manifest describes",
        "find out who changed the rows; restore them, or review the change and write the new fingerprint",
        POISONED,
    ),
    rule(
        "data/manifest/contract-mismatch",
        Severity::High,
        "data was accepted under another contract",
        "review the change of the contract and write its hash into the manifest",
        SUPPLY,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: MANIFEST,
    version: 1,
    stage: Stage::Data,
    title: "source, licence, consent and hashes of a dataset",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-manifest.md"),
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
                Manifested { path: &path, manifest: &content, lines: &lines, out: &mut out }
                    .judge(&config, facts, &files, judging);
            }
        }
        out
    }

    fn inputs(&self, facts: &Facts, judging: &Judging<'_>) -> Vec<Input> {
        let expires = facts.of::<ManifestFact>().flatten().any(|(_, fact)| {
            fact.0.content().is_some_and(|m| m.consent.expires.as_deref().is_some_and(|e| given(Some(e)).is_some()))
        });
        if expires {
            let digest = Digest::sha256(today(judging).to_string().as_bytes());
            vec![Input { name: "evaluation-date".to_owned(), digest }]
        } else {
            Vec::new()
        }
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
}

impl Manifested<'_> {
    fn judge(mut self, config: &DatasetConfig, facts: &Facts, files: &[FileFact], judging: &Judging<'_>) {
        self.origin();
        self.licence();
        self.consent(&config.purpose);
        self.expiry(judging);
        self.files(files);
        self.rows(facts);
        self.contract(facts);
        self.fingerprint(facts);
    }

    fn add(&mut self, rule: &str, field: &str, message: impl Into<String>) {
        let mut line = self.lines.get(field);
        let mut parent = field;
        while let (None, Some((shorter, _))) = (line, parent.rsplit_once('.')) {
            parent = shorter;
            line = self.lines.get(parent);
        }
        let place = Location { line: line.copied(), ..at_path(self.path).in_field(field) };
        add_at(self.out, rule, place, message, field.to_owned());
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

    fn licence(&mut self) {
        let spdx = self.manifest.license.spdx.as_deref();
        if !self.require(
            "incomplete",
            "license.spdx",
            spdx,
            "the licence of the data as an SPDX expression, such as `CC-BY-4.0`",
        ) {
            return;
        }
        let expression = spdx.unwrap_or_default().trim();
        if let Err(error) = spdx::Expression::parse(expression) {
            let shown: String = expression.chars().take(60).collect();
            self.add(
                "invalid-license",
                "license.spdx",
                format!("`{shown}` is no SPDX licence expression: {}", error.reason),
            );
        }
    }

    fn consent(&mut self, purpose: &str) {
        let consent = &self.manifest.consent;
        const BASES: [&str; 5] = ["consent", "contract", "legal", "public", "synthetic"];
        let what = "why the data of people may be used: `consent`, `contract`, `legal`, `public` or `synthetic`";
        let basis = consent.basis.as_deref().unwrap_or_default().trim();
        let stated = self.require("missing-consent", "consent.basis", consent.basis.as_deref(), what);
        if stated && !BASES.contains(&basis) {
            let shown: String = basis.chars().take(40).collect();
            let message = format!("`{shown}` is no basis that is known: {}", BASES.join(", "));
            self.add("missing-consent", "consent.basis", message);
        }
        if !matches!(basis, "public" | "synthetic") {
            let what = "the URI of the record that proves the basis";
            self.require("missing-consent", "consent.record", consent.record.as_deref(), what);
        }
        let purposes: Vec<&str> = consent.purposes.iter().filter_map(|p| given(Some(p))).collect();
        if purposes.is_empty() {
            let what = "`consent.purposes` is not filled in: a person has to list what the data may be used for, such as `train`";
            self.add("incomplete", "consent.purposes", what);
        } else if !purposes.contains(&purpose) {
            let listed = purposes.join(", ");
            self.add(
                "purpose-not-covered",
                "consent.purposes",
                format!("the data is used to `{purpose}`; consent covers {listed}"),
            );
        }
        if consent.column.is_some() && consent.allowed.iter().all(|word| given(Some(word)).is_none()) {
            self.add("incomplete", "consent.allowed", "`consent.allowed` is not filled in: a person has to list the values of the consent column that count as consent");
        }
    }

    fn expiry(&mut self, judging: &Judging<'_>) {
        let Some(text) = self.manifest.consent.expires.as_deref() else { return };
        match given(Some(text)).map(str::parse::<Date>) {
            None => self.add(
                "incomplete",
                "consent.expires",
                "`consent.expires` is not filled in: a person has to write the last day of use, or remove the line",
            ),
            Some(Err(_)) => {
                self.add("incomplete", "consent.expires", "`consent.expires` is no day of the form YYYY-MM-DD");
            }
            Some(Ok(last)) if last < today(judging) => {
                self.add(
                    "consent-expired",
                    "consent.expires",
                    format!("the consent ended on {last}; this evaluation is of {}", today(judging)),
                );
            }
            Some(Ok(_)) => {}
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
        let what = "the SHA-256 of the file (`gauntlet init` writes it)";
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

    fn rows(&mut self, facts: &Facts) {
        for (_, fact) in facts_of::<ConsentFact>(facts, self.out) {
            if !fact.present {
                self.add(
                    "row-without-consent",
                    "consent.column",
                    format!("the table has no column `{}` that holds the consent of each row", fact.column),
                );
                continue;
            }
            let metric = Metric::new("rows-without-consent", count(fact.failing), "rows").field(&fact.column);
            self.out.metrics.push(metric.must(gauntlet_core::Comparison::AtMost, 0.0));
            if fact.failing > 0 {
                let message = format!(
                    "{} of {} rows ({}) have no valid consent in `{}`, {} of them no value at all{}",
                    grouped(fact.failing),
                    grouped(fact.rows),
                    percent(share(fact.failing, fact.rows)),
                    fact.column,
                    grouped(fact.nulls),
                    first_rows(&fact.first)
                );
                add_at(
                    self.out,
                    "row-without-consent",
                    at_first(&fact.first, &fact.column),
                    message,
                    fact.column.clone(),
                );
            }
        }
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
