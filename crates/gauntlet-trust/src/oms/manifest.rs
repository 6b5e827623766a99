//! What a model signature says: every file or shard with its digest, and how the model was walked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::hash::HashType;
use super::names::{ancestry, is_safe};
use super::{PREDICATE_TYPE, Reason, ReasonCode};
use crate::shown;
use crate::statement::TYPE as STATEMENT_TYPE;
use crate::strict_json::{self, Bounds};

/// The older release format, whose subjects are the files.
const OLD_PREDICATE_TYPE: &str = "https://model_signing/Digests/v0.1";

/// A statement whose shape holds.
pub(super) struct Manifest {
    pub(super) hash: HashType,
    /// Ranges are signed, so empty files are not.
    pub(super) sharded: bool,
    pub(super) allow_symlinks: bool,
    pub(super) ignore_paths: Vec<String>,
    pub(super) root: Root,
    /// By file: its parts in order, from 0 on and touching. One part without an end for a whole file.
    pub(super) files: BTreeMap<String, Vec<Part>>,
}

/// Whether the signed root digest is that of the signed resources. A wrong one does not hide what the files are like.
pub(super) enum Root {
    Right([u8; 32]),
    /// Says how they differ.
    Wrong(String),
}

/// A signed range of a file.
pub(super) struct Part {
    pub(super) start: u64,
    /// `None`: to the end of the file, however long it is.
    pub(super) end: Option<u64>,
    pub(super) digest: Vec<u8>,
    /// Whether it is to be looked at; not every part is when only a selection is asked for.
    pub(super) wanted: bool,
}

impl Manifest {
    /// Reads a verified payload. All that is wrong with it comes back at once.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Vec<Reason>> {
        let statement: RawStatement<'_> = strict_json::from_slice(payload, &Bounds::DOCUMENT)
            .map_err(|e| vec![whole(ReasonCode::Malformed, format!("the signed statement: {e}"))])?;
        statement.types()?;
        // The bytes were checked above.
        let predicate = serde_json::from_slice(payload)
            .map(|s: WithPredicate<'_>| s.predicate)
            .map_err(|e| vec![whole(ReasonCode::Malformed, format!("the signed predicate: {e}"))])?;
        let mut reader = Reader { reasons: Vec::new() };
        let manifest = reader.manifest(&statement, predicate);
        match manifest {
            Some(manifest) if reader.reasons.is_empty() => Ok(manifest),
            _ => Err(reader.reasons),
        }
    }
}

/// SHA-256 over the raw digests of all resources in their listed order.
pub(super) fn root_digest<'a>(digests: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for digest in digests {
        hash.update(digest);
    }
    hash.finalize().into()
}

struct Reader {
    reasons: Vec<Reason>,
}

impl Reader {
    fn refuse(&mut self, code: ReasonCode, path: Option<&str>, message: String) {
        self.reasons.push(Reason { path: path.map(str::to_owned), code, message });
    }

    fn manifest(&mut self, statement: &RawStatement<'_>, predicate: RawPredicate<'_>) -> Option<Manifest> {
        let serialization = &predicate.serialization;
        let Some(hash) = HashType::from_name(&serialization.hash_type) else {
            self.refuse(ReasonCode::Unsupported, None, format!("hash type {}", shown(&serialization.hash_type)));
            return None;
        };
        let shard_size = match &*serialization.method {
            "files" => None,
            "shards" => match serialization.shard_size.as_ref().and_then(whole_number) {
                Some(size) => Some(size),
                None => {
                    let message = "`shard_size` must be a whole number above 0 when the method is `shards`";
                    self.refuse(ReasonCode::Malformed, None, message.to_owned());
                    return None;
                }
            },
            other => {
                self.refuse(ReasonCode::Unsupported, None, format!("serialization method {}", shown(other)));
                return None;
            }
        };
        for path in &serialization.ignore_paths {
            if !is_safe(path) {
                self.refuse(
                    ReasonCode::UnsafePath,
                    Some(path),
                    "signed as ignored, but no plain relative path".to_owned(),
                );
            }
        }
        let parts = self.parts(&predicate.resources, hash, shard_size);
        let root = self.root(statement, &parts);
        let files = self.files(parts, shard_size);
        let ignore_paths: Vec<String> = serialization.ignore_paths.iter().map(|p| p.clone().into_owned()).collect();
        let ignored: BTreeSet<&str> = ignore_paths.iter().map(String::as_str).collect();
        for name in files.keys() {
            if ancestry(name).any(|above| ignored.contains(above)) {
                self.refuse(ReasonCode::Malformed, Some(name), "listed as a resource and as ignored".to_owned());
            }
        }
        Some(Manifest {
            hash,
            sharded: shard_size.is_some(),
            allow_symlinks: serialization.allow_symlinks,
            ignore_paths,
            root,
            files,
        })
    }

