//! TorchScript code as archives keep it (`code/__torch__/**.py`): which operators and modules it names.
//!
//! A scan over words, not a parser: whatever the layout, an operator has to be named to be run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Functions of Python that TorchScript does not have.
const PYTHON: [&str; 8] = ["eval", "exec", "compile", "__import__", "open", "globals", "locals", "vars"];
/// Operators that are kept; PyTorch has some thousands.
const KEPT: usize = 10_000;

/// What the code of one file names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptFacts {
    /// `namespace.operator` and the first line that names it.
    pub operators: BTreeMap<String, u64>,
    /// Modules of import statements, and where they stand.
    pub imports: Vec<(String, u64)>,
    /// Calls of Python's own functions that run or find code, and where they stand. The language has none of them.
    #[serde(default)]
    pub calls: Vec<(String, u64)>,
    /// Operators beyond those kept.
    pub more: u64,
}

/// Reads the words of a text.
pub(crate) fn read(text: &str) -> ScriptFacts {
    let mut facts = ScriptFacts::default();
    let mut words = Words { rest: text, line: 1 };
    // The words joined by dots so far, and whether the last one was a dot.
    // Behind `from`, the word `import` begins no second module.
    let (mut from, mut defining, mut attribute) = (false, false, false);
    let (mut path, mut line, mut dotted, mut importing) = (Vec::new(), 1, false, None);
    while let Some(word) = words.next() {
        match word {
            Word::Dot => {
                dotted = !path.is_empty();
                attribute = !dotted;
            }
            Word::Name(name) if dotted => {
                path.push(name);
                dotted = false;
            }
            other => {
                facts.path(&path, line, &mut importing);
                path.clear();
                dotted = false;
                // `(self).open(x)` calls a method.
                let attribute = std::mem::take(&mut attribute);
                match other {
                    Word::Name("import") if from => {}
                    Word::Name(keyword @ ("import" | "from")) => {
                        importing = Some(words.line);
                        from = keyword == "from";
                    }
                    Word::Name(name) => {
                        let called = PYTHON.contains(&name) && words.rest.trim_start().starts_with('(');
                        if called && !defining && !attribute && facts.calls.len() < 100 {
                            facts.calls.push((name.to_owned(), words.line));
                        }
                        defining = name == "def";
                        path.push(name);
                        line = words.line;
                    }
                    Word::Newline => (importing, from) = (None, false),
                    Word::Dot | Word::Other => {}
                }
            }
        }
    }
    facts.path(&path, line, &mut importing);
    facts
}

impl ScriptFacts {
    fn path(&mut self, path: &[&str], line: u64, importing: &mut Option<u64>) {
        if path.is_empty() {
            return;
        }
        if importing.is_some() && self.imports.len() < 100 {
            self.imports.push((path.join("."), line));
            *importing = None;
        }
        let operator = match path {
            ["ops", namespace, name, ..] => format!("{namespace}.{name}"),
            ["torch", name] => format!("torch.{name}"),
            ["torch", "ops", namespace, name, ..] => format!("{namespace}.{name}"),
            _ => return,
        };
        if self.operators.len() < KEPT {
            self.operators.entry(operator.chars().take(200).collect()).or_insert(line);
        } else {
            self.more += 1;
        }
    }
}

enum Word<'a> {
    Name(&'a str),
    Dot,
    Newline,
    Other,
}

struct Words<'a> {
    rest: &'a str,
    line: u64,
}

impl<'a> Words<'a> {
    /// Spaces, comments and line continuations are no words; texts are one word without content.
    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            match first {
                '\n' => {
                    self.line += 1;
                    self.rest = &self.rest[1..];
                    return Some(Word::Newline);
                }
                '#' => self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]),
                '\\' if self.rest.starts_with("\\\n") => {
                    self.line += 1;
                    self.rest = &self.rest[2..];
                }
                '"' | '\'' => {
                    self.skip_text(first);
                    return Some(Word::Other);
                }
                '.' => {
                    self.rest = &self.rest[1..];
                    return Some(Word::Dot);
                }
                c if c.is_whitespace() => self.rest = &self.rest[c.len_utf8()..],
                c if c.is_alphabetic() || c == '_' => {
                    let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
                    let (name, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    return Some(Word::Name(name));
                }
                c => {
                    self.rest = &self.rest[c.len_utf8()..];
                    return Some(Word::Other);
                }
            }
        }
    }

    fn skip_text(&mut self, quote: char) {
        let mut escaped = false;
        let mut chars = self.rest.char_indices().skip(1);
        let end = chars.find(|(_, c)| {
            let closes = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            // Texts of TorchScript end on their line.
            closes || *c == '\n'
        });
        self.rest = match end {
            Some((at, '\n')) => &self.rest[at..],
            Some((at, _)) => &self.rest[at + 1..],
            None => "",
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(text: &str) -> Vec<String> {
        read(text).operators.into_keys().collect()
    }

    #[test]
    fn operators_are_found_in_any_layout() {
        assert_eq!(operators("x = torch.relu(y)\nops.aten.save(x, '/f')"), ["aten.save", "torch.relu"]);
        assert_eq!(operators("_0 = ops . aten \\\n . save\n_0(x)"), ["aten.save"]);
        assert_eq!(operators("z = (ops).aten.x"), [""; 0]);
        assert_eq!(operators("torch.ops.image.write_file(x)"), ["image.write_file"]);
    }

    #[test]
    fn texts_and_comments_name_nothing() {
        assert_eq!(operators("s = 'ops.aten.save(x)' # ops.aten.save\n"), [""; 0]);
        assert_eq!(operators("s = \"a\\\"ops.aten.save\"\ntorch.add(1)"), ["torch.add"]);
    }

    #[test]
    fn imports_are_found_wherever_they_stand() {
        let facts = read("def f():\n  import os; os.system('x')\nfrom sys import path\n");
        assert_eq!(facts.imports, [("os".to_owned(), 2), ("sys".to_owned(), 3)]);
    }
}
