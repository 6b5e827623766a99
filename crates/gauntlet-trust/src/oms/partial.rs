//! Verifying some files or shards of a model and saying so: the answer can never be taken for one about the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use gauntlet_core::{Digest, Verdict};
use serde::Serialize;

use super::hash::{HashType, Job, hash_all};
use super::manifest::{Manifest, Part};
use super::names::Ignored;
use super::place::Place;
use super::verify::Judge;
use super::walk::{WalkError, Walked, pick};
use super::{Method, Moment, Reason, ReasonCode, SignerCertificate, Trust, VerifyOptions};
use crate::shown;

/// What to look at: `PATH`, or `PATH:START:END` for the signed shards that make up exactly these bytes.
///
/// A signed file of that very name comes first, so that names with colons can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection(pub String);

/// What verification of a selection found.
#[derive(Clone, Debug, Serialize)]
pub struct Partial {
    /// `partial` at best; there is no `pass`.
    pub verdict: PartialVerdict,
    /// Everything that speaks against the selected parts, sorted by path.
    pub reasons: Vec<Reason>,
    /// What a person should know although it changes nothing.
    pub warnings: Vec<String>,
    /// Key id of the trusted key that signed.
    pub signer: Option<String>,
    /// The certificate it is in, where trust came by one.
    pub certificate: Option<SignerCertificate>,
    /// What fixed the time at which the certificate had to be valid.
    pub moment: Option<Moment>,
    /// The signed root digest of the whole model.
    pub root_digest: Option<Digest>,
    /// How the bundle was signed, once it could be read.
    pub method: Option<Method>,
    /// The selected parts that were hashed, in order of name and offset.
    pub looked_at: Vec<LookedAt>,
    /// Signed files of which nothing was looked at, sorted. Whether they are there is not known either.
    pub not_looked_at: Vec<String>,
    /// Bytes that were hashed.
    pub bytes: u64,
}

/// The answer about a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartialVerdict {
    /// The selected parts are the signed ones; about the rest nothing is known.
    Partial,
    /// Something selected is not what was signed, or the signature does not hold.
    Fail,
    /// Could not be judged.
    Error,
}

/// A file, or a range of one, that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LookedAt {
    /// The path inside the model.
    pub path: String,
    /// First byte.
    pub start: u64,
    /// One past the last byte; absent when the file is signed as a whole.
    pub end: Option<u64>,
}

/// Verifies the signature, then only what `only` names. No folder is listed, so nothing is known about other files.
///
/// What is asked for and not signed makes the verdict `fail`; so does an empty selection.
#[must_use]
pub fn verify_only(
    model: &Path,
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
    only: &[Selection],
) -> Partial {
    only_at(&Picked { model, options }, bundle, trust, options, only)
}

/// [`verify_only`] wherever the bytes lie; `place` lists nothing but what it is asked for.
pub(super) fn only_at(
    place: &dyn Place,
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
    only: &[Selection],
) -> Partial {
    let mut judge = Judge::new(options);
    let (mut looked_at, mut not_looked_at) = (Vec::new(), Vec::new());
    if let Some(manifest) = judge.manifest(bundle, trust) {
        let chosen;
        (chosen, not_looked_at) = choose(manifest, only, &mut judge);
        looked_at = chosen.files.iter().flat_map(|(path, parts)| wanted(path, parts)).collect();
        if !chosen.files.is_empty() {
            judge.model(place, &chosen);
        }
    }
    let found = judge.conclude();
    Partial {
        verdict: match found.verdict {
            Verdict::Pass | Verdict::Warn => PartialVerdict::Partial,
            Verdict::Fail => PartialVerdict::Fail,
            Verdict::Error => PartialVerdict::Error,
        },
        reasons: found.reasons,
        warnings: found.warnings,
        signer: found.signer,
        certificate: found.certificate,
        moment: found.moment,
        root_digest: found.root_digest,
        method: found.method,
        looked_at,
        not_looked_at,
        bytes: found.bytes,
    }
}