    /// Every resource with a digest of the right length, in listed order.
    fn parts<'a>(
        &mut self,
        resources: &'a [RawResource<'_>],
        hash: HashType,
        shard_size: Option<u64>,
    ) -> Vec<(&'a str, Part)> {
        if resources.is_empty() {
            self.refuse(ReasonCode::Malformed, None, "`resources` is empty".to_owned());
        }
        let sharded_name = shard_size.map(|size| format!("{}-sharded-{size}", hash.as_str()));
        let mut names = BTreeSet::new();
        let mut parts = Vec::with_capacity(resources.len());
        for resource in resources {
            let name: &str = &resource.name;
            if !names.insert(name) {
                self.refuse(ReasonCode::Duplicate, Some(name), "listed twice".to_owned());
            }
            if resource.algorithm != hash.as_str() && sharded_name.as_deref() != Some(&*resource.algorithm) {
                let message = format!("algorithm {} where {} is announced", shown(&resource.algorithm), hash.as_str());
                self.refuse(ReasonCode::Malformed, Some(name), message);
            }
            let digest = match hex::decode(&*resource.digest) {
                Ok(digest) if digest.len() == hash.size() => digest,
                _ => {
                    let message = format!("its digest is not {} bytes in hex", hash.size());
                    self.refuse(ReasonCode::Malformed, Some(name), message);
                    continue;
                }
            };
            let (file, start, end) = match shard_size {
                None => (name, 0, None),
                Some(size) => match shard(name) {
                    Some((file, start, end)) if start < end && end - start <= size => (file, start, Some(end)),
                    _ => {
                        let message = format!("not a shard `path:start:end` of at most {size} bytes");
                        self.refuse(ReasonCode::Malformed, Some(name), message);
                        continue;
                    }
                },
            };
            // `.` is how the reference names a model that is a single file.
            if !is_safe(file) && file != "." {
                self.refuse(ReasonCode::UnsafePath, Some(name), "no plain path inside the model".to_owned());
                continue;
            }
            parts.push((file, Part { start, end, digest, wanted: true }));
        }
        parts
    }

    /// The signed root digest, and what it should be when it is another.
    fn root(&mut self, statement: &RawStatement<'_>, parts: &[(&str, Part)]) -> Root {
        let Some(signed) = statement.root() else {
            self.refuse(ReasonCode::Malformed, None, "the subject has no sha256 digest".to_owned());
            return Root::Wrong(String::new());
        };
        let actual = root_digest(parts.iter().map(|(_, part)| part.digest.as_slice()));
        let hex = hex::encode(actual);
        if signed.eq_ignore_ascii_case(&hex) {
            return Root::Right(actual);
        }
        Root::Wrong(format!("the signed root digest is {}, that of the signed resources is {hex}", shown(signed)))
    }

    fn files(&mut self, parts: Vec<(&str, Part)>, shard_size: Option<u64>) -> BTreeMap<String, Vec<Part>> {
        let mut files: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        for (file, part) in parts {
            // Look up first: most parts of a large file find their list.
            match files.get_mut(file) {
                Some(parts) => parts.push(part),
                None => {
                    files.insert(file.to_owned(), vec![part]);
                }
            }
        }
        if let Some(size) = shard_size {
            for (file, parts) in &mut files {
                parts.sort_by_key(|part| part.start);
                self.touching(file, parts, size);
            }
        }
        files
    }

    fn touching(&mut self, file: &str, parts: &[Part], size: u64) {
        let mut expected = 0;
        for (i, part) in parts.iter().enumerate() {
            let end = part.end.unwrap_or(part.start);
            if part.start > expected {
                let message = format!("bytes {expected}..{} are in no shard", part.start);
                self.refuse(ReasonCode::Incomplete, Some(file), message);
            } else if part.start < expected {
                self.refuse(ReasonCode::Malformed, Some(file), format!("shards overlap at byte {}", part.start));
            } else if i + 1 < parts.len() && end - part.start != size {
                self.refuse(
                    ReasonCode::Malformed,
                    Some(file),
                    format!("the shard at byte {} is cut short", part.start),
                );
            }
            expected = expected.max(end);
        }
    }
}

