//! Writes a manifest as YAML that a person can go on with: what is required and unknown is marked.

use std::fmt::Write as _;

use super::{FILL_IN, Manifest, quoted};

/// The text of a manifest; [`Manifest::parse`] reads it back as it was, but for the markers. `head` is written first, as
/// comments.
#[must_use]
pub fn render_manifest(manifest: &Manifest, head: &str) -> String {
    let mut out = String::new();
    for line in head.lines() {
        let _ = writeln!(out, "# {line}");
    }
    let m = manifest;
    let _ = writeln!(out, "gauntlet_dataset: 1");
    let _ = writeln!(out, "name: {}", marked(m.name.as_deref(), "name of the dataset"));
    optional(&mut out, 0, "version", m.version.as_deref());
    out.push_str("files:\n");
    for file in &m.files {
        let _ = writeln!(out, "  - path: {}", quoted(&file.path));
        let _ =
            writeln!(out, "    sha256: {}", marked(file.sha256.as_deref(), "unverifiable: nobody vouches for a hash"));
        if let Some(size) = file.size {
            let _ = writeln!(out, "    size: {size}");
        }
        if let Some(rows) = file.rows {
            let _ = writeln!(out, "    rows: {rows}");
        }
        optional(&mut out, 4, "split", file.split.as_deref());
    }
    if m.files.is_empty() {
        out.truncate(out.len() - "files:\n".len());
        out.push_str("files: []\n");
    }
    out.push_str("source:\n");
    let _ = writeln!(
        out,
        "  uri: {}",
        marked(m.source.uri.as_deref(), "where the data comes from, such as https://… or urn:…")
    );
    match m.source.collected.as_deref() {
        Some(days) if !days.is_empty() => {
            let _ = writeln!(out, "  collected: {}", list(days));
        }
        _ => {
            let _ = writeln!(out, "  collected: [{FILL_IN}, {FILL_IN}]   # first and last day, YYYY-MM-DD");
        }
    }
    let _ = writeln!(out, "  method: {}", marked(m.source.method.as_deref(), "how it was collected"));
    if !m.source.upstream.is_empty() {
        out.push_str("  upstream:\n");
        for upstream in &m.source.upstream {
            let _ = writeln!(out, "    - name: {}", quoted(&upstream.name));
            optional(&mut out, 6, "digest", upstream.digest.as_deref());
        }
    }
    out.push_str("license:\n");
    let what = "SPDX expression such as CC-BY-4.0, or LicenseRef-…";
    let _ = writeln!(out, "  spdx: {}", marked(m.license.spdx.as_deref(), what));
    optional(&mut out, 2, "url", m.license.url.as_deref());
    listed(&mut out, 2, "purposes", &m.license.purposes);
    consent(&mut out, m);
    if let Some(age) = &m.age_verification {
        let _ = writeln!(out, "age_verification:\n  column: {}", quoted(&age.column));
        listed(&mut out, 2, "allowed", &age.allowed);
        if let Some(minimum) = age.minimum {
            let _ = writeln!(out, "  minimum: {minimum}");
        }
    }
    out.push_str("personal_data:\n");
    mapped(&mut out, "columns", m.personal_data.columns.iter().map(|(k, v)| (k.as_str(), v.as_str())), true);
    if let Some(special) = m.personal_data.special_categories {
        let _ = writeln!(out, "  special_categories: {special}");
    }
    if m.classification.default.is_some() || !m.classification.columns.is_empty() {
        out.push_str("classification:\n");
        optional(&mut out, 2, "default", m.classification.default.map(super::Class::as_str));
        mapped(&mut out, "columns", m.classification.columns.iter().map(|(k, v)| (k.as_str(), v.as_str())), false);
    }
    people(&mut out, m);
    if let Some(label) = &m.label {
        let _ = writeln!(out, "label:");
        optional(&mut out, 2, "column", label.column.as_deref());
        let _ = writeln!(out, "  classes: {}", list(&label.classes));
    }
    listed(&mut out, 0, "ids", &m.ids);
    listed(&mut out, 0, "groups", &m.groups);
    optional(&mut out, 0, "time", m.time.as_deref());
    if let Some(contract) = &m.contract {
        out.push_str("contract:\n");
        optional(&mut out, 2, "path", contract.path.as_deref());
        optional(&mut out, 2, "sha256", contract.sha256.as_deref());
        if contract.path.is_none() && contract.sha256.is_none() {
            out.truncate(out.len() - "contract:\n".len());
            out.push_str("contract: {}\n");
        }
    }
    if let Some(print) = m.fingerprint.as_ref().filter(|p| p.content_hash.is_some() || p.sketch_sha256.is_some()) {
        out.push_str("fingerprint:\n");
        optional(&mut out, 2, "content_hash", print.content_hash.as_deref());
        optional(&mut out, 2, "sketch_sha256", print.sketch_sha256.as_deref());
    }
    if !m.signature.is_empty() {
        let _ = writeln!(out, "signature: {}", serde_json::Value::Object(m.signature.clone()));
    }
    out
}

