//! Writes safetensors as the reference implementation does: the same order, the same header, byte for byte.

use std::collections::HashMap;
use std::io::{self, Write};

use gauntlet_core::{Algorithm, Digest, Limit};
use gauntlet_limits::Budget;
use serde::Serialize;
use serde::ser::SerializeMap as _;
use sha2::{Digest as _, Sha256};

use super::rebuild::cut;
use super::{ConvertError, FileReport, Note, Plan, Planned, Refusal, Report, TensorReport};

/// Readers refuse longer headers.
const MAX_HEADER: usize = 100_000_000;
/// Bytes of the input hashed at once.
const BLOCK: usize = 1 << 20;

impl Plan<'_> {
    /// Puts tensors into the order of the output and holds its size against the budget: a view that repeats its
    /// elements could fill a disk.
    pub(super) fn order(&mut self, budget: &Budget) -> Result<(), ConvertError> {
        budget.limits().check(Limit::Nodes, self.tensors.len() as u64)?;
        let total = self.tensors.iter().try_fold(0u64, |sum, tensor| sum.checked_add(tensor.view.bytes()));
        let beyond = total.unwrap_or(u64::MAX).saturating_sub(self.source.size());
        budget.limits().check(Limit::ExpandedBytes, beyond)?;
        self.tensors.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
        Ok(())
    }

    /// Writes the output and reads the input once more for its digest, both at once.
    ///
    /// # Errors
    /// I/O errors of both; [`ConvertError::Refused`] when a member's checksum does not hold: what was written until
    /// then must be thrown away.
    pub fn write(&self, out: &mut (dyn Write + Send)) -> Result<Report, ConvertError> {
        let (input, written) = rayon::join(|| self.input(), || self.output(out));
        let (input, (output, tensors)) = (input?, written?);
        Ok(Report {
            format: self.format,
            input,
            output,
            tensor_bytes: tensors.iter().map(|tensor| tensor.bytes).sum(),
            tensors,
            tied: self.tied(),
            left_out: self.outcome.left_out.clone(),
        })
    }

    /// The header: length, JSON, and spaces up to a multiple of eight.
    fn header(&self) -> Result<Vec<u8>, ConvertError> {
        let json = serde_json::to_vec(&Header(self)).map_err(io::Error::from)?;
        let len = json.len().next_multiple_of(8);
        if len > MAX_HEADER {
            return Err(ConvertError::Unsupported("tensors whose names do not fit a safetensors header".to_owned()));
        }
        let mut header = (len as u64).to_le_bytes().to_vec();
        header.extend(json);
        header.resize(len + 8, b' ');
        Ok(header)
    }

    fn output(&self, out: &mut (dyn Write + Send)) -> Result<(FileReport, Vec<TensorReport>), ConvertError> {
        let header = self.header()?;
        let mut whole = Sha256::new();
        let mut bytes = header.len() as u64;
        whole.update(&header);
        out.write_all(&header)?;
        let mut tensors = Vec::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            let Some(storage) = self.storages.get(tensor.storage) else { continue };
            let mut hash = Sha256::new();
            tensor.view.read(&*storage.bytes, tensor.swap, &mut |chunk| {
                let (_, written) = rayon::join(
                    || hash.update(chunk),
                    || {
                        whole.update(chunk);
                        out.write_all(chunk)
                    },
                );
                written
            })?;
            bytes += tensor.view.bytes();
            tensors.push(TensorReport {
                name: tensor.name.clone(),
                dtype: tensor.dtype.name(),
                shape: tensor.view.shape().to_vec(),
                bytes: tensor.view.bytes(),
                storage: storage.name.clone(),
                digest: digest(hash)?,
            });
        }
        out.flush()?;
        Ok((FileReport { bytes, digest: digest(whole)? }, tensors))
    }

    /// One pass over the input: its digest, and the checksum of every member that lies in it as it is.
    fn input(&self) -> Result<FileReport, ConvertError> {
        let mut hash = Sha256::new();
        let mut members: Vec<crc32fast::Hasher> = self.checksums.iter().map(|_| crc32fast::Hasher::new()).collect();
        let mut block = vec![0; BLOCK];
        let (mut at, size) = (0u64, self.source.size());
        // Members are sorted by start and do not overlap, which was checked; so the first one still open is known.
        let mut first = 0;
        while at < size {
            let n = usize::try_from(size - at).unwrap_or(BLOCK).min(BLOCK);
            let part = block.get_mut(..n).unwrap_or_default();
            self.source.read_exact_at(at, part)?;
            hash.update(&*part);
            let end = at + n as u64;
            for ((start, len, ..), crc) in self.checksums.iter().zip(&mut members).skip(first) {
                if *start >= end {
                    break;
                }
                let stop = start.saturating_add(*len);
                let inside = usize::try_from(start.saturating_sub(at)).unwrap_or(n).min(n)
                    ..usize::try_from(stop.saturating_sub(at)).unwrap_or(n).min(n);
                crc.update(part.get(inside).unwrap_or_default());
                first += usize::from(stop <= end);
            }
            at = end;
        }
        let mut reasons = Vec::new();
        for ((_, _, stated, name), crc) in self.checksums.iter().zip(members) {
            if crc.finalize() != *stated {
                reasons.push(Note { path: cut(name), what: "the member's checksum does not hold".to_owned() });
            }
        }
        if reasons.is_empty() {
            return Ok(FileReport { bytes: size, digest: digest(hash)? });
        }
        let more = reasons.len().saturating_sub(super::rebuild::REASONS) as u64;
        reasons.truncate(super::rebuild::REASONS);
        Err(ConvertError::Refused(Box::new(Refusal { format: self.format, reasons, more, keys: Vec::new() })))
    }

    /// Names whose tensors reach the same bytes of one storage.
    fn tied(&self) -> Vec<Vec<String>> {
        let mut spans: HashMap<usize, Vec<&Planned>> = HashMap::new();
        for tensor in self.tensors.iter().filter(|tensor| tensor.view.bytes() > 0) {
            spans.entry(tensor.storage).or_default().push(tensor);
        }
        let mut tied = Vec::new();
        for mut tensors in spans.into_values() {
            tensors.sort_by(|a, b| (a.view.start(), &a.name).cmp(&(b.view.start(), &b.name)));
            let mut group: Vec<&Planned> = Vec::new();
            let mut end = 0;
            for tensor in tensors {
                if tensor.view.start() >= end && !group.is_empty() {
                    close(&mut group, &mut tied);
                }
                end = end.max(tensor.view.start() + tensor.view.span());
                group.push(tensor);
            }
            close(&mut group, &mut tied);
        }
        tied.sort();
        tied
    }
}