/// `path:start:end`, split at the last two colons; numbers without sign or leading zeroes.
fn shard(name: &str) -> Option<(&str, u64, u64)> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| n.to_string() == text);
    let (rest, end) = name.rsplit_once(':')?;
    let (file, start) = rest.rsplit_once(':')?;
    Some((file, number(start)?, number(end)?))
}

/// The reference writes `1024.0`: any number counts that is whole, positive and exact.
fn whole_number(number: &serde_json::Number) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = number.as_u64().or_else(|| {
        let real = number.as_f64().filter(|n| n.fract() == 0.0 && (1.0..=EXACT).contains(n))?;
        format!("{real:.0}").parse().ok()
    });
    whole.filter(|n| *n > 0)
}

fn whole(code: ReasonCode, message: String) -> Reason {
    Reason { path: None, code, message }
}

#[derive(Deserialize)]
struct RawStatement<'a> {
    #[serde(borrow, rename = "_type")]
    kind: Cow<'a, str>,
    subject: Vec<RawSubject>,
    #[serde(borrow, rename = "predicateType")]
    predicate_type: Cow<'a, str>,
}

impl RawStatement<'_> {
    fn types(&self) -> Result<(), Vec<Reason>> {
        if self.kind != STATEMENT_TYPE {
            return Err(vec![whole(ReasonCode::WrongType, format!("statement type {}", shown(&self.kind)))]);
        }
        if self.predicate_type == OLD_PREDICATE_TYPE {
            let message = "signatures of model-signing before 0.3 are not read: sign again".to_owned();
            return Err(vec![whole(ReasonCode::Unsupported, message)]);
        }
        if self.predicate_type != PREDICATE_TYPE {
            return Err(vec![whole(ReasonCode::WrongType, format!("predicate type {}", shown(&self.predicate_type)))]);
        }
        if self.subject.len() != 1 {
            let message = format!("{} subjects where one is wanted", self.subject.len());
            return Err(vec![whole(ReasonCode::Malformed, message)]);
        }
        Ok(())
    }

    fn root(&self) -> Option<&str> {
        self.subject.first()?.digest.get("sha256").map(String::as_str)
    }
}

#[derive(Deserialize)]
struct RawSubject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// Read in a second step, because other predicate types have predicates of other shapes.
#[derive(Deserialize)]
struct WithPredicate<'a> {
    #[serde(borrow)]
    predicate: RawPredicate<'a>,
}

#[derive(Deserialize)]
struct RawPredicate<'a> {
    #[serde(borrow)]
    serialization: RawSerialization<'a>,
    #[serde(borrow)]
    resources: Vec<RawResource<'a>>,
}

#[derive(Deserialize)]
struct RawSerialization<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    hash_type: Cow<'a, str>,
    shard_size: Option<serde_json::Number>,
    #[serde(default)]
    allow_symlinks: bool,
    #[serde(borrow, default)]
    ignore_paths: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawResource<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
}

/// A statement about to be signed. Members are written in this order, without white space, in UTF-8.
#[derive(Serialize)]
pub(super) struct WrittenStatement<'a> {
    #[serde(rename = "_type")]
    pub(super) kind: &'static str,
    pub(super) subject: [WrittenSubject<'a>; 1],
    #[serde(rename = "predicateType")]
    pub(super) predicate_type: &'static str,
    pub(super) predicate: WrittenPredicate<'a>,
}

