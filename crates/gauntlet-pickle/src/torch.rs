//! The layout that `torch.save` wrote before version 1.6: five pickles (magic number, protocol version, system
//! information, the object, the storage keys), then the storages, each an 8-byte count and the elements.

use crate::facts::{StreamFacts, TorchLegacy};
use crate::input::{Input, Short};
use crate::value::{Heap, Value};

/// 0x1950a86a20f9469cfc6c, little endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Follows the pickles of one file.
#[derive(Default)]
pub(crate) struct Walk {
    facts: TorchLegacy,
    seen: u32,
    left: bool,
    done: bool,
}

impl Walk {
    pub(crate) fn stream(&mut self, index: u32, facts: &StreamFacts, result: Option<Value>, heap: &Heap) {
        self.seen += 1;
        if self.seen == 1 {
            self.left = !matches!(result, Some(Value::Big(id)) if heap.bytes(id) == MAGIC);
        }
        if self.left || self.done {
            return;
        }
        // A pickle found by search, or one without its STOP, is no part of the layout.
        if result.is_none() || (self.seen > 1 && facts.origin != crate::facts::Origin::Stacked) {
            self.facts.problem = Some(format!("pickle {} of the layout is not where it should be", self.seen));
            self.left = true;
            return;
        }
        self.facts.streams.push(index);
    }

    /// The layout cannot be followed any more.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    pub(crate) fn wants_storages(&self) -> bool {
        !self.left && !self.done && self.facts.streams.len() == 5
    }

    /// Passes the storages named by the fifth pickle.
    pub(crate) fn skip_storages(
        &mut self,
        input: &mut Input<'_>,
        last: &(Option<Value>, Heap),
        streams: &[StreamFacts],
    ) -> Result<(), Short> {
        self.done = true;
        let (Some(keys), heap) = last else { return Ok(()) };
        let Some(keys) = heap.items(*keys) else {
            self.facts.problem = Some("the fifth pickle is no list of storage keys".to_owned());
            return Ok(());
        };
        let storages =
            self.facts.streams.get(3).and_then(|i| streams.get(*i as usize)).map(|s| &s.persistent_ids.storages);
        let by_key: std::collections::HashMap<&str, _> =
            storages.into_iter().flatten().map(|s| (s.key.as_str(), s)).collect();
        for key in keys {
            let key = match key {
                Value::Str(id) => heap.text(*id),
                Value::Int(n) => n.to_string(),
                _ => {
                    self.facts.problem = Some("a storage key is no text".to_owned());
                    return Ok(());
                }
            };
            let Some(storage) = by_key.get(key.as_str()) else {
                self.facts.problem = Some(format!("storage `{}` is not named by the object", short(&key)));
                return Ok(());
            };
            let Some(size) = element_size(&storage.class) else {
                self.facts.problem = Some(format!("element size of `{}` is not known", short(&storage.class)));
                return Ok(());
            };
            let Some(head) = input.peek(8)?.first_chunk::<8>() else {
                self.facts.problem = Some("the file ends before the storages do".to_owned());
                return Ok(());
            };
            let count = i64::from_le_bytes(*head);
            // The file's own count is what is read; PyTorch compares it with the object's and may raise.
            if count != storage.elements {
                self.facts.size_mismatches += 1;
            }
            let Some(bytes) = u64::try_from(count).ok().and_then(|n| n.checked_mul(size)) else {
                self.facts.problem = Some(format!("storage `{}` has an impossible size", short(&key)));
                return Ok(());
            };
            input.consume(8);
            let skipped = input.skip_up_to(bytes)?;
            self.facts.storage_bytes += 8 + skipped;
            if skipped < bytes {
                self.facts.problem = Some("the file ends before the storages do".to_owned());
                return Ok(());
            }
            self.facts.storages += 1;
        }
        self.facts.complete = true;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Option<TorchLegacy> {
        if self.facts.streams.is_empty() {
            return None;
        }
        if !self.done && self.facts.problem.is_none() {
            self.facts.problem = Some("the layout ends before the storages".to_owned());
        }
        Some(self.facts)
    }
}

/// Bytes of one element of a storage class.
fn element_size(class: &str) -> Option<u64> {
    let kind = class.rsplit('.').next().unwrap_or(class).strip_suffix("Storage")?;
    Some(match kind {
        "Byte" | "Char" | "Bool" | "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" | "Untyped" => 1,
        "Short" | "Half" | "BFloat16" => 2,
        "Int" | "Float" | "QInt32" => 4,
        "Long" | "Double" | "ComplexFloat" => 8,
        "ComplexDouble" => 16,
        _ => return None,
    })
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
