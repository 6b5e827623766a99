//! Lists of digests that somebody else computed: `sha256sum` lines, JSON, `.dvc` files. They are signed as they are
//! given, which says who vouches for the list and nothing about any file on this disk.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names::{ancestry, is_safe};
use super::{Endorse, MAX_BUNDLE_BYTES, OmsError, SignOptions, Signed, sign};
use crate::shown;
use crate::strict_json::{self, Bounds, JsonError};

/// Bytes of the largest list that is read.
pub const MAX_LIST_BYTES: usize = MAX_BUNDLE_BYTES;

/// SHA-256 of files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestList(BTreeMap<String, [u8; 32]>);

/// Why a list was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DigestListError {
    /// Not a line, or an item, of a known form.
    #[error("{place}: {what}")]
    Malformed {
        /// Line or item.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// JSON that is refused.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// YAML that is refused.
    #[error("{0}")]
    Yaml(String),
    /// A digest that is no SHA-256. Signing it would vouch for whatever collides with it.
    #[error("{name}: {found} cannot be signed; {advice}")]
    Weak {
        /// The file.
        name: String,
        /// What there is instead.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A name that leads out of the model, or cannot be in one.
    #[error("{}: {what}", shown(.name))]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No file at all.
    #[error("the list names no file")]
    Empty,
    /// More than [`MAX_LIST_BYTES`].
    #[error("the list has more than {MAX_LIST_BYTES} bytes")]
    TooLarge,
}

impl DigestList {
    /// A list from names and digests.
    ///
    /// # Errors
    /// [`DigestListError`] for names that are unsafe, doubled or inside each other, and for an empty list.
    pub fn new(items: impl IntoIterator<Item = (String, [u8; 32])>) -> Result<Self, DigestListError> {
        let mut files = BTreeMap::new();
        for (name, digest) in items {
            let wrong = |what| DigestListError::Name { name: name.clone(), what };
            if !is_safe(&name) {
                return Err(wrong("no plain relative path"));
            }
            if files.contains_key(&name) {
                return Err(wrong("named twice"));
            }
            files.insert(name, digest);
        }
        let folder = |name: &&String| ancestry(name).any(|above| above.len() < name.len() && files.contains_key(above));
        if let Some(name) = files.keys().find(folder) {
            return Err(DigestListError::Name { name: name.clone(), what: "a file above it is a file itself" });
        }
        if files.is_empty() { Err(DigestListError::Empty) } else { Ok(Self(files)) }
    }

    /// Reads a list: JSON when it begins with a brace or bracket, else lines.
    ///
    /// JSON is an object of names to digests (`"sha256:<hex>"` or bare hex), or an array of objects with `name` or
    /// `path` and `sha256` or `digest`. Lines are those of `sha256sum`, with `*` and escapes, or of `--tag`.
    ///
    /// # Errors
    /// [`DigestListError`] names the first thing wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, DigestListError> {
        if bytes.len() > MAX_LIST_BYTES {
            return Err(DigestListError::TooLarge);
        }
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if matches!(first, Some(b'{' | b'[')) { Self::json(bytes) } else { Self::lines(bytes) }
    }

    /// Reads the outputs of a `.dvc` file. DVC names content by MD5, which vouches for nothing: such outputs are refused.
    ///
    /// # Errors
    /// [`DigestListError`] names the first thing wrong.
    pub fn parse_dvc(bytes: &[u8]) -> Result<Self, DigestListError> {
        let file: DvcFile =
            gauntlet_core::yaml::parse(".dvc", bytes).map_err(|error| DigestListError::Yaml(error.to_string()))?;
        Self::new(file.outs.into_iter().map(DvcOut::sha256).collect::<Result<Vec<_>, _>>()?)
    }

    /// Names and digests, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.0.iter().map(|(name, digest)| (name.as_str(), digest))
    }

    fn json(bytes: &[u8]) -> Result<Self, DigestListError> {
        let list: JsonList = strict_json::from_slice(bytes, &Bounds::DOCUMENT)?;
        let items = match list {
            JsonList::Object(files) => files.into_iter().collect(),
            JsonList::Array(files) => files.into_iter().map(|file| (file.name, file.sha256)).collect::<Vec<_>>(),
        };
        let read = |(name, text): (String, String)| {
            let hex = text.strip_prefix("sha256:").unwrap_or(&text);
            Ok((name.clone(), sha256(&name, hex)?))
        };
        Self::new(items.into_iter().map(read).collect::<Result<Vec<_>, DigestListError>>()?)
    }

    fn lines(bytes: &[u8]) -> Result<Self, DigestListError> {
        let malformed = |number: usize, what: &str| DigestListError::Malformed {
            place: format!("line {number}"),
            what: what.to_owned(),
        };
        let mut items = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate().map(|(i, line)| (i + 1, line)) {
            let line = std::str::from_utf8(line).map_err(|_| malformed(number, "not UTF-8"))?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (hex, name) = sum_line(line).ok_or_else(|| malformed(number, "not a line of sha256sum"))?;
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let digest = sha256(&name, &hex)?;
            items.push((name, digest));
        }
        Self::new(items)
    }
}

