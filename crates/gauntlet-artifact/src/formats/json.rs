//! JSON documents as loaders read them: order and duplicate keys kept, long runs of numbers counted instead of kept.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use gauntlet_limits::{Limit, LimitHit, Limits};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::lenient;

/// Numbers of one list that are kept; a model has millions.
const NUMBERS: usize = 64;
/// Entries of one object from which on those with a number as value are counted only: a vocabulary has 100,000.
const ENTRIES: usize = 4096;
/// Duplicate keys that are kept.
const DUPLICATES: usize = 100;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List {
        items: Vec<Json>,
        /// Further numbers that were not kept.
        more: u64,
    },
    Object {
        /// In the order of the document, duplicates included.
        entries: Vec<(String, Json)>,
        /// Further entries with numbers as values that were not kept.
        more: u64,
    },
}

/// A whole document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    /// The outermost value.
    pub root: Json,
    /// Keys that occur twice in one object: readers differ in which of the two they take.
    pub duplicates: Vec<String>,
    /// Tags of a YAML document.
    pub tags: Vec<TagFact>,
}

/// A tag of a YAML document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TagFact {
    /// Where in the document.
    pub place: String,
    /// The tag with its handle resolved.
    pub tag: String,
    /// The scalar that it stands before.
    pub value: Option<String>,
}

/// Why a text is no JSON document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    #[error("values are nested more than 127 levels deep")]
    Depth,
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

impl Document {
    /// Reads a whole text; at most [`Limits::nodes`] values, nested at most 127 levels deep.
    ///
    /// # Errors
    /// When the text is no JSON, is nested deeper, or holds more values.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, JsonError> {
        match Self::parse_strict(bytes, limits) {
            // Python reads more than the standard allows.
            Err(JsonError::Malformed(error)) => match lenient::strict(bytes) {
                Some(strict) => Self::parse_strict(&strict, limits),
                None => Err(error.into()),
            },
            done => done,
        }
    }

    fn parse_strict(bytes: &[u8], limits: &Limits) -> Result<Self, JsonError> {
        let state = State { left: Cell::new(limits.nodes), hit: Cell::new(false), duplicates: Cell::default() };
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let root = Seed(&state).deserialize(&mut deserializer).and_then(|root| {
            deserializer.end()?;
            Ok(root)
        });
        match root {
            Ok(root) => Ok(Self { root, duplicates: state.duplicates.into_inner(), tags: Vec::new() }),
            Err(_) if state.hit.get() => Err(LimitHit { limit: Limit::Nodes, allowed: limits.nodes }.into()),
            // serde_json has no other way to tell it.
            Err(error) if error.to_string().starts_with("recursion limit") => Err(JsonError::Depth),
            Err(error) => Err(error.into()),
        }
    }
}

impl Json {
    /// The value of a key: the last one, which is what Python's reader takes.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// [`Json::get`] through several objects.
    pub(crate) fn path(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The entries of an object; empty for anything else.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Object { entries, .. } => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List { items, .. } => items,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Calls `visit` with the dotted place and value of everything in the document, outermost first.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&str, &'a Self)) {
        self.visit_at(&mut String::new(), visit);
    }

    /// Recursion is bounded by the parser's depth.
    fn visit_at<'a>(&'a self, place: &mut String, visit: &mut dyn FnMut(&str, &'a Self)) {
        visit(place, self);
        let len = place.len();
        for (key, value) in self.entries() {
            if len > 0 {
                place.push('.');
            }
            place.push_str(key);
            value.visit_at(place, visit);
            place.truncate(len);
        }
        for (index, value) in self.items().iter().enumerate() {
            place.push_str(&format!("[{index}]"));
            value.visit_at(place, visit);
            place.truncate(len);
        }
    }
}

struct State {
    left: Cell<u64>,
    hit: Cell<bool>,
    duplicates: Cell<Vec<String>>,
}

impl State {
    fn spend(&self) -> Result<(), &'static str> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.hit.set(true);
                Err("too many values")
            }
        }
    }

    fn duplicate(&self, key: &str) {
        let mut kept = self.duplicates.take();
        if kept.len() < DUPLICATES {
            kept.push(key.chars().take(200).collect());
        }
        self.duplicates.set(kept);
    }
}

#[derive(Clone, Copy)]
struct Seed<'s>(&'s State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let (mut items, mut more) = (Vec::new(), 0);
        while let Some(item) = access.next_element_seed(self)? {
            if matches!(item, Json::Number(_)) && items.len() >= NUMBERS {
                more += 1;
                continue;
            }
            self.0.spend().map_err(A::Error::custom)?;
            items.push(item);
        }
        Ok(Json::List { items, more })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let (mut entries, mut more, mut seen) = (Vec::<(String, Json)>::new(), 0, HashSet::new());
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(self)?;
            if matches!(value, Json::Number(_)) && entries.len() >= ENTRIES {
                more += 1;
                continue;
            }
            self.0.spend().map_err(A::Error::custom)?;
            if !seen.insert(key.clone()) {
                self.0.duplicate(&key);
            }
            entries.push((key, value));
        }
        Ok(Json::Object { entries, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Document {
        Document::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn duplicates_are_kept_and_the_last_one_counts() {
        let document = parse(r#"{"a": 1, "b": {"c": "x"}, "a": "y"}"#);
        assert_eq!(document.duplicates, ["a"]);
        assert_eq!(document.root.get("a").and_then(Json::text), Some("y"));
        assert_eq!(document.root.path(&["b", "c"]).and_then(Json::text), Some("x"));
        let mut places = Vec::new();
        document.root.visit(&mut |place, _| places.push(place.to_owned()));
        assert_eq!(places, ["", "a", "b", "b.c", "a"]);
    }

    #[test]
    fn long_runs_of_numbers_are_counted_and_texts_behind_them_kept() {
        let numbers = vec!["1"; 1000].join(",");
        let document = parse(&format!("[{numbers}, \"text\"]"));
        let Json::List { items, more } = &document.root else { panic!("no list") };
        assert_eq!((items.len(), *more), (NUMBERS + 1, 1000 - NUMBERS as u64));
        assert_eq!(items.last(), Some(&Json::Text("text".to_owned())));
    }

    #[test]
    fn limits_and_depth_are_errors() {
        let limits = Limits { nodes: 10, ..Limits::default() };
        let texts = format!("[{}]", vec!["\"a\""; 20].join(","));
        assert!(matches!(Document::parse(texts.as_bytes(), &limits), Err(JsonError::Limit(_))));
        let deep = "[".repeat(100_000);
        assert!(matches!(Document::parse(deep.as_bytes(), &Limits::default()), Err(JsonError::Depth)));
        assert!(Document::parse(b"{} x", &Limits::default()).is_err());
    }
}
