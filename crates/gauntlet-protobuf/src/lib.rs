//! Walking the protobuf wire format where it lies: fields one after another, sub-messages as ranges, nothing decoded by a
//! schema, so that unknown fields are seen, too. <https://protobuf.dev/programming-guides/encoding/>
//!
//! Contents are never copied unless a caller loads them, and nothing recurses: whoever walks nested messages keeps a queue.

#![forbid(unsafe_code)]

mod error;
mod meter;
mod wire;

pub use error::WireError;
pub use meter::Meter;
pub use wire::{Fields, Packed, Source, Span, Value};

use gauntlet_limits::{Budget, Limits};

/// Walks `bytes` and, as long as they parse, what is inside of them; for fuzzing and tests. Returns the number of fields.
#[must_use]
pub fn exercise(bytes: &[u8], limits: &Limits) -> u64 {
    let (bytes, budget) = (bytes.to_vec(), Budget::new(limits.clone()));
    let source = Source::new(&bytes, &budget);
    let (mut queue, mut seen) = (vec![source.whole()], 0);
    while let Some(span) = queue.pop() {
        let mut fields = source.fields(span);
        while let Ok(Some((_, value))) = fields.next_field() {
            seen += 1;
            if let Some(inner) = value.span() {
                queue.push(inner);
                let mut packed = source.packed(inner);
                while let Ok(Some(_)) = packed.next_varint() {}
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with every wire type, nested.
    fn seed() -> Vec<u8> {
        let inner =
            [&[0x08, 0x96, 1][..], &[0x12, 2, b'h', b'i'], &[0x1d, 1, 0, 0, 0], &[0x23, 0x2b, 0x2c, 0x24]].concat();
        let mut outer = vec![0x0a, u8::try_from(inner.len()).unwrap()];
        outer.extend(&inner);
        outer.extend([0x11, 1, 2, 3, 4, 5, 6, 7, 8]);
        outer
    }

    #[test]
    fn mutated_messages_end_within_the_budget() {
        let limits = Limits { steps: 10_000, ..Limits::default() };
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..5_000 {
            let mut bytes = seed();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] ^= 1 << next(8),
                    _ => {
                        let splice = seed();
                        let from = next(splice.len());
                        bytes.splice(at..at, splice[from..].iter().copied());
                    }
                }
            }
            assert!(exercise(&bytes, &limits) <= limits.steps);
        }
    }
}
