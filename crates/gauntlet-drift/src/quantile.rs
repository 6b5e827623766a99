//! Order statistics of a sample.

/// The values that order, ascending: NaN left out, `-0.0` as `0.0`. Infinities stay, at the ends.
#[must_use]
pub fn clean_sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.retain(|x| !x.is_nan());
    for x in &mut values {
        // -0.0 + 0.0 is 0.0.
        *x += 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The finite part of sorted values.
#[must_use]
pub(crate) fn finite(sorted: &[f64]) -> &[f64] {
    let low = sorted.partition_point(|&x| x == f64::NEG_INFINITY);
    let high = sorted.partition_point(|&x| x < f64::INFINITY);
    sorted.get(low..high).unwrap_or_default()
}

/// Type-7 quantile (Hyndman and Fan 1996) of sorted values: linear between the neighbours of `(n - 1) p`. `None` without values.
#[must_use]
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let h = last as f64 * p.clamp(0.0, 1.0);
    let low = (h.floor() as usize).min(last);
    let (a, b) = (*sorted.get(low)?, *sorted.get((low + 1).min(last))?);
    let t = h - low as f64;
    // Exact where both are equal, and without the overflow of `b - a`.
    Some(if a == b || t == 0.0 { a } else { lerp(a, b, t) })
}

/// As NumPy does it: from the nearer end, so that the two halves agree to the last bit.
fn lerp(a: f64, b: f64, t: f64) -> f64 {
    let d = b - a;
    if !d.is_finite() {
        return a * (1.0 - t) + b * t;
    }
    if t >= 0.5 { b - d * (1.0 - t) } else { a + d * t }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[f64::MIN, f64::MAX], 0.5), Some(0.0));
    }

    #[test]
    fn nan_is_left_out_and_zeros_are_one_value() {
        let sorted = clean_sorted(vec![0.0, f64::NAN, -0.0, f64::INFINITY, -1.0]);
        assert_eq!(sorted, [-1.0, 0.0, 0.0, f64::INFINITY]);
        assert!(sorted[1].is_sign_positive());
        assert_eq!(finite(&sorted), [-1.0, 0.0, 0.0]);
    }
}
