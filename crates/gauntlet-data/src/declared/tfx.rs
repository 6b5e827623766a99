//! TFX and TensorFlow Data Validation: `schema.pbtxt`, the message `tensorflow.metadata.v0.Schema`.

use super::textproto::{Field, parse};
use super::{DeclaredColumn, DeclaredSchema, Problem, one};
use crate::manifest::Class;

/// Features below this share of examples may be absent.
const ALWAYS: f64 = 1.0;

pub(super) fn read(text: &str) -> Result<DeclaredSchema, Vec<Problem>> {
    let fields = parse(text).map_err(|(line, what)| one(Some(line), what))?;
    let mut schema = DeclaredSchema { origin: "the TFX schema".to_owned(), ..DeclaredSchema::default() };
    for feature in fields.iter().filter(|field| field.name == "feature") {
        let inner = feature.fields();
        let text = |name: &str| inner.iter().find(|f| f.name == name).and_then(Field::text);
        let Some(name) = text("name") else {
            return Err(one(Some(feature.line), "a feature has no name".to_owned()));
        };
        // Features that TFX itself leaves out of validation.
        if matches!(text("lifecycle_stage"), Some("DEPRECATED" | "PLANNED" | "ALPHA" | "DEBUG_ONLY" | "DISABLED"))
            || text("deprecated") == Some("true")
        {
            continue;
        }
        let tags: Vec<&str> = inner
            .iter()
            .filter(|f| f.name == "annotation")
            .flat_map(Field::fields)
            .filter(|f| f.name == "tag")
            .filter_map(Field::text)
            .collect();
        if tags.contains(&"label") {
            if schema.label.as_deref().is_some_and(|label| label != name) {
                return Err(one(Some(feature.line), "two features have the tag `label`".to_owned()));
            }
            schema.label = Some(name.to_owned());
        }
        let has = |wanted: &str| inner.iter().any(|f| f.name == wanted);
        let presence = inner.iter().filter(|f| f.name == "presence").flat_map(Field::fields);
        let share = presence.filter(|f| f.name == "min_fraction").find_map(Field::text);
        schema.columns.push(DeclaredColumn {
            name: name.to_owned(),
            family: family(text("type"), has("bool_domain")).map(str::to_owned),
            required: share.and_then(|share| share.parse::<f64>().ok()).is_some_and(|share| share >= ALWAYS),
            class: tags.iter().filter_map(|tag| class(tag)).max(),
            line: Some(feature.line),
        });
    }
    Ok(schema)
}

/// `classification:personal`, or a tag that is a class by itself.
fn class(tag: &str) -> Option<Class> {
    let tag = tag.trim();
    let word = tag.split_once([':', '=']).filter(|(key, _)| {
        matches!(key.trim().to_ascii_lowercase().as_str(), "classification" | "class" | "sensitivity")
    });
    Class::named(word.map_or(tag, |(_, word)| word))
}

fn family(kind: Option<&str>, boolean: bool) -> Option<&'static str> {
    match kind {
        // Examples know no truth values: they are stored as numbers or as words.
        _ if boolean => None,
        Some("INT") => Some("integer"),
        Some("FLOAT") => Some("float"),
        // BYTES is a text or bytes.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_give_columns_classes_and_the_label() {
        let text = r#"
            feature { name: "age" type: INT presence { min_fraction: 1.0 min_count: 1 } }
            feature { name: "email" type: BYTES annotation { tag: "classification:personal" } }
            feature { name: "churn" type: INT annotation { tag: "label" } }
            feature { name: "old" type: INT lifecycle_stage: DEPRECATED }
            string_domain { name: "plan" value: "a" value: "b" }
        "#;
        let schema = read(text).unwrap();
        let seen: Vec<_> =
            schema.columns.iter().map(|c| (c.name.as_str(), c.family.as_deref(), c.required, c.class)).collect();
        assert_eq!(
            seen,
            [
                ("age", Some("integer"), true, None),
                ("email", None, false, Some(Class::Personal)),
                ("churn", Some("integer"), false, None)
            ]
        );
        assert_eq!((schema.label.as_deref(), schema.columns[1].line), (Some("churn"), Some(3)));
        assert!(read("feature { type: INT }").is_err());
    }
}
