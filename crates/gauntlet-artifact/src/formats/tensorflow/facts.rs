//! What can be said about graphs without judging them: operations, where their paths come from, what reaches them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::graph::{Asset, Kind, MetaGraph, Model, Node, Scope};

/// Entries of each list of facts; what is more is counted.
const ENTRIES: usize = 20_000;
/// Constants kept for one use of an operation.
const CONSTANTS: usize = 8;
/// Nodes that one origin is looked for in.
const HOPS: usize = 24;
/// Takers of one restored value that are looked at.
const TAKERS: usize = 1024;

/// Everything seen in one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TensorflowFacts {
    pub kind: Kind,
    /// The file is protobuf text.
    pub text: bool,
    /// Versions of TensorFlow that wrote the graphs.
    pub versions: Vec<String>,
    pub tags: Vec<Vec<String>>,
    pub graphs: u64,
    pub functions: u64,
    pub nodes: u64,
    /// Uses of operations, equal ones together.
    pub operators: Vec<OperatorUse>,
    /// Savers that the graphs declare.
    pub savers: u64,
    pub signatures: Vec<String>,
    /// Files beside the model.
    pub assets: Vec<String>,
    /// Kinds of user objects, and how many.
    pub objects: BTreeMap<String, u64>,
    /// Registered classes and savers that loading looks up by name.
    pub registered: BTreeMap<String, u64>,
    /// Constants and attributes that read as a path or an address; credentials are cut out.
    pub links: BTreeSet<String>,
    /// Entries of lists that were cut, and bytes that were not looked into.
    pub more: u64,
    pub unknown_fields: u64,
    /// Why the file could not be read to its end.
    pub broken: Option<String>,
}

/// Uses of an operation that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperatorUse {
    pub op: String,
    pub count: u64,
    /// The function of the first one; `None` in the main graph.
    pub function: Option<String>,
    /// The first node.
    pub node: String,
    pub offset: u64,
    /// The file defines a function of this name.
    pub is_function: bool,
    /// Where its inputs come from.
    pub origin: Origin,
    /// Strings that it is given.
    pub constants: Vec<String>,
    /// Its attributes with text.
    pub attributes: Vec<(String, String)>,
    /// Saving or restoring by a declared saver reaches it.
    pub in_saver: bool,
    /// Something besides the declared savers calls its function, or a signature needs it.
    pub in_use: bool,
    /// Loading the model runs it.
    pub on_load: bool,
    /// Its graph or function is made like a saver: it saves and shards, or it restores.
    pub like_saver: bool,
    /// All that its outputs go to is variables.
    pub assigned: bool,
}

/// Where the inputs of an operation come from, seen through operations that pass values on or put names together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// A string in the graph.
    pub constant: bool,
    /// The caller of the graph or function.
    pub caller: bool,
    /// A file that the model declares as an asset.
    pub asset: bool,
}

impl TensorflowFacts {
    /// What can be said about a model.
    pub(crate) fn of(model: &Model) -> Self {
        let mut facts =
            Self { kind: model.kind, unknown_fields: model.unknown_fields, more: model.more_blobs, ..Self::default() };
        for graph in &model.graphs {
            facts.graph(graph);
        }
        for node in model.nodes() {
            let texts = node.strings.iter().chain(node.texts.iter().map(|(_, text)| text));
            for text in texts.filter(|text| is_link(text)) {
                if facts.links.len() < ENTRIES {
                    facts.links.insert(without_credentials(text));
                } else {
                    facts.more += 1;
                }
            }
        }
        facts
    }

    fn graph(&mut self, graph: &MetaGraph) {
        self.graphs += 1;
        self.functions += graph.functions.len() as u64;
        self.savers += graph.savers.len() as u64;
        self.versions.extend((!graph.version.is_empty()).then(|| graph.version.clone()));
        self.tags.push(graph.tags.clone());
        self.signatures.extend(graph.signatures.iter().map(|signature| signature.key.clone()));
        self.assets.extend(graph.assets.iter().map(|asset| asset.file.clone()));
        for (from, to) in [(&graph.objects, &mut self.objects), (&graph.registered, &mut self.registered)] {
            for (name, count) in from {
                *to.entry(name.clone()).or_default() += count;
            }
        }
        let reach = Reach::of(graph);
        let mut uses = BTreeMap::new();
        let scopes =
            std::iter::once((None, &graph.main)).chain(graph.functions.iter().enumerate().map(|(i, f)| (Some(i), f)));
        for (function, scope) in scopes {
            self.scope(graph, function, scope, &reach, &mut uses);
        }
        self.operators.extend(uses.into_values());
    }

