//! Paddle's `ProgramDesc` message and saved parameters: operators as facts, tensors passed over.
//!
//! Field numbers are those of `framework.proto`; parameters are laid out as `SerializeToStream` of a dense tensor does.

use std::collections::BTreeMap;

use gauntlet_limits::{Budget, ReadAt};
use gauntlet_protobuf::{Meter, Source, Span, Value, WireError};
use serde::{Deserialize, Serialize};

use super::protobuf::Fields;

/// Texts are cut here.
const TEXT: u64 = 512;
/// Operators that are kept.
const ENTRIES: usize = 10_000;

/// Everything seen in a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PaddleFacts {
    /// Operators and how often they stand there.
    pub operators: BTreeMap<String, u64>,
    /// Texts of attributes that name a path or an address: operator, attribute, text.
    pub paths: Vec<(String, String, String)>,
    /// Entries that were not kept.
    pub more: u64,
    /// Why the file could not be read to its end.
    pub broken: Option<String>,
}

impl PaddleFacts {
    /// Counts one use of an operator.
    pub(crate) fn count(&mut self, operator: &str) {
        if let Some(count) = self.operators.get_mut(operator) {
            *count += 1;
        } else if self.operators.len() < ENTRIES {
            self.operators.insert(operator.to_owned(), 1);
        } else {
            self.more += 1;
        }
    }
}

/// Whether the first bytes are those of a program: blocks with an index, and an operator or variable with a name.
pub(crate) fn looks_like(prefix: &[u8]) -> bool {
    let Some(fields) = Fields::of(prefix) else { return false };
    let named =
        |message: &[u8], number| Fields::of(message).is_some_and(|fields| fields.texts(number).next().is_some());
    let block = |block: &[u8]| {
        Fields::of(block).is_some_and(|block| {
            block.numbers().any(|n| n == 1)
                && block.numbers().all(|n| matches!(n, 1 | 2 | 5))
                && (block.messages(4).any(|op| named(op, 3)) || block.messages(3).any(|var| named(var, 1)))
        })
    };
    fields.numbers().next().is_none() && fields.bytes().all(|n| matches!(n, 1 | 4 | 5)) && fields.messages(1).any(block)
}

/// Reads a program. An error ends the reading; what was read before it comes back, too.
pub(crate) fn read(bytes: &dyn ReadAt, budget: &Budget) -> (PaddleFacts, Option<WireError>) {
    let source = Source::new(bytes, budget);
    let mut reader = Reader { source: &source, meter: Meter::new(budget), facts: PaddleFacts::default() };
    let error = reader.program(source.whole()).err();
    reader.facts.broken = error.as_ref().map(ToString::to_string);
    (reader.facts, error)
}

struct Reader<'s, 'a> {
    source: &'s Source<'a>,
    meter: Meter<'a>,
    facts: PaddleFacts,
}

impl Reader<'_, '_> {
    fn program(&mut self, span: Span) -> Result<(), WireError> {
        let source = self.source;
        let mut program = source.fields(span);
        while let Some((number, value)) = program.next_field()? {
            let (1, Value::Bytes(block)) = (number, value) else { continue };
            let mut block = source.fields(block);
            while let Some((number, value)) = block.next_field()? {
                if let (4, Value::Bytes(op)) = (number, value) {
                    self.operator(op)?;
                }
            }
        }
        Ok(())
    }