/// The manifest cut down to the selection, and the names that are left out.
fn choose(manifest: Manifest, only: &[Selection], judge: &mut Judge<'_>) -> (Manifest, Vec<String>) {
    if only.is_empty() {
        judge.reason(ReasonCode::Incomplete, None, "nothing was selected");
    }
    let mut ranges: BTreeMap<&str, Vec<Option<(u64, u64)>>> = BTreeMap::new();
    for Selection(text) in only {
        match resolve(&manifest, text) {
            Ok((name, range)) => ranges.entry(name).or_default().push(range),
            Err((code, message)) => judge.reason(code, Some(text), message),
        }
    }
    let chosen: BTreeMap<String, Vec<Option<(u64, u64)>>> =
        ranges.into_iter().map(|(name, ranges)| (name.to_owned(), ranges)).collect();
    let (mut files, mut left_out) = (BTreeMap::new(), Vec::new());
    for (name, mut parts) in manifest.files {
        let Some(ranges) = chosen.get(&name) else {
            left_out.push(name);
            continue;
        };
        for part in &mut parts {
            let inside = |range: &Option<(u64, u64)>| match (range, part.end) {
                (None, _) => true,
                (Some((start, end)), Some(part_end)) => *start <= part.start && part_end <= *end,
                (Some(_), None) => false,
            };
            part.wanted = ranges.iter().any(inside);
        }
        files.insert(name, parts);
    }
    (Manifest { files, ..manifest }, left_out)
}

/// The name of a signed file, and the range of it that one shard covers.
type Resolved<'m> = (&'m str, Option<(u64, u64)>);

/// The signed file that `text` names, and the range of it.
fn resolve<'m>(manifest: &'m Manifest, text: &str) -> Result<Resolved<'m>, (ReasonCode, String)> {
    if let Some((name, _)) = manifest.files.get_key_value(text) {
        return Ok((name, None));
    }
    let not_signed = || (ReasonCode::UnexpectedFile, "asked for, but not signed".to_owned());
    let (file, start, end) = range(text).ok_or_else(not_signed)?;
    let (name, parts) = manifest.files.get_key_value(file).ok_or_else(not_signed)?;
    if !manifest.sharded {
        let message = format!("{} is signed as a whole: a range of it cannot be checked", shown(file));
        return Err((ReasonCode::Incomplete, message));
    }
    let starts = parts.iter().any(|part| part.start == start);
    let ends = parts.iter().any(|part| part.end == Some(end));
    if start < end && starts && ends {
        return Ok((name, Some((start, end))));
    }
    let signed: Vec<String> =
        parts.iter().take(3).map(|part| format!("{}:{}", part.start, part.end.unwrap_or_default())).collect();
    let more = if parts.len() > signed.len() { ", …" } else { "" };
    let message = format!("no signed shards begin and end there; they are {}{more}", signed.join(", "));
    Err((ReasonCode::Incomplete, message))
}

fn range(text: &str) -> Option<(&str, u64, u64)> {
    let (rest, end) = text.rsplit_once(':')?;
    let (file, start) = rest.rsplit_once(':')?;
    Some((file, start.parse().ok()?, end.parse().ok()?))
}

fn wanted<'p>(path: &'p str, parts: &'p [Part]) -> impl Iterator<Item = LookedAt> + 'p {
    let parts = parts.iter().filter(|part| part.wanted);
    parts.map(|part| LookedAt { path: path.to_owned(), start: part.start, end: part.end })
}

/// A file or folder of which only the names asked for are touched.
struct Picked<'a> {
    model: &'a Path,
    options: &'a VerifyOptions,
}