    fn scope<'m>(
        &mut self,
        graph: &'m MetaGraph,
        function: Option<usize>,
        scope: &'m Scope,
        reach: &Reach<'m>,
        uses: &mut BTreeMap<Key<'m>, OperatorUse>,
    ) {
        let assets = if function.is_none() { graph.assets.as_slice() } else { &[] };
        let mut view = View::of(scope, assets);
        let like_saver = like_saver(scope, function.is_some());
        for (index, node) in scope.nodes.iter().enumerate() {
            self.nodes += 1;
            let (origin, constants) = view.origin(node);
            let has = |set: &Set| match function {
                Some(function) => set.functions.contains(&function),
                None => set.nodes.contains(&index),
            };
            let in_saver = has(&reach.savers);
            let in_use = match function {
                Some(function) => reach.others.functions.contains(&function),
                None => has(&reach.signatures),
            };
            let on_load = has(&reach.on_load);
            let assigned = restores(node) && view.assigned(node);
            let texts: Vec<_> =
                node.texts.iter().filter(|(name, _)| !is_dull(name)).map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let key = Key {
                op: &node.op,
                origin,
                constants,
                texts,
                flags: (in_saver, in_use, on_load, like_saver, assigned),
            };
            if let Some(known) = uses.get_mut(&key) {
                known.count += 1;
                continue;
            }
            if uses.len() + self.operators.len() >= ENTRIES {
                self.more += 1;
                continue;
            }
            let new = OperatorUse {
                op: node.op.clone(),
                count: 1,
                function: function.is_some().then(|| scope.name.clone()),
                node: node.name.clone(),
                offset: node.offset,
                is_function: reach.functions.contains_key(node.op.as_str()),
                origin,
                constants: key.constants.iter().map(|text| without_credentials(text)).collect(),
                attributes: key.texts.iter().map(|(a, b)| ((*a).to_owned(), without_credentials(b))).collect(),
                in_saver,
                in_use,
                on_load,
                like_saver,
                assigned,
            };
            uses.insert(key, new);
        }
    }
}

/// What makes two uses of an operation different.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'m> {
    op: &'m str,
    origin: Origin,
    constants: Vec<&'m str>,
    texts: Vec<(&'m str, &'m str)>,
    flags: (bool, bool, bool, bool, bool),
}

/// Attributes with text on every other node, which say how to compute and nothing else.
fn is_dull(attribute: &str) -> bool {
    matches!(
        attribute,
        "data_format"
            | "padding"
            | "config_proto"
            | "executor_type"
            | "_class"
            | "_output_shapes"
            | "message"
            | "dtype"
            | "container"
            | "shared_name"
            | "_gradient_op_type"
            | "allowed_devices"
            | "debug_name"
            | "equation"
            | "mode"
            | "_collective_manager_ids"
            | "_read_only_resource_inputs"
            | "device_types"
            | "_tf_keras_layer_name"
            | "direction"
            | "rnn_mode"
            | "input_mode"
            | "method"
            | "coordinate_transformation_mode"
            | "fill_mode"
            | "interpolation"
            | "explicit_paddings"
            | "fused_ops"
            | "tensor_name"
            | "_XlaMustCompile"
            | "api_implements"
            | "_kernel"
            | "metadata"
            | "half_pixel_centers"
            | "separator"
            | "placeholder"
            | "template"
            | "pattern"
            | "rewrite"
    ) || attribute.starts_with("_Xla")
}

