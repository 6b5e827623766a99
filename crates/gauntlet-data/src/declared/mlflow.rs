//! MLflow: the signature of a model, in `MLmodel` or as JSON by itself.

use gauntlet_core::yaml;
use serde::Deserialize;
use serde_json::Value;

use super::{DeclaredColumn, DeclaredSchema, Problem, one};

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    signature: Option<Signature>,
}

/// Each member is JSON inside of a text.
#[derive(Default, Deserialize)]
struct Signature {
    #[serde(default)]
    inputs: Option<String>,
    #[serde(default)]
    outputs: Option<String>,
}

pub(super) fn read(name: &str, bytes: &[u8]) -> Result<DeclaredSchema, Vec<Problem>> {
    let mut schema = DeclaredSchema { origin: "the MLflow signature".to_owned(), ..DeclaredSchema::default() };
    if name.ends_with(".json") {
        let value: Value = serde_json::from_slice(bytes).map_err(|e| one(Some(e.line() as u64), e.to_string()))?;
        let inputs = value.get("inputs").unwrap_or(&value);
        let inputs = match inputs.as_str() {
            Some(text) => parse(text)?,
            None => inputs.clone(),
        };
        schema.columns = columns(&inputs)?;
        return Ok(schema);
    }
    let model: Model = yaml::parse(name, bytes).map_err(|e| one(e.line, e.message))?;
    let Some(signature) = model.signature else {
        return Err(one(None, "has no `signature`: log the model with one".to_owned()));
    };
    let Some(inputs) = signature.inputs else { return Err(one(None, "the signature has no `inputs`".to_owned())) };
    schema.columns = columns(&parse(&inputs)?)?;
    // One named output is what the model predicts.
    if let Some(outputs) = signature.outputs
        && let Ok([output]) = columns(&parse(&outputs)?).as_deref()
    {
        schema.label = Some(output.name.clone());
    }
    Ok(schema)
}

fn parse(text: &str) -> Result<Value, Vec<Problem>> {
    serde_json::from_str(text).map_err(|e| one(None, format!("the signature is no JSON: {e}")))
}

fn columns(list: &Value) -> Result<Vec<DeclaredColumn>, Vec<Problem>> {
    let Some(list) = list.as_array() else { return Err(one(None, "a list of columns is expected".to_owned())) };
    let mut out = Vec::new();
    for column in list {
        let text = |key: &str| column.get(key).and_then(Value::as_str);
        let Some(name) = text("name") else {
            if text("type") == Some("tensor") {
                return Err(one(
                    None,
                    "the signature is of tensors without names; it says nothing of columns".to_owned(),
                ));
            }
            return Err(one(None, "a column of the signature has no name".to_owned()));
        };
        out.push(DeclaredColumn {
            name: name.to_owned(),
            family: text("type").and_then(family).map(str::to_owned),
            required: column.get("required").and_then(Value::as_bool).unwrap_or(true)
                && !column.get("optional").and_then(Value::as_bool).unwrap_or(false),
            class: None,
            line: None,
        });
    }
    Ok(out)
}

fn family(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "integer" | "long" => "integer",
        "float" | "double" => "float",
        "string" => "string",
        "boolean" => "boolean",
        "datetime" => "timestamp",
        "binary" => "binary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &str =
        r#"[{"type": "long", "name": "age", "required": true}, {"type": "string", "name": "plan", "required": false}]"#;

    #[test]
    fn a_model_says_what_it_takes_and_predicts() {
        let text = format!(
            "artifact_path: model\nflavors:\n  python_function: {{loader_module: x}}\nsignature:\n  inputs: '{INPUTS}'\n  outputs: '[{{\"type\": \"long\", \"name\": \"churn\"}}]'\n  params: null\n"
        );
        let schema = read("m/MLmodel", text.as_bytes()).unwrap();
        let seen: Vec<_> = schema.columns.iter().map(|c| (c.name.as_str(), c.family.as_deref(), c.required)).collect();
        assert_eq!(seen, [("age", Some("integer"), true), ("plan", Some("string"), false)]);
        assert_eq!(schema.label.as_deref(), Some("churn"));
        assert_eq!(read("signature.json", INPUTS.as_bytes()).unwrap().columns, schema.columns);
    }

    #[test]
    fn signatures_that_say_nothing_are_no_answer() {
        for text in [
            "flavors: {}\n",
            "signature:\n  inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {}}]'\n",
            "signature:\n  inputs: 'x'\n",
            "signature: {outputs: '[]'}\n",
        ] {
            assert!(read("MLmodel", text.as_bytes()).is_err(), "{text}");
        }
    }
}
