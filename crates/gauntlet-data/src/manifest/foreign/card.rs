//! Hugging Face dataset cards: the front matter of a README.

use std::collections::BTreeMap;

use gauntlet_core::yaml;
use serde::Deserialize;
use serde_json::Value;

use super::{Described, ForeignError, croissant, malformed, shown};
use crate::manifest::{FILL_IN, Label, Manifest, ManifestFile, Upstream, quoted};

/// Identifiers of the hub that SPDX spells otherwise.
const SPELLED: [(&str, &str); 8] = [
    ("odc-by", "ODC-By-1.0"),
    ("odbl", "ODbL-1.0"),
    ("pddl", "PDDL-1.0"),
    ("agpl-3.0", "AGPL-3.0-only"),
    ("gpl-2.0", "GPL-2.0-only"),
    ("gpl-3.0", "GPL-3.0-only"),
    ("lgpl-2.1", "LGPL-2.1-only"),
    ("lgpl-3.0", "LGPL-3.0-only"),
];
/// Identifiers that the hub and SPDX share, but for the case.
const SHARED: [&str; 41] = [
    "apache-2.0",
    "mit",
    "bsl-1.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0",
    "cdla-permissive-1.0",
    "cdla-permissive-2.0",
    "wtfpl",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "etalab-2.0",
    "eupl-1.1",
    "eupl-1.2",
    "artistic-2.0",
    "isc",
    "lppl-1.3c",
    "ms-pl",
    "mpl-2.0",
    "osl-3.0",
    "postgresql",
    "unlicense",
    "zlib",
];

/// Keys that are read; a card holds many others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Card {
    pretty_name: Option<String>,
    license: Option<Value>,
    license_name: Option<String>,
    license_link: Option<String>,
    source_datasets: Option<Value>,
    configs: Vec<Config>,
    dataset_info: Option<Value>,
    extra_gated_prompt: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    data_files: Option<Value>,
}

pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Described, ForeignError> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed(file, "is not UTF-8"))?;
    let Some(front) = front_matter(text) else {
        return Err(malformed(file, "has no front matter (YAML between two lines of `---` at the top)"));
    };
    let card: Card = yaml::parse(file, front.as_bytes()).map_err(|error| {
        // One line of dashes stands above.
        let line = error.line.map_or_else(String::new, |line| format!("line {}: ", line + 1));
        malformed(file, format!("{line}{}", error.message))
    })?;
    let mut out = Described::new();
    let m = &mut out.manifest;
    m.name = card.pretty_name.clone();
    m.access.conditions = card.extra_gated_prompt.clone();
    m.source.upstream =
        strings(card.source_datasets.as_ref()).into_iter().map(|name| Upstream { name, digest: None }).collect();
    license(&card, &mut out);
    for config in &card.configs {
        data_files(file, config.data_files.as_ref(), &mut out)?;
    }
    if card.configs.is_empty() {
        out.notes.push("the card has no `configs` with `data_files`, so no file is listed".to_owned());
    }
    for info in items(card.dataset_info.as_ref()) {
        dataset_info(info, &mut out);
    }
    out.notes.push("dataset cards have no hashes and say nothing of consent: both are left for a person".to_owned());
    Ok(out)
}

/// What stands between two lines of dashes at the top.
fn front_matter(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return rest.get(..at);
        }
        at += line.len();
    }
    None
}

fn license(card: &Card, out: &mut Described) {
    let ids = strings(card.license.as_ref());
    let license = &mut out.manifest.license;
    license.url.clone_from(&card.license_link);
    match ids.as_slice() {
        [] => out.notes.push("the card has no licence".to_owned()),
        [id] if matches!(id.as_str(), "other" | "unknown") => match card.license_name.as_deref() {
            Some(name) => {
                let name: String =
                    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
                license.spdx = croissant::known(&name).or_else(|| Some(format!("LicenseRef-{name}")));
            }
            None => out.notes.push(format!("the licence is `{id}` without `license_name`")),
        },
        ids => {
            let mut spdx = Vec::new();
            for id in ids {
                let spelled =
                    SPELLED.iter().find(|(hub, _)| hub.eq_ignore_ascii_case(id)).map(|(_, spdx)| (*spdx).to_owned());
                match spelled.or_else(|| croissant::known(id)) {
                    Some(id) => spdx.push(id),
                    None => out.notes.push(format!("the licence `{}` has no SPDX identifier that is known", shown(id))),
                }
            }
            if spdx.len() == ids.len() {
                out.manifest.license.spdx = Some(spdx.join(" AND "));
            }
        }
    }
}