/// Like what TensorFlow's savers build: saving goes with sharded names, restoring with saving, or stands alone in a function.
fn like_saver(scope: &Scope, function: bool) -> bool {
    let has = |ops: &[&str]| scope.nodes.iter().any(|node| ops.contains(&node.op.as_str()));
    let saves = has(&["SaveV2", "SaveSlices"]);
    let restores = has(&["RestoreV2", "RestoreSlice", "Restore"]);
    if function {
        (saves && has(&["ShardedFilename", "MergeV2Checkpoints"])) || (restores && !saves)
    } else {
        saves && restores
    }
}

fn restores(node: &Node) -> bool {
    matches!(node.op.as_str(), "Restore" | "RestoreSlice" | "RestoreV2")
}

/// Nodes of the main graph, and functions.
#[derive(Default)]
struct Set {
    nodes: BTreeSet<usize>,
    functions: BTreeSet<usize>,
}

/// What is reached from where.
struct Reach<'m> {
    functions: HashMap<&'m str, usize>,
    savers: Set,
    signatures: Set,
    on_load: Set,
    /// From everything in the main graph that belongs to no saver.
    others: Set,
}

impl<'m> Reach<'m> {
    fn of(graph: &'m MetaGraph) -> Self {
        let functions: HashMap<_, _> = graph.functions.iter().enumerate().map(|(i, f)| (f.name.as_str(), i)).collect();
        let names = names(&graph.main);
        let from = |roots: &mut dyn Iterator<Item = usize>| reach(graph, &names, &functions, roots);
        let roots = |wanted: &[&String]| -> Vec<usize> {
            wanted.iter().filter_map(|name| names.get(node_of(name)).copied()).collect()
        };
        let savers = from(&mut roots(&graph.savers.iter().collect::<Vec<_>>()).into_iter());
        let outputs: Vec<_> =
            graph.signatures.iter().filter(|s| s.key != "__saved_model_init_op").flat_map(|s| &s.outputs).collect();
        let signatures = from(&mut roots(&outputs).into_iter());
        let init = graph.signatures.iter().filter(|s| s.key == "__saved_model_init_op").flat_map(|s| &s.outputs);
        let on_load: Vec<_> = graph.on_load.iter().chain(init).collect();
        let on_load = from(&mut roots(&on_load).into_iter());
        let mut others = (0..graph.main.nodes.len()).filter(|node| !savers.nodes.contains(node));
        let others = reach_functions(graph, &functions, &mut others);
        Self { savers, signatures, on_load, others, functions }
    }
}

fn names(scope: &Scope) -> HashMap<&str, usize> {
    scope.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect()
}

/// The node of a tensor or control input.
fn node_of(input: &str) -> &str {
    let input = input.strip_prefix('^').unwrap_or(input);
    input.split(':').next().unwrap_or(input)
}

/// Everything that the roots need, functions included.
fn reach(
    graph: &MetaGraph,
    names: &HashMap<&str, usize>,
    functions: &HashMap<&str, usize>,
    roots: &mut dyn Iterator<Item = usize>,
) -> Set {
    let mut nodes = BTreeSet::new();
    let mut queue: Vec<_> = roots.collect();
    while let Some(index) = queue.pop() {
        let Some(node) = graph.main.nodes.get(index).filter(|_| nodes.insert(index)) else { continue };
        queue.extend(node.inputs.iter().filter_map(|input| names.get(node_of(input)).copied()));
    }
    let mut set = reach_functions(graph, functions, &mut nodes.iter().copied());
    set.nodes = nodes;
    set
}

/// Functions that nodes of the main graph call, and those that these call.
fn reach_functions(graph: &MetaGraph, functions: &HashMap<&str, usize>, nodes: &mut dyn Iterator<Item = usize>) -> Set {
    let called = |node: &Node| {
        let names = node.functions.iter().map(String::as_str).chain(std::iter::once(node.op.as_str()));
        names.filter_map(|name| functions.get(name).copied()).collect::<Vec<_>>()
    };
    let mut found = BTreeSet::new();
    let mut queue: Vec<_> = nodes.filter_map(|node| graph.main.nodes.get(node)).flat_map(called).collect();
    while let Some(index) = queue.pop() {
        if let Some(function) = graph.functions.get(index).filter(|_| found.insert(index)) {
            queue.extend(function.nodes.iter().flat_map(called));
        }
    }
    Set { nodes: BTreeSet::new(), functions: found }
}