fn consent(out: &mut String, m: &Manifest) {
    out.push_str("consent:\n");
    let what = "consent, contract, legal, public or synthetic";
    let _ = writeln!(out, "  basis: {}", marked(m.consent.basis.as_deref(), what));
    let proves_itself = matches!(m.consent.basis.as_deref(), Some("public" | "synthetic"));
    let required = |out: &mut String, key: &str, value: Option<&str>, what: &str| {
        if value.is_some() || !proves_itself {
            let _ = writeln!(out, "  {key}: {}", marked(value, what));
        }
    };
    required(
        out,
        "record",
        m.consent.record.as_deref(),
        "URI of the record that proves it; not for public or synthetic data",
    );
    optional(out, 2, "column", m.consent.column.as_deref());
    listed(out, 2, "allowed", &m.consent.allowed);
    if m.consent.purposes.is_empty() {
        let _ = writeln!(out, "  purposes: [{FILL_IN}]      # what it may be used for, such as train");
    } else {
        listed(out, 2, "purposes", &m.consent.purposes);
    }
    required(
        out,
        "expires",
        m.consent.expires.as_deref(),
        "last day of use, YYYY-MM-DD; `never` unless the basis is consent",
    );
    optional(out, 2, "expires_column", m.consent.expires_column.as_deref());
}

fn people(out: &mut String, m: &Manifest) {
    if !m.owners.is_empty() {
        out.push_str("owners:\n");
        for owner in &m.owners {
            let _ = writeln!(out, "  - name: {}", quoted(&owner.name));
            optional(out, 4, "role", owner.role.as_deref());
            optional(out, 4, "contact", owner.contact.as_deref());
        }
    }
    if !m.access.roles.is_empty() || m.access.conditions.is_some() {
        out.push_str("access:\n");
        listed(out, 2, "roles", &m.access.roles);
        optional(out, 2, "conditions", m.access.conditions.as_deref());
    }
    let p = &m.protection;
    if p.transport.is_some() || p.encryption.is_some() || !p.recipients.is_empty() {
        out.push_str("protection:\n");
        optional(out, 2, "transport", p.transport.as_deref());
        optional(out, 2, "encryption", p.encryption.as_deref());
        listed(out, 2, "recipients", &p.recipients);
    }
}

/// The value, or the marker and what a person has to write.
fn marked(value: Option<&str>, what: &str) -> String {
    match value {
        Some(value) if value != FILL_IN => quoted(value),
        _ => format!("{FILL_IN}             # {what}"),
    }
}

fn optional(out: &mut String, indent: usize, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(out, "{:indent$}{key}: {}", "", quoted(value));
    }
}

fn listed(out: &mut String, indent: usize, key: &str, values: &[String]) {
    if !values.is_empty() {
        let _ = writeln!(out, "{:indent$}{key}: {}", "", list(values));
    }
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
}

fn mapped<'a>(out: &mut String, key: &str, entries: impl Iterator<Item = (&'a str, &'a str)>, always: bool) {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        if always {
            let _ = writeln!(out, "  {key}: {{}}");
        }
        return;
    }
    let _ = writeln!(out, "  {key}:");
    for (name, word) in entries {
        let _ = writeln!(out, "    {}: {}", quoted(name), quoted(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key, with values that YAML would read as something else.
    pub(crate) const FULL: &str = "\
gauntlet_dataset: 1
name: \"yes: no # x\"
version: \"1.0\"
files:
  - {path: \"a b.csv\", sha256: \"00\", size: 3, rows: 1, split: train}
  - {path: c.csv}
source: {uri: 'urn:x', collected: [2026-01-01, 2026-01-02], method: \"a\\nb\", upstream: [{name: up, digest: 'sha256:00'}, {name: b}]}
license: {spdx: MIT, url: 'https://e.org', purposes: [train]}
consent: {basis: consent, record: 'urn:r', column: ok, allowed: ['yes'], purposes: [train], expires: 2027-01-01, expires_column: until}
age_verification: {column: age, minimum: 18, allowed: ['true']}
personal_data: {columns: {mail: hashed}, special_categories: true}
classification: {default: internal, columns: {mail: personal}}
owners: [{name: Ana, role: data, contact: 'ana@example.org'}]
access: {roles: [science], conditions: by request}
protection: {transport: https, encryption: age, recipients: [age1x]}
label: {column: churn, classes: ['0', '1']}
ids: [id]
groups: [household]
time: day
contract: {path: c.yaml, sha256: '11'}
fingerprint: {content_hash: '22', sketch_sha256: '33'}
signature: {by: me}
";

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let mut full = Manifest::parse("m", FULL.as_bytes()).unwrap();
        let text = render_manifest(&full, "two\nlines");
        let back = Manifest::parse("m", text.as_bytes()).unwrap();
        full.files[1].sha256 = Some(FILL_IN.to_owned());
        assert_eq!(back, full, "{text}");
        assert!(text.starts_with("# two\n# lines\n"));
    }

    #[test]
    fn an_empty_manifest_marks_all_that_is_required() {
        let text = render_manifest(&Manifest::parse("m", b"gauntlet_dataset: 1\n").unwrap(), "");
        Manifest::parse("m", text.as_bytes()).unwrap();
        for key in ["name", "uri", "collected", "method", "spdx", "basis", "record", "purposes", "expires"] {
            assert!(
                text.lines().any(|l| l.trim().starts_with(&format!("{key}: ")) && l.contains(FILL_IN)),
                "{key}: {text}"
            );
        }
    }
}
