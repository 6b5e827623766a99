//! Reads rules and what they refer to out of the engine's JSON syntax tree, without recursion.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Complaint;
use super::builtins;
use crate::outcome::Why;
use crate::pack::Module;

/// One definition of a rule or function.
pub(super) struct RuleNode<'a> {
    pub(super) module: &'a Module,
    /// Full name, without `data.`.
    pub(super) name: String,
    pub(super) line: u64,
    pub(super) references: Vec<Reference>,
}

/// A name used in a rule's body.
pub(super) struct Reference {
    /// As it stands in the text.
    pub(super) written: String,
    /// The full names it may mean.
    pub(super) candidates: Vec<String>,
    pub(super) call: bool,
    pub(super) negated: bool,
    pub(super) line: u64,
}

/// First words of builtins; no import may take them, else a call could mean two things.
const NAMESPACES: &[&str] = &[
    "array",
    "base64",
    "base64url",
    "bits",
    "crypto",
    "glob",
    "graph",
    "graphql",
    "hex",
    "http",
    "io",
    "json",
    "net",
    "numbers",
    "object",
    "opa",
    "providers",
    "rand",
    "regex",
    "rego",
    "semver",
    "strings",
    "test",
    "time",
    "units",
    "urlquery",
    "uuid",
    "yaml",
];

/// Builtins of one word that are not on the allow-list.
const FORBIDDEN_WORDS: &[&str] =
    &["print", "trace", "walk", "cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string"];

/// Adds the rules of one module and returns its package.
pub(super) fn module<'a>(module: &'a Module, ast: &Value, nodes: &mut Vec<RuleNode<'a>>) -> Result<String, Complaint> {
    let complain = |why, line: u64, message: String| (why, format!("{}:{line}: {message}", module.path));
    let path = &ast["package"]["refr"];
    let package = static_path(path)
        .filter(|parts| parts.iter().all(|part| identifier(part)))
        .map(|parts| parts.join("."))
        .ok_or_else(|| complain(Why::NotParsable, 1, "a package name is made of words and dots only".into()))?;
    let aliases = imports(module, ast)?;
    for rule in ast["rules"].as_array().into_iter().flatten() {
        let (kind, rule) = variant(rule)
            .ok_or_else(|| complain(Why::NotParsable, 1, "a rule of a kind this program does not know".into()))?;
        let line = line_of(rule);
        let head = if kind == "Default" { rule } else { variant(&rule["head"]).map_or(&Value::Null, |(_, head)| head) };
        let name = head_name(&head["refr"])
            .ok_or_else(|| complain(Why::NotParsable, line, "a rule whose name is not made of words".into()))?;
        let first = name.split('.').next().unwrap_or_default();
        if builtins::allowed(first) || FORBIDDEN_WORDS.contains(&first) || NAMESPACES.contains(&first) {
            return Err(complain(Why::ForbiddenCall, line, format!("rule `{name}` takes the name of a builtin")));
        }
        let scope = Scope { module, package: &package, aliases: &aliases };
        let mut references = Vec::new();
        // All of the head but its name, and of the bodies.
        let parts = ["key", "args", "assign"].map(|part| &head[part]);
        for part in parts.into_iter().chain([&rule["bodies"], &rule["value"], &rule["args"], indices(&head["refr"])]) {
            scope.collect(part, &mut references)?;
        }
        nodes.push(RuleNode { module, name: format!("{package}.{name}"), line, references });
    }
    Ok(package)
}

/// Alias to full path; imports of `input` and of language versions name no rule.
fn imports(module: &Module, ast: &Value) -> Result<BTreeMap<String, String>, Complaint> {
    let mut aliases = BTreeMap::new();
    for import in ast["imports"].as_array().into_iter().flatten() {
        let line = line_of(import);
        let path = static_path(&import["refr"])
            .ok_or_else(|| (Why::NotParsable, format!("{}:{line}: an import of something computed", module.path)))?;
        let alias = match &import["as"] {
            Value::Null => path.last().cloned().unwrap_or_default(),
            span => {
                let at = |key: &str| span[key].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
                module.text.get(at("start")..at("end")).unwrap_or_default().to_owned()
            }
        };
        if path.first().is_some_and(|root| root == "rego" || root == "future") {
            continue;
        }
        if NAMESPACES.contains(&alias.as_str()) || builtins::allowed(&alias) || alias.is_empty() {
            let message = format!("{}:{line}: import `{alias}` takes the name of a builtin", module.path);
            return Err((Why::ForbiddenCall, message));
        }
        if path.first().is_some_and(|root| root == "data") {
            aliases.insert(alias, path[1..].join("."));
        }
    }
    Ok(aliases)
}

struct Scope<'a> {
    module: &'a Module,
    package: &'a str,
    aliases: &'a BTreeMap<String, String>,
}

