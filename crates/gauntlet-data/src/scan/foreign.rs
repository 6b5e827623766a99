//! Foreign keys: rows whose key another table does not hold. Both sides are split by the key's hash and met part by part,
//! so that neither has to fit in memory.

use std::collections::BTreeMap;

use datafusion::error::Result;

use super::hashes::{high, keys, low};
use super::spill::{PARTS, Spill};
use super::stage::Stage;
use super::tally::Tally;
use super::unique::words;

/// Runs the stage over `rows`, whose keys have to occur in `other`. `failing` is called with the place of every row whose
/// key does not, in no order. A key with a null part is not judged.
pub(super) async fn missing(
    rows: &Stage<'_>,
    other: &Stage<'_>,
    failing: &mut (dyn FnMut(u64) + Send),
) -> Result<Tally> {
    let mut known = Spill::<2>::new();
    other
        .each(&mut |_, columns| known.extend(keys(columns)?.into_iter().flatten().map(|key| [high(key), low(key)])))
        .await?;
    let mut tally = Tally::default();
    let mut asked = Spill::<3>::new();
    rows.each(&mut |places, columns| {
        let keys = keys(columns)?;
        let all = keys.len();
        let mut judged = 0;
        let records = keys.into_iter().zip(places).filter_map(|(key, &place)| key.map(|k| [high(k), low(k), place]));
        asked.extend(records.inspect(|_| judged += 1))?;
        tally.evaluated += judged as u64;
        tally.nulls += (all - judged) as u64;
        Ok(())
    })
    .await?;
    for part in 0..PARTS {
        let mut held = known.take(part)?;
        held.sort_unstable();
        held.dedup();
        for [high, low, place] in asked.take(part)? {
            if held.binary_search(&[high, low]).is_err() {
                tally.failing.count += 1;
                tally.failing.keep(place, String::new);
                failing(place);
            }
        }
    }
    if tally.failing.count > 0 {
        samples(rows, &mut tally).await?;
    }
    Ok(tally)
}

/// Fills in the values of the first failing rows.
async fn samples(rows: &Stage<'_>, tally: &mut Tally) -> Result<()> {
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    let wanted: Vec<u64> = tally.failing.first.keys().copied().collect();
    rows.each(&mut |places, columns| {
        for (i, place) in places.iter().enumerate() {
            if wanted.binary_search(place).is_ok() {
                texts.insert(*place, words(columns, i)?);
            }
        }
        Ok(())
    })
    .await?;
    for (place, sample) in &mut tally.failing.first {
        if let Some(text) = texts.remove(place) {
            *sample = text;
        }
    }
    Ok(())
}
