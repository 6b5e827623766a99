//! PMML 4.x (Data Mining Group): what its extensions, functions and references hold.

use std::io::Read;

use gauntlet_limits::Budget;
use serde::{Deserialize, Serialize};

use super::xml::{self, Node, XmlError, XmlFacts};

/// Entries of each list.
const ENTRIES: usize = 100;
/// Text of one extension that is read.
const TEXT_BYTES: usize = 64 << 10;

/// What a PMML document holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PmmlFacts {
    /// Entities, instructions, problems.
    pub xml: XmlFacts,
    /// The version attribute.
    pub version: String,
    /// Extensions and scripts whose name or text reads as code: where, and what is seen.
    pub code: Vec<Code>,
    /// `Extension` elements.
    pub extensions: u64,
    /// Functions that are names of Java classes or methods.
    pub functions: Vec<String>,
    /// Attributes that point to other files or hosts: attribute and value.
    pub references: Vec<(String, String)>,
}

/// Text that reads as code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// The element.
    pub element: String,
    /// What makes it code; empty when only its name says so.
    pub marker: String,
    /// Its name attribute.
    pub name: String,
}

/// Reads a document to its end or first error.
pub(crate) fn read(stream: impl Read, budget: &Budget) -> (PmmlFacts, Result<(), XmlError>) {
    let mut facts = PmmlFacts::default();
    let mut name = String::new();
    let (xml, done) = xml::walk(stream, budget, |open, node| match node {
        Node::Open { name: element, attributes } => {
            let value = |key: &str| attributes.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
            if open.is_empty() {
                facts.version = xml::cut(value("version"));
            }
            if *element == "Extension" {
                facts.extensions += 1;
                name = xml::cut(value("name"));
                if says_script(&name) {
                    facts.code(element, "", &name);
                }
            }
            if matches!(*element, "Apply" | "DefineFunction") {
                let function = value("function");
                if function.contains('.') && facts.functions.len() < ENTRIES {
                    facts.functions.push(xml::cut(function));
                }
            }
            if is_script(element) {
                facts.code(element, "", value("name"));
            }
            for (key, text) in *attributes {
                if let Some(marker) = marker(text) {
                    facts.code(element, marker, value("name"));
                }
                if points_away(key, text) && facts.references.len() < ENTRIES {
                    facts.references.push((xml::cut(key), xml::cut(text)));
                }
            }
        }
        Node::Text(text) => {
            let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= TEXT_BYTES).last().unwrap_or(0);
            if let Some(marker) = marker(text.get(..end).unwrap_or(text)) {
                let inside = open.last().map_or("", String::as_str);
                facts.code(inside, marker, &name);
            }
        }
    });
    facts.xml = xml;
    (facts, done)
}

impl PmmlFacts {
    fn code(&mut self, element: &str, marker: &str, name: &str) {
        let code = Code { element: xml::cut(element), marker: marker.to_owned(), name: xml::cut(name) };
        if self.code.len() < ENTRIES && !self.code.contains(&code) {
            self.code.push(code);
        }
    }
}

fn is_script(element: &str) -> bool {
    matches!(element.to_ascii_lowercase().as_str(), "script" | "code" | "exec" | "eval")
}

fn says_script(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["script", "code", "exec", "eval", "command", "groovy", "python", "expression"].contains(&name.as_str())
}

/// What no label or number of a model says by accident.
pub(crate) fn marker(text: &str) -> Option<&'static str> {
    const MARKERS: [&str; 31] = [
        "Runtime.getRuntime",
        "ProcessBuilder",
        "java.lang.Runtime",
        "java.lang.Process",
        "java.lang.System",
        "java.lang.reflect",
        "java.lang.Class",
        "Class.forName",
        "javax.script",
        "ScriptEngine",
        "GroovyShell",
        ".execute(",
        ".exec(",
        "exec(",
        "eval(",
        "os.system",
        "os.popen",
        "subprocess",
        "__import__",
        "importlib",
        "System.exit",
        "System.loadLibrary",
        "System.load(",
        "URLClassLoader",
        "powershell",
        "/bin/sh",
        "/bin/bash",
        "cmd.exe",
        "<script",
        "${jndi:",
        "xsl:script",
    ];
    MARKERS.into_iter().find(|marker| text.contains(marker))
}

/// A URL or path outside of what XML itself needs.
fn points_away(key: &str, text: &str) -> bool {
    let own = key.starts_with("xmlns") || key.ends_with("schemaLocation") || key.ends_with("noNamespaceSchemaLocation");
    const SCHEMES: [&str; 11] =
        ["file:", "http://", "https://", "ftp://", "jar:", "jndi:", "ldap:", "ldaps:", "rmi:", "gopher:", "data:"];
    let lower = text.trim_start().to_ascii_lowercase();
    !own && SCHEMES.iter().any(|scheme| lower.starts_with(scheme))
}
