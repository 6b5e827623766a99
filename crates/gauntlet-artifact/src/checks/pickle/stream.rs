//! Judges the streams of one file.

use gauntlet_core::{Confidence, Draft, Judgement, Location, Severity};
use gauntlet_pickle::{
    AnomalyKind, Arg, Call, Import, Origin, PickleFacts, Resolved, StreamEnd, StreamFacts, Target, Use,
};

use super::super::{FINDINGS, draft, plural};
use super::INFO;
use super::called::{Called, names, shown, text};
use super::graph;
use crate::facts::{GraphCode, PickleFact};
use crate::rules::{PickleRules, Role, Shape, Tier};

/// Findings of one pickle file.
pub(super) struct File<'a> {
    location: &'a Location,
    rules: &'a PickleRules,
    /// Code that calls of the file run.
    graphs: &'a [GraphCode],
    /// Index of the stream that is being judged.
    at: u32,
    /// Whatever is not on the allow list is high.
    strict: bool,
    announced: bool,
    drafts: Vec<Judged>,
}

/// A finding and how bad it is, to sort by.
type Judged = (Severity, Draft);

impl<'a> File<'a> {
    pub(super) fn new(location: &'a Location, rules: &'a PickleRules, strict: bool, fact: &'a PickleFact) -> Self {
        Self { location, rules, graphs: &fact.graphs, at: 0, strict, announced: fact.announced, drafts: Vec::new() }
    }

    pub(super) fn judge(&mut self, facts: &PickleFacts) {
        for (at, stream) in (0..).zip(&facts.streams) {
            self.at = at;
            self.stream(stream);
        }
    }

    /// The worst first, since further ones are only counted.
    pub(super) fn finish(mut self, judgement: &mut Judgement) {
        self.drafts.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
        let left_out = self.drafts.len().saturating_sub(FINDINGS);
        if left_out > 0 {
            self.drafts.truncate(FINDINGS);
            let worst = self.drafts.last().map_or(Severity::Medium, |(severity, _)| *severity);
            let message = format!("{left_out} more findings in this file, none of them worse than {worst}");
            self.drafts.push((worst, draft(&INFO, "unknown-call", self.location, message).severity(worst)));
        }
        judgement.findings.extend(self.drafts.into_iter().map(|(_, draft)| draft));
    }

    fn stream(&mut self, stream: &StreamFacts) {
        let called = Called::of(stream, self.rules);
        let mut judged: Vec<Judged> =
            stream.imports.iter().flat_map(|import| self.import(import, stream, &called)).collect();
        judged.extend(self.calls(stream));
        judged.extend(self.arguments(stream));
        for extension in stream.extensions.iter().filter(|e| e.global.is_none()) {
            let message =
                format!("extension code {} stands for whatever the loading program registered", extension.code);
            judged.push(self.draft("extension-code", stream, extension.offset, message, &extension.code.to_string()));
        }
        judged.extend(self.builds(stream));
        judged.extend(self.mutations(stream));
        judged.extend(self.shape(stream));
        self.drafts.extend(judged);
    }

