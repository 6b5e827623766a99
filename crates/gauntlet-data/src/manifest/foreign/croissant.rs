//! Croissant 1.0 and 1.1: JSON-LD over schema.org. Keys are read with or without their prefixes; no context is fetched.

use serde_json::{Map, Value, json};

use super::{Described, ForeignError, Weak, malformed, media_type, shown};
use crate::manifest::{Label, Manifest, ManifestFile, Upstream};

const VERSIONS: [&str; 2] = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/1.1"];
/// Largest document.
const MAX_BYTES: usize = 64 << 20;

pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Described, ForeignError> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed(file, format!("is {} bytes long; at most {MAX_BYTES} are read", bytes.len())));
    }
    let root: Value = serde_json::from_slice(bytes).map_err(|e| malformed(file, e.to_string()))?;
    if !root.is_object() {
        return Err(malformed(file, "is no JSON object"));
    }
    let versions = texts(get(&root, "conformsTo"));
    if !versions.iter().any(|v| VERSIONS.contains(&v.trim_end_matches('/').replace("https:", "http:").as_str())) {
        let seen = versions.first().map_or("nothing".to_owned(), |v| format!("`{}`", shown(v)));
        return Err(malformed(file, format!("conforms to {seen}; Croissant 1.0 and 1.1 are read")));
    }
    let mut out = Described::new();
    let m = &mut out.manifest;
    m.name = text(get(&root, "name"));
    m.version =
        text(get(&root, "version")).or_else(|| get(&root, "version").filter(|v| v.is_number()).map(Value::to_string));
    m.source.uri = text(get(&root, "url")).or_else(|| texts(get(&root, "isBasedOn")).into_iter().next());
    m.source.method = texts(get(&root, "dataCollection")).into_iter().next();
    let days: Vec<String> =
        texts(get(&root, "dataCollectionTimeframe")).iter().map(|day| day.chars().take(10).collect()).collect();
    m.source.collected = (days.len() == 2).then_some(days);
    m.source.upstream =
        texts(get(&root, "isBasedOn")).into_iter().map(|name| Upstream { name, digest: None }).collect();
    m.consent.expires = text(get(&root, "expires")).map(|day| day.chars().take(10).collect());
    m.consent.purposes = texts(get(&root, "dataUseCases"));
    m.access.conditions = text(get(&root, "conditionsOfAccess"));
    match texts(get(&root, "license")).first() {
        Some(license) => match spdx_of(license) {
            Some(id) => {
                m.license.spdx = Some(id);
                m.license.url = license.contains("://").then(|| license.clone());
            }
            None => {
                m.license.url = Some(license.clone());
                out.notes.push(format!(
                    "the licence `{}` has no SPDX identifier that is known: write `license.spdx`",
                    shown(license)
                ));
            }
        },
        None => out.notes.push("there is no licence".to_owned()),
    }
    for said in texts(get(&root, "personalSensitiveInformation")) {
        let mut understood = false;
        for part in said.split(';') {
            if let Some((column, treatment)) = part.split_once(':')
                && ["plain", "hashed", "masked", "encrypted", "tokenised"].contains(&treatment.trim())
            {
                out.manifest.personal_data.columns.insert(column.trim().to_owned(), treatment.trim().to_owned());
                understood = true;
            }
        }
        if !understood {
            out.notes.push(format!("about personal data it says: {}", shown(&said)));
        }
    }
    for entry in list(get(&root, "distribution")) {
        distribution(file, entry, &mut out)?;
    }
    let split_sets: Vec<&Value> = list(get(&root, "recordSet")).collect();
    for set in &split_sets {
        fields(set, &mut out);
    }
    out.notes.push("Croissant says nothing of consent: basis and record are left for a person".to_owned());
    Ok(out)
}

fn distribution(file: &str, entry: &Value, out: &mut Described) -> Result<(), ForeignError> {
    let kind = texts(get(entry, "@type")).join(" ");
    let name = text(get(entry, "name")).or_else(|| text(get(entry, "@id"))).unwrap_or_default();
    let within = get(entry, "containedIn").is_some();
    if kind.contains("FileSet") {
        for pattern in texts(get(entry, "includes")) {
            if within {
                out.notes
                    .push(format!("the files of `{}` lie inside of another file and are not listed", shown(&name)));
            } else {
                out.patterns.push((pattern, None));
            }
        }
        return Ok(());
    }
    if !kind.contains("FileObject") {
        return Err(malformed(
            file,
            format!("`{}` in `distribution` is neither a file nor a set of files", shown(&name)),
        ));
    }
    if within {
        out.notes.push(format!("`{}` lies inside of another file and is not listed", shown(&name)));
        return Ok(());
    }
    let Some(path) = text(get(entry, "contentUrl")) else {
        return Err(malformed(file, format!("the file `{}` has no `contentUrl`", shown(&name))));
    };
    if path.contains("://") {
        let what = format!(
            "`{}` lies at {} and is not here: download it, and list it with its path",
            shown(&name),
            shown(&path)
        );
        out.notes.push(what);
        return Ok(());
    }
    let sha256 = text(get(entry, "sha256")).map(|hash| hash.trim().to_ascii_lowercase());
    if let Some(hash) = &sha256
        && (hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Err(malformed(file, format!("the `sha256` of `{}` is no SHA-256", shown(&name))));
    }
    let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
    if let (None, Some(hex)) = (&sha256, text(get(entry, "md5"))) {
        let weak = Weak { hex: hex.trim().to_ascii_lowercase(), dos2unix: false, folder: false };
        out.weak.insert(path.clone(), weak);
    }
    if out.manifest.files.iter().any(|f| f.path == path) {
        return Err(malformed(file, format!("lists `{}` twice", shown(&path))));
    }
    let size = get(entry, "contentSize").and_then(size);
    out.manifest.files.push(ManifestFile { path, sha256, size, rows: None, split: None });
    Ok(())
}

