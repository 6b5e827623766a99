//! The transparency-log vectors of the repository: trees, proofs, checkpoints, tiles, and notes that have to be refused.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::collections::BTreeMap;

use gauntlet_ledger::checkpoint::{Checkpoint, SignedCheckpoint};
use gauntlet_ledger::note::VerifierKey;
use gauntlet_ledger::proof::ProofFile;
use gauntlet_ledger::tile::{Tile, TileKind};
use gauntlet_ledger::tree::{
    Hash, HashReader, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash, root, verify_consistency,
    verify_inclusion,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Vectors {
    log_vkey: String,
    witness_vkey: String,
    entries_0_3: Vec<String>,
    leaf_0: String,
    roots: BTreeMap<u64, String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
    checkpoints: BTreeMap<String, String>,
    tlog_proof_300_of_600: String,
    tiles_600: serde_json::Map<String, serde_json::Value>,
    must_fail: Vec<MustFail>,
}

#[derive(Deserialize)]
struct Inclusion {
    index: u64,
    size: u64,
    path: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    old: u64,
    new: u64,
    proof: Vec<String>,
}

#[derive(Deserialize)]
struct MustFail {
    id: String,
    note: String,
}

/// Complete subtrees by height, over the 600 entries of the vectors.
struct Subtrees(Vec<Vec<Hash>>);

impl HashReader for Subtrees {
    type Error = std::convert::Infallible;

    fn subtree(&self, height: u8, index: u64) -> Result<Hash, Self::Error> {
        Ok(self.0[usize::from(height)][index as usize])
    }
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/tlog/vectors.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn entry(index: usize) -> String {
    let digest = Sha256::digest([(index % 256) as u8, (index / 256) as u8]);
    format!("{{\"n\":{index},\"d\":\"{}\"}}", hex::encode(digest))
}

fn subtrees() -> Subtrees {
    let mut levels = vec![(0..600).map(|index| leaf_hash(entry(index).as_bytes())).collect::<Vec<_>>()];
    while levels.last().unwrap().len() > 1 {
        let next = levels.last().unwrap().chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
        levels.push(next);
    }
    Subtrees(levels)
}

fn hashes(texts: &[String]) -> Vec<Hash> {
    texts.iter().map(|text| Hash::from_base64(text).unwrap()).collect()
}

#[test]
fn entries_leaves_and_roots_agree() {
    let vectors = vectors();
    for (index, text) in vectors.entries_0_3.iter().enumerate() {
        assert_eq!(*text, entry(index));
    }
    assert_eq!(leaf_hash(entry(0).as_bytes()).to_base64(), vectors.leaf_0);
    assert_eq!(empty_root().to_base64(), vectors.roots[&0]);
    assert_eq!(vectors.roots.len(), 16);
    for (size, expected) in &vectors.roots {
        let Ok(found) = root(*size, &subtrees());
        assert_eq!(found.to_base64(), *expected, "{size}");
    }
}

#[test]
fn inclusion_proofs_agree_and_hold() {
    let (vectors, tree) = (vectors(), subtrees());
    assert_eq!(vectors.inclusion.len(), 12);
    for case in &vectors.inclusion {
        let path = hashes(&case.path);
        let Ok(made) = inclusion_proof(case.index, case.size, &tree);
        assert_eq!(made.unwrap(), path);
        let leaf = leaf_hash(entry(case.index as usize).as_bytes());
        let Ok(root) = root(case.size, &tree);
        verify_inclusion(&leaf, case.index, case.size, &path, &root).unwrap();
    }
}

#[test]
fn consistency_proofs_agree_and_hold() {
    let (vectors, tree) = (vectors(), subtrees());
    assert_eq!(vectors.consistency.len(), 11);
    for case in &vectors.consistency {
        let proof = hashes(&case.proof);
        let Ok(made) = consistency_proof(case.old, case.new, &tree);
        assert_eq!(made.unwrap(), proof);
        let (Ok(old), Ok(new)) = (root(case.old, &tree), root(case.new, &tree));
        verify_consistency(case.old, &old, case.new, &new, &proof).unwrap();
    }
}

#[test]
fn checkpoints_open_with_their_signatures() {
    let vectors = vectors();
    let log = VerifierKey::parse(&vectors.log_vkey).unwrap();
    let witness = VerifierKey::parse(&vectors.witness_vkey).unwrap();
    assert_eq!((log.to_string(), witness.to_string()), (vectors.log_vkey.clone(), vectors.witness_vkey.clone()));
    for (name, note) in &vectors.checkpoints {
        let signed = SignedCheckpoint::open(note.as_bytes(), &log, std::slice::from_ref(&witness)).unwrap();
        let size: u64 = name.trim_end_matches("_cosigned").parse().unwrap();
        let Ok(root) = root(size, &subtrees());
        assert_eq!(signed.checkpoint, Checkpoint { origin: "gauntlet.example/ledger".into(), size, root });
        let cosigned = signed.signatures.iter().filter(|signature| signature.time.is_some()).count();
        assert_eq!(cosigned, usize::from(name.ends_with("_cosigned")));
        assert_eq!(signed.note.to_string(), *note);
    }
    assert_eq!(vectors.checkpoints.len(), 3);
}

#[test]
fn the_proof_file_verifies_and_is_written_back() {
    let vectors = vectors();
    let log = VerifierKey::parse(&vectors.log_vkey).unwrap();
    let witness = VerifierKey::parse(&vectors.witness_vkey).unwrap();
    let proof = ProofFile::parse(vectors.tlog_proof_300_of_600.as_bytes()).unwrap();
    let signed = proof.verify(entry(300).as_bytes(), &log, &[witness]).unwrap();
    assert_eq!((proof.index, signed.signatures.len()), (300, 2));
    assert!(proof.verify(entry(301).as_bytes(), &log, &[]).is_err());
    assert_eq!(proof.to_string(), vectors.tlog_proof_300_of_600);
}

#[test]
fn tiles_have_the_names_and_hashes() {
    let vectors = vectors();
    let partials: Vec<String> = Tile::partials(600).iter().map(Tile::path).collect();
    assert_eq!(vectors.tiles_600["partial_level0"][0], partials[1].as_str());
    assert_eq!(vectors.tiles_600["partial_level1"][0], partials[2].as_str());
    let full = (0..).take_while(|index| Tile::of(TileKind::Hashes(0), *index, 600).is_some_and(|tile| tile.is_full()));
    assert_eq!(vectors.tiles_600["full_level0"], full.count());
    let tree = subtrees();
    let mut compared = 0;
    for (name, expected) in &vectors.tiles_600 {
        let Some(path) = name.strip_suffix(" sha256") else { continue };
        let tile = Tile::parse(path).unwrap();
        let start = tile.index as usize * 256;
        let range = start..start + usize::from(tile.width);
        let bytes: Vec<u8> = match tile.kind {
            TileKind::Entries => range
                .flat_map(|index| {
                    let entry = entry(index);
                    [&(entry.len() as u16).to_be_bytes()[..], entry.as_bytes()].concat()
                })
                .collect(),
            TileKind::Hashes(level) => {
                tree.0[usize::from(level) * 8][range].iter().flat_map(|hash| *hash.as_bytes()).collect()
            }
        };
        assert_eq!(Hash::of(&bytes).to_string(), *expected, "{path}");
        compared += 1;
    }
    assert_eq!(compared, 3);
}

#[test]
fn refuses_every_note_that_has_to_be_refused() {
    let vectors = vectors();
    let log = VerifierKey::parse(&vectors.log_vkey).unwrap();
    assert_eq!(vectors.must_fail.len(), 6);
    for case in &vectors.must_fail {
        assert!(SignedCheckpoint::open(case.note.as_bytes(), &log, &[]).is_err(), "{}", case.id);
    }
}
