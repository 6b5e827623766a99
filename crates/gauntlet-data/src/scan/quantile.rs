//! Exact quantiles in flat memory: values become whole numbers of the same order, and four passes of 16 bits each find the
//! ones at the ranks asked for.

use std::collections::BTreeMap;

use datafusion::error::Result;

use super::monotone::order_keys;
use super::stage::Stage;

const DIGIT: u32 = 16;
const NAN: u64 = u64::MAX;

/// Type-7 quantiles (linear between the values at floor and ceiling of (n - 1) p) with the numbers of values and of nulls
/// and NaN; `None` when there is no value. The stage has one column of floats.
pub(super) async fn quantiles(stage: &Stage<'_>, probabilities: &[f64]) -> Result<(Option<Vec<f64>>, u64, u64)> {
    let (mut count, mut skipped) = (0u64, 0u64);
    // From the digits found so far to how often each next digit occurs.
    let mut prefixes: BTreeMap<u64, Vec<u64>> = BTreeMap::from([(0, vec![0; 1 << DIGIT])]);
    // Rank within its prefix and prefix, for both neighbours of each probability.
    let mut targets: Vec<(u64, u64)> = Vec::new();
    for level in 0..4u32 {
        let shift = 64 - DIGIT * (level + 1);
        stage
            .each(&mut |_, columns| {
                let Some(column) = columns.first() else { return Ok(()) };
                for key in order_keys(column)? {
                    let Some(key) = key.filter(|&key| key != NAN) else {
                        skipped += u64::from(level == 0);
                        continue;
                    };
                    count += u64::from(level == 0);
                    let prefix = if level == 0 { 0 } else { key >> (shift + DIGIT) };
                    if let Some(digits) = prefixes.get_mut(&prefix)
                        && let Some(digit) = digits.get_mut(usize::try_from(key >> shift & 0xFFFF).unwrap_or(0))
                    {
                        *digit += 1;
                    }
                }
                Ok(())
            })
            .await?;
        if level == 0 {
            if count == 0 {
                return Ok((None, 0, skipped));
            }
            targets = probabilities.iter().flat_map(|&p| ranks(count, p).0).map(|rank| (rank, 0)).collect();
        }
        for (rank, prefix) in &mut targets {
            let Some(digits) = prefixes.get(prefix) else { continue };
            let mut below = 0;
            for (digit, &n) in digits.iter().enumerate() {
                if below + n > *rank {
                    *rank -= below;
                    *prefix = *prefix << DIGIT | digit as u64;
                    break;
                }
                below += n;
            }
        }
        prefixes = targets.iter().map(|(_, prefix)| (*prefix, vec![0; 1 << DIGIT])).collect();
    }
    let values: Vec<f64> = targets.iter().map(|(_, key)| float(*key)).collect();
    let quantile = |(pair, &p): (&[f64], &f64)| {
        let (low, high) = (pair.first().copied()?, pair.get(1).copied()?);
        let part = ranks(count, p).1;
        Some(if part == 0.0 { low } else { low + (high - low) * part })
    };
    Ok((values.chunks(2).zip(probabilities).map(quantile).collect(), count, skipped))
}

/// Ranks of both neighbours, from 0, and how far between them the quantile lies.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
fn ranks(count: u64, p: f64) -> ([u64; 2], f64) {
    let h = (count - 1) as f64 * p;
    let low = (h.floor() as u64).min(count - 1);
    ([low, (low + 1).min(count - 1)], h - h.floor())
}

/// The float of an order-preserving key.
fn float(key: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    f64::from_bits(if key & SIGN == 0 { !key } else { key ^ SIGN })
}
