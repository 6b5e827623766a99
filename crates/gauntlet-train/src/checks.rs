//! What a record says, as reports of the checks `train/*`.

mod rules;

use std::collections::BTreeMap;

use gauntlet_core::{
    CheckInfo, Confidence, Coverage, Digest, Draft, Figure, Input, Location, Metric, Report, Severity, SkipCode,
    Subject, SubjectKind, canonical, seal,
};
use serde_json::{Value, json};

use crate::anomaly::{Anomaly, AnomalyKind, Monitor};
use crate::record::{GitState, TrainingRecord};
use crate::replay::{Comparison, Tolerance};
use crate::sandbox::{End, LimitName, Mechanism};

pub use rules::{ADMISSION, ANOMALY, CHECKS, CONFINEMENT, RECORD, REPLAY};

/// The word for a limit that nothing holds.
const NOT_ENFORCED: &str = "not-enforced";
/// Points of one series of a figure.
const POINTS: usize = 500;

/// The run as a subject: named by the digest of its record.
///
/// # Errors
/// When the record is no JSON, which a record always is.
pub fn subject(record: &TrainingRecord) -> Result<Subject, serde_json::Error> {
    let bytes = canonical::to_vec(record)?;
    Ok(Subject {
        name: format!("{}/training", record.project),
        kind: SubjectKind::TrainingRun,
        digest: gauntlet_core::DigestSet::sha256_of(&bytes),
    })
}

/// Why a run was not let in, one finding a reason: rule of the policy, message, what would be needed.
#[must_use]
pub fn admission(subject: &Subject, reasons: &[(String, String, String)]) -> Report {
    let mut drafts = Drafts::new(&ADMISSION);
    for (rule, message, needs) in reasons {
        if let Some(draft) = drafts.add("refused", rule, format!("{message} [{rule}]")) {
            *draft = draft.clone().fix(needs.clone());
        }
    }
    drafts.report(subject, json!({}), Coverage { looked_at: 1, ..Coverage::default() }, Vec::new(), Vec::new())
}

/// What confined the run, and whether it stayed within.
#[must_use]
pub fn confinement(subject: &Subject, record: &TrainingRecord) -> Report {
    let mut drafts = Drafts::new(&CONFINEMENT);
    for state in record.mechanisms.iter().filter(|state| !state.enforced) {
        let name = state.mechanism.as_str();
        let why = state.reason.as_deref().unwrap_or("no reason was given");
        // The user namespace is the way to the others without privileges; root has another.
        let needed = Mechanism::REQUIRED.contains(&state.mechanism) || state.mechanism == Mechanism::HostProxy;
        let Some(draft) = drafts.add("not-enforced", name, format!("{name} was not in force: {why}")) else { continue };
        if !needed {
            *draft = draft.clone().severity(Severity::Low);
        }
    }
    for state in &record.limits {
        let (limit, why) = (state.limit, state.reason.as_deref().unwrap_or(""));
        if state.enforced_by == NOT_ENFORCED {
            drafts.add("not-enforced", &limit.to_string(), format!("the limit {limit} was held by nothing: {why}"));
        } else if !why.is_empty() {
            let text = format!("the limit {limit} was held by {} only: {why}", state.enforced_by);
            drafts.add("weak-limit", &limit.to_string(), text);
        }
    }
    if let End::OverLimit(limit) = record.end {
        let value = record.limits.iter().find(|l| l.limit == limit).map_or("", |l| l.value.as_str());
        let by = record.limits.iter().find(|l| l.limit == limit).map_or("", |l| l.enforced_by.as_str());
        let text = format!("the run went over its limit of {limit} ({value}; held by {by}) and was killed as a whole");
        drafts.add("over-limit", &limit.to_string(), text);
    }
    if record.survivors > 0 {
        let text = format!("{} processes outlived the command and were killed with its namespace", record.survivors);
        drafts.add("left-behind", "", text);
    }
    for connection in record.connections.iter().filter(|c| !c.allowed) {
        let text = format!("the run asked for {}, which is not declared, and was refused", connection.host);
        drafts.add("undeclared-host", &connection.host, text);
    }
    let looked_at = (record.mechanisms.len() + record.limits.len()) as u64;
    drafts.report(subject, json!({}), Coverage { looked_at, ..Coverage::default() }, usage(record), Vec::new())
}

