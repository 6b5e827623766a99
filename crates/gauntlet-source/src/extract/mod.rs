//! Reads every file once and turns it into facts of all families.

mod interest;
mod kind;
mod lines;
mod python;
mod text;

use std::io::Read;
use std::path::Path;

use gauntlet_core::{
    Context, Coverage, Extractor, FactRow, Facts, Limits, Location, MaskKey, Relation, SkipCode, Target, TreeFile,
    open_regular,
};
use gauntlet_patterns::Scanner;
use rayon::prelude::*;

use crate::checks::{DESERIALIZATION, SECRETS};
use kind::{FileKind, decode};

/// Raised whenever the same bytes give other facts.
const VERSION: u32 = 3;

/// Bytes that tell text from other files.
const HEAD: usize = 8 << 10;

/// Reads source trees.
pub(crate) struct Source;

impl Extractor for Source {
    fn name(&self) -> &'static str {
        "source"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn relations(&self, row: &FactRow) -> Result<Vec<Relation>, serde_json::Error> {
        crate::relations::of(row)
    }

    fn extract(&self, target: &Target<'_>, context: &Context<'_>) -> Facts {
        let scanner = match Scanner::new() {
            Ok(scanner) => scanner,
            Err(error) => {
                let mut facts = empty();
                for check in [SECRETS, DESERIALIZATION] {
                    facts.coverage_mut(check).skip("", None, SkipCode::Unsupported, error.to_string());
                }
                return facts;
            }
        };
        let tools = Tools { scanner: &scanner, limits: context.limits, mask: context.mask };
        let parts: Vec<Facts> = target
            .tree
            .files
            .par_iter()
            .map(|entry| {
                let facts = tree_file(target.root, entry, tools);
                context.progress.file_done(entry);
                facts
            })
            .collect();
        let mut facts = empty();
        parts.into_iter().for_each(|part| facts.merge(part));
        // A folder without any text is none of this gate's business.
        facts.coverage.retain(|_, c| c.looked_at > 0 || !c.complete());
        facts.normalise();
        facts
    }
}

/// What reading a file needs.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) scanner: &'a Scanner,
    pub(crate) limits: &'a Limits,
    pub(crate) mask: &'a MaskKey,
}

fn empty() -> Facts {
    Facts::new("source", VERSION)
}

/// Facts of one file of a tree. A file that changes while it is read has no facts.
fn tree_file(root: &Path, entry: &TreeFile, tools: Tools<'_>) -> Facts {
    let location = Location::file(&entry.path);
    let kind = FileKind::of(location.path.as_deref().unwrap_or_default());
    let most = kind.most_bytes(tools.limits);
    let read = || -> std::io::Result<Vec<u8>> {
        let mut handle = open_regular(root, entry)?;
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size.min(most)).unwrap_or(HEAD));
        // One byte more than allowed shows that the file is longer. Other files end after the head.
        handle.by_ref().take(HEAD as u64).read_to_end(&mut bytes)?;
        if !kind::is_binary(&bytes) && entry.size <= most {
            handle.by_ref().take(most + 1 - HEAD as u64).read_to_end(&mut bytes)?;
        }
        entry.unchanged(&handle)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => file(&location, kind, &bytes, entry.size, tools),
        Err(error) => {
            let mut facts = empty();
            skip(&mut facts, kind, &location, SkipCode::Unreadable, &error.to_string());
            facts
        }
    }
}

/// Facts of one file of `size` bytes, of which `bytes` were read.
pub(crate) fn file(location: &Location, kind: FileKind, bytes: &[u8], size: u64, tools: Tools<'_>) -> Facts {
    let mut facts = empty();
    if kind::is_binary(bytes) {
        // Code that is no text is an open question, other files are not.
        if kind.is_python() {
            skip(&mut facts, kind, location, SkipCode::Malformed, "not text");
        } else {
            skip(&mut facts, kind, location, SkipCode::Ignored, "not text");
        }
        return facts;
    }
    let most = kind.most_bytes(tools.limits);
    if size > most {
        let key = if kind == FileKind::Notebook { "header_bytes" } else { "text_bytes" };
        skip(&mut facts, kind, location, SkipCode::Limit, &format!("limit `{key}` reached ({most})"));
        return facts;
    }
    match kind {
        FileKind::Notebook => python::notebook(location, bytes, tools, &mut facts),
        FileKind::Python => {
            match decode(bytes) {
                Some(source) => python::module(location, &source, tools, &mut facts),
                None => facts.coverage_mut(DESERIALIZATION).skip(
                    name(location),
                    None,
                    SkipCode::Malformed,
                    "neither UTF-8 nor of a declared encoding",
                ),
            }
            text::file(location, bytes, kind, tools, &mut facts);
        }
        FileKind::Text { .. } => text::file(location, bytes, kind, tools, &mut facts),
    }
    facts
}