#[derive(Serialize)]
pub(super) struct WrittenSubject<'a> {
    pub(super) name: &'a str,
    pub(super) digest: WrittenDigest,
}

#[derive(Serialize)]
pub(super) struct WrittenDigest {
    pub(super) sha256: String,
}

#[derive(Serialize)]
pub(super) struct WrittenPredicate<'a> {
    pub(super) serialization: WrittenSerialization<'a>,
    pub(super) resources: Vec<WrittenResource>,
}

#[derive(Serialize)]
pub(super) struct WrittenSerialization<'a> {
    pub(super) method: &'static str,
    pub(super) hash_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shard_size: Option<u64>,
    pub(super) allow_symlinks: bool,
    pub(super) ignore_paths: &'a [String],
}

#[derive(Serialize)]
pub(super) struct WrittenResource {
    pub(super) name: String,
    pub(super) algorithm: &'static str,
    pub(super) digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(serialization: &str, resources: &str, root: &str) -> String {
        format!(
            r#"{{"_type":"{STATEMENT_TYPE}","subject":[{{"digest":{{"sha256":"{root}"}}}}],"predicateType":"{PREDICATE_TYPE}","predicate":{{"serialization":{serialization},"resources":[{resources}]}}}}"#
        )
    }

    fn codes(payload: &str) -> Vec<ReasonCode> {
        match Manifest::parse(payload.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(reasons) => reasons.into_iter().map(|r| r.code).collect(),
        }
    }

    fn shards(names: &[&str]) -> String {
        let digest = "00".repeat(32);
        let list = |n: &&str| format!(r#"{{"name":"{n}","algorithm":"sha256","digest":"{digest}"}}"#);
        let resources: Vec<String> = names.iter().map(list).collect();
        let root = hex::encode(root_digest(names.iter().map(|_| [0; 32].as_slice()).collect::<Vec<_>>()));
        statement(r#"{"method":"shards","hash_type":"sha256","shard_size":10.0}"#, &resources.join(","), &root)
    }

    #[test]
    fn shards_must_cover_a_file_without_hole_or_overlap() {
        assert_eq!(codes(&shards(&["a:b:0:10", "a:b:10:12", "c:0:1"])), []);
        assert_eq!(codes(&shards(&["c:10:12", "c:0:10"])), [], "in any order");
        assert_eq!(codes(&shards(&["c:1:10"])), [ReasonCode::Incomplete]);
        assert_eq!(codes(&shards(&["c:0:10", "c:20:30"])), [ReasonCode::Incomplete]);
        assert_eq!(codes(&shards(&["c:0:10", "c:5:12"])), [ReasonCode::Malformed]);
        assert_eq!(codes(&shards(&["c:0:5", "c:5:12"])), [ReasonCode::Malformed], "only the last may be shorter");
        for odd in ["c:0:11", "c:0:0", "c:5:1", "c:00:5", "c:+0:5", "c:0", "c", "c:0:99999999999999999999"] {
            assert_eq!(codes(&shards(&[odd])), [ReasonCode::Malformed], "{odd}");
        }
        assert_eq!(codes(&shards(&["../c:0:5"])), [ReasonCode::UnsafePath]);
    }

    #[test]
    fn shard_sizes_may_be_written_as_reals_when_whole() {
        let read = |text: &str| whole_number(&serde_json::from_str(text).unwrap());
        assert_eq!(read("1024.0"), Some(1024));
        assert_eq!(read("1e9"), Some(1_000_000_000));
        assert_eq!(read("7"), Some(7));
        for odd in ["0", "0.0", "-1", "1.5", "1e300", "-0.0"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let resources =
            r#"{"name":"/a","algorithm":"sha256","digest":"00"},{"name":"b","algorithm":"md5","digest":"zz"}"#;
        let payload = statement(r#"{"method":"files","hash_type":"sha256","ignore_paths":["."]}"#, resources, "00");
        use ReasonCode::{Malformed, UnsafePath};
        assert_eq!(codes(&payload), [UnsafePath, Malformed, Malformed, Malformed]);
    }
}
