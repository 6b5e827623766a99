//! Strict YAML for files that people write: unknown and duplicate keys are errors with a place and the nearest known key.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config_error::ConfigError;
use crate::nearest::nearest;

/// Largest configuration document we read.
const MAX_BYTES: usize = 4 << 20;

/// A value and where it stands in its file, so that later checks can still point at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

impl<T> Located<T> {
    /// An error about this value.
    pub fn error(&self, file: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::at(file, self.line, self.column, message)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, line: spanned.referenced.line(), column: spanned.referenced.column() })
    }
}

/// Written as the bare value.
impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}

/// Reads one YAML (or JSON) document; `file` names it in errors.
///
/// # Errors
/// [`ConfigError`] with line and column.
pub fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, ConfigError> {
    if bytes.len() > MAX_BYTES {
        return Err(ConfigError::file(file, format!("is {} bytes long; at most {MAX_BYTES} are read", bytes.len())));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ConfigError::file(file, format!("is not UTF-8 (byte {})", error.valid_up_to())))?;
    serde_saphyr::from_str(text).map_err(|error| explain(file, &error))
}

fn explain(file: &str, error: &serde_saphyr::Error) -> ConfigError {
    use serde_saphyr::Error as E;
    let error = error.without_snippet();
    let message = match error {
        E::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        E::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        E::SerdeMissingField { field, .. } => format!("key `{field}` is missing"),
        E::SerdeInvalidType { unexpected, expected, .. } | E::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("expected {expected}, found {unexpected}")
        }
        other => strip_place(&other.to_string()),
    };
    match error.location() {
        Some(place) if place.line() > 0 => ConfigError::at(file, place.line(), place.column(), message),
        _ => ConfigError::file(file, message),
    }
}

fn unknown(what: &str, word: &str, expected: &[&'static str]) -> String {
    let word: String = word.chars().take(64).collect();
    match nearest(&word, expected.iter().copied()) {
        Some(known) => format!("unknown {what} `{word}`, did you mean `{known}`?"),
        None if expected.is_empty() => format!("unknown {what} `{word}`"),
        None => format!("unknown {what} `{word}`, known are {}", expected.join(", ")),
    }
}

/// The library's own messages end or begin with the place, which we print ourselves.
fn strip_place(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    match first.rfind(" at line ") {
        Some(at) => first[..at].to_owned(),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Doc {
        datasets: Option<Located<String>>,
        #[expect(dead_code, reason = "only parsed")]
        risk: Option<Risk>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Risk {
        High,
        Limited,
    }

    fn error(text: &str) -> String {
        parse::<Doc>("g.yaml", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn unknown_keys_name_place_and_nearest() {
        assert_eq!(error("risk: high\ndatsets: x\n"), "g.yaml:2:1: unknown key `datsets`, did you mean `datasets`?");
        assert_eq!(error("risk: hihg\n"), "g.yaml:1:7: unknown value `hihg`, did you mean `high`?");
    }

    #[test]
    fn duplicate_keys_and_wrong_types_are_refused() {
        assert!(
            error("risk: high\nrisk: limited\n").starts_with("g.yaml:2:1: "),
            "{}",
            error("risk: high\nrisk: limited\n")
        );
        assert!(error("datasets: [1]\n").starts_with("g.yaml:1:11: "), "{}", error("datasets: [1]\n"));
        assert!(error("datasets: {a: &x [*x]}\n").starts_with("g.yaml"));
        assert!(error("{").starts_with("g.yaml:1:"));
    }

    #[test]
    fn located_values_remember_their_place() {
        let doc: Doc = parse("g.yaml", b"\ndatasets:  here\n").unwrap();
        let datasets = doc.datasets.unwrap();
        assert_eq!((datasets.line, datasets.column), (2, 12));
    }

    #[test]
    fn bombs_and_binary_are_refused() {
        let bomb = format!(
            "a0: &a0 x\n{}",
            (1..40).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1)).collect::<String>()
        );
        assert!(!error(&bomb).is_empty());
        assert!(!error(&"[".repeat(100_000)).is_empty());
        assert!(parse::<Doc>("g.yaml", &[0xff, 0xfe]).is_err());
        assert!(parse::<Doc>("g.yaml", &vec![b' '; MAX_BYTES + 1]).is_err());
    }
}