    fn import(&self, import: &Import, stream: &StreamFacts, called: &Called<'_>) -> Vec<Judged> {
        let mut drafts = Vec::new();
        let full = format!("{}.{}", import.module, import.name);
        let evidence = called.evidence(import);
        let push = |drafts: &mut Vec<Judged>, rule, message: String| {
            drafts.push(self.draft(rule, stream, import.offset, message, &full));
        };
        if import.resolved == Resolved::Unresolved {
            let message = format!("the global `{full}` has a name that is the result of a call");
            push(&mut drafts, "computed-global", message);
            return drafts;
        }
        if import.resolved == Resolved::Computed {
            push(&mut drafts, "computed-global", format!("the name of `{full}` is put together by calls"));
        }
        let modern = import.modern.as_ref().map(|(module, name)| self.rules.tier(module, name));
        let tier = worse(self.rules.tier(&import.module, &import.name), modern);
        let is_called = called.has(import);
        let is_made = import.uses.contains(&Use::Constructed) || called.makes(import);
        match tier {
            Tier::Allowed(Role::Data) if is_called && !self.as_written(import, stream) => {
                let standard = names(import).any(|(module, _)| self.rules.is_stdlib(module));
                let rule = if standard { "stdlib-call" } else { "unknown-call" };
                push(&mut drafts, rule, format!("`{full}` is a value and is called{evidence}"));
            }
            Tier::Allowed(Role::Attribute) => drafts.extend(self.lookups(import, stream)),
            Tier::Allowed(_) => {}
            Tier::Dangerous(_) if graph::is_maker(&import.module, &import.name) => {
                let own = self.graphs.iter().filter(|graph| graph.stream == self.at);
                match graph::judge(import, stream, own, self.rules) {
                    Ok(names) => {
                        let message = format!("`{full}` runs generated code, which only computes: {names}");
                        push(&mut drafts, "graph-code", message);
                    }
                    Err(why) => push(&mut drafts, "dangerous-global", format!("`{full}` runs source text, and {why}")),
                }
            }
            Tier::Dangerous(why) => {
                let what = if is_called || is_made { "is called" } else { "is imported" };
                push(&mut drafts, "dangerous-global", format!("`{full}` {what}{evidence}: {why}"));
            }
            Tier::Walk(segment) => {
                push(&mut drafts, "module-walk", format!("`{full}` walks through `{segment}`{evidence}"));
            }
            Tier::Suspect(why) => {
                let (rule, what, severity) = if is_called || is_made {
                    ("unknown-call", "is called", Severity::High)
                } else {
                    ("unknown-import", "is imported", Severity::Medium)
                };
                let message = format!("`{full}` {what}{evidence}; by its name it {why}");
                drafts.push(at(severity, self.draft(rule, stream, import.offset, message, &full)));
            }
            Tier::PackageClass if is_called => {
                let message = format!("the class `{full}` is called with arguments instead of being given a state");
                // A constructor that is given text may open what the text names.
                let named =
                    called.first(import).is_some_and(|call| call.args.iter().any(|a| matches!(a, Arg::Str { .. })));
                let severity = match (self.strict, named) {
                    (true, _) => Severity::High,
                    (false, true) => Severity::Medium,
                    (false, false) => Severity::Low,
                };
                drafts.push(at(severity, self.draft("unknown-call", stream, import.offset, message, &full)));
            }
            Tier::PackageClass => {}
            Tier::Stdlib if is_called || is_made => {
                push(&mut drafts, "stdlib-call", format!("`{full}` is called{evidence}; no model needs it"));
            }
            Tier::PackageFunction | Tier::Unknown if is_called => {
                push(&mut drafts, "unknown-call", format!("`{full}` is called{evidence}"));
            }
            Tier::PackageFunction | Tier::Unknown | Tier::Stdlib => {
                let what = if is_made { "is made by" } else { "is imported by" };
                push(&mut drafts, "unknown-import", format!("`{full}` {what} loading the file"));
            }
        }
        drafts
    }

