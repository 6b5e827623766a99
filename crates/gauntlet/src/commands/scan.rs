//! `gauntlet scan`: source and artifact gates on any path, with no configuration and no evidence; facts are kept where asked.

use std::time::Instant;

use gauntlet_core::{Limits, MaskKey, Report, Severity, TreeOptions, Verdict, nearest};

use crate::cli::{Global, ScanArgs};
use crate::evidence;
use crate::exit::{Exit, UsageError};
use crate::judge::{self, Bench};
use crate::plan::ArtifactOptions;
use crate::progress::Meter;
use crate::result::{self, RunResult};
use crate::{commands, plan};

pub(crate) fn run(args: &ScanArgs, global: &Global) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let limits = limits(&args.limits)?;
    let meter = Meter::new(!global.quiet && !global.no_progress);
    let mask = MaskKey::for_project("");
    let bench = Bench { limits: &limits, mask: &mask, now: commands::run::clock(global)?.now(), meter: &meter };
    let options =
        TreeOptions { respect_gitignore: args.respect_gitignore, exclude: args.exclude.clone(), without: Vec::new() };
    let artifact = ArtifactOptions {
        strict: args.strict,
        weights: args.weights.map(crate::cli::Weights::as_str),
        structure_only: args.structure_only,
    };
    let mut outcome = RunResult::default();
    for path in &args.paths {
        let plan = plan::of_path(path, &options, &limits, &artifact, &meter)
            .map_err(|error| if path.exists() { error } else { UsageError::new(format!("{error}")).into() })?;
        let prefix = result::prefix(path);
        let mut reports = Vec::new();
        for task in &plan.tasks {
            let began = Instant::now();
            let judged = judge::judge(task, &bench);
            if let Some(folder) = &args.facts {
                evidence::sweep_facts(folder, task, &judged.facts)?;
                for (inner, judged) in &judged.derived {
                    evidence::sweep_facts(folder, inner, &judged.facts)?;
                }
            }
            let inner = judged.derived.into_iter().flat_map(|(_, judged)| judged.reports);
            let answers: Vec<Report> = judged.reports.into_iter().chain(inner).collect();
            outcome.time(&answers, began.elapsed());
            reports.extend(answers);
        }
        if reports.is_empty() {
            reports.extend(plan.tasks.first().and_then(|task| judge::nothing_read(task, &bench)));
        }
        outcome.files += plan.files;
        outcome.bytes += plan.bytes;
        outcome.reports.extend(reports.into_iter().map(|report| result::with_prefix(report, &prefix)));
    }
    meter.finish();
    let exit = exit(&outcome.reports, args.fail_on);
    result::deliver(outcome, started, &args.output, global)?;
    Ok(exit)
}

/// `--fail-on` decides the exit status and nothing else; an unanswered question is 3 unless something worse was found.
pub(crate) fn exit(reports: &[Report], fail_on: Severity) -> Exit {
    let found = reports.iter().flat_map(Report::open_findings).any(|finding| finding.severity >= fail_on);
    let missed = reports.iter().flat_map(|r| &r.metrics).any(gauntlet_core::Metric::missed);
    if found || missed {
        Exit::Refused
    } else if reports.iter().any(|r| r.verdict == Verdict::Error || !r.coverage.complete()) {
        Exit::Inconclusive
    } else {
        Exit::Allowed
    }
}

/// Default limits with those given on the command line.
pub(crate) fn limits(given: &[String]) -> anyhow::Result<Limits> {
    let mut value = serde_json::to_value(Limits::default())?;
    for setting in given {
        let wrong = |why: String| UsageError::new(format!("--limit {setting}: {why}"));
        let (name, number) = setting.split_once('=').ok_or_else(|| wrong("write NAME=N".to_owned()))?;
        let number: u64 = number.replace('_', "").parse().map_err(|_| wrong(format!("`{number}` is no number")))?;
        let known: Vec<String> = value.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
        if !known.iter().any(|k| k == name) {
            let hint = nearest(name, known.iter().map(String::as_str));
            let hint =
                hint.map_or_else(|| format!("limits are {}", known.join(", ")), |h| format!("did you mean `{h}`?"));
            return Err(wrong(format!("unknown limit `{name}`, {hint}")).into());
        }
        value[name] = number.into();
    }
    Ok(serde_json::from_value(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_strictly() {
        assert_eq!(limits(&["steps=1_000".into()]).unwrap().steps, 1_000);
        let error = limits(&["stps=1".into()]).unwrap_err().to_string();
        assert_eq!(error, "--limit stps=1: unknown limit `stps`, did you mean `steps`?");
        assert!(limits(&["steps".into()]).is_err());
    }
}
