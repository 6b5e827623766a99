//! `fact_at(fact, pointer)`: reaches into a fact's JSON (RFC 6901).

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use serde_json::Value;

/// Text as it is, everything else as JSON; null where there is nothing.
pub(super) fn fact_at() -> ScalarUDF {
    let text = DataType::Utf8;
    create_udf("fact_at", vec![text.clone(), text.clone()], text, Volatility::Immutable, Arc::new(evaluate))
}

fn evaluate(arguments: &[ColumnarValue]) -> Result<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    let [facts, pointers] = arrays.as_slice() else {
        return Err(DataFusionError::Plan("fact_at takes a fact and a pointer".to_owned()));
    };
    let wrong = || DataFusionError::Plan("fact_at takes texts".to_owned());
    let facts = facts.as_string_opt::<i32>().ok_or_else(wrong)?;
    let pointers = pointers.as_string_opt::<i32>().ok_or_else(wrong)?;
    let found: StringArray = (0..facts.len())
        .map(|i| {
            let both = facts.is_valid(i) && pointers.is_valid(i);
            both.then(|| at(facts.value(i), pointers.value(i))).flatten()
        })
        .collect();
    Ok(ColumnarValue::Array(Arc::new(found)))
}

fn at(fact: &str, pointer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(fact).ok()?;
    match value.pointer(pointer)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn reaches_into_lists_and_objects() {
        let fact = r#"{"a":[{"b":"x"},2],"n":null}"#;
        assert_eq!(at(fact, "/a/0/b").as_deref(), Some("x"));
        assert_eq!(at(fact, "/a/1").as_deref(), Some("2"));
        assert_eq!(at(fact, "/a/0").as_deref(), Some(r#"{"b":"x"}"#));
        assert_eq!((at(fact, "/n"), at(fact, "/z"), at("no json", "/a")), (None, None, None));
    }
}
