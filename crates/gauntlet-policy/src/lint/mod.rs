//! What has to hold for a set of modules before it is evaluated: allowed calls only, no recursion, no `not` over what can fail.
//!
//! The engine finds unknown calls only when it reaches them, and overflows its stack on a function that calls itself.

mod builtins;
mod text;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::outcome::Why;
use crate::pack::Module;
use walk::{Reference, RuleNode};

/// What is wrong with a module: the class and `file:line: …`.
pub(crate) type Complaint = (Why, String);

/// Holds the text against what the parser can take. Cheap, and safe on hostile text.
pub(crate) fn check_text(module: &Module) -> Result<(), Complaint> {
    text::check(&module.path, &module.text)
}

/// The parsed modules, checked.
#[derive(Debug)]
pub(crate) struct Linted {
    /// Full names of all rules and functions, without the leading `data.`.
    pub(crate) rules: BTreeSet<String>,
    /// Full names of the rules `test_*` in test modules, with the module's path.
    pub(crate) tests: BTreeSet<(String, String)>,
    /// Package of each module, in order.
    pub(crate) packages: Vec<String>,
}

/// Holds the syntax trees (the engine's JSON, modules in the order they were added) against the rules.
///
/// # Errors
/// The first complaint.
pub(crate) fn check_trees(modules: &[&Module], trees: &str) -> Result<Linted, Complaint> {
    let trees: Value = serde_json::from_str(trees)
        .map_err(|error| (Why::TooDeep, format!("the syntax tree cannot be walked: {error}")))?;
    let trees = trees.as_array().map(Vec::as_slice).unwrap_or_default();
    if trees.len() != modules.len() {
        return Err((Why::NotParsable, format!("{} modules gave {} syntax trees", modules.len(), trees.len())));
    }
    let mut nodes = Vec::new();
    let mut packages = Vec::new();
    for (module, tree) in modules.iter().zip(trees) {
        packages.push(walk::module(module, &tree["ast"], &mut nodes)?);
    }
    let graph = Graph::build(&nodes)?;
    graph.refuse_cycles(&nodes)?;
    graph.refuse_negated_failures(&nodes)?;
    let tests = nodes
        .iter()
        .filter(|node| node.module.is_test() && node.name.rsplit('.').next().is_some_and(|n| n.starts_with("test_")))
        .map(|node| (node.module.path.clone(), node.name.clone()))
        .collect();
    Ok(Linted { rules: nodes.into_iter().map(|node| node.name).collect(), tests, packages })
}

/// Who refers to whom, by position in the list of nodes. Several definitions of one name are several nodes.
struct Graph {
    edges: Vec<BTreeSet<usize>>,
    fallible: Vec<bool>,
}

impl Graph {
    fn build(nodes: &[RuleNode<'_>]) -> Result<Self, Complaint> {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, node) in nodes.iter().enumerate() {
            by_name.entry(&node.name).or_default().push(at);
        }
        let mut graph = Self { edges: vec![BTreeSet::new(); nodes.len()], fallible: vec![false; nodes.len()] };
        for (at, node) in nodes.iter().enumerate() {
            for reference in &node.references {
                let targets = resolve(&by_name, reference);
                if reference.call && targets.is_empty() {
                    let name = reference.written.as_str();
                    if !builtins::allowed(name) {
                        let place = format!("{}:{}", node.module.path, reference.line);
                        return Err((Why::ForbiddenCall, format!("{place}: a policy may not call `{name}`")));
                    }
                    graph.fallible[at] |= builtins::fallible(name);
                }
                graph.edges[at].extend(targets);
            }
        }
        graph.spread_failures();
        Ok(graph)
    }

