use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;
use crate::log::commit::Commit;
use crate::note::VerifierKey;
use crate::record::{EnvelopeDigest, Record};
use crate::tile::Tile;
use crate::tree::{Hash, verify_inclusion};
use crate::{Error, Problem, verify_in, verify_static};

fn objects() -> Objects {
    Objects::new(Arc::new(InMemory::new()), "team/ledger", "memory://team/ledger").unwrap()
}

fn options() -> Options {
    Options { origin: Some("team.example/l".into()), ..Options::default() }
}

fn open(objects: &Objects, config: &Path) -> Ledger {
    Ledger::open_or_create_in(objects, config, &options()).unwrap()
}

fn record(ledger: &Ledger, key: &str) -> Record {
    Record {
        envelope: EnvelopeDigest(ledger.evidence().put(b"{\"payload\":\"\"}").unwrap()),
        key: key.to_owned(),
        kind: "report".into(),
        predicate_type: "https://in-toto.io/attestation/test-result/v0.1".into(),
        subject: BTreeMap::from([("sha256".to_owned(), Hash::of(key.as_bytes()).to_string())]),
        time: "2026-01-02T03:04:05Z".into(),
    }
}

fn append(ledger: &Ledger, keys: impl IntoIterator<Item = String>) -> Vec<u64> {
    let keys: Vec<String> = keys.into_iter().collect();
    let template = record(ledger, "template");
    let records: Vec<_> = keys.into_iter().map(|key| Record { key, ..template.clone() }).collect();
    ledger.append(&records).unwrap().iter().map(Appended::index).collect()
}

fn sound(objects: &Objects, config: &Path) -> crate::Verification {
    let verified = verify_in(objects, config, &options()).unwrap();
    assert_eq!(verified.differences, []);
    verified
}

#[test]
fn gives_back_what_was_appended_with_proofs() {
    let (objects, config) = (objects(), tempfile::tempdir().unwrap());
    let ledger = open(&objects, config.path());
    assert_eq!(append(&ledger, ["a".into()]), [0]);
    assert_eq!(append(&ledger, (0..700).map(|n| format!("k{n}"))).len(), 700);
    append(&ledger, ["b".into()]);
    drop(ledger);
    let ledger = open(&objects, config.path());
    let tree = ledger.checkpoint();
    assert_eq!(tree.size, 702);
    for index in [0, 1, 255, 256, 700, 701] {
        let proof = ledger.prove(index).unwrap();
        let leaf = crate::tree::leaf_hash(&ledger.entry(index).unwrap());
        verify_inclusion(&leaf, index, tree.size, &proof.path, &tree.root).unwrap();
    }
    assert_eq!(ledger.show(701).unwrap().key, "b");
    let verified = sound(&objects, config.path());
    assert_eq!((verified.entries, verified.envelopes, verified.unfinished), (702, 1, 0));
    let reader = Ledger::open_read_only_in(&objects, config.path(), &options()).unwrap();
    assert_eq!(reader.iter().count(), 702);
    let other = Options { origin: Some("other.example/l".into()), ..Options::default() };
    assert!(matches!(Ledger::open_in(&objects, config.path(), &other), Err(Error::OtherLedger { .. })));
    let stranger = tempfile::tempdir().unwrap();
    assert!(matches!(Ledger::open_in(&objects, stranger.path(), &options()), Err(Error::NoKey { .. })));
}

/// The same key on several machines: the folders differ, so that no lock of one machine helps.
fn machines(objects: &Objects, count: usize) -> Vec<tempfile::TempDir> {
    let first = tempfile::tempdir().unwrap();
    drop(open(objects, first.path()));
    let mut all = vec![first];
    for _ in 1..count {
        let next = tempfile::tempdir().unwrap();
        let home = std::fs::read_dir(all[0].path().join("ledgers")).unwrap().next().unwrap().unwrap().path();
        let target = next.path().join("ledgers").join(home.file_name().unwrap());
        std::fs::create_dir_all(&target).unwrap();
        for name in ["log.pem", "log.vkey"] {
            std::fs::copy(home.join(name), target.join(name)).unwrap();
        }
        all.push(next);
    }
    all
}

