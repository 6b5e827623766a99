//! What a loader would run: every global of every stream is judged by tier and by what it is used for.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_core::{
    Check, CheckInfo, Confidence, Draft, Facts, Judgement, Judging, Location, Severity, SkipCode, Stage,
};
use gauntlet_pickle::{
    AnomalyKind, Arg, Call, Import, Origin, PickleFacts, Resolved, Role as CallRole, StreamEnd, StreamFacts, Target,
    Use,
};

use super::{FINDINGS, each, plural, rule};
use crate::facts::{NpyBroken, NpyFact, PickleFact};
use crate::formats::npy::NpyFacts;
use crate::rules::{self, PickleRules, Place, Role, Shape, Tier, globals};

/// `artifact/pickle`
pub(crate) struct Pickle;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::PICKLE,
    version: 2,
    stage: Stage::Artifact,
    title: "What does loading the pickle call?",
    rules: &[
        rule!(
            "artifact/pickle/dangerous-global",
            Critical,
            "a global that runs commands or code, opens files or connections",
            "Do not load the file. Get the weights in a format without code, such as safetensors.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0011.000", "AML.T0018.002"]
        ),
        rule!(
            "artifact/pickle/module-walk",
            Critical,
            "a dotted name walks out of its module",
            "Do not load the file: no pickler writes such names.",
            ["CWE-502", "CWE-913", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/computed-global",
            Critical,
            "the name of a global is computed while loading",
            "Do not load the file: picklers write names as literals.",
            ["CWE-502", "CWE-470", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/extension-code",
            High,
            "an extension code that only the loading program can resolve",
            "Do not load the file; save it again without `copyreg.add_extension`.",
            ["CWE-502", "CWE-470", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/planted-method",
            High,
            "state sets a special method to a callable",
            "Do not load the file: no object stores its own special methods.",
            ["CWE-502", "CWE-915", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/changed-global",
            High,
            "loading changes a module or class",
            "Do not load the file.",
            ["CWE-502", "CWE-915", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/stdlib-call",
            High,
            "a function of the standard library that no model needs is called",
            "Find out what writes this call; save weights and parameters only.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/unknown-call",
            Medium,
            "a function that is not known to be pure is called",
            "Read the function's source before loading, or save the object's state without it.",
            ["CWE-502", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/pickle/odd-arguments",
            Medium,
            "a known function is given what it never gets from a pickler",
            "Do not load the file before the call is explained: no pickler writes it.",
            ["CWE-502", "CWE-628", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/unknown-import",
            Low,
            "a class or function of an unknown package is imported",
            "Check that the package is the one you expect; importing it runs its code.",
            ["CWE-829", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/pickle/broken-stream",
            Medium,
            "the stream breaks before its end; what came before is run all the same",
            "Do not load the file; get it again from its source.",
            ["CWE-502", "CWE-755", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/split-frame",
            High,
            "an operand crosses the end of its frame, so that unpicklers read different names",
            "Do not load the file: no pickler writes this.",
            ["CWE-502", "CWE-436", "OWASP ML06:2023", "AML.T0011.000"]
        ),
        rule!(
            "artifact/pickle/hidden-stream",
            Medium,
            "a pickle hides behind bytes that are none",
            "Find out what writes the file; a loader that seeks there runs it.",
            ["CWE-912", "CWE-502", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/array-as-code",
            Medium,
            "an array's bytes spell opcodes that a plain unpickler would run",
            "Load the file with joblib only, or save it again.",
            ["CWE-502", "CWE-436", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/exhausting-structure",
            Low,
            "values nested or shared so that going through them never ends",
            "Limit time and memory where the file is loaded, or do not load it.",
            ["CWE-400", "CWE-674", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/object-array",
            Low,
            "a NumPy file holds Python objects",
            "Save plain arrays and load with `allow_pickle=False`.",
            ["CWE-502", "OWASP ML06:2023"]
        ),
        rule!(
            "artifact/pickle/broken-array",
            Low,
            "a NumPy header is no header, or asks for other data than is there",
            "Get the file again from its source.",
            ["CWE-20", "CWE-770", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-pickle.md"),
};

impl Check for Pickle {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, judging: &Judging<'_>) -> Judgement {
        let strict = judging.config.get("strict").and_then(serde_json::Value::as_bool) == Some(true);
        let mut judgement = Judgement::default();
        let Some(rules) = super::usable(rules::pickle(), &mut judgement) else { return judgement };
        each::<PickleFact>(facts, &mut judgement, |location, fact, judgement| {
            let mut file = File { location, rules, strict, announced: fact.announced, drafts: Vec::new() };
            file.judge(&fact.pickle);
            file.finish(judgement);
            note_open(location, &fact.pickle, judgement);
        });
        each::<NpyFact>(facts, &mut judgement, |location, NpyFact(fact), judgement| {
            if fact.has_objects {
                let message = format!("elements of type {} are Python objects", fact.descr);
                judgement.findings.push(super::draft(&INFO, "object-array", location, message));
            } else if let Some(message) = contradiction(&fact) {
                judgement.findings.push(super::draft(&INFO, "broken-array", location, message));
            }
        });
        each::<NpyBroken>(facts, &mut judgement, |location, NpyBroken { message }, judgement| {
            judgement.findings.push(super::draft(&INFO, "broken-array", location, message));
        });
        judgement
    }
}

/// How an array's header contradicts what stands behind it.
fn contradiction(fact: &NpyFacts) -> Option<String> {
    let NpyFacts { expected, available, shape, .. } = fact;
    match expected {
        Some(expected) if expected > available => {
            Some(format!("type and shape ask for {expected} bytes of data, and {available} are there"))
        }
        Some(_) => None,
        // Types of unknown size aside, the product is what overflows.
        None => {
            let count = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
            count
                .is_none_or(|count| count > *available)
                .then(|| "the shape asks for more elements than there are bytes".to_owned())
        }
    }
}

/// Questions that the machine left open and the extractor could not know of.
fn note_open(location: &Location, facts: &PickleFacts, judgement: &mut Judgement) {
    let partly = facts.streams.iter().filter(|s| matches!(s.origin, Origin::Nested { complete: false, .. })).count();
    if partly > 0 {
        let path = location.path.clone().unwrap_or_default();
        let detail = format!("{} read in part only", plural(partly as u64, "nested pickle was", "nested pickles were"));
        judgement.coverage.skip(path, location.member.clone(), SkipCode::Limit, detail);
    }
}

/// Findings of one pickle file.
struct File<'a> {
    location: &'a Location,
    rules: &'a PickleRules,
    /// Whatever is not on the allow list is high.
    strict: bool,
    announced: bool,
    drafts: Vec<Judged>,
}

/// A finding and how bad it is, to sort by.
type Judged = (Severity, Draft);

impl File<'_> {
    fn judge(&mut self, facts: &PickleFacts) {
        for stream in &facts.streams {
            self.stream(stream);
        }
    }

    /// The worst first, since further ones are only counted.
    fn finish(mut self, judgement: &mut Judgement) {
        self.drafts.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
        let left_out = self.drafts.len().saturating_sub(FINDINGS);
        if left_out > 0 {
            self.drafts.truncate(FINDINGS);
            let worst = self.drafts.last().map_or(Severity::Medium, |(severity, _)| *severity);
            let message = format!("{left_out} more findings in this file, none of them worse than {worst}");
            self.drafts.push((worst, super::draft(&INFO, "unknown-call", self.location, message).severity(worst)));
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
        let judged = (severity, super::draft(&INFO, rule, &location, message).snippet(snippet).confidence(sure));
        let unknown = matches!(rule, "unknown-call" | "unknown-import" | "odd-arguments");
        if self.strict && unknown { at(Severity::High, judged) } else { judged }
    }
}

/// A finding at another severity than its rule's.
fn at(severity: Severity, (_, draft): Judged) -> Judged {
    (severity, draft.severity(severity))
}

/// Globals that loading calls or makes: named by a call, or given to something that calls or makes its arguments.
struct Called<'s> {
    names: BTreeSet<(&'s str, &'s str)>,
    made: BTreeSet<(&'s str, &'s str)>,
    /// The first call of each, to show with a finding.
    first: BTreeMap<(&'s str, &'s str), &'s Call>,
}

impl<'s> Called<'s> {
    fn of(stream: &'s StreamFacts, rules: &PickleRules) -> Self {
        let mut called = Self { names: BTreeSet::new(), made: BTreeSet::new(), first: BTreeMap::new() };
        for call in &stream.calls {
            let Target::Global { module, name } = &call.callee else { continue };
            let callee = (module.as_str(), name.as_str());
            called.first.entry(callee).or_insert(call);
            // NEWOBJ makes an instance without running the constructor.
            if !matches!(call.role, CallRole::NewObj | CallRole::NewObjEx) {
                called.names.insert(callee);
            }
            let Tier::Allowed(role) = rules.tier(module, name) else { continue };
            match rules.arguments(&format!("{module}.{name}")) {
                Some(shape) => shape.places(&call.args).into_iter().for_each(|(arg, place)| called.note(arg, place)),
                // A method is called with what `methodcaller` was given.
                None if role == Role::Caller || name == "methodcaller" => {
                    let given = call.args.iter().chain(&call.kwargs).flat_map(globals);
                    given.for_each(|arg| called.note(arg, Place::Called));
                }
                None => {}
            }
        }
        for build in &stream.builds {
            let shape = build.class.as_ref().and_then(|class| rules.state(class));
            if let (Some(shape), Arg::Container { items, .. }) = (shape, &build.state) {
                shape.places(items).into_iter().for_each(|(arg, place)| called.note(arg, place));
            }
        }
        called
    }

    fn note(&mut self, arg: &'s Arg, place: Place) {
        if let Arg::Global { module, name } = arg {
            let set = if place == Place::Called { &mut self.names } else { &mut self.made };
            set.insert((module, name));
        }
    }

    fn has(&self, import: &Import) -> bool {
        import.uses.contains(&Use::Called) || names(import).any(|name| self.names.contains(&name))
    }

    fn makes(&self, import: &Import) -> bool {
        names(import).any(|name| self.made.contains(&name))
    }

    fn first(&self, import: &Import) -> Option<&'s Call> {
        names(import).find_map(|name| self.first.get(&name)).copied()
    }

    /// The arguments of the first call of a global, shortened.
    fn evidence(&self, import: &Import) -> String {
        let Some(call) = self.first(import) else { return String::new() };
        if call.args.is_empty() { String::new() } else { format!(" with ({})", shown(&call.args)) }
    }
}

fn text(arg: &Arg) -> Option<&str> {
    match arg {
        Arg::Str { text: Some(text), .. } => Some(text),
        _ => None,
    }
}

/// The first arguments, shortened.
fn shown(args: &[Arg]) -> String {
    args.iter().take(3).map(show).collect::<Vec<_>>().join(", ")
}

/// A global's name as written, and as Python 3 calls it.
fn names(import: &Import) -> impl Iterator<Item = (&str, &str)> {
    let modern = import.modern.as_ref().map(|(module, name)| (module.as_str(), name.as_str()));
    std::iter::once((import.module.as_str(), import.name.as_str())).chain(modern)
}

fn show(arg: &Arg) -> String {
    match arg {
        Arg::None => "None".to_owned(),
        Arg::Bool { value } => value.to_string(),
        Arg::Int { value: Some(value) } => value.to_string(),
        Arg::Int { value: None } => "an int".to_owned(),
        Arg::Float => "a float".to_owned(),
        Arg::Str { text: Some(text), .. } | Arg::Bytes { text: Some(text), .. } => {
            let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            if text.chars().count() > 60 {
                short.push('…');
            }
            format!("'{short}'")
        }
        Arg::Str { .. } => "a string".to_owned(),
        Arg::Bytes { len, .. } => format!("{len} bytes"),
        Arg::Global { module, name } => format!("{module}.{name}"),
        Arg::Container { of, len, .. } => format!("a {of} of {len}"),
        Arg::Result { .. } => "the result of a call".to_owned(),
        _ => "…".to_owned(),
    }
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