impl Scope<'_> {
    fn collect(&self, root: &Value, found: &mut Vec<Reference>) -> Result<(), Complaint> {
        let mut open = vec![(root, false)];
        while let Some((value, negated)) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items.iter().map(|item| (item, negated))),
                Value::Object(members) => {
                    for (key, member) in members {
                        match key.as_str() {
                            "span" | "source" => {}
                            "NotExpr" => open.push((member, true)),
                            "Call" => {
                                found.push(self.call(member, negated)?);
                                open.push((&member["params"], negated));
                            }
                            "Var" | "RefDot" | "RefBrack" => self.reference(value, negated, found, &mut open),
                            "with_mods" => self.check_with(member)?,
                            _ => open.push((member, negated)),
                        }
                        if key == "with_mods" {
                            open.push((member, negated));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn call(&self, call: &Value, negated: bool) -> Result<Reference, Complaint> {
        let line = line_of(call);
        let parts = static_path(&call["fcn"]).ok_or_else(|| {
            (Why::ForbiddenCall, format!("{}:{line}: a call of something computed", self.module.path))
        })?;
        Ok(self.named(&parts, true, negated, line))
    }

    /// Notes the leading static part of a reference, and opens what stands in its brackets.
    fn reference<'v>(
        &self,
        value: &'v Value,
        negated: bool,
        found: &mut Vec<Reference>,
        open: &mut Vec<(&'v Value, bool)>,
    ) {
        let mut parts = Vec::new();
        let mut at = value;
        let line = variant(value).map_or(0, |(_, inner)| line_of(inner));
        loop {
            match variant(at) {
                Some(("Var", inner)) => {
                    parts.push(inner["value"].as_str().unwrap_or_default().to_owned());
                    break;
                }
                Some(("RefDot", inner)) => {
                    parts.push(inner["field"][1].as_str().unwrap_or_default().to_owned());
                    at = &inner["refr"];
                }
                Some(("RefBrack", inner)) => {
                    match literal(&inner["index"]) {
                        Some(text) => parts.push(text.to_owned()),
                        None => {
                            // Only what stands in front of a computed part is known.
                            parts.clear();
                            open.push((&inner["index"], negated));
                        }
                    }
                    at = &inner["refr"];
                }
                _ => {
                    open.push((at, negated));
                    return;
                }
            }
        }
        parts.reverse();
        found.push(self.named(&parts, false, negated, line));
    }

    fn named(&self, parts: &[String], call: bool, negated: bool, line: u64) -> Reference {
        let written = parts.join(".");
        let rest = || parts.get(1..).unwrap_or_default().join(".");
        let root = parts.first().map(String::as_str).unwrap_or_default();
        let mut candidates = vec![format!("{}.{written}", self.package)];
        if root == "data" {
            candidates = vec![rest()];
        } else if let Some(path) = self.aliases.get(root) {
            let rest = rest();
            candidates.push(if rest.is_empty() { path.clone() } else { format!("{path}.{rest}") });
        }
        Reference { written, candidates, call, negated, line }
    }

    /// A decision is about the input as it is. Tests may replace input and data, never functions.
    fn check_with(&self, modifiers: &Value) -> Result<(), Complaint> {
        for modifier in modifiers.as_array().into_iter().flatten() {
            let line = line_of(modifier);
            let root = static_path(&modifier["refr"]).and_then(|parts| parts.into_iter().next());
            if !self.module.is_test() {
                let message = format!("{}:{line}: `with` belongs to tests", self.module.path);
                return Err((Why::ForbiddenCall, message));
            }
            if !root.is_some_and(|root| root == "input" || root == "data") {
                let message = format!("{}:{line}: `with` may replace input and data only", self.module.path);
                return Err((Why::ForbiddenCall, message));
            }
        }
        Ok(())
    }
}

/// The one member of an externally tagged enum.
fn variant(value: &Value) -> Option<(&str, &Value)> {
    let members = value.as_object()?;
    let mut entries = members.iter();
    match (entries.next(), entries.next()) {
        (Some((key, inner)), None) => Some((key, inner)),
        _ => None,
    }
}

/// The words of a reference without computed parts.
fn static_path(value: &Value) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut at = value;
    loop {
        match variant(at)? {
            ("Var", inner) => {
                parts.push(inner["value"].as_str()?.to_owned());
                parts.reverse();
                return Some(parts);
            }
            ("RefDot", inner) => {
                parts.push(inner["field"][1].as_str()?.to_owned());
                at = &inner["refr"];
            }
            ("RefBrack", inner) => {
                parts.push(literal(&inner["index"])?.to_owned());
                at = &inner["refr"];
            }
            _ => return None,
        }
    }
}

/// The leading words of a rule's name; `rule[key]` is called `rule`.
fn head_name(value: &Value) -> Option<String> {
    let mut parts = Vec::new();
    let mut at = value;
    loop {
        match variant(at)? {
            ("Var", inner) => {
                parts.push(inner["value"].as_str()?.to_owned());
                parts.reverse();
                return Some(parts.join("."));
            }
            ("RefDot", inner) => {
                parts.push(inner["field"][1].as_str()?.to_owned());
                at = &inner["refr"];
            }
            ("RefBrack", inner) => {
                parts.clear();
                at = &inner["refr"];
            }
            _ => return None,
        }
    }
}

/// What stands in the brackets of a rule's name.
fn indices(refr: &Value) -> &Value {
    match variant(refr) {
        Some(("RefBrack", inner)) => &inner["index"],
        _ => &Value::Null,
    }
}

fn literal(value: &Value) -> Option<&str> {
    match variant(value)? {
        ("String" | "RawString", inner) => inner["value"].as_str(),
        _ => None,
    }
}

fn identifier(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn line_of(value: &Value) -> u64 {
    value["span"]["line"].as_u64().unwrap_or(0)
}