    fn spread_failures(&mut self) {
        loop {
            let mut changed = false;
            for at in 0..self.edges.len() {
                if !self.fallible[at] && self.edges[at].iter().any(|to| self.fallible[*to]) {
                    self.fallible[at] = true;
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn refuse_cycles(&self, nodes: &[RuleNode<'_>]) -> Result<(), Complaint> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; nodes.len()];
        for start in 0..nodes.len() {
            if marks[start] != Mark::New {
                continue;
            }
            marks[start] = Mark::Open;
            let mut path = vec![(start, self.edges[start].iter())];
            while let Some((at, rest)) = path.last_mut() {
                match rest.next() {
                    None => {
                        marks[*at] = Mark::Done;
                        path.pop();
                    }
                    Some(&to) if marks[to] == Mark::Open => {
                        let node = &nodes[to];
                        let place = format!("{}:{}", node.module.path, node.line);
                        return Err((Why::Recursion, format!("{place}: `{}` refers to itself", node.name)));
                    }
                    Some(&to) if marks[to] == Mark::New => {
                        marks[to] = Mark::Open;
                        path.push((to, self.edges[to].iter()));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    fn refuse_negated_failures(&self, nodes: &[RuleNode<'_>]) -> Result<(), Complaint> {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, node) in nodes.iter().enumerate() {
            by_name.entry(&node.name).or_default().push(at);
        }
        // Tests negate whole policies, and a wrong test lets nothing pass.
        for node in nodes.iter().filter(|node| !node.module.is_test()) {
            for reference in node.references.iter().filter(|reference| reference.negated) {
                let targets = resolve(&by_name, reference);
                let fails = (targets.is_empty() && reference.call && builtins::fallible(&reference.written))
                    || targets.iter().any(|to| self.fallible[*to]);
                if fails {
                    let place = format!("{}:{}", node.module.path, reference.line);
                    let name = &reference.written;
                    let message = format!(
                        "{place}: `not` over `{name}`, which can fail: its failure would count as truth; \
                         bind its value first, or compare sets"
                    );
                    return Err((Why::NegatedFailure, message));
                }
            }
        }
        Ok(())
    }
}

/// Every rule that a reference may mean: one of that name, one that it looks into (`rule.member`), or all below it
/// (`data.package`).
fn resolve(by_name: &BTreeMap<&str, Vec<usize>>, reference: &Reference) -> Vec<usize> {
    let mut found = Vec::new();
    for full in &reference.candidates {
        let mut prefix = full.as_str();
        loop {
            found.extend(by_name.get(prefix).into_iter().flatten());
            match prefix.rfind('.') {
                Some(dot) if !reference.call => prefix = &prefix[..dot],
                _ => break,
            }
        }
        if !reference.call {
            let below = format!("{full}.");
            let after =
                by_name.range::<str, _>((std::ops::Bound::Excluded(below.as_str()), std::ops::Bound::Unbounded));
            found.extend(after.take_while(|(name, _)| name.starts_with(&below)).flat_map(|(_, at)| at));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint(text: &str) -> Result<Linted, Why> {
        lint_as("a.rego", text)
    }

    fn lint_as(path: &str, text: &str) -> Result<Linted, Why> {
        let module = Module { path: path.into(), text: text.into() };
        check_text(&module).map_err(|(why, _)| why)?;
        let mut engine = regorus::Engine::new();
        engine.set_rego_v0(false);
        engine.add_policy(module.path.clone(), module.text.clone()).map_err(|_| Why::NotParsable)?;
        check_trees(&[&module], &engine.get_ast_as_json().unwrap()).map_err(|(why, _)| why)
    }

    #[test]
    fn a_plain_policy_passes() {
        let linted =
            lint("package p\nviolations contains v if { some v in input.x; f(v) > 1 }\nf(x) := count(x)\n").unwrap();
        assert_eq!(linted.rules.into_iter().collect::<Vec<_>>(), ["p.f", "p.violations"]);
        assert_eq!(linted.packages, ["p"]);
    }

    #[test]
    fn calls_outside_the_list_are_refused_wherever_they_hide() {
        for text in [
            "package p\nx := http.send({})",
            "package p\nx if { false; opa.runtime() }",
            "package p\nx := [y | y := time.now_ns()]",
            "package p\nx := {\"a\": rand.intn(\"x\", 3)}",
            "package p\nx if { every y in [1] { io.jwt.decode(y) } }",
            "package p\nx := input.y[numbers.range(1, 3)[_]]",
            "package p\nf(x) := 1 if { true } else := trace(\"x\")",
            "package p\ndefault x := 3\nx := 4 if { print(1) }",
            "package p\nx contains unknown_function(1)",
            "package p\nx[net.lookup_ip_addr(\"a\")] := 1",
        ] {
            assert_eq!(lint(text).unwrap_err(), Why::ForbiddenCall, "{text}");
        }
    }

    #[test]
    fn a_module_cannot_hide_a_builtin_behind_its_own_names() {
        for text in [
            "package p\ntrace(x) := x\ny := trace(1)",
            "package p\nimport data.q as http\ny := 1",
            "package p\ncount(x) := 3\ny := count(1)",
        ] {
            assert_eq!(lint(text).unwrap_err(), Why::ForbiddenCall, "{text}");
        }
    }

    #[test]
    fn recursion_is_refused() {
        for text in [
            "package p\nf(x) := f(x)",
            "package p\nf(x) := g(x)\ng(x) := h(x)\nh(x) := f(x)",
            "package p\nimport data.p as me\nf(x) := me.f(x)",
            "package p\nf(x) := data.p.f(x)",
            "package p\nx := y\ny := x",
            "package p\nx contains y if { some y in data.p }",
        ] {
            assert_eq!(lint(text).unwrap_err(), Why::Recursion, "{text}");
        }
    }

    #[test]
    fn not_over_what_can_fail_is_refused() {
        for text in [
            "package p\nx if { not to_number(\"abc\") == 3 }",
            "package p\nx if { not f(1) }\nf(y) := json.unmarshal(y)",
            "package p\nx if { not data.p.r }\nr if { time.parse_rfc3339_ns(input.t) > 3 }",
        ] {
            assert_eq!(lint(text).unwrap_err(), Why::NegatedFailure, "{text}");
        }
        assert!(lint("package p\nx if { not startswith(input.a, \"b\") }").is_ok());
        assert!(lint("package p\nx if { t := to_number(input.a); not t == 3 }").is_ok());
    }

    #[test]
    fn with_belongs_to_tests() {
        assert_eq!(lint("package p\nx if { data.q.y with input as {} }").unwrap_err(), Why::ForbiddenCall);
        assert!(lint_as("a_test.rego", "package p\ntest_x if { data.q.y with input as {} }").is_ok());
        let mocked = "package p\ntest_x if { data.q.y with count as 3 }";
        assert_eq!(lint_as("a_test.rego", mocked).unwrap_err(), Why::ForbiddenCall);
    }

    #[test]
    fn tests_are_found_in_test_modules_only() {
        let text = "package p_test\ntest_one if true\ntest_one if false\nhelper := 1\n";
        let tests = lint_as("p_test.rego", text).unwrap().tests;
        assert_eq!(tests.into_iter().collect::<Vec<_>>(), [("p_test.rego".to_owned(), "p_test.test_one".to_owned())]);
        assert!(lint_as("p.rego", text).unwrap().tests.is_empty());
    }
}
