//! Whether an HDF5 file keeps to itself: no other files, no code of plugins, no bytes of nobody.

use gauntlet_core::{Check, CheckInfo, Draft, Facts, Judgement, Judging, Location, Severity, Stage};
use gauntlet_hdf5::{Dataset, LinkTarget, Problem, ProblemKind, Storage};

use super::{FINDINGS, each, rule};
use crate::facts::Hdf5Fact;
use crate::formats::keras::PathKind;

/// `artifact/hdf5`
pub(crate) struct Hdf5;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::HDF5,
    version: 1,
    stage: Stage::Artifact,
    title: "Does the HDF5 file keep to itself?",
    rules: &[
        rule!(
            "artifact/hdf5/external-link",
            High,
            "a link leads into another file",
            "Copy what is needed into the file; a link makes the loader open a file that its writer chose.",
            ["CWE-73", "CWE-22", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/hdf5/external-storage",
            High,
            "the elements of a dataset are kept in another file",
            "Write the dataset again with its elements inside; loading it reads a file that its writer chose.",
            ["CVE-2026-1669", "CWE-73", "CWE-200", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/hdf5/virtual-source",
            High,
            "a dataset is composed of datasets of other files",
            "Write the dataset again with its elements inside.",
            ["CWE-73", "CWE-200", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/hdf5/plugin-filter",
            Medium,
            "a dataset needs a filter that is loaded as a plugin",
            "Write the dataset again with gzip or without compression.",
            ["CWE-114", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/hdf5/user-link",
            Medium,
            "a link of a class that a program has to register",
            "Replace the link by an ordinary one.",
            ["CWE-829", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/hdf5/claimed-size",
            High,
            "a dataset claims far more than it stores",
            "Do not load the file; a loader takes memory for every element that the dataset claims.",
            ["CVE-2026-0897", "CWE-409", "CWE-770", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/hdf5/broken-structure",
            Medium,
            "the structure contradicts itself",
            "Get the file again from its source, or write it again from the original model.",
            ["CWE-20", "CWE-1286", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/hdf5/unowned-bytes",
            Medium,
            "bytes that belong to nothing in the file",
            "Find out what the bytes are, then write the file again without them (h5repack).",
            ["CWE-912", "OWASP ML06:2023", "AML.T0010.003"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-hdf5.md"),
};

impl Check for Hdf5 {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<Hdf5Fact>(facts, &mut judgement, |location, fact, judgement| {
            let mut drafts = Vec::new();
            for link in &fact.hdf5.links {
                drafts.extend(self::link(location, &link.path, &link.target));
            }
            for dataset in &fact.hdf5.datasets {
                self::dataset(location, dataset, &mut drafts);
            }
            drafts.extend(fact.hdf5.problems.iter().filter_map(|problem| self::problem(location, problem)));
            unowned(location, &fact, &mut drafts);
            let more = drafts.len().saturating_sub(FINDINGS);
            judgement.findings.extend(drafts.into_iter().take(FINDINGS));
            if more > 0 {
                let message = format!("{more} more links, datasets or contradictions of this kind");
                judgement.findings.push(super::draft(&INFO, "broken-structure", location, message));
            }
        });
        judgement
    }
}

/// A file beside this one is suspicious; any other place is worse.
fn by_place(draft: Draft, file: &str) -> Draft {
    match PathKind::of(file) {
        PathKind::Relative => draft.severity(Severity::Medium),
        _ => draft,
    }
}

fn link(location: &Location, path: &str, target: &LinkTarget) -> Option<Draft> {
    let place = location.clone().in_field(path);
    match target {
        LinkTarget::Soft { .. } => None,
        LinkTarget::External { file, path } => {
            let message = format!("a link leads to `{path}` of the file `{file}`");
            Some(by_place(super::draft(&INFO, "external-link", &place, message), file).snippet(file))
        }
        LinkTarget::UserDefined { class, .. } => {
            let message = format!("a link of class {class} does what a program that registers it makes of it");
            Some(super::draft(&INFO, "user-link", &place, message))
        }
    }
}

fn dataset(location: &Location, dataset: &Dataset, drafts: &mut Vec<Draft>) {
    let place = location.clone().in_field(&dataset.path);
    if let Some(first) = worst(dataset.external.iter().map(|external| external.file.as_str())) {
        let message = format!("the elements are kept in {}", files(first, dataset.external.len()));
        drafts.push(by_place(super::draft(&INFO, "external-storage", &place, message), first).snippet(first));
    }
    if let Storage::Virtual { sources } = &dataset.storage {
        let others: Vec<_> = sources.iter().map(|source| source.file.as_str()).filter(|file| *file != ".").collect();
        if let Some(first) = worst(others.iter().copied()) {
            let message = format!("the elements come from {}", files(first, others.len()));
            drafts.push(by_place(super::draft(&INFO, "virtual-source", &place, message), first).snippet(first));
        }
    }
    if let Some((claimed, stored)) = claimed(dataset) {
        let message = format!("the dataset claims {claimed} bytes and stores {stored}");
        drafts.push(super::draft(&INFO, "claimed-size", &place, message));
    }
    for filter in &dataset.filters {
        // 1 to 6 are the library's own; 32000 is h5py's.
        if matches!(filter.id, 1..=6 | 32_000) {
            continue;
        }
        let name = if filter.name.is_empty() { String::new() } else { format!(" ({})", filter.name) };
        let message = format!("filter {}{name} is loaded from the plugin folder of the machine", filter.id);
        let draft = super::draft(&INFO, "plugin-filter", &place, message);
        // Those of the register are compressors in wide use.
        let registered = matches!(filter.id, 257..=400 | 32_001..=32_200);
        drafts.push(if registered { draft.severity(Severity::Low) } else { draft });
    }
}

/// Bytes of all elements and bytes stored, when the first are far more: a GiB, and a thousand times the second.
fn claimed(dataset: &Dataset) -> Option<(u64, u64)> {
    let size = u64::from(dataset.datatype.as_ref()?.size());
    let all = dataset.shape.as_ref()?.iter().try_fold(size, |all, one| all.checked_mul(*one)).unwrap_or(u64::MAX);
    let stored = match &dataset.storage {
        Storage::Nothing if dataset.external.is_empty() => 0,
        Storage::Compact { range } | Storage::Contiguous { range } => range.len,
        Storage::Chunked { bytes, .. } => *bytes,
        Storage::Nothing | Storage::Virtual { .. } => return None,
    };
    (all >= 1 << 30 && stored < all / 1000).then_some((all, stored))
}

/// The file that is farthest away.
fn worst<'f>(files: impl Iterator<Item = &'f str>) -> Option<&'f str> {
    files.max_by_key(|file| PathKind::of(file) != PathKind::Relative)
}

fn files(first: &str, count: usize) -> String {
    match count {
        0 | 1 => format!("the file `{first}`"),
        more => format!("{more} files, one of them `{first}`"),
    }
}

fn problem(location: &Location, problem: &Problem) -> Option<Draft> {
    let message = match problem.kind {
        ProblemKind::Malformed | ProblemKind::Checksum => format!("{}: {}", problem.object, problem.what),
        // Coverage says these: the file may be cut off or newer than this reader.
        ProblemKind::Truncated | ProblemKind::Unsupported | ProblemKind::Limit => return None,
    };
    let place = problem.offset.map_or_else(|| location.clone(), |offset| location.clone().at_offset(offset));
    Some(super::draft(&INFO, "broken-structure", &place, message))
}

fn unowned(location: &Location, fact: &Hdf5Fact, drafts: &mut Vec<Draft>) {
    let mut add = |offset: u64, message: String, severity: Severity| {
        let place = location.clone().at_offset(offset);
        drafts.push(super::draft(&INFO, "unowned-bytes", &place, message).severity(severity));
    };
    if let Some(tail) = fact.hdf5.tail.filter(|_| fact.tail) {
        // No pickle, archive or program is that short; transfers as text add line ends.
        let severity = if tail.len < 16 { Severity::Low } else { Severity::Medium };
        add(tail.offset, format!("{} bytes stand behind the end of the file", tail.len), severity);
    }
    if let Some(superblock) = fact.hdf5.superblock.filter(|_| fact.block) {
        // Programs may keep notes there; what it holds was read as a file of its own.
        add(0, format!("a user block of {} bytes stands in front", superblock.offset), Severity::Low);
    }
}
