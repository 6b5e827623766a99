//! What the arguments of an allowed call look like: patterns from the rule data, held against the facts of a call.

use gauntlet_pickle::{Arg, Target};
use serde::Deserialize;

use super::{PickleRules, Role, Tier};

/// The parameters of a call, or the items of the tuple that an object is given as its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    params: Vec<Param>,
}

/// One place in a [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Param {
    /// As written, for messages.
    text: String,
    kinds: Vec<Kind>,
    optional: bool,
    repeated: bool,
}

/// What may stand in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Anything; globals in it are judged as imports.
    Any,
    /// Anything without a global but types and values of the allow list.
    Data,
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    Tuple,
    List,
    Dict,
    /// A tuple or list of ints.
    Ints,
    /// What a persistent id stands for, or what a call made.
    Storage,
    /// An empty dict, or one that a call made.
    Hooks,
    /// Bytes that stand in the stream, as such or as what a decoder of constants makes.
    Literal,
    /// A class that is made here.
    Class,
    /// A function that is called here.
    Callable,
}

/// What a global does in the place of a call where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is called.
    Called,
    /// An instance of it is made.
    Made,
}

impl Shape {
    /// Reads patterns such as `int`, `str|none`, `bool~` (may be missing) and `any*` (any number of times).
    pub(super) fn parse(patterns: &[String]) -> Option<Self> {
        patterns.iter().map(|text| Param::parse(text)).collect::<Option<_>>().map(|params| Self { params })
    }

    /// What is wrong with arguments, in words; `count` is their number where not all of them are shown.
    pub(crate) fn mismatch(&self, args: &[Arg], count: u64, rules: &PickleRules) -> Option<String> {
        let least = self.params.iter().filter(|p| !p.optional && !p.repeated).count() as u64;
        let most = if self.params.iter().any(|p| p.repeated) { u64::MAX } else { self.params.len() as u64 };
        if count < least || count > most {
            let takes = if least == most { least.to_string() } else { format!("{least} or more") };
            return Some(format!("it gets {count} arguments and takes {takes}"));
        }
        for (at, arg) in args.iter().enumerate() {
            let param = self.param(at)?;
            if !param.kinds.iter().any(|kind| kind.fits(arg, rules)) {
                return Some(format!("argument {} is {}, not {}", at + 1, name(arg), param.text));
            }
        }
        None
    }

    /// The globals among the arguments that are called or made by the call.
    pub(crate) fn places<'a>(&self, args: &'a [Arg]) -> Vec<(&'a Arg, Place)> {
        let mut found = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            let Some(param) = self.param(at) else { break };
            let place = if param.kinds.contains(&Kind::Callable) {
                Place::Called
            } else if param.kinds.contains(&Kind::Class) {
                Place::Made
            } else {
                continue;
            };
            found.extend(globals(arg).into_iter().map(|global| (global, place)));
        }
        found
    }

    fn param(&self, at: usize) -> Option<&Param> {
        self.params.get(at).or_else(|| self.params.last().filter(|p| p.repeated))
    }
}

impl Param {
    fn parse(text: &str) -> Option<Self> {
        let (rest, repeated) = text.strip_suffix('*').map_or((text, false), |rest| (rest, true));
        let (rest, optional) = rest.strip_suffix('~').map_or((rest, false), |rest| (rest, true));
        let kind = |word| {
            let word = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word);
            Kind::deserialize(word).ok()
        };
        let kinds = rest.split('|').map(kind).collect::<Option<Vec<_>>>()?;
        Some(Self { text: rest.replace('|', " or "), kinds, optional, repeated })
    }
}

impl Kind {
    fn fits(self, arg: &Arg, rules: &PickleRules) -> bool {
        // What a call made, or what was not kept, is no literal: the call is judged where it stands.
        if self != Self::Literal && matches!(arg, Arg::Result { .. } | Arg::NotKept { .. } | Arg::Array | Arg::Buffer) {
            return true;
        }
        match self {
            Self::Any => true,
            Self::Data => globals(arg).iter().all(|global| is_value(global, rules)) && !holds_method(arg),
            Self::None => matches!(arg, Arg::None),
            Self::Bool => matches!(arg, Arg::Bool { .. } | Arg::Int { .. }),
            Self::Int => matches!(arg, Arg::Int { .. } | Arg::Bool { .. }),
            Self::Float => matches!(arg, Arg::Float | Arg::Int { .. }),
            Self::Str => matches!(arg, Arg::Str { .. }),
            Self::Bytes => matches!(arg, Arg::Bytes { .. } | Arg::Str { .. }),
            Self::Literal => matches!(arg, Arg::Bytes { .. } | Arg::Str { .. }),
            Self::Tuple => is(arg, &["tuple"]),
            Self::List => is(arg, &["list"]),
            Self::Dict => is(arg, &["dict"]),
            Self::Ints => match arg {
                Arg::Container { of, items, .. } => {
                    (of == "tuple" || of == "list") && items.iter().all(|item| Self::Int.fits(item, rules))
                }
                _ => false,
            },
            Self::Storage => matches!(arg, Arg::PersistentId { .. }),
            Self::Hooks => matches!(arg, Arg::Container { of, len: 0, .. } if of == "dict"),
            Self::Class => matches!(arg, Arg::Global { .. }),
            Self::Callable => matches!(arg, Arg::Global { .. } | Arg::Method { .. } | Arg::None),
        }
    }
}