/// Which column is the label.
fn fields(set: &Value, out: &mut Described) {
    for field in list(get(set, "field")) {
        let kinds = texts(get(field, "dataType"));
        let is_label = kinds.iter().any(|kind| kind.rsplit([':', '/']).next() == Some("Label"));
        let column = get(field, "source").and_then(|s| get(s, "extract")).and_then(|e| text(get(e, "column")));
        if let Some(column) = column.filter(|_| is_label)
            && out.manifest.label.is_none()
        {
            out.manifest.label = Some(Label { column: Some(column), classes: Vec::new() });
        }
    }
}

/// Bytes: `123 B`, `123`, or a number. Rounded sizes (`1.2 kB`) say nothing exact.
fn size(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64(),
        Value::String(text) => {
            let text = text.trim();
            text.strip_suffix('B').map_or(text, str::trim_end).parse().ok()
        }
        _ => None,
    }
}

/// The member `key`, however its prefix is written.
fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(key).or_else(|| {
        object
            .iter()
            .find(|(name, _)| name.rsplit([':', '/']).next() == Some(key) && name.len() > key.len())
            .map(|(_, v)| v)
    })
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
    .iter()
}

fn text(value: Option<&Value>) -> Option<String> {
    texts(value).into_iter().next()
}

/// Texts of a value: itself, its `@value`, `@id`, `url` or `name`, or those of a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    list(value)
        .filter_map(|item| match item {
            Value::String(text) => Some(text.clone()),
            Value::Object(object) => ["@value", "@id", "url", "name"]
                .iter()
                .find_map(|key| object.get(*key).and_then(Value::as_str).map(str::to_owned)),
            _ => None,
        })
        .filter(|text| !text.trim().is_empty())
        .collect()
}

/// The SPDX identifier of a licence that is written as one, or as a well-known address.
fn spdx_of(license: &str) -> Option<String> {
    if spdx::Expression::parse(license.trim()).is_ok() {
        return Some(license.trim().to_owned());
    }
    let address = license.trim().trim_end_matches('/').to_ascii_lowercase();
    let rest = address.split_once("://")?.1;
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    if let Some(path) = rest.strip_prefix("creativecommons.org/") {
        let parts: Vec<&str> = path.split('/').collect();
        return match parts.as_slice() {
            ["publicdomain", "zero", version, ..] => known(&format!("CC0-{version}")),
            ["licenses", name, version, ..] => known(&format!("CC-{name}-{version}")),
            _ => None,
        };
    }
    let last = rest.rsplit('/').next()?.trim_end_matches(".html").trim_end_matches(".txt");
    if rest.starts_with("apache.org/licenses") {
        return known(&last.replace("license", "apache"));
    }
    let lists = ["spdx.org/licenses/", "opensource.org/licenses/", "opensource.org/license/"];
    lists.iter().any(|list| rest.starts_with(list)).then(|| known(last)).flatten()
}

/// The identifier as SPDX spells it.
pub(super) fn known(id: &str) -> Option<String> {
    spdx::identifiers::LICENSES
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(id))
        .map(|known| known.name.to_owned())
}

