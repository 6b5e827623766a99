//! The law of the one-sample Kolmogorov-Smirnov distance for finite n. Regions and methods follow Simard and L'Ecuyer, "Computing the
//! two-sided Kolmogorov-Smirnov distribution", Journal of Statistical Software 39 (2011).

use std::f64::consts::PI;

use statrs::function::gamma::ln_gamma;

/// Up to this n the exact matrix form is used in the middle region.
const SMALL: u64 = 140;
/// Past this n the sum over n terms gives way to its expansion.
const MAX_SUM: u64 = 10_000_000;

/// Chance that the distance of `n` values from their law is at least `d`. NaN for `n = 0` or `d` NaN.
#[must_use]
pub fn kolmogorov_sf(n: u64, d: f64) -> f64 {
    if n == 0 || d.is_nan() {
        return f64::NAN;
    }
    let nf = n as f64;
    let t = nf * d;
    if d >= 1.0 {
        return 0.0;
    }
    if t <= 0.5 {
        return 1.0;
    }
    if t <= 1.0 {
        // Ruben and Gambino 1982: n! (2d - 1/n)^n.
        return 1.0 - (ln_gamma(nf + 1.0) + nf * ((2.0 * t - 1.0) / nf).ln()).exp();
    }
    if t >= nf - 1.0 {
        return 2.0 * (1.0 - d).powf(nf);
    }
    let spread = t * d;
    if d >= 0.5 || n <= SMALL && spread > 4.0 || n > SMALL && spread >= 2.2 {
        return if spread >= 370.0 && n > SMALL { 0.0 } else { 2.0 * smirnov_sf(n, d) };
    }
    let cdf = if n <= SMALL || n <= 100_000 && nf * d.powf(1.5) <= 1.4 { matrix_cdf(n, d) } else { pelz_good(nf, d) };
    (1.0 - cdf).clamp(0.0, 1.0)
}

/// Chance that the one-sided distance is at least `d`: the sum of Birnbaum and Tingey (1951).
fn smirnov_sf(n: u64, d: f64) -> f64 {
    let nf = n as f64;
    if n > MAX_SUM {
        // Maag and Dicaire 1971; the relative error is of order 1/n.
        return (-(6.0 * nf * d + 1.0).powi(2) / (18.0 * nf)).exp();
    }
    let last = (nf * (1.0 - d)).floor() as u64;
    let mut sum = Compensated::default();
    // Binomial coefficients by steps of their logarithm, anew every so often to keep rounding from adding up.
    let mut binomial = 0.0;
    for j in 0..=last.min(n) {
        let jf = j as f64;
        if j > 0 {
            binomial += if j % 64 == 0 {
                ln_gamma(nf + 1.0) - ln_gamma(jf + 1.0) - ln_gamma(nf - jf + 1.0) - binomial
            } else {
                ((nf - jf + 1.0) / jf).ln()
            };
        }
        let up = d + jf / nf;
        let down = 1.0 - up;
        let log = binomial + (jf - 1.0) * up.ln() + if j == n { 0.0 } else { (nf - jf) * down.max(0.0).ln() };
        if log > -745.0 {
            sum.add(log.exp());
        }
    }
    (d * sum.value()).min(1.0)
}

#[derive(Default)]
struct Compensated {
    sum: f64,
    rest: f64,
}

impl Compensated {
    fn add(&mut self, x: f64) {
        let y = x - self.rest;
        let t = self.sum + y;
        self.rest = (t - self.sum) - y;
        self.sum = t;
    }

    fn value(&self) -> f64 {
        self.sum
    }
}

/// Exact distribution function by the matrix of Durbin (1968) as Marsaglia, Tsang and Wang (2003) raise it.
fn matrix_cdf(n: u64, d: f64) -> f64 {
    let nf = n as f64;
    let k = (nf * d).ceil();
    let h = k - nf * d;
    let size = 2 * (k as usize) - 1;
    let mut base = Square::new(size);
    for i in 0..size {
        for j in 0..size {
            if i + 1 >= j {
                base.set(i, j, 1.0);
            }
        }
    }
    for i in 0..size {
        let (top, bottom) = (h.powi(i as i32 + 1), h.powi((size - i) as i32));
        base.set(i, 0, base.get(i, 0) - top);
        base.set(size - 1, i, base.get(size - 1, i) - bottom);
    }
    if h > 0.5 {
        base.set(size - 1, 0, base.get(size - 1, 0) + (2.0 * h - 1.0).powi(size as i32));
    }
    for i in 0..size {
        for j in 0..size {
            if i + 1 > j {
                let mut cell = base.get(i, j);
                for g in 1..=(i + 1 - j) {
                    cell /= g as f64;
                }
                base.set(i, j, cell);
            }
        }
    }
    let (power, mut exponent) = base.power(n);
    let mut out = power.get(k as usize - 1, k as usize - 1);
    for i in 1..=n {
        out *= i as f64 / nf;
        if out < 1e-140 {
            out *= 1e140;
            exponent -= 140;
        }
    }
    out * 10_f64.powi(exponent)
}

struct Square {
    size: usize,
    cells: Vec<f64>,
}