/// A scope with its nodes by name.
struct View<'m> {
    scope: &'m Scope,
    names: HashMap<&'m str, usize>,
    arguments: HashSet<&'m str>,
    /// Nodes of the main graph that stand for files beside the model.
    assets: HashSet<&'m str>,
    /// Who takes an output, in scopes that restore.
    takers: HashMap<&'m str, Vec<usize>>,
    /// Names that [`View::assigned`] was asked for: nodes may share one.
    assigned: HashMap<&'m str, bool>,
}

impl<'m> View<'m> {
    /// A view of the main graph, or of one of the functions, which have no assets of their own.
    fn of(scope: &'m Scope, assets: &'m [Asset]) -> Self {
        let mut takers = HashMap::<_, Vec<usize>>::new();
        if scope.nodes.iter().any(restores) {
            for (index, node) in scope.nodes.iter().enumerate() {
                for input in node.inputs.iter().filter(|input| !input.starts_with('^')) {
                    takers.entry(node_of(input)).or_default().push(index);
                }
            }
        }
        Self {
            scope,
            names: names(scope),
            arguments: scope.arguments.iter().map(String::as_str).collect(),
            assets: assets.iter().map(|asset| node_of(&asset.tensor)).collect(),
            takers,
            assigned: HashMap::new(),
        }
    }

    /// Where the inputs of a node come from, and the strings among them.
    fn origin(&self, node: &'m Node) -> (Origin, Vec<&'m str>) {
        let (mut origin, mut constants) = (Origin::default(), Vec::new());
        // Paths are the first inputs of what takes any.
        let first = |node: &'m Node| node.inputs.iter().take(HOPS).rev().map(String::as_str);
        let mut queue: Vec<_> = first(node).collect();
        for _ in 0..HOPS {
            let Some(input) = queue.pop() else { break };
            if input.starts_with('^') {
                continue;
            }
            let name = node_of(input);
            let Some(source) = self.names.get(name).and_then(|index| self.scope.nodes.get(*index)) else {
                origin.caller |= self.arguments.contains(name);
                continue;
            };
            match source.op.as_str() {
                _ if self.assets.contains(name) => origin.asset = true,
                "Const" | "HostConst" => {
                    origin.constant |= !source.strings.is_empty();
                    constants.extend(source.strings.iter().map(String::as_str));
                }
                "Placeholder" | "PlaceholderV2" | "PlaceholderWithDefault" | "_Arg" => {
                    origin.caller = true;
                    queue.extend(first(source));
                }
                "Identity" | "IdentityN" | "ShardedFilename" | "ShardedFilespec" | "StringJoin" | "Pack" | "Select"
                | "SelectV2" | "Switch" | "Merge" | "Enter" | "ExpandDims" | "Reshape" | "ConcatV2" | "EnsureShape"
                | "StopGradient" | "Squeeze" => queue.extend(first(source)),
                _ => {}
            }
        }
        constants.sort_unstable();
        constants.dedup();
        constants.truncate(CONSTANTS);
        (origin, constants)
    }

    /// Whether everything that takes the outputs of a node puts them into variables.
    fn assigned(&mut self, node: &'m Node) -> bool {
        if let Some(known) = self.assigned.get(node.name.as_str()) {
            return *known;
        }
        let assigned = self.is_assigned(&node.name);
        self.assigned.insert(&node.name, assigned);
        assigned
    }

    fn is_assigned(&self, name: &str) -> bool {
        let (mut queue, mut seen, mut any) = (vec![name], BTreeSet::new(), false);
        let mut left = TAKERS;
        while let Some(name) = queue.pop() {
            if !seen.insert(name) {
                continue;
            }
            for taker in self.takers.get(name).into_iter().flatten().filter_map(|index| self.scope.nodes.get(*index)) {
                left -= 1;
                match taker.op.as_str() {
                    _ if left == 0 => return false,
                    "Assign" | "AssignVariableOp" => any = true,
                    "Identity" | "Reshape" | "Cast" => queue.push(&taker.name),
                    _ => return false,
                }
            }
        }
        any
    }
}