    /// Calls of `getattr` and its like. A name on a global or module of the stream became an import, which is judged as
    /// one; a name on an object is looked at here; anything else hides what is looked up.
    fn lookups(&self, import: &Import, stream: &StreamFacts) -> Vec<Judged> {
        let mut drafts = Vec::new();
        for call in &stream.calls {
            let Target::Global { module, name } = &call.callee else { continue };
            if !names(import).any(|known| known == (module.as_str(), name.as_str())) {
                continue;
            }
            let full = format!("{module}.{name}");
            // `dill._dill._getattr` has a description of the method behind its name.
            let looked_up = call.args.iter().rev().filter_map(text).find(|text| !text.starts_with('<'));
            let hidden = |drafts: &mut Vec<Judged>| {
                let message =
                    format!("`{full}` is called with ({}) and what it finds cannot be told", shown(&call.args));
                drafts.push(self.draft("computed-global", stream, call.offset, message, &full));
            };
            // These make a function of a name; what it is called with comes later.
            let names: Option<Vec<&str>> = match name.as_str() {
                "attrgetter" => call.args.iter().map(text).collect(),
                "methodcaller" => call.args.first().map(text).into_iter().collect(),
                _ => None,
            };
            if let Some(names) = names.filter(|names| !names.is_empty()) {
                for (attribute, why) in names.iter().filter_map(|name| Some((name, self.rules.method(name)?))) {
                    let message = format!("`{full}` takes `{attribute}` of what it is given: {why}");
                    drafts.push(self.draft("dangerous-global", stream, call.offset, message, attribute));
                }
                continue;
            }
            match (&call.value, looked_up) {
                (Some(Arg::Global { .. }), _) => {}
                (Some(Arg::Module { name }), _) => {
                    let (rule, severity) = match self.rules.module(name) {
                        Tier::Dangerous(_) => ("dangerous-global", Severity::Critical),
                        Tier::Stdlib => ("stdlib-call", Severity::High),
                        Tier::PackageClass => continue,
                        _ => ("unknown-import", Severity::Low),
                    };
                    let message = format!("`{full}` imports the module `{name}`");
                    let judged = self.draft(rule, stream, call.offset, message, name);
                    drafts.push(if self.strict { judged } else { at(severity, judged) });
                }
                // A method of an object that the stream made.
                (Some(Arg::Method { .. }), Some(attribute)) => {
                    let bad = self.rules.method(attribute);
                    if let Some(why) = bad {
                        let message = format!("`{full}` takes `{attribute}` of an object: {why}");
                        drafts.push(self.draft("dangerous-global", stream, call.offset, message, attribute));
                    }
                }
                _ => hidden(&mut drafts),
            }
        }
        let uncalled = [Use::Argument, Use::State].iter().any(|purpose| import.uses.contains(purpose));
        if uncalled {
            let full = format!("{}.{}", import.module, import.name);
            let message = format!("`{full}` is handed on, to be called with names that cannot be told");
            drafts.push(self.draft("dangerous-global", stream, import.offset, message, &full));
        }
        drafts
    }

    /// Whether every call of a value looks like what a pickler writes, such as `type(None)`.
    fn as_written(&self, import: &Import, stream: &StreamFacts) -> bool {
        let mut seen = false;
        let fits = stream.calls.iter().all(|call| {
            let Target::Global { module, name } = &call.callee else { return true };
            if !names(import).any(|known| known == (module.as_str(), name.as_str())) {
                return true;
            }
            seen = true;
            let shape = self.rules.arguments(&format!("{module}.{name}"));
            let odd = |shape: &Shape| shape.mismatch(&call.args, call.arg_count.unwrap_or(u64::MAX), self.rules);
            shape.is_some_and(|shape| odd(shape).is_none())
        });
        fits && seen
    }

    /// Calls whose callee is no global that was judged as an import.
    fn calls(&self, stream: &StreamFacts) -> Vec<Judged> {
        let judge = |call: &Call| {
            let (rule, message, snippet) = match &call.callee {
                Target::Global { .. } | Target::Extension { .. } => return None,
                // What they return calls what they were given, which is judged as called.
                Target::Result { root: Some(root), .. } if self.hands_on(root) => return None,
                Target::Result { root, .. } => {
                    let root = root.clone().unwrap_or_else(|| "a call".to_owned());
                    ("unknown-call", format!("the result of `{root}` is called"), root)
                }
                Target::Method { of, name } => {
                    ("unknown-call", format!("method `{name}` of a {of} is called"), name.clone())
                }
                Target::PersistentId => {
                    ("unknown-call", "what a persistent id stands for is called".to_owned(), String::new())
                }
                Target::Value { of } => ("unknown-call", format!("a {of} is called"), of.clone()),
                Target::Unknown => ("computed-global", "something unknown is called".to_owned(), String::new()),
            };
            Some(self.draft(rule, stream, call.offset, message, &snippet))
        };
        stream.calls.iter().filter_map(judge).collect()
    }