impl Square {
    fn new(size: usize) -> Self {
        Self { size, cells: vec![0.0; size * size] }
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        self.cells.get(i * self.size + j).copied().unwrap_or(0.0)
    }

    fn set(&mut self, i: usize, j: usize, x: f64) {
        if let Some(cell) = self.cells.get_mut(i * self.size + j) {
            *cell = x;
        }
    }

    fn times(&self, other: &Self) -> Self {
        let mut out = Self::new(self.size);
        let rows = out.cells.chunks_exact_mut(self.size).zip(self.cells.chunks_exact(self.size));
        for (row, left) in rows {
            for (&x, right) in left.iter().zip(other.cells.chunks_exact(self.size)) {
                for (cell, y) in row.iter_mut().zip(right) {
                    *cell += x * y;
                }
            }
        }
        out
    }

    /// The power and the decimal exponent that was taken out of it.
    fn power(self, n: u64) -> (Self, i32) {
        let mut result: Option<(Self, i32)> = None;
        let (mut square, mut scale) = (self, 0);
        let mut rest = n;
        loop {
            if rest & 1 == 1 {
                result = Some(match result {
                    None => (Self { size: square.size, cells: square.cells.clone() }, scale),
                    Some((product, exponent)) => product.times(&square).scaled(exponent + scale),
                });
            }
            rest >>= 1;
            if rest == 0 {
                break;
            }
            (square, scale) = square.times(&square).scaled(2 * scale);
        }
        result.unwrap_or((square, scale))
    }

    fn scaled(mut self, mut exponent: i32) -> (Self, i32) {
        if self.get(self.size / 2, self.size / 2) > 1e140 {
            self.cells.iter_mut().for_each(|x| *x *= 1e-140);
            exponent += 140;
        }
        (self, exponent)
    }
}

/// Distribution function by the expansion of Pelz and Good (1976), whose error is of order n^-2.
fn pelz_good(n: f64, d: f64) -> f64 {
    let z = n.sqrt() * d;
    let (z2, z4, z6, z8) = (z.powi(2), z.powi(4), z.powi(6), z.powi(8));
    let root = (PI / 2.0).sqrt();
    let (p2, p4, p6) = (PI.powi(2), PI.powi(4), PI.powi(6));
    let (mut k0, mut k1, mut k2, mut k3) = (0.0, 0.0, 0.0, 0.0);
    let (mut k2_tail, mut k3_tail) = (0.0, 0.0);
    // Both signs of k: each half-integer once, doubled below.
    for k in 0..40 {
        let h = f64::from(k) + 0.5;
        let (h2, h4, h6) = (h.powi(2), h.powi(4), h.powi(6));
        let e = (-p2 * h2 / (2.0 * z2)).exp();
        k0 += e;
        k1 += (p2 * h2 - z2) * e;
        k2 += (6.0 * z6 + 2.0 * z4 + p2 * (2.0 * z4 - 5.0 * z2) * h2 + p4 * (1.0 - 2.0 * z2) * h4) * e;
        k3 += (-30.0 * z6 - 90.0 * z8
            + p2 * (135.0 * z4 - 96.0 * z6) * h2
            + p4 * (212.0 * z4 - 60.0 * z2) * h4
            + p6 * (5.0 - 30.0 * z2) * h6)
            * e;
        let w = f64::from(k + 1);
        let (w2, w4) = (w.powi(2), w.powi(4));
        let e = (-p2 * w2 / (2.0 * z2)).exp();
        k2_tail += p2 * w2 * e;
        k3_tail += (3.0 * p2 * w2 * z2 - p4 * w4) * e;
    }
    let k0 = (2.0 * PI).sqrt() / z * k0;
    let k1 = 2.0 * root * k1 / (6.0 * z4);
    let k2 = 2.0 * root * k2 / (72.0 * z.powi(7)) - 2.0 * root * k2_tail / (36.0 * z.powi(3));
    let k3 = 2.0 * root * k3 / (6480.0 * z.powi(10)) + 2.0 * root * k3_tail / (216.0 * z6);
    (k0 + k1 / n.sqrt() + k2 / n + k3 / n.powf(1.5)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_certain() {
        for n in [1, 2, 10, 140, 141, 5_000, 1_000_000, u64::MAX] {
            assert_eq!(kolmogorov_sf(n, 0.0), 1.0, "{n}");
            assert_eq!(kolmogorov_sf(n, 1.0), 0.0, "{n}");
            assert_eq!(kolmogorov_sf(n, -1.0), 1.0, "{n}");
        }
        assert!(kolmogorov_sf(0, 0.5).is_nan());
    }

    #[test]
    fn the_chance_falls_with_the_distance() {
        for n in [1_u64, 3, 17, 139, 140, 141, 901, 99_999, 100_001, 20_000_000] {
            let mut last = 1.0;
            for step in 0..400 {
                let d = f64::from(step) / 400.0 * (4.0 / (n as f64).sqrt()).min(1.0);
                let p = kolmogorov_sf(n, d);
                assert!((0.0..=1.0).contains(&p), "{n} {d} {p}");
                assert!(p <= last + 1e-7, "{n} {d}: {p} after {last}");
                last = p;
            }
        }
    }
}
