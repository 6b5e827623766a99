//! Whether a file is what its name says, and whether every reader of a container sees the same members.

use std::collections::BTreeMap;

use gauntlet_archive::{ConflictKind, EntryKind, EntryProblem, NameProblem};
use gauntlet_core::{Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, plural, rule};
use crate::extract::{Claim, Format};
use crate::facts::{ArchiveFact, EntryFact, FileFact, NamedConflict, StreamFact, leaves_folder};

/// Expanded bytes of one member from which on a high ratio is more than a note.
const FILLS: u64 = 1 << 30;

/// `artifact/archive`
pub(crate) struct Archive;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::ARCHIVE,
    version: 1,
    stage: Stage::Artifact,
    title: "Is the file what its name says, and do all readers see the same members?",
    rules: &[
        rule!(
            "artifact/archive/disguised-file",
            High,
            "the content is another format than the name says",
            "Find out who renamed the file; give it the name of its format, or get it again from its source.",
            ["CWE-434", "CVE-2025-1889", "CVE-2025-10155", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/archive/executable",
            High,
            "machine code or a script where a model is expected",
            "Remove the file; a model needs no program of its own.",
            ["CWE-506", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/archive/reading-conflict",
            High,
            "the archive's directory and its local headers disagree",
            "Unpack and pack the archive again with one tool; do not load the file as it is.",
            ["CWE-436", "CVE-2025-1944", "CVE-2025-1945", "CVE-2025-10156", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/archive/hidden-archive",
            High,
            "an archive is hidden behind or inside other bytes",
            "Find out what the file is for; loaders pick one of its two readings.",
            ["CWE-436", "CWE-912", "OWASP ML06:2023", "AML.T0018.002"]
        ),
        rule!(
            "artifact/archive/extra-bytes",
            Medium,
            "bytes before, between or behind the archive's records",
            "Pack the archive again; find out what the bytes are.",
            ["CWE-912", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/archive/unsafe-path",
            High,
            "a member's name leads out of the folder it is unpacked to",
            "Do not unpack the archive; rename the member at its source.",
            ["CWE-22", "CVE-2007-4559", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/archive/unsafe-link",
            High,
            "a link leads out of the archive, or a member is written through a link",
            "Do not unpack the archive; replace links by files.",
            ["CWE-59", "CVE-2007-4559", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/archive/odd-entry",
            Medium,
            "a member that models do not have: device, duplicate, overridden name",
            "Pack the archive again with plain files only.",
            ["CWE-436", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/archive/wrong-checksum",
            Medium,
            "a member's content does not have its checksum",
            "Get the file again; strict readers refuse it, lenient ones load the changed bytes.",
            ["CWE-354", "CVE-2025-10156", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/archive/high-expansion",
            Medium,
            "a member expands more than a hundredfold",
            "Unpack it only under a quota, or store the content otherwise.",
            ["CWE-409", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-archive.md"),
};

impl Check for Archive {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<FileFact>(facts, &mut judgement, |location, fact, judgement| file(location, &fact, judgement));
        each::<ArchiveFact>(facts, &mut judgement, |location, fact, judgement| {
            archive(location, &fact, judgement);
        });
        each::<StreamFact>(facts, &mut judgement, |location, fact, judgement| stream(location, &fact, judgement));
        judgement
    }
}

fn file(location: &Location, fact: &FileFact, judgement: &mut Judgement) {
    for format in &fact.formats {
        if let Format::Executable(kind) = format {
            judgement.findings.extend(program(location, kind, fact));
        }
    }
    if let Some(offset) = fact.hidden {
        let message = format!("another file begins at offset {offset}, behind bytes of another kind");
        judgement.findings.push(super::draft(&INFO, "extra-bytes", location, message).severity(Severity::Low));
    }
    if let Some(promised) = &fact.promised {
        let names: Vec<_> = fact.formats.iter().map(Format::name).collect();
        let message = format!("named like {promised}, and its content is {}", names.join(" and "));
        let draft = super::draft(&INFO, "disguised-file", location, message);
        judgement.findings.push(draft.severity(Severity::Medium));
        return;
    }
    let known: Vec<_> = fact.formats.iter().filter(|f| !matches!(f, Format::Executable(_))).collect();
    let wrong: Vec<_> = known.iter().filter(|format| !fact.claim.accepts(format)).collect();
    // One format that fits is enough, unless a pickle stands beside it.
    let fits = wrong.len() < known.len();
    let pickle = wrong.iter().any(|format| ***format == Format::Pickle);
    if wrong.is_empty() || (fits && !pickle) || (pickle && fact.claim == Claim::Foreign && fact.weak_pickle) {
        return;
    }
    let names: Vec<_> = wrong.iter().map(|format| format.name()).collect();
    let message = format!("named like {}, and its content is {}", claim_words(fact.claim), names.join(" and "));
    // A pickle behind a name that promises data is an attempt; other mix-ups happen.
    let severity = if pickle { Severity::High } else { Severity::Medium };
    judgement.findings.push(super::draft(&INFO, "disguised-file", location, message).severity(severity));
}

/// A program under the name of a model, inside a model, or hidden in other bytes.
fn program(location: &Location, kind: &str, fact: &FileFact) -> Option<Draft> {
    let draft = |severity, message| Some(super::draft(&INFO, "executable", location, message).severity(severity));
    let path = location.path.as_deref().unwrap_or("");
    let member = location.member.as_deref().unwrap_or("");
    let (around, name) = match member.rsplit_once('!') {
        Some((around, name)) => (around, name),
        None if member.is_empty() => ("", path),
        None => ("", member),
    };
    let alone = kind == "llamafile" && fact.claim == Claim::Nothing;
    // The stream around compressed bytes is no model of its own.
    let named = fact.claim.is_model() || (member.is_empty() && Claim::promises_model(path));
    if named || alone {
        let message = format!("{kind} content where a model is expected");
        let sure = match fact.claim {
            Claim::Weights | Claim::Data => Confidence::Medium,
            _ => Confidence::High,
        };
        return draft(Severity::High, message).map(|draft| draft.confidence(sure));
    }
    if member.is_empty() {
        return None;
    }
    if ["<bytes from", "<buffer", "<tensor"].iter().any(|part| name.starts_with(part)) {
        return draft(Severity::High, format!("{kind} content among the bytes of another format"));
    }
    let outer = std::iter::once(path).chain(around.split('!')).filter(|outer| Claim::promises_model(outer));
    let outer: Vec<_> = outer.map(crate::readers::ending).collect();
    let ending = crate::readers::ending(name);
    // Python is read, whatever its first line says.
    if outer.is_empty() || ending == "py" {
        return None;
    }
    let library = matches!(ending.as_str(), "so" | "dll" | "dylib" | "pyd");
    let ships = library && outer.iter().any(|outer| matches!(outer.as_str(), "pt2" | "mar"));
    let severity = if ships || kind == "script" { Severity::Medium } else { Severity::High };
    draft(severity, format!("a model holds a program: {kind} content"))
}

fn claim_words(claim: Claim) -> &'static str {
    match claim {
        Claim::Pickle => "a pickle",
        Claim::Torch => "a PyTorch file",
        Claim::Safetensors => "safetensors",
        Claim::Onnx => "ONNX",
        Claim::Npy => "a NumPy array",
        Claim::Zip => "a zip",
        Claim::Archive => "an archive",
        Claim::Model => "a model of another format",
        Claim::Weights => "weights",
        Claim::Data => "data",
        Claim::Foreign => "text, a picture or code",
        Claim::Nothing => "nothing in particular",
    }
}

fn archive(location: &Location, fact: &ArchiveFact, judgement: &mut Judgement) {
    if fact.hidden {
        let members = plural(fact.members, "member", "members");
        let message = format!("a {} with {members} stands behind bytes of another format", fact.container);
        let draft = super::draft(&INFO, "hidden-archive", location, message);
        judgement.findings.push(if fact.attached { draft.severity(Severity::Info) } else { draft });
    }
    // Conflicts of one kind are one finding each up to a point: an archive may have thousands of members.
    let mut counts: BTreeMap<(&str, Severity), u64> = BTreeMap::new();
    for conflict in &fact.conflicts {
        let Some(Seen { rule, mut severity, what }) = conflict_seen(conflict, fact.hidden) else { continue };
        if fact.members == 1 && is_named_like_its_zip(conflict) {
            severity = Severity::Low;
        }
        let count = counts.entry((rule, severity)).or_default();
        *count += 1;
        if *count > FINDINGS as u64 {
            continue;
        }
        let place = member_place(location, conflict.name.as_deref());
        let message = match &conflict.name {
            Some(name) => format!("member `{name}`: {what}"),
            None => what.clone(),
        };
        let draft = super::draft(&INFO, rule, &place, message).severity(severity);
        judgement.findings.push(draft.snippet(format!("{} {what}", conflict.name.as_deref().unwrap_or(""))));
    }
    let more: u64 = counts.values().map(|n| n.saturating_sub(FINDINGS as u64)).sum::<u64>() + fact.more_conflicts;
    if more > 0 {
        let message = format!("{more} more disagreements like these");
        judgement.findings.push(super::draft(&INFO, "reading-conflict", location, message));
    }
    for entry in fact.entries.iter().take(10 * FINDINGS) {
        entry_seen(location, entry, &fact.container, judgement);
    }
    for name in fact.wrong_checksums.iter().take(FINDINGS) {
        let message = format!("member `{name}`: the content does not have the stated checksum");
        let place = member_place(location, Some(name));
        judgement.findings.push(super::draft(&INFO, "wrong-checksum", &place, message).snippet(name));
    }
    for (name, bytes) in fact.slack.iter().take(FINDINGS) {
        let message = format!("member `{name}`: {bytes} bytes behind the end of its compressed content");
        let place = member_place(location, Some(name));
        judgement.findings.push(super::draft(&INFO, "extra-bytes", &place, message).snippet(name));
    }
    if let Some(from) = fact.rest {
        let message = format!("bytes from offset {from} are no entry of the {}", fact.container);
        judgement.findings.push(super::draft(&INFO, "extra-bytes", location, message));
    }
    for (name, packed, expanded) in fact.expanding.iter().take(FINDINGS) {
        let message = format!("member `{name}`: {packed} bytes expand to {expanded}");
        let place = member_place(location, Some(name));
        // Arrays of zeros compress as well as bombs do; only what fills a machine is more than a note.
        let severity = if *expanded >= FILLS { Severity::Medium } else { Severity::Low };
        let draft = super::draft(&INFO, "high-expansion", &place, message).severity(severity);
        judgement.findings.push(draft.snippet(name));
    }
}

/// pandas packs one table under the whole path of the zip itself, and reads it without regard to the name.
fn is_named_like_its_zip(conflict: &NamedConflict) -> bool {
    let absolute = conflict.conflict.kind == ConflictKind::Name { problem: NameProblem::Absolute };
    let name = conflict.name.as_deref().unwrap_or_default();
    absolute && name.to_ascii_lowercase().ends_with(".zip") && !name.contains(['\\', '\0'])
}

fn stream(location: &Location, fact: &StreamFact, judgement: &mut Judgement) {
    let mut push = |rule, severity, what: String| {
        let message = format!("{} stream: {what}", fact.container);
        judgement.findings.push(super::draft(&INFO, rule, location, message).severity(severity).snippet(what));
    };
    if let Some(from) = fact.trailing {
        push("extra-bytes", Severity::Medium, format!("bytes from offset {from} belong to no member"));
    }
    for len in fact.skipped.iter().take(FINDINGS) {
        push("extra-bytes", Severity::Low, format!("a frame of {len} bytes that decompressors skip"));
    }
    for (name, problems) in &fact.names {
        if problems.contains(&NameProblem::Parent) {
            push("unsafe-path", Severity::Medium, format!("the name in its header, `{name}`, climbs with `..`"));
        } else if let Some(problem) = problems.first() {
            let what = name_seen(*problem).what;
            push("odd-entry", Severity::Low, format!("the name in its header, `{name}`: {what}"));
        }
    }
}

fn member_place(location: &Location, name: Option<&str>) -> Location {
    match (name, &location.member) {
        (Some(name), Some(outer)) => location.clone().in_member(format!("{outer}!{name}")),
        (Some(name), None) => location.clone().in_member(name),
        (None, _) => location.clone(),
    }
}

struct Seen {
    rule: &'static str,
    severity: Severity,
    what: String,
}

fn conflict_seen(conflict: &NamedConflict, hidden: bool) -> Option<Seen> {
    use ConflictKind as K;
    let seen = |severity, what: String| Seen { rule: "reading-conflict", severity, what };
    let high = |what: &str| seen(Severity::High, what.to_owned());
    let medium = |what: &str| seen(Severity::Medium, what.to_owned());
    Some(match &conflict.conflict.kind {
        K::NameDiffers { local } => seen(Severity::High, format!("the local header calls it `{local}`")),
        K::UnicodeNameDiffers { unicode, escaped } => {
            // A header in an old code page is what the field was made for.
            let severity = if *escaped { Severity::Info } else { Severity::High };
            seen(severity, format!("its Unicode name is `{unicode}`"))
        }
        K::MethodDiffers { central, local } => {
            seen(Severity::High, format!("compression method {central} in the directory, {local} in the local header"))
        }
        K::FlagsDiffer { central, local } => {
            seen(Severity::Medium, format!("flags {central:#06x} in the directory, {local:#06x} in the local header"))
        }
        K::FlagsUnusual { flags } => {
            seen(Severity::Medium, format!("flags {flags:#06x} make strict readers refuse it and lenient ones not"))
        }
        K::SizeDiffers { central, local } => {
            seen(Severity::High, format!("{central} bytes in the directory, {local} in the local header"))
        }
        K::CrcDiffers { central, local } => {
            seen(Severity::High, format!("checksum {central:08x} in the directory, {local:08x} in the local header"))
        }
        K::DescriptorDiffers => medium("the data descriptor behind it states other values than the directory"),
        K::StoredSizeDiffers => medium("stored, yet its compressed and expanded sizes differ"),
        K::OnlyCentral => high("the directory lists it where no local header is"),
        K::OnlyLocal => high("the directory does not list it"),
        K::DuplicateName => high("the name occurs twice; readers differ in which member they take"),
        K::CaseDuplicate => Seen {
            rule: "odd-entry",
            severity: Severity::Low,
            what: "another member's name differs in case only".to_owned(),
        },
        K::AliasDuplicate => high("another member's name is another spelling of the same path"),
        K::ExtraRepeated { id } => {
            seen(Severity::High, format!("the extra field {id:#06x} occurs twice with different content"))
        }
        K::Overlap => high("its bytes are also those of another member or of the directory"),
        K::PastEnd => high("its content leaves the file"),
        K::FolderWithContent => medium("a folder by its name, and it has content"),
        K::Name { problem } => return Some(name_seen(*problem)),
        K::SymbolicLink => Seen { rule: "odd-entry", severity: Severity::Low, what: "a symbolic link".to_owned() },
        K::Device => Seen { rule: "odd-entry", severity: Severity::Medium, what: "a device".to_owned() },
        K::ThroughLink => Seen {
            rule: "unsafe-link",
            severity: Severity::High,
            what: "is written through a link of this archive".to_owned(),
        },
        // That bytes stand before a hidden archive is what makes it hidden.
        K::Prepended { .. } if hidden => return None,
        K::Prepended { bytes } => extra(Severity::Medium, format!("{bytes} bytes before the first record")),
        K::Appended { bytes } => extra(Severity::Medium, format!("{bytes} bytes behind the end record")),
        K::Unaccounted { offset, bytes, zeros } => {
            let severity = if *zeros { Severity::Low } else { Severity::Medium };
            extra(severity, format!("{bytes} bytes from offset {offset} belong to no record"))
        }
        K::NoEndRecord => high("there is no end record; readers of local headers still find the members"),
        K::SecondEndRecord { offset } => seen(Severity::High, format!("a second end record stands at offset {offset}")),
        K::EntryCount { stated, found } => {
            seen(Severity::High, format!("the end record says {stated} members, the directory has {found}"))
        }
        K::DirectorySize { stated, found } => {
            seen(Severity::Medium, format!("the end record says the directory has {stated} bytes, it has {found}"))
        }
        K::DirectoryOffset { .. } if hidden => return None,
        K::DirectoryOffset { stated, counted } => seen(
            Severity::Medium,
            format!("the end record says the directory is at {stated}, counted from the end it is at {counted}"),
        ),
        K::NoDirectory => high("the end record points to no directory"),
        K::Zip64Disagrees => medium("the zip64 records contradict the plain ones"),
        K::SplitArchive => medium("it claims to be part of a split archive"),
    })
}

fn extra(severity: Severity, what: String) -> Seen {
    Seen { rule: "extra-bytes", severity, what }
}

fn name_seen(problem: NameProblem) -> Seen {
    let path = |severity, what: &str| Seen { rule: "unsafe-path", severity, what: what.to_owned() };
    let odd = |what: &str| Seen { rule: "odd-entry", severity: Severity::Low, what: what.to_owned() };
    match problem {
        NameProblem::Absolute => path(Severity::High, "the name is absolute"),
        NameProblem::Drive => path(Severity::High, "the name starts with a drive letter"),
        NameProblem::Parent => path(Severity::High, "the name climbs with `..`"),
        NameProblem::Nul => path(Severity::High, "the name has a NUL byte, where some readers end it"),
        NameProblem::Backslash => {
            path(Severity::Medium, "the name has a backslash, which some readers take as separator")
        }
        NameProblem::Empty => odd("the name is empty"),
        NameProblem::Control => odd("the name has control characters"),
        NameProblem::NotUtf8 => odd("the name is not UTF-8"),
        NameProblem::Reserved => odd("Windows takes the name for a device or a stream of another file"),
        NameProblem::TrailingDot => odd("a part of the name ends with a dot or a space, which Windows drops"),
    }
}

fn entry_seen(location: &Location, entry: &EntryFact, container: &str, judgement: &mut Judgement) {
    let place = member_place(location, Some(&entry.name));
    let name = &entry.name;
    let mut push = |rule, severity, what: &str| {
        let draft = super::draft(&INFO, rule, &place, format!("entry `{name}`: {what}"));
        judgement.findings.push(draft.severity(severity).snippet(format!("{name} {what}")));
    };
    if matches!(entry.kind, EntryKind::Device) {
        push("odd-entry", Severity::Medium, "a device");
    }
    if let EntryKind::Other(flag) = entry.kind {
        push("odd-entry", Severity::Low, &format!("an entry of the unknown type {flag:#04x}"));
    }
    for problem in &entry.problems {
        match problem {
            problem if leaves_folder(*problem) => {
                push("unsafe-path", Severity::High, "the name leads out of the folder");
            }
            EntryProblem::Name(problem) => {
                let seen = name_seen(*problem);
                push(seen.rule, seen.severity, &seen.what);
            }
            EntryProblem::LinkLeaves => {
                let what = format!("links to `{}`, outside of the archive", entry.link.as_deref().unwrap_or(""));
                push("unsafe-link", Severity::High, &what);
            }
            EntryProblem::ThroughLink => {
                push("unsafe-link", Severity::High, "is written through a link of this archive");
            }
            EntryProblem::NameOverridden => {
                push("odd-entry", Severity::Medium, "an extended header gives it another name");
            }
            EntryProblem::SizeOverridden => {
                push("odd-entry", Severity::Medium, "an extended header gives it another size");
            }
            EntryProblem::SizeOfNothing => {
                push(
                    "odd-entry",
                    Severity::Medium,
                    "a link or device that states content; readers differ in what follows",
                );
            }
            EntryProblem::OtherReading => {
                push("reading-conflict", Severity::High, "is there only for readers that ignore extended sizes");
            }
            EntryProblem::AntiItem => push("odd-entry", Severity::Medium, "tells unpackers to delete a file"),
            EntryProblem::Duplicate if container == "tar" && entry.kind == EntryKind::HardLink => {}
            EntryProblem::Duplicate => push("odd-entry", Severity::Medium, "the name occurs twice"),
            EntryProblem::AfterEnd => push("odd-entry", Severity::Medium, "stands behind the end of the archive"),
        }
    }
}
