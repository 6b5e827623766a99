//! XML element by element, with nothing expanded and nothing fetched: entities and what they would do are facts.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use gauntlet_limits::{Budget, Limit, LimitHit};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde::{Deserialize, Serialize};

/// Bytes of one tag, text or declaration.
const EVENT_BYTES: u64 = 4 << 20;
/// Elements around an element.
const DEPTH: usize = 512;
/// Entries of each list.
const ENTRIES: usize = 100;
/// Characters of a name or value that are kept.
const KEPT: usize = 200;
/// Events before the first element, which only comments can make many.
const PROLOG: usize = 256;

/// What a document says apart from its elements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct XmlFacts {
    /// Local name of the outermost element.
    pub root: String,
    /// Elements read.
    pub elements: u64,
    /// Entities that a document type declares (the first 100).
    pub entities: Vec<Entity>,
    /// A document type is declared.
    pub doctype: bool,
    /// The document type is, in part, somewhere else: its system identifier.
    pub external_type: Option<String>,
    /// References to entities that XML itself does not know (the first 100).
    pub references: Vec<String>,
    /// Targets of processing instructions (the first 100).
    pub instructions: Vec<String>,
    /// Why reading ended early.
    pub problem: Option<String>,
}

/// A declared entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entity {
    /// Its name; begins with `%` for one of the document type itself.
    pub name: String,
    /// Where its text is to be fetched from.
    pub external: Option<String>,
    /// How many references its own text has: what makes expansion explode.
    pub nested: u64,
}

/// What a visitor is shown.
pub(crate) enum Node<'a> {
    /// An element begins: its local name, attributes in order.
    Open { name: &'a str, attributes: &'a [(String, String)] },
    /// Text or CDATA of the element that was opened last and is still open.
    Text(&'a str),
}

/// Why a document was not read whole.
#[derive(Debug)]
pub(crate) enum XmlError {
    /// The medium, or a limit.
    Io(io::Error),
    /// The text is no XML.
    Malformed(String),
}

impl From<LimitHit> for XmlError {
    fn from(hit: LimitHit) -> Self {
        Self::Io(hit.into())
    }
}

/// The local name of the first element, when `prefix` gets that far.
pub(crate) fn root(prefix: &[u8]) -> Option<String> {
    // Characters beyond ASCII do not matter for a name that is to be recognised.
    let text = match prefix {
        [0xff, 0xfe, rest @ ..] => rest.iter().step_by(2).copied().collect(),
        [0xfe, 0xff, rest @ ..] => rest.iter().skip(1).step_by(2).copied().collect(),
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        _ => prefix.to_vec(),
    };
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'<') {
        return None;
    }
    let mut reader = Reader::from_reader(text.as_slice());
    let mut buffer = Vec::new();
    for _ in 0..PROLOG {
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag) | Event::Empty(tag)) => return Some(cut(tag.local_name().as_ref())),
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => buffer.clear(),
        }
    }
    None
}

