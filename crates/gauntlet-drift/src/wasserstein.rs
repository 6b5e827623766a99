//! The 1-Wasserstein distance between two samples: the area between their distribution functions.

use crate::quantile::{finite, quantile};

/// Smallest deviation by which a distance is divided.
const STD_FLOOR: f64 = 1e-3;

/// Integral of `|F_ref - F_cur|` over the finite values of two sorted samples; `None` when either has none.
#[must_use]
pub fn wasserstein(reference: &[f64], current: &[f64]) -> Option<f64> {
    let (a, b) = (finite(reference), finite(current));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut area) = (0, 0, 0.0);
    let mut last: Option<f64> = None;
    loop {
        let x = match (a.get(i), b.get(j)) {
            (Some(&x), Some(&y)) => x.min(y),
            (Some(&x), None) | (None, Some(&x)) => x,
            (None, None) => break,
        };
        if let Some(last) = last {
            // Halves keep the width of the widest range finite.
            area += (i as f64 / n - j as f64 / m).abs() * (x / 2.0 - last / 2.0);
        }
        i += a.get(i..).unwrap_or_default().iter().take_while(|&&y| y <= x).count();
        j += b.get(j..).unwrap_or_default().iter().take_while(|&&y| y <= x).count();
        last = Some(x);
    }
    Some(area * 2.0)
}

/// [`wasserstein`] as a multiple of the reference's deviation, which counts as at least 0.001.
#[must_use]
pub fn wasserstein_normed(reference: &[f64], current: &[f64]) -> Option<f64> {
    Some(wasserstein(reference, current)? / std_population(reference)?.max(STD_FLOOR))
}

/// Standard deviation (division by n) of the finite values.
#[must_use]
pub fn std_population(sorted: &[f64]) -> Option<f64> {
    let values = finite(sorted);
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().map(|x| x / n).sum::<f64>();
    let mean = mean + values.iter().map(|x| (x - mean) / n).sum::<f64>();
    Some((values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// The values of `sorted` moved into the range of the reference's quantiles .001 and .999: a single outlier no longer moves the distance.
#[must_use]
pub fn clip(reference: &[f64], sorted: &[f64]) -> Vec<f64> {
    let values = finite(reference);
    match (quantile(values, 0.001), quantile(values, 0.999)) {
        (Some(low), Some(high)) => sorted.iter().map(|x| x.clamp(low, high)).collect(),
        _ => sorted.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_as_far_as_it_goes() {
        let a: Vec<f64> = (0..100).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|x| x + 2.5).collect();
        assert!((wasserstein(&a, &b).unwrap() - 2.5).abs() < 1e-12);
        assert_eq!(wasserstein(&a, &a), Some(0.0));
        assert_eq!(wasserstein(&[], &a), None);
    }

    #[test]
    fn one_outlier_moves_the_raw_distance_and_not_the_clipped_one() {
        let a: Vec<f64> = (0..10_000).map(f64::from).collect();
        let mut b = a.clone();
        if let Some(last) = b.last_mut() {
            *last = 1e9;
        }
        assert!(wasserstein_normed(&a, &b).unwrap() > 30.0);
        assert!(wasserstein_normed(&clip(&a, &a), &clip(&a, &b)).unwrap() < 1e-3);
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let d = wasserstein(&[f64::MIN / 2.0], &[f64::MAX / 2.0]).unwrap();
        assert!(d.is_finite() && d > 1e308);
        assert_eq!(wasserstein(&[f64::NEG_INFINITY], &[1.0]), None);
    }
}
