//! RFC 6962 Merkle trees over SHA-256: roots, inclusion and consistency proofs, made and checked.
//! Where the hashes of complete subtrees come from (memory, tiles) is the reader's business.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Proofs longer than this cannot belong to a tree with a 64-bit size.
pub const MAX_PROOF: usize = 64;

/// A SHA-256 value: a leaf, a node, a root, or the digest of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// Gives the hashes of complete subtrees of a tree.
pub trait HashReader {
    /// What reading can fail with.
    type Error;

    /// The root of the complete subtree over the leaves `index << height .. (index + 1) << height`.
    ///
    /// # Errors
    /// When the hash cannot be had, by whatever the reader reads from.
    fn subtree(&self, height: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not inside the tree.
    #[error("index {index} is not in a tree of {size} entries")]
    IndexOutside {
        /// The asked index, from 0.
        index: u64,
        /// The number of leaves.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("a tree of {old} entries cannot be the past of one of {new}")]
    Shrunk {
        /// Leaves of the tree said to be older.
        old: u64,
        /// Leaves of the tree said to be newer.
        new: u64,
    },
    /// The number of hashes does not fit the index and the sizes.
    #[error("the proof holds {found} hashes, which is not what its sizes need")]
    Length {
        /// Hashes in the proof.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The hash of one entry as a leaf: `SHA-256(0x00 | entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x00]);
    hasher.update(entry);
    Hash(hasher.finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 | left | right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0x01]);
    hasher.update(left.0);
    hasher.update(right.0);
    Hash(hasher.finalize().into())
}

/// The root of the tree without entries: `SHA-256("")`.
pub fn empty_root() -> Hash {
    Hash::of(b"")
}

/// The root over the first `size` leaves.
///
/// # Errors
/// What the reader fails with.
pub fn root<R: HashReader>(size: u64, reader: &R) -> Result<Hash, R::Error> {
    if size == 0 { Ok(empty_root()) } else { range(0, size, reader) }
}

/// The inclusion proof of leaf `index` in the tree over the first `size` leaves, from leaf to root (RFC 6962, 2.1.1).
///
/// # Errors
/// [`ProofError::IndexOutside`] inside `Ok(Err(_))` when the index is not in the tree; else what the reader fails with.
pub fn inclusion_proof<R: HashReader>(
    index: u64,
    size: u64,
    reader: &R,
) -> Result<Result<Vec<Hash>, ProofError>, R::Error> {
    if index >= size {
        return Ok(Err(ProofError::IndexOutside { index, size }));
    }
    let (mut low, mut high) = (0, size);
    let mut path = Vec::new();
    while high - low > 1 {
        let split = low + split_point(high - low);
        if index < split {
            path.push(range(split, high, reader)?);
            high = split;
        } else {
            path.push(range(low, split, reader)?);
            low = split;
        }
    }
    path.reverse();
    Ok(Ok(path))
}

/// The consistency proof between the trees over the first `old` and the first `new` leaves (RFC 6962, 2.1.2). Empty when the
/// old tree is empty or both are equal.
///
/// # Errors
/// [`ProofError::Shrunk`] inside `Ok(Err(_))` when `old` is larger than `new`; else what the reader fails with.
pub fn consistency_proof<R: HashReader>(
    old: u64,
    new: u64,
    reader: &R,
) -> Result<Result<Vec<Hash>, ProofError>, R::Error> {
    if old > new {
        return Ok(Err(ProofError::Shrunk { old, new }));
    }
    if old == 0 || old == new {
        return Ok(Ok(Vec::new()));
    }
    let (mut low, mut high) = (0, new);
    let mut whole = true;
    let mut path = Vec::new();
    while old != high {
        let split = low + split_point(high - low);
        if old <= split {
            path.push(range(split, high, reader)?);
            high = split;
        } else {
            path.push(range(low, split, reader)?);
            low = split;
            whole = false;
        }
    }
    if !whole {
        path.push(range(low, high, reader)?);
    }
    path.reverse();
    Ok(Ok(path))
}

/// Checks that `leaf` stands at `index` in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).
///
/// # Errors
/// Why it does not hold.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutside { index, size });
    }
    let length = ProofError::Length { found: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162, 2.1.4.2).
///
/// # Errors
/// Why it does not hold.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    let length = ProofError::Length { found: proof.len() };
    if old == 0 || old == new {
        let expected = if old == 0 { empty_root() } else { *new_root };
        return match (proof.is_empty(), *old_root == expected) {
            (false, _) => Err(length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    let mut hashes = proof.iter();
    // A complete old tree is itself a node of the new one, so the proof need not repeat its root.
    let first = if old.is_power_of_two() { old_root } else { hashes.next().ok_or(length.clone())? };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(length);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

impl Hash {
    /// The plain SHA-256 of some bytes, for envelopes and files.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes the 32 bytes of a hash; `None` when there are more or fewer.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Reads padded standard base64 of 32 bytes, in the one canonical spelling.
    pub fn from_base64(text: &str) -> Option<Self> {
        if text.len() != 44 {
            return None;
        }
        Self::from_slice(&STANDARD.decode(text).ok()?)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Padded standard base64, as checkpoints and proofs write hashes.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hash({self})")
    }
}

/// The largest power of two below `length`, which is at least 2.
fn split_point(length: u64) -> u64 {
    1 << (u64::BITS - 1 - (length - 1).leading_zeros())
}

/// The root over the leaves `low..high`, where `low` is a multiple of the largest power of two in the length.
fn range<R: HashReader>(low: u64, high: u64, reader: &R) -> Result<Hash, R::Error> {
    let mut parts = Vec::new();
    let mut start = low;
    while start < high {
        let height = (high - start).ilog2();
        parts.push(reader.subtree(height as u8, start >> height)?);
        start += 1 << height;
    }
    let mut hash: Option<Hash> = None;
    for part in parts.iter().rev() {
        hash = Some(hash.map_or(*part, |right| node_hash(part, &right)));
    }
    Ok(hash.unwrap_or_else(empty_root))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tlog_tiles::tlog;

    use super::*;

    /// All leaves in memory; subtrees are computed by the definition.
    struct Leaves(Vec<Hash>);

    impl HashReader for Leaves {
        type Error = std::convert::Infallible;

        fn subtree(&self, height: u8, index: u64) -> Result<Hash, Self::Error> {
            let start = (index << height) as usize;
            Ok(naive(&self.0[start..start + (1 << height)]))
        }
    }

    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(split_point(leaves.len() as u64) as usize);
                node_hash(&naive(left), &naive(right))
            }
        }
    }

    fn leaves(count: u64) -> Leaves {
        Leaves((0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    fn theirs(hash: &Hash) -> tlog::Hash {
        tlog::Hash(*hash.as_bytes())
    }

    #[test]
    fn every_proof_of_small_trees_holds_and_the_reference_agrees() {
        for size in 1..40 {
            let tree = leaves(size);
            let Ok(root_hash) = root(size, &tree);
            assert_eq!(root_hash, naive(&tree.0));
            for index in 0..size {
                let Ok(proof) = inclusion_proof(index, size, &tree);
                let proof = proof.unwrap();
                let leaf = tree.0[index as usize];
                verify_inclusion(&leaf, index, size, &proof, &root_hash).unwrap();
                let their_proof: Vec<_> = proof.iter().map(theirs).collect();
                tlog::check_record(&their_proof, size, theirs(&root_hash), index, theirs(&leaf)).unwrap();
                assert_eq!(verify_inclusion(&leaf, index, size, &proof, &leaf_hash(b"other")), Err(ProofError::Root));
            }
            for old in 1..=size {
                let Ok(proof) = consistency_proof(old, size, &tree);
                let proof = proof.unwrap();
                let Ok(old_root) = root(old, &tree);
                verify_consistency(old, &old_root, size, &root_hash, &proof).unwrap();
                let their_proof: Vec<_> = proof.iter().map(theirs).collect();
                tlog::check_tree(&their_proof, size, theirs(&root_hash), old, theirs(&old_root)).unwrap();
            }
        }
    }

    #[test]
    fn refuses_proofs_out_of_range() {
        let tree = leaves(3);
        let Ok(outside) = inclusion_proof(3, 3, &tree);
        assert_eq!(outside, Err(ProofError::IndexOutside { index: 3, size: 3 }));
        let Ok(shrunk) = consistency_proof(4, 3, &tree);
        assert_eq!(shrunk, Err(ProofError::Shrunk { old: 4, new: 3 }));
        let hash = empty_root();
        assert!(verify_inclusion(&hash, u64::MAX, u64::MAX, &[], &hash).is_err());
        assert!(verify_consistency(2, &hash, 1, &hash, &[]).is_err());
        assert_eq!(verify_consistency(0, &leaf_hash(b"x"), 1, &hash, &[]), Err(ProofError::Root));
    }

    proptest! {
        #[test]
        fn a_changed_proof_never_holds(size in 2u64..300, at in any::<u64>(), place in any::<usize>(), bit in 0usize..256) {
            let tree = leaves(size);
            let index = at % size;
            let Ok(root_hash) = root(size, &tree);
            let Ok(proof) = inclusion_proof(index, size, &tree);
            let mut proof = proof.unwrap();
            let place = place % proof.len();
            proof[place].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_inclusion(&tree.0[index as usize], index, size, &proof, &root_hash).is_err());
            proof.pop();
            prop_assert!(verify_inclusion(&tree.0[index as usize], index, size, &proof, &root_hash).is_err());
        }

        #[test]
        fn random_hashes_never_connect_trees(old in 1u64..1000, more in 1u64..1000, seeds in proptest::collection::vec(any::<u64>(), 0..14)) {
            let proof: Vec<Hash> = seeds.iter().map(|seed| leaf_hash(&seed.to_le_bytes())).collect();
            prop_assert!(verify_consistency(old, &leaf_hash(b"a"), old + more, &leaf_hash(b"b"), &proof).is_err());
        }
    }
}