/// Types and values that the allow list knows, such as `torch.float32`.
fn is_value(global: &Arg, rules: &PickleRules) -> bool {
    let Arg::Global { module, name } = global else { return false };
    matches!(
        rules.tier(module, name),
        Tier::Allowed(Role::Constructor | Role::Data | Role::Function) | Tier::PackageClass
    )
}

fn is(arg: &Arg, kinds: &[&str]) -> bool {
    matches!(arg, Arg::Container { of, .. } if kinds.contains(&of.as_str()))
}

/// Globals in a value, containers included.
pub(crate) fn globals(arg: &Arg) -> Vec<&Arg> {
    let (mut open, mut found) = (vec![arg], Vec::new());
    while let Some(arg) = open.pop() {
        match arg {
            Arg::Global { .. } => found.push(arg),
            Arg::Container { items, .. } => open.extend(items),
            _ => {}
        }
    }
    found
}

fn holds_method(arg: &Arg) -> bool {
    let mut open = vec![arg];
    while let Some(arg) = open.pop() {
        match arg {
            Arg::Method { .. } | Arg::Module { .. } | Arg::Extension { .. } => return true,
            Arg::Container { items, .. } => open.extend(items),
            _ => {}
        }
    }
    false
}

/// A value by its kind, for messages.
fn name(arg: &Arg) -> String {
    match arg {
        Arg::None => "None".to_owned(),
        Arg::Bool { .. } => "a bool".to_owned(),
        Arg::Int { .. } => "an int".to_owned(),
        Arg::Float => "a float".to_owned(),
        Arg::Str { .. } => "a str".to_owned(),
        Arg::Bytes { .. } => "bytes".to_owned(),
        Arg::Global { module, name } => format!("the global `{module}.{name}`"),
        Arg::Container { of, .. } => format!("a {of}"),
        Arg::Method { name, .. } => format!("a method `{name}`"),
        Arg::Module { name } => format!("the module `{name}`"),
        Arg::PersistentId { .. } => "a persistent id".to_owned(),
        Arg::Extension { .. } => "an extension code".to_owned(),
        Arg::Result { callee: Target::Global { module, name }, .. } => format!("a result of `{module}.{name}`"),
        Arg::Result { .. } | Arg::NotKept { .. } | Arg::Array | Arg::Buffer => "a computed value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(patterns: &[&str]) -> Shape {
        Shape::parse(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn int() -> Arg {
        Arg::Int { value: Some(1) }
    }

    fn tuple(items: Vec<Arg>) -> Arg {
        Arg::Container { of: "tuple".into(), len: items.len() as u64, items, more: false }
    }

    fn global(module: &str, name: &str) -> Arg {
        Arg::Global { module: module.into(), name: name.into() }
    }

    #[test]
    fn arguments_are_held_against_their_pattern() {
        let rules = super::super::pickle().as_ref().unwrap();
        let shape = shape(&["storage", "int", "ints", "hooks|none", "bool~"]);
        let storage = || Arg::PersistentId { tag: None };
        let good = [storage(), int(), tuple(vec![int()]), Arg::None];
        assert_eq!(shape.mismatch(&good, 4, rules), None);
        assert_eq!(shape.mismatch(&good, 9, rules).unwrap(), "it gets 9 arguments and takes 4 or more");
        let odd = [storage(), int(), tuple(vec![global("mypkg", "f")]), Arg::None];
        assert_eq!(shape.mismatch(&odd, 4, rules).unwrap(), "argument 3 is a tuple, not ints");
        assert!(Shape::parse(&["integer".to_owned()]).is_none());
    }

    #[test]
    fn places_tell_which_arguments_are_called_and_made() {
        let shape = shape(&["callable", "class", "any*"]);
        let args = [global("a", "f"), global("a", "C"), global("a", "x"), tuple(vec![global("a", "y")])];
        let places: Vec<Place> = shape.places(&args).into_iter().map(|(_, place)| place).collect();
        assert_eq!(places, [Place::Called, Place::Made]);
    }

    #[test]
    fn data_holds_types_and_values_but_no_functions() {
        let rules = super::super::pickle().as_ref().unwrap();
        let shape = shape(&["data"]);
        assert_eq!(shape.mismatch(&[tuple(vec![global("torch", "float32")])], 1, rules), None);
        assert!(shape.mismatch(&[tuple(vec![global("mypkg", "f")])], 1, rules).is_some());
    }
}