    /// Whether the result of a call is a callable whose parts are judged where they stand, such as a `functools.partial`.
    fn hands_on(&self, root: &str) -> bool {
        let tier = root.rsplit_once('.').map(|(module, name)| self.rules.tier(module, name));
        matches!(tier, Some(Tier::Allowed(Role::Caller | Role::Attribute)))
            || matches!(root, "operator.itemgetter" | "_operator.itemgetter" | "dill._dill._create_namedtuple")
    }

    /// Calls and states of allowed globals that do not look like what a pickler writes.
    fn arguments(&self, stream: &StreamFacts) -> Vec<Judged> {
        let mut drafts = Vec::new();
        for call in &stream.calls {
            let Target::Global { module, name } = &call.callee else { continue };
            let Tier::Allowed(role) = self.rules.tier(module, name) else { continue };
            let full = format!("{module}.{name}");
            if role == Role::Data {
                continue;
            }
            let odd = match (call.arg_count, self.rules.arguments(&full)) {
                (Some(count), Some(shape)) => shape.mismatch(&call.args, count, self.rules),
                (None, _) if role == Role::Caller => Some("its arguments are computed".to_owned()),
                _ => None,
            };
            if let Some(odd) = odd {
                let message = format!("`{full}` is called in a way that no pickler writes: {odd}");
                drafts.push(self.draft("odd-arguments", stream, call.offset, message, &full));
            }
        }
        for build in &stream.builds {
            let Some((class, shape)) = build.class.as_ref().and_then(|c| Some((c, self.rules.state(c)?))) else {
                continue;
            };
            let Arg::Container { of, len, items, .. } = &build.state else { continue };
            if of != "tuple" {
                continue;
            }
            if let Some(odd) = shape.mismatch(items, *len, self.rules) {
                let message = format!("the state of a `{class}` is one that no pickler writes: {odd}");
                drafts.push(self.draft("odd-arguments", stream, build.offset, message, class));
            }
        }
        drafts
    }

    fn builds(&self, stream: &StreamFacts) -> Vec<Judged> {
        // Items are added to an object by calling its attribute of this name, so that a state can plant it.
        let adds = |name: &str| {
            let op = if name == "append" || name == "extend" { "APPEND" } else { "ADDITEMS" };
            stream.mutations.iter().any(|m| m.op.starts_with(op) && matches!(m.target, Target::Result { .. }))
        };
        let special = |key: &&String| {
            (key.len() > 4 && key.starts_with("__") && key.ends_with("__"))
                || (matches!(key.as_str(), "append" | "extend" | "add") && adds(key))
        };
        let mut drafts = Vec::new();
        for build in &stream.builds {
            for key in build.active_keys.iter().filter(special) {
                let class = build.class.as_deref().unwrap_or("an object");
                let message = format!("the state of {class} sets `{key}` to a callable or the result of a call");
                drafts.push(self.draft("planted-method", stream, build.offset, message, key));
            }
        }
        drafts
    }

    fn mutations(&self, stream: &StreamFacts) -> Vec<Judged> {
        let mut drafts = Vec::new();
        let mut targets: Vec<(&Target, u64)> = stream.mutations.iter().map(|m| (&m.target, m.offset)).collect();
        targets.extend(stream.builds.iter().map(|b| (&b.target, b.offset)));
        for (target, offset) in targets {
            let what = match target {
                Target::Global { module, name } => format!("{module}.{name}"),
                Target::Value { of } if of == "module" => "a module".to_owned(),
                Target::Method { of, name } => format!("{name} of a {of}"),
                _ => continue,
            };
            let message = format!("`{what}` itself is given items or a state");
            drafts.push(self.draft("changed-global", stream, offset, message, &what));
        }
        drafts
    }

