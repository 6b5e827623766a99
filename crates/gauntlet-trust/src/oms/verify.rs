//! Judging a model against its signature: first the bundle, then what it says, then every file on disk.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use gauntlet_core::{Algorithm, Digest, Verdict};

use super::bundle::{Bundle, Material, hint};
use super::hash::Job;
use super::manifest::{Manifest, Part, Root};
use super::names::{Ignored, is_safe};
use super::place::{Local, Place};
use super::sign::leaving;
use super::walk::{FoundFile, OddityKind, WalkError, Walked};
use super::{Reason, ReasonCode, Trust, Unsigned, UnsignedWhy, Verification, VerifyOptions, certificate, sigstore};
use crate::dsse::{Envelope, IN_TOTO};
use crate::keys::{KeyKind, VerifyingKey};
use crate::shown;

/// Verifies `model` against the bytes of a signature file. The model is touched only once the signature holds.
///
/// Every difference is reported, not only the first. What could not be read makes the verdict `error`, unless
/// something else already makes it `fail`.
#[must_use]
pub fn verify(model: &Path, bundle: &[u8], trust: &Trust, options: &VerifyOptions) -> Verification {
    verify_any(model, bundle, std::slice::from_ref(trust), options)
}

/// As [`verify`], for a caller who trusts in several ways: the one that fits the method of the bundle counts.
#[must_use]
pub fn verify_any(model: &Path, bundle: &[u8], trust: &[Trust], options: &VerifyOptions) -> Verification {
    verify_at(&Local { model, options }, bundle, trust, options)
}

/// Verifies the model at `place`, wherever its bytes lie.
pub(super) fn verify_at(place: &dyn Place, bundle: &[u8], trust: &[Trust], options: &VerifyOptions) -> Verification {
    let mut judge = Judge::new(options);
    if let Some(manifest) = judge.manifest(bundle, trust) {
        judge.model(place, &manifest);
    }
    judge.conclude()
}

impl Verification {
    pub(super) fn empty() -> Self {
        Self {
            verdict: Verdict::Error,
            reasons: Vec::new(),
            unsigned: Vec::new(),
            warnings: Vec::new(),
            signer: None,
            certificate: None,
            identity: None,
            moment: None,
            root_digest: None,
            method: None,
            files: 0,
            bytes: 0,
        }
    }

    /// Orders what was found, and draws the verdict from it.
    pub(super) fn conclude(mut self) -> Self {
        self.reasons.sort();
        self.reasons.dedup();
        self.unsigned.sort();
        self.verdict = match self.reasons.as_slice() {
            [] => Verdict::Pass,
            reasons if reasons.iter().all(|reason| self.is_open(reason)) => Verdict::Error,
            _ => Verdict::Fail,
        };
        self
    }
}

pub(super) struct Judge<'a> {
    options: &'a VerifyOptions,
    pub(super) found: Verification,
}

impl<'a> Judge<'a> {
    pub(super) fn new(options: &'a VerifyOptions) -> Self {
        Self { options, found: Verification::empty() }
    }

    pub(super) fn reason(&mut self, code: ReasonCode, path: Option<&str>, message: impl Into<String>) {
        self.found.reasons.push(Reason { path: path.map(str::to_owned), code, message: message.into() });
    }

    fn unsigned(&mut self, path: &str, why: UnsignedWhy) {
        self.found.unsigned.push(Unsigned { path: path.to_owned(), why });
    }

    /// What is signed, if trust reaches it and its shape holds.
    pub(super) fn manifest(&mut self, bytes: &[u8], trust: &[Trust]) -> Option<Manifest> {
        let bundle = match Bundle::parse(bytes) {
            Ok(bundle) => bundle,
            Err((code, message)) => {
                self.reason(code, None, message);
                return None;
            }
        };
        self.found.method = Some(bundle.material.method());
        let payload = self.signed_payload(&bundle, bytes, trust)?;
        let manifest = Manifest::parse(payload).map_err(|reasons| self.found.reasons.extend(reasons)).ok()?;
        match &manifest.root {
            Root::Right(bytes) => self.found.root_digest = Digest::new(Algorithm::Sha256, bytes).ok(),
            Root::Wrong(message) => self.reason(ReasonCode::RootDigestMismatch, None, message),
        }
        Some(manifest)
    }