/// Notes for every check that the file concerns that it was not looked at.
fn skip(facts: &mut Facts, kind: FileKind, location: &Location, code: SkipCode, detail: &str) {
    facts.coverage_mut(SECRETS).skip(name(location), None, code, detail);
    if kind.is_python() {
        facts.coverage_mut(DESERIALIZATION).skip(name(location), None, code, detail);
    }
}

fn looked_at(coverage: &mut Coverage) {
    coverage.looked_at += 1;
}

fn name(location: &Location) -> String {
    location.path.clone().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Facts of a file in memory.
    pub(crate) fn facts_of(path: &str, bytes: &[u8], limits: &Limits) -> Facts {
        let scanner = Scanner::new().unwrap();
        let mask = MaskKey::for_project("test");
        let tools = Tools { scanner: &scanner, limits, mask: &mask };
        let mut facts = file(&Location::file(Path::new(path)), FileKind::of(path), bytes, bytes.len() as u64, tools);
        facts.normalise();
        facts
    }

    fn reasons(facts: &Facts, check: &str) -> Vec<String> {
        facts.coverage.get(check).map(|c| c.skipped.iter().map(|s| s.reason.to_string()).collect()).unwrap_or_default()
    }

    #[test]
    fn what_is_not_read_is_said() {
        let small = Limits { text_bytes: 10, ..Limits::default() };
        let long = facts_of("a.py", b"x = 1\ny = 2\n", &small);
        assert_eq!(reasons(&long, DESERIALIZATION), ["limit: limit `text_bytes` reached (10)"]);
        assert_eq!(reasons(&long, SECRETS), ["limit: limit `text_bytes` reached (10)"]);
        let limits = Limits::default();
        assert_eq!(reasons(&facts_of("a.bin", b"a\0b", &limits), SECRETS), ["ignored: not text"]);
        assert!(!facts_of("a.py", b"a\0b", &limits).coverage[DESERIALIZATION].complete());
        assert!(!facts_of("a.ipynb", b"{}", &limits).coverage[DESERIALIZATION].complete());
        assert!(!facts_of("a.ipynb", b"{\"cells\":", &limits).coverage[SECRETS].complete());
        assert!(!facts_of("a.py", b"x = '\xFF'\n", &limits).coverage[DESERIALIZATION].complete());
        assert!(!facts_of("a.py", "[".repeat(9_000).as_bytes(), &limits).coverage[DESERIALIZATION].complete());
        assert!(facts_of("a.py", b"# coding: latin-1\nx = '\xFF'\n", &limits).coverage[DESERIALIZATION].complete());
        // A syntax error is no hole when the rest was read.
        assert!(facts_of("a.py", b"import a\nx = (\nb = 1\na.f()\n", &limits).coverage[DESERIALIZATION].complete());
        assert!(!facts_of("a.py", b"%%%% ))) ((( ???\n", &limits).coverage[DESERIALIZATION].complete());
    }

    #[test]
    fn facts_hold_no_raw_secret() {
        let word = ["Zk3v9QpLr8", "sTn2WxYb7H"].concat();
        let source = format!(
            "import os\nfrom pickle import load\nload(token='{word}')\nPASSWORD = '{word}'\nload('{word}', 'r')\n"
        );
        let stored = serde_json::to_string(&facts_of("a.py", source.as_bytes(), &Limits::default())).unwrap();
        assert!(!stored.contains(&word), "{stored}");
        assert!(stored.contains("pickle.load") && stored.contains("generic-secret"));
        assert!(stored.contains("\"r\""), "harmless constants stay: {stored}");
    }

    #[test]
    fn damaged_files_never_panic() {
        let seeds: [(&str, &[u8]); 4] = [
            ("a.py", b"import pickle  # gauntlet: ignore[x] y\npickle.load(f, **{'a': 1})  # nosec B301\n"),
            ("a.ipynb", br#"{"cells":[{"cell_type":"code","source":["import pickle\n","!ls\n","pickle.load(f)"],"outputs":[{"text":["a\n"],"data":{"text/plain":"x"}}],"metadata":{}}],"nbformat":4}"#),
            ("a.yaml", b"password: \"q7Jd0sPzm4TqRx81\"  # gitleaks:allow\r\nurl: postgres://a:bZk3v9QpLr8@h.x/y\n"),
            ("a.txt", b"\xFF\xFEp\0w\0d\0=\0"),
        ];
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        for _ in 0..1_500 {
            let (name, seed) = seeds[below(seeds.len())];
            let mut bytes = seed.to_vec();
            for _ in 0..=below(4) {
                let at = below(bytes.len().max(1));
                match below(4) {
                    0 => bytes.truncate(at),
                    1 if !bytes.is_empty() => bytes[at] = below(256) as u8,
                    2 => bytes.extend_from_within(at.min(bytes.len())..),
                    _ => {
                        let other = seeds[below(seeds.len())].1;
                        bytes.splice(at.min(bytes.len()).., other[below(other.len())..].iter().copied());
                    }
                }
            }
            facts_of(name, &bytes, &Limits::default());
        }
    }
}