/// Reads `stream` to its end, showing every element with the names around it.
///
/// An error comes with everything that was seen before it.
pub(crate) fn walk(
    stream: impl Read,
    budget: &Budget,
    mut visit: impl FnMut(&[String], &Node<'_>),
) -> (XmlFacts, Result<(), XmlError>) {
    let allowance = Rc::new(Cell::new(EVENT_BYTES));
    let metered = Metered { inner: BufReader::new(stream), allowance: Rc::clone(&allowance) };
    let mut reader = Reader::from_reader(metered);
    let mut facts = XmlFacts::default();
    let mut open: Vec<String> = Vec::new();
    let mut buffer = Vec::new();
    let done = loop {
        allowance.set(EVENT_BYTES);
        buffer.clear();
        if let Err(hit) = budget.steps(1) {
            break Err(hit.into());
        }
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) => {
                let hit = LimitHit::in_io(&error);
                break Err(XmlError::Io(
                    hit.map_or_else(|| io::Error::new(error.kind(), error.to_string()), Into::into),
                ));
            }
            Err(error) => break Err(XmlError::Malformed(error.to_string())),
        };
        match event {
            Event::Start(tag) => {
                if let Err(error) = element(&tag, &open, &mut facts, &mut visit) {
                    break Err(error);
                }
                if open.len() == DEPTH {
                    break Err(XmlError::Malformed(format!("more than {DEPTH} elements inside each other")));
                }
                open.push(cut(tag.local_name().as_ref()));
            }
            Event::Empty(tag) => {
                if let Err(error) = element(&tag, &open, &mut facts, &mut visit) {
                    break Err(error);
                }
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) => visit(&open, &Node::Text(&text)),
            Event::CData(text) => visit(&open, &Node::Text(&text)),
            Event::GeneralRef(name) => {
                let predefined = matches!(&*name, "lt" | "gt" | "amp" | "quot" | "apos") || name.starts_with('#');
                if !predefined && facts.references.len() < ENTRIES {
                    facts.references.push(cut(&name));
                }
            }
            Event::PI(instruction) => {
                if facts.instructions.len() < ENTRIES {
                    facts.instructions.push(cut(&instruction));
                }
            }
            Event::DocType(text) => doctype(&text, &mut facts),
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof if facts.elements == 0 => break Err(XmlError::Malformed("no element".to_owned())),
            Event::Eof if !open.is_empty() => break Err(XmlError::Io(io::ErrorKind::UnexpectedEof.into())),
            Event::Eof => break Ok(()),
        }
    };
    facts.problem = match &done {
        Ok(()) => None,
        Err(XmlError::Io(error)) => Some(error.to_string()),
        Err(XmlError::Malformed(what)) => Some(what.clone()),
    };
    (facts, done)
}

