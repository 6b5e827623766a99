//! The whole gate over a cluster that is this process: every plan and table goes through its bytes. What is said must not
//! depend on who reads.

use std::sync::Mutex;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::prelude::SessionContext;
use gauntlet_core::Facts;

use super::*;
use crate::extract::extract_on;
use crate::profiling::{ReadOptions, profile};
use crate::tests::{Project, parquet};

/// Reads in this process, `pieces` at a time; `between` runs after the files were looked at.
struct Here {
    pieces: usize,
    between: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Here {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Here({})", self.pieces)
    }
}

fn here(pieces: usize) -> Here {
    Here { pieces, between: Mutex::new(None) }
}

impl Cluster for Here {
    fn prepare<'a>(&'a self, table: &'a [u8]) -> BoxFuture<'a, Result<usize, ClusterError>> {
        Box::pin(async move {
            match look(table)?.into_iter().next() {
                Some((path, what)) => Err(ClusterError::new(format!("here: {path}: {what}"))),
                None => {
                    if let Some(between) = self.between.lock().unwrap().take() {
                        between();
                    }
                    Ok(self.pieces)
                }
            }
        })
    }

    fn run(&self, plan: Arc<dyn ExecutionPlan>) -> BoxFuture<'_, Result<Vec<RecordBatch>, ClusterError>> {
        Box::pin(async move {
            let mut sent = 0;
            let sent_plan = plan.transform_up(|node| match encode_scan(node.as_ref()) {
                Some(bytes) => {
                    sent += 1;
                    let children: Vec<_> = node.children().into_iter().cloned().collect();
                    Ok(Transformed::yes(decode_scan(&bytes, &children)?))
                }
                None => Ok(Transformed::no(node)),
            });
            let plan = sent_plan.map_err(|error| ClusterError::new(error.to_string()))?.data;
            assert_eq!(sent, 1);
            let rows = datafusion::physical_plan::collect(plan, SessionContext::new().task_ctx()).await;
            rows.map_err(|error| ClusterError::new(error.to_string()))
        })
    }
}

fn facts(project: &Project, cluster: Option<&dyn Cluster>) -> String {
    let (facts, _): (Facts, _) = project.target(|target, context| extract_on(target, context, 2, cluster));
    serde_json::to_string(&facts).unwrap()
}

const CONTRACT: &str = "contract: 1\ncolumns:\n  id: {type: integer, range: [5, null], unique: true, monotone: increasing}\n  \
                        age: {type: integer, range: [0, 70], mean: [0, 10], quantiles: {0.5: [0, 10]}}\n  \
                        plan: {type: string, allowed: [pro], shares: {pro: [0.1, 0.2]}, pattern: '[a-z]+', length: [3, 4]}\n  \
                        charge: {type: float, range: [0, 100]}\nrules:\n  - {name: young, expression: 'age <= id', mostly: 0.9}\n";

#[test]
fn facts_do_not_depend_on_who_reads() {
    let project = Project::new()
        .file("a.parquet", parquet(5_000, 300))
        .file("b.parquet", parquet(2_000, 2_000))
        .contract(CONTRACT)
        .sound_manifest(
            "consent: {basis: consent, record: 'urn:r', column: plan, allowed: [pro], purposes: [train]}\n",
        );
    let local = facts(&project, None);
    assert!(local.contains("young") && local.contains("\"failing\":"), "{local}");
    for pieces in [1, 2, 7, 64] {
        assert_eq!(facts(&project, Some(&here(pieces))), local, "{pieces}");
    }
}

