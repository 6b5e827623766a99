//! The rule data of `artifact/huggingface`: which settings name code or places.

use std::collections::HashSet;
use std::sync::LazyLock;

use gauntlet_core::yaml;
use serde::Deserialize;

use super::RulesError;

const TEXT: &str = include_str!("../../rules/huggingface.yaml");

/// The committed rule data, parsed once.
pub(crate) fn huggingface() -> &'static Result<HuggingfaceRules, RulesError> {
    static TABLES: LazyLock<Result<HuggingfaceRules, RulesError>> = LazyLock::new(|| HuggingfaceRules::parse(TEXT));
    &TABLES
}

/// The tables; see the comments of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HuggingfaceRules {
    version: u32,
    pub documents: HashSet<String>,
    pub endings: Vec<String>,
    pub vocabularies: HashSet<String>,
    pub marks: HashSet<String>,
    pub custom_code: HashSet<String>,
    pub classes: HashSet<String>,
    pub libraries: HashSet<String>,
    pub sources: HashSet<String>,
    pub files: HashSet<String>,
    pub tokens: HashSet<String>,
    pub packages: HashSet<String>,
}

impl HuggingfaceRules {
    fn parse(text: &str) -> Result<Self, RulesError> {
        let rules: Self = yaml::parse("rules/huggingface.yaml", text.as_bytes())?;
        if rules.version == 1 { Ok(rules) } else { Err(RulesError::Version(rules.version)) }
    }

    /// Whether the package of a dotted name is one whose classes documents may name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.packages.contains(name.split('.').next().unwrap_or(name))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_tables_are_read() {
        let rules = super::huggingface().as_ref().unwrap();
        assert!(rules.knows("transformers.models.llama") && !rules.knows("os.system"));
        assert!(rules.documents.is_disjoint(&rules.vocabularies));
    }
}
