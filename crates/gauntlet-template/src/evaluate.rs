//! Walks a tree until the variables settle, then once more for the facts.

mod collect;

use std::collections::{HashMap, HashSet};

use gauntlet_limits::{Budget, LimitHit};

use crate::call::{binary, function, is_function, item, method, mutated, slice};
use crate::facts::{Attribute, Growth, GrowthKind, How, Load, Named, Problem, TemplateFacts};
use crate::filter::{Given, apply, concatenate};
use crate::lines::Lines;
use crate::tree::{Arguments, Id, Node, Target, Text, Tree};
use crate::value::{Const, Value, combinations, is_inner_name, is_suspicious};
use collect::short;

/// Walks after which variables are taken as they are. Alternatives are bounded, so that they settle long before.
const WALKS: usize = 24;
/// Rounds and lengths from which on they are a fact.
const MUCH: u64 = 10_000;
/// Loops inside each other from which on they are a fact.
const NESTED: usize = 5;
/// Bytes of an attribute's name that are kept.
const NAME: usize = 200;

/// Filters that read attributes of items, by the argument `attribute` or by one in this place.
const BY_ATTRIBUTE: [(&str, usize); 11] = [
    ("map", usize::MAX),
    ("selectattr", 0),
    ("rejectattr", 0),
    ("groupby", 0),
    ("sort", 2),
    ("unique", 1),
    ("sum", 0),
    ("min", 1),
    ("max", 1),
    ("join", 1),
    ("dictsort", usize::MAX),
];

/// Filters whose number is a length.
const PADDING: [&str; 9] = ["center", "indent", "batch", "slice", "ljust", "rjust", "zfill", "lipsum", "expandtabs"];

pub(crate) fn facts(text: &str, tree: Tree, budget: &Budget) -> Result<TemplateFacts, LimitHit> {
    let mut callees = vec![false; tree.nodes.len()];
    for node in &tree.nodes {
        if let Node::Call { callee, .. } = node
            && let Some(called) = callees.get_mut(*callee)
        {
            *called = true;
        }
    }
    let mut walk = Walk {
        lines: Lines::new(text),
        tree: &tree,
        budget,
        callees,
        variables: HashMap::new(),
        macros: HashMap::new(),
        values: Vec::new(),
        roots: Vec::new(),
        printed: Vec::new(),
        captures: Vec::new(),
        loops: Vec::new(),
        lengths: HashMap::new(),
        seen: HashSet::new(),
        changed: true,
        facts: None,
    };
    for _ in 0..WALKS {
        walk.changed = false;
        walk.all()?;
        if !walk.changed {
            break;
        }
    }
    let settled = !walk.changed;
    walk.facts = Some(TemplateFacts::default());
    walk.all()?;
    let mut facts = walk.facts.take().unwrap_or_default();
    let lines = &walk.lines;
    if !settled {
        let message = "the values of variables do not settle".to_owned();
        facts.problem(Problem { message, place: lines.place(0) });
    }
    for (at, message) in &tree.problems {
        facts.problem(Problem { message: message.clone(), place: lines.place(*at) });
    }
    for (at, name) in &tree.unknown {
        facts.unknown_statement(Named { name: short(name), place: lines.place(*at) });
    }
    for (at, word) in &tree.words {
        budget.steps(1)?;
        facts.attribute(Attribute {
            name: short(word),
            how: How::Unparsed,
            root: None,
            of_function: false,
            assembled: false,
            called: false,
            place: lines.place(*at),
        });
    }
    for (id, amount) in crate::growth::doublings(&tree) {
        let place = lines.place(tree.at.get(id).copied().unwrap_or(0));
        facts.grow(Growth { kind: GrowthKind::Doubling, amount, place });
    }
    Ok(facts)
}

/// What is printed while it is captured.
struct Captured {
    value: Value,
    pieces: usize,
    suspicious: bool,
}

