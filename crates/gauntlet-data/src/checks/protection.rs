//! `data/protection`: who else may read the data, where it lies and on its way?

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Location, RuleInfo, Severity, Stage,
};

use super::{PROTECTION, facts_of, rule};
use crate::facts::{ColumnFact, ManifestFact};
use crate::ingest::facts::ProtectionFact;
use crate::manifest::{Class, Manifest};
use crate::personal::kind_of_name;

/// The check.
#[derive(Debug)]
pub(crate) struct ProtectionCheck;

const REFERENCES: &[&str] = &["CWE-311", "CWE-732", "GDPR Art. 32", "NIST SP 800-53 SC-28"];

static RULES: [RuleInfo; 3] = [
    rule(
        "data/protection/plain-http-source",
        Severity::High,
        "data that travels unencrypted",
        "fetch it over https or from a bucket, and name that address; until then anybody on the way can read and change it",
        &["CWE-319", "CWE-494", "MITRE ATLAS AML.T0020", "NIST SP 800-53 SC-8"],
    ),
    rule(
        "data/protection/world-readable",
        Severity::Medium,
        "confidential data that every user of the machine can read",
        "take the right to read from others: `chmod o-rwx` on the file or on a folder above it",
        REFERENCES,
    ),
    rule(
        "data/protection/unencrypted",
        Severity::Medium,
        "confidential data that is stored unencrypted",
        "encrypt the files with `age -r RECIPIENT`; or, where the disk or the bucket is encrypted, say so in the manifest \
         under `protection.encryption`",
        REFERENCES,
    ),
];

static INFO: CheckInfo = CheckInfo {
    id: PROTECTION,
    version: 1,
    stage: Stage::Data,
    title: "transport, access rights and encryption of data files",
    rules: &RULES,
    page: include_str!("../../../../docs/src/checks/data-protection.md"),
};

impl Check for ProtectionCheck {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut out = Judgement::default();
        let manifest = facts_of::<ManifestFact>(facts, &mut out)
            .into_iter()
            .find_map(|(place, fact)| fact.0.content().cloned().map(|manifest| (place, manifest)));
        let columns: Vec<String> =
            facts_of::<ColumnFact>(facts, &mut out).into_iter().map(|(_, fact)| fact.name).collect();
        let files = facts_of::<ProtectionFact>(facts, &mut out);
        let confidential = confidential(manifest.as_ref().map(|(_, manifest)| manifest), &columns);
        for (place, fact) in &files {
            if fact.in_the_clear {
                let what = "the data comes over plain http".to_owned();
                add(&mut out, "plain-http-source", place.clone(), "transport", None, what);
            }
        }
        if let Some((place, manifest)) = &manifest {
            origins(manifest, place, &mut out);
        }
        let Some((class, names)) = confidential else { return out };
        // Above "personal" both are a breach rather than a shortcoming.
        let severity = (class >= Class::Sensitive).then_some(Severity::High);
        let kept = manifest.as_ref().and_then(|(_, m)| m.protection.encryption.as_deref());
        let declared = kept.is_some_and(|word| matches!(word, "disk" | "bucket"));
        for (place, fact) in files {
            if fact.world_readable {
                let what = format!("every user of this machine can read it, and it holds {names}");
                add(&mut out, "world-readable", place.clone(), "mode", severity, what);
            }
            if !fact.encrypted && !declared {
                let what = format!("it is stored unencrypted and holds {names}");
                add(&mut out, "unencrypted", place, "encryption", severity, what);
            }
        }
        out
    }
}

/// The highest class of the table's columns from `personal` on, and which columns those are.
fn confidential(manifest: Option<&Manifest>, columns: &[String]) -> Option<(Class, String)> {
    let class = |name: &String| {
        let declared = manifest.and_then(|m| m.classification.columns.get(name).copied().or(m.classification.default));
        // What is hashed or masked is personal data still, but a declared class says more than a declared treatment.
        let personal = manifest.is_some_and(|m| m.personal_data.columns.contains_key(name));
        let special = manifest.is_some_and(|m| m.personal_data.special_categories == Some(true));
        declared.or(match (personal, special) {
            (true, true) => Some(Class::Sensitive),
            (true, false) => Some(Class::Personal),
            // Without a manifest the name is all there is.
            _ => kind_of_name(name).filter(|_| manifest.is_none()).map(|_| Class::Personal),
        })
    };
    let mut found: Vec<(Class, &String)> =
        columns.iter().filter_map(|name| class(name).map(|class| (class, name))).collect();
    found.retain(|(class, _)| *class >= Class::Personal);
    let highest = found.iter().map(|(class, _)| *class).max()?;
    let first: Vec<String> = found.iter().take(3).map(|(class, name)| format!("`{name}` ({})", class.as_str())).collect();
    let more = if found.len() > 3 { format!(" and {} more", found.len() - 3) } else { String::new() };
    Some((highest, format!("confidential columns: {}{more}", first.join(", "))))
}

/// Where the manifest says that the data comes from.
fn origins(manifest: &Manifest, place: &Location, out: &mut Judgement) {
    let uri = manifest.source.uri.as_deref().unwrap_or_default();
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    if matches!(scheme.as_str(), "http" | "ftp" | "telnet") {
        let what = format!("the manifest names a source that is read over plain {scheme}");
        add(out, "plain-http-source", place.clone(), "source.uri", None, what);
    }
    if manifest.protection.transport.as_deref() == Some("none") {
        let what = "the manifest says that the data travels unprotected".to_owned();
        add(out, "plain-http-source", place.clone(), "protection.transport", None, what);
    }
}

fn add(
    out: &mut Judgement,
    name: &str,
    place: Location,
    snippet: &str,
    severity: Option<Severity>,
    message: String,
) {
    if let Some(rule) = INFO.rule(name) {
        let draft = Draft::new(rule, place, message).snippet(snippet).confidence(Confidence::High);
        out.findings.push(match severity {
            Some(severity) => draft.severity(severity),
            None => draft,
        });
    }
}
