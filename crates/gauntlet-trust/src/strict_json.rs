//! JSON from strangers: one value, no member twice at any depth, and limits that hold before anything is built.
//!
//! Two readers may disagree on which of two equal members counts; refusing them removes the question.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// What one document may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the document.
    pub bytes: usize,
    /// Arrays and objects inside each other; at most 100 is honoured, below the parser's own guard of 128.
    pub depth: usize,
    /// Values and members in all.
    pub nodes: usize,
    /// Members of one object.
    pub members: usize,
}

impl Bounds {
    /// For signatures, statements and reports: 64 MiB, depth 64, four million values.
    pub const DOCUMENT: Self = Self { bytes: 64 << 20, depth: 64, nodes: 4_000_000, members: 200_000 };
    /// For small records: 1 MiB, depth 32, 100,000 values.
    pub const RECORD: Self = Self { bytes: 1 << 20, depth: 32, nodes: 100_000, members: 10_000 };
}

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More bytes, depth, values or members than [`Bounds`] allows.
    #[error("more than {allowed} {what}")]
    Limit {
        /// What there was too much of.
        what: &'static str,
        /// The bound.
        allowed: usize,
    },
    /// An object holds the same member twice, spelled alike or through escapes.
    #[error("member `{name}` appears twice in one object{place}")]
    Duplicate {
        /// The member, shortened to 80 characters.
        name: String,
        /// Line and column, where known.
        place: String,
    },
    /// Not JSON, or JSON of another shape than asked for.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
}

/// Checks a whole document against `bounds`, building nothing.
///
/// # Errors
/// [`JsonError`] names the first thing wrong.
pub fn check(bytes: &[u8], bounds: &Bounds) -> Result<(), JsonError> {
    if bytes.len() > bounds.bytes {
        return Err(JsonError::Limit { what: "bytes", allowed: bounds.bytes });
    }
    let state = State { bounds: *bounds, progress: RefCell::default() };
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let seed = Checked { state: &state, depth_left: bounds.depth.min(100) };
    let outcome = seed.deserialize(&mut parser).and_then(|()| parser.end());
    match (outcome, state.progress.into_inner().refusal) {
        (Ok(()), _) => Ok(()),
        (Err(at), Some(JsonError::Duplicate { name, .. })) => {
            let place = format!(" (line {}, column {})", at.line(), at.column());
            Err(JsonError::Duplicate { name, place })
        }
        (Err(_), Some(refusal)) => Err(refusal),
        (Err(at), None) => Err(JsonError::Malformed(at)),
    }
}

/// [`check`]s the document, then reads it as `T`. Members that `T` does not name are ignored, as readers must.
///
/// # Errors
/// [`JsonError`] when the document is refused or is no `T`.
pub fn from_slice<'a, T: Deserialize<'a>>(bytes: &'a [u8], bounds: &Bounds) -> Result<T, JsonError> {
    check(bytes, bounds)?;
    Ok(serde_json::from_slice(bytes)?)
}

struct State {
    bounds: Bounds,
    progress: RefCell<Progress>,
}

#[derive(Default)]
struct Progress {
    nodes: usize,
    refusal: Option<JsonError>,
}

impl State {
    fn refuse<E: serde::de::Error>(&self, refusal: JsonError) -> E {
        let error = E::custom(&refusal);
        self.progress.borrow_mut().refusal = Some(refusal);
        error
    }

    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let nodes = {
            let mut progress = self.progress.borrow_mut();
            progress.nodes += 1;
            progress.nodes
        };
        if nodes > self.bounds.nodes {
            return Err(self.refuse(JsonError::Limit { what: "values", allowed: self.bounds.nodes }));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Checked<'s> {
    state: &'s State,
    depth_left: usize,
}

impl Checked<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.state.refuse(JsonError::Limit { what: "levels", allowed: self.state.bounds.depth })),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.state.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut seen = HashSet::new();
        while let Some(Name(name)) = members.next_key()? {
            if seen.len() >= self.state.bounds.members {
                let allowed = self.state.bounds.members;
                return Err(self.state.refuse(JsonError::Limit { what: "members of one object", allowed }));
            }
            if seen.contains(&name) {
                let name = name.chars().take(80).collect();
                return Err(self.state.refuse(JsonError::Duplicate { name, place: String::new() }));
            }
            seen.insert(name);
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A member name, borrowed where it has no escapes. (`Cow` itself always owns when deserialized as a key.)
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Bounds = Bounds { bytes: 200, depth: 3, nodes: 12, members: 4 };

    fn refusal(text: &str) -> String {
        check(text.as_bytes(), &SMALL).unwrap_err().to_string()
    }

    #[test]
    fn plain_documents_pass() {
        for text in ["null", "[1,-2,3.5,\"x\",true]", "{\"a\":{\"b\":[]}}", " {} "] {
            check(text.as_bytes(), &SMALL).unwrap();
        }
    }

    #[test]
    fn doubled_members_are_refused_at_any_depth_and_spelling() {
        assert_eq!(refusal(r#"{"a":1,"a":1}"#), "member `a` appears twice in one object (line 1, column 10)");
        assert!(refusal(r#"[{"x":{"a":1,"\u0061":2}}]"#).starts_with("member `a` appears twice"));
        check(br#"{"a":{"a":1},"b":{"a":1}}"#, &SMALL).unwrap();
    }

    #[test]
    fn every_bound_holds() {
        assert_eq!(refusal("[[[[]]]]"), "more than 3 levels");
        assert_eq!(refusal("[1,2,3,4,5,6,7,8,9,10,11,12]"), "more than 12 values");
        assert_eq!(refusal(r#"{"a":1,"b":1,"c":1,"d":1,"e":1}"#), "more than 4 members of one object");
        assert_eq!(refusal(&" ".repeat(201)), "more than 200 bytes");
        let deep = "[".repeat(1 << 20);
        assert!(check(deep.as_bytes(), &Bounds { depth: usize::MAX, ..Bounds::DOCUMENT }).is_err());
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in ["", "{} {}", "{\"a\":1,}", "nul", "\u{feff}{}", "\"\\ud800\"", "1e999", "{'a':1}", "[NaN]"] {
            assert!(check(text.as_bytes(), &SMALL).is_err(), "{text:?}");
        }
        assert!(check(b"\"\xff\"", &SMALL).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_what_it_wrote(text in "[a-z]{0,4}", number in any::<i64>(), float in any::<f64>()) {
            let value = serde_json::json!({ "t": text, "n": [number, float], "o": { "t": null } });
            let bytes = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(from_slice::<serde_json::Value>(&bytes, &Bounds::RECORD).unwrap(), value);
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&bytes, &Bounds::RECORD);
        }

        #[test]
        fn canonical_form_is_idempotent_and_sorted(keys in proptest::collection::vec("[a-zé\u{1f600}\"\\\\]{0,3}", 0..6)) {
            let object: serde_json::Map<_, _> = keys.iter().rev().map(|k| (k.clone(), keys.len().into())).collect();
            let once = gauntlet_core::canonical::to_vec(&object).unwrap();
            let back: serde_json::Value = from_slice(&once, &Bounds::RECORD).unwrap();
            prop_assert_eq!(gauntlet_core::canonical::to_vec(&back).unwrap(), once);
            let names: Vec<_> = back.as_object().unwrap().keys().collect();
            prop_assert!(names.is_sorted(), "a dependency has switched serde_json to insertion order");
        }
    }
}
