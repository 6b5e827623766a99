//! Contents of constants: `raw_data`, the typed fields, or another file. Field numbers are those of onnx.proto3.

use std::io;

use gauntlet_limits::{Budget, ReadAt};
use gauntlet_onnx::{ElementType, Tensor};
use gauntlet_protobuf::{Source, Value, WireError};

use crate::array::{Array, Numbers, half, widened, width};
use crate::error::{Fault, Result, malformed, unsupported};

/// Opens the files that constants are kept in beside the model.
pub trait ExternalData {
    /// The file at `location`, which is as the model has it: whoever implements this decides which paths are allowed.
    ///
    /// # Errors
    /// `NotFound` when there is no such file; whatever else the medium says.
    fn open(&self, location: &str) -> io::Result<Box<dyn ReadAt>>;
}

pub(super) struct TensorReader<'a> {
    pub(super) source: &'a dyn ReadAt,
    pub(super) budget: &'a Budget,
    pub(super) external: Option<&'a dyn ExternalData>,
}

impl TensorReader<'_> {
    /// The tensor as a constant; half precision becomes single.
    pub(super) fn read(&self, tensor: &Tensor) -> Result<Array> {
        let Some(kind) = tensor.element_type() else { return malformed("an unknown element type") };
        let Some(dims) = tensor.dims.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<Vec<_>>>() else {
            return malformed("a negative dimension");
        };
        let is_half = matches!(kind, ElementType::Float16 | ElementType::Bfloat16);
        let bytes_each = if is_half { 2 } else { width(kind) };
        if bytes_each == 0 {
            return unsupported(format!("element type {kind:?}"));
        }
        let elements = dims.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
        let Some(length) = elements.and_then(|n| n.checked_mul(bytes_each)) else {
            return malformed("a size that overflows");
        };
        // Before anything is allocated: what the file claims is charged, and must be in the file.
        self.budget.expand(length as u64)?;
        let bytes = if tensor.is_external || !tensor.external.is_empty() {
            self.outside(tensor, length)?
        } else if let Some(raw) = tensor.raw {
            if tensor.raw_fields != 1 || tensor.typed_elements != 0 || raw.len != length as u64 {
                return malformed(format!("{} bytes of contents where {length} are needed", raw.len));
            }
            load(self.source, raw.offset, length)?
        } else {
            self.typed(tensor, kind, elements.unwrap_or(0))?
        };
        if !is_half {
            return Ok(Array { kind, dims, bytes: bytes.into() });
        }
        let (halves, _) = bytes.as_chunks::<2>();
        let wide = |raw: &[u8; 2]| match (kind, u16::from_le_bytes(*raw)) {
            (ElementType::Float16, bits) => half(bits),
            (_, bits) => f64::from(f32::from_bits(u32::from(bits) << 16)),
        };
        Ok(Array::floats(widened(kind), dims, halves.iter().map(wide).collect()))
    }

    fn outside(&self, tensor: &Tensor, length: usize) -> Result<Vec<u8>> {
        let location = tensor.external_value("location").unwrap_or_default();
        let missing = || Fault::External { tensor: tensor.name.clone(), location: location.to_owned() };
        let number = |key: &str| match tensor.external_value(key).map(|text| text.trim().parse::<u64>()) {
            None => Ok(None),
            Some(Ok(n)) => Ok(Some(n)),
            Some(Err(_)) => malformed(format!("`{key}` of its external data is no number")),
        };
        let file = match self.external.map(|external| external.open(location)) {
            Some(Ok(file)) => file,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => return Err(missing()),
        };
        if number("length")?.is_some_and(|stated| stated != length as u64) {
            return malformed(format!("its external data has not the {length} bytes that its type and shape ask for"));
        }
        load(&*file, number("offset")?.unwrap_or(0), length)
    }

    /// `float_data`, `int32_data`, `int64_data`, `double_data`, `uint64_data`: as little-endian bytes of `kind`.
    fn typed(&self, tensor: &Tensor, kind: ElementType, elements: usize) -> Result<Vec<u8>> {
        if tensor.typed_elements != elements as u64 {
            return malformed(format!("{} elements where {elements} are needed", tensor.typed_elements));
        }
        let source = Source::new(self.source, self.budget);
        let mut fields = source.fields(tensor.span);
        let (mut floats, mut ints) = (Vec::new(), Vec::new());
        while let Some((number, value)) = fields.next_field().map_err(wire)? {
            match (number, value) {
                (4, Value::Fixed32(bits)) => floats.push(f64::from(f32::from_bits(bits))),
                (10, Value::Fixed64(bits)) => floats.push(f64::from_bits(bits)),
                (4, Value::Bytes(span)) => {
                    let raw = load(self.source, span.offset, usize::try_from(span.len).unwrap_or(usize::MAX))?;
                    floats.extend(raw.as_chunks::<4>().0.iter().map(|raw| f64::from(f32::from_le_bytes(*raw))));
                }
                (10, Value::Bytes(span)) => {
                    let raw = load(self.source, span.offset, usize::try_from(span.len).unwrap_or(usize::MAX))?;
                    floats.extend(raw.as_chunks::<8>().0.iter().map(|raw| f64::from_le_bytes(*raw)));
                }
                (5 | 7 | 11, Value::Varint(n)) => ints.push(n.cast_signed()),
                (5 | 7 | 11, Value::Bytes(span)) => {
                    let mut packed = source.packed(span);
                    while let Some(n) = packed.next_varint().map_err(wire)? {
                        ints.push(n.cast_signed());
                    }
                }
                _ => {}
            }
        }
        let is_float = crate::array::is_float(kind);
        let found = if is_float { floats.len() } else { ints.len() };
        if found != elements {
            return malformed(format!("{found} elements of its type where {elements} are needed"));
        }
        Ok(match kind {
            // Halves stand as bit patterns in `int32_data`.
            ElementType::Float16 | ElementType::Bfloat16 => {
                ints.iter().flat_map(|n| (*n as u16).to_le_bytes()).collect()
            }
            _ => {
                let numbers = if is_float { Numbers::Floats(floats) } else { Numbers::Ints(ints) };
                Array::from_numbers(kind, Vec::new(), &numbers).bytes.to_vec()
            }
        })
    }
}

fn load(source: &dyn ReadAt, offset: u64, length: usize) -> Result<Vec<u8>> {
    let end = offset.checked_add(length as u64);
    if end.is_none_or(|end| end > source.size()) {
        return malformed(format!("{length} bytes at {offset} reach behind the end of the file"));
    }
    let mut bytes = vec![0; length];
    source.read_exact_at(offset, &mut bytes)?;
    Ok(bytes)
}

fn wire(error: WireError) -> Fault {
    match error {
        WireError::Limit(hit) => Fault::Limit(hit),
        WireError::Io(error) => Fault::from(error),
        malformed => Fault::Malformed(malformed.to_string()),
    }
}
