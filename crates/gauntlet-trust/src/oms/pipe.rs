//! A single-file model on its way from one stream into another: the last block is handed over only once it is right.

use std::io::{self, Read, Write};

use super::hash::{HashType, Hasher};
use super::manifest::Part;
use super::verify::Judge;
use super::{ReasonCode, Trust, Verification, VerifyOptions};
use crate::shown;
use crate::source::Source;

/// Bytes that are held back until the digest is known to be right. A shorter model is held back whole.
const HELD: usize = 1 << 20;
const PIECE: usize = 256 << 10;

/// Where a stream comes from.
pub enum Stream<'a> {
    /// An open file, a pipe.
    Reader(&'a mut dyn Read),
    /// A source that is a single file.
    Source(&'a dyn Source),
}

/// Verifies a single-file model while copying it to `out`. Unless the verdict is `pass`, the last [`HELD`] bytes are
/// never written: whoever reads `out` has to treat an end without success as no model at all.
#[must_use]
pub fn verify_stream(
    from: Stream<'_>,
    bundle: &[u8],
    trust: &[Trust],
    options: &VerifyOptions,
    out: &mut dyn Write,
) -> Verification {
    let mut judge = Judge::new(options);
    let Some(manifest) = judge.manifest(bundle, trust) else { return judge.conclude() };
    let (Some((name, parts)), 1) = (manifest.files.first_key_value(), manifest.files.len()) else {
        let message = format!("a stream is one file, and {} are signed", manifest.files.len());
        judge.reason(ReasonCode::Unsupported, None, message);
        return judge.conclude();
    };
    if !judge.found.reasons.is_empty() {
        return judge.conclude();
    }
    if let Stream::Source(source) = &from
        && name != "."
        && source.single() != Some(name)
    {
        judge.found.warnings.push(format!("the file is signed as {}", shown(name)));
    }
    let mut gate = Gate::new(manifest.hash, parts, out);
    let passed = pump(from, &mut |bytes| {
        options.hashing.done(bytes.len() as u64);
        gate.push(bytes)
    });
    let result = passed.and_then(|()| gate.finish());
    judge.found.files = 1;
    judge.found.bytes = gate.offset;
    if let Err(error) = result {
        let (code, message) = gate.reason.take().unwrap_or_else(|| (ReasonCode::Unreadable, error.to_string()));
        judge.reason(code, Some(name), message);
    }
    judge.conclude()
}

fn pump(from: Stream<'_>, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    match from {
        Stream::Source(source) => {
            let name = source.single().ok_or_else(|| io::Error::other("a folder cannot be streamed"))?;
            let size = source.size(name)?.ok_or(io::ErrorKind::NotFound)?;
            source.read(name, size, 0..size, take)
        }
        Stream::Reader(reader) => {
            let mut buffer = vec![0; PIECE];
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => take(&buffer[..n])?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Hashes what passes against the parts of one file and lets go of it late.
struct Gate<'a> {
    hash: HashType,
    parts: std::slice::Iter<'a, Part>,
    /// The part that the stream is in; `None` behind the last one.
    part: Option<&'a Part>,
    hasher: Hasher,
    offset: u64,
    held: Vec<u8>,
    out: &'a mut dyn Write,
    /// Why the gate closed.
    reason: Option<(ReasonCode, String)>,
}

impl<'a> Gate<'a> {
    fn new(hash: HashType, parts: &'a [Part], out: &'a mut dyn Write) -> Self {
        let mut parts = parts.iter();
        let part = parts.next();
        Self { hash, parts, part, hasher: Hasher::new(hash), offset: 0, held: Vec::new(), out, reason: None }
    }

    fn refuse(&mut self, code: ReasonCode, message: String) -> io::Error {
        self.reason = Some((code, message));
        io::ErrorKind::InvalidData.into()
    }

    fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(part) = self.part else {
                let message = format!("the stream goes on behind the {} signed bytes", self.offset);
                return Err(self.refuse(ReasonCode::DigestMismatch, message));
            };
            let room = part.end.map_or(u64::MAX, |end| end - self.offset);
            let (now, rest) = bytes.split_at(usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
            self.hasher.update(now);
            self.hold(now)?;
            self.offset += now.len() as u64;
            bytes = rest;
            if part.end == Some(self.offset) {
                self.close(part)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, part: &Part) -> io::Result<()> {
        let digest = std::mem::replace(&mut self.hasher, Hasher::new(self.hash)).finish();
        if digest != part.digest {
            let (is, was) = (hex::encode(digest), hex::encode(&part.digest));
            let message = format!("{} is {is}, signed is {was}", self.hash.as_str());
            return Err(self.refuse(ReasonCode::DigestMismatch, message));
        }
        self.part = self.parts.next();
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= 2 * HELD {
            let free = self.held.len() - HELD;
            self.write(free)?;
        }
        Ok(())
    }

    fn write(&mut self, count: usize) -> io::Result<()> {
        if let Err(error) = self.out.write_all(&self.held[..count]) {
            return Err(self.refuse(ReasonCode::Unreadable, format!("cannot hand the bytes over: {error}")));
        }
        self.held.drain(..count);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(part) = self.part {
            if let Some(end) = part.end {
                let message = format!("the stream ended after {} bytes, {end} and more are signed", self.offset);
                return Err(self.refuse(ReasonCode::DigestMismatch, message));
            }
            self.close(part)?;
        }
        self.write(self.held.len())?;
        self.out.flush().map_err(|error| self.refuse(ReasonCode::Unreadable, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use gauntlet_core::Verdict;

    use super::*;
    use crate::keys::{KeyKind, SigningKey};
    use crate::oms::{Serialization, SignOptions, sign};

    fn signed(bytes: &[u8], serialization: Serialization) -> (Vec<u8>, Trust) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.bin");
        std::fs::write(&path, bytes).unwrap();
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let options = SignOptions { serialization, ..SignOptions::default() };
        (sign(&path, &key, &options).unwrap().bundle, Trust::Keys(vec![key.verifying_key().clone()]))
    }

    fn run(bytes: &[u8], bundle: &[u8], trust: &Trust) -> (Verification, Vec<u8>) {
        let mut out = Vec::new();
        let from = &mut &bytes[..];
        let found = verify_stream(
            Stream::Reader(from),
            bundle,
            std::slice::from_ref(trust),
            &VerifyOptions::default(),
            &mut out,
        );
        (found, out)
    }

    #[test]
    fn the_last_block_is_handed_over_only_when_all_is_right() {
        for size in [0, 1, HELD, 2 * HELD, 5 * HELD + 17] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 7 + i / 253) as u8).collect();
            for serialization in [Serialization::Files, Serialization::Shards(NonZeroU64::new(1_000_003).unwrap())] {
                if size == 0 && serialization != Serialization::Files {
                    continue;
                }
                let (bundle, trust) = signed(&bytes, serialization);
                let (found, out) = run(&bytes, &bundle, &trust);
                assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.reasons);
                assert!(out == bytes);
                let mut longer = bytes.clone();
                longer.push(0);
                let mut wrong: Vec<Vec<u8>> = vec![longer];
                for at in [0, size / 2, size.saturating_sub(1)].into_iter().filter(|at| *at < size) {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1;
                    wrong.push(changed);
                    wrong.push(bytes[..at].to_vec());
                }
                for wrong in wrong {
                    let (found, out) = run(&wrong, &bundle, &trust);
                    assert_eq!(found.verdict, Verdict::Fail, "{size}");
                    assert_eq!(found.reasons[0].code, ReasonCode::DigestMismatch);
                    assert!(out.len() + HELD.min(wrong.len()) <= wrong.len(), "{} of {size}", out.len());
                }
            }
        }
    }

    #[test]
    fn nothing_passes_without_a_trusted_signature_or_as_a_folder() {
        let (bundle, _) = signed(b"x", Serialization::Files);
        let (_, other) = signed(b"x", Serialization::Files);
        let (found, out) = run(b"x", &bundle, &other);
        assert!(found.verdict == Verdict::Fail && out.is_empty());

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"a").unwrap();
        std::fs::write(folder.path().join("b"), b"b").unwrap();
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let bundle = sign(folder.path(), &key, &SignOptions::default()).unwrap().bundle;
        let (found, out) = run(b"a", &bundle, &Trust::Keys(vec![key.verifying_key().clone()]));
        assert_eq!(found.verdict, Verdict::Fail);
        assert!(found.reasons[0].code == ReasonCode::Unsupported && out.is_empty());
    }

    #[test]
    fn a_reader_that_goes_away_is_no_pass() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (bundle, trust) = signed(b"x", Serialization::Files);
        let from = &mut &b"x"[..];
        let found = verify_stream(Stream::Reader(from), &bundle, &[trust], &VerifyOptions::default(), &mut Full);
        assert_eq!(found.verdict, Verdict::Error);
    }
}