    /// The payload, if trust reaches it. Each method has its own way there.
    fn signed_payload<'b>(&mut self, bundle: &'b Bundle, bytes: &[u8], trust: &[Trust]) -> Option<&'b [u8]> {
        let method = bundle.material.method();
        let Some(trust) = trust.iter().find(|one| one.method() == method) else {
            let trusted: Vec<&str> = trust.iter().map(|one| one.method().as_str()).collect();
            let message = format!(
                "signed by {}, but only signatures by {} are trusted here",
                method.as_str(),
                trusted.join(" or ")
            );
            self.reason(ReasonCode::WrongMethod, None, message);
            return None;
        };
        match (trust, &bundle.material) {
            (Trust::Keys(keys), Material::Key(named)) => {
                self.hint(named.as_deref(), keys)?;
                self.signature(&bundle.envelope, keys)
            }
            (Trust::Certificates(trust), Material::Certificates { leaf, intermediates }) => {
                let stamped = certificate::Stamped { envelope: &bundle.envelope, time_stamps: &bundle.time_stamps };
                let key = certificate::judge(&mut self.found, leaf, intermediates, &stamped, trust)?;
                let payload = self.signature(&bundle.envelope, &[key]);
                if payload.is_none() {
                    // Nobody signed: a name would only look as if somebody had.
                    (self.found.certificate, self.found.moment) = (None, None);
                }
                payload
            }
            (Trust::Sigstore(trust), Material::Sigstore) => {
                sigstore::model(&mut self.found, bytes, trust)?;
                self.payload_type(bundle.envelope.unverified_payload_type())?;
                Some(bundle.envelope.unverified_payload())
            }
            // The method of the trust is that of the bundle. Were it ever not, silence would be a pass.
            _ => {
                self.reason(ReasonCode::WrongMethod, None, "the trust does not fit the method of the signature");
                None
            }
        }
    }

    fn hint(&mut self, named: Option<&str>, keys: &[VerifyingKey]) -> Option<()> {
        let Some(named) = named else {
            self.found.warnings.push("the signature does not say which key it was made with".to_owned());
            return Some(());
        };
        let known = keys.iter().any(|key| hint(key).is_ok_and(|own| own.eq_ignore_ascii_case(named)));
        if !known {
            self.reason(
                ReasonCode::WrongKey,
                None,
                format!("signed with another key: its fingerprint is {}", shown(named)),
            );
        }
        known.then_some(())
    }

    fn signature<'b>(&mut self, envelope: &'b Envelope, keys: &[VerifyingKey]) -> Option<&'b [u8]> {
        // The format knows the NIST curves only.
        let keys: Vec<VerifyingKey> = keys.iter().filter(|key| key.kind() != KeyKind::Ed25519).cloned().collect();
        let verified = match envelope.verify(&keys, NonZeroUsize::MIN) {
            Ok(verified) => verified,
            Err(error) => {
                self.reason(ReasonCode::BadSignature, None, error.to_string());
                return None;
            }
        };
        self.payload_type(verified.payload_type)?;
        self.found.signer = verified.signers.first().map(|key| key.key_id());
        Some(verified.payload)
    }

    fn payload_type(&mut self, kind: &str) -> Option<()> {
        if kind != IN_TOTO {
            self.reason(ReasonCode::WrongType, None, format!("payload type {}", shown(kind)));
            return None;
        }
        Some(())
    }

    pub(super) fn model(&mut self, place: &dyn Place, manifest: &Manifest) {
        for path in &self.options.ignore {
            if !is_safe(path) {
                let message = "given as an ignore path, but no plain relative path";
                return self.reason(ReasonCode::UnsafePath, Some(path), message);
            }
        }
        let callers = self.options.ignore.iter().map(String::as_str);
        let mut ignored = Ignored::new(callers.chain(manifest.ignore_paths.iter().map(String::as_str)));
        let wanted: BTreeSet<&str> = manifest.files.keys().map(String::as_str).collect();
        let follow = manifest.allow_symlinks && !self.options.refuse_symlinks;
        match place.walk(follow, &mut ignored, &wanted) {
            Ok(walked) => self.compare(place, manifest, &walked),
            Err(WalkError::Io { path, source }) => {
                self.reason(ReasonCode::Unreadable, None, format!("{}: {source}", path.display()));
            }
            Err(WalkError::Limit(hit)) => self.reason(ReasonCode::Limit, None, hit.to_string()),
        }
    }

    fn compare(&mut self, place: &dyn Place, manifest: &Manifest, walked: &Walked) {
        let met = self.oddities(manifest, walked);
        let mut jobs = Vec::new();
        let mut judged = Vec::new();
        let mut present: BTreeSet<&str> = BTreeSet::new();
        for file in &walked.files {
            let signed = manifest.files.get_key_value(&file.name);
            // A single file may be signed as `.`, which names the model itself.
            let signed = signed.or_else(|| manifest.files.get_key_value(".").filter(|_| walked.single));
            let Some((name, parts)) = signed else {
                self.unexpected(file, manifest);
                continue;
            };
            present.insert(name);
            self.found.files += 1;
            self.plan(file, name, parts, &mut jobs, &mut judged);
        }
        for name in manifest.files.keys().map(String::as_str) {
            if !present.contains(name) && !met.explains(name) {
                self.reason(ReasonCode::MissingFile, Some(name), "signed, but not there");
            }
        }
        if place.all_or_nothing() && !self.found.reasons.is_empty() {
            let note = "no file was read, because what is there is already not what was signed";
            self.found.warnings.push(note.to_owned());
        } else {
            self.hash(place, manifest, &jobs, &judged);
        }
        for (path, why) in &walked.left_out {
            self.unsigned(path, *why);
        }
        self.found.warnings.extend(leaving(&walked.files));
        self.found.warnings.extend(walked.notes.iter().cloned());
    }

    /// Judges what is no plain file, and tells what that explains of the missing names.
    fn oddities(&mut self, manifest: &Manifest, walked: &Walked) -> Met {
        let mut met = Met::default();
        for oddity in &walked.oddities {
            let path = oddity.path.as_str();
            let signed = manifest.files.contains_key(path);
            match &oddity.kind {
                OddityKind::Link => {
                    let message = if manifest.allow_symlinks {
                        "a link, which the caller does not allow"
                    } else {
                        "a link, which the signature does not allow"
                    };
                    self.reason(ReasonCode::Symlink, Some(path), message);
                }
                OddityKind::LinkToFolder => {
                    self.reason(ReasonCode::Symlink, Some(path), "a link to a folder: what is in it is not signed");
                }
                OddityKind::DanglingLink => {
                    self.reason(ReasonCode::Symlink, Some(path), "a link that leads to nothing");
                }
                OddityKind::Unreadable(source) => {
                    self.reason(ReasonCode::Unreadable, Some(path), source.to_string());
                    met.unreadable.push(path.to_owned());
                }
                OddityKind::Special if signed => {
                    self.reason(ReasonCode::MissingFile, Some(path), "signed as a file, but a pipe, socket or device");
                }
                OddityKind::Special if self.options.ignore_unsigned => self.unsigned(path, UnsignedWhy::Allowed),
                OddityKind::Special => {
                    self.reason(ReasonCode::UnexpectedFile, Some(path), "a pipe, socket or device");
                }
                OddityKind::UnsafeName => {
                    self.reason(ReasonCode::UnsafePath, Some(path), "the server lists a name that no model has");
                }
                OddityKind::Doubled => self.reason(ReasonCode::Duplicate, Some(path), "the server lists it twice"),
                OddityKind::NameNotText if self.options.ignore_unsigned => self.unsigned(path, UnsignedWhy::Allowed),
                OddityKind::NameNotText => {
                    self.reason(ReasonCode::UnexpectedFile, Some(path), "not signed: its name is not UTF-8");
                }
            }
            met.seen.insert(path.to_owned());
        }
        met
    }

    fn unexpected(&mut self, file: &FoundFile, manifest: &Manifest) {
        if file.ignored {
            self.unsigned(&file.name, UnsignedWhy::Ignored);
        } else if manifest.sharded && file.size == 0 {
            self.unsigned(&file.name, UnsignedWhy::Empty);
        } else if self.options.ignore_unsigned {
            self.unsigned(&file.name, UnsignedWhy::Allowed);
        } else {
            self.reason(ReasonCode::UnexpectedFile, Some(&file.name), "there, but not signed");
        }
    }

    /// Queues the parts of one file that can be compared at all.
    fn plan<'f>(
        &mut self,
        file: &'f FoundFile,
        name: &'f str,
        parts: &'f [Part],
        jobs: &mut Vec<Job<'f>>,
        judged: &mut Vec<(&'f str, &'f Part)>,
    ) {
        if let Some(signed) = parts.last().and_then(|part| part.end).filter(|end| *end != file.size) {
            let message = format!("{signed} bytes are signed, the file has {}", file.size);
            self.reason(ReasonCode::DigestMismatch, Some(name), message);
        }
        for part in parts.iter().filter(|part| part.wanted) {
            let end = part.end.unwrap_or(file.size);
            if end <= file.size {
                jobs.push(Job {
                    name: &file.name,
                    path: &file.path,
                    follow: file.linked,
                    size: file.size,
                    start: part.start,
                    end,
                    signed: Some(&part.digest),
                });
                judged.push((name, part));
            }
        }
    }

    fn hash(&mut self, place: &dyn Place, manifest: &Manifest, jobs: &[Job<'_>], judged: &[(&str, &Part)]) {
        for ((job, (name, part)), result) in jobs.iter().zip(judged).zip(place.hash_all(manifest.hash, jobs)) {
            match result {
                Ok(digest) if digest == part.digest => self.found.bytes += job.end - job.start,
                Ok(digest) => {
                    self.found.bytes += job.end - job.start;
                    let what = part.end.map_or(String::new(), |end| format!("bytes {}..{end}: ", part.start));
                    let (is, was) = (hex::encode(digest), hex::encode(&part.digest));
                    let message = format!("{what}{} is {is}, signed is {was}", manifest.hash.as_str());
                    self.reason(ReasonCode::DigestMismatch, Some(name), message);
                }
                Err(error) => self.reason(ReasonCode::Unreadable, Some(name), error.to_string()),
            }
        }
    }

    pub(super) fn conclude(self) -> Verification {
        self.found.conclude()
    }
}

/// Paths at which something other than a file was met.
#[derive(Default)]
struct Met {
    seen: BTreeSet<String>,
    unreadable: Vec<String>,
}

impl Met {
    /// Whether it is already told why `name` was not found: something else is there, or a folder above is unreadable.
    fn explains(&self, name: &str) -> bool {
        let below = |folder: &String| {
            folder.is_empty() || name.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.seen.contains(name) || self.unreadable.iter().any(below)
    }
}
