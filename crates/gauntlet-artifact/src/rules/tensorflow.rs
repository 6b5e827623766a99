//! The rule data of `artifact/tensorflow`: what operations do besides computing.

use std::collections::HashMap;
use std::sync::LazyLock;

use gauntlet_core::{ConfigError, Severity, yaml};
use serde::Deserialize;

/// The committed rule data.
const TENSORFLOW: &str = include_str!("../../rules/tensorflow.yaml");

/// The committed rule data, parsed once.
pub(crate) fn tensorflow() -> &'static Result<TensorflowRules, TensorflowRulesError> {
    static TABLES: LazyLock<Result<TensorflowRules, TensorflowRulesError>> =
        LazyLock::new(|| TensorflowRules::parse(TENSORFLOW));
    &TABLES
}

/// How an operation is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OperatorTier {
    /// Computes, and nothing else.
    Pure,
    /// Acts on the world: the rule, how bad, and what it does.
    Acts(String, Severity, String),
    /// Saves or restores variables.
    Saver,
    /// Depends on an attribute or input.
    Conditional,
}

/// The tables, ready for questions.
#[derive(Debug)]
pub(crate) struct TensorflowRules(HashMap<String, OperatorTier>);

/// Why rule data is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TensorflowRulesError {
    #[error("{0}")]
    Yaml(#[from] ConfigError),
    #[error("rule data version {0} is not known")]
    Version(u32),
    #[error("`{0}` is in two places")]
    TwoPlaces(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    tiers: Vec<Tier>,
    saver: Vec<String>,
    conditional: Vec<String>,
    pure: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    rule: String,
    severity: Severity,
    why: String,
    operators: Vec<String>,
}

impl TensorflowRules {
    /// Reads rule data strictly.
    ///
    /// # Errors
    /// Unknown keys and versions, an operation in two places.
    pub(crate) fn parse(text: &str) -> Result<Self, TensorflowRulesError> {
        let file: File = yaml::parse("rules/tensorflow.yaml", text.as_bytes())?;
        if file.version != 1 {
            return Err(TensorflowRulesError::Version(file.version));
        }
        let mut all: Vec<_> = file.pure.into_iter().map(|op| (op, OperatorTier::Pure)).collect();
        all.extend(file.saver.into_iter().map(|op| (op, OperatorTier::Saver)));
        all.extend(file.conditional.into_iter().map(|op| (op, OperatorTier::Conditional)));
        for Tier { rule, severity, why, operators } in file.tiers {
            all.extend(operators.into_iter().map(|op| (op, OperatorTier::Acts(rule.clone(), severity, why.clone()))));
        }
        let mut rules = HashMap::with_capacity(all.len());
        for (op, tier) in all {
            if rules.insert(op.clone(), tier).is_some() {
                return Err(TensorflowRulesError::TwoPlaces(op));
            }
        }
        Ok(Self(rules))
    }

    /// How an operation is judged; `None` when TensorFlow has none of this name.
    pub(crate) fn tier(&self, op: &str) -> Option<&OperatorTier> {
        self.0.get(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_data_is_valid_and_names_rules_that_exist() {
        let rules = TensorflowRules::parse(TENSORFLOW).unwrap();
        assert!(rules.0.len() > 1800);
        for tier in rules.0.values() {
            if let OperatorTier::Acts(rule, ..) = tier {
                assert!(crate::checks::tensorflow::INFO.rule(rule).is_some(), "{rule}");
            }
        }
        assert_eq!(rules.tier("MatMul"), Some(&OperatorTier::Pure));
        assert!(matches!(rules.tier("PyFunc"), Some(OperatorTier::Acts(_, Severity::Critical, _))));
        assert_eq!(rules.tier("GauntletCustomOp"), None);
    }

    #[test]
    fn contradictions_and_slips_are_refused() {
        let with = |pure: &str| format!("version: 1\ntiers: []\nsaver: [SaveV2]\nconditional: []\npure: [{pure}]\n");
        assert!(TensorflowRules::parse(&with("Add")).is_ok());
        assert!(matches!(TensorflowRules::parse(&with("SaveV2")), Err(TensorflowRulesError::TwoPlaces(_))));
        let version = with("Add").replace("version: 1", "version: 2");
        assert!(matches!(TensorflowRules::parse(&version), Err(TensorflowRulesError::Version(2))));
        assert!(matches!(TensorflowRules::parse(&with("Add\n: x")), Err(TensorflowRulesError::Yaml(_))));
    }
}