fn element(
    tag: &BytesStart<'_>,
    open: &[String],
    facts: &mut XmlFacts,
    visit: &mut impl FnMut(&[String], &Node<'_>),
) -> Result<(), XmlError> {
    let name = cut(tag.local_name().as_ref());
    if facts.elements == 0 {
        facts.root.clone_from(&name);
    }
    facts.elements += 1;
    let mut attributes = Vec::new();
    let mut broken = None;
    for attribute in tag.attributes().with_checks(false) {
        match attribute {
            // What cannot be unescaped refers to an entity, and is shown as it stands.
            Ok(attribute) => {
                let value = quick_xml::escape::unescape(&attribute.value);
                let value = value.map_or_else(|_| attribute.value.to_string(), |value| value.into_owned());
                attributes.push((attribute.key.as_ref().to_owned(), value));
            }
            Err(error) => broken = Some(error),
        }
    }
    visit(open, &Node::Open { name: &name, attributes: &attributes });
    broken.map_or(Ok(()), |error| Err(XmlError::Malformed(error.to_string())))
}

/// `name SYSTEM "id" [ <!ENTITY name "text"> <!ENTITY % name SYSTEM "id"> ]`, XML 1.0 section 2.8 and 4.2.
fn doctype(text: &str, facts: &mut XmlFacts) {
    facts.doctype = true;
    let (head, subset) = text.split_once('[').unwrap_or((text, ""));
    facts.external_type = external(head);
    for declaration in subset.split("<!ENTITY").skip(1) {
        if facts.entities.len() == ENTRIES {
            break;
        }
        let mut words = declaration.split_whitespace();
        let first = words.next().unwrap_or_default();
        let name = if first == "%" { format!("%{}", words.next().unwrap_or_default()) } else { first.to_owned() };
        let body = declaration.split_once(['"', '\'']).map_or("", |(_, body)| body);
        let nested = body.matches('&').count() + body.matches('%').count();
        facts.entities.push(Entity { name: cut(&name), external: external(declaration), nested: nested as u64 });
    }
}

/// The identifier behind `SYSTEM`, or the second one behind `PUBLIC`.
fn external(text: &str) -> Option<String> {
    let quoted = |text: &str, nth: usize| text.split(['"', '\'']).nth(2 * nth + 1).map(cut);
    let before_quote = text.split(['"', '\'']).next().unwrap_or_default();
    if before_quote.contains("SYSTEM") {
        Some(quoted(text, 0).unwrap_or_default())
    } else if before_quote.contains("PUBLIC") {
        Some(quoted(text, 1).or_else(|| quoted(text, 0)).unwrap_or_default())
    } else {
        None
    }
}

/// At most 200 characters.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

/// Refuses to hand out more than its allowance, which is renewed for each event: a tag without an end stays small.
struct Metered<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.allowance.get() == 0 {
            return Err(LimitHit { limit: Limit::TextBytes, allowed: EVENT_BYTES }.into());
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.allowance.set(self.allowance.get().saturating_sub(n as u64));
        self.inner.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (XmlFacts, Vec<String>, bool) {
        let mut seen = Vec::new();
        let (facts, done) = walk(text.as_bytes(), &Budget::default(), |open, node| match node {
            Node::Open { name, attributes } => {
                let attributes: Vec<_> = attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
                seen.push(format!("{}/{name} {}", open.join("/"), attributes.join(" ")));
            }
            Node::Text(text) => seen.push((*text).to_owned()),
        });
        (facts, seen, done.is_ok())
    }

    #[test]
    fn elements_come_with_their_parents_and_unescaped_values() {
        let (facts, seen, ok) = read("<?xml version='1.0'?><a x='1&lt;2'><p:b y=\"&#65;\"/>text<![CDATA[<raw>]]></a>");
        assert!(ok);
        assert_eq!(seen, ["/a x=1<2", "a/b y=A", "text", "<raw>"]);
        assert_eq!((facts.root.as_str(), facts.elements), ("a", 2));
    }

    #[test]
    fn entities_are_told_and_never_expanded() {
        let bomb = r#"<!DOCTYPE l SYSTEM "http://x.invalid/d.dtd" [<!ENTITY a "ha"><!ENTITY b "&a;&a;">
            <!ENTITY c SYSTEM 'file:///etc/passwd'><!ENTITY % d PUBLIC "p" "http://x.invalid/e">]><l>&b;</l>"#;
        let (facts, _, _) = read(bomb);
        assert_eq!(facts.external_type.as_deref(), Some("http://x.invalid/d.dtd"));
        assert_eq!(facts.references, ["b"]);
        let entities: Vec<_> =
            facts.entities.iter().map(|e| (e.name.as_str(), e.external.as_deref(), e.nested)).collect();
        assert_eq!(
            entities,
            [
                ("a", None, 0),
                ("b", None, 2),
                ("c", Some("file:///etc/passwd"), 0),
                ("%d", Some("http://x.invalid/e"), 0)
            ]
        );
    }

    #[test]
    fn broken_and_endless_documents_are_errors() {
        for text in ["", "text", "<a>", "<a></b>", "<a", "<a><b></a>", &"<a>".repeat(600)] {
            assert!(!read(text).2, "{text:.20}");
        }
        let endless = io::repeat(b'x');
        let (_, done) = walk(b"<a ".as_slice().chain(endless), &Budget::default(), |_, _| {});
        assert!(matches!(done, Err(XmlError::Io(error)) if LimitHit::in_io(&error).is_some()));
    }

    #[test]
    fn the_root_is_found_in_every_encoding() {
        assert_eq!(root(b"\xef\xbb\xbf<!-- c --><?pi x?><x:PMML a='b'>").as_deref(), Some("PMML"));
        let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("<net/>".bytes().flat_map(|b| [b, 0])).collect();
        assert_eq!(root(&wide).as_deref(), Some("net"));
        assert_eq!(root(b"plain"), None);
    }
}