    fn operator(&mut self, span: Span) -> Result<(), WireError> {
        let source = self.source;
        let (mut name, mut attributes) = (String::new(), Vec::new());
        let mut fields = source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (3, Value::Bytes(s)) => name = self.text(s)?,
                (4, Value::Bytes(s)) => {
                    self.meter.item::<Span>()?;
                    attributes.push(s);
                }
                _ => {}
            }
        }
        self.facts.count(&name);
        for attribute in attributes {
            self.attribute(&name, attribute)?;
        }
        Ok(())
    }

    fn attribute(&mut self, operator: &str, span: Span) -> Result<(), WireError> {
        let (mut key, mut texts) = (String::new(), Vec::new());
        let mut fields = self.source.fields(span);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(s)) => key = self.text(s)?,
                // `s` and `strings`.
                (5 | 8, Value::Bytes(s)) => {
                    let text = self.text(s)?;
                    if text.contains(['/', '\\']) {
                        texts.push(text);
                    }
                }
                _ => {}
            }
        }
        // Where in the exporting program the operator was called is written into every one.
        if matches!(key.as_str(), "op_callstack" | "op_namescope" | "op_device") {
            return Ok(());
        }
        for text in texts {
            if self.facts.paths.len() < ENTRIES {
                self.facts.paths.push((operator.to_owned(), key.clone(), text));
            } else {
                self.facts.more += 1;
            }
        }
        Ok(())
    }

    fn text(&mut self, span: Span) -> Result<String, WireError> {
        let span = Span { len: span.len.min(TEXT), ..span };
        self.meter.bytes(span.len.saturating_add(size_of::<String>() as u64))?;
        Ok(String::from_utf8_lossy(&self.source.load(span)?).into_owned())
    }
}

/// Whether the first bytes are those of saved parameters: version 0, no levels of detail, version 0, a description.
pub(crate) fn looks_like_parameters(prefix: &[u8]) -> bool {
    let description = prefix.get(16..20).and_then(|raw| raw.first_chunk::<4>()).map(|raw| u32::from_le_bytes(*raw));
    prefix.get(..16) == Some(&[0; 16])
        && description.is_some_and(|len| (2..256).contains(&len))
        && prefix.get(20) == Some(&8)
        && prefix.get(22).is_some_and(|tag| matches!(tag, 0x10 | 0x12))
}

/// Walks saved parameters: how many tensors there are, and where their bytes end; `None` when one does not fit.
pub(crate) fn parameters(bytes: &dyn ReadAt, budget: &Budget) -> Result<Option<u64>, WireError> {
    let (mut at, size, mut tensors) = (0u64, bytes.size(), 0);
    while at < size {
        budget.steps(1)?;
        let mut head = [0; 20];
        if size - at < 20 {
            return Ok(None);
        }
        bytes.read_exact_at(at, &mut head)?;
        let levels = head.get(4..12) == Some(&[0; 8]);
        let len = head.last_chunk::<4>().map_or(0, |raw| u64::from(u32::from_le_bytes(*raw)));
        if !levels || len > size - at - 20 || len > 4096 {
            return Ok(None);
        }
        let source = Source::new(bytes, budget);
        let mut fields = source.fields(Span { offset: at + 20, len });
        let (mut width, mut elements) = (None, Some(1u64));
        while let Some((number, value)) = fields.next_field()? {
            let mut dimension = |n: u64| elements = elements.and_then(|product| product.checked_mul(n));
            match (number, value) {
                (1, Value::Varint(kind)) => width = bytes_of(kind),
                (2, Value::Varint(n)) => dimension(n),
                (2, Value::Bytes(packed)) => {
                    let mut packed = source.packed(packed);
                    while let Some(n) = packed.next_varint()? {
                        dimension(n);
                    }
                }
                _ => {}
            }
        }
        let data = width.zip(elements).and_then(|(width, elements)| width.checked_mul(elements));
        let Some(end) = data.and_then(|data| (at + 20 + len).checked_add(data)).filter(|end| *end <= size) else {
            return Ok(None);
        };
        at = end;
        tensors += 1;
    }
    Ok(Some(tensors))
}

/// `VarType.Type` of numbers.
fn bytes_of(kind: u64) -> Option<u64> {
    Some(match kind {
        0 | 20 | 21 | 32 | 33 => 1,
        1 | 4 | 22 => 2,
        2 | 5 => 4,
        3 | 6 | 19 | 23 => 8,
        24 => 16,
        _ => return None,
    })
}
