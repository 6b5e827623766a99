//! Runs this gate alone over a folder and prints its findings as JSON, for measurements: `scan FOLDER`.
#![allow(clippy::print_stdout)]

use std::path::Path;

use gauntlet_core::{
    Context, DigestSet, Judging, Limits, MaskKey, NoProgress, Subject, SubjectKind, Target, Tree, TreeOptions, seal,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).ok_or("usage: scan FOLDER")?;
    let limits = Limits::default();
    let tree = Tree::read(Path::new(&root), &TreeOptions::default(), &limits)?;
    let subject = Subject { name: root, kind: SubjectKind::Source, digest: DigestSet::default() };
    let config = serde_json::Value::Null;
    let gate = &gauntlet_source::GATE;
    let mask = MaskKey::for_project("scan");
    let target = Target { subject: &subject, root: &tree.root, tree: &tree, config: &config };
    let facts = gate.extractor.extract(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress });
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let reports: Vec<_> = gate
        .checks
        .iter()
        .map(|check| {
            let judgement = check.judge(&facts, &judging);
            serde_json::json!({"check": check.info().id, "findings": seal(judgement.findings), "coverage": facts.coverage.get(check.info().id)})
        })
        .collect();
    println!("{}", serde_json::json!({"reports": reports, "facts": facts.rows.len()}));
    Ok(())
}