    /// How the stream ends and what lies around it.
    fn shape(&self, stream: &StreamFacts) -> Vec<Judged> {
        let mut drafts = Vec::new();
        let own = matches!(stream.origin, Origin::First | Origin::Stacked);
        let matters = !stream.imports.is_empty() || (own && self.announced && stream.opcodes >= 3);
        let broken = match &stream.end {
            StreamEnd::Truncated => Some((stream.offset + stream.len, "it has no end".to_owned())),
            StreamEnd::Malformed { what, offset } => Some((*offset, what.clone())),
            StreamEnd::Stop | StreamEnd::Limit { .. } => None,
        };
        if let Some((offset, what)) = broken.filter(|_| matters) {
            let message = format!(
                "the pickle at {} breaks: {what}; {} before that are run",
                stream.offset,
                plural(stream.opcodes, "opcode", "opcodes")
            );
            drafts.push(self.draft("broken-stream", stream, offset, message, ""));
        }
        if stream.origin == Origin::Searched && !stream.imports.is_empty() {
            let message = format!("a pickle at {} stands behind bytes that are none", stream.offset);
            drafts.push(self.draft("hidden-stream", stream, stream.offset, message, ""));
        }
        if let Some(offset) = stream.inline_arrays.as_code.first() {
            let message = "the bytes of an array would be run as opcodes by a plain unpickler".to_owned();
            drafts.push(self.draft("array-as-code", stream, *offset, message, ""));
        }
        if let Some(anomaly) = stream.anomalies.iter().find(|a| a.kind == AnomalyKind::SplitFrame) {
            let message = "an operand crosses the end of its frame: from a file CPython reads other bytes than these";
            drafts.push(self.draft("split-frame", stream, anomaly.offset, message.to_owned(), ""));
        }
        for (kind, what) in [
            (AnomalyKind::DeepNesting, "containers are nested more than 1000 deep"),
            (AnomalyKind::Expansion, "shared containers stand for more values than any memory holds"),
        ] {
            if let Some(anomaly) = stream.anomalies.iter().find(|a| a.kind == kind) {
                drafts.push(self.draft("exhausting-structure", stream, anomaly.offset, what.to_owned(), ""));
            }
        }
        let computed = stream.anomalies.iter().find(|a| a.kind == AnomalyKind::ComputedGlobal);
        let named = stream.imports.iter().any(|import| import.resolved != Resolved::Literal);
        if let Some(anomaly) = computed.filter(|_| !named) {
            let message = "the name of a global is no literal string".to_owned();
            drafts.push(self.draft("computed-global", stream, anomaly.offset, message, ""));
        }
        drafts
    }

    fn draft(&self, rule: &'static str, stream: &StreamFacts, offset: u64, message: String, snippet: &str) -> Judged {
        let mut location = self.location.clone();
        let mut message = message;
        match &stream.origin {
            // Offsets of a nested stream count in bytes that are not in the file.
            Origin::Nested { via, offset, .. } => {
                location = location.at_offset(*offset);
                message = format!("in the pickle given to `{via}`: {message}");
            }
            _ => location = location.at_offset(offset),
        }
        let sure = if rule == "unknown-call" { Confidence::Medium } else { Confidence::High };
        let severity = INFO.rule(rule).map_or(Severity::Medium, |info| info.severity);
        let judged = (severity, draft(&INFO, rule, &location, message).snippet(snippet).confidence(sure));
        let unknown = matches!(rule, "unknown-call" | "unknown-import" | "odd-arguments");
        if self.strict && unknown { at(Severity::High, judged) } else { judged }
    }
}

/// A finding at another severity than its rule's.
fn at(severity: Severity, (_, draft): Judged) -> Judged {
    (severity, draft.severity(severity))
}

fn worse(tier: Tier, other: Option<Tier>) -> Tier {
    let weight = |tier: &Tier| match tier {
        Tier::Dangerous(_) => 6,
        Tier::Walk(_) => 5,
        Tier::Unknown | Tier::PackageFunction => 2,
        Tier::Stdlib => 3,
        Tier::Suspect(_) => 4,
        Tier::PackageClass => 1,
        Tier::Allowed(_) => 0,
    };
    // The name of Python 2 alone means nothing to Python 3: when the loader maps it, the mapped name counts.
    match other {
        Some(other) if weight(&tier) < 5 || weight(&other) > weight(&tier) => other,
        _ => tier,
    }
}
