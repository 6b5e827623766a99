//! joblib writes the raw bytes of an array between two opcodes, right after the BUILD of its wrapper. What
//! follows reads the wrapper's state (shape, dtype, alignment) and skips exactly these bytes, as
//! `joblib.numpy_pickle.NumpyArrayWrapper.read_array` does.

use crate::facts::AnomalyKind;
use crate::machine::{Halt, Machine};
use crate::value::{Heap, Node, Value};

/// The wrapper class under the module paths of joblib, scikit-learn's copy of it, and other vendored copies.
pub(crate) fn is_wrapper(module: &str, name: &str) -> bool {
    name == "NumpyArrayWrapper" && (module == "numpy_pickle" || module.ends_with(".numpy_pickle"))
}

/// How the array lies in the stream.
#[derive(Debug, PartialEq, Eq)]
enum Layout {
    /// A pickle of its own follows.
    Objects,
    /// Padding if `padded`, then this many bytes.
    Raw { bytes: u64, padded: bool },
}

impl Machine<'_, '_> {
    /// Replaces the wrapper on the stack by the array, and passes its bytes.
    pub(crate) fn inline_array(&mut self, state: Value) -> Result<(), Halt> {
        if let Value::Node(id) = state
            && let Node::Dict { pairs, .. } = self.heap.node(id)
        {
            self.unpaid += pairs.len() as u64 / 2;
        }
        self.record.facts.inline_arrays.count += 1;
        let Some(layout) = layout(&self.heap, state, |id| self.record.global(id).1.to_owned()) else {
            self.record.facts.inline_arrays.unresolved += 1;
            self.anomaly(AnomalyKind::InlineArrayUnresolved);
            return Ok(());
        };
        self.pop()?;
        match layout {
            Layout::Objects => {
                self.record.facts.inline_arrays.objects += 1;
                // Its STOP leaves the array on this stack.
                self.enter()
            }
            Layout::Raw { bytes, padded } => {
                if self.ahead_is_code(bytes, padded)? && self.record.facts.inline_arrays.as_code.len() < 16 {
                    let here = self.input.position();
                    self.record.facts.inline_arrays.as_code.push(here);
                }
                let before = self.input.position();
                if padded {
                    let padding = self.input.byte()?;
                    self.input.skip(u64::from(padding))?;
                }
                self.input.skip(bytes)?;
                self.record.facts.inline_arrays.bytes += self.input.position() - before;
                self.push(Value::Array)
            }
        }
    }
}

fn layout(heap: &Heap, state: Value, name: impl Fn(u32) -> String) -> Option<Layout> {
    let dtype = heap.get(state, b"dtype")?;
    let Some(size) = item_size(heap, dtype, &name)? else { return Some(Layout::Objects) };
    let shape = heap.items(heap.get(state, b"shape")?)?;
    let mut bytes = size;
    for extent in shape {
        let Value::Int(extent) = extent else { return None };
        bytes = bytes.checked_mul(u64::try_from(*extent).ok()?)?;
    }
    // Wrappers of joblib before 1.2 lack the attribute: nothing is padded then.
    let padded = !matches!(heap.get(state, b"numpy_array_alignment_bytes"), None | Some(Value::None));
    Some(Layout::Raw { bytes, padded })
}

/// Bytes of one item; `Some(None)` when the type holds Python objects, `None` when it cannot be told.
fn item_size(heap: &Heap, dtype: Value, name: &impl Fn(u32) -> String) -> Option<Option<u64>> {
    let Value::Node(id) = dtype else { return None };
    let Node::Call { callee: Value::Global(callee), args, args_known: true, state, .. } = heap.node(id) else {
        return None;
    };
    let class = name(*callee);
    let (None | Some(Value::Str(_) | Value::Bytes(_))) = args.first() else { return None };
    let code = match args.first() {
        Some(Value::Str(code) | Value::Bytes(code)) if class == "dtype" => heap.text(*code),
        // numpy 2 may write `numpy.dtypes.Float32DType()`.
        None if class.ends_with("DType") => class.trim_end_matches("DType").to_ascii_lowercase(),
        _ => return None,
    };
    // The state of a structured type is (version, order, subtype, names, fields, size, alignment, flags).
    let mut fields: Option<&[Value]> = None;
    if let Some(state) = state {
        fields = Some(heap.items(*state)?);
    }
    let size = code_size(&code)?;
    if code.trim_start_matches(['<', '>', '=', '|']).starts_with('V')
        && let Some(fields) = fields
    {
        match fields.get(7) {
            // NPY_ITEM_REFCOUNT: some field holds objects.
            Some(Value::Int(flags)) if flags & 1 != 0 => return Some(None),
            Some(Value::Int(_)) => {}
            _ => return None,
        }
        return match fields.get(5) {
            Some(Value::Int(size)) => Some(Some(u64::try_from(*size).ok()?)),
            _ => None,
        };
    }
    Some(size)
}

fn code_size(code: &str) -> Option<Option<u64>> {
    let code = code.trim_start_matches(['<', '>', '=', '|']);
    let size = match code {
        "bool" | "?" | "b" | "B" | "int8" | "uint8" => 1,
        "e" | "h" | "H" | "float16" | "int16" | "uint16" => 2,
        "f" | "i" | "I" | "float32" | "int32" | "uint32" => 4,
        "d" | "q" | "Q" | "l" | "L" | "F" | "float64" | "int64" | "uint64" | "complex64" => 8,
        "D" | "complex128" => 16,
        "O" | "object" => return Some(None),
        _ => {
            let (kind, digits) = code.split_at_checked(1)?;
            let digits = match digits.split_once('[') {
                Some((digits, _)) => digits,
                None => digits,
            };
            let size: u64 = digits.parse().ok()?;
            match kind {
                "f" | "i" | "u" | "b" | "c" | "S" | "a" | "V" | "M" | "m" => size,
                "U" => size.checked_mul(4)?,
                "O" => return Some(None),
                _ => return None,
            }
        }
    };
    Some(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_sizes_follow_the_type_codes() {
        assert_eq!(code_size("<f8"), Some(Some(8)));
        assert_eq!(code_size("U5"), Some(Some(20)));
        assert_eq!(code_size("M8[ns]"), Some(Some(8)));
        assert_eq!(code_size("O8"), Some(None));
        assert_eq!(code_size("S0"), Some(Some(0)));
        assert_eq!(code_size("U9223372036854775807"), None);
        assert_eq!(code_size("x4"), None);
        assert_eq!(code_size(""), None);
    }

    #[test]
    fn wrapper_is_known_under_vendored_paths_only() {
        assert!(is_wrapper("joblib.numpy_pickle", "NumpyArrayWrapper"));
        assert!(is_wrapper("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"));
        assert!(!is_wrapper("joblib.numpy_pickle", "NDArrayWrapper"));
        assert!(!is_wrapper("xnumpy_pickle", "NumpyArrayWrapper"));
    }
}
