//! Torch7 (`File:writeObject` of Lua Torch): classes, and functions whose Lua byte code would run.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};

use gauntlet_limits::{Budget, Limit, LimitHit, Stream};
use serde::{Deserialize, Serialize};

/// Entries of each list.
const ENTRIES: usize = 200;
const NAME_BYTES: u64 = 200;
/// Bytes of a function that are searched for what it calls.
const CODE_BYTES: u64 = 1 << 20;

/// What a Torch7 file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Torch7Facts {
    /// The text form.
    pub ascii: bool,
    /// Class names, and how often.
    pub classes: BTreeMap<String, u64>,
    /// Functions (the first 200).
    pub functions: Vec<Function>,
    /// Tables, texts and so on.
    pub values: u64,
    /// Behind the last byte of the value.
    pub end: u64,
}

/// A function stored with its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Function {
    /// Where its code begins.
    pub offset: u64,
    /// Bytes of code, as stated.
    pub size: u64,
    /// `LuaJIT`, `Lua` or nothing that is known.
    pub code: String,
    /// Names of libraries and functions in it that reach outside.
    pub reaches: Vec<String>,
}

/// Why a file was not read whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Torch7Error {
    /// The medium, or an end that comes early.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A limit.
    #[error("{0}")]
    Limit(#[from] LimitHit),
    /// The structure is broken.
    #[error("at byte {offset}: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        offset: u64,
    },
    /// A class whose own form is not known.
    #[error("the class `{0}` has a form of its own")]
    Class(String),
}

/// Whether `prefix` begins a file that holds an object of a class, a function, or, when `named` so, a table.
pub(crate) fn looks_like(prefix: &[u8], named: bool) -> bool {
    match prefix {
        [4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, b'V', b' ', b'0'..=b'9', ..] => true,
        [6..=8, 0, 0, 0, 1, 0, 0, 0, _, _, _, 0, 0x1b, b'L', ..] => true,
        [3, 0, 0, 0, 1, 0, 0, 0, ..] => named,
        _ => {
            let text = prefix.get(..32).unwrap_or(prefix);
            text.starts_with(b"4\n1\n3\nV ")
                || (["6\n1\n", "7\n1\n", "8\n1\n"].iter().any(|start| text.starts_with(start.as_bytes()))
                    && memchr::memmem::find(text, b"\n\x1bL").is_some())
                || (named && text.starts_with(b"3\n1\n"))
        }
    }
}

/// Walks a file to the end of its value; an error comes with everything that was seen before it.
pub(crate) fn read(stream: &mut dyn Stream, ascii: bool, budget: &Budget) -> (Torch7Facts, Result<(), Torch7Error>) {
    let facts = Torch7Facts { ascii, ..Torch7Facts::default() };
    let mut walker = Walker { stream, budget, facts, tasks: vec![Task::Value], seen: HashSet::new() };
    let done = walker.run();
    walker.facts.end = walker.stream.position();
    (walker.facts, done)
}

enum Task {
    Value,
    /// So many values.
    Values(u64),
}

struct Walker<'a, 'b> {
    stream: &'a mut dyn Stream,
    budget: &'b Budget,
    facts: Torch7Facts,
    tasks: Vec<Task>,
    /// Objects that were written before; later ones are their index only.
    seen: HashSet<u64>,
}