/// Signs the list as the model `name`: `files` serialization under SHA-256. No file is read.
///
/// # Errors
/// [`OmsError`] as for [`super::sign_as`]; nothing is left when everything in the list is ignored.
pub fn sign_digests(
    name: &str,
    list: &DigestList,
    endorser: &dyn Endorse,
    options: &SignOptions,
) -> Result<Signed, OmsError> {
    sign::listed(name, list, endorser, options)
}

/// Digest and name of one line, unescaped.
fn sum_line(line: &str) -> Option<(String, String)> {
    let (escaped, line) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hex, name) = match line.strip_prefix("SHA256 (") {
        Some(rest) => {
            let (name, hex) = rest.rsplit_once(") = ")?;
            (hex, name)
        }
        None => {
            let (hex, rest) = line.split_once(' ')?;
            // Text or binary mode, or one space only, as some tools write.
            (hex, rest.strip_prefix([' ', '*']).unwrap_or(rest))
        }
    };
    if name.is_empty() || hex.is_empty() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    Some((hex.to_owned(), if escaped { unescape(name)? } else { name.to_owned() }))
}

fn unescape(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(text)
}

fn sha256(name: &str, hex: &str) -> Result<[u8; 32], DigestListError> {
    let mut digest = [0; 32];
    if hex::decode_to_slice(hex, &mut digest).is_ok() {
        return Ok(digest);
    }
    let found = match (hex.len(), hex.bytes().all(|digit| digit.is_ascii_hexdigit())) {
        (32, true) => "an MD5 digest",
        (40, true) => "a SHA-1 digest",
        (128, true) => "a digest of 64 bytes",
        _ => "something that is no SHA-256 digest",
    };
    Err(DigestListError::Weak { name: name.to_owned(), found, advice: "list SHA-256 digests" })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonList {
    Object(BTreeMap<String, String>),
    Array(Vec<JsonItem>),
}

#[derive(Deserialize)]
struct JsonItem {
    #[serde(alias = "path")]
    name: String,
    #[serde(alias = "digest")]
    sha256: String,
}

#[derive(Deserialize)]
struct DvcFile {
    #[serde(default)]
    outs: Vec<DvcOut>,
}

#[derive(Deserialize)]
struct DvcOut {
    path: String,
    /// The hash that the other members are of; DVC leaves it out for MD5 in old files.
    hash: Option<String>,
    md5: Option<String>,
    sha256: Option<String>,
}

impl DvcOut {
    fn sha256(self) -> Result<(String, [u8; 32]), DigestListError> {
        let name = self.path;
        let weak = |found, advice| DigestListError::Weak { name: name.clone(), found, advice };
        match (self.sha256, self.hash.as_deref()) {
            (Some(hex), None | Some("sha256")) if hex.ends_with(".dir") => {
                Err(weak("the digest of a folder listing", "sign the folder itself"))
            }
            (Some(hex), None | Some("sha256")) => Ok((name.clone(), sha256(&name, &hex)?)),
            _ if self.md5.is_some() => {
                Err(weak("an MD5 digest", "MD5 has collisions: run `dvc pull` and sign the files themselves"))
            }
            _ => Err(weak("something that is no SHA-256 digest", "sign the files themselves")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";

    fn names(text: &str) -> Vec<String> {
        DigestList::parse(text.as_bytes()).unwrap().iter().map(|(name, _)| name.to_owned()).collect()
    }

    fn refusal(text: &str) -> String {
        DigestList::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn all_forms_give_the_same_list() {
        let forms = [
            format!("{ONE}  a\n{ONE} *sub/b c\n"),
            format!("# comment\r\n{ONE}  ./a\r\n{ONE}  ./sub/b c"),
            format!("SHA256 (a) = {ONE}\nSHA256 (sub/b c) = {}\n", ONE.to_uppercase()),
            format!(r#"{{"sub/b c": "sha256:{ONE}", "a": "{ONE}"}}"#),
            format!(
                r#" [{{"name": "a", "sha256": "{ONE}"}}, {{"path": "sub/b c", "digest": "sha256:{ONE}", "size": 3}}]"#
            ),
        ];
        for form in forms {
            assert_eq!(names(&form), ["a", "sub/b c"], "{form}");
        }
        assert_eq!(names(&format!("\\{ONE}  a\\nb\\\\c")), ["a\nb\\c"]);
        let dvc = format!("outs:\n- sha256: {ONE}\n  hash: sha256\n  size: 1\n  path: a\n");
        assert_eq!(
            DigestList::parse_dvc(dvc.as_bytes()).unwrap(),
            DigestList::parse(format!("{ONE}  a").as_bytes()).unwrap()
        );
    }

    #[test]
    fn weak_digests_are_refused_with_the_reason() {
        assert!(refusal("c4ca4238a0b923820dcc509a6f75849b  a").contains("MD5"));
        assert!(refusal("356a192b7913b04c54574d18c28d46e6395428ab  a").contains("SHA-1"));
        for dvc in
            ["outs:\n- md5: c4ca4238a0b923820dcc509a6f75849b\n  path: a\n", "outs:\n- md5: x\n  hash: md5\n  path: a\n"]
        {
            let error = DigestList::parse_dvc(dvc.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("MD5 has collisions"), "{error}");
        }
        assert!(DigestList::parse_dvc(b"outs:\n- etag: abc\n  path: a\n").is_err());
        let folder = format!("outs:\n- sha256: {ONE}.dir\n  path: a\n");
        assert!(DigestList::parse_dvc(folder.as_bytes()).unwrap_err().to_string().contains("folder"));
    }

    #[test]
    fn hostile_lists_are_refused() {
        for name in ["../a", "/a", "a//b", "a/./b", ".", ""] {
            assert!(DigestList::parse(format!("{ONE}  {name}").as_bytes()).is_err(), "{name:?}");
        }
        assert!(refusal(&format!("{ONE}  a\n{ONE}  a")).contains("twice"));
        assert!(refusal(&format!("{ONE}  a\n{ONE}  a/b")).contains("above"));
        assert!(refusal(&format!(r#"{{"a": "{ONE}", "a": "{ONE}"}}"#)).contains("twice"));
        for text in ["", "\n", "x", "[]", "{}", "{\"a\": 1}", "[[\"a\"]]", "SHA256 (a) = ", "abc  a"] {
            assert!(DigestList::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(DigestList::parse(b"\xff  a").is_err());
        assert!(DigestList::parse_dvc(b"outs: {").is_err());
    }

    #[test]
    fn damaged_lists_give_an_answer() {
        let seeds = [
            format!("{ONE}  a\n\\{ONE}  a\\nb\n"),
            format!(r#"[{{"name": "a", "sha256": "{ONE}"}}]"#),
            format!("outs:\n- sha256: {ONE}\n  path: a\n"),
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for round in 0..3_000 {
            let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
            match random(3) {
                0 => bytes.truncate(random(bytes.len())),
                1 => {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
                _ => {
                    let (from, to) = (random(bytes.len()), random(bytes.len()));
                    let piece = bytes[from.min(to)..from.max(to)].to_vec();
                    bytes.extend(piece);
                }
            }
            for list in [DigestList::parse(&bytes), DigestList::parse_dvc(&bytes)].into_iter().flatten() {
                assert!(list.iter().all(|(name, _)| is_safe(name)));
            }
        }
    }
}