struct Walk<'a> {
    lines: Lines<'a>,
    tree: &'a Tree,
    budget: &'a Budget,
    /// Nodes that are called.
    callees: Vec<bool>,
    variables: HashMap<Text, Value>,
    /// Parameters of macros.
    macros: HashMap<Text, Vec<Text>>,
    values: Vec<Value>,
    /// The name that the chain of each node begins with.
    roots: Vec<Option<Text>>,
    /// Nodes whose text is what some object looks like when it is printed.
    printed: Vec<bool>,
    captures: Vec<Captured>,
    /// Rounds of the loops that are open.
    loops: Vec<u64>,
    /// Lengths of ranges.
    lengths: HashMap<Id, u64>,
    /// Attributes that are facts already.
    seen: HashSet<(String, How, Option<Text>, bool)>,
    changed: bool,
    facts: Option<TemplateFacts>,
}

impl Walk<'_> {
    fn all(&mut self) -> Result<(), LimitHit> {
        self.values.clear();
        self.roots.clear();
        self.printed.clear();
        self.captures.clear();
        self.loops.clear();
        for (id, node) in self.tree.nodes.iter().enumerate() {
            self.budget.steps(1)?;
            let (root, printed) = self.origin(node);
            let value = self.node(id, node)?;
            if self.facts.is_some() {
                for text in value.texts().filter(|text| is_inner_name(text)).cloned().collect::<Vec<_>>() {
                    self.inner_name(id, &text);
                }
            }
            self.values.push(value);
            self.roots.push(root);
            self.printed.push(printed);
        }
        Ok(())
    }

    /// Where the chain of a node begins, and whether it is the text of an object.
    fn origin(&self, node: &Node) -> (Option<Text>, bool) {
        let of = |id: Id| (self.roots.get(id).cloned().flatten(), self.printed.get(id).copied().unwrap_or(false));
        match node {
            Node::Name(name) => (Some(name.clone()), false),
            Node::Attribute { of: id, .. } | Node::Item { of: id, .. } | Node::Slice { of: id, .. } => of(*id),
            Node::Call { callee, .. } => of(*callee),
            Node::Filter { of: id, name, .. } => {
                let (root, printed) = of(*id);
                let prints = matches!(
                    &**name,
                    "string" | "e" | "escape" | "forceescape" | "urlencode" | "pprint" | "xmlattr" | "tojson"
                );
                (root, printed || prints)
            }
            _ => (None, false),
        }
    }

    fn value(&self, id: Id) -> Value {
        self.values.get(id).cloned().unwrap_or_else(Value::open)
    }

    fn node(&mut self, id: Id, node: &Node) -> Result<Value, LimitHit> {
        Ok(match node {
            Node::Literal(text, hidden) => Value { assembled: *hidden, ..Value::text(text.clone()) },
            Node::Integer(value) => Value::integer(*value),
            Node::Plain => Value::open(),
            Node::Name(name) => self.name(name),
            Node::Attribute { of, name } => {
                self.attribute(id, *of, name, How::Dot, false);
                self.member(*of, name)
            }
            Node::Item { of, key } => {
                let key_value = self.value(*key);
                for text in key_value.texts() {
                    self.attribute(id, *of, text, How::Subscript, key_value.assembled);
                }
                if key_value.open {
                    self.computed(id, How::Subscript, key_value.suspicious);
                }
                let of_value = self.value(*of);
                self.charge(&[&of_value, &key_value])?;
                let picked = self.printed.get(*of).copied().unwrap_or(false)
                    && !matches!(key_value.known.as_slice(), [Const::Text(_)]);
                let mut out = item(&of_value, &key_value);
                if picked && of_value.open {
                    out.join(&Value::doubtful(true));
                }
                out
            }
            Node::Slice { of, start, stop, step } => {
                let bounds = [start, stop, step].map(|bound| bound.map(|id| self.value(id)));
                let of_value = self.value(*of);
                self.charge(&[&of_value])?;
                let mut out = slice(&of_value, [bounds[0].as_ref(), bounds[1].as_ref(), bounds[2].as_ref()]);
                if of_value.open && self.printed.get(*of).copied().unwrap_or(false) {
                    out.suspicious = true;
                }
                out
            }
            Node::Call { callee, arguments } => self.call(id, *callee, arguments)?,
            Node::Filter { of, name, arguments } => self.filter(id, *of, name, arguments)?,
            Node::Test { name, .. } => {
                if let Some(facts) = &mut self.facts {
                    facts.tests.insert(short(name));
                }
                Value::open()
            }
            Node::Binary { operator, left, right } => {
                let (left, right) = (self.value(*left), self.value(*right));
                self.charge(&[&left, &right])?;
                let (value, length) = binary(operator, &left, &right);
                self.length(id, length.unwrap_or(0));
                value
            }
            Node::Negative(of) => {
                let of = self.value(*of);
                Value::combine(&[&of], &mut |constants| match constants {
                    [Const::Integer(value)] => value.checked_neg().map(Value::integer),
                    _ => None,
                })
            }
            Node::Either(either) => {
                let mut out = Value::default();
                for one in either {
                    out.join(&self.value(*one));
                }
                out
            }
            Node::List(items) => Value::list(items.iter().map(|item| self.value(*item)).collect()),
            Node::Dict(entries) => {
                Value::object(entries.iter().flat_map(|(key, value)| [self.value(*key), self.value(*value)]).collect())
            }
            Node::Text(text) => {
                if !self.captures.is_empty() {
                    self.print(&Value::text(text.clone()))?;
                    return Ok(Value::text(text.clone()));
                }
                Value::open()
            }
            Node::Print(of) => {
                let printed = self.value(*of);
                self.print(&printed)?;
                Value::open()
            }
            Node::Set { target, value } => {
                let value = self.value(*value);
                self.assign(target, &value);
                Value::open()
            }
            Node::Capture => {
                self.captures.push(Captured { value: Value::text(""), pieces: 0, suspicious: false });
                Value::open()
            }
            Node::Captured => match self.captures.pop() {
                Some(mut captured) => {
                    // What was printed under conditions may be left out.
                    captured.value.open |= captured.pieces > 1;
                    captured.value.suspicious |= captured.pieces > 1 && captured.suspicious;
                    captured.value
                }
                None => Value::open(),
            },
            Node::For { target, over } => {
                self.begin_for(id, target, *over);
                Value::open()
            }
            Node::EndFor => {
                self.loops.pop();
                Value::open()
            }
            Node::Macro { name, parameters } => {
                if let Some(facts) = &mut self.facts
                    && &**name != "caller"
                {
                    facts.macros.insert(short(name));
                }
                for (parameter, default) in parameters {
                    let default = default.map_or_else(Value::open, |default| self.value(default));
                    self.set(parameter.clone(), &default);
                }
                let names: Vec<_> = parameters.iter().map(|(name, _)| name.clone()).collect();
                if self.macros.get(name) != Some(&names) && !self.macros.contains_key(name) {
                    self.macros.insert(name.clone(), names);
                    self.changed = true;
                }
                Value::open()
            }
            Node::EndMacro { name, value } => {
                let value = self.value(*value);
                self.set(format!("{name}()").into(), &value);
                Value::open()
            }
            Node::Load { kind, target, names } => {
                let target = self.value(*target);
                for name in names {
                    self.set(name.clone(), &Value::open());
                }
                let place = self.place(id);
                if let Some(facts) = &mut self.facts {
                    let target = target.only_text().map(|text| short(text));
                    facts.load(Load { kind: *kind, target, place });
                }
                Value::open()
            }
        })
    }

    /// Spends what combining `values` costs.
    fn charge(&self, values: &[&Value]) -> Result<(), LimitHit> {
        let bytes: usize = values.iter().flat_map(|value| &value.known).fold(0, |sum, constant| {
            sum + match constant {
                Const::Text(text) => text.len(),
                Const::List(list) => list.items.len() * 16,
                Const::Integer(_) | Const::Function(_) => 1,
            }
        });
        let ways = combinations(values).min(256);
        self.budget.steps((ways as u64).saturating_mul(bytes as u64 / 64 + 1))
    }

    fn name(&mut self, name: &Text) -> Value {
        let mut value = self.variables.get(name).cloned().unwrap_or_default();
        let assigned = value != Value::default();
        if self.macros.contains_key(name) || is_function(name) {
            value.join(&Value::function(name.clone()));
        } else if !assigned {
            value.open = true;
            if let Some(facts) = &mut self.facts {
                facts.variables.insert(short(name));
            }
        }
        value
    }

    /// The value of an attribute of an object that the template made itself.
    fn member(&self, of: Id, name: &Text) -> Value {
        let of_value = self.value(of);
        let mut out = Value::doubtful(of_value.suspicious);
        for list in of_value.lists() {
            out.join(&list.get(name));
        }
        if let Some(Node::Name(object)) = self.tree.nodes.get(of)
            && let Some(value) = self.variables.get(format!("{object}.{name}").as_str())
        {
            out.join(value);
        }
        if matches!(&**name, "current") {
            out.join(&of_value.elements());
        }
        out
    }

    fn call(&mut self, id: Id, callee: Id, arguments: &Arguments) -> Result<Value, LimitHit> {
        let positional: Vec<Value> = arguments.positional.iter().map(|id| self.value(*id)).collect();
        let named: Vec<(Text, Value)> =
            arguments.named.iter().map(|(name, id)| (name.clone(), self.value(*id))).collect();
        let spread: Vec<Value> = arguments.spread.iter().map(|id| self.value(*id)).collect();
        let mut inputs: Vec<&Value> = positional.iter().collect();
        inputs.extend(named.iter().map(|(_, value)| value));
        let of = match self.tree.nodes.get(callee) {
            Some(Node::Attribute { of, .. }) => self.value(*of),
            _ => self.value(callee),
        };
        inputs.push(&of);
        self.charge(&inputs)?;
        let given = Given {
            positional: positional.iter().collect(),
            named: named.iter().map(|(name, value)| (&**name, value)).collect(),
            more: !spread.is_empty(),
        };
        if let Some(Node::Attribute { of: object, name }) = self.tree.nodes.get(callee) {
            if matches!(&**name, "format" | "format_map") {
                self.format(id, *object, &of);
            }
            if PADDING.contains(&&**name) {
                self.padding(id, &given);
            }
            if let Some(Node::Name(variable)) = self.tree.nodes.get(*object)
                && let Some(value) = mutated(name, &of, &given)
            {
                self.set(variable.clone(), &value);
            }
            return Ok(method(name, &of, &given));
        }
        if let Some(Node::Name(name)) = self.tree.nodes.get(callee)
            && let Some(facts) = &mut self.facts
        {
            facts.functions.insert(short(name));
        }
        let mut out = Value::default();
        for name in of.functions().cloned().collect::<Vec<_>>() {
            if let Some(parameters) = self.macros.get(&name).cloned() {
                for (parameter, value) in parameters.iter().zip(&positional) {
                    self.set(parameter.clone(), value);
                }
                for (name, value) in &named {
                    self.set(name.clone(), value);
                }
                let mut rest = Value::open();
                for value in positional.get(parameters.len()..).unwrap_or(&[]) {
                    rest.join(value);
                }
                for value in &spread {
                    rest.join(&value.elements());
                    for parameter in &parameters {
                        self.set(parameter.clone(), &value.elements());
                    }
                }
                if rest != Value::open() {
                    self.set("varargs".into(), &Value::list(vec![rest]));
                }
                out.join(self.variables.get(format!("{name}()").as_str()).unwrap_or(&Value::open()));
            } else {
                if &*name == "lipsum" {
                    self.padding(id, &given);
                }
                let (value, length) = function(&name, &given);
                if let Some(length) = length {
                    self.lengths.insert(id, length);
                    self.length(id, length);
                }
                out.join(&value);
            }
        }
        // `joiner('_')()`
        for list in of.lists() {
            list.keys().for_each(|item| {
                out.join(item);
            });
            out.open = true;
        }
        out.open |= of.open || out == Value::default();
        out.suspicious |= of.suspicious;
        Ok(out)
    }

    fn filter(&mut self, id: Id, of: Id, name: &Text, arguments: &Arguments) -> Result<Value, LimitHit> {
        let positional: Vec<Value> = arguments.positional.iter().map(|id| self.value(*id)).collect();
        let named: Vec<(Text, Value)> =
            arguments.named.iter().map(|(name, id)| (name.clone(), self.value(*id))).collect();
        let of_value = self.value(of);
        let mut inputs: Vec<&Value> = positional.iter().collect();
        inputs.extend(named.iter().map(|(_, value)| value));
        inputs.push(&of_value);
        self.charge(&inputs)?;
        let given = Given {
            positional: positional.iter().collect(),
            named: named.iter().map(|(name, value)| (&**name, value)).collect(),
            more: !arguments.spread.is_empty(),
        };
        if let Some(facts) = &mut self.facts {
            facts.filters.insert(short(name));
        }
        if &**name == "attr" {
            match given.argument(0, "name") {
                Some(wanted) => {
                    for text in wanted.texts() {
                        self.attribute(id, of, text, How::AttrFilter, wanted.assembled);
                    }
                    if wanted.open || given.more {
                        self.computed(id, How::AttrFilter, wanted.suspicious);
                    }
                }
                None => self.computed(id, How::AttrFilter, false),
            }
            return Ok(Value::open());
        }
        if let Some((_, place)) = BY_ATTRIBUTE.iter().find(|(filter, _)| *filter == &**name) {
            let by_map = given.positional.first().is_some_and(|first| first.texts().any(|text| &**text == "attr"));
            let wanted = match given.argument(*place, "attribute") {
                None if by_map => given.positional.get(1).copied(),
                wanted => wanted,
            };
            if let Some(wanted) = wanted {
                for text in wanted.texts() {
                    for part in text.split('.') {
                        self.attribute(id, of, part, How::Argument, wanted.assembled);
                    }
                }
                if wanted.open {
                    self.computed(id, How::Argument, wanted.suspicious);
                }
            }
            // `map(x)`: the filter itself is computed, and may be `attr`.
            if &**name == "map" && (given.more || given.positional.first().is_some_and(|first| first.open)) {
                self.computed(id, How::Argument, given.positional.iter().any(|value| value.has_suspicious_part()));
            }
        }
        if &**name == "format" {
            self.format(id, of, &of_value);
        }
        if PADDING.contains(&&**name) {
            self.padding(id, &given);
        }
        let mut out = apply(name, &of_value, &given);
        let picks = matches!(&**name, "first" | "last" | "random" | "min" | "max");
        if picks && of_value.open && self.printed.get(of).copied().unwrap_or(false) {
            out.join(&Value::doubtful(true));
        }
        Ok(out)
    }

    fn begin_for(&mut self, id: Id, target: &Target, over: Id) {
        let value = self.value(over);
        let rounds = value.known.iter().map(|constant| match constant {
            Const::Text(text) => text.chars().count() as u64,
            Const::List(list) => list.keys().count() as u64,
            Const::Integer(_) | Const::Function(_) => 1,
        });
        let rounds = rounds.chain(self.lengths.get(&over).copied()).max().unwrap_or(1).max(1);
        self.loops.push(rounds);
        // What is printed in a loop is printed any number of times.
        for captured in &mut self.captures {
            captured.pieces += 2;
        }
        self.assign(target, &value.elements());
        let total = self.loops.iter().fold(1u64, |product, rounds| product.saturating_mul(*rounds));
        let depth = self.loops.len();
        if total < MUCH && depth < NESTED {
            return;
        }
        let place = self.place(id);
        if let Some(facts) = &mut self.facts {
            if total >= MUCH {
                facts.grow(Growth { kind: GrowthKind::Rounds, amount: total, place });
            }
            if depth >= NESTED {
                facts.grow(Growth { kind: GrowthKind::Nesting, amount: depth as u64, place });
            }
        }
    }

    /// Appends to what is captured.
    fn print(&mut self, printed: &Value) -> Result<(), LimitHit> {
        let Some(captured) = self.captures.pop() else { return Ok(()) };
        self.charge(&[&captured.value, printed])?;
        self.captures.push(Captured {
            suspicious: captured.suspicious || printed.suspicious || printed.texts().any(|text| is_suspicious(text)),
            pieces: captured.pieces + 1,
            value: concatenate(&[&captured.value, printed]),
        });
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: &Value) {
        match target {
            Target::Name(name) => self.set(name.clone(), value),
            Target::Member(object, name) => self.set(format!("{object}.{name}").into(), value),
            Target::Several(targets) => {
                for (index, target) in targets.iter().enumerate() {
                    let index = Value::integer(i64::try_from(index).unwrap_or(i64::MAX));
                    // Targets nest no deeper than the parser lets statements.
                    self.assign(target, &item(value, &index));
                }
            }
        }
    }

    fn set(&mut self, name: Text, value: &Value) {
        if *value == Value::open() && self.variables.contains_key(&name) {
            // The commonest case, without looking at what else it may be.
            let known = self.variables.entry(name).or_default();
            self.changed |= !known.open;
            known.open = true;
            return;
        }
        self.changed |= self.variables.entry(name).or_default().join(value);
    }
}