/// Reads as a path that leaves where it is, or as an address.
fn is_link(text: &str) -> bool {
    text.contains("://")
        || text.starts_with('/')
        || text.starts_with("~/")
        || text.contains("../")
        || text.contains("..\\")
}

/// An address without user, password and query.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, op: &str, inputs: &[&str]) -> Node {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        Node { name: name.into(), op: op.into(), inputs, ..Node::default() }
    }

    fn facts(graph: MetaGraph) -> TensorflowFacts {
        TensorflowFacts::of(&Model { graphs: vec![graph], ..Model::default() })
    }

    fn of<'f>(facts: &'f TensorflowFacts, op: &str) -> &'f OperatorUse {
        facts.operators.iter().find(|known| known.op == op).unwrap()
    }

    #[test]
    fn savers_signatures_and_functions_are_followed() {
        let mut save = node("call", "StatefulPartitionedCall", &["prefix"]);
        save.functions.push("traced_save".into());
        let mut serve = node("serve", "PartitionedCall", &["x"]);
        serve.functions.push("inner".into());
        let scope = |name: &str, nodes| Scope { name: name.into(), arguments: vec!["file".into()], nodes };
        let mut graph = MetaGraph {
            main: Scope { nodes: vec![node("prefix", "Placeholder", &[]), save, serve], ..Scope::default() },
            functions: vec![
                scope(
                    "traced_save",
                    vec![node("shard", "ShardedFilename", &["file"]), node("s", "SaveV2", &["shard:filename:0"])],
                ),
                scope("inner", vec![node("w", "WriteFile", &["file"])]),
            ],
            savers: vec!["call:0".into()],
            ..MetaGraph::default()
        };
        let seen = facts(std::mem::take(&mut graph));
        let save = of(&seen, "SaveV2");
        assert!(save.in_saver && !save.in_use && save.like_saver && save.origin.caller && !save.origin.constant);
        let write = of(&seen, "WriteFile");
        assert!(!write.in_saver && write.in_use && write.function.as_deref() == Some("inner"));
    }

    #[test]
    fn constants_are_seen_through_what_passes_them_on() {
        let mut path = node("path", "Const", &[]);
        path.strings.push("https://user:pw@host.invalid/x?token=1".into());
        let nodes = vec![path, node("i", "Identity", &["path:0"]), node("r", "ReadFile", &["i", "^other"])];
        let seen = facts(MetaGraph { main: Scope { nodes, ..Scope::default() }, ..MetaGraph::default() });
        let read = of(&seen, "ReadFile");
        assert!(read.origin.constant && !read.origin.caller);
        assert_eq!(read.constants, ["https://host.invalid/x"]);
        assert_eq!(seen.links.iter().collect::<Vec<_>>(), ["https://host.invalid/x"]);
    }

    #[test]
    fn the_path_is_found_among_many_variables() {
        let variables: Vec<_> = (0..500).map(|n| format!("v{n}")).collect();
        let inputs: Vec<_> = ["shard"].into_iter().chain(variables.iter().map(String::as_str)).collect();
        let nodes = vec![
            node("path", "PlaceholderWithDefault", &[]),
            node("shard", "ShardedFilename", &["path"]),
            node("save", "SaveV2", &inputs),
        ];
        let seen = facts(MetaGraph { main: Scope { nodes, ..Scope::default() }, ..MetaGraph::default() });
        assert!(of(&seen, "SaveV2").origin.caller);
    }

    #[test]
    fn circles_end() {
        let nodes = vec![node("a", "Identity", &["b"]), node("b", "Identity", &["a"]), node("r", "ReadFile", &["a"])];
        let graph =
            MetaGraph { main: Scope { nodes, ..Scope::default() }, savers: vec!["r".into()], ..MetaGraph::default() };
        assert!(of(&facts(graph), "ReadFile").in_saver);
    }
}