impl Place for Picked<'_> {
    fn walk(&self, follow: bool, _: &mut Ignored, wanted: &BTreeSet<&str>) -> Result<Walked, WalkError> {
        pick(self.model, follow, wanted)
    }

    fn hash_all(&self, hash: HashType, jobs: &[Job<'_>]) -> Vec<io::Result<Vec<u8>>> {
        hash_all(hash, jobs, &self.options.hashing)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::keys::{KeyKind, SigningKey};
    use crate::oms::{Serialization, SignOptions, sign};

    struct Model {
        folder: tempfile::TempDir,
        bundle: Vec<u8>,
        trust: Trust,
    }

    fn model(serialization: Serialization) -> Model {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("a.bin"), b"0123456789").unwrap();
        std::fs::write(folder.path().join("sub/b:1:2"), b"bb").unwrap();
        std::fs::write(folder.path().join("c"), b"c").unwrap();
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let options = SignOptions { serialization, ..SignOptions::default() };
        let bundle = sign(folder.path(), &key, &options).unwrap().bundle;
        Model { folder, bundle, trust: Trust::Keys(vec![key.verifying_key().clone()]) }
    }

    impl Model {
        fn only(&self, only: &[&str]) -> Partial {
            let only: Vec<Selection> = only.iter().map(|text| Selection((*text).to_owned())).collect();
            verify_only(
                self.folder.path(),
                &self.bundle,
                std::slice::from_ref(&self.trust),
                &VerifyOptions::default(),
                &only,
            )
        }

        fn codes(&self, only: &[&str]) -> Vec<ReasonCode> {
            self.only(only).reasons.iter().map(|reason| reason.code).collect()
        }
    }

    fn shards() -> Serialization {
        Serialization::Shards(NonZeroU64::new(4).unwrap())
    }

    #[test]
    fn a_file_is_judged_without_the_others_and_never_passes() {
        let model = model(Serialization::Files);
        std::fs::write(model.folder.path().join("c"), b"changed").unwrap();
        std::fs::write(model.folder.path().join("extra"), b"x").unwrap();
        let found = model.only(&["a.bin", "sub/b:1:2"]);
        assert_eq!(found.verdict, PartialVerdict::Partial, "{:?}", found.reasons);
        assert_eq!(found.not_looked_at, ["c"]);
        assert_eq!(found.looked_at.len(), 2);
        assert_eq!(found.bytes, 12);
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["verdict"], "partial");
        assert_eq!(model.codes(&["c"]), [ReasonCode::DigestMismatch]);
        assert_eq!(model.only(&["c"]).verdict, PartialVerdict::Fail);
    }

    #[test]
    fn what_is_not_signed_or_not_there_fails() {
        let model = model(Serialization::Files);
        std::fs::write(model.folder.path().join("extra"), b"x").unwrap();
        assert_eq!(model.codes(&["extra"]), [ReasonCode::UnexpectedFile]);
        assert_eq!(model.codes(&["../etc/passwd"]), [ReasonCode::UnexpectedFile]);
        assert_eq!(model.codes(&[]), [ReasonCode::Incomplete]);
        assert_eq!(model.codes(&["a.bin:0:4"]), [ReasonCode::Incomplete]);
        std::fs::remove_file(model.folder.path().join("a.bin")).unwrap();
        assert_eq!(model.codes(&["a.bin"]), [ReasonCode::MissingFile]);
    }

    #[test]
    fn a_shard_is_judged_by_its_own_bytes_and_the_size_of_its_file() {
        let model = model(shards());
        let path = model.folder.path().join("a.bin");
        std::fs::write(&path, b"0123456X89").unwrap();
        let found = model.only(&["a.bin:0:4"]);
        assert_eq!(found.verdict, PartialVerdict::Partial, "{:?}", found.reasons);
        assert_eq!(found.bytes, 4);
        assert_eq!(found.looked_at, [LookedAt { path: "a.bin".to_owned(), start: 0, end: Some(4) }]);
        assert_eq!(model.codes(&["a.bin:4:8"]), [ReasonCode::DigestMismatch]);
        assert_eq!(model.codes(&["a.bin:0:8"]), [ReasonCode::DigestMismatch]);
        assert_eq!(model.codes(&["a.bin:1:4"]), [ReasonCode::Incomplete]);
        assert_eq!(model.codes(&["a.bin:4:0"]), [ReasonCode::Incomplete]);
        std::fs::write(&path, b"0123").unwrap();
        assert_eq!(model.codes(&["a.bin:0:4"]), [ReasonCode::DigestMismatch], "the file was cut behind the shard");
    }

    #[test]
    fn links_on_the_way_are_refused() {
        let model = model(Serialization::Files);
        let folder = model.folder.path();
        std::fs::rename(folder.join("sub"), folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.join("sub")).unwrap();
        assert!(model.codes(&["sub/b:1:2"]).contains(&ReasonCode::Symlink));
        std::fs::rename(folder.join("c"), folder.join("d")).unwrap();
        std::os::unix::fs::symlink("d", folder.join("c")).unwrap();
        assert_eq!(model.codes(&["c"]), [ReasonCode::Symlink]);
    }

    #[test]
    fn nothing_is_looked_at_when_the_signature_does_not_hold() {
        let model = model(Serialization::Files);
        let other = SigningKey::generate(KeyKind::P256).unwrap();
        let trust = Trust::Keys(vec![other.verifying_key().clone()]);
        let only = [Selection("a.bin".to_owned())];
        let found = verify_only(model.folder.path(), &model.bundle, &[trust], &VerifyOptions::default(), &only);
        assert_eq!(found.verdict, PartialVerdict::Fail);
        assert!(found.looked_at.is_empty() && found.bytes == 0 && found.root_digest.is_none());
    }
}
