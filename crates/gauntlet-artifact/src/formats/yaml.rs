//! YAML documents as the tree of [`crate::formats::json`], tags beside it: in PyYAML a tag may be a call.

use std::collections::HashMap;

use gauntlet_limits::{Limit, LimitHit, Limits};
use granit_parser::{Event, Parser, ScanError, Tag};

use super::json::{Document, Json, TagFact};

/// Collections inside each other; deeper ones cannot be dropped safely either.
const DEPTH: usize = 100;
const TAGS: usize = 1000;
const DUPLICATES: usize = 100;

/// Why a text is no YAML document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum YamlError {
    #[error("{0}")]
    Malformed(#[from] ScanError),
    #[error("collections are nested more than {DEPTH} levels deep")]
    Depth,
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

/// Reads all documents of a text; several become a list. Aliases of scalars are resolved; those of collections stand empty,
/// since the collection itself is in the tree already.
///
/// # Errors
/// When the text is no YAML, is nested too deeply, or holds more values than the limits allow.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Document, YamlError> {
    let mut builder = Builder::new(limits);
    for event in Parser::new_from_str(text) {
        let (event, _) = event?;
        builder.event(event)?;
    }
    Ok(builder.finish())
}

/// A collection that is being filled.
enum Open {
    List { items: Vec<Json> },
    Object { entries: Vec<(String, Json)>, key: Option<String> },
}

struct Builder<'l> {
    limits: &'l Limits,
    left: u64,
    open: Vec<Open>,
    documents: Vec<Json>,
    scalars: HashMap<usize, Json>,
    tags: Vec<TagFact>,
    duplicates: Vec<String>,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            left: limits.nodes,
            open: Vec::new(),
            documents: Vec::new(),
            scalars: HashMap::new(),
            tags: Vec::new(),
            duplicates: Vec::new(),
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                self.tag(tag.as_deref(), Some(&text));
                let value = Json::Text(text.into_owned());
                if anchor > 0 {
                    self.scalars.insert(anchor, value.clone());
                }
                self.put(value)?;
            }
            Event::Alias(anchor) => {
                let value = self.scalars.get(&anchor).cloned().unwrap_or(Json::Null);
                self.put(value)?;
            }
            Event::SequenceStart(_, _, tag) => {
                self.tag(tag.as_deref(), None);
                self.enter(Open::List { items: Vec::new() })?;
            }
            Event::MappingStart(_, _, tag) => {
                self.tag(tag.as_deref(), None);
                self.enter(Open::Object { entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { items }) => self.put(Json::List { items, more: 0 })?,
                Some(Open::Object { entries, .. }) => self.put(Json::Object { entries, more: 0 })?,
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, open: Open) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH {
            return Err(YamlError::Depth);
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, value: Json) -> Result<(), YamlError> {
        let allowed = self.limits.nodes;
        self.left = self.left.checked_sub(1).ok_or(LimitHit { limit: Limit::Nodes, allowed })?;
        match self.open.last_mut() {
            None => self.documents.push(value),
            Some(Open::List { items }) => items.push(value),
            Some(Open::Object { entries, key, .. }) => match key.take() {
                None => *key = Some(name(value)),
                Some(key) => entries.push((key, value)),
            },
        }
        if let Some(Open::Object { entries, key: Some(key), .. }) = self.open.last()
            && entries.len() < 1000
            && self.duplicates.len() < DUPLICATES
            && entries.iter().any(|(known, _)| known == key)
        {
            self.duplicates.push(key.chars().take(200).collect());
        }
        Ok(())
    }

    fn tag(&mut self, tag: Option<&Tag>, value: Option<&str>) {
        if let Some(tag) = tag
            && self.tags.len() < TAGS
        {
            let name = format!("{}{}", tag.handle(), tag.suffix()).chars().take(300).collect();
            let value = value.map(|value| value.chars().take(300).collect());
            self.tags.push(TagFact { place: self.place(), tag: name, value });
        }
    }

    fn place(&self) -> String {
        let mut place = String::new();
        for open in &self.open {
            match open {
                Open::List { items } => place.push_str(&format!("[{}]", items.len())),
                Open::Object { key, .. } => {
                    if !place.is_empty() {
                        place.push('.');
                    }
                    place.push_str(key.as_deref().unwrap_or(""));
                }
            }
        }
        place.chars().take(300).collect()
    }

    fn finish(mut self) -> Document {
        let root = match self.documents.len() {
            1 => self.documents.pop().unwrap_or(Json::Null),
            _ => Json::List { items: self.documents, more: 0 },
        };
        Document { root, duplicates: self.duplicates, tags: self.tags }
    }
}

/// Keys that are no text keep a place of their own.
fn name(value: Json) -> String {
    match value {
        Json::Text(text) => text,
        Json::Null => "null".to_owned(),
        _ => "<collection>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn tags_keep_their_place_and_value() {
        let document = read("a:\n  - !!python/name:os.system ''\nb: !!python/object/apply:os.system ['x']\n");
        let tags: Vec<_> = document.tags.iter().map(|t| (t.place.as_str(), t.tag.as_str())).collect();
        let prefix = "tag:yaml.org,2002:python/";
        assert_eq!(
            tags,
            [("a[0]", &*format!("{prefix}name:os.system")), ("b", &*format!("{prefix}object/apply:os.system"))]
        );
    }

    #[test]
    fn aliases_of_scalars_are_resolved_and_those_of_collections_cannot_blow_up() {
        let document = read("x: &x os.system\n_target_: *x\n");
        assert_eq!(document.root.get("_target_").and_then(Json::text), Some("os.system"));
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for i in 1..60 {
            bomb.push_str(&format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1));
        }
        read(&bomb);
    }

    #[test]
    fn depth_and_broken_text_are_errors() {
        assert!(matches!(
            parse(&"[".repeat(5000), &Limits::default()),
            Err(YamlError::Depth | YamlError::Malformed(_))
        ));
        assert!(matches!(parse("a: [1, 2", &Limits::default()), Err(YamlError::Malformed(_))));
    }
}
