//! Feast: the feature views, entities and sources of a repository, from its Python files, which are parsed and never run.

use gauntlet_core::Limits;
use gauntlet_python::{Argument, Invocation, Value, analyze};

use super::{DeclaredColumn, DeclaredSchema, Problem, one};
use crate::manifest::Class;

/// Tags that name a class.
const TAGS: [&str; 4] = ["classification", "class", "sensitivity", "data_classification"];

pub(super) fn read(files: &[(String, String)], limits: &Limits) -> Result<DeclaredSchema, Vec<Problem>> {
    let mut schema = DeclaredSchema { origin: "the Feast repository".to_owned(), ..DeclaredSchema::default() };
    let (mut problems, mut labels) = (Vec::new(), Vec::new());
    for (path, text) in files {
        let module = analyze(text, limits).map_err(|e| one(None, format!("{path}: {e}")))?;
        if let Some(error) = module.errors.first() {
            return Err(one(Some(u64::from(error.line)), format!("{path}: {}", error.message)));
        }
        for call in &module.calls {
            let line = Some(u64::from(call.place.line));
            match role(&call.invocation) {
                Some(Role::View) => view(&call.invocation, path, line, true, &mut schema, &mut problems),
                Some(Role::Labels) => {
                    // Labels may lie in a table of their own.
                    view(&call.invocation, path, line, false, &mut schema, &mut problems);
                    labels.extend(labels_of(&call.invocation));
                }
                Some(Role::Entity) => entity(&call.invocation, path, line, &mut schema, &mut problems),
                Some(Role::Source) => source(&call.invocation, line, &mut schema),
                None => {}
            }
        }
    }
    labels.sort();
    labels.dedup();
    if let [label] = labels.as_slice() {
        schema.label = Some(label.clone());
    }
    if problems.is_empty() { Ok(schema) } else { Err(problems) }
}

/// The fields that a label view's tags call labels.
fn labels_of(call: &Invocation) -> Vec<String> {
    let Argument::Given(Value::Dict(tags)) = call.argument("tags", None) else { return Vec::new() };
    tags.iter()
        .filter(|(_, value)| *value == Value::Str("label".to_owned()))
        .filter_map(|(key, _)| key.strip_prefix("feast.io/field-role:").map(str::to_owned))
        .collect()
}

enum Role {
    View,
    Labels,
    Entity,
    Source,
}

/// What of Feast is called; by the last part of a name that an import of Feast leads to.
fn role(call: &Invocation) -> Option<Role> {
    call.names.iter().filter(|name| name.starts_with("feast.") || name.starts_with("feast_")).find_map(|name| {
        Some(match name.rsplit('.').next()? {
            // On-demand views are computed at request time: no table has their columns.
            "FeatureView" | "BatchFeatureView" | "StreamFeatureView" => Role::View,
            "LabelView" => Role::Labels,
            "Entity" => Role::Entity,
            last if last.ends_with("Source") && last != "RequestSource" && last != "PushSource" => Role::Source,
            _ => return None,
        })
    })
}

fn view(
    call: &Invocation,
    path: &str,
    line: Option<u64>,
    required: bool,
    schema: &mut DeclaredSchema,
    problems: &mut Vec<Problem>,
) {
    let class = class(call);
    let fields = match call.argument("schema", None) {
        // Feast then infers the columns from the data; so there is nothing to hold the data against.
        Argument::Missing => return,
        Argument::Given(Value::List(fields)) => fields,
        Argument::Given(_) | Argument::Perhaps => {
            problems.push((
                line,
                format!("{path}: the schema of a feature view is put together at run time; write it as a list"),
            ));
            return;
        }
    };
    for field in fields {
        let Value::Call(field) = field else {
            problems.push((
                line,
                format!("{path}: a field of a feature view is put together at run time; write `Field(…)`"),
            ));
            return;
        };
        let Argument::Given(Value::Str(name)) = field.argument("name", Some(0)) else {
            problems.push((line, format!("{path}: a field of a feature view has no literal name")));
            return;
        };
        let family = match field.argument("dtype", Some(1)) {
            Argument::Given(Value::Name(name)) => name.rsplit('.').next().and_then(family),
            _ => None,
        };
        schema.columns.push(DeclaredColumn {
            name: name.clone(),
            family: family.map(str::to_owned),
            required,
            class: self::class(field).max(class),
            line,
        });
    }
}

