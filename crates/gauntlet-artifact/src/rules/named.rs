//! Rule data that is little more than lists of names: operators of PyTorch, calls of Python code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use gauntlet_core::{ConfigError, yaml};
use serde::Deserialize;

/// Operators of PyTorch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TorchRules {
    #[serde(rename = "version")]
    _version: u32,
    dangerous: Vec<Operators>,
    known: Vec<String>,
    graph: Graph,
}

/// What the code of a traced graph may name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    modules: Vec<String>,
    namespaces: Vec<String>,
    names: Vec<String>,
    functions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operators {
    why: String,
    operators: Vec<String>,
}

/// Calls of Python code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeRules {
    #[serde(rename = "version")]
    _version: u32,
    categories: BTreeMap<String, Category>,
    decoders: Vec<String>,
}

/// Calls that do one kind of harm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Category {
    /// What such a call does.
    pub what: String,
    names: Vec<String>,
}

/// The committed operators, parsed once.
pub(crate) fn torch() -> &'static Result<TorchRules, ConfigError> {
    static RULES: LazyLock<Result<TorchRules, ConfigError>> =
        LazyLock::new(|| yaml::parse("rules/torch.yaml", include_bytes!("../../rules/torch.yaml")));
    &RULES
}

/// The committed calls, parsed once.
pub(crate) fn code() -> &'static Result<CodeRules, ConfigError> {
    static RULES: LazyLock<Result<CodeRules, ConfigError>> =
        LazyLock::new(|| yaml::parse("rules/code.yaml", include_bytes!("../../rules/code.yaml")));
    &RULES
}

impl TorchRules {
    /// Why the operator `namespace.name` is dangerous.
    pub(crate) fn dangerous(&self, operator: &str) -> Option<&str> {
        let found = self.dangerous.iter().find(|group| group.operators.iter().any(|name| name == operator));
        found.map(|group| group.why.as_str())
    }

    /// Whether generated code may import this module by itself.
    pub(crate) fn is_graph_module(&self, module: &str) -> bool {
        self.graph.modules.iter().any(|known| known == module)
    }

    /// Whether a qualified name stands for a function or constant that does nothing but compute.
    pub(crate) fn computes(&self, name: &str) -> bool {
        if self.graph.names.iter().any(|known| known == name) {
            return true;
        }
        if let Some(function) = name.strip_prefix("torch.").filter(|rest| !rest.contains('.')) {
            return self.graph.functions.iter().any(|known| known == function);
        }
        // Operators have an overload behind their name: `torch.ops.aten.add.Tensor`.
        let rest = self.graph.namespaces.iter().find_map(|known| name.strip_prefix(known.as_str())?.strip_prefix('.'));
        rest.is_some_and(|rest| {
            let operator = name.strip_prefix("torch.ops.").unwrap_or(name);
            let operator: Vec<_> = operator.split('.').take(2).collect();
            let parts = if name.starts_with("torch.ops.") { 2 } else { 1 };
            rest.split('.').count() <= parts && self.dangerous(&operator.join(".")).is_none()
        })
    }

    /// Whether the operators of this namespace ship with PyTorch.
    pub(crate) fn is_known(&self, namespace: &str) -> bool {
        self.known.iter().any(|known| known == namespace)
    }
}

impl CodeRules {
    /// The kind of harm that calling `name` can do, and what it is.
    pub(crate) fn category(&self, name: &str) -> Option<(&str, &Category)> {
        let found =
            self.categories.iter().find(|(_, category)| category.names.iter().any(|known| matches(known, name)));
        found.map(|(id, category)| (id.as_str(), category))
    }

    /// Whether calling `name` yields decoded data.
    pub(crate) fn decodes(&self, name: &str) -> bool {
        self.decoders.iter().any(|known| matches(known, name))
    }
}

fn matches(known: &str, name: &str) -> bool {
    match known.strip_suffix(".*") {
        Some(package) => name.strip_prefix(package).is_some_and(|rest| rest.starts_with('.')),
        None => known == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_data_is_valid() {
        let torch = torch().as_ref().unwrap();
        assert_eq!(torch.dangerous("aten.save"), Some("writes a file"));
        for name in
            ["torch.relu", "torch.nn.functional.relu", "torch.ops.aten.add.Tensor", "builtins.slice", "math.inf"]
        {
            assert!(torch.computes(name), "{name}");
        }
        for name in [
            "torch.load",
            "torch.hub",
            "torch.os.system",
            "torch.ops.aten.from_file",
            "torch.ops.x",
            "builtins.exec",
            "torch.nn.functional.torch.os.system",
            "operator.methodcaller",
            "os.system",
        ] {
            assert!(!torch.computes(name), "{name}");
        }
        let code = code().as_ref().unwrap();
        assert_eq!(code.category("subprocess.run").map(|(id, _)| id), Some("command"));
        assert!(code.category("subprocesses.run").is_none());
        for id in ["command", "code", "native", "network", "write", "load"] {
            assert!(code.categories.contains_key(id));
        }
    }
}
