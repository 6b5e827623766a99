//! What a stream calls, and how calls are shown.

use std::collections::{BTreeMap, BTreeSet};

use gauntlet_pickle::{Arg, Call, Import, Role as CallRole, StreamFacts, Target, Use};

use crate::rules::{PickleRules, Place, Role, Tier, globals};

/// Globals that loading calls or makes: named by a call, or given to something that calls or makes its arguments.
pub(super) struct Called<'s> {
    names: BTreeSet<(&'s str, &'s str)>,
    made: BTreeSet<(&'s str, &'s str)>,
    /// The first call of each, to show with a finding.
    first: BTreeMap<(&'s str, &'s str), &'s Call>,
}

impl<'s> Called<'s> {
    pub(super) fn of(stream: &'s StreamFacts, rules: &PickleRules) -> Self {
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

    pub(super) fn has(&self, import: &Import) -> bool {
        import.uses.contains(&Use::Called) || names(import).any(|name| self.names.contains(&name))
    }

    pub(super) fn makes(&self, import: &Import) -> bool {
        names(import).any(|name| self.made.contains(&name))
    }

    pub(super) fn first(&self, import: &Import) -> Option<&'s Call> {
        names(import).find_map(|name| self.first.get(&name)).copied()
    }

    /// The arguments of the first call of a global, shortened.
    pub(super) fn evidence(&self, import: &Import) -> String {
        let Some(call) = self.first(import) else { return String::new() };
        if call.args.is_empty() { String::new() } else { format!(" with ({})", shown(&call.args)) }
    }
}

pub(super) fn text(arg: &Arg) -> Option<&str> {
    match arg {
        Arg::Str { text: Some(text), .. } => Some(text),
        _ => None,
    }
}

/// The first arguments, shortened.
pub(super) fn shown(args: &[Arg]) -> String {
    args.iter().take(3).map(show).collect::<Vec<_>>().join(", ")
}

/// A global's name as written, and as Python 3 calls it.
pub(super) fn names(import: &Import) -> impl Iterator<Item = (&str, &str)> {
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