/// Join keys are columns of every table of the entity.
fn entity(call: &Invocation, path: &str, line: Option<u64>, schema: &mut DeclaredSchema, problems: &mut Vec<Problem>) {
    let class = class(call);
    let mut add = |name: &str| {
        schema.columns.push(DeclaredColumn { name: name.to_owned(), family: None, required: true, class, line });
    };
    match call.argument("join_keys", None) {
        Argument::Given(Value::List(keys)) => {
            for key in keys {
                match key {
                    Value::Str(key) => add(key),
                    _ => problems.push((line, format!("{path}: a join key is put together at run time"))),
                }
            }
        }
        Argument::Missing => {
            if let Argument::Given(Value::Str(name)) = call.argument("name", Some(0)) {
                add(name);
            }
        }
        _ => problems.push((line, format!("{path}: join keys are put together at run time"))),
    }
}

/// The time stamps that a source joins by.
fn source(call: &Invocation, line: Option<u64>, schema: &mut DeclaredSchema) {
    if let Argument::Given(Value::Str(name)) = call.argument("timestamp_field", None)
        && !name.is_empty()
    {
        let column = DeclaredColumn { name: name.clone(), required: true, line, ..DeclaredColumn::default() };
        schema.columns.push(column);
    }
}

/// The class that the tags name.
fn class(call: &Invocation) -> Option<Class> {
    let Argument::Given(Value::Dict(tags)) = call.argument("tags", None) else { return None };
    tags.iter()
        .filter(|(key, _)| TAGS.contains(&key.to_ascii_lowercase().as_str()))
        .filter_map(|(_, value)| match value {
            Value::Str(word) => Class::named(word),
            _ => None,
        })
        .max()
}

fn family(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Int32" | "Int64" => "integer",
        "Float32" | "Float64" => "float",
        "String" => "string",
        "Bool" => "boolean",
        "UnixTimestamp" => "timestamp",
        "Bytes" => "binary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: &str = r#"
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float32, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"])
source = FileSource(path="customers.parquet", timestamp_field="event_time")
customers = FeatureView(
    name="customers",
    entities=[customer],
    ttl=timedelta(days=1),
    schema=[
        Field(name="age", dtype=Int64, tags={"classification": "personal"}),
        Field(name="charge", dtype=Float32),
        Field("plan", String),
    ],
    tags={"classification": "internal"},
    source=source,
)
"#;

    fn repository(text: &str) -> Result<DeclaredSchema, Vec<Problem>> {
        read(&[("features.py".to_owned(), text.to_owned())], &Limits::default())
    }

    #[test]
    fn views_entities_and_sources_declare_columns() {
        let schema = repository(REPOSITORY).unwrap();
        let seen: Vec<_> = schema.columns.iter().map(|c| (c.name.as_str(), c.family.as_deref(), c.class)).collect();
        assert_eq!(
            seen,
            [
                ("customer_id", None, None),
                ("event_time", None, None),
                ("age", Some("integer"), Some(Class::Personal)),
                ("charge", Some("float"), Some(Class::Internal)),
                ("plan", Some("string"), Some(Class::Internal)),
            ]
        );
    }

    #[test]
    fn a_label_view_names_the_label() {
        let text = format!(
            "{REPOSITORY}from feast import LabelView\nlabels = LabelView(name='l', schema=[Field(name='churn', dtype=Int64), \
             Field(name='note', dtype=String)], tags={{'feast.io/field-role:churn': 'label', 'feast.io/field-role:note': 'metadata'}})\n"
        );
        let schema = repository(&text).unwrap();
        assert_eq!(schema.label.as_deref(), Some("churn"));
        assert!(!schema.columns.iter().find(|c| c.name == "churn").unwrap().required);
    }

    #[test]
    fn what_only_running_it_would_tell_is_a_problem() {
        let computed = REPOSITORY.replace("schema=[", "schema=make() + [");
        assert!(repository(&computed).unwrap_err()[0].1.contains("put together at run time"));
        assert!(repository("from feast import (\n").is_err());
        assert_eq!(repository("import os\nos.remove('x')\n").unwrap().columns, []);
    }
}