/// Ends a group of tensors that share bytes.
fn close(group: &mut Vec<&Planned>, tied: &mut Vec<Vec<String>>) {
    if group.len() > 1 {
        let mut names: Vec<String> = group.iter().map(|tensor| tensor.name.clone()).collect();
        names.sort();
        tied.push(names);
    }
    group.clear();
}

pub(super) fn digest(hash: Sha256) -> Result<Digest, ConvertError> {
    Digest::new(Algorithm::Sha256, &hash.finalize()).map_err(|error| io::Error::other(error).into())
}

/// The header's JSON: metadata first, then tensors in the order of their bytes.
struct Header<'p>(&'p Plan<'p>);

#[derive(Serialize)]
struct Entry<'p> {
    dtype: &'static str,
    shape: &'p [u64],
    data_offsets: [u64; 2],
}

impl Serialize for Header<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.0.metadata {
            map.serialize_entry("__metadata__", &HashMap::from([("format", "pt")]))?;
        }
        let mut at = 0;
        for tensor in &self.0.tensors {
            let end = at + tensor.view.bytes();
            let entry = Entry { dtype: tensor.dtype.name(), shape: tensor.view.shape(), data_offsets: [at, end] };
            map.serialize_entry(&tensor.name, &entry)?;
            at = end;
        }
        map.end()
    }
}
