//! TensorFlow Lite models (`tensorflow/lite/schema/schema.fbs`): operators, buffers, signatures.

use gauntlet_limits::{Budget, ReadAt};
use serde::{Deserialize, Serialize};

use super::flatbuffer::{Flat, FlatError, Table};

/// The file identifier, behind the root offset.
pub(crate) const MAGIC: &[u8] = b"TFL3";

/// Entries of each list that are kept.
const KEPT: usize = 10_000;
/// `BuiltinOperator.CUSTOM`
const CUSTOM: u32 = 32;

/// What a model holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TfliteFacts {
    pub version: u32,
    /// The converter's note.
    pub description: Option<String>,
    pub operators: Vec<Operator>,
    pub subgraphs: u64,
    /// Operators in all graphs.
    pub nodes: u64,
    pub tensors: u64,
    pub buffers: u64,
    /// Names of metadata entries.
    pub metadata: Vec<String>,
    /// Where reading broke.
    pub broken: Option<String>,
    /// Indices and offsets that point to nothing.
    pub problems: Vec<Problem>,
    pub more: u64,
}

/// An operator that the model declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operator {
    /// Code of a built-in operator; 32 for custom ones.
    pub builtin: u32,
    /// Name of a custom operator.
    pub custom: Option<String>,
    /// How often graphs use it.
    pub uses: u64,
}

/// A reference to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub(crate) enum Problem {
    OperatorIndex { graph: u64, index: u64, operators: u64 },
    BufferIndex { tensor: String, index: u64, buffers: u64 },
    BufferRange { buffer: u64, offset: u64, bytes: u64 },
}

/// Bytes of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    /// Number of the buffer.
    pub buffer: u64,
    pub offset: u64,
    pub len: u64,
}

/// Reads a model. What breaks ends reading and is a fact.
///
/// # Errors
/// When the medium fails or a limit is hit.
pub(crate) fn read(source: &dyn ReadAt, budget: &Budget) -> Result<(TfliteFacts, Vec<Bytes>), FlatError> {
    let mut reader = Reader { flat: Flat::new(source, budget), size: source.size(), facts: TfliteFacts::default() };
    let mut buffers = Vec::new();
    match reader.model(&mut buffers) {
        Err(error @ FlatError::OutOfRange { .. }) => reader.facts.broken = Some(error.to_string()),
        other => other?,
    }
    Ok((reader.facts, buffers))
}

struct Reader<'a> {
    flat: Flat<'a>,
    size: u64,
    facts: TfliteFacts,
}

impl Reader<'_> {
    fn model(&mut self, buffers: &mut Vec<Bytes>) -> Result<(), FlatError> {
        let root = self.flat.root()?;
        self.facts.version = self.flat.u32(root, 0)?.unwrap_or(0);
        self.facts.description = self.flat.text(root, 3)?;
        self.operators(root)?;
        self.buffers(root, buffers)?;
        self.graphs(root)?;
        for entry in self.flat.tables(root, 6)? {
            let name = self.flat.text(entry?, 0)?.unwrap_or_default();
            if self.facts.metadata.len() < KEPT {
                self.facts.metadata.push(name);
            }
        }
        Ok(())
    }

    fn operators(&mut self, root: Table) -> Result<(), FlatError> {
        for code in self.flat.tables(root, 1)? {
            let code = code?;
            // Codes above 127 did not fit into the first field, which then holds 127.
            let old = self.flat.u8(code, 0)?.map_or(0, u32::from);
            let builtin = self.flat.u32(code, 3)?.unwrap_or(0).max(old);
            let custom = self.flat.text(code, 1)?;
            self.facts.operators.push(Operator { builtin, custom, uses: 0 });
        }
        Ok(())
    }

    fn buffers(&mut self, root: Table, buffers: &mut Vec<Bytes>) -> Result<(), FlatError> {
        for (number, buffer) in (0..).zip(self.flat.tables(root, 4)?) {
            let buffer = buffer?;
            self.facts.buffers += 1;
            let inside = self.flat.vector(buffer, 0, 1)?.map(|bytes| (bytes.at, bytes.len));
            // Large models keep their buffers behind the FlatBuffer; 0 and 1 stand for none.
            let behind = match (self.flat.u64(buffer, 1)?, self.flat.u64(buffer, 2)?) {
                (Some(offset), Some(len)) if offset > 1 => Some((offset, len)),
                _ => None,
            };
            for (offset, len) in inside.into_iter().chain(behind).filter(|(_, len)| *len > 0) {
                if offset.checked_add(len).is_none_or(|end| end > self.size) {
                    self.facts.problem(Problem::BufferRange { buffer: number, offset, bytes: len });
                } else {
                    buffers.push(Bytes { buffer: number, offset, len });
                }
            }
        }
        Ok(())
    }

    fn graphs(&mut self, root: Table) -> Result<(), FlatError> {
        for (graph, table) in (0..).zip(self.flat.tables(root, 2)?) {
            let table = table?;
            self.facts.subgraphs += 1;
            for tensor in self.flat.tables(table, 0)? {
                let tensor = tensor?;
                self.facts.tensors += 1;
                let index = u64::from(self.flat.u32(tensor, 2)?.unwrap_or(0));
                if index >= self.facts.buffers {
                    let name = self.flat.text(tensor, 3)?.unwrap_or_default();
                    self.facts.problem(Problem::BufferIndex { tensor: name, index, buffers: self.facts.buffers });
                }
            }
            for node in self.flat.tables(table, 3)? {
                self.facts.nodes += 1;
                let index = u64::from(self.flat.u32(node?, 0)?.unwrap_or(0));
                let operators = self.facts.operators.len() as u64;
                match usize::try_from(index).ok().and_then(|i| self.facts.operators.get_mut(i)) {
                    Some(operator) => operator.uses += 1,
                    None => self.facts.problem(Problem::OperatorIndex { graph, index, operators }),
                }
            }
        }
        Ok(())
    }
}

impl TfliteFacts {
    fn problem(&mut self, problem: Problem) {
        if self.problems.len() < KEPT { self.problems.push(problem) } else { self.more += 1 }
    }
}

impl Operator {
    /// The name of a custom operator; a custom code without one is the empty name.
    pub(crate) fn custom(&self) -> Option<&str> {
        (self.builtin == CUSTOM).then(|| self.custom.as_deref().unwrap_or(""))
    }
}
