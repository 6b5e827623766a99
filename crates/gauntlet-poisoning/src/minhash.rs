//! Near duplicates by MinHash (Broder, 1997): equal signatures in one band of eight make two rows candidates.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::random::Random;

/// Letters of a shingle.
const SHINGLE: usize = 5;
/// Permutations of one band.
const BAND: usize = 8;

/// Turns sets into signatures. Two signers of one seed agree on their common permutations.
#[derive(Clone, Debug)]
pub struct Signer {
    permutations: Vec<(u32, u32)>,
}

/// The least hash of a set under each permutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(Vec<u32>);

impl Signer {
    /// With so many permutations; 128 make 16 bands.
    #[must_use]
    pub fn new(permutations: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 2);
        let pair = |n: u64| ((n >> 32) as u32 | 1, n as u32);
        Self { permutations: (0..permutations).map(|_| pair(random.number())).collect() }
    }

    /// Signature of a set of hashed elements; `None` for an empty set, which is a duplicate of nothing.
    #[must_use]
    pub fn sign(&self, elements: &[u64]) -> Option<Signature> {
        if elements.is_empty() {
            return None;
        }
        let mut least = vec![u32::MAX; self.permutations.len()];
        for element in elements {
            let element = (element ^ (element >> 32)) as u32;
            for (least, &(factor, add)) in least.iter_mut().zip(&self.permutations) {
                let mixed = element.wrapping_mul(factor).wrapping_add(add);
                // The product's high bits are the well mixed ones.
                *least = (*least).min((mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b));
            }
        }
        Some(Signature(least))
    }

    /// Adds the hashes of a text's shingles: five letters each, case and runs of blanks ignored.
    pub fn shingles(text: &str, column: u64, elements: &mut Vec<u64>) {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let letters: Vec<char> = words.join(" ").chars().collect();
        let mut buffer = String::with_capacity(4 * SHINGLE);
        let mut add = |letters: &[char]| {
            buffer.clear();
            buffer.extend(letters);
            elements.push(xxh3_64_with_seed(buffer.as_bytes(), column));
        };
        if letters.len() < SHINGLE {
            add(&letters);
        } else {
            letters.windows(SHINGLE).for_each(add);
        }
    }

    /// Adds the hash of one cell. Numbers are rounded to three significant digits by the caller.
    pub fn cell(value: &[u8], column: u64, elements: &mut Vec<u64>) {
        elements.push(xxh3_64_with_seed(value, column ^ 0x5bd1_e995_97f4_a7c1));
    }

    /// Signatures of many sets at once, in their order.
    #[must_use]
    pub fn sign_all(&self, sets: &[Vec<u64>]) -> Vec<Option<Signature>> {
        sets.par_iter().map(|set| self.sign(set)).collect()
    }

    /// A number to three significant digits, as the bytes that stand for it: digits with sign, then the power of ten.
    #[must_use]
    pub fn rounded(value: f64) -> [u8; 4] {
        if value == 0.0 || !value.is_finite() {
            let kind = if value.is_nan() {
                1
            } else if value == f64::INFINITY {
                2
            } else {
                3
            };
            return if value == 0.0 { [0; 4] } else { [kind, 0xff, 0xff, 0x7f] };
        }
        let size = value.abs();
        #[expect(clippy::cast_possible_truncation, reason = "-324 to 308, and 100 to 1000")]
        let (mut power, scaled) = {
            let power = size.log10().floor() as i32;
            (power, |power: i32| (size / 10f64.powi(power - 2)).round() as i32)
        };
        // The logarithm may be off by one beside a power of ten, and rounding up may reach the next one.
        if scaled(power) < 100 {
            power -= 1;
        } else if scaled(power) >= 1_000 {
            power += 1;
        }
        let digits = i16::try_from(scaled(power)).unwrap_or(i16::MAX) * if value < 0.0 { -1 } else { 1 };
        let ([a, b], [c, d]) = (digits.to_le_bytes(), i16::try_from(power).unwrap_or(0).to_le_bytes());
        [a, b, c, d]
    }
}

impl Signature {
    /// Estimate of the Jaccard similarity: share of equal entries.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f64 {
        let equal = self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count();
        crate::stats::as_f64(equal) / crate::stats::as_f64(self.0.len().max(1))
    }
}

/// One key for each band of eight permutations: rows that share a key are candidates.
#[must_use]
pub fn keys(signature: &Signature) -> Vec<u64> {
    let bands = signature.0.chunks_exact(BAND).enumerate();
    bands
        .map(|(band, values)| {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            xxh3_64_with_seed(&bytes, band as u64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(text: &str) -> Signature {
        let mut elements = Vec::new();
        Signer::shingles(text, 0, &mut elements);
        Signer::new(128, 7).sign(&elements).unwrap()
    }

    #[test]
    fn similarity_follows_jaccard() {
        let text = "the router was slow again so the customer asked for a refund and a new contract";
        let close = "the router was slow again so the customer asked for a refund and a new Contract!";
        let far = "moved house last week, wants the fibre installed before the holidays begin";
        assert_eq!(
            signature(text).similarity(&signature(
                "The  router was slow again so the customer asked for a refund and a new contract"
            )),
            1.0
        );
        let near = signature(text).similarity(&signature(close));
        assert!(near > 0.9 && near < 1.0, "{near}");
        assert!(signature(text).similarity(&signature(far)) < 0.1);
        let shared = |a: &str, b: &str| {
            let b = keys(&signature(b));
            keys(&signature(a)).iter().filter(|k| b.contains(k)).count()
        };
        assert!(shared(text, close) > 0);
        assert_eq!(shared(text, far), 0);
    }

    #[test]
    fn estimates_are_close_for_known_overlaps() {
        let signer = Signer::new(1024, 3);
        for overlap in [200u64, 500, 800, 950] {
            let a: Vec<u64> = (0..1000).map(|i| xxh3_64_with_seed(&i.to_string().into_bytes(), 0)).collect();
            let b: Vec<u64> =
                (1000 - overlap..2000 - overlap).map(|i| xxh3_64_with_seed(&i.to_string().into_bytes(), 0)).collect();
            let jaccard = overlap as f64 / (2000 - overlap) as f64;
            let estimate = signer.sign(&a).unwrap().similarity(&signer.sign(&b).unwrap());
            assert!((estimate - jaccard).abs() < 0.06, "{overlap}: {estimate} {jaccard}");
        }
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(Signer::rounded(1234.0), Signer::rounded(1230.4));
        assert_ne!(Signer::rounded(1234.0), Signer::rounded(1244.0));
        assert_eq!(Signer::rounded(-0.0), Signer::rounded(0.0));
        assert_eq!(Signer::rounded(999.96), Signer::rounded(1_000.4));
        assert_ne!(Signer::rounded(999.0), Signer::rounded(1_000.0));
        assert_ne!(Signer::rounded(1e-7), Signer::rounded(-1e-7));
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX] {
            assert_ne!(Signer::rounded(odd), Signer::rounded(1.0));
        }
        for power in -300..300 {
            assert_eq!(Signer::rounded(10f64.powi(power)), Signer::rounded(10f64.powi(power) * 1.001), "{power}");
        }
        assert!(Signer::new(128, 0).sign(&[]).is_none());
    }
}