/// `data_files`: a text, a list of texts, a list of `{split, path}`, or a map from split to either.
fn data_files(file: &str, value: Option<&Value>, out: &mut Described) -> Result<(), ForeignError> {
    let mut add = |path: &str, split: Option<&str>| {
        let entry = (path.to_owned(), split.map(str::to_owned));
        if path.contains("://") {
            out.notes.push(format!("`{}` is not here: download it, and list it with its path", shown(path)));
        } else if !out.patterns.contains(&entry) {
            out.patterns.push(entry);
        }
    };
    match value {
        None => return Ok(()),
        Some(Value::Object(map)) => {
            for (split, paths) in map {
                strings(Some(paths)).iter().for_each(|path| add(path, Some(split)));
            }
        }
        Some(value) => {
            for item in items(Some(value)) {
                match item {
                    Value::String(path) => add(path, None),
                    Value::Object(entry) => {
                        let split = entry.get("split").and_then(Value::as_str);
                        strings(entry.get("path")).iter().for_each(|path| add(path, split));
                    }
                    _ => {
                        return Err(malformed(
                            file,
                            "`data_files` holds what is neither a path nor a split with paths",
                        ));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Row counts of splits with one file, and the label with its classes.
fn dataset_info(info: &Value, out: &mut Described) {
    for split in items(info.get("splits")) {
        let name = split.get("name").and_then(Value::as_str);
        let rows = split.get("num_examples").and_then(Value::as_u64);
        if let (Some(name), Some(rows)) = (name, rows) {
            let files: Vec<usize> = out
                .patterns
                .iter()
                .enumerate()
                .filter(|(_, (_, s))| s.as_deref() == Some(name))
                .map(|(i, _)| i)
                .collect();
            if let [one] = files.as_slice()
                && let Some((path, split)) = out.patterns.get(*one).cloned()
                && !path.contains(['*', '?'])
            {
                let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
                out.manifest.files.push(ManifestFile { path, sha256: None, size: None, rows: Some(rows), split });
            }
        }
    }
    for feature in items(info.get("features")) {
        let name = feature.get("name").and_then(Value::as_str);
        let classes =
            feature.get("dtype").and_then(|dtype| dtype.get("class_label")).and_then(|label| label.get("names"));
        if let (Some(name), Some(classes)) = (name, classes)
            && out.manifest.label.is_none()
        {
            let classes = match classes {
                Value::Object(map) => {
                    let by_number: BTreeMap<u64, &Value> =
                        map.iter().filter_map(|(key, value)| Some((key.parse().ok()?, value))).collect();
                    by_number.into_values().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                list => strings(Some(list)),
            };
            out.manifest.label = Some(Label { column: Some(name.to_owned()), classes });
        }
    }
}

fn items(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    items(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(super) fn write(manifest: &Manifest, columns: &[(String, String)]) -> Result<String, ForeignError> {
    let m = manifest;
    let name = m.name.clone().unwrap_or_else(|| "dataset".to_owned());
    let mut out = format!("---\npretty_name: {}\n", quoted(&name));
    if let Some(spdx) = m.license.spdx.as_deref().filter(|spdx| *spdx != FILL_IN) {
        match hub_license(spdx) {
            Some(id) => out.push_str(&format!("license: {id}\n")),
            None => {
                out.push_str(&format!(
                    "license: other\nlicense_name: {}\n",
                    quoted(&spdx.to_ascii_lowercase().replace(' ', "-"))
                ));
                let link = m.license.url.clone().unwrap_or_else(|| "LICENSE".to_owned());
                out.push_str(&format!("license_link: {}\n", quoted(&link)));
            }
        }
    }
    if !m.source.upstream.is_empty() {
        out.push_str("source_datasets:\n");
        for upstream in &m.source.upstream {
            out.push_str(&format!("- {}\n", quoted(&upstream.name)));
        }
    }
    if let Some(conditions) = &m.access.conditions {
        out.push_str(&format!("extra_gated_prompt: {}\n", quoted(conditions)));
    }
    if !m.files.is_empty() {
        out.push_str("configs:\n- config_name: default\n  data_files:\n");
        let mut splits: BTreeMap<&str, Vec<&ManifestFile>> = BTreeMap::new();
        for file in &m.files {
            splits.entry(file.split.as_deref().unwrap_or("train")).or_default().push(file);
        }
        for (split, files) in &splits {
            out.push_str(&format!("  - split: {}\n    path:\n", quoted(split)));
            for file in files {
                out.push_str(&format!("    - {}\n", quoted(&file.path)));
            }
        }
        info(&mut out, m, columns, &splits);
    }
    out.push_str("---\n\n");
    out.push_str(&format!("# {name}\n"));
    if let Some(method) = &m.source.method {
        out.push_str(&format!("\n{method}\n"));
    }
    Ok(out)
}

fn info(out: &mut String, m: &Manifest, columns: &[(String, String)], splits: &BTreeMap<&str, Vec<&ManifestFile>>) {
    let label = m.label.as_ref().and_then(|label| label.column.as_deref());
    let classes = m.label.as_ref().map(|label| label.classes.as_slice()).unwrap_or_default();
    let counted: Vec<(&str, u64, u64)> = splits
        .iter()
        .filter_map(|(split, files)| {
            let rows: Option<Vec<u64>> = files.iter().map(|f| f.rows).collect();
            let bytes = files.iter().filter_map(|f| f.size).sum();
            Some((*split, rows?.iter().sum(), bytes))
        })
        .collect();
    if columns.is_empty() && counted.is_empty() {
        return;
    }
    out.push_str("dataset_info:\n");
    if !columns.is_empty() {
        out.push_str("  features:\n");
        for (column, family) in columns {
            out.push_str(&format!("  - name: {}\n", quoted(column)));
            // Class names stand for the numbers 0, 1, …: a label of other numbers is a plain column.
            let numbers = family == "integer" && classes.iter().enumerate().all(|(i, class)| *class == i.to_string());
            if label == Some(column) && !classes.is_empty() && numbers {
                out.push_str("    dtype:\n      class_label:\n        names:\n");
                for (i, class) in classes.iter().enumerate() {
                    out.push_str(&format!("          '{i}': {}\n", quoted(class)));
                }
            } else {
                out.push_str(&format!("    dtype: {}\n", dtype(family)));
            }
        }
    }
    if !counted.is_empty() {
        out.push_str("  splits:\n");
        for (split, rows, bytes) in counted {
            out.push_str(&format!("  - name: {}\n    num_bytes: {bytes}\n    num_examples: {rows}\n", quoted(split)));
        }
    }
}

/// The hub's identifier for one SPDX licence.
fn hub_license(spdx: &str) -> Option<String> {
    let spelled = SPELLED.iter().find(|(_, id)| *id == spdx).map(|(hub, _)| (*hub).to_owned());
    spelled.or_else(|| SHARED.iter().find(|id| id.eq_ignore_ascii_case(spdx)).map(|id| (*id).to_owned()))
}

fn dtype(family: &str) -> &'static str {
    match family {
        "integer" => "int64",
        "float" => "float64",
        "boolean" => "bool",
        "date" => "date32",
        "timestamp" => "timestamp[us]",
        "binary" => "binary",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_stands_between_dashes_at_the_top() {
        assert_eq!(front_matter("---\na: 1\n---\ntext"), Some("a: 1\n"));
        assert_eq!(front_matter("---\r\na: 1\r\n---\r\n"), Some("a: 1\r\n"));
        assert_eq!(front_matter("text\n---\na: 1\n---\n"), None);
        assert_eq!(front_matter("---\na: 1\n"), None);
    }

    #[test]
    fn licences_of_the_hub_and_of_spdx_lead_to_each_other() {
        for id in SHARED {
            let spdx = croissant::known(id);
            assert_eq!(spdx.as_deref().and_then(hub_license).as_deref(), Some(id), "{id}");
        }
        assert_eq!(hub_license("ODbL-1.0").as_deref(), Some("odbl"));
        assert_eq!(hub_license("LicenseRef-x"), None);
    }
}
