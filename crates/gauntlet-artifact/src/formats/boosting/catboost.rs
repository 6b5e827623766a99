//! CatBoost's `.cbm`: a magic number, the length of a FlatBuffer (`model.fbs`), the FlatBuffer, then named parts.

use gauntlet_limits::{Budget, ReadAt, Window};

use super::{BoostingFacts, Problem};
use crate::formats::flatbuffer::{Flat, FlatError};
use crate::formats::text::reads_as_code;

/// First bytes.
pub(crate) const MAGIC: &[u8] = b"CBM1";

/// Bytes before the FlatBuffer.
const HEADER: u64 = 8;

/// Reads the core; the parts behind it (tables of categories) are located, not read.
///
/// # Errors
/// When the medium fails or a limit is hit.
pub(crate) fn read(source: &dyn ReadAt, budget: &Budget) -> Result<BoostingFacts, FlatError> {
    let mut facts = BoostingFacts::new("CatBoost");
    let mut raw = [0; 4];
    let available = source.size().saturating_sub(HEADER);
    if source.size() < HEADER {
        facts.problem(Problem::Broken { offset: source.size(), what: "the header ends early".to_owned() });
        return Ok(facts);
    }
    source.read_exact_at(4, &mut raw)?;
    let stated = u64::from(u32::from_le_bytes(raw));
    if stated > available {
        facts.problem(Problem::PastEnd { offset: HEADER, stated, available });
        return Ok(facts);
    }
    let core = Window::new(source, HEADER, stated);
    let parts = match core_parts(&mut facts, &Flat::new(&core, budget)) {
        Err(error @ FlatError::OutOfRange { .. }) => {
            facts.problem(Problem::Broken { offset: HEADER, what: error.to_string() });
            0
        }
        parts => parts?,
    };
    let rest = available - stated;
    if rest > 0 {
        facts.tail = Some(HEADER + stated);
        if parts == 0 {
            facts.problem(Problem::Tail { bytes: rest });
        }
    }
    Ok(facts)
}

/// Reads `TModelCore`: how many parts stand behind it.
fn core_parts(facts: &mut BoostingFacts, flat: &Flat<'_>) -> Result<u64, FlatError> {
    let root = flat.root()?;
    for entry in flat.tables(root, 2)? {
        let entry = entry?;
        let (key, value) = (flat.text(entry, 0)?.unwrap_or_default(), flat.text(entry, 1)?.unwrap_or_default());
        if reads_as_code(&value) {
            facts.code.push(key);
        }
    }
    Ok(flat.vector(root, 3, 4)?.map_or(0, |parts| parts.len))
}