#[test]
fn many_machines_write_at_once_and_nothing_is_lost_or_forked() {
    let objects = objects();
    let configs = machines(&objects, 4);
    let acknowledged: Vec<(u64, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = configs
            .iter()
            .enumerate()
            .map(|(machine, config)| {
                let objects = &objects;
                scope.spawn(move || {
                    let ledger = open(objects, config.path());
                    let one = |n: usize| {
                        let key = format!("{machine}-{n}");
                        (append(&ledger, [key.clone()])[0], key)
                    };
                    (0..30).map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let indices: BTreeSet<u64> = acknowledged.iter().map(|(index, _)| *index).collect();
    assert!(indices.into_iter().eq(0..120));
    let ledger = open(&objects, configs[0].path());
    for (index, key) in &acknowledged {
        assert_eq!(ledger.show(*index).unwrap().key, *key);
    }
    for config in &configs {
        assert_eq!(sound(&objects, config.path()).entries, 120);
    }
}

/// A writer that believes in a lease it has lost: the journal fences it off, and it learns the truth.
#[test]
fn a_writer_without_the_lease_cannot_fork() {
    let (objects, config) = (objects(), tempfile::tempdir().unwrap());
    let ledger = open(&objects, config.path());
    append(&ledger, ["first".into()]);
    let key = ledger.verifier_key().clone();
    let signer = Home::of(config.path(), "team.example/l").signer().unwrap();
    let mut sleeper = RemoteState::load(&objects, &key).unwrap();
    let entry = |key: &str| record(&ledger, key).to_bytes().unwrap();
    append(&ledger, ["heir".into()]);
    assert!(!sleeper.append(vec![entry("sleeper")], &signer, (1, "sleeper")).unwrap());
    // Even two that send the very same entries: only one of them has made the commit.
    let mut twin = RemoteState::load(&objects, &key).unwrap();
    let mut other = RemoteState::load(&objects, &key).unwrap();
    assert!(twin.append(vec![entry("twin")], &signer, (2, "twin")).unwrap());
    assert!(!other.append(vec![entry("twin")], &signer, (2, "other")).unwrap());
    // The commit is durable, though its writer ended before it published; whoever comes next publishes it.
    let verified = sound(&objects, config.path());
    assert_eq!((verified.entries, verified.unfinished), (3, 1));
    let reader = Ledger::open_read_only_in(&objects, config.path(), &options()).unwrap();
    assert_eq!(reader.checkpoint().size, 2);
    assert_eq!(append(&ledger, ["next".into()]), [3]);
    assert_eq!(sound(&objects, config.path()).unfinished, 0);
    sleeper.catch_up(&signer).unwrap();
    assert_eq!(sleeper.view().size(), 4);
}

#[test]
fn every_changed_or_missing_object_is_found() {
    let (objects, config) = (objects(), tempfile::tempdir().unwrap());
    let ledger = open(&objects, config.path());
    append(&ledger, ["a".into()]);
    append(&ledger, ["b".into(), "c".into()]);
    drop(ledger);
    sound(&objects, config.path());
    let noticed =
        || verify_in(&objects, config.path(), &options()).map_or(true, |verified| !verified.differences.is_empty());
    let mut flipped = 0;
    for name in objects.list("", 1000).unwrap().into_iter().filter(|name| name != "lease") {
        let whole = objects.get(&name, 1 << 20).unwrap().unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1;
            objects.put_all(vec![(name.clone(), bytes.into())]).unwrap();
            assert!(noticed(), "byte {at} of {name}");
        }
        flipped += whole.len();
        // A partial tile of an older size may go; everything else is needed.
        objects.remove(&name).unwrap();
        assert!(noticed() || name.ends_with(".p/1"), "{name}");
        objects.put_all(vec![(name, whole)]).unwrap();
    }
    assert!(flipped > 2_000, "{flipped}");
    sound(&objects, config.path());
    for name in ["tile/0/001", "tile/2/000.p/1", "more", "journal/00000000000000000002", "evidence/x"] {
        objects.put_all(vec![(name.into(), Bytes::from_static(b"x"))]).unwrap();
        assert!(noticed(), "{name}");
        objects.remove(name).unwrap();
    }
}

#[test]
fn a_store_that_was_rolled_back_is_refused() {
    let (objects, config) = (objects(), tempfile::tempdir().unwrap());
    let ledger = open(&objects, config.path());
    append(&ledger, ["a".into()]);
    let old = objects.get("checkpoint", 1 << 20).unwrap().unwrap();
    append(&ledger, ["b".into()]);
    objects.put_all(vec![("checkpoint".into(), old)]).unwrap();
    objects.remove(&Commit::name(1)).unwrap();
    let refused = Ledger::open_in(&objects, config.path(), &options()).unwrap_err();
    assert!(matches!(refused, Error::RolledBack { remembered: 2, found: 1, .. }), "{refused}");
    let refused = ledger.refresh().unwrap_err();
    assert!(refused.is_verdict(), "{refused}");
    let found = verify_in(&objects, config.path(), &options()).unwrap().differences;
    assert!(found.iter().any(|found| matches!(found.problem, Problem::RolledBack { .. })), "{found:?}");
}

#[test]
fn a_static_server_is_verified_without_listing() {
    let (objects, config) = (objects(), tempfile::tempdir().unwrap());
    let ledger = open(&objects, config.path());
    append(&ledger, (0..300).map(|n| format!("k{n}")));
    let key: VerifierKey = ledger.verifier_key().clone();
    let verified = verify_static(&objects, Some(&objects), &key, &Options::default()).unwrap();
    assert_eq!((verified.entries, verified.envelopes, verified.differences), (300, 1, vec![]));
    let tile = Tile::parse("tile/0/000").unwrap();
    let mut bytes = objects.get(&tile.path(), 1 << 20).unwrap().unwrap().to_vec();
    bytes[77] ^= 1;
    objects.put_all(vec![(tile.path(), bytes.into())]).unwrap();
    let found = verify_static(&objects, None, &key, &Options::default()).unwrap().differences;
    assert_eq!(found.len(), 1, "{found:?}");
}