impl Walker<'_, '_> {
    fn run(&mut self) -> Result<(), Torch7Error> {
        while let Some(task) = self.tasks.pop() {
            self.budget.steps(1)?;
            match task {
                Task::Value => self.value()?,
                Task::Values(0) => {}
                Task::Values(n) => {
                    self.push(Task::Values(n - 1))?;
                    self.push(Task::Value)?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, task: Task) -> Result<(), Torch7Error> {
        self.budget.limits().check(Limit::Nodes, self.tasks.len() as u64 + 1)?;
        self.tasks.push(task);
        Ok(())
    }

    fn value(&mut self) -> Result<(), Torch7Error> {
        let kind = self.int()?;
        self.facts.values += 1;
        match kind {
            0 => {}
            1 => {
                if self.facts.ascii {
                    self.word()?;
                } else {
                    self.skip(8)?;
                }
            }
            2 => {
                let len = self.count()?;
                self.text(len)?;
            }
            5 => {
                self.int()?;
            }
            3 if self.first_time()? => {
                let pairs = self.count()?;
                self.push(Task::Values(pairs.saturating_mul(2)))?;
            }
            4 if self.first_time()? => self.object()?,
            6..=8 if self.first_time()? => self.function()?,
            3 | 4 | 6..=8 => {}
            _ => return Err(self.malformed("unknown kind of value")),
        }
        Ok(())
    }

    /// Reads the index of an object; false when it was written before.
    fn first_time(&mut self) -> Result<bool, Torch7Error> {
        let index = self.count()?;
        self.budget.limits().check(Limit::Nodes, self.seen.len() as u64 + 1)?;
        Ok(self.seen.insert(index))
    }

    fn function(&mut self) -> Result<(), Torch7Error> {
        let size = self.count()?;
        let offset = self.stream.position();
        // The size is a claim: what stands there is searched even when it leaves the file.
        let mut code = Vec::new();
        (&mut *self.stream).take(size.min(CODE_BYTES)).read_to_end(&mut code)?;
        let kind = match code.as_slice() {
            [0x1b, b'L', b'J', ..] => "LuaJIT",
            [0x1b, b'L', b'u', b'a', ..] => "Lua",
            _ => "",
        };
        const NAMES: [&str; 14] = [
            "os.execute",
            "execute",
            "io.popen",
            "popen",
            "os.remove",
            "loadstring",
            "loadfile",
            "dofile",
            "ffi",
            "package.loadlib",
            "io.open",
            "os.getenv",
            "socket",
            "require",
        ];
        let reaches = NAMES.iter().filter(|name| memchr::memmem::find(&code, name.as_bytes()).is_some());
        let reaches = reaches.map(|name| (*name).to_owned()).collect();
        if self.facts.functions.len() < ENTRIES {
            self.facts.functions.push(Function { offset, size, code: kind.to_owned(), reaches });
        }
        let read = code.len() as u64;
        if read < size.min(CODE_BYTES) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.skip(size - read)?;
        if self.facts.ascii {
            self.newline()?;
        }
        // Its captured variables.
        self.push(Task::Value)
    }

    fn object(&mut self) -> Result<(), Torch7Error> {
        let version = self.name()?;
        let class = if version.starts_with("V ") { self.name()? } else { version };
        *self.facts.classes.entry(class.clone()).or_default() += 1;
        let element = match class.strip_prefix("torch.") {
            Some(name) => element_bytes(name),
            None => None,
        };
        if class.starts_with("torch.") && class.ends_with("Tensor") && element.is_some() {
            let dimensions = self.count()?;
            // Sizes, strides, and where the first element is.
            for _ in 0..dimensions.saturating_mul(2).saturating_add(1) {
                self.budget.steps(1)?;
                self.long()?;
            }
            return self.push(Task::Value);
        }
        if let (true, Some(element)) = (class.ends_with("Storage"), element) {
            let n = self.long()?;
            if self.facts.ascii {
                if element > 1 {
                    for _ in 0..n {
                        self.budget.steps(1)?;
                        self.word()?;
                    }
                } else {
                    self.skip(n)?;
                    self.newline()?;
                }
                return Ok(());
            }
            return self.skip(n.checked_mul(element).ok_or_else(|| self.malformed("impossible size"))?);
        }
        let own_form = ["tds.", "torch.CmdLine", "torch.MemoryFile", "torch.DiskFile", "torch.PipeFile"];
        if own_form.iter().any(|prefix| class.starts_with(prefix)) {
            return Err(Torch7Error::Class(class));
        }
        // Every other class is written as the table of its fields.
        self.push(Task::Value)
    }

    fn name(&mut self) -> Result<String, Torch7Error> {
        let len = self.count()?;
        if len > NAME_BYTES {
            return Err(self.malformed("class name of impossible length"));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.stream.read_exact(&mut bytes)?;
        if self.facts.ascii {
            self.newline()?;
        }
        Ok(String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect())
    }

    fn text(&mut self, len: u64) -> Result<(), Torch7Error> {
        self.skip(len)?;
        if self.facts.ascii { self.newline() } else { Ok(()) }
    }

    fn int(&mut self) -> Result<i64, Torch7Error> {
        if self.facts.ascii {
            return self.word()?.parse().map_err(|_| self.malformed("word that is no number"));
        }
        let mut raw = [0; 4];
        self.stream.read_exact(&mut raw)?;
        Ok(i64::from(i32::from_le_bytes(raw)))
    }

    fn count(&mut self) -> Result<u64, Torch7Error> {
        let n = self.int()?;
        u64::try_from(n).map_err(|_| self.malformed("negative count"))
    }

    fn long(&mut self) -> Result<u64, Torch7Error> {
        if self.facts.ascii {
            return self.count();
        }
        let mut raw = [0; 8];
        self.stream.read_exact(&mut raw)?;
        u64::try_from(i64::from_le_bytes(raw)).map_err(|_| self.malformed("negative size"))
    }

    /// The next word of the text form and the one character behind it.
    fn word(&mut self) -> Result<String, Torch7Error> {
        let mut word = String::new();
        loop {
            let mut byte = [0; 1];
            self.stream.read_exact(&mut byte)?;
            match byte[0] {
                byte if byte.is_ascii_whitespace() && word.is_empty() => {}
                byte if byte.is_ascii_whitespace() => return Ok(word),
                byte if word.len() < 64 && byte.is_ascii_graphic() => word.push(char::from(byte)),
                _ => return Err(self.malformed("word that is no number")),
            }
        }
    }

    fn newline(&mut self) -> Result<(), Torch7Error> {
        let mut byte = [0; 1];
        self.stream.read_exact(&mut byte)?;
        if byte == *b"\n" { Ok(()) } else { Err(self.malformed("text without its end of line")) }
    }

    fn skip(&mut self, n: u64) -> Result<(), Torch7Error> {
        if self.stream.skip(n)? < n {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }

    fn malformed(&self, what: &'static str) -> Torch7Error {
        Torch7Error::Malformed { what, offset: self.stream.position() }
    }
}

/// Bytes of one element of `FloatTensor`, `LongStorage` and so on.
fn element_bytes(name: &str) -> Option<u64> {
    let kind = name.strip_prefix("Cuda").unwrap_or(name);
    let kind = kind.strip_suffix("Tensor").or_else(|| kind.strip_suffix("Storage"))?;
    Some(match kind {
        "Byte" | "Char" => 1,
        "Short" | "Half" => 2,
        "Int" | "Float" | "" => 4,
        "Long" | "Double" => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use gauntlet_limits::Cursor;

    use super::*;

    fn scan(bytes: &[u8], ascii: bool) -> (Torch7Facts, Result<(), Torch7Error>) {
        let source = bytes.to_vec();
        read(&mut Cursor::new(&source, 0), ascii, &Budget::default())
    }

    fn ints(ints: &[i32]) -> Vec<u8> {
        ints.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn text(text: &str) -> Vec<u8> {
        [ints(&[text.len() as i32]), text.as_bytes().to_vec()].concat()
    }

    fn longs(longs: &[i64]) -> Vec<u8> {
        longs.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// A module with a weight, a function, and a name.
    fn module() -> Vec<u8> {
        [
            ints(&[4, 1]),
            text("V 1"),
            text("nn.Linear"),
            ints(&[3, 2, 3, 2]),
            text("weight"),
            ints(&[4, 3]),
            text("V 1"),
            text("torch.FloatTensor"),
            ints(&[1]),
            longs(&[2, 1, 1]),
            ints(&[4, 4]),
            text("V 1"),
            text("torch.FloatStorage"),
            longs(&[2]),
            vec![0; 8],
            ints(&[2]),
            text("hook"),
            ints(&[8, 5]),
            text("\u{1b}LJ\u{2} os.execute"),
            ints(&[0, 2]),
            text("train"),
            ints(&[5, 1]),
        ]
        .concat()
    }

    #[test]
    fn objects_tensors_and_functions_are_followed() {
        let bytes = module();
        assert!(looks_like(&bytes, false));
        let (facts, done) = scan(&bytes, false);
        done.unwrap();
        assert_eq!(facts.end, bytes.len() as u64);
        let classes: Vec<_> = facts.classes.keys().map(String::as_str).collect();
        assert_eq!(classes, ["nn.Linear", "torch.FloatStorage", "torch.FloatTensor"]);
        assert_eq!(facts.functions[0].code, "LuaJIT");
        assert!(facts.functions[0].reaches.contains(&"os.execute".to_owned()));
        for len in 0..bytes.len() {
            assert!(scan(&bytes[..len], false).1.is_err(), "cut to {len}");
        }
    }

    #[test]
    fn the_text_form_is_followed() {
        let bytes = b"4\n1\n3\nV 1\n13\ntorch.FloatTe\n";
        assert!(looks_like(bytes, false));
        let bytes = b"3\n1\n2\n2\n4\nhook\n6\n2\n9\n\x1bLuaQpopen\n0\n2\n1\nx\n1\n0.5\n";
        let (facts, done) = scan(bytes, true);
        assert!(facts.functions.len() == 1 && !looks_like(b"3 of", true), "{done:?}");
    }

    #[test]
    fn hostile_counts_are_errors() {
        for bytes in [
            ints(&[3, 1, i32::MAX]),
            ints(&[2, -1]),
            ints(&[6, 1, i32::MAX]),
            ints(&[99]),
            [ints(&[4, 1]), text("V 1"), text("torch.FloatStorage"), longs(&[i64::MAX])].concat(),
        ] {
            assert!(scan(&bytes, false).1.is_err(), "{bytes:?}");
        }
    }
}