/// What the record is worth.
#[must_use]
pub fn record(subject: &Subject, record: &TrainingRecord) -> Report {
    let mut drafts = Drafts::new(&RECORD);
    let mut coverage = Coverage {
        looked_at: (record.inputs.len() + record.code.len() + record.outputs.len()) as u64,
        ..Coverage::default()
    };
    match &record.end {
        End::Exited(0) | End::OverLimit(_) | End::Stopped(_) => {}
        End::Exited(code) => {
            drafts.add("command-failed", "", format!("the command ended with exit code {code}"));
        }
        End::Signalled(signal) => {
            drafts.add("command-failed", "", format!("the command was ended by signal {signal}"));
        }
    }
    for reading in &record.observed.undeclared {
        let text = format!("the run asked for {}, which is not among its inputs and was not there", reading.path);
        drafts.add("undeclared-read", &reading.path, text);
    }
    if record.observed.undeclared_more > 0 {
        let text = format!("{} further undeclared files were asked for", record.observed.undeclared_more);
        drafts.add("undeclared-read", "more", text);
    }
    if record.observed.complete {
        for input in record.inputs.iter().filter(|i| !record.observed.inputs.contains(&i.name)) {
            drafts.add("unused-input", &input.name, format!("the declared input {} was never opened", input.name));
        }
    } else {
        drafts.add("not-traced", "", "what the run opened was not followed, or not to the end".to_owned());
    }
    match &record.git {
        GitState::Clean { .. } => {}
        GitState::Changed { untracked, .. } => {
            let text = format!("the source has changes that no commit holds ({} files untracked)", untracked.len());
            drafts.add("uncommitted-source", "", text);
        }
        GitState::Unknown { reason } => {
            drafts.add("unknown-commit", "", format!("the source belongs to no commit that could be found: {reason}"));
        }
    }
    for (path, why) in &record.missing {
        drafts.add("missing-output", path, format!("the declared output {path} did not come back: {why}"));
    }
    if record.code.is_empty() {
        coverage.skip("", None, SkipCode::Ignored, "there are no source files; the command is all there is");
    }
    drafts.report(subject, json!({}), coverage, Vec::new(), Vec::new())
}

/// What the metrics looked like while it trained. `unread` are metric files and why they could not be read.
#[must_use]
pub fn anomaly(
    subject: &Subject,
    monitor: &Monitor,
    expected: bool,
    unread: &[(String, String)],
    config: Value,
) -> Report {
    let mut drafts = Drafts::new(&ANOMALY);
    for Anomaly { kind, metric, message, .. } in monitor.anomalies() {
        let rule = match kind {
            AnomalyKind::NotANumber => "not-a-number",
            AnomalyKind::Divergence => "divergence",
            AnomalyKind::LossJump => "loss-jump",
            AnomalyKind::AgreementDrop => "agreement-drop",
        };
        drafts.add(rule, &metric, message);
    }
    if expected && monitor.series().is_empty() {
        drafts.add("no-metrics", "", "metrics were declared and none appeared".to_owned());
    }
    let looked_at = monitor.series().values().map(|s| s.values.len() as u64).sum();
    let mut coverage = Coverage { looked_at, ..Coverage::default() };
    for (name, why) in unread {
        coverage.skip(name, None, SkipCode::Malformed, why);
    }
    if monitor.dropped() > 0 {
        coverage.skip("", None, SkipCode::Limit, format!("{} values were not kept", monitor.dropped()));
    }
    let last = monitor.series().iter().filter_map(|(name, series)| {
        series.values.last().map(|(_, value)| Metric::new("last-value", *value, "").field(name.clone()))
    });
    let metrics = last.take(1_000).collect();
    drafts.report(subject, config, coverage, metrics, figures(monitor))
}

/// How a second run compares with the recorded one. `changed` are inputs, source and settings that were not the same.
#[must_use]
pub fn replay(
    subject: &Subject,
    original: &Digest,
    changed: &[String],
    outputs: &BTreeMap<String, Comparison>,
    tolerance: Tolerance,
) -> Report {
    let mut drafts = Drafts::new(&REPLAY);
    for what in changed {
        drafts.add("changed-input", what, format!("{what} is not what it was in the recorded run"));
    }
    let mut metrics = Vec::new();
    for (path, comparison) in outputs {
        match comparison {
            Comparison::Same => metrics.push(Metric::new("same-bytes", 1.0, "").field(path.clone())),
            Comparison::Within { compared, largest, of } => {
                metrics.push(Metric::new("largest-difference", *largest, "").field(path.clone()));
                let text =
                    format!("{path} has other bytes; its {compared} numbers differ by {largest:e} at most (in {of})");
                drafts.add("other-bytes", path, text);
            }
            Comparison::Differs { differences } => {
                for (name, text) in differences {
                    drafts.add("other-numbers", &format!("{path} {name}"), format!("{path}: {name} {text}"));
                }
            }
            Comparison::NotComparable { reason } => {
                drafts.add("not-comparable", path, format!("{path} has other bytes and cannot be compared: {reason}"));
            }
        }
    }
    let coverage = Coverage { looked_at: outputs.len() as u64, ..Coverage::default() };
    let mut report = drafts.report(subject, json!({"tolerance": tolerance}), coverage, metrics, Vec::new());
    report.inputs.push(Input { name: "recorded-run".to_owned(), digest: original.clone() });
    report
}