#[test]
fn formulas_and_what_cannot_be_read_come_back() {
    let text = "id,phone,notes\n1,+49 30 1234567,\"=HYPERLINK(\"\"http://x\"\")\"\n2,,fine\n3,4111111111111111\n";
    let mut broken = parquet(3_000, 500);
    let half = broken.len() / 2;
    for byte in broken.iter_mut().take(half).skip(4) {
        *byte ^= 0x5A;
    }
    let lines = "{\"id\": 1, \"notes\": \"a\"}\n{\"id\": 2}\n";
    let projects = [
        Project::new().file("a.csv", text).file("b.csv", text),
        Project::new().file("a.parquet", broken).file("b.parquet", parquet(100, 10)).contract(CONTRACT),
        Project::new().file("a.jsonl", lines).file("b.jsonl", "{\"id\": 3, \"more\": true}\n"),
        Project::new().file("a.csv", "x\n"),
    ];
    for (i, project) in projects.iter().enumerate() {
        let local = facts(project, None);
        assert_eq!(facts(project, Some(&here(3))), local, "{i}");
        assert!(i > 1 || local.contains("malformed: ") || local.contains("truncated: "), "{i}: {local}");
    }
    assert!(facts(&projects[0], Some(&here(2))).contains("reaches"));
}

#[test]
fn a_profile_does_not_depend_on_who_reads() {
    let project = Project::new().file("a.parquet", parquet(5_000, 300)).file("b.parquet", parquet(2_000, 2_000));
    let paths = [project.root().join("data").to_str().unwrap().parse().unwrap()];
    let sketch = crate::SketchOptions { kll: Some(200), ..crate::SketchOptions::default() };
    let bytes = |cluster: Option<Arc<dyn Cluster>>| {
        let read = ReadOptions { partitions: Some(2), cluster, ..ReadOptions::default() };
        profile(&paths, &read, &sketch).unwrap().to_bytes()
    };
    let local = bytes(None);
    for pieces in [1, 2, 7] {
        assert_eq!(bytes(Some(Arc::new(here(pieces)))), local, "{pieces}");
    }
}

#[test]
fn a_file_that_is_another_one_elsewhere_is_named() {
    let project = Project::new().file("a.parquet", parquet(1_000, 100)).contract(CONTRACT);
    let other = parquet(1_000, 101);
    let path = project.root().join("data/a.parquet");
    let sound = std::fs::read(&path).unwrap();
    // A footer with one more letter, and a file of the same size with another end.
    let mut turned = sound.clone();
    turned.reverse();
    for (bytes, word) in [(other, "is another file"), (turned, "of the same size")] {
        let (to, bytes) = (path.clone(), bytes.clone());
        let cluster =
            Here { between: Mutex::new(Some(Box::new(move || std::fs::write(to, bytes).unwrap()))), ..here(2) };
        let text = facts(&project, Some(&cluster));
        assert!(text.contains("changed: ") && text.contains(word), "{text}");
        std::fs::write(&path, &sound).unwrap();
    }
    let to = path.clone();
    let cluster = Here { between: Mutex::new(Some(Box::new(move || std::fs::remove_file(to).unwrap()))), ..here(2) };
    let text = facts(&project, Some(&cluster));
    assert!(text.contains("unreadable: ") && text.contains("a.parquet"), "{text}");
}

#[test]
fn what_is_no_table_is_refused() {
    assert!(look(b"{}").is_err());
    assert!(decode_scan(b"{\"scan\":1}", &[]).is_err());
    let table = br#"{"version":9,"schema":"","text":[],"partitions":0,"files":[],"limits":{}}"#;
    assert!(look(table).unwrap_err().to_string().contains("another version"));
    let table = br#"{"version":1,"schema":"00","text":[true],"partitions":0,"files":[],"limits":{}}"#;
    assert!(look(table).is_err());
}

#[test]
fn bytes_of_a_table_never_panic() {
    let project = Project::new().file("a.parquet", parquet(50, 10));
    let paths = [project.root().join("data").to_str().unwrap().parse().unwrap()];
    let table = crate::profiling::open_table(&paths, &ReadOptions::default()).unwrap();
    let seed = serde_json::to_vec(&DistantTable::of(&table).unwrap()).unwrap();
    assert_eq!(look(&seed).unwrap(), Vec::new());
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..2_000 {
        let mut bytes = seed.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = b"0123456789abcdef\",:"[next(19)],
                1 => bytes.truncate(at.max(1)),
                _ => bytes[at] ^= 1 << next(8),
            }
        }
        let _ = look(&bytes);
    }
}