pub(super) fn write(manifest: &Manifest, columns: &[(String, String)]) -> Result<String, ForeignError> {
    let m = manifest;
    let mut root = Map::new();
    root.insert("@context".to_owned(), context());
    root.insert("@type".to_owned(), "sc:Dataset".into());
    root.insert("conformsTo".to_owned(), VERSIONS[0].into());
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            root.insert(key.to_owned(), value);
        }
    };
    let name = m.name.clone().unwrap_or_else(|| "dataset".to_owned());
    put("name", Some(name.clone().into()));
    put("description", Some(m.source.method.clone().unwrap_or_else(|| format!("The dataset {name}.")).into()));
    put("version", m.version.clone().map(Value::from));
    put("url", m.source.uri.clone().map(Value::from));
    put("license", m.license.spdx.clone().or_else(|| m.license.url.clone()).map(Value::from));
    let upstream: Vec<String> = m.source.upstream.iter().map(|u| u.name.clone()).collect();
    put("isBasedOn", (!upstream.is_empty()).then(|| upstream.into()));
    put("expires", m.consent.expires.clone().filter(|day| day != "never").map(Value::from));
    put("conditionsOfAccess", m.access.conditions.clone().map(Value::from));
    put("rai:dataCollection", m.source.method.clone().map(Value::from));
    put("rai:dataCollectionTimeframe", m.source.collected.clone().map(Value::from));
    put("rai:dataUseCases", (!m.consent.purposes.is_empty()).then(|| m.consent.purposes.clone().into()));
    let personal: Vec<String> =
        m.personal_data.columns.iter().map(|(column, how)| format!("{column}: {how}")).collect();
    put("rai:personalSensitiveInformation", (!personal.is_empty()).then(|| personal.join("; ").into()));
    let mut distribution = Vec::new();
    for file in &m.files {
        let Some(sha256) = &file.sha256 else {
            let what = format!("`{}` has no SHA-256, which Croissant asks for", shown(&file.path));
            return Err(ForeignError::Inexpressible { format: "Croissant", what });
        };
        let mut object = json!({
            "@type": "cr:FileObject", "@id": file.path, "name": file.path, "contentUrl": file.path,
            "encodingFormat": media_type(&file.path), "sha256": sha256,
        });
        if let (Some(size), Some(object)) = (file.size, object.as_object_mut()) {
            object.insert("contentSize".to_owned(), format!("{size} B").into());
        }
        distribution.push(object);
    }
    let first = m.files.first().map(|file| file.path.clone());
    root.insert("distribution".to_owned(), distribution.into());
    if let Some(file) = first.filter(|_| !columns.is_empty()) {
        let label = m.label.as_ref().and_then(|label| label.column.as_deref());
        let fields: Vec<Value> = columns
            .iter()
            .map(|(column, family)| {
                let kind = data_type(family);
                let kind = if label == Some(column) { json!([kind, "cr:Label"]) } else { kind.into() };
                json!({
                    "@type": "cr:Field", "@id": format!("rows/{column}"), "name": column, "dataType": kind,
                    "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
                })
            })
            .collect();
        let mut set = json!({"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields});
        if let ([id], Some(set)) = (m.ids.as_slice(), set.as_object_mut()) {
            set.insert("key".to_owned(), json!({"@id": format!("rows/{id}")}));
        }
        root.insert("recordSet".to_owned(), json!([set]));
    }
    let mut text = serde_json::to_string_pretty(&Value::Object(root))
        .map_err(|e| ForeignError::Inexpressible { format: "Croissant", what: e.to_string() })?;
    text.push('\n');
    Ok(text)
}

fn data_type(family: &str) -> &'static str {
    match family {
        "integer" => "sc:Integer",
        "float" => "sc:Float",
        "boolean" => "sc:Boolean",
        "date" => "sc:Date",
        "timestamp" => "sc:DateTime",
        _ => "sc:Text",
    }
}

/// The context that Croissant 1.0 prescribes.
fn context() -> Value {
    let mut terms = json!({
        "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    });
    const TERMS: [&str; 24] = [
        "citeAs",
        "column",
        "equivalentProperty",
        "extract",
        "field",
        "fileProperty",
        "fileObject",
        "fileSet",
        "format",
        "includes",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "samplingRate",
        "separator",
        "source",
    ];
    if let Some(terms) = terms.as_object_mut() {
        for term in TERMS.iter().chain(&["subField", "transform"]) {
            terms.insert((*term).to_owned(), format!("cr:{term}").into());
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_recognised_by_name_and_address() {
        for (given, id) in [
            ("MIT", "MIT"),
            ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"),
            ("http://creativecommons.org/publicdomain/zero/1.0", "CC0-1.0"),
            ("https://www.apache.org/licenses/LICENSE-2.0.txt", "Apache-2.0"),
            ("https://spdx.org/licenses/ODbL-1.0.html", "ODbL-1.0"),
            ("https://opensource.org/licenses/MIT", "MIT"),
        ] {
            assert_eq!(spdx_of(given).as_deref(), Some(id), "{given}");
        }
        for given in ["https://example.org/terms", "all rights reserved", "https://creativecommons.org/about"] {
            assert_eq!(spdx_of(given), None, "{given}");
        }
    }

    #[test]
    fn sizes_are_exact_or_nothing() {
        assert_eq!(size(&json!("123 B")), Some(123));
        assert_eq!(size(&json!("123")), Some(123));
        assert_eq!(size(&json!(123)), Some(123));
        assert_eq!(size(&json!("1.2 kB")), None);
    }
}