/// Findings of one check.
struct Drafts {
    info: &'static CheckInfo,
    drafts: Vec<Draft>,
}

impl Drafts {
    fn new(info: &'static CheckInfo) -> Self {
        Self { info, drafts: Vec::new() }
    }

    /// Adds a finding of a rule of the check's table, about `field`.
    fn add(&mut self, rule: &str, field: &str, message: String) -> Option<&mut Draft> {
        let rule = self.info.rule(rule)?;
        let location = if field.is_empty() { Location::default() } else { Location::default().in_field(field) };
        self.drafts.push(Draft::new(rule, location, message).confidence(Confidence::High).snippet(field));
        self.drafts.last_mut()
    }

    fn report(
        self,
        subject: &Subject,
        config: Value,
        coverage: Coverage,
        metrics: Vec<Metric>,
        figures: Vec<Figure>,
    ) -> Report {
        let findings = seal(self.drafts);
        Report {
            check: self.info.id.to_owned(),
            check_version: self.info.version,
            // A JSON value always serialises.
            config_digest: canonical::digest(&config).unwrap_or_else(|_| Digest::sha256(b"")),
            subject: subject.clone(),
            inputs: Vec::new(),
            verdict: Report::judge(&findings, &metrics, &coverage),
            findings,
            metrics,
            coverage,
            figures,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts for people")]
fn usage(record: &TrainingRecord) -> Vec<Metric> {
    let usage = &record.usage;
    let mut metrics = vec![Metric::new("wall", usage.wall_ms as f64 / 1_000.0, "s")];
    metrics.extend(usage.cpu_ms.map(|ms| Metric::new("cpu-time", ms as f64 / 1_000.0, "s")));
    metrics.extend(usage.memory.map(|bytes| Metric::new("memory", bytes as f64, "bytes")));
    metrics.extend(usage.processes.map(|n| Metric::new("processes", n as f64, "processes")));
    let held = record.limits.iter().filter(|l| l.enforced_by != NOT_ENFORCED && l.limit != LimitName::Gpus).count();
    metrics.push(Metric::new("limits-held", held as f64, "limits"));
    metrics
}

fn figures(monitor: &Monitor) -> Vec<Figure> {
    let series: Vec<gauntlet_core::Series> = monitor
        .series()
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().contains("loss"))
        .take(8)
        .map(|(name, series)| {
            let finite: Vec<(f64, f64)> =
                series.values.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
            let every = finite.len().div_ceil(POINTS).max(1);
            let (x, y) = finite.into_iter().step_by(every).unzip();
            gauntlet_core::Series { name: name.clone(), x, y }
        })
        .collect();
    if series.is_empty() {
        return Vec::new();
    }
    vec![Figure { series, ..Figure::new("loss", "Loss while training", "step", "loss") }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Observed, Parameters, Reading, RecordedInput, machine};
    use crate::sandbox::{Connection, LimitState, MechanismState, Usage};
    use gauntlet_core::project::{Prices, TrainingLimits};
    use gauntlet_core::{DigestSet, Verdict};

    fn ran() -> TrainingRecord {
        TrainingRecord {
            schema: 1,
            project: "p".into(),
            command: vec!["train".into()],
            purpose: None,
            runner: "native".into(),
            image: None,
            source: Digest::sha256(b"source"),
            code: Vec::new(),
            git: GitState::Clean { commit: "a".repeat(40), remote: None },
            inputs: vec![RecordedInput { name: "d".into(), paths: Vec::new(), digest: DigestSet::sha256_of(b"d") }],
            observed: Observed { complete: true, inputs: vec!["d".into()], ..Observed::default() },
            parameters: Parameters::default(),
            packages: Vec::new(),
            machine: machine(),
            user: None,
            started: "2026-01-01T00:00:00Z".parse().unwrap(),
            finished: "2026-01-01T00:00:01Z".parse().unwrap(),
            allowed: TrainingLimits::default(),
            prices: Prices::default(),
            limits: vec![LimitState {
                limit: LimitName::Memory,
                value: "1GiB".into(),
                enforced_by: "cgroup-v2 memory.max".into(),
                reason: None,
            }],
            mechanisms: vec![MechanismState { mechanism: Mechanism::Seccomp, enforced: true, reason: None }],
            hosts: Vec::new(),
            connections: Vec::new(),
            usage: Usage::default(),
            survivors: 0,
            end: End::Exited(0),
            outputs: Vec::new(),
            missing: BTreeMap::new(),
            admission: None,
        }
    }

    fn judged(change: impl FnOnce(&mut TrainingRecord)) -> (Vec<String>, Verdict) {
        let mut run = ran();
        change(&mut run);
        let subject = subject(&run).unwrap();
        let reports = [confinement(&subject, &run), record(&subject, &run)];
        let rules = reports.iter().flat_map(|r| r.findings.iter().map(|f| f.rule.clone())).collect();
        (rules, reports.iter().map(|r| r.verdict).max().unwrap())
    }

    #[test]
    fn an_ordinary_run_passes() {
        assert_eq!(judged(|_| ()), (Vec::new(), Verdict::Pass));
    }

    #[test]
    fn each_flaw_is_told_by_its_rule() {
        let one = |change: fn(&mut TrainingRecord)| judged(change).0.join(" ");
        assert_eq!(one(|r| r.mechanisms[0].enforced = false), "train/confinement/not-enforced");
        assert_eq!(one(|r| r.limits[0].enforced_by = NOT_ENFORCED.into()), "train/confinement/not-enforced");
        assert_eq!(one(|r| r.limits[0].reason = Some("no group".into())), "train/confinement/weak-limit");
        assert_eq!(one(|r| r.end = End::OverLimit(LimitName::Memory)), "train/confinement/over-limit");
        assert_eq!(one(|r| r.survivors = 2), "train/confinement/left-behind");
        let asked = |r: &mut TrainingRecord| {
            r.connections.push(Connection { host: "x:443".into(), allowed: false, sent: 0, received: 0 });
        };
        assert_eq!(judged(asked).0, ["train/confinement/undeclared-host"]);
        assert_eq!(one(|r| r.end = End::Exited(3)), "train/record/command-failed");
        assert_eq!(one(|r| r.end = End::Signalled(9)), "train/record/command-failed");
        let read = |r: &mut TrainingRecord| r.observed.undeclared.push(Reading { path: "x".into(), prevented: true });
        assert_eq!(judged(read), (vec!["train/record/undeclared-read".to_owned()], Verdict::Fail));
        assert_eq!(one(|r| r.observed.inputs.clear()), "train/record/unused-input");
        assert_eq!(one(|r| r.observed.complete = false), "train/record/not-traced");
        assert_eq!(one(|r| r.git = GitState::Unknown { reason: "x".into() }), "train/record/unknown-commit");
        let gone = |r: &mut TrainingRecord| drop(r.missing.insert("m".into(), "gone".into()));
        assert_eq!(judged(gone), (vec!["train/record/missing-output".to_owned()], Verdict::Fail));
    }

    #[test]
    fn replays_are_judged_by_what_differs() {
        let subject = subject(&ran()).unwrap();
        let with = |comparison: Comparison, changed: &[String]| {
            let outputs = BTreeMap::from([("m".to_owned(), comparison)]);
            let report = replay(&subject, &Digest::sha256(b"e"), changed, &outputs, Tolerance::default());
            (report.findings.first().map(|f| f.rule.clone()).unwrap_or_default(), report.verdict)
        };
        assert_eq!(with(Comparison::Same, &[]), (String::new(), Verdict::Pass));
        let within = Comparison::Within { compared: 1, largest: 1e-9, of: "w".into() };
        assert_eq!(with(within, &[]), ("train/replay/other-bytes".into(), Verdict::Warn));
        let differs = Comparison::Differs { differences: vec![("w".into(), "far".into())] };
        assert_eq!(with(differs, &[]), ("train/replay/other-numbers".into(), Verdict::Fail));
        let unread = Comparison::NotComparable { reason: "pickle".into() };
        assert_eq!(with(unread, &[]), ("train/replay/not-comparable".into(), Verdict::Warn));
        assert_eq!(with(Comparison::Same, &["input d".into()]), ("train/replay/changed-input".into(), Verdict::Fail));
    }
}
