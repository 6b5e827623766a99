//! Judges files and folders with this gate alone: no evidence, no configuration, one line a finding.
//!
//!     cargo run -p gauntlet-artifact --example judge -- PATH...
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::path::Path;

use gauntlet_artifact::GATE;
use gauntlet_core::{
    Context, Judging, Limits, MaskKey, NoProgress, Subject, SubjectKind, Target, Tree, TreeOptions, seal,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args_os().skip(1) {
        scan(Path::new(&path))?;
    }
    Ok(())
}

fn scan(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default();
    let tree = Tree::read(path, &TreeOptions::default(), &limits)?;
    let subject = Subject { name: "scan".into(), kind: SubjectKind::Model, digest: tree.digest(&[]) };
    let config = serde_json::json!({});
    let target = Target { subject: &subject, root: &tree.root, tree: &tree, config: &config };
    let mask = MaskKey::for_project("");
    let facts = GATE.extractor.extract(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress });
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let mut coverage: Vec<_> = facts.coverage.values().flat_map(|c| c.skipped.clone()).collect();
    println!("{}", path.display());
    for check in GATE.checks {
        let judgement = check.judge(&facts, &judging);
        coverage.extend(judgement.coverage.skipped);
        for finding in seal(judgement.findings) {
            let at = &finding.location;
            let member = at.member.as_ref().map_or_else(String::new, |member| format!("!{member}"));
            let path = at.path.as_deref().unwrap_or("");
            println!("  {:8} {} {path}{member}: {}", finding.severity.as_str(), finding.rule, finding.message);
        }
    }
    for skipped in coverage {
        let member = skipped.member.as_ref().map_or_else(String::new, |member| format!("!{member}"));
        println!("  open     {}{member}: {}", skipped.path, skipped.reason);
    }
    Ok(())
}
